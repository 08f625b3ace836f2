//! Certificates whose hash the ledger holds, so that one that was changed where it stands is noticed.
//!
//! The hash is noted before the certificate is written, beside the one that stands there, and those before it are forgotten after. So at any moment what stands
//! there is noted, wherever a process dies; whoever comes next only has to go on. A writer forgets no hash that was noted after its own: that is of
//! somebody who is about to write.

use billing::revision::{Revision, sha256_hex};
use bytes::Bytes;
use serde_json::json;

use crate::bucket::{Bucket, BucketError, BucketReader, Written};
use crate::ledger::{Ledger, LedgerError, LedgerReader, Seal, SealKey, Subject};
use crate::publication::Contention;

/// Why a certificate cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum SealError {
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Contention(#[from] Contention),
    /// It is no certificate, or breaks its laws.
    #[error("{0}")]
    Broken(String),
    /// It is not what was certified.
    #[error("{0}")]
    Changed(String),
    /// It is there, and cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// It is not there.
    #[error("{0}")]
    Gone(String),
}

impl SealError {
    /// Whether the certificate is not what the ledger says, and could be made again.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Changed(_) | Self::Unreadable(_) | Self::Gone(_))
    }
}

/// A certificate of which the ledger holds the hash.
#[derive(Clone, Debug)]
pub struct Sealed<'s> {
    /// Where it stands.
    pub key: String,
    seal: SealKey,
    subject: Subject<'s>,
    revision: Revision,
}

impl<'s> Sealed<'s> {
    /// The certificate of a revision.
    #[must_use]
    pub fn of(subject: impl Into<Subject<'s>>, revision: &Revision) -> Self {
        let subject = subject.into();
        let (Subject::Invoice(key) | Subject::Report(key)) = subject;
        let (key, seal) = (key.certificate(revision), SealKey::of(subject, revision));
        Self { key, seal, subject, revision: revision.clone() }
    }

    /// The bytes, if they are those that were certified; nothing if there is no certificate.
    ///
    /// # Errors
    /// [`SealError`].
    pub async fn read(
        &self,
        bucket: &BucketReader,
        ledger: &LedgerReader,
    ) -> Result<Option<Bytes>, SealError> {
        loop {
            let object = match bucket.get(&self.key, None).await {
                Err(source) if source.is_broken_body() => {
                    let again = self.again(ledger).await?;
                    return Err(SealError::Unreadable(format!("{source}; if it is damaged, {again}")));
                }
                object => object?,
            };
            let Some(object) = object else { return Ok(None) };
            // else somebody has written another since, who has noted it
            if self.stands(bucket, ledger, &object.bytes).await?.is_some() {
                return Ok(Some(object.bytes));
            }
        }
    }

    /// What is noted of bytes that were read, if they are what was certified: an error if they are not, nothing if others have taken their
    /// place since. Of what a version before has certified, nothing is noted: it is believed.
    ///
    /// # Errors
    /// [`SealError::Changed`].
    pub async fn stands(
        &self,
        bucket: &BucketReader,
        ledger: &LedgerReader,
        bytes: &[u8],
    ) -> Result<Option<Seal>, SealError> {
        let found = sha256_hex(bytes);
        let seal = ledger.seal(&self.seal).await?;
        let Some(certified) = seal.hashes.last().filter(|_| !seal.hashes.contains(&found)) else {
            return Ok(Some(seal));
        };
        if bucket.get(&self.key, None).await?.is_none_or(|object| object.bytes != bytes) {
            return Ok(None);
        }
        let (key, again) = (&self.key, self.again(ledger).await?);
        Err(SealError::Changed(format!(
            "{key} is not what was certified: its hash is {found}, the ledger has {certified}: it was changed or damaged; {again}"
        )))
    }

