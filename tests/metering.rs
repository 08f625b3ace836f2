//! A month of usage, from the export to Clazar: once, exactly, and with its proof.

use std::collections::BTreeMap;

use billing::certificate::Status;
use billing::metering::SubmissionState;
use billing::money::Exact;
use cloud::vars::Vars;
use local::Functions;
use local::sandbox::{OmnistrateExport, Organisation};
use serde_json::{Value, json};

use crate::metering_world::{FOLDER, impatient, metered, metered_with, month, plan, table, time};
use crate::world::{World, assert_same, now};

async fn example(follow: bool) -> (World, OmnistrateExport) {
    let export = OmnistrateExport::example(month("2026-10"));
    (World::exporting(export.clone(), Organisation::recorded([]), follow, impatient()).await, export)
}

fn exact(text: &str) -> Exact {
    text.parse().unwrap()
}

/// What must be billed, from sums that were made without our code: rounded down, with the fraction carried.
fn due(export: &OmnistrateExport) -> BTreeMap<(String, String, String), String> {
    let (mut due, mut carried) = (BTreeMap::new(), BTreeMap::<(String, String), Exact>::new());
    for of in export.months() {
        for (line, sum) in export.totals(*of) {
            let total = exact(&sum).plus(carried.remove(&line).unwrap_or_default()).unwrap();
            let quantity = total.floor();
            carried.insert(line.clone(), total.minus(quantity).unwrap());
            if !quantity.is_zero() {
                due.insert((line.0, line.1, format!("{of}-01T00:00:00Z")), quantity.to_string());
            }
        }
    }
    due
}

#[tokio::test]
async fn two_months_are_billed_once_and_closed_with_their_proof() {
    let (world, export) = example(true).await;
    let counted = world.count().await;
    assert_eq!(counted["months"][0]["outcome"], "counted");
    assert_eq!(counted["months"][1]["unattributed_records"], 1);
    world.quiet().await;
    assert_eq!(world.billed(), due(&export));
    assert_eq!(world.closed_through().await, "2026-10");
    // 744 hours of 0.9: 669, and 0.6 carried on
    let steady = "ae641bd1-edf8-4038-bfed-d2ff556c729e cpu_core_hours";
    assert_eq!(world.billed_for("2026-10")[steady], "669");
    let october = world.metering_certificate("2026-10").await;
    let line =
        october.submissions.iter().find(|s| format!("{} {}", s.contract, s.dimension) == steady).unwrap();
    assert_eq!((line.usage, line.carry_out), (exact("669.6"), exact("0.6")));
    assert!(october.dimensions["memory_byte_hours"].accepted > exact("9007199254740992"));
    // what names no contract is said, and billed to nobody
    assert_eq!(october.status, Status::Explained);
    assert!(october.explanation.contains("unattributed"), "{}", october.explanation);
    assert_eq!(world.metering_certificate("2026-09").await.status, Status::Matched);
    assert_eq!(october.subject.state, "closed");
    // the sample events name the usage that this export comes to
    for event in [
        include_str!("../events/meter-clazar-s3-notification.json"),
        include_str!("../events/meter-clazar-by-hand.json"),
    ] {
        assert!(event.contains(&october.inputs[0].key), "{}", october.inputs[0].key);
    }

    let requests = world.clazar.metering_requests().len();
    let before = world.state().await;
    world.count().await;
    world.quiet().await;
    world.meter_afresh().await.unwrap();
    assert_eq!(world.clazar.metering_requests().len(), requests, "nothing is sent again");
    assert_same(&world.state().await, &before);
}

