//! Revisions of invoices: `INVOICE#{provider}#{account}#{invoice_id}` / `REV#{revision}`, and `LATEST`.

use std::fmt;
use std::str::FromStr;

use billing::certificate::{Certificate, Status};
use billing::keys::{InvoiceKey, encode};
use billing::period::Finality;
use billing::revision::{Revision, RevisionOrder};
use chrono::{DateTime, SecondsFormat, Utc};

use super::{Condition, Ledger, LedgerError, LedgerReader, Record};
use crate::bucket::Written;

/// How far a revision has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionState {
    /// Certified; what follows from it may still be missing, a redelivery completes it.
    Registered,
    /// Published, and everything that follows from it is done.
    Allocated,
    /// Not published, for the reason recorded.
    Held,
    /// It was held with a question, and a person answered it: what it says counts elsewhere.
    Answered,
}

impl RevisionState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Allocated => "allocated",
            Self::Held => "held",
            Self::Answered => "answered",
        }
    }
}

impl fmt::Display for RevisionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RevisionState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Registered, Self::Allocated, Self::Held, Self::Answered]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("'{text}' is no state of a revision"))
    }
}

/// What is known of one revision of an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionRecord {
    /// The revision.
    pub revision: Revision,
    /// Its place among the invoice's revisions.
    pub order: RevisionOrder,
    /// How far it has come.
    pub state: RevisionState,
    /// The rules it was processed under, as one text.
    pub rules: String,
    /// The certificate's verdict; nothing if the document is malformed.
    pub status: Option<Status>,
    /// Whether the invoice may still grow.
    pub finality: Option<Finality>,
    /// Totals as decimal texts: (currency, provider's, charges', allocated).
    pub totals: Option<[String; 4]>,
    /// What charges cost when commitments are spread over their use, or that they do not state it; nothing where the certificate does not say.
    pub effective_cost: Option<String>,
    /// Why it is held, or the certificate's explanation.
    pub reason: String,
    /// Key of the raw document.
    pub raw_key: String,
    /// Key of the certificate, under `held/` if it is held.
    pub certificate_key: Option<String>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// Whether it withdraws the bill: it has no charges then.
    pub withdrawn: bool,
}

impl RevisionRecord {
    /// The record of a certified revision.
    #[must_use]
    pub fn certified(
        certificate: &Certificate,
        certificate_key: String,
        order: RevisionOrder,
        state: RevisionState,
        recorded_at: DateTime<Utc>,
    ) -> Self {
        Self {
            revision: certificate.subject.revision.clone(),
            order,
            state,
            rules: rules_text(&certificate.rules),
            status: Some(certificate.status),
            finality: Some(certificate.subject.finality),
            totals: Some([
                certificate.currency.clone(),
                certificate.provider_total.to_string(),
                certificate.charges_total.to_string(),
                certificate.allocated_total.to_string(),
            ]),
            effective_cost: certificate.provider_figures.get("effective_cost").map(effective),
            reason: certificate.explanation.clone(),
            raw_key: certificate.inputs.first().map(|input| input.key.clone()).unwrap_or_default(),
            certificate_key: Some(certificate_key),
            recorded_at,
            withdrawn: false,
        }
    }

    /// The record of a revision that is held.
    #[must_use]
    pub fn held(
        revision: Revision,
        order: RevisionOrder,
        rules: String,
        raw_key: String,
        reason: &str,
        recorded_at: DateTime<Utc>,
    ) -> Self {
        Self {
            revision,
            order,
            state: RevisionState::Held,
            rules,
            status: None,
            finality: None,
            totals: None,
            effective_cost: None,
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
        matches!(self.state, RevisionState::Registered | RevisionState::Allocated)
    }
}

/// Rules as one text, for comparison.
#[must_use]
pub fn rules_text(rules: &std::collections::BTreeMap<String, String>) -> String {
    rules.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

pub(super) fn partition(invoice: &InvoiceKey) -> String {
    let encoded = |text: &str| encode(text);
    format!(
        "INVOICE#{}#{}#{}",
        encoded(invoice.provider.as_str()),
        encoded(invoice.billing_account.as_str()),
        encoded(&invoice.unique_id())
    )
}

impl LedgerReader {
    /// One revision of an invoice, or nothing.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn revision(
        &self,
        invoice: &InvoiceKey,
        revision: &Revision,
    ) -> Result<Option<RevisionRecord>, LedgerError> {
        let record = self.get(&partition(invoice), &format!("REV#{revision}")).await?;
        record.as_ref().map(read).transpose()
    }

    /// All revisions of an invoice, oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn revisions(&self, invoice: &InvoiceKey) -> Result<Vec<RevisionRecord>, LedgerError> {
        let records = self.query(&partition(invoice), "REV#").await?;
        let mut revisions = records.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        revisions.sort_by(|a, b| a.order.cmp(&b.order));
        Ok(revisions)
    }

