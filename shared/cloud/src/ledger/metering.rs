//! Metering of one plan, `METER#{service}:{environment}:{plan}`:
//!
//! | sort key | what |
//! |---|---|
//! | `CURSOR` | the last month that is closed |
//! | `USAGE#{YYYY-MM}` | the newest usage snapshot of a month |
//! | `{YYYY-MM}#{contract}#{dimension}` | a submission |
//! | `MONTH#{YYYY-MM}` | whether a month is closed or reopened, and why |
//! | `IMPORTED#{YYYY-MM}#{contract}` | a contract whose month the earlier exporter reported |
//! | `LEFT-OUT#{YYYY-MM}` | that nobody waits for the plan's usage of a month, and why |
//! | `LEASE` | who works on the plan, and until when |

mod stored;

use std::collections::{BTreeMap, BTreeSet};

use billing::ids::ContractId;
use billing::keys::encode;
use billing::metering::{EarlierPlan, LeftOut, Line, Plan, Submission, SubmissionState, UsageSnapshot};
use billing::month::BillingMonth;
use billing::revision::Revision;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::stored::{month_of, read_submission, segment, write_submission};
use super::fields::millis;
use super::{Condition, Ledger, LedgerError, LedgerReader, Record};
use crate::bucket::Written;
use crate::publication::Rounds;

/// How far the months of a plan are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The last closed month; all before it are closed too, or not ours.
    pub last_processed_month: BillingMonth,
    /// When it was set.
    #[serde(with = "millis")]
    pub last_updated: DateTime<Utc>,
}

/// The newest usage snapshot of a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// The month.
    #[serde(skip_serializing)]
    pub month: BillingMonth,
    /// The snapshot.
    pub revision: Revision,
    /// When the export was read.
    #[serde(with = "millis")]
    pub fetched_at: DateTime<Utc>,
    /// Over the key and the ETag of every file.
    #[serde(default)]
    pub digest: String,
    /// Files counted.
    pub files: u64,
    /// Records counted.
    pub records: u64,
    /// Of these, records that name no contract or no dimension.
    pub unattributed: u64,
}

impl UsageRecord {
    /// What is recorded of a snapshot.
    #[must_use]
    pub fn of(snapshot: &UsageSnapshot, revision: &Revision, fetched_at: DateTime<Utc>) -> Self {
        Self {
            month: snapshot.period,
            revision: revision.clone(),
            fetched_at,
            digest: snapshot.digest.clone(),
            files: snapshot.files,
            records: snapshot.records,
            unattributed: snapshot.unattributed_records(),
        }
    }
}

/// Whether a month is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MonthState {
    /// Everything of it is accepted, or was nothing to send.
    Closed,
    /// A person opened it again.
    Reopened,
}

/// What is known of a month as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthRecord {
    /// The month.
    #[serde(skip_serializing)]
    pub month: BillingMonth,
    /// Its state.
    pub state: MonthState,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Who set it.
    #[serde(default)]
    pub by: String,
    /// When.
    #[serde(with = "millis")]
    pub since: DateTime<Utc>,
}

/// A submission with the version of its record: a write says which version it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The submission.
    pub submission: Submission,
    /// Counts the writes of its record.
    pub version: u64,
}

/// As it is written.
impl std::fmt::Display for MonthState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// What is recorded of usage, with its place among that of its month.
#[derive(Serialize)]
struct UsageRow<'r> {
    order: String,
    #[serde(flatten)]
    usage: &'r UsageRecord,
}

/// Why nobody waits for a month.
#[derive(Serialize, Deserialize)]
struct LeftOutRow {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    by: String,
    #[serde(with = "millis")]
    since: DateTime<Utc>,
}

fn partition(plan: &Plan) -> String {
    format!("METER#{}", plan.names().map(encode).join(":"))
}

fn record(plan: &Plan, sk: impl Into<String>, fields: &impl Serialize) -> Result<Record, LedgerError> {
    Record::of(partition(plan), sk, fields)
}

