//! `journal/*` created, or a schedule -> `reports/revenue/`, `certificates/revenue/`, or `held/reports/revenue/`.
//!
//! An S3 notification starts it for the months of its objects, a schedule for the month before; by hand `{"month": "2026-10"}` or
//! `{"start": "...", "end": "..."}`, with `"dry_run": true` to look only. In each currency a window has a report, a table and a
//! certificate, which are functions of the journal and the catalog alone: whatever comes twice, late or in another order, they are
//! written again as the journal now wants them, and only if they differ. A line that cannot be used holds the window: what was
//! published stays, the reason stands under `held/`.
//!
//! | variable | meaning |
//! |---|---|
//! | `DATA_BUCKET`, `STATE_TABLE` | the data bucket and the ledger's table |
//! | `REPORTING_DEFAULT_LOCATION` | where a service without usage details earns its money; needed as soon as one does |
//! | `LOCATION_SPLIT` | `even` (default) or `cost`: how a service's money is spread over the locations that it used |
//! | `REVENUE_CONCURRENCY` | files read at once, default 16 |

mod event;
mod inputs;
mod make;
mod publish;
mod report;

use billing::keys::JournalKey;
use billing::revenue::{LocationSplit, RevenueRules, Window};
use chrono::{DateTime, Utc};
use cloud::aws::Aws;
use cloud::bucket::{Bucket, BucketError, BucketReader};
use cloud::events::StoredObject;
use cloud::invocation::Function;
use cloud::ledger::Ledger;
use cloud::vars::{VarError, Vars};
use serde_json::Value;

use crate::event::{InvalidEvent, Wanted, read_event};
use billing::certificate::CertificateError;

pub use report::{CurrencyReport, RefusedObject, RevenueRunReport, WindowReport, WindowState};

/// What looks: it reads the journal and the catalog, and holds nothing that could write. A dry run is given this alone.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    bucket: BucketReader,
    rules: RevenueRules,
    concurrency: usize,
}

/// The function with its clients.
#[derive(Clone, Debug)]
pub struct App {
    reader: Reader,
    bucket: Bucket,
    ledger: Ledger,
}

/// Why an event could not be taken up at all; what goes wrong with one window is in the report.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum Error {
    #[error(transparent)]
    Config(#[from] VarError),
    #[error(transparent)]
    Event(#[from] InvalidEvent),
}

/// Why a window is not done, other than by the journal's own fault: then it is held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WindowError {
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error("{source}; {service} has money and no usage details")]
    NoDefaultLocation { service: String, source: VarError },
    #[error(transparent)]
    Contention(#[from] cloud::publication::Contention),
    #[error("what is to be written cannot be: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

fn rules(vars: &Vars) -> Result<RevenueRules, VarError> {
    let location_split = match vars.get("LOCATION_SPLIT") {
        None | Some("even") => LocationSplit::Even,
        Some("cost") => LocationSplit::Cost,
        Some(value) => {
            let (name, value) = ("LOCATION_SPLIT", value.to_owned());
            return Err(VarError::Invalid { name, value, expected: "even or cost".into() });
        }
    };
    let default_location = vars.get("REPORTING_DEFAULT_LOCATION").map(str::to_owned);
    Ok(RevenueRules { location_split, default_location })
}

impl Function for App {
    const NAME: &'static str = "report-revenue";
    type Report = RevenueRunReport;
    type Error = Error;

    async fn connect(vars: &Vars) -> Result<Self, Error> {
        let bucket = vars.require("DATA_BUCKET", "the name of the data bucket")?;
        let table = vars.require("STATE_TABLE", "the name of the ledger's table")?;
        let rules = rules(vars)?;
        let concurrency = vars.number("REVENUE_CONCURRENCY", 16usize)?.max(1);
        let aws = Aws::connect(vars).await?;
        let (bucket, ledger) = (Bucket::new(&aws, bucket), Ledger::new(&aws, table));
        let reader = Reader { bucket: bucket.reader().clone(), rules, concurrency };
        Ok(Self { reader, bucket, ledger })
    }

    async fn handle(&self, event: &Value, now: DateTime<Utc>) -> Result<RevenueRunReport, Error> {
        let wanted = read_event(event, now)?;
        let dry_run = matches!(wanted, Wanted::Look(_));
        let mut report = RevenueRunReport::new(dry_run);
        for window in self.windows(wanted, &mut report, now) {
            // one window that fails does not stop the others
            let done = if dry_run { self.reader.look(window).await } else { self.publish(window).await };
            report.windows.push(done.unwrap_or_else(|error| WindowReport::failed(window, &error)));
        }
        report.log();
        Ok(report)
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl App {
    /// The windows to report on, each once; objects that are no journal are told in the report.
    fn windows(&self, wanted: Wanted, report: &mut RevenueRunReport, now: DateTime<Utc>) -> Vec<Window> {
        let objects = match wanted {
            Wanted::Look(window) | Wanted::Report(window) => return vec![window],
            Wanted::MonthsOf(objects) => objects,
        };
        let mut windows = Vec::new();
        for object in objects {
            match self.month_of(&object, now) {
                Ok(window) => windows.push(window),
                Err(why) => report.refused.push(RefusedObject { key: object.key, why }),
            }
        }
        windows.sort();
        windows.dedup();
        windows
    }

    /// The month of a journal file.
    fn month_of(&self, object: &StoredObject, now: DateTime<Utc>) -> Result<Window, String> {
        if let Some(bucket) = object.bucket.as_deref().filter(|bucket| *bucket != self.bucket.name()) {
            let own = self.bucket.name();
            return Err(format!("the event is about bucket {bucket}, this function works on {own}"));
        }
        let key = JournalKey::parse(&object.key).map_err(|error| error.to_string())?;
        Window::month(key.month).begun(now).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_errors_name_the_variable() {
        let rules = |value| super::rules(&Vars::from_iter([("LOCATION_SPLIT", value)]));
        assert_eq!(rules("cost").unwrap().location_split, LocationSplit::Cost);
        assert_eq!(rules("").unwrap(), RevenueRules::default());
        assert_eq!(
            rules("half").unwrap_err().to_string(),
            "the variable LOCATION_SPLIT is 'half', expected even or cost"
        );
    }
}
