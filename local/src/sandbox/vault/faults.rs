//! Answers that fail on request.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::refuse;
use crate::sandbox::faults::AnswerFault;

/// A fault of this sandbox.
pub type VaultFault = AnswerFault<VaultFaultKind>;

/// How an answer fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VaultFaultKind {
    /// This status, with Vault's error document and no `Retry-After`.
    Status(u16),
    /// 429 or 503 with `Retry-After` in seconds.
    RetryAfter(u16, u64),
    /// This text in the error document of a 400.
    Message(String),
    /// The answer comes so many milliseconds late.
    DelayMs(u64),
}

pub(super) async fn apply(kind: VaultFaultKind, answer: Response) -> Response {
    match kind {
        VaultFaultKind::Status(code) => status(code),
        VaultFaultKind::RetryAfter(code, seconds) => {
            let mut response = status(code);
            response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
            response
        }
        VaultFaultKind::Message(text) => refuse(StatusCode::BAD_REQUEST, &text),
        VaultFaultKind::DelayMs(delay_ms) => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            answer
        }
    }
}

fn status(code: u16) -> Response {
    refuse(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), "on request")
}
