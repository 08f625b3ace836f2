//! What teams were billed before: under another name, by nobody's name, for a month that is over.

use serde_json::json;

use crate::teams_world::totals;
use crate::world::{World, quick};
use cloud::vars::Vars;
use local::sandbox::Organisation;

/// Two teams with an account each.
fn catalog(customers: &str, blue: &str) -> String {
    format!(
        "currency: USD\ncustomers: [{customers}, {{name: Team Red, cost_center: '2000'}}]\n\
         accounts: [{{provider: acme, id: blue, customer: {blue}}}, {{provider: acme, id: red, customer: Team Red}}]\n\
         cost_center_pattern: '[0-9]+'\n"
    )
}

/// September billed with 100 and 50, and then restated: two cents more for Blue.
async fn restated() -> World {
    let world = World::with(Organisation::recorded([]), false, quick()).await;
    world.put("catalog/current.yaml", &catalog("{name: Team Blue, cost_center: '1000'}", "Team Blue")).await;
    world.charge("acme", "2026-09", &[("blue", "Compute", "100"), ("red", "Compute", "50")], 0).await;
    let report = world.bill_with("acme", json!({"month": "2026-09"})).await;
    assert_eq!(totals(&report), ["Team Blue 100.00 100.00", "Team Red 50.00 50.00"]);
    world.charge("acme", "2026-09", &[("blue", "Compute", "100.02"), ("red", "Compute", "50")], 1).await;
    let report = world.bill_with("acme", json!({"month": "2026-09"})).await;
    assert_eq!(totals(&report), ["Team Blue 100.02 0.02", "Team Red 50.00 0.00"]);
    world.charge("acme", "2026-10", &[("blue", "Compute", "80"), ("red", "Compute", "60")], 0).await;
    world
}

impl World {
    async fn bill_with(&self, inputs: &str, event: serde_json::Value) -> serde_json::Value {
        let vars = Vars::from_iter([("BILL_INPUTS", inputs)]).or(self.cloud.vars());
        let answer = local::Functions::new(vars).invoke("bill", &event, "test", crate::world::now()).await;
        let report = answer.or_else(|failure| failure.report.clone().ok_or(failure)).unwrap();
        report["months"][0].clone()
    }
}

#[tokio::test]
async fn a_correction_follows_its_team_to_its_new_name() {
    let world = restated().await;
    let renamed = "{name: Team Azure, formerly: [Team Blue], cost_center: '1000'}";
    world.put("catalog/current.yaml", &catalog(renamed, "Team Azure")).await;
    let report = world.bill_with("acme", json!({"month": "2026-10"})).await;
    assert_eq!(report["state"], "billed", "{report}");
    assert_eq!(totals(&report), ["Team Azure 80.02 80.02", "Team Red 60.00 60.00"]);
    let page = world.text("bills/2026-10/statements/Team!20Azure.html").await;
    assert!(page.contains("100.02 in 2026-09"), "the month before stands under its old name");
    // September by the catalog of today: the same bill under another name, nothing more
    let report = world.bill_with("acme", json!({"month": "2026-09", "catalog": "current"})).await;
    assert_eq!(totals(&report), ["Team Azure 100.02 0.00", "Team Red 50.00 0.00"], "{report}");
    let report = world.bill_with("acme", json!({"month": "2026-10"})).await;
    assert_eq!(report["state"], "unchanged", "{report}");
}

#[tokio::test]
async fn a_correction_of_a_team_that_is_gone_waits_and_holds_nobody_elses_bill() {
    let world = restated().await;
    world
        .put("catalog/current.yaml", &catalog("{name: Team Azure, cost_center: '1000'}", "Team Azure"))
        .await;
    let report = world.bill_with("acme", json!({"month": "2026-10"})).await;
    assert_eq!(report["state"], "held", "{report}");
    assert_eq!(totals(&report), ["Team Azure 80.00 80.00", "Team Blue 0.02 0.02", "Team Red 60.00 60.00"]);
    let held = report["bills"][1]["held"].as_str().unwrap();
    assert!(
        held.contains("'Team Blue' is not in the catalog") && held.contains("formerly: ['Team Blue']"),
        "{held}"
    );
    assert!(world.text("bills/2026-10/acme.csv").await.contains("80"), "the others' bills are out");
    // once the catalog says who it is, the correction is posted, once
    let renamed = "{name: Team Azure, formerly: [Team Blue], cost_center: '1000'}";
    world.put("catalog/current.yaml", &catalog(renamed, "Team Azure")).await;
    let report = world.bill_with("acme", json!({"month": "2026-10", "catalog": "current"})).await;
    assert_eq!(totals(&report), ["Team Azure 80.02 0.02", "Team Red 60.00 0.00"], "{report}");
    let again = world.bill_with("acme", json!({"month": "2026-10"})).await;
    assert_eq!(again["state"], "unchanged", "{again}");
}

