//! Least privilege: what a function calls is what template.yaml allows it, no less and no more.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloud::vars::Vars;
use local::sandbox::{AWS_EXPORT_BUCKET, AWS_EXPORT_PREFIX, Organisation, secrets};
use local::{Call, Functions};
use serde_json::{Value, json};

use crate::console::{PASSWORD, console};
use crate::datastores_world::{platform, running};
use crate::metering_world::metered;
use crate::revenue::{payment, selling};
use crate::teams_world::{CATALOG, billed, inputs};
use crate::world::{World, example, now, quick};

/// An action on a resource, as a policy writes it: `s3:GetObject raw/`, `dynamodb:PutItem`.
type Permission = String;

/// May be needed without being called: without the first S3 answers 403 for an object that is not there, and the embedded S3
/// announces no versions.
const ONLY_GRANTED: [&str; 4] = [
    "s3:ListBucket",
    "s3:GetObjectVersion raw/",
    "s3:GetObjectVersion usage/",
    "s3:GetObjectVersion datastores/",
];

fn permission(call: &Call) -> Permission {
    let target = call.target.as_deref().unwrap_or_default();
    match call.service {
        "s3" => {
            let (bucket, key) = call.path.trim_start_matches('/').split_once('/').unwrap();
            let export = match bucket {
                local::EXPORT_BUCKET => "export:",
                AWS_EXPORT_BUCKET => "costs:",
                _ => "",
            };
            let action = match call.method.as_str() {
                "GET" if key.contains("list-type=2") => {
                    return format!("s3:ListBucket {export}").trim_end().to_owned();
                }
                "GET" | "HEAD" => "s3:GetObject",
                // the parts of an upload are put, too
                "PUT" | "POST" => "s3:PutObject",
                "DELETE" => "s3:DeleteObject",
                other => panic!("no action known for {other}"),
            };
            format!("{action} {export}{}", prefix(key))
        }
        // its name among policies is not always that in the target
        "aws" => match target {
            "AWSInsightsIndexService.GetCostAndUsage" => "ce:GetCostAndUsage".into(),
            "Invoicing.ListInvoiceSummaries" => "invoicing:ListInvoiceSummaries".into(),
            "AWSOrganizationsV20161128.ListAccounts" => "organizations:ListAccounts".into(),
            other => panic!("{other}"),
        },
        "dynamodb" => format!("dynamodb:{}", target.rsplit('.').next().unwrap()),
        "secretsmanager" => "secretsmanager:GetSecretValue".into(),
        "ses" => "ses:SendEmail".into(),
        other => panic!("{other}"),
    }
}

/// The part of a key that a policy names: `raw/`, `held/`, ...
fn prefix(key: &str) -> String {
    format!("{}/", key.split('/').next().unwrap())
}

fn granted(function: &str) -> BTreeSet<Permission> {
    let template = include_str!("../template.yaml");
    let template: serde_yaml_ng::Value = serde_yaml_ng::from_str(template).unwrap();
    let mut permissions = BTreeSet::new();
    let policies = template["Resources"][function]["Properties"]["Policies"].as_sequence().unwrap();
    // a policy under a condition stands in the second place of its !If
    let statements = policies.iter().flat_map(|policy| {
        let conditional = match policy {
            serde_yaml_ng::Value::Tagged(tagged) => &tagged.value[1],
            plain => plain,
        };
        conditional["Statement"].as_sequence().unwrap()
    });
    let list = |value: &serde_yaml_ng::Value| match value {
        serde_yaml_ng::Value::Sequence(items) => items.clone(),
        one => vec![one.clone()],
    };
    for statement in statements {
        for action in list(&statement["Action"]).iter().map(|action| action.as_str().unwrap().to_owned()) {
            for resource in list(&statement["Resource"]) {
                let resource = match &resource {
                    serde_yaml_ng::Value::Tagged(tagged) => {
                        tagged.value.as_str().unwrap_or_default().to_owned()
                    }
                    plain => plain.as_str().unwrap().to_owned(),
                };
                let key = resource.split_once("AccountId}/").map(|(_, key)| prefix(key));
                let exported =
                    resource.split_once("${ExportBucket}").map(|(_, key)| match key.strip_prefix('/') {
                        Some(key) => format!("export:{}", prefix(key)),
                        None => "export:".to_owned(),
                    });
                let costs = resource.split_once("${AwsExportBucket}").map(|(_, key)| match key {
                    "" => "costs:".to_owned(),
                    _ => format!("costs:{AWS_EXPORT_PREFIX}/"),
                });
                let of = key.or(exported).or(costs);
                permissions.insert(of.map_or(action.clone(), |of| format!("{action} {of}")));
            }
        }
    }
    permissions
}

