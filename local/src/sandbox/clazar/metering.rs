//! What becomes of each record of a metering request.

use std::collections::BTreeMap;
use std::io;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::contracts::Contracts;
use super::faults::ClazarFault;
use super::records::{HeldRecord, HeldRecords, Slot};
use crate::sandbox::ids::id_of;

/// A record as it comes.
#[derive(Debug, Deserialize)]
pub(super) struct Submitted {
    cloud: String,
    contract_id: String,
    dimension: String,
    start_time: String,
    end_time: String,
    /// A text; a number is refused for the record, not for the request.
    #[serde(default)]
    quantity: Value,
    #[serde(default)]
    custom_properties: Option<Map<String, Value>>,
}

/// One result for each record, in their order unless a fault says otherwise.
pub(super) fn results(
    held: &mut HeldRecords,
    contracts: &Contracts,
    submitted: &[Submitted],
    fault: Option<&ClazarFault>,
) -> io::Result<Vec<Value>> {
    if let Some(invented) = fault.and_then(|kind| invented(submitted, kind)) {
        return Ok(invented);
    }
    let processed = match fault {
        Some(ClazarFault::Partial) => submitted.len().div_ceil(2),
        _ => submitted.len(),
    };
    let (now, later) = submitted.split_at(processed);
    // as it stood before this request
    let told: Vec<Option<String>> = match fault {
        Some(ClazarFault::TellsHeld) => now.iter().map(|record| record.held_quantity(held)).collect(),
        _ => Vec::new(),
    };
    let mut results = process(held, contracts, now)?;
    for (result, quantity) in results.iter_mut().zip(told) {
        if let (Value::Object(members), Some(quantity)) = (result, quantity) {
            members.insert("quantity".into(), quantity.into());
        }
    }
    results.extend(later.iter().map(Submitted::unavailable));
    match fault {
        Some(ClazarFault::Reordered) => results.reverse(),
        Some(ClazarFault::Missing) => results.truncate(results.len().saturating_sub(1)),
        Some(ClazarFault::Nameless) => results.iter_mut().for_each(nameless),
        Some(ClazarFault::NamelessMissing) => {
            results.truncate(results.len().saturating_sub(1));
            results.iter_mut().for_each(nameless);
        }
        Some(ClazarFault::NamelessButFirst) => results.iter_mut().skip(1).for_each(nameless),
        _ => {}
    }
    Ok(results)
}

/// The results of a fault that leaves the records alone.
fn invented(submitted: &[Submitted], fault: &ClazarFault) -> Option<Vec<Value>> {
    const INACTIVE: &str = "Contract is not active";
    let invalid = |errors: Value| {
        let refuse = |record: &Submitted| record.refused("API1001", "Invalid contract", &errors);
        submitted.iter().map(refuse).collect()
    };
    let echo = |status: &str| submitted.iter().map(|record| record.echo(status, &record.id())).collect();
    match fault {
        ClazarFault::NamelessErrors => {
            let mut refused: Vec<Value> = invalid(json!([INACTIVE]));
            refused.iter_mut().for_each(nameless);
            Some(refused)
        }
        ClazarFault::OtherRecord(words) => Some(vec![json!({
            "contract_id": "somebody-else",
            "dimension": "something-else",
            "status": "error",
            "errors": [words],
        })]),
        ClazarFault::UnknownDimension => Some(echo("warning")),
        ClazarFault::OddStatus(status) => Some(echo(status)),
        ClazarFault::ErrorsAsString => Some(invalid(json!(INACTIVE))),
        ClazarFault::ErrorsAsList => Some(invalid(json!([INACTIVE]))),
        ClazarFault::ErrorsAsObjects => Some(invalid(json!([{"message": INACTIVE}]))),
        _ => None,
    }
}

/// Leaves of an entry how it went, and not of which record.
fn nameless(entry: &mut Value) {
    if let Value::Object(members) = entry {
        members.retain(|member, _| ["status", "code", "message", "errors"].contains(&member.as_str()));
    }
}

