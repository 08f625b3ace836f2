//! A bill added up: by account, by service, by tag, by invoice. Memory grows with what is distinct, not with the rows.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Amount;
use super::batch::{Batch, ClassTexts, Dictionary, ReadError, Sink};
use super::mapping::{Class, Mapping, Sign, Terms};
use crate::money::MoneyError;
use crate::month::BillingMonth;

/// Distinct classes that are remembered before they are added to the totals.
pub(super) const CLASSES: usize = 100_000;
/// Bad rows that are named; more are counted.
const NAMED: usize = 20;

/// What charges come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Sum of `BilledCost`.
    pub billed: Amount,
    /// Sum of `EffectiveCost`.
    pub effective: Amount,
    /// How many charges.
    pub charges: u64,
}

impl Figures {
    /// Whether all three are the same.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn equals(&self, other: &Self) -> Result<bool, MoneyError> {
        let same = |a: Amount, b: Amount| Ok::<_, MoneyError>(a.checked_add(-b)?.is_zero());
        Ok(self.charges == other.charges
            && same(self.billed, other.billed)?
            && same(self.effective, other.effective)?)
    }

    /// Adds others.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn add(&mut self, other: &Self) -> Result<(), MoneyError> {
        self.billed = self.billed.checked_add(other.billed)?;
        self.effective = self.effective.checked_add(other.effective)?;
        self.charges += other.charges;
        Ok(())
    }
}

/// A row that cannot be a charge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldRow {
    /// The document.
    pub document: String,
    /// Its row, from 1; a header does not count.
    pub row: u64,
    /// What is wrong with it.
    pub why: String,
}

impl std::fmt::Display for HeldRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} row {}: {}", self.document, self.row, self.why)
    }
}

/// Which rows of a document are of a bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The billing account, where documents may hold several.
    pub billing_account: Option<String>,
    /// The month; rows that do not name theirs are of the bill.
    pub month: BillingMonth,
}

/// A bill that rows belong to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OtherBill {
    /// FOCUS `ProviderName`.
    pub provider_name: String,
    /// Its billing account.
    pub billing_account: Option<String>,
    /// Its month.
    pub month: Option<BillingMonth>,
    /// ISO 4217 code.
    pub currency: &'static str,
}

/// The sums of a bill. All but [`Totals::elsewhere`] are of the rows selected.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Rows read, of whatever bill.
    pub rows: u64,
    /// Amounts with more than 18 decimals: charges files round those.
    pub fine_rows: u64,
    /// All.
    pub all: Figures,
    /// By currency: a bill has one.
    pub currencies: HashMap<&'static str, Figures>,
    /// By sub account: its name and its figures.
    pub sub_accounts: HashMap<Option<String>, (Option<String>, Figures)>,
    /// By service category and service.
    pub services: HashMap<(&'static str, String), Figures>,
    /// By tag key and value.
    pub tags: HashMap<String, HashMap<String, Figures>>,
    /// By the provider's invoice.
    pub invoices: HashMap<Option<String>, Figures>,
    /// By FOCUS `ChargeCategory`.
    pub categories: HashMap<&'static str, Figures>,
    /// Rows of other bills.
    pub elsewhere: HashMap<OtherBill, Figures>,
    /// The first rows that cannot be charges.
    pub held: Vec<HeldRow>,
    /// How many there are.
    pub held_rows: u64,
}

impl Totals {
    fn hold(&mut self, document: &str, row: u64, why: String) {
        self.held_rows += 1;
        self.name(HeldRow { document: document.to_owned(), row, why });
    }

    /// Of several threads the first rows are named, whichever came first.
    fn name(&mut self, row: HeldRow) {
        if self.held.len() < NAMED || self.held.last().is_some_and(|last| row < *last) {
            let at = self.held.partition_point(|other| *other < row);
            self.held.insert(at, row);
            self.held.truncate(NAMED);
        }
    }

