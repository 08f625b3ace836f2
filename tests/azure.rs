//! A schedule fetches the months of an Azure billing profile, as reports or from an export, and a second run changes nothing.

use billing::keys::RawDocumentKey;
use billing::manifest::{Format, Manifest};
use billing::revision::sha256_hex;
use cloud::invocation::Failure;
use serde_json::{Value, json};

use crate::world::{World, assert_same, example, quick};
use billing::certificate::Certified;

pub(crate) const ACCOUNT: &str = "AAAA-BBBB-CCC-DDD";
const PARTS: [&[u8]; 2] = [
    include_bytes!("../local/examples/azure/part_0_0001.csv"),
    include_bytes!("../local/examples/azure/part_1_0001.csv"),
];

/// A world whose notifications wait: what allocation makes of a bill is another story.
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
    pub(crate) async fn fetch_azure(&self, event: Value) -> Result<Value, Failure> {
        self.invoke("fetch-azure", event).await
    }

    pub(crate) async fn fetch_azure_at(&self, moment: &str, event: Value) -> Value {
        let fetched = self.cloud.functions().invoke("fetch-azure", &event, "test", moment.parse().unwrap());
        fetched.await.unwrap()
    }

    pub(crate) async fn manifest(&self, key: &Value) -> Manifest {
        let key = RawDocumentKey::parse(key.as_str().unwrap()).unwrap();
        Manifest::read(&key, &self.read(&key.to_string()).await).unwrap()
    }

    /// Where reports of an export are, with the variable that says so.
    pub(crate) fn export_url(&self) -> String {
        format!("{}/cost/costs", self.cloud.endpoints().azure.as_ref().unwrap())
    }
}

#[tokio::test]
async fn a_scheduled_run_keeps_the_running_month_and_those_that_are_not_final() {
    let world = world().await;
    let report = world.fetch_azure(event("fetch-azure-scheduled")).await.unwrap();
    assert_eq!(
        (&report["fetched"], &report["failed"], &report["empty"]),
        (&json!(3), &json!([]), &json!([]))
    );
    let documents = report["documents"].as_array().unwrap();
    let told: Vec<_> = documents.iter().map(|bill| (&bill["period"], &bill["finality"])).collect();
    let (final_, open) = (&json!("final"), &json!("open"));
    assert_eq!(told, [(&json!("2026-09"), final_), (&json!("2026-10"), open), (&json!("2026-11"), open)]);
    let manifest = world.manifest(&documents[1]["key"]).await;
    assert_eq!(
        (manifest.format, manifest.parts.len(), manifest.documents.len()),
        (Format::AzureCostDetails, 4, 2)
    );
    assert_eq!(manifest.parts[0].source, "part_0_0001.csv");
    assert_eq!(manifest.invoices.len(), 1, "the void one does not count");
    assert!(world.manifest(&documents[2]["key"]).await.invoices.is_empty());
    // the month begins with the allocation of its manifest, and of nothing else
    let due = world.cloud.queue().due().unwrap();
    assert_eq!(due.len(), 3, "{due:?}");
    for key in world.keys("").await {
        let text = String::from_utf8_lossy(&world.read(&key).await).into_owned();
        assert!(!text.contains("sig=") && !text.contains("00000051-1111"), "{key} has a link or a job in it");
    }
}

#[tokio::test]
async fn the_recorded_month_is_kept_to_the_last_byte() {
    let world = world().await;
    let june = "2025-06".parse().unwrap();
    world.azure.close(june);
    let report = world.fetch_azure(json!({"month": "2025-06"})).await.unwrap();
    let bill = &report["documents"][0];
    assert_eq!((&bill["bytes"], &bill["finality"]), (&json!(42_074), &json!("final")));
    let manifest = world.manifest(&bill["key"]).await;
    let folder = format!("raw/azure/{ACCOUNT}/2025-06/cost-details/");
    for (part, bytes) in manifest.parts.iter().zip(PARTS) {
        assert_eq!(world.read(&part.key).await, bytes);
        assert_eq!((part.sha256.as_str(), part.bytes), (sha256_hex(bytes).as_str(), bytes.len() as u64));
        assert_eq!(part.key, format!("{folder}{}.csv", &part.sha256[..16]));
    }
    let [invoice] = manifest.invoices.as_slice() else { panic!("{manifest:?}") };
    assert_eq!((invoice.invoice_id.as_str(), invoice.total.to_string()), ("G012345678", "180.93".into()));
    assert_eq!((invoice.tax_not_in_rows.to_string(), invoice.currency.as_str()), ("28.89".into(), "EUR"));
    assert_eq!(invoice.source, "invoices: totalAmount, taxAmount");
    assert_eq!(invoice.issued.unwrap().to_string(), "2025-07-05");
    let kept: Value = serde_json::from_slice(&world.read(&manifest.documents[1].key).await).unwrap();
    assert_eq!(kept["name"], "G012345678");
    assert!(manifest.documents[1].source.ends_with("/billingProfiles/AAAA-BBBB-CCC-DDD/invoices/G012345678"));
}

