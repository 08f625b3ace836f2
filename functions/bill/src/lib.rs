//! Schedule -> `bills/`, mails, uploads: what every customer of the catalog is billed for a month, once.
//!
//! Without more in the event, the month before is billed as soon as its inputs are complete, and billed months before it are looked
//! through for late revisions, which post their difference on the next bill. `{"month": "2026-10"}` bills one month; `"customer"` only one
//! customer; `"dry_run": true` says what would come out; `"release": "why"` bills although inputs are missing; `"catalog": "current"` bills a
//! month again by the catalog in force instead of its own; `"mails": {...}` says what a person found out of mails that may have gone out;
//! `"explain": true` with `"customer"` and `"line"` says how a figure came about.
//!
//! A run is posted by one conditional write (the chain in the ledger). Everything visible follows from the document that it names.
//!
//! | variable or secret | meaning |
//! |---|---|
//! | `DATA_BUCKET`, `STATE_TABLE` | the data bucket and the ledger's table |
//! | `BILL_INPUTS` | providers, or `provider/account`, that must be there before a month is billed, with commas between them |
//! | `BILL_MONTHS` | billed months that are looked through for late revisions, default 3 |
//! | `EVENT_TOLERANCE` | how far apart events of datastores may be that crossed on their way, default `2 s` |
//! | `MAIL_FROM` | who mails are from; without it none are sent |
//! | `EMAIL_REDIRECT` | one address that all mails go to, for a trial |
//! | `INVOICING_URL`, `INVOICING_METHOD` | where exports are uploaded, by `PUT` (default) or `POST`; without a URL they are not |
//! | `INVOICING_USER` and `INVOICING_PASSWORD`, or `INVOICING_TOKEN` | what opens it: Basic or Bearer |
//! | `SECRETS`, `INVOICING_SECRET_ARN` | where these come from, see [`cloud::secrets`] |
//! | `SERVICE_NAME`, ... | the plans whose usage the drivers `metered:...` are, see [`cloud::plans`] |

mod answers;
mod charges;
mod chart;
mod drivers;
mod error;
mod event;
mod explain;
mod fingerprint;
mod inputs;
mod mail;
mod publish;
mod report;
mod run;
mod shares;
mod statement;
mod upload;

use billing::keys::BillsKey;
use billing::month::{BillingMonth, NotBegun};
use chrono::{DateTime, Utc};
use cloud::aws::Aws;
use cloud::bucket::{Bucket, BucketError, BucketReader, Written};
use cloud::datastores::Datastores;
use cloud::events::InvalidWish;
use cloud::http::{ClientError, InvalidBaseUrl};
use cloud::invocation::Function;
use cloud::ledger::{Ledger, LedgerError, LedgerReader};
use cloud::mail::Mailer;
use cloud::peer::{Fixed, Peer};
use cloud::plans::{PlansConfig, PlansError};
use cloud::publication::Rounds;
use cloud::secrets::{Secrets, SecretsError};
use cloud::vars::{VarError, Vars};
use serde_json::Value;

use crate::error::MonthError;
use crate::event::{MonthWish, Wanted, read_event};
use crate::inputs::Expected;
use crate::mail::Post;
use crate::run::Prepared;
use crate::upload::Invoicing;

pub use explain::{ChargesOfRule, DocumentSum, Explained, ExplainedCharge};
pub use report::{BillReport, BillShown, BillState, MailReport, MailState, MonthReport, UploadReport};

/// What looks, and holds nothing that could write. A dry run is given this alone.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    bucket: BucketReader,
    ledger: LedgerReader,
    datastores: Datastores,
    plans: PlansConfig,
    expected: Vec<Expected>,
}

