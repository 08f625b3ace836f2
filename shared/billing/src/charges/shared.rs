//! Resources that several parties share: FOCUS has rows for the parts of one (`Allocated*`), and may have the resource's own row
//! beside them. Only one of both may carry the cost.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::ReadError;
use super::focus::time;
use super::mapping::Mapping;
use super::read::has_any;
use super::scan::{BillDocument, BillRow, Cells};
use super::totals::{effective, value};
use crate::identity::Id;
use crate::money::{Amount, MoneyError};
use crate::text::shown;

/// How a format tells parts of a shared resource from its own rows.
#[derive(Clone, Copy)]
pub struct SharedFormat {
    /// Reads what that needs.
    pub(super) mapping: &'static dyn Mapping,
    /// The names of the columns that only parts fill.
    pub(super) names: &'static [&'static str],
    /// Texts: these columns.
    pub(super) parts: &'static [usize],
    /// Text: the resource.
    pub(super) resource: usize,
    /// Texts: what else makes rows of a resource the same cost.
    pub(super) skus: &'static [usize],
    /// Texts: beginning and end.
    pub(super) period: [usize; 2],
}

impl SharedFormat {
    fn is_part(&self, cells: &Cells<'_>) -> bool {
        let is_filled = |column: &usize| cells.text(*column).is_some_and(|text| !EMPTY.contains(&text));
        cells.text(self.resource).is_some() && self.parts.iter().any(is_filled)
    }

    fn is_own(&self, cells: &Cells<'_>) -> bool {
        cells.text(self.resource).is_some() && !self.is_part(cells)
    }

    /// What a row is a cost of.
    fn key(&self, of: &BillDocument<'_>, row: &BillRow<'_>) -> Key {
        let rule = of.selection.rule(row.selected);
        let cell = |column: usize| row.cells.text(column).unwrap_or_default();
        let moment = |column: usize| {
            let text = cell(column);
            time(text).map_or_else(|| text.to_owned(), |time| time.to_rfc3339())
        };
        Key {
            bill: row.bill,
            resource: rule.key(Id::Resource, cell(self.resource)).into_owned(),
            account: row.account.map(|account| rule.key(Id::SubAccount, account).into_owned()),
            service: rule.key(Id::Service, row.service).into_owned(),
            category: row.class.category.as_str(),
            skus: self.skus.iter().map(|column| cell(*column).to_owned()).collect(),
            period: self.period.map(moment),
        }
    }
}

/// Tags of nobody.
const EMPTY: [&str; 2] = ["{}", "[]"];

/// A cost of a shared resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    bill: usize,
    resource: String,
    account: Option<String>,
    service: String,
    category: &'static str,
    skus: Vec<String>,
    period: [String; 2],
}

/// What is known of it.
#[derive(Debug, Default)]
struct Sides {
    /// The resource as the first part spells it, if that is not how it is compared.
    spelled: Option<String>,
    parts: Cost,
    own: Cost,
}

/// What rows come to.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    billed: Amount,
    effective: Amount,
}

impl Cost {
    fn add(&mut self, row: &BillRow<'_>) -> Result<(), MoneyError> {
        let cell = |column: usize| row.cells.amount(column);
        self.billed = self.billed.checked_add(value(&row.class.billed, cell)?)?;
        self.effective =
            self.effective.checked_add(effective(&row.class.effective, cell)?.unwrap_or_default())?;
        Ok(())
    }

    /// The same, if both are the same.
    fn equal(&self, other: &Self) -> Result<Option<(&'static str, Amount, Amount)>, MoneyError> {
        let both = self.beside(other);
        let is_equal = both.map(|(_, own, parts)| Ok(own.checked_add(-parts)?.is_zero())).transpose()?;
        Ok(both.filter(|_| is_equal == Some(true)))
    }

    /// Both costs, and their name, if both are something.
    fn beside(&self, other: &Self) -> Option<(&'static str, Amount, Amount)> {
        let both = |one: Amount, other: Amount| !one.is_zero() && !other.is_zero();
        if both(self.billed, other.billed) {
            return Some(("BilledCost", self.billed, other.billed));
        }
        both(self.effective, other.effective).then_some(("EffectiveCost", self.effective, other.effective))
    }
}

