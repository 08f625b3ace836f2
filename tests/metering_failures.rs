//! The ways in which the earlier exporter lost or doubled money, and every way in which Clazar fails: each comes to an end
//! in which Clazar holds each contract, dimension and month once, with the exact quantity.

use billing::metering::SubmissionState;
use cloud::vars::Vars;
use local::sandbox::FaultKind::{self, Own};
use local::sandbox::{ClazarFault, HeldRecord, OmnistrateExport};
use local::{Functions, GateMode};
use serde_json::{Value, json};

use crate::metering_world::{metered, metered_with, month, plan, table};
use crate::world::{World, now};

/// Two contracts with two dimensions each, in September; October has something too, so that it may close.
pub(crate) async fn usual(vars: &[(&str, &str)]) -> World {
    let world = metered_with(false, vars).await;
    let lines = [("c1", "cpu", "5"), ("c1", "ram", "6"), ("c2", "cpu", "7"), ("c2", "ram", "8")];
    world.usage("2026/09/01/00/s.json", &lines).await;
    world.usage("2026/10/01/00/s.json", &[("c1", "cpu", "1")]).await;
    world
}

pub(crate) fn september() -> std::collections::BTreeMap<String, String> {
    table(&[("c1 cpu", "5"), ("c1 ram", "6"), ("c2 cpu", "7"), ("c2 ram", "8")])
}

impl World {
    /// The next metering requests fail.
    pub(crate) fn clazar_fails(&self, kind: impl Into<FaultKind<ClazarFault>>, times: usize) {
        self.clazar.fail("/metering/", kind, times);
    }
}

#[tokio::test]
async fn a_dry_run_closes_no_month() {
    let world = usual(&[]).await;
    world.count().await;
    let preview = world.invoke("meter-clazar", json!({"dry_run": true})).await.unwrap();
    assert_eq!(preview["plans"][0]["months"][0]["requests"].as_array().unwrap().len(), 2);
    assert_eq!((world.closed_through().await.as_str(), world.billed().len()), ("2026-08", 0));
    world.meter().await.unwrap();
    assert_eq!(world.billed_for("2026-09"), september());
}

#[tokio::test]
async fn a_listing_error_closes_no_month() {
    let world = usual(&[]).await;
    let gate = world.cloud.gate();
    let s3 = gate.before("s3", &world.cloud.endpoints().s3).await.unwrap();
    let vars = [("AWS_ENDPOINT_URL_S3", s3.as_str()), ("AWS_MAX_ATTEMPTS", "1")];
    // marker and catalog are read, then the listing fails
    gate.fail(3, GateMode::Error);
    let failure =
        world.invoke_with(&vars, "fetch-omnistrate", json!({"month": "2026-09"})).await.unwrap_err();
    assert!(failure.message.contains("2026-09 failed: failed to list s3://omnistrate-export/omnistrate-metering/Postgres/PROD/pt-HJSv20iWX0/2026/09/"), "{}", failure.message);
    assert!(world.keys("usage/").await.is_empty());
    gate.recover();
    world.meter().await.unwrap();
    assert_eq!(world.billed_for("2026-09"), september());
}

#[tokio::test]
async fn a_malformed_file_closes_no_month() {
    for (bytes, part) in [
        (&b"[{\"externalPayerId\": \"c1\", \"dim"[..], "bad.json: it is no JSON array of usage records: EOF"),
        (b"", "bad.json: it is no JSON array"),
        (b"\x1f\x8b\x08", "bad.json: it is no JSON array"),
        (
            b"[{\"externalPayerId\": \"c1\", \"dimension\": \"cpu\", \"value\": \"many\"}]",
            "bad.json: record 1: value cannot be counted: 'many'",
        ),
        (
            b"[{\"externalPayerId\": \"c1\", \"dimension\": \"cpu\", \"value\": 1e30}]",
            "bad.json: record 1: value cannot be counted",
        ),
    ] {
        let world = usual(&[]).await;
        world.export_file("2026/09/02/00/bad.json", bytes).await;
        let failure = world.invoke("fetch-omnistrate", json!({})).await.unwrap_err();
        assert!(failure.message.contains(part), "{}", failure.message);
        assert!(failure.message.contains("2026/09/02/00/"), "the key is named: {}", failure.message);
        // October is fine by itself, and waits
        assert_eq!(failure.outcome.to_string(), "partial");
        let waiting = world.meter_afresh().await.unwrap();
        assert_eq!(waiting["plans"][0]["waiting_for"], "2026-09");
        assert_eq!(world.billed().len(), 0);
        world.export_file("2026/09/02/00/bad.json", b"[]").await;
        world.meter().await.unwrap();
        assert_eq!(world.billed_for("2026-09"), september());
    }
}

