//! The step by which everything is published that others read (`cloud::publication`): whatever call of it fails, and whoever else is quicker.

use std::sync::atomic::{AtomicUsize, Ordering};

use billing::ccx::UsageReportCertificate;
use billing::ids::BillingAccountId;
use billing::keys::{InvoiceKey, RawDocumentKey};
use billing::revision::{Revision, RevisionOrder};
use chrono::TimeDelta;
use cloud::aws::Aws;
use cloud::bucket::Bucket;
use cloud::ledger::{Ledger, RevisionRecord, RevisionState, Subject};
use cloud::publication::{Register, Revisions, publish};
use cloud::seals::SealError;
use cloud::vars::Vars;
use local::{Gate, GateMode};
use serde_json::json;

use crate::world::{World, example, now, quick};

/// All ways in which a call fails.
const WAYS: [GateMode; 7] = [
    GateMode::Error,
    GateMode::Throttle,
    GateMode::Silence,
    GateMode::DropBefore,
    GateMode::DropAfter,
    GateMode::KillBefore,
    GateMode::KillAfter,
];

/// Attempts before something counts as stuck.
const ATTEMPTS: usize = 4;

const SUM: &str = "test/sum.txt";
const PARTS: &str = "test/parts/";

async fn world() -> World {
    World::with(example(), false, quick()).await
}

/// The bucket and the ledger behind a gate.
async fn gated(world: &World) -> (Gate, Bucket, Ledger) {
    let (gate, endpoints) = (world.cloud.gate(), world.cloud.endpoints());
    let vars = Vars::from_iter([
        ("AWS_ENDPOINT_URL_S3", gate.before("s3", &endpoints.s3).await.unwrap()),
        ("AWS_ENDPOINT_URL_DYNAMODB", gate.before("dynamodb", &endpoints.dynamodb).await.unwrap()),
        ("AWS_MAX_ATTEMPTS", "1".into()),
        ("AWS_CALL_TIMEOUT_MS", "500".into()),
    ]);
    let aws = Aws::connect(&vars.or(world.cloud.vars())).await.unwrap();
    (gate, Bucket::new(&aws, world.bucket.name()), Ledger::new(&aws, local::TABLE))
}

/// Does it until it is done, in a new process each time; one call of it fails.
async fn at_last(gate: &Gate, does: impl AsyncFn() -> Result<(), SealError>) {
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        tokio::select! {
            done = does() => match done {
                Ok(()) => return,
                Err(error) => last = error.to_string(),
            },
            () = gate.died() => gate.recover(),
        }
    }
    panic!("it is stuck: {last}");
}

/// An object that follows from others: their names.
async fn names(bucket: &Bucket) -> Result<Option<Vec<u8>>, SealError> {
    let parts = bucket.list(PARTS).await?;
    Ok(Some(parts.iter().map(|part| format!("{}\n", part.key)).collect::<String>().into_bytes()))
}

async fn publish_names(bucket: &Bucket) -> Result<(), SealError> {
    publish(bucket, SUM, "text/plain", |_| names(bucket)).await
}

async fn add_part(world: &World, name: usize) {
    world.put(&format!("{PARTS}{name:02}"), "part").await;
}

#[tokio::test]
async fn whatever_call_fails_what_is_published_follows_from_what_stands() {
    let world = world().await;
    let mut parts = 0;
    for way in WAYS {
        for number in 1.. {
            parts += 1;
            add_part(&world, parts).await;
            let (gate, bucket, _) = gated(&world).await;
            gate.fail(number, way);
            at_last(&gate, async || publish_names(&bucket).await).await;
            let stands = world.read(SUM).await;
            assert_eq!(stands, names(&world.bucket).await.unwrap().unwrap(), "{way:?} {number}");
            // note what stands, read what it follows from, write: all of them have failed
            if number > gate.calls().len() {
                assert_eq!(number, 4, "{way:?}: {:?}", gate.calls());
                break;
            }
        }
    }
}

#[tokio::test]
async fn whoever_is_late_looks_again_and_gives_up_with_a_reason() {
    let world = world().await;
    for (others, comes_through) in [(0, true), (1, true), (19, true), (20, false), (30, false)] {
        // what stands there may not stay
        add_part(&world, others * 100).await;
        let left = AtomicUsize::new(others);
        let published = publish(&world.bucket, SUM, "text/plain", |_| async {
            let wanted = names(&world.bucket).await?;
            let quicker = left.load(Ordering::Relaxed);
            if quicker > 0 {
                left.store(quicker - 1, Ordering::Relaxed);
                add_part(&world, quicker + others * 100).await;
                world.bucket.overwrite(SUM, quicker.to_string(), "text/plain").await?;
            }
            Ok::<_, SealError>(wanted)
        });
        let said = published.await.map_err(|error| error.to_string());
        let gave_up =
            Err(format!("{SUM} changed under our hands 20 times in a row; the retry will settle it"));
        assert_eq!(said, if comes_through { Ok(()) } else { gave_up }, "{others}");
        assert_eq!(left.into_inner(), others.saturating_sub(20), "{others}");
        let is_whole = world.read(SUM).await == names(&world.bucket).await.unwrap().unwrap();
        assert_eq!(is_whole, comes_through, "{others}: nothing of others is written over");
    }
}

