//! What answers that fail on request have in common.

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

/// A fault: the next `times` requests to the API fail that way.
#[derive(Clone, Debug, Deserialize)]
pub struct AnswerFault<K> {
    /// How.
    pub kind: K,
    /// How often.
    #[serde(default = "once")]
    pub times: usize,
}

fn once() -> usize {
    1
}

/// The kind of the next fault; it is used up.
pub(super) fn take<K: Clone>(faults: &mut Vec<AnswerFault<K>>) -> Option<K> {
    let fault = faults.first_mut()?;
    let kind = fault.kind.clone();
    fault.times = fault.times.saturating_sub(1);
    if fault.times == 0 {
        faults.remove(0);
    }
    Some(kind)
}

/// The first half of an answer's body.
pub(super) async fn half(answer: Response) -> bytes::Bytes {
    let whole = to_bytes(answer.into_body(), usize::MAX).await.unwrap_or_default();
    whole.slice(..whole.len() / 2)
}

/// A JSON answer whose connection breaks in its middle.
pub(super) async fn broken(answer: Response) -> Response {
    let broken = std::io::Error::other("the connection breaks on request");
    let chunks = futures::stream::iter([Ok(half(answer).await), Err(broken)]);
    ([("content-type", "application/json")], Body::from_stream(chunks)).into_response()
}
