//! Bills: a manifest and its parts, or one FOCUS export, from arrival to publication.
//!
//! The parts are taken into files, so memory does not grow with the bill; reading, adding up and writing the charges happens on
//! threads of their own.

use std::fs::File;
use std::sync::Arc;

use billing::bill::{BillError, aggregates, bill_rows_csv, certify_bill, head_charges, mapping};
use billing::certificate::{Certificate, DocumentRef, Status};
use billing::charge::{ChargesFile, Period};
use billing::charges::{BillContext, Document, HeldRow, Mapping, Selection, Totals, add_up, write_charges};
use billing::keys::{self, FocusKey, InvoiceKey, RawDocumentKey};
use billing::manifest::{Format, Manifest, Part};
use billing::period::Finality;
use billing::revision::{Revision, sha256_hex};
use chrono::{DateTime, Utc};
use cloud::bucket::Spooled;
use cloud::events::StoredObject;
use cloud::ledger::{RevisionRecord, RevisionState, rules_text};

use crate::document::{CSV, Charges, DocumentError, Fetched, Named, PARQUET, Results, already, order_of};
use crate::report::{DocumentReport, DocumentState};
use crate::{App, Mode};

/// A bill as it was taken in.
struct Taken {
    named: Named,
    fetched: Fetched,
    manifest: Manifest,
    /// The documents that it was made from, for the certificate.
    inputs: Vec<DocumentRef>,
    files: Vec<(String, Arc<File>)>,
}

impl Taken {
    /// Its documents, and how each is read.
    fn documents(&self) -> Result<Vec<(Document<'_>, &'static dyn Mapping)>, JudgeError> {
        let format = self.manifest.format;
        let parts = self.files.iter().zip(&self.manifest.parts);
        let documents = parts.map(|((key, file), part)| {
            let mapping = mapping(format, part.costs).ok_or(JudgeError::Format(format))?;
            Ok((Document { key, file: file.clone() }, mapping))
        });
        documents.collect()
    }
}

/// A bill as it was judged.
struct Judged {
    certificate: Certificate,
    rows: Vec<u8>,
    aggregates: Vec<(String, Vec<u8>, &'static str)>,
    charges: File,
}

impl App {
    /// The bill of a manifest.
    pub(crate) async fn bill(
        &self,
        key: &RawDocumentKey,
        object: &StoredObject,
        mode: Mode,
        now: DateTime<Utc>,
    ) -> Result<DocumentReport, DocumentError> {
        let named =
            Named { invoice: key.invoice.clone(), revision: key.revision.clone(), path: key.to_string() };
        if let Some(done) = self.done_before(&named, mode).await? {
            return Ok(done);
        }
        let stored = self.bucket.get(&object.key, object.version.as_deref()).await?;
        let stored = stored.ok_or_else(|| self.no_such_object(&object.key))?;
        let fetched = Fetched::of(&stored);
        let manifest = match Manifest::read(key, &stored.bytes) {
            Ok(manifest) => manifest,
            Err(reason) => return self.unusable(&named, &fetched, &reason.to_string(), mode, now).await,
        };
        let mut files = Vec::with_capacity(manifest.parts.len());
        for part in &manifest.parts {
            match self.take_in(part).await? {
                Ok(file) => files.push((part.key.clone(), file)),
                Err(reason) => return self.unusable(&named, &fetched, &reason, mode, now).await,
            }
        }
        let reference = |part: &Part| DocumentRef { key: part.key.clone(), sha256: part.sha256.clone() };
        let head = DocumentRef { key: named.path.clone(), sha256: sha256_hex(&stored.bytes) };
        let inputs =
            [head].into_iter().chain(manifest.parts.iter().chain(&manifest.documents).map(reference));
        let inputs = inputs.collect();
        let taken = Taken { named, fetched, manifest, inputs, files };
        Box::pin(self.judge_and_publish(taken, mode, now)).await
    }

    /// The bill of a FOCUS export that somebody put into the bucket.
    pub(crate) async fn focus(
        &self,
        key: &FocusKey,
        object: &StoredObject,
        mode: Mode,
        now: DateTime<Utc>,
    ) -> Result<DocumentReport, DocumentError> {
        let taken = self.bucket.take_in(&object.key, object.version.as_deref()).await?;
        let taken = taken.ok_or_else(|| self.no_such_object(&object.key))?;
        let revision = Revision::of_sha256(&taken.sha256);
        let named = Named { invoice: key.invoice.clone(), revision, path: object.key.clone() };
        if let Some(done) = self.done_before(&named, mode).await? {
            return self.say_what_superseded(&named, done).await;
        }
        let Spooled { file, sha256, bytes, fetched_at, last_modified } = taken;
        let part = Part {
            key: object.key.clone(),
            sha256: sha256.clone(),
            bytes,
            source: "upload".to_owned(),
            costs: None,
        };
        let invoice = key.invoice.clone();
        let manifest = Manifest {
            manifest: Manifest::VERSION,
            provider: invoice.provider,
            billing_account: invoice.billing_account,
            // whoever exports a month that has ended exports the whole of it; a corrected file is a new revision
            finality: if invoice.period.end() <= now { Finality::Final } else { Finality::Open },
            period: invoice.period,
            invoice_id: invoice.invoice_id,
            provider_updated: None,
            format: Format::Focus,
            parts: vec![part],
            documents: Vec::new(),
            invoices: Vec::new(),
            shared: true,
            sub_account_names: std::collections::BTreeMap::new(),
        };
        let taken = Taken {
            inputs: vec![DocumentRef { key: object.key.clone(), sha256 }],
            files: vec![(object.key.clone(), Arc::new(file))],
            fetched: Fetched { noted: fetched_at, last_modified },
            named,
            manifest,
        };
        Box::pin(self.judge_and_publish(taken, mode, now)).await
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
             again, put them there in other bytes (a CSV with an empty line more, packed anew; a Parquet file written anew): those \
             are a newer revision",
            named.revision
        );
        Ok(DocumentReport { reason, ..done })
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
    async fn done_before(&self, named: &Named, mode: Mode) -> Result<Option<DocumentReport>, DocumentError> {
        let before = self.ledger.revision(&named.invoice, &named.revision).await?;
        let done = before.filter(|record| record.state == RevisionState::Allocated && mode == Mode::Work);
        Ok(done.map(|record| already(&named.path, &record)))
    }