const CURSOR: &str = "CURSOR";
const LEASE: &str = "LEASE";
const USAGE: &str = "USAGE#";
const MONTH: &str = "MONTH#";
const LEFT_OUT: &str = "LEFT-OUT#";

impl LedgerReader {
    /// How far a plan is closed; nothing if it was never metered.
    ///
    /// # Errors
    /// [`LedgerError`]; a record that cannot be read is never taken for none.
    pub async fn cursor(&self, plan: &Plan) -> Result<Option<Cursor>, LedgerError> {
        self.get(&partition(plan), CURSOR).await?.map(|record| record.read()).transpose()
    }

    /// The newest usage of all months, oldest month first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn usage(&self, plan: &Plan) -> Result<Vec<UsageRecord>, LedgerError> {
        let records = self.query(&partition(plan), USAGE).await?;
        records.into_iter().map(|record| record.naming("month", USAGE).read()).collect()
    }

    /// The submissions of a month.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn submissions(
        &self,
        plan: &Plan,
        month: BillingMonth,
    ) -> Result<BTreeMap<Line, Stored>, LedgerError> {
        let records = self.query(&partition(plan), &format!("{month}#")).await?;
        records.iter().map(|record| read_submission(record).map(|s| (s.submission.line.clone(), s))).collect()
    }

    /// Contracts of a month that the earlier exporter reported.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn imported(
        &self,
        plan: &Plan,
        month: BillingMonth,
    ) -> Result<BTreeSet<ContractId>, LedgerError> {
        let prefix = format!("IMPORTED#{month}#");
        let records = self.query(&partition(plan), &prefix).await?;
        let contract =
            |record: &Record| segment(record, record.sk.trim_start_matches(&prefix), ContractId::new);
        records.iter().map(contract).collect()
    }

    /// What is known of the months that were closed or reopened, oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn metered_months(&self, plan: &Plan) -> Result<Vec<MonthRecord>, LedgerError> {
        let records = self.query(&partition(plan), MONTH).await?;
        records.into_iter().map(|record| record.naming("month", MONTH).read()).collect()
    }

    /// Months in which nobody waits for a plan's usage.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn left_out(&self, plan: &Plan) -> Result<BTreeMap<BillingMonth, LeftOut>, LedgerError> {
        let records = self.query(&partition(plan), LEFT_OUT).await?;
        let read = |record: &Record| {
            let month = month_of(record, record.sk.trim_start_matches(LEFT_OUT))?;
            let LeftOutRow { reason, by, .. } = record.read()?;
            Ok((month, LeftOut { plan: plan.clone(), reason, by }))
        };
        records.iter().map(read).collect()
    }

    /// All contracts that were reported, by month: by us or by the earlier exporter.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn reported_contracts(&self, plan: &Plan) -> Result<EarlierPlan, LedgerError> {
        let cursor = self.cursor(plan).await?;
        // what came too late or was given up is not reported, and does not take back what was
        let mut months: BTreeMap<BillingMonth, BTreeMap<ContractId, bool>> = BTreeMap::new();
        for record in self.query(&partition(plan), "").await? {
            if record.sk.starts_with(|c: char| c.is_ascii_digit()) {
                let (month, stored) = (month_of(&record, &record.sk)?, read_submission(&record)?);
                if matches!(stored.submission.state, SubmissionState::Late | SubmissionState::GivenUp) {
                    continue;
                }
                let reported = months.entry(month).or_default().entry(stored.submission.line.contract);
                *reported.or_insert(true) &= stored.submission.state.is_settled();
            } else if let Some(rest) = record.sk.strip_prefix("IMPORTED#") {
                let month = month_of(&record, rest)?;
                let contract = segment(&record, rest.split('#').nth(1).unwrap_or_default(), ContractId::new)?;
                months.entry(month).or_default().insert(contract, true);
            }
        }
        let reported = |contracts: BTreeMap<ContractId, bool>| {
            contracts
                .into_iter()
                .filter(|(_, reported)| *reported)
                .map(|(contract, _)| contract)
                .collect::<BTreeSet<_>>()
        };
        let months = months.into_iter().map(|(month, contracts)| (month, reported(contracts)));
        Ok(EarlierPlan {
            last_processed_month: cursor.map(|cursor| cursor.last_processed_month),
            last_updated: cursor.map(|cursor| cursor.last_updated),
            processed_contracts: months.filter(|(_, contracts)| !contracts.is_empty()).collect(),
            failed_contracts: BTreeMap::new(),
        })
    }
}

