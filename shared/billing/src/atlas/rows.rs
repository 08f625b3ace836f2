//! The allocation by project as CSV, from its certificate.

use rust_decimal::Decimal;

use crate::certificate::Certificate;
use crate::money::{self, MoneyError};
use crate::spreadsheet::neutralise;

const HEADER: [&str; 8] = [
    "invoice_id",
    "start_date",
    "end_date",
    "project_name",
    "allocation_percentage",
    "line_item_total_cents",
    "project_total_cents",
    "project_total_dollars",
];

/// The rows of a certificate as CSV (RFC 4180, UTF-8): percentages with at most 10 decimals, integers of cents,
/// dollars with two decimals. The document depends on the certificate alone, so it can be written again from it.
///
/// # Errors
/// [`MoneyError`] if an amount is no whole number of cents.
pub fn rows_csv(certificate: &Certificate) -> Result<Vec<u8>, MoneyError> {
    let subject = &certificate.subject;
    let mut rows = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let mut write = |cells: [&str; 8]| rows.write_record(cells).map_err(|_| MoneyError::Overflow);
    write(HEADER)?;
    let invoice_id = neutralise(subject.invoice_id.as_str());
    let all = cents(money::sum(certificate.targets.iter().map(|target| target.own))?)?;
    let mut row = |name: &str, own: Decimal, total: Decimal, all: i128| {
        let (own, total_cents) = (cents(own)?, cents(total)?);
        write([
            &invoice_id,
            &subject.start_date,
            &subject.end_date,
            &neutralise(name),
            &percentage(own, all)?,
            &own.to_string(),
            &total_cents.to_string(),
            &dollars(total_cents),
        ])
    };
    for target in &certificate.targets {
        row(&target.name, target.own, target.total, all)?;
    }
    if certificate.targets.is_empty() {
        let pool = certificate.unallocated.iter().filter(|rest| rest.kind == "pool").map(|rest| rest.amount);
        let pool = money::sum(pool)?;
        row("(unallocated)", pool, pool, 0)?;
    }
    rows.into_inner().map_err(|_| MoneyError::Overflow)
}

fn cents(amount: Decimal) -> Result<i128, MoneyError> {
    let amount = amount.normalize();
    let shift = 2u32
        .checked_sub(amount.scale())
        .ok_or_else(|| MoneyError::NotADecimal(format!("{amount} (cents)")))?;
    amount.mantissa().checked_mul(10i128.pow(shift)).ok_or(MoneyError::Overflow)
}

fn dollars(cents: i128) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

/// `part / whole * 100`, half away from zero at 10 decimals, without trailing zeros; 0 of nothing.
fn percentage(part: i128, whole: i128) -> Result<String, MoneyError> {
    const SCALE: u32 = 10;
    if whole == 0 {
        return Ok("0".into());
    }
    let scaled = part.checked_mul(100 * 10i128.pow(SCALE)).ok_or(MoneyError::Overflow)?;
    let (quotient, remainder) = (scaled / whole, scaled % whole);
    let away = i128::from(remainder.unsigned_abs() >= whole.unsigned_abs().div_ceil(2));
    let away = if (scaled < 0) == (whole < 0) { away } else { -away };
    let rounded =
        Decimal::try_from_i128_with_scale(quotient + away, SCALE).map_err(|_| MoneyError::Overflow)?;
    Ok(rounded.normalize().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_at_most_ten_decimals_rounded_half_up() {
        assert_eq!(percentage(334, 1001).unwrap(), "33.3666333666");
        assert_eq!(percentage(667, 1001).unwrap(), "66.6333666334");
        assert_eq!(percentage(0, 1001).unwrap(), "0");
        assert_eq!(percentage(5, 5).unwrap(), "100");
        assert_eq!(percentage(5, 0).unwrap(), "0");
        assert_eq!(percentage(-1, 3).unwrap(), "-33.3333333333");
        assert_eq!(percentage(1, -3).unwrap(), "-33.3333333333");
    }

    #[test]
    fn dollars_have_two_decimals() {
        assert_eq!([5, -5, 12345, 0].map(dollars), ["0.05", "-0.05", "123.45", "0.00"]);
    }
}
