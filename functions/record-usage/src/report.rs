//! What `record-usage` answers.

use cloud::datastores::Current;
use cloud::invocation::{Report, Tally};
use serde::{Deserialize, Serialize};

use crate::Error;

/// What became of the files of one event, in its order, or of all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordUsageReport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// One entry a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileReport>,
    /// What putting together came to, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tidied: Option<TidyReport>,
}

/// What became of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileReportState {
    /// Its events count.
    Recorded,
    /// Done before; nothing to do.
    Already,
    /// An event was kept as this file, whose notification takes it in.
    Kept,
    /// None of its events counts; the reason stands under `held/`.
    Held,
    /// It could not be read, but another content stands in its place already.
    Replaced,
    /// Not done; nothing is lost, trying again may help.
    Failed,
    /// It would be taken in.
    Preview,
    /// It would be held.
    WouldHold,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// Its key.
    pub key: String,
    /// What became of it.
    pub state: FileReportState,
    /// Events in it.
    pub events: usize,
    /// Datastores that they are about.
    pub datastores: usize,
    /// Why, in one line.
    pub reason: String,
}

/// All histories after putting them together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TidyReport {
    /// Files that went into the base.
    pub files: usize,
    /// Datastores kept.
    pub datastores: u64,
    /// Their events.
    pub events: u64,
    /// Datastores forgotten, because their deletion is too long ago.
    pub purged: u64,
    /// Whether files are left that were not put together.
    pub more: bool,
}

impl FileReport {
    pub(crate) fn new(key: &str, state: FileReportState, reason: impl Into<String>) -> Self {
        Self { key: key.to_owned(), state, events: 0, datastores: 0, reason: reason.into() }
    }

    pub(crate) fn counted(key: &str, state: FileReportState, events: usize, datastores: usize) -> Self {
        let reason = format!("{events} events of {datastores} datastores");
        Self { events, datastores, ..Self::new(key, state, reason) }
    }

    /// What was done with a file, or that it failed.
    pub(crate) fn or_failed(key: &str, done: Result<Self, Error>) -> Self {
        done.unwrap_or_else(|error| Self::new(key, FileReportState::Failed, error.to_string()))
    }
}

impl TidyReport {
    pub(crate) fn unchanged(current: &Current) -> Self {
        Self { datastores: current.datastores, events: current.events, ..Self::default() }
    }
}

impl RecordUsageReport {
    fn count(&self, states: &[FileReportState]) -> usize {
        self.files.iter().filter(|file| states.contains(&file.state)).count()
    }
}

impl Report for RecordUsageReport {
    fn tally(&self) -> Tally {
        let held = self.count(&[FileReportState::Held, FileReportState::WouldHold]);
        let failed = self.count(&[FileReportState::Failed]);
        let success = self.files.len() - held - failed + usize::from(self.tidied.is_some());
        Tally { success, held, failed }
    }

    fn message(&self) -> String {
        if let Some(TidyReport { files, datastores, events, purged, .. }) = &self.tidied {
            return format!(
                "{files} files put together; {datastores} datastores with {events} events, {purged} forgotten"
            );
        }
        let trouble = |file: &FileReport| match file.state {
            FileReportState::Held | FileReportState::WouldHold => {
                Some(format!("{} held: {}", file.key, file.reason))
            }
            FileReportState::Failed => Some(format!("{} failed: {}", file.key, file.reason)),
            _ => None,
        };
        let troubles: Vec<String> = self.files.iter().filter_map(trouble).collect();
        if troubles.is_empty() {
            let events: usize = self.files.iter().map(|file| file.events).sum();
            format!("{} files with {events} new events", self.files.len())
        } else {
            troubles.join("; ")
        }
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(files: impl IntoIterator<Item = FileReport>) -> RecordUsageReport {
        RecordUsageReport { files: files.into_iter().collect(), ..RecordUsageReport::default() }
    }

    #[test]
    fn what_is_held_and_what_failed_is_told_by_file_and_the_rest_is_counted() {
        let recorded = |key: &str| FileReport::counted(key, FileReportState::Recorded, 3, 2);
        let held = FileReport::new("datastores/b", FileReportState::Held, "line 2: datastore is missing");
        let failed = FileReport::new("datastores/c", FileReportState::Failed, "the network is away");
        let fine = report([recorded("datastores/a"), recorded("datastores/d")]);
        assert_eq!(fine.message(), "2 files with 6 new events");
        let mixed = report([recorded("datastores/a"), held, failed]);
        assert_eq!(
            mixed.message(),
            "datastores/b held: line 2: datastore is missing; datastores/c failed: the network is away"
        );
        assert_eq!(mixed.tally(), Tally { success: 1, held: 1, failed: 1 });
    }

    #[test]
    fn a_file_that_was_replaced_or_done_before_is_no_trouble() {
        let files = [FileReportState::Already, FileReportState::Kept, FileReportState::Replaced];
        let fine = report(files.map(|state| FileReport::new("datastores/a", state, "")));
        assert_eq!(fine.tally(), Tally { success: 3, held: 0, failed: 0 });
        assert_eq!(fine.message(), "3 files with 0 new events");
    }
}
