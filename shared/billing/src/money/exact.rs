//! Products, and sums beyond the 28 digits of a [`Decimal`]: a month of byte-hours passes 2^53, a cost times a rate times a percentage has as many
//! decimals as the three together. They keep all digits until they are rounded once.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use ethnum::I256;
use rust_decimal::Decimal;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::MoneyError;

/// A signed decimal number in 256 bits, about 76 digits: an integer over a power of ten, without zeros at its end.
///
/// A value of at most 28 digits (what [`parse_decimal`](super::parse_decimal) takes) needs 187 bits once all have the same scale, so
/// that more values can be added than there are hours in the history of the earth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Exact {
    mantissa: I256,
    scale: u32,
}

/// Digits of a text that is read back.
const MOST_DIGITS: usize = 76;

fn power(digits: u32) -> Result<I256, MoneyError> {
    I256::new(10).checked_pow(digits).ok_or(MoneyError::Overflow)
}

impl Exact {
    /// Nothing.
    pub const ZERO: Self = Self { mantissa: I256::ZERO, scale: 0 };

    fn normal(mut mantissa: I256, mut scale: u32) -> Self {
        let ten = I256::new(10);
        while scale > 0 && mantissa % ten == I256::ZERO {
            (mantissa, scale) = (mantissa / ten, scale - 1);
        }
        Self { mantissa, scale }
    }

    /// The product.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 256 bits.
    pub fn times(self, factor: Decimal) -> Result<Self, MoneyError> {
        self.product(factor.into())
    }

    /// The product of two exact numbers.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 256 bits.
    pub fn product(self, factor: Self) -> Result<Self, MoneyError> {
        let mantissa = self.mantissa.checked_mul(factor.mantissa).ok_or(MoneyError::Overflow)?;
        Ok(Self::normal(mantissa, self.scale + factor.scale))
    }

    /// So many percent of it.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 256 bits.
    pub fn percent(self, percent: Decimal) -> Result<Self, MoneyError> {
        let product = self.times(percent)?;
        Ok(Self::normal(product.mantissa, product.scale + 2))
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 256 bits.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        let (left, right, scale) = self.aligned(other)?;
        Ok(Self::normal(left.checked_add(right).ok_or(MoneyError::Overflow)?, scale))
    }

    /// The difference.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 256 bits.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        let (left, right, scale) = self.aligned(other)?;
        Ok(Self::normal(left.checked_sub(right).ok_or(MoneyError::Overflow)?, scale))
    }

    /// The sum of all.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 256 bits.
    pub fn sum(numbers: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        numbers.into_iter().try_fold(Self::ZERO, Self::plus)
    }

    /// The mantissas of both at one scale.
    fn aligned(self, other: Self) -> Result<(I256, I256, u32), MoneyError> {
        let scale = self.scale.max(other.scale);
        let at = |number: Self| match number.is_zero() {
            true => Ok(I256::ZERO),
            false => number.mantissa.checked_mul(power(scale - number.scale)?).ok_or(MoneyError::Overflow),
        };
        Ok((at(self)?, at(other)?, scale))
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.mantissa == I256::ZERO
    }

    /// Whether it is more than nothing.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.mantissa > I256::ZERO
    }

    /// Whether it is less than nothing.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.mantissa < I256::ZERO
    }

    /// The largest integer that is not above it: 669.6 gives 669, -0.5 gives -1.
    #[must_use]
    pub fn floor(self) -> Self {
        let mantissa = match power(self.scale) {
            Ok(unit) => self.mantissa.div_euclid(unit),
            // a unit of more digits than there are: between -1 and 1
            Err(_) => I256::from(-i8::from(self.is_negative())),
        };
        Self { mantissa, scale: 0 }
    }

    /// Rounded to so many decimals, halves away from zero.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 28 digits.
    pub fn round_half_away(self, decimals: u32) -> Result<Decimal, MoneyError> {
        self.cut(decimals, |rest, unit| {
            // the rest is less than a unit and a unit at most 10^76, so twice the rest fits
            let away = rest.unsigned_abs() >= unit.unsigned_abs() - rest.unsigned_abs();
            if rest != I256::ZERO && away { rest.signum128() } else { 0 }
        })
    }

    /// Rounded to so many decimals, to the next one that is not below it.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 28 digits.
    pub fn round_up(self, decimals: u32) -> Result<Decimal, MoneyError> {
        self.cut(decimals, |rest, _| i128::from(rest > I256::ZERO))
    }

    /// Cut toward zero, with what `correction` says of the rest and of the unit that it is a part of.
    fn cut(self, decimals: u32, correction: impl Fn(I256, I256) -> i128) -> Result<Decimal, MoneyError> {
        let (mantissa, scale) = if self.scale <= decimals {
            (self.mantissa, self.scale)
        } else {
            let unit = power(self.scale - decimals)?;
            let (units, rest) = (self.mantissa / unit, self.mantissa % unit);
            let corrected = units.checked_add(I256::new(correction(rest, unit)));
            (corrected.ok_or(MoneyError::Overflow)?, decimals)
        };
        let mantissa = i128::try_from(mantissa).map_err(|_| MoneyError::Overflow)?;
        let rounded = Decimal::try_from_i128_with_scale(mantissa, scale).map_err(|_| MoneyError::Overflow)?;
        Ok(rounded.normalize())
    }
}

impl From<Decimal> for Exact {
    fn from(value: Decimal) -> Self {
        Self::normal(I256::new(value.mantissa()), value.scale())
    }
}

