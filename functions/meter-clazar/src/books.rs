//! What stands of the plans of a marketplace: their open months, their usage and their submissions. Everything here only reads.

use std::collections::{BTreeMap, BTreeSet};

use billing::certificate::DocumentRef;
use billing::ids::ContractId;
use billing::keys::UsageKey;
use billing::metering::{
    LeftOut, Line, Member, MonthBooks, Plan, PlanningError, Source, Submission, UsageSnapshot, first_month,
    plan_months,
};
use billing::month::BillingMonth;
use billing::revision::{Revision, sha256_hex};
use chrono::{DateTime, Utc};
use cloud::bucket::BucketReader;
use cloud::ledger::{Cursor, LedgerReader, Stored, UsageRecord};
use cloud::plans::PlanToMeter;

use crate::error::{MeterError, PlanError};
use crate::marketplace::MarketplacePlans;

/// Reads the bucket and the ledger, and holds nothing that could write or send.
#[derive(Clone, Debug)]
pub(crate) struct Books {
    pub(crate) bucket: BucketReader,
    pub(crate) ledger: LedgerReader,
}

/// The usage of one month: the newest snapshot.
#[derive(Clone, Debug)]
pub(crate) struct MonthUsage {
    pub(crate) snapshot: UsageSnapshot,
    pub(crate) revision: Revision,
    pub(crate) input: DocumentRef,
}

/// Usage that stands nowhere yet.
pub(crate) type GivenUsage = BTreeMap<(Plan, BillingMonth), MonthUsage>;

/// A month of one plan with all that decides what it submits.
#[derive(Clone, Debug)]
pub(crate) struct Month {
    pub(crate) closed: bool,
    pub(crate) usage: MonthUsage,
    pub(crate) standing: BTreeMap<Line, Stored>,
    pub(crate) before: BTreeMap<Line, Submission>,
    pub(crate) after: Vec<BTreeMap<Line, Submission>>,
    pub(crate) imported: BTreeSet<ContractId>,
    /// Plans of one group add up.
    group: String,
}

/// A month of a plan that is not planned now.
#[derive(Clone, Debug)]
struct Beside {
    standing: BTreeMap<Line, Submission>,
    imported: BTreeSet<ContractId>,
    closed: bool,
}

/// A month of all plans of a marketplace.
#[derive(Clone, Debug)]
pub(crate) struct PlansMonth {
    pub(crate) month: BillingMonth,
    /// Of the plans that have usage of it.
    pub(crate) counted: BTreeMap<Plan, Month>,
    /// Of the other plans of the marketplace, and of those that nobody lists any more.
    beside: BTreeMap<Plan, Beside>,
    /// Of plans on other marketplaces.
    elsewhere: BTreeMap<Plan, BTreeMap<Line, Submission>>,
    /// Plans whose usage is missing: contracts may be shared with them, so that nothing is sent.
    pub(crate) waits_for: Vec<Plan>,
    /// Plans that a person has left out of the month.
    pub(crate) left_out: Vec<LeftOut>,
}

/// The months of a plan that have usage.
#[derive(Clone, Debug, Default)]
pub(crate) struct Months {
    /// Closed ones that are looked at again, oldest first.
    pub(crate) closed: Vec<UsageRecord>,
    /// Open ones, one after the other from the first.
    pub(crate) open: Vec<UsageRecord>,
    /// A month whose usage is missing though that of a later one is there: nothing after it can be metered.
    pub(crate) missing: Option<BillingMonth>,
}

/// What is known of a plan before its months are read.
#[derive(Clone, Debug)]
pub(crate) struct PlanBooks<'p> {
    pub(crate) plan: &'p PlanToMeter,
    pub(crate) last_processed: Option<BillingMonth>,
    pub(crate) counted: BTreeSet<BillingMonth>,
    pub(crate) months: Months,
    left_out: BTreeMap<BillingMonth, LeftOut>,
}

