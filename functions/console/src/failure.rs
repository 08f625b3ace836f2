//! What the API answers when it does not give what was asked for: `{"error": "..."}`.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::auth::Refusal;

const CHALLENGES: &str = "Basic realm=\"monthend\", charset=\"UTF-8\", Bearer realm=\"monthend\"";

/// An answer that is none.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The request is wrong: 400.
    BadRequest(String),
    /// Who asks may not: 401, 403, 429, or 503 if that cannot be told.
    Refused(Refusal),
    /// There is no such page: 404.
    NotFound,
    /// It is our fault, or that of something behind us: 500. The reason is logged, not told.
    Internal(String),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Failure {
    /// Its status and what to tell.
    pub(crate) fn parts(&self) -> (StatusCode, String) {
        match self {
            Self::BadRequest(why) => (StatusCode::BAD_REQUEST, why.clone()),
            Self::NotFound => (StatusCode::NOT_FOUND, "there is nothing here".into()),
            Self::Refused(refusal) => (refusal.status(), refusal.to_string()),
            Self::Internal(why) => {
                tracing::error!("the console failed: {why}");
                let told = "the report cannot be made just now; the log says why, try again";
                (StatusCode::INTERNAL_SERVER_ERROR, told.into())
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, error) = self.parts();
        let mut response = (status, Json(json!({"error": error}))).into_response();
        let headers = response.headers_mut();
        match self {
            Self::Refused(Refusal::Missing | Refusal::Wrong) => {
                // one header: a Function URL takes no second of the same name
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGES));
            }
            Self::Refused(Refusal::Throttled { retry_after_s }) => {
                headers.insert(RETRY_AFTER, retry_after_s.into());
            }
            _ => {}
        }
        response
    }
}

/// Everything that is not there.
pub(crate) async fn not_found() -> Failure {
    Failure::NotFound
}
