//! The tables of the store.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::database::{Database, StoreError};

/// The version of the tables.
const VERSION: i64 = 1;

const TABLES: &str = "
    CREATE TABLE buckets (name TEXT PRIMARY KEY, made INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE objects (
        bucket TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL, md5 TEXT NOT NULL, modified INTEGER NOT NULL,
        head TEXT NOT NULL, place TEXT, stamp INTEGER NOT NULL, PRIMARY KEY (bucket, key)
    ) WITHOUT ROWID;
    CREATE TABLE moves (
        bucket TEXT NOT NULL, key TEXT NOT NULL, file TEXT, bytes BLOB, place TEXT, inode INTEGER NOT NULL DEFAULT 0,
        begun INTEGER NOT NULL, PRIMARY KEY (bucket, key)
    );
    CREATE TABLE uploads (id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, head TEXT NOT NULL, begun INTEGER NOT NULL);
    CREATE TABLE parts (
        upload TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, md5 TEXT NOT NULL, modified INTEGER NOT NULL,
        checksums TEXT NOT NULL, file TEXT NOT NULL, PRIMARY KEY (upload, number)
    ) WITHOUT ROWID;
    CREATE TABLE notifications (
        id INTEGER PRIMARY KEY AUTOINCREMENT, function TEXT NOT NULL, event TEXT NOT NULL, attempts INTEGER NOT NULL
    );
    CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT, function TEXT NOT NULL, event TEXT NOT NULL, error TEXT NOT NULL, outcome TEXT NOT NULL,
        attempts INTEGER NOT NULL, given_up_at TEXT NOT NULL
    );
";

/// The columns of an object, in the order in which it is read.
pub(super) const COLUMNS: &str = "size, etag, md5, modified, head, place, stamp";
/// How many those are.
pub(super) const COLUMN_COUNT: usize = 7;

/// Makes the tables in a new file.
pub(super) fn create(database: &Connection) -> rusqlite::Result<()> {
    database.execute_batch(TABLES)?;
    database.pragma_update(None, "user_version", VERSION)
}

/// Whether this version of the program knows the file.
pub(super) fn check(database: &Database) -> Result<(), StoreError> {
    let version: i64 = database.read(|file| file.query_row("PRAGMA user_version", [], |row| row.get(0)))?;
    if version == VERSION {
        return Ok(());
    }
    let path = database.path().to_owned();
    if version == 0 {
        return Err(StoreError::Damaged { path, error: "it is empty".into() });
    }
    let error = format!("it is of version {version}, and this program knows {VERSION}: use a newer one");
    Err(StoreError::Other { path, error })
}

/// What is said of an object beside its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Head {
    /// Standard headers by their names: `content-type`, `cache-control`, ...
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    /// What the user says (`x-amz-meta-...`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
    /// Checksums of the bytes by algorithm (`crc32`, ...), in Base64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) checksums: BTreeMap<String, String>,
}

impl Head {
    pub(super) fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default() // it was written by `text`
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // texts always serialise
    }
}
