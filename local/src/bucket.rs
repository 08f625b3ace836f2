//! S3 on the store of a home: what the tools and libraries ask that people point at it. What S3 has beyond (versions, tags, access lists)
//! is answered with `NotImplemented`.

mod access;
mod conditions;
mod describe;
mod listing;
mod parts;
mod receive;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, BucketLocationConstraint, CommonPrefix,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput,
    CopyObjectResult, CopyPartResult, CopySource, CreateBucketInput, CreateBucketOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteBucketInput, DeleteBucketOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag,
    Error, GetBucketLocationInput, GetBucketLocationOutput, GetBucketVersioningInput,
    GetBucketVersioningOutput, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    ListPartsInput, ListPartsOutput, MetadataDirective, MultipartUpload, Part as PartInfo, PostObjectInput,
    PostObjectOutput, PutBucketVersioningInput, PutBucketVersioningOutput, PutObjectInput, PutObjectOutput,
    Timestamp, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

pub(crate) use self::access::{AllSigned, OneKey};
use self::conditions::{Conditions, conditions_of};
use self::describe::{head_of, head_output, object_output};
use self::receive::{Checksums, checksums_of, receive, received};
use crate::store::{NewFile, Object, Part, Store, StoreError, Upload, Written};

const LAST_PART: i32 = 10_000;
const LONGEST_KEY: usize = 1024;
/// Objects of one request to delete.
const MOST_DELETED: usize = 1000;

/// The S3 of a home.
#[derive(Clone)]
pub(crate) struct EmbeddedS3 {
    store: Store,
}

impl EmbeddedS3 {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    async fn check_bucket(&self, bucket: &str) -> S3Result<()> {
        if self.store.has_bucket(bucket).await? {
            Ok(())
        } else {
            Err(s3_error!(NoSuchBucket, "there is no such bucket"))
        }
    }

    /// Whether something can be put there.
    async fn check_target(&self, bucket: &str, key: &str) -> S3Result<()> {
        if key.len() > LONGEST_KEY {
            return Err(s3_error!(KeyTooLongError, "a key has at most 1024 bytes"));
        }
        self.check_bucket(bucket).await
    }

    async fn find(&self, bucket: &str, key: &str) -> S3Result<Option<(Object, std::fs::File)>> {
        Ok(self.store.find(bucket, key).await?)
    }

    fn upload(&self, id: &str, bucket: &str, key: &str) -> S3Result<Upload> {
        self.store.upload(id, bucket, key)?.ok_or_else(|| {
            s3_error!(NoSuchUpload, "there is no such upload; it was completed or aborted, or never begun")
        })
    }

    async fn put(self, mut request: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
        let (bucket, key) = (&request.input.bucket, &request.input.key);
        self.check_target(bucket, key).await?;
        // before its bytes come in
        Conditions::on_write(request.input.if_match.as_ref(), request.input.if_none_match.as_ref())?;
        let received = received!(&self.store, request);
        let input = &request.input;
        let conditions = Conditions::on_write(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let (file, written) = received.written(head_of!(input));
        let object = self.place((&input.bucket, &input.key), &conditions, file, written).await?;
        let mut output = PutObjectOutput { e_tag: Some(etag(&object)), ..PutObjectOutput::default() };
        describe::set_checksums!(output, object.head.checksums);
        Ok(output)
    }

    /// Puts a file under a key, if what stands there is as the caller has seen it.
    async fn place(
        &self,
        (bucket, key): (&str, &str),
        conditions: &Conditions<'_>,
        file: NewFile,
        written: Written,
    ) -> S3Result<Object> {
        let writing = self.store.writing(bucket, key).await;
        let standing = if conditions.is_any() { self.find(bucket, key).await? } else { None };
        conditions.check(standing.as_ref().map(|(object, _)| object))?;
        Ok(self.store.put(&writing, (bucket, key), file, written).await?)
    }

    async fn copy(self, request: S3Request<CopyObjectInput>) -> S3Result<CopyObjectOutput> {
        let input = request.input;
        self.check_target(&input.bucket, &input.key).await?;
        let (bucket, key) = source(&input.copy_source)?;
        let replaces = input
            .metadata_directive
            .as_ref()
            .is_some_and(|found| found.as_str() == MetadataDirective::REPLACE);
        if !replaces && (bucket, key) == (input.bucket.as_str(), input.key.as_str()) {
            return Err(s3_error!(
                InvalidRequest,
                "an object is copied onto itself only to replace its metadata"
            ));
        }
        let conditions = conditions_of!(copy input);
        let (object, received) = self.read_source(bucket, key, &conditions, None).await?;
        let checksums = object.head.checksums.clone();
        let (file, mut written) = received.written(if replaces { head_of!(input) } else { object.head });
        written.head.checksums = checksums;
        let object = self.place((&input.bucket, &input.key), &Conditions::default(), file, written).await?;
        let result = CopyObjectResult {
            e_tag: Some(etag(&object)),
            last_modified: Some(time(object.modified)),
            ..CopyObjectResult::default()
        };
        Ok(CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() })
    }

