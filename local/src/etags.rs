//! ETags of objects that are plain files, as `s3s-fs` answers them: the one it recorded when the object was
//! written, else the MD5 of the bytes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::crypto::{Checksum, Md5};
use serde_json::Value;

/// A file that was written so short a time ago may change again without its modification time changing (the
/// kernel's clock for files ticks every few milliseconds), so nothing is remembered of it yet.
const UNSETTLED: Duration = Duration::from_millis(100);
const CHUNK: usize = 64 * 1024;

/// The ETags of a root of buckets; those that were asked for are remembered while their file stays as it is.
#[derive(Debug)]
pub(crate) struct Etags {
    root: PathBuf,
    known: Mutex<HashMap<PathBuf, (Stamp, String)>>,
}

/// An object, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) size: u64,
    pub(crate) modified: SystemTime,
    pub(crate) etag: String,
}

/// What tells one state of a file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: SystemTime,
}

impl Etags {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, known: Mutex::default() }
    }

    /// Describes the object that stands in that file; nothing if it does not, or no longer.
    pub(crate) fn describe(&self, bucket: &str, key: &str, path: &Path) -> io::Result<Option<Described>> {
        match self.describe_file(bucket, key, path) {
            Ok(described) => Ok(Some(described)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn describe_file(&self, bucket: &str, key: &str, path: &Path) -> io::Result<Described> {
        let stamp = Stamp::of(&fs::metadata(path)?)?;
        let recorded = self.recorded(&sidecar(&self.root, bucket, key, "internal"));
        if let Some(etag) = recorded.or_else(|| self.remembered(path, stamp)) {
            return Ok(Described { size: stamp.length, modified: stamp.modified, etag });
        }
        let now = SystemTime::now();
        let mut file = File::open(path)?;
        let stamp = Stamp::of(&file.metadata()?)?; // of what is open, which may have been replaced since
        let (length, etag) = hash(&mut file)?;
        if length == stamp.length {
            self.remember(path, stamp, &etag, now);
        }
        Ok(Described { size: length, modified: stamp.modified, etag })
    }

    /// The ETag of a file whose bytes are at hand, read after `now`.
    pub(crate) fn of_bytes(
        &self,
        path: &Path,
        metadata: &Metadata,
        bytes: &[u8],
        now: SystemTime,
    ) -> io::Result<String> {
        let stamp = Stamp::of(metadata)?;
        if bytes.len() as u64 != stamp.length {
            return Ok(hex(&Md5::checksum(bytes)));
        }
        if let Some(etag) = self.remembered(path, stamp) {
            return Ok(etag);
        }
        let etag = hex(&Md5::checksum(bytes));
        self.remember(path, stamp, &etag, now);
        Ok(etag)
    }

    /// The ETag in a file of `s3s-fs`. Like there, one that has none is as good as no file.
    fn recorded(&self, path: &Path) -> Option<String> {
        let stamp = Stamp::of(&fs::metadata(path).ok()?).ok()?;
        if let Some(etag) = self.remembered(path, stamp) {
            return Some(etag);
        }
        let now = SystemTime::now();
        let info: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let etag = info["e_tag"].as_str()?.to_owned();
        self.remember(path, stamp, &etag, now);
        Some(etag)
    }

    fn remembered(&self, path: &Path, stamp: Stamp) -> Option<String> {
        self.known().get(path).filter(|(known, _)| *known == stamp).map(|(_, etag)| etag.clone())
    }

    fn remember(&self, path: &Path, stamp: Stamp, etag: &str, now: SystemTime) {
        if now.duration_since(stamp.modified).is_ok_and(|age| age < UNSETTLED) {
            return;
        }
        self.known().insert(path.to_owned(), (stamp, etag.to_owned()));
    }

    fn known(&self) -> MutexGuard<'_, HashMap<PathBuf, (Stamp, String)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> io::Result<Self> {
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into()); // a folder took its place
        }
        Ok(Self { length: metadata.len(), modified: metadata.modified()? })
    }
}

/// Where `s3s-fs` keeps what it knows of an object beside its bytes: `internal` or `metadata`.
pub(crate) fn sidecar(root: &Path, bucket: &str, key: &str, kind: &str) -> PathBuf {
    let (bucket, key) = (URL_SAFE_NO_PAD.encode(bucket), URL_SAFE_NO_PAD.encode(key));
    root.join(format!(".bucket-{bucket}.object-{key}.{kind}.json"))
}

/// The error says that the file (or the folder it was in) is not there any more.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn hash(file: &mut File) -> io::Result<(u64, String)> {
    let (mut length, mut md5, mut chunk) = (0, Md5::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok((length, hex(&md5.finalize()))),
            Ok(read) => {
                md5.update(&chunk[..read]);
                length += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // into a String, which never fails
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_remembered_as_long_as_its_file_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (etags, path) = (Etags::new(folder.path().to_owned()), folder.path().join("a"));
        let old = SystemTime::now() - Duration::from_secs(3600);
        let write = |text: &str, modified: SystemTime| {
            fs::write(&path, text).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
            etags.describe("b", "a", &path).unwrap().unwrap().etag
        };
        let hello = "5d41402abc4b2a76b9719d911017c592";
        assert_eq!(write("hello", old), hello);
        assert_eq!(write("jello", old), hello, "same length and time: not read again");
        assert_ne!(write("jello", old + Duration::from_nanos(1)), hello);
        assert_eq!(write("hello", SystemTime::now()), hello);
        assert_ne!(write("jello", SystemTime::now()), hello, "nothing is remembered of what is so new");
        fs::remove_file(&path).unwrap();
        assert_eq!(etags.describe("b", "a", &path).unwrap(), None);
    }

    #[test]
    fn what_was_recorded_goes_before_the_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (etags, path) = (Etags::new(folder.path().to_owned()), folder.path().join("a"));
        fs::write(&path, "hello").unwrap();
        let recorded = sidecar(folder.path(), "b", "a", "internal");
        assert_eq!(recorded.file_name().unwrap(), ".bucket-Yg.object-YQ.internal.json");
        fs::write(&recorded, r#"{"e_tag":"0123-2"}"#).unwrap();
        assert_eq!(etags.describe("b", "a", &path).unwrap().unwrap().etag, "0123-2");
        fs::write(&recorded, "{}").unwrap();
        assert_eq!(
            etags.describe("b", "a", &path).unwrap().unwrap().etag,
            "5d41402abc4b2a76b9719d911017c592"
        );
    }
}
