//! Lines whose cost divides among parts that cost nothing themselves: a report of AWS with split cost allocation has, beside the
//! line of an instance, a row for each container that ran on it (`split_line_item_*`).
//!
//! The line's cost counts once. Each part takes `split cost / (split cost + unused cost of all parts)` of it, of covered usage and of
//! its negation alike, the unused stays with the line. A part and its line may stand in different documents of a bill, so all of
//! them are looked at before the bill is added up: for the parts, for the lines of their instances and hours, and for what
//! each part takes. Then both readings of a bill see rows that have taken and given; what the bill comes to is not changed.

mod plan;
mod sink;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use super::focus::time;
use super::mapping::Mapping;
use super::read::{Document, add_up_divided, add_up_each, has_any};
use super::scan::{BillDocument, BillRow, Cells};
use super::selection::Selection;
use super::totals::{Totals, effective, value};
use super::write::{WriteError, Written, write_charges, write_divided};
use super::{BillContext, ReadError};
use crate::charge::{Charge, ChargeCategory, ChargesFileError};
use crate::money::{Amount, MoneyError};

use plan::{Key, Plan, Rank, ReadLine, Taken, Units, amount};
pub(super) use sink::Divided;

/// How a format states that a line divides.
#[derive(Clone, Copy)]
pub struct SplitFormat {
    /// The names of the column that only parts fill.
    pub(super) parent: &'static [&'static str],
    /// Reads what adds a bill up.
    pub(super) sums: SplitReading,
    /// Reads all that charges state.
    pub(super) charges: SplitReading,
}

/// A mapping whose rows take and give, and where it has what that needs.
#[derive(Clone, Copy)]
pub(super) struct SplitReading {
    pub(super) mapping: &'static dyn Mapping,
    pub(super) places: SplitPlaces,
}

/// Places in [`super::Columns`].
#[derive(Clone, Copy, Debug)]
pub(super) struct SplitPlaces {
    /// Text: the resource.
    pub(super) resource: usize,
    /// Text: the resource that a part is of.
    pub(super) parent: usize,
    /// Text: the beginning of the hour or day.
    pub(super) start: usize,
    /// Text: what kind of usage.
    pub(super) usage_type: usize,
    /// Text: what was done.
    pub(super) operation: usize,
    /// Texts: the commitments that a line may draw on.
    pub(super) commitments: [usize; 2],
    /// Texts of no column: the same of a part's line.
    pub(super) line_commitments: Option<[usize; 2]>,
    /// Number: what is split to a part.
    pub(super) split: usize,
    /// Number: what is unused beside it.
    pub(super) unused: usize,
    /// Number: the cost at list price.
    pub(super) list: usize,
    /// Amounts of no column: what a row takes (or, negative, gives) of billed, effective and list cost. That of the effective cost is
    /// filled in all rows but the parts of a line that states none.
    pub(super) moved: [usize; 3],
}

/// A row that is a part of a line.
#[derive(Clone, Copy, Debug)]
struct Part<'r> {
    instance: &'r str,
    start: i64,
    split: u128,
    /// Nothing where it is not stated.
    unused: Option<u128>,
}

impl SplitPlaces {
    /// Whether a row is a part.
    fn is_part(&self, cells: &Cells<'_>) -> bool {
        self.instance_of_part(cells).is_some()
    }

    fn instance_of_part<'r>(&self, cells: &Cells<'r>) -> Option<&'r str> {
        let parent = instance(cells.text(self.parent)?);
        (cells.text(self.resource).map(instance) != Some(parent)).then_some(parent)
    }

    fn part<'r>(&self, cells: &Cells<'r>) -> Option<Part<'r>> {
        let units = |column: usize| {
            let units = cells.number(column)?.cut(18);
            // less than nothing is no weight
            Some(u128::try_from(units).unwrap_or_default())
        };
        let (split, unused) = (units(self.split).unwrap_or_default(), units(self.unused));
        Some(Part { instance: self.instance_of_part(cells)?, start: self.start(cells), split, unused })
    }

    /// The instance of a row that may be its line.
    fn instance_of_line<'r>(&self, cells: &Cells<'r>) -> Option<&'r str> {
        cells.text(self.resource).map(instance).filter(|_| !self.is_part(cells))
    }

    /// The line that a row is; nothing if it is none that could divide.
    fn line<'r>(&self, row: &BillRow<'r>) -> Result<Option<ReadLine<'r>>, MoneyError> {
        let (usage_type, operation) = (row.cells.text(self.usage_type), row.cells.text(self.operation));
        let is_usage = row.class.category == ChargeCategory::Usage;
        let Some(rank) = Rank::of(usage_type, operation).filter(|_| is_usage) else { return Ok(None) };
        let commitment = self.commitments.into_iter().enumerate();
        let commitment = commitment.filter_map(|(at, column)| Some((row.cells.text(column)?, at))).next();
        let (costs, states_effective) = self.costs(row)?;
        Ok(Some(ReadLine { rank, usage_type, commitment, costs, states_effective }))
    }

    /// What a row costs before anything moves, and whether it states the effective cost.
    fn costs(&self, row: &BillRow<'_>) -> Result<(Units, bool), MoneyError> {
        let cell = |column: usize| match self.moved.contains(&column) {
            true => Some(Amount::ZERO),
            false => row.cells.amount(column),
        };
        let (billed, effective) = (value(&row.class.billed, cell)?, effective(&row.class.effective, cell)?);
        let list = row.cells.number(self.list).unwrap_or(billed);
        let costs = [billed, effective.unwrap_or_default(), list];
        Ok((costs.map(|cost| cost.cut(18)), effective.is_some()))
    }

    /// Seconds; rows that do not say when are of one time.
    fn start(&self, cells: &Cells<'_>) -> i64 {
        cells.text(self.start).and_then(time).map_or(i64::MIN, |start| start.timestamp())
    }
}

