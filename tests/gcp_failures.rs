//! What Google may answer instead of a bill: one line that says what to do, and nothing half is ever taken for whole.

use local::sandbox::FaultKind::{self, Own};
use local::sandbox::{GcpFault, GcpSandbox};
use serde_json::{Value, json};

use crate::gcp::{october, world};
use crate::world::World;

impl World {
    /// The message of a fetch that fails, with other variables.
    async fn gcp_error(&self, vars: &[(&str, &str)]) -> String {
        self.invoke_with(vars, "fetch-gcp", october()).await.unwrap_err().message
    }

    /// The message of a fetch that meets a fault.
    async fn gcp_fault(&self, kind: impl Into<FaultKind<GcpFault>>, times: usize) -> String {
        self.gcp.fail("", kind, times);
        self.fetch_gcp(october()).await.unwrap_err().message
    }

    /// Requests so far whose path begins so.
    fn gcp_requests(&self, path: &str) -> usize {
        let requests = self.gcp.requests();
        requests.iter().filter(|request| request.split(' ').nth(1).unwrap().starts_with(path)).count()
    }
}

/// The service account's key file with a member changed.
fn changed_key(member: &str, value: Value) -> String {
    let mut file: Value = serde_json::from_str(&GcpSandbox::service_account_key()).unwrap();
    file[member] = value;
    file.to_string()
}

#[tokio::test]
async fn wrong_and_missing_credentials_are_named_and_never_shown() {
    let world = world().await;
    let other = changed_key("private_key_id", json!("0000"));
    let refused = world.gcp_error(&[("GCP_SERVICE_ACCOUNT_KEY", &other)]).await;
    let said = "Google refused the credentials (400 invalid_grant: Invalid grant: account not found): check GCP_SERVICE_ACCOUNT_KEY";
    assert!(refused.starts_with(said), "{refused}");
    assert_eq!(world.gcp.requests().len(), 1, "not tried again and again");

    let broken = changed_key("private_key", json!("-----BEGIN PRIVATE KEY-----\nhunter2\n"));
    let broken = world.gcp_error(&[("GCP_SERVICE_ACCOUNT_KEY", &broken)]).await;
    assert!(broken.contains("it must be an RSA key") && !broken.contains("hunter2"), "{broken}");
    let none = world.gcp_error(&[("SECRETS", "secretsmanager")]).await;
    let said = "the variable GCP_SECRET_ARN is missing: set it to the ARN of the secret in Secrets Manager";
    assert_eq!(none, said);
    let secret = [("SECRETS", "secretsmanager"), ("GCP_SECRET_ARN", "monthend/gcp")];
    world.invoke_with(&secret, "fetch-gcp", october()).await.unwrap();
}