#[tokio::test]
async fn the_recorded_export_comes_to_its_control_totals() {
    // the marker of the record says that June 2025 is complete
    let world = metered_with(true, &[]).await;
    let root = format!("{}/fixtures/omnistrate/omnistrate-metering", env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![std::path::PathBuf::from(&root)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let key = format!("omnistrate-metering{}", &entry.to_str().unwrap()[root.len()..]);
            world.export.overwrite(&key, std::fs::read(&entry).unwrap(), "application/json").await.unwrap();
        }
    }
    let functions = Functions::new(Vars::from_iter([("START_MONTH", "2025-06")]).or(world.cloud.vars()));
    let counted = functions.invoke("fetch-omnistrate", &json!({}), "test", now()).await.unwrap();
    assert_eq!(counted["months"].as_array().unwrap().len(), 1, "{counted}");
    world.quiet().await;
    let totals = include_str!("fixtures/omnistrate/control_totals.json");
    let totals: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_str(totals).unwrap();
    let expected: BTreeMap<String, String> = totals
        .iter()
        .flat_map(|(contract, sums)| {
            sums.iter().map(move |(d, sum)| (format!("{contract} {d}"), sum.to_string()))
        })
        .collect();
    assert_eq!(world.billed_for("2025-06"), expected);
    assert_eq!(world.closed_through().await, "2025-06");
    assert_eq!(counted["months"][0]["unattributed_records"], 1);
}

#[tokio::test]
async fn a_dry_run_says_the_exact_requests_changes_nothing_and_needs_no_credentials() {
    let (world, export) = example(false).await;
    let nobody = [
        ("CLAZAR_CLIENT_ID", ""),
        ("CLAZAR_CLIENT_SECRET", ""),
        ("CLAZAR_API_URL", "http://127.0.0.1:9/metering/"),
    ];
    let before = world.state().await;
    let counted = world.invoke("fetch-omnistrate", json!({"dry_run": true})).await.unwrap();
    let usage: Value =
        counted["months"].as_array().unwrap().iter().map(|month| month["snapshot"].clone()).collect();
    let preview =
        world.invoke_with(&nobody, "meter-clazar", json!({"dry_run": true, "usage": usage})).await.unwrap();
    assert_same(&world.state().await, &before);
    assert!(world.clazar.requests().is_empty());

    world.count().await;
    let counted = world.state().await;
    let again = world.invoke_with(&nobody, "meter-clazar", json!({"dry_run": true})).await.unwrap();
    assert_eq!(
        again["plans"][0]["months"], preview["plans"][0]["months"],
        "kept usage gives the same requests"
    );
    let by_variable = world.invoke_with(&[("DRY_RUN", "true")], "meter-clazar", json!({})).await.unwrap();
    assert_eq!(by_variable["dry_run"], true);
    assert_same(&world.state().await, &counted);

    // then a real run sends everything, and exactly that
    world.meter_afresh().await.unwrap();
    let mut said = again["plans"][0]["months"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|month| month["requests"].as_array().unwrap().clone())
        .collect::<Vec<_>>();
    let mut sent = world.clazar.metering_requests();
    said.sort_by_key(Value::to_string);
    sent.sort_by_key(Value::to_string);
    assert_eq!(said, sent);
    assert_eq!(world.billed(), due(&export));
}

#[tokio::test]
async fn one_contract_of_one_month_is_sent_alone() {
    let world = metered(false).await;
    for of in ["2026/09/01/00", "2026/10/01/00"] {
        world
            .usage(&format!("{of}/s.json"), &[("c1", "cpu", "5"), ("c1", "ram", "6"), ("c2", "cpu", "7")])
            .await;
    }
    world.count().await;
    let report = world.invoke("meter-clazar", json!({"month": "2026-10", "contract": "c1"})).await.unwrap();
    assert_eq!(report["plans"][0]["months"][1]["requests_sent"], 1);
    assert_eq!(world.billed_for("2026-10"), table(&[("c1 cpu", "5"), ("c1 ram", "6")]));
    assert_eq!(world.billed_for("2026-09"), table(&[]));
    assert_eq!(world.closed_through().await, "2026-08");
    world.meter_afresh().await.unwrap();
    assert_eq!(world.billed().len(), 6);
    assert_eq!(world.closed_through().await, "2026-10");
}

