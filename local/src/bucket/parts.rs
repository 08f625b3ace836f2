//! Uploads in parts: which parts are taken, and what is said of the whole.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Md5, Sha1, Sha256};
use s3s::dto::{ChecksumAlgorithm, ChecksumType, CompleteMultipartUploadInput};
use s3s::{S3Result, s3_error};

use super::receive::checksums_of;
use crate::store::{Head, Part, Upload};

/// Parts but the last of an upload have at least this size.
pub(super) const SMALLEST_PART: u64 = 5 * 1024 * 1024;
/// What an upload states of its checksums when it is begun, among its headers until it is completed.
const STATED: &str = "x-amz-checksum-algorithm";

/// The parts that the client names, in its order, which must be theirs.
pub(super) fn chosen(parts: &[Part], input: &CompleteMultipartUploadInput) -> S3Result<Vec<Part>> {
    let named =
        input.multipart_upload.as_ref().and_then(|upload| upload.parts.as_deref()).unwrap_or_default();
    if named.is_empty() {
        return Err(s3_error!(MalformedXML, "an upload is completed by naming its parts"));
    }
    let number = |part: &s3s::dto::CompletedPart| part.part_number.unwrap_or_default();
    if !named.is_sorted_by(|one, next| number(one) < number(next)) {
        return Err(s3_error!(InvalidPartOrder, "parts are named in their order, each once"));
    }
    let chosen = named.iter().map(|named| {
        let part = parts.iter().find(|part| part.number == number(named));
        let same = |part: &&Part| {
            let stated = checksums_of!(named);
            named.e_tag.as_ref().is_none_or(|etag| etag.value() == part.md5)
                && stated.iter().all(|(name, sum)| part.checksums.get(name).is_none_or(|known| known == sum))
        };
        part.filter(same).cloned().ok_or_else(|| {
            s3_error!(InvalidPart, "part {} was not uploaded, or has another ETag or checksum", number(named))
        })
    });
    let chosen: Vec<Part> = chosen.collect::<S3Result<_>>()?;
    let but_last = &chosen[..chosen.len() - 1];
    if but_last.iter().any(|part| part.size < SMALLEST_PART) {
        return Err(s3_error!(EntityTooSmall, "parts but the last have at least 5 MiB"));
    }
    Ok(chosen)
}

/// The MD5 of the parts' MD5s, and how many there are.
pub(super) fn etag(parts: &[Part]) -> String {
    let byte = |md5: &str, at: usize| md5.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
    let bytes = |part: &Part| (0..32).step_by(2).filter_map(|at| byte(&part.md5, at)).collect::<Vec<_>>();
    let all: Vec<u8> = parts.iter().flat_map(bytes).collect();
    format!("{}-{}", crate::store::hex(Md5::checksum(&all).as_ref()), parts.len())
}

/// Notes the algorithm whose checksums the parts have, unless it is one of the whole.
pub(super) fn state(head: &mut Head, algorithm: Option<&ChecksumAlgorithm>, kind: Option<&ChecksumType>) {
    let of_whole = kind.is_some_and(|kind| kind.as_str() == ChecksumType::FULL_OBJECT);
    if let Some(algorithm) = algorithm.filter(|_| !of_whole) {
        head.headers.insert(STATED.to_owned(), algorithm.as_str().to_ascii_lowercase());
    }
}

pub(super) fn without_statement(head: &Head) -> Head {
    let mut head = head.clone();
    head.headers.remove(STATED);
    head
}

/// The checksum of the parts' checksums, and how many there are; nothing if the upload has stated none, or one that is made of the whole.
pub(super) fn composite(parts: &[Part], upload: &Upload) -> S3Result<BTreeMap<String, String>> {
    let Some(name) = upload.head.headers.get(STATED) else { return Ok(BTreeMap::new()) };
    if name == "crc64nvme" {
        return Ok(BTreeMap::new());
    }
    let sums = parts.iter().map(|part| {
        let sum = part.checksums.get(name).and_then(|sum| STANDARD.decode(sum).ok());
        sum.ok_or_else(|| s3_error!(InvalidPart, "part {} has no checksum {name}", part.number))
    });
    let sums: Vec<u8> = sums.collect::<S3Result<Vec<_>>>()?.concat();
    let sum = match name.as_str() {
        "crc32" => STANDARD.encode(Crc32::checksum(&sums)),
        "crc32c" => STANDARD.encode(Crc32c::checksum(&sums)),
        "sha1" => STANDARD.encode(Sha1::checksum(&sums)),
        "sha256" => STANDARD.encode(Sha256::checksum(&sums)),
        _ => return Ok(BTreeMap::new()),
    };
    Ok([(name.clone(), format!("{sum}-{}", parts.len()))].into())
}

/// Takes the uploads whose keys have the delimiter after the prefix out, and answers how those begin.
pub(super) fn groups(
    uploads: &mut Vec<Upload>,
    prefix: Option<&str>,
    delimiter: Option<&str>,
) -> Vec<String> {
    let Some(delimiter) = delimiter.filter(|delimiter| !delimiter.is_empty()) else { return Vec::new() };
    let prefix = prefix.unwrap_or_default();
    let mut groups = Vec::new();
    uploads.retain(|upload| {
        let rest = upload.key.strip_prefix(prefix).unwrap_or_default();
        let Some(at) = rest.find(delimiter) else { return true };
        groups.push(format!("{prefix}{}", &rest[..at + delimiter.len()]));
        false
    });
    groups.dedup();
    groups
}
