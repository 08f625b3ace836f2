//! What Atlas answers when it does not give what was asked for, and what to do about it.

use std::time::Duration;

use billing::month::BillingMonth;
use cloud::bucket::BucketError;
use cloud::http::Transient;
use serde::Deserialize;

/// A call that failed. Bodies of answers are quoted only as far as they are Atlas' own error document.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AtlasError {
    #[error("Atlas refused the credentials (401{detail}): check {what}")]
    Unauthorized { what: &'static str, detail: String },
    #[error(
        "Atlas does not allow {path} (403{detail}): the credentials need the role Organization Billing Viewer \
         (Organization Billing Admin for linked invoices), and this address must be on their API access list"
    )]
    Forbidden { path: String, detail: String },
    #[error("Atlas knows no {path} (404{detail}): check ORG_ID and the invoice id")]
    NotFound { path: String, detail: String },
    #[error("Atlas no longer serves this version of {path} ({status}{detail}): a newer monthend is needed")]
    Version { path: String, status: u16, detail: String },
    #[error("Atlas asked to slow down at {path} (429{detail})")]
    Throttled { path: String, retry_after: Option<Duration>, detail: String },
    #[error("Atlas failed at {path} ({status}{detail})")]
    Server { path: String, status: u16, retry_after: Option<Duration>, detail: String },
    #[error("Atlas refused {path} ({status}{detail})")]
    Refused { path: String, status: u16, detail: String },
    #[error("Atlas cannot be reached at {url}: {reason}; check ATLAS_API_URL and the network")]
    Unreachable { url: String, reason: String },
    #[error("{reason} at {url}; check ATLAS_API_URL")]
    WrongBase { url: String, reason: String },
    #[error("the answer to {path} broke off: {reason}")]
    Interrupted { path: String, reason: String },
    #[error("the answer to {path} is larger than {limit_bytes} bytes")]
    TooLarge { path: String, limit_bytes: usize },
    #[error("the answer to {path} is not what the Atlas API documents: {reason}")]
    Unexpected { path: String, reason: String },
    #[error("organisation {organisation} has no invoice for {month}")]
    NoInvoice { organisation: String, month: BillingMonth },
    #[error("{error} (after {attempts} attempts)")]
    Exhausted { error: Box<Self>, attempts: usize },
    #[error(transparent)]
    Store(#[from] BucketError),
}

/// Atlas' own error document.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ErrorBody {
    error_code: Option<String>,
    detail: Option<String>,
    #[serde(rename = "error_description")]
    error_description: Option<String>,
}

impl AtlasError {
    /// The meaning of a status that is no success.
    pub(crate) fn of_status(
        path: &str,
        status: u16,
        retry_after: Option<Duration>,
        body: &[u8],
        credentials: &'static str,
    ) -> Self {
        let (path, detail) = (path.to_owned(), detail(body));
        match status {
            401 => Self::Unauthorized { what: credentials, detail },
            403 => Self::Forbidden { path, detail },
            404 => Self::NotFound { path, detail },
            406 | 410 => Self::Version { path, status, detail },
            429 => Self::Throttled { path, retry_after, detail },
            500.. => Self::Server { path, status, retry_after, detail },
            _ => Self::Refused { path, status, detail },
        }
    }
}

fn detail(body: &[u8]) -> String {
    let body: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
    let parts = [body.error_code, body.detail.or(body.error_description)];
    let text: Vec<String> = parts.into_iter().flatten().collect();
    if text.is_empty() { String::new() } else { format!(" {}", text.join(": ")).chars().take(300).collect() }
}

impl Transient for AtlasError {
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
