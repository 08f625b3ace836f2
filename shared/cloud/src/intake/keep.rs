//! What was brought, kept: documents by their content, then what they are, whose arrival starts the allocation.

use std::collections::HashMap;
use std::fs::File;

use billing::intake::Import;
use billing::keys::{InvoiceKey, imported};
use billing::manifest::{Format, Manifest, Part};
use billing::money::Currency;
use chrono::{DateTime, SecondsFormat, Utc};

use super::IntakeError;
use super::standing::{manifest_of, newest};
use crate::bucket::{Bucket, BucketReader, FETCHED_AT};
use crate::ledger::LedgerReader;

/// Keeps a document under the name that its content gives it, unless it stands there already.
///
/// # Errors
/// [`IntakeError`].
pub async fn keep_document(bucket: &Bucket, part: &Part, file: &File) -> Result<(), IntakeError> {
    if bucket.etag(&part.key).await?.is_some() {
        return Ok(());
    }
    let mut upload = bucket.upload(part.key.clone(), "application/octet-stream");
    upload.write_file(file.try_clone().map_err(crate::bucket::KeepError::from)?).await?;
    upload.finish().await?;
    Ok(())
}

/// Writes what was brought at once, the last step of bringing it: its key. Its documents must stand there.
///
/// # Errors
/// [`IntakeError`].
pub async fn keep(bucket: &Bucket, bills: Vec<Manifest>, now: DateTime<Utc>) -> Result<String, IntakeError> {
    let bytes = Import::of(bills).to_json()?;
    let key = Import::key(&bytes);
    let fetched_at = now.to_rfc3339_opts(SecondsFormat::Millis, true);
    let metadata = HashMap::from([(FETCHED_AT.to_owned(), fetched_at)]);
    bucket.put_new(&key, bytes, "application/json", metadata).await?;
    Ok(key)
}

/// The part that a document becomes.
#[must_use]
pub fn part_of(name: &str, sha256: &str, bytes: u64, source: &str) -> Part {
    Part {
        key: imported(sha256, name),
        sha256: sha256.to_owned(),
        bytes,
        source: source.to_owned(),
        costs: None,
    }
}

/// The next revision of a bill that counts, without charges, and its currency.
///
/// # Errors
/// [`IntakeError::NoBill`] if it does not count.
pub async fn withdrawing(
    bucket: &BucketReader,
    ledger: &LedgerReader,
    invoice: &InvoiceKey,
    reason: &str,
) -> Result<(Manifest, Option<Currency>), IntakeError> {
    let record = newest(ledger, invoice).await?.filter(|record| !record.withdrawn);
    let record = record.ok_or_else(|| IntakeError::NoBill(Box::new(invoice.clone())))?;
    let format = manifest_of(bucket, ledger, invoice, &record)
        .await?
        .map_or(Format::Focus, |manifest| manifest.format);
    let currency = record.totals.as_ref().and_then(|totals| Currency::from_code(&totals.currency));
    Ok((Manifest::withdrawing(invoice, format, record.revision, reason.to_owned()), currency))
}
