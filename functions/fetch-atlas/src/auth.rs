//! The two ways in: an API key pair by HTTP Digest, a service account by OAuth2 client credentials.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cloud::peer::{Call, Fault, Fixed, Login, Peer, PeerError, TokenEndpoint, Tokens};
use cloud::secrets::{Secrets, SecretsError};
use digest_auth::{AuthContext, WwwAuthenticateHeader};
use futures::future::BoxFuture;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// What opens Atlas, and what a person should check if it does not: the service account if there is one, else the key pair.
pub(crate) fn login(secrets: &Secrets, base: &Url) -> Result<(Box<dyn Login>, &'static str), SecretsError> {
    if secrets.get("CLIENT_ID").is_some() {
        let client_id = secrets.require("CLIENT_ID", "the id of the Atlas service account")?;
        let client_secret = secrets.require("CLIENT_SECRET", "the secret of the Atlas service account")?;
        let credentials = "CLIENT_ID and CLIENT_SECRET";
        return Ok((Box::new(tokens(token_url(base), client_id, client_secret, credentials)), credentials));
    }
    let public_key =
        secrets.require("PUBLIC_KEY", "the public key of an Atlas API key (or set CLIENT_ID)")?;
    let private_key = secrets.require("PRIVATE_KEY", "the private key of that Atlas API key")?;
    let digest = Digest { public_key, private_key, challenge: Mutex::new(None) };
    Ok((Box::new(digest), "PUBLIC_KEY and PRIVATE_KEY"))
}

/// Asked for as a form, with id and secret, each encoded, as HTTP Basic (RFC 6749, section 2.3.1).
fn tokens(
    url: Url,
    client_id: SecretString,
    client_secret: SecretString,
    credentials: &'static str,
) -> Tokens {
    let encode = |secret: &SecretString| -> SecretString {
        form_urlencoded::byte_serialize(secret.expose_secret().as_bytes()).collect::<String>().into()
    };
    let basic = Fixed::basic(&encode(&client_id), &encode(&client_secret));
    let endpoint = TokenEndpoint { name: "Atlas", url, address: "ATLAS_API_URL", credentials };
    Tokens::new(endpoint, move |call: Call<'_>| {
        let call = call.form([("grant_type", "client_credentials")]);
        Ok(call.header("authorization", basic.header()))
    })
}

/// `/api/oauth/token` beside `/api/atlas/v2`.
fn token_url(base: &Url) -> Url {
    let mut url = base.clone();
    let prefix = base.path().trim_end_matches('/').trim_end_matches("/api/atlas/v2").to_owned();
    url.set_path(&format!("{prefix}/api/oauth/token"));
    url
}

/// A key pair, and the challenge that the server gave last.
struct Digest {
    public_key: SecretString,
    private_key: SecretString,
    challenge: Mutex<Option<WwwAuthenticateHeader>>,
}

impl Digest {
    fn challenge(&self) -> MutexGuard<'_, Option<WwwAuthenticateHeader>> {
        self.challenge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The header for a GET; nothing before the first challenge.
    fn answer(&self, url: &Url) -> Result<Option<HeaderValue>, PeerError> {
        let mut challenge = self.challenge();
        let Some(challenge) = challenge.as_mut() else { return Ok(None) };
        let uri = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let context =
            AuthContext::new(self.public_key.expose_secret(), self.private_key.expose_secret(), uri.as_str());
        // counts up nc, so the nonce can be used again until the server calls it stale
        let answer = challenge
            .respond(&context)
            .map_err(|error| PeerError::unexpected(url.path(), format!("the Digest challenge: {error}")))?;
        let mut value = HeaderValue::from_str(&answer.to_string()).map_err(|_| {
            let sentence = "PUBLIC_KEY or PRIVATE_KEY has characters that no header can carry";
            PeerError::new(Fault::Credentials, sentence, "check that they were copied whole")
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl Login for Digest {
    fn authorization<'a>(
        &'a self,
        _: &'a Peer,
        url: &'a Url,
    ) -> BoxFuture<'a, Result<Option<HeaderValue>, PeerError>> {
        Box::pin(async { self.answer(url) })
    }

    /// A first challenge, or a nonce that went stale.
    fn refused<'a>(
        &'a self,
        answered: &'a HeaderMap,
        _: Option<&'a HeaderValue>,
        round: usize,
    ) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let offered = answered.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
            let new = offered.filter_map(|text| WwwAuthenticateHeader::parse(text).ok()).next();
            let Some(new) = new.filter(|new| round == 0 || new.stale) else { return false };
            *self.challenge() = Some(new);
            true
        })
    }
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
