//! Answers that fail on request.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::refuse;
use crate::sandbox::faults::{AnswerFault, broken, half};

/// A fault of this sandbox.
pub type PrometheusFault = AnswerFault<PrometheusFaultKind>;

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
        PrometheusFaultKind::Drop => broken(answer).await,
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
