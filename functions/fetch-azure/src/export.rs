//! Cost exports in blob storage: the newest run of a month by its manifest, and the files that it names.

use billing::manifest::Format;
use billing::month::BillingMonth;
use billing::strict;
use chrono::{DateTime, NaiveDate, Utc};
use cloud::peer::{Call, Fault, Peer, Tokens};
use reqwest::header::HeaderValue;
use serde::Deserialize;
use url::Url;

use crate::blob::{Shape, Taken, blob, file_name};
use crate::error::{AzureApi, AzureError};

const API: AzureApi = AzureApi { role: "Storage Blob Data Reader on the container of AZURE_EXPORT_URL" };
const VERSION: HeaderValue = HeaderValue::from_static("2023-11-03");
const MOST_PAGES: usize = 1000;

/// An export, by where it is written to.
pub(crate) struct Export {
    pub(crate) tokens: Tokens,
    /// The container.
    container: Url,
    /// The folder of the export within it, which ends with the export's name.
    folder: String,
}

/// A URL that names no export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("https://{{account}}.blob.core.windows.net/{{container}}/{{directory}}/{{export}}")]
pub(crate) struct InvalidExport;

/// One run of an export, as its manifest tells it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) format: Format,
    /// Whether prepayments are spread, so that rows do not come to invoices.
    pub(crate) files: Vec<RunFile>,
    /// The manifest as it came.
    pub(crate) manifest: Vec<u8>,
    /// Its place.
    pub(crate) manifest_name: String,
}

/// One file of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunFile {
    /// Its place in the container.
    pub(crate) blob: String,
    /// What is kept as its source: without the folder of the run, which is another one every time.
    pub(crate) source: String,
    pub(crate) stated_bytes: Option<u64>,
    pub(crate) extension: &'static str,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(rename = "Blobs", default)]
    blobs: Blobs,
    #[serde(rename = "NextMarker", default)]
    next_marker: String,
}

#[derive(Default, Deserialize)]
struct Blobs {
    #[serde(rename = "Blob", default)]
    blobs: Vec<ListedBlob>,
}

#[derive(Deserialize)]
struct ListedBlob {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Properties", default)]
    properties: BlobProperties,
}

#[derive(Default, Deserialize)]
struct BlobProperties {
    #[serde(rename = "Last-Modified", default)]
    last_modified: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireManifest {
    blob_count: Option<u64>,
    byte_count: Option<u64>,
    export_config: ExportConfig,
    run_info: Option<RunInfo>,
    blobs: Vec<WireBlob>,
}

#[derive(Deserialize)]
struct ExportConfig {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunInfo {
    start_date: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBlob {
    blob_name: String,
    byte_count: Option<u64>,
}

impl Export {
    pub(crate) fn new(url: &Url, tokens: Tokens) -> Result<Self, InvalidExport> {
        let path = url.path().trim_matches('/');
        let (container, folder) = path.split_once('/').ok_or(InvalidExport)?;
        if container.is_empty() || folder.split('/').any(str::is_empty) || url.query().is_some() {
            return Err(InvalidExport);
        }
        let mut place = url.clone();
        place.set_path(container);
        Ok(Self { tokens, container: place, folder: folder.to_owned() })
    }

    /// The name of the export, by which its bills are filed.
    pub(crate) fn name(&self) -> &str {
        self.folder.rsplit('/').next().unwrap_or(&self.folder)
    }

    /// The newest complete run of a month; nothing if there is none.
    pub(crate) async fn newest_run(
        &self,
        peer: &Peer,
        month: BillingMonth,
    ) -> Result<Option<Run>, AzureError> {
        let folder = self.month_folder(month);
        let mut blobs = self.list(peer, &folder).await?;
        let is_manifest = |blob: &ListedBlob| {
            matches!(blob.name.rsplit('/').next(), Some("manifest.json" | "_manifest.json"))
        };
        let found = blobs.len();
        blobs.retain(is_manifest);
        let Some(newest) = blobs.into_iter().max_by_key(|blob| age(blob, &folder)) else {
            if found == 0 {
                return Ok(None);
            }
            let reason = format!("it has {found} files and no manifest.json: the run is not complete yet");
            return Err(AzureError::Contradiction {
                document: format!("the export's folder {folder}"),
                reason,
            });
        };
        let taken = peer.ask(&self.get(&newest.name)).await?;
        self.run(&newest.name, &folder, month, taken.body.to_vec()).map(Some)
    }

    /// A file of a run.
    pub(crate) async fn file(&self, peer: &Peer, file: &RunFile) -> Result<Taken, AzureError> {
        let is_gzip = file.extension.ends_with(".gz");
        let shape = Shape { stated_bytes: file.stated_bytes, is_gzip };
        let taken = blob(peer, &self.get(&file.blob), shape).await;
        taken.map_err(|error| match error {
            AzureError::Peer(error) if error.fault == Fault::NotFound => AzureError::Contradiction {
                document: "the manifest of the export's run".into(),
                reason: format!("it names {}, which is not there (404)", file.blob),
            },
            other => other,
        })
    }

