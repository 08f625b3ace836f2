//! Notifications that wait for delivery: one file each, so that they survive the process.
//!
//! A notification is written as an intent before its object is, and becomes due once the object stands: no
//! death in between loses it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::Utc;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::home::Home;

/// The waiting notifications of a home.
#[derive(Clone, Debug)]
pub struct Queue {
    folder: PathBuf,
    dead_letters: PathBuf,
    due: Arc<Notify>,
    counter: Arc<AtomicU64>,
}

/// One notification.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) function: String,
    pub(crate) event: Value,
    pub(crate) attempts: u32,
    bucket: String,
    key: String,
}

/// An event that its function failed on every time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The function.
    pub function: String,
    /// The event, as it was delivered.
    pub event: Value,
    /// What the function answered last.
    pub error: String,
    /// How that ended: `failed`, `held` or `partial`.
    pub outcome: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up, RFC 3339.
    pub given_up_at: String,
}

/// A notification whose object is being written.
#[derive(Debug)]
pub(crate) struct Intent {
    path: PathBuf,
    queue: Queue,
}

impl Queue {
    /// The queue of a home, in this or another process.
    #[must_use]
    pub fn new(home: &Home) -> Self {
        let counter = Arc::new(AtomicU64::new(0));
        Self {
            folder: home.queue(),
            dead_letters: home.dead_letters(),
            due: Arc::new(Notify::new()),
            counter,
        }
    }

    /// Takes up what an earlier process left: intents whose object stands become due, others go.
    pub(crate) fn recover(&self, home: &Home) -> io::Result<()> {
        for path in self.files("intent")? {
            let message: Option<Message> =
                fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            match message {
                Some(message) if home.s3().join(&message.bucket).join(&message.key).is_file() => {
                    fs::rename(&path, path.with_extension("json"))?;
                }
                _ => fs::remove_file(&path)?,
            }
        }
        Ok(())
    }

