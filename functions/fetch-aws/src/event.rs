//! What a person or the schedule asks for.

use billing::month::BillingMonth;
use cloud::events::wish;
use serde::Deserialize;
use serde_json::Value;

/// An event that asks for nothing known.
#[derive(Debug, thiserror::Error)]
#[error(
    "the event is not understood: {0}; give {{\"month\": \"YYYY-MM\"}} or {{}}, with \"dry_run\": true to look only"
)]
pub struct InvalidEvent(String);

/// Fields of the event; a misspelt one is an error, because it would fetch something else than was meant.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wire {
    month: Option<BillingMonth>,
    dry_run: bool,
}

/// Reads an event: the month, if one is asked for, and whether nothing must be written.
pub(crate) fn read_event(event: &Value) -> Result<(Option<BillingMonth>, bool), InvalidEvent> {
    let wire: Wire = wish(event).map_err(InvalidEvent)?;
    Ok((wire.month, wire.dry_run))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_schedule_and_a_person() {
        let scheduled =
            json!({"scheduled_time": "2026-11-02T07:00:00Z", "execution_id": "x", "attempt": "1"});
        assert_eq!(read_event(&scheduled).unwrap(), (None, false));
        let month = json!({"month": "2026-10", "dry_run": true});
        assert_eq!(read_event(&month).unwrap(), (Some("2026-10".parse().unwrap()), true));
    }

    #[test]
    fn misspelt_events_are_refused() {
        for (event, part) in [
            (json!({"mounth": "2026-10"}), "unknown field `mounth`"),
            (json!({"month": "october"}), "'october' is not a month"),
            (json!([]), "not understood"),
        ] {
            let error = read_event(&event).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
