//! S3 on a folder: `s3s-fs`, with conditional writes that are atomic, and a notification for every new object.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CopySource, CreateBucketInput,
    CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput,
    DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, GetBucketLocationInput,
    GetBucketLocationOutput, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListObjectsInput,
    ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput,
    PostObjectInput, PostObjectOutput, PutObjectInput, PutObjectOutput, UploadPartCopyInput,
    UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::etags::Etags;
use crate::queue::{Intent, Queue};
use crate::template::Template;
use crate::{listing, reading};

mod place;

const LOCKS: usize = 64;
/// The file system underneath takes file names of 255 bytes and makes one of the whole key, in Base64.
const LONGEST_KEY: usize = 150;

pub(crate) struct NotifyingBucket(Arc<Inner>);

struct Inner {
    files: FileSystem,
    root: PathBuf,
    template: Template,
    queue: Queue,
    etags: Etags,
    /// A reader must not see the bytes of one write with the ETag of another, and between the check of a
    /// condition and the write nobody else may write: one lock for each object (or several that share it).
    locks: Vec<RwLock<()>>,
}

impl NotifyingBucket {
    pub(crate) fn new(files: FileSystem, root: PathBuf, template: Template, queue: Queue) -> Self {
        let locks = (0..LOCKS).map(|_| RwLock::new(())).collect();
        let etags = Etags::new(root.clone());
        Self(Arc::new(Inner { files, root, template, queue, etags, locks }))
    }
}

impl Inner {
    fn lock(&self, bucket: &str, key: &str) -> &RwLock<()> {
        let mut hasher = DefaultHasher::new();
        (bucket, key).hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default();
        &self.locks[index]
    }

    async fn reading(&self, bucket: &str, key: &str) -> S3Result<RwLockReadGuard<'_, ()>> {
        place::check_key(key)?;
        Ok(self.lock(bucket, key).read().await)
    }

    async fn writing(&self, bucket: &str, key: &str) -> S3Result<RwLockWriteGuard<'_, ()>> {
        place::check_key(key)?;
        if key.len() > LONGEST_KEY {
            return Err(s3_error!(KeyTooLongError, "the embedded cloud takes keys of at most 150 bytes"));
        }
        // the file system underneath would make a bucket of any name
        if !self.root.join(bucket).is_dir() {
            return Err(s3_error!(NoSuchBucket));
        }
        Ok(self.lock(bucket, key).write().await)
    }

    /// The object, if it is a small file and nothing else.
    async fn read_small(self: &Arc<Self>, input: &GetObjectInput) -> S3Result<Option<GetObjectOutput>> {
        if !reading::is_unconditional(input) {
            return Ok(None);
        }
        let (inner, bucket, key) = (self.clone(), input.bucket.clone(), input.key.clone());
        let read = move || reading::read_small(&inner.root, &inner.etags, &bucket, &key);
        tokio::task::spawn_blocking(read).await.map_err(S3Error::internal_error)
    }

    async fn list(self: &Arc<Self>, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        let inner = self.clone();
        let list = move || listing::list_objects_v2(&inner.root, &inner.etags, input);
        tokio::task::spawn_blocking(list).await.map_err(S3Error::internal_error)?
    }

    /// Whether an upload may be completed: the files underneath do not look at its conditions.
    fn check_condition(&self, input: &CompleteMultipartUploadInput) -> S3Result<()> {
        let path = self.root.join(&input.bucket).join(&input.key);
        let standing =
            self.etags.describe(&input.bucket, &input.key, &path).map_err(S3Error::internal_error)?;
        let standing = standing.map(|described| described.etag);
        let same = |wanted: &str| standing.as_deref().is_some_and(|etag| etag.trim_matches('"') == wanted);
        let holds = match (&input.if_match, &input.if_none_match) {
            (Some(wanted), _) => wanted.as_etag().is_none_or(|etag| same(etag.value())),
            (None, Some(_)) => standing.is_none(),
            (None, None) => true,
        };
        if holds { Ok(()) } else { Err(s3_error!(PreconditionFailed)) }
    }

    fn intend(&self, bucket: &str, key: &str) -> S3Result<Option<Intent>> {
        let Some(function) = self.template.started_by(key) else { return Ok(None) };
        self.queue.intend(function, bucket, key).map(Some).map_err(S3Error::internal_error)
    }
}

/// What a request that writes an object copies, if it copies.
trait Source {
    fn source(&self) -> Option<&CopySource> {
        None
    }
}

impl Source for PutObjectInput {}

impl Source for CopyObjectInput {
    fn source(&self) -> Option<&CopySource> {
        Some(&self.copy_source)
    }
}

/// The notification becomes due if the write succeeded, and is withdrawn if not.
fn conclude<T>(intent: Option<Intent>, written: S3Result<T>) -> S3Result<T> {
    match (intent, written) {
        (Some(intent), Ok(response)) => intent.due().map(|()| response).map_err(S3Error::internal_error),
        (Some(intent), Err(error)) => {
            intent.withdraw();
            Err(error)
        }
        (None, written) => written,
    }
}

