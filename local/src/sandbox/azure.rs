//! A stand-in for Azure, all on one listener: the login, the management API with cost details reports and invoices, and blob
//! storage with the files of reports and with exports. Tokens are checked, links are signed, faults come on request.
//!
//! Beside the API, for whoever tries it by hand: `POST /sandbox/amend` restates the closing month, `POST /sandbox/faults`
//! (`{"path": "invoices", "kind": {"status": 503}, "times": 2}`) makes answers fail.

mod access;
mod content;
mod faults;
mod reports;
mod storage;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use billing::month::BillingMonth;
use bytes::Bytes;
use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use self::access::{Access, Resource};
use self::content::Content;
pub use self::faults::{AzureFault, AzureFaultKind, AzureReportFault};
use self::reports::Reports;
use self::storage::Container;
use crate::sandbox::shared::Shared;
use crate::sandbox::{AZURE_ENROLLMENT, AZURE_SCOPE};

/// Invoices on one page.
const INVOICES_PAGE: usize = 1;
const LARGEST_REQUEST_BYTES: usize = 64 * 1024;

/// The sandbox; clones share one state.
#[derive(Clone, Debug)]
pub struct AzureSandbox {
    state: Shared<SandboxState>,
}

#[derive(Clone, Debug)]
struct SandboxState {
    content: Content,
    access: Access,
    reports: Reports,
    container: Container,
    faults: Vec<AzureFault>,
    requests: Vec<String>,
}

/// One request, taken apart.
struct Asked {
    method: Method,
    path: String,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    body: Bytes,
    /// Where this server is, as the caller knows it.
    base: String,
}

impl AzureSandbox {
    /// Another one that is as this one is now.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { state: self.state.copy() }
    }

    /// A billing profile with the month that closes, the one before and what came so far. The same every time; of June 2025 it
    /// is the recorded month itself.
    #[must_use]
    pub fn example(closing: BillingMonth) -> Self {
        let (content, container) = example(closing);
        let state = SandboxState {
            content,
            access: Access::default(),
            reports: Reports::default(),
            container,
            faults: Vec::new(),
            requests: Vec::new(),
        };
        Self { state: Shared::new(state) }
    }

    /// Another month closes from now on.
    pub fn close(&self, closing: BillingMonth) {
        self.state.with(|state| (state.content, state.container) = example(closing));
    }

    /// Reports of days that begin in that month consist of these files: name and bytes.
    pub fn give(&self, month: BillingMonth, files: Vec<(String, Bytes)>) {
        self.state.with(|state| state.content.give(month, files));
    }

    /// The same for reports of amortised costs.
    pub fn give_amortized(&self, month: BillingMonth, files: Vec<(String, Bytes)>) {
        self.state.with(|state| state.content.give_amortized(month, files));
    }

    /// Writes a run of the export `costs` in the container `cost`; `run` is its time, `YYYYMMDDhhmm`, and `kind` its type, such
    /// as `FocusCost`. Answers the name of its manifest.
    pub fn export(&self, month: BillingMonth, run: &str, kind: &str, files: &[(String, Bytes)]) -> String {
        self.state.with(|state| state.container.add_run(month, run, kind, files))
    }

    /// Puts a blob into the container `cost`.
    pub fn put_blob(&self, name: &str, bytes: impl Into<Bytes>) {
        self.state.with(|state| state.container.put(name, bytes.into()));
    }

    /// Removes a blob of the container `cost`.
    pub fn remove_blob(&self, name: &str) {
        self.state.with(|state| state.container.remove(name));
    }

    /// The closing month has no invoice yet.
    pub fn without_invoice(&self) {
        self.state.with(|state| state.content.has_invoices = false);
    }

    /// How often a report is looked at before it is ready.
    pub fn looks(&self, looks: u32) {
        self.state.with(|state| state.reports.looks = looks);
    }

    /// Makes answers fail from now on; faults are used up in their order.
    pub fn fail(&self, fault: AzureFault) {
        self.state.with(|state| state.faults.push(fault));
    }

    /// Restates the closing month: a usage record moves to another resource group.
    pub fn amend(&self) {
        self.state.with(|state| state.content.amend());
    }

    /// Method and path of every request so far; not the queries, where signatures are.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.state.with(|state| state.requests.clone())
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/sandbox/amend", post(amend))
            .route("/sandbox/faults", post(add_fault))
            .fallback(entry)
            .with_state(self)
    }
}

fn example(closing: BillingMonth) -> (Content, Container) {
    let content = Content::example(closing);
    let last = closing.end().date_naive().checked_sub_days(Days::new(1)).unwrap_or_default();
    let container = Container::example(closing, &content.files(closing.start().date_naive(), last));
    (content, container)
}