impl Ledger {
    /// Gives a plan without history its beginning: everything up to this month is not ours.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn begin_metering(
        &self,
        plan: &Plan,
        before_first: BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        let cursor = cursor_record(plan, before_first, now)?;
        self.put(&cursor, Condition::Unchanged { field: "last_processed_month", seen: None })
            .await
            .map(|_| ())
    }

    /// Makes a snapshot the newest usage of its month, unless one that was fetched later is.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn register_usage(&self, plan: &Plan, usage: &UsageRecord) -> Result<Written, LedgerError> {
        let order = format!("{}|{}", millis::text(&usage.fetched_at), usage.revision);
        let record = record(plan, format!("{USAGE}{}", usage.month), &UsageRow { order, usage })?;
        self.put(&record, Condition::Newer { field: "order" }).await
    }

    /// Writes a submission if its record is still the one that was seen (version 0: none). A write whose answer was lost and that
    /// was tried again finds itself written, which is as good.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn put_submission(
        &self,
        plan: &Plan,
        month: BillingMonth,
        submission: &Submission,
        seen: u64,
    ) -> Result<Written, LedgerError> {
        let record = write_submission(plan, month, submission, seen + 1)?;
        let seen = seen.to_string();
        let seen = Some(seen.as_str()).filter(|seen| *seen != "0");
        let written = self.put(&record, Condition::Unchanged { field: "version", seen }).await?;
        if written == Written::Refused && self.get(&record.pk, &record.sk).await?.as_ref() == Some(&record) {
            return Ok(Written::Now);
        }
        Ok(written)
    }

    /// Records that a month is closed, and moves the cursor onto it if it stands on the month before.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn close_month(
        &self,
        plan: &Plan,
        month: BillingMonth,
        reason: &str,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Written, LedgerError> {
        self.put(&month_record(plan, month, MonthState::Closed, reason, by, now)?, Condition::Always).await?;
        let before = month.previous().to_string();
        let condition = Condition::Unchanged { field: "last_processed_month", seen: Some(&before) };
        let written = self.put(&cursor_record(plan, month, now)?, condition).await?;
        let there = self.cursor(plan).await?.is_some_and(|cursor| cursor.last_processed_month >= month);
        Ok(if there { Written::Now } else { written })
    }

    /// Waits no longer for a plan's usage of a month: contracts of other plans are sent without it.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn leave_out(
        &self,
        month: BillingMonth,
        left_out: &LeftOut,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        let LeftOut { plan, reason, by } = left_out.clone();
        let row = LeftOutRow { reason, by, since: now };
        let record = record(&plan, format!("{LEFT_OUT}{month}"), &row)?;
        self.put(&record, Condition::Always).await.map(|_| ())
    }

    /// Opens a month and those after it again; answers which. Accepted submissions stay as they are; what was given up of the month is to be
    /// sent again.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn reopen_months(
        &self,
        plan: &Plan,
        from: BillingMonth,
        reason: &str,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<BillingMonth>, LedgerError> {
        let mut reopened = Vec::new();
        let (mut taken_up, mut rounds) = (false, Rounds::of(format!("the cursor of {plan}")));
        loop {
            rounds.begin()?;
            let Some(cursor) = self.cursor(plan).await? else { return Ok(Vec::new()) };
            let last = cursor.last_processed_month;
            let next = |month: &BillingMonth| Some(month.next());
            let months: Vec<BillingMonth> =
                std::iter::successors(Some(from), next).take_while(|month| *month <= last).collect();
            // a write whose answer was lost has moved the cursor already
            reopened.extend(
                months.iter().filter(|month| !reopened.contains(*month)).copied().collect::<Vec<_>>(),
            );
            if !months.is_empty() && !std::mem::replace(&mut taken_up, true) {
                self.take_up(plan, from).await?;
            }
            for month in &months {
                let record = month_record(plan, *month, MonthState::Reopened, reason, by, now)?;
                self.put(&record, Condition::Always).await?;
            }
            let seen = last.to_string();
            let unchanged = Condition::Unchanged { field: "last_processed_month", seen: Some(&seen) };
            if months.is_empty()
                || self.put(&cursor_record(plan, from.previous(), now)?, unchanged).await? == Written::Now
            {
                return Ok(reopened);
            }
        }
    }

    /// What was given up of a month is to be sent again.
    async fn take_up(&self, plan: &Plan, month: BillingMonth) -> Result<(), LedgerError> {
        for stored in self.submissions(plan, month).await?.into_values() {
            let Stored { submission, version } = stored;
            if submission.state == SubmissionState::GivenUp && submission.sharing.sent_with().is_none() {
                self.put_submission(plan, month, &submission.taken_up(), version).await?;
            }
        }
        Ok(())
    }

    /// Takes over what the earlier exporter has reported: its contracts are never sent for these months, and the cursor moves
    /// forward to its last month. What is there already stays.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn import_metering(
        &self,
        plan: &Plan,
        state: &EarlierPlan,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        for (month, contracts) in &state.processed_contracts {
            for contract in contracts {
                let sk = format!("IMPORTED#{month}#{}", encode(contract.as_str()));
                let imported = record(plan, sk, &json!({"imported_at": millis::text(&now)}))?;
                self.put(&imported, Condition::Always).await?;
            }
        }
        let Some(last) = state.last_complete_month() else { return Ok(()) };
        let mut rounds = Rounds::of(format!("the cursor of {plan}"));
        loop {
            rounds.begin()?;
            let cursor = self.cursor(plan).await?;
            let seen = cursor.map(|cursor| cursor.last_processed_month);
            if seen.is_some_and(|seen| seen >= last) {
                return Ok(());
            }
            let seen = seen.map(|seen| seen.to_string());
            let unchanged = Condition::Unchanged { field: "last_processed_month", seen: seen.as_deref() };
            let updated = state.last_updated.unwrap_or(now);
            if self.put(&cursor_record(plan, last, updated)?, unchanged).await? == Written::Now {
                return Ok(());
            }
        }
    }

    /// Takes or prolongs the right to work on a plan. Refused while somebody else has it.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn lease(
        &self,
        plan: &Plan,
        owner: &str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Written, LedgerError> {
        let lease = record(plan, LEASE, &json!({"owner": owner, "until": millis::text(&until)}))?;
        self.put(&lease, Condition::Free { owner, now: &millis::text(&now) }).await
    }

    /// Gives the right back; if somebody else has it by now, nothing.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn release(&self, plan: &Plan, owner: &str) -> Result<(), LedgerError> {
        let free = record(plan, LEASE, &json!({"owner": "", "until": ""}))?;
        self.put(&free, Condition::Unchanged { field: "owner", seen: Some(owner) }).await.map(|_| ())
    }
}

fn cursor_record(plan: &Plan, month: BillingMonth, now: DateTime<Utc>) -> Result<Record, LedgerError> {
    record(plan, CURSOR, &Cursor { last_processed_month: month, last_updated: now })
}

fn month_record(
    plan: &Plan,
    month: BillingMonth,
    state: MonthState,
    reason: &str,
    by: &str,
    now: DateTime<Utc>,
) -> Result<Record, LedgerError> {
    let (reason, by) = (reason.to_owned(), by.to_owned());
    record(plan, format!("{MONTH}{month}"), &MonthRecord { month, state, reason, by, since: now })
}
