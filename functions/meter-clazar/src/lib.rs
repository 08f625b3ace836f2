//! `usage/*` created -> Clazar: each contract's usage of a month, once.
//!
//! An S3 notification (or `{"key": "usage/..."}`) brings new usage of a plan; the schedule (or `{}`) takes up what is still open, because
//! what was refused or has an unknown end is sent again until it is settled. `{"month": "2026-10", "contract": "..."}` sends only that;
//! `"dry_run": true` says the exact requests and does nothing. A month closes when all of it is settled, and not before.
//! `{"give_up": {"contract": "...", "month": "2026-10", "reason": "..."}}` gives up what is refused for certain, and sends nothing.
//!
//! Clazar holds one record for a contract, a dimension and a month, whatever the plan. So all plans of a marketplace are metered together:
//! nothing of a month is sent until each has its usage, and contracts in several plans are added up.
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
//! | `METER_LEASE_WAIT_MS` | how long to wait for another invocation on the same marketplace, default 70000 |
//! | `METER_TIME_LIMIT_MS` | after that long no request is begun, default 600000 |
//! | `DRY_RUN` | `true`: every invocation is a dry run |
//! | `HTTP_*` | see [`cloud::http`] |

mod books;
mod clazar;
mod connection;
mod error;
mod event;
mod lease;
mod marketplace;
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
use cloud::events::InvalidWish;
use cloud::invocation::{Function, asks_for_dry_run};
use cloud::ledger::Ledger;
use cloud::plans::{PlansConfig, PlansError};
use cloud::vars::{VarError, Vars};
use serde_json::Value;

use crate::books::Books;
use crate::connection::Connection;
use crate::event::{GiveUp, Selection, Wanted, read_event};
use crate::lease::{Clock, Lease};
use crate::marketplace::MarketplacePlans;
use crate::preview::Preview;
use crate::work::{Settings, Work};

