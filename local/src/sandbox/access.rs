//! Who may ask, as far as providers have it in common.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A header as text; nothing without it.
pub(super) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The token that a request carries; an empty one without.
pub(super) fn bearer(headers: &HeaderMap) -> &str {
    header(headers, "authorization").and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default()
}

/// Whether a request comes from that user.
pub(super) fn is_from(headers: &HeaderMap, user: &str, password: &str) -> bool {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    header(headers, "authorization") == Some(format!("Basic {pair}").as_str())
}
