//! A stand-in for what AWS says of a bill: Cost Explorer, Invoicing and Organizations behind one address, told apart by
//! `X-Amz-Target` and signed with Signature Version 4 for real; and the exports, which are objects in a bucket of their own.
//!
//! All of them tell of the same lines: those of a CUR 2.0 export, moved to the month that closes, with less in the month before
//! and in the running one. Beside the API, for whoever tries it by hand: `POST /sandbox/amend` restates the closing month,
//! `POST /sandbox/deliver` delivers the exports anew without a change, `POST /sandbox/faults`
//! (`{"kind": "throttle", "times": 2, "operation": "GetCostAndUsage"}`) makes answers fail.

mod accounts;
mod costs;
mod example;
mod export;
mod faults;
mod invoices;
mod legacy;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use billing::month::BillingMonth;
use serde_json::{Value, json};

use crate::credentials::Credentials;
use crate::files;
use crate::sandbox::ids::id_of;
use crate::sandbox::shared::Shared;
use crate::signature::{self, Refusal};

use self::example::Bill;
pub use self::export::Packing;
pub use self::faults::{AwsFault, AwsFaultKind};

/// The account that pays.
pub const AWS_ACCOUNT: &str = "111122223333";
/// The bucket that AWS exports to.
pub const AWS_EXPORT_BUCKET: &str = "aws-exports";
/// What the exports' keys begin with.
pub const AWS_EXPORT_PREFIX: &str = "dataexports";
/// The export of CUR 2.0, in a folder for each month that is written again.
pub const AWS_CUR2: &str = "cur2-hourly";
/// The export of FOCUS 1.2, in a folder for each execution.
pub const AWS_FOCUS: &str = "focus12";

/// The sandbox; clones share one state.
#[derive(Clone, Debug)]
pub struct AwsSandbox {
    state: Shared<SandboxState>,
}

#[derive(Clone, Debug)]
struct SandboxState {
    closing: BillingMonth,
    /// The month before, the closing one and the running one.
    bills: Arc<[Bill]>,
    /// Deliveries of the exports so far.
    deliveries: u32,
    /// Where the embedded S3 keeps the objects of the exports' bucket.
    folder: Option<PathBuf>,
    faults: Vec<AwsFault>,
    requests: Vec<String>,
    /// Lists that are under way: the request without its token, and how many were told already.
    tokens: BTreeMap<String, (Value, usize)>,
}

impl AwsSandbox {
    /// Another one that is as this one is now.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { state: self.state.copy() }
    }

    /// An organisation of three accounts over the month that closes, the one before and the one after. The same every time.
    #[must_use]
    pub fn example(closing: BillingMonth) -> Self {
        let state = SandboxState {
            closing,
            bills: bills(Bill::closing(closing)),
            deliveries: 1,
            folder: None,
            faults: Vec::new(),
            requests: Vec::new(),
            tokens: BTreeMap::new(),
        };
        Self { state: Shared::new(state) }
    }

    /// Makes answers fail from now on; faults are used up in their order.
    pub fn fail(&self, fault: AwsFault) {
        self.state.with(|state| state.faults.push(fault));
    }

    /// Restates the closing month: a refund, with a credit memo of its own. Exports are delivered anew.
    ///
    /// # Errors
    /// If the exports cannot be written.
    pub fn amend(&self) -> io::Result<()> {
        self.state.with(|state| state.bills = bills(state.bills[1].amended()));
        self.deliver()
    }

    /// Leaves a few rows of the closing month, for tests that ask for it thousands of times.
    ///
    /// # Errors
    /// If the exports cannot be written.
    pub fn shrink(&self) -> io::Result<()> {
        self.state.with(|state| state.bills = bills(Bill::small(state.closing)));
        self.deliver()
    }

    /// Delivers the exports anew: other executions, the same rows unless they were amended.
    ///
    /// # Errors
    /// If the exports cannot be written.
    pub fn deliver(&self) -> io::Result<()> {
        let folder = self.state.with(|state| {
            state.deliveries += 1;
            state.folder.clone()
        });
        folder.map_or(Ok(()), |folder| self.write(&folder))
    }

    /// Operation of every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.state.with(|state| state.requests.clone())
    }

    /// The exports as objects: key and bytes, each month's manifest after its data.
    #[must_use]
    pub fn objects(&self) -> Vec<(String, Vec<u8>)> {
        let (bills, deliveries, closing) =
            self.state.with(|state| (state.bills.clone(), state.deliveries, state.closing));
        let focus = export::focus(closing, deliveries);
        bills.iter().flat_map(|bill| export::cur2(bill, deliveries)).chain(focus).collect()
    }

    /// The closing month as a legacy Cost and Usage Report called `cur1` below `legacy/`, as objects.
    #[must_use]
    pub fn legacy_objects(&self, packing: Packing) -> Vec<(String, Vec<u8>)> {
        let (bills, deliveries, closing) =
            self.state.with(|state| (state.bills.clone(), state.deliveries, state.closing));
        let closing = bills.iter().find(|bill| bill.month == closing);
        closing.map(|bill| legacy::report(bill, deliveries, packing)).unwrap_or_default()
    }

    /// Writes the exports into the folder of their bucket whenever they are delivered, and perhaps now.
    pub(crate) fn write_to(&self, folder: &Path, now: bool) -> io::Result<()> {
        self.state.with(|state| state.folder = Some(folder.to_owned()));
        if now { self.write(folder) } else { Ok(()) }
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        for (key, bytes) in self.objects() {
            files::write_changed(&folder.join(key), &bytes)?;
        }
        Ok(())
    }

    pub(crate) fn router(self, credentials: Credentials) -> Router {
        Router::new()
            .route("/", post(answer))
            .layer(Extension(credentials))
            .route("/sandbox/amend", post(async |State(sandbox): State<Self>| written(sandbox.amend())))
            .route("/sandbox/deliver", post(async |State(sandbox): State<Self>| written(sandbox.deliver())))
            .route("/sandbox/faults", post(add_fault))
            .with_state(self)
    }
}