#[tokio::test]
async fn the_same_again_writes_nothing_and_a_dry_run_never_does() {
    let world = world().await;
    let empty = world.state().await;
    let preview = world.fetch_azure(event("fetch-azure-dry-run")).await.unwrap();
    let bill = &preview["documents"][0];
    assert_eq!((&bill["state"], &bill["invoices"]), (&json!("would_fetch"), &json!(["G012345678"])));
    assert!(!world.azure.requests().iter().any(|request| request.ends_with("generateCostDetailsReport")));
    assert_same(&world.state().await, &empty);

    world.fetch_azure(json!({})).await.unwrap();
    let before = world.state().await;
    let again = world.fetch_azure(json!({})).await.unwrap();
    assert_eq!((&again["fetched"], &again["unchanged"]), (&json!(0), &json!(2)));
    assert_eq!(again["settled"], json!(["2026-09"]), "it is final and not asked for again");
    assert_same(&world.state().await, &before);
    assert_eq!(world.cloud.queue().due().unwrap().len(), 3, "nothing more was started");
    // by hand it is asked for all the same
    let by_hand = world.fetch_azure(json!({"month": "2026-09"})).await.unwrap();
    assert_eq!(by_hand["unchanged"], 1);
    assert_same(&world.state().await, &before);
}

#[tokio::test]
async fn a_restated_month_is_a_new_manifest_that_names_what_is_new() {
    let world = world().await;
    let first = world.fetch_azure(event("fetch-azure-month")).await.unwrap();
    world.azure.amend();
    let second = world.fetch_azure_at("2026-11-03T04:45:00Z", october()).await;
    assert_eq!((&second["fetched"], &second["unchanged"]), (&json!(1), &json!(0)));
    let (old, new) = (
        world.manifest(&first["documents"][0]["key"]).await,
        world.manifest(&second["documents"][0]["key"]).await,
    );
    assert_eq!(old.parts[0], new.parts[0], "the part that did not change is kept once");
    assert_ne!(old.parts[1].key, new.parts[1].key);
    assert_eq!((old.documents, old.invoices), (new.documents, new.invoices));
}

#[tokio::test]
async fn a_month_is_final_five_days_after_it_with_its_invoice() {
    let world = world().await;
    let finality = async |moment: &str| {
        let report = world.fetch_azure_at(moment, october()).await;
        report["documents"][0]["finality"].as_str().unwrap().to_owned()
    };
    assert_eq!(finality("2026-10-20T00:00:00Z").await, "open");
    assert_eq!(finality("2026-11-05T23:59:59Z").await, "open");
    world.azure.without_invoice();
    assert_eq!(finality("2026-11-06T00:00:00Z").await, "open");
    let off = [("AZURE_INVOICES", "off")];
    let moment = "2026-11-06T00:00:00Z".parse().unwrap();
    let vars = cloud::vars::Vars::from_iter(off).or(world.cloud.vars());
    let report = local::Functions::new(vars).invoke("fetch-azure", &october(), "test", moment).await.unwrap();
    let bill = &report["documents"][0];
    assert_eq!((&bill["finality"], &bill["invoices"]), (&json!("final"), &json!([])));
    world.azure.close("2026-10".parse().unwrap());
    assert_eq!(finality("2026-11-06T00:00:00Z").await, "final");
}

#[tokio::test]
async fn the_running_month_is_asked_for_until_today() {
    let world = world().await;
    let rows = async |moment: &str| {
        let report = world.fetch_azure_at(moment, json!({"month": "2026-11"})).await;
        let Some(bill) = report["documents"].get(0) else { return 0 };
        let manifest = world.manifest(&bill["key"]).await;
        String::from_utf8(world.read(&manifest.parts[0].key).await).unwrap().lines().count() - 1
    };
    assert_eq!((rows("2026-11-01T12:00:00Z").await, rows("2026-11-03T12:00:00Z").await), (2, 6));
    let early = world.fetch_azure(json!({"month": "2026-12"})).await.unwrap_err();
    assert!(early.message.contains("2026-12 has not begun"), "{}", early.message);
    // nothing was used, nothing is invoiced
    let none = world.fetch_azure(json!({"month": "2026-08"})).await.unwrap();
    assert_eq!((&none["empty"], &none["documents"]), (&json!(["2026-08"]), &json!([])));
}

