//! How only Clazar fails.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::Clazar;
use crate::sandbox::faults::broken;
use crate::sandbox::provider::Provider;

/// How only Clazar fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClazarFault {
    /// So many milliseconds later, 504: nothing was done.
    DelayBeforeMs(u64),
    /// Nothing is done; the connection breaks without an answer.
    DropBefore,
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

pub(super) async fn apply(fault: ClazarFault, answer: impl Future<Output = Response>) -> Response {
    match fault {
        ClazarFault::DelayBeforeMs(delay_ms) => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            Clazar::refuse(StatusCode::GATEWAY_TIMEOUT)
        }
        ClazarFault::DropBefore => broken(None).into_response(),
        ClazarFault::Message(message) => Json(json!({"status": "error", "message": message})).into_response(),
        // the records themselves are up to `metering`
        _ => answer.await,
    }
}
