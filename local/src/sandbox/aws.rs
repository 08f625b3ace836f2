//! A stand-in for what AWS says of a bill: Cost Explorer, Invoicing and Organizations behind one address, told apart by
//! `X-Amz-Target` and signed with Signature Version 4 for real; and the exports, which are objects in a bucket of their own.
//!
//! All of them tell of the same lines: those of a CUR 2.0 export, moved to the month that closes, with less in the month before
//! and in the running one. Beside the API, for whoever tries it by hand: `POST /sandbox/amend` restates the closing month,
//! `POST /sandbox/deliver` delivers the exports anew without a change; `POST /sandbox/faults` takes an `operation`, for example
//! `GetCostAndUsage`, in place of the path.

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
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use billing::month::BillingMonth;
use serde_json::{Value, json};

use crate::credentials::Credentials;
use crate::files;
use crate::sandbox::access::header;
use crate::sandbox::faults::retry_after;
use crate::sandbox::ids::id_of;
use crate::sandbox::provider::{Provider, Sandbox};
use crate::signature::{self, Refusal};

use self::example::Bill;
pub use self::export::Packing;
pub use self::faults::AwsFault;

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

/// The sandbox of AWS.
pub type AwsSandbox = Sandbox<Aws>;

/// The bills of an organisation, and their exports.
#[derive(Clone, Debug)]
pub struct Aws {
    closing: BillingMonth,
    /// The month before, the closing one and the running one.
    bills: Arc<[Bill]>,
    /// Deliveries of the exports so far.
    deliveries: u32,
    /// Where the embedded S3 keeps the objects of the exports' bucket.
    folder: Option<PathBuf>,
    /// Lists that are under way: the request without its token, and how many were told already.
    tokens: BTreeMap<String, (Value, usize)>,
}

impl AwsSandbox {
    /// An organisation of three accounts over the month that closes, the one before and the one after. The same every time.
    #[must_use]
    pub fn example(closing: BillingMonth) -> Self {
        Self::of(Aws {
            closing,
            bills: bills(Bill::closing(closing)),
            deliveries: 1,
            folder: None,
            tokens: BTreeMap::new(),
        })
    }

    /// Restates the closing month: a refund, with a credit memo of its own. Exports are delivered anew.
    ///
    /// # Errors
    /// If the exports cannot be written.
    pub fn amend(&self) -> io::Result<()> {
        self.with(|state| state.bills = bills(state.bills[1].amended()));
        self.deliver()
    }

    /// Leaves a few rows of the closing month, for tests that ask for it thousands of times.
    ///
    /// # Errors
    /// If the exports cannot be written.
    pub fn shrink(&self) -> io::Result<()> {
        self.with(|state| state.bills = bills(Bill::small(state.closing)));
        self.deliver()
    }

    /// Delivers the exports anew: other executions, the same rows unless they were amended.
    ///
    /// # Errors
    /// If the exports cannot be written.
    pub fn deliver(&self) -> io::Result<()> {
        let folder = self.with(|state| {
            state.deliveries += 1;
            state.folder.clone()
        });
        folder.map_or(Ok(()), |folder| self.write(&folder))
    }

    /// The exports as objects: key and bytes, each month's manifest after its data.
    #[must_use]
    pub fn objects(&self) -> Vec<(String, Vec<u8>)> {
        let (bills, deliveries, closing) =
            self.with(|state| (state.bills.clone(), state.deliveries, state.closing));
        let focus = export::focus(closing, deliveries);
        bills.iter().flat_map(|bill| export::cur2(bill, deliveries)).chain(focus).collect()
    }

    /// The closing month as a legacy Cost and Usage Report called `cur1` below `legacy/`, as objects.
    #[must_use]
    pub fn legacy_objects(&self, packing: Packing) -> Vec<(String, Vec<u8>)> {
        let (bills, deliveries, closing) =
            self.with(|state| (state.bills.clone(), state.deliveries, state.closing));
        let closing = bills.iter().find(|bill| bill.month == closing);
        closing.map(|bill| legacy::report(bill, deliveries, packing)).unwrap_or_default()
    }

    /// Writes the exports into the folder of their bucket whenever they are delivered, and perhaps now.
    pub(crate) fn write_to(&self, folder: &Path, now: bool) -> io::Result<()> {
        self.with(|state| state.folder = Some(folder.to_owned()));
        if now { self.write(folder) } else { Ok(()) }
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        for (key, bytes) in self.objects() {
            files::write_changed(&folder.join(key), &bytes)?;
        }
        Ok(())
    }
}

impl Provider for Aws {
    type Fault = AwsFault;

    fn routes(_: &AwsSandbox) -> Router<AwsSandbox> {
        let amend = async |State(sandbox): State<AwsSandbox>| written(sandbox.amend());
        let deliver = async |State(sandbox): State<AwsSandbox>| written(sandbox.deliver());
        Router::new()
            .route("/", post(answer))
            .route("/sandbox/amend", post(amend))
            .route("/sandbox/deliver", post(deliver))
    }

    fn refuse(status: StatusCode) -> Response {
        (status, [("content-type", "text/html")], "<html>on request</html>").into_response()
    }

    /// The operation.
    fn name(head: &Parts) -> String {
        target(&head.headers).rsplit('.').next().unwrap_or_default().to_owned()
    }

    async fn fail(fault: AwsFault, answer: impl Future<Output = Response> + Send) -> Response {
        match fault {
            AwsFault::Internal(seconds) => retry_after(answer.await, seconds),
            _ => answer.await,
        }
    }
}

impl Aws {
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
    fault: Option<Extension<AwsFault>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let service = match target(&headers) {
        "AWSInsightsIndexService.GetCostAndUsage" => "ce",
        "Invoicing.ListInvoiceSummaries" => "invoicing",
        "AWSOrganizationsV20161128.ListAccounts" => "organizations",
        _ => {
            return refuse("", &Refusal(StatusCode::BAD_REQUEST, "UnknownOperationException", String::new()));
        }
    };
    if let Err(refusal) = signature::verify(&credentials, &headers, &body, service, "/") {
        return refuse(service, &refusal);
    }
    let fault = fault.map(|Extension(fault)| fault);
    if let Some(refusal) = fault.as_ref().and_then(|fault| faults::refusal(fault, service)) {
        return refuse(service, &refusal);
    }
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let lost = usize::from(fault == Some(AwsFault::LostPage));
    let answered = sandbox.with(|state| match service {
        "ce" => costs::answer(state, &request, lost),
        "invoicing" => invoices::answer(state, &request),
        _ => accounts::answer(state, &request),
    });
    match answered {
        Ok(document) => amz_json(StatusCode::OK, service, &document),
        Err(refusal) => refuse(service, &refusal),
    }
}

fn target(headers: &HeaderMap) -> &str {
    header(headers, "x-amz-target").unwrap_or_default()
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
