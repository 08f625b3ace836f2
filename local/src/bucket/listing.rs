//! Listing: a page of the index, in the order of the keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    ChecksumAlgorithm, CommonPrefix, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, Object as Listed, ObjectStorageClass, Owner,
};
use s3s::{S3Error, S3Result, s3_error};

use super::{etag, time};
use crate::store::{Object, Store, StoreError, after};

/// S3 never gives more.
const LARGEST_PAGE: i32 = 1000;
/// As S3 encodes keys if it is asked to.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');

/// What to list.
#[derive(Debug)]
struct Wanted {
    bucket: String,
    prefix: String,
    delimiter: Option<String>,
    /// Only what comes after this.
    after: String,
    most: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    items: Vec<Item>,
    is_truncated: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Item {
    /// An object and its key.
    Object(String, Box<Object>),
    /// All keys that begin so.
    Group(String),
}

impl Item {
    fn name(&self) -> &str {
        match self {
            Self::Object(name, _) | Self::Group(name) => name,
        }
    }
}

pub(super) async fn list_objects_v2(
    store: &Store,
    input: ListObjectsV2Input,
) -> S3Result<ListObjectsV2Output> {
    let token = input.continuation_token.as_deref().map(|token| {
        let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        text.ok_or_else(|| s3_error!(InvalidArgument, "the continuation token is not one of a listing"))
    });
    let token = token.transpose()?;
    let is_begun = token.is_some();
    let wanted = Wanted {
        bucket: input.bucket.clone(),
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().filter(|delimiter| !delimiter.is_empty()),
        after: token.or(input.start_after.clone()).unwrap_or_default(),
        most: most(input.max_keys)?,
    };
    let page = list(store, wanted, is_begun).await?;
    let url = is_url(input.encoding_type.as_ref());
    let next =
        page.items.last().filter(|_| page.is_truncated).map(|item| URL_SAFE_NO_PAD.encode(item.name()));
    let key_count = i32::try_from(page.items.len()).ok();
    let is_truncated = page.is_truncated;
    let (contents, common_prefixes) = shown(page, url, input.fetch_owner.unwrap_or_default());
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encoded(input.prefix.unwrap_or_default(), url)),
        delimiter: input.delimiter.map(|text| encoded(text, url)),
        start_after: input.start_after.map(|text| encoded(text, url)),
        continuation_token: input.continuation_token,
        max_keys: Some(input.max_keys.unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE)),
        key_count,
        is_truncated: Some(is_truncated),
        next_continuation_token: next,
        contents,
        common_prefixes,
        encoding_type: input.encoding_type,
        request_charged: None,
    })
}

pub(super) async fn list_objects(store: &Store, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
    let wanted = Wanted {
        bucket: input.bucket.clone(),
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().filter(|delimiter| !delimiter.is_empty()),
        after: input.marker.clone().unwrap_or_default(),
        most: most(input.max_keys)?,
    };
    let (is_begun, has_groups) = (!wanted.after.is_empty(), wanted.delimiter.is_some());
    let page = list(store, wanted, is_begun).await?;
    let url = is_url(input.encoding_type.as_ref());
    // without a delimiter the next page begins after the last key
    let next =
        page.items.last().filter(|_| page.is_truncated && has_groups).map(|item| item.name().to_owned());
    let is_truncated = page.is_truncated;
    let (contents, common_prefixes) = shown(page, url, true);
    Ok(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(encoded(input.prefix.unwrap_or_default(), url)),
        delimiter: input.delimiter.map(|text| encoded(text, url)),
        marker: Some(encoded(input.marker.unwrap_or_default(), url)),
        next_marker: next.map(|text| encoded(text, url)),
        max_keys: Some(input.max_keys.unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE)),
        is_truncated: Some(is_truncated),
        contents,
        common_prefixes,
        encoding_type: input.encoding_type,
        request_charged: None,
    })
}

