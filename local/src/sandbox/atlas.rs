//! A stand-in for the MongoDB Atlas Administration API v2: Digest and OAuth2 as Atlas checks them, paging, and rate
//! limits.
//!
//! Beside the API, for whoever tries it by hand: `POST /sandbox/amend` restates an invoice.

mod access;
mod organisation;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::header;
use super::faults::NoFault;
use super::provider::{Provider, Sandbox};
use access::Access;
pub use organisation::Organisation;

/// In which of the three shapes seen in the wild the open invoice is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PendingShape {
    /// The invoice itself.
    #[default]
    Bare,
    /// A page with one result, as the specification says.
    Page,
    /// A list of one.
    List,
}

/// The sandbox of Atlas.
pub type AtlasSandbox = Sandbox<Atlas>;

/// An organisation, and who may ask for its invoices.
#[derive(Clone, Debug)]
pub struct Atlas {
    organisation: Organisation,
    access: Access,
    pending_shape: PendingShape,
}

impl AtlasSandbox {
    /// A sandbox of one organisation.
    #[must_use]
    pub fn new(organisation: Organisation) -> Self {
        Self::of(Atlas { organisation, access: Access::default(), pending_shape: PendingShape::default() })
    }

    /// Serves the open invoice in that shape.
    pub fn pending_shape(&self, shape: PendingShape) {
        self.with(|state| state.pending_shape = shape);
    }

    /// Calls a nonce stale after so many uses.
    pub fn nonce_uses(&self, uses: u32) {
        self.with(|state| state.access.nonce_uses = uses);
    }

    /// Takes back the tokens given out.
    pub fn revoke_tokens(&self) {
        self.with(|state| state.access.revoke_tokens());
    }

    /// Allows so many requests at once, refilled by one each second.
    pub fn rate_limit(&self, capacity: u32) {
        self.with(|state| state.access.limit(capacity));
    }

    /// Takes the billing role away from the credentials.
    pub fn forbid(&self) {
        self.with(|state| state.access.forbidden = true);
    }

    /// Restates an ended invoice: a late charge comes in. Answers its id.
    #[must_use]
    pub fn amend(&self) -> Option<String> {
        self.with(|state| state.organisation.amend())
    }

    /// Replaces the organisation.
    pub fn replace(&self, organisation: Organisation) {
        self.with(|state| state.organisation = organisation);
    }
}

impl Provider for Atlas {
    type Fault = NoFault;

    const PAGE: &'static str = "Atlas";

    fn routes(sandbox: &AtlasSandbox) -> Router<AtlasSandbox> {
        let api = Router::new()
            .route("/api/atlas/v2/orgs/{org}/invoices", get(list))
            .route("/api/atlas/v2/orgs/{org}/invoices/pending", get(pending))
            .route("/api/atlas/v2/orgs/{org}/invoices/{id}", get(invoice))
            .fallback(async || error(StatusCode::NOT_FOUND, "RESOURCE_NOT_FOUND", "Cannot find resource."))
            .route_layer(middleware::from_fn_with_state(sandbox.clone(), check_access));
        api.route("/api/oauth/token", post(token)).route("/sandbox/amend", post(amend))
    }

    fn refuse(status: StatusCode) -> Response {
        let code = match status.as_u16() {
            400 => "VALIDATION_ERROR",
            401 | 403 => "USER_UNAUTHORIZED",
            404 => "RESOURCE_NOT_FOUND",
            410 => "VERSION_GONE",
            429 => "RATE_LIMITED",
            503 => "SERVICE_UNAVAILABLE",
            _ => "UNEXPECTED_ERROR",
        };
        error(status, code, "On request.")
    }
}

