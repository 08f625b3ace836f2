//! What others read: certificates with their differences, charges, rows, the period.
//!
//! Each is a function of the ledger's records and of certificates, so the order in which revisions arrive does
//! not matter. Each is written by the same step: note what stands there, read the ledger (consistently), write
//! if what stood there still does, else begin again. Whoever writes has therefore read the ledger after
//! everyone who wrote before, and an older revision never replaces a newer one.

use billing::atlas::rows_csv;
use billing::bill::bill_rows_csv;
use billing::certificate::Certificate;
use billing::ids::Provider;
use billing::keys::InvoiceKey;
use billing::money::MoneyError;
use billing::period::{Finality, PeriodInvoice, Restatement};
use billing::revision::Revision;
use chrono::{DateTime, Utc};
use cloud::bucket::{KeepError, Written};
use cloud::ledger::{PeriodRecord, RevisionRecord, RevisionState};
use cloud::seals::Sealed;

use crate::App;
use crate::document::{CSV, Charges, DocumentError, JSON, PARQUET};

/// How often a write may find that somebody was quicker.
const ROUNDS: usize = 10;

/// The rows of a certificate: those of Atlas in the columns that its readers know.
fn rows(certificate: &Certificate) -> Result<Vec<u8>, MoneyError> {
    match certificate.subject.provider == Provider::atlas() {
        true => rows_csv(certificate),
        false => bill_rows_csv(certificate),
    }
}

impl App {
    /// Writes the certificate of a revision as the ledger now wants it: naming the revision before it and the
    /// differences. `new` is the certificate just made; without it the one that stands there is taken up.
    pub(crate) async fn settle_certificate(
        &self,
        invoice: &InvoiceKey,
        record: &RevisionRecord,
        new: Option<&Certificate>,
    ) -> Result<(), DocumentError> {
        let sealed = Sealed::of_invoice(invoice, &record.revision);
        for _ in 0..ROUNDS {
            let standing = sealed.standing(&self.bucket, new.is_some()).await?;
            let bytes = standing.as_ref().map(|(bytes, _)| bytes);
            let (certificate, seal) = match (new, bytes) {
                (Some(new), _) => (new.clone(), None),
                (None, Some(bytes)) => {
                    let seal = Box::pin(sealed.stands(&self.bucket, &self.ledger, bytes)).await?;
                    // else somebody has written another since
                    let Some(seal) = seal else { continue };
                    (Certificate::from_json(bytes)?, Some(seal))
                }
                (None, None) => return Err(DocumentError::NoCertificate(sealed.key)),
            };
            let mut published = self.published(invoice).await?.into_iter();
            let before =
                published.rfind(|other| other.order < record.order && other.revision != record.revision);
            let before = match &before {
                Some(before) => Some(self.certificate_of(invoice, before).await?),
                None => None,
            };
            let wanted = certificate.superseding(before.as_ref())?.to_json()?;
            let written =
                Box::pin(sealed.replace(&self.bucket, &self.ledger, standing, seal, wanted, JSON)).await?;
            if written == Written::Now {
                return Ok(());
            }
        }
        Err(DocumentError::Contention(sealed.key))
    }

    /// A revision that arrives late stands before another one, whose differences are then to this one.
    pub(crate) async fn settle_successor(
        &self,
        invoice: &InvoiceKey,
        record: &RevisionRecord,
    ) -> Result<(), DocumentError> {
        let successor = self.published(invoice).await?.into_iter().find(|other| other.order > record.order);
        match successor {
            Some(successor) => self.settle_certificate(invoice, &successor, None).await,
            None => Ok(()),
        }
    }

