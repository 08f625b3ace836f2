//! Revisions: `REV#{revision}`, and `LATEST`, of invoices and bills (`INVOICE#{provider}#{account}#{invoice_id}`) and of usage reports
//! (`REPORT#{provider}#{account}#{YYYY-MM}#{report}`); and `PLACE#{key}`, the last place that was given to what stood under a key.
//!
//! An invoice belongs to an invoice id of its own, and has amounts and allocations. A report has neither: a month has one, which may come again
//! with other figures.

use std::collections::BTreeMap;
use std::fmt;

use billing::certificate::{Certificate, Status};
use billing::keys::{InvoiceKey, encode};
use billing::period::Finality;
use billing::revision::{Revision, RevisionOrder};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::fields::{millis, yes_or_no};
use super::{Condition, Ledger, LedgerError, LedgerReader, Record};
use crate::bucket::Written;

/// What has revisions.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'k> {
    /// An invoice or a bill.
    Invoice(&'k InvoiceKey),
    /// A usage report.
    Report(&'k InvoiceKey),
}

impl<'k> From<&'k InvoiceKey> for Subject<'k> {
    fn from(invoice: &'k InvoiceKey) -> Self {
        Self::Invoice(invoice)
    }
}

/// How far a revision has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevisionState {
    /// Its certificate stands; what follows from it may still be missing, a redelivery or the next run completes it.
    Registered,
    /// Of an invoice: published, and everything that follows from it is done.
    Allocated,
    /// Of a report: everything that follows from it is done.
    Certified,
    /// Not published, for the reason recorded.
    Held,
    /// It was held with a question, and a person answered it: what it says counts elsewhere.
    Answered,
}

/// As it is written.
impl fmt::Display for RevisionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What is known of one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionRecord {
    /// The revision.
    #[serde(skip_serializing)]
    pub revision: Revision,
    /// Its place among the revisions: of a report by when it was fetched first.
    #[serde(default)]
    pub order: RevisionOrder,
    /// How far it has come.
    pub state: RevisionState,
    /// The rules that an invoice was processed under, as one text.
    pub rules: Option<String>,
    /// The certificate's verdict; nothing if the document is malformed.
    pub status: Option<Status>,
    /// Whether it may still grow; of a report, whether its month was still running when it was fetched.
    pub finality: Option<Finality>,
    /// The totals of an invoice.
    #[serde(flatten)]
    pub totals: Option<Totals>,
    /// What charges cost when commitments are spread over their use, or that they do not state it; nothing where the certificate does not say.
    pub effective_cost: Option<String>,
    /// How many datastores a report lists; nothing if the document is malformed.
    pub datastores: Option<u64>,
    /// Why it is held, or the certificate's explanation.
    #[serde(default)]
    pub reason: String,
    /// Key of the raw document.
    #[serde(default)]
    pub raw_key: String,
    /// Key of the certificate, under `held/` if it is held.
    pub certificate_key: Option<String>,
    /// When it was recorded.
    #[serde(with = "millis")]
    pub recorded_at: DateTime<Utc>,
    /// Whether it withdraws the bill: it has no charges then.
    #[serde(default, with = "yes_or_no", skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
}

/// Totals as decimal texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// In which currency.
    pub currency: String,
    /// The provider's.
    #[serde(rename = "provider_total")]
    pub provider: String,
    /// That of the charges.
    #[serde(rename = "charges_total")]
    pub charges: String,
    /// What is allocated.
    #[serde(rename = "allocated_total")]
    pub allocated: String,
}

