//! Answers that fail on request.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use futures::stream::{self, StreamExt};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::provider::Provider;

/// A fault: the next `times` requests that have `path` in their name fail that way.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound(deserialize = "K: DeserializeOwned"))]
pub(super) struct Fault<K> {
    #[serde(default, alias = "operation")]
    pub(super) path: String,
    #[serde(deserialize_with = "kind")]
    pub(super) kind: FaultKind<K>,
    #[serde(default = "once")]
    pub(super) times: usize,
}

fn once() -> usize {
    1
}

/// How an answer fails: in a way of all providers, or in one of its own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind<K = NoFault> {
    /// Nothing is done; this status, with the provider's error document and no `Retry-After`.
    Status(u16),
    /// Nothing is done; this status with `Retry-After` in seconds.
    RetryAfter(u16, u64),
    /// Everything is done; the answer comes so many milliseconds late.
    #[serde(alias = "delay_after_ms")]
    DelayMs(u64),
    /// Everything is done; the connection breaks in the middle of the answer.
    #[serde(alias = "drop_after", alias = "truncated")]
    Drop,
    /// Everything is done; a complete answer of half its bytes.
    #[serde(alias = "cut_json", alias = "unparsable")]
    Cut,
    /// Everything is done; the right document under another content type.
    ContentType(String),
    /// Nothing is done; a web page, with 200.
    Html,
    /// Nothing is done; to the page where people sign in.
    Redirect,
    /// As only this provider fails.
    #[serde(skip)]
    Own(K),
}

/// The faults of a provider that has none of its own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum NoFault {}

impl<K> From<K> for FaultKind<K> {
    fn from(own: K) -> Self {
        Self::Own(own)
    }
}

/// Reads a document twice, because serde's untagged enums know no numbers that keep all their digits.
fn kind<'de, D: Deserializer<'de>, K: DeserializeOwned>(deserializer: D) -> Result<FaultKind<K>, D::Error> {
    let document = Value::deserialize(deserializer)?;
    FaultKind::deserialize(&document).or_else(|common| match K::deserialize(document) {
        Ok(own) => Ok(FaultKind::Own(own)),
        Err(own) => Err(D::Error::custom(format!("{common}; {own}"))),
    })
}

impl<K> FaultKind<K> {
    /// What is answered instead; nothing is done until `answer` is awaited.
    pub(super) async fn answer<P: Provider<Fault = K>>(
        self,
        answer: impl Future<Output = Response> + Send,
    ) -> Response {
        match self {
            Self::Status(code) => P::refuse(status(code)),
            Self::RetryAfter(code, seconds) => retry_after(P::throttle(status(code)), seconds),
            Self::DelayMs(delay_ms) => {
                let answer = answer.await;
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
                answer
            }
            Self::Drop => halved(answer.await, |half| broken(Some(half))).await,
            Self::Cut => halved(answer.await, Body::from).await,
            Self::ContentType(content_type) => {
                let mut answer = answer.await;
                if let Ok(value) = HeaderValue::from_str(&content_type) {
                    answer.headers_mut().insert("content-type", value);
                }
                answer
            }
            Self::Html => Html(format!("<!doctype html><title>{}</title>", P::PAGE)).into_response(),
            Self::Redirect => (StatusCode::FOUND, [("location", P::LOGIN)]).into_response(),
            Self::Own(own) => P::fail(own, answer).await,
        }
    }
}

/// The status of a code; 500 for what is none.
pub(super) fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// An answer that says how long to wait.
pub(super) fn retry_after(mut answer: Response, seconds: u64) -> Response {
    answer.headers_mut().insert("retry-after", HeaderValue::from(seconds));
    answer
}

/// An answer with what is made of the first half of its body. What is no success, a challenge say, is another answer and stays whole.
async fn halved(answer: Response, body: impl FnOnce(Bytes) -> Body) -> Response {
    if !answer.status().is_success() {
        return answer;
    }
    let (mut head, whole) = answer.into_parts();
    let whole = to_bytes(whole, usize::MAX).await.unwrap_or_default();
    head.headers.remove("content-length");
    Response::from_parts(head, body(whole.slice(..whole.len() / 2)))
}

/// A body that breaks off: after this beginning, or before a single byte of the answer was sent.
pub(super) fn broken(beginning: Option<Bytes>) -> Body {
    let has_begun = beginning.is_some();
    let end = stream::once(async move {
        if has_begun {
            // an error that comes at once takes with it what is not sent yet
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(io::Error::other("the connection breaks on request"))
    });
    Body::from_stream(stream::iter(beginning.map(Ok)).chain(end))
}
