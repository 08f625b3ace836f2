//! A stand-in for Google Cloud, as far as a billing export in BigQuery goes: tokens for signed assertions, query jobs that
//! take a while, pages, Google's own errors, and faults on request.
//!
//! Beside the API, for whoever tries it by hand: `POST /sandbox/amend` lets late rows of the closing month appear,
//! `POST /sandbox/faults` (`{"kind": {"status": 503}, "times": 2}`) makes answers fail.

mod access;
mod export;
mod faults;
mod jobs;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use billing::month::BillingMonth;
use serde_json::{Value, json};

use self::access::Access;
use self::export::Export;
pub use self::export::GcpRow;
pub use self::faults::{GcpFault, GcpFaultKind};
use self::jobs::{Jobs, PageQuery};
use super::shared::Shared;

/// The project of the sandbox.
pub const GCP_PROJECT: &str = "billing-proj";
/// The table that it exports billing data to.
pub const GCP_BILLING_TABLE: &str = "billing-proj.billing.gcp_billing_export_v1_012345_567890_ABCDEF";
/// Where the dataset of that table is.
pub const GCP_LOCATION: &str = "EU";

/// The sandbox; clones share one state.
#[derive(Clone, Debug)]
pub struct GcpSandbox {
    state: Shared<SandboxState>,
}

#[derive(Clone, Debug)]
struct SandboxState {
    access: Access,
    export: Export,
    jobs: Jobs,
    faults: Vec<GcpFault>,
    requests: Vec<String>,
}

impl GcpSandbox {
    /// Another one that is as this one is now.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { state: self.state.copy() }
    }

    /// An export with rows of the month that closes, of the one before and of the one that runs. The same every time.
    #[must_use]
    pub fn example(closing: BillingMonth) -> Self {
        let state = SandboxState {
            access: Access::default(),
            export: Export::example(closing),
            jobs: Jobs::default(),
            faults: Vec::new(),
            requests: Vec::new(),
        };
        Self { state: Shared::new(state) }
    }

    /// The key file of the service account that opens it: a key of this process, made when it is first asked for.
    #[must_use]
    pub fn service_account_key() -> String {
        access::key_file().to_string()
    }

    /// The rows of a month from now on; none for a month of which nothing was exported.
    pub fn give(&self, month: BillingMonth, rows: Vec<GcpRow>) {
        self.state.with(|state| state.export.give(month, rows));
    }

    /// The recorded rows of June 2025, as if they were of that month.
    #[must_use]
    pub fn recorded_rows(month: BillingMonth) -> Vec<GcpRow> {
        export::recorded(month)
    }

    /// Late rows of the closing month appear.
    pub fn amend(&self) {
        self.state.with(|state| state.export.amend());
    }

    /// Makes answers fail from now on; faults are used up in their order.
    pub fn fail(&self, fault: GcpFault) {
        self.state.with(|state| state.faults.push(fault));
    }

    /// Takes back all tokens that were given out.
    pub fn revoke_tokens(&self) {
        self.state.with(|state| state.access.revoke_tokens());
    }

    /// Says of the tokens given out from now on that they last so long.
    pub fn tokens_last(&self, seconds: u64) {
        self.state.with(|state| state.access.lifetime_s = seconds);
    }

    /// Cuts pages after so many rows, as BigQuery does at 10 MB.
    pub fn cut_pages(&self, rows: usize) {
        self.state.with(|state| state.jobs.page_rows = rows.max(1));
    }

    /// Jobs are done when they have been asked for so often; the query itself is the first time.
    pub fn jobs_take(&self, answers: usize) {
        self.state.with(|state| state.jobs.answers_until_done = answers);
    }

    /// How many query jobs were started.
    #[must_use]
    pub fn jobs(&self) -> usize {
        self.state.with(|state| state.jobs.count())
    }

    /// Method, path and query of every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.state.with(|state| state.requests.clone())
    }

    pub(crate) fn router(self) -> Router {
        let queries = "/bigquery/v2/projects/{project}/queries";
        Router::new()
            .route(queries, post(query))
            .route(&format!("{queries}/{{job}}"), get(results))
            .route_layer(middleware::from_fn_with_state(self.clone(), check_access))
            .route("/token", post(token))
            .route("/sandbox/amend", post(amend))
            .route("/sandbox/faults", post(add_fault))
            .fallback(async || refuse(404, "notFound", "Not Found"))
            .layer(middleware::from_fn_with_state(self.clone(), note_and_fail))
            .with_state(self)
    }
}

async fn note_and_fail(State(sandbox): State<GcpSandbox>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let fault = sandbox.state.with(|state| {
        state.requests.push(format!("{} {}", request.method(), request.uri()));
        faults::take(&mut state.faults, &path)
    });
    match fault {
        Some(kind) => faults::apply(kind, next.run(request).await).await,
        None => next.run(request).await,
    }
}

async fn check_access(
    State(sandbox): State<GcpSandbox>,
    Path(path): Path<Vec<(String, String)>>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let given = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !sandbox.state.with(|state| state.access.knows(given)) {
        let said = "Request had invalid authentication credentials. Expected OAuth 2 access token.";
        return refuse(401, "authError", said);
    }
    match path.iter().find(|(name, _)| name == "project") {
        Some((_, project)) if project == GCP_PROJECT => next.run(request).await,
        other => {
            let project = other.map(|(_, project)| project.as_str()).unwrap_or_default();
            let said = format!(
                "Access Denied: Project {project}: User does not have bigquery.jobs.create permission in project {project}."
            );
            refuse(403, "accessDenied", &said)
        }
    }
}

/// Google's error document.
fn refuse(code: u16, reason: &str, message: &str) -> Response {
    let status = match code {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    let errors = json!([{"message": message, "domain": "global", "reason": reason}]);
    let error = json!({"error": {"code": code, "message": message, "errors": errors, "status": status}});
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, axum::Json(error)).into_response()
}

async fn token(State(sandbox): State<GcpSandbox>, body: String) -> Response {
    sandbox.state.with(|state| state.access.token(&body))
}

async fn query(State(sandbox): State<GcpSandbox>, axum::Json(request): axum::Json<Value>) -> Response {
    answer(sandbox.state.with(|state| state.jobs.query(&request, &state.export)))
}

async fn results(
    State(sandbox): State<GcpSandbox>,
    Path((_, job)): Path<(String, String)>,
    Query(page): Query<PageQuery>,
) -> Response {
    answer(sandbox.state.with(|state| state.jobs.results(&job, &page)))
}

fn answer(answered: Result<Value, jobs::Refusal>) -> Response {
    match answered {
        Ok(document) => axum::Json(document).into_response(),
        Err(refusal) => refuse(refusal.code, refusal.reason, &refusal.message),
    }
}

async fn amend(State(sandbox): State<GcpSandbox>) -> StatusCode {
    sandbox.amend();
    StatusCode::NO_CONTENT
}

async fn add_fault(State(sandbox): State<GcpSandbox>, axum::Json(fault): axum::Json<GcpFault>) -> StatusCode {
    sandbox.fail(fault);
    StatusCode::NO_CONTENT
}
