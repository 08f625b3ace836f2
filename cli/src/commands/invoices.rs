//! What several commands show: invoices as the ledger and their certificates have them.

use anyhow::Context;
use billing::certificate::{Certificate, Certified};
use billing::keys::{InvoiceKey, RawDocumentKey};
use cloud::ledger::RevisionRecord;
use cloud::seals::Sealed;

use crate::Ended;
use crate::commands::invoke;
use crate::output::{Listing, Output};
use crate::session::Session;

/// The record of a raw document, if it has been allocated or held.
pub(crate) async fn record_of(session: &Session, raw_key: &str) -> anyhow::Result<Option<RevisionRecord>> {
    let key = RawDocumentKey::parse(raw_key)?;
    Ok(session.ledger.revision(&key.invoice, &key.revision).await?)
}

/// Columns that tell of a revision; see [`record_cells`].
pub(crate) const RECORD_COLUMNS: [&str; 7] =
    ["finality", "state", "certificate", "currency", "provider total>", "charges>", "effective cost>"];

/// What the ledger knows of a revision; one that it does not know waits.
pub(crate) fn record_cells(record: Option<&RevisionRecord>) -> [String; 7] {
    let Some(record) = record else {
        return ["", "waiting", "", "", "", "", ""].map(str::to_owned);
    };
    let totals = record.totals.clone().unwrap_or_default();
    let finality = record.finality.map(|finality| finality.to_string()).unwrap_or_default();
    let status = record.status.map(|status| status.to_string()).unwrap_or_default();
    let state = if record.withdrawn { "withdrawn".to_owned() } else { record.state.to_string() };
    let effective = record.effective_cost.clone().unwrap_or_default();
    [finality, state, status, totals.currency, totals.provider, totals.charges, effective]
}

/// The certificate of an invoice's newest published revision.
pub(crate) async fn newest_certificate(
    session: &Session,
    invoice: &InvoiceKey,
) -> anyhow::Result<Option<Certificate>> {
    let Some(latest) = session.ledger.latest(invoice).await? else { return Ok(None) };
    let sealed = Sealed::of(invoice, &latest);
    let bytes = sealed.read(&session.bucket, &session.ledger).await?;
    let key = sealed.key;
    let bytes = bytes.with_context(|| format!("there is no certificate {key}"))?;
    Ok(Some(Certificate::from_json(&bytes).with_context(|| key)?))
}

/// The rows of a certificate with sums that add up.
pub(crate) fn rows(certificate: &Certificate) -> anyhow::Result<Listing> {
    let mut listing = Listing::new(&["project", "own lines>", "share of pool>", "adjustment>", "total>"]);
    let sum = |part: fn(&billing::certificate::CertifiedTarget) -> billing::money::Decimal| {
        billing::money::sum(certificate.targets.iter().map(part))
    };
    for target in &certificate.targets {
        listing.row(vec![
            target.name.clone(),
            target.own.to_string(),
            target.shared.to_string(),
            target.adjustment.to_string(),
            target.total.to_string(),
        ]);
    }
    for rest in &certificate.unallocated {
        let amount = rest.amount.to_string();
        listing.row(vec![format!("({})", rest.kind), amount.clone(), String::new(), String::new(), amount]);
    }
    let unallocated = certificate.unallocated_total;
    let zero_cents = billing::money::Decimal::new(0, 2);
    let shown = |amount| billing::money::add(amount, zero_cents).map(|amount| amount.to_string());
    listing.total(vec![
        "total".into(),
        shown(billing::money::add(sum(|target| target.own)?, unallocated)?)?,
        shown(sum(|target| target.shared)?)?,
        shown(sum(|target| target.adjustment)?)?,
        shown(certificate.published_total()?)?,
    ]);
    Ok(listing)
}

/// Says which events were given up in this session, and what that means for the exit code.
pub(crate) fn report_dead_letters(session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let mut ended = Ended::Done;
    for (id, letter) in session.new_dead_letters()? {
        output.note(&format!("{}: {} (dead letter {id})", letter.function, letter.error));
        ended = ended.max(invoke::ended(letter.outcome));
    }
    Ok(ended)
}
