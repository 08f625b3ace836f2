//! What a rule must not mean by accident.

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
