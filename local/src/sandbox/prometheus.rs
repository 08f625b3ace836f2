//! A stand-in for a Prometheus server that watches a shared Kubernetes cluster: the HTTP API of instant queries, Basic and Bearer
//! authentication, and Prometheus' own errors. It does not know all of PromQL: it finds the metric, the label, the range and the
//! divisors in a query, and answers what a server would that had looked at each step.
//!
//! Beside the API, for whoever tries it by hand: `POST /sandbox/amend` changes what a namespace requested.

mod promql;
#[cfg(test)]
mod tests;
mod workloads;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use self::promql::Question;
use self::workloads::Workloads;
use crate::sandbox::access::{bearer, header, is_from};
use crate::sandbox::provider::{Provider, Sandbox, does};
use crate::sandbox::{PROMETHEUS_CREDENTIALS, PROMETHEUS_TOKEN};

const QUERY: &str = "/api/v1/query";

/// The sandbox of Prometheus.
pub type PrometheusSandbox = Sandbox<Prometheus>;

/// What runs in a cluster, and what was asked of it.
#[derive(Clone, Debug)]
pub struct Prometheus {
    workloads: Workloads,
    /// Results that a test gives, by a part of the query.
    given: Vec<(String, Value)>,
    warnings: Vec<String>,
    questions: Vec<String>,
}

/// How only Prometheus fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrometheusFault {
    /// Prometheus' error document, with 200.
    ErrorDocument,
}

impl PrometheusSandbox {
    /// A cluster with the namespaces `blue-app`, `red-shop` and `platform`; `red-shop` begins on the 11th of the closing month, and
    /// `blue-app` needs more on one day of it. The same every time.
    #[must_use]
    pub fn example(closing: BillingMonth) -> Self {
        Self::of(Prometheus {
            workloads: Workloads::example(closing),
            given: Vec::new(),
            warnings: Vec::new(),
            questions: Vec::new(),
        })
    }

    /// From now on there is no data before that moment; nothing for data of all times.
    pub fn forget_before(&self, moment: Option<DateTime<Utc>>) {
        self.with(|state| state.workloads.begins = moment);
    }

    /// From now on there is no data from that moment on; nothing for data of all times.
    pub fn lose_from(&self, moment: Option<DateTime<Utc>>) {
        self.with(|state| state.workloads.ends = moment);
    }

    /// Answers with these samples whenever a query holds that text.
    pub fn give(&self, part: &str, samples: Value) {
        self.with(|state| state.given.push((part.to_owned(), samples)));
    }

    /// Warns in every answer from now on; nothing ends it.
    pub fn warn(&self, warnings: &[&str]) {
        self.with(|state| state.warnings = warnings.iter().map(|text| (*text).to_owned()).collect());
    }

    /// `red-shop` turns out to have requested more CPU.
    pub fn amend(&self) {
        self.with(|state| state.workloads.amend());
    }

    /// Method, time and query of every question so far that came with the right credentials.
    #[must_use]
    pub fn questions(&self) -> Vec<String> {
        self.with(|state| state.questions.clone())
    }
}

impl Provider for Prometheus {
    type Fault = PrometheusFault;

    const API: &'static str = "/api/";

    fn routes(_: &PrometheusSandbox) -> Router<PrometheusSandbox> {
        Router::new()
            .route(QUERY, get(answer).post(answer))
            .route("/sandbox/amend", does(PrometheusSandbox::amend))
            .fallback(async || (StatusCode::NOT_FOUND, "404 page not found\n"))
    }

    fn refuse(status: StatusCode) -> Response {
        let kind = match status.as_u16() {
            400 => "bad_data",
            422 => "execution",
            503 => "timeout",
            _ => "internal",
        };
        refuse(status, kind, "on request")
    }

    /// As a proxy before Prometheus checks it, or its own `web.config.file`.
    fn admit(&mut self, head: &Parts, body: &Bytes) -> Option<Response> {
        if head.uri.path() != QUERY {
            return None;
        }
        let [(_, user), (_, password)] = PROMETHEUS_CREDENTIALS;
        if !is_from(&head.headers, user, password) && bearer(&head.headers) != PROMETHEUS_TOKEN {
            let challenge = [("www-authenticate", "Basic")];
            return Some((StatusCode::UNAUTHORIZED, challenge, "Unauthorized\n").into_response());
        }
        let (query, time) = asked(head, body);
        self.questions.push(format!("{} {} {query}", head.method, time.unwrap_or_default()));
        None
    }

    async fn fail(fault: PrometheusFault, _: impl Future<Output = Response> + Send) -> Response {
        match fault {
            PrometheusFault::ErrorDocument => refuse(StatusCode::OK, "internal", "on request"),
        }
    }
}

/// The query of a request, and its time.
fn asked(head: &Parts, body: &[u8]) -> (String, Option<String>) {
    let content_type = header(&head.headers, "content-type").unwrap_or_default();
    let form = match head.method {
        Method::POST if content_type.starts_with("application/x-www-form-urlencoded") => body,
        // like the server, which then finds no parameter
        Method::POST => b"",
        _ => head.uri.query().unwrap_or_default().as_bytes(),
    };
    let parameter = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(form);
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    (parameter("query").unwrap_or_default(), parameter("time"))
}

async fn answer(State(sandbox): State<PrometheusSandbox>, head: Parts, body: Bytes) -> Response {
    let (query, time) = asked(&head, &body);
    sandbox.with(|state| {
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
