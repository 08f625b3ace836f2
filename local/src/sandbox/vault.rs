//! A stand-in for Vault, as far as secrets are read and written: AppRole, tokens, a namespace, a KV engine of each version, seals, and
//! faults on request.
//!
//! `secret/` is an engine of version 2 that wants check-and-set, `kv/` shows the same documents as one of version 1. Beside the API, for
//! whoever tries it by hand: `POST /sandbox/faults` (`{"kind": {"status": 503}, "times": 2}`) makes answers fail.

mod documents;
mod faults;

use std::collections::BTreeSet;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use self::documents::Documents;
pub use self::faults::{VaultFault, VaultFaultKind};
use crate::sandbox::faults::take as take_fault;
use crate::sandbox::ids::id_of;
use crate::sandbox::shared::Shared;
use crate::sandbox::{VAULT_CREDENTIALS, VAULT_TOKEN, secrets};

/// What a login with the AppRole may read.
const FOLDER: &str = "monthend/";

/// The sandbox; clones share one state.
#[derive(Clone, Debug)]
pub struct VaultSandbox {
    state: Shared<SandboxState>,
}

#[derive(Debug, Default)]
struct SandboxState {
    documents: Documents,
    namespace: Option<String>,
    tokens: BTreeSet<String>,
    sealed: bool,
    faults: Vec<VaultFault>,
    requests: Vec<String>,
}

impl VaultSandbox {
    /// A Vault with the credentials of the sandbox providers under `monthend/`.
    #[must_use]
    pub fn example() -> Self {
        let mut state = SandboxState::default();
        for (_, name, document) in secrets::of_providers() {
            state.documents.add(name, document);
        }
        Self { state: Shared::new(state) }
    }

    /// Adds a version of a document.
    pub fn put(&self, path: &str, document: Value) {
        self.state.with(|state| state.documents.add(path, document));
    }

    /// Deletes the newest version of a document, which can be undone.
    pub fn delete(&self, path: &str) {
        self.state.with(|state| state.documents.delete(path));
    }

    /// Destroys the newest version of a document.
    pub fn destroy(&self, path: &str) {
        self.state.with(|state| state.documents.destroy(path));
    }

    /// The newest version of a document and its number.
    #[must_use]
    pub fn newest(&self, path: &str) -> Option<(u64, Value)> {
        self.state.with(|state| state.documents.newest(path))
    }

    /// Has everything in that namespace from now on.
    pub fn move_into(&self, namespace: &str) {
        self.state.with(|state| state.namespace = Some(namespace.to_owned()));
    }

    /// Seals it, or unseals it.
    pub fn seal(&self, sealed: bool) {
        self.state.with(|state| state.sealed = sealed);
    }

    /// Makes answers fail from now on; faults are used up in their order.
    pub fn fail(&self, fault: VaultFault) {
        self.state.with(|state| state.faults.push(fault));
    }

    /// Method and path of every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.state.with(|state| state.requests.clone())
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/v1/secret/data/{*path}", any(versioned))
            .route("/v1/secret/{*path}", any(wrong_engine))
            .route("/v1/kv/{*path}", any(plain))
            .route_layer(middleware::from_fn_with_state(self.clone(), check_token))
            .route("/v1/auth/approle/login", post(log_in))
            .route("/sandbox/faults", post(add_fault))
            .fallback(async || refuse(StatusCode::NOT_FOUND, "no handler for route. route entry not found."))
            .layer(middleware::from_fn_with_state(self.clone(), attend))
            .with_state(self)
    }
}

/// What comes before everything else: seal, faults, the header that no form of a web page can send, and the namespace.
async fn attend(State(sandbox): State<VaultSandbox>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.starts_with("/v1/") {
        return next.run(request).await;
    }
    let (is_login, marked) = (path.starts_with("/v1/auth/"), header(request.headers(), "x-vault-request"));
    let namespace = header(request.headers(), "x-vault-namespace").map(|name| name.trim_matches('/'));
    let (sealed, here, fault) = sandbox.state.with(|state| {
        state.requests.push(format!("{} {path}", request.method()));
        (state.sealed, state.namespace.as_deref() == namespace, take_fault(&mut state.faults))
    });
    if sealed {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "Vault is sealed");
    }
    match (marked, here) {
        (Some("true"), true) => {}
        (Some("true"), false) if is_login => {
            return refuse(StatusCode::NOT_FOUND, "no handler for route. route entry not found.");
        }
        (Some("true"), false) => return refuse(StatusCode::FORBIDDEN, "permission denied"),
        _ => return refuse(StatusCode::PRECONDITION_FAILED, "missing required 'X-Vault-Request' header"),
    }
    match fault {
        Some(kind) => faults::apply(kind, next.run(request).await).await,
        None => next.run(request).await,
    }
}