    /// Adds charges of a class.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn add(&mut self, class: &Class, figures: &Figures) -> Result<(), MoneyError> {
        self.all.add(figures)?;
        self.currencies.entry(class.currency.code()).or_default().add(figures)?;
        let (name, account) = self.sub_accounts.entry(class.sub_account_id.clone()).or_default();
        // names may change within a month: the choice must not depend on the order of rows
        *name = name.take().max(class.sub_account_name.clone());
        account.add(figures)?;
        let service = (class.service_category, class.service_name.clone());
        self.services.entry(service).or_default().add(figures)?;
        for (key, value) in &class.tags {
            let values = match self.tags.get_mut(key) {
                Some(values) => values,
                None => self.tags.entry(key.clone()).or_default(),
            };
            match values.get_mut(value) {
                Some(known) => known.add(figures)?,
                None => values.entry(value.clone()).or_default().add(figures)?,
            }
        }
        self.invoices.entry(class.invoice_id.clone()).or_default().add(figures)?;
        self.categories.entry(class.category.as_str()).or_default().add(figures)
    }

    /// Both together.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn merge(&mut self, other: Self) -> Result<(), MoneyError> {
        self.rows += other.rows;
        self.fine_rows += other.fine_rows;
        self.held_rows += other.held_rows;
        other.held.into_iter().for_each(|row| self.name(row));
        self.all.add(&other.all)?;
        merge(&mut self.currencies, other.currencies)?;
        for (id, (name, figures)) in other.sub_accounts {
            let (standing, account) = self.sub_accounts.entry(id).or_default();
            *standing = standing.take().max(name);
            account.add(&figures)?;
        }
        merge(&mut self.services, other.services)?;
        for (key, values) in other.tags {
            merge(self.tags.entry(key).or_default(), values)?;
        }
        merge(&mut self.invoices, other.invoices)?;
        merge(&mut self.categories, other.categories)?;
        merge(&mut self.elsewhere, other.elsewhere)
    }
}

fn merge<K: std::hash::Hash + Eq>(
    into: &mut HashMap<K, Figures>,
    from: HashMap<K, Figures>,
) -> Result<(), MoneyError> {
    from.into_iter().try_for_each(|(key, figures)| into.entry(key).or_default().add(&figures))
}

/// Whose rows of a class are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Ours,
    Other(OtherBill),
}

impl Selection {
    pub(super) fn whose(&self, class: &Class) -> Whose {
        let month = class.billing_period.map(|period| BillingMonth::containing(period.start));
        let account = class.billing_account_id.as_deref();
        let ours = month.is_none_or(|month| month == self.month)
            && self.billing_account.as_deref().is_none_or(|selected| account == Some(selected));
        if ours {
            return Whose::Ours;
        }
        Whose::Other(OtherBill {
            provider_name: class.provider_name.clone(),
            billing_account: class.billing_account_id.clone(),
            month,
            currency: class.currency.code(),
        })
    }
}

/// The classes of rows with the same texts, and what those rows came to so far.
struct Known {
    classes: Result<Vec<(Class, Whose, Figures)>, String>,
}

/// Adds up documents.
pub(super) struct Adder<'m> {
    mapping: &'m dyn Mapping,
    selection: &'m Selection,
    document: &'m str,
    known: HashMap<Box<[u32]>, usize, RandomState>,
    classes: Vec<Known>,
    totals: Totals,
    overflow: Option<MoneyError>,
}

impl<'m> Adder<'m> {
    pub(super) fn new(mapping: &'m dyn Mapping, selection: &'m Selection, document: &'m str) -> Self {
        Self {
            mapping,
            selection,
            document,
            known: HashMap::default(),
            classes: Vec::new(),
            totals: Totals::default(),
            overflow: None,
        }
    }

    pub(super) fn finish(mut self) -> Result<Totals, MoneyError> {
        self.forget();
        self.overflow.map_or(Ok(self.totals), Err)
    }

