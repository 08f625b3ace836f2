//! What an organisation of three accounts was billed, as the rows of a CUR 2.0 export.
//!
//! The rows are those of June 2025, with their dates moved to another month; in June 2025 they are exactly these.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::OnceLock;

use billing::month::BillingMonth;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rust_decimal::Decimal;

const FILES: [&[u8]; 2] = [
    include_bytes!("../../../examples/aws/cur2-hourly-00001.csv.gz"),
    include_bytes!("../../../examples/aws/cur2-hourly-00002.csv.gz"),
];
/// Rows of the running month, which has not come far.
const ROWS_SO_FAR: usize = 20;
/// How the dates in the files begin.
const JUNE: &str = "2025-06-";
const JULY: &str = "2025-07-";

/// A month, as the files of its export.
#[derive(Clone, Debug)]
pub(super) struct Bill {
    pub(super) month: BillingMonth,
    /// CSV with a header.
    pub(super) files: Vec<String>,
    /// Read when somebody asks.
    lines: OnceLock<Vec<Line>>,
}

/// A line as Cost Explorer sees it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) account: String,
    pub(super) service: String,
    pub(super) kind: String,
    pub(super) unblended: Decimal,
    pub(super) amortized: Decimal,
    /// Empty while there is none.
    pub(super) invoice: String,
}

impl Bill {
    fn of(month: BillingMonth, files: Vec<String>) -> Self {
        Self { month, files, lines: OnceLock::new() }
    }

    /// The month that closes: everything.
    pub(super) fn closing(month: BillingMonth) -> Self {
        Self::of(month, FILES.iter().map(|file| moved(&text(file), month)).collect())
    }

    /// The same month with a few rows in each file.
    pub(super) fn small(month: BillingMonth) -> Self {
        let Self { mut files, .. } = Self::closing(month);
        for file in &mut files {
            let few =
                |(at, line): &(usize, &str)| *at < 3 || line.contains(",Refund,") || line.contains(",Tax,");
            let rows: Vec<&str> = file.lines().enumerate().filter(few).map(|(_, line)| line).collect();
            *file = rows.join("\n") + "\n";
        }
        Self::of(month, files)
    }

    /// With a refund that came later.
    pub(super) fn amended(&self) -> Self {
        let mut files = self.files.clone();
        if let Some(last) = files.last_mut() {
            let refund = last.lines().find(|line| line.contains(",Refund,")).map(str::to_owned);
            let refund = refund.unwrap_or_default().replace("-12.5000000000", "-3.2500000000");
            let refund = refund.replace("2180000003", "2180000004");
            last.push_str(&refund);
            last.push('\n');
        }
        Self::of(self.month, files)
    }

    /// The month before: half of it, invoiced under a number of its own.
    pub(super) fn before(month: BillingMonth) -> Self {
        let file = moved(&text(FILES[0]), month).replace("218000000", "217000000");
        Self::of(month, vec![file])
    }

    /// The running month: a few rows, not invoiced yet.
    pub(super) fn running(month: BillingMonth) -> Self {
        let file = moved(&text(FILES[0]), month).replace("2180000001", "");
        let rows: Vec<&str> = file.lines().take(ROWS_SO_FAR + 1).collect();
        Self::of(month, vec![rows.join("\n") + "\n"])
    }

    /// Its lines.
    pub(super) fn lines(&self) -> &[Line] {
        self.lines.get_or_init(|| {
            let files = self.files.iter().map(|file| csv::Reader::from_reader(file.as_bytes()));
            let rows = files.flat_map(csv::Reader::into_deserialize::<BTreeMap<String, String>>);
            rows.flatten().map(line).collect()
        })
    }

    /// What its lines come to for each invoice that there is.
    pub(super) fn invoices(&self) -> BTreeMap<String, Decimal> {
        let mut sums = BTreeMap::new();
        for line in self.lines().iter().filter(|line| !line.invoice.is_empty()) {
            *sums.entry(line.invoice.clone()).or_insert(Decimal::ZERO) += line.unblended;
        }
        sums
    }
}

fn line(row: BTreeMap<String, String>) -> Line {
    let text = |name: &str| row.get(name).cloned().unwrap_or_default();
    let amount = |name: &str| text(name).parse::<Decimal>().unwrap_or_default();
    let (kind, unblended) = (text("line_item_line_item_type"), amount("line_item_unblended_cost"));
    let amortized = match kind.as_str() {
        "SavingsPlanCoveredUsage" => amount("savings_plan_savings_plan_effective_cost"),
        "SavingsPlanNegation" | "SavingsPlanRecurringFee" => Decimal::ZERO,
        _ => unblended,
    };
    Line {
        account: text("line_item_usage_account_id"),
        service: service(&kind, &text("product_servicecode")),
        kind,
        unblended,
        amortized,
        invoice: text("bill_invoice_id"),
    }
}

/// The name under which Cost Explorer shows it.
fn service(kind: &str, code: &str) -> String {
    let name = match (kind, code) {
        ("Tax", _) => "Tax",
        (_, "AmazonEC2") => "Amazon Elastic Compute Cloud - Compute",
        (_, "AmazonS3") => "Amazon Simple Storage Service",
        (_, "AWSSupportBusiness") => "AWS Support (Business)",
        (_, "ComputeSavingsPlans") => "Savings Plans for AWS Compute usage",
        (_, other) => other,
    };
    name.to_owned()
}

fn moved(text: &str, month: BillingMonth) -> String {
    text.replace(JUNE, &format!("{month}-")).replace(JULY, &format!("{}-", month.next()))
}

/// The text of a gzip file that was built into this program.
pub(super) fn text(file: &[u8]) -> String {
    let mut text = String::new();
    let read = GzDecoder::new(file).read_to_string(&mut text);
    read.map(|_| text).unwrap_or_default()
}

/// The file itself where its text is the original's, else a new one.
pub(super) fn packed(text: &str, original: &[u8]) -> Vec<u8> {
    if self::text(original) == text {
        return original.to_vec();
    }
    gzip(text)
}

/// Always the same bytes for the same text.
pub(super) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    written.unwrap_or_default() // writing to memory does not fail
}

/// The files of June 2025.
pub(super) fn original(place: usize) -> &'static [u8] {
    FILES.get(place).copied().unwrap_or_default()
}
