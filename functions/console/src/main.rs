//! `console` on Lambda, behind a Function URL.

use cloud::vars::Vars;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let vars = Vars::from_process();
    cloud::telemetry::init(&vars);
    let app = console::App::connect(&vars).await?;
    lambda_http::run_with_streaming_response(console::whole_or_nothing(console::router(app))).await
}
