//! `usage-report FROM TO json|csv`: makes the usage report of these days as the console does, into nothing, and prints what that cost, as
//! JSON. Where S3 is, the environment says.

#![expect(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::time::Instant;

use bench::process;
use billing::usage::{Retention, Window};
use chrono::Utc;
use cloud::aws::Aws;
use cloud::bucket::BucketReader;
use cloud::datastores::{Datastores, Report, ReportFormat};
use cloud::vars::Vars;
use futures::TryStreamExt as _;
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, format] = arguments.as_slice() else {
        return Err("usage: usage-report FROM TO json|csv".into());
    };
    let format = if format == "json" { ReportFormat::Json } else { ReportFormat::Csv };
    let (vars, now) = (Vars::from_process(), Utc::now());
    let window = Window::days(Some(from.parse()?), Some(to.parse()?), now)?;
    let bucket = vars.require("DATA_BUCKET", "the bucket")?;
    let datastores = Datastores::new(BucketReader::new(&Aws::connect(&vars).await?, bucket, "DATA_BUCKET"));
    let started = Instant::now();
    let report = Report::new(window, Retention::default(), now, format).begin(&datastores).await?;
    let mut stream = report.pieces;
    let (mut bytes, mut lines) = (0, 0);
    while let Some(piece) = stream.try_next().await? {
        bytes += piece.len();
        lines += piece.iter().filter(|byte| **byte == b'\n').count();
    }
    let cost = json!({
        "wall_ms": u64::try_from(started.elapsed().as_millis())?,
        "cpu_us": u64::try_from(process::cpu_time_of_all_threads()?.as_micros())?,
        "peak_kib": process::peak_kib()?,
        "bytes": bytes,
        "lines": lines,
    });
    println!("{cost}");
    Ok(())
}
