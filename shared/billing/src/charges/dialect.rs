//! How a table is written: its encoding, what separates its cells, and whether its amounts have a decimal point or a comma.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// How the characters of a text are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Encoding {
    /// With or without a byte order mark.
    #[default]
    #[serde(rename = "UTF-8")]
    Utf8,
    /// With a byte order mark, least significant byte first.
    #[serde(rename = "UTF-16LE")]
    Utf16Le,
    /// With a byte order mark, most significant byte first.
    #[serde(rename = "UTF-16BE")]
    Utf16Be,
}

impl Encoding {
    /// By the first bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0xff, 0xfe, ..] => Self::Utf16Le,
            [0xfe, 0xff, ..] => Self::Utf16Be,
            _ => Self::Utf8,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16Le => "UTF-16LE",
            Self::Utf16Be => "UTF-16BE",
        })
    }
}

/// How a document is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Dialect {
    /// The document, by its name.
    pub document: String,
    /// Of its characters; nothing of Parquet and JSON.
    pub encoding: Option<Encoding>,
    /// Between its cells: `,`, `;` or a tab; nothing of Parquet and JSON.
    pub separator: Option<char>,
    /// Columns whose numbers have a decimal comma.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decimal_commas: Vec<String>,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.encoding, self.separator) {
            (Some(encoding), Some('\t')) => write!(f, "{encoding}, cells separated by tabs"),
            (Some(encoding), Some(separator)) => write!(f, "{encoding}, cells separated by '{separator}'"),
            _ => f.write_str("no text"),
        }
    }
}

/// What separates the cells of a header: what stands there most often outside of quotes, the comma before others.
pub(super) fn separator_of(head: &[u8]) -> u8 {
    const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];
    let (mut counts, mut is_quoted) = ([0usize; 3], false);
    for &byte in head {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => break,
            _ if is_quoted => {}
            _ => {
                if let Some(at) = SEPARATORS.iter().position(|separator| *separator == byte) {
                    counts[at] += 1;
                }
            }
        }
    }
    let mut best = 0;
    for at in 1..SEPARATORS.len() {
        if counts[at] > counts[best] {
            best = at;
        }
    }
    SEPARATORS[best]
}

/// Amounts of a column with commas that do not say whether those are decimal commas.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column} has numbers such as {first}, {why}: write the numbers with a decimal point")]
pub struct AmbiguousDecimals {
    column: String,
    first: String,
    why: &'static str,
}

/// What the numbers of a column say about their decimals.
#[derive(Clone, Debug, Default)]
pub(super) struct Decimals {
    /// The first with a comma.
    with_comma: Option<String>,
    /// The first that is written as thousands are where the comma is decimal: `1.234`.
    with_thousands: Option<String>,
    is_comma: bool,
    is_point: bool,
}

impl Decimals {
    pub(super) fn add(&mut self, text: &str) {
        let number = text.split(['e', 'E']).next().unwrap_or_default();
        if !number.contains(',') {
            self.is_point |= number.contains('.');
            if self.with_thousands.is_none() && is_thousands(number) {
                self.with_thousands = Some(text.chars().take(30).collect());
            }
            return;
        }
        if self.with_comma.is_none() {
            self.with_comma = Some(text.chars().take(30).collect());
        }
        match decimal_comma(number) {
            Some((_, decimals)) => self.is_comma |= decimals.len() != 3 || number.contains('.'),
            None => self.is_point = true,
        }
    }

    /// Whether the numbers have a decimal comma: some proves it, and none has a decimal point.
    pub(super) fn decide(self, column: &str) -> Result<bool, AmbiguousDecimals> {
        let Some(first) = self.with_comma else { return Ok(false) };
        let ambiguous = |why| Err(AmbiguousDecimals { column: column.to_owned(), first, why });
        match (self.is_comma, self.is_point) {
            (true, false) => Ok(true),
            (_, true) => ambiguous("and others that are written in another way"),
            (false, false) => ambiguous("always with three digits after the comma, as a thousand is written"),
        }
    }

    /// Whether some number proves the decimal comma.
    pub(super) fn is_comma(&self) -> bool {
        self.is_comma
    }

    /// The same where another column of the table has a decimal comma: then a point may be one of thousands.
    ///
    /// # Errors
    /// [`AmbiguousDecimals`] names the first such number.
    pub(super) fn beside_commas(&self, column: &str) -> Result<(), AmbiguousDecimals> {
        let why = "and other columns have a decimal comma: it may be a thousand";
        let first = self.with_thousands.clone().filter(|_| self.with_comma.is_none());
        first.map_or(Ok(()), |first| Err(AmbiguousDecimals { column: column.to_owned(), first, why }))
    }
}

