//! The reports in `monthend demo`.

use anyhow::Context;
use billing::month::BillingMonth;
use billing::usage::{Retention, Window};
use chrono::{Days, Utc};
use cloud::datastores::{Datastores, Report, ReportFormat};
use local::journal;
use local::sandbox::events_of_datastores;
use serde_json::{Value, json};

use crate::commands::demo::Teller;
use crate::commands::invoke::read;
use crate::commands::{report_revenue, report_usage};
use crate::session::Session;

/// A month of a database platform: its events arrive as files, some of them twice, and come to a report. Answers it.
pub(crate) async fn usage(
    session: &Session,
    teller: &Teller<'_>,
    closing: BillingMonth,
) -> anyhow::Result<Value> {
    let files = events_of_datastores(closing);
    let lines: usize = files.iter().map(|(_, text)| text.lines().count()).sum();
    for (key, text) in &files {
        session.bucket.overwrite(key, text.clone(), "application/jsonl").await?;
    }
    session.follow(teller.output, "recording").await?;
    let now = Utc::now();
    let (first, last) = (closing.start().date_naive(), closing.end().date_naive() - Days::new(1));
    let window = Window::days(Some(first), Some(last), now)?;
    let datastores = Datastores::new(session.bucket.reader().clone());
    let report = |format| Report::new(window, Retention::default(), now, format).begin(&datastores);
    teller.listing(&report_usage::table(report(ReportFormat::Csv).await?.pieces).await?)?;
    teller.line(&format!(
        "   {lines} events in {} files; those of the last days came twice and count once. A start of ten minutes (wiki) counts nothing.",
        files.len()
    ));
    let document = report_usage::whole(report(ReportFormat::Json).await?.pieces).await?;
    let document: Value = serde_json::from_slice(&document)?;
    Ok(document)
}

/// A month of a seller's money movements arrives, and comes to a report. Answers the reports.
pub(crate) async fn revenue(
    session: &Session,
    teller: &Teller<'_>,
    closing: BillingMonth,
) -> anyhow::Result<Vec<Value>> {
    journal::put(&journal::invented_month(closing), &session.bucket).await?;
    session.follow(teller.output, "reporting").await?;
    let answer = read::<::report_revenue::App>(session, &json!({"month": closing})).await?;
    let mut documents = Vec::new();
    for report in answer.windows.iter().take(1).flat_map(|window| &window.reports) {
        let key = &report.report;
        let object = session.bucket.get(key, None).await?.with_context(|| format!("there is no {key}"))?;
        if teller.speaks {
            report_revenue::table(serde_json::from_slice(&object.bytes)?, report, teller.output)?;
        }
        documents.push(serde_json::from_slice(&object.bytes)?);
    }
    Ok(documents)
}
