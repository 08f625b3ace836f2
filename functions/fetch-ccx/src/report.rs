//! What `fetch-ccx` answers.

use billing::ccx::{DatastoreCounts, Usage};
use billing::certificate::Status;
use billing::month::BillingMonth;
use cloud::fetch::Failed;
use cloud::invocation::{Report, Tally};
use serde::{Deserialize, Serialize};

/// What became of the reports asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchUsageReport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Documents that are new in the bucket.
    pub fetched: usize,
    /// Documents that the bucket had already.
    pub unchanged: usize,
    /// Months whose report could not be fetched, stored or certified.
    pub failed: Vec<Failed>,
    /// The reports, by month.
    pub reports: Vec<ReportedMonth>,
}

/// What became of one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportOutcome {
    /// Certified.
    Certified,
    /// Certified before; nothing to do.
    Already,
    /// Not believed; the reason is recorded and stands under `held/`.
    Held,
    /// What would come out, in a dry run.
    Preview,
}

/// One report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedMonth {
    /// The month.
    pub month: BillingMonth,
    /// What became of it.
    pub state: ReportOutcome,
    /// The certificate's verdict; nothing for a document that is no report.
    pub status: Option<Status>,
    /// Where the document stands, or would stand.
    pub key: String,
    /// Key of its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// How many datastores it lists; nothing if it was certified before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datastores: Option<DatastoreCounts>,
    /// What all of them used; nothing if it was certified before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub totals: Option<Usage>,
    /// The verdict in words.
    pub reason: String,
}

impl FetchUsageReport {
    pub(crate) fn new(dry_run: bool) -> Self {
        Self { dry_run, ..Self::default() }
    }

    fn held(&self) -> impl Iterator<Item = &ReportedMonth> {
        self.reports.iter().filter(|report| report.state == ReportOutcome::Held)
    }
}

impl Report for FetchUsageReport {
    fn tally(&self) -> Tally {
        let held = self.held().count();
        Tally { success: self.reports.len() - held, held, failed: self.failed.len() }
    }

    fn message(&self) -> String {
        let mut message = format!("{} fetched, {} unchanged", self.fetched, self.unchanged);
        for report in self.held() {
            message.push_str(&format!("; {} held: {}", report.key, report.reason));
        }
        for failed in &self.failed {
            message.push_str(&format!("; {failed}"));
        }
        message
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }
}