    /// An object that is copied, and a new file with its bytes, or some of them.
    async fn read_source(
        &self,
        bucket: &str,
        key: &str,
        conditions: &Conditions<'_>,
        range: Option<&str>,
    ) -> S3Result<(Object, receive::Received)> {
        self.check_bucket(bucket).await?;
        let reading = self.store.reading(bucket, key).await;
        let (object, file) = self.find(bucket, key).await?.ok_or_else(no_such_key)?;
        drop(reading);
        conditions.check_source(&object)?;
        let bytes = match range {
            None => 0..object.size,
            Some(range) => match s3s::dto::Range::parse(range) {
                Ok(s3s::dto::Range::Int { first, last: Some(last) })
                    if first <= last && last < object.size =>
                {
                    first..last + 1
                }
                _ => return Err(s3_error!(InvalidRange, "the range is not bytes=FIRST-LAST in the object")),
            },
        };
        let store = self.store.clone();
        let copied = tokio::task::spawn_blocking(move || receive::copy(&store, file, bytes)).await;
        Ok((object, copied.map_err(S3Error::internal_error)??))
    }

    async fn delete(self, input: DeleteObjectInput) -> S3Result<DeleteObjectOutput> {
        self.check_bucket(&input.bucket).await?;
        if input.version_id.is_some() {
            return Err(s3_error!(NotImplemented, "the embedded cloud keeps no versions"));
        }
        let conditions = Conditions {
            if_match: input.if_match.as_ref(),
            size: input.if_match_size,
            modified: input.if_match_last_modified_time.as_ref(),
            ..Conditions::default()
        };
        self.remove(&input.bucket, &input.key, &conditions).await?;
        Ok(DeleteObjectOutput::default())
    }

    async fn remove(&self, bucket: &str, key: &str, conditions: &Conditions<'_>) -> S3Result<()> {
        let writing = self.store.writing(bucket, key).await;
        let standing = self.find(bucket, key).await?;
        conditions.check(standing.as_ref().map(|(object, _)| object))?;
        Ok(self.store.remove(&writing, bucket, key).await?)
    }

