//! What the ledger and the bucket say of each other: restored to an older state, damaged, or longer than one page.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use billing::bills::{ChainRun, RunId};
use billing::ids::{BillingAccountId, InvoiceId, Provider};
use billing::keys::InvoiceKey;
use billing::manifest::{Format, Manifest, Part};
use billing::period::Finality;
use billing::revision::{Revision, sha256_hex};
use chrono::TimeDelta;
use cloud::bucket::Written;
use serde_json::{Value, json};

use crate::metering_world::metered;
use crate::teams_world::{ACME, CATALOG, billed};
use crate::world::{World, now};

fn month(of: &str) -> Value {
    json!({"month": of})
}

fn reason(report: &Value) -> &str {
    assert_eq!(report["state"], "held", "{report}");
    report["reason"].as_str().unwrap()
}

/// All items of the ledger.
type Saved = Vec<HashMap<String, AttributeValue>>;

impl World {
    async fn save_ledger(&self) -> Saved {
        let scan = self.aws.dynamodb().scan().table_name(local::TABLE).send().await.unwrap();
        scan.items().to_vec()
    }

    /// Makes the ledger what it was, as a backup does.
    async fn restore_ledger(&self, saved: &Saved) {
        let dynamodb = self.aws.dynamodb();
        for item in self.save_ledger().await {
            let request = dynamodb.delete_item().table_name(local::TABLE);
            request.key("pk", item["pk"].clone()).key("sk", item["sk"].clone()).send().await.unwrap();
        }
        for item in saved {
            let request = dynamodb.put_item().table_name(local::TABLE);
            request.set_item(Some(item.clone())).send().await.unwrap();
        }
    }

    /// What a version wrote that knew no marks.
    async fn without_marks(&self) {
        for key in self.keys("bills/posted/").await {
            self.bucket.delete(&key).await.unwrap();
        }
    }
}

/// September and October are billed; and the ledger as it was before, between and after.
async fn two_months() -> (World, [Saved; 3]) {
    let world = billed(CATALOG).await;
    let nothing = world.save_ledger().await;
    world.bill(month("2026-09")).await;
    let september = world.save_ledger().await;
    for (provider, rows) in [("acme", ACME.as_slice()), ("orbit", &[("three", "Compute", "10")])] {
        world.charge(provider, "2026-10", rows, 0).await;
    }
    world.bill(month("2026-10")).await;
    let october = world.save_ledger().await;
    (world, [nothing, september, october])
}

#[tokio::test]
async fn a_ledger_that_is_older_than_the_bucket_bills_nothing_again() {
    for with_marks in [true, false] {
        let (world, [nothing, september, october]) = two_months().await;
        let [first] = world.runs("2026-09").await.try_into().unwrap();
        let first = billing::keys::BillsKey { month: first.month() }.run(1, &first.to_json().unwrap());
        let second = world.keys("bills/2026-10/runs/1-").await.remove(0);
        if !with_marks {
            world.without_marks().await;
        }
        let mails = world.mails().len();
        world.restore_ledger(&september).await;
        // the month itself, another one, and what would come out
        for event in [
            month("2026-10"),
            month("2026-09"),
            month("2026-11"),
            json!({"month": "2026-10", "dry_run": true}),
            json!({"month": "2026-10", "customer": "Team Blue"}),
            json!({"month": "2026-10", "release": "it is late"}),
            json!({"scheduled_time": "2026-11-05T09:00:00Z"}),
        ] {
            let held = world.held(event.clone()).await;
            let why = reason(&held);
            assert!(why.starts_with("the ledger is older than the bucket"), "{event} {why}");
            assert!(why.contains(&second) && !why.contains(&first), "{event} {why}");
        }
        assert!(world.text("held/bills/2026-10.reason.json").await.contains("restore the newer ledger"));
        world.restore_ledger(&nothing).await;
        let held = world.held(month("2026-09")).await;
        assert!(reason(&held).contains(&first) && reason(&held).contains(&second), "{held}");
        assert_eq!(world.mails().len(), mails, "no mail goes out again");
        world.restore_ledger(&october).await;
        assert_eq!(world.bill(month("2026-10")).await["state"], "unchanged");
        assert_eq!(world.keys("bills/posted/").await.len(), 2);
        assert!(world.text("held/bills/2026-10.reason.json").await.contains("released"));
    }
}

