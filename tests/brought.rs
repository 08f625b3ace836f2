//! Files that people put into the bucket: what would be asked about at a terminal is held with the same words, and answered by an event.

use std::path::Path;

use billing::keys::FocusKey;
use billing::manifest::{Format, Manifest, Part};
use billing::period::{Finality, PeriodState};
use billing::revision::{Revision, sha256_hex};
use chrono::{TimeDelta, Utc};
use cloud::vars::Vars;
use serde_json::{Value, json};

use crate::world::{World, example, now, quick};

async fn world() -> World {
    World::with(example(), false, quick().or(&Vars::default())).await
}

fn case(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cases").join(name)).unwrap()
}

async fn put(world: &World, key: &str, bytes: &[u8]) {
    let mut upload = world.bucket.upload(key.to_owned(), "application/octet-stream").fetched_at(Utc::now());
    upload.write(bytes).await.unwrap();
    upload.finish().await.unwrap();
}

async fn invoke(world: &World, event: Value) -> Vec<Value> {
    match world.invoke("allocate", event).await {
        Ok(report) => report["documents"].as_array().unwrap().clone(),
        Err(failure) => panic!("{}", failure.message),
    }
}

/// What becomes of an upload: its state, and what its charges come to.
async fn allocate(world: &World, key: &str) -> (String, String) {
    let document = invoke(world, json!({"key": key})).await.remove(0);
    let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    (text("state"), text("charges_total"))
}

async fn held(world: &World, key: &str) -> String {
    world.invoke("allocate", json!({"key": key})).await.unwrap_err().message
}

/// What every bill comes to that counts, by the files of charges.
async fn counted(world: &World) -> Vec<String> {
    let mut counted = Vec::new();
    for key in world.keys("allocations/").await {
        let rows = String::from_utf8(world.read(&key).await).unwrap();
        let totals = rows.lines().skip(1).map(|row| row.rsplit(',').next().unwrap().to_owned());
        counted.push(format!("{key}: {}", totals.collect::<Vec<_>>().join(" ")));
    }
    counted
}

#[tokio::test]
async fn every_case_comes_to_its_right_value_as_an_upload() {
    for (name, key, total) in [
        ("bom/focus-account-first.csv", "nordwind-cloud/acc-1/2026-10", "35.75"),
        ("provider/empty-provider-name.csv", "nordwind-cloud/acc-1/2026-10", "150"),
        ("month/plus2.csv", "nordwind-cloud/acc-1/2026-10", "100"),
        ("letter-case/focus.csv", "azure/prf-1/2026-10", "115"),
        ("azure/account-as-path.csv", "azure/QWER-TYUI-BG7-PGB/2026-10", "150"),
        ("twice/focus.csv", "azure/8611537/2026-10", "60"),
    ] {
        let world = world().await;
        let key = format!("raw/focus/{key}/export/{}", name.rsplit('/').next().unwrap());
        put(&world, &key, &case(name)).await;
        assert_eq!(allocate(&world, &key).await, ("allocated".to_owned(), total.to_owned()), "{name}");
    }
    let world = world().await;
    for (name, account, why) in [
        (
            "month/reversed.csv",
            "acc-r",
            "from 2026-10-01T00:00:00Z to 2026-09-01T00:00:00Z is no calendar month",
        ),
        ("headers/two-billed-costs.csv", "acc-1", "two columns BilledCost, at the places 1 and 13"),
    ] {
        let key = format!("raw/focus/nordwind-cloud/{account}/2026-10/export/file.csv");
        put(&world, &key, &case(name)).await;
        let message = held(&world, &key).await;
        assert!(message.contains(why), "{message}");
    }
}

const SCOPE_A: &str = "raw/focus/azure/PRF-9/2026-10/export/scope-a/part_0_0001.csv";

fn scope(name: &str) -> (String, Vec<u8>) {
    (
        format!("raw/focus/azure/PRF-9/2026-10/export/{name}.csv"),
        case(&format!("files/{name}/part_0_0001.csv")),
    )
}

