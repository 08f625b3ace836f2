//! Files of sorted lines, merged: all lines of one datastore come together.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use billing::usage::{History, LineError};
use bytes::Bytes;

use super::DatastoresError;
use super::lines::{Line, Lines};

/// Histories in the order of their datastores' ids.
pub struct Histories {
    sources: Vec<Lines>,
    /// The next line of each source, the first datastore on top.
    heads: BinaryHeap<Reverse<Head>>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    datastore: String,
    source: usize,
    bytes: Bytes,
}

/// The lines of one datastore, from all files.
#[derive(Clone, Debug)]
pub struct Group {
    lines: Vec<Bytes>,
    /// Where the last of them stands, for errors.
    key: String,
    number: usize,
}

impl Group {
    /// The history that the lines make.
    ///
    /// # Errors
    /// [`DatastoresError::Line`].
    pub fn history(&self) -> Result<History<'_>, DatastoresError> {
        let failed = |error| DatastoresError::Line { key: self.key.clone(), line: self.number, error };
        let histories: Result<Vec<_>, _> = self.lines.iter().map(|line| History::read(line)).collect();
        let history = History::union(histories.map_err(failed)?);
        history.ok_or_else(|| failed(LineError::Missing { field: "datastore" }))
    }

    /// Bytes of all its lines.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.lines.iter().map(Bytes::len).sum()
    }

    /// Its line, if there is just one: nothing to put together.
    #[must_use]
    pub fn single(&self) -> Option<&Bytes> {
        if let [line] = self.lines.as_slice() { Some(line) } else { None }
    }
}

impl Histories {
    pub(super) async fn merge(mut sources: Vec<Lines>) -> Result<Self, DatastoresError> {
        let mut heads = BinaryHeap::with_capacity(sources.len());
        for (source, lines) in sources.iter_mut().enumerate() {
            heads.extend(lines.next().await?.map(|line| head(source, line)));
        }
        Ok(Self { sources, heads })
    }

    /// The next datastore; nothing at the end.
    ///
    /// # Errors
    /// [`DatastoresError`].
    pub async fn next(&mut self) -> Result<Option<Group>, DatastoresError> {
        let Some(Reverse(first)) = self.heads.pop() else { return Ok(None) };
        let Head { datastore, mut source, bytes } = first;
        let mut group = Group {
            lines: vec![bytes],
            key: self.sources[source].key().to_owned(),
            number: self.sources[source].number(),
        };
        loop {
            let next = self.sources[source].next().await?;
            self.heads.extend(next.map(|line| head(source, line)));
            if self.heads.peek().is_none_or(|Reverse(head)| head.datastore != datastore) {
                return Ok(Some(group));
            }
            let Some(Reverse(head)) = self.heads.pop() else { return Ok(Some(group)) };
            source = head.source;
            group.lines.push(head.bytes);
        }
    }

    /// The next datastores, about so many bytes of them; empty at the end.
    ///
    /// # Errors
    /// [`DatastoresError`].
    pub async fn batch(&mut self, size_bytes: usize) -> Result<Vec<Group>, DatastoresError> {
        let (mut groups, mut size) = (Vec::new(), 0);
        while size < size_bytes {
            let Some(group) = self.next().await? else { break };
            size += group.size_bytes();
            groups.push(group);
        }
        Ok(groups)
    }
}

fn head(source: usize, line: Line) -> Reverse<Head> {
    Reverse(Head { datastore: line.datastore, source, bytes: line.bytes })
}
