//! Which rule takes a charge.

use super::*;
use crate::certificate::Certified;

const RULES: &str = "
currency: CHF
cost_center_tag: cc
customers: [{name: blue, cost_center: B1}, {name: red, cost_center: R1}]
accounts:
  - {provider: aws, id: '1', name: one, customer: blue}
  - {provider: aws, name: two, customer: blue}
  - {provider: aws, id: payer, customer: red}
  - {provider: aws, id: 'star*', customer: red}
allocations:
  - {name: late, match: {service: 'S*'}, customer: red, priority: 5}
  - {name: early, match: {service: '*3', region: [eu-1, eu-2]}, customer: blue, priority: -1}
  - {name: buckets, match: {resource: 'arn:*:bucket/*', category: [Usage, Tax]}, customer: red}
  - {name: old, match: {account: '1'}, customer: red, to: 2026-09}
pools: [{name: shared, match: {billing_account: pool-payer, tags: {team: ''}}, split: {by: even}, targets: [blue]}]
components: [{name: db, match: {account: [dba, db-by-name], tags: {db: '*'}}}]
";

fn placed(facts: &Facts<'_>) -> String {
    let catalog = catalog(&RULES.replace("team: ''", "team: core"));
    let placed = Placer::new(&InForce::new(&catalog, october())).place(facts).unwrap();
    let unknown = if placed.unknown_cost_center { ", unknown cost centre" } else { "" };
    let payer = match placed.place {
        Place::Account { customer, .. } => format!(" for {}", catalog.customers[customer].name),
        _ => String::new(),
    };
    format!("{}{payer}{unknown}", placed.place.rule(&catalog))
}

fn facts<'a>() -> Facts<'a> {
    Facts {
        provider: "aws",
        billing_account: "bill",
        sub_account_id: Some("1"),
        sub_account_name: Some("one"),
        service: "EC2",
        region: None,
        allocated_resource: None,
        resource: None,
        tags: Tags::None,
        category: ChargeCategory::Usage,
        commitment: None,
        is_correction: false,
        period: None,
    }
}

