//! A stand-in for Clazar's metering API: it holds each record once, and faults on request.
//!
//! Beside the API, for whoever tries it by hand: `GET /sandbox/records` lists what is held, `POST /sandbox/faults`
//! (`{"path": "/metering/", "kind": {"status": 503}, "times": 2}`) makes answers fail, `POST /sandbox/contracts`
//! (`{"contract_id": "...", "dimensions": ["cpu_core_hours"]}`) registers a contract, and
//! `POST /sandbox/contracts/{id}/deactivate` (or `/activate`) ends it (or takes it up again).

mod contracts;
mod faults;
mod metering;
mod records;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use self::contracts::Contracts;
pub use self::faults::{ClazarFault, ClazarFaultKind};
pub use self::records::HeldRecord;
use self::records::HeldRecords;
use crate::sandbox::CLAZAR_CREDENTIALS;
use crate::sandbox::ids::id_of;
use crate::sandbox::shared::Shared;

/// Clazar takes no more in one request.
const MOST_RECORDS: usize = 25;
const LARGEST_BODY: usize = 4 * 1024 * 1024;
const METERING: &str = "/metering/";
const WITH_TOKEN: [&str; 3] = [METERING, "/contracts/", "/buyers/"];

/// The sandbox; clones share one state.
#[derive(Clone, Debug)]
pub struct ClazarSandbox {
    state: Shared<SandboxState>,
}

#[derive(Clone, Debug)]
struct SandboxState {
    contracts: Contracts,
    records: HeldRecords,
    tokens: Vec<(String, Instant)>,
    /// How many tokens were given out: each is another.
    given: u64,
    expires_in: u64,
    faults: Vec<ClazarFault>,
    requests: Vec<String>,
    metering_requests: Vec<Value>,
}

impl Default for ClazarSandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl ClazarSandbox {
    /// Another one that is as this one is now.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { state: self.state.copy() }
    }

    /// A sandbox in memory that knows every contract and dimension.
    #[must_use]
    pub fn new() -> Self {
        Self::holding(HeldRecords::default())
    }

    /// A sandbox whose records survive it in that file, one JSON document a line. A last line that a killed process
    /// left unfinished is dropped.
    ///
    /// # Errors
    /// If the file cannot be read or written, or holds something else.
    pub fn in_file(path: PathBuf) -> io::Result<Self> {
        HeldRecords::in_file(&path).map(Self::holding)
    }

    fn holding(records: HeldRecords) -> Self {
        let state = SandboxState {
            contracts: Contracts::default(),
            records,
            tokens: Vec::new(),
            given: 0,
            expires_in: 86_400,
            faults: Vec::new(),
            requests: Vec::new(),
            metering_requests: Vec::new(),
        };
        Self { state: Shared::new(state) }
    }

    /// Knows these contracts only, each with these dimensions (nothing for every dimension).
    #[must_use]
    pub fn only(self, contracts: BTreeMap<String, Option<BTreeSet<String>>>) -> Self {
        self.state.with(|state| state.contracts.only(contracts));
        self
    }

    /// Registers a contract as active, with these dimensions (nothing for every dimension).
    pub fn register(&self, contract: &str, dimensions: Option<BTreeSet<String>>) {
        self.state.with(|state| state.contracts.register(contract, dimensions));
    }

    /// Adds a dimension to a contract.
    pub fn register_dimension(&self, contract: &str, dimension: &str) {
        self.state.with(|state| state.contracts.register_dimension(contract, dimension));
    }

    /// Takes a dimension from a contract.
    pub fn forget_dimension(&self, contract: &str, dimension: &str) {
        self.state.with(|state| state.contracts.forget_dimension(contract, dimension));
    }

    /// Ends a contract: its records are refused from now on.
    pub fn deactivate(&self, contract: &str) {
        self.state.with(|state| state.contracts.deactivate(contract));
    }

    /// Takes a contract up again that was ended.
    pub fn activate(&self, contract: &str) {
        self.state.with(|state| state.contracts.activate(contract));
    }

    /// Makes answers fail from now on; faults are used up in their order, by requests that carry a valid token
    /// where one is needed.
    pub fn fail(&self, fault: ClazarFault) {
        self.state.with(|state| state.faults.push(fault));
    }

    /// Answers as it should again.
    pub fn clear_faults(&self) {
        self.state.with(|state| state.faults.clear());
    }

    /// Holds a record that came in another way, unless one of its hour is held.
    ///
    /// # Errors
    /// If it cannot be written to the file.
    pub fn hold(&self, record: HeldRecord) -> io::Result<()> {
        self.state.with(|state| {
            let slot = record.slot();
            if state.records.has(&slot) { Ok(()) } else { state.records.hold([(slot, record)].into()) }
        })
    }

    /// Takes back the tokens given out.
    pub fn revoke_tokens(&self) {
        self.state.with(|state| state.tokens.clear());
    }

    /// Gives out tokens that live so long, from now on.
    pub fn expires_in(&self, seconds: u64) {
        self.state.with(|state| state.expires_in = seconds);
    }

    /// What is held, by contract, dimension and hour.
    #[must_use]
    pub fn records(&self) -> Vec<HeldRecord> {
        self.state.with(|state| state.records.all().cloned().collect())
    }

    /// Method and path of every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.state.with(|state| state.requests.clone())
    }

    /// The body of every `POST /metering/` that came in, whatever became of it. One that is no JSON is a text.
    #[must_use]
    pub fn metering_requests(&self) -> Vec<Value> {
        self.state.with(|state| state.metering_requests.clone())
    }

    pub(crate) fn router(self) -> Router {
        // as Django does: a path without its last slash is another one, and there is nothing
        Router::new()
            .route("/authenticate/", post(authenticate))
            .route(METERING, post(meter))
            .route("/contracts/", get(list_contracts))
            .route("/buyers/", get(list_buyers))
            .route("/sandbox/records", get(list_records))
            .route("/sandbox/faults", post(add_fault))
            .route("/sandbox/contracts", post(add_contract))
            .route("/sandbox/contracts/{id}/deactivate", post(deactivate))
            .route("/sandbox/contracts/{id}/activate", post(activate))
            .fallback(async || detail(StatusCode::NOT_FOUND, "Not found."))
            .method_not_allowed_fallback(async || {
                detail(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.")
            })
            .layer(middleware::from_fn_with_state(self.clone(), attend))
            .with_state(self)
    }
}

