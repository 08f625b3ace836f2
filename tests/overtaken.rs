//! Somebody else acts between two calls of a function: what was read changes before it is written.

use billing::keys::FocusKey;
use chrono::{DateTime, TimeDelta, Utc};
use cloud::invocation::Failure;
use cloud::vars::Vars;
use local::{Call, Functions, Gate};
use serde_json::{Value, json};

use crate::prometheus::{october, states};
use crate::world::{World, example, now, quick};

async fn world() -> World {
    World::with(example(), false, quick()).await
}

/// The gate before the services that a function calls, and the variables that lead there. One call at a time.
async fn gated(world: &World) -> (Gate, Vars) {
    let (gate, endpoints) = (world.cloud.gate(), world.cloud.endpoints());
    let before = async |service, url: &str| gate.before(service, url).await.unwrap();
    let vars = Vars::from_iter([
        ("AWS_ENDPOINT_URL_S3", before("s3", &endpoints.s3).await),
        ("AWS_ENDPOINT_URL_DYNAMODB", before("dynamodb", &endpoints.dynamodb).await),
    ]);
    let vars = vars.or(world.cloud.vars());
    (gate, vars)
}

/// Runs a function, and lets others act before the first of its calls that is that one is done.
async fn overtaken(
    world: &World,
    function: &str,
    event: Value,
    call: impl Fn(&Call) -> bool + Send + 'static,
    others: impl AsyncFnOnce(),
) -> Result<Value, Failure> {
    let (gate, vars) = gated(world).await;
    let mut held = gate.hold(call);
    let functions = Functions::new(vars);
    let mut run = Box::pin(functions.invoke(function, &event, "test", now()));
    tokio::select! {
        answer = &mut run => panic!("it made no such call, but {:?}: {answer:?}", gate.calls()),
        () = held.came() => {}
    }
    Box::pin(others()).await;
    drop(held);
    run.await
}

/// Lets somebody else act before each call of a function, in a world of its own each time, and looks what stands once both are done. The function may
/// fail: what was read has changed.
async fn at_every_call(
    begin: impl AsyncFn() -> World,
    function: &str,
    event: Value,
    others: impl AsyncFn(&World),
    check: impl AsyncFn(&World, usize),
) {
    for number in 1.. {
        let world = Box::pin(begin()).await;
        let (gate, vars) = gated(&world).await;
        let mut held = gate.hold_nth(number);
        let functions = Functions::new(vars);
        let mut run = Box::pin(functions.invoke(function, &event, "test", now()));
        let is_over = tokio::select! {
            _ = &mut run => true,
            () = held.came() => false,
        };
        Box::pin(others(&world)).await;
        drop(held);
        if !is_over {
            let _ = run.await;
        }
        Box::pin(check(&world, number)).await;
        if is_over {
            assert!(number > 4, "it makes {} calls", number - 1);
            return;
        }
    }
}

fn is_put_of(call: &Call, prefix: &str) -> bool {
    call.service == "s3" && call.method == "PUT" && call.path.contains(prefix)
}

/// Where an export of September is put.
const SEPTEMBER: &str = "raw/focus/acme/a-1/2026-09/export/september.csv";

/// An export of September that comes to that.
fn export(cost: &str) -> String {
    format!(
        "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,SubAccountId\n\
         {cost},{cost},USD,a-1,2026-09-01,Usage,Compute,one\n"
    )
}

async fn put_noted(world: &World, key: &str, bytes: &str, noted: DateTime<Utc>) {
    let mut upload = world.bucket.upload(key.to_owned(), "text/csv").fetched_at(noted);
    upload.write(bytes.as_bytes()).await.unwrap();
    upload.finish().await.unwrap();
}

/// Somebody overwrites the export, and it is allocated.
async fn overwrites(world: &World, cost: &str, noted: DateTime<Utc>) {
    put_noted(world, SEPTEMBER, &export(cost), noted).await;
    world.invoke("allocate", json!({"key": SEPTEMBER})).await.unwrap();
}

/// What counts of September: rows, the newest revision's charges, and the month, which must say the same.
async fn counts(world: &World) -> String {
    let invoice = FocusKey::parse(SEPTEMBER).unwrap().invoice;
    let certificate = world.certificate(&invoice).await;
    let rows = String::from_utf8(world.read(&invoice.allocations()).await).unwrap();
    let total = certificate.charges_total.to_string();
    assert!(rows.trim_end().ends_with(&format!(",{total}.00")), "{total}: {rows}");
    let newest = world.ledger.revisions(&invoice).await.unwrap().pop().unwrap();
    assert_eq!(newest.revision, certificate.subject.revision, "the last of the revisions");
    let period = world.ledger.period(&invoice).await.unwrap().unwrap();
    assert_eq!(period.invoices["export"].revision, newest.revision);
    assert_eq!(period.invoices["export"].held, None);
    total
}

/// An allocation of 10 that is overtaken by one of 20, whose noted time is that.
async fn ten_overtaken_by_twenty(
    noted: DateTime<Utc>,
    call: impl Fn(&Call) -> bool + Send + 'static,
) -> World {
    let world = world().await;
    put_noted(&world, SEPTEMBER, &export("10"), now()).await;
    let others = async || overwrites(&world, "20", noted).await;
    let answer = overtaken(&world, "allocate", json!({"key": SEPTEMBER}), call, others).await;
    answer.unwrap();
    world
}

/// Times that are noted on the overwriting upload: later, at the same moment, and by a clock that was set back.
fn noted() -> [DateTime<Utc>; 3] {
    [now() + TimeDelta::minutes(1), now(), now() - TimeDelta::days(1)]
}

#[tokio::test]
async fn an_upload_that_is_overwritten_while_it_is_read_does_not_count_after_its_successor() {
    for noted in noted() {
        // its bytes are taken in, and nothing was looked up yet
        let is_first_look = |call: &Call| call.service == "dynamodb";
        let world = Box::pin(ten_overtaken_by_twenty(noted, is_first_look)).await;
        assert_eq!(counts(&world).await, "20", "{noted}");
    }
}

#[tokio::test]
async fn an_upload_that_is_overwritten_at_any_call_of_its_allocation_does_not_count_after_its_successor() {
    let begin = async || {
        let world = world().await;
        put_noted(&world, SEPTEMBER, &export("10"), now()).await;
        world
    };
    let set_back = now() - TimeDelta::days(1);
    let others = async |world: &World| overwrites(world, "20", set_back).await;
    let check = async |world: &World, number| assert_eq!(counts(world).await, "20", "call {number}");
    at_every_call(begin, "allocate", json!({"key": SEPTEMBER}), others, check).await;
}

#[tokio::test]
async fn a_driver_of_an_older_answer_does_not_replace_one_that_came_meanwhile() {
    let world = world().await;
    let others = async || {
        world.prometheus.amend();
        world.fetch_prometheus(october()).await.unwrap();
    };
    let is_written = |call: &Call| is_put_of(call, "/drivers/cpu-share/");
    let report = overtaken(&world, "fetch-prometheus", october(), is_written, others).await.unwrap();
    assert_eq!(states(&report), ["unchanged"; 3]);
    let driver = world.read("drivers/cpu-share/2026-10.json").await;
    let newest = world.fetch_prometheus(october()).await.unwrap();
    assert_eq!(states(&newest), ["unchanged"; 3]);
    assert_eq!(report["drivers"][0]["quantities"], newest["drivers"][0]["quantities"]);
    assert_eq!(world.read("drivers/cpu-share/2026-10.json").await, driver);
}
