//! Who owned an account, or what a rule names, when it was used: charges of one bill by the days of their owners.
//!
//! A charge belongs to who owned it in its charge period: a correction of September is September's owner's, on whichever bill it
//! comes. Where owners change within a charge period, it is divided by time.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveTime};

use super::adder::{Adder, ChargeError, Charged, Costs};
use super::commitments::Commitments;
use super::facts::{ChargePeriod, Facts};
use super::placer::{Placed, Placer};
use crate::catalog::billing::InForce;
use crate::charges::Figures;
use crate::money::{Amount, Currency, MoneyError};

/// How far time zones lie from UTC at the most, in milliseconds.
const TIME_ZONES: i64 = 14 * 60 * 60 * 1000;

/// The time line, cut on the days on which owners change.
#[derive(Debug)]
pub struct Owners {
    /// The days, in order; the first stretch lies before them.
    changes: Vec<NaiveDate>,
    month: ChargePeriod,
    /// The stretch that has all days of the month, if owners do not change within it.
    usual: Option<usize>,
    last: usize,
}

/// What of a charge counts in which stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    stretch: usize,
    /// Where owners change within the charge period: all stretches, and how much of it lies in each, in milliseconds.
    divided: Vec<(usize, i64)>,
    /// Whether the charge is of a time before the month.
    pub is_earlier: bool,
}

impl Parts {
    fn whole(stretch: usize) -> Self {
        Self { stretch, divided: Vec::new(), is_earlier: false }
    }

    /// An amount by stretches, by time, to eighteen decimals; the last has what is left, so nothing is lost.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn divide(&self, amount: Amount) -> Result<Vec<(usize, Amount)>, MoneyError> {
        const SCALE: u32 = 18;
        let units_of = |units| Amount::scaled(units, i64::from(SCALE)).ok_or(MoneyError::Overflow);
        let Some(((last, _), before)) = self.divided.split_last() else {
            return Ok(vec![(self.stretch, amount)]);
        };
        let whole: i128 = self.divided.iter().map(|(_, time)| i128::from(*time)).sum();
        let (mut parts, mut left) = (Vec::with_capacity(self.divided.len()), amount);
        for (stretch, time) in before {
            // what does not fit 128 bits is cut more coarsely, which loses nothing either
            let (units, time) = (amount.units(SCALE), i128::from(*time));
            let units = units.checked_mul(time).map_or_else(|| units / whole * time, |units| units / whole);
            left = left.checked_add(units_of(-units)?)?;
            parts.push((*stretch, units_of(units)?));
        }
        parts.push((*last, left));
        Ok(parts)
    }
}

impl Parts {
    /// What a charge costs, by stretches: it is one charge, whoever shares it, and counts in the first.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn divide_both(
        &self,
        billed: Amount,
        effective: Option<Amount>,
    ) -> Result<Vec<(usize, Figures)>, MoneyError> {
        let spread = effective.map(|effective| self.divide(effective)).transpose()?;
        let spread = |at: usize| spread.as_ref().map(|parts| parts[at].1);
        let parts = self.divide(billed)?.into_iter().enumerate();
        Ok(parts
            .map(|(at, (to, billed))| (to, Figures::of(billed, spread(at), u64::from(at == 0))))
            .collect())
    }
}

impl Owners {
    /// Who owns what, as a catalog says, for the bills of its month.
    #[must_use]
    pub fn new(in_force: &InForce<'_>) -> Self {
        let (changes, month) = (in_force.changes_of_owners(), in_force.month);
        let of = |day: NaiveDate| changes.partition_point(|change| *change <= day);
        let (first, last) = (of(month.first_day()), of(month.last_day()));
        let usual = (first == last).then_some(first);
        Self { changes, month: ChargePeriod::between(month.start(), month.end()), usual, last }
    }

    fn stretch(&self, moment: i64) -> usize {
        let day = DateTime::from_timestamp_millis(moment).map(|moment| moment.date_naive());
        day.map_or(self.last, |day| self.changes.partition_point(|change| *change <= day))
    }

    /// A day of a stretch.
    fn day(&self, stretch: usize) -> NaiveDate {
        let before = || self.changes.first().and_then(NaiveDate::pred_opt);
        let day = stretch.checked_sub(1).and_then(|at| self.changes.get(at).copied()).or_else(before);
        day.unwrap_or(NaiveDate::MIN)
    }

    /// The rules of a stretch.
    #[must_use]
    pub fn placer(&self, in_force: &InForce<'_>, stretch: usize) -> Placer {
        Placer::on(in_force, self.day(stretch))
    }

