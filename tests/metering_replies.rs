//! What Clazar answers, and what may be made of it: an entry is taken for a record that it names, or for that in its place where no entry
//! names any. Nothing else is acceptance, its words are kept, and an answer that came is not asked for twice in one run.

use std::collections::BTreeMap;

use billing::certificate::Status;
use billing::metering::SubmissionState;
use chrono::Utc;
use cloud::invocation::Failure;
use local::sandbox::ClazarFault;
use local::sandbox::FaultKind::{self, Own};
use serde_json::{Value, json};

use crate::metering_failures::{september, usual};
use crate::metering_world::{metered_with, month, plan, table};
use crate::world::World;

/// The service's last words on each submission of September, by `contract dimension`.
async fn words(world: &World) -> BTreeMap<String, String> {
    let submissions = world.ledger.submissions(&plan(), month("2026-09")).await.unwrap();
    let said = submissions.into_values().map(|stored| {
        let reply = stored.submission.reply.unwrap_or_default();
        (stored.submission.line.to_string(), reply.to_string())
    });
    said.collect()
}

#[tokio::test]
async fn entries_that_name_no_record_are_taken_in_the_order_of_the_request() {
    let world = usual(&[]).await;
    world.clazar.deactivate("c2");
    world.clazar_fails(ClazarFault::Nameless, 40);
    let failure = world.meter().await.unwrap_err();
    let refused = "c2 cpu rejected: API1001: Invalid contract: Contract is not active";
    assert!(failure.message.contains(refused), "{}", failure.message);
    assert_eq!(
        world.standing("2026-09").await,
        table(&[
            ("c1 cpu", "accepted 5"),
            ("c1 ram", "accepted 6"),
            ("c2 cpu", "rejected 7"),
            ("c2 ram", "rejected 8")
        ])
    );
    for said in words(&world).await.values() {
        assert!(said.ends_with("by its place in the reply, in which no entry names a record"), "{said}");
    }
    world.clazar.activate("c2");
    world.meter_afresh().await.unwrap();
    assert_eq!(world.billed_for("2026-09"), september());
    assert_eq!(world.closed_through().await, "2026-10");
    let certificate = world.metering_certificate("2026-09").await;
    assert_eq!(certificate.status, Status::Matched);
    assert!(certificate.submissions.iter().all(|line| !line.already_there));
    let told = "4 submissions accepted by their place in a reply that names no record";
    assert!(certificate.explanation.contains(told), "{}", certificate.explanation);
}

#[tokio::test]
async fn nameless_errors_are_refusals_and_their_words_are_shown() {
    let world = usual(&[]).await;
    world.clazar_fails(ClazarFault::NamelessErrors, 40);
    let failure = world.meter().await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "held");
    assert!(failure.message.contains("Contract is not active"), "{}", failure.message);
    assert_eq!(world.states("2026-09").await, [SubmissionState::Rejected; 4]);
    // nothing is held for certain, and so the newest usage is sent
    world.clazar.clear_faults();
    world.usage("2026/09/30/23/late.json", &[("c1", "cpu", "100")]).await;
    world.invoke_at("2026-11-03T06:00:00Z", "fetch-omnistrate", json!({})).await.unwrap();
    world.meter_afresh().await.unwrap();
    assert_eq!(world.billed_for("2026-09")["c1 cpu"], "105");
}

#[tokio::test]
async fn a_nameless_already_there_settles_what_was_unknown() {
    let world = usual(&[("HTTP_ATTEMPTS", "1")]).await;
    world.clazar_fails(FaultKind::Drop, 3);
    world.meter().await.unwrap_err();
    assert_eq!(world.states("2026-09").await, [SubmissionState::Unknown; 4]);
    world.clazar_fails(ClazarFault::Nameless, 40);
    world.meter_afresh().await.unwrap();
    assert_eq!(world.states("2026-09").await, [SubmissionState::Accepted; 4]);
    assert_eq!(world.billed_for("2026-09"), september());
    let certificate = world.metering_certificate("2026-09").await;
    assert!(certificate.submissions.iter().all(|line| !line.already_there), "it was us who reported it");
}

