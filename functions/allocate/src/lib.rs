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
use cloud::bucket::Bucket;
use cloud::events::{InvalidEvent, StoredObject, stored_objects};
use cloud::intake::atlas_rules;
use cloud::invocation::Function;
use cloud::ledger::Ledger;
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
    bucket: Bucket,
    ledger: Ledger,
    rules: Rules,
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
        let mode = if asked.dry_run { Mode::DryRun } else { Mode::Work };
        let mut report = AllocateReport::new(asked.dry_run);
        report.documents = match self.withdraw(&invoice, asked.reason.trim(), mode, now).await {
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// What has not been done yet.
    #[default]
    Work,
    /// Everything again.
    Force,
    /// Only say what would come out.
    DryRun,
    /// A person says what a bill is that was held with a question; whether only to say what would come out.
    Answered(Answer, bool),
}

impl Mode {
    /// Whether nothing is written.
    pub(crate) fn is_dry_run(self) -> bool {
        matches!(self, Self::DryRun | Self::Answered(_, true))
    }

    /// Whether what was done is not done again.
    pub(crate) fn only_what_is_new(self) -> bool {
        matches!(self, Self::Work | Self::Answered(_, false))
    }
}

impl Function for App {
    const NAME: &'static str = "allocate";
    type Report = AllocateReport;
    type Error = Error;

    async fn connect(vars: &Vars) -> Result<Self, Error> {
        let config = Config::from_vars(vars)?;
        let aws = Aws::connect(vars).await?;
        Ok(Self {
            bucket: Bucket::new(&aws, config.bucket),
            ledger: Ledger::new(&aws, config.table),
            rules: config.rules,
        })
    }

    async fn handle(&self, event: &Value, now: DateTime<Utc>) -> Result<AllocateReport, Error> {
        if event.get("withdraw").is_some() {
            return self.withdraw_by_hand(event, now).await;
        }
        let (objects, mode) = read_event(event)?;
        let mut report = AllocateReport::new(mode.is_dry_run());
        for object in objects {
            // one document that fails does not stop the others
            report.documents.extend(Box::pin(self.document(&object, mode, now)).await);
        }
        Ok(report)
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
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

fn read_event(event: &Value) -> Result<(Vec<StoredObject>, Mode), InvalidEvent> {
    if event.get("key").is_none() {
        return Ok((stored_objects(event)?, Mode::Work));
    }
    let by_hand: ByHand = serde_json::from_value(event.clone())
        .map_err(|error| InvalidEvent { field: "members".to_owned(), why: error.to_string() })?;
    let mode = match (by_hand.answer, by_hand.dry_run, by_hand.force) {
        (Some(answer), dry_run, false) => Mode::Answered(answer, dry_run),
        (Some(_), _, true) => {
            let why = "an answer and force do not go together".to_owned();
            return Err(InvalidEvent { field: "members".to_owned(), why });
        }
        (None, true, _) => Mode::DryRun,
        (None, false, true) => Mode::Force,
        (None, false, false) => Mode::Work,
    };
    Ok((vec![StoredObject { bucket: None, key: by_hand.key, version: None }], mode))
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
        let mode = |event: Value| read_event(&event).map(|(_, mode)| mode);
        assert_eq!(mode(json!({"key": "raw/x"})), Ok(Mode::Work));
        assert_eq!(mode(json!({"key": "raw/x", "dry_run": true})), Ok(Mode::DryRun));
        assert_eq!(mode(json!({"key": "raw/x", "force": true})), Ok(Mode::Force));
        assert_eq!(mode(json!({"key": "raw/x", "answer": "add"})), Ok(Mode::Answered(Answer::Add, false)));
        for misspelt in [
            json!({"key": "raw/x", "dry-run": true}),
            json!({"key": "raw/x", "force": "yes"}),
            json!({"key": "raw/x", "answer": "yes"}),
            json!({"key": "raw/x", "answer": "add", "force": true}),
            json!({"key": 7}),
        ] {
            assert!(mode(misspelt).is_err());
        }
    }
}
