//! All events of one datastore, as they are kept: one JSON object a line, `{"datastore", "customer_id", "events": [...]}`.

use std::borrow::Cow;
use std::io::Write;

use serde::Deserialize;

use super::event::{Change, Event, LineError, Text, Wire};
use super::life::Life;
use super::window::Tolerance;

/// The events of one datastore, in their order, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<'a> {
    datastore: Cow<'a, str>,
    events: Vec<Event<'a>>,
}

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    datastore: Text<'a>,
    #[serde(borrow)]
    customer_id: Text<'a>,
    #[serde(borrow)]
    events: Vec<Wire<'a>>,
}

impl<'a> History<'a> {
    /// The history that these events make, in whatever order and however often they come.
    #[must_use]
    pub fn new(datastore: Cow<'a, str>, mut events: Vec<Event<'a>>) -> Self {
        if !events.is_sorted_by(|one, next| one < next) {
            events.sort_unstable();
            events.dedup();
        }
        Self { datastore, events }
    }

    /// The events of many datastores, each to its own, in the order of the datastores' ids.
    #[must_use]
    pub fn of_each(mut events: Vec<(Cow<'a, str>, Event<'a>)>) -> Vec<Self> {
        events.sort_unstable();
        let mut histories: Vec<Self> = Vec::new();
        for (datastore, event) in events {
            match histories.last_mut() {
                Some(last) if last.datastore == datastore => {
                    if last.events.last() != Some(&event) {
                        last.events.push(event);
                    }
                }
                _ => histories.push(Self { datastore, events: vec![event] }),
            }
        }
        histories
    }

    /// The union of histories of one datastore; nothing if there are none.
    #[must_use]
    pub fn union(histories: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut histories = histories.into_iter();
        let mut first = histories.next()?;
        let before = first.events.len();
        for other in histories {
            first.events.extend(other.events);
        }
        if first.events.len() == before {
            return Some(first);
        }
        Some(Self::new(first.datastore, first.events))
    }

    /// Reads a line as [`Self::write`] wrote it.
    ///
    /// # Errors
    /// [`LineError`] if it is something else.
    pub fn read(line: &'a [u8]) -> Result<Self, LineError> {
        let stored: Stored<'a> =
            serde_json::from_slice(line).map_err(|error| LineError::Json(error.to_string()))?;
        let customer = stored.customer_id.0;
        let events = stored.events.into_iter().map(|mut wire| {
            let own = wire.customer_id.take().map(|text| text.0);
            wire.event(own.unwrap_or_else(|| customer.clone()))
        });
        Ok(Self::new(stored.datastore.0, events.collect::<Result<_, _>>()?))
    }

    /// The id that a line is about, without reading all of it.
    ///
    /// # Errors
    /// [`LineError`] if it does not begin as lines do.
    pub fn datastore_of(line: &'a [u8]) -> Result<Cow<'a, str>, LineError> {
        let start = line.strip_prefix(BEGINNING.as_bytes());
        let start = start.ok_or_else(|| LineError::Json(format!("it does not begin with {BEGINNING}")))?;
        let mut texts = serde_json::Deserializer::from_slice(start).into_iter::<Text<'a>>();
        match texts.next() {
            Some(Ok(text)) => Ok(text.0),
            Some(Err(error)) => Err(LineError::Json(error.to_string())),
            None => Err(LineError::Missing { field: "datastore" }),
        }
    }

    /// Appends it as one line, without the newline. The same history gives the same bytes.
    ///
    /// # Errors
    /// Those of writing texts as JSON.
    pub fn write(&self, line: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        let io = serde_json::Error::io;
        let customer = self.events.first().map(|event| event.customer_id.as_ref()).unwrap_or_default();
        write!(line, "{BEGINNING}").map_err(io)?;
        serde_json::to_writer(&mut *line, &self.datastore)?;
        write!(line, ",\"customer_id\":").map_err(io)?;
        serde_json::to_writer(&mut *line, customer)?;
        write!(line, ",\"events\":[").map_err(io)?;
        for (index, event) in self.events.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(line, "{separator}{{\"time\":\"{}\",\"type\":\"{}\"", event.at, event.kind())
                .map_err(io)?;
            for (field, text) in event.texts() {
                if field == "customer_id" && text == customer {
                    continue;
                }
                write!(line, ",\"{field}\":").map_err(io)?;
                serde_json::to_writer(&mut *line, text)?;
            }
            for (field, number) in event.numbers().into_iter().flatten() {
                write!(line, ",\"{field}\":{number}").map_err(io)?;
            }
            line.push(b'}');
        }
        line.extend_from_slice(b"]}");
        Ok(())
    }

    /// The datastore.
    #[must_use]
    pub fn datastore(&self) -> &str {
        &self.datastore
    }

    /// Its events, in their order.
    #[must_use]
    pub fn events(&self) -> &[Event<'a>] {
        &self.events
    }

    /// Whether its life ended before the cutoff, as [`Life`] takes it.
    #[must_use]
    pub fn ended_before(&self, cutoff_ms: i64, now_ms: i64) -> bool {
        let mut deletions = self.events.iter().filter(|event| event.change == Change::Deleted);
        // few are deleted that long ago: only those are lived through
        deletions.any(|event| event.at.ms() < cutoff_ms)
            // in which order other events come does not decide when it was deleted
            && Life::of(self, now_ms, Tolerance::default())
                .is_some_and(|life| life.deleted_ms.is_some_and(|ms| ms < cutoff_ms))
    }

    /// What is kept of a datastore that is forgotten: that it was deleted. Events of it that come again later cannot bring it back.
    #[must_use]
    pub fn forgotten(mut self) -> Self {
        self.events.retain(|event| event.change == Change::Deleted);
        self
    }
}

const BEGINNING: &str = "{\"datastore\":";
