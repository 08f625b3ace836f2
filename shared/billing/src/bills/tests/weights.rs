//! What weighs in a split, and what is counted once only.

use super::*;

const BASE: &str = "
currency: CHF
customers: [{name: blue, cost_center: B}, {name: red, cost_center: R}]
cost_center_tag: cc
accounts:
  - {provider: aws, id: '1', name: one, customer: blue}
  - {provider: aws, id: '2', name: two, customer: blue}
  - {provider: aws, id: '3', name: three, customer: red}
  - {provider: aws, id: '4', name: four, customer: red, from: 2027-01}
";

fn with_pool(pool: &str) -> Catalog {
    catalog(&format!("{BASE}\npools:\n  - {{name: p, match: {{service: P}}, {pool}}}\n"))
}

fn weights(run: &BillRun) -> Vec<(String, String)> {
    let weight = |share: &Share| {
        let details: serde_json::Value = serde_json::from_str(&share.method_details).unwrap();
        (share.resource_id.clone(), details["Elements"][0]["UsageQuantity"].to_string())
    };
    run.shares.iter().map(weight).collect()
}

fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(id, weight)| ((*id).to_owned(), (*weight).to_owned())).collect()
}

#[test]
fn a_credit_in_one_place_of_a_target_counts_against_its_other_places() {
    let catalog = with_pool("split: {by: cost}, targets: ['customer:blue', 'customer:red']");
    let charges = [
        charge("aws/1", "100"),
        charge("aws/2", "-60"),
        charge("aws/3", "60"),
        charge("aws/9", "10").of_service("P"),
    ];
    let run = run(&catalog, &charges);
    assert_eq!(weights(&run), expected(&[("customer:blue", "40"), ("customer:red", "60")]));
    assert_eq!(run.explain("blue", "share/p").unwrap().amount, decimal("4"));
}

#[test]
fn an_account_weighs_only_what_its_own_customer_pays() {
    let catalog = with_pool("split: {by: cost}, targets: [one, three]");
    let charges = [
        charge("aws/1", "30"),
        charge("aws/1", "70").tagged("cc", "R"),
        charge("aws/3", "30"),
        charge("aws/9", "10").of_service("P"),
    ];
    assert_eq!(weights(&run(&catalog, &charges)), expected(&[("1", "30"), ("3", "30")]));
}

#[test]
fn one_account_under_two_names_weighs_once() {
    let charges = [charge("aws/1", "30"), charge("aws/3", "30"), charge("aws/9", "10").of_service("P")];
    for (split, weight) in [("cost", "30"), ("even", "1")] {
        let catalog = with_pool(&format!("split: {{by: {split}}}, targets: [one, '1', three]"));
        assert_eq!(weights(&run(&catalog, &charges)), expected(&[("1", weight), ("3", weight)]));
    }
}

#[test]
fn a_driver_names_targets_by_id_or_name_and_rows_of_one_target_add_up() {
    let catalog = with_pool("split: {by: driver, name: hours}, targets: [one, '3', four]");
    let charges = [charge("aws/9", "10").of_service("P")];
    let before = driver("hours", &[("1", "2"), ("account:one", "1"), ("three", "1"), ("two", "5")]);
    let run = try_run(&catalog, october(), &charges, &before).unwrap();
    assert_eq!(weights(&run), expected(&[("1", "3"), ("3", "1")]));
    assert_eq!(run.unallocated, []);
}

#[test]
fn a_driver_that_names_nobody_or_several_says_which() {
    let yaml = format!("{BASE}services: [{{name: one, customer: blue}}]\n");
    let pools = "pools: [{name: p, match: {service: P}, split: {by: driver, name: hours}}]";
    let catalog = catalog(&format!("{yaml}{pools}"));
    let before = driver("hours", &[("one", "1"), ("stranger", "1"), ("three", "2")]);
    let run = try_run(&catalog, october(), &[charge("aws/9", "8").of_service("P")], &before).unwrap();
    let reasons: Vec<&str> = run.unallocated.iter().map(|rest| rest.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "'one' of 'p': what the driver names is several things, write account:, component:, pool:, service: or customer: before it",
            "'stranger' of 'p': what the driver names is nobody in the catalog",
        ]
    );
}

