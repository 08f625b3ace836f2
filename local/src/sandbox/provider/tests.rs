use axum::http::Method;
use reqwest::Response;
use serde_json::{Value, json};

use super::*;
use crate::sandbox::ccx::Ccx;
use crate::sandbox::running::Running;
use crate::sandbox::{
    AtlasSandbox, AwsFault, AwsSandbox, AzureFault, AzureReportFault, AzureSandbox, CCX_CREDENTIALS,
    CcxSandbox, ClazarFault, ClazarSandbox, GcpFault, GcpSandbox, PrometheusFault, PrometheusSandbox,
    SesFault, SesSandbox, VaultFault, VaultSandbox,
};

const REPORT: &str = "/api/admin/datastores/billing/usage/json";

fn ccx() -> CcxSandbox {
    CcxSandbox::example("2026-10".parse().unwrap())
}

impl Running<Ccx> {
    async fn post(&self, path: &str, body: &Value) -> Response {
        self.client.post(format!("{}{path}", self.url)).json(body).send().await.unwrap()
    }

    async fn fails(&self, fault: &Value) {
        let answer = self.post("/sandbox/faults", fault).await;
        assert_eq!(answer.status(), 204, "{fault} {}", answer.text().await.unwrap());
    }

    async fn report(&self, method: Method) -> reqwest::Result<Response> {
        let [(_, user), (_, password)] = CCX_CREDENTIALS;
        let request = self.client.request(method, format!("{}{REPORT}", self.url));
        request.basic_auth(user, Some(password)).send().await
    }
}

#[tokio::test]
async fn faults_are_for_some_requests_and_are_used_up_in_their_order() {
    let running = Running::of(ccx()).await;
    let status = async |method| running.report(method).await.unwrap().status().as_u16();
    running.fails(&json!({"path": "POST", "kind": {"status": 503}})).await;
    running.fails(&json!({"path": "usage/json", "kind": {"status": 502}, "times": 2})).await;
    running.fails(&json!({"kind": {"status": 429}})).await;
    let elsewhere = running.post("/nothing", &Value::Null).await;
    assert_eq!(elsewhere.status(), 200, "no API is there");
    let stranger = running.client.get(format!("{}{REPORT}", running.url)).send().await.unwrap();
    assert_eq!(stranger.status(), 401, "who is not let in meets no fault");
    for expected in [502, 502, 429, 200] {
        assert_eq!(status(Method::GET).await, expected);
    }
    let copy = running.sandbox.copy();
    assert_eq!(status(Method::POST).await, 503);
    let requests = running.sandbox.requests();
    assert_eq!((requests[0].as_str(), requests.len()), ("POST /nothing", 7));
    assert_eq!((copy.requests().len(), copy.state(|state| state.faults.len())), (6, 1));
    running.fails(&json!({"kind": "html", "times": 9})).await;
    running.sandbox.clear_faults();
    assert_eq!(status(Method::GET).await, 200);
}

