//! What Azure answers when it does not give a bill, and what to do about it.

use std::time::Duration;

use cloud::bucket::KeepError;
use cloud::http::Transient;
use serde::Deserialize;
use serde_json::Value;

/// A call that failed. Paths are without their queries, which may hold signatures; bodies of answers are quoted only as far as
/// they are Azure's own error document.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AzureError {
    #[error(
        "Microsoft Entra refused the credentials ({status}{detail}): check AZURE_TENANT_ID, AZURE_CLIENT_ID and \
         AZURE_CLIENT_SECRET"
    )]
    Credentials { status: u16, detail: String },
    #[error("Azure does not accept the token at {path} (401{detail}): check AZURE_TENANT_ID")]
    Unauthorized { path: String, detail: String },
    #[error("Azure does not allow {path} (403{detail}): give the app registration {role}")]
    Forbidden { path: String, detail: String, role: &'static str },
    #[error("Azure knows no {path} (404{detail}): check AZURE_SCOPE and AZURE_EXPORT_URL")]
    NotFound { path: String, detail: String },
    #[error("Azure refused {path} ({status}{detail})")]
    Refused { path: String, status: u16, detail: String },
    #[error("Azure asked to slow down at {path} (429{detail})")]
    Throttled { path: String, retry_after: Option<Duration>, detail: String },
    #[error("Azure failed at {path} ({status}{detail})")]
    Server { path: String, status: u16, retry_after: Option<Duration>, detail: String },
    #[error(
        "Azure cannot be reached at {url}: {reason}; check the network and AZURE_API_URL, AZURE_LOGIN_URL"
    )]
    Unreachable { url: String, reason: String },
    #[error("the answer to {path} broke off: {reason}")]
    Interrupted { path: String, reason: String },
    #[error("the answer to {path} is larger than {limit_bytes} bytes")]
    TooLarge { path: String, limit_bytes: usize },
    #[error("the answer to {path} is not what the API documents: {reason}")]
    Unexpected { path: String, reason: String },
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
    #[error("the link to {blob} is no longer valid (403 {code}); a new report has new links")]
    LinkExpired { blob: String, code: String },
    #[error("{blob} is cut short: {reason}; it is not kept")]
    CutShort { blob: String, reason: String },
    #[error("{document} contradicts itself: {reason}; nothing of it counts until the next run")]
    Contradiction { document: String, reason: String },
    #[error("{error} (after {attempts} attempts)")]
    Exhausted { error: Box<Self>, attempts: usize },
    #[error(transparent)]
    Keep(#[from] KeepError),
}

/// Azure's error document, and that of its login.
#[derive(Deserialize)]
struct ErrorBody {
    error: Value,
    error_description: Option<String>,
}

impl AzureError {
    /// The meaning of a status that is no success.
    pub(crate) fn of_status(
        path: String,
        status: u16,
        retry_after: Option<Duration>,
        body: &[u8],
        role: &'static str,
    ) -> Self {
        let detail = detail(body);
        match status {
            401 => Self::Unauthorized { path, detail },
            403 => Self::Forbidden { path, detail, role },
            404 => Self::NotFound { path, detail },
            429 => Self::Throttled { path, retry_after, detail },
            408 | 500.. => Self::Server { path, status, retry_after, detail },
            _ => Self::Refused { path, status, detail },
        }
    }

    /// Whether the link to a blob has to be asked for again.
    pub(crate) fn is_expired_link(&self) -> bool {
        matches!(self, Self::LinkExpired { .. })
    }
}

/// What an error document says, after a space: `{"error": {"code", "message"}}`, the login's `{"error", "error_description"}`, or
/// the XML of blob storage.
pub(crate) fn detail(body: &[u8]) -> String {
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
    let said: String =
        said.trim_end_matches([':', ' ']).chars().filter(|c| !c.is_control()).take(300).collect();
    if said.is_empty() { said } else { format!(" {said}") }
}

/// `<Code>` of an error of blob storage.
pub(crate) fn xml_code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    Some(code.chars().filter(char::is_ascii_alphanumeric).take(60).collect())
}

impl Transient for AzureError {
    fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Throttled { .. }
                | Self::Server { .. }
                | Self::Unreachable { .. }
                | Self::Interrupted { .. }
                | Self::CutShort { .. }
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
    use super::*;

    #[test]
    fn error_documents_of_all_three_are_quoted_without_their_ids() {
        let login = br#"{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret.\r\nTrace ID: 1"}"#;
        assert_eq!(detail(login), " invalid_client: AADSTS7000215: Invalid client secret.");
        let api =
            br#"{"error": {"code": "BadRequest", "message": "The maximum date range allowed is 1 month."}}"#;
        assert_eq!(detail(api), " BadRequest: The maximum date range allowed is 1 month.");
        let blob = b"\xef\xbb\xbf<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>Sig=x</Message></Error>";
        assert_eq!(detail(blob), " AuthenticationFailed");
        assert_eq!((detail(b""), detail(b"<html>"), detail(b"{\"error\": {}}")), Default::default());
    }
}
