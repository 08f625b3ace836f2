//! The state file of the earlier exporter: taken over once, and written again after each run.
//!
//! ```json
//! {"Postgres:PROD:pt-1": {"last_processed_month": "2025-05", "last_updated": "2025-06-01T02:00:11Z",
//!                         "processed_contracts": {"2025-05": ["<contract>:2025-05"]}}}
//! ```

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::Plan;
use crate::canonical;
use crate::ids::ContractId;
use crate::month::BillingMonth;
use crate::strict;

/// The state of all plans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EarlierState(pub BTreeMap<Plan, EarlierPlan>);

/// The state of one plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierPlan {
    /// The last month that is done.
    pub last_processed_month: Option<BillingMonth>,
    /// When that was written.
    pub last_updated: Option<DateTime<Utc>>,
    /// Contracts that were reported, by month.
    pub processed_contracts: BTreeMap<BillingMonth, BTreeSet<ContractId>>,
    /// Contracts that it gave up on, by month: it moved on without having reported them.
    pub failed_contracts: BTreeMap<BillingMonth, BTreeSet<ContractId>>,
}

/// A state file that cannot be taken over. It is never taken for an empty one: months would be sent twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EarlierStateError {
    #[error("the state file is not JSON: {0}")]
    Json(String),
    #[error("{place}: {why}")]
    Member { place: String, why: String },
    #[error(
        "{place}: '{key}' is of an exporter that reported by the hour, and this one reports by the month: a month of which some \
         hours were reported would be billed twice. Let the earlier exporter finish its month, then import the months that are \
         complete, written as YYYY-MM"
    )]
    Hourly { place: String, key: String },
}

impl EarlierState {
    /// Reads a state file: this one's schema, or the later one of a single plan (`success_contracts`), for which `plan` says which.
    ///
    /// # Errors
    /// [`EarlierStateError`] names the member that is wrong.
    pub fn from_json(bytes: &[u8], plan: Option<&Plan>) -> Result<Self, EarlierStateError> {
        let document: Map<String, Value> =
            strict::from_slice(bytes).map_err(|error| EarlierStateError::Json(error.to_string()))?;
        if document.contains_key("success_contracts") || document.contains_key("error_contracts") {
            let plan = plan.ok_or_else(|| EarlierStateError::Member {
                place: "the file".into(),
                why: "it is the state of a single plan and does not say of which: give --plan service:environment:plan".into(),
            })?;
            let entry = read_plan(&plan.to_string(), &Value::Object(document))?;
            return Ok(Self([(plan.clone(), entry)].into()));
        }
        let mut plans = BTreeMap::new();
        // what starts so is a note of the exporter's own
        for (name, entry) in document.iter().filter(|(name, _)| !name.starts_with('_')) {
            let plan: Plan = name.parse().map_err(|error| EarlierStateError::Member {
                place: name.clone(),
                why: format!("{error}"),
            })?;
            plans.insert(plan, read_plan(name, entry)?);
        }
        Ok(Self(plans))
    }

    /// The document in the earlier exporter's schema.
    ///
    /// # Errors
    /// Those of serialisation, which does not fail.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let plans = self.0.iter().map(|(plan, entry)| (plan.to_string(), entry.to_value()));
        canonical::to_json(&plans.collect::<Map<_, _>>())
    }
}

impl EarlierPlan {
    /// The last month of which nothing is left to do: the last processed one, or the one before the first in which a contract failed.
    #[must_use]
    pub fn last_complete_month(&self) -> Option<BillingMonth> {
        let first_failed = self.failed_contracts.keys().next().map(|month| month.previous());
        match (self.last_processed_month, first_failed) {
            (Some(last), Some(failed)) => Some(last.min(failed)),
            (last, _) => last,
        }
    }

    fn to_value(&self) -> Value {
        let contracts = |(month, contracts): (&BillingMonth, &BTreeSet<ContractId>)| {
            let listed: Value =
                contracts.iter().map(|contract| Value::String(format!("{contract}:{month}"))).collect();
            (month.to_string(), listed)
        };
        json!({
            "last_processed_month": self.last_processed_month,
            "last_updated": self.last_updated.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true)),
            "processed_contracts": self.processed_contracts.iter().map(contracts).collect::<Map<_, _>>(),
        })
    }
}

