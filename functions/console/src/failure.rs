//! What the API answers when it does not give what was asked for: `{"error": "..."}`.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use cloud::datastores::DatastoresError;
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
    /// There is, and it is asked for in another way: 405.
    Method,
    /// A form that is none, or not of this session.
    Form(StatusCode, &'static str),
    /// What is asked for cannot be had at the moment, for a reason that whoever asks can do something about: 503.
    Busy(String),
    /// It is our fault, or that of something behind us: 500. The reason is logged, not told.
    Internal(String),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<DatastoresError> for Failure {
    fn from(error: DatastoresError) -> Self {
        match error {
            DatastoresError::Contention | DatastoresError::Disk(_) => Self::Busy(error.to_string()),
            error => Self::Internal(error.to_string()),
        }
    }
}

impl Failure {
    /// Its status and what to tell.
    pub(crate) fn parts(&self) -> (StatusCode, String) {
        match self {
            Self::BadRequest(why) => (StatusCode::BAD_REQUEST, why.clone()),
            Self::NotFound => (StatusCode::NOT_FOUND, "there is nothing here".into()),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "this is not asked for with that method".into()),
            Self::Form(status, why) => (*status, (*why).into()),
            Self::Busy(why) => {
                tracing::error!("the console cannot answer: {why}");
                (StatusCode::SERVICE_UNAVAILABLE, why.clone())
            }
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

/// What is there, for other methods: the header `Allow` names them.
pub(crate) async fn method_not_allowed() -> Failure {
    Failure::Method
}

/// Everything that is not there.
pub(crate) async fn not_found() -> Failure {
    Failure::NotFound
}
