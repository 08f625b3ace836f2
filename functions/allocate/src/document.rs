//! One raw document: read, state, certify, publish.
//!
//! The order of the writes makes every death between two of them harmless: the certificate stands before the
//! ledger names the revision; the ledger names it before anything is published; what is published is derived
//! from the ledger and from certificates by compare-and-swap (see `publish`); only then the revision is
//! recorded as allocated. A redelivery repeats what is not recorded as done and comes to the same end.

use billing::atlas::{Rules, Statement};
use billing::certificate::{CertificateError, Status};
use billing::keys::{self, InvalidKey, RawDocumentKey};
use billing::money::MoneyError;
use billing::revision::RevisionOrder;
use chrono::{DateTime, Utc};
use cloud::bucket::{BucketError, Object};
use cloud::events::StoredObject;
use cloud::ledger::{LedgerError, RevisionRecord, RevisionState, rules_text};
use serde_json::json;

use crate::report::{DocumentReport, DocumentState};
use crate::{App, Mode};

pub(crate) const CSV: &str = "text/csv; charset=utf-8";
pub(crate) const JSON: &str = "application/json";
pub(crate) const PARQUET: &str = "application/vnd.apache.parquet";

/// Why a document is not done, other than by its own fault: then it is held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error(transparent)]
    Key(#[from] InvalidKey),
    #[error("the event is about bucket {0}, this function works on {1}")]
    OtherBucket(String, String),
    #[error("there is no object s3://{bucket}/{key}")]
    NoSuchObject { bucket: String, key: String },
    #[error("no allocation for provider '{0}' yet: only raw/atlas/ documents are understood")]
    UnknownProvider(String),
    #[error("{0} changed under our hands ten times in a row; the retry will settle it")]
    Contention(String),
    #[error(
        "this document was published, and this version of the software would hold it: nothing is changed; compare \
         its certificate with a dry run"
    )]
    NoLongerAllocates,
    #[error("it was published under rules that this version of the software does not know: {0}")]
    UnknownRules(String),
    #[error(
        "there is no certificate {0}, which the ledger names; allocate its raw document again with \"force\": true"
    )]
    NoCertificate(String),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl App {
    pub(crate) async fn document(
        &self,
        object: &StoredObject,
        mode: Mode,
        now: DateTime<Utc>,
    ) -> DocumentReport {
        let failed =
            |error: DocumentError| DocumentReport::new(&object.key, DocumentState::Failed, error.to_string());
        let done = match self.place(object) {
            Ok(key) => self.allocate(&key, object, mode, now).await,
            Err(error) => return failed(error),
        };
        done.unwrap_or_else(failed)
    }

    /// The key, if it is one that this function works on.
    fn place(&self, object: &StoredObject) -> Result<RawDocumentKey, DocumentError> {
        if let Some(bucket) = object.bucket.as_deref().filter(|bucket| *bucket != self.bucket.name()) {
            return Err(DocumentError::OtherBucket(bucket.to_owned(), self.bucket.name().to_owned()));
        }
        let key = RawDocumentKey::parse(&object.key)?;
        match key.invoice.provider.as_str() {
            "atlas" => Ok(key),
            other => Err(DocumentError::UnknownProvider(other.to_owned())),
        }
    }

    async fn allocate(
        &self,
        key: &RawDocumentKey,
        object: &StoredObject,
        mode: Mode,
        now: DateTime<Utc>,
    ) -> Result<DocumentReport, DocumentError> {
        let before = self.ledger.revision(&key.invoice, &key.revision).await?;
        if let Some(record) = before.as_ref().filter(|record| record.state == RevisionState::Allocated)
            && mode == Mode::Work
        {
            return Ok(already(&object.key, record));
        }
        let published = before.filter(|record| record.state != RevisionState::Held);
        let rules = self.rules_for(published.as_ref())?;
        let stored = self.bucket.get(&object.key, object.version.as_deref()).await?.ok_or_else(|| {
            DocumentError::NoSuchObject { bucket: self.bucket.name().to_owned(), key: object.key.clone() }
        })?;
        let statement = Statement::of(key, &stored.bytes, rules);
        let mismatch = |statement: &Statement| statement.certificate.status == Status::Mismatch;
        match statement {
            Ok(statement) if mode == Mode::DryRun => {
                let state = if mismatch(&statement) { DocumentState::Held } else { DocumentState::Preview };
                Ok(DocumentReport::certified(&object.key, state, &statement.certificate, None))
            }
            Err(reason) if mode == Mode::DryRun => {
                Ok(DocumentReport::new(&object.key, DocumentState::Held, reason.to_string()))
            }
            Ok(statement) if !mismatch(&statement) => {
                let order = published.map(|record| record.order);
                let order = order.unwrap_or_else(|| order_of(key, &stored, statement.updated, now));
                self.publish(key, statement, order, now).await
            }
            // the difference to the next revision hangs on what was published: it is not taken back
            Ok(_) | Err(_) if published.is_some() => Err(DocumentError::NoLongerAllocates),
            Ok(statement) => self.hold_mismatch(key, &statement, &stored, now).await,
            Err(reason) => self.hold_unusable(key, &reason.to_string(), &stored, now).await,
        }
    }

    /// A revision keeps the rules that it was published under: differences to other revisions hang on them.
    /// Others follow the rules of today.
    fn rules_for(&self, published: Option<&RevisionRecord>) -> Result<Rules, DocumentError> {
        let Some(record) = published else { return Ok(self.rules) };
        let named = record.rules.split(' ').filter_map(|rule| rule.split_once('='));
        let named = named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Rules::from_named(&named).ok_or_else(|| DocumentError::UnknownRules(record.rules.clone()))
    }

    async fn hold_unusable(
        &self,
        key: &RawDocumentKey,
        reason: &str,
        stored: &Object,
        now: DateTime<Utc>,
    ) -> Result<DocumentReport, DocumentError> {
        let raw_key = key.to_string();
        let why = json!({"document": raw_key, "reason": reason, "software": billing::SOFTWARE});
        let why = serde_json::to_vec_pretty(&why).map_err(CertificateError::from)?;
        self.bucket.overwrite(&keys::held_reason(&raw_key), why, JSON).await?;
        let record = RevisionRecord {
            revision: key.revision.clone(),
            order: order_of(key, stored, None, now),
            state: RevisionState::Held,
            rules: rules_text(&self.rules.named()),
            status: None,
            finality: None,
            totals: None,
            reason: reason.to_owned(),
            raw_key: raw_key.clone(),
            certificate_key: None,
            recorded_at: now,
        };
        self.ledger.record_revision(&key.invoice, &record).await?;
        self.settle_period(&key.invoice, now).await?;
        Ok(DocumentReport::new(&raw_key, DocumentState::Held, reason))
    }

    async fn hold_mismatch(
        &self,
        key: &RawDocumentKey,
        statement: &Statement,
        stored: &Object,
        now: DateTime<Utc>,
    ) -> Result<DocumentReport, DocumentError> {
        let invoice = &key.invoice;
        let certificate = &statement.certificate;
        let certificate_key = keys::held(&invoice.certificate(&key.revision), &key.revision);
        let hold = |key: String| keys::held(&key, &certificate.subject.revision);
        let outputs = [
            (hold(invoice.allocations()), &statement.rows, CSV),
            (hold(invoice.charges()), &statement.charges, PARQUET),
            (certificate_key.clone(), &certificate.to_json()?, JSON),
        ];
        for (held_key, bytes, content_type) in outputs {
            self.bucket.overwrite(&held_key, bytes.clone(), content_type).await?;
        }
        let record = RevisionRecord::certified(
            certificate,
            certificate_key.clone(),
            order_of(key, stored, statement.updated, now),
            RevisionState::Held,
            now,
        );
        self.ledger.record_revision(invoice, &record).await?;
        self.settle_period(invoice, now).await?;
        Ok(DocumentReport::certified(
            &key.to_string(),
            DocumentState::Held,
            certificate,
            Some(certificate_key),
        ))
    }

    async fn publish(
        &self,
        key: &RawDocumentKey,
        statement: Statement,
        order: RevisionOrder,
        now: DateTime<Utc>,
    ) -> Result<DocumentReport, DocumentError> {
        let invoice = &key.invoice;
        let certificate = &statement.certificate;
        let certificate_key = invoice.certificate(&key.revision);
        let state = RevisionState::Registered;
        let record = RevisionRecord::certified(certificate, certificate_key.clone(), order, state, now);

        self.settle_certificate(invoice, &record, Some(certificate)).await?;
        // refused if another delivery has finished in the meantime; going on repeats its writes, which changes nothing
        self.ledger.record_revision(invoice, &record).await?;
        self.ledger.advance_latest(invoice, &record).await?;
        self.settle_certificate(invoice, &record, None).await?;
        self.settle_successor(invoice, &record).await?;
        self.publish_charges(invoice, &record.revision, &statement.charges).await?;
        self.publish_rows(invoice).await?;
        self.settle_period(invoice, now).await?;
        self.ledger.complete_revision(invoice, &record).await?;

        let key = key.to_string();
        Ok(DocumentReport::certified(&key, DocumentState::Allocated, certificate, Some(certificate_key)))
    }
}

fn already(key: &str, record: &RevisionRecord) -> DocumentReport {
    let [currency, provider_total, charges_total, _] = match record.totals.clone() {
        Some(totals) => totals.map(Some),
        None => [None, None, None, None],
    };
    DocumentReport {
        status: record.status,
        currency,
        provider_total,
        charges_total,
        certificate: record.certificate_key.clone(),
        ..DocumentReport::new(key, DocumentState::Already, record.reason.clone())
    }
}

/// The revision's place among the invoice's: by the provider's own time, then by when it was fetched, which the
/// fetcher noted on the document (else: when it was put there).
fn order_of(
    key: &RawDocumentKey,
    stored: &Object,
    updated: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> RevisionOrder {
    let noted = stored.metadata.get("fetched-at").and_then(|text| text.parse().ok());
    let fetched_at = noted.or(stored.last_modified).unwrap_or(now);
    RevisionOrder::new(updated, fetched_at, &key.revision)
}
