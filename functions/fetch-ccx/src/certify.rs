//! From the wire to the bucket, and from there to the certificate, or to `held/`.
//!
//! The order of the writes makes every death between two of them harmless: the document stands before anything is made of
//! it; the certificate stands before the ledger names the revision; only then the revision is recorded as certified. The
//! next run repeats what is not recorded as done and comes to the same end.

use std::collections::HashMap;

use billing::ccx::{UsageReportCertificate, certify};
use billing::certificate::{Certified, Status};
use billing::keys::{self, RawDocumentKey};
use billing::period::Finality;
use billing::revision::RevisionOrder;
use chrono::{DateTime, SecondsFormat, Utc};
use cloud::bucket::{Object, Written};
use cloud::ledger::{RevisionRecord, RevisionState, Subject};
use cloud::publication::Register;
use serde_json::json;

use crate::App;
use crate::ccx::Answer;
use crate::reader::{MonthError, fetched_at, parse, told, told_unusable};
use crate::report::{ReportOutcome, ReportedMonth};

pub(crate) const JSON: &str = "application/json";

/// How a document came to be certified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The server has just given it: it is the newest.
    Now,
    /// Somebody asked for it by its key: its place is that of its first fetch.
    Before,
}

impl App {
    /// The bytes as they came, unless they stand there already.
    pub(crate) async fn keep(
        &self,
        key: &RawDocumentKey,
        answer: Answer,
        now: DateTime<Utc>,
    ) -> Result<Written, MonthError> {
        let metadata = HashMap::from([
            ("fetched-at".to_owned(), now.to_rfc3339_opts(SecondsFormat::Millis, true)),
            ("source".to_owned(), answer.source),
        ]);
        Ok(self.bucket.put_new(&key.to_string(), answer.document, JSON, metadata).await?)
    }

    /// Certifies a stored document, whatever became of it before.
    pub(crate) async fn certify_again(
        &self,
        key: &str,
        now: DateTime<Utc>,
    ) -> Result<ReportedMonth, MonthError> {
        Box::pin(self.certify(&parse(key)?, Seen::Before, now)).await
    }

    /// Certifies what stands under a key, unless that was done.
    pub(crate) async fn certify(
        &self,
        key: &RawDocumentKey,
        seen: Seen,
        now: DateTime<Utc>,
    ) -> Result<ReportedMonth, MonthError> {
        let standing = self.ledger.revision(Subject::Report(&key.invoice), &key.revision).await?;
        let newest = |record: &RevisionRecord| match seen {
            Seen::Now => RevisionOrder::new(None, now, &key.revision),
            Seen::Before => record.order.clone(),
        };
        if let Some(record) = standing.as_ref().filter(|record| record.state == RevisionState::Certified)
            && seen == Seen::Now
        {
            self.ledger.advance_latest(Subject::Report(&key.invoice), &key.revision, &newest(record)).await?;
            return Ok(already(key, record));
        }
        let object = self.reader.read(key).await?;
        let certified = certify(key, &object.bytes, fetched_at(&object, now));
        match certified {
            Ok(certificate) if certificate.status != Status::Mismatch => {
                let record = record(key, &object, &certificate, now);
                self.publish(key, certificate, &record, &newest(&record)).await
            }
            // the difference to the next revision hangs on what was certified: it is not taken back
            Ok(_) | Err(_) if standing.as_ref().is_some_and(|record| record.state != RevisionState::Held) => {
                Err(MonthError::NoLongerCertifies)
            }
            Ok(certificate) => self.hold_mismatch(key, &certificate, &object, now).await,
            Err(reason) => self.hold_unusable(key, &reason.to_string(), &object, now).await,
        }
    }

    async fn hold_unusable(
        &self,
        key: &RawDocumentKey,
        reason: &str,
        object: &Object,
        now: DateTime<Utc>,
    ) -> Result<ReportedMonth, MonthError> {
        let raw_key = key.to_string();
        let why = json!({"document": raw_key, "reason": reason, "software": billing::SOFTWARE});
        self.bucket.overwrite(&keys::held_reason(&raw_key), serde_json::to_vec_pretty(&why)?, JSON).await?;
        let fetched_at = fetched_at(object, now);
        let open = fetched_at < key.invoice.period.end();
        let order = RevisionOrder::new(None, fetched_at, &key.revision);
        let held = RevisionRecord::held(key.revision.clone(), order, raw_key, reason, now);
        let finality = if open { Finality::Open } else { Finality::Final };
        let record = RevisionRecord { finality: Some(finality), ..held };
        self.ledger.record_revision(Subject::Report(&key.invoice), &record).await?;
        Ok(told_unusable(key, reason))
    }

    async fn hold_mismatch(
        &self,
        key: &RawDocumentKey,
        certificate: &UsageReportCertificate,
        object: &Object,
        now: DateTime<Utc>,
    ) -> Result<ReportedMonth, MonthError> {
        let held_key = keys::held(&key.invoice.certificate(&key.revision), &key.revision);
        self.bucket.overwrite(&held_key, certificate.to_json()?, JSON).await?;
        let record = RevisionRecord {
            state: RevisionState::Held,
            certificate_key: Some(held_key.clone()),
            ..record(key, object, certificate, now)
        };
        self.ledger.record_revision(Subject::Report(&key.invoice), &record).await?;
        Ok(told(key, ReportOutcome::Held, certificate, Some(held_key)))
    }

    async fn publish(
        &self,
        key: &RawDocumentKey,
        certificate: UsageReportCertificate,
        record: &RevisionRecord,
        newest: &RevisionOrder,
    ) -> Result<ReportedMonth, MonthError> {
        let subject = Subject::Report(&key.invoice);
        let register = Register { bucket: &self.bucket, ledger: &self.ledger, subject };
        register.add(record, &certificate, newest).await?;
        self.ledger.complete_revision(subject, record).await?;
        Ok(told(key, ReportOutcome::Certified, &certificate, record.certificate_key.clone()))
    }
}

/// The record of a certified revision, before everything that follows from it is done.
fn record(
    key: &RawDocumentKey,
    object: &Object,
    certificate: &UsageReportCertificate,
    now: DateTime<Utc>,
) -> RevisionRecord {
    let order = RevisionOrder::new(None, fetched_at(object, now), &key.revision);
    let (revision, reason) = (key.revision.clone(), &certificate.explanation);
    RevisionRecord {
        state: RevisionState::Registered,
        status: Some(certificate.status),
        finality: Some(certificate.subject.finality),
        datastores: Some(certificate.datastores.listed),
        certificate_key: Some(key.invoice.certificate(&key.revision)),
        ..RevisionRecord::held(revision, order, key.to_string(), reason, now)
    }
}

fn already(key: &RawDocumentKey, record: &RevisionRecord) -> ReportedMonth {
    ReportedMonth {
        month: key.invoice.period,
        state: ReportOutcome::Already,
        status: record.status,
        key: key.to_string(),
        certificate: record.certificate_key.clone(),
        datastores: None,
        totals: None,
        reason: record.reason.clone(),
    }
}
