//! What of a cost comes back, and from whom.

use insta::assert_snapshot;

use super::*;
use crate::certificate::{Certified, Status};
use crate::money::Exact;

const CLUSTER: &str = "
currency: CHF
customers: [{name: blue}, {name: red}]
components:
  - {name: cluster, price: {percent_of_cost: 100}, match: {service: Kubernetes}, parts: [{name: cpu, percent: 60}, {name: ram, percent: 40}]}
services:
  - {name: blue-app, customer: blue, components: [{component: cluster, part: cpu, quantity: {driver: cpu-share, target: blue-app}}]}
  - {name: red-app, customer: red, components: [{component: cluster, part: cpu, quantity: {driver: cpu-share, target: red-app}}]}
";

fn cpu_share() -> Before {
    driver("cpu-share", &[("blue-app", "0.25"), ("red-app", "0.15"), ("kube-system", "0.1"), ("idle", "0.5")])
}

/// What became of the costs: by currency, in all, by component.
fn told(run: &BillRun) -> String {
    let certificate = &run.certificate;
    let recovery = certificate.recovery.as_ref().unwrap();
    let mut text = shown(run);
    for (currency, proof) in &certificate.charges {
        let CurrencyProof { charges_total, billed_costs, not_recovered, unallocated_total, .. } = proof;
        text.push_str(&format!(
            "{currency}: charges {charges_total} = in bills {billed_costs} + not recovered {not_recovered} + unallocated {unallocated_total}\n"
        ));
    }
    text.push_str(&format!("{}\n", serde_json::to_string(recovery).unwrap()));
    text.push_str(&format!("{:?}: {}\n", certificate.status, certificate.explanation));
    text
}

#[test]
fn what_nobody_uses_of_a_component_is_told_and_not_billed() {
    let charges = [charge("acme/payer", "1000").of_service("Kubernetes")];
    let run = try_run(&catalog(CLUSTER), october(), &charges, &cpu_share()).unwrap();
    assert_snapshot!("a_part_is_used", told(&run));
}

#[test]
fn who_uses_a_component_shares_the_rest_of_it_if_the_catalog_says_so() {
    let catalog = catalog(&CLUSTER.replace("price: {percent", "recover: all, price: {percent"));
    let charges = [charge("acme/payer", "1000").of_service("Kubernetes")];
    let run = try_run(&catalog, october(), &charges, &cpu_share()).unwrap();
    assert_snapshot!("all_is_recovered", told(&run));
    assert_eq!(run.certificate.status, Status::Matched);
}

#[test]
fn quantities_above_the_whole_are_told() {
    let catalog = catalog(
        "
currency: CHF
customers: [{name: blue}, {name: red}]
components: [{name: db, price: {percent_of_cost: 100}, match: {service: Db}}]
services:
  - {name: one, customer: blue, components: [{component: db, quantity: 1}]}
  - {name: two, customer: red, components: [{component: db, quantity: 1}]}
",
    );
    assert_snapshot!(
        "above_the_whole",
        told(&run(&catalog, &[charge("acme/payer", "100").of_service("Db")]))
    );
}

