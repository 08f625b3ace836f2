//! Tokens of an OpenID Connect issuer, checked against the keys that it publishes.

use std::str::FromStr as _;
use std::time::Duration;

use billing::money::Decimal;
use chrono::{DateTime, TimeDelta, Utc};
use cloud::http::{base_url, read_body, shown};
use cloud::vars::Vars;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reqwest::Method;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use url::Url;

use super::Refusal;
use crate::StartError;

/// Only algorithms whose keys an issuer can publish.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// The issuer's keys are kept so long.
const FRESH_FOR: TimeDelta = TimeDelta::minutes(10);
/// A token with an unknown key makes us ask the issuer again, but not more often than this.
const ASK_AGAIN_AFTER: TimeDelta = TimeDelta::seconds(30);
/// Clocks may differ by this.
const LEEWAY_S: i64 = 60;
const LARGEST_KEYS_BYTES: usize = 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(5);

/// Whose tokens are accepted.
pub(crate) struct Bearer {
    issuer: String,
    audience: String,
    keys_url: Url,
    roles_claim: String,
    admin_role: String,
    http: cloud::http::Client,
    known: Mutex<Option<(DateTime<Utc>, JwkSet)>>,
}

impl Bearer {
    /// From the variables, see the crate; nothing without an issuer.
    pub(crate) fn from_vars(vars: &Vars) -> Result<Option<Self>, StartError> {
        let Some(issuer) = vars.get("OIDC_ISSUER") else { return Ok(None) };
        let audience =
            vars.require("OIDC_AUDIENCE", "the audience of the tokens, usually the client's id")?;
        let default_keys = format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/'));
        let text = |name, default: &str| vars.get(name).unwrap_or(default).to_owned();
        Ok(Some(Self {
            keys_url: base_url("OIDC_JWKS_URL", &text("OIDC_JWKS_URL", &default_keys), vars)?,
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            roles_claim: text("OIDC_ROLES_CLAIM", "roles"),
            admin_role: text("OIDC_ADMIN_ROLE", "admin"),
            http: cloud::http::client(vars)?,
            known: Mutex::new(None),
        }))
    }

    /// The subject of a token, if the issuer signed it for us, it is in force, and it has the role of an admin.
    pub(crate) async fn check(&self, token: &str, now: DateTime<Utc>) -> Result<String, Refusal> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::Wrong)?;
        // no extension of a token's signature is understood here, so none may be critical
        if !ALGORITHMS.contains(&header.alg) || header.crit.is_some() {
            return Err(Refusal::Wrong);
        }
        let key = self.key(header.kid.as_deref(), now).await?;
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[&self.audience]);
        validation.set_issuer(&[&self.issuer]);
        // `exp` is required, too, below: the library takes none with decimals, and compares with a clock of its own
        validation.set_required_spec_claims(&["aud", "iss", "sub"]);
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation);
        let claims = claims.map_err(|_| Refusal::Wrong)?.claims;
        if !is_in_force(&claims, now) {
            return Err(Refusal::Wrong);
        }
        if !self.is_admin(&claims) {
            return Err(Refusal::NotAdmin);
        }
        claims.get("sub").and_then(Value::as_str).map(str::to_owned).ok_or(Refusal::Wrong)
    }

    /// The roles are a list of texts, or one text with spaces between them.
    fn is_admin(&self, claims: &Map<String, Value>) -> bool {
        match claims.get(&self.roles_claim) {
            Some(Value::Array(roles)) => roles.iter().any(|role| role == self.admin_role.as_str()),
            Some(Value::String(roles)) => roles.split_whitespace().any(|role| role == self.admin_role),
            _ => false,
        }
    }

    /// The issuer's key of that id; without an id, its only one.
    async fn key(&self, id: Option<&str>, now: DateTime<Utc>) -> Result<DecodingKey, Refusal> {
        let mut known = self.known.lock().await;
        let age = known.as_ref().map(|(since, _)| (now - *since).abs());
        let found = known.as_ref().and_then(|(_, keys)| find(keys, id));
        let is_fresh = match (&found, age) {
            (Some(_), Some(age)) => age < FRESH_FOR,
            (None, Some(age)) => age < ASK_AGAIN_AFTER,
            (_, None) => false,
        };
        let found = if is_fresh {
            found
        } else {
            let keys = self.fetch().await.map_err(|error| {
                let url = shown(&self.keys_url);
                tracing::error!("the keys of the token's issuer cannot be read at {url}: {error}");
                Refusal::Unavailable
            })?;
            let found = find(&keys, id);
            *known = Some((now, keys));
            found
        };
        found.ok_or(Refusal::Wrong)
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let request = self.http.request(Method::GET, self.keys_url.clone()).timeout(TIMEOUT);
        let response = self.http.send(request, &[]).await.map_err(|error| error.to_string())?;
        if response.status().as_u16() != 200 {
            return Err(format!("it answers {}", response.status()));
        }
        let body = read_body(response, LARGEST_KEYS_BYTES).await.map_err(|error| error.to_string())?;
        // a key of a kind that we do not know must not spoil the others
        let document: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or("the answer is no set of keys")?;
        Ok(JwkSet { keys: keys.iter().filter_map(|key| serde_json::from_value(key.clone()).ok()).collect() })
    }
}

