//! Files that somebody else has written into the folder of a bucket, changed or removed: an export that is synchronised there, a document
//! that a person corrects. They are looked for where a listing begins, and where a read finds another file than it expected.

use std::fs::{self, DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use s3s::crypto::{Checksum as _, Md5};

use super::database::StoreError;
use super::place::{Place, is_path};
use super::{Head, Object, PoisonError, Store, delete, insert, now_ms, object, stamp};
use crate::files::{self, is_gone};
use crate::queue::Message;

/// A file that was written so short a time ago may change again without its modification time changing (the kernel's clock for files ticks
/// every few milliseconds), so nobody relies on that yet.
const UNSETTLED: Duration = Duration::from_millis(100);
const CHUNK: usize = 256 * 1024;
/// Files of one transaction.
const TOGETHER: usize = 500;

/// A file as it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    size: u64,
    stamp: i64,
}

/// A key whose file is not what the database says.
struct Changed {
    key: String,
    /// The file, its MD5 and its time; nothing if there is none any more.
    file: Option<(Seen, String, i64)>,
    /// What the database said.
    before: Option<Object>,
}

impl Store {
    /// Takes in what has changed below a prefix.
    pub(crate) async fn take_in(&self, bucket: &str, prefix: &str) -> Result<(), StoreError> {
        let (store, name, begin) = (self.clone(), bucket.to_owned(), prefix.to_owned());
        let looked = tokio::task::spawn_blocking(move || store.differences(&name, &begin)).await;
        let keys = looked.unwrap_or_else(|error| Err(self.ended(&error)))?;
        self.take_in_keys(bucket, keys).await
    }

    /// Takes in what has become of one key's file.
    pub(super) async fn take_in_one(&self, bucket: &str, key: &str) -> Result<(), StoreError> {
        if is_path(key) { self.take_in_keys(bucket, vec![key.to_owned()]).await } else { Ok(()) }
    }

    async fn take_in_keys(&self, bucket: &str, keys: Vec<String>) -> Result<(), StoreError> {
        for keys in keys.chunks(TOGETHER) {
            let (store, name, keys) = (self.clone(), bucket.to_owned(), keys.to_vec());
            let looked = tokio::task::spawn_blocking(move || {
                keys.into_iter().filter_map(|key| store.look(&name, key).transpose()).collect()
            });
            let changed: Vec<Changed> = looked.await.unwrap_or_else(|error| Err(self.ended(&error)))?;
            let (store, name) = (self.clone(), bucket.to_owned());
            let told = self.database().write(move |change| {
                let mut told = false;
                for changed in &changed {
                    told |= store.record(change, &name, changed)?;
                }
                Ok(told)
            });
            if told.await? {
                self.due().notify_one();
            }
        }
        Ok(())
    }

    fn ended(&self, error: &tokio::task::JoinError) -> StoreError {
        StoreError::Other { path: self.0.root.clone(), error: error.to_string() }
    }

    /// The keys below a prefix whose files are not what the database says. Costs a look at each file, and reads none.
    fn differences(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        let folder = self.0.root.join(bucket);
        let failed = |error: io::Error| StoreError::io(&folder, &error);
        let mut files = Vec::new();
        walk(&folder, "", prefix, &mut files).map_err(failed)?;
        files.sort_unstable_by(|(one, _): &(String, Seen), (other, _)| one.cmp(other));
        let end = after(prefix);
        let recorded: Vec<(String, Seen)> = self.database().read(|database| {
            let sql = "SELECT key, size, stamp FROM objects WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3) AND place IS NULL ORDER BY key";
            let mut statement = database.prepare_cached(sql)?;
            let rows = statement.query_map(rusqlite::params![bucket, prefix, end], |row| {
                let size: i64 = row.get(1)?;
                Ok((row.get(0)?, Seen { size: size.try_into().unwrap_or_default(), stamp: row.get(2)? }))
            })?;
            rows.collect()
        })?;
        let (mut different, mut recorded) = (Vec::new(), recorded.into_iter().peekable());
        for (key, seen) in files {
            while let Some((gone, _)) = recorded.next_if(|(known, _)| *known < key) {
                different.push(gone);
            }
            match recorded.next_if(|(known, _)| *known == key) {
                Some((_, known)) if known == seen => {}
                _ => different.push(key),
            }
        }
        different.extend(recorded.map(|(gone, _)| gone));
        Ok(different)
    }

