//! Where the histories of datastores are kept, and how they are read: sorted files of one line a datastore, merged while they are read.
//!
//! | key | what |
//! |---|---|
//! | `datastores/**.jsonl` | the events, as they came |
//! | `state/datastores/parts/{revision}.jsonl` | the histories that one of these files makes; its name is that file's |
//! | `state/datastores/base/{generation}-{revision}.jsonl` | the union of an earlier base and of parts that are gone since |
//! | `state/datastores/current.json` | which base counts |
//!
//! Everything is a set of events, so that it does no harm to read an event from two files. A reader lists the parts before it looks which
//! base counts: a part that is gone when it is opened is in a newer base, and the reader begins again. However many parts wait, they are
//! read: small ones whole, as far as memory is given to them, the others as streams, so many at a time, which are merged into temporary files
//! first where there are more.

mod aside;
mod lines;
mod merge;
mod report;

use std::collections::BTreeSet;

use billing::usage::{History, Life, LineError, Tolerance};
use futures::stream::{StreamExt as _, TryStreamExt as _, iter};
use serde::{Deserialize, Serialize};

use crate::bucket::{BucketError, BucketReader, Listed};
use crate::vars::{VarError, Vars};
use aside::{few, put_aside};
use lines::Lines;

pub use merge::{Group, Histories};
pub use report::{BegunReport, Forgotten, Report, ReportFormat, ReportStream};

/// Where files of events arrive.
pub const EVENTS: &str = "datastores/";
/// Where the reasons stand why files are held.
pub const HELD: &str = "held/datastores/";
/// Histories of single files.
pub const PARTS: &str = "state/datastores/parts/";
/// Histories of all files before.
pub const BASES: &str = "state/datastores/base/";
/// Which base counts.
pub const CURRENT: &str = "state/datastores/current.json";

/// Parts of at most this size are read whole, so that there are not more open connections than there is sense in.
const SMALL_PART_BYTES: i64 = 256 * 1024;
/// That much of them; what is more is streamed.
const SMALL_PARTS_BYTES: i64 = 24 * 1024 * 1024;
/// Larger ones that are open at once; of more, so many at a time are put aside on the disk.
const MOST_STREAMS: usize = 250;
/// Parts read or opened at once.
const CONCURRENCY: usize = 32;
/// How often a reader may find that a part went into a base while it looked.
const ROUNDS: usize = 5;

/// Which base counts, and what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// How often a base was made.
    pub generation: u64,
    /// Its key; nothing before there is one.
    pub base: Option<String>,
    /// Datastores in it.
    pub datastores: u64,
    /// Events in it.
    pub events: u64,
    /// Datastores deleted before this moment (RFC 3339) are not in it any more.
    pub purged_before: String,
}

/// What can be read of datastores.
#[derive(Clone, Debug)]
pub struct Datastores {
    bucket: BucketReader,
    tolerance: Tolerance,
}

/// Histories that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DatastoresError {
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A line that this software did not write like that.
    #[error("{key}, line {line}: {error}; the file is kept by record-usage and not meant to be edited")]
    Line {
        /// Which file.
        key: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        error: LineError,
    },
    /// The document that says which base counts.
    #[error("{CURRENT} cannot be read: {0}")]
    Current(serde_json::Error),
    /// A base that is not there.
    #[error("there is no {0}, which {CURRENT} names")]
    NoBase(String),
    /// No room for what waits to be put together.
    #[error(
        "so many files of events wait to be put together that a temporary file is needed, and that failed: {0}; make room in the temporary \
         folder, or invoke record-usage with {{}}, then try again"
    )]
    Disk(std::io::Error),
    /// Others were quicker again and again.
    #[error("the files of datastores were put together again and again while they were read; try again")]
    Contention,
    /// A figure that cannot be written.
    #[error("the report cannot be written: {0}")]
    Write(String),
}

/// The files that hold all events at one time.
#[derive(Clone, Debug)]
pub struct Files {
    /// Which base counts, with the ETag of the document that says so.
    pub current: Option<(Current, String)>,
    /// Parts, in the order of their keys.
    pub parts: Vec<Listed>,
}

impl Datastores {
    /// Those of a bucket.
    #[must_use]
    pub fn new(bucket: BucketReader) -> Self {
        Self { bucket, tolerance: Tolerance::default() }
    }

