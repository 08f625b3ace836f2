//! The order in which functions write. A death between two writes must leave nothing that the next delivery does not mend, and that hangs on
//! their order: where it changes, it is to be seen.

use cloud::vars::Vars;
use local::{Call, Functions};
use serde_json::{Value, json};

use crate::datastores_world::{platform, running};
use crate::metering_world::metered;
use crate::overtaken::{gated, invoice, one_payment};
use crate::teams_failures::september;
use crate::teams_world::{CATALOG, billed};
use crate::world::{World, now};

/// What a function writes, in its order, one line each.
async fn writes(world: &World, function: &str, event: Value) -> String {
    let (gate, vars) = gated(world).await;
    let vars = Vars::from_iter([("CLAZAR_CONCURRENCY", "1")]).or(&vars);
    Box::pin(Functions::new(vars).invoke(function, &event, "test", now())).await.unwrap();
    let calls = gate.calls();
    let writes = calls.iter().filter(|call| is_write(call)).map(shown);
    writes.collect::<Vec<_>>().join("\n")
}

fn is_write(call: &Call) -> bool {
    match call.target.as_deref() {
        Some(target) => !["GetItem", "Query", "Scan"].iter().any(|read| target.ends_with(read)),
        None => call.method != "GET" && call.method != "HEAD",
    }
}

/// A call without what its content decides.
fn shown(call: &Call) -> String {
    let path = call.path.split('?').next().unwrap_or_default();
    let path = without_hashes(path);
    match (&call.target, &call.item) {
        (_, Some(item)) => format!("{} {}", call.service, without_hashes(item)),
        (Some(target), None) => format!("{} {target}", call.service),
        (None, None) => format!("{} {} {path}", call.service, call.method),
    }
}

/// Runs of at least 16 hexadecimal digits are hashes.
fn without_hashes(path: &str) -> String {
    let is_hash = |part: &str| part.len() >= 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    const ENDS: [char; 5] = ['/', '-', '.', '#', ' '];
    let parts = path.split_inclusive(ENDS);
    let shown = parts.map(|part| {
        let end = part.len() - usize::from(part.ends_with(ENDS));
        if is_hash(&part[..end]) { format!("HASH{}", &part[end..]) } else { part.to_owned() }
    });
    shown.collect()
}

#[tokio::test]
async fn allocate_writes_the_proof_of_an_invoice_before_what_others_read() {
    let world = platform(false).await;
    let (key, document) = invoice(500, 2);
    world.put_raw(&key, &document, "2026-11-20T00:00:00Z").await;
    insta::assert_snapshot!("allocate_invoice", writes(&world, "allocate", json!({"key": key})).await);
}

#[tokio::test]
async fn allocate_gives_an_upload_its_place_before_it_counts() {
    let world = platform(false).await;
    let key = "raw/focus/acme/a-1/2026-09/export/september.csv";
    world.put(key, crate::overtaken::export("10").as_str()).await;
    insta::assert_snapshot!("allocate_upload", writes(&world, "allocate", json!({"key": key})).await);
}

#[tokio::test]
async fn bill_posts_a_run_before_anything_of_it_can_be_seen() {
    let world = billed(CATALOG).await;
    insta::assert_snapshot!("bill", writes(&world, "bill", september()).await);
}

#[tokio::test]
async fn meter_clazar_notes_each_step_before_it_is_taken() {
    let world = metered(false).await;
    world.usage("2026/09/01/00/s.json", &[("c1", "cpu", "5.75"), ("c2", "cpu", "7")]).await;
    world.usage("2026/10/01/00/s.json", &[("c1", "cpu", "0.5")]).await;
    world.count().await;
    insta::assert_snapshot!("meter_clazar", writes(&world, "meter-clazar", json!({})).await);
}

#[tokio::test]
async fn report_revenue_writes_certificates_last() {
    let world = one_payment().await;
    let event = json!({"month": "2026-10"});
    insta::assert_snapshot!("report_revenue", writes(&world, "report-revenue", event).await);
}

#[tokio::test]
async fn record_usage_writes_histories_before_it_says_so_and_removes_parts_last() {
    let world = platform(false).await;
    world.events("a.jsonl", &running("10-30T00:00", "orders")).await;
    let file = writes(&world, "record-usage", json!({"key": "datastores/2026-10/a.jsonl"})).await;
    let together = writes(&world, "record-usage", json!({})).await;
    insta::assert_snapshot!("record_usage", format!("{file}\n\n{together}"));
}

#[tokio::test]
async fn fetch_ccx_keeps_the_report_before_its_certificate() {
    let world = crate::ccx::world().await;
    insta::assert_snapshot!("fetch_ccx", writes(&world, "fetch-ccx", json!({"month": "2026-10"})).await);
}

#[tokio::test]
async fn fetch_prometheus_keeps_the_answer_before_its_driver() {
    let world = crate::prometheus::world().await;
    let event = json!({"month": "2026-10"});
    insta::assert_snapshot!("fetch_prometheus", writes(&world, "fetch-prometheus", event).await);
}