#[test]
fn the_first_rule_that_fits_decides() {
    let base = facts();
    let db = [("db", "x"), ("team", "core")];
    let cases = [
        ("id", base),
        ("another provider", Facts { provider: "azure", ..base }),
        ("an id beats a name", Facts { sub_account_id: Some("9"), ..base }),
        ("a name without an id", Facts { sub_account_id: None, ..base }),
        (
            "an account known by name",
            Facts { sub_account_id: Some("9"), sub_account_name: Some("two"), ..base },
        ),
        (
            "billing account",
            Facts { billing_account: "payer", sub_account_id: None, sub_account_name: Some(""), ..base },
        ),
        ("not the billing account", Facts { billing_account: "payer", sub_account_id: Some("9"), ..base }),
        ("stars in ids are stars", Facts { sub_account_id: Some("star1"), ..base }),
        ("itself", Facts { sub_account_id: Some("star*"), ..base }),
        ("priority 0 or 5", Facts { service: "S3", region: Some("us-1"), ..base }),
        ("priority -1", Facts { service: "S3", region: Some("eu-2"), ..base }),
        ("resource", Facts { resource: Some("arn:aws:bucket/x"), service: "S4", ..base }),
        ("category", Facts { resource: Some("arn:aws:bucket/x"), category: ChargeCategory::Credit, ..base }),
        (
            "component",
            Facts {
                sub_account_id: Some("dba"),
                tags: Tags::Pairs(&db),
                billing_account: "pool-payer",
                ..base
            },
        ),
        (
            "component by name",
            Facts { sub_account_name: Some("db-by-name"), tags: Tags::Json(r#"{"db": "y"}"#), ..base },
        ),
        ("component without tag", Facts { sub_account_id: Some("dba"), tags: Tags::Json("{}"), ..base }),
        ("pool", Facts { tags: Tags::Pairs(&db), billing_account: "pool-payer", ..base }),
    ];
    let lines = cases.map(|(name, facts)| format!("{name}: {}", placed(&facts)));
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_cost_centre_tag_overrides_the_customer_of_the_account_only() {
    let base = facts();
    let lines = [
        placed(&Facts { tags: Tags::Json(r#"{"cc": "R1"}"#), ..base }),
        placed(&Facts { tags: Tags::Pairs(&[("cc", "X9")]), ..base }),
        placed(&Facts { tags: Tags::Pairs(&[("cc", "")]), ..base }),
        placed(&Facts { tags: Tags::Json(r#"{"cc": "R1"}"#), sub_account_id: Some("9"), ..base }),
        placed(&Facts { tags: Tags::Json(r#"{"cc": "B1"}"#), service: "S3", ..base }),
    ];
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn dated_rules_apply_to_their_months() {
    let catalog = catalog(&RULES.replace("team: ''", "team: core"));
    let at = |month| Placer::new(&InForce::new(&catalog, month)).place(&facts()).unwrap().place;
    assert_eq!(at(month("2026-09")), Place::Allocation(3));
    assert_eq!(at(october()), Place::Account { account: 0, customer: 0 });
}

#[test]
fn tags_that_are_no_object_are_an_error_and_add_nothing() {
    let catalog = catalog(&RULES.replace("team: ''", "team: core"));
    let mut adder = Adder::new(Placer::new(&InForce::new(&catalog, october())));
    let facts = Facts { tags: Tags::Json("[1"), ..facts() };
    let error = adder.add(&facts, Currency::CHF, Some(Amount::ZERO), Some(Amount::ZERO)).unwrap_err();
    assert!(error.to_string().starts_with("the tags are neither a JSON object"), "{error}");
    assert_eq!(adder.finish().unwrap().total, Costs::new());
}

#[test]
fn unknown_cost_centres_are_named_with_what_they_cost() {
    let catalog = catalog(&RULES.replace("team: ''", "team: core"));
    let in_force = InForce::new(&catalog, october());
    let charges = [
        charge("aws/1", "3").tagged("cc", "X9"),
        charge("aws/1", "4").tagged("cc", "X9"),
        charge("aws/1", "5"),
    ];
    let charged = charged(&in_force, &charges);
    assert_eq!(charged.unknown_cost_centers["X9"]["CHF"].billed.to_string(), "7");
    assert_eq!(charged.unknown_cost_centers["X9"]["CHF"].charges, 2);
}

#[test]
fn parts_of_a_month_added_up_apart_come_to_the_same() {
    let catalog = catalog(&RULES.replace("team: ''", "team: core"));
    let in_force = InForce::new(&catalog, october());
    let charges = [
        charge("aws/1", "3"),
        charge("aws/9", "4"),
        charge("gcp/1", "5.5"),
        charge("aws/1", "6").tagged("cc", "X"),
    ];
    let whole = charged(&in_force, &charges);
    let mut parts = Charged::default();
    for charge in charges.chunks(1) {
        parts.merge(&charged(&in_force, charge)).unwrap();
    }
    assert_eq!(parts, whole);
    let other = InForce::new(&catalog, month("2026-11"));
    assert!(matches!(parts.merge(&charged(&other, &[])), Err(ChargeError::OtherRules { .. })));
}

#[test]
fn what_is_remembered_stays_small_however_many_combinations_there_are() {
    let mut yaml = "currency: CHF\ncustomers: [{name: blue}]\nallocations:\n".to_owned();
    for at in 0..20 {
        yaml.push_str(&format!(
            "  - {{name: r{at}, match: {{service: s{at}, tags: {{team: t{at}}}}}, customer: blue}}\n"
        ));
    }
    let catalog = catalog(&yaml);
    let mut placer = Placer::new(&InForce::new(&catalog, october()));
    for (service, team, resource) in
        (0..40).flat_map(|s| (0..40).flat_map(move |t| (0..5).map(move |r| (s, t, r))))
    {
        let (service, team) = (format!("s{service}"), format!("t{team}"));
        let resource = format!("{service}{team}{resource}");
        let tags = [("team", team.as_str())];
        let facts =
            Facts { service: &service, tags: Tags::Pairs(&tags), resource: Some(&resource), ..facts() };
        let expected =
            service.trim_start_matches('s') == team.trim_start_matches('t') && service.len() + team.len() < 7;
        let place = placer.place(&facts).unwrap().place;
        let number: usize = service.trim_start_matches('s').parse().unwrap();
        assert_eq!(place != Place::Unallocated, expected && number < 20, "{service} {team}");
    }
    // one for each rule, and one for what none claims
    assert_eq!(placer.kinds.len(), 21);
}

#[test]
fn a_charge_of_a_file_is_placed_by_its_columns() {
    let catalog = catalog(&RULES.replace("team: ''", "team: core"));
    let period = crate::charge::Period { start: october().start(), end: october().end() };
    let mut charge =
        crate::charge::Charge::new(Decimal::ONE, Currency::USD, "bill".into(), period, "Amazon".into());
    charge.sub_account_id = Some("1".into());
    charge.tags = Some(r#"{"cc": "R1"}"#.into());
    let place =
        Placer::new(&InForce::new(&catalog, october())).place(&Facts::of("aws", &charge)).unwrap().place;
    assert_eq!(place, Place::Account { account: 0, customer: 1 });
}

#[test]
fn a_cost_centre_claims_what_no_rule_does_and_its_line_names_the_account() {
    let catalog = catalog(
        "
currency: CHF
cost_center_tag: cc
fx: {rates: {2026-10: {USD: '0.5'}}}
customers: [{name: blue, cost_center: B1}, {name: red, cost_center: R1}]
accounts: [{provider: azure, id: SUB-1, customer: blue, percentage: 110}]
allocations: [{name: storage, match: {service: Storage}, customer: blue}]
pools: [{name: p, match: {service: P}, split: {by: cost}}, {name: q, match: {service: Q}, split: {by: cost}, targets: ['customer:blue', 'customer:red']}]
",
    );
    let charges = [
        charge("azure/sub-1", "100").tagged("cc", "B1"),
        charge("azure/SUB-9", "30").tagged("CC", "R1"),
        charge("azure/sub-9", "20").tagged("cc", "R1 ").in_currency(Currency::USD),
        charge("azure/sub-9", "40").tagged("cc", "B1"),
        charge("azure/sub-9", "7").tagged("cc", "X9"),
        charge("aws/a/b", "10").tagged("cc", "R1"),
        charge("azure/sub-9", "3").tagged("cc", "R1").of_service("Storage"),
        charge("azure/sub-9", "19.3").of_service("P"),
        charge("azure/sub-9", "38.6").of_service("Q"),
    ];
    let run = run(&catalog, &charges);
    assert_snapshot!(shown(&run));
    let line = run.explain("red", "cost-center/azure/payer/sub-9").unwrap();
    assert_eq!((line.name.as_str(), line.provider.as_deref()), ("sub-9", Some("azure")));
    assert_eq!(line.rule, "customers[1], line 5");
    assert_eq!(
        line.comment,
        "100 % of 30 CHF + 20 USD at 0.5 (catalog, 2026-10), tagged with cost centre R1"
    );
    let counted: Vec<u64> = line.costs.iter().map(|cost| cost.charges).collect();
    assert_eq!(counted, [1, 1]);
    assert_eq!(run.stated().unwrap().len(), 2);
}

const DECIDES_BY_TAGS: &str = "
currency: CHF
customers: [{name: blue, cost_center: B1}, {name: red, cost_center: R1}]
accounts: [{provider: aws, id: '1', customer: blue}]
allocations:
  - {name: first, match: {service: S3}, customer: red}
  - {name: tagged, match: {region: eu-central-2, service: [S3, EC2], tags: {team: red}}, customer: red}
";

fn unread(account: &str, service: &str, cost: &str) -> Charge {
    charge(account, cost).of_service(service).unread("team: red; broken")
}

#[test]
fn what_hangs_on_tags_that_cannot_be_read_is_unallocated() {
    let charges = [
        unread("aws/1", "EC2", "3"),
        unread("aws/1", "EC2", "4"),
        unread("aws/1", "S3", "5"),
        unread("aws/1", "Lambda", "6"),
        unread("gcp/1", "EC2", "7").in_currency(Currency::USD),
        unread("gcp/1", "Lambda", "8"),
        charge("aws/1", "9").of_service("EC2"),
    ];
    let catalog_of = |more: &str| catalog(&format!("{DECIDES_BY_TAGS}\n{more}"));
    let why = "the tags of these charges cannot be read, and the catalog decides by tags";
    let nobody = "no rule of the catalog claims these charges";
    let by_rule = run(&catalog_of(""), &charges);
    assert_eq!(
        shown(&by_rule),
        format!(
            "blue 15\n  account/aws/1 15\nred 5\n  allocation/first 5\n\
             aws/1 7 CHF: {why}\ngcp/1 8 CHF: {nobody}\ngcp/1 7 USD: {why}\n"
        )
    );
    let counted = |run: &BillRun| {
        let costs = run.certificate.unread_tags.iter();
        costs.map(|(code, cost)| format!("{} {} {code}", cost.charges, cost.amount)).collect::<Vec<_>>()
    };
    assert_eq!(counted(&by_rule), ["2 7 CHF", "1 7 USD"]);
    let by_center = run(&catalog_of("cost_center_tag: cc"), &charges);
    assert_eq!(
        shown(&by_center),
        format!(
            "blue 9\n  account/aws/1 9\nred 5\n  allocation/first 5\naws/1 13 CHF: {why}\ngcp/1 8 CHF: {why}\ngcp/1 7 USD: {why}\n"
        )
    );
    assert_eq!(counted(&by_center), ["4 21 CHF", "1 7 USD"]);
    let json = String::from_utf8(by_center.certificate.to_json().unwrap()).unwrap();
    let schema = include_str!("../../../../../docs/bill-run-certificate.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    assert!(schema.is_valid(&serde_json::from_str(&json).unwrap()), "{json}");
}

#[test]
fn a_catalog_that_never_looks_at_tags_does_not_mind_what_they_are() {
    let yaml = DECIDES_BY_TAGS.replace(", tags: {team: red}", "");
    let read = [charge("aws/1", "3").of_service("Lambda"), charge("gcp/1", "4").of_service("Lambda")];
    let unread = [unread("aws/1", "Lambda", "3"), unread("gcp/1", "Lambda", "4")];
    let [read, unread] = [&read, &unread].map(|charges| run(&catalog(&yaml), charges));
    assert_eq!(unread, read);
    assert!(!String::from_utf8(read.certificate.to_json().unwrap()).unwrap().contains("unread_tags"));
}
