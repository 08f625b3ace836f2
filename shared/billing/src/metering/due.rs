//! Which months are to be counted.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use serde::Deserialize;

use super::Plan;
use crate::month::{BillingMonth, in_calendar};
use crate::strict;

/// What decides which months are due.
#[derive(Clone, Copy, Debug)]
pub struct DueMonths {
    /// The last month that was closed, if there is a history.
    pub last_processed: Option<BillingMonth>,
    /// The month to begin with where there is no history.
    pub start: Option<BillingMonth>,
    /// What counts as now.
    pub now: DateTime<Utc>,
    /// Until when the export says it is complete, if it says so at all.
    pub exported_to: Option<DateTime<Utc>>,
    /// At most so many.
    pub most: usize,
}

/// The month to begin with where there is no history: the one configured, else two months ago.
#[must_use]
pub fn first_month(start: Option<BillingMonth>, now: DateTime<Utc>) -> BillingMonth {
    start.unwrap_or_else(|| BillingMonth::containing(now).previous().previous())
}

/// The months after the last processed one that have ended, oldest first. A month that the export has not completed
/// is not due, and neither is one after it: a marker in mid-month completes nothing.
#[must_use]
pub fn due_months(due: &DueMonths) -> Vec<BillingMonth> {
    let first = due.last_processed.map_or_else(|| first_month(due.start, due.now), BillingMonth::next);
    let complete = |month: &BillingMonth| {
        month.end() <= due.now && due.exported_to.is_none_or(|to| to >= last_second(*month))
    };
    // the years end at 9999, where the next month is the same one
    let months = std::iter::successors(Some(first), |month| Some(month.next()).filter(|next| next > month));
    months.take_while(complete).take(due.most).collect()
}

fn last_second(month: BillingMonth) -> DateTime<Utc> {
    month.end() - Duration::seconds(1)
}

/// What `omnistrate-metering/last_success_export.json` says of one plan: until when its export is complete.
///
/// # Errors
/// A text for people, if it is no such document or does not speak of the plan: then nobody knows what is complete.
pub fn exported_to(marker: &[u8], plan: &Plan) -> Result<DateTime<Utc>, String> {
    #[derive(Deserialize)]
    struct Entry {
        last_processed_to: DateTime<Utc>,
    }
    let entries: BTreeMap<String, serde_json::Value> = strict::from_slice(marker)
        .map_err(|error| format!("it is not JSON of the export's marker: {error}"))?;
    let entry = entries.get(&plan.to_string()).ok_or_else(|| {
        let known: Vec<&str> = entries.keys().take(10).map(String::as_str).collect();
        format!("it says nothing of {plan}, only of {}", known.join(", "))
    })?;
    let entry: Entry = serde_json::from_value(entry.clone())
        .map_err(|error| format!("its entry of {plan} cannot be read: {error}"))?;
    let said = entry.last_processed_to;
    in_calendar(said).ok_or_else(|| format!("its entry of {plan} says {said}, which no month has"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn month(text: &str) -> BillingMonth {
        text.parse().unwrap()
    }

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn due(last: Option<&str>, start: Option<&str>, now: &str, to: Option<&str>, most: usize) -> String {
        let months = due_months(&DueMonths {
            last_processed: last.map(month),
            start: start.map(month),
            now: time(now),
            exported_to: to.map(time),
            most,
        });
        months.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn months_after_the_cursor_and_never_the_current_one() {
        let now = "2025-07-02T00:00:00Z";
        assert_eq!(due(Some("2025-04"), None, now, None, 12), "2025-05 2025-06");
        assert_eq!(due(Some("2025-06"), None, now, None, 12), "");
        assert_eq!(due(Some("2025-04"), Some("2020-01"), now, None, 12), "2025-05 2025-06");
        assert_eq!(due(None, None, now, None, 12), "2025-05 2025-06");
        assert_eq!(due(None, Some("2025-03"), now, None, 2), "2025-03 2025-04");
        assert_eq!(due(None, Some("2025-08"), now, None, 12), "");
        assert_eq!(due(Some("2025-05"), None, "2025-06-30T23:59:59Z", None, 12), "");
        assert_eq!(due(Some("2025-05"), None, "2025-07-01T00:00:00Z", None, 12), "2025-06");
    }

    #[test]
    fn a_marker_in_mid_month_does_not_complete_the_month() {
        let now = "2025-08-02T00:00:00Z";
        let with = |to| due(Some("2025-05"), None, now, Some(to), 12);
        assert_eq!(with("2025-06-30T23:59:59Z"), "2025-06");
        assert_eq!(with("2025-06-30T23:59:58Z"), "");
        assert_eq!(with("2025-07-15T12:00:00Z"), "2025-06");
        assert_eq!(with("2025-08-01T00:00:00Z"), "2025-06 2025-07");
    }

    #[test]
    fn the_marker_must_speak_of_the_plan() {
        let plan = "Postgres:PROD:pt-1".parse().unwrap();
        let read = |text: &str| exported_to(text.as_bytes(), &plan);
        assert_eq!(
            read(r#"{"Postgres:PROD:pt-1":{"last_processed_to":"2025-01-31T23:59:59Z"}}"#),
            Ok(time("2025-01-31T23:59:59Z"))
        );
        assert_eq!(
            read(r#"{"Postgres:PROD:pt-2":{"last_processed_to":"2025-01-31T23:59:59Z"}}"#).unwrap_err(),
            "it says nothing of Postgres:PROD:pt-1, only of Postgres:PROD:pt-2"
        );
        assert!(
            read(r#"{"Postgres:PROD:pt-1":{"last_processed_to":"yesterday"}}"#)
                .unwrap_err()
                .contains("cannot be read")
        );
        assert!(read("").unwrap_err().contains("is not JSON"));
    }

    proptest! {
        #[test]
        fn due_months_are_ended_contiguous_and_after_the_cursor(last in 2000i32..2030, number in 1u32..=12, seconds in 0i64..2_000_000_000, most in 0usize..20) {
            let last = BillingMonth::new(last, number).unwrap();
            let now = DateTime::from_timestamp(seconds, 0).unwrap();
            let months = due_months(&DueMonths { last_processed: Some(last), start: None, now, exported_to: None, most });
            prop_assert!(months.len() <= most);
            prop_assert!(months.iter().all(|month| *month > last && month.end() <= now));
            prop_assert!(months.windows(2).all(|pair| pair[0].next() == pair[1]));
            prop_assert!(months.first().is_none_or(|first| *first == last.next()));
        }
    }
}
