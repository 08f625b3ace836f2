//! A signed-in session: a token of our own in a cookie. Nothing is kept on the server; changing the password changes the key, and so ends
//! every session.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rand::RngCore as _;
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

/// The cookie of a session. The prefix makes browsers insist on Secure, the path / and this very host.
pub(crate) const SESSION_COOKIE: &str = "__Host-monthend";
/// The cookie that proves that a sign-in form came from us.
pub(crate) const FORM_COOKIE: &str = "__Host-monthend-form";
/// How long a session lasts.
pub(crate) const SESSION_S: i64 = 8 * 60 * 60;

/// Who is signed in, until when, and the token that forms of this session carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    #[serde(rename = "sub")]
    pub(crate) user: String,
    #[serde(rename = "exp")]
    pub(crate) until_s: i64,
    pub(crate) csrf: String,
}

impl Session {
    pub(crate) fn new(user: &str, now: DateTime<Utc>) -> Self {
        Self { user: user.to_owned(), until_s: now.timestamp() + SESSION_S, csrf: random_token() }
    }

    /// The signed token; nothing if it cannot be made.
    pub(crate) fn sign(&self, key: &SecretSlice<u8>) -> Option<String> {
        let key = EncodingKey::from_secret(key.expose_secret());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), self, &key).ok()
    }

    /// The session that a token is, if we signed it and it is not over.
    pub(crate) fn verify(token: &str, key: &SecretSlice<u8>, now: DateTime<Utc>) -> Option<Self> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false; // by the time of the request, below
        validation.validate_aud = false;
        let key = DecodingKey::from_secret(key.expose_secret());
        let session = jsonwebtoken::decode::<Self>(token, &key, &validation).ok()?.claims;
        (now.timestamp() < session.until_s).then_some(session)
    }
}

/// 256 bits that nobody can guess, as text.
pub(crate) fn random_token() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whether two tokens are the same, in constant time; an empty one is none.
pub(crate) fn same_token(one: &str, other: &str) -> bool {
    !one.is_empty() && bool::from(one.as_bytes().ct_eq(other.as_bytes()))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_session_ends_after_eight_hours_and_with_its_key() {
        let (now, key) =
            ("2026-11-02T06:00:00Z".parse::<DateTime<Utc>>().unwrap(), SecretSlice::from(vec![7; 32]));
        let session = Session::new("admin", now);
        let token = session.sign(&key).unwrap();
        let last = now + TimeDelta::seconds(SESSION_S - 1);
        assert_eq!(Session::verify(&token, &key, last), Some(session.clone()));
        assert_eq!(Session::verify(&token, &key, last + TimeDelta::seconds(1)), None);
        assert_eq!(Session::verify(&token, &SecretSlice::from(vec![8; 32]), now), None);
        assert_eq!(Session::verify(&token[1..], &key, now), None);
        // a token without a signature, or with another algorithm, is none
        let (_, payload) = token.split_once('.').unwrap();
        let (payload, signature) = payload.split_once('.').unwrap();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        assert_eq!(Session::verify(&format!("{none}.{payload}."), &key, now), None);
        assert_eq!(Session::verify(&format!("{none}.{payload}.{signature}"), &key, now), None);
        assert_ne!(session.csrf, Session::new("admin", now).csrf);
    }

    #[test]
    fn tokens_are_compared_whole() {
        assert!(same_token("abc", "abc"));
        for (one, other) in [("abc", "abd"), ("abc", "ab"), ("", "")] {
            assert!(!same_token(one, other));
        }
    }
}
