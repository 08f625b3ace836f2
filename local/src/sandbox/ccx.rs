//! A stand-in for the usage report of a CCX server: Basic authentication, both spellings of the path, the web application
//! where nothing else is, and faults on request.
//!
//! Beside the API, for whoever tries it by hand: `POST /sandbox/amend` corrects the report of the closing month,
//! `POST /sandbox/faults` (`{"kind": {"status": 503}, "times": 2}`) makes answers fail.

mod datastores;
mod faults;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use billing::month::BillingMonth;
use bytes::Bytes;
use chrono::{Days, NaiveDate, NaiveTime};
use serde::Deserialize;
use serde_json::json;

use self::datastores::{Datastores, Spelling, Window};
pub use self::faults::{CcxFault, CcxFaultKind};
use crate::sandbox::CCX_CREDENTIALS;
use crate::sandbox::faults::take as take_fault;
use crate::sandbox::shared::Shared;

/// The sandbox; clones share one state.
#[derive(Clone, Debug)]
pub struct CcxSandbox {
    state: Shared<SandboxState>,
}

#[derive(Clone, Debug)]
struct SandboxState {
    datastores: Datastores,
    /// Documents that a test gives, by the month in which the days asked for begin.
    given: BTreeMap<BillingMonth, Bytes>,
    faults: Vec<CcxFault>,
    requests: Vec<String>,
}

impl CcxSandbox {
    /// Another one that is as this one is now.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { state: self.state.copy() }
    }

    /// A server with a dozen datastores over the month that closes and the one before. The same every time.
    #[must_use]
    pub fn example(closing: BillingMonth) -> Self {
        let state = SandboxState {
            datastores: Datastores::example(closing),
            given: BTreeMap::new(),
            faults: Vec::new(),
            requests: Vec::new(),
        };
        Self { state: Shared::new(state) }
    }

    /// Answers with this document whenever days are asked for that begin in that month.
    pub fn give(&self, month: BillingMonth, document: impl Into<Bytes>) {
        self.state.with(|state| state.given.insert(month, document.into()));
    }

    /// Makes answers fail from now on; faults are used up in their order.
    pub fn fail(&self, fault: CcxFault) {
        self.state.with(|state| state.faults.push(fault));
    }

    /// Corrects the report of the closing month: more egress of a datastore becomes known.
    pub fn amend(&self) {
        self.state.with(|state| state.datastores.amend());
    }

    /// Method, path and query of every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.state.with(|state| state.requests.clone())
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/api/admin/datastores/billing/usage/json", get(current))
            .route("/api/admin/datastores/billing/json", get(legacy))
            .route_layer(middleware::from_fn(check_access))
            .route("/sandbox/amend", post(amend))
            .route("/sandbox/faults", post(add_fault))
            .fallback(async || Html("<!doctype html><title>CCX</title>"))
            .layer(middleware::from_fn_with_state(self.clone(), note_and_fail))
            .with_state(self)
    }
}

async fn note_and_fail(State(sandbox): State<CcxSandbox>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let fault = sandbox.state.with(|state| {
        state.requests.push(format!("{} {}", request.method(), request.uri()));
        if is_api { take_fault(&mut state.faults) } else { None }
    });
    match fault {
        Some(kind) => faults::apply(kind, next.run(request).await).await,
        None => next.run(request).await,
    }
}

async fn check_access(headers: HeaderMap, request: Request, next: Next) -> Response {
    let [(_, user), (_, password)] = CCX_CREDENTIALS;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let given = headers.get("authorization").and_then(|value| value.to_str().ok());
    if given == Some(format!("Basic {pair}").as_str()) {
        return next.run(request).await;
    }
    let challenge = [("www-authenticate", "Basic realm=\"Authentication Required\"")];
    (StatusCode::UNAUTHORIZED, challenge).into_response()
}

#[derive(Deserialize)]
struct CurrentDays {
    from: Option<String>,
    to: Option<String>,
}

async fn current(State(sandbox): State<CcxSandbox>, Query(days): Query<CurrentDays>) -> Response {
    answer(&sandbox, Spelling::Current, [("from", days.from), ("to", days.to)])
}

#[derive(Deserialize)]
struct LegacyDays {
    start: Option<String>,
    end: Option<String>,
}

async fn legacy(State(sandbox): State<CcxSandbox>, Query(days): Query<LegacyDays>) -> Response {
    answer(&sandbox, Spelling::Legacy, [("start", days.start), ("end", days.end)])
}

/// The report of some days, both counted; without one, the closing month begins or ends there.
fn answer(sandbox: &CcxSandbox, spelling: Spelling, days: [(&str, Option<String>); 2]) -> Response {
    let [first, last] = &days;
    let read = |(name, day): &(&str, Option<String>)| match day {
        None => Ok(None),
        Some(text) => {
            text.parse::<NaiveDate>().map(Some).map_err(|_| format!("'{name}' is not a date: {text}"))
        }
    };
    let (from, to) = match (read(first), read(last)) {
        (Ok(from), Ok(to)) => (from, to),
        (Err(why), _) | (_, Err(why)) => return refuse(&why),
    };
    let closing = sandbox.state.with(|state| state.datastores.closing());
    let from = from.unwrap_or_else(|| closing.start().date_naive());
    let end = to.map_or(Some(closing.end().date_naive()), |to| to.checked_add_days(Days::new(1)));
    let Some(end) = end.filter(|end| *end > from) else {
        return refuse(&format!("'{}' must not be before '{}'", last.0, first.0));
    };
    let at = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    let window = Window { from: at(from), to: at(end) };
    let document = sandbox.state.with(|state| {
        let given = state.given.get(&BillingMonth::containing(window.from)).cloned();
        given.unwrap_or_else(|| state.datastores.report(&window, spelling).to_string().into())
    });
    ([("content-type", "application/json")], Body::from(document)).into_response()
}

fn refuse(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, axum::Json(json!({"error": why}))).into_response()
}

async fn amend(State(sandbox): State<CcxSandbox>) -> StatusCode {
    sandbox.amend();
    StatusCode::NO_CONTENT
}

async fn add_fault(State(sandbox): State<CcxSandbox>, axum::Json(fault): axum::Json<CcxFault>) -> StatusCode {
    sandbox.fail(fault);
    StatusCode::NO_CONTENT
}
