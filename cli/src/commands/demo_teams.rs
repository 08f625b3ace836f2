//! The end of the demo: what three teams owe a platform team for four providers.

use anyhow::Context;
use billing::month::BillingMonth;
use local::platform;
use serde_json::{Value, json};

use crate::commands::bill::{list, show, text};
use crate::commands::demo::Teller;
use crate::commands::explain;
use crate::commands::invoke::call;
use crate::session::Session;

/// Bills the month before and the closing one; answers the report of the second.
pub(crate) async fn bills(
    session: &Session,
    teller: &Teller<'_>,
    closing: BillingMonth,
) -> anyhow::Result<Value> {
    let before = closing.previous();
    // the clouds' month before; that of Atlas is there
    for function in ["fetch-aws", "fetch-azure", "fetch-gcp"] {
        call(session, function, &json!({"month": before})).await?;
    }
    session.follow(teller.output, "allocating").await?;
    let standing = session.bucket.catalog().await?;
    let version = session.bucket.apply_catalog(&platform::catalog(closing), standing.as_ref()).await?;
    // the shares of namespaces in the shared cluster
    for month in [before, closing] {
        call(session, "fetch-prometheus", &json!({"month": month})).await?;
    }
    teller.line(&format!(
        "   by catalog {}: accounts with a surcharge, services on a shared cluster, support and taxes in pools\n",
        version.get(..12).unwrap_or(&version)
    ));
    let first = call(session, "bill", &json!({"month": before})).await?;
    let report = call(session, "bill", &json!({"month": closing})).await?;
    if teller.speaks {
        for month in list(&first["months"]).chain(list(&report["months"])) {
            show(month, teller.output)?;
        }
        let line = json!({"month": closing, "customer": "Team Payments", "line": "service/payments-api", "explain": true});
        let explained = call(session, "bill", &line).await?;
        explain::bill(&explained["explained"], 3, teller.output)?;
    }
    let again = call(session, "bill", &json!({"month": closing})).await?;
    let again = list(&again["months"]).next().context("the month is not reported on")?;
    let mails = list(&again["mails"]).filter(|mail| mail["state"] == "new").count();
    teller.line(&format!("   The same again: {}, {mails} mails sent", text(&again["state"])));
    if let Some(embedded) = &session.embedded {
        teller.line(&format!("   The mails, to open in a browser: {}", embedded.home.mails().display()));
    }
    Ok(report["months"][0].clone())
}
