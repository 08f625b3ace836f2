//! What `fetch-gcp` answers.

use billing::month::BillingMonth;
use billing::period::Finality;
use cloud::invocation::{Report, Tally};
use serde::Serialize;

/// What became of the months asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FetchReport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Bills that are new in the bucket, or changed.
    pub fetched: usize,
    /// Bills that the bucket had already.
    pub unchanged: usize,
    /// Months of which the export has no row.
    pub empty: Vec<BillingMonth>,
    /// Months whose bill could not be fetched or stored.
    pub failed: Vec<FailedMonth>,
    /// The bills, by month.
    pub documents: Vec<FetchedBill>,
}

/// A month that could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedMonth {
    /// The month.
    pub month: BillingMonth,
    /// Why, in one line.
    pub error: String,
}

/// What became of one bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchState {
    /// New in the bucket, or changed.
    Fetched,
    /// The bucket had these bytes already.
    Unchanged,
    /// Would be fetched, in a dry run.
    WouldFetch,
}

/// One bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FetchedBill {
    /// The bill.
    pub invoice_id: String,
    /// The billing account.
    pub billing_account: String,
    /// Its month.
    pub period: BillingMonth,
    /// Whether it may still change by Google's rule.
    pub finality: Finality,
    /// What became of it.
    pub state: FetchState,
    /// Rows of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Documents with rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<usize>,
    /// What the query would read, in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_to_read: Option<u64>,
    /// Where its manifest stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl FetchReport {
    pub(crate) fn new(dry_run: bool) -> Self {
        Self { dry_run, ..Self::default() }
    }

    pub(crate) fn add(&mut self, bill: FetchedBill) {
        match bill.state {
            FetchState::Fetched => self.fetched += 1,
            FetchState::Unchanged => self.unchanged += 1,
            FetchState::WouldFetch => {}
        }
        self.documents.push(bill);
    }

    /// Notes a month that could not be done.
    pub(crate) fn fail(&mut self, month: BillingMonth, error: &dyn std::fmt::Display) {
        tracing::warn!(bill.month = %month, "the bill of {month} failed: {error}");
        self.failed.push(FailedMonth { month, error: error.to_string() });
    }
}

impl Report for FetchReport {
    fn tally(&self) -> Tally {
        Tally { success: self.documents.len() + self.empty.len(), held: 0, failed: self.failed.len() }
    }

    fn message(&self) -> String {
        let mut message = format!("{} fetched, {} unchanged", self.fetched, self.unchanged);
        for month in &self.empty {
            message.push_str(&format!("; {month} is empty"));
        }
        for FailedMonth { month, error } in &self.failed {
            message.push_str(&format!("; {month} failed: {error}"));
        }
        message
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }
}