impl PlanBooks<'_> {
    pub(crate) fn is_open(&self, month: BillingMonth) -> bool {
        self.months.open.iter().any(|usage| usage.month == month)
    }

    fn is_closed(&self, month: BillingMonth) -> bool {
        self.last_processed.is_some_and(|last| month <= last)
    }

    /// Whether the plan is in force in a month, and its usage of it is missing.
    fn is_waited_for(&self, month: BillingMonth, now: DateTime<Utc>) -> bool {
        let first = || first_month(self.plan.start_month, now).previous();
        month > self.last_processed.unwrap_or_else(first)
            && !self.is_open(month)
            && !self.left_out.contains_key(&month)
    }

    /// All months that are worked on.
    pub(crate) fn worked_on(&self) -> impl Iterator<Item = BillingMonth> {
        self.months.closed.iter().chain(&self.months.open).map(|usage| usage.month)
    }

    pub(crate) fn is_worked_on(&self, month: BillingMonth) -> bool {
        self.record(month).is_some()
    }

    fn record(&self, month: BillingMonth) -> Option<&UsageRecord> {
        self.months.closed.iter().chain(&self.months.open).find(|usage| usage.month == month)
    }
}

impl PlansMonth {
    /// All submissions of the plans that are counted, as they should stand.
    pub(crate) fn planned(&self) -> Result<BTreeMap<Plan, BTreeMap<Line, Submission>>, PlanningError> {
        let standing: Vec<_> = self.counted.values().map(|month| submissions(&month.standing)).collect();
        let counted = self.counted.iter().zip(&standing).map(|((plan, month), standing)| {
            let books = MonthBooks {
                usage: &month.usage.snapshot,
                revision: &month.usage.revision,
                standing,
                before: &month.before,
                after: &month.after,
                imported: &month.imported,
                closed: month.closed,
            };
            (plan.clone(), Member::Counted { books, group: &month.group })
        });
        let beside = self.beside.iter().map(|(plan, Beside { standing, imported, closed })| {
            (plan.clone(), Member::Standing { standing, imported, closed: *closed })
        });
        let elsewhere =
            self.elsewhere.iter().map(|(plan, standing)| (plan.clone(), Member::Elsewhere { standing }));
        plan_months(&counted.chain(beside).chain(elsewhere).collect())
    }

    /// What stands of a line of a plan.
    pub(crate) fn standing(&self, plan: &Plan, line: &Line) -> Option<&Submission> {
        let counted = || Some(&self.counted.get(plan)?.standing.get(line)?.submission);
        counted().or_else(|| self.beside.get(plan)?.standing.get(line))
    }

    /// Notes what was written.
    pub(crate) fn note(&mut self, written: impl IntoIterator<Item = (Plan, Stored)>) {
        for (plan, stored) in written {
            if let Some(month) = self.counted.get_mut(&plan) {
                month.standing.insert(stored.submission.line.clone(), stored);
            }
        }
    }
}

/// The submissions without their versions.
pub(crate) fn submissions(stored: &BTreeMap<Line, Stored>) -> BTreeMap<Line, Submission> {
    stored.iter().map(|(line, stored)| (line.clone(), stored.submission.clone())).collect()
}

/// Which months there are to work on: `usage` by month, oldest first; of the closed ones the last, and those whose usage just `came`.
pub(crate) fn months(
    usage: Vec<UsageRecord>,
    cursor: Option<Cursor>,
    late_months: usize,
    came: &BTreeSet<BillingMonth>,
) -> Months {
    let Some(last) = cursor.map(|cursor| cursor.last_processed_month) else { return Months::default() };
    let (closed, after): (Vec<_>, Vec<_>) = usage.into_iter().partition(|usage| usage.month <= last);
    let older = closed.len().saturating_sub(late_months);
    let looked_at = closed.into_iter().enumerate();
    let looked_at = looked_at.filter(|(index, usage)| *index >= older || came.contains(&usage.month));
    let mut months = Months { closed: looked_at.map(|(_, usage)| usage).collect(), ..Months::default() };
    let mut next = last.next();
    for usage in after {
        if usage.month != next {
            months.missing = Some(next);
            break;
        }
        next = next.next();
        months.open.push(usage);
    }
    months
}

