//! `monthend demo`: the whole story with invented data.

use std::time::Instant;

use billing::certificate::{Certificate, Status};
use billing::keys::{InvoiceKey, RawDocumentKey};
use chrono::Utc;
use cloud::vars::Vars;
use local::{Embedded, Home, HomeError, HomeKind, Options};
use serde_json::{Value, json};

use crate::Ended;
use crate::args;
use crate::commands::invoices::{newest_certificate, report_dead_letters, rows};
use crate::commands::invoke::call;
use crate::output::{Format, Listing, Output};
use crate::session::{Session, home_folder, sandbox};

pub(crate) async fn demo(demo: &args::Demo, output: &Output) -> anyhow::Result<Ended> {
    let started = Instant::now();
    let closing =
        demo.month.unwrap_or_else(|| billing::month::BillingMonth::containing(Utc::now()).previous());
    let session = begin(closing).await?;
    let tell = |text: &str| {
        if output.format == Format::Table {
            output.line(text);
        }
    };

    output.heading(&format!("1. Fetch: what MongoDB Atlas has for the month end of {closing}"));
    let first = fetch(&session, output).await?;
    output.listing(&fetched(&first))?;

    output.heading("2. Allocate: each raw document's arrival started its allocation");
    let invoices = invoices(&first)?;
    let mut certificates = Vec::new();
    for invoice in &invoices {
        if let Some(certificate) = newest_certificate(&session, invoice).await? {
            show(&certificate, output)?;
            certificates.push(certificate);
        }
    }

    output.heading("3. Again: the same fetch a second time");
    let second = fetch(&session, output).await?;
    tell(&format!(
        "{} fetched, {} unchanged: nothing new was written, so nothing was started",
        second["fetched"], second["unchanged"]
    ));

    output.heading("4. Restated: Atlas amends an invoice of the month before");
    if let Some(id) = session.embedded.as_ref().and_then(|e| e.running.as_ref()?.atlas()?.amend()) {
        let third = fetch(&session, output).await?;
        tell(&format!(
            "{} fetched, {} unchanged: invoice {id} came in a new revision",
            third["fetched"], third["unchanged"]
        ));
        if let Some(invoice) = invoices.iter().find(|invoice| invoice.invoice_id.as_str() == id) {
            restated(&session, invoice, output).await?;
        }
    }

    let ended = report_dead_letters(&session, output)?;
    let held = certificates.iter().any(|certificate| certificate.status == Status::Mismatch);
    output.heading("Certificates");
    output.listing(&summary(&certificates))?;
    tell(&epilogue(&session, &certificates, started));
    Ok(if held { Ended::Held } else { ended })
}

/// A fresh home with a sandbox of Atlas; invented data of an earlier demo goes.
async fn begin(closing: billing::month::BillingMonth) -> anyhow::Result<Session> {
    let home = Home::open(home_folder())?;
    home.claim(HomeKind::Sandbox)?;
    home.reset()?;
    let home = Home::open(home_folder())?;
    home.claim(HomeKind::Sandbox)?;
    let lock = home.lock()?.ok_or_else(|| HomeError::Busy(home.root().to_owned()))?;
    let vars = Vars::from_iter([("INVOICE_LIMIT", "5")]);
    let options = Options { atlas: Some(sandbox(Some(closing))), vars, ..Options::default() };
    let embedded = Embedded::start(&home, options).await?;
    lock.announce(embedded.endpoints())?;
    Session::of_embedded(home, embedded, lock).await
}

/// Fetches and follows; answers the report.
async fn fetch(session: &Session, output: &Output) -> anyhow::Result<Value> {
    let report = call(session, "fetch-atlas", &json!({})).await?;
    session.follow(output, "allocating").await?;
    Ok(report)
}

