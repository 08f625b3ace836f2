//! Which months are fetched, which days of them, and when a month is final.

use billing::month::{BillingMonth, NotBegun};
use billing::period::Finality;
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

/// Azure restates the usage of a month for up to 5 days after it has ended.
const RESTATED_DAYS: i64 = 5;

/// The days of a month that a report is asked for, both counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: NaiveDate,
    pub(crate) end: NaiveDate,
}

impl Window {
    /// The whole month, or while it runs, its days until today.
    pub(crate) fn of(month: BillingMonth, now: DateTime<Utc>) -> Result<Self, NotBegun> {
        month.begun(now)?;
        let (start, after) = (month.start().date_naive(), month.end().date_naive());
        let last = after.checked_sub_days(Days::new(1)).unwrap_or(start);
        Ok(Self { start, end: last.min(now.date_naive()) })
    }
}

/// A month is final when it has ended, 5 full days have passed since, and there is an invoice of it (where invoices are looked at).
pub(crate) fn finality(month: BillingMonth, now: DateTime<Utc>, has_invoice: bool) -> Finality {
    let is_settled = now >= month.end() + TimeDelta::days(RESTATED_DAYS);
    if is_settled && has_invoice { Finality::Final } else { Finality::Open }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn an_ended_month_is_asked_for_as_a_whole_and_a_running_one_until_today() {
        let days = |month: &str, now: &str| {
            let window = Window::of(month.parse().unwrap(), moment(now));
            window.map(|window| format!("{} {}", window.start, window.end)).map_err(|error| error.to_string())
        };
        assert_eq!(days("2026-10", "2026-11-01T00:00:00Z").unwrap(), "2026-10-01 2026-10-31");
        assert_eq!(days("2024-02", "2026-11-01T00:00:00Z").unwrap(), "2024-02-01 2024-02-29");
        assert_eq!(days("2026-10", "2026-10-31T23:59:59Z").unwrap(), "2026-10-01 2026-10-31");
        assert_eq!(days("2026-10", "2026-10-01T00:00:00Z").unwrap(), "2026-10-01 2026-10-01");
        let error = days("2026-11", "2026-10-31T23:59:59Z").unwrap_err();
        assert!(error.starts_with("2026-11 has not begun"), "{error}");
    }

    #[test]
    fn a_month_is_final_with_its_invoice_when_it_is_no_longer_restated() {
        let october = |now, has_invoice| finality("2026-10".parse().unwrap(), moment(now), has_invoice);
        assert_eq!(october("2026-11-05T23:59:59Z", true), Finality::Open);
        assert_eq!(october("2026-11-06T00:00:00Z", true), Finality::Final);
        assert_eq!(october("2026-11-06T00:00:00Z", false), Finality::Open);
        assert_eq!(october("2026-10-31T00:00:00Z", true), Finality::Open);
    }
}