#[tokio::test]
async fn wrong_configuration_is_named_before_anything_is_asked() {
    let world = world().await;
    for (name, value, part) in [
        ("GCP_BILLING_TABLE", "p.d.t`; DROP TABLE x; --", "expected project.dataset.table, for example"),
        ("GCP_BILLING_TABLE", "p.d.t", "set GCP_BILLING_ACCOUNT, for example 012345-567890-ABCDEF"),
        ("GCP_BILLING_ACCOUNT", "mine", "GCP_BILLING_ACCOUNT 'mine' is no billing account"),
        ("GCP_LOCATION", "E U", "expected a location of BigQuery"),
        ("GCP_PROJECT", "../x", "expected the id of a Google Cloud project"),
        (
            "GCP_API_URL",
            "http://bigquery.example.com",
            "GCP_API_URL 'http://bigquery.example.com' is not usable: use https",
        ),
        (
            "GCP_TOKEN_URL",
            "http://oauth2.example.com/token",
            "GCP_TOKEN_URL 'http://oauth2.example.com/token' is not",
        ),
        ("GCP_MAX_BYTES_BILLED", "much", "GCP_MAX_BYTES_BILLED is 'much', expected a whole number"),
    ] {
        let message = world.gcp_error(&[(name, value)]).await;
        assert!(message.contains(part), "{name}: {message}");
    }
    assert_eq!(world.gcp.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn what_google_refuses_says_what_to_do() {
    let world = world().await;
    for (vars, part) in [
        (
            ("GCP_BILLING_TABLE", "billing-proj.billing.gcp_billing_export_v1_012345_567890_000000"),
            "was not found in location EU): check GCP_BILLING_TABLE, GCP_PROJECT and GCP_LOCATION",
        ),
        (("GCP_LOCATION", "US"), "was not found in location US): check"),
        (("GCP_PROJECT", "somebody-else"), "needs the role BigQuery Job User in the project GCP_PROJECT"),
        (("GCP_MAX_BYTES_BILLED", "1000"), "raise it if that is right"),
    ] {
        let message = world.gcp_error(&[vars]).await;
        assert!(message.contains(part), "{message}");
    }
    for (kind, part) in [
        (FaultKind::Status(400), "BigQuery does not take the query (400 invalidQuery: on request)"),
        (FaultKind::Status(403), "BigQuery does not allow /bigquery/v2/projects/billing-proj/queries (403"),
        (Own(GcpFault::Reason(403, "billingNotEnabled".into())), "billing is not enabled for the project"),
        (Own(GcpFault::Reason(403, "quotaExceeded".into())), "the next schedule tries again"),
        (Own(GcpFault::Reason(409, "duplicate".into())), "BigQuery refused"),
        (Own(GcpFault::NoBody(404)), "BigQuery knows no /bigquery"),
        (Own(GcpFault::JobErrors), "ended with errors (backendError: on request)"),
    ] {
        let before = world.gcp_requests("/bigquery");
        let message = world.gcp_fault(kind, 1).await;
        assert!(message.contains(part), "{message}");
        assert_eq!(world.gcp_requests("/bigquery"), before + 1, "not tried again: {message}");
    }
    let nobody = [("GCP_API_URL", "http://127.0.0.1:9"), ("HTTP_ATTEMPTS", "2")];
    let nobody = world.gcp_error(&nobody).await;
    assert!(nobody.contains("BigQuery cannot be reached at http://127.0.0.1:9"), "{nobody}");
    assert!(nobody.ends_with("GCP_TOKEN_URL and the network (after 2 attempts)"), "{nobody}");
    assert_eq!(world.keys("").await, Vec::<String>::new(), "nothing was kept");
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let world = world().await;
    for (kind, times) in [
        (Own(GcpFault::Reason(403, "rateLimitExceeded".into())), 4),
        (FaultKind::RetryAfter(403, 1), 1),
        (FaultKind::Status(429), 1),
        (FaultKind::Status(500), 2),
        (FaultKind::Status(503), 4),
        (Own(GcpFault::NoBody(502)), 2),
        (FaultKind::Drop, 2),
        (Own(GcpFault::Token(503)), 2),
    ] {
        // a new token each time
        world.gcp.fail("", kind.clone(), times);
        let report = world.invoke_with(&[], "fetch-gcp", october()).await.unwrap();
        assert_eq!(report["failed"], json!([]), "{kind:?}");
    }
    assert_eq!(world.gcp.jobs(), 1, "a question that is repeated is the same job");
    let throttled = world.gcp_fault(GcpFault::Reason(403, "rateLimitExceeded".into()), 5).await;
    let said = "BigQuery asked to slow down at /bigquery/v2/projects/billing-proj/queries (403 rateLimitExceeded: on request) (after 5 attempts)";
    assert!(throttled.contains(said), "{throttled}");
    world.gcp.fail("", FaultKind::DelayMs(60_000), 2);
    let silent = world.gcp_error(&[("HTTP_READ_TIMEOUT_MS", "50"), ("HTTP_ATTEMPTS", "2")]).await;
    assert!(silent.contains("(after 2 attempts)"), "{silent}");
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_is_renewed_once() {
    let world = world().await;
    world.fetch_gcp(json!({})).await.unwrap();
    assert_eq!(world.gcp_requests("/token"), 1, "one token for three months");
    world.gcp.revoke_tokens();
    world.fetch_gcp(json!({})).await.unwrap();
    assert_eq!(world.gcp_requests("/token"), 2);
    // in the middle of the pages
    world.gcp.fail("", FaultKind::Status(401), 1);
    world.fetch_gcp(json!({})).await.unwrap();
    assert_eq!(world.gcp_requests("/token"), 3);
    // and one that is refused for good ends the run
    let message = world.gcp_fault(FaultKind::Status(401), 2).await;
    assert!(message.starts_with("BigQuery refused the credentials (401"), "{message}");
    assert_eq!(world.gcp_requests("/token"), 4);
    // one that says it ends within a minute is used until it does
    world.gcp.tokens_last(60);
    world.gcp.jobs_take(1);
    world.invoke_with(&[], "fetch-gcp", october()).await.unwrap();
    assert_eq!(world.gcp_requests("/token"), 5, "{:?}", world.gcp.requests());
}

#[tokio::test]
async fn a_page_that_is_lost_is_noticed() {
    let world = world().await;
    world.gcp.jobs_take(1);
    for (kind, received) in [(Own(GcpFault::LosePage), 3), (Own(GcpFault::CutPages), 2)] {
        let message = world.gcp_fault(kind, 1).await;
        let said = format!("has 5 rows and {received} came: a page is missing or came twice");
        assert!(message.contains(&said), "{message}");
    }
    let cut = world.gcp_fault(FaultKind::Cut, 1).await;
    assert!(cut.contains("is not what the API documents: EOF while parsing"), "{cut}");
    // documents without a manifest may stand there; none says that it is a bill
    assert!(world.keys("raw/").await.iter().all(|key| !key.ends_with(".manifest.json")));
    assert!(world.cloud.queue().due().unwrap().is_empty());
    let healed = world.fetch_gcp(october()).await.unwrap();
    assert_eq!((&healed["fetched"], &healed["documents"][0]["rows"]), (&json!(1), &json!(5)));
}

#[tokio::test]
async fn a_job_is_waited_for_but_not_for_ever() {
    let world = world().await;
    world.gcp.jobs_take(12);
    let report = world.invoke_with(&[("GCP_POLL_MS", "1")], "fetch-gcp", october()).await.unwrap();
    assert_eq!((&report["fetched"], world.gcp.jobs()), (&json!(1), 1));
    world.gcp.fail("", GcpFault::Running, usize::MAX);
    let vars = [("GCP_POLL_MS", "1"), ("GCP_QUERY_TIMEOUT_S", "1")];
    let message = world.invoke_with(&vars, "fetch-gcp", october()).await.unwrap_err().message;
    assert!(message.contains("was not done after 1 s: the next run asks again"), "{message}");
    assert!(message.contains("raise GCP_QUERY_TIMEOUT_S"), "{message}");
}

#[tokio::test]
async fn one_month_that_fails_does_not_stop_the_others() {
    let world = world().await;
    world.gcp.fail("", GcpFault::Reason(403, "quotaExceeded".into()), 1);
    let failure = world.fetch_gcp(json!({})).await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "partial");
    let said = "2 fetched, 0 unchanged; 2026-09 failed: a quota of BigQuery is used up";
    assert!(failure.message.starts_with(said), "{}", failure.message);
    let report = failure.report.unwrap();
    assert_eq!(report["failed"][0]["month"], "2026-09");
    // the next schedule brings it in
    let healed = world.fetch_gcp_at("2026-11-03T05:15:00Z", json!({})).await.unwrap();
    assert_eq!((&healed["fetched"], &healed["unchanged"]), (&json!(1), &json!(2)));
}
