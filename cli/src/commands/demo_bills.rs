//! The bills of the demo: three clouds, each with its own way of telling what a month costs.

use billing::certificate::Certificate;
use billing::keys::RawDocumentKey;
use billing::month::BillingMonth;
use cloud::fetch::{Bills, Fetch};
use serde_json::json;

use crate::commands::demo::Teller;
use crate::commands::invoices::newest_certificate;
use crate::commands::invoke::read;
use crate::output::{Listing, text};
use crate::session::Session;

/// Fetches the month from each, follows, and shows what came of it; answers the certificates.
pub(crate) async fn bills(
    session: &Session,
    teller: &Teller<'_>,
    closing: BillingMonth,
) -> anyhow::Result<Vec<Certificate>> {
    let keys = fetch(session, teller, closing).await?;
    let mut certificates = Vec::new();
    for key in &keys {
        certificates.extend(newest_certificate(session, &RawDocumentKey::parse(key)?.invoice).await?);
    }
    let columns =
        ["provider", "bill", "rows>", "charges>", "invoices>", "currency", "BilledCost>", "effective>"];
    let mut listing = Listing::new(&columns);
    for certificate in &certificates {
        let figures = &certificate.provider_figures;
        let text = |field: &str| text(&figures[field]);
        listing.row(vec![
            certificate.subject.provider.to_string(),
            certificate.subject.invoice_id.to_string(),
            text("rows"),
            text("charges"),
            figures["invoices"].as_array().map_or(0, Vec::len).to_string(),
            certificate.currency.clone(),
            text("billed_cost"),
            text("effective_cost"),
        ]);
    }
    teller.listing(&listing)?;
    for certificate in &certificates {
        let subject = &certificate.subject;
        teller.line(&format!(
            "\n{} {}: {} {} by {}",
            subject.provider,
            subject.period,
            certificate.provider_total,
            certificate.currency,
            certificate.provider_total_source
        ));
        teller.listing(&rows(certificate))?;
        teller.line(&format!("   {}: {}", certificate.status, certificate.explanation));
    }
    teller.line(
        "\nBeside each: FOCUS charges under charges/, sums by account, service and tag under aggregates/.",
    );
    Ok(certificates)
}

/// Fetches the month from each, and follows; answers the keys of the bills.
pub(crate) async fn fetch(
    session: &Session,
    teller: &Teller<'_>,
    month: BillingMonth,
) -> anyhow::Result<Vec<String>> {
    let mut keys = fetch_from::<fetch_aws::Fetcher>(session, month).await?;
    keys.extend(fetch_from::<fetch_azure::Fetcher>(session, month).await?);
    keys.extend(fetch_from::<fetch_gcp::Fetcher>(session, month).await?);
    session.follow(teller.output, "allocating").await?;
    Ok(keys)
}

async fn fetch_from<B: Bills>(session: &Session, month: BillingMonth) -> anyhow::Result<Vec<String>> {
    let report = read::<Fetch<B>>(session, &json!({"month": month})).await?;
    Ok(report.documents.into_iter().filter_map(|bill| bill.key).collect())
}

/// One row a sub account.
fn rows(certificate: &Certificate) -> Listing {
    let mut listing = Listing::new(&["sub account", "name", "BilledCost>", "rounding>", "total>"]);
    for target in &certificate.targets {
        listing.row(vec![
            target.id.clone(),
            target.name.clone(),
            target.own.to_string(),
            target.adjustment.to_string(),
            target.total.to_string(),
        ]);
    }
    for rest in &certificate.unallocated {
        let amount = rest.amount.to_string();
        listing.row(vec![
            format!("({})", rest.kind),
            rest.reason.clone(),
            amount.clone(),
            "0".into(),
            amount,
        ]);
    }
    listing
}
