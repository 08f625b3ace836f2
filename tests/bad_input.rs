//! Documents that cannot be used: held with the reason, nothing lost, the others go on.

use billing::revision::Revision;
use cloud::ledger::RunOutcome;
use local::sandbox::{FaultKind, Organisation};
use serde_json::{Value, json};

use crate::world::{World, example, quick};

fn key(document: &[u8]) -> String {
    format!("raw/atlas/o1/2026-10/i1/{}.json", Revision::of(document))
}

async fn empty() -> World {
    World::with(Organisation::recorded([]), false, quick()).await
}

async fn allocate(world: &World, document: &[u8]) -> String {
    world.put_raw(&key(document), document, "2026-11-20T00:00:00Z").await;
    let failure = world.invoke("allocate", json!({"key": key(document)})).await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "held", "{}", failure.message);
    failure.message
}

fn invoice(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut invoice = json!({
        "id": "i1", "orgId": "o1", "startDate": "2026-10-01T00:00:00Z", "endDate": "2026-11-01T00:00:00Z",
        "statusName": "PAID", "subtotalCents": 5, "lineItems": [{"sku": "X", "groupId": "a", "totalPriceCents": 5}],
    });
    change(&mut invoice);
    invoice.to_string().into_bytes()
}

#[tokio::test]
async fn unusable_documents_are_held_with_a_reason_that_names_the_place() {
    let whole = invoice(|_| {});
    let text = String::from_utf8(whole.clone()).unwrap();
    let twice = text.replacen("\"totalPriceCents\":5", "\"totalPriceCents\":5,\"totalPriceCents\":500", 1);
    let cases: [(Vec<u8>, &str); 11] = [
        (twice.into_bytes(), "'totalPriceCents' stands twice in lineItems[0]"),
        (
            text.replacen('{', "{\"subtotalCents\":500,", 1).into_bytes(),
            "'subtotalCents' stands twice at line 1",
        ),
        (whole[..whole.len() / 2].to_vec(), "EOF while parsing"),
        (b"".to_vec(), "EOF while parsing"),
        (b"\xff\xfe{}".to_vec(), "not an Atlas invoice"),
        (b"<html>".to_vec(), "not an Atlas invoice"),
        (
            invoice(|i| i["lineItems"][0]["totalPriceCents"] = Value::Null),
            "line item 1 (X) has no totalPriceCents",
        ),
        (
            invoice(|i| i["lineItems"][0]["totalPriceCents"] = json!(0.5)),
            "line item 1: invalid type: floating point",
        ),
        (invoice(|i| i["lineItems"][0]["totalPriceCents"] = json!("5")), "line item 1: invalid type: string"),
        (invoice(|i| i["id"] = json!("../../etc")), "put it under its own key"),
        (invoice(|i| i["startDate"] = json!("soon")), "startDate 'soon' is not a time"),
    ];
    for (document, part) in cases {
        let world = empty().await;
        let message = allocate(&world, &document).await;
        assert!(message.contains(part), "{message}");
        // nothing is published, the raw document stays, the reason stands beside it
        let held: Value =
            serde_json::from_slice(&world.read(&format!("held/{}.reason.json", key(&document))).await)
                .unwrap();
        assert!(held["reason"].as_str().unwrap().contains(part));
        assert_eq!(world.keys("").await.len(), 2);
        // and the month is not closed over it
        let invoice = billing::keys::RawDocumentKey::parse(&key(&document)).unwrap().invoice;
        assert_eq!(world.ledger.period(&invoice).await.unwrap().unwrap().state.to_string(), "open");
        // the same again is refused again, without more work
        assert_eq!(
            world.invoke("allocate", json!({"key": key(&document)})).await.unwrap_err().message,
            message
        );
    }
}

#[tokio::test]
async fn a_mismatch_holds_its_outputs() {
    let world = empty().await;
    let document = invoice(|i| i["subtotalCents"] = json!(905));
    let message = allocate(&world, &document).await;
    assert!(message.contains("differ by 9.00"), "{message}");
    let held = world.keys("held/").await;
    assert_eq!(held.len(), 3, "{held:?}");
    assert!(held.iter().all(|key| key.contains(Revision::of(&document).as_str())), "{held:?}");
    assert!(world.keys("allocations/").await.is_empty());
    assert!(world.keys("certificates/").await.is_empty());
    assert!(world.keys("charges/").await.is_empty());
}

