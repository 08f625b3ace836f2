//! What was exported: rows of months, as a query sums them up.
//!
//! The closing month is the recorded result `local/examples/gcp`, moved to that month, with the columns that it does not have.

use std::collections::BTreeMap;

use billing::month::BillingMonth;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

/// A row: its columns by name. One that a row does not have is NULL.
pub type GcpRow = BTreeMap<String, Option<String>>;

/// The pages of the recorded result.
const RECORDED: [&str; 3] = [
    include_str!("../../../examples/gcp/query_200_complete_page1.json"),
    include_str!("../../../examples/gcp/getqueryresults_page2.json"),
    include_str!("../../../examples/gcp/getqueryresults_page3.json"),
];

/// For each service of the recorded rows, what they do not say.
type More = &'static [(&'static str, &'static str)];

/// The labels of its project.
const SHOP: &str = r#"[{"key":"department","value":"sales"},{"key":"team","value":"shop"}]"#;

const COMPUTE: More = &[
    ("project_name", "Shop, production"),
    ("project_labels", SHOP),
    ("service_id", "6F81-5844-456A"),
    ("sku_id", "2E27-4F75-95CD"),
    ("sku", "N1 Predefined Instance Core running in Frankfurt"),
    ("region", "europe-west3"),
    ("usage_unit", "seconds"),
    ("usage_amount", "46656000"),
    ("pricing_unit", "hour"),
    ("pricing_amount", "12960"),
];
const STORAGE: More = &[
    ("project_name", "Shop, production"),
    ("project_labels", SHOP),
    ("service_id", "95FF-2EF5-5EA3"),
    ("sku_id", "E5F0-6A5D-7BAD"),
    ("sku", "Standard Storage Frankfurt"),
    ("region", "europe-west3"),
    ("usage_unit", "byte-seconds"),
    ("usage_amount", "532575944704"),
    ("pricing_unit", "gibibyte month"),
    ("pricing_amount", "0.000187392"),
];
const SUPPORT: More = &[
    ("service_id", "2062-016F-44A2"),
    ("sku_id", "7B0A-2D3E-55C1"),
    ("sku", "Standard Support Base Fee"),
    ("usage_unit", "month"),
    ("usage_amount", "1"),
    ("pricing_unit", "month"),
    ("pricing_amount", "1"),
];

#[derive(Clone, Debug)]
pub(super) struct Export {
    closing: BillingMonth,
    months: BTreeMap<BillingMonth, Vec<GcpRow>>,
}

impl Export {
    pub(super) fn example(closing: BillingMonth) -> Self {
        let few = |month, count| recorded(month).into_iter().take(count).collect();
        let months = BTreeMap::from([
            (closing.previous(), few(closing.previous(), 3)),
            (closing, recorded(closing)),
            (closing.next(), few(closing.next(), 2)),
        ]);
        Self { closing, months }
    }

    /// The rows of a month, `202506`.
    pub(super) fn rows(&self, invoice_month: &str) -> &[GcpRow] {
        let found = self.months.iter().find(|(month, _)| named(**month) == invoice_month);
        found.map(|(_, rows)| rows.as_slice()).unwrap_or_default()
    }

    pub(super) fn give(&mut self, month: BillingMonth, rows: Vec<GcpRow>) {
        self.months.insert(month, rows);
    }

    /// A day of storage of another project that was exported late, and a tiny one.
    pub(super) fn amend(&mut self) {
        let closing = self.closing;
        let storage = recorded(closing).into_iter().nth(1).unwrap_or_default();
        for (project, cost) in [("shop-dev", "1.25"), ("shop-test", "0.0000006035")] {
            let mut row = storage.clone();
            for (name, value) in [("project_key", project), ("project_id", project), ("cost", cost)] {
                row.insert(name.to_owned(), Some(value.to_owned()));
            }
            row.extend(["project_name", "project_labels"].map(|name| (name.to_owned(), None)));
            self.months.entry(closing).or_default().push(row);
        }
    }
}

fn named(month: BillingMonth) -> String {
    format!("{:04}{:02}", month.year(), month.month())
}

/// The recorded rows, as if they were of that month.
pub(super) fn recorded(month: BillingMonth) -> Vec<GcpRow> {
    let pages = RECORDED.iter().filter_map(|page| serde_json::from_str::<Value>(page).ok());
    pages.flat_map(|page| rows_of(&page)).map(|row| moved(row, month)).collect()
}

/// Rows of an answer of BigQuery, by the names of its schema.
fn rows_of(page: &Value) -> Vec<GcpRow> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let fields = list(&page["schema"]["fields"]);
    let row = |row: &Value| {
        let cells = list(&row["f"]);
        let named = fields.iter().zip(&cells).filter_map(|(field, cell)| {
            Some((field["name"].as_str()?.to_owned(), cell["v"].as_str().map(str::to_owned)))
        });
        named.collect()
    };
    list(&page["rows"]).iter().map(row).collect()
}

/// Another month's row, with the columns that the recorded one does not have.
fn moved(mut row: GcpRow, month: BillingMonth) -> GcpRow {
    let text = |row: &GcpRow, name: &str| row.get(name).cloned().flatten();
    let from = text(&row, "invoice_month").and_then(|text| {
        let (year, month) = text.split_at_checked(4)?;
        BillingMonth::new(year.parse().ok()?, month.parse().ok()?).ok()
    });
    let first_usage = text(&row, "first_usage").and_then(|text| text.parse::<DateTime<Utc>>().ok());
    if let (Some(from), Some(first_usage)) = (from, first_usage) {
        // what was used at the end of a month stays there
        let is_late = first_usage - from.start() > from.end() - first_usage;
        let moved = if is_late {
            month.end() - (from.end() - first_usage)
        } else {
            month.start() + (first_usage - from.start())
        };
        row.insert("usage_day".into(), Some(moved.date_naive().to_string()));
        row.insert("first_usage".into(), Some(moved.to_rfc3339_opts(SecondsFormat::Micros, true)));
    }
    row.insert("invoice_month".into(), Some(named(month)));
    let (key, service) = (text(&row, "project_key"), text(&row, "service"));
    if key != service {
        row.insert("project_id".into(), key);
    }
    let more = match service.as_deref() {
        Some("Compute Engine") => COMPUTE,
        Some("Cloud Storage") => STORAGE,
        Some("Support") => SUPPORT,
        _ => &[],
    };
    row.extend(more.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))));
    let credits = text(&row, "credits");
    for kind in ["credits_commitment", "credits_promotion", "credits_other"] {
        row.insert(kind.into(), Some("0".into()));
    }
    row.insert("credits_sustained_use".into(), credits);
    row
}