    async fn delete_many(self, input: DeleteObjectsInput) -> S3Result<DeleteObjectsOutput> {
        self.check_bucket(&input.bucket).await?;
        if input.delete.objects.len() > MOST_DELETED {
            return Err(s3_error!(MalformedXML, "at most 1000 objects are deleted at once"));
        }
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in input.delete.objects {
            let expected = object.e_tag.map(s3s::dto::ETagCondition::ETag);
            let conditions = Conditions { if_match: expected.as_ref(), ..Conditions::default() };
            match self.remove(&input.bucket, &object.key, &conditions).await {
                Ok(()) => deleted.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() }),
                Err(error) => errors.push(Error {
                    key: Some(object.key),
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(str::to_owned),
                    version_id: None,
                }),
            }
        }
        let is_quiet = input.delete.quiet.unwrap_or_default();
        Ok(DeleteObjectsOutput {
            deleted: Some(deleted).filter(|_| !is_quiet),
            errors: Some(errors).filter(|errors| !errors.is_empty()),
            ..DeleteObjectsOutput::default()
        })
    }

    async fn part(self, mut request: S3Request<UploadPartInput>) -> S3Result<UploadPartOutput> {
        let input = &request.input;
        let upload = self.upload(&input.upload_id, &input.bucket, &input.key)?;
        check_number(input.part_number)?;
        let received = received!(&self.store, request);
        let (md5, number) = (received.md5.clone(), request.input.part_number);
        let mut output =
            UploadPartOutput { e_tag: Some(ETag::Strong(md5.clone())), ..UploadPartOutput::default() };
        describe::set_checksums!(output, received.checksums);
        self.store.put_part(&upload, number, received.file, (received.size, md5, received.checksums)).await?;
        Ok(output)
    }

    async fn part_copy(self, input: UploadPartCopyInput) -> S3Result<UploadPartCopyOutput> {
        let upload = self.upload(&input.upload_id, &input.bucket, &input.key)?;
        check_number(input.part_number)?;
        let (bucket, key) = source(&input.copy_source)?;
        let conditions = conditions_of!(copy input);
        let range = input.copy_source_range.as_deref();
        let (_, received) = self.read_source(bucket, key, &conditions, range).await?;
        let result = CopyPartResult {
            e_tag: Some(ETag::Strong(received.md5.clone())),
            last_modified: Some(time(crate::store::now_ms())),
            ..CopyPartResult::default()
        };
        let known = (received.size, received.md5, received.checksums);
        self.store.put_part(&upload, input.part_number, received.file, known).await?;
        Ok(UploadPartCopyOutput { copy_part_result: Some(result), ..UploadPartCopyOutput::default() })
    }

    async fn complete(self, input: CompleteMultipartUploadInput) -> S3Result<CompleteMultipartUploadOutput> {
        self.check_bucket(&input.bucket).await?;
        let upload = self.upload(&input.upload_id, &input.bucket, &input.key)?;
        let conditions = Conditions::on_write(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let parts = parts::chosen(&self.store.parts(&upload.id)?, &input)?;
        let etag_of_all = parts::etag(&parts);
        let composite = parts::composite(&parts, &upload)?;
        // of the whole, if the client says that it is
        let (of_parts, given): (BTreeMap<_, _>, BTreeMap<_, _>) =
            checksums_of!(input).into_iter().partition(|(_, sum)| sum.contains('-'));
        if of_parts.iter().any(|(name, sum)| composite.get(name) != Some(sum)) {
            return Err(s3_error!(BadDigest, "the parts have not the checksum that was stated of them all"));
        }
        let mut checksums = Checksums::new(given, None, &http::HeaderMap::new())?;
        let (store, joined) = (self.store.clone(), upload.clone());
        let joined = tokio::task::spawn_blocking(move || {
            let (file, size, md5) = store.join(&joined, &parts, |bytes| checksums.update(bytes))?;
            let checksums = checksums.check(None)?;
            Ok::<_, S3Error>(receive::Received { file, size, md5, checksums })
        });
        let received = joined.await.map_err(S3Error::internal_error)??;
        let (file, mut written) = received.written(parts::without_statement(&upload.head));
        written.etag.clone_from(&etag_of_all);
        written.head.checksums.extend(composite.clone());
        let stated = written.head.checksums.clone();
        self.place((&input.bucket, &input.key), &conditions, file, written).await?;
        self.store.end_upload(&upload.id).await?;
        let mut output = CompleteMultipartUploadOutput {
            e_tag: Some(ETag::Strong(etag_of_all)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            ..CompleteMultipartUploadOutput::default()
        };
        describe::set_checksums!(output, stated);
        Ok(output)
    }
}

/// Runs to its end, also if the caller goes away: an object must not stand without its notification.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = S3Result<T>> + Send + 'static,
) -> S3Result<S3Response<T>> {
    tokio::spawn(work).await.map_err(S3Error::internal_error)?.map(S3Response::new)
}

