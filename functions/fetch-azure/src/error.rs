//! What Azure answers when it does not give a bill, and what to do about it.

use std::time::Duration;

use cloud::bucket::KeepError;
use cloud::http::{Transient, retry_after};
use cloud::peer::{Answer, Api, Fault, PeerError, Verdict};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

/// Answers that are JSON or XML are small; blobs are streamed.
const LARGEST_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// Azure's own ways to say how long to wait, beside `Retry-After`: seconds each, the longest counts.
const WAITS: [&str; 5] = [
    "x-ms-ratelimit-microsoft.costmanagement-qpu-retry-after",
    "x-ms-ratelimit-microsoft.costmanagement-entity-retry-after",
    "x-ms-ratelimit-microsoft.costmanagement-tenant-retry-after",
    "x-ms-ratelimit-microsoft.costmanagement-clienttype-retry-after",
    "x-ms-ratelimit-microsoft.consumption-retry-after",
];

/// Why something of Azure is not there.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AzureError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The link to a blob has to be asked for again.
    #[error(transparent)]
    LinkExpired(PeerError),
    #[error(
        "{what} leads to {host}, where the token must not be sent: nothing was fetched from there; check AZURE_API_URL"
    )]
    Elsewhere { what: &'static str, host: String },
    #[error("Azure could not make the cost details report ({detail}); the next run asks again")]
    ReportFailed { detail: String },
    #[error(
        "the cost details report was not ready after {after_s} s; the next run asks again, AZURE_REPORT_TIMEOUT_S makes it \
         wait longer"
    )]
    ReportLate { after_s: u64 },
    #[error("{document} contradicts itself: {reason}; nothing of it counts until the next run")]
    Contradiction { document: String, reason: String },
    #[error(transparent)]
    Keep(#[from] KeepError),
}

impl AzureError {
    /// An answer that is not what the API documents.
    pub(crate) fn unexpected(place: &str, reason: impl std::fmt::Display) -> Self {
        PeerError::unexpected(place, reason).into()
    }
}

impl Transient for AzureError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Peer(error) if error.is_transient())
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Peer(error) => error.retry_after(),
            _ => None,
        }
    }

    fn after(self, attempts: usize) -> Self {
        match self {
            Self::Peer(error) => Self::Peer(error.after(attempts)),
            other => other,
        }
    }
}

/// How Azure says no.
pub(crate) struct AzureApi {
    /// What the app registration needs to be allowed what is asked.
    pub(crate) role: &'static str,
}

impl Api for AzureApi {
    fn name(&self) -> &'static str {
        "Azure"
    }

    fn address(&self) -> &'static str {
        "AZURE_API_URL, AZURE_LOGIN_URL"
    }

    fn accept(&self) -> &'static str {
        "*/*"
    }

    fn limit_bytes(&self) -> usize {
        LARGEST_ANSWER_BYTES
    }

    fn said(&self, body: &[u8]) -> String {
        said(body)
    }

    /// Of its successes, some are XML and some are empty.
    fn judge(&self, answer: &Answer) -> Option<Verdict> {
        (!(200..300).contains(&answer.status)).then(|| Verdict::of_status(answer.status))
    }

    fn advice(&self, fault: Fault) -> String {
        match fault {
            Fault::Credentials => "check AZURE_TENANT_ID".to_owned(),
            Fault::Denied => format!("give the app registration {}", self.role),
            Fault::NotFound => "check AZURE_SCOPE and AZURE_EXPORT_URL".to_owned(),
            _ => String::new(),
        }
    }

    fn wait(&self, headers: &HeaderMap) -> Option<Duration> {
        longest_wait(headers)
    }
}

/// The storage behind a signed link.
pub(crate) struct SignedLink;

impl Api for SignedLink {
    fn name(&self) -> &'static str {
        "Azure"
    }

    fn address(&self) -> &'static str {
        "AZURE_API_URL"
    }

    fn limit_bytes(&self) -> usize {
        LARGEST_ANSWER_BYTES
    }

    fn said(&self, body: &[u8]) -> String {
        said(body)
    }

    fn judge(&self, answer: &Answer) -> Option<Verdict> {
        let sentence = "the link to a file of the report is no longer valid";
        match answer.status {
            200 => None,
            403 => Some(Verdict::stated(Fault::Denied, sentence, "a new report has new links")),
            status => Some(Verdict::of_status(status)),
        }
    }

    fn advice(&self, _: Fault) -> String {
        String::new()
    }

    fn wait(&self, headers: &HeaderMap) -> Option<Duration> {
        longest_wait(headers)
    }
}

/// The longest wait that an answer asks for.
pub(crate) fn longest_wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |name| headers.get(name)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs);
    WAITS.into_iter().filter_map(seconds).chain(retry_after(headers)).max()
}

/// Azure's error document, and that of its login.
#[derive(Deserialize)]
struct ErrorBody {
    error: Value,
    error_description: Option<String>,
}

/// What an error document says: `{"error": {"code", "message"}}`, the login's `{"error", "error_description"}`, or
/// the XML of blob storage.
fn said(body: &[u8]) -> String {
    let said = match serde_json::from_slice::<ErrorBody>(body) {
        // the description goes on with ids of the request
        Ok(ErrorBody { error: Value::String(code), error_description }) => {
            let description = error_description.unwrap_or_default();
            format!("{code}: {}", description.lines().next().unwrap_or_default())
        }
        Ok(ErrorBody { error, .. }) => {
            let text =
                |member: &str| error.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
            format!("{}: {}", text("code"), text("message"))
        }
        Err(_) => xml_code(body).unwrap_or_default(),
    };
    said.trim_end_matches([':', ' ']).to_owned()
}

/// `<Code>` of an error of blob storage.
fn xml_code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    Some(code.chars().filter(char::is_ascii_alphanumeric).take(60).collect())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn of_all_waits_the_longest_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(longest_wait(&headers), None);
        headers.insert("retry-after", HeaderValue::from_static("5"));
        headers.insert(WAITS[0], HeaderValue::from_static("8"));
        headers.insert(WAITS[1], HeaderValue::from_static("33"));
        headers.insert(WAITS[2], HeaderValue::from_static("0"));
        headers.insert(WAITS[3], HeaderValue::from_static("soon"));
        assert_eq!(longest_wait(&headers), Some(Duration::from_secs(33)));
    }

    #[test]
    fn error_documents_of_all_three_are_quoted_without_their_ids() {
        let login = br#"{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret.\r\nTrace ID: 1"}"#;
        assert_eq!(said(login), "invalid_client: AADSTS7000215: Invalid client secret.");
        let api =
            br#"{"error": {"code": "BadRequest", "message": "The maximum date range allowed is 1 month."}}"#;
        assert_eq!(said(api), "BadRequest: The maximum date range allowed is 1 month.");
        let blob = b"\xef\xbb\xbf<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>Sig=x</Message></Error>";
        assert_eq!(said(blob), "AuthenticationFailed");
        assert_eq!((said(b""), said(b"<html>"), said(b"{\"error\": {}}")), Default::default());
    }
}
