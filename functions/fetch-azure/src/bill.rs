//! The bill of a month: its files as they came, the invoices they must come to, and last its manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use billing::ids::{BillingAccountId, InvalidId, InvoiceId, Provider};
use billing::keys::{InvoiceKey, RawDocumentKey};
use billing::manifest::{Format, Manifest, ManifestError, Part};
use billing::month::{BillingMonth, NotBegun};
use billing::period::Finality;
use chrono::{DateTime, Utc};
use cloud::bucket::{Bucket, BucketError, KeepError, Written};
use url::Url;

use crate::azure::Azure;
use crate::blob::signed_blob;
use crate::cost_details::{CostReport, Metric, Metrics};
use crate::error::AzureError;
use crate::export::{Export, Run};
use crate::invoices::Invoice;
use crate::months::{Window, finality};
use crate::report::{FetchState, FetchedBill};

/// The bill that a cost details report is.
pub(crate) const COST_DETAILS: &str = "cost-details";

/// Where bills come from and where they go.
pub(crate) struct Fetcher {
    pub(crate) azure: Azure,
    /// The reports that make up a bill.
    pub(crate) metrics: Metrics,
    /// Taken instead of cost details reports, where there is one.
    pub(crate) export: Option<Export>,
    /// Where invoices are listed; nothing if they are not looked at.
    pub(crate) invoices: Option<Url>,
    pub(crate) account: BillingAccountId,
    pub(crate) bucket: Bucket,
}

/// Why the bill of a month is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MonthError {
    #[error(transparent)]
    NotBegun(#[from] NotBegun),
    #[error(transparent)]
    Azure(#[from] AzureError),
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("{key}: {error}")]
    Manifest { key: String, error: ManifestError },
    #[error("Azure has invoice {invoice} of {month} and no costs: the next run asks again")]
    OnlyInvoices { invoice: String, month: BillingMonth },
    #[error("Azure has actual costs of {month} and no amortized ones: the next run asks again")]
    OnlyActual { month: BillingMonth },
}

/// The data of a bill.
struct Data {
    format: Format,
    parts: Vec<Part>,
}

impl Fetcher {
    /// The bill of a month.
    fn bill(&self, month: BillingMonth) -> Result<InvoiceKey, InvalidId> {
        Ok(InvoiceKey {
            provider: Provider::azure(),
            billing_account: self.account.clone(),
            period: month,
            invoice_id: InvoiceId::new(self.export.as_ref().map_or(COST_DETAILS, Export::name))?,
        })
    }

