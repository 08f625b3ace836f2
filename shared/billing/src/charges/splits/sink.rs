//! Rows as both readings of a bill see them: parts have taken, lines have given.

use super::plan::{Key, Taken, Units, amount};
use super::{Division, hour_of_line};
use crate::charges::batch::{Batch, Dictionary, PlainTexts, ReadError, Sink};
use crate::charges::dialect::Dialect;
use crate::charges::scan::{Cells, Finder};
use crate::money::{Amount, MoneyError};

/// Stands before whoever adds up or writes rows.
pub(in crate::charges) struct Divided<'s> {
    /// Nothing where no row of the document divides: batches go through as they are.
    division: Option<(Division<'s>, Finder<'s>)>,
    next: &'s mut dyn Sink,
    failed: Option<MoneyError>,
}

/// What becomes of a row.
struct Change {
    row: usize,
    is_part: bool,
    /// A part that takes from lines.
    takes: bool,
    moved: Taken,
    /// The hour of a part's line.
    hour: Option<Key>,
}

impl<'s> Divided<'s> {
    pub(in crate::charges) fn new(division: Option<Division<'s>>, next: &'s mut dyn Sink) -> Self {
        let with_finder = |division: Division<'s>| {
            let finder = Finder::new(division.reading.mapping, division.selection, division.bills);
            (division, finder)
        };
        Self { division: division.map(with_finder), next, failed: None }
    }
}

impl Division<'_> {
    fn change(
        &self,
        finder: &mut Finder<'_>,
        batch: &Batch,
        dictionaries: &[Dictionary],
        row: usize,
    ) -> Result<Option<Change>, MoneyError> {
        let (places, cells) = (&self.reading.places, Cells { batch, row });
        if let Some(part) = places.part(&cells) {
            let found = finder.find(cells, dictionaries);
            let hour = found.and_then(|of| self.plan.hour(of.bill, of.account, part.instance, part.start));
            let taken = hour.map_or(Ok(None), |hour| self.plan.taken(hour, part.split))?;
            let takes = taken.is_some();
            let moved = taken.unwrap_or(Taken { costs: Units::default(), states_effective: true });
            return Ok(Some(Change { row, is_part: true, takes, moved, hour }));
        }
        if !places.instance_of_line(&cells).is_some_and(|instance| self.plan.knows(instance)) {
            return Ok(None);
        }
        let Some(found) = finder.find(cells, dictionaries) else { return Ok(None) };
        let Some((hour, line)) = hour_of_line(self.plan, places, &found)? else { return Ok(None) };
        let given = self.plan.given(hour, line.rank, line.costs);
        let change = |given: Units| {
            let moved = Taken { costs: given.map(std::ops::Neg::neg), states_effective: true };
            Change { row, is_part: false, takes: false, moved, hour: None }
        };
        Ok(given.map(change))
    }

    fn apply(&self, batch: &mut Batch, changes: &[Change]) -> Result<(), MoneyError> {
        let (rows, columns) = (batch.rows, self.reading.mapping.columns());
        let moved = self.reading.places.moved;
        for column in moved {
            batch.amounts[column].clear();
            batch.amounts[column].resize(rows, None);
        }
        let [_, effective, _] = moved;
        // what stays is stated, see the classes of the reading
        batch.amounts[effective].fill(Some(Amount::ZERO));
        for change in changes {
            for (column, units) in moved.into_iter().zip(change.moved.costs) {
                let states = column != effective || change.moved.states_effective;
                batch.amounts[column][change.row] = if states { Some(amount(units)?) } else { None };
            }
            let required = columns.required_amounts.iter().filter(|_| change.is_part);
            // one that takes its share need not state more of it
            let amortised = columns.amortised.iter().filter(|_| change.takes);
            for column in required.chain(amortised) {
                if let Some(cell) = batch.amounts[*column].get_mut(change.row) {
                    cell.get_or_insert(Amount::ZERO);
                }
            }
        }
        if let Some(columns) = self.reading.places.line_commitments {
            for (at, column) in columns.into_iter().enumerate() {
                batch.texts[column] = self.commitments(at, rows, changes);
            }
        }
        Ok(())
    }

    /// The commitments of parts' lines, of those that stand in one of the columns.
    fn commitments(&self, at: usize, rows: usize, changes: &[Change]) -> PlainTexts {
        let mut texts = PlainTexts::default();
        let mut changes = changes.iter().peekable();
        for row in 0..rows {
            let hour = changes.next_if(|change| change.row == row).and_then(|change| change.hour);
            let commitment = hour.and_then(|hour| self.plan.commitment(hour));
            texts.push(commitment.filter(|(_, column)| *column == at).map(|(id, _)| id));
        }
        texts
    }
}

impl Sink for Divided<'_> {
    fn begin(&mut self, dialect: &Dialect, header: &[String]) {
        self.next.begin(dialect, header);
    }

    fn prepare(&mut self, batch: &mut Batch, dictionaries: &[Dictionary]) {
        let Some((division, finder)) = &mut self.division else { return };
        let changes: Result<Vec<Change>, MoneyError> = (0..batch.rows)
            .filter_map(|row| division.change(finder, batch, dictionaries, row).transpose())
            .collect();
        finder.end_batch();
        if let Err(error) = changes.and_then(|changes| division.apply(batch, &changes)) {
            self.failed = Some(error);
        }
    }

    fn batch(&mut self, batch: &Batch, dictionaries: &[Dictionary]) -> Result<(), ReadError> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        self.next.batch(batch, dictionaries)
    }

    fn forget(&mut self) {
        if let Some((_, finder)) = &mut self.division {
            finder.forget();
        }
        self.next.forget();
    }
}
