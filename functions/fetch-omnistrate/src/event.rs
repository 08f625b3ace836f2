//! What a person or the schedule asks for.

use billing::metering::Plan;
use billing::month::BillingMonth;
use serde::Deserialize;
use serde_json::Value;

/// Which months to count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Only this one; else what is due.
    pub(crate) month: Option<BillingMonth>,
    /// Only this one; else all that are configured.
    pub(crate) plan: Option<Plan>,
    /// Count, and write nothing.
    pub(crate) dry_run: bool,
}

/// An event that asks for nothing known.
#[derive(Debug, thiserror::Error)]
#[error(
    "the event is not understood: {0}; give {{}}, or {{\"month\": \"YYYY-MM\"}}, with \"plan\": \"service:environment:plan\" for one \
     plan and \"dry_run\": true to look only"
)]
pub struct InvalidEvent(String);

/// Fields of the event; a misspelt one is an error, because it would count something else than was meant.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wire {
    month: Option<BillingMonth>,
    plan: Option<Plan>,
    dry_run: bool,
    // what the schedule says of itself, see template.yaml
    #[serde(rename = "scheduled_time")]
    _scheduled_time: Option<String>,
    #[serde(rename = "execution_id")]
    _execution_id: Option<String>,
    #[serde(rename = "attempt")]
    _attempt: Option<String>,
}

/// Reads an event: ours, or a rule's "Scheduled Event" of EventBridge.
pub(crate) fn read_event(event: &Value) -> Result<Wanted, InvalidEvent> {
    if event.get("detail-type").and_then(Value::as_str) == Some("Scheduled Event") {
        return Ok(Wanted::default());
    }
    if !event.is_object() {
        return Err(InvalidEvent("it is no JSON object".into()));
    }
    let wire: Wire =
        serde_json::from_value(event.clone()).map_err(|error| InvalidEvent(error.to_string()))?;
    Ok(Wanted { month: wire.month, plan: wire.plan, dry_run: wire.dry_run })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_schedule_and_a_person() {
        let scheduled =
            json!({"scheduled_time": "2026-11-02T06:00:00Z", "execution_id": "x", "attempt": "1"});
        assert_eq!(read_event(&scheduled).unwrap(), Wanted::default());
        let month = read_event(&json!({"month": "2026-10", "dry_run": true})).unwrap();
        assert_eq!(
            month,
            Wanted { month: Some("2026-10".parse().unwrap()), dry_run: true, ..Wanted::default() }
        );
        for misspelt in
            [json!({"mounth": "2026-10"}), json!({"month": "October"}), json!({"plan": "x"}), json!([])]
        {
            assert!(read_event(&misspelt).is_err(), "{misspelt}");
        }
    }
}