#[tokio::test]
async fn a_run_that_was_never_posted_holds_nothing() {
    for with_marks in [true, false] {
        let (world, _) = two_months().await;
        if !with_marks {
            world.without_marks().await;
        }
        // whoever was killed before the chain, or lost the race
        for orphan in
            ["bills/2026-09/runs/2-0123456789abcdef.json", "bills/2026-12/runs/1-0123456789abcdef.json"]
        {
            world.put(orphan, "{}").await;
        }
        assert_eq!(world.bill(month("2026-10")).await["state"], "unchanged");
        let rows = [("one", "Compute", "11"), ("two", "Storage", "50"), ("one", "Support", "15")];
        world.charge("acme", "2026-09", &rows, 1).await;
        assert_eq!(world.bill(month("2026-09")).await["state"], "billed");
    }
}

#[tokio::test]
async fn a_run_whose_document_is_gone_or_changed_is_named() {
    let (world, _) = two_months().await;
    let key = world.keys("bills/2026-09/runs/1-").await.remove(0);
    let document = world.text(&key).await;
    world.put(&key, &document.replace("Team Blue", "Team Bleu")).await;
    let changed = world.held(month("2026-10")).await;
    assert!(reason(&changed).contains(&format!("{key} is not what was posted under its name")), "{changed}");
    world.bucket.delete(&key).await.unwrap();
    let gone = world.held(month("2026-10")).await;
    assert!(reason(&gone).contains(&format!("there is no {key}, which the ledger names")), "{gone}");
    world.put(&key, &document).await;
    assert_eq!(world.bill(month("2026-10")).await["state"], "unchanged");
}

fn run(month: &str, number: u32) -> ChainRun {
    let run = RunId { month: month.parse().unwrap(), number };
    let document = format!("bills/{month}/runs/{number}-0123456789abcdef.json");
    ChainRun { run, document, fingerprint: "0".repeat(64), took: Vec::new(), gives: false }
}

async fn put_item(world: &World, sk: &str, fields: &[(&str, &str)]) {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let mut request = world.aws.dynamodb().put_item().table_name(local::TABLE);
    for (name, value) in [("pk", "BILLS"), ("sk", sk)].iter().chain(fields) {
        request = request.item(*name, text(value));
    }
    request.send().await.unwrap();
}

#[tokio::test]
async fn a_chain_of_the_version_before_goes_on() {
    let (world, _) = two_months().await;
    // all runs in one item, as versions before wrote them
    let chain = world.ledger.chain().await.unwrap().chain;
    let before = serde_json::to_string(&chain).unwrap();
    let dynamodb = world.aws.dynamodb();
    for place in 1..=chain.0.len() {
        let sk = AttributeValue::S(format!("RUN#{place:08}"));
        let request = dynamodb.delete_item().table_name(local::TABLE);
        request.key("pk", AttributeValue::S("BILLS".into())).key("sk", sk).send().await.unwrap();
    }
    put_item(&world, "CHAIN", &[("runs", &before)]).await;
    world.without_marks().await;
    assert_eq!(world.bill(month("2026-10")).await["state"], "unchanged");
    world.charge("acme", "2026-09", &[("one", "Compute", "200"), ("two", "Storage", "50")], 1).await;
    assert_eq!(world.bill(month("2026-09")).await["run"], "2026-09#2");
    let items = world.ledger.query("BILLS", "").await.unwrap();
    let keys: Vec<&str> = items.iter().map(|item| item.sk.as_str()).collect();
    assert_eq!(keys, ["CHAIN", "RUN#00000003"]);
    assert_eq!(items[0].fields["runs"], before, "it is not written again");
    let runs = world.ledger.chain().await.unwrap().chain.0;
    assert_eq!(
        runs.iter().map(|run| run.run.to_string()).collect::<Vec<_>>(),
        ["2026-09#1", "2026-10#1", "2026-09#2"]
    );
    assert_eq!(world.bill(month("2026-09")).await["state"], "unchanged");
}

