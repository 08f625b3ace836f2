//! The worked examples, and the laws that hold for every invoice.

use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{Reconcile, Rules, Statement};
use crate::allocation::TaxTreatment;
use crate::certificate::{Certificate, Certified, Status, Superseding};
use crate::ids::{BillingAccountId, InvoiceId, Provider};
use crate::keys::{InvoiceKey, RawDocumentKey};
use crate::revision::Revision;

/// (project, cents); no project stands for an organisation-wide line.
type Line = (Option<&'static str>, i64);

fn invoice(lines: &[Line], head: Value) -> Value {
    let line = |(project, cents): &Line| {
        let mut line = json!({"sku": "ATLAS_AWS_INSTANCE_M10", "totalPriceCents": cents});
        if let Some(project) = project {
            line["groupId"] = json!(format!("id-{project}"));
            line["groupName"] = json!(project);
        }
        line
    };
    let mut invoice = json!({
        "id": "i1", "orgId": "o1", "statusName": "PAID", "updated": "2026-11-01T06:30:00Z",
        "startDate": "2026-10-01T00:00:00Z", "endDate": "2026-11-01T00:00:00Z",
        "lineItems": lines.iter().map(line).collect::<Vec<_>>(),
    });
    invoice.as_object_mut().unwrap().extend(head.as_object().unwrap().clone());
    invoice
}

fn key(document: &[u8]) -> RawDocumentKey {
    RawDocumentKey {
        invoice: InvoiceKey {
            provider: Provider::atlas(),
            billing_account: BillingAccountId::new("o1").unwrap(),
            period: "2026-10".parse().unwrap(),
            invoice_id: InvoiceId::new("i1").unwrap(),
        },
        revision: Revision::of(document),
        extension: "json".into(),
    }
}

fn statement_with(rules: Rules, lines: &[Line], head: Value) -> Statement {
    let document = serde_json::to_vec(&invoice(lines, head)).unwrap();
    Statement::of(&key(&document), &document, rules).unwrap()
}

fn statement(lines: &[Line], head: Value) -> Statement {
    statement_with(Rules::default(), lines, head)
}

/// (name, own, total) of each CSV row, in cents.
fn rows(statement: &Statement) -> Vec<(String, i64, i64)> {
    let mut reader = csv::Reader::from_reader(statement.rows.as_slice());
    reader
        .records()
        .map(|row| row.unwrap())
        .map(|row| (row[3].into(), row[5].parse().unwrap(), row[6].parse().unwrap()))
        .collect()
}

const WORKED: [Line; 4] = [(Some("alpha"), 334), (Some("beta"), 667), (Some("gamma"), 0), (None, 500)];

#[test]
fn worked_example_paid_by_credits_to_the_cent() {
    let statement = statement(&WORKED, json!({"creditsCents": 1501}));
    insta::assert_snapshot!(String::from_utf8(statement.rows.clone()).unwrap().replace("\r\n", "\n"), @r"
    invoice_id,start_date,end_date,project_name,allocation_percentage,line_item_total_cents,project_total_cents,project_total_dollars
    i1,2026-10-01,2026-11-01,alpha,33.3666333666,334,501,5.01
    i1,2026-10-01,2026-11-01,beta,66.6333666334,667,1000,10.00
    i1,2026-10-01,2026-11-01,gamma,0,0,0,0.00
    ");
    assert_eq!(statement.certificate.status, Status::Matched);
    assert_eq!(statement.certificate.provider_total.to_string(), "15.01");
}

#[test]
fn worked_example_one_cent_off_goes_to_the_first_project_and_is_named() {
    let statement = statement(&WORKED, json!({"creditsCents": 1500}));
    let totals: Vec<i64> = rows(&statement).into_iter().map(|row| row.2).collect();
    assert_eq!(totals, [500, 1000, 0]);
    assert_eq!(statement.certificate.status, Status::Explained);
    insta::assert_json_snapshot!(statement.certificate.adjustments, @r#"
    [
      {
        "kind": "rounding",
        "amount": "-0.01",
        "target": "id-alpha",
        "reason": "creditsCents is 15.00, the lines add up to 15.01; within one cent per project (0.03)"
      }
    ]
    "#);
}

#[test]
fn worked_example_paid_by_card_is_explained() {
    let statement =
        statement(&WORKED, json!({"creditsCents": 0, "subtotalCents": 1501, "amountBilledCents": 1501}));
    let totals: Vec<i64> = rows(&statement).into_iter().map(|row| row.2).collect();
    assert_eq!(totals, [501, 1000, 0]);
    assert_eq!(statement.certificate.status, Status::Explained);
    assert_eq!(
        statement.certificate.explanation,
        "the rows add up to the lines, 15.01; paid otherwise: creditsCents 0.00, amountBilledCents 15.01"
    );
}

#[test]
fn a_refund_and_its_charge_lose_nothing() {
    let statement =
        statement(&[(Some("a"), 100), (Some("b"), -100), (None, 50)], json!({"subtotalCents": 150}));
    assert_eq!(rows(&statement), [("a".into(), 100, 150), ("b".into(), -100, -100)]);
    assert_eq!(statement.certificate.charges_total, Decimal::new(50, 2));
    assert_eq!(statement.certificate.adjustments[0].kind, "credit-lines");
    assert_eq!(statement.certificate.status, Status::Explained);
}

#[test]
fn an_invoice_without_projects_is_one_unallocated_row() {
    let statement = statement(&[(None, 700)], json!({"creditsCents": 700}));
    assert_eq!(rows(&statement), [("(unallocated)".into(), 700, 700)]);
    assert_eq!(statement.certificate.unallocated_total, Decimal::new(700, 2));
    assert_eq!(statement.certificate.status, Status::Matched);
}

#[test]
fn an_empty_month_is_zero_and_matches() {
    let statement = statement(&[], json!({"creditsCents": 0, "subtotalCents": 0}));
    assert_eq!(rows(&statement), [("(unallocated)".into(), 0, 0)]);
    assert_eq!(statement.certificate.status, Status::Matched);
}

#[test]
fn all_projects_at_zero_share_evenly() {
    let statement = statement(&[(Some("a"), 0), (Some("b"), 0), (None, 101)], json!({"subtotalCents": 101}));
    assert_eq!(rows(&statement), [("a".into(), 0, 51), ("b".into(), 0, 50)]);
}

#[test]
fn two_projects_with_one_name_stay_two_rows_and_formulas_are_neutralised() {
    let lines = [(Some("=a"), 1), (Some("b"), 2)];
    let mut document = invoice(&lines, json!({"subtotalCents": 3}));
    document["lineItems"][1]["groupName"] = json!("=a");
    let document = serde_json::to_vec(&document).unwrap();
    let statement = Statement::of(&key(&document), &document, Rules::default()).unwrap();
    assert_eq!(rows(&statement), [("'=a".into(), 1, 1), ("'=a".into(), 2, 2)]);
}

#[test]
fn sales_tax_is_named_and_left_out_of_the_rows_or_shared_like_the_pool() {
    let head = json!({"creditsCents": 1501, "salesTaxCents": 100});
    let named = statement(&WORKED, head.clone());
    assert_eq!(rows(&named).iter().map(|row| row.2).sum::<i64>(), 1501);
    let certificate = &named.certificate;
    assert_eq!(
        (certificate.unallocated[0].kind.as_str(), certificate.unallocated_total),
        ("tax", Decimal::new(100, 2))
    );
    assert_eq!(
        (certificate.provider_total, certificate.charges_total),
        (Decimal::new(1601, 2), Decimal::new(1601, 2))
    );
    assert_eq!(certificate.status, Status::Explained);

    let shared = statement_with(Rules { tax: TaxTreatment::Allocate, ..Rules::default() }, &WORKED, head);
    assert_eq!(rows(&shared).iter().map(|row| row.2).sum::<i64>(), 1601);
    assert_eq!(shared.certificate.unallocated_total, Decimal::ZERO);
}

#[test]
fn a_subtotal_that_lines_do_not_reach_is_held() {
    let statement = statement(&WORKED, json!({"subtotalCents": 2501}));
    let certificate = &statement.certificate;
    assert_eq!((certificate.status, certificate.unexplained), (Status::Mismatch, Decimal::new(1000, 2)));
    assert!(certificate.explanation.contains("lines are missing or doubled"), "{}", certificate.explanation);
    assert!(certificate.outputs.iter().all(|output| output.key.starts_with("held/")));
}

#[test]
fn credits_can_be_demanded() {
    let credits = Rules { reconcile: Reconcile::Credits, ..Rules::default() };
    let far = statement_with(credits, &WORKED, json!({"creditsCents": 1497}));
    assert_eq!(far.certificate.status, Status::Mismatch);
    let near = statement_with(credits, &WORKED, json!({"creditsCents": 1498}));
    assert_eq!((near.certificate.status, rows(&near)[0].2), (Status::Explained, 498));
    let lines = Rules { reconcile: Reconcile::Lines, ..Rules::default() };
    let ignored = statement_with(lines, &WORKED, json!({"creditsCents": 1500, "subtotalCents": 1501}));
    assert_eq!(rows(&ignored)[0].2, 501);
}

#[test]
fn a_document_under_another_key_is_refused() {
    let document = serde_json::to_vec(&invoice(&WORKED, json!({"orgId": "o2"}))).unwrap();
    let error = Statement::of(&key(&document), &document, Rules::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the document is filed under organisation o1, month 2026-10, invoice i1 but says organisation o2, \
         month 2026-10, invoice i1: put it under its own key"
    );
}

#[test]
fn a_certificate_is_canonical_and_fits_its_schema() {
    let statement = statement(&WORKED, json!({"creditsCents": 1500}));
    let before = self::statement(&WORKED[..3], json!({"creditsCents": 1001}));
    let certificate = statement.certificate.superseding(Some(&before.certificate)).unwrap();
    let bytes = certificate.to_json().unwrap();
    assert_eq!(Certificate::from_json(&bytes).unwrap().to_json().unwrap(), bytes);
    insta::assert_snapshot!(String::from_utf8(bytes.clone()).unwrap());

    let schema: Value =
        serde_json::from_str(include_str!("../../../../docs/certificate.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    let mut wrong = document;
    wrong["provider_total"] = json!(15.0);
    assert!(!validator.is_valid(&wrong));
}

#[test]
fn a_certificate_with_a_changed_figure_is_not_believed() {
    let certificate = statement(&WORKED, json!({"creditsCents": 1501})).certificate;
    let text = String::from_utf8(certificate.to_json().unwrap()).unwrap();
    for (figure, forged) in [
        ("\"own\": \"3.34\"", "\"own\": \"3.35\""),
        ("\"charges_total\": \"15.01\"", "\"charges_total\": \"15.02\""),
    ] {
        let error = Certificate::from_json(text.replace(figure, forged).as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("the certificate of an invoice contradicts itself"), "{error}");
    }
}

fn any_lines() -> impl Strategy<Value = Vec<(Option<u8>, i64)>> {
    let cents = prop_oneof![Just(0i64), -500i64..2000, -1_000_000_000i64..5_000_000_000];
    prop::collection::vec((prop::option::of(0u8..6), cents), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// No cent appears or disappears, whatever the invoice.
    #[test]
    fn every_invoice_is_conserved(lines in any_lines(), tax in 0i64..500, off in -3i64..=3, rule in 0usize..3) {
        let names = ["p0", "p1", "p2", "p3", "p4", "p5"];
        let named: Vec<Line> = lines.iter().map(|(p, c)| (p.map(|p| names[usize::from(p)]), *c)).collect();
        let net: i64 = lines.iter().map(|(_, cents)| cents).sum();
        let positive: i64 = lines.iter().map(|(_, cents)| cents.max(&0)).sum();
        let reconcile = [Reconcile::Auto, Reconcile::Credits, Reconcile::Lines][rule];
        let head = json!({"creditsCents": net + off, "subtotalCents": positive, "salesTaxCents": tax});
        let statement = statement_with(Rules { reconcile, ..Rules::default() }, &named, head);
        let certificate = &statement.certificate;
        certificate.verify().unwrap();
        prop_assert_eq!(certificate.charges_total, Decimal::new(net + tax, 2));
        let adjusted: Decimal = certificate.targets.iter().map(|t| t.adjustment).sum();
        let sum: i64 = rows(&statement).iter().map(|row| row.2).sum();
        prop_assert_eq!(Decimal::new(sum, 2), Decimal::new(net, 2) + adjusted);
        if certificate.status != Status::Mismatch && certificate.provider_total_source.starts_with("creditsCents") {
            prop_assert_eq!(sum, net + off);
        }
        // each project's own lines are its own
        for (name, own, _) in rows(&statement).iter().filter(|row| row.0 != "(unallocated)") {
            let lines: i64 = named.iter().filter(|(p, _)| p == &Some(name.as_str())).map(|(_, c)| c).sum();
            prop_assert_eq!(*own, lines);
        }
    }

    /// A revision's differences are exactly what leads from one statement to the next.
    #[test]
    fn differences_lead_from_one_revision_to_the_next(old in any_lines(), new in any_lines()) {
        let names = ["p0", "p1", "p2", "p3", "p4", "p5"];
        let certified = |lines: &[(Option<u8>, i64)]| {
            let named: Vec<Line> = lines.iter().map(|(p, c)| (p.map(|p| names[usize::from(p)]), *c)).collect();
            statement(&named, json!({})).certificate
        };
        let (old, new) = (certified(&old), certified(&new));
        let supersedes = new.superseding(Some(&old)).unwrap().supersedes.unwrap();
        prop_assert_eq!(old.published_total().unwrap() + supersedes.difference, new.published_total().unwrap());
        let total = |certificate: &Certificate, id: &str| -> Decimal {
            certificate.targets.iter().filter(|t| t.id == id).map(|t| t.total).sum()
        };
        for name in names {
            let id = format!("id-{name}");
            let change = supersedes.targets.get(&id).map_or(Decimal::ZERO, |change| change.difference);
            prop_assert_eq!(total(&old, &id) + change, total(&new, &id));
        }
    }

    /// Whatever the bytes: an error or a statement, never a panic.
    #[test]
    fn any_bytes_are_an_error_or_a_statement(cut in 0usize..2000, flip in 0usize..2000, byte in any::<u8>()) {
        let mut document = serde_json::to_vec(&invoice(&WORKED, json!({"creditsCents": 1501, "payments": [{"id": "p"}]}))).unwrap();
        let length = document.len();
        document[flip % length] = byte;
        document.truncate(length - cut % length);
        let _ = Statement::of(&key(&document), &document, Rules::default());
    }
}
