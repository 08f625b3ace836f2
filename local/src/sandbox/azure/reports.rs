//! Cost details reports: ordered, made while somebody looks, and fetched through signed links.

use std::collections::{BTreeMap, HashMap};

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use billing::month::BillingMonth;
use chrono::NaiveDate;
use serde_json::{Value, json};

use super::content::{Content, File};
use super::faults::AzureReportFault;
use super::storage::xml_error;
use super::{error, json_of};
use crate::sandbox::AZURE_ENROLLMENT;

/// Where the files of reports stand.
pub(super) const FILES: &str = "armreports";

#[derive(Clone, Debug)]
pub(super) struct Reports {
    jobs: HashMap<String, Job>,
    ordered: u32,
    /// How often a job is looked at before it is ready.
    pub(super) looks: u32,
}

#[derive(Clone, Debug)]
struct Job {
    scope: String,
    start: NaiveDate,
    end: NaiveDate,
    metric: String,
    files: Vec<File>,
    looks_left: u32,
    fault: Option<AzureReportFault>,
}

impl Default for Reports {
    fn default() -> Self {
        Self { jobs: HashMap::new(), ordered: 0, looks: 1 }
    }
}

impl Reports {
    /// `POST .../generateCostDetailsReport`.
    pub(super) fn order(
        &mut self,
        base: &str,
        scope: &str,
        body: &[u8],
        content: &Content,
        fault: Option<AzureReportFault>,
    ) -> Response {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let date = |pointer: &str| body.pointer(pointer)?.as_str()?.parse::<NaiveDate>().ok();
        let days = match body["billingPeriod"].as_str() {
            Some(period) if scope == AZURE_ENROLLMENT => whole_month(period),
            Some(_) => None,
            None => date("/timePeriod/start").zip(date("/timePeriod/end")),
        };
        let Some((start, end)) = days else {
            return error(StatusCode::BAD_REQUEST, "BadRequest", "Invalid time period.");
        };
        let metric = body["metric"].as_str().unwrap_or_default().to_owned();
        if !["ActualCost", "AmortizedCost"].contains(&metric.as_str()) {
            return error(StatusCode::BAD_REQUEST, "BadRequest", "Invalid metric.");
        }
        if end < start || (end - start).num_days() > 30 {
            let why = "The maximum date range allowed is 1 month.";
            return error(StatusCode::BAD_REQUEST, "BadRequest", why);
        }
        if fault == Some(AzureReportFault::NoContent) {
            return StatusCode::NO_CONTENT.into_response();
        }
        self.ordered += 1;
        let id = format!("00000051-1111-4222-8333-{:012}", self.ordered);
        let files = match metric.as_str() {
            "AmortizedCost" => content.amortized_files(start, end),
            _ => content.files(start, end),
        };
        let job = Job { scope: scope.to_owned(), start, end, metric, files, looks_left: self.looks, fault };
        let answer = match fault {
            Some(AzureReportFault::AtOnce) => job.done(base, &id),
            Some(AzureReportFault::Elsewhere) => accepted("https://management.example.com", scope, &id),
            _ => accepted(base, scope, &id),
        };
        self.jobs.insert(id, job);
        answer
    }

    /// `GET .../costDetailsOperationResults/{id}`.
    pub(super) fn look(&mut self, base: &str, id: &str) -> Response {
        let Some(job) = self.jobs.get_mut(id) else {
            return error(StatusCode::NOT_FOUND, "NotFound", "The operation is not found.");
        };
        if job.looks_left > 0 || job.fault == Some(AzureReportFault::NeverReady) {
            job.looks_left = job.looks_left.saturating_sub(1);
            return accepted(base, &job.scope, id);
        }
        job.done(base, id)
    }

