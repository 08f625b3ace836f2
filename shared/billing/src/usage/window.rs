//! Which days a report is about, and how long the deleted are remembered.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Days, Months, NaiveDate, NaiveTime, Utc};

use super::quantity::rfc3339;
use crate::month::{BillingMonth, read_day};

/// The time that a report covers: from 00:00 UTC of its first day to the end of its last day, or to now if that comes first. Half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from_ms: i64,
    to_ms: i64,
    now_ms: i64,
}

/// Days that make no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWindow {
    /// A text that is no day.
    #[error("'{field}' is no date: '{text}', write it as YYYY-MM-DD, for example 2026-10-31")]
    Date {
        /// Which of them.
        field: &'static str,
        /// What was given.
        text: String,
    },
    /// The last day is before the first.
    #[error("the last day {last} must not be before the first day {first}")]
    Reversed {
        /// The first day.
        first: NaiveDate,
        /// The last day.
        last: NaiveDate,
    },
    /// Nothing has happened yet.
    #[error("the first day {0} is in the future")]
    Future(NaiveDate),
}

impl Window {
    /// From the first to the last day, both inclusive. Without a last day: today; without a first day: the first of the last day's month, or of
    /// this month if that is to come.
    ///
    /// # Errors
    /// [`InvalidWindow`] if they are reversed, or the first is after today.
    pub fn days(
        first: Option<NaiveDate>,
        last: Option<NaiveDate>,
        now: DateTime<Utc>,
    ) -> Result<Self, InvalidWindow> {
        let today = now.date_naive();
        let last = last.unwrap_or(today);
        let month = || {
            let day = last.min(today).and_time(NaiveTime::MIN).and_utc();
            BillingMonth::containing(day).start().date_naive()
        };
        let first = first.unwrap_or_else(month);
        if last < first {
            return Err(InvalidWindow::Reversed { first, last });
        }
        if first > today {
            return Err(InvalidWindow::Future(first));
        }
        let start = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc().timestamp_millis();
        let (now_ms, end) = (now.timestamp_millis(), last.checked_add_days(Days::new(1)).unwrap_or(last));
        Ok(Self { from_ms: start(first), to_ms: start(end).min(now_ms), now_ms })
    }

    /// Any time, for the laws that hold of all windows.
    #[cfg(test)]
    pub(super) fn between(from_ms: i64, to_ms: i64) -> Self {
        Self { from_ms, to_ms, now_ms: to_ms }
    }

    /// A day as a person or a query writes it; `field` names it in the error.
    ///
    /// # Errors
    /// [`InvalidWindow::Date`] unless it is `YYYY-MM-DD` and a day of the calendar.
    pub fn day(field: &'static str, text: &str) -> Result<NaiveDate, InvalidWindow> {
        read_day(text).ok_or_else(|| InvalidWindow::Date { field, text: text.chars().take(40).collect() })
    }

    /// First millisecond since 1970.
    #[must_use]
    pub fn from_ms(&self) -> i64 {
        self.from_ms
    }

    /// The millisecond after the last.
    #[must_use]
    pub fn to_ms(&self) -> i64 {
        self.to_ms
    }

    /// What counts as now: what runs has run until then.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// First instant, RFC 3339.
    #[must_use]
    pub fn from(&self) -> String {
        rfc3339(self.from_ms)
    }

    /// The instant after the last, RFC 3339.
    #[must_use]
    pub fn to(&self) -> String {
        rfc3339(self.to_ms)
    }

    /// How much of a span lies in it, in milliseconds.
    #[must_use]
    pub fn overlap_ms(&self, from_ms: i64, to_ms: i64) -> i64 {
        (to_ms.min(self.to_ms) - from_ms.max(self.from_ms)).max(0)
    }

    /// The part of it that lies in a span; nothing if none does. Of a window without any time, the span has all.
    pub(super) fn within(&self, from_ms: i64, to_ms: i64) -> Option<Self> {
        let part = Self { from_ms: from_ms.max(self.from_ms), to_ms: to_ms.min(self.to_ms), ..*self };
        let has_all = self.from_ms == self.to_ms && (from_ms..to_ms).contains(&self.from_ms);
        (part.from_ms < part.to_ms || has_all).then_some(part)
    }

    /// Whether a moment lies in it.
    #[must_use]
    pub fn contains_ms(&self, ms: i64) -> bool {
        (self.from_ms..self.to_ms).contains(&ms)
    }
}

/// How long datastores are remembered after their deletion. Written `6 months` or `180 days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Calendar months.
    Months(u32),
    /// Days.
    Days(u32),
}

impl Default for Retention {
    /// Six months.
    fn default() -> Self {
        Self::Months(6)
    }
}

/// A text that is no period of retention.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a number of months or days, at least one, at most 100 years, for example '6 months' or '180 days'")]
pub struct InvalidRetention;

impl Retention {
    /// What was deleted before this millisecond is no longer reported. Counted in whole days, so that it moves once a day.
    #[must_use]
    pub fn cutoff_ms(self, now: DateTime<Utc>) -> i64 {
        let today = now.date_naive();
        let day = match self {
            Self::Months(months) => today.checked_sub_months(Months::new(months)),
            Self::Days(days) => today.checked_sub_days(Days::new(days.into())),
        };
        day.unwrap_or(today).and_time(NaiveTime::MIN).and_utc().timestamp_millis()
    }
}

impl FromStr for Retention {
    type Err = InvalidRetention;