impl RevisionRecord {
    /// The record of a certified revision of an invoice.
    #[must_use]
    pub fn certified(
        certificate: &Certificate,
        certificate_key: String,
        order: RevisionOrder,
        state: RevisionState,
        recorded_at: DateTime<Utc>,
    ) -> Self {
        let Certificate { subject, .. } = certificate;
        let raw_key = certificate.inputs.first().map(|input| input.key.clone()).unwrap_or_default();
        let reason = &certificate.explanation;
        Self {
            state,
            status: Some(certificate.status),
            finality: Some(subject.finality),
            totals: Some(Totals {
                currency: certificate.currency.clone(),
                provider: certificate.provider_total.to_string(),
                charges: certificate.charges_total.to_string(),
                allocated: certificate.allocated_total.to_string(),
            }),
            effective_cost: certificate.provider_figures.get("effective_cost").map(effective),
            certificate_key: Some(certificate_key),
            rules: Some(rules_text(&certificate.rules)),
            ..Self::held(subject.revision.clone(), order, raw_key, reason, recorded_at)
        }
    }

    /// The record of a revision that is held, of which no more is known.
    #[must_use]
    pub fn held(
        revision: Revision,
        order: RevisionOrder,
        raw_key: String,
        reason: &str,
        recorded_at: DateTime<Utc>,
    ) -> Self {
        Self {
            revision,
            order,
            state: RevisionState::Held,
            rules: None,
            status: None,
            finality: None,
            totals: None,
            effective_cost: None,
            datastores: None,
            reason: reason.to_owned(),
            raw_key,
            certificate_key: None,
            recorded_at,
            withdrawn: false,
        }
    }

    /// Whether it was published, completely or not: the differences of others hang on it.
    #[must_use]
    pub fn is_published(&self) -> bool {
        matches!(self.state, RevisionState::Registered | RevisionState::Allocated | RevisionState::Certified)
    }
}

fn effective(figure: &serde_json::Value) -> String {
    figure.as_str().unwrap_or("not stated").to_owned()
}

/// Rules as one text, for comparison.
#[must_use]
pub fn rules_text(rules: &BTreeMap<String, String>) -> String {
    rules.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

const REVISION: &str = "REV#";
const LATEST: &str = "LATEST";

const PLACE: &str = "PLACE#";

/// The newest published revision.
#[derive(Serialize, Deserialize)]
struct Latest {
    #[serde(default)]
    order: RevisionOrder,
    revision: Revision,
}

/// The place of what stood under a key, among the revisions of its bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// What stood there.
    pub revision: Revision,
    /// Its place.
    pub order: RevisionOrder,
}

/// The attributes of a revision in the ledger.
#[derive(Serialize)]
struct Row<'r> {
    /// The month of an invoice, for people.
    period: Option<String>,
    #[serde(flatten)]
    record: &'r RevisionRecord,
}

impl Subject<'_> {
    pub(super) fn partition(self) -> String {
        let parts =
            |key: &InvoiceKey| [key.provider.as_str(), key.billing_account.as_str()].map(encode).join("#");
        match self {
            Self::Invoice(key) => format!("INVOICE#{}#{}", parts(key), encode(&key.unique_id())),
            Self::Report(key) => {
                format!("REPORT#{}#{}#{}", parts(key), key.period, encode(key.invoice_id.as_str()))
            }
        }
    }

    /// The state of a revision from which everything that follows is done.
    fn done(self) -> RevisionState {
        match self {
            Self::Invoice(_) => RevisionState::Allocated,
            Self::Report(_) => RevisionState::Certified,
        }
    }

    fn write(self, record: &RevisionRecord) -> Result<Record, LedgerError> {
        let period = match self {
            Self::Invoice(key) => Some(key.period.to_string()),
            Self::Report(_) => None,
        };
        Record::of(self.partition(), format!("{REVISION}{}", record.revision), &Row { period, record })
    }

    fn read(self, record: Record) -> Result<RevisionRecord, LedgerError> {
        let record = record.naming("revision", REVISION);
        let read: RevisionRecord = record.read()?;
        match (self, read.state) {
            (Self::Invoice(_), RevisionState::Certified)
            | (Self::Report(_), RevisionState::Allocated | RevisionState::Answered) => {
                Err(record.unusable("state", &format!("'{}' is of another kind of document", read.state)))
            }
            (Self::Report(_), _) if read.finality.is_none() => {
                Err(record.unusable("finality", &"it is missing"))
            }
            _ => Ok(read),
        }
    }
}

