//! `raw/atlas/*` created -> `charges/`, `allocations/`, `certificates/`, or `held/`.
//!
//! An S3 notification, or `{"key": "raw/..."}` by hand, starts it. Each document becomes a certificate, rows by
//! project and FOCUS charges; the ledger says what was done, so the same event again does nothing. Options of the
//! manual event: `"dry_run": true` writes nothing, `"force": true` does finished work again, `"answer": "replace"`, `"add"` or
//! `"additional"` says what a bill is that is held because one is there already. `{"withdraw": "provider/account/month/bill",
//! "reason": "..."}` takes a bill back: its next revision has no charges.
//!
//! | variable | meaning |
//! |---|---|
//! | `DATA_BUCKET` | the bucket |
//! | `STATE_TABLE` | the ledger's table |
//! | `ATLAS_RECONCILE` | `auto` (default), `credits` or `lines`: what the rows of an Atlas invoice add up to |
//! | `ATLAS_TAX` | `name` (default) or `allocate`: what happens to its sales tax |

mod bill;
mod document;
mod publish;
mod question;
mod report;

use billing::atlas::Rules;
use billing::intake::Answer;
use chrono::{DateTime, Utc};
use cloud::aws::Aws;
use cloud::bucket::{Bucket, BucketReader};
use cloud::events::{InvalidEvent, StoredObject, stored_objects};
use cloud::intake::atlas_rules;
use cloud::invocation::Function;
use cloud::ledger::{Ledger, LedgerReader};
use cloud::vars::{VarError, Vars};
use serde_json::Value;

pub use report::{AllocateReport, DocumentReport, DocumentState};

use crate::question::bill_named;

/// What the function needs, from its variables.
#[derive(Clone, Debug)]
pub struct Config {
    bucket: String,
    table: String,
    rules: Rules,
}

impl Config {
    /// Reads the variables listed above.
    ///
    /// # Errors
    /// [`VarError`] names the one that is missing or wrong.
    pub fn from_vars(vars: &Vars) -> Result<Self, VarError> {
        Ok(Self {
            bucket: vars.require("DATA_BUCKET", "the name of the data bucket")?.to_owned(),
            table: vars.require("STATE_TABLE", "the name of the ledger's table")?.to_owned(),
            rules: atlas_rules(vars)?,
        })
    }
}

/// The function with its clients.
#[derive(Clone, Debug)]
pub struct App {
    reader: Reader,
    writer: Writer,
}

/// What decides what becomes of a document: all that a dry run has.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    bucket: BucketReader,
    ledger: LedgerReader,
    rules: Rules,
}

/// What does it.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    bucket: Bucket,
    ledger: Ledger,
}

/// Why an event could not be taken up at all; what goes wrong with one document is in the report.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum Error {
    #[error(transparent)]
    Config(#[from] VarError),
    #[error(transparent)]
    Event(#[from] InvalidEvent),
}

impl App {
    fn task(&self, wish: Wish, dry_run: bool, now: DateTime<Utc>) -> Task<'_> {
        Task { wish, writer: (!dry_run).then_some(&self.writer), now }
    }

    async fn withdraw_by_hand(&self, event: &Value, now: DateTime<Utc>) -> Result<AllocateReport, Error> {
        let invalid = |why: String| InvalidEvent { field: "members".to_owned(), why };
        let asked: Withdraw =
            serde_json::from_value(event.clone()).map_err(|error| invalid(error.to_string()))?;
        let invoice = bill_named(&asked.withdraw).ok_or_else(|| {
            invalid(format!("'{}' is no bill: write it as provider/account/month/bill", asked.withdraw))
        })?;
        if asked.reason.trim().is_empty() {
            return Err(invalid("a reason is needed".to_owned()).into());
        }
        let task = self.task(Wish::Work, asked.dry_run, now);
        let mut report = AllocateReport::new(asked.dry_run);
        report.documents = match self.reader.withdraw(&invoice, asked.reason.trim(), task).await {
            Ok(documents) => documents,
            Err(error) => vec![DocumentReport::failed(&asked.withdraw, error.to_string())],
        };
        Ok(report)
    }
}

/// The event of a person who withdraws a bill.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Withdraw {
    withdraw: String,
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

/// What to do with the objects of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// What has not been done yet.
    Work,
    /// Everything again.
    Force,
    /// A person says what a bill is that was held with a question.
    Answered(Answer),
}

/// What to do, and with what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task<'w> {
    wish: Wish,
    /// Nothing in a dry run, which only says what would come out.
    writer: Option<&'w Writer>,
    now: DateTime<Utc>,
}

