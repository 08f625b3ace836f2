//! The main job on documents as they were recorded, against control totals made apart from this code.

use std::collections::BTreeMap;

use billing::certificate::Status;
use billing::ids::{ContractId, Dimension};
use billing::metering::{Asked, EarlierState, Line, Verdict, read_reply};
use local::sandbox::Organisation;
use serde_json::{Value, json};

use crate::world::World;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/atlas/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

async fn world(documents: &[&str]) -> World {
    let world = World::new(Organisation::recorded(documents.iter().map(|name| fixture(name)))).await;
    let report =
        world.invoke_with(&[("ORG_ID", "5f1a2b3c4d5e6f7081920a01")], "fetch-atlas", json!({})).await.unwrap();
    assert_eq!(report["fetched"], documents.len());
    world.quiet().await;
    world
}

#[tokio::test]
async fn control_totals_to_the_cent() {
    let control: Value = serde_json::from_slice(&fixture("control_totals")).unwrap();
    let names = [
        ("6840000000000000000000f6", "atlas_june", Status::Explained),
        ("6812000000000000000000f5", "atlas_may", Status::Matched),
        ("6863000000000000000000f7", "atlas_pending", Status::Explained),
    ];
    let world = world(&["invoice_pending_bare", "invoice_2025-06_paid", "invoice_2025-05_prepaid"]).await;
    let invoices = world.invoices().await;
    for (id, name, status) in names {
        let expected = &control[name];
        let invoice = &invoices[id];
        let rows = world.rows(invoice).await;
        let own: BTreeMap<&str, i64> = rows
            .iter()
            .map(|row| (row["project_name"].as_str(), row["line_item_total_cents"].parse().unwrap()))
            .collect();
        for (project, cents) in expected["by_project_cents"].as_object().unwrap() {
            if project != "(none)" {
                assert_eq!(Some(own[project.as_str()]), cents.as_i64(), "{name} {project}");
            }
        }
        let pool = expected["by_project_cents"]["(none)"].as_i64().unwrap_or(0);
        let total: i64 = rows.iter().map(|row| row["project_total_cents"].parse::<i64>().unwrap()).sum();
        assert_eq!(total, own.values().sum::<i64>() + pool, "{name}");
        let certificate = world.certificate(invoice).await;
        assert_eq!(certificate.status, status, "{name}: {}", certificate.explanation);
        assert_eq!(certificate.provider_figures["subtotalCents"], expected["subtotalCents"], "{name}");
    }
    let may = world.certificate(&invoices["6812000000000000000000f5"]).await;
    assert_eq!(may.provider_total.to_string(), "1547.18");
    let june = world.certificate(&invoices["6840000000000000000000f6"]).await;
    assert_eq!(
        (june.provider_total.to_string(), june.charges_total.to_string()),
        ("1498.37".into(), "1473.37".into())
    );
}

#[tokio::test]
async fn the_paged_open_invoice_is_the_bare_one() {
    let page: Value = serde_json::from_slice(&fixture("invoice_pending_paginated")).unwrap();
    let from_page = Organisation::recorded([page["results"][0].to_string().into_bytes()]);
    let paged = World::new(from_page).await;
    paged.atlas.pending_shape(local::sandbox::PendingShape::Page);
    paged.invoke_with(&[("ORG_ID", "5f1a2b3c4d5e6f7081920a01")], "fetch-atlas", json!({})).await.unwrap();
    paged.quiet().await;
    let bare = world(&["invoice_pending_bare"]).await;
    let invoice = bare.invoices().await.into_values().next().unwrap();
    assert_eq!(paged.rows(&invoice).await, bare.rows(&invoice).await);
}

#[tokio::test]
async fn a_linked_invoice_that_may_not_be_read_is_named_and_stops_nothing() {
    let world = World::new(Organisation::recorded([fixture("invoice_2025-06_with_linked")])).await;
    let org = [("ORG_ID", "5f1a2b3c4d5e6f7081920a01")];
    let failure = world.invoke_with(&org, "fetch-atlas", json!({})).await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "partial");
    let report = failure.report.unwrap();
    assert_eq!(
        (&report["fetched"], &report["failed"][0]["invoice_id"]),
        (&json!(1), &json!("6840000000000000000000b6"))
    );
    world.quiet().await;
    assert_eq!(world.keys("allocations/").await.len(), 1);
}

/// What a recorded reply says of each record of the recorded request.
fn verdicts(reply: &str) -> Vec<String> {
    let request: Value = serde_json::from_str(include_str!("fixtures/clazar/metering_request.json")).unwrap();
    let text = |record: &Value, field: &str| record[field].as_str().unwrap().to_owned();
    let asked = |record: &Value| Asked {
        line: Line {
            contract: ContractId::new(text(record, "contract_id")).unwrap(),
            dimension: Dimension::new(text(record, "dimension")).unwrap(),
        },
        start: text(record, "start_time").parse().unwrap(),
        quantity: text(record, "quantity").parse().unwrap(),
    };
    let asked: Vec<Asked> = request["request"].as_array().unwrap().iter().map(asked).collect();
    let shown = |verdict: &Verdict| match verdict {
        Verdict::Accepted { .. } => "accepted".to_owned(),
        Verdict::AlreadyThere { .. } => "already there".to_owned(),
        Verdict::Refused { reply, .. } => format!("refused: {reply}"),
        Verdict::Missing => "missing".to_owned(),
    };
    read_reply(200, reply.as_bytes(), &asked).unwrap().verdicts.iter().map(shown).collect()
}

#[test]
fn recorded_replies_of_clazar() {
    assert_eq!(verdicts(include_str!("fixtures/clazar/metering_200_all_ok.json")), ["accepted"; 6]);
    assert_eq!(
        verdicts(include_str!("fixtures/clazar/metering_200_mixed.json")),
        [
            "accepted",
            "accepted",
            // the reply speaks of another dimension instead
            "missing",
            "already there",
            "refused: API1001: Invalid contract: Contract is not active",
            "missing",
        ]
    );
}

#[test]
fn the_recorded_state_of_the_earlier_exporter() {
    let bytes = include_bytes!("fixtures/omnistrate/metering_state.json");
    let state = EarlierState::from_json(bytes, None).unwrap();
    let plan = &state.0[&"Postgres:PROD:pt-HJSv20iWX0".parse().unwrap()];
    assert_eq!(plan.last_complete_month().unwrap().to_string(), "2025-05");
    assert_eq!(plan.processed_contracts.values().flatten().count(), 1);
}
