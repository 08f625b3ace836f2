//! `fetch-gcp` on Lambda.

use fetch_gcp::App;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    cloud::invocation::serve::<App>().await
}
