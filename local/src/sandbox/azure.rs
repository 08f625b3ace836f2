//! A stand-in for Azure, all on one listener: the login, the management API with cost details reports and invoices, and blob
//! storage with the files of reports and with exports. Tokens are checked, links are signed.
//!
//! Beside the API, for whoever tries it by hand: `POST /sandbox/amend` restates the closing month.

mod access;
mod content;
mod faults;
mod reports;
mod storage;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use billing::month::BillingMonth;
use bytes::Bytes;
use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use self::access::{Access, Resource};
use self::content::Content;
pub use self::faults::{AzureFault, AzureReportFault};
use self::reports::Reports;
use self::storage::Container;
use crate::sandbox::access::header;
use crate::sandbox::provider::{Provider, Sandbox, does};
use crate::sandbox::{AZURE_ENROLLMENT, AZURE_SCOPE};

/// Invoices on one page.
const INVOICES_PAGE: usize = 1;

/// The sandbox of Azure.
pub type AzureSandbox = Sandbox<Azure>;

/// The costs of a billing profile, and the reports that were ordered of them.
#[derive(Clone, Debug)]
pub struct Azure {
    content: Content,
    access: Access,
    reports: Reports,
    container: Container,
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
    /// A billing profile with the month that closes, the one before and what came so far. The same every time; of June 2025 it
    /// is the recorded month itself.
    #[must_use]
    pub fn example(closing: BillingMonth) -> Self {
        let (content, container) = example(closing);
        Self::of(Azure { content, access: Access::default(), reports: Reports::default(), container })
    }

    /// Another month closes from now on.
    pub fn close(&self, closing: BillingMonth) {
        self.with(|state| (state.content, state.container) = example(closing));
    }

    /// Reports of days that begin in that month consist of these files: name and bytes.
    pub fn give(&self, month: BillingMonth, files: Vec<(String, Bytes)>) {
        self.with(|state| state.content.give(month, files));
    }

    /// The same for reports of amortised costs.
    pub fn give_amortized(&self, month: BillingMonth, files: Vec<(String, Bytes)>) {
        self.with(|state| state.content.give_amortized(month, files));
    }

    /// Writes a run of the export `costs` in the container `cost`; `run` is its time, `YYYYMMDDhhmm`, and `kind` its type, such
    /// as `FocusCost`. Answers the name of its manifest.
    pub fn export(&self, month: BillingMonth, run: &str, kind: &str, files: &[(String, Bytes)]) -> String {
        self.with(|state| state.container.add_run(month, run, kind, files))
    }

    /// Puts a blob into the container `cost`.
    pub fn put_blob(&self, name: &str, bytes: impl Into<Bytes>) {
        self.with(|state| state.container.put(name, bytes.into()));
    }

    /// Removes a blob of the container `cost`.
    pub fn remove_blob(&self, name: &str) {
        self.with(|state| state.container.remove(name));
    }

    /// The closing month has no invoice yet.
    pub fn without_invoice(&self) {
        self.with(|state| state.content.has_invoices = false);
    }

    /// How often a report is looked at before it is ready.
    pub fn looks(&self, looks: u32) {
        self.with(|state| state.reports.looks = looks);
    }

    /// Restates the closing month: a usage record moves to another resource group.
    pub fn amend(&self) {
        self.with(|state| state.content.amend());
    }
}

impl Provider for Azure {
    type Fault = AzureFault;

    fn routes(_: &AzureSandbox) -> Router<AzureSandbox> {
        Router::new().route("/sandbox/amend", does(AzureSandbox::amend)).fallback(entry)
    }

    fn refuse(status: StatusCode) -> Response {
        match status.as_u16() {
            400 => error(status, "BadRequest", "The maximum date range allowed is 1 month."),
            403 => {
                error(status, "RBACAccessDenied", "The client does not have authorization to perform action.")
            }
            429 => error(status, "429", "Too many requests. Please retry."),
            503 => error(status, "ServiceUnavailable", "Service is temporarily unavailable."),
            _ => error(status, "OnRequest", "on request"),
        }
    }

    /// Without the query, where signatures are.
    fn name(head: &Parts) -> String {
        format!("{} {}", head.method, head.uri.path())
    }

    fn meets(fault: &AzureFault, path: &str) -> bool {
        !matches!(fault, AzureFault::Report(_)) || path.ends_with("/generateCostDetailsReport")
    }

    async fn fail(fault: AzureFault, answer: impl Future<Output = Response> + Send) -> Response {
        faults::apply(fault, answer).await
    }
}

fn example(closing: BillingMonth) -> (Content, Container) {
    let content = Content::example(closing);
    let last = closing.end().date_naive().checked_sub_days(Days::new(1)).unwrap_or_default();
    let container = Container::example(closing, &content.files(closing.start().date_naive(), last));
    (content, container)
}

async fn entry(
    State(sandbox): State<AzureSandbox>,
    fault: Option<Extension<AzureFault>>,
    head: Parts,
    body: Bytes,
) -> Response {
    let query = head.uri.query().unwrap_or_default();
    let asked = Asked {
        method: head.method,
        path: head.uri.path().trim_matches('/').to_owned(),
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        base: format!("http://{}", header(&head.headers, "host").unwrap_or_default()),
        headers: head.headers,
        body,
    };
    sandbox.with(|state| {
        let report_fault = match fault {
            Some(Extension(AzureFault::Report(fault))) => Some(fault),
            Some(Extension(AzureFault::TokensEnd)) => {
                state.access.end_tokens();
                None
            }
            _ => None,
        };
        state.answer(&asked, report_fault)
    })
}

impl Azure {
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
