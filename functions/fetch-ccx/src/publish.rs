//! Certificates with their differences to the revision before.
//!
//! Each is a function of the ledger's records and of certificates, so the order in which revisions come does not matter.
//! Each is written by the same step: note what stands there, read the ledger (consistently), write if what stood there
//! still does, else begin again. Whoever writes has therefore read the ledger after everyone who wrote before.

use billing::ccx::UsageReportCertificate;
use billing::keys::InvoiceKey;
use cloud::bucket::Written;
use cloud::ledger::{ReportRecord, ReportState};
use cloud::seals::Sealed;

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
        let sealed = Sealed::of_report(report, &record.revision);
        for _ in 0..ROUNDS {
            let standing = sealed.standing(&self.bucket, new.is_some()).await?;
            let bytes = standing.as_ref().map(|(bytes, _)| bytes);
            let (certificate, seal) = match (new, bytes) {
                (Some(new), _) => (new.clone(), None),
                (None, Some(bytes)) => {
                    let seal = Box::pin(sealed.stands(&self.bucket, &self.ledger, bytes)).await?;
                    // else somebody has written another since
                    let Some(seal) = seal else { continue };
                    (UsageReportCertificate::from_json(bytes)?, Some(seal))
                }
                (None, None) => return Err(MonthError::NoCertificate(sealed.key)),
            };
            let mut certified = self.certified(report).await?.into_iter();
            let before =
                certified.rfind(|other| other.order < record.order && other.revision != record.revision);
            let before = match &before {
                Some(before) => Some(self.certificate_of(report, before).await?),
                None => None,
            };
            let wanted = certificate.superseding(before.as_ref())?.to_json()?;
            let written =
                Box::pin(sealed.replace(&self.bucket, &self.ledger, standing, seal, wanted, JSON)).await?;
            if written == Written::Now {
                return Ok(());
            }
        }
        Err(MonthError::Contention(sealed.key))
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
        let sealed = Sealed::of_report(report, &record.revision);
        let bytes = Box::pin(sealed.read(&self.bucket, &self.ledger)).await?;
        Ok(UsageReportCertificate::from_json(&bytes.ok_or(MonthError::NoCertificate(sealed.key))?)?)
    }
}