impl Books {
    /// What is known of a plan; `alone` if no other plan is sold on its marketplace.
    pub(crate) async fn plan<'p>(
        &self,
        plan: &'p PlanToMeter,
        alone: bool,
        late_months: usize,
        came: &BTreeSet<BillingMonth>,
    ) -> Result<PlanBooks<'p>, MeterError> {
        let cursor = self.ledger.cursor(&plan.plan).await?;
        let usage = self.ledger.usage(&plan.plan).await?;
        self.plan_of(plan, alone, cursor, usage, late_months, came).await
    }

    /// The same with usage that is known already.
    pub(crate) async fn plan_of<'p>(
        &self,
        plan: &'p PlanToMeter,
        alone: bool,
        cursor: Option<Cursor>,
        usage: Vec<UsageRecord>,
        late_months: usize,
        came: &BTreeSet<BillingMonth>,
    ) -> Result<PlanBooks<'p>, MeterError> {
        let left_out = if alone { BTreeMap::new() } else { self.ledger.left_out(&plan.plan).await? };
        Ok(PlanBooks {
            plan,
            last_processed: cursor.map(|cursor| cursor.last_processed_month),
            counted: usage.iter().map(|usage| usage.month).collect(),
            months: months(usage, cursor, late_months, came),
            left_out,
        })
    }

    /// A month of all plans, and everything that decides what they submit. Usage that is `given` counts as if it stood in the bucket.
    pub(crate) async fn month(
        &self,
        month: BillingMonth,
        books: &[PlanBooks<'_>],
        known: &MarketplacePlans,
        given: &GivenUsage,
        now: DateTime<Utc>,
    ) -> Result<PlansMonth, PlanError> {
        let mut shared = PlansMonth {
            month,
            counted: BTreeMap::new(),
            beside: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            waits_for: Vec::new(),
            left_out: Vec::new(),
        };
        for of_plan in books {
            let plan = &of_plan.plan.plan;
            let failed = |error| PlanError::of(plan, error);
            let closed = of_plan.is_closed(month);
            if let Some(record) = of_plan.record(month) {
                let usage = match given.get(&(plan.clone(), month)) {
                    Some(usage) => usage.clone(),
                    None => self.usage(plan, record).await.map_err(failed)?,
                };
                let counted = self.counted(of_plan.plan, month, usage, closed).await.map_err(failed)?;
                shared.counted.insert(plan.clone(), counted);
            } else {
                let beside = self.beside(plan, month, closed).await.map_err(failed)?;
                shared.beside.insert(plan.clone(), beside);
            }
            if of_plan.is_waited_for(month, now) {
                shared.waits_for.push(plan.clone());
            }
            shared.left_out.extend(of_plan.left_out.get(&month).cloned());
        }
        for plan in &known.former {
            let cursor = self.ledger.cursor(plan).await.map_err(|error| PlanError::of(plan, error))?;
            let closed = cursor.is_some_and(|cursor| month <= cursor.last_processed_month);
            let beside = self.beside(plan, month, closed).await;
            shared.beside.insert(plan.clone(), beside.map_err(|error| PlanError::of(plan, error))?);
        }
        for plan in &known.elsewhere {
            let standing = self.ledger.submissions(plan, month).await;
            let standing = standing.map_err(|error| PlanError::of(plan, error))?;
            shared.elsewhere.insert(plan.clone(), submissions(&standing));
        }
        Ok(shared)
    }

    async fn counted(
        &self,
        of: &PlanToMeter,
        month: BillingMonth,
        usage: MonthUsage,
        closed: bool,
    ) -> Result<Month, MeterError> {
        let plan = &of.plan;
        let (standing, before, after, imported) = futures::join!(
            self.ledger.submissions(plan, month),
            self.ledger.submissions(plan, month.previous()),
            self.after(plan, month),
            self.ledger.imported(plan, month),
        );
        Ok(Month {
            closed,
            usage,
            standing: standing?,
            before: submissions(&before?),
            after: after?,
            imported: imported?,
            group: of.group.clone(),
        })
    }

    async fn beside(&self, plan: &Plan, month: BillingMonth, closed: bool) -> Result<Beside, MeterError> {
        let standing = submissions(&self.ledger.submissions(plan, month).await?);
        Ok(Beside { standing, imported: self.ledger.imported(plan, month).await?, closed })
    }

    /// What stands for the months after, as far as anything does.
    async fn after(
        &self,
        plan: &Plan,
        month: BillingMonth,
    ) -> Result<Vec<BTreeMap<Line, Submission>>, MeterError> {
        let (mut months, mut month) = (Vec::new(), month.next());
        loop {
            let standing = submissions(&self.ledger.submissions(plan, month).await?);
            if standing.is_empty() {
                return Ok(months);
            }
            months.push(standing);
            month = month.next();
        }
    }

    async fn usage(&self, plan: &Plan, record: &UsageRecord) -> Result<MonthUsage, MeterError> {
        let key = UsageKey {
            source: Source::Omnistrate,
            plan: plan.clone(),
            month: record.month,
            revision: record.revision.clone(),
        };
        let object = self.bucket.get(&key.to_string(), None).await?;
        let object = object.ok_or_else(|| MeterError::NoSnapshot { key: key.to_string() })?;
        read_usage(&key, &object.bytes)
    }
}

