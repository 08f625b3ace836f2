//! Schedule -> `usage/omnistrate/...`: a month of Omnistrate's metering export, summed.
//!
//! Without more in the event, every month that is due and, for usage that comes late, the last closed ones; `{"month": "2026-10"}` by
//! hand; `"dry_run": true` counts and writes nothing. One month that fails does not stop the others; the invocation then fails, so
//! that it is tried again. A month whose files did not change is not read again.
//!
//! | variable | meaning |
//! |---|---|
//! | `DATA_BUCKET`, `STATE_TABLE` | the data bucket and the ledger's table |
//! | `S3_BUCKET_NAME` | the bucket that Omnistrate exports to; it is only read |
//! | `SERVICE_NAME`, `ENVIRONMENT_TYPE`, `PLAN_ID`, `START_MONTH` | the plan, see [`cloud::plans`] |
//! | `MAX_MONTHS_PER_RUN` | months counted for the first time at most, default 12 |
//! | `LATE_USAGE_MONTHS` | closed months looked at again, default 2 |
//! | `OMNISTRATE_CONCURRENCY` | files read at once, default 64 |
//! | `DRY_RUN` | `true`: every invocation is a dry run |

mod event;
mod export;
mod report;

use billing::ids::InvalidId;
use billing::keys::UsageKey;
use billing::metering::{
    DueMonths, Plan, Source, UsageError, UsageSnapshot, due_months, exported_to, first_month,
};
use billing::month::{BillingMonth, NotBegun};
use billing::revision::Revision;
use chrono::{DateTime, SecondsFormat, Utc};
use cloud::aws::Aws;
use cloud::bucket::{Bucket, BucketError, BucketReader};
use cloud::events::InvalidWish;
use cloud::invocation::{Function, asks_for_dry_run};
use cloud::ledger::{Ledger, LedgerError, LedgerReader, UsageRecord};
use cloud::plans::{PlanToMeter, PlansConfig, PlansError};
use cloud::vars::{VarError, Vars};
use serde_json::Value;

use crate::event::{Wanted, read_event};
use crate::export::Export;

pub use report::{CountedMonth, FailedMonth, FetchUsageReport, MonthOutcome};

/// What looks: it reads the export and the ledger, and holds nothing that could write. A dry run is given this alone.
pub(crate) struct Reader {
    export: Export,
    bucket: BucketReader,
    ledger: LedgerReader,
    plans: PlansConfig,
    most_months: usize,
    late_usage_months: usize,
}

/// The function with its clients.
pub struct App {
    reader: Reader,
    bucket: Bucket,
    ledger: Ledger,
    dry_run: bool,
}