#[tokio::test]
async fn hours_of_nine_tenths_are_not_sent_as_nothing() {
    let world = metered(false).await;
    for hour in 0..744 {
        let path = format!("2026/10/{:02}/{:02}/s.json", hour / 24 + 1, hour % 24);
        world.usage(&path, &[("c1", "cpu_core_hours", "0.9")]).await;
    }
    world.usage("2026/09/01/00/s.json", &[("c1", "cpu_core_hours", "1")]).await;
    world.meter().await.unwrap();
    assert_eq!(world.billed_for("2026-10"), table(&[("c1 cpu_core_hours", "669")]));
    let carried = world.ledger.submissions(&plan(), month("2026-10")).await.unwrap();
    assert_eq!(carried.values().next().unwrap().submission.carry_out.to_string(), "0.6");
}

#[tokio::test]
async fn a_contract_missing_from_the_reply_is_not_taken_as_done() {
    let world = usual(&[("CLAZAR_CONCURRENCY", "1")]).await;
    world.clazar_fails(ClazarFault::Missing, 1);
    let failure = world.meter().await.unwrap_err();
    assert!(failure.message.contains("c1 ram unknown: the reply has no entry for it"), "{}", failure.message);
    assert_eq!(world.closed_through().await, "2026-08");
    world.meter_afresh().await.unwrap();
    assert_eq!(world.billed_for("2026-09"), september());
    assert_eq!(world.closed_through().await, "2026-10");
}

#[tokio::test]
async fn one_error_does_not_forget_the_successes_beside_it() {
    let world = usual(&[]).await;
    world.clazar.register("c1", Some(["cpu".to_owned()].into()));
    let failure = world.meter().await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "held");
    assert_eq!(
        world.standing("2026-09").await,
        table(&[
            ("c1 cpu", "accepted 5"),
            ("c1 ram", "rejected 6"),
            ("c2 cpu", "accepted 7"),
            ("c2 ram", "accepted 8")
        ])
    );
    let before = world.clazar.metering_requests().len();
    world.clazar.register_dimension("c1", "ram");
    world.meter_afresh().await.unwrap();
    let sent = world.clazar.metering_requests().split_off(before);
    assert_eq!((sent.len(), sent[0]["request"].as_array().unwrap().len()), (1, 1), "only what was open");
    assert_eq!(world.billed_for("2026-09"), september());
    assert_eq!(world.closed_through().await, "2026-10");
}

