//! One raw document: read, state, certify, publish.
//!
//! The order of the writes makes every death between two of them harmless: the certificate stands before the
//! ledger names the revision; the ledger names it before anything is published; what is published is derived
//! from the ledger and from certificates by compare-and-swap (see `publish`); only then the revision is
//! recorded as allocated. A redelivery repeats what is not recorded as done and comes to the same end.
//!
//! [`Reader`] decides, and [`Writer`] does it; a dry run has no writer.

use std::collections::BTreeMap;

use billing::atlas::{Rules, Statement};
use billing::certificate::{Certificate, CertificateError, Certified, Status};
use billing::intake::{Answer, Import, ImportError};
use billing::keys::{self, FOCUS, FocusKey, InvalidFocusKey, InvalidKey, InvoiceKey, RawDocumentKey};
use billing::manifest::{Manifest, ManifestError};
use billing::money::MoneyError;
use billing::revision::{Revision, RevisionOrder};
use chrono::{DateTime, Utc};
use cloud::bucket::{BucketError, KeepError, Object};
use cloud::events::StoredObject;
use cloud::intake::IntakeError;
use cloud::ledger::{LedgerError, RevisionRecord, RevisionState, rules_text};
use cloud::publication::Contention;
use cloud::seals::SealError;
use serde_json::json;

use crate::question::About;
use crate::report::{DocumentReport, DocumentState};
use crate::{Reader, Task, Wish, Writer};

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
    #[error(
        "{0} is no document that starts an allocation: that is the invoice of Atlas, the manifest of a bill, a FOCUS export or an import"
    )]
    Unknown(String),
    #[error("an answer is for a bill that was held with a question: {0} is none")]
    NoQuestion(String),
    #[error("{0}")]
    Analysis(Box<billing::intake::AnalysisError>),
    #[error("{0} has no rows of the bill that its key names")]
    NotOfThisBill(String),
    #[error(
        "{0} was overwritten, and what the bill was made of before is no longer there: bring all of its parts with \
         `monthend import ... --replace`, or put them under names of their own"
    )]
    Overwritten(String),
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    FocusKey(#[from] InvalidFocusKey),
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error("the allocation was given up: {0}")]
    GivenUp(String),
    #[error(transparent)]
    Contention(#[from] Contention),
    #[error(
        "this document was published, and this version of the software would hold it: nothing is changed; compare \
         its certificate with a dry run"
    )]
    NoLongerAllocates,
    #[error("it was published under rules that this version of the software does not know: {0}")]
    UnknownRules(String),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// What a document is by its key.
enum Placed {
    /// An invoice of Atlas, in one document.
    Invoice(RawDocumentKey),
    /// The manifest of a bill.
    Bill(RawDocumentKey),
    /// A FOCUS export that somebody put there.
    Focus(FocusKey),
    /// What a person brought at once.
    Import,
}

/// One revision of an invoice or a bill, and the document that names it.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) invoice: InvoiceKey,
    pub(crate) revision: Revision,
    pub(crate) path: String,
    /// Where the reason stands if it is held, under `held/`: the path, unless several bills have it.
    pub(crate) note: String,
}

impl Named {
    pub(crate) fn of(key: &RawDocumentKey) -> Self {
        Self::new(key.invoice.clone(), key.revision.clone(), key.to_string())
    }

    pub(crate) fn new(invoice: InvoiceKey, revision: Revision, path: String) -> Self {
        Self { invoice, revision, note: path.clone(), path }
    }

    pub(crate) fn report(&self, state: DocumentState, reason: impl Into<String>) -> DocumentReport {
        DocumentReport::new(&self.path, &self.invoice, state, reason)
    }

    pub(crate) fn certified(
        &self,
        state: DocumentState,
        certificate: &Certificate,
        certificate_key: Option<String>,
    ) -> DocumentReport {
        DocumentReport::certified(&self.path, state, certificate, certificate_key)
    }
}

impl Reader {
    /// What becomes of a document: one report for each bill that it names.
    pub(crate) async fn document(&self, object: &StoredObject, task: Task<'_>) -> Vec<DocumentReport> {
        let done = match self.place(object) {
            Ok(placed) => self.placed(placed, object, task).await,
            Err(error) => Err(error),
        };
        done.unwrap_or_else(|error| vec![DocumentReport::failed(&object.key, error.to_string())])
    }

