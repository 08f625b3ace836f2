//! Files of lines that were taken in: `FILE#{key}` / `{revision}`. A file that is replaced by another content has one record for each.

use billing::revision::Revision;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use super::fields::millis;
use super::{Condition, Ledger, LedgerError, LedgerReader, Record};

/// What became of one content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Its lines count.
    Recorded {
        /// How many lines it had.
        lines: usize,
    },
    /// None of its lines counts.
    Held {
        /// Why, with the line.
        reason: String,
    },
}

/// The attributes that are read.
#[derive(Deserialize)]
struct Row {
    state: String,
    #[serde(default)]
    lines: String,
    #[serde(default)]
    reason: String,
}

impl LedgerReader {
    /// What became of each content of a file.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn file(&self, key: &str) -> Result<Vec<(Revision, FileState)>, LedgerError> {
        let records = self.query(&format!("FILE#{key}"), "").await?;
        records.iter().map(read).collect()
    }
}

impl Ledger {
    /// Records what became of one content of a file.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn record_file(
        &self,
        key: &str,
        revision: &Revision,
        state: &FileState,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        let (state, lines, reason) = match state {
            FileState::Recorded { lines } => ("recorded", lines.to_string(), String::new()),
            FileState::Held { reason } => ("held", String::new(), reason.chars().take(2000).collect()),
        };
        let recorded_at = millis::text(&now);
        let fields = json!({"state": state, "lines": lines, "reason": reason, "recorded_at": recorded_at});
        let record = Record::of(format!("FILE#{key}"), revision.as_str(), &fields)?;
        // what a content comes to follows from the content alone
        self.put(&record, Condition::Always).await.map(|_| ())
    }
}

fn read(record: &Record) -> Result<(Revision, FileState), LedgerError> {
    let revision = Revision::parse(&record.sk).map_err(|error| record.unusable("sk", &error))?;
    let Row { state, lines, reason } = record.read()?;
    let lines = || lines.parse().map_err(|error| record.unusable("lines", &error));
    let state = match state.as_str() {
        "recorded" => FileState::Recorded { lines: lines()? },
        "held" => FileState::Held { reason },
        other => return Err(record.unusable("state", &format!("'{other}' is neither recorded nor held"))),
    };
    Ok((revision, state))
}
