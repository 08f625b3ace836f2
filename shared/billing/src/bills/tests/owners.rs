//! Whose a charge is: who owned it when it was used.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

/// An account that is handed over at the beginning of October.
const HANDED_OVER: &str = "
currency: CHF
customers: [{name: Blue}, {name: Red}]
accounts:
  - {provider: acme, id: blue, customer: Blue, to: 2026-09}
  - {provider: acme, id: blue, customer: Red, from: 2026-10, percentage: 120}
  - {provider: acme, id: red, customer: Red}
";

/// One that is handed over on a day, and another whose percentage changes then.
const BY_DAY: &str = "
currency: CHF
customers: [{name: blue}, {name: red}]
accounts:
  - {provider: acme, id: one, customer: blue, to: 2026-10-15}
  - {provider: acme, id: one, customer: red, from: 2026-10-16}
  - {provider: acme, id: two, customer: blue, to: 2026-10-15}
  - {provider: acme, id: two, customer: blue, from: 2026-10-16, percentage: 150}
allocations:
  - {name: ai, match: {service: AI}, customer: red, from: 2026-10-20, to: 2026-10-20}
";

fn october_of(account: &str, cost: &str) -> Charge {
    charge(account, cost).used("2026-10-01T00", "2026-11-01T00")
}

#[test]
fn a_correction_of_an_earlier_month_is_that_months_owners() {
    let charges = [
        october_of("acme/blue", "100"),
        charge("acme/blue", "-30").used("2026-09-01T00", "2026-10-01T00").correction(),
        october_of("acme/red", "50"),
    ];
    let run = run(&catalog(HANDED_OVER), &charges);
    assert_eq!(run.bills[0].carried_out, decimal("-30"));
    assert_eq!(run.bills[1].total, decimal("170"));
    assert_snapshot!("correction", shown(&run));
    let told = &run.certificate.of_earlier_months["CHF"];
    assert_eq!((told.charges, told.amount), (1, decimal("-30")));
    // so is usage that comes late, and what corrects the month itself is not
    let charges = [
        charge("acme/blue", "7").used("2026-09-30T22", "2026-09-30T23"),
        charge("acme/blue", "-1").used("2026-10-01T00", "2026-10-02T00").correction(),
        charge("acme/blue", "2").used("2026-09-30T23", "2026-10-01T01"),
        charge("acme/blue", "62").used("2026-09-16T00", "2026-10-17T00"),
        charge("acme/blue", "3").used("2026-11-01T00", "2026-11-02T00"),
    ];
    assert_snapshot!("late_usage", shown(&super::run(&catalog(HANDED_OVER), &charges)));
}

#[test]
fn an_account_may_change_hands_within_a_month() {
    let charges = [
        charge("acme/one", "1").used("2026-10-15T23", "2026-10-16T00"),
        charge("acme/one", "2").used("2026-10-16T00", "2026-10-16T01"),
        charge("acme/two", "10").used("2026-10-15T23", "2026-10-16T00"),
        charge("acme/two", "20").used("2026-10-31T23", "2026-11-01T01"),
        charge("acme/one", "16").used("2026-10-01T00", "2027-10-01T00"),
        charge("acme/one", "4").of_service("AI").used("2026-10-20T00", "2026-10-21T00"),
        charge("acme/one", "8").of_service("AI").used("2026-10-21T00", "2026-10-22T00"),
    ];
    assert_snapshot!("by_day", shown(&run(&catalog(BY_DAY), &charges)));
}

#[test]
fn a_charge_that_spans_the_day_is_divided_by_time_and_told() {
    let run = run(&catalog(BY_DAY), &[october_of("acme/one", "31"), october_of("acme/two", "0.01")]);
    assert_snapshot!("divided", shown(&run));
    let told = &run.certificate.divided_by_time["CHF"];
    assert_eq!((told.charges, told.amount), (2, decimal("31.01")));
    let charges: u64 =
        run.bills.iter().flat_map(|b| &b.lines).flat_map(|l| &l.costs).map(|c| c.charges).sum();
    assert_eq!(charges, 2, "each is one charge");
}

