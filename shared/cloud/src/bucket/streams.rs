//! Objects larger than memory: read and written piece by piece.

use std::collections::HashMap;

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, SecondsFormat, Utc};

use super::{Bucket, BucketError, BucketReader, Expected, Written, refused, time};

/// The metadata that says when a raw document was fetched: S3 itself knows only seconds, and those of the last copy.
pub(crate) const FETCHED_AT: &str = "fetched-at";

/// The body of an object, as it comes.
#[derive(Debug)]
pub struct Body {
    bucket: BucketReader,
    key: String,
    stream: ByteStream,
    size_bytes: Option<u64>,
    last_modified: Option<DateTime<Utc>>,
    fetched_at: Option<DateTime<Utc>>,
    etag: String,
}

impl BucketReader {
    /// The body of the object under a key, or nothing if there is none.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn open(&self, key: &str) -> Result<Option<Body>, BucketError> {
        self.open_version(key, None).await
    }

    pub(super) async fn open_version(
        &self,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<Body>, BucketError> {
        let request = self.client.get_object().bucket(&self.name).key(key);
        match request.set_version_id(version.map(str::to_owned)).send().await {
            Ok(response) => {
                let last_modified = response.last_modified().and_then(time);
                let size_bytes = response.content_length().and_then(|size| u64::try_from(size).ok());
                let fetched_at =
                    response.metadata().and_then(|metadata| metadata.get(FETCHED_AT)?.parse().ok());
                let etag = response.e_tag().unwrap_or_default().to_owned();
                let (bucket, key, stream) = (self.clone(), key.to_owned(), response.body);
                Ok(Some(Body { bucket, key, stream, size_bytes, last_modified, fetched_at, etag }))
            }
            Err(SdkError::ServiceError(error)) if error.err().is_no_such_key() => Ok(None),
            Err(error) => Err(self.failed("read", key, &error)),
        }
    }
}

impl Body {
    /// How many bytes S3 says there are.
    #[must_use]
    pub fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }

    /// When the object was written.
    #[must_use]
    pub fn last_modified(&self) -> Option<DateTime<Utc>> {
        self.last_modified
    }

    /// When whoever put the object there fetched it, if that was noted.
    #[must_use]
    pub fn fetched_at(&self) -> Option<DateTime<Utc>> {
        self.fetched_at
    }

    /// Names its content.
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// The next piece, or nothing at the end.
    ///
    /// # Errors
    /// [`BucketError`] if it breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BucketError> {
        let piece = self.stream.next().await.transpose();
        piece
            .map_err(|error| self.bucket.error("read", &self.key, format!("the body broke off: {error}"), ""))
    }
}

/// S3 takes parts of at least 5 MiB (but for the last) and at most 10,000 of them: 80 GiB.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// An object being written. It is there when [`Upload::finish`] has ended, and not before; what was given up half-way is removed by
/// the bucket's rule for broken uploads.
pub struct Upload<'b> {
    bucket: &'b Bucket,
    key: String,
    content_type: &'static str,
    metadata: HashMap<String, String>,
    pending: BytesMut,
    /// Its id, once there is more than one part.
    id: Option<String>,
    parts: Vec<CompletedPart>,
}

impl Bucket {
    /// Begins an object whose content its key alone decides: whatever stands there is replaced.
    #[must_use]
    pub fn upload(&self, key: String, content_type: &'static str) -> Upload<'_> {
        let (metadata, pending, parts) = (HashMap::new(), BytesMut::new(), Vec::new());
        Upload { bucket: self, key, content_type, metadata, pending, id: None, parts }
    }

    /// Removes an object; that there is none is no error.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn delete(&self, key: &str) -> Result<(), BucketError> {
        let request = self.client.delete_object().bucket(&self.name).key(key);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(error)) if error.raw().status().as_u16() == 404 => Ok(()),
            Err(error) => Err(self.failed("remove", key, &error)),
        }
    }
}

impl Upload<'_> {
    /// Notes on the object when its content was fetched.
    #[must_use]
    pub fn fetched_at(mut self, time: DateTime<Utc>) -> Self {
        let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
        self.metadata.insert(FETCHED_AT.to_owned(), time);
        self
    }

    /// Appends.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), BucketError> {
        self.pending.extend_from_slice(bytes);
        while self.pending.len() >= PART_BYTES {
            let part = self.pending.split_to(PART_BYTES).freeze();
            self.part(part).await?;
        }
        Ok(())
    }

    /// Ends it; from now on it is there, whole.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn finish(self) -> Result<(), BucketError> {
        self.end(&Expected::Anything).await.map(|_| ())
    }

    /// Ends it if the object that stands there is still the one whose `ETag` was `seen`, or none if there was none.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn replace(self, seen: Option<String>) -> Result<Written, BucketError> {
        self.end(&seen.map_or(Expected::Absent, Expected::Etag)).await
    }

    async fn end(mut self, expected: &Expected) -> Result<Written, BucketError> {
        let last = self.pending.split().freeze();
        if self.id.is_none() {
            let put = self.bucket.put(&self.key, last, self.content_type, self.metadata, expected).await?;
            return Ok(put.written());
        }
        if !last.is_empty() {
            self.part(last).await?;
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(self.parts)).build();
        let bucket = self.bucket;
        let request = bucket.client.complete_multipart_upload().bucket(&bucket.name).key(&self.key);
        let request = request.set_upload_id(self.id).multipart_upload(parts);
        let request = match expected {
            Expected::Absent => request.if_none_match("*"),
            Expected::Etag(etag) => request.if_match(etag),
            Expected::Anything => request,
        };
        match request.send().await {
            Ok(_) => Ok(Written::Now),
            Err(error) => refused(&error).map_or_else(
                || Err(bucket.failed("write", &self.key, &error)),
                |refused| Ok(refused.written()),
            ),
        }
    }

    async fn part(&mut self, bytes: Bytes) -> Result<(), BucketError> {
        let bucket = self.bucket;
        let failed = |key: &str, error| bucket.failed("write", key, &error);
        if self.id.is_none() {
            let request = bucket.client.create_multipart_upload().bucket(&bucket.name).key(&self.key);
            let request =
                request.content_type(self.content_type).checksum_algorithm(ChecksumAlgorithm::Crc32);
            let request = request.set_metadata(Some(self.metadata.clone()));
            let created = request.send().await;
            let created = created.map_err(|error| bucket.failed("write", &self.key, &error))?;
            self.id = created.upload_id;
        }
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX); // S3 refuses more than 10,000
        let request = bucket.client.upload_part().bucket(&bucket.name).key(&self.key).part_number(number);
        let request = request
            .set_upload_id(self.id.clone())
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(bytes));
        let written = request.send().await.map_err(|error| failed(&self.key, error))?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(written.e_tag);
        self.parts.push(part.set_checksum_crc32(written.checksum_crc32).build());
        Ok(())
    }
}
