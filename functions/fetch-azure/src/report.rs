//! What `fetch-azure` answers.

use billing::ids::BillingAccountId;
use billing::month::BillingMonth;
use billing::period::Finality;
use cloud::invocation::{Report, Tally};
use serde::Serialize;

/// What became of the months asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FetchBillsReport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Bills that are new or changed.
    pub fetched: usize,
    /// Bills that the bucket had already, just so.
    pub unchanged: usize,
    /// Months without any costs.
    pub empty: Vec<BillingMonth>,
    /// Months that are final, and were not asked for again.
    pub settled: Vec<BillingMonth>,
    /// Months whose bill could not be fetched.
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
    /// New or changed.
    Fetched,
    /// The bucket had it just so.
    Unchanged,
    /// Would be fetched, in a dry run.
    WouldFetch,
}

/// One bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FetchedBill {
    /// `cost-details`, or the name of the export.
    pub invoice_id: String,
    /// Under which name it is filed.
    pub billing_account: BillingAccountId,
    /// The month.
    pub period: BillingMonth,
    /// Whether it may still change by Azure's rule.
    pub finality: Finality,
    /// What became of it.
    pub state: FetchState,
    /// Files with its data; of an order that was not placed, none.
    pub files: Vec<String>,
    /// Their size; zero in a dry run.
    pub bytes: u64,
    /// The invoices that its rows must come to.
    pub invoices: Vec<String>,
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

    pub(crate) fn sort(&mut self) {
        self.documents.sort_by_key(|bill| bill.period);
        self.failed.sort_by_key(|failed| failed.month);
        self.empty.sort_unstable();
    }
}

impl Report for FetchBillsReport {
    fn tally(&self) -> Tally {
        let success = self.documents.len() + self.empty.len();
        Tally { success, held: 0, failed: self.failed.len() }
    }

    fn message(&self) -> String {
        let mut message = format!("{} fetched, {} unchanged", self.fetched, self.unchanged);
        for month in &self.empty {
            message.push_str(&format!("; {month} has no costs"));
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
