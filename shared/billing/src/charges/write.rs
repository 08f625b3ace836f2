//! The charges of a bill, row by row.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::batch::{Batch, ClassTexts, Dictionary, ReadError, Sink};
use super::classes::{Classes, Found};
use super::mapping::{Class, Mapping, Row};
use super::read::Document;
use super::selection::{Selection, Whose};
use super::splits::{Divided, Division};
use super::totals::{Figures, HeldRow, NAMED, effective, missing_amount, value};
use crate::charge::{Charge, ChargesFileError, Further, Period};
use crate::money::{Amount, MoneyError};

/// What the charges of a bill have in common.
#[derive(Clone, Debug)]
pub struct BillContext<'b> {
    /// Who is billed, where rows do not say so.
    pub billing_account: &'b str,
    /// The bill's month, where rows do not say so.
    pub period: Period,
    /// Names of sub accounts that rows do not have.
    pub sub_account_names: &'b BTreeMap<String, String>,
}

/// What was written of a document.
#[derive(Debug, Default)]
pub struct Written {
    /// Of each bill of the selection.
    pub bills: Vec<WrittenBill>,
    /// The first rows whose details cannot be read.
    pub held: Vec<HeldRow>,
    /// How many there are.
    pub held_rows: u64,
}

/// What was written of a bill.
#[derive(Clone, Debug, Default)]
pub struct WrittenBill {
    /// The charges written; they must equal what the document was added up to.
    pub figures: Figures,
    /// Quantities and unit prices of the charges that cannot be read: the charges are written without them.
    pub quantities_not_stated: u64,
}

/// Why charges could not be written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum WriteError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    File(#[from] ChargesFileError),
}

