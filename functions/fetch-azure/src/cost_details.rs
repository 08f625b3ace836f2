//! The cost details report: ordered, waited for, and the files that it consists of.

use std::time::{Duration, Instant};

use billing::manifest::Costs;
use billing::strict;
use cloud::peer::{Answer, Call, quoted};
use reqwest::header::LOCATION;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::azure::Azure;
use crate::blob::{Shape, file_name};
use crate::error::{AzureApi, AzureError, longest_wait};
use crate::months::Window;

/// The version of the API; the manifest in its answer has a version of its own.
const API_VERSION: &str = "2025-03-01";
/// What the app registration needs on the scope.
const API: AzureApi =
    AzureApi { role: "Cost Management Reader on AZURE_SCOPE (of an enrollment: Enrollment reader)" };
/// Between two looks, unless Azure says how long.
const DEFAULT_WAIT: Duration = Duration::from_secs(20);
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// Which costs a report has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// As invoiced.
    ActualCost,
    /// Prepayments spread over what they are for.
    AmortizedCost,
}

impl Metric {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ActualCost => "ActualCost",
            Self::AmortizedCost => "AmortizedCost",
        }
    }
}

/// Which reports make up a bill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Metrics {
    /// Both costs.
    #[default]
    Both,
    /// Only as invoiced: both costs of a charge are that.
    ActualCost,
}

impl Metrics {
    /// Each report, and the costs that its rows state.
    pub(crate) fn reports(self) -> &'static [(Metric, Option<Costs>)] {
        match self {
            Self::Both => {
                &[(Metric::ActualCost, Some(Costs::Billed)), (Metric::AmortizedCost, Some(Costs::Amortized))]
            }
            Self::ActualCost => &[(Metric::ActualCost, None)],
        }
    }
}

impl std::str::FromStr for Metrics {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "both" => Ok(Self::Both),
            "ActualCost" => Ok(Self::ActualCost),
            _ => Err("both, or ActualCost (amortized costs alone are no bill: they do not come to invoices)"),
        }
    }
}

/// A report that is ready. It knows signed links, so it is not to be shown.
pub(crate) struct CostReport {
    pub(crate) files: Vec<ReportFile>,
}

/// One file of it.
pub(crate) struct ReportFile {
    pub(crate) link: Url,
    /// Its name, without the job that made it.
    pub(crate) name: String,
    pub(crate) shape: Shape,
}

#[derive(Deserialize)]
struct Done {
    status: String,
    manifest: Option<WireManifest>,
    error: Option<WireError>,
}

