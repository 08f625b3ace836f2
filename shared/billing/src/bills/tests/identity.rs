//! One thing under two spellings: by the rule of the charge's provider.

use proptest::prelude::*;

use super::*;

const TEAMS: &str = "
currency: USD
cost_center_tag: cost-center
customers:
  - {name: Team Blue, cost_center: '1'}
  - {name: Team Red, cost_center: '2'}
accounts:
  - {provider: Microsoft, id: /subscriptions/SUB-1, customer: Team Blue}
  - {provider: aws, id: Acc-1, customer: Team Blue}
";

fn usd(account: &str, cost: &str) -> Charge {
    charge(account, cost).in_currency(Currency::USD)
}

#[test]
fn the_cost_centre_of_azure_counts_however_its_tag_is_written() {
    let catalog = catalog(TEAMS);
    let charges = [
        usd("azure/sub-1", "100").tagged("Cost-Center", "2"),
        usd("azure/sub-1", "10").tagged("cost-center", "2"),
        usd("azure/SUB-1", "5").tagged("cost-center", "\u{feff} 2 "),
        usd("azure/Sub-1", "1"),
    ];
    let run = run(&catalog, &charges);
    let totals: Vec<String> = run.bills.iter().map(|b| format!("{} {}", b.customer, b.total)).collect();
    assert_eq!(totals, ["Team Blue 1", "Team Red 115"]);
    assert_eq!(run.unallocated, []);
}

#[test]
fn names_of_tags_and_accounts_of_others_count_letter_by_letter() {
    let catalog = catalog(TEAMS);
    let charges = [
        usd("aws/Acc-1", "100").tagged("Cost-Center", "2"),
        usd("aws/Acc-1", "10").tagged("cost-center", " 2"),
        usd("aws/acc-1", "5"),
    ];
    assert_eq!(
        shown(&run(&catalog, &charges)),
        "Team Blue 100\n  account/aws/Acc-1 100\nTeam Red 10\n  account/aws/Acc-1 10\n\
         aws/acc-1 5 USD: no rule of the catalog claims these charges\n"
    );
}

const RULES: &str = "
currency: USD
customers: [{name: blue}, {name: red}]
allocations:
  - {name: region, match: {region: WestEurope}, customer: blue}
  - {name: service, match: {provider: Amazon Web Services, service: Virtual Machines}, customer: blue}
  - {name: azures, match: {provider: [Microsoft, GCP], service: VIRTUAL MACHINES}, customer: blue}
  - {name: payer, match: {billing_account: /providers/Microsoft.Billing/billingAccounts/Payer-1}, customer: red}
  - {name: profile, match: {billing_account: '/providers/microsoft.billing/billingAccounts/Payer-1/billingProfiles/P*'}, customer: red}
  - {name: resource, match: {resource: '/subscriptions/S/*/DISKS/*'}, customer: red}
  - {name: account, match: {account: '/subscriptions/Dev-*'}, customer: red}
  - {name: tags, match: {tags: {Team: core}}, customer: red}
  - {name: star, match: {provider: 'micro*', service: odd}, customer: red}
";

fn taken(facts: &Facts<'_>) -> String {
    let catalog = catalog(RULES);
    let placed = Placer::new(&InForce::new(&catalog, october())).place(facts).unwrap();
    match placed.place {
        Place::Allocation(at) => catalog.allocations[at].name.clone(),
        _ => String::new(),
    }
}

