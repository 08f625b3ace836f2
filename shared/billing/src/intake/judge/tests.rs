//! What only several rows of a bill together say: lines that divide, resources that stand whole and divided.

use std::io::Write as _;

use super::super::{BroughtFile, Choices, analyse};
use super::*;
use crate::ids::{BillingAccountId, InvoiceId, Provider};
use crate::manifest::Part;
use crate::period::Finality;

type Files = BTreeMap<String, Arc<File>>;

fn files(documents: &[(&str, String)]) -> Files {
    let file = |text: &String| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Arc::new(file)
    };
    documents.iter().map(|(key, text)| ((*key).to_owned(), file(text))).collect()
}

/// A bill of October made of some documents.
fn bill(provider: &str, account: &str, format: Format, parts: &[&str]) -> BillInput {
    let part = |key: &&str| Part {
        key: (*key).to_owned(),
        sha256: sha256_hex(key.as_bytes()),
        bytes: 1,
        source: "test".to_owned(),
        costs: None,
    };
    let manifest = Manifest {
        manifest: Manifest::VERSION,
        provider: Provider::new(provider).unwrap(),
        billing_account: BillingAccountId::new(account).unwrap(),
        period: "2025-10".parse().unwrap(),
        invoice_id: InvoiceId::new("bill").unwrap(),
        finality: Finality::Final,
        provider_updated: None,
        format,
        parts: parts.iter().map(part).collect(),
        documents: vec![],
        invoices: vec![],
        shared: true,
        sub_account_names: BTreeMap::new(),
        brought: None,
    };
    let revision = Revision::of(&manifest.to_json().unwrap());
    let raw = "raw/manifest.json".to_owned();
    BillInput { manifest, revision, raw, inputs: vec![], currency: None, rules: Rules::default() }
}

fn judged(bills: &[BillInput], files: &Files) -> Vec<Result<Certificate, String>> {
    let judged = judge(bills, files, &tempfile::tempfile);
    judged
        .into_iter()
        .map(|bill| bill.map(|bill| bill.certificate).map_err(|error| error.to_string()))
        .collect()
}

const FOCUS: &str = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,\
                     SubAccountId,ProviderName,ResourceId,SkuId,ChargePeriodStart,AllocatedMethodId,AllocatedResourceId,AllocatedTags\n";

/// A row of node-1: its cost, SKU and day, and what is allocated.
fn node(cost: &str, sku: &str, day: &str, allocated: &str) -> String {
    format!(
        "{cost},{cost},EUR,acc-1,2025-10-01,Usage,Compute,p1,Nordwind,node-1,{sku},2025-10-{day},{allocated}\n"
    )
}

fn parts_of_node() -> String {
    let part = |cost: &str, pod: &str| {
        node(cost, "cpu", "02", &format!("ratio,{pod},\"{{\"\"team\"\":\"\"{pod}\"\"}}\""))
    };
    part("60", "blue") + &part("40", "red") + &node("0", "cpu", "02", "ratio,,")
}

/// Judges an export of these documents.
fn export(documents: &[String]) -> Result<Certificate, String> {
    let keys = ["a.csv", "b.csv"];
    let named: Vec<_> = keys.into_iter().zip(documents.iter().map(|rows| format!("{FOCUS}{rows}"))).collect();
    let parts = &keys[..documents.len()];
    judged(&[bill("nordwind", "acc-1", Format::Focus, parts)], &files(&named)).remove(0)
}

#[test]
fn a_resource_that_stands_whole_beside_its_parts_is_held_with_both_figures() {
    let whole = node("110", "cpu", "02", ",,{}");
    let why = "the shared resource node-1 of p1 (Compute, 2025-10-02T00:00:00+00:00) stands there whole and divided: BilledCost of \
               its own rows is 110, of its parts (rows with Allocated... columns) 100, and both would count; export it either \
               whole or divided";
    for documents in
        [vec![parts_of_node() + &whole], vec![parts_of_node(), whole.clone()], vec![whole, parts_of_node()]]
    {
        assert_eq!(export(&documents).unwrap_err(), why);
    }
    let twice = parts_of_node()
        + &node("1", "cpu", "02", ",,")
        + &node("2", "gpu", "02", ",,")
        + &node("2", "gpu", "02", "ratio,x,");
    assert!(
        export(&[twice]).unwrap_err().contains("100, and both would count; 1 more costs are like this; ")
    );
}

/// Exports write SKUs and periods of parts in their own ways.
#[test]
fn a_resource_whose_own_cost_is_that_of_its_parts_is_held_whatever_sku_and_period_they_state() {
    for own in [
        node("100", "gpu", "02", ",,"),
        node("100", "cpu", "01", ",,"),
        node("40", "", "01", ",,") + &node("60", "", "03", ",,"),
    ] {
        let why = export(&[parts_of_node() + &own]).unwrap_err();
        assert!(
            why.contains(
                "node-1 of p1 (Compute) stands there whole and divided: BilledCost of its own rows is 100,"
            ),
            "{why}"
        );
    }
}