#[test]
fn two_pools_never_have_one_line_key() {
    let catalog = catalog(
        "
currency: CHF
customers: [{name: blue}]
pools:
  - {name: x, match: {service: A}, split: {by: even}, targets: ['customer:blue']}
  - {name: 'pool:x', match: {service: B}, split: {by: even}, targets: ['customer:blue']}
",
    );
    let charges = [charge("aws/9", "10").of_service("A"), charge("aws/9", "5").of_service("B")];
    let first = run(&catalog, &charges);
    let keys: Vec<&str> = first.bills[0].lines.iter().map(|line| line.key.as_str()).collect();
    assert_eq!(keys, ["share/pool:x", "share/x"]);
    let again = Before { posted: first.posted(&Posted::new()), ..Before::default() };
    assert_eq!(try_run(&catalog, october(), &charges, &again).unwrap().corrections(), []);
}

#[test]
fn a_component_that_nobody_uses_is_not_used_even_without_costs() {
    let yaml = "
currency: CHF
customers: [{name: blue}]
components: [{name: c, match: {service: C}}, {name: d, match: {service: D}}]
services: [{name: s, customer: blue, components: [{component: d, quantity: 1}]}]
";
    let run = run(&catalog(yaml), &[]);
    let used: Vec<(&str, bool)> = run.components.iter().map(|c| (c.name.as_str(), c.is_used)).collect();
    assert_eq!(used, [("c", false), ("d", true)]);
}

#[test]
fn any_category_is_written_as_a_star() {
    let yaml = "
currency: CHF
customers: [{name: blue}]
allocations: [{name: all, customer: blue, match: {category: '*'}}]
";
    assert_eq!(run(&catalog(yaml), &[charge("aws/1", "3")]).bills[0].total, decimal("3"));
}

#[test]
fn corrections_of_one_line_keep_its_product_and_comment() {
    let catalog = catalog("{currency: CHF, customers: [{name: blue}]}");
    let correction = |amount: &str| Correction {
        customer: "blue".into(),
        month: month("2026-09"),
        key: "account/aws/1".into(),
        name: "one".into(),
        product: Some("P1".into()),
        amount: decimal(amount),
    };
    let before = Before { corrections: vec![correction("3"), correction("4.5")], ..Before::default() };
    let run = try_run(&catalog, october(), &[], &before).unwrap();
    let line = run.explain("blue", "correction/2026-09/account/aws/1").unwrap();
    assert_eq!((line.product.as_deref(), line.comment.as_str()), (Some("P1"), "correction of 2026-09"));
    let amounts = [line.amount, line.difference, line.exact.round_half_away(2).unwrap()];
    assert_eq!(amounts, [decimal("7.5"); 3]);
}

#[test]
fn unknown_cost_centres_are_all_counted_and_the_first_are_named() {
    let catalog = catalog(BASE);
    let mut charges: Vec<Charge> =
        (0..1_100).map(|at| charge("aws/1", "0.5").tagged("cc", &format!("X{at:04}"))).collect();
    charges.push(charge("aws/1", "7").tagged("cc", "X0001"));
    let first = run(&catalog, &charges);
    charges.reverse();
    let reversed = run(&catalog, &charges);
    let unknown = &first.unknown_cost_centers;
    assert_eq!(unknown, &reversed.unknown_cost_centers);
    assert_eq!(unknown, &first.certificate.unknown_cost_centers);
    let total = &unknown.total["CHF"];
    assert_eq!((total.amount, total.charges), (decimal("557"), 1_101));
    assert_eq!((unknown.named.len(), unknown.named.last_key_value().unwrap().0.as_str()), (1_000, "X0999"));
    assert_eq!(unknown.named["X0001"]["CHF"].amount, decimal("7.5"));
    // parts of a month that were added up apart come to the same
    let in_force = InForce::new(&catalog, october());
    let (left, right) = charges.split_at(500);
    let mut merged = super::charged(&in_force, left);
    merged.merge(&super::charged(&in_force, right)).unwrap();
    assert_eq!(merged, super::charged(&in_force, &charges));
}