impl LedgerReader {
    /// One revision, or nothing.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn revision(
        &self,
        subject: impl Into<Subject<'_>>,
        revision: &Revision,
    ) -> Result<Option<RevisionRecord>, LedgerError> {
        let subject = subject.into();
        let record = self.get(&subject.partition(), &format!("{REVISION}{revision}")).await?;
        record.map(|record| subject.read(record)).transpose()
    }

    /// All revisions in their order, oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn revisions(
        &self,
        subject: impl Into<Subject<'_>>,
    ) -> Result<Vec<RevisionRecord>, LedgerError> {
        let subject = subject.into();
        let records = self.query(&subject.partition(), REVISION).await?;
        let revisions = records.into_iter().map(|record| subject.read(record));
        let mut revisions = revisions.collect::<Result<Vec<_>, _>>()?;
        revisions.sort_by(|a, b| a.order.cmp(&b.order));
        Ok(revisions)
    }

    /// The newest published revision of an invoice; the certified one of a report that the server gave last.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn latest(&self, subject: impl Into<Subject<'_>>) -> Result<Option<Revision>, LedgerError> {
        let Some(record) = self.get(&subject.into().partition(), LATEST).await? else { return Ok(None) };
        Ok(Some(record.read::<Latest>()?.revision))
    }

    /// The last place that was given to what stood under a key, or nothing.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn last_place(
        &self,
        subject: impl Into<Subject<'_>>,
        key: &str,
    ) -> Result<Option<Place>, LedgerError> {
        let record = self.get(&subject.into().partition(), &format!("{PLACE}{key}")).await?;
        record.map(|record| record.read()).transpose()
    }
}

impl Ledger {
    /// Gives a place to what stands under a key, if the last one that was given there is still what was seen.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn give_place(
        &self,
        subject: impl Into<Subject<'_>>,
        key: &str,
        place: &Place,
        seen: Option<&Place>,
    ) -> Result<Written, LedgerError> {
        let record = Record::of(subject.into().partition(), format!("{PLACE}{key}"), place)?;
        let seen = seen.map(|seen| seen.order.as_str());
        self.put(&record, Condition::Unchanged { field: "order", seen }).await
    }

    /// Records a revision, unless it is done already: an invoice under the same rules.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn record_revision(
        &self,
        subject: impl Into<Subject<'_>>,
        record: &RevisionRecord,
    ) -> Result<Written, LedgerError> {
        let subject = subject.into();
        let same = match subject {
            Subject::Invoice(_) => ("rules", record.rules.as_deref().unwrap_or_default()),
            Subject::Report(_) => ("raw_key", record.raw_key.as_str()),
        };
        let done = subject.done().to_string();
        let unless_done = Condition::AnyDiffers { fields: [("state", &done), same] };
        self.put(&subject.write(record)?, unless_done).await
    }

    /// Records that everything that follows from a revision is done.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn complete_revision(
        &self,
        subject: impl Into<Subject<'_>>,
        record: &RevisionRecord,
    ) -> Result<(), LedgerError> {
        let subject = subject.into();
        let done = RevisionRecord { state: subject.done(), ..record.clone() };
        let condition = match subject {
            // refused if it was recorded again under other rules: then those decide
            Subject::Invoice(_) => Condition::Unchanged { field: "rules", seen: record.rules.as_deref() },
            Subject::Report(_) => Condition::Always,
        };
        self.put(&subject.write(&done)?, condition).await.map(|_| ())
    }

    /// Makes a revision the newest, unless one with a later place is: an older one never replaces it. The place of a report is by when it was
    /// given now: one that goes back to what it was before makes that revision the last again.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn advance_latest(
        &self,
        subject: impl Into<Subject<'_>>,
        revision: &Revision,
        place: &RevisionOrder,
    ) -> Result<Written, LedgerError> {
        let latest = Latest { order: place.clone(), revision: revision.clone() };
        let record = Record::of(subject.into().partition(), LATEST, &latest)?;
        self.put(&record, Condition::Newer { field: "order" }).await
    }
}
