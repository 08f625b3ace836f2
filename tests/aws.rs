//! A schedule fetches an AWS account's bills, from an export or from Cost Explorer, and a second run changes nothing.

use billing::certificate::{Certificate, Certified, Status};
use billing::keys::RawDocumentKey;
use billing::manifest::{Format, Manifest};
use billing::period::Finality;
use billing::revision::sha256_hex;
use cloud::invocation::Failure;
use cloud::vars::Vars;
use local::Functions;
use local::sandbox::{AWS_ACCOUNT, AWS_EXPORT_BUCKET, AwsSandbox, Packing};
use serde_json::{Value, json};

use crate::world::{World, assert_same, example, now, quick};

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

pub(crate) const CUR2_MANIFEST: &str =
    "dataexports/cur2-hourly/metadata/BILLING_PERIOD=2026-10/cur2-hourly-Manifest.json";

impl World {
    pub(crate) async fn fetch_aws(&self, event: Value) -> Result<Value, Failure> {
        self.invoke("fetch-aws", event).await
    }

    pub(crate) async fn fetch_aws_at(&self, moment: &str, event: Value) -> Result<Value, Failure> {
        self.cloud.functions().invoke("fetch-aws", &event, "test", moment.parse().unwrap()).await
    }

    pub(crate) async fn fetch_aws_with(&self, vars: Vars, event: Value) -> Result<Value, Failure> {
        Functions::new(vars).invoke("fetch-aws", &event, "test", now()).await
    }

    /// The variables of an account that has no export.
    pub(crate) fn without_export(&self) -> Vars {
        self.cloud.vars().clone().without("AWS_EXPORT_")
    }

    /// The variables for another export.
    pub(crate) fn with_export(&self, pairs: &[(&str, &str)]) -> Vars {
        let bucket = Vars::from_iter([("AWS_EXPORT_BUCKET", AWS_EXPORT_BUCKET)]);
        Vars::from_iter(pairs.iter().copied()).or(&bucket).or(&self.without_export())
    }

    pub(crate) async fn aws_manifest(&self, bill: &Value) -> Manifest {
        let key = bill["key"].as_str().unwrap();
        Manifest::read(&RawDocumentKey::parse(key).unwrap(), &self.read(key).await).unwrap()
    }

    /// Puts objects where AWS exports to.
    pub(crate) async fn deliver_objects(&self, objects: Vec<(String, Vec<u8>)>) {
        for (key, bytes) in objects {
            self.costs.overwrite(&key, bytes, "application/octet-stream").await.unwrap();
        }
    }

    /// Changes the manifest of the closing month's export.
    pub(crate) async fn change_export(&self, change: impl FnOnce(&mut Value)) {
        let object = self.costs.get(CUR2_MANIFEST, None).await.unwrap().unwrap();
        let mut manifest: Value = serde_json::from_slice(&object.bytes).unwrap();
        change(&mut manifest);
        self.deliver_objects(vec![(CUR2_MANIFEST.into(), manifest.to_string().into_bytes())]).await;
    }

    /// An export whose rows do not name their accounts.
    pub(crate) async fn deliver_without_names(&self) {
        self.change_export(|manifest| {
            let columns = manifest["columns"].as_array_mut().unwrap();
            columns.retain(|column| column["name"] != "line_item_usage_account_name");
        })
        .await;
    }
}

