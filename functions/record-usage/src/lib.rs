//! `datastores/*` -> histories of datastores, which usage reports are made of.
//!
//! A file of events (JSON Lines) that arrives becomes a file of histories, see [`cloud::datastores`]; one bad line holds the whole file,
//! with the number of the line. An event of EventBridge is kept as a file first. The schedule puts the files of histories together
//! and forgets datastores whose deletion is longer ago than they are kept. By hand: `{"key": "datastores/..."}` takes a file in, with `"force": true` also one that was taken in
//! before, `{}` does what the schedule does, `"dry_run": true` only says what would come out.
//!
//! | variable | meaning |
//! |---|---|
//! | `DATA_BUCKET`, `STATE_TABLE` | the data bucket and the ledger's table |
//! | `RETENTION_PERIOD` | how long deleted datastores are kept and reported, default `6 months` |

mod event;
mod file;
mod report;
mod tidy;

use billing::usage::Retention;
use chrono::{DateTime, Utc};
use cloud::aws::Aws;
use cloud::bucket::{Bucket, BucketError};
use cloud::datastores::{Datastores, DatastoresError};
use cloud::events::InvalidWish;
use cloud::events::StoredObject;
use cloud::invocation::Function;
use cloud::ledger::{Ledger, LedgerError};
use cloud::vars::{VarError, Vars};
use serde_json::Value;

use crate::event::{Mode, Wanted, read_event};

pub use report::{FileReport, FileReportState, RecordUsageReport, TidyReport};

/// The function with its clients.
pub struct App {
    bucket: Bucket,
    ledger: Ledger,
    datastores: Datastores,
    retention: Retention,
}

/// Why nothing could be done; what goes wrong with one file is in the report.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error(transparent)]
    Var(#[from] VarError),
    #[error(transparent)]
    Event(#[from] InvalidWish),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Datastores(#[from] DatastoresError),
    #[error("the event is about the bucket {0}, this function works on {1} (DATA_BUCKET)")]
    OtherBucket(String, String),
    #[error("there is no object {0}; it is about to be there, or was deleted")]
    NoFile(String),
    #[error("{0} is replaced again and again; try again")]
    Replaced(String),
    #[error("another invocation put the files together meanwhile; the next run goes on")]
    Overtaken,
    #[error("the histories cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

impl Function for App {
    const NAME: &'static str = "record-usage";
    type Report = RecordUsageReport;
    type Error = Error;

    async fn connect(vars: &Vars) -> Result<Self, Error> {
        let bucket = vars.require("DATA_BUCKET", "the name of the data bucket")?;
        let table = vars.require("STATE_TABLE", "the name of the ledger's table")?;
        let retention = vars.parsed("RETENTION_PERIOD", Retention::default())?;
        let aws = Aws::connect(vars).await?;
        let bucket = Bucket::new(&aws, bucket);
        let datastores = Datastores::new(bucket.reader().clone());
        Ok(Self { bucket, ledger: Ledger::new(&aws, table), datastores, retention })
    }

    async fn handle(&self, event: &Value, now: DateTime<Utc>) -> Result<RecordUsageReport, Error> {
        match read_event(event)? {
            Wanted::Files(files) => self.files(&files, Mode::Work, now).await,
            Wanted::File { file, mode } => self.files(&[file], mode, now).await,
            Wanted::Keep(lines) => {
                let file = self.keep(lines, now).await?;
                Ok(RecordUsageReport { files: vec![file], ..RecordUsageReport::default() })
            }
            Wanted::Tidy { dry_run } => {
                let tidied = self.tidy(dry_run, now).await?;
                Ok(RecordUsageReport { dry_run, tidied: Some(tidied), ..RecordUsageReport::default() })
            }
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl App {
    async fn files(
        &self,
        files: &[StoredObject],
        mode: Mode,
        now: DateTime<Utc>,
    ) -> Result<RecordUsageReport, Error> {
        let dry_run = mode == Mode::DryRun;
        let mut report = RecordUsageReport { dry_run, ..RecordUsageReport::default() };
        for file in files {
            // one file that fails does not stop the others
            let taken = self.file(file, mode, now).await;
            report.files.push(taken.unwrap_or_else(|error| FileReport::failed(&file.key, &error)));
        }
        Ok(report)
    }
}
