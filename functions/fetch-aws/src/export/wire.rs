//! The manifests that AWS writes.

use billing::manifest::Format;
use billing::month::BillingMonth;
use billing::strict;
use serde::Deserialize;

use super::DeliveryError;

/// What a manifest says, of whichever kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) format: Format,
    pub(super) files: Vec<NamedFile>,
    pub(super) has_account_names: bool,
}

/// A file as the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedFile {
    /// The bucket, as far as the manifest says.
    pub(super) bucket: Option<String>,
    pub(super) key: String,
}

/// The manifest of a Data Export.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataExport {
    columns: Vec<Column>,
    data_files: Vec<String>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

/// The manifest of a legacy report.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LegacyReport {
    bucket: Option<String>,
    billing_period: BillingPeriod,
    compression: Option<String>,
    content_type: Option<String>,
    columns: Vec<LegacyColumn>,
    report_keys: Vec<String>,
}

#[derive(Deserialize)]
struct LegacyColumn {
    category: String,
    name: String,
}

/// `20250601T000000.000Z`, the end exclusive.
#[derive(Deserialize)]
struct BillingPeriod {
    start: String,
    end: String,
}

fn read<'m, T: Deserialize<'m>>(key: &str, manifest: &'m [u8]) -> Result<T, DeliveryError> {
    strict::from_slice(manifest)
        .map_err(|error| DeliveryError::Malformed { key: key.to_owned(), reason: error.to_string() })
}

impl Contents {
    pub(super) fn of_data_export(key: &str, manifest: &[u8]) -> Result<Self, DeliveryError> {
        let export: DataExport = read(key, manifest)?;
        let has = |name: &str| export.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
        let format = match (has("line_item_unblended_cost"), has("BilledCost")) {
            (true, false) => Format::Cur2,
            (false, true) => Format::Focus,
            _ => return Err(DeliveryError::NotCosts { key: key.to_owned() }),
        };
        let names = if format == Format::Cur2 { "line_item_usage_account_name" } else { "SubAccountName" };
        let has_account_names = has(names);
        let files =
            export.data_files.iter().map(|uri| NamedFile::of_uri(key, uri)).collect::<Result<_, _>>()?;
        Ok(Self { format, files, has_account_names })
    }

    pub(super) fn of_legacy_report(
        key: &str,
        manifest: &[u8],
        month: BillingMonth,
    ) -> Result<Self, DeliveryError> {
        let report: LegacyReport = read(key, manifest)?;
        let day = |time: chrono::DateTime<chrono::Utc>| time.format("%Y%m%dT000000.000Z").to_string();
        let expected = [day(month.start()), day(month.end())];
        let BillingPeriod { start, end } = report.billing_period;
        if [&start, &end] != [&expected[0], &expected[1]] {
            let [found, expected] = [[start, end], expected].map(|period| period.join(" to "));
            return Err(DeliveryError::OtherMonth { key: key.to_owned(), found, expected });
        }
        let is_parquet = |text: &Option<String>| {
            text.as_deref().is_some_and(|text| text.to_ascii_lowercase().contains("parquet"))
        };
        if is_parquet(&report.compression) || is_parquet(&report.content_type) {
            return Err(DeliveryError::LegacyFormat { key: key.to_owned(), found: "Parquet".to_owned() });
        }
        let is_cost = |column: &LegacyColumn| column.category == "lineItem" && column.name == "UnblendedCost";
        if !report.columns.iter().any(is_cost) {
            let found = "columns without lineItem/UnblendedCost".to_owned();
            return Err(DeliveryError::LegacyFormat { key: key.to_owned(), found });
        }
        let name = |column: &LegacyColumn| column.category == "lineItem" && column.name == "UsageAccountName";
        let has_account_names = report.columns.iter().any(name);
        let bucket = report.bucket;
        let files =
            report.report_keys.into_iter().map(|key| NamedFile { bucket: bucket.clone(), key }).collect();
        Ok(Self { format: Format::Cur1, files, has_account_names })
    }
}

