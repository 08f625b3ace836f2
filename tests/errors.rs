//! What a stranger reads when the outside does not play along: one line that says what to do.

use local::sandbox::FaultKind;
use serde_json::json;

use crate::world::{World, example, quick};

async fn message(world: &World, vars: &[(&str, &str)]) -> String {
    world.invoke_with(vars, "fetch-atlas", json!({})).await.unwrap_err().message
}

#[tokio::test]
async fn wrong_and_missing_credentials_are_named_and_never_shown() {
    let world = World::new(example()).await;
    let wrong = message(&world, &[("PRIVATE_KEY", "11111111-dead-beef-5555-555555555555")]).await;
    assert_eq!(
        wrong,
        "Atlas refused the credentials (401 USER_UNAUTHORIZED: You are not authorized for this resource.): \
         check PUBLIC_KEY and PRIVATE_KEY"
    );
    // not tried again and again: two requests, the challenge and its answer
    assert_eq!(world.atlas.requests().len(), 2);
    let wrong = message(&world, &[("CLIENT_ID", "mdb_sa_id_x"), ("CLIENT_SECRET", "dead-beef")]).await;
    assert_eq!(
        wrong,
        "Atlas refused the credentials (401 invalid_client: The client credentials are invalid.): check CLIENT_ID and CLIENT_SECRET"
    );

    let vars = cloud::vars::Vars::from_iter([
        ("DATA_BUCKET", "b"),
        ("STATE_TABLE", "t"),
        ("ORG_ID", "o"),
        ("PUBLIC_KEY", "p"),
        ("AWS_REGION", "us-east-1"),
    ]);
    let missing =
        local::Functions::new(vars).invoke("fetch-atlas", &json!({}), "test", crate::world::now()).await;
    assert_eq!(
        missing.unwrap_err().message,
        "PRIVATE_KEY is missing in the environment (or .env): set it to the private key of that Atlas API key"
    );
}

#[tokio::test]
async fn a_missing_permission_says_which_one() {
    let world = World::new(example()).await;
    world.atlas.forbid();
    let message = message(&world, &[]).await;
    assert!(message.contains("(403 USER_UNAUTHORIZED"), "{message}");
    assert!(message.contains("need the role Organization Billing Viewer"), "{message}");
}

#[tokio::test]
async fn secrets_that_are_not_there() {
    let world = World::new(example()).await;
    let arn = message(&world, &[("SECRETS", "secretsmanager")]).await;
    assert_eq!(
        arn,
        "the variable ATLAS_SECRET_ARN is missing: set it to the ARN of the secret in Secrets Manager"
    );
    let none = message(&world, &[("SECRETS", "secretsmanager"), ("ATLAS_SECRET_ARN", "nope")]).await;
    assert!(none.starts_with("failed to read the secret nope: ResourceNotFoundException"), "{none}");
    let source = message(&world, &[("SECRETS", "elsewhere")]).await;
    assert_eq!(source, "the variable SECRETS is 'elsewhere', expected env, secretsmanager or vault");
}

#[tokio::test]
async fn hosts_that_do_not_answer() {
    let world = World::new(example()).await;
    let atlas =
        message(&world, &[("ATLAS_API_URL", "http://127.0.0.1:9/api/atlas/v2"), ("HTTP_ATTEMPTS", "2")])
            .await;
    assert!(atlas.starts_with("Atlas cannot be reached at http://127.0.0.1:9"), "{atlas}");
    assert!(atlas.ends_with("check ATLAS_API_URL and the network (after 2 attempts)"), "{atlas}");
    let s3 = [("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"), ("AWS_MAX_ATTEMPTS", "1")];
    let failure = world.invoke_with(&s3, "fetch-atlas", json!({"month": "2026-08"})).await.unwrap_err();
    assert!(failure.message.contains("failed to write s3://monthend-data/raw/atlas/"), "{}", failure.message);
    assert!(failure.message.contains("is the endpoint right and reachable?"), "{}", failure.message);
    let plain = message(&world, &[("ATLAS_API_URL", "http://192.0.2.1/api/atlas/v2")]).await;
    assert!(plain.contains("use https"), "{plain}");
}

