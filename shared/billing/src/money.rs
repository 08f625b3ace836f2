//! Exact numbers, and money: an amount in one ISO 4217 currency. No figure of money is ever a float.
//!
//! | number | digits | for |
//! |---|---|---|
//! | [`Decimal`] | 28 | what is stated: in documents, on bills, in certificates |
//! | [`Amount`] | 19 before the point, 36 after it | rows of invoices, which are added by the million: fixed-point, never rounded |
//! | [`Exact`] | 76 | products of costs, rates and percentages, and quantities of usage: they grow, and are rounded once |
//!
//! What must add up after rounding is shared by the largest remainder: [`apportion()`] by weights, [`round_to_total`] of amounts.

mod amount;
mod apportion;
mod exact;
mod largest;
mod rounding;

use std::fmt;

pub use amount::{Amount, AmountError};
pub(crate) use apportion::mul_div_rem;
pub use apportion::{ApportionError, apportion};
pub use exact::Exact;
pub use iso_currency::Currency;
pub use rounding::round_to_total;
pub use rust_decimal::Decimal;

use crate::text::{clean, shown};

/// An exact amount in one currency. Amounts of different currencies are never added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    amount: Decimal,
    currency: Currency,
}

/// Why two amounts could not be combined, or a text is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The operands are in different currencies.
    #[error("cannot combine {left} with {right}: amounts of different currencies are never added")]
    CurrencyMismatch {
        /// ISO code of the left operand.
        left: &'static str,
        /// ISO code of the right operand.
        right: &'static str,
    },
    /// The result does not fit 96 bits of mantissa, or the 256 of an [`Exact`].
    #[error("the number has more digits than are kept exactly")]
    Overflow,
    /// The text is no decimal number, or has more digits than can be kept exactly.
    #[error("'{0}' is not an exact decimal number of at most 28 digits")]
    NotADecimal(String),
    /// The text is no plain decimal number, or has more digits than an [`Exact`].
    #[error("'{0}' is not an exact decimal number of at most 76 digits")]
    NotExact(String),
}

/// A text that is no currency to bill in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCurrency {
    /// ISO 4217 has no such code.
    #[error("'{0}' is no ISO 4217 currency")]
    Unknown(String),
    /// The code stands for something that has no minor unit, so no amount of it can be billed.
    #[error("'{code}' ({name}) is an ISO 4217 code, but no money to bill in")]
    NoMoney {
        /// The code.
        code: &'static str,
        /// What it stands for.
        name: String,
    },
}

/// The currency of a code, without what nobody sees in it. Refused is what ISO 4217 gives a code and no minor unit: no currency (XXX), tests
/// (XTS), precious metals, bond units and units of account.
///
/// What this software wrote itself is read back by [`Currency::from_code`].
///
/// # Errors
/// [`InvalidCurrency`] shows the text.
pub fn currency(text: &str) -> Result<Currency, InvalidCurrency> {
    let unknown = || InvalidCurrency::Unknown(shown(text));
    let currency = Currency::from_code(&clean(text)).ok_or_else(unknown)?;
    match currency.exponent() {
        Some(_) => Ok(currency),
        None => Err(InvalidCurrency::NoMoney { code: currency.code(), name: currency.name().to_owned() }),
    }
}

impl Money {
    /// An amount as it stands, in units of the currency (not cents).
    #[must_use]
    pub fn new(amount: Decimal, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// An integer of minor units (cents for USD, whole yen for JPY), as providers send them.
    #[must_use]
    pub fn from_minor(minor: i64, currency: Currency) -> Self {
        Self { amount: Decimal::new(minor, minor_digits(currency)), currency }
    }

    /// The amount in units of the currency.
    #[must_use]
    pub fn amount(self) -> Decimal {
        self.amount
    }

    /// The currency.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// The sum.
    ///
    /// # Errors
    /// Different currencies, or more than 28 digits.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch {
                left: self.currency.code(),
                right: other.currency.code(),
            });
        }
        Ok(Self { amount: add(self.amount, other.amount)?, ..self })
    }
}

/// As `12.30 USD`: at least the currency's minor digits, more if the amount has them.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", format_amount(self.amount, self.currency), self.currency.code())
    }
}

/// Decimals of the currency's minor unit by ISO 4217: JPY 0, USD 2, KWD 3. Currencies without one (gold) have 0.
#[must_use]
pub fn minor_digits(currency: Currency) -> u32 {
    currency.exponent().map_or(0, u32::from)
}

/// The amount as text with at least the currency's minor digits and no trailing zeros beyond them.
#[must_use]
pub fn format_amount(amount: Decimal, currency: Currency) -> String {
    let digits = minor_digits(currency);
    let mut text = amount.normalize();
    if text.scale() < digits {
        text.rescale(digits);
    }
    if text.is_zero() {
        text.set_sign_positive(true);
    }
    text.to_string()
}

/// `a + b`.
///
/// # Errors
/// [`MoneyError::Overflow`] beyond 28 digits.
pub fn add(a: Decimal, b: Decimal) -> Result<Decimal, MoneyError> {
    a.checked_add(b).ok_or(MoneyError::Overflow)
}

/// `a - b`.
///
/// # Errors
/// [`MoneyError::Overflow`] beyond 28 digits.
pub fn sub(a: Decimal, b: Decimal) -> Result<Decimal, MoneyError> {
    a.checked_sub(b).ok_or(MoneyError::Overflow)
}

