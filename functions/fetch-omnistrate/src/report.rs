//! What `fetch-omnistrate` answers.

use billing::keys::UsageKey;
use billing::metering::{Plan, UsageSnapshot};
use billing::month::BillingMonth;
use cloud::invocation::{Report, Tally};
use cloud::ledger::UsageRecord;
use serde::{Deserialize, Serialize};

use crate::MonthError;

/// What became of the months of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchUsageReport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// One entry for each month, by plan.
    pub months: Vec<CountedMonth>,
    /// Months that could not be counted.
    pub failed: Vec<FailedMonth>,
}

/// What became of one month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MonthOutcome {
    /// Read and kept.
    Counted,
    /// Its files are those that were counted before.
    Unchanged,
    /// Read, in a dry run.
    WouldCount,
}

/// One month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedMonth {
    /// `service:environment:plan`.
    pub plan: Plan,
    /// The month.
    pub month: BillingMonth,
    /// What became of it.
    pub outcome: MonthOutcome,
    /// Files of the month.
    pub files: u64,
    /// Whether nothing was used.
    pub no_usage: bool,
    /// Records without a contract or a dimension.
    pub unattributed_records: u64,
    /// Where the snapshot stands.
    pub key: String,
    /// The snapshot itself, in a dry run, where it stands nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<UsageSnapshot>,
}

/// A month, or all of a plan, that could not be counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedMonth {
    /// The plan.
    pub plan: Plan,
    /// The month; nothing if it did not come to one.
    pub month: Option<BillingMonth>,
    /// Why, in one line.
    pub error: String,
}

impl CountedMonth {
    pub(crate) fn unchanged(key: &UsageKey, known: &UsageRecord) -> Self {
        Self {
            plan: key.plan.clone(),
            month: key.month,
            outcome: MonthOutcome::Unchanged,
            files: known.files,
            no_usage: known.records == 0,
            unattributed_records: known.unattributed,
            key: key.to_string(),
            snapshot: None,
        }
    }

    pub(crate) fn counted(outcome: MonthOutcome, key: &UsageKey, snapshot: UsageSnapshot) -> Self {
        Self {
            plan: key.plan.clone(),
            month: key.month,
            outcome,
            files: snapshot.files,
            no_usage: snapshot.is_empty(),
            unattributed_records: snapshot.unattributed_records(),
            key: key.to_string(),
            snapshot: Some(snapshot).filter(|_| outcome == MonthOutcome::WouldCount),
        }
    }
}

impl FetchUsageReport {
    pub(crate) fn new(dry_run: bool) -> Self {
        Self { dry_run, months: Vec::new(), failed: Vec::new() }
    }

    pub(crate) fn add(
        &mut self,
        plan: &Plan,
        month: BillingMonth,
        counted: Result<CountedMonth, MonthError>,
    ) {
        match counted {
            Ok(counted) => self.months.push(counted),
            Err(error) => self.fail(plan, Some(month), &error),
        }
    }

    pub(crate) fn fail(&mut self, plan: &Plan, month: Option<BillingMonth>, error: &dyn std::fmt::Display) {
        self.failed.push(FailedMonth { plan: plan.clone(), month, error: error.to_string() });
    }

    /// One line for each month, which metrics are made from.
    pub(crate) fn log(&self, reads: u64) {
        tracing::info!(s3_reads = reads, "{reads} files of usage read");
        for month in &self.months {
            tracing::info!(
                plan = %month.plan,
                month = %month.month,
                files = month.files,
                no_usage = u8::from(month.no_usage),
                unattributed_records = month.unattributed_records,
                "{} of {}: {} files",
                month.month,
                month.plan,
                month.files
            );
        }
    }

    fn count(&self, outcome: MonthOutcome) -> usize {
        self.months.iter().filter(|month| month.outcome == outcome).count()
    }
}

impl Report for FetchUsageReport {
    fn tally(&self) -> Tally {
        Tally { success: self.months.len(), held: 0, failed: self.failed.len() }
    }

    fn message(&self) -> String {
        let counted = self.count(MonthOutcome::Counted) + self.count(MonthOutcome::WouldCount);
        let mut message =
            format!("{counted} months counted, {} unchanged", self.count(MonthOutcome::Unchanged));
        for FailedMonth { plan, month, error } in &self.failed {
            let month = month.map(|month| format!(" {month}")).unwrap_or_default();
            message.push_str(&format!("; {plan}{month} failed: {error}"));
        }
        message
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }
}