async fn check_access(State(sandbox): State<AtlasSandbox>, request: Request, next: Next) -> Response {
    if !is_version(header(request.headers(), "accept").unwrap_or_default()) {
        return error(
            StatusCode::NOT_ACCEPTABLE,
            "INVALID_VERSION_DATE",
            "Invalid accept header or version date.",
        );
    }
    let refusal =
        sandbox.with(|state| state.access.check(request.method(), request.uri(), request.headers()));
    match refusal {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

/// `application/vnd.atlas.2023-01-01+json`, of a date at which the resources exist.
fn is_version(accepted: &str) -> bool {
    let date = accepted.strip_prefix("application/vnd.atlas.").and_then(|rest| rest.strip_suffix("+json"));
    date.is_some_and(|date| date.parse::<chrono::NaiveDate>().is_ok() && date >= "2023-01-01")
}

#[derive(Deserialize)]
struct Paging {
    #[serde(rename = "itemsPerPage", default = "hundred")]
    items_per_page: usize,
    #[serde(rename = "pageNum", default = "one")]
    page_num: usize,
}

fn hundred() -> usize {
    100
}

fn one() -> usize {
    1
}

async fn list(
    State(sandbox): State<AtlasSandbox>,
    Path(org): Path<String>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Response {
    if !(1..=500).contains(&paging.items_per_page) || paging.page_num == 0 {
        let detail = "Invalid value for query parameter itemsPerPage.";
        return error(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", detail);
    }
    let Some((heads, largest_page)) =
        sandbox.with(|state| Some((state.organisation.heads(&org)?, state.organisation.largest_page)))
    else {
        return not_found(&format!("/orgs/{org}"));
    };
    let size = paging.items_per_page.min(largest_page);
    let total = heads.len();
    let start = (paging.page_num - 1).saturating_mul(size);
    let results: Vec<Value> = heads.into_iter().skip(start).take(size).collect();
    let host = header(&headers, "host").unwrap_or("localhost");
    let link = |rel: &str, page: usize| {
        let href =
            format!("http://{host}/api/atlas/v2/orgs/{org}/invoices?itemsPerPage={size}&pageNum={page}");
        json!({"rel": rel, "href": href})
    };
    let mut links = vec![link("self", paging.page_num)];
    if paging.page_num > 1 {
        links.push(link("previous", paging.page_num - 1));
    }
    if start + results.len() < total {
        links.push(link("next", paging.page_num + 1));
    }
    versioned(json!({"links": links, "results": results, "totalCount": total}).to_string().into_bytes())
}

async fn pending(State(sandbox): State<AtlasSandbox>, Path(org): Path<String>) -> Response {
    let found = sandbox.with(|state| (state.organisation.pending(&org), state.pending_shape));
    let (Some(document), shape) = found else { return not_found(&format!("/orgs/{org}/invoices/pending")) };
    let wrap = |before: &str, after: &str| [before.as_bytes(), &document, after.as_bytes()].concat();
    versioned(match shape {
        PendingShape::Bare => document,
        PendingShape::Page => wrap("{\"links\":[],\"results\":[", "],\"totalCount\":1}"),
        PendingShape::List => wrap("[", "]"),
    })
}

async fn invoice(State(sandbox): State<AtlasSandbox>, Path((org, id)): Path<(String, String)>) -> Response {
    match sandbox.with(|state| state.organisation.document(&org, &id)) {
        Some(document) => versioned(document),
        None => not_found(&format!("/orgs/{org}/invoices/{id}")),
    }
}

async fn token(State(sandbox): State<AtlasSandbox>, headers: HeaderMap, body: String) -> Response {
    sandbox.with(|state| state.access.token(&headers, &body))
}

async fn amend(State(sandbox): State<AtlasSandbox>) -> Response {
    match sandbox.amend() {
        Some(id) => axum::Json(json!({"amended": id})).into_response(),
        None => error(StatusCode::NOT_FOUND, "NOTHING_TO_AMEND", "There is no ended invoice with lines."),
    }
}

fn versioned(body: Vec<u8>) -> Response {
    let content_type = "application/vnd.atlas.2023-01-01+json;charset=utf-8";
    ([("content-type", content_type)], Body::from(body)).into_response()
}

fn not_found(path: &str) -> Response {
    error(StatusCode::NOT_FOUND, "RESOURCE_NOT_FOUND", &format!("Cannot find resource /api/atlas/v2{path}."))
}

fn error(status: StatusCode, code: &str, detail: &str) -> Response {
    let body = json!({
        "detail": detail,
        "error": status.as_u16(),
        "errorCode": code,
        "parameters": [],
        "reason": status.canonical_reason().unwrap_or_default(),
    });
    (status, axum::Json(body)).into_response()
}
