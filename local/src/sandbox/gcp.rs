//! A stand-in for Google Cloud, as far as a billing export in BigQuery goes: tokens for signed assertions, query jobs that
//! take a while, pages, and Google's own errors.
//!
//! Beside the API, for whoever tries it by hand: `POST /sandbox/amend` lets late rows of the closing month appear.

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
pub use self::faults::GcpFault;
use self::jobs::{Jobs, PageQuery};
use super::access::bearer;
use super::provider::{Provider, Sandbox, does};

/// The project of the sandbox.
pub const GCP_PROJECT: &str = "billing-proj";
/// The table that it exports billing data to.
pub const GCP_BILLING_TABLE: &str = "billing-proj.billing.gcp_billing_export_v1_012345_567890_ABCDEF";
/// Where the dataset of that table is.
pub const GCP_LOCATION: &str = "EU";

/// The sandbox of Google Cloud.
pub type GcpSandbox = Sandbox<Gcp>;

/// A billing export, and the jobs that query it.
#[derive(Clone, Debug)]
pub struct Gcp {
    access: Access,
    export: Export,
    jobs: Jobs,
}

impl GcpSandbox {
    /// An export with rows of the month that closes, of the one before and of the one that runs. The same every time.
    #[must_use]
    pub fn example(closing: BillingMonth) -> Self {
        Self::of(Gcp { access: Access::default(), export: Export::example(closing), jobs: Jobs::default() })
    }

    /// The key file of the service account that opens it: a key of this process, made when it is first asked for.
    #[must_use]
    pub fn service_account_key() -> String {
        access::key_file().to_string()
    }

    /// The rows of a month from now on; none for a month of which nothing was exported.
    pub fn give(&self, month: BillingMonth, rows: Vec<GcpRow>) {
        self.with(|state| state.export.give(month, rows));
    }

    /// The recorded rows of June 2025, as if they were of that month.
    #[must_use]
    pub fn recorded_rows(month: BillingMonth) -> Vec<GcpRow> {
        export::recorded(month)
    }

    /// Late rows of the closing month appear.
    pub fn amend(&self) {
        self.with(|state| state.export.amend());
    }

    /// Takes back all tokens that were given out.
    pub fn revoke_tokens(&self) {
        self.with(|state| state.access.revoke_tokens());
    }

    /// Says of the tokens given out from now on that they last so long.
    pub fn tokens_last(&self, seconds: u64) {
        self.with(|state| state.access.lifetime_s = seconds);
    }

    /// Cuts pages after so many rows, as BigQuery does at 10 MB.
    pub fn cut_pages(&self, rows: usize) {
        self.with(|state| state.jobs.page_rows = rows.max(1));
    }

    /// Jobs are done when they have been asked for so often; the query itself is the first time.
    pub fn jobs_take(&self, answers: usize) {
        self.with(|state| state.jobs.answers_until_done = answers);
    }

    /// How many query jobs were started.
    #[must_use]
    pub fn jobs(&self) -> usize {
        self.with(|state| state.jobs.count())
    }
}

impl Provider for Gcp {
    type Fault = GcpFault;

    const API: &'static str = "/bigquery/";

    fn routes(sandbox: &GcpSandbox) -> Router<GcpSandbox> {
        let queries = "/bigquery/v2/projects/{project}/queries";
        Router::new()
            .route(queries, post(query))
            .route(&format!("{queries}/{{job}}"), get(results))
            .route_layer(middleware::from_fn_with_state(sandbox.clone(), check_access))
            .route("/token", post(token))
            .route("/sandbox/amend", does(GcpSandbox::amend))
            .fallback(async || refuse(404, "notFound", "Not Found"))
    }

    fn refuse(status: StatusCode) -> Response {
        faults::refuse(status, "accessDenied")
    }

    fn throttle(status: StatusCode) -> Response {
        faults::refuse(status, "rateLimitExceeded")
    }

    fn meets(fault: &GcpFault, path: &str) -> bool {
        match fault {
            GcpFault::Token(_) => path == "/token",
            _ => path.starts_with(Self::API),
        }
    }

    async fn fail(fault: GcpFault, answer: impl Future<Output = Response> + Send) -> Response {
        faults::apply(fault, answer).await
    }
}

async fn check_access(
    State(sandbox): State<GcpSandbox>,
    Path(path): Path<Vec<(String, String)>>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    if !sandbox.with(|state| state.access.knows(bearer(&headers))) {
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
    sandbox.with(|state| state.access.token(&body))
}

async fn query(State(sandbox): State<GcpSandbox>, axum::Json(request): axum::Json<Value>) -> Response {
    answer(sandbox.with(|state| state.jobs.query(&request, &state.export)))
}

async fn results(
    State(sandbox): State<GcpSandbox>,
    Path((_, job)): Path<(String, String)>,
    Query(page): Query<PageQuery>,
) -> Response {
    answer(sandbox.with(|state| state.jobs.results(&job, &page)))
}

fn answer(answered: Result<Value, jobs::Refusal>) -> Response {
    match answered {
        Ok(document) => axum::Json(document).into_response(),
        Err(refusal) => refuse(refusal.code, refusal.reason, &refusal.message),
    }
}
