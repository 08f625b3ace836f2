//! What opens a peer: nothing more than a header, or a token that is asked for and renewed.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::{Answer, Api, Call, Fault, Peer, PeerError, Verdict};

/// Credentials, and what the server last said about them.
pub trait Login: Send + Sync {
    /// The header `Authorization` for a GET of this URL (other methods need none that names it); none where the server must ask first.
    fn authorization<'a>(
        &'a self,
        peer: &'a Peer,
        url: &'a Url,
    ) -> BoxFuture<'a, Result<Option<HeaderValue>, PeerError>>;

    /// Takes in the 401 to a request that was sent with `used`, the `round`th from 0. Answers whether trying once more makes sense.
    fn refused<'a>(
        &'a self,
        answered: &'a HeaderMap,
        used: Option<&'a HeaderValue>,
        round: usize,
    ) -> BoxFuture<'a, bool>;
}

/// A header that does not change: user and password, or a token that somebody made.
#[derive(Clone, Debug)]
pub struct Fixed(HeaderValue);

impl Fixed {
    /// HTTP Basic.
    #[must_use]
    pub fn basic(user: &SecretString, password: &SecretString) -> Self {
        let pair = format!("{}:{}", user.expose_secret(), password.expose_secret());
        // base64 has only characters that a header can carry
        let header = secret_header("Basic", &STANDARD.encode(pair));
        Self(header.unwrap_or_else(|| HeaderValue::from_static("Basic")))
    }

    /// The header itself.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// A bearer token; none if it has characters that no header can carry.
    #[must_use]
    pub fn bearer(token: &SecretString) -> Option<Self> {
        secret_header("Bearer", token.expose_secret()).map(Self)
    }
}

/// A header that is not shown; none if it has characters that no header can carry.
pub(super) fn secret_header(scheme: &str, credentials: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {credentials}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Login for Fixed {
    fn authorization<'a>(
        &'a self,
        _: &'a Peer,
        _: &'a Url,
    ) -> BoxFuture<'a, Result<Option<HeaderValue>, PeerError>> {
        Box::pin(async { Ok(Some(self.0.clone())) })
    }

    fn refused<'a>(&'a self, _: &'a HeaderMap, _: Option<&'a HeaderValue>, _: usize) -> BoxFuture<'a, bool> {
        Box::pin(async { false })
    }
}

/// A token is renewed that long before it ends; one that lasts less than twice as long is used until it ends.
const MARGIN: Duration = Duration::from_secs(60);
/// How long a token is used whose end is not said.
const UNSAID: u64 = 300;
/// However long the endpoint says that it lasts.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
const LARGEST_TOKEN_BYTES: usize = 64 * 1024;

/// Where tokens come from (OAuth2, RFC 6749).
#[derive(Clone, Debug)]
pub struct TokenEndpoint {
    /// Who gives them.
    pub name: &'static str,
    /// Where.
    pub url: Url,
    /// The variable that says so.
    pub address: &'static str,
    /// What to check if they are refused.
    pub credentials: &'static str,
}

impl Api for TokenEndpoint {
    fn name(&self) -> &'static str {
        self.name
    }

    fn address(&self) -> &'static str {
        self.address
    }

    fn limit_bytes(&self) -> usize {
        LARGEST_TOKEN_BYTES
    }

    /// `{"error": "...", "error_description": "..."}`; what else services say, in their own members. A description goes on with ids of the request.
    fn said(&self, body: &[u8]) -> String {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let description = ["error_description", "detail", "message"].into_iter().find_map(text);
        let description = description.and_then(|text| text.lines().next());
        let parts = [text("error").or(text("errorCode")), description];
        parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
    }

    /// A client that is not known is answered with 400 or 401, and a tenant that is not there with 400.
    fn judge(&self, answer: &Answer) -> Option<Verdict> {
        match answer.status {
            200..300 => None,
            400 => Some(Fault::Credentials.into()),
            403 => Some(Verdict::of_status(401)),
            status => Some(Verdict::of_status(status)),
        }
    }

    fn advice(&self, fault: Fault) -> String {
        match fault {
            Fault::Credentials => format!("check {}", self.credentials),
            Fault::NotFound => format!("there is no token endpoint there, check {}", self.address),
            _ => String::new(),
        }
    }
}

/// Fills in what the endpoint is asked with.
type Ask = dyn Fn(Call<'_>) -> Result<Call<'_>, PeerError> + Send + Sync;

/// Tokens of one endpoint: one at a time, until shortly before it ends or until the peer refuses it.
pub struct Tokens {
    endpoint: TokenEndpoint,
    ask: Box<Ask>,
    kept: Mutex<Option<Token>>,
}

struct Token {
    header: HeaderValue,
    until: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    expires_in: Option<u64>,
}

impl Tokens {
    /// `ask` fills in the request (a POST) each time, and the secrets that its body holds.
    pub fn new(
        endpoint: TokenEndpoint,
        ask: impl Fn(Call<'_>) -> Result<Call<'_>, PeerError> + Send + Sync + 'static,
    ) -> Self {
        Self { endpoint, ask: Box::new(ask), kept: Mutex::new(None) }
    }

    /// A token that is good for a while, as a header.
    ///
    /// # Errors
    /// [`PeerError`], which is of the endpoint.
    pub async fn token(&self, peer: &Peer) -> Result<HeaderValue, PeerError> {
        let mut kept = self.kept.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| Instant::now() < token.until) {
            return Ok(token.header.clone());
        }
        let fresh = self.granted(peer).await.map_err(PeerError::at_login)?;
        let header = fresh.header.clone();
        *kept = Some(fresh);
        Ok(header)
    }

    async fn granted(&self, peer: &Peer) -> Result<Token, PeerError> {
        let asked = Instant::now();
        let call = (self.ask)(Call::post(&self.endpoint, self.endpoint.url.clone()))?;
        let answer = peer.ask_once(&call).await?;
        let unexpected = |reason| PeerError::unexpected(&call.place, reason);
        let granted: Granted =
            serde_json::from_slice(&answer.body).map_err(|_| unexpected("it holds no access token"))?;
        let header = secret_header("Bearer", granted.access_token.expose_secret());
        let header = header.ok_or_else(|| unexpected("the token has characters that no header can carry"))?;
        let lasts = Duration::from_secs(granted.expires_in.unwrap_or(UNSAID)).min(LONGEST);
        let margin = if lasts > MARGIN * 2 { MARGIN } else { Duration::ZERO };
        Ok(Token { header, until: asked + lasts - margin })
    }
}

impl Login for Tokens {
    fn authorization<'a>(
        &'a self,
        peer: &'a Peer,
        _: &'a Url,
    ) -> BoxFuture<'a, Result<Option<HeaderValue>, PeerError>> {
        Box::pin(async { self.token(peer).await.map(Some) })
    }

    /// It may have ended early, and another request may have renewed it meanwhile.
    fn refused<'a>(
        &'a self,
        _: &'a HeaderMap,
        used: Option<&'a HeaderValue>,
        round: usize,
    ) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let mut kept = self.kept.lock().await;
            if kept.as_ref().map(|token| &token.header) == used {
                *kept = None;
            }
            round == 0
        })
    }
}
