//! Who may ask: assertions signed by the service account's key, and the tokens given for them.

use std::collections::HashSet;
use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::KeyPair as _;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sandbox::ids::id_of;

const CLIENT_EMAIL: &str = "monthend@billing-proj.iam.gserviceaccount.com";
const KEY_ID: &str = "5f0b9a7cc1d24e8691f3a0d2b7c4e6a8f1029384";
/// Whom assertions are for, wherever the sandbox listens: what the key file says.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const SCOPE: &str = "https://www.googleapis.com/auth/bigquery";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const LONGEST_ASSERTION_S: i64 = 3600;

#[derive(Clone, Debug)]
pub(super) struct Access {
    /// What is said of a token's life.
    pub(super) lifetime_s: u64,
    tokens: HashSet<String>,
    given: u64,
}

impl Default for Access {
    fn default() -> Self {
        Self { lifetime_s: 3599, tokens: HashSet::new(), given: 0 }
    }
}

/// The service account's key: one for this process, made when it is first needed, and never written down.
struct ServiceAccount {
    private_key: String,
    modulus: String,
    exponent: String,
}

fn service_account() -> Option<&'static ServiceAccount> {
    static ACCOUNT: OnceLock<Option<ServiceAccount>> = OnceLock::new();
    let make = || {
        let pair = KeyPair::generate(KeySize::Rsa2048).ok()?;
        let der: Pkcs8V1Der<'_> = pair.as_der().ok()?;
        let base64 = STANDARD.encode(der.as_ref());
        let mut private_key = String::from("-----BEGIN PRIVATE KEY-----\n");
        for line in base64.as_bytes().chunks(64) {
            private_key.push_str(&String::from_utf8_lossy(line));
            private_key.push('\n');
        }
        private_key.push_str("-----END PRIVATE KEY-----\n");
        let public: PublicKeyComponents<Vec<u8>> = pair.public_key().into();
        let [modulus, exponent] = [public.n, public.e].map(|part| URL_SAFE_NO_PAD.encode(part));
        Some(ServiceAccount { private_key, modulus, exponent })
    };
    ACCOUNT.get_or_init(make).as_ref()
}

/// The key file as Google lets it be downloaded.
pub(super) fn key_file() -> Value {
    let private_key = service_account().map(|account| account.private_key.as_str());
    json!({
        "type": "service_account",
        "project_id": super::GCP_PROJECT,
        "private_key_id": KEY_ID,
        "private_key": private_key,
        "client_email": CLIENT_EMAIL,
        "client_id": "117493625018364920153",
        "token_uri": TOKEN_URI,
    })
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    scope: String,
    iat: i64,
    exp: i64,
}

impl Access {
    pub(super) fn revoke_tokens(&mut self) {
        self.tokens.clear();
    }

    /// Whether a token was given out.
    pub(super) fn knows(&self, token: &str) -> bool {
        self.tokens.contains(token)
    }

    /// The token endpoint, RFC 7523.
    pub(super) fn token(&mut self, body: &str) -> Response {
        let field = |name: &str| {
            form_urlencoded::parse(body.as_bytes()).find(|(field, _)| field == name).map(|(_, value)| value)
        };
        if field("grant_type").as_deref() != Some(GRANT_TYPE) {
            return refuse("unsupported_grant_type", "Invalid grant_type");
        }
        match check_assertion(&field("assertion").unwrap_or_default()) {
            Ok(()) => {
                self.given += 1;
                let token = format!("ya29.{}", id_of(&[CLIENT_EMAIL, &self.given.to_string()]));
                self.tokens.insert(token.clone());
                let lifetime_s = self.lifetime_s;
                axum::Json(json!({"access_token": token, "expires_in": lifetime_s, "token_type": "Bearer"}))
                    .into_response()
            }
            Err((error, description)) => refuse(error, description),
        }
    }
}

fn check_assertion(assertion: &str) -> Result<(), (&'static str, &'static str)> {
    let signature = ("invalid_grant", "Invalid JWT Signature.");
    let account = service_account().ok_or(signature)?;
    let key = DecodingKey::from_rsa_components(&account.modulus, &account.exponent).map_err(|_| signature)?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[TOKEN_URI]);
    let token = jsonwebtoken::decode::<Claims>(assertion, &key, &validation).map_err(|error| {
        use jsonwebtoken::errors::ErrorKind;
        match error.kind() {
            ErrorKind::InvalidSignature => signature,
            ErrorKind::ExpiredSignature => (
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
            ),
            ErrorKind::InvalidAudience => ("invalid_grant", "Invalid JWT: Failed audience check."),
            _ => ("invalid_grant", "Invalid JWT."),
        }
    })?;
    let Claims { iss, scope, iat, exp } = token.claims;
    if iss != CLIENT_EMAIL || token.header.kid.as_deref() != Some(KEY_ID) {
        return Err(("invalid_grant", "Invalid grant: account not found"));
    }
    if scope != SCOPE {
        return Err(("invalid_scope", "Invalid OAuth scope or ID token audience provided."));
    }
    if !(0..=LONGEST_ASSERTION_S).contains(&(exp - iat)) {
        return Err(("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes)."));
    }
    Ok(())
}

fn refuse(error: &str, description: &str) -> Response {
    let body = json!({"error": error, "error_description": description});
    (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
}
