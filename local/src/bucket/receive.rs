//! Bytes that come in, and what is said of them: they are counted, hashed and checked on the way to a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt as _;
use http::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{ChecksumAlgorithm, StreamingBlob};
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders, s3_error};

use crate::files;
use crate::store::{Head, NewFile, Store, StoreError, Written, hex};

/// Fewer bytes are held in memory until all are there.
const SMALL: usize = 64 * 1024;
const CHUNK: usize = 1024 * 1024;
const ALGORITHMS: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

/// Bytes that came in whole.
pub(super) struct Received {
    pub(super) file: NewFile,
    pub(super) size: u64,
    pub(super) md5: String,
    pub(super) checksums: BTreeMap<String, String>,
}

impl Received {
    /// As an object with this head.
    pub(super) fn written(self, head: Head) -> (NewFile, Written) {
        let head = Head { checksums: self.checksums, ..head };
        (self.file, Written { etag: self.md5.clone(), md5: self.md5, size: self.size, head })
    }
}

/// The checksums that a request states, in its head or after its body.
pub(super) struct Checksums {
    hasher: ChecksumHasher,
    expected: BTreeMap<String, String>,
}

/// The checksums in the members of a request, by algorithm.
macro_rules! checksums_of {
    ($input:expr) => {
        [
            ("crc32", &$input.checksum_crc32),
            ("crc32c", &$input.checksum_crc32c),
            ("crc64nvme", &$input.checksum_crc64nvme),
            ("sha1", &$input.checksum_sha1),
            ("sha256", &$input.checksum_sha256),
        ]
        .into_iter()
        .filter_map(|(name, sum)| Some((name.to_owned(), sum.clone()?)))
        .collect::<std::collections::BTreeMap<String, String>>()
    };
}
pub(super) use checksums_of;

