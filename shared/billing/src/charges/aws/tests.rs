//! Documents of AWS against their control totals.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::super::tests::{both_readings, case_without, held_for_its_currencies};
use super::*;
use crate::charge::Charge;
use crate::charges::{BillContext, Document, Mapping, Selection, Totals, add_up, write_charges};

mod amortised;

/// Sums of the two files, by account and by invoice.
const ACCOUNTS: [(&str, &str); 3] =
    [("111122223333", "102.88"), ("222233334444", "4.956"), ("333344445555", "237.5003066528")];
const INVOICES: [(&str, &str); 3] =
    [("2180000001", "107.8363066528"), ("2180000002", "250"), ("2180000003", "-12.5")];
const SUM: &str = "345.3363066528";

fn example(name: &str) -> Arc<File> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../local/examples/aws").join(name);
    Arc::new(File::open(path).unwrap())
}

fn file(bytes: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Arc::new(file)
}

fn june() -> Selection {
    Selection::all_of("2025-06".parse().unwrap())
}

fn totals(mapping: &dyn Mapping, documents: &[(&str, Arc<File>)]) -> Totals {
    let mut totals = Totals::default();
    for (key, file) in documents {
        let part = add_up(&Document { key, file: file.clone() }, mapping, &june(), 2).unwrap();
        totals.merge(part).unwrap();
    }
    assert_eq!(totals.held_rows, 0, "{:?}", totals.held);
    totals
}