#[test]
fn more_than_the_whole_of_one_part_hides_nothing_of_another() {
    let catalog = catalog("
currency: CHF
customers: [{name: blue}, {name: red}]
components: [{name: k, price: {percent_of_cost: 100}, match: {service: K}, parts: [{name: cpu, percent: 60}, {name: ram, percent: 40}]}]
services:
  - {name: one, customer: blue, components: [{component: k, part: cpu, quantity: 1}]}
  - {name: two, customer: red, components: [{component: k, part: cpu, quantity: 0.4}, {component: k, part: ram, quantity: 0.4}]}
");
    assert_snapshot!("parts_astray", told(&run(&catalog, &[charge("acme/payer", "1100").of_service("K")])));
}

#[test]
fn prices_stand_for_the_costs_of_a_component_as_far_as_they_go() {
    let yaml = "
currency: CHF
fx: {rates: {2026-10: {USD: '0.8'}}}
customers: [{name: blue}, {name: red}]
components: [{name: db, price: {per_unit: 150, fixed_per_service: 40}, match: {service: Db}}]
services:
  - {name: one, customer: blue, components: [{component: db, quantity: 2}]}
  - {name: two, customer: red, components: [{component: db, quantity: 1}]}
";
    let of = |cost: &str| {
        let charge = charge("acme/payer", cost).of_service("Db").in_currency(Currency::USD);
        told(&run(&catalog(yaml), &[charge]))
    };
    assert_snapshot!("prices_fall_short", of("1000"));
    assert_snapshot!("prices_are_more", of("100"));
    assert_snapshot!("prices_of_a_credit", of("-10"));
    let all = catalog(&yaml.replace("price: {per_unit", "recover: all, price: {per_unit"));
    let charge = charge("acme/payer", "1000").of_service("Db").in_currency(Currency::USD);
    assert_snapshot!("prices_and_the_rest", told(&run(&all, &[charge])));
}

#[test]
fn percentages_are_chosen_and_need_no_reason() {
    let catalog = catalog("
currency: CHF
customers: [{name: blue}]
accounts: [{provider: acme, id: one, customer: blue, percentage: 110}, {provider: acme, id: two, customer: blue, percentage: 90}]
components: [{name: db, price: {percent_of_cost: 120}, match: {service: Db}}]
services: [{name: app, customer: blue, components: [{component: db, quantity: 1}]}]
");
    let charges =
        [charge("acme/one", "10.05"), charge("acme/two", "50"), charge("acme/payer", "100").of_service("Db")];
    let run = run(&catalog, &charges);
    assert_eq!(run.certificate.status, Status::Matched);
    assert_snapshot!("percentages", told(&run));
}

#[test]
fn a_cost_that_rounds_to_nothing_on_every_bill_is_told() {
    let names: Vec<String> = (0..300).map(|at| format!("t{at:03}")).collect();
    let customers: Vec<String> = names.iter().map(|name| format!("{{name: {name}}}")).collect();
    let yaml = format!(
        "currency: CHF\ncustomers: [{}]\npools: [{{name: wiki, match: {{service: Wiki}}, split: {{by: even}}, targets: [{}]}}]",
        customers.join(", "),
        names.join(", ")
    );
    let run = run(&catalog(&yaml), &[charge("acme/payer", "1.20").of_service("Wiki")]);
    let recovery = run.certificate.recovery.as_ref().unwrap();
    assert_eq!(recovery.rounded_away, ["pool:wiki: 1.2 on 300 lines, each of which rounds to nothing"]);
    assert_eq!(recovery.total.rounding.to_string(), "-1.2");
    assert_eq!(run.certificate.status, Status::Explained);
}

#[test]
fn a_certificate_of_the_version_before_is_read_and_a_wrong_recovery_is_not() {
    let charges = [charge("acme/payer", "1000").of_service("Kubernetes")];
    let run = try_run(&catalog(CLUSTER), october(), &charges, &cpu_share()).unwrap();
    let mut older = run.certificate.clone();
    older.recovery = None;
    let usd = older.charges.get_mut("CHF").unwrap();
    (usd.billed_costs, usd.not_recovered) = (decimal("1000"), decimal("0"));
    let bytes = older.to_json().unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("recover"));
    let read: RunCertificate = serde_json::from_slice(&bytes).unwrap();
    read.verify().unwrap();
    let one: Exact = decimal("1").into();
    let wrong: [fn(&mut Recovery, Exact); 4] = [
        |total, by| total.not_recovered = total.not_recovered.plus(by).unwrap(),
        |total, by| total.cost = total.cost.plus(by).unwrap(),
        |total, by| total.billed = total.billed.plus(by).unwrap(),
        |total, by| total.markups = total.markups.plus(by).unwrap(),
    ];
    for change in wrong {
        let mut changed = run.certificate.clone();
        change(&mut changed.recovery.as_mut().unwrap().total, one);
        assert!(changed.verify().is_err());
        let mut changed = run.certificate.clone();
        change(&mut changed.recovery.as_mut().unwrap().components[0].recovery, one);
        assert!(changed.verify().is_err());
    }
}