pub use error::{ClazarError, MeterError};
pub use report::{
    GivenUpSubmission, LateUsage, MeterReport, MonthReport, MonthStanding, PlanReport, Problem,
    UncountedMonth,
};
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
    Event(#[from] InvalidWish),
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
            Wanted::DryRun { plan, only, usage } => {
                self.preview(&Asked { plan: plan.as_ref(), only: &only, give_up: None }, &usage, now).await
            }
            // usage that comes while every invocation is a dry run stays: a real run finds it
            Wanted::Usage(_) if self.dry_run => {
                let only = Selection::default();
                self.preview(&Asked { plan: None, only: &only, give_up: None }, &[], now).await
            }
            Wanted::Plans { plan, only } if self.dry_run => {
                self.preview(&Asked { plan: plan.as_ref(), only: &only, give_up: None }, &[], now).await
            }
            Wanted::Usage(objects) => {
                let mut report = MeterReport::new(false);
                let came = self.register(&objects, &mut report, now).await?;
                let new: Vec<&Plan> = came.keys().collect();
                let asked = Asked { plan: None, only: &Selection::of_news(), give_up: None };
                // what is new of one plan may be what the others have waited for
                for known in self.marketplaces(&new).await? {
                    if new.iter().any(|plan| known.has(plan)) {
                        report.plans.extend(self.meter(&known, &asked, &came, clock).await?);
                    }
                }
                Ok(report)
            }
            Wanted::Plans { plan, only } => {
                self.run(&Asked { plan: plan.as_ref(), only: &only, give_up: None }, clock).await
            }
            Wanted::GiveUp { plan, give_up, dry_run } => {
                let only = give_up.selection();
                let asked = Asked { plan: plan.as_ref(), only: &only, give_up: Some(&give_up) };
                if dry_run || self.dry_run {
                    return self.preview(&asked, &[], now).await;
                }
                self.run(&asked, clock).await
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

/// What an event asks for.
struct Asked<'a> {
    /// One plan; nothing for all.
    plan: Option<&'a Plan>,
    only: &'a Selection,
    give_up: Option<&'a GiveUp>,
}

impl App {
    /// The marketplaces of all plans that are configured, and of these.
    async fn marketplaces(&self, also: &[&Plan]) -> Result<Vec<MarketplacePlans>, Error> {
        let mut plans = self.plans.configured(&self.books.bucket).await?;
        for plan in also {
            if !plans.iter().any(|known| known.plan == **plan) {
                plans.push(self.plans.unlisted((*plan).clone()));
            }
        }
        let former = marketplace::former(&self.books.bucket, &plans).await.map_err(MeterError::from)?;
        Ok(MarketplacePlans::of(&plans, &former))
    }

    /// The marketplaces that an event is about.
    async fn asked(&self, asked: &Asked<'_>) -> Result<Vec<MarketplacePlans>, Error> {
        let also: Vec<&Plan> = asked.plan.into_iter().collect();
        let mut all = self.marketplaces(&also).await?;
        if all.is_empty() {
            return Err(PlansError::None.into());
        }
        match (asked.plan, asked.give_up) {
            (Some(plan), _) => all.retain(|known| known.has(plan)),
            (None, Some(give_up)) if all.len() > 1 => self.with_contract(give_up, &mut all).await?,
            (None, _) => {}
        }
        Ok(all)
    }

    /// The one marketplace that a contract stands on.
    async fn with_contract(&self, asked: &GiveUp, all: &mut Vec<MarketplacePlans>) -> Result<(), MeterError> {
        let mut with = Vec::new();
        for known in all.iter() {
            for plan in &known.plans {
                let standing = self.ledger.submissions(&plan.plan, asked.month).await?;
                if standing.keys().any(|line| line.contract == asked.contract) {
                    with.push(known.cloud);
                    break;
                }
            }
        }
        match with.as_slice() {
            [] => return Err(asked.nothing_refused().into()),
            [only] => all.retain(|known| known.cloud == *only),
            _ => {
                let plans: Vec<String> =
                    all.iter().flat_map(|known| &known.plans).map(|plan| plan.plan.to_string()).collect();
                let (contract, plans) = (asked.contract.to_string(), plans.join(", "));
                return Err(MeterError::SeveralMarketplaces { contract, plans });
            }
        }
        Ok(())
    }

    async fn run(&self, asked: &Asked<'_>, clock: Clock) -> Result<MeterReport, Error> {
        let mut report = MeterReport::new(false);
        for known in self.asked(asked).await? {
            report.plans.extend(self.meter(&known, asked, &Came::new(), clock).await?);
        }
        Ok(report)
    }

    /// A dry run: given what reads, and nothing that writes or sends.
    async fn preview(
        &self,
        asked: &Asked<'_>,
        usage: &[UsageSnapshot],
        now: DateTime<Utc>,
    ) -> Result<MeterReport, Error> {
        let mut report = MeterReport::new(true);
        for known in &self.asked(asked).await? {
            let Asked { plan, only, give_up } = *asked;
            let (books, batch) = (&self.books, self.settings.batch);
            let preview = Preview { books, known, plan, only, give_up, usage, batch, now };
            report.plans.extend(preview.run().await.map_err(MeterError::from)?);
        }
        Ok(report)
    }

    /// Works on the plans of a marketplace, if nobody else does.
    async fn meter(
        &self,
        known: &MarketplacePlans,
        asked: &Asked<'_>,
        came: &Came,
        clock: Clock,
    ) -> Result<Vec<PlanReport>, MeterError> {
        let plans = known.plans.iter().map(|plan| &plan.plan).collect();
        let lease = match Lease::take(&self.ledger, plans, clock, self.lease_wait).await {
            Ok(lease) => lease,
            Err(error) => {
                let asked =
                    known.plans.iter().filter(|known| asked.plan.is_none_or(|plan| *plan == known.plan));
                let failed = asked.map(|plan| {
                    let mut report = PlanReport::new(&plan.plan, plan.cloud);
                    report.fail(&error);
                    report
                });
                return Ok(failed.collect());
            }
        };
        let work = Work {
            books: &self.books,
            bucket: &self.bucket,
            ledger: &self.ledger,
            connection: &self.connection,
            known,
            plan: asked.plan,
            only: asked.only,
            give_up: asked.give_up,
            came,
            settings: self.settings,
            clock,
            lease: &lease,
        };
        let reports = lease.during(Box::pin(work.run())).await;
        lease.release().await;
        let reports = reports?;
        reports.iter().for_each(PlanReport::log);
        if let Some((requests, latency_ms)) = self.connection.latency() {
            tracing::info!(
                clazar_requests = requests,
                clazar_latency_ms = latency_ms,
                "{requests} requests to Clazar"
            );
        }
        Ok(reports)
    }
}

/// Plans whose usage has come, with the months.
type Came = BTreeMap<Plan, BTreeSet<BillingMonth>>;
