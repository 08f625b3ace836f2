//! What a bill says of itself: its certificate, its rows, its aggregates, and what holds it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::Value;

use super::*;
use crate::certificate::{Certificate, Certified, DocumentRef, Status};
use crate::charges::tests::{both_readings, case_without};
use crate::charges::{Document, Selection, Totals, add_up};
use crate::ids::{BillingAccountId, InvoiceId, Provider};
use crate::manifest::{InvoiceTotal, Manifest};
use crate::money::Amount;
use crate::period::Finality;
use crate::revision::{Revision, sha256_hex};

const HEADER: &str = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,\
                      ServiceName,SubAccountId,SubAccountName,InvoiceId,Tags\n";

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn manifest(invoices: Vec<InvoiceTotal>) -> Manifest {
    Manifest {
        manifest: Manifest::VERSION,
        provider: Provider::aws(),
        billing_account: BillingAccountId::new("999").unwrap(),
        period: "2025-06".parse().unwrap(),
        invoice_id: InvoiceId::new("export").unwrap(),
        finality: Finality::Final,
        provider_updated: None,
        format: Format::Focus,
        parts: vec![],
        documents: vec![],
        invoices,
        shared: false,
        brought: None,
        sub_account_names: BTreeMap::from([("111".to_owned(), "Shop".to_owned())]),
    }
}

fn invoice(id: &str, total: &str, tax_not_in_rows: &str) -> InvoiceTotal {
    InvoiceTotal {
        invoice_id: id.to_owned(),
        total: decimal(total),
        tax_not_in_rows: decimal(tax_not_in_rows),
        currency: "USD".to_owned(),
        source: "TotalAmount".to_owned(),
        issued: None,
    }
}

fn read(rows: &str) -> Totals {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(HEADER.as_bytes()).unwrap();
    file.write_all(rows.as_bytes()).unwrap();
    let document = Document { key: "export.csv", file: Arc::new(file) };
    let invoice = manifest(vec![]).invoice();
    add_up(&document, &Focus, &Selection::only([&invoice]), 1).unwrap()
}

fn judge(manifest: &Manifest, rows: &str) -> Result<BillStatement, BillError> {
    certify_bill(&Revision::of(rows.as_bytes()), manifest, read(rows))
}

/// A row of June of account 999.
fn row(cost: &str, account: &str, invoice: &str) -> String {
    format!("{cost},{cost},USD,999,2025-06-01,Usage,Compute,{account},,{invoice},\n")
}

fn csv(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap().replace('\r', "")
}

