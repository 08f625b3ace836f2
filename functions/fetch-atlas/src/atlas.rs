//! The Administration API v2 of MongoDB Atlas, as far as invoices go.

use billing::month::BillingMonth;
use billing::period::Finality;
use billing::strict;
use bytes::Bytes;
use cloud::bucket::BucketError;
use cloud::peer::{Answer, Api, Call, Fault, Login, Peer, PeerError, Verdict};
use serde::Deserialize;
use url::Url;

const PAGE_SIZE: usize = 500;
/// A list never ends otherwise if a server keeps offering a next page.
const MOST_PAGES: usize = 1_000;
/// Several are in memory at once; a larger one than this would end the function without a word.
const LARGEST_ANSWER_BYTES: usize = 96 * 1024 * 1024;

/// Why something of Atlas is not there.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AtlasError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("organisation {organisation} has no invoice for {month}")]
    NoInvoice { organisation: String, month: BillingMonth },
    #[error(transparent)]
    Store(#[from] BucketError),
}

/// A client for one set of credentials.
pub(crate) struct AtlasClient {
    pub(crate) peer: Peer,
    pub(crate) base: Url,
    pub(crate) login: Box<dyn Login>,
    pub(crate) api: AtlasApi,
}

/// How Atlas says no.
pub(crate) struct AtlasApi {
    /// What a person should check after a 401.
    pub(crate) credentials: &'static str,
}

/// Atlas' own error document.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ErrorBody {
    error_code: Option<String>,
    detail: Option<String>,
}

impl Api for AtlasApi {
    fn name(&self) -> &'static str {
        "Atlas"
    }

    fn address(&self) -> &'static str {
        "ATLAS_API_URL"
    }

    fn accept(&self) -> &'static str {
        "application/vnd.atlas.2023-01-01+json"
    }

    fn limit_bytes(&self) -> usize {
        LARGEST_ANSWER_BYTES
    }

    fn said(&self, body: &[u8]) -> String {
        let body: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
        [body.error_code, body.detail].into_iter().flatten().collect::<Vec<_>>().join(": ")
    }

    fn judge(&self, answer: &Answer) -> Option<Verdict> {
        let sentence = "Atlas no longer serves this version of its API";
        match answer.status {
            406 | 410 => Some(Verdict::stated(Fault::Refused, sentence, "a newer monthend is needed")),
            // what an invoice is, is judged when it is read; a web page is none
            _ => Verdict::of_answer(answer),
        }
    }

    fn advice(&self, fault: Fault) -> String {
        match fault {
            Fault::Credentials => format!("check {}", self.credentials),
            Fault::Denied => "the credentials need the role Organization Billing Viewer (Organization Billing Admin for linked \
                              invoices), and this address must be on their API access list"
                .to_owned(),
            Fault::NotFound => "check ORG_ID and the invoice id".to_owned(),
            _ => String::new(),
        }
    }
}

/// An invoice as a list, a link or a person names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) organisation: String,
    pub(crate) id: String,
    pub(crate) start_date: Option<String>,
    pub(crate) status_name: Option<String>,
    /// The document, when the list had it already (the open invoice).
    pub(crate) document: Option<Bytes>,
}

impl Entry {
    pub(crate) fn by_id(organisation: &str, id: &str) -> Self {
        Self {
            organisation: organisation.to_owned(),
            id: id.to_owned(),
            start_date: None,
            status_name: None,
            document: None,
        }
    }

    pub(crate) fn month(&self) -> Option<BillingMonth> {
        billing::atlas::month_of(self.start_date.as_deref()?)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.status_name.as_deref() == Some("PENDING")
    }

    pub(crate) fn finality(&self) -> Finality {
        if self.is_open() { Finality::Open } else { Finality::Final }
    }
}

/// The head of an invoice, leniently: enough to name it.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Head {
    pub(crate) id: Option<String>,
    pub(crate) org_id: Option<String>,
    pub(crate) start_date: Option<String>,
    pub(crate) status_name: Option<String>,
    pub(crate) linked_invoices: Option<Vec<Linked>>,
    results: Option<Vec<Head>>,
}

/// A linked invoice: an object by the specification, an id alone from some servers.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Linked {
    Id(String),
    #[serde(rename_all = "camelCase")]
    Invoice {
        id: Option<String>,
        org_id: Option<String>,
    },
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page {
    results: Vec<Head>,
    links: Option<Vec<Link>>,
}

#[derive(Deserialize)]
struct Link {
    rel: Option<String>,
}

impl Head {
    fn entry(self, organisation: &str) -> Option<Entry> {
        Some(Entry {
            organisation: self.org_id.unwrap_or_else(|| organisation.to_owned()),
            id: self.id?,
            start_date: self.start_date,
            status_name: self.status_name,
            document: None,
        })
    }
}