#[derive(Deserialize)]
struct WireError {
    code: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireManifest {
    data_format: Option<String>,
    blob_count: Option<u64>,
    byte_count: Option<u64>,
    #[serde(default)]
    compress_data: bool,
    #[serde(default)]
    blobs: Vec<WireBlob>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBlob {
    blob_link: String,
    byte_count: Option<u64>,
}

impl Azure {
    /// Orders the report of some days and waits until it is ready; nothing if there are no costs. `begun` is when the first report
    /// of the bill was ordered.
    pub(crate) async fn cost_details(
        &self,
        window: &Window,
        metric: Metric,
        begun: Instant,
    ) -> Result<Option<CostReport>, AzureError> {
        let path = ["providers", "Microsoft.CostManagement", "generateCostDetailsReport"];
        let mut url = self.scope.url(&self.base, &path);
        url.set_query(Some(&format!("api-version={API_VERSION}")));
        let body = self.order(window, metric);
        let order = Call::post(&API, url).json(&body).with(&self.tokens);
        let mut answer = self.peer.ask(&order).await?;
        let mut place = order.url;
        loop {
            match answer.status {
                200 => return self.read(&answer, place.path()),
                202 => {}
                // no data
                204 => return Ok(None),
                status => return Err(unexpected(&place, format!("the status is {status}"))),
            }
            place = self.next_place(&answer, &place)?;
            let wait = longest_wait(&answer.headers).unwrap_or(DEFAULT_WAIT).max(SHORTEST_WAIT);
            if begun.elapsed() + wait > self.report_timeout {
                return Err(AzureError::ReportLate { after_s: self.report_timeout.as_secs() });
            }
            tokio::time::sleep(wait).await;
            answer = self.peer.ask(&Call::get(&API, place.clone()).with(&self.tokens)).await?;
        }
    }

    /// What is asked for. Of an enrollment that is a billing period: usage that is reported late is of a later one than its day.
    fn order(&self, window: &Window, metric: Metric) -> Value {
        let metric = metric.as_str();
        if self.scope.is_enrollment() {
            return json!({"metric": metric, "billingPeriod": window.start.format("%Y%m").to_string()});
        }
        let period = json!({"start": window.start.to_string(), "end": window.end.to_string()});
        json!({"metric": metric, "timePeriod": period})
    }

    /// Where to look next, exactly as Azure says it; the token goes there, so it must be Azure.
    fn next_place(&self, answer: &Answer, place: &Url) -> Result<Url, AzureError> {
        match answer.headers.get(LOCATION) {
            Some(location) => {
                let text = location.to_str().unwrap_or_default();
                self.own(text, "the Location of the cost details report")
            }
            None if place.path().ends_with("generateCostDetailsReport") => {
                Err(unexpected(place, "202 without a Location".into()))
            }
            None => Ok(place.clone()),
        }
    }

    fn read(&self, answer: &Answer, path: &str) -> Result<Option<CostReport>, AzureError> {
        let done: Done =
            strict::from_slice(&answer.body).map_err(|error| AzureError::unexpected(path, error))?;
        match done.status.as_str() {
            "NoDataFound" => Ok(None),
            "Completed" => {
                let missing = || AzureError::unexpected(path, "it is Completed and has no manifest");
                let manifest = done.manifest.ok_or_else(missing)?;
                let files = self.files(manifest)?;
                // a report may be complete with nothing in it
                Ok((!files.is_empty()).then_some(CostReport { files }))
            }
            // with status 200
            "Failed" => {
                let error = done.error.unwrap_or(WireError { code: None, message: None });
                let said = [error.code, error.message].into_iter().flatten().collect::<Vec<_>>().join(": ");
                Err(AzureError::ReportFailed { detail: quoted(&said) })
            }
            other => Err(AzureError::unexpected(path, format!("the status is '{}'", quoted(other)))),
        }
    }

    fn files(&self, manifest: WireManifest) -> Result<Vec<ReportFile>, AzureError> {
        let contradiction = |reason: String| AzureError::Contradiction {
            document: "the manifest of the cost details report".into(),
            reason,
        };
        let format = manifest.data_format.as_deref().unwrap_or("Csv");
        if !format.eq_ignore_ascii_case("csv") {
            return Err(contradiction(format!("dataFormat is '{format}', not Csv")));
        }
        let found = manifest.blobs.len() as u64;
        if let Some(stated) = manifest.blob_count.filter(|stated| *stated != found) {
            return Err(contradiction(format!("blobCount is {stated}, it names {found}")));
        }
        let sum: Option<u64> = manifest.blobs.iter().map(|blob| blob.byte_count).sum();
        if let (Some(stated), Some(sum)) = (manifest.byte_count, sum)
            && stated != sum
        {
            return Err(contradiction(format!("byteCount is {stated}, its files come to {sum}")));
        }
        let file = |blob: WireBlob| {
            let link =
                Url::parse(&blob.blob_link).map_err(|_| contradiction("a blobLink is no URL".into()))?;
            // a link is signed, which no one may read on the way
            if link.scheme() != "https" && link.origin() != self.base.origin() {
                let host = link.host_str().unwrap_or_default().to_owned();
                return Err(AzureError::Elsewhere { what: "a blobLink without https", host });
            }
            let name = file_name(&link);
            let is_gzip = manifest.compress_data || name.ends_with(".gz");
            Ok(ReportFile { link, name, shape: Shape { stated_bytes: blob.byte_count, is_gzip } })
        };
        manifest.blobs.into_iter().map(file).collect()
    }
}

fn unexpected(place: &Url, reason: String) -> AzureError {
    AzureError::unexpected(place.path(), reason)
}
