//! Which line of an instance divides among which parts, and how much of it each part takes.
//!
//! Costs are whole units of `10^-18`. A part takes `cost * split / all`, cut toward zero; a line gives what its parts take. Both
//! are found out of the same integers, so they are equal whatever the order of rows and documents.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::money::{Amount, MoneyError, mul_div_rem};

/// Units of the billed, the effective and the list cost.
pub(super) type Units = [i128; 3];

/// An hour of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    start: i64,
    bill: u32,
    account: u32,
    instance: u32,
}

/// How sure it is that a line is what the instance itself costs: the best of an hour divides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Its usage type says so.
    UsageType,
    /// Its operation says so.
    Operation,
    /// Nothing says so: it divides if all such lines of the hour have one usage type.
    Unsaid,
}

/// Usage types of instances.
const INSTANCES: [&str; 4] = ["BoxUsage", "SpotUsage", "DedicatedUsage", "HostUsage"];
/// Usage types of what instances have beside them; some have the operation of instances.
const BESIDE: [&str; 6] = ["DataTransfer", "Bytes", "EBS", "CPUCredits", "ElasticIP", "PublicIPv4"];

impl Rank {
    /// Of a usage type and an operation; nothing of what is beside an instance.
    pub(super) fn of(usage_type: Option<&str>, operation: Option<&str>) -> Option<Self> {
        let says =
            |words: &[&str]| usage_type.is_some_and(|usage| words.iter().any(|word| usage.contains(word)));
        match operation {
            _ if says(&INSTANCES) => Some(Self::UsageType),
            _ if says(&BESIDE) => None,
            Some(operation) if operation.starts_with("RunInstances") => Some(Self::Operation),
            _ => Some(Self::Unsaid),
        }
    }
}

/// The commitment that the lines of an hour draw on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drawn {
    /// None of them on any.
    Nothing,
    /// On this one (a name and which column it stands in); some may draw on none.
    One(u32, usize),
    /// On several.
    Several,
}

#[derive(Clone, Copy, Debug)]
struct Hour {
    /// Split and unused cost of all parts.
    all: u128,
    /// Some part does not say what is unused, so nobody says how the hour divides.
    is_unused_unstated: bool,
    first: Option<u32>,
    rank: Option<Rank>,
    usage_type: u32,
    /// Lines of several usage types, and nothing says which is the instance's.
    unclear: bool,
    drawn: Drawn,
    /// Some line states no effective cost: none moves, and parts state none.
    is_effective_unstated: bool,
}

impl Hour {
    /// Without lines.
    fn new(all: u128) -> Self {
        Self {
            all,
            is_unused_unstated: false,
            first: None,
            rank: None,
            usage_type: 0,
            unclear: false,
            drawn: Drawn::Nothing,
            is_effective_unstated: false,
        }
    }

    /// What divides of a line.
    fn divides(&self, line: &Line) -> Units {
        let [billed, effective, list] = line.costs;
        [billed, if self.is_effective_unstated { 0 } else { effective }, list]
    }
}

/// What a part takes from the lines of its hour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) costs: Units,
    /// Whether all lines state their effective cost.
    pub(super) states_effective: bool,
}

/// Lines of one hour that cost the same.
#[derive(Clone, Copy, Debug)]
struct Line {
    costs: Units,
    /// What each of them gives.
    given: Units,
    count: u32,
    next: Option<u32>,
}

/// A line as it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadLine<'r> {
    pub(super) rank: Rank,
    pub(super) usage_type: Option<&'r str>,
    /// Its commitment, and which column it stands in.
    pub(super) commitment: Option<(&'r str, usize)>,
    pub(super) costs: Units,
    /// Whether it states an effective cost; of one that does not, 0 stands in `costs`.
    pub(super) states_effective: bool,
}

/// Grows with the hours of instances that have parts, not with the parts.
#[derive(Debug, Default)]
pub(super) struct Plan {
    places: HashMap<Arc<str>, u32, RandomState>,
    names: Vec<Arc<str>>,
    hours_by_key: HashMap<Key, u32, RandomState>,
    hours: Vec<Hour>,
    lines: Vec<Line>,
}

impl Plan {
    /// Whether a resource has parts; most have none.
    pub(super) fn knows(&self, instance: &str) -> bool {
        self.places.contains_key(instance)
    }

    /// The hour of an instance, if it has parts.
    pub(super) fn hour(&self, bill: usize, account: Option<&str>, instance: &str, start: i64) -> Option<Key> {
        let name = |name: &str| self.places.get(name).copied();
        let key = Key {
            start,
            bill: u32::try_from(bill).ok()?,
            account: name(account.unwrap_or_default())?,
            instance: name(instance)?,
        };
        self.hours_by_key.contains_key(&key).then_some(key)
    }

