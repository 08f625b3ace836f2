//! What Azure may answer instead of a bill: one line that says what to do, and half a bill is never a bill.

use local::sandbox::{AzureFault, AzureReportFault, FaultKind};
use serde_json::{Value, json};

use crate::azure::{october, world};
use crate::world::{World, assert_same};

impl World {
    fn azure_fails(&self, path: &str, kind: impl Into<FaultKind<AzureFault>>, times: usize) {
        self.azure.fail(path, kind, times);
    }

    async fn azure_error(&self, vars: &[(&str, &str)]) -> String {
        self.invoke_with(vars, "fetch-azure", october()).await.unwrap_err().message
    }

    fn azure_requests(&self, part: &str) -> usize {
        self.azure.requests().iter().filter(|request| request.contains(part)).count()
    }

    /// Whatever came, no bill counts.
    async fn assert_no_bill(&self) {
        let keys = self.keys("raw/azure/").await;
        assert!(!keys.iter().any(|key| key.ends_with(".manifest.json")), "{keys:?}");
    }
}

#[tokio::test]
async fn wrong_and_missing_credentials_are_named_and_never_shown() {
    let world = world().await;
    let wrong = world.azure_error(&[("AZURE_CLIENT_SECRET", "dead-beef")]).await;
    assert_eq!(
        wrong,
        "Microsoft Entra refused the credentials (401 invalid_client: AADSTS7000215: Invalid client secret provided.): \
         check AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
    );
    assert_eq!(world.azure.requests().len(), 1, "not tried again and again");
    let tenant = world.azure_error(&[("AZURE_TENANT_ID", "nobody")]).await;
    assert!(tenant.contains("(400 invalid_request: AADSTS90002: Tenant 'nobody' not found.)"), "{tenant}");
    let none = world.azure_error(&[("SECRETS", "secretsmanager")]).await;
    assert_eq!(
        none,
        "the variable AZURE_SECRET_ARN is missing: set it to the ARN of the secret in Secrets Manager"
    );
    let secret = [("SECRETS", "secretsmanager"), ("AZURE_SECRET_ARN", "monthend/azure")];
    world.invoke_with(&secret, "fetch-azure", october()).await.unwrap();
}

#[tokio::test]
async fn wrong_variables_are_named() {
    let world = world().await;
    for (name, value, expected) in [
        (
            "AZURE_SCOPE",
            "1234567",
            "the variable AZURE_SCOPE is '1234567', expected providers/Microsoft.Billing",
        ),
        ("AZURE_METRIC", "AmortizedCost", "expected both, or ActualCost (amortized costs alone are no bill"),
        ("AZURE_INVOICES", "yes", "the variable AZURE_INVOICES is 'yes', expected on or off"),
        ("AZURE_API_URL", "http://management.azure.com", "use https"),
        ("AZURE_EXPORT_URL", "https://a.blob.core.windows.net/cost", "expected https://{account}.blob"),
        ("AZURE_REPORT_TIMEOUT_S", "ten", "expected a whole number"),
    ] {
        let message = world.azure_error(&[(name, value)]).await;
        assert!(message.contains(expected), "{message}");
    }
    let misspelt = world.fetch_azure(json!({"mounth": "2026-10"})).await.unwrap_err();
    assert!(misspelt.message.contains("unknown field `mounth`"), "{}", misspelt.message);
    let elsewhere = world.azure_error(&[("AZURE_SCOPE", "subscriptions/another")]).await;
    assert!(elsewhere.contains("(403 RBACAccessDenied: The client does not"), "{elsewhere}");
    assert!(elsewhere.contains("give the app registration Billing account reader"), "{elsewhere}");
    assert_eq!(world.keys("").await, Vec::<String>::new(), "nothing was kept");
}

