use std::ops::Deref;

use tokio::net::TcpStream;

use super::*;
use crate::sandbox::faults::FaultKind;
use crate::sandbox::running;

/// A sandbox that listens, and a token.
struct Running {
    running: running::Running<Clazar>,
    token: String,
}

impl Deref for Running {
    type Target = running::Running<Clazar>;

    fn deref(&self) -> &Self::Target {
        &self.running
    }
}

impl Running {
    async fn start(sandbox: ClazarSandbox) -> Self {
        let mut running = Self { running: running::Running::of(sandbox).await, token: String::new() };
        running.token = running.authenticate().await;
        running
    }

    async fn authenticate(&self) -> String {
        let body = json!({"client_id": CLAZAR_CREDENTIALS[0].1, "client_secret": CLAZAR_CREDENTIALS[1].1});
        let answer =
            self.client.post(format!("{}/authenticate/", self.url)).json(&body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!((&answer["token_type"], answer["expires_in"].is_u64()), (&json!("bearer"), true));
        answer["access_token"].as_str().unwrap().to_owned()
    }

    fn request(&self, records: &[Value]) -> reqwest::RequestBuilder {
        let post = self.client.post(format!("{}/metering/", self.url)).bearer_auth(&self.token);
        post.json(&json!({"request": records}))
    }

    async fn meter(&self, records: &[Value]) -> Vec<Value> {
        let answer = self.request(records).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut answer: Value = answer.json().await.unwrap();
        serde_json::from_value(answer["results"].take()).unwrap()
    }

    async fn fail(&self, kind: Value, records: &[Value]) -> Result<reqwest::Response, reqwest::Error> {
        let fault = json!({"path": "/metering/", "kind": kind});
        let post = self.client.post(format!("{}/sandbox/faults", self.url)).json(&fault);
        assert_eq!(post.send().await.unwrap().status(), 204);
        self.request(records).send().await
    }

    /// The results of a request that meets a fault, and how many records are held then.
    async fn failed(&self, kind: Value, records: &[Value]) -> (Vec<Value>, usize) {
        let mut answer: Value = self.fail(kind, records).await.unwrap().json().await.unwrap();
        (serde_json::from_value(answer["results"].take()).unwrap(), self.sandbox.records().len())
    }
}

fn record(contract: &str, hour: u32, quantity: &str) -> Value {
    json!({
        "cloud": "aws",
        "contract_id": contract,
        "dimension": "cpu_core_hours",
        "start_time": format!("2026-10-31T{hour:02}:00:00Z"),
        "end_time": format!("2026-10-31T{hour:02}:59:59Z"),
        "quantity": quantity,
    })
}

fn all<'a>(results: &'a [Value], field: &str) -> Vec<&'a str> {
    results.iter().map(|result| result[field].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn a_record_is_held_once() {
    let running = Running::start(ClazarSandbox::new()).await;
    let records =
        [record("c1", 1, "10"), record("c1", 1, "11"), record("c1", 2, "12"), record("c0", 1, "13")];
    let results = running.meter(&records).await;
    assert_eq!(all(&results, "status"), ["success", "error", "success", "success"]);
    assert_eq!(results[0]["quantity"], "10");
    assert_eq!(results[0]["custom_properties"], json!({}));
    let refusal = json!({
        "contract_id": "c1",
        "dimension": "cpu_core_hours",
        "status": "error",
        "code": "API1002",
        "message": "Validation error",
        "errors": [{
            "message":
                "A metering record for the same contract_id and dimension already exists in the same hour."
        }],
    });
    assert_eq!(results[1], refusal);
    let mut again = record("c1", 1, "99");
    again["start_time"] = json!("2026-10-31T02:17:00+01:00");
    assert_eq!(running.meter(&[again]).await, [refusal]);

    let held = running.sandbox.records();
    let facts: Vec<_> =
        held.iter().map(|r| (r.contract_id.as_str(), r.hour.as_str(), r.quantity.as_str())).collect();
    let (one, two) = ("2026-10-31T01:00:00Z", "2026-10-31T02:00:00Z");
    assert_eq!(facts, [("c0", one, "13"), ("c1", one, "10"), ("c1", two, "12")]);
    assert_eq!(running.sandbox.metering_requests().len(), 2);
    let listed: Value = running
        .client
        .get(format!("{}/sandbox/records", running.url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(listed, json!({"records": held}));
}

#[tokio::test]
async fn what_is_wrong_with_a_record_is_said_of_it_alone() {
    let contracts = BTreeMap::from([
        ("c1".to_owned(), Some(BTreeSet::from(["cpu_core_hours".to_owned()]))),
        ("c2".to_owned(), None),
    ]);
    let running = Running::start(ClazarSandbox::new().only(contracts)).await;
    for quantity in [json!("0"), json!("-1"), json!("+1"), json!("1.5"), json!(""), json!(7), Value::Null] {
        let mut wrong = record("c1", 1, "1");
        wrong["quantity"] = quantity;
        let results = running.meter(&[wrong]).await;
        assert_eq!(results[0]["errors"], json!([{"message": "quantity must be a positive integer."}]));
    }
    let mut unregistered = record("c1", 1, "1");
    unregistered["dimension"] = json!("replica_hours");
    let largest = u128::MAX.to_string();
    let results = running.meter(&[record("c3", 1, "1"), unregistered, record("c2", 1, &largest)]).await;
    assert_eq!(
        (&results[0]["code"], &results[0]["errors"]),
        (&json!("API1001"), &json!("Contract is not active"))
    );
    assert_eq!(results[1]["status"], "warning");
    assert_eq!((&results[1]["errors"], &results[1]["quantity"]), (&Value::Null, &json!("1")));
    assert_eq!(results[2]["status"], "success");

    running.sandbox.deactivate("c2");
    running.sandbox.forget_dimension("c1", "cpu_core_hours");
    let both = [record("c2", 2, "1"), record("c1", 2, "1")];
    assert_eq!(all(&running.meter(&both).await, "status"), ["error", "warning"]);
    running.sandbox.activate("c2");
    running.sandbox.register("c1", None);
    assert_eq!(all(&running.meter(&both).await, "status"), ["success", "success"]);
}

#[tokio::test]
async fn requests_are_checked_as_a_whole() {
    let running = Running::start(ClazarSandbox::new()).await;
    let many: Vec<Value> = (0..26).map(|number| record(&format!("c{number}"), 1, "1")).collect();
    let status = async |request: reqwest::RequestBuilder| {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        assert!(answer.json::<Value>().await.unwrap()["detail"].is_string());
        status
    };
    let post = |path: &str| running.client.post(format!("{}{path}", running.url)).bearer_auth(&running.token);
    assert_eq!(status(running.request(&many)).await, 400);
    assert_eq!(running.meter(&many[..25]).await.len(), 25);
    assert_eq!(status(post("/metering/").body("{\"request\":")).await, 400);
    assert_eq!(status(post("/metering/").json(&json!({"request": [{"cloud": "aws"}]}))).await, 400);
    assert_eq!(status(running.request(&[])).await, 400);
    assert_eq!(status(post("/metering").json(&json!({}))).await, 404);
    assert_eq!(
        status(running.client.get(format!("{}/metering/", running.url)).bearer_auth(&running.token)).await,
        405
    );
    let wrong = json!({"client_id": "sandbox-client", "client_secret": "wrong"});
    assert_eq!(status(post("/authenticate/").json(&wrong)).await, 401);
    assert_eq!(running.sandbox.metering_requests().len(), 5);
    assert_eq!(running.sandbox.requests()[1], "POST /metering/");

    running.sandbox.revoke_tokens();
    assert_eq!(status(running.request(&many[..1])).await, 401);
    running.sandbox.expires_in(0);
    let token = running.authenticate().await;
    let late = running.client.get(format!("{}/contracts/", running.url)).bearer_auth(token);
    assert_eq!(status(late).await, 401);
}

#[tokio::test]
async fn contracts_and_buyers_are_listed() {
    let running = Running::start(ClazarSandbox::new()).await;
    running.meter(&[record("c2", 1, "1")]).await;
    let new = json!({"contract_id": "c1", "dimensions": ["cpu_core_hours"]});
    let post = |path: &str| running.client.post(format!("{}{path}", running.url));
    assert_eq!(post("/sandbox/contracts").json(&new).send().await.unwrap().status(), 204);
    let list = async |path: &str| {
        let get = running.client.get(format!("{}{path}", running.url)).bearer_auth(&running.token);
        get.send().await.unwrap().json::<Value>().await.unwrap()["results"].take()
    };
    let contracts = list("/contracts/").await;
    assert_eq!(
        contracts,
        json!([{"id": "c1", "buyer_id": "buyer-c1"}, {"id": "c2", "buyer_id": "buyer-c2"}])
    );
    let buyers = list("/buyers/").await;
    assert_eq!((&buyers[0]["id"], &buyers[0]["registration_details"]), (&json!("buyer-c1"), &json!([])));
    assert_eq!(post("/sandbox/contracts/c1/deactivate").send().await.unwrap().status(), 204);
    assert_eq!(all(&running.meter(&[record("c1", 1, "1")]).await, "code"), ["API1001"]);
}

#[tokio::test]
async fn records_survive_and_a_torn_line_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clazar/records.jsonl");
    let running = Running::start(ClazarSandbox::in_file(path.clone()).unwrap()).await;
    running.meter(&[record("c1", 1, "10"), record("c1", 2, "20")]).await;
    let before = running.sandbox.records();
    let mut torn = std::fs::read(&path).unwrap();
    torn.extend_from_slice(br#"{"contract_id":"c1","dimen"#);
    std::fs::write(&path, torn).unwrap();

    let running = Running::start(ClazarSandbox::in_file(path.clone()).unwrap()).await;
    assert_eq!(running.sandbox.records(), before);
    let results = running.meter(&[record("c1", 1, "99"), record("c1", 3, "30")]).await;
    assert_eq!(all(&results, "status"), ["error", "success"]);
    let after = ClazarSandbox::in_file(path.clone()).unwrap().records();
    assert_eq!((after.len(), &after), (3, &running.sandbox.records()));

    std::fs::write(&path, "{}\n").unwrap();
    let error = ClazarSandbox::in_file(path).unwrap_err().to_string();
    assert!(error.contains("records.jsonl line 1: missing field"), "{error}");
}

#[tokio::test]
async fn faults_that_leave_the_records_alone() {
    let running = Running::start(ClazarSandbox::new()).await;
    let two = [record("c1", 1, "1"), record("c2", 1, "2")];
    let answer = running.fail(json!({"status": 503}), &two).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.json::<Value>().await.unwrap()["detail"].is_string());
    let answer = running.fail(json!({"status": 500}), &two).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.text().await.unwrap().as_str()),
        (500, "<html>error</html>")
    );
    let answer = running.fail(json!({"retry_after": [429, 7]}), &two).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    assert_eq!(running.fail(json!({"delay_before_ms": 30}), &two).await.unwrap().status(), 504);
    assert!(running.fail(json!("drop_before"), &two).await.is_err());
    let answer = running.fail(json!("html"), &two).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert!(answer.json::<Value>().await.is_err());

    let (results, held) = running.failed(json!("unknown_dimension"), &two).await;
    assert_eq!(
        (all(&results, "status"), all(&results, "errors"), held),
        (vec!["warning"; 2], vec![""; 2], 0)
    );
    let (results, held) = running.failed(json!({"odd_status": "queued"}), &two).await;
    assert_eq!((all(&results, "status"), held), (vec!["queued"; 2], 0));
    let (text, list) = (json!("Contract is not active"), json!(["Contract is not active"]));
    let objects = json!([{"message": "Contract is not active"}]);
    for (kind, errors) in
        [("errors_as_string", text), ("errors_as_list", list), ("errors_as_objects", objects)]
    {
        let (results, held) = running.failed(json!(kind), &two).await;
        assert_eq!((all(&results, "code"), held), (vec!["API1001"; 2], 0), "{kind}");
        assert_eq!(results[1]["errors"], errors, "{kind}");
    }
    assert_eq!(running.sandbox.metering_requests().len(), 11);
}

