//! What every answer carries, and the one line that is logged of it.

use std::sync::OnceLock;
use std::time::Instant;

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName};
use axum::middleware::Next;
use axum::response::Response;

/// No script and no style but our own files, nothing from elsewhere, no frame around it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

const HEADERS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
];

/// Adds the headers.
pub(crate) async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

tokio::task_local! {
    /// Who asks, as soon as that is known.
    static ASKER: OnceLock<String>;
}

/// Notes who asks, for the line that is logged of the answer, whatever that is.
pub(crate) fn asked_by(who: &str) {
    // outside of a request nothing is logged
    let _ = ASKER.try_with(|asker| asker.set(who.to_owned()));
}

/// Logs method, path, status and who asked; never the query, a header or a body.
pub(crate) async fn log(request: Request, next: Next) -> Response {
    let (started, method, path) = (Instant::now(), request.method().clone(), request.uri().path().to_owned());
    let (response, who) = with_asker(next.run(request)).await;
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    tracing::info!(http.status = status, http.path = path, who, duration_ms, "{method} {path} {status}");
    response
}

/// An answer, and who it is for; nobody if that is not known.
async fn with_asker<T>(answer: impl Future<Output = T>) -> (T, String) {
    let answer = async {
        let answer = answer.await;
        (answer, ASKER.with(|asker| asker.get().cloned()).unwrap_or_default())
    };
    ASKER.scope(OnceLock::new(), answer).await
}
