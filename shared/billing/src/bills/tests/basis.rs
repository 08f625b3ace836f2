//! Which cost is billed: what the provider invoices, or what use costs when commitments are spread over it.

use super::*;
use crate::catalog::billing::CostBasis;
use crate::certificate::Certified;
use ChargeCategory::{Purchase, Usage};

/// A savings plan that the platform bought and two teams used.
const TEAMS: &str = "
currency: USD
customers: [{name: Blue}, {name: Red}, {name: Platform}]
accounts:
  - {provider: aws, id: blue, customer: Blue}
  - {provider: aws, id: red, customer: Red}
  - {provider: aws, id: platform, customer: Platform}
";

fn usd(account: &str, billed: &str, effective: &str) -> Charge {
    charge(account, billed).in_currency(Currency::USD).effective(effective)
}

fn savings_plan() -> Vec<Charge> {
    let of = |account, billed, effective, category| {
        usd(account, billed, effective).of_commitment("sp/1", category)
    };
    vec![
        of("aws/platform", "100", "0", Purchase),
        of("aws/blue", "140", "70", Usage),
        of("aws/blue", "-140", "0", Usage),
        of("aws/red", "60", "30", Usage),
        of("aws/red", "-60", "0", Usage),
        usd("aws/red", "10", "10"),
    ]
}

fn problems(yaml: &str, charges: &[Charge]) -> String {
    try_run(&catalog(yaml), october(), charges, &Before::default()).unwrap_err().to_string()
}