    /// In which stretches a charge counts. What reaches beyond the month counts on its last day; what begins before it no earlier than a month
    /// of another time zone does, and corrects nothing, counts from its first.
    #[must_use]
    pub fn parts(&self, facts: &Facts<'_>) -> Parts {
        let Some(period) = facts.period else {
            return Parts::whole(self.usual.unwrap_or(self.last));
        };
        let is_earlier =
            period.start < self.month.start && (facts.is_correction || period.end <= self.month.start);
        // months and days of other time zones begin a few hours before
        let is_within = !is_earlier && period.start >= self.month.start - TIME_ZONES;
        if let (Some(usual), true) = (self.usual, is_within) {
            return Parts::whole(usual);
        }
        if period.end > self.month.end {
            return Parts::whole(self.last);
        }
        let start = if is_within { period.start.max(self.month.start) } else { period.start };
        let end = period.end.max(start + 1);
        let (first, last) = (self.stretch(start), self.stretch(end - 1));
        if first == last {
            return Parts { is_earlier, ..Parts::whole(first) };
        }
        let at = |stretch: usize| self.day(stretch).and_time(NaiveTime::MIN).and_utc().timestamp_millis();
        let of = (first..=last).map(|stretch| {
            let from = if stretch == first { start } else { at(stretch) };
            let to = if stretch == last { end } else { at(stretch + 1) };
            (stretch, to - from)
        });
        Parts { stretch: first, divided: of.collect(), is_earlier }
    }
}

/// Adds up the charges of a month's bills, each for those who owned it when it was used.
#[derive(Debug)]
pub struct MonthAdder<'c> {
    in_force: &'c InForce<'c>,
    owners: Owners,
    adders: BTreeMap<usize, Adder>,
    divided: Costs,
    earlier: Costs,
    /// Only where the catalog bills anything by its effective cost.
    commitments: Option<Commitments>,
}

impl<'c> MonthAdder<'c> {
    /// Begins with nothing.
    #[must_use]
    pub fn new(in_force: &'c InForce<'c>) -> Self {
        let (adders, divided, earlier) = (BTreeMap::new(), Costs::new(), Costs::new());
        let commitments = in_force.catalog.bills_effective_costs().then(Commitments::default);
        Self { in_force, owners: Owners::new(in_force), adders, divided, earlier, commitments }
    }

    /// Adds a charge. A blank cost is nothing: it counts, and nothing else happens.
    ///
    /// # Errors
    /// [`ChargeError`].
    pub fn add(
        &mut self,
        facts: &Facts<'_>,
        currency: Currency,
        billed: Option<Amount>,
        effective: Option<Amount>,
    ) -> Result<(), ChargeError> {
        let parts = self.owners.parts(facts);
        match billed {
            Some(billed) if !parts.divided.is_empty() => {
                for (stretch, cost) in parts.divide_both(billed, effective)? {
                    let placed = self.adder(stretch).add_figures(facts, currency, &cost)?;
                    let counted = self.tell(facts, currency, (&parts, stretch), placed, &cost)?;
                    self.divided.entry(currency.code()).or_default().add(&counted)?;
                }
            }
            _ => {
                let placed = self.adder(parts.stretch).add(facts, currency, billed, effective)?;
                if parts.is_earlier || placed.unknown_cost_center || self.commitments.is_some() {
                    let cost = Figures::of(billed.unwrap_or_default(), effective, 1);
                    self.tell(facts, currency, (&parts, parts.stretch), placed, &cost)?;
                }
            }
        }
        Ok(())
    }

    /// Counts what is told of some charges beside where they belong, by the cost that is billed there: answers that.
    fn tell(
        &mut self,
        facts: &Facts<'_>,
        currency: Currency,
        (parts, stretch): (&Parts, usize),
        placed: Placed,
        cost: &Figures,
    ) -> Result<Figures, ChargeError> {
        if let Some(commitments) = &mut self.commitments {
            commitments.add(facts, (placed.place, parts.is_earlier), currency, cost)?;
        }
        if parts.divided.is_empty() && !parts.is_earlier && !placed.unknown_cost_center {
            return Ok(*cost);
        }
        let basis = placed.place.basis(self.in_force);
        let counted = basis.of(cost.billed, cost.effective()).unwrap_or(cost.billed);
        let counted = Figures::of(counted, Some(counted), cost.charges);
        if parts.is_earlier {
            self.earlier.entry(currency.code()).or_default().add(&counted)?;
        }
        if placed.unknown_cost_center {
            self.adder(stretch).unknown(facts, currency, &counted)?;
        }
        Ok(counted)
    }

    fn adder(&mut self, stretch: usize) -> &mut Adder {
        let (owners, in_force) = (&self.owners, self.in_force);
        self.adders.entry(stretch).or_insert_with(|| Adder::new(owners.placer(in_force, stretch)))
    }

    /// What was added.
    ///
    /// # Errors
    /// [`ChargeError::Money`].
    pub fn finish(mut self) -> Result<Charged, ChargeError> {
        self.adder(self.owners.last);
        let mut all = Charged::default();
        for adder in self.adders.into_values() {
            all.merge(&adder.finish()?)?;
        }
        (all.divided, all.earlier) = (self.divided, self.earlier);
        all.commitments = self.commitments.unwrap_or_default();
        Ok(all)
    }
}
