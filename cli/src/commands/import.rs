//! `monthend import`: a file of bills into the bucket, each bill under its own key.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use billing::bill::{detect, mapping};
use billing::charges::{Document, Figures, OtherBill, Totals, bills, header};
use billing::ids::{BillingAccountId, InvoiceId, Provider};
use billing::keys::{FocusKey, InvoiceKey};
use billing::manifest::{Format, Manifest};
use billing::period::Finality;
use billing::revision::Revision;
use chrono::Utc;
use cloud::bucket::{Spool, Spooled};
use cloud::ledger::{RevisionRecord, RevisionState};

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
    let mapping = mapping(format, None).context("bills of this format cannot be read")?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let totals =
        bills(&document, mapping, threads).with_context(|| format!("failed to read {}", path.display()))?;
    let found = found(&totals, import.invoice.as_deref().unwrap_or_else(|| stem(name)))?;
    for row in &totals.held {
        output.note(&row.to_string());
    }
    let unread = totals.held_rows;
    ensure!(!found.is_empty(), "none of its {} rows is a charge", totals.rows);
    let twins = twins(session, &found).await?;
    let mut ended = Ended::Done;
    if import.dry_run {
        twins.iter().for_each(|twin| output.note(&twin.to_string()));
    } else {
        if let Some(twin) = twins.first().filter(|_| !import.additional) {
            bail!("{twin}");
        }
        let mut spool = Spool::new()?;
        spool.write_file(document.file.try_clone()?).await?;
        let spooled = spool.finish().await?;
        let mut revisions = Vec::with_capacity(found.len());
        for bill in &found {
            revisions.push(put(session, bill, &spooled, name, format).await?);
        }
        session.follow(output, "allocating").await?;
        for (bill, revision) in found.iter().zip(&revisions) {
            if let Some(note) = superseded(session, &bill.invoice, revision).await? {
                output.note(&note);
                ended = Ended::Failed;
            }
        }
    }
    show(session, &found, import.dry_run, output).await?;
    let charges: u64 = found.iter().map(|bill| bill.figures.charges).sum();
    output.note(&format!(
        "{} rows read: {charges} charges in {} bills, {unread} rows that cannot be read",
        totals.rows,
        found.len()
    ));
    ended = ended.max(report_dead_letters(session, output)?);
    Ok(if unread > 0 { ended.max(Ended::Held) } else { ended })
}

/// A bill of the file, and another one of its account and month.
struct Twin<'f> {
    found: &'f InvoiceKey,
    other: InvoiceId,
}

impl fmt::Display for Twin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found: InvoiceKey { provider, billing_account, period, .. }, other } = self;
        write!(
            f,
            "{billing_account} of {provider} has a bill of {period} already, named {other}: if the file replaces it, \
             import it with --invoice '{other}'; if it is a further bill of that month, with --additional"
        )
    }
}

/// Two bills of one account and month are counted both: mostly they are the same costs, exported twice.
async fn twins<'f>(session: &Session, found: &'f [Found]) -> anyhow::Result<Vec<Twin<'f>>> {
    let mut twins = Vec::new();
    for Found { invoice, .. } in found {
        let Some(period) = session.ledger.period(invoice).await? else { continue };
        for id in period.invoices.into_keys().filter(|id| *id != invoice.invoice_id.as_str()) {
            let other = InvoiceKey { invoice_id: InvoiceId::new(id)?, ..invoice.clone() };
            if session.ledger.latest(&other).await?.is_some() {
                twins.push(Twin { found: invoice, other: other.invoice_id });
            }
        }
    }
    Ok(twins)
}

