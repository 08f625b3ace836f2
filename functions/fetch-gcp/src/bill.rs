//! One month: asked for, kept page by page, and named by its manifest last.

use std::collections::BTreeMap;

use billing::ids::{BillingAccountId, InvalidId, InvoiceId, Provider};
use billing::keys::InvoiceKey;
use billing::manifest::{Format, Manifest, Part};
use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use cloud::bucket::{Bucket, KeepError, Written};
use cloud::peer::PeerError;

use crate::bigquery::{BigQuery, Job};
use crate::error::GcpError;
use crate::months::{finality, invoice_month};
use crate::page::Page;
use crate::parts::{Parts, PartsError, ROWS_PER_PART};
use crate::query::{MonthQuery, Query};
use crate::report::{FetchState, FetchedBill};

/// An answer never ends otherwise if a server keeps offering pages without rows.
const MOST_EMPTY_PAGES: usize = 100;

/// BigQuery and what is asked of it: all that a dry run has.
pub(crate) struct Asker {
    pub(crate) bigquery: BigQuery,
    pub(crate) query: Query,
    pub(crate) account: BillingAccountId,
}

/// Why a month is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MonthError {
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

impl Asker {
    /// What a month would take; nothing is written, and BigQuery runs nothing.
    pub(crate) async fn preview(
        &self,
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<FetchedBill, MonthError> {
        let bytes = self.bigquery.bytes_to_read(&self.query.of(month, now).body).await?;
        let bill = self.bill(month)?;
        Ok(FetchedBill { bytes_to_read: Some(bytes), ..told(&bill, now, FetchState::WouldFetch) })
    }

    /// Fetches a month and keeps it; nothing if the export has no row of it.
    pub(crate) async fn fetch(
        &self,
        bucket: &Bucket,
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<Option<FetchedBill>, MonthError> {
        let bill = self.bill(month)?;
        let query = self.query.of(month, now);
        let (rows, parts) = self.rows(bucket, &bill, &query).await?;
        if rows == 0 {
            return Ok(None);
        }
        let source = format!("{} query", query.source);
        let asked = bucket.keep_bytes(&bill, "query.json", source, &query.document).await?;
        let manifest = manifest(&bill, parts, asked, now);
        let (key, written) = bucket.keep_manifest(&manifest, now).await?;
        let state = if written == Written::Now { FetchState::Fetched } else { FetchState::Unchanged };
        let (rows, parts) = (Some(rows), Some(manifest.parts.len()));
        Ok(Some(FetchedBill { rows, parts, key: Some(key), ..told(&bill, now, state) }))
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
    fn bill(&self, month: BillingMonth) -> Result<InvoiceKey, InvalidId> {
        Ok(InvoiceKey {
            provider: Provider::gcp(),
            billing_account: self.account.clone(),
            period: month,
            invoice_id: InvoiceId::new(format!("invoice-{}", invoice_month(month)))?,
        })
    }
}

fn manifest(bill: &InvoiceKey, parts: Vec<Part>, asked: Part, now: DateTime<Utc>) -> Manifest {
    Manifest {
        manifest: Manifest::VERSION,
        brought: None,
        provider: bill.provider.clone(),
        billing_account: bill.billing_account.clone(),
        period: bill.period,
        invoice_id: bill.invoice_id.clone(),
        finality: finality(bill.period, now),
        provider_updated: None,
        format: Format::BigQuery,
        parts,
        documents: vec![asked],
        invoices: Vec::new(),
        shared: false,
        sub_account_names: BTreeMap::new(),
    }
}

fn told(bill: &InvoiceKey, now: DateTime<Utc>, state: FetchState) -> FetchedBill {
    FetchedBill {
        invoice_id: bill.invoice_id.to_string(),
        billing_account: bill.billing_account.to_string(),
        period: bill.period,
        finality: finality(bill.period, now),
        state,
        rows: None,
        parts: None,
        bytes_to_read: None,
        key: None,
    }
}

fn endless(job: &Job) -> GcpError {
    let reason = format!("it offers more than {MOST_EMPTY_PAGES} pages without rows");
    PeerError::unexpected(&job.id, reason).into()
}
