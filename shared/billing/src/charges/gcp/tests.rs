use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::{BillContext, Document, Selection, Totals, add_up, write_charges};
use super::*;

const PAGES: [&[u8]; 3] = [
    include_bytes!("../../../../../local/examples/gcp/query_200_complete_page1.json"),
    include_bytes!("../../../../../local/examples/gcp/getqueryresults_page2.json"),
    include_bytes!("../../../../../local/examples/gcp/getqueryresults_page3.json"),
];
const NESTED: &[u8] = include_bytes!("../../../../../local/examples/gcp/query_200_nested_rows.json");

fn file(bytes: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Arc::new(file)
}

fn june() -> Selection {
    Selection::all_of("2025-06".parse().unwrap())
}

fn sums(bytes: &[u8]) -> Result<Totals, ReadError> {
    add_up(&Document { key: "raw/gcp/x.json", file: file(bytes) }, &BigQuery, &june(), 2)
}

/// What charges say, as far as it differs from row to row.
fn charges(bytes: &[u8]) -> Vec<String> {
    let document = Document { key: "raw/gcp/x.json", file: file(bytes) };
    let month: BillingMonth = "2025-06".parse().unwrap();
    let period = Period { start: month.start(), end: month.end() };
    let names = BTreeMap::new();
    let bill = BillContext { billing_account: "012345-567890-ABCDEF", period, sub_account_names: &names };
    let mut said = Vec::new();
    let written =
        write_charges(&document, &BigQuery, &june(), std::slice::from_ref(&bill), &mut |_, charge| {
            let [start, end] = [charge.charge_period.start, charge.charge_period.end]
                .map(|at| at.format("%m-%dT%H").to_string());
            said.push(format!(
                "{} {} {} | {} | {} | {} | {start} {end} | {} | {} {}",
                charge.charge_category,
                charge.billed_cost,
                charge.effective_cost.unwrap(),
                charge.sub_account_id.as_deref().unwrap_or("-"),
                charge.service_name,
                charge.service_category,
                charge.tags.as_deref().unwrap_or("-"),
                charge.charge_description.as_deref().unwrap_or("-"),
                charge.consumed_quantity.map_or_else(String::new, |quantity| quantity.to_string()),
            ));
            Ok(())
        });
    assert!(written.unwrap().held.is_empty());
    said
}

/// An answer with these columns and rows.
fn answer(columns: &[&str], rows: &[Vec<Value>]) -> Vec<u8> {
    let fields: Vec<Value> = columns.iter().map(|name| json!({"name": name, "type": "STRING"})).collect();
    let cell = |value: &Value| json!({"v": value});
    let rows: Vec<Value> =
        rows.iter().map(|row| json!({"f": row.iter().map(cell).collect::<Vec<_>>()})).collect();
    json!({"schema": {"fields": fields}, "rows": rows}).to_string().into_bytes()
}

#[test]
fn the_recorded_month_comes_to_its_control_totals() {
    let mut totals = Totals::default();
    for page in PAGES {
        totals.merge(sums(page).unwrap()).unwrap();
    }
    assert_eq!((totals.rows, totals.held_rows, totals.fine_rows), (5, 0, 0));
    assert_eq!(totals.all.billed.to_string(), "583.23");
    assert_eq!(totals.all.effective().unwrap().to_string(), "583.23");
    let category = |name: &str| totals.categories[name].billed.to_string();
    assert_eq!(category("Credit"), "-51.2345678");
    assert_eq!(category("Usage"), "541.345683211");
    assert_eq!(category("Tax"), "93.12");
    assert_eq!(category("Adjustment"), "-0.001115411");
    // 541.345683211 + 93.12 - 0.001115411 = 634.4645678
    let project = |id: Option<&str>| totals.sub_accounts[&id.map(str::to_owned)].figures;
    assert_eq!(project(Some("shop-prod")).billed.to_string(), "461.111115411");
    assert_eq!(project(None).billed.to_string(), "122.118884589", "support, tax and rounding");
    assert_eq!(totals.tags.get("team").unwrap()["payments"].billed.to_string(), "461.111111101");
    assert_eq!((totals.all.charges, totals.elsewhere.len()), (6, 0));
}