/// Runs a function on these events and answers what it needed.
async fn needed(world: &World, function: &str, events: Vec<Value>) -> BTreeSet<Permission> {
    needed_with(world, world.cloud.vars(), function, events).await
}

async fn needed_with(
    world: &World,
    others: &Vars,
    function: &str,
    events: Vec<Value>,
) -> BTreeSet<Permission> {
    let gate = world.cloud.gate();
    let endpoints = world.cloud.endpoints();
    let billing = gate.before("aws", endpoints.aws.as_ref().unwrap()).await.unwrap();
    let vars = Vars::from_iter([
        ("AWS_ENDPOINT_URL_S3", gate.before("s3", &endpoints.s3).await.unwrap()),
        ("AWS_ENDPOINT_URL_DYNAMODB", gate.before("dynamodb", &endpoints.dynamodb).await.unwrap()),
        (
            "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            gate.before("secretsmanager", &endpoints.secrets).await.unwrap(),
        ),
        ("AWS_ENDPOINT_URL_COST_EXPLORER", billing.clone()),
        ("AWS_ENDPOINT_URL_INVOICING", billing.clone()),
        ("AWS_ENDPOINT_URL_ORGANIZATIONS", billing),
        ("AWS_ENDPOINT_URL_SESV2", gate.before("ses", endpoints.ses.as_ref().unwrap()).await.unwrap()),
        ("SECRETS", "secretsmanager".into()),
        ("ATLAS_SECRET_ARN", secrets::ATLAS_SECRET_ARN.into()),
        ("AZURE_SECRET_ARN", secrets::AZURE_SECRET_ARN.into()),
        ("CCX_SECRET_ARN", secrets::CCX_SECRET_ARN.into()),
        ("GCP_SECRET_ARN", secrets::GCP_SECRET_ARN.into()),
        ("PROMETHEUS_SECRET_ARN", secrets::PROMETHEUS_SECRET_ARN.into()),
        ("CLAZAR_SECRET_ARN", secrets::CLAZAR_SECRET_ARN.into()),
    ]);
    let functions = Functions::new(vars.or(others));
    for event in events {
        let _ = functions.invoke(function, &event, "test", now()).await; // held ones fail, as they should
    }
    gate.calls().iter().map(permission).collect()
}

fn compare(function: &str, needed: BTreeSet<Permission>) {
    let mut granted = granted(function);
    for permission in ONLY_GRANTED.into_iter().filter(|permission| !needed.contains(*permission)) {
        granted.remove(permission);
    }
    assert_eq!(needed, granted, "{function}: left is what it calls, right what its policy allows");
}

#[tokio::test]
async fn fetch_atlas_may_do_what_it_does() {
    let world = World::with(example(), false, quick()).await;
    compare("FetchAtlas", needed(&world, "fetch-atlas", vec![json!({}), json!({"month": "2026-10"})]).await);
}

#[tokio::test]
async fn fetch_azure_may_do_what_it_does() {
    let world = World::with(example(), false, quick()).await;
    let events = vec![json!({}), json!({}), json!({"dry_run": true})];
    compare("FetchAzure", needed(&world, "fetch-azure", events).await);
}

