//! Adds up documents.

use std::collections::{BTreeMap, HashSet};

use chrono::NaiveDate;
use foldhash::fast::RandomState;

use super::batch::{Batch, ClassTexts, Dictionary, ReadError, Sink};
use super::classes::{Classes, Found};
use super::dialect::Dialect;
use super::mapping::{Class, Mapping, Row};
use super::selection::{OtherBill, Selection, Whose};
use super::totals::{Figures, Totals, effective, missing_amount, value};
use super::write::{BillContext, charge};
use crate::charge::Period;
use crate::money::{Amount, MoneyError};
use crate::month::BillingMonth;

/// What the rows of each place in [`Classes`] came to so far.
#[derive(Default)]
struct Sums {
    kinds: Vec<Vec<Figures>>,
    bills: Vec<OfBill>,
}

/// The same of the parts of a bill.
#[derive(Clone, Default)]
struct OfBill {
    accounts: Vec<Figures>,
    services: Vec<Figures>,
    tags: Vec<Figures>,
}

impl Sums {
    /// As many as there are places.
    fn grow(&mut self, classes: &Classes, bill: usize) {
        for kind in classes.kinds.iter().skip(self.kinds.len()) {
            self.kinds.push(vec![Figures::default(); kind.classes.len()]);
        }
        self.bills.resize(classes.bills.len(), OfBill::default());
        let (parts, sums) = (&classes.bills[bill], &mut self.bills[bill]);
        sums.accounts.resize(parts.accounts.len(), Figures::default());
        sums.services.resize(parts.services.len(), Figures::default());
        sums.tags.resize(parts.tags.len(), Figures::default());
    }

    fn has(&self, found: Found) -> bool {
        found.kind < self.kinds.len()
            && self.bills.get(found.bill).is_some_and(|sums| {
                found.account < sums.accounts.len()
                    && found.service < sums.services.len()
                    && found.tags < sums.tags.len()
            })
    }
}

/// Adds up documents.
pub(super) struct Adder<'m> {
    mapping: &'m dyn Mapping,
    /// See [`Columns::moved`](super::mapping::Columns::moved).
    moved: &'static [usize],
    selection: &'m Selection,
    document: &'m str,
    classes: Classes,
    sums: Sums,
    /// Of each bill of the selection; the last has what is of none of them.
    totals: Vec<Totals>,
    header: Vec<String>,
    overflow: Option<MoneyError>,
    /// Whether rows whose details cannot be read are named, too, and the days of rows of other bills looked at.
    details: bool,
    /// Days that were added, by the places of what they are of: most rows have one of those.
    seen: HashSet<(usize, usize, usize, usize, NaiveDate), RandomState>,
}

impl<'m> Adder<'m> {
    pub(super) fn new(
        mapping: &'m dyn Mapping,
        selection: &'m Selection,
        document: &'m str,
        details: bool,
    ) -> Self {
        Self {
            mapping,
            moved: mapping.columns().moved,
            selection,
            document,
            classes: Classes::new(mapping, selection),
            sums: Sums::default(),
            totals: (0..=selection.bills()).map(|bill| Totals::of(selection.rule(bill))).collect(),
            header: Vec::new(),
            overflow: None,
            details,
            seen: HashSet::default(),
        }
    }

    /// The sums of each bill, and last what is of none of them.
    pub(super) fn finish(mut self) -> Result<Vec<Totals>, MoneyError> {
        self.forget();
        self.overflow.map_or(Ok(self.totals), Err)
    }

    fn common(&mut self) -> &mut Totals {
        let last = self.totals.len() - 1;
        &mut self.totals[last]
    }

    /// Adds one row.
    fn row(&mut self, found: Found, amount: &impl Fn(usize) -> Option<Amount>) -> Result<(), MoneyError> {
        if !self.sums.has(found) {
            self.sums.grow(&self.classes, found.bill);
        }
        let classes = self.classes.kinds[found.kind].classes.iter().zip(&mut self.sums.kinds[found.kind]);
        for ((class, whose), sum) in classes {
            let (billed, effective) = (value(&class.billed, amount)?, effective(&class.effective, amount)?);
            if class.skip_zero && billed.is_zero() && effective.is_none_or(Amount::is_zero) {
                continue;
            }
            let is_fine = billed.is_fine() || effective.is_some_and(Amount::is_fine);
            self.totals[found.bill].fine_rows += u64::from(is_fine);
            let figures = Figures::of(billed, effective, 1);
            sum.add(&if self.moved.is_empty() {
                figures
            } else {
                unmoved(class, figures, self.moved, amount)?
            })?;
            if matches!(whose, Whose::Ours(_)) {
                let sums = &mut self.sums.bills[found.bill];
                sums.accounts[found.account].add(&figures)?;
                sums.services[found.service].add(&figures)?;
                sums.tags[found.tags].add(&figures)?;
            }
        }
        Ok(())
    }

