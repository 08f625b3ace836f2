//! `monthend demo`: the whole story with invented data.

use std::time::Instant;

use billing::certificate::{Certificate, Status};
use billing::keys::{InvoiceKey, RawDocumentKey};
use billing::metering::MeteringCertificate;
use billing::money::{Decimal, sum};
use billing::month::BillingMonth;
use billing::shell::quoted;
use chrono::Utc;
use cloud::fetch::FetchReport;
use cloud::vars::Vars;
use fetch_atlas::InvoiceDetail;
use local::{Embedded, Home, HomeError, HomeKind, Options};
use serde_json::json;

use crate::Ended;
use crate::args;
use crate::commands::invoices::{newest_certificate, report_dead_letters, rows};
use crate::commands::invoke::read;
use crate::commands::metering::counted_listing;
use crate::commands::metering_status::of_all;
use crate::commands::{demo_bills, demo_reports, demo_teams};
use crate::output::{Format, Listing, Output, text};
use crate::session::{Session, home_folder, last_final, sandbox};

pub(crate) async fn demo(demo: &args::Demo, output: &Output) -> anyhow::Result<Ended> {
    let started = Instant::now();
    let closing = demo.month.unwrap_or_else(|| last_final(Utc::now()));
    let session = Box::pin(begin(closing)).await?;
    let teller = Teller { output, speaks: output.format == Format::Table };

    teller.heading(&format!("1. Fetch: what MongoDB Atlas has for the month end of {closing}"));
    let first = fetch(&session, output).await?;
    teller.listing(&fetched(&first))?;

    teller.heading("2. Allocate: each raw document's arrival started its allocation");
    let invoices = invoices(&first)?;
    for certificate in certificates(&session, &invoices).await? {
        show(&certificate, &teller)?;
    }

    teller.heading("3. Again: the same fetch a second time");
    let second = fetch(&session, output).await?;
    teller.line(&counts(&second, "nothing new was written, so nothing was started"));

    teller.heading("4. Restated: Atlas amends an invoice of the month before");
    let running = session.embedded.as_ref().and_then(|embedded| embedded.running.as_ref());
    let amended = running.and_then(|cloud| cloud.atlas()?.amend()).unwrap_or_default();
    let third = fetch(&session, output).await?;
    teller.line(&counts(&third, &format!("invoice {amended} came in a new revision")));
    if let Some(invoice) = invoices.iter().find(|invoice| invoice.invoice_id.as_str() == amended) {
        restated(&session, invoice, &teller).await?;
    }

    teller.heading("5. Bills: a month of AWS, Azure and Google Cloud, and of their invoices");
    let bills = demo_bills::bills(&session, &teller, closing).await?;

    teller.heading(
        "6. Metering: a customer's usage of each hour, exported by Omnistrate, billed through Clazar",
    );
    let metering = metering(&session, &teller).await?;

    teller.heading(&format!("7. Usage: what the datastores of a platform's customers used in {closing}"));
    let usage = demo_reports::usage(&session, &teller, closing).await?;
    teller.heading("8. Revenue: what the seller's clients paid, owe, and have credit for");
    let revenue = demo_reports::revenue(&session, &teller, closing).await?;

    teller.heading(&format!("9. Bills: what three teams owe for {closing}, of four providers"));
    let teams = demo_teams::bills(&session, &teller, closing).await?;

    let ended = report_dead_letters(&session, output)?;
    let mut certificates = certificates(&session, &invoices).await?;
    certificates.extend(bills.iter().cloned());
    teller.heading("10. Certificates: for every invoice, what came in equals what went out");
    match output.format {
        Format::Table | Format::Csv => output.listing(&summary(&certificates)?)?,
        Format::Json => output.json(&json!({
            "fetch": first, "second_fetch": second, "fetch_after_amendment": third, "certificates": certificates, "bills": bills,
            "metering": metering, "usage_report": usage, "revenue_reports": revenue, "bills_of_teams": teams,
        })),
    }
    teller.line(&epilogue(&session, &certificates, closing, started));
    Ok(ended)
}

type Fetched = FetchReport<InvoiceDetail>;

/// Tells the story where a person reads it; data formats get the end only.
pub(crate) struct Teller<'o> {
    pub(crate) output: &'o Output,
    pub(crate) speaks: bool,
}

impl Teller<'_> {
    fn heading(&self, text: &str) {
        self.output.heading(text);
    }

    pub(crate) fn line(&self, text: &str) {
        if self.speaks {
            self.output.line(text);
        }
    }

    pub(crate) fn listing(&self, listing: &Listing) -> anyhow::Result<()> {
        if self.speaks { self.output.listing(listing) } else { Ok(()) }
    }
}

