//! Exact amounts in columns: fixed-point integers, so that millions of them are added without rounding.

use std::fmt;
use std::ops::Neg;

use rust_decimal::Decimal;

use super::MoneyError;

/// Decimals of the coarse part.
const COARSE: u32 = 18;
/// Decimals that an amount may have at all.
const FINE: u32 = 36;
const UNIT: i128 = 10i128.pow(COARSE);
const POWERS: [i128; COARSE as usize + 1] = powers();
/// An amount has at most 19 digits before the point.
const LIMIT: u128 = 10u128.pow(37);

/// An exact decimal amount with up to 36 decimals: `coarse * 10^-18 + fine * 10^-36`. Most amounts have no fine part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount {
    coarse: i128,
    /// Less than one coarse unit and of the sign of the whole, once [`Amount::carried`].
    fine: i128,
}

const fn powers() -> [i128; COARSE as usize + 1] {
    let mut powers = [1; COARSE as usize + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
}

/// A text or number that is no exact amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a number.
    #[error("'{0}' is not a decimal number")]
    NotANumber(String),
    /// More than 36 decimals, or more than 19 digits before the point.
    #[error("'{0}' has more than 36 decimals or 19 digits before them")]
    TooLong(String),
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self { coarse: 0, fine: 0 };

    /// Reads `12.30`, `-0.5`, `+1`, `6.035e-07`, `1.04E-4`.
    ///
    /// # Errors
    /// [`AmountError`].
    pub fn parse(text: &[u8]) -> Result<Self, AmountError> {
        if let Some(amount) = Self::parse_short(text) {
            return Ok(amount);
        }
        let shown = || String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned();
        let not_a_number = || AmountError::NotANumber(shown());
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let (mut mantissa, mut scale, mut exponent) = (0i128, 0i64, 0i64);
        // zeros are appended only when another digit follows: 0.50000 has one decimal
        let (mut zeros, mut seen, mut point) = (0u32, false, false);
        for (at, &byte) in digits.iter().enumerate() {
            match byte {
                b'0' => {
                    zeros += u32::from(mantissa != 0);
                    scale += i64::from(point);
                    seen = true;
                }
                b'1'..=b'9' => {
                    let shifted = 10i128.checked_pow(zeros + 1).and_then(|power| mantissa.checked_mul(power));
                    let added = shifted.and_then(|shifted| shifted.checked_add(i128::from(byte - b'0')));
                    mantissa = added.ok_or_else(|| AmountError::TooLong(shown()))?;
                    (zeros, seen) = (0, true);
                    scale += i64::from(point);
                }
                b'.' if !point => point = true,
                b'e' | b'E' if seen => {
                    exponent = read_exponent(&digits[at + 1..]).ok_or_else(not_a_number)?;
                    break;
                }
                _ => return Err(not_a_number()),
            }
        }
        if !seen {
            return Err(not_a_number());
        }
        let scale = scale - i64::from(zeros) - exponent;
        let mantissa = if negative { -mantissa } else { mantissa };
        Self::scaled(mantissa, scale).ok_or_else(|| AmountError::TooLong(shown()))
    }

    /// Texts of at most 18 digits without an exponent, which nearly all are.
    fn parse_short(text: &[u8]) -> Option<Self> {
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        // one more than the digits: there may be a point
        if digits.len() > COARSE as usize + 1 {
            return None;
        }
        let (mut mantissa, mut count, mut decimals) = (0u64, 0u32, None);
        for &byte in digits {
            match byte {
                b'0'..=b'9' => {
                    mantissa = mantissa * 10 + u64::from(byte - b'0');
                    count += 1;
                    decimals = decimals.map(|decimals| decimals + 1);
                }
                b'.' if decimals.is_none() => decimals = Some(0),
                _ => return None,
            }
        }
        if count == 0 || count > COARSE {
            return None;
        }
        let coarse = i128::from(mantissa) * POWERS[(COARSE - decimals.unwrap_or(0)) as usize];
        Some(Self { coarse: if digits.len() < text.len() { -coarse } else { coarse }, fine: 0 })
    }

    /// `mantissa * 10^-scale`; nothing if it does not fit.
    #[must_use]
    pub fn scaled(mantissa: i128, scale: i64) -> Option<Self> {
        if mantissa == 0 {
            return Some(Self::ZERO);
        }
        let power = |digits: i64| 10i128.checked_pow(u32::try_from(digits).ok()?);
        let (coarse, fine) = if scale <= i64::from(COARSE) {
            (mantissa.checked_mul(power(i64::from(COARSE) - scale)?)?, 0)
        } else {
            let cut = scale - i64::from(COARSE);
            // more than 38 digits to cut: only the fine part is left
            let (coarse, rest) = power(cut).map_or((0, mantissa), |unit| (mantissa / unit, mantissa % unit));
            let fine = if scale <= i64::from(FINE) {
                rest.checked_mul(power(i64::from(FINE) - scale)?)?
            } else {
                let unit = power(scale - i64::from(FINE))?;
                if rest % unit != 0 {
                    return None;
                }
                rest / unit
            };
            (coarse, fine)
        };
        (coarse.unsigned_abs() < LIMIT).then_some(Self { coarse, fine })
    }

    /// What a binary number stands for: the shortest decimal that is read back as the same number.
    ///
    /// # Errors
    /// [`AmountError`] also for infinities and what is no number.
    #[expect(clippy::float_arithmetic, reason = "the one place where floats come in; the result is exact")]
    #[expect(clippy::cast_possible_truncation, reason = "the value is a whole number below 10^15")]
    pub fn from_double(value: f64) -> Result<Self, AmountError> {
        // Nearly all prices and costs have at most ten decimals. If the division gives the number back, then the decimal is
        // read as this number; it has at most 15 digits, and no two decimals of 15 digits are read as the same number.
        let units = (value * 1e10).round();
        if units.abs() < 1e15 && units / 1e10 == value {
            return Ok(Self { coarse: i128::from(units as i64) * 10i128.pow(COARSE - 10), fine: 0 });
        }
        Self::parse(format!("{value:e}").as_bytes())
    }

    /// From a decimal.
    #[must_use]
    pub fn from_decimal(value: Decimal) -> Option<Self> {
        Self::scaled(value.mantissa(), i64::from(value.scale()))
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 10^20.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        let parts = (self.coarse.checked_add(other.coarse), self.fine.checked_add(other.fine));
        match parts {
            (Some(coarse), Some(fine)) => Ok(Self { coarse, fine }),
            _ => Err(MoneyError::Overflow),
        }
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        // nearly all amounts have no fine part, and dividing 128 bits is slow
        (self.coarse == 0 || self.fine != 0) && self.carried() == Self::ZERO
    }

    /// Whether it has more than 18 decimals.
    #[must_use]
    pub fn is_fine(self) -> bool {
        self.fine != 0 && self.carried().fine != 0
    }

    /// As a decimal, rounded half to even at `decimals` (at most 18).
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] if 28 digits are not enough.
    pub fn to_decimal(self, decimals: u32) -> Result<Decimal, MoneyError> {
        let mut scale = decimals.min(COARSE);
        let mut units = self.units(scale);
        while scale > 0 && units % 10 == 0 {
            (units, scale) = (units / 10, scale - 1);
        }
        Decimal::try_from_i128_with_scale(units, scale).map_err(|_| MoneyError::Overflow)
    }

    /// Whether it is one unit of `10^-scale` (at most 18) or more, of either sign.
    #[must_use]
    pub fn reaches_unit(self, scale: u32) -> bool {
        self.cut(scale) != 0
    }

    /// Whole units of `10^-scale` (at most 18), cut toward zero.
    #[must_use]
    pub fn cut(self, scale: u32) -> i128 {
        self.split(scale).0
    }

    /// Whole units of `10^-scale` (at most 18), cut toward zero, and what is left in coarse and fine units.
    #[must_use]
    pub(super) fn split(self, scale: u32) -> (i128, (i128, i128)) {
        let Self { coarse, fine } = self.carried();
        let unit = 10i128.pow(COARSE - scale.min(COARSE));
        (coarse / unit, (coarse % unit, fine))
    }

    /// Units of `10^-scale` (at most 18), rounded half to even.
    #[must_use]
    pub fn units(self, scale: u32) -> i128 {
        let (units, (coarse, fine)) = self.split(scale);
        let unit = 10i128.pow(COARSE - scale.min(COARSE));
        // what is cut off against half a unit, both in fine units where the unit is a coarse one
        let (twice, half, beyond) = match unit {
            1 => (fine.unsigned_abs() * 2, UNIT.unsigned_abs(), 0),
            _ => (coarse.unsigned_abs() * 2, unit.unsigned_abs(), fine),
        };
        let up = twice > half || (twice == half && (beyond != 0 || units % 2 != 0));
        units + if up { (coarse.signum() + fine.signum()).signum() } else { 0 }
    }

    /// The fine part within one coarse unit, both of one sign.
    fn carried(self) -> Self {
        let mut coarse = self.coarse + self.fine / UNIT;
        let mut fine = self.fine % UNIT;
        if coarse > 0 && fine < 0 {
            (coarse, fine) = (coarse - 1, fine + UNIT);
        } else if coarse < 0 && fine > 0 {
            (coarse, fine) = (coarse + 1, fine - UNIT);
        }
        Self { coarse, fine }
    }
}

