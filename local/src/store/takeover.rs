//! Homes that an older version of this program has kept: objects as files with what was known of them in files beside, notifications and
//! dead letters as a file each. The first start makes the database of them, whole, and leaves the objects where they are.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, Transaction, params};
use serde_json::Value;

use super::database::{StoreError, connect};
use super::place::Place;
use super::{Head, Object, insert, now_ms, schema, stamp, take_in};
use crate::files;
use crate::home::Home;
use crate::queue::{DeadLetter, Message};

/// What others could read in a home of an older version.
const OLD: [&str; 9] = [
    "s3",
    "dynamodb.sqlite",
    "dynamodb.sqlite-wal",
    "dynamodb.sqlite-shm",
    "clazar.jsonl",
    "kind.json",
    "admin.json",
    "lock",
    "mails",
];

/// Makes the database of a home that has none: of what stands there.
pub(super) fn make(home: &Home) -> Result<(), StoreError> {
    let path = home.store();
    let new = path.with_extension("new");
    let io_failed = |error: io::Error| StoreError::io(&new, &error);
    // what is left of one that somebody has removed would be laid over the new one
    for left in [&new, &path].into_iter().flat_map(|database| files::of_database(database)) {
        files::remove(&left).map_err(io_failed)?;
    }
    // the older versions made it with their first command; else the folder is somebody's who has other things in it
    let is_home = home.dynamodb().exists();
    for old in OLD.into_iter().filter(|_| is_home) {
        let path = home.root().join(old);
        files::close(&path).map_err(|error| StoreError::io(&path, &error))?;
    }
    drop(files::create(&new).map_err(io_failed)?);
    let filled = connect(&new).map_err(|error| StoreError::sqlite(&new, &error)).and_then(|mut database| {
        fill(&mut database, home, &new)?;
        let folded = database.pragma_update(None, "journal_mode", "DELETE");
        folded.map_err(|error| StoreError::sqlite(&new, &error))
    });
    filled?;
    files::put_in_place(&new, &path).map_err(io_failed)
}

fn fill(database: &mut Connection, home: &Home, path: &Path) -> Result<(), StoreError> {
    let sqlite_failed = |error| StoreError::sqlite(path, &error);
    let change = database.transaction().map_err(sqlite_failed)?;
    schema::create(&change).map_err(sqlite_failed)?;
    for bucket in folders(&home.s3())? {
        let name = bucket.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        change
            .execute("INSERT INTO buckets (name, made) VALUES (?, ?)", params![name, now_ms()])
            .map_err(sqlite_failed)?;
        objects(&change, home, &name, "", &bucket).map_err(|error| error.of(path))?;
    }
    notifications(&change, home).map_err(|error| error.of(path))?;
    change.commit().map_err(sqlite_failed)
}

/// Either of two.
enum Failed {
    Store(StoreError),
    Sqlite(rusqlite::Error),
}

