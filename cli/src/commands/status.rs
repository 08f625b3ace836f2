//! `monthend status`

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use billing::identity::{Id, Rule};
use billing::ids::Provider;
use billing::intake::Import;
use billing::keys::{FOCUS, FocusKey, IMPORTS, InvoiceKey, RawDocumentKey};
use billing::manifest::Manifest;
use billing::month::BillingMonth;
use billing::revision::Revision;
use chrono::Utc;
use cloud::ledger::{PeriodRecord, RevisionRecord, RevisionState};
use cloud::posted::Posted;
use cloud::seals::Sealed;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;

use crate::Ended;
use crate::args;
use crate::commands::invoices::{RECORD_COLUMNS, newest_certificate, record_cells};
use crate::commands::{held, metering_status, reports};
use crate::output::{Format, Listing, Output};
use crate::session::Session;

const AT_ONCE: usize = 8;

/// In place of the verdict of a certificate that is not what was certified.
pub(crate) const DAMAGED: &str = "damaged";

/// What came in of one invoice.
#[derive(Default)]
struct Raw {
    /// Invoices in one document, and manifests.
    revisions: Vec<Revision>,
    /// FOCUS exports that somebody put there; only their content says which revision they are.
    exports: usize,
    /// Parts of a bill.
    parts: usize,
}

/// One invoice: what came in, and what the ledger knows of it.
struct Invoice {
    key: InvoiceKey,
    raw: Raw,
    records: Vec<RevisionRecord>,
    latest: Option<Revision>,
    period: Option<PeriodRecord>,
    /// Why the newest certificate is not believed.
    damaged: Option<String>,
}

pub(crate) async fn status(
    status: &args::Status,
    session: &Session,
    output: &Output,
) -> anyhow::Result<Ended> {
    let (mut by_invoice, mut strangers) = (BTreeMap::<InvoiceKey, Raw>::new(), Vec::new());
    let mut by_report = BTreeMap::<InvoiceKey, Vec<Revision>>::new();
    let mut imports = Vec::new();
    let wanted = |invoice: &InvoiceKey| status.month.is_none_or(|month| month == invoice.period);
    for object in session.bucket.list(billing::keys::RAW).await? {
        if object.key.starts_with(FOCUS) {
            match FocusKey::parse(&object.key) {
                Ok(key) if wanted(&key.invoice) => by_invoice.entry(key.invoice).or_default().exports += 1,
                Ok(_) => {}
                Err(error) => strangers.push(error.to_string()),
            }
            continue;
        }
        if Import::is_key(&object.key) {
            imports.push(object.key);
            continue;
        }
        // a document of an import
        if object.key.starts_with(IMPORTS) {
            continue;
        }
        match RawDocumentKey::parse(&object.key) {
            Ok(key) if !wanted(&key.invoice) => {}
            // what a driver was made of
            Ok(key) if key.invoice.provider == Provider::prometheus() => {}
            Ok(key) if reports::is_report(&key.invoice) => {
                by_report.entry(key.invoice).or_default().push(key.revision);
            }
            Ok(key) => {
                let atlas = key.invoice.provider == Provider::atlas();
                let raw = by_invoice.entry(key.invoice).or_default();
                match atlas || key.extension == Manifest::EXTENSION {
                    true => raw.revisions.push(key.revision),
                    false => raw.parts += 1,
                }
            }
            Err(error) => strangers.push(error.to_string()),
        }
    }
    for (invoice, revision) in imported(session, imports).await? {
        if wanted(&invoice) {
            by_invoice.entry(invoice).or_default().revisions.push(revision);
        }
    }
    let looked_up = stream::iter(by_invoice).map(|(key, raw)| look_up(session, key, raw)).buffered(AT_ONCE);
    let mut invoices: Vec<Invoice> = looked_up.try_collect().await?;
    invoices.sort_by(|a, b| (a.key.period, &a.key).cmp(&(b.key.period, &b.key)));

    let (listing, mut remarks, held) = describe(&invoices);
    let damaged: Vec<String> = invoices.iter().filter_map(|invoice| invoice.damaged.clone()).collect();
    let is_damaged = !damaged.is_empty();
    remarks.extend(damaged);
    if status.month.is_none() {
        remarks.extend(missing(&invoices, BillingMonth::containing(Utc::now()).previous()));
    }
    for invoice in invoices.iter().filter(|invoice| invoice.damaged.is_none()) {
        remarks.extend(changed(session, invoice).await?);
    }
    let reported = reports::status(session, by_report, status.month).await?;
    remarks.extend(reported.remarks);
    remarks.extend(strangers);
    let older = Posted::look(&session.bucket, session.ledger.reader()).await?.problem();
    let is_older = older.is_some();
    remarks.extend(older);
    let others = held::held(session, status.month).await?;
    remarks.extend(undelivered(session)?);
    let metering = metering_status::of_all(session, status.month).await?;
    let metering_held = metering.iter().any(|plan| plan.remarks().1);
    match output.format {
        Format::Json => {
            let plans: Vec<_> = metering.iter().map(|plan| plan.to_json(&plan.remarks().0)).collect();
            output.json(&json!({
                "invoices": listing.to_json(),
                "usage_reports": reported.listing.to_json(),
                "metering": plans,
                "held": others.to_json(),
                "remarks": remarks,
            }));
        }
        Format::Csv => output.listing(&listing)?,
        Format::Table => {
            output.listing(&listing)?;
            if !reported.listing.is_empty() {
                output.heading("Usage reports");
                output.listing(&reported.listing)?;
            }
            if !others.is_empty() {
                output.heading("Held");
                output.listing(&others)?;
            }
            remarks.iter().for_each(|remark| output.note(remark));
            for plan in &metering {
                plan.show(output)?;
            }
        }
    }
    let held = held || is_older || is_damaged || reported.held || metering_held || !others.is_empty();
    Ok(if held { Ended::Held } else { Ended::Done })
}

