//! What goes wrong with bills: mails that are refused or lost, uploads, documents that are not what they were.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use cloud::vars::Vars;
use local::sandbox::FaultKind::{self, Own};
use local::sandbox::SesFault;
use serde_json::{Value, json};

use crate::teams_world::{CATALOG, billed, inputs};
use crate::world::{World, now};

pub(crate) fn september() -> Value {
    json!({"month": "2026-09"})
}

fn states(report: &Value, of: &str) -> Vec<String> {
    let of = report[of].as_array().cloned().unwrap_or_default();
    of.iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect()
}

async fn bill_with(world: &World, vars: &[(&str, &str)], event: Value) -> Value {
    let vars = Vars::from_iter(vars.iter().copied()).or(&inputs()).or(world.cloud.vars());
    let answer = local::Functions::new(vars).invoke("bill", &event, "test", now()).await;
    let report =
        answer.unwrap_or_else(|failure| failure.report.unwrap_or_else(|| panic!("{}", failure.message)));
    report["months"][0].clone()
}

#[tokio::test]
async fn a_refused_mail_is_sent_by_the_next_run() {
    let world = billed(CATALOG).await;
    for kind in [Own(SesFault::TooMany), Own(SesFault::Rejected)] {
        world.ses.fail("", kind, 1);
    }
    let held = world.held(september()).await;
    assert_eq!(
        (held["state"].as_str(), states(&held, "mails")),
        (Some("held"), vec!["refused".into(), "refused".into()])
    );
    let reasons = world.text("held/bills/2026-09.reason.json").await;
    assert!(reasons.contains("Maximum sending rate") && reasons.contains("verified in SES"), "{reasons}");
    let again = world.bill(september()).await;
    assert_eq!(
        (again["state"].as_str(), states(&again, "mails")),
        (Some("unchanged"), vec!["new".into(), "new".into()])
    );
    assert_eq!(states(&world.bill(september()).await, "mails"), ["sent", "sent"]);
    assert_eq!(world.mails().len(), 2);
}

#[tokio::test]
async fn a_mail_that_may_have_gone_out_is_never_sent_twice_without_a_person() {
    for (kind, arrived) in [(Own(SesFault::SentThen(500)), true), (FaultKind::Status(503), false)] {
        let world = billed(CATALOG).await;
        world.ses.fail("", kind, 1);
        let lost = world.held(september()).await;
        assert_eq!(states(&lost, "mails"), ["unsure"], "what comes after would fare no better: {lost}");
        let again = world.held(september()).await;
        assert_eq!(states(&again, "mails"), ["unsure", "new"], "the others are not kept from theirs");
        assert!(
            again["reason"].as_str().unwrap().contains("\"mails\": {\"Team Blue\": \"sent\"}"),
            "{again}"
        );
        assert_eq!(world.mails().len(), 1 + usize::from(arrived));
        let wrong = world.held(json!({"month": "2026-09", "mails": {"Team Bleu": "sent"}})).await;
        assert_eq!(wrong["state"], "refused");
        let reason = wrong["reason"].as_str().unwrap();
        assert!(reason.ends_with("what waits for an answer: Team Blue"), "{reason}");
        let answer = if arrived { "sent" } else { "send" };
        let settled = world.bill(json!({"month": "2026-09", "mails": {"Team Blue": answer}})).await;
        assert_eq!(settled["state"], "unchanged");
        assert_eq!(world.mails().len(), 2, "each has one");
        assert_eq!(states(&world.bill(september()).await, "mails"), ["sent", "sent"]);
    }
}

#[tokio::test]
async fn where_ses_was_not_reached_no_mail_is_in_doubt() {
    let world = billed(CATALOG).await;
    let down = [("AWS_ENDPOINT_URL_SESV2", "http://ses.invalid")];
    for _ in 0..2 {
        let held = bill_with(&world, &down, september()).await;
        assert_eq!(
            (held["state"].as_str(), states(&held, "mails")),
            (Some("held"), vec!["refused".into()]),
            "the other would fare no better: {held}"
        );
        assert!(held["reason"].as_str().unwrap().contains("did not go out"), "{held}");
    }
    assert_eq!(states(&world.bill(september()).await, "mails"), ["new", "new"]);
    assert_eq!(world.mails().len(), 2);
}

#[tokio::test]
async fn a_trial_takes_nobodys_mail_away() {
    let world = billed(CATALOG).await;
    let trial = [("EMAIL_REDIRECT", "trial@example.com")];
    bill_with(&world, &trial, september()).await;
    bill_with(&world, &trial, september()).await;
    let mails = world.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0], "trial@example.com: [for blue@example.com] Team Blue: 448.90 CHF for 2026-09");
    world.bill(september()).await;
    assert_eq!(world.mails()[2], "blue@example.com: Team Blue: 448.90 CHF for 2026-09");
    // without a sender there are none
    let silent = billed(CATALOG).await;
    assert_eq!(
        states(&bill_with(&silent, &[("MAIL_FROM", " ")], september()).await, "mails").len(),
        2,
        "empty is not set"
    );
}

/// What an invoicing system was sent: method, path, authorisation, body.
type Received = Arc<Mutex<Vec<(String, String)>>>;

