//! A savings plan that the platform bought and two teams used: who pays for it, by which cost.

use serde_json::{Value, json};

use super::Desk;

/// A home with the costs of October, and without the cost columns of commitments if they are to be left out.
fn october(with_commitments: bool) -> Desk {
    let desk = Desk::new();
    let report = include_str!("../../../tests/fixtures/cases/basis/cur2.csv");
    let mut cut = csv::Writer::from_writer(Vec::new());
    let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(report.as_bytes());
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let is_kept = |at: usize| {
        with_commitments
            || !rows[0][at].starts_with("savings_plan_") && !rows[0][at].starts_with("reservation_")
    };
    for row in &rows {
        cut.write_record(row.iter().enumerate().filter(|(at, _)| is_kept(*at)).map(|(_, cell)| cell))
            .unwrap();
    }
    desk.write("october.csv", &cut.into_inner().unwrap());
    for name in ["catalog", "catalog-pool"] {
        let catalog = std::fs::read_to_string(format!(
            "{}/../tests/fixtures/cases/basis/{name}.yaml",
            env!("CARGO_MANIFEST_DIR")
        ))
        .unwrap();
        desk.write(&format!("{name}.yaml"), catalog.as_bytes());
        desk.write(&format!("{name}-effective.yaml"), format!("basis: effective\n{catalog}").as_bytes());
    }
    assert_eq!(desk.run(&["import", "october.csv"]).code, 0);
    desk
}

/// What customers are billed in a rehearsal by a catalog.
fn previewed(desk: &Desk, catalog: &str) -> Vec<(String, String)> {
    assert_eq!(desk.run(&["catalog", "apply", catalog]).code, 0);
    let report = desk.json(&["bill", "--month", "2026-10", "--dry-run"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let bills = report["months"][0]["bills"].as_array().unwrap();
    bills.iter().map(|bill| (text(&bill["customer"]), text(&bill["total"]))).collect()
}

fn bills<const N: usize>(bills: [(&str, &str); N]) -> Vec<(String, String)> {
    bills.map(|(customer, total)| (customer.to_owned(), total.to_owned())).to_vec()
}

#[test]
fn who_used_a_savings_plan_pays_for_it_where_the_catalog_bills_effective_costs() {
    let desk = october(true);
    let status = desk.run(&["status"]).out;
    assert!(status.contains("effective cost") && status.contains("110"), "{status}");
    assert_eq!(
        previewed(&desk, "catalog.yaml"),
        bills([("Platform", "100.00"), ("Team Blue", "0.00"), ("Team Red", "10.00")])
    );
    let effective = bills([("Platform", "0.00"), ("Team Blue", "70.00"), ("Team Red", "40.00")]);
    assert_eq!(previewed(&desk, "catalog-effective.yaml"), effective);
    assert_eq!(previewed(&desk, "catalog-pool.yaml"), bills([("Team Blue", "0.00"), ("Team Red", "110.00")]));
    assert_eq!(previewed(&desk, "catalog-pool-effective.yaml"), effective[1..]);

    desk.run(&["catalog", "apply", "catalog-effective.yaml"]);
    let billed = desk.run(&["bill", "--month", "2026-10"]).out;
    assert!(
        billed.contains("by effective cost: 110 USD for billed 110, difference 0: Purchase -100, Usage 100"),
        "{billed}"
    );
    let explained = desk.run(&["explain", "bill", "--month", "2026-10", "--customer", "Team Blue"]).out;
    for part in
        ["charges (effective cost)", "70 USD in 2 charges", "accounts[0], line 8", "billed cost", "-140"]
    {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    let page = desk.run(&["cat", "bills/2026-10/statements/Team!20Blue.html"]).out;
    assert!(page.contains("70 USD effective cost (2 charges)"), "{page}");
    // by the other cost the month differs, line by line, with the cost that each side counts
    assert_eq!(desk.run(&["catalog", "apply", "catalog.yaml"]).code, 0);
    assert_eq!(desk.run(&["bill", "--month", "2026-10", "--catalog", "current"]).code, 0);
    let changed = desk.run(&["diff", "--from", "2026-10#1", "--to", "2026-10#2", "--format", "csv"]).out;
    let blue = "Team Blue,account/aws/111122223333,70,0,-70,100 % of 70 USD (effective cost),100 % of 0 USD";
    assert!(changed.contains(blue), "{changed}");
}

#[test]
fn a_plan_that_is_billed_in_two_ways_is_held_with_the_amount() {
    let desk = october(true);
    let catalog = std::fs::read_to_string(desk.path().join("catalog.yaml")).unwrap();
    let mixed = catalog
        .replace("customer: Team Blue, percentage", "customer: Team Blue, basis: effective, percentage");
    desk.write("mixed.yaml", mixed.as_bytes());
    desk.run(&["catalog", "apply", "mixed.yaml"]);
    let held = desk.run(&["bill", "--month", "2026-10"]);
    assert_eq!(held.code, 3, "{}{}", held.out, held.err);
    for part in [
        "commitment arn:sp/1",
        "70 USD would be billed twice",
        "account:aws/111122223333",
        "account:aws/999988887777",
    ] {
        assert!((held.out.clone() + &held.err).contains(part), "{part}: {}{}", held.out, held.err);
    }
}

#[test]
fn a_report_without_the_columns_of_commitments_states_no_effective_cost_and_is_not_billed_by_one() {
    let desk = october(false);
    let status = desk.json(&["status"]);
    let row = &status["invoices"][0];
    assert_eq!((&row["charges"], &row["effective_cost"]), (&json!("110"), &json!("not stated")), "{row}");
    assert_eq!(previewed(&desk, "catalog.yaml")[0], bills([("Platform", "100.00")])[0]);
    desk.run(&["catalog", "apply", "catalog-effective.yaml"]);
    let held = desk.run(&["bill", "--month", "2026-10", "--dry-run"]);
    assert_eq!(held.code, 3, "{}{}", held.out, held.err);
    assert!((held.out.clone() + &held.err).contains("state no EffectiveCost"), "{}{}", held.out, held.err);
}
