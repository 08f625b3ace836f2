//! Answers that fail on request, and reports that go wrong.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::error;

/// A fault: the next `times` requests whose path contains `path` fail that way. Those of reports wait for the next order.
#[derive(Clone, Debug, Deserialize)]
pub struct AzureFault {
    /// Part of the path; empty for every request.
    #[serde(default)]
    pub path: String,
    /// How.
    pub kind: AzureFaultKind,
    /// How often.
    #[serde(default = "once")]
    pub times: usize,
}

fn once() -> usize {
    1
}

/// How an answer fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AzureFaultKind {
    /// This status, with Azure's error document and no `Retry-After`.
    Status(u16),
    /// 503 with `Retry-After` in seconds.
    RetryAfter(u64),
    /// 429 with `Retry-After`, and a longer wait in seconds for the entity.
    Throttle(u64, u64),
    /// The answer comes so many milliseconds late.
    DelayMs(u64),
    /// The connection breaks in the middle of the answer.
    Drop,
    /// A complete answer of half its bytes.
    Cut,
    /// All tokens given so far end.
    TokensEnd,
    /// What happens to a report that is ordered.
    Report(AzureReportFault),
}

/// How a report goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AzureReportFault {
    /// It is there at once.
    AtOnce,
    /// There are no costs: 204 to the order.
    NoContent,
    /// There are no costs, which the job finds out.
    NoDataFound,
    /// Status `Failed`, with 200.
    Failed,
    /// It is never ready.
    NeverReady,
    /// The job is told to be on another host.
    Elsewhere,
    /// Its links are over when they are used.
    LinksEnded,
    /// Its manifest names a file that is not there.
    MissingFile,
    /// Its manifest states another number of files than it names.
    OtherCount,
    /// Its manifest states other sizes than the files have.
    OtherSizes,
}

pub(super) fn take(faults: &mut Vec<AzureFault>, path: &str) -> Option<AzureFaultKind> {
    let index = faults.iter().position(|fault| match fault.kind {
        AzureFaultKind::Report(_) => path.ends_with("/generateCostDetailsReport"),
        _ => path.contains(&fault.path),
    })?;
    let kind = faults[index].kind;
    faults[index].times = faults[index].times.saturating_sub(1);
    if faults[index].times == 0 {
        faults.remove(index);
    }
    Some(kind)
}

pub(super) async fn apply(kind: AzureFaultKind, mut answer: Response) -> Response {
    match kind {
        AzureFaultKind::Status(code) => status(code),
        AzureFaultKind::RetryAfter(seconds) => with_wait(status(503), "retry-after", seconds),
        AzureFaultKind::Throttle(seconds, entity) => {
            let response = with_wait(status(429), "retry-after", seconds);
            let response =
                with_wait(response, "x-ms-ratelimit-microsoft.costmanagement-entity-retry-after", entity);
            with_wait(response, "x-ms-ratelimit-microsoft.costmanagement-tenant-retry-after", 0)
        }
        AzureFaultKind::DelayMs(delay_ms) => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            answer
        }
        AzureFaultKind::Drop => {
            let broken = std::io::Error::other("the connection breaks on request");
            let chunks = futures::stream::iter([Ok(half(answer).await), Err(broken)]);
            Body::from_stream(chunks).into_response()
        }
        AzureFaultKind::Cut => {
            answer.headers_mut().remove("content-length");
            let (parts, body) = answer.into_parts();
            Response::from_parts(parts, Body::from(half(body.into_response()).await))
        }
        AzureFaultKind::TokensEnd | AzureFaultKind::Report(_) => answer,
    }
}

async fn half(answer: Response) -> bytes::Bytes {
    let whole = to_bytes(answer.into_body(), usize::MAX).await.unwrap_or_default();
    whole.slice(..whole.len() / 2)
}

fn with_wait(mut response: Response, header: &'static str, seconds: u64) -> Response {
    response.headers_mut().insert(header, HeaderValue::from(seconds));
    response
}

fn status(code: u16) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match code {
        400 => error(status, "BadRequest", "The maximum date range allowed is 1 month."),
        403 => error(status, "RBACAccessDenied", "The client does not have authorization to perform action."),
        429 => error(status, "429", "Too many requests. Please retry."),
        503 => error(status, "ServiceUnavailable", "Service is temporarily unavailable."),
        _ => error(status, "OnRequest", "on request"),
    }
}
