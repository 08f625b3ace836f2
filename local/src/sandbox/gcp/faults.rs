//! How only Google Cloud fails, and the reasons that it says.

use axum::body::to_bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sandbox::faults::status;

/// How only Google Cloud fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GcpFault {
    /// The token endpoint answers with this status and no document.
    Token(u16),
    /// This status and `reason`: `rateLimitExceeded`, `quotaExceeded`, ...
    Reason(u16, String),
    /// This status without any document, as proxies answer.
    NoBody(u16),
    /// The job is not done yet, whatever the answer would be.
    Running,
    /// The job is done and lists errors.
    JobErrors,
    /// The rows of the page are missing.
    LosePage,
    /// The page says that it is the last.
    CutPages,
}

/// An error document whose `reason` is the usual one of its status, and this one of 403.
pub(super) fn refuse(status: StatusCode, forbidden: &str) -> Response {
    let reason = match status.as_u16() {
        400 => "invalidQuery",
        401 => "authError",
        403 => forbidden,
        404 => "notFound",
        500 => "internalError",
        _ => "backendError",
    };
    super::refuse(status.as_u16(), reason, "on request")
}

pub(super) async fn apply(fault: GcpFault, answer: impl Future<Output = Response>) -> Response {
    match fault {
        GcpFault::Token(code) | GcpFault::NoBody(code) => status(code).into_response(),
        GcpFault::Reason(code, reason) => super::refuse(code, &reason, "on request"),
        GcpFault::Running => {
            changed(answer.await, |document| {
                let job = document["jobReference"].take();
                *document = json!({"jobReference": job, "jobComplete": false});
            })
            .await
        }
        GcpFault::JobErrors => {
            let errors = json!([{"reason": "backendError", "message": "on request", "location": "query"}]);
            changed(answer.await, |document| {
                document["jobComplete"] = json!(true);
                document["errors"] = errors;
            })
            .await
        }
        GcpFault::LosePage => changed(answer.await, |document| remove(document, "rows")).await,
        GcpFault::CutPages => changed(answer.await, |document| remove(document, "pageToken")).await,
    }
}

fn remove(document: &mut Value, member: &str) {
    if let Some(members) = document.as_object_mut() {
        members.remove(member);
    }
}

/// The answer with its document changed.
async fn changed(answer: Response, change: impl FnOnce(&mut Value)) -> Response {
    let whole = to_bytes(answer.into_body(), usize::MAX).await.unwrap_or_default();
    let mut document: Value = serde_json::from_slice(&whole).unwrap_or_default();
    change(&mut document);
    axum::Json(document).into_response()
}