#[tokio::test]
async fn months_wait_for_the_one_before_and_none_is_skipped() {
    let world = metered(false).await;
    world.usage("2026/09/01/00/s.json", &[("c1", "cpu", "0.75")]).await;
    world.usage("2026/10/01/00/s.json", &[("c1", "cpu", "0.5")]).await;
    let october = world.invoke("fetch-omnistrate", json!({"month": "2026-10"})).await.unwrap();
    assert_eq!(october["months"].as_array().unwrap().len(), 1);
    let waiting = world.meter_afresh().await.unwrap();
    assert_eq!(waiting["plans"][0]["waiting_for"], "2026-09");
    assert_eq!(world.billed().len(), 0);
    world.meter().await.unwrap();
    // 0.75 carried, and with October's half an hour a whole one
    assert_eq!(world.billed_for("2026-10"), table(&[("c1 cpu", "1")]));
    assert_eq!(world.standing("2026-09").await, table(&[("c1 cpu", "nothing-to-send 0")]));
    assert_eq!(world.closed_through().await, "2026-10");
}

#[tokio::test]
async fn usage_that_comes_late_is_recorded_and_shown_and_not_sent() {
    let world = metered(true).await;
    world.usage("2026/09/01/00/s.json", &[("c1", "cpu", "5.5")]).await;
    world.usage("2026/10/01/00/s.json", &[("c1", "cpu", "7")]).await;
    world.count().await;
    world.quiet().await;
    assert_eq!(world.closed_through().await, "2026-10");
    let (billed, requests) = (world.billed(), world.clazar.metering_requests().len());

    world.usage("2026/09/30/23/late.json", &[("c1", "cpu", "2.25"), ("c9", "cpu", "4")]).await;
    let counted = world.invoke_at("2026-11-03T06:00:00Z", "fetch-omnistrate", json!({})).await.unwrap();
    assert_eq!(counted["months"][0]["outcome"], "counted");
    world.quiet().await;
    let report = world.meter_afresh().await.unwrap();
    let late = &report["plans"][0]["months"][0]["late_usage"];
    assert_eq!(late[0], json!({"contract": "c1", "dimension": "cpu", "quantity": "2.25"}));
    assert_eq!(late[1], json!({"contract": "c9", "dimension": "cpu", "quantity": "4"}));
    assert_eq!((world.billed(), world.clazar.metering_requests().len()), (billed, requests));
    let certificate = world.metering_certificate("2026-09").await;
    assert_eq!((certificate.status, certificate.dimensions["cpu"].late), (Status::Explained, exact("6.25")));
    assert_eq!(world.standing("2026-09").await, table(&[("c1 cpu", "accepted 5"), ("c9 cpu", "late 0")]));

    // reopened, what was never sent is sent; what was accepted stays as it is
    let reopened =
        world.ledger.reopen_months(&plan(), month("2026-09"), "c9 came late", "test", now()).await.unwrap();
    assert_eq!(reopened, [month("2026-09"), month("2026-10")]);
    world.meter_afresh().await.unwrap();
    assert_eq!(world.billed_for("2026-09"), table(&[("c1 cpu", "5"), ("c9 cpu", "4")]));
    assert_eq!(world.closed_through().await, "2026-10");
    let certificate = world.metering_certificate("2026-09").await;
    assert_eq!(certificate.dimensions["cpu"].late, exact("2.25"));
}