fn read_exponent(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let value: i64 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    (value <= 1_000).then_some(if text.starts_with('-') { -value } else { value })
}

impl Neg for Amount {
    type Output = Self;

    fn neg(self) -> Self {
        Self { coarse: -self.coarse, fine: -self.fine }
    }
}

/// All its decimals, without trailing zeros.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { coarse, fine } = self.carried();
        let sign = if coarse < 0 || fine < 0 { "-" } else { "" };
        let (coarse, unit) = (coarse.unsigned_abs(), UNIT.unsigned_abs());
        let decimals = format!("{:018}{:018}", coarse % unit, fine.unsigned_abs());
        match decimals.trim_end_matches('0') {
            "" => write!(f, "{sign}{}", coarse / unit),
            decimals => write!(f, "{sign}{}.{decimals}", coarse / unit),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Amount {
        Amount::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn texts_are_read_exactly() {
        for (text, expected) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("12.30", "12.3"),
            ("+1", "1"),
            (".5", "0.5"),
            ("6.035e-07", "0.0000006035"),
            ("1.04E-4", "0.000104"),
            ("7E2", "700"),
            ("1e-10", "0.0000000001"),
            ("0.0000000072922557592391990000", "0.000000007292255759239199"),
            ("-0.0001188669167459011366", "-0.0001188669167459011366"),
            ("1000000000000000000", "1000000000000000000"),
            ("0.000000000000000000000000000000000001", "0.000000000000000000000000000000000001"),
        ] {
            assert_eq!(parse(text).to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "-", ".", "abc", "1,5", "1 ", "1e", "1e99999", "0x1", "NaN", "1.2.3", "e5"] {
            assert!(matches!(Amount::parse(text.as_bytes()), Err(AmountError::NotANumber(_))), "{text}");
        }
        for text in ["1e19", "1e-37", "1e500", "12345678901234567890.5", &"9".repeat(60)] {
            assert!(matches!(Amount::parse(text.as_bytes()), Err(AmountError::TooLong(_))), "{text}");
        }
    }

    #[test]
    fn sums_carry_between_the_parts_and_round_half_to_even() {
        let sum = |texts: &[&str]| {
            texts.iter().try_fold(Amount::ZERO, |sum, text| sum.checked_add(parse(text))).unwrap()
        };
        assert_eq!(sum(&["1", "-0.0000000000000000001"]).to_string(), "0.9999999999999999999");
        assert!(sum(&["0.1", "-0.1"]).is_zero());
        let text = |amount: Amount, decimals| amount.to_decimal(decimals).unwrap().to_string();
        assert_eq!(text(parse("0.125"), 2), "0.12");
        assert_eq!(text(parse("0.135"), 2), "0.14");
        assert_eq!(text(parse("-0.135"), 2), "-0.14");
        assert_eq!(text(parse("0.1250000000000000000001"), 2), "0.13");
        assert_eq!(text(parse("-0.1250000000000000000001"), 2), "-0.13");
        assert_eq!(text(parse("0.0000000000000000015"), 18), "0.000000000000000002");
        assert_eq!(parse("0.0000000000000000025").units(18), 2);
        assert_eq!(parse("0.00000000000000000251").units(18), 3);
        assert!(parse("98765678901.1234567890123456789").to_decimal(18).is_err());
    }

    proptest! {
        #[test]
        fn a_double_is_its_shortest_text(value in any::<f64>()) {
            match Amount::from_double(value) {
                Ok(amount) => prop_assert_eq!(amount.to_string().parse::<f64>().unwrap(), value),
                Err(_) => prop_assert!(!value.is_finite() || value.abs() >= 1e18 || value.abs() < 1e-19),
            }
        }

        #[test]
        fn a_short_decimal_survives_as_a_double(units in -99_999_999_999_999i64..99_999_999_999_999, scale in 0u32..12) {
            let text = Decimal::new(units, scale).to_string();
            let double: f64 = text.parse().unwrap();
            prop_assert_eq!(Amount::from_double(double).unwrap(), parse(&text));
        }

        #[test]
        fn text_round_trips(mantissa in any::<i64>(), scale in 0i64..36) {
            if let Some(amount) = Amount::scaled(mantissa.into(), scale) {
                prop_assert_eq!(parse(&amount.to_string()), amount);
            }
        }

        #[test]
        fn parsing_any_text_never_panics(text in "[-+0-9.eE]{0,60}") {
            let _ = Amount::parse(text.as_bytes());
        }
    }
}
