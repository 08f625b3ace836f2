//! What is wrong with a journal, each with its file and line.

use std::fmt;

use rust_decimal::Decimal;

use super::account::Account;
use super::plugin::PluginError;
use crate::money::InvalidCurrency;

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Problem {
    #[error("it is not UTF-8")]
    Encoding,
    #[error("it is no journal line: {0}")]
    Json(String),
    #[error("{0} is missing")]
    Missing(String),
    #[error("{field} {text} is not {expected}")]
    Field { field: String, text: String, expected: &'static str },
    #[error("the date {date} is not in the month of its folder; move the line to journal/{month}/")]
    OtherMonth { date: String, month: String },
    #[error("source and destination are both {0}")]
    SameAccount(&'static str),
    #[error("a movement from or to an invoice (iv) needs invoice.items")]
    NoInvoice,
    #[error("an opening balance has destination cr, or source cr where the client owes")]
    Opening,
    #[error("the amount {amount} is more than the invoice {invoice} comes to ({total}); {advice}")]
    AboveInvoice { invoice: String, amount: Decimal, total: Decimal, is_rounding: bool, advice: String },
    #[error("{field} says {gross}, amount and taxes come to {sum}; correct the one that is wrong")]
    Gross { field: String, gross: Decimal, sum: Decimal },
    #[error("two items of the invoice have the id '{0}'")]
    SameItem(String),
    #[error("the figures are too large to be added exactly")]
    TooLarge,
    #[error("the client '{0}' is not in the catalog; add it to revenue.clients")]
    UnknownClient(String),
    #[error("the service '{0}' is not in the catalog; add it to revenue.services")]
    UnknownService(String),
    #[error("the service '{service}' belongs to client '{owner}', not to '{client}'")]
    OtherClient { service: String, owner: String, client: String },
    #[error(
        "{what} stands in {file} line {line} with other content; keep the right one, or, if both are right, give each an id of its own"
    )]
    Conflict { what: String, file: String, line: usize },
    #[error("'{name}' is no plugin; there are {known}")]
    UnknownPlugin { name: String, known: String },
    #[error("the usage is in {usage}, and its client is reported in {client}")]
    OtherCurrency { usage: &'static str, client: &'static str },
    #[error("currency: {0}, write it as EUR")]
    Currency(#[from] InvalidCurrency),
    #[error("details: {0}")]
    Details(#[from] PluginError),
}

impl Problem {
    /// The same problem of money from an account: what is above an invoice must not become credit that nobody paid.
    pub(super) fn paid_from(mut self, source: Account) -> Self {
        if let Self::AboveInvoice { is_rounding: false, advice, .. } = &mut self {
            advice.push_str(&match source {
                Account::Invoice => "; otherwise no more is refunded than the invoice comes to".into(),
                Account::Credit => "; otherwise no more is taken from credit than the invoice comes to".into(),
                other => format!(
                    "; where the client really paid more, what is above it is a movement of its own, from {other} to cr"
                ),
            });
        }
        self
    }
}

/// A line that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineProblem {
    /// Key of its file.
    pub file: String,
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for LineProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}: {}", self.file, self.line, self.problem)
    }
}

/// Everything that is wrong with a journal: the first ones one by one, in the order of files and lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// The first ones.
    pub first: Vec<LineProblem>,
    /// How many there are.
    pub count: usize,
}

impl Problems {
    /// How many are told one by one.
    const TOLD: usize = 100;

    pub(super) fn add(&mut self, problem: impl FnOnce() -> LineProblem) {
        self.count += 1;
        if self.first.len() < Self::TOLD {
            self.first.push(problem());
        }
    }

    /// Adds others; all stand in the order of files and lines again.
    pub(super) fn append(&mut self, others: Self) {
        self.count += others.count;
        self.first.extend(others.first);
        self.first.sort_by(|a, b| a.file.cmp(&b.file).then_with(|| a.line.cmp(&b.line)));
        self.first.truncate(Self::TOLD);
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.first.first() else { return f.write_str("nothing is wrong") };
        match self.count {
            1 => first.fmt(f),
            count => write!(f, "{first} (and {} more)", count - 1),
        }
    }
}

impl std::error::Error for Problems {}
