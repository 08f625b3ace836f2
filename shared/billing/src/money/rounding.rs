//! Amounts rounded so that they add up to a given total.

use super::Amount;
use super::largest::largest;

/// Rounds amounts to units of `10^-scale` (at most 18) so that they add up to `total` units: each is cut toward zero, and what is
/// missing goes, one unit each, to the largest cut-off fractions, ties to the smaller key.
///
/// Laws: the result adds up to `total`; if `total` is the sum rounded in whatever direction, each amount changes by less than one
/// unit; the order of the amounts does not matter; negating all negates the result. Nothing at all cannot add up to a total.
#[must_use]
pub fn round_to_total(amounts: &[(&str, Amount)], total: i128, scale: u32) -> Option<Vec<i128>> {
    let split: Vec<_> = amounts.iter().map(|(_, amount)| amount.split(scale)).collect();
    let mut units: Vec<i128> = split.iter().map(|(units, _)| *units).collect();
    let cut = units.iter().try_fold(0i128, |sum, units| sum.checked_add(*units))?;
    let missing = total.checked_sub(cut)?;
    if missing == 0 {
        return Some(units);
    }
    let count = i128::try_from(amounts.len()).ok().filter(|count| *count > 0)?;
    let sign = missing.signum();
    let remainder = |at: usize| (split[at].1.0 * sign, split[at].1.1 * sign);
    let (each, more) = (missing / count, usize::try_from((missing % count).unsigned_abs()).ok()?);
    units.iter_mut().for_each(|units| *units += each);
    let remainders = (0..amounts.len()).map(remainder).collect();
    for at in largest(remainders, more, remainder, |a, b| amounts[a].0.cmp(amounts[b].0)) {
        units[at] += sign;
    }
    Some(units)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amounts() -> impl Strategy<Value = Vec<(String, Amount)>> {
        let amount = (-1_000_000_000i64..1_000_000_000, 0i64..24);
        let amount = amount.prop_map(|(mantissa, scale)| Amount::scaled(mantissa.into(), scale).unwrap());
        proptest::collection::vec(amount, 1..40).prop_map(|amounts| {
            amounts.into_iter().enumerate().map(|(at, amount)| (format!("k{at:03}"), amount)).collect()
        })
    }

    fn borrowed(amounts: &[(String, Amount)]) -> Vec<(&str, Amount)> {
        amounts.iter().map(|(key, amount)| (key.as_str(), *amount)).collect()
    }

    fn sum(amounts: &[(String, Amount)]) -> Amount {
        amounts.iter().fold(Amount::ZERO, |sum, (_, amount)| sum.checked_add(*amount).unwrap())
    }

    #[test]
    fn the_largest_fractions_get_the_missing_units() {
        let parse = |text: &str| Amount::parse(text.as_bytes()).unwrap();
        let amounts = [("a", parse("0.333")), ("b", parse("0.333")), ("c", parse("0.334"))];
        assert_eq!(round_to_total(&amounts, 100, 2).unwrap(), [33, 33, 34]);
        assert_eq!(round_to_total(&amounts, 101, 2).unwrap(), [34, 33, 34]);
        assert_eq!(round_to_total(&amounts, 105, 2).unwrap(), [35, 35, 35]);
        let opposed = [("a", parse("-0.009")), ("b", parse("0.003"))];
        assert_eq!(round_to_total(&opposed, -1, 2).unwrap(), [-1, 0]);
        assert_eq!(round_to_total(&[], 0, 2).unwrap(), [0i128; 0]);
        assert_eq!(round_to_total(&[], 1, 2), None);
    }

    proptest! {
        #[test]
        fn it_adds_up_and_changes_nobody_by_a_unit(amounts in amounts(), scale in 0u32..19, up in any::<bool>()) {
            let (units, rest) = sum(&amounts).split(scale);
            let away = rest.0.signum() + rest.1.signum();
            let total = if up { units + away.signum() } else { units };
            let rounded = round_to_total(&borrowed(&amounts), total, scale).unwrap();
            prop_assert_eq!(rounded.iter().sum::<i128>(), total);
            for (units, (_, amount)) in rounded.iter().zip(&amounts) {
                let change = Amount::scaled(*units, scale.into()).unwrap().checked_add(-*amount).unwrap();
                prop_assert_eq!(change.split(scale).0, 0, "{} becomes {}", amount, units);
            }
        }

        #[test]
        fn order_and_sign_do_not_matter(amounts in amounts(), scale in 0u32..19) {
            let total = sum(&amounts).split(scale).0;
            let forward = round_to_total(&borrowed(&amounts), total, scale).unwrap();
            let mut turned = amounts.clone();
            turned.reverse();
            let mut backward = round_to_total(&borrowed(&turned), total, scale).unwrap();
            backward.reverse();
            prop_assert_eq!(&forward, &backward);
            let negated: Vec<_> = amounts.iter().map(|(key, amount)| (key.as_str(), -*amount)).collect();
            let negated = round_to_total(&negated, -total, scale).unwrap();
            prop_assert_eq!(forward, negated.into_iter().map(|units| -units).collect::<Vec<_>>());
        }
    }
}
