//! `monthend report usage`

use anyhow::Context;
use billing::shell::command;
use billing::usage::{Retention, Window};
use chrono::Utc;
use cloud::datastores::{BegunReport, Datastores, Report, ReportFormat, ReportStream};
use futures::TryStreamExt;

use crate::Ended;
use crate::args;
use crate::output::{Format, Listing, Output};
use crate::session::Session;

pub(crate) async fn report(
    usage: &args::ReportUsage,
    session: &Session,
    output: &Output,
) -> anyhow::Result<Ended> {
    let now = Utc::now();
    let window = Window::days(usage.from, usage.to, now)?;
    let retention = session.vars.parsed("RETENTION_PERIOD", Retention::default())?;
    let datastores = Datastores::new(session.bucket.reader().clone()).tolerant(&session.vars)?;
    let format = if output.format == Format::Json { ReportFormat::Json } else { ReportFormat::Csv };
    let BegunReport { held, forgotten, pieces } =
        Report::new(window, retention, now, format).begin(&datastores).await?;
    if output.format == Format::Table {
        output.heading(&format!("Usage of datastores from {} to {}", window.from(), window.to()));
        output.listing(&table(pieces).await?)?;
    } else {
        copy(pieces, output).await?;
    }
    for file in &held {
        let command = command(["cat", &format!("held/{file}.reason.json")]);
        output.note(&format!("{file} is held and not in the report; the reason: {command}"));
    }
    if let Some(forgotten) = forgotten {
        output.note(&format!(
            "{} datastores that were deleted before {} are not in the report (RETENTION_PERIOD is {retention}); it is complete from that \
             day on",
            forgotten.datastores, forgotten.complete_from
        ));
    }
    Ok(if held.is_empty() { Ended::Done } else { Ended::Held })
}

/// Piece by piece; a reader that closes the pipe has seen enough.
async fn copy(mut stream: ReportStream, output: &Output) -> anyhow::Result<()> {
    while let Some(piece) = stream.try_next().await? {
        if !output.bytes(&piece) {
            break;
        }
    }
    Ok(())
}

/// The report in memory.
pub(crate) async fn whole(mut stream: ReportStream) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// The columns that a terminal has room for.
pub(crate) async fn table(stream: ReportStream) -> anyhow::Result<Listing> {
    let bytes = whole(stream).await?;
    let columns = [
        "customer",
        "datastore",
        "type",
        "nodes>",
        "resource",
        "hours>",
        "average GiB>",
        "GiB hours>",
        "IOPS hours>",
        "egress GiB>",
        "deleted",
    ];
    let mut listing = Listing::new(&columns);
    let mut rows = csv::Reader::from_reader(bytes.as_slice());
    let names = rows.headers()?.clone();
    for row in rows.records() {
        let row = row.context("failed to read the report back")?;
        let cell = |name: &str| {
            let index = names.iter().position(|known| known == name);
            index.and_then(|index| row.get(index)).unwrap_or_default().to_owned()
        };
        listing.row(vec![
            cell("customer_id"),
            cell("datastore"),
            cell("type"),
            cell("nodes_count"),
            format!("{} {}", cell("resource"), cell("resource_type")),
            cell("hours"),
            cell("average_gib"),
            cell("gib_per_hours"),
            cell("iops_per_hour"),
            cell("network_egress_usage_gib"),
            cell("deleted_at"),
        ]);
    }
    Ok(listing)
}
