//! Every outside call of a story fails once in every way; redelivery must come to the undisturbed end.
//!
//! One harness for all stories: a [`Tale`] says how its world begins and what happens in it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use cloud::ledger::RunOutcome;
use cloud::vars::Vars;
use local::sandbox::Organisation;
use local::{Functions, Gate, GateMode};
use serde_json::{Value, json};

use crate::datastores_world::{deleted, egress, platform, running};
use crate::metering_world::{metered, second};
use crate::revenue::{payment, selling};
use crate::world::{self, World, now, quick};

/// Deliveries of one event before the story counts as stuck.
const DELIVERIES: usize = 6;

/// A story whose calls are swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tale {
    /// An invoice in two revisions, and an open month.
    Atlas,
    /// Two months of two contracts, one of them in two plans at last, usage that comes late, and the daily run.
    Metering,
    /// A FOCUS export, corrected.
    Bills,
    /// A further part that is asked about and added, the bill withdrawn, and brought again.
    Brought,
    /// The bill of an Azure month, restated.
    Azure,
    /// Files of events that overlap, put together twice, and one that is overwritten with a bad one and restored.
    Datastores,
    /// A usage report in two revisions.
    Ccx,
    /// A month of an export in two revisions, with invoices.
    Aws,
    /// A month from Cost Explorer in two revisions, with invoices.
    AwsCostExplorer,
    /// A bill of Google Cloud, whose rows change, and the running month.
    Gcp,
    /// A month of a team, revised after it was billed, and the month that takes the difference.
    Teams,
    /// Drivers of a month that is held, released and amended.
    Prometheus,
    /// A journal in two files, a line that cannot be used and is mended, and the schedule.
    Revenue,
}

impl Tale {
    /// A story with fewer does not tell what it is meant to.
    fn least_calls(self) -> usize {
        match self {
            Self::Atlas | Self::Brought | Self::Datastores | Self::Metering | Self::Revenue => 50,
            Self::Prometheus => 40,
            Self::Teams
            | Self::Bills
            | Self::Aws
            | Self::AwsCostExplorer
            | Self::Azure
            | Self::Ccx
            | Self::Gcp => 30,
        }
    }
}

struct Stage {
    tale: Tale,
    /// Schedules so far: each comes at a later time.
    schedules: AtomicU32,
    world: World,
    gate: Gate,
    vars: Vars,
}

impl Tale {
    async fn begin(self) -> Stage {
        let world = match self {
            Self::Atlas => {
                let first = Organisation::recorded([open(), revision(500, "2026-11-02T00:00:00Z")]);
                World::with(first, false, quick()).await
            }
            Self::Metering => usage().await,
            Self::Datastores => platform(false).await,
            Self::Revenue => selling(false).await,
            Self::Teams => one_team().await,
            Self::Azure => {
                let world = World::with(Organisation::recorded([]), false, quick()).await;
                world.azure.looks(0);
                world
            }
            Self::Aws | Self::AwsCostExplorer => {
                let world = World::with(Organisation::recorded([]), false, quick()).await;
                world.billing.shrink().unwrap();
                world
            }
            Self::Bills | Self::Brought | Self::Ccx | Self::Gcp | Self::Prometheus => {
                World::with(Organisation::recorded([]), false, quick()).await
            }
        };
        let gate = world.cloud.gate();
        let endpoints = world.cloud.endpoints();
        let google = endpoints.gcp.as_ref().unwrap();
        let before = async |service, url: &str| gate.before(service, url).await.unwrap();
        let azure = before("azure", endpoints.azure.as_ref().unwrap()).await;
        let billing = before("aws", endpoints.aws.as_ref().unwrap()).await;
        let others = match self {
            Self::AwsCostExplorer => world.without_export(),
            _ => world.cloud.vars().clone(),
        };
        // one attempt a call and one call at a time: what fails reaches our code, always at the same place
        let vars = Vars::from_iter([
            ("AWS_ENDPOINT_URL_S3", before("s3", &endpoints.s3).await),
            ("AWS_ENDPOINT_URL_DYNAMODB", before("dynamodb", &endpoints.dynamodb).await),
            ("ATLAS_API_URL", before("atlas", endpoints.atlas.as_ref().unwrap()).await),
            ("CLAZAR_API_URL", before("clazar", endpoints.clazar.as_ref().unwrap()).await),
            ("CCX_API_URL", before("ccx", endpoints.ccx.as_ref().unwrap()).await),
            ("CCX_MONTHS", "1".into()),
            ("PROMETHEUS_URL", before("prometheus", endpoints.prometheus.as_ref().unwrap()).await),
            ("PROMETHEUS_QUERIES", TWO_DRIVERS.into()),
            ("GCP_API_URL", before("gcp", &google.url).await),
            ("GCP_TOKEN_URL", before("gcp", &format!("{}/token", google.url)).await),
            ("GCP_MONTHS", "1".into()),
            ("GCP_POLL_MS", "1".into()),
            ("AZURE_API_URL", azure.clone()),
            ("AZURE_LOGIN_URL", azure),
            ("AWS_ENDPOINT_URL_COST_EXPLORER", billing.clone()),
            ("AWS_ENDPOINT_URL_INVOICING", billing.clone()),
            ("AWS_ENDPOINT_URL_ORGANIZATIONS", billing),
            ("AWS_ENDPOINT_URL_SESV2", before("ses", endpoints.ses.as_ref().unwrap()).await),
            ("BILL_INPUTS", "acme".into()),
            ("AWS_MONTHS", "1".into()),
            ("AWS_MAX_ATTEMPTS", "1".into()),
            ("HTTP_ATTEMPTS", "1".into()),
            ("AWS_CALL_TIMEOUT_MS", "500".into()),
            ("HTTP_READ_TIMEOUT_MS", "500".into()),
            ("CLAZAR_TIMEOUT_MS", "500".into()),
            ("OMNISTRATE_CONCURRENCY", "1".into()),
            ("CLAZAR_CONCURRENCY", "1".into()),
            ("REVENUE_CONCURRENCY", "1".into()),
            ("ORG_ID", "o1".into()),
        ])
        .or(&others);
        Stage { tale: self, schedules: AtomicU32::new(0), world, gate, vars }
    }
}

