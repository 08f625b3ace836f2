//! Access tokens by client credentials: asked for once, used until a minute before they end.

use std::time::{Duration, Instant};

use cloud::http::{RetryPolicy, read_body, send};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::error::{AzureError, detail};
use crate::wire::{interrupted, longest_wait, path_of, unreachable, with_attempts};

/// A minute before a token ends another one is asked for.
const MARGIN_S: u64 = 60;
const LARGEST_TOKEN_BYTES: usize = 64 * 1024;

/// An app registration.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// `https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token`.
    pub(crate) url: Url,
    pub(crate) client_id: SecretString,
    pub(crate) client_secret: SecretString,
}

/// The tokens of an app registration for one resource.
pub(crate) struct Tokens {
    credentials: Credentials,
    /// The resource with `/.default`.
    scope: String,
    current: Mutex<Option<Token>>,
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

impl Credentials {
    /// Those of a tenant.
    pub(crate) fn new(
        login: &Url,
        tenant: &str,
        client_id: SecretString,
        client_secret: SecretString,
    ) -> Self {
        let mut url = login.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend([tenant, "oauth2", "v2.0", "token"]);
        }
        Self { url, client_id, client_secret }
    }
}

impl Tokens {
    pub(crate) fn new(credentials: Credentials, scope: String) -> Self {
        Self { credentials, scope, current: Mutex::new(None) }
    }

    /// A token that is good for a while.
    pub(crate) async fn token(
        &self,
        http: &reqwest::Client,
        retry: &RetryPolicy,
    ) -> Result<SecretString, AzureError> {
        let mut current = self.current.lock().await;
        if let Some(token) = current.as_ref().filter(|token| Instant::now() < token.renew_at) {
            return Ok(token.text.clone());
        }
        let fresh = with_attempts(retry, || self.request(http)).await?;
        let text = fresh.text.clone();
        *current = Some(fresh);
        Ok(text)
    }

    /// A token that was refused; another request may have renewed it meanwhile.
    pub(crate) async fn refused(&self, used: &SecretString) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|token| token.text.expose_secret() == used.expose_secret()) {
            *current = None;
        }
    }

    async fn request(&self, http: &reqwest::Client) -> Result<Token, AzureError> {
        let Credentials { url, client_id, client_secret } = &self.credentials;
        let form = [
            ("client_id", client_id.expose_secret()),
            ("client_secret", client_secret.expose_secret()),
            ("grant_type", "client_credentials"),
            ("scope", self.scope.as_str()),
        ];
        let asked = Instant::now();
        let sent = send(http.post(url.clone()).form(&form), &[client_secret]).await;
        let response = sent.map_err(|error| unreachable(url, &error))?;
        let (status, wait) = (response.status().as_u16(), longest_wait(response.headers()));
        let path = path_of(url);
        let body =
            read_body(response, LARGEST_TOKEN_BYTES).await.map_err(|error| interrupted(&path, error))?;
        match status {
            200 => {}
            // OAuth2 says 400 or 401 for a client that it does not know, 400 for a tenant that is not there
            400 | 401 | 403 => return Err(AzureError::Credentials { status, detail: detail(&body) }),
            404 => {
                let reason = "there is no token endpoint (404); check AZURE_LOGIN_URL".to_owned();
                return Err(AzureError::Unexpected { path, reason });
            }
            _ => return Err(AzureError::of_status(path, status, wait, &body, "")),
        }
        let body: TokenBody = serde_json::from_slice(&body).map_err(|_| AzureError::Unexpected {
            path,
            reason: "it has no access_token and expires_in".into(),
        })?;
        let lifetime = Duration::from_secs(body.expires_in.saturating_sub(MARGIN_S).min(24 * 3600));
        Ok(Token { text: body.access_token, renew_at: asked + lifetime })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_endpoint_is_the_tenants() {
        let url = |login: &str| {
            let login = Url::parse(login).unwrap();
            Credentials::new(&login, "contoso.example", "id".to_owned().into(), "s".to_owned().into()).url
        };
        assert_eq!(
            url("https://login.microsoftonline.com").as_str(),
            "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"
        );
        assert_eq!(
            url("http://127.0.0.1:1/login").as_str(),
            "http://127.0.0.1:1/login/contoso.example/oauth2/v2.0/token"
        );
    }
}
