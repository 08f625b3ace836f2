//! Moments, sizes and the figures of a report.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::money::parse_decimal;

/// Nanoseconds since 1970: events are ordered as exactly as they say, and counted in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

impl Moment {
    /// A moment between 1970 and 2200, from an RFC 3339 time with any offset; nothing if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
        let nanos = time.timestamp_nanos_opt()?;
        (0..FIRST_OF_2200_NANOS).contains(&nanos).then_some(Self(nanos))
    }

    /// The millisecond that it lies in, since 1970.
    #[must_use]
    pub fn ms(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}

const FIRST_OF_2200_NANOS: i64 = 7_258_118_400 * 1_000_000_000;

/// RFC 3339 in UTC with as many decimals as it has.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&DateTime::from_timestamp_nanos(self.0).to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

/// A millisecond since 1970 as RFC 3339 in UTC, with decimals only where there are any.
pub(super) fn rfc3339(ms: i64) -> String {
    let time = DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// A size or an amount of data: billionths of a GiB (2^30 bytes), from 0 to 10^9 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gib(i64);

const NANO: i64 = 1_000_000_000;
const LARGEST_GIB: i64 = 1_000_000_000;

impl Gib {
    /// From the text of a number; nothing if it is negative, above 10^9 or has more than nine decimals.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse::<i64>().ok().map(|whole| Self(whole * NANO));
        }
        let value = parse_decimal(text).ok()?.normalize();
        let missing_decimals = 9u32.checked_sub(value.scale())?;
        let nano = value.mantissa().checked_mul(10i128.pow(missing_decimals))?;
        let nano = i64::try_from(nano).ok()?;
        (0..=LARGEST_GIB * NANO).contains(&nano).then_some(Self(nano))
    }

    /// In billionths.
    #[must_use]
    pub fn nano(self) -> i128 {
        self.0.into()
    }
}

impl fmt::Display for Gib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0.into(), 9)
    }
}

/// A figure of a report: four decimals, rounded half up from the exact quotient, written without trailing zeros (48, 159.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rounded(i128);

impl Rounded {
    /// `numerator / denominator`, both not negative; 0 if the denominator is 0. The whole part is taken out first: the remainder is smaller
    /// than the denominator, which has at most 29 digits (billionths of a GiB times the milliseconds of ten million volumes).
    #[must_use]
    pub fn quotient(numerator: i128, denominator: i128) -> Self {
        if denominator <= 0 {
            return Self(0);
        }
        let (whole, remainder) = (numerator / denominator, numerator % denominator);
        // a figure that has no room for its decimals would have 35 digits
        let fraction = (remainder * 10_000 * 2 + denominator) / (denominator * 2);
        Self(whole.saturating_mul(10_000).saturating_add(fraction))
    }
}

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0, 4)
    }
}

/// As a JSON number with these very digits.
impl serde::Serialize for Rounded {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number: serde_json::Number = self.to_string().parse().map_err(serde::ser::Error::custom)?;
        number.serialize(serializer)
    }
}

/// A number that is not negative, given in units of its last decimal, without trailing zeros.
fn write_decimal(f: &mut fmt::Formatter<'_>, units: i128, decimals: usize) -> fmt::Result {
    let one = 10i128.pow(u32::try_from(decimals).unwrap_or_default());
    let (whole, fraction) = (units / one, units % one);
    if fraction == 0 {
        return write!(f, "{whole}");
    }
    let fraction = format!("{fraction:0decimals$}");
    write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_have_any_offset_and_keep_their_decimals() {
        let moment = |text| Moment::parse(text).map(|moment| moment.to_string());
        assert_eq!(moment("2025-06-01T02:00:00+02:00").unwrap(), "2025-06-01T00:00:00Z");
        assert_eq!(moment("2025-06-01T00:00:00.123456Z").unwrap(), "2025-06-01T00:00:00.123456Z");
        assert_eq!(Moment::parse("2025-06-01T00:00:00.1239Z").unwrap().ms() % 1000, 123);
        for bad in
            ["", "2025-06-01", "2025-13-01T00:00:00Z", "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "1e9"]
        {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_are_exact_to_nine_decimals() {
        let gib = |text| Gib::parse(text).map(|gib| gib.to_string());
        assert_eq!(gib("100").unwrap(), "100");
        assert_eq!(gib("12.50").unwrap(), "12.5");
        assert_eq!(gib("0.000000001").unwrap(), "0.000000001");
        assert_eq!(gib("1e3").unwrap(), "1000");
        assert_eq!(gib("1000000000").unwrap(), "1000000000");
        for bad in ["-1", "0.0000000001", "1000000000.1", "NaN", "", "1e30", "ten"] {
            assert_eq!(gib(bad), None, "{bad}");
        }
    }

    #[test]
    fn figures_have_four_decimals_and_no_trailing_zeros() {
        let figure = |numerator, denominator| Rounded::quotient(numerator, denominator).to_string();
        assert_eq!(figure(48, 1), "48");
        assert_eq!(figure(319, 2), "159.5");
        assert_eq!(figure(1, 3), "0.3333");
        assert_eq!(figure(2, 3), "0.6667");
        assert_eq!(figure(1, 20_000), "0.0001");
        assert_eq!(figure(1, 20_001), "0");
        assert_eq!(figure(7, 0), "0");
        assert_eq!(serde_json::to_string(&Rounded::quotient(319, 2)).unwrap(), "159.5");
    }

    proptest! {
        /// Division digit by digit, as on paper.
        #[test]
        fn figures_are_exact_at_any_size(numerator in 0..i128::MAX / 100_000, small in 0..10i128.pow(9), denominator in 1..10i128.pow(29)) {
            for (numerator, denominator) in [(numerator, denominator), (small, denominator), (numerator, small + 1)] {
                let (mut expected, mut remainder) = (numerator / denominator, numerator % denominator);
                for _ in 0..4 {
                    expected = expected * 10 + remainder * 10 / denominator;
                    remainder = remainder * 10 % denominator;
                }
                expected += i128::from(remainder * 2 >= denominator);
                prop_assert_eq!(Rounded::quotient(numerator, denominator).0, expected);
            }
        }
    }
}