#[tokio::test]
async fn a_month_that_goes_back_to_what_it_was_is_that_again() {
    let world = metered(false).await;
    world.usage("2026/09/01/00/s.json", &[("c1", "cpu", "5")]).await;
    world.count().await;
    let first = world.ledger.usage(&plan()).await.unwrap()[0].revision.clone();
    world.usage("2026/09/01/01/s.json", &[("c1", "cpu", "1")]).await;
    world.invoke_at("2026-11-03T06:00:00Z", "fetch-omnistrate", json!({})).await.unwrap();
    assert_ne!(world.ledger.usage(&plan()).await.unwrap()[0].revision, first);
    world.export_file("2026/09/01/01/s.json", b"[]").await;
    let delete = world
        .aws
        .s3()
        .delete_object()
        .bucket(local::EXPORT_BUCKET)
        .key(format!("{FOLDER}/2026/09/01/01/s.json"));
    delete.send().await.unwrap();
    world.invoke_at("2026-11-04T06:00:00Z", "fetch-omnistrate", json!({})).await.unwrap();
    assert_eq!(world.ledger.usage(&plan()).await.unwrap()[0].revision, first);
    // an old notification that comes late does not change that
    let old = world.keys("usage/").await;
    for key in old.iter().filter(|key| key.contains("2026-09")) {
        world.invoke("meter-clazar", json!({"key": key})).await.ok();
    }
    assert_eq!(world.billed_for("2026-09"), table(&[("c1 cpu", "5")]));
}

#[tokio::test]
async fn two_invocations_at_once_send_nothing_twice() {
    let (world, export) = example(false).await;
    world.count().await;
    let runs = (0..6).map(|_| world.meter_afresh());
    for ended in futures::future::join_all(runs).await {
        ended.unwrap();
    }
    assert_eq!(world.billed(), due(&export));
    let asked = |month: &str| {
        world
            .clazar
            .metering_requests()
            .iter()
            .filter(|r| r["request"][0]["start_time"].as_str().unwrap().starts_with(month))
            .count()
    };
    assert_eq!((asked("2026-09"), asked("2026-10")), (3, 4), "one request for each contract");
}

#[tokio::test]
async fn whoever_dies_with_the_lease_stops_nobody_for_long() {
    let world = metered(false).await;
    world.usage("2026/09/01/00/s.json", &[("c1", "cpu", "5")]).await;
    world.usage("2026/10/01/00/s.json", &[("c1", "cpu", "0.5")]).await;
    world.count().await;
    let until = now() + chrono::TimeDelta::seconds(50);
    world.ledger.lease(&plan(), "somebody", now(), until).await.unwrap();
    let left =
        world.invoke_with(&[("METER_LEASE_WAIT_MS", "300")], "meter-clazar", json!({})).await.unwrap_err();
    assert!(
        left.message.contains("another invocation meters Postgres:PROD:pt-HJSv20iWX0"),
        "{}",
        left.message
    );
    assert_eq!(world.billed().len(), 0);
    world.invoke_at("2026-11-02T06:01:00Z", "meter-clazar", json!({})).await.unwrap();
    assert_eq!(world.billed_for("2026-09"), table(&[("c1 cpu", "5")]));
}