    /// `{folder}/20250601-20250630/`.
    fn month_folder(&self, month: BillingMonth) -> String {
        let last = month.end().date_naive().pred_opt().unwrap_or(NaiveDate::MAX);
        format!("{}/{}-{}/", self.folder, month.start().format("%Y%m%d"), last.format("%Y%m%d"))
    }

    fn get(&self, blob: &str) -> Call<'_> {
        let mut url = self.container.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(blob.split('/'));
        }
        self.call(url)
    }

    fn call(&self, url: Url) -> Call<'_> {
        Call::get(&API, url).with(&self.tokens).header("x-ms-version", VERSION)
    }

    async fn list(&self, peer: &Peer, folder: &str) -> Result<Vec<ListedBlob>, AzureError> {
        let (mut blobs, mut marker) = (Vec::new(), String::new());
        for _ in 0..MOST_PAGES {
            let mut url = self.container.clone();
            url.query_pairs_mut().extend_pairs([
                ("restype", "container"),
                ("comp", "list"),
                ("prefix", folder),
            ]);
            if !marker.is_empty() {
                url.query_pairs_mut().append_pair("marker", &marker);
            }
            let call = self.call(url);
            let answer = peer.ask(&call).await?;
            let unexpected = |reason: String| AzureError::unexpected(&call.place, reason);
            let text = std::str::from_utf8(&answer.body).map_err(|error| unexpected(error.to_string()))?;
            let page: Listing = quick_xml::de::from_str(text.trim_start_matches('\u{feff}'))
                .map_err(|error| unexpected(error.to_string()))?;
            blobs.extend(page.blobs.blobs);
            marker = page.next_marker;
            if marker.is_empty() {
                return Ok(blobs);
            }
        }
        let reason = format!("there is a NextMarker after {MOST_PAGES} pages");
        Err(AzureError::unexpected(self.container.path(), reason))
    }

    fn run(
        &self,
        name: &str,
        folder: &str,
        month: BillingMonth,
        manifest: Vec<u8>,
    ) -> Result<Run, AzureError> {
        let contradiction = |reason: String| AzureError::Contradiction {
            document: format!("the export's manifest {name}"),
            reason,
        };
        let wire: WireManifest =
            strict::from_slice(manifest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&manifest))
                .map_err(|error| contradiction(error.to_string()))?;
        let found = wire.blobs.len() as u64;
        if let Some(stated) = wire.blob_count.filter(|stated| *stated != found) {
            return Err(contradiction(format!("blobCount is {stated}, it names {found}")));
        }
        let sum: Option<u64> = wire.blobs.iter().map(|blob| blob.byte_count).sum();
        if let (Some(stated), Some(sum)) = (wire.byte_count, sum)
            && stated != sum
        {
            return Err(contradiction(format!("byteCount is {stated}, its files come to {sum}")));
        }
        let start = wire.run_info.and_then(|run| run.start_date).unwrap_or_default();
        if !start.is_empty() && !start.starts_with(&month.to_string()) {
            return Err(contradiction(format!("it is of a run from {start}, not of {month}")));
        }
        let format = match wire.export_config.kind.as_str() {
            "FocusCost" => Format::Focus,
            "ActualCost" | "Usage" => Format::AzureCostDetails,
            other => {
                let what =
                    "bills come with FocusCost, which has amortized costs too, with ActualCost or with Usage";
                return Err(contradiction(format!("the type is '{other}'; {what}")));
            }
        };
        let files = wire.blobs.into_iter().map(|blob| self.run_file(blob, folder).map_err(contradiction));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        Ok(Run { format, files, manifest, manifest_name: name.to_owned() })
    }

    fn run_file(&self, wire: WireBlob, folder: &str) -> Result<RunFile, String> {
        let blob = wire.blob_name;
        if !blob.starts_with(folder) || blob.split('/').any(|part| part.is_empty() || part == "..") {
            return Err(format!("it names {blob}, which is not of its folder"));
        }
        let file = blob.rsplit('/').next().unwrap_or(&blob);
        let known = [(".csv.gz", "csv.gz"), (".csv", "csv"), (".parquet", "parquet")];
        let extension =
            known.into_iter().find(|(end, _)| file.ends_with(end)).map(|(_, extension)| extension);
        let extension = extension.ok_or_else(|| format!("{file} is neither CSV nor Parquet"))?;
        let source = format!("/{}/{folder}{file}", file_name(&self.container));
        Ok(RunFile { source, stated_bytes: wire.byte_count, extension, blob })
    }
}