    fn from_str(text: &str) -> Result<Self, InvalidRetention> {
        let (number, unit) = text.trim().split_once(' ').ok_or(InvalidRetention)?;
        let number: u32 = number.parse().map_err(|_| InvalidRetention)?;
        match unit.trim() {
            _ if number == 0 => Err(InvalidRetention),
            "month" | "months" if number <= 1_200 => Ok(Self::Months(number)),
            "day" | "days" if number <= 36_500 => Ok(Self::Days(number)),
            _ => Err(InvalidRetention),
        }
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Months(months) => write!(f, "{months} months"),
            Self::Days(days) => write!(f, "{days} days"),
        }
    }
}

/// How far apart two events may be that crossed on their way. Written `2 s` or `500 ms`; `0 s` takes every event at its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    ms: i64,
}

impl Default for Tolerance {
    /// Two seconds.
    fn default() -> Self {
        Self { ms: 2_000 }
    }
}

/// A text that is no tolerance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a number of seconds or milliseconds, at most 60 seconds, for example '2 s' or '500 ms'")]
pub struct InvalidTolerance;

impl Tolerance {
    const MOST_MS: u32 = 60_000;

    /// In milliseconds.
    #[must_use]
    pub fn ms(self) -> i64 {
        self.ms
    }
}

impl FromStr for Tolerance {
    type Err = InvalidTolerance;

    fn from_str(text: &str) -> Result<Self, InvalidTolerance> {
        let (number, unit) = text.trim().split_once(' ').ok_or(InvalidTolerance)?;
        let number: u32 = number.parse().map_err(|_| InvalidTolerance)?;
        let ms = match unit.trim() {
            "s" => number.checked_mul(1_000),
            "ms" => Some(number),
            _ => None,
        };
        let ms = ms.filter(|ms| *ms <= Self::MOST_MS).ok_or(InvalidTolerance)?;
        Ok(Self { ms: ms.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-31T12:00:00.250Z".parse().unwrap()
    }

    fn window(first: &str, last: &str) -> Result<(String, String), String> {
        let day = |field, text: &str| {
            (!text.is_empty()).then(|| Window::day(field, text)).transpose().map_err(|e| e.to_string())
        };
        let window = Window::days(day("from", first)?, day("to", last)?, now()).map_err(|e| e.to_string())?;
        Ok((window.from(), window.to()))
    }

    #[test]
    fn both_days_are_inside_and_the_future_is_not() {
        let is = |first, last, from: &str, to: &str| {
            assert_eq!(window(first, last).unwrap(), (from.to_owned(), to.to_owned()));
        };
        is("2026-01-31", "2026-02-01", "2026-01-31T00:00:00Z", "2026-02-02T00:00:00Z");
        is("2024-02-29", "2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z");
        is("2026-03-31", "2026-12-31", "2026-03-31T00:00:00Z", "2026-03-31T12:00:00.250Z");
        is("", "2026-02-10", "2026-02-01T00:00:00Z", "2026-02-11T00:00:00Z");
        is("", "2026-04-10", "2026-03-01T00:00:00Z", "2026-03-31T12:00:00.250Z");
        is("", "2099-01-01", "2026-03-01T00:00:00Z", "2026-03-31T12:00:00.250Z");
        is("", "", "2026-03-01T00:00:00Z", "2026-03-31T12:00:00.250Z");
    }

    #[test]
    fn other_windows_are_refused_with_the_field() {
        let error = |first, last| window(first, last).unwrap_err();
        assert_eq!(
            error("2026-02-30", ""),
            "'from' is no date: '2026-02-30', write it as YYYY-MM-DD, for example 2026-10-31"
        );
        for bad in [
            "2026-1-01",
            "01.02.2026",
            "2026-02-0x",
            "0000-02-01",
            "+026-02-01",
            "2026-02-01T00:00:00Z",
            "日本語日本",
        ] {
            assert!(error("2026-01-01", bad).starts_with("'to' is no date"), "{bad}");
        }
        assert_eq!(
            error("2026-02-02", "2026-02-01"),
            "the last day 2026-02-01 must not be before the first day 2026-02-02"
        );
        assert_eq!(error("2026-04-01", "2026-04-02"), "the first day 2026-04-01 is in the future");
    }

    #[test]
    fn retention_is_counted_in_whole_days() {
        let cutoff = |text: &str| rfc3339(text.parse::<Retention>().unwrap().cutoff_ms(now()));
        assert_eq!(cutoff("6 months"), "2025-09-30T00:00:00Z"); // there is no 31st
        assert_eq!(cutoff("1 day"), "2026-03-30T00:00:00Z");
        for bad in ["", "6", "0 days", "6 years", "-1 months", "1201 months", "six months"] {
            assert!(bad.parse::<Retention>().is_err(), "{bad}");
        }
        assert_eq!(Retention::default().to_string(), "6 months");
    }

    #[test]
    fn a_tolerance_is_a_moment() {
        let ms = |text: &str| text.parse().map(Tolerance::ms);
        assert_eq!(ms("2 s"), Ok(Tolerance::default().ms()));
        assert_eq!((ms("500 ms"), ms("0 s"), ms("60 s")), (Ok(500), Ok(0), Ok(60_000)));
        for bad in ["", "2", "2s", "-1 s", "61 s", "60001 ms", "1 min", "4294968 s"] {
            assert_eq!(ms(bad), Err(InvalidTolerance), "{bad}");
        }
    }
}
