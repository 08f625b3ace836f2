//! Bills: a manifest and its parts, a FOCUS export, or what a person brought at once, from arrival to publication.
//!
//! The parts are taken into files, so memory does not grow with the bill; reading, adding up and writing the charges happens on
//! threads of their own.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use billing::certificate::{DocumentRef, Status};
use billing::intake::{BillInput, Import, JudgeError, JudgedBill, judge};
use billing::keys::{self, FocusKey, RawDocumentKey};
use billing::manifest::{Format, Manifest, Part};
use billing::money::Currency;
use billing::period::Finality;
use billing::revision::{Revision, RevisionOrder, sha256_hex};
use chrono::{DateTime, Utc};
use cloud::bucket::{Spooled, Written};
use cloud::events::StoredObject;
use cloud::ledger::{Place, RevisionRecord, RevisionState};
use cloud::publication::Rounds;

use crate::document::{
    CSV, Content, DocumentError, Fetched, Named, Output, PARQUET, Results, already, order_of,
};
use crate::report::{DocumentReport, DocumentState};
use crate::{Reader, Task, Writer};

/// A bill as it was taken in.
pub(crate) struct Taken {
    pub(crate) named: Named,
    pub(crate) fetched: Fetched,
    pub(crate) manifest: Manifest,
    /// The documents that it was made from, for the certificate.
    inputs: Vec<DocumentRef>,
    /// Whether a person put it there as it is.
    pub(crate) is_upload: bool,
}

/// Documents in files, by key.
type Files = BTreeMap<String, Arc<File>>;

impl Reader {
    /// The bill of a manifest.
    pub(crate) async fn bill(
        &self,
        key: &RawDocumentKey,
        object: &StoredObject,
        task: Task<'_>,
    ) -> Result<DocumentReport, DocumentError> {
        let named = Named::of(key);
        if let Some(done) = self.done_before(&named, task).await? {
            return Ok(done);
        }
        let stored = self.bucket.get(&object.key, object.version.as_deref()).await?;
        let stored = stored.ok_or_else(|| self.no_such_object(&object.key))?;
        let fetched = Fetched::of(&stored);
        let manifest = match Manifest::read(key, &stored.bytes) {
            Ok(manifest) => manifest,
            Err(reason) => return task.unusable(&named, &fetched, &reason.to_string()).await,
        };
        let mut files = Files::new();
        if let Err(reason) = self.take_in_all(manifest.parts.iter(), &mut files).await? {
            return task.unusable(&named, &fetched, &reason).await;
        }
        let head = DocumentRef { key: named.path.clone(), sha256: sha256_hex(&stored.bytes) };
        let inputs = inputs(head, &manifest);
        let taken = Taken { named, fetched, manifest, inputs, is_upload: false };
        self.judge_one(taken, files, task).await
    }

    /// The bill of a FOCUS export that somebody put into the bucket: of what stands there, or stood there in the version that the event names.
    pub(crate) async fn focus(
        &self,
        key: &FocusKey,
        object: &StoredObject,
        task: Task<'_>,
    ) -> Result<DocumentReport, DocumentError> {
        let mut rounds = Rounds::of(&object.key);
        loop {
            rounds.begin()?;
            if let Some(report) = Box::pin(self.focus_once(key, object, task)).await? {
                return Ok(report);
            }
        }
    }

    /// The same; nothing if it was overwritten before it had a place.
    async fn focus_once(
        &self,
        key: &FocusKey,
        object: &StoredObject,
        task: Task<'_>,
    ) -> Result<Option<DocumentReport>, DocumentError> {
        let taken = self.bucket.take_in(&object.key, object.version.as_deref()).await?;
        let taken = taken.ok_or_else(|| self.no_such_object(&object.key))?;
        let revision = Revision::of_sha256(&taken.sha256);
        let named = Named::new(key.invoice.clone(), revision, object.key.clone());
        if let Some(done) = self.done_before(&named, task).await? {
            return self.say_what_superseded(&named, done).await.map(Some);
        }
        let Spooled { file, sha256, bytes, fetched_at, last_modified, etag } = taken;
        let mut fetched = Fetched { noted: fetched_at, last_modified, place: None };
        if let Some(writer) = task.writer {
            fetched.place = writer.place(&named, etag.as_deref(), fetched.at(task.now)).await?;
            if fetched.place.is_none() {
                let reason = "it was overwritten before it was allocated: what overwrote it counts";
                let version = object.version.as_ref();
                return Ok(version.map(|_| named.report(DocumentState::Already, reason)));
            }
        }
        let source = "upload".to_owned();
        let part = Part { key: object.key.clone(), sha256: sha256.clone(), bytes, source, costs: None };
        // whoever exports a month that has ended exports the whole of it; a corrected file is a new revision
        let finality = if key.invoice.period.end() <= task.now { Finality::Final } else { Finality::Open };
        let taken = Taken {
            inputs: vec![DocumentRef { key: object.key.clone(), sha256 }],
            fetched,
            named,
            manifest: Manifest::of_parts(&key.invoice, Format::Focus, finality, vec![part]),
            is_upload: true,
        };
        if let Err(error) = key.invoice.period.begun(task.now) {
            return task.unusable(&taken.named, &taken.fetched, &error.to_string()).await.map(Some);
        }
        let files = Files::from([(object.key.clone(), Arc::new(file))]);
        self.judge_one(taken, files, task).await.map(Some)
    }