#[tokio::test]
async fn a_second_part_is_asked_about_and_added() {
    let world = world().await;
    let ((a, one), (b, two)) = (scope("scope-a"), scope("scope-b"));
    assert!(FocusKey::parse(SCOPE_A).is_err(), "the key of an upload has one folder for each part");
    put(&world, &a, &one).await;
    allocate(&world, &a).await;
    put(&world, &b, &two).await;
    let message = held(&world, &b).await;
    assert!(
        message.contains("PRF-9 of azure has the bill 'export' (100 EUR) of 2026-10 already"),
        "{message}"
    );
    assert!(
        message.contains(&format!(r#"{{"answer":"add","key":"{b}"}} if it is a part of it"#)),
        "{message}"
    );
    assert_eq!(counted(&world).await, ["allocations/azure/PRF-9/2026-10-export.csv: 100.00"]);
    let invoice = FocusKey::parse(&b).unwrap().invoice;
    let period = || async { world.ledger.period(&invoice).await.unwrap().unwrap() };
    assert_eq!(
        period().await.state,
        PeriodState::Open,
        "nobody bills a month from which something may be missing"
    );

    let rehearsed = invoke(&world, json!({"key": b, "answer": "add", "dry_run": true})).await;
    assert_eq!(rehearsed[0]["state"], "preview");
    let added = invoke(&world, json!({"key": b, "answer": "add"})).await;
    assert_eq!((&added[0]["state"], &added[0]["charges_total"]), (&json!("allocated"), &json!("170")));
    assert_eq!(counted(&world).await, ["allocations/azure/PRF-9/2026-10-export.csv: 100.00 70.00"]);
    assert_ne!(period().await.state, PeriodState::Open);
    // the same answer again, the old notifications again: nothing changes
    assert_eq!(invoke(&world, json!({"key": b, "answer": "add"})).await[0]["state"], "already");
    for key in [&a, &b] {
        assert_eq!(invoke(&world, json!({"key": key})).await[0]["state"], "already");
    }
    assert_eq!(counted(&world).await, ["allocations/azure/PRF-9/2026-10-export.csv: 100.00 70.00"]);
}

#[tokio::test]
async fn what_is_written_over_a_file_restates_it_only_if_it_has_all_that_it_had() {
    let world = world().await;
    let ((key, one), (_, two)) = (scope("scope-a"), scope("scope-b"));
    put(&world, &key, &one).await;
    allocate(&world, &key).await;
    put(&world, &key, &two).await;
    assert!(held(&world, &key).await.contains("has the bill 'export' (100 EUR)"));
    assert_eq!(counted(&world).await, ["allocations/azure/PRF-9/2026-10-export.csv: 100.00"]);
    // what the bill was made of is gone, so nothing can be added to it
    let failure = world.invoke("allocate", json!({"key": key, "answer": "add"})).await.unwrap_err();
    assert!(failure.message.contains("was overwritten"), "{}", failure.message);
    let both = String::from_utf8(case("files/run-2/part_0_0001.csv")).unwrap().replace("PRF-8", "PRF-9");
    put(&world, &key, both.as_bytes()).await;
    assert_eq!(allocate(&world, &key).await, ("allocated".into(), "170".into()));
}

#[tokio::test]
async fn a_month_that_is_there_under_another_name_is_asked_about() {
    let world = world().await;
    let first = "raw/focus/azure/8611537/2026-10/cost-details/focus.csv";
    put(&world, first, &case("twice/focus.csv")).await;
    allocate(&world, first).await;
    for (other, why) in [
        ("raw/focus/azure/8611537/2026-10/another/focus.csv", "8611537 of azure has the bill 'cost-details'"),
        (
            "raw/focus/microsoft/8611537/2026-10/another/focus.csv",
            "but of azure /providers/Microsoft.Billing",
        ),
    ] {
        put(&world, other, &case("twice/focus.csv")).await;
        let message = held(&world, other).await;
        assert!(message.contains(why), "{message}");
    }
    let other = "raw/focus/azure/8611537/2026-10/another/focus.csv";
    let replaced = invoke(&world, json!({"key": other, "answer": "replace"})).await;
    assert_eq!(replaced[0]["state"], "already", "it is made of the same document");
    assert_eq!(counted(&world).await.len(), 1);
}

#[tokio::test]
async fn a_withdrawn_bill_stays_away_until_a_person_brings_it() {
    let world = world().await;
    let key = "raw/focus/nordwind-cloud/acc-1/2026-10/export/plus2.csv";
    put(&world, key, &case("month/plus2.csv")).await;
    allocate(&world, key).await;
    let withdraw = json!({"withdraw": "nordwind-cloud/acc-1/2026-10/export", "reason": "the wrong month"});
    let withdrawn = invoke(&world, withdraw.clone()).await;
    assert_eq!((&withdrawn[0]["state"], &withdrawn[0]["charges_total"]), (&json!("allocated"), &json!("0")));
    assert_eq!(invoke(&world, withdraw).await[0]["state"], "already");
    let invoice = FocusKey::parse(key).unwrap().invoice;
    let period = world.ledger.period(&invoice).await.unwrap().unwrap();
    assert_eq!((period.state, period.reason.contains("its bills are withdrawn")), (PeriodState::Open, true));
    let certificate = world.certificate(&invoice).await;
    assert_eq!(certificate.supersedes.unwrap().difference.to_string(), "-100.00");
    assert_eq!(certificate.explanation, "withdrawn: the wrong month");

    // the old notification does not bring it back, a person does
    assert_eq!(allocate(&world, key).await.0, "already");
    assert!(counted(&world).await[0].ends_with("export.csv: "));
    invoke(&world, json!({"key": key, "answer": "replace"})).await;
    assert_eq!(counted(&world).await, ["allocations/nordwind-cloud/acc-1/2026-10-export.csv: 100.00"]);
    assert_eq!(world.ledger.period(&invoice).await.unwrap().unwrap().invoices.len(), 1);
}

#[tokio::test]
async fn a_function_does_not_bring_back_what_was_withdrawn() {
    let world = World::new(example()).await;
    world.fetch(json!({})).await;
    let invoices = world.invoices().await;
    for invoice in invoices.values() {
        invoke(&world, json!({"withdraw": invoice.path(), "reason": "billed by hand"})).await;
        world.quiet().await;
        assert!(world.rows(invoice).await.iter().all(|row| row["project_total_cents"] == "0"));
    }
    let restated = world.atlas.amend().unwrap();
    world.fetch(json!({})).await;
    let rows = world.rows(&invoices[&restated]).await;
    assert!(rows.iter().all(|row| row["project_total_cents"] == "0"), "what is fetched of it does not count");
}

/// A file that holds two accounts, and is damaged for one bill only if it is for all.
#[tokio::test]
async fn a_file_of_several_accounts_is_read_once_and_each_bill_stands_by_itself() {
    let world = world().await;
    let rows = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,ProviderName\n\
                10,10,USD,a,2026-10-01,Usage,Compute,Acme\n5,5,USD,b,2026-10-01,Usage,Compute,Acme\n2,2,EUR,c,2026-10-01,Usage,Compute,Acme\n\
                3,3,USD,c,2026-10-01,Usage,Compute,Acme\n";
    let sha256 = sha256_hex(rows.as_bytes());
    let part = Part {
        key: billing::keys::imported(&sha256, "report.csv"),
        bytes: rows.len() as u64,
        source: "import of report.csv".to_owned(),
        sha256,
        costs: None,
    };
    let bill = |account: &str| {
        let key = format!("raw/focus/acme/{account}/2026-10/import/x");
        let invoice = FocusKey::parse(&key).unwrap().invoice;
        Manifest {
            brought: Some(billing::manifest::Brought {
                provider_from: "ProviderName".into(),
                ..Default::default()
            }),
            ..Manifest::of_parts(&invoice, Format::Focus, Finality::Final, vec![part.clone()])
        }
    };
    put(&world, &part.key, rows.as_bytes()).await;
    let key = cloud::intake::keep(&world.bucket, ["a", "b", "c"].map(bill).to_vec(), now()).await.unwrap();
    let failure = world.invoke("allocate", json!({"key": key})).await.unwrap_err();
    assert!(failure.message.contains("its rows are in EUR and USD"), "{}", failure.message);
    assert_eq!(
        counted(&world).await,
        ["allocations/acme/a/2026-10-import.csv: 10.00", "allocations/acme/b/2026-10-import.csv: 5.00"]
    );
    let held = world.keys("held/").await;
    assert_eq!(held.len(), 1, "{held:?}");
    assert!(held[0].starts_with("held/raw/acme/c/2026-10/import/"), "{held:?}");
}

#[tokio::test]
async fn a_file_counts_after_what_it_overwrites_also_where_the_clock_was_set_back() {
    let world = world().await;
    let (key, one) = scope("scope-a");
    put(&world, &key, &one).await;
    allocate(&world, &key).await;
    let both = String::from_utf8(case("files/run-2/part_0_0001.csv")).unwrap().replace("PRF-8", "PRF-9");
    let behind = "2020-01-01T00:00:00Z".parse().unwrap();
    let mut upload = world.bucket.upload(key.clone(), "text/csv").fetched_at(behind);
    upload.write(both.as_bytes()).await.unwrap();
    upload.finish().await.unwrap();
    allocate(&world, &key).await;
    assert_eq!(counted(&world).await, ["allocations/azure/PRF-9/2026-10-export.csv: 100.00 70.00"]);
    // one that cannot be used is not passed over, either
    let mut upload = world.bucket.upload(key.clone(), "text/csv").fetched_at(behind);
    upload.write(b"no,bill\n1,2\n").await.unwrap();
    upload.finish().await.unwrap();
    held(&world, &key).await;
    let invoice = FocusKey::parse(&key).unwrap().invoice;
    let period = world.ledger.period(&invoice).await.unwrap().unwrap();
    assert_eq!(period.state, PeriodState::Open, "{}", period.reason);
}

#[tokio::test]
async fn what_a_person_brings_in_place_of_a_bill_counts_also_where_the_clock_was_set_back() {
    let world = world().await;
    let (key, one) = scope("scope-a");
    put(&world, &key, &one).await;
    allocate(&world, &key).await;
    let other = key.replace("scope-a", "corrected");
    let corrected = String::from_utf8(one).unwrap().replace("100", "101");
    put(&world, &other, corrected.as_bytes()).await;
    held(&world, &other).await;
    let event = json!({"key": other, "answer": "replace"});
    let early = now() - TimeDelta::days(3_000);
    world.cloud.functions().invoke("allocate", &event, "test", early).await.unwrap();
    assert_eq!(counted(&world).await, ["allocations/azure/PRF-9/2026-10-export.csv: 101.00"]);
}

/// What the version before wrote: an imported report stood under the bill's own folder, beside its manifest.
#[tokio::test]
async fn what_is_in_a_bucket_already_keeps_its_name() {
    let world = world().await;
    let report = "line_item_unblended_cost,bill_payer_account_id,bill_billing_period_start_date,line_item_line_item_type,\
                  line_item_currency_code,line_item_usage_account_id,line_item_product_code\n\
                  10,1,2026-09-01T00:00:00.000Z,Usage,USD,1,AmazonS3\n5,2,2026-09-01T00:00:00.000Z,Usage,USD,2,AmazonS3\n";
    let folder = "raw/aws/1/2026-09/september/";
    let (sha256, bytes) = (sha256_hex(report.as_bytes()), report.len());
    let part = format!("{folder}{}.csv", Revision::of(report.as_bytes()));
    put(&world, &part, report.as_bytes()).await;
    let manifest = json!({
        "billing_account": "1", "documents": [], "finality": "final", "format": "cur2", "invoice_id": "september", "invoices": [],
        "manifest": 1, "parts": [{"bytes": bytes, "key": part, "sha256": sha256, "source": "import"}], "period": "2026-09",
        "provider": "aws", "provider_updated": null, "shared": true, "sub_account_names": {},
    });
    let manifest = serde_json::to_vec_pretty(&manifest).unwrap();
    let key = format!("{folder}{}.manifest.json", Revision::of(&manifest));
    put(&world, &key, &manifest).await;
    assert_eq!(allocate(&world, &key).await, ("allocated".into(), "10".into()));

    // a FOCUS export of the same account is the same bill, whatever it is called
    let focus = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,SubAccountId,ProviderName\n\
                 10,10,USD,1,2026-09-01,Usage,S3,1,\"Amazon Web Services, Inc.\"\n";
    let upload = "raw/focus/aws/1/2026-09/focus/focus.csv";
    put(&world, upload, focus.as_bytes()).await;
    assert!(
        held(&world, upload).await.contains("1 of aws has the bill 'september' (10 USD) of 2026-09 already")
    );
    let replaced = invoke(&world, json!({"key": upload, "answer": "replace"})).await;
    assert_eq!(replaced[0]["bill"], "aws/1/2026-09/september", "the bill keeps its name");
    assert_eq!(counted(&world).await.len(), 1);
}