    async fn judge_and_publish(
        &self,
        taken: Taken,
        mode: Mode,
        now: DateTime<Utc>,
    ) -> Result<DocumentReport, DocumentError> {
        let (named, path) = (taken.named.clone(), taken.named.path.clone());
        let before = self.ledger.revision(&named.invoice, &named.revision).await?;
        let published = before.filter(|record| record.state != RevisionState::Held);
        let order = published.as_ref().map(|record: &RevisionRecord| record.order.clone());
        let order = order.unwrap_or_else(|| {
            order_of(&named.revision, &taken.fetched, taken.manifest.provider_updated, now)
        });
        let fetched = Fetched { noted: taken.fetched.noted, last_modified: taken.fetched.last_modified };
        let judged = tokio::task::spawn_blocking(move || judge(&taken)).await;
        let judged = judged.map_err(|error| DocumentError::GivenUp(error.to_string()))?;
        let judged = match judged {
            Ok(judged) => judged,
            Err(JudgeError::Disk(error)) => return Err(cloud::bucket::KeepError::Disk(error).into()),
            Err(_) if published.is_some() && mode != Mode::DryRun => {
                return Err(DocumentError::NoLongerAllocates);
            }
            Err(reason) => return self.unusable(&named, &fetched, &reason.to_string(), mode, now).await,
        };
        let mismatch = judged.certificate.status == Status::Mismatch;
        if mode == Mode::DryRun {
            let state = if mismatch { DocumentState::Held } else { DocumentState::Preview };
            return Ok(DocumentReport::certified(&path, state, &judged.certificate, None));
        }
        if mismatch && published.is_some() {
            return Err(DocumentError::NoLongerAllocates);
        }
        if mismatch {
            let held = keys::held(&named.invoice.charges(), &named.revision);
            let mut upload = self.bucket.upload(held, PARQUET);
            upload.write_file(judged.charges).await?;
            upload.finish().await?;
            let rows = (keys::held(&named.invoice.allocations(), &named.revision), judged.rows, CSV);
            return self.hold_mismatch(&named, &judged.certificate, [rows], order, now).await;
        }
        let results = Results {
            certificate: judged.certificate,
            charges: Charges::File(judged.charges),
            aggregates: judged.aggregates,
        };
        self.publish(&named, results, order, now).await
    }

    /// Holds a bill that cannot be judged.
    async fn unusable(
        &self,
        named: &Named,
        fetched: &Fetched,
        reason: &str,
        mode: Mode,
        now: DateTime<Utc>,
    ) -> Result<DocumentReport, DocumentError> {
        if mode == Mode::DryRun {
            return Ok(DocumentReport::new(&named.path, DocumentState::Held, reason));
        }
        let order = order_of(&named.revision, fetched, None, now);
        self.hold_unusable(named, reason, order, rules_text(&std::collections::BTreeMap::new()), now).await
    }

