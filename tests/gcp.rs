//! A schedule fetches Google Cloud's billing export, and a second run changes nothing.

use billing::certificate::{Certificate, Certified, Status};
use billing::keys::RawDocumentKey;
use billing::manifest::{Format, Manifest};
use billing::revision::sha256_hex;
use cloud::invocation::Failure;
use local::sandbox::{GCP_BILLING_TABLE, GcpRow, GcpSandbox};
use serde_json::{Value, json};

use crate::world::{World, assert_same, example, quick};

pub(crate) const ACCOUNT: &str = "012345-567890-ABCDEF";

pub(crate) async fn world() -> World {
    World::with(example(), false, quick()).await
}

fn event(name: &str) -> Value {
    let file = format!("{}/../events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

pub(crate) fn october() -> Value {
    json!({"month": "2026-10"})
}

impl World {
    pub(crate) async fn fetch_gcp(&self, event: Value) -> Result<Value, Failure> {
        self.invoke("fetch-gcp", event).await
    }

    pub(crate) async fn fetch_gcp_at(&self, moment: &str, event: Value) -> Result<Value, Failure> {
        self.cloud.functions().invoke("fetch-gcp", &event, "test", moment.parse().unwrap()).await
    }

    /// The manifest that a report names, checked against what it names itself.
    pub(crate) async fn gcp_manifest(&self, bill: &Value) -> Manifest {
        let key = RawDocumentKey::parse(bill["key"].as_str().unwrap()).unwrap();
        let manifest = Manifest::read(&key, &self.read(&key.to_string()).await).unwrap();
        for part in manifest.parts.iter().chain(&manifest.documents) {
            let bytes = self.read(&part.key).await;
            assert_eq!((sha256_hex(&bytes), bytes.len() as u64), (part.sha256.clone(), part.bytes));
        }
        manifest
    }

    /// Rows of a bill, by the names of the schema that was kept with them.
    pub(crate) async fn gcp_rows(&self, manifest: &Manifest) -> Vec<GcpRow> {
        let mut rows = Vec::new();
        for part in &manifest.parts {
            let document: Value = serde_json::from_slice(&self.read(&part.key).await).unwrap();
            let fields = document["schema"]["fields"].as_array().unwrap();
            for row in document["rows"].as_array().unwrap() {
                let cells = fields.iter().zip(row["f"].as_array().unwrap());
                let named = cells.map(|(field, cell)| {
                    (field["name"].as_str().unwrap().to_owned(), cell["v"].as_str().map(str::to_owned))
                });
                rows.push(named.collect());
            }
        }
        rows
    }
}

/// The sum of a column in billionths.
fn sum(rows: &[GcpRow], column: &str) -> i128 {
    let billionths = |text: &str| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        format!("{whole}{fraction:0<9}").parse::<i128>().unwrap()
    };
    rows.iter().map(|row| billionths(row[column].as_deref().unwrap())).sum()
}

#[tokio::test]
async fn a_scheduled_run_keeps_three_months_and_names_them_in_manifests() {
    let world = world().await;
    let report = world.fetch_gcp(event("fetch-gcp-scheduled")).await.unwrap();
    assert_eq!((&report["fetched"], &report["unchanged"]), (&json!(3), &json!(0)));
    assert_eq!((&report["failed"], &report["empty"]), (&json!([]), &json!([])));
    let [september, october, november] = report["documents"].as_array().unwrap().as_slice() else {
        panic!("{report}")
    };
    assert_eq!(
        [&september["period"], &october["period"], &november["period"]],
        ["2026-09", "2026-10", "2026-11"]
    );
    // on the second of November, late rows of October may still come
    assert_eq!((&september["finality"], &october["finality"]), (&json!("final"), &json!("open")));
    assert_eq!((&october["rows"], &october["parts"]), (&json!(5), &json!(1)));

    let manifest = world.gcp_manifest(october).await;
    assert_eq!((manifest.format, manifest.invoice_id.as_str()), (Format::BigQuery, "invoice-202610"));
    assert_eq!((manifest.billing_account.as_str(), manifest.invoices.len()), (ACCOUNT, 0));
    let source = format!("bigquery://{GCP_BILLING_TABLE} invoice.month=202610");
    assert_eq!(manifest.parts[0].source, format!("{source} rows 1-5"));
    let folder = format!("raw/gcp/{ACCOUNT}/2026-10/invoice-202610/");
    assert!(manifest.parts[0].key.starts_with(&folder) && manifest.parts[0].key.ends_with(".json"));
    let asked: Value = serde_json::from_slice(&world.read(&manifest.documents[0].key).await).unwrap();
    assert!(asked["query"].as_str().unwrap().contains(GCP_BILLING_TABLE), "the question is kept, too");

    // the bill starts what follows, and nothing else does
    let due = world.cloud.queue().due().unwrap();
    let started: Vec<_> = due.iter().map(|(_, function, _)| function.as_str()).collect();
    assert_eq!(started, ["allocate"; 3]);
}

#[tokio::test]
async fn a_bill_has_the_recorded_totals_row_by_row() {
    let world = world().await;
    let report = world.fetch_gcp(october()).await.unwrap();
    let rows = world.gcp_rows(&world.gcp_manifest(&report["documents"][0]).await).await;
    assert_eq!((sum(&rows, "cost"), sum(&rows, "credits")), (634_464_567_800, -51_234_567_800));
    assert_eq!(sum(&rows, "cost") + sum(&rows, "credits"), 583_230_000_000);
    let kinds = ["credits_commitment", "credits_sustained_use", "credits_promotion", "credits_other"];
    let by_kind: i128 = kinds.into_iter().map(|kind| sum(&rows, kind)).sum();
    assert_eq!(by_kind, sum(&rows, "credits"));
    let compute = rows.iter().find(|row| row["service"].as_deref() == Some("Compute Engine")).unwrap();
    assert_eq!(compute["cost"].as_deref(), Some("512.345678901"));
    assert_eq!(compute["labels"].as_deref(), Some(r#"[{"key":"team","value":"payments"}]"#));
    let of_project = r#"[{"key":"department","value":"sales"},{"key":"team","value":"shop"}]"#;
    assert_eq!(compute["project_labels"].as_deref(), Some(of_project));
    assert_eq!(
        compute["usage_day"].as_deref(),
        Some("2026-09-30"),
        "by the month of the invoice, not of usage"
    );
    let tax = rows.iter().find(|row| row["cost_type"].as_deref() == Some("tax")).unwrap();
    assert_eq!((&tax["project_id"], &tax["usage_day"]), (&None, &None));
}

#[tokio::test]
async fn the_same_again_writes_nothing_and_a_dry_run_never_does() {
    let world = world().await;
    let empty = world.state().await;
    let preview = world.fetch_gcp(event("fetch-gcp-dry-run")).await.unwrap();
    let told = &preview["documents"][0];
    assert_eq!((&told["state"], &told["bytes_to_read"]), (&json!("would_fetch"), &json!(10_485_760)));
    assert_eq!((told.get("key"), world.gcp.jobs()), (None, 0), "BigQuery ran nothing");
    assert_same(&world.state().await, &empty);

    world.fetch_gcp(json!({})).await.unwrap();
    let before = world.state().await;
    // the same event twice is the same jobs; a day later they are others with the same rows
    for (moment, jobs) in [("2026-11-02T06:00:00Z", 3), ("2026-11-03T06:00:00Z", 6)] {
        let again = world.fetch_gcp_at(moment, json!({})).await.unwrap();
        assert_eq!((&again["fetched"], &again["unchanged"]), (&json!(0), &json!(3)));
        assert_eq!(world.gcp.jobs(), jobs);
        assert_same(&world.state().await, &before);
    }
    // where BigQuery cuts its pages makes no difference
    for rows in [1, 5, 10_000] {
        world.gcp.cut_pages(rows);
        let again = world.fetch_gcp_at("2026-11-04T06:00:00Z", json!({})).await.unwrap();
        assert_eq!(again["unchanged"], 3);
        assert_same(&world.state().await, &before);
    }
}

#[tokio::test]
async fn rows_that_come_late_and_the_end_of_waiting_make_new_manifests() {
    let world = world().await;
    let first = world.fetch_gcp(october()).await.unwrap();
    world.gcp.amend();
    let second = world.fetch_gcp_at("2026-11-04T06:00:00Z", october()).await.unwrap();
    assert_eq!((&second["fetched"], &second["documents"][0]["rows"]), (&json!(1), &json!(7)));
    let third = world.fetch_gcp_at("2026-11-06T08:00:00Z", october()).await.unwrap();
    let [old, late, last] = [&first, &second, &third].map(|report| &report["documents"][0]);
    assert_eq!((&third["fetched"], &last["finality"]), (&json!(1), &json!("final")));
    let (old, late, last) =
        (world.gcp_manifest(old).await, world.gcp_manifest(late).await, world.gcp_manifest(last).await);
    assert_ne!(old.parts, late.parts);
    assert_eq!(late.parts, last.parts, "the rows are the same, only nothing is expected any more");
    let rows = world.gcp_rows(&late).await;
    let tiny = rows.iter().find(|row| row["project_id"].as_deref() == Some("shop-test")).unwrap();
    assert_eq!(tiny["cost"].as_deref(), Some("0.0000006035"), "not rounded away");
    assert_eq!(world.cloud.queue().due().unwrap().len(), 3);
}

#[tokio::test]
async fn a_month_without_rows_is_empty_and_no_error() {
    let world = world().await;
    let early = world.fetch_gcp(json!({"month": "2026-12"})).await.unwrap_err();
    assert!(early.message.contains("2026-12 has not begun"), "{}", early.message);
    let report = world.fetch_gcp(json!({"month": "2024-01"})).await.unwrap();
    assert_eq!((&report["empty"], &report["documents"]), (&json!(["2024-01"]), &json!([])));
    assert_eq!(world.keys("raw/").await, Vec::<String>::new());
    // also as the running one, on its first day
    world.gcp.give("2026-11".parse().unwrap(), Vec::new());
    let report = world.fetch_gcp(json!({})).await.unwrap();
    assert_eq!((&report["empty"], &report["fetched"]), (&json!(["2026-11"]), &json!(2)));
}

#[tokio::test]
async fn a_large_bill_is_kept_in_documents_of_a_fixed_size() {
    let world = world().await;
    let row = |index: usize| {
        let columns = [
            ("invoice_month", "202610".to_owned()),
            ("project_id", format!("project-{index:05}")),
            ("cost_type", "regular".to_owned()),
            ("currency", "EUR".to_owned()),
            ("cost", "0.01".to_owned()),
        ];
        columns.map(|(name, value)| (name.to_owned(), Some(value))).into()
    };
    world.gcp.give("2026-10".parse().unwrap(), (0..10_001).map(row).collect());
    let mut manifests = Vec::new();
    for (moment, page) in [("2026-11-02T06:00:00Z", 10_000), ("2026-11-03T06:00:00Z", 3_001)] {
        world.gcp.cut_pages(page);
        let report = world.fetch_gcp_at(moment, october()).await.unwrap();
        let bill = &report["documents"][0];
        assert_eq!((&bill["rows"], &bill["parts"]), (&json!(10_001), &json!(2)));
        manifests.push(world.gcp_manifest(bill).await);
    }
    assert_eq!(manifests[0], manifests[1]);
    let rows = world.gcp_rows(&manifests[0]).await;
    assert_eq!((rows.len(), sum(&rows, "cost")), (10_001, 10_001 * 10_000_000));
    assert!(manifests[0].parts[1].source.ends_with(" rows 10001-10001"));
}

#[tokio::test]
async fn the_recorded_month_comes_to_its_totals() {
    let world = world().await;
    let june = "2025-06".parse().unwrap();
    world.gcp.give(june, GcpSandbox::recorded_rows(june));
    let report = world.fetch_gcp(json!({"month": "2025-06"})).await.unwrap();
    let bill = &report["documents"][0];
    assert_eq!((&bill["invoice_id"], &bill["finality"]), (&json!("invoice-202506"), &json!("final")));
    let rows = world.gcp_rows(&world.gcp_manifest(bill).await).await;
    assert_eq!((sum(&rows, "cost"), sum(&rows, "credits")), (634_464_567_800, -51_234_567_800));
    let compute = rows.iter().find(|row| row["service"].as_deref() == Some("Compute Engine")).unwrap();
    assert_eq!(compute["usage_day"].as_deref(), Some("2025-05-31"));
}

#[tokio::test]
async fn a_bill_becomes_rows_that_add_up_to_it_and_a_late_row_another_revision() {
    let world = world().await;
    let june = "2025-06".parse().unwrap();
    world.gcp.give(june, GcpSandbox::recorded_rows(june));
    let fetched = world.fetch_gcp(json!({"month": "2025-06"})).await.unwrap();
    let key = fetched["documents"][0]["key"].as_str().unwrap();
    let document = world.invoke("allocate", json!({"key": key})).await.unwrap()["documents"][0].clone();
    assert_eq!(document["state"], "allocated", "{document}");
    let certificate = world.read(document["certificate"].as_str().unwrap()).await;
    let certificate = Certificate::from_json(&certificate).unwrap();
    assert_eq!(
        (certificate.charges_total.to_string(), certificate.status),
        ("583.23".into(), Status::Explained)
    );
    assert_eq!(certificate.provider_total.to_string(), "583.23");
    let rows: Vec<_> = certificate.targets.iter().map(|row| format!("{} {}", row.id, row.total)).collect();
    assert_eq!(rows, ["shop-prod 461.11", "(no sub account) 122.12"]);
    let by_tag = world.read(&format!("aggregates/gcp/{ACCOUNT}/2025-06-invoice-202506/by-tag.csv")).await;
    let by_tag = String::from_utf8(by_tag).unwrap();
    // what the project says counts where the resource has no label of that name
    for row in
        ["department,sales,true,461.111115411", "team,payments,true,461.1111111", "team,shop,true,0.00000431"]
    {
        assert!(by_tag.contains(row), "{row} in {by_tag}");
    }
    // the question stands among what the certificate was made from
    assert_eq!(certificate.inputs.len(), 3);
    let charges = world.keys("charges/").await;
    assert_eq!(charges, [format!("charges/provider=gcp/month=2025-06/{ACCOUNT}!-invoice-202506.parquet")]);

    let mut late = GcpSandbox::recorded_rows(june);
    let mut row = late[1].clone();
    row.insert("cost".into(), Some("1.04E-4".into()));
    row.insert("project_id".into(), Some("shop-dev".into()));
    late.push(row);
    world.gcp.give(june, late);
    let fetched = world.fetch_gcp_at("2026-11-03T05:15:00Z", json!({"month": "2025-06"})).await.unwrap();
    let key = fetched["documents"][0]["key"].as_str().unwrap();
    let document = world.invoke_at("2026-11-03T05:16:00Z", "allocate", json!({"key": key})).await.unwrap();
    let certificate = world.read(document["documents"][0]["certificate"].as_str().unwrap()).await;
    let certificate = Certificate::from_json(&certificate).unwrap();
    assert_eq!(certificate.charges_total.to_string(), "583.230104");
    assert_eq!((certificate.targets.len(), certificate.supersedes.is_some()), (3, true));
}
