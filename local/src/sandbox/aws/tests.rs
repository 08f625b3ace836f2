use hmac::Mac as _;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::credentials::Credentials;
use crate::serve::{Door, listen, serve};

const JUNE: &str = "2025-06";

fn june() -> AwsSandbox {
    AwsSandbox::example(JUNE.parse().unwrap())
}

#[test]
fn the_closing_month_is_the_example_itself_in_june_2025_and_moved_otherwise() {
    let objects: BTreeMap<String, Vec<u8>> = june().objects().into_iter().collect();
    let data = |name: &str| &objects[&format!("dataexports/cur2-hourly/data/BILLING_PERIOD=2025-06/{name}")];
    assert_eq!(data("cur2-hourly-00001.csv.gz"), example::original(0));
    assert_eq!(data("cur2-hourly-00002.csv.gz"), example::original(1));
    assert!(data("cur2-hourly-00003.csv.gz").is_empty());
    let manifest =
        &objects["dataexports/cur2-hourly/metadata/BILLING_PERIOD=2025-06/cur2-hourly-Manifest.json"];
    let manifest: Value = serde_json::from_slice(manifest).unwrap();
    assert_eq!(manifest["dataFiles"].as_array().unwrap().len(), 2);

    let [june, october] = [JUNE, "2026-10"].map(|month| Bill::closing(month.parse().unwrap()));
    let sum = |bill: &Bill| bill.lines().iter().map(|line| line.unblended).sum::<rust_decimal::Decimal>();
    assert_eq!(sum(&june).to_string(), "345.3363066528");
    assert_eq!(sum(&october), sum(&june));
    assert!(october.files[0].contains("2026-10-01T01:00:00.000Z") && !october.files[0].contains("2025-0"));
    let invoices: Vec<String> = june.invoices().into_iter().map(|(id, sum)| format!("{id} {sum}")).collect();
    assert_eq!(
        invoices,
        ["2180000001 107.8363066528", "2180000002 250.0000000000", "2180000003 -12.5000000000"]
    );
    assert!(Bill::running("2026-11".parse().unwrap()).invoices().is_empty());
    let amended = june.amended();
    assert_eq!(amended.invoices()["2180000004"].to_string(), "-3.2500000000");
}

#[test]
fn a_legacy_report_has_the_same_costs() {
    let objects = june().legacy_objects(Packing::Gzip);
    let text = example::text(&objects[0].1) + &example::text(&objects[1].1);
    let header = text.lines().next().unwrap();
    assert!(header.ends_with("resourceTags/user:env,resourceTags/user:team"), "{header}");
    assert_eq!(text.lines().count(), 200);
    let manifest: Value = serde_json::from_slice(&objects[2].1).unwrap();
    assert_eq!(manifest["reportKeys"], json!([objects[0].0, objects[1].0]));
    let zip = june().legacy_objects(Packing::Zip);
    assert!(zip[0].0.ends_with("cur1-1.csv.zip") && zip[0].1.starts_with(b"PK"));
}

fn ask(state: &mut Aws, groups: [&str; 2], kind: Option<&str>, token: Option<&str>) -> Value {
    let groups = groups.map(|key| json!({"Type": "DIMENSION", "Key": key}));
    let mut request = json!({
        "TimePeriod": {"Start": "2025-06-01", "End": "2025-07-01"}, "Granularity": "MONTHLY",
        "Metrics": ["UnblendedCost", "AmortizedCost"], "GroupBy": groups,
    });
    if let Some(kind) = kind {
        request["Filter"] = json!({"Dimensions": {"Key": "RECORD_TYPE", "Values": [kind]}});
    }
    if let Some(token) = token {
        request["NextPageToken"] = json!(token);
    }
    match costs::answer(state, &request, 0) {
        Ok(answer) => answer,
        Err(Refusal(_, kind, _)) => json!({"refused": kind}),
    }
}

