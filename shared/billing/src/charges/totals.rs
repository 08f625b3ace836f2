//! A bill added up: by account, by service, by tag, by invoice. Memory does not grow with the rows, nor with tags.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;

use super::dates::DateOrder;
use super::dialect::Dialect;
use super::mapping::{Class, Columns, Effective, Sign, Terms};
use super::selection::OtherBill;
use super::tag_sums::TagSums;
use super::tags::RowTags;
use crate::identity::{Id, Rule};
use crate::money::{Amount, MoneyError};
use crate::text::shown;

/// Bad rows that are named; more are counted.
pub(super) const NAMED: usize = 1_000;

/// What charges come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Sum of `BilledCost`.
    pub billed: Amount,
    /// Sum of `EffectiveCost`, of the charges that state one.
    effective: Amount,
    /// How many charges.
    pub charges: u64,
    /// How many of them state no `EffectiveCost`.
    unstated: u64,
}

impl Figures {
    /// What so many charges come to; without an effective cost none of them states one.
    #[must_use]
    pub fn of(billed: Amount, effective: Option<Amount>, charges: u64) -> Self {
        // a part of a charge may count as none, and still says nothing of it
        let unstated = if effective.is_none() { charges.max(1) } else { 0 };
        Self { billed, effective: effective.unwrap_or_default(), charges, unstated }
    }

    /// Sum of `EffectiveCost`; nothing if some charge does not state it.
    #[must_use]
    pub fn effective(&self) -> Option<Amount> {
        (self.unstated == 0).then_some(self.effective)
    }

    /// Both sums, of what is stated; for checks.
    pub(crate) fn costs(&self) -> [Amount; 2] {
        [self.billed, self.effective]
    }

    /// How many charges state no `EffectiveCost`.
    #[must_use]
    pub fn unstated(&self) -> u64 {
        self.unstated
    }

    /// Whether all are the same.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn equals(&self, other: &Self) -> Result<bool, MoneyError> {
        let rest = self.without(other)?;
        let are_as_many = (self.charges, self.unstated) == (other.charges, other.unstated);
        Ok(are_as_many && rest.billed.is_zero() && rest.effective.is_zero())
    }

    /// What is left without some of the charges.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn without(&self, part: &Self) -> Result<Self, MoneyError> {
        Ok(Self {
            billed: self.billed.checked_add(-part.billed)?,
            effective: self.effective.checked_add(-part.effective)?,
            charges: self.charges.saturating_sub(part.charges),
            unstated: self.unstated.saturating_sub(part.unstated),
        })
    }

    /// Adds others.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn add(&mut self, other: &Self) -> Result<(), MoneyError> {
        self.billed = self.billed.checked_add(other.billed)?;
        self.effective = self.effective.checked_add(other.effective)?;
        self.charges += other.charges;
        self.unstated += other.unstated;
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

/// The sums of a bill. All but [`Totals::elsewhere`], and what could not be read, are of the rows selected.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// How identifiers are compared.
    rule: Rule,
    /// Rows read, of whatever bill.
    pub rows: u64,
    /// Amounts with more than 18 decimals: charges files round those.
    pub fine_rows: u64,
    /// All.
    pub all: Figures,
    /// By currency: a bill has one.
    pub currencies: HashMap<&'static str, Figures>,
    /// By sub account: by what its spellings have in common.
    pub sub_accounts: HashMap<Option<String>, SubAccount>,
    /// By service category and what the spellings of the service have in common: one of them, and the figures.
    pub services: HashMap<(&'static str, String), (String, Figures)>,
    /// By tag key and value.
    pub tags: TagSums,
    /// Charges whose tags cannot be read.
    pub unread_tags: UnreadTags,
    /// By the provider's invoice.
    pub invoices: HashMap<Option<String>, Figures>,
    /// By FOCUS `ChargeCategory`.
    pub categories: HashMap<&'static str, Figures>,
    /// Rows that two documents of the bill have, in the one where they count.
    pub counted_twins: Figures,
    /// The same in the other, where they are no charges: they should come to as much.
    pub compared_twins: Figures,
    /// By what the rows say of whom they are.
    pub own: HashMap<OtherBill, Figures>,
    /// Rows of other bills.
    pub elsewhere: HashMap<OtherBill, Figures>,
    /// Of rows of other bills: sub account and day. Only where it is looked for ([`super::bills`]).
    pub days: HashMap<OtherBill, AccountDays>,
    /// How each table is written.
    pub dialects: BTreeSet<Dialect>,
    /// In which order each document writes its days, where that was found out or said.
    pub date_orders: BTreeMap<String, DateOrder>,
    /// Whether some document has none of the columns that effective costs are made of.
    pub is_amortised_missing: bool,
    /// Columns that stand for one another, and how many rows took their cell from each.
    pub columns_chosen: BTreeMap<String, u64>,
    /// The first rows that cannot be charges.
    pub held: Vec<HeldRow>,
    /// How many there are.
    pub held_rows: u64,
}

/// Sub accounts, with the days of their charges.
pub type AccountDays = BTreeSet<(Option<String>, NaiveDate)>;

/// What the charges of a sub account come to.
#[derive(Clone, Debug, Default)]
pub struct SubAccount {
    /// One of its spellings: the choice does not depend on the order of rows.
    pub id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// The sums.
    pub figures: Figures,
}

impl SubAccount {
    fn add(&mut self, other: Self) -> Result<(), MoneyError> {
        self.id = self.id.take().max(other.id);
        // names may change within a month
        self.name = self.name.take().max(other.name);
        self.figures.add(&other.figures)
    }
}

