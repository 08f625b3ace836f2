//! HTTPS to providers: one client per process, answers up to a bound, and retries of what may pass.

mod address;
mod answer;
mod call;
mod client;

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder, Retryable as _};
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::vars::{VarError, Vars};

pub use address::{InvalidBaseUrl, base_url, shown};
pub use answer::{BodyError, Content, content_type, innermost_cause, read_body, retry_after, was_never_sent};
pub use client::{BoxError, Client, Reply, SendError, Service};

pub(crate) use address::has_user_information;

/// A client with time-outs and without redirects (credentials must not follow one).
///
/// | variable | meaning |
/// |---|---|
/// | `HTTP_CONNECT_TIMEOUT_MS` | default 10000 |
/// | `HTTP_READ_TIMEOUT_MS` | longest silence within a response, default 60000 |
///
/// # Errors
/// [`ClientError`] if a number is none or there is no TLS.
pub fn client(vars: &Vars) -> Result<Client, ClientError> {
    Ok(Client::new(client_builder(vars)?.tls_backend_preconfigured(tls()?).build()?, vars)?)
}

/// How servers prove who they are: by the certificates of this machine, which are read once, by whoever is first.
fn tls() -> Result<ClientConfig, rustls::Error> {
    static READ: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(read) = READ.get() {
        return Ok(read.clone());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let read = config.with_platform_verifier()?.with_no_client_auth();
    Ok(READ.get_or_init(|| read).clone())
}

/// Such a client, for whom it takes more.
pub(crate) fn client_builder(vars: &Vars) -> Result<reqwest::ClientBuilder, VarError> {
    Ok(reqwest::Client::builder()
        .user_agent(billing::SOFTWARE.replace(' ', "/"))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_millis(vars.number("HTTP_CONNECT_TIMEOUT_MS", 10_000)?))
        .read_timeout(longest_silence(vars)?))
}

fn longest_silence(vars: &Vars) -> Result<Duration, VarError> {
    vars.number("HTTP_READ_TIMEOUT_MS", 60_000).map(Duration::from_millis)
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum ClientError {
    #[error(transparent)]
    Var(#[from] VarError),
    #[error("failed to build the HTTP client: {0}")]
    Build(#[from] reqwest::Error),
    #[error("failed to build the HTTP client: {0}")]
    Tls(#[from] rustls::Error),
}

/// How often and how long to try.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    attempts: usize,
    base: Duration,
}

/// If the peer asks for a longer wait, it is not tried again here: the invocation's time would be gone, and its
/// own retry comes later anyway.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// After that long nothing is tried again, so that there is time left to report.
const LONGEST_CALL: Duration = Duration::from_secs(300);

impl RetryPolicy {
    /// `HTTP_ATTEMPTS` (default 5) attempts; `HTTP_BACKOFF_MS` (default 10000) before the second, doubling, with jitter.
    ///
    /// # Errors
    /// [`VarError`] if a number is none.
    pub fn from_vars(vars: &Vars) -> Result<Self, VarError> {
        let base = Duration::from_millis(vars.number("HTTP_BACKOFF_MS", 10_000)?);
        Ok(Self { attempts: vars.number("HTTP_ATTEMPTS", 5usize)?.max(1), base })
    }

    /// Tries until it succeeds, fails for good, or the attempts are used up. A wait that the peer asked for is
    /// kept if it is longer than ours.
    ///
    /// # Errors
    /// The last error, with the number of attempts if it may pass.
    pub async fn run<T, E, F>(&self, call: impl FnMut() -> F) -> Result<T, E>
    where
        E: Transient + std::fmt::Display,
        F: Future<Output = Result<T, E>>,
    {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(self.base)
            .with_max_delay(LONGEST_WAIT)
            .with_max_times(self.attempts - 1)
            .with_jitter();
        let started = std::time::Instant::now();
        call.retry(backoff.build())
            .sleep(tokio::time::sleep)
            .when(|error: &E| {
                let asked = error.retry_after().unwrap_or_default();
                error.is_transient() && asked <= LONGEST_WAIT && started.elapsed() + asked < LONGEST_CALL
            })
            .adjust(|error: &E, ours| ours.map(|ours| error.retry_after().unwrap_or_default().max(ours)))
            .notify(|error: &E, wait: Duration| {
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(wait_ms, "{error}; trying again");
            })
            .await
            .map_err(|error| if error.is_transient() { error.after(self.attempts) } else { error })
    }
}

/// An error that knows whether trying again may help.
pub trait Transient: Sized {
    /// Throttled, timed out, broken off or a fault of the server.
    fn is_transient(&self) -> bool;

    /// How long the peer asked to wait.
    fn retry_after(&self) -> Option<Duration> {
        None
    }

    /// Says how often it was tried.
    #[must_use]
    fn after(self, _attempts: usize) -> Self {
        self
    }
}