/// A token of the AppRole reads one folder; the sandbox's own does everything.
async fn check_token(State(sandbox): State<VaultSandbox>, request: Request, next: Next) -> Response {
    let token = header(request.headers(), "x-vault-token").unwrap_or_default();
    let path = request.uri().path().trim_start_matches("/v1/");
    let document = path.strip_prefix("secret/data/").or(path.strip_prefix("kv/")).unwrap_or_default();
    let may_read = request.method() == Method::GET && (document.is_empty() || document.starts_with(FOLDER));
    let allowed =
        token == VAULT_TOKEN.1 || (may_read && sandbox.state.with(|state| state.tokens.contains(token)));
    if allowed { next.run(request).await } else { refuse(StatusCode::FORBIDDEN, "permission denied") }
}

async fn log_in(State(sandbox): State<VaultSandbox>, Json(ids): Json<Value>) -> Response {
    let [(_, role_id), (_, secret_id)] = VAULT_CREDENTIALS;
    if ids["role_id"] != role_id || ids["secret_id"] != secret_id {
        return refuse(StatusCode::BAD_REQUEST, "invalid role or secret ID");
    }
    let token = sandbox.state.with(|state| {
        let token = format!("hvs.{}", id_of(&["token", &state.tokens.len().to_string()]));
        state.tokens.insert(token.clone());
        token
    });
    answer(
        &Value::Null,
        &json!({
            "client_token": token,
            "accessor": "sandbox-accessor",
            "policies": ["default", "monthend"],
            "token_policies": ["default", "monthend"],
            "metadata": {"role_name": "monthend"},
            "lease_duration": 1200,
            "renewable": true,
            "entity_id": "0a7c1d5e-0000-4c1f-9d3e-7f5b8a6c4e22",
            "token_type": "service",
            "orphan": true,
        }),
    )
}

async fn versioned(
    State(sandbox): State<VaultSandbox>,
    method: Method,
    Path(path): Path<String>,
    body: axum::body::Bytes,
) -> Response {
    match method {
        Method::GET => match sandbox.state.with(|state| state.documents.read(&path)) {
            Some((true, data)) => answer(&data, &Value::Null),
            // there is a body, though: it says what became of the newest version
            Some((false, data)) => (StatusCode::NOT_FOUND, answer(&data, &Value::Null)).into_response(),
            None => none(json!([])),
        },
        Method::POST | Method::PUT => {
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let (cas, data) = (&body["options"]["cas"], body["data"].clone());
            let newest = sandbox.state.with(|state| state.documents.count(&path));
            match cas.as_u64() {
                None => refuse(StatusCode::BAD_REQUEST, "check-and-set parameter required for this call"),
                Some(cas) if cas != newest => {
                    let why = "check-and-set parameter did not match the current version";
                    refuse(StatusCode::BAD_REQUEST, why)
                }
                Some(_) if !data.is_object() => refuse(StatusCode::BAD_REQUEST, "no data provided"),
                Some(_) => {
                    answer(&sandbox.state.with(|state| state.documents.add(&path, data)), &Value::Null)
                }
            }
        }
        _ => refuse(StatusCode::METHOD_NOT_ALLOWED, "unsupported operation"),
    }
}

async fn plain(
    State(sandbox): State<VaultSandbox>,
    method: Method,
    Path(path): Path<String>,
    body: axum::body::Bytes,
) -> Response {
    match method {
        Method::GET => match sandbox.state.with(|state| state.documents.newest(&path)) {
            Some((_, data)) => answer(&data, &Value::Null),
            None => none(json!([])),
        },
        Method::POST | Method::PUT => {
            let data = serde_json::from_slice(&body).unwrap_or_default();
            sandbox.state.with(|state| state.documents.add(&path, data));
            StatusCode::NO_CONTENT.into_response()
        }
        _ => refuse(StatusCode::METHOD_NOT_ALLOWED, "unsupported operation"),
    }
}

async fn wrong_engine() -> Response {
    none(json!([
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use."
    ]))
}

async fn add_fault(State(sandbox): State<VaultSandbox>, Json(fault): Json<VaultFault>) -> StatusCode {
    sandbox.fail(fault);
    StatusCode::NO_CONTENT
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn answer(data: &Value, auth: &Value) -> Response {
    Json(json!({
        "request_id": id_of(&[&data.to_string(), &auth.to_string()]),
        "lease_id": "",
        "renewable": false,
        "lease_duration": 0,
        "data": data,
        "wrap_info": null,
        "warnings": null,
        "auth": auth,
    }))
    .into_response()
}

/// A 404, as for a path that nobody has written.
fn none(warnings: Value) -> Response {
    let body = match warnings.as_array() {
        Some(texts) if texts.is_empty() => json!({"errors": []}),
        _ => json!({"errors": [], "warnings": warnings}),
    };
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({"errors": [why]}))).into_response()
}
