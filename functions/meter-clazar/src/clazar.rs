//! Clazar's metering API: a token, and requests whose end is known, or known to be unknown.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloud::aws::Aws;
use cloud::http::{BodyError, RetryPolicy, Transient, base_url, read_body, retry_after, send, shown};
use cloud::secrets::Secrets;
use cloud::vars::Vars;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use url::Url;

use crate::error::ClazarError;
use crate::request::MeteringRequest;

const LARGEST_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// A token is renewed before it ends.
const TOKEN_MARGIN: Duration = Duration::from_secs(60);

/// A client with credentials: what a dry run does not have.
pub(crate) struct Clazar {
    http: reqwest::Client,
    metering: Url,
    authenticate: Url,
    client_id: SecretString,
    client_secret: SecretString,
    retry: RetryPolicy,
    timeout: Duration,
    token: Mutex<Option<Token>>,
    /// Requests and the time they took, for the log.
    requests: AtomicU64,
    latency_ms: AtomicU64,
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    until: Instant,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// The service answered. `ambiguous`: an attempt before this one may have been accepted.
    Answered { status: u16, body: Bytes, ambiguous: bool },
    /// It may have arrived, or not.
    Unknown(ClazarError),
    /// It certainly did nothing.
    NotSent(ClazarError),
}

impl Clazar {
    /// Reads the secrets and builds the client.
    pub(crate) async fn connect(vars: &Vars, aws: &Aws) -> Result<Self, ClazarError> {
        let metering = vars.get("CLAZAR_API_URL").unwrap_or("https://api.clazar.io/metering/");
        let metering = base_url("CLAZAR_API_URL", metering, vars)?;
        let wrong = |reason: url::ParseError| ClazarError::WrongBase {
            url: shown(&metering),
            reason: reason.to_string(),
        };
        // its sibling; both end with a slash, without which the service does not know them
        let authenticate = metering.join("authenticate/").map_err(wrong)?;
        let metering = Url::parse(&format!("{metering}/")).map_err(wrong)?;
        let secrets = Secrets::load(vars, aws, "CLAZAR_SECRET_ARN").await?;
        Ok(Self {
            http: cloud::http::client(vars)?,
            metering,
            authenticate,
            client_id: secrets.require("CLAZAR_CLIENT_ID", "the client id of the Clazar API")?,
            client_secret: secrets.require("CLAZAR_CLIENT_SECRET", "the client secret of the Clazar API")?,
            retry: RetryPolicy::from_vars(vars)?,
            timeout: Duration::from_millis(vars.number("CLAZAR_TIMEOUT_MS", 30_000)?),
            token: Mutex::new(None),
            requests: AtomicU64::new(0),
            latency_ms: AtomicU64::new(0),
        })
    }

    /// Makes sure that there is a token: before anything is recorded as sent.
    pub(crate) async fn authenticate(&self) -> Result<(), ClazarError> {
        self.retry.run(|| self.token(None)).await.map(|_| ())
    }

    /// Requests since the last call, and how long the average one took.
    pub(crate) fn latency(&self) -> (u64, u64) {
        let requests = self.requests.swap(0, Ordering::Relaxed);
        (requests, self.latency_ms.swap(0, Ordering::Relaxed) / requests.max(1))
    }

    /// Sends a request, again after what may pass, and says how it ended.
    pub(crate) async fn submit(&self, request: &MeteringRequest) -> Submitted {
        let maybe_accepted = AtomicBool::new(false);
        let answer = self
            .retry
            .run(async || {
                let answer = self.submit_once(request).await;
                if answer.as_ref().is_err_and(ClazarError::may_be_accepted) {
                    maybe_accepted.store(true, Ordering::Relaxed);
                }
                answer
            })
            .await;
        let ambiguous = maybe_accepted.load(Ordering::Relaxed);
        match answer {
            Ok((status, body)) => Submitted::Answered { status, body, ambiguous },
            Err(error) if ambiguous => Submitted::Unknown(error),
            Err(error) => Submitted::NotSent(error),
        }
    }