fn states(report: &Value) -> Vec<(String, String)> {
    let documents = report["documents"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    documents.map(|document| (text(&document["period"]), text(&document["state"]))).collect()
}

#[tokio::test]
async fn a_scheduled_run_keeps_the_running_month_and_those_before_it() {
    let world = world().await;
    let report = world.fetch_aws(event("fetch-aws-scheduled")).await.unwrap();
    let fetched = |month: &str| (month.to_owned(), "fetched".to_owned());
    assert_eq!(states(&report), [fetched("2026-09"), fetched("2026-10"), fetched("2026-11")]);
    let [september, october, november] = report["documents"].as_array().unwrap().as_slice() else {
        panic!("{report}")
    };
    assert_eq!(
        [&september["finality"], &october["finality"], &november["finality"]],
        ["final", "open", "open"]
    );
    let folder = format!("raw/aws/{AWS_ACCOUNT}/2026-10/cur2-hourly/");
    assert!(october["key"].as_str().unwrap().starts_with(&folder), "{october}");

    let manifest = world.aws_manifest(october).await;
    assert_eq!((manifest.format, manifest.parts.len()), (Format::Cur2, 2));
    for (number, part) in manifest.parts.iter().enumerate() {
        let key = format!(
            "dataexports/cur2-hourly/data/BILLING_PERIOD=2026-10/cur2-hourly-{:05}.csv.gz",
            number + 1
        );
        assert_eq!(part.source, format!("s3://{AWS_EXPORT_BUCKET}/{key}"));
        let delivered = world.costs.get(&key, None).await.unwrap().unwrap().bytes;
        let kept = world.read(&part.key).await;
        assert_eq!((&kept, part.bytes), (&delivered.to_vec(), delivered.len() as u64));
        assert_eq!(part.sha256, sha256_hex(&kept));
        assert!(part.key.starts_with(&folder) && part.key.ends_with(".csv.gz"));
    }
    let invoices: Vec<(&str, String)> =
        manifest.invoices.iter().map(|it| (it.invoice_id.as_str(), it.total.to_string())).collect();
    let expected = [("2180000001", "107.84"), ("2180000002", "250.00"), ("2180000003", "-12.50")];
    assert_eq!(invoices, expected.map(|(number, total)| (number, total.to_owned())), "no receipts");
    assert_eq!(manifest.invoices[0].issued.unwrap().to_string(), "2026-11-03");
    assert!(manifest.sub_account_names.is_empty(), "the rows have them");
    assert_eq!(manifest.documents.len(), 1, "the invoices");
    // what AWS said of the export stands beside
    let beside = world.keys(&folder).await.into_iter().find(|key| key.ends_with(".export.json")).unwrap();
    let delivered = world.costs.get(CUR2_MANIFEST, None).await.unwrap().unwrap().bytes;
    assert_eq!(world.read(&beside).await, delivered);

    let due = world.cloud.queue().due().unwrap();
    assert_eq!(due.len(), 3, "each manifest starts an allocation, and nothing else does");
    assert!(due.iter().all(|(_, function, _)| function == "allocate"));
    assert!(!world.billing.requests().contains(&"GetCostAndUsage".to_owned()));
}

#[tokio::test]
async fn the_same_again_writes_nothing_also_when_it_is_delivered_anew() {
    let world = world().await;
    world.fetch_aws(json!({})).await.unwrap();
    let before = world.state().await;
    let unchanged = |month: &str| (month.to_owned(), "unchanged".to_owned());
    let again = world.fetch_aws(json!({})).await.unwrap();
    assert_eq!(states(&again), [unchanged("2026-10"), unchanged("2026-11")], "September is final");
    world.billing.deliver().unwrap();
    let again = world.fetch_aws(json!({})).await.unwrap();
    assert_eq!(states(&again), [unchanged("2026-10"), unchanged("2026-11")]);
    let by_hand = world.fetch_aws(json!({"month": "2026-09"})).await.unwrap();
    assert_eq!(states(&by_hand), [unchanged("2026-09")]);
    assert_same(&world.state().await, &before);
    assert_eq!(world.cloud.queue().due().unwrap().len(), 3);
}

#[tokio::test]
async fn a_restated_month_is_a_new_manifest_and_so_is_a_final_one() {
    let world = world().await;
    let first = world.fetch_aws(event("fetch-aws-month")).await.unwrap();
    world.billing.amend().unwrap();
    let second = world.fetch_aws(october()).await.unwrap();
    assert_eq!(second["fetched"], 1);
    let (old, new) =
        (world.aws_manifest(&first["documents"][0]).await, world.aws_manifest(&second["documents"][0]).await);
    assert_eq!(old.parts[0], new.parts[0], "the first file is the same");
    assert_ne!(old.parts[1].key, new.parts[1].key);
    assert_eq!((old.invoices.len(), new.invoices.len()), (3, 4));
    assert_eq!(new.invoices[3].total.to_string(), "-3.25");

    let early = world.fetch_aws_at("2026-11-15T23:59:59Z", october()).await.unwrap();
    assert_eq!(early["unchanged"], 1);
    let settled = world.fetch_aws_at("2026-11-16T00:00:00Z", october()).await.unwrap();
    assert_eq!(settled["fetched"], 1);
    let settled = world.aws_manifest(&settled["documents"][0]).await;
    assert_eq!((new.finality, settled.finality), (Finality::Open, Finality::Final));
    assert_eq!(settled.parts, new.parts);
    // without invoices, time alone decides
    let vars = Vars::from_iter([("AWS_INVOICING", "off")]).or(world.cloud.vars());
    let calls = world.billing.requests().len();
    let plain = world.fetch_aws_with(vars, json!({"month": "2026-09"})).await.unwrap();
    assert_eq!(
        (&plain["documents"][0]["finality"], &plain["documents"][0]["invoices"]),
        (&json!("final"), &json!(0))
    );
    assert_eq!(world.billing.requests().len(), calls);
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_fetched_and_writes_nothing() {
    let world = world().await;
    let empty = world.state().await;
    let report = world.fetch_aws(event("fetch-aws-dry-run")).await.unwrap();
    let october = &report["documents"][0];
    assert_eq!(
        (&october["state"], &october["parts"], &october["format"]),
        (&json!("would_fetch"), &json!(2), &json!("cur2"))
    );
    let costs = world.fetch_aws_with(world.without_export(), json!({"dry_run": true})).await.unwrap();
    assert_eq!(costs["documents"].as_array().unwrap().len(), 3);
    assert_eq!(costs["documents"][0]["invoice_id"], "cost-explorer");
    assert!(world.billing.requests().is_empty(), "each answer costs money");
    assert_same(&world.state().await, &empty);
}

#[tokio::test]
async fn a_month_with_nothing_in_it_is_empty_and_no_error() {
    let world = world().await;
    for vars in [world.cloud.vars().clone(), world.without_export()] {
        let report = world.fetch_aws_with(vars, json!({"month": "2026-07"})).await.unwrap();
        assert_eq!((&report["empty"], &report["documents"]), (&json!(["2026-07"]), &json!([])));
        assert_eq!(world.keys("raw/").await, Vec::<String>::new());
    }
    // delivered, without a row
    world.change_export(|manifest| manifest["dataFiles"] = json!([])).await;
    assert_eq!(world.fetch_aws(october()).await.unwrap()["empty"], json!(["2026-10"]));
}

#[tokio::test]
async fn an_export_of_focus_keeps_a_folder_for_each_execution() {
    let world = world().await;
    let vars = world.with_export(&[("AWS_EXPORT_PREFIX", "dataexports"), ("AWS_EXPORT_NAME", "focus12")]);
    let report = world.fetch_aws_with(vars.clone(), october()).await.unwrap();
    let manifest = world.aws_manifest(&report["documents"][0]).await;
    assert_eq!((manifest.format, manifest.invoice_id.as_str()), (Format::Focus, "focus12"));
    let source = "s3://aws-exports/dataexports/focus12/data/billing_period=2026-10/*/focus12-00001.csv.gz";
    assert_eq!(manifest.parts[0].source, source);
    let before = world.state().await;
    world.billing.deliver().unwrap();
    let again = world.fetch_aws_with(vars, october()).await.unwrap();
    assert_eq!(again["unchanged"], 1, "another execution of the same rows");
    assert_same(&world.state().await, &before);
}

#[tokio::test]
async fn a_legacy_report_is_read_in_both_packings_and_its_accounts_are_named() {
    let world = world().await;
    let vars = world.with_export(&[("AWS_EXPORT_PREFIX", "/legacy/")]);
    for (packing, extension) in [(Packing::Gzip, ".csv.gz"), (Packing::Zip, ".csv.zip")] {
        world.deliver_objects(world.billing.legacy_objects(packing)).await;
        let report = world.fetch_aws_with(vars.clone(), october()).await.unwrap();
        let manifest = world.aws_manifest(&report["documents"][0]).await;
        assert_eq!((manifest.format, manifest.invoice_id.as_str()), (Format::Cur1, "cur1"));
        assert_eq!(manifest.parts.len(), 2);
        assert!(manifest.parts.iter().all(|part| part.key.ends_with(extension)), "{manifest:?}");
        assert_eq!(
            manifest.parts[0].source,
            format!("s3://aws-exports/legacy/cur1/20261001-20261101/*/cur1-1{extension}")
        );
        assert_eq!(manifest.sub_account_names["333344445555"], "team-data");
    }
}

#[tokio::test]
async fn the_example_of_june_2025_is_kept_to_the_last_byte() {
    let world = world().await;
    let early = world.fetch_aws(json!({"month": "2026-12"})).await.unwrap_err();
    assert!(early.message.contains("2026-12 has not begun"), "{}", early.message);
    let june = AwsSandbox::example("2025-06".parse().unwrap());
    world.deliver_objects(june.objects()).await;
    let report = world.fetch_aws(json!({"month": "2025-06"})).await.unwrap();
    let manifest = world.aws_manifest(&report["documents"][0]).await;
    let example = |name: &str| {
        std::fs::read(format!("{}/../local/examples/aws/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let sums: Vec<String> = ["cur2-hourly-00001.csv.gz", "cur2-hourly-00002.csv.gz"]
        .map(|name| sha256_hex(&example(name)))
        .into();
    assert_eq!(manifest.parts.iter().map(|part| part.sha256.clone()).collect::<Vec<_>>(), sums);

    // the same rows as Parquet, in a copy of the bucket: the manifest names the bucket it was made for
    let month = "exports/parquet/data/BILLING_PERIOD=2025-06";
    let columns = json!([{"name": "line_item_unblended_cost", "type": "double"}, {"name": "line_item_usage_account_name", "type": "string"}]);
    let delivered = json!({"executionId": "e", "columns": columns, "dataFiles": [format!("s3://original/there/parquet/data/BILLING_PERIOD=2025-06/parquet-00001.snappy.parquet")]});
    world
        .deliver_objects(vec![
            (
                "exports/parquet/metadata/BILLING_PERIOD=2025-06/parquet-Manifest.json".into(),
                delivered.to_string().into_bytes(),
            ),
            (format!("{month}/parquet-00001.snappy.parquet"), example("cur2-hourly-00001.snappy.parquet")),
        ])
        .await;
    let vars = world.with_export(&[("AWS_EXPORT_PREFIX", "exports")]);
    let report = world.fetch_aws_with(vars, json!({"month": "2025-06"})).await.unwrap();
    let manifest = world.aws_manifest(&report["documents"][0]).await;
    assert!(manifest.parts[0].key.ends_with(".parquet"), "{manifest:?}");
    assert_eq!(manifest.parts[0].sha256, sha256_hex(&example("cur2-hourly-00001.snappy.parquet")));
}

#[tokio::test]
async fn without_an_export_cost_explorer_tells_every_cost_with_its_account_service_and_kind() {
    let world = world().await;
    // the billing APIs are in us-east-1, wherever the function runs
    let vars = Vars::from_iter([("AWS_REGION", "eu-west-1")]).or(&world.without_export());
    let report = world.fetch_aws_with(vars.clone(), october()).await.unwrap();
    let manifest = world.aws_manifest(&report["documents"][0]).await;
    assert_eq!((manifest.format, manifest.invoice_id.as_str()), (Format::CostExplorer, "cost-explorer"));
    let kinds: Vec<&str> =
        manifest.parts.iter().map(|part| part.source.rsplit_once(" of ").unwrap().1).collect();
    let expected = [
        "Credit",
        "Fee",
        "Refund",
        "SavingsPlanCoveredUsage",
        "SavingsPlanNegation",
        "SavingsPlanRecurringFee",
        "Tax",
        "Usage",
    ];
    assert_eq!(kinds, expected);
    let mut sum = "0".parse::<rust_decimal::Decimal>().unwrap();
    for part in &manifest.parts {
        let document: Value = serde_json::from_slice(&world.read(&part.key).await).unwrap();
        for group in document["ResultsByTime"][0]["Groups"].as_array().unwrap() {
            let amount = group["Metrics"]["UnblendedCost"]["Amount"].as_str().unwrap();
            sum += amount.parse::<rust_decimal::Decimal>().unwrap();
        }
    }
    assert_eq!(sum.to_string(), "345.3363066528");
    assert_eq!(manifest.sub_account_names["222233334444"], "team-payments");
    assert_eq!(
        (manifest.sub_account_names.len(), manifest.invoices.len(), manifest.documents.len()),
        (3, 0, 3)
    );

    // tokens differ with every call, and nothing else: nothing is written
    let keys = world.keys("").await;
    assert!(keys.iter().filter(|key| key.ends_with(".page.json")).count() > manifest.parts.len());
    let again = world.fetch_aws_with(vars.clone(), october()).await.unwrap();
    assert_eq!((&again["unchanged"], world.keys("").await), (&json!(1), keys));

    world.billing.amend().unwrap();
    let amended = world.fetch_aws_with(vars.clone(), october()).await.unwrap();
    let amended = world.aws_manifest(&amended["documents"][0]).await;
    let changed = amended.parts.iter().zip(&manifest.parts).filter(|(new, old)| new != old);
    assert_eq!(
        changed.map(|(new, _)| new.source.as_str()).collect::<Vec<_>>(),
        ["GetCostAndUsage 2026-10 by LINKED_ACCOUNT, SERVICE of Refund"]
    );
    // the running month is an estimate, and not invoiced
    let running = world.fetch_aws_with(vars, json!({"month": "2026-11"})).await.unwrap();
    assert_eq!(running["documents"][0]["finality"], "open");
}

/// Allocates a fetched bill; answers its certificate.
async fn allocated(world: &World, bill: &Value) -> Certificate {
    // the same month from several sources: each but the first is asked about
    let event = json!({"key": bill["key"], "answer": "additional"});
    let report = match world.invoke("allocate", event).await {
        Ok(report) => report,
        Err(failure) => panic!("{}", failure.message),
    };
    assert_eq!(report["documents"][0]["state"], "allocated", "{report}");
    Certificate::from_json(&world.read(report["documents"][0]["certificate"].as_str().unwrap()).await)
        .unwrap()
}

#[tokio::test]
async fn fetched_bills_are_allocated_to_the_last_digit() {
    let world = world().await;
    world.deliver_objects(world.billing.legacy_objects(Packing::Zip)).await;
    let exports = [
        world.cloud.vars().clone(),
        world.with_export(&[("AWS_EXPORT_PREFIX", "legacy")]),
        world.without_export(),
    ];
    for vars in exports {
        let report = world.fetch_aws_with(vars, october()).await.unwrap();
        let certificate = allocated(&world, &report["documents"][0]).await;
        let source = &report["documents"][0]["format"];
        assert_eq!(certificate.charges_total.to_string(), "345.3363066528", "{source}");
        assert_eq!(certificate.provider_total.to_string(), "345.34", "{source}");
        assert_eq!(certificate.status, Status::Explained, "{source}: {}", certificate.explanation);
        let accounts: Vec<String> = certificate
            .targets
            .iter()
            .map(|target| format!("{} {} {}", target.id, target.name, target.own))
            .collect();
        let expected = [
            "111122223333 payer 102.88",
            "222233334444 team-payments 4.956",
            "333344445555 team-data 237.5003066528",
        ];
        assert_eq!(accounts, expected, "{source}");
        let compared = if *source == json!("cost-explorer") {
            "there is no invoice to compare with"
        } else {
            "each of 3 invoices equals its charges"
        };
        assert!(certificate.explanation.contains(compared), "{source}: {}", certificate.explanation);
    }
}

#[tokio::test]
async fn a_schedule_is_followed_by_allocations_and_a_restated_month_supersedes_itself() {
    let world = World::new(example()).await;
    world.fetch_aws(json!({})).await.unwrap();
    world.quiet().await;
    assert_eq!(world.cloud.queue().dead_letters().unwrap().len(), 0);
    world.billing.amend().unwrap();
    let report = world.fetch_aws(october()).await.unwrap();
    world.quiet().await;
    let key = RawDocumentKey::parse(report["documents"][0]["key"].as_str().unwrap()).unwrap();
    let certificate = world.certificate(&key.invoice).await;
    assert_eq!(certificate.charges_total.to_string(), "342.0863066528");
    assert_eq!(certificate.subject.revision, key.revision);
    assert!(certificate.supersedes.is_some());
    assert_eq!(world.keys("charges/provider=aws/").await.len(), 3);
}
