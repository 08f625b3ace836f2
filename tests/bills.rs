//! Bills as FOCUS exports that somebody puts into the bucket: from the file to certificate, rows, aggregates and charges.

use billing::certificate::{Certificate, Status};
use cloud::vars::Vars;
use serde_json::{Value, json};

use crate::world::{World, example, quick};

const AWS_EXPORT: &[u8] = include_bytes!("../shared/billing/src/charges/fixtures/aws-focus12-00001.csv.gz");
const KEY: &str = "raw/focus/aws/111122223333/2025-06/focus12/export.csv.gz";

async fn world() -> World {
    World::with(example(), false, quick().or(&Vars::default())).await
}

async fn put(world: &World, key: &str, bytes: &[u8]) {
    world.bucket.overwrite(key, bytes.to_vec(), "application/octet-stream").await.unwrap();
}

async fn allocate(world: &World, key: &str) -> Value {
    match world.invoke("allocate", json!({"key": key})).await {
        Ok(report) => report["documents"][0].clone(),
        Err(failure) => panic!("{}", failure.message),
    }
}

async fn refused(world: &World, key: &str) -> String {
    world.invoke("allocate", json!({"key": key})).await.unwrap_err().message
}

async fn certificate(world: &World, document: &Value) -> Certificate {
    Certificate::from_json(&world.read(document["certificate"].as_str().unwrap()).await).unwrap()
}

#[tokio::test]
async fn an_export_becomes_rows_that_add_up_to_the_bill() {
    let world = world().await;
    put(&world, KEY, AWS_EXPORT).await;
    let document = allocate(&world, KEY).await;
    assert_eq!(document["state"], "allocated", "{document}");
    let certificate = certificate(&world, &document).await;
    assert_eq!(certificate.status, Status::Explained);
    assert_eq!(certificate.charges_total.to_string(), "14.58038");
    assert_eq!(certificate.provider_total.to_string(), "14.58");
    let rows = world.read("allocations/aws/111122223333/2025-06-focus12.csv").await;
    insta::assert_snapshot!("bill_rows", String::from_utf8(rows).unwrap().replace('\r', ""));
    for table in ["by-account", "by-service", "by-tag"] {
        let key = format!("aggregates/aws/111122223333/2025-06-focus12/{table}.csv");
        let text = String::from_utf8(world.read(&key).await).unwrap().replace('\r', "");
        insta::assert_snapshot!(format!("bill_{table}"), text);
    }
    assert_eq!(allocate(&world, KEY).await["state"], "already");
    assert_eq!(
        world.keys("charges/").await,
        ["charges/provider=aws/month=2025-06/111122223333-focus12.parquet"]
    );
}

#[tokio::test]
async fn a_truncated_export_is_held_and_nothing_of_it_is_published() {
    let world = world().await;
    put(&world, KEY, &AWS_EXPORT[..AWS_EXPORT.len() / 2]).await;
    let message = refused(&world, KEY).await;
    assert!(message.contains("cannot be read after row"), "{message}");
    assert!(world.keys("charges/").await.is_empty());
    assert_eq!(world.keys("held/").await, [format!("held/{KEY}.reason.json")]);
    // the whole file under the same name is another revision
    put(&world, KEY, AWS_EXPORT).await;
    assert_eq!(allocate(&world, KEY).await["state"], "allocated");
}