#[tokio::test]
async fn a_mismatching_revision_leaves_the_good_one_published() {
    let world = empty().await;
    let (good, bad) = (invoice(|_| {}), invoice(|i| i["subtotalCents"] = json!(905)));
    world.put_raw(&key(&good), &good, "2026-11-19T00:00:00Z").await;
    world.invoke("allocate", json!({"key": key(&good)})).await.unwrap();
    let published = world.read("allocations/atlas/o1/2026-10-i1.csv").await;
    allocate(&world, &bad).await;
    assert_eq!(world.read("allocations/atlas/o1/2026-10-i1.csv").await, published);
}

#[tokio::test]
async fn bytes_that_are_not_those_the_key_names_are_held() {
    let world = empty().await;
    let key = "raw/atlas/o1/2026-10/i1/0123456789abcdef.json";
    world.put_raw(key, &invoice(|_| {}), "2026-11-20T00:00:00Z").await;
    let failure = world.invoke("allocate", json!({"key": key})).await.unwrap_err();
    assert!(failure.message.contains("was cut short or renamed"), "{}", failure.message);
}

#[tokio::test]
async fn one_bad_document_in_an_event_stops_no_other() {
    let world = empty().await;
    let (good, bad) = (invoice(|_| {}), b"{}".to_vec());
    for document in [&good, &bad] {
        world.put_raw(&key(document), document, "2026-11-20T00:00:00Z").await;
    }
    let record = |key: String| json!({"s3": {"bucket": {"name": local::BUCKET}, "object": {"key": key}}});
    let event = json!({"Records": [record(key(&bad)), record("other/x".into()), record("raw/x".into()), record(key(&good))]});
    let failure = world.invoke("allocate", event).await.unwrap_err();
    let report = failure.report.unwrap();
    let states: Vec<_> =
        report["documents"].as_array().unwrap().iter().map(|document| &document["state"]).collect();
    assert_eq!(states, ["held", "failed", "failed", "allocated"]);
    assert!(
        failure.message.contains("'other/x' is not the key of a raw document (it does not start with raw/)")
    );
}

#[tokio::test]
async fn other_buckets_providers_and_missing_objects_are_refused_clearly() {
    let world = empty().await;
    let message = async |event| world.invoke("allocate", event).await.unwrap_err().message;
    let key = "raw/atlas/o1/2026-10/i1/0123456789abcdef.json";
    let other = json!({"Records": [{"s3": {"bucket": {"name": "elsewhere"}, "object": {"key": key}}}]});
    assert!(
        message(other)
            .await
            .contains("the event is about bucket elsewhere, this function works on monthend-data")
    );
    assert!(message(json!({"key": key})).await.contains("there is no object s3://monthend-data/raw/atlas"));
    let gcp = key.replace("atlas", "gcp");
    assert!(message(json!({"key": gcp})).await.contains("is no document that starts an allocation"));
    assert!(message(json!({"hello": 1})).await.contains("the event has no usable Records"));
    assert!(message(json!({"key": key, "dry-run": true})).await.contains("unknown field `dry-run`"));
}

#[tokio::test]
async fn keys_in_notifications_are_decoded() {
    let world = World::with(Organisation::recorded([]), true, quick()).await;
    let document = invoice(|i| i["orgId"] = json!("o 1+2"));
    let key = format!("raw/atlas/o!201!2B2/2026-10/i1/{}.json", Revision::of(&document));
    world.put_raw(&key, &document, "2026-11-20T00:00:00Z").await;
    world.quiet().await;
    assert_eq!(world.keys("allocations/").await, ["allocations/atlas/o!201!2B2/2026-10-i1.csv"]);
}

#[tokio::test]
async fn a_failing_notification_is_tried_three_times_and_kept_with_its_error() {
    let world = World::with(Organisation::recorded([]), true, quick()).await;
    world.put_raw(&key(b"{}"), b"{}", "2026-11-20T00:00:00Z").await;
    world.quiet().await;
    let letters = world.cloud.queue().dead_letters().unwrap();
    let (_, letter) = &letters[0];
    assert_eq!((letters.len(), letter.attempts, letter.outcome), (1, 3, RunOutcome::Held));
    assert!(letter.error.contains("the invoice has no"), "{}", letter.error);
}

#[tokio::test]
async fn an_answer_cut_short_by_atlas_is_kept_and_held_and_the_next_fetch_heals_it() {
    let world = World::new(example()).await;
    world.atlas.fail("/invoices/69202608", FaultKind::Cut, 1);
    world.invoke("fetch-atlas", json!({"month": "2026-08"})).await.unwrap();
    world.quiet().await;
    assert_eq!(world.cloud.queue().dead_letters().unwrap().len(), 1);
    world.fetch(json!({"month": "2026-08"})).await;
    assert_eq!(world.keys("allocations/").await.len(), 1);
}
