//! Days written with slashes: month first or day first. APIs document which; of files it is found out, or a person says it.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

use super::focus::time;
use crate::month::BillingMonth;

/// In which order a day is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateOrder {
    /// `10/31/2026`, as Azure's API documents it.
    #[default]
    MonthFirst,
    /// `31/10/2026`.
    DayFirst,
}

impl fmt::Display for DateOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MonthFirst => "month-first",
            Self::DayFirst => "day-first",
        })
    }
}

impl DateOrder {
    /// The beginning of a day; also as `2026-10-31`, with or without a time.
    pub(super) fn day(self, text: &str) -> Option<DateTime<Utc>> {
        let Some(numbers) = slashed(text) else { return time(text) };
        self.of(numbers).map(|day| day.and_time(NaiveTime::MIN).and_utc())
    }

    fn of(self, [one, other, year]: [u32; 3]) -> Option<NaiveDate> {
        let (month, day) = match self {
            Self::MonthFirst => (one, other),
            Self::DayFirst => (other, one),
        };
        let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
        (date.year() > 0).then_some(date)
    }
}

/// The three numbers of `10/31/2026`, whatever follows after a space.
fn slashed(text: &str) -> Option<Slashed> {
    let day = text.split_once([' ', 'T']).map_or(text, |(day, _)| day);
    let mut numbers = day.split('/').map(|number| {
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| number.parse().ok()).flatten()
    });
    let all = [numbers.next()??, numbers.next()??, numbers.next()??];
    (numbers.next().is_none() && all[2] > 999).then_some(all)
}

/// Days of a row: of its own, and the first and last one of its billing period, as far as they are stated.
pub(super) type Days<'t> = (Option<&'t str>, Option<[&'t str; 2]>);

/// The numbers of `01/10/2026`.
type Slashed = [u32; 3];

/// What the days of a file say about their order. Memory grows with distinct days, not with rows.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    days: BTreeSet<(Option<Slashed>, Option<[Slashed; 2]>)>,
}

/// A file whose days can be read in two ways.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "its days, such as {day}, can be read with the month first or with the day first, and {why}: say which with \
     --dates month-first or --dates day-first"
)]
pub struct AmbiguousDates {
    day: String,
    why: &'static str,
}

impl Evidence {
    pub(super) fn add(&mut self, (day, period): Days<'_>) {
        let period = period.and_then(|[first, last]| Some([slashed(first)?, slashed(last)?]));
        let day = day.and_then(slashed);
        if day.is_some() || period.is_some() {
            self.days.insert((day, period));
        }
    }

    /// The order of the days; nothing if none is written with slashes, or if both orders mean the same.
    ///
    /// A number above 12 decides. Else it is the only order that puts all rows into one month, that of their period if there is one,
    /// unless the other one puts every row on a month's first day.
    pub(super) fn decide(&self) -> Result<Option<DateOrder>, AmbiguousDates> {
        let all = || self.days.iter().flat_map(|(day, period)| day.iter().chain(period.iter().flatten()));
        let Some(shown) = all().find(|[one, other, _]| one != other) else {
            return Ok(all().next().map(|_| DateOrder::MonthFirst));
        };
        let ambiguous =
            |why| AmbiguousDates { day: format!("{:02}/{:02}/{}", shown[0], shown[1], shown[2]), why };
        match (all().any(|day| day[0] > 12), all().any(|day| day[1] > 12)) {
            (true, true) => {
                return Err(ambiguous("some of them are possible in one order alone, some in the other"));
            }
            (true, false) => return Ok(Some(DateOrder::DayFirst)),
            (false, true) => return Ok(Some(DateOrder::MonthFirst)),
            (false, false) => {}
        }
        let (month_first, day_first) =
            (self.is_one_month(DateOrder::MonthFirst), self.is_one_month(DateOrder::DayFirst));
        let (order, other) = match (month_first, day_first) {
            (true, false) => (DateOrder::MonthFirst, DateOrder::DayFirst),
            (false, true) => (DateOrder::DayFirst, DateOrder::MonthFirst),
            (true, true) => return Err(ambiguous("both put all rows into one month")),
            (false, false) => return Err(ambiguous("neither puts all rows into one month")),
        };
        let first_days = |(day, _): &(Option<[u32; 3]>, _)| {
            day.is_none_or(|day| other.of(day).is_some_and(|day| day.day() == 1))
        };
        match self.days.iter().all(first_days) {
            true => Err(ambiguous(
                "one puts all rows into one month, the other every row on the first day of a month",
            )),
            false => Ok(Some(order)),
        }
    }

