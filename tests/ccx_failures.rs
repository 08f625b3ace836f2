//! What a CCX server may answer instead of a report: one line that says what to do, and nothing is lost.

use billing::certificate::Status;
use billing::keys::RawDocumentKey;
use cloud::ledger::{RevisionState, Subject};
use local::sandbox::FaultKind;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::ccx::{fixture, october, world};
use crate::world::{World, assert_same};

impl World {
    /// The message of a fetch that fails, with other variables.
    pub(crate) async fn ccx_error(&self, vars: &[(&str, &str)]) -> String {
        self.invoke_with(vars, "fetch-ccx", october()).await.unwrap_err().message
    }

    /// The message of a fetch that meets a fault.
    async fn ccx_fault(&self, kind: FaultKind, times: usize) -> String {
        self.ccx.fail("", kind, times);
        self.fetch_ccx(october()).await.unwrap_err().message
    }
}

#[tokio::test]
async fn wrong_and_missing_credentials_are_named_and_never_shown() {
    let world = world().await;
    let wrong = world.ccx_error(&[("CCX_PASSWORD", "dead-beef")]).await;
    assert_eq!(wrong, "CCX refused the credentials (401): check CCX_USER and CCX_PASSWORD");
    assert_eq!(world.ccx.requests().len(), 1, "not tried again and again");
    let none = world.ccx_error(&[("SECRETS", "secretsmanager")]).await;
    assert_eq!(
        none,
        "the variable CCX_SECRET_ARN is missing: set it to the ARN of the secret in Secrets Manager"
    );
    let secret = [("SECRETS", "secretsmanager"), ("CCX_SECRET_ARN", "monthend/ccx")];
    world.invoke_with(&secret, "fetch-ccx", october()).await.unwrap();
    let plain = world.ccx_error(&[("CCX_API_URL", "http://ccx.example.com")]).await;
    assert!(plain.contains("use https"), "{plain}");
}

#[tokio::test]
async fn every_answer_that_is_no_report_says_what_to_do() {
    let world = world().await;
    let path = "/api/admin/datastores/billing/usage/json";
    let page =
        format!("the answer to {path} (200) is a web page, not CCX's; check CCX_API_URL and CCX_PATH_STYLE");
    for (kind, expected) in [
        (FaultKind::Html, page.clone()),
        (FaultKind::ContentType("text/csv".into()), format!("the answer to {path} is text/csv, not")),
        (FaultKind::Redirect, format!("CCX answers {path} with a redirect (302 to http")),
        (FaultKind::Status(400), format!("CCX refused {path} (400 on request)")),
        (FaultKind::Status(403), format!("CCX does not allow {path} (403 on request)")),
        (FaultKind::Status(404), format!("CCX knows no {path} (404 on request): check CCX_API_URL")),
    ] {
        let before = world.ccx.requests().len();
        let message = world.ccx_fault(kind, 1).await;
        assert!(message.contains(&expected), "{message}");
        assert_eq!(world.ccx.requests().len(), before + 1, "not tried again: {message}");
    }
    let elsewhere = format!("{}/nothing", world.cloud.endpoints().ccx.as_ref().unwrap());
    let elsewhere = world.ccx_error(&[("CCX_API_URL", &elsewhere)]).await;
    assert!(elsewhere.contains("/nothing/api/admin/") && elsewhere.contains("a web page"), "{elsewhere}");
    let nobody = world.ccx_error(&[("CCX_API_URL", "http://127.0.0.1:9"), ("HTTP_ATTEMPTS", "2")]).await;
    assert!(nobody.contains("CCX cannot be reached at http://127.0.0.1:9"), "{nobody}");
    assert!(nobody.ends_with("check CCX_API_URL and the network (after 2 attempts)"), "{nobody}");
    assert_eq!(world.keys("").await, Vec::<String>::new(), "nothing was kept");
}

/// Answers every request with these bytes.
pub(crate) async fn replay(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await; // one request fits
            let _ = stream.write_all(&answer).await;
        }
    });
    url
}