/// Passes each charge of a document to `each`, in the order of its rows, with the place of its bill in the selection; `bills` are in
/// the same order.
///
/// # Errors
/// [`WriteError`], those of `each` among them.
pub fn write_charges(
    document: &Document<'_>,
    mapping: &dyn Mapping,
    selection: &Selection,
    bills: &[BillContext<'_>],
    each: &mut dyn FnMut(usize, &Charge<'_>) -> Result<(), ChargesFileError>,
) -> Result<Written, WriteError> {
    write(document, mapping, selection, bills, each, None)
}

/// The same where lines of the document divide.
pub(super) fn write_divided(
    document: &Document<'_>,
    selection: &Selection,
    bills: &[BillContext<'_>],
    each: &mut dyn FnMut(usize, &Charge<'_>) -> Result<(), ChargesFileError>,
    division: Division<'_>,
) -> Result<Written, WriteError> {
    write(document, division.reading.mapping, selection, bills, each, Some(division))
}

fn write(
    document: &Document<'_>,
    mapping: &dyn Mapping,
    selection: &Selection,
    bills: &[BillContext<'_>],
    each: &mut dyn FnMut(usize, &Charge<'_>) -> Result<(), ChargesFileError>,
    division: Option<Division<'_>>,
) -> Result<Written, WriteError> {
    let mut writer = Writer {
        mapping,
        selection,
        bills,
        document: document.name(),
        each,
        classes: Classes::new(mapping, selection),
        written: Written { bills: vec![WrittenBill::default(); bills.len()], ..Written::default() },
        failed: None,
    };
    let read = document.read(mapping, true, &mut Divided::new(division, &mut writer));
    if let Some(error) = writer.failed {
        return Err(error.into());
    }
    read?;
    Ok(writer.written)
}

struct Writer<'w> {
    mapping: &'w dyn Mapping,
    selection: &'w Selection,
    bills: &'w [BillContext<'w>],
    document: &'w str,
    each: &'w mut dyn FnMut(usize, &Charge<'_>) -> Result<(), ChargesFileError>,
    classes: Classes,
    written: Written,
    failed: Option<ChargesFileError>,
}

impl Writer<'_> {
    fn hold(&mut self, row: u64, why: String) {
        self.written.held_rows += 1;
        if self.written.held.len() < NAMED {
            self.written.held.push(HeldRow { document: self.document.to_owned(), row, why });
        }
    }

    /// The charges of one row.
    fn row(
        &mut self,
        row: &Row<'_>,
        number: u64,
        found: Found,
    ) -> Result<Result<(), String>, ChargesFileError> {
        let amount = |column: usize| row.amounts.get(column).copied().flatten();
        if let Some(why) = missing_amount(self.mapping.columns(), amount) {
            return Ok(Err(why));
        }
        let parts = &self.classes.bills[found.bill];
        let (account, tags) = (&parts.accounts[found.account], &parts.tags[found.tags]);
        let (service_category, service_name) = &parts.services[found.service];
        for (class, whose) in &self.classes.kinds[found.kind].classes {
            let (Whose::Ours(at), Some(bill)) = (*whose, self.bills.get(found.bill)) else { continue };
            let (charge, figures) = match charge(class, bill, &amount) {
                Ok(Some(charge)) => charge,
                Ok(None) => continue,
                Err(error) => return Ok(Err(error.to_string())),
            };
            let known_name = || bill.sub_account_names.get(account.id.as_deref()?).map(String::as_str);
            let charge = Charge {
                sub_account_id: account.id.as_deref().map(Cow::Borrowed),
                sub_account_name: account.name.as_deref().or_else(known_name).map(Cow::Borrowed),
                service_category,
                service_name: Cow::Borrowed(service_name),
                tags: tags.json.as_deref().map(Cow::Borrowed),
                unread_tags: tags.unread.as_deref().map(Cow::Borrowed),
                further: Further {
                    allocated_tags: tags.allocated.as_deref().map(Cow::Borrowed),
                    ..Further::default()
                },
                x_document: Some(Cow::Borrowed(self.document)),
                x_line_number: usize::try_from(number).ok(),
                ..charge
            };
            let charge = match self.mapping.complete(charge, class, row) {
                Ok(charge) => charge,
                Err(why) => return Ok(Err(why)),
            };
            (self.each)(at, &charge)?;
            if let Err(error) = self.written.bills[at].figures.add(&figures) {
                return Ok(Err(error.to_string()));
            }
        }
        Ok(Ok(()))
    }
}

impl Sink for Writer<'_> {
    fn batch(&mut self, batch: &Batch, dictionaries: &[Dictionary]) -> Result<(), ReadError> {
        let (mut amounts, mut numbers) = (Vec::new(), Vec::new());
        let mut codes = vec![0; batch.class.len()];
        let mut problems = batch.problems.iter().peekable();
        let mut unread = batch.unread.iter().peekable();
        for row in 0..batch.rows {
            let number = batch.first + row as u64;
            let mut not_stated = 0;
            while unread.next_if(|unread| **unread == row).is_some() {
                not_stated += 1;
            }
            let mut problem = None;
            while let Some(next) = problems.next_if(|problem| problem.row == row) {
                problem = Some(next.why.clone());
            }
            if let Some(why) = problem {
                self.hold(number, why);
                continue;
            }
            for &column in &batch.bound {
                codes[column] = batch.class[column][row];
            }
            let found = match self.classes.find(self.mapping, self.selection, batch, dictionaries, &codes) {
                Ok(found) => found,
                Err(why) => {
                    self.hold(number, why);
                    continue;
                }
            };
            Batch::row_numbers(&batch.amounts, row, &mut amounts);
            Batch::row_numbers(&batch.numbers, row, &mut numbers);
            let read = Row {
                class: &ClassTexts { dictionaries, codes: &codes },
                texts: &batch.row_texts(row),
                amounts: &amounts,
                numbers: &numbers,
            };
            let charges = |written: &Written| written.bills.get(found.bill).map(|bill| bill.figures.charges);
            let before = charges(&self.written);
            match self.row(&read, number, found) {
                Ok(Ok(())) => {
                    let is_ours = charges(&self.written) > before;
                    if let Some(bill) = self.written.bills.get_mut(found.bill).filter(|_| is_ours) {
                        bill.quantities_not_stated += not_stated;
                    }
                }
                Ok(Err(why)) => self.hold(number, why),
                Err(error) => {
                    self.failed = Some(error);
                    // ends the reading; the caller sees what failed
                    return Err(ReadError::Broken {
                        after: number,
                        why: "its charges cannot be written".into(),
                    });
                }
            }
        }
        if self.classes.is_full() {
            self.forget();
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.classes = Classes::new(self.mapping, self.selection);
    }
}

/// A charge as its kind has it, with its costs; nothing if rows like this are none.
pub(super) fn charge<'r>(
    class: &'r Class,
    bill: &'r BillContext<'_>,
    amount: &impl Fn(usize) -> Option<Amount>,
) -> Result<Option<(Charge<'r>, Figures)>, MoneyError> {
    let (billed, effective) = (value(&class.billed, amount)?, effective(&class.effective, amount)?);
    if class.skip_zero && billed.is_zero() && effective.is_none_or(Amount::is_zero) {
        return Ok(None);
    }
    let billed_cost = billed.to_decimal(18)?;
    let effective_cost = effective.map(|cost| cost.to_decimal(18)).transpose()?;
    let period = class.billing_period.unwrap_or(bill.period);
    let borrowed = |text: &'r Option<String>| text.as_deref().map(Cow::Borrowed);
    let account = class.billing_account_id.as_deref().unwrap_or(bill.billing_account);
    let charge = Charge {
        effective_cost,
        billing_account_name: borrowed(&class.billing_account_name),
        charge_category: class.category,
        correction: class.correction,
        charge_frequency: class.frequency,
        invoice_id: borrowed(&class.invoice_id),
        invoice_issuer_name: Cow::Borrowed(&class.invoice_issuer_name),
        publisher_name: Cow::Borrowed(&class.publisher_name),
        ..Charge::new(
            billed_cost,
            class.currency,
            Cow::Borrowed(account),
            period,
            Cow::Borrowed(&class.provider_name),
        )
    };
    Ok(Some((charge, Figures::of(billed, effective, 1))))
}
