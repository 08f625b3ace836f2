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
mod export;
mod fetcher;
mod integrity;
mod invoices;
mod months;
mod pages;

use billing::ids::InvalidId;
use billing::keys::InvoiceKey;
use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use cloud::aws::Aws;
use cloud::billing_apis::BillingApis;
use cloud::bucket::{Bucket, BucketReader};
use cloud::fetch::{Bills, Fetch, FetchedBill};
use cloud::http::RetryPolicy;
use cloud::vars::Vars;

use crate::config::{Config, Place};
use crate::export::Exports;

pub use bill::BillDetail;
pub use error::{AnswerError, CopyError, Error, MonthError};
pub use export::DeliveryError;
pub use fetcher::{Fetcher, Source};

/// The function with its clients.
pub type App = Fetch<Fetcher>;

impl Bills for Fetcher {
    const NAME: &'static str = "fetch-aws";
    const LEAVES_FINAL: bool = true;
    type Source = Source;
    type Detail = BillDetail;
    type MonthError = MonthError;
    type Error = Error;

    async fn connect(vars: &Vars, aws: &Aws) -> Result<Self, Error> {
        let config = Config::from_vars(vars)?;
        let retry = RetryPolicy::from_vars(vars)?;
        let exports = config.place.as_ref().map(|place| exports(aws, place));
        Ok(Self { config, exports, apis: BillingApis::new(aws, retry), retry })
    }

    fn ended_months(&self) -> usize {
        self.config.months
    }

    async fn open(&self) -> Result<Source, Error> {
        match &self.exports {
            Some(exports) => Ok(Source::Export(exports.find().await?)),
            None => Ok(Source::CostExplorer),
        }
    }

    fn bill(&self, source: &Source, month: BillingMonth) -> Result<InvoiceKey, InvalidId> {
        self.name(month, source.name())
    }

    /// Answers of Cost Explorer cost money, so it is not asked.
    async fn preview(
        &self,
        source: &Source,
        month: BillingMonth,
        _: DateTime<Utc>,
    ) -> Result<Option<FetchedBill<BillDetail>>, MonthError> {
        let detail = match source {
            Source::CostExplorer => BillDetail::default(),
            Source::Export(export) => match export.delivery(month).await? {
                None => return Ok(None),
                Some(delivery) => BillDetail {
                    format: Some(delivery.format),
                    parts: delivery.files.len(),
                    ..BillDetail::default()
                },
            },
        };
        Ok(Some(FetchedBill::preview(&self.bill(source, month)?, None, detail)))
    }

    /// The data first, the manifest last.
    async fn fetch(
        &self,
        source: &Source,
        bucket: &Bucket,
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<Option<FetchedBill<BillDetail>>, MonthError> {
        let draft = match source {
            Source::Export(export) => self.copy_export(bucket, export, month).await?,
            Source::CostExplorer => self.ask_cost_explorer(bucket, self.bill(source, month)?).await?,
        };
        match draft {
            Some(draft) => draft.keep(bucket, now).await.map(Some),
            None => Ok(None),
        }
    }

    fn of_all(error: MonthError) -> Result<Error, MonthError> {
        match error {
            MonthError::Call(error) if error.is_for_all() => Ok(error.into()),
            error => Err(error),
        }
    }
}

fn exports(aws: &Aws, place: &Place) -> Exports {
    let aws = place.region.as_deref().map_or_else(|| aws.clone(), |region| aws.in_region(region));
    let bucket = BucketReader::new(&aws, place.bucket.as_str(), "AWS_EXPORT_BUCKET");
    Exports { bucket, prefix: place.prefix.clone(), name: place.name.clone() }
}
