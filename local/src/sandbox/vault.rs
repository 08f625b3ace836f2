//! A stand-in for Vault, as far as secrets are read and written: AppRole, tokens, a namespace, a KV engine of each version, and seals.
//!
//! `secret/` is an engine of version 2 that wants check-and-set, `kv/` shows the same documents as one of version 1.

mod documents;

use std::collections::BTreeSet;

use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use self::documents::Documents;
use crate::sandbox::access::header;
use crate::sandbox::ids::id_of;
use crate::sandbox::provider::{Provider, Sandbox};
use crate::sandbox::{VAULT_CREDENTIALS, VAULT_TOKEN, secrets};

/// What a login with the AppRole may read.
const FOLDER: &str = "monthend/";
const NO_ROUTE: &str = "no handler for route. route entry not found.";

/// The sandbox of Vault.
pub type VaultSandbox = Sandbox<Vault>;

/// Documents, and who may read them.
#[derive(Clone, Debug, Default)]
pub struct Vault {
    documents: Documents,
    namespace: Option<String>,
    tokens: BTreeSet<String>,
    sealed: bool,
}

/// How only Vault fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VaultFault {
    /// Nothing is done; this text in the error document of a 400.
    Message(String),
}

impl VaultSandbox {
    /// A Vault with the credentials of the sandbox providers under `monthend/`.
    #[must_use]
    pub fn example() -> Self {
        let mut vault = Vault::default();
        for (_, name, document) in secrets::of_providers() {
            vault.documents.add(name, document);
        }
        Self::of(vault)
    }

    /// Adds a version of a document.
    pub fn put(&self, path: &str, document: Value) {
        self.with(|state| state.documents.add(path, document));
    }

    /// Deletes the newest version of a document, which can be undone.
    pub fn delete(&self, path: &str) {
        self.with(|state| state.documents.delete(path));
    }

    /// Destroys the newest version of a document.
    pub fn destroy(&self, path: &str) {
        self.with(|state| state.documents.destroy(path));
    }

    /// The newest version of a document and its number.
    #[must_use]
    pub fn newest(&self, path: &str) -> Option<(u64, Value)> {
        self.with(|state| state.documents.newest(path))
    }

    /// Has everything in that namespace from now on.
    pub fn move_into(&self, namespace: &str) {
        self.with(|state| state.namespace = Some(namespace.to_owned()));
    }

    /// Seals it, or unseals it.
    pub fn seal(&self, sealed: bool) {
        self.with(|state| state.sealed = sealed);
    }
}

impl Provider for Vault {
    type Fault = VaultFault;

    const API: &'static str = "/v1/";

    fn routes(sandbox: &VaultSandbox) -> Router<VaultSandbox> {
        Router::new()
            .route("/v1/secret/data/{*path}", any(versioned))
            .route("/v1/secret/{*path}", any(wrong_engine))
            .route("/v1/kv/{*path}", any(plain))
            .route_layer(middleware::from_fn_with_state(sandbox.clone(), check_token))
            .route("/v1/auth/approle/login", post(log_in))
            .fallback(async || refuse(StatusCode::NOT_FOUND, NO_ROUTE))
    }

    fn refuse(status: StatusCode) -> Response {
        refuse(status, "on request")
    }

    /// What comes before everything else: seal, the header that no form of a web page can send, and the namespace.
    fn admit(&mut self, head: &Parts, _: &Bytes) -> Option<Response> {
        let path = head.uri.path();
        let namespace = header(&head.headers, "x-vault-namespace").map(|name| name.trim_matches('/'));
        if !path.starts_with(Self::API) {
            None
        } else if self.sealed {
            Some(refuse(StatusCode::SERVICE_UNAVAILABLE, "Vault is sealed"))
        } else if header(&head.headers, "x-vault-request") != Some("true") {
            Some(refuse(StatusCode::PRECONDITION_FAILED, "missing required 'X-Vault-Request' header"))
        } else if self.namespace.as_deref() == namespace {
            None
        } else if path.starts_with("/v1/auth/") {
            Some(refuse(StatusCode::NOT_FOUND, NO_ROUTE))
        } else {
            Some(refuse(StatusCode::FORBIDDEN, "permission denied"))
        }
    }

    async fn fail(fault: VaultFault, _: impl Future<Output = Response> + Send) -> Response {
        match fault {
            VaultFault::Message(text) => refuse(StatusCode::BAD_REQUEST, &text),
        }
    }
}

/// A token of the AppRole reads one folder; the sandbox's own does everything.
async fn check_token(State(sandbox): State<VaultSandbox>, request: Request, next: Next) -> Response {
    let token = header(request.headers(), "x-vault-token").unwrap_or_default();
    let path = request.uri().path().trim_start_matches("/v1/");
    let document = path.strip_prefix("secret/data/").or(path.strip_prefix("kv/")).unwrap_or_default();
    let may_read = request.method() == Method::GET && (document.is_empty() || document.starts_with(FOLDER));
    let allowed = token == VAULT_TOKEN.1 || (may_read && sandbox.with(|state| state.tokens.contains(token)));
    if allowed { next.run(request).await } else { refuse(StatusCode::FORBIDDEN, "permission denied") }
}

async fn log_in(State(sandbox): State<VaultSandbox>, Json(ids): Json<Value>) -> Response {
    let [(_, role_id), (_, secret_id)] = VAULT_CREDENTIALS;
    if ids["role_id"] != role_id || ids["secret_id"] != secret_id {
        return refuse(StatusCode::BAD_REQUEST, "invalid role or secret ID");
    }
    let token = sandbox.with(|state| {
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
    body: Bytes,
) -> Response {
    match method {
        Method::GET => match sandbox.with(|state| state.documents.read(&path)) {
            Some((true, data)) => answer(&data, &Value::Null),
            // there is a body, though: it says what became of the newest version
            Some((false, data)) => (StatusCode::NOT_FOUND, answer(&data, &Value::Null)).into_response(),
            None => none(json!([])),
        },
        Method::POST | Method::PUT => {
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let (cas, data) = (&body["options"]["cas"], body["data"].clone());
            let newest = sandbox.with(|state| state.documents.count(&path));
            match cas.as_u64() {
                None => refuse(StatusCode::BAD_REQUEST, "check-and-set parameter required for this call"),
                Some(cas) if cas != newest => {
                    let why = "check-and-set parameter did not match the current version";
                    refuse(StatusCode::BAD_REQUEST, why)
                }
                Some(_) if !data.is_object() => refuse(StatusCode::BAD_REQUEST, "no data provided"),
                Some(_) => answer(&sandbox.with(|state| state.documents.add(&path, data)), &Value::Null),
            }
        }
        _ => refuse(StatusCode::METHOD_NOT_ALLOWED, "unsupported operation"),
    }
}

async fn plain(
    State(sandbox): State<VaultSandbox>,
    method: Method,
    Path(path): Path<String>,
    body: Bytes,
) -> Response {
    match method {
        Method::GET => match sandbox.with(|state| state.documents.newest(&path)) {
            Some((_, data)) => answer(&data, &Value::Null),
            None => none(json!([])),
        },
        Method::POST | Method::PUT => {
            let data = serde_json::from_slice(&body).unwrap_or_default();
            sandbox.with(|state| state.documents.add(&path, data));
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
