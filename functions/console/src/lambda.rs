//! The console on Lambda, and one request as an event, as the Function URL sends it, for `monthend invoke` and for tests.

use axum::Router;
use axum::body::Body;
use axum::middleware::map_response;
use axum::response::Response;
use http_body_util::BodyExt as _;
use lambda_http::request::LambdaRequest;
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

/// Ends the process when an answer breaks off. The runtime would write the error into the answer and end it as if it were whole; a process
/// that dies breaks the stream, which its reader sees, and counts as an error of the function.
pub fn whole_or_nothing(router: Router) -> Router {
    router.layer(map_response(async |response: Response| {
        response.map(|body| {
            Body::new(body.map_err(|error| {
                tracing::error!("an answer broke off, the process ends: {error}");
                std::process::exit(BROKEN_OFF);
                #[expect(unreachable_code, reason = "the type of the error")]
                error
            }))
        })
    }))
}

/// EX_IOERR of sysexits.h.
const BROKEN_OFF: i32 = 74;

/// What goes wrong before there is an answer.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// No event of a Function URL.
    #[error(
        "the event is not understood: {0}; give an event of a Function URL (payload format 2.0), see events/console-*.json"
    )]
    Event(String),
    /// The answer broke off.
    #[error("the answer broke off: {0}")]
    Body(String),
}

/// Answers one event: `{"statusCode", "headers", "cookies", "body"}`.
///
/// # Errors
/// [`InvokeError`].
pub async fn invoke(router: Router, event: &Value) -> Result<Value, InvokeError> {
    let invalid = |error: serde_json::Error| InvokeError::Event(error.to_string());
    let request: LambdaRequest = serde_json::from_str(&event.to_string()).map_err(invalid)?;
    let request = lambda_http::Request::from(request).map(|body| match body {
        lambda_http::Body::Empty => Body::empty(),
        lambda_http::Body::Text(text) => Body::from(text),
        lambda_http::Body::Binary(bytes) => Body::from(bytes),
        _ => Body::empty(),
    });
    let Ok(response) = router.oneshot(request).await;
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.map_err(|error| InvokeError::Body(error.to_string()))?.to_bytes();
    let (mut headers, mut cookies) = (Map::new(), Vec::new());
    for (name, value) in &parts.headers {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        if name == "set-cookie" {
            cookies.push(text);
        } else {
            headers.insert(name.to_string(), json!(text));
        }
    }
    let body = String::from_utf8_lossy(&bytes);
    Ok(json!({"statusCode": parts.status.as_u16(), "headers": headers, "cookies": cookies, "body": body}))
}
