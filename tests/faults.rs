//! Every outside call of a story fails once in every way; redelivery must come to the undisturbed end.
//!
//! One harness for all stories: a [`Tale`] says how its world begins and what happens in it. It is told once undisturbed, and before each delivery what
//! stands is kept. A trial begins with what stood before the delivery whose call fails, and is told until what stands is again what stood at that place
//! undisturbed, or to the end. (That what stood leads to the undisturbed end is a test of its own.) With `FAULTS=all` every trial is told to the end.

/// A test for each way, so that they run side by side. What was done although nobody heard of it is swept always, and every call once in one
/// of the other ways; each of those alone at night (`make nightly`).
macro_rules! sweeps {
    ($tale:ident) => {
        /// That of the module.
        const NAME: &str = module_path!();

        #[tokio::test]
        async fn what_stood_before_each_delivery_leads_to_the_same_end() {
            resume_everywhere(NAME, &$tale).await;
        }

        #[tokio::test]
        async fn a_call_that_is_not_done_in_each_way_in_turn() {
            sweep_in_turn(NAME, &$tale).await;
        }

        #[tokio::test]
        #[ignore = "takes minutes: make nightly"]
        async fn a_call_that_answers_with_an_error() {
            sweep(NAME, &$tale, GateMode::Error).await;
        }

        #[tokio::test]
        #[ignore = "takes minutes: make nightly"]
        async fn a_call_that_is_throttled() {
            sweep(NAME, &$tale, GateMode::Throttle).await;
        }

        #[tokio::test]
        #[ignore = "takes minutes: make nightly"]
        async fn a_call_that_is_never_answered() {
            sweep(NAME, &$tale, GateMode::Silence).await;
        }

        #[tokio::test]
        #[ignore = "takes minutes: make nightly"]
        async fn a_call_whose_connection_breaks_before_it_is_done() {
            sweep(NAME, &$tale, GateMode::DropBefore).await;
        }

        #[tokio::test]
        async fn a_call_whose_connection_breaks_after_it_is_done() {
            sweep(NAME, &$tale, GateMode::DropAfter).await;
        }

        #[tokio::test]
        #[ignore = "takes minutes: make nightly"]
        async fn a_process_killed_before_a_call() {
            sweep(NAME, &$tale, GateMode::KillBefore).await;
        }

        #[tokio::test]
        async fn a_process_killed_after_a_call() {
            sweep(NAME, &$tale, GateMode::KillAfter).await;
        }
    };
}

mod atlas;
mod aws;
mod aws_cost_explorer;
mod azure;
mod bills;
mod brought;
mod ccx;
mod datastores;
mod gcp;
mod metering;
mod prometheus;
mod revenue;
mod teams;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use cloud::invocation::Failure;
use cloud::ledger::RunOutcome;
use cloud::vars::Vars;
use futures::future::LocalBoxFuture;
use local::sandbox::Organisation;
use local::{Call, Functions, Gate, GateMode};
use serde_json::{Value, json};

use crate::world::{self, Saved, World, now, quick};

/// Deliveries of one event before the story counts as stuck.
const DELIVERIES: usize = 6;

/// A story whose calls are swept.
trait Tale {
    /// A story with fewer does not tell what it is meant to.
    fn least_calls(&self) -> usize;

    /// Its world.
    fn begin(&self) -> LocalBoxFuture<'static, World> {
        Box::pin(World::with(Organisation::recorded([]), false, quick()))
    }

    /// The variables of its functions; where the services are, the harness says.
    fn vars(&self, world: &World) -> Vars {
        world.cloud.vars().clone()
    }

    /// What happens.
    fn steps(&self) -> Vec<Step>;

    /// How many minutes after the beginning a delivery of a schedule is; both are counted, from 1 and from 0.
    fn minutes(&self, _schedule: i64, _delivery: i64) -> i64 {
        0
    }

    /// Whether something is held in it: Lambda would try again, and it would be held again.
    fn holds(&self) -> bool {
        false
    }

    /// What a person does who is told of a failure, before it is delivered again.
    fn answer(&self, _world: &World, _event: &mut Value, _failure: &Failure) {}
}