#[tokio::test]
async fn faults_after_the_records_are_held() {
    let running = Running::start(ClazarSandbox::new()).await;
    let hour = |hour: u32| [record("c1", hour, "1"), record("c2", hour, "2"), record("c3", hour, "3")];
    let (results, held) = running.failed(json!("partial"), &hour(1)).await;
    assert_eq!((all(&results, "status"), held), (vec!["success", "success", "error"], 2));
    assert_eq!((&results[2]["code"], &results[2]["errors"]), (&json!("API1003"), &json!(["try again"])));
    let (results, held) = running.failed(json!("reordered"), &hour(2)).await;
    assert_eq!((all(&results, "contract_id"), held), (vec!["c3", "c2", "c1"], 5));
    let (results, held) = running.failed(json!("missing"), &hour(3)).await;
    assert_eq!((all(&results, "contract_id"), held), (vec!["c1", "c2"], 8));
    let answer = running.fail(json!("unparsable"), &hour(4)).await.unwrap();
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    assert!(text.starts_with("{\"results\":[") && serde_json::from_str::<Value>(&text).is_err());
    let answer = running.fail(json!("drop_after"), &hour(5)).await.unwrap();
    assert!(answer.status().is_success() && answer.bytes().await.is_err());
    let late = running.fail(json!({"delay_after_ms": 30}), &hour(6)).await.unwrap();
    assert_eq!((late.status().as_u16(), running.sandbox.records().len()), (200, 17));
}