fn fetched(report: &Value) -> Listing {
    let mut listing =
        Listing::new(&["month", "invoice", "organisation", "status", "finality", "raw document"]);
    for document in report["documents"].as_array().into_iter().flatten() {
        let text = |field: &str| document[field].as_str().unwrap_or_default().to_owned();
        let name = text("key").rsplit('/').next().unwrap_or_default().to_owned();
        listing.row(vec![
            text("period"),
            text("invoice_id"),
            text("billing_account"),
            text("status"),
            text("finality"),
            name,
        ]);
    }
    listing
}

fn invoices(report: &Value) -> anyhow::Result<Vec<InvoiceKey>> {
    let keys =
        report["documents"].as_array().into_iter().flatten().filter_map(|document| document["key"].as_str());
    keys.map(|key| Ok(RawDocumentKey::parse(key)?.invoice)).collect()
}

fn show(certificate: &Certificate, output: &Output) -> anyhow::Result<()> {
    let subject = &certificate.subject;
    output.heading(&format!(
        "{} invoice {} ({}): {} {} by {}",
        subject.period,
        subject.invoice_id,
        subject.provider_status.as_deref().unwrap_or("no status"),
        certificate.provider_total,
        certificate.currency,
        certificate.provider_total_source
    ));
    output.listing(&rows(certificate)?)?;
    if output.format == Format::Table {
        output.line(&format!("   {}: {}", certificate.status, certificate.explanation));
        for adjustment in &certificate.adjustments {
            output.line(&format!("   {} of {}: {}", adjustment.kind, adjustment.amount, adjustment.reason));
        }
    }
    Ok(())
}

async fn restated(session: &Session, invoice: &InvoiceKey, output: &Output) -> anyhow::Result<()> {
    let Some(certificate) = newest_certificate(session, invoice).await? else { return Ok(()) };
    let Some(supersedes) = &certificate.supersedes else { return Ok(()) };
    let mut listing = Listing::new(&["project", "difference>"]);
    for change in supersedes.targets.values() {
        listing.row(vec![change.name.clone(), change.difference.to_string()]);
    }
    listing.total(vec!["total".into(), supersedes.difference.to_string()]);
    output.listing(&listing)?;
    if output.format == Format::Table
        && let Some(period) = session.ledger.period(invoice).await?
    {
        output.line(&format!("   the period {} is {}: {}", invoice.period, period.state, period.reason));
    }
    Ok(())
}

fn summary(certificates: &[Certificate]) -> Listing {
    let mut listing = Listing::new(&[
        "month",
        "invoice",
        "provider total>",
        "charges>",
        "allocated>",
        "unallocated>",
        "certificate",
    ]);
    for certificate in certificates {
        listing.row(vec![
            certificate.subject.period.to_string(),
            certificate.subject.invoice_id.to_string(),
            certificate.provider_total.to_string(),
            certificate.charges_total.to_string(),
            certificate.allocated_total.to_string(),
            certificate.unallocated_total.to_string(),
            certificate.status.to_string(),
        ]);
    }
    listing
}

fn epilogue(session: &Session, certificates: &[Certificate], started: Instant) -> String {
    let root = session.embedded.as_ref().map(|embedded| embedded.home.object("")).unwrap_or_default();
    let example = certificates.iter().rev().find(|certificate| certificate.status == Status::Explained);
    let (csv, proof) =
        example.map(|c| (c.invoice().allocations(), c.invoice().certificate(&c.subject.revision))).unzip();
    let lines = [
        format!("\nDone in {} ms. The files are in {}", started.elapsed().as_millis(), root.display()),
        String::new(),
        "Try next:".into(),
        "  monthend status                       periods and invoices; the restated one is reopened".into(),
        format!("  monthend cat {}", csv.unwrap_or_default()),
        format!("  monthend cat {}", proof.unwrap_or_default()),
        "  monthend ls charges/                  FOCUS rows as Parquet, for DuckDB, Athena and Spark".into(),
        "  monthend run                          the same again: nothing changes".into(),
        "  monthend reset                        remove all of it".into(),
        "With your own organisation: PUBLIC_KEY, PRIVATE_KEY and ORG_ID in .env, then `monthend reset` and `monthend run`.".into(),
    ];
    lines.join("\n")
}
