//! Raw documents larger than memory: taken in piece by piece, named by the hash of their bytes, kept once.

use std::collections::HashMap;

use billing::keys::InvoiceKey;
use billing::manifest::{Manifest, ManifestError, Part};
use billing::revision::Revision;
use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use super::streams::FETCHED_AT;
use super::{Bucket, BucketError, BucketReader, Upload, Written};

/// A document being taken in: it stands in a file without a name until its last byte and with it its hash are known.
pub struct Spool {
    file: tokio::fs::File,
    hash: Sha256,
    bytes: u64,
}

/// Why a document could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The bucket refused.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The disk refused.
    #[error("the temporary file failed: {0}; is there room in the temporary folder?")]
    Disk(#[from] std::io::Error),
    /// The manifest cannot be written.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl Spool {
    /// An empty document.
    ///
    /// # Errors
    /// [`KeepError::Disk`].
    pub fn new() -> Result<Self, KeepError> {
        let file = tokio::fs::File::from_std(tempfile::tempfile()?);
        Ok(Self { file, hash: Sha256::new(), bytes: 0 })
    }

    /// Appends.
    ///
    /// # Errors
    /// [`KeepError::Disk`].
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), KeepError> {
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
        Ok(self.file.write_all(piece).await?)
    }

    /// Appends a file, from its beginning.
    ///
    /// # Errors
    /// [`KeepError::Disk`].
    pub async fn write_file(&mut self, file: std::fs::File) -> Result<(), KeepError> {
        let mut pieces = Pieces::of(file).await?;
        while let Some(piece) = pieces.next().await? {
            self.write(piece).await?;
        }
        Ok(())
    }

    /// How many bytes it has so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A document that was taken in whole.
#[derive(Debug)]
pub struct Spooled {
    /// The file, at whatever position.
    pub file: std::fs::File,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// When it was fetched, if it comes from a bucket and that was noted there.
    pub fetched_at: Option<DateTime<Utc>>,
    /// When it was written, if it comes from a bucket.
    pub last_modified: Option<DateTime<Utc>>,
    /// Names its content there, if it comes from a bucket.
    pub etag: Option<String>,
}

impl Spool {
    /// Ends it.
    ///
    /// # Errors
    /// [`KeepError::Disk`].
    pub async fn finish(mut self) -> Result<Spooled, KeepError> {
        self.file.flush().await?;
        let sha256 = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let (file, bytes) = (self.file.into_std().await, self.bytes);
        Ok(Spooled { file, sha256, bytes, fetched_at: None, last_modified: None, etag: None })
    }
}

/// A file, piece by piece.
struct Pieces {
    file: tokio::fs::File,
    piece: Vec<u8>,
}

impl Pieces {
    async fn of(file: std::fs::File) -> Result<Self, std::io::Error> {
        let mut file = tokio::fs::File::from_std(file);
        file.rewind().await?;
        Ok(Self { file, piece: vec![0; 256 * 1024] })
    }

    async fn next(&mut self) -> Result<Option<&[u8]>, std::io::Error> {
        let read = self.file.read(&mut self.piece).await?;
        Ok((read > 0).then(|| &self.piece[..read]))
    }
}

impl BucketReader {
    /// Takes in an object, in one version of it if given; nothing if there is none.
    ///
    /// # Errors
    /// [`KeepError`].
    pub async fn take_in(&self, key: &str, version: Option<&str>) -> Result<Option<Spooled>, KeepError> {
        let Some(mut body) = self.open_version(key, version).await? else { return Ok(None) };
        let mut spool = Spool::new()?;
        while let Some(piece) = body.next().await? {
            spool.write(&piece).await?;
        }
        let spooled = spool.finish().await?;
        let (fetched_at, last_modified) = (body.fetched_at(), body.last_modified());
        Ok(Some(Spooled { fetched_at, last_modified, etag: Some(body.etag().to_owned()), ..spooled }))
    }
}

impl Upload<'_> {
    /// Appends a file, from its beginning.
    ///
    /// # Errors
    /// [`KeepError`].
    pub async fn write_file(&mut self, file: std::fs::File) -> Result<(), KeepError> {
        let mut pieces = Pieces::of(file).await?;
        while let Some(piece) = pieces.next().await? {
            self.write(piece).await?;
        }
        Ok(())
    }
}

impl Bucket {
    /// Keeps a document of a bill under the name that its content gives it, unless it stands there already. `source` is where
    /// it came from, without secrets.
    ///
    /// # Errors
    /// [`KeepError`].
    pub async fn keep(
        &self,
        bill: &InvoiceKey,
        extension: &str,
        source: String,
        spool: Spool,
    ) -> Result<Part, KeepError> {
        let spooled = spool.finish().await?;
        let key = format!("{}{}.{extension}", bill.raw_folder(), Revision::of_sha256(&spooled.sha256));
        let part = Part { key, sha256: spooled.sha256, bytes: spooled.bytes, source, costs: None };
        if self.etag(&part.key).await?.is_some() {
            return Ok(part);
        }
        let mut upload = self.upload(part.key.clone(), "application/octet-stream");
        upload.write_file(spooled.file).await?;
        upload.finish().await?;
        Ok(part)
    }

    /// The same for a document that is in memory.
    ///
    /// # Errors
    /// [`KeepError`].
    pub async fn keep_bytes(
        &self,
        bill: &InvoiceKey,
        extension: &str,
        source: String,
        bytes: &[u8],
    ) -> Result<Part, KeepError> {
        let mut spool = Spool::new()?;
        spool.write(bytes).await?;
        self.keep(bill, extension, source, spool).await
    }

    /// Writes the manifest of a bill, the last step of fetching it: its key, and whether it is new.
    ///
    /// # Errors
    /// [`KeepError`].
    pub async fn keep_manifest(
        &self,
        manifest: &Manifest,
        fetched_at: DateTime<Utc>,
    ) -> Result<(String, Written), KeepError> {
        let bytes = manifest.to_json()?;
        let key = manifest.key(&bytes).to_string();
        let fetched_at = fetched_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let metadata = HashMap::from([(FETCHED_AT.to_owned(), fetched_at)]);
        let written = self.put_new(&key, bytes, "application/json", metadata).await?;
        Ok((key, written))
    }
}