/// Reads a snapshot and checks that it is the one that its key names.
pub(crate) fn read_usage(key: &UsageKey, bytes: &[u8]) -> Result<MonthUsage, MeterError> {
    let held = |why: String| MeterError::Held { key: key.to_string(), why };
    let sha256 = sha256_hex(bytes);
    if Revision::of_sha256(&sha256) != key.revision {
        return Err(held(format!("its content has the hash {}", Revision::of_sha256(&sha256))));
    }
    let snapshot = UsageSnapshot::from_json(bytes).map_err(|error| held(error.to_string()))?;
    if snapshot.plan != key.plan || snapshot.period != key.month || snapshot.source != key.source {
        return Err(held(format!("it is of {} of {}", snapshot.period, snapshot.plan)));
    }
    let input = DocumentRef { key: key.to_string(), sha256 };
    Ok(MonthUsage { snapshot, revision: key.revision.clone(), input })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage_of(month: &str) -> UsageRecord {
        UsageRecord {
            month: month.parse().unwrap(),
            revision: Revision::of(b""),
            fetched_at: "2025-07-01T00:00:00Z".parse().unwrap(),
            digest: String::new(),
            files: 1,
            records: 1,
            unattributed: 0,
        }
    }

    fn shown(usage: &[&str], last: Option<&str>) -> String {
        let cursor = last.map(|last| Cursor {
            last_processed_month: last.parse().unwrap(),
            last_updated: "2025-07-01T00:00:00Z".parse().unwrap(),
        });
        let came = BTreeSet::from(["2025-01".parse().unwrap()]);
        let months = months(usage.iter().map(|month| usage_of(month)).collect(), cursor, 2, &came);
        let list = |records: &[UsageRecord]| {
            records.iter().map(|u| u.month.to_string()).collect::<Vec<_>>().join(" ")
        };
        let missing = months.missing.map(|month| month.to_string()).unwrap_or_default();
        format!("{} | {} | {missing}", list(&months.closed), list(&months.open))
    }

    #[test]
    fn months_are_worked_on_in_order_and_none_is_skipped() {
        assert_eq!(shown(&["2025-05", "2025-06"], Some("2025-04")), " | 2025-05 2025-06 | ");
        assert_eq!(shown(&["2025-06", "2025-07"], Some("2025-04")), " |  | 2025-05");
        assert_eq!(shown(&["2025-05", "2025-07"], Some("2025-04")), " | 2025-05 | 2025-06");
        assert_eq!(
            shown(&["2025-02", "2025-03", "2025-04", "2025-05"], Some("2025-04")),
            "2025-03 2025-04 | 2025-05 | "
        );
        assert_eq!(
            shown(&["2025-01", "2025-02", "2025-03", "2025-04"], Some("2025-04")),
            "2025-01 2025-03 2025-04 |  | "
        );
        assert_eq!(
            shown(&["2025-05"], None),
            " |  | ",
            "without a beginning nobody knows which month is the first"
        );
    }
}