impl Failed {
    fn of(self, path: &Path) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sqlite(error) => StoreError::sqlite(path, &error),
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// The objects in a folder.
fn objects(
    change: &Transaction<'_>,
    home: &Home,
    bucket: &str,
    parent: &str,
    folder: &Path,
) -> Result<(), Failed> {
    let failed = |error: io::Error| StoreError::io(folder, &error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let key = format!("{parent}{name}");
        let kind = path.symlink_metadata().map_err(failed)?.file_type();
        if kind.is_dir() {
            objects(change, home, bucket, &(key + "/"), &path)?;
        } else if let Some((found, md5)) =
            take_in::read(&path).map_err(|error| StoreError::io(&path, &error))?
        {
            let (etag, head) = known(home, bucket, &key, &md5);
            let (stamp, size) = (stamp(&found), found.len());
            let object =
                Object { size, etag, md5, modified: stamp / 1_000_000, head, place: Place::Key, stamp };
            insert(change, bucket, &key, &object)?;
        }
    }
    Ok(())
}

/// ETag and head as the files beside say. What they say of other bytes (whoever died between two writes left such) does not count.
fn known(home: &Home, bucket: &str, key: &str, md5: &str) -> (String, Head) {
    let read = |kind| -> Value {
        let bytes = fs::read(sidecar(home, bucket, key, kind)).unwrap_or_default(); // most have none
        serde_json::from_slice(&bytes).unwrap_or_default()
    };
    let said = read("internal")["e_tag"].as_str().unwrap_or_default().to_owned();
    // the ETag of an upload in parts does not tell of the bytes
    let etag = if said.contains('-') { said } else { md5.to_owned() };
    let attributes = read("metadata");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let names = [
        ("content_type", "content-type"),
        ("content_encoding", "content-encoding"),
        ("content_disposition", "content-disposition"),
        ("content_language", "content-language"),
        ("cache_control", "cache-control"),
        ("expires", "expires"),
        ("website_redirect_location", "x-amz-website-redirect-location"),
    ];
    let headers =
        names.into_iter().filter_map(|(old, name)| Some((name.to_owned(), text(&attributes[old])?)));
    let metadata = attributes["user_metadata"].as_object().into_iter().flatten();
    let metadata = metadata.filter_map(|(name, value)| Some((name.clone(), text(value)?)));
    (etag, Head { headers: headers.collect(), metadata: metadata.collect(), checksums: BTreeMap::new() })
}

fn sidecar(home: &Home, bucket: &str, key: &str, kind: &str) -> PathBuf {
    let (bucket, key) = (URL_SAFE_NO_PAD.encode(bucket), URL_SAFE_NO_PAD.encode(key));
    home.s3().join(format!(".bucket-{bucket}.object-{key}.{kind}.json"))
}

/// Notifications and dead letters. An announcement of an object that never came, and what died while it was written, is nothing.
fn notifications(change: &Transaction<'_>, home: &Home) -> Result<(), Failed> {
    for path in sorted(&home.root().join("queue"))? {
        let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let read = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let Some(message) = read else { continue };
        let stands = || {
            let text = |member: &str| message[member].as_str().unwrap_or_default().to_owned();
            home.s3().join(text("bucket")).join(text("key")).is_file()
        };
        if (extension == "json" || (extension == "intent" && stands()))
            && let Ok(message) = serde_json::from_value::<Message>(message.clone())
        {
            message.insert(change)?;
        }
    }
    for path in sorted(&home.root().join("dead-letters"))? {
        let read = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<DeadLetter>(&bytes).ok());
        read.map_or(Ok(()), |letter| letter.insert(change))?;
    }
    Ok(())
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(folder) {
            Err(error) if files::is_gone(&error) => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    read().map_err(|error| StoreError::io(folder, &error))
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = sorted(folder)?;
    found.retain(|path| path.is_dir());
    Ok(found)
}

/// Removes what the older version kept beside the objects, once the database has it, and leaves a file where that version wants a folder: it
/// would not know what stands here.
pub(super) fn remove_leftovers(home: &Home) {
    let (queue, letters) = (home.root().join("queue"), home.root().join("dead-letters"));
    if queue.is_dir() {
        // what cannot be removed does no harm, and the next start tries again
        let of_objects = |name: &str| name.starts_with(".bucket-") && name.ends_with(".json");
        remove_files(&home.s3(), of_objects);
        remove_files(&letters, |name| name.ends_with(".json"));
        remove_files(&queue, |name| [".json", ".intent", ".new"].iter().any(|end| name.ends_with(end)));
        let _ = fs::remove_dir(letters);
        let _ = fs::remove_dir(&queue);
    }
    if !queue.exists() {
        let _ = files::write(&queue, b"This home is kept by a newer version of monthend: use that.\n");
    }
}

fn remove_files(folder: &Path, is_ours: impl Fn(&str) -> bool) {
    for path in sorted(folder).unwrap_or_default() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && is_ours(&name) {
            let _ = fs::remove_file(path);
        }
    }
}