#[tokio::test]
async fn every_provider_fails_in_the_ways_of_all() {
    let running = Running::of(ccx()).await;
    let whole = running.report(Method::GET).await.unwrap().bytes().await.unwrap();
    let failed = async |kind: Value| {
        running.fails(&json!({"kind": kind})).await;
        running.report(Method::GET).await.unwrap()
    };
    let later = failed(json!({"retry_after": [429, 7]})).await;
    assert_eq!((later.status().as_u16(), later.headers()["retry-after"].as_bytes()), (429, &b"7"[..]));
    assert_eq!(later.text().await.unwrap(), r#"{"error":"on request"}"#);
    assert_eq!(failed(json!({"delay_ms": 1})).await.bytes().await.unwrap(), whole);
    let half = failed(json!("cut_json")).await;
    assert_eq!(half.headers()["content-type"], "application/json");
    assert_eq!(half.bytes().await.unwrap(), whole[..whole.len() / 2]);
    let broken = failed(json!("drop")).await;
    assert_eq!(broken.status(), 200);
    assert!(broken.bytes().await.is_err());
    let text = failed(json!({"content_type": "text/csv"})).await;
    assert_eq!(text.headers()["content-type"], "text/csv");
    assert_eq!(failed(json!("html")).await.text().await.unwrap(), "<!doctype html><title>CCX</title>");
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    running.fails(&json!({"kind": "redirect"})).await;
    let [(_, user), (_, password)] = CCX_CREDENTIALS;
    let request = client.get(format!("{}{REPORT}", running.url)).basic_auth(user, Some(password));
    let moved = request.send().await.unwrap();
    assert_eq!((moved.status().as_u16(), moved.headers()["location"].as_bytes()), (302, &b"/auth/login"[..]));

    let wrong = running.post("/sandbox/faults", &json!({"kind": "explode"})).await;
    assert_eq!(wrong.status(), 422);
    let said = wrong.text().await.unwrap();
    assert!(said.contains("unknown variant `explode`, expected one of `status`, `retry_after`"), "{said}");
}

/// What a document asks for.
fn kinds<P: Provider>(_: &Sandbox<P>, documents: Value) -> Vec<FaultKind<P::Fault>> {
    let read = |kind| serde_json::from_value::<Fault<P::Fault>>(json!({"kind": kind})).unwrap().kind;
    documents.as_array().cloned().unwrap().into_iter().map(read).collect()
}

#[test]
fn the_documents_of_faults_stay_as_they_are() {
    use FaultKind::{Cut, DelayMs, Drop, Own, RetryAfter, Status};
    let month = || "2026-10".parse().unwrap();
    let atlas = AtlasSandbox::new(crate::sandbox::Organisation::example(month()));
    let common =
        json!([{"status": 503}, {"retry_after": [429, 1]}, {"delay_ms": 5}, "truncated", "cut_json"]);
    assert_eq!(kinds(&atlas, common), [Status(503), RetryAfter(429, 1), DelayMs(5), Drop, Cut]);
    let clazar = json!([
        {"delay_after_ms": 5}, {"delay_before_ms": 5}, "drop_after", "drop_before", "unparsable", {"odd_status": "queued"}
    ]);
    let own = |kind| Own::<ClazarFault>(kind);
    let expected = [
        DelayMs(5),
        own(ClazarFault::DelayBeforeMs(5)),
        Drop,
        own(ClazarFault::DropBefore),
        Cut,
        own(ClazarFault::OddStatus("queued".into())),
    ];
    assert_eq!(kinds(&ClazarSandbox::new(), clazar), expected);
    let azure =
        json!([{"retry_after": 3}, {"throttle": [5, 3600]}, "cut", "tokens_end", {"report": "other_sizes"}]);
    let expected = [
        Own(AzureFault::Unavailable(3)),
        Own(AzureFault::Throttle(5, 3600)),
        Cut,
        Own(AzureFault::TokensEnd),
        Own(AzureFault::Report(AzureReportFault::OtherSizes)),
    ];
    assert_eq!(kinds(&AzureSandbox::example(month()), azure), expected);
    let gcp =
        kinds(&GcpSandbox::example(month()), json!([{"reason": [403, "quotaExceeded"]}, {"token": 503}]));
    assert_eq!(gcp, [Own(GcpFault::Reason(403, "quotaExceeded".into())), Own(GcpFault::Token(503))]);
    let prometheus = kinds(&PrometheusSandbox::example(month()), json!(["error_document"]));
    assert_eq!(prometheus, [Own(PrometheusFault::ErrorDocument)]);
    let ses =
        kinds(&SesSandbox::default(), json!(["rejected", "too_many", {"status": 500}, {"sent_then": 500}]));
    let expected =
        [Own(SesFault::Rejected), Own(SesFault::TooMany), Status(500), Own(SesFault::SentThen(500))];
    assert_eq!(ses, expected);
    let vault = kinds(&VaultSandbox::example(), json!([{"message": "locked"}]));
    assert_eq!(vault, [Own(VaultFault::Message("locked".into()))]);
    let aws = kinds(
        &AwsSandbox::example(month()),
        json!(["throttle", {"internal": 1}, {"status": 500}, "lost_page"]),
    );
    let expected =
        [Own(AwsFault::Throttle), Own(AwsFault::Internal(1)), Status(500), Own(AwsFault::LostPage)];
    assert_eq!(aws, expected);
    let of_operation = json!({"kind": "throttle", "times": 2, "operation": "GetCostAndUsage"});
    let fault: Fault<AwsFault> = serde_json::from_value(of_operation).unwrap();
    assert_eq!((fault.path.as_str(), fault.times), ("GetCostAndUsage", 2));
}
