//! What an S3 notification, the schedule or a person asks for.

use billing::month::BillingMonth;
use billing::revenue::{InvalidWindow, Window};
use chrono::{DateTime, Utc};
use cloud::events::{self, InvalidWish, StoredObject, Wish, scheduled, stored_objects};
use serde::Deserialize;
use serde_json::Value;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Report on the months in whose folders these objects stand.
    MonthsOf(Vec<StoredObject>),
    /// Report on a window.
    Report(Window),
    /// Say what would come out.
    Look(Window),
}

/// An event that asks for nothing known.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEvent {
    #[error(transparent)]
    Notification(#[from] events::InvalidEvent),
    #[error(transparent)]
    Wish(#[from] InvalidWish),
    #[error(transparent)]
    Window(#[from] InvalidWindow),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wire {
    month: Option<BillingMonth>,
    start: Option<String>,
    end: Option<String>,
    dry_run: bool,
}

impl Wish for Wire {
    const GIVE: &'static str = "{} for the month before, or {\"month\": \"YYYY-MM\"}, or {\"start\": \"...\", \"end\": \"...\"} \
     (dates or RFC 3339), with \"dry_run\": true to look only";
}

/// Reads an event. The month before is counted from the time of the schedule, which a late delivery does not change.
pub(crate) fn read_event(event: &Value, now: DateTime<Utc>) -> Result<Wanted, InvalidEvent> {
    let is_test = event.get("Event").and_then(Value::as_str) == Some("s3:TestEvent");
    if is_test || event.get("Records").is_some() {
        return Ok(Wanted::MonthsOf(stored_objects(event)?));
    }
    let Wire { month, start, end, dry_run } = Wire::read(event)?;
    let window = match (month, start, end) {
        (Some(month), None, None) => Window::month(month).begun(now)?,
        (None, Some(start), Some(end)) => Window::between(&start, &end)?.begun(now)?,
        (None, None, None) => {
            let due = scheduled(event).unwrap_or(now);
            Window::month(BillingMonth::containing(due).previous()).begun(now)?
        }
        _ => {
            return Err(Wire::invalid("month goes without start and end, and those go together").into());
        }
    };
    Ok(if dry_run { Wanted::Look(window) } else { Wanted::Report(window) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(event: Value) -> Result<Wanted, InvalidEvent> {
        read_event(&event, "2026-11-02T06:00:00Z".parse().unwrap())
    }

    fn window(start: &str, end: &str) -> Window {
        Window::between(start, end).unwrap()
    }

    #[test]
    fn the_schedule_asks_for_the_month_before_its_own_time() {
        assert_eq!(wanted(json!({})).unwrap(), Wanted::Report(window("2026-10-01", "2026-11-01")));
        let new_year = json!({"scheduled_time": "2026-01-01T08:00:00Z", "execution_id": "x", "attempt": "3"});
        assert_eq!(wanted(new_year).unwrap(), Wanted::Report(window("2025-12-01", "2026-01-01")));
        let rule = json!({"detail-type": "Scheduled Event", "time": "2026-03-01T08:00:00Z"});
        assert_eq!(wanted(rule).unwrap(), Wanted::Report(window("2026-02-01", "2026-03-01")));
    }

    #[test]
    fn a_person_asks_for_a_month_or_a_window() {
        assert_eq!(
            wanted(json!({"month": "2019-03", "dry_run": true})).unwrap(),
            Wanted::Look(window("2019-03-01", "2019-04-01"))
        );
        let between = json!({"start": "2018-03-10T18:00:00Z", "end": "2019-03-10 18:00:00+00:00"});
        assert_eq!(
            wanted(between).unwrap(),
            Wanted::Report(window("2018-03-10T18:00:00Z", "2019-03-10T18:00:00Z"))
        );
        for misspelt in [
            json!({"mounth": "2026-10"}),
            json!({"month": "October"}),
            json!({"month": "2026-10", "start": "2026-10-01"}),
            json!({"start": "2026-10-01"}),
            json!({"start": "2026-10-02", "end": "2026-10-01"}),
            json!([]),
            json!({"Records": [{}]}),
        ] {
            assert!(wanted(misspelt.clone()).is_err(), "{misspelt}");
        }
    }

    #[test]
    fn what_has_not_begun_is_refused() {
        let rest = json!({"month": "2026-11", "dry_run": true});
        assert_eq!(wanted(rest).unwrap(), Wanted::Look(window("2026-11-01", "2026-12-01")));
        let open = json!({"start": "2026-11-01", "end": "2027-02-01"});
        assert_eq!(wanted(open).unwrap(), Wanted::Report(window("2026-11-01", "2027-02-01")));
        for (early, name) in [
            (json!({"month": "2026-12"}), "2026-12"),
            (json!({"month": "2027-01", "dry_run": true}), "2027-01"),
            (json!({"start": "2026-11-03", "end": "2026-11-04"}), "the window 2026-11-03_2026-11-04"),
        ] {
            let error = wanted(early).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} has not begun: it begins on")), "{error}");
        }
    }

    #[test]
    fn a_notification_asks_for_the_months_of_its_objects() {
        let event = json!({"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "journal/2019-03/a+b.jsonl"}}}]});
        let Wanted::MonthsOf(objects) = wanted(event).unwrap() else { panic!("no notification") };
        assert_eq!(objects[0].key, "journal/2019-03/a b.jsonl");
        assert_eq!(wanted(json!({"Event": "s3:TestEvent"})).unwrap(), Wanted::MonthsOf(vec![]));
    }
}
