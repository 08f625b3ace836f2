//! Schedule -> `raw/ccx/...` and its certificate: the usage report of a CCX server, each revision once.
//!
//! Without more in the event, the reports of the last months that have ended; `{"month": "2026-10"}` by hand, also for the
//! running month; `{"key": "raw/ccx/..."}` certifies a stored document again; `"dry_run": true` fetches and only says what
//! would come out. One month that fails does not stop the others; the invocation then fails, so that it is tried again. A
//! report that cannot be believed is held, and nothing of it is lost.
//!
//! | variable or secret | meaning |
//! |---|---|
//! | `DATA_BUCKET`, `STATE_TABLE` | the bucket and the ledger's table |
//! | `CCX_API_URL` | the server, for example `https://ccx.example.com` |
//! | `CCX_PATH_STYLE` | `current` (default) or `legacy`: how it spells the path of the report |
//! | `CCX_ACCOUNT` | under which name its reports are filed, default the server's host |
//! | `CCX_USER`, `CCX_PASSWORD` | an administrator of it |
//! | `SECRETS`, `CCX_SECRET_ARN` or `CCX_VAULT_PATH` | where these two come from, see [`cloud::secrets`] |
//! | `CCX_MONTHS` | months to fetch, default 2 |
//! | `HTTP_*` | see [`cloud::http`] |

mod ccx;
mod certify;
mod event;
mod months;
mod reader;
mod report;

use billing::ids::{BillingAccountId, InvalidId};
use billing::month::{BillingMonth, NotBegun};
use chrono::{DateTime, Utc};
use cloud::aws::Aws;
use cloud::bucket::Bucket;
use cloud::events::InvalidWish;
use cloud::fetch::{Asked, Failed};
use cloud::http::{ClientError, InvalidBaseUrl};
use cloud::invocation::Function;
use cloud::ledger::Ledger;
use cloud::peer::{Fault, Fixed, Peer, PeerError};
use cloud::secrets::{Secrets, SecretsError};
use cloud::vars::{VarError, Vars};
use serde_json::Value;

use crate::ccx::{CcxClient, PathStyle};
use crate::certify::Seen;
use crate::event::{Wanted, read_event};
use crate::reader::{MonthError, Reader};

pub use months::NotYet;
pub use report::{FetchUsageReport, ReportOutcome, ReportedMonth};

/// The function with its clients.
pub struct App {
    /// All that a dry run has.
    reader: Reader,
    bucket: Bucket,
    ledger: Ledger,
}

/// Why nothing could be done; what goes wrong with one month is in the report.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum Error {
    #[error(transparent)]
    Var(#[from] VarError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error(transparent)]
    BaseUrl(#[from] InvalidBaseUrl),
    #[error(transparent)]
    Http(#[from] ClientError),
    #[error("CCX_ACCOUNT, or the host of CCX_API_URL, is not usable: {0}")]
    Account(#[from] InvalidId),
    #[error(transparent)]
    Event(#[from] InvalidWish),
    #[error(transparent)]
    NotBegun(#[from] NotBegun),
    #[error(transparent)]
    Ccx(#[from] PeerError),
}

impl Function for App {
    const NAME: &'static str = "fetch-ccx";
    type Report = FetchUsageReport;
    type Error = Error;

    async fn connect(vars: &Vars) -> Result<Self, Error> {
        let bucket = vars.require("DATA_BUCKET", "the name of the data bucket")?;
        let table = vars.require("STATE_TABLE", "the name of the ledger's table")?;
        let base = vars.require("CCX_API_URL", "the URL of the CCX server, https://...")?;
        let base = cloud::http::base_url("CCX_API_URL", base, vars)?;
        let account = account(vars, &base)?;
        let style = PathStyle::from_vars(vars)?;
        let aws = Aws::connect(vars).await?;
        let secrets = Secrets::load(vars, &aws, "CCX_SECRET_ARN").await?;
        let user = secrets.require("CCX_USER", "the name of an administrator of the CCX server")?;
        let password = secrets.require("CCX_PASSWORD", "the password of that administrator")?;
        let login = Fixed::basic(&user, &password);
        let ccx = CcxClient { peer: Peer::from_vars(vars)?, base, style, login };
        let bucket = Bucket::new(&aws, bucket);
        let months = vars.number("CCX_MONTHS", 2usize)?.max(1);
        let reader = Reader { ccx, account, months, bucket: bucket.reader().clone() };
        Ok(Self { reader, bucket, ledger: Ledger::new(&aws, table) })
    }

    async fn handle(&self, event: &Value, now: DateTime<Utc>) -> Result<FetchUsageReport, Error> {
        let (wanted, dry_run) = read_event(event)?;
        let mut report = FetchUsageReport::new(dry_run);
        let months = match wanted {
            Wanted::Newest => BillingMonth::ended(now, self.reader.months),
            Wanted::Month(month) => vec![month.begun(now)?],
            Wanted::Stored(key) => {
                let done = match dry_run {
                    true => self.reader.stored(&key, now).await,
                    false => self.certify_again(&key, now).await,
                };
                match done {
                    Ok(month) => report.reports.push(month),
                    Err(error) => report.failed.push(Failed::new(Asked::Key(key), &error)),
                }
                return Ok(report);
            }
        };
        for month in months {
            let done = match dry_run {
                true => self.reader.month(month, now).await,
                false => self.month(month, now, &mut report).await,
            };
            match done {
                Ok(month) => report.reports.push(month),
                // the others would say the same
                Err(MonthError::Ccx(error)) if error.fault == Fault::Credentials => return Err(error.into()),
                Err(error) => report.failed.push(Failed::new(Asked::Month(month), &error)),
            }
        }
        Ok(report)
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

/// The name under which reports are filed.
fn account(vars: &Vars, base: &url::Url) -> Result<BillingAccountId, InvalidId> {
    BillingAccountId::new(vars.get("CCX_ACCOUNT").or(base.host_str()).unwrap_or_default())
}

impl App {
    /// Fetches the report of a month, keeps it as it came, and certifies what stands there then.
    async fn month(
        &self,
        month: BillingMonth,
        now: DateTime<Utc>,
        report: &mut FetchUsageReport,
    ) -> Result<ReportedMonth, MonthError> {
        let (key, answer) = self.reader.fetch(month, now).await?;
        match self.keep(&key, answer, now).await? {
            cloud::bucket::Written::Now => report.fetched += 1,
            cloud::bucket::Written::Refused => report.unchanged += 1,
        }
        Box::pin(self.certify(&key, Seen::Now, now)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_filed_under_the_host_unless_they_are_given_a_name() {
        let base = url::Url::parse("https://ccx.example.com:8443/eu").unwrap();
        let account = |vars: &Vars| account(vars, &base).map(|account| account.to_string());
        assert_eq!(account(&Vars::default()).unwrap(), "ccx.example.com");
        assert_eq!(account(&Vars::from_iter([("CCX_ACCOUNT", "eu-west")])).unwrap(), "eu-west");
        assert!(account(&Vars::from_iter([("CCX_ACCOUNT", "x".repeat(201))])).is_err());
    }
}
