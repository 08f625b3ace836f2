//! What is said of an object: taken from the request that writes it, given in the answers of those that read it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;

use s3s::dto::{
    ChecksumMode, ChecksumType, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    StreamingBlob, Timestamp, TimestampFormat,
};
use s3s::{Body, S3Error, S3Result, s3_error};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::{etag, time};
use crate::store::Object;

/// Larger ones are streamed.
const SMALL: u64 = 1024 * 1024;
const CHUNK: usize = 256 * 1024;

/// What a request says of the object that it writes.
macro_rules! head_of {
    ($input:expr) => {{
        let text = |value: &Option<_>| value.as_ref().map(ToString::to_string);
        let headers = [
            ("content-type", text(&$input.content_type)),
            ("content-encoding", $crate::bucket::describe::encoding($input.content_encoding.as_deref())),
            ("content-disposition", $input.content_disposition.clone()),
            ("content-language", $input.content_language.clone()),
            ("cache-control", $input.cache_control.clone()),
            ("expires", $input.expires.as_ref().and_then($crate::bucket::describe::http_date)),
            ("x-amz-website-redirect-location", $input.website_redirect_location.clone()),
        ];
        $crate::store::Head {
            headers: headers
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
            metadata: $input.metadata.clone().unwrap_or_default().into_iter().collect(),
            checksums: std::collections::BTreeMap::new(),
        }
    }};
}
pub(super) use head_of;

/// States checksums in an answer.
macro_rules! set_checksums {
    ($output:expr, $checksums:expr) => {{
        let sum = |name: &str| $checksums.get(name).cloned();
        $output.checksum_crc32 = sum("crc32");
        $output.checksum_crc32c = sum("crc32c");
        $output.checksum_crc64nvme = sum("crc64nvme");
        $output.checksum_sha1 = sum("sha1");
        $output.checksum_sha256 = sum("sha256");
    }};
}
pub(super) use set_checksums;

/// States in an answer what was said of the object.
macro_rules! set_head {
    ($output:expr, $object:expr, $mode:expr) => {{
        let header = |name: &str| $object.head.headers.get(name).cloned();
        $output.accept_ranges = Some("bytes".to_owned());
        $output.e_tag = Some(etag($object));
        $output.last_modified = Some(time($object.modified));
        $output.content_type = Some(header("content-type").unwrap_or_else(|| "binary/octet-stream".into()));
        $output.content_encoding = header("content-encoding");
        $output.content_disposition = header("content-disposition");
        $output.content_language = header("content-language");
        $output.cache_control = header("cache-control");
        $output.expires =
            header("expires").and_then(|text| Timestamp::parse(TimestampFormat::HttpDate, &text).ok());
        $output.website_redirect_location = header("x-amz-website-redirect-location");
        let metadata = $object.head.metadata.clone().into_iter().collect();
        $output.metadata = Some(metadata).filter(|metadata: &s3s::dto::Metadata| !metadata.is_empty());
        if $mode.as_ref().is_some_and(|mode: &ChecksumMode| mode.as_str() == ChecksumMode::ENABLED) {
            set_checksums!($output, $object.head.checksums);
            let of_parts = $object.head.checksums.values().any(|sum| sum.contains('-'));
            let kind = if of_parts { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
            $output.checksum_type =
                (!$object.head.checksums.is_empty()).then(|| ChecksumType::from_static(kind));
        }
    }};
}

/// How the bytes are packed; that they came in signed chunks is no packing.
pub(super) fn encoding(stated: Option<&str>) -> Option<String> {
    let names = stated?.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != "aws-chunked");
    let names: Vec<&str> = names.collect();
    (!names.is_empty()).then(|| names.join(","))
}

pub(super) fn http_date(time: &Timestamp) -> Option<String> {
    let mut text = Vec::new();
    time.format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

pub(super) fn head_output(input: &HeadObjectInput, object: &Object) -> S3Result<HeadObjectOutput> {
    check_version(input.version_id.is_some())?;
    let (bytes, content_range) = part_of(object, input.range.as_ref())?;
    let content_length = i64::try_from(bytes.end - bytes.start).ok();
    let mut output = HeadObjectOutput { content_length, content_range, ..HeadObjectOutput::default() };
    set_head!(output, object, input.checksum_mode);
    Ok(output)
}

pub(super) async fn object_output(
    input: &GetObjectInput,
    object: &Object,
    file: File,
) -> S3Result<GetObjectOutput> {
    check_version(input.version_id.is_some())?;
    if input.part_number.is_some_and(|number| number != 1) {
        return Err(s3_error!(
            NotImplemented,
            "the embedded cloud does not keep the parts that an object came in"
        ));
    }
    let (bytes, content_range) = part_of(object, input.range.as_ref())?;
    let is_part = content_range.is_some();
    let length = bytes.end - bytes.start;
    let mut output = GetObjectOutput {
        content_length: i64::try_from(length).ok(),
        body: Some(body(file, bytes.start, length).await?),
        content_range,
        ..GetObjectOutput::default()
    };
    set_head!(output, object, input.checksum_mode);
    if is_part {
        // they are those of the whole
        set_checksums!(output, BTreeMap::<String, String>::new());
        output.checksum_type = None;
    }
    let replace = |stated: &Option<String>, said: &mut Option<String>| {
        if stated.is_some() {
            said.clone_from(stated);
        }
    };
    replace(&input.response_cache_control, &mut output.cache_control);
    replace(&input.response_content_disposition, &mut output.content_disposition);
    replace(&input.response_content_encoding, &mut output.content_encoding);
    replace(&input.response_content_language, &mut output.content_language);
    if input.response_content_type.is_some() {
        output.content_type.clone_from(&input.response_content_type);
    }
    if input.response_expires.is_some() {
        output.expires.clone_from(&input.response_expires);
    }
    Ok(output)
}

/// Which bytes are asked for, and how that is said if they are not all.
fn part_of(object: &Object, range: Option<&s3s::dto::Range>) -> S3Result<(Range<u64>, Option<String>)> {
    let Some(range) = range else { return Ok((0..object.size, None)) };
    let bytes = range.check(object.size);
    let bytes = bytes.map_err(|_| s3_error!(InvalidRange, "the range is not in the object"))?;
    let said = format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, object.size);
    Ok((bytes, Some(said)))
}

fn check_version(is_stated: bool) -> S3Result<()> {
    if is_stated { Err(s3_error!(NotImplemented, "the embedded cloud keeps no versions")) } else { Ok(()) }
}

/// Bytes of a file: few at once, many as they are wanted.
async fn body(mut file: File, from: u64, length: u64) -> S3Result<StreamingBlob> {
    if length <= SMALL {
        let read = move || {
            let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
            file.seek(SeekFrom::Start(from))?;
            file.take(length).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        };
        // most are in memory: another thread would take longer than reading them
        let bytes = if length <= CHUNK as u64 {
            read()
        } else {
            tokio::task::spawn_blocking(read).await.map_err(S3Error::internal_error)?
        };
        return Ok(StreamingBlob::from(Body::from(bytes.map_err(S3Error::internal_error)?)));
    }
    file.seek(SeekFrom::Start(from)).map_err(S3Error::internal_error)?;
    let stream = ReaderStream::with_capacity(tokio::fs::File::from_std(file).take(length), CHUNK);
    Ok(StreamingBlob::wrap(stream))
}
