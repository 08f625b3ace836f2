//! A gate before servers that counts every call, can fail one of them, and can hold one: how tests ask what happens when the n-th outside
//! call fails, or the process dies at it, or somebody else is quicker.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use crate::serve::{Door, listen, serve};
use crate::wire::{self, Server, Wire};

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
    /// Partition and sort key of the item that it writes, if it is one of DynamoDB's.
    pub item: Option<String>,
}

impl Call {
    fn of(service: &'static str, request: &Request<Body>) -> Self {
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
        Self {
            service,
            method: request.method().to_string(),
            path: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            target: target.map(str::to_owned),
            item: None,
        }
    }

    /// The same, and the request again: what it writes stands in its body.
    async fn with_item(self, request: Request<Body>) -> Result<(Self, Request<Body>), Cut> {
        if !self.target.as_deref().is_some_and(|target| target.ends_with(".PutItem")) {
            return Ok((self, request));
        }
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let key = |name: &str| asked["Item"][name]["S"].as_str().unwrap_or_default();
        let item = Some(format!("{} {}", key("pk"), key("sk")));
        Ok((Self { item, ..self }, Request::from_parts(parts, body.into())))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.as_deref().unwrap_or_default();
        write!(f, "{} {} {} {target}", self.service, self.method, self.path)
    }
}

/// A call that the gate holds, from when it comes until it may go on: dropping this lets it go on.
#[derive(Debug)]
pub struct Held {
    came: oneshot::Receiver<()>,
    _goes_on: oneshot::Sender<()>,
}

impl Held {
    /// Waits until the call stands at the gate. Nothing of it is done yet.
    pub async fn came(&mut self) {
        if (&mut self.came).await.is_err() {
            // the gate is gone, so it never comes
            std::future::pending::<()>().await;
        }
    }
}

/// Whether a call, of that number, is the one.
type IsIt = dyn Fn(usize, &Call) -> bool + Send;

/// The other end of a [`Held`].
struct Holding {
    is_it: Box<IsIt>,
    came: oneshot::Sender<()>,
    goes_on: oneshot::Receiver<()>,
}

impl Holding {
    async fn until_it_may_go_on(self) {
        let _ = self.came.send(());
        let _ = self.goes_on.await;
    }
}

#[derive(Default)]
struct State {
    count: AtomicUsize,
    plan: Mutex<Option<(usize, GateMode)>>,
    calls: Mutex<Vec<Call>>,
    holds: Mutex<Vec<Holding>>,
    dead: AtomicBool,
    died: Notify,
}

/// The gate. Dropping it closes it.
pub struct Gate {
    wire: Wire,
    state: Arc<State>,
    stop: CancellationToken,
}

/// The connection is cut instead of answered.
#[derive(Debug, thiserror::Error)]
#[error("cut")]
struct Cut;

