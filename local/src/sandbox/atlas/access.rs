//! Who may ask: HTTP Digest with nonces that wear out, bearer tokens, a token bucket.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use digest_auth::{AuthContext, AuthorizationHeader};
use serde_json::json;

use super::error;
use crate::sandbox::access::{bearer, header, is_from};
use crate::sandbox::ids::id_of;
use crate::sandbox::{ATLAS_CREDENTIALS, ATLAS_SERVICE_ACCOUNT};

const REALM: &str = "MMS Public API";

#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) nonce_uses: u32,
    pub(super) forbidden: bool,
    /// Counts seen for each nonce given out.
    nonces: HashMap<String, HashSet<u32>>,
    tokens: HashSet<String>,
    /// How many nonces and tokens were given out: each is another.
    given: u64,
    bucket: Option<Bucket>,
}

#[derive(Clone, Debug)]
struct Bucket {
    capacity: u32,
    left: f64,
    filled_at: Instant,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            nonce_uses: 1_000,
            forbidden: false,
            nonces: HashMap::new(),
            tokens: HashSet::new(),
            given: 0,
            bucket: None,
        }
    }
}

impl Access {
    pub(super) fn revoke_tokens(&mut self) {
        self.tokens.clear();
    }

    pub(super) fn limit(&mut self, capacity: u32) {
        self.bucket = Some(Bucket { capacity, left: f64::from(capacity), filled_at: Instant::now() });
    }

    /// Nothing if the request may pass.
    pub(super) fn check(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        let refusal = match header(headers, "authorization") {
            Some(text) if text.starts_with("Digest ") => self.check_digest(method, uri, text),
            _ => (!self.tokens.contains(bearer(headers))).then(|| self.challenge(false)),
        };
        refusal
            .or_else(|| {
                self.forbidden.then(|| {
                    error(
                        StatusCode::FORBIDDEN,
                        "USER_UNAUTHORIZED",
                        "The current user is not authorized to perform this action.",
                    )
                })
            })
            .or_else(|| self.throttle())
    }

    fn check_digest(&mut self, method: &Method, uri: &Uri, text: &str) -> Option<Response> {
        let Ok(mut answer) = AuthorizationHeader::parse(text) else { return Some(self.challenge(false)) };
        let [(_, public_key), (_, private_key), _] = ATLAS_CREDENTIALS;
        let asked = uri.path_and_query().map_or(uri.path(), |path| path.as_str());
        let context = AuthContext::new_with_method(
            public_key,
            private_key,
            asked,
            None::<&[u8]>,
            method.as_str().into(),
        );
        let given = answer.response.clone();
        answer.digest(&context);
        if answer.uri != asked
            || answer.username != public_key
            || answer.response != given
            || answer.realm != REALM
        {
            return Some(self.challenge(false));
        }
        let uses = self.nonce_uses;
        let Some(seen) = self.nonces.get_mut(&answer.nonce) else { return Some(self.challenge(true)) };
        if !seen.insert(answer.nc) {
            return Some(self.challenge(false)); // a count seen before is a replay
        }
        if u32::try_from(seen.len()).unwrap_or(u32::MAX) > uses {
            self.nonces.remove(&answer.nonce);
            return Some(self.challenge(true));
        }
        None
    }

    fn challenge(&mut self, stale: bool) -> Response {
        let nonce = self.next("nonce");
        self.nonces.insert(nonce.clone(), HashSet::new());
        let challenge = format!(
            "Digest realm=\"{REALM}\", domain=\"\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\", stale={stale}"
        );
        let mut response =
            error(StatusCode::UNAUTHORIZED, "USER_UNAUTHORIZED", "You are not authorized for this resource.");
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            response.headers_mut().insert("www-authenticate", challenge);
        }
        response
    }

    #[expect(clippy::float_arithmetic, reason = "a rate of requests, not money")]
    fn throttle(&mut self) -> Option<Response> {
        let bucket = self.bucket.as_mut()?;
        let now = Instant::now();
        bucket.left = (bucket.left + now.duration_since(bucket.filled_at).as_secs_f64())
            .min(f64::from(bucket.capacity));
        bucket.filled_at = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return None;
        }
        let body = json!({
            "detail": "Rate limit exceeded for api/atlas/v2/orgs. Please retry after 1 seconds.",
            "error": 429,
            "errorCode": "RATE_LIMITED_TOKEN_BUCKET",
            "parameters": ["api/atlas/v2/orgs", 1, bucket.capacity, 1, 1],
            "reason": "Too Many Requests",
        });
        let headers = [("retry-after", "1".to_owned()), ("ratelimit-limit", bucket.capacity.to_string())];
        Some((StatusCode::TOO_MANY_REQUESTS, headers, axum::Json(body)).into_response())
    }

    fn next(&mut self, kind: &str) -> String {
        self.given += 1;
        id_of(&[kind, &self.given.to_string()])
    }

    /// OAuth2 client credentials.
    pub(super) fn token(&mut self, headers: &HeaderMap, body: &str) -> Response {
        let [(_, id), (_, secret)] = ATLAS_SERVICE_ACCOUNT;
        let encode = |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
        if !is_from(headers, &encode(id), &encode(secret)) || body != "grant_type=client_credentials" {
            let body = json!({"error": "invalid_client", "error_description": "The client credentials are invalid."});
            return (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response();
        }
        let token = self.next("token");
        self.tokens.insert(token.clone());
        axum::Json(json!({"access_token": token, "expires_in": 3600, "token_type": "Bearer"})).into_response()
    }
}
