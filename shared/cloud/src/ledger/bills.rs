//! Bills: all runs that posted something (`BILLS` / `CHAIN`), and what goes out of a month once (`BILLS#{YYYY-MM}` / `SENT#{what}`).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use billing::bills::{Chain, ChainRun};
use billing::month::BillingMonth;
use chrono::{DateTime, SecondsFormat, Utc};

use super::{Condition, Ledger, LedgerError, LedgerReader, Record};
use crate::bucket::Written;

/// The chain as it was read.
#[derive(Clone, Debug, Default)]
pub struct StoredChain {
    /// All runs.
    pub chain: Chain,
    /// Its text in the ledger; nothing before the first run.
    seen: Option<String>,
}

/// How far something that goes out has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendingState {
    /// It is being sent, or whoever sent it died or lost the answer: nobody here knows whether it went out.
    Sending,
    /// It went out.
    Sent,
    /// It was refused, for the reason noted; it may be sent again.
    Refused,
}

impl SendingState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for SendingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SendingState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known =
            [Self::Sending, Self::Sent, Self::Refused].into_iter().find(|known| known.as_str() == text);
        known.ok_or_else(|| format!("'{text}' is no state of a mail"))
    }
}

/// Something that goes out of a month once: a mail, an upload, the documents of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// What, unique within the month.
    pub what: String,
    /// How far it has come.
    pub state: SendingState,
    /// Which attempt this is, from 1: what a person says of one is not true of the next.
    pub attempt: u32,
    /// The other side's name for it, or the reason of a refusal.
    pub note: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

const PREFIX: &str = "SENT#";

fn partition(month: BillingMonth) -> String {
    format!("BILLS#{month}")
}

fn record(month: BillingMonth, sending: &Sending) -> Record {
    let fields = [
        ("state", sending.state.to_string()),
        ("attempt", sending.attempt.to_string()),
        ("note", sending.note.clone()),
        ("since", sending.since.to_rfc3339_opts(SecondsFormat::Millis, true)),
    ];
    let fields: BTreeMap<_, _> = fields.map(|(name, value)| (name.to_owned(), value)).into();
    Record { pk: partition(month), sk: format!("{PREFIX}{}", sending.what), fields }
}

impl LedgerReader {
    /// All runs that posted something.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn chain(&self) -> Result<StoredChain, LedgerError> {
        let Some(record) = self.get("BILLS", "CHAIN").await? else { return Ok(StoredChain::default()) };
        let text = record.fields.get("runs").cloned().unwrap_or_default();
        let chain = serde_json::from_str(&text).map_err(|error| record.unusable("runs", &error))?;
        Ok(StoredChain { chain, seen: Some(text) })
    }

    /// What goes out of a month, by what it is.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn sendings(&self, month: BillingMonth) -> Result<BTreeMap<String, Sending>, LedgerError> {
        let records = self.query(&partition(month), PREFIX).await?;
        let sending = |record: &Record| {
            let what = record.sk.strip_prefix(PREFIX).unwrap_or(&record.sk).to_owned();
            let note = record.fields.get("note").cloned().unwrap_or_default();
            let (state, attempt, since) =
                (record.field("state")?, record.field("attempt")?, record.field("since")?);
            Ok((what.clone(), Sending { what, state, attempt, note, since }))
        };
        records.iter().map(sending).collect()
    }
}

impl Ledger {
    /// Appends a run, if the chain is still what was read.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn extend_chain(&self, stored: &StoredChain, run: ChainRun) -> Result<Written, LedgerError> {
        let mut chain = stored.chain.clone();
        chain.0.push(run);
        let (pk, sk) = ("BILLS".to_owned(), "CHAIN".to_owned());
        let text = serde_json::to_string(&chain).map_err(|error| LedgerError::Record {
            pk: pk.clone(),
            sk: sk.clone(),
            field: "runs",
            reason: error.to_string(),
        })?;
        let fields = BTreeMap::from([("runs".to_owned(), text)]);
        let condition = Condition::Unchanged { field: "runs", seen: stored.seen.as_deref() };
        self.put(&Record { pk, sk, fields }, condition).await
    }

    /// Notes how far something has come, if it is still where it was seen.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn note_sending(
        &self,
        month: BillingMonth,
        sending: &Sending,
        seen: Option<SendingState>,
    ) -> Result<Written, LedgerError> {
        let seen = seen.map(SendingState::as_str);
        self.put(&record(month, sending), Condition::Unchanged { field: "state", seen }).await
    }
}