/// `i-1` of `arn:aws:ec2:eu-central-1:111122223333:instance/i-1`.
pub(super) fn instance(id: &str) -> &str {
    match id.strip_prefix("arn:").and_then(|arn| arn.rsplit_once(":instance/")) {
        Some((_, instance)) => instance,
        None => id,
    }
}

/// How the rows of a document take and give.
#[derive(Clone, Copy)]
pub(super) struct Division<'d> {
    pub(super) reading: &'static SplitReading,
    plan: &'d Plan,
    selection: &'d Selection,
    bills: &'d [usize],
}

/// What the lines of a bill gave to their parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SplitFigures {
    /// Rows that are parts.
    pub parts: u64,
    /// Parts whose line is not in the bill, or of which nobody says how it divides: they cost what they state themselves.
    pub without_line: u64,
    /// Billed cost that moved from lines to parts.
    pub billed: Amount,
    /// Effective cost that moved.
    pub effective: Amount,
}

impl SplitFigures {
    fn add(&mut self, taken: Option<Taken>) -> Result<(), MoneyError> {
        self.parts += 1;
        let Some(Taken { costs: [billed, effective, _], .. }) = taken else {
            self.without_line += 1;
            return Ok(());
        };
        self.billed = self.billed.checked_add(amount(billed)?)?;
        self.effective = self.effective.checked_add(amount(effective)?)?;
        Ok(())
    }
}

/// The lines of some bills that divide.
#[derive(Default)]
pub struct Splits {
    plan: Plan,
    /// Of each bill.
    figures: Vec<SplitFigures>,
    /// The documents that have parts, of whatever bill.
    with_parts: BTreeSet<String>,
}

