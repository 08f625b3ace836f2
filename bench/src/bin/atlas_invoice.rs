//! `atlas-invoice WHAT DOCUMENT [FOLDER]`: does one thing with an Atlas invoice and prints what it cost, as JSON.
//!
//! | WHAT | from the document in memory |
//! |---|---|
//! | `rows` | the CSV and the certificate, in memory (and then, unmeasured, as files in FOLDER) |
//! | `statement` | the same and the charges as Parquet: what `allocate` does |
//! | `invoice` | [`Invoice`], the typed document that `rows` starts with |
//! | `value` | `serde_json::Value`, a tree of everything in the document |
//! | `ignored` | `serde::de::IgnoredAny`: read and checked, nothing kept |
//! | `sha256` | the document's hash, which the certificate names; part of `rows` and `statement` |
//!
//! CPU time is that of the work between the document and its result, both in memory, without dropping the result;
//! the peak is that of the whole process. In this workspace `serde_json` keeps numbers as texts (`arbitrary_precision`).

#![expect(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use bench::{invoice, process};
use billing::atlas::{Invoice, Rules, Statement, certify, rows_csv};
use billing::certificate::{Certificate, Certified, DocumentRef};
use billing::keys::RawDocumentKey;
use billing::revision::sha256_hex;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (what, file, folder) = match arguments.as_slice() {
        [what, file] => (what, file, None),
        [what, file, folder] => (what, file, Some(Path::new(folder))),
        _ => {
            return Err(
                "usage: atlas-invoice rows|statement|invoice|value|ignored|sha256 DOCUMENT [FOLDER]".into()
            );
        }
    };
    let document = fs::read(file)?;
    let key = invoice::key(&document)?;
    let cpu = match what.as_str() {
        "rows" => {
            let (cpu, (certificate, rows)) = measured(|| rows(&key, &document))?;
            if let Some(folder) = folder {
                fs::write(folder.join("rows.csv"), rows)?;
                fs::write(folder.join("certificate.json"), certificate)?;
            }
            cpu
        }
        "statement" => measured(|| statement(&key, &document))?.0,
        "invoice" => measured(|| Ok(Invoice::parse(&document)?))?.0,
        "value" => measured(|| Ok(serde_json::from_slice::<Value>(&document)?))?.0,
        "ignored" => measured(|| Ok(serde_json::from_slice::<IgnoredAny>(&document)?))?.0,
        "sha256" => measured(|| Ok(sha256_hex(&document)))?.0,
        other => return Err(format!("'{other}' is nothing that is measured here").into()),
    };
    let cost = json!({
        "cpu_us": u64::try_from(cpu.as_micros())?,
        "peak_kib": process::peak_kib()?,
        "document_bytes": document.len(),
    });
    println!("{cost}");
    Ok(())
}

/// CPU time of `work`, and its result.
fn measured<T>(work: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<(Duration, T), Box<dyn Error>> {
    let before = process::cpu_time()?;
    let result = black_box(work()?);
    Ok((process::cpu_time()? - before, result))
}

/// The certificate's bytes and the CSV.
fn rows(key: &RawDocumentKey, document: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Box<dyn Error>> {
    let invoice = Invoice::parse(document)?;
    let certificate = certify(key, &invoice, Rules::default(), |_charge| Ok(()))?;
    let rows = rows_csv(&certificate)?;
    let inputs = vec![DocumentRef { key: key.to_string(), sha256: sha256_hex(document) }];
    let outputs = vec![DocumentRef { key: key.invoice.allocations(), sha256: sha256_hex(&rows) }];
    Ok((Certificate { inputs, outputs, ..certificate }.to_json()?, rows))
}

/// Everything that is made of an invoice.
fn statement(key: &RawDocumentKey, document: &[u8]) -> Result<(Vec<u8>, Statement), Box<dyn Error>> {
    let statement = Statement::of(key, document, Rules::default())?;
    Ok((statement.certificate.to_json()?, statement))
}
