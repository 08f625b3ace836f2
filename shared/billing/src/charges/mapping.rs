//! What a format of bills must tell: which columns it reads, and how rows become FOCUS charges.
//!
//! Most columns of a bill repeat: who, what service, which tags, which kind of line. A [`Mapping`] turns each distinct
//! combination of those into a [`Class`] once, however many rows have it; adding up a bill then needs nothing but the class of
//! each row and its amounts. Only when charges are written, [`Mapping::complete`] also looks at what differs from row to row.

use std::borrow::Cow;

use rust_decimal::Decimal;

use crate::charge::{Charge, ChargeCategory, ChargeFrequency, Period};
use crate::money::{Amount, Currency};
use crate::month::BillingMonth;

use super::ReadError;
use super::dates::{DateOrder, Days};
use super::shared::SharedFormat;
use super::splits::SplitFormat;
use super::tags::RowTags;

/// The columns that a format reads. Each is a list of names, in any case, the newest version's first: of each row, the first that is
/// filled counts. A name of a class that ends with `*` stands for all columns that begin like this: together they are a JSON object,
/// by the rest of their names.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// Texts that decide the class of a row.
    pub class: &'static [&'static [&'static str]],
    /// Which of `class` decide all of a [`Class`] but sub account, service and tags. These four lists name every column of `class`.
    pub kind: &'static [usize],
    /// Columns of `kind` that are looked at only where all of others are missing: they differ from row to row.
    pub instead: &'static [(usize, &'static [usize])],
    /// Which of `class` decide the sub account.
    pub account: &'static [usize],
    /// Which of `class` decide the service.
    pub service: &'static [usize],
    /// Which of `class` decide the tags.
    pub tags: &'static [usize],
    /// Amounts that are added up.
    pub amounts: &'static [&'static [&'static str]],
    /// An amount and its currency, where a format has had several columns for both: they are taken as a pair. The names of the amount
    /// and of the currency stand here alone.
    pub priced: Option<Priced>,
    /// Further texts and times of a charge.
    pub texts: &'static [&'static [&'static str]],
    /// Which of `texts` are prose.
    pub prose: &'static [usize],
    /// Which of `texts` are only kept: one that cannot be read refuses no document, it is counted.
    pub kept: &'static [usize],
    /// Further numbers of a charge.
    pub numbers: &'static [&'static [&'static str]],
    /// Which of `numbers` are money: one that cannot be read holds its row. Of a quantity or a price it is only counted.
    pub costs: &'static [usize],
    /// Which of `class` must be there.
    pub required_class: &'static [usize],
    /// Which of `amounts` must be there.
    pub required_amounts: &'static [usize],
    /// Which of those a row may leave empty all the same.
    pub may_be_empty: &'static [usize],
    /// Amounts that only some exports have, and that effective costs are made of: a document that has none of them states none.
    pub amortised: &'static [usize],
    /// Amounts that only move between rows of a bill: sums by kind of row, as by invoice, leave them out.
    pub moved: &'static [usize],
    /// Texts that mean "nothing", beside the empty one.
    pub nulls: &'static [&'static str],
}

/// See [`Columns::priced`].
#[derive(Clone, Copy, Debug)]
pub struct Priced {
    /// Which of [`Columns::amounts`] it is.
    pub amount: usize,
    /// Which of [`Columns::class`] its currency is.
    pub currency: usize,
    /// Names of a column of amounts, and of those that its currency may stand in.
    pub pairs: &'static [(&'static str, &'static [&'static str])],
}

impl Columns {
    /// Whether a document with these amounts has some that effective costs are made of.
    pub(super) fn has_amortised(&self, has: &[bool]) -> bool {
        let is_there = |column: &usize| has.get(*column).copied().unwrap_or_default();
        self.amortised.is_empty() || self.amortised.iter().any(is_there)
    }

    /// The names of a column of the class.
    pub(crate) fn class_names(&self, class: usize) -> String {
        match self.priced {
            Some(priced) if priced.currency == class => {
                let mut names: Vec<&str> =
                    priced.pairs.iter().flat_map(|(_, names)| *names).copied().collect();
                names.sort_unstable();
                names.dedup();
                names.join(" or ")
            }
            _ => self.class.get(class).copied().unwrap_or_default().join(" or "),
        }
    }

    /// The names of a column of amounts.
    pub(crate) fn amount_names(&self, amount: usize) -> String {
        match self.priced {
            Some(priced) if priced.amount == amount => {
                priced.pairs.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" or ")
            }
            _ => self.amounts.get(amount).copied().unwrap_or_default().join(" or "),
        }
    }
}