    /// Notes that an object is about to be written which starts a function.
    pub(crate) fn intend(&self, function: &str, bucket: &str, key: &str) -> io::Result<Intent> {
        // sorts by time, and two of one instant differ
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{number:06}", Utc::now().format("%Y%m%dT%H%M%S%6f"), std::process::id());
        let message = Message {
            function: function.to_owned(),
            event: json!({"Records": [{
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": crate::REGION,
                "eventTime": Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
                "eventName": "ObjectCreated:Put",
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}")},
                    "object": {"key": cloud::events::encode_key(key), "sequencer": name},
                },
            }]}),
            attempts: 0,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        };
        let path = self.folder.join(format!("{name}.intent"));
        fs::write(&path, serde_json::to_vec_pretty(&message)?)?;
        Ok(Intent { path, queue: self.clone() })
    }

    /// Files of the notifications that are due, oldest first.
    pub(crate) fn due_files(&self) -> io::Result<Vec<PathBuf>> {
        self.files("json")
    }

    fn files(&self, extension: &str) -> io::Result<Vec<PathBuf>> {
        let mut files = list(&self.folder)?;
        files.retain(|path| path.extension().is_some_and(|found| found == extension));
        Ok(files)
    }

    pub(crate) fn read(path: &Path) -> io::Result<Message> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// Notes one more failed attempt.
    pub(crate) fn note_attempt(path: &Path, message: &Message) -> io::Result<()> {
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_vec_pretty(message)?)?;
        fs::rename(new, path)
    }

    pub(crate) fn done(path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Gives a notification up: it goes to the dead letters with the last error.
    pub(crate) fn give_up(
        &self,
        path: &Path,
        message: Message,
        outcome: &str,
        error: &str,
    ) -> io::Result<()> {
        let letter = DeadLetter {
            function: message.function,
            event: message.event,
            error: error.to_owned(),
            outcome: outcome.to_owned(),
            attempts: message.attempts,
            given_up_at: Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        };
        let name = path.file_name().unwrap_or_default();
        fs::write(self.dead_letters.join(name), serde_json::to_vec_pretty(&letter)?)?;
        Self::done(path)
    }

    /// Waits until something may be due.
    pub(crate) async fn woken(&self) {
        self.due.notified().await;
    }

    /// The notifications that are due, for a caller that delivers them itself: (file, function, event).
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn due(&self) -> io::Result<Vec<(PathBuf, String, Value)>> {
        let read = |path: PathBuf| Self::read(&path).map(|message| (path, message.function, message.event));
        self.due_files()?.into_iter().map(read).collect()
    }

    /// Removes a notification that was delivered.
    ///
    /// # Errors
    /// If its file cannot be removed.
    pub fn delivered(&self, path: &Path) -> io::Result<()> {
        Self::done(path)
    }

    /// How many notifications wait, in whichever process.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn waiting(&self) -> io::Result<usize> {
        Ok(list(&self.folder)?.len())
    }

    /// Removes the events that a success settles: those about the same document, and of months and plans that are read whole those about any of
    /// their documents. What is held of an invoice goes with its next revision.
    ///
    /// # Errors
    /// If a file cannot be read or removed.
    pub fn settle(&self, function: &str, event: &Value, answer: &Value) -> io::Result<()> {
        let letters = list(&self.dead_letters)?;
        if letters.is_empty() {
            return Ok(());
        }
        let done = keys(event);
        let settled = |letter: &DeadLetter| {
            let given_up = keys(&letter.event);
            letter.function == function
                && !given_up.is_empty()
                && given_up.iter().all(|key| {
                    done.contains(key)
                        || done.iter().any(|done| settles(function, done, key, &letter.outcome))
                        || covers(function, event, answer, key)
                })
        };
        for path in letters {
            // another may be at it: writing one, or removing it
            let letter = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            if letter.as_ref().is_some_and(settled) {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Events given up, oldest first, with the file each stands in.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn dead_letters(&self) -> io::Result<Vec<(PathBuf, DeadLetter)>> {
        let read = |path: PathBuf| match fs::read(&path) {
            Ok(bytes) => {
                Some(serde_json::from_slice(&bytes).map(|letter| (path, letter)).map_err(io::Error::from))
            }
            // settled since the folder was read
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(error)),
        };
        list(&self.dead_letters)?.into_iter().filter_map(read).collect()
    }
}

impl Intent {
    /// The object stands: the notification is due.
    pub(crate) fn due(self) -> io::Result<()> {
        fs::rename(&self.path, self.path.with_extension("json"))?;
        self.queue.due.notify_one();
        Ok(())
    }

    /// The object was not written.
    pub(crate) fn withdraw(self) {
        let _ = fs::remove_file(&self.path); // at the next start it would go anyway
    }
}

/// The documents that an event is about.
fn keys(event: &Value) -> Vec<String> {
    let by_hand = event["key"].as_str().map(str::to_owned);
    let announced = cloud::events::stored_objects(event).unwrap_or_default();
    by_hand.into_iter().chain(announced.into_iter().map(|object| object.key)).collect()
}

/// Whether success with one document settles what became of another.
fn settles(function: &str, done: &str, key: &str, outcome: &str) -> bool {
    let folder = |key: &str, above: usize| key.rsplitn(above + 1, '/').nth(above).map(str::to_owned);
    let same = |above| folder(done, above).is_some_and(|done| folder(key, above) == Some(done));
    match function {
        // all months of the plan
        "meter-clazar" => same(2),
        // the whole month
        "report-revenue" => same(1),
        // a newer revision of the invoice
        "allocate" => outcome == "held" && same(1),
        _ => false,
    }
}

/// Whether an event by hand was about the month or all of the plans that a document belongs to.
fn covers(function: &str, event: &Value, answer: &Value, key: &str) -> bool {
    match function {
        "meter-clazar" => {
            keys(event).is_empty()
                && ["plan", "month", "contract"].iter().all(|member| event.get(member).is_none())
        }
        "report-revenue" => {
            let windows = answer["windows"].as_array().into_iter().flatten();
            let mut names = windows.filter_map(|window| window["window"].as_str());
            names.any(|name| key.starts_with(&format!("{}{name}/", billing::keys::JOURNAL)))
        }
        _ => false,
    }
}

fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_succeeded_since_is_given_up_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::new(&Home::open(folder.path()).unwrap());
        let give_up = |function: &str, key: &str, outcome: &str| {
            queue.intend(function, "b", key).unwrap().due().unwrap();
            let path = queue.due_files().unwrap().remove(0);
            queue.give_up(&path, Queue::read(&path).unwrap(), outcome, "why").unwrap();
        };
        give_up("report-revenue", "journal/2026-10/a.jsonl", "held");
        give_up("report-revenue", "journal/2026-11/a.jsonl", "held");
        give_up("allocate", "raw/atlas/o/2026-10/i/1.json", "held");
        give_up("allocate", "raw/atlas/o/2026-10/i/2.json", "failed");
        give_up("record-usage", "datastores/a b.jsonl", "held");
        give_up("meter-clazar", "usage/omnistrate/s/e/p/2026-10/1.json", "partial");
        let left = || queue.dead_letters().unwrap().len();
        let none = Value::Null;
        queue.settle("report-revenue", &json!({"key": "journal/2026-10/b.jsonl"}), &none).unwrap();
        assert_eq!(left(), 5, "the month was read whole");
        let answer = json!({"windows": [{"window": "2026-11"}]});
        queue.settle("report-revenue", &json!({"month": "2026-11"}), &answer).unwrap();
        assert_eq!(left(), 4);
        queue.settle("allocate", &json!({"key": "raw/atlas/o/2026-10/i/3.json"}), &none).unwrap();
        assert_eq!(left(), 3, "what failed was not looked at");
        queue.settle("allocate", &json!({"key": "raw/atlas/o/2026-10/i/2.json"}), &none).unwrap();
        assert_eq!(left(), 2);
        queue.settle("record-usage", &json!({"key": "datastores/b.jsonl"}), &none).unwrap();
        queue.settle("meter-clazar", &json!({"month": "2026-10"}), &none).unwrap();
        assert_eq!(left(), 2);
        queue.settle("record-usage", &json!({"key": "datastores/a b.jsonl"}), &none).unwrap();
        queue.settle("meter-clazar", &json!({}), &none).unwrap();
        assert_eq!(left(), 0);
    }

    #[test]
    fn intents_of_a_killed_process_become_due_only_if_their_object_stands() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let queue = Queue::new(&home);
        drop(queue.intend("allocate", "b", "raw/there").unwrap());
        drop(queue.intend("allocate", "b", "raw/missing").unwrap());
        fs::create_dir_all(home.s3().join("b/raw")).unwrap();
        fs::write(home.s3().join("b/raw/there"), "x").unwrap();
        assert!(queue.due_files().unwrap().is_empty());
        queue.recover(&home).unwrap();
        let due = queue.due_files().unwrap();
        assert_eq!((due.len(), queue.waiting().unwrap()), (1, 1));
        assert_eq!(Queue::read(&due[0]).unwrap().key, "raw/there");
    }
}
