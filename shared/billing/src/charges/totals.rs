//! A bill added up: by account, by service, by tag, by invoice. Memory does not grow with the rows, nor with tags.

use std::collections::{BTreeMap, HashMap};

use super::Amount;
use super::batch::{Batch, ClassTexts, Dictionary, ReadError, Sink};
use super::classes::{Classes, Found};
use super::mapping::{Class, Columns, Mapping, Row, Sign, Terms, Twin};
use super::tag_sums::TagSums;
use super::write::{BillContext, charge};
use crate::charge::Period;
use crate::ids::Provider;
use crate::keys::InvoiceKey;
use crate::money::MoneyError;
use crate::month::BillingMonth;

/// Bad rows that are named; more are counted.
pub(super) const NAMED: usize = 1_000;

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
    /// The provider, where documents may hold several; rows that do not name theirs are of the bill.
    pub provider: Option<Provider>,
    /// The billing account, where documents may hold several.
    pub billing_account: Option<String>,
    /// The month; rows that do not name theirs are of the bill.
    pub month: BillingMonth,
}

/// A bill that rows belong to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OtherBill {
    /// FOCUS `ProviderName`; nothing if its rows do not say.
    pub provider_name: Option<String>,
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
    pub tags: TagSums,
    /// By the provider's invoice.
    pub invoices: HashMap<Option<String>, Figures>,
    /// By FOCUS `ChargeCategory`.
    pub categories: HashMap<&'static str, Figures>,
    /// Rows that two documents of the bill have, in the one where they count.
    pub counted_twins: Figures,
    /// The same in the other, where they are no charges: they should come to as much.
    pub compared_twins: Figures,
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
        self.add_kind(class, figures)?;
        self.add_account(class.sub_account_id.as_ref(), class.sub_account_name.as_ref(), figures)?;
        self.add_service(class.service_category, &class.service_name, figures)?;
        self.tags.add(&class.tags, figures)
    }

    fn add_kind(&mut self, class: &Class, figures: &Figures) -> Result<(), MoneyError> {
        self.all.add(figures)?;
        self.currencies.entry(class.currency.code()).or_default().add(figures)?;
        self.invoices.entry(class.invoice_id.clone()).or_default().add(figures)?;
        if class.twin.is_some() {
            self.counted_twins.add(figures)?;
        }
        self.categories.entry(class.category.as_str()).or_default().add(figures)
    }

    fn add_account(
        &mut self,
        id: Option<&String>,
        name: Option<&String>,
        figures: &Figures,
    ) -> Result<(), MoneyError> {
        let (standing, account) = self.sub_accounts.entry(id.cloned()).or_default();
        // names may change within a month: the choice must not depend on the order of rows
        *standing = standing.take().max(name.cloned());
        account.add(figures)
    }

    fn add_service(
        &mut self,
        category: &'static str,
        name: &str,
        figures: &Figures,
    ) -> Result<(), MoneyError> {
        self.services.entry((category, name.to_owned())).or_default().add(figures)
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
        self.tags.merge(other.tags)?;
        merge(&mut self.invoices, other.invoices)?;
        merge(&mut self.categories, other.categories)?;
        self.counted_twins.add(&other.counted_twins)?;
        self.compared_twins.add(&other.compared_twins)?;
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
    /// Of the bill, and counted in another document.
    Compared,
    Other(OtherBill),
}

impl Selection {
    /// All rows of a month: of documents that hold one bill only.
    #[must_use]
    pub fn all_of(month: BillingMonth) -> Self {
        Self { provider: None, billing_account: None, month }
    }

    /// The rows of one bill: of documents that may hold others.
    #[must_use]
    pub fn only(invoice: &InvoiceKey) -> Self {
        Self {
            provider: Some(invoice.provider.clone()),
            billing_account: Some(invoice.billing_account.as_str().to_owned()),
            month: invoice.period,
        }
    }

    pub(super) fn whose(&self, class: &Class) -> Whose {
        let month = class.billing_period.map(|period| BillingMonth::containing(period.start));
        let account = class.billing_account_id.as_deref();
        let is_provider = |provider: &Provider| {
            !class.names_provider || Provider::named(&class.provider_name).as_ref() == Ok(provider)
        };
        let ours = month.is_none_or(|month| month == self.month)
            && self.provider.as_ref().is_none_or(is_provider)
            && self.billing_account.as_deref().is_none_or(|selected| account == Some(selected));
        if ours {
            return if class.twin == Some(Twin::Compared) { Whose::Compared } else { Whose::Ours };
        }
        Whose::Other(OtherBill {
            provider_name: class.names_provider.then(|| class.provider_name.clone()),
            billing_account: class.billing_account_id.clone(),
            month,
            currency: class.currency.code(),
        })
    }
}

/// What the rows of each place in [`Classes`] came to so far.
#[derive(Default)]
struct Sums {
    kinds: Vec<Vec<Figures>>,
    accounts: Vec<Figures>,
    services: Vec<Figures>,
    tags: Vec<Figures>,
}

impl Sums {
    /// As many as there are places.
    fn grow(&mut self, classes: &Classes) {
        for kind in classes.kinds.iter().skip(self.kinds.len()) {
            self.kinds.push(vec![Figures::default(); kind.len()]);
        }
        self.accounts.resize(classes.accounts.len(), Figures::default());
        self.services.resize(classes.services.len(), Figures::default());
        self.tags.resize(classes.tags.len(), Figures::default());
    }
}