#[async_trait::async_trait]
impl S3 for EmbeddedS3 {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = request.input.bucket;
        if !self.store.make_bucket(&bucket).await? {
            return Err(s3_error!(BucketAlreadyOwnedByYou, "the bucket is there"));
        }
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{bucket}")) }))
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.check_bucket(&request.input.bucket).await?;
        if !self.store.remove_bucket(&request.input.bucket).await? {
            return Err(s3_error!(BucketNotEmpty, "the bucket is not empty"));
        }
        Ok(S3Response::with_status(DeleteBucketOutput::default(), http::StatusCode::NO_CONTENT))
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.check_bucket(&request.input.bucket).await?;
        let region = Some(crate::REGION.to_owned());
        Ok(S3Response::new(HeadBucketOutput { bucket_region: region, ..HeadBucketOutput::default() }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.check_bucket(&request.input.bucket).await?;
        // us-east-1 is said by saying nothing
        let location_constraint = None::<BucketLocationConstraint>;
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.store.buckets().await?.into_iter().map(|(name, made)| Bucket {
            name: Some(name),
            creation_date: Some(time(made)),
            bucket_region: Some(crate::REGION.to_owned()),
        });
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            ..ListBucketsOutput::default()
        }))
    }

    async fn get_bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        self.check_bucket(&request.input.bucket).await?;
        Ok(S3Response::new(GetBucketVersioningOutput::default()))
    }

    async fn put_bucket_versioning(
        &self,
        _: S3Request<PutBucketVersioningInput>,
    ) -> S3Result<S3Response<PutBucketVersioningOutput>> {
        Err(s3_error!(NotImplemented, "the embedded cloud keeps no versions"))
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        self.check_bucket(&request.input.bucket).await?;
        listing::list_objects(&self.store, request.input).await.map(S3Response::new)
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.check_bucket(&request.input.bucket).await?;
        listing::list_objects_v2(&self.store, request.input).await.map(S3Response::new)
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        self.check_bucket(&input.bucket).await?;
        let _reading = self.store.reading(&input.bucket, &input.key).await;
        let (object, _) = self.find(&input.bucket, &input.key).await?.ok_or_else(no_such_key)?;
        conditions_of!(read input).check_read(&object)?;
        head_output(&input, &object).map(S3Response::new)
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        self.check_bucket(&input.bucket).await?;
        let reading = self.store.reading(&input.bucket, &input.key).await;
        let (object, file) = self.find(&input.bucket, &input.key).await?.ok_or_else(no_such_key)?;
        drop(reading); // an open file stays what it is
        conditions_of!(read input).check_read(&object)?;
        object_output(&input, &object, file).await.map(S3Response::new)
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        to_its_end(self.clone().put(request)).await
    }

    /// What the forms of web pages send.
    async fn post_object(&self, _: S3Request<PostObjectInput>) -> S3Result<S3Response<PostObjectOutput>> {
        Err(s3_error!(AccessDenied, "the embedded cloud takes no forms: put the object"))
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        to_its_end(self.clone().copy(request)).await
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        to_its_end(self.clone().delete(request.input)).await
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        to_its_end(self.clone().delete_many(request.input)).await
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = request.input;
        self.check_target(&input.bucket, &input.key).await?;
        let mut head = head_of!(input);
        parts::state(&mut head, input.checksum_algorithm.as_ref(), input.checksum_type.as_ref());
        let id = self.store.begin_upload(&input.bucket, &input.key, &head).await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            upload_id: Some(id),
            bucket: Some(input.bucket),
            key: Some(input.key),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        to_its_end(self.clone().part(request)).await
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        to_its_end(self.clone().part_copy(request.input)).await
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let input = request.input;
        let upload = self.upload(&input.upload_id, &input.bucket, &input.key)?;
        let after = input.part_number_marker.unwrap_or_default();
        let most = usize::try_from(input.max_parts.unwrap_or(1000).clamp(0, 1000)).unwrap_or_default();
        let mut parts = self.store.parts(&upload.id)?;
        parts.retain(|part| part.number > after);
        let is_truncated = parts.len() > most;
        parts.truncate(most);
        let shown = |part: &Part| PartInfo {
            part_number: Some(part.number),
            size: i64::try_from(part.size).ok(),
            e_tag: Some(ETag::Strong(part.md5.clone())),
            last_modified: Some(time(part.modified)),
            ..PartInfo::default()
        };
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            part_number_marker: Some(after),
            next_part_number_marker: parts.last().map(|part| part.number).filter(|_| is_truncated),
            max_parts: i32::try_from(most).ok(),
            is_truncated: Some(is_truncated),
            parts: Some(parts.iter().map(shown).collect()),
            ..ListPartsOutput::default()
        }))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = request.input;
        self.check_bucket(&input.bucket).await?;
        let most = usize::try_from(input.max_uploads.unwrap_or(1000).clamp(0, 1000)).unwrap_or_default();
        let url = listing::is_url(input.encoding_type.as_ref());
        let mut uploads = self.store.uploads(&input.bucket, input.prefix.as_deref().unwrap_or_default())?;
        let after = (input.key_marker.as_deref(), input.upload_id_marker.as_deref());
        if let (Some(key), id) = after {
            let seen = |upload: &Upload| upload.key == key && Some(upload.id.as_str()) == id;
            let at = uploads.iter().position(seen).map_or_else(
                || uploads.iter().position(|upload| upload.key.as_str() > key).unwrap_or(uploads.len()),
                |at| at + 1,
            );
            uploads.drain(..at);
        }
        let groups = parts::groups(&mut uploads, input.prefix.as_deref(), input.delimiter.as_deref());
        let is_truncated = uploads.len() > most;
        uploads.truncate(most);
        let next = uploads.last().filter(|_| is_truncated).cloned();
        let shown = |upload: Upload| MultipartUpload {
            key: Some(listing::encoded(upload.key, url)),
            upload_id: Some(upload.id),
            initiated: Some(time(upload.begun)),
            ..MultipartUpload::default()
        };
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: input.prefix.map(|text| listing::encoded(text, url)),
            delimiter: input.delimiter.map(|text| listing::encoded(text, url)),
            encoding_type: input.encoding_type,
            common_prefixes: Some(
                groups
                    .into_iter()
                    .map(|group| CommonPrefix { prefix: Some(listing::encoded(group, url)) })
                    .collect(),
            ),
            key_marker: input.key_marker.map(|text| listing::encoded(text, url)),
            upload_id_marker: input.upload_id_marker,
            next_key_marker: next.as_ref().map(|upload| listing::encoded(upload.key.clone(), url)),
            next_upload_id_marker: next.map(|upload| upload.id),
            max_uploads: i32::try_from(most).ok(),
            is_truncated: Some(is_truncated),
            uploads: Some(uploads.into_iter().map(shown).collect()),
            ..ListMultipartUploadsOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        to_its_end(self.clone().complete(request.input)).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = request.input;
        let upload = self.upload(&input.upload_id, &input.bucket, &input.key)?;
        self.store.end_upload(&upload.id).await?;
        Ok(S3Response::with_status(AbortMultipartUploadOutput::default(), http::StatusCode::NO_CONTENT))
    }
}

fn check_number(number: i32) -> S3Result<()> {
    if (1..=LAST_PART).contains(&number) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "parts have numbers from 1 to 10000"))
}

fn source(source: &CopySource) -> S3Result<(&str, &str)> {
    match source {
        CopySource::Bucket { bucket, key, version_id: None } => Ok((bucket, key)),
        _ => Err(s3_error!(
            NotImplemented,
            "the embedded cloud copies from its own buckets, which have no versions"
        )),
    }
}

fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "there is no such object")
}

fn etag(object: &Object) -> ETag {
    ETag::Strong(object.etag.clone())
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from(moment(ms))
}

fn moment(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

impl From<StoreError> for S3Error {
    fn from(error: StoreError) -> Self {
        let mut answer = Self::internal_error(error.clone());
        answer.set_message(error.to_string());
        if let StoreError::Full { .. } | StoreError::Unusable { .. } = error {
            // trying again makes no room
            answer = Self::with_message(S3ErrorCode::Custom("DiskFull".into()), error.to_string());
            answer.set_status_code(http::StatusCode::INSUFFICIENT_STORAGE);
        }
        answer
    }
}

#[cfg(test)]
mod tests;
