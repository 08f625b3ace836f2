//! A bill put together: what is kept of it, and the manifest that makes it complete.

use std::collections::BTreeMap;

use billing::keys::InvoiceKey;
use billing::manifest::{Format, Manifest, Part};
use chrono::{DateTime, Utc};
use cloud::bucket::Bucket;
use cloud::fetch::{FetchState, FetchedBill};
use serde::{Deserialize, Serialize};

use crate::error::MonthError;
use crate::invoices::Invoices;
use crate::months::{Evidence, finality};
use crate::pages::Beside;

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

/// What is told of a bill.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillDetail {
    /// How its data is to be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// How many documents its data has.
    pub parts: usize,
    /// Their size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How many invoices it must come to.
    pub invoices: usize,
    /// What a person should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Draft {
    /// Keeps what is not kept yet, and last the manifest. A bill that the bucket has already writes nothing.
    pub(crate) async fn keep(
        mut self,
        bucket: &Bucket,
        now: DateTime<Utc>,
    ) -> Result<FetchedBill<BillDetail>, MonthError> {
        let mut totals = Vec::new();
        let mut invoiced = None;
        if let Some(invoices) = self.invoices.take() {
            invoiced = Some(invoices.has_invoice);
            totals = invoices.totals;
            self.beside.extend(invoices.pages);
            if let Some(document) = invoices.document {
                let source = invoices.source;
                self.documents.push(bucket.keep_bytes(&self.bill, "json", source, &document).await?);
            }
        }
        let (bill, month) = (&self.bill, self.bill.period);
        let finality = finality(month, now, Evidence { estimated: self.estimated, invoiced });
        let manifest = Manifest {
            parts: self.parts,
            documents: self.documents,
            invoices: totals,
            sub_account_names: self.sub_account_names,
            ..Manifest::of(bill, self.format, finality)
        };
        if let Some(note) = &self.note {
            tracing::warn!(bill.month = %month, "{}: {note}", self.bill);
        }
        let key = manifest.key(&manifest.to_json()?).to_string();
        let state = if bucket.etag(&key).await?.is_some() {
            FetchState::Unchanged
        } else {
            for Beside { extension, source, bytes } in self.beside {
                bucket.keep_bytes(bill, extension, source, &bytes).await?;
            }
            bucket.keep_manifest(&manifest, now).await?.1.into()
        };
        let detail = BillDetail {
            format: Some(manifest.format),
            parts: manifest.parts.len(),
            bytes: Some(manifest.parts.iter().map(|part| part.bytes).sum()),
            invoices: manifest.invoices.len(),
            note: self.note,
        };
        Ok(FetchedBill::kept(bill, state, finality, key, detail))
    }
}
