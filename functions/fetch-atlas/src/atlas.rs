//! The Administration API v2 of MongoDB Atlas, as far as invoices go.

use billing::month::BillingMonth;
use billing::strict;
use cloud::http::{BodyError, Reply, RetryPolicy, Transient, innermost_cause, read_body, retry_after, send};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::auth::Auth;
use crate::error::AtlasError;

const ACCEPTED: &str = "application/vnd.atlas.2023-01-01+json";
const PAGE_SIZE: usize = 500;
/// A list never ends otherwise if a server keeps offering a next page.
const MOST_PAGES: usize = 1_000;
/// Several are in memory at once; a larger one than this would end the function without a word.
const LARGEST_ANSWER_BYTES: usize = 96 * 1024 * 1024;

/// A client for one set of credentials.
pub(crate) struct AtlasClient {
    http: reqwest::Client,
    base: Url,
    auth: Auth,
    retry: RetryPolicy,
}

/// An invoice as a list, a link or a person names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) organisation: String,
    pub(crate) id: String,
    pub(crate) start_date: Option<String>,
    pub(crate) status_name: Option<String>,
    /// The document, when the list had it already (the open invoice).
    pub(crate) document: Option<bytes::Bytes>,
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
    pub(crate) fn new(http: reqwest::Client, base: Url, auth: Auth, retry: RetryPolicy) -> Self {
        Self { http, base, auth, retry }
    }

    /// All invoices of an organisation, without lines. Pages are followed as long as the server offers a next
    /// one; the list may move meanwhile, so an invoice seen twice counts once.
    pub(crate) async fn invoices(&self, organisation: &str) -> Result<Vec<Entry>, AtlasError> {
        let mut entries: Vec<Entry> = Vec::new();
        for number in 1..=MOST_PAGES {
            let query = format!("itemsPerPage={PAGE_SIZE}&pageNum={number}");
            let (path, body) = self.get(&["orgs", organisation, "invoices"], &query).await?;
            let unexpected = |reason: String| AtlasError::Unexpected { path: path.clone(), reason };
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
        Err(AtlasError::Unexpected {
            path: format!("/orgs/{organisation}/invoices"),
            reason: format!("more than {MOST_PAGES} pages"),
        })
    }

    /// One invoice in detail, as it comes.
    pub(crate) async fn invoice(&self, organisation: &str, id: &str) -> Result<bytes::Bytes, AtlasError> {
        self.get(&["orgs", organisation, "invoices", id], "").await.map(|(_, body)| body)
    }

    /// The invoice of the running month: bare, in a page or in a list, with its document as it came; nothing if
    /// there is none. Of several at once, only the names: each is then fetched on its own.
    pub(crate) async fn pending(&self, organisation: &str) -> Result<Vec<Entry>, AtlasError> {
        let (path, body) = match self.get(&["orgs", organisation, "invoices", "pending"], "").await {
            Ok(answer) => answer,
            Err(AtlasError::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let unexpected = |reason: String| AtlasError::Unexpected { path: path.clone(), reason };
        let heads = read_heads(&body).map_err(|error| unexpected(error.to_string()))?;
        // one without an id is an empty object: no open month
        let mut entries: Vec<Entry> = heads.into_iter().filter_map(|head| head.entry(organisation)).collect();
        if let [only] = entries.as_mut_slice() {
            only.document = Some(body);
        }
        Ok(entries)
    }

    /// GET with authentication and retries; answers the path too, for messages.
    async fn get(&self, segments: &[&str], query: &str) -> Result<(String, bytes::Bytes), AtlasError> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url.set_query((!query.is_empty()).then_some(query));
        let path = format!("/{}", segments.join("/"));
        let attempt = || self.get_once(&url, &path);
        let answer = self.retry.run(attempt).await;
        let body = answer.map_err(|error| {
            let attempts = self.retry.attempts();
            if error.is_transient() && attempts > 1 {
                AtlasError::Exhausted { error: Box::new(error), attempts }
            } else {
                error
            }
        })?;
        Ok((path, body))
    }

    async fn get_once(&self, url: &Url, path: &str) -> Result<bytes::Bytes, AtlasError> {
        let (mut response, mut used) = self.send(url).await?;
        for round in 0..2 {
            let again = response.status().as_u16() == 401
                && self.auth.refused(response.headers(), used.as_ref(), round).await;
            if !again {
                break;
            }
            (response, used) = self.send(url).await?;
        }
        let status = response.status().as_u16();
        let wait = retry_after(response.headers());
        let body = body_of(response, path).await?;
        if (200..300).contains(&status) {
            Ok(body)
        } else {
            Err(AtlasError::of_status(path, status, wait, &body, self.auth.names()))
        }
    }

    /// The answer, and the header that it was asked with.
    async fn send(&self, url: &Url) -> Result<(Reply, Option<SecretString>), AtlasError> {
        let path_and_query =
            url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let mut request = self.http.get(url.clone()).header(ACCEPT, ACCEPTED);
        let header = self.auth.header(&self.http, &path_and_query).await?;
        if let Some(header) = &header {
            let mut value =
                HeaderValue::from_str(header.expose_secret()).map_err(|_| AtlasError::Unauthorized {
                    what: self.auth.names(),
                    detail: ": they have characters that no header can carry".into(),
                })?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let response = send(request, &[]).await.map_err(|error| unreachable(url, &error))?;
        Ok((response, header))
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

/// The body of an answer, in full.
pub(crate) async fn body_of(response: Reply, path: &str) -> Result<bytes::Bytes, AtlasError> {
    read_body(response, LARGEST_ANSWER_BYTES).await.map_err(|error| match error {
        BodyError::TooLarge { limit_bytes } => AtlasError::TooLarge { path: path.to_owned(), limit_bytes },
        BodyError::Interrupted(error) => {
            AtlasError::Interrupted { path: path.to_owned(), reason: innermost_cause(&error) }
        }
    })
}

/// No answer at all.
pub(crate) fn unreachable(url: &Url, error: &reqwest::Error) -> AtlasError {
    AtlasError::Unreachable { url: url.origin().ascii_serialization(), reason: innermost_cause(error) }
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
