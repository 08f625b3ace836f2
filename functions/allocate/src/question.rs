//! What must be asked before a bill counts, and what follows from the answer.

use std::sync::Arc;

use billing::certificate::Certificate;
use billing::charges::Figures;
use billing::identity::{Id, Rule};
use billing::ids::{BillingAccountId, InvoiceId, Provider};
use billing::intake::{Answer, BroughtFile, Choices, Conflict, FoundBill, Why, analyse, conflicts, covers};
use billing::keys::{self, FocusKey, InvoiceKey, decode};
use billing::revision::Revision;
use chrono::{DateTime, Utc};
use cloud::events::StoredObject;
use cloud::intake::{
    Answers, Planned, Wish, keep, keep_document, newest, part_of, plan, standing, withdrawing,
};
use cloud::ledger::{RevisionRecord, RevisionState};
use serde_json::json;

use crate::document::{DocumentError, JSON, Named};
use crate::report::{DocumentReport, DocumentState};
use crate::{Reader, Task, Writer};

/// A bill that is about to count.
pub(crate) struct About<'b> {
    pub(crate) named: &'b Named,
    pub(crate) certificate: &'b Certificate,
    pub(crate) figures: Option<&'b Figures>,
    /// Whether a person put it there as it is.
    pub(crate) is_upload: bool,
    /// Whether its provider numbers its invoices.
    pub(crate) is_numbered: bool,
}

impl Reader {
    /// What must be asked before a new revision counts; nothing if it is clear.
    pub(crate) async fn question(&self, about: &About<'_>) -> Result<Option<String>, DocumentError> {
        let invoice = &about.named.invoice;
        let all = standing(&self.bucket, &self.ledger, invoice.period, about.figures).await?;
        let asked = match all.iter().find(|standing| standing.invoice == *invoice) {
            // what a function fetches again restates the bill
            Some(_) if !about.is_upload => Vec::new(),
            Some(own) => {
                let record = self.ledger.revision(invoice, &own.revision).await?;
                let before: Certificate = self.revisions(invoice).certificate(&own.revision).await?;
                let rule = Rule::of(invoice.provider.as_str());
                let ids = |certificate: &Certificate| {
                    certificate.targets.iter().map(|target| target.id.clone()).collect::<Vec<_>>()
                };
                let (before, now) = (ids(&before), ids(about.certificate));
                let covers = covers(rule, before.iter().map(String::as_str), now.iter().map(String::as_str));
                // the same object, written anew with all that it had, is a restatement
                match record.is_some_and(|record| record.raw_key == about.named.path) && covers {
                    true => Vec::new(),
                    false => vec![Conflict { standing: own, why: Why::SameAccount }],
                }
            }
            None => {
                let figures = about.figures.map(|figures| (about.certificate.currency.as_str(), figures));
                conflicts(invoice, about.is_numbered, figures, &all)
            }
        };
        if asked.is_empty() {
            return Ok(None);
        }
        let said: Vec<String> = asked.iter().map(ToString::to_string).collect();
        Ok(Some(format!(
            "{}. Say what this one is with an event for allocate: {}",
            said.join("; "),
            answers(&about.named.path, about.is_upload)
        )))
    }

