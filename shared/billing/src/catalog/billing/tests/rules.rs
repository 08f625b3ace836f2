//! What a rule must not mean by accident.

use rust_decimal::Decimal;

use super::*;

#[test]
fn an_empty_member_never_widens_a_match() {
    let with = |matching: &str| {
        format!(
            "currency: CHF\ncustomers: [{{name: blue}}]\nallocations:\n  - {{name: r, customer: blue, match: {{provider: aws, {matching}}}}}\n"
        )
    };
    let schema = schema();
    for (member, empty) in [
        ("account", "account: []"),
        ("account", "account: "),
        ("sub_account", "sub_account: null"),
        ("category", "category: []"),
        ("tags", "tags: {}"),
        ("tags", "tags: ~"),
    ] {
        let yaml = with(empty);
        let expected = format!(
            "line 4, column 54: allocations[0].match.{member}: '{member}' is empty and would match everything: write a pattern or remove it"
        );
        assert!(problems(&yaml).contains(&expected), "{empty}: {}", problems(&yaml));
        assert!(!schema.is_valid(&as_json(&yaml)), "{empty}");
    }
    for empty in ["tags: {a: }", "tags: {a: []}"] {
        assert!(problems(&with(empty)).contains("match.tags.a: a tag needs a pattern"), "{empty}");
        assert!(!schema.is_valid(&as_json(&with(empty))), "{empty}");
    }
    let over = "currency: CHF\npools:\n  - {name: p, split: {by: cost}, over: }\n";
    assert!(
        problems(over).contains("line 3, column 34: pools[0].over: 'over' is empty"),
        "{}",
        problems(over)
    );
}

#[test]
fn percents_of_parts_that_overflow_never_add_up() {
    let most = rust_decimal::Decimal::MAX;
    let parts = format!(
        "[{{name: a, percent: '{most}'}}, {{name: b, percent: '{most}'}}, {{name: c, percent: 100}}]"
    );
    let yaml = format!("currency: CHF\ncomponents: [{{name: k, parts: {parts}}}]");
    assert!(
        problems(&yaml).contains("the percents of the parts add up to too much, they must add up to 100"),
        "{}",
        problems(&yaml)
    );
}

#[test]
fn over_is_refused_where_it_means_nothing() {
    let with = |split: &str| {
        let accounts = "accounts: [{provider: aws, id: a, customer: blue}]";
        problems(&format!(
            "currency: CHF\ncustomers: [{{name: blue}}]\n{accounts}\npools:\n  - {{name: p, over: {{provider: aws}}, {split}}}\n"
        ))
    };
    for split in [
        "split: {by: even}, targets: [a]",
        "split: {by: weights, weights: {a: 1}}",
        "split: {by: percent, percents: {a: 100}}",
        "split: {by: driver, name: d}",
    ] {
        assert!(with(split).contains("line 5, column 21: pools[0].over: "), "{split}: {}", with(split));
    }
    for split in ["split: {by: even}", "split: {by: cost}", "split: {by: cost}, targets: [a]"] {
        assert_eq!(with(split), "none", "{split}");
    }
}

fn cycles(pools: &[&str]) -> Vec<String> {
    let list: String = pools.iter().map(|pool| format!("  - {{{pool}}}\n")).collect();
    let found = problems(&format!("currency: CHF\npools:\n{list}"));
    let cycle = |line: &str| {
        line.split_once("in a cycle: ")
            .map(|(place, cycle)| format!("{} {cycle}", place.trim().split(',').next().unwrap_or_default()))
    };
    found.lines().filter_map(cycle).collect()
}

#[test]
fn every_cycle_of_pools_is_found() {
    let found = cycles(&[
        "name: a, split: {by: even}, targets: ['pool:b', 'pool:c']",
        "name: b, split: {by: even}, targets: ['pool:a']",
        "name: c, split: {by: even}, targets: ['pool:a', 'pool:d', 'pool:f']",
        "name: d, split: {by: even}, targets: ['pool:e']",
        "name: e, split: {by: even}, targets: ['pool:d']",
        "name: f, split: {by: even}, targets: []",
    ]);
    assert_eq!(found, ["line 3 a -> b -> a", "line 3 a -> c -> a", "line 6 d -> e -> d"]);
}

