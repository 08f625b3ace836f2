//! What a CCX server answers when it does not give a report, and what to do about it.

use std::time::Duration;

use cloud::http::Transient;
use serde_json::Value;

/// A call that failed. Bodies of answers are quoted only as far as they are CCX' own error document.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CcxError {
    #[error("CCX refused the credentials (401{detail}): check CCX_USER and CCX_PASSWORD")]
    Unauthorized { detail: String },
    #[error(
        "CCX does not allow {path} (403{detail}): the user CCX_USER must be an administrator of the server"
    )]
    Forbidden { path: String, detail: String },
    #[error("CCX knows no {path} (404{detail}): check CCX_API_URL and CCX_PATH_STYLE")]
    NotFound { path: String, detail: String },
    #[error("CCX refused {path} ({status}{detail})")]
    Refused { path: String, status: u16, detail: String },
    #[error("CCX asked to slow down at {path} (429{detail})")]
    Throttled { path: String, retry_after: Option<Duration>, detail: String },
    #[error("CCX failed at {path} ({status}{detail})")]
    Server { path: String, status: u16, retry_after: Option<Duration>, detail: String },
    #[error(
        "CCX answers {path} with a redirect ({status}), which is not followed, because credentials would be sent on: check CCX_API_URL"
    )]
    Redirect { path: String, status: u16 },
    #[error("CCX cannot be reached at {url}: {reason}; check CCX_API_URL and the network")]
    Unreachable { url: String, reason: String },
    #[error("the answer to {path} broke off: {reason}")]
    Interrupted { path: String, reason: String },
    #[error("the answer to {path} is larger than {limit_bytes} bytes")]
    TooLarge { path: String, limit_bytes: usize },
    #[error("the answer to {path} is a web page, not a report; check CCX_API_URL and CCX_PATH_STYLE")]
    WebPage { path: String },
    #[error(
        "the answer to {path} is {content_type}, not application/json; check CCX_API_URL and CCX_PATH_STYLE"
    )]
    OtherContent { path: String, content_type: String },
    #[error("{error} (after {attempts} attempts)")]
    Exhausted { error: Box<Self>, attempts: usize },
}

impl CcxError {
    /// The meaning of a status that brings no report.
    pub(crate) fn of_status(path: &str, status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let (path, detail) = (path.to_owned(), detail(body));
        match status {
            300..=399 => Self::Redirect { path, status },
            401 => Self::Unauthorized { detail },
            403 => Self::Forbidden { path, detail },
            404 => Self::NotFound { path, detail },
            429 => Self::Throttled { path, retry_after, detail },
            500.. => Self::Server { path, status, retry_after, detail },
            _ => Self::Refused { path, status, detail },
        }
    }
}

/// What `{"error": "..."}` says, after a space.
fn detail(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = body.get("error").and_then(Value::as_str).unwrap_or_default();
    let shown: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    if shown.is_empty() { shown } else { format!(" {shown}") }
}

impl Transient for CcxError {
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
