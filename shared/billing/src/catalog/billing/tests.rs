//! The example of the documentation, and everything that can be wrong with a catalog.

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

#[test]
fn a_catalog_as_json_is_what_is_written() {
    let yaml = b"customers:\n- {name: \"01\", share: 62.50, is_on: true}\nfrom: 2026-10\nnothing: ~\n";
    let expected =
        r#"{"customers":[{"is_on":true,"name":"01","share":62.50}],"from":"2026-10","nothing":null}"#;
    assert_eq!(to_json(yaml).unwrap(), serde_json::from_str::<Value>(expected).unwrap());
    assert!(to_json(b"# nothing\n---\n").unwrap().is_null());
    assert_eq!(to_json(b"x: [").unwrap_err().0.len(), 1);
}
use crate::month::BillingMonth;

mod rules;

const EXAMPLE: &str = include_str!("../../../../../examples/catalog.yaml");
const SCHEMA: &str = include_str!("../../../../../docs/catalog.schema.json");

fn problems(yaml: &str) -> String {
    match parse(yaml.as_bytes()) {
        Ok(_) => "none".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

fn october() -> BillingMonth {
    "2026-10".parse().unwrap()
}

#[test]
fn the_example_is_read_as_it_is_written() {
    let catalog = parse(EXAMPLE.as_bytes()).unwrap();
    assert_eq!(catalog.currency, Currency::CHF);
    assert_eq!(catalog.customers[0].cost_center.as_deref(), Some("1234500-0000000136"));
    assert_eq!(catalog.accounts[1].id.as_deref(), Some("123456789012"));
    assert_eq!(catalog.accounts[0].percentage.to_string(), "110");
    let quantity = Quantity::Driver { driver: "cpu-share".into(), target: "blue-app".into() };
    assert_eq!(catalog.services[0].components[0].quantity, quantity);
    assert_eq!(catalog.components[1].parts[2].price, PartPrice::PerUnit(5.into()));
    assert_eq!(catalog.positions[0].amount.to_string(), "-30");
    assert_eq!(catalog.fx.rates[&october()]["USD"].rate.to_string(), "0.8812");
    assert_eq!(
        catalog.pools[2].split,
        Split::Percents(vec![
            (Target { kind: TargetKind::Service, name: "blue-app".into() }, "62.5".parse().unwrap()),
            (Target { kind: TargetKind::Service, name: "red-app".into() }, "37.5".parse().unwrap()),
        ])
    );
    assert_eq!(catalog.export, ExportTemplate::default());
    assert_eq!(catalog.version.len(), 64);
}

#[test]
fn a_currency_is_money_and_has_one_rate_a_month() {
    let rates = |rates: &str| {
        problems(&format!("currency: CHF\nfx: {{source: ECB, rates: {{2026-10: {{{rates}}}}}}}"))
    };
    assert_eq!(rates("USD: 0.88, EUR: 0.95"), "none");
    assert!(rates("USD: 0.88, \"US\u{200b}D\": 0.98").contains("USD stands twice in 2026-10, keep one"));
    assert!(
        rates("XTS: 0.88")
            .contains("'XTS' (Code reserved for testing) is an ISO 4217 code, but no money to bill in")
    );
    assert!(
        problems("currency: XXX")
            .contains("'XXX' (No currency) is an ISO 4217 code, but no money to bill in")
    );
}

#[test]
fn a_catalog_without_billing_needs_nothing() {
    for yaml in ["", "metering: {plans: []}", "# nothing\n", "revenue: {clients: []}\n"] {
        assert_eq!(parse(yaml.as_bytes()).unwrap().currency, Currency::XXX, "{yaml}");
    }
}

#[test]
fn decimals_never_pass_through_floats() {
    let yaml = "currency: CHF\ncomponents: [{name: a, price: {per_unit: 12345678901234567.891, absolute: '0.1000000000000000000000000001'}}]";
    let catalog = parse(yaml.as_bytes()).unwrap();
    assert_eq!(catalog.components[0].price.per_unit.to_string(), "12345678901234567.891");
    assert_eq!(catalog.components[0].price.absolute.to_string(), "0.1000000000000000000000000001");
}

#[test]
fn all_problems_come_at_once_each_with_line_column_and_field() {
    assert_snapshot!(problems(
        "currency: CHX
rounding: up
custommers: []
customers:
  - {name: Team Blue, emial: a@b.ch, email: nobody}
  - {name: Team Blue}
  - {email: a@b.ch}
accounts:
  - {provider: azure, id: 1, customer: Tem Blue, percentage: -5}
  - {provider: azure, customer: Team Blue}
  - {provider: azure, id: 1, customer: Team Blue, from: 2026-12, to: 2026-10}
  - just text
services:
  - {name: s, customer: Team Blue, components: [{component: clustr, quantity: 1}, {component: cluster, part: cpv, quantity: two}, {component: cluster}]}
components:
  - {name: cluster, price: {percent_of_cost: 100, per_unti: 3}, parts: [{name: cpu, percent: 60}, {name: ram, percent: 50}, {name: cpu}]}
positions:
  - {customer: Team Blue, month: October, reason: r, amount: 1.005}
  - {customer: Team Blue, month: 2026-10, reason: r, amount: 1}
  - {customer: Team Blue, month: 2026-10, reason: r, amount: 1}
fx: {rates: {2026-10: {USD: 0, XYZ: 1}, 2026-1: {USD: 1}}}
cost_center_pattern: '(['
export: {delimiter: x, header: 'yes', columns: [nam]}
"
    ));
}

#[test]
fn pools_are_checked_for_names_sums_and_cycles() {
    assert_snapshot!(problems(
        "currency: CHF
customers: [{name: blue}]
services: [{name: blue, customer: blue}, {name: app, customer: blue}]
pools:
  - {name: a, split: {by: percent, percents: {b: 60, app: 30}}}
  - {name: b, split: {by: weights, weights: {c: 1, app: -1}}}
  - {name: c, split: {by: even}, targets: [a, nobody, blue]}
  - {name: d, split: {by: driver}}
  - {name: e, split: {by: cost, weights: {app: 1}}, targets: [app], match: {}}
  - {name: f, split: {by: even}, targets: ['pool:f']}
  - {name: g, match: {category: Usge, tags: {a: []}, account: a, sub_account: b}, split: {by: driver, name: x}, over: {provider: aws}}
"
    ));
}

#[test]
fn a_component_priced_by_costs_needs_some_way_to_them() {
    let with = |pool: &str| {
        let components = "components: [{name: c, price: {percent_of_cost: 100}}]";
        problems(&format!("currency: CHF\n{components}\npools: [{pool}]"))
    };
    assert_eq!(
        with(""),
        "the catalog has 1 problem\n  line 2, column 14: components[0].price.percent_of_cost: a percentage of costs needs a match that says which costs, or a pool that names this component"
    );
    assert_eq!(with("{name: p, split: {by: even}, targets: [c]}"), "none");
    assert_eq!(with("{name: p, split: {by: driver, name: hours}}"), "none");
}

#[test]
fn what_is_no_yaml_is_one_problem_with_its_place() {
    let deep = format!("a: {}", "[".repeat(100_000));
    let documents = [
        "currency: CHF\naccounts: [\n",
        "- a\n",
        "a: 1\na: 2\n? [x]\n: 1",
        "currency: CHF\n---\ncurrency: CHF\n",
        &deep,
    ];
    assert_snapshot!(documents.map(problems).join("\n"));
    assert!(
        parse(b"currency: \xff")
            .unwrap_err()
            .to_string()
            .contains("line 1, column 1: the document is not UTF-8")
    );
}

#[test]
fn aliases_repeat_what_they_name_and_cannot_explode() {
    let yaml = "currency: CHF\ncustomers: [{name: &blue Team Blue}]\npositions: [{customer: *blue, month: 2026-10, reason: r, amount: 1}]";
    assert_eq!(parse(yaml.as_bytes()).unwrap().positions.len(), 1);
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        laughs.push_str(&format!("a{level}: &a{level} [{}]\n", [below.as_str(); 10].join(", ")));
    }
    assert!(problems(&laughs).contains("the document is too large"));
    let long = format!("a: &a '{}'\nb: [{}]\n", "x".repeat(1_000_000), "*a, ".repeat(1_000));
    assert!(problems(&long).contains("the document is too large"));
    let mut tower = "a0: &a0 [x]\n".to_owned();
    for level in 1..1_000 {
        tower.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(problems(&tower).contains("more than 40 levels"));
}

#[test]
fn entries_may_be_dated_and_change_from_month_to_month() {
    let yaml = "currency: CHF
customers: [{name: blue}, {name: red}]
accounts:
  - {provider: aws, id: 1, customer: blue, to: 2026-09}
  - {provider: aws, id: 1, customer: red, from: 2026-10}
components:
  - {name: db, price: {per_unit: 1}, to: 2026-09}
  - {name: db, price: {per_unit: 2}, from: 2026-10}
pools:
  - {name: z, split: {by: even}, targets: [a]}
  - {name: a, split: {by: even}, targets: [db]}
";
    let catalog = parse(yaml.as_bytes()).unwrap();
    let in_force = InForce::new(&catalog, october());
    assert_eq!((in_force.component("db"), in_force.pools()), (Some(1), vec![0, 1]));
    assert_eq!(in_force.place_of(&Target { kind: TargetKind::Account, name: "1".into() }), Some(1));
    let before = InForce::new(&catalog, october().previous());
    assert_eq!(before.component("db"), Some(0));
}

fn schema() -> jsonschema::Validator {
    jsonschema::draft202012::new(&serde_json::from_str(SCHEMA).unwrap()).unwrap()
}

fn as_json(yaml: &str) -> Value {
    serde_yaml_ng::from_str(yaml).unwrap()
}

#[test]
fn the_schema_accepts_the_example() {
    let errors: Vec<String> =
        schema().iter_errors(&as_json(EXAMPLE)).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn the_schema_knows_the_members_that_are_read() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let members = |object: &Value| {
        let mut names: Vec<String> = object["properties"].as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    let known: [(&str, &[&str]); 14] = [
        ("customer", &sections::CUSTOMER),
        ("account", &sections::ACCOUNT),
        ("allocation", &sections::ALLOCATION),
        ("position", &sections::POSITION),
        ("match", &sections::MATCH),
        ("service", &services::SERVICE),
        ("use", &services::USE),
        ("component", &services::COMPONENT),
        ("price", &services::PRICE),
        ("part", &services::PART),
        ("pool", &pools::POOL),
        ("split", &pools::SPLIT),
        ("fx", &settings::FX),
        ("export", &export::EXPORT),
    ];
    for (name, read) in known {
        let mut read = read.to_vec();
        read.sort_unstable();
        assert_eq!(members(&schema["$defs"][name]), read, "{name}");
    }
    let mut root: Vec<&str> = BILLED.into_iter().chain(SETTINGS).chain(OTHERS).collect();
    root.sort_unstable();
    assert_eq!(members(&schema), root);
    assert_eq!(members(&schema["$defs"]["column"]["anyOf"][1]).len(), export::COLUMN.len());
    assert_eq!(members(&schema["$defs"]["quantity"]["anyOf"][1]).len(), services::QUANTITY.len());
}

/// Every object of the example with one member misspelt.
fn misspelt(value: &Value, path: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    match value {
        Value::Object(members) => {
            let free =
                ["tags", "percents", "weights", "rates", "2026-10"].iter().any(|name| path.ends_with(name));
            for (key, member) in members {
                if !free {
                    let mut other = members.clone();
                    let member = other.remove(key).unwrap();
                    other.insert(format!("{key}x"), member);
                    found.push((format!("{path}/{key}"), Value::Object(other)));
                }
                for (at, changed) in misspelt(member, &format!("{path}/{key}")) {
                    let mut other = members.clone();
                    other.insert(key.clone(), changed);
                    found.push((at, Value::Object(other)));
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                for (at, changed) in misspelt(item, &format!("{path}/{index}")) {
                    let mut other = items.clone();
                    other[index] = changed;
                    found.push((at, Value::Array(other)));
                }
            }
        }
        _ => {}
    }
    found
}

#[test]
fn schema_and_reader_refuse_every_misspelt_member() {
    let schema = schema();
    let all = misspelt(&as_json(EXAMPLE), "");
    assert!(all.len() > 80, "{}", all.len());
    for (path, document) in all {
        assert!(!schema.is_valid(&document), "the schema takes {path} misspelt");
        let yaml = serde_yaml_ng::to_string(&document).unwrap();
        assert!(parse(yaml.as_bytes()).is_err(), "the reader takes {path} misspelt");
    }
}

proptest! {
    #[test]
    fn parsing_anything_never_panics(text in "\\PC{0,200}") {
        let _ = parse(text.as_bytes());
    }

    #[test]
    fn a_catalog_with_a_hole_never_panics(start in 0usize..EXAMPLE.len(), length in 0usize..40, filler in "[-:,{}\\[\\]\"a1 \n&*]{0,4}") {
        let end = (start + length).min(EXAMPLE.len());
        if let (Some(head), Some(tail)) = (EXAMPLE.get(..start), EXAMPLE.get(end..))
            && let Err(problems) = parse(format!("{head}{filler}{tail}").as_bytes())
        {
            prop_assert!(!problems.0.is_empty());
            prop_assert!(problems.0.iter().all(|problem| problem.mark.line > 0 && problem.mark.column > 0));
        }
    }
}
