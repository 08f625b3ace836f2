//! What a dry run does, and every run first: fetch, read, and say what would come out. Nothing here can write.

use billing::ccx::{REPORT_ID, UsageReportCertificate, UsageReportError, certify};
use billing::certificate::{CertificateError, Status};
use billing::ids::{BillingAccountId, InvalidId, InvoiceId, Provider};
use billing::keys::{InvalidKey, InvoiceKey, RawDocumentKey};
use billing::money::MoneyError;
use billing::month::BillingMonth;
use billing::revision::Revision;
use chrono::{DateTime, Utc};
use cloud::bucket::{BucketError, BucketReader, Object};
use cloud::ledger::LedgerError;
use cloud::peer::PeerError;
use cloud::seals::SealError;

use crate::ccx::{Answer, CcxClient};
use crate::months::{NotYet, Window};
use crate::report::{ReportOutcome, ReportedMonth};

/// The server and the bucket, to read.
pub(crate) struct Reader {
    pub(crate) ccx: CcxClient,
    pub(crate) account: BillingAccountId,
    pub(crate) months: usize,
    pub(crate) bucket: BucketReader,
}

/// Why a month is not done, other than by its report's own fault: then it is held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MonthError {
    #[error(transparent)]
    NotYet(#[from] NotYet),
    #[error(transparent)]
    Ccx(#[from] PeerError),
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error(transparent)]
    Key(#[from] InvalidKey),
    #[error("'{0}' is not the key of a usage report: expected raw/ccx/{{account}}/{{YYYY-MM}}/usage/...")]
    OtherKey(String),
    #[error("there is no object s3://{bucket}/{key}")]
    NoSuchObject { bucket: String, key: String },
    #[error(
        "this report was certified, and this version of the software would hold it: nothing is changed; compare its \
         certificate with a dry run"
    )]
    NoLongerCertifies,
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Quantity(#[from] MoneyError),
    #[error("the reason cannot be written: {0}")]
    Reason(#[from] serde_json::Error),
}

impl Reader {
    /// Fetches the report of a month, and names it.
    pub(crate) async fn fetch(
        &self,
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<(RawDocumentKey, Answer), MonthError> {
        let window = Window::of(month, now)?;
        let answer = self.ccx.usage(&window).await?;
        let invoice = InvoiceKey {
            provider: Provider::ccx(),
            billing_account: self.account.clone(),
            period: window.month,
            invoice_id: InvoiceId::new(REPORT_ID)?,
        };
        let revision = Revision::of(&answer.document);
        Ok((RawDocumentKey { invoice, revision, extension: "json".into() }, answer))
    }

    /// What the report of a month would come to.
    pub(crate) async fn month(
        &self,
        month: BillingMonth,
        now: DateTime<Utc>,
    ) -> Result<ReportedMonth, MonthError> {
        let (key, answer) = self.fetch(month, now).await?;
        Ok(preview(&key, certify(&key, &answer.document, now)))
    }

    /// What a stored document comes to.
    pub(crate) async fn stored(&self, key: &str, now: DateTime<Utc>) -> Result<ReportedMonth, MonthError> {
        let key = parse(key)?;
        let object = self.read(&key).await?;
        Ok(preview(&key, certify(&key, &object.bytes, fetched_at(&object, now))))
    }

    pub(crate) async fn read(&self, key: &RawDocumentKey) -> Result<Object, MonthError> {
        let missing =
            || MonthError::NoSuchObject { bucket: self.bucket.name().to_owned(), key: key.to_string() };
        self.bucket.get(&key.to_string(), None).await?.ok_or_else(missing)
    }
}

/// A key by which a person names a stored report.
pub(crate) fn parse(key: &str) -> Result<RawDocumentKey, MonthError> {
    let parsed = RawDocumentKey::parse(key)?;
    let is_report =
        parsed.invoice.provider == Provider::ccx() && parsed.invoice.invoice_id.as_str() == REPORT_ID;
    is_report.then_some(parsed).ok_or_else(|| MonthError::OtherKey(key.chars().take(300).collect()))
}

/// When it was fetched, which was noted on the document; else when it was put there.
pub(crate) fn fetched_at(object: &Object, now: DateTime<Utc>) -> DateTime<Utc> {
    let noted = object.metadata.get("fetched-at").and_then(|text| text.parse().ok());
    noted.or(object.last_modified).unwrap_or(now)
}

/// A certified report as it is told.
pub(crate) fn told(
    key: &RawDocumentKey,
    state: ReportOutcome,
    certificate: &UsageReportCertificate,
    certificate_key: Option<String>,
) -> ReportedMonth {
    ReportedMonth {
        month: key.invoice.period,
        state,
        status: Some(certificate.status),
        key: key.to_string(),
        certificate: certificate_key,
        datastores: Some(certificate.datastores),
        totals: Some(certificate.totals.clone()),
        reason: certificate.explanation.clone(),
    }
}

/// A document that cannot be certified, as it is told.
pub(crate) fn told_unusable(key: &RawDocumentKey, reason: &str) -> ReportedMonth {
    ReportedMonth {
        month: key.invoice.period,
        state: ReportOutcome::Held,
        status: None,
        key: key.to_string(),
        certificate: None,
        datastores: None,
        totals: None,
        reason: reason.to_owned(),
    }
}

fn preview(
    key: &RawDocumentKey,
    certified: Result<UsageReportCertificate, UsageReportError>,
) -> ReportedMonth {
    match certified {
        Ok(certificate) if certificate.status == Status::Mismatch => {
            told(key, ReportOutcome::Held, &certificate, None)
        }
        Ok(certificate) => told(key, ReportOutcome::Preview, &certificate, None),
        Err(reason) => told_unusable(key, &reason.to_string()),
    }
}
