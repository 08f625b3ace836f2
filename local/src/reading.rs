//! Small objects that are plain files, read in one go.
//!
//! `s3s-fs` opens such a file twice, reads it twice and changes threads for each step. That is most of the time
//! of a function that reads thousands of them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use s3s::Body;
use s3s::dto::{ETag, GetObjectInput, GetObjectOutput, StreamingBlob, Timestamp};

use crate::etags::{Etags, sidecar};

/// Larger objects are streamed.
const LARGEST: u64 = 1024 * 1024;

/// The request wants the whole object, whatever it is.
pub(crate) fn is_unconditional(input: &GetObjectInput) -> bool {
    input.range.is_none()
        && input.part_number.is_none()
        && input.version_id.is_none()
        && input.if_match.is_none()
        && input.if_none_match.is_none()
        && input.if_modified_since.is_none()
        && input.if_unmodified_since.is_none()
        && input.sse_customer_algorithm.is_none()
}

/// The answer for an object that is nothing but a small file; nothing if it is something else, or not there: then
/// `s3s-fs` answers.
pub(crate) fn read_small(root: &Path, etags: &Etags, bucket: &str, key: &str) -> Option<GetObjectOutput> {
    let recorded = ["metadata", "internal"].map(|kind| sidecar(root, bucket, key, kind));
    if recorded.iter().any(|path| path.exists()) {
        return None;
    }
    read(&plain_path(root, bucket, key)?, etags).ok().flatten()
}

/// The object's file; nothing if the key could mean another one.
fn plain_path(root: &Path, bucket: &str, key: &str) -> Option<PathBuf> {
    let is_plain = key.split('/').all(|part| !matches!(part, "" | "." | ".."));
    is_plain.then(|| root.join(bucket).join(key))
}

fn read(path: &Path, etags: &Etags) -> io::Result<Option<GetObjectOutput>> {
    let now = SystemTime::now();
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    file.read_to_end(&mut bytes)?;
    let etag = etags.of_bytes(path, &metadata, &bytes, now)?;
    Ok(Some(GetObjectOutput {
        content_length: i64::try_from(bytes.len()).ok(),
        body: Some(StreamingBlob::from(Body::from(bytes))),
        e_tag: Some(ETag::Strong(etag)),
        last_modified: Some(Timestamp::from(metadata.modified()?)),
        ..GetObjectOutput::default()
    }))
}
