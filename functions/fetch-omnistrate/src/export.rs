//! Omnistrate's export: `omnistrate-metering/{service}/{environment}/{plan}/{YYYY}/{MM}/.../*.json`, and a marker that says until
//! when it is complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use billing::metering::{FileDigest, Plan, UsageSnapshot, UsageTotals};
use billing::month::BillingMonth;
use bytes::Bytes;
use cloud::bucket::{BucketError, BucketReader, Listed, Pages};
use futures::stream::{self, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::MonthError;

/// The folder of the export.
const ROOT: &str = "omnistrate-metering/";
/// Until when the export is complete.
pub(crate) const MARKER: &str = "omnistrate-metering/last_success_export.json";
/// Shares of files that wait to be read: together as many as one page of a listing.
const SHARES_AHEAD: usize = 10;
/// Files of one share.
const SHARE: usize = 100;
/// An hour of one subscription is a few hundred bytes; many are in memory at once.
const LARGEST_FILE_BYTES: i64 = 8 * 1024 * 1024;

#[derive(Clone)]
pub(crate) struct Export {
    bucket: BucketReader,
    concurrency: usize,
    /// Objects read since the start, for the log.
    reads: Arc<AtomicU64>,
}

impl Export {
    pub(crate) fn new(bucket: BucketReader, concurrency: usize) -> Self {
        Self { bucket, concurrency, reads: Arc::default() }
    }

    /// Objects read since the last call.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.swap(0, Ordering::Relaxed)
    }

    /// The marker, if there is one.
    pub(crate) async fn marker(&self) -> Result<Option<Vec<u8>>, BucketError> {
        Ok(self.bucket.get(MARKER, None).await?.map(|object| object.bytes.to_vec()))
    }

    /// What the month's files are, without reading them.
    pub(crate) async fn digest(&self, plan: &Plan, month: BillingMonth) -> Result<String, MonthError> {
        let mut pages = self.bucket.pages(&folder(plan, month));
        let mut digest = FileDigest::default();
        while next_page(&mut pages, &mut digest).await?.is_some() {}
        Ok(digest.finish())
    }

    /// Lists, reads and sums the month's files, many at once. How deep they stand is not our concern. The first that cannot be read or
    /// counted ends it.
    pub(crate) async fn count(&self, plan: &Plan, month: BillingMonth) -> Result<UsageSnapshot, MonthError> {
        let (send, receive) = mpsc::channel(SHARES_AHEAD);
        let (lister, counter, folder) = (self.clone(), self.clone(), folder(plan, month));
        let totals = UsageTotals::new(plan.clone(), month);
        // tasks, because these are woken without a system call for each file; the set ends them with this call
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { lister.list(&folder, send).await.map(Part::Listed) });
        tasks.spawn(async move { counter.count_files(receive, totals).await.map(Part::Counted) });
        let (mut digest, mut totals) = (None, None);
        while let Some(ended) = tasks.join_next().await {
            match ended.map_err(|error| MonthError::Task(error.to_string()))?? {
                Part::Listed(listed) => digest = Some(listed),
                Part::Counted(counted) => totals = Some(counted),
            }
        }
        // without the end of the listing nobody knows whether these were all files
        let (digest, totals) = digest.zip(totals).ok_or_else(|| MonthError::Task("the listing".into()))?;
        Ok(totals.finish(digest)?)
    }

    /// Lists the files page by page, while the one before is read.
    async fn list(&self, folder: &str, send: mpsc::Sender<Vec<Listed>>) -> Result<FileDigest, MonthError> {
        let mut pages = self.bucket.pages(folder);
        let mut digest = FileDigest::default();
        while let Some(mut files) = next_page(&mut pages, &mut digest).await? {
            while !files.is_empty() {
                let rest = files.split_off(files.len().min(SHARE));
                if send.send(files).await.is_err() {
                    // whoever counts has ended with an error, which says more than this one
                    return Ok(digest);
                }
                files = rest;
            }
        }
        Ok(digest)
    }

    /// Reads and counts files, in the order in which they come, until there are no more.
    async fn count_files(
        &self,
        shares: mpsc::Receiver<Vec<Listed>>,
        mut totals: UsageTotals,
    ) -> Result<UsageTotals, MonthError> {
        let files = stream::unfold(shares, |mut shares| async move {
            let files = shares.recv().await?;
            Some((stream::iter(files), shares))
        });
        // boxed: the future of a call to S3 is large, and a stream moves its futures
        let reads = files.flatten().map(|file| Box::pin(self.read(file)));
        let mut read = std::pin::pin!(reads.buffer_unordered(self.concurrency));
        while let Some(file) = read.next().await {
            let (file, bytes) = file?;
            totals.add_file(&file.key, &bytes)?;
        }
        Ok(totals)
    }

    async fn read(&self, file: Listed) -> Result<(Listed, Bytes), MonthError> {
        if file.size_bytes > LARGEST_FILE_BYTES {
            let (key, size_bytes) = (file.key, file.size_bytes);
            return Err(MonthError::TooLarge { key, size_bytes, limit_bytes: LARGEST_FILE_BYTES });
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        match self.bucket.get(&file.key, None).await? {
            // what is counted must be what the digest names
            Some(object) if object.etag == file.etag => Ok((file, object.bytes)),
            _ => Err(MonthError::Moved { key: file.key }),
        }
    }
}

/// What one of the tasks of a count came to.
enum Part {
    Listed(FileDigest),
    Counted(UsageTotals),
}

fn folder(plan: &Plan, month: BillingMonth) -> String {
    format!("{ROOT}{}", plan.export_folder(month))
}

/// The files of the next page, in the order of their keys, noted in the digest.
async fn next_page(
    pages: &mut Pages<'_>,
    digest: &mut FileDigest,
) -> Result<Option<Vec<Listed>>, MonthError> {
    let Some(mut files) = pages.next().await? else { return Ok(None) };
    files.retain(|file| file.key.ends_with(".json"));
    files.iter().for_each(|file| digest.add(&file.key, &file.etag));
    Ok(Some(files))
}