/// What happens in a story, and how it is made to go on.
enum Step {
    /// Something outside.
    Act(Box<Deed>),
    /// A schedule: each is at a later time.
    Schedule(&'static str),
    /// An event.
    Deliver(&'static str, Value),
    /// The notifications that wait, and those that they lead to.
    Follow,
}

type Deed = dyn for<'w> Fn(&'w World) -> LocalBoxFuture<'w, ()>;

fn act(does: impl for<'w> Fn(&'w World) -> LocalBoxFuture<'w, ()> + 'static) -> Step {
    Step::Act(Box::new(does))
}

/// A schedule, and the notifications that follow.
fn scheduled(function: &'static str) -> [Step; 2] {
    [Step::Schedule(function), Step::Follow]
}

/// Where exports of September are put.
const SEPTEMBER: &str = "raw/focus/acme/a-1/2026-09/export/";

/// An export of September: one account, a tax of none, a tag.
fn export(cost: &str) -> String {
    format!(
        "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,SubAccountId,Tags\n\
         {cost},{cost},USD,a-1,2026-09-01,Usage,Compute,one,\"{{\"\"team\"\": \"\"shop\"\"}}\"\n\
         1.5,1.5,USD,a-1,2026-09-01,Tax,Compute,,\n"
    )
}

/// A file of September comes into the bucket, under the key of its bill, and is followed.
fn uploaded(name: &'static str, content: String, minutes: i64) -> [Step; 2] {
    let upload = act(move |world| {
        let content = content.clone();
        Box::pin(async move {
            let mut upload = world.bucket.upload(format!("{SEPTEMBER}{name}"), "text/csv");
            upload = upload.fetched_at(now() + TimeDelta::minutes(minutes));
            upload.write(content.as_bytes()).await.unwrap();
            upload.finish().await.unwrap();
        })
    });
    [upload, Step::Follow]
}

/// A story, as far as it has been told.
struct Stage<'t> {
    tale: &'t dyn Tale,
    world: World,
    gate: Gate,
    vars: Vars,
    /// The step that is next.
    step: usize,
    /// Schedules so far.
    schedules: i64,
}

/// How long a call is waited for.
#[derive(Clone, Copy)]
enum Patience {
    /// Where one is not answered at all.
    Short,
    /// Else: on a machine that has much to do, a call may be slow that nobody disturbs.
    Long,
}

impl Patience {
    fn ms(self) -> &'static str {
        match self {
            Self::Short => "500",
            Self::Long => "60000",
        }
    }
}

/// What stood before a delivery.
struct Before {
    world: Saved,
    stands: BTreeMap<String, String>,
    calls: usize,
    step: usize,
    schedules: i64,
}

impl<'t> Stage<'t> {
    async fn new(tale: &'t dyn Tale, world: World, patience: Patience, step: usize, schedules: i64) -> Self {
        let gate = world.cloud.gate();
        let endpoints = world.cloud.endpoints();
        let google = endpoints.gcp.as_ref().unwrap();
        let before = async |service, url: &str| gate.before(service, url).await.unwrap();
        let azure = before("azure", endpoints.azure.as_ref().unwrap()).await;
        let billing = before("aws", endpoints.aws.as_ref().unwrap()).await;
        // one attempt a call and one call at a time: what fails reaches our code, always at the same place
        let vars = Vars::from_iter([
            ("AWS_ENDPOINT_URL_S3", before("s3", &endpoints.s3).await),
            ("AWS_ENDPOINT_URL_DYNAMODB", before("dynamodb", &endpoints.dynamodb).await),
            ("ATLAS_API_URL", before("atlas", endpoints.atlas.as_ref().unwrap()).await),
            ("CLAZAR_API_URL", before("clazar", endpoints.clazar.as_ref().unwrap()).await),
            ("CCX_API_URL", before("ccx", endpoints.ccx.as_ref().unwrap()).await),
            ("CCX_MONTHS", "1".into()),
            ("PROMETHEUS_URL", before("prometheus", endpoints.prometheus.as_ref().unwrap()).await),
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
            ("AWS_CALL_TIMEOUT_MS", patience.ms().into()),
            ("HTTP_READ_TIMEOUT_MS", patience.ms().into()),
            ("CLAZAR_TIMEOUT_MS", patience.ms().into()),
            ("OMNISTRATE_CONCURRENCY", "1".into()),
            ("CLAZAR_CONCURRENCY", "1".into()),
            ("REVENUE_CONCURRENCY", "1".into()),
            ("ORG_ID", "o1".into()),
        ])
        .or(&tale.vars(&world));
        Self { tale, world, gate, vars, step, schedules }
    }

