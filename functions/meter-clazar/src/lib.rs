//! `usage/*` created -> Clazar: each contract's usage of a month, once.
//!
//! An S3 notification (or `{"key": "usage/..."}`) brings new usage of a plan; the schedule (or `{}`) takes up what is still open, because
//! what was refused or has an unknown end is sent again until it is settled. `{"month": "2026-10", "contract": "..."}` sends only that;
//! `"dry_run": true` says the exact requests and does nothing. A month closes when all of it is settled, and not before.
//!
//! A run is one event of the schedule, or what a person starts, who may say when it `"began"`. What the service has answered, whatever it said, is
//! not sent again in the same run, however often its events are delivered; what new usage brings is sent when it comes, and nothing else with it.
//!
//! | variable or secret | meaning |
//! |---|---|
//! | `DATA_BUCKET`, `STATE_TABLE` | the bucket and the ledger's table |
//! | `CLAZAR_CLIENT_ID`, `CLAZAR_CLIENT_SECRET` | the credentials; a dry run needs none |
//! | `SECRETS`, `CLAZAR_SECRET_ARN` or `CLAZAR_VAULT_PATH` | where they come from, see [`cloud::secrets`] |
//! | `CLAZAR_API_URL` | default `https://api.clazar.io/metering/`; its sibling `authenticate/` gives the token |
//! | `SERVICE_NAME`, `ENVIRONMENT_TYPE`, `PLAN_ID`, `CLAZAR_CLOUD`, `START_MONTH` | the plan, see [`cloud::plans`] |
//! | `ALLOW_EMPTY_MONTHS` | `true`: a month without any usage closes |
//! | `LATE_USAGE_MONTHS` | closed months whose usage is compared again, default 2 |
//! | `CLAZAR_CONCURRENCY` | contracts sent at once, default 8 |
//! | `CLAZAR_BATCH` | records in one request at most, default 25 |
//! | `CLAZAR_TIMEOUT_MS` | bound of one request, default 30000 |
//! | `METER_LEASE_WAIT_MS` | how long to wait for another invocation on the same plan, default 70000 |
//! | `METER_TIME_LIMIT_MS` | after that long no request is begun, default 600000 |
//! | `DRY_RUN` | `true`: every invocation is a dry run |
//! | `HTTP_*` | see [`cloud::http`] |

mod books;
mod clazar;
mod connection;
mod error;
mod event;
mod lease;
mod preview;
mod publish;
mod report;
mod request;
mod usage;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use billing::metering::{Plan, UsageSnapshot};
use billing::month::{BillingMonth, NotBegun};
use chrono::{DateTime, Utc};
use cloud::aws::Aws;
use cloud::bucket::Bucket;
use cloud::invocation::{Function, asks_for_dry_run};
use cloud::ledger::Ledger;
use cloud::plans::{PlanToMeter, PlansConfig, PlansError};
use cloud::vars::{VarError, Vars};
use serde_json::Value;

use crate::books::Books;
use crate::connection::Connection;
use crate::event::{InvalidEvent, Selection, Wanted, read_event};
use crate::lease::{Clock, Lease};
use crate::preview::Preview;
use crate::work::{Settings, Work};

pub use error::{ClazarError, MeterError};
pub use report::{LateUsage, MeterReport, MonthReport, MonthStanding, PlanReport, Problem, UncountedMonth};
pub use request::{MeteringRecord, MeteringRequest};

pub(crate) const NAME: &str = "meter-clazar";

/// The function with its clients.
pub struct App {
    /// All that a dry run is given.
    books: Books,
    bucket: Bucket,
    ledger: Ledger,
    connection: Connection,
    plans: PlansConfig,
    settings: Settings,
    lease_wait: Duration,
    dry_run: bool,
}

