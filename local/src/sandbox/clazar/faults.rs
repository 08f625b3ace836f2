//! Answers that fail on request.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use futures::stream::{self, StreamExt};
use serde::Deserialize;
use serde_json::json;

use super::detail;

/// A fault: the next `times` requests whose path contains `path` fail that way.
#[derive(Clone, Debug, Deserialize)]
pub struct ClazarFault {
    /// Part of the path; empty for every request.
    #[serde(default)]
    pub path: String,
    /// How.
    pub kind: ClazarFaultKind,
    /// How often.
    #[serde(default = "once")]
    pub times: usize,
}

fn once() -> usize {
    1
}

/// How a request fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClazarFaultKind {
    /// Nothing is done; this status, with a `detail` (500 with a web page).
    Status(u16),
    /// Nothing is done; this status, with `Retry-After` in seconds.
    RetryAfter(u16, u64),
    /// So many milliseconds later, 504: nothing was done.
    DelayBeforeMs(u64),
    /// Everything is done at once; the answer comes so many milliseconds late.
    DelayAfterMs(u64),
    /// Nothing is done; the connection breaks without an answer.
    DropBefore,
    /// Everything is done; the connection breaks in the middle of the answer.
    DropAfter,
    /// Nothing is done; a web page, with 200.
    Html,
    /// The first half of the records (rounded up) is processed, the others are refused for now.
    Partial,
    /// Nothing is held; every record has the status `warning`.
    UnknownDimension,
    /// Nothing is held; every record is an error, and `errors` is a text.
    ErrorsAsString,
    /// Nothing is held; every record is an error, and `errors` is a list of texts.
    ErrorsAsList,
    /// Nothing is held; every record is an error, and `errors` is a list of objects.
    ErrorsAsObjects,
    /// Everything is done; the results come in reverse order.
    Reordered,
    /// Everything is done; the last result is missing.
    Missing,
    /// Everything is done; the refusal of a record that is there already says which quantity is held.
    TellsHeld,
    /// Nothing is held; every record has this status.
    OddStatus(String),
    /// Everything is done; the answer is JSON that was cut in the middle, with 200.
    Unparsable,
    /// Everything is done; no entry names its record.
    Nameless,
    /// Nothing is held; every record is an error, and no entry names its record.
    NamelessErrors,
    /// Everything is done; no entry names its record, and the last one is missing.
    NamelessMissing,
    /// Everything is done; only the first entry names its record.
    NamelessButFirst,
    /// Nothing is held; the only entry is an error of a record that was not sent, in these words.
    OtherRecord(String),
    /// Nothing is done; with 200, a document without results that has this message.
    Message(String),
}

pub(super) fn take(faults: &mut Vec<ClazarFault>, path: &str) -> Option<ClazarFaultKind> {
    let index = faults.iter().position(|fault| path.contains(&fault.path))?;
    let kind = faults[index].kind.clone();
    faults[index].times = faults[index].times.saturating_sub(1);
    if faults[index].times == 0 {
        faults.remove(index);
    }
    Some(kind)
}

/// The answer to a request, with a fault or without.
pub(super) async fn answer(fault: Option<ClazarFaultKind>, mut request: Request, next: Next) -> Response {
    if let Some(kind) = &fault {
        if let Some(instead) = instead(kind).await {
            return instead;
        }
        // the records themselves are up to `metering`
        request.extensions_mut().insert(kind.clone());
    }
    // in a task of its own: what was sent is done, even if the client goes away meanwhile
    let answer = match tokio::spawn(next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => status(500),
    };
    match fault {
        Some(kind) => afterwards(&kind, answer).await,
        None => answer,
    }
}

/// The answer of a fault that does nothing.
async fn instead(kind: &ClazarFaultKind) -> Option<Response> {
    match *kind {
        ClazarFaultKind::Status(code) => Some(status(code)),
        ClazarFaultKind::RetryAfter(code, seconds) => {
            let mut response = status(code);
            response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
            Some(response)
        }
        ClazarFaultKind::DelayBeforeMs(delay_ms) => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            Some(status(504))
        }
        ClazarFaultKind::DropBefore => Some(broken(None)),
        ClazarFaultKind::Html => Some(Html("<!doctype html><title>Clazar</title>").into_response()),
        ClazarFaultKind::Message(ref message) => {
            Some(Json(json!({"status": "error", "message": message})).into_response())
        }
        _ => None,
    }
}

async fn afterwards(kind: &ClazarFaultKind, answer: Response) -> Response {
    match *kind {
        ClazarFaultKind::DelayAfterMs(delay_ms) => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            answer
        }
        ClazarFaultKind::DropAfter => broken(Some(half(answer).await)),
        ClazarFaultKind::Unparsable => {
            ([("content-type", "application/json")], half(answer).await).into_response()
        }
        _ => answer,
    }
}

async fn half(answer: Response) -> Bytes {
    let whole = to_bytes(answer.into_body(), usize::MAX).await.unwrap_or_default();
    whole.slice(..whole.len() / 2)
}

/// An answer that breaks off: after this beginning, or before a single byte of it was sent.
fn broken(beginning: Option<Bytes>) -> Response {
    let has_begun = beginning.is_some();
    let end = stream::once(async move {
        if has_begun {
            // an error that comes at once takes with it what is not sent yet
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(std::io::Error::other("the connection breaks on request"))
    });
    let chunks = stream::iter(beginning.map(Ok)).chain(end);
    ([("content-type", "application/json")], Body::from_stream(chunks)).into_response()
}

fn status(code: u16) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        return (status, Html("<html>error</html>")).into_response();
    }
    detail(status, status.canonical_reason().unwrap_or("On request."))
}