    fn class_of(&mut self, codes: &[u32], dictionaries: &[Dictionary]) -> usize {
        if let Some(&known) = self.known.get(codes) {
            return known;
        }
        let classes = self.mapping.classes(&ClassTexts { dictionaries, codes });
        let with_figures = |class: Class| {
            let whose = self.selection.whose(&class);
            (class, whose, Figures::default())
        };
        let classes = classes.map(|classes| classes.into_iter().map(with_figures).collect());
        self.classes.push(Known { classes });
        self.known.insert(codes.into(), self.classes.len() - 1);
        self.classes.len() - 1
    }
}

/// The sum of terms over a row.
pub(super) fn value(terms: &Terms, amount: impl Fn(usize) -> Option<Amount>) -> Result<Amount, MoneyError> {
    terms.iter().try_fold(Amount::ZERO, |sum, &(column, sign)| match (amount(column), sign) {
        (None, _) => Ok(sum),
        (Some(amount), Sign::Plus) => sum.checked_add(amount),
        (Some(amount), Sign::Minus) => sum.checked_add(-amount),
    })
}

/// A row whose first required amount is missing is no charge.
pub(super) fn missing_amount(
    mapping: &dyn Mapping,
    amount: impl Fn(usize) -> Option<Amount>,
) -> Option<String> {
    let columns = mapping.columns();
    let missing = columns.required_amounts.iter().find(|&&column| amount(column).is_none())?;
    Some(format!("{} is empty", columns.amounts[*missing].join(" or ")))
}

impl Sink for Adder<'_> {
    fn batch(&mut self, batch: &Batch, dictionaries: &[Dictionary]) -> Result<(), ReadError> {
        let mut problems = batch.problems.iter().peekable();
        let mut codes = vec![0; batch.class.len()];
        let mut last: Option<usize> = None;
        self.totals.rows += batch.rows as u64;
        for row in 0..batch.rows {
            if problems.peek().is_some_and(|problem| problem.row == row) {
                let mut whys = Vec::new();
                while let Some(problem) = problems.next_if(|problem| problem.row == row) {
                    whys.push(problem.why.clone());
                }
                self.totals.hold(self.document, batch.first + row as u64, whys.join("; "));
                continue;
            }
            let mut changed = last.is_none();
            for (code, column) in codes.iter_mut().zip(&batch.class) {
                changed |= *code != column[row];
                *code = column[row];
            }
            let known = match last {
                Some(last) if !changed => last,
                _ => self.class_of(&codes, dictionaries),
            };
            last = Some(known);
            let amount = |column: usize| batch.amounts.get(column)?.get(row).copied().flatten();
            let number = batch.first + row as u64;
            match &mut self.classes[known].classes {
                Err(why) => self.totals.hold(self.document, number, why.clone()),
                Ok(classes) => {
                    if let Some(why) = missing_amount(self.mapping, amount) {
                        self.totals.hold(self.document, number, why);
                        continue;
                    }
                    for (class, _, figures) in classes {
                        let added = value(&class.billed, amount).and_then(|billed| {
                            let effective = value(&class.effective, amount)?;
                            if class.skip_zero && billed.is_zero() && effective.is_zero() {
                                return Ok(());
                            }
                            self.totals.fine_rows += u64::from(billed.is_fine() || effective.is_fine());
                            figures.add(&Figures { billed, effective, charges: 1 })
                        });
                        if let Err(error) = added {
                            self.overflow = Some(error);
                        }
                    }
                }
            }
        }
        if self.classes.len() > CLASSES {
            self.forget();
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.known.clear();
        for known in self.classes.drain(..) {
            for (class, whose, figures) in known.classes.into_iter().flatten() {
                let added = match whose {
                    // rows without a charge in this class
                    _ if figures.charges == 0 => Ok(()),
                    Whose::Ours => self.totals.add(&class, &figures),
                    Whose::Other(bill) => self.totals.elsewhere.entry(bill).or_default().add(&figures),
                };
                if let Err(error) = added {
                    self.overflow = Some(error);
                }
            }
        }
    }
}
