use super::*;
use crate::sandbox::AZURE_CREDENTIALS;
use crate::sandbox::running::Running;

impl Running<Azure> {
    async fn start() -> Self {
        Self::of(AzureSandbox::example("2025-06".parse().unwrap())).await
    }

    async fn sign_in(&self, secret: &str, scope: &str) -> (u16, Value) {
        let [(_, tenant), (_, id), _] = AZURE_CREDENTIALS;
        let form = [
            ("client_id", id),
            ("client_secret", secret),
            ("grant_type", "client_credentials"),
            ("scope", scope),
        ];
        let request = self.client.post(format!("{}/{tenant}/oauth2/v2.0/token", self.url)).form(&form);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn token(&self, resource: &str) -> String {
        let (_, body) = self.sign_in(AZURE_CREDENTIALS[2].1, &format!("https://{resource}/.default")).await;
        body["access_token"].as_str().unwrap().to_owned()
    }
}

const ORDER: &str = "providers/Microsoft.CostManagement/generateCostDetailsReport?api-version=2025-03-01";

#[tokio::test]
async fn tokens_are_for_whom_they_were_given_to_and_for_one_resource() {
    let running = Running::start().await;
    let (status, body) = running.sign_in("wrong", "https://management.azure.com/.default").await;
    assert_eq!((status, &body["error"]), (401, &json!("invalid_client")));
    assert_eq!(running.sign_in(AZURE_CREDENTIALS[2].1, "other").await.0, 400);
    let invoices = format!(
        "{}/{AZURE_SCOPE}/invoices?api-version=2024-04-01&periodStartDate=2025-06-01&periodEndDate=2025-06-30",
        running.url
    );
    let get = async |token: &str| {
        running.client.get(&invoices).bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    let (management, storage) =
        (running.token("management.azure.com").await, running.token("storage.azure.com").await);
    assert_eq!((get("x").await, get(&storage).await, get(&management).await), (401, 401, 200));
    running.sandbox.fail("", AzureFault::TokensEnd, 1);
    assert_eq!((get(&management).await, get(&management).await), (401, 401));
}

#[tokio::test]
async fn a_report_is_ordered_looked_at_and_fetched_without_a_token() {
    let running = Running::start().await;
    let token = running.token("management.azure.com").await;
    let order = json!({"metric": "ActualCost", "timePeriod": {"start": "2025-06-01", "end": "2025-06-30"}});
    let request = running.client.post(format!("{}/{AZURE_SCOPE}/{ORDER}", running.url));
    let ordered = request.bearer_auth(&token).json(&order).send().await.unwrap();
    assert_eq!(ordered.status().as_u16(), 202);
    let place = ordered.headers()["location"].to_str().unwrap().to_owned();
    let look = async || running.client.get(&place).bearer_auth(&token).send().await.unwrap();
    assert_eq!(look().await.status().as_u16(), 202);
    let done: Value = look().await.json().await.unwrap();
    assert_eq!((&done["status"], &done["manifest"]["byteCount"]), (&json!("Completed"), &json!(42_074)));
    let link = done["manifest"]["blobs"][0]["blobLink"].as_str().unwrap();
    let get = async |request: reqwest::RequestBuilder| request.send().await.unwrap();
    assert_eq!(get(running.client.get(link)).await.bytes().await.unwrap().len(), 26_704);
    assert_eq!(get(running.client.get(link).bearer_auth(&token)).await.status().as_u16(), 400);
    let unsigned = link.split('?').next().unwrap();
    assert_eq!(get(running.client.get(unsigned)).await.status().as_u16(), 403);
}
