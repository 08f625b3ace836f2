//! What stands of a plan: its open months, their usage and their submissions. Everything here only reads.

use std::collections::{BTreeMap, BTreeSet};

use billing::certificate::DocumentRef;
use billing::ids::ContractId;
use billing::keys::UsageKey;
use billing::metering::{
    Line, MonthBooks, Plan, PlanningError, Source, Submission, UsageSnapshot, plan_month,
};
use billing::month::BillingMonth;
use billing::revision::{Revision, sha256_hex};
use cloud::bucket::BucketReader;
use cloud::ledger::{Cursor, LedgerReader, Stored, UsageRecord};

use crate::error::MeterError;

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

/// A month with all that decides what it submits.
#[derive(Clone, Debug)]
pub(crate) struct Month {
    pub(crate) month: BillingMonth,
    pub(crate) closed: bool,
    pub(crate) usage: MonthUsage,
    pub(crate) standing: BTreeMap<Line, Stored>,
    pub(crate) before: BTreeMap<Line, Submission>,
    pub(crate) after: Vec<BTreeMap<Line, Submission>>,
    pub(crate) imported: BTreeSet<ContractId>,
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

impl Month {
    pub(crate) fn planned(&self) -> Result<BTreeMap<Line, Submission>, PlanningError> {
        plan_month(&MonthBooks {
            usage: &self.usage.snapshot,
            revision: &self.usage.revision,
            standing: &submissions(&self.standing),
            before: &self.before,
            after: &self.after,
            imported: &self.imported,
            closed: self.closed,
        })
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
    /// A month and everything that decides what it submits.
    pub(crate) async fn month(
        &self,
        plan: &Plan,
        record: &UsageRecord,
        closed: bool,
    ) -> Result<Month, MeterError> {
        let usage = self.usage(plan, record).await?;
        self.month_of(plan, record.month, usage, closed).await
    }

    /// The same with usage that is known already.
    pub(crate) async fn month_of(
        &self,
        plan: &Plan,
        month: BillingMonth,
        usage: MonthUsage,
        closed: bool,
    ) -> Result<Month, MeterError> {
        let (standing, before, after, imported) = futures::join!(
            self.ledger.submissions(plan, month),
            self.ledger.submissions(plan, month.previous()),
            self.after(plan, month),
            self.ledger.imported(plan, month),
        );
        Ok(Month {
            month,
            closed,
            usage,
            standing: standing?,
            before: submissions(&before?),
            after: after?,
            imported: imported?,
        })
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
