//! A bill put together: what is kept of it, and the manifest that makes it complete.

use std::collections::BTreeMap;

use billing::ids::Provider;
use billing::keys::InvoiceKey;
use billing::manifest::{Format, Manifest, Part};
use billing::month::BillingMonth;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use cloud::bucket::Written;

use crate::App;
use crate::error::MonthError;
use crate::invoices::Invoices;
use crate::months::{Evidence, finality};
use crate::report::{BillState, FetchedBill};

/// Everything that was fetched of a month, with the data kept already.
pub(crate) struct Draft {
    pub(crate) bill: InvoiceKey,
    pub(crate) format: Format,
    pub(crate) parts: Vec<Part>,
    pub(crate) documents: Vec<Part>,
    pub(crate) beside: Vec<Beside>,
    /// Whether AWS calls the figures an estimate.
    pub(crate) estimated: bool,
    /// Nothing if they are not asked for.
    pub(crate) invoices: Option<Invoices>,
    pub(crate) sub_account_names: BTreeMap<String, String>,
    /// What a person should know.
    pub(crate) note: Option<String>,
}

/// An answer as it came that has something in it which is another every time (a token, an execution). It is kept with each
/// revision of the bill, under its own hash, and is no part of what the bill is.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) extension: &'static str,
    pub(crate) source: String,
    pub(crate) bytes: Bytes,
}

impl App {
    /// Keeps what is not kept yet, and last the manifest. A bill that the bucket has already writes nothing.
    pub(crate) async fn keep(
        &self,
        mut draft: Draft,
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<FetchedBill, MonthError> {
        let mut totals = Vec::new();
        let mut invoiced = None;
        if let Some(invoices) = draft.invoices.take() {
            invoiced = Some(invoices.has_invoice);
            totals = invoices.totals;
            draft.beside.extend(invoices.pages);
            if let Some(document) = invoices.document {
                let source = invoices.source;
                draft.documents.push(self.bucket.keep_bytes(&draft.bill, "json", source, &document).await?);
            }
        }
        let manifest = Manifest {
            manifest: Manifest::VERSION,
            brought: None,
            provider: Provider::aws(),
            billing_account: draft.bill.billing_account.clone(),
            period: month,
            invoice_id: draft.bill.invoice_id.clone(),
            finality: finality(month, now, Evidence { estimated: draft.estimated, invoiced }),
            provider_updated: None,
            format: draft.format,
            parts: draft.parts,
            documents: draft.documents,
            invoices: totals,
            shared: false,
            sub_account_names: draft.sub_account_names,
        };
        if let Some(note) = &draft.note {
            tracing::warn!(bill.month = %month, "{}: {note}", draft.bill);
        }
        let key = manifest.key(&manifest.to_json()?).to_string();
        let state = if self.bucket.etag(&key).await?.is_some() {
            BillState::Unchanged
        } else {
            for Beside { extension, source, bytes } in draft.beside {
                self.bucket.keep_bytes(&draft.bill, extension, source, &bytes).await?;
            }
            match self.bucket.keep_manifest(&manifest, now).await?.1 {
                Written::Now => BillState::Fetched,
                Written::Refused => BillState::Unchanged,
            }
        };
        Ok(FetchedBill {
            invoice_id: manifest.invoice_id.to_string(),
            billing_account: manifest.billing_account.to_string(),
            period: month,
            state,
            finality: Some(manifest.finality),
            format: Some(manifest.format),
            parts: manifest.parts.len(),
            bytes: Some(manifest.parts.iter().map(|part| part.bytes).sum()),
            invoices: manifest.invoices.len(),
            note: draft.note,
            key: Some(key),
        })
    }
}
