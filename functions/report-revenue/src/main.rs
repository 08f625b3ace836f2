//! `report-revenue` on Lambda.

use report_revenue::App;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    cloud::invocation::serve::<App>().await
}
