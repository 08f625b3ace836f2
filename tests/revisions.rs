//! Amended invoices: newer replaces, older never does, whatever the order of arrival.

use billing::keys::RawDocumentKey;
use billing::revision::Revision;
use local::sandbox::Organisation;
use serde_json::{Value, json};

use crate::world::{World, assert_same, example, quick};

/// An invoice of one project, in a version that was updated on that day of November.
fn revision(cents: i64, day: u32, status: &str) -> Vec<u8> {
    let updated = format!("2026-11-{day:02}T00:00:00Z");
    let line = |project: &str, cents: i64| json!({"groupId": project, "groupName": project, "sku": "X", "totalPriceCents": cents});
    json!({
        "id": "i1", "orgId": "o1", "statusName": status, "updated": updated,
        "startDate": "2026-10-01T00:00:00Z", "endDate": "2026-11-01T00:00:00Z", "subtotalCents": cents + 100,
        "lineItems": [line("a", cents), line("b", 100)],
    })
    .to_string()
    .into_bytes()
}

fn key(document: &[u8]) -> String {
    format!("raw/atlas/o1/2026-10/i1/{}.json", Revision::of(document))
}

async fn deliver(world: &World, document: &[u8]) {
    world.put_raw(&key(document), document, "2026-11-20T00:00:00Z").await;
    let answer = world.invoke("allocate", json!({"key": key(document)})).await.unwrap();
    assert_ne!(answer["documents"][0]["state"], "failed");
}

async fn delivered(documents: &[&[u8]]) -> World {
    let world = World::with(Organisation::recorded([]), false, quick()).await;
    for document in documents {
        deliver(&world, document).await;
    }
    world
}

#[tokio::test]
async fn every_order_of_arrival_comes_to_the_same_end() {
    let (a, b, c) = (revision(500, 2, "CLOSED"), revision(700, 5, "CLOSED"), revision(650, 9, "PAID"));
    let [a, b, c] = [&a, &b, &c].map(Vec::as_slice);
    let expected = delivered(&[a, b, c]).await.state().await;
    let orders: [&[&[u8]]; 7] = [
        &[a, c, b],
        &[b, a, c],
        &[b, c, a],
        &[c, a, b],
        &[c, b, a],
        &[c, c, a, c, b, a],
        &[b, a, b, c, a, b, c],
    ];
    for order in orders {
        assert_same(&delivered(order).await.state().await, &expected);
    }
}

#[tokio::test]
async fn revisions_at_once_come_to_the_same_end() {
    let documents = [revision(500, 2, "CLOSED"), revision(700, 5, "CLOSED"), revision(650, 9, "PAID")];
    let expected = delivered(&documents.each_ref().map(Vec::as_slice)).await.state().await;
    for _ in 0..10 {
        let world = World::with(Organisation::recorded([]), false, quick()).await;
        for document in &documents {
            world.put_raw(&key(document), document, "2026-11-20T00:00:00Z").await;
        }
        let twice = documents.iter().chain(&documents);
        let answers = twice.map(|document| world.invoke("allocate", json!({"key": key(document)})));
        for answer in futures::future::join_all(answers).await {
            answer.unwrap();
        }
        assert_same(&world.state().await, &expected);
    }
}

#[tokio::test]
async fn a_certificate_names_the_revision_before_it_and_each_difference() {
    let (old, new) = (revision(500, 2, "CLOSED"), revision(700, 5, "CLOSED"));
    let world = delivered(&[&new, &old]).await;
    let invoice = RawDocumentKey::parse(&key(&new)).unwrap().invoice;
    let certificate = world.certificate(&invoice).await;
    assert_eq!(certificate.subject.revision, Revision::of(&new));
    let supersedes = serde_json::to_value(certificate.supersedes).unwrap();
    assert_eq!(supersedes["revision"], Revision::of(&old).as_str());
    assert_eq!(supersedes["difference"], "2.00");
    assert_eq!(supersedes["targets"], json!({"a": {"name": "a", "difference": "2.00"}}));
    assert_eq!(world.rows(&invoice).await[0]["project_total_cents"], "700");
}

