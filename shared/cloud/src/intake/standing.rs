//! The bills of a month that count.

use billing::certificate::{Certificate, Certified};
use billing::charges::Figures;
use billing::ids::{InvoiceId, Provider};
use billing::intake::{Import, Standing, is_total};
use billing::keys::{
    CHARGES, FOCUS, FocusKey, InvoiceKey, RawDocumentKey, bill_of_charges, invoice_of_certificate,
};
use billing::manifest::{Format, Manifest, Part};
use billing::month::BillingMonth;
use billing::period::Finality;

use super::IntakeError;
use super::plan::NAME;
use crate::bucket::BucketReader;
use crate::ledger::{LedgerReader, RevisionRecord, RevisionState, Totals};
use crate::seals::Sealed;

/// The bills of a month that count, of all providers: published, and not withdrawn. Where a bill comes to `like`, how many charges it
/// has is looked up.
///
/// # Errors
/// [`IntakeError`].
pub async fn standing(
    bucket: &BucketReader,
    ledger: &LedgerReader,
    month: BillingMonth,
    like: Option<&Figures>,
) -> Result<Vec<Standing>, IntakeError> {
    let mut standing = Vec::new();
    for invoice in invoices(bucket, month).await? {
        let Some(record) = newest(ledger, &invoice).await? else { continue };
        if record.withdrawn {
            continue;
        }
        let Totals { currency, charges: charges_total, .. } = record.totals.clone().unwrap_or_default();
        let same = like.is_some_and(|like| is_total(like, &charges_total));
        let charges = if same { charges_of(bucket, ledger, &invoice, &record).await? } else { None };
        let is_numbered = invoice.is_numbered() && !invoice.invoice_id.as_str().starts_with(NAME);
        let revision = record.revision;
        standing.push(Standing { invoice, revision, currency, charges_total, charges, is_numbered });
    }
    Ok(standing)
}

/// The invoices of a month that have charges.
async fn invoices(bucket: &BucketReader, month: BillingMonth) -> Result<Vec<InvoiceKey>, IntakeError> {
    let mut invoices = Vec::new();
    for folder in bucket.folders(CHARGES).await? {
        let mut numbered = Vec::new();
        for listed in bucket.list(&format!("{folder}month={month}/")).await? {
            let Some((provider, period, account, invoice_id)) = bill_of_charges(&listed.key) else {
                continue;
            };
            match account {
                Some(billing_account) => {
                    invoices.push(InvoiceKey { provider, billing_account, period, invoice_id });
                }
                None => numbered.push((provider, invoice_id)),
            }
        }
        if let Some((provider, _)) = numbered.first() {
            invoices.extend(numbered_of(bucket, provider, month, &numbered).await?);
        }
    }
    Ok(invoices)
}

/// Numbered invoices with their accounts, which their charges do not name in their keys.
async fn numbered_of(
    bucket: &BucketReader,
    provider: &Provider,
    month: BillingMonth,
    numbered: &[(Provider, InvoiceId)],
) -> Result<Vec<InvoiceKey>, IntakeError> {
    let mut invoices: Vec<InvoiceKey> = Vec::new();
    for folder in bucket.folders(&format!("certificates/{provider}/")).await? {
        for listed in bucket.list(&format!("{folder}{month}-")).await? {
            let Some((invoice, _)) = invoice_of_certificate(&listed.key) else { continue };
            let is_charged = numbered.iter().any(|(_, id)| *id == invoice.invoice_id);
            if is_charged && !invoices.contains(&invoice) {
                invoices.push(invoice);
            }
        }
    }
    Ok(invoices)
}

/// The newest published revision of a bill.
///
/// # Errors
/// [`IntakeError`].
pub async fn newest(
    ledger: &LedgerReader,
    invoice: &InvoiceKey,
) -> Result<Option<RevisionRecord>, IntakeError> {
    let Some(latest) = ledger.latest(invoice).await? else { return Ok(None) };
    Ok(ledger.revision(invoice, &latest).await?)
}

