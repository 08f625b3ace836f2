//! Exact quantities of usage: a month of byte-hours passes 2^53 and, with decimals, the 28 digits of a `Decimal`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use ethnum::I256;
use rust_decimal::Decimal;

/// An exact decimal number: a 256-bit integer over a power of ten, without trailing zeros in the fraction.
///
/// A value of at most 28 digits (what [`parse_decimal`](crate::money::parse_decimal) takes) needs 187 bits once all have the same scale, so
/// that more values can be added than there are hours in the history of the earth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Quantity {
    mantissa: I256,
    scale: u32,
}

/// A text that is no quantity, or a sum beyond 256 bits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text is no decimal number, or has more than 60 digits.
    #[error("'{0}' is not an exact decimal number of at most 60 digits")]
    NotANumber(String),
    /// The result needs more than 256 bits.
    #[error("the quantity overflows 256 bits")]
    Overflow,
}

/// Digits of a text that is read back.
const MOST_DIGITS: usize = 60;

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { mantissa: I256::ZERO, scale: 0 };

    fn normal(mut mantissa: I256, mut scale: u32) -> Self {
        let ten = I256::new(10);
        while scale > 0 && mantissa % ten == 0 {
            mantissa /= ten;
            scale -= 1;
        }
        Self { mantissa, scale }
    }

    /// The mantissas of both at one scale.
    fn aligned(self, other: Self) -> Result<(I256, I256, u32), QuantityError> {
        let scale = self.scale.max(other.scale);
        let at = |quantity: Self| {
            let factor = I256::new(10).checked_pow(scale - quantity.scale);
            factor.and_then(|factor| quantity.mantissa.checked_mul(factor)).ok_or(QuantityError::Overflow)
        };
        Ok((at(self)?, at(other)?, scale))
    }

    /// `self + other`, exactly.
    ///
    /// # Errors
    /// [`QuantityError::Overflow`].
    pub fn plus(self, other: Self) -> Result<Self, QuantityError> {
        let (left, right, scale) = self.aligned(other)?;
        let sum = left.checked_add(right).ok_or(QuantityError::Overflow)?;
        Ok(Self::normal(sum, scale))
    }

    /// `self - other`, exactly.
    ///
    /// # Errors
    /// [`QuantityError::Overflow`].
    pub fn minus(self, other: Self) -> Result<Self, QuantityError> {
        let (left, right, scale) = self.aligned(other)?;
        let difference = left.checked_sub(right).ok_or(QuantityError::Overflow)?;
        Ok(Self::normal(difference, scale))
    }

    /// The sum of all.
    ///
    /// # Errors
    /// [`QuantityError::Overflow`].
    pub fn sum(quantities: impl IntoIterator<Item = Self>) -> Result<Self, QuantityError> {
        quantities.into_iter().try_fold(Self::ZERO, Self::plus)
    }

    /// The largest integer that is not above it: 669.6 gives 669, -0.5 gives -1.
    #[must_use]
    pub fn floor(self) -> Self {
        let unit = I256::new(10).pow(self.scale); // a scale of at most 60 stays far below 256 bits
        Self { mantissa: self.mantissa.div_euclid(unit), scale: 0 }
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// The same, of a reference: documents leave out what is nothing.
    pub(super) fn is_nothing(quantity: &Self) -> bool {
        quantity.is_zero()
    }

    /// Whether it is below nothing.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.mantissa < 0
    }
}

impl From<Decimal> for Quantity {
    fn from(value: Decimal) -> Self {
        Self::normal(I256::new(value.mantissa()), value.scale())
    }
}

impl From<u64> for Quantity {
    fn from(value: u64) -> Self {
        Self { mantissa: I256::from(value), scale: 0 }
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.aligned(*other) {
            Ok((left, right, _)) => left.cmp(&right),
            // one of them is so large that the other's decimals cannot matter
            Err(_) => self.floor().mantissa.cmp(&other.floor().mantissa),
        }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Plainly, without an exponent: `669.6`.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.mantissa.unsigned_abs().to_string();
        let sign = if self.is_negative() { "-" } else { "" };
        let scale = usize::try_from(self.scale).unwrap_or_default(); // at most 60
        let text = if scale == 0 {
            format!("{sign}{digits}")
        } else {
            let padded = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = padded.split_at(padded.len() - scale);
            format!("{sign}{whole}.{fraction}")
        };
        f.pad(&text)
    }
}

/// Plain decimals, as [`Display`](fmt::Display) writes them.
impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let invalid = || QuantityError::NotANumber(text.chars().take(80).collect());
        let (sign, unsigned) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = format!("{whole}{fraction}");
        let plain = !whole.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if !plain || digits.len() > MOST_DIGITS || unsigned.ends_with('.') {
            return Err(invalid());
        }
        let mantissa = I256::from_str_radix(&format!("{sign}{digits}"), 10).map_err(|_| invalid())?;
        Ok(Self::normal(mantissa, u32::try_from(fraction.len()).map_err(|_| invalid())?))
    }
}

impl serde::Serialize for Quantity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Quantity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::parse_decimal;

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    #[test]
    fn hours_of_nine_tenths_are_669_and_six_tenths() {
        let hour = Quantity::from(parse_decimal("0.9").unwrap());
        let month = Quantity::sum(std::iter::repeat_n(hour, 744)).unwrap();
        assert_eq!(month.to_string(), "669.6");
        assert_eq!(month.floor().to_string(), "669");
        assert_eq!(month.minus(month.floor()).unwrap().to_string(), "0.6");
    }

    #[test]
    fn large_sums_keep_every_digit() {
        let large = Quantity::from(parse_decimal("79228162514264337593543950335").unwrap());
        let small = Quantity::from(parse_decimal("0.0000000000000000000000000001").unwrap());
        let sum = large.plus(small).unwrap();
        assert_eq!(sum.to_string(), "79228162514264337593543950335.0000000000000000000000000001");
        assert_eq!(sum.to_string().parse(), Ok(sum));
        assert!(sum > large && large > small);
    }

    #[test]
    fn floors_go_down_also_below_zero() {
        for (text, floor) in [("0.999", "0"), ("-0.5", "-1"), ("-2", "-2"), ("7.0", "7"), ("0", "0")] {
            assert_eq!(quantity(text).floor().to_string(), floor);
        }
        assert_eq!(quantity("-0.50").to_string(), "-0.5");
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in ["", "-", ".", "1.", ".5", "1e3", "+1", "1 ", "NaN", &"9".repeat(61)] {
            assert!(bad.parse::<Quantity>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips_and_sums_agree_with_integers(a in -1_000_000_000i64..1_000_000_000, b in -1_000_000_000i64..1_000_000_000, scale in 0u32..9) {
            let of = |n: i64| Quantity::from(Decimal::new(n, scale));
            prop_assert_eq!(of(a).to_string().parse::<Quantity>().unwrap(), of(a));
            prop_assert_eq!(of(a).plus(of(b)).unwrap(), of(a + b));
            prop_assert_eq!(of(a).minus(of(b)).unwrap(), of(a - b));
            prop_assert_eq!(of(a).cmp(&of(b)), a.cmp(&b));
            let fraction = of(a).minus(of(a).floor()).unwrap();
            prop_assert!(!fraction.is_negative() && fraction < quantity("1"));
        }

        #[test]
        fn any_text_is_a_quantity_or_an_error(text in "\\PC{0,70}") {
            let _ = text.parse::<Quantity>();
        }
    }
}