/// Why nothing could be metered; what goes wrong with one plan is in the report.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum Error {
    #[error(transparent)]
    Var(#[from] VarError),
    #[error(transparent)]
    Plans(#[from] PlansError),
    #[error(transparent)]
    Event(#[from] InvalidEvent),
    #[error(transparent)]
    NotBegun(#[from] NotBegun),
    #[error(transparent)]
    Meter(#[from] MeterError),
}

impl Function for App {
    const NAME: &'static str = NAME;
    type Report = MeterReport;
    type Error = Error;

    async fn connect(vars: &Vars) -> Result<Self, Error> {
        let bucket = vars.require("DATA_BUCKET", "the name of the data bucket")?;
        let table = vars.require("STATE_TABLE", "the name of the ledger's table")?;
        let aws = Aws::connect(vars).await?;
        let (bucket, ledger) = (Bucket::new(&aws, bucket), Ledger::new(&aws, table));
        let millis = |name, default| vars.number(name, default).map(Duration::from_millis);
        Ok(Self {
            books: Books { bucket: bucket.reader().clone(), ledger: ledger.reader().clone() },
            plans: PlansConfig::from_vars(vars)?,
            settings: Settings {
                allow_empty_months: vars.flag("ALLOW_EMPTY_MONTHS")?,
                late_usage_months: vars.number("LATE_USAGE_MONTHS", 2)?,
                concurrency: vars.number("CLAZAR_CONCURRENCY", 8usize)?.max(1),
                batch: vars.number("CLAZAR_BATCH", 25usize)?.max(1),
                time_limit: millis("METER_TIME_LIMIT_MS", 600_000)?,
            },
            lease_wait: millis("METER_LEASE_WAIT_MS", 70_000)?,
            dry_run: vars.flag("DRY_RUN")?,
            connection: Connection::new(vars.clone(), aws),
            bucket,
            ledger,
        })
    }

    async fn handle(&self, event: &Value, now: DateTime<Utc>) -> Result<MeterReport, Error> {
        let clock = Clock::starting(now);
        let wanted = read_event(event)?;
        if let Some(month) = wanted.month() {
            month.begun(now)?;
        }
        match wanted {
            Wanted::DryRun { plan, only, usage } => self.preview(plan, &only, &usage, now).await,
            // usage that comes while every invocation is a dry run stays: a real run finds it
            Wanted::Usage(_) if self.dry_run => self.preview(None, &Selection::default(), &[], now).await,
            Wanted::Plans { plan, only } if self.dry_run => self.preview(plan, &only, &[], now).await,
            Wanted::Usage(objects) => {
                let mut report = MeterReport::new(false);
                let came = self.register(&objects, &mut report, now).await?;
                for (plan, months) in came {
                    let plan = self.plans.plan(plan, &self.books.bucket).await?;
                    report.plans.push(self.meter(&plan, &Selection::of_news(), &months, clock).await);
                }
                Ok(report)
            }
            Wanted::Plans { plan, only } => {
                let mut report = MeterReport::new(false);
                for plan in self.asked(plan).await? {
                    report.plans.push(self.meter(&plan, &only, &BTreeSet::new(), clock).await);
                }
                Ok(report)
            }
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn is_dry_run(&self, event: &Value) -> bool {
        self.dry_run || asks_for_dry_run(event)
    }
}

impl App {
    async fn asked(&self, plan: Option<Plan>) -> Result<Vec<PlanToMeter>, Error> {
        match plan {
            Some(plan) => Ok(vec![self.plans.plan(plan, &self.books.bucket).await?]),
            None => Ok(self.plans.plans(&self.books.bucket).await?),
        }
    }

    /// A dry run: given what reads, and nothing that writes or sends.
    async fn preview(
        &self,
        plan: Option<Plan>,
        only: &Selection,
        usage: &[UsageSnapshot],
        now: DateTime<Utc>,
    ) -> Result<MeterReport, Error> {
        let mut report = MeterReport::new(true);
        for plan in &self.asked(plan).await? {
            let preview = Preview { books: &self.books, plan, only, usage, batch: self.settings.batch, now };
            report.plans.push(preview.run().await);
        }
        Ok(report)
    }

    /// Works on one plan, if nobody else does.
    async fn meter(
        &self,
        plan: &PlanToMeter,
        only: &Selection,
        came: &BTreeSet<BillingMonth>,
        clock: Clock,
    ) -> PlanReport {
        let lease = match Lease::take(&self.ledger, &plan.plan, clock, self.lease_wait).await {
            Ok(lease) => lease,
            Err(error) => {
                let mut report = PlanReport::new(&plan.plan, plan.cloud);
                report.fail(&error);
                return report;
            }
        };
        let work = Work {
            books: &self.books,
            bucket: &self.bucket,
            ledger: &self.ledger,
            connection: &self.connection,
            plan: &plan.plan,
            cloud: plan.cloud,
            only,
            came,
            settings: self.settings,
            clock,
            lease: &lease,
        };
        let report = lease.during(Box::pin(work.run())).await;
        lease.release().await;
        report.log();
        if let Some((requests, latency_ms)) = self.connection.latency() {
            tracing::info!(
                clazar_requests = requests,
                clazar_latency_ms = latency_ms,
                "{requests} requests to Clazar"
            );
        }
        report
    }
}

/// Plans whose usage has come, with the months.
type Came = BTreeMap<Plan, BTreeSet<BillingMonth>>;