impl Checksums {
    pub(super) fn new(
        given: BTreeMap<String, String>,
        algorithm: Option<&ChecksumAlgorithm>,
        headers: &HeaderMap,
    ) -> S3Result<Self> {
        let announced = headers.get_all("x-amz-trailer").into_iter().filter_map(|value| value.to_str().ok());
        let announced = announced.flat_map(|names| names.split(','));
        let announced = announced.filter_map(|name| name.trim().strip_prefix("x-amz-checksum-"));
        let named = algorithm.map(|algorithm| algorithm.as_str().to_ascii_lowercase());
        let mut hasher = ChecksumHasher::default();
        for name in given.keys().map(String::as_str).chain(announced).chain(named.as_deref()) {
            match name {
                "crc32" => hasher.crc32 = Some(Default::default()),
                "crc32c" => hasher.crc32c = Some(Default::default()),
                "crc64nvme" => hasher.crc64nvme = Some(Default::default()),
                "sha1" => hasher.sha1 = Some(Default::default()),
                "sha256" => hasher.sha256 = Some(Default::default()),
                other => {
                    return Err(s3_error!(
                        InvalidRequest,
                        "the embedded cloud does not know the checksum {other}"
                    ));
                }
            }
        }
        Ok(Self { hasher, expected: given })
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The checksums of all bytes, which are those that the request states.
    pub(super) fn check(self, trailers: Option<TrailingHeaders>) -> S3Result<BTreeMap<String, String>> {
        let (found, mut expected) = (self.hasher.finalize(), self.expected);
        let trailers = trailers.and_then(|trailers| trailers.take()).unwrap_or_default();
        for name in ALGORITHMS {
            let value = trailers.get(format!("x-amz-checksum-{name}")).and_then(|value| value.to_str().ok());
            expected.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        }
        let found = checksums_of!(found);
        if let Some((name, sum)) = expected.iter().find(|(name, sum)| found.get(*name) != Some(*sum)) {
            return Err(s3_error!(
                BadDigest,
                "the bytes that came have not the {name} {sum} that was stated"
            ));
        }
        Ok(found)
    }
}

/// Takes a body into a file.
pub(super) async fn receive(
    store: &Store,
    body: Option<StreamingBlob>,
    content_md5: Option<&str>,
    mut checksums: Checksums,
    trailers: Option<TrailingHeaders>,
) -> S3Result<Received> {
    let (mut size, mut md5) = (0u64, Md5::new());
    let (mut begun, mut waiting) = (None, Vec::new());
    let mut body = body.unwrap_or_else(|| StreamingBlob::from(s3s::Body::empty()));
    while let Some(bytes) = body.next().await {
        let bytes: Bytes = bytes.map_err(|error| broken(&error.to_string()))?;
        size += bytes.len() as u64;
        md5.update(&bytes);
        checksums.update(&bytes);
        waiting.extend_from_slice(&bytes);
        let limit = if begun.is_some() { CHUNK } else { SMALL };
        if waiting.len() > limit {
            begun = Some(append(store, begun.take(), std::mem::take(&mut waiting)).await?);
        }
    }
    let small = begun.is_none().then(|| waiting.clone());
    let (mut file, open) = append(store, begun.take(), waiting).await?;
    let md5 = md5.finalize();
    match content_md5.map(|stated| STANDARD.decode(stated)) {
        Some(Err(_)) => return Err(s3_error!(InvalidDigest, "Content-MD5 is no MD5 in Base64")),
        Some(Ok(stated)) if stated != AsRef::<[u8]>::as_ref(&md5) => {
            return Err(s3_error!(BadDigest, "the bytes that came have not the Content-MD5 that was stated"));
        }
        _ => {}
    }
    let checksums = checksums.check(trailers)?;
    file.whole(&open, small)?;
    Ok(Received { file, size, md5: hex(md5.as_ref()), checksums })
}

/// Takes the body of a request into a file, with all that the request states of it.
macro_rules! received {
    ($store:expr, $request:expr) => {{
        let (body, trailers) = ($request.input.body.take(), $request.trailing_headers.take());
        let input = &$request.input;
        let algorithm = input.checksum_algorithm.as_ref();
        let checksums = Checksums::new(checksums_of!(input), algorithm, &$request.headers)?;
        receive($store, body, input.content_md5.as_deref(), checksums, trailers).await?
    }};
}
pub(super) use received;

/// What a body that cannot be taken is: the reader of signed bodies says it by the name of its error.
fn broken(why: &str) -> S3Error {
    if why.contains("SignatureMismatch") {
        return s3_error!(SignatureDoesNotMatch, "a chunk of the body is not the one that was signed");
    }
    if why.contains("Sha256Mismatch") {
        let code = S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into());
        let mut error = S3Error::with_message(code, "the body is not the one that was signed");
        error.set_status_code(http::StatusCode::BAD_REQUEST);
        return error;
    }
    s3_error!(IncompleteBody, "the body broke off: {why}")
}

/// Writes bytes to the end of a file, on a thread that may wait for the disk.
async fn append(store: &Store, begun: Option<(NewFile, File)>, bytes: Vec<u8>) -> S3Result<(NewFile, File)> {
    let store = store.clone();
    let written = tokio::task::spawn_blocking(move || {
        let (new, mut file) = begun.map_or_else(|| store.new_file(), Ok)?;
        file.write_all(&bytes).map_err(|error| StoreError::io(new.path(), &error))?;
        Ok::<_, StoreError>((new, file))
    });
    Ok(written.await.map_err(S3Error::internal_error)??)
}

/// Some bytes of an object as a new file.
pub(super) fn copy(store: &Store, mut from: File, bytes: Range<u64>) -> S3Result<Received> {
    let (mut file, mut to) = store.new_file()?;
    let (size, mut left) = (bytes.end - bytes.start, bytes.end - bytes.start);
    let (mut md5, mut small) = (Md5::new(), (size <= SMALL as u64).then(Vec::new));
    let copied = from.seek(SeekFrom::Start(bytes.start)).and_then(|_| {
        let chunk = CHUNK.min(usize::try_from(size).unwrap_or(CHUNK)).max(1);
        files::read_through(from.take(size), chunk, |bytes| {
            md5.update(bytes);
            small.iter_mut().for_each(|small| small.extend_from_slice(bytes));
            left -= bytes.len() as u64;
            to.write_all(bytes)
        })?;
        if left == 0 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    });
    copied.map_err(|error| StoreError::io(file.path(), &error))?;
    file.whole(&to, small)?;
    Ok(Received { file, size, md5: hex(md5.finalize().as_ref()), checksums: BTreeMap::new() })
}
