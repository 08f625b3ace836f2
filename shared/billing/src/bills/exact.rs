//! Products of costs, rates, percents and quantities, kept with all their digits until they are rounded once.

use std::fmt;
use std::str::FromStr;

use ethnum::I256;
use rust_decimal::Decimal;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::catalog::billing::Rounding;
use crate::money::{Currency, MoneyError};

/// A signed number with any number of decimals, in 256 bits: about 76 digits.
#[derive(Clone, Copy, Debug)]
pub struct Exact {
    mantissa: I256,
    scale: u32,
}

fn power(digits: u32) -> Result<I256, MoneyError> {
    I256::new(10).checked_pow(digits).ok_or(MoneyError::Overflow)
}

impl Exact {
    /// Nothing.
    pub const ZERO: Self = Self { mantissa: I256::ZERO, scale: 0 };

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
        Ok(Self { mantissa, scale: self.scale + factor.scale }.shortened())
    }

    /// So many percent of it.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 256 bits.
    pub fn percent(self, percent: Decimal) -> Result<Self, MoneyError> {
        let product = self.times(percent)?;
        Ok(Self { scale: product.scale + 2, ..product }.shortened())
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 256 bits.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        let scale = self.scale.max(other.scale);
        let (a, b) = (self.mantissa_at(scale)?, other.mantissa_at(scale)?);
        Ok(Self { mantissa: a.checked_add(b).ok_or(MoneyError::Overflow)?, scale }.shortened())
    }

    /// The difference.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 256 bits.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.plus(Self { mantissa: -other.mantissa, ..other })
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

    fn mantissa_at(self, scale: u32) -> Result<I256, MoneyError> {
        let factor = power(scale - self.scale)?;
        self.mantissa.checked_mul(factor).ok_or(MoneyError::Overflow)
    }

    /// Without zeros at the end, so that long products do not overflow for nothing.
    fn shortened(mut self) -> Self {
        let ten = I256::new(10);
        while self.scale > 0 && self.mantissa % ten == I256::ZERO {
            (self.mantissa, self.scale) = (self.mantissa / ten, self.scale - 1);
        }
        self
    }

    /// Rounded as the catalog says: see [`Rounding`].
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 28 digits.
    pub fn round(self, rounding: Rounding, currency: Currency) -> Result<Decimal, MoneyError> {
        let decimals = rounding.decimals(currency);
        match rounding {
            Rounding::Cents => self.round_half_away(decimals),
            Rounding::UnitUp => self.cut(decimals, |rest, _| i128::from(rest > I256::ZERO)),
        }
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

    /// Cut toward zero, with what `correction` says of the rest and of the unit that it is a part of.
    fn cut(self, decimals: u32, correction: impl Fn(I256, I256) -> i128) -> Result<Decimal, MoneyError> {
        let number = self.shortened();
        let (mantissa, scale) = if number.scale <= decimals {
            (number.mantissa, number.scale)
        } else {
            let unit = power(number.scale - decimals)?;
            let (units, rest) = (number.mantissa / unit, number.mantissa % unit);
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
        Self { mantissa: I256::new(value.mantissa()), scale: value.scale() }.shortened()
    }
}

impl Default for Exact {
    fn default() -> Self {
        Self::ZERO
    }
}

/// All digits, as they are displayed.
impl FromStr for Exact {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let is_number = !whole.trim_start_matches('-').is_empty()
            && decimals.bytes().all(|byte| byte.is_ascii_digit())
            && text.ends_with(|last: char| last.is_ascii_digit());
        let mantissa = I256::from_str(&format!("{whole}{decimals}")).ok().filter(|_| is_number);
        let scale = u32::try_from(decimals.len()).map_err(|_| MoneyError::Overflow)?;
        Ok(Self { mantissa: mantissa.ok_or_else(|| MoneyError::NotADecimal(text.to_owned()))?, scale }
            .shortened())
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

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (self.shortened(), other.shortened());
        (a.mantissa, a.scale) == (b.mantissa, b.scale)
    }
}

impl Eq for Exact {}

/// All digits, without zeros at the end.
impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.shortened();
        let sign = if number.mantissa.is_negative() { "-" } else { "" };
        let scale = number.scale as usize;
        let digits = format!("{:0>width$}", number.mantissa.unsigned_abs().to_string(), width = scale + 1);
        match digits.split_at_checked(digits.len() - scale) {
            Some((whole, "")) => write!(f, "{sign}{whole}"),
            Some((whole, decimals)) => write!(f, "{sign}{whole}.{decimals}"),
            None => f.write_str(&digits),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact(text: &str) -> Exact {
        text.parse::<Decimal>().unwrap().into()
    }

    fn rounded(text: &str, rounding: Rounding) -> String {
        exact(text).round(rounding, Currency::CHF).unwrap().to_string()
    }

    #[test]
    fn amounts_are_rounded_once_halves_away_from_zero_or_units_up() {
        for (text, cents, up) in [
            ("1.005", "1.01", "2"),
            ("-1.005", "-1.01", "-1"),
            ("1.004999999999999999999999", "1", "2"),
            ("1.00", "1", "1"),
            ("0", "0", "0"),
            ("-0.001", "0", "0"),
            ("0.000000000000000000000001", "0", "1"),
        ] {
            assert_eq!(
                (rounded(text, Rounding::Cents).as_str(), rounded(text, Rounding::UnitUp).as_str()),
                (cents, up),
                "{text}"
            );
        }
    }

    #[test]
    fn products_keep_all_digits_and_overflow_is_an_error() {
        let small = exact("0.0000000000000000000000000001");
        assert_eq!(small.product(small).unwrap().to_string(), format!("0.{}1", "0".repeat(55)));
        assert_eq!(exact("-12.50").percent(Decimal::from(110)).unwrap().to_string(), "-13.75");
        let large = Exact::from(Decimal::MAX);
        let square = large.product(large).unwrap();
        assert_eq!(square.product(large), Err(MoneyError::Overflow));
        assert_eq!(square.round_half_away(2), Err(MoneyError::Overflow));
    }

    #[test]
    fn all_its_digits_are_read_again() {
        for text in ["0", "-0.000000000000000000000000000001", "123456789012345678901234567890.5", "-12"] {
            assert_eq!(text.parse::<Exact>().unwrap().to_string(), text);
        }
        for text in ["", "-", "1.", ".5", "1.-5", "1e5", "one", "1.2.3", "--1", " 1"] {
            assert!(text.parse::<Exact>().is_err(), "{text}");
        }
        assert_eq!(exact("1.5").minus(exact("2")).unwrap(), exact("-0.5"));
    }

    proptest! {
        #[test]
        fn it_agrees_with_decimals_where_those_are_exact(a in -1_000_000_000i64..1_000_000_000, b in -100_000i64..100_000, x in 0u32..6, y in 0u32..6) {
            let (a, b) = (Decimal::new(a, x), Decimal::new(b, y));
            prop_assert_eq!(Exact::from(a).times(b).unwrap(), Exact::from(a * b));
            prop_assert_eq!(Exact::from(a).plus(b.into()).unwrap(), Exact::from(a + b));
            let expected = (a * b).round_dp_with_strategy(2, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
            prop_assert_eq!(Exact::from(a * b).round_half_away(2).unwrap(), expected);
            prop_assert_eq!(Exact::from(a * b).round(Rounding::UnitUp, Currency::CHF).unwrap(), (a * b).ceil());
            prop_assert_eq!(Exact::from(a).to_string(), a.normalize().to_string());
        }
    }
}
