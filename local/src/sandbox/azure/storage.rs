//! Blob storage: the files of reports behind signed links, and a container with exports behind tokens.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use billing::month::BillingMonth;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::content::File;

/// The container of exports.
pub(super) const CONTAINER: &str = "cost";
/// The name of the example's export; it stands at the root of the container.
pub(super) const EXPORT: &str = "costs";
const MANIFEST: &str = include_str!("../../../examples/azure/export_manifest.json");
/// Blobs on one page of a list.
const PAGE: usize = 2;

/// The blobs of the container, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Container(BTreeMap<String, (Bytes, DateTime<Utc>)>);

impl Container {
    /// A container with two runs of an export of a month: the first of the two has less.
    pub(super) fn example(month: BillingMonth, files: &[File]) -> Self {
        let mut container = Self::default();
        let at = |day: u32| format!("{}{day:02}0612", month.next().start().format("%Y%m"));
        container.add_run(month, &at(3), "ActualCost", &files[..files.len().min(1)]);
        container.add_run(month, &at(5), "ActualCost", files);
        container
    }

    pub(super) fn put(&mut self, name: &str, bytes: Bytes) {
        let modified = DateTime::from_timestamp(1_751_700_000, 0).unwrap_or_default();
        self.0.insert(name.to_owned(), (bytes, modified));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Writes a run as an export does: its files, then its manifest. `run` is its time, `YYYYMMDDhhmm`.
    pub(super) fn add_run(&mut self, month: BillingMonth, run: &str, kind: &str, files: &[File]) -> String {
        let last = month.end().date_naive().pred_opt().unwrap_or_default();
        let days = format!("{}-{}", month.start().format("%Y%m%d"), last.format("%Y%m%d"));
        let folder = format!("{EXPORT}/{days}/{run}/00000058-1111-4222-8333-{run}");
        let mut manifest: Value = serde_json::from_str(MANIFEST).unwrap_or_default();
        let mut blobs = Vec::new();
        for (name, bytes) in files {
            let name = format!("{folder}/{name}");
            blobs.push(json!({"blobName": name, "byteCount": bytes.len()}));
            self.put(&name, bytes.clone());
        }
        manifest["blobCount"] = json!(files.len());
        manifest["byteCount"] = json!(files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>());
        manifest["exportConfig"]["type"] = json!(kind);
        manifest["runInfo"]["runId"] = json!(format!("00000058-1111-4222-8333-{run}"));
        manifest["runInfo"]["startDate"] = json!(format!("{}T00:00:00", month.start().date_naive()));
        manifest["runInfo"]["endDate"] = json!(format!("{last}T00:00:00"));
        manifest["blobs"] = json!(blobs);
        let name = format!("{folder}/manifest.json");
        self.put(&name, manifest.to_string().into());
        name
    }

    /// A blob, or a page of the list.
    pub(super) fn answer(
        &self,
        blob: Option<&str>,
        query: &BTreeMap<String, String>,
        headers: &HeaderMap,
    ) -> Response {
        if !headers.contains_key("x-ms-version") {
            return xml_error(StatusCode::BAD_REQUEST, "MissingRequiredHeader");
        }
        match blob {
            Some(name) => match self.0.get(name) {
                Some((bytes, _)) => Body::from(bytes.clone()).into_response(),
                None => xml_error(StatusCode::NOT_FOUND, "BlobNotFound"),
            },
            None => self.page(query),
        }
    }

    fn page(&self, query: &BTreeMap<String, String>) -> Response {
        let said = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        if (said("restype"), said("comp")) != ("container", "list") {
            return xml_error(StatusCode::BAD_REQUEST, "InvalidQueryParameterValue");
        }
        let (prefix, marker) = (said("prefix"), said("marker"));
        let mut found = self.0.iter().filter(|(name, _)| name.starts_with(prefix) && name.as_str() >= marker);
        let mut blobs = String::new();
        for (name, (bytes, modified)) in found.by_ref().take(PAGE) {
            let modified = modified.format("%a, %d %b %Y %H:%M:%S GMT");
            let size = bytes.len();
            blobs.push_str(&format!(
                "<Blob><Name>{name}</Name><Properties><Last-Modified>{modified}</Last-Modified>\
                 <Content-Length>{size}</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
            ));
        }
        let next = found
            .next()
            .map_or(String::from("<NextMarker />"), |(name, _)| format!("<NextMarker>{name}</NextMarker>"));
        let page = format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ContainerName=\"{CONTAINER}\">\
             <Prefix>{prefix}</Prefix><Blobs>{blobs}</Blobs>{next}</EnumerationResults>"
        );
        ([("content-type", "application/xml")], page).into_response()
    }
}

/// Blob storage's error document.
pub(super) fn xml_error(status: StatusCode, code: &str) -> Response {
    let body = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>on request</Message></Error>"
    );
    (status, [("content-type", "application/xml")], body).into_response()
}
