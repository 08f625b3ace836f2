//! Notifications that wait for delivery, and events that were given up. They stand beside the objects in the store of the home, so that a
//! notification becomes due in the step in which its object stands.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::Utc;
use cloud::ledger::RunOutcome;
use rusqlite::{Row, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::home::Home;
use crate::store::{Database, Store, StoreError};

/// The waiting notifications of a home.
#[derive(Clone, Debug)]
pub struct Queue {
    database: Arc<Database>,
    due: Arc<Notify>,
    /// Why nothing is delivered at the moment.
    trouble: Arc<Mutex<Option<String>>>,
}

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) function: String,
    pub(crate) event: Value,
    pub(crate) attempts: u32,
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
    /// How that ended.
    pub outcome: RunOutcome,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up, RFC 3339.
    pub given_up_at: String,
}

impl Message {
    /// That an object was written which starts a function.
    pub(crate) fn created(function: &str, bucket: &str, key: &str) -> Self {
        let now = Utc::now();
        let event = json!({"Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": crate::REGION,
            "eventTime": now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            "eventName": "ObjectCreated:Put",
            "s3": {
                "s3SchemaVersion": "1.0",
                "bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}")},
                "object": {"key": cloud::events::encode_key(key), "sequencer": format!("{:016X}", now.timestamp_micros())},
            },
        }]});
        Self { function: function.to_owned(), event, attempts: 0 }
    }

    pub(crate) fn insert(&self, change: &Transaction<'_>) -> rusqlite::Result<()> {
        let sql = "INSERT INTO notifications (function, event, attempts) VALUES (?, ?, ?)";
        let values = params![self.function, self.event.to_string(), self.attempts];
        change.prepare_cached(sql)?.execute(values).map(drop)
    }
}

impl DeadLetter {
    pub(crate) fn insert(&self, change: &Transaction<'_>) -> rusqlite::Result<()> {
        let sql = "INSERT INTO dead_letters (function, event, error, outcome, attempts, given_up_at) VALUES (?, ?, ?, ?, ?, ?)";
        let values = params![
            self.function,
            self.event.to_string(),
            self.error,
            self.outcome.to_string(),
            self.attempts,
            self.given_up_at
        ];
        change.prepare_cached(sql)?.execute(values).map(drop)
    }
}

impl Queue {
    /// The queue of a home that another process runs.
    ///
    /// # Errors
    /// If the store cannot be opened.
    pub fn open(home: &Home) -> Result<Self, StoreError> {
        let database = Arc::new(Database::open(&home.store())?);
        Ok(Self { database, due: Arc::default(), trouble: Arc::default() })
    }

    pub(crate) fn of(store: &Store) -> Self {
        Self { database: store.database().clone(), due: store.due(), trouble: Arc::default() }
    }

    /// Notifications that wait, oldest first, by number: those that came after that one.
    pub(crate) fn messages(&self, after: i64) -> Result<Vec<(i64, Message)>, StoreError> {
        self.database.read(|database| {
            let sql = "SELECT id, function, event, attempts FROM notifications WHERE id > ? ORDER BY id";
            let mut statement = database.prepare_cached(sql)?;
            let rows = statement.query_map([after], |row| {
                let message =
                    Message { function: row.get(1)?, event: read_json(row, 2)?, attempts: row.get(3)? };
                Ok((row.get(0)?, message))
            })?;
            rows.collect()
        })
    }

    /// Notes one more failed attempt.
    pub(crate) async fn note_attempt(&self, id: i64) -> Result<(), StoreError> {
        let sql = "UPDATE notifications SET attempts = attempts + 1 WHERE id = ?";
        self.database.write(move |change| change.execute(sql, [id]).map(drop)).await
    }

    /// Removes a notification that succeeded, and what it settles.
    pub(crate) async fn done(&self, id: i64, message: &Message, answer: &Value) -> Result<(), StoreError> {
        let settled = self.settled(&message.function, &message.event, answer)?;
        self.database
            .write(move |change| {
                change.execute("DELETE FROM notifications WHERE id = ?", [id])?;
                remove_letters(change, &settled)
            })
            .await
    }