impl Drop for Gate {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Gate {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, state: Arc::default(), stop: CancellationToken::new() }
    }

    /// A URL that leads to a server of the cloud through the gate: as the server itself, in this process or over a port.
    ///
    /// # Errors
    /// If there is no such server, or no port is free.
    pub async fn before(&self, service: &'static str, url: &str) -> std::io::Result<String> {
        let none = || std::io::Error::other(format!("there is no server at {url}"));
        let (state, server) = (self.state.clone(), self.wire.server(url).ok_or_else(none)?);
        let gated = Server::new(service_fn(move |request| {
            let (state, server) = (state.clone(), server.clone());
            async move { state.pass(service, server, request).await }
        }));
        let gate = if wire::is_name(url) {
            self.wire.add("gate", gated)
        } else {
            let (listener, gate) = listen(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).await?;
            self.wire.connect(&gate, gated.clone());
            tokio::spawn(serve(listener, Door::Programs, gated, self.stop.clone()));
            gate
        };
        let (_, path) = wire::divided(url);
        Ok(format!("{gate}{path}"))
    }

    /// Fails the call of that number (from 1) that way.
    pub fn fail(&self, number: usize, mode: GateMode) {
        *lock(&self.state.plan) = Some((number, mode));
    }

    /// Holds the first call from here on that is that one, so that others can act between it and the call before.
    pub fn hold(&self, is_it: impl Fn(&Call) -> bool + Send + 'static) -> Held {
        self.hold_where(move |_, call| is_it(call))
    }

    /// Holds the call of that number (from 1).
    pub fn hold_nth(&self, number: usize) -> Held {
        self.hold_where(move |count, _| count == number)
    }

    fn hold_where(&self, is_it: impl Fn(usize, &Call) -> bool + Send + 'static) -> Held {
        let ((came, comes), (goes_on, may_go_on)) = (oneshot::channel(), oneshot::channel());
        let holding = Holding { is_it: Box::new(is_it), came, goes_on: may_go_on };
        lock(&self.state.holds).push(holding);
        Held { came: comes, _goes_on: goes_on }
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
        server: Server,
        request: Request<Body>,
    ) -> Result<Response<Body>, Cut> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(Cut);
        }
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let (call, request) = Call::of(service, &request).with_item(request).await?;
        lock(&self.calls).push(call.clone());
        if let Some(holding) = self.take_hold_of(number, &call) {
            holding.until_it_may_go_on().await;
        }
        let mode = lock(&self.plan).filter(|(planned, _)| *planned == number).map(|(_, mode)| mode);
        match mode {
            None => forward(server, request).await,
            Some(GateMode::Error) => Ok(answer(service, false)),
            Some(GateMode::Throttle) => Ok(answer(service, true)),
            Some(GateMode::Silence) => std::future::pending().await,
            Some(GateMode::DropBefore) => Err(Cut),
            Some(GateMode::DropAfter) => forward(server, request).await.and(Err(Cut)),
            Some(GateMode::KillBefore) => self.die(),
            Some(GateMode::KillAfter) => forward(server, request).await.and_then(|_| self.die()),
        }
    }

    fn take_hold_of(&self, number: usize, call: &Call) -> Option<Holding> {
        let mut holds = lock(&self.holds);
        let at = holds.iter().position(|holding| (holding.is_it)(number, call))?;
        Some(holds.remove(at))
    }

    fn die(&self) -> Result<Response<Body>, Cut> {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_waiters();
        Err(Cut)
    }
}

/// Passes a call on, until all of it is answered.
async fn forward(server: Server, request: Request<Body>) -> Result<Response<Body>, Cut> {
    let (parts, body) = server.answer(request).await.map_err(|_| Cut)?.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    Ok(Response::from_parts(parts, body.into()))
}

/// What the service would say itself.
fn answer(service: &str, throttled: bool) -> Response<Body> {
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
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;

    use super::*;

    /// A gate before a server that says how often it was asked before.
    async fn counting() -> (Gate, Wire, String) {
        let (wire, asked) = (Wire::default(), Arc::new(AtomicUsize::new(0)));
        let count = get(move || async move { asked.fetch_add(1, Ordering::SeqCst).to_string() });
        let url = wire.add("counter", Server::from(Router::new().fallback(count)));
        let gate = Gate::new(wire.clone());
        let url = gate.before("counter", &url).await.unwrap();
        (gate, wire, url)
    }

    async fn ask(wire: &Wire, url: &str, path: &str) -> String {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let body = wire.server(url).unwrap().answer(request).await.unwrap().into_body();
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn others_act_while_a_call_is_held_and_it_is_done_after_them() {
        let (gate, wire, url) = counting().await;
        let mut held = gate.hold(|call| call.path == "/held");
        let slow = tokio::spawn({
            let (wire, url) = (wire.clone(), url.clone());
            async move { ask(&wire, &url, "/held").await }
        });
        held.came().await;
        assert_eq!(ask(&wire, &url, "/other").await, "0");
        assert!(!slow.is_finished());
        drop(held);
        assert_eq!(slow.await.unwrap(), "1");
        assert_eq!(ask(&wire, &url, "/held").await, "2", "only the first is held");
    }
}