/// Whether a token has not expired and may be used already. Without an end, or with times that are no numbers, it is none.
fn is_in_force(claims: &Map<String, Value>, now: DateTime<Utc>) -> bool {
    let (now_s, leeway_s) = (Decimal::new(now.timestamp_millis(), 3), Decimal::from(LEEWAY_S));
    let expires_s = claims.get("exp").and_then(seconds);
    let has_begun = match claims.get("nbf") {
        None | Some(Value::Null) => true,
        Some(from) => seconds(from).is_some_and(|from_s| from_s.saturating_sub(leeway_s) <= now_s),
    };
    has_begun && expires_s.is_some_and(|expires_s| expires_s.saturating_add(leeway_s) > now_s)
}

/// A time of a token: seconds since 1970, which may have decimals and an exponent.
fn seconds(value: &Value) -> Option<Decimal> {
    let text = value.as_number()?.to_string();
    Decimal::from_str(&text).or_else(|_| Decimal::from_scientific(&text)).ok()
}

fn find(keys: &JwkSet, id: Option<&str>) -> Option<DecodingKey> {
    let key = match (id, keys.keys.as_slice()) {
        (Some(id), _) => keys.find(id)?,
        (None, [only]) => only,
        (None, _) => return None,
    };
    DecodingKey::from_jwk(key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_token_may_have_decimals() {
        let now: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap(); // 1767225600
        let in_force = |claims: &str| is_in_force(&serde_json::from_str(claims).unwrap(), now);
        for claims in [
            r#"{"exp": 1767225600}"#,
            r#"{"exp": 1767225540.5}"#,
            r#"{"exp": 1.7672256005e9, "nbf": 17672256.0025E+2, "iat": 1767225599.999}"#,
            r#"{"exp": 1767225600.1234567890123456789012345678901234, "nbf": 1767225660.0}"#,
            r#"{"exp": 9223372036854775807, "nbf": -9223372036854775808}"#,
            r#"{"exp": 79228162514264337593543950335, "nbf": null}"#,
        ] {
            assert!(in_force(claims), "{claims}");
        }
        for claims in [
            r#"{}"#,
            r#"{"exp": null}"#,
            r#"{"exp": "1767225600"}"#,
            r#"{"exp": 1767225540}"#,
            r#"{"exp": 1767225539.999}"#,
            r#"{"exp": 1.7672255e9}"#,
            r#"{"exp": -1e3}"#,
            r#"{"exp": 1767225600, "nbf": 1767225660.001}"#,
            r#"{"exp": 1767225600, "nbf": "soon"}"#,
        ] {
            assert!(!in_force(claims), "{claims}");
        }
    }
}