    /// Publishes the charges of a revision if it is the newest.
    pub(crate) async fn publish_charges(
        &self,
        invoice: &InvoiceKey,
        revision: &Revision,
        charges: &Charges,
    ) -> Result<(), DocumentError> {
        let key = invoice.charges();
        let file = match charges {
            Charges::Bytes(bytes) => {
                return self.publish_newest(invoice, revision, &key, bytes, PARQUET).await;
            }
            Charges::File(file) => file,
        };
        for _ in 0..ROUNDS {
            let etag = self.bucket.etag(&key).await?;
            if self.ledger.latest(invoice).await?.as_ref() != Some(revision) {
                return Ok(());
            }
            let mut upload = self.bucket.upload(key.clone(), PARQUET);
            upload.write_file(file.try_clone().map_err(KeepError::from)?).await?;
            if upload.replace(etag).await? == Written::Now {
                return Ok(());
            }
        }
        Err(DocumentError::Contention(key))
    }

    /// Publishes something of a revision if it is the newest; if not, the newest publishes its own. The bytes
    /// name their revision, so what stood there cannot be mistaken for another revision's.
    pub(crate) async fn publish_newest(
        &self,
        invoice: &InvoiceKey,
        revision: &Revision,
        key: &str,
        bytes: &[u8],
        content_type: &str,
    ) -> Result<(), DocumentError> {
        for _ in 0..ROUNDS {
            let etag = self.bucket.etag(key).await?;
            if self.ledger.latest(invoice).await?.as_ref() != Some(revision) {
                return Ok(());
            }
            if self.bucket.replace(key, bytes.to_vec(), content_type, etag).await? == Written::Now {
                return Ok(());
            }
        }
        Err(DocumentError::Contention(key.to_owned()))
    }

    /// Publishes the rows of the newest revision, whichever that is, from its certificate.
    pub(crate) async fn publish_rows(&self, invoice: &InvoiceKey) -> Result<(), DocumentError> {
        let key = invoice.allocations();
        for _ in 0..ROUNDS {
            let standing = self.bucket.get(&key, None).await?;
            let Some(latest) = self.ledger.latest(invoice).await? else { return Ok(()) };
            let rows = rows(&self.certificate(invoice, &latest).await?)?;
            let (bytes, etag) = standing.map(|object| (object.bytes, object.etag)).unzip();
            // two revisions may have the same rows, so the swap alone does not prove that nobody was quicker:
            // only rows of the revision that is still the newest end the loop
            if bytes.is_some_and(|bytes| bytes == rows) {
                return Ok(());
            }
            self.bucket.replace(&key, rows, CSV, etag).await?;
        }
        Err(DocumentError::Contention(key))
    }

    /// Brings the period up to date with this invoice.
    pub(crate) async fn settle_period(
        &self,
        invoice: &InvoiceKey,
        now: DateTime<Utc>,
    ) -> Result<(), DocumentError> {
        for _ in 0..ROUNDS {
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
        Err(DocumentError::Contention(format!(
            "the period {} of {}",
            invoice.period, invoice.billing_account
        )))
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
        let certificate = self.certificate_of(invoice, newest).await?;
        for before in earlier {
            let before = self.certificate_of(invoice, before).await?;
            if let Some(change) = certificate.superseding(Some(&before))?.supersedes
                && !(change.targets.is_empty() && change.difference.is_zero())
            {
                return Ok(Some(Restatement { from: change.revision, difference: change.difference }));
            }
        }
        Ok(None)
    }

    /// The published revisions of an invoice, oldest first.
    async fn published(&self, invoice: &InvoiceKey) -> Result<Vec<RevisionRecord>, DocumentError> {
        let mut revisions = self.ledger.revisions(invoice).await?;
        revisions.retain(RevisionRecord::is_published);
        Ok(revisions)
    }

    /// The certificate of a published revision, as it was certified.
    pub(crate) async fn certificate_of(
        &self,
        invoice: &InvoiceKey,
        record: &RevisionRecord,
    ) -> Result<Certificate, DocumentError> {
        self.certificate(invoice, &record.revision).await
    }

    async fn certificate(
        &self,
        invoice: &InvoiceKey,
        revision: &Revision,
    ) -> Result<Certificate, DocumentError> {
        let sealed = Sealed::of_invoice(invoice, revision);
        let bytes = Box::pin(sealed.read(&self.bucket, &self.ledger)).await?;
        Ok(Certificate::from_json(&bytes.ok_or(DocumentError::NoCertificate(sealed.key))?)?)
    }
}
