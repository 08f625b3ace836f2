//! Where an object can stand. S3 takes any text as a key; here objects are files, so some keys name none.

use std::io;
use std::path::{Path, PathBuf};

use s3s::dto::CopySource;
use s3s::{S3Result, s3_error};

/// Refuses a key that would name a file elsewhere, or that of another key.
pub(super) fn check_key(key: &str) -> S3Result<()> {
    let segments: Vec<&str> = key.split('/').collect();
    // a slash at the end is how tools name a folder
    let named = segments.strip_suffix(&[""]).unwrap_or(&segments);
    if named.is_empty() || named.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
        return Err(s3_error!(
            InvalidArgument,
            "the embedded cloud keeps objects as files and takes no key with '.', '..' or nothing between its slashes"
        ));
    }
    Ok(())
}

/// Refuses a key that is the folder of other objects, or lies under one that is an object.
pub(super) fn check_place(root: &Path, bucket: &str, key: &str) -> S3Result<()> {
    let folder = root.join(bucket);
    if !key.ends_with('/') && folder.join(key).is_dir() {
        return Err(s3_error!(
            InvalidArgument,
            "the embedded cloud keeps objects as files, and {key} is the folder of others: choose a key under it"
        ));
    }
    let mut above = key.match_indices('/').map(|(at, _)| &key[..at]);
    if let Some(object) = above.find(|above| folder.join(above).is_file()) {
        return Err(s3_error!(
            InvalidArgument,
            "the embedded cloud keeps objects as files, and {object} is one: no other key can lie under it"
        ));
    }
    Ok(())
}

/// Whether no object can be there: a folder stands there, or an object where a folder would have to.
pub(super) fn is_no_object(root: &Path, bucket: &str, key: &str) -> bool {
    let path: PathBuf = root.join(bucket).join(key);
    match path.metadata() {
        Ok(metadata) => metadata.is_dir(),
        Err(error) => error.kind() == io::ErrorKind::NotADirectory,
    }
}

/// Refuses to copy from a key that names no object.
pub(super) fn check_source(root: &Path, source: &CopySource) -> S3Result<()> {
    if let CopySource::Bucket { bucket, key, .. } = source {
        check_key(key)?;
        if is_no_object(root, bucket, key) {
            return Err(s3_error!(NoSuchKey));
        }
    }
    Ok(())
}
