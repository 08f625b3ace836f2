//! Listings that are longer than one page: S3 gives 1,000 keys at once, DynamoDB one megabyte of items.

use billing::keys::RawDocumentKey;
use billing::revision::{Revision, RevisionOrder};
use billing::usage::{History, read_lines};
use chrono::TimeDelta;
use cloud::datastores::PARTS;
use cloud::ledger::RevisionRecord;
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use crate::datastores_world::{platform, running};
use crate::metering_world::{metered, month, plan};
use crate::overtaken::invoice;
use crate::revenue::{payment, selling};
use crate::world::{World, now};

/// One more than a page of S3.
const MANY: usize = 1_001;

async fn put_many(world: &World, bucket: &cloud::bucket::Bucket, objects: Vec<(String, String)>) {
    assert_eq!(objects.len(), MANY, "of {}", world.bucket.name());
    let puts = objects.iter().map(|(key, text)| bucket.overwrite(key, text.clone(), "application/json"));
    let puts: Vec<_> = stream::iter(puts).buffer_unordered(16).collect().await;
    puts.into_iter().for_each(Result::unwrap);
}

#[tokio::test]
async fn a_journal_of_more_files_than_a_page_is_reported_whole() {
    let world = selling(false).await;
    let file = |n: usize| (format!("journal/2026-10/{n:04}.jsonl"), payment(&n.to_string(), 1, "1.00"));
    put_many(&world, &world.bucket, (0..MANY).map(file).collect()).await;
    world.invoke("report-revenue", json!({"month": "2026-10"})).await.unwrap();
    let report: Value =
        serde_json::from_slice(&world.read("reports/revenue/2026-10-EUR.json").await).unwrap();
    assert_eq!(report["total_revenue"], MANY);
}

#[tokio::test]
async fn an_export_of_more_files_than_a_page_is_counted_whole() {
    let world = metered(false).await;
    world.exported_to("2026-10-31T23:59:59Z").await;
    let folder = format!("omnistrate-metering/{}/2026/09", plan().names().join("/"));
    let record = json!([{"externalPayerId": "c1", "dimension": "cpu", "value": 1.5, "timestamp": "2026-09-01T00:00:00Z"}]);
    let file = |n: usize| (format!("{folder}/{n:04}.json"), record.to_string());
    put_many(&world, &world.export, (0..MANY).map(file).collect()).await;
    world.usage("2026/10/01/00/s.json", &[("c1", "cpu", "1")]).await;
    world.meter().await.unwrap();
    assert_eq!(world.billed_for("2026-09")["c1 cpu"], "1501");
    let usage = world.ledger.usage(&plan()).await.unwrap();
    assert_eq!(usage[0].month, month("2026-09"));
}

#[tokio::test]
async fn more_files_of_histories_than_a_page_are_read_and_put_together() {
    let world = platform(false).await;
    let part = |n: usize| {
        let lines = running("10-30T00:00", &format!("store-{n:04}")).join("\n");
        let mut text = Vec::new();
        for history in History::of_each(read_lines(lines.as_bytes()).unwrap()) {
            history.write(&mut text).unwrap();
            text.push(b'\n');
        }
        (format!("{PARTS}{}.jsonl", Revision::of(&text)), String::from_utf8(text).unwrap())
    };
    put_many(&world, &world.bucket, (0..MANY).map(part).collect()).await;
    assert_eq!(world.hours().await.len(), MANY);
    world.invoke("record-usage", json!({})).await.unwrap();
    assert_eq!(world.keys(PARTS).await, Vec::<String>::new());
    assert_eq!(world.hours().await.len(), MANY);
}

#[tokio::test]
async fn more_folders_than_a_page_are_all_listed() {
    let world = platform(false).await;
    let file = |n: usize| (format!("test/{n:04}/file"), n.to_string());
    put_many(&world, &world.bucket, (0..MANY).map(file).collect()).await;
    let folders = world.bucket.folders("test/").await.unwrap();
    assert_eq!((folders.len(), folders.last().unwrap().as_str()), (MANY, "test/1000/"));
}

#[tokio::test]
async fn revisions_on_several_pages_of_the_ledger_are_all_looked_at() {
    let world = platform(false).await;
    let (key, document) = invoice(500, 2);
    world.put_raw(&key, &document, "2026-11-20T00:00:00Z").await;
    let subject = RawDocumentKey::parse(&key).unwrap().invoice;
    // a newer one is held, and stands on the last page
    let long = "x".repeat(300_000);
    for (page, reason) in [(1, long.as_str()), (2, &long), (3, &long), (4, &long), (5, "the newest is held")]
    {
        let revision = Revision::parse(&format!("f{page:015}")).unwrap();
        let order = RevisionOrder::new(None, now() + TimeDelta::days(30 + page), &revision);
        let record = RevisionRecord::held(revision, order, key.clone(), reason, now());
        world.ledger.record_revision(&subject, &record).await.unwrap();
    }
    let answer = world.invoke("allocate", json!({"key": key})).await.unwrap();
    assert_eq!(answer["documents"][0]["state"], "allocated");
    assert_eq!(world.ledger.revisions(&subject).await.unwrap().len(), 6);
    let period = world.ledger.period(&subject).await.unwrap().unwrap();
    assert!(period.reason.ends_with("the newest is held"), "{}", period.reason);
}