/// A driver that changes in the story, and one that does not.
const TWO_DRIVERS: &str = r#"{
    "cpu": "sum_over_time((sum by (${label}) (kube_pod_container_resource_requests{resource=\"cpu\"}))[${range}:${step}])",
    "storage": "sum_over_time((sum by (${label}) (kube_persistentvolumeclaim_resource_requests_storage_bytes))[${range}:${step}])"
}"#;

/// A small organisation: an ended month, in two revisions one after the other, and an open one.
fn revision(cents: i64, updated: &str) -> Vec<u8> {
    let line = |project: &str, cents: i64| json!({"groupId": project, "groupName": project, "sku": "X", "totalPriceCents": cents});
    json!({
        "id": "i1", "orgId": "o1", "statusName": "CLOSED", "updated": updated, "subtotalCents": cents + 100,
        "startDate": "2026-10-01T00:00:00Z", "endDate": "2026-11-01T00:00:00Z",
        "lineItems": [line("a", cents), line("b", 70), {"sku": "ATLAS_SUPPORT", "totalPriceCents": 30}],
    })
    .to_string()
    .into_bytes()
}

fn open() -> Vec<u8> {
    json!({
        "id": "i2", "orgId": "o1", "statusName": "PENDING", "subtotalCents": 5,
        "startDate": "2026-11-01T00:00:00Z", "endDate": "2026-12-01T00:00:00Z",
        "lineItems": [{"sku": "X", "groupId": "a", "groupName": "a", "totalPriceCents": 5}],
    })
    .to_string()
    .into_bytes()
}

/// An export of September: one account, a tax of none, a tag.
fn export(cost: &str) -> String {
    format!(
        "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,SubAccountId,Tags\n\
         {cost},{cost},USD,a-1,2026-09-01,Usage,Compute,one,\"{{\"\"team\"\": \"\"shop\"\"}}\"\n\
         1.5,1.5,USD,a-1,2026-09-01,Tax,Compute,,\n"
    )
}

/// Where exports of September are put.
const SEPTEMBER: &str = "raw/focus/acme/a-1/2026-09/export/";

/// A team with an account and a service.
async fn one_team() -> World {
    let world = World::with(Organisation::recorded([]), false, quick()).await;
    let catalog = "{currency: USD, customers: [{name: blue, email: blue@example.com}], \
                   accounts: [{provider: acme, id: one, customer: blue, percentage: 110}], \
                   positions: [{customer: blue, month: 2026-10, reason: setup, amount: 5}]}";
    world.put("catalog/current.yaml", catalog).await;
    world.charge("acme", "2026-09", &[("one", "Compute", "10")], 0).await;
    world
}

