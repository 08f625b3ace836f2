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

use crate::event::Mode;
use crate::{App, Error, FileReport, FileReportState};

const JSON_LINES: &str = "application/jsonl";
/// A file is read whole, beside what is made of it; a larger one would end the function without a word.
const LARGEST_FILE_BYTES: usize = 128 * 1024 * 1024;

/// What a file comes to.
enum Taken {
    Histories { bytes: Vec<u8>, events: usize, datastores: usize },
    Bad(String),
}

impl App {
    /// Keeps lines that came as an event; they are taken in when their file's notification comes.
    pub(crate) async fn keep(&self, lines: String, now: DateTime<Utc>) -> Result<FileReport, Error> {
        let revision = Revision::of(lines.as_bytes());
        let key = format!("{EVENTS}{}/sent/{revision}.jsonl", BillingMonth::containing(now));
        self.bucket.put_new(&key, lines, JSON_LINES, HashMap::new()).await?;
        Ok(FileReport::new(&key, FileReportState::Kept, "kept; its notification takes it in"))
    }

    pub(crate) async fn file(
        &self,
        file: &StoredObject,
        mode: Mode,
        now: DateTime<Utc>,
    ) -> Result<FileReport, Error> {
        let StoredObject { bucket, key, version } = file;
        if let Some(other) = bucket.as_ref().filter(|bucket| *bucket != self.bucket.name()) {
            return Err(Error::OtherBucket(other.clone(), self.bucket.name().to_owned()));
        }
        let object = self.bucket.get_at_most(key, version.as_deref(), LARGEST_FILE_BYTES).await?;
        let object = object.ok_or_else(|| Error::NoFile(key.clone()))?;
        let revision = Revision::of_sha256(&sha256_hex(&object.bytes));
        let known = self.ledger.file(key).await?;
        let is_recorded = |(of, state): &(Revision, FileState)| {
            *of == revision && matches!(state, FileState::Recorded { .. })
        };
        if mode == Mode::Work && known.iter().any(is_recorded) {
            return Ok(FileReport::new(key, FileReportState::Already, "taken in before"));
        }
        let taken = take(&object)?;
        if mode == Mode::DryRun {
            return Ok(preview(key, &taken));
        }
        match taken {
            Taken::Histories { bytes, events, datastores } => {
                self.bucket.overwrite(&format!("{PARTS}{revision}.jsonl"), bytes, JSON_LINES).await?;
                if known.iter().any(|(_, state)| matches!(state, FileState::Held { .. })) {
                    self.bucket.delete(&held_reason(key)).await?;
                }
                self.ledger.record_file(key, &revision, &FileState::Recorded { lines: events }, now).await?;
                Ok(FileReport::counted(key, FileReportState::Recorded, events, datastores))
            }
            Taken::Bad(reason) => self.hold(key, &object, &revision, reason, now).await,
        }
    }

    /// None of the lines counts until a person has put a corrected file under the same key. A content that was replaced already holds
    /// nothing: it is the newer one that decides.
    async fn hold(
        &self,
        key: &str,
        object: &Object,
        revision: &Revision,
        reason: String,
        now: DateTime<Utc>,
    ) -> Result<FileReport, Error> {
        let replaced =
            async || Ok::<_, Error>(self.bucket.etag(key).await?.is_none_or(|etag| etag != object.etag));
        if replaced().await? {
            return Ok(FileReport::new(
                key,
                FileReportState::Replaced,
                "was replaced by another content, which decides",
            ));
        }
        let state = FileState::Held { reason: reason.clone() };
        self.ledger.record_file(key, revision, &state, now).await?;
        let why = json!({
            "key": key, "sha256": sha256_hex(&object.bytes), "reason": reason,
            "advice": "none of its lines counts; put the corrected file under the same key, or remove both",
        });
        let why = billing::canonical::to_json(&why)?;
        self.bucket.overwrite(&held_reason(key), why, "application/json").await?;
        if replaced().await? {
            self.bucket.delete(&held_reason(key)).await?;
        }
        Ok(FileReport::new(key, FileReportState::Held, reason))
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

fn preview(key: &str, taken: &Taken) -> FileReport {
    match taken {
        Taken::Histories { events, datastores, .. } => {
            FileReport::counted(key, FileReportState::Preview, *events, *datastores)
        }
        Taken::Bad(reason) => FileReport::new(key, FileReportState::WouldHold, reason.clone()),
    }
}