    /// What becomes of a FOCUS export whose question is answered: it is brought as that.
    pub(crate) async fn answered(
        &self,
        key: &FocusKey,
        object: &StoredObject,
        answer: Answer,
        task: Task<'_>,
    ) -> Result<Vec<DocumentReport>, DocumentError> {
        let taken = self.bucket.take_in(&object.key, object.version.as_deref()).await?;
        let taken = taken.ok_or_else(|| self.no_such_object(&object.key))?;
        let revision = Revision::of_sha256(&taken.sha256);
        let named = Named::new(key.invoice.clone(), revision, object.key.clone());
        let file = BroughtFile {
            name: key.file.clone(),
            folder: String::new(),
            sha256: taken.sha256.clone(),
            bytes: taken.bytes,
            file: Arc::new(taken.file),
        };
        let choices = Choices { provider: Some(key.invoice.provider.clone()), dates: None };
        let look = file.clone();
        let analysis = tokio::task::spawn_blocking(move || analyse(&[look], &choices, 2)).await;
        let analysis = analysis.map_err(|error| DocumentError::GivenUp(error.to_string()))?;
        let analysis = analysis.map_err(|error| DocumentError::Analysis(Box::new(error)))?;
        let found = analysis.bills.into_iter().find(|found| is_of(found, &key.invoice));
        let Some(found) = found else { return Err(DocumentError::NotOfThisBill(object.key.clone())) };
        let part = part_of(&file.name, &file.sha256, file.bytes, &format!("upload of {}", object.key));
        let wish = self.wish(&key.invoice, answer).await?;
        let plan = plan(&self.bucket, &self.ledger, &[(found, vec![part.clone()])], &wish, task.now).await?;
        if let [Planned::Already(invoice, revision)] = plan.bills.as_slice() {
            if let Some(writer) = task.writer {
                writer.settle_question(&named, &said(&format!("{invoice}")), task.now).await?;
            }
            let reason = format!("{invoice} is made of this document already, as revision {revision}");
            return Ok(vec![named.report(DocumentState::Already, reason)]);
        }
        let overwritten =
            |other: &&billing::manifest::Part| other.key == object.key && other.sha256 != part.sha256;
        let manifests = plan.manifests();
        if let Some(lost) = manifests.iter().flat_map(|manifest| &manifest.parts).find(overwritten) {
            return Err(DocumentError::Overwritten(lost.key.clone()));
        }
        let Some(writer) = task.writer else {
            let bills: Vec<String> =
                manifests.iter().map(|manifest| manifest.invoice().to_string()).collect();
            return Ok(vec![
                named.report(
                    DocumentState::Preview,
                    format!("it would be brought as {}", bills.join(" and ")),
                ),
            ]);
        };
        keep_document(&writer.bucket, &part, &file.file).await?;
        let import = keep(&writer.bucket, manifests, task.now).await?;
        writer.settle_question(&named, &said(&import), task.now).await?;
        self.import(&StoredObject { bucket: None, key: import, version: None }, task.work()).await
    }

    /// It is about the bill under the key, if that counts; else about the one of the account and month.
    async fn wish(&self, invoice: &InvoiceKey, answer: Answer) -> Result<Wish, DocumentError> {
        let newest = newest(&self.ledger, invoice).await?;
        let is_about_it = newest.is_some_and(|record| !record.withdrawn) && answer != Answer::Additional;
        Ok(Wish {
            answers: Answers::all(answer),
            invoice: is_about_it.then(|| invoice.invoice_id.clone()),
            name: Some(invoice.invoice_id.clone()),
            dates: None,
        })
    }

    /// Withdraws the bills that a fetched one takes the place of.
    pub(crate) async fn withdraw_for(&self, about: &About<'_>, task: Task<'_>) -> Result<(), DocumentError> {
        let invoice = &about.named.invoice;
        let all = standing(&self.bucket, &self.ledger, invoice.period, about.figures).await?;
        let others: Vec<_> = all.iter().filter(|standing| standing.invoice != *invoice).cloned().collect();
        for Conflict { standing, .. } in conflicts(invoice, about.is_numbered, None, &others) {
            self.withdraw(&standing.invoice, &format!("replaced by {invoice}"), task).await?;
        }
        Ok(())
    }

    /// Ends the wait for a bill that is held and never counted.
    async fn give_up(
        &self,
        invoice: &InvoiceKey,
        revisions: Vec<RevisionRecord>,
        reason: &str,
        task: Task<'_>,
    ) -> Result<Vec<DocumentReport>, DocumentError> {
        let mut reports = Vec::new();
        for record in revisions.into_iter().filter(|record| record.state == RevisionState::Held) {
            let named = Named::new(invoice.clone(), record.revision, record.raw_key);
            reports.push(match task.writer {
                None => named.report(DocumentState::Preview, format!("{invoice} would be held no longer")),
                Some(writer) => {
                    let reason = format!("withdrawn: {reason}");
                    writer.settle_question(&named, &reason, task.now).await?;
                    named.report(DocumentState::Withdrawn, reason)
                }
            });
        }
        Ok(reports)
    }