/// Two months, two contracts, fractions that are carried; in the second month one of the contracts has usage in a second plan.
async fn usage() -> World {
    let world = metered(false).await;
    world.plans(&[(&second().to_string(), ", start_month: 2026-10")]).await;
    world.usage("2026/09/01/00/s.json", &[("c1", "cpu", "5.75"), ("c1", "ram", "9007199254740993")]).await;
    world.usage("2026/09/01/01/s.json", &[("c2", "cpu", "7")]).await;
    world.usage("2026/10/01/00/s.json", &[("c1", "cpu", "0.5"), ("c2", "cpu", "0.25")]).await;
    world.usage_of(&second(), "2026/10/20/00/s.json", &[("c2", "cpu", "3.75")]).await;
    world
}

impl Stage {
    async fn tell(&self) -> BTreeMap<String, String> {
        match self.tale {
            Tale::Atlas => {
                self.deliver_all("fetch-atlas").await;
                let restated = revision(620, "2026-11-09T00:00:00Z");
                self.world.atlas.replace(Organisation::recorded([open(), restated]));
                self.deliver_all("fetch-atlas").await;
            }
            Tale::Ccx => {
                self.deliver_all("fetch-ccx").await;
                self.world.ccx.amend();
                self.deliver_all("fetch-ccx").await;
                self.deliver_all("fetch-ccx").await;
            }
            Tale::Prometheus => {
                // retention is too short, then it is mended
                self.world.prometheus.forget_before(Some("2026-10-09T00:00:00Z".parse().unwrap()));
                self.deliver("fetch-prometheus", &json!({})).await;
                self.world.prometheus.forget_before(None);
                self.deliver("fetch-prometheus", &json!({})).await;
                self.world.prometheus.amend();
                self.deliver("fetch-prometheus", &json!({})).await;
            }
            Tale::Gcp => {
                self.fetch_alone("fetch-gcp").await;
                self.world.gcp.amend();
                self.fetch_alone("fetch-gcp").await;
                self.fetch_alone("fetch-gcp").await;
            }
            Tale::Azure => {
                // what follows a bill is another story
                let october = json!({"month": "2026-10"});
                self.deliver("fetch-azure", &october).await;
                self.world.azure.amend();
                self.deliver("fetch-azure", &october).await;
                self.deliver("fetch-azure", &october).await;
            }
            Tale::Aws | Tale::AwsCostExplorer => {
                self.fetch_aws().await;
                self.world.billing.amend().unwrap();
                self.fetch_aws().await;
            }
            Tale::Bills => {
                for (minutes, cost) in (0..).zip(["10.004", "9.5"]) {
                    self.upload("september.csv", &export(cost), minutes).await;
                }
            }
            Tale::Brought => self.tell_of_what_is_brought().await,
            Tale::Metering => {
                self.deliver_all("fetch-omnistrate").await;
                self.world.usage("2026/10/31/23/late.json", &[("c2", "cpu", "3")]).await;
                self.deliver_all("fetch-omnistrate").await;
                self.deliver_all("meter-clazar").await;
            }
            Tale::Revenue => self.tell_of_revenue().await,
            Tale::Teams => self.tell_of_teams().await,
            Tale::Datastores => {
                let orders = running("10-30T00:00", "orders");
                self.world.events("1.jsonl", &orders).await;
                let gone = [running("01-01T00:00", "old"), vec![deleted("04-01T00:00", "old")]].concat();
                self.world.events("2.jsonl", &[gone, orders].concat()).await;
                self.deliver_all("record-usage").await;
                self.world.events("3.jsonl", &[egress("10-31T00:00", "orders", 1)]).await;
                self.deliver_all("record-usage").await;
                // a file that was good is overwritten with a bad one, and restored
                let (good, bad) = (egress("10-31T01:00", "orders", 1), egress("soon", "orders", 1));
                for line in [good.clone(), bad, good] {
                    self.world.events("4.jsonl", &[line]).await;
                    self.deliver_waiting().await;
                }
                self.deliver_all("record-usage").await;
            }
        }
        self.world.state().await
    }

    /// Puts a file of September into the bucket, under the key of its bill.
    async fn upload(&self, name: &str, content: &str, minutes: i64) {
        let mut upload = self.world.bucket.upload(format!("{SEPTEMBER}{name}"), "text/csv");
        upload = upload.fetched_at(now() + TimeDelta::minutes(minutes));
        upload.write(content.as_bytes()).await.unwrap();
        upload.finish().await.unwrap();
        self.deliver_waiting().await;
    }