fn counts(report: &Fetched, remark: &str) -> String {
    format!("{} fetched, {} unchanged: {remark}", report.fetched, report.unchanged)
}

async fn certificates(session: &Session, invoices: &[InvoiceKey]) -> anyhow::Result<Vec<Certificate>> {
    let mut certificates = Vec::new();
    for invoice in invoices {
        certificates.extend(newest_certificate(session, invoice).await?);
    }
    Ok(certificates)
}

/// A fresh home with a sandbox of Atlas; invented data of an earlier demo goes.
async fn begin(closing: BillingMonth) -> anyhow::Result<Session> {
    let home = Home::open(home_folder())?;
    home.claim(HomeKind::Sandbox)?;
    home.reset()?;
    let home = Home::open(home_folder())?;
    home.claim(HomeKind::Sandbox)?;
    let lock = home.lock()?.ok_or_else(|| HomeError::Busy(home.root().to_owned()))?;
    let vars = Vars::from_iter([("INVOICE_LIMIT", "5")]);
    let options = Options { sandboxes: Some(sandbox(Some(closing))), vars, ..Options::default() };
    let embedded = Box::pin(Embedded::start(&home, options)).await?;
    lock.announce(embedded.endpoints())?;
    Session::of_embedded(home, embedded, lock).await
}

/// Fetches and follows; answers the report.
async fn fetch(session: &Session, output: &Output) -> anyhow::Result<Fetched> {
    let report = read::<fetch_atlas::App>(session, &json!({})).await?;
    session.follow(output, "allocating").await?;
    Ok(report)
}

fn fetched(report: &Fetched) -> Listing {
    let mut listing =
        Listing::new(&["month", "invoice", "organisation", "status", "finality", "raw document"]);
    for document in &report.documents {
        let key = document.key.as_deref().unwrap_or_default();
        listing.row(vec![
            document.period.to_string(),
            document.invoice_id.clone(),
            document.billing_account.clone(),
            text(&document.detail.status),
            text(&document.finality),
            key.rsplit('/').next().unwrap_or_default().to_owned(),
        ]);
    }
    listing
}

fn invoices(report: &Fetched) -> anyhow::Result<Vec<InvoiceKey>> {
    let keys = report.documents.iter().filter_map(|document| document.key.as_deref());
    keys.map(|key| Ok(RawDocumentKey::parse(key)?.invoice)).collect()
}

fn show(certificate: &Certificate, teller: &Teller<'_>) -> anyhow::Result<()> {
    let subject = &certificate.subject;
    teller.heading(&format!(
        "{} invoice {} ({}): {} {} by {}",
        subject.period,
        subject.invoice_id,
        subject.provider_status.as_deref().unwrap_or("no status"),
        certificate.provider_total,
        certificate.currency,
        certificate.provider_total_source
    ));
    teller.listing(&rows(certificate)?)?;
    teller.line(&format!("   {}: {}", certificate.status, certificate.explanation));
    for adjustment in &certificate.adjustments {
        teller.line(&format!("   {} of {}: {}", adjustment.kind, adjustment.amount, adjustment.reason));
    }
    Ok(())
}

async fn restated(session: &Session, invoice: &InvoiceKey, teller: &Teller<'_>) -> anyhow::Result<()> {
    let Some(certificate) = newest_certificate(session, invoice).await? else { return Ok(()) };
    let Some(supersedes) = &certificate.supersedes else { return Ok(()) };
    let mut listing = Listing::new(&["project", "difference>"]);
    for change in supersedes.targets.values() {
        listing.row(vec![change.name.clone(), change.difference.to_string()]);
    }
    listing.total(vec!["total".into(), supersedes.difference.to_string()]);
    teller.listing(&listing)?;
    if let Some(period) = session.ledger.period(invoice).await? {
        teller.line(&format!("   the period {} is {}: {}", invoice.period, period.state, period.reason));
    }
    Ok(())
}

