//! Which months are asked for, and which days of them.

use billing::month::BillingMonth;
use chrono::{DateTime, Days, NaiveDate, Utc};

/// The days of a month that a report is asked for, both counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) month: BillingMonth,
    pub(crate) from: NaiveDate,
    pub(crate) to: NaiveDate,
}

/// A month of which there is nothing to ask for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{month} has no day yet that has ended; the first report of it comes on {first}")]
pub struct NotYet {
    month: BillingMonth,
    first: NaiveDate,
}

impl Window {
    /// The whole month, or while it runs, its days that have ended: the figures of today still grow, and a report that says
    /// it is of the whole month is the report of the month.
    pub(crate) fn of(month: BillingMonth, now: DateTime<Utc>) -> Result<Self, NotYet> {
        let from = month.start().date_naive();
        let end = month.end().min(now).date_naive(); // the day after the last one
        match end.checked_sub_days(Days::new(1)) {
            Some(to) if to >= from => Ok(Self { month, from, to }),
            _ => Err(NotYet { month, first: from.checked_add_days(Days::new(1)).unwrap_or(from) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(month: &str, now: &str) -> Result<String, String> {
        let window = Window::of(month.parse().unwrap(), now.parse().unwrap());
        window.map(|window| format!("{} {}", window.from, window.to)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_month_that_has_ended_is_asked_for_as_a_whole_and_a_running_one_until_yesterday() {
        assert_eq!(days("2026-10", "2026-11-01T00:00:00Z").unwrap(), "2026-10-01 2026-10-31");
        assert_eq!(days("2024-02", "2026-11-01T00:00:00Z").unwrap(), "2024-02-01 2024-02-29");
        assert_eq!(days("2026-10", "2026-10-31T23:59:59Z").unwrap(), "2026-10-01 2026-10-30");
        assert_eq!(days("2026-10", "2026-10-02T00:00:00Z").unwrap(), "2026-10-01 2026-10-01");
        let error = days("2026-10", "2026-10-01T23:59:59Z").unwrap_err();
        assert_eq!(
            error,
            "2026-10 has no day yet that has ended; the first report of it comes on 2026-10-02"
        );
        assert!(days("2026-11", "2026-10-01T00:00:00Z").is_err());
    }
}
