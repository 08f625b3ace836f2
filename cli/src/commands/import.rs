//! `monthend import`: a file of bills into the bucket, each bill under its own key.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use billing::bill::{detect, mapping};
use billing::charges::{Document, Figures, OtherBill, Totals, bills, header};
use billing::ids::{BillingAccountId, InvoiceId, Provider};
use billing::keys::{FocusKey, InvoiceKey};
use billing::manifest::{Format, Manifest};
use billing::period::Finality;
use chrono::Utc;
use cloud::bucket::Spool;
use cloud::ledger::RevisionRecord;

use crate::Ended;
use crate::args;
use crate::commands::invoices::{RECORD_COLUMNS, record_cells, report_dead_letters};
use crate::output::{Listing, Output};
use crate::session::Session;

/// One bill of the file.
struct Found {
    invoice: InvoiceKey,
    figures: Figures,
}

pub(crate) async fn import(
    import: &args::Import,
    session: &Session,
    output: &Output,
) -> anyhow::Result<Ended> {
    let path = &import.file;
    let name = path.file_name().and_then(|name| name.to_str()).context("the file has no usable name")?;
    let file = File::open(path).with_context(|| format!("failed to read {}", path.display()))?;
    let document = Document { key: name, file: Arc::new(file) };
    let columns = header(&document).with_context(|| format!("failed to read {}", path.display()))?;
    let format = detect(&columns).with_context(|| {
        format!("{} is no bill that is known: a FOCUS export has a column BilledCost", path.display())
    })?;
    let mapping = mapping(format).context("bills of this format cannot be read")?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let totals =
        bills(&document, mapping, threads).with_context(|| format!("failed to read {}", path.display()))?;
    let found = found(&totals, import.invoice.as_deref().unwrap_or_else(|| stem(name)))?;
    for row in &totals.held {
        output.note(&row.to_string());
    }
    let unread = totals.held_rows;
    ensure!(!found.is_empty(), "none of its {} rows is a charge", totals.rows);
    if !import.dry_run {
        for bill in &found {
            put(session, bill, path, name, format).await?;
        }
        session.follow(output, "allocating").await?;
    }
    show(session, &found, output).await?;
    let charges: u64 = found.iter().map(|bill| bill.figures.charges).sum();
    output.note(&format!(
        "{} rows read: {charges} charges in {} bills, {unread} rows that cannot be read",
        totals.rows,
        found.len()
    ));
    let ended = report_dead_letters(session, output)?;
    Ok(if unread > 0 { ended.max(Ended::Held) } else { ended })
}

/// The name without what tells the format.
fn stem(name: &str) -> &str {
    let extensions = [".csv.gz", ".csv.zip", ".csv", ".snappy.parquet", ".parquet"];
    extensions.into_iter().find_map(|extension| name.strip_suffix(extension)).unwrap_or(name)
}

fn found(totals: &Totals, invoice: &str) -> anyhow::Result<Vec<Found>> {
    // one file may hold a bill in several currencies: it is one bill all the same, and will be held
    let mut by_bill: BTreeMap<InvoiceKey, Figures> = BTreeMap::new();
    for (bill, figures) in &totals.elsewhere {
        by_bill.entry(key(bill, invoice)?).or_default().add(figures)?;
    }
    Ok(by_bill.into_iter().map(|(invoice, figures)| Found { invoice, figures }).collect())
}

fn key(bill: &OtherBill, invoice: &str) -> anyhow::Result<InvoiceKey> {
    let account = bill.billing_account.as_deref().unwrap_or("unknown");
    Ok(InvoiceKey {
        provider: Provider::new(slug(&bill.provider_name))?,
        billing_account: BillingAccountId::new(account)?,
        period: bill.month.context("its rows do not say which month they are of")?,
        invoice_id: InvoiceId::new(invoice)?,
    })
}

/// The word under which a provider's documents are filed.
fn slug(provider_name: &str) -> String {
    match provider_name {
        "AWS" | "Amazon Web Services" => "aws".to_owned(),
        "Microsoft" | "Microsoft Azure" | "Azure" => "azure".to_owned(),
        "Google Cloud" | "GCP" | "Google Cloud Platform" => "gcp".to_owned(),
        other => {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
            other.chars().map(plain).collect()
        }
    }
}

async fn put(session: &Session, bill: &Found, path: &Path, name: &str, format: Format) -> anyhow::Result<()> {
    let file = || File::open(path).with_context(|| format!("failed to read {}", path.display()));
    let invoice = bill.invoice.clone();
    if format == Format::Focus {
        let key = FocusKey { invoice, file: name.to_owned() }.to_string();
        let mut upload = session.bucket.upload(key, "application/octet-stream").fetched_at(Utc::now());
        upload.write_file(file()?).await?;
        return Ok(upload.finish().await?);
    }
    let mut spool = Spool::new()?;
    spool.write_file(file()?).await?;
    let extension = name.strip_prefix(stem(name)).unwrap_or_default().trim_start_matches('.');
    let part = session.bucket.keep(&invoice, extension, "import".to_owned(), spool).await?;
    let manifest = Manifest {
        manifest: Manifest::VERSION,
        provider: invoice.provider,
        billing_account: invoice.billing_account,
        finality: if invoice.period.end() <= Utc::now() { Finality::Final } else { Finality::Open },
        period: invoice.period,
        invoice_id: invoice.invoice_id,
        provider_updated: None,
        format,
        parts: vec![part],
        documents: Vec::new(),
        invoices: Vec::new(),
        sub_account_names: BTreeMap::new(),
    };
    session.bucket.keep_manifest(&manifest, Utc::now()).await?;
    Ok(())
}

async fn show(session: &Session, found: &[Found], output: &Output) -> anyhow::Result<()> {
    let columns = ["month", "provider", "account", "invoice", "charges>", "BilledCost>"];
    let mut listing = Listing::new(&[columns.as_slice(), RECORD_COLUMNS.as_slice()].concat());
    for Found { invoice, figures } in found {
        let newest = newest(session, invoice).await?;
        let mut row = vec![invoice.period.to_string()];
        row.extend(
            [invoice.provider.as_str(), invoice.billing_account.as_str(), invoice.invoice_id.as_str()]
                .map(str::to_owned),
        );
        row.extend([figures.charges.to_string(), figures.billed.to_string()]);
        row.extend(record_cells(newest.as_ref()));
        listing.row(row);
    }
    output.listing(&listing)
}

async fn newest(session: &Session, invoice: &InvoiceKey) -> anyhow::Result<Option<RevisionRecord>> {
    Ok(session.ledger.revisions(invoice).await?.pop())
}