    /// From what stood before a delivery.
    async fn from(tale: &'t dyn Tale, before: &Before, patience: Patience) -> Self {
        let world = World::resumed(&before.world).await;
        Self::new(tale, world, patience, before.step, before.schedules).await
    }

    /// Tells the rest; answers what stands at the end. Nothing, if the watcher saw enough before.
    async fn tell(&mut self, watcher: &mut Watcher<'_>) -> Option<BTreeMap<String, String>> {
        for step in self.tale.steps().into_iter().skip(self.step) {
            match step {
                Step::Act(does) => does(&self.world).await,
                Step::Schedule(function) => {
                    if watcher.has_seen_enough(self).await {
                        return None;
                    }
                    self.schedules += 1;
                    self.deliver(function, json!({})).await;
                }
                Step::Deliver(function, event) => {
                    if watcher.has_seen_enough(self).await {
                        return None;
                    }
                    self.deliver(function, event).await;
                }
                Step::Follow => {
                    while let Some((id, function, event)) = self.next_due() {
                        if watcher.has_seen_enough(self).await {
                            return None;
                        }
                        self.deliver(&function, event).await;
                        self.world.cloud.queue().delivered(id).unwrap();
                    }
                }
            }
            self.step += 1;
        }
        Some(self.world.state().await)
    }

    fn next_due(&self) -> Option<(i64, String, Value)> {
        self.world.cloud.queue().due().unwrap().into_iter().next()
    }

    fn at(&self, delivery: usize) -> DateTime<Utc> {
        now() + TimeDelta::minutes(self.tale.minutes(self.schedules, i64::try_from(delivery).unwrap()))
    }

    /// Delivers an event until it succeeds, in a new process each time, as Lambda may.
    async fn deliver(&self, function: &str, mut event: Value) {
        let mut last = String::new();
        for delivery in 0..DELIVERIES {
            let functions = Functions::new(self.vars.clone());
            let answer = tokio::select! {
                answer = functions.invoke(function, &event, "test", self.at(delivery)) => answer,
                () = self.gate.died() => {
                    self.gate.recover();
                    continue;
                }
            };
            let Err(failure) = answer else { return };
            if failure.outcome == RunOutcome::Held && self.tale.holds() {
                return;
            }
            self.tale.answer(&self.world, &mut event, &failure);
            last = failure.message;
        }
        panic!("{function} is stuck: {last}");
    }
}

/// Ways in which a call fails without being done. Our code sees an error each time, or nothing: which kind, the client decides that
/// all stories share.
const UNDONE: [GateMode; 5] =
    [GateMode::Error, GateMode::Throttle, GateMode::Silence, GateMode::DropBefore, GateMode::KillBefore];

/// Looks at what stands before each delivery.
enum Watcher<'k> {
    Idle,
    /// Keeps it.
    Keeps(Vec<Before>),
    /// Once as many calls were made, it has seen enough when what stands is what stood at that place undisturbed: what follows is the same.
    Waits {
        calls: usize,
        kept: &'k [Before],
    },
}

