//! Bills of months: one event, one loop over months, one report, for every function that fetches them.
//!
//! A provider adds what its bills are called ([`Bills::bill`]), what would be fetched ([`Bills::preview`]) and how it is ([`Bills::fetch`]). What it
//! has for a dry run reads: only [`Bills::fetch`] is given a bucket that can be written to.
//!
//! ```
//! async fn look(bucket: &cloud::bucket::BucketReader) {
//!     let _ = bucket.etag("raw/aws/1/2026-10/x").await;
//! }
//! ```
//!
//! A reader has nothing that writes:
//!
//! ```compile_fail,E0599
//! async fn look(bucket: &cloud::bucket::BucketReader) {
//!     let _ = bucket.replace("raw/aws/1/2026-10/x", Vec::new(), "text/plain", None).await;
//! }
//! ```
//!
//! ```compile_fail,E0599
//! async fn look(ledger: &cloud::ledger::LedgerReader, month: billing::month::BillingMonth, sending: &cloud::ledger::Sending) {
//!     let _ = ledger.note_sending(month, sending, None).await;
//! }
//! ```

mod report;

use std::fmt::{Debug, Display};
use std::future::Future;

use billing::ids::InvalidId;
use billing::keys::{InvoiceKey, RawDocumentKey};
use billing::manifest::Manifest;
use billing::month::{BillingMonth, NotBegun};
use billing::period::Finality;
use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aws::Aws;
use crate::bucket::{Bucket, BucketError, BucketReader};
use crate::events::{InvalidWish, Wish};
use crate::invocation::Function;
use crate::ledger::Ledger;
use crate::vars::{VarError, Vars};

pub use report::{Asked, Failed, FetchReport, FetchState, FetchedBill};

/// A provider whose bills come month by month. Whatever it holds reads.
pub trait Bills: Sized + Send + Sync {
    /// The function's name, which is its folder's.
    const NAME: &'static str;
    /// Whether a month whose final bill is kept is left alone by the schedule.
    const LEAVES_FINAL: bool;
    /// Where bills come from, which is found out when a run begins.
    type Source: Send + Sync;
    /// What is told of a bill beside what all bills have.
    type Detail: Serialize + DeserializeOwned + Debug + Send + Sync + 'static;
    /// Why there is no bill of a month.
    type MonthError: Display + Send;
    /// Why nothing could be done at all.
    type Error: Display + Send;

    /// Reads the configuration and builds the clients.
    fn connect(vars: &Vars, aws: &Aws) -> impl Future<Output = Result<Self, Self::Error>> + Send;

    /// How many ended months are looked at, beside the running one.
    fn ended_months(&self) -> usize;

    /// How many months are fetched at once.
    fn concurrency(&self) -> usize {
        1
    }

    /// Begins a run: whatever is wrong with every month is told once.
    fn open(&self) -> impl Future<Output = Result<Self::Source, Self::Error>> + Send;

    /// The name of the bill of a month.
    ///
    /// # Errors
    /// [`InvalidId`].
    fn bill(&self, source: &Self::Source, month: BillingMonth) -> Result<InvoiceKey, InvalidId>;

