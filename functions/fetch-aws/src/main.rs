//! `fetch-aws` on Lambda.

use fetch_aws::App;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    cloud::invocation::serve::<App>().await
}