impl From<u64> for Exact {
    fn from(value: u64) -> Self {
        Self { mantissa: I256::from(value), scale: 0 }
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.aligned(*other) {
            Ok((left, right, _)) => left.cmp(&right),
            // one of them is so large that the other's decimals cannot matter
            Err(_) => self.floor().mantissa.cmp(&other.floor().mantissa),
        }
    }
}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// All digits, plainly, without an exponent and without zeros at the end: `669.6`.
impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_negative() { "-" } else { "" };
        let scale = self.scale as usize;
        let digits = format!("{:0>width$}", self.mantissa.unsigned_abs().to_string(), width = scale + 1);
        let text = match digits.split_at_checked(digits.len() - scale) {
            Some((whole, decimals)) if scale > 0 => format!("{sign}{whole}.{decimals}"),
            _ => format!("{sign}{digits}"),
        };
        f.pad(&text)
    }
}

/// Plain decimals, as [`Display`](fmt::Display) writes them.
impl FromStr for Exact {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let invalid = || MoneyError::NotExact(text.chars().take(80).collect());
        let (sign, unsigned) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = format!("{whole}{fraction}");
        let plain = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain || digits.len() > MOST_DIGITS || unsigned.ends_with('.') {
            return Err(invalid());
        }
        let mantissa = I256::from_str_radix(&format!("{sign}{digits}"), 10).map_err(|_| invalid())?;
        Ok(Self::normal(mantissa, u32::try_from(fraction.len()).map_err(|_| invalid())?))
    }
}

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::RoundingStrategy;

    use super::*;

    fn exact(text: &str) -> Exact {
        text.parse().unwrap()
    }

    #[test]
    fn products_keep_all_digits_and_overflow_is_an_error() {
        let small = exact("0.0000000000000000000000000001");
        let smaller = small.product(small).unwrap();
        assert_eq!(smaller.to_string(), format!("0.{}1", "0".repeat(55)));
        assert_eq!(exact("-12.50").percent(Decimal::from(110)).unwrap().to_string(), "-13.75");
        let large = Exact::from(Decimal::MAX);
        let square = large.product(large).unwrap();
        assert_eq!(square.product(large), Err(MoneyError::Overflow));
        assert_eq!(square.round_half_away(2), Err(MoneyError::Overflow));
        assert!(square.plus(smaller).is_err() && square > smaller);
        // with more decimals than a unit of 256 bits has
        let smallest = smaller.product(small).unwrap();
        assert_eq!(
            (smallest.floor(), Exact::ZERO.minus(smallest).unwrap().floor()),
            (Exact::ZERO, exact("-1"))
        );
    }

    #[test]
    fn hours_of_nine_tenths_are_669_and_six_tenths() {
        let month = Exact::sum(std::iter::repeat_n(exact("0.9"), 744)).unwrap();
        assert_eq!(month.to_string(), "669.6");
        assert_eq!(month.floor().to_string(), "669");
        assert_eq!(month.minus(month.floor()).unwrap().to_string(), "0.6");
    }

    #[test]
    fn large_sums_keep_every_digit() {
        let large = exact("79228162514264337593543950335");
        let sum = large.plus(exact("0.0000000000000000000000000001")).unwrap();
        assert_eq!(sum.to_string(), "79228162514264337593543950335.0000000000000000000000000001");
        assert_eq!(sum.to_string().parse(), Ok(sum));
        assert!(sum > large && large > exact("0.0000000000000000000000000001"));
    }

    #[test]
    fn floors_go_down_also_below_zero() {
        for (text, floor) in [("0.999", "0"), ("-0.5", "-1"), ("-2", "-2"), ("7.0", "7"), ("0", "0")] {
            assert_eq!(exact(text).floor().to_string(), floor);
        }
        assert_eq!(exact("-0.50").to_string(), "-0.5");
    }

    #[test]
    fn all_its_digits_are_read_again_and_other_texts_are_refused() {
        for text in ["0", "-0.000000000000000000000000000001", "123456789012345678901234567890.5", "-12"] {
            assert_eq!(exact(text).to_string(), text);
        }
        let longest = format!("0.{}1", "0".repeat(74));
        assert_eq!(exact(&longest).to_string(), longest);
        for bad in ["", "-", ".", "1.", ".5", "1.-5", "1e5", "+1", "1 ", "one", "1.2.3", "--1", "NaN"] {
            assert!(bad.parse::<Exact>().is_err(), "{bad}");
        }
        assert!("9".repeat(77).parse::<Exact>().is_err());
    }

    proptest! {
        #[test]
        fn it_agrees_with_decimals_where_those_are_exact(a in -1_000_000_000i64..1_000_000_000, b in -100_000i64..100_000, x in 0u32..6, y in 0u32..6) {
            let (a, b) = (Decimal::new(a, x), Decimal::new(b, y));
            prop_assert_eq!(Exact::from(a).times(b).unwrap(), Exact::from(a * b));
            prop_assert_eq!(Exact::from(a).plus(b.into()).unwrap(), Exact::from(a + b));
            prop_assert_eq!(Exact::from(a).minus(b.into()).unwrap(), Exact::from(a - b));
            prop_assert_eq!(Exact::from(a).cmp(&b.into()), a.cmp(&b));
            prop_assert_eq!(Exact::from(a).floor(), Exact::from(a.floor()));
            let expected = (a * b).round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
            prop_assert_eq!(Exact::from(a * b).round_half_away(2).unwrap(), expected);
            prop_assert_eq!(Exact::from(a * b).round_up(0).unwrap(), (a * b).ceil());
            prop_assert_eq!(Exact::from(a).to_string(), a.normalize().to_string());
            prop_assert_eq!(Exact::from(a).to_string().parse(), Ok(Exact::from(a)));
        }

        #[test]
        fn any_text_is_a_number_or_an_error(text in "\\PC{0,90}") {
            let _ = text.parse::<Exact>();
        }
    }
}