fn process(held: &mut HeldRecords, contracts: &Contracts, records: &[Submitted]) -> io::Result<Vec<Value>> {
    let mut new = BTreeMap::new();
    let results = records
        .iter()
        .map(|record| match check(held, contracts, &new, record) {
            Ok(accepted) => {
                let result = record.echo("success", &accepted.id);
                new.insert(accepted.slot(), accepted);
                result
            }
            Err(refusal) => refusal,
        })
        .collect();
    held.hold(new)?;
    Ok(results)
}

/// The record to hold, or what is answered instead.
fn check(
    held: &HeldRecords,
    contracts: &Contracts,
    new: &BTreeMap<Slot, HeldRecord>,
    record: &Submitted,
) -> Result<HeldRecord, Value> {
    let quantity = record.quantity.as_str().filter(|text| is_positive_integer(text));
    let quantity = quantity.ok_or_else(|| record.invalid("quantity must be a positive integer."))?;
    let start = moment(&record.start_time)
        .ok_or_else(|| record.invalid("start_time must be a datetime such as 2026-01-31T23:00:00Z."))?;
    let end = moment(&record.end_time)
        .ok_or_else(|| record.invalid("end_time must be a datetime such as 2026-01-31T23:59:59Z."))?;
    if end < start {
        return Err(record.invalid("end_time must not be before start_time."));
    }
    if !contracts.is_active(&record.contract_id) {
        return Err(record.refused("API1001", "Invalid contract", &json!("Contract is not active")));
    }
    if !contracts.has_dimension(&record.contract_id, &record.dimension) {
        return Err(record.echo("warning", &record.id()));
    }
    let accepted = record.accepted(quantity, start);
    let slot = accepted.slot();
    if held.has(&slot) || new.contains_key(&slot) {
        const TAKEN: &str =
            "A metering record for the same contract_id and dimension already exists in the same hour.";
        return Err(record.invalid(TAKEN));
    }
    Ok(accepted)
}

fn is_positive_integer(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()); // a sign would be parsed
    digits && text.parse::<u128>().is_ok_and(|quantity| quantity > 0)
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc())
}

impl Submitted {
    /// What is held of its contract, dimension and hour.
    fn held_quantity(&self, held: &HeldRecords) -> Option<String> {
        let slot = self.accepted("", moment(&self.start_time)?).slot();
        held.get(&slot).map(|record| record.quantity.clone())
    }

    fn accepted(&self, quantity: &str, start: DateTime<Utc>) -> HeldRecord {
        HeldRecord {
            contract_id: self.contract_id.clone(),
            dimension: self.dimension.clone(),
            hour: start.format("%Y-%m-%dT%H:00:00Z").to_string(),
            quantity: quantity.to_owned(),
            cloud: self.cloud.clone(),
            start_time: self.start_time.clone(),
            end_time: self.end_time.clone(),
            id: self.id(),
        }
    }

    /// One that looks like those of Clazar, of what the record says.
    fn id(&self) -> String {
        let quantity = self.quantity.to_string();
        let parts =
            [&self.cloud, &self.contract_id, &self.dimension, &self.start_time, &self.end_time, &quantity];
        let hex = id_of(&parts.map(String::as_str));
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    /// The whole record; it has an id even if it is not held.
    fn echo(&self, status: &str, id: &str) -> Value {
        json!({
            "id": id,
            "cloud": self.cloud,
            "contract_id": self.contract_id,
            "dimension": self.dimension,
            "quantity": self.quantity,
            "status": status,
            "start_time": self.start_time,
            "end_time": self.end_time,
            "custom_properties": self.custom_properties.clone().unwrap_or_default(),
        })
    }

    fn invalid(&self, message: &str) -> Value {
        self.refused("API1002", "Validation error", &json!([{"message": message}]))
    }

    fn unavailable(&self) -> Value {
        self.refused("API1003", "Temporarily unavailable", &json!(["try again"]))
    }

    /// Without the hour, so that only its place tells which record of a contract's dimension is meant.
    fn refused(&self, code: &str, message: &str, errors: &Value) -> Value {
        json!({
            "contract_id": self.contract_id,
            "dimension": self.dimension,
            "status": "error",
            "code": code,
            "message": message,
            "errors": errors,
        })
    }
}
