//! Answers that fail on request.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Refusal;

/// A fault: the next `times` requests fail that way.
#[derive(Clone, Debug, Deserialize)]
pub struct AwsFault {
    /// How.
    pub kind: AwsFaultKind,
    /// How often.
    #[serde(default = "once")]
    pub times: usize,
    /// Only requests of this operation, for example `GetCostAndUsage`.
    #[serde(default)]
    pub operation: Option<String>,
}

fn once() -> usize {
    1
}

/// How an answer fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwsFaultKind {
    /// Too many requests, in the words of the service: always status 400.
    Throttle,
    /// Cost Explorer has nothing yet.
    DataUnavailable,
    /// The credentials' time is over.
    ExpiredCredentials,
    /// The token of the page is not taken any more.
    StaleToken,
    /// The policy does not allow it.
    AccessDenied,
    /// The account is in no organisation.
    NoOrganisation,
    /// A fault of the server that asks to wait so many seconds.
    Internal(u64),
    /// This status with a page of HTML.
    Status(u16),
    /// The answer comes so many milliseconds late.
    DelayMs(u64),
    /// The connection breaks in the middle of the answer.
    Drop,
    /// A complete answer whose JSON was cut in the middle.
    CutJson,
    /// The token of this page leads past the first entry of the next.
    LostPage,
}

pub(super) fn take(faults: &mut Vec<AwsFault>, operation: &str) -> Option<AwsFaultKind> {
    let fits = |fault: &AwsFault| fault.operation.as_deref().is_none_or(|only| only == operation);
    let at = faults.iter().position(fits)?;
    let fault = &mut faults[at];
    let kind = fault.kind.clone();
    fault.times = fault.times.saturating_sub(1);
    if fault.times == 0 {
        faults.remove(at);
    }
    Some(kind)
}

/// What the service says instead of an answer, if it says something.
pub(super) fn refusal(kind: &AwsFaultKind, service: &str) -> Option<Refusal> {
    let refusal = |kind, message: &str| Some(Refusal(StatusCode::BAD_REQUEST, kind, message.to_owned()));
    match kind {
        AwsFaultKind::Throttle => match service {
            "ce" => refusal("LimitExceededException", "Rate exceeded"),
            "organizations" => {
                refusal("TooManyRequestsException", "AWS Organizations can't complete your request.")
            }
            _ => refusal("ThrottlingException", "Rate exceeded"),
        },
        AwsFaultKind::DataUnavailable => refusal(
            "DataUnavailableException",
            "Data is not available. Please try to adjust the time period. If just enabled Cost Explorer, data might not \
             be ingested yet",
        ),
        AwsFaultKind::ExpiredCredentials => {
            refusal("ExpiredTokenException", "The security token included in the request is expired")
        }
        AwsFaultKind::StaleToken => refusal("InvalidNextTokenException", "The pagination token is invalid."),
        AwsFaultKind::AccessDenied => {
            refusal("AccessDeniedException", "User is not authorized to perform this action")
        }
        AwsFaultKind::NoOrganisation => {
            refusal("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
        }
        AwsFaultKind::Internal(_) => Some(Refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerException",
            "on request".to_owned(),
        )),
        _ => None,
    }
}

/// Says how long to wait, where the fault does.
pub(super) fn with_hint(kind: Option<&AwsFaultKind>, mut answer: Response) -> Response {
    if let Some(AwsFaultKind::Internal(seconds)) = kind {
        answer.headers_mut().insert("retry-after", HeaderValue::from(*seconds));
    }
    answer
}

pub(super) async fn apply(kind: AwsFaultKind, answer: Response) -> Response {
    match kind {
        AwsFaultKind::Status(code) => {
            let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [("content-type", "text/html")], "<html>on request</html>").into_response()
        }
        AwsFaultKind::DelayMs(delay_ms) => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            answer
        }
        AwsFaultKind::Drop => {
            let broken = std::io::Error::other("the connection breaks on request");
            let chunks = futures::stream::iter([Ok(half(answer).await), Err(broken)]);
            Body::from_stream(chunks).into_response()
        }
        AwsFaultKind::CutJson => half(answer).await.into_response(),
        _ => answer,
    }
}

async fn half(answer: Response) -> bytes::Bytes {
    let whole = to_bytes(answer.into_body(), usize::MAX).await.unwrap_or_default();
    whole.slice(..whole.len() / 2)
}
