//! Clazar's metering API: a token, and requests whose end is known, or known to be unknown.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloud::aws::Aws;
use cloud::http::{base_url, shown};
use cloud::peer::{Call, Peer, PeerError, TokenEndpoint, Tokens};
use cloud::secrets::Secrets;
use cloud::vars::Vars;
use secrecy::ExposeSecret;
use serde_json::json;
use url::Url;

use crate::error::{CREDENTIALS, ClazarApi, ClazarError};
use crate::request::MeteringRequest;

/// A client with credentials: what a dry run does not have.
pub(crate) struct Clazar {
    peer: Peer,
    metering: Url,
    tokens: Tokens,
    timeout: Duration,
    /// Requests and the time they took, for the log.
    requests: AtomicU64,
    latency_ms: AtomicU64,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// The service answered. `ambiguous`: an attempt before this one may have been accepted.
    Answered { status: u16, body: Bytes, ambiguous: bool },
    /// It may have arrived, or not.
    Unknown(PeerError),
    /// It certainly did nothing.
    NotSent(PeerError),
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
        let client_id = secrets.require("CLAZAR_CLIENT_ID", "the client id of the Clazar API")?;
        let client_secret = secrets.require("CLAZAR_CLIENT_SECRET", "the client secret of the Clazar API")?;
        let timeout = Duration::from_millis(vars.number("CLAZAR_TIMEOUT_MS", 30_000)?);
        let (name, address, credentials) = ("Clazar", "CLAZAR_API_URL", CREDENTIALS);
        let endpoint = TokenEndpoint { name, url: authenticate, address, credentials };
        let tokens = Tokens::new(endpoint, move |call: Call<'_>| {
            let (id, secret) = (client_id.expose_secret(), client_secret.expose_secret());
            let call = call.json(&json!({"client_id": id, "client_secret": secret}));
            Ok(call.hiding([&client_secret]).within(timeout))
        });
        Ok(Self {
            peer: Peer::from_vars(vars)?,
            metering,
            tokens,
            timeout,
            requests: AtomicU64::new(0),
            latency_ms: AtomicU64::new(0),
        })
    }

    /// Makes sure that there is a token: before anything is recorded as sent.
    pub(crate) async fn authenticate(&self) -> Result<(), ClazarError> {
        self.peer.attempts(|| self.tokens.token(&self.peer)).await?;
        Ok(())
    }

    /// Requests since the last call, and how long the average one took.
    pub(crate) fn latency(&self) -> (u64, u64) {
        let requests = self.requests.swap(0, Ordering::Relaxed);
        (requests, self.latency_ms.swap(0, Ordering::Relaxed) / requests.max(1))
    }

    /// Sends a request, again after what may pass, and says how it ended.
    pub(crate) async fn submit(&self, request: &MeteringRequest) -> Submitted {
        let call = Call::post(&ClazarApi, self.metering.clone()).named(shown(&self.metering));
        let call = call.json(request).with(&self.tokens).within(self.timeout);
        let maybe_accepted = AtomicBool::new(false);
        let attempt = async || {
            let started = Instant::now();
            let answer = self.peer.ask_once(&call).await;
            self.requests.fetch_add(1, Ordering::Relaxed);
            let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.latency_ms.fetch_add(took, Ordering::Relaxed);
            if answer.as_ref().is_err_and(PeerError::may_be_done) {
                maybe_accepted.store(true, Ordering::Relaxed);
            }
            answer
        };
        let answer = self.peer.attempts(attempt).await;
        let ambiguous = maybe_accepted.load(Ordering::Relaxed);
        match answer {
            Ok(answer) => Submitted::Answered { status: answer.status, body: answer.body, ambiguous },
            Err(error) if ambiguous => Submitted::Unknown(error),
            Err(error) => Submitted::NotSent(error),
        }
    }
}