async fn entry(State(sandbox): State<AzureSandbox>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_REQUEST_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let query = parts.uri.query().unwrap_or_default();
    let host = parts.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let asked = Asked {
        method: parts.method,
        path: parts.uri.path().trim_matches('/').to_owned(),
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        base: format!("http://{host}"),
        headers: parts.headers,
        body,
    };
    let (answer, fault) = sandbox.state.with(|state| {
        state.requests.push(format!("{} /{}", asked.method, asked.path));
        let fault = faults::take(&mut state.faults, &asked.path);
        let report_fault = match fault {
            Some(AzureFaultKind::Report(fault)) => Some(fault),
            _ => None,
        };
        if fault == Some(AzureFaultKind::TokensEnd) {
            state.access.end_tokens();
        }
        (state.answer(&asked, report_fault), fault)
    });
    match fault {
        Some(kind) => faults::apply(kind, answer).await,
        None => answer,
    }
}

impl SandboxState {
    fn answer(&mut self, asked: &Asked, fault: Option<AzureReportFault>) -> Response {
        let path = asked.path.as_str();
        if let Some(tenant) = path.strip_suffix("/oauth2/v2.0/token").filter(|_| asked.method == Method::POST)
        {
            return self.access.sign_in(tenant, &asked.body);
        }
        let first = path.split('/').next().unwrap_or_default();
        if first == reports::FILES {
            return self.reports.file(path, &asked.query, &asked.headers);
        }
        if first == storage::CONTAINER {
            let refused = self.access.check(&asked.headers, Resource::Storage);
            let blob = path.split_once('/').map(|(_, blob)| blob);
            return refused.unwrap_or_else(|| self.container.answer(blob, &asked.query, &asked.headers));
        }
        if let Some(refused) = self.access.check(&asked.headers, Resource::Management) {
            return refused;
        }
        let of = |scope| Some((scope, path.strip_prefix(scope)?.strip_prefix('/')?));
        let Some((scope, under)) = of(AZURE_SCOPE).or_else(|| of(AZURE_ENROLLMENT)) else {
            let why = "The client does not have authorization to perform action.";
            return error(StatusCode::FORBIDDEN, "RBACAccessDenied", why);
        };
        if !asked.query.contains_key("api-version") {
            let why = "The api-version query parameter (?api-version=) is required for all requests.";
            return error(StatusCode::BAD_REQUEST, "MissingApiVersionParameter", why);
        }
        let costs = under.strip_prefix("providers/Microsoft.CostManagement/");
        match (&asked.method, costs, under) {
            (&Method::POST, Some("generateCostDetailsReport"), _) => {
                self.reports.order(&asked.base, scope, &asked.body, &self.content, fault)
            }
            (&Method::GET, Some(job), _) if job.starts_with("costDetailsOperationResults/") => {
                self.reports.look(&asked.base, job.rsplit('/').next().unwrap_or_default())
            }
            (&Method::GET, None, "invoices") if scope == AZURE_SCOPE => self.invoices(asked),
            _ => error(StatusCode::NOT_FOUND, "InvalidResourceType", "The resource type could not be found."),
        }
    }

    fn invoices(&self, asked: &Asked) -> Response {
        let date = |name: &str| asked.query.get(name)?.parse::<NaiveDate>().ok();
        let (Some(start), Some(end)) = (date("periodStartDate"), date("periodEndDate")) else {
            return error(
                StatusCode::BAD_REQUEST,
                "BadRequest",
                "periodStartDate and periodEndDate are required.",
            );
        };
        let all = self.content.invoices(start, end);
        let from = asked.query.get("$skiptoken").and_then(|token| token.parse::<usize>().ok()).unwrap_or(0);
        let page: Vec<&Value> = all.iter().skip(from).take(INVOICES_PAGE).collect();
        let next = from + page.len();
        let next_link = (next < all.len()).then(|| {
            format!(
                "{}/{}?api-version=2024-04-01&periodStartDate={start}&periodEndDate={end}&$skiptoken={next}",
                asked.base, asked.path
            )
        });
        json_of(&json!({"value": page, "nextLink": next_link}))
    }
}

fn json_of(body: &Value) -> Response {
    axum::Json(body).into_response()
}

/// Azure's error document.
fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, axum::Json(json!({"error": {"code": code, "message": message}}))).into_response()
}

async fn amend(State(sandbox): State<AzureSandbox>) -> StatusCode {
    sandbox.amend();
    StatusCode::NO_CONTENT
}

async fn add_fault(
    State(sandbox): State<AzureSandbox>,
    axum::Json(fault): axum::Json<AzureFault>,
) -> StatusCode {
    sandbox.fail(fault);
    StatusCode::NO_CONTENT
}
