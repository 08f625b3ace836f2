//! Hashes of certificates: `SEAL#{revision}` beside the revision's record. The last is of the newest certificate; those before it are of what it
//! is about to take the place of.

use std::collections::BTreeMap;

use billing::keys::InvoiceKey;
use billing::revision::Revision;

use super::{Condition, Ledger, LedgerError, LedgerReader, Record, invoices, reports};
use crate::bucket::Written;

/// The record of a certificate's hash.
#[derive(Clone, Debug)]
pub struct SealKey {
    pk: String,
    sk: String,
}

impl SealKey {
    /// Of the certificate of an invoice or a bill.
    #[must_use]
    pub fn of_invoice(invoice: &InvoiceKey, revision: &Revision) -> Self {
        Self { pk: invoices::partition(invoice), sk: format!("SEAL#{revision}") }
    }

    /// Of the certificate of a usage report.
    #[must_use]
    pub fn of_report(report: &InvoiceKey, revision: &Revision) -> Self {
        Self { pk: reports::partition(report), sk: format!("SEAL#{revision}") }
    }
}

/// Hashes that a certificate may have; none if that was never noted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seal {
    /// SHA-256, the newest last.
    pub hashes: Vec<String>,
    /// The text in the ledger.
    seen: Option<String>,
}

const FIELD: &str = "sha256";

impl Seal {
    /// One that was written.
    #[must_use]
    pub(crate) fn of(hashes: Vec<String>) -> Self {
        let seen = Some(hashes.join(" "));
        Self { hashes, seen }
    }
}

impl LedgerReader {
    /// What is noted of a certificate.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn seal(&self, key: &SealKey) -> Result<Seal, LedgerError> {
        let Some(record) = self.get(&key.pk, &key.sk).await? else { return Ok(Seal::default()) };
        let text: String = record.field(FIELD)?;
        let hashes: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let is_hash = |hash: &String| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hashes.is_empty() || !hashes.iter().all(is_hash) {
            return Err(record.unusable(FIELD, &format!("'{text}' is no hash")));
        }
        Ok(Seal { hashes, seen: Some(text) })
    }
}

impl Ledger {
    /// Notes what a certificate may be, if that is still what was seen.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn set_seal(
        &self,
        key: &SealKey,
        seen: &Seal,
        hashes: &[String],
    ) -> Result<Written, LedgerError> {
        let fields = BTreeMap::from([(FIELD.to_owned(), hashes.join(" "))]);
        let record = Record { pk: key.pk.clone(), sk: key.sk.clone(), fields };
        self.put(&record, Condition::Unchanged { field: FIELD, seen: seen.seen.as_deref() }).await
    }
}
