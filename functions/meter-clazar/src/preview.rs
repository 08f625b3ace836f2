//! The dry run: what a run would send, told from what can only read.

use std::collections::{BTreeMap, BTreeSet};

use billing::certificate::DocumentRef;
use billing::metering::{Line, Submission, UsageSnapshot, first_month};
use billing::revision::{Revision, sha256_hex};
use chrono::{DateTime, Utc};
use cloud::ledger::{Cursor, UsageRecord};
use cloud::plans::PlanToMeter;

use crate::books::{Books, Month, MonthUsage, months};
use crate::error::MeterError;
use crate::event::Selection;
use crate::report::{MonthReport, MonthStanding, PlanReport};
use crate::work::requests;

/// A dry run of one plan.
pub(crate) struct Preview<'a> {
    pub(crate) books: &'a Books,
    pub(crate) plan: &'a PlanToMeter,
    pub(crate) only: &'a Selection,
    /// Usage that stands nowhere yet.
    pub(crate) usage: &'a [UsageSnapshot],
    pub(crate) batch: usize,
    pub(crate) now: DateTime<Utc>,
}

impl Preview<'_> {
    /// The plan's open months, as if everything sent were accepted.
    pub(crate) async fn run(&self) -> PlanReport {
        let mut report = PlanReport::new(&self.plan.plan, self.plan.cloud);
        if let Err(error) = self.tell(&mut report).await {
            report.fail(&error);
        }
        report
    }

    async fn tell(&self, report: &mut PlanReport) -> Result<(), MeterError> {
        let plan = &self.plan.plan;
        let cursor = self.books.ledger.cursor(plan).await?;
        let given = self.given()?;
        let mut usage: BTreeMap<_, _> =
            self.books.ledger.usage(plan).await?.into_iter().map(|usage| (usage.month, usage)).collect();
        usage.extend(given.iter().map(|(record, _)| (record.month, record.clone())));
        let cursor = cursor.unwrap_or_else(|| Cursor {
            last_processed_month: first_month(self.plan.start_month, self.now).previous(),
            last_updated: self.now,
        });
        let months = months(usage.into_values().collect(), Some(cursor), 0, &BTreeSet::new());
        report.waiting_for = months.missing;
        let mut before: Option<BTreeMap<Line, Submission>> = None;
        for record in &months.open {
            let given = given.iter().find(|(known, _)| known == record).map(|(_, usage)| usage.clone());
            let mut month = self.month(record, given).await?;
            if let Some(before) = before.take() {
                month.before = before;
            }
            let planned = month.planned()?;
            report.months.push(self.shown(&month, &planned));
            before = Some(planned);
        }
        Ok(())
    }

    async fn month(&self, record: &UsageRecord, given: Option<MonthUsage>) -> Result<Month, MeterError> {
        let Some(usage) = given else { return self.books.month(&self.plan.plan, record, false).await };
        self.books.month_of(&self.plan.plan, record.month, usage, false).await
    }

    /// Usage of this plan that came with the event.
    fn given(&self) -> Result<Vec<(UsageRecord, MonthUsage)>, MeterError> {
        let of_plan = self.usage.iter().filter(|usage| usage.plan == self.plan.plan);
        let record = |snapshot: &UsageSnapshot| {
            let sha256 = sha256_hex(&snapshot.to_json()?);
            let revision = Revision::of_sha256(&sha256);
            let record = UsageRecord::of(snapshot, &revision, self.now);
            let input = DocumentRef { key: String::new(), sha256 };
            Ok((record, MonthUsage { snapshot: snapshot.clone(), revision, input }))
        };
        of_plan.map(record).collect()
    }

    fn shown(&self, month: &Month, planned: &BTreeMap<Line, Submission>) -> MonthReport {
        let mut report =
            MonthReport::of(month.month, MonthStanding::Preview, planned, self.plan.cloud, self.now);
        let to_send = planned.values().filter(|submission| self.only.takes(month.month, submission));
        report.requests = requests(self.plan.cloud, month.month, to_send, self.batch).collect();
        report.unattributed_records = month.usage.snapshot.unattributed_records();
        report.no_usage = month.usage.snapshot.is_empty();
        report
    }
}