#[test]
fn patterns_fit_by_the_rule_of_the_charges_provider() {
    let profile = "/providers/Microsoft.Billing/billingAccounts/PAYER-1/billingProfiles/p1";
    let other = "/providers/Microsoft.Billing/billingAccounts/other/billingProfiles/p1";
    let base = Facts {
        provider: "azure",
        billing_account: "bill",
        sub_account_id: Some("s"),
        sub_account_name: None,
        service: "Storage",
        region: None,
        resource: None,
        allocated_resource: None,
        tags: Tags::None,
        category: ChargeCategory::Usage,
        is_correction: false,
        commitment: None,
        period: None,
    };
    let aws = Facts { provider: "aws", ..base };
    for (facts, rule, rule_of_aws) in [
        (Facts { region: Some("westeurope"), ..base }, "region", ""),
        (Facts { region: Some("WestEurope"), ..base }, "region", "region"),
        (Facts { service: "virtual machines", ..base }, "azures", ""),
        (Facts { service: "Virtual Machines", ..base }, "azures", "service"),
        (Facts { billing_account: "PAYER-1", ..base }, "payer", ""),
        (Facts { billing_account: profile, ..base }, "profile", ""),
        (Facts { billing_account: other, ..base }, "", ""),
        (Facts { resource: Some("/subscriptions/s/RG/Disks/d"), ..base }, "resource", ""),
        (Facts { sub_account_id: Some("DEV-1"), ..base }, "account", ""),
        (Facts { sub_account_id: Some("/Subscriptions/dev-1"), ..base }, "account", ""),
        (Facts { sub_account_id: Some("/subscriptions/Dev-1"), ..base }, "account", "account"),
        (Facts { tags: Tags::Json(r#"{"TEAM": "core"}"#), ..base }, "tags", ""),
        (Facts { tags: Tags::Pairs(&[("Team", "core ")]), ..base }, "tags", "tags"),
        (Facts { tags: Tags::Json(r#"{"Team": "CORE"}"#), ..base }, "", ""),
        (Facts { service: "odd", ..base }, "", ""),
        (Facts { service: "odd", provider: "micro-cloud", ..base }, "star", ""),
    ] {
        assert_eq!(taken(&facts), rule, "{facts:?}");
        assert_eq!(taken(&Facts { provider: "aws", ..facts }), rule_of_aws, "of aws: {facts:?}");
    }
    // a bucket may hold a provider under another of its names
    assert_eq!(taken(&Facts { provider: "microsoft", service: "virtual machines", ..base }), "azures");
    assert_eq!(taken(&Facts { service: "virtual machines", ..aws }), "");
}

#[test]
fn what_nobody_claims_is_one_account_under_one_of_its_spellings_whatever_the_order() {
    let catalog = catalog("{currency: USD, customers: [{name: blue}]}");
    let charges = [
        usd("azure/SUB-7", "1"),
        usd("azure/sub-7", "2"),
        usd("azure//subscriptions/Sub-7", "4"),
        usd("aws/A", "8"),
        usd("aws/a", "16"),
    ];
    let expected = "aws/A 8 USD: no rule of the catalog claims these charges\n\
                    aws/a 16 USD: no rule of the catalog claims these charges\n\
                    azure/sub-7 7 USD: no rule of the catalog claims these charges\n";
    let in_force = InForce::new(&catalog, october());
    for turn in 0..charges.len() {
        let mut turned = charges.clone();
        turned.rotate_left(turn);
        assert_eq!(shown(&run(&catalog, &turned)), expected);
        let mut parts = Charged::default();
        turned.chunks(1).for_each(|charge| parts.merge(&charged(&in_force, charge)).unwrap());
        assert_eq!(parts, charged(&in_force, &charges));
    }
}

#[test]
fn targets_of_pools_and_drivers_may_be_written_as_azure_writes_them() {
    let catalog = catalog(
        "
currency: USD
customers: [{name: blue}, {name: red}]
accounts:
  - {provider: azure, id: SUB-1, customer: blue, to: 2026-09}
  - {provider: azure, id: sub-1, customer: blue, from: 2026-10}
  - {provider: azure, id: Sub-2, customer: red}
pools:
  - {name: p, match: {service: P}, split: {by: cost}, targets: [SUB-1, /subscriptions/SUB-2]}
  - {name: q, match: {service: Q}, split: {by: driver, name: hours}}
",
    );
    let charges = [
        usd("azure/SUB-1", "30"),
        usd("azure/sub-2", "10"),
        usd("azure/x", "4").of_service("P"),
        usd("azure/x", "8").of_service("Q"),
    ];
    let before = driver("hours", &[("/subscriptions/sub-1", "1"), ("account:SUB-2", "3")]);
    let run = try_run(&catalog, october(), &charges, &before).unwrap();
    assert_eq!(shown(&run), "blue 35\n  account/azure/sub-1 35\nred 17\n  account/azure/Sub-2 17\n");
}

/// Account, tag, cost and how they are written.
type Row = (usize, usize, i64, usize);

/// A charge of Azure, in one of four spellings.
fn spelled((account, tag, cost, spelling): Row) -> Charge {
    let upper = |text: &str| if spelling % 2 == 1 { text.to_uppercase() } else { text.to_owned() };
    let path = if spelling > 1 { "/subscriptions/" } else { "" };
    let account = upper(&format!("{path}sub-{account}"));
    let charge = usd(&format!("azure/{account}"), &Decimal::new(cost, 2).to_string());
    let service = upper("support");
    match tag {
        0 => charge,
        1 => charge.of_service(&service),
        _ => charge.tagged(&upper("cost-center"), &(tag - 1).to_string()),
    }
}

proptest! {
    #[test]
    fn how_azure_spells_its_ids_changes_no_amount(rows in prop::collection::vec((0usize..4, 0usize..5, -500i64..9_000, 0usize..4), 0..25)) {
        let catalog = catalog(&format!("{TEAMS}
pools: [{{name: support, match: {{service: Support, provider: Azure}}, split: {{by: cost}}, over: {{account: Sub-*}}}}]
"));
        let of = |rows: &[Row]| run(&catalog, &rows.iter().copied().map(spelled).collect::<Vec<_>>());
        let plain: Vec<Row> = rows.iter().map(|(account, tag, cost, _)| (*account, *tag, *cost, 0)).collect();
        let backward: Vec<Row> = rows.iter().rev().copied().collect();
        let amounts = |run: &BillRun| {
            let lines = run.bills.iter().flat_map(|bill| bill.lines.iter().map(move |line| (bill, line)));
            let lines: Vec<_> = lines.map(|(bill, line)| (bill.customer.clone(), line.key.clone(), line.exact)).collect();
            let rest = run.unallocated.iter().map(|rest| (rest.what.to_lowercase().replace("/subscriptions/", ""), rest.amount));
            let mut rest: Vec<_> = rest.collect();
            rest.sort();
            (lines, rest)
        };
        prop_assert_eq!(amounts(&of(&rows)), amounts(&of(&plain)));
        prop_assert_eq!(of(&rows), of(&backward));
    }
}
