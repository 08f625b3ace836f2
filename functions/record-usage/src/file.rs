//! A file of events is taken in, or held.

use std::collections::HashMap;

use billing::keys::held_reason;
use billing::month::BillingMonth;
use billing::revision::{Revision, sha256_hex};
use billing::usage::{History, read_lines};
use chrono::{DateTime, Utc};
use cloud::bucket::Object;
use cloud::datastores::{EVENTS, PARTS};
use cloud::events::StoredObject;
use cloud::ledger::FileState;
use serde_json::json;

use crate::{App, Error, FileReport, FileReportState, Reader};

const JSON_LINES: &str = "application/jsonl";
/// A file is read whole, beside what is made of it; a larger one would end the function without a word.
const LARGEST_FILE_BYTES: usize = 128 * 1024 * 1024;

/// How often what stands under a key is looked at, if it is replaced again and again.
const ROUNDS: usize = 5;

/// What stands under the key of a content that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    This,
    Another,
    Nothing,
}

/// What a file comes to.
enum Taken {
    Histories { bytes: Vec<u8>, events: usize, datastores: usize },
    Bad(String),
}

/// A file as it was read.
struct Read {
    object: Object,
    revision: Revision,
}

impl Reader {
    async fn read(&self, file: &StoredObject) -> Result<Read, Error> {
        let StoredObject { bucket, key, version } = file;
        if let Some(other) = bucket.as_ref().filter(|bucket| *bucket != self.bucket.name()) {
            return Err(Error::OtherBucket(other.clone(), self.bucket.name().to_owned()));
        }
        let object = self.bucket.get_at_most(key, version.as_deref(), LARGEST_FILE_BYTES).await?;
        let object = object.ok_or_else(|| Error::NoFile(key.clone()))?;
        let revision = Revision::of_sha256(&sha256_hex(&object.bytes));
        Ok(Read { object, revision })
    }

    /// What would come out of a file.
    pub(crate) async fn preview(&self, file: &StoredObject) -> Result<FileReport, Error> {
        let key = &file.key;
        Ok(match take(&self.read(file).await?.object)? {
            Taken::Histories { events, datastores, .. } => {
                FileReport::counted(key, FileReportState::Preview, events, datastores)
            }
            Taken::Bad(reason) => FileReport::new(key, FileReportState::WouldHold, reason),
        })
    }
}

impl App {
    /// Keeps lines that came as an event; they are taken in when their file's notification comes.
    pub(crate) async fn keep(&self, lines: String, now: DateTime<Utc>) -> Result<FileReport, Error> {
        let revision = Revision::of(lines.as_bytes());
        let key = format!("{EVENTS}{}/sent/{revision}.jsonl", BillingMonth::containing(now));
        self.bucket.put_new(&key, lines, JSON_LINES, HashMap::new()).await?;
        Ok(FileReport::new(&key, FileReportState::Kept, "kept; its notification takes it in"))
    }

    /// Takes a content of a file in. Where another one stands under the key, or comes meanwhile, what stands there is looked at, too: its
    /// own notification may be long done, and the reason under `held/` is about what stands, whatever came first. That is done again
    /// with each delivery, so that it does not matter where one dies.
    pub(crate) async fn file(
        &self,
        file: &StoredObject,
        force: bool,
        now: DateTime<Utc>,
    ) -> Result<FileReport, Error> {
        let (report, mut settled) = self.content(file, force, now).await?;
        let standing = StoredObject { version: None, ..file.clone() };
        for _ in 0..ROUNDS {
            if settled {
                return Ok(report);
            }
            settled = match self.content(&standing, false, now).await {
                Ok((_, settled)) => settled,
                Err(Error::NoFile(_)) => true, // removed meanwhile
                Err(error) => return Err(error),
            };
        }
        if settled { Ok(report) } else { Err(Error::Replaced(file.key.clone())) }
    }

    /// Takes one content in; also answers whether what stands under `held/` is settled.
    async fn content(
        &self,
        file: &StoredObject,
        force: bool,
        now: DateTime<Utc>,
    ) -> Result<(FileReport, bool), Error> {
        let key = &file.key;
        let Read { object, revision } = self.reader.read(file).await?;
        let known = self.ledger.file(key).await?;
        let was_held = known.iter().any(|(_, state)| matches!(state, FileState::Held { .. }));
        let is_recorded = |(of, state): &(Revision, FileState)| {
            *of == revision && matches!(state, FileState::Recorded { .. })
        };
        if !force && known.iter().any(is_recorded) {
            let settled = !was_held || self.release(key, &object).await?;
            return Ok((FileReport::new(key, FileReportState::Already, "taken in before"), settled));
        }
        match take(&object)? {
            Taken::Histories { bytes, events, datastores } => {
                self.bucket.overwrite(&format!("{PARTS}{revision}.jsonl"), bytes, JSON_LINES).await?;
                let settled = !was_held || self.release(key, &object).await?;
                self.ledger.record_file(key, &revision, &FileState::Recorded { lines: events }, now).await?;
                Ok((FileReport::counted(key, FileReportState::Recorded, events, datastores), settled))
            }
            // one that was replaced already holds nothing: it is the newer one that decides
            Taken::Bad(_) if self.standing(key, &object).await? != Standing::This => {
                let why = "was replaced by another content, which decides";
                Ok((FileReport::new(key, FileReportState::Replaced, why), !was_held))
            }
            Taken::Bad(reason) => {
                let settled = self.hold(key, &object, &revision, &reason, now).await?;
                Ok((FileReport::new(key, FileReportState::Held, reason), settled))
            }
        }
    }