    /// Gives a notification up: it goes to the dead letters with the last error.
    pub(crate) async fn give_up(
        &self,
        id: i64,
        message: Message,
        outcome: RunOutcome,
        error: &str,
    ) -> Result<(), StoreError> {
        let letter = DeadLetter {
            function: message.function,
            event: message.event,
            error: error.to_owned(),
            outcome,
            attempts: message.attempts,
            given_up_at: Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        };
        self.database
            .write(move |change| {
                change.execute("DELETE FROM notifications WHERE id = ?", [id])?;
                letter.insert(change)
            })
            .await
    }

    /// Why what waits is not delivered by this process at the moment, if something stands in the way: a full disk, say.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Waits until something may be due.
    pub(crate) async fn woken(&self) {
        self.due.notified().await;
    }

    /// The notifications that are due, for a caller that delivers them itself: (number, function, event).
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn due(&self) -> Result<Vec<(i64, String, Value)>, StoreError> {
        let messages = self.messages(0)?.into_iter();
        Ok(messages.map(|(id, message)| (id, message.function, message.event)).collect())
    }

    /// Removes a notification that was delivered.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn delivered(&self, id: i64) -> Result<(), StoreError> {
        let sql = "DELETE FROM notifications WHERE id = ?";
        self.database.write_now(move |change| change.execute(sql, [id]).map(drop))
    }

    /// How many notifications wait, in whichever process.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn waiting(&self) -> Result<usize, StoreError> {
        let count: i64 = self.database.read(|database| {
            database.query_row("SELECT count(*) FROM notifications", [], |row| row.get(0))
        })?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// Removes the events that a success settles: those about the same document, and of months and plans that are read whole those about any of
    /// their documents. What is held of an invoice goes with its next revision.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn settle(&self, function: &str, event: &Value, answer: &Value) -> Result<(), StoreError> {
        let settled = self.settled(function, event, answer)?;
        if settled.is_empty() {
            return Ok(());
        }
        self.database.write(move |change| remove_letters(change, &settled)).await
    }

    fn settled(&self, function: &str, event: &Value, answer: &Value) -> Result<Vec<i64>, StoreError> {
        let letters = self.dead_letters()?;
        let done = keys(event);
        let settled = |letter: &DeadLetter| {
            let given_up = keys(&letter.event);
            letter.function == function
                && !given_up.is_empty()
                && given_up.iter().all(|key| {
                    done.contains(key)
                        || done.iter().any(|done| settles(function, done, key, letter.outcome))
                        || covers(function, event, answer, key)
                })
        };
        Ok(letters.into_iter().filter(|(_, letter)| settled(letter)).map(|(id, _)| id).collect())
    }

    /// Events given up, oldest first, by number.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn dead_letters(&self) -> Result<Vec<(i64, DeadLetter)>, StoreError> {
        self.database.read(|database| {
            let sql = "SELECT id, function, event, error, outcome, attempts, given_up_at FROM dead_letters ORDER BY id";
            let mut statement = database.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                let letter = DeadLetter {
                    function: row.get(1)?,
                    event: read_json(row, 2)?,
                    error: row.get(3)?,
                    outcome: read_outcome(row, 4)?,
                    attempts: row.get(5)?,
                    given_up_at: row.get(6)?,
                };
                Ok((row.get(0)?, letter))
            })?;
            rows.collect()
        })
    }

    /// Removes an event that was given up, and that somebody has settled in another way; false if there is none of that number.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn remove_dead_letter(&self, id: i64) -> Result<bool, StoreError> {
        self.database
            .write_now(move |change| Ok(change.execute("DELETE FROM dead_letters WHERE id = ?", [id])? == 1))
    }
}