    async fn placed(
        &self,
        placed: Placed,
        object: &StoredObject,
        task: Task<'_>,
    ) -> Result<Vec<DocumentReport>, DocumentError> {
        match (placed, task.wish) {
            (Placed::Focus(key), Wish::Answered(answer)) => {
                Box::pin(self.answered(&key, object, answer, task.work())).await
            }
            (Placed::Import, Wish::Answered(_)) | (_, Wish::Answered(Answer::Add)) => {
                Err(DocumentError::NoQuestion(object.key.clone()))
            }
            (Placed::Import, _) => Box::pin(self.import(object, task)).await,
            (Placed::Invoice(key), _) => Ok(vec![Box::pin(self.allocate(&key, object, task)).await?]),
            (Placed::Bill(key), _) => Ok(vec![Box::pin(self.bill(&key, object, task)).await?]),
            (Placed::Focus(key), _) => Ok(vec![Box::pin(self.focus(&key, object, task)).await?]),
        }
    }

    /// What the key says that the document is.
    fn place(&self, object: &StoredObject) -> Result<Placed, DocumentError> {
        if let Some(bucket) = object.bucket.as_deref().filter(|bucket| *bucket != self.bucket.name()) {
            return Err(DocumentError::OtherBucket(bucket.to_owned(), self.bucket.name().to_owned()));
        }
        if object.key.starts_with(FOCUS) {
            return Ok(Placed::Focus(FocusKey::parse(&object.key)?));
        }
        if Import::is_key(&object.key) {
            return Ok(Placed::Import);
        }
        let key = RawDocumentKey::parse(&object.key)?;
        match (key.invoice.provider.as_str(), key.extension.as_str()) {
            ("atlas", _) => Ok(Placed::Invoice(key)),
            (_, Manifest::EXTENSION) => Ok(Placed::Bill(key)),
            _ => Err(DocumentError::Unknown(object.key.clone())),
        }
    }

    async fn allocate(
        &self,
        key: &RawDocumentKey,
        object: &StoredObject,
        task: Task<'_>,
    ) -> Result<DocumentReport, DocumentError> {
        let named = Named::of(key);
        let before = self.ledger.revision(&key.invoice, &key.revision).await?;
        if let Some(record) = before.as_ref().filter(|record| record.state == RevisionState::Allocated)
            && task.only_what_is_new()
        {
            return Ok(already(&named, record));
        }
        let published = before.filter(RevisionRecord::is_published);
        if published.is_none()
            && let Some(report) = self.withdrawn(&named).await?
        {
            return Ok(report);
        }
        let rules = self.rules_for(published.as_ref())?;
        let stored = self.bucket.get(&object.key, object.version.as_deref()).await?;
        let stored = stored.ok_or_else(|| self.no_such_object(&object.key))?;
        let fetched = Fetched::of(&stored);
        let statement = Statement::of(key, &stored.bytes, rules);
        if let (Ok(statement), None) = (&statement, &published)
            && let Some(question) = self.question_of_invoice(&named, &statement.certificate, task).await?
        {
            return task.unusable(&named, &fetched, &question).await;
        }
        let mismatch = |statement: &Statement| statement.certificate.status == Status::Mismatch;
        match (statement, task.writer) {
            (Ok(statement), None) => {
                let state = if mismatch(&statement) { DocumentState::Held } else { DocumentState::Preview };
                Ok(named.certified(state, &statement.certificate, None))
            }
            (Err(reason), None) => Ok(named.report(DocumentState::Held, reason.to_string())),
            (Ok(statement), Some(writer)) if !mismatch(&statement) => {
                let order = published.map(|record| record.order);
                let order =
                    order.unwrap_or_else(|| order_of(&key.revision, &fetched, statement.updated, task.now));
                let results = Results {
                    certificate: statement.certificate,
                    outputs: vec![Output::charges(&key.invoice, Content::Bytes(statement.charges))],
                    withdrawn: false,
                };
                writer.publish(&named, results, order, task.now).await
            }
            // the difference to the next revision hangs on what was published: it is not taken back
            (_, Some(_)) if published.is_some() => Err(DocumentError::NoLongerAllocates),
            (Ok(statement), Some(writer)) => {
                let order = order_of(&key.revision, &fetched, statement.updated, task.now);
                let hold = |key: String| keys::held(&key, &statement.certificate.subject.revision);
                let outputs = [
                    (hold(key.invoice.allocations()), statement.rows, CSV),
                    (hold(key.invoice.charges()), statement.charges, PARQUET),
                ];
                writer.hold_mismatch(&named, &statement.certificate, outputs, order, task.now).await
            }
            (Err(reason), Some(writer)) => {
                let order = order_of(&key.revision, &fetched, None, task.now);
                let rules = rules_text(&self.rules.named());
                writer.hold_unusable(&named, &reason.to_string(), order, rules, task.now).await
            }
        }
    }