    /// The same, with the tolerance that `EVENT_TOLERANCE` says: how far apart events may be that crossed on their way, default `2 s`.
    ///
    /// # Errors
    /// [`VarError`] if it is none.
    pub fn tolerant(self, vars: &Vars) -> Result<Self, VarError> {
        Ok(Self { tolerance: vars.parsed("EVENT_TOLERANCE", Tolerance::default())?, ..self })
    }

    /// The life that a history tells until now; nothing if it has not begun.
    #[must_use]
    pub fn life<'h>(&self, history: &'h History<'_>, now_ms: i64) -> Option<Life<'h>> {
        Life::of(history, now_ms, self.tolerance)
    }

    /// The files that hold all events now.
    ///
    /// # Errors
    /// [`DatastoresError`].
    pub async fn files(&self) -> Result<Files, DatastoresError> {
        let parts = self.bucket.list(PARTS).await?; // before the base, see above
        let current = match self.bucket.get(CURRENT, None).await? {
            Some(object) => {
                let current = serde_json::from_slice(&object.bytes).map_err(DatastoresError::Current)?;
                Some((current, object.etag))
            }
            None => None,
        };
        Ok(Files { current, parts })
    }

    /// All histories, merged while they are read.
    ///
    /// # Errors
    /// [`DatastoresError`].
    pub async fn histories(&self) -> Result<Histories, DatastoresError> {
        for _ in 0..ROUNDS {
            if let Some(histories) = self.open(&self.files().await?).await? {
                return Ok(histories);
            }
        }
        Err(DatastoresError::Contention)
    }

    /// The histories in these files; nothing if one of them is gone.
    ///
    /// # Errors
    /// [`DatastoresError`].
    pub async fn open(&self, files: &Files) -> Result<Option<Histories>, DatastoresError> {
        let mut budget = SMALL_PARTS_BYTES;
        let (small, large): (Vec<Listed>, Vec<Listed>) = files.parts.iter().cloned().partition(|part| {
            let fits = part.size_bytes <= SMALL_PART_BYTES.min(budget);
            budget -= if fits { part.size_bytes } else { 0 };
            fits
        });
        let mut sources = Vec::new();
        for group in large.chunks(MOST_STREAMS) {
            let opened = at_once(group.iter().cloned().map(|part| self.streamed(part.key))).await?;
            let Some(opened) = opened else { return Ok(None) };
            if large.len() <= MOST_STREAMS {
                sources = opened;
            } else {
                sources.push(put_aside(opened).await?);
            }
        }
        let mut sources = few(sources).await?;
        let small = at_once(small.into_iter().map(|part| self.whole(part.key))).await?;
        let Some(small) = small else { return Ok(None) };
        sources.extend(small);
        // last: its stream would else wait for the others
        if let Some(base) = files.current.as_ref().and_then(|(current, _)| current.base.as_ref()) {
            let Some(base) = self.streamed(base.clone()).await? else { return Ok(None) };
            sources.push(base);
        }
        Ok(Some(Histories::merge(sources).await?))
    }

    async fn streamed(&self, key: String) -> Result<Option<Lines>, DatastoresError> {
        let body = self.bucket.open(&key).await?;
        Ok(body.map(|body| Lines::streamed(key, body)))
    }

    async fn whole(&self, key: String) -> Result<Option<Lines>, DatastoresError> {
        let object = self.bucket.get(&key, None).await?;
        Ok(object.map(|object| Lines::whole(key, object.bytes)))
    }

    /// Files that are held: their events are in no report.
    ///
    /// # Errors
    /// [`DatastoresError`].
    pub async fn held(&self) -> Result<BTreeSet<String>, DatastoresError> {
        let listed = self.bucket.list(HELD).await?;
        let file = |listed: Listed| {
            let key = listed.key.strip_prefix("held/")?.strip_suffix(".reason.json")?;
            Some(key.to_owned())
        };
        Ok(listed.into_iter().filter_map(file).collect())
    }
}

/// Files opened several at once, in their order; nothing if one of them is gone.
async fn at_once<F: Future<Output = Result<Option<Lines>, DatastoresError>>>(
    files: impl Iterator<Item = F>,
) -> Result<Option<Vec<Lines>>, DatastoresError> {
    let opened: Vec<Option<Lines>> = iter(files).buffered(CONCURRENCY).try_collect().await?;
    Ok(opened.into_iter().collect())
}