    /// What stands there, its bytes and its `ETag`, to be replaced; no bytes if they cannot be read and are made anew.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn standing(
        &self,
        bucket: &BucketReader,
        is_made_anew: bool,
    ) -> Result<Option<(Bytes, String)>, BucketError> {
        match bucket.get(&self.key, None).await {
            Err(error) if is_made_anew && error.is_broken_body() => {
                let etag = bucket.etag(&self.key).await?;
                Ok(etag.map(|etag| (Bytes::new(), etag)))
            }
            object => Ok(object?.map(|object| (object.bytes, object.etag))),
        }
    }

    /// That there is none, which the ledger names.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn gone(&self, ledger: &LedgerReader) -> Result<SealError, LedgerError> {
        let (key, again) = (&self.key, self.again(ledger).await?);
        Ok(SealError::Gone(format!("there is no certificate {key}, which the ledger names; {again}")))
    }

    /// What to do about it.
    async fn again(&self, ledger: &LedgerReader) -> Result<String, LedgerError> {
        let record = ledger.revision(self.subject, &self.revision).await?;
        let raw_key = record.map(|record| record.raw_key).unwrap_or_default();
        let (function, event) = match self.subject {
            Subject::Invoice(_) => ("allocate", json!({"key": raw_key, "force": true})),
            Subject::Report(_) => ("fetch-ccx", json!({"key": raw_key})),
        };
        Ok(format!(
            "make it again with the event {event} (monthend invoke {function} -e FILE), or restore it from the bucket's versions or a backup"
        ))
    }

    /// Writes a certificate in place of what stands there, its bytes and its `ETag`, and what is noted of it as far as that was read;
    /// `Refused` if somebody was quicker.
    ///
    /// # Errors
    /// [`SealError`].
    pub async fn replace(
        &self,
        bucket: &Bucket,
        ledger: &Ledger,
        standing: Option<(Bytes, String)>,
        seal: Option<Seal>,
        wanted: Vec<u8>,
        content_type: &str,
    ) -> Result<Written, SealError> {
        let hash = sha256_hex(&wanted);
        let before = standing.as_ref().map(|(bytes, _)| sha256_hex(bytes));
        let seen = match (seal, &before) {
            (Some(seal), _) => seal,
            (None, Some(_)) => ledger.seal(&self.seal).await?,
            // most are new, and nothing is noted of them
            (None, None) => Seal::default(),
        };
        if before.as_ref() == Some(&hash) {
            return self.settle(ledger, &seen, &hash).await;
        }
        let seal = match self.note(ledger, seen, before.as_deref(), &hash).await? {
            Some(seal) => seal,
            None if before.is_some() => return Ok(Written::Refused),
            // it was noted by somebody who was cut short, or its certificate is gone
            None => match self.note(ledger, ledger.seal(&self.seal).await?, None, &hash).await? {
                Some(seal) => seal,
                None => return Ok(Written::Refused),
            },
        };
        let etag = standing.map(|(_, etag)| etag);
        if bucket.replace(&self.key, wanted, content_type, etag).await? == Written::Refused {
            return Ok(Written::Refused);
        }
        // whoever was quicker has noted another, and goes on
        self.settle(ledger, &seal, &hash).await.map(|_| Written::Now)
    }

    /// Notes a hash as the newest; nothing if somebody else was quicker.
    async fn note(
        &self,
        ledger: &Ledger,
        seen: Seal,
        before: Option<&str>,
        hash: &str,
    ) -> Result<Option<Seal>, SealError> {
        if seen.hashes.last().is_some_and(|last| last == hash) {
            return Ok(Some(seen));
        }
        // what stands there and was never noted is believed
        let kept = match (before, seen.hashes.is_empty()) {
            (Some(before), true) => vec![before.to_owned()],
            _ => seen.hashes.iter().filter(|noted| *noted != hash).cloned().collect(),
        };
        let hashes = [kept, vec![hash.to_owned()]].concat();
        let written = ledger.set_seal(&self.seal, &seen, &hashes).await?;
        Ok((written == Written::Now).then(|| Seal::of(hashes)))
    }

    /// Forgets what was noted before a certificate that stands.
    async fn settle(&self, ledger: &Ledger, seal: &Seal, hash: &str) -> Result<Written, SealError> {
        let at = seal.hashes.iter().position(|noted| noted == hash);
        match at {
            Some(0) => Ok(Written::Now),
            Some(at) => {
                let hashes = seal.hashes.get(at..).unwrap_or_default();
                Ok(ledger.set_seal(&self.seal, seal, hashes).await?)
            }
            None => Ok(ledger.set_seal(&self.seal, seal, &[hash.to_owned()]).await?),
        }
    }
}