#[test]
fn cost_explorer_groups_pages_and_takes_only_its_own_tokens() {
    let sandbox = june();
    sandbox.with(|state| {
        let first = ask(state, ["LINKED_ACCOUNT", "RECORD_TYPE"], None, None);
        let groups = first["ResultsByTime"][0]["Groups"].as_array().unwrap();
        assert_eq!((groups.len(), &groups[0]["Keys"]), (3, &json!(["111122223333", "Fee"])));
        let token = first["NextPageToken"].as_str().unwrap();
        let second = ask(state, ["LINKED_ACCOUNT", "RECORD_TYPE"], None, Some(token));
        assert_eq!(second["ResultsByTime"][0]["Groups"].as_array().unwrap().len(), 3);
        let changed = ask(state, ["LINKED_ACCOUNT", "SERVICE"], None, Some(token));
        assert_eq!(changed["refused"], "RequestChangedException");
        let unknown = ask(state, ["LINKED_ACCOUNT", "SERVICE"], None, Some("AAAA"));
        assert_eq!(unknown["refused"], "InvalidNextTokenException");
        let tax = ask(state, ["LINKED_ACCOUNT", "SERVICE"], Some("Tax"), None);
        let group = &tax["ResultsByTime"][0]["Groups"][0];
        assert_eq!(group["Keys"], json!(["222233334444", "Tax"]));
        assert_eq!(tax["DimensionValueAttributes"][0]["Attributes"]["description"], "team-payments");
    });
}

/// A signed request, changed before it is sent.
async fn signed(url: &str, change: impl FnOnce(&mut Vec<(&str, String)>, &mut String)) -> (u16, Value) {
    let time = chrono::Utc::now().format("%Y%m%dT%H%M%SZ").to_string();
    let (date, host) = (&time[..8], url.trim_start_matches("http://"));
    let (target, mut body) = ("AWSOrganizationsV20161128.ListAccounts", "{}".to_owned());
    let hash = billing::revision::sha256_hex(body.as_bytes());
    let names = "host;x-amz-date;x-amz-target";
    let request =
        format!("POST\n/\n\nhost:{host}\nx-amz-date:{time}\nx-amz-target:{target}\n\n{names}\n{hash}");
    let scope = format!("{date}/us-east-1/organizations/aws4_request");
    let request = billing::revision::sha256_hex(request.as_bytes());
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{request}");
    let sign = |key: &[u8], text: &str| {
        let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let key = scope.split('/').fold(b"AWS4monthend".to_vec(), |key, part| sign(&key, part));
    let signature: String = sign(&key, &text).iter().map(|byte| format!("{byte:02x}")).collect();
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential=monthend/{scope}, SignedHeaders={names}, Signature={signature}");
    let mut headers = vec![
        ("authorization", authorization),
        ("x-amz-date", time.clone()),
        ("x-amz-target", target.to_owned()),
    ];
    change(&mut headers, &mut body);
    let client = reqwest::Client::new();
    let request = headers
        .into_iter()
        .fold(client.post(url).body(body), |request, (name, value)| request.header(name, value));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn only_requests_that_are_signed_for_the_service_are_answered() {
    let (listener, url) = listen("127.0.0.1".parse().unwrap(), 0).await.unwrap();
    let stop = CancellationToken::new();
    let credentials = Credentials { access_key_id: "monthend".into(), secret_access_key: "monthend".into() };
    tokio::spawn(serve(
        listener,
        Door::Programs,
        june().router().layer(Extension(credentials)).into(),
        stop.clone(),
    ));
    let (status, answer) = signed(&url, |_, _| ()).await;
    assert_eq!((status, &answer["Accounts"]), (200, &json!([])), "{answer}");
    assert!(answer["NextToken"].is_string(), "an empty page has a next one");
    type Change = fn(&mut Vec<(&str, String)>, &mut String);
    let cases: [(Change, &str); 6] = [
        (|_, body| *body = "{\"MaxResults\": 1}".into(), "InvalidSignatureException"),
        (
            |headers, _| headers[0].1 = headers[0].1.replace("=monthend/", "=other/"),
            "UnrecognizedClientException",
        ),
        (
            |headers, _| headers[0].1 = headers[0].1.replace("us-east-1", "eu-west-1"),
            "InvalidSignatureException",
        ),
        (
            |headers, _| headers[0].1 = headers[0].1.replace("/organizations/", "/ce/"),
            "InvalidSignatureException",
        ),
        (|headers, _| headers[1].1 = "20200101T000000Z".into(), "InvalidSignatureException"),
        (|headers, _| drop(headers.remove(0)), "MissingAuthenticationTokenException"),
    ];
    for (change, expected) in cases {
        let (status, answer) = signed(&url, change).await;
        assert!(status >= 400, "{answer}");
        assert_eq!(answer["__type"], expected, "{answer}");
    }
    stop.cancel();
}
