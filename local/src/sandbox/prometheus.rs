//! A stand-in for a Prometheus server that watches a shared Kubernetes cluster: the HTTP API of instant queries, Basic and Bearer
//! authentication, Prometheus' own errors, and faults on request. It does not know all of PromQL: it finds the metric, the
//! label, the range and the divisors in a query, and answers what a server would that had looked at each step.
//!
//! Beside the API, for whoever tries it by hand: `POST /sandbox/amend` changes what a namespace requested,
//! `POST /sandbox/faults` (`{"kind": {"status": 503}, "times": 2}`) makes answers fail.

mod faults;
mod promql;
#[cfg(test)]
mod tests;
mod workloads;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

pub use self::faults::{PrometheusFault, PrometheusFaultKind};
use self::promql::Question;
use self::workloads::Workloads;
use crate::sandbox::faults::take as take_fault;
use crate::sandbox::shared::Shared;
use crate::sandbox::{PROMETHEUS_CREDENTIALS, PROMETHEUS_TOKEN};

/// The sandbox; clones share one state.
#[derive(Clone, Debug)]
pub struct PrometheusSandbox {
    state: Shared<SandboxState>,
}

#[derive(Clone, Debug)]
struct SandboxState {
    workloads: Workloads,
    /// Results that a test gives, by a part of the query.
    given: Vec<(String, Value)>,
    warnings: Vec<String>,
    faults: Vec<PrometheusFault>,
    questions: Vec<String>,
}

impl PrometheusSandbox {
    /// Another one that is as this one is now.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { state: self.state.copy() }
    }

    /// A cluster with the namespaces `blue-app`, `red-shop` and `platform`; `red-shop` begins on the 11th of the closing month, and
    /// `blue-app` needs more on one day of it. The same every time.
    #[must_use]
    pub fn example(closing: BillingMonth) -> Self {
        let state = SandboxState {
            workloads: Workloads::example(closing),
            given: Vec::new(),
            warnings: Vec::new(),
            faults: Vec::new(),
            questions: Vec::new(),
        };
        Self { state: Shared::new(state) }
    }

    /// From now on there is no data before that moment; nothing for data of all times.
    pub fn forget_before(&self, moment: Option<DateTime<Utc>>) {
        self.state.with(|state| state.workloads.begins = moment);
    }

    /// From now on there is no data from that moment on; nothing for data of all times.
    pub fn lose_from(&self, moment: Option<DateTime<Utc>>) {
        self.state.with(|state| state.workloads.ends = moment);
    }

    /// Answers with these samples whenever a query holds that text.
    pub fn give(&self, part: &str, samples: Value) {
        self.state.with(|state| state.given.push((part.to_owned(), samples)));
    }

    /// Warns in every answer from now on; nothing ends it.
    pub fn warn(&self, warnings: &[&str]) {
        self.state.with(|state| state.warnings = warnings.iter().map(|text| (*text).to_owned()).collect());
    }

    /// Makes answers fail from now on; faults are used up in their order.
    pub fn fail(&self, fault: PrometheusFault) {
        self.state.with(|state| state.faults.push(fault));
    }

    /// `red-shop` turns out to have requested more CPU.
    pub fn amend(&self) {
        self.state.with(|state| state.workloads.amend());
    }

    /// Method, path and question of every request to the API so far.
    #[must_use]
    pub fn questions(&self) -> Vec<String> {
        self.state.with(|state| state.questions.clone())
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/api/v1/query", get(asked).post(posted))
            .route_layer(middleware::from_fn(check_access))
            .route("/sandbox/amend", post(amend))
            .route("/sandbox/faults", post(add_fault))
            .fallback(async || (StatusCode::NOT_FOUND, "404 page not found\n"))
            .layer(middleware::from_fn_with_state(self.clone(), fail_if_asked))
            .with_state(self)
    }
}

async fn fail_if_asked(State(sandbox): State<PrometheusSandbox>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let fault = sandbox.state.with(|state| if is_api { take_fault(&mut state.faults) } else { None });
    match fault {
        Some(kind) => faults::apply(kind, next.run(request).await).await,
        None => next.run(request).await,
    }
}

/// As a proxy before Prometheus checks it, or its own `web.config.file`.
async fn check_access(headers: HeaderMap, request: Request, next: Next) -> Response {
    let [(_, user), (_, password)] = PROMETHEUS_CREDENTIALS;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let accepted = [format!("Basic {pair}"), format!("Bearer {PROMETHEUS_TOKEN}")];
    let given = headers.get("authorization").and_then(|value| value.to_str().ok());
    if given.is_some_and(|given| accepted.iter().any(|accepted| accepted == given)) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic")], "Unauthorized\n").into_response()
}

async fn asked(State(sandbox): State<PrometheusSandbox>, RawQuery(query): RawQuery) -> Response {
    answer(&sandbox, "GET", query.unwrap_or_default().as_bytes())
}

async fn posted(State(sandbox): State<PrometheusSandbox>, headers: HeaderMap, form: Bytes) -> Response {
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok());
    // like the server, which then finds no parameter
    let is_form = content_type.is_some_and(|text| text.starts_with("application/x-www-form-urlencoded"));
    answer(&sandbox, "POST", if is_form { &form } else { b"" })
}

fn answer(sandbox: &PrometheusSandbox, method: &str, form: &[u8]) -> Response {
    let parameter = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(form);
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    let (query, time) = (parameter("query").unwrap_or_default(), parameter("time"));
    sandbox.state.with(|state| {
        let shown = time.as_deref().unwrap_or_default();
        state.questions.push(format!("{method} {shown} {query}"));
        let question = match Question::read(&query, time.as_deref()) {
            Ok(question) => question,
            Err(why) => return refuse(StatusCode::BAD_REQUEST, "bad_data", &why),
        };
        let given = state.given.iter().rev().find(|(part, _)| query.contains(part.as_str()));
        let samples = match given {
            Some((_, samples)) => samples.clone(),
            None => state.workloads.answer(&question),
        };
        let mut answer = json!({"status": "success", "data": {"resultType": "vector", "result": samples}});
        if !state.warnings.is_empty() {
            answer["warnings"] = json!(state.warnings);
        }
        axum::Json(answer).into_response()
    })
}

/// Prometheus' own error document.
fn refuse(status: StatusCode, kind: &str, error: &str) -> Response {
    (status, axum::Json(json!({"status": "error", "errorType": kind, "error": error}))).into_response()
}

async fn amend(State(sandbox): State<PrometheusSandbox>) -> StatusCode {
    sandbox.amend();
    StatusCode::NO_CONTENT
}

async fn add_fault(
    State(sandbox): State<PrometheusSandbox>,
    axum::Json(fault): axum::Json<PrometheusFault>,
) -> StatusCode {
    sandbox.fail(fault);
    StatusCode::NO_CONTENT
}
