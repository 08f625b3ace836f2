//! Bills of teams: complete months are billed once, later changes go on the next bill, and every figure can be explained.

use billing::bills::RunCertificate;
use serde_json::{Value, json};

use crate::datastores_world::{line, running};
use crate::teams_world::{ACME, CATALOG, billed, totals};
use crate::world::World;
use billing::certificate::Certified;

const SEPTEMBER: &str = "2026-09";

fn month(month: &str) -> Value {
    json!({"month": month})
}

async fn certificate(world: &World, key: &str) -> RunCertificate {
    let certificate: RunCertificate = serde_json::from_slice(&world.read(key).await).unwrap();
    certificate.verify().unwrap();
    certificate
}

#[tokio::test]
async fn a_complete_month_is_billed_once_with_everything_that_others_read() {
    let world = billed(CATALOG).await;
    let report = world.bill(month(SEPTEMBER)).await;
    assert_eq!(report["state"], "billed", "{report}");
    // blue: (100.004 + 15 x 100.004 / 150.004) USD x 0.9 x 110 %, 40 + 2 x 150; red: (50 + 15 x 50 / 150.004) x 0.9, 9, -3
    assert_eq!(totals(&report), ["Team Blue 448.90 448.90", "Team Red 55.50 55.50"]);
    assert_eq!(report["charges"]["USD"]["unallocated_total"], "0");
    let keys = world.keys("bills/2026-09/").await;
    let keys = keys.iter().map(|key| key.strip_prefix("bills/2026-09/").unwrap());
    let keys: Vec<&str> = keys.filter(|key| !key.starts_with("runs/")).collect();
    let expected = [
        "acme.csv",
        "aggregates/by-account.csv",
        "aggregates/by-account.parquet",
        "aggregates/by-service.csv",
        "aggregates/by-service.parquet",
        "aggregates/by-tag.csv",
        "aggregates/by-tag.parquet",
        "certificate.json",
        "orbit.csv",
        "recovery.csv",
        "services.csv",
        "shares.csv",
        "statements/Team!20Blue.html",
        "statements/Team!20Red.html",
    ];
    assert_eq!(keys, expected);
    for name in
        ["acme.csv", "orbit.csv", "recovery.csv", "services.csv", "shares.csv", "aggregates/by-account.csv"]
    {
        insta::assert_snapshot!(
            format!("teams_{}", name.replace('/', "_")),
            world.text(&format!("bills/2026-09/{name}")).await
        );
    }
    let certificate = certificate(&world, "bills/2026-09/certificate.json").await;
    assert_eq!(certificate.released_total.to_string(), "504.4");
    for output in &certificate.outputs {
        assert_eq!(
            billing::revision::sha256_hex(&world.read(&output.key).await),
            output.sha256,
            "{}",
            output.key
        );
    }
    assert_eq!(
        world.mails(),
        [
            "blue@example.com: Team Blue: 448.90 CHF for 2026-09",
            "red@example.com: Team Red: 55.50 CHF for 2026-09"
        ]
    );
    let mail = &world.ses.sent()[0];
    insta::assert_snapshot!("teams_mail", mail.text);
    let files: Vec<&str> = mail.attachments.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(files, ["2026-09-statement.html", "2026-09-lines.csv"]);
    assert_eq!(mail.attachments[0].1, world.read("bills/2026-09/statements/Team!20Blue.html").await);

    let before = world.state().await;
    let again = world.bill(month(SEPTEMBER)).await;
    assert_eq!(again["state"], "unchanged");
    crate::world::assert_same(&before, &world.state().await);
    assert_eq!(world.mails().len(), 2);
}