    /// What a person brought at once: each of its bills, the documents of all taken in once.
    pub(crate) async fn import(
        &self,
        object: &StoredObject,
        task: Task<'_>,
    ) -> Result<Vec<DocumentReport>, DocumentError> {
        let stored = self.bucket.get(&object.key, object.version.as_deref()).await?;
        let stored = stored.ok_or_else(|| self.no_such_object(&object.key))?;
        let fetched = Fetched::of(&stored);
        let import = Import::read(&object.key, &stored.bytes)?;
        let head = DocumentRef { key: object.key.clone(), sha256: sha256_hex(&stored.bytes) };
        let (mut reports, mut to_do, mut files) = (Vec::new(), Vec::new(), Files::new());
        for (revision, manifest) in import.revisions()? {
            let mut named = Named::new(manifest.invoice(), revision, object.key.clone());
            named.note = manifest.key(&manifest.to_json()?).to_string();
            if let Some(done) = self.done_before(&named, task).await? {
                reports.push(done);
                continue;
            }
            let after = self.replaced(manifest).await?;
            let after =
                after.map(|before| RevisionOrder::after(&before, fetched.at(task.now), &named.revision));
            let fetched = Fetched { place: after, ..fetched.clone() };
            if let Err(reason) = self.take_in_all(manifest.parts.iter(), &mut files).await? {
                reports.push(task.unusable(&named, &fetched, &reason).await?);
                continue;
            }
            let inputs = inputs(head.clone(), manifest);
            let manifest = manifest.clone();
            to_do.push(Taken { named, fetched, manifest, inputs, is_upload: false });
        }
        let (named, taken): (Vec<Named>, Vec<Taken>) =
            to_do.into_iter().map(|taken| (taken.named.clone(), taken)).unzip();
        let judged = self.judge_and_publish(taken, files, task).await?;
        for (named, judged) in named.iter().zip(judged) {
            reports
                .push(judged.unwrap_or_else(|error| named.report(DocumentState::Failed, error.to_string())));
        }
        Ok(reports)
    }

    /// Whoever puts an older export back wants it to count again: an event that is delivered twice looks the same, so it does not.
    async fn say_what_superseded(
        &self,
        named: &Named,
        done: DocumentReport,
    ) -> Result<DocumentReport, DocumentError> {
        let latest = self.ledger.latest(&named.invoice).await?;
        let Some(latest) = latest.filter(|latest| *latest != named.revision) else { return Ok(done) };
        let reason = format!(
            "these bytes were allocated before as revision {}, and revision {latest} has superseded them; if they are to count \
             again, say so with {{\"key\": \"{}\", \"answer\": \"replace\"}}",
            named.revision, named.path
        );
        Ok(DocumentReport { reason, ..done })
    }

