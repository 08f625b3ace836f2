//! What AWS may answer instead of a bill: one line that says what to do, and nothing is lost.

use cloud::vars::Vars;
use local::sandbox::AwsFault;
use local::sandbox::FaultKind::{self, Own};
use serde_json::{Value, json};

use crate::aws::{CUR2_MANIFEST, october, world};
use crate::world::{World, assert_same};

const DATA: &str = "dataexports/cur2-hourly/data/BILLING_PERIOD=2026-10/cur2-hourly-00002.csv.gz";

impl World {
    fn aws_fault(&self, operation: &str, kind: impl Into<FaultKind<AwsFault>>, times: usize) {
        self.billing.fail(operation, kind, times);
    }

    /// The message of a fetch of October that fails.
    async fn aws_error(&self) -> String {
        let error = self.fetch_aws(october()).await.unwrap_err().message;
        let manifests = self.keys("raw/").await.into_iter().filter(|key| key.ends_with(".manifest.json"));
        assert_eq!(manifests.count(), 0, "{error}");
        error
    }

    async fn aws_error_with(&self, pairs: &[(&str, &str)]) -> String {
        let vars = Vars::from_iter(pairs.iter().copied()).or(&self.without_export());
        self.fetch_aws_with(vars, october()).await.unwrap_err().message
    }

