//! The billing month: a half-open interval of UTC time.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};

/// A calendar month in UTC: start inclusive, end exclusive. Written `YYYY-MM`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BillingMonth {
    first: NaiveDate,
}

/// A text or a pair of numbers that is no month.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a month, write it as YYYY-MM, for example 2026-10")]
pub struct InvalidMonth(String);

/// What nobody can have yet, because its time is still to come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} has not begun: it begins on {} UTC; ask again then, or for an earlier time", start.format("%Y-%m-%d %H:%M"))]
pub struct NotBegun {
    what: String,
    start: DateTime<Utc>,
}

impl NotBegun {
    /// Refuses what begins after now; `what` names it in the error.
    ///
    /// # Errors
    /// Itself.
    pub fn check(what: impl fmt::Display, start: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Self> {
        if start <= now { Ok(()) } else { Err(Self { what: what.to_string(), start }) }
    }
}

/// The moment, if it lies in the years 1 to 9999: months have no others.
#[must_use]
pub fn in_calendar(moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (1..=9999).contains(&moment.year()).then_some(moment)
}

/// A day as people and journals write it: `YYYY-MM-DD` in digits, of the same years; nothing if the text is none.
#[must_use]
pub fn read_day(text: &str) -> Option<NaiveDate> {
    let is_day = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| is_day)?;
    in_calendar(day.and_time(NaiveTime::MIN).and_utc()).map(|_| day)
}

impl BillingMonth {
    /// The month of a year (1 to 9999) and a month number (1 to 12).
    ///
    /// # Errors
    /// [`InvalidMonth`] outside those.
    pub fn new(year: i32, month: u32) -> Result<Self, InvalidMonth> {
        let invalid = || InvalidMonth(format!("{year}-{month}"));
        if !(1..=9999).contains(&year) {
            return Err(invalid());
        }
        NaiveDate::from_ymd_opt(year, month, 1).map(|first| Self { first }).ok_or_else(invalid)
    }

    /// The month in which a moment lies.
    #[must_use]
    pub fn containing(moment: DateTime<Utc>) -> Self {
        let date = moment.date_naive();
        Self { first: date.with_day(1).unwrap_or(date) } // every month has a first day
    }

    /// The month, unless all of it is still to come. Whoever asks for a month is checked by this.
    ///
    /// # Errors
    /// [`NotBegun`].
    pub fn begun(self, now: DateTime<Utc>) -> Result<Self, NotBegun> {
        NotBegun::check(self, self.start(), now).map(|()| self)
    }

    /// The calendar year.
    #[must_use]
    pub fn year(self) -> i32 {
        self.first.year()
    }

    /// The month number, 1 to 12.
    #[must_use]
    pub fn month(self) -> u32 {
        self.first.month()
    }

    /// First instant of the month.
    #[must_use]
    pub fn start(self) -> DateTime<Utc> {
        self.first.and_time(NaiveTime::MIN).and_utc()
    }

    /// First instant after the month.
    #[must_use]
    pub fn end(self) -> DateTime<Utc> {
        self.next().start()
    }

    /// The month before.
    #[must_use]
    pub fn previous(self) -> Self {
        Self { first: self.first.checked_sub_months(chrono::Months::new(1)).unwrap_or(self.first) }
    }

    /// The month after.
    #[must_use]
    pub fn next(self) -> Self {
        Self { first: self.first.checked_add_months(chrono::Months::new(1)).unwrap_or(self.first) }
    }

    /// Days of the month, 28 to 31.
    #[must_use]
    pub fn days(self) -> i64 {
        (self.end() - self.start()).num_days()
    }

    /// Hours of the month, 672 to 744 (UTC has no daylight saving).
    #[must_use]
    pub fn hours(self) -> i64 {
        self.days() * 24
    }
}

impl fmt::Display for BillingMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year(), self.month())
    }
}

impl FromStr for BillingMonth {
    type Err = InvalidMonth;

    fn from_str(text: &str) -> Result<Self, InvalidMonth> {
        let invalid = || InvalidMonth(text.chars().take(40).collect());
        let (year, month) = text.split_once('-').ok_or_else(invalid)?;
        if year.len() != 4
            || month.len() != 2
            || !(year.to_owned() + month).bytes().all(|b| b.is_ascii_digit())
        {
            return Err(invalid());
        }
        let (year, month) = (year.parse().map_err(|_| invalid())?, month.parse().map_err(|_| invalid())?);
        Self::new(year, month).map_err(|_| invalid())
    }
}

impl serde::Serialize for BillingMonth {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for BillingMonth {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_month_is_half_open() {
        let month: BillingMonth = "2024-02".parse().unwrap();
        assert_eq!(month.start().to_rfc3339(), "2024-02-01T00:00:00+00:00");
        assert_eq!(month.end().to_rfc3339(), "2024-03-01T00:00:00+00:00");
        assert_eq!((month.days(), month.hours()), (29, 696));
        assert_eq!(month.previous().to_string(), "2024-01");
        assert_eq!("2024-01".parse::<BillingMonth>().unwrap().previous().to_string(), "2023-12");
        assert_eq!(BillingMonth::containing(month.end()).to_string(), "2024-03");
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "2026",
            "2026-13",
            "2026-00",
            "2026-1",
            "26-01",
            "2026-10-01",
            "+026-10",
            "0000-01",
            "2026/10",
        ] {
            assert!(bad.parse::<BillingMonth>().is_err(), "{bad}");
        }
        let error = "october".parse::<BillingMonth>().unwrap_err();
        assert_eq!(error.to_string(), "'october' is not a month, write it as YYYY-MM, for example 2026-10");
    }

    #[test]
    fn a_month_that_is_still_to_come_is_refused() {
        let october: BillingMonth = "2026-10".parse().unwrap();
        let begun = |now: &str| october.begun(now.parse().unwrap());
        for now in ["2026-10-01T00:00:00Z", "2026-10-20T00:00:00Z", "2027-10-01T00:00:00Z"] {
            assert_eq!(begun(now), Ok(october), "{now}");
        }
        assert_eq!(
            begun("2026-09-30T23:59:59Z").unwrap_err().to_string(),
            "2026-10 has not begun: it begins on 2026-10-01 00:00 UTC; ask again then, or for an earlier time"
        );
    }

    #[test]
    fn the_calendar_has_the_years_1_to_9999() {
        let has = |text: &str| in_calendar(text.parse().unwrap()).is_some();
        assert!(has("0001-01-01T00:00:00Z") && has("9999-12-31T23:59:59Z"));
        for other in ["0000-12-31T23:59:59Z", "+10000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00"] {
            assert!(!has(other), "{other}");
        }
        assert_eq!(read_day("2024-02-29").unwrap().to_string(), "2024-02-29");
        for other in [
            "0000-01-01",
            "2023-02-29",
            "+2024-2-29",
            "2024-2-29",
            "2024/02/29",
            "２０２４-02-29",
            "2024-02-29 ",
        ] {
            assert_eq!(read_day(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips_and_neighbours_touch(year in 2i32..9999, number in 1u32..=12) {
            let month = BillingMonth::new(year, number).unwrap();
            prop_assert_eq!(month.to_string().parse::<BillingMonth>().unwrap(), month);
            prop_assert_eq!(month.previous().end(), month.start());
            prop_assert_eq!(month.previous().next(), month);
            prop_assert!((28..=31).contains(&month.days()));
        }
    }
}
