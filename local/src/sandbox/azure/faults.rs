//! How only Azure fails: throttling in its own words, tokens that end, and reports that go wrong.

use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::Azure;
use crate::sandbox::faults::retry_after;
use crate::sandbox::provider::Provider;

/// How only Azure fails. Faults of reports wait for the next order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AzureFault {
    /// 503 with `Retry-After` in seconds.
    #[serde(rename = "retry_after")]
    Unavailable(u64),
    /// 429 with `Retry-After`, and a longer wait in seconds for the entity.
    Throttle(u64, u64),
    /// All tokens given so far end.
    TokensEnd,
    /// What happens to a report that is ordered.
    Report(AzureReportFault),
}

/// How a report goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AzureReportFault {
    /// It is there at once.
    AtOnce,
    /// There are no costs: 204 to the order.
    NoContent,
    /// There are no costs, which the job finds out.
    NoDataFound,
    /// Status `Failed`, with 200.
    Failed,
    /// It is never ready.
    NeverReady,
    /// The job is told to be on another host.
    Elsewhere,
    /// Its links are over when they are used.
    LinksEnded,
    /// Its manifest names a file that is not there.
    MissingFile,
    /// Its manifest states another number of files than it names.
    OtherCount,
    /// Its manifest states other sizes than the files have.
    OtherSizes,
}

pub(super) async fn apply(fault: AzureFault, answer: impl Future<Output = Response>) -> Response {
    match fault {
        AzureFault::Unavailable(seconds) => {
            retry_after(Azure::refuse(StatusCode::SERVICE_UNAVAILABLE), seconds)
        }
        AzureFault::Throttle(seconds, entity) => {
            let mut response = retry_after(Azure::refuse(StatusCode::TOO_MANY_REQUESTS), seconds);
            for (name, seconds) in [
                ("x-ms-ratelimit-microsoft.costmanagement-entity-retry-after", entity),
                ("x-ms-ratelimit-microsoft.costmanagement-tenant-retry-after", 0),
            ] {
                response.headers_mut().insert(name, HeaderValue::from(seconds));
            }
            response
        }
        AzureFault::TokensEnd | AzureFault::Report(_) => answer.await,
    }
}
