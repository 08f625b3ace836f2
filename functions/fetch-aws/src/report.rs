//! What `fetch-aws` answers.

use billing::manifest::Format;
use billing::month::BillingMonth;
use billing::period::Finality;
use cloud::invocation::{Report, Tally};
use serde::Serialize;

/// What became of the months asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FetchBillsReport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Bills that are new in the bucket.
    pub fetched: usize,
    /// Bills that the bucket had already.
    pub unchanged: usize,
    /// Months of which AWS has nothing.
    pub empty: usize,
    /// Months that could not be fetched or stored.
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
pub enum BillState {
    /// New in the bucket.
    Fetched,
    /// The bucket had exactly this bill already.
    Unchanged,
    /// There is nothing of the month.
    Empty,
    /// Would be fetched, in a dry run.
    WouldFetch,
}

/// One bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FetchedBill {
    /// The bill: the name of the export, or `cost-explorer`.
    pub invoice_id: String,
    /// The account it is for.
    pub billing_account: String,
    /// Its month.
    pub period: BillingMonth,
    /// What became of it.
    pub state: BillState,
    /// Whether it may still change; nothing if it was not fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finality: Option<Finality>,
    /// How its data is read; nothing if that is not known without fetching it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// How many data files it has.
    pub parts: usize,
    /// How many bytes they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How many invoices it is reconciled against.
    pub invoices: usize,
    /// Where its manifest stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl FetchBillsReport {
    pub(crate) fn new(dry_run: bool) -> Self {
        Self { dry_run, ..Self::default() }
    }

    pub(crate) fn add(&mut self, bill: FetchedBill) {
        match bill.state {
            BillState::Fetched => self.fetched += 1,
            BillState::Unchanged => self.unchanged += 1,
            BillState::Empty => self.empty += 1,
            BillState::WouldFetch => {}
        }
        self.documents.push(bill);
    }

    /// Notes a month that could not be done.
    pub(crate) fn fail(&mut self, month: BillingMonth, error: &dyn std::fmt::Display) {
        tracing::warn!(bill.month = %month, "the bill of {month} failed: {error}");
        self.failed.push(FailedMonth { month, error: error.to_string() });
    }
}

impl Report for FetchBillsReport {
    fn tally(&self) -> Tally {
        Tally { success: self.documents.len(), held: 0, failed: self.failed.len() }
    }

    fn message(&self) -> String {
        let mut message =
            format!("{} fetched, {} unchanged, {} empty", self.fetched, self.unchanged, self.empty);
        for FailedMonth { month, error } in &self.failed {
            message.push_str(&format!("; {month} failed: {error}"));
        }
        message
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }
}
