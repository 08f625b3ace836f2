//! What a notification, the schedule or a person asks for.

use billing::ids::ContractId;
use billing::metering::{Line, Plan, Submission, UsageSnapshot};
use billing::month::BillingMonth;
use cloud::events::{StoredObject, stored_objects, wish};
use serde::Deserialize;
use serde_json::Value;

/// What to meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Plans whose usage has just come.
    Usage(Vec<StoredObject>),
    /// Plans that are configured, or one.
    Plans { plan: Option<Plan>, only: Selection },
    /// The same without doing anything; `usage` that stands nowhere yet counts as if it did.
    DryRun { plan: Option<Plan>, only: Selection, usage: Vec<UsageSnapshot> },
}

impl Wanted {
    /// The month that a person asks for.
    pub(crate) fn month(&self) -> Option<BillingMonth> {
        match self {
            Self::Usage(_) => None,
            Self::Plans { only, .. } | Self::DryRun { only, .. } => only.month,
        }
    }
}

/// What of a plan is sent; everything is planned all the same, because months hang together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) month: Option<BillingMonth>,
    pub(crate) contract: Option<ContractId>,
}

impl Selection {
    /// Whether this line of a month is asked for.
    pub(crate) fn covers(&self, month: BillingMonth, line: &Line) -> bool {
        self.month.is_none_or(|only| only == month)
            && self.contract.as_ref().is_none_or(|only| *only == line.contract)
    }

    /// Whether this submission of a month is to be sent.
    pub(crate) fn takes(&self, month: BillingMonth, submission: &Submission) -> bool {
        submission.state.is_to_send() && self.covers(month, &submission.line)
    }
}

/// An event that asks for nothing known.
#[derive(Debug, thiserror::Error)]
#[error(
    "the event is not understood: {0}; give an S3 notification, {{\"key\": \"usage/...\"}}, or {{}} with any of \"month\": \
     \"YYYY-MM\", \"contract\": \"...\", \"plan\": \"service:environment:plan\" and \"dry_run\": true"
)]
pub struct InvalidEvent(String);

/// Fields of the event; a misspelt one is an error, because it would send more than was meant.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wire {
    key: Option<String>,
    month: Option<BillingMonth>,
    contract: Option<ContractId>,
    plan: Option<Plan>,
    dry_run: bool,
    usage: Vec<UsageSnapshot>,
}

/// Reads an event.
pub(crate) fn read_event(event: &Value) -> Result<Wanted, InvalidEvent> {
    if event.get("Records").is_some() || event.get("Event").is_some() {
        return stored_objects(event).map(Wanted::Usage).map_err(|error| InvalidEvent(error.to_string()));
    }
    let wire: Wire = wish(event).map_err(InvalidEvent)?;
    let (only, plan) = (Selection { month: wire.month, contract: wire.contract }, wire.plan);
    match (wire.key, wire.dry_run) {
        (Some(_), _) if plan.is_some() || only != Selection::default() => {
            Err(InvalidEvent("a key names its plan and month, give nothing beside it".into()))
        }
        (Some(_), true) => Err(InvalidEvent("a dry run is of a month, not of a key".into())),
        (Some(key), false) => Ok(Wanted::Usage(vec![StoredObject { bucket: None, key, version: None }])),
        (None, true) => Ok(Wanted::DryRun { plan, only, usage: wire.usage }),
        (None, false) if !wire.usage.is_empty() => {
            Err(InvalidEvent("usage is given to dry runs only".into()))
        }
        (None, false) => Ok(Wanted::Plans { plan, only }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn notifications_the_schedule_and_a_person() {
        let only = Selection {
            month: Some("2026-10".parse().unwrap()),
            contract: Some(ContractId::new("c").unwrap()),
        };
        let event = json!({"month": "2026-10", "contract": "c"});
        assert_eq!(read_event(&event).unwrap(), Wanted::Plans { plan: None, only: only.clone() });
        let event = json!({"month": "2026-10", "contract": "c", "dry_run": true});
        assert_eq!(read_event(&event).unwrap(), Wanted::DryRun { plan: None, only, usage: vec![] });
        assert!(matches!(
            read_event(&json!({"scheduled_time": "x"})).unwrap(),
            Wanted::Plans { plan: None, .. }
        ));
        assert!(
            matches!(read_event(&json!({"key": "usage/x"})).unwrap(), Wanted::Usage(objects) if objects.len() == 1)
        );
        assert_eq!(read_event(&json!({"Event": "s3:TestEvent"})).unwrap(), Wanted::Usage(vec![]));
        let s3 = json!({"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "usage/a"}}}]});
        assert!(matches!(read_event(&s3).unwrap(), Wanted::Usage(objects) if objects[0].key == "usage/a"));
    }

    #[test]
    fn misspelt_events_are_refused() {
        for (event, part) in [
            (json!({"dry-run": true}), "unknown field `dry-run`"),
            (json!({"month": "October"}), "is not a month"),
            (json!({"key": "usage/x", "month": "2026-10"}), "nothing beside it"),
            (json!({"key": "usage/x", "dry_run": true}), "not of a key"),
            (json!({"Records": [{}]}), "Records[0].s3.object.key"),
            (json!([]), "not understood"),
        ] {
            let error = read_event(&event).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
