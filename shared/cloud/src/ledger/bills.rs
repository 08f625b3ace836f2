//! Bills: the runs that posted something, in their order (`BILLS` / `RUN#{place}`), and what goes out of a month once (`BILLS#{YYYY-MM}` / `SENT#{what}`).
//!
//! Versions before kept all runs in one item (`BILLS` / `CHAIN`). It is read as the first of them and never written again.

use std::collections::BTreeMap;
use std::fmt;

use billing::bills::{Chain, ChainRun, RunId};
use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::fields::{json, millis, spaced, yes_or_no};
use super::{Condition, Ledger, LedgerError, LedgerReader, Record};
use crate::bucket::Written;

/// The chain as it was read.
#[derive(Clone, Debug, Default)]
pub struct StoredChain {
    /// All runs.
    pub chain: Chain,
}

/// How far something that goes out has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SendingState {
    /// It is being sent, or whoever sent it died or lost the answer: nobody here knows whether it went out.
    Sending,
    /// It went out.
    Sent,
    /// It was refused, for the reason noted; it may be sent again.
    Refused,
}

/// As it is written.
impl fmt::Display for SendingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Something that goes out of a month once: a mail, an upload, the documents of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    /// What, unique within the month.
    #[serde(skip_serializing)]
    pub what: String,
    /// How far it has come.
    pub state: SendingState,
    /// Which attempt this is, from 1: what a person says of one is not true of the next.
    pub attempt: u32,
    /// The other side's name for it, or the reason of a refusal.
    #[serde(default)]
    pub note: String,
    /// Since when.
    #[serde(with = "millis")]
    pub since: DateTime<Utc>,
}

const PREFIX: &str = "SENT#";

/// Where the chain stands.
const CHAIN: &str = "BILLS";
/// The item that versions before kept it in.
const FIRST_RUNS: &str = "CHAIN";
const RUN: &str = "RUN#";

/// The item of the run at a place, from 1: as many digits as keep the order of texts that of numbers.
fn at_place(place: usize) -> String {
    format!("{RUN}{place:08}")
}

/// A run as an item.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct RunItem(#[serde(with = "Run")] ChainRun);

#[derive(Serialize, Deserialize)]
#[serde(remote = "ChainRun")]
struct Run {
    #[serde(with = "spaced::one")]
    run: RunId,
    document: String,
    fingerprint: String,
    #[serde(with = "spaced")]
    took: Vec<RunId>,
    #[serde(with = "yes_or_no")]
    gives: bool,
}

fn run_record(place: usize, run: &ChainRun) -> Result<Record, LedgerError> {
    Record::of(CHAIN.to_owned(), at_place(place), &RunItem(run.clone()))
}

fn run_of(record: &Record) -> Result<ChainRun, LedgerError> {
    let RunItem(run) = record.read()?;
    if run.document.is_empty() {
        return Err(record.unusable("document", &"it is empty"));
    }
    Ok(run)
}

/// All runs in one item.
#[derive(Deserialize)]
struct FirstRuns {
    #[serde(with = "json")]
    runs: Chain,
}

/// The chain of its items: without a gap, and each run the next of its month.
fn chain_of(records: &[Record]) -> Result<Chain, LedgerError> {
    let (items, before): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.sk.starts_with(RUN));
    let mut chain = Chain::default();
    for record in before {
        if record.sk != FIRST_RUNS {
            return Err(record.unusable("place", &"it is no run of bills"));
        }
        FirstRuns { runs: chain } = record.read()?;
    }
    let mut newest: BTreeMap<BillingMonth, u32> = BTreeMap::new();
    for run in &chain.0 {
        newest.insert(run.run.month, run.run.number);
    }
    for record in items {
        let place = chain.0.len() + 1;
        if record.sk != at_place(place) {
            let reason =
                format!("the run before it is at {}, and there is no {}", place - 1, at_place(place));
            return Err(record.unusable("place", &reason));
        }
        let run = run_of(record)?;
        let number = newest.entry(run.run.month).or_default();
        if run.run.number != *number + 1 {
            let reason = format!("{} comes after run {number} of its month", run.run);
            return Err(record.unusable("run", &reason));
        }
        *number = run.run.number;
        chain.0.push(run);
    }
    Ok(chain)
}

