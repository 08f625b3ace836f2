//! A stand-in for Clazar's metering API: it holds each record once.
//!
//! Beside the API, for whoever tries it by hand: `GET /sandbox/records` lists what is held, `POST /sandbox/contracts`
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

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use self::contracts::Contracts;
pub use self::faults::ClazarFault;
pub use self::records::HeldRecord;
use self::records::HeldRecords;
use crate::sandbox::CLAZAR_CREDENTIALS;
use crate::sandbox::access::bearer;
use crate::sandbox::ids::id_of;
use crate::sandbox::provider::{Provider, Sandbox};

/// Clazar takes no more in one request.
const MOST_RECORDS: usize = 25;
const METERING: &str = "/metering/";
const WITH_TOKEN: [&str; 3] = [METERING, "/contracts/", "/buyers/"];

/// The sandbox of Clazar.
pub type ClazarSandbox = Sandbox<Clazar>;

/// Contracts and their records, and who may report them.
#[derive(Clone, Debug)]
pub struct Clazar {
    contracts: Contracts,
    records: HeldRecords,
    tokens: Vec<(String, Instant)>,
    /// How many tokens were given out: each is another.
    given: u64,
    expires_in: u64,
    metering_requests: Vec<Value>,
}

impl Default for Clazar {
    fn default() -> Self {
        Self::holding(HeldRecords::default())
    }
}

impl ClazarSandbox {
    /// A sandbox in memory that knows every contract and dimension.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A sandbox whose records survive it in that file, one JSON document a line. A last line that a killed process
    /// left unfinished is dropped.
    ///
    /// # Errors
    /// If the file cannot be read or written, or holds something else.
    pub fn in_file(path: PathBuf) -> io::Result<Self> {
        HeldRecords::in_file(&path).map(Clazar::holding).map(Self::of)
    }

    /// Knows these contracts only, each with these dimensions (nothing for every dimension).
    #[must_use]
    pub fn only(self, contracts: BTreeMap<String, Option<BTreeSet<String>>>) -> Self {
        self.with(|state| state.contracts.only(contracts));
        self
    }

    /// Registers a contract as active, with these dimensions (nothing for every dimension).
    pub fn register(&self, contract: &str, dimensions: Option<BTreeSet<String>>) {
        self.with(|state| state.contracts.register(contract, dimensions));
    }

    /// Adds a dimension to a contract.
    pub fn register_dimension(&self, contract: &str, dimension: &str) {
        self.with(|state| state.contracts.register_dimension(contract, dimension));
    }

    /// Takes a dimension from a contract.
    pub fn forget_dimension(&self, contract: &str, dimension: &str) {
        self.with(|state| state.contracts.forget_dimension(contract, dimension));
    }

    /// Ends a contract: its records are refused from now on.
    pub fn deactivate(&self, contract: &str) {
        self.with(|state| state.contracts.deactivate(contract));
    }

    /// Takes a contract up again that was ended.
    pub fn activate(&self, contract: &str) {
        self.with(|state| state.contracts.activate(contract));
    }

    /// Holds a record that came in another way, unless one of its hour is held.
    ///
    /// # Errors
    /// If it cannot be written to the file.
    pub fn hold(&self, record: HeldRecord) -> io::Result<()> {
        self.with(|state| {
            let slot = record.slot();
            if state.records.has(&slot) { Ok(()) } else { state.records.hold([(slot, record)].into()) }
        })
    }

    /// Takes back the tokens given out.
    pub fn revoke_tokens(&self) {
        self.with(|state| state.tokens.clear());
    }

    /// Gives out tokens that live so long, from now on.
    pub fn expires_in(&self, seconds: u64) {
        self.with(|state| state.expires_in = seconds);
    }

    /// What is held, by contract, dimension and hour.
    #[must_use]
    pub fn records(&self) -> Vec<HeldRecord> {
        self.with(|state| state.records.all().cloned().collect())
    }

    /// The body of every `POST /metering/` that came in, whatever became of it. One that is no JSON is a text.
    #[must_use]
    pub fn metering_requests(&self) -> Vec<Value> {
        self.with(|state| state.metering_requests.clone())
    }
}

impl Provider for Clazar {
    type Fault = ClazarFault;

    const PAGE: &'static str = "Clazar";

    fn routes(_: &ClazarSandbox) -> Router<ClazarSandbox> {
        // as Django does: a path without its last slash is another one, and there is nothing
        Router::new()
            .route("/authenticate/", post(authenticate))
            .route(METERING, post(meter))
            .route("/contracts/", get(list_contracts))
            .route("/buyers/", get(list_buyers))
            .route("/sandbox/records", get(list_records))
            .route("/sandbox/contracts", post(add_contract))
            .route("/sandbox/contracts/{id}/deactivate", post(deactivate))
            .route("/sandbox/contracts/{id}/activate", post(activate))
            .fallback(async || detail(StatusCode::NOT_FOUND, "Not found."))
            .method_not_allowed_fallback(async || {
                detail(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.")
            })
    }

    fn refuse(status: StatusCode) -> Response {
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            return (status, Html("<html>error</html>")).into_response();
        }
        detail(status, status.canonical_reason().unwrap_or("On request."))
    }

    fn admit(&mut self, head: &Parts, body: &Bytes) -> Option<Response> {
        let path = head.uri.path();
        if head.method == "POST" && path == METERING {
            let text = || Value::String(String::from_utf8_lossy(body).into_owned());
            self.metering_requests.push(serde_json::from_slice(body).unwrap_or_else(|_| text()));
        }
        let is_let_in = !WITH_TOKEN.contains(&path) || self.is_let_in(&head.headers);
        let why = "Authentication credentials were not provided.";
        (!is_let_in).then(|| detail(StatusCode::UNAUTHORIZED, why))
    }

    async fn fail(fault: ClazarFault, answer: impl Future<Output = Response> + Send) -> Response {
        faults::apply(fault, answer).await
    }
}

impl Clazar {
    fn holding(records: HeldRecords) -> Self {
        Self {
            contracts: Contracts::default(),
            records,
            tokens: Vec::new(),
            given: 0,
            expires_in: 86_400,
            metering_requests: Vec::new(),
        }
    }

    fn is_let_in(&self, headers: &HeaderMap) -> bool {
        let given = bearer(headers);
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
    Json(sandbox.with(Clazar::give_token)).into_response()
}

#[derive(Deserialize)]
struct Metering {
    request: Vec<metering::Submitted>,
}

async fn meter(
    State(sandbox): State<ClazarSandbox>,
    fault: Option<Extension<ClazarFault>>,
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
    let fault = fault.map(|Extension(fault)| fault);
    let results = sandbox
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
    let results: Vec<Value> = sandbox.with(|state| state.seen_contracts().iter().map(contract).collect());
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
    let results: Vec<Value> = sandbox.with(|state| state.seen_contracts().iter().map(buyer).collect());
    Json(json!({"results": results})).into_response()
}

impl Clazar {
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
