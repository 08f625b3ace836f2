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
use cloud::bucket::{Bucket, BucketError, BucketReader};
use cloud::datastores::{Datastores, DatastoresError};
use cloud::events::InvalidWish;
use cloud::invocation::Function;
use cloud::ledger::{Ledger, LedgerError};
use cloud::vars::{VarError, Vars};
use serde_json::Value;

use crate::event::{Wanted, read_event};

pub use report::{FileReport, FileReportState, RecordUsageReport, TidyReport};

/// The function with its clients.
pub struct App {
    reader: Reader,
    bucket: Bucket,
    ledger: Ledger,
}

/// What says what would come out: all that a dry run has.
pub(crate) struct Reader {
    bucket: BucketReader,
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
        let reader = Reader {
            bucket: bucket.reader().clone(),
            datastores: Datastores::new(bucket.reader().clone()),
            retention,
        };
        Ok(Self { reader, bucket, ledger: Ledger::new(&aws, table) })
    }

    async fn handle(&self, event: &Value, now: DateTime<Utc>) -> Result<RecordUsageReport, Error> {
        let mut report = RecordUsageReport::default();
        match read_event(event)? {
            Wanted::Files(files) => {
                for file in files {
                    // one file that fails does not stop the others
                    report.files.push(FileReport::or_failed(&file.key, self.file(&file, false, now).await));
                }
            }
            Wanted::File { file, force } => {
                report.files.push(FileReport::or_failed(&file.key, self.file(&file, force, now).await));
            }
            Wanted::LookAt(file) => {
                report.dry_run = true;
                report.files.push(FileReport::or_failed(&file.key, self.reader.preview(&file).await));
            }
            Wanted::Keep(lines) => report.files.push(self.keep(lines, now).await?),
            Wanted::Tidy => report.tidied = Some(self.tidy(now).await?),
            Wanted::LookTidy => {
                report.dry_run = true;
                report.tidied = Some(self.reader.round(now).await?.tidied);
            }
        }
        Ok(report)
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}
