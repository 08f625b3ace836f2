//! The same rows as a legacy Cost and Usage Report: other names of columns, a column for each tag.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::example::Bill;
use super::export::{Packing, execution, pack};
use super::{AWS_ACCOUNT, AWS_EXPORT_BUCKET};

const REPORT: &str = "cur1";

/// Columns of the report and those of CUR 2.0 that they come from.
const COLUMNS: [(&str, &str); 30] = [
    ("identity/LineItemId", "identity_line_item_id"),
    ("identity/TimeInterval", "identity_time_interval"),
    ("bill/InvoiceId", "bill_invoice_id"),
    ("bill/BillingEntity", "bill_billing_entity"),
    ("bill/BillType", "bill_bill_type"),
    ("bill/PayerAccountId", "bill_payer_account_id"),
    ("bill/BillingPeriodStartDate", "bill_billing_period_start_date"),
    ("bill/BillingPeriodEndDate", "bill_billing_period_end_date"),
    ("lineItem/UsageAccountId", "line_item_usage_account_id"),
    ("lineItem/LineItemType", "line_item_line_item_type"),
    ("lineItem/UsageStartDate", "line_item_usage_start_date"),
    ("lineItem/UsageEndDate", "line_item_usage_end_date"),
    ("lineItem/ProductCode", "line_item_product_code"),
    ("lineItem/UsageType", "line_item_usage_type"),
    ("lineItem/Operation", "line_item_operation"),
    ("lineItem/ResourceId", "line_item_resource_id"),
    ("lineItem/UsageAmount", "line_item_usage_amount"),
    ("lineItem/CurrencyCode", "line_item_currency_code"),
    ("lineItem/UnblendedRate", "line_item_unblended_rate"),
    ("lineItem/UnblendedCost", "line_item_unblended_cost"),
    ("lineItem/LineItemDescription", "line_item_line_item_description"),
    ("product/regionCode", "product_region_code"),
    ("product/servicecode", "product_servicecode"),
    ("pricing/term", "pricing_term"),
    ("pricing/unit", "pricing_unit"),
    ("reservation/EffectiveCost", "reservation_effective_cost"),
    ("savingsPlan/SavingsPlanARN", "savings_plan_savings_plan_a_r_n"),
    ("savingsPlan/SavingsPlanEffectiveCost", "savings_plan_savings_plan_effective_cost"),
    ("savingsPlan/TotalCommitmentToDate", "savings_plan_total_commitment_to_date"),
    ("savingsPlan/UsedCommitment", "savings_plan_used_commitment"),
];

/// The report as objects, its manifest last.
pub(super) fn report(bill: &Bill, delivery: u32, packing: Packing) -> Vec<(String, Vec<u8>)> {
    let (assembly, month) = (execution(delivery), bill.month);
    let day = |time: chrono::DateTime<chrono::Utc>| time.format("%Y%m%d").to_string();
    let (from, to) = (day(month.start()), day(month.end()));
    let folder = format!("legacy/{REPORT}/{from}-{to}");
    let (extension, compression) = match packing {
        Packing::Gzip => ("csv.gz", "GZIP"),
        Packing::Zip => ("csv.zip", "ZIP"),
    };
    let rows: Vec<Vec<Row>> = bill.files.iter().map(|file| rows(file)).collect();
    let tags: BTreeSet<&str> =
        rows.iter().flatten().flat_map(|row| row.tags.keys().map(String::as_str)).collect();
    let mut objects: Vec<(String, Vec<u8>)> = Vec::with_capacity(rows.len() + 1);
    for (index, rows) in rows.iter().enumerate() {
        let name = format!("{REPORT}-{}.csv", index + 1);
        let key = format!("{folder}/{assembly}/{REPORT}-{}.{extension}", index + 1);
        objects.push((key, pack(&csv_of(rows, &tags), &name, packing)));
    }
    let column = |name: &str| {
        let (category, name) = name.split_once('/').unwrap_or_default();
        json!({"category": category, "name": name})
    };
    let mut columns: Vec<Value> = COLUMNS.iter().map(|(name, _)| column(name)).collect();
    columns.extend(tags.iter().map(|tag| json!({"category": "resourceTags", "name": tag})));
    let keys: Vec<&str> = objects.iter().map(|(key, _)| key.as_str()).collect();
    let manifest = json!({
        "assemblyId": assembly, "account": AWS_ACCOUNT, "columns": columns, "charset": "UTF-8",
        "compression": compression, "contentType": "text/csv", "reportId": "r", "reportName": REPORT,
        "billingPeriod": {"start": format!("{from}T000000.000Z"), "end": format!("{to}T000000.000Z")},
        "bucket": AWS_EXPORT_BUCKET, "reportKeys": keys, "additionalArtifactKeys": [],
    });
    objects.push((format!("{folder}/{REPORT}-Manifest.json"), manifest.to_string().into_bytes()));
    objects
}

struct Row {
    cells: Vec<String>,
    /// By the name of their column, without the category.
    tags: BTreeMap<String, String>,
}

fn rows(file: &str) -> Vec<Row> {
    let rows = csv::Reader::from_reader(file.as_bytes()).into_deserialize::<BTreeMap<String, String>>();
    let row = |row: BTreeMap<String, String>| {
        let cell = |name: &str| row.get(name).cloned().unwrap_or_default();
        let tags: BTreeMap<String, String> = serde_json::from_str(&cell("resource_tags")).unwrap_or_default();
        let tags = tags.into_iter().map(|(name, value)| (name.replacen("user_", "user:", 1), value));
        Row { cells: COLUMNS.iter().map(|(_, name)| cell(name)).collect(), tags: tags.collect() }
    };
    rows.flatten().map(row).collect()
}

fn csv_of(rows: &[Row], tags: &BTreeSet<&str>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = COLUMNS.iter().map(|(name, _)| (*name).to_owned());
    let header = header.chain(tags.iter().map(|tag| format!("resourceTags/{tag}")));
    let mut lines = vec![header.collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| {
        let tags = tags.iter().map(|tag| row.tags.get(*tag).cloned().unwrap_or_default());
        row.cells.iter().cloned().chain(tags).collect()
    }));
    for line in lines {
        let _ = writer.write_record(line); // memory takes it
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}