impl AtlasClient {
    /// All invoices of an organisation, without lines. Pages are followed as long as the server offers a next
    /// one; the list may move meanwhile, so an invoice seen twice counts once.
    pub(crate) async fn invoices(&self, organisation: &str) -> Result<Vec<Entry>, PeerError> {
        let mut entries: Vec<Entry> = Vec::new();
        for number in 1..=MOST_PAGES {
            let query = format!("itemsPerPage={PAGE_SIZE}&pageNum={number}");
            let (path, body) = self.get(&["orgs", organisation, "invoices"], &query).await?;
            let unexpected = |reason: String| PeerError::unexpected(&path, reason);
            let page: Page = strict::from_slice(&body).map_err(|error| unexpected(error.to_string()))?;
            let count = page.results.len();
            for head in page.results {
                let entry =
                    head.entry(organisation).ok_or_else(|| unexpected("an invoice has no id".into()))?;
                if !entries.iter().any(|known| known.id == entry.id) {
                    entries.push(entry);
                }
            }
            let next = match &page.links {
                Some(links) => links.iter().any(|link| link.rel.as_deref() == Some("next")),
                None => count == PAGE_SIZE,
            };
            if !next || count == 0 {
                return Ok(entries);
            }
        }
        let reason = format!("more than {MOST_PAGES} pages");
        Err(PeerError::unexpected(&format!("/orgs/{organisation}/invoices"), reason))
    }

    /// One invoice in detail, as it comes.
    pub(crate) async fn invoice(&self, organisation: &str, id: &str) -> Result<Bytes, PeerError> {
        self.get(&["orgs", organisation, "invoices", id], "").await.map(|(_, body)| body)
    }

    /// The invoice of the running month: bare, in a page or in a list, with its document as it came; nothing if
    /// there is none. Of several at once, only the names: each is then fetched on its own.
    pub(crate) async fn pending(&self, organisation: &str) -> Result<Vec<Entry>, PeerError> {
        let (path, body) = match self.get(&["orgs", organisation, "invoices", "pending"], "").await {
            Ok(answer) => answer,
            Err(error) if error.fault == Fault::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let unexpected = |reason: String| PeerError::unexpected(&path, reason);
        let heads = read_heads(&body).map_err(|error| unexpected(error.to_string()))?;
        // one without an id is an empty object: no open month
        let mut entries: Vec<Entry> = heads.into_iter().filter_map(|head| head.entry(organisation)).collect();
        if let [only] = entries.as_mut_slice() {
            only.document = Some(body);
        }
        Ok(entries)
    }

    /// A GET; answers the path too, for messages.
    async fn get(&self, segments: &[&str], query: &str) -> Result<(String, Bytes), PeerError> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url.set_query((!query.is_empty()).then_some(query));
        let path = format!("/{}", segments.join("/"));
        let call = Call::get(&self.api, url).named(path.as_str()).with(&*self.login);
        Ok((path, self.peer.ask(&call).await?.body))
    }
}

/// The heads in any of the three shapes: an invoice, a page of invoices, a list.
pub(crate) fn read_heads(document: &[u8]) -> Result<Vec<Head>, serde_json::Error> {
    if document.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return serde_json::from_slice(document);
    }
    let mut head: Head = serde_json::from_slice(document)?;
    Ok(head.results.take().unwrap_or_else(|| vec![head]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_from_three_shapes() {
        let invoice = r#"{"id":"i1","orgId":"o1","startDate":"2026-10-01T00:00:00Z","lineItems":[{"quantity":0.1}],
            "linkedInvoices":["i2",{"id":"i3","orgId":"o3","subtotalCents":5}]}"#;
        for shape in
            [invoice.to_owned(), format!("[{invoice}]"), format!(r#"{{"links":[],"results":[{invoice}]}}"#)]
        {
            let heads = read_heads(shape.as_bytes()).unwrap();
            assert_eq!(heads.len(), 1);
            assert_eq!(heads[0].id.as_deref(), Some("i1"));
            assert_eq!(heads[0].linked_invoices.as_ref().unwrap().len(), 2);
        }
        assert!(read_heads(b"<html>").is_err());
        // what names an invoice; its lines are kept as they are, and judged when they are added up
        for twice in [r#"{"id":"i1","id":"i2"}"#, r#"{"results":[{"id":"i1","orgId":"o1","orgId":"o2"}]}"#] {
            assert!(
                read_heads(twice.as_bytes()).err().unwrap().to_string().contains("duplicate field"),
                "{twice}"
            );
        }
    }
}