/// The bills of imports, each with the revision that it is.
async fn imported(session: &Session, keys: Vec<String>) -> anyhow::Result<Vec<(InvoiceKey, Revision)>> {
    let read = stream::iter(keys).map(async |key| {
        let object = session.bucket.get(&key, None).await?;
        let Some(object) = object else { return Ok(Vec::new()) };
        let import = Import::read(&key, &object.bytes).with_context(|| key.clone())?;
        let bills =
            import.revisions()?.into_iter().map(|(revision, manifest)| (manifest.invoice(), revision));
        anyhow::Ok(bills.collect::<Vec<_>>())
    });
    let all: Vec<Vec<_>> = read.buffered(AT_ONCE).try_collect().await?;
    Ok(all.into_iter().flatten().collect())
}

async fn look_up(session: &Session, key: InvoiceKey, raw: Raw) -> anyhow::Result<Invoice> {
    let records = session.ledger.revisions(&key).await?;
    let latest = session.ledger.latest(&key).await?;
    let period = session.ledger.period(&key).await?;
    let damaged = match &latest {
        Some(latest) => damage(session, &Sealed::of(&key, latest)).await?,
        None => None,
    };
    Ok(Invoice { key, raw, records, latest, period, damaged })
}

/// Why a certificate that the ledger names is not believed.
pub(crate) async fn damage(session: &Session, sealed: &Sealed<'_>) -> anyhow::Result<Option<String>> {
    match sealed.read(&session.bucket, &session.ledger).await {
        Ok(Some(_)) => Ok(None),
        Ok(None) => Ok(Some(sealed.gone(&session.ledger).await?.to_string())),
        Err(error) if error.is_damage() => Ok(Some(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn describe(invoices: &[Invoice]) -> (Listing, Vec<String>, bool) {
    let columns = ["month", "period", "provider", "account", "invoice", "revisions>"];
    let mut listing = Listing::new(&[columns.as_slice(), RECORD_COLUMNS.as_slice()].concat());
    let (mut remarks, mut held) = (Vec::new(), false);
    for invoice in invoices {
        let key = &invoice.key;
        let newest =
            invoice.latest.as_ref().and_then(|latest| invoice.records.iter().find(|r| r.revision == *latest));
        let shown = newest.or(invoice.records.last());
        if invoice.raw.parts > 0 && invoice.raw.revisions.is_empty() {
            let parts = invoice.raw.parts;
            remarks.push(format!("{key}: {parts} parts without a manifest: fetch the month again"));
        }
        for record in held_exports(invoice) {
            held = true;
            remarks.push(format!("{key}: {} is held: {}", record.raw_key, record.reason));
        }
        if invoice.raw.exports > 0 && invoice.records.is_empty() {
            remarks.push(format!("{key}: its export is not allocated yet"));
        }
        for revision in &invoice.raw.revisions {
            match invoice.records.iter().find(|record| record.revision == *revision) {
                None => remarks.push(format!("{key}: revision {revision} is not allocated yet")),
                Some(record) if record.state == RevisionState::Held && is_replaced(invoice, record) => {}
                Some(record) if record.state == RevisionState::Held => {
                    held = true;
                    remarks.push(format!("{key}: revision {revision} is held: {}", record.reason));
                }
                Some(record) if record.state == RevisionState::Registered => {
                    remarks.push(format!("{key}: revision {revision} is not completed yet"));
                }
                Some(_) => {}
            }
        }
        if let Some(period) =
            invoice.period.as_ref().filter(|period| period.state == billing::period::PeriodState::Reopened)
        {
            let remark = format!("{} of {} reopened: {}", key.period, key.billing_account, period.reason);
            if !remarks.contains(&remark) {
                remarks.push(remark);
            }
        }
        let period = invoice.period.as_ref().map(|period| period.state.to_string()).unwrap_or_default();
        let mut row = vec![key.period.to_string(), period];
        row.extend(
            [key.provider.as_str(), key.billing_account.as_str(), key.invoice_id.as_str()].map(str::to_owned),
        );
        let exports = if invoice.raw.exports > 0 { invoice.records.len() } else { 0 };
        row.push((invoice.raw.revisions.len() + exports).to_string());
        let mut cells = record_cells(shown);
        if invoice.damaged.is_some() && newest.is_some() {
            DAMAGED.clone_into(&mut cells[2]);
        }
        row.extend(cells);
        listing.row(row);
    }
    (listing, remarks, held)
}

/// What is held of FOCUS exports and was not replaced.
fn held_exports(invoice: &Invoice) -> impl Iterator<Item = &RevisionRecord> {
    let held = invoice.records.iter().filter(|record| record.state == RevisionState::Held);
    held.filter(|record| record.raw_key.starts_with(FOCUS) && !is_replaced(invoice, record))
}

/// Whether something newer came that is not held.
fn is_replaced(invoice: &Invoice, held: &RevisionRecord) -> bool {
    let newest = invoice.records.iter().rfind(|record| record.is_published());
    newest.is_some_and(|newest| newest.order >= held.order)
}

/// Ended months without a bill, between the first and the last of an account; for accounts that still get bills, until now. Of the others
/// that they get none any more: they were left, or something does not fetch them.
fn missing(invoices: &[Invoice], last_ended: BillingMonth) -> Vec<String> {
    // an account may stand under several spellings: it is shown under the last of them in order
    let mut accounts: BTreeMap<(&str, String), (&str, BTreeSet<BillingMonth>)> = BTreeMap::new();
    for Invoice { key, .. } in invoices {
        let (provider, account) = (key.provider.as_str(), key.billing_account.as_str());
        let same = Rule::named(provider).key(Id::BillingAccount, account).into_owned();
        let (shown, months) = accounts.entry((provider, same)).or_default();
        *shown = (*shown).max(account);
        months.insert(key.period);
    }
    let mut remarks = Vec::new();
    for ((provider, _), (account, months)) in accounts {
        let (Some(&first), Some(&last)) = (months.first(), months.last()) else { continue };
        let still_billed = last >= last_ended.previous().previous();
        let until = if still_billed { last.max(last_ended) } else { last };
        let expected = std::iter::successors(Some(first), |month| Some(month.next()));
        for month in expected.take_while(|month| *month <= until).filter(|month| !months.contains(month)) {
            remarks.push(format!("{provider} {account}: there is no bill of {month}"));
        }
        if !still_billed {
            remarks.push(format!("{provider} {account}: the newest bill is of {last}, there is none since"));
        }
    }
    remarks
}

/// What the newest revision of an invoice changed.
async fn changed(session: &Session, invoice: &Invoice) -> anyhow::Result<Option<String>> {
    let published = invoice.records.iter().filter(|record| record.is_published()).count();
    if published < 2 {
        return Ok(None);
    }
    let Some(certificate) = newest_certificate(session, &invoice.key).await? else { return Ok(None) };
    Ok(certificate.supersedes.filter(|change| !change.targets.is_empty()).map(|change| {
        let (key, revision) = (&invoice.key, &certificate.subject.revision);
        let targets = change.targets.len();
        format!(
            "{key}: revision {revision} changed {} by {} {} in {targets} rows",
            change.revision, change.difference, certificate.currency
        )
    }))
}

/// Notifications that wait and events that were given up.
fn undelivered(session: &Session) -> anyhow::Result<Vec<String>> {
    let Some(embedded) = &session.embedded else { return Ok(Vec::new()) };
    let mut remarks = Vec::new();
    match embedded.queue.waiting()? {
        0 => {}
        waiting => remarks
            .push(format!("{waiting} notifications wait for delivery: `monthend run` or `up` delivers them")),
    }
    for (id, letter) in embedded.queue.dead_letters()? {
        remarks.push(format!(
            "given up after {} attempts, {}: {} (dead letter {id})",
            letter.attempts, letter.function, letter.error
        ));
    }
    Ok(remarks)
}
