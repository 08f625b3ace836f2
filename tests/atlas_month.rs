//! A schedule fetches an organisation's invoices, their arrival allocates them, and a second run changes nothing.

use billing::certificate::Status;
use billing::money::{Decimal, sum};
use local::sandbox::{ATLAS_SERVICE_ACCOUNT, PendingShape};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Value, json};

use crate::world::{World, assert_same, example};

fn event(name: &str) -> Value {
    let file = format!("{}/../events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[tokio::test]
async fn a_scheduled_run_fetches_allocates_and_certifies() {
    let world = World::new(example()).await;
    let report = world.fetch(event("fetch-atlas-scheduled")).await;
    // three ended months are two of one month and one before, the open one, and a linked organisation's
    assert_eq!((&report["fetched"], &report["failed"]), (&json!(5), &json!([])));

    for invoice in world.invoices().await.values() {
        let certificate = world.certificate(invoice).await;
        assert_ne!(certificate.status, Status::Mismatch);
        // the rows in the CSV are those certified, and they and the rest are the charges and the adjustments
        let rows = world.rows(invoice).await;
        let total =
            sum(rows.iter().map(|row| row["project_total_dollars"].parse::<Decimal>().unwrap())).unwrap();
        let adjusted = sum(certificate.targets.iter().map(|target| target.adjustment)).unwrap();
        assert_eq!(total, certificate.allocated_total + adjusted);
        // and the Parquet file has the same sum
        assert_eq!(billed_cost(&world.read(&invoice.charges()).await), certificate.charges_total);
        for output in &certificate.outputs {
            assert_eq!(
                billing::revision::sha256_hex(&world.read(&output.key).await),
                output.sha256,
                "{}",
                output.key
            );
        }
    }
    assert!(world.cloud.queue().dead_letters().unwrap().is_empty());
}

/// Sum of `BilledCost` over a Parquet file.
fn billed_cost(bytes: &[u8]) -> Decimal {
    let reader = SerializedFileReader::new(parquet_bytes(bytes)).unwrap();
    let mut total = Decimal::ZERO;
    for row in reader.get_row_iter(None).unwrap() {
        for (name, field) in row.unwrap().get_column_iter() {
            if let ("BilledCost", Field::Decimal(decimal)) = (name.as_str(), field) {
                let bytes: [u8; 16] = decimal.data().try_into().unwrap();
                total += Decimal::from_i128_with_scale(i128::from_be_bytes(bytes), 18);
            }
        }
    }
    total
}

fn parquet_bytes(bytes: &[u8]) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(bytes)
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_starts_nothing() {
    let world = World::new(example()).await;
    world.fetch(json!({})).await;
    let before = world.state().await;
    let report = world.fetch(json!({})).await;
    assert_eq!((&report["fetched"], &report["unchanged"]), (&json!(0), &json!(5)));
    assert_same(&world.state().await, &before);
}

#[tokio::test]
async fn a_month_or_an_invoice_can_be_asked_for() {
    let world = World::new(example()).await;
    let month = world.fetch(json!({"month": "2026-08"})).await;
    let documents = month["documents"].as_array().unwrap();
    assert_eq!((documents.len(), &documents[0]["period"]), (1, &json!("2026-08")));
    let invoice = world.fetch(event("fetch-atlas-invoice")).await;
    // with the linked one that it names
    let ids: Vec<_> =
        invoice["documents"].as_array().unwrap().iter().map(|document| &document["invoice_id"]).collect();
    assert_eq!(ids, ["69202610000000000000000a", "69202610000000000000000b"]);
    let early = world.invoke("fetch-atlas", json!({"month": "2026-12"})).await.unwrap_err();
    assert!(early.message.contains("2026-12 has not begun"), "{}", early.message);
    let failure = world.invoke("fetch-atlas", json!({"month": "2020-01"})).await.unwrap_err();
    assert_eq!(failure.message, "organisation 64f0a1b2c3d4e5f607182930 has no invoice for 2020-01");
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let world = World::new(example()).await;
    let report = world.fetch(event("fetch-atlas-dry-run")).await;
    assert_eq!(report["documents"][0]["state"], "would_fetch");
    assert!(world.state().await.is_empty());

    world.fetch(json!({"month": "2026-10"})).await;
    let before = world.state().await;
    let key = world.keys("raw/").await.remove(0);
    let preview = world.invoke("allocate", json!({"key": key, "dry_run": true})).await.unwrap();
    assert_eq!(preview["documents"][0]["state"], "preview");
    assert_same(&world.state().await, &before);
}

#[tokio::test]
async fn the_open_month_comes_in_three_shapes_and_is_marked_open() {
    let mut totals = Vec::new();
    for shape in [PendingShape::Bare, PendingShape::Page, PendingShape::List] {
        let world = World::new(example()).await;
        world.atlas.pending_shape(shape);
        let report = world.fetch(json!({"month": "2026-11"})).await;
        assert_eq!(report["documents"][0]["finality"], "open", "{shape:?}");
        let invoice = world.invoices().await.into_values().next().unwrap();
        let period = world.ledger.period(&invoice).await.unwrap().unwrap();
        assert_eq!(period.state.to_string(), "open");
        totals.push(world.certificate(&invoice).await.charges_total);
    }
    assert!(totals.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn a_service_account_opens_the_same_doors() {
    let world = World::new(example()).await;
    let report = world.invoke_with(&ATLAS_SERVICE_ACCOUNT, "fetch-atlas", json!({})).await.unwrap();
    assert_eq!(report["fetched"], 5);
    let tokens = world.atlas.requests().iter().filter(|request| request.contains("oauth/token")).count();
    assert_eq!(tokens, 1);
}

#[tokio::test]
async fn credentials_can_stand_in_secrets_manager() {
    let world = World::new(example()).await;
    let secret = [
        ("SECRETS", "secretsmanager"),
        ("ATLAS_SECRET_ARN", local::sandbox::secrets::ATLAS_SECRET_ARN),
        ("PUBLIC_KEY", "wrong"),
        ("PRIVATE_KEY", "wrong"),
    ];
    assert_eq!(world.invoke_with(&secret, "fetch-atlas", json!({})).await.unwrap()["fetched"], 5);
}

#[tokio::test]
async fn one_challenge_serves_a_whole_run_and_a_stale_nonce_is_renewed() {
    let world = World::new(example()).await;
    world.fetch(json!({})).await;
    let requests = world.atlas.requests();
    let distinct: std::collections::BTreeSet<_> = requests.iter().collect();
    assert_eq!(requests.len(), distinct.len() + 1, "only the first request was asked twice: {requests:?}");

    let world = World::new(example()).await;
    world.atlas.nonce_uses(2);
    assert_eq!(world.fetch(json!({})).await["fetched"], 5);
}

#[tokio::test]
async fn all_pages_are_followed_even_if_the_server_gives_smaller_ones() {
    let mut organisation = example();
    organisation.largest_page = 2;
    let world = World::new(organisation).await;
    let report = world.invoke_with(&[("INVOICE_LIMIT", "100")], "fetch-atlas", json!({})).await.unwrap();
    assert_eq!(report["fetched"], 7);
}

#[tokio::test]
async fn two_deliveries_at_once_and_one_more_come_to_the_same_end() {
    let quiet = World::new(example()).await;
    quiet.fetch(json!({"month": "2026-10"})).await;
    let expected = quiet.state().await;

    let world = World::with(example(), false, crate::world::quick()).await;
    world.invoke("fetch-atlas", json!({"month": "2026-10"})).await.unwrap();
    let due = world.cloud.queue().due().unwrap();
    let thrice = due.iter().chain(&due).chain(&due);
    let deliveries = thrice.map(|(_, function, event)| world.invoke(function, event.clone()));
    for answer in futures::future::join_all(deliveries).await {
        answer.unwrap();
    }
    assert_same(&world.state().await, &expected);
    let (_, function, event) = &due[0];
    let again = world.invoke(function, event.clone()).await.unwrap();
    assert_eq!(again["documents"][0]["state"], "already");
}

#[tokio::test]
async fn the_sample_events_are_about_documents_that_the_sandbox_has() {
    let world = World::new(example()).await;
    world.fetch(event("fetch-atlas-month")).await;
    for (name, documents) in [
        ("allocate-s3-notification", 1),
        ("allocate-several-records", 2),
        ("allocate-by-hand", 1),
        ("allocate-s3-test-event", 0),
    ] {
        let answer = world.invoke("allocate", event(name)).await.unwrap();
        let states: Vec<_> =
            answer["documents"].as_array().unwrap().iter().map(|document| &document["state"]).collect();
        assert_eq!(states, vec!["already"; documents], "{name}");
    }
    let before = world.state().await;
    let again = world.invoke("allocate", event("allocate-again")).await.unwrap();
    assert_eq!(again["documents"][0]["state"], "allocated");
    assert_same(&world.state().await, &before);
    assert_eq!(
        world.invoke("allocate", event("allocate-dry-run")).await.unwrap()["documents"][0]["state"],
        "preview"
    );
}

#[tokio::test]
async fn runs_are_recorded_with_their_counts() {
    let world = World::new(example()).await;
    world.fetch(json!({"month": "2026-08"})).await;
    let runs = world.ledger.runs(crate::world::now().date_naive()).await.unwrap();
    let run = runs.iter().find(|run| run.function == "fetch-atlas").unwrap();
    assert_eq!((run.outcome.as_str(), run.total.as_str(), run.failed.as_str()), ("done", "1", "0"));
}