/// A month of usage, counted, sent, and sent again; answers the certificates.
async fn metering(session: &Session, teller: &Teller<'_>) -> anyhow::Result<Vec<MeteringCertificate>> {
    let counted = read::<fetch_omnistrate::App>(session, &json!({})).await?;
    session.follow(teller.output, "metering").await?;
    teller.listing(&counted_listing(&counted.months))?;
    let clazar = session.embedded.as_ref().and_then(|embedded| embedded.running.as_ref()?.clazar());
    let requests = || clazar.map_or(0, |clazar| clazar.metering_requests().len());
    let sent = requests();
    let mut certificates = Vec::new();
    for plan in of_all(session, None).await? {
        teller.heading(&plan.title());
        teller.listing(&plan.grid())?;
        plan.remarks().0.iter().for_each(|remark| teller.line(&format!("   {remark}")));
        certificates.extend(plan.certificates(session).await?);
    }
    for certificate in &certificates {
        let subject = &certificate.subject;
        teller.heading(&format!("{}: where the usage went, by dimension", subject.period));
        teller.listing(&dimensions(certificate))?;
        teller.line(&format!("   {}: {}", certificate.status, certificate.explanation));
    }
    read::<meter_clazar::App>(session, &json!({})).await?;
    teller.line(&format!(
        "\n{sent} requests, one for each contract and month; Clazar holds {} records. The same again: {} requests",
        clazar.map_or(0, |clazar| clazar.records().len()),
        requests() - sent
    ));
    Ok(certificates)
}

fn dimensions(certificate: &MeteringCertificate) -> Listing {
    let columns =
        ["dimension", "usage>", "carried in>", "accepted>", "open>", "late>", "carried on>", "unattributed>"];
    let mut listing = Listing::new(&columns);
    for (dimension, totals) in &certificate.dimensions {
        let figures = [
            totals.usage,
            totals.carry_in,
            totals.accepted,
            totals.open,
            totals.late,
            totals.carry_out,
            totals.unattributed,
        ];
        listing
            .row([dimension.clone()].into_iter().chain(figures.map(|figure| figure.to_string())).collect());
    }
    listing
}

fn summary(certificates: &[Certificate]) -> anyhow::Result<Listing> {
    let mut listing = Listing::new(&[
        "month",
        "invoice",
        "provider total>",
        "adjustments>",
        "charges>",
        "allocated>",
        "unallocated>",
        "certificate",
    ]);
    for certificate in certificates {
        // two decimals also where there are none
        let adjustments = certificate.adjustments.iter().map(|adjustment| adjustment.amount);
        let adjustments = sum(adjustments.chain([Decimal::new(0, 2)]))?;
        listing.row(vec![
            certificate.subject.period.to_string(),
            certificate.subject.invoice_id.to_string(),
            certificate.provider_total.to_string(),
            adjustments.to_string(),
            certificate.charges_total.to_string(),
            certificate.allocated_total.to_string(),
            certificate.unallocated_total.to_string(),
            certificate.status.to_string(),
        ]);
    }
    Ok(listing)
}

fn epilogue(
    session: &Session,
    certificates: &[Certificate],
    month: BillingMonth,
    started: Instant,
) -> String {
    let before = month.previous();
    let root = session.embedded.as_ref().map(|embedded| embedded.home.object("")).unwrap_or_default();
    let example = certificates.iter().rev().find(|certificate| certificate.status == Status::Explained);
    let (csv, proof) =
        example.map(|c| (c.invoice().allocations(), c.invoice().certificate(&c.subject.revision))).unzip();
    let monthend = quoted(&program());
    let lines = [
        format!("\nDone in {} ms. The files are in {}", started.elapsed().as_millis(), root.display()),
        String::new(),
        "Try next:".into(),
        format!("  {monthend} status        periods and invoices; the restated one is reopened"),
        format!("  {monthend} cat {}", quoted(&csv.unwrap_or_default())),
        format!("  {monthend} cat {}", quoted(&proof.unwrap_or_default())),
        format!("  {monthend} metering status   contracts and months; with --format csv, every submission"),
        format!("  {monthend} report revenue   the month before; with --example, the worked example of docs/revenue.md"),
        format!("  {monthend} report usage --format csv   the datastores; in a browser: {monthend} admin set-password, {monthend} up"),
        format!("  {monthend} explain bill --month {month} --customer 'Team Shop'   from each line to its charges"),
        format!("  {monthend} diff --from {before} --to {month}   what changed between the months"),
        format!("  {monthend} ls charges/   FOCUS rows as Parquet, for DuckDB, Athena and Spark"),
        format!("  {monthend} run           the same again: nothing changes"),
        format!("  {monthend} reset         remove all of it"),
        "With your own organisation: PUBLIC_KEY, PRIVATE_KEY and ORG_ID in .env, then `monthend reset` and `monthend run`.".into(),
    ];
    lines.join("\n")
}

/// How this program is called from here: by its name if it stands in the PATH, else by its path.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if !called.contains('/') {
        return called;
    }
    let here = std::env::current_dir().unwrap_or_default();
    let path = std::path::Path::new(&called);
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