/// What to say of bytes that were allocated before and are not the newest any more.
async fn superseded(
    session: &Session,
    invoice: &InvoiceKey,
    revision: &Revision,
) -> anyhow::Result<Option<String>> {
    let allocated = session.ledger.revision(invoice, revision).await?;
    let latest = session.ledger.latest(invoice).await?;
    let is_older = allocated.is_some_and(|record| record.state == RevisionState::Allocated)
        && latest.as_ref().is_some_and(|latest| latest != revision);
    Ok(is_older.then(|| {
        format!(
            "{invoice}: these bytes were allocated before as revision {revision}, and revision {} has superseded them, so \
             nothing was changed; if they are to count again, import them in other bytes (a CSV with an empty line more, \
             a Parquet file written anew)",
            latest.map(|latest| latest.to_string()).unwrap_or_default()
        )
    }))
}

/// The name without what tells the format.
fn stem(name: &str) -> &str {
    let extensions = [".csv.gz", ".csv.zip", ".csv", ".snappy.parquet", ".parquet"];
    let without = |extension: &str| {
        let (stem, end) = name.split_at_checked(name.len().checked_sub(extension.len())?)?;
        end.eq_ignore_ascii_case(extension).then_some(stem)
    };
    extensions.into_iter().find_map(without).unwrap_or(name)
}

fn found(totals: &Totals, invoice: &str) -> anyhow::Result<Vec<Found>> {
    let names_provider = totals.elsewhere.keys().any(|bill| bill.provider_name.is_some());
    ensure!(
        !names_provider || totals.elsewhere.keys().all(|bill| bill.provider_name.is_some()),
        "some of its rows name no ProviderName, and others do: whose bill they are of cannot be told; export it with all of them"
    );
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
        provider: Provider::named(bill.provider_name.as_deref().unwrap_or("unknown"))?,
        billing_account: BillingAccountId::new(account)?,
        period: bill.month.context("its rows do not say which month they are of")?,
        invoice_id: InvoiceId::new(invoice)?,
    })
}

/// Puts the file into the bucket as this bill; answers the revision that it is.
async fn put(
    session: &Session,
    bill: &Found,
    spooled: &Spooled,
    name: &str,
    format: Format,
) -> anyhow::Result<Revision> {
    let (invoice, file) = (bill.invoice.clone(), spooled.file.try_clone()?);
    if format == Format::Focus {
        let key = FocusKey { invoice, file: name.to_owned() }.to_string();
        let mut upload = session.bucket.upload(key, "application/octet-stream").fetched_at(Utc::now());
        upload.write_file(file).await?;
        upload.finish().await?;
        return Ok(Revision::of_sha256(&spooled.sha256));
    }
    let mut spool = Spool::new()?;
    spool.write_file(file).await?;
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
        // a report may hold several accounts; each bill takes its own rows
        shared: true,
        sub_account_names: BTreeMap::new(),
    };
    session.bucket.keep_manifest(&manifest, Utc::now()).await?;
    Ok(Revision::of(&manifest.to_json()?))
}

/// The bills of the file; unless it is a dry run, what became of them.
async fn show(session: &Session, found: &[Found], dry_run: bool, output: &Output) -> anyhow::Result<()> {
    let columns = ["month", "provider", "account", "invoice", "rows>", "BilledCost>"];
    let outcome = if dry_run { &[] } else { RECORD_COLUMNS.as_slice() };
    let mut listing = Listing::new(&[columns.as_slice(), outcome].concat());
    for Found { invoice, figures } in found {
        let mut row = vec![invoice.period.to_string()];
        row.extend(
            [invoice.provider.as_str(), invoice.billing_account.as_str(), invoice.invoice_id.as_str()]
                .map(str::to_owned),
        );
        row.extend([figures.charges.to_string(), figures.billed.to_string()]);
        if !dry_run {
            row.extend(record_cells(newest(session, invoice).await?.as_ref()));
        }
        listing.row(row);
    }
    output.listing(&listing)
}

async fn newest(session: &Session, invoice: &InvoiceKey) -> anyhow::Result<Option<RevisionRecord>> {
    Ok(session.ledger.revisions(invoice).await?.pop())
}
