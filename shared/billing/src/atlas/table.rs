//! An invoice as the CSV that Atlas lets people download: a few lines with its number, organisation and period, an empty one, then a table.
//!
//! It becomes the document that the API would send, as far as the table says it: no status, no figures of the head.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::document::MalformedInvoice;
use crate::money::parse_decimal;
use crate::text::{clean, shown};

/// What the first line begins with.
const FIRST: &str = "Invoice Number";

/// Columns of the table, and the members that they become.
const TEXTS: [(&str, &str); 6] = [
    ("Project ID", "groupId"),
    ("Project", "groupName"),
    ("SKU", "sku"),
    ("Cluster", "clusterName"),
    ("Application", "stitchAppName"),
    ("Unit", "unit"),
];

/// Whether bytes begin like such a table.
#[must_use]
pub fn is_table(bytes: &[u8]) -> bool {
    let start = bytes.get(..bytes.len().min(200)).unwrap_or_default();
    let text = String::from_utf8_lossy(start);
    clean(&text).trim_start_matches('"').starts_with(FIRST)
}

/// The document of a table.
///
/// # Errors
/// [`MalformedInvoice`] names the line or the field.
pub fn document_of_table(bytes: &[u8]) -> Result<Vec<u8>, MalformedInvoice> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut head: Map<String, Value> = Map::new();
    let (mut header, mut lines) = (None, Vec::new());
    for (at, record) in reader.records().enumerate() {
        let record = record.map_err(|error| field("row", &error.to_string(), "a row of a table"))?;
        let cells: Vec<String> = record.iter().map(|cell| clean(cell).into_owned()).collect();
        match (&header, cells.first().map(String::as_str)) {
            (None, Some(FIRST)) => drop(head.insert("id".to_owned(), cell(&cells, 1).into())),
            (None, Some("Organization ID")) => drop(head.insert("orgId".to_owned(), cell(&cells, 1).into())),
            (None, Some("Billing Period")) => {
                let (start, end) = period(&cell(&cells, 1))?;
                head.insert("startDate".to_owned(), start.into());
                head.insert("endDate".to_owned(), end.into());
            }
            (None, Some("Date")) => header = Some(cells),
            (None, _) => {}
            (Some(header), _) => lines.push(line(header, &cells, at + 1)?),
        }
    }
    if header.is_none() {
        return Err(MalformedInvoice::Missing("table with the columns Date, SKU, Amount, ..."));
    }
    head.insert("lineItems".to_owned(), lines.into());
    Ok(serde_json::to_vec(&head)?)
}

fn cell(cells: &[String], at: usize) -> String {
    cells.get(at).cloned().unwrap_or_default()
}

fn field(field: &str, text: &str, expected: &'static str) -> MalformedInvoice {
    MalformedInvoice::Field { field: field.to_owned(), text: shown(text), expected }
}

/// `June 1, 2025 - July 1, 2025`; the second day is not counted.
fn period(text: &str) -> Result<(String, String), MalformedInvoice> {
    let day = |text: &str| NaiveDate::parse_from_str(text.trim(), "%B %d, %Y").ok();
    let days = text.split_once(" - ").and_then(|(start, end)| Some((day(start)?, day(end)?)));
    let (start, end) =
        days.ok_or_else(|| field("Billing Period", text, "like June 1, 2025 - July 1, 2025"))?;
    Ok((format!("{start}T00:00:00Z"), format!("{end}T00:00:00Z")))
}

fn line(header: &[String], cells: &[String], row: usize) -> Result<Value, MalformedInvoice> {
    if cells.len() != header.len() {
        return Err(field(&format!("row {row}"), &cells.join(","), "a row with a cell for each column"));
    }
    let text = |column: &str| {
        let at = header.iter().position(|name| name == column)?;
        cells.get(at).map(String::as_str).filter(|cell| !cell.is_empty())
    };
    let amount = text("Amount").ok_or_else(|| field(&format!("Amount of row {row}"), "", "an amount"))?;
    let mut line = json!({ "totalPriceCents": cents(amount, row)? });
    for (column, member) in TEXTS {
        if let Some(text) = text(column) {
            line[member] = text.into();
        }
    }
    let note = text("Note").or_else(|| text("Description"));
    if let Some(note) = note {
        line["note"] = note.into();
    }
    if let Some(day) = text("Usage Date") {
        let date = NaiveDate::parse_from_str(day, "%m/%d/%Y");
        let date =
            date.map_err(|_| field(&format!("Usage Date of row {row}"), day, "a day like 06/30/2025"))?;
        line["startDate"] = format!("{date}T00:00:00Z").into();
        line["endDate"] = format!("{}T00:00:00Z", date.succ_opt().unwrap_or(date)).into();
    }
    for (column, member) in [("Quantity", "quantity"), ("Unit Price", "unitPriceDollars")] {
        // no money: what is no number is left out
        let number = text(column).and_then(|text| serde_json::from_str::<serde_json::Number>(text).ok());
        if let Some(number) = number {
            line[member] = number.into();
        }
    }
    Ok(line)
}

/// Dollars as whole cents.
fn cents(text: &str, row: usize) -> Result<i64, MalformedInvoice> {
    let wrong = || field(&format!("Amount of row {row}"), text, "an amount of dollars in whole cents");
    let dollars = parse_decimal(text.trim_start_matches('$')).map_err(|_| wrong())?;
    let cents = dollars.checked_mul(Decimal::ONE_HUNDRED).ok_or_else(wrong)?.normalize();
    if cents.scale() > 0 { Err(wrong()) } else { i64::try_from(cents.mantissa()).map_err(|_| wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atlas::Invoice;

    const TABLE: &str = "\u{feff}Invoice Number,i1,\nBilling Period,\"June 1, 2025 - July 1, 2025\",\nOrganization ID,o1,\n\n\
        Date,Usage Date,Note,Project,Project ID,SKU,Unit,Unit Price,Quantity,Amount\n\
        06/02/2025,06/01/2025,,shop,p1,Atlas M30,server hours,0.54,72.0,38.88\n\
        06/02/2025,06/01/2025,Promotional credit,,,Credit,dollars,-25.0,1.0,-25.00\n";

    #[test]
    fn a_table_says_what_the_api_would() {
        assert!(is_table(TABLE.as_bytes()) && !is_table(b"{\"id\": 1}") && !is_table(b""));
        let document = document_of_table(TABLE.as_bytes()).unwrap();
        let invoice = Invoice::parse(&document).unwrap();
        assert_eq!((invoice.head.id.as_str(), invoice.head.org_id.as_str()), ("i1", "o1"));
        assert_eq!(invoice.head.month().to_string(), "2025-06");
        let cents: Vec<_> = invoice.line_items.iter().map(|line| line.total_price_cents).collect();
        assert_eq!(cents, [Some(3888), Some(-2500)]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let why = |from: &str, to: &str| {
            document_of_table(TABLE.replace(from, to).as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(
            why("38.88", "38.885"),
            "Amount of row 5 '38.885' is not an amount of dollars in whole cents"
        );
        assert_eq!(why("38.88", ""), "Amount of row 5 '' is not an amount");
        assert!(why("June 1", "Juni 1").starts_with("Billing Period 'Juni 1, 2025"));
        assert!(why("06/01/2025,,shop", "1.6.2025,,shop").contains("Usage Date of row 5 '1.6.2025'"));
        assert!(why(",72.0,38.88", ",72.0").contains("a cell for each column"));
        assert!(why("Date,Usage", "Datum,Usage").contains("the invoice has no table"));
    }
}
