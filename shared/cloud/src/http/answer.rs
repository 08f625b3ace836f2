//! What came back from a provider: its bytes up to a bound, why there are none, what they are, and how long to wait.

use std::error::Error;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};

use super::Reply;
use super::call::without_secrets;

/// Why the body of an answer could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is larger than was allowed; what came of it is dropped.
    #[error("the answer is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What was allowed.
        limit_bytes: usize,
    },
    /// It ended before its end, or was silent for too long: what made it so.
    #[error("the answer broke off: {0}")]
    Interrupted(String),
}

/// The body of an answer, at most so many bytes: a larger one would end the function without a word. That of an answer
/// that says no is without the secrets that it was asked with, see [`super::Client::send`].
///
/// # Errors
/// [`BodyError`].
pub async fn read_body(mut reply: Reply, limit_bytes: usize) -> Result<Bytes, BodyError> {
    let announced = reply.content_length().unwrap_or_default();
    let announced = usize::try_from(announced).unwrap_or(usize::MAX);
    if announced > limit_bytes {
        return Err(BodyError::TooLarge { limit_bytes });
    }
    let mut body = BytesMut::with_capacity(announced);
    while let Some(chunk) = reply.chunk().await? {
        if body.len() + chunk.len() > limit_bytes {
            return Err(BodyError::TooLarge { limit_bytes });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(without_secrets(reply.status(), body.freeze(), reply.sent()))
}

/// `application/json` of `application/json; charset=utf-8`; empty if nothing is said.
#[must_use]
pub fn content_type(headers: &HeaderMap) -> String {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// What a body is where JSON is asked for. A server with a web application answers wrong paths with its page, and with 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// JSON, as far as its first byte and what is said of it go.
    Json,
    /// A web page.
    WebPage,
    /// Something else: its content type, at most 60 characters of it, or that there is none.
    Other(String),
}

impl Content {
    /// What a body is, by what [`content_type`] says and its first byte.
    #[must_use]
    pub fn of(content_type: &str, body: &[u8]) -> Self {
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        if content_type.ends_with("html") || first == Some(&b'<') {
            return Self::WebPage;
        }
        let is_json = content_type == "application/json" || content_type.ends_with("+json");
        if is_json || (content_type.is_empty() && first == Some(&b'{')) {
            return Self::Json;
        }
        let content_type = if content_type.is_empty() { "of no content type" } else { content_type };
        Self::Other(content_type.chars().take(60).collect())
    }
}

/// The innermost cause of a failed call, which says what it was; those around it repeat the call.
#[must_use]
pub fn innermost_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Whether a call certainly sent nothing, by what made it fail: the name of the peer did not resolve, or no connection was made. After
/// any other failure without an answer, the peer may have done what was asked.
#[must_use]
pub fn was_never_sent(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect()) {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// The longest wait that the headers ask for, in seconds or until a date.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get_all(RETRY_AFTER).iter().filter_map(|value| wait(value, Utc::now())).max()
}

fn wait(value: &HeaderValue, now: DateTime<Utc>) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(text).ok()?;
    (until.to_utc() - now).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_seconds_or_a_date() {
        let now: DateTime<Utc> = "2026-11-02T06:00:00Z".parse().unwrap();
        let wait = |text: &'static str| wait(&HeaderValue::from_static(text), now).map(|wait| wait.as_secs());
        assert_eq!(wait(" 7 "), Some(7));
        assert_eq!(wait("Mon, 02 Nov 2026 06:01:30 GMT"), Some(90));
        assert_eq!(wait("Mon, 02 Nov 2026 05:00:00 GMT"), None, "it is over");
        for other in ["soon", "-1", "1.5", ""] {
            assert_eq!(wait(other), None, "{other}");
        }
    }

    #[test]
    fn of_several_waits_the_longest_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        for value in ["3", "never", "20", "5"] {
            headers.append(RETRY_AFTER, HeaderValue::from_static(value));
        }
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(20)));
    }
}
