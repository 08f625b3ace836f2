//! Listing objects that are plain files, in the order of their keys, one page at a time.
//!
//! Folders are read only where the page begins, as far as it goes: a page costs what is on it, not what is in the
//! bucket. No lock is taken. A listing while an object is being written shows it as it was or as it will be.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use s3s::dto::{CommonPrefix, ETag, ListObjectsV2Input, ListObjectsV2Output, Object, Timestamp};
use s3s::{S3Error, S3Result, s3_error};

use crate::etags::{Described, Etags, is_gone};

/// S3 never gives more.
const LARGEST_PAGE: i32 = 1000;

/// Answers a request.
pub(crate) fn list_objects_v2(
    root: &Path,
    etags: &Etags,
    input: ListObjectsV2Input,
) -> S3Result<ListObjectsV2Output> {
    let folder = root.join(&input.bucket);
    if !folder.is_dir() {
        return Err(s3_error!(NoSuchBucket));
    }
    let max_keys = input.max_keys.unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE);
    let wanted = Wanted {
        prefix: input.prefix.as_deref().unwrap_or_default().trim_start_matches('/').to_owned(),
        delimiter: input.delimiter.clone().filter(|delimiter| !delimiter.is_empty()),
        after: input.continuation_token.clone().max(input.start_after.clone()).unwrap_or_default(),
        max_keys: usize::try_from(max_keys)
            .map_err(|_| s3_error!(InvalidArgument, "max-keys must not be negative"))?,
    };
    let describe = |key: &str, path: &Path| etags.describe(&input.bucket, key, path);
    let page = page(&folder, &wanted, describe).map_err(S3Error::internal_error)?;
    Ok(answer(input, max_keys, page))
}

fn answer(input: ListObjectsV2Input, max_keys: i32, page: Page) -> ListObjectsV2Output {
    let next = page.items.last().map(|item| item.name().to_owned()).filter(|_| page.is_truncated);
    let key_count = i32::try_from(page.items.len()).unwrap_or(max_keys);
    let (mut contents, mut common_prefixes) = (Vec::new(), Vec::new());
    for item in page.items {
        match item {
            Item::Object(key, described) => contents.push(object(key, described)),
            Item::Group(prefix) => common_prefixes.push(CommonPrefix { prefix: Some(prefix) }),
        }
    }
    ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: input.prefix,
        delimiter: input.delimiter,
        start_after: input.start_after,
        continuation_token: input.continuation_token,
        max_keys: Some(max_keys),
        key_count: Some(key_count),
        is_truncated: Some(page.is_truncated),
        next_continuation_token: next,
        contents: Some(contents).filter(|contents| !contents.is_empty()),
        common_prefixes: Some(common_prefixes).filter(|prefixes| !prefixes.is_empty()),
        encoding_type: None, // keys go as they are, and a client would decode them if this said otherwise
        request_charged: None,
    }
}

fn object(key: String, described: Described) -> Object {
    Object {
        key: Some(key),
        size: i64::try_from(described.size).ok(),
        last_modified: Some(Timestamp::from(described.modified)),
        e_tag: Some(ETag::Strong(described.etag)),
        ..Object::default()
    }
}

/// What to list.
#[derive(Debug)]
struct Wanted {
    prefix: String,
    delimiter: Option<String>,
    /// Only what comes after this.
    after: String,
    max_keys: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    items: Vec<Item>,
    is_truncated: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Item {
    /// An object and its key.
    Object(String, Described),
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

/// A page of the folder's files; `describe` answers nothing for one that has gone.
fn page(
    folder: &Path,
    wanted: &Wanted,
    describe: impl Fn(&str, &Path) -> io::Result<Option<Described>>,
) -> io::Result<Page> {
    let mut page = Page::default();
    if wanted.max_keys == 0 {
        return Ok(page);
    }
    let mut walk = Walk::new(folder, wanted)?;
    while let Some(entry) = walk.next_file()? {
        if page.items.len() == wanted.max_keys {
            page.is_truncated = true;
            break;
        }
        if let Some(group) = wanted.group_of(&entry.key) {
            walk.passed = Some(group.to_owned());
            page.items.push(Item::Group(group.to_owned()));
        } else if let Some(described) = describe(&entry.key, &entry.path)? {
            page.items.push(Item::Object(entry.key, described));
        }
    }
    Ok(page)
}

impl Wanted {
    /// The key up to the first delimiter after the prefix, with it.
    fn group_of<'key>(&self, key: &'key str) -> Option<&'key str> {
        let delimiter = self.delimiter.as_deref()?;
        let at = key.strip_prefix(&self.prefix)?.find(delimiter)?;
        key.get(..self.prefix.len() + at + delimiter.len())
    }

    /// A file that is wanted, or a folder (its key ends in a slash) in which one can be.
    fn may_hold(&self, key: &str) -> bool {
        if key.ends_with('/') {
            let fits = key.starts_with(&self.prefix) || self.prefix.starts_with(key);
            fits && (key > self.after.as_str() || self.after.starts_with(key))
        } else {
            key.starts_with(&self.prefix) && key > self.after.as_str()
        }
    }
}

/// Goes through files in the order of their keys.
struct Walk<'a> {
    wanted: &'a Wanted,
    /// Everything that begins so is behind us.
    passed: Option<String>,
    /// What is left in each folder from the bucket's down to where we are, each the last one first.
    folders: Vec<Vec<Entry>>,
}

/// A file, or a folder: then its key ends in a slash, and so sorts where its files do.
struct Entry {
    key: String,
    path: PathBuf,
}

impl<'a> Walk<'a> {
    fn new(folder: &Path, wanted: &'a Wanted) -> io::Result<Self> {
        // of a group that the last page ended with, or in, nothing more comes
        let passed = wanted.group_of(&wanted.after).map(str::to_owned);
        let mut walk = Self { wanted, passed, folders: Vec::new() };
        walk.enter("", folder)?;
        Ok(walk)
    }

    fn next_file(&mut self) -> io::Result<Option<Entry>> {
        while let Some(entries) = self.folders.last_mut() {
            let Some(entry) = entries.pop() else {
                self.folders.pop();
                continue;
            };
            if self.passed.as_ref().is_some_and(|passed| entry.key.starts_with(passed)) {
                continue;
            }
            if !entry.key.ends_with('/') {
                return Ok(Some(entry));
            }
            self.enter(&entry.key, &entry.path)?;
        }
        Ok(None)
    }

    fn enter(&mut self, key: &str, folder: &Path) -> io::Result<()> {
        let read = match fs::read_dir(folder) {
            Ok(read) => read,
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut entries = Vec::new();
        for entry in read {
            entries.extend(Entry::of(key, &entry?).filter(|entry| self.wanted.may_hold(&entry.key)));
        }
        entries.sort_unstable_by(|one, other| other.key.cmp(&one.key));
        self.folders.push(entries);
        Ok(())
    }
}

impl Entry {
    /// Nothing for what no key can name, and for what is neither file nor folder.
    fn of(parent: &str, entry: &DirEntry) -> Option<Self> {
        let name = entry.file_name().into_string().ok()?;
        let (kind, path) = (entry.file_type().ok()?, entry.path());
        let slash = if kind.is_dir() { "/" } else { "" };
        // a link to a folder may lead round in a circle
        let is_object = kind.is_file() || (kind.is_symlink() && path.is_file());
        (kind.is_dir() || is_object).then(|| Self { key: format!("{parent}{name}{slash}"), path })
    }
}

#[cfg(test)]
mod tests;