/// A report of one account: what kind of charge, priced how, and what it costs.
fn report(rows: &[(&str, &str, &str)]) -> (String, bytes::Bytes) {
    let header = "billingProfileId,billingPeriodStartDate,date,billingCurrency,SubscriptionId,chargeType,pricingModel,\
                  costInBillingCurrency,quantity,MeterId,reservationId\r\n";
    let row = |(kind, model, cost): &(&str, &str, &str)| {
        let reservation = if *model == "Reservation" { "r-1" } else { "" };
        format!("p,10/01/2026,10/05/2026,EUR,one,{kind},{model},{cost},1,m,{reservation}\r\n")
    };
    ("part_0_0001.csv".to_owned(), format!("{header}{}", rows.iter().map(row).collect::<String>()).into())
}

#[tokio::test]
async fn what_is_paid_for_a_reservation_is_billed_and_what_is_used_of_it_is_effective() {
    let world = world().await;
    let month = "2026-10".parse().unwrap();
    let (purchase, on_demand) = (("Purchase", "Reservation", "30"), ("Usage", "OnDemand", "2.64"));
    world.azure.give(month, vec![report(&[purchase, ("Usage", "Reservation", "0"), on_demand])]);
    let used = ("Usage", "Reservation", "0.9");
    let unused = ("UnusedReservation", "Reservation", "0.1");
    world.azure.give_amortized(month, vec![report(&[used, unused, on_demand])]);
    let vars = [("AZURE_INVOICES", "off")];
    let fetched = world.invoke_with(&vars, "fetch-azure", october()).await.unwrap();
    let manifest = world.manifest(&fetched["documents"][0]["key"]).await;
    assert_eq!(manifest.parts.len(), 2);
    let allocated = world.invoke("allocate", json!({"key": fetched["documents"][0]["key"]})).await.unwrap();
    let certificate = world.read(allocated["documents"][0]["certificate"].as_str().unwrap()).await;
    let certificate: Value = serde_json::from_slice(&certificate).unwrap();
    let figures = &certificate["provider_figures"];
    assert_eq!((&figures["billed_cost"], &figures["effective_cost"]), (&json!("32.64"), &json!("3.64")));
    assert_eq!((&figures["rows"], &figures["charges"]), (&json!(6), &json!(4)));
    assert_eq!(
        figures["rows_of_both_reports"],
        json!({"rows": 1, "actual_cost": "2.64", "amortized_cost": "2.64"})
    );

    // one report says one cost
    let one = [("AZURE_INVOICES", "off"), ("AZURE_METRIC", "ActualCost"), ("AZURE_ACCOUNT", "main")];
    let fetched = world.invoke_with(&one, "fetch-azure", october()).await.unwrap();
    let manifest = world.manifest(&fetched["documents"][0]["key"]).await;
    assert_eq!((manifest.billing_account.as_str(), manifest.parts.len()), ("main", 1));
}

#[tokio::test]
async fn of_an_export_the_newest_run_is_taken_and_another_run_of_the_same_is_the_same() {
    let world = world().await;
    let url = world.export_url();
    let fetch =
        async |event: Value| world.invoke_with(&[("AZURE_EXPORT_URL", &url)], "fetch-azure", event).await;
    let report = fetch(october()).await.unwrap();
    let bill = &report["documents"][0];
    assert_eq!((&bill["invoice_id"], &bill["bytes"]), (&json!("costs"), &json!(42_074)));
    let manifest = world.manifest(&bill["key"]).await;
    assert_eq!((manifest.format, manifest.parts.len()), (Format::AzureCostDetails, 2));
    assert_eq!(manifest.parts[1].source, "/cost/costs/20261001-20261031/part_1_0001.csv");
    assert_eq!(manifest.invoices.len(), 1);
    assert!(!world.azure.requests().iter().any(|request| request.ends_with("generateCostDetailsReport")));
    // the run's own manifest is kept beside
    assert_eq!(world.keys(&format!("raw/azure/{ACCOUNT}/2026-10/costs/")).await.len(), 2 + 2 + 1 + 1);

    let month = "2026-10".parse().unwrap();
    let files = [("part_0_0001.csv", 0), ("part_1_0001.csv", 1)];
    let mut same = Vec::new();
    for (name, at) in files {
        same.push((name.to_owned(), world.read(&manifest.parts[at].key).await.into()));
    }
    world.azure.export(month, "202611060612", "ActualCost", &same);
    assert_eq!(fetch(october()).await.unwrap()["unchanged"], 1);
    world.azure.export(month, "202611070612", "ActualCost", &same[..1]);
    let newest = fetch(october()).await.unwrap();
    assert_eq!((&newest["fetched"], &newest["documents"][0]["bytes"]), (&json!(1), &json!(same[0].1.len())));
    // a month that was not exported
    let preview = fetch(json!({"month": "2026-09", "dry_run": true})).await.unwrap();
    assert_eq!(preview["empty"], json!(["2026-09"]));
}

