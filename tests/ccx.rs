//! A schedule fetches a CCX server's usage reports, certifies them, and a second run changes nothing.

use billing::ccx::UsageReportCertificate;
use billing::keys::RawDocumentKey;
use billing::revision::Revision;
use cloud::invocation::Failure;
use cloud::ledger::Subject;
use serde_json::{Value, json};

use crate::world::{World, assert_same, example, quick};
use billing::certificate::Certified;

pub(crate) async fn world() -> World {
    World::with(example(), false, quick()).await
}

fn event(name: &str) -> Value {
    let file = format!("{}/../events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/ccx/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

pub(crate) fn october() -> Value {
    json!({"month": "2026-10"})
}

impl World {
    pub(crate) async fn fetch_ccx(&self, event: Value) -> Result<Value, Failure> {
        self.invoke("fetch-ccx", event).await
    }

    pub(crate) async fn fetch_ccx_at(&self, moment: &str, event: Value) -> Result<Value, Failure> {
        self.cloud.functions().invoke("fetch-ccx", &event, "test", moment.parse().unwrap()).await
    }

    pub(crate) async fn usage_certificate(&self, key: &Value) -> UsageReportCertificate {
        UsageReportCertificate::from_json(&self.read(key.as_str().unwrap()).await).unwrap()
    }
}

#[tokio::test]
async fn a_scheduled_run_keeps_and_certifies_the_last_two_months() {
    let world = world().await;
    let report = world.fetch_ccx(event("fetch-ccx-scheduled")).await.unwrap();
    assert_eq!(
        (&report["fetched"], &report["unchanged"], &report["failed"]),
        (&json!(2), &json!(0), &json!([]))
    );
    let [september, october] = report["reports"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!((&september["month"], &october["month"]), (&json!("2026-09"), &json!("2026-10")));
    assert_eq!((&october["state"], &october["status"]), (&json!("certified"), &json!("matched")));

    let raw = october["key"].as_str().unwrap();
    let key = RawDocumentKey::parse(raw).unwrap();
    assert_eq!(raw, format!("raw/ccx/ccx.sandbox/2026-10/usage/{}.json", key.revision));
    let object = world.bucket.get(raw, None).await.unwrap().unwrap();
    assert_eq!(object.metadata["fetched-at"], "2026-11-02T06:00:00.000Z");
    let source = "/api/admin/datastores/billing/usage/json?from=2026-10-01&to=2026-10-31";
    assert_eq!(object.metadata["source"], source);
    assert!(world.ccx.requests().contains(&format!("GET {source}")));

    let certificate = world.usage_certificate(&october["certificate"]).await;
    assert_eq!(
        october["certificate"],
        format!("certificates/ccx/ccx.sandbox/2026-10-usage-{}.json", key.revision)
    );
    assert_eq!(certificate.inputs[0].key, raw);
    assert_eq!(certificate.inputs[0].sha256, billing::revision::sha256_hex(&object.bytes));
    assert_eq!(certificate.datastores.listed, 11);
    assert_eq!(serde_json::to_value(certificate.totals).unwrap(), october["totals"]);
    assert_eq!(world.ledger.latest(Subject::Report(&key.invoice)).await.unwrap(), Some(key.revision));
    // it is no invoice
    assert!(world.cloud.queue().due().unwrap().is_empty());
}

#[tokio::test]
async fn the_same_again_writes_nothing_and_a_dry_run_never_does() {
    let world = world().await;
    let empty = world.state().await;
    let preview = world.fetch_ccx(event("fetch-ccx-dry-run")).await.unwrap();
    assert_eq!((&preview["reports"][0]["state"], &preview["fetched"]), (&json!("preview"), &json!(0)));
    assert_same(&world.state().await, &empty);

    let first = world.fetch_ccx(json!({})).await.unwrap();
    assert_eq!(preview["reports"][0]["totals"], first["reports"][1]["totals"]);
    let before = world.state().await;
    let again = world.fetch_ccx(json!({})).await.unwrap();
    assert_eq!((&again["fetched"], &again["unchanged"]), (&json!(0), &json!(2)));
    assert_eq!(again["reports"][0]["state"], "already");
    assert_same(&world.state().await, &before);
}

#[tokio::test]
async fn a_changed_report_is_a_new_revision_that_names_the_old_one() {
    let world = world().await;
    let first = world.fetch_ccx(october()).await.unwrap();
    world.ccx.amend();
    let second = world.fetch_ccx_at("2026-11-09T04:30:00Z", october()).await.unwrap();
    assert_eq!(second["fetched"], 1);
    let (old, new) = (
        world.usage_certificate(&first["reports"][0]["certificate"]).await,
        world.usage_certificate(&second["reports"][0]["certificate"]).await,
    );
    let supersedes = new.supersedes.unwrap();
    assert_eq!((supersedes.revision, old.supersedes), (old.subject.revision.clone(), None));
    assert_eq!(supersedes.difference.network_egress_gib.to_string(), "1.5");
    assert_eq!(supersedes.customers.keys().collect::<Vec<_>>(), ["c-001"]);

    // back to what it was: the first revision is what the server says now
    let report = RawDocumentKey::parse(first["reports"][0]["key"].as_str().unwrap()).unwrap();
    world.ccx.give("2026-10".parse().unwrap(), world.read(&report.to_string()).await);
    let third = world.fetch_ccx_at("2026-11-16T04:30:00Z", october()).await.unwrap();
    assert_eq!((&third["unchanged"], &third["reports"][0]["state"]), (&json!(1), &json!("already")));
    assert_eq!(
        world.ledger.latest(Subject::Report(&report.invoice)).await.unwrap(),
        Some(old.subject.revision)
    );
    // and by hand, what is older does not become the newest
    world.fetch_ccx_at("2026-11-17T00:00:00Z", json!({"key": second["reports"][0]["key"]})).await.unwrap();
    assert_eq!(world.ledger.latest(Subject::Report(&report.invoice)).await.unwrap(), Some(report.revision));
}

#[tokio::test]
async fn a_stored_document_is_certified_again_by_its_key() {
    let world = world().await;
    let first = world.fetch_ccx(october()).await.unwrap();
    let before = world.state().await;
    let key = &first["reports"][0]["key"];
    for dry_run in [true, false] {
        let again = world.fetch_ccx(json!({"key": key, "dry_run": dry_run})).await.unwrap();
        assert_eq!(again["reports"][0]["totals"], first["reports"][0]["totals"]);
        assert_same(&world.state().await, &before);
    }
    // the sample event names the sandbox's report
    let sample = world.fetch_ccx(event("fetch-ccx-by-hand")).await.unwrap();
    assert_eq!(&sample["reports"][0]["key"], key);
    for (key, why) in [
        ("raw/ccx/ccx.sandbox/2026-10/usage/0123456789abcdef.json", "there is no object s3://"),
        ("raw/ccx/ccx.sandbox/2026-10/other/0123456789abcdef.json", "is not the key of a usage report"),
        ("raw/atlas/o1/2026-10/i1/0123456789abcdef.json", "is not the key of a usage report"),
        ("certificates/x", "is not the key of a raw document"),
    ] {
        let failure = world.fetch_ccx(json!({"key": key})).await.unwrap_err();
        assert!(failure.message.contains(why), "{}", failure.message);
    }
}

#[tokio::test]
async fn both_spellings_are_understood() {
    let world = world().await;
    let current = world.fetch_ccx(october()).await.unwrap();
    let legacy = world.invoke_with(&[("CCX_PATH_STYLE", "legacy")], "fetch-ccx", october()).await.unwrap();
    assert_eq!(
        world.ccx.requests().last().unwrap(),
        "GET /api/admin/datastores/billing/json?start=2026-10-01&end=2026-10-31"
    );
    let (current, legacy) = (&current["reports"][0], &legacy["reports"][0]);
    assert_eq!((&current["status"], &legacy["status"]), (&json!("matched"), &json!("explained")));
    assert_eq!(current["totals"]["instance_hours"], legacy["totals"]["instance_hours"]);
    assert_eq!(current["totals"]["network_egress_gib"], legacy["totals"]["network_egress_gib"]);
    let wrong = world.ccx_error(&[("CCX_PATH_STYLE", "new")]).await;
    assert_eq!(wrong, "the variable CCX_PATH_STYLE is 'new', expected current or legacy");
}

#[tokio::test]
async fn the_running_month_is_open_until_it_has_ended() {
    let world = world().await;
    let asked = json!({"month": "2026-10"});
    let early = world.fetch_ccx_at("2026-09-30T23:59:59Z", asked.clone()).await.unwrap_err();
    assert!(early.message.contains("2026-10 has not begun"), "{}", early.message);
    let early = world.fetch_ccx_at("2026-10-01T12:00:00Z", asked.clone()).await.unwrap_err();
    assert!(early.message.contains("2026-10 has no day yet that has ended"), "{}", early.message);
    let open = world.fetch_ccx_at("2026-10-20T12:00:00Z", asked.clone()).await.unwrap();
    let certificate = world.usage_certificate(&open["reports"][0]["certificate"]).await;
    assert_eq!(certificate.subject.end_date, "2026-10-20");
    assert_eq!(certificate.subject.finality.to_string(), "open");
    assert!(certificate.explanation.ends_with("; the month is still running"));
    let closed = world.fetch_ccx(asked).await.unwrap();
    let certificate = world.usage_certificate(&closed["reports"][0]["certificate"]).await;
    assert_eq!(
        (certificate.subject.finality.to_string().as_str(), closed["fetched"].as_u64()),
        ("final", Some(1))
    );
    assert_eq!(certificate.supersedes.unwrap().finality.to_string(), "open");
}

#[tokio::test]
async fn recorded_reports_come_to_their_totals() {
    let world = world().await;
    let june = json!({"month": "2025-06"});
    for (name, status, egress) in [
        ("usage_200.json", "matched", "12.5"),
        ("legacy_shape_200.json", "explained", "12.5"),
        ("usage_200_empty.json", "matched", "0"),
    ] {
        world.ccx.give("2025-06".parse().unwrap(), fixture(name));
        let report = world.fetch_ccx(june.clone()).await.unwrap();
        let report = &report["reports"][0];
        assert_eq!(
            (&report["status"], &report["totals"]["network_egress_gib"]),
            (&json!(status), &json!(egress))
        );
        let certificate = world.usage_certificate(&report["certificate"]).await;
        if name == "usage_200_empty.json" {
            assert!(certificate.totals.is_zero() && certificate.supersedes.is_some());
        } else {
            let hours = &certificate.totals.instance_hours;
            assert_eq!(
                (hours["c4.m8"].to_string(), hours["c2.m4"].to_string()),
                ("2160".into(), "240".into())
            );
            assert_eq!(certificate.totals.volumes["ssd"].gib_hours.to_string(), "216000");
            assert_eq!((certificate.datastores.alive, certificate.datastores.deleted), (1, 1));
        }
        // exactly as it came
        assert_eq!(world.read(report["key"].as_str().unwrap()).await, fixture(name));
    }
    assert_eq!(world.keys("raw/ccx/").await.len(), 3);
}

#[tokio::test]
async fn a_revision_that_is_certified_late_takes_its_place_before_the_newer_one() {
    let world = world().await;
    let newer = world.fetch_ccx(october()).await.unwrap();
    let newer = &newer["reports"][0];
    // fetched a week before, by a run that died before it came to certify it
    let older = String::from_utf8(world.read(newer["key"].as_str().unwrap()).await).unwrap();
    let older = older.replace("\"customer_reference\":\"tenant-5\"", "\"customer_reference\":\"tenant-05\"");
    let key = format!("raw/ccx/ccx.sandbox/2026-10/usage/{}.json", Revision::of(older.as_bytes()));
    world.put_raw(&key, older.as_bytes(), "2026-11-01T04:30:00Z").await;
    assert_eq!(world.usage_certificate(&newer["certificate"]).await.supersedes, None);
    let late = world.fetch_ccx(json!({"key": key})).await.unwrap();
    assert_eq!(late["reports"][0]["state"], "certified");
    let supersedes = world.usage_certificate(&newer["certificate"]).await.supersedes.unwrap();
    assert_eq!(supersedes.revision, Revision::of(older.as_bytes()));
    assert!(supersedes.difference.is_zero() && supersedes.customers.is_empty());
    let report = RawDocumentKey::parse(newer["key"].as_str().unwrap()).unwrap();
    assert_eq!(world.ledger.latest(Subject::Report(&report.invoice)).await.unwrap(), Some(report.revision));
}