#[tokio::test]
async fn of_two_who_append_to_the_same_chain_one_wins() {
    let world = billed(CATALOG).await;
    for number in 1..=3 {
        let seen = world.ledger.chain().await.unwrap();
        let entries = [run("2026-09", number), ChainRun { gives: true, ..run("2026-09", number) }];
        let [one, other] = &entries;
        let (first, second) =
            tokio::join!(world.ledger.extend_chain(&seen, one), world.ledger.extend_chain(&seen, other));
        let mut written = [first.unwrap(), second.unwrap()];
        written.sort_by_key(|written| *written == Written::Refused);
        assert_eq!(written, [Written::Now, Written::Refused]);
        assert_eq!(world.ledger.extend_chain(&seen, one).await.unwrap(), Written::Refused, "also later");
    }
    assert_eq!(world.ledger.chain().await.unwrap().chain.0.len(), 3);
}

#[tokio::test]
async fn a_chain_may_be_longer_than_an_item_and_than_a_page() {
    let world = billed(CATALOG).await;
    let mut stored = world.ledger.chain().await.unwrap();
    let took: Vec<RunId> =
        (1..=20).map(|number| RunId { month: "2026-01".parse().unwrap(), number }).collect();
    for number in 1..=3_000 {
        let entry = ChainRun { took: took.clone(), ..run("2026-02", number) };
        assert_eq!(world.ledger.extend_chain(&stored, &entry).await.unwrap(), Written::Now);
        stored.chain.0.push(entry);
    }
    assert!(serde_json::to_string(&stored.chain).unwrap().len() > 1_048_576, "more than a page");
    assert_eq!(world.ledger.chain().await.unwrap().chain, stored.chain);
}

#[tokio::test]
async fn a_chain_with_a_gap_bills_nothing() {
    let (world, _) = two_months().await;
    let request = world.aws.dynamodb().delete_item().table_name(local::TABLE);
    let [pk, sk] = ["BILLS", "RUN#00000001"].map(|text| AttributeValue::S(text.into()));
    request.key("pk", pk).key("sk", sk).send().await.unwrap();
    let failed = world.held(month("2026-10")).await;
    assert_eq!(failed["state"], "failed");
    let why = failed["reason"].as_str().unwrap();
    assert!(
        why.contains("BILLS / RUN#00000002 in the ledger is damaged") && why.contains("no RUN#00000001"),
        "{why}"
    );
    assert!(why.contains("restore the ledger from a backup"), "{why}");
}

/// Every certificate of an invoice, with the hashes that the ledger has of it.
async fn seals(world: &World) -> Vec<(String, String)> {
    let mut seals = Vec::new();
    for item in world.save_ledger().await {
        let text = |name: &str| item[name].as_s().unwrap().clone();
        if let Some(revision) = text("sk").strip_prefix("SEAL#") {
            seals.push((revision.to_owned(), text("sha256")));
        }
    }
    seals.sort();
    seals
}

async fn hashes(world: &World) -> Vec<(String, String)> {
    let mut hashes = Vec::new();
    for key in world.keys("certificates/").await {
        let revision = key.trim_end_matches(".json").rsplit('-').next().unwrap().to_owned();
        hashes.push((revision, sha256_hex(&world.read(&key).await)));
    }
    hashes.sort();
    hashes
}

#[tokio::test]
async fn a_certificate_that_was_changed_bills_nothing_until_it_is_made_again() {
    let world = billed(CATALOG).await;
    let key = world.keys("certificates/acme/").await.remove(0);
    let certificate = world.text(&key).await;
    assert_eq!(seals(&world).await, hashes(&world).await);
    // the laws of a certificate still hold
    world.put(&key, &certificate.replace("Storage", "Stolen").replace("monthend 0", "monthend 1")).await;
    assert_ne!(world.text(&key).await, certificate);
    let held = world.held(month("2026-09")).await;
    let why = reason(&held);
    let raw = "raw/focus/acme/payer/2026-09/export/2026-09.csv";
    assert!(why.starts_with(&format!("{key} is not what was certified")) && why.contains(raw), "{why}");
    let again = json!({"key": raw, "force": true});
    assert!(why.contains(&again.to_string()), "{why}");
    world.invoke("allocate", again).await.unwrap();
    assert_eq!(world.text(&key).await, certificate);
    assert_eq!(world.bill(month("2026-09")).await["state"], "billed");
    // nothing is made of one that was changed, either: here the differences to a revision that comes late
    world.put(&key, &certificate.replace("Storage", "Stolen").replace("monthend 0", "monthend 1")).await;
    let late = [("one", "Compute", "11"), ("two", "Storage", "50"), ("one", "Support", "15")];
    let failure = world.restate(&late, -60).await.unwrap_err();
    assert!(failure.contains(&format!("{key} is not what was certified")), "{failure}");
    world.invoke("allocate", json!({"key": raw, "force": true})).await.unwrap();
    world.restate(&late, -60).await.unwrap();
    assert_eq!(seals(&world).await, hashes(&world).await);
    // one of a version before is believed
    for item in world.save_ledger().await {
        if item["sk"].as_s().unwrap().starts_with("SEAL#") {
            let request = world.aws.dynamodb().delete_item().table_name(local::TABLE);
            request.key("pk", item["pk"].clone()).key("sk", item["sk"].clone()).send().await.unwrap();
        }
    }
    assert_eq!(world.bill(month("2026-09")).await["state"], "unchanged");
}

