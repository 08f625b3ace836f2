//! What a Prometheus server may answer instead of a result, and results that must not become drivers.

use local::sandbox::FaultKind::{self, Own};
use local::sandbox::PrometheusFault;
use serde_json::{Value, json};

use crate::prometheus::{october, states, world};
use crate::world::{World, assert_same};

impl World {
    /// The message of a fetch that fails, with other variables.
    async fn prometheus_error(&self, vars: &[(&str, &str)]) -> String {
        self.invoke_with(vars, "fetch-prometheus", october()).await.unwrap_err().message
    }

    /// The message of a fetch that meets a fault.
    async fn prometheus_fault(&self, kind: FaultKind<PrometheusFault>, times: usize) -> String {
        self.prometheus.fail("", kind, times);
        self.fetch_prometheus(october()).await.unwrap_err().message
    }
}

#[tokio::test]
async fn every_answer_that_is_no_result_says_what_to_do() {
    let world = world().await;
    let path = "/api/v1/query";
    for (kind, expected) in [
        (
            FaultKind::Html,
            format!("the answer to {path} (200) is a web page, not Prometheus's; check PROMETHEUS_URL"),
        ),
        (FaultKind::ContentType("text/csv".into()), format!("the answer to {path} is text/csv, not")),
        (FaultKind::Redirect, format!("Prometheus answers {path} with a redirect (302 to http")),
        (FaultKind::Status(400), "does not understand the query (400 bad_data: on request)".into()),
        (FaultKind::Status(403), format!("Prometheus does not allow {path} (403 internal: on request)")),
        (FaultKind::Status(404), format!("Prometheus knows no {path} (404")),
        (FaultKind::Status(422), "cannot execute the query (422 execution: on request): for too many".into()),
        (
            Own(PrometheusFault::ErrorDocument),
            "Prometheus says that the query failed: internal: on request".into(),
        ),
        (FaultKind::Cut, format!("the answer to {path} is no answer of Prometheus: EOF while parsing")),
    ] {
        let before = world.prometheus.questions().len();
        let message = world.prometheus_fault(kind, 1).await;
        assert!(message.contains(&expected), "{message}");
        // the driver that met it was not tried again, and the others were done
        assert_eq!(world.prometheus.questions().len(), before + 7, "{message}");
    }
    let elsewhere = format!("{}/nothing", world.cloud.endpoints().prometheus.as_ref().unwrap());
    let elsewhere = world.prometheus_error(&[("PROMETHEUS_URL", &elsewhere)]).await;
    assert!(elsewhere.contains("Prometheus knows no /nothing/api/v1/query (404)"), "{elsewhere}");
    let nobody =
        world.prometheus_error(&[("PROMETHEUS_URL", "http://127.0.0.1:9"), ("HTTP_ATTEMPTS", "2")]).await;
    assert!(nobody.contains("Prometheus cannot be reached at http://127.0.0.1:9"), "{nobody}");
    assert!(nobody.contains("(after 2 attempts)"), "{nobody}");
    let plain = world.prometheus_error(&[("PROMETHEUS_URL", "http://prometheus.example.com")]).await;
    assert!(plain.contains("use https"), "{plain}");
}

#[tokio::test]
async fn wrong_credentials_end_the_run_at_once() {
    let world = world().await;
    let wrong = world.prometheus_error(&[("PROMETHEUS_PASSWORD", "dead-beef")]).await;
    assert!(wrong.starts_with("Prometheus refused the credentials (401): check PROMETHEUS_USER"), "{wrong}");
    assert!(!wrong.contains("dead-beef"));
    assert_eq!(world.prometheus.questions().len(), 0);
    assert!(world.keys("").await.is_empty());
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let world = world().await;
    for (kind, times) in [
        (FaultKind::Status(503), 4),
        (FaultKind::Status(429), 2),
        (FaultKind::RetryAfter(503, 1), 1),
        (FaultKind::Drop, 2),
    ] {
        world.prometheus.fail("", kind.clone(), times);
        let report = world.fetch_prometheus(october()).await.unwrap();
        assert_eq!(report["failed"], json!([]), "{kind:?}");
    }
    let down = world.prometheus_fault(FaultKind::Status(503), 5).await;
    assert!(down.contains("cpu-share failed: Prometheus failed at /api/v1/query (503 timeout: on request) (after 5 attempts)"), "{down}");
    world.prometheus.fail("", FaultKind::DelayMs(60_000), 2);
    let silent = world.prometheus_error(&[("HTTP_READ_TIMEOUT_MS", "50"), ("HTTP_ATTEMPTS", "2")]).await;
    assert!(silent.contains("(after 2 attempts)"), "{silent}");
}

