//! What every sandbox is made of: the state of a provider behind its routes, faults on request, and what was asked so far.
//!
//! A provider is its state. It brings the routes of its API, its error document and the faults that only it has ([`Provider`]); the
//! rest is here. `POST /sandbox/faults` of each takes `{"path": "/invoices/", "kind": {"status": 503}, "times": 2}`: the next two
//! requests with that text in method, path or query fail that way. Without a path every request does, without `times` it is one.
//! What stands under `/sandbox/` itself never fails.

#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;

use super::faults::{Fault, FaultKind};

/// A request has no more.
const LARGEST_BODY: usize = 4 * 1024 * 1024;

/// The state of a provider, and in what it differs from others.
pub trait Provider: Clone + Debug + Send + 'static {
    /// The faults that only it has.
    type Fault: Clone + Debug + DeserializeOwned + Send + Sync + 'static;

    /// What the paths begin with that fail on request.
    const API: &'static str = "/";
    /// The title of the web page that is answered on request.
    const PAGE: &'static str = "Sign in";
    /// Where people sign in.
    const LOGIN: &'static str = "/login";

    /// The routes of its API, and those under `/sandbox/` that others do not have.
    fn routes(sandbox: &Sandbox<Self>) -> Router<Sandbox<Self>>;

    /// Its error document of a status, on request.
    fn refuse(status: StatusCode) -> Response;

    /// The same where it says how long to wait.
    fn throttle(status: StatusCode) -> Response {
        Self::refuse(status)
    }

    /// How a request is noted. A fault is for those that have its path in this.
    fn name(head: &Parts) -> String {
        format!("{} {}", head.method, head.uri)
    }

    /// What comes before faults: why a request is not let in, if it is not.
    fn admit(&mut self, _head: &Parts, _body: &Bytes) -> Option<Response> {
        None
    }

    /// Whether a request to that path meets one of its own faults.
    fn meets(_fault: &Self::Fault, path: &str) -> bool {
        path.starts_with(Self::API)
    }

    /// What one of its own faults makes of the answer. Until that is awaited, nothing is done; its handler finds the fault among
    /// the extensions.
    fn fail(
        _fault: Self::Fault,
        answer: impl Future<Output = Response> + Send,
    ) -> impl Future<Output = Response> + Send {
        answer
    }
}

/// The sandbox of a provider; clones share one state.
#[derive(Clone, Debug)]
pub struct Sandbox<P: Provider>(Arc<Mutex<SandboxState<P>>>);

#[derive(Clone, Debug)]
struct SandboxState<P: Provider> {
    provider: P,
    faults: Vec<Fault<P::Fault>>,
    requests: Vec<String>,
}

impl<P: Provider> Sandbox<P> {
    pub(super) fn of(provider: P) -> Self {
        Self::holding(SandboxState { provider, faults: Vec::new(), requests: Vec::new() })
    }

    fn holding(state: SandboxState<P>) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    fn state<R>(&self, act: impl FnOnce(&mut SandboxState<P>) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn with<R>(&self, act: impl FnOnce(&mut P) -> R) -> R {
        self.state(|state| act(&mut state.provider))
    }

    /// Another one that is as this one is now.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self::holding(self.state(|state| state.clone()))
    }

    /// Makes the next `times` requests fail that have `path` in method, path or query (for AWS, in the operation). Faults are used up
    /// in their order.
    pub fn fail(&self, path: &str, kind: impl Into<FaultKind<P::Fault>>, times: usize) {
        self.add(Fault { path: path.to_owned(), kind: kind.into(), times });
    }

    fn add(&self, fault: Fault<P::Fault>) {
        self.state(|state| state.faults.push(fault));
    }

    /// Answers as it should again.
    pub fn clear_faults(&self) {
        self.state(|state| state.faults.clear());
    }

    /// Method, path and query of every request so far (for AWS its operation, for Azure no query: signatures are there).
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.state(|state| state.requests.clone())
    }

    pub(crate) fn router(self) -> Router {
        P::routes(&self)
            .route("/sandbox/faults", post(add_fault::<P>))
            .layer(middleware::from_fn_with_state(self.clone(), attend::<P>))
            .with_state(self)
    }
}

impl<P: Provider + Default> Default for Sandbox<P> {
    fn default() -> Self {
        Self::of(P::default())
    }
}

impl<P: Provider> SandboxState<P> {
    /// The fault that a request meets; it is used up.
    fn take(&mut self, name: &str, path: &str) -> Option<FaultKind<P::Fault>> {
        let meets = |fault: &Fault<P::Fault>| match &fault.kind {
            FaultKind::Own(own) => P::meets(own, path),
            _ => path.starts_with(P::API),
        };
        let at = self.faults.iter().position(|fault| name.contains(&fault.path) && meets(fault))?;
        let fault = &mut self.faults[at];
        fault.times = fault.times.saturating_sub(1);
        if fault.times > 0 { Some(fault.kind.clone()) } else { Some(self.faults.remove(at).kind) }
    }
}

/// Notes each request, lets it in or not, and does to it what was asked for.
async fn attend<P: Provider>(State(sandbox): State<Sandbox<P>>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/sandbox/") {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    // all of it, before anything is done: half a request counts for nothing. What follows waits for nothing, so that all of what was
    // sent is done even if the client goes away
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else { return P::refuse(StatusCode::BAD_REQUEST) };
    let (refusal, fault) = sandbox.state(|state| {
        let name = P::name(&head);
        state.requests.push(name.clone());
        match state.provider.admit(&head, &body) {
            Some(refusal) => (Some(refusal), None),
            None => (None, state.take(&name, head.uri.path())),
        }
    });
    if let Some(refusal) = refusal {
        return refusal;
    }
    let mut request = Request::from_parts(head, Body::from(body));
    let Some(fault) = fault else { return next.run(request).await };
    if let FaultKind::Own(own) = &fault {
        request.extensions_mut().insert(own.clone());
    }
    fault.answer::<P>(next.run(request)).await
}

async fn add_fault<P: Provider>(
    State(sandbox): State<Sandbox<P>>,
    Json(fault): Json<Fault<P::Fault>>,
) -> StatusCode {
    sandbox.add(fault);
    StatusCode::NO_CONTENT
}

/// A route under `/sandbox/` that does something and has nothing to say.
pub(super) fn does<P: Provider>(act: fn(&Sandbox<P>)) -> MethodRouter<Sandbox<P>> {
    post(move |State(sandbox): State<Sandbox<P>>| async move {
        act(&sandbox);
        StatusCode::NO_CONTENT
    })
}