#[tokio::test]
async fn many_dimensions_go_in_several_requests() {
    let world = metered_with(false, &[("CLAZAR_BATCH", "2")]).await;
    let records: Vec<(String, String)> = (1..=5).map(|n| (format!("d{n}"), n.to_string())).collect();
    let records: Vec<_> = records.iter().map(|(d, n)| ("c1", d.as_str(), n.as_str())).collect();
    world.usage("2026/09/01/00/s.json", &records).await;
    world.usage("2026/10/01/00/s.json", &[("c1", "d1", "0.5")]).await;
    world.meter().await.unwrap();
    let sizes: Vec<_> =
        world.clazar.metering_requests().iter().map(|r| r["request"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(world.states("2026-09").await, [SubmissionState::Accepted; 5]);
}

#[tokio::test]
async fn plans_stand_in_the_catalog_too() {
    let world = metered(false).await;
    let catalog = "metering:\n  plans:\n    - {service: Postgres, environment: PROD, plan: pt-HJSv20iWX0, cloud: azure}\n    - {service: Redis, environment: PROD, plan: pt-2, cloud: gcp, start_month: 2026-10}\n";
    world
        .bucket
        .overwrite("catalog/current.yaml", catalog.as_bytes().to_vec(), "application/yaml")
        .await
        .unwrap();
    let marker = json!({plan().to_string(): {"last_processed_to": "2026-10-31T23:59:59Z"}, "Redis:PROD:pt-2": {"last_processed_to": "2026-10-31T23:59:59Z"}});
    world
        .export
        .overwrite(OmnistrateExport::MARKER, marker.to_string().into_bytes(), "application/json")
        .await
        .unwrap();
    world.usage("2026/09/01/00/s.json", &[("c1", "cpu", "5")]).await;
    let redis = json!([{"externalPayerId": "c2", "dimension": "ops", "value": 9}]).to_string().into_bytes();
    world
        .export
        .overwrite("omnistrate-metering/Redis/PROD/pt-2/2026/10/01/00/s.json", redis, "application/json")
        .await
        .unwrap();
    let _ = world.meter().await; // October of the first plan has no usage
    let clouds: BTreeMap<String, String> =
        world.clazar.records().into_iter().map(|record| (record.contract_id, record.cloud)).collect();
    assert_eq!(clouds, table(&[("c1", "azure"), ("c2", "gcp")]));
}

#[tokio::test]
async fn the_state_of_the_earlier_exporter_is_taken_over_and_written_again() {
    let (world, export) = example(false).await;
    let [september, october] = [export.months()[0], export.months()[1]];
    let contracts = export.contracts();
    // it had done September, and of October one contract
    let state = json!({plan().to_string(): {
        "last_processed_month": "2026-09", "last_updated": "2026-10-01T02:00:00Z",
        "processed_contracts": {"2026-09": contracts.iter().map(|c| format!("{c}:2026-09")).collect::<Vec<_>>(),
                                "2026-10": [format!("{}:2026-10", contracts[0])]},
    }});
    let state = billing::metering::EarlierState::from_json(state.to_string().as_bytes(), None).unwrap();
    for _ in 0..2 {
        world.ledger.import_metering(&plan(), &state.0[&plan()], now()).await.unwrap();
    }
    world.meter().await.unwrap();
    assert_eq!(world.billed_for(&september.to_string()), table(&[]));
    assert!(world.billed().keys().all(|(contract, ..)| *contract != contracts[0]));
    let others = export.totals(october).into_keys().filter(|(contract, _)| *contract != contracts[0]).count();
    assert_eq!(world.billed().len(), others);
    assert_eq!(world.closed_through().await, "2026-10");
    let certificate = world.metering_certificate("2026-10").await;
    assert!(!certificate.dimensions["cpu_core_hours"].imported.is_zero());

    let written: Value = serde_json::from_slice(&world.read("state/metering_state.json").await).unwrap();
    let entry = &written[plan().to_string()];
    assert_eq!(entry["last_processed_month"], "2026-10");
    assert_eq!(entry["processed_contracts"]["2026-10"].as_array().unwrap().len(), contracts.len());
    // and a reopened month does not send them either
    world.ledger.reopen_months(&plan(), september, "to be sure", "test", now()).await.unwrap();
    let before = world.billed();
    world.meter().await.unwrap();
    assert_eq!(world.billed(), before);
}

#[tokio::test]
async fn notifications_shuffled_and_repeated_come_to_the_same_end() {
    let expected = {
        let (world, _) = example(false).await;
        world.count().await;
        world.meter_afresh().await.unwrap();
        world.state().await
    };
    for seed in [1u64, 7, 20_261_001] {
        eprintln!("seed {seed}");
        let (world, _) = example(false).await;
        world.count().await;
        let due = world.cloud.queue().due().unwrap();
        // each three times, in an order that the seed decides
        let mut deliveries: Vec<_> = due.iter().cycle().take(due.len() * 3).collect();
        let mut random = seed;
        deliveries.sort_by_cached_key(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random >> 33
        });
        for (number, (_, function, event)) in deliveries.into_iter().enumerate() {
            let at =
                time("2026-11-02T06:00:00Z") + chrono::TimeDelta::seconds(i64::try_from(number).unwrap());
            world.cloud.functions().invoke(function, event, "test", at).await.unwrap();
        }
        assert_same(&world.state().await, &expected);
    }
}