#[tokio::test]
async fn an_answer_that_fits_no_record_accepts_none_and_its_words_are_kept() {
    use SubmissionState::{Accepted, Unknown};

    let cases = [
        (Own(ClazarFault::NamelessMissing), [Unknown; 4], "what fits no record: success"),
        (
            Own(ClazarFault::NamelessButFirst),
            [Accepted, Unknown, Accepted, Unknown],
            "what fits no record: success",
        ),
        (
            Own(ClazarFault::OtherRecord("The plan is locked".into())),
            [Unknown; 4],
            "what fits no record: somebody-else something-else: error: The plan is locked",
        ),
        (Own(ClazarFault::Message("The quota is used up".into())), [Unknown; 4], "The quota is used up"),
    ];
    for (kind, states, part) in cases {
        let world = usual(&[]).await;
        world.clazar_fails(kind.clone(), 40);
        let failure = world.meter().await.unwrap_err();
        assert!(failure.message.contains(part), "{kind:?}: {}", failure.message);
        let report = failure.report.unwrap();
        let problems = report["plans"][0]["months"][0]["problems"].as_array().unwrap().clone();
        assert!(problems.iter().all(|problem| problem["why"].as_str().unwrap().contains(part)), "{kind:?}");
        assert_eq!(world.states("2026-09").await, states, "{kind:?}");
        assert!(words(&world).await.values().all(|said| said.contains(part)), "{kind:?}");
        assert_eq!(world.closed_through().await, "2026-08", "{kind:?}");
        world.clazar.clear_faults();
        world.meter_afresh().await.unwrap();
        assert_eq!(world.billed_for("2026-09"), september(), "{kind:?}");
        assert_eq!(world.closed_through().await, "2026-10", "{kind:?}");
    }
}

/// As `monthend metering run` does it: counting brings news of two months, each delivered three times if it fails; then what is open is sent.
async fn run(world: &World) -> Result<Value, Failure> {
    let began = Utc::now();
    world.count().await;
    world.quiet().await;
    let event = json!({"scheduled_time": began});
    world.cloud.functions().invoke("meter-clazar", &event, "test", Utc::now()).await
}

/// How many requests to Clazar each record was in.
fn sent(world: &World) -> BTreeMap<String, usize> {
    let mut sent = BTreeMap::new();
    for request in world.clazar.metering_requests() {
        for record in request["request"].as_array().unwrap() {
            let fields =
                ["contract_id", "dimension", "start_time"].map(|field| record[field].as_str().unwrap());
            *sent.entry(fields.join(" ")).or_default() += 1;
        }
    }
    sent
}

async fn following(vars: &[(&str, &str)]) -> World {
    let world = metered_with(true, vars).await;
    world.usage("2026/09/01/00/s.json", &[("c1", "cpu", "5"), ("c1", "ram", "6"), ("c2", "cpu", "7")]).await;
    world.usage("2026/10/01/00/s.json", &[("c1", "cpu", "1")]).await;
    world
}

#[tokio::test]
async fn in_one_run_a_record_that_was_answered_is_not_sent_again() {
    for kind in [
        Own(ClazarFault::Message("The quota is used up".into())),
        FaultKind::Html,
        FaultKind::Cut,
        Own(ClazarFault::Missing),
        Own(ClazarFault::NamelessMissing),
        Own(ClazarFault::NamelessErrors),
        Own(ClazarFault::OtherRecord("locked".into())),
        Own(ClazarFault::OddStatus("pending".into())),
        Own(ClazarFault::ErrorsAsList),
        FaultKind::Status(400),
        FaultKind::Status(404),
    ] {
        let world = following(&[("HTTP_ATTEMPTS", "3")]).await;
        world.clazar_fails(kind.clone(), 1_000);
        run(&world).await.unwrap_err();
        let once = sent(&world);
        assert_eq!(once.len(), 4, "{kind:?}");
        assert!(once.values().all(|times| *times == 1), "{kind:?}: {once:?}");
        // the next run asks again, once
        run(&world).await.unwrap_err();
        let twice = sent(&world);
        assert!(twice.values().all(|times| *times <= 2), "{kind:?}: {twice:?}");
        assert!(twice.values().any(|times| *times == 2), "{kind:?}: {twice:?}");
        world.clazar.clear_faults();
        run(&world).await.unwrap();
        assert_eq!(world.billed_for("2026-09"), table(&[("c1 cpu", "5"), ("c1 ram", "6"), ("c2 cpu", "7")]));
        assert_eq!(world.closed_through().await, "2026-10", "{kind:?}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_within_the_run() {
    for kind in [FaultKind::Status(503), FaultKind::Status(429), FaultKind::Drop] {
        let world = following(&[("HTTP_ATTEMPTS", "1")]).await;
        world.clazar_fails(kind.clone(), 4);
        run(&world).await.unwrap();
        assert_eq!(world.closed_through().await, "2026-10", "{kind:?}");
        assert!(sent(&world).values().all(|times| *times <= 7), "{kind:?}");
    }
}

#[tokio::test]
async fn new_usage_of_a_refused_record_is_sent_when_it_comes() {
    let world = following(&[]).await;
    world.clazar.deactivate("c2");
    run(&world).await.unwrap_err();
    world.clazar.activate("c2");
    world.usage("2026/09/30/23/late.json", &[("c2", "cpu", "100")]).await;
    world.invoke_at("2026-11-03T06:00:00Z", "fetch-omnistrate", json!({})).await.unwrap();
    world.quiet().await;
    assert_eq!(world.billed_for("2026-09")["c2 cpu"], "107");
}