impl Task<'_> {
    /// What follows from it, done once.
    pub(crate) fn work(self) -> Self {
        Self { wish: Wish::Work, ..self }
    }

    /// Whether what was done is not done again; a dry run says again what comes out.
    pub(crate) fn only_what_is_new(self) -> bool {
        self.writer.is_some() && self.wish != Wish::Force
    }
}

impl Function for App {
    const NAME: &'static str = "allocate";
    type Report = AllocateReport;
    type Error = Error;

    async fn connect(vars: &Vars) -> Result<Self, Error> {
        let config = Config::from_vars(vars)?;
        let aws = Aws::connect(vars).await?;
        let writer =
            Writer { bucket: Bucket::new(&aws, config.bucket), ledger: Ledger::new(&aws, config.table) };
        let (bucket, ledger) = (writer.bucket.reader().clone(), writer.ledger.reader().clone());
        Ok(Self { reader: Reader { bucket, ledger, rules: config.rules }, writer })
    }

    async fn handle(&self, event: &Value, now: DateTime<Utc>) -> Result<AllocateReport, Error> {
        if event.get("withdraw").is_some() {
            return self.withdraw_by_hand(event, now).await;
        }
        let Asked { objects, wish, dry_run } = read_event(event)?;
        let mut report = AllocateReport::new(dry_run);
        for object in objects {
            // one document that fails does not stop the others
            let task = self.task(wish, dry_run, now);
            report.documents.extend(Box::pin(self.reader.document(&object, task)).await);
        }
        Ok(report)
    }

    fn ledger(&self) -> &Ledger {
        &self.writer.ledger
    }
}

/// What an event asks for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    objects: Vec<StoredObject>,
    wish: Wish,
    dry_run: bool,
}

/// The event of a person; a misspelt member is an error, because `dry-run` would otherwise write.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ByHand {
    key: String,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    force: bool,
    answer: Option<Answer>,
}

fn read_event(event: &Value) -> Result<Asked, InvalidEvent> {
    if event.get("key").is_none() {
        return Ok(Asked { objects: stored_objects(event)?, wish: Wish::Work, dry_run: false });
    }
    let by_hand: ByHand = serde_json::from_value(event.clone())
        .map_err(|error| InvalidEvent { field: "members".to_owned(), why: error.to_string() })?;
    let wish = match (by_hand.answer, by_hand.force) {
        (Some(answer), false) => Wish::Answered(answer),
        (Some(_), true) => {
            let why = "an answer and force do not go together".to_owned();
            return Err(InvalidEvent { field: "members".to_owned(), why });
        }
        (None, true) => Wish::Force,
        (None, false) => Wish::Work,
    };
    let object = StoredObject { bucket: None, key: by_hand.key, version: None };
    Ok(Asked { objects: vec![object], wish, dry_run: by_hand.dry_run })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn configuration_errors_name_the_variable() {
        let vars = Vars::from_iter([("DATA_BUCKET", "b")]);
        assert_eq!(
            Config::from_vars(&vars).unwrap_err().to_string(),
            "the variable STATE_TABLE is missing: set it to the name of the ledger's table"
        );
        let vars = Vars::from_iter([("DATA_BUCKET", "b"), ("STATE_TABLE", "t"), ("ATLAS_TAX", "yes")]);
        assert_eq!(
            Config::from_vars(&vars).unwrap_err().to_string(),
            "the variable ATLAS_TAX is 'yes', expected one of name, allocate"
        );
    }

    #[test]
    fn a_person_may_ask_for_a_dry_run_or_for_everything_again() {
        let wish = |event: Value| read_event(&event).map(|asked| (asked.wish, asked.dry_run));
        assert_eq!(wish(json!({"key": "raw/x"})), Ok((Wish::Work, false)));
        assert_eq!(wish(json!({"key": "raw/x", "dry_run": true})), Ok((Wish::Work, true)));
        assert_eq!(wish(json!({"key": "raw/x", "force": true})), Ok((Wish::Force, false)));
        let add = json!({"key": "raw/x", "answer": "add"});
        assert_eq!(wish(add), Ok((Wish::Answered(Answer::Add), false)));
        for misspelt in [
            json!({"key": "raw/x", "dry-run": true}),
            json!({"key": "raw/x", "force": "yes"}),
            json!({"key": "raw/x", "answer": "yes"}),
            json!({"key": "raw/x", "answer": "add", "force": true}),
            json!({"key": 7}),
        ] {
            assert!(wish(misspelt).is_err());
        }
    }
}
