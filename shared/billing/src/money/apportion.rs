//! Signed largest remainder (Hamilton's method), in integers.

use std::fmt;

use ethnum::U256;
use rust_decimal::Decimal;

use super::largest::largest;

/// Why a total could not be apportioned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApportionError {
    /// A share of less than nothing has no meaning; the caller decides what such a target weighs.
    #[error("the weight of '{target}' is negative ({weight})")]
    NegativeWeight {
        /// The target's key.
        target: String,
        /// Its weight.
        weight: Decimal,
    },
    /// Nobody weighs anything (or there is nobody): the caller shares evenly or leaves the total unallocated.
    #[error("all weights are zero, there is nobody to share the total")]
    NoWeight,
    /// The total has digits beyond `scale`, so no shares with `scale` decimals can add up to it.
    #[error("the total {total} has more than {scale} decimals")]
    TotalFinerThanScale {
        /// The total asked for.
        total: Decimal,
        /// The decimals of each share.
        scale: u32,
    },
    /// A number does not fit the arithmetic (128 bits for the weights' sum, 28 digits for a share).
    #[error("the weights or the total overflow")]
    Overflow,
}

/// Splits `total` by `weights` into shares of `scale` decimals, in the order of `weights`.
///
/// 1. the exact share is `total * weight / sum of weights`, the multiplication first (256 bits, so it is exact);
/// 2. each share is cut toward zero at `scale` decimals;
/// 3. the units left over go, one each, to the largest cut-off fractions; ties go to the smaller key.
///
/// Laws, each a property test below:
/// - the shares add up to `total` exactly, and each differs from its exact share by less than one unit;
/// - permuting the input permutes the output (keys must differ); negating the total negates every share;
/// - weight 0 gets 0; scaling all weights changes nothing.
///
/// Costs O(n) time on average, and one `u128` per target.
///
/// # Errors
/// See [`ApportionError`]. Nothing wraps and nothing panics.
pub fn apportion<K: Ord + fmt::Display>(
    total: Decimal,
    weights: &[(K, Decimal)],
    scale: u32,
) -> Result<Vec<Decimal>, ApportionError> {
    let units = units_of(total, scale)?;
    if let Some(shares) = apportion_small(units, weights, scale) {
        return Ok(shares);
    }
    let weights_int = integer_weights(weights)?;
    let sum =
        weights_int.iter().try_fold(0u128, |sum, w| sum.checked_add(*w)).ok_or(ApportionError::Overflow)?;
    if sum == 0 {
        return Err(ApportionError::NoWeight);
    }

    let total_units = units.unsigned_abs();
    let (mut shares, remainders): (Vec<u128>, Vec<u128>) =
        weights_int.iter().map(|weight| mul_div_rem(total_units, *weight, sum)).unzip();
    let handed_out: u128 = shares.iter().sum(); // at most total_units: every share was cut toward zero
    let left_over = usize::try_from(total_units - handed_out).map_err(|_| ApportionError::Overflow)?;
    // fewer than the targets with a remainder, because the remainders add up to left_over * sum
    let key = |a: usize, b: usize| weights[a].0.cmp(&weights[b].0);
    for place in largest(remainders.clone(), left_over, |place| remainders[place], key) {
        shares[place] += 1;
    }

    shares
        .into_iter()
        .map(|share| {
            let signed = i128::try_from(share).map_err(|_| ApportionError::Overflow)?;
            let signed = if units < 0 { -signed } else { signed };
            Decimal::try_from_i128_with_scale(signed, scale).map_err(|_| ApportionError::Overflow)
        })
        .collect()
}