    /// Looks at a key's file, and reads it if it is not the one that the database knows.
    fn look(&self, bucket: &str, key: String) -> Result<Option<Changed>, StoreError> {
        let before = self.object(bucket, &key)?;
        if before.as_ref().is_some_and(|before| before.place != Place::Key) {
            return Ok(None);
        }
        let path = self.0.root.join(bucket).join(&key);
        if let Some(new) = self.unplaced(bucket, &key)? {
            // it is the object, and only waits for its place
            let _ = super::rename(&new, &path);
            return Ok(None);
        }
        let failed = |error: &io::Error| StoreError::io(&path, error);
        for _ in 0..5 {
            let now = SystemTime::now();
            let read = match read(&path) {
                Ok(read) => read,
                Err(error) if is_gone(&error) => None,
                Err(error) => return Err(failed(&error)),
            };
            let Some((found, md5)) = read else {
                return Ok(before.is_some().then_some(Changed { key, file: None, before }));
            };
            let seen = Seen::of(&found);
            // it may be in the middle of being written
            if path.metadata().is_ok_and(|found| Seen::of(&found) == seen) {
                let time = found.modified().unwrap_or(now);
                let is_new = now.duration_since(time).is_ok_and(|age| age < UNSETTLED) || time > now;
                let told = Seen { stamp: if is_new { 0 } else { seen.stamp }, ..seen };
                let same = before.as_ref().is_some_and(|before| {
                    (before.md5 == md5 && before.stamp == told.stamp) && before.size == seen.size
                });
                let changed = Changed { key, file: Some((told, md5, seen.stamp)), before };
                return Ok((!same).then_some(changed));
            }
        }
        Ok(None) // a later look sees it whole
    }

    /// Records it, unless it has changed since it was looked at. Answers whether a notification waits.
    fn record(
        &self,
        change: &rusqlite::Transaction<'_>,
        bucket: &str,
        changed: &Changed,
    ) -> rusqlite::Result<bool> {
        let key = changed.key.as_str();
        let moving = self.0.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let is_moving = moving.contains(&(bucket.to_owned(), key.to_owned()));
        drop(moving);
        if is_moving || object(change, bucket, key)? != changed.before {
            return Ok(false);
        }
        let found = self.0.root.join(bucket).join(key).metadata().ok().filter(fs::Metadata::is_file);
        let Some((seen, md5, written)) = &changed.file else {
            if found.is_none() {
                tracing::info!("{bucket}/{key} was removed from its folder");
                delete(change, bucket, key)?;
            }
            return Ok(false);
        };
        if found.is_none_or(|found| (found.len(), stamp(&found)) != (seen.size, *written)) {
            return Ok(false);
        }
        let same = changed.before.as_ref().filter(|before| before.md5 == *md5);
        let object = match same {
            Some(before) => Object { stamp: seen.stamp, ..before.clone() },
            None => Object {
                size: seen.size,
                etag: md5.clone(),
                md5: md5.clone(),
                modified: if *written > 0 { written / 1_000_000 } else { now_ms() },
                head: Head::default(),
                place: Place::Key,
                stamp: seen.stamp,
            },
        };
        insert(change, bucket, key, &object)?;
        if same.is_some() {
            return Ok(false);
        }
        tracing::info!("{bucket}/{key} was written into its folder");
        let message = self.notification(bucket, key);
        message.as_ref().map_or(Ok(()), |message: &Message| message.insert(change))?;
        Ok(message.is_some())
    }
}

impl Seen {
    fn of(found: &fs::Metadata) -> Self {
        Self { size: found.len(), stamp: stamp(found) }
    }
}

/// What comes after everything that begins so; nothing if everything may.
pub(crate) fn after(prefix: &str) -> Option<String> {
    let mut rest = prefix.to_owned();
    while let Some(last) = rest.pop() {
        // between the two halves of the Unicode range there is a gap
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            rest.push(next);
            return Some(rest);
        }
    }
    None
}

/// All files below a folder whose keys begin with the prefix.
fn walk(folder: &Path, parent: &str, prefix: &str, files: &mut Vec<(String, Seen)>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Some((path, is_folder)) = kind(&entry) else { continue };
        let Ok(name) = entry.file_name().into_string() else {
            tracing::warn!("{} is no object: its name is no UTF-8", path.display());
            continue;
        };
        let key = format!("{parent}{name}");
        if is_folder {
            let key = key + "/";
            if key.starts_with(prefix) || prefix.starts_with(&key) {
                walk(&path, &key, prefix, files)?;
            }
        } else if key.starts_with(prefix) {
            match path.metadata() {
                Ok(found) if found.is_file() => files.push((key, Seen::of(&found))),
                Ok(_) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// A file or a folder. A link to a folder may lead round in a circle.
fn kind(entry: &DirEntry) -> Option<(PathBuf, bool)> {
    let (kind, path) = (entry.file_type().ok()?, entry.path());
    (kind.is_dir() || kind.is_file() || (kind.is_symlink() && path.is_file()))
        .then_some((path, kind.is_dir()))
}

/// What a file is and its MD5; nothing if it is none.
pub(super) fn read(path: &Path) -> io::Result<Option<(fs::Metadata, String)>> {
    if !path.metadata()?.is_file() {
        return Ok(None); // opening some of the others would wait
    }
    let file = File::open(path)?;
    let found = file.metadata()?;
    let mut md5 = Md5::new();
    files::read_through(file, CHUNK.min(usize::try_from(found.len()).unwrap_or(CHUNK) + 1), |bytes| {
        md5.update(bytes);
        Ok(())
    })?;
    Ok(Some((found, hex(md5.finalize().as_ref()))))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // into a String, which never fails
        text
    })
}