    async fn submit_once(&self, request: &MeteringRequest) -> Result<(u16, Bytes), ClazarError> {
        let mut token = self.token(None).await?;
        for renewed in [false, true] {
            let started = Instant::now();
            let sent = self.http.post(self.metering.clone()).header(AUTHORIZATION, token.header.clone());
            let answer = answer(sent.json(request).timeout(self.timeout), &[], &self.metering).await;
            self.requests.fetch_add(1, Ordering::Relaxed);
            let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.latency_ms.fetch_add(took, Ordering::Relaxed);
            let (status, headers, body) = answer?;
            match status {
                StatusCode::UNAUTHORIZED if !renewed => token = self.token(Some(&token)).await?,
                _ => {
                    return ClazarError::of_status(status, retry_after(&headers), &body, &self.metering)
                        .map_or(Ok((status.as_u16(), body)), Err);
                }
            }
        }
        Err(ClazarError::Unauthorized { detail: "the token just given is refused".into() })
    }

    /// The token, asked for if there is none, if it ends, or if it is the one that was refused.
    async fn token(&self, refused: Option<&Token>) -> Result<Token, ClazarError> {
        let mut kept = self.token.lock().await;
        if let Some(token) = kept.as_ref()
            && token.until > Instant::now()
            && refused.is_none_or(|refused| refused.header != token.header)
        {
            return Ok(token.clone());
        }
        let token = self.ask_for_token().await?;
        *kept = Some(token.clone());
        Ok(token)
    }

    async fn ask_for_token(&self) -> Result<Token, ClazarError> {
        #[derive(Deserialize)]
        struct Granted {
            access_token: String,
            #[serde(default)]
            expires_in: Option<u64>,
        }
        let credentials = json!({
            "client_id": self.client_id.expose_secret(),
            "client_secret": self.client_secret.expose_secret(),
        });
        let asked = self.http.post(self.authenticate.clone()).json(&credentials).timeout(self.timeout);
        // asking for a token accepts nothing, however it ends
        let (status, headers, body) = answer(asked, &[&self.client_secret], &self.authenticate)
            .await
            .map_err(ClazarError::before_sending)?;
        if let Some(error) = ClazarError::of_status(status, retry_after(&headers), &body, &self.authenticate)
        {
            return Err(error.before_sending());
        }
        let unusable = || ClazarError::NoToken { url: shown(&self.authenticate) };
        if !status.is_success() {
            return Err(unusable());
        }
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| unusable())?;
        let bearer = format!("Bearer {}", granted.access_token);
        let mut header = HeaderValue::from_str(&bearer).map_err(|_| unusable())?;
        header.set_sensitive(true);
        let lasts = Duration::from_secs(granted.expires_in.unwrap_or(300));
        // one that ends sooner than the margin is used until it is refused
        let margin = if lasts > TOKEN_MARGIN * 2 { TOKEN_MARGIN } else { Duration::ZERO };
        Ok(Token { header, until: Instant::now() + lasts - margin })
    }
}

async fn answer(
    request: reqwest::RequestBuilder,
    in_body: &[&SecretString],
    url: &Url,
) -> Result<(StatusCode, HeaderMap, Bytes), ClazarError> {
    let failed = |error: reqwest::Error| ClazarError::of_call(url, &error);
    let response = send(request, in_body).await.map_err(failed)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = read_body(response, LARGEST_ANSWER_BYTES).await.map_err(|error| match error {
        BodyError::TooLarge { limit_bytes } => ClazarError::TooLarge { url: shown(url), limit_bytes },
        BodyError::Interrupted(error) => failed(error),
    })?;
    Ok((status, headers, body))
}

impl Transient for ClazarError {
    fn is_transient(&self) -> bool {
        match self {
            Self::BeforeSending(error) => error.is_transient(),
            Self::Throttled { .. }
            | Self::Server { .. }
            | Self::Unreachable { .. }
            | Self::Interrupted { .. } => true,
            _ => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::BeforeSending(error) => error.retry_after(),
            Self::Throttled { retry_after, .. } | Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
