//! The data bucket: objects read whole, written once or compared-and-swapped, listed by prefix.

mod parts;
mod streams;

use std::collections::HashMap;
use std::ops::Deref;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::list_objects_v2::{ListObjectsV2Error, ListObjectsV2Output};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_async::future::pagination_stream::PaginationStream;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::aws::{Aws, explain};

pub use parts::{KeepError, Spool, Spooled};
pub(crate) use streams::FETCHED_AT;
pub use streams::{Body, Upload};

/// One bucket, to read: holds nothing that could write.
#[derive(Clone, Debug)]
pub struct BucketReader {
    client: Client,
    name: String,
    /// The variable that names it, for messages.
    variable: &'static str,
}

/// One bucket, to read and to write.
#[derive(Clone, Debug)]
pub struct Bucket {
    reader: BucketReader,
}

/// What can write can read.
impl Deref for Bucket {
    type Target = BucketReader;

    fn deref(&self) -> &BucketReader {
        &self.reader
    }
}

/// An object as it was read.
#[derive(Debug)]
pub struct Object {
    /// Its bytes.
    pub bytes: Bytes,
    /// Names this content; what [`Bucket::replace`] compares.
    pub etag: String,
    /// User metadata (`x-amz-meta-*`).
    pub metadata: HashMap<String, String>,
    /// When it was written.
    pub last_modified: Option<DateTime<Utc>>,
    /// How many bytes it has, if they were not read because there are too many.
    pub cut_from_bytes: Option<usize>,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size_bytes: i64,
    /// Names its content.
    pub etag: String,
    /// When it was written.
    pub last_modified: Option<DateTime<Utc>>,
}

/// What became of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The object is now this one.
    Now,
    /// The condition did not hold: somebody else's object stands there.
    Refused,
}

/// A failed call, named by action and object.
#[derive(Clone, Debug, thiserror::Error)]
#[error("failed to {action} s3://{bucket}/{key}: {reason}{advice}")]
pub struct BucketError {
    action: &'static str,
    bucket: String,
    key: String,
    reason: String,
    advice: &'static str,
}

/// How an object says that its bytes are not those that were written, or that the connection broke.
const BROKE_OFF: &str = "the body broke off";

impl BucketError {
    /// Whether the object is there, and its bytes did not come whole.
    #[must_use]
    pub fn is_broken_body(&self) -> bool {
        self.reason.starts_with(BROKE_OFF)
    }
}

