//! A look at all documents of some bills before they are added up: for what only several rows together say.

use super::batch::{Batch, Dictionary, ReadError, Sink};
use super::classes::Classes;
use super::mapping::{Class, Mapping};
use super::read::Document;
use super::selection::{Selection, Whose};
use crate::money::{Amount, MoneyError};

/// A document with the bills that its rows are of.
#[derive(Clone, Copy)]
pub struct BillDocument<'d> {
    /// The document.
    pub document: &'d Document<'d>,
    /// How it is read.
    pub mapping: &'d dyn Mapping,
    /// Which of its rows are of which bill.
    pub selection: &'d Selection,
    /// The bills, in the order of the selection, each by its place among all that are judged together.
    pub bills: &'d [usize],
}

impl BillDocument<'_> {
    /// Hands each row on that is of one of the bills and that `wants` takes by its texts. `mapping` tells classes as the document's
    /// own does, and may read fewer columns.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(super) fn scan(
        &self,
        mapping: &dyn Mapping,
        wants: &dyn Fn(&Cells<'_>) -> bool,
        each: &mut dyn FnMut(&BillRow<'_>) -> Result<(), MoneyError>,
    ) -> Result<(), ReadError> {
        let finder = Finder::new(mapping, self.selection, self.bills);
        self.document.read(mapping, true, &mut Scan { finder, wants, each })
    }
}

/// The cells of a row that differ from row to row.
#[derive(Clone, Copy)]
pub(super) struct Cells<'r> {
    pub(super) batch: &'r Batch,
    pub(super) row: usize,
}

impl<'r> Cells<'r> {
    /// One of [`super::Columns::texts`].
    pub(super) fn text(&self, column: usize) -> Option<&'r str> {
        self.batch.texts.get(column)?.text(self.row)
    }

    /// One of [`super::Columns::amounts`].
    pub(super) fn amount(&self, column: usize) -> Option<Amount> {
        self.batch.amounts.get(column)?.get(self.row).copied().flatten()
    }

    /// One of [`super::Columns::numbers`].
    pub(super) fn number(&self, column: usize) -> Option<Amount> {
        self.batch.numbers.get(column)?.get(self.row).copied().flatten()
    }
}

/// A row of a bill.
pub(super) struct BillRow<'r> {
    /// The bill, by its place among all.
    pub(super) bill: usize,
    /// The same by its place in the selection.
    pub(super) selected: usize,
    /// What rows of its kind have in common.
    pub(super) class: &'r Class,
    /// Its sub account.
    pub(super) account: Option<&'r str>,
    /// Its service.
    pub(super) service: &'r str,
    pub(super) cells: Cells<'r>,
}

/// Finds out which bill a row is of.
pub(super) struct Finder<'f> {
    mapping: &'f dyn Mapping,
    selection: &'f Selection,
    bills: &'f [usize],
    classes: Classes,
    codes: Vec<u32>,
}

impl<'f> Finder<'f> {
    pub(super) fn new(mapping: &'f dyn Mapping, selection: &'f Selection, bills: &'f [usize]) -> Self {
        let classes = Classes::new(mapping, selection);
        Self { mapping, selection, bills, classes, codes: vec![0; mapping.columns().class.len()] }
    }

    /// The row, if it is a charge of one of the bills.
    pub(super) fn find<'r>(
        &'r mut self,
        cells: Cells<'r>,
        dictionaries: &[Dictionary],
    ) -> Option<BillRow<'r>> {
        for &column in &cells.batch.bound {
            self.codes[column] = cells.batch.class[column][cells.row];
        }
        // rows that cannot be told are held when they are added up
        let found =
            self.classes.find(self.mapping, self.selection, cells.batch, dictionaries, &self.codes).ok()?;
        let classes = &self.classes.kinds[found.kind].classes;
        let (class, selected) = classes.iter().find_map(|(class, whose)| match whose {
            Whose::Ours(selected) => Some((class, *selected)),
            Whose::Compared(_) | Whose::Other => None,
        })?;
        let parts = &self.classes.bills[found.bill];
        Some(BillRow {
            bill: *self.bills.get(selected)?,
            selected,
            class,
            account: parts.accounts[found.account].id.as_deref(),
            service: &parts.services[found.service].1,
            cells,
        })
    }

    /// Codes mean nothing any more.
    pub(super) fn forget(&mut self) {
        self.classes = Classes::new(self.mapping, self.selection);
    }

    /// Tables of one archive may have other columns each; and what is remembered is given up if it is much.
    pub(super) fn end_batch(&mut self) {
        self.codes.fill(0);
        if self.classes.is_full() {
            self.forget();
        }
    }
}

struct Scan<'s> {
    finder: Finder<'s>,
    wants: &'s dyn Fn(&Cells<'_>) -> bool,
    each: &'s mut dyn FnMut(&BillRow<'_>) -> Result<(), MoneyError>,
}

impl Sink for Scan<'_> {
    fn batch(&mut self, batch: &Batch, dictionaries: &[Dictionary]) -> Result<(), ReadError> {
        for row in 0..batch.rows {
            let cells = Cells { batch, row };
            if !(self.wants)(&cells) {
                continue;
            }
            if let Some(row) = self.finder.find(cells, dictionaries) {
                (self.each)(&row)?;
            }
        }
        self.finder.end_batch();
        Ok(())
    }

    fn forget(&mut self) {
        self.finder.forget();
    }
}
