use chrono::{TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};

use super::*;
use crate::sandbox::running::Running;

const PATH: &str = "/bigquery/v2/projects/billing-proj/queries";

impl Running<Gcp> {
    async fn start() -> Self {
        Self::of(GcpSandbox::example("2025-06".parse().unwrap())).await
    }

    /// Asks for a token with a changed assertion.
    async fn ask(&self, change: fn(&mut Value, &mut Header)) -> (u16, Value) {
        let file: Value = serde_json::from_str(&GcpSandbox::service_account_key()).unwrap();
        let now = Utc::now();
        let mut claims = json!({
            "iss": file["client_email"], "scope": "https://www.googleapis.com/auth/bigquery",
            "aud": file["token_uri"], "iat": now.timestamp(), "exp": (now + TimeDelta::hours(1)).timestamp(),
        });
        let kid = file["private_key_id"].as_str().map(str::to_owned);
        let mut header = Header { kid, ..Header::new(Algorithm::RS256) };
        change(&mut claims, &mut header);
        let key = EncodingKey::from_rsa_pem(file["private_key"].as_str().unwrap().as_bytes()).unwrap();
        self.exchange(&jsonwebtoken::encode(&header, &claims, &key).unwrap()).await
    }

    async fn exchange(&self, assertion: &str) -> (u16, Value) {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", assertion)
            .finish();
        let request = self.client.post(format!("{}/token", self.url)).body(body);
        answer(request.send().await.unwrap()).await
    }

    async fn token(&self) -> String {
        let (status, body) = self.ask(|_, _| ()).await;
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    async fn post(&self, token: &str, body: &Value) -> (u16, Value) {
        let request = self.client.post(format!("{}{PATH}", self.url)).bearer_auth(token);
        let request = request.header("content-type", "application/json").body(body.to_string());
        answer(request.send().await.unwrap()).await
    }

    async fn get(&self, token: &str, path: &str) -> (u16, Value) {
        let request = self.client.get(format!("{}{PATH}/{path}", self.url)).bearer_auth(token);
        answer(request.send().await.unwrap()).await
    }
}

async fn answer(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

fn recorded(name: &str) -> Value {
    let path = format!("{}/examples/gcp/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[tokio::test]
async fn the_recorded_query_gets_the_recorded_answer() {
    let running = Running::start().await;
    let token = running.token().await;
    let (_, first) = running.post(&token, &recorded("query_request")).await;
    assert_eq!(first["jobComplete"], false);
    let job = first["jobReference"]["jobId"].as_str().unwrap();
    let (_, second) = running.get(&token, &format!("{job}?location=EU")).await;
    assert_eq!((&second["jobComplete"], second.get("rows")), (&json!(false), None));
    let mut next = format!("{job}?location=EU&maxResults=2");
    for name in ["query_200_complete_page1", "getqueryresults_page2", "getqueryresults_page3"] {
        let (_, page) = running.get(&token, &next).await;
        let recorded = recorded(name);
        for member in ["schema", "rows", "totalRows", "jobComplete"] {
            assert_eq!(page[member], recorded[member], "{member} of {name}");
        }
        assert_eq!(page["pageToken"].is_string(), recorded["pageToken"].is_string(), "{name}");
        let page_token = page["pageToken"].as_str().unwrap_or_default();
        next = format!("{job}?location=EU&maxResults=2&pageToken={page_token}");
    }
    // the same request id is the same job
    let (_, again) = running.post(&token, &recorded("query_request")).await;
    assert_eq!((again["jobReference"]["jobId"].as_str(), running.sandbox.jobs()), (Some(job), 1));
}

#[tokio::test]
async fn assertions_are_checked_as_google_does() {
    let running = Running::start().await;
    type Change = fn(&mut Value, &mut Header);
    let cases: [(Change, &str); 6] = [
        (|claims, _| claims["aud"] = json!("https://example.com"), "Failed audience check"),
        (|claims, _| claims["exp"] = json!(1_000_000_000), "reasonable timeframe"),
        (|claims, _| claims["exp"] = json!(claims["iat"].as_i64().unwrap() + 7200), "60 minutes"),
        (|claims, _| claims["iss"] = json!("somebody@else"), "account not found"),
        (|_, header| header.kid = Some("other".into()), "account not found"),
        (|claims, _| claims["scope"] = json!("https://www.googleapis.com/auth/bigquery.readonly"), "scope"),
    ];
    for (change, part) in cases {
        let (status, body) = running.ask(change).await;
        assert_eq!(status, 400);
        assert!(body["error_description"].as_str().unwrap().contains(part), "{body}");
    }
    let header = Header { kid: Some("k".into()), ..Header::new(Algorithm::HS256) };
    let forged =
        jsonwebtoken::encode(&header, &json!({"iss": "x"}), &EncodingKey::from_secret(b"x")).unwrap();
    assert_eq!(running.exchange(&forged).await.0, 400);
    let token = running.token().await;
    assert_eq!(running.post(&token, &recorded("query_request")).await.0, 200);
    running.sandbox.revoke_tokens();
    assert_eq!(running.post(&token, &recorded("query_request")).await.0, 401);
}

#[tokio::test]
async fn wrong_queries_are_refused_with_their_reason() {
    let running = Running::start().await;
    let token = running.token().await;
    type Change = fn(&mut Value);
    let cases: [(Change, u16, &str); 6] = [
        (|query| query["useLegacySql"] = json!(true), 400, "invalidQuery"),
        (|query| query["location"] = json!("US"), 404, "notFound"),
        (|query| query["maximumBytesBilled"] = json!("10"), 400, "bytesBilledLimitExceeded"),
        (|query| query["queryParameters"] = json!([]), 400, "invalidQuery"),
        (|query| query["query"] = json!("SELECT secret FROM `x.y.z`"), 404, "notFound"),
        (
            |query| {
                query["query"] = json!(query["query"].as_str().unwrap().replace("cost_type,", "kind,"));
            },
            400,
            "invalidQuery",
        ),
    ];
    for (change, status, reason) in cases {
        let mut query = recorded("query_request");
        change(&mut query);
        let (found, body) = running.post(&token, &query).await;
        assert_eq!((found, &body["error"]["errors"][0]["reason"]), (status, &json!(reason)), "{body}");
    }
    let mut dry = recorded("query_request");
    dry["dryRun"] = json!(true);
    let (_, body) = running.post(&token, &dry).await;
    assert_eq!((&body["totalBytesProcessed"], body.get("rows")), (&json!("10485760"), None));
    assert_eq!(running.get(&token, "job_1?location=EU").await.0, 404);
    assert_eq!(running.sandbox.jobs(), 0);
}
