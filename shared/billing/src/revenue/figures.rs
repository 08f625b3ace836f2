//! Numbers of a journal: bounded, so that sums stay exact, and identifiers in an order that people expect.

use std::cmp::Ordering;

use rust_decimal::{Decimal, RoundingStrategy};

use crate::money::{MoneyError, parse_decimal};

/// Decimals of a price at most.
const DECIMALS: u32 = 9;
/// Digits before the point of a price at most; sums may have three more.
const DIGITS: u32 = 15;

/// A decimal of less than 10^15 with at most 9 decimals; nothing if the text is none. Sums of such stay below 28 digits (see
/// `add`), beyond which a decimal would be rounded silently.
#[must_use]
pub fn bounded(text: &str) -> Option<Decimal> {
    let value = parse_decimal(text).ok()?.normalize();
    (value.scale() <= DECIMALS && has_digits(value, DIGITS)).then_some(value)
}

/// `a + b`, exact.
///
/// # Errors
/// [`MoneyError::Overflow`] from 10^18 on.
pub(super) fn add(a: Decimal, b: Decimal) -> Result<Decimal, MoneyError> {
    let sum = crate::money::add(a, b)?;
    if has_digits(sum, DIGITS + 3) { Ok(sum) } else { Err(MoneyError::Overflow) }
}

/// The sum of all, exact.
///
/// # Errors
/// See [`add`].
pub(super) fn sum(values: impl IntoIterator<Item = Decimal>) -> Result<Decimal, MoneyError> {
    values.into_iter().try_fold(Decimal::ZERO, add)
}

/// Whether a number has at most that many digits before the point. In integers: this is asked for every figure.
fn has_digits(value: Decimal, digits: u32) -> bool {
    // a limit beyond 128 bits is beyond every mantissa
    POWERS_OF_TEN
        .get((digits + value.scale()) as usize)
        .is_none_or(|limit| value.mantissa().unsigned_abs() < *limit)
}

const POWERS_OF_TEN: [u128; 39] = {
    let mut powers = [1; 39];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// Rounded to that many decimals, halves away from zero.
pub(super) fn rounded(value: Decimal, digits: u32) -> Decimal {
    value.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero)
}

/// `part / whole x 100`, both not negative and sums of minor units, rounded once to two decimals, halves up; 0 of nothing.
pub(super) fn percent(part: Decimal, whole: Decimal) -> Decimal {
    let scale = part.scale().max(whole.scale());
    let units = |mut value: Decimal| {
        value.rescale(scale);
        value.mantissa()
    };
    // at most 21 digits each, so that the quotient of integers is exact
    let (part, whole) = (units(part), units(whole));
    if whole == 0 {
        return Decimal::ZERO;
    }
    Decimal::from_i128_with_scale((part * 20_000 + whole) / (whole * 2), 2)
}

/// Numbers by their value, then texts.
#[must_use]
pub fn natural_order(a: &str, b: &str) -> Ordering {
    match (as_number(a), as_number(b)) {
        (Some(x), Some(y)) => x.cmp(&y),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// The number that an identifier is: as people write numbers, so that it can be printed as one and read again as the same.
pub(super) fn as_number(id: &str) -> Option<u64> {
    let plain = id == "0" || (!id.starts_with('0') && id.bytes().all(|byte| byte.is_ascii_digit()));
    if plain && id.len() < 16 { id.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_are_rounded_once() {
        let is = |part: &str, whole: &str, expected: &str| {
            let percent = percent(part.parse().unwrap(), whole.parse().unwrap());
            assert_eq!(percent.normalize().to_string(), expected, "{part} of {whole}");
        };
        is("1", "31", "3.23");
        is("0.5", "31.00", "1.61");
        is("1", "800.000", "0.13"); // 0.125
        is("999999999999999999.999", "999999999999999999.999", "100");
        is("0", "0", "0");
    }

    #[test]
    fn numbers_are_bounded_and_ordered() {
        assert_eq!(bounded("12.50").unwrap().to_string(), "12.5");
        for bad in ["1e15", "0.0000000001", "", "NaN", "1,5", "1e40"] {
            assert_eq!(bounded(bad), None, "{bad}");
        }
        assert_eq!(bounded("999999999999999.999999999").map(|most| sum([most; 1000]).is_ok()), Some(true));
        assert_eq!(bounded("999999999999999").map(|most| sum([most; 1001]).is_ok()), Some(false));
        let mut ids = ["b", "10", "9", "007", "a", "0"];
        ids.sort_by(|a, b| natural_order(a, b));
        assert_eq!(ids, ["0", "9", "10", "007", "a", "b"]);
    }
}
