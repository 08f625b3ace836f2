//! Somebody else acts between two calls of a function: what was read changes before it is written.

use std::collections::BTreeMap;

use billing::keys::{FocusKey, RawDocumentKey};
use billing::metering::SubmissionState;
use billing::revision::Revision;
use chrono::{DateTime, TimeDelta, Utc};
use cloud::datastores::{BASES, PARTS};
use cloud::invocation::Failure;
use cloud::ledger::{RevisionRecord, Subject};
use cloud::vars::Vars;
use local::{Call, Functions, Gate};
use serde_json::{Value, json};

use crate::ccx;
use crate::datastores_world::{platform, running};
use crate::metering_world::{metered, plan};
use crate::prometheus::{october, states};
use crate::revenue::{payment, selling};
use crate::teams_failures::september;
use crate::teams_world::{ACME, CATALOG, billed, inputs, totals};
use crate::world::{World, assert_same, example, now, quick};

async fn world() -> World {
    World::with(example(), false, quick()).await
}

/// The gate before the services that a function calls, and the variables that lead there. One call at a time.
pub(crate) async fn gated(world: &World) -> (Gate, Vars) {
    let (gate, endpoints) = (world.cloud.gate(), world.cloud.endpoints());
    let before = async |service, url: &str| gate.before(service, url).await.unwrap();
    let vars = Vars::from_iter([
        ("AWS_ENDPOINT_URL_S3", before("s3", &endpoints.s3).await),
        ("AWS_ENDPOINT_URL_DYNAMODB", before("dynamodb", &endpoints.dynamodb).await),
        ("CLAZAR_API_URL", before("clazar", endpoints.clazar.as_ref().unwrap()).await),
        ("AWS_ENDPOINT_URL_SESV2", before("ses", endpoints.ses.as_ref().unwrap()).await),
        ("CLAZAR_CONCURRENCY", "1".into()),
        ("CLAZAR_TIMEOUT_MS", "60000".into()),
        ("OMNISTRATE_CONCURRENCY", "1".into()),
        ("REVENUE_CONCURRENCY", "1".into()),
    ]);
    let vars = vars.or(&inputs()).or(world.cloud.vars());
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
pub(crate) fn export(cost: &str) -> String {
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

/// An invoice of Atlas of one project, in a version that was updated on that day of November.
pub(crate) fn invoice(cents: i64, day: u32) -> (String, Vec<u8>) {
    let line = json!({"groupId": "a", "groupName": "a", "sku": "X", "totalPriceCents": cents});
    let document = json!({
        "id": "i1", "orgId": "o1", "statusName": "CLOSED", "updated": format!("2026-11-{day:02}T00:00:00Z"),
        "startDate": "2026-10-01T00:00:00Z", "endDate": "2026-11-01T00:00:00Z", "subtotalCents": cents, "lineItems": [line],
    })
    .to_string()
    .into_bytes();
    (format!("raw/atlas/o1/2026-10/i1/{}.json", Revision::of(&document)), document)
}

async fn invoice_arrives(world: &World, (key, document): &(String, Vec<u8>)) {
    world.put_raw(key, document, "2026-11-20T00:00:00Z").await;
    world.invoke("allocate", json!({"key": key})).await.unwrap();
}

#[tokio::test]
async fn an_invoice_that_is_amended_at_any_call_of_its_allocation_ends_as_if_one_came_after_the_other() {
    let (old, new) = (invoice(500, 2), invoice(700, 5));
    let in_order = world().await;
    invoice_arrives(&in_order, &old).await;
    invoice_arrives(&in_order, &new).await;
    let expected = in_order.state().await;
    let begin = async || {
        let world = world().await;
        world.put_raw(&old.0, &old.1, "2026-11-20T00:00:00Z").await;
        world
    };
    let others = async |world: &World| invoice_arrives(world, &new).await;
    let check = async |world: &World, _| assert_same(&world.state().await, &expected);
    at_every_call(begin, "allocate", json!({"key": old.0}), others, check).await;
}

const EVENTS: &str = "datastores/2026-10/k.jsonl";

/// A file of events is read, and at each call of that it is replaced by another content; whether its reason stands at the end.
async fn replaced_while_read(before: &[String], after: &[String], is_held: bool) {
    let begin = async || {
        let world = platform(false).await;
        world.events("k.jsonl", before).await;
        world
    };
    let others = async |world: &World| {
        world.events("k.jsonl", after).await;
        let _ = world.invoke("record-usage", json!({"key": EVENTS})).await;
    };
    let check = async |world: &World, number| {
        let held = world.keys("held/").await;
        assert_eq!(!held.is_empty(), is_held, "call {number}: {held:?}");
        let held_files = &world.october().await["held_files"];
        assert_eq!(*held_files != Value::Null, is_held, "call {number}: {held_files}");
        if !is_held {
            assert_eq!(world.hours().await, [("orders".to_owned(), "48".to_owned())], "call {number}");
        }
    };
    at_every_call(begin, "record-usage", json!({"key": EVENTS}), others, check).await;
}

#[tokio::test]
async fn a_bad_file_of_events_that_is_corrected_at_any_call_of_its_reading_holds_nothing() {
    replaced_while_read(&["{}".to_owned()], &running("10-30T00:00", "orders"), false).await;
}

#[tokio::test]
async fn a_file_of_events_that_is_replaced_by_a_bad_one_at_any_call_of_its_reading_is_held() {
    replaced_while_read(&running("10-30T00:00", "orders"), &["{}".to_owned()], true).await;
}

async fn two_files_of_events() -> World {
    let world = platform(false).await;
    for (name, datastore) in [("a.jsonl", "orders"), ("b.jsonl", "carts")] {
        world.events(name, &running("10-30T00:00", datastore)).await;
        world.invoke("record-usage", json!({"key": format!("datastores/2026-10/{name}")})).await.unwrap();
    }
    world
}

#[tokio::test]
async fn events_that_come_at_any_call_of_putting_files_together_are_read() {
    let others = async |world: &World| {
        world.events("c.jsonl", &running("10-31T00:00", "users")).await;
        world.invoke("record-usage", json!({"key": "datastores/2026-10/c.jsonl"})).await.unwrap();
    };
    let check = async |world: &World, number| {
        let hours = [("carts", "48"), ("orders", "48"), ("users", "24")];
        let hours = hours.map(|(datastore, hours)| (datastore.to_owned(), hours.to_owned()));
        assert_eq!(world.hours().await, hours, "call {number}");
        world.invoke("record-usage", json!({})).await.unwrap();
        assert_eq!(world.hours().await, hours, "call {number}, put together");
    };
    at_every_call(two_files_of_events, "record-usage", json!({}), others, check).await;
}

#[tokio::test]
async fn files_that_are_put_together_twice_at_once_are_one_base_at_any_call() {
    let others = async |world: &World| {
        world.invoke("record-usage", json!({})).await.unwrap();
    };
    let check = async |world: &World, number| {
        let hours = [("carts", "48"), ("orders", "48")];
        let hours = hours.map(|(datastore, hours)| (datastore.to_owned(), hours.to_owned()));
        assert_eq!(world.hours().await, hours, "call {number}");
        world.invoke("record-usage", json!({})).await.unwrap();
        assert_eq!(world.keys(BASES).await.len(), 1, "call {number}");
        assert_eq!(world.keys(PARTS).await, Vec::<String>::new(), "call {number}");
    };
    at_every_call(two_files_of_events, "record-usage", json!({}), others, check).await;
}

pub(crate) async fn one_payment() -> World {
    let world = selling(false).await;
    world.put("journal/2026-10/a.jsonl", &payment("a", 1, "4.00")).await;
    world
}

async fn journal_grows(world: &World, text: &str) {
    world.put("journal/2026-10/b.jsonl", text).await;
    let _ = world.invoke("report-revenue", json!({"month": "2026-10"})).await;
}

#[tokio::test]
async fn a_journal_that_grows_at_any_call_of_its_report_is_reported_whole() {
    let in_order = one_payment().await;
    in_order.invoke("report-revenue", json!({"month": "2026-10"})).await.unwrap();
    journal_grows(&in_order, &payment("b", 2, "5.00")).await;
    let expected = in_order.state().await;
    let others = async |world: &World| journal_grows(world, &payment("b", 2, "5.00")).await;
    let check = async |world: &World, _| assert_same(&world.state().await, &expected);
    at_every_call(one_payment, "report-revenue", json!({"month": "2026-10"}), others, check).await;
}

#[tokio::test]
async fn a_bad_line_that_comes_at_any_call_of_a_report_holds_the_month() {
    let others = async |world: &World| journal_grows(world, "{}").await;
    let check = async |world: &World, number| {
        let note = world.read("held/reports/revenue/2026-10.reason.json").await;
        let note: Value = serde_json::from_slice(&note).unwrap();
        assert_eq!(note["status"], "held", "call {number}");
        assert_eq!(note["problems"][0]["file"], "journal/2026-10/b.jsonl", "call {number}");
    };
    at_every_call(one_payment, "report-revenue", json!({"month": "2026-10"}), others, check).await;
}

#[tokio::test]
async fn a_usage_report_that_changes_at_any_call_of_its_certification_is_the_newest() {
    let later = "2026-11-02T07:00:00Z";
    let others = async |world: &World| {
        world.ccx.amend();
        world.fetch_ccx_at(later, october()).await.unwrap();
    };
    let check = async |world: &World, number| {
        let raw = world.keys("raw/ccx/").await;
        let invoice = RawDocumentKey::parse(&raw[0]).unwrap().invoice;
        let latest = world.ledger.latest(Subject::Report(&invoice)).await.unwrap().unwrap();
        let records = world.ledger.revisions(Subject::Report(&invoice)).await.unwrap();
        let [old, new] = records.as_slice() else { panic!("call {number}: {records:?}") };
        assert_eq!(new.revision, latest, "call {number}");
        let certificate = |record: &RevisionRecord| json!(record.certificate_key);
        let (old, new) = (
            world.usage_certificate(&certificate(old)).await,
            world.usage_certificate(&certificate(new)).await,
        );
        assert_eq!(new.supersedes.unwrap().revision, old.subject.revision, "call {number}");
        assert_eq!(old.supersedes, None, "call {number}");
        // it is what the server says
        let again = world.fetch_ccx_at(later, october()).await.unwrap();
        assert_eq!(again["reports"][0]["state"], "already", "call {number}");
        assert!(again["reports"][0]["key"].as_str().unwrap().contains(latest.as_str()), "call {number}");
    };
    at_every_call(ccx::world, "fetch-ccx", october(), others, check).await;
}

async fn usage_of_two_months() -> World {
    let world = metered(false).await;
    world.exported_to("2026-10-31T23:59:59Z").await;
    world.usage("2026/09/01/00/s.json", &[("c1", "cpu", "5.75")]).await;
    world.usage("2026/09/02/00/s.json", &[("c1", "cpu", "1.5"), ("c2", "cpu", "7")]).await;
    world.usage("2026/10/01/00/s.json", &[("c1", "cpu", "0.5")]).await;
    world
}

#[tokio::test]
async fn usage_that_changes_at_any_call_of_its_count_is_the_newest() {
    let changes = async |world: &World| {
        world.usage("2026/09/01/00/s.json", &[("c1", "cpu", "6.25")]).await;
        world.invoke_at("2026-11-02T07:00:00Z", "fetch-omnistrate", json!({})).await.unwrap();
    };
    let newest = async |world: &World| {
        let usage = world.ledger.usage(&plan()).await.unwrap();
        usage.into_iter().map(|usage| (usage.month, usage.revision)).collect::<Vec<_>>()
    };
    let undisturbed = usage_of_two_months().await;
    changes(&undisturbed).await;
    let expected = newest(&undisturbed).await;
    let check = async |world: &World, number| assert_eq!(newest(world).await, expected, "call {number}");
    at_every_call(usage_of_two_months, "fetch-omnistrate", json!({}), changes, check).await;
}

/// What is billed of [`usage_of_two_months`], by somebody who is not disturbed.
async fn billed_once() -> BTreeMap<(String, String, String), String> {
    let world = usage_of_two_months().await;
    world.meter().await.unwrap();
    world.billed()
}

fn is_submission(call: &Call) -> bool {
    call.service == "clazar" && call.method == "POST" && call.path.contains("metering")
}

#[tokio::test]
async fn who_meters_while_somebody_else_does_sends_nothing() {
    let world = usage_of_two_months().await;
    world.count().await;
    let others = async || {
        let failure = world.invoke_with(&[("METER_LEASE_WAIT_MS", "0")], "meter-clazar", json!({})).await;
        let failure = failure.unwrap_err();
        assert!(failure.message.contains("another invocation"), "{failure}");
        assert_eq!(world.billed().len(), 0, "nothing was sent");
    };
    overtaken(&world, "meter-clazar", json!({}), is_submission, others).await.unwrap();
    assert_eq!(world.billed(), billed_once().await);
    assert_eq!(world.closed_through().await, "2026-10");
}

#[tokio::test]
async fn who_meters_for_longer_than_his_lease_lasts_bills_nothing_twice() {
    let world = usage_of_two_months().await;
    world.count().await;
    let others = async || {
        world.invoke_at("2026-11-02T06:10:00Z", "meter-clazar", json!({})).await.unwrap();
    };
    let _ = overtaken(&world, "meter-clazar", json!({}), is_submission, others).await;
    assert_eq!(world.billed(), billed_once().await);
    world.invoke_at("2026-11-02T06:20:00Z", "meter-clazar", json!({})).await.unwrap();
    assert_eq!(world.billed(), billed_once().await);
    assert_eq!(world.closed_through().await, "2026-10");
    assert!(world.states("2026-09").await.iter().all(|state| *state == SubmissionState::Accepted));
}

/// A run of September's bills that is overtaken by another one at that call.
async fn billed_twice_at_once(call: impl Fn(&Call) -> bool + Send + 'static) -> World {
    let world = billed(CATALOG).await;
    let others = async || drop(world.try_bill(september()).await);
    let _ = Box::pin(overtaken(&world, "bill", september(), call, others)).await;
    world
}

/// September is billed once, and nobody has two of all these mails.
async fn assert_billed_once(world: &World, mails: usize) {
    let last = world.bill(september()).await;
    assert_eq!(last["state"], "unchanged");
    assert_eq!(totals(&last), ["Team Blue 448.90 0.00", "Team Red 55.50 0.00"]);
    assert_eq!(world.runs("2026-09").await.len(), 1);
    let mut different = world.mails();
    different.sort();
    different.dedup();
    assert_eq!((world.mails().len(), different.len()), (mails, mails), "each has one");
}

#[tokio::test]
async fn a_run_of_bills_that_is_overtaken_before_it_is_posted_posts_nothing_more() {
    let world = Box::pin(billed_twice_at_once(|call| is_put_of(call, "/bills/2026-09/"))).await;
    assert_billed_once(&world, 2).await;
}

#[tokio::test]
async fn a_run_of_bills_that_is_overtaken_before_it_is_marked_is_posted_once() {
    let world = Box::pin(billed_twice_at_once(|call| is_put_of(call, "/bills/posted/"))).await;
    assert_billed_once(&world, 2).await;
}

#[tokio::test]
async fn a_run_of_bills_that_is_overtaken_before_its_first_mail_mails_nobody_twice() {
    let world = Box::pin(billed_twice_at_once(|call| call.service == "ses")).await;
    assert_billed_once(&world, 2).await;
}

#[tokio::test]
async fn a_month_that_is_posted_while_another_is_worked_out_leaves_each_its_own_run() {
    let world = billed(CATALOG).await;
    world.charge("acme", "2026-10", &ACME, 0).await;
    world.charge("orbit", "2026-10", &[("three", "Compute", "10")], 0).await;
    let others = async || drop(world.bill(september()).await);
    let october = json!({"month": "2026-10"});
    let is_posted = |call: &Call| is_put_of(call, "/bills/2026-10/");
    Box::pin(overtaken(&world, "bill", october.clone(), is_posted, others)).await.unwrap();
    assert_billed_once(&world, 4).await;
    assert_eq!(world.runs("2026-10").await.len(), 1);
    assert_eq!(world.bill(october).await["state"], "unchanged");
}

#[tokio::test]
async fn charges_that_change_while_they_are_billed_are_on_the_next_bill() {
    let world = billed(CATALOG).await;
    let restated = [("one", "Compute", "110.004"), ("two", "Storage", "50"), ("one", "Support", "15")];
    let others = async || world.charge("acme", "2026-09", &restated, 5).await;
    let is_posted = |call: &Call| is_put_of(call, "/bills/2026-09/");
    Box::pin(overtaken(&world, "bill", september(), is_posted, others)).await.unwrap();
    let billed_again = world.bill(september()).await;
    assert_eq!(billed_again["state"], "billed");
    let fresh = {
        let world = billed(CATALOG).await;
        world.charge("acme", "2026-09", &restated, 5).await;
        world.bill(september()).await
    };
    let total = |bill: &Value| bill["total"].clone();
    let totals = |month: &Value| month["bills"].as_array().unwrap().iter().map(total).collect::<Vec<_>>();
    assert_eq!(totals(&billed_again), totals(&fresh));
    assert_eq!(world.runs("2026-09").await.len(), 2);
}