    /// What would be fetched of a month; nothing if there are no costs.
    fn preview(
        &self,
        source: &Self::Source,
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Option<FetchedBill<Self::Detail>>, Self::MonthError>> + Send;

    /// Fetches a month and keeps it, its manifest last; nothing if there are no costs.
    fn fetch(
        &self,
        source: &Self::Source,
        bucket: &Bucket,
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Option<FetchedBill<Self::Detail>>, Self::MonthError>> + Send;

    /// An error that every other month would have, too, ends the run.
    ///
    /// # Errors
    /// The same error, if it is of its month alone.
    fn of_all(error: Self::MonthError) -> Result<Self::Error, Self::MonthError>;
}

/// The function that fetches a provider's bills.
pub struct Fetch<B> {
    bills: B,
    bucket: Bucket,
    ledger: Ledger,
}

/// Why nothing could be done; what goes wrong with one month is in the report.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum FetchError<E> {
    #[error(transparent)]
    Var(#[from] VarError),
    #[error(transparent)]
    Event(#[from] InvalidWish),
    #[error(transparent)]
    NotBegun(#[from] NotBegun),
    #[error("{0}")]
    Provider(E),
}

/// Which months.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    /// Without one, all months that are due.
    month: Option<BillingMonth>,
    dry_run: bool,
}

impl Wish for Wanted {
    const GIVE: &'static str = "{\"month\": \"YYYY-MM\"} or {}, with \"dry_run\": true to look only";
}

impl<B: Bills> Function for Fetch<B> {
    const NAME: &'static str = B::NAME;
    type Report = FetchReport<B::Detail>;
    type Error = FetchError<B::Error>;

    async fn connect(vars: &Vars) -> Result<Self, Self::Error> {
        let bucket = vars.require("DATA_BUCKET", "the name of the data bucket")?;
        let table = vars.require("STATE_TABLE", "the name of the ledger's table")?;
        let aws = Aws::connect(vars).await?;
        let bills = B::connect(vars, &aws).await.map_err(FetchError::Provider)?;
        Ok(Self { bills, bucket: Bucket::new(&aws, bucket), ledger: Ledger::new(&aws, table) })
    }

    async fn handle(&self, event: &Value, now: DateTime<Utc>) -> Result<Self::Report, Self::Error> {
        let Wanted { month, dry_run } = Wanted::read(event)?;
        let wanted = month.map(|month| month.begun(now)).transpose()?;
        let mut report = FetchReport::new(dry_run);
        let source = self.bills.open().await.map_err(FetchError::Provider)?;
        let months = match wanted {
            Some(month) => vec![month],
            None => self.due(&source, now, &mut report).await,
        };
        let fetches = months.into_iter().map(async |month| {
            let fetched = match dry_run {
                true => self.bills.preview(&source, month, now).await,
                false => self.bills.fetch(&source, &self.bucket, month, now).await,
            };
            (month, fetched)
        });
        let mut done = stream::iter(fetches).buffer_unordered(self.bills.concurrency());
        while let Some((month, fetched)) = done.next().await {
            match fetched {
                Ok(Some(bill)) => report.add(bill),
                Ok(None) => report.empty.push(month),
                Err(error) => match B::of_all(error) {
                    Ok(error) => return Err(FetchError::Provider(error)),
                    Err(error) => report.fail(Asked::Month(month), &error),
                },
            }
        }
        report.sort();
        Ok(report)
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl<B: Bills> Fetch<B> {
    /// The running month and those before it, oldest first, without those that need not be fetched again.
    async fn due(
        &self,
        source: &B::Source,
        now: DateTime<Utc>,
        report: &mut FetchReport<B::Detail>,
    ) -> Vec<BillingMonth> {
        let months = BillingMonth::recent(now, self.bills.ended_months());
        if !B::LEAVES_FINAL {
            return months;
        }
        let mut due = Vec::new();
        for month in months {
            match self.is_final(source, month).await {
                Ok(true) => report.settled.push(month),
                Ok(false) => due.push(month),
                Err(error) => report.fail(Asked::Month(month), &error),
            }
        }
        due
    }

    async fn is_final(&self, source: &B::Source, month: BillingMonth) -> Result<bool, NoLook> {
        let bill = self.bills.bill(source, month)?;
        Ok(has_final(self.bucket.reader(), &bill).await?)
    }
}

/// Why it is not known whether a month is final.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum NoLook {
    Id(#[from] InvalidId),
    Bucket(#[from] BucketError),
}

/// Whether a final bill is kept. A manifest that cannot be read proves nothing: the month is fetched.
async fn has_final(bucket: &BucketReader, bill: &InvoiceKey) -> Result<bool, BucketError> {
    for kept in bucket.list(&bill.raw_folder()).await? {
        let key = RawDocumentKey::parse(&kept.key).ok();
        let Some(key) = key.filter(|key| key.extension == Manifest::EXTENSION) else { continue };
        let Some(object) = bucket.get(&kept.key, None).await? else { continue };
        if Manifest::read(&key, &object.bytes).is_ok_and(|manifest| manifest.finality == Finality::Final) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_schedule_and_a_person() {
        let read = |event| Wanted::read(&event).unwrap();
        let scheduled =
            json!({"scheduled_time": "2026-11-02T07:00:00Z", "execution_id": "x", "attempt": "1"});
        assert_eq!(read(scheduled), Wanted::default());
        assert_eq!(read(json!({"dry_run": true})), Wanted { month: None, dry_run: true });
        let october = Some("2026-10".parse().unwrap());
        assert_eq!(read(json!({"month": "2026-10"})), Wanted { month: october, dry_run: false });
    }

    #[test]
    fn misspelt_events_are_refused() {
        for (event, part) in [
            (json!({"mounth": "2026-10"}), "unknown field `mounth`"),
            (json!({"month": "october"}), "'october' is not a month"),
            (json!({"month": "202610"}), "'202610' is not a month"),
            (json!({"month": "2026-10", "dry-run": true}), "unknown field `dry-run`"),
            (json!([1, 2]), "not understood"),
        ] {
            let error = Wanted::read(&event).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
