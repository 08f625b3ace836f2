//! From the wire to the bucket: the bytes as they came, under a key that their hash names.

use std::collections::HashMap;

use billing::ids::{BillingAccountId, InvalidId, InvoiceId, Provider};
use billing::keys::{InvoiceKey, RawDocumentKey};
use billing::month::BillingMonth;
use billing::revision::Revision;
use chrono::{DateTime, SecondsFormat, Utc};
use cloud::bucket::Written;
use cloud::peer::{Fault, PeerError};

use crate::App;
use crate::atlas::{AtlasError, Entry, Head, Linked, read_heads};
use crate::report::{FetchState, FetchedDocument};

impl App {
    /// Fetches one invoice and keeps it; answers the linked invoices that it names.
    pub(crate) async fn fetch_one(
        &self,
        entry: &Entry,
        now: DateTime<Utc>,
    ) -> Result<(FetchedDocument, Vec<Entry>), AtlasError> {
        let document = match self.open_document(entry).await? {
            Some(document) => document,
            None => self.atlas.invoice(&entry.organisation, &entry.id).await?,
        };
        let (named, linked) = self.name(entry, &document);
        let unnameable = |reason: String| PeerError::unexpected(&format!("invoice {}", entry.id), reason);
        let period =
            named.month().ok_or_else(|| unnameable("it is no invoice with an id and a startDate".into()))?;
        let key = key(&named, period, &document).map_err(|error| unnameable(error.to_string()))?;
        let metadata = HashMap::from([
            ("fetched-at".to_owned(), now.to_rfc3339_opts(SecondsFormat::Millis, true)),
            ("source".to_owned(), format!("/orgs/{}/invoices/{}", named.organisation, named.id)),
        ]);
        let path = key.to_string();
        let written = self.bucket.put_new(&path, document, "application/json", metadata).await?;
        let report = FetchedDocument {
            invoice_id: named.id.clone(),
            billing_account: named.organisation.clone(),
            period: period.to_string(),
            finality: if named.is_open() { "open".into() } else { "final".into() },
            status: named.status_name.clone(),
            state: if written == Written::Now { FetchState::Fetched } else { FetchState::Unchanged },
            key: Some(path),
        };
        Ok((report, linked))
    }

    /// The open invoice has an endpoint of its own; if that speaks of another invoice, the invoice's own is asked.
    async fn open_document(&self, entry: &Entry) -> Result<Option<bytes::Bytes>, PeerError> {
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

fn key(named: &Entry, period: BillingMonth, document: &[u8]) -> Result<RawDocumentKey, InvalidId> {
    Ok(RawDocumentKey {
        invoice: InvoiceKey {
            provider: Provider::atlas(),
            billing_account: BillingAccountId::new(&named.organisation)?,
            period,
            invoice_id: InvoiceId::new(&named.id)?,
        },
        revision: Revision::of(document),
        extension: "json".into(),
    })
}