fn remove_letters(change: &Transaction<'_>, letters: &[i64]) -> rusqlite::Result<()> {
    let mut statement = change.prepare_cached("DELETE FROM dead_letters WHERE id = ?")?;
    letters.iter().try_for_each(|id| statement.execute([id]).map(drop))
}

fn read_json(row: &Row<'_>, column: usize) -> rusqlite::Result<Value> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(column, error))
}

fn read_outcome(row: &Row<'_>, column: usize) -> rusqlite::Result<RunOutcome> {
    serde_json::from_value(Value::String(row.get(column)?)).map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

/// The documents that an event is about.
fn keys(event: &Value) -> Vec<String> {
    let by_hand = event["key"].as_str().map(str::to_owned);
    let announced = cloud::events::stored_objects(event).unwrap_or_default();
    by_hand.into_iter().chain(announced.into_iter().map(|object| object.key)).collect()
}

/// Whether success with one document settles what became of another.
fn settles(function: &str, done: &str, key: &str, outcome: RunOutcome) -> bool {
    let folder = |key: &str, above: usize| key.rsplitn(above + 1, '/').nth(above).map(str::to_owned);
    let same = |above| folder(done, above).is_some_and(|done| folder(key, above) == Some(done));
    match function {
        // all months of the plan
        "meter-clazar" => same(2),
        // the whole month
        "report-revenue" => same(1),
        // a newer revision of the invoice
        "allocate" => outcome == RunOutcome::Held && same(1),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Template;

    #[tokio::test]
    async fn what_succeeded_since_is_given_up_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let queue = Queue::of(&Store::open(&home, Template::built_in().unwrap()).unwrap());
        let give_up = async |function: &str, key: &str, outcome: RunOutcome| {
            let message = Message::created(function, "b", key);
            let waits = message.clone();
            queue.database.write(move |change| waits.insert(change)).await.unwrap();
            let (id, found) = queue.messages(0).unwrap().remove(0);
            assert_eq!(found, message);
            queue.give_up(id, found, outcome, "why").await.unwrap();
        };
        give_up("report-revenue", "journal/2026-10/a.jsonl", RunOutcome::Held).await;
        give_up("report-revenue", "journal/2026-11/a.jsonl", RunOutcome::Held).await;
        give_up("allocate", "raw/atlas/o/2026-10/i/1.json", RunOutcome::Held).await;
        give_up("allocate", "raw/atlas/o/2026-10/i/2.json", RunOutcome::Failed).await;
        give_up("record-usage", "datastores/a b.jsonl", RunOutcome::Held).await;
        give_up("meter-clazar", "usage/omnistrate/s/e/p/2026-10/1.json", RunOutcome::Partial).await;
        let left = || queue.dead_letters().unwrap().len();
        let settle = async |function, event, answer| queue.settle(function, &event, &answer).await.unwrap();
        let none = || Value::Null;
        settle("report-revenue", json!({"key": "journal/2026-10/b.jsonl"}), none()).await;
        assert_eq!(left(), 5, "the month was read whole");
        let answer = json!({"windows": [{"window": "2026-11"}]});
        settle("report-revenue", json!({"month": "2026-11"}), answer).await;
        assert_eq!(left(), 4);
        settle("allocate", json!({"key": "raw/atlas/o/2026-10/i/3.json"}), none()).await;
        assert_eq!(left(), 3, "what failed was not looked at");
        settle("allocate", json!({"key": "raw/atlas/o/2026-10/i/2.json"}), none()).await;
        assert_eq!(left(), 2);
        settle("record-usage", json!({"key": "datastores/b.jsonl"}), none()).await;
        settle("meter-clazar", json!({"month": "2026-10"}), none()).await;
        assert_eq!(left(), 2);
        settle("record-usage", json!({"key": "datastores/a b.jsonl"}), none()).await;
        let (id, _) = queue.dead_letters().unwrap().remove(0);
        assert!(queue.remove_dead_letter(id).unwrap() && !queue.remove_dead_letter(id).unwrap());
        assert_eq!(left(), 0);
    }
}