#[test]
fn a_bill_is_certified_with_its_rows_its_taxes_and_the_rows_of_other_bills() {
    let rows = [
        row("10.005", "111", "I1"),
        row("0.333333333333333333", "222", "I1"),
        row("-0.25", "", "I1"),
        row("4", "111", ""),
        "7,7,EUR,888,2025-06-01,Usage,Compute,,,,\n".to_owned(),
        "1,1,USD,999,2025-05-01,Usage,Compute,,,,\n".to_owned(),
    ]
    .concat();
    let open = Manifest { finality: Finality::Open, ..manifest(vec![invoice("I1", "12.01", "1.92")]) };
    let mut statement = judge(&open, &rows).unwrap();
    let input = DocumentRef { key: "raw/export.csv".to_owned(), sha256: sha256_hex(rows.as_bytes()) };
    statement.certificate.inputs = vec![input];
    let certificate = &statement.certificate;
    let bytes = certificate.to_json().unwrap();
    assert_eq!(Certificate::from_json(&bytes).unwrap().to_json().unwrap(), bytes);
    insta::assert_snapshot!("certificate", String::from_utf8(bytes.clone()).unwrap());
    insta::assert_snapshot!("rows", csv(bill_rows_csv(certificate).unwrap()));
    for table in aggregates(certificate, &statement.totals).unwrap() {
        insta::assert_snapshot!(table.name, csv(table.csv));
    }

    let schema: Value =
        serde_json::from_str(include_str!("../../../../docs/certificate.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn an_invoice_that_its_rows_do_not_come_to_is_a_mismatch_from_one_minor_unit_on() {
    let status = |total: &str| {
        let statement =
            judge(&manifest(vec![invoice("I1", total, "0")]), &row("10.004", "111", "I1")).unwrap();
        let Certificate { status, unexplained, explanation, .. } = statement.certificate;
        (status, unexplained, explanation)
    };
    assert_eq!(status("10.00").0, Status::Explained);
    assert_eq!(status("10.01").0, Status::Explained, "rounded up by the provider");
    let (status, unexplained, explanation) = status("10.02");
    assert_eq!((status, unexplained), (Status::Mismatch, decimal("0.016")));
    assert_eq!(explanation, "invoice I1 says 10.02, its charges come to 10.004");
}

#[test]
fn rows_of_an_invoice_that_nobody_lists_are_a_mismatch_once_the_month_is_final() {
    let rows = row("10", "111", "I1") + &row("3", "111", "I2") + &row("2", "111", "");
    let listed = || vec![invoice("I1", "10", "0")];
    let open = Manifest { finality: Finality::Open, ..manifest(listed()) };
    assert_eq!(judge(&open, &rows).unwrap().certificate.provider_total, decimal("15"));
    let closed = judge(&manifest(listed()), &rows).unwrap().certificate;
    assert_eq!(closed.status, Status::Mismatch);
    assert_eq!(
        closed.explanation,
        "rows of 2 name no invoice; rows of 3 name invoice I2, which the provider does not list"
    );
    let none = judge(&manifest(vec![]), &rows).unwrap().certificate;
    assert_eq!((none.status, none.provider_total), (Status::Matched, decimal("15")));
}

#[test]
fn what_holds_a_bill_is_named() {
    let held = |manifest: &Manifest, rows: &str| judge(manifest, rows).unwrap_err().to_string();
    let plain = manifest(vec![]);
    let euro = "1,1,EUR,999,2025-06-01,Usage,Compute,,,,\n";
    assert_eq!(
        held(&plain, &(row("1", "111", "") + euro)),
        "its rows are in EUR and USD: amounts of different currencies are never added; ask the provider for one export per currency"
    );
    assert_eq!(
        held(&manifest(vec![invoice("I1", "1", "0")]), &euro.replace(",,,,", ",,,I1,")),
        "invoice I1 is in USD, its rows are in EUR"
    );
    assert_eq!(
        held(&plain, "1,1,USD,888,2025-06-01,Usage,Compute,,,,\n"),
        "none of its 1 rows is of this bill, but of 888 2025-06; put it under the key of the bill that it is of"
    );
    assert_eq!(
        held(&plain, ""),
        "none of its 0 rows is of this bill; put it under the key of the bill that it is of"
    );
    assert_eq!(
        held(&plain, &(row("1", "111", "") + &row("one", "111", ""))),
        "1 of its rows cannot be charges, the first: export.csv row 2: 'one' is not a decimal number"
    );
}

/// The table by tag, without what all of its rows begin with.
fn by_tag(rows: &str) -> Vec<String> {
    let statement = judge(&manifest(vec![]), rows).unwrap();
    let table = aggregates(&statement.certificate, &statement.totals).unwrap().pop().unwrap();
    let text = csv(table.csv);
    text.lines().skip(1).map(|line| line.split(',').skip(6).collect::<Vec<_>>().join(",")).collect()
}

#[test]
fn every_key_of_the_table_by_tag_adds_up_and_so_does_no_key() {
    assert_eq!(by_tag(&(row("1", "111", "") + &row("2", "", ""))), [",,false,3,3,2"]);
    let tagged = |cost: &str, tags: &str| {
        format!("{cost},{cost},USD,999,2025-06-01,Usage,Compute,1,,,\"{}\"\n", tags.replace('"', "\"\""))
    };
    let team = tagged("1", r#"{"team":"x"}"#);
    assert_eq!(by_tag(&team), [",,true,1,1,1", "team,x,true,1,1,1"]);
    let mixed = row("4", "1", "") + &team + &tagged("2", r#"{"env":"prod"}"#);
    assert_eq!(
        by_tag(&mixed),
        [
            ",,true,3,3,2",
            ",,false,4,4,1",
            "env,prod,true,2,2,1",
            "env,,false,5,5,2",
            "team,x,true,1,1,1",
            "team,,false,6,6,2",
        ]
    );
    let many: String =
        (0..10_001).map(|at| tagged("1", &format!(r#"{{"run":"{at}","team":"x"}}"#))).collect();
    assert_eq!(
        by_tag(&(many + &row("5", "1", ""))),
        [
            ",,true,10001,10001,10001",
            ",,false,5,5,1",
            "run,(more than 10000 values),true,10001,10001,10001",
            "run,,false,5,5,1",
            "team,x,true,10001,10001,10001",
            "team,,false,5,5,1",
        ]
    );
    let keys: String = (0..2_001).map(|at| tagged("1", &format!(r#"{{"k{at}":"x"}}"#))).collect();
    assert_eq!(
        by_tag(&(keys + &row("5", "1", ""))),
        ["(more than 2000 keys),,true,2001,2001,2001", "(more than 2000 keys),,false,5,5,1"]
    );
}

/// A shared resource, divided among two teams by what they use of it.
#[test]
fn the_tags_of_a_part_are_those_of_whom_it_is_for() {
    let month = Manifest { provider: Provider::named("Nordwind Cloud").unwrap(), ..october(Format::Focus) };
    let (totals, told) =
        both_readings(&Focus, "2026-10", &case_without("columns/focus13-allocated.csv", &[]), |charge| {
            let text = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or("-").to_owned();
            [
                text(&charge.tags),
                text(&charge.further.allocated_tags),
                text(&charge.further.allocated_resource_id),
            ]
        });
    let expected =
        [["-", r#"{"team":"blue"}"#, "pod-a"], ["-", r#"{"team":"red"}"#, "pod-b"], ["-", "-", "-"]];
    assert_eq!(told, expected);
    let table = table("by-tag", &certify_bill(&Revision::of(b"x"), &month, totals).unwrap());
    let expected = [
        ",,true,100,100,2",
        ",,false,0,0,1",
        "team,blue,true,60,60,1",
        "team,red,true,40,40,1",
        "team,,false,0,0,1",
    ];
    assert_eq!(table, expected);
}

fn october(format: Format) -> Manifest {
    Manifest { period: "2026-10".parse().unwrap(), format, ..manifest(vec![]) }
}

/// The rows of a table without what they begin with.
fn table(name: &str, statement: &BillStatement) -> Vec<String> {
    let tables = aggregates(&statement.certificate, &statement.totals).unwrap();
    let table = tables.into_iter().find(|table| table.name == name).unwrap();
    let rows = csv(table.csv);
    rows.lines().skip(1).map(|row| row.splitn(7, ',').nth(6).unwrap().to_owned()).collect()
}

/// A savings plan that two teams use, in an export that has more or fewer of its columns.
#[test]
fn without_its_columns_there_is_no_amortised_cost() {
    let certified = |cut: &[&str]| {
        let text = case_without("basis/cur2.csv", cut);
        let (totals, effective) = both_readings(&Cur, "2026-10", &text, |charge| {
            charge.effective_cost.map_or("-".to_owned(), |cost| cost.normalize().to_string())
        });
        let statement = certify_bill(&Revision::of(b"x"), &october(Format::Cur2), totals).unwrap();
        let figures = &statement.certificate.provider_figures;
        let figures = format!("{} {}", figures["effective_cost"], figures["effective_cost_not_stated"]);
        let explanation = statement.certificate.explanation.clone();
        (effective.join(" "), figures, table("by-account", &statement), explanation)
    };
    let rows = "6 rows add up to the total; there is no invoice to compare with";
    let all = certified(&[]);
    assert_eq!((all.0.as_str(), all.1.as_str(), all.3.as_str()), ("0 70 0 30 0 10", "\"110\" null", rows));

    let none = certified(&["reservation_", "savings_plan_"]);
    assert_eq!((none.0.as_str(), none.1.as_str()), ("- - - - - -", "null {\"charges\":6}"));
    let accounts = [
        "111122223333,n-111122223333,0,,2",
        "111122224444,n-111122224444,10,,3",
        "999988887777,n-999988887777,100,,1",
    ];
    assert_eq!(none.2, accounts);
    let why = "; the export has no columns of reservations and savings plans, so there is no amortised cost: EffectiveCost is not stated";
    assert_eq!(none.3, format!("{rows}{why}"));

    let some = certified(&["savings_plan_total", "savings_plan_used"]);
    assert_eq!((some.0.as_str(), some.1.as_str()), ("- 70 0 30 0 10", "null {\"charges\":1}"));
    assert_eq!(some.2[0], "111122223333,n-111122223333,0,70,2", "of whom it is known, it is stated");
    assert_eq!(some.3, format!("{rows}; 1 charge states no effective cost"));
}

#[test]
fn a_sub_account_may_be_called_as_what_names_none() {
    let rows = row("1.25", "(no sub account)", "") + &row("2", "", "") + &row("3", "111", "");
    let certificate = judge(&manifest(vec![]), &rows).unwrap().certificate;
    let targets: Vec<(&str, String)> =
        certificate.targets.iter().map(|target| (target.id.as_str(), target.total.to_string())).collect();
    assert_eq!(targets, [("(no sub account)", "3.25".to_owned()), ("111", "3.00".to_owned())]);
}

#[test]
fn quantities_that_are_not_stated_are_counted_in_the_certificate() {
    let mut statement = judge(&manifest(vec![]), &row("1", "111", "")).unwrap();
    let before = statement.certificate.to_json().unwrap();
    statement.state_quantities(0);
    assert_eq!(statement.certificate.to_json().unwrap(), before);
    statement.state_quantities(3);
    assert_eq!(statement.certificate.provider_figures["quantities_not_stated"], 3);
}

#[test]
fn currencies_without_cents_are_rounded_to_whole_units() {
    let rows = "100.6,100.6,JPY,999,2025-06-01,Usage,Compute,111,,I1,\n";
    let yen = InvoiceTotal { currency: "JPY".to_owned(), ..invoice("I1", "101", "0") };
    let certificate = judge(&manifest(vec![yen]), rows).unwrap().certificate;
    assert_eq!(certificate.status, Status::Explained);
    assert_eq!(certificate.targets[0].total, decimal("101"));
    assert_eq!(certificate.targets[0].own, decimal("100.6"));
}

/// Rows of a month: amount in units of `10^-scale`, account, invoice, team.
fn any_rows() -> impl Strategy<Value = Vec<(i64, u32, u8, u8, u8)>> {
    let row = (-99_999_999i64..999_999_999, 0u32..19, 0u8..6, 0u8..3, 0u8..4);
    prop::collection::vec(row, 1..40)
}

fn texts(rows: &[(i64, u32, u8, u8, u8)]) -> Vec<String> {
    let text = |&(units, scale, account, invoice, team): &(i64, u32, u8, u8, u8)| {
        let cost = Decimal::new(units, scale);
        let account = if account == 0 { String::new() } else { format!("A{account}") };
        let tags = if team == 0 { String::new() } else { format!("\"{{\"\"team\"\": \"\"T{team}\"\"}}\"") };
        format!("{cost},{cost},USD,999,2025-06-01,Usage,Compute,{account},,I{invoice},{tags}\n")
    };
    rows.iter().map(text).collect()
}

/// The invoices that a provider would issue for the rows: each rounded to the cent, with a tax that only its head states.
fn invoices(totals: &Totals, tax: Decimal) -> Vec<InvoiceTotal> {
    let of = |(id, figures): (&Option<String>, &crate::charges::Figures)| {
        let total = figures.billed.to_decimal(2).unwrap() + tax;
        let id = id.clone().unwrap_or_default();
        InvoiceTotal { total, tax_not_in_rows: tax, ..invoice(&id, "0", "0") }
    };
    totals.invoices.iter().map(of).collect()
}

proptest! {
    /// What the rows of accounts and the taxes are charged is what the invoices say; no row is a cent or more away from its charges.
    #[test]
    fn rows_and_taxes_add_up_to_the_invoices(rows in any_rows(), tax in 0i64..500) {
        let rows = texts(&rows).concat();
        let invoices = invoices(&read(&rows), Decimal::new(tax, 2));
        let count = i64::try_from(invoices.len()).unwrap();
        let payable: Decimal = invoices.iter().map(|invoice| invoice.total).sum();
        let statement = judge(&manifest(invoices), &rows).unwrap();
        let certificate = &statement.certificate;
        prop_assert_ne!(certificate.status, Status::Mismatch);
        prop_assert_eq!(certificate.provider_total, payable);
        let charged: Decimal = certificate.targets.iter().map(|target| target.total).sum();
        prop_assert_eq!(charged + certificate.unallocated_total, payable);
        // each invoice moves the sum by half a cent at the most, each row by less than one
        let bound = Decimal::new(1 + count, 2);
        for target in &certificate.targets {
            prop_assert!(target.adjustment.abs() < bound, "{target:?}");
            prop_assert_eq!(target.own + target.adjustment, target.total);
            prop_assert!(target.total.scale() <= 2);
        }
        // each table adds up, or it is not made
        prop_assert_eq!(aggregates(certificate, &statement.totals).unwrap().len(), 3);
    }

    /// The order of rows and how they are spread over documents change nothing.
    #[test]
    fn neither_order_nor_documents_change_a_bill(rows in any_rows(), cut in 0usize..40) {
        let mut texts = texts(&rows);
        let once = read(&texts.concat());
        texts.reverse();
        let (first, second) = texts.split_at(cut.min(texts.len()));
        let mut twice = read(&first.concat());
        twice.merge(read(&second.concat())).unwrap();
        let revision = Revision::of(b"the same");
        let certificate = |totals| certify_bill(&revision, &manifest(vec![]), totals).unwrap().certificate.to_json().unwrap();
        let tables = |totals: &Totals| {
            let statement = certify_bill(&revision, &manifest(vec![]), totals.clone()).unwrap();
            let tables = aggregates(&statement.certificate, &statement.totals).unwrap();
            tables.into_iter().map(|table| (table.csv, table.parquet)).collect::<Vec<_>>()
        };
        prop_assert_eq!(tables(&once), tables(&twice));
        prop_assert_eq!(certificate(once), certificate(twice));
    }

    /// Nothing is added or lost in the sums: they are those of the texts.
    #[test]
    fn sums_are_exact(rows in any_rows()) {
        let totals = read(&texts(&rows).concat());
        let expected = rows.iter().try_fold(Amount::ZERO, |sum, &(units, scale, ..)| {
            sum.checked_add(Amount::scaled(units.into(), scale.into()).unwrap())
        });
        prop_assert_eq!(totals.all.billed, expected.unwrap());
        prop_assert_eq!(totals.all.charges, rows.len() as u64);
    }
}
