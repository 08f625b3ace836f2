//! The rows of a bill as CSV, from its certificate.

use crate::certificate::Certificate;
use crate::money::MoneyError;
use crate::spreadsheet::neutralise;

const HEADER: [&str; 9] = [
    "invoice_id",
    "start_date",
    "end_date",
    "sub_account_id",
    "sub_account_name",
    "currency",
    "billed_cost",
    "rounding",
    "total",
];

/// The rows of a certificate as CSV (RFC 4180, UTF-8): what each sub account is charged exactly, what rounding adds, and the total in
/// minor units. The totals, with the taxes that no row states, add up to the provider's. The document depends on the
/// certificate alone, so it can be written again from it.
///
/// # Errors
/// [`MoneyError::Overflow`] if it cannot be written.
pub fn bill_rows_csv(certificate: &Certificate) -> Result<Vec<u8>, MoneyError> {
    let subject = &certificate.subject;
    let mut rows = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let mut write = |cells: [&str; 9]| rows.write_record(cells).map_err(|_| MoneyError::Overflow);
    write(HEADER)?;
    let invoice_id = neutralise(subject.invoice_id.as_str());
    let mut row = |id: &str, name: &str, [own, rounding, total]: [String; 3]| {
        write([
            &invoice_id,
            &subject.start_date,
            &subject.end_date,
            &neutralise(id),
            &neutralise(name),
            &certificate.currency,
            &own,
            &rounding,
            &total,
        ])
    };
    for target in &certificate.targets {
        let amounts = [target.own, target.adjustment, target.total].map(|amount| amount.to_string());
        row(&target.id, &target.name, amounts)?;
    }
    for rest in &certificate.unallocated {
        let name = format!("({})", rest.kind);
        row(&name, &rest.reason, [rest.amount.to_string(), "0".to_owned(), rest.amount.to_string()])?;
    }
    rows.into_inner().map_err(|_| MoneyError::Overflow)
}
