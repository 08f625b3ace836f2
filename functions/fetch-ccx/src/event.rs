//! What a person or the schedule asks for.

use billing::month::BillingMonth;
use cloud::events::{InvalidWish, Wish};
use serde::Deserialize;
use serde_json::Value;

/// Which reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Fetch those of the last months that have ended.
    Newest,
    /// Fetch that of one month, also of the running one.
    Month(BillingMonth),
    /// Certify a document again that stands in the bucket.
    Stored(String),
}

/// Fields of the event; a misspelt one is an error, because it would fetch something else than was meant.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wire {
    month: Option<BillingMonth>,
    key: Option<String>,
    dry_run: bool,
}

impl Wish for Wire {
    const GIVE: &'static str = "{\"month\": \"YYYY-MM\"}, {\"key\": \"raw/ccx/...\"} or {}, with \
     \"dry_run\": true to look only";
}

/// Reads an event.
pub(crate) fn read_event(event: &Value) -> Result<(Wanted, bool), InvalidWish> {
    let wire: Wire = Wire::read(event)?;
    let wanted = match (wire.month, wire.key) {
        (None, None) => Wanted::Newest,
        (Some(month), None) => Wanted::Month(month),
        (None, Some(key)) => Wanted::Stored(key),
        (Some(_), Some(_)) => return Err(Wire::invalid("month and key exclude each other")),
    };
    Ok((wanted, wire.dry_run))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_schedule_and_a_person() {
        let scheduled =
            json!({"scheduled_time": "2026-11-02T04:30:00Z", "execution_id": "x", "attempt": "1"});
        assert_eq!(read_event(&scheduled).unwrap(), (Wanted::Newest, false));
        assert_eq!(read_event(&json!({"dry_run": true})).unwrap(), (Wanted::Newest, true));
        let month = json!({"month": "2026-10"});
        assert_eq!(read_event(&month).unwrap(), (Wanted::Month("2026-10".parse().unwrap()), false));
        let stored = json!({"key": "raw/ccx/x"});
        assert_eq!(read_event(&stored).unwrap(), (Wanted::Stored("raw/ccx/x".into()), false));
    }

    #[test]
    fn misspelt_events_are_refused() {
        for (event, part) in [
            (json!({"mounth": "2026-10"}), "unknown field `mounth`"),
            (json!({"month": "october"}), "'october' is not a month"),
            (json!({"month": "2026-10", "key": "raw/x"}), "exclude each other"),
            (json!([1, 2]), "not understood"),
        ] {
            let error = read_event(&event).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