/// Whether points stand in a number as they do between thousands: `1.234`, `-12.345.678`.
fn is_thousands(number: &str) -> bool {
    let mut groups = number.trim_start_matches(['-', '+']).split('.');
    let are_digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let first = groups.next().unwrap_or_default();
    let rest: Vec<&str> = groups.collect();
    (1..=3).contains(&first.len())
        && are_digits(first)
        && !first.starts_with('0')
        && !rest.is_empty()
        && rest.iter().all(|group| group.len() == 3 && are_digits(group))
}

/// The two parts of a number with a decimal comma: `-1.234` and `50` of `-1.234,50`.
fn decimal_comma(number: &str) -> Option<(&str, &str)> {
    let (whole, decimals) = number.split_once(',')?;
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let digits = whole.trim_start_matches(['-', '+']);
    let mut groups = digits.split('.');
    let first = groups.next().unwrap_or_default();
    let are_groups = digits.len() == first.len()
        || ((1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3 && is_number(group)));
    (is_number(decimals) && !decimals.is_empty() && is_number(first) && are_groups)
        .then_some((whole, decimals))
}

/// A number with a decimal comma as one with a decimal point; nothing if it has none.
pub(super) fn with_point(text: &str) -> Option<Cow<'_, str>> {
    let (number, exponent) = match text.find(['e', 'E']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let (whole, decimals) = decimal_comma(number)?;
    Some(Cow::Owned(format!("{}.{decimals}{exponent}", whole.replace('.', ""))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::Amount;

    fn decide(numbers: &[&str]) -> Result<bool, String> {
        let mut decimals = Decimals::default();
        numbers.iter().for_each(|number| decimals.add(number));
        decimals.decide("Cost").map_err(|error| error.why.to_owned())
    }

    #[test]
    fn some_amount_proves_the_decimal_comma() {
        assert_eq!(decide(&["1", "-2", ""]), Ok(false));
        assert_eq!(decide(&["1.5", "-2.125"]), Ok(false));
        assert_eq!(decide(&["12,5", "1,125", "7"]), Ok(true));
        assert_eq!(decide(&["-1.234,50"]), Ok(true));
        assert_eq!(decide(&["1.234,567"]), Ok(true));
        assert_eq!(decide(&["1,5E-05"]), Ok(true));
        assert!(decide(&["1,125", "2,250"]).unwrap_err().contains("three digits"));
        for others in [
            &["12,5", "1.5"][..],
            &["12,5", "1,234,567"],
            &["1,234.50"],
            &["12,5", "1.23,5"],
            &["12,5", "1,"],
        ] {
            assert!(decide(others).unwrap_err().contains("another way"), "{others:?}");
        }
    }

    #[test]
    fn beside_a_column_with_decimal_commas_a_point_may_be_one_of_thousands() {
        let beside = |number: &str| {
            let mut decimals = Decimals::default();
            decimals.add(number);
            decimals.beside_commas("Cost").map_err(|error| error.to_string())
        };
        for number in ["1.234", "-12.345.678", "+123.000", "1.234E2"] {
            let why = beside(number).unwrap_err();
            assert!(why.contains(number) && why.contains("may be a thousand"), "{why}");
        }
        for number in ["1.5", "0.125", "1234.567", "1.2345", "7", "12,5", "1.234,5", ".125"] {
            assert_eq!(beside(number), Ok(()), "{number}");
        }
    }

    #[test]
    fn the_most_cells_tell_the_separator() {
        assert_eq!(separator_of(b"a,b,c\n1;2,3,4\n"), b',');
        assert_eq!(separator_of(b"a;\"b,c,d,e\";c\n"), b';');
        assert_eq!(separator_of(b"a\tb\tc"), b'\t');
        assert_eq!(separator_of(b"a"), b',');
        assert_eq!(separator_of(b""), b',');
    }

    proptest! {
        #[test]
        fn a_decimal_comma_is_read_as_the_same_amount(units in any::<i64>(), scale in 1i64..18, grouped in any::<bool>()) {
            let amount = Amount::scaled(units.into(), scale).unwrap();
            let text = amount.to_string();
            let Some((whole, decimals)) = text.split_once('.') else { return Ok(()) };
            let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
            let mut groups: Vec<String> =
                digits.as_bytes().rchunks(3).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
            groups.reverse();
            let whole = if grouped { groups.join(".") } else { digits.to_owned() };
            let pointed = with_point(&format!("{sign}{whole},{decimals}")).map(Cow::into_owned).unwrap();
            prop_assert_eq!(Amount::parse(pointed.as_bytes()).unwrap(), amount);
        }

        #[test]
        fn any_text_is_read_or_not(text in "[-+0-9.,eE]{0,12}") {
            let mut decimals = Decimals::default();
            decimals.add(&text);
            let _ = (decimals.decide("c"), with_point(&text));
        }
    }
}
