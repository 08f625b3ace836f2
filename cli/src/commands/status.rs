//! `monthend status`

use std::collections::BTreeMap;

use billing::keys::{InvoiceKey, RawDocumentKey};
use billing::revision::Revision;
use cloud::ledger::{PeriodRecord, RevisionRecord, RevisionState};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;

use crate::Ended;
use crate::args;
use crate::commands::invoices::{RECORD_COLUMNS, record_cells};
use crate::commands::{metering_status, reports};
use crate::output::{Format, Listing, Output};
use crate::session::Session;

const AT_ONCE: usize = 8;

/// One invoice: what came in, and what the ledger knows of it.
struct Invoice {
    key: InvoiceKey,
    raw: Vec<Revision>,
    records: Vec<RevisionRecord>,
    latest: Option<Revision>,
    period: Option<PeriodRecord>,
}

pub(crate) async fn status(
    status: &args::Status,
    session: &Session,
    output: &Output,
) -> anyhow::Result<Ended> {
    let (mut by_invoice, mut strangers) = (BTreeMap::<InvoiceKey, Vec<Revision>>::new(), Vec::new());
    let mut by_report = BTreeMap::<InvoiceKey, Vec<Revision>>::new();
    for object in session.bucket.list(billing::keys::RAW).await? {
        match RawDocumentKey::parse(&object.key) {
            Ok(key) if status.month.is_none_or(|month| month == key.invoice.period) => {
                let by_key = if reports::is_report(&key.invoice) { &mut by_report } else { &mut by_invoice };
                by_key.entry(key.invoice).or_default().push(key.revision);
            }
            Ok(_) => {}
            Err(error) => strangers.push(error.to_string()),
        }
    }
    let looked_up = stream::iter(by_invoice).map(|(key, raw)| look_up(session, key, raw)).buffered(AT_ONCE);
    let mut invoices: Vec<Invoice> = looked_up.try_collect().await?;
    invoices.sort_by(|a, b| (a.key.period, &a.key).cmp(&(b.key.period, &b.key)));

    let (listing, mut remarks, held) = describe(&invoices);
    let reported = reports::status(session, by_report, status.month).await?;
    remarks.extend(reported.remarks);
    remarks.extend(strangers);
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
            remarks.iter().for_each(|remark| output.note(remark));
            for plan in &metering {
                plan.show(output)?;
            }
        }
    }
    Ok(if held || reported.held || metering_held { Ended::Held } else { Ended::Done })
}

async fn look_up(session: &Session, key: InvoiceKey, raw: Vec<Revision>) -> anyhow::Result<Invoice> {
    let records = session.ledger.revisions(&key).await?;
    let latest = session.ledger.latest(&key).await?;
    let period = session.ledger.period(&key).await?;
    Ok(Invoice { key, raw, records, latest, period })
}

fn describe(invoices: &[Invoice]) -> (Listing, Vec<String>, bool) {
    let columns = ["month", "period", "provider", "account", "invoice", "revisions>"];
    let mut listing = Listing::new(&[columns, RECORD_COLUMNS].concat());
    let (mut remarks, mut held) = (Vec::new(), false);
    for invoice in invoices {
        let key = &invoice.key;
        let newest =
            invoice.latest.as_ref().and_then(|latest| invoice.records.iter().find(|r| r.revision == *latest));
        let shown = newest.or(invoice.records.last());
        for revision in &invoice.raw {
            match invoice.records.iter().find(|record| record.revision == *revision) {
                None => remarks.push(format!("{key}: revision {revision} is not allocated yet")),
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
        row.push(invoice.raw.len().to_string());
        row.extend(record_cells(shown));
        listing.row(row);
    }
    (listing, remarks, held)
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
    for (file, letter) in embedded.queue.dead_letters()? {
        remarks.push(format!(
            "given up after {} attempts, {}: {} ({})",
            letter.attempts,
            letter.function,
            letter.error,
            file.display()
        ));
    }
    Ok(remarks)
}
