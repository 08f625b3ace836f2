//! Pools, drivers and rates.

use super::*;

const BASE: &str = "
currency: CHF
customers: [{name: blue}, {name: red}]
accounts:
  - {provider: aws, id: '1', name: one, customer: blue}
  - {provider: aws, id: '2', name: two, customer: red}
services: [{name: app, customer: blue}]
";

fn with_pools(pools: &str) -> Catalog {
    catalog(&format!("{BASE}\npools:\n{pools}"))
}

fn focus(run: &BillRun) -> String {
    let row = |share: &Share| {
        let Share { currency, amount, method_id, method_details, resource_id, resource_name, tags, .. } =
            share;
        format!(
            "{amount} {currency} | {method_id} | {method_details} | {resource_id} | {resource_name} | {tags}\n"
        )
    };
    run.shares.iter().map(row).collect()
}

#[test]
fn the_columns_of_an_allocation_are_those_of_focus() {
    let header = include_str!("../../charges/fixtures/focus13_allocated.csv").lines().next().unwrap();
    assert!(header.ends_with(&ALLOCATION_COLUMNS.join(",")), "{header}");
}

#[test]
fn support_is_shared_by_the_cost_of_what_it_supports() {
    let catalog = with_pools(
        "  - {name: support, match: {service: 'AWS Support*'}, split: {by: cost}, over: {provider: aws}}",
    );
    let run = run(
        &catalog,
        &[
            charge("aws/1", "75"),
            charge("aws/2", "25"),
            charge("gcp/9", "1000"),
            charge("aws/payer", "100.01").of_service("AWS Support (Business)"),
        ],
    );
    assert_snapshot!("support", format!("{}{}", shown(&run), focus(&run)));
    let sources: Vec<&str> = run.bills[0].lines[0].costs.iter().map(|cost| cost.source.as_str()).collect();
    assert_eq!(sources, ["charges", "pool:support"]);
}

#[test]
fn pools_feed_pools_in_whatever_order_they_stand() {
    let catalog = with_pools(
        "  - {name: last, split: {by: percent, percents: {one: 50, two: 50}}}
  - {name: middle, match: {service: M}, split: {by: even}, targets: ['pool:last', app]}
  - {name: first, match: {service: F}, split: {by: weights, weights: {middle: 2, customer:red: 1}}}",
    );
    let run = run(&catalog, &[charge("gcp/a", "90").of_service("F"), charge("gcp/a", "40").of_service("M")]);
    assert_snapshot!("feeding", format!("{}{}", shown(&run), focus(&run)));
}

#[test]
fn what_cannot_be_shared_is_unallocated_with_a_reason() {
    let catalog = with_pools(
        "  - {name: weightless, match: {service: W}, split: {by: weights, weights: {one: 0}}}
  - {name: nobody, match: {service: N}, split: {by: cost}, over: {provider: oci}}
  - {name: driven, match: {service: D}, split: {by: driver, name: hours}}
  - {name: dated, match: {service: T}, split: {by: percent, percents: {late: 100}}}
  - {name: late, split: {by: even}, targets: [one], from: 2027-01}
  - {name: credits, match: {service: C}, split: {by: cost}}",
    );
    let charges = ["W", "N", "D", "T", "C"].map(|service| charge("gcp/a", "10").of_service(service));
    let mut charges = charges.to_vec();
    charges.push(charge("aws/1", "-5"));
    let before = driver("hours", &[("one", "1"), ("two", "1"), ("stranger", "2"), ("pool:late", "1")]);
    let run = try_run(&catalog, october(), &charges, &before).unwrap();
    assert_snapshot!("unshared", shown(&run));
}

#[test]
fn a_component_receives_shares_and_one_that_nobody_uses_is_unallocated() {
    let yaml = format!(
        "{BASE}
components:
  - {{name: used, price: {{percent_of_cost: 200}}, match: {{service: U}}}}
  - {{name: unused, match: {{service: X}}}}
pools: [{{name: p, match: {{service: P}}, split: {{by: even}}, targets: [used, unused]}}]
"
    );
    let catalog = catalog(&yaml.replace(
        "{name: app, customer: blue}",
        "{name: app, customer: blue, components: [{component: used, quantity: 0.5}]}",
    ));
    let charges = ["U", "X", "P"].map(|service| charge("gcp/a", "10").of_service(service));
    let run = run(&catalog, &charges);
    assert_snapshot!("components", format!("{}{:#?}", shown(&run), run.components));
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let yaml = format!(
        "{BASE}
components: [{{name: c, to: 2026-09}}]
pools:
  - {{name: p, split: {{by: driver, name: ours}}}}
  - {{name: q, split: {{by: driver, name: hours}}, targets: [two]}}
fx: {{rates: {{2026-09: {{USD: 1}}, 2026-10: {{EUR: 1}}}}}}
"
    );
    let catalog = catalog(&yaml.replace(
        "{name: app, customer: blue}",
        "{name: app, customer: blue, components: [{component: c, quantity: {driver: hours, target: ap}}]}",
    ));
    let mut before = driver("hours", &[("app", "1")]);
    before.carried.push(Carried { customer: "bleu".into(), month: month("2026-09"), amount: decimal("-5") });
    before.posted.insert("gone".into(), [("a".to_owned(), decimal("3"))].into());
    let charges = [
        charge("aws/1", "1").in_currency(Currency::USD),
        charge("aws/1", "1").in_currency(Currency::EUR),
        charge("gcp/1", "1").in_currency(Currency::JPY),
    ];
    let error = try_run(&catalog, october(), &charges, &before).unwrap_err();
    assert_snapshot!("missing", error.to_string().replace("; ", "\n"));
}

#[test]
fn costs_are_converted_at_the_rate_of_the_month_and_say_so() {
    let catalog = catalog(&format!(
        "{BASE}\nfx: {{source: central bank, rates: {{2026-10: {{USD: '0.8812', JPY: '0.0059'}}}}}}"
    ));
    let run = run(
        &catalog,
        &[
            charge("aws/1", "100").in_currency(Currency::USD),
            charge("aws/1", "1000").in_currency(Currency::JPY),
            charge("aws/1", "0.005"),
        ],
    );
    let line = run.explain("blue", "account/aws/1").unwrap();
    assert_eq!((line.exact.to_string().as_str(), line.amount), ("94.025", decimal("94.03")));
    assert_eq!(
        line.comment,
        "100 % of 0.005 CHF + 1000 JPY at 0.0059 (central bank, 2026-10) + 100 USD at 0.8812 (central bank, 2026-10)"
    );
    assert_eq!(line.costs[2].conversion.mark.line, 9);
    assert_eq!(run.certificate.charges["USD"].billed_costs, decimal("100"));
}

#[test]
fn amounts_finer_than_twelve_decimals_still_add_up() {
    let catalog = with_pools("  - {name: p, match: {service: P}, split: {by: even}, targets: [one, two]}");
    let thirds = [
        "0.333333333333333333333333333333333333",
        "0.333333333333333333333333333333333333",
        "0.333333333333333333333333333333333334",
    ];
    let accounts = ["aws/1", "aws/2", "gcp/3"];
    let mut charges: Vec<Charge> =
        accounts.iter().zip(thirds).map(|(account, cost)| charge(account, cost)).collect();
    charges.push(charge("gcp/3", "0.000000000000000001").of_service("P"));
    let run = run(&catalog, &charges);
    assert_eq!(run.certificate.charges["CHF"].charges_total, decimal("1"));
}
