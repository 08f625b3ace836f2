//! Omnistrate's export: `omnistrate-metering/{service}/{environment}/{plan}/{YYYY}/{MM}/.../*.json`, and a marker that says until
//! when it is complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use billing::metering::{FileDigest, Plan, UsageSnapshot, UsageTotals};
use billing::month::BillingMonth;
use bytes::Bytes;
use cloud::bucket::{BucketError, BucketReader, Listed};
use futures::stream::{self, Stream, TryStreamExt};
use tokio::task::JoinSet;

use crate::MonthError;

/// The folder of the export.
const ROOT: &str = "omnistrate-metering/";
/// Until when the export is complete.
pub(crate) const MARKER: &str = "omnistrate-metering/last_success_export.json";
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
        let mut files = std::pin::pin!(self.files(plan, month));
        let mut digest = FileDigest::default();
        while let Some(file) = files.try_next().await? {
            digest.add(&file.key, &file.etag);
        }
        Ok(digest.finish())
    }

    /// Reads and sums the month's files: many at once, counted in the order of their keys, so that the digest is theirs. The first that
    /// cannot be read or counted ends it.
    pub(crate) async fn count(&self, plan: &Plan, month: BillingMonth) -> Result<UsageSnapshot, MonthError> {
        // a task of its own is woken without a system call for each file; the set ends it if nobody waits any more
        let mut task = JoinSet::new();
        let (export, plan) = (self.clone(), plan.clone());
        task.spawn(async move { export.count_all(plan, month).await });
        match task.join_next().await {
            Some(Ok(counted)) => counted,
            Some(Err(error)) => Err(MonthError::Task(error.to_string())),
            None => Err(MonthError::Task("it never began".into())),
        }
    }

    async fn count_all(&self, plan: Plan, month: BillingMonth) -> Result<UsageSnapshot, MonthError> {
        // boxed: the future of a call to S3 is large, and a stream moves its futures
        let reads = self.files(&plan, month).map_ok(|file| Box::pin(self.read(file)));
        let mut files = std::pin::pin!(reads.try_buffered(self.concurrency));
        let mut totals = UsageTotals::new(plan.clone(), month);
        while let Some((file, bytes)) = files.try_next().await? {
            totals.add_file(&file.key, &file.etag, &bytes)?;
        }
        Ok(totals.finish()?)
    }

    /// The files of a month in the order of their keys, listed as they are needed. How deep they stand is not our concern.
    fn files(&self, plan: &Plan, month: BillingMonth) -> impl Stream<Item = Result<Listed, MonthError>> {
        let pages = self.bucket.pages(&format!("{ROOT}{}", plan.export_folder(month)));
        let pages = stream::try_unfold(pages, async |mut pages| {
            Ok::<_, MonthError>(
                pages.next().await?.map(|page| (stream::iter(page.into_iter().map(Ok)), pages)),
            )
        });
        pages.try_flatten().try_filter(|file| std::future::ready(file.key.ends_with(".json")))
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
