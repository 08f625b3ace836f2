//! Exports as objects: CUR 2.0 in folders that are written again, FOCUS in a folder for each execution.

use billing::month::BillingMonth;
use serde_json::{Value, json};

use super::example::{Bill, gzip, original, packed, text};
use super::{AWS_CUR2, AWS_EXPORT_BUCKET, AWS_EXPORT_PREFIX, AWS_FOCUS};

const CUR2_MANIFEST: &str = include_str!("../../../examples/aws/cur2-hourly-Manifest.json");
const FOCUS_MANIFEST: &str = include_str!("../../../examples/aws/focus12-Manifest.json");
const FOCUS_FILE: &[u8] = include_bytes!("../../../examples/aws/focus12-00001.csv.gz");

/// How the files of a legacy report are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// `.csv.gz`.
    Gzip,
    /// `.csv.zip`.
    Zip,
}

/// A month of the export of CUR 2.0.
pub(super) fn cur2(bill: &Bill, delivery: u32) -> Vec<(String, Vec<u8>)> {
    let Bill { month, files, .. } = bill;
    let root = format!("{AWS_EXPORT_PREFIX}/{AWS_CUR2}");
    let place = |number: usize| format!("{root}/data/BILLING_PERIOD={month}/{AWS_CUR2}-{number:05}.csv.gz");
    let mut objects: Vec<(String, Vec<u8>)> = files
        .iter()
        .enumerate()
        .map(|(index, text)| (place(index + 1), packed(text, original(index))))
        .collect();
    let keys: Vec<&str> = objects.iter().map(|(key, _)| key.as_str()).collect();
    let manifest = manifest(CUR2_MANIFEST, &execution(delivery), &keys);
    // of an earlier delivery that had more files: AWS leaves an empty one, which the manifest does not name
    objects.push((place(files.len() + 1), Vec::new()));
    objects.push((format!("{root}/metadata/BILLING_PERIOD={month}/{AWS_CUR2}-Manifest.json"), manifest));
    objects
}

/// A month of the export of FOCUS.
pub(super) fn focus(month: BillingMonth, delivery: u32) -> Vec<(String, Vec<u8>)> {
    let text = text(FOCUS_FILE).replace("2025-06-", &format!("{month}-"));
    let text = text.replace("2025-07-", &format!("{}-", month.next()));
    let root = format!("{AWS_EXPORT_PREFIX}/{AWS_FOCUS}");
    let run = format!("{}-03T05:14:22.104Z-{}", month.next(), execution(delivery));
    let key = format!("{root}/data/billing_period={month}/{run}/{AWS_FOCUS}-00001.csv.gz");
    let manifest = manifest(FOCUS_MANIFEST, &execution(delivery), &[&key]);
    let metadata = format!("{root}/metadata/billing_period={month}");
    vec![
        (key, packed(&text, FOCUS_FILE)),
        (format!("{metadata}/{run}/{AWS_FOCUS}-Manifest.json"), manifest.clone()),
        (format!("{metadata}/{AWS_FOCUS}-Manifest.json"), manifest),
    ]
}

/// The id of an execution.
pub(super) fn execution(delivery: u32) -> String {
    format!("{delivery:08x}-1111-4222-8333-{delivery:012x}")
}

fn manifest(like: &str, execution: &str, keys: &[&str]) -> Vec<u8> {
    let mut manifest: Value = serde_json::from_str(like).unwrap_or_default();
    let uris: Vec<String> = keys.iter().map(|key| format!("s3://{AWS_EXPORT_BUCKET}/{key}")).collect();
    manifest["executionId"] = json!(execution);
    manifest["dataFiles"] = json!(uris);
    manifest.to_string().into_bytes()
}

/// A file packed either way.
pub(super) fn pack(text: &str, name: &str, packing: Packing) -> Vec<u8> {
    match packing {
        Packing::Gzip => gzip(text),
        Packing::Zip => zipped(text, name).unwrap_or_default(), // writing to memory does not fail
    }
}

fn zipped(text: &str, name: &str) -> zip::result::ZipResult<Vec<u8>> {
    use std::io::Write as _;

    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file(name, zip::write::SimpleFileOptions::default())?;
    archive.write_all(text.as_bytes())?;
    Ok(archive.finish()?.into_inner())
}