    fn asked(&self, operation: &str) -> usize {
        self.billing.requests().iter().filter(|asked| *asked == operation).count()
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let world = world().await;
    let undisturbed = world.fetch_aws_with(world.without_export(), october()).await.unwrap();
    for (kind, times) in [
        (Own(AwsFault::Throttle), 4),
        (Own(AwsFault::DataUnavailable), 2),
        (Own(AwsFault::Internal(1)), 1),
        (FaultKind::Status(503), 2),
        (FaultKind::Drop, 2),
        (FaultKind::Cut, 1),
        // the credentials were renewed meanwhile
        (Own(AwsFault::ExpiredCredentials), 1),
        // a list whose token is not taken any more is begun again
        (Own(AwsFault::StaleToken), 1),
    ] {
        for operation in ["GetCostAndUsage", "ListInvoiceSummaries"] {
            world.aws_fault(operation, kind.clone(), times);
        }
        let report = world.fetch_aws_with(world.without_export(), october()).await.unwrap();
        assert_eq!(report["unchanged"], 1, "{kind:?}");
        assert_eq!(report["documents"][0]["key"], undisturbed["documents"][0]["key"], "{kind:?}");
    }
    world.deliver_without_names().await;
    world.aws_fault("ListAccounts", AwsFault::Throttle, 3);
    let report = world.fetch_aws(october()).await.unwrap();
    assert_eq!(world.aws_manifest(&report["documents"][0]).await.sub_account_names.len(), 3);
}

#[tokio::test]
async fn what_does_not_pass_is_named_after_the_last_attempt() {
    let world = world().await;
    for (kind, expected) in [
        (
            Own(AwsFault::Throttle),
            "invoicing:ListInvoiceSummaries failed: ThrottlingException: Rate exceeded (after 5 attempts)",
        ),
        (Own(AwsFault::Internal(0)), "InternalServerException: on request (after 5 attempts)"),
        (Own(AwsFault::ExpiredCredentials), "is expired; the credentials must be renewed (after 5 attempts)"),
    ] {
        world.aws_fault("ListInvoiceSummaries", kind, 5);
        let error = world.aws_error().await;
        assert!(error.contains(expected), "{error}");
    }
    world.aws_fault("ListInvoiceSummaries", AwsFault::StaleToken, 2);
    let error = world.aws_error().await;
    assert!(error.contains("InvalidNextTokenException"), "{error}");
    world.aws_fault("ListInvoiceSummaries", FaultKind::DelayMs(60_000), 2);
    let impatient = [("AWS_CALL_TIMEOUT_MS", "100"), ("HTTP_ATTEMPTS", "2")];
    let vars = Vars::from_iter(impatient).or(world.cloud.vars());
    let error = world.fetch_aws_with(vars, october()).await.unwrap_err().message;
    assert!(
        error.contains("invoicing:ListInvoiceSummaries failed") && error.ends_with("(after 2 attempts)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_page_that_is_lost_is_noticed() {
    let world = world().await;
    let asked = |before: usize| world.asked("GetCostAndUsage") - before;
    world.fetch_aws_with(world.without_export(), october()).await.unwrap();
    // whichever request of a fetch tells of less than there is: the overview's, or those for one kind
    let requests = asked(0);
    let mut noticed = 0;
    for number in 0..requests {
        if number > 0 {
            world.aws_fault("GetCostAndUsage", FaultKind::DelayMs(0), number);
        }
        world.aws_fault("GetCostAndUsage", AwsFault::LostPage, 1);
        match world.fetch_aws_with(world.without_export(), october()).await {
            // its page was the last one of its list
            Ok(report) => assert_eq!(report["unchanged"], 1, "request {number}"),
            Err(failure) => {
                let error = failure.message;
                assert!(
                    error.contains("a page was lost, or the figures changed"),
                    "request {number}: {error}"
                );
                noticed += 1;
            }
        }
    }
    assert!(noticed >= 2, "{noticed} of {requests}");
}

#[tokio::test]
async fn refusals_name_the_permission_and_are_not_tried_again() {
    let world = world().await;
    world.aws_fault("ListInvoiceSummaries", AwsFault::AccessDenied, 1);
    let error = world.fetch_aws(json!({})).await.unwrap_err().message;
    assert_eq!(
        error,
        "invoicing:ListInvoiceSummaries failed: AccessDeniedException: User is not authorized to perform this action; the \
         function's policy must allow this action, and the account must be the one that is billed"
    );
    assert_eq!(world.asked("ListInvoiceSummaries"), 1, "neither again nor for the other months");
    world.aws_fault("GetCostAndUsage", AwsFault::AccessDenied, 1);
    assert!(world.aws_error_with(&[]).await.starts_with("ce:GetCostAndUsage failed: AccessDeniedException"));

    let stranger = world.aws_error_with(&[("AWS_ACCESS_KEY_ID", "AKIASTRANGER")]).await;
    assert!(stranger.contains("ce:GetCostAndUsage failed: UnrecognizedClientException"), "{stranger}");
    let wrong = world.aws_error_with(&[("AWS_SECRET_ACCESS_KEY", "dead-beef")]).await;
    assert!(wrong.contains("InvalidSignatureException") && !wrong.contains("dead-beef"), "{wrong}");
    assert!(wrong.ends_with("check the credentials, and the clock of this machine"), "{wrong}");
    let other = world.aws_error_with(&[("AWS_BILLING_ACCOUNT", "999999999999")]).await;
    assert!(other.contains("the account must be the one that is billed"), "{other}");
}

#[tokio::test]
async fn accounts_go_without_names_where_organizations_does_not_answer() {
    let world = world().await;
    world.deliver_without_names().await;
    for kind in [Own(AwsFault::AccessDenied), Own(AwsFault::NoOrganisation)] {
        world.aws_fault("ListAccounts", kind, 1);
        let report = world.fetch_aws(october()).await.unwrap();
        assert!(world.aws_manifest(&report["documents"][0]).await.sub_account_names.is_empty());
    }
    let asked = world.asked("ListAccounts");
    let vars = Vars::from_iter([("AWS_ACCOUNT_NAMES", "off")]).or(world.cloud.vars());
    world.fetch_aws_with(vars, october()).await.unwrap();
    assert_eq!(world.asked("ListAccounts"), asked);
}

#[tokio::test]
async fn nobody_answers() {
    let world = world().await;
    let nobody = [("AWS_ENDPOINT_URL_COST_EXPLORER", "http://127.0.0.1:9"), ("HTTP_ATTEMPTS", "2")];
    let error = world.aws_error_with(&nobody).await;
    assert!(error.contains("ce:GetCostAndUsage failed") && error.ends_with("(after 2 attempts)"), "{error}");
    let elsewhere = world.with_export(&[("AWS_EXPORT_BUCKET", "not-there"), ("AWS_EXPORT_NAME", "x")]);
    let error = world.fetch_aws_with(elsewhere, october()).await.unwrap_err().message;
    assert!(error.contains("AWS_EXPORT_BUCKET must name a bucket that is there"), "{error}");
}

#[tokio::test]
async fn one_month_that_fails_does_not_stop_the_others() {
    let world = world().await;
    world.aws_fault("GetCostAndUsage", FaultKind::Status(500), 5);
    let failure = world.fetch_aws_with(world.without_export(), json!({})).await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "partial");
    assert!(
        failure.message.starts_with("2 fetched, 0 unchanged; 2026-09 failed: ce:Get"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn data_that_is_missing_or_damaged_is_never_kept_as_whole() {
    let world = world().await;
    let whole = world.costs.get(DATA, None).await.unwrap().unwrap().bytes.to_vec();
    let mut other = whole.clone();
    let middle = other.len() / 2;
    other[middle] ^= 0xff;
    for (bytes, expected) in [
        (Vec::new(), "cur2-hourly-00002.csv.gz is damaged: it is empty; the export must be delivered again"),
        (whole[..whole.len() - 9].to_vec(), "cur2-hourly-00002.csv.gz is damaged: it cannot be decompressed"),
        (other, "cur2-hourly-00002.csv.gz is damaged: it cannot be decompressed"),
    ] {
        world.deliver_objects(vec![(DATA.into(), bytes)]).await;
        world.change_export(|_| ()).await; // AWS writes it last
        let error = world.aws_error().await;
        assert!(error.contains(expected), "{error}");
    }
    world.costs.delete(DATA).await.unwrap();
    let error = world.aws_error().await;
    assert!(error.contains(&format!("{CUR2_MANIFEST} names {DATA}, which is not there")), "{error}");
    world.deliver_objects(vec![(DATA.into(), whole)]).await;
    world.change_export(|_| ()).await;
    assert_eq!(world.fetch_aws(october()).await.unwrap()["fetched"], 1);
}

#[tokio::test]
async fn a_delivery_under_way_is_left_to_the_next_run() {
    let world = world().await;
    let folder = "dataexports/focus12/metadata/billing_period=2026-10";
    let vars = world.with_export(&[("AWS_EXPORT_PREFIX", "dataexports"), ("AWS_EXPORT_NAME", "focus12")]);
    world.costs.delete(&format!("{folder}/focus12-Manifest.json")).await.unwrap();
    let error = world.fetch_aws_with(vars, october()).await.unwrap_err().message;
    assert!(error.contains("focus12-Manifest.json is not: the delivery has not ended"), "{error}");
}

#[tokio::test]
async fn manifests_that_cannot_be_followed_say_why() {
    let world = world().await;
    let file = |path: &str| json!([format!("s3://aws-exports/dataexports/cur2-hourly/data/{path}")]);
    let of_october = "BILLING_PERIOD=2026-10/cur2-hourly-00001.csv.gz";
    for (files, expected) in [
        (file("BILLING_PERIOD=2026-09/cur2-hourly-00001.csv.gz"), "which is of another month"),
        (json!(["s3://aws-exports/other/x.csv.gz"]), "which is not below the export"),
        (json!(["dataexports/x.csv.gz"]), "which is no place in S3"),
        (
            file("BILLING_PERIOD=2026-10/cur2-hourly-00001.orc"),
            "which is neither CSV (plain, gzip, zip) nor Parquet",
        ),
        (json!([file(of_october)[0], file(of_october)[0]]), "which is named twice"),
    ] {
        world.change_export(|manifest| manifest["dataFiles"] = files).await;
        let error = world.aws_error().await;
        assert!(error.contains(CUR2_MANIFEST) && error.contains(expected), "{error}");
    }
    world.change_export(|manifest| manifest["columns"] = json!([{"name": "carbon"}])).await;
    assert!(
        world.aws_error().await.contains("neither those of CUR 2.0 (line_item_unblended_cost) nor of FOCUS")
    );
    world.deliver_objects(vec![(CUR2_MANIFEST.into(), b"{\"executionId\": ".to_vec())]).await;
    assert!(world.aws_error().await.contains("is no manifest of an export: EOF"));
    let twice = CUR2_MANIFEST.replace("BILLING_PERIOD", "billing_period");
    world.deliver_objects(vec![(twice, b"{}".to_vec())]).await;
    assert!(world.aws_error().await.contains("the month stands in two folders"));
}

#[tokio::test]
async fn which_export_counts_must_be_clear() {
    let world = world().await;
    let empty = world.state().await;
    let error = async |pairs: &[(&str, &str)]| {
        world.fetch_aws_with(world.with_export(pairs), json!({})).await.unwrap_err().message
    };
    assert_eq!(
        error(&[("AWS_EXPORT_PREFIX", "dataexports")]).await,
        "there are several exports under s3://aws-exports/dataexports/ (cur2-hourly, focus12), and each is the whole bill: name \
         the one that counts in AWS_EXPORT_NAME"
    );
    let other = error(&[("AWS_EXPORT_PREFIX", "dataexports"), ("AWS_EXPORT_NAME", "cur3")]).await;
    assert!(other.starts_with("there is no export cur3 under s3://aws-exports/dataexports/"), "{other}");
    assert!(
        error(&[("AWS_EXPORT_PREFIX", "nowhere")])
            .await
            .starts_with("there is no export under s3://aws-exports/nowhere/")
    );
    let both = error(&[("AWS_EXPORT_NAME", "cur2-hourly,focus12")]).await;
    assert!(both.contains("expected the name of one export"), "{both}");
    let misspelt = world.fetch_aws(json!({"mounth": "2026-10"})).await.unwrap_err().message;
    assert!(misspelt.contains("unknown field `mounth`"), "{misspelt}");
    assert_same(&world.state().await, &empty);
    let unset: Value = json!({});
    let vars = world.cloud.vars().clone().without("AWS_BILLING_");
    let missing = world.fetch_aws_with(vars, unset).await.unwrap_err().message;
    assert!(missing.starts_with("the variable AWS_BILLING_ACCOUNT is missing"), "{missing}");
}
