//! Moments as a journal writes them and as the report prints them.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Timelike, Utc};

use crate::month::{in_calendar, read_day};

/// A moment: RFC 3339 with an offset and a `T` or a space (`2019-03-01 14:21:43.969120+00:00`), or a date, which is its midnight UTC.
/// Nothing if the text is neither, or its year does not have four digits.
#[must_use]
pub fn read_moment(text: &str) -> Option<DateTime<Utc>> {
    if text.len() == 10 {
        return read_day(text).map(|day| day.and_time(NaiveTime::MIN).and_utc());
    }
    read_time(text)
}

/// A moment with its time of day; nothing if the text is none. A leap second counts as the second after it.
pub(super) fn read_time(text: &str) -> Option<DateTime<Utc>> {
    if let Some(usual) = read_usual(text.as_bytes()) {
        return Some(usual);
    }
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    // 23:59:60 has more than 10^9 nanoseconds, which no other moment equals
    let nanoseconds = i64::from(time.nanosecond());
    let time = if nanoseconds < 1_000_000_000 {
        time
    } else {
        DateTime::from_timestamp_nanos(time.timestamp_nanos_opt()?)
    };
    in_calendar(time)
}

/// The usual form, in UTC and to the second or microsecond: read without looking for any other.
fn read_usual(text: &[u8]) -> Option<DateTime<Utc>> {
    let number = |from: usize, length: usize| {
        text.get(from..from + length)?.iter().try_fold(0u32, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'))
        })
    };
    let mark = |at: usize, marks: &[u8]| text.get(at).filter(|byte| marks.contains(byte)).map(|_| ());
    mark(4, b"-").and(mark(7, b"-")).and(mark(10, b" T")).and(mark(13, b":")).and(mark(16, b":"))?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)?).ok()?, number(5, 2)?, number(8, 2)?)?;
    let (micros, rest) =
        if text.get(19) == Some(&b'.') { (number(20, 6)?, &text[26..]) } else { (0, text.get(19..)?) };
    let is_utc = rest == b"Z" || rest == b"+00:00";
    let time = NaiveTime::from_hms_micro_opt(number(11, 2)?, number(14, 2)?, number(17, 2)?, micros)?;
    is_utc.then(|| date.and_time(time).and_utc()).and_then(in_calendar)
}

/// As `2019-03-01 14:21:43.969120+00:00`; whole seconds without a fraction.
#[must_use]
pub fn show_moment(moment: DateTime<Utc>) -> String {
    let mut text = String::with_capacity(32);
    push_moment(&mut text, moment);
    text
}

pub(super) fn push_moment(text: &mut String, moment: DateTime<Utc>) {
    let year = moment.year().unsigned_abs();
    push_digits(text, year, 1000);
    for (mark, number) in [
        ('-', moment.month()),
        ('-', moment.day()),
        (' ', moment.hour()),
        (':', moment.minute()),
        (':', moment.second()),
    ] {
        text.push(mark);
        push_digits(text, number, 10);
    }
    match moment.nanosecond() {
        0 => {}
        nanoseconds => {
            text.push('.');
            let micros = nanoseconds % 1000 == 0;
            push_digits(
                text,
                if micros { nanoseconds / 1000 } else { nanoseconds },
                if micros { 100_000 } else { 100_000_000 },
            );
        }
    }
    text.push_str("+00:00");
}

/// As many digits as `highest` has.
fn push_digits(text: &mut String, number: u32, mut highest: u32) {
    while highest > 0 {
        text.push(char::from(b'0' + (number / highest % 10) as u8)); // a digit
        highest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_with_their_offset_and_shown_in_utc() {
        let shown = |text| read_moment(text).map(show_moment);
        for (text, moment) in [
            ("2019-03-01 14:21:43.969120+00:00", "2019-03-01 14:21:43.969120+00:00"),
            ("2019-03-01T14:21:43.96912Z", "2019-03-01 14:21:43.969120+00:00"),
            ("2019-03-01T00:30:00+01:00", "2019-02-28 23:30:00+00:00"),
            ("2019-03-01", "2019-03-01 00:00:00+00:00"),
            ("2019-03-01T00:00:00.000000001Z", "2019-03-01 00:00:00.000000001+00:00"),
            ("2016-12-31T23:59:60Z", "2017-01-01 00:00:00+00:00"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(moment), "{text}");
        }
        for bad in [
            "",
            "soon",
            "2019-03-01 14:21:43",
            "2019-02-30",
            "2019-3-1",
            "2019-02-29T00:00:00Z",
            "0000-03-01",
            "0000-03-01T00:00:00Z",
            "0001-01-01T00:00:00+01:00",
            "+2019-3-01",
            "１２３４-03-01",
        ] {
            assert_eq!(read_moment(bad), None, "{bad}");
        }
    }
}
