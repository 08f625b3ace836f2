//! `fetch-prometheus` on Lambda.

use fetch_prometheus::App;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    cloud::invocation::serve::<App>().await
}
