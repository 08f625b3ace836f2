//! What `allocate` answers.

use billing::certificate::{Certificate, Status};
use billing::keys::InvoiceKey;
use cloud::invocation::{Report, Tally};
use serde::{Deserialize, Serialize};

/// What became of the documents of one event, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocateReport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// One entry a document.
    pub documents: Vec<DocumentReport>,
}

/// What became of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DocumentState {
    /// Certified and published.
    Allocated,
    /// Done before; nothing to do.
    Already,
    /// Not published; the reason is recorded and stands under `held/`.
    Held,
    /// Not done; nothing is lost, trying again may help.
    Failed,
    /// What would come out, in a dry run.
    Preview,
    /// Not counted: a person withdrew the bill.
    Withdrawn,
}

/// One document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentReport {
    /// Key of the raw document.
    pub key: String,
    /// The bill: provider, account, month and name, as in keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bill: Option<String>,
    /// What became of it.
    pub state: DocumentState,
    /// The certificate's verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// What the provider says it comes to, decimal text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_total: Option<String>,
    /// What its charges come to, decimal text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charges_total: Option<String>,
    /// ISO 4217.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Key of its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Why, in one line.
    pub reason: String,
}

impl DocumentReport {
    /// A document that is not done.
    pub(crate) fn failed(key: &str, reason: String) -> Self {
        Self {
            key: key.to_owned(),
            bill: None,
            state: DocumentState::Failed,
            status: None,
            provider_total: None,
            charges_total: None,
            currency: None,
            certificate: None,
            reason,
        }
    }

    pub(crate) fn new(
        key: &str,
        invoice: &InvoiceKey,
        state: DocumentState,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            key: key.to_owned(),
            bill: Some(invoice.path()),
            state,
            status: None,
            provider_total: None,
            charges_total: None,
            currency: None,
            certificate: None,
            reason: reason.into(),
        }
    }

    pub(crate) fn certified(
        key: &str,
        state: DocumentState,
        certificate: &Certificate,
        certificate_key: Option<String>,
    ) -> Self {
        Self {
            status: Some(certificate.status),
            provider_total: Some(certificate.provider_total.to_string()),
            charges_total: Some(certificate.charges_total.to_string()),
            currency: Some(certificate.currency.clone()),
            certificate: certificate_key,
            ..Self::new(key, &certificate.invoice(), state, certificate.explanation.clone())
        }
    }
}

impl AllocateReport {
    pub(crate) fn new(dry_run: bool) -> Self {
        Self { dry_run, documents: Vec::new() }
    }

    fn count(&self, states: &[DocumentState]) -> usize {
        self.documents.iter().filter(|document| states.contains(&document.state)).count()
    }
}

impl Report for AllocateReport {
    fn tally(&self) -> Tally {
        Tally {
            success: self.count(&[
                DocumentState::Allocated,
                DocumentState::Already,
                DocumentState::Preview,
                DocumentState::Withdrawn,
            ]),
            held: self.count(&[DocumentState::Held]),
            failed: self.count(&[DocumentState::Failed]),
        }
    }

    fn message(&self) -> String {
        let troubled = |document: &&DocumentReport| {
            matches!(document.state, DocumentState::Held | DocumentState::Failed)
        };
        let troubles: Vec<String> = self
            .documents
            .iter()
            .filter(troubled)
            .map(|document| {
                let word = if document.state == DocumentState::Held { "held" } else { "failed" };
                format!("{} {word}: {}", document.key, document.reason)
            })
            .collect();
        if troubles.is_empty() {
            let (allocated, already) =
                (self.count(&[DocumentState::Allocated]), self.count(&[DocumentState::Already]));
            format!("{allocated} allocated, {already} done before")
        } else {
            troubles.join("; ")
        }
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }
}