impl SandboxState {
    fn note(&mut self, request: &Request<()>, body: &[u8]) {
        self.requests.push(format!("{} {}", request.method(), request.uri()));
        if request.method() == "POST" && request.uri().path() == METERING {
            let text = || Value::String(String::from_utf8_lossy(body).into_owned());
            self.metering_requests.push(serde_json::from_slice(body).unwrap_or_else(|_| text()));
        }
    }

    fn is_let_in(&self, headers: &HeaderMap) -> bool {
        let header = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let given = header.strip_prefix("Bearer ").unwrap_or_default();
        self.tokens.iter().any(|(token, end)| token == given && Instant::now() < *end)
    }

    fn give_token(&mut self) -> Value {
        self.given += 1;
        let token = id_of(&["token", &self.given.to_string()]);
        let end = Instant::now() + Duration::from_secs(self.expires_in.min(u64::from(u32::MAX)));
        self.tokens.push((token.clone(), end));
        json!({"access_token": token, "token_type": "bearer", "expires_in": self.expires_in})
    }
}

/// Notes each request, lets it in or not, and does to it what was asked for.
async fn attend(State(sandbox): State<ClazarSandbox>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // all of it, before anything is done: half a request counts for nothing
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return detail(StatusCode::BAD_REQUEST, "The request is incomplete or too large.");
    };
    let head = Request::from_parts(parts, ());
    let path = head.uri().path().to_owned();
    let is_let_in = sandbox.state.with(|state| {
        state.note(&head, &body);
        !WITH_TOKEN.contains(&path.as_str()) || state.is_let_in(head.headers())
    });
    if !is_let_in {
        return detail(StatusCode::UNAUTHORIZED, "Authentication credentials were not provided.");
    }
    let request = head.map(|()| Body::from(body));
    if path.starts_with("/sandbox/") {
        return next.run(request).await;
    }
    let fault = sandbox.state.with(|state| faults::take(&mut state.faults, &path));
    faults::answer(fault, request, next).await
}

#[derive(Deserialize)]
struct Credentials {
    client_id: String,
    client_secret: String,
}