#[test]
fn who_used_a_commitment_pays_for_it_by_effective_cost() {
    let billed = run(&catalog(TEAMS), &savings_plan());
    assert_snapshot!(shown(&billed), @r"
    Blue 0
      account/aws/blue 0
    Platform 100
      account/aws/platform 100
    Red 10
      account/aws/red 10
    ");
    assert_eq!(billed.certificate.charges["USD"].basis, None);
    let effective = run(&catalog(&format!("basis: effective{TEAMS}")), &savings_plan());
    assert_snapshot!(shown(&effective), @r"
    Blue 70
      account/aws/blue 70
    Platform 0
      account/aws/platform 0
    Red 40
      account/aws/red 40
    ");
    assert_eq!(
        effective.explain("Blue", "account/aws/blue").unwrap().comment,
        "100 % of 70 USD (effective cost)"
    );
    let proof = &effective.certificate.charges["USD"];
    assert_eq!((proof.charges_total, proof.billed_costs), (decimal("110"), decimal("110")));
    let categories =
        BTreeMap::from([("Purchase".to_owned(), decimal("-100")), ("Usage".to_owned(), decimal("100"))]);
    let expected = BasisProof {
        effective_total: Some(decimal("110")),
        billed: decimal("110"),
        effective: decimal("110"),
        difference: decimal("0"),
        by_category: categories,
    };
    assert_eq!(proof.basis, Some(expected));
}

#[test]
fn what_was_paid_in_another_month_is_a_named_difference() {
    let charges = [usd("aws/blue", "0", "70").of_commitment("sp/1", Usage), usd("aws/other", "5", "6")];
    let run = run(&catalog(&format!("basis: effective{TEAMS}")), &charges);
    let proof = &run.certificate.charges["USD"];
    let basis = proof.basis.as_ref().unwrap();
    assert_eq!(
        (proof.charges_total, proof.billed_costs, proof.unallocated_total),
        (decimal("5"), decimal("70"), decimal("6"))
    );
    assert_eq!((basis.difference, basis.by_category["Usage"]), (decimal("71"), decimal("71")));
    let mut changed = run.certificate.clone();
    changed.charges.get_mut("USD").unwrap().basis.as_mut().unwrap().difference = decimal("70");
    assert_eq!(
        changed.to_json().unwrap_err().to_string(),
        "the certificate of a run of bills contradicts itself: charges_total + basis.difference = billed_costs + not_recovered + unallocated_total in USD: 75 is not 76"
    );
}

#[test]
fn a_commitment_whose_purchase_and_uses_are_in_two_bases_is_held() {
    let teams = TEAMS.replace("customer: Blue}", "customer: Blue, basis: effective}");
    assert_eq!(
        problems(&teams, &savings_plan()),
        "2026-10 cannot be billed: the commitment sp/1 of aws: 70 USD would be billed twice: by effective cost are billed \
         account:aws/blue, by billed cost account:aws/platform, account:aws/red; give all of them one basis"
    );
    let platform = TEAMS.replace("customer: Platform}", "customer: Platform, basis: effective}");
    let held = problems(&platform, &savings_plan());
    assert!(
        held.contains(
            "100 USD would be billed to nobody: by effective cost are billed account:aws/platform, by"
        ),
        "{held}"
    );
    // a purchase that does not name its commitment may be any
    let mut unnamed = savings_plan();
    unnamed[0].commitment = None;
    let held = problems(&teams, &unnamed);
    assert!(
        held.contains(
            "commitments of aws/payer, which a purchase does not name: 70 USD would be billed twice"
        ),
        "{held}"
    );
    // usage that names none, and costs another amount by its use, is no commitment
    let other = [usd("aws/blue", "10", "9"), usd("aws/red", "10", "9")];
    assert_eq!(run(&catalog(&teams), &other).bills.len(), 2);
    // two commitments, each in one basis
    let own = [
        usd("aws/blue", "50", "0").of_commitment("sp/2", Purchase),
        usd("aws/blue", "0", "45").of_commitment("sp/2", Usage),
        usd("aws/red", "20", "2").of_commitment("ri/3", Purchase),
        usd("aws/red", "0", "18").of_commitment("ri/3", Usage),
    ];
    assert_snapshot!(shown(&run(&catalog(&teams), &own)), @r"
    Blue 45
      account/aws/blue 45
    Red 20
      account/aws/red 20
    ");
}

#[test]
fn a_pool_shares_its_cost_by_the_cost_that_it_asks_for() {
    let pool = |rest: &str| {
        format!(
            "{}pools:\n  - {{name: sp, match: {{account: platform, category: Purchase}}, over: {{category: Usage}}, {rest}}}\n",
            TEAMS.replace("  - {provider: aws, id: platform, customer: Platform}\n", "")
        )
    };
    let effective = run(&catalog(&format!("basis: effective{}", pool("split: {by: cost}"))), &savings_plan());
    assert_snapshot!(shown(&effective), @r"
    Blue 70
      account/aws/blue 70
    Red 40
      account/aws/red 40
    ");
    // the purchase as it is billed, by who used it: 100 by 70 to 40
    let weighed = run(&catalog(&pool("split: {by: cost, basis: effective}")), &savings_plan());
    assert_snapshot!(shown(&weighed), @r"
    Blue 63.64
      account/aws/blue 63.64
    Red 46.36
      account/aws/red 46.36
    ");
    // by what was billed nobody but Red used anything
    let billed = run(&catalog(&pool("split: {by: cost}")), &savings_plan());
    assert_snapshot!(shown(&billed), @r"
    Blue 0
      account/aws/blue 0
    Red 110
      account/aws/red 110
    ");
    let without_over = pool("split: {by: cost, basis: effective}").replace("over: {category: Usage}, ", "");
    assert_eq!(shown(&run(&catalog(&without_over), &savings_plan())), shown(&weighed));
}

#[test]
fn a_component_is_in_the_basis_of_its_own_or_of_the_services_that_use_it() {
    let yaml = |component: &str, services: [&str; 2]| {
        format!(
            "
currency: USD
customers: [{{name: Blue}}, {{name: Red}}]
components: [{{name: k, price: {{percent_of_cost: 100}}, match: {{provider: aws}}{component}}}]
services:
  - {{name: one, customer: Blue, components: [{{component: k, quantity: 0.25}}]{}}}
  - {{name: two, customer: Red, components: [{{component: k, quantity: 0.75}}]{}}}
",
            services[0], services[1]
        )
    };
    let charges = [
        usd("aws/1", "100", "0").of_commitment("sp/1", Purchase),
        usd("aws/1", "0", "60").of_commitment("sp/1", Usage),
    ];
    let totals = |component, services| {
        let run = run(&catalog(&yaml(component, services)), &charges);
        run.bills.iter().map(|bill| bill.total.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(totals("", ["", ""]), ["25", "75"]);
    assert_eq!(totals(", basis: effective", ["", ""]), ["15", "45"]);
    assert_eq!(totals("", [", basis: effective", ", basis: effective"]), ["15", "45"]);
    let problem =
        |component, services| parse(yaml(component, services).as_bytes()).unwrap_err().0[0].to_string();
    assert_eq!(
        problem("", [", basis: effective", ""]),
        "line 7, column 5: services[1].basis: 'two' pays for the component 'k' by basis billed, and the service 'one' on line 6 pays for it by \
         basis effective: a component has one, state it there"
    );
    assert_eq!(
        problem(", basis: billed", ["", ", basis: effective"]),
        "line 7, column 5: services[1].basis: 'two' pays for the component 'k' by basis effective, and it states basis billed itself: a \
         component has one, state it there"
    );
}

#[test]
fn charges_that_state_no_effective_cost_are_not_billed_by_it() {
    let mut charges = savings_plan();
    charges[1] = charges[1].clone().effective("");
    let effective = format!("basis: effective{TEAMS}");
    assert_eq!(
        problems(&effective, &charges),
        "2026-10 cannot be billed: account:aws/blue, accounts[0], line 5: 1 charges in USD state no EffectiveCost, which is to be billed: \
         bring an export that has it, or bill them by basis: billed"
    );
    let blue_billed = TEAMS.replace("customer: Red}", "customer: Red, basis: effective}");
    let red_only = [charges[1].clone(), usd("aws/red", "10", "10")];
    let run = run(&catalog(&blue_billed), &red_only);
    assert_eq!(run.certificate.charges["USD"].basis.as_ref().unwrap().effective_total, None);
    assert_eq!(shown(&run), "Blue 140\n  account/aws/blue 140\nRed 10\n  account/aws/red 10\n");
}

#[test]
fn an_owner_by_cost_centre_pays_in_the_basis_of_the_account_and_without_one_in_the_catalogs() {
    let yaml = "
currency: USD
cost_center_tag: cc
customers: [{name: Blue}, {name: Red, cost_center: '2'}]
accounts: [{provider: aws, id: blue, customer: Blue, basis: effective}]
";
    let charges = [usd("aws/blue", "0", "7").tagged("cc", "2"), usd("aws/other", "5", "6").tagged("cc", "2")];
    let run = run(&catalog(yaml), &charges[..1]);
    assert_eq!(run.bills[0].total, decimal("7"));
    let other = super::run(&catalog(yaml), &charges[1..]);
    assert_eq!(other.bills[0].total, decimal("5"));
    let plan = charges.map(|charge| charge.of_commitment("sp/1", Usage));
    assert!(
        problems(yaml, &plan).contains("1 USD would be billed to nobody, or 7 USD twice"),
        "{}",
        problems(yaml, &plan)
    );
}

#[test]
fn a_charge_that_owners_share_by_time_is_divided_in_both_costs() {
    let yaml = "
currency: USD
basis: effective
customers: [{name: Blue}, {name: Red}]
accounts:
  - {provider: aws, id: one, customer: Blue, to: 2026-10-10}
  - {provider: aws, id: one, customer: Red, from: 2026-10-11}
";
    let charge = usd("aws/one", "0", "31").used("2026-10-01T00", "2026-11-01T00");
    let run = run(&catalog(yaml), &[charge]);
    assert_eq!(run.bills.iter().map(|bill| bill.total.to_string()).collect::<Vec<_>>(), ["10", "21"]);
    let told = &run.certificate.divided_by_time["USD"];
    assert_eq!((told.amount, told.charges), (decimal("31"), 1));
    assert_eq!(CostBasis::ALL.map(CostBasis::as_str), ["billed", "effective"]);
}

#[test]
fn what_goes_astray_of_a_commitment_is_said_as_far_as_a_month_can_tell() {
    let astray = |own: [&str; 3], charges: &[Charge]| {
        let [platform, blue, red] = own;
        let yaml = TEAMS
            .replace("customer: Platform}", &format!("customer: Platform, basis: {platform}}}"))
            .replace("customer: Blue}", &format!("customer: Blue, basis: {blue}}}"))
            .replace("customer: Red}", &format!("customer: Red, basis: {red}}}"));
        let held = problems(&yaml, charges);
        let (_, said) = held.split_once("sp/1 of aws: ").unwrap();
        said.split_once(": by effective").unwrap().0.to_owned()
    };
    let of = |account, billed, effective, category| {
        usd(account, billed, effective).of_commitment("sp/1", category)
    };
    let uses = [of("aws/blue", "0", "70", Usage), of("aws/red", "0", "30", Usage)];
    let with = |billed, effective| [&[of("aws/platform", billed, effective, Purchase)], &uses[..]].concat();
    let (effective, billed) = ("effective", "billed");
    // the year was paid in this month
    assert_eq!(
        astray([effective, effective, billed], &with("1200", "0")),
        "30 USD would be billed to nobody"
    );
    assert_eq!(astray([billed, effective, billed], &with("1200", "0")), "70 USD would be billed twice");
    // it was paid in another one, by whichever cost
    let either = "30 USD would be billed to nobody, or 70 USD twice";
    assert_eq!(astray([effective, effective, billed], &uses), either);
    // half of it is paid each month, and comes to what one of both uses
    assert_eq!(astray([effective, effective, billed], &with("70", "0")), "30 USD would be billed to nobody");
    let unstated = [of("aws/platform", "100", "0", Purchase), of("aws/blue", "0", "", Usage)];
    assert_eq!(astray([effective, billed, billed], &unstated), "100 USD would be billed to nobody");
    let mut euro = with("100", "0");
    euro[2] = euro[2].clone().in_currency(Currency::EUR);
    let yaml = format!("fx: {{rates: {{2026-10: {{EUR: 1}}}}}}{TEAMS}");
    let held = problems(&yaml.replace("customer: Red}", "customer: Red, basis: effective}"), &euro);
    assert!(
        held.contains("sp/1 of aws: 30 EUR would be billed twice; 30 USD would be billed twice:"),
        "{held}"
    );
}

#[test]
fn purchases_and_uses_of_azure_are_of_one_order() {
    let yaml = TEAMS
        .replace("provider: aws", "provider: azure")
        .replace("customer: Blue}", "customer: Blue, basis: effective}");
    let orders = "/providers/Microsoft.Capacity/reservationOrders/8A2B";
    for (purchase, of_use) in [
        (format!("{orders}/reservations/"), format!("{orders}/reservations/77").to_lowercase()),
        ("8a2b".to_owned(), format!("{orders}/reservations/77")),
    ] {
        let charges = [
            usd("azure/platform", "100", "0").of_commitment(&purchase, Purchase),
            usd("azure/blue", "0", "100").of_commitment(&of_use, Usage),
        ];
        let held = problems(&yaml, &charges);
        assert!(held.contains("the commitment 8a2b of azure: 100 USD would be billed twice"), "{held}");
    }
}

#[test]
fn what_is_in_one_basis_is_not_held_for_others() {
    let of = |account, billed, effective, id, category| {
        usd(account, billed, effective).of_commitment(id, category)
    };
    let teams = TEAMS
        .replace("customer: Blue}", "customer: Blue, basis: effective}")
        .replace("customer: Platform}", "customer: Platform, basis: effective}");
    // a purchase that names nothing may be of c1, but not of c2, which has its own
    let charges = [
        usd("aws/platform", "50", "0").of_commitment("", Purchase),
        of("aws/blue", "0", "100", "c1", Usage),
        of("aws/red", "40", "0", "c2", Purchase),
        of("aws/red", "0", "40", "c2", Usage),
    ];
    assert_eq!(run(&catalog(&teams), &charges).bills.len(), 3);
    // a correction of a month in which the account was billed otherwise
    let dated = TEAMS.replace(
        "  - {provider: aws, id: blue, customer: Blue}\n",
        "  - {provider: aws, id: blue, customer: Blue, to: 2026-08}\n  - {provider: aws, id: blue, customer: Blue, basis: effective, from: 2026-09}\n",
    );
    let dated = dated.replace("customer: Platform}", "customer: Platform, basis: effective}");
    let charges = [
        of("aws/platform", "50", "0", "sp/1", Purchase),
        of("aws/blue", "0", "100", "sp/1", Usage).used("2026-10-01T00", "2026-11-01T00"),
        of("aws/blue", "0", "-8", "sp/1", Usage).used("2026-08-01T00", "2026-09-01T00").correction(),
    ];
    assert_eq!(shown(&run(&catalog(&dated), &charges)).lines().next(), Some("Blue 100"));
    // a pool that is not shared by the costs of who states none
    let pool = |split: &str| {
        format!(
            "{teams}pools:\n  - {{name: p, match: {{service: Support}}, basis: effective, split: {{{split}}}}}\n"
        )
    };
    let charges = [
        usd("aws/other", "5", "5").of_service("Support"),
        usd("aws/red", "7", ""),
        usd("aws/blue", "1", "1"),
    ];
    let shared = run(&catalog(&pool("by: percent, percents: {'customer:Blue': 100}")), &charges);
    assert_eq!(shared.bills.iter().map(|bill| bill.total.to_string()).collect::<Vec<_>>(), ["6", "7"]);
    let held = problems(&pool("by: cost"), &charges);
    assert!(
        held.contains("pools 'p', line 9 is shared by effective cost, and 1 charges in USD of account:aws/red state none"),
        "{held}"
    );
}

#[test]
fn what_a_run_tells_of_charges_is_in_the_cost_that_it_bills() {
    let yaml = TEAMS.replace("currency: USD", "currency: USD\ncost_center_tag: cc");
    let yaml = yaml.replace("customer: Blue}", "customer: Blue, basis: effective}");
    let charges = [
        usd("aws/blue", "0", "70").tagged("cc", "9"),
        usd("aws/blue", "0", "30").used("2026-08-01T00", "2026-09-01T00").correction(),
    ];
    let certificate = run(&catalog(&yaml), &charges).certificate;
    let amount = |costs: &UnknownCosts| costs["USD"].amount;
    assert_eq!(amount(&certificate.unknown_cost_centers.named["9"]), decimal("70"));
    assert_eq!(amount(&certificate.of_earlier_months), decimal("30"));
}