/// A text of the class that must be there.
///
/// # Errors
/// Says which column is empty.
pub(super) fn required<'t>(
    columns: &Columns,
    texts: &'t dyn Texts,
    column: usize,
) -> Result<&'t str, String> {
    texts.text(column).ok_or_else(|| format!("{} is empty", columns.class_names(column)))
}

/// Whom rows of a kind say that they are from. Of all rows of an account and month, one provider is decided
/// ([`crate::intake::provider_of`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claims {
    /// FOCUS `ProviderName`, or what the format itself says.
    pub provider: Option<String>,
    /// FOCUS `InvoiceIssuerName`.
    pub issuer: Option<String>,
    /// FOCUS `ServiceProviderName`: of a marketplace, the seller.
    pub service_provider: Option<String>,
}

impl Claims {
    /// A format that only one provider writes.
    #[must_use]
    pub fn only(provider: &str) -> Self {
        Self { provider: Some(provider.to_owned()), ..Self::default() }
    }
}

/// Texts of one row or one class by their place in [`Columns`]; nothing where the cell or the column is missing.
pub trait Texts {
    /// The text of a column.
    fn text(&self, column: usize) -> Option<&str>;
}

/// An amount as a combination of columns: each is added, or taken off.
pub type Terms = Vec<(usize, Sign)>;

/// Whether a column is added or taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It is added.
    Plus,
    /// It is taken off.
    Minus,
}

/// What a row costs when prepayments are spread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effective {
    /// What its columns come to; an empty cell is nothing, if it need not be filled.
    Cells {
        /// Its columns.
        terms: Terms,
        /// Columns that a row must fill: where one is empty, nobody says it.
        filled: Vec<usize>,
        /// Which of [`Columns::class`] decides about it: in a document without that column, nobody says it.
        decided_by: Option<usize>,
    },
    /// What one column says; where it is empty, nobody does.
    Stated(usize),
    /// Nobody says it.
    Unstated,
}

impl Effective {
    /// What some columns come to, whatever cells are empty.
    #[must_use]
    pub fn sum(terms: Terms) -> Self {
        Self::Cells { terms, filled: Vec::new(), decided_by: None }
    }

    /// The same in a document that has some of the amounts and some of the texts of its format: what needs others is not stated there.
    pub(super) fn of_document(self, columns: &Columns, has: &[bool], has_texts: &[usize]) -> Self {
        // what other rows bring has no column
        let is_brought = |column: usize| columns.amounts.get(column).is_some_and(|names| names.is_empty());
        let is_there = |(column, _): &(usize, Sign)| {
            is_brought(*column) || has.get(*column).copied().unwrap_or_default()
        };
        let is_decided = |by: &Option<usize>| by.is_none_or(|column| has_texts.contains(&column));
        let is_stated = match &self {
            Self::Cells { terms, decided_by, .. } => {
                columns.has_amortised(has) && terms.iter().all(is_there) && is_decided(decided_by)
            }
            Self::Stated(_) | Self::Unstated => true,
        };
        if is_stated { self } else { Self::Unstated }
    }
}

/// What becomes of a row that two documents of a bill have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    /// It is a charge.
    Counted,
    /// It is none; what such rows come to is compared.
    Compared,
}

/// What rows of one kind have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// What is payable, as columns of [`Columns::amounts`].
    pub billed: Terms,
    /// What it costs when prepayments are spread.
    pub effective: Effective,
    /// Rows whose amounts are all zero are no charge of this class.
    pub skip_zero: bool,
    /// Currency of the amounts.
    pub currency: Currency,
    /// Who is billed, if rows say so.
    pub billing_account_id: Option<String>,
    /// Its name.
    pub billing_account_name: Option<String>,
    /// The billing period, if rows say so.
    pub billing_period: Option<Period>,
    /// The month that it covers, or that of the row's day if there is no period.
    pub month: Option<BillingMonth>,
    /// The provider's invoice, if there is one yet.
    pub invoice_id: Option<String>,
    /// The account, subscription or project.
    pub sub_account_id: Option<String>,
    /// Its name.
    pub sub_account_name: Option<String>,
    /// One of FOCUS' nineteen categories.
    pub service_category: &'static str,
    /// The service.
    pub service_name: String,
    /// What kind of charge.
    pub category: ChargeCategory,
    /// A correction of an earlier invoice (FOCUS `ChargeClass`).
    pub correction: bool,
    /// How often it occurs.
    pub frequency: ChargeFrequency,
    /// Its tags.
    pub tags: RowTags,
    /// Whether another document of the bill has the same rows; nothing if none has.
    pub twin: Option<Twin>,
    /// Who makes the service available.
    pub provider_name: String,
    /// What the row says itself.
    pub claims: Claims,
    /// Who produced it.
    pub publisher_name: String,
    /// Who sends the invoice.
    pub invoice_issuer_name: String,
}