/// Charges whose tags cannot be read: they count as untagged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadTags {
    /// What they come to.
    pub figures: Figures,
    /// Some of the texts: the first in their order.
    pub texts: BTreeSet<String>,
}

impl UnreadTags {
    fn add(&mut self, texts: impl IntoIterator<Item = String>, figures: &Figures) -> Result<(), MoneyError> {
        self.texts.extend(texts);
        while self.texts.len() > NAMED_TAGS {
            self.texts.pop_last();
        }
        self.figures.add(figures)
    }
}

/// Texts of tags that are named.
const NAMED_TAGS: usize = 5;

impl Totals {
    pub(super) fn hold(&mut self, document: &str, row: u64, why: String) {
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
        self.add_tags(&class.tags, figures)
    }

    /// Nothing yet, of a provider with this rule.
    #[must_use]
    pub fn of(rule: Rule) -> Self {
        Self { rule, ..Self::default() }
    }

    pub(super) fn add_tags(&mut self, tags: &RowTags, figures: &Figures) -> Result<(), MoneyError> {
        if let Some(text) = &tags.unread {
            self.unread_tags.add([shown(text)], figures)?;
        }
        self.tags.add(&tags.pairs, self.rule, figures)
    }

    pub(super) fn add_kind(&mut self, class: &Class, figures: &Figures) -> Result<(), MoneyError> {
        self.all.add(figures)?;
        self.currencies.entry(class.currency.code()).or_default().add(figures)?;
        self.own.entry(OtherBill::of(class)).or_default().add(figures)?;
        self.invoices.entry(class.invoice_id.clone()).or_default().add(figures)?;
        if class.twin.is_some() {
            self.counted_twins.add(figures)?;
        }
        self.categories.entry(class.category.as_str()).or_default().add(figures)
    }

    pub(super) fn add_account(
        &mut self,
        id: Option<&String>,
        name: Option<&String>,
        figures: &Figures,
    ) -> Result<(), MoneyError> {
        let key = id.map(|id| self.rule.key(Id::SubAccount, id).into_owned());
        let account = SubAccount { id: id.cloned(), name: name.cloned(), figures: *figures };
        self.sub_accounts.entry(key).or_default().add(account)
    }

    pub(super) fn add_service(
        &mut self,
        category: &'static str,
        name: &str,
        figures: &Figures,
    ) -> Result<(), MoneyError> {
        let key = self.rule.key(Id::Service, name).into_owned();
        self.merge_service((category, key), (name.to_owned(), *figures))
    }

    fn merge_service(
        &mut self,
        key: (&'static str, String),
        (name, figures): (String, Figures),
    ) -> Result<(), MoneyError> {
        let (standing, sum) = self.services.entry(key).or_insert_with(|| (name.clone(), Figures::default()));
        if name > *standing {
            *standing = name;
        }
        sum.add(&figures)
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
        for (key, account) in other.sub_accounts {
            self.sub_accounts.entry(key).or_default().add(account)?;
        }
        for (key, service) in other.services {
            self.merge_service(key, service)?;
        }
        self.tags.merge(other.tags)?;
        self.unread_tags.add(other.unread_tags.texts, &other.unread_tags.figures)?;
        merge(&mut self.invoices, other.invoices)?;
        merge(&mut self.categories, other.categories)?;
        self.counted_twins.add(&other.counted_twins)?;
        self.compared_twins.add(&other.compared_twins)?;
        for (bill, days) in other.days {
            self.days.entry(bill).or_default().extend(days);
        }
        self.dialects.extend(other.dialects);
        self.date_orders.extend(other.date_orders);
        self.is_amortised_missing |= other.is_amortised_missing;
        for (column, rows) in other.columns_chosen {
            *self.columns_chosen.entry(column).or_default() += rows;
        }
        merge(&mut self.own, other.own)?;
        merge(&mut self.elsewhere, other.elsewhere)
    }
}

fn merge<K: std::hash::Hash + Eq>(
    into: &mut HashMap<K, Figures>,
    from: HashMap<K, Figures>,
) -> Result<(), MoneyError> {
    from.into_iter().try_for_each(|(key, figures)| into.entry(key).or_default().add(&figures))
}

/// The sum of terms over a row.
pub(super) fn value(terms: &Terms, amount: impl Fn(usize) -> Option<Amount>) -> Result<Amount, MoneyError> {
    terms.iter().try_fold(Amount::ZERO, |sum, &(column, sign)| match (amount(column), sign) {
        (None, _) => Ok(sum),
        (Some(amount), Sign::Plus) => sum.checked_add(amount),
        (Some(amount), Sign::Minus) => sum.checked_add(-amount),
    })
}

/// What a row costs when prepayments are spread; nothing if nobody says it.
pub(super) fn effective(
    cost: &Effective,
    amount: impl Fn(usize) -> Option<Amount>,
) -> Result<Option<Amount>, MoneyError> {
    match cost {
        Effective::Cells { filled, .. } if filled.iter().any(|column| amount(*column).is_none()) => Ok(None),
        Effective::Cells { terms, .. } => value(terms, amount).map(Some),
        Effective::Stated(column) => Ok(amount(*column)),
        Effective::Unstated => Ok(None),
    }
}

/// A row whose first required amount is missing is no charge.
pub(super) fn missing_amount(columns: &Columns, amount: impl Fn(usize) -> Option<Amount>) -> Option<String> {
    let is_missing = |column: &&usize| amount(**column).is_none() && !columns.may_be_empty.contains(*column);
    let missing = columns.required_amounts.iter().find(is_missing)?;
    Some(format!("{} is empty", columns.amount_names(*missing)))
}
