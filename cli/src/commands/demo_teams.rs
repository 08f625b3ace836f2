//! The end of the demo: what three teams owe a platform team for four providers.

use anyhow::Context;
use bill::{BillReport, MailState, MonthReport};
use billing::month::BillingMonth;
use local::platform;
use serde_json::json;

use crate::commands::bill::show;
use crate::commands::demo::Teller;
use crate::commands::invoke::read;
use crate::commands::{demo_bills, explain};
use crate::output::text;
use crate::session::Session;

/// Bills the month before and the closing one; answers the report of the second.
pub(crate) async fn bills(
    session: &Session,
    teller: &Teller<'_>,
    closing: BillingMonth,
) -> anyhow::Result<MonthReport> {
    let before = closing.previous();
    // the clouds' month before; that of Atlas is there
    demo_bills::fetch(session, teller, before).await?;
    let standing = session.bucket.catalog().await?;
    let version = session.bucket.apply_catalog(&platform::catalog(closing), standing.as_ref()).await?;
    // the shares of namespaces in the shared cluster
    for month in [before, closing] {
        read::<fetch_prometheus::App>(session, &json!({"month": month})).await?;
    }
    teller.line(&format!(
        "   by catalog {}: accounts with a surcharge, services on a shared cluster, support and taxes in pools\n",
        version.get(..12).unwrap_or(&version)
    ));
    let first = read::<bill::App>(session, &json!({"month": before})).await?;
    let report = read::<bill::App>(session, &json!({"month": closing})).await?;
    if teller.speaks {
        for month in first.months.iter().chain(&report.months) {
            show(month, teller.output)?;
        }
        let line = json!({"month": closing, "customer": "Team Payments", "line": "service/payments-api", "explain": true});
        let explained = read::<bill::App>(session, &line).await?;
        let explained = explained.explained.context("nothing is explained")?;
        explain::bill(&explained, 3, teller.output)?;
    }
    let again = read::<bill::App>(session, &json!({"month": closing})).await?;
    let again = only_month(again)?;
    let mails = again.mails.iter().filter(|mail| mail.state == MailState::New).count();
    teller.line(&format!("   The same again: {}, {mails} mails sent", text(&again.state)));
    if let Some(embedded) = &session.embedded {
        teller.line(&format!("   The mails, to open in a browser: {}", embedded.home.mails().display()));
    }
    only_month(report)
}

fn only_month(report: BillReport) -> anyhow::Result<MonthReport> {
    report.months.into_iter().next().context("the month is not reported on")
}
