//! Usage that comes: the snapshot that an event names becomes the newest of its month, unless a later one is known.

use billing::keys::{UsageKey, held_reason};
use billing::metering::first_month;
use billing::month::NotBegun;
use chrono::{DateTime, Utc};
use cloud::bucket::Object;
use cloud::events::StoredObject;
use cloud::ledger::UsageRecord;
use serde_json::json;

use crate::books::read_usage;
use crate::error::MeterError;
use crate::report::MeterReport;
use crate::{App, Came};

impl App {
    /// Takes note of the usage that the event announces. A document that is no snapshot is held; the others go on.
    pub(crate) async fn register(
        &self,
        objects: &[StoredObject],
        report: &mut MeterReport,
        now: DateTime<Utc>,
    ) -> Result<Came, MeterError> {
        let mut came = Came::new();
        for object in objects {
            match self.register_one(object, now).await {
                Ok(key) => {
                    came.entry(key.plan).or_default().insert(key.month);
                }
                Err(error @ MeterError::Held { .. }) => {
                    self.hold(&object.key, &error).await?;
                    report.held.push(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(came)
    }

    async fn register_one(&self, object: &StoredObject, now: DateTime<Utc>) -> Result<UsageKey, MeterError> {
        if let Some(other) = object.bucket.as_deref().filter(|bucket| *bucket != self.bucket.name()) {
            return Err(MeterError::OtherBucket(other.to_owned(), self.bucket.name().to_owned()));
        }
        let key = UsageKey::parse(&object.key)?;
        let early = |error: NotBegun| MeterError::Held { key: object.key.clone(), why: error.to_string() };
        key.month.begun(now).map_err(early)?;
        let stored = self.bucket.get(&object.key, object.version.as_deref()).await?;
        let stored = stored.ok_or_else(|| MeterError::NoSnapshot { key: object.key.clone() })?;
        let usage = read_usage(&key, &stored.bytes)?;
        if self.ledger.cursor(&key.plan).await?.is_none() {
            // put by hand, before the fetch function has ever run for this plan
            let plan = self.plans.plan(key.plan.clone(), self.bucket.reader()).await?;
            let before_first = first_month(plan.start_month, now).previous();
            self.ledger.begin_metering(&key.plan, before_first, now).await?;
        }
        let fetched_at = fetched_at(&stored).unwrap_or(now);
        let record = UsageRecord::of(&usage.snapshot, &key.revision, fetched_at);
        self.ledger.register_usage(&key.plan, &record).await?;
        Ok(key)
    }

    async fn hold(&self, key: &str, reason: &MeterError) -> Result<(), MeterError> {
        let why = json!({"document": key, "reason": reason.to_string(), "software": billing::SOFTWARE});
        self.bucket
            .overwrite(&held_reason(key), serde_json::to_vec_pretty(&why)?, "application/json")
            .await?;
        Ok(())
    }
}

/// When the export was read: as the fetch function noted it, else when the object was written.
fn fetched_at(stored: &Object) -> Option<DateTime<Utc>> {
    let noted = stored.metadata.get("fetched-at").and_then(|text| text.parse().ok());
    noted.or(stored.last_modified)
}