/// The sum of all.
///
/// # Errors
/// [`MoneyError::Overflow`] beyond 28 digits.
pub fn sum(amounts: impl IntoIterator<Item = Decimal>) -> Result<Decimal, MoneyError> {
    amounts.into_iter().try_fold(Decimal::ZERO, add)
}

/// Reads a decimal from its text without ever passing through a float: `12.30`, `-0.5`, `1.04E-4`.
///
/// # Errors
/// [`MoneyError::NotADecimal`] if the text is no number or cannot be kept exactly.
pub fn parse_decimal(text: &str) -> Result<Decimal, MoneyError> {
    let parsed = match text.split_once(['e', 'E']) {
        None => Decimal::from_str_exact(text).ok(),
        Some((base, exponent)) => Decimal::from_str_exact(base)
            .ok()
            .zip(exponent.parse().ok())
            .and_then(|(base, exponent)| shift(base, exponent)),
    };
    parsed.ok_or_else(|| MoneyError::NotADecimal(text.chars().take(60).collect()))
}

/// A base times ten to the exponent, if that is exact.
pub(crate) fn shift(base: Decimal, exponent: i32) -> Option<Decimal> {
    let base = base.normalize();
    if base.is_zero() {
        return Some(base);
    }
    let scale = i32::try_from(base.scale()).ok()?.checked_sub(exponent)?;
    match u32::try_from(scale) {
        Ok(scale) => Decimal::try_from_i128_with_scale(base.mantissa(), scale).ok(),
        Err(_) => {
            let factor = 10i128.checked_pow(scale.unsigned_abs())?;
            Decimal::try_from_i128_with_scale(base.mantissa().checked_mul(factor)?, 0).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_units_follow_iso_4217() {
        let shown = |minor, currency| Money::from_minor(minor, currency).to_string();
        assert_eq!(shown(1234, Currency::JPY), "1234 JPY");
        assert_eq!(shown(1234, Currency::USD), "12.34 USD");
        assert_eq!(shown(1234, Currency::KWD), "1.234 KWD");
        assert_eq!(shown(-5, Currency::USD), "-0.05 USD");
    }

    #[test]
    fn a_currency_is_money_that_one_can_bill_in() {
        for (text, code) in [("EUR", "EUR"), ("\u{feff}JPY ", "JPY"), ("X\u{200b}OF", "XOF"), ("CLF", "CLF")]
        {
            assert_eq!(currency(text).unwrap().code(), code, "{text:?}");
        }
        for (text, part) in [
            ("XXX", "'XXX' (No currency) is an ISO 4217 code, but no money to bill in"),
            ("XTS", "'XTS' (Code reserved for testing) is"),
            ("XAU", "'XAU' (Gold (one troy ounce)) is"),
            ("XDR", "'XDR' (Special drawing rights) is"),
            ("EURO", "'EURO' is no ISO 4217 currency"),
            ("E\u{200b}", "'E\\u{200b}' is no ISO 4217 currency"),
            ("", "'' is no ISO 4217 currency"),
        ] {
            let error = currency(text).unwrap_err().to_string();
            assert!(error.starts_with(part), "{text}: {error}");
        }
        let metals_and_units = ["XAG", "XPD", "XPT", "XBA", "XBB", "XBC", "XBD", "XSU", "XUA"];
        assert!(metals_and_units.iter().all(|code| currency(code).is_err()));
    }

    #[test]
    fn different_currencies_are_never_added() {
        let error = Money::from_minor(1, Currency::USD).checked_add(Money::from_minor(1, Currency::EUR));
        assert_eq!(error, Err(MoneyError::CurrencyMismatch { left: "USD", right: "EUR" }));
    }

    #[test]
    fn decimals_come_from_text_exactly_or_not_at_all() {
        assert_eq!(parse_decimal("12345678901234567.89").unwrap().to_string(), "12345678901234567.89");
        assert_eq!(parse_decimal("6.035e-07").unwrap().to_string(), "0.0000006035");
        assert_eq!(parse_decimal("1.04E-4").unwrap().to_string(), "0.000104");
        assert_eq!(parse_decimal("-1.5e3").unwrap().to_string(), "-1500");
        assert_eq!(parse_decimal("0e999").unwrap(), Decimal::ZERO);
        for bad in [
            "",
            "NaN",
            "1,5",
            "0x10",
            "1e999",
            "1e-99",
            "e5",
            "1e",
            "1.2345678901234567890123456789012e1",
            "0.12345678901234567890123456789012345",
        ] {
            assert!(parse_decimal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_keep_sub_cent_digits_and_show_whole_cents() {
        let shown = |text| format_amount(parse_decimal(text).unwrap(), Currency::USD);
        assert_eq!(shown("12.3"), "12.30");
        assert_eq!(shown("12.3456000"), "12.3456");
        assert_eq!(shown("-0.000"), "0.00");
    }

    #[test]
    fn overflow_is_an_error() {
        assert_eq!(add(Decimal::MAX, Decimal::ONE), Err(MoneyError::Overflow));
        assert_eq!(sum([Decimal::MAX, Decimal::MAX]), Err(MoneyError::Overflow));
    }
}
