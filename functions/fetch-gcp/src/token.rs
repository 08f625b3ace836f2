//! Access tokens: one at a time, until shortly before it ends or until BigQuery refuses it.

use std::time::{Duration, Instant};

use chrono::Utc;
use cloud::http::send;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::error::GcpError;
use crate::http::{Wire, body_of};
use crate::key::ServiceAccountKey;

/// A token is renewed that long before it ends.
const MARGIN_S: u64 = 60;
/// However long the endpoint says that it lasts.
const LONGEST_S: u64 = 24 * 3600;

/// Where tokens come from.
pub(crate) struct Tokens {
    wire: Wire,
    key: ServiceAccountKey,
    url: Url,
    token: tokio::sync::Mutex<Option<Token>>,
}

struct Token {
    text: SecretString,
    renew_at: Instant,
}

#[derive(Deserialize)]
struct TokenBody {
    access_token: SecretString,
    expires_in: u64,
}

impl Tokens {
    pub(crate) fn new(wire: Wire, key: ServiceAccountKey, url: Url) -> Self {
        Self { wire, key, url, token: tokio::sync::Mutex::new(None) }
    }

    /// A token that still lasts.
    pub(crate) async fn get(&self) -> Result<SecretString, GcpError> {
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_ref().filter(|token| Instant::now() < token.renew_at) {
            return Ok(token.text.clone());
        }
        let fresh = self.request().await?;
        let text = fresh.text.clone();
        *token = Some(fresh);
        Ok(text)
    }

    /// Takes in that a token was refused: the next one is a new one.
    pub(crate) async fn refused(&self, used: &SecretString) {
        let mut token = self.token.lock().await;
        if token.as_ref().is_some_and(|token| token.text.expose_secret() == used.expose_secret()) {
            *token = None;
        }
    }

    async fn request(&self) -> Result<Token, GcpError> {
        let path = self.url.path();
        // whoever checks it goes by the clock, not by the time of the schedule
        let assertion = self.key.assertion(Utc::now())?;
        let asked = Instant::now();
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion.expose_secret()),
        ];
        let response = send(self.wire.client.post(self.url.clone()).form(&form), &[&assertion]).await;
        let (status, wait, body) = body_of(response, &self.url).await?;
        if status != 200 {
            return Err(GcpError::of_token_status(path, status, wait, &body));
        }
        let body: TokenBody = serde_json::from_slice(&body).map_err(|_| GcpError::Unexpected {
            path: path.to_owned(),
            reason: "no access_token and expires_in".into(),
        })?;
        let lifetime = Duration::from_secs(body.expires_in.saturating_sub(MARGIN_S).min(LONGEST_S));
        Ok(Token { text: body.access_token, renew_at: asked + lifetime })
    }
}
