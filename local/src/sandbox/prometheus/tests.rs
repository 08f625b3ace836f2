use super::*;
use crate::sandbox::running::Running;

const QUERY: &str = "sum_over_time((sum by (namespace) (kube_pod_container_resource_requests{resource=\"cpu\"}))[2678400s:5m]) / 8928";
/// A millisecond before November 2026.
const TIME: &str = "1793491199.999";

impl Running<Prometheus> {
    async fn start() -> Self {
        Self::of(PrometheusSandbox::example("2026-10".parse().unwrap())).await
    }

    async fn ask(&self, query: &str, time: &str) -> (u16, Value) {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", query)
            .append_pair("time", time)
            .finish();
        let request = self.client.post(format!("{}/api/v1/query", self.url)).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.bearer_auth(PROMETHEUS_TOKEN).send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    async fn values(&self, query: &str, time: &str) -> Vec<(String, String)> {
        let (status, answer) = self.ask(query, time).await;
        assert_eq!((status, &answer["status"]), (200, &json!("success")), "{answer}");
        let samples = answer["data"]["result"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        samples.map(|sample| (text(&sample["metric"]["namespace"]), text(&sample["value"][1]))).collect()
    }
}

fn pairs(pairs: [(&str, &str); 3]) -> Vec<(String, String)> {
    pairs.map(|(namespace, value)| (namespace.to_owned(), value.to_owned())).into()
}

#[tokio::test]
async fn a_workload_counts_for_the_steps_at_which_it_was_there() {
    let running = Running::start().await;
    // 4 cores, and 8 on one day of 31; 3 cores on 21 days
    let averages =
        [("platform", "2.5"), ("blue-app", "4.2580645161290323"), ("red-shop", "2.0322580645161290")];
    assert_eq!(
        running.values(QUERY, TIME).await,
        pairs(averages.map(|(namespace, value)| (namespace, value.trim_end_matches('0'))))
    );
    let storage = "sum_over_time((sum by (namespace) (kube_persistentvolumeclaim_resource_requests_storage_bytes))[1h:5m]) / 12 / 1073741824";
    assert_eq!(
        running.values(storage, TIME).await,
        pairs([("platform", "100"), ("blue-app", "200"), ("red-shop", "50")])
    );
    running.sandbox.forget_before(Some("2026-10-31T23:30:00Z".parse().unwrap()));
    assert_eq!(
        running.values(storage, TIME).await,
        pairs([("platform", "50"), ("blue-app", "100"), ("red-shop", "25")])
    );
    running.sandbox.lose_from(Some("2026-10-01T00:00:00Z".parse().unwrap()));
    assert_eq!(running.values(storage, TIME).await, []);
}

#[tokio::test]
async fn what_is_not_collected_is_an_empty_result_and_what_is_no_promql_is_refused() {
    let running = Running::start().await;
    assert_eq!(running.values("sum_over_time(other[1h:5m])", TIME).await, []);
    let by_team = QUERY.replace("namespace", "team");
    assert_eq!(running.values(&by_team, TIME).await.len(), 1, "all of them, without a label");
    for query in ["", "sum(", "up", "sum_over_time(up[1h])", "x[1h:${step}]", "x[1h:5x]"] {
        let (status, answer) = running.ask(query, TIME).await;
        assert_eq!((status, &answer["errorType"]), (400, &json!("bad_data")), "{query}");
    }
    assert_eq!(running.ask(QUERY, "yesterday").await.0, 400);
}

#[tokio::test]
async fn strangers_are_refused() {
    let running = Running::start().await;
    let url = format!("{}/api/v1/query?query=up", running.url);
    let strangers = [
        running.client.get(&url),
        running.client.get(&url).basic_auth("admin", Some("wrong")),
        running.client.get(&url).bearer_auth("wrong"),
    ];
    for request in strangers {
        let answer = request.send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["www-authenticate"].as_bytes()),
            (401, &b"Basic"[..])
        );
    }
    let [(_, user), (_, password)] = PROMETHEUS_CREDENTIALS;
    let known = running.client.get(&url).basic_auth(user, Some(password)).send().await.unwrap();
    assert_eq!(known.status(), 400, "it is no question that this server understands");
    let elsewhere = running.client.get(format!("{}/nothing", running.url)).send().await.unwrap();
    assert_eq!(elsewhere.status(), 404);
}
