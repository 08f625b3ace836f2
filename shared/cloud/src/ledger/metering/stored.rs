//! A submission as a record, and back.

use std::collections::BTreeMap;
use std::fmt;

use billing::ids::{ContractId, Dimension};
use billing::keys::{decode, encode};
use billing::metering::{Line, Plan, Quantity, Sharing, Submission};
use billing::month::BillingMonth;
use billing::revision::Revision;

use super::super::{LedgerError, Record};
use super::{Stored, record, time};

pub(super) fn write_submission(
    plan: &Plan,
    month: BillingMonth,
    submission: &Submission,
    version: u64,
) -> Result<Record, LedgerError> {
    let Line { contract, dimension } = &submission.line;
    let sk = format!("{month}#{}#{}", encode(contract.as_str()), encode(dimension.as_str()));
    let mut record = record(
        plan,
        sk,
        [
            ("state", submission.state.to_string()),
            ("usage", submission.usage.to_string()),
            ("carry_in", submission.carry_in.to_string()),
            ("quantity", submission.quantity.to_string()),
            ("carry_out", submission.carry_out.to_string()),
            ("snapshot", submission.snapshot.to_string()),
            ("fixed", submission.fixed.to_string()),
            ("attempts", submission.attempts.to_string()),
            ("version", version.to_string()),
        ],
    );
    if let Some(sent_at) = submission.sent_at {
        record.fields.insert("sent_at".into(), time(sent_at));
    }
    if let Some(reply) = &submission.reply {
        let reply = serde_json::to_string(reply).map_err(|error| record.unusable("reply", &error))?;
        record.fields.insert("reply".into(), reply);
    }
    match &submission.sharing {
        Sharing::Alone => {}
        Sharing::Sends(given) => {
            let given = serde_json::to_string(given).map_err(|error| record.unusable("given_by", &error))?;
            record.fields.insert("given_by".into(), given);
        }
        Sharing::SentWith { plan, given } => {
            record.fields.insert("sent_with".into(), plan.to_string());
            record.fields.insert("given".into(), given.to_string());
        }
    }
    Ok(record)
}

fn read_sharing(record: &Record) -> Result<Sharing, LedgerError> {
    if record.fields.contains_key("sent_with") {
        return Ok(Sharing::SentWith { plan: record.field("sent_with")?, given: record.field("given")? });
    }
    match record.fields.get("given_by") {
        None => Ok(Sharing::Alone),
        Some(given) => {
            let given: BTreeMap<Plan, Quantity> =
                serde_json::from_str(given).map_err(|error| record.unusable("given_by", &error))?;
            Ok(Sharing::Sends(given))
        }
    }
}

pub(super) fn read_submission(record: &Record) -> Result<Stored, LedgerError> {
    let mut parts = record.sk.split('#').skip(1);
    let mut part = || parts.next().unwrap_or_default();
    let (contract, dimension) = (part(), part());
    let text = |field: &str| record.fields.get(field).map(String::as_str);
    let reply = text("reply").map(serde_json::from_str).transpose();
    let sent_at = text("sent_at").map(|_| record.field("sent_at")).transpose()?;
    let snapshot = Revision::parse(text("snapshot").unwrap_or_default());
    Ok(Stored {
        submission: Submission {
            line: Line {
                contract: segment(record, contract, ContractId::new)?,
                dimension: segment(record, dimension, Dimension::new)?,
            },
            state: record.field("state")?,
            usage: record.field("usage")?,
            carry_in: record.field("carry_in")?,
            quantity: record.field("quantity")?,
            carry_out: record.field("carry_out")?,
            snapshot: snapshot.map_err(|error| record.unusable("snapshot", &error))?,
            fixed: record.field("fixed")?,
            attempts: record.field("attempts")?,
            sent_at,
            reply: reply.map_err(|error| record.unusable("reply", &error))?,
            sharing: read_sharing(record)?,
        },
        version: record.field("version")?,
    })
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