#[tokio::test]
async fn throttling_is_waited_for_as_long_as_its_longest_signal_says() {
    let world = world().await;
    world.azure_fails("generateCostDetailsReport", AzureFault::Throttle(0, 1), 1);
    let started = std::time::Instant::now();
    world.fetch_azure(october()).await.unwrap();
    assert!(started.elapsed().as_millis() >= 1000, "{:?}", started.elapsed());
    for (kind, times) in [
        (FaultKind::Status(429), 2),
        (FaultKind::Status(503), 4),
        (FaultKind::RetryAfter(503, 0), 1),
        (FaultKind::Drop, 2),
    ] {
        for path in ["generateCostDetailsReport", "costDetailsOperationResults", "invoices", "part_1"] {
            world.azure_fails(path, kind.clone(), times);
        }
        let report = world.fetch_azure(october()).await.unwrap();
        assert_eq!(report["failed"], json!([]), "{kind:?}");
    }
    world.azure_fails("generateCostDetailsReport", FaultKind::Status(429), 5);
    world.azure_fails("oauth2", FaultKind::Status(503), 4);
    let throttled = world.azure_error(&[]).await;
    assert!(
        throttled.ends_with("(429 429: Too many requests. Please retry.) (after 5 attempts)"),
        "{throttled}"
    );
    // longer than an invocation lives: the next run comes sooner
    world.azure_fails("invoices", AzureFault::Throttle(5, 3600), 1);
    let long = world.azure_error(&[]).await;
    assert!(long.contains("Azure asked to slow down"), "{long}");
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_is_replaced_once() {
    let world = world().await;
    world.azure_fails("costDetailsOperationResults", AzureFault::TokensEnd, 1);
    world.fetch_azure(october()).await.unwrap();
    assert_eq!(world.azure_requests("oauth2"), 2);
    // the functions keep the token from one invocation to the next
    world.fetch_azure(october()).await.unwrap();
    assert_eq!(world.azure_requests("oauth2"), 2);
    world.azure_fails("invoices", AzureFault::TokensEnd, 2);
    let refused = world.azure_error(&[]).await;
    assert!(refused.contains("Azure refused the credentials (401 ExpiredAuthenticationToken: "), "{refused}");
    assert!(refused.ends_with("check AZURE_TENANT_ID"), "{refused}");
}

#[tokio::test]
async fn a_page_that_is_lost_loses_the_bill_and_not_the_others() {
    let world = world().await;
    world.azure_fails("invoices", FaultKind::DelayMs(0), 1);
    world.azure_fails("invoices", FaultKind::Status(404), 1);
    let one_by_one = [("AZURE_CONCURRENCY", "1"), ("AZURE_MONTHS", "1")];
    let failure = world.invoke_with(&one_by_one, "fetch-azure", json!({})).await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "partial");
    assert!(
        failure.message.starts_with("1 fetched, 0 unchanged; 2026-10 failed: Azure knows no"),
        "{}",
        failure.message
    );
    let report = failure.report.unwrap();
    assert_eq!(report["documents"][0]["period"], "2026-11");
    assert!(world.keys("raw/azure/AAAA-BBBB-CCC-DDD/2026-10/").await.is_empty());
}

#[tokio::test]
async fn reports_that_go_wrong_say_so_and_are_no_bill() {
    let world = world().await;
    for (fault, expected) in [
        (AzureReportFault::Failed, "InternalServerError: Report generation failed. Retry the request."),
        (AzureReportFault::NeverReady, "the cost details report was not ready after 0 s"),
        (AzureReportFault::Elsewhere, "leads to management.example.com, where the token must not be sent"),
        (AzureReportFault::OtherCount, "blobCount is 3, it names 2"),
        (AzureReportFault::OtherSizes, "part_0_0001.csv is cut short: "),
        (AzureReportFault::MissingFile, "it names part_9_0001.csv, which is not there (404)"),
        (AzureReportFault::NoDataFound, "Azure has invoice G012345678 of 2026-10 and no costs"),
        (AzureReportFault::NoContent, "Azure has invoice G012345678 of 2026-10 and no costs"),
    ] {
        world.azure_fails("", AzureFault::Report(fault), 1);
        let never = if fault == AzureReportFault::NeverReady { "0" } else { "600" };
        let message = world.azure_error(&[("AZURE_REPORT_TIMEOUT_S", never)]).await;
        assert!(message.contains(expected), "{fault:?}: {message}");
        world.assert_no_bill().await;
    }
    world.azure_fails("", AzureFault::Report(AzureReportFault::AtOnce), 1);
    let at_once = world.fetch_azure(october()).await.unwrap();
    assert_eq!(at_once["fetched"], 1);
    world.azure_fails("", AzureFault::Report(AzureReportFault::NoContent), 1);
    let empty = world.fetch_azure(json!({"month": "2026-11"})).await.unwrap();
    assert_eq!(empty["empty"], json!(["2026-11"]));
}

#[tokio::test]
async fn links_that_are_over_are_ordered_anew_once() {
    let world = world().await;
    let ended = AzureFault::Report(AzureReportFault::LinksEnded);
    world.azure_fails("", ended, 1);
    world.fetch_azure(october()).await.unwrap();
    // one report twice, the other once
    assert_eq!(world.azure_requests("generateCostDetailsReport"), 3);
    world.azure_fails("", ended, 2);
    let message = world.azure_error(&[]).await;
    assert!(
        message.contains(
            "the link to a file of the report is no longer valid (403 AuthenticationFailed): a new report has"
        ),
        "{message}"
    );
    assert_eq!(world.azure_requests("generateCostDetailsReport"), 5);
    assert!(!message.contains("sig="), "{message}");
}

#[tokio::test]
async fn a_file_that_is_cut_short_is_fetched_again_and_never_kept() {
    let world = world().await;
    world.azure_fails("part_1", FaultKind::Cut, 5);
    let message = world.azure_error(&[("HTTP_ATTEMPTS", "1")]).await;
    assert!(message.contains("part_1_0001.csv is cut short: 15370 bytes are stated, 7685 came"), "{message}");
    world.azure_fails("part_1", FaultKind::Drop, 5);
    world.assert_no_bill().await;
    for key in world.keys("raw/azure/").await {
        assert_ne!(world.read(&key).await.len(), 7_685, "{key}");
    }
}

