//! `record-usage` on Lambda.

use record_usage::App;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    cloud::invocation::serve::<App>().await
}
