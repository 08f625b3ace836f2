//! A stand-in for the usage report of a CCX server: Basic authentication, both spellings of the path, the web application
//! where nothing else is.
//!
//! Beside the API, for whoever tries it by hand: `POST /sandbox/amend` corrects the report of the closing month.

mod datastores;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use billing::month::BillingMonth;
use bytes::Bytes;
use chrono::{Days, NaiveDate, NaiveTime};
use serde::Deserialize;
use serde_json::json;

use self::datastores::{Datastores, Spelling, Window};
use crate::sandbox::CCX_CREDENTIALS;
use crate::sandbox::access::is_from;
use crate::sandbox::faults::NoFault;
use crate::sandbox::provider::{Provider, Sandbox, does};

const CURRENT: &str = "/api/admin/datastores/billing/usage/json";
const LEGACY: &str = "/api/admin/datastores/billing/json";

/// The sandbox of CCX.
pub type CcxSandbox = Sandbox<Ccx>;

/// The datastores of a server.
#[derive(Clone, Debug)]
pub struct Ccx {
    datastores: Datastores,
    /// Documents that a test gives, by the month in which the days asked for begin.
    given: BTreeMap<BillingMonth, Bytes>,
}

impl CcxSandbox {
    /// A server with a dozen datastores over the month that closes and the one before. The same every time.
    #[must_use]
    pub fn example(closing: BillingMonth) -> Self {
        Self::of(Ccx { datastores: Datastores::example(closing), given: BTreeMap::new() })
    }

    /// Answers with this document whenever days are asked for that begin in that month.
    pub fn give(&self, month: BillingMonth, document: impl Into<Bytes>) {
        self.with(|state| state.given.insert(month, document.into()));
    }

    /// Corrects the report of the closing month: more egress of a datastore becomes known.
    pub fn amend(&self) {
        self.with(|state| state.datastores.amend());
    }
}

impl Provider for Ccx {
    type Fault = NoFault;

    const API: &'static str = "/api/";
    const PAGE: &'static str = "CCX";
    const LOGIN: &'static str = "/auth/login";

    fn routes(_: &CcxSandbox) -> Router<CcxSandbox> {
        Router::new()
            .route(CURRENT, get(current))
            .route(LEGACY, get(legacy))
            .route("/sandbox/amend", does(CcxSandbox::amend))
            .fallback(async || Html("<!doctype html><title>CCX</title>"))
    }

    fn refuse(status: StatusCode) -> Response {
        error(status, "on request")
    }

    fn admit(&mut self, head: &Parts, _: &Bytes) -> Option<Response> {
        let [(_, user), (_, password)] = CCX_CREDENTIALS;
        if ![CURRENT, LEGACY].contains(&head.uri.path()) || is_from(&head.headers, user, password) {
            return None;
        }
        let challenge = [("www-authenticate", "Basic realm=\"Authentication Required\"")];
        Some((StatusCode::UNAUTHORIZED, challenge).into_response())
    }
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
        (Err(why), _) | (_, Err(why)) => return error(StatusCode::BAD_REQUEST, &why),
    };
    let closing = sandbox.with(|state| state.datastores.closing());
    let from = from.unwrap_or_else(|| closing.start().date_naive());
    let end = to.map_or(Some(closing.end().date_naive()), |to| to.checked_add_days(Days::new(1)));
    let Some(end) = end.filter(|end| *end > from) else {
        let why = format!("'{}' must not be before '{}'", last.0, first.0);
        return error(StatusCode::BAD_REQUEST, &why);
    };
    let at = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    let window = Window { from: at(from), to: at(end) };
    let document = sandbox.with(|state| {
        let given = state.given.get(&BillingMonth::containing(window.from)).cloned();
        given.unwrap_or_else(|| state.datastores.report(&window, spelling).to_string().into())
    });
    ([("content-type", "application/json")], Body::from(document)).into_response()
}

fn error(status: StatusCode, why: &str) -> Response {
    (status, axum::Json(json!({"error": why}))).into_response()
}
