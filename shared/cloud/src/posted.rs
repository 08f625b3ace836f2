//! Whether the ledger knows every run of bills that was posted.
//!
//! A ledger that was restored to an older state would post a month again. So the bucket says, too, what was posted: a mark for each run, which
//! is written after the ledger names it and before anything else of the run is visible. A run's document proves nothing, as it is there before the run is posted.
//! Runs of versions that wrote no marks are known by what was published of them.

use std::collections::{BTreeMap, BTreeSet};

use billing::bills::ChainRun;
use billing::canonical;
use billing::keys::{BillsKey, POSTED, posted_document, posted_mark};
use billing::month::BillingMonth;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use crate::bucket::{Bucket, BucketError, BucketReader, Written};
use crate::ledger::{LedgerError, LedgerReader, StoredChain};

/// How many calls at once.
const AT_ONCE: usize = 8;
/// A message names no more documents.
const MOST_NAMED: usize = 5;

/// Why it cannot be said.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum PostedError {
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("what says that a run was posted cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// The chain, beside what the bucket says of it.
#[derive(Clone, Debug)]
pub struct Posted {
    /// As the ledger has it.
    pub stored: StoredChain,
    /// Runs that were posted and that the ledger does not know, by their documents: several where the bucket does not say which of them it was.
    pub unknown: BTreeSet<String>,
    marks: BTreeSet<String>,
}

impl Posted {
    /// Compares bucket and ledger. What the bucket says is listed first, so that a run that is posted meanwhile is no difference.
    ///
    /// # Errors
    /// [`PostedError`].
    pub async fn look(bucket: &BucketReader, ledger: &LedgerReader) -> Result<Self, PostedError> {
        let marks: BTreeSet<String> =
            bucket.list(POSTED).await?.into_iter().map(|object| object.key).collect();
        let stored = ledger.chain().await?;
        let known: BTreeSet<&str> = stored.chain.0.iter().map(|run| run.document.as_str()).collect();
        let marked = marks.iter().filter_map(|mark| posted_document(mark));
        let unknown: BTreeSet<String> =
            marked.filter(|document| !known.contains(document.as_str())).collect();
        let posted = Self { stored, unknown, marks };
        // as long as a run has no mark, or there is none, a version before may have posted what the ledger does not know
        if posted.marks.is_empty() || posted.unmarked().next().is_some() {
            return Box::pin(posted.with_published(bucket, ledger)).await;
        }
        Ok(posted)
    }

    /// Why nothing may be billed by this ledger.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        if self.unknown.is_empty() {
            return None;
        }
        let named: Vec<&str> = self.unknown.iter().take(MOST_NAMED).map(String::as_str).collect();
        let more = self.unknown.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!(
            "the ledger is older than the bucket: it does not know runs that were posted: {}{more}. Was it restored or copied? Nothing is billed or \
             sent by it, as that would bill these again: restore the newer ledger (on AWS by point-in-time recovery, to a time after the last of them; on a \
             laptop dynamodb.sqlite from the newest backup), or the bucket and the ledger from the same backup",
            named.join(", ")
        ))
    }

    /// Runs of the chain that have no mark.
    fn unmarked(&self) -> impl Iterator<Item = (usize, &ChainRun, String)> {
        let runs = self.stored.chain.0.iter().enumerate();
        let runs = runs.filter_map(|(at, run)| Some((at + 1, run, posted_mark(&run.document)?)));
        runs.filter(|(_, _, mark)| !self.marks.contains(mark))
    }

    /// Adds what was published of runs that the ledger does not know.
    async fn with_published(self, bucket: &BucketReader, ledger: &LedgerReader) -> Result<Self, PostedError> {
        let published = published(bucket).await?;
        // what was posted before that listing is in the ledger by now
        let stored = ledger.chain().await?;
        let mut unknown = self.unknown;
        for (month, number) in published {
            let newest = stored.chain.newest(month).map_or(0, |run| run.run.number);
            if number <= newest {
                continue;
            }
            let runs = BillsKey { month }.runs();
            for object in bucket.list(&runs).await? {
                let of = object.key.strip_prefix(&runs).and_then(|name| name.split('-').next()?.parse().ok());
                if of.is_some_and(|of: u32| of > newest && of <= number) {
                    unknown.insert(object.key);
                }
            }
            if !unknown.iter().any(|document| document.starts_with(&runs)) {
                unknown.insert(format!("{runs}{number}-*.json (which is gone)"));
            }
        }
        Ok(Self { stored, unknown, marks: self.marks })
    }
}

/// The newest run of each month of which something was published.
async fn published(bucket: &BucketReader) -> Result<BTreeMap<BillingMonth, u32>, PostedError> {
    let months = bucket.folders("bills/").await?.into_iter().filter_map(|folder| {
        let month: BillingMonth = folder.strip_prefix("bills/")?.trim_end_matches('/').parse().ok()?;
        Some((folder, month))
    });
    let newest = stream::iter(months).map(async |(folder, month)| {
        // documents of the first run stand in the month's folder, those of later ones in a folder with the number
        let folders = bucket.folders(&folder).await?;
        let names = folders.iter().filter_map(|of| of.strip_prefix(&folder));
        let numbers = names.map(|name| match name.trim_end_matches('/') {
            "runs" => 0,
            name => name.parse().unwrap_or(1),
        });
        Ok::<_, PostedError>((month, numbers.max().unwrap_or(0)))
    });
    newest.buffered(AT_ONCE).try_collect().await
}

/// What says that a run was posted.
#[derive(Serialize)]
struct Mark<'r> {
    /// Its place in the chain, from 1.
    place: usize,
    #[serde(flatten)]
    run: &'r ChainRun,
}

/// Marks every run of the chain that has no mark yet.
///
/// # Errors
/// [`PostedError`].
pub async fn mark(bucket: &Bucket, chain: &StoredChain) -> Result<(), PostedError> {
    let marks = bucket.list(POSTED).await?.into_iter().map(|object| object.key).collect();
    let posted = Posted { stored: chain.clone(), unknown: BTreeSet::new(), marks };
    let mut new = Vec::new();
    for (place, run, mark) in posted.unmarked() {
        new.push((mark, canonical::to_json(&Mark { place, run })?));
    }
    // there are many only where a version before posted them
    let marked = stream::iter(new).map(|(mark, bytes)| async move {
        bucket.put_new(&mark, bytes, "application/json", [].into()).await
    });
    let marked: Vec<Written> = marked.buffered(AT_ONCE).try_collect().await?;
    if !marked.is_empty() {
        tracing::info!(runs = marked.len(), "marked as posted");
    }
    Ok(())
}