#[test]
fn a_row_is_a_charge_and_its_credits_another() {
    let all: Vec<String> = PAGES.into_iter().flat_map(charges).collect();
    let expected = [
        r#"Usage 512.345678901 512.345678901 | shop-prod | Compute Engine | Compute | 05-31T22 07-01T00 | {"team":"payments"} | - "#,
        r#"Credit -51.2345678 -51.2345678 | shop-prod | Compute Engine | Compute | 05-31T22 07-01T00 | {"team":"payments"} | Credits for Compute Engine "#,
        "Usage 0.00000431 0.00000431 | shop-prod | Cloud Storage | Storage | 06-01T00 07-01T00 | - | - ",
        "Usage 29 29 | - | Support | Other | 06-30T00 07-01T00 | - | - ",
        "Tax 93.12 93.12 | - | Invoice | Other | 06-01T00 07-01T00 | - | - ",
        "Adjustment -0.001115411 -0.001115411 | - | Invoice | Other | 06-01T00 07-01T00 | - | - ",
    ];
    assert_eq!(all, expected);
}

const OURS: [&str; 12] = [
    "invoice_month",
    "project_id",
    "service",
    "cost_type",
    "currency",
    "labels",
    "usage_day",
    "sku",
    "cost",
    "credits",
    "usage_amount",
    "adjustment_description",
];

fn ours(cost: &str, credits: &str, usage: &str) -> Vec<Value> {
    [
        "202506",
        "p",
        "Cloud SQL",
        "regular",
        "EUR",
        r#"[{"key":"b","value":null},{"key":"a","value":"1"}]"#,
        "2025-06-30",
        "vCPU",
        cost,
        credits,
        usage,
    ]
    .into_iter()
    .map(Value::from)
    .chain([Value::Null])
    .collect()
}

#[test]
fn the_columns_of_fetch_gcp_say_more() {
    let bytes = answer(&OURS, &[ours("1.5", "-0.5", "86400"), ours("1E-10", "0", &"9".repeat(40))]);
    let tags = r#"{"a":"1","b":""}"#;
    let expected = [
        format!("Usage 1.5 1.5 | p | Cloud SQL | Databases | 06-30T00 07-01T00 | {tags} | vCPU 86400"),
        format!(
            "Credit -0.5 -0.5 | p | Cloud SQL | Databases | 06-30T00 07-01T00 | {tags} | Credits for vCPU "
        ),
        format!(
            "Usage 0.0000000001 0.0000000001 | p | Cloud SQL | Databases | 06-30T00 07-01T00 | {tags} | vCPU "
        ),
    ];
    assert_eq!(charges(&bytes), expected);
}

#[test]
fn amounts_are_read_as_google_writes_them() {
    let rows = ["1.04E-4", "6.035e-07", "1e-10", "-2.1E-5", "0", "0.000000000000000001"];
    let rows: Vec<Vec<Value>> = rows.into_iter().map(|cost| ours(cost, "0", "1")).collect();
    let totals = sums(&answer(&OURS, &rows)).unwrap();
    assert_eq!(totals.all.billed.to_string(), "0.000083603600000001");
    assert_eq!((totals.all.charges, totals.fine_rows), (6, 0));
}

#[test]
fn rows_of_other_months_are_named_and_unknown_kinds_pass() {
    let with = |column: usize, value: &str| {
        let mut row = ours("1", "0", "1");
        row[column] = json!(value);
        row
    };
    let rows = [with(0, "202507"), with(3, "something_new"), ours("2", "0", "1")];
    let totals = sums(&answer(&OURS, &rows)).unwrap();
    assert_eq!(totals.all.billed.to_string(), "3");
    assert_eq!(totals.categories["Adjustment"].billed.to_string(), "1");
    let other = totals.elsewhere.keys().next().unwrap();
    assert_eq!(other.month, Some("2025-07".parse().unwrap()));
}