#[tokio::test]
async fn what_may_stay_is_not_written() {
    let world = world().await;
    add_part(&world, 1).await;
    publish_names(&world.bucket).await.unwrap();
    let (gate, bucket, _) = gated(&world).await;
    publish_names(&bucket).await.unwrap();
    publish(&bucket, SUM, "text/plain", |_| async { Ok::<_, SealError>(None) }).await.unwrap();
    let methods: Vec<_> = gate.calls().into_iter().map(|call| call.method).collect();
    assert_eq!(methods, ["GET", "GET", "GET"]);
}

/// A certificate, and two revisions of a report that have it.
async fn certified(world: &World) -> (InvoiceKey, UsageReportCertificate, [RevisionRecord; 2]) {
    let report = world.fetch_ccx(json!({"month": "2026-10"})).await.unwrap();
    let report = &report["reports"][0];
    let certificate = world.usage_certificate(&report["certificate"]).await;
    let key = RawDocumentKey::parse(report["key"].as_str().unwrap()).unwrap();
    let revision =
        world.ledger.revision(Subject::Report(&key.invoice), &key.revision).await.unwrap().unwrap();
    let records = [1_u8, 2].map(|minutes| {
        let at = now() + TimeDelta::minutes(minutes.into());
        let name = Revision::of(&[minutes]);
        let order = RevisionOrder::new(None, at, &name);
        RevisionRecord { revision: name, order, state: RevisionState::Registered, ..revision.clone() }
    });
    (key.invoice, certificate, records)
}

/// A later revision, then an earlier one, which comes late.
async fn add_both(
    register: Register<'_>,
    certificate: &UsageReportCertificate,
    records: &[RevisionRecord; 2],
) -> Result<(), SealError> {
    for record in records.iter().rev() {
        let mut certificate = certificate.clone();
        certificate.subject.revision = record.revision.clone();
        Box::pin(register.add(record, &certificate, &record.order)).await?;
        register.ledger.complete_revision(register.subject, record).await?;
    }
    Ok(())
}

/// What stands of an account's report.
async fn stands(world: &World, key: &InvoiceKey, records: &[RevisionRecord; 2]) -> Vec<String> {
    let (subject, account) = (Subject::Report(key), key.billing_account.as_str());
    let revisions = Revisions { bucket: &world.bucket, ledger: &world.ledger, subject };
    let mut stands = vec![format!("{:?}", world.ledger.latest(subject).await.unwrap())];
    for record in records {
        let certificate: UsageReportCertificate = revisions.certificate(&record.revision).await.unwrap();
        stands.push(format!("{:?}", certificate.supersedes.map(|before| before.revision)));
    }
    for certificate in world.keys(&format!("certificates/ccx/{account}/")).await {
        stands.push(format!("{certificate}: {}", String::from_utf8(world.read(&certificate).await).unwrap()));
    }
    let records = world.ledger.query(&format!("REPORT#ccx#{account}#2026-10#usage"), "").await.unwrap();
    assert_eq!(records.len(), 5, "two revisions with their seals, and which is the newest");
    stands.extend(records.iter().map(|record| format!("{record:?}")));
    stands.iter().map(|line| line.replace(account, "ACCOUNT")).collect()
}

#[tokio::test]
async fn whatever_call_fails_a_revision_and_its_certificates_come_to_the_same_end() {
    let world = world().await;
    let (report, certificate, records) = certified(&world).await;
    let mut expected = None;
    for way in WAYS {
        for number in 1.. {
            let account = BillingAccountId::new(format!("trial-{way:?}-{number}")).unwrap();
            let key = InvoiceKey { billing_account: account, ..report.clone() };
            let (gate, bucket, ledger) = gated(&world).await;
            gate.fail(number, way);
            let register = Register { bucket: &bucket, ledger: &ledger, subject: Subject::Report(&key) };
            at_last(&gate, async || add_both(register, &certificate, &records).await).await;
            let stands = stands(&world, &key, &records).await;
            let expected = expected.get_or_insert_with(|| stands.clone());
            assert_eq!(stands[0], format!("{:?}", Some(&records[1].revision)));
            assert_eq!(stands[1..3], ["None".to_owned(), format!("{:?}", Some(&records[0].revision))]);
            assert_eq!(stands, *expected, "{way:?} {number}");
            if number > gate.calls().len() {
                assert!(number > 20, "{way:?}: {number}");
                break;
            }
        }
    }
}