#[tokio::test]
async fn one_driver_that_fails_does_not_stop_the_others() {
    let world = world().await;
    world.prometheus.fail("", FaultKind::Status(422), 1);
    let failure = world.fetch_prometheus(october()).await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "partial");
    assert!(failure.message.starts_with("drivers of 2026-10: 2 written, 0 unchanged; cpu-share failed: "));
    assert_eq!(world.keys("drivers/").await.len(), 2);
}

#[tokio::test]
async fn values_that_are_no_quantities_hold_the_driver_and_name_it() {
    let world = world().await;
    let sample = |labels: Value, value: &str| json!({"metric": labels, "value": [1_793_491_199, value]});
    let blue = |value: &str| sample(json!({"namespace": "blue-app"}), value);
    for (samples, expected) in [
        (json!([blue("NaN")]), "cpu-share held: namespace 'blue-app' is NaN, which is no quantity"),
        (
            json!([blue("+Inf"), blue("1")]),
            "cpu-share held: namespace 'blue-app' is +Inf, which is no quantity",
        ),
        (json!([blue("-1")]), "cpu-share held: namespace 'blue-app' is negative (-1)"),
        (json!([blue("1"), blue("2")]), "cpu-share held: namespace 'blue-app' comes twice"),
        (
            json!([sample(json!({"pod": "x"}), "1")]),
            "cpu-share held: a result has no label namespace (its labels: pod)",
        ),
        (json!([blue("0")]), "cpu-share held: all values are zero"),
        (json!({"a": 1}), "cpu-share held: the result is not understood"),
    ] {
        world.prometheus.give("resource=\"cpu\"", samples);
        let failure = world.fetch_prometheus(october()).await.unwrap_err();
        assert_eq!(failure.outcome.to_string(), "held");
        assert!(failure.message.contains(expected), "{}", failure.message);
        // the answer is kept, and the note names it
        let note = world.held_note("cpu-share").await;
        let driver = &failure.report.unwrap()["drivers"][0];
        assert_eq!((&note["status"], &note["reason"]), (&json!("held"), &driver["reason"]));
        assert_eq!((&note["document"], &note["answer"]), (&driver["key"], &driver["source"]));
        world.read(note["answer"].as_str().unwrap()).await;
    }
    assert_eq!(
        world.keys("drivers/").await,
        ["drivers/memory-share/2026-10.json", "drivers/storage-share/2026-10.json"]
    );
    world
        .prometheus
        .give("resource=\"cpu\"", json!([blue("1e-7"), sample(json!({"namespace": "red"}), "3E-7")]));
    world.fetch_prometheus(october()).await.unwrap();
    let driver = world.driver("cpu-share").await;
    assert_eq!(driver.quantities["red"].to_string(), "0.75");
    assert_eq!(world.held_note("cpu-share").await["status"], "released");
}

#[tokio::test]
async fn a_server_without_the_metric_gives_no_empty_driver() {
    let world = world().await;
    let own = r#"{"gpu-share": "sum_over_time((sum by (${label}) (gpus))[${range}:${step}])"}"#;
    let message = world.prometheus_error(&[("PROMETHEUS_QUERIES", own)]).await;
    assert!(
        message.contains("gpu-share held: there is no data on 2026-10-01 and on 2026-10-31"),
        "{message}"
    );
    let event = json!({"month": "2026-10", "partial": true});
    let vars = [("PROMETHEUS_QUERIES", own)];
    let failure = world.invoke_with(&vars, "fetch-prometheus", event).await.unwrap_err();
    assert!(failure.message.contains("gpu-share held: the result is empty"), "{}", failure.message);
    assert!(world.keys("drivers/").await.is_empty());
    let label = world.prometheus_error(&[("PROMETHEUS_LABEL", "team")]).await;
    assert!(label.contains("cpu-share held: a result has no label team (its labels: none)"), "{label}");
}