    /// Takes a part down: `cost` is what is split to it and what is unused beside it; nothing if it does not say what is unused.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub(super) fn part(
        &mut self,
        bill: usize,
        account: Option<&str>,
        instance: &str,
        start: i64,
        cost: Option<u128>,
    ) -> Result<(), MoneyError> {
        let bill = u32::try_from(bill).map_err(|_| MoneyError::Overflow)?;
        let (account, instance) = (self.name(account.unwrap_or_default())?, self.name(instance)?);
        let place = place(self.hours.len())?;
        let at = *self.hours_by_key.entry(Key { start, bill, account, instance }).or_insert(place);
        if at == place {
            self.hours.push(Hour::new(0));
        }
        let hour = &mut self.hours[at as usize];
        hour.is_unused_unstated |= cost.is_none();
        hour.all = hour.all.checked_add(cost.unwrap_or_default()).ok_or(MoneyError::Overflow)?;
        Ok(())
    }

    /// Takes a line of an hour down.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub(super) fn line(&mut self, key: Key, line: &ReadLine<'_>) -> Result<(), MoneyError> {
        let usage_type = self.name(line.usage_type.unwrap_or_default())?;
        let drawn = line.commitment.map(|(id, column)| Ok::<_, MoneyError>((self.name(id)?, column)));
        let drawn = drawn.transpose()?;
        let Some(at) = self.hours_by_key.get(&key) else { return Ok(()) };
        let hour = &mut self.hours[*at as usize];
        if hour.rank.is_some_and(|rank| rank < line.rank) {
            return Ok(());
        }
        if hour.rank != Some(line.rank) {
            let is_unused_unstated = hour.is_unused_unstated;
            *hour = Hour { is_unused_unstated, rank: Some(line.rank), usage_type, ..Hour::new(hour.all) };
        }
        hour.is_effective_unstated |= !line.states_effective;
        hour.unclear |= line.rank == Rank::Unsaid && hour.usage_type != usage_type;
        hour.drawn = match (hour.drawn, drawn.map(|(name, column)| Drawn::One(name, column))) {
            (before, None) => before,
            (Drawn::Nothing, Some(one)) => one,
            (before, Some(one)) if before == one => one,
            _ => Drawn::Several,
        };
        let mut next = hour.first;
        while let Some(known) = next.and_then(|at| self.lines.get_mut(at as usize)) {
            if known.costs == line.costs {
                known.count = known.count.checked_add(1).ok_or(MoneyError::Overflow)?;
                return Ok(());
            }
            next = known.next;
        }
        let place = place(self.lines.len())?;
        self.lines.push(Line { costs: line.costs, given: Units::default(), count: 1, next: hour.first });
        hour.first = Some(place);
        Ok(())
    }

    /// Has a part take from the lines of its hour; nothing if there is no line that divides.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub(super) fn give(&mut self, key: Key, split: u128) -> Result<Option<Taken>, MoneyError> {
        let taken = self.taken(key, split)?;
        if let (Some(&hour), Some(_)) = (self.dividing(key), taken) {
            let mut next = hour.first;
            while let Some(line) = next.and_then(|at| self.lines.get_mut(at as usize)) {
                line.given = plus(line.given, hour.divides(line).map(|cost| share(cost, split, hour.all)))?;
                next = line.next;
            }
        }
        Ok(taken)
    }

    /// What a part takes from the lines of its hour together; nothing if there is no line that divides.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub(super) fn taken(&self, key: Key, split: u128) -> Result<Option<Taken>, MoneyError> {
        let Some(hour) = self.dividing(key) else { return Ok(None) };
        let mut costs = Units::default();
        for line in self.lines_of(hour) {
            for (sum, cost) in costs.iter_mut().zip(hour.divides(line)) {
                let share = share(cost, split, hour.all).checked_mul(i128::from(line.count));
                *sum = share.and_then(|share| sum.checked_add(share)).ok_or(MoneyError::Overflow)?;
            }
        }
        Ok(Some(Taken { costs, states_effective: !hour.is_effective_unstated }))
    }

    /// What a line gives to the parts of its hour.
    pub(super) fn given(&self, key: Key, rank: Rank, costs: Units) -> Option<Units> {
        let hour = self.dividing(key).filter(|hour| hour.rank == Some(rank))?;
        self.lines_of(hour).find(|line| line.costs == costs).map(|line| line.given)
    }

    /// The commitment that lines of an hour draw on, and which column it stands in; nothing if they draw on several.
    pub(super) fn commitment(&self, key: Key) -> Option<(&str, usize)> {
        let Drawn::One(name, column) = self.dividing(key)?.drawn else { return None };
        Some((self.names.get(name as usize)?, column))
    }

    /// An hour whose lines divide among its parts.
    fn dividing(&self, key: Key) -> Option<&Hour> {
        let hour = self.hours.get(*self.hours_by_key.get(&key)? as usize)?;
        let is_stated = hour.all > 0 && !hour.is_unused_unstated;
        (is_stated && hour.first.is_some() && !hour.unclear).then_some(hour)
    }

    fn lines_of(&self, hour: &Hour) -> impl Iterator<Item = &Line> {
        let at = |place: Option<u32>| self.lines.get(place? as usize);
        std::iter::successors(at(hour.first), move |line| at(line.next))
    }

    fn name(&mut self, name: &str) -> Result<u32, MoneyError> {
        if let Some(known) = self.places.get(name) {
            return Ok(*known);
        }
        let (place, name) = (place(self.names.len())?, Arc::<str>::from(name));
        self.names.push(name.clone());
        self.places.insert(name, place);
        Ok(place)
    }
}

/// The place of what comes after so many others.
fn place(others: usize) -> Result<u32, MoneyError> {
    u32::try_from(others).map_err(|_| MoneyError::Overflow)
}

/// `cost * split / all`, cut toward zero; `split` is at most `all`.
fn share(cost: i128, split: u128, all: u128) -> i128 {
    // no more than the cost
    let (share, _) = mul_div_rem(cost.unsigned_abs(), split, all);
    i128::try_from(share).unwrap_or_default() * cost.signum()
}

fn plus(one: Units, other: Units) -> Result<Units, MoneyError> {
    let mut sum = one;
    for (sum, other) in sum.iter_mut().zip(other) {
        *sum = sum.checked_add(other).ok_or(MoneyError::Overflow)?;
    }
    Ok(sum)
}

/// An amount of so many units.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub(super) fn amount(units: i128) -> Result<Amount, MoneyError> {
    Amount::scaled(units, 18).ok_or(MoneyError::Overflow)
}
