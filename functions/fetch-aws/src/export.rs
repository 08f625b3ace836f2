//! Cost exports that AWS delivers to a bucket: where they are, and what a month of one consists of.
//!
//! Data Exports (CUR 2.0, FOCUS):
//!
//! ```text
//! {prefix}/{export}/metadata/BILLING_PERIOD=2025-06/{export}-Manifest.json
//! {prefix}/{export}/data/BILLING_PERIOD=2025-06/[{time}-{execution}/]{export}-00001.csv.gz
//! ```
//!
//! The legacy Cost and Usage Report:
//!
//! ```text
//! {prefix}/{report}/20250601-20250701/{report}-Manifest.json
//! {prefix}/{report}/20250601-20250701/[{assembly}/]{report}-1.csv.gz
//! ```
//!
//! The manifest right in the month's folder is the newest: AWS writes it when all data files are there. Only files that it names
//! are data, others are left-overs of earlier deliveries.

mod error;
mod wire;

use billing::manifest::Format;
use billing::month::BillingMonth;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use cloud::bucket::BucketReader;

pub use error::DeliveryError;
use wire::Contents;

/// Where exports are.
#[derive(Clone, Debug)]
pub(crate) struct Exports {
    pub(crate) bucket: BucketReader,
    /// Empty, or with a slash at the end.
    pub(crate) prefix: String,
    /// The one that counts, if it is named.
    pub(crate) name: Option<String>,
}

/// One export.
#[derive(Clone, Debug)]
pub struct Export {
    pub(crate) bucket: BucketReader,
    pub(crate) name: String,
    /// Everything of it stands under this, which ends with a slash.
    root: String,
    layout: Layout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    DataExport,
    Legacy,
}

/// A month of an export, as its manifest says.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) format: Format,
    pub(crate) files: Vec<DataFile>,
    /// Whether rows name their account.
    pub(crate) has_account_names: bool,
    /// Whether the files are where AWS put them: a copy of the bucket has other times.
    pub(crate) is_original: bool,
    pub(crate) manifest_key: String,
    pub(crate) manifest: Bytes,
    pub(crate) manifest_written: Option<DateTime<Utc>>,
}

/// One file with data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataFile {
    pub(crate) key: String,
    /// The same for people, without the folder of the execution, which is another one for every delivery.
    pub(crate) source: String,
    /// `csv`, `csv.gz`, `csv.zip` or `parquet`.
    pub(crate) extension: &'static str,
}

impl Exports {
    /// The export that is named, or the only one there is.
    pub(crate) async fn find(&self) -> Result<Export, DeliveryError> {
        let place = || format!("s3://{}/{}", self.bucket.name(), self.prefix);
        if let Some(name) = &self.name {
            let export = self.open(&format!("{}{name}/", self.prefix)).await?;
            return export.ok_or_else(|| DeliveryError::NoSuchExport { place: place(), name: name.clone() });
        }
        let mut found = Vec::new();
        for folder in self.bucket.folders(&self.prefix).await? {
            found.extend(self.open(&folder).await?);
        }
        match found.len() {
            0 => Err(DeliveryError::NoExport { place: place() }),
            1 => Ok(found.remove(0)),
            _ => {
                let names: Vec<String> = found.into_iter().map(|export| export.name).collect();
                Err(DeliveryError::Several { place: place(), names: names.join(", ") })
            }
        }
    }

    /// The export in a folder, if there is one.
    async fn open(&self, root: &str) -> Result<Option<Export>, DeliveryError> {
        let folders = self.bucket.folders(root).await?;
        let names = || folders.iter().filter_map(|folder| last(folder));
        let layout = if names().any(|name| name == "metadata") {
            Layout::DataExport
        } else if names().any(is_legacy_period) {
            Layout::Legacy
        } else {
            return Ok(None);
        };
        let name = last(root).unwrap_or_default().to_owned();
        Ok(Some(Export { bucket: self.bucket.clone(), name, root: root.to_owned(), layout }))
    }
}

impl Export {
    /// What AWS has delivered of a month; nothing if it has not yet, or the month has no rows.
    pub(crate) async fn delivery(&self, month: BillingMonth) -> Result<Option<Delivery>, DeliveryError> {
        let Some(folder) = self.folder(month).await? else { return Ok(None) };
        let key = format!("{folder}{}-Manifest.json", self.name);
        let Some(manifest) = self.bucket.get(&key, None).await? else {
            // an execution that has not ended has a folder and nothing beside it
            return match self.bucket.folders(&folder).await?.first() {
                None => Ok(None),
                Some(execution) => Err(DeliveryError::Unfinished { key, execution: execution.clone() }),
            };
        };
        let contents = match self.layout {
            Layout::DataExport => Contents::of_data_export(&key, &manifest.bytes)?,
            Layout::Legacy => Contents::of_legacy_report(&key, &manifest.bytes, month)?,
        };
        let files = self.files(&key, month, &contents)?;
        if files.is_empty() {
            return Ok(None);
        }
        let is_original =
            contents.files.iter().all(|file| file.bucket.as_deref() == Some(self.bucket.name()));
        Ok(Some(Delivery {
            format: contents.format,
            files,
            has_account_names: contents.has_account_names,
            is_original,
            manifest_key: key,
            manifest: manifest.bytes,
            manifest_written: manifest.last_modified,
        }))
    }

