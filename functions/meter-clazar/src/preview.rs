//! The dry run: what a run would send, told from what can only read.

use std::collections::{BTreeMap, BTreeSet};

use billing::certificate::DocumentRef;
use billing::metering::{Line, NotGivenUp, Plan, Submission, UsageSnapshot, first_month};
use billing::month::BillingMonth;
use billing::revision::{Revision, sha256_hex};
use chrono::{DateTime, Utc};
use cloud::ledger::{Cursor, UsageRecord};
use cloud::plans::PlanToMeter;

use crate::books::{Books, GivenUsage, MonthUsage, PlanBooks, PlansMonth};
use crate::error::{MeterError, PlanError};
use crate::event::{GiveUp, Selection};
use crate::marketplace::MarketplacePlans;
use crate::report::{GivenUpSubmission, MonthReport, MonthStanding, PlanReport};
use crate::work::{Reports, begun, check_worked_on, fail, given_up, is_asked, of_asked, requests};

/// A dry run of the plans of a marketplace.
pub(crate) struct Preview<'a> {
    pub(crate) books: &'a Books,
    pub(crate) known: &'a MarketplacePlans,
    /// The plan that is asked for; nothing for all of them.
    pub(crate) plan: Option<&'a Plan>,
    pub(crate) only: &'a Selection,
    /// A contract that would be given up, instead of sending anything.
    pub(crate) give_up: Option<&'a GiveUp>,
    /// Usage that stands nowhere yet.
    pub(crate) usage: &'a [UsageSnapshot],
    pub(crate) batch: usize,
    pub(crate) now: DateTime<Utc>,
}

impl Preview<'_> {
    /// The plans' open months, as if everything sent were accepted.
    ///
    /// # Errors
    /// If what is asked for cannot be given up.
    pub(crate) async fn run(&self) -> Result<Vec<PlanReport>, NotGivenUp> {
        let mut reports = begun(self.known);
        if let Err(failed) = self.tell(&mut reports).await {
            fail(&mut reports, failed)?;
        }
        Ok(of_asked(reports, self.plan))
    }

    async fn tell(&self, reports: &mut Reports) -> Result<(), PlanError> {
        let given = self.given()?;
        let mut books = Vec::new();
        for plan in &self.known.plans {
            let of_plan = self.plan_books(plan, &given).await;
            let of_plan = of_plan.map_err(|error| PlanError::of(&plan.plan, error))?;
            if let Some(report) = reports.get_mut(&plan.plan) {
                report.waiting_for = of_plan.months.missing;
            }
            books.push(of_plan);
        }
        let usage: GivenUsage = given
            .into_iter()
            .map(|(record, usage)| ((usage.snapshot.plan.clone(), record.month), usage))
            .collect();
        let mut before: BTreeMap<Plan, BTreeMap<Line, Submission>> = BTreeMap::new();
        let open: BTreeSet<BillingMonth> = books.iter().flat_map(PlanBooks::worked_on).collect();
        for month in open {
            let mut shared = self.books.month(month, &books, self.known, &usage, self.now).await?;
            for (plan, month) in &mut shared.counted {
                if let Some(before) = before.remove(plan) {
                    month.before = before;
                }
            }
            let mut planned = shared.planned()?;
            let given_up = match self.give_up.filter(|asked| asked.month == month) {
                Some(asked) => self.give_up(asked, &mut planned)?,
                None => BTreeMap::new(),
            };
            for (plan, planned) in &planned {
                let mut told = self.shown(&shared, plan, planned);
                told.given_up = given_up.get(plan).cloned().unwrap_or_default();
                reports.get_mut(plan).into_iter().for_each(|report| report.months.push(told.clone()));
            }
            before = planned;
        }
        Ok(check_worked_on(self.give_up, &books).map_err(MeterError::from)?)
    }

    async fn plan_books<'p>(
        &self,
        plan: &'p PlanToMeter,
        given: &[(UsageRecord, MonthUsage)],
    ) -> Result<PlanBooks<'p>, MeterError> {
        let cursor = self.books.ledger.cursor(&plan.plan).await?;
        let usage = self.books.ledger.usage(&plan.plan).await?;
        let mut usage: BTreeMap<_, _> = usage.into_iter().map(|usage| (usage.month, usage)).collect();
        let of_plan = given.iter().filter(|(_, usage)| usage.snapshot.plan == plan.plan);
        usage.extend(of_plan.map(|(record, _)| (record.month, record.clone())));
        let cursor = cursor.unwrap_or_else(|| Cursor {
            last_processed_month: first_month(plan.start_month, self.now).previous(),
            last_updated: self.now,
        });
        let usage = usage.into_values().collect();
        self.books.plan_of(plan, self.known.is_one(), Some(cursor), usage, 0, &[].into()).await
    }

    /// Usage that came with the event.
    fn given(&self) -> Result<Vec<(UsageRecord, MonthUsage)>, MeterError> {
        let of_plans = self.usage.iter().filter(|usage| self.known.has(&usage.plan));
        let record = |snapshot: &UsageSnapshot| {
            let sha256 = sha256_hex(&snapshot.to_json()?);
            let revision = Revision::of_sha256(&sha256);
            let record = UsageRecord::of(snapshot, &revision, self.now);
            let input = DocumentRef { key: String::new(), sha256 };
            Ok((record, MonthUsage { snapshot: snapshot.clone(), revision, input }))
        };
        of_plans.map(record).collect()
    }

    /// What would be given up, as if it were.
    fn give_up(
        &self,
        asked: &GiveUp,
        planned: &mut BTreeMap<Plan, BTreeMap<Line, Submission>>,
    ) -> Result<BTreeMap<Plan, Vec<GivenUpSubmission>>, MeterError> {
        let standing: Vec<_> = planned
            .iter()
            .flat_map(|(plan, submissions)| submissions.values().map(move |submission| (plan, submission)))
            .collect();
        let given = given_up(asked, self.plan, &standing, self.now)?;
        let told = GivenUpSubmission::by_plan(&given);
        for (plan, submission) in given {
            planned.entry(plan).or_default().insert(submission.line.clone(), submission);
        }
        Ok(told)
    }

    fn shown(&self, shared: &PlansMonth, plan: &Plan, planned: &BTreeMap<Line, Submission>) -> MonthReport {
        let (month, cloud) = (shared.month, self.known.cloud);
        let mut report = MonthReport::of(month, MonthStanding::Preview, planned, cloud, self.now);
        let to_send = planned
            .values()
            .filter(|submission| self.only.takes(month, submission) && is_asked(self.plan, plan, submission));
        if self.give_up.is_none() && shared.waits_for.is_empty() {
            report.requests = requests(cloud, month, to_send, self.batch).collect();
        }
        report.waits_for.clone_from(&shared.waits_for);
        let usage = shared.counted.get(plan).map(|month| &month.usage.snapshot);
        report.unattributed_records = usage.map_or(0, UsageSnapshot::unattributed_records);
        report.no_usage = usage.is_some_and(UsageSnapshot::is_empty);
        report
    }
}
