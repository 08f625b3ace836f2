//! What the earlier tool got wrong, each by name.

use super::*;

#[test]
fn export_total_is_the_invoice_total_with_discounts() {
    let catalog = catalog(
        "
currency: CHF
customers: [{name: blue}]
accounts: [{provider: azure, id: a, customer: blue, percentage: 110}]
components: [{name: db, price: {per_unit: 33.335}}]
services: [{name: app, customer: blue, components: [{component: db, quantity: 3}]}]
positions: [{customer: blue, month: 2026-10, reason: loyalty, amount: '-12.34'}]
",
    );
    let run = run(&catalog, &[charge("azure/a", "100.01")]);
    let exports = run.exports(&catalog, Rows::All).unwrap();
    let exported: Decimal = exports.iter().map(|export| export.total).sum();
    assert_eq!((exported, run.bills[0].total), (decimal("197.68"), decimal("197.68")));
    assert_snapshot!(export_text(&run, &catalog, Rows::All));
}

#[test]
fn a_discount_over_several_services_is_not_lost() {
    let yaml = "
currency: CHF
customers: [{name: blue}]
components: [{name: db, price: {per_unit: 10}}]
services:
  - {name: one, customer: blue, components: [{component: db, quantity: 1}]}
  - {name: two, customer: blue, components: [{component: db, quantity: 2}]}
positions: [{customer: blue, month: 2026-10, reason: refund, amount: '-100'}]
";
    let catalog = catalog(yaml);
    let first = run(&catalog, &[]);
    assert_eq!((first.bills[0].total, first.bills[0].carried_out), (decimal("0"), decimal("-70")));
    let november = Before { carried: first.carried(), ..Before::default() };
    let second = try_run(&catalog, month("2026-11"), &[], &november).unwrap();
    assert_eq!((second.bills[0].total, second.bills[0].carried_out), (decimal("0"), decimal("-40")));
    let december = Before { carried: second.carried(), ..Before::default() };
    let third = try_run(&catalog, month("2026-12"), &[], &december).unwrap();
    let january = Before { carried: third.carried(), ..Before::default() };
    let fourth = try_run(&catalog, month("2027-01"), &[], &january).unwrap();
    // four times 30 less 100
    assert_eq!((third.bills[0].total, fourth.bills[0].total), (decimal("0"), decimal("20")));
    assert_snapshot!(shown(&fourth));
}

#[test]
fn an_invalid_cost_centre_holds_that_bill_and_no_other() {
    let catalog = catalog("
currency: CHF
cost_center_pattern: '[0-9]{4}'
customers: [{name: blue, cost_center: '12345'}, {name: red, cost_center: '1234'}, {name: green}]
accounts: [{provider: aws, id: 1, customer: blue}, {provider: aws, id: 2, customer: red}, {provider: aws, id: 3, customer: green}]
");
    let run = run(&catalog, &[charge("aws/1", "10"), charge("aws/2", "20"), charge("aws/3", "30")]);
    let held: Vec<String> = run.bills.iter().filter_map(|bill| bill.held.clone()).collect();
    assert_eq!(
        held,
        [
            "customer 'blue', line 4: cost_center '12345' does not fit cost_center_pattern '[0-9]{4}', correct it in the catalog",
            "customer 'green', line 4: there is no cost_center, correct it in the catalog",
        ]
    );
    let exports = run.exports(&catalog, Rows::All).unwrap();
    assert_eq!((exports.len(), exports[0].total), (1, decimal("20")));
    assert_eq!((run.certificate.bills_total, run.certificate.released_total), (decimal("60"), decimal("20")));
    assert_eq!(run.certificate.held.len(), 2);
    // nothing of a held bill counts as posted
    assert_eq!(run.posted(&Posted::new()).keys().collect::<Vec<_>>(), ["red"]);
}

#[test]
fn a_sum_of_one_is_billed_as_one() {
    let accounts = "customers: [{name: blue}]\naccounts: [{provider: aws, id: 1, customer: blue}]";
    for (rounding, total) in [("cents", "1"), ("unit-up", "1")] {
        let catalog = catalog(&format!("currency: CHF\nrounding: {rounding}\n{accounts}"));
        let run = run(&catalog, &["0.55", "0.05", "0.32", "0.08"].map(|cost| charge("aws/1", cost)));
        assert_eq!(run.bills[0].total, decimal(total), "{rounding}");
    }
    let catalog = catalog(&format!("currency: CHF\n{accounts}"));
    let run = run(&catalog, &["0.55", "0.05", "0.32", "0.08"].map(|cost| charge("aws/1", cost)));
    assert!(export_text(&run, &catalog, Rows::All).contains(";1.00;"));
}

#[test]
fn a_blank_cost_is_counted_and_kills_nothing() {
    let catalog = catalog(
        "{currency: CHF, customers: [{name: blue}], accounts: [{provider: aws, id: 1, customer: blue}]}",
    );
    let run = run(&catalog, &[charge("aws/1", "10"), charge("aws/1", ""), charge("aws/1", "5")]);
    assert_eq!((run.bills[0].total, run.certificate.blank_costs), (decimal("15"), 1));
    assert_eq!(run.bills[0].lines[0].costs[0].charges, 3);
}

#[test]
fn a_rerun_bills_nothing_again() {
    let catalog = catalog(
        "
currency: CHF
customers: [{name: blue}]
accounts: [{provider: aws, id: 1, customer: blue, percentage: 110}]
positions: [{customer: blue, month: 2026-10, reason: setup, amount: 7}]
",
    );
    let charges = [charge("aws/1", "33.33")];
    let first = run(&catalog, &charges);
    let again = Before { posted: first.posted(&Posted::new()), ..Before::default() };
    let second = try_run(&catalog, october(), &charges, &again).unwrap();
    assert_eq!((second.bills[0].difference, second.certificate.to_post_total), (decimal("0"), decimal("0")));
    assert_eq!(second.corrections(), []);
    assert_eq!(second.exports(&catalog, Rows::All).unwrap(), first.exports(&catalog, Rows::All).unwrap());
    assert_eq!(second.exports(&catalog, Rows::Due).unwrap(), []);
    assert_eq!(second.posted(&again.posted), again.posted);
}

#[test]
fn credits_zeros_and_negative_lines_are_shown() {
    let catalog = catalog("
currency: CHF
customers: [{name: blue}]
accounts: [{provider: aws, id: 1, customer: blue}, {provider: aws, id: 2, customer: blue}, {provider: aws, id: 3, customer: blue}]
");
    let charges = [
        charge("aws/1", "100"),
        charge("aws/1", "-30.50"),
        charge("aws/2", "-9.50"),
        charge("aws/3", "5"),
        charge("aws/3", "-5"),
    ];
    let run = run(&catalog, &charges);
    assert_snapshot!(shown(&run));
    assert_eq!(run.exports(&catalog, Rows::All).unwrap()[0].lines, 3);
}