    /// What must be asked before a numbered invoice counts.
    async fn question_of_invoice(
        &self,
        named: &Named,
        certificate: &Certificate,
        task: Task<'_>,
    ) -> Result<Option<String>, DocumentError> {
        let about = About { named, certificate, figures: None, is_upload: false, is_numbered: true };
        self.unless_answered(&about, task).await
    }

    /// What must be asked of a bill that was fetched, unless that was answered; then others go that it takes the place of.
    pub(crate) async fn unless_answered(
        &self,
        about: &About<'_>,
        task: Task<'_>,
    ) -> Result<Option<String>, DocumentError> {
        let Wish::Answered(answer) = task.wish else { return self.question(about).await };
        if let (Answer::Replace, Some(_)) = (answer, task.writer) {
            Box::pin(self.withdraw_for(about, task.work())).await?;
        }
        Ok(None)
    }

    /// A function does not bring back what a person withdrew.
    pub(crate) async fn withdrawn(&self, named: &Named) -> Result<Option<DocumentReport>, DocumentError> {
        let Some(latest) = self.ledger.latest(&named.invoice).await? else { return Ok(None) };
        let record = self.ledger.revision(&named.invoice, &latest).await?;
        Ok(record.filter(|record| record.withdrawn).map(|record| {
            let reason = format!(
                "the bill is {}: what is fetched of it does not count; to count it again, bring it with `monthend import`",
                record.reason
            );
            named.report(DocumentState::Withdrawn, reason)
        }))
    }

    /// A revision keeps the rules that it was published under: differences to other revisions hang on them.
    /// Others follow the rules of today.
    fn rules_for(&self, published: Option<&RevisionRecord>) -> Result<Rules, DocumentError> {
        let Some(record) = published else { return Ok(self.rules) };
        let rules = record.rules.as_deref().unwrap_or_default();
        let named = rules.split(' ').filter_map(|rule| rule.split_once('='));
        let named = named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Rules::from_named(&named).ok_or_else(|| DocumentError::UnknownRules(rules.to_owned()))
    }

    pub(crate) fn no_such_object(&self, key: &str) -> DocumentError {
        DocumentError::NoSuchObject { bucket: self.bucket.name().to_owned(), key: key.to_owned() }
    }
}

impl Task<'_> {
    /// Holds a bill that cannot be judged, or that must be asked about.
    pub(crate) async fn unusable(
        self,
        named: &Named,
        fetched: &Fetched,
        reason: &str,
    ) -> Result<DocumentReport, DocumentError> {
        let Some(writer) = self.writer else { return Ok(named.report(DocumentState::Held, reason)) };
        let order = order_of(&named.revision, fetched, None, self.now);
        writer.hold_unusable(named, reason, order, rules_text(&BTreeMap::new()), self.now).await
    }
}

impl Writer {
    async fn hold_unusable(
        &self,
        named: &Named,
        reason: &str,
        order: RevisionOrder,
        rules: String,
        now: DateTime<Utc>,
    ) -> Result<DocumentReport, DocumentError> {
        let why = json!({"document": named.path, "reason": reason, "software": billing::SOFTWARE});
        let why = serde_json::to_vec_pretty(&why).map_err(CertificateError::from)?;
        self.bucket.overwrite(&keys::held_reason(&named.note), why, JSON).await?;
        let (revision, path) = (named.revision.clone(), named.path.clone());
        let held = RevisionRecord::held(revision, order, path, reason, now);
        let record = RevisionRecord { rules: Some(rules), ..held };
        self.ledger.record_revision(&named.invoice, &record).await?;
        self.settle_period(&named.invoice, now).await?;
        Ok(named.report(DocumentState::Held, reason))
    }