fn read_plan(name: &str, entry: &Value) -> Result<EarlierPlan, EarlierStateError> {
    let wrong =
        |member: &str, why: String| EarlierStateError::Member { place: format!("{name}.{member}"), why };
    let members = entry.as_object().ok_or_else(|| wrong("", "it must be an object".into()))?;
    let mut plan = EarlierPlan {
        last_processed_month: None,
        last_updated: None,
        processed_contracts: BTreeMap::new(),
        failed_contracts: BTreeMap::new(),
    };
    for (member, value) in members {
        match member.as_str() {
            _ if value.is_null() => {}
            "last_processed_month" => {
                let text = value.as_str().ok_or_else(|| wrong(member, "it must be a text".into()))?;
                plan.last_processed_month = Some(month(&format!("{name}.{member}"), text)?);
            }
            // nothing hangs on it
            "last_updated" => plan.last_updated = value.as_str().and_then(moment),
            "processed_contracts" | "success_contracts" => {
                let months = value
                    .as_object()
                    .ok_or_else(|| wrong(member, "it must be an object of months".into()))?;
                for (key, listed) in months {
                    let of = month(&format!("{name}.{member}"), key)?;
                    plan.processed_contracts.insert(of, contracts(name, key, of, listed)?);
                }
            }
            "error_contracts" => plan.failed_contracts = failed(name, value)?,
            _ if member.contains("hour") => {
                return Err(EarlierStateError::Hourly { place: name.to_owned(), key: member.clone() });
            }
            _ => return Err(wrong(member, "no state of the earlier exporter has such a member".into())),
        }
    }
    for (month, failed) in &mut plan.failed_contracts {
        let reported = plan.processed_contracts.get(month);
        failed.retain(|contract| !reported.is_some_and(|reported| reported.contains(contract)));
    }
    plan.failed_contracts.retain(|_, failed| !failed.is_empty());
    if plan.last_processed_month.is_none() && plan.processed_contracts.is_empty() {
        return Err(wrong("last_processed_month", "it says of no month that it was processed".into()));
    }
    Ok(plan)
}

/// With the zone, without one, or with a zone and a Z behind it, as Python programs write it.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    let shorter = text.strip_suffix('Z').unwrap_or(text);
    [text.to_owned(), shorter.to_owned(), format!("{shorter}Z")].iter().find_map(|text| text.parse().ok())
}

/// `{"YYYY-MM": [{"contract_id": "...", ...}]}`
fn failed(
    name: &str,
    months: &Value,
) -> Result<BTreeMap<BillingMonth, BTreeSet<ContractId>>, EarlierStateError> {
    let place = format!("{name}.error_contracts");
    let wrong = |why: &str| EarlierStateError::Member { place: place.clone(), why: why.to_owned() };
    let months = months.as_object().ok_or_else(|| wrong("it must be an object of months"))?;
    let contract = |entry: &Value| {
        let id = entry["contract_id"].as_str().ok_or_else(|| wrong("an entry has no contract_id"))?;
        ContractId::new(id).map_err(|error| wrong(&error.to_string()))
    };
    let of = |(key, listed): (&String, &Value)| {
        let listed = listed.as_array().ok_or_else(|| wrong("it must hold lists"))?;
        Ok((month(&place, key)?, listed.iter().map(contract).collect::<Result<_, _>>()?))
    };
    months.iter().map(of).collect()
}

fn month(place: &str, text: &str) -> Result<BillingMonth, EarlierStateError> {
    text.parse().map_err(|error| {
        // 2025-01-15-03, 2025-01-15T03, 2025/01/15/03 ...: more than a year and a month
        let hourly = text.len() > 7 && text.starts_with(|c: char| c.is_ascii_digit());
        if hourly {
            EarlierStateError::Hourly { place: place.to_owned(), key: text.to_owned() }
        } else {
            EarlierStateError::Member { place: place.to_owned(), why: format!("{error}") }
        }
    })
}