#[tokio::test]
async fn exports_that_are_not_whole_are_no_bill() {
    let world = world().await;
    let url = world.export_url();
    let vars = [("AZURE_EXPORT_URL", url.as_str()), ("HTTP_ATTEMPTS", "1")];
    let month = "2026-10".parse().unwrap();
    let file = |name: &str, bytes: &[u8]| (name.to_owned(), bytes::Bytes::copy_from_slice(bytes));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &b"cost\r\n1\r\n".repeat(1000)).unwrap();
    let gzip = gzip.finish().unwrap();

    world.azure.export(month, "202611060612", "ActualCost", &[file("p.csv.gz", &gzip[..gzip.len() - 9])]);
    let cut = world.azure_error(&vars).await;
    assert!(cut.contains("p.csv.gz is cut short: it is no whole gzip"), "{cut}");
    let manifest = world.azure.export(month, "202611070612", "ActualCost", &[file("p.csv.gz", &gzip)]);
    world.azure.remove_blob(&manifest.replace("manifest.json", "p.csv.gz"));
    let missing = world.azure_error(&vars).await;
    assert!(missing.contains("p.csv.gz, which is not there (404)"), "{missing}");
    world.azure.export(month, "202611080612", "PriceSheet", &[file("p.csv.gz", &gzip)]);
    let other = world.azure_error(&vars).await;
    assert!(other.contains("the type is 'PriceSheet'"), "{other}");
    world.azure.put_blob("costs/20260801-20260831/202611080612/x/part.csv", "being written");
    let writing = world.invoke_with(&vars, "fetch-azure", json!({"month": "2026-08"})).await.unwrap_err();
    assert!(writing.message.contains("it has 1 files and no manifest.json"), "{}", writing.message);
    world.azure_fails("cost/", FaultKind::Status(403), 1);
    let forbidden = world.azure_error(&vars).await;
    assert!(forbidden.contains("give the app registration Storage Blob Data Reader"), "{forbidden}");
    world.assert_no_bill().await;
}

#[tokio::test]
async fn answers_of_any_other_kind_leave_everything_as_it_was() {
    let world = world().await;
    world.fetch_azure(october()).await.unwrap();
    let before = world.state().await;
    for (path, kind, expected) in [
        ("generateCostDetailsReport", FaultKind::Status(400), "(400 BadRequest: The maximum date range"),
        ("generateCostDetailsReport", FaultKind::Status(403), "Cost Management Reader on AZURE_SCOPE"),
        ("costDetailsOperationResults", FaultKind::Status(404), "Azure knows no /providers/"),
        ("invoices", FaultKind::Cut, "is not what the API documents: EOF while parsing"),
        ("generateCostDetailsReport", FaultKind::Status(302), "with a redirect (302), which is not followed"),
    ] {
        let requests = world.azure_requests(path);
        world.azure_fails(path, kind, 1);
        let message = world.azure_error(&[]).await;
        assert!(message.contains(expected), "{message}");
        assert_eq!(world.azure_requests(path), requests + 1, "not tried again: {message}");
    }
    let nobody = [("AZURE_LOGIN_URL", "http://127.0.0.1:9"), ("HTTP_ATTEMPTS", "2")];
    let nobody = world.azure_error(&nobody).await;
    assert!(nobody.contains("Microsoft Entra cannot be reached at http://127.0.0.1:9"), "{nobody}");
    assert!(nobody.ends_with("(after 2 attempts)"), "{nobody}");
    world.azure_fails("part_0", FaultKind::DelayMs(60_000), 2);
    let silent = world.azure_error(&[("HTTP_READ_TIMEOUT_MS", "50"), ("HTTP_ATTEMPTS", "2")]).await;
    assert!(silent.contains("(after 2 attempts)"), "{silent}");
    assert_same(&world.state().await, &before);
}

#[tokio::test]
async fn faults_can_be_asked_for_by_hand() {
    let world = World::listening(crate::world::example(), false, crate::world::quick()).await;
    let base = world.cloud.endpoints().azure.clone().unwrap();
    let post = async |path: &str, body: Value| {
        let request = reqwest::Client::new().post(format!("{base}/sandbox/{path}")).json(&body);
        request.send().await.unwrap().status().as_u16()
    };
    let fault = json!({"path": "invoices", "kind": {"status": 403}});
    assert_eq!(post("faults", fault).await, 204);
    let message = world.azure_error(&[]).await;
    assert!(message.contains("or set AZURE_INVOICES=off"), "{message}");
    assert_eq!(post("faults", json!({"kind": {"report": "failed"}})).await, 204);
    assert!(world.azure_error(&[]).await.contains("could not make the cost details report"));
    assert_eq!(post("amend", json!({})).await, 204);
}
