//! Where bills come from, and how they are called. Nothing here can write.

use billing::ids::{InvalidId, InvoiceId, Provider};
use billing::keys::InvoiceKey;
use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use cloud::aws::Aws;
use cloud::billing_apis::BillingApis;
use cloud::bucket::{Bucket, BucketReader};
use cloud::fetch::{Bills, FetchedBill};
use cloud::http::RetryPolicy;
use cloud::vars::Vars;

use crate::bill::BillDetail;
use crate::config::{Config, Place};
use crate::error::{Error, MonthError};
use crate::export::{Export, Exports};

/// The bill that answers of Cost Explorer make up.
const COST_EXPLORER: &str = "cost-explorer";

/// AWS, to read.
pub struct Fetcher {
    pub(crate) config: Config,
    /// Nothing if the costs come from Cost Explorer.
    pub(crate) exports: Option<Exports>,
    pub(crate) apis: BillingApis,
    pub(crate) retry: RetryPolicy,
}

/// Where bills come from.
#[expect(missing_docs, reason = "the names say it")]
pub enum Source {
    Export(Export),
    CostExplorer,
}

impl Source {
    /// The name of the bill.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Export(export) => &export.name,
            Self::CostExplorer => COST_EXPLORER,
        }
    }
}

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

impl Fetcher {
    /// The bill of a month under this name.
    pub(crate) fn name(&self, period: BillingMonth, name: &str) -> Result<InvoiceKey, InvalidId> {
        let (provider, billing_account) = (Provider::aws(), self.config.account.clone());
        Ok(InvoiceKey { provider, billing_account, period, invoice_id: InvoiceId::new(name)? })
    }
}

fn exports(aws: &Aws, place: &Place) -> Exports {
    let aws = place.region.as_deref().map_or_else(|| aws.clone(), |region| aws.in_region(region));
    let bucket = BucketReader::new(&aws, place.bucket.as_str(), "AWS_EXPORT_BUCKET");
    Exports { bucket, prefix: place.prefix.clone(), name: place.name.clone() }
}
