//! `raw/atlas/*` created -> `charges/`, `allocations/`, `certificates/`, or `held/`.
//!
//! An S3 notification, or `{"key": "raw/..."}` by hand, starts it. Each document becomes a certificate, rows by
//! project and FOCUS charges; the ledger says what was done, so the same event again does nothing. Options of the
//! manual event: `"dry_run": true` writes nothing, `"force": true` does finished work again.
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
mod report;

use billing::allocation::TaxTreatment;
use billing::atlas::{Reconcile, Rules};
use chrono::{DateTime, Utc};
use cloud::aws::Aws;
use cloud::bucket::Bucket;
use cloud::events::{InvalidEvent, StoredObject, stored_objects};
use cloud::invocation::Function;
use cloud::ledger::Ledger;
use cloud::vars::{VarError, Vars};
use serde_json::Value;

pub use report::{AllocateReport, DocumentReport, DocumentState};

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
        let choice = |name, values: &[&str]| {
            let value = vars.get(name).unwrap_or(values[0]);
            let index = values.iter().position(|known| *known == value);
            index.ok_or_else(|| VarError::Invalid {
                name,
                value: value.to_owned(),
                expected: format!("one of {}", values.join(", ")),
            })
        };
        let reconcile = [Reconcile::Auto, Reconcile::Credits, Reconcile::Lines];
        let tax = [TaxTreatment::Name, TaxTreatment::Allocate];
        Ok(Self {
            bucket: vars.require("DATA_BUCKET", "the name of the data bucket")?.to_owned(),
            table: vars.require("STATE_TABLE", "the name of the ledger's table")?.to_owned(),
            rules: Rules {
                reconcile: reconcile[choice("ATLAS_RECONCILE", &["auto", "credits", "lines"])?],
                tax: tax[choice("ATLAS_TAX", &["name", "allocate"])?],
            },
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
        let (objects, mode) = read_event(event)?;
        let mut report = AllocateReport::new(mode == Mode::DryRun);
        for object in objects {
            // one document that fails does not stop the others
            report.documents.push(self.document(&object, mode, now).await);
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
}

fn read_event(event: &Value) -> Result<(Vec<StoredObject>, Mode), InvalidEvent> {
    if event.get("key").is_none() {
        return Ok((stored_objects(event)?, Mode::Work));
    }
    let by_hand: ByHand = serde_json::from_value(event.clone())
        .map_err(|error| InvalidEvent { field: "members".to_owned(), why: error.to_string() })?;
    let mode = match (by_hand.dry_run, by_hand.force) {
        (true, _) => Mode::DryRun,
        (false, true) => Mode::Force,
        (false, false) => Mode::Work,
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
        for misspelt in [
            json!({"key": "raw/x", "dry-run": true}),
            json!({"key": "raw/x", "force": "yes"}),
            json!({"key": 7}),
        ] {
            assert!(mode(misspelt).is_err());
        }
    }
}