#[test]
fn pools_that_never_meet_make_no_cycle() {
    let pools = |to: &str| {
        cycles(&[
            &format!("name: a, split: {{by: even}}, targets: ['pool:b'], to: {to}"),
            "name: b, split: {by: even}, targets: ['pool:a'], from: 2026-10, to: 2026-12",
            "name: a, split: {by: even}, targets: ['pool:c'], from: 2027-01",
            "name: c, split: {by: even}, targets: ['pool:b']",
        ])
    };
    assert_eq!(pools("2026-09"), Vec::<String>::new());
    assert_eq!(pools("2026-10"), ["line 3 a -> b -> a"]);
}

#[test]
fn one_account_under_two_spellings_stands_there_twice() {
    let with = |first: &str, second: &str| {
        problems(&format!(
            "currency: CHF\ncustomers: [{{name: blue}}]\naccounts:\n  - {{{first}, customer: blue}}\n  - {{{second}, customer: blue}}\n"
        ))
    };
    for (first, second, message) in [
        (
            "provider: azure, id: SUB-1",
            "provider: Microsoft, id: /subscriptions/sub-1",
            "line 5, column 31: accounts[1].id: 'azure//subscriptions/sub-1' stands here twice for the same time, first on line 4 as 'azure/SUB-1'",
        ),
        (
            "provider: azure, id: '8611537'",
            "provider: azure, id: /providers/Microsoft.Billing/billingAccounts/8611537",
            "first on line 4 as 'azure/8611537'",
        ),
        (
            "provider: Amazon Web Services, id: '1'",
            "provider: aws, id: '1'",
            "line 5, column 25: accounts[1].id: 'aws/1' stands here twice for the same time, first on line 4",
        ),
    ] {
        let found = with(first, second);
        assert!(found.contains(message), "{found}");
    }
    assert_eq!(with("provider: aws, id: A", "provider: aws, id: a"), "none");
    assert_eq!(with("provider: azure, name: A", "provider: azure, name: a"), "none");
    assert_eq!(with("provider: azure, id: A, to: 2026-09", "provider: azure, id: a, from: 2026-10"), "none");
}

#[test]
fn cost_centres_that_look_the_same_are_the_same() {
    let yaml = "currency: CHF\ncost_center_tag: cc\ncustomers:\n  - {name: blue, cost_center: '1'}\n  - {name: red, cost_center: \" 1\u{a0}\"}\n";
    assert!(problems(yaml).contains("the customer on line 4 has this cost centre too"), "{}", problems(yaml));
}

#[test]
fn instalments_add_up_to_their_amount() {
    let with = |position: &str| {
        let yaml =
            format!("currency: CHF\ncustomers: [{{name: a}}]\npositions: [{{customer: a, {position}}}]\n");
        parse(yaml.as_bytes())
    };
    let catalog = with("month: 2026-11, reason: desk, amount: '600.10', instalments: 12").unwrap();
    let amounts: Vec<String> = catalog.positions.iter().map(|part| part.amount.to_string()).collect();
    assert_eq!(
        amounts.iter().map(|text| text.parse::<Decimal>().unwrap()).sum::<Decimal>().to_string(),
        "600.10"
    );
    assert!(amounts.iter().all(|amount| ["50", "50.01"].contains(&amount.as_str())), "{amounts:?}");
    let last = catalog.positions.last().unwrap();
    assert_eq!((last.month.to_string().as_str(), last.reason.as_str()), ("2027-10", "desk (12 of 12)"));
    for (number, message) in
        [("0", "must be from 1 to 120"), ("1.5", "must be from 1 to 120"), ("x", "not an exact")]
    {
        let error =
            with(&format!("month: 2026-11, reason: desk, amount: 5, instalments: {number}")).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}