#[tokio::test]
async fn a_status_other_than_success_is_no_success() {
    for kind in [
        Own(ClazarFault::OddStatus("pending".into())),
        Own(ClazarFault::OddStatus("SUCCESS".into())),
        Own(ClazarFault::UnknownDimension),
    ] {
        let world = usual(&[]).await;
        world.clazar_fails(kind, 4);
        world.meter().await.unwrap_err();
        assert_eq!(world.states("2026-09").await, [SubmissionState::Rejected; 4]);
        assert_eq!(world.closed_through().await, "2026-08");
        world.clazar.clear_faults();
        world.meter_afresh().await.unwrap();
        assert_eq!(world.billed_for("2026-09"), september());
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_sent() {
    let world = usual(&[]).await;
    world.count().await;
    // every write of a submission fails, from the first
    let gate = world.cloud.gate();
    let dynamodb = gate.before("dynamodb", &world.cloud.endpoints().dynamodb).await.unwrap();
    let event = json!({});
    for number in 1..20 {
        gate.fail(number, GateMode::KillBefore);
        let vars = Vars::from_iter([
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.as_str()),
            ("AWS_MAX_ATTEMPTS", "1"),
            ("CLAZAR_CONCURRENCY", "1"),
        ]);
        let functions = Functions::new(vars.or(world.cloud.vars()));
        let at = now() + chrono::TimeDelta::minutes(number.try_into().unwrap());
        let before = world.ledger.submissions(&plan(), month("2026-09")).await.unwrap();
        tokio::select! {
            _ = functions.invoke("meter-clazar", &event, "test", at) => {}
            () = gate.died() => gate.recover(),
        }
        // whatever was sent had been recorded as sent before
        let after = world.ledger.submissions(&plan(), month("2026-09")).await.unwrap();
        for (slot, _) in world.billed_for("2026-09") {
            let recorded = after.iter().chain(&before).find(|(line, _)| line.to_string() == slot).unwrap();
            assert!(recorded.1.submission.attempts > 0, "{slot}");
        }
    }
    world.invoke_at("2026-11-02T12:00:00Z", "meter-clazar", json!({})).await.unwrap();
    assert_eq!(world.billed_for("2026-09"), september());
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_not_taken_as_empty() {
    let world = usual(&[]).await;
    world.meter().await.unwrap();
    let broken = [
        ("pk", "METER#Postgres:PROD:pt-HJSv20iWX0"),
        ("sk", "CURSOR"),
        ("last_processed_month", "soon"),
        ("last_updated", "x"),
    ];
    let mut put = world.aws.dynamodb().put_item().table_name(local::TABLE);
    for (name, value) in broken {
        put = put.item(name, aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned()));
    }
    put.send().await.unwrap();
    let requests = world.clazar.metering_requests().len();
    let failure = world.meter_afresh().await.unwrap_err();
    assert!(
        failure.message.contains("is damaged: its last_processed_month: 'soon' is not a month"),
        "{}",
        failure.message
    );
    let failure = world.invoke("fetch-omnistrate", json!({})).await.unwrap_err();
    assert!(failure.message.contains("last_processed_month"), "{}", failure.message);
    assert_eq!(world.clazar.metering_requests().len(), requests);
}

#[tokio::test]
async fn sums_past_2_to_the_53_are_exact() {
    let world = metered(false).await;
    for hour in 0..4 {
        world
            .usage(&format!("2026/09/01/0{hour}/s.json"), &[("c1", "memory_byte_hours", "9007199254740993")])
            .await;
    }
    world.usage("2026/10/01/00/s.json", &[("c1", "memory_byte_hours", "36893488147419103232.5")]).await;
    world.meter().await.unwrap();
    assert_eq!(world.billed_for("2026-09"), table(&[("c1 memory_byte_hours", "36028797018963972")]));
    assert_eq!(world.billed_for("2026-10"), table(&[("c1 memory_byte_hours", "36893488147419103232")]));
}

/// Each way of failing, once within the retries of a run, and for as long as a whole run lasts.
#[tokio::test]
async fn every_way_in_which_clazar_fails_is_settled_by_the_next_run() {
    let kinds = [
        FaultKind::Status(500),
        FaultKind::Status(503),
        FaultKind::Status(401),
        FaultKind::Status(400),
        FaultKind::Status(403),
        FaultKind::Status(404),
        FaultKind::Status(429),
        FaultKind::RetryAfter(429, 0),
        FaultKind::RetryAfter(503, 0),
        Own(ClazarFault::DelayBeforeMs(2_000)),
        FaultKind::DelayMs(2_000),
        Own(ClazarFault::DropBefore),
        FaultKind::Drop,
        FaultKind::Html,
        Own(ClazarFault::Partial),
        Own(ClazarFault::UnknownDimension),
        Own(ClazarFault::ErrorsAsString),
        Own(ClazarFault::ErrorsAsList),
        Own(ClazarFault::ErrorsAsObjects),
        Own(ClazarFault::Reordered),
        Own(ClazarFault::Missing),
        Own(ClazarFault::OddStatus("queued".into())),
        FaultKind::Cut,
    ];
    let settled = kinds.iter().flat_map(|kind| [(kind.clone(), 1), (kind.clone(), 40)]).map(
        |(kind, times)| async move {
            let world = usual(&[("HTTP_ATTEMPTS", "2"), ("CLAZAR_TIMEOUT_MS", "300")]).await;
            world.clazar_fails(kind.clone(), times);
            let failed = world.meter().await;
            let harmless = matches!(kind, Own(ClazarFault::Reordered));
            if harmless {
                failed.unwrap();
            } else if times > 1 {
                let failure = failed.unwrap_err();
                assert!(!failure.message.is_empty());
                // no month closes with anything open
                assert_eq!(world.closed_through().await, "2026-08", "{kind:?}");
                let states = world.states("2026-09").await;
                assert!(states.iter().any(|state| !state.is_settled()), "{kind:?} {states:?}");
            }
            world.clazar.clear_faults();
            for _ in 0..3 {
                if world.meter_afresh().await.is_ok() {
                    break;
                }
            }
            assert_eq!(world.billed_for("2026-09"), september(), "{kind:?} x {times}");
            assert_eq!(world.billed_for("2026-10"), table(&[("c1 cpu", "1")]), "{kind:?} x {times}");
            assert_eq!(world.closed_through().await, "2026-10", "{kind:?} x {times}");
            let certificate = world.metering_certificate("2026-09").await;
            assert_eq!(certificate.status.to_string(), "matched", "{kind:?}: {}", certificate.explanation);
            assert!(
                certificate.submissions.iter().all(|line| !line.already_there),
                "{kind:?}: it was us who reported it"
            );
        },
    );
    for settled in settled {
        settled.await;
    }
}

#[tokio::test]
async fn a_quantity_that_may_be_held_is_sent_again_as_it_was() {
    let world = usual(&[("HTTP_ATTEMPTS", "1")]).await;
    world.clazar_fails(FaultKind::Drop, 3);
    world.meter().await.unwrap_err();
    assert_eq!(world.states("2026-09").await, [SubmissionState::Unknown; 4]);
    // more usage comes before anybody knows how it ended
    world.usage("2026/09/30/23/late.json", &[("c1", "cpu", "100")]).await;
    world.invoke_at("2026-11-03T06:00:00Z", "fetch-omnistrate", json!({})).await.unwrap();
    let report = world.meter_afresh().await.unwrap();
    assert_eq!(world.billed_for("2026-09"), september());
    assert_eq!(report["plans"][0]["months"][0]["late_usage"][0]["quantity"], "100");
    assert_eq!(world.metering_certificate("2026-09").await.dimensions["cpu"].late.to_string(), "100");
}

#[tokio::test]
async fn what_was_refused_for_certain_follows_new_usage() {
    let world = usual(&[]).await;
    world.clazar.register("c1", None);
    world.clazar.deactivate("c1");
    world.meter().await.unwrap_err();
    assert_eq!(world.standing("2026-09").await["c1 cpu"], "rejected 5");
    world.usage("2026/09/30/23/late.json", &[("c1", "cpu", "100.5")]).await;
    world.clazar.activate("c1");
    world.invoke_at("2026-11-03T06:00:00Z", "fetch-omnistrate", json!({})).await.unwrap();
    world.meter_afresh().await.unwrap();
    assert_eq!(world.billed_for("2026-09")["c1 cpu"], "105");
}

#[tokio::test]
async fn a_record_that_somebody_else_reported_is_accepted_and_said() {
    let world = usual(&[]).await;
    // somebody reported c1's cpu by hand
    world
        .clazar
        .hold(HeldRecord {
            contract_id: "c1".into(),
            dimension: "cpu".into(),
            hour: "2026-09-01T00:00:00Z".into(),
            quantity: "4".into(),
            cloud: "aws".into(),
            start_time: "2026-09-01T00:00:00Z".into(),
            end_time: "2026-09-30T23:59:59Z".into(),
            id: "by-hand".into(),
        })
        .unwrap();
    world.meter().await.unwrap();
    assert_eq!(world.billed_for("2026-09")["c1 cpu"], "4", "it is never sent twice");
    let certificate = world.metering_certificate("2026-09").await;
    let line = certificate
        .submissions
        .iter()
        .find(|line| line.contract.as_str() == "c1" && line.dimension.as_str() == "cpu")
        .unwrap();
    assert!(line.already_there);
}

#[tokio::test]
async fn negative_sums_are_held_and_stop_nobody_else() {
    let world = usual(&[]).await;
    world.usage("2026/09/02/00/s.json", &[("c2", "cpu", "-9")]).await;
    let failure = world.meter().await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "held");
    assert!(failure.message.contains("c2 cpu held: its sum is negative (-2)"), "{}", failure.message);
    assert_eq!(world.billed_for("2026-09"), table(&[("c1 cpu", "5"), ("c1 ram", "6"), ("c2 ram", "8")]));
    assert_eq!(world.billed_for("2026-10"), table(&[("c1 cpu", "1")]), "the next month is sent all the same");
    assert_eq!(world.closed_through().await, "2026-08");
}

