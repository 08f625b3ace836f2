//! A submission as a record, and back.

use std::collections::BTreeMap;
use std::fmt;

use billing::ids::{ContractId, Dimension};
use billing::keys::{decode, encode};
use billing::metering::{Line, Plan, Reply, Sharing, Submission, SubmissionState};
use billing::money::Exact;
use billing::month::BillingMonth;
use billing::revision::Revision;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::super::fields::{json, millis};
use super::super::{LedgerError, Record};
use super::{Stored, record};

/// The attributes.
#[derive(Serialize, Deserialize)]
struct Row {
    state: SubmissionState,
    usage: Exact,
    carry_in: Exact,
    quantity: Exact,
    carry_out: Exact,
    snapshot: Revision,
    fixed: bool,
    attempts: u32,
    version: u64,
    sent_at: Option<Moment>,
    #[serde(default, with = "json", skip_serializing_if = "Option::is_none")]
    reply: Option<Reply>,
    #[serde(default, with = "json", skip_serializing_if = "Option::is_none")]
    given_by: Option<BTreeMap<Plan, Exact>>,
    sent_with: Option<Plan>,
    given: Option<Exact>,
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Moment(#[serde(with = "millis")] DateTime<Utc>);

pub(super) fn write_submission(
    plan: &Plan,
    month: BillingMonth,
    submission: &Submission,
    version: u64,
) -> Result<Record, LedgerError> {
    let Submission { line: Line { contract, dimension }, sharing, .. } = submission;
    let (given_by, sent_with, given) = match sharing.clone() {
        Sharing::Alone => (None, None, None),
        Sharing::Sends(given_by) => (Some(given_by), None, None),
        Sharing::SentWith { plan, given } => (None, Some(plan), Some(given)),
    };
    let row = Row {
        state: submission.state,
        usage: submission.usage,
        carry_in: submission.carry_in,
        quantity: submission.quantity,
        carry_out: submission.carry_out,
        snapshot: submission.snapshot.clone(),
        fixed: submission.fixed,
        attempts: submission.attempts,
        version,
        sent_at: submission.sent_at.map(Moment),
        reply: submission.reply.clone(),
        given_by,
        sent_with,
        given,
    };
    record(plan, format!("{month}#{}#{}", encode(contract.as_str()), encode(dimension.as_str())), &row)
}

pub(super) fn read_submission(record: &Record) -> Result<Stored, LedgerError> {
    let mut parts = record.sk.split('#').skip(1);
    let mut part = || parts.next().unwrap_or_default();
    let (contract, dimension) = (part(), part());
    let row: Row = record.read()?;
    let sharing = match (row.sent_with, row.given, row.given_by) {
        (Some(plan), Some(given), _) => Sharing::SentWith { plan, given },
        (Some(_), None, _) => return Err(record.unusable("given", &"it is missing")),
        (None, _, Some(given_by)) => Sharing::Sends(given_by),
        (None, _, None) => Sharing::Alone,
    };
    let submission = Submission {
        line: Line {
            contract: segment(record, contract, ContractId::new)?,
            dimension: segment(record, dimension, Dimension::new)?,
        },
        state: row.state,
        usage: row.usage,
        carry_in: row.carry_in,
        quantity: row.quantity,
        carry_out: row.carry_out,
        snapshot: row.snapshot,
        fixed: row.fixed,
        attempts: row.attempts,
        sent_at: row.sent_at.map(|Moment(at)| at),
        reply: row.reply,
        sharing,
    };
    Ok(Stored { submission, version: row.version })
}

pub(super) fn month_of(record: &Record, text: &str) -> Result<BillingMonth, LedgerError> {
    let month = text.split('#').next().unwrap_or_default();
    month.parse().map_err(|error| record.unusable("month", &error))
}

pub(super) fn segment<T, E: fmt::Display>(
    record: &Record,
    text: &str,
    of: fn(String) -> Result<T, E>,
) -> Result<T, LedgerError> {
    let decoded = decode(text).ok_or_else(|| record.unusable("key", &format!("'{text}' is not encoded")))?;
    of(decoded).map_err(|error| record.unusable("key", &error))
}