    async fn tell_of_what_is_brought(&self) {
        self.upload("one.csv", &export("10.004"), 0).await;
        self.upload(
            "two.csv",
            &export("9.5").replace(",one,", ",two,").replace("Tax,Compute,,", "Usage,Compute,two,"),
            1,
        )
        .await;
        let say = |answer: &str, name: &str| json!({"key": format!("{SEPTEMBER}{name}"), "answer": answer});
        let withdraw = json!({"withdraw": "acme/a-1/2026-09/export", "reason": "the wrong account"});
        for event in [say("add", "two.csv"), withdraw, say("replace", "one.csv")] {
            self.deliver("allocate", &event).await;
            self.deliver_waiting().await;
        }
    }

    /// One month: the notifications of its manifests wait, they are told of elsewhere.
    async fn fetch_aws(&self) {
        self.deliver("fetch-aws", &json!({"month": "2026-10"})).await;
    }

    async fn tell_of_revenue(&self) {
        let broken = payment("c", 3, "6").replace("2026-10-03", "soon");
        for (name, text) in
            [("a.jsonl", payment("a", 1, "4.05")), ("b.jsonl", broken), ("b.jsonl", payment("b", 2, "5"))]
        {
            self.world.put(&format!("journal/2026-10/{name}"), &text).await;
            self.deliver_waiting().await;
        }
        self.deliver_all("report-revenue").await;
    }

    /// What is allocated is another story; so only bills go through the gate.
    async fn tell_of_teams(&self) {
        self.bill(json!({"month": "2026-09"})).await;
        self.world.charge("acme", "2026-09", &[("one", "Compute", "11")], 1).await;
        self.bill(json!({"month": "2026-09"})).await;
        self.bill(json!({"month": "2026-10", "release": "the account is closed"})).await;
    }

    /// Bills until it is done. Who is told that nobody knows whether a mail went out looks, and says so.
    async fn bill(&self, mut event: Value) {
        for delivery in 0..DELIVERIES {
            let functions = Functions::new(self.vars.clone());
            let answer = tokio::select! {
                answer = functions.invoke("bill", &event, "test", self.at(delivery)) => answer,
                () = self.gate.died() => {
                    self.gate.recover();
                    continue;
                }
            };
            let Err(failure) = answer else { return };
            if failure.message.contains("nobody here knows whether it went out") {
                let subject = format!("for {}", event["month"].as_str().unwrap());
                let arrived = self.world.ses.sent().iter().any(|mail| mail.subject.ends_with(&subject));
                event["mails"] = json!({"blue": if arrived { "sent" } else { "send" }});
            }
        }
        panic!("bill is stuck");
    }

    /// A schedule, and the notifications that follow.
    async fn deliver_all(&self, function: &str) {
        self.schedules.fetch_add(1, Ordering::Relaxed);
        self.deliver(function, &json!({})).await;
        self.deliver_waiting().await;
    }

    /// A schedule whose notifications stay queued: what is made of a bill is a story of its own.
    async fn fetch_alone(&self, function: &str) {
        self.schedules.fetch_add(1, Ordering::Relaxed);
        self.deliver(function, &json!({})).await;
    }

    async fn deliver_waiting(&self) {
        loop {
            let due = self.world.cloud.queue().due().unwrap();
            if due.is_empty() {
                return;
            }
            for (id, function, event) in due {
                self.deliver(&function, &event).await;
                self.world.cloud.queue().delivered(id).unwrap();
            }
        }
    }

    /// What counts as now. The first revision of an invoice stays the first however often it is fetched; usage is the newest by
    /// the time at which it was counted, and whoever died with a lease has it for less than a minute.
    fn at(&self, delivery: usize) -> DateTime<Utc> {
        let minutes = match self.tale {
            Tale::Atlas
            | Tale::Aws
            | Tale::AwsCostExplorer
            | Tale::Azure
            | Tale::Bills
            | Tale::Brought
            | Tale::Datastores
            | Tale::Teams
            | Tale::Prometheus
            | Tale::Revenue => 0,
            // which revision is the newest is told by when it was fetched; a question that is repeated is the same job
            Tale::Ccx | Tale::Gcp => i64::from(self.schedules.load(Ordering::Relaxed)) * 60,
            Tale::Metering => {
                i64::from(self.schedules.load(Ordering::Relaxed)) * 60 + i64::try_from(delivery).unwrap()
            }
        };
        now() + TimeDelta::minutes(minutes)
    }

