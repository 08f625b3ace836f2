//! Answers that fail on request.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::refuse;

/// A fault: the next `times` requests that it applies to fail that way.
#[derive(Clone, Debug, Deserialize)]
pub struct GcpFault {
    /// How.
    pub kind: GcpFaultKind,
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
pub enum GcpFaultKind {
    /// The token endpoint answers with this status and no document.
    Token(u16),
    /// This status, with an error document whose `reason` is the usual one for it.
    Status(u16),
    /// This status and `reason`: `rateLimitExceeded`, `quotaExceeded`, ...
    Reason(u16, String),
    /// 403 `rateLimitExceeded` or 503 with `Retry-After` in seconds.
    RetryAfter(u16, u64),
    /// This status without any document, as proxies answer.
    NoBody(u16),
    /// The answer comes so many milliseconds late.
    DelayMs(u64),
    /// The connection breaks in the middle of the answer.
    Drop,
    /// A complete answer whose JSON was cut in the middle.
    CutJson,
    /// The job is not done yet, whatever the answer would be.
    Running,
    /// The job is done and lists errors.
    JobErrors,
    /// The rows of the page are missing.
    LosePage,
    /// The page says that it is the last.
    CutPages,
}

pub(super) fn take(faults: &mut Vec<GcpFault>, path: &str) -> Option<GcpFaultKind> {
    let is_for = |kind: &GcpFaultKind| match kind {
        GcpFaultKind::Token(_) => path == "/token",
        _ => path.starts_with("/bigquery/"),
    };
    let index = faults.iter().position(|fault| is_for(&fault.kind))?;
    let fault = &mut faults[index];
    let kind = fault.kind.clone();
    fault.times = fault.times.saturating_sub(1);
    if fault.times == 0 {
        faults.remove(index);
    }
    Some(kind)
}

pub(super) async fn apply(kind: GcpFaultKind, answer: Response) -> Response {
    match kind {
        GcpFaultKind::Token(code) | GcpFaultKind::NoBody(code) => status(code).into_response(),
        GcpFaultKind::Status(code) => {
            let reason = match code {
                400 => "invalidQuery",
                401 => "authError",
                403 => "accessDenied",
                404 => "notFound",
                500 => "internalError",
                _ => "backendError",
            };
            refuse(code, reason, "on request")
        }
        GcpFaultKind::Reason(code, reason) => refuse(code, &reason, "on request"),
        GcpFaultKind::RetryAfter(code, seconds) => {
            let reason = if code == 403 { "rateLimitExceeded" } else { "backendError" };
            let mut response = refuse(code, reason, "on request");
            response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
            response
        }
        GcpFaultKind::DelayMs(delay_ms) => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            answer
        }
        GcpFaultKind::Drop => {
            let broken = std::io::Error::other("the connection breaks on request");
            let chunks = futures::stream::iter([Ok(half(answer).await), Err(broken)]);
            ([("content-type", "application/json")], Body::from_stream(chunks)).into_response()
        }
        GcpFaultKind::CutJson => ([("content-type", "application/json")], half(answer).await).into_response(),
        GcpFaultKind::Running => {
            changed(answer, |document| {
                let job = document["jobReference"].take();
                *document = json!({"jobReference": job, "jobComplete": false});
            })
            .await
        }
        GcpFaultKind::JobErrors => {
            let errors = json!([{"reason": "backendError", "message": "on request", "location": "query"}]);
            changed(answer, |document| {
                document["jobComplete"] = json!(true);
                document["errors"] = errors;
            })
            .await
        }
        GcpFaultKind::LosePage => changed(answer, |document| remove(document, "rows")).await,
        GcpFaultKind::CutPages => changed(answer, |document| remove(document, "pageToken")).await,
    }
}

fn remove(document: &mut Value, member: &str) {
    if let Some(members) = document.as_object_mut() {
        members.remove(member);
    }
}

/// The answer with its document changed.
async fn changed(answer: Response, change: impl FnOnce(&mut Value)) -> Response {
    let mut document: Value = serde_json::from_slice(&whole(answer).await).unwrap_or_default();
    change(&mut document);
    axum::Json(document).into_response()
}

async fn whole(answer: Response) -> Bytes {
    to_bytes(answer.into_body(), usize::MAX).await.unwrap_or_default()
}

async fn half(answer: Response) -> Bytes {
    let whole = whole(answer).await;
    whole.slice(..whole.len() / 2)
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
