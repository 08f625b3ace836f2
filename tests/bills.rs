//! Bills as FOCUS exports that somebody puts into the bucket: from the file to certificate, rows, aggregates and charges.

use billing::certificate::{Certificate, Certified, Status};
use billing::keys::FocusKey;
use billing::period::PeriodState;
use chrono::Utc;
use cloud::vars::Vars;
use serde_json::{Value, json};

use crate::world::{World, example, quick};

const AWS_EXPORT: &[u8] = include_bytes!("../shared/billing/src/charges/fixtures/aws-focus12-00001.csv.gz");
const KEY: &str = "raw/focus/aws/111122223333/2025-06/focus12/export.csv.gz";

async fn world() -> World {
    World::with(example(), false, quick().or(&Vars::default())).await
}

async fn put(world: &World, key: &str, bytes: &[u8]) {
    let mut upload = world.bucket.upload(key.to_owned(), "application/octet-stream").fetched_at(Utc::now());
    upload.write(bytes).await.unwrap();
    upload.finish().await.unwrap();
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

const HEADER: &str = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,\
                      ServiceName,SubAccountId,InvoiceId\n";
const OURS: &str = "raw/focus/acme/a-1/2026-09/export/september.csv";

/// An export of September: what each sub account costs.
fn september(costs: &[(&str, &str)]) -> Vec<u8> {
    let row = |(account, cost): &(&str, &str)| {
        format!("{cost},{cost},USD,a-1,2026-09-01 00:00:00,Usage,Compute,{account},\n")
    };
    format!("{HEADER}{}", costs.iter().map(row).collect::<String>()).into_bytes()
}

#[tokio::test]
async fn a_corrected_export_supersedes_says_for_whom_and_reopens_its_month() {
    let world = world().await;
    let first = september(&[("one", "10.004"), ("two", "5")]);
    put(&world, OURS, &first).await;
    allocate(&world, OURS).await;
    let invoice = FocusKey::parse(OURS).unwrap().invoice;
    let period = || async { world.ledger.period(&invoice).await.unwrap().unwrap() };
    assert_eq!(period().await.state, PeriodState::Closed);

    put(&world, OURS, &september(&[("one", "10.004"), ("two", "4"), ("three", "6.035e-07")])).await;
    let corrected = allocate(&world, OURS).await;
    let certificate = certificate(&world, &corrected).await;
    let supersedes = certificate.supersedes.as_ref().unwrap();
    let differences: Vec<String> =
        supersedes.targets.iter().map(|(id, target)| format!("{id} {}", target.difference)).collect();
    assert_eq!(differences, ["two -1.00"]);
    assert_eq!(
        (certificate.charges_total.to_string(), certificate.provider_total.to_string()),
        ("14.0040006035".into(), "14.00".into())
    );
    assert_eq!(period().await.state, PeriodState::Reopened);
    assert!(period().await.reason.contains("was restated by -1"), "{}", period().await.reason);
    let by_account = world.read("aggregates/acme/a-1/2026-09-export/by-account.csv").await;
    assert!(String::from_utf8(by_account).unwrap().contains(",three,three,0.0000006035,"));

    // the older bytes once more are what an event delivered twice looks like
    put(&world, OURS, &first).await;
    let again = allocate(&world, OURS).await;
    assert_eq!(again["state"], "already");
    assert!(again["reason"].as_str().unwrap().contains("has superseded them"), "{again}");
}

#[tokio::test]
async fn rows_of_one_account_and_month_are_one_bill_of_one_provider() {
    let world = world().await;
    let text = String::from_utf8(september(&[("one", "10"), ("two", "5")])).unwrap();
    let named = |one: &str, two: &str| {
        text.replacen("InvoiceId\n", "InvoiceId,ProviderName\n", 1)
            .replace("one,\n", &format!("one,,{one}\n"))
            .replace("two,\n", &format!("two,,{two}\n"))
    };
    put(&world, OURS, named("Acme Cloud", "Databricks").as_bytes()).await;
    let message = refused(&world, OURS).await;
    assert!(
        message.contains("do not agree on the provider: ProviderName 'Acme Cloud', 'Databricks'"),
        "{message}"
    );
    put(&world, OURS, named("Acme Cloud", "Acme Cloud").as_bytes()).await;
    let message = refused(&world, OURS).await;
    assert!(
        message.contains("its rows are of acme-cloud by ProviderName, and it stands under acme"),
        "{message}"
    );
    let theirs = OURS.replace("/acme/", "/acme-cloud/");
    put(&world, &theirs, named("Acme Cloud", "").as_bytes()).await;
    let certificate = certificate(&world, &allocate(&world, &theirs).await).await;
    assert_eq!(certificate.charges_total.to_string(), "15");
    assert_eq!(certificate.provider_figures["provider_from"], "ProviderName");
}

#[tokio::test]
async fn two_currencies_in_one_bill_hold_it_and_a_file_for_each_is_taken() {
    let world = world().await;
    let dollars = september(&[("one", "10")]);
    let euros = String::from_utf8(dollars.clone()).unwrap().replace("USD", "EUR");
    let both = [dollars.as_slice(), euros.strip_prefix(HEADER).unwrap().as_bytes()].concat();
    put(&world, OURS, &both).await;
    let message = refused(&world, OURS).await;
    assert!(
        message.contains("its rows are in EUR and USD: amounts of different currencies are never added"),
        "{message}"
    );
    assert!(world.keys("charges/").await.is_empty());

    let other = "raw/focus/acme/a-1/2026-09/export-eur/september.csv";
    put(&world, OURS, &dollars).await;
    put(&world, other, euros.as_bytes()).await;
    assert_eq!(allocate(&world, OURS).await["currency"], "USD");
    // it may be the same bill, so it is asked about
    assert!(
        refused(&world, other)
            .await
            .contains("a-1 of acme has the bill 'export' (10 USD) of 2026-09 already")
    );
    let answered = world.invoke("allocate", json!({"key": other, "answer": "additional"})).await.unwrap();
    let document = &answered["documents"][0];
    assert_eq!(
        (&document["currency"], &document["bill"]),
        (&json!("EUR"), &json!("acme/a-1/2026-09/export-eur"))
    );
}

#[tokio::test]
async fn every_row_is_a_charge_of_its_own_bill_or_is_named() {
    let world = world().await;
    let ours = String::from_utf8(september(&[("one", "10")])).unwrap();
    let shared = ours.clone()
        + "7,7,USD,a-2,2026-09-01,Usage,Compute,one,\n3,3,USD,a-1,2026-08-01,Usage,Compute,one,\n";
    put(&world, OURS, shared.as_bytes()).await;
    let certificate = certificate(&world, &allocate(&world, OURS).await).await;
    assert_eq!(certificate.charges_total.to_string(), "10");
    let others = certificate.provider_figures["rows_of_other_bills"].as_array().unwrap();
    assert_eq!((certificate.provider_figures["rows"].as_u64(), others.len()), (Some(3), 2));

    put(
        &world,
        OURS,
        (ours + "1,1,USD,a-1,2026-09-01,Usage,Compute\n,1,USD,a-1,2026-09-01,Usage,Compute,one,\n")
            .as_bytes(),
    )
    .await;
    let message = refused(&world, OURS).await;
    assert!(
        message.contains("2 of its rows cannot be charges, the first: september.csv row 2: it has 7 cells"),
        "{message}"
    );
    assert!(message.contains("row 3: BilledCost is empty"), "{message}");
}

#[tokio::test]
async fn a_quantity_that_cannot_be_stated_holds_no_bill() {
    let world = world().await;
    let header = HEADER.replace('\n', ",ConsumedQuantity,ListUnitPrice\n");
    let row = "10,10,USD,a-1,2026-09-01,Usage,Compute,one,,2.9e21,N/A\n";
    put(&world, OURS, format!("{header}{row}").as_bytes()).await;
    let document = allocate(&world, OURS).await;
    assert_eq!(
        (&document["state"], &document["provider_total"]),
        (&json!("allocated"), &json!("10.00")),
        "{document}"
    );
    let stated = certificate(&world, &document).await.provider_figures;
    assert_eq!(stated["quantities_not_stated"], 2);
    // no row of it has a tag, and the table by tag adds up all the same
    let by_tag = world.read("aggregates/acme/a-1/2026-09-export/by-tag.csv").await;
    let by_tag = String::from_utf8(by_tag).unwrap();
    assert!(by_tag.trim_end().ends_with(",USD,,,false,10,10,1"), "{by_tag}");

    // a cost that cannot be read holds it
    let header = HEADER.replace('\n', ",ListCost\n");
    put(&world, OURS, format!("{header}10,10,USD,a-1,2026-09-01,Usage,Compute,one,,N/A\n").as_bytes()).await;
    let message = refused(&world, OURS).await;
    assert!(message.contains("row 1: 'N/A' is not a decimal number"), "{message}");
}
