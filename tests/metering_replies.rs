//! What Clazar answers, and what may be made of it: an entry is taken for a record that it names, or for that in its place where no entry
//! names any. Nothing else is acceptance, and its words are kept.

use std::collections::BTreeMap;

use billing::certificate::Status;
use billing::metering::SubmissionState;
use local::sandbox::ClazarFaultKind;
use serde_json::json;

use crate::metering_failures::{fault, september, usual};
use crate::metering_world::{month, plan, table};
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
    world.clazar.fail(fault(ClazarFaultKind::Nameless, 40));
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
    world.clazar.fail(fault(ClazarFaultKind::NamelessErrors, 40));
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
    world.clazar.fail(fault(ClazarFaultKind::DropAfter, 3));
    world.meter().await.unwrap_err();
    assert_eq!(world.states("2026-09").await, [SubmissionState::Unknown; 4]);
    world.clazar.fail(fault(ClazarFaultKind::Nameless, 40));
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
        (ClazarFaultKind::NamelessMissing, [Unknown; 4], "what fits no record: success"),
        (
            ClazarFaultKind::NamelessButFirst,
            [Accepted, Unknown, Accepted, Unknown],
            "what fits no record: success",
        ),
        (
            ClazarFaultKind::OtherRecord("The plan is locked".into()),
            [Unknown; 4],
            "what fits no record: somebody-else something-else: error: The plan is locked",
        ),
        (ClazarFaultKind::Message("The quota is used up".into()), [Unknown; 4], "The quota is used up"),
    ];
    for (kind, states, part) in cases {
        let world = usual(&[]).await;
        world.clazar.fail(fault(kind.clone(), 40));
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
