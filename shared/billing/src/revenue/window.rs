//! The time that a report is about.

use std::fmt;

use chrono::{DateTime, NaiveTime, Timelike, Utc};

use super::moment::{read_moment, show_moment};
use crate::month::{BillingMonth, NotBegun};

/// From `start` up to, but without, `end`, in UTC and whole seconds. A calendar month is written `2026-10`, whole days
/// `2026-10-05_2026-10-12`, others `20180310T180000Z_20190310T180000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

/// Two times that are no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum InvalidWindow {
    #[error(
        "{field} '{text}' is no time, write a date or RFC 3339 in whole seconds, for example 2019-03-10T18:00:00Z"
    )]
    Moment { field: &'static str, text: String },
    #[error("the window ends ({end}) before it has begun ({start})")]
    Empty { start: String, end: String },
    #[error("the window has {months} months, at most {most} are reported on at once")]
    Long { months: usize, most: usize },
    #[error(transparent)]
    NotBegun(#[from] NotBegun),
}

impl Window {
    /// Months of a window at most.
    pub const MOST_MONTHS: usize = 121;

    /// A calendar month.
    #[must_use]
    pub fn month(month: BillingMonth) -> Self {
        Self { start: month.start(), end: month.end() }
    }

    /// Between two times, each a date (its midnight UTC) or RFC 3339.
    ///
    /// # Errors
    /// [`InvalidWindow`].
    pub fn between(start: &str, end: &str) -> Result<Self, InvalidWindow> {
        let moment = |field, text: &str| {
            let moment = read_moment(text).filter(|moment| moment.nanosecond() == 0);
            moment.ok_or_else(|| InvalidWindow::Moment { field, text: text.chars().take(40).collect() })
        };
        let window = Self { start: moment("start", start)?, end: moment("end", end)? };
        if window.start >= window.end {
            let [start, end] = [window.start, window.end].map(show_moment);
            return Err(InvalidWindow::Empty { start, end });
        }
        let months = window.months_from_start().take(Self::MOST_MONTHS + 1).count();
        if months > Self::MOST_MONTHS {
            return Err(InvalidWindow::Long { months, most: Self::MOST_MONTHS });
        }
        Ok(window)
    }

    /// The window, unless all of it is still to come.
    ///
    /// # Errors
    /// [`InvalidWindow::NotBegun`].
    pub fn begun(self, now: DateTime<Utc>) -> Result<Self, InvalidWindow> {
        let what = if self == Self::month(BillingMonth::containing(self.start)) { "" } else { "the window " };
        NotBegun::check(format!("{what}{self}"), self.start, now)?;
        Ok(self)
    }

    /// First moment.
    #[must_use]
    pub fn start(&self) -> DateTime<Utc> {
        self.start
    }

    /// First moment after.
    #[must_use]
    pub fn end(&self) -> DateTime<Utc> {
        self.end
    }

    /// Whether a moment lies in it.
    #[must_use]
    pub fn contains(&self, moment: DateTime<Utc>) -> bool {
        (self.start..self.end).contains(&moment)
    }

    /// The months that overlap it, in their order.
    #[must_use]
    pub fn months(&self) -> Vec<BillingMonth> {
        self.months_from_start().take(Self::MOST_MONTHS).collect()
    }

    fn months_from_start(&self) -> impl Iterator<Item = BillingMonth> {
        let (first, end) = (BillingMonth::containing(self.start), self.end);
        std::iter::successors(Some(first), |month| Some(month.next()).filter(|next| next > month))
            .take_while(move |month| month.start() < end)
    }
}

/// Its name in keys.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let month = BillingMonth::containing(self.start);
        if *self == Self::month(month) {
            return month.fmt(f);
        }
        let whole_days = [self.start, self.end].iter().all(|moment| moment.time() == NaiveTime::MIN);
        let format = if whole_days { "%Y-%m-%d" } else { "%Y%m%dT%H%M%SZ" };
        write!(f, "{}_{}", self.start.format(format), self.end.format(format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_names_and_months() {
        let name = |start, end| Window::between(start, end).unwrap().to_string();
        assert_eq!(name("2019-03-01", "2019-04-01T00:00:00Z"), "2019-03");
        assert_eq!(name("2019-12-01", "2020-01-01"), "2019-12");
        assert_eq!(name("2019-03-10", "2019-03-20"), "2019-03-10_2019-03-20");
        assert_eq!(
            name("2018-03-10 18:00:00+00:00", "2019-03-10T19:00:00+01:00"),
            "20180310T180000Z_20190310T180000Z"
        );
        let window = Window::between("2018-12-31T23:59:59Z", "2019-02-01").unwrap();
        assert_eq!(
            window.months().iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["2018-12", "2019-01"]
        );
        assert!(window.contains(window.start()) && !window.contains(window.end()));
    }

    #[test]
    fn a_window_that_is_still_to_come_is_refused() {
        let begun = |start, now: &str| {
            let window = Window::between(start, "2027-01-01").unwrap().begun(now.parse().unwrap());
            window.map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(begun("2026-11-30", "2026-11-30T00:00:00Z"), Ok(()));
        let error = begun("2026-11-30T18:00:00Z", "2026-11-30T17:59:59Z").unwrap_err();
        let name = "20261130T180000Z_20270101T000000Z";
        assert!(
            error.starts_with(&format!("the window {name} has not begun: it begins on 2026-11-30 18:00 UTC")),
            "{error}"
        );
        let error = begun("2026-12-01", "2026-11-30T00:00:00Z").unwrap_err();
        assert!(error.starts_with("2026-12 has not begun"), "{error}");
    }

    #[test]
    fn other_times_are_refused() {
        let why = |start, end| Window::between(start, end).unwrap_err().to_string();
        assert!(why("soon", "2019-01-01").starts_with("start 'soon' is no time"));
        assert!(why("2019-01-01", "2019-01-01T00:00:00.5Z").starts_with("end '2019-01-01T00:00:00.5Z'"));
        assert!(why("2019-01-01", "2019-01-01").contains("before it has begun"));
        assert_eq!(
            why("2019-01-01", "2030-01-01"),
            "the window has 122 months, at most 121 are reported on at once"
        );
    }
}
