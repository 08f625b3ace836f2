//! Answers that fail on request.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::sandbox::faults::{AnswerFault, broken, half};

/// A fault of this sandbox.
pub type CcxFault = AnswerFault<CcxFaultKind>;

/// How an answer fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CcxFaultKind {
    /// This status, with CCX' error document and no `Retry-After`.
    Status(u16),
    /// 429 or 503 with `Retry-After` in seconds.
    RetryAfter(u16, u64),
    /// The answer comes so many milliseconds late.
    DelayMs(u64),
    /// The connection breaks in the middle of the answer.
    Drop,
    /// A complete answer whose JSON was cut in the middle.
    CutJson,
    /// The web application, with 200.
    Html,
    /// The right document under another content type.
    ContentType(String),
    /// To the page where people log in.
    Redirect,
}

pub(super) async fn apply(kind: CcxFaultKind, mut answer: Response) -> Response {
    match kind {
        CcxFaultKind::Status(code) => status(code),
        CcxFaultKind::RetryAfter(code, seconds) => {
            let mut response = status(code);
            response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
            response
        }
        CcxFaultKind::DelayMs(delay_ms) => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            answer
        }
        CcxFaultKind::Drop => broken(answer).await,
        CcxFaultKind::CutJson => ([("content-type", "application/json")], half(answer).await).into_response(),
        CcxFaultKind::Html => Html("<!doctype html><title>CCX</title>").into_response(),
        CcxFaultKind::ContentType(content_type) => {
            if let Ok(value) = HeaderValue::from_str(&content_type) {
                answer.headers_mut().insert("content-type", value);
            }
            answer
        }
        CcxFaultKind::Redirect => (StatusCode::FOUND, [("location", "/auth/login")]).into_response(),
    }
}

fn status(code: u16) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, axum::Json(json!({"error": "on request"}))).into_response()
}