    /// Withdraws a bill: its next revision has no charges. One that is held, and never counted, is waited for no longer.
    pub(crate) async fn withdraw(
        &self,
        invoice: &InvoiceKey,
        reason: &str,
        task: Task<'_>,
    ) -> Result<Vec<DocumentReport>, DocumentError> {
        let revisions = self.ledger.revisions(invoice).await?;
        let newest = newest(&self.ledger, invoice).await?;
        let counts = newest.as_ref().is_some_and(|record| !record.withdrawn);
        let is_held = revisions.last().is_some_and(|record| record.state == RevisionState::Held);
        if !counts && is_held {
            return self.give_up(invoice, revisions, reason, task).await;
        }
        if let Some(record) = newest.filter(|record| record.withdrawn) {
            let named = Named::new(invoice.clone(), record.revision, record.raw_key);
            return Ok(vec![
                named.report(DocumentState::Already, format!("{invoice} is {} already", record.reason)),
            ]);
        }
        let (manifest, _) = withdrawing(&self.bucket, &self.ledger, invoice, reason).await?;
        let Some(writer) = task.writer else {
            let revision = Revision::of(&manifest.to_json().map_err(cloud::intake::IntakeError::from)?);
            let named = Named::new(invoice.clone(), revision, invoice.raw_folder());
            return Ok(vec![named.report(DocumentState::Preview, format!("{invoice} would be withdrawn"))]);
        };
        let import = keep(&writer.bucket, vec![manifest], task.now).await?;
        self.import(&StoredObject { bucket: None, key: import, version: None }, task.work()).await
    }
}

impl Writer {
    /// What was held with a question counts elsewhere now: its month waits for it no longer.
    async fn settle_question(
        &self,
        named: &Named,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<(), DocumentError> {
        let record = self.ledger.revision(&named.invoice, &named.revision).await?;
        let Some(mut record) = record.filter(|record| record.state == RevisionState::Held) else {
            return Ok(());
        };
        record.state = RevisionState::Answered;
        reason.clone_into(&mut record.reason);
        let note = json!({"document": named.path, "status": "answered", "reason": reason});
        let note = serde_json::to_vec_pretty(&note).map_err(billing::certificate::CertificateError::from)?;
        self.bucket.overwrite(&keys::held_reason(&named.note), note, JSON).await?;
        self.ledger.record_revision(&named.invoice, &record).await?;
        self.settle_period(&named.invoice, now).await
    }
}

/// Why a question is settled.
fn said(see: &str) -> String {
    format!("a person said what it is: see {see}")
}

/// Whether a bill that was found is the one of a key.
fn is_of(found: &FoundBill, invoice: &InvoiceKey) -> bool {
    let rule = Rule::of(invoice.provider.as_str());
    found.provider == invoice.provider
        && found.month == invoice.period
        && rule.same(Id::BillingAccount, found.billing_account.as_str(), invoice.billing_account.as_str())
}

/// The events that answer a question.
fn answers(key: &str, is_upload: bool) -> String {
    let event = |answer: &str| json!({"key": key, "answer": answer}).to_string();
    let add = match is_upload {
        true => format!("{} if it is a part of it, ", event("add")),
        false => String::new(),
    };
    format!(
        "{} if it takes the place of that bill, {add}{} if it is another bill",
        event("replace"),
        event("additional")
    )
}

/// A bill as a person names it: `provider/account/month/bill`, each as it is or as it stands in keys; an account may have slashes.
pub(crate) fn bill_named(text: &str) -> Option<InvoiceKey> {
    let (provider, rest) = text.split_once('/')?;
    let (rest, invoice) = rest.rsplit_once('/')?;
    let (account, month) = rest.rsplit_once('/')?;
    let plain = |part: &str| decode(part).unwrap_or_else(|| part.to_owned());
    Some(InvoiceKey {
        provider: Provider::new(plain(provider)).ok()?,
        billing_account: BillingAccountId::new(plain(account)).ok()?,
        period: month.parse().ok()?,
        invoice_id: InvoiceId::new(plain(invoice)).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_is_named_as_it_stands_in_keys_or_as_it_is() {
        let bill = bill_named("azure/8611537/2026-10/import").unwrap();
        assert_eq!(bill.to_string(), "azure invoice import of 8611537 (2026-10)");
        let path = bill_named("azure/!2Fproviders!2Fx/2026-10/focus").unwrap();
        assert_eq!(path.billing_account.as_str(), "/providers/x");
        assert_eq!(bill_named("azure//providers/x/2026-10/focus").unwrap(), path);
        for bad in ["", "azure", "azure/a/2026-10", "azure/a/October/x", "azure//2026-10/"] {
            assert_eq!(bill_named(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_question_comes_with_its_answers() {
        let said = answers("raw/focus/a/b/2026-10/c/d.csv", true);
        assert!(
            said.starts_with(r#"{"answer":"replace","key":"raw/focus/a/b/2026-10/c/d.csv"} if it takes"#),
            "{said}"
        );
        assert!(said.contains(r#""add""#) && !answers("raw/aws/x", false).contains(r#""add""#));
    }
}
