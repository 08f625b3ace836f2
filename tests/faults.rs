//! Every outside call of the Atlas story fails once in every way; redelivery must come to the undisturbed end.

use std::collections::BTreeMap;

use cloud::vars::Vars;
use local::sandbox::Organisation;
use local::{Functions, Gate, GateMode};
use serde_json::{Value, json};

use crate::world::{self, World, now, quick};

/// Deliveries of one event before the story counts as stuck.
const DELIVERIES: usize = 6;

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

struct Story {
    world: World,
    gate: Gate,
    vars: Vars,
}

impl Story {
    async fn begin() -> Self {
        let first = Organisation::recorded([open(), revision(500, "2026-11-02T00:00:00Z")]);
        let world = World::with(first, false, quick()).await;
        let gate = Gate::default();
        let endpoints = world.cloud.endpoints();
        // one attempt a call: what fails reaches our code
        let vars = Vars::from_iter([
            ("AWS_ENDPOINT_URL_S3", gate.before("s3", &endpoints.s3).await.unwrap()),
            ("AWS_ENDPOINT_URL_DYNAMODB", gate.before("dynamodb", &endpoints.dynamodb).await.unwrap()),
            ("ATLAS_API_URL", gate.before("atlas", endpoints.atlas.as_ref().unwrap()).await.unwrap()),
            ("AWS_MAX_ATTEMPTS", "1".into()),
            ("HTTP_ATTEMPTS", "1".into()),
            ("AWS_CALL_TIMEOUT_MS", "1000".into()),
            ("HTTP_READ_TIMEOUT_MS", "1000".into()),
            ("ORG_ID", "o1".into()),
        ])
        .or(world.cloud.vars());
        Self { world, gate, vars }
    }

    /// The whole story: a fetch and what follows, a restatement, another fetch and what follows.
    async fn tell(&self) -> BTreeMap<String, String> {
        self.month().await;
        self.world.atlas.replace(Organisation::recorded([open(), revision(620, "2026-11-09T00:00:00Z")]));
        self.month().await;
        self.world.state().await
    }

    async fn month(&self) {
        self.deliver("fetch-atlas", &json!({})).await;
        loop {
            let due = self.world.cloud.queue().due().unwrap();
            if due.is_empty() {
                return;
            }
            for (file, function, event) in due {
                self.deliver(&function, &event).await;
                self.world.cloud.queue().delivered(&file).unwrap();
            }
        }
    }

    /// Delivers an event until it succeeds, in a new process each time, as Lambda may.
    async fn deliver(&self, function: &str, event: &Value) {
        let mut last = String::new();
        for _ in 0..DELIVERIES {
            let functions = Functions::new(self.vars.clone());
            let answer = tokio::select! {
                answer = functions.invoke(function, event, "test", now()) => answer,
                () = self.gate.died() => {
                    self.gate.recover();
                    continue;
                }
            };
            match answer {
                Ok(_) => return,
                Err(failure) => last = failure.message,
            }
        }
        panic!("{function} is stuck: {last}");
    }
}

async fn sweep(mode: GateMode) {
    let undisturbed = Story::begin().await;
    let expected = undisturbed.tell().await;
    let calls = undisturbed.gate.calls();
    assert!(calls.len() > 50, "the story makes {} calls", calls.len());
    let mut differences = Vec::new();
    for number in 1..=calls.len() {
        let story = Story::begin().await;
        story.gate.fail(number, mode);
        let found = world::differences(&story.tell().await, &expected);
        if !found.is_empty() {
            differences.push(format!("{number}: {}\n{}", calls[number - 1], found.join("\n")));
        }
    }
    eprintln!("{mode:?}: {} calls swept, {} differences", calls.len(), differences.len());
    assert!(differences.is_empty(), "{mode:?}\n{}", differences.join("\n"));
}

#[tokio::test]
async fn a_call_that_answers_with_an_error() {
    sweep(GateMode::Error).await;
}

#[tokio::test]
async fn a_call_that_is_throttled() {
    sweep(GateMode::Throttle).await;
}

#[tokio::test]
async fn a_call_that_is_never_answered() {
    sweep(GateMode::Silence).await;
}

#[tokio::test]
async fn a_call_whose_connection_breaks_before_it_is_done() {
    sweep(GateMode::DropBefore).await;
}

#[tokio::test]
async fn a_call_whose_connection_breaks_after_it_is_done() {
    sweep(GateMode::DropAfter).await;
}

#[tokio::test]
async fn a_process_killed_before_a_call() {
    sweep(GateMode::KillBefore).await;
}

#[tokio::test]
async fn a_process_killed_after_a_call() {
    sweep(GateMode::KillAfter).await;
}