#[tokio::test]
async fn a_position_of_a_month_that_is_billed_goes_on_the_next_bill_once() {
    let world = restated().await;
    let own = catalog("{name: Team Blue, cost_center: '1000'}", "Team Blue");
    let late = format!(
        "{own}positions: [{{customer: Team Blue, month: 2026-09, reason: workshop, amount: 12.50}}]\n"
    );
    world.put("catalog/current.yaml", &late).await;
    let report = world.bill_with("acme", json!({"month": "2026-10"})).await;
    assert_eq!(totals(&report), ["Team Blue 92.52 92.52", "Team Red 60.00 60.00"], "{report}");
    assert!(
        report["remarks"]
            .to_string()
            .contains("the position 'workshop' of 'Team Blue' of 2026-09 is on this bill"),
        "{report}"
    );
    let again = world.bill_with("acme", json!({"month": "2026-10"})).await;
    assert_eq!(again["state"], "unchanged", "{again}");
    // nor has September it, should it be billed by that catalog
    let report = world.bill_with("acme", json!({"month": "2026-09", "catalog": "current"})).await;
    assert_eq!(totals(&report), ["Team Blue 100.02 0.00", "Team Red 50.00 0.00"], "{report}");
}

#[tokio::test]
async fn a_position_whose_reason_is_corrected_is_not_billed_twice() {
    let world = World::with(Organisation::recorded([]), false, quick()).await;
    let own = catalog("{name: Team Blue, cost_center: '1000'}", "Team Blue");
    let position = |month: &str, reason: &str| {
        format!("{own}positions: [{{customer: Team Blue, month: {month}, reason: {reason}, amount: 70}}]\n")
    };
    world.put("catalog/current.yaml", &position("2026-09", "migratoin")).await;
    world.charge("acme", "2026-09", &[("blue", "Compute", "100")], 0).await;
    world.charge("acme", "2026-10", &[("blue", "Compute", "80")], 0).await;
    world.bill_with("acme", json!({"month": "2026-09"})).await;
    world.put("catalog/current.yaml", &position("2026-09", "migration")).await;
    let report = world.bill_with("acme", json!({"month": "2026-10", "dry_run": true})).await;
    assert_eq!(totals(&report), ["Team Blue 80.00 80.00"], "{report}");
    assert!(report["remarks"].to_string().contains("are not those that were billed"), "{report}");
    let report = world.bill_with("acme", json!({"month": "2026-09", "catalog": "current"})).await;
    assert_eq!(totals(&report), ["Team Blue 170.00 0.00"], "{report}");
    // nor is one forgotten whose month has no bill
    world.put("catalog/current.yaml", &position("2026-07", "early")).await;
    let report = world.bill_with("acme", json!({"month": "2026-10", "dry_run": true})).await;
    assert!(report["remarks"].to_string().contains("positions of 2026-07 are on no bill"), "{report}");
}

#[tokio::test]
async fn a_balance_that_nobody_will_take_is_told_until_it_is_paid_out() {
    let world = World::with(Organisation::recorded([]), false, quick()).await;
    let own = catalog("{name: Team Blue, cost_center: '1000'}", "Team Blue");
    let credit =
        format!("{own}positions: [{{customer: Team Blue, month: 2026-09, reason: goodwill, amount: -30}}]\n");
    world.put("catalog/current.yaml", &credit).await;
    world.charge("acme", "2026-09", &[("red", "Compute", "50")], 0).await;
    world.charge("acme", "2026-10", &[("red", "Compute", "60")], 0).await;
    world.bill_with("acme", json!({"month": "2026-09"})).await;
    let preview = world.bill_with("acme", json!({"month": "2026-10", "dry_run": true})).await;
    assert!(preview["remarks"].to_string().contains("'Team Blue' has 30 USD of credit"), "{preview}");
    let paid = credit.replace(
        "amount: -30}]",
        "amount: -30}, {customer: Team Blue, month: 2026-10, reason: paid out by bank, amount: 30}]",
    );
    world.put("catalog/current.yaml", &paid).await;
    let report = world.bill_with("acme", json!({"month": "2026-10"})).await;
    assert_eq!(report["bills"][0]["carried_out"], "0.00", "{report}");
    assert!(!report["remarks"].to_string().contains("of credit"), "{report}");
}