    /// None of the lines counts until a person has put a corrected file under the same key. Answers whether the content still stands then.
    async fn hold(
        &self,
        key: &str,
        object: &Object,
        revision: &Revision,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        // first of all: whoever finds another content there knows by this that the reason may be ours
        let state = FileState::Held { reason: reason.to_owned() };
        self.ledger.record_file(key, revision, &state, now).await?;
        let why = json!({
            "key": key, "sha256": sha256_hex(&object.bytes), "reason": reason,
            "advice": "none of its lines counts; put the corrected file under the same key, or remove both",
        });
        let why = billing::canonical::to_json(&why)?;
        self.bucket.overwrite(&held_reason(key), why, "application/json").await?;
        match self.standing(key, object).await? {
            Standing::This => Ok(true),
            Standing::Another => Ok(false),
            Standing::Nothing => self.release(key, object).await,
        }
    }

    /// Removes the reason why another content of the key was held, if this one, which can be read, is the one that stands. Answers whether it
    /// still stands then: if not, the reason of a newer one may be gone, too.
    async fn release(&self, key: &str, object: &Object) -> Result<bool, Error> {
        if self.standing(key, object).await? == Standing::Another {
            return Ok(false);
        }
        self.bucket.delete(&held_reason(key)).await?;
        Ok(self.standing(key, object).await? != Standing::Another)
    }

    async fn standing(&self, key: &str, object: &Object) -> Result<Standing, Error> {
        Ok(match self.bucket.etag(key).await? {
            None => Standing::Nothing,
            Some(etag) if etag == object.etag => Standing::This,
            Some(_) => Standing::Another,
        })
    }
}

fn take(object: &Object) -> Result<Taken, Error> {
    if let Some(size_bytes) = object.cut_from_bytes {
        let why =
            format!("it has {size_bytes} bytes, at most {LARGEST_FILE_BYTES} are read; put it in parts");
        return Ok(Taken::Bad(why));
    }
    let events = match read_lines(&object.bytes) {
        Ok(events) => events,
        Err(bad) => return Ok(Taken::Bad(bad.to_string())),
    };
    let count = events.len();
    let histories = History::of_each(events);
    let mut lines = Vec::with_capacity(object.bytes.len());
    for history in &histories {
        history.write(&mut lines)?;
        lines.push(b'\n');
    }
    Ok(Taken::Histories { bytes: lines, events: count, datastores: histories.len() })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn object(bytes: impl Into<bytes::Bytes>) -> Object {
        let (etag, metadata) = (String::new(), HashMap::new());
        Object { bytes: bytes.into(), etag, metadata, last_modified: None, cut_from_bytes: None }
    }

    fn event(id: &str, datastore: &str, time: &str) -> Value {
        json!({
            "event_id": id, "time": format!("2026-10-{time}:00:00Z"), "type": "datastore.created", "datastore": datastore,
            "customer_id": "acme", "datastore_type": "galera", "vendor": "mariadb",
        })
    }

    fn file(events: &[Value]) -> Object {
        object(events.iter().map(|event| format!("{event}\n")).collect::<String>())
    }

    #[test]
    fn a_file_becomes_a_line_for_each_datastore_in_their_order_whatever_that_of_its_events() {
        let mut events =
            [event("1", "orders", "01T00"), event("2", "carts", "03T00"), event("3", "orders", "02T00")];
        let taken = |events: &[Value]| match take(&file(events)).unwrap() {
            Taken::Histories { bytes, events, datastores } => (bytes, events, datastores),
            Taken::Bad(reason) => panic!("{reason}"),
        };
        let (bytes, count, datastores) = taken(&events);
        assert_eq!((count, datastores), (3, 2));
        let text = String::from_utf8(bytes.clone()).unwrap();
        let [carts, orders] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert!(carts.contains("carts") && orders.contains("orders"), "{text}");
        events.reverse();
        assert_eq!(taken(&events).0, bytes, "the same file of histories");
    }

    #[test]
    fn one_bad_line_leaves_nothing_of_a_file_and_is_named() {
        let nobody = json!({"event_id": "2", "time": "2026-10-01T00:00:00Z", "type": "datastore.created"});
        match take(&file(&[event("1", "orders", "01T00"), nobody])).unwrap() {
            Taken::Bad(reason) => assert!(reason.starts_with("line 2: "), "{reason}"),
            Taken::Histories { .. } => panic!("it was taken in"),
        }
    }

    #[test]
    fn a_file_that_is_too_large_to_be_read_is_held_and_says_what_to_do() {
        let large = Object { cut_from_bytes: Some(200_000_000), ..object("") };
        match take(&large).unwrap() {
            Taken::Bad(reason) => {
                assert_eq!(reason, "it has 200000000 bytes, at most 134217728 are read; put it in parts");
            }
            Taken::Histories { .. } => panic!("it was taken in"),
        }
    }
}
