//! Usage reports: `REPORT#{provider}#{account}#{YYYY-MM}#{report}` / `REV#{revision}`, and `LATEST`.
//!
//! Not the records of invoices: those belong to an invoice id of its own, and have amounts and allocations. A month has
//! one report, which may come again with other figures.

use std::fmt;
use std::str::FromStr;

use billing::certificate::Status;
use billing::keys::{InvoiceKey, encode};
use billing::period::Finality;
use billing::revision::{Revision, RevisionOrder};
use chrono::{DateTime, SecondsFormat, Utc};

use super::{Condition, Ledger, LedgerError, LedgerReader, Record};
use crate::bucket::Written;

/// How far a revision of a report has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportState {
    /// Its certificate stands; what follows from it may still be missing, the next run completes it.
    Registered,
    /// Everything that follows from it is done.
    Certified,
    /// Not believed, for the reason recorded.
    Held,
}

impl ReportState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Certified => "certified",
            Self::Held => "held",
        }
    }
}

impl fmt::Display for ReportState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReportState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Registered, Self::Certified, Self::Held]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("'{text}' is no state of a report"))
    }
}

/// What is known of one revision of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRecord {
    /// The revision.
    pub revision: Revision,
    /// Its place among the report's revisions: by when it was fetched first.
    pub order: RevisionOrder,
    /// How far it has come.
    pub state: ReportState,
    /// The certificate's verdict; nothing if the document is malformed.
    pub status: Option<Status>,
    /// Whether its month was still running when it was fetched.
    pub finality: Finality,
    /// How many datastores it lists; nothing if the document is malformed.
    pub datastores: Option<u64>,
    /// Why it is held, or the certificate's explanation.
    pub reason: String,
    /// Key of the raw document.
    pub raw_key: String,
    /// Key of the certificate, under `held/` if it is held.
    pub certificate_key: Option<String>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
}

pub(super) fn partition(report: &InvoiceKey) -> String {
    let encoded = [report.provider.as_str(), report.billing_account.as_str()].map(encode);
    let [provider, account] = encoded;
    format!("REPORT#{provider}#{account}#{}#{}", report.period, encode(report.invoice_id.as_str()))
}

impl LedgerReader {
    /// One revision of a report, or nothing.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn report_revision(
        &self,
        report: &InvoiceKey,
        revision: &Revision,
    ) -> Result<Option<ReportRecord>, LedgerError> {
        let record = self.get(&partition(report), &format!("REV#{revision}")).await?;
        record.as_ref().map(read).transpose()
    }

    /// All revisions of a report, in the order in which they were fetched first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn report_revisions(&self, report: &InvoiceKey) -> Result<Vec<ReportRecord>, LedgerError> {
        let records = self.query(&partition(report), "REV#").await?;
        let mut revisions = records.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        revisions.sort_by(|a, b| a.order.cmp(&b.order));
        Ok(revisions)
    }

    /// The certified revision that the server gave last.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn latest_report(&self, report: &InvoiceKey) -> Result<Option<Revision>, LedgerError> {
        let record = self.get(&partition(report), "LATEST").await?;
        let revision = |record: Record| {
            let text = record.fields.get("revision").cloned().unwrap_or_default();
            Revision::parse(&text).map_err(|error| record.unusable("revision", &error))
        };
        record.map(revision).transpose()
    }
}

impl Ledger {
    /// Records a revision, unless it is certified already.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn record_report(
        &self,
        report: &InvoiceKey,
        record: &ReportRecord,
    ) -> Result<Written, LedgerError> {
        let certified = ReportState::Certified.as_str();
        let unless_done =
            Condition::AnyDiffers { fields: [("state", certified), ("raw_key", record.raw_key.as_str())] };
        self.put(&write(report, record), unless_done).await
    }

    /// Records that everything that follows from a revision is done.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn complete_report(
        &self,
        report: &InvoiceKey,
        record: &ReportRecord,
    ) -> Result<(), LedgerError> {
        let done = ReportRecord { state: ReportState::Certified, ..record.clone() };
        self.put(&write(report, &done), Condition::Always).await.map(|_| ())
    }

    /// Makes a revision the one that the server gave last, unless another one was given after `seen`. A report that goes
    /// back to what it was before makes that revision the last again.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn advance_latest_report(
        &self,
        report: &InvoiceKey,
        revision: &Revision,
        seen: &RevisionOrder,
    ) -> Result<Written, LedgerError> {
        let fields = [("order", seen.as_str()), ("revision", revision.as_str())];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let record = Record { pk: partition(report), sk: "LATEST".into(), fields };
        self.put(&record, Condition::Newer { field: "order" }).await
    }
}

fn write(report: &InvoiceKey, record: &ReportRecord) -> Record {
    let mut fields = std::collections::BTreeMap::new();
    let mut set = |name: &str, value: String| fields.insert(name.to_owned(), value);
    set("order", record.order.as_str().to_owned());
    set("state", record.state.to_string());
    set("finality", record.finality.to_string());
    set("reason", record.reason.clone());
    set("raw_key", record.raw_key.clone());
    set("recorded_at", record.recorded_at.to_rfc3339_opts(SecondsFormat::Millis, true));
    if let Some(status) = record.status {
        set("status", status.to_string());
    }
    if let Some(datastores) = record.datastores {
        set("datastores", datastores.to_string());
    }
    if let Some(key) = &record.certificate_key {
        set("certificate_key", key.clone());
    }
    Record { pk: partition(report), sk: format!("REV#{}", record.revision), fields }
}

fn read(record: &Record) -> Result<ReportRecord, LedgerError> {
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
    let finality = match text("finality").unwrap_or_default().as_str() {
        "open" => Finality::Open,
        "final" => Finality::Final,
        other => return Err(record.unusable("finality", &format!("'{other}'"))),
    };
    let datastores = text("datastores").map(|_| record.field("datastores")).transpose()?;
    Ok(ReportRecord {
        revision,
        order: RevisionOrder::from_record(text("order").unwrap_or_default()),
        state: record.field("state")?,
        status,
        finality,
        datastores,
        reason: text("reason").unwrap_or_default(),
        raw_key: text("raw_key").unwrap_or_default(),
        certificate_key: text("certificate_key"),
        recorded_at: record.field("recorded_at")?,
    })
}
