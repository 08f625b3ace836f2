//! Schedule -> `raw/aws/...`: a month of an AWS account, from an export or from Cost Explorer, its manifest last.
//!
//! Without more in the event, the running month and the last ended ones that are not final yet; `{"month": "2026-10"}` by hand;
//! `"dry_run": true` only says what would be fetched. One month that fails does not stop the others; the invocation then fails,
//! so that it is tried again. A bill that has not changed writes nothing.
//!
//! | variable | meaning |
//! |---|---|
//! | `DATA_BUCKET`, `STATE_TABLE` | the bucket and the ledger's table |
//! | `AWS_BILLING_ACCOUNT` | the account that is billed (the payer), 12 digits; bills are filed under it |
//! | `AWS_EXPORT_BUCKET` | where AWS delivers a cost export; without it the costs come from Cost Explorer |
//! | `AWS_EXPORT_REGION` | the region of that bucket, default the function's own |
//! | `AWS_EXPORT_PREFIX` | the prefix of the export, default none |
//! | `AWS_EXPORT_NAME` | the name of the export; needed where there are several under the prefix |
//! | `AWS_INVOICING` | `on` (default) or `off`: whether invoices are asked for, to reconcile against |
//! | `AWS_ACCOUNT_NAMES` | `on` (default) or `off`: whether names of accounts are asked for where the rows have none |
//! | `AWS_MONTHS` | ended months to look at, default 2 |
//! | `HTTP_ATTEMPTS`, `HTTP_BACKOFF_MS` | see [`cloud::http`], here for the billing APIs |

mod account_names;
mod bill;
mod config;
mod copy;
mod cost_explorer;
mod error;
mod event;
mod export;
mod integrity;
mod invoices;
mod look;
mod months;
mod pages;
mod report;

use chrono::{DateTime, Utc};
use cloud::aws::Aws;
use cloud::bucket::{Bucket, BucketReader};
use cloud::http::RetryPolicy;
use cloud::invocation::Function;
use cloud::ledger::Ledger;
use cloud::vars::Vars;
use serde_json::Value;

use crate::config::{Config, Place};
use crate::event::read_event;
use crate::export::Exports;
use crate::look::{Looker, Source};

pub use copy::CopyError;
pub use error::{Error, MonthError};
pub use export::DeliveryError;
pub use pages::AnswerError;
pub use report::{BillState, FailedMonth, FetchBillsReport, FetchedBill};

/// The function with its clients.
pub struct App {
    /// All that a dry run has.
    looker: Looker,
    bucket: Bucket,
    ledger: Ledger,
}

impl Function for App {
    const NAME: &'static str = "fetch-aws";
    type Report = FetchBillsReport;
    type Error = Error;

    async fn connect(vars: &Vars) -> Result<Self, Error> {
        let bucket = vars.require("DATA_BUCKET", "the name of the data bucket")?;
        let table = vars.require("STATE_TABLE", "the name of the ledger's table")?;
        let config = Config::from_vars(vars)?;
        let aws = Aws::connect(vars).await?;
        let retry = RetryPolicy::from_vars(vars)?;
        let exports = config.place.as_ref().map(|place| exports(&aws, place));
        let bucket = Bucket::new(&aws, bucket);
        let apis = cloud::billing_apis::BillingApis::new(&aws, retry);
        let looker = Looker { config, exports, apis, retry, kept: bucket.reader().clone() };
        Ok(Self { looker, bucket, ledger: Ledger::new(&aws, table) })
    }

    async fn handle(&self, event: &Value, now: DateTime<Utc>) -> Result<FetchBillsReport, Error> {
        let (wanted, dry_run) = read_event(event)?;
        let wanted = wanted.map(|month| month.begun(now)).transpose()?;
        let mut report = FetchBillsReport::new(dry_run);
        let source = self.looker.source().await?;
        for month in self.looker.months(wanted, &source, now).await? {
            let done = match dry_run {
                true => self.looker.preview(&source, month).await,
                false => self.fetch(&source, month, now).await,
            };
            match done {
                Ok(bill) => report.add(bill),
                // the others would say the same
                Err(MonthError::Call(error)) if error.is_for_all() => return Err(error.into()),
                Err(error) => report.fail(month, &error),
            }
        }
        Ok(report)
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

fn exports(aws: &Aws, place: &Place) -> Exports {
    let aws = place.region.as_deref().map_or_else(|| aws.clone(), |region| aws.in_region(region));
    let bucket = BucketReader::new(&aws, place.bucket.as_str(), "AWS_EXPORT_BUCKET");
    Exports { bucket, prefix: place.prefix.clone(), name: place.name.clone() }
}

impl App {
    /// Fetches a month and keeps it: the data first, the manifest last.
    async fn fetch(
        &self,
        source: &Source,
        month: billing::month::BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<FetchedBill, MonthError> {
        let draft = match source {
            Source::Export(export) => self.copy_export(export, month).await?,
            Source::CostExplorer => self.ask_cost_explorer(month).await?,
        };
        match draft {
            Some(draft) => self.keep(draft, month, now).await,
            None => Ok(self.looker.empty(source, month)),
        }
    }
}
