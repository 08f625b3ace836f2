//! What a person or the schedule asks for.

use billing::month::BillingMonth;
use cloud::events::{InvalidWish, Wish};
use serde::Deserialize;
use serde_json::Value;

/// Which invoices to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The newest ended ones and the open one.
    Newest,
    /// All of one month.
    Month(BillingMonth),
    /// One.
    Invoice(String),
}

/// Fields of the event; a misspelt one is an error, because it would fetch something else than was meant.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wire {
    month: Option<BillingMonth>,
    invoice_id: Option<String>,
    dry_run: bool,
}

impl Wish for Wire {
    const GIVE: &'static str = "{\"month\": \"YYYY-MM\"}, {\"invoice_id\": \"...\"} or {}, \
     with \"dry_run\": true to look only";
}

/// Reads an event.
pub(crate) fn read_event(event: &Value) -> Result<(Wanted, bool), InvalidWish> {
    let wire: Wire = Wire::read(event)?;
    let wanted = match (wire.month, wire.invoice_id) {
        (None, None) => Wanted::Newest,
        (Some(month), None) => Wanted::Month(month),
        (None, Some(id)) if !id.trim().is_empty() => Wanted::Invoice(id),
        (None, Some(_)) => return Err(Wire::invalid("invoice_id is empty")),
        (Some(_), Some(_)) => return Err(Wire::invalid("month and invoice_id exclude each other")),
    };
    Ok((wanted, wire.dry_run))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_schedule_a_person_and_a_rule() {
        let scheduled =
            json!({"scheduled_time": "2026-11-02T06:00:00Z", "execution_id": "x", "attempt": "1"});
        assert_eq!(read_event(&scheduled).unwrap(), (Wanted::Newest, false));
        assert_eq!(read_event(&json!({})).unwrap(), (Wanted::Newest, false));
        let month = json!({"month": "2026-10", "dry_run": true});
        assert_eq!(read_event(&month).unwrap(), (Wanted::Month("2026-10".parse().unwrap()), true));
        assert_eq!(read_event(&json!({"invoice_id": "i1"})).unwrap(), (Wanted::Invoice("i1".into()), false));
        let rule = json!({"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}});
        assert_eq!(read_event(&rule).unwrap().0, Wanted::Newest);
    }

    #[test]
    fn misspelt_events_are_refused() {
        for (event, part) in [
            (json!({"mounth": "2026-10"}), "unknown field `mounth`"),
            (json!({"month": "october"}), "'october' is not a month"),
            (json!({"month": "2026-10", "invoice_id": "i"}), "exclude each other"),
            (json!({"invoice_id": " "}), "invoice_id is empty"),
            (json!([1, 2]), "not understood"),
        ] {
            let error = read_event(&event).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
