//! What a person or the schedule asks for.

use billing::month::BillingMonth;
use cloud::events::{InvalidWish, Wish};
use serde::Deserialize;
use serde_json::Value;

/// Which month, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The month; nothing for the one before this.
    pub(crate) month: Option<BillingMonth>,
    /// Whether a person has decided to take what there is, though the server's data does not cover the month.
    pub(crate) partial: bool,
    /// Whether nothing is to be written.
    pub(crate) dry_run: bool,
}

impl Wish for Wanted {
    const GIVE: &'static str = "{\"month\": \"YYYY-MM\"} or {}, with \"dry_run\": true to look only, and \
     with \"partial\": true beside the month to take what there is";
}

/// Reads an event. A misspelt field is an error, because it would fetch something else than was meant.
pub(crate) fn read_event(event: &Value) -> Result<Wanted, InvalidWish> {
    let wanted: Wanted = Wanted::read(event)?;
    if wanted.partial && wanted.month.is_none() {
        return Err(Wanted::invalid("partial needs a month"));
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_schedule_and_a_person() {
        let scheduled =
            json!({"scheduled_time": "2026-11-02T03:30:00Z", "execution_id": "x", "attempt": "1"});
        assert_eq!(read_event(&scheduled).unwrap(), Wanted::default());
        let month = Some("2026-10".parse().unwrap());
        let asked = json!({"month": "2026-10", "dry_run": true});
        assert_eq!(read_event(&asked).unwrap(), Wanted { month, dry_run: true, ..Wanted::default() });
        let asked = json!({"month": "2026-10", "partial": true});
        assert_eq!(read_event(&asked).unwrap(), Wanted { month, partial: true, ..Wanted::default() });
    }

    #[test]
    fn misspelt_events_are_refused() {
        for (event, part) in [
            (json!({"mounth": "2026-10"}), "unknown field `mounth`"),
            (json!({"month": "october"}), "'october' is not a month"),
            (json!({"partial": true}), "partial needs a month"),
            (json!([1, 2]), "not understood"),
        ] {
            let error = read_event(&event).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
