//! Hashes of certificates: `SEAL#{revision}` beside the revision's record. The last is of the newest certificate; those before it are of what it
//! is about to take the place of.

use billing::revision::Revision;
use serde::{Deserialize, Serialize};

use super::fields::spaced;
use super::{Condition, Ledger, LedgerError, LedgerReader, Record, Subject};
use crate::bucket::Written;

/// The record of a certificate's hash.
#[derive(Clone, Debug)]
pub struct SealKey {
    pk: String,
    sk: String,
}

impl SealKey {
    /// Of the certificate of a revision.
    #[must_use]
    pub fn of(subject: Subject<'_>, revision: &Revision) -> Self {
        Self { pk: subject.partition(), sk: format!("SEAL#{revision}") }
    }
}

/// Hashes that a certificate may have; none if that was never noted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// SHA-256, the newest last.
    #[serde(rename = "sha256", with = "spaced")]
    pub hashes: Vec<String>,
    /// The text in the ledger.
    #[serde(skip)]
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
        let Seal { hashes, .. } = record.read()?;
        let seen = record.fields.get(FIELD);
        let is_hash = |hash: &String| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hashes.is_empty() || !hashes.iter().all(is_hash) {
            return Err(record.unusable(FIELD, &format!("'{}' is no hash", hashes.join(" "))));
        }
        Ok(Seal { hashes, seen: seen.cloned() })
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
        let record = Record::of(key.pk.clone(), &key.sk, &Seal::of(hashes.to_vec()))?;
        self.put(&record, Condition::Unchanged { field: FIELD, seen: seen.seen.as_deref() }).await
    }
}