/// The operations: those that need nothing but the files, those about a key, and those that write an object and so start a function.
macro_rules! operations {
    (
        plain { $($plain:ident: $plain_input:ident -> $plain_output:ident;)* }
        keyed { $($keyed:ident: $keyed_input:ident -> $keyed_output:ident;)* }
        writing { $($write:ident: $write_input:ident -> $write_output:ident;)* }
    ) => {
        #[async_trait::async_trait]
        impl S3 for NotifyingBucket {
            $(async fn $plain(&self, request: S3Request<$plain_input>) -> S3Result<S3Response<$plain_output>> {
                self.0.files.$plain(request).await
            })*

            $(async fn $keyed(&self, request: S3Request<$keyed_input>) -> S3Result<S3Response<$keyed_output>> {
                place::check_key(&request.input.key)?;
                self.0.files.$keyed(request).await
            })*

            $(async fn $write(&self, request: S3Request<$write_input>) -> S3Result<S3Response<$write_output>> {
                let bucket = self.0.clone();
                if let Some(source) = request.input.source() {
                    place::check_source(&bucket.root, source)?;
                }
                // in a task of its own: a caller that goes away half-way must not leave an object without its
                // notification
                let writing = tokio::spawn(async move {
                    let _guard = bucket.writing(&request.input.bucket, &request.input.key).await?;
                    place::check_place(&bucket.root, &request.input.bucket, &request.input.key)?;
                    let intent = bucket.intend(&request.input.bucket, &request.input.key)?;
                    conclude(intent, bucket.files.$write(request).await)
                });
                writing.await.map_err(S3Error::internal_error)?
            })*

            /// What the forms of web pages send.
            async fn post_object(&self, _: S3Request<PostObjectInput>) -> S3Result<S3Response<PostObjectOutput>> {
                Err(s3_error!(AccessDenied, "the embedded cloud takes no forms: put the object"))
            }

            async fn complete_multipart_upload(
                &self,
                request: S3Request<CompleteMultipartUploadInput>,
            ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
                let bucket = self.0.clone();
                let writing = tokio::spawn(async move {
                    let _guard = bucket.writing(&request.input.bucket, &request.input.key).await?;
                    place::check_place(&bucket.root, &request.input.bucket, &request.input.key)?;
                    bucket.check_condition(&request.input)?;
                    let intent = bucket.intend(&request.input.bucket, &request.input.key)?;
                    conclude(intent, bucket.files.complete_multipart_upload(request).await)
                });
                writing.await.map_err(S3Error::internal_error)?
            }

            async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
                let _guard = self.0.reading(&request.input.bucket, &request.input.key).await?;
                if place::is_no_object(&self.0.root, &request.input.bucket, &request.input.key) {
                    return Err(s3_error!(NoSuchKey));
                }
                match self.0.read_small(&request.input).await? {
                    Some(output) => Ok(S3Response::new(output)),
                    None => self.0.files.get_object(request).await,
                }
            }

            async fn list_objects_v2(
                &self,
                request: S3Request<ListObjectsV2Input>,
            ) -> S3Result<S3Response<ListObjectsV2Output>> {
                self.0.list(request.input).await.map(S3Response::new)
            }

            async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
                let (bucket, key) = (&request.input.bucket, &request.input.key);
                let _guard = self.0.reading(bucket, key).await?;
                // a folder that a tool made is answered for by its name with a slash
                if !key.ends_with('/') && place::is_no_object(&self.0.root, bucket, key) {
                    return Err(s3_error!(NoSuchKey));
                }
                self.0.files.head_object(request).await
            }

            async fn delete_object(
                &self,
                request: S3Request<DeleteObjectInput>,
            ) -> S3Result<S3Response<DeleteObjectOutput>> {
                let (bucket, key) = (&request.input.bucket, &request.input.key);
                let _guard = self.0.writing(bucket, key).await?;
                if !key.ends_with('/') && place::is_no_object(&self.0.root, bucket, key) {
                    return Ok(S3Response::new(DeleteObjectOutput::default()));
                }
                self.0.files.delete_object(request).await
            }

            async fn delete_objects(
                &self,
                request: S3Request<DeleteObjectsInput>,
            ) -> S3Result<S3Response<DeleteObjectsOutput>> {
                request.input.delete.objects.iter().try_for_each(|object| place::check_key(&object.key))?;
                self.0.files.delete_objects(request).await
            }

            async fn create_multipart_upload(
                &self,
                request: S3Request<CreateMultipartUploadInput>,
            ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
                place::check_key(&request.input.key)?;
                place::check_place(&self.0.root, &request.input.bucket, &request.input.key)?;
                self.0.files.create_multipart_upload(request).await
            }

            async fn upload_part_copy(
                &self,
                request: S3Request<UploadPartCopyInput>,
            ) -> S3Result<S3Response<UploadPartCopyOutput>> {
                place::check_key(&request.input.key)?;
                place::check_source(&self.0.root, &request.input.copy_source)?;
                self.0.files.upload_part_copy(request).await
            }
        }
    };
}

operations! {
    plain {
        create_bucket: CreateBucketInput -> CreateBucketOutput;
        get_bucket_location: GetBucketLocationInput -> GetBucketLocationOutput;
        head_bucket: HeadBucketInput -> HeadBucketOutput;
        list_buckets: ListBucketsInput -> ListBucketsOutput;
        list_objects: ListObjectsInput -> ListObjectsOutput;
    }
    keyed {
        abort_multipart_upload: AbortMultipartUploadInput -> AbortMultipartUploadOutput;
        list_parts: ListPartsInput -> ListPartsOutput;
        upload_part: UploadPartInput -> UploadPartOutput;
    }
    writing {
        put_object: PutObjectInput -> PutObjectOutput;
        copy_object: CopyObjectInput -> CopyObjectOutput;
    }
}

#[cfg(test)]
mod tests;