/// The last revision of a bill, if it is held.
pub(super) async fn held(
    ledger: &LedgerReader,
    invoice: &InvoiceKey,
) -> Result<Option<RevisionRecord>, IntakeError> {
    let last = ledger.revisions(invoice).await?.pop();
    Ok(last.filter(|record| record.state == RevisionState::Held))
}

async fn certificate(
    bucket: &BucketReader,
    ledger: &LedgerReader,
    invoice: &InvoiceKey,
    record: &RevisionRecord,
) -> Result<Option<Certificate>, IntakeError> {
    let Some(key) = &record.certificate_key else { return Ok(None) };
    let sealed = Sealed::of(invoice, &record.revision);
    let bytes = match *key == sealed.key {
        true => sealed.read(bucket, ledger).await?,
        // of one that is held, nothing is noted
        false => bucket.get(key, None).await?.map(|object| object.bytes),
    };
    Ok(bytes.map(|bytes| Certificate::from_json(&bytes)).transpose()?)
}

async fn charges_of(
    bucket: &BucketReader,
    ledger: &LedgerReader,
    invoice: &InvoiceKey,
    record: &RevisionRecord,
) -> Result<Option<u64>, IntakeError> {
    Ok(certificate(bucket, ledger, invoice, record)
        .await?
        .and_then(|certificate| certificate.provider_figures["charges"].as_u64()))
}

/// What a bill is made of; nothing if that is no bill in parts.
pub(super) async fn manifest_of(
    bucket: &BucketReader,
    ledger: &LedgerReader,
    invoice: &InvoiceKey,
    record: &RevisionRecord,
) -> Result<Option<Manifest>, IntakeError> {
    let key = &record.raw_key;
    if key.starts_with(FOCUS) {
        FocusKey::parse(key)?;
        let Some(certificate) = certificate(bucket, ledger, invoice, record).await? else { return Ok(None) };
        let inputs = certificate.inputs.into_iter().filter(|input| input.key == *key);
        let mut parts = Vec::new();
        for input in inputs {
            let size = bucket.list(key).await?.into_iter().find(|listed| listed.key == *key);
            let bytes = size.and_then(|listed| u64::try_from(listed.size_bytes).ok()).unwrap_or_default();
            let source = "upload".to_owned();
            parts.push(Part { key: input.key, sha256: input.sha256, bytes, source, costs: None });
        }
        let finality = record.finality.unwrap_or(Finality::Final);
        return Ok(Some(Manifest::of_parts(invoice, Format::Focus, finality, parts)));
    }
    let Some(object) = bucket.get(key, None).await? else { return Ok(None) };
    if Import::is_key(key) {
        let import = Import::read(key, &object.bytes)?;
        let bill = import.revisions()?.into_iter().find(|(revision, _)| *revision == record.revision);
        return Ok(bill.map(|(_, manifest)| manifest.clone()));
    }
    let raw = RawDocumentKey::parse(key)?;
    if raw.extension != Manifest::EXTENSION {
        return Ok(None);
    }
    Ok(Some(Manifest::read(&raw, &object.bytes)?))
}

/// A further bill of an account and month: with a number after its name.
pub(super) async fn free_name(ledger: &LedgerReader, taken: &InvoiceKey) -> Result<InvoiceKey, IntakeError> {
    for number in 2..=MOST_BILLS {
        let invoice_id = InvoiceId::new(format!("{}-{number}", taken.invoice_id))?;
        let invoice = InvoiceKey { invoice_id, ..taken.clone() };
        if ledger.latest(&invoice).await?.is_none() {
            return Ok(invoice);
        }
    }
    Err(IntakeError::Answer(format!(
        "{} has more than {MOST_BILLS} bills of {}",
        taken.billing_account, taken.period
    )))
}

/// Bills of one account and month that are named by a number.
const MOST_BILLS: u32 = 1_000;
