//! From the answer to the bucket: the raw document, the driver made of it, or the note why there is none.
//!
//! The raw document stands before the driver that names it. What is to be written follows from the answer alone, and each write
//! is conditional on what was seen, so a process that dies between two of them leaves nothing that the next run does not settle.

use std::collections::HashMap;

use billing::keys;
use chrono::{DateTime, SecondsFormat, Utc};
use cloud::bucket::{Object, Written};
use cloud::publication::{Rounds, publish};
use serde_json::{Value, json};

use crate::App;
use crate::answer::Unusable;
use crate::driver::Made;
use crate::prometheus::Answer;
use crate::reader::{Looked, NotDone, SOURCE, Subject};
use crate::report::{DriverOutcome, ReportedDriver};

const JSON: &str = "application/json";

impl App {
    /// Asks for a driver and writes it, if it differs from what stands there. Where somebody else was quicker, it asks again: his answer may be
    /// newer.
    pub(crate) async fn driver(
        &self,
        subject: &Subject<'_>,
        now: DateTime<Utc>,
    ) -> Result<ReportedDriver, NotDone> {
        let mut rounds = Rounds::of(subject.key());
        loop {
            rounds.begin()?;
            if let Some(driver) = Box::pin(self.driver_once(subject, now)).await? {
                return Ok(driver);
            }
        }
    }

    /// The same; nothing if somebody else was quicker.
    async fn driver_once(
        &self,
        subject: &Subject<'_>,
        now: DateTime<Utc>,
    ) -> Result<Option<ReportedDriver>, NotDone> {
        // a document of a person ends it before anything is asked for
        let standing = self.reader.standing(subject).await?;
        Ok(Some(match self.reader.look(subject).await? {
            Looked::Answered(answer, Ok(made)) => {
                let raw = self.reader.raw_key(subject, &answer)?;
                let Some(outcome) = self.publish(subject, &made, &answer, &raw, standing, now).await? else {
                    return Ok(None);
                };
                self.release(subject).await?;
                ReportedDriver::of(subject, outcome, &made).made_of(&raw)
            }
            Looked::Answered(answer, Err(unusable)) => {
                let raw = self.reader.raw_key(subject, &answer)?;
                self.keep(&answer, &raw, now).await?;
                self.hold(subject, &unusable, Some(&raw)).await?;
                ReportedDriver::without(subject, DriverOutcome::Held, &unusable).made_of(&raw)
            }
            // it was whole when it was written, and the server has forgotten a part since
            Looked::NotCovered(unusable) if standing.is_some() => {
                ReportedDriver::without(subject, DriverOutcome::Kept, &unusable)
            }
            Looked::NotCovered(unusable) => {
                self.hold(subject, &unusable, None).await?;
                ReportedDriver::without(subject, DriverOutcome::Held, &unusable)
            }
        }))
    }

    /// Writes a driver if what stands there is still what was seen; nothing if it is not.
    async fn publish(
        &self,
        subject: &Subject<'_>,
        made: &Made,
        answer: &Answer,
        raw: &str,
        standing: Option<Object>,
        now: DateTime<Utc>,
    ) -> Result<Option<DriverOutcome>, NotDone> {
        let outcome = match &standing {
            None => DriverOutcome::Written,
            Some(object) if object.bytes == made.bytes => return Ok(Some(DriverOutcome::Unchanged)),
            Some(_) => DriverOutcome::Replaced,
        };
        let mut metadata = HashMap::from([
            (SOURCE.to_owned(), raw.to_owned()),
            ("fetched-at".to_owned(), time(now)),
            ("measure".to_owned(), self.reader.rules.measure.name().to_owned()),
            ("label".to_owned(), self.reader.rules.label.clone()),
        ]);
        if subject.partial {
            metadata.insert("partial".to_owned(), "true".to_owned());
        }
        self.keep(answer, raw, now).await?;
        let (seen, bytes) = (standing.map(|object| object.etag), made.bytes.clone());
        let written = self.bucket.replace_noted(&subject.key(), bytes, JSON, metadata, seen).await?;
        Ok((written == Written::Now).then_some(outcome))
    }

    /// The answer as it came, unless it stands there already.
    async fn keep(&self, answer: &Answer, raw: &str, now: DateTime<Utc>) -> Result<(), NotDone> {
        let metadata =
            HashMap::from([("fetched-at".to_owned(), time(now)), (SOURCE.to_owned(), answer.source.clone())]);
        self.bucket.put_new(raw, answer.document.clone(), JSON, metadata).await?;
        Ok(())
    }

    /// Notes why there is no new driver. One that stands there stays.
    async fn hold(&self, subject: &Subject<'_>, reason: &Unusable, raw: Option<&str>) -> Result<(), NotDone> {
        let mut note = json!({
            "document": subject.key(), "status": "held", "reason": reason.to_string(), "software": billing::SOFTWARE,
        });
        if let Some(raw) = raw {
            note["answer"] = Value::from(raw);
        }
        self.note(subject, &note, true).await
    }

    /// A note that stands there is no longer so.
    async fn release(&self, subject: &Subject<'_>) -> Result<(), NotDone> {
        let note = json!({
            "document": subject.key(), "status": "released", "reason": "the driver is written",
            "software": billing::SOFTWARE,
        });
        self.note(subject, &note, false).await
    }

    /// Writes a note where it differs; where there is none, only a new one.
    async fn note(&self, subject: &Subject<'_>, note: &Value, is_new: bool) -> Result<(), NotDone> {
        let (key, bytes) = (keys::held_reason(&subject.key()), &billing::canonical::to_json(note)?);
        publish(&self.bucket, &key, JSON, |standing| async move {
            Ok((is_new || standing.is_some()).then(|| bytes.clone()))
        })
        .await
    }
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
