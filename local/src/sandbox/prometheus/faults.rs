//! Answers that fail on request.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::refuse;

/// A fault: the next `times` requests to the API fail that way.
#[derive(Clone, Debug, Deserialize)]
pub struct PrometheusFault {
    /// How.
    pub kind: PrometheusFaultKind,
    /// How often.
    #[serde(default = "once")]
    pub times: usize,
}

fn once() -> usize {
    1
}

/// How an answer fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrometheusFaultKind {
    /// This status, with Prometheus' error document and no `Retry-After`.
    Status(u16),
    /// 429 or 503 with `Retry-After` in seconds.
    RetryAfter(u16, u64),
    /// The answer comes so many milliseconds late.
    DelayMs(u64),
    /// The connection breaks in the middle of the answer.
    Drop,
    /// A complete answer whose JSON was cut in the middle.
    CutJson,
    /// A page where people sign in, with 200.
    Html,
    /// The right document under another content type.
    ContentType(String),
    /// To the page where people sign in.
    Redirect,
    /// Prometheus' error document, with 200.
    ErrorDocument,
}

pub(super) fn take(faults: &mut Vec<PrometheusFault>) -> Option<PrometheusFaultKind> {
    let fault = faults.first_mut()?;
    let kind = fault.kind.clone();
    fault.times = fault.times.saturating_sub(1);
    if fault.times == 0 {
        faults.remove(0);
    }
    Some(kind)
}

pub(super) async fn apply(kind: PrometheusFaultKind, mut answer: Response) -> Response {
    match kind {
        PrometheusFaultKind::Status(code) => status(code),
        PrometheusFaultKind::RetryAfter(code, seconds) => {
            let mut response = status(code);
            response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
            response
        }
        PrometheusFaultKind::DelayMs(delay_ms) => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            answer
        }
        PrometheusFaultKind::Drop => {
            let broken = std::io::Error::other("the connection breaks on request");
            let chunks = futures::stream::iter([Ok(half(answer).await), Err(broken)]);
            ([("content-type", "application/json")], Body::from_stream(chunks)).into_response()
        }
        PrometheusFaultKind::CutJson => {
            ([("content-type", "application/json")], half(answer).await).into_response()
        }
        PrometheusFaultKind::Html => Html("<!doctype html><title>Sign in</title>").into_response(),
        PrometheusFaultKind::ContentType(content_type) => {
            if let Ok(value) = HeaderValue::from_str(&content_type) {
                answer.headers_mut().insert("content-type", value);
            }
            answer
        }
        PrometheusFaultKind::Redirect => (StatusCode::FOUND, [("location", "/login")]).into_response(),
        PrometheusFaultKind::ErrorDocument => {
            axum::Json(json!({"status": "error", "errorType": "internal", "error": "on request"}))
                .into_response()
        }
    }
}

async fn half(answer: Response) -> bytes::Bytes {
    let whole = to_bytes(answer.into_body(), usize::MAX).await.unwrap_or_default();
    whole.slice(..whole.len() / 2)
}

fn status(code: u16) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = match code {
        400 => "bad_data",
        422 => "execution",
        503 => "timeout",
        _ => "internal",
    };
    refuse(status, kind, "on request")
}
