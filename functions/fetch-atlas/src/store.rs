//! From the wire to the bucket: the bytes as they came, under a key that their hash names.

use std::collections::HashMap;
use std::fmt::Display;

use billing::ids::{BillingAccountId, InvalidId, InvoiceId, Provider};
use billing::keys::{InvoiceKey, RawDocumentKey};
use billing::month::BillingMonth;
use billing::revision::Revision;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use cloud::fetch::FetchedBill;
use cloud::peer::{Fault, PeerError};
use serde::{Deserialize, Serialize};

use crate::atlas::{AtlasError, Entry, Head, Linked, read_heads};
use crate::{App, Reader};

/// What is told of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceDetail {
    /// The provider's own word for its state.
    pub status: Option<String>,
}

/// An invoice as it came.
struct Document {
    named: Entry,
    key: InvoiceKey,
    bytes: Bytes,
    linked: Vec<Entry>,
}

impl App {
    /// Fetches one invoice and keeps it; answers the linked invoices that it names.
    pub(crate) async fn fetch_one(
        &self,
        entry: &Entry,
        now: DateTime<Utc>,
    ) -> Result<(FetchedBill<InvoiceDetail>, Vec<Entry>), AtlasError> {
        let Document { named, key, bytes, linked } = self.reader.document(entry).await?;
        let metadata = HashMap::from([
            ("fetched-at".to_owned(), now.to_rfc3339_opts(SecondsFormat::Millis, true)),
            ("source".to_owned(), format!("/orgs/{}/invoices/{}", named.organisation, named.id)),
        ]);
        let revision = Revision::of(&bytes);
        let path = RawDocumentKey { invoice: key.clone(), revision, extension: "json".into() }.to_string();
        let written = self.bucket.put_new(&path, bytes, "application/json", metadata).await?;
        let (finality, detail) = (named.finality(), InvoiceDetail { status: named.status_name });
        Ok((FetchedBill::kept(&key, written.into(), finality, path, detail), linked))
    }
}

impl Reader {
    /// What would be fetched. Of one that was named by its id, only the document tells whose and when it is.
    pub(crate) async fn preview(&self, entry: &Entry) -> Result<FetchedBill<InvoiceDetail>, AtlasError> {
        let (named, key) = match entry.month() {
            Some(month) => (entry.clone(), key(entry, month).map_err(|error| unnameable(entry, &error))?),
            None => {
                let Document { named, key, .. } = self.document(entry).await?;
                (named, key)
            }
        };
        let finality = Some(named.finality());
        Ok(FetchedBill::preview(&key, finality, InvoiceDetail { status: named.status_name }))
    }

    async fn document(&self, entry: &Entry) -> Result<Document, AtlasError> {
        let bytes = match self.open_document(entry).await? {
            Some(document) => document,
            None => self.atlas.invoice(&entry.organisation, &entry.id).await?,
        };
        let (named, linked) = self.name(entry, &bytes);
        let Some(month) = named.month() else {
            return Err(unnameable(entry, &"it is no invoice with an id and a startDate").into());
        };
        let key = key(&named, month).map_err(|error| unnameable(entry, &error))?;
        Ok(Document { named, key, bytes, linked })
    }

    /// The open invoice has an endpoint of its own; if that speaks of another invoice, the invoice's own is asked.
    async fn open_document(&self, entry: &Entry) -> Result<Option<Bytes>, PeerError> {
        if entry.document.is_some() || !entry.is_open() {
            return Ok(entry.document.clone());
        }
        let pending = match self.atlas.pending(&entry.organisation).await {
            Ok(pending) => pending,
            Err(error) if error.fault == Fault::Unexpected => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(pending.into_iter().find(|pending| pending.id == entry.id).and_then(|pending| pending.document))
    }

    /// What the document says it is, or what it was listed as: a document that cannot be read is kept all the
    /// same, allocation will hold it with the reason.
    fn name(&self, entry: &Entry, document: &[u8]) -> (Entry, Vec<Entry>) {
        let head = match read_heads(document) {
            Ok(mut heads) if heads.len() == 1 => heads.pop().unwrap_or_default(),
            _ => Head::default(),
        };
        let named = Entry {
            organisation: head.org_id.unwrap_or_else(|| entry.organisation.clone()),
            id: head.id.unwrap_or_else(|| entry.id.clone()),
            start_date: head.start_date.or_else(|| entry.start_date.clone()),
            status_name: head.status_name.or_else(|| entry.status_name.clone()),
            document: None,
        };
        let linked = head.linked_invoices.unwrap_or_default().into_iter().filter_map(|linked| match linked {
            Linked::Id(id) => Some(Entry::by_id(&self.organisation, &id)),
            Linked::Invoice { id, org_id } => {
                Some(Entry::by_id(org_id.as_deref().unwrap_or(&self.organisation), &id?))
            }
        });
        let linked = linked.filter(|linked| linked.id != named.id).collect();
        (named, linked)
    }
}

fn key(named: &Entry, period: BillingMonth) -> Result<InvoiceKey, InvalidId> {
    Ok(InvoiceKey {
        provider: Provider::atlas(),
        billing_account: BillingAccountId::new(&named.organisation)?,
        period,
        invoice_id: InvoiceId::new(&named.id)?,
    })
}

fn unnameable(entry: &Entry, why: &dyn Display) -> PeerError {
    PeerError::unexpected(&format!("invoice {}", entry.id), why.to_string())
}
