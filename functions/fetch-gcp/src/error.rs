//! What Google answers when it does not give what was asked for, and what to do about it.

use std::time::Duration;

use cloud::http::Transient;
use serde::Deserialize;

use crate::key::InvalidKey;

/// A call that failed. Bodies of answers are quoted only as far as they are Google's own error document.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum GcpError {
    #[error(transparent)]
    Key(#[from] InvalidKey),
    #[error(
        "Google refused the service account's key ({status}{detail}): check GCP_SERVICE_ACCOUNT_KEY; was the key deleted or \
         disabled, is this machine's clock right"
    )]
    KeyRefused { status: u16, detail: String },
    #[error(
        "BigQuery refused the token at {path} twice (401{detail}): was the service account disabled; is GCP_API_URL right"
    )]
    Unauthorized { path: String, detail: String },
    #[error(
        "BigQuery does not allow {path} (403{detail}): the service account needs the role BigQuery Job User in the project \
         GCP_PROJECT and BigQuery Data Viewer on the dataset of GCP_BILLING_TABLE"
    )]
    Forbidden { path: String, detail: String },
    #[error(
        "billing is not enabled for the project that queries run in (403{detail}): enable it, or set GCP_PROJECT"
    )]
    BillingNotEnabled { detail: String },
    #[error(
        "BigQuery knows no such thing at {path} (404{detail}): check GCP_BILLING_TABLE, GCP_PROJECT and GCP_LOCATION"
    )]
    NotFound { path: String, detail: String },
    #[error(
        "BigQuery does not take the query (400{detail}): is GCP_BILLING_TABLE the table of a standard or detailed export of \
         billing data"
    )]
    InvalidQuery { detail: String },
    #[error(
        "the query would read more than GCP_MAX_BYTES_BILLED allows ({status}{detail}): raise it if that is right"
    )]
    TooExpensive { status: u16, detail: String },
    #[error(
        "a quota of BigQuery is used up ({status}{detail}): the next schedule tries again; raise the quota of the project \
         GCP_PROJECT if it happens again"
    )]
    QuotaExceeded { status: u16, detail: String },
    #[error("BigQuery refused {path} ({status}{detail})")]
    Refused { path: String, status: u16, detail: String },
    #[error("Google asked to slow down at {path} ({status}{detail})")]
    Throttled { path: String, status: u16, retry_after: Option<Duration>, detail: String },
    #[error("Google failed at {path} ({status}{detail})")]
    Server { path: String, status: u16, retry_after: Option<Duration>, detail: String },
    #[error("Google cannot be reached at {url}: {reason}; check GCP_API_URL, GCP_TOKEN_URL and the network")]
    Unreachable { url: String, reason: String },
    #[error("the answer to {path} broke off: {reason}")]
    Interrupted { path: String, reason: String },
    #[error("the answer to {path} is larger than {limit_bytes} bytes")]
    TooLarge { path: String, limit_bytes: usize },
    #[error("the answer to {path} is not what BigQuery documents: {reason}")]
    Unexpected { path: String, reason: String },
    #[error(
        "the query job {job} ended with errors ({detail}): nothing of it is kept; the next run asks again"
    )]
    JobFailed { job: String, detail: String },
    #[error(
        "the query job {job} was not done after {waited_s} s: the next run asks again; raise GCP_QUERY_TIMEOUT_S, or see in \
         the project's job history what holds it up"
    )]
    NotDone { job: String, waited_s: u64 },
    #[error(
        "the query job {job} has {expected} rows and {received} came: a page is missing or came twice, and nothing of this \
         answer counts; the next run asks again"
    )]
    RowsLost { job: String, expected: u64, received: u64 },
    #[error("{error} (after {attempts} attempts)")]
    Exhausted { error: Box<Self>, attempts: usize },
}

/// Google's error document.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: ErrorMember,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorMember {
    message: Option<String>,
    errors: Vec<ErrorProto>,
}

/// One of BigQuery's errors, in an error document or in the answer of a job.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorProto {
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
}

/// The error document of the token endpoint.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenErrorBody {
    error: Option<String>,
    error_description: Option<String>,
}

