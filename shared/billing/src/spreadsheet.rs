//! CSV cells that a spreadsheet would take for a formula.

use std::borrow::Cow;

/// How a cell begins that a spreadsheet may run.
const TRIGGERS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The text with an apostrophe before it if it starts with `=`, `+`, `-`, `@`, a tab or a carriage return: names come from outside, and
/// spreadsheets run such cells. A number is no formula, whatever its sign, and stays as it is.
#[must_use]
pub fn neutralise(text: &str) -> Cow<'_, str> {
    if text.starts_with(TRIGGERS) && !is_number(text) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether the text is a decimal number and nothing else: a sign if it has one, digits with at most one point, an exponent if it has one.
fn is_number(text: &str) -> bool {
    let unsigned = |text| str::strip_prefix(text, ['+', '-']).unwrap_or(text);
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = |text: &str| !text.is_empty() && are_digits(text);
    let (base, exponent) = match text.split_once(['e', 'E']) {
        Some((base, exponent)) => (unsigned(base), Some(unsigned(exponent))),
        None => (unsigned(text), None),
    };
    let is_base = match base.split_once('.') {
        Some((whole, decimals)) => base.len() > 1 && are_digits(whole) && are_digits(decimals),
        None => is_whole(base),
    };
    is_base && exponent.is_none_or(is_whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::Amount;
    use crate::money::{Decimal, parse_decimal};

    #[test]
    fn formulas_become_text_and_names_stay() {
        let formulas = [
            "=1", "=cmd()", "-1+2", "+1-2", "-cmd", "-", "+", "-.", "--1", "+-1", "-1e", "-1e+", "-1e1.5",
            "-1.2.3", "-1,5",
        ];
        for formula in formulas
            .into_iter()
            .chain(["-1 ", "-0x1", "-1 USD", "-\u{661}", "@SUM", "@1", "\tx", "\t-1", "\rx"])
        {
            assert_eq!(neutralise(formula), format!("'{formula}"));
        }
        for name in ["payments-prod", "a=b", "", "'quoted", "1+2"] {
            assert_eq!(neutralise(name), name);
        }
    }

    #[test]
    fn numbers_stay_numbers() {
        for number in [
            "-250.75",
            "+1",
            "-1",
            "-.5",
            "-5.",
            "-0",
            "-1.5e3",
            "+1E-7",
            "-1e+20",
            "-0.123456789012345678901234567890123",
        ] {
            assert_eq!(neutralise(number), number);
        }
    }

    proptest! {
        #[test]
        fn a_number_is_read_back_as_the_same_number(units in any::<i64>(), scale in 0u32..19, exponent in -9i32..9, plus in any::<bool>()) {
            let amount = Amount::scaled(units.into(), scale.into()).unwrap_or_default();
            let text = amount.to_string();
            prop_assert_eq!(Amount::parse(neutralise(&text).as_bytes()).unwrap(), amount);
            let number = Decimal::new(units, scale);
            let sign = if plus && units >= 0 { "+" } else { "" };
            for text in [format!("{sign}{number}"), format!("{sign}{number}e{exponent}"), format!("{sign}{number}E{exponent:+}")] {
                let written = neutralise(&text);
                prop_assert_eq!(written.as_ref(), text.as_str());
                prop_assert!(text.contains(['e', 'E']) || parse_decimal(&written) == Ok(number), "{}", text);
            }
        }

        #[test]
        fn what_begins_like_a_formula_and_is_no_number_is_none_afterwards(
            trigger in prop::sample::select(TRIGGERS.to_vec()),
            rest in prop_oneof!["[-+=@0-9.eE]{0,8}", "\\PC{0,12}"],
        ) {
            let text = format!("{trigger}{rest}");
            let number = regex_lite::Regex::new(r"^[+-]([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$").unwrap();
            let expected = if number.is_match(&text) { text.clone() } else { format!("'{text}") };
            prop_assert_eq!(neutralise(&text).into_owned(), expected);
        }
    }
}