impl SandboxState {
    /// What a list has after `told` entries: that many, and the token for what follows.
    fn page<T>(
        &mut self,
        request: &Value,
        all: Vec<T>,
        size: usize,
        lost: usize,
    ) -> Result<(Vec<T>, Option<String>), Refusal> {
        let (mut asked, mut told) = (request.clone(), 0);
        let token = ["NextPageToken", "NextToken"]
            .into_iter()
            .find_map(|name| asked.as_object_mut().and_then(|members| members.remove(name)));
        if let Some(token) = token.as_ref().and_then(Value::as_str) {
            let invalid = || {
                Refusal(
                    StatusCode::BAD_REQUEST,
                    "InvalidNextTokenException",
                    "The pagination token is invalid.".into(),
                )
            };
            let (before, offset) = self.tokens.get(token).ok_or_else(invalid)?;
            if *before != asked {
                let what = "Your request parameters changed between pages.".to_owned();
                return Err(Refusal(StatusCode::BAD_REQUEST, "RequestChangedException", what));
            }
            told = *offset;
        }
        let next = (told + size < all.len()).then(|| {
            let offset = told + size + lost;
            (id_of(&[&asked.to_string(), &offset.to_string()]), offset)
        });
        if let Some((next, offset)) = &next {
            self.tokens.insert(next.clone(), (asked, *offset));
        }
        Ok((all.into_iter().skip(told).take(size).collect(), next.map(|(next, _)| next)))
    }
}

/// The month before, the closing one and the running one.
fn bills(closing: Bill) -> Arc<[Bill]> {
    let month = closing.month;
    [Bill::before(month.previous()), closing, Bill::running(month.next())].into()
}

async fn answer(
    State(sandbox): State<AwsSandbox>,
    Extension(credentials): Extension<Credentials>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (service, operation) = match target {
        "AWSInsightsIndexService.GetCostAndUsage" => ("ce", "GetCostAndUsage"),
        "Invoicing.ListInvoiceSummaries" => ("invoicing", "ListInvoiceSummaries"),
        "AWSOrganizationsV20161128.ListAccounts" => ("organizations", "ListAccounts"),
        _ => {
            return refuse("", &Refusal(StatusCode::BAD_REQUEST, "UnknownOperationException", String::new()));
        }
    };
    let fault = sandbox.state.with(|state| {
        state.requests.push(operation.to_owned());
        faults::take(&mut state.faults, operation)
    });
    if let Err(refusal) = signature::verify(&credentials, &headers, &body, service, "/") {
        return refuse(service, &refusal);
    }
    if let Some(refusal) = fault.as_ref().and_then(|kind| faults::refusal(kind, service)) {
        return faults::with_hint(fault.as_ref(), refuse(service, &refusal));
    }
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let lost = usize::from(fault == Some(AwsFaultKind::LostPage));
    let answered = sandbox.state.with(|state| match service {
        "ce" => costs::answer(state, &request, lost),
        "invoicing" => invoices::answer(state, &request),
        _ => accounts::answer(state, &request),
    });
    let answer = match answered {
        Ok(document) => amz_json(StatusCode::OK, service, &document),
        Err(refusal) => refuse(service, &refusal),
    };
    match fault {
        Some(kind) => faults::apply(kind, answer).await,
        None => answer,
    }
}

/// As the service writes it: Cost Explorer spells the member `Message`, the newer ones `message`.
fn refuse(service: &str, Refusal(status, kind, message): &Refusal) -> Response {
    let document = match service {
        "ce" => json!({"__type": kind, "Message": message}),
        "invoicing" => json!({"__type": format!("com.amazonaws.invoicing#{kind}"), "message": message}),
        _ => json!({"__type": kind, "Message": message}),
    };
    amz_json(*status, service, &document)
}

fn amz_json(status: StatusCode, service: &str, document: &Value) -> Response {
    let version = if service == "invoicing" { "1.0" } else { "1.1" };
    let content_type = format!("application/x-amz-json-{version}");
    (status, [("content-type", content_type)], document.to_string()).into_response()
}

fn written(written: io::Result<()>) -> StatusCode {
    written.map_or(StatusCode::INTERNAL_SERVER_ERROR, |()| StatusCode::NO_CONTENT)
}

async fn add_fault(State(sandbox): State<AwsSandbox>, axum::Json(fault): axum::Json<AwsFault>) -> StatusCode {
    sandbox.fail(fault);
    StatusCode::NO_CONTENT
}