    /// Delivers an event until it succeeds, in a new process each time, as Lambda may.
    async fn deliver(&self, function: &str, event: &Value) {
        let mut last = String::new();
        for delivery in 0..DELIVERIES {
            let at = self.at(delivery);
            let functions = Functions::new(self.vars.clone());
            let answer = tokio::select! {
                answer = functions.invoke(function, event, "test", at) => answer,
                () = self.gate.died() => {
                    self.gate.recover();
                    continue;
                }
            };
            match answer {
                Ok(_) => return,
                // Lambda would try again, and it would be held again
                Err(failure)
                    if failure.outcome == RunOutcome::Held
                        && matches!(
                            self.tale,
                            Tale::Brought | Tale::Datastores | Tale::Revenue | Tale::Prometheus
                        ) =>
                {
                    return;
                }
                Err(failure) => last = failure.message,
            }
        }
        panic!("{function} is stuck: {last}");
    }
}

/// Ways in which a call fails without being done. Our code sees an error each time, or nothing: which kind, the client decides that
/// all stories share.
const UNDONE: [GateMode; 5] =
    [GateMode::Error, GateMode::Throttle, GateMode::Silence, GateMode::DropBefore, GateMode::KillBefore];

/// Every call fails once in that way.
async fn sweep(tale: Tale, mode: GateMode) {
    sweep_in(tale, &format!("{mode:?}"), |_| mode).await;
}

/// Every call fails once, in the ways in turn.
async fn sweep_in_turn(tale: Tale) {
    sweep_in(tale, "in turn", |number| UNDONE[(number + tale as usize) % UNDONE.len()]).await;
}

async fn sweep_in(tale: Tale, way: &str, mode: impl Fn(usize) -> GateMode) {
    let undisturbed = tale.begin().await;
    let expected = undisturbed.tell().await;
    let calls = undisturbed.gate.calls();
    assert!(calls.len() > tale.least_calls(), "the story makes {} calls", calls.len());
    let mut differences = Vec::new();
    for number in 1..=calls.len() {
        let stage = tale.begin().await;
        stage.gate.fail(number, mode(number));
        let found = world::differences(&stage.tell().await, &expected);
        if !found.is_empty() {
            let (call, how) = (&calls[number - 1], mode(number));
            differences.push(format!("{number}, {how:?}: {call}\n{}", found.join("\n")));
        }
    }
    eprintln!("{tale:?}, {way}: {} calls swept, {} differences", calls.len(), differences.len());
    assert!(differences.is_empty(), "{tale:?}, {way}\n{}", differences.join("\n"));
}

/// One test for each story and way, so that they run side by side. What was done although nobody heard of it is swept always, and every call once in one
/// of the other ways; each of those alone at night (`make nightly`).
macro_rules! sweeps {
    ($($story:ident: $tale:ident;)*) => {$(
        mod $story {
            use super::{GateMode, Tale, sweep, sweep_in_turn};

            #[tokio::test]
            async fn a_call_that_is_not_done_in_each_way_in_turn() {
                sweep_in_turn(Tale::$tale).await;
            }

            #[tokio::test]
            #[ignore = "takes minutes: make nightly"]
            async fn a_call_that_answers_with_an_error() {
                sweep(Tale::$tale, GateMode::Error).await;
            }

            #[tokio::test]
            #[ignore = "takes minutes: make nightly"]
            async fn a_call_that_is_throttled() {
                sweep(Tale::$tale, GateMode::Throttle).await;
            }

            #[tokio::test]
            #[ignore = "takes minutes: make nightly"]
            async fn a_call_that_is_never_answered() {
                sweep(Tale::$tale, GateMode::Silence).await;
            }

            #[tokio::test]
            #[ignore = "takes minutes: make nightly"]
            async fn a_call_whose_connection_breaks_before_it_is_done() {
                sweep(Tale::$tale, GateMode::DropBefore).await;
            }

            #[tokio::test]
            async fn a_call_whose_connection_breaks_after_it_is_done() {
                sweep(Tale::$tale, GateMode::DropAfter).await;
            }

            #[tokio::test]
            #[ignore = "takes minutes: make nightly"]
            async fn a_process_killed_before_a_call() {
                sweep(Tale::$tale, GateMode::KillBefore).await;
            }

            #[tokio::test]
            async fn a_process_killed_after_a_call() {
                sweep(Tale::$tale, GateMode::KillAfter).await;
            }
        }
    )*};
}

sweeps! {
    atlas: Atlas;
    azure: Azure;
    bills: Bills;
    brought: Brought;
    aws: Aws;
    aws_cost_explorer: AwsCostExplorer;
    ccx: Ccx;
    datastores: Datastores;
    gcp: Gcp;
    metering: Metering;
    prometheus: Prometheus;
    revenue: Revenue;
    teams: Teams;
}
