//! The files of histories put together into a new base. Of those that are too old, only their deletion is kept: events that come again
//! must not bring them back.
//!
//! A base is named by its generation and its content. It is written whole before the document that names it is swapped, and the files
//! that went into it are removed last. Whoever dies in between leaves files that are read twice, which does no harm, or a base that
//! nobody names, which a later run removes: nobody can make a base of a generation that is over the one that counts.

use billing::revision::Revision;
use billing::usage::History;
use chrono::{DateTime, SecondsFormat, Utc};
use cloud::bucket::{Upload, Written};
use cloud::datastores::{BASES, CURRENT, Current, Files, Group};
use futures::stream::{StreamExt as _, TryStreamExt as _, iter};
use sha2::{Digest, Sha256};

use crate::{App, Error, Reader, TidyReport};

const JSON_LINES: &str = "application/jsonl";
/// Histories read at once.
const BATCH_BYTES: usize = 1024 * 1024;
/// Files put together at once: each may be an open connection.
const MOST_FILES: usize = 200;
/// Files removed at once.
const DELETIONS: usize = 16;

/// What the next round of putting together comes to.
pub(crate) struct Round {
    /// What it puts together.
    union: Union,
    /// The content of the new base; nothing if there is nothing to do.
    content: Option<Revision>,
    current: Current,
    etag: Option<String>,
    pub(crate) tidied: TidyReport,
}

impl Reader {
    pub(crate) async fn round(&self, now: DateTime<Utc>) -> Result<Round, Error> {
        let mut files = self.datastores.files().await?;
        let more = files.parts.len() > MOST_FILES;
        files.parts.truncate(MOST_FILES);
        let (current, etag) = files.current.clone().unzip();
        let current = current.unwrap_or_default();
        let union = Union { files, cutoff_ms: self.retention.cutoff_ms(now), now_ms: now.timestamp_millis() };
        let is_forgotten = current.purged_before == union.purged_before() || current.base.is_none();
        if union.files.parts.is_empty() && is_forgotten {
            let tidied = TidyReport::unchanged(&current);
            return Ok(Round { union, content: None, current, etag, tidied });
        }
        let mut digest = Sha256::new();
        let tidied = self.each(&union, &mut Sink::Digest(&mut digest)).await?;
        let sha256: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let (content, tidied) = (Some(Revision::of_sha256(&sha256)), TidyReport { more, ..tidied });
        Ok(Round { union, content, current, etag, tidied })
    }

    /// The lines of the union, batch after batch.
    async fn each(&self, union: &Union, sink: &mut Sink<'_, '_>) -> Result<TidyReport, Error> {
        let opened = self.datastores.open(&union.files).await?;
        let mut histories = opened.ok_or(Error::Overtaken)?;
        let mut tidied = TidyReport { files: union.files.parts.len(), ..TidyReport::default() };
        let mut lines = Vec::with_capacity(BATCH_BYTES * 2);
        loop {
            let batch = histories.batch(BATCH_BYTES).await?;
            if batch.is_empty() {
                return Ok(tidied);
            }
            lines.clear();
            for group in &batch {
                union.append(group, &mut lines, &mut tidied)?;
            }
            match sink {
                Sink::Digest(digest) => digest.update(&lines),
                Sink::Upload(upload) => upload.write(&lines).await?,
            }
        }
    }
}

impl App {
    /// Puts everything together, so many files at a time: what is left when this invocation ends is for the next one.
    pub(crate) async fn tidy(&self, now: DateTime<Utc>) -> Result<TidyReport, Error> {
        let mut tidied = self.next_round(now).await?;
        while tidied.more {
            let next = self.next_round(now).await?;
            tidied =
                TidyReport { files: tidied.files + next.files, purged: tidied.purged + next.purged, ..next };
        }
        Ok(tidied)
    }

    async fn next_round(&self, now: DateTime<Utc>) -> Result<TidyReport, Error> {
        let Round { union, content, current, etag, tidied } = self.reader.round(now).await?;
        let Some(content) = content else {
            self.remove_others(&current).await?; // which a run that died may have left
            return Ok(tidied);
        };
        let mut next = Current {
            datastores: tidied.datastores,
            events: tidied.events,
            purged_before: union.purged_before(),
            ..current.clone()
        };
        // the same content again: a run died after it had swapped, or only the day is another
        let is_same = current.base.as_deref().is_some_and(|base| base.ends_with(&name(&content)));
        if !is_same {
            next.generation += 1;
            let key = format!("{BASES}{:08}{}", next.generation, name(&content));
            self.write(&union, &key).await?;
            next.base = Some(key);
        }
        let document = billing::canonical::to_json(&next)?;
        if self.bucket.replace(CURRENT, document, "application/json", etag).await? == Written::Refused {
            return Err(Error::Overtaken);
        }
        let parts = union.files.parts;
        let deletions = iter(parts).map(|part| self.delete(part.key)).buffer_unordered(DELETIONS);
        deletions.try_collect::<()>().await?;
        self.remove_others(&next).await?;
        Ok(tidied)
    }

    async fn delete(&self, key: String) -> Result<(), Error> {
        Ok(self.bucket.delete(&key).await?)
    }

    async fn write(&self, union: &Union, key: &str) -> Result<(), Error> {
        let mut upload = self.bucket.upload(key.to_owned(), JSON_LINES);
        self.reader.each(union, &mut Sink::Upload(&mut upload)).await?;
        Ok(upload.finish().await?)
    }

    /// Removes the bases of generations that are over. A run that still writes one of them is refused when it swaps.
    async fn remove_others(&self, current: &Current) -> Result<(), Error> {
        for listed in self.bucket.list(BASES).await? {
            let generation =
                listed.key.strip_prefix(BASES).and_then(|name| name.get(..8)?.parse::<u64>().ok());
            let is_over = generation.is_some_and(|generation| generation <= current.generation);
            if is_over && Some(&listed.key) != current.base.as_ref() {
                self.bucket.delete(&listed.key).await?;
            }
        }
        Ok(())
    }
}

/// Where the lines of a union go.
enum Sink<'s, 'b> {
    Digest(&'s mut Sha256),
    Upload(&'s mut Upload<'b>),
}

/// All files of histories; of those deleted before the cutoff, only the deletion.
struct Union {
    files: Files,
    cutoff_ms: i64,
    now_ms: i64,
}

impl Union {
    fn purged_before(&self) -> String {
        let time = DateTime::<Utc>::from_timestamp_millis(self.cutoff_ms).unwrap_or_default();
        time.to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    fn append(&self, group: &Group, lines: &mut Vec<u8>, tidied: &mut TidyReport) -> Result<(), Error> {
        let history: History<'_> = group.history()?;
        if history.ended_before(self.cutoff_ms, self.now_ms) {
            tidied.purged += u64::from(history.events().len() > 1);
            history.forgotten().write(lines)?;
            lines.push(b'\n');
            return Ok(());
        }
        tidied.datastores += 1;
        tidied.events += u64::try_from(history.events().len()).unwrap_or(u64::MAX);
        match group.single() {
            Some(line) => lines.extend_from_slice(line),
            None => history.write(lines)?,
        }
        lines.push(b'\n');
        Ok(())
    }
}

fn name(content: &Revision) -> String {
    format!("-{content}.jsonl")
}
