//! From the values of a month to the driver's document. Pure.

use std::collections::BTreeMap;

use billing::bills::Driver;
use billing::money::{apportion, sum};
use rust_decimal::Decimal;

use crate::answer::Unusable;
use crate::rules::Measure;

/// Decimals of a share: finer than any bill needs, and coarse enough that a server which adds its floats up in another order gives
/// the same document.
const SHARE_DECIMALS: u32 = 12;

/// A driver as it is written.
#[derive(Debug)]
pub(crate) struct Made {
    /// By target; shares add up to 1.
    pub(crate) quantities: BTreeMap<String, Decimal>,
    /// The sum of the values that they were made of, in the query's unit.
    pub(crate) total: Decimal,
    /// The document that a bill reads.
    pub(crate) bytes: Vec<u8>,
}

/// Makes the driver of these values.
pub(crate) fn make(
    name: &str,
    values: BTreeMap<String, Decimal>,
    measure: Measure,
) -> Result<Made, Unusable> {
    let total = sum(values.values().copied())?;
    let quantities = match measure {
        Measure::Quantity => values,
        Measure::Share if total.is_zero() => return Err(Unusable::AllZero),
        Measure::Share => {
            let weights: Vec<(String, Decimal)> = values.into_iter().collect();
            let shares = apportion(Decimal::ONE, &weights, SHARE_DECIMALS)?;
            weights.into_iter().map(|(target, _)| target).zip(shares).collect()
        }
    };
    let texts: BTreeMap<&String, String> =
        quantities.iter().map(|(target, quantity)| (target, quantity.normalize().to_string())).collect();
    let bytes = billing::canonical::to_json(&texts)
        .map_err(|error| Unusable::NotUnderstood(format!("it cannot be written: {error}")))?;
    // what counts is what the bill will read
    let Driver { quantities: read } = Driver::from_json(name, &bytes)?;
    let adds_up = measure == Measure::Quantity || sum(read.values().copied())? == Decimal::ONE;
    if read != quantities || !adds_up {
        return Err(Unusable::NotUnderstood(
            "the driver's document does not read as it was made; does a target begin or end with a space?"
                .into(),
        ));
    }
    Ok(Made { quantities: read, total: total.normalize(), bytes })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(values: &[(&str, &str)]) -> BTreeMap<String, Decimal> {
        values.iter().map(|(target, value)| ((*target).to_owned(), value.parse().unwrap())).collect()
    }

    #[test]
    fn shares_add_up_to_one() {
        let made =
            make("cpu-share", values(&[("c", "1"), ("b", "1"), ("a", "1"), ("none", "0")]), Measure::Share);
        let made = made.unwrap();
        let text = String::from_utf8(made.bytes).unwrap();
        assert_eq!(
            text,
            "{\n  \"a\": \"0.333333333334\",\n  \"b\": \"0.333333333333\",\n  \"c\": \"0.333333333333\",\n  \"none\": \"0\"\n}\n"
        );
        assert_eq!(made.total, Decimal::from(3));
        let nobody = make("cpu-share", values(&[("a", "0")]), Measure::Share).unwrap_err();
        assert_eq!(nobody.to_string(), "all values are zero, there is nothing to share by");
    }

    #[test]
    fn quantities_stay_what_they_are() {
        let made =
            make("gib", values(&[("a", "107374182400.50"), ("b", "0.0000002")]), Measure::Quantity).unwrap();
        let text = String::from_utf8(made.bytes).unwrap();
        assert_eq!(text, "{\n  \"a\": \"107374182400.5\",\n  \"b\": \"0.0000002\"\n}\n");
        let zero = make("gib", values(&[("a", "0")]), Measure::Quantity).unwrap();
        assert_eq!(zero.quantities.len(), 1);
    }

    #[test]
    fn targets_that_a_bill_could_not_read_are_named() {
        let error = make("x", values(&[("a", "1"), (" a", "1")]), Measure::Share).unwrap_err().to_string();
        assert!(
            error.contains("the driver 'x' cannot be used") && error.contains("stands here twice"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn shares_of_any_values_add_up_to_one_and_keep_their_order(
            numbers in prop::collection::vec((0u64..u64::MAX, 0u32..17), 1..60)
        ) {
            let values: BTreeMap<String, Decimal> = numbers
                .iter()
                .enumerate()
                .map(|(index, (number, scale))| {
                    (format!("t{index:03}"), Decimal::from_i128_with_scale(i128::from(*number), *scale))
                })
                .collect();
            prop_assume!(values.values().any(|value| !value.is_zero()));
            let made = make("x", values.clone(), Measure::Share).unwrap();
            prop_assert_eq!(made.quantities.values().copied().sum::<Decimal>(), Decimal::ONE);
            for (target, value) in &values {
                for (other, less) in &values {
                    // an equal value may get the unit that is left over
                    prop_assert!(value <= less || made.quantities[target] >= made.quantities[other]);
                }
            }
        }
    }
}
