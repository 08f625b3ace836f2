//! What `fetch-atlas` answers.

use cloud::invocation::{Report, Tally};
use serde::Serialize;

use crate::atlas::Entry;

/// What became of the invoices asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FetchReport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Documents that are new in the bucket.
    pub fetched: usize,
    /// Documents that the bucket had already.
    pub unchanged: usize,
    /// Invoices that could not be fetched or stored.
    pub failed: Vec<FailedInvoice>,
    /// The documents, by period and id.
    pub documents: Vec<FetchedDocument>,
}

/// An invoice that could not be fetched or stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedInvoice {
    /// Its id; `pending` for the open one.
    pub invoice_id: String,
    /// Why, in one line.
    pub error: String,
}

/// What became of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchState {
    /// New in the bucket.
    Fetched,
    /// The bucket had these bytes already.
    Unchanged,
    /// Would be fetched, in a dry run.
    WouldFetch,
}

/// One document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FetchedDocument {
    /// The invoice.
    pub invoice_id: String,
    /// The organisation it is for.
    pub billing_account: String,
    /// Its month, `YYYY-MM`.
    pub period: String,
    /// `open` or `final`.
    pub finality: String,
    /// The provider's own word for its state.
    pub status: Option<String>,
    /// What became of it.
    pub state: FetchState,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl FetchedDocument {
    pub(crate) fn preview(entry: &Entry) -> Self {
        Self {
            invoice_id: entry.id.clone(),
            billing_account: entry.organisation.clone(),
            period: entry.month().map(|month| month.to_string()).unwrap_or_default(),
            finality: if entry.is_open() { "open".into() } else { "final".into() },
            status: entry.status_name.clone(),
            state: FetchState::WouldFetch,
            key: None,
        }
    }
}

impl FetchReport {
    pub(crate) fn new(dry_run: bool) -> Self {
        Self { dry_run, ..Self::default() }
    }

    pub(crate) fn add(&mut self, document: FetchedDocument) {
        match document.state {
            FetchState::Fetched => self.fetched += 1,
            FetchState::Unchanged => self.unchanged += 1,
            FetchState::WouldFetch => {}
        }
        self.documents.push(document);
    }

    pub(crate) fn mentions(&self, invoice_id: &str) -> bool {
        self.documents.iter().any(|document| document.invoice_id == invoice_id)
    }

    pub(crate) fn sort(&mut self) {
        self.documents.sort_by(|a, b| {
            (&a.period, &a.billing_account, &a.invoice_id).cmp(&(
                &b.period,
                &b.billing_account,
                &b.invoice_id,
            ))
        });
        self.failed.sort_by(|a, b| a.invoice_id.cmp(&b.invoice_id));
    }
}

impl Report for FetchReport {
    fn tally(&self) -> Tally {
        Tally { success: self.documents.len(), held: 0, failed: self.failed.len() }
    }

    fn message(&self) -> String {
        let mut message = format!("{} fetched, {} unchanged", self.fetched, self.unchanged);
        for FailedInvoice { invoice_id, error } in &self.failed {
            message.push_str(&format!("; invoice {invoice_id} failed: {error}"));
        }
        message
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }
}
