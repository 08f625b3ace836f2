//! Which time of a month is asked for.

use billing::month::BillingMonth;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

/// The time of a month that has passed: from its first instant, inclusive, to `until`, exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) month: BillingMonth,
    pub(crate) until: DateTime<Utc>,
}

/// A month of which there is nothing to ask for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is nothing of {month} to ask for yet, it begins on {} UTC", month.start().format("%Y-%m-%d %H:%M"))]
pub struct NotYet {
    month: BillingMonth,
}

/// What one question is about: so many seconds before an end, which does not belong to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) end: DateTime<Utc>,
    pub(crate) seconds: i64,
}

const DAY_SECONDS: i64 = 24 * 60 * 60;

impl Window {
    /// The whole month, or of one that is not over, the steps of it that are.
    pub(crate) fn of(month: BillingMonth, now: DateTime<Utc>, step_seconds: i64) -> Result<Self, NotYet> {
        let passed = now - TimeDelta::seconds(now.timestamp().rem_euclid(step_seconds));
        let until = month.end().min(passed);
        let until = DateTime::from_timestamp(until.timestamp(), 0).unwrap_or(until);
        if until <= month.start() { Err(NotYet { month }) } else { Ok(Self { month, until }) }
    }

    /// Whether the month is not over.
    pub(crate) fn is_open(&self) -> bool {
        self.until < self.month.end()
    }

    /// All of it.
    pub(crate) fn whole(&self) -> Span {
        Span { end: self.until, seconds: (self.until - self.month.start()).num_seconds() }
    }

    /// Its first and its last day, which must have data if the days between are to be believed.
    pub(crate) fn edges(&self) -> [(NaiveDate, Span); 2] {
        let seconds = self.whole().seconds.min(DAY_SECONDS);
        let [first, last] = [self.month.start() + TimeDelta::seconds(seconds), self.until];
        [first, last].map(|end| {
            let day = (end - TimeDelta::seconds(seconds)).date_naive();
            (day, Span { end, seconds })
        })
    }
}

impl Span {
    /// The time to ask at, in seconds: a millisecond before the end. A range that ends there holds the first instant and not
    /// the end, both where ranges hold both of their ends (Prometheus 2) and where they hold only the later one (Prometheus 3).
    pub(crate) fn time(&self) -> String {
        let millis = self.end.timestamp_millis() - 1;
        format!("{}.{:03}", millis.div_euclid(1_000), millis.rem_euclid(1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(month: &str, now: &str) -> Result<Window, NotYet> {
        Window::of(month.parse().unwrap(), now.parse().unwrap(), 300)
    }

    #[test]
    fn a_month_that_is_over_is_asked_for_as_a_whole() {
        let october = window("2026-10", "2026-11-01T00:00:00Z").unwrap();
        assert!(!october.is_open());
        let whole = october.whole();
        assert_eq!((whole.seconds, whole.time().as_str()), (2_678_400, "1793491199.999"));
        assert_eq!(whole.end.to_rfc3339(), "2026-11-01T00:00:00+00:00");
        let [first, last] = october.edges();
        assert_eq!((first.0.to_string(), first.1.time()), ("2026-10-01".into(), "1790899199.999".into()));
        assert_eq!((last.0.to_string(), last.1.time()), ("2026-10-31".into(), whole.time()));
        assert_eq!((first.1.seconds, last.1.seconds), (86_400, 86_400));
        assert_eq!(window("2024-02", "2026-11-01T00:00:00Z").unwrap().whole().seconds, 29 * 86_400);
    }

    #[test]
    fn a_running_month_is_asked_for_until_its_last_whole_step() {
        let october = window("2026-10", "2026-10-20T12:03:07.5Z").unwrap();
        assert!(october.is_open());
        assert_eq!(october.until.to_rfc3339(), "2026-10-20T12:00:00+00:00");
        assert_eq!(october.whole().seconds, 19 * 86_400 + 12 * 3_600);
        let young = window("2026-10", "2026-10-01T02:00:00Z").unwrap();
        assert_eq!(young.edges().map(|(_, span)| span.seconds), [7_200, 7_200]);
        let error = window("2026-10", "2026-10-01T00:04:59Z").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is nothing of 2026-10 to ask for yet, it begins on 2026-10-01 00:00 UTC"
        );
        assert!(window("2026-12", "2026-10-01T00:00:00Z").is_err());
    }
}