    /// Whether this order puts all rows into one month, and that of their periods.
    fn is_one_month(&self, order: DateOrder) -> bool {
        let at = |day: [u32; 3]| Some(order.of(day)?.and_time(NaiveTime::MIN).and_utc());
        let mut months = BTreeSet::new();
        for (day, period) in &self.days {
            if let Some([first, last]) = period {
                let (Some(first), Some(last)) = (at(*first), at(*last)) else { return false };
                let Ok(month) = BillingMonth::of_period(first, Some(after(last))) else { return false };
                months.insert(month);
            }
            if let Some(day) = day {
                let Some(day) = at(*day) else { return false };
                months.insert(BillingMonth::containing(day));
            }
        }
        months.len() == 1
    }
}

/// The beginning of the next day.
pub(super) fn after(day: DateTime<Utc>) -> DateTime<Utc> {
    day.checked_add_days(chrono::Days::new(1)).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decide(days: &[&str], period: Option<[&str; 2]>) -> Result<Option<DateOrder>, String> {
        let mut evidence = Evidence::default();
        days.iter().for_each(|day| evidence.add((Some(day), period)));
        evidence.decide().map_err(|error| error.why.to_owned())
    }

    #[test]
    fn a_day_above_twelve_decides_else_the_only_order_that_is_one_month() {
        let (month_first, day_first) = (Ok(Some(DateOrder::MonthFirst)), Ok(Some(DateOrder::DayFirst)));
        assert_eq!(decide(&["05/10/2026"], Some(["01/10/2026", "31/10/2026"])), day_first);
        assert_eq!(decide(&["10/05/2026"], Some(["10/01/2026", "10/31/2026"])), month_first);
        assert_eq!(decide(&["10/05/2026", "10/09/2026"], None), month_first);
        assert_eq!(decide(&["05/10/2026", "09/10/2026"], None), day_first);
        assert_eq!(decide(&["05/10/2026", "13/10/2026"], None), day_first);
        // several months in one file
        assert_eq!(decide(&["10/05/2026", "11/28/2026"], None), month_first);
        // nothing to decide
        assert_eq!(decide(&["2026-10-05"], None), Ok(None));
        assert_eq!(decide(&["10/10/2026"], None), month_first);
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_asked_about() {
        assert_eq!(decide(&["10/05/2026"], None), Err("both put all rows into one month".into()));
        assert_eq!(
            decide(&["01/07/2026", "01/08/2026", "01/09/2026"], None),
            Err("one puts all rows into one month, the other every row on the first day of a month".into())
        );
        assert_eq!(
            decide(&["10/05/2026", "03/09/2026"], None),
            Err("neither puts all rows into one month".into())
        );
        assert!(decide(&["13/01/2026", "01/13/2026"], None).unwrap_err().contains("some in the other"));
        let mut evidence = Evidence::default();
        evidence.add((Some("10/05/2026 00:00"), None));
        let said = evidence.decide().unwrap_err().to_string();
        assert!(
            said.contains("such as 10/05/2026,")
                && said.ends_with("--dates month-first or --dates day-first"),
            "{said}"
        );
    }

    #[test]
    fn days_are_read_in_their_order_and_others_as_they_are() {
        let day = |order: DateOrder, text| order.day(text).map(|day| day.to_rfc3339());
        let october = Some("2026-10-05T00:00:00+00:00".to_owned());
        assert_eq!(day(DateOrder::MonthFirst, "10/05/2026"), october);
        assert_eq!(day(DateOrder::DayFirst, "5/10/2026 00:00:00"), october);
        assert_eq!(day(DateOrder::DayFirst, "2026-10-05"), october);
        for bad in
            ["31/31/2026", "1/2", "1/2/26", "1/2/2026/3", "a/b/2026", "/1/2026", "02/30/2026", "01/01/0000"]
        {
            assert_eq!(DateOrder::MonthFirst.day(bad), None, "{bad}");
        }
    }

    proptest! {
        /// Whatever days a month's rows have: they are read right, or a person is asked.
        #[test]
        fn no_month_is_read_in_the_wrong_order(
            year in 2020u32..2030, month in 1u32..=12, days in prop::collection::btree_set(1u32..=28, 1..12), day_first in any::<bool>(),
            with_period in any::<bool>(),
        ) {
            let text = |day: u32| match day_first {
                true => format!("{day:02}/{month:02}/{year}"),
                false => format!("{month:02}/{day:02}/{year}"),
            };
            let last = BillingMonth::new(i32::try_from(year).unwrap(), month).unwrap().days();
            let period = [text(1), text(u32::try_from(last).unwrap())];
            let mut evidence = Evidence::default();
            for day in &days {
                let text = text(*day);
                evidence.add((Some(&text), with_period.then_some([&period[0], &period[1]])));
            }
            let order = if day_first { DateOrder::DayFirst } else { DateOrder::MonthFirst };
            if let Ok(Some(decided)) = evidence.decide() {
                let same = days.iter().all(|day| *day == month);
                prop_assert!(decided == order || same);
            }
            if with_period {
                prop_assert_eq!(evidence.decide(), Ok(Some(order)));
            }
        }
    }
}