/// The same in 64 bits, if everything fits and all weights have as many decimals: the usual case, and much quicker,
/// because hardware divides 64 bits and because less memory is touched.
fn apportion_small<K: Ord>(units: i128, weights: &[(K, Decimal)], scale: u32) -> Option<Vec<Decimal>> {
    let decimals = weights.first()?.1.scale();
    let (mut sum, mut most) = (0u64, 0u64);
    for (_, weight) in weights {
        let mantissa = u64::try_from(weight.mantissa()).ok().filter(|_| weight.scale() == decimals)?;
        (sum, most) = (sum.checked_add(mantissa)?, most.max(mantissa));
    }
    let total = u64::try_from(units.unsigned_abs()).ok().filter(|total| i64::try_from(*total).is_ok())?;
    total.checked_mul(most).filter(|_| sum > 0)?;

    let mut shares = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    for (_, weight) in weights {
        let product = total * weight.mantissa() as u64;
        shares.push(product / sum);
        remainders.push(product % sum);
    }
    let left_over = usize::try_from(total - shares.iter().sum::<u64>()).ok()?;
    let remainder = |place: usize| total * weights[place].1.mantissa() as u64 - shares[place] * sum;
    let key = |a: usize, b: usize| weights[a].0.cmp(&weights[b].0);
    for place in largest(remainders, left_over, remainder, key) {
        shares[place] += 1;
    }
    let sign = if units < 0 { -1 } else { 1 };
    (scale <= 28).then(|| shares.into_iter().map(|share| Decimal::new(sign * share as i64, scale)).collect())
}

/// The total as an integer of units of `10^-scale`.
fn units_of(total: Decimal, scale: u32) -> Result<i128, ApportionError> {
    let total = total.normalize();
    let missing =
        scale.checked_sub(total.scale()).ok_or(ApportionError::TotalFinerThanScale { total, scale })?;
    shift(total.mantissa(), missing)
}

/// All weights as integers over their common power of ten.
fn integer_weights<K: fmt::Display>(weights: &[(K, Decimal)]) -> Result<Vec<u128>, ApportionError> {
    if let Some((key, weight)) = weights.iter().find(|(_, w)| w.is_sign_negative() && !w.is_zero()) {
        return Err(ApportionError::NegativeWeight { target: key.to_string(), weight: weight.normalize() });
    }
    // mostly all have as many decimals, and nothing is to be done
    let scale = weights.first().map_or(0, |(_, weight)| weight.scale());
    if weights.iter().all(|(_, weight)| weight.scale() == scale) {
        return Ok(weights.iter().map(|(_, weight)| weight.mantissa().unsigned_abs()).collect());
    }
    let normal = || weights.iter().map(|(_, weight)| weight.normalize());
    let scale = normal().map(|weight| weight.scale()).max().unwrap_or(0);
    normal().map(|weight| Ok(shift(weight.mantissa(), scale - weight.scale())?.unsigned_abs())).collect()
}

fn shift(mantissa: i128, digits: u32) -> Result<i128, ApportionError> {
    10i128.checked_pow(digits).and_then(|ten| mantissa.checked_mul(ten)).ok_or(ApportionError::Overflow)
}