#[test]
fn a_resource_in_its_parts_alone_or_with_other_costs_beside_them_is_a_bill() {
    let total = |documents: &[String]| export(documents).unwrap().charges_total.to_string();
    assert_eq!(total(&[parts_of_node()]), "100");
    assert_eq!(total(&[parts_of_node() + &node("0", "cpu", "02", ",,")]), "100", "its own row costs nothing");
    assert_eq!(total(&[parts_of_node() + &node("7", "disk", "02", ",,")]), "107", "another SKU");
    assert_eq!(total(&[parts_of_node(), node("7", "cpu", "03", ",,")]), "107", "another day");
    assert_eq!(total(&[parts_of_node() + &node("7", "cpu", "02", ",,").replace("node-1", "node-2")]), "107");
    assert_eq!(total(&[parts_of_node() + &node("7", "cpu", "02", ",,").replace("node-1", "")]), "107");
}

#[test]
fn a_resource_of_one_bill_and_parts_of_another_are_two_costs() {
    let other = node("110", "cpu", "02", ",,").replace("acc-1", "acc-2");
    let files = files(&[("a.csv", format!("{FOCUS}{}{other}", parts_of_node()))]);
    let bills = ["acc-1", "acc-2"].map(|account| bill("nordwind", account, Format::Focus, &["a.csv"]));
    let totals: Vec<String> =
        judged(&bills, &files).into_iter().map(|bill| bill.unwrap().charges_total.to_string()).collect();
    assert_eq!(totals, ["100", "110"]);
}

/// A person brings files: they are looked at first, then judged.
#[test]
fn brought_files_come_to_what_was_found_in_them() {
    let cur = [line("x", "10"), pod("x", "i-1")].map(|row| format!("{CUR}{row}"));
    let focus = [parts_of_node(), node("7", "disk", "02", ",,")].map(|rows| format!("{FOCUS}{rows}"));
    for (documents, provider, account, format, expected) in
        [(cur, "aws", "x", Format::Cur2, "10"), (focus, "nordwind", "acc-1", Format::Focus, "107")]
    {
        let [one, two] = documents;
        let files = files(&[("a.csv", one), ("b.csv", two)]);
        let brought = |(name, file): (&String, &Arc<File>)| BroughtFile {
            name: name.clone(),
            folder: "export".to_owned(),
            sha256: name.clone(),
            bytes: 1,
            file: file.clone(),
        };
        let brought: Vec<BroughtFile> = files.iter().map(brought).collect();
        let found = analyse(&brought, &Choices::default(), 2).unwrap();
        assert_eq!((found.held, found.bills.len()), (vec![], 1));
        let figures: Vec<String> = found.bills[0].figures.values().map(|it| it.billed.to_string()).collect();
        let bill = bill(provider, account, format, &["a.csv", "b.csv"]);
        let certificate = judged(&[bill], &files).remove(0).unwrap();
        assert_eq!(
            (figures, certificate.charges_total.to_string()),
            (vec![expected.to_owned()], expected.to_owned())
        );
    }
}

const CUR: &str = "line_item_currency_code,line_item_line_item_type,bill_billing_period_start_date,line_item_usage_account_id,\
                   bill_payer_account_id,line_item_usage_start_date,line_item_resource_id,line_item_usage_type,\
                   line_item_unblended_cost,split_line_item_parent_resource_id,split_line_item_split_cost,split_line_item_unused_cost\n";

fn line(payer: &str, cost: &str) -> String {
    format!("USD,Usage,2025-10-01,1,{payer},2025-10-02T00:00:00Z,i-1,BoxUsage:m5,{cost},,,\n")
}

fn pod(payer: &str, instance: &str) -> String {
    format!("USD,Usage,2025-10-01,2,{payer},2025-10-02T00:00:00Z,pod/a,EKS-vCPU,,{instance},0.3,0.7\n")
        .replace(",2,", ",1,")
}

#[test]
fn each_bill_states_what_its_lines_gave_and_one_without_parts_nothing() {
    let bills = ["x", "y", "z"].map(|payer| bill("aws", payer, Format::Cur2, &["cur.csv"]));
    let rows = [line("x", "10"), pod("x", "i-1"), line("y", "20"), pod("z", "i-1")].concat();
    let certificates = judged(&bills, &files(&[("cur.csv", format!("{CUR}{rows}"))]));
    let [x, y, z] = certificates.try_into().map(|bills: [_; 3]| bills.map(Result::unwrap)).unwrap();
    let figures = |of: &Certificate| of.provider_figures["split_lines"].clone();
    let stated =
        serde_json::json!({"parts": 1, "parts_without_line": 0, "billed_cost": "3", "effective_cost": null});
    assert_eq!(figures(&x), stated);
    assert_eq!(figures(&y), serde_json::Value::Null, "the line of y is not that of the part of z");
    assert_eq!(figures(&z)["parts_without_line"], 1);
    assert!(
        z.explanation.contains("; of 1 rows that are parts of a line, 1 have no line in the bill"),
        "{}",
        z.explanation
    );
    let totals = [&x, &y, &z].map(|bill| bill.charges_total.to_string());
    assert_eq!(totals, ["10", "20", "0"]);
}
