//! A schedule asks Prometheus what each namespace requested in the month before, and bills find it as drivers.

use billing::bills::Driver;
use billing::keys::RawDocumentKey;
use billing::revision::sha256_hex;
use cloud::invocation::Failure;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::world::{World, assert_same, example, quick};

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
    pub(crate) async fn fetch_prometheus(&self, event: Value) -> Result<Value, Failure> {
        self.invoke("fetch-prometheus", event).await
    }

    async fn fetch_prometheus_at(&self, moment: &str, event: Value) -> Result<Value, Failure> {
        self.cloud.functions().invoke("fetch-prometheus", &event, "test", moment.parse().unwrap()).await
    }

    /// A driver of October as a bill reads it.
    pub(crate) async fn driver(&self, name: &str) -> Driver {
        let bytes = self.read(&format!("drivers/{name}/2026-10.json")).await;
        Driver::from_json(name, &bytes).unwrap()
    }

    pub(crate) async fn held_note(&self, name: &str) -> Value {
        let note = format!("held/drivers/{name}/2026-10.json.reason.json");
        serde_json::from_slice(&self.read(&note).await).unwrap()
    }
}

pub(crate) fn states(report: &Value) -> Vec<&str> {
    report["drivers"].as_array().unwrap().iter().map(|driver| driver["state"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_scheduled_run_writes_what_bills_read() {
    let world = world().await;
    let report = world.fetch_prometheus(event("fetch-prometheus-scheduled")).await.unwrap();
    assert_eq!(
        (&report["month"], &report["written"], &report["failed"]),
        (&json!("2026-10"), &json!(3), &json!([]))
    );
    assert_eq!(states(&report), ["written"; 3]);
    let keys = world.keys("drivers/").await;
    assert_eq!(
        keys,
        [
            "drivers/cpu-share/2026-10.json",
            "drivers/memory-share/2026-10.json",
            "drivers/storage-share/2026-10.json"
        ]
    );
    let mut shown = String::new();
    for key in &keys {
        let text = String::from_utf8(world.read(key).await).unwrap();
        shown += &format!("{key}\n{text}");
        let driver = Driver::from_json("x", text.as_bytes()).unwrap();
        assert_eq!(driver.quantities.values().copied().sum::<Decimal>(), Decimal::ONE);
    }
    insta::assert_snapshot!("drivers", shown);
    // what is put there starts nothing
    assert!(world.cloud.queue().due().unwrap().is_empty());
    assert!(world.keys("held/").await.is_empty());
}

#[tokio::test]
async fn a_pod_that_lived_one_day_counts_as_one_day() {
    let world = world().await;
    world.fetch_prometheus(october()).await.unwrap();
    // cores times days: platform 2.5 x 31, blue-app 4 x 31 and 8 x 1, red-shop 3 x 21
    let cores_days = [("platform", "77.5"), ("blue-app", "132"), ("red-shop", "63")];
    let total: Decimal = "272.5".parse().unwrap();
    let driver = world.driver("cpu-share").await;
    for (namespace, days) in cores_days {
        let share = days.parse::<Decimal>().unwrap() / total;
        assert!((driver.quantities[namespace] - share).abs() < Decimal::new(1, 12), "{namespace}");
    }
    assert_eq!(driver.quantities["red-shop"].to_string(), "0.23119266055");
}

#[tokio::test]
async fn from_a_driver_a_person_goes_back_to_the_answer_and_to_the_question() {
    let world = world().await;
    let report = world.fetch_prometheus(october()).await.unwrap();
    let driver = world.bucket.get("drivers/cpu-share/2026-10.json", None).await.unwrap().unwrap();
    let raw = &driver.metadata["source"];
    assert_eq!(&report["drivers"][0]["source"], raw);
    assert_eq!(
        (driver.metadata["measure"].as_str(), driver.metadata["label"].as_str()),
        ("share", "namespace")
    );
    assert_eq!(driver.metadata["fetched-at"], "2026-11-02T06:00:00.000Z");
    let key = RawDocumentKey::parse(raw).unwrap();
    assert_eq!(raw, &format!("raw/prometheus/127.0.0.1/2026-10/cpu-share/{}.json", key.revision));
    let answer = world.bucket.get(raw, None).await.unwrap().unwrap();
    assert!(sha256_hex(&answer.bytes).starts_with(key.revision.as_str()));
    let document: Value = serde_json::from_slice(&answer.bytes).unwrap();
    assert_eq!(document["data"]["result"].as_array().unwrap().len(), 3);
    // pasted behind the server's address, the source asks the same again
    let source = &answer.metadata["source"];
    assert!(source.starts_with("/api/v1/query?query=sum_over_time"), "{source}");
    assert!(source.ends_with("&time=1793491199.999"), "{source}");
}

#[tokio::test]
async fn the_first_and_the_last_day_are_asked_for_before_the_month() {
    let world = world().await;
    world.fetch_prometheus(october()).await.unwrap();
    let questions = world.prometheus.questions();
    assert_eq!(questions.len(), 9);
    let asked = questions.iter().take(3).map(|question| {
        let range = question.split_once('[').unwrap().1.split_once(']').unwrap().0;
        (question.split(' ').nth(1).unwrap(), range)
    });
    let asked: Vec<_> = asked.collect();
    assert_eq!(
        asked,
        [
            ("1790899199.999", "86400s:300s"), // of 1 October
            ("1793491199.999", "86400s:300s"), // of 31 October
            ("1793491199.999", "2678400s:300s"),
        ]
    );
    assert!(questions.iter().all(|question| question.starts_with("POST ")));
}

#[tokio::test]
async fn the_same_again_writes_nothing_and_a_dry_run_never_does() {
    let world = world().await;
    let empty = world.state().await;
    let preview = world.fetch_prometheus(event("fetch-prometheus-dry-run")).await.unwrap();
    assert_eq!((states(&preview), &preview["written"]), (vec!["preview"; 3], &json!(0)));
    assert_same(&world.state().await, &empty);

    let first = world.fetch_prometheus(event("fetch-prometheus-month")).await.unwrap();
    assert_eq!(preview["drivers"][0]["quantities"], first["drivers"][0]["quantities"]);
    assert_eq!(preview["drivers"][0]["total"], "8.7903225806451613");
    let before = world.state().await;
    let again = world.fetch_prometheus(json!({})).await.unwrap();
    assert_eq!((states(&again), &again["unchanged"]), (vec!["unchanged"; 3], &json!(3)));
    assert_same(&world.state().await, &before);
}

#[tokio::test]
async fn another_answer_replaces_the_driver_and_keeps_both_answers() {
    let world = world().await;
    world.fetch_prometheus(october()).await.unwrap();
    let before = world.driver("cpu-share").await;
    world.prometheus.amend();
    let report = world.fetch_prometheus(october()).await.unwrap();
    assert_eq!(states(&report), ["replaced", "unchanged", "unchanged"]);
    let after = world.driver("cpu-share").await;
    assert!(after.quantities["red-shop"] > before.quantities["red-shop"]);
    assert_eq!(world.keys("raw/prometheus/127.0.0.1/2026-10/cpu-share/").await.len(), 2);
    assert_eq!(world.keys("raw/prometheus/").await.len(), 4);
}

#[tokio::test]
async fn a_month_that_is_not_over_is_looked_at_and_never_written() {
    let world = world().await;
    let empty = world.state().await;
    for asked in [json!({"month": "2026-10"}), json!({"month": "2026-10", "dry_run": true})] {
        let open = world.fetch_prometheus_at("2026-10-21T00:00:07Z", asked).await.unwrap();
        assert_eq!((states(&open), &open["written"]), (vec!["open"; 3], &json!(0)));
        // 20 days: 2.5 x 20 of 2.5 x 20 + 4 x 20 + 8 + 3 x 10
        assert_eq!(open["drivers"][0]["quantities"]["platform"], "0.297619047619");
    }
    assert_same(&world.state().await, &empty);
    let early =
        world.fetch_prometheus_at("2026-10-21T00:00:07Z", json!({"month": "2026-11"})).await.unwrap_err();
    assert_eq!(
        early.message,
        "2026-11 has not begun: it begins on 2026-11-01 00:00 UTC; ask again then, or for an earlier time"
    );
}

#[tokio::test]
async fn quantities_and_own_queries_are_drivers_too() {
    let world = world().await;
    let vars = [("PROMETHEUS_AS", "quantity"), ("PROMETHEUS_STEP", "1h")];
    let report = world.invoke_with(&vars, "fetch-prometheus", october()).await.unwrap();
    assert_eq!(report["written"], 3);
    let quantity = |driver: &Driver, namespace: &str| driver.quantities[namespace].to_string();
    let cores = world.driver("cpu-cores").await;
    assert_eq!(
        (quantity(&cores, "platform"), quantity(&cores, "blue-app")),
        ("2.5".into(), "4.2580645161290323".into())
    );
    let storage = world.driver("storage-gib").await;
    assert_eq!(
        (quantity(&storage, "platform"), quantity(&storage, "blue-app")),
        ("100".into(), "200".into())
    );

    let own = r#"{"cores-hours": "sum_over_time((sum by (${label}) (kube_pod_container_resource_requests{resource=\"cpu\"}))[${range}:1h])"}"#;
    let vars = [("PROMETHEUS_AS", "quantity"), ("PROMETHEUS_QUERIES", own)];
    world.invoke_with(&vars, "fetch-prometheus", october()).await.unwrap();
    let hours = world.driver("cores-hours").await;
    assert_eq!(quantity(&hours, "blue-app"), (132 * 24).to_string());
}

#[tokio::test]
async fn a_user_a_token_or_nothing_opens_the_server() {
    let world = world().await;
    let plain = world.cloud.vars().clone().without("PROMETHEUS_USER").without("PROMETHEUS_PASSWORD");
    let fetch = async |vars: &[(&str, &str)]| {
        let vars = cloud::vars::Vars::from_iter(vars.iter().copied()).or(&plain);
        let functions = local::Functions::new(vars);
        let answer = functions.invoke("fetch-prometheus", &october(), "test", crate::world::now()).await;
        answer.map_err(|failure| failure.message)
    };
    fetch(&[("PROMETHEUS_TOKEN", local::sandbox::PROMETHEUS_TOKEN)]).await.unwrap();
    let [user, password] = local::sandbox::PROMETHEUS_CREDENTIALS;
    fetch(&[user, password]).await.unwrap();
    let secret = [("SECRETS", "secretsmanager"), ("PROMETHEUS_SECRET_ARN", "monthend/prometheus")];
    fetch(&secret).await.unwrap();
    let refused = "Prometheus refused the credentials (401): check PROMETHEUS_USER and PROMETHEUS_PASSWORD, or PROMETHEUS_TOKEN";
    assert_eq!(fetch(&[]).await.unwrap_err(), refused);
    assert_eq!(fetch(&[("SECRETS", "secretsmanager")]).await.unwrap_err(), refused, "none is needed to ask");
    assert!(fetch(&[user]).await.unwrap_err().contains("belong together"));
    assert!(
        fetch(&[user, password, ("PROMETHEUS_TOKEN", "x")]).await.unwrap_err().contains("exclude each other")
    );
    let url = world.cloud.endpoints().prometheus.clone().unwrap().replace("http://", "http://me:secret@");
    let in_url = fetch(&[("PROMETHEUS_URL", &url)]).await.unwrap_err();
    assert!(in_url.contains("must not hold a user or a password") && !in_url.contains("secret"), "{in_url}");
}
