//! A gate before servers that counts every call and can fail one of them: how tests ask what happens when the
//! n-th outside call fails, or the process dies at it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::serve::{Door, listen, serve};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateMode {
    /// The server says it failed; nothing was done.
    Error,
    /// The server says "too many requests" in its own way; nothing was done.
    Throttle,
    /// Nothing is answered, and nothing was done, until the caller gives up.
    Silence,
    /// The connection breaks; nothing was done.
    DropBefore,
    /// The connection breaks after the server has done it.
    DropAfter,
    /// The caller dies before the call.
    KillBefore,
    /// The caller dies after the call was done and before it sees the answer.
    KillAfter,
}

/// A call that came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Name of the server, as it was given to [`Gate::before`].
    pub service: &'static str,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// `X-Amz-Target`, for services that have one.
    pub target: Option<String>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.as_deref().unwrap_or_default();
        write!(f, "{} {} {} {target}", self.service, self.method, self.path)
    }
}

#[derive(Default)]
struct State {
    count: AtomicUsize,
    plan: Mutex<Option<(usize, GateMode)>>,
    calls: Mutex<Vec<Call>>,
    dead: AtomicBool,
    died: Notify,
}

/// The gate. Dropping it closes it.
pub struct Gate {
    state: Arc<State>,
    stop: CancellationToken,
}

/// A server behind the gate. Its connections are kept: with one for each call, sweeps fill the machine's table of connections.
#[derive(Clone)]
struct Upstream {
    client: Client<HttpConnector, Incoming>,
    authority: Authority,
}

/// The connection is cut instead of answered.
#[derive(Debug, thiserror::Error)]
#[error("cut")]
struct Cut;

impl Default for Gate {
    fn default() -> Self {
        Self { state: Arc::default(), stop: CancellationToken::new() }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Gate {
    /// A URL that leads to a server through the gate.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn before(&self, service: &'static str, url: &str) -> std::io::Result<String> {
        let (listener, gate) = listen(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).await?;
        let upstream = url.trim_start_matches("http://");
        let (host, path) =
            upstream.split_once('/').map_or((upstream, String::new()), |(h, p)| (h, format!("/{p}")));
        let authority = Authority::try_from(host).map_err(std::io::Error::other)?;
        // a call is passed on once: its failures are the callers' to meet
        let client = Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http();
        let (state, upstream) = (self.state.clone(), Upstream { client, authority });
        let answer = service_fn(move |request| {
            let (state, upstream) = (state.clone(), upstream.clone());
            async move { state.pass(service, &upstream, request).await }
        });
        tokio::spawn(serve(listener, Door::Programs, answer, self.stop.clone()));
        Ok(format!("{gate}{path}"))
    }

    /// Fails the call of that number (from 1) that way.
    pub fn fail(&self, number: usize, mode: GateMode) {
        *lock(&self.state.plan) = Some((number, mode));
    }

    /// From here on nothing fails, and whoever died lives again.
    pub fn recover(&self) {
        *lock(&self.state.plan) = None;
        self.state.dead.store(false, Ordering::SeqCst);
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state.calls).clone()
    }

    /// Waits until the caller dies.
    pub async fn died(&self) {
        loop {
            let died = self.state.died.notified();
            if self.state.dead.load(Ordering::SeqCst) {
                return;
            }
            died.await;
        }
    }
}

impl State {
    async fn pass(
        &self,
        service: &'static str,
        upstream: &Upstream,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Cut> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(Cut);
        }
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let header = |name: &str| request.headers().get(name)?.to_str().ok().map(str::to_owned);
        lock(&self.calls).push(Call {
            service,
            method: request.method().to_string(),
            path: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            target: header("x-amz-target"),
        });
        let mode = lock(&self.plan).filter(|(planned, _)| *planned == number).map(|(_, mode)| mode);
        match mode {
            None => forward(upstream, request).await,
            Some(GateMode::Error) => Ok(answer(service, false)),
            Some(GateMode::Throttle) => Ok(answer(service, true)),
            Some(GateMode::Silence) => std::future::pending().await,
            Some(GateMode::DropBefore) => Err(Cut),
            Some(GateMode::DropAfter) => forward(upstream, request).await.and(Err(Cut)),
            Some(GateMode::KillBefore) => self.die(),
            Some(GateMode::KillAfter) => forward(upstream, request).await.and_then(|_| self.die()),
        }
    }

    fn die(&self) -> Result<Response<Full<Bytes>>, Cut> {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_waiters();
        Err(Cut)
    }
}

impl Upstream {
    /// The request as the server would get it itself: its `Host` is what the caller signed.
    fn to(&self, request: Request<Incoming>) -> Result<Request<Incoming>, Cut> {
        let (mut parts, body) = request.into_parts();
        let mut uri = parts.uri.into_parts();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.authority.clone());
        uri.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
        parts.uri = Uri::from_parts(uri).map_err(|_| Cut)?;
        Ok(Request::from_parts(parts, body))
    }
}

async fn forward(upstream: &Upstream, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
    let response = upstream.client.request(upstream.to(request)?).await.map_err(|_| Cut)?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    Ok(Response::from_parts(parts, Full::new(body)))
}

/// What the service would say itself.
fn answer(service: &str, throttled: bool) -> Response<Full<Bytes>> {
    let xml = |code: &str| {
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>by the gate</Message></Error>")
    };
    let json = |kind: &str| format!("{{\"__type\":\"com.amazonaws#{kind}\",\"message\":\"by the gate\"}}");
    let google = |reason: &str| {
        format!("{{\"error\":{{\"errors\":[{{\"reason\":\"{reason}\",\"message\":\"by the gate\"}}]}}}}")
    };
    let (status, body) = match (service, throttled) {
        ("s3", true) => (StatusCode::SERVICE_UNAVAILABLE, xml("SlowDown")),
        ("s3", false) => (StatusCode::INTERNAL_SERVER_ERROR, xml("InternalError")),
        ("dynamodb" | "aws", true) => (StatusCode::BAD_REQUEST, json("ThrottlingException")),
        ("dynamodb" | "aws", false) => (StatusCode::INTERNAL_SERVER_ERROR, json("InternalServerError")),
        ("gcp", true) => (StatusCode::FORBIDDEN, google("rateLimitExceeded")),
        ("gcp", false) => (StatusCode::SERVICE_UNAVAILABLE, google("backendError")),
        (_, true) => (StatusCode::TOO_MANY_REQUESTS, "{\"error\":429,\"errorCode\":\"RATE_LIMITED\"}".into()),
        (_, false) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "{\"error\":500,\"errorCode\":\"UNEXPECTED_ERROR\"}".into())
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
