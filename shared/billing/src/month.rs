//! The billing month: a half-open interval of UTC time.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};

/// A calendar month in UTC: start inclusive, end exclusive. Written `YYYY-MM`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BillingMonth {
    first: NaiveDate,
}

/// A text or a pair of numbers that is no month.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a month, write it as YYYY-MM, for example 2026-10")]
pub struct InvalidMonth(String);

/// How far local times are from UTC, at the most.
const TOLERANCE: TimeDelta = TimeDelta::hours(14);

/// A billing period that is no calendar month.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the billing period from {} {} is no calendar month: a bill is of one", shown(start), until(*end))]
pub struct NoMonth {
    start: DateTime<Utc>,
    end: Option<DateTime<Utc>>,
}

fn shown(moment: &DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

fn until(end: Option<DateTime<Utc>>) -> String {
    end.map_or_else(|| "on".to_owned(), |end| format!("to {}", shown(&end)))
}

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

    /// The month that a billing period covers: its start, and its end where it states one, both lie within 14 hours of the month's.
    /// So a period may be written in the local time of any place, with its offset or without.
    ///
    /// # Errors
    /// [`NoMonth`] states both moments.
    pub fn of_period(start: DateTime<Utc>, end: Option<DateTime<Utc>>) -> Result<Self, NoMonth> {
        let close = |one: DateTime<Utc>, other: DateTime<Utc>| (one - other).abs() <= TOLERANCE;
        let month = Self::containing(start.checked_add_signed(TOLERANCE).unwrap_or(start));
        let is_month = (1..=9998).contains(&month.year())
            && close(start, month.start())
            && end.is_none_or(|end| close(end, month.end()));
        if is_month { Ok(month) } else { Err(NoMonth { start, end }) }
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

    /// Its first day.
    #[must_use]
    pub fn first_day(self) -> NaiveDate {
        self.start().date_naive()
    }

    /// Its last day.
    #[must_use]
    pub fn last_day(self) -> NaiveDate {
        self.first_day() + TimeDelta::days(self.days() - 1)
    }

    /// The last months that have ended, oldest first.
    #[must_use]
    pub fn ended(now: DateTime<Utc>, count: usize) -> Vec<Self> {
        let mut months = Self::recent(now, count);
        months.pop();
        months
    }

    /// The running month after the last ones that have ended, oldest first.
    #[must_use]
    pub fn recent(now: DateTime<Utc>, ended: usize) -> Vec<Self> {
        let months = std::iter::successors(Some(Self::containing(now)), |month| Some(month.previous()));
        let mut months: Vec<Self> = months.take(ended.saturating_add(1)).collect();
        months.reverse();
        months
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
    fn the_running_month_comes_after_the_last_that_have_ended() {
        let months = |now: &str, ended| {
            let months = BillingMonth::recent(now.parse().unwrap(), ended);
            months.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(months("2026-11-01T00:00:00Z", 2), ["2026-09", "2026-10", "2026-11"]);
        assert_eq!(months("2026-01-31T23:59:59Z", 1), ["2025-12", "2026-01"]);
        assert_eq!(months("2026-01-01T00:00:00Z", 0), ["2026-01"]);
        let ended = |count| BillingMonth::ended("2026-01-31T23:59:59Z".parse().unwrap(), count);
        assert_eq!(ended(2), ["2025-11", "2025-12"].map(|month| month.parse().unwrap()));
        assert_eq!(ended(0), []);
    }

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

    fn of(start: &str, end: &str) -> Result<String, String> {
        let moment = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        let end = Some(end).filter(|end| !end.is_empty()).map(moment);
        BillingMonth::of_period(moment(start), end)
            .map(|month| month.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_billing_period_is_of_the_month_that_it_covers_where_it_was_written() {
        for (start, end) in [
            ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
            ("2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00"),
            ("2026-10-01T00:00:00-08:00", "2026-11-01T00:00:00-07:00"),
            ("2026-10-01T00:00:00+14:00", ""),
            // the offset was lost
            ("2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"),
            ("2026-10-01T00:00:00Z", "2026-10-31T23:59:59.999Z"),
        ] {
            assert_eq!(of(start, end).as_deref(), Ok("2026-10"), "{start} {end}");
        }
        for (start, end) in [
            ("2026-10-15T00:00:00Z", "2026-11-15T00:00:00Z"),
            ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2026-10-01T00:00:00Z", "2026-10-01T00:00:00Z"),
            ("2026-10-01T00:00:00Z", "2026-10-31T00:00:00Z"),
            ("2026-10-02T00:00:00Z", ""),
            ("0000-01-01T00:00:00Z", ""),
        ] {
            assert!(of(start, end).is_err(), "{start} {end}");
        }
        assert_eq!(
            of("2026-10-01T00:00:00Z", "2026-09-01T00:00:00Z").unwrap_err(),
            "the billing period from 2026-10-01T00:00:00Z to 2026-09-01T00:00:00Z is no calendar month: a bill is of one"
        );
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
        fn a_month_written_in_any_offset_is_that_month(
            year in 2i32..9000, number in 1u32..=12, from in -14i32 * 4..=14 * 4, to in -14i32 * 4..=14 * 4, has_end in any::<bool>(),
        ) {
            let month = BillingMonth::new(year, number).unwrap();
            let at = |moment: DateTime<Utc>, quarters: i32| moment - TimeDelta::minutes(i64::from(quarters) * 15);
            let (start, end) = (at(month.start(), from), at(month.end(), to));
            prop_assert_eq!(BillingMonth::of_period(start, has_end.then_some(end)), Ok(month));
        }

        #[test]
        fn no_period_is_of_two_months(start in 0i64..2_000_000_000, hours in -2_000i64..2_000) {
            let start = DateTime::from_timestamp(start, 0).unwrap();
            let end = start + TimeDelta::hours(hours);
            if let Ok(month) = BillingMonth::of_period(start, Some(end)) {
                prop_assert!((start - month.start()).abs() <= TOLERANCE && (end - month.end()).abs() <= TOLERANCE);
                prop_assert!(hours > 24 * 26);
            }
        }

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
