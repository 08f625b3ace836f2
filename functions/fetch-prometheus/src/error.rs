//! What a Prometheus server answers when it does not give a result, and what to do about it.

use std::time::Duration;

use cloud::http::Transient;
use serde_json::Value;

/// A call that failed. Bodies of answers are quoted only as far as they are Prometheus' own error document.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PrometheusError {
    #[error(
        "Prometheus refused the credentials (401{detail}): check PROMETHEUS_USER and PROMETHEUS_PASSWORD, or PROMETHEUS_TOKEN"
    )]
    Unauthorized { detail: String },
    #[error("Prometheus does not allow {path} (403{detail}): the credentials must be allowed to query")]
    Forbidden { path: String, detail: String },
    #[error(
        "Prometheus knows no {path} (404{detail}): check PROMETHEUS_URL; what comes before /api/v1 belongs to it"
    )]
    NotFound { path: String, detail: String },
    #[error(
        "Prometheus does not understand the query (400{detail}): check PROMETHEUS_QUERIES and PROMETHEUS_LABEL"
    )]
    BadQuery { detail: String },
    #[error(
        "Prometheus cannot execute the query (422{detail}): for too many samples, a larger PROMETHEUS_STEP or a \
         recording rule helps"
    )]
    NotExecuted { detail: String },
    #[error("Prometheus refused {path} ({status}{detail})")]
    Refused { path: String, status: u16, detail: String },
    #[error("Prometheus asked to slow down at {path} (429{detail})")]
    Throttled { path: String, retry_after: Option<Duration>, detail: String },
    #[error("Prometheus failed at {path} ({status}{detail})")]
    Server { path: String, status: u16, retry_after: Option<Duration>, detail: String },
    #[error("Prometheus says that the query failed{detail}")]
    Failed { detail: String },
    #[error(
        "Prometheus answers {path} with a redirect ({status}), which is not followed, because credentials would be sent \
         on: check PROMETHEUS_URL"
    )]
    Redirect { path: String, status: u16 },
    #[error("Prometheus cannot be reached at {url}: {reason}; check PROMETHEUS_URL and the network")]
    Unreachable { url: String, reason: String },
    #[error("the answer to {path} broke off: {reason}")]
    Interrupted { path: String, reason: String },
    #[error("the answer to {path} is larger than {limit_bytes} bytes; the query must add up by the label")]
    TooLarge { path: String, limit_bytes: usize },
    #[error("the answer to {path} is a web page, not a result; check PROMETHEUS_URL")]
    WebPage { path: String },
    #[error("the answer to {path} is {content_type}, not application/json; check PROMETHEUS_URL")]
    OtherContent { path: String, content_type: String },
    #[error("the answer to {path} is no answer of Prometheus: {reason}; check PROMETHEUS_URL")]
    NoAnswer { path: String, reason: String },
    #[error("{error} (after {attempts} attempts)")]
    Exhausted { error: Box<Self>, attempts: usize },
}

impl PrometheusError {
    /// The meaning of a status that brings no result.
    pub(crate) fn of_status(path: &str, status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let (path, detail) = (path.to_owned(), detail(body));
        match status {
            300..=399 => Self::Redirect { path, status },
            400 => Self::BadQuery { detail },
            401 => Self::Unauthorized { detail },
            403 => Self::Forbidden { path, detail },
            404 => Self::NotFound { path, detail },
            422 => Self::NotExecuted { detail },
            429 => Self::Throttled { path, retry_after, detail },
            500.. => Self::Server { path, status, retry_after, detail },
            _ => Self::Refused { path, status, detail },
        }
    }
}

/// What `{"errorType": "...", "error": "..."}` says, after a space.
fn detail(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name| body.get(name).and_then(Value::as_str);
    said(text("errorType"), text("error"))
}

/// Prometheus' own words about an error, after a space.
pub(crate) fn said(kind: Option<&str>, error: Option<&str>) -> String {
    let parts: Vec<&str> = [kind, error].into_iter().flatten().filter(|part| !part.is_empty()).collect();
    let text = cut(&parts.join(": "));
    if text.is_empty() { text } else { format!(" {text}") }
}

/// What a server says, as far as it goes into a line.
pub(crate) fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

impl Transient for PrometheusError {
    fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Throttled { .. }
                | Self::Server { .. }
                | Self::Unreachable { .. }
                | Self::Interrupted { .. }
        )
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } | Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