#[tokio::test]
async fn a_month_without_usage_closes_only_where_that_is_allowed() {
    let world = metered(false).await;
    world.usage("2026/10/01/00/s.json", &[("c1", "cpu", "1")]).await;
    let counted = world.count().await;
    assert_eq!(counted["months"][0]["no_usage"], true);
    let failure = world.meter_afresh().await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "held");
    assert!(
        failure.message.contains(
            "the export holds no usage of this month; if that is right, set ALLOW_EMPTY_MONTHS=true"
        ),
        "{}",
        failure.message
    );
    assert_eq!(world.closed_through().await, "2026-08");
    world.invoke_with(&[("ALLOW_EMPTY_MONTHS", "true")], "meter-clazar", json!({})).await.unwrap();
    assert_eq!(world.closed_through().await, "2026-10");
}

#[tokio::test]
async fn a_month_that_has_not_begun_is_neither_counted_nor_metered() {
    let world = usual(&[]).await;
    for (function, event) in [
        ("fetch-omnistrate", json!({"month": "2026-12"})),
        ("meter-clazar", json!({"month": "2026-12"})),
        ("meter-clazar", json!({"month": "2026-12", "dry_run": true})),
    ] {
        let failure = world.invoke(function, event).await.unwrap_err();
        assert!(failure.message.contains("2026-12 has not begun"), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_month_that_the_export_has_not_completed_waits() {
    let world = usual(&[]).await;
    world.exported_to("2026-10-15T12:00:00Z").await;
    let counted = world.count().await;
    assert_eq!(counted["months"].as_array().unwrap().len(), 1);
    let failure = world.invoke("fetch-omnistrate", json!({"month": "2026-10"})).await.unwrap_err();
    assert!(
        failure.message.contains("2026-10 is not over, or the export does not say that it is complete"),
        "{}",
        failure.message
    );
    for (marker, part) in [("{}", "it says nothing of Postgres:PROD:pt-HJSv20iWX0"), ("{", "is not JSON")] {
        world
            .export
            .overwrite(OmnistrateExport::MARKER, marker.as_bytes().to_vec(), "application/json")
            .await
            .unwrap();
        let failure = world.invoke("fetch-omnistrate", json!({})).await.unwrap_err();
        assert!(
            failure.message.contains("last_success_export.json") && failure.message.contains(part),
            "{}",
            failure.message
        );
    }
}

#[tokio::test]
async fn wrong_credentials_are_named_before_anything_is_recorded_as_sent() {
    let world = usual(&[]).await;
    let failure = world.meter_with(&[("CLAZAR_CLIENT_SECRET", "dead-beef")]).await.unwrap_err();
    assert!(failure.message.contains("Clazar refused the credentials (401 Invalid client credentials.): check CLAZAR_CLIENT_ID and CLAZAR_CLIENT_SECRET"), "{}", failure.message);
    assert!(!failure.message.contains("dead-beef"));
    assert_eq!(world.states("2026-09").await, [SubmissionState::Planned; 4]);
    let nobody = world.cloud.vars().clone().without("CLAZAR_CLIENT");
    let missing = Functions::new(nobody).invoke("meter-clazar", &json!({}), "test", now()).await.unwrap_err();
    assert!(
        missing.message.contains("CLAZAR_CLIENT_ID is missing in the environment (or .env)"),
        "{}",
        missing.message
    );
    for (vars, part) in [
        (
            [("CLAZAR_API_URL", "http://127.0.0.1:9/metering/"), ("HTTP_ATTEMPTS", "2")],
            "Clazar cannot be reached at http://127.0.0.1:9: ",
        ),
        ([("CLAZAR_API_URL", "http://example.com/metering/"), ("HTTP_ATTEMPTS", "1")], "use https"),
        ([("SECRETS", "secretsmanager"), ("CLAZAR_SECRET_ARN", "nope")], "failed to read the secret nope"),
    ] {
        let failure = world.meter_with(&vars).await.expect_err(part);
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    assert_eq!(world.clazar.metering_requests().len(), 0);
    world.meter().await.unwrap();
    assert_eq!(world.billed_for("2026-09"), september());
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_again_when_it_is_refused() {
    let world = usual(&[]).await;
    let asked = |world: &World| {
        world.clazar.requests().iter().filter(|request| request.contains("/authenticate/")).count()
    };
    world.meter().await.unwrap();
    assert_eq!(asked(&world), 1);
    world.clazar.revoke_tokens();
    world.usage("2026/09/30/23/late.json", &[("c9", "cpu", "3")]).await;
    world.invoke_at("2026-11-03T06:00:00Z", "fetch-omnistrate", json!({})).await.unwrap();
    world.ledger.reopen_months(&plan(), month("2026-09"), "c9", "test", now()).await.unwrap();
    world.invoke("meter-clazar", json!({})).await.unwrap();
    assert_eq!(asked(&world), 2);
    assert_eq!(world.billed_for("2026-09")["c9 cpu"], "3");
}

#[tokio::test]
async fn a_document_that_is_no_snapshot_is_held() {
    let world = usual(&[]).await;
    let key = |name: &str| format!("usage/omnistrate/Postgres/PROD/pt-HJSv20iWX0/2026-09/{name}.json");
    let hash = billing::revision::Revision::of(b"{}").to_string();
    world.bucket.overwrite(&key(&hash), b"{}".to_vec(), "application/json").await.unwrap();
    world.bucket.overwrite(&key("0123456789abcdef"), b"{}".to_vec(), "application/json").await.unwrap();
    for (name, part) in
        [(hash.as_str(), "is no usage snapshot"), ("0123456789abcdef", "its content has the hash")]
    {
        let failure = world.invoke("meter-clazar", json!({"key": key(name)})).await.unwrap_err();
        assert_eq!(failure.outcome.to_string(), "held");
        assert!(failure.message.contains(part), "{}", failure.message);
        let reason: Value =
            serde_json::from_slice(&world.read(&format!("held/{}.reason.json", key(name))).await).unwrap();
        assert_eq!(reason["document"], key(name));
    }
    let failure = world.invoke("meter-clazar", json!({"key": "usage/../x"})).await.unwrap_err();
    assert!(failure.message.contains("is not the key of a usage snapshot"), "{}", failure.message);
    let failure = world.invoke("meter-clazar", json!({"key": key("ffffffffffffffff")})).await.unwrap_err();
    assert!(failure.message.contains("there is no object"), "{}", failure.message);
    world.meter().await.unwrap();
    assert_eq!(world.billed_for("2026-09"), september());
}