    /// Whether the charges of a row can be written; of those of other bills, the day.
    fn complete(&mut self, found: Found, row: &Row<'_>) -> Result<(), String> {
        let (month, names) = (BillingMonth::default(), BTreeMap::new());
        let period = Period { start: month.start(), end: month.end() };
        let bill = BillContext { billing_account: "", period, sub_account_names: &names };
        let amount = |column: usize| row.amounts.get(column).copied().flatten();
        for (at, (class, whose)) in self.classes.kinds[found.kind].classes.iter().enumerate() {
            let Some((charge, _)) = charge(class, &bill, &amount).map_err(|error| error.to_string())? else {
                continue;
            };
            let charge = self.mapping.complete(charge, class, row)?;
            let date = charge.charge_period.start.date_naive();
            if matches!(whose, Whose::Other)
                && self.seen.insert((found.kind, at, found.bill, found.account, date))
            {
                let other = OtherBill::of(class);
                let account = &self.classes.bills[found.bill].accounts[found.account];
                let day = (account.id.clone(), date);
                let last = self.totals.len() - 1;
                let days = &mut self.totals[last].days;
                match days.get_mut(&other) {
                    Some(days) => drop(days.insert(day)),
                    None => drop(days.insert(other, [day].into())),
                }
            }
        }
        Ok(())
    }

    fn add_up(&mut self) -> Result<(), MoneyError> {
        let classes = std::mem::replace(&mut self.classes, Classes::new(self.mapping, self.selection));
        let sums = std::mem::take(&mut self.sums);
        let kinds = classes.kinds.iter().flat_map(|kind| &kind.classes);
        // what has no charges was never added: a place of another bill, or of amounts that are nothing
        for ((class, whose), figures) in kinds.zip(sums.kinds.iter().flatten()) {
            match *whose {
                _ if figures.charges == 0 => {}
                Whose::Ours(bill) => self.totals[bill].add_kind(class, figures)?,
                Whose::Compared(bill) => self.totals[bill].compared_twins.add(figures)?,
                Whose::Other => {
                    self.common().elsewhere.entry(OtherBill::of(class)).or_default().add(figures)?;
                }
            }
        }
        let counts = |figures: &&Figures| figures.charges > 0;
        for ((parts, sums), totals) in classes.bills.iter().zip(&sums.bills).zip(&mut self.totals) {
            for (account, figures) in parts.accounts.iter().zip(&sums.accounts).filter(|(_, f)| counts(f)) {
                totals.add_account(account.id.as_ref(), account.name.as_ref(), figures)?;
            }
            for ((category, name), figures) in
                parts.services.iter().zip(&sums.services).filter(|(_, f)| counts(f))
            {
                totals.add_service(category, name, figures)?;
            }
            for (tags, figures) in parts.tags.iter().zip(&sums.tags).filter(|(_, f)| counts(f)) {
                totals.add_tags(tags, figures)?;
            }
        }
        Ok(())
    }
}

/// The figures of a charge before anything moved; it states an effective cost where it does after.
fn unmoved(
    class: &Class,
    figures: Figures,
    moved: &[usize],
    amount: impl Fn(usize) -> Option<Amount>,
) -> Result<Figures, MoneyError> {
    let amount = |column: usize| match moved.contains(&column) {
        true => Some(Amount::ZERO),
        false => amount(column),
    };
    let effective = figures.effective().map(|_| effective(&class.effective, amount)).transpose()?.flatten();
    Ok(Figures::of(value(&class.billed, amount)?, effective, figures.charges))
}

impl Sink for Adder<'_> {
    fn begin(&mut self, dialect: &Dialect, header: &[String]) {
        self.header = header.to_vec();
        self.common().dialects.insert(dialect.clone());
    }

    fn batch(&mut self, batch: &Batch, dictionaries: &[Dictionary]) -> Result<(), ReadError> {
        let mut problems = batch.problems.iter().peekable();
        let mut codes = vec![0; batch.class.len()];
        let (mut amounts, mut numbers) = (Vec::new(), Vec::new());
        let columns = self.mapping.columns();
        let common = self.common();
        common.rows += batch.rows as u64;
        common.is_amortised_missing |= !columns.has_amortised(&batch.has_amounts);
        for (column, rows) in self.header.iter().zip(&batch.chosen).filter(|(_, rows)| **rows > 0) {
            let last = self.totals.len() - 1;
            *self.totals[last].columns_chosen.entry(column.clone()).or_default() += rows;
        }
        for row in 0..batch.rows {
            let number = batch.first + row as u64;
            if problems.peek().is_some_and(|problem| problem.row == row) {
                let mut whys = Vec::new();
                while let Some(problem) = problems.next_if(|problem| problem.row == row) {
                    whys.push(problem.why.clone());
                }
                let document = self.document;
                self.common().hold(document, number, whys.join("; "));
                continue;
            }
            for &column in &batch.bound {
                codes[column] = batch.class[column][row];
            }
            let amount = |column: usize| batch.amounts.get(column)?.get(row).copied().flatten();
            let found = self.classes.find(self.mapping, self.selection, batch, dictionaries, &codes);
            let found = found.and_then(|found| missing_amount(columns, amount).map_or(Ok(found), Err));
            let found = found.and_then(|found| {
                if self.details {
                    Batch::row_numbers(&batch.amounts, row, &mut amounts);
                    Batch::row_numbers(&batch.numbers, row, &mut numbers);
                    let class = &ClassTexts { dictionaries, codes: &codes };
                    let texts = &batch.row_texts(row);
                    self.complete(found, &Row { class, texts, amounts: &amounts, numbers: &numbers })?;
                }
                Ok(found)
            });
            match found {
                Err(why) => {
                    let document = self.document;
                    self.common().hold(document, number, why);
                }
                Ok(found) => {
                    if let Err(error) = self.row(found, &amount) {
                        self.overflow = Some(error);
                    }
                }
            }
        }
        if self.classes.is_full() {
            self.forget();
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.seen.clear();
        if let Err(error) = self.add_up() {
            self.overflow = Some(error);
        }
    }
}
