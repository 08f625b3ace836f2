//! Schedule -> `drivers/{name}/{YYYY-MM}.json`: what each namespace of a shared cluster requested of CPU, memory and storage in
//! a month, as Prometheus knows it. Costs are shared by it.
//!
//! Without more in the event, the month that has ended; `{"month": "2026-10"}` by hand; `"dry_run": true` asks and only says
//! what would come out. A month that is not over is asked for until now, and never written. Data that does not cover the month,
//! or cannot be believed, holds the driver: the reason stands under `held/`, and a document that stood there stays; a person may
//! take what there is with `"partial": true`. One driver that fails does not stop the others.
//!
//! | variable or secret | meaning |
//! |---|---|
//! | `DATA_BUCKET`, `STATE_TABLE` | the bucket and the ledger's table |
//! | `PROMETHEUS_URL` | the server, what comes before `/api/v1` |
//! | `PROMETHEUS_ACCOUNT` | under which name its answers are filed, default the server's host |
//! | `PROMETHEUS_QUERIES` | a JSON object of PromQL by driver, instead of the default ones |
//! | `PROMETHEUS_LABEL` | the label whose values are the targets, default `namespace` |
//! | `PROMETHEUS_AS` | `share` (default, shares of 1) or `quantity` (the values as they are) |
//! | `PROMETHEUS_STEP` | how far apart the moments are at which the month is looked at, default `5m` |
//! | `PROMETHEUS_USER`, `PROMETHEUS_PASSWORD` | for Basic authentication |
//! | `PROMETHEUS_TOKEN` | for Bearer authentication |
//! | `SECRETS`, `PROMETHEUS_SECRET_ARN` | where these three come from, see [`cloud::secrets`]; without a secret there are none |
//! | `HTTP_*` | see [`cloud::http`] |

mod answer;
mod driver;
mod event;
mod prometheus;
mod publish;
mod reader;
mod report;
mod rules;
mod window;

use billing::ids::{BillingAccountId, InvalidId};
use billing::month::{BillingMonth, NotBegun};
use chrono::{DateTime, Utc};
use cloud::aws::Aws;
use cloud::bucket::Bucket;
use cloud::events::InvalidWish;
use cloud::http::{ClientError, InvalidBaseUrl};
use cloud::invocation::Function;
use cloud::ledger::Ledger;
use cloud::peer::{Fault, Fixed, Peer, PeerError};
use cloud::secrets::{Secrets, SecretsError};
use cloud::vars::{VarError, Vars};
use serde_json::Value;

use crate::event::read_event;
use crate::prometheus::PrometheusClient;
use crate::reader::{Looked, NotDone, Reader, Subject};
use crate::rules::Rules;
use crate::window::Window;

pub use prometheus::InvalidCredentials;
pub use report::{DriverOutcome, FailedDriver, FetchDriversReport, ReportedDriver};
pub use window::NotYet;

/// The function with its clients.
pub struct App {
    /// All that a dry run has.
    reader: Reader,
    bucket: Bucket,
    ledger: Ledger,
}

/// Why nothing could be done; what goes wrong with one driver is in the report.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum Error {
    #[error(transparent)]
    Var(#[from] VarError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error(transparent)]
    Credentials(#[from] InvalidCredentials),
    #[error(transparent)]
    BaseUrl(#[from] InvalidBaseUrl),
    #[error(transparent)]
    Http(#[from] ClientError),
    #[error("PROMETHEUS_ACCOUNT, or the host of PROMETHEUS_URL, is not usable: {0}")]
    Account(#[from] InvalidId),
    #[error(transparent)]
    Event(#[from] InvalidWish),
    #[error(transparent)]
    NotBegun(#[from] NotBegun),
    #[error(transparent)]
    NotYet(#[from] NotYet),
    #[error(transparent)]
    Prometheus(#[from] PeerError),
}

impl Function for App {
    const NAME: &'static str = "fetch-prometheus";
    type Report = FetchDriversReport;
    type Error = Error;

    async fn connect(vars: &Vars) -> Result<Self, Error> {
        let bucket = vars.require("DATA_BUCKET", "the name of the data bucket")?;
        let table = vars.require("STATE_TABLE", "the name of the ledger's table")?;
        let base = vars.require("PROMETHEUS_URL", "the URL of the Prometheus server, https://...")?;
        let base = cloud::http::base_url("PROMETHEUS_URL", base, vars)?;
        let rules = Rules::from_vars(vars)?;
        let aws = Aws::connect(vars).await?;
        let account = vars.get("PROMETHEUS_ACCOUNT").or(base.host_str()).unwrap_or_default();
        let account = BillingAccountId::new(account)?;
        let login = login(vars, &aws).await?;
        let prometheus = PrometheusClient { peer: Peer::from_vars(vars)?, base, login };
        let bucket = Bucket::new(&aws, bucket);
        let reader = Reader { prometheus, rules, account, bucket: bucket.reader().clone() };
        Ok(Self { reader, bucket, ledger: Ledger::new(&aws, table) })
    }

    async fn handle(&self, event: &Value, now: DateTime<Utc>) -> Result<FetchDriversReport, Error> {
        let wanted = read_event(event)?;
        let month = wanted.month.unwrap_or_else(|| BillingMonth::containing(now).previous()).begun(now)?;
        let rules = &self.reader.rules;
        let window = Window::of(month, now, rules.step_seconds())?;
        let mut report = FetchDriversReport::new(month, wanted.dry_run);
        for query in &rules.queries {
            let subject = Subject { query, window, partial: wanted.partial };
            let done = match wanted.dry_run || window.is_open() {
                true => self.reader.preview(&subject).await,
                false => Box::pin(self.driver(&subject, now)).await,
            };
            match done {
                Ok(driver) => report.add(driver),
                // the others would say the same
                Err(NotDone::Prometheus(error)) if error.fault == Fault::Credentials => {
                    return Err(error.into());
                }
                Err(error) => report.fail(&query.driver, &error),
            }
        }
        Ok(report)
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Reader {
    /// What would come out, or of a month that is not over, what it comes to so far.
    async fn preview(&self, subject: &Subject<'_>) -> Result<ReportedDriver, NotDone> {
        self.standing(subject).await?;
        let made = match self.look(subject).await? {
            Looked::Answered(_, made) => made,
            Looked::NotCovered(unusable) => Err(unusable),
        };
        let state = if subject.window.is_open() { DriverOutcome::Open } else { DriverOutcome::Preview };
        Ok(match made {
            Ok(made) => ReportedDriver::of(subject, state, &made),
            Err(unusable) => ReportedDriver::without(subject, DriverOutcome::Held, &unusable),
        })
    }
}

/// A server behind a network of its own may need no credentials, and then there is no secret.
async fn login(vars: &Vars, aws: &Aws) -> Result<Option<Fixed>, Error> {
    if vars.get("SECRETS") == Some("secretsmanager") && vars.get("PROMETHEUS_SECRET_ARN").is_none() {
        return Ok(None);
    }
    let secrets = Secrets::load(vars, aws, "PROMETHEUS_SECRET_ARN").await?;
    Ok(prometheus::login(&secrets)?)
}