#[tokio::test]
async fn a_month_waits_until_every_provider_is_there_or_a_person_releases_it() {
    let world = billed(CATALOG).await;
    world.charge("acme", "2026-10", &[("one", "Compute", "20")], 0).await;
    let held = world.held(month("2026-10")).await;
    assert_eq!(held["state"], "held");
    let missing: Vec<&str> =
        held["missing"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(
        missing,
        ["orbit: no invoice of 2026-10 is certified; fetch it, or see under held/ why it is not"]
    );
    assert!(world.text("held/bills/2026-10.reason.json").await.contains("orbit: no invoice"));
    assert!(world.mails().is_empty() && world.keys("bills/").await.is_empty());

    let released = world.bill(json!({"month": "2026-10", "release": "orbit is late"})).await;
    assert_eq!(totals(&released), ["Team Blue 359.80 359.80"]);
    assert_eq!(released["missing"].as_array().unwrap().len(), 1);
    let certificate = certificate(&world, "bills/2026-10/certificate.json").await;
    assert_eq!(certificate.released.as_deref(), Some("orbit is late"));
    assert!(world.text("held/bills/2026-10.reason.json").await.contains("\"released\""));
    assert_eq!(world.bill(month("2026-10")).await["state"], "unchanged", "the release holds");

    // what was late comes after all: another team's first bill of the month goes out, nobody else gets a second one
    world.charge("orbit", "2026-10", &[("three", "Compute", "7")], 0).await;
    let complete = world.bill(month("2026-10")).await;
    assert_eq!(totals(&complete), ["Team Blue 359.80 0.00", "Team Red 6.30 6.30"]);
    assert_eq!(world.text("bills/2026-10/2/orbit.csv").await.lines().count(), 1);
    assert_eq!(world.mails().len(), 2);
}

#[tokio::test]
async fn a_late_revision_posts_its_difference_on_the_next_bill_and_only_there() {
    let world = billed(CATALOG).await;
    world.bill(month(SEPTEMBER)).await;
    let sent = world.text("bills/2026-09/acme.csv").await;
    // storage costs 40 instead of 50
    world
        .charge(
            "acme",
            SEPTEMBER,
            &[("one", "Compute", "100.004"), ("two", "Storage", "40"), ("one", "Support", "15")],
            9,
        )
        .await;
    let revised = world.bill(month(SEPTEMBER)).await;
    assert_eq!(totals(&revised), ["Team Blue 449.61 0.71", "Team Red 45.86 -9.64"]);
    assert_eq!(world.text("bills/2026-09/acme.csv").await, sent, "what was sent stays");
    assert_eq!(world.mails().len(), 2);
    let runs = world.runs(SEPTEMBER).await;
    assert_eq!((runs.len(), runs[1].exports.len(), runs[1].corrections.len()), (2, 0, 2));

    world.charge("acme", "2026-10", &ACME, 0).await;
    world.charge("orbit", "2026-10", &[("three", "Compute", "10")], 0).await;
    let october = world.bill(month("2026-10")).await;
    assert_eq!(totals(&october), ["Team Blue 449.61 449.61", "Team Red 48.86 48.86"]);
    let services = world.text("bills/2026-10/services.csv").await;
    assert!(services.contains("correction of 2026-09"), "{services}");
    // nothing is posted twice, in whichever order months are billed again
    for again in [SEPTEMBER, "2026-10", SEPTEMBER] {
        assert_eq!(world.bill(month(again)).await["state"], "unchanged");
    }
    let posted = |run: &billing::bills::RunDocument| run.posted_total("Team Red").unwrap().unwrap();
    let (september, october) = (world.runs(SEPTEMBER).await, world.runs("2026-10").await);
    let all = posted(&september[0]) + posted(&october[0]);
    assert_eq!(all.to_string(), "104.36", "45.86 of September as it is now, and 58.50 of October");
}

#[tokio::test]
async fn an_invalid_cost_centre_holds_that_bill_alone_until_the_catalog_is_corrected() {
    let world = billed(&CATALOG.replace("\"2000\"", "\"2x\"")).await;
    let held = world.held(month(SEPTEMBER)).await;
    assert_eq!(
        held["bills"][1]["held"].as_str().unwrap().split(':').next(),
        Some("customer 'Team Red', line 6")
    );
    assert_eq!(world.mails(), ["blue@example.com: Team Blue: 448.90 CHF for 2026-09"]);
    assert!(world.text("held/bills/2026-09.reason.json").await.contains("cost_center '2x'"));
    world.put("catalog/current.yaml", CATALOG).await;
    assert_eq!(
        world.held(month(SEPTEMBER)).await["bills"].as_array().unwrap().len(),
        2,
        "by its own catalog it stays held"
    );
    let released = world.bill(json!({"month": SEPTEMBER, "catalog": "current"})).await;
    assert_eq!(totals(&released), ["Team Blue 448.90 0.00", "Team Red 55.50 55.50"]);
    let later = world.keys("bills/2026-09/2/").await;
    for name in ["acme.csv", "certificate.json", "orbit.csv", "services.csv"] {
        assert!(later.contains(&format!("bills/2026-09/2/{name}")), "{later:?}");
    }
    // what the first run's certificate proves stands as it was
    let first = certificate(&world, "bills/2026-09/certificate.json").await;
    for output in &first.outputs {
        assert_eq!(
            billing::revision::sha256_hex(&world.read(&output.key).await),
            output.sha256,
            "{}",
            output.key
        );
    }
    assert!(world.text("held/bills/2026-09.reason.json").await.contains("\"released\""));
    assert_eq!(world.mails().len(), 2);
}

#[tokio::test]
async fn one_customer_can_be_billed_before_the_others() {
    let world = billed(CATALOG).await;
    let first = world.bill(json!({"month": SEPTEMBER, "customer": "Team Red"})).await;
    assert_eq!(totals(&first), ["Team Red 55.50 55.50"]);
    assert_eq!(world.mails().len(), 1);
    assert_eq!(world.bill(json!({"month": SEPTEMBER, "customer": "Team Red"})).await["state"], "unchanged");
    let all = world.bill(month(SEPTEMBER)).await;
    assert_eq!(totals(&all), ["Team Blue 448.90 448.90", "Team Red 55.50 0.00"]);
    assert_eq!(world.mails().len(), 2);
    let nobody = world.held(json!({"month": SEPTEMBER, "customer": "Team Green"})).await;
    assert_eq!(nobody["state"], "refused");
    let reason = nobody["reason"].as_str().unwrap();
    assert!(
        reason.contains("there is no customer 'Team Green'")
            && reason.ends_with("there are: Team Blue, Team Red")
    );
}

#[tokio::test]
async fn a_discount_larger_than_a_bill_is_taken_by_the_next_one() {
    let world = billed(&CATALOG.replace("-3.00", "-100.00")).await;
    let september = world.bill(month(SEPTEMBER)).await;
    assert_eq!(
        (&september["bills"][1]["total"], &september["bills"][1]["carried_out"]),
        (&json!("0.00"), &json!("-41.50"))
    );
    world.charge("acme", "2026-10", &ACME, 0).await;
    world.charge("orbit", "2026-10", &[("three", "Compute", "10")], 0).await;
    assert_eq!(totals(&world.bill(month("2026-10")).await)[1], "Team Red 17.00 17.00");
    assert_eq!(world.bill(month("2026-10")).await["state"], "unchanged");
}

#[tokio::test]
async fn a_month_replayed_by_its_own_catalog_is_the_same_and_by_another_shows_what_changes() {
    let world = billed(CATALOG).await;
    world.bill(month(SEPTEMBER)).await;
    world.put("catalog/current.yaml", &CATALOG.replace("percentage: 110", "percentage: 120")).await;
    let own = &world.runs(SEPTEMBER).await[0].catalog;
    let replayed = world.bill(json!({"month": SEPTEMBER, "dry_run": true, "catalog": &own[..12]})).await;
    assert_eq!(replayed["state"], "unchanged");
    let today = world.bill(json!({"month": SEPTEMBER, "dry_run": true, "catalog": "current"})).await;
    assert_eq!(today["state"], "preview");
    assert_eq!(totals(&today), ["Team Blue 458.80 9.90", "Team Red 55.50 0.00"]);
    assert_eq!(world.runs(SEPTEMBER).await.len(), 1, "a dry run posts nothing");
    let unknown = world.held(json!({"month": SEPTEMBER, "dry_run": true, "catalog": "0000"})).await;
    assert_eq!(unknown["state"], "refused");
    assert!(unknown["reason"].as_str().unwrap().contains("is not kept"));
}

#[tokio::test]
async fn a_month_that_has_not_begun_is_refused_and_holds_nothing() {
    let world = billed(CATALOG).await;
    for dry_run in [false, true] {
        let failure = world.try_bill(json!({"month": "2999-01", "dry_run": dry_run})).await.unwrap_err();
        assert!(failure.message.contains("2999-01 has not begun"), "{}", failure.message);
    }
    assert!(world.keys("held/").await.is_empty());
}

#[tokio::test]
async fn a_line_is_explained_down_to_its_charges() {
    let world = billed(CATALOG).await;
    world.bill(month(SEPTEMBER)).await;
    let event =
        json!({"month": SEPTEMBER, "customer": "Team Blue", "line": "account/acme/one", "explain": true});
    let explained = world.try_bill(event).await.unwrap()["explained"].clone();
    assert_eq!(explained["lines"][0]["amount"], "108.9");
    let charges = explained["charges"].as_array().unwrap();
    let sums: Vec<String> = charges
        .iter()
        .map(|of| format!("{} {}", of["rule"], of["documents"][0]["amount"]).replace('"', ""))
        .collect();
    assert_eq!(sums, ["accounts[0], line 8 100.004", "pools[0], line 18 15"]);
    let charge = &charges[0]["largest"][0];
    assert_eq!((&charge["amount"], &charge["document"]), (&json!("100.004"), &json!("2026-09.csv")));
    let other = world
        .try_bill(json!({"month": SEPTEMBER, "customer": "Team Blue", "line": "x", "explain": true}))
        .await;
    assert!(other.unwrap_err().message.contains("there are: account/acme/one, service/database"));
}

#[tokio::test]
async fn drivers_are_brought_or_measured() {
    let shared =
        CATALOG.replace("split: {by: cost}, over: {provider: acme}", "split: {by: driver, name: weight}");
    let world = billed(&shared).await;
    let held = world.held(month(SEPTEMBER)).await;
    assert!(held["reason"].as_str().unwrap().contains("there is no driver 'weight' for 2026-09"), "{held}");
    world.put("drivers/weight/2026-09.csv", "target,quantity\none,3\ntwo,1\n").await;
    world.put("drivers/weight/2026-09.json", "{}").await;
    let both = world.held(month(SEPTEMBER)).await;
    assert!(both["reason"].as_str().unwrap().contains("remove one"), "{both}");
    world.bucket.delete("drivers/weight/2026-09.json").await.unwrap();
    // blue: (100.004 + 11.25) x 0.9 x 110 % + 340
    assert_eq!(totals(&world.bill(month(SEPTEMBER)).await)[0], "Team Blue 450.14 450.14");
    let inputs = world.runs(SEPTEMBER).await.remove(0).inputs;
    assert!(inputs.iter().any(|input| input.key == "drivers/weight/2026-09.csv"));
}

#[tokio::test]
async fn hours_of_datastores_share_a_pool() {
    let shared = CATALOG
        .replace("split: {by: cost}, over: {provider: acme}", "split: {by: driver, name: datastore-hours}")
        .replace("Team Blue", "acme");
    let world = billed(&shared).await;
    world.events("1.jsonl", &running("09-30T00:00", "orders")).await;
    world.invoke("record-usage", json!({"key": "datastores/2026-10/1.jsonl"})).await.unwrap();
    // (100.004 x 110 % + 15) x 0.9 + 340: all hours are this customer's
    assert_eq!(totals(&world.bill(month(SEPTEMBER)).await)[1], "acme 452.50 452.50");
    let shares = world.text("bills/2026-09/shares.csv").await;
    assert!(shares.contains("datastore-hours"), "{shares}");

    // one that moves at noon has half of its hours with each
    let world = billed(&shared).await;
    let moved = line("09-30T12:00", "datastore.transferred", "orders", &json!({"customer_id": "Team Red"}));
    world.events("1.jsonl", &[running("09-30T00:00", "orders"), vec![moved]].concat()).await;
    world.invoke("record-usage", json!({"key": "datastores/2026-10/1.jsonl"})).await.unwrap();
    world.bill(month(SEPTEMBER)).await;
    let shares = world.text("bills/2026-09/shares.csv").await;
    assert_eq!(shares.lines().filter(|line| line.contains("UsageQuantity\"\":12,")).count(), 2, "{shares}");
}

#[tokio::test]
async fn what_was_decided_for_one_customer_holds_for_no_other() {
    let world = billed(CATALOG).await;
    world.charge("acme", "2026-10", &[("one", "Compute", "20")], 0).await;
    let blue = json!({"month": "2026-10", "customer": "Team Blue", "release": "blue needs it"});
    assert_eq!(totals(&world.bill(blue).await), ["Team Blue 359.80 359.80"]);
    assert_eq!(world.held(month("2026-10")).await["state"], "held", "nobody released the others");
    // a release says nothing of what goes missing later
    world.bill(json!({"month": "2026-10", "release": "orbit is late"})).await;
    world.bucket.delete("charges/provider=acme/month=2026-10/payer-export.parquet").await.unwrap();
    assert_eq!(world.held(month("2026-10")).await["state"], "held");

    // a catalog that was asked for one customer is not that of the others
    let world = billed(CATALOG).await;
    world.bill(month(SEPTEMBER)).await;
    world.put("catalog/current.yaml", &CATALOG.replace("percentage: 100", "percentage: 200")).await;
    let blue = json!({"month": SEPTEMBER, "customer": "Team Blue", "catalog": "current"});
    world.bill(blue).await;
    assert_eq!(totals(&world.bill(month(SEPTEMBER)).await), ["Team Blue 448.90 0.00", "Team Red 55.50 0.00"]);
    // nor does a run for one say that the others are well
    let world = billed(&CATALOG.replace("\"2000\"", "\"2x\"")).await;
    world.held(month(SEPTEMBER)).await;
    world.bill(json!({"month": SEPTEMBER, "customer": "Team Blue"})).await;
    assert!(world.text("held/bills/2026-09.reason.json").await.contains("\"held\""));
}

#[tokio::test]
async fn amounts_never_cross_a_change_of_currency() {
    let world = billed(CATALOG).await;
    world.bill(month(SEPTEMBER)).await;
    world.put("catalog/current.yaml", &CATALOG.replace("currency: CHF", "currency: EUR")).await;
    let held = world.held(json!({"month": SEPTEMBER, "catalog": "current"})).await;
    assert!(
        held["reason"].as_str().unwrap().contains("is in CHF: amounts of two currencies are not added"),
        "{held}"
    );
}

#[tokio::test]
async fn the_schedule_comes_back_to_months_that_wait() {
    let world = billed(CATALOG).await;
    world.charge("acme", "2026-08", &[("one", "Compute", "20")], 0).await;
    world
        .put(
            "catalog/current.yaml",
            &CATALOG.replace("{2026-09: {USD", "{2026-08: {USD: \"0.9\"}, 2026-09: {USD"),
        )
        .await;
    assert_eq!(world.held(month("2026-08")).await["state"], "held");
    world.charge("orbit", "2026-08", &[("three", "Compute", "7")], 0).await;
    // it is October: September is due, and August waits
    let report = world.try_bill(json!({"scheduled_time": "2026-10-05T09:00:00Z"})).await.unwrap();
    let months: Vec<String> = report["months"]
        .as_array()
        .unwrap()
        .iter()
        .map(|month| format!("{} {}", month["month"], month["state"]))
        .collect();
    assert_eq!(months, ["\"2026-08\" \"billed\"", "\"2026-09\" \"billed\""]);
    let running = world.held(month("2026-11")).await;
    assert!(running["reason"].as_str().unwrap().contains("the month is not over"), "{running}");
}
