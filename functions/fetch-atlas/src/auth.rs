//! The two ways in: an API key pair by HTTP Digest, a service account by OAuth2 client credentials.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine as _;
use cloud::http::send;
use cloud::secrets::{Secrets, SecretsError};
use digest_auth::{AuthContext, WwwAuthenticateHeader};
use reqwest::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::atlas::{body_of, unreachable};
use crate::error::AtlasError;

/// Credentials and what the server last said about them.
pub(crate) enum Auth {
    Digest {
        public_key: SecretString,
        private_key: SecretString,
        challenge: Mutex<Option<WwwAuthenticateHeader>>,
    },
    ServiceAccount {
        client_id: SecretString,
        client_secret: SecretString,
        token_url: Url,
        token: tokio::sync::Mutex<Option<Token>>,
    },
}

/// An access token and when to get another.
pub(crate) struct Token {
    text: SecretString,
    renew_at: Instant,
}

#[derive(Deserialize)]
struct TokenBody {
    access_token: String,
    expires_in: u64,
}

impl Auth {
    /// The service account if there is one, else the key pair.
    pub(crate) fn from_secrets(secrets: &Secrets, base: &Url) -> Result<Self, SecretsError> {
        if secrets.get("CLIENT_ID").is_some() {
            return Ok(Self::ServiceAccount {
                client_id: secrets.require("CLIENT_ID", "the id of the Atlas service account")?,
                client_secret: secrets.require("CLIENT_SECRET", "the secret of the Atlas service account")?,
                token_url: token_url(base),
                token: tokio::sync::Mutex::new(None),
            });
        }
        Ok(Self::Digest {
            public_key: secrets
                .require("PUBLIC_KEY", "the public key of an Atlas API key (or set CLIENT_ID)")?,
            private_key: secrets.require("PRIVATE_KEY", "the private key of that Atlas API key")?,
            challenge: Mutex::new(None),
        })
    }

    /// What a person should check after a 401.
    pub(crate) fn names(&self) -> &'static str {
        match self {
            Self::Digest { .. } => "PUBLIC_KEY and PRIVATE_KEY",
            Self::ServiceAccount { .. } => "CLIENT_ID and CLIENT_SECRET",
        }
    }

    /// The header for a GET of this path and query; nothing before the first challenge.
    pub(crate) async fn header(
        &self,
        http: &reqwest::Client,
        path_and_query: &str,
    ) -> Result<Option<SecretString>, AtlasError> {
        match self {
            Self::Digest { public_key, private_key, challenge } => {
                let mut challenge = challenge.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let Some(challenge) = challenge.as_mut() else { return Ok(None) };
                let context =
                    AuthContext::new(public_key.expose_secret(), private_key.expose_secret(), path_and_query);
                // counts up nc, so the nonce can be used again until the server calls it stale
                let answer = challenge.respond(&context).map_err(|error| AtlasError::Unexpected {
                    path: path_and_query.to_owned(),
                    reason: format!("the Digest challenge: {error}"),
                })?;
                Ok(Some(answer.to_string().into()))
            }
            Self::ServiceAccount { client_id, client_secret, token_url, token } => {
                let mut token = token.lock().await;
                if let Some(token) = token.as_ref().filter(|token| Instant::now() < token.renew_at) {
                    return Ok(Some(bearer(&token.text)));
                }
                let fresh = request_token(http, token_url, client_id, client_secret).await?;
                let header = bearer(&fresh.text);
                *token = Some(fresh);
                Ok(Some(header))
            }
        }
    }

    /// Takes in the 401 to a request that was sent with `used`. Answers whether trying once more makes sense: a
    /// first challenge, a nonce that went stale, a token that was taken back.
    pub(crate) async fn refused(
        &self,
        headers: &HeaderMap,
        used: Option<&SecretString>,
        round: usize,
    ) -> bool {
        match self {
            Self::Digest { challenge, .. } => {
                let offered =
                    headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
                let new = offered.filter_map(|text| WwwAuthenticateHeader::parse(text).ok()).next();
                let Some(new) = new.filter(|new| round == 0 || new.stale) else { return false };
                *challenge.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(new);
                true
            }
            Self::ServiceAccount { token, .. } => {
                let mut token = token.lock().await;
                // another request may have renewed it meanwhile
                let same = |token: &Token| {
                    used.is_some_and(|used| used.expose_secret() == bearer(&token.text).expose_secret())
                };
                if token.as_ref().is_some_and(same) {
                    *token = None;
                }
                round == 0
            }
        }
    }
}