/// What `pick` tells of each charge.
fn told<T>(mapping: &dyn Mapping, key: &str, file: Arc<File>, pick: impl Fn(&Charge<'_>) -> T) -> Vec<T> {
    let month: crate::month::BillingMonth = "2025-06".parse().unwrap();
    let period = crate::charge::Period { start: month.start(), end: month.end() };
    let names = std::collections::BTreeMap::new();
    let bill = BillContext { billing_account: "111122223333", period, sub_account_names: &names };
    let mut told = Vec::new();
    let written = write_charges(
        &Document { key, file },
        mapping,
        &june(),
        std::slice::from_ref(&bill),
        &mut |_, charge| {
            told.push(pick(charge));
            Ok(())
        },
    );
    let written = written.unwrap();
    assert!(written.held.is_empty(), "{:?}", written.held);
    told
}

fn check(totals: &Totals) {
    assert_eq!(totals.all.billed.to_string(), SUM);
    for (id, expected) in ACCOUNTS {
        assert_eq!(totals.sub_accounts[&Some(id.to_owned())].figures.billed.to_string(), expected, "{id}");
    }
    assert_eq!(totals.sub_accounts.len(), ACCOUNTS.len());
}

fn check_invoices(totals: &Totals) {
    for (id, expected) in INVOICES {
        assert_eq!(totals.invoices[&Some(id.to_owned())].billed.to_string(), expected, "{id}");
    }
    assert_eq!(totals.invoices.len(), INVOICES.len());
}

fn cur2_csv() -> [(&'static str, Arc<File>); 2] {
    let name = |name: &'static str| (name, example(name));
    [name("cur2-hourly-00001.csv.gz"), name("cur2-hourly-00002.csv.gz")]
}

#[test]
fn an_export_of_cur2_comes_to_its_control_totals() {
    let totals = totals(&Cur, &cur2_csv());
    assert_eq!(totals.rows, 198);
    check(&totals);
    check_invoices(&totals);
    // usage that the plan covers bears 48 hours at 0.06, which is all of its fee of 2.88
    assert_eq!(totals.all.effective().unwrap().to_string(), SUM);
    let category = |name: &str| totals.categories[name].billed.to_string();
    assert_eq!((category("Tax"), category("Credit")), ("0.74".into(), "-17.5".into()));
    assert_eq!(category("Purchase"), "352.88", "support, the plan's fee, the marketplace");
    assert_eq!(totals.sub_accounts[&Some("333344445555".into())].name.as_deref(), Some("team-data"));
    let tags: Vec<&str> = totals.tags.get("team").unwrap().keys().map(String::as_str).collect();
    assert!(tags.contains(&"payments") && tags.contains(&"data"), "{tags:?}");
    let ec2 = ("Compute", "Amazon Elastic Compute Cloud".to_owned());
    assert_eq!(totals.services[&ec2].1.charges, 48 * 3 + 2);
}

#[test]
fn parquet_with_maps_says_the_same_as_csv() {
    let csv = totals(&Cur, &cur2_csv());
    let parquet = totals(&Cur, &[("cur2.snappy.parquet", example("cur2-hourly-00001.snappy.parquet"))]);
    check(&parquet);
    check_invoices(&parquet);
    assert_eq!(parquet.rows, csv.rows);
    assert_eq!(parquet.all, csv.all);
    assert_eq!(parquet.tags, csv.tags);
    assert_eq!(parquet.services, csv.services);
}

#[test]
fn a_line_becomes_a_focus_row() {
    let charges = told(&Cur, "cur2.csv.gz", example("cur2-hourly-00001.csv.gz"), |charge| {
        let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or("-").to_owned();
        format!(
            "{} {} {} | {} | {} {} | {} {} | {} {} | {} {} {} | {}",
            charge.billed_cost,
            charge.effective_cost.unwrap(),
            charge.charge_category,
            charge.charge_period.start.to_rfc3339(),
            text(&charge.resource_id),
            text(&charge.region_id),
            charge.consumed_quantity.map_or("-".to_owned(), |it| it.to_string()),
            text(&charge.consumed_unit),
            text(&charge.sku_id),
            text(&charge.pricing_category),
            text(&charge.commitment_discount_category),
            text(&charge.commitment_discount_type),
            text(&charge.commitment_discount_status),
            text(&charge.tags),
        )
    });
    assert_eq!(
        charges[0],
        "0.192 0.192 Usage | 2025-06-01T00:00:00+00:00 | i-0aa1 us-east-1 | 1 Hrs | BoxUsage:m5.xlarge Standard | - - - | \
         {\"env\":\"prod\",\"team\":\"payments\"}"
    );
    assert_eq!(
        charges[2],
        "0.085 0.06 Usage | 2025-06-01T00:00:00+00:00 | i-0bb2 - | 1 Hrs | BoxUsage:c5.large Committed | Spend Savings Plan Used \
         | {\"team\":\"payments\"}"
    );
    assert!(charges[3].starts_with("-0.085 0 Usage"), "{}", charges[3]);
}

/// The rows of a file under the names of a legacy report, with a column for each tag.
fn legacy(name: &str) -> Vec<u8> {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*example(name)), &mut text).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let columns = [
        ("bill/InvoiceId", "bill_invoice_id"),
        ("bill/PayerAccountId", "bill_payer_account_id"),
        ("bill/BillingPeriodStartDate", "bill_billing_period_start_date"),
        ("bill/BillingEntity", "bill_billing_entity"),
        ("bill/BillType", "bill_bill_type"),
        ("lineItem/UsageAccountId", "line_item_usage_account_id"),
        ("lineItem/LineItemType", "line_item_line_item_type"),
        ("lineItem/UsageStartDate", "line_item_usage_start_date"),
        ("lineItem/UsageEndDate", "line_item_usage_end_date"),
        ("lineItem/ProductCode", "line_item_product_code"),
        ("lineItem/CurrencyCode", "line_item_currency_code"),
        ("lineItem/UnblendedCost", "line_item_unblended_cost"),
        ("savingsPlan/SavingsPlanEffectiveCost", "savings_plan_savings_plan_effective_cost"),
        ("savingsPlan/TotalCommitmentToDate", "savings_plan_total_commitment_to_date"),
        ("savingsPlan/UsedCommitment", "savings_plan_used_commitment"),
    ];
    let mut writer = csv::Writer::from_writer(Vec::new());
    let tags = ["resourceTags/user:team", "resourceTags/user:env"];
    writer.write_record(columns.iter().map(|(name, _)| *name).chain(tags)).unwrap();
    for row in reader.records() {
        let row = row.unwrap();
        let tags: serde_json::Value = serde_json::from_str(&row[at("resource_tags")]).unwrap();
        let tag = |name: &str| tags[name].as_str().unwrap_or_default().to_owned();
        let cells = columns.iter().map(|(_, name)| row[at(name)].to_owned());
        writer.write_record(cells.chain([tag("user_team"), tag("user_env")])).unwrap();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&writer.into_inner().unwrap()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_legacy_report_says_the_same_and_its_tags_are_columns() {
    let cur2 = totals(&Cur, &cur2_csv());
    let documents = ["cur2-hourly-00001.csv.gz", "cur2-hourly-00002.csv.gz"];
    let documents = documents.map(|name| ("cur1.csv.gz", file(&legacy(name))));
    let legacy = totals(&Cur, &documents);
    check(&legacy);
    check_invoices(&legacy);
    assert_eq!((legacy.all, &legacy.tags), (cur2.all, &cur2.tags));
    let tags =
        told(&Cur, "cur1.csv.gz", documents[0].1.clone(), |charge| charge.tags.as_deref().map(str::to_owned));
    assert_eq!(tags[0].as_deref(), Some("{\"env\":\"prod\",\"team\":\"payments\"}"));
    assert_eq!(tags[3], None);
}

#[test]
fn rows_that_cannot_be_charges_are_named() {
    let text = "lineItem/CurrencyCode,lineItem/LineItemType,bill/BillingPeriodStartDate,lineItem/UsageAccountId,lineItem/UnblendedCost\n\
                USD,Usage,2025-06-01T00:00:00Z,1,0.5\n\
                EURO,Usage,2025-06-01T00:00:00Z,1,0.5\n\
                USD,,2025-06-01T00:00:00Z,1,0.5\n\
                USD,Usage,June,1,0.5\n\
                USD,Usage,2025-06-01T00:00:00Z,1,\n\
                USD,BrandNewKind,2025-06-01T00:00:00Z,1,7.6E-5\n";
    let read = add_up(&Document { key: "cur.csv", file: file(text.as_bytes()) }, &Cur, &june(), 1).unwrap();
    let named: Vec<String> = read.held.iter().map(ToString::to_string).collect();
    assert_eq!(
        named,
        [
            "cur.csv row 2: 'EURO' is no ISO 4217 currency",
            "cur.csv row 3: line_item_line_item_type or lineItem/LineItemType is empty",
            "cur.csv row 4: bill_billing_period_start_date 'June' is not understood",
            "cur.csv row 5: line_item_unblended_cost or lineItem/UnblendedCost is empty",
        ]
    );
    assert_eq!(read.all.billed.to_string(), "0.500076");
    assert_eq!(read.categories["Adjustment"].billed.to_string(), "0.000076", "what is new is not left out");
    let other = add_up(&Document { key: "cur.csv", file: file(b"a,b\n1,2\n") }, &Cur, &june(), 1);
    assert!(
        other.unwrap_err().to_string().starts_with("the document has no column line_item_currency_code or")
    );
}

#[test]
fn reservations_and_upfront_fees_are_spread() {
    let text = "line_item_currency_code,line_item_line_item_type,bill_billing_period_start_date,line_item_usage_account_id,line_item_unblended_cost,\
                reservation_effective_cost,reservation_unused_amortized_upfront_fee_for_billing_period,reservation_unused_recurring_fee,\
                reservation_reservation_a_r_n,savings_plan_total_commitment_to_date,savings_plan_used_commitment\n\
                USD,DiscountedUsage,2025-06-01,1,0,3,,,arn:77,,\n\
                USD,RIFee,2025-06-01,1,10,,1.5,0.5,arn:77,,\n\
                USD,Fee,2025-06-01,1,100,,,,arn:77,,\n\
                USD,Fee,2025-06-01,1,20,,,,,,\n\
                USD,SavingsPlanUpfrontFee,2025-06-01,1,200,,,,,,\n\
                USD,SavingsPlanRecurringFee,2025-06-01,1,50,,,,,50,48.25\n";
    let effective = told(&Cur, "cur.csv", file(text.as_bytes()), |charge| {
        charge.effective_cost.unwrap().normalize().to_string()
    });
    assert_eq!(effective, ["3", "2", "0", "20", "0", "1.75"]);
}

fn answer(kind: &str, groups: &[(&str, &str, &str, &str)]) -> Vec<u8> {
    let metric = |amount: &str| json!({"Amount": amount, "Unit": "USD"});
    let groups = groups.iter().map(|(account, service, unblended, amortized)| {
        json!({"Keys": [account, service], "Metrics": {"UnblendedCost": metric(unblended), "AmortizedCost": metric(amortized)}})
    });
    json!({
        "Request": {
            "GroupBy": [{"Type": "DIMENSION", "Key": "LINKED_ACCOUNT"}, {"Type": "DIMENSION", "Key": "SERVICE"}],
            "Filter": {"Dimensions": {"Key": "RECORD_TYPE", "Values": [kind]}},
        },
        "ResultsByTime": [{"TimePeriod": {"Start": "2025-06-01", "End": "2025-07-01"}, "Groups": groups.collect::<Vec<_>>(), "Estimated": false}],
        "DimensionValueAttributes": [{"Value": "1", "Attributes": {"description": "one"}}],
    })
    .to_string()
    .into_bytes()
}

#[test]
fn answers_of_cost_explorer_have_their_kind_from_the_request() {
    let ec2 = "Amazon Elastic Compute Cloud - Compute";
    let usage = answer(
        "Usage",
        &[("1", ec2, "798.0000000001", "700"), ("2", "Amazon Simple Storage Service", "4E-7", "4E-7")],
    );
    let tax = answer("Tax", &[("1", "Tax", "64.99", "64.99")]);
    let totals = totals(&CostExplorer, &[("u.json", file(&usage)), ("t.json", file(&tax))]);
    assert_eq!(totals.all.billed.to_string(), "862.9900004001");
    assert_eq!(totals.all.effective().unwrap().to_string(), "764.9900004");
    assert_eq!(totals.categories["Tax"].billed.to_string(), "64.99");
    assert_eq!(totals.services[&("Compute", ec2.to_owned())].1.billed.to_string(), "798.0000000001");
    assert_eq!(totals.sub_accounts[&Some("1".into())].name.as_deref(), Some("one"));
    assert_eq!(totals.invoices.len(), 1, "no invoice is named");
    let accounts =
        told(&CostExplorer, "u.json", file(&usage), |charge| charge.billing_account_id.to_string());
    assert_eq!(accounts, ["111122223333", "111122223333"]);
}

#[test]
fn other_answers_are_refused() {
    let why = |document: serde_json::Value| {
        let document = file(document.to_string().as_bytes());
        add_up(&Document { key: "a.json", file: document }, &CostExplorer, &june(), 1)
            .unwrap_err()
            .to_string()
    };
    let good: serde_json::Value = serde_json::from_slice(&answer("Usage", &[("1", "S", "1", "1")])).unwrap();
    let changed = |pointer: &str, value: serde_json::Value| {
        let mut document = good.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        document
    };
    let by_tag = why(changed("/Request/GroupBy/1/Key", json!("TAG")));
    assert!(by_tag.ends_with("the costs are by LINKED_ACCOUNT, TAG, not by account and service"), "{by_tag}");
    let kinds = why(changed("/Request/Filter/Dimensions/Values", json!(["Usage", "Tax"])));
    assert!(kinds.contains("does not ask for one kind of costs"), "{kinds}");
    assert!(why(json!({})).contains("missing field `Request`"));
    let mixed = changed("/ResultsByTime/0/Groups/0/Metrics/AmortizedCost/Unit", json!("EUR"));
    let mixed = file(mixed.to_string().as_bytes());
    let held = add_up(&Document { key: "a.json", file: mixed }, &CostExplorer, &june(), 1).unwrap().held;
    assert_eq!(held[0].to_string(), "a.json row 1: Unit is empty");
}

const FEW: &str = "line_item_currency_code,line_item_line_item_type,bill_billing_period_start_date,line_item_usage_account_id,\
                   line_item_unblended_cost,line_item_usage_amount,pricing_public_on_demand_cost,pricing_public_on_demand_rate\n";

#[test]
fn small_amounts_are_read_as_aws_writes_them() {
    let rows = "USD,Usage,2025-06-01,1,6.035e-07,1,6.035e-07,1E-9\nUSD,Usage,2025-06-01,1,1.04E-4,,,\n";
    let file = file(format!("{FEW}{rows}").as_bytes());
    assert_eq!(totals(&Cur, &[("cur.csv", file.clone())]).all.billed.to_string(), "0.0001046035");
    let told = told(&Cur, "cur.csv", file, |charge| (charge.list_cost, charge.list_unit_price));
    assert_eq!(told[0].0.to_string(), "0.0000006035");
    assert_eq!(told[0].1.unwrap().to_string(), "0.000000001");
}

#[test]
fn a_quantity_that_cannot_be_stated_holds_no_row_but_a_cost_does() {
    let read = |row: &str| file(format!("{FEW}{row}").as_bytes());
    let odd = read("USD,Usage,2025-06-01,1,0.5,2.9e21,0.7,N/A\n");
    let told = told(&Cur, "cur.csv", odd, |charge| {
        (charge.consumed_quantity, charge.list_unit_price, charge.list_cost.to_string())
    });
    assert_eq!(told, [(None, None, "0.7".to_owned())]);
    let bad = read("USD,Usage,2025-06-01,1,0.5,1,N/A,1\n");
    let held = crate::charges::bills(&Document { key: "cur.csv", file: bad }, &Cur, 1).unwrap().held;
    assert_eq!(held[0].to_string(), "cur.csv row 1: 'N/A' is not a decimal number");
}

#[test]
fn two_currencies_in_one_bill_hold_it() {
    let rows = "USD,Usage,2025-06-01,1,1,,,\nEUR,Usage,2025-06-01,1,1,,,\n";
    let totals = totals(&Cur, &[("cur.csv", file(format!("{FEW}{rows}").as_bytes()))]);
    held_for_its_currencies(totals);
}

#[test]
fn a_row_whose_columns_are_missing_states_no_amortised_cost() {
    let header = "line_item_currency_code,line_item_line_item_type,bill_billing_period_start_date,line_item_usage_account_id,\
                  line_item_unblended_cost,savings_plan_savings_plan_effective_cost\n";
    let rows = "USD,SavingsPlanCoveredUsage,2025-06-01,1,9,7\nUSD,DiscountedUsage,2025-06-01,1,0,\nUSD,Usage,2025-06-01,2,1,\n";
    let (totals, told) = both_readings(&Cur, "2025-06", &format!("{header}{rows}"), |charge| {
        charge.effective_cost.map(|cost| cost.to_string())
    });
    assert_eq!(told, [Some("7".to_owned()), None, Some("1".to_owned())]);
    let account = |id: &str| totals.sub_accounts[&Some(id.to_owned())].figures.effective();
    assert_eq!((account("1"), account("2").map(|cost| cost.to_string())), (None, Some("1".to_owned())));
    assert!(!totals.is_amortised_missing);
}

/// What `named` makes of three texts, as `name=value`.
fn tags_of(resource: Option<&str>, all: Option<&str>, categories: Option<&str>) -> Result<String, String> {
    let header = "line_item_currency_code,line_item_line_item_type,bill_billing_period_start_date,line_item_usage_account_id,\
                  line_item_unblended_cost,resource_tags,tags,cost_category\n";
    let cell = |text: Option<&str>| format!("\"{}\"", text.unwrap_or_default().replace('"', "\"\""));
    let [resource, all, categories] = [resource, all, categories].map(cell);
    let text = format!("{header}USD,Usage,2025-06-01,1,1,{resource},{all},{categories}\n");
    let (_, told) = both_readings(&Cur, "2025-06", &text, |charge| match &charge.unread_tags {
        Some(unread) => Err(unread.clone().into_owned()),
        None => Ok(charge.tags.as_deref().unwrap_or_default().to_owned()),
    });
    told.into_iter().next().unwrap()
}

#[test]
fn tags_of_the_resource_count_before_those_of_the_account_and_other_kinds_keep_their_name() {
    let all = r#"{"resourceTags/user:team": "blue", "resourceTags/aws:createdBy": "x", "accountTag/team": "red", "accountTag/cost-center": "4711",
                 "costCategory/Env": "prod", "userAttribute/Department": "it"}"#;
    assert_eq!(
        tags_of(None, Some(all), None).unwrap(),
        r#"{"aws:createdBy":"x","cost-center":"4711","costCategory/Env":"prod","team":"blue","userAttribute/Department":"it"}"#
    );
    let own = r#"{"user_team": "green", "user_app": "shop"}"#;
    assert_eq!(
        tags_of(Some(own), Some(all), Some(r#"{"Env": "test", "Product": "Shop"}"#)).unwrap(),
        r#"{"app":"shop","aws:createdBy":"x","cost-center":"4711","costCategory/Env":"test","costCategory/Product":"Shop","team":"green","userAttribute/Department":"it"}"#
    );
    for texts in
        [(Some("{"), Some(all), None), (Some(own), Some("{"), None), (Some(own), Some(all), Some("{"))]
    {
        assert_eq!(tags_of(texts.0, texts.1, texts.2), Err("{".to_owned()));
    }
}

#[test]
fn categories_of_a_legacy_report_are_columns() {
    let text = "lineItem/CurrencyCode,lineItem/LineItemType,bill/BillingPeriodStartDate,lineItem/UsageAccountId,lineItem/UnblendedCost,\
                resourceTags/user:team,costCategory/Env,costCategory/Product\n\
                USD,Usage,2025-06-01T00:00:00Z,1,0.5,x,prod,\n";
    let (totals, _) = both_readings(&Cur, "2025-06", text, |_| ());
    let has = |key: &str, value: &str| totals.tags.get(key).is_some_and(|values| values.contains_key(value));
    assert!(
        has("team", "x")
            && has("costCategory/Env", "prod")
            && totals.tags.get("costCategory/Product").is_none()
    );
}

#[test]
fn of_an_export_with_the_newer_column_of_tags_nothing_is_untagged() {
    let (totals, _) =
        both_readings(&Cur, "2026-10", &case_without("columns/cur2-tags-column.csv", &[]), |_| ());
    let billed = |key: &str, value: &str| totals.tags.get(key).unwrap()[value].billed.to_string();
    assert_eq!((billed("team", "blue"), billed("team", "red")), ("10".to_owned(), "20".to_owned()));
    assert_eq!(
        (billed("cost-center", "4711"), billed("costCategory/Env", "prod")),
        ("10".to_owned(), "10".to_owned())
    );
    assert_eq!((totals.tags.untagged().charges, totals.unread_tags.figures.charges), (0, 0));
}

#[test]
fn a_line_says_its_meter_and_its_reserved_capacity() {
    let header = "line_item_currency_code,line_item_line_item_type,bill_billing_period_start_date,line_item_usage_account_id,\
                  line_item_unblended_cost,line_item_usage_type,pricing_currency,capacity_reservation_capacity_reservation_arn,\
                  capacity_reservation_capacity_reservation_status\n";
    let row = |status: &str| format!("USD,Usage,2025-06-01,1,1,BoxUsage:m5.large,USD,arn:cr/1,{status}\n");
    let text = [header.to_owned(), row("Used"), row("Reserved")].concat();
    let (_, told) = both_readings(&Cur, "2025-06", &text, |charge| {
        let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or("-").to_owned();
        let further = &charge.further;
        [
            &further.sku_meter,
            &further.pricing_currency,
            &further.capacity_reservation_id,
            &further.capacity_reservation_status,
        ]
        .map(text)
    });
    assert_eq!(told[0], ["BoxUsage:m5.large", "USD", "arn:cr/1", "Used"]);
    assert_eq!(told[1][3], "-", "FOCUS knows Used and Unused");
}