/// A resource that a bill has whole and divided: its cost would count twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct CountedTwice {
    /// The resource.
    pub resource: String,
    /// Its sub account.
    pub account: Option<String>,
    /// Its service.
    pub service: String,
    /// Beginning of the period.
    pub start: String,
    /// The cost that both carry.
    pub cost: &'static str,
    /// What its own rows come to.
    pub own: Amount,
    /// What its parts come to.
    pub parts: Amount,
    /// How many other costs of resources are like this.
    pub others: usize,
}

impl fmt::Display for CountedTwice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, account, service, start, cost, own, parts, others } = self;
        let account =
            account.as_deref().map_or_else(String::new, |account| format!(" of {}", shown(account)));
        let start = if start.is_empty() { String::new() } else { format!(", {start}") };
        write!(
            f,
            "the shared resource {}{account} ({}{start}) stands there whole and divided: {cost} of its own rows is {own}, of its \
             parts (rows with Allocated... columns) {parts}, and both would count",
            shown(resource),
            shown(service),
        )?;
        if *others > 0 {
            write!(f, "; {others} more costs are like this")?;
        }
        write!(f, "; export it either whole or divided")
    }
}

/// Of each of so many bills, a resource that it has whole and divided. Where no document has a column for parts, none is read; where
/// no row is a part, only those that have it. `failed` is told which document cannot be read.
pub fn counted_twice(
    documents: &[BillDocument<'_>],
    bills: usize,
    failed: &mut dyn FnMut(usize, ReadError),
) -> Vec<Option<CountedTwice>> {
    let mut costs: BTreeMap<Key, Sides> = BTreeMap::new();
    for (at, of) in documents.iter().enumerate() {
        let Some(format) = of.mapping.shared().filter(|format| has_any(of.document, format.names)) else {
            continue;
        };
        let read = of.scan(format.mapping, &|cells| format.is_part(cells), &mut |row| {
            format.key(of, row).with_whole().into_iter().try_for_each(|key| {
                let spelled = row.cells.text(format.resource).filter(|spelled| *spelled != key.resource);
                let sides = costs
                    .entry(key)
                    .or_insert_with(|| Sides { spelled: spelled.map(str::to_owned), ..Sides::default() });
                sides.parts.add(row)
            })
        });
        read.unwrap_or_else(|error| failed(at, error));
    }
    let shared: BTreeSet<usize> = costs.keys().map(|key| key.bill).collect();
    for (at, of) in documents.iter().enumerate() {
        let Some(format) = of.mapping.shared() else { continue };
        if !of.bills.iter().any(|bill| shared.contains(bill)) {
            continue;
        }
        let read = of.scan(format.mapping, &|cells| format.is_own(cells), &mut |row| {
            let keys = format.key(of, row).with_whole();
            keys.iter().try_for_each(|key| costs.get_mut(key).map_or(Ok(()), |sides| sides.own.add(row)))
        });
        read.unwrap_or_else(|error| failed(at, error));
    }
    let mut found: Vec<Option<CountedTwice>> = vec![None; bills];
    // exports write SKUs and periods of parts in their own ways: of the whole resource both tell the same cost if they are equal
    let (whole, each): (Vec<_>, Vec<_>) = costs.into_iter().partition(|(key, _)| key.is_whole());
    let mut known: BTreeSet<Key> = BTreeSet::new();
    for (key, sides) in each.into_iter().chain(whole) {
        let both = match key.is_whole() {
            // sums that do not fit are told when the bill is added up
            true => sides.own.equal(&sides.parts).unwrap_or_default(),
            false => sides.own.beside(&sides.parts),
        };
        let (Some((cost, own, parts)), Some(found)) = (both, found.get_mut(key.bill)) else { continue };
        if !known.insert(key.whole()) && key.is_whole() {
            continue;
        }
        match found {
            Some(first) => first.others += 1,
            None => *found = Some(key.twice(sides.spelled, cost, own, parts)),
        }
    }
    found
}

impl Key {
    /// All costs of the resource, of whatever SKU and period.
    fn whole(&self) -> Self {
        Self { skus: Vec::new(), period: Default::default(), ..self.clone() }
    }

    fn is_whole(&self) -> bool {
        self.skus.is_empty()
    }

    fn with_whole(self) -> [Self; 2] {
        [self.whole(), self]
    }

    fn twice(self, spelled: Option<String>, cost: &'static str, own: Amount, parts: Amount) -> CountedTwice {
        let Self { resource, account, service, period: [start, _], .. } = self;
        let resource = spelled.unwrap_or(resource);
        CountedTwice { resource, account, service, start, cost, own, parts, others: 0 }
    }
}
