//! The lines of one file of histories, one after the other.

use std::borrow::Cow;
use std::collections::VecDeque;

use billing::usage::{History, LineError};
use bytes::{Bytes, BytesMut};

use super::DatastoresError;
use crate::bucket::Body;

/// A file, read as far as its next line.
pub(super) struct Lines {
    key: String,
    number: usize,
    /// The datastore of the last line, which the next one must come after.
    last: String,
    body: Option<Body>,
    /// Whole lines that have come.
    ready: VecDeque<Bytes>,
    /// The beginning of the next one.
    rest: BytesMut,
}

/// A line with the datastore that it is about.
pub(super) struct Line {
    pub(super) datastore: String,
    pub(super) bytes: Bytes,
}

impl Lines {
    pub(super) fn streamed(key: String, body: Body) -> Self {
        Self {
            key,
            number: 0,
            last: String::new(),
            body: Some(body),
            ready: VecDeque::new(),
            rest: BytesMut::new(),
        }
    }

    pub(super) fn whole(key: String, bytes: Bytes) -> Self {
        let mut lines = Self {
            key,
            number: 0,
            last: String::new(),
            body: None,
            ready: VecDeque::new(),
            rest: BytesMut::new(),
        };
        lines.take(bytes);
        lines
    }

    /// The next line; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Line>, DatastoresError> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.number += 1;
                return self.line(bytes).map(Some);
            }
            let Some(body) = &mut self.body else {
                // the last line may have no newline
                let last = Some(self.rest.split().freeze()).filter(|last| !last.is_empty());
                self.number += usize::from(last.is_some());
                return last.map(|last| self.line(last)).transpose();
            };
            match body.next().await? {
                Some(piece) => self.take(piece),
                None => self.body = None,
            }
        }
    }

    fn line(&mut self, bytes: Bytes) -> Result<Line, DatastoresError> {
        let read = History::datastore_of(&bytes).map(Cow::into_owned);
        let in_order = read.and_then(|datastore| {
            let expected = "an id that comes after that of the line before";
            let value = datastore.clone();
            let disorder = LineError::Invalid { field: "datastore", value, expected };
            if datastore > self.last { Ok(datastore) } else { Err(disorder) }
        });
        let datastore = in_order.map_err(|error| DatastoresError::Line {
            key: self.key.clone(),
            line: self.number,
            error,
        })?;
        self.last.clone_from(&datastore);
        Ok(Line { datastore, bytes })
    }

    /// Cuts what has come into lines, without a copy where a line came in one piece.
    fn take(&mut self, mut piece: Bytes) {
        while let Some(end) = memchr::memchr(b'\n', &piece) {
            let line = piece.split_to(end + 1).slice(..end);
            if self.rest.is_empty() {
                self.ready.push_back(line);
            } else {
                self.rest.extend_from_slice(&line);
                self.ready.push_back(self.rest.split().freeze());
            }
        }
        self.rest.extend_from_slice(&piece);
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }
}