/// Why nothing could be counted; what goes wrong with one month is in the report.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum Error {
    #[error(transparent)]
    Var(#[from] VarError),
    #[error(transparent)]
    Plans(#[from] PlansError),
    #[error(transparent)]
    Event(#[from] InvalidWish),
    #[error(transparent)]
    NotBegun(#[from] NotBegun),
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

/// Why one month could not be counted: nothing is written of it, and the next run tries again.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum MonthError {
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("{key} changed or went away while the month was read; the next run reads it again")]
    Moved { key: String },
    #[error(
        "{key} has {size_bytes} bytes, which no file of hourly usage has; at most {limit_bytes} are read"
    )]
    TooLarge { key: String, size_bytes: i64, limit_bytes: i64 },
    #[error("{key}: {why}")]
    Marker { key: &'static str, why: String },
    #[error("{month} is not over, or the export does not say that it is complete")]
    NotComplete { month: BillingMonth },
    #[error("counting ended early: {0}")]
    Task(String),
    #[error("the usage snapshot cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

impl Function for App {
    const NAME: &'static str = "fetch-omnistrate";
    type Report = FetchUsageReport;
    type Error = Error;

    async fn connect(vars: &Vars) -> Result<Self, Error> {
        let bucket = vars.require("DATA_BUCKET", "the name of the data bucket")?;
        let table = vars.require("STATE_TABLE", "the name of the ledger's table")?;
        let export =
            vars.require("S3_BUCKET_NAME", "the name of the bucket that Omnistrate exports usage to")?;
        let aws = Aws::connect(vars).await?;
        let (bucket, ledger) = (Bucket::new(&aws, bucket), Ledger::new(&aws, table));
        let reader = Reader {
            export: Export::new(
                BucketReader::new(&aws, export, "S3_BUCKET_NAME"),
                vars.number("OMNISTRATE_CONCURRENCY", 64usize)?.max(1),
            ),
            bucket: bucket.reader().clone(),
            ledger: ledger.reader().clone(),
            plans: PlansConfig::from_vars(vars)?,
            most_months: vars.number("MAX_MONTHS_PER_RUN", 12)?,
            late_usage_months: vars.number("LATE_USAGE_MONTHS", 2)?,
        };
        Ok(Self { reader, bucket, ledger, dry_run: vars.flag("DRY_RUN")? })
    }

    async fn handle(&self, event: &Value, now: DateTime<Utc>) -> Result<FetchUsageReport, Error> {
        let wanted = read_event(event)?;
        wanted.month.map(|month| month.begun(now)).transpose()?;
        let dry_run = wanted.dry_run || self.dry_run;
        let mut report = FetchUsageReport::new(dry_run);
        let marker = self.reader.export.marker().await?;
        for plan in self.reader.plans(&wanted).await? {
            let asked = Asked { plan: &plan, month: wanted.month, marker: marker.as_deref(), now };
            if dry_run {
                self.reader.look(&asked, &mut report).await;
            } else {
                self.count(&asked, &mut report).await;
            }
        }
        report.log(self.reader.export.reads());
        Ok(report)
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn is_dry_run(&self, event: &Value) -> bool {
        self.dry_run || asks_for_dry_run(event)
    }
}

/// One plan of one invocation.
struct Asked<'a> {
    plan: &'a PlanToMeter,
    month: Option<BillingMonth>,
    marker: Option<&'a [u8]>,
    now: DateTime<Utc>,
}

/// What the ledger knows of a plan.
struct Known {
    last_processed: Option<BillingMonth>,
    usage: Vec<UsageRecord>,
}

impl Reader {
    async fn plans(&self, wanted: &Wanted) -> Result<Vec<PlanToMeter>, PlansError> {
        match &wanted.plan {
            Some(plan) => Ok(vec![self.plans.plan(plan.clone(), &self.bucket).await?]),
            None => self.plans.plans(&self.bucket).await,
        }
    }

    /// Counts every month asked for and keeps nothing.
    async fn look(&self, asked: &Asked<'_>, report: &mut FetchUsageReport) {
        let plan = &asked.plan.plan;
        let known = self.known(plan).await;
        match known.and_then(|known| self.months(asked, &known)) {
            Ok(months) => {
                for month in months {
                    let counted = self.export.count(plan, month).await.and_then(|snapshot| {
                        let key = key(plan, month, &Revision::of(&snapshot.to_json()?));
                        Ok(CountedMonth::counted(MonthOutcome::WouldCount, &key, snapshot))
                    });
                    report.add(plan, month, counted);
                }
            }
            Err(error) => report.fail(plan, asked.month, &error),
        }
    }

    async fn known(&self, plan: &Plan) -> Result<Known, MonthError> {
        let (cursor, usage) = futures::join!(self.ledger.cursor(plan), self.ledger.usage(plan));
        Ok(Known { last_processed: cursor?.map(|cursor| cursor.last_processed_month), usage: usage? })
    }

    /// The months to count: the one asked for, or those due and the last closed ones.
    fn months(&self, asked: &Asked<'_>, known: &Known) -> Result<Vec<BillingMonth>, MonthError> {
        let Asked { plan: PlanToMeter { plan, start_month, .. }, now, .. } = *asked;
        let says =
            |marker| exported_to(marker, plan).map_err(|why| MonthError::Marker { key: export::MARKER, why });
        let exported_to = asked.marker.map(says).transpose()?;
        let due = |last_processed| {
            due_months(&DueMonths { last_processed, start: *start_month, now, exported_to, most: usize::MAX })
        };
        if let Some(month) = asked.month {
            let complete = due(Some(month.previous())).contains(&month);
            return if complete { Ok(vec![month]) } else { Err(MonthError::NotComplete { month }) };
        }
        // of a month that was closed without us there is no snapshot, and nothing to compare late usage with
        let counted = known.usage.iter().map(|usage| usage.month);
        let closed: Vec<BillingMonth> =
            counted.filter(|month| Some(*month) <= known.last_processed).collect();
        let late = &closed[closed.len().saturating_sub(self.late_usage_months)..];
        // an open month is looked at again however many there are: one that never closes must not keep new ones from being counted
        let counted = |month: &BillingMonth| known.usage.iter().any(|usage| usage.month == *month);
        let (mut due, mut new) = (due(known.last_processed), 0);
        due.retain(|month| {
            new += usize::from(!counted(month));
            counted(month) || new <= self.most_months
        });
        Ok([late, &due].concat())
    }

    /// The month as it was counted before, if its files are still the same: told without reading them.
    async fn unchanged(
        &self,
        plan: &Plan,
        month: BillingMonth,
        known: &Known,
    ) -> Result<Option<CountedMonth>, MonthError> {
        let Some(known) = known.usage.iter().find(|usage| usage.month == month) else { return Ok(None) };
        let same = self.export.digest(plan, month).await? == known.digest;
        Ok(same.then(|| CountedMonth::unchanged(&key(plan, month, &known.revision), known)))
    }
}

impl App {
    /// Counts every month asked for and keeps what is new.
    async fn count(&self, asked: &Asked<'_>, report: &mut FetchUsageReport) {
        let plan = &asked.plan.plan;
        let known = match self.begin(asked).await {
            Ok(known) => known,
            Err(error) => return report.fail(plan, asked.month, &error),
        };
        match self.reader.months(asked, &known) {
            Ok(months) => {
                for month in months {
                    // one month that fails does not stop the others
                    report.add(plan, month, self.month(plan, month, &known, asked.now).await);
                }
            }
            Err(error) => report.fail(plan, asked.month, &error),
        }
    }

    /// What is known. A plan without history gets its beginning on record, so that months count from there whatever order
    /// their usage comes in.
    async fn begin(&self, asked: &Asked<'_>) -> Result<Known, MonthError> {
        let PlanToMeter { plan, start_month, .. } = asked.plan;
        let known = self.reader.known(plan).await?;
        if known.last_processed.is_some() {
            return Ok(known);
        }
        let before_first = first_month(*start_month, asked.now).previous();
        self.ledger.begin_metering(plan, before_first, asked.now).await?;
        self.reader.known(plan).await
    }

    async fn month(
        &self,
        plan: &Plan,
        month: BillingMonth,
        known: &Known,
        now: DateTime<Utc>,
    ) -> Result<CountedMonth, MonthError> {
        if let Some(unchanged) = self.reader.unchanged(plan, month, known).await? {
            return Ok(unchanged);
        }
        let snapshot = self.reader.export.count(plan, month).await?;
        let bytes = snapshot.to_json()?;
        let key = key(plan, month, &Revision::of(&bytes));
        self.keep(&key, bytes, &snapshot, now).await?;
        Ok(CountedMonth::counted(MonthOutcome::Counted, &key, snapshot))
    }

    /// The snapshot under its hash, then its place as the newest usage: a month that went back to what it was before finds its object
    /// there and becomes the newest again.
    async fn keep(
        &self,
        key: &UsageKey,
        bytes: Vec<u8>,
        snapshot: &UsageSnapshot,
        now: DateTime<Utc>,
    ) -> Result<(), MonthError> {
        let fetched_at = now.to_rfc3339_opts(SecondsFormat::Millis, true);
        let metadata = [("fetched-at".to_owned(), fetched_at)].into();
        self.bucket.put_new(&key.to_string(), bytes, "application/json", metadata).await?;
        let record = UsageRecord::of(snapshot, &key.revision, now);
        self.ledger.register_usage(&key.plan, &record).await?;
        Ok(())
    }
}

fn key(plan: &Plan, month: BillingMonth, revision: &Revision) -> UsageKey {
    UsageKey { source: Source::Omnistrate, plan: plan.clone(), month, revision: revision.clone() }
}

#[cfg(test)]
mod tests {
    use billing::metering::Marketplace;
    use serde_json::json;

    use super::*;

    /// A reader of buckets that nobody asks: which months are due follows from what is known.
    async fn reader(most_months: usize) -> Reader {
        let aws = Aws::connect(&Vars::from_iter([("AWS_REGION", "us-east-1")])).await.unwrap();
        let bucket = |name: &str| BucketReader::new(&aws, name, "S3_BUCKET_NAME");
        Reader {
            export: Export::new(bucket("export"), 1),
            bucket: bucket("data"),
            ledger: Ledger::new(&aws, "ledger").reader().clone(),
            plans: PlansConfig::from_vars(&Vars::default()).unwrap(),
            most_months,
            late_usage_months: 2,
        }
    }

    fn month(text: &str) -> BillingMonth {
        text.parse().unwrap()
    }

    fn plan() -> PlanToMeter {
        PlanToMeter {
            plan: "s:e:p".parse().unwrap(),
            cloud: Marketplace::Aws,
            start_month: Some(month("2026-03")),
            group: "g".into(),
        }
    }

    /// Months that were counted, and the last one that is closed.
    fn known(counted: &[&str], last_processed: Option<&str>) -> Known {
        let usage = |of: &&str| UsageRecord {
            month: month(of),
            revision: Revision::of(b""),
            fetched_at: "2026-09-01T00:00:00Z".parse().unwrap(),
            digest: String::new(),
            files: 1,
            records: 1,
            unattributed: 0,
        };
        Known { last_processed: last_processed.map(month), usage: counted.iter().map(usage).collect() }
    }

    /// The months to count in September, of an export that is complete until the end of August.
    async fn months(most: usize, asked: Option<&str>, known: &Known) -> Result<String, String> {
        months_by(most, asked, known, &json!({"s:e:p": {"last_processed_to": "2026-08-31T23:59:59Z"}})).await
    }

    async fn months_by(
        most: usize,
        asked: Option<&str>,
        known: &Known,
        marker: &Value,
    ) -> Result<String, String> {
        let (plan, marker) = (plan(), marker.to_string().into_bytes());
        let now = "2026-09-02T06:00:00Z".parse().unwrap();
        let asked = Asked { plan: &plan, month: asked.map(month), marker: Some(&marker), now };
        let months = reader(most).await.months(&asked, known).map_err(|error| error.to_string())?;
        Ok(months.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[tokio::test]
    async fn months_are_counted_from_the_first_one_to_the_last_that_is_complete() {
        let all = "2026-03 2026-04 2026-05 2026-06 2026-07 2026-08";
        assert_eq!(months(12, None, &known(&[], Some("2026-02"))).await.unwrap(), all);
        assert_eq!(months(12, None, &known(&[], Some("2026-06"))).await.unwrap(), "2026-07 2026-08");
        let early = json!({"s:e:p": {"last_processed_to": "2026-07-31T23:59:59Z"}});
        assert_eq!(months_by(12, None, &known(&[], Some("2026-06")), &early).await.unwrap(), "2026-07");
    }

    #[tokio::test]
    async fn a_run_takes_so_many_new_months_and_looks_at_open_ones_all_the_same() {
        assert_eq!(months(2, None, &known(&[], Some("2026-02"))).await.unwrap(), "2026-03 2026-04");
        let open = known(&["2026-03", "2026-04", "2026-05"], Some("2026-02"));
        assert_eq!(months(1, None, &open).await.unwrap(), "2026-03 2026-04 2026-05 2026-06");
    }

    #[tokio::test]
    async fn the_last_closed_months_that_we_have_counted_are_looked_at_for_late_usage() {
        let closed = known(&["2026-03", "2026-04", "2026-05", "2026-06"], Some("2026-07"));
        assert_eq!(months(12, None, &closed).await.unwrap(), "2026-05 2026-06 2026-08");
    }

    #[tokio::test]
    async fn a_month_that_a_person_names_must_be_complete() {
        let closed = known(&[], Some("2026-07"));
        assert_eq!(months(12, Some("2026-05"), &closed).await.unwrap(), "2026-05");
        assert_eq!(
            months(12, Some("2026-09"), &closed).await.unwrap_err(),
            "2026-09 is not over, or the export does not say that it is complete"
        );
        let unreadable = months_by(12, None, &closed, &json!({"s:e:p": 7})).await.unwrap_err();
        assert!(unreadable.starts_with("omnistrate-metering/last_success_export.json: "), "{unreadable}");
    }
}