impl Splits {
    /// Looks at all documents of so many bills. Where no document has a column for parts, none is read; where no row is a part, only
    /// those that have it. `failed` is told which document cannot be read.
    #[must_use]
    pub fn find(
        documents: &[BillDocument<'_>],
        bills: usize,
        failed: &mut dyn FnMut(usize, ReadError),
    ) -> Self {
        let mut splits = Self { figures: vec![SplitFigures::default(); bills], ..Self::default() };
        let mut each = |wants: &dyn Fn(&BillDocument<'_>, &SplitFormat) -> bool,
                        stage: Stage,
                        splits: &mut Self| {
            for (at, document) in documents.iter().enumerate() {
                let Some(format) = document.mapping.splits().filter(|format| wants(document, format)) else {
                    continue;
                };
                if let Err(error) = stage(splits, document, &format.sums) {
                    failed(at, error);
                }
            }
        };
        each(&|of, format| has_any(of.document, format.parent), Self::find_parts, &mut splits);
        if splits.figures.iter().any(|bill| bill.parts > 0) {
            let divided: Vec<bool> = splits.figures.iter().map(|bill| bill.parts > 0).collect();
            let divides = |of: &BillDocument<'_>, _: &_| of.bills.iter().any(|bill| divided[*bill]);
            each(&divides, Self::find_lines, &mut splits);
            splits.figures.fill(SplitFigures::default());
            let with_parts = splits.with_parts.clone();
            each(&|of, _| with_parts.contains(of.document.key), Self::give, &mut splits);
        }
        splits
    }

    /// What lines of a bill gave; nothing where it has no parts.
    #[must_use]
    pub fn figures(&self, bill: usize) -> Option<&SplitFigures> {
        self.figures.get(bill).filter(|figures| figures.parts > 0)
    }

    /// Adds up each bill of a document, see [`add_up_each`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn add_up(&self, of: &BillDocument<'_>, threads: usize) -> Result<Vec<Totals>, ReadError> {
        match self.division(of) {
            Some((sums, _)) => add_up_divided(of.document, of.selection, threads, sums),
            None => add_up_each(of.document, of.mapping, of.selection, threads),
        }
    }

    /// Passes each charge of a document on, see [`write_charges`].
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn write(
        &self,
        of: &BillDocument<'_>,
        bills: &[BillContext<'_>],
        each: &mut dyn FnMut(usize, &Charge<'_>) -> Result<(), ChargesFileError>,
    ) -> Result<Written, WriteError> {
        match self.division(of) {
            Some((_, charges)) => write_divided(of.document, of.selection, bills, each, charges),
            None => write_charges(of.document, of.mapping, of.selection, bills, each),
        }
    }

    /// How a document is added up and written, if it has parts or lines that may divide.
    fn division<'d>(&'d self, of: &BillDocument<'d>) -> Option<(Division<'d>, Division<'d>)> {
        let format = of.mapping.splits()?;
        let divides = of.bills.iter().any(|bill| self.figures(*bill).is_some());
        if !divides && !self.with_parts.contains(of.document.key) {
            return None;
        }
        let with = |reading: &'static SplitReading| Division {
            reading,
            plan: &self.plan,
            selection: of.selection,
            bills: of.bills,
        };
        Some((with(&format.sums), with(&format.charges)))
    }

    fn find_parts(&mut self, of: &BillDocument<'_>, reading: &SplitReading) -> Result<(), ReadError> {
        let (places, seen) = (reading.places, Cell::new(false));
        let wants = |cells: &Cells<'_>| {
            let is_part = places.is_part(cells);
            seen.set(seen.get() || is_part);
            is_part
        };
        let read = of.scan(reading.mapping, &wants, &mut |row| {
            let Some(part) = places.part(&row.cells) else { return Ok(()) };
            let cost = |unused: u128| part.split.checked_add(unused).ok_or(MoneyError::Overflow);
            let cost = part.unused.map(cost).transpose()?;
            self.figures[row.bill].parts += 1;
            self.plan.part(row.bill, row.account, part.instance, part.start, cost)
        });
        if seen.get() {
            self.with_parts.insert(of.document.key.to_owned());
        }
        read
    }

    fn find_lines(&mut self, of: &BillDocument<'_>, reading: &SplitReading) -> Result<(), ReadError> {
        let (places, plan) = (reading.places, RefCell::new(&mut self.plan));
        let wants = |cells: &Cells<'_>| {
            places.instance_of_line(cells).is_some_and(|instance| plan.borrow().knows(instance))
        };
        of.scan(reading.mapping, &wants, &mut |row| {
            let mut plan = plan.borrow_mut();
            let Some((key, line)) = hour_of_line(&plan, &places, row)? else { return Ok(()) };
            plan.line(key, &line)
        })
    }

    fn give(&mut self, of: &BillDocument<'_>, reading: &SplitReading) -> Result<(), ReadError> {
        let places = reading.places;
        of.scan(reading.mapping, &|cells| places.is_part(cells), &mut |row| {
            let Some(part) = places.part(&row.cells) else { return Ok(()) };
            let key = self.plan.hour(row.bill, row.account, part.instance, part.start);
            let taken = key.map_or(Ok(None), |key| self.plan.give(key, part.split))?;
            self.figures[row.bill].add(taken)
        })
    }
}

/// One look at a document.
type Stage = fn(&mut Splits, &BillDocument<'_>, &SplitReading) -> Result<(), ReadError>;

/// The line that a row is, and the hour that it is of, if that has parts.
fn hour_of_line<'r>(
    plan: &Plan,
    places: &SplitPlaces,
    row: &BillRow<'r>,
) -> Result<Option<(Key, ReadLine<'r>)>, MoneyError> {
    let instance = places.instance_of_line(&row.cells);
    let key = instance.and_then(|id| plan.hour(row.bill, row.account, id, places.start(&row.cells)));
    let Some(key) = key else { return Ok(None) };
    Ok(places.line(row)?.map(|line| (key, line)))
}

/// What reads a document whose bills are not known yet: parts without a cost of their own are charges of nothing.
pub(super) fn with_parts<T>(
    document: &Document<'_>,
    mapping: &dyn Mapping,
    read: impl FnOnce(Option<Division<'_>>) -> T,
) -> T {
    let format = mapping.splits().filter(|format| has_any(document, format.parent));
    let (plan, selection) = (Plan::default(), Selection::nothing());
    let division = format.map(|format| Division {
        reading: &format.charges,
        plan: &plan,
        selection: &selection,
        bills: &[],
    });
    read(division)
}