/// `a * b / sum` and its remainder, exact: 128 bits where they suffice, else 256. Needs `b <= sum`.
pub(crate) fn mul_div_rem(a: u128, b: u128, sum: u128) -> (u128, u128) {
    match a.checked_mul(b) {
        // hardware divides 64 bits many times faster than software divides 128
        Some(product) => match (u64::try_from(product), u64::try_from(sum)) {
            (Ok(product), Ok(sum)) => (u128::from(product / sum), u128::from(product % sum)),
            _ => (product / sum, product % sum),
        },
        None => {
            let (product, sum) = (U256::from(a) * U256::from(b), U256::from(sum));
            // the quotient is at most `a` because `b <= sum`; the remainder is below `sum`
            ((product / sum).as_u128(), (product % sum).as_u128())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::*;

    fn keyed(weights: &[i64]) -> Vec<(String, Decimal)> {
        weights.iter().enumerate().map(|(i, w)| (format!("k{i:06}"), Decimal::from(*w))).collect()
    }

    fn cents(total: i64, weights: &[i64]) -> Vec<i64> {
        let shares = apportion(Decimal::new(total, 2), &keyed(weights), 2).unwrap();
        shares
            .iter()
            .map(|s| i64::try_from((s * Decimal::ONE_HUNDRED).normalize().mantissa()).unwrap())
            .collect()
    }

    #[test]
    fn the_largest_fractions_get_the_cents_left_over() {
        assert_eq!(cents(500, &[334, 667, 0]), [167, 333, 0]);
        assert_eq!(cents(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(cents(-100, &[1, 1, 1]), [-34, -33, -33]);
        assert_eq!(cents(1, &[0, 1]), [0, 1]);
        assert_eq!(cents(0, &[5, 7]), [0, 0]);
    }

    #[test]
    fn bad_input_is_an_error_that_names_the_target() {
        let error = apportion(Decimal::ONE, &keyed(&[1, -2]), 2).unwrap_err();
        assert_eq!(error.to_string(), "the weight of 'k000001' is negative (-2)");
        assert_eq!(apportion(Decimal::ONE, &keyed(&[0, 0]), 2), Err(ApportionError::NoWeight));
        assert_eq!(apportion(Decimal::ONE, &keyed(&[]), 2), Err(ApportionError::NoWeight));
        let error = apportion(Decimal::new(1, 3), &keyed(&[1]), 2).unwrap_err();
        assert_eq!(error.to_string(), "the total 0.001 has more than 2 decimals");
    }

    #[test]
    fn the_largest_totals_and_a_hundred_thousand_targets_stay_exact() {
        let weights: Vec<(String, Decimal)> = (0..100_000u64)
            .map(|i| (format!("{i:06}"), Decimal::from(1_000_000_000_000_000 - i * 7_919)))
            .collect();
        let total = Decimal::new(1_000_000_000_000_000, 2);
        let shares = apportion(total, &weights, 2).unwrap();
        assert_eq!(shares.iter().copied().sum::<Decimal>(), total);
    }

    #[test]
    fn extremes_are_errors_never_wraps_or_panics() {
        for scale in [0, 2, 28, 40] {
            for total in [Decimal::MAX, Decimal::MIN, Decimal::new(1, 28)] {
                for weights in [vec![Decimal::MAX; 3], vec![Decimal::new(1, 28), Decimal::MAX]] {
                    let weights: Vec<_> = weights.into_iter().enumerate().collect();
                    let _ = apportion(total, &weights, scale);
                }
            }
        }
    }

    /// Totals of every size, weights with up to six decimals, zeros among them.
    fn cases() -> impl Strategy<Value = (Decimal, Vec<(u32, Decimal)>)> {
        let total = prop_oneof![-10_000i64..10_000, -1_000_000_000_000_000i64..1_000_000_000_000_000];
        let weight = prop_oneof![Just(0i64), 0i64..50, 0i64..1_000_000_000_000_000]
            .prop_flat_map(|m| (Just(m), 0u32..6));
        (total, prop::collection::btree_map(any::<u32>(), weight, 1..40)).prop_map(|(total, weights)| {
            let weights =
                weights.into_iter().map(|(key, (m, scale))| (key, Decimal::new(m, scale))).collect();
            (Decimal::new(total, 2), weights)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn laws((total, mut weights) in cases(), rotation in 0usize..40, factor in 1i64..1000) {
            let sum: Decimal = weights.iter().map(|(_, w)| *w).sum();
            let shares = match apportion(total, &weights, 2) {
                Err(ApportionError::NoWeight) => { prop_assert!(sum.is_zero()); return Ok(()) }
                other => other.unwrap(),
            };
            // adds up
            prop_assert_eq!(shares.iter().copied().sum::<Decimal>(), total);
            for (share, (_, weight)) in shares.iter().zip(&weights) {
                // within one unit of the exact share: |share * sum - total * weight| < sum / 100
                let cents = |d: Decimal| U256::from(shift(d.abs().normalize().mantissa(), 2 - d.abs().normalize().scale()).unwrap().unsigned_abs());
                let int = |d: Decimal| U256::from(shift(d.normalize().mantissa(), 6 - d.normalize().scale()).unwrap().unsigned_abs());
                let (left, right) = (cents(*share) * int(sum), cents(total) * int(*weight));
                prop_assert!(left.abs_diff(right) < int(sum));
                // weight 0 gets 0
                prop_assert!(!weight.is_zero() || share.is_zero());
            }
            // negation
            let negated = apportion(-total, &weights, 2).unwrap();
            prop_assert!(shares.iter().zip(&negated).all(|(a, b)| *a == -*b));
            // scaling all weights
            let scaled: Vec<_> = weights.iter().map(|(k, w)| (*k, *w * Decimal::from(factor))).collect();
            prop_assert_eq!(&apportion(total, &scaled, 2).unwrap(), &shares);
            // permutation
            let turn = rotation % weights.len();
            weights.rotate_left(turn);
            let mut turned = shares.clone();
            turned.rotate_left(turn);
            prop_assert_eq!(apportion(total, &weights, 2).unwrap(), turned);
        }
    }
}