#[tokio::test]
async fn fetch_aws_may_do_what_it_does() {
    let world = World::with(example(), false, quick()).await;
    let events = vec![json!({"dry_run": true}), json!({}), json!({})];
    let mut calls = needed(&world, "fetch-aws", events.clone()).await;
    let cost_explorer = world.without_export();
    calls.extend(needed_with(&world, &cost_explorer, "fetch-aws", events).await);
    // rows without names of accounts
    world.deliver_without_names().await;
    calls.extend(needed(&world, "fetch-aws", vec![json!({"month": "2026-10"})]).await);
    compare("FetchAws", calls);
}

#[tokio::test]
async fn fetch_ccx_may_do_what_it_does() {
    let world = World::with(example(), false, quick()).await;
    world.ccx.give("2026-09".parse().unwrap(), "{}");
    let events = vec![json!({}), json!({"month": "2026-10"}), json!({"month": "2026-10", "dry_run": true})];
    compare("FetchCcx", needed(&world, "fetch-ccx", events).await);
}

#[tokio::test]
async fn fetch_prometheus_may_do_what_it_does() {
    let world = World::with(example(), false, quick()).await;
    world.prometheus.warn(&["a block is missing"]);
    let october = json!({"month": "2026-10"});
    let mut calls = needed(&world, "fetch-prometheus", vec![json!({"dry_run": true}), json!({})]).await;
    world.prometheus.warn(&[]);
    calls.extend(needed(&world, "fetch-prometheus", vec![json!({}), october]).await);
    compare("FetchPrometheus", calls);
}

#[tokio::test]
async fn fetch_gcp_may_do_what_it_does() {
    let world = World::with(example(), false, quick()).await;
    let events = vec![json!({"month": "2026-10", "dry_run": true}), json!({}), json!({"month": "2026-10"})];
    compare("FetchGcp", needed(&world, "fetch-gcp", events).await);
}

#[tokio::test]
async fn allocate_may_do_what_it_does() {
    let world = World::with(Organisation::recorded([]), false, quick()).await;
    let invoice = |subtotal: i64, status: &str| {
        let line = json!({"sku": "X", "groupId": "a", "totalPriceCents": 5});
        json!({
            "id": "i1", "orgId": "o1", "startDate": "2026-10-01T00:00:00Z", "endDate": "2026-11-01T00:00:00Z",
            "statusName": status, "subtotalCents": subtotal, "lineItems": [line],
        })
    };
    let mut events = Vec::new();
    for document in [invoice(5, "CLOSED"), invoice(5, "PAID"), invoice(500, "PAID"), json!({})] {
        let bytes = document.to_string().into_bytes();
        let key = format!("raw/atlas/o1/2026-10/i1/{}.json", billing::revision::Revision::of(&bytes));
        world.put_raw(&key, &bytes, "2026-11-02T00:00:00Z").await;
        events.push(json!({"key": key}));
    }
    // a bill, and one that is held
    let folder = "raw/focus/aws/111122223333/2025-06/focus12";
    let export = include_bytes!("../shared/billing/src/charges/fixtures/aws-focus12-00001.csv.gz");
    for (name, bytes) in [("export.csv.gz", &export[..]), ("broken.csv.gz", &export[..200])] {
        let key = format!("{folder}/{name}");
        world.bucket.overwrite(&key, bytes.to_vec(), "application/gzip").await.unwrap();
        events.push(json!({"key": key}));
    }
    events.push(json!({"withdraw": "aws/111122223333/2025-06/focus12", "reason": "the wrong account"}));
    compare("Allocate", needed(&world, "allocate", events).await);
}

#[tokio::test]
async fn fetch_omnistrate_may_do_what_it_does() {
    let world = metered(false).await;
    world.usage("2026/09/01/00/s.json", &[("c1", "cpu", "5")]).await;
    let events = vec![json!({}), json!({}), json!({"month": "2026-09"}), json!({"dry_run": true})];
    compare("FetchOmnistrate", needed(&world, "fetch-omnistrate", events).await);
}

