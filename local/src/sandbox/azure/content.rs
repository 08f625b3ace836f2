//! What the invented billing profile costs: a recorded month moved to the one that closes, less in the month before and in the
//! running one.

use std::collections::BTreeMap;

use billing::month::BillingMonth;
use bytes::Bytes;
use chrono::{Datelike as _, NaiveDate};
use serde_json::{Value, json};

const FILES: [(&str, &str); 2] = [
    ("part_0_0001.csv", include_str!("../../../examples/azure/part_0_0001.csv")),
    ("part_1_0001.csv", include_str!("../../../examples/azure/part_1_0001.csv")),
];
const INVOICES: &str = include_str!("../../../examples/azure/invoices_list.json");
/// The invoice of the recorded month, and the one before it.
const INVOICE: &str = "G012345678";
const INVOICE_BEFORE: &str = "G012345677";
/// Of a row.
const DATE_COLUMN: usize = 15;
/// Rows of the running month.
const ROWS_SO_FAR: usize = 9;

/// A file of a report: its name and its bytes.
pub(super) type File = (String, Bytes);

#[derive(Clone, Debug)]
pub(super) struct Content {
    closing: BillingMonth,
    /// Files that a test gives.
    given: BTreeMap<BillingMonth, Vec<File>>,
    /// The same of amortised costs, where they are others.
    amortized: BTreeMap<BillingMonth, Vec<File>>,
    amended: usize,
    pub(super) has_invoices: bool,
}

impl Content {
    pub(super) fn example(closing: BillingMonth) -> Self {
        Self { closing, given: BTreeMap::new(), amortized: BTreeMap::new(), amended: 0, has_invoices: true }
    }

    pub(super) fn give(&mut self, month: BillingMonth, files: Vec<File>) {
        self.given.insert(month, files);
    }

    pub(super) fn give_amortized(&mut self, month: BillingMonth, files: Vec<File>) {
        self.amortized.insert(month, files);
    }

    /// The files of amortised costs: those of actual costs, unless a test gives others, for the invented profile has no commitment.
    pub(super) fn amortized_files(&self, start: NaiveDate, end: NaiveDate) -> Vec<File> {
        let month = BillingMonth::new(start.year(), start.month()).ok();
        let given = month.and_then(|month| self.amortized.get(&month));
        given.cloned().unwrap_or_else(|| self.files(start, end))
    }

    /// A usage record of the closing month moves to another resource group: the total stays.
    pub(super) fn amend(&mut self) {
        self.amended += 1;
    }

    /// The files with the rows of some days, both counted; none if there are no rows.
    pub(super) fn files(&self, start: NaiveDate, end: NaiveDate) -> Vec<File> {
        let Ok(month) = BillingMonth::new(start.year(), start.month()) else { return Vec::new() };
        if let Some(given) = self.given.get(&month) {
            return given.clone();
        }
        let files = self.whole(month).into_iter().map(|(name, text)| {
            let mut kept = String::new();
            for (row, line) in text.split_inclusive("\r\n").enumerate() {
                let date = line.split(',').nth(DATE_COLUMN).unwrap_or_default();
                let date = NaiveDate::parse_from_str(date, "%m/%d/%Y").ok();
                if row == 0 || date.is_some_and(|date| (start..=end).contains(&date)) {
                    kept.push_str(line);
                }
            }
            (name.to_owned(), kept)
        });
        let has_rows = |text: &str| text.matches("\r\n").count() > 1;
        files.filter(|(_, text)| has_rows(text)).map(|(name, text)| (name, text.into())).collect()
    }

    fn whole(&self, month: BillingMonth) -> Vec<(&'static str, String)> {
        let moved = |at: usize| (FILES[at].0, moved(FILES[at].1, month));
        if month == self.closing {
            let mut files = vec![moved(0), moved(1)];
            for _ in 0..self.amended {
                let text = &mut files[1].1;
                let last = text.trim_end().rsplit("\r\n").next().unwrap_or_default().to_owned();
                let back = last.replace(",0.000", ",-0.000").replace(",Usage,", ",Refund,");
                text.push_str(&format!("{back}\r\n{}\r\n", last.replace("rg-data", "rg-pay")));
            }
            files
        } else if month == self.closing.previous() {
            let (name, text) = moved(1);
            vec![(name, text.replace(INVOICE, INVOICE_BEFORE))]
        } else if month == self.closing.next() {
            let (name, text) = moved(0);
            let so_far: String = text.split_inclusive("\r\n").take(ROWS_SO_FAR + 1).collect();
            // not invoiced yet
            vec![(name, so_far.replace(INVOICE, ""))]
        } else {
            Vec::new()
        }
    }

