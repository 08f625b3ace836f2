//! What of a text counts. Real files have byte order marks, zero-width and other invisible characters where nobody sees them; they are
//! no part of an identifier, a column's name, a currency, a date or a number.

use std::borrow::Cow;

use unicode_general_category::{GeneralCategory, get_general_category};

/// Whether a character is invisible: Unicode's categories Cc (controls) and Cf (formats, byte order marks among them).
#[must_use]
pub fn is_invisible(c: char) -> bool {
    match c {
        ' '..='~' => false,
        '\0'..='\u{9f}' => true,
        _ => get_general_category(c) == GeneralCategory::Format,
    }
}

/// The text without invisible characters, wherever they stand, and without space around it; a no-break space is a space.
///
/// Laws: it is idempotent, and never changes what visible characters there are or their order.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    clean_with(text, |_| None)
}

/// The same for prose: a line break or a tab becomes a space.
#[must_use]
pub fn clean_prose(text: &str) -> Cow<'_, str> {
    clean_with(text, |c| matches!(c, '\t' | '\n' | '\r').then_some(' '))
}

fn clean_with(text: &str, stands_for: impl Fn(char) -> Option<char>) -> Cow<'_, str> {
    let trimmed = text.trim_ascii();
    // nearly all texts
    if trimmed.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(trimmed);
    }
    let is_plain = |c: char| c != '\u{a0}' && !is_invisible(c);
    if trimmed.chars().all(is_plain) {
        return Cow::Borrowed(trimmed.trim());
    }
    let seen = trimmed.chars().filter_map(|c| match c {
        '\u{a0}' => Some(' '),
        c if is_invisible(c) => stands_for(c),
        c => Some(c),
    });
    Cow::Owned(seen.collect::<String>().trim().to_owned())
}

/// [`clean`] of bytes; nothing if they are no UTF-8.
#[must_use]
pub fn clean_bytes(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    let trimmed = bytes.trim_ascii();
    if trimmed.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Some(Cow::Borrowed(trimmed));
    }
    Some(match clean(std::str::from_utf8(trimmed).ok()?) {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

/// A text for a message: at most 60 characters, invisible ones as `\u{feff}`.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(60) {
        if is_invisible(c) || c == '\u{a0}' {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::Amount;

    #[test]
    fn what_nobody_sees_is_no_part_of_a_text() {
        for (text, cleaned) in [
            ("acc-1", "acc-1"),
            (" acc-1\t", "acc-1"),
            ("\u{feff}acc-1", "acc-1"),
            ("ac\u{200b}c\u{ad}-1\u{2060}", "acc-1"),
            ("\u{feff} \u{feff}acc-1", "acc-1"),
            ("Nordwind\u{a0}Cloud", "Nordwind Cloud"),
            ("\u{3000}日本\u{3000}", "日本"),
            ("\u{feff}", ""),
        ] {
            assert_eq!(clean(text), cleaned, "{text:?}");
            assert_eq!(clean_bytes(text.as_bytes()).unwrap(), cleaned.as_bytes());
        }
        assert_eq!(clean_bytes(b"\xff"), None);
        assert_eq!(clean_prose("two\nlines\u{feff}"), "two lines");
        assert_eq!(clean("two\nlines"), "twolines");
        assert_eq!(shown("\u{feff}acc 1\u{a0}"), "\\u{feff}acc 1\\u{a0}");
    }

    fn dirty() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9 é日\u{feff}\u{200b}\u{a0}\u{ad}\t\n\u{7f}\u{2066}-]{0,20}"
    }

    proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(text in prop_oneof![dirty(), "\\PC{0,20}", any::<String>()]) {
            let once = clean(&text).into_owned();
            prop_assert_eq!(clean(&once).into_owned(), once.clone());
            prop_assert!(!once.chars().any(is_invisible));
            let seen = |text: &str| text.chars().filter(|c| !c.is_whitespace() && !is_invisible(*c)).collect::<String>();
            prop_assert_eq!(seen(&once), seen(&text));
            prop_assert_eq!(clean_bytes(text.as_bytes()).unwrap().into_owned(), once.into_bytes());
        }

        #[test]
        fn cleaning_never_changes_an_amount(units in any::<i64>(), scale in 0i64..19, at in 0usize..24, mark in "[\u{feff}\u{200b}\u{2060}]") {
            let amount = Amount::scaled(units.into(), scale).unwrap_or_default();
            let mut text = amount.to_string();
            prop_assert_eq!(clean(&text).into_owned(), text.clone());
            text.insert_str(at.min(text.len()), &mark);
            prop_assert_eq!(Amount::parse(clean(&text).as_bytes()).unwrap(), amount);
        }
    }
}