#[tokio::test]
async fn a_bucket_or_table_that_is_not_there() {
    let world = World::new(example()).await;
    let bucket =
        world.invoke_with(&[("DATA_BUCKET", "nobodys")], "fetch-atlas", json!({"month": "2026-08"})).await;
    let bucket = bucket.unwrap_err().message;
    assert!(bucket.contains("failed to write s3://nobodys/raw/"), "{bucket}");
    world.fetch(json!({"month": "2026-08"})).await;
    let key = world.keys("raw/").await.remove(0);
    let table =
        world.invoke_with(&[("STATE_TABLE", "nobodys")], "allocate", json!({"key": key})).await.unwrap_err();
    assert!(
        table.message.contains("STATE_TABLE must name a table of this account and region"),
        "{}",
        table.message
    );
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let passing = [
        FaultKind::Status(429),
        FaultKind::RetryAfter(429, 0),
        FaultKind::RetryAfter(503, 0),
        FaultKind::Status(500),
        FaultKind::Drop,
    ];
    for kind in passing {
        let world = World::new(example()).await;
        world.atlas.fail("/invoices/69202608", kind.clone(), 2);
        let report = world.fetch(json!({"month": "2026-08"})).await;
        assert_eq!(report["fetched"], 1, "{kind:?}");
    }
    for (status, word) in [(400, "refused"), (404, "knows no"), (410, "a newer monthend is needed")] {
        let world = World::new(example()).await;
        world.atlas.fail("/invoices/69202608", FaultKind::Status(status), 1);
        let failure = world.invoke("fetch-atlas", json!({"month": "2026-08"})).await.unwrap_err();
        assert!(failure.message.contains(word), "{}", failure.message);
    }
}

#[tokio::test]
async fn retries_end_and_the_other_invoices_are_there() {
    let world = World::new(example()).await;
    world.atlas.fail("/invoices/69202609", FaultKind::Status(503), 100);
    let failure = world.invoke("fetch-atlas", json!({})).await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "partial");
    assert!(
        failure.message.contains("(503 SERVICE_UNAVAILABLE: On request.) (after 5 attempts)"),
        "{}",
        failure.message
    );
    world.quiet().await;
    assert_eq!(world.keys("allocations/").await.len(), 4);
}

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let world = World::with(example(), true, quick()).await;
    world.atlas.rate_limit(2);
    let report =
        world.invoke_with(&[("ATLAS_CONCURRENCY", "1")], "fetch-atlas", json!({"month": "2026-08"})).await;
    assert_eq!(report.unwrap()["fetched"], 1);
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let world = World::new(example()).await;
    world.atlas.fail("", FaultKind::DelayMs(60_000), 5);
    let silent = [("HTTP_READ_TIMEOUT_MS", "50"), ("HTTP_ATTEMPTS", "2")];
    let message = message(&world, &silent).await;
    assert!(message.contains("(after 2 attempts)"), "{message}");
}

#[tokio::test]
async fn a_web_page_in_place_of_an_answer_is_no_answer() {
    for path in ["/invoices", "/invoices/69202608"] {
        let world = World::new(example()).await;
        world.atlas.fail(path, FaultKind::Html, 1);
        let failure = world.invoke("fetch-atlas", json!({"month": "2026-08"})).await.unwrap_err();
        assert!(failure.message.contains(path), "{}", failure.message);
        let said = "(200) is a web page, not Atlas's; check ATLAS_API_URL";
        assert!(failure.message.contains(said), "{}", failure.message);
        assert_eq!(world.keys("raw/").await, Vec::<String>::new(), "nothing of it is kept");
        // a page of who stands between is there for a while
        assert_eq!(world.fetch(json!({"month": "2026-08"})).await["fetched"], 1);
    }
}