impl BucketReader {
    /// The bucket of that name; `variable` is where the name comes from.
    #[must_use]
    pub fn new(aws: &Aws, name: impl Into<String>, variable: &'static str) -> Self {
        Self { client: aws.s3(), name: name.into(), variable }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The object under a key (in one version of it, if given), or nothing.
    ///
    /// # Errors
    /// [`BucketError`] for anything but "no such key".
    pub async fn get(&self, key: &str, version: Option<&str>) -> Result<Option<Object>, BucketError> {
        self.get_at_most(key, version, usize::MAX).await
    }

    /// The same, without the bytes if there are more of them than that.
    ///
    /// # Errors
    /// [`BucketError`] for anything but "no such key".
    pub async fn get_at_most(
        &self,
        key: &str,
        version: Option<&str>,
        limit_bytes: usize,
    ) -> Result<Option<Object>, BucketError> {
        let request =
            self.client.get_object().bucket(&self.name).key(key).set_version_id(version.map(str::to_owned));
        let response = match request.send().await {
            Ok(response) => response,
            Err(SdkError::ServiceError(error)) if error.err().is_no_such_key() => return Ok(None),
            Err(error) => return Err(self.failed("read", key, &error)),
        };
        let etag = response.e_tag().unwrap_or_default().to_owned();
        let metadata = response.metadata().cloned().unwrap_or_default();
        let last_modified = response.last_modified().and_then(time);
        let size = usize::try_from(response.content_length().unwrap_or_default()).unwrap_or(usize::MAX);
        if size > limit_bytes {
            let (bytes, cut_from_bytes) = (Bytes::new(), Some(size));
            return Ok(Some(Object { bytes, etag, metadata, last_modified, cut_from_bytes }));
        }
        let body = response.body.collect().await.map_err(|error| BucketError {
            action: "read",
            bucket: self.name.clone(),
            key: key.to_owned(),
            reason: format!("{BROKE_OFF}: {error}"),
            advice: "",
        })?;
        let bytes = body.into_bytes();
        Ok(Some(Object { bytes, etag, metadata, last_modified, cut_from_bytes: None }))
    }

    /// The ETag of the object under a key, or nothing.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn etag(&self, key: &str) -> Result<Option<String>, BucketError> {
        match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(response) => Ok(Some(response.e_tag().unwrap_or_default().to_owned())),
            Err(SdkError::ServiceError(error)) if error.err().is_not_found() => Ok(None),
            Err(error) => Err(self.failed("look up", key, &error)),
        }
    }

    /// All objects under a prefix, in the order of their keys; pages are followed.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>, BucketError> {
        let mut pages = self.pages(prefix);
        let mut listed = Vec::new();
        while let Some(page) = pages.next().await? {
            listed.extend(page);
        }
        Ok(listed)
    }

    /// The same page by page, for prefixes with more objects than there is memory.
    #[must_use]
    pub fn pages(&self, prefix: &str) -> Pages<'_> {
        let request = self.client.list_objects_v2().bucket(&self.name).prefix(prefix);
        Pages { bucket: self, prefix: prefix.to_owned(), pages: request.into_paginator().send() }
    }

    /// The folders right under a prefix that ends with `/`: their whole prefixes, in order.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        let request = self.client.list_objects_v2().bucket(&self.name).prefix(prefix).delimiter("/");
        let mut pages = request.into_paginator().send();
        let mut folders = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failed("list", prefix, &error))?;
            folders.extend(
                page.common_prefixes().iter().filter_map(|folder| folder.prefix()).map(str::to_owned),
            );
        }
        Ok(folders)
    }

    fn failed<E>(&self, action: &'static str, key: &str, error: &SdkError<E>) -> BucketError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        // the answer to a HEAD has no body, so there is no code to go by
        let forbidden = error.raw_response().is_some_and(|response| response.status().as_u16() == 403);
        match error.code() {
            None if forbidden => self.error(action, key, "access denied (403)".into(), FORBIDDEN),
            Some("AccessDenied") => self.error(action, key, explain(error), FORBIDDEN),
            Some("NoSuchBucket") => {
                let reason =
                    format!("{}; {} must name a bucket that is there", explain(error), self.variable);
                self.error(action, key, reason, "")
            }
            Some(_) => self.error(action, key, explain(error), ""),
            None => self.error(action, key, explain(error), "; is the endpoint right and reachable?"),
        }
    }

    fn error(&self, action: &'static str, key: &str, reason: String, advice: &'static str) -> BucketError {
        BucketError { action, bucket: self.name.clone(), key: key.to_owned(), reason, advice }
    }
}

/// The pages of a listing, each of at most 1,000 objects.
pub struct Pages<'b> {
    bucket: &'b BucketReader,
    prefix: String,
    pages: PaginationStream<Result<ListObjectsV2Output, SdkError<ListObjectsV2Error>>>,
}

impl Pages<'_> {
    /// The next page, or nothing after the last.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn next(&mut self) -> Result<Option<Vec<Listed>>, BucketError> {
        let Some(page) = self.pages.next().await else { return Ok(None) };
        let page = page.map_err(|error| self.bucket.failed("list", &self.prefix, &error))?;
        let listed = page.contents().iter().filter_map(|object| {
            Some(Listed {
                key: object.key()?.to_owned(),
                size_bytes: object.size().unwrap_or_default(),
                etag: object.e_tag().unwrap_or_default().to_owned(),
                last_modified: object.last_modified().and_then(time),
            })
        });
        Ok(Some(listed.collect()))
    }
}

