//! What others read beside certificates: charges, rows, the period.
//!
//! Each is a function of the ledger's records and of certificates, so the order in which revisions arrive does
//! not matter; each is written by the step of [`cloud::publication`].

use billing::atlas::rows_csv;
use billing::bill::bill_rows_csv;
use billing::certificate::{Certificate, Superseding};
use billing::ids::Provider;
use billing::keys::InvoiceKey;
use billing::money::MoneyError;
use billing::period::{Finality, PeriodInvoice, Restatement};
use billing::revision::Revision;
use chrono::{DateTime, Utc};
use cloud::bucket::{KeepError, Written};
use cloud::ledger::{PeriodRecord, RevisionRecord, RevisionState};
use cloud::publication::{Register, Revisions, Rounds};

use crate::document::{CSV, Content, DocumentError, Output};
use crate::{Reader, Writer};

/// The rows of a certificate: those of Atlas in the columns that its readers know.
fn rows(certificate: &Certificate) -> Result<Vec<u8>, MoneyError> {
    match certificate.subject.provider == Provider::atlas() {
        true => rows_csv(certificate),
        false => bill_rows_csv(certificate),
    }
}

impl Reader {
    /// The revisions of an invoice, with their certificates.
    pub(crate) fn revisions<'a>(&'a self, invoice: &'a InvoiceKey) -> Revisions<'a> {
        Revisions { bucket: &self.bucket, ledger: &self.ledger, subject: invoice.into() }
    }
}

impl Writer {
    /// The revisions of an invoice, to add one.
    pub(crate) fn register<'a>(&'a self, invoice: &'a InvoiceKey) -> Register<'a> {
        Register { bucket: &self.bucket, ledger: &self.ledger, subject: invoice.into() }
    }

    /// Publishes something of a revision if it is the newest; if not, the newest publishes its own. The bytes
    /// name their revision, so what stood there cannot be mistaken for another revision's.
    pub(crate) async fn publish_newest(
        &self,
        invoice: &InvoiceKey,
        revision: &Revision,
        Output { key, content, content_type }: &Output,
    ) -> Result<(), DocumentError> {
        let mut rounds = Rounds::of(key);
        loop {
            rounds.begin()?;
            let etag = self.bucket.etag(key).await?;
            if self.ledger.latest(invoice).await?.as_ref() != Some(revision) {
                return Ok(());
            }
            let written = match content {
                Content::Bytes(bytes) => self.bucket.replace(key, bytes.clone(), content_type, etag).await?,
                Content::File(file) => {
                    let mut upload = self.bucket.upload(key.clone(), content_type);
                    upload.write_file(file.try_clone().map_err(KeepError::from)?).await?;
                    upload.replace(etag).await?
                }
            };
            if written == Written::Now {
                return Ok(());
            }
        }
    }

    /// Publishes the rows of the newest revision, whichever that is, from its certificate.
    pub(crate) async fn publish_rows(&self, invoice: &InvoiceKey) -> Result<(), DocumentError> {
        let key = invoice.allocations();
        let mut rounds = Rounds::of(&key);
        loop {
            rounds.begin()?;
            let standing = self.bucket.get(&key, None).await?;
            let Some(latest) = self.ledger.latest(invoice).await? else { return Ok(()) };
            let rows = rows(&self.register(invoice).revisions().certificate(&latest).await?)?;
            let (bytes, etag) = standing.map(|object| (object.bytes, object.etag)).unzip();
            // two revisions may have the same rows, so the swap alone does not prove that nobody was quicker:
            // only rows of the revision that is still the newest end the loop
            if bytes.is_some_and(|bytes| bytes == rows) {
                return Ok(());
            }
            self.bucket.replace(&key, rows, CSV, etag).await?;
        }
    }

    /// Brings the period up to date with this invoice.
    pub(crate) async fn settle_period(
        &self,
        invoice: &InvoiceKey,
        now: DateTime<Utc>,
    ) -> Result<(), DocumentError> {
        let what = format!("the period {} of {}", invoice.period, invoice.billing_account);
        let mut rounds = Rounds::of(what);
        loop {
            rounds.begin()?;
            let standing = self.ledger.period(invoice).await?;
            let entry = self.period_entry(invoice).await?;
            let id = invoice.invoice_id.as_str();
            let Some(wanted) = PeriodRecord::with_invoice(standing.as_ref(), id, entry, "allocate", now)
            else {
                return Ok(());
            };
            if self.ledger.put_period(invoice, &wanted).await? == Written::Now {
                return Ok(());
            }
        }
    }

    /// What the invoice says about its period: its newest revision, whether that restated an earlier final one,
    /// and whether something newer is held.
    async fn period_entry(&self, invoice: &InvoiceKey) -> Result<Option<PeriodInvoice>, DocumentError> {
        let mut revisions = self.ledger.revisions(invoice).await?;
        revisions.retain(|record| record.state != RevisionState::Answered);
        let (held, published): (Vec<_>, Vec<_>) =
            revisions.into_iter().partition(|record| record.state == RevisionState::Held);
        let newest = published.last();
        // a document that cannot be read does not say when it was updated: the time of its fetch must do
        let newer = |held: &&RevisionRecord| match newest {
            None => true,
            Some(newest) if held.status.is_none() => held.order.fetched_at() > newest.order.fetched_at(),
            Some(newest) => held.order > newest.order,
        };
        let held = held.iter().rfind(newer);
        let Some(newest) = newest else {
            return Ok(held.map(|held| PeriodInvoice {
                revision: held.revision.clone(),
                finality: held.finality.unwrap_or(Finality::Final),
                restatement: None,
                held: Some(held.reason.clone()),
                withdrawn: false,
            }));
        };
        Ok(Some(PeriodInvoice {
            revision: newest.revision.clone(),
            finality: newest.finality.unwrap_or(Finality::Final),
            restatement: self.restatement(invoice, &published).await?,
            held: held.map(|held| held.reason.clone()),
            withdrawn: newest.withdrawn,
        }))
    }

    /// The newest change of amounts after the invoice had been final.
    async fn restatement(
        &self,
        invoice: &InvoiceKey,
        published: &[RevisionRecord],
    ) -> Result<Option<Restatement>, DocumentError> {
        let is_final = |record: &&RevisionRecord| record.finality == Some(Finality::Final);
        let Some((newest, earlier)) = published.split_last().filter(|(newest, _)| is_final(newest)) else {
            return Ok(None);
        };
        let mut earlier = earlier.iter().rev().filter(is_final).peekable();
        if earlier.peek().is_none() {
            return Ok(None); // most are the first
        }
        let revisions = self.register(invoice).revisions();
        let certificate: Certificate = revisions.certificate(&newest.revision).await?;
        for before in earlier {
            let before = revisions.certificate(&before.revision).await?;
            if let Some(change) = certificate.superseding(Some(&before))?.supersedes
                && !(change.targets.is_empty() && change.difference.is_zero())
            {
                return Ok(Some(Restatement { from: change.revision, difference: change.difference }));
            }
        }
        Ok(None)
    }
}