#[tokio::test]
async fn recorded_refusals_are_understood() {
    let world = world().await;
    for (name, expected) in [
        ("200_spa_html.http", "is a web page, not CCX's; check CCX_API_URL and CCX_PATH_STYLE"),
        ("400.http", "(400 'to' must not be before 'from')"),
        ("401.http", "CCX refused the credentials (401): check CCX_USER and CCX_PASSWORD"),
    ] {
        let url = replay(fixture(name)).await;
        let message = world.ccx_error(&[("CCX_API_URL", &url)]).await;
        assert!(message.contains(expected), "{name}: {message}");
    }
    let huge = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 200000000\r\n\r\n{";
    let url = replay(huge.to_vec()).await;
    let message = world.ccx_error(&[("CCX_API_URL", &url)]).await;
    assert!(message.ends_with("is larger than 100663296 bytes"), "{message}");
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let world = world().await;
    for (kind, times) in [
        (FaultKind::Status(503), 4),
        (FaultKind::Status(429), 2),
        (FaultKind::RetryAfter(429, 1), 1),
        (FaultKind::Drop, 2),
    ] {
        world.ccx.fail("", kind.clone(), times);
        let report = world.fetch_ccx(october()).await.unwrap();
        assert_eq!(report["failed"], json!([]), "{kind:?}");
    }
    let throttled = world.ccx_fault(FaultKind::Status(429), 5).await;
    assert!(throttled.contains("(429 on request) (after 5 attempts)"), "{throttled}");
    world.ccx.fail("", FaultKind::DelayMs(60_000), 2);
    let silent = world.ccx_error(&[("HTTP_READ_TIMEOUT_MS", "50"), ("HTTP_ATTEMPTS", "2")]).await;
    assert!(silent.contains("(after 2 attempts)"), "{silent}");
}

#[tokio::test]
async fn one_month_that_fails_does_not_stop_the_other() {
    let world = world().await;
    world.ccx.fail("", FaultKind::Status(500), 5);
    let failure = world.fetch_ccx(json!({})).await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "partial");
    assert!(
        failure.message.starts_with("1 fetched, 0 unchanged; 2026-09 failed: CCX failed"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn a_report_that_cannot_be_read_is_kept_and_held() {
    let world = world().await;
    world.ccx.fail("", FaultKind::Cut, 1);
    let failure = world.fetch_ccx(json!({})).await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "held");
    assert!(
        failure.message.contains("held: not a usage report of CCX: EOF while parsing"),
        "{}",
        failure.message
    );
    let report = failure.report.unwrap();
    let [held, good] = report["reports"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!((&held["state"], &good["state"]), (&json!("held"), &json!("certified")));
    let raw = held["key"].as_str().unwrap();
    let reason: Value =
        serde_json::from_slice(&world.read(&format!("held/{raw}.reason.json")).await).unwrap();
    assert_eq!((&reason["document"], &reason["reason"]), (&held["key"], &held["reason"]));
    // the whole document is another revision; its certificate names no revision before it
    let healed = world.fetch_ccx(json!({"month": "2026-09"})).await.unwrap();
    let certificate = world.usage_certificate(&healed["reports"][0]["certificate"]).await;
    assert_eq!((certificate.status, certificate.supersedes), (Status::Matched, None));
}

#[tokio::test]
async fn a_report_that_cannot_be_believed_is_held_with_its_certificate() {
    let world = world().await;
    let october_of = |change: fn(&mut Value)| {
        let mut report: Value = serde_json::from_slice(&fixture("usage_200.json")).unwrap();
        (report["from"], report["to"]) = (json!("2026-10-01T00:00:00Z"), json!("2026-11-01T00:00:00Z"));
        report["datastores"][1]["created_at"] = json!("2026-10-10T08:00:00Z");
        report["datastores"][1]["deleted_at"] = json!("2026-10-20T08:00:00Z");
        change(&mut report);
        report.to_string().into_bytes()
    };
    let month = "2026-10".parse().unwrap();
    let good = october_of(|_| ());
    world.ccx.give(month, good.clone());
    let certified = world.fetch_ccx(october()).await.unwrap();
    let key = RawDocumentKey::parse(certified["reports"][0]["key"].as_str().unwrap()).unwrap();
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 3] = [
        (
            |report| report["to"] = json!("2026-10-31T00:00:00Z"),
            "the report is of 2026-10-01T00:00:00Z to 2026-10-31T00:00:00Z, not of 2026-10-01T00:00:00Z to 2026-11-01T00:00:00Z",
        ),
        (
            |report| report["network_egress_usage_gib"] = json!(13),
            "network_egress_usage_gib is 13, and 12.5 is the sum",
        ),
        (|report| report["datastores"][1] = report["datastores"][0].clone(), "ds-1111-aaaa comes twice"),
    ];
    for (change, why) in cases {
        world.ccx.give(month, october_of(change));
        for _ in 0..2 {
            let failure = world.fetch_ccx(october()).await.unwrap_err();
            assert_eq!(failure.outcome.to_string(), "held");
            assert!(failure.message.contains(why), "{}", failure.message);
            let held = &failure.report.unwrap()["reports"][0];
            let certificate = world.usage_certificate(&held["certificate"]).await;
            assert!(
                held["certificate"]
                    .as_str()
                    .unwrap()
                    .starts_with("held/certificates/ccx/ccx.sandbox/2026-10-usage-")
            );
            assert_eq!((certificate.status, certificate.explanation.contains(why)), (Status::Mismatch, true));
        }
    }
    // what was certified before stays the newest
    assert_eq!(world.ledger.latest(Subject::Report(&key.invoice)).await.unwrap(), Some(key.revision));
    assert_eq!(world.keys("certificates/ccx/").await.len(), 1);
    assert_eq!(world.ledger.revisions(Subject::Report(&key.invoice)).await.unwrap().len(), 4);
}

#[tokio::test]
async fn what_was_certified_is_not_taken_back() {
    let world = world().await;
    world.ccx.give("2026-10".parse().unwrap(), fixture("usage_200.json"));
    let failure = world.fetch_ccx(october()).await.unwrap_err();
    let key = failure.report.unwrap()["reports"][0]["key"].clone();
    let report = RawDocumentKey::parse(key.as_str().unwrap()).unwrap();
    // as if a version of the software had believed it
    let held =
        world.ledger.revision(Subject::Report(&report.invoice), &report.revision).await.unwrap().unwrap();
    assert_eq!(held.state, RevisionState::Held);
    world.ledger.complete_revision(Subject::Report(&report.invoice), &held).await.unwrap();
    let before = world.state().await;
    let failure = world.fetch_ccx(json!({"key": key})).await.unwrap_err();
    assert!(failure.message.contains("this report was certified, and this version"), "{}", failure.message);
    assert_same(&world.state().await, &before);
}