    /// Takes in parts that are not there yet, or says why one is not what the manifest says.
    async fn take_in_all(
        &self,
        parts: impl Iterator<Item = &Part>,
        files: &mut Files,
    ) -> Result<Result<(), String>, DocumentError> {
        for part in parts {
            if files.contains_key(&part.key) {
                continue;
            }
            match self.take_in(part).await? {
                Ok(file) => drop(files.insert(part.key.clone(), file)),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        Ok(Ok(()))
    }

    /// A part in a file, or why it is not what the manifest says.
    async fn take_in(&self, part: &Part) -> Result<Result<Arc<File>, String>, DocumentError> {
        let Some(taken) = self.bucket.take_in(&part.key, None).await? else {
            return Ok(Err(format!(
                "the manifest names {}, which is not there: fetch the month again",
                part.key
            )));
        };
        if (taken.bytes, &taken.sha256) == (part.bytes, &part.sha256) {
            return Ok(Ok(Arc::new(taken.file)));
        }
        Ok(Err(format!(
            "{} has {} bytes with the hash {}, the manifest says {} and {}: it was cut short or replaced",
            part.key, taken.bytes, taken.sha256, part.bytes, part.sha256
        )))
    }

    /// What is already recorded of this revision, if there is nothing to do.
    async fn done_before(
        &self,
        named: &Named,
        task: Task<'_>,
    ) -> Result<Option<DocumentReport>, DocumentError> {
        let before = self.ledger.revision(&named.invoice, &named.revision).await?;
        let is_done = |record: &RevisionRecord| {
            matches!(record.state, RevisionState::Allocated | RevisionState::Answered)
                && task.only_what_is_new()
        };
        Ok(before.filter(is_done).map(|record| already(named, &record)))
    }

    async fn judge_one(
        &self,
        taken: Taken,
        files: Files,
        task: Task<'_>,
    ) -> Result<DocumentReport, DocumentError> {
        let mut judged = Box::pin(self.judge_and_publish(vec![taken], files, task)).await?;
        judged.pop().unwrap_or_else(|| Err(DocumentError::GivenUp("nothing was judged".to_owned())))
    }

    /// Judges bills together, and publishes each by itself: one that fails does not stop the others.
    async fn judge_and_publish(
        &self,
        taken: Vec<Taken>,
        files: Files,
        task: Task<'_>,
    ) -> Result<Vec<Result<DocumentReport, DocumentError>>, DocumentError> {
        let mut inputs = Vec::with_capacity(taken.len());
        for taken in &taken {
            inputs.push(BillInput {
                manifest: taken.manifest.clone(),
                revision: taken.named.revision.clone(),
                raw: taken.named.path.clone(),
                inputs: taken.inputs.clone(),
                currency: self.currency_of(&taken.manifest).await?,
                rules: self.rules,
            });
        }
        let judged = tokio::task::spawn_blocking(move || judge(&inputs, &files, &tempfile::tempfile)).await;
        let judged = judged.map_err(|error| DocumentError::GivenUp(error.to_string()))?;
        let mut reports = Vec::with_capacity(taken.len());
        for (taken, judged) in taken.into_iter().zip(judged) {
            reports.push(Box::pin(self.publish_judged(taken, judged, task)).await);
        }
        Ok(reports)
    }

    /// The currency of a bill that is withdrawn.
    async fn currency_of(&self, manifest: &Manifest) -> Result<Option<Currency>, DocumentError> {
        let Some(brought) = manifest.brought.as_ref().filter(|brought| brought.withdrawn.is_some()) else {
            return Ok(None);
        };
        let Some(replaced) = &brought.replaces else { return Ok(None) };
        let record = self.ledger.revision(&manifest.invoice(), replaced).await?;
        Ok(record.and_then(|record| Currency::from_code(&record.totals?.currency)))
    }

    async fn publish_judged(
        &self,
        taken: Taken,
        judged: Result<JudgedBill, JudgeError>,
        task: Task<'_>,
    ) -> Result<DocumentReport, DocumentError> {
        let named = &taken.named;
        let before = self.ledger.revision(&named.invoice, &named.revision).await?;
        let published = before.filter(RevisionRecord::is_published);
        let judged = match judged {
            Ok(judged) => judged,
            Err(JudgeError::Disk(error)) => return Err(cloud::bucket::KeepError::Disk(error).into()),
            Err(_) if published.is_some() && task.writer.is_some() => {
                return Err(DocumentError::NoLongerAllocates);
            }
            Err(reason) => return task.unusable(named, &taken.fetched, &reason.to_string()).await,
        };
        if published.is_none()
            && let Some(report) = self.not_now(&taken, &judged, task).await?
        {
            return Ok(report);
        }
        let order = match published.as_ref() {
            Some(record) => record.order.clone(),
            None => order_of(&named.revision, &taken.fetched, taken.manifest.provider_updated, task.now),
        };
        let mismatch = judged.certificate.status == Status::Mismatch;
        let Some(writer) = task.writer else {
            let state = if mismatch { DocumentState::Held } else { DocumentState::Preview };
            return Ok(named.certified(state, &judged.certificate, None));
        };
        if mismatch && published.is_some() {
            return Err(DocumentError::NoLongerAllocates);
        }
        if mismatch {
            let held = keys::held(&named.invoice.charges(), &named.revision);
            let mut upload = writer.bucket.upload(held, PARQUET);
            upload.write_file(judged.charges).await?;
            upload.finish().await?;
            let rows = (keys::held(&named.invoice.allocations(), &named.revision), judged.rows, CSV);
            return writer.hold_mismatch(named, &judged.certificate, [rows], order, task.now).await;
        }
        let charges = Output::charges(&named.invoice, Content::File(judged.charges));
        let aggregates = judged.aggregates.into_iter().map(Output::aggregate);
        let results = Results {
            certificate: judged.certificate,
            outputs: [charges].into_iter().chain(aggregates).collect(),
            withdrawn: taken.manifest.withdrawn().is_some(),
        };
        writer.publish(named, results, order, task.now).await
    }

    /// Why a bill is not published although it is right: somebody withdrew it, or must say first what it is.
    async fn not_now(
        &self,
        taken: &Taken,
        judged: &JudgedBill,
        task: Task<'_>,
    ) -> Result<Option<DocumentReport>, DocumentError> {
        if taken.manifest.brought.is_some() {
            return Ok(None);
        }
        if !taken.is_upload
            && let Some(report) = self.withdrawn(&taken.named).await?
        {
            return Ok(Some(report));
        }
        let about = crate::question::About {
            named: &taken.named,
            certificate: &judged.certificate,
            figures: Some(&judged.figures),
            is_upload: taken.is_upload,
            is_numbered: false,
        };
        match self.unless_answered(&about, task).await? {
            None => Ok(None),
            Some(question) => Ok(Some(task.unusable(&taken.named, &taken.fetched, &question).await?)),
        }
    }

    /// The place of the revision whose place a bill takes.
    async fn replaced(&self, manifest: &Manifest) -> Result<Option<RevisionOrder>, DocumentError> {
        let Some(replaced) = manifest.brought.as_ref().and_then(|brought| brought.replaces.as_ref()) else {
            return Ok(None);
        };
        let record = self.ledger.revision(&manifest.invoice(), replaced).await?;
        Ok(record.map(|record| record.order))
    }
}

impl Writer {
    /// The place of an upload: after everything that stood under its key before, whatever clocks say; nothing if it stands there no longer.
    ///
    /// It is given before anything else is written. What overwrites an upload after it was seen to stand sees that its place was given, or takes
    /// it from under its hands: then it is seen to stand no longer.
    async fn place(
        &self,
        named: &Named,
        etag: Option<&str>,
        fetched_at: DateTime<Utc>,
    ) -> Result<Option<RevisionOrder>, DocumentError> {
        let (invoice, key) = (&named.invoice, &named.path);
        let mut rounds = Rounds::of(format!("the place of {key}"));
        loop {
            rounds.begin()?;
            let last = self.ledger.last_place(invoice, key).await?;
            let revisions = self.ledger.revisions(invoice).await?;
            let own = revisions.iter().find(|record| record.revision == named.revision);
            if let Some(published) = own.filter(|record| record.is_published()) {
                return Ok(Some(published.order.clone()));
            }
            if self.bucket.etag(key).await?.as_deref() != etag {
                return Ok(None);
            }
            if let Some(given) = last.as_ref().filter(|last| last.revision == named.revision) {
                return Ok(Some(given.order.clone()));
            }
            let before = revisions
                .iter()
                .filter(|record| record.raw_key == *key && record.revision != named.revision)
                .map(|record| &record.order)
                .chain(last.as_ref().map(|last| &last.order))
                .max();
            let order = match before {
                Some(before) => RevisionOrder::after(before, fetched_at, &named.revision),
                None => RevisionOrder::new(None, fetched_at, &named.revision),
            };
            let place = Place { revision: named.revision.clone(), order };
            if self.ledger.give_place(invoice, key, &place, last.as_ref()).await? == Written::Now {
                return Ok(Some(place.order));
            }
        }
    }
}

/// The document that names a bill, and what it is made of.
fn inputs(head: DocumentRef, manifest: &Manifest) -> Vec<DocumentRef> {
    let reference = |part: &Part| DocumentRef { key: part.key.clone(), sha256: part.sha256.clone() };
    [head].into_iter().chain(manifest.parts.iter().chain(&manifest.documents).map(reference)).collect()
}
