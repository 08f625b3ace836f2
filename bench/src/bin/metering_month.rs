//! `metering-month MONTH`: counts a month of usage as `fetch-omnistrate` does (its own code, without keeping the result) and prints what that cost, as JSON. Where S3 and the ledger are, the environment says.

#![expect(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::time::Instant;

use bench::process;
use chrono::Utc;
use cloud::invocation::Function;
use cloud::vars::Vars;
use fetch_omnistrate::App;
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let month = std::env::args().nth(1).ok_or("usage: metering-month MONTH")?;
    let app = App::connect(&Vars::from_process()).await?;
    let started = Instant::now();
    let report = app.handle(&json!({"month": month, "dry_run": true}), Utc::now()).await?;
    let wall = started.elapsed();
    if let Some(failed) = report.failed.first() {
        return Err(failed.error.clone().into());
    }
    let month = report.months.first().ok_or("nothing was counted")?;
    let usage = month.snapshot.as_ref().ok_or("nothing was counted")?;
    let sums = usage
        .usage
        .iter()
        .map(|used| (format!("{} {}", used.contract, used.dimension), used.quantity.to_string()));
    let cost = json!({
        "wall_ms": u64::try_from(wall.as_millis())?,
        "cpu_us": u64::try_from(process::cpu_time_of_all_threads()?.as_micros())?,
        "peak_kib": process::peak_kib()?,
        "files": month.files,
        "sums": sums.collect::<std::collections::BTreeMap<_, _>>(),
    });
    println!("{cost}");
    Ok(())
}