#[tokio::test]
async fn data_that_does_not_cover_the_month_holds_it_until_a_person_takes_it() {
    let world = world().await;
    let moment = |text: &str| Some(text.parse().unwrap());
    for (begins, ends, days) in [
        (moment("2026-10-17T00:00:00Z"), None, "2026-10-01"),
        (None, moment("2026-10-31T00:00:00Z"), "2026-10-31"),
        (moment("2026-10-17T00:00:00Z"), moment("2026-10-31T00:00:00Z"), "2026-10-01 and on 2026-10-31"),
    ] {
        world.prometheus.forget_before(begins);
        world.prometheus.lose_from(ends);
        let failure = world.fetch_prometheus(json!({})).await.unwrap_err();
        assert_eq!(failure.outcome.to_string(), "held");
        let expected = format!("storage-share held: there is no data on {days}: what the server still keeps");
        assert!(failure.message.contains(&expected), "{}", failure.message);
        assert_eq!(failure.report.unwrap()["drivers"].as_array().unwrap().len(), 3);
    }
    assert!(world.keys("drivers/").await.is_empty() && world.keys("raw/").await.is_empty());
    assert_eq!(world.keys("held/").await.len(), 3);
    // somebody decides that what there is must do
    let taken = world.fetch_prometheus(json!({"month": "2026-10", "partial": true})).await.unwrap();
    assert_eq!(states(&taken), ["written"; 3]);
    let driver = world.bucket.get("drivers/cpu-share/2026-10.json", None).await.unwrap().unwrap();
    assert_eq!(driver.metadata["partial"], "true");
    assert_eq!(world.held_note("cpu-share").await["status"], "released");
}

#[tokio::test]
async fn a_driver_that_was_written_in_time_outlives_the_servers_memory() {
    let world = world().await;
    world.fetch_prometheus(october()).await.unwrap();
    let before = world.state().await;
    world.prometheus.forget_before(Some("2026-10-20T00:00:00Z".parse().unwrap()));
    let later = world.fetch_prometheus(october()).await.unwrap();
    assert_eq!(states(&later), ["kept"; 3]);
    assert!(later["drivers"][0]["reason"].as_str().unwrap().starts_with("there is no data on 2026-10-01"));
    assert_same(&world.state().await, &before);
}

#[tokio::test]
async fn an_answer_with_warnings_is_not_believed() {
    let world = world().await;
    world.prometheus.warn(&["no StoreAPIs matched for this query"]);
    let failure = world.fetch_prometheus(october()).await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "held");
    let expected = "cpu-share held: the server answers with a part of the data only: no StoreAPIs matched for this query; the next run";
    assert!(failure.message.contains(expected), "{}", failure.message);
    assert_eq!(world.keys("raw/prometheus/").await.len(), 3);
    assert!(world.keys("drivers/").await.is_empty());
    world.prometheus.warn(&[]);
    assert_eq!(states(&world.fetch_prometheus(json!({})).await.unwrap()), ["written"; 3]);
}

#[tokio::test]
async fn what_a_person_put_there_is_not_touched() {
    let world = world().await;
    world
        .bucket
        .overwrite("drivers/cpu-share/2026-10.csv", "target,quantity\nblue-app,1\n", "text/csv")
        .await
        .unwrap();
    world
        .bucket
        .overwrite("drivers/memory-share/2026-10.json", "{\"blue-app\": 1}", "application/json")
        .await
        .unwrap();
    let before = world.state().await;
    for dry_run in [true, false] {
        let failure =
            world.fetch_prometheus(json!({"month": "2026-10", "dry_run": dry_run})).await.unwrap_err();
        assert_eq!(failure.outcome.to_string(), "partial");
        for part in [
            "cpu-share failed: drivers/cpu-share/2026-10.csv was put there by hand, and drivers/cpu-share/2026-10.json would be a second",
            "memory-share failed: drivers/memory-share/2026-10.json was put there by hand and is not replaced",
        ] {
            assert!(failure.message.contains(part), "{}", failure.message);
        }
    }
    // nothing was asked for them
    assert!(world.prometheus.questions().iter().all(|question| question.contains("storage_bytes")));
    let after = world.state().await;
    assert!(before.iter().all(|(key, content)| after.get(key) == Some(content)));
    world
        .bucket
        .overwrite("drivers/storage-share/2026-10.csv", "target,quantity\n", "text/csv")
        .await
        .unwrap();
    let both = world.fetch_prometheus(october()).await.unwrap_err().message;
    assert!(both.contains("there are two documents of this driver, drivers/storage-share/2026-10.csv and drivers/storage-share/2026-10.json"), "{both}");
}
