//! The lines of one file of histories, one after the other.

use std::borrow::Cow;
use std::collections::VecDeque;

use billing::usage::{History, LineError};
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;

use super::DatastoresError;
use crate::bucket::Body;

/// Read at once from the disk.
const PIECE_BYTES: usize = 64 * 1024;

/// A file, read as far as its next line.
pub(super) struct Lines {
    key: String,
    number: usize,
    /// The datastore of the last line, which the next one must come after.
    last: String,
    source: Option<Source>,
    /// Whole lines that have come.
    ready: VecDeque<Bytes>,
    /// The beginning of the next one.
    rest: BytesMut,
}

/// Where more comes from.
enum Source {
    Bucket(Body),
    Disk(tokio::fs::File),
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, DatastoresError> {
        match self {
            Self::Bucket(body) => Ok(body.next().await?),
            Self::Disk(file) => {
                let mut piece = BytesMut::with_capacity(PIECE_BYTES);
                let read = file.read_buf(&mut piece).await.map_err(DatastoresError::Disk)?;
                Ok((read > 0).then(|| piece.freeze()))
            }
        }
    }
}

/// A line with the datastore that it is about.
pub(super) struct Line {
    pub(super) datastore: String,
    pub(super) bytes: Bytes,
}

impl Lines {
    pub(super) fn streamed(key: String, body: Body) -> Self {
        Self::new(key, Some(Source::Bucket(body)))
    }

    /// Lines that were put aside, see [`super::aside`].
    pub(super) fn aside(file: tokio::fs::File) -> Self {
        Self::new("a temporary file".into(), Some(Source::Disk(file)))
    }

    pub(super) fn whole(key: String, bytes: Bytes) -> Self {
        let mut lines = Self::new(key, None);
        lines.take(bytes);
        lines
    }

    fn new(key: String, source: Option<Source>) -> Self {
        let (last, ready, rest) = (String::new(), VecDeque::new(), BytesMut::new());
        Self { key, number: 0, last, source, ready, rest }
    }

    /// The next line; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Line>, DatastoresError> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.number += 1;
                return self.line(bytes).map(Some);
            }
            let Some(source) = &mut self.source else {
                // the last line may have no newline
                let last = Some(self.rest.split().freeze()).filter(|last| !last.is_empty());
                self.number += usize::from(last.is_some());
                return last.map(|last| self.line(last)).transpose();
            };
            match source.next().await? {
                Some(piece) => self.take(piece),
                None => self.source = None,
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
