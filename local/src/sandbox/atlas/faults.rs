//! Answers that fail on request.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::error;

/// A fault: the next `times` requests whose path contains `path` fail that way.
#[derive(Clone, Debug, Deserialize)]
pub struct Fault {
    /// Part of the path; empty for every request.
    #[serde(default)]
    pub path: String,
    /// How.
    pub kind: FaultKind,
    /// How often.
    #[serde(default = "once")]
    pub times: usize,
}

fn once() -> usize {
    1
}

/// How an answer fails.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// This status, with Atlas' error document and no `Retry-After`.
    Status(u16),
    /// 429 or 503 with `Retry-After` in seconds.
    RetryAfter(u16, u64),
    /// The answer comes so many milliseconds late.
    DelayMs(u64),
    /// The answer breaks off in the middle.
    Truncated,
    /// A complete answer whose JSON was cut in the middle.
    CutJson,
    /// A web page, with 200.
    Html,
}

pub(super) fn take(faults: &mut Vec<Fault>, path: &str) -> Option<FaultKind> {
    let index = faults.iter().position(|fault| path.contains(&fault.path))?;
    let kind = faults[index].kind;
    faults[index].times = faults[index].times.saturating_sub(1);
    if faults[index].times == 0 {
        faults.remove(index);
    }
    Some(kind)
}

pub(super) async fn apply(kind: FaultKind, answer: Response) -> Response {
    match kind {
        FaultKind::Status(status) => status_error(status),
        FaultKind::RetryAfter(status, seconds) => {
            let mut response = status_error(status);
            response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
            response
        }
        FaultKind::DelayMs(delay_ms) => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            answer
        }
        FaultKind::Html => {
            ([("content-type", "text/html")], "<!doctype html><title>Atlas</title>").into_response()
        }
        // to authenticated requests only: the challenge before them is another answer
        FaultKind::Truncated | FaultKind::CutJson if !answer.status().is_success() => answer,
        FaultKind::Truncated | FaultKind::CutJson => cut(kind, answer).await,
    }
}

async fn cut(kind: FaultKind, answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let half = whole.slice(..whole.len() / 2);
    parts.headers.remove("content-length");
    if matches!(kind, FaultKind::CutJson) {
        return Response::from_parts(parts, Body::from(half));
    }
    let broken = std::io::Error::other("the answer breaks off on request");
    let chunks = futures::stream::iter([Ok(half), Err(broken)]);
    Response::from_parts(parts, Body::from_stream(chunks))
}

fn status_error(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let code = match status.as_u16() {
        400 => "VALIDATION_ERROR",
        401 | 403 => "USER_UNAUTHORIZED",
        404 => "RESOURCE_NOT_FOUND",
        410 => "VERSION_GONE",
        429 => "RATE_LIMITED",
        503 => "SERVICE_UNAVAILABLE",
        _ => "UNEXPECTED_ERROR",
    };
    error(status, code, "On request.")
}
