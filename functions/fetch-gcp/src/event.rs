//! What a person or the schedule asks for.

use billing::month::BillingMonth;
use cloud::events::wish;
use serde::Deserialize;
use serde_json::Value;

/// Which months.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The running one and the last that have ended.
    Newest,
    /// One.
    Month(BillingMonth),
}

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

/// Reads an event.
pub(crate) fn read_event(event: &Value) -> Result<(Wanted, bool), InvalidEvent> {
    let wire: Wire = wish(event).map_err(InvalidEvent)?;
    Ok((wire.month.map_or(Wanted::Newest, Wanted::Month), wire.dry_run))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_schedule_and_a_person() {
        let scheduled =
            json!({"scheduled_time": "2026-11-02T05:00:00Z", "execution_id": "x", "attempt": "1"});
        assert_eq!(read_event(&scheduled).unwrap(), (Wanted::Newest, false));
        assert_eq!(read_event(&json!({"dry_run": true})).unwrap(), (Wanted::Newest, true));
        let month = json!({"month": "2026-10"});
        assert_eq!(read_event(&month).unwrap(), (Wanted::Month("2026-10".parse().unwrap()), false));
    }

    #[test]
    fn misspelt_events_are_refused() {
        for (event, part) in [
            (json!({"mounth": "2026-10"}), "unknown field `mounth`"),
            (json!({"month": "202610"}), "'202610' is not a month"),
            (json!({"month": "2026-10", "dry-run": true}), "unknown field `dry-run`"),
            (json!([1, 2]), "not understood"),
        ] {
            let error = read_event(&event).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