impl Bucket {
    /// The data bucket of that name.
    #[must_use]
    pub fn new(aws: &Aws, name: impl Into<String>) -> Self {
        Self { reader: BucketReader::new(aws, name, "DATA_BUCKET") }
    }

    /// The same bucket, to read only.
    #[must_use]
    pub fn reader(&self) -> &BucketReader {
        &self.reader
    }

    /// Writes an object unless one stands there already (`If-None-Match: *`).
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn put_new(
        &self,
        key: &str,
        bytes: impl Into<Bytes>,
        content_type: &str,
        metadata: HashMap<String, String>,
    ) -> Result<Written, BucketError> {
        let bytes = bytes.into();
        // a conflict says that somebody is writing, not that it will be there
        for attempt in 1..=CONFLICTS {
            match self.put(key, bytes.clone(), content_type, metadata.clone(), &Expected::Absent).await? {
                Put::Written(written) => return Ok(written),
                Put::Conflict => tokio::time::sleep(Duration::from_millis(200 * attempt)).await,
            }
        }
        Err(self.error("write", key, "somebody else keeps writing it".into(), "; try again"))
    }

    /// Replaces the object whose ETag is `seen`; with `None`, writes it if there is none.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn replace(
        &self,
        key: &str,
        bytes: impl Into<Bytes>,
        content_type: &str,
        seen: Option<String>,
    ) -> Result<Written, BucketError> {
        let expected = seen.map_or(Expected::Absent, Expected::Etag);
        Ok(self.put(key, bytes.into(), content_type, HashMap::new(), &expected).await?.written())
    }

    /// The same with user metadata.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn replace_noted(
        &self,
        key: &str,
        bytes: impl Into<Bytes>,
        content_type: &str,
        metadata: HashMap<String, String>,
        seen: Option<String>,
    ) -> Result<Written, BucketError> {
        let expected = seen.map_or(Expected::Absent, Expected::Etag);
        Ok(self.put(key, bytes.into(), content_type, metadata, &expected).await?.written())
    }

    /// Writes an object whatever stands there: for content that its key alone decides.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn overwrite(
        &self,
        key: &str,
        bytes: impl Into<Bytes>,
        content_type: &str,
    ) -> Result<(), BucketError> {
        self.put(key, bytes.into(), content_type, HashMap::new(), &Expected::Anything).await.map(|_| ())
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: &str,
        metadata: HashMap<String, String>,
        expected: &Expected,
    ) -> Result<Put, BucketError> {
        let request = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .content_type(content_type)
            .set_metadata((!metadata.is_empty()).then_some(metadata))
            .body(ByteStream::from(bytes));
        let request = match expected {
            Expected::Absent => request.if_none_match("*"),
            Expected::Etag(etag) => request.if_match(etag),
            Expected::Anything => request,
        };
        match request.send().await {
            Ok(_) => Ok(Put::Written(Written::Now)),
            Err(error) => refused(&error).ok_or_else(|| self.failed("write", key, &error)),
        }
    }
}

/// What became of a write that failed, if it failed because its condition does not hold.
fn refused<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<Put> {
    let SdkError::ServiceError(error) = error else { return None };
    match error.raw().status().as_u16() {
        409 => Some(Put::Conflict),
        412 => Some(Put::Written(Written::Refused)),
        // with If-Match: the object that was seen is gone
        404 if error.err().code() == Some("NoSuchKey") => Some(Put::Written(Written::Refused)),
        _ => None,
    }
}

const FORBIDDEN: &str = "; the function's policy must allow it for this prefix";

/// How often a new object is tried to be written while somebody else writes it.
const CONFLICTS: u64 = 5;

enum Put {
    Written(Written),
    /// 409: somebody writes it at this moment.
    Conflict,
}

impl Put {
    /// For callers that look again when somebody else was quicker.
    fn written(self) -> Written {
        match self {
            Self::Written(written) => written,
            Self::Conflict => Written::Refused,
        }
    }
}

enum Expected {
    Absent,
    Etag(String),
    Anything,
}

fn time(time: &aws_sdk_s3::primitives::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}
