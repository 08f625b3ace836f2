//! The bill of a month: its files as they came, the invoices they must come to, and last its manifest.

use std::collections::BTreeSet;
use std::time::Instant;

use billing::ids::{InvalidId, InvoiceId, Provider};
use billing::keys::InvoiceKey;
use billing::manifest::{Format, Manifest, Part};
use billing::month::{BillingMonth, NotBegun};
use chrono::{DateTime, Utc};
use cloud::aws::Aws;
use cloud::bucket::{Bucket, BucketError, KeepError};
use cloud::fetch::{Bills, FetchedBill};
use cloud::vars::Vars;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::blob::signed_blob;
use crate::cost_details::{CostReport, Metric};
use crate::error::AzureError;
use crate::export::{Export, Run};
use crate::invoices::Invoice;
use crate::months::{Window, finality};
use crate::{Error, Fetcher};

/// The bill that a cost details report is.
pub(crate) const COST_DETAILS: &str = "cost-details";

/// What is told of a bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillDetail {
    /// The files that it consists of, as keys; in a dry run, as the export names them.
    pub files: Vec<String>,
    /// Their size.
    pub bytes: u64,
    /// The invoices that it must come to.
    pub invoices: Vec<String>,
}

/// Why the bill of a month is not there.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum MonthError {
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

impl Bills for Fetcher {
    const NAME: &'static str = "fetch-azure";
    const LEAVES_FINAL: bool = true;
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

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    async fn open(&self) -> Result<(), Error> {
        Ok(self.azure.sign_in().await?)
    }

    fn bill(&self, (): &(), month: BillingMonth) -> Result<InvoiceKey, InvalidId> {
        Ok(InvoiceKey {
            provider: Provider::azure(),
            billing_account: self.account.clone(),
            period: month,
            invoice_id: InvoiceId::new(self.export.as_ref().map_or(COST_DETAILS, Export::name))?,
        })
    }

    /// Looks at lists only, and orders no report.
    async fn preview(
        &self,
        (): &(),
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<Option<FetchedBill<BillDetail>>, MonthError> {
        let (_, bill) = (Window::of(month, now)?, self.bill(&(), month)?);
        let invoices = self.listed(month).await?;
        let mut files = Vec::new();
        if let Some(export) = &self.export {
            let Some(run) = export.newest_run(&self.azure.peer, month).await? else { return Ok(None) };
            files.extend(run.files.into_iter().map(|file| file.blob));
        }
        let state = finality(month, now, self.has_invoice(&invoices));
        let invoices = invoices.into_iter().filter(|it| it.total.is_some()).map(|it| it.name).collect();
        Ok(Some(FetchedBill::preview(&bill, Some(state), BillDetail { files, bytes: 0, invoices })))
    }

    async fn fetch(
        &self,
        (): &(),
        bucket: &Bucket,
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<Option<FetchedBill<BillDetail>>, MonthError> {
        let (window, bill) = (Window::of(month, now)?, self.bill(&(), month)?);
        let invoices = self.listed(month).await?;
        let data = match &self.export {
            Some(export) => self.keep_run(bucket, export, &bill, month).await?,
            None => self.keep_reports(bucket, &bill, &window).await?,
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
            documents.push(bucket.keep_bytes(&bill, "json", source, document.as_bytes()).await?);
        }
        let state = finality(month, now, self.has_invoice(&invoices));
        let totals = invoices.into_iter().filter_map(|invoice| invoice.total);
        let manifest = Manifest {
            parts: data.parts,
            documents,
            invoices: totals.collect(),
            ..Manifest::of(&bill, data.format, state)
        };
        let (key, written) = bucket.keep_manifest(&manifest, now).await?;
        Ok(Some(FetchedBill::kept(&bill, written.into(), state, key, told(manifest))))
    }

    /// Wrong credentials were told when the run began.
    fn of_all(error: MonthError) -> Result<Error, MonthError> {
        Err(error)
    }
}

impl Fetcher {
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
    async fn keep_reports(
        &self,
        bucket: &Bucket,
        bill: &InvoiceKey,
        window: &Window,
    ) -> Result<Option<Data>, MonthError> {
        let (mut parts, begun) = (Vec::new(), Instant::now());
        for (metric, costs) in self.metrics.reports() {
            match self.keep_report(bucket, bill, window, *metric, begun).await? {
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
        bucket: &Bucket,
        bill: &InvoiceKey,
        window: &Window,
        metric: Metric,
        begun: Instant,
    ) -> Result<Option<Vec<Part>>, MonthError> {
        let mut ordered_again = false;
        loop {
            let Some(report) = self.azure.cost_details(window, metric, begun).await? else { return Ok(None) };
            match self.keep_files(bucket, bill, report).await {
                Err(MonthError::Azure(error @ AzureError::LinkExpired(_))) if !ordered_again => {
                    tracing::info!("{error}");
                    ordered_again = true;
                }
                kept => return kept.map(Some),
            }
        }
    }

    async fn keep_files(
        &self,
        bucket: &Bucket,
        bill: &InvoiceKey,
        report: CostReport,
    ) -> Result<Vec<Part>, MonthError> {
        let mut parts = Vec::new();
        for file in report.files {
            let taken = signed_blob(&self.azure.peer, &file.link, file.shape).await?;
            let extension = if file.shape.is_gzip { "csv.gz" } else { "csv" };
            parts.push(bucket.keep(bill, extension, file.name, taken.spool).await?);
        }
        Ok(parts)
    }

    /// The manifest of a run says when it ran, so it is kept beside and is no part of the bill: the same data from another run
    /// is the same bill.
    async fn keep_run(
        &self,
        bucket: &Bucket,
        export: &Export,
        bill: &InvoiceKey,
        month: BillingMonth,
    ) -> Result<Option<Data>, MonthError> {
        let Some(run) = export.newest_run(&self.azure.peer, month).await? else { return Ok(None) };
        let Run { format, files, manifest, manifest_name } = run;
        let mut parts = Vec::new();
        for file in &files {
            let taken = export.file(&self.azure.peer, file).await?;
            parts.push(bucket.keep(bill, file.extension, file.source.clone(), taken.spool).await?);
        }
        if parts.is_empty() {
            return Ok(None);
        }
        bucket.keep_bytes(bill, "json", manifest_name, &manifest).await?;
        Ok(Some(Data { format, parts }))
    }
}

/// An invoice with something on it.
fn charged(invoices: &[Invoice]) -> Option<String> {
    let has_amount = |invoice: &&Invoice| invoice.total.as_ref().is_some_and(|total| !total.total.is_zero());
    invoices.iter().find(has_amount).map(|invoice| invoice.name.clone())
}

fn told(mut manifest: Manifest) -> BillDetail {
    // without a commitment both reports are the same bytes, kept once
    let mut keys = BTreeSet::new();
    manifest.parts.retain(|part| keys.insert(part.key.clone()));
    BillDetail {
        bytes: manifest.parts.iter().map(|part| part.bytes).sum(),
        files: manifest.parts.into_iter().map(|part| part.key).collect(),
        invoices: manifest.invoices.into_iter().map(|invoice| invoice.invoice_id).collect(),
    }
}