fn partition(month: BillingMonth) -> String {
    format!("BILLS#{month}")
}

impl LedgerReader {
    /// All runs that posted something.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn chain(&self) -> Result<StoredChain, LedgerError> {
        Ok(StoredChain { chain: chain_of(&self.query(CHAIN, "").await?)? })
    }

    /// What goes out of a month, by what it is.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn sendings(&self, month: BillingMonth) -> Result<BTreeMap<String, Sending>, LedgerError> {
        let records = self.query(&partition(month), PREFIX).await?;
        let sending = |record: Record| {
            let sending: Sending = record.naming("what", PREFIX).read()?;
            Ok((sending.what.clone(), sending))
        };
        records.into_iter().map(sending).collect()
    }
}

impl Ledger {
    /// Appends a run, if the chain is still what was read: nobody else has taken the next place.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn extend_chain(&self, stored: &StoredChain, run: &ChainRun) -> Result<Written, LedgerError> {
        let record = run_record(stored.chain.0.len() + 1, run)?;
        self.put(&record, Condition::Unchanged { field: "run", seen: None }).await
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
        let seen = seen.map(|seen| seen.to_string());
        let record = Record::of(partition(month), format!("{PREFIX}{}", sending.what), sending)?;
        self.put(&record, Condition::Unchanged { field: "state", seen: seen.as_deref() }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> ChainRun {
        let (document, fingerprint) = (format!("bills/{text}"), "f".to_owned());
        ChainRun { run: text.parse().unwrap(), document, fingerprint, took: Vec::new(), gives: true }
    }

    fn item(place: usize, run: &ChainRun) -> Record {
        run_record(place, run).unwrap()
    }

    fn old(runs: &[ChainRun]) -> Record {
        let fields = [("runs".to_owned(), serde_json::to_string(runs).unwrap())].into();
        Record { pk: CHAIN.into(), sk: FIRST_RUNS.into(), fields }
    }

    #[test]
    fn runs_come_back_as_they_were_written_after_those_of_the_old_item() {
        let [one, two, three] = ["2026-09#1", "2026-10#1", "2026-09#2"].map(run);
        let three = ChainRun { took: vec![one.run, two.run], gives: false, ..three };
        let records = [old(&[one.clone(), two.clone()]), item(3, &three)];
        assert_eq!(chain_of(&records).unwrap().0, [one.clone(), two.clone(), three.clone()]);
        let records = [item(1, &one), item(2, &two), item(3, &three)];
        assert_eq!(chain_of(&records).unwrap().0, [one, two, three]);
        assert_eq!(chain_of(&[]).unwrap(), Chain::default());
    }

    #[test]
    fn a_gap_and_a_run_out_of_order_are_refused() {
        let [one, two] = ["2026-09#1", "2026-09#2"].map(run);
        let strange = Record { sk: "NOTE".into(), ..item(1, &one) };
        let with = |name: &str, value: &str| {
            let mut record = item(1, &one);
            record.fields.insert(name.to_owned(), value.to_owned());
            record
        };
        for (records, why) in [
            (
                vec![item(2, &two)],
                "RUN#00000002 in the ledger is damaged: its place: the run before it is at 0, and there is no RUN#00000001",
            ),
            (vec![item(1, &one), item(3, &two)], "there is no RUN#00000002"),
            // a version before went on in its own item
            (vec![old(&[one.clone(), two.clone()]), item(2, &two)], "there is no RUN#00000003"),
            (vec![item(1, &two)], "2026-09#2 comes after run 0 of its month"),
            (vec![item(1, &one), item(2, &one)], "2026-09#1 comes after run 1"),
            (vec![strange], "it is no run of bills"),
            (vec![with("run", "x")], "its run: 'x' is no run"),
            (vec![with("took", "2026-09")], "its took: '2026-09' is no run"),
            (vec![with("gives", "")], "its gives: ''"),
            (vec![with("document", "")], "its document: it is empty"),
        ] {
            let error = chain_of(&records).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("BILLS / "), "{error}");
        }
    }
}