    pub(crate) async fn hold_mismatch(
        &self,
        named: &Named,
        certificate: &Certificate,
        outputs: impl IntoIterator<Item = (String, Vec<u8>, &'static str)>,
        order: RevisionOrder,
        now: DateTime<Utc>,
    ) -> Result<DocumentReport, DocumentError> {
        let invoice = &named.invoice;
        let certificate_key = keys::held(&invoice.certificate(&named.revision), &named.revision);
        for (held_key, bytes, content_type) in outputs {
            self.bucket.overwrite(&held_key, bytes, content_type).await?;
        }
        self.bucket.overwrite(&certificate_key, certificate.to_json()?, JSON).await?;
        let state = RevisionState::Held;
        let record = RevisionRecord::certified(certificate, certificate_key.clone(), order, state, now);
        self.ledger.record_revision(invoice, &record).await?;
        self.settle_period(invoice, now).await?;
        Ok(named.certified(DocumentState::Held, certificate, Some(certificate_key)))
    }

    pub(crate) async fn publish(
        &self,
        named: &Named,
        results: Results,
        order: RevisionOrder,
        now: DateTime<Utc>,
    ) -> Result<DocumentReport, DocumentError> {
        let invoice = &named.invoice;
        let certificate = &results.certificate;
        let certificate_key = invoice.certificate(&named.revision);
        let state = RevisionState::Registered;
        let withdrawn = results.withdrawn;
        let record = RevisionRecord::certified(certificate, certificate_key.clone(), order, state, now);
        let record = RevisionRecord { withdrawn, ..record };

        self.register(invoice).add(&record, certificate, &record.order).await?;
        for output in &results.outputs {
            self.publish_newest(invoice, &record.revision, output).await?;
        }
        self.publish_rows(invoice).await?;
        self.settle_period(invoice, now).await?;
        self.ledger.complete_revision(invoice, &record).await?;

        let state = DocumentState::Allocated;
        Ok(named.certified(state, certificate, Some(certificate_key)))
    }
}

/// What is made of one revision.
pub(crate) struct Results {
    /// The proof; it lists the others among its outputs.
    pub(crate) certificate: Certificate,
    /// The charges, then the aggregates.
    pub(crate) outputs: Vec<Output>,
    /// Whether it withdraws the bill.
    pub(crate) withdrawn: bool,
}

/// What is to stand under a key, as long as its revision is the newest.
pub(crate) struct Output {
    pub(crate) key: String,
    pub(crate) content: Content,
    pub(crate) content_type: &'static str,
}

pub(crate) enum Content {
    Bytes(Vec<u8>),
    /// Larger than memory.
    File(std::fs::File),
}

impl Output {
    pub(crate) fn charges(invoice: &InvoiceKey, content: Content) -> Self {
        Self { key: invoice.charges(), content, content_type: PARQUET }
    }

    pub(crate) fn aggregate((key, bytes, content_type): (String, Vec<u8>, &'static str)) -> Self {
        Self { key, content: Content::Bytes(bytes), content_type }
    }
}

/// When a document was fetched, as far as it says so itself.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) noted: Option<DateTime<Utc>>,
    pub(crate) last_modified: Option<DateTime<Utc>>,
    /// Its place among the revisions, if something else decides it: whatever clocks say.
    pub(crate) place: Option<RevisionOrder>,
}

impl Fetched {
    /// What the fetcher noted on the document, and when it was put there.
    pub(crate) fn of(stored: &Object) -> Self {
        let noted = stored.metadata.get("fetched-at").and_then(|text| text.parse().ok());
        Self { noted, last_modified: stored.last_modified, place: None }
    }

    /// What it says; else now.
    pub(crate) fn at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.noted.or(self.last_modified).unwrap_or(now)
    }
}

pub(crate) fn already(named: &Named, record: &RevisionRecord) -> DocumentReport {
    let totals = record.totals.clone();
    DocumentReport {
        status: record.status,
        currency: totals.as_ref().map(|totals| totals.currency.clone()),
        provider_total: totals.as_ref().map(|totals| totals.provider.clone()),
        charges_total: totals.map(|totals| totals.charges),
        certificate: record.certificate_key.clone(),
        ..named.report(DocumentState::Already, record.reason.clone())
    }
}

/// The revision's place among the invoice's: by the provider's own time, then by when it was fetched, which the
/// fetcher noted on the document (else: when it was put there). What takes the place of another counts after that one.
pub(crate) fn order_of(
    revision: &Revision,
    fetched: &Fetched,
    updated: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> RevisionOrder {
    fetched.place.clone().unwrap_or_else(|| RevisionOrder::new(updated, fetched.at(now), revision))
}