fn bearer(token: &SecretString) -> SecretString {
    format!("Bearer {}", token.expose_secret()).into()
}

/// `/api/oauth/token` beside `/api/atlas/v2`.
fn token_url(base: &Url) -> Url {
    let mut url = base.clone();
    let prefix = base.path().trim_end_matches('/').trim_end_matches("/api/atlas/v2").to_owned();
    url.set_path(&format!("{prefix}/api/oauth/token"));
    url
}

async fn request_token(
    http: &reqwest::Client,
    url: &Url,
    client_id: &SecretString,
    client_secret: &SecretString,
) -> Result<Token, AtlasError> {
    let path = url.path();
    let encode = |secret: &SecretString| -> String {
        form_urlencoded::byte_serialize(secret.expose_secret().as_bytes()).collect()
    };
    let basic = format!("{}:{}", encode(client_id), encode(client_secret));
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(basic));
    let asked = Instant::now();
    let request = http
        .post(url.clone())
        .header(AUTHORIZATION, basic)
        .header("Accept", "application/json")
        .form(&[("grant_type", "client_credentials")]);
    let response = send(request, &[]).await.map_err(|error| unreachable(url, &error))?;
    let status = response.status().as_u16();
    let retry_after = cloud::http::retry_after(response.headers());
    let body = body_of(response, path).await?;
    match status {
        200..300 => {}
        // OAuth2 says 400 or 401 for a client that it does not know
        400 | 401 | 403 => {
            return Err(AtlasError::of_status(path, 401, None, &body, "CLIENT_ID and CLIENT_SECRET"));
        }
        404 => {
            let reason = "there is no token endpoint (404)".to_owned();
            return Err(AtlasError::WrongBase { url: url.origin().ascii_serialization(), reason });
        }
        _ => {
            return Err(AtlasError::of_status(
                path,
                status,
                retry_after,
                &body,
                "CLIENT_ID and CLIENT_SECRET",
            ));
        }
    }
    let body: TokenBody = serde_json::from_slice(&body).map_err(|_| AtlasError::Unexpected {
        path: path.to_owned(),
        reason: "no access_token and expires_in".into(),
    })?;
    let lifetime = Duration::from_secs(body.expires_in.saturating_sub(60).min(24 * 3600));
    Ok(Token { text: body.access_token.into(), renew_at: asked + lifetime })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digest as Atlas wants it, against values computed independently of this implementation.
    #[test]
    fn digest_answers_the_known_challenge() {
        let mut challenge = WwwAuthenticateHeader::parse(
            r#"Digest realm="MMS Public API", domain="", nonce="wK3x0uKqZ2b1Tq0mVn5tqkT9Fq0aS1Pq", algorithm=MD5, qop="auth", stale=false"#,
        )
        .unwrap();
        let uri = "/api/atlas/v2/orgs/4888442a3354817a7320eb61/invoices?itemsPerPage=500&pageNum=1";
        let mut context = AuthContext::new("abcdefgh", "11111111-2222-3333-4444-555555555555", uri);
        context.set_custom_cnonce("0a4f113b");
        let answer = challenge.respond(&context).unwrap();
        assert_eq!(answer.response, "e4ad9cadbed0acd403066a2198df6009");
        assert!(answer.to_string().contains("nc=00000001"));
        assert!(challenge.respond(&context).unwrap().to_string().contains("nc=00000002"));
    }

    #[test]
    fn the_token_endpoint_stands_beside_the_api() {
        let url = |base: &str| token_url(&Url::parse(base).unwrap()).to_string();
        assert_eq!(
            url("https://cloud.mongodb.com/api/atlas/v2"),
            "https://cloud.mongodb.com/api/oauth/token"
        );
        assert_eq!(url("http://127.0.0.1:1/x/api/atlas/v2"), "http://127.0.0.1:1/x/api/oauth/token");
    }
}