impl NamedFile {
    /// `s3://bucket/key`.
    fn of_uri(manifest: &str, uri: &str) -> Result<Self, DeliveryError> {
        let parts = uri.strip_prefix("s3://").and_then(|path| path.split_once('/'));
        let (bucket, key) = parts.ok_or_else(|| DeliveryError::File {
            manifest: manifest.to_owned(),
            file: uri.to_owned(),
            why: "is no place in S3",
        })?;
        Ok(Self { bucket: Some(bucket.to_owned()), key: key.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data_export(columns: &[&str], files: &[&str]) -> Result<Contents, String> {
        let columns: Vec<_> = columns.iter().map(|name| json!({"name": name, "type": "string"})).collect();
        let manifest = json!({"executionId": "e", "columns": columns, "dataFiles": files, "new": 1});
        Contents::of_data_export("m", manifest.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_columns_tell_the_format() {
        let file = ["s3://b/p/cur/data/BILLING_PERIOD=2025-06/cur-00001.csv.gz"];
        let cur2 = data_export(&["bill_invoice_id", "line_item_unblended_cost"], &file).unwrap();
        assert_eq!((cur2.format, cur2.has_account_names), (Format::Cur2, false));
        assert_eq!(cur2.files[0].bucket.as_deref(), Some("b"));
        assert_eq!(cur2.files[0].key, "p/cur/data/BILLING_PERIOD=2025-06/cur-00001.csv.gz");
        let focus = data_export(&["BilledCost", "SubAccountName"], &file).unwrap();
        assert_eq!((focus.format, focus.has_account_names), (Format::Focus, true));
        assert!(data_export(&["carbon"], &file).unwrap_err().contains("neither those of CUR 2.0"));
        assert_eq!(data_export(&["BilledCost"], &["x"]).unwrap_err(), "m names x, which is no place in S3");
        let twice = br#"{"executionId": "e", "columns": [{"name": "BilledCost", "type": "x", "type": "y"}], "dataFiles": []}"#;
        let error = Contents::of_data_export("m", twice).unwrap_err().to_string();
        assert!(error.contains("'type' stands twice in columns[0]"), "{error}");
        let error = Contents::of_data_export("m", b"{}").unwrap_err().to_string();
        assert!(error.starts_with("m is no manifest of an export: missing field"), "{error}");
    }

    #[test]
    fn a_legacy_report_must_be_csv_of_that_month() {
        let legacy = |change: fn(&mut serde_json::Value)| {
            let mut manifest = json!({
                "assemblyId": "a", "account": "111122223333", "compression": "GZIP", "contentType": "text/csv",
                "columns": [{"category": "lineItem", "name": "UnblendedCost"}], "bucket": "b",
                "billingPeriod": {"start": "20250601T000000.000Z", "end": "20250701T000000.000Z"},
                "reportKeys": ["p/cur/20250601-20250701/a/cur-1.csv.gz"],
            });
            change(&mut manifest);
            let read =
                Contents::of_legacy_report("m", manifest.to_string().as_bytes(), "2025-06".parse().unwrap());
            read.map_err(|error| error.to_string())
        };
        let contents = legacy(|_| ()).unwrap();
        assert_eq!((contents.format, contents.files.len()), (Format::Cur1, 1));
        let other = legacy(|manifest| manifest["billingPeriod"]["end"] = json!("20250801T000000.000Z"));
        assert!(
            other.unwrap_err().starts_with("m is of 20250601T000000.000Z to 20250801T000000.000Z, not of")
        );
        let parquet = legacy(|manifest| manifest["compression"] = json!("Parquet")).unwrap_err();
        assert!(parquet.contains("a legacy report in Parquet"), "{parquet}");
        let other = legacy(|manifest| manifest["columns"] = json!([])).unwrap_err();
        assert!(other.contains("without lineItem/UnblendedCost"), "{other}");
    }
}