#[tokio::test]
async fn a_period_opens_closes_and_reopens_only_for_money() {
    let state = async |documents: &[&[u8]]| {
        let world = delivered(documents).await;
        let invoice = RawDocumentKey::parse(&key(documents[0])).unwrap().invoice;
        let period = world.ledger.period(&invoice).await.unwrap().unwrap();
        (period.state.to_string(), period.reason)
    };
    let (open, closed, paid, restated) = (
        revision(300, 1, "PENDING"),
        revision(500, 2, "CLOSED"),
        revision(500, 5, "PAID"),
        revision(550, 9, "PAID"),
    );
    assert_eq!(state(&[&open]).await.0, "open");
    assert_eq!(state(&[&open, &closed]).await.0, "closed");
    // a payment changes no amount
    assert_eq!(state(&[&open, &closed, &paid]).await.0, "closed");
    let (reopened, reason) = state(&[&open, &closed, &paid, &restated]).await;
    assert_eq!(reopened, "reopened");
    assert!(reason.contains("restated by 0.50"), "{reason}");
}

#[tokio::test]
async fn an_amended_invoice_of_atlas_reopens_its_month() {
    let world = World::new(example()).await;
    world.fetch(json!({})).await;
    let id = world.atlas.amend().unwrap();
    let report = world.fetch(json!({})).await;
    assert_eq!((&report["fetched"], &report["unchanged"]), (&json!(1), &json!(4)));
    let invoice = world.invoices().await.remove(&id).unwrap();
    let certificate = world.certificate(&invoice).await;
    assert_eq!(certificate.supersedes.unwrap().difference.to_string(), "12.34");
    assert_eq!(world.ledger.period(&invoice).await.unwrap().unwrap().state.to_string(), "reopened");
    // the certificate of the revision before still stands
    let records = world.ledger.revisions(&invoice).await.unwrap();
    assert_eq!(records.len(), 2);
    for record in records {
        let certificate: Value =
            serde_json::from_slice(&world.read(&record.certificate_key.unwrap()).await).unwrap();
        assert_eq!(certificate["subject"]["revision"], record.revision.as_str());
    }
}

#[tokio::test]
async fn a_published_revision_keeps_its_rules_and_a_held_one_follows_todays() {
    let document = revision(500, 2, "CLOSED");
    let world = delivered(&[&document]).await;
    let before = world.state().await;
    let (tax, force) = ([("ATLAS_TAX", "allocate")], json!({"key": key(&document), "force": true}));
    let answer = world.invoke_with(&tax, "allocate", force).await.unwrap();
    assert_eq!(answer["documents"][0]["state"], "allocated");
    assert_same(&world.state().await, &before);

    // held while credits are demanded, published when they are not
    let world = World::with(Organisation::recorded([]), false, quick()).await;
    world.put_raw(&key(&document), &document, "2026-11-20T00:00:00Z").await;
    let credits = [("ATLAS_RECONCILE", "credits")];
    let held = world.invoke_with(&credits, "allocate", json!({"key": key(&document)})).await.unwrap_err();
    assert_eq!(held.outcome.to_string(), "held");
    let invoice = RawDocumentKey::parse(&key(&document)).unwrap().invoice;
    let period = world.ledger.period(&invoice).await.unwrap().unwrap();
    assert_eq!(period.state.to_string(), "open");
    assert!(period.reason.starts_with("invoice i1 is held: creditsCents 0.00"), "{}", period.reason);
    let answer = world.invoke("allocate", json!({"key": key(&document)})).await.unwrap();
    assert_eq!(answer["documents"][0]["state"], "allocated");
    assert_eq!(world.ledger.period(&invoice).await.unwrap().unwrap().state.to_string(), "closed");
}

#[tokio::test]
async fn a_document_put_twice_is_not_its_own_predecessor() {
    let document = revision(500, 2, "CLOSED");
    let world = World::with(Organisation::recorded([]), false, quick()).await;
    for force in [false, true] {
        world.bucket.overwrite(&key(&document), document.clone(), "application/json").await.unwrap();
        world.invoke("allocate", json!({"key": key(&document), "force": force})).await.unwrap();
    }
    let invoice = RawDocumentKey::parse(&key(&document)).unwrap().invoice;
    assert_eq!(world.certificate(&invoice).await.supersedes, None);
}
