//! One month: asked for, kept page by page, and named by its manifest last.

use billing::ids::{InvalidId, InvoiceId, Provider};
use billing::keys::InvoiceKey;
use billing::manifest::{Format, Manifest, Part};
use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use cloud::bucket::{Bucket, KeepError};
use cloud::fetch::FetchedBill;
use cloud::peer::PeerError;
use serde::Serialize;

use crate::Fetcher;
use crate::bigquery::Job;
use crate::error::GcpError;
use crate::months::{finality, invoice_month};
use crate::page::Page;
use crate::parts::{Parts, PartsError, ROWS_PER_PART};
use crate::query::MonthQuery;

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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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

impl Fetcher {
    /// What a month would take; nothing is written, and BigQuery runs nothing.
    pub(crate) async fn look(
        &self,
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<FetchedBill<BillDetail>, MonthError> {
        let bytes = self.bigquery.bytes_to_read(&self.query.of(month, now).body).await?;
        let detail = BillDetail { bytes_to_read: Some(bytes), ..BillDetail::default() };
        Ok(FetchedBill::preview(&self.name(month)?, Some(finality(month, now)), detail))
    }

    /// Fetches a month and keeps it; nothing if the export has no row of it.
    pub(crate) async fn keep(
        &self,
        bucket: &Bucket,
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<Option<FetchedBill<BillDetail>>, MonthError> {
        let bill = self.name(month)?;
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

    /// Google sends one invoice for a billing account and a month; its number is in no API.
    pub(crate) fn name(&self, month: BillingMonth) -> Result<InvoiceKey, InvalidId> {
        Ok(InvoiceKey {
            provider: Provider::gcp(),
            billing_account: self.account.clone(),
            period: month,
            invoice_id: InvoiceId::new(format!("invoice-{}", invoice_month(month)))?,
        })
    }
}

fn endless(job: &Job) -> GcpError {
    let reason = format!("it offers more than {MOST_EMPTY_PAGES} pages without rows");
    PeerError::unexpected(&job.id, reason).into()
}
