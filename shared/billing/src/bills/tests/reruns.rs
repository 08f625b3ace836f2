//! Runs of a month that was billed before, and exports.

use super::*;

const TWO: &str = "
currency: CHF
customers: [{name: blue, email: blue@example.com, cost_center: C-1}, {name: red}]
accounts: [{provider: aws, id: 1, name: '=one', customer: blue, product: P1}, {provider: aws, id: 2, customer: red}]
positions: [{customer: red, month: 2026-10, reason: discount, amount: -30}]
";

#[test]
fn a_revision_posts_exactly_its_difference_on_the_next_bill() {
    let catalog = catalog(TWO);
    let first = run(&catalog, &[charge("aws/1", "100"), charge("aws/2", "20")]);
    assert_eq!(
        first.carried(),
        [Carried { customer: "red".into(), month: october(), amount: decimal("-10") }]
    );
    let posted = first.posted(&Posted::new());

    let again = Before { posted: posted.clone(), ..Before::default() };
    let revised = [charge("aws/1", "95.5"), charge("aws/2", "25")];
    let second = try_run(&catalog, october(), &revised, &again).unwrap();
    let corrections = second.corrections();
    // they are kept until the next month is billed
    let kept = serde_json::to_string(&(&corrections, first.carried())).unwrap();
    assert_eq!(
        serde_json::from_str::<(Vec<Correction>, Vec<Carried>)>(&kept).unwrap(),
        (corrections.clone(), first.carried())
    );
    let amounts: Vec<(&str, &str, String)> =
        corrections.iter().map(|c| (c.customer.as_str(), c.key.as_str(), c.amount.to_string())).collect();
    assert_eq!(
        amounts,
        [("blue", "account/aws/1", "-4.5".to_owned()), ("red", "account/aws/2", "5".to_owned()),]
    );
    // what was carried stays carried, so that nothing is carried twice
    assert_eq!(second.carried(), []);
    assert_eq!(second.exports(&catalog, Rows::Due).unwrap(), []);

    let november = Before { corrections, carried: first.carried(), ..Before::default() };
    let next = [charge("aws/1", "1"), charge("aws/2", "7")];
    let third = try_run(&catalog, month("2026-11"), &next, &november).unwrap();
    assert_snapshot!("november", shown(&third));

    // and once more: nothing is left to post of October
    let posted = second.posted(&posted);
    let again = Before { posted, ..Before::default() };
    assert_eq!(try_run(&catalog, october(), &revised, &again).unwrap().corrections(), []);
}

#[test]
fn a_line_that_is_no_longer_due_is_taken_back() {
    let catalog = catalog(TWO);
    let first = run(&catalog, &[charge("aws/1", "100")]);
    let again = Before { posted: first.posted(&Posted::new()), ..Before::default() };
    let second = try_run(&catalog, october(), &[], &again).unwrap();
    assert_snapshot!("withdrawn", shown(&second));
    let corrections = second.corrections();
    assert_eq!((corrections.len(), corrections[0].amount), (1, decimal("-100")));
}

#[test]
fn a_bill_that_was_held_is_due_when_its_cost_centre_is_right() {
    let held = catalog(&format!("{TWO}\ncost_center_pattern: 'C-[0-9]+'"));
    let charges = [charge("aws/1", "100"), charge("aws/2", "50")];
    let first = run(&held, &charges);
    let again = Before { posted: first.posted(&Posted::new()), ..Before::default() };
    let mended = catalog(
        &format!("{TWO}\ncost_center_pattern: 'C-[0-9]+'")
            .replace("name: red}", "name: red, cost_center: C-2}"),
    );
    let second = try_run(&mended, october(), &charges, &again).unwrap();
    let due = second.exports(&mended, Rows::Due).unwrap();
    let total: Decimal = due.iter().map(|export| export.total).sum();
    assert_eq!(
        (total, second.certificate.to_post_total, second.corrections().len()),
        (decimal("20"), decimal("20"), 0)
    );
}

#[test]
fn the_export_follows_its_template_and_formulas_become_text() {
    let default = catalog(TWO);
    let charges = [charge("aws/1", "1234.5"), charge("aws/2", "20")];
    assert_snapshot!("default", export_text(&run(&default, &charges), &default, Rows::All));
    let template = "
export:
  delimiter: tab
  header: true
  encoding: utf-8-bom
  decimal_point: ','
  columns: [customer, amount, {title: Betrag in, field: currency}, {title: System, text: cloud}, month, provider, kind, email]
";
    let other = catalog(&format!("{TWO}{template}"));
    assert_snapshot!("template", export_text(&run(&other, &charges), &other, Rows::All));
}

#[test]
fn latin_1_is_written_or_refused_by_name() {
    let yaml = |name: &str| TWO.replace("'=one'", name) + "export: {encoding: iso-8859-1}";
    let fits = catalog(&yaml("Zürich"));
    let exports = run(&fits, &[charge("aws/1", "1")]).exports(&fits, Rows::All).unwrap();
    assert!(exports[0].bytes.starts_with(b"Z\xfcrich;"));
    let not = catalog(&yaml("Łódź"));
    let error = run(&not, &[charge("aws/1", "1")]).exports(&not, Rows::All).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the export 'aws' cannot be written: 'account/aws/1' of 'blue': 'Ł' of 'Łódź' is not in ISO 8859-1, export in utf-8"
    );
}