impl Watcher<'_> {
    async fn has_seen_enough(&mut self, stage: &Stage<'_>) -> bool {
        match self {
            Self::Idle => false,
            Self::Keeps(kept) => {
                kept.push(Before {
                    world: stage.world.save(),
                    stands: stage.world.stands().await,
                    calls: stage.gate.calls().len(),
                    step: stage.step,
                    schedules: stage.schedules,
                });
                false
            }
            Self::Waits { calls, kept } => {
                if stage.gate.calls().len() < *calls {
                    return false;
                }
                let stands = stage.world.stands().await;
                let is_same = |before: &Before| {
                    (before.step, before.schedules) == (stage.step, stage.schedules)
                        && before.stands == stands
                };
                kept.iter().any(is_same)
            }
        }
    }
}

fn to_the_end() -> bool {
    std::env::var("FAULTS").is_ok_and(|wanted| wanted == "all")
}

/// Every call fails once in that way.
async fn sweep(name: &str, tale: &dyn Tale, mode: GateMode) {
    sweep_in(name, tale, &format!("{mode:?}"), |_| mode).await;
}

/// Every call fails once, in the ways in turn; another story begins with another way.
async fn sweep_in_turn(name: &str, tale: &dyn Tale) {
    sweep_in(name, tale, "in turn", |number| UNDONE[(number + name.len()) % UNDONE.len()]).await;
}

/// A story that nothing disturbed: what stands at its end, what stood before each delivery, and its calls.
async fn undisturbed(tale: &dyn Tale) -> (BTreeMap<String, String>, Vec<Before>, Vec<Call>) {
    let mut stage = Stage::new(tale, tale.begin().await, Patience::Long, 0, 0).await;
    let mut watcher = Watcher::Keeps(Vec::new());
    let expected = stage.tell(&mut watcher).await.unwrap();
    let Watcher::Keeps(kept) = watcher else { unreachable!("it keeps") };
    let calls = stage.gate.calls();
    assert!(calls.len() > tale.least_calls(), "the story makes {} calls", calls.len());
    (expected, kept, calls)
}

/// From what was kept, the rest is told as if nothing had been between. The end is that of the snapshot: every key, every byte, every attribute.
async fn resume_everywhere(name: &str, tale: &dyn Tale) {
    let (expected, kept, calls) = undisturbed(tale).await;
    let lines: Vec<_> = expected.iter().map(|(what, is)| format!("{what}: {is}")).collect();
    let story = name.rsplit("::").next().unwrap();
    insta::assert_snapshot!(format!("end_of_{story}"), lines.join("\n"));
    for before in &kept {
        let mut stage = Stage::from(tale, before, Patience::Long).await;
        let end = stage.tell(&mut Watcher::Idle).await.unwrap();
        let found = world::differences(&end, &expected);
        assert!(found.is_empty(), "{name}, from call {}, undisturbed\n{}", before.calls, found.join("\n"));
        assert_eq!(before.calls + stage.gate.calls().len(), calls.len(), "{name}: as many calls");
    }
}

async fn sweep_in(name: &str, tale: &dyn Tale, way: &str, mode: impl Fn(usize) -> GateMode) {
    let (expected, kept, calls) = undisturbed(tale).await;
    let (mut differences, mut met) = (Vec::new(), 0);
    for (number, call) in (1..).zip(&calls) {
        let before = kept.iter().rfind(|before| before.calls < number).unwrap();
        let mode = mode(number);
        let patience = if mode == GateMode::Silence { Patience::Short } else { Patience::Long };
        let mut stage = Stage::from(tale, before, patience).await;
        let fails = number - before.calls;
        stage.gate.fail(fails, mode);
        let mut watcher =
            if to_the_end() { Watcher::Idle } else { Watcher::Waits { calls: fails, kept: &kept } };
        let Some(end) = stage.tell(&mut watcher).await else {
            met += 1;
            continue;
        };
        let found = world::differences(&end, &expected);
        if !found.is_empty() {
            differences.push(format!("{number}, {mode:?}: {call}\n{}", found.join("\n")));
        }
    }
    eprintln!(
        "{name}, {way}: {} calls swept, {met} met the undisturbed story, {} differences",
        calls.len(),
        differences.len()
    );
    assert!(differences.is_empty(), "{name}, {way}\n{}", differences.join("\n"));
}