/// Newer runs have a later folder, and where they overwrite, a later manifest.
fn age(blob: &ListedBlob, folder: &str) -> (String, Option<DateTime<Utc>>, String) {
    let after = blob.name.strip_prefix(folder).unwrap_or_default();
    let time = after.split('/').next().unwrap_or_default();
    let is_time = time.len() == 12 && time.bytes().all(|byte| byte.is_ascii_digit());
    let modified = DateTime::parse_from_rfc2822(&blob.properties.last_modified).ok();
    let time = if is_time { time.to_owned() } else { String::new() };
    (time, modified.map(|modified| modified.to_utc()), blob.name.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::Credentials;

    fn export(url: &str) -> Result<Export, InvalidExport> {
        let url = Url::parse(url).unwrap();
        let credentials = Credentials::new(&url, "t", "i".to_owned().into(), "s".to_owned().into());
        Export::new(&url, credentials.tokens(String::new()))
    }

    fn run(manifest: &serde_json::Value) -> Result<Run, String> {
        run_of(&manifest.to_string())
    }

    fn run_of(manifest: &str) -> Result<Run, String> {
        let export = export("https://a.blob.core.windows.net/cost/exports/focus").unwrap();
        let month = "2025-06".parse().unwrap();
        let folder = export.month_folder(month);
        export
            .run("m/manifest.json", &folder, month, manifest.as_bytes().to_vec())
            .map_err(|error| error.to_string())
    }

    fn manifest() -> serde_json::Value {
        json!({
            "blobCount": 1, "byteCount": 5, "exportConfig": {"type": "FocusCost"},
            "runInfo": {"startDate": "2025-06-01T00:00:00"},
            "blobs": [{"blobName": "exports/focus/20250601-20250630/202507050612/g/part_0_0001.snappy.parquet", "byteCount": 5}],
        })
    }

    #[test]
    fn an_export_is_a_folder_of_a_container() {
        let focus = export("https://a.blob.core.windows.net/cost/exports/focus/").unwrap();
        assert_eq!(
            (focus.name(), focus.month_folder("2024-02".parse().unwrap())),
            ("focus", "exports/focus/20240201-20240229/".to_owned())
        );
        assert_eq!(focus.get("exports/a b.csv").url.path(), "/cost/exports/a%20b.csv");
        for bad in ["https://a.example", "https://a.example/cost", "https://a.example/cost/x?sig=1"] {
            assert!(export(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_run_is_what_its_manifest_says_and_its_files_are_named_without_it() {
        let run = run(&manifest()).unwrap();
        assert_eq!((run.format, run.files[0].extension), (Format::Focus, "parquet"));
        assert_eq!(run.files[0].source, "/cost/exports/focus/20250601-20250630/part_0_0001.snappy.parquet");
    }

    #[test]
    fn a_manifest_that_says_something_twice_is_refused() {
        let twice =
            manifest().to_string().replace("\"runInfo\":{", "\"runInfo\":{\"runId\":\"a\",\"runId\":\"b\",");
        let error = run_of(&twice).unwrap_err();
        assert!(error.contains("'runId' stands twice in runInfo"), "{error}");
    }

    #[test]
    fn manifests_that_contradict_themselves_are_refused() {
        let with = |path: &str, value: serde_json::Value| {
            let mut changed = manifest();
            *changed.pointer_mut(path).unwrap() = value;
            run(&changed).unwrap_err()
        };
        for (error, why) in [
            (with("/blobCount", json!(2)), "blobCount is 2, it names 1"),
            (with("/byteCount", json!(6)), "byteCount is 6, its files come to 5"),
            (
                with("/runInfo/startDate", json!("2025-05-01")),
                "it is of a run from 2025-05-01, not of 2025-06",
            ),
            (with("/exportConfig/type", json!("PriceSheet")), "the type is 'PriceSheet'"),
            (with("/blobs/0/blobName", json!("exports/other/x.csv")), "which is not of its folder"),
            (
                with("/blobs/0/blobName", json!("exports/focus/20250601-20250630/x.json")),
                "x.json is neither CSV nor Parquet",
            ),
        ] {
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn the_newest_run_is_told_by_its_folder_then_by_its_time() {
        let blob = |name: &str, modified: &str| ListedBlob {
            name: format!("f/{name}/manifest.json"),
            properties: BlobProperties { last_modified: modified.to_owned() },
        };
        let (early, late) = ("Sat, 05 Jul 2025 06:12:00 GMT", "Sun, 06 Jul 2025 06:12:00 GMT");
        let newer = |a: &ListedBlob, b: &ListedBlob| assert!(age(a, "f/") > age(b, "f/"));
        newer(&blob("202507060612/a", early), &blob("202507050612/b", late));
        newer(&blob("guid-a", late), &blob("guid-b", early));
    }
}