#[tokio::test]
async fn meter_clazar_may_do_what_it_does() {
    let world = metered(false).await;
    world.usage("2026/09/01/00/s.json", &[("c1", "cpu", "5")]).await;
    world.count().await;
    let broken = "usage/omnistrate/Postgres/PROD/pt-HJSv20iWX0/2026-09/0123456789abcdef.json";
    world.bucket.overwrite(broken, b"{}".to_vec(), "application/json").await.unwrap();
    let key = world.keys("usage/").await.into_iter().find(|key| *key != broken).unwrap();
    let events = vec![json!({"dry_run": true}), json!({"key": key}), json!({}), json!({"key": broken})];
    compare("MeterClazar", needed(&world, "meter-clazar", events).await);
}

#[tokio::test]
async fn record_usage_may_do_what_it_does() {
    let world = platform(false).await;
    world.events("good.jsonl", &running("10-31T00:00", "orders")).await;
    world.events("mended.jsonl", &["{}".to_owned()]).await;
    let key = |name: &str| json!({"key": format!("datastores/2026-10/{name}.jsonl")});
    let sent = json!({"source": "platform", "detail-type": "D", "detail": {}});
    let mut calls = needed(&world, "record-usage", vec![key("good"), key("mended"), sent, json!({})]).await;
    world.events("mended.jsonl", &running("10-31T00:00", "carts")).await;
    calls.extend(needed(&world, "record-usage", vec![key("mended"), json!({})]).await);
    compare("RecordUsage", calls);
}

#[tokio::test]
async fn the_console_may_do_what_it_does() {
    let world = console(Vars::default()).await;
    let report = include_str!("../events/console-usage-report.json"); // with a password that is not this one
    let wrong: Value = serde_json::from_str(report).unwrap();
    let mut right = wrong.clone();
    right["headers"]["authorization"] =
        json!(format!("Basic {}", STANDARD.encode(format!("admin:{PASSWORD}"))));
    world.invoke("record-usage", json!({})).await.unwrap();
    // once more than may fail: then it is looked up how many have
    let events = [vec![right], vec![wrong; 11]].concat();
    compare("Console", needed(&world, "console", events).await);
}

#[tokio::test]
async fn report_revenue_may_do_what_it_does() {
    let world = selling(false).await;
    world.put("journal/2026-10/a.jsonl", &payment("a", 1, "4")).await;
    world.put("journal/2026-09/a.jsonl", "{}").await;
    let month = |month: &str| json!({"month": month});
    let events = vec![json!({"dry_run": true}), json!({}), month("2026-10"), month("2026-09")];
    compare("ReportRevenue", needed(&world, "report-revenue", events).await);
}

#[tokio::test]
async fn bill_may_do_what_it_does() {
    let world =
        billed(&CATALOG.replace(
            "split: {by: cost}, over: {provider: acme}",
            "split: {by: driver, name: datastore-hours}",
        ))
        .await;
    world.put("drivers/weight/2026-09.csv", "target,quantity\none,1\n").await;
    world.events("1.jsonl", &running("09-30T00:00", "orders")).await;
    world.invoke("record-usage", json!({"key": "datastores/2026-10/1.jsonl"})).await.unwrap();
    world.usage("2026/09/01/00/s.json", &[("c1", "cpu", "5")]).await;
    world.invoke("fetch-omnistrate", json!({"month": "2026-09"})).await.unwrap();
    let metered = CATALOG
        .replace("split: {by: cost}, over: {provider: acme}", "split: {by: driver, name: \"metered:cpu\"}");
    let vars = Vars::from_iter([
        ("INVOICING_URL", "http://127.0.0.1:9"),
        ("INVOICING_SECRET_ARN", secrets::CCX_SECRET_ARN),
    ]);
    let inputs = inputs().or(world.cloud.vars());
    let mut calls = needed_with(
        &world,
        &inputs,
        "bill",
        vec![json!({"month": "2026-08"}), json!({"month": "2026-09"}), json!({"month": "2026-09"})],
    )
    .await;
    world.put("catalog/current.yaml", &metered).await;
    let current = json!({"month": "2026-09", "catalog": "current"});
    calls.extend(needed_with(&world, &inputs, "bill", vec![current]).await);
    // the secret has no such member: it is read all the same
    calls.extend(needed_with(&world, &vars.or(&inputs), "bill", vec![json!({})]).await);
    compare("Bill", calls);
}
