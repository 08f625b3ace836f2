//! One month: asked for, kept page by page, and named by its manifest last.

use billing::ids::{InvalidId, InvoiceId, Provider};
use billing::keys::InvoiceKey;
use billing::manifest::{Format, Manifest, Part};
use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use cloud::aws::Aws;
use cloud::bucket::{Bucket, KeepError};
use cloud::fetch::{Bills, FetchedBill};
use cloud::peer::{Fault, PeerError};
use cloud::vars::Vars;
use serde::{Deserialize, Serialize};

use crate::bigquery::Job;
use crate::error::GcpError;
use crate::months::{finality, invoice_month};
use crate::page::Page;
use crate::parts::{Parts, PartsError, ROWS_PER_PART};
use crate::query::MonthQuery;
use crate::{Error, Fetcher};

/// An answer never ends otherwise if a server keeps offering pages without rows.
const MOST_EMPTY_PAGES: usize = 100;

/// Why a month is not done.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum MonthError {
    #[error(transparent)]
    Gcp(#[from] GcpError),
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("the query cannot be written down: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<PartsError> for MonthError {
    fn from(error: PartsError) -> Self {
        match error {
            PartsError::Gcp(error) => Self::Gcp(error),
            PartsError::Keep(error) => Self::Keep(error),
        }
    }
}

/// What is told of a bill.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillDetail {
    /// Its rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The documents that hold them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<usize>,
    /// How many bytes the query would read, in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_to_read: Option<u64>,
}

impl Bills for Fetcher {
    const NAME: &'static str = "fetch-gcp";
    /// Rows come late, also after a month counts as final.
    const LEAVES_FINAL: bool = false;
    type Source = ();
    type Detail = BillDetail;
    type MonthError = MonthError;
    type Error = Error;

    async fn connect(vars: &Vars, aws: &Aws) -> Result<Self, Error> {
        Self::from_vars(vars, aws).await
    }

    fn ended_months(&self) -> usize {
        self.months
    }

    async fn open(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Google sends one invoice for a billing account and a month; its number is in no API.
    fn bill(&self, (): &(), month: BillingMonth) -> Result<InvoiceKey, InvalidId> {
        Ok(InvoiceKey {
            provider: Provider::gcp(),
            billing_account: self.account.clone(),
            period: month,
            invoice_id: InvoiceId::new(format!("invoice-{}", invoice_month(month)))?,
        })
    }

    /// BigQuery runs nothing.
    async fn preview(
        &self,
        (): &(),
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<Option<FetchedBill<BillDetail>>, MonthError> {
        let bytes = self.bigquery.bytes_to_read(&self.query.of(month, now).body).await?;
        let detail = BillDetail { bytes_to_read: Some(bytes), ..BillDetail::default() };
        Ok(Some(FetchedBill::preview(&self.bill(&(), month)?, Some(finality(month, now)), detail)))
    }

    async fn fetch(
        &self,
        (): &(),
        bucket: &Bucket,
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<Option<FetchedBill<BillDetail>>, MonthError> {
        let bill = self.bill(&(), month)?;
        let query = self.query.of(month, now);
        let (rows, parts) = self.rows(bucket, &bill, &query).await?;
        if rows == 0 {
            return Ok(None);
        }
        let source = format!("{} query", query.source);
        let asked = bucket.keep_bytes(&bill, "query.json", source, &query.document).await?;
        let manifest = Manifest::of(&bill, Format::BigQuery, finality(month, now));
        let manifest = Manifest { parts, documents: vec![asked], ..manifest };
        let (key, written) = bucket.keep_manifest(&manifest, now).await?;
        let detail = BillDetail { rows: Some(rows), parts: Some(manifest.parts.len()), bytes_to_read: None };
        Ok(Some(FetchedBill::kept(&bill, written.into(), manifest.finality, key, detail)))
    }

    fn of_all(error: MonthError) -> Result<Error, MonthError> {
        match error {
            MonthError::Gcp(GcpError::Peer(error)) if error.fault == Fault::Credentials => Ok(error.into()),
            error => Err(error),
        }
    }
}

impl Fetcher {
    /// Asks, and keeps all rows of the answer.
    async fn rows(
        &self,
        bucket: &Bucket,
        bill: &InvoiceKey,
        query: &MonthQuery,
    ) -> Result<(u64, Vec<Part>), MonthError> {
        let (job, mut body) = self.bigquery.query(&query.body).await?;
        tracing::info!(job.id = job.id, bill.month = %bill.period, "the query job {} is done", job.id);
        let mut parts = Parts::new(bucket, bill, &query.source, &job.id, ROWS_PER_PART);
        let mut empty_pages = 0;
        loop {
            let page = Page::read(&body)?;
            parts.take(&page).await?;
            empty_pages += usize::from(page.rows().is_empty());
            let Some(token) = page.page_token else { break };
            if empty_pages > MOST_EMPTY_PAGES {
                return Err(endless(&job).into());
            }
            body = self.bigquery.page(&job, &token).await?;
        }
        Ok(parts.finish().await?)
    }
}

fn endless(job: &Job) -> GcpError {
    let reason = format!("it offers more than {MOST_EMPTY_PAGES} pages without rows");
    PeerError::unexpected(&job.id, reason).into()
}
