//! What is wrong with a journal, each with its file and line.

use std::fmt;

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
    #[error(
        "the amount {amount} is more than the invoice {invoice} comes to ({total}); write what is above it as a movement of its own, \
         for example from tr to cr"
    )]
    AboveInvoice { invoice: String, amount: String, total: String },
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
    #[error("{what} stands in {file} line {line} with other content; keep one of them")]
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