#[test]
fn rules_may_ask_for_class_and_period_of_a_charge() {
    let catalog = catalog(
        "
currency: CHF
customers: [{name: blue}, {name: red}, {name: green}]
allocations:
  - {name: corrections, match: {charge_class: Correction, charge_period: '2026-*'}, customer: blue}
  - {name: september, match: {charge_period: 2026-09}, customer: red}
  - {name: rest, match: {provider: '*'}, customer: green}
",
    );
    let september = || charge("acme/one", "1").used("2026-09-30T23", "2026-10-01T00");
    let charges = [
        september().correction(),
        september(),
        october_of("acme/one", "1"),
        charge("acme/one", "1").used("2025-12-01T00", "2025-12-02T00").correction(),
        charge("acme/one", "1"),
    ];
    assert_snapshot!("class_and_period", shown(&run(&catalog, &charges)));
    let wrong = "
customers: [{name: blue}]
allocations: [{name: a, match: {charge_class: Fix, charge_period: September}, customer: blue, from: 2026-10-32}]
components: [{name: c, from: 2026-10-16}]
";
    let problems = parse(wrong.as_bytes()).unwrap_err();
    assert_snapshot!("wrong_dates", problems.to_string());
}

#[test]
fn a_pool_is_shared_by_the_owners_of_its_month_each_by_what_is_its_own() {
    let by_cost = |accounts: &str, charges: &[Charge]| {
        let catalog = catalog(&format!(
            "currency: CHF\ncustomers: [{{name: blue}}, {{name: green}}, {{name: red}}]\naccounts: [{accounts}, {{provider: acme, id: red, customer: red}}]\n\
             pools: [{{name: support, match: {{service: Support}}, split: {{by: cost}}}}]"
        ));
        shown(&run(&catalog, charges))
    };
    let support = || october_of("acme/payer", "100").of_service("Support");
    let handed_over = "{provider: acme, id: one, customer: blue, to: 2026-10-10}, {provider: acme, id: one, customer: green, from: 2026-10-11, percentage: 200}";
    let late = charge("acme/one", "200").used("2026-10-20T00", "2026-10-21T00");
    let charges = [support(), october_of("acme/one", "310"), late, october_of("acme/red", "310")];
    assert_snapshot!("pool_by_day", by_cost(handed_over, &charges));
    let by_month = "{provider: acme, id: one, customer: blue, to: 2026-09}, {provider: acme, id: one, customer: green, from: 2026-10}";
    let correction = charge("acme/one", "30").used("2026-09-01T00", "2026-10-01T00").correction();
    let charges = [support(), october_of("acme/one", "100"), correction, october_of("acme/red", "100")];
    assert_snapshot!("pool_and_correction", by_cost(by_month, &charges));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whoever_shares_a_charge_by_time_nothing_of_it_is_lost(
        charges in prop::collection::vec((-900i64..2_000, 0i64..2_000, any::<bool>(), -1_000_000i64..1_000_000, 0u32..20), 1..20),
    ) {
        let start = october().start();
        let charges: Vec<Charge> = charges.into_iter().map(|(from, hours, is_correction, cost, decimals)| {
            let (from, to) = (start + chrono::TimeDelta::hours(from), start + chrono::TimeDelta::hours(from + hours));
            let period = Some(ChargePeriod::between(from, to));
            Charge { period, is_correction, ..charge("acme/one", &Decimal::new(cost, decimals).to_string()) }
        }).collect();
        let catalog = catalog(BY_DAY);
        let in_force = InForce::new(&catalog, october());
        let owners = Owners::new(&in_force);
        let total = charges.iter().map(|charge| charge.cost.parse::<Decimal>().unwrap()).sum::<Decimal>();
        for charge in &charges {
            let amount = Amount::parse(charge.cost.as_bytes()).unwrap();
            let parts = owners.parts(&charge.facts()).divide(amount).unwrap();
            let sum = parts.iter().try_fold(Amount::ZERO, |sum, (_, part)| sum.checked_add(*part)).unwrap();
            prop_assert_eq!(sum.to_decimal(18).unwrap(), amount.to_decimal(18).unwrap());
            let is_negative = |amount: Amount| amount < Amount::ZERO;
            prop_assert!(parts.iter().all(|(_, part)| part.is_zero() || is_negative(*part) == is_negative(amount)));
        }
        let charged = charged(&in_force, &charges);
        let mut sum = charged.places.values().chain(charged.by_origin.values().map(|of| &of.costs)).flatten();
        let sum = sum.try_fold(Amount::ZERO, |sum, (_, cost)| sum.checked_add(cost.billed)).unwrap();
        prop_assert_eq!(sum.to_decimal(12).unwrap(), total.round_dp(12).normalize());
        prop_assert_eq!(charged.total["CHF"].charges, charges.len() as u64);
    }
}