#[tokio::test]
async fn entries_that_do_not_name_their_record() {
    let running = Running::start(ClazarSandbox::new()).await;
    let hour = |hour: u32| [record("c1", hour, "1"), record("c1", hour, "2")];
    let (results, held) = running.failed(json!("nameless"), &hour(1)).await;
    assert_eq!((&results[0], held), (&json!({"status": "success"}), 1));
    let refused = results[1].as_object().unwrap();
    assert_eq!(refused.keys().collect::<Vec<_>>(), ["code", "errors", "message", "status"]);
    let (results, held) = running.failed(json!("nameless_errors"), &hour(2)).await;
    let error = json!({"status": "error", "code": "API1001", "message": "Invalid contract", "errors": ["Contract is not active"]});
    assert_eq!((results, held), (vec![error; 2], 1));
    let (results, held) = running.failed(json!("nameless_missing"), &hour(3)).await;
    assert_eq!((results, held), (vec![json!({"status": "success"})], 2));
    let (results, held) = running.failed(json!("nameless_but_first"), &hour(4)).await;
    assert_eq!(
        (all(&results, "contract_id"), all(&results, "status"), held),
        (vec!["c1", ""], vec!["success", "error"], 3)
    );
    let (results, held) = running.failed(json!({"other_record": "locked"}), &hour(5)).await;
    assert_eq!(
        (all(&results, "contract_id"), &results[0]["errors"], held),
        (vec!["somebody-else"], &json!(["locked"]), 3)
    );
    let answer = running.fail(json!({"message": "locked"}), &hour(6)).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"status": "error", "message": "locked"}));
    assert_eq!(running.sandbox.records().len(), 3);
}

#[tokio::test]
async fn what_was_sent_is_done_even_if_the_client_goes_away() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let running = Running::start(ClazarSandbox::new()).await;
    running.sandbox.fail("", FaultKind::DelayMs(60_000), 1);
    let body = json!({"request": [record("c1", 1, "1")]}).to_string();
    let (token, length) = (&running.token, body.len());
    let head = format!(
        "POST /metering/ HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
    );
    let connect = async || TcpStream::connect(running.url.trim_start_matches("http://")).await.unwrap();
    let mut connection = connect().await;
    connection.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    drop(connection);
    for _ in 0..500 {
        if !running.sandbox.records().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(running.sandbox.records().len(), 1);

    // and a connection that breaks without an answer does not send a single byte of one
    running.sandbox.fail("", ClazarFault::DropBefore, 1);
    let mut connection = connect().await;
    connection.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await; // the end, or a reset
    assert_eq!(String::from_utf8_lossy(&answer), "");
}