#[tokio::test]
async fn certificates_that_later_revisions_change_keep_their_hashes() {
    let world = billed(CATALOG).await;
    for (minutes, cost) in [(2, "12"), (1, "11"), (3, "13"), (-1, "9")] {
        let rows = [("one", "Compute", cost), ("two", "Storage", "50"), ("one", "Support", "15")];
        world.restate(&rows, minutes).await.unwrap();
        assert_eq!(seals(&world).await, hashes(&world).await, "{minutes}");
    }
    assert_eq!(seals(&world).await.len(), 6);
}

impl World {
    /// A file of September under a name of its own, in place of what is there: fetched at another time, which orders it.
    async fn restate(&self, rows: &[(&str, &str, &str)], minutes: i64) -> Result<(), String> {
        let at = now() + TimeDelta::minutes(minutes);
        let mut csv = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,SubAccountId\n"
            .to_owned();
        for (account, service, cost) in rows {
            csv += &format!("{cost},{cost},USD,payer,2026-09-01,Usage,{service},{account}\n");
        }
        let invoice = InvoiceKey {
            provider: Provider::new("acme").unwrap(),
            billing_account: BillingAccountId::new("payer").unwrap(),
            period: "2026-09".parse().unwrap(),
            invoice_id: InvoiceId::new("export").unwrap(),
        };
        let folder = invoice.raw_folder();
        let part = format!("{folder}{}.csv", Revision::of(csv.as_bytes()));
        self.put(&part, &csv).await;
        let (sha256, bytes) = (sha256_hex(csv.as_bytes()), csv.len() as u64);
        let part = Part { key: part, sha256, bytes, source: "test".into(), costs: None };
        let manifest = Manifest::of_parts(&invoice, Format::Focus, Finality::Final, vec![part]);
        let bytes = manifest.to_json().unwrap();
        let key = manifest.key(&bytes).to_string();
        let at = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let metadata = [("fetched-at".to_owned(), at)].into();
        self.bucket.put_new(&key, bytes, "application/json", metadata).await.unwrap();
        let done = self.invoke("allocate", json!({"key": key})).await;
        done.map(|_| ()).map_err(|failure| failure.message)
    }
}

#[tokio::test]
async fn a_ledger_that_is_older_than_what_was_metered_bills_no_usage_twice() {
    let world = metered(false).await;
    let nothing = world.save_ledger().await;
    world.usage("2026/09/01/00/s.json", &[("c1", "cpu", "5.75"), ("c2", "cpu", "7")]).await;
    world.usage("2026/10/01/00/s.json", &[("c1", "cpu", "0.5"), ("c2", "cpu", "2")]).await;
    world.meter().await.unwrap();
    let billed_once = world.billed();
    assert_eq!((billed_once.len(), world.closed_through().await.as_str()), (4, "2026-10"));
    world.restore_ledger(&nothing).await;
    world.meter().await.unwrap();
    assert_eq!((world.billed(), world.closed_through().await.as_str()), (billed_once.clone(), "2026-10"));
    // with usage that came since: Clazar holds one record a month, and the certificate says whose it may be
    world.usage("2026/09/30/23/late.json", &[("c2", "cpu", "3")]).await;
    world.restore_ledger(&nothing).await;
    world.meter().await.unwrap();
    assert_eq!(world.billed(), billed_once);
    let certificate = world.metering_certificate("2026-09").await;
    assert!(
        certificate.explanation.contains("2 submissions reported by somebody else"),
        "{}",
        certificate.explanation
    );
}