    fn no_such_object(&self, key: &str) -> DocumentError {
        DocumentError::NoSuchObject { bucket: self.bucket.name().to_owned(), key: key.to_owned() }
    }
}

/// Why a bill cannot be judged: it is held, unless it is the disk's fault.
#[derive(Debug, thiserror::Error)]
enum JudgeError {
    #[error("bills of format {0:?} are not understood")]
    Format(Format),
    #[error("{document}: {error}")]
    Read { document: String, error: billing::charges::ReadError },
    #[error("{document}: {error}")]
    Write { document: String, error: billing::charges::WriteError },
    #[error(transparent)]
    Bill(#[from] BillError),
    #[error(transparent)]
    Charges(#[from] billing::charge::ChargesFileError),
    #[error(transparent)]
    Aggregates(#[from] billing::aggregate::AggregateError),
    #[error(transparent)]
    Money(#[from] billing::money::MoneyError),
    #[error(
        "the charges written come to {written}, the bill to {expected}: this is a fault of the software, please report it"
    )]
    Lost { written: String, expected: String },
    #[error(transparent)]
    Disk(#[from] std::io::Error),
}

/// Adds the bill up, judges it, and writes its charges into a file.
fn judge(taken: &Taken) -> Result<Judged, JudgeError> {
    let manifest = &taken.manifest;
    let selection = match manifest.shared {
        true => Selection::only(&manifest.invoice()),
        false => Selection::all_of(manifest.period),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let mut totals = Totals::default();
    for (document, mapping) in taken.documents()? {
        let part = add_up(&document, mapping, &selection, threads);
        totals.merge(part.map_err(|error| JudgeError::Read { document: document.key.to_owned(), error })?)?;
    }
    let mut statement = certify_bill(&taken.named.revision, manifest, totals)?;
    let ChargesWritten { file, sha256, quantities_not_stated } = charges_file(taken, &selection, &statement)?;
    statement.state_quantities(quantities_not_stated);
    let aggregates = aggregates(&statement.certificate, &statement.totals)?;
    Ok(finish(&taken.named.invoice, &taken.inputs, statement.certificate, aggregates, file, sha256)?)
}

/// A file of charges.
struct ChargesWritten {
    file: File,
    sha256: String,
    /// Quantities and prices that could not be read.
    quantities_not_stated: u64,
}

/// Writes the charges; they must come to what the bill was added up to.
fn charges_file(
    taken: &Taken,
    selection: &Selection,
    statement: &billing::bill::BillStatement,
) -> Result<ChargesWritten, JudgeError> {
    let manifest = &taken.manifest;
    let context = BillContext {
        billing_account: manifest.billing_account.as_str(),
        period: Period { start: manifest.period.start(), end: manifest.period.end() },
        sub_account_names: &manifest.sub_account_names,
    };
    let metadata = [("monthend.raw", taken.named.path.as_str())];
    let file = tempfile::tempfile()?;
    let mut out = ChargesFile::create_in(Hashing::new(file), &metadata)?;
    let (mut written, mut held): (_, Vec<HeldRow>) = (billing::charges::Figures::default(), Vec::new());
    let (mut held_rows, mut quantities_not_stated) = (0, 0);
    for (document, mapping) in taken.documents()? {
        let part = write_charges(&document, mapping, selection, &context, &mut |charge| out.push(charge));
        let part = part.map_err(|error| JudgeError::Write { document: document.key.to_owned(), error })?;
        written.add(&part.figures)?;
        held.extend(part.held);
        held_rows += part.held_rows;
        quantities_not_stated += part.quantities_not_stated;
    }
    if held_rows > 0 {
        return Err(BillError::Rows { count: held_rows, rows: held }.into());
    }
    for charge in head_charges(manifest, statement.currency) {
        out.push(&charge)?;
        let billed = billing::charges::Amount::from_decimal(charge.billed_cost).unwrap_or_default();
        written.add(&billing::charges::Figures { billed, effective: billed, charges: 1 })?;
    }
    if !written.equals(&statement.totals.all)? {
        return Err(JudgeError::Lost {
            written: written.billed.to_string(),
            expected: statement.totals.all.billed.to_string(),
        });
    }
    let (file, sha256) = out.finish()?.finish()?;
    Ok(ChargesWritten { file, sha256, quantities_not_stated })
}

fn finish(
    invoice: &InvoiceKey,
    inputs: &[DocumentRef],
    mut certificate: Certificate,
    tables: Vec<billing::aggregate::Aggregate>,
    charges: File,
    charges_sha256: String,
) -> Result<Judged, BillError> {
    certificate.inputs = inputs.to_vec();
    let rows = bill_rows_csv(&certificate)?;
    let held = certificate.status == Status::Mismatch;
    let place = |key: String| if held { keys::held(&key, &certificate.subject.revision) } else { key };
    let mut outputs = vec![
        DocumentRef { key: place(invoice.allocations()), sha256: sha256_hex(&rows) },
        DocumentRef { key: place(invoice.charges()), sha256: charges_sha256 },
    ];
    let mut aggregates = Vec::new();
    for table in tables.into_iter().filter(|_| !held) {
        for (extension, bytes, content_type) in [("csv", table.csv, CSV), ("parquet", table.parquet, PARQUET)]
        {
            let key = invoice.aggregate(table.name, extension);
            outputs.push(DocumentRef { key: key.clone(), sha256: sha256_hex(&bytes) });
            aggregates.push((key, bytes, content_type));
        }
    }
    certificate.outputs = outputs;
    certificate.verify()?;
    Ok(Judged { certificate, rows, aggregates, charges })
}

/// A file, and the hash of what is written into it.
struct Hashing {
    file: std::io::BufWriter<File>,
    hash: sha2::Sha256,
}

impl Hashing {
    fn new(file: File) -> Self {
        Self { file: std::io::BufWriter::new(file), hash: <sha2::Sha256 as sha2::Digest>::new() }
    }

    fn finish(self) -> std::io::Result<(File, String)> {
        let hash = sha2::Digest::finalize(self.hash);
        let text = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?, text))
    }
}

impl std::io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        sha2::Digest::update(&mut self.hash, &bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
