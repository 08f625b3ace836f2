//! What a dry run does, and every run first: where the bill comes from, and which months. Nothing here can write.

use billing::ids::{InvoiceId, Provider};
use billing::keys::{InvoiceKey, RawDocumentKey};
use billing::manifest::Manifest;
use billing::month::BillingMonth;
use billing::period::Finality;
use chrono::{DateTime, Utc};
use cloud::billing_apis::BillingApis;
use cloud::bucket::BucketReader;
use cloud::http::RetryPolicy;

use crate::config::Config;
use crate::cost_explorer::BILL;
use crate::error::{Error, MonthError};
use crate::export::{Export, Exports};
use crate::months::recent;
use crate::report::{BillState, FetchedBill};

/// AWS and the bucket, to read.
pub(crate) struct Looker {
    pub(crate) config: Config,
    /// Nothing if the costs come from Cost Explorer.
    pub(crate) exports: Option<Exports>,
    pub(crate) apis: BillingApis,
    pub(crate) retry: RetryPolicy,
    /// The data bucket.
    pub(crate) kept: BucketReader,
}

/// Where bills come from.
pub(crate) enum Source {
    Export(Export),
    CostExplorer,
}

impl Source {
    /// The name of the bill.
    fn name(&self) -> &str {
        match self {
            Self::Export(export) => &export.name,
            Self::CostExplorer => BILL,
        }
    }
}

impl Looker {
    pub(crate) async fn source(&self) -> Result<Source, Error> {
        match &self.exports {
            Some(exports) => Ok(Source::Export(exports.find().await?)),
            None => Ok(Source::CostExplorer),
        }
    }

    pub(crate) fn bill(&self, period: BillingMonth, invoice_id: InvoiceId) -> InvoiceKey {
        let (provider, billing_account) = (Provider::aws(), self.config.account.clone());
        InvoiceKey { provider, billing_account, period, invoice_id }
    }

    /// The month asked for; else the running one and those before it that are not final yet.
    pub(crate) async fn months(
        &self,
        wanted: Option<BillingMonth>,
        source: &Source,
        now: DateTime<Utc>,
    ) -> Result<Vec<BillingMonth>, Error> {
        if let Some(month) = wanted {
            return Ok(vec![month]);
        }
        let mut months = Vec::new();
        for month in recent(now, self.config.months) {
            let bill = self.bill(month, InvoiceId::new(source.name())?);
            if !self.is_final(&bill).await? {
                months.push(month);
            }
        }
        Ok(months)
    }

    /// Whether the bill has been fetched after it became final.
    async fn is_final(&self, bill: &InvoiceKey) -> Result<bool, Error> {
        for kept in self.kept.list(&bill.raw_folder()).await? {
            let key = RawDocumentKey::parse(&kept.key).ok();
            let Some(key) = key.filter(|key| key.extension == Manifest::EXTENSION) else { continue };
            let Some(object) = self.kept.get(&kept.key, None).await? else { continue };
            // one that cannot be read proves nothing: the month is fetched
            if Manifest::read(&key, &object.bytes).is_ok_and(|manifest| manifest.finality == Finality::Final)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What would be fetched of a month. Answers of Cost Explorer cost money, so it is not asked.
    pub(crate) async fn preview(
        &self,
        source: &Source,
        month: BillingMonth,
    ) -> Result<FetchedBill, MonthError> {
        let told = self.empty(source, month);
        match source {
            Source::CostExplorer => Ok(FetchedBill { state: BillState::WouldFetch, ..told }),
            Source::Export(export) => Ok(match export.delivery(month).await? {
                None => told,
                Some(delivery) => FetchedBill {
                    state: BillState::WouldFetch,
                    format: Some(delivery.format),
                    parts: delivery.files.len(),
                    ..told
                },
            }),
        }
    }

    /// A month of which there is nothing, or nothing is known.
    pub(crate) fn empty(&self, source: &Source, month: BillingMonth) -> FetchedBill {
        FetchedBill {
            invoice_id: source.name().to_owned(),
            billing_account: self.config.account.to_string(),
            period: month,
            state: BillState::Empty,
            finality: None,
            format: None,
            parts: 0,
            bytes: None,
            invoices: 0,
            key: None,
        }
    }
}