    /// The newest published revision of an invoice.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn latest(&self, invoice: &InvoiceKey) -> Result<Option<Revision>, LedgerError> {
        let record = self.get(&partition(invoice), "LATEST").await?;
        let revision = |record: Record| {
            let text = record.fields.get("revision").cloned().unwrap_or_default();
            Revision::parse(&text).map_err(|error| record.unusable("revision", &error))
        };
        record.map(revision).transpose()
    }
}

impl Ledger {
    /// Records a revision, unless it is already allocated under the same rules.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn record_revision(
        &self,
        invoice: &InvoiceKey,
        record: &RevisionRecord,
    ) -> Result<Written, LedgerError> {
        let allocated = RevisionState::Allocated.as_str();
        let unless_done =
            Condition::AnyDiffers { fields: [("state", allocated), ("rules", record.rules.as_str())] };
        self.put(&write(invoice, record), unless_done).await
    }

    /// Records that everything that follows from a revision is done.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn complete_revision(
        &self,
        invoice: &InvoiceKey,
        record: &RevisionRecord,
    ) -> Result<(), LedgerError> {
        let done = RevisionRecord { state: RevisionState::Allocated, ..record.clone() };
        // refused if it was recorded again under other rules: then those decide
        let same_rules = Condition::Unchanged { field: "rules", seen: Some(&record.rules) };
        self.put(&write(invoice, &done), same_rules).await.map(|_| ())
    }

    /// Makes a revision the newest, unless a newer one is: an older one never replaces it.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn advance_latest(
        &self,
        invoice: &InvoiceKey,
        revision: &RevisionRecord,
    ) -> Result<Written, LedgerError> {
        let fields = [("order", revision.order.as_str()), ("revision", revision.revision.as_str())];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let record = Record { pk: partition(invoice), sk: "LATEST".into(), fields };
        self.put(&record, Condition::Newer { field: "order" }).await
    }
}

fn write(invoice: &InvoiceKey, record: &RevisionRecord) -> Record {
    let mut fields = std::collections::BTreeMap::new();
    let mut set = |name: &str, value: String| fields.insert(name.to_owned(), value);
    set("order", record.order.as_str().to_owned());
    set("state", record.state.to_string());
    set("rules", record.rules.clone());
    set("period", invoice.period.to_string());
    set("reason", record.reason.clone());
    set("raw_key", record.raw_key.clone());
    set("recorded_at", record.recorded_at.to_rfc3339_opts(SecondsFormat::Millis, true));
    if let Some(status) = record.status {
        set("status", status.to_string());
    }
    if record.withdrawn {
        set("withdrawn", "yes".to_owned());
    }
    if let Some(finality) = record.finality {
        set("finality", finality.to_string());
    }
    if let Some(key) = &record.certificate_key {
        set("certificate_key", key.clone());
    }
    for (name, value) in TOTALS.iter().zip(record.totals.iter().flatten()) {
        set(name, value.clone());
    }
    if let Some(cost) = &record.effective_cost {
        set("effective_cost", cost.clone());
    }
    Record { pk: partition(invoice), sk: format!("REV#{}", record.revision), fields }
}

fn effective(figure: &serde_json::Value) -> String {
    figure.as_str().unwrap_or("not stated").to_owned()
}

const TOTALS: [&str; 4] = ["currency", "provider_total", "charges_total", "allocated_total"];

fn read(record: &Record) -> Result<RevisionRecord, LedgerError> {
    let text = |field: &str| record.fields.get(field).cloned();
    let revision = Revision::parse(record.sk.trim_start_matches("REV#"))
        .map_err(|error| record.unusable("revision", &error))?;
    let status = match text("status").as_deref() {
        None => None,
        Some("matched") => Some(Status::Matched),
        Some("explained") => Some(Status::Explained),
        Some("mismatch") => Some(Status::Mismatch),
        Some(other) => return Err(record.unusable("status", &format!("'{other}'"))),
    };
    let finality = match text("finality").as_deref() {
        None => None,
        Some("open") => Some(Finality::Open),
        Some("final") => Some(Finality::Final),
        Some(other) => return Err(record.unusable("finality", &format!("'{other}'"))),
    };
    let totals: Option<Vec<String>> = TOTALS.iter().map(|name| text(name)).collect();
    Ok(RevisionRecord {
        revision,
        order: RevisionOrder::from_record(text("order").unwrap_or_default()),
        state: record.field("state")?,
        rules: text("rules").unwrap_or_default(),
        status,
        finality,
        totals: totals.and_then(|totals| totals.try_into().ok()),
        effective_cost: text("effective_cost"),
        reason: text("reason").unwrap_or_default(),
        raw_key: text("raw_key").unwrap_or_default(),
        certificate_key: text("certificate_key"),
        recorded_at: record.field("recorded_at")?,
        withdrawn: text("withdrawn").is_some(),
    })
}