/// `["<contract>:YYYY-MM"]`, or contracts alone.
fn contracts(
    name: &str,
    key: &str,
    month: BillingMonth,
    listed: &Value,
) -> Result<BTreeSet<ContractId>, EarlierStateError> {
    let place = format!("{name}.processed_contracts.{key}");
    let wrong = |why: String| EarlierStateError::Member { place: place.clone(), why };
    let listed = listed.as_array().ok_or_else(|| wrong("it must be a list of contracts".into()))?;
    let read = |entry: &Value| {
        let text = entry.as_str().ok_or_else(|| wrong("it must be a list of texts".into()))?;
        let contract = match text.rsplit_once(':') {
            Some((contract, of)) if of == month.to_string() => contract,
            Some((_, of)) if of.len() > 7 => {
                return Err(EarlierStateError::Hourly { place: place.clone(), key: text.to_owned() });
            }
            Some(_) => return Err(wrong(format!("'{text}' is of another month"))),
            None => text,
        };
        ContractId::new(contract).map_err(|error| wrong(error.to_string()))
    };
    listed.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"Postgres:PROD:pt-1": {"last_processed_month": "2025-05", "last_updated": "2025-06-01T02:00:11Z",
        "processed_contracts": {"2025-05": ["ae641bd1:2025-05", "bf752ce2:2025-05"], "2025-06": ["ae641bd1:2025-06"]}}}"#;

    #[test]
    fn a_state_file_is_taken_over_and_written_again_the_same() {
        let state = EarlierState::from_json(FILE.as_bytes(), None).unwrap();
        let plan = &state.0[&"Postgres:PROD:pt-1".parse().unwrap()];
        assert_eq!(plan.last_processed_month.unwrap().to_string(), "2025-05");
        assert_eq!(plan.processed_contracts.values().map(BTreeSet::len).collect::<Vec<_>>(), [2, 1]);
        let written: Value = serde_json::from_slice(&state.to_json().unwrap()).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(FILE).unwrap());
    }

    #[test]
    fn the_later_state_of_one_plan_needs_its_name() {
        let file = br#"{"last_processed_month": "2025-01", "last_updated": "2025-02-01T00:00:00.123456",
            "success_contracts": {"2025-01": ["c1"]}, "error_contracts": {"2025-01": [{"contract_id": "c2"}]}}"#;
        let error = EarlierState::from_json(file, None).unwrap_err().to_string();
        assert!(error.contains("give --plan"), "{error}");
        let plan = "Postgres:PROD:pt-1".parse().unwrap();
        let state = EarlierState::from_json(file, Some(&plan)).unwrap();
        let contracts: Vec<String> =
            state.0[&plan].processed_contracts.values().flatten().map(ToString::to_string).collect();
        assert_eq!(contracts, ["c1"], "what failed was not reported");
        let entry = &state.0[&plan];
        assert_eq!(entry.last_processed_month.unwrap().to_string(), "2025-01");
        assert_eq!(entry.last_complete_month().unwrap().to_string(), "2024-12", "c2 is still to be reported");
    }

    #[test]
    fn the_time_may_be_written_in_any_way() {
        for time in [
            "2025-02-01T00:00:00.123456+00:00Z",
            "2025-02-01T00:00:00",
            "2025-02-01T00:00:00Z",
            "2025-02-01T01:00:00+01:00",
        ] {
            assert_eq!(moment(time).unwrap().timestamp(), 1_738_368_000, "{time}");
            let file =
                FILE.replace("2025-06-01T02:00:11Z", time).replacen('{', r#"{"_validation_test": true, "#, 1);
            assert!(EarlierState::from_json(file.as_bytes(), None).is_ok(), "{time}");
        }
    }

    #[test]
    fn hours_are_refused_with_an_explanation() {
        for (from, to) in [
            (r#""2025-05": ["#, r#""2025-05-31T23": ["#),
            (r#""2025-05": ["#, r#""2025/05/31/23": ["#),
            (r#""ae641bd1:2025-05""#, r#""ae641bd1:2025-05-31-23""#),
            (r#""last_processed_month": "2025-05""#, r#""last_processed_month": "2025-05-31-23""#),
            (r#""last_processed_month""#, r#""last_processed_hour""#),
        ] {
            let file = FILE.replace(from, to);
            let error = EarlierState::from_json(file.as_bytes(), None).unwrap_err();
            assert!(matches!(error, EarlierStateError::Hourly { .. }), "{error}");
            assert!(error.to_string().contains("would be billed twice"));
        }
    }

    #[test]
    fn nothing_else_is_taken_for_a_state_and_least_of_all_for_an_empty_one() {
        for (file, part) in [
            ("", "is not JSON"),
            ("[]", "is not JSON"),
            (&FILE[..FILE.len() - 2], "is not JSON"),
            (r#"{"Postgres": {}}"#, "'Postgres' is no plan"),
            (r#"{"a:b:c": []}"#, "must be an object"),
            (r#"{"a:b:c": {}}"#, "it says of no month"),
            (r#"{"a:b:c": {"last_processed_month": "May"}}"#, "'May' is not a month"),
            (r#"{"a:b:c": {"processed_contracts": {"2025-05": ["x:2025-04"]}}}"#, "is of another month"),
            (r#"{"a:b:c": {"processed_contracts": {"2025-05": [7]}}}"#, "must be a list of texts"),
            (
                r#"{"a:b:c": {"last_processed_month": "2025-05", "last_proccessed": 1}}"#,
                "no state of the earlier exporter",
            ),
        ] {
            let error = EarlierState::from_json(file.as_bytes(), None).unwrap_err().to_string();
            assert!(error.contains(part), "{file}: {error}");
        }
        assert_eq!(EarlierState::from_json(b"{}", None), Ok(EarlierState::default()));
    }
}