    /// The folder in which the month's manifest stands.
    async fn folder(&self, month: BillingMonth) -> Result<Option<String>, DeliveryError> {
        let (parent, is_month): (String, fn(&str, BillingMonth) -> bool) = match self.layout {
            Layout::DataExport => (format!("{}metadata/", self.root), is_partition),
            Layout::Legacy => (self.root.clone(), |name, month| name == legacy_period(month)),
        };
        let folders = self.bucket.folders(&parent).await?;
        let mut of_month =
            folders.into_iter().filter(|folder| last(folder).is_some_and(|name| is_month(name, month)));
        match (of_month.next(), of_month.next()) {
            (Some(first), Some(second)) => Err(DeliveryError::TwoPartitions { first, second }),
            (folder, _) => Ok(folder),
        }
    }

    /// The data files, where they stand in this bucket: a manifest in a copy of the bucket still names the original.
    fn files(
        &self,
        manifest: &str,
        month: BillingMonth,
        contents: &Contents,
    ) -> Result<Vec<DataFile>, DeliveryError> {
        let mut files: Vec<DataFile> = Vec::with_capacity(contents.files.len());
        for named in &contents.files {
            let wrong = |why| DeliveryError::File { manifest: manifest.into(), file: named.key.clone(), why };
            let below = match self.layout {
                Layout::DataExport => format!("{}/data/", self.name),
                Layout::Legacy => format!("{}/", self.name),
            };
            let path = split_after(&named.key, &below).ok_or_else(|| wrong("is not below the export"))?;
            let (period, rest) = path.split_once('/').ok_or_else(|| wrong("is in no folder of a month"))?;
            let is_of_month = match self.layout {
                Layout::DataExport => is_partition(period, month),
                Layout::Legacy => period == legacy_period(month),
            };
            if !is_of_month {
                return Err(wrong("is of another month"));
            }
            let extension = extension(path)
                .ok_or_else(|| wrong("is neither CSV (plain, gzip, zip) nor Parquet by its name"))?;
            let folder = if self.layout == Layout::DataExport { "data/" } else { "" };
            let period = format!("{}{folder}{period}", self.root);
            let shown = rest.rsplit_once('/').map_or(rest.to_owned(), |(_, name)| format!("*/{name}"));
            let file = DataFile {
                key: format!("{period}/{rest}"),
                source: format!("s3://{}/{period}/{shown}", self.bucket.name()),
                extension,
            };
            if files.contains(&file) {
                return Err(wrong("is named twice"));
            }
            files.push(file);
        }
        Ok(files)
    }
}

/// The last name of a path, with or without a slash at its end.
fn last(path: &str) -> Option<&str> {
    path.trim_end_matches('/').rsplit('/').next()
}

/// What follows a part of a path that begins at its start or after a slash.
fn split_after<'p>(path: &'p str, part: &str) -> Option<&'p str> {
    let at_start = path.strip_prefix(part);
    at_start.or_else(|| path.split_once(&format!("/{part}")).map(|(_, rest)| rest))
}

/// `BILLING_PERIOD=2025-06`; exports write the name in both cases.
fn is_partition(name: &str, month: BillingMonth) -> bool {
    name.split_once('=').is_some_and(|(column, value)| {
        column.eq_ignore_ascii_case("billing_period") && value == month.to_string()
    })
}

/// `20250601-20250701`.
fn legacy_period(month: BillingMonth) -> String {
    let day = |time: DateTime<Utc>| time.format("%Y%m%d").to_string();
    format!("{}-{}", day(month.start()), day(month.end()))
}

fn is_legacy_period(name: &str) -> bool {
    let is_day = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    name.split_once('-').is_some_and(|(from, to)| is_day(from) && is_day(to))
}

fn extension(path: &str) -> Option<&'static str> {
    let path = path.to_ascii_lowercase();
    let known = [
        ("csv.gz", "csv.gz"),
        ("csv.zip", "csv.zip"),
        ("zip", "csv.zip"),
        ("csv", "csv"),
        ("parquet", "parquet"),
    ];
    known.into_iter().find(|(end, _)| path.ends_with(&format!(".{end}"))).map(|(_, extension)| extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_found_by_their_folder() {
        let june: BillingMonth = "2025-06".parse().unwrap();
        for name in ["BILLING_PERIOD=2025-06", "billing_period=2025-06", "Billing_Period=2025-06"] {
            assert!(is_partition(name, june), "{name}");
        }
        for name in ["BILLING_PERIOD=2025-07", "BILLING_PERIOD=2025-06-01", "PERIOD=2025-06", "2025-06"] {
            assert!(!is_partition(name, june), "{name}");
        }
        assert_eq!(legacy_period("2025-12".parse().unwrap()), "20251201-20260101");
        assert!(is_legacy_period("20251201-20260101") && !is_legacy_period("metadata"));
    }

    #[test]
    fn data_files_are_told_by_their_names() {
        assert_eq!(extension("a/cur-00001.csv.gz"), Some("csv.gz"));
        assert_eq!(extension("a/cur-00001.snappy.parquet"), Some("parquet"));
        assert_eq!(extension("a/cur-1.zip"), Some("csv.zip"));
        assert_eq!(extension("a/cur-1.csv.zip"), Some("csv.zip"));
        assert_eq!(extension("a/cur-Manifest.json"), None);
        assert_eq!(split_after("exports/cur/data/x/y", "cur/data/"), Some("x/y"));
        assert_eq!(split_after("cur/data/x/y", "cur/data/"), Some("x/y"));
        assert_eq!(split_after("exports/mycur/data/x/y", "cur/data/"), None);
    }
}
