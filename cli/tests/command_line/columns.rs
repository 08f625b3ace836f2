//! Columns of newer exports: costs that name their team there are not unallocated, and nothing that came in is lost on the way to queries.

use std::path::Path;

use serde_json::Value;

use super::Desk;

/// A home with a case of a month, billed by the tag `team`.
fn by_team(case: &str, currency: &str) -> Desk {
    let desk = Desk::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/cases/columns").join(case);
    desk.write(case, &std::fs::read(from).unwrap());
    let catalog = format!(
        "currency: {currency}
customers: [{{name: Blue}}, {{name: Red}}]
allocations:
  - {{name: blue, match: {{tags: {{team: blue}}}}, customer: Blue}}
  - {{name: red, match: {{tags: {{team: red}}}}, customer: Red}}
"
    );
    desk.write("catalog.yaml", catalog.as_bytes());
    for args in [["import", case].as_slice(), &["catalog", "apply", "catalog.yaml"]] {
        assert_eq!(desk.run(args).code, 0, "{args:?}");
    }
    desk
}

/// What both teams are billed, and what is unallocated.
fn billed(desk: &Desk, currency: &str) -> [String; 3] {
    let report = desk.json(&["bill", "--month", "2026-10", "--dry-run"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let month = &report["months"][0];
    let of = |at: usize| text(&month["bills"][at]["total"]);
    [of(0), of(1), text(&month["charges"][currency]["unallocated_total"])]
}

#[test]
fn tags_of_accounts_and_cost_categories_of_a_newer_report_of_aws_name_the_teams() {
    let desk = by_team("cur2-tags-column.csv", "USD");
    assert_eq!(billed(&desk, "USD"), ["10.00", "20.00", "0"]);
    let by_tag = desk.run(&["cat", "aggregates/aws/999988887777/2026-10-import/by-tag.csv"]).out;
    for row in ["cost-center,4711,true", "costCategory/Env,prod,true", "team,blue,true", "team,red,true"] {
        assert!(by_tag.contains(row), "{row}: {by_tag}");
    }
}

#[test]
fn parts_of_a_shared_resource_go_to_the_teams_that_they_name() {
    let desk = by_team("focus13-allocated.csv", "EUR");
    assert_eq!(billed(&desk, "EUR"), ["60.00", "40.00", "0"]);
    // a rule may name the part of the resource, too
    let catalog = std::fs::read_to_string(desk.path().join("catalog.yaml")).unwrap();
    desk.write("pods.yaml", catalog.replace("{tags: {team: red}}", "{resource: pod-b}").as_bytes());
    assert_eq!(desk.run(&["catalog", "apply", "pods.yaml"]).code, 0);
    assert_eq!(billed(&desk, "EUR"), ["60.00", "40.00", "0"]);
    assert_eq!(desk.run(&["bill", "--month", "2026-10"]).code, 0);
    let by_tag = desk.run(&["cat", "bills/2026-10/aggregates/by-tag.csv"]).out;
    assert!(
        by_tag.contains("team,blue,true,EUR,60,60,1") && by_tag.contains("team,red,true,EUR,40,40,1"),
        "{by_tag}"
    );
    // the whole resource beside its parts would count twice
    let case = std::fs::read_to_string(desk.path().join("focus13-allocated.csv")).unwrap();
    let whole = case
        .lines()
        .nth(1)
        .unwrap()
        .replace("60,60", "100,100")
        .replace("cpu,pod-a,a,\"{\"\"team\"\":\"\"blue\"\"}\"", ",,,");
    desk.write("beside.csv", format!("{case}{whole}\n").as_bytes());
    let held = desk.run(&["import", "beside.csv", "--replace"]);
    assert_eq!(held.code, 3, "{}{}", held.out, held.err);
    for part in ["node-1", "100"] {
        assert!((held.out.clone() + &held.err).contains(part), "{part}: {}{}", held.out, held.err);
    }
}