/// A system that answers so, one answer after the other, the last for ever.
async fn invoicing(answers: Vec<u16>) -> (String, Received) {
    let received = Received::default();
    let state = (received.clone(), Arc::new(Mutex::new(answers)));
    let take = |State((received, answers)): State<(Received, Arc<Mutex<Vec<u16>>>)>, request: Request| async move {
        let (parts, body) = request.into_parts();
        let headers: HeaderMap = parts.headers;
        let header = |name: &str| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let bytes: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let line = format!(
            "{} {} {} {}",
            parts.method,
            parts.uri,
            header("authorization"),
            header("idempotency-key").len()
        );
        received.lock().unwrap().push((line, String::from_utf8(bytes.to_vec()).unwrap()));
        let mut answers = answers.lock().unwrap();
        let code = if answers.len() > 1 { answers.remove(0) } else { answers[0] };
        StatusCode::from_u16(code).unwrap()
    };
    let router = Router::new().fallback(take).with_state(state);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/import", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, received)
}

#[tokio::test]
async fn exports_are_uploaded_once() {
    let world = billed(CATALOG).await;
    let (url, received) = invoicing(vec![201, 500, 201]).await;
    let vars = [("INVOICING_URL", url.as_str()), ("INVOICING_TOKEN", "let-me-in")];
    let first = bill_with(&world, &vars, september()).await;
    assert_eq!(states(&first, "uploads"), ["new", "unsure"], "{first}");
    let second = bill_with(&world, &vars, september()).await;
    assert_eq!(
        states(&second, "uploads"),
        ["sent", "new", "new"],
        "a file has its own address, so it is sent again"
    );
    assert_eq!(states(&bill_with(&world, &vars, september()).await, "uploads"), ["sent", "sent", "sent"]);
    let received = received.lock().unwrap().clone();
    assert_eq!(received.len(), 4);
    assert_eq!(received[0].0, "PUT /import/2026-09/acme.csv Bearer let-me-in 64");
    assert_eq!(received[0].1.as_bytes(), world.read("bills/2026-09/acme.csv").await);
    assert!(!world.text("held/bills/2026-09.reason.json").await.contains("let-me-in"));
}

#[tokio::test]
async fn an_import_that_cannot_be_repeated_asks_a_person() {
    let world = billed(CATALOG).await;
    let (url, received) = invoicing(vec![502, 403, 200]).await;
    let vars = [
        ("INVOICING_URL", url.as_str()),
        ("INVOICING_METHOD", "post"),
        ("INVOICING_USER", "u"),
        ("INVOICING_PASSWORD", "not-a-secret"),
    ];
    let first = bill_with(&world, &vars, september()).await;
    assert_eq!(states(&first, "uploads"), ["unsure"]);
    let second = bill_with(&world, &vars, september()).await;
    assert_eq!(states(&second, "uploads"), ["unsure", "refused", "new"], "{second}");
    assert!(second["reason"].as_str().unwrap().contains("an account that may import"), "{second}");
    let answer = json!({"month": "2026-09", "mails": {"bills/2026-09/acme.csv": "send"}});
    assert_eq!(states(&bill_with(&world, &vars, answer).await, "uploads"), ["new", "new", "sent"]);
    assert_eq!(received.lock().unwrap()[0].0, "POST /import Basic dTpub3QtYS1zZWNyZXQ= 64");
}

#[tokio::test]
async fn charges_that_are_not_those_of_their_certificate_are_refused() {
    let world = billed(CATALOG).await;
    let key = "charges/provider=acme/month=2026-09/payer-export.parquet";
    let other = world.read("charges/provider=orbit/month=2026-09/orbitpayer-export.parquet").await;
    world.bucket.overwrite(key, other, "application/octet-stream").await.unwrap();
    let held = world.held(september()).await;
    assert!(
        held["reason"].as_str().unwrap().contains("is not what certificates/acme/payer/2026-09-export-"),
        "{held}"
    );
    world.bucket.delete(key).await.unwrap();
    let gone = world.held(september()).await;
    assert!(gone["reason"].as_str().unwrap().contains("is not there yet"), "{gone}");
    world
        .bucket
        .overwrite("charges/provider=acme/month=2026-09/stray.parquet", vec![1], "x/y")
        .await
        .unwrap();
    let stray = world.held(september()).await;
    assert!(stray["reason"].as_str().unwrap().contains("belongs to no certified invoice"), "{stray}");
}

#[tokio::test]
async fn what_is_missing_is_named_and_nothing_is_billed() {
    let world = billed(&CATALOG.replace("{USD: \"0.9\"}, 2026-10", "{EUR: \"0.9\"}, 2026-10")).await;
    let held = world.held(september()).await;
    assert!(
        held["reason"].as_str().unwrap().contains("fx.rates.2026-09.USD: there is no rate into CHF"),
        "{held}"
    );
    assert!(world.keys("bills/").await.is_empty());
    world.put("catalog/current.yaml", "customers: [{name: x}]").await;
    let wrong = world.held(september()).await;
    assert!(wrong["reason"].as_str().unwrap().contains("currency"), "{wrong}");
    world.put("catalog/current.yaml", "metering: {plans: []}").await;
    assert_eq!(world.bill(september()).await["state"], "nothing");
    let failure = world.try_bill(json!({"mounth": "2026-09"})).await.unwrap_err();
    assert!(failure.message.contains("unknown field `mounth`"), "{}", failure.message);
    let wrong = bill_vars_error(&world, &[("BILL_INPUTS", "acme/")]).await;
    assert!(wrong.contains("BILL_INPUTS"), "{wrong}");
    let wrong =
        bill_vars_error(&world, &[("INVOICING_URL", "http://example.com/x"), ("INVOICING_TOKEN", "t")]).await;
    assert!(wrong.contains("use https"), "{wrong}");
}

async fn bill_vars_error(world: &World, vars: &[(&str, &str)]) -> String {
    let vars = Vars::from_iter(vars.iter().copied()).or(world.cloud.vars());
    local::Functions::new(vars).invoke("bill", &september(), "test", now()).await.unwrap_err().message
}