    /// The invoices whose periods begin between two days, newest first: a void one is among them.
    pub(super) fn invoices(&self, start: NaiveDate, end: NaiveDate) -> Vec<Value> {
        let closed = invoice(self.closing);
        let mut void = closed.clone();
        (void["name"], void["properties"]["status"]) = (json!("G012345670"), json!("Void"));
        let mut before = invoice(self.closing.previous());
        before["name"] = json!(INVOICE_BEFORE);
        for (field, value) in [("subTotal", "109.63"), ("taxAmount", "20.83"), ("totalAmount", "130.46")] {
            before["properties"][field]["value"] = serde_json::from_str(value).unwrap_or_default();
        }
        let all = if self.has_invoices { vec![closed, void, before] } else { vec![void, before] };
        let begins = |invoice: &Value| {
            let date = invoice["properties"]["invoicePeriodStartDate"].as_str()?.get(..10)?;
            date.parse::<NaiveDate>().ok()
        };
        all.into_iter().filter(|it| begins(it).is_some_and(|date| (start..=end).contains(&date))).collect()
    }
}

/// The recorded invoice, of another month.
fn invoice(month: BillingMonth) -> Value {
    let (next, due) = (month.next(), month.next().next());
    let last = month.end().date_naive().pred_opt().unwrap_or_default();
    let text = INVOICES
        .replace("2025-06-30", &last.to_string())
        .replace("2025-06-", &format!("{month}-"))
        .replace("2025-07-", &format!("{next}-"))
        .replace("2025-08-", &format!("{due}-"));
    let mut list: Value = serde_json::from_str(&text).unwrap_or_default();
    list["value"][0].take()
}

/// The recorded rows, of another month: the last day stays the last one.
fn moved(text: &str, month: BillingMonth) -> String {
    let last = month.end().date_naive().pred_opt().unwrap_or_default();
    let before = month.start().date_naive().pred_opt().unwrap_or_default();
    // a placeholder, because the month may be the recorded one or the one before it
    let mut text = text.replace("05/31/2025", "@before@");
    for day in 1..=30u32 {
        let moved = if day == 30 { last.day() } else { day.min(last.day()) };
        text = text.replace(&format!("06/{day:02}/2025"), &format!("@{moved:02}@"));
    }
    for day in 1..=31 {
        text = text
            .replace(&format!("@{day:02}@"), &format!("{:02}/{day:02}/{:04}", month.month(), month.year()));
    }
    text.replace("@before@", &before.format("%m/%d/%Y").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(content: &Content, start: &str, end: &str) -> Vec<File> {
        content.files(start.parse().unwrap(), end.parse().unwrap())
    }

    #[test]
    fn the_recorded_month_is_as_it_was_recorded() {
        let content = Content::example("2025-06".parse().unwrap());
        let files = days(&content, "2025-06-01", "2025-06-30");
        let texts: Vec<&[u8]> = files.iter().map(|(_, bytes)| &bytes[..]).collect();
        assert_eq!(texts, FILES.map(|(_, text)| text.as_bytes()));
        let listed = content.invoices("2025-06-01".parse().unwrap(), "2025-07-31".parse().unwrap());
        let recorded: Value = serde_json::from_str(INVOICES).unwrap();
        assert_eq!(listed[0], recorded["value"][0]);
    }

    #[test]
    fn other_months_have_their_own_days() {
        let content = Content::example("2026-10".parse().unwrap());
        let text = |files: &[File]| String::from_utf8(files.concat_bytes()).unwrap();
        let october = text(&days(&content, "2026-10-01", "2026-10-31"));
        assert!(october.contains(",10/31/2026,10/01/2026,") && !october.contains("2025"), "{october}");
        let some = text(&days(&content, "2026-10-02", "2026-10-02"));
        assert!(some.contains(",10/02/2026,") && !some.contains(",10/03/2026,"));
        let september = text(&days(&content, "2026-09-01", "2026-09-30"));
        assert!(september.contains(INVOICE_BEFORE) && !september.contains(INVOICE));
        assert!(!text(&days(&content, "2026-11-01", "2026-11-30")).contains("G0123"));
        assert!(days(&content, "2026-12-01", "2026-12-31").is_empty());
    }

    trait ConcatBytes {
        fn concat_bytes(&self) -> Vec<u8>;
    }

    impl ConcatBytes for [File] {
        fn concat_bytes(&self) -> Vec<u8> {
            self.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect()
        }
    }
}