impl GcpError {
    /// The meaning of a status that is no success, by BigQuery's own `reason` where there is one.
    pub(crate) fn of_status(path: &str, status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        // a proxy may have answered, with no document or another one
        let body: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
        let first = body.error.errors.into_iter().next().unwrap_or_default();
        let reason = first.reason.unwrap_or_default();
        let detail = detail([Some(reason.as_str()), body.error.message.or(first.message).as_deref()]);
        let path = path.to_owned();
        match (reason.as_str(), status) {
            ("rateLimitExceeded" | "jobRateLimitExceeded", _) | (_, 429) => {
                Self::Throttled { path, status, retry_after, detail }
            }
            ("quotaExceeded", _) => Self::QuotaExceeded { status, detail },
            ("bytesBilledLimitExceeded", _) => Self::TooExpensive { status, detail },
            ("backendError" | "internalError" | "jobBackendError" | "jobInternalError", _) | (_, 500..) => {
                Self::Server { path, status, retry_after, detail }
            }
            ("billingNotEnabled", _) => Self::BillingNotEnabled { detail },
            ("invalidQuery", _) => Self::InvalidQuery { detail },
            (_, 401) => Self::Unauthorized { path, detail },
            (_, 403) => Self::Forbidden { path, detail },
            (_, 404) => Self::NotFound { path, detail },
            _ => Self::Refused { path, status, detail },
        }
    }

    /// The meaning of a status with which the token endpoint gives no token.
    pub(crate) fn of_token_status(
        path: &str,
        status: u16,
        retry_after: Option<Duration>,
        body: &[u8],
    ) -> Self {
        let body: TokenErrorBody = serde_json::from_slice(body).unwrap_or_default();
        let detail = detail([body.error.as_deref(), body.error_description.as_deref()]);
        let path = path.to_owned();
        match status {
            429 => Self::Throttled { path, status, retry_after, detail },
            500.. => Self::Server { path, status, retry_after, detail },
            404 => Self::NotFound { path, detail },
            400 | 401 | 403 => Self::KeyRefused { status, detail },
            _ => Self::Refused { path, status, detail },
        }
    }

    /// Says how often it was tried, if it was tried again.
    pub(crate) fn after(self, attempts: usize) -> Self {
        if self.is_transient() && attempts > 1 {
            Self::Exhausted { error: Box::new(self), attempts }
        } else {
            self
        }
    }
}

/// The errors that a job's answer lists, in one line.
pub(crate) fn job_errors(errors: &[ErrorProto]) -> String {
    let said = errors.iter().map(|error| detail([error.reason.as_deref(), error.message.as_deref()]));
    let text = said.collect::<Vec<_>>().join(";");
    text.trim().chars().take(300).collect()
}

/// What the document says, after a space.
fn detail(parts: [Option<&str>; 2]) -> String {
    let parts: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    let text: String = parts.join(": ").chars().filter(|c| !c.is_control()).take(300).collect();
    if text.is_empty() { text } else { format!(" {text}") }
}

impl Transient for GcpError {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(status: u16, reason: &str) -> GcpError {
        let body =
            json!({"error": {"code": status, "message": "on request", "errors": [{"reason": reason}]}});
        GcpError::of_status("/queries", status, None, body.to_string().as_bytes())
    }

    #[test]
    fn the_reason_counts_more_than_the_status() {
        for (status, reason, transient, part) in [
            (
                403,
                "rateLimitExceeded",
                true,
                "asked to slow down at /queries (403 rateLimitExceeded: on request)",
            ),
            (403, "quotaExceeded", false, "the next schedule tries again"),
            (403, "accessDenied", false, "needs the role BigQuery Job User"),
            (403, "billingNotEnabled", false, "billing is not enabled"),
            (404, "notFound", false, "check GCP_BILLING_TABLE, GCP_PROJECT and GCP_LOCATION"),
            (400, "invalidQuery", false, "does not take the query"),
            (400, "bytesBilledLimitExceeded", false, "more than GCP_MAX_BYTES_BILLED allows"),
            (400, "jobBackendError", true, "failed at /queries (400"),
            (503, "backendError", true, "failed at /queries (503"),
            (409, "duplicate", false, "refused /queries (409 duplicate: on request)"),
        ] {
            let error = of(status, reason);
            assert_eq!(error.is_transient(), transient, "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn a_document_may_be_missing() {
        for (status, body, said) in [
            (502, "", "Google failed at /q (502)"),
            (503, "<html>", "Google failed at /q (503)"),
            (429, "{}", "Google asked to slow down at /q (429)"),
            (418, "[1]", "BigQuery refused /q (418)"),
        ] {
            assert_eq!(GcpError::of_status("/q", status, None, body.as_bytes()).to_string(), said);
        }
        let body = br#"{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}"#;
        let error = GcpError::of_token_status("/token", 400, None, body);
        let said =
            "Google refused the service account's key (400 invalid_grant: Invalid JWT Signature.): check";
        assert!(error.to_string().starts_with(said), "{error}");
        assert!(GcpError::of_token_status("/token", 503, None, b"").is_transient());
        assert_eq!(error.after(5).to_string().matches("attempts").count(), 0);
        let busy = GcpError::of_token_status("/token", 503, None, b"").after(5);
        assert_eq!(busy.to_string(), "Google failed at /token (503) (after 5 attempts)");
    }
}