fn most(max_keys: Option<i32>) -> S3Result<usize> {
    let most = max_keys.unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE);
    usize::try_from(most).map_err(|_| s3_error!(InvalidArgument, "max-keys must not be negative"))
}

async fn list(store: &Store, wanted: Wanted, is_begun: bool) -> S3Result<Page> {
    if !is_begun {
        store.take_in(&wanted.bucket, &wanted.prefix).await?;
    }
    let store = store.clone();
    let listed = tokio::task::spawn_blocking(move || page(&store, &wanted));
    Ok(listed.await.map_err(S3Error::internal_error)??)
}

fn page(store: &Store, wanted: &Wanted) -> Result<Page, StoreError> {
    let mut page = Page::default();
    if wanted.most == 0 {
        return Ok(page);
    }
    let end = after(&wanted.prefix);
    // of a group that the last page ended with, or in, nothing more comes
    let mut from = match wanted.group_of(&wanted.after).map(after) {
        Some(None) => return Ok(page),
        Some(Some(next)) => (next, true),
        None if wanted.after >= wanted.prefix && !wanted.after.is_empty() => (wanted.after.clone(), false),
        None => (wanted.prefix.clone(), true),
    };
    loop {
        let missing = wanted.most + 1 - page.items.len();
        let rows = store.page(&wanted.bucket, (&from.0, from.1), end.as_deref(), missing)?;
        let is_last = rows.len() < missing;
        let mut next = None;
        for (key, object) in rows {
            if page.items.len() == wanted.most {
                page.is_truncated = true;
                return Ok(page);
            }
            if let Some(group) = wanted.group_of(&key) {
                page.items.push(Item::Group(group.to_owned()));
                next = Some(after(group));
                break;
            }
            from = (key.clone(), false);
            page.items.push(Item::Object(key, Box::new(object)));
        }
        match next {
            Some(Some(next)) => from = (next, true),
            Some(None) => return Ok(page),
            None if is_last => return Ok(page),
            None => {}
        }
    }
}

impl Wanted {
    /// The key up to the first delimiter after the prefix, with it.
    fn group_of<'key>(&self, key: &'key str) -> Option<&'key str> {
        let delimiter = self.delimiter.as_deref()?;
        let at = key.strip_prefix(&self.prefix)?.find(delimiter)?;
        key.get(..self.prefix.len() + at + delimiter.len())
    }
}

fn shown(page: Page, url: bool, with_owner: bool) -> (Option<Vec<Listed>>, Option<Vec<CommonPrefix>>) {
    let (mut contents, mut groups) = (Vec::new(), Vec::new());
    for item in page.items {
        match item {
            Item::Group(prefix) => groups.push(CommonPrefix { prefix: Some(encoded(prefix, url)) }),
            Item::Object(key, object) => contents.push(Listed {
                key: Some(encoded(key, url)),
                size: i64::try_from(object.size).ok(),
                last_modified: Some(time(object.modified)),
                e_tag: Some(etag(&object)),
                checksum_algorithm: algorithms(&object),
                storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
                owner: with_owner
                    .then(|| Owner { id: Some("monthend".into()), display_name: Some("monthend".into()) }),
                ..Listed::default()
            }),
        }
    }
    (Some(contents).filter(|contents| !contents.is_empty()), Some(groups).filter(|groups| !groups.is_empty()))
}

fn algorithms(object: &Object) -> Option<Vec<ChecksumAlgorithm>> {
    let names = object.head.checksums.keys().map(|name| ChecksumAlgorithm::from(name.to_ascii_uppercase()));
    Some(names.collect::<Vec<_>>()).filter(|names| !names.is_empty())
}

pub(super) fn is_url(encoding: Option<&EncodingType>) -> bool {
    encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL)
}

pub(super) fn encoded(text: String, url: bool) -> String {
    if url { utf8_percent_encode(&text, ENCODED).to_string() } else { text }
}