async fn authenticate(State(sandbox): State<ClazarSandbox>, body: Bytes) -> Response {
    let credentials: Credentials = match serde_json::from_slice(&body) {
        Ok(credentials) => credentials,
        Err(error) => return detail(StatusCode::BAD_REQUEST, &format!("JSON parse error - {error}")),
    };
    let [(_, client_id), (_, client_secret)] = CLAZAR_CREDENTIALS;
    if credentials.client_id != client_id || credentials.client_secret != client_secret {
        return detail(StatusCode::UNAUTHORIZED, "Invalid client credentials.");
    }
    Json(sandbox.state.with(SandboxState::give_token)).into_response()
}

#[derive(Deserialize)]
struct Metering {
    request: Vec<metering::Submitted>,
}

async fn meter(
    State(sandbox): State<ClazarSandbox>,
    fault: Option<Extension<ClazarFaultKind>>,
    body: Bytes,
) -> Response {
    let submitted = match serde_json::from_slice::<Metering>(&body) {
        Ok(metering) => metering.request,
        Err(error) => return detail(StatusCode::BAD_REQUEST, &format!("JSON parse error - {error}")),
    };
    if submitted.is_empty() {
        return detail(StatusCode::BAD_REQUEST, "request: This list may not be empty.");
    }
    if submitted.len() > MOST_RECORDS {
        let message = format!("request: Ensure this field has no more than {MOST_RECORDS} elements.");
        return detail(StatusCode::BAD_REQUEST, &message);
    }
    let fault = fault.map(|Extension(kind)| kind);
    let results = sandbox
        .state
        .with(|state| metering::results(&mut state.records, &state.contracts, &submitted, fault.as_ref()));
    match results {
        Ok(results) => Json(json!({"results": results})).into_response(),
        Err(error) => {
            tracing::error!("the sandbox of Clazar cannot keep its records: {error}");
            detail(StatusCode::INTERNAL_SERVER_ERROR, "The records cannot be kept.")
        }
    }
}

async fn list_contracts(State(sandbox): State<ClazarSandbox>) -> Response {
    let contract = |id: &String| json!({"id": id, "buyer_id": buyer_id(id)});
    let results: Vec<Value> =
        sandbox.state.with(|state| state.seen_contracts().iter().map(contract).collect());
    Json(json!({"results": results})).into_response()
}

async fn list_buyers(State(sandbox): State<ClazarSandbox>) -> Response {
    let buyer = |contract: &String| {
        json!({
            "id": buyer_id(contract),
            "name": format!("Buyer of {contract}"),
            "cloud": "aws",
            "domain": "buyer.example",
            "registration_details": [],
        })
    };
    let results: Vec<Value> = sandbox.state.with(|state| state.seen_contracts().iter().map(buyer).collect());
    Json(json!({"results": results})).into_response()
}

impl SandboxState {
    /// Those registered, and those with records.
    fn seen_contracts(&self) -> BTreeSet<String> {
        let held = self.records.all().map(|record| record.contract_id.clone());
        self.contracts.registered().cloned().chain(held).collect()
    }
}

fn buyer_id(contract: &str) -> String {
    format!("buyer-{contract}")
}

async fn list_records(State(sandbox): State<ClazarSandbox>) -> Response {
    Json(json!({"records": sandbox.records()})).into_response()
}

async fn add_fault(State(sandbox): State<ClazarSandbox>, Json(fault): Json<ClazarFault>) -> StatusCode {
    sandbox.fail(fault);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct NewContract {
    contract_id: String,
    #[serde(default)]
    dimensions: Option<BTreeSet<String>>,
}

async fn add_contract(State(sandbox): State<ClazarSandbox>, Json(new): Json<NewContract>) -> StatusCode {
    sandbox.register(&new.contract_id, new.dimensions);
    StatusCode::NO_CONTENT
}

async fn deactivate(State(sandbox): State<ClazarSandbox>, Path(contract): Path<String>) -> StatusCode {
    sandbox.deactivate(&contract);
    StatusCode::NO_CONTENT
}

async fn activate(State(sandbox): State<ClazarSandbox>, Path(contract): Path<String>) -> StatusCode {
    sandbox.activate(&contract);
    StatusCode::NO_CONTENT
}

fn detail(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({"detail": detail}))).into_response()
}