    /// Whether the bucket has a final bill of a month.
    pub(crate) async fn is_settled(&self, month: BillingMonth) -> Result<bool, MonthError> {
        for object in self.bucket.list(&self.bill(month)?.raw_folder()).await? {
            let Ok(key) = RawDocumentKey::parse(&object.key) else { continue };
            if key.extension != Manifest::EXTENSION {
                continue;
            }
            let Some(found) = self.bucket.get(&object.key, None).await? else { continue };
            let manifest = Manifest::read(&key, &found.bytes)
                .map_err(|error| MonthError::Manifest { key: object.key.clone(), error })?;
            if manifest.finality == Finality::Final {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Fetches the bill of a month and keeps it; nothing if the month has no costs.
    pub(crate) async fn fetch(
        &self,
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<Option<FetchedBill>, MonthError> {
        let (window, bill) = (Window::of(month, now)?, self.bill(month)?);
        let invoices = self.listed(month).await?;
        let data = match &self.export {
            Some(export) => self.keep_run(export, &bill, month).await?,
            None => self.keep_reports(&bill, &window).await?,
        };
        let Some(data) = data else {
            return match charged(&invoices) {
                Some(invoice) => Err(MonthError::OnlyInvoices { invoice, month }),
                None => Ok(None),
            };
        };
        let mut documents = Vec::new();
        for Invoice { name, document, .. } in &invoices {
            let source = format!("{}/{name}", self.invoices.as_ref().map_or("", Url::path));
            documents.push(self.bucket.keep_bytes(&bill, "json", source, document.as_bytes()).await?);
        }
        let state = finality(month, now, self.has_invoice(&invoices));
        let totals = invoices.into_iter().filter_map(|invoice| invoice.total);
        let manifest = Manifest {
            manifest: Manifest::VERSION,
            brought: None,
            provider: bill.provider,
            billing_account: bill.billing_account,
            period: month,
            invoice_id: bill.invoice_id,
            finality: state,
            provider_updated: None,
            format: data.format,
            parts: data.parts,
            documents,
            invoices: totals.collect(),
            shared: false,
            sub_account_names: BTreeMap::new(),
        };
        let (key, written) = self.bucket.keep_manifest(&manifest, now).await?;
        Ok(Some(told(manifest, key, written)))
    }

    /// What [`Self::fetch`] would fetch: looks at lists only, orders no report and writes nothing.
    pub(crate) async fn preview(
        &self,
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<Option<FetchedBill>, MonthError> {
        let (_, bill) = (Window::of(month, now)?, self.bill(month)?);
        let invoices = self.listed(month).await?;
        let mut files = Vec::new();
        if let Some(export) = &self.export {
            let Some(run) = export.newest_run(&self.azure.peer, month).await? else { return Ok(None) };
            files.extend(run.files.into_iter().map(|file| file.blob));
        }
        Ok(Some(FetchedBill {
            invoice_id: bill.invoice_id.to_string(),
            billing_account: bill.billing_account,
            period: month,
            finality: finality(month, now, self.has_invoice(&invoices)),
            state: FetchState::WouldFetch,
            files,
            bytes: 0,
            invoices: invoices.into_iter().filter(|it| it.total.is_some()).map(|it| it.name).collect(),
            key: None,
        }))
    }

    /// In the order of their names, whatever order the pages had.
    async fn listed(&self, month: BillingMonth) -> Result<Vec<Invoice>, AzureError> {
        let Some(place) = &self.invoices else { return Ok(Vec::new()) };
        let mut invoices = self.azure.invoices(place, month).await?;
        invoices.sort_by(|one, other| one.name.cmp(&other.name));
        invoices.dedup();
        Ok(invoices)
    }

    /// Where invoices are not looked at, none is waited for.
    fn has_invoice(&self, invoices: &[Invoice]) -> bool {
        self.invoices.is_none() || invoices.iter().any(|invoice| invoice.total.is_some())
    }

    /// The reports of a month; nothing if there are no costs.
    async fn keep_reports(&self, bill: &InvoiceKey, window: &Window) -> Result<Option<Data>, MonthError> {
        let (mut parts, begun) = (Vec::new(), Instant::now());
        for (metric, costs) in self.metrics.reports() {
            match self.keep_report(bill, window, *metric, begun).await? {
                Some(files) => parts.extend(files.into_iter().map(|part| Part { costs: *costs, ..part })),
                None if parts.is_empty() => return Ok(None),
                None => return Err(MonthError::OnlyActual { month: bill.period }),
            }
        }
        Ok(Some(Data { format: Format::AzureCostDetails, parts }))
    }

    /// Links of a report may end before the last file is here: then it is ordered once more.
    async fn keep_report(
        &self,
        bill: &InvoiceKey,
        window: &Window,
        metric: Metric,
        begun: Instant,
    ) -> Result<Option<Vec<Part>>, MonthError> {
        let mut ordered_again = false;
        loop {
            let Some(report) = self.azure.cost_details(window, metric, begun).await? else { return Ok(None) };
            match self.keep_files(bill, report).await {
                Err(MonthError::Azure(error @ AzureError::LinkExpired(_))) if !ordered_again => {
                    tracing::info!("{error}");
                    ordered_again = true;
                }
                kept => return kept.map(Some),
            }
        }
    }

    async fn keep_files(&self, bill: &InvoiceKey, report: CostReport) -> Result<Vec<Part>, MonthError> {
        let mut parts = Vec::new();
        for file in report.files {
            let taken = signed_blob(&self.azure.peer, &file.link, file.shape).await?;
            let extension = if file.shape.is_gzip { "csv.gz" } else { "csv" };
            parts.push(self.bucket.keep(bill, extension, file.name, taken.spool).await?);
        }
        Ok(parts)
    }

    /// The manifest of a run says when it ran, so it is kept beside and is no part of the bill: the same data from another run
    /// is the same bill.
    async fn keep_run(
        &self,
        export: &Export,
        bill: &InvoiceKey,
        month: BillingMonth,
    ) -> Result<Option<Data>, MonthError> {
        let Some(run) = export.newest_run(&self.azure.peer, month).await? else { return Ok(None) };
        let Run { format, files, manifest, manifest_name } = run;
        let mut parts = Vec::new();
        for file in &files {
            let taken = export.file(&self.azure.peer, file).await?;
            parts.push(self.bucket.keep(bill, file.extension, file.source.clone(), taken.spool).await?);
        }
        if parts.is_empty() {
            return Ok(None);
        }
        self.bucket.keep_bytes(bill, "json", manifest_name, &manifest).await?;
        Ok(Some(Data { format, parts }))
    }
}

/// An invoice with something on it.
fn charged(invoices: &[Invoice]) -> Option<String> {
    let has_amount = |invoice: &&Invoice| invoice.total.as_ref().is_some_and(|total| !total.total.is_zero());
    invoices.iter().find(has_amount).map(|invoice| invoice.name.clone())
}

fn told(mut manifest: Manifest, key: String, written: Written) -> FetchedBill {
    // without a commitment both reports are the same bytes, kept once
    let mut keys = BTreeSet::new();
    manifest.parts.retain(|part| keys.insert(part.key.clone()));
    FetchedBill {
        invoice_id: manifest.invoice_id.to_string(),
        billing_account: manifest.billing_account,
        period: manifest.period,
        finality: manifest.finality,
        state: if written == Written::Now { FetchState::Fetched } else { FetchState::Unchanged },
        bytes: manifest.parts.iter().map(|part| part.bytes).sum(),
        files: manifest.parts.into_iter().map(|part| part.key).collect(),
        invoices: manifest.invoices.into_iter().map(|invoice| invoice.invoice_id).collect(),
        key: Some(key),
    }
}