/// The function with its clients.
#[derive(Clone, Debug)]
pub struct App {
    reader: Reader,
    bucket: Bucket,
    ledger: Ledger,
    mails: Option<Post>,
    invoicing: Option<Invoicing>,
    months: usize,
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
    #[error(transparent)]
    Plans(#[from] PlansError),
    #[error(transparent)]
    Event(#[from] InvalidWish),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error("{0}")]
    Explain(String),
    #[error(transparent)]
    NotBegun(#[from] NotBegun),
    #[error("INVOICING_TOKEN has characters that no header can carry: check that it was copied whole")]
    Token,
}

impl Function for App {
    const NAME: &'static str = "bill";
    type Report = BillReport;
    type Error = Error;

    async fn connect(vars: &Vars) -> Result<Self, Error> {
        let bucket = vars.require("DATA_BUCKET", "the name of the data bucket")?;
        let table = vars.require("STATE_TABLE", "the name of the ledger's table")?;
        let expected = expected(vars)?;
        let plans = PlansConfig::from_vars(vars)?;
        let months = vars.number("BILL_MONTHS", 3usize)?;
        let aws = Aws::connect(vars).await?;
        let mails = vars.get("MAIL_FROM").map(|from| Post {
            mailer: Mailer::new(&aws),
            from: from.to_owned(),
            redirect: vars.get("EMAIL_REDIRECT").map(str::to_owned),
        });
        let invoicing = invoicing(vars, &aws).await?;
        let (bucket, ledger) = (Bucket::new(&aws, bucket), Ledger::new(&aws, table));
        let reader = Reader {
            bucket: bucket.reader().clone(),
            ledger: ledger.reader().clone(),
            datastores: Datastores::new(bucket.reader().clone()).tolerant(vars)?,
            plans,
            expected,
        };
        Ok(Self { reader, bucket, ledger, mails, invoicing, months })
    }

    async fn handle(&self, event: &Value, now: DateTime<Utc>) -> Result<BillReport, Error> {
        let wishes = match read_event(event, now)? {
            Wanted::Explain(asked) => {
                asked.month.begun(now)?;
                let explained = Box::pin(self.reader.explain(&asked, now)).await;
                let explained = Some(explained.map_err(|error| Error::Explain(error.to_string()))?);
                return Ok(BillReport { explained, ..BillReport::default() });
            }
            Wanted::Month(wish) => vec![MonthWish { month: wish.month.begun(now)?, ..wish }],
            Wanted::Due(moment) => self.due(moment, now).await?,
        };
        let mut report =
            BillReport { dry_run: wishes.iter().any(|wish| wish.dry_run), ..BillReport::default() };
        for wish in wishes {
            let month = if wish.dry_run {
                Box::pin(self.reader.preview(&wish, now)).await
            } else {
                Box::pin(self.bill(&wish, now)).await
            };
            report.months.push(month);
        }
        Ok(report)
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

fn expected(vars: &Vars) -> Result<Vec<Expected>, VarError> {
    let Some(listed) = vars.get("BILL_INPUTS") else { return Ok(Vec::new()) };
    let invalid = |expected| VarError::Invalid { name: "BILL_INPUTS", value: listed.to_owned(), expected };
    listed.split(',').map(|text| text.parse().map_err(invalid)).collect()
}

async fn invoicing(vars: &Vars, aws: &Aws) -> Result<Option<Invoicing>, Error> {
    let Some(url) = vars.get("INVOICING_URL") else { return Ok(None) };
    let url = cloud::http::base_url("INVOICING_URL", url, vars)?;
    let method = match vars.get("INVOICING_METHOD").map(str::to_ascii_uppercase).as_deref() {
        None | Some("PUT") => reqwest::Method::PUT,
        Some("POST") => reqwest::Method::POST,
        Some(other) => {
            let (name, value) = ("INVOICING_METHOD", other.to_owned());
            return Err(VarError::Invalid { name, value, expected: "PUT or POST".into() }.into());
        }
    };
    let secrets = Secrets::load(vars, aws, "INVOICING_SECRET_ARN").await?;
    let login = match secrets.get("INVOICING_TOKEN") {
        Some(token) => Fixed::bearer(token).ok_or(Error::Token)?,
        None => {
            let user = secrets
                .require("INVOICING_USER", "a user of the invoicing system, or set INVOICING_TOKEN")?;
            Fixed::basic(&user, &secrets.require("INVOICING_PASSWORD", "the password of that user")?)
        }
    };
    Ok(Some(Invoicing { peer: Peer::from_vars(vars)?, url, method, login }))
}

/// A month that came to no run.
fn not_billed(month: BillingMonth, error: MonthError) -> MonthReport {
    match error {
        MonthError::Held(reason) | MonthError::Older(reason) => {
            MonthReport::new(month, BillState::Held, reason)
        }
        MonthError::Refused(reason) => MonthReport::new(month, BillState::Refused, reason),
        other => MonthReport::new(month, BillState::Failed, other.to_string()),
    }
}

fn nothing(month: BillingMonth) -> MonthReport {
    let reason = "no catalog with customers is in force; see monthend catalog apply";
    MonthReport::new(month, BillState::Nothing, reason)
}

fn missing(month: BillingMonth, missing: Vec<String>) -> MonthReport {
    let reason = format!(
        "its inputs are not complete: {}; when they are, it is billed by itself, or release it: monthend bill --month {month} --release 'why', \
         or the event {{\"month\": \"{month}\", \"release\": \"why\"}}",
        missing.join("; ")
    );
    MonthReport { missing, ..MonthReport::new(month, BillState::Held, reason) }
}

impl Reader {
    /// Whether a month was tried, is not billed, and nobody was told otherwise since.
    async fn waits(&self, month: BillingMonth) -> Result<bool, BucketError> {
        let note = self.bucket.get(&BillsKey { month }.held(), None).await?;
        let note = note.and_then(|note| serde_json::from_slice::<Value>(&note.bytes).ok());
        Ok(note.is_some_and(|note| note["status"] == "held"))
    }

    /// What would be posted.
    async fn preview(&self, wish: &MonthWish, now: DateTime<Utc>) -> MonthReport {
        let month = wish.month;
        let customer = wish.customer.as_deref();
        match Box::pin(self.prepare(wish, now)).await {
            Ok(Prepared::Nothing) => nothing(month),
            Ok(Prepared::Missing(what)) => missing(month, what),
            Ok(Prepared::Unchanged(document)) => {
                MonthReport::of(&document, BillState::Unchanged, customer, true)
            }
            Ok(Prepared::New(run)) => {
                let shown = MonthReport::of(&run.document, BillState::Preview, customer, true);
                MonthReport { remarks: run.remarks, ..shown }
            }
            Err(error) => not_billed(month, error),
        }
    }
}

impl App {
    /// The month before, after those before it that were billed or still wait: what those change may go on its bills.
    async fn due(&self, moment: DateTime<Utc>, now: DateTime<Utc>) -> Result<Vec<MonthWish>, Error> {
        let month = BillingMonth::containing(moment).previous().begun(now)?;
        let billed = self.ledger.chain().await?.chain.months();
        let (mut months, mut earlier) = (vec![MonthWish::plain(month)], month);
        for _ in 0..self.months {
            earlier = earlier.previous();
            if billed.contains(&earlier) || self.reader.waits(earlier).await? {
                months.push(MonthWish::plain(earlier));
            }
        }
        months.reverse();
        Ok(months)
    }

    async fn bill(&self, wish: &MonthWish, now: DateTime<Utc>) -> MonthReport {
        let month = wish.month;
        let mut report = match Box::pin(self.checked_run(wish, now)).await {
            Ok(report) => report,
            Err(MonthError::Older(reason)) => return self.held_whole(wish, reason).await,
            Err(error) => not_billed(month, error),
        };
        if report.state == BillState::Refused {
            return report;
        }
        // whatever became of this run, those before are to be out
        if let Err(error) = self.send_out(wish, &mut report, now).await {
            // a document that is not what was posted is held, as it is where a run is made from it
            let held = matches!(error, MonthError::Held(_)) && report.state != BillState::Failed;
            let reason = format!("what was billed is not all out: {error}");
            (report.state, report.reason) = (if held { BillState::Held } else { BillState::Failed }, reason);
            if !held {
                return report;
            }
        }
        let mut problems = report.problems();
        if report.state == BillState::Held {
            problems.insert(0, report.reason.clone());
        } else if !problems.is_empty() && report.state != BillState::Failed {
            (report.state, report.reason) = (BillState::Held, problems.join("; "));
        }
        // what is said of one customer is not said of the others
        if report.state != BillState::Failed
            && wish.customer.is_none()
            && let Err(error) = self.note(month, &problems).await
        {
            (report.state, report.reason) = (BillState::Failed, error.to_string());
        }
        report
    }

    /// Nothing of the month is done: what the ledger says of mails is as old as what it says of runs.
    async fn held_whole(&self, wish: &MonthWish, reason: String) -> MonthReport {
        let noted = match wish.customer {
            Some(_) => Ok(()),
            None => self.note(wish.month, std::slice::from_ref(&reason)).await,
        };
        match noted {
            Ok(()) => MonthReport::new(wish.month, BillState::Held, reason),
            Err(error) => not_billed(wish.month, error),
        }
    }

    async fn checked_run(&self, wish: &MonthWish, now: DateTime<Utc>) -> Result<MonthReport, MonthError> {
        self.check_answers(wish).await?;
        Box::pin(self.run(wish, now)).await
    }

    /// Works a run out and posts it.
    async fn run(&self, wish: &MonthWish, now: DateTime<Utc>) -> Result<MonthReport, MonthError> {
        let (month, customer) = (wish.month, wish.customer.as_deref());
        let mut rounds = Rounds::of("the chain of bills");
        loop {
            rounds.begin()?;
            let run = match Box::pin(self.reader.prepare(wish, now)).await? {
                Prepared::Nothing => return Ok(nothing(month)),
                Prepared::Missing(what) => return Ok(missing(month, what)),
                Prepared::Unchanged(document) => {
                    return Ok(MonthReport::of(&document, BillState::Unchanged, customer, false));
                }
                Prepared::New(run) => run,
            };
            if self.post(&run).await? == Written::Now {
                tracing::info!(%month, run = %run.document.run, bills = run.document.bills.len(), "posted");
                let report = MonthReport::of(&run.document, BillState::Billed, customer, false);
                return Ok(MonthReport { remarks: run.remarks, ..report });
            }
        }
    }
}
