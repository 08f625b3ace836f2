//! What a person or the schedule asks for.

use billing::metering::Plan;
use billing::month::BillingMonth;
use cloud::events::{InvalidWish, Wish};
use serde::Deserialize;
use serde_json::Value;

/// Which months to count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Only this one; else what is due.
    pub(crate) month: Option<BillingMonth>,
    /// Only this one; else all that are configured.
    pub(crate) plan: Option<Plan>,
    /// Count, and write nothing.
    pub(crate) dry_run: bool,
}

impl Wish for Wanted {
    const GIVE: &'static str = "{}, or {\"month\": \"YYYY-MM\"}, with \"plan\": \"service:environment:plan\" for one \
     plan and \"dry_run\": true to look only";
}

/// Reads an event.
pub(crate) fn read_event(event: &Value) -> Result<Wanted, InvalidWish> {
    Wanted::read(event)
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
