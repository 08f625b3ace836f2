//! Certificates with their differences to the revision before.
//!
//! Each is a function of the ledger's records and of certificates, so the order in which revisions come does not matter.
//! Each is written by the same step: note what stands there, read the ledger (consistently), write if what stood there
//! still does, else begin again. Whoever writes has therefore read the ledger after everyone who wrote before.

use billing::ccx::UsageReportCertificate;
use billing::keys::InvoiceKey;
use cloud::bucket::Written;
use cloud::ledger::{ReportRecord, ReportState};

use crate::App;
use crate::certify::JSON;
use crate::look::MonthError;

/// How often a write may find that somebody was quicker.
const ROUNDS: usize = 10;

impl App {
    /// Writes the certificate of a revision as the ledger now wants it: naming the revision before it and the
    /// differences. `new` is the certificate just made; without it the one that stands there is taken up.
    pub(crate) async fn settle_certificate(
        &self,
        report: &InvoiceKey,
        record: &ReportRecord,
        new: Option<&UsageReportCertificate>,
    ) -> Result<(), MonthError> {
        let key = report.certificate(&record.revision);
        for _ in 0..ROUNDS {
            let standing = self.bucket.get(&key, None).await?;
            let (bytes, etag) = standing.map(|object| (object.bytes, object.etag)).unzip();
            let certificate = match (new, &bytes) {
                (Some(new), _) => new.clone(),
                (None, Some(bytes)) => UsageReportCertificate::from_json(bytes)?,
                (None, None) => return Err(MonthError::NoCertificate(key)),
            };
            let mut certified = self.certified(report).await?.into_iter();
            let before =
                certified.rfind(|other| other.order < record.order && other.revision != record.revision);
            let before = match &before {
                Some(before) => Some(self.certificate_of(report, before).await?),
                None => None,
            };
            let wanted = certificate.superseding(before.as_ref())?.to_json()?;
            if bytes.is_some_and(|bytes| bytes == wanted) {
                return Ok(());
            }
            if self.bucket.replace(&key, wanted, JSON, etag).await? == Written::Now {
                return Ok(());
            }
        }
        Err(MonthError::Contention(key))
    }

    /// A revision that is certified late stands before another one, whose differences are then to this one.
    pub(crate) async fn settle_successor(
        &self,
        report: &InvoiceKey,
        record: &ReportRecord,
    ) -> Result<(), MonthError> {
        let successor = self.certified(report).await?.into_iter().find(|other| other.order > record.order);
        match successor {
            Some(successor) => self.settle_certificate(report, &successor, None).await,
            None => Ok(()),
        }
    }

    /// The revisions that are not held, in the order in which they were fetched first.
    async fn certified(&self, report: &InvoiceKey) -> Result<Vec<ReportRecord>, MonthError> {
        let mut revisions = self.ledger.report_revisions(report).await?;
        revisions.retain(|record| record.state != ReportState::Held);
        Ok(revisions)
    }

    async fn certificate_of(
        &self,
        report: &InvoiceKey,
        record: &ReportRecord,
    ) -> Result<UsageReportCertificate, MonthError> {
        let key = report.certificate(&record.revision);
        let object = self.bucket.get(&key, None).await?;
        let object = object.ok_or(MonthError::NoCertificate(key))?;
        Ok(UsageReportCertificate::from_json(&object.bytes)?)
    }
}