    /// `GET /armreports/{date}/{id}/{file}?...&sig=...`.
    pub(super) fn file(&self, path: &str, query: &BTreeMap<String, String>, headers: &HeaderMap) -> Response {
        if headers.contains_key("authorization") {
            return xml_error(StatusCode::BAD_REQUEST, "InvalidAuthenticationInfo");
        }
        let mut parts = path.rsplit('/');
        let (name, id) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let Some(job) = self.jobs.get(id) else { return xml_error(StatusCode::NOT_FOUND, "BlobNotFound") };
        let is_signed = query.get("sig").is_some_and(|signature| *signature == signature_of(id));
        if !is_signed || job.fault == Some(AzureReportFault::LinksEnded) {
            return xml_error(StatusCode::FORBIDDEN, "AuthenticationFailed");
        }
        match job.files.iter().find(|(file, _)| file == name) {
            Some((_, bytes)) => Body::from(bytes.clone()).into_response(),
            None => xml_error(StatusCode::NOT_FOUND, "BlobNotFound"),
        }
    }
}

impl Job {
    fn done(&self, base: &str, id: &str) -> Response {
        let answer = |status: &str| {
            json!({
                "id": format!("{}/providers/Microsoft.CostManagement/operationResults/{id}", self.scope),
                "name": id,
                "status": status,
                "validTill": "2035-07-05T18:00:00.0000000Z",
            })
        };
        if self.fault == Some(AzureReportFault::Failed) {
            let mut failed = answer("Failed");
            failed["error"] = json!({"code": "InternalServerError", "message": "Report generation failed. Retry the request."});
            return json_of(&failed);
        }
        let is_empty = self.files.is_empty() || self.fault == Some(AzureReportFault::NoDataFound);
        let mut files: Vec<(&str, usize)> =
            self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.len())).collect();
        if is_empty {
            files.clear();
        }
        match self.fault {
            Some(AzureReportFault::MissingFile) => files.push(("part_9_0001.csv", 10)),
            Some(AzureReportFault::OtherSizes) => files.iter_mut().for_each(|(_, bytes)| *bytes += 1),
            _ => {}
        }
        let other_count = usize::from(self.fault == Some(AzureReportFault::OtherCount));
        let signature = signature_of(id);
        let link = |name: &str| {
            format!(
                "{base}/{FILES}/20350705/{id}/{name}?sv=2018-03-28&sr=b&sig={signature}&se=2035-07-05T18%3A00%3A00Z&sp=r"
            )
        };
        let blobs = files.iter().map(|(name, bytes)| json!({"blobLink": link(name), "byteCount": bytes}));
        let mut done = answer(if is_empty { "NoDataFound" } else { "Completed" });
        done["manifest"] = json!({
            "manifestVersion": "2022-05-01",
            "dataFormat": "Csv",
            "blobCount": files.len() + other_count,
            "byteCount": files.iter().map(|(_, bytes)| bytes).sum::<usize>(),
            "compressData": false,
            "requestContext": {
                "requestScope": self.scope,
                "requestBody": {"metric": self.metric, "timePeriod": {"start": self.start, "end": self.end}},
            },
            "blobs": blobs.collect::<Vec<_>>(),
        });
        json_of(&done)
    }
}

/// The days of a billing period, `202506`.
fn whole_month(period: &str) -> Option<(NaiveDate, NaiveDate)> {
    let (year, month) = period.split_at_checked(4)?;
    let month = format!("{year}-{month}").parse::<BillingMonth>().ok()?;
    Some((month.start().date_naive(), month.end().date_naive().pred_opt()?))
}

/// What signs the links of a job.
fn signature_of(id: &str) -> String {
    format!("sandbox{}", id.rsplit('-').next().unwrap_or_default())
}

fn accepted(base: &str, scope: &str, id: &str) -> Response {
    let place = format!(
        "{base}/{scope}/providers/Microsoft.CostManagement/costDetailsOperationResults/{id}?api-version=2025-03-01"
    );
    (StatusCode::ACCEPTED, [("location", place), ("retry-after", "0".to_owned())]).into_response()
}