/// Adds up documents.
pub(super) struct Adder<'m> {
    mapping: &'m dyn Mapping,
    selection: &'m Selection,
    document: &'m str,
    classes: Classes,
    sums: Sums,
    totals: Totals,
    overflow: Option<MoneyError>,
    /// Whether rows whose details cannot be read are named, too.
    details: bool,
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
            selection,
            document,
            classes: Classes::new(mapping),
            sums: Sums::default(),
            totals: Totals::default(),
            overflow: None,
            details,
        }
    }

    pub(super) fn finish(mut self) -> Result<Totals, MoneyError> {
        self.forget();
        self.overflow.map_or(Ok(self.totals), Err)
    }

    /// Adds one row.
    fn row(&mut self, found: Found, amount: &impl Fn(usize) -> Option<Amount>) -> Result<(), MoneyError> {
        if found.kind >= self.sums.kinds.len()
            || found.account >= self.sums.accounts.len()
            || found.service >= self.sums.services.len()
            || found.tags >= self.sums.tags.len()
        {
            self.sums.grow(&self.classes);
        }
        let classes = self.classes.kinds[found.kind].iter().zip(&mut self.sums.kinds[found.kind]);
        for ((class, whose), sum) in classes {
            let (billed, effective) = (value(&class.billed, amount)?, value(&class.effective, amount)?);
            if class.skip_zero && billed.is_zero() && effective.is_zero() {
                continue;
            }
            self.totals.fine_rows += u64::from(billed.is_fine() || effective.is_fine());
            let figures = Figures { billed, effective, charges: 1 };
            sum.add(&figures)?;
            if *whose == Whose::Ours {
                self.sums.accounts[found.account].add(&figures)?;
                self.sums.services[found.service].add(&figures)?;
                self.sums.tags[found.tags].add(&figures)?;
            }
        }
        Ok(())
    }

    /// Whether the charges of a row can be written.
    fn complete(&self, found: Found, row: &Row<'_>) -> Result<(), String> {
        let (month, names) = (self.selection.month, BTreeMap::new());
        let period = Period { start: month.start(), end: month.end() };
        let bill = BillContext { billing_account: "", period, sub_account_names: &names };
        let amount = |column: usize| row.amounts.get(column).copied().flatten();
        for (class, _) in &self.classes.kinds[found.kind] {
            if let Some((charge, _)) = charge(class, &bill, &amount).map_err(|error| error.to_string())? {
                self.mapping.complete(charge, class, row)?;
            }
        }
        Ok(())
    }

    fn add_up(&mut self) -> Result<(), MoneyError> {
        let classes = std::mem::replace(&mut self.classes, Classes::new(self.mapping));
        let sums = std::mem::take(&mut self.sums);
        // what has no charges was never added: a place of another bill, or of amounts that are nothing
        for (class, figures) in classes.kinds.iter().flatten().zip(sums.kinds.iter().flatten()) {
            match class {
                _ if figures.charges == 0 => {}
                (class, Whose::Ours) => self.totals.add_kind(class, figures)?,
                (_, Whose::Compared) => self.totals.compared_twins.add(figures)?,
                (_, Whose::Other(bill)) => {
                    self.totals.elsewhere.entry(bill.clone()).or_default().add(figures)?;
                }
            }
        }
        let counts = |figures: &&Figures| figures.charges > 0;
        for (account, figures) in classes.accounts.iter().zip(&sums.accounts).filter(|(_, f)| counts(f)) {
            self.totals.add_account(account.id.as_ref(), account.name.as_ref(), figures)?;
        }
        for ((category, name), figures) in
            classes.services.iter().zip(&sums.services).filter(|(_, f)| counts(f))
        {
            self.totals.add_service(category, name, figures)?;
        }
        for (tags, figures) in classes.tags.iter().zip(&sums.tags).filter(|(_, f)| counts(f)) {
            self.totals.tags.add(&tags.pairs, figures)?;
        }
        Ok(())
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
pub(super) fn missing_amount(columns: &Columns, amount: impl Fn(usize) -> Option<Amount>) -> Option<String> {
    let missing = columns.required_amounts.iter().find(|&&column| amount(column).is_none())?;
    Some(format!("{} is empty", columns.amounts[*missing].join(" or ")))
}

impl Sink for Adder<'_> {
    fn batch(&mut self, batch: &Batch, dictionaries: &[Dictionary]) -> Result<(), ReadError> {
        let mut problems = batch.problems.iter().peekable();
        let mut codes = vec![0; batch.class.len()];
        let (mut amounts, mut numbers) = (Vec::new(), Vec::new());
        let columns = self.mapping.columns();
        self.totals.rows += batch.rows as u64;
        for row in 0..batch.rows {
            let number = batch.first + row as u64;
            if problems.peek().is_some_and(|problem| problem.row == row) {
                let mut whys = Vec::new();
                while let Some(problem) = problems.next_if(|problem| problem.row == row) {
                    whys.push(problem.why.clone());
                }
                self.totals.hold(self.document, number, whys.join("; "));
                continue;
            }
            for &column in &batch.bound {
                codes[column] = batch.class[column][row];
            }
            let amount = |column: usize| batch.amounts.get(column)?.get(row).copied().flatten();
            let found = self.classes.find(self.mapping, self.selection, dictionaries, &codes);
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
                Err(why) => self.totals.hold(self.document, number, why),
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
        if let Err(error) = self.add_up() {
            self.overflow = Some(error);
        }
    }
}