#[test]
fn what_is_no_answer_or_no_row_is_named() {
    let broken = |bytes: &[u8]| sums(bytes).unwrap_err().to_string();
    assert!(broken(b"{\"schema\": {\"fields\": [").contains("EOF while parsing"));
    assert!(broken(NESTED).starts_with("the document has no column currency"));
    assert!(broken(&answer(&["currency", "cost_type", "cost"], &[])).contains("no column credits"));
    let short = answer(&OURS, &[ours("1", "0", "1"), vec![json!("202506")]]);
    assert!(broken(&short).contains("after row 1: a row has 1 cells, the schema has 12"));

    let bad = |column: usize, value: Value| {
        let mut row = ours("1", "0", "1");
        row[column] = value;
        sums(&answer(&OURS, &[row])).unwrap().held[0].why.clone()
    };
    assert_eq!(bad(8, Value::Null), "cost is empty");
    assert_eq!(bad(8, json!("much")), "'much' is not a decimal number");
    assert_eq!(bad(9, Value::Null), "credits is empty");
    assert_eq!(bad(3, Value::Null), "cost_type is empty");
    assert_eq!(bad(4, json!("EURO")), "'EURO' is no ISO 4217 currency");
    assert_eq!(bad(0, json!("June")), "invoice_month 'June' is not understood");
}

#[test]
fn a_label_that_stands_twice_counts_once_and_one_with_two_values_is_told() {
    let row = |labels: &str| {
        let mut row = ours("2", "0", "1");
        row[5] = json!(labels);
        row
    };
    let bytes = answer(&OURS, &[row(r#"[{"key":"team","value":"x"},{"key":"team","value":"x"}]"#)]);
    let totals = sums(&bytes).unwrap();
    let team = totals.tags.get("team").unwrap();
    assert_eq!((team.len(), team["x"].billed.to_string()), (1, "2".to_owned()));
    assert!(charges(&bytes)[0].contains(r#"{"team":"x"}"#));

    for labels in [r#"[{"key":"team","value":"x"},{"key":"team","value":"y"}]"#, "team=a"] {
        let totals = sums(&answer(&OURS, &[row(labels)])).unwrap();
        assert_eq!((totals.held_rows, totals.tags.untagged().charges), (0, 1));
        assert_eq!(totals.unread_tags.figures.billed.to_string(), "2");
        assert_eq!(totals.unread_tags.texts.first().map(String::as_str), Some(labels));
    }
}

#[test]
fn labels_of_the_project_count_where_the_resource_has_none_of_that_name() {
    for column in ["project_labels", "project.labels"] {
        let columns: Vec<&str> = OURS.into_iter().chain([column]).collect();
        let row = |labels: Value| ours("2", "-1", "1").into_iter().chain([labels]).collect::<Vec<_>>();
        let labels = r#"[{"key":"a","value":"9"},{"key":"team","value":"shop"}]"#;
        let rows = [row(json!(labels)), row(Value::Null)];
        let said = charges(&answer(&columns, &rows));
        assert!(said[0].contains(r#"{"a":"1","b":"","team":"shop"}"#), "{}", said[0]);
        assert!(said[1].contains(r#"{"a":"1","b":"","team":"shop"}"#), "its credits, too: {}", said[1]);
        assert!(said[2].contains(r#"{"a":"1","b":""}"#), "{}", said[2]);
        let totals = sums(&answer(&columns, &rows)).unwrap();
        assert_eq!(totals.tags.get("team").unwrap()["shop"].billed.to_string(), "1");
        let unread = sums(&answer(&columns, &[row(json!("team=shop"))])).unwrap();
        assert_eq!((unread.held_rows, unread.unread_tags.figures.charges), (0, 2));
    }
}