/// One row beside its class.
pub struct Row<'r> {
    /// Columns of [`Columns::class`].
    pub class: &'r dyn Texts,
    /// Columns of [`Columns::texts`].
    pub texts: &'r dyn Texts,
    /// Columns of [`Columns::amounts`].
    pub amounts: &'r [Option<Amount>],
    /// Columns of [`Columns::numbers`].
    pub numbers: &'r [Option<Amount>],
}

/// Takes the rows of a JSON document.
pub trait JsonRows {
    /// The names of the columns; before the first row.
    ///
    /// # Errors
    /// [`ReadError::Column`].
    fn header(&mut self, names: &[String]) -> Result<(), ReadError>;

    /// One row: a cell for each column.
    ///
    /// # Errors
    /// [`ReadError`] from whoever takes the rows.
    fn row(&mut self, cells: &[Option<Cow<'_, str>>]) -> Result<(), ReadError>;
}

/// One format of bills.
pub trait Mapping: Sync {
    /// Its columns.
    fn columns(&self) -> &Columns;

    /// The classes of rows with these texts (of [`Columns::class`]): one charge each, mostly one. All have the sub account, service
    /// and tags of the first, and each part is decided by the columns that [`Columns`] names for it, alone.
    ///
    /// # Errors
    /// Says which column is wrong and what is expected.
    fn classes(&self, texts: &dyn Texts) -> Result<Vec<Class>, String>;

    /// The days of a row with these texts, for formats that write them in an order that differs from file to file.
    fn days<'t>(&self, _texts: &'t dyn Texts) -> Days<'t> {
        (None, None)
    }

    /// Which of [`Columns::class`] [`Self::days`] looks at.
    fn days_columns(&self) -> &'static [usize] {
        &[]
    }

    /// The same format with days in this order; nothing if it has one way of writing them.
    fn in_order(&self, _dates: DateOrder) -> Option<&'static dyn Mapping> {
        None
    }

    /// How the cost of one line divides among rows that are parts of it, for formats that state it.
    fn splits(&self) -> Option<&'static SplitFormat> {
        None
    }

    /// What tells parts of a shared resource from its own rows, for formats that have such parts.
    fn shared(&self) -> Option<&'static SharedFormat> {
        None
    }

    /// The rows of a JSON document of this format, for formats that come as JSON.
    ///
    /// # Errors
    /// [`ReadError`] if it is not what the format says.
    fn json(&self, _document: &[u8], _rows: &mut dyn JsonRows) -> Result<(), ReadError> {
        Err(ReadError::Broken { after: 0, why: "bills of this format do not come as JSON".to_owned() })
    }

    /// The charge of a row in one of its classes. `charge` has what the class says and the costs, and the bill's period as the
    /// period of the charge; what differs from row to row is added here. Of `class`, sub account, service and tags may be another
    /// row's: the charge has its own.
    ///
    /// # Errors
    /// Says which column is wrong and what is expected.
    fn complete<'r>(&self, charge: Charge<'r>, class: &'r Class, row: &Row<'r>)
    -> Result<Charge<'r>, String>;
}

impl Row<'_> {
    /// A cost of [`Columns::numbers`], rounded at 18 decimals.
    ///
    /// # Errors
    /// Says that it has too many digits.
    pub fn cost(&self, column: usize) -> Result<Option<Decimal>, String> {
        let amount = self.numbers.get(column).copied().flatten();
        amount.map(|amount| amount.to_decimal(18)).transpose().map_err(|error| error.to_string())
    }

    /// A quantity or a price of [`Columns::numbers`], rounded where its digits end: it is no money and holds no row.
    #[must_use]
    pub fn quantity(&self, column: usize) -> Option<Decimal> {
        let amount = self.numbers.get(column).copied().flatten()?;
        (0..=18).rev().find_map(|decimals| amount.to_decimal(decimals).ok())
    }
}
