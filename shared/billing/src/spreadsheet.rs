//! CSV cells that a spreadsheet would take for a formula.

use std::borrow::Cow;

/// The text with an apostrophe before it if it starts with `=`, `+`, `-`, `@`, a tab or a carriage return:
/// names come from outside, and spreadsheets run such cells. For texts only; numbers may start with `-`.
#[must_use]
pub fn neutralise(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text_and_names_stay() {
        for formula in ["=cmd()", "+1", "-1", "@SUM", "\tx", "\rx"] {
            assert_eq!(neutralise(formula), format!("'{formula}"));
        }
        for name in ["payments-prod", "a=b", "", "'quoted"] {
            assert_eq!(neutralise(name), name);
        }
    }
}