#[tokio::test]
async fn focus_exports_are_told_by_their_type() {
    let world = world().await;
    let csv = b"BilledCost\n1\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, csv).unwrap();
    let gzip = gzip.finish().unwrap();
    let files = [
        ("part_0_0001.snappy.parquet".to_owned(), bytes::Bytes::from_static(b"PAR1")),
        ("part_1_0001.csv.gz".to_owned(), gzip.into()),
    ];
    let month = "2026-10".parse().unwrap();
    world.azure.export(month, "202611090612", "FocusCost", &files);
    let url = world.export_url();
    let preview = json!({"month": "2026-10", "dry_run": true});
    let preview = world.invoke_with(&[("AZURE_EXPORT_URL", &url)], "fetch-azure", preview).await.unwrap();
    assert_eq!(preview["documents"][0]["files"].as_array().unwrap().len(), 2);
    let report = world.invoke_with(&[("AZURE_EXPORT_URL", &url)], "fetch-azure", october()).await.unwrap();
    let manifest = world.manifest(&report["documents"][0]["key"]).await;
    assert_eq!(manifest.format, Format::Focus);
    assert!(manifest.parts[0].key.ends_with(".parquet") && manifest.parts[1].key.ends_with(".csv.gz"));
}

#[tokio::test]
async fn an_enrollment_is_billed_by_its_periods_and_its_rows_name_no_invoice() {
    let world = world().await;
    let enrollment = [("AZURE_SCOPE", local::sandbox::AZURE_ENROLLMENT)];
    let report = world.invoke_with(&enrollment, "fetch-azure", json!({"month": "2026-09"})).await.unwrap();
    let bill = &report["documents"][0];
    assert_eq!((&bill["billing_account"], &bill["finality"]), (&json!("1234567"), &json!("final")));
    assert!(world.manifest(&bill["key"]).await.documents.is_empty());
    assert!(!world.azure.requests().iter().any(|request| request.ends_with("/invoices")));
    let on = [enrollment[0], ("AZURE_INVOICES", "on")];
    let refused = world.invoke_with(&on, "fetch-azure", october()).await.unwrap_err();
    assert!(refused.message.contains("has no invoices that its rows name"), "{}", refused.message);
}

#[tokio::test]
async fn a_fetched_month_is_allocated_to_the_subscriptions_and_comes_to_its_invoice() {
    let world = World::new(example()).await;
    world.azure.close("2025-06".parse().unwrap());
    let report = world.fetch_azure(json!({"month": "2025-06"})).await.unwrap();
    world.quiet().await;
    let key = RawDocumentKey::parse(report["documents"][0]["key"].as_str().unwrap()).unwrap();
    let certificate = world.certificate(&key.invoice).await;
    assert_eq!(certificate.status, billing::certificate::Status::Explained, "{}", certificate.explanation);
    let certificate: Value = serde_json::from_slice(&certificate.to_json().unwrap()).unwrap();
    assert_eq!(certificate["provider_total"], "180.93");
    let figures = &certificate["provider_figures"];
    // 63 in each report, and the tax of the invoice
    assert_eq!((&figures["rows"], &figures["charges"]), (&json!(126), &json!(64)));
    assert_eq!(figures["rows_of_both_reports"]["rows"], 63);
    assert_eq!(figures["invoices"][0]["charges_total"], "180.92999999999999");
    assert_eq!(figures["billed_cost_by_category"]["Tax"], "28.89");
    let rows = world.rows(&key.invoice).await;
    assert!(rows.len() >= 3, "{rows:?}");
    // restated without another sum: another revision, and nothing is held
    world.azure.amend();
    let restated = world.fetch_azure(json!({"month": "2025-06"})).await.unwrap();
    assert_eq!(restated["fetched"], 1);
    world.quiet().await;
    assert!(world.keys("held/").await.is_empty(), "{:?}", world.keys("held/").await);
    assert_eq!(world.cloud.queue().dead_letters().unwrap().len(), 0);
}
