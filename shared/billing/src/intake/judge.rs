//! Bills, judged: from their documents to certificates, rows, aggregates and charges. Each document is read twice, once for its sums and
//! once for its charges, however many bills stand in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use sha2::Digest as _;

use super::analysis::atlas_document;
use crate::aggregate::AggregateError;
use crate::atlas::{Rules, Statement};
use crate::bill::{
    BillError, BillStatement, aggregates, bill_rows_csv, certify_bill, certify_withdrawn, head_charges,
    mapping,
};
use crate::certificate::{Certificate, Certified, DocumentRef, Status};
use crate::charge::{ChargesFile, ChargesFileError, Period};
use crate::charges::{
    BillContext, BillDocument, DateOrder, Document, Figures, HeldRow, Mapping, ReadError, Selection, Splits,
    Totals, WriteError, counted_twice,
};
use crate::identity::Rule;
use crate::keys::{self, InvoiceKey, RawDocumentKey};
use crate::manifest::{Costs, Format, Manifest};
use crate::money::{Amount, Currency, MoneyError};
use crate::revision::{Revision, sha256_hex};

/// A bill to judge.
#[derive(Clone, Debug)]
pub struct BillInput {
    /// Its parts, and what is known of it.
    pub manifest: Manifest,
    /// Which version of it.
    pub revision: Revision,
    /// The key of the document that names it, which its charges name.
    pub raw: String,
    /// The documents that it is made from, for the certificate.
    pub inputs: Vec<DocumentRef>,
    /// The currency that it had, of a bill that is withdrawn.
    pub currency: Option<Currency>,
    /// The rules of an invoice of MongoDB Atlas.
    pub rules: Rules,
}

/// A bill as it was judged.
#[derive(Debug)]
pub struct JudgedBill {
    /// The proof; it lists the others among its outputs.
    pub certificate: Certificate,
    /// Rows by sub account, CSV.
    pub rows: Vec<u8>,
    /// Sums as tables: key, bytes, content type.
    pub aggregates: Vec<(String, Vec<u8>, &'static str)>,
    /// FOCUS rows, Parquet.
    pub charges: File,
    /// What its charges come to.
    pub figures: Figures,
}

/// Why a bill cannot be judged: it is held, unless it is the disk's fault.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum JudgeError {
    #[error("bills of format {0:?} are not understood")]
    Format(Format),
    #[error("{document}: {error}")]
    Read { document: String, error: Arc<ReadError> },
    #[error("{document}: {error}")]
    Write { document: String, error: Arc<WriteError> },
    #[error(transparent)]
    Bill(#[from] BillError),
    #[error(transparent)]
    Charges(#[from] ChargesFileError),
    #[error(transparent)]
    Aggregates(#[from] AggregateError),
    #[error(transparent)]
    Money(#[from] MoneyError),
    #[error("{document}: {why}")]
    Invoice { document: String, why: String },
    #[error("{0} of the parts is missing")]
    NoPart(String),
    #[error(
        "the charges written come to {written}, the bill to {expected}: this is a fault of the software, please report it"
    )]
    Lost { written: String, expected: String },
    #[error(transparent)]
    Disk(#[from] io::Error),
}

impl JudgeError {
    /// The same fault, of every bill that stands in a document.
    fn again(&self) -> Self {
        match self {
            Self::Format(format) => Self::Format(*format),
            Self::Read { document, error } => Self::Read { document: document.clone(), error: error.clone() },
            Self::Write { document, error } => {
                Self::Write { document: document.clone(), error: error.clone() }
            }
            Self::NoPart(part) => Self::NoPart(part.clone()),
            other => Self::Disk(io::Error::other(other.to_string())),
        }
    }
}

/// Rows of all bills together that wait in memory to be written.
const ROWS_WAITING: usize = 65_536;

const CSV: &str = "text/csv; charset=utf-8";
const PARQUET: &str = "application/vnd.apache.parquet";

/// A document, with the bills that have it among their parts, by their place.
struct Shared<'b> {
    document: Document<'b>,
    mapping: &'static dyn Mapping,
    dates: Option<DateOrder>,
    selection: Selection,
    bills: Vec<usize>,
}

impl Shared<'_> {
    fn of_bills(&self) -> BillDocument<'_> {
        let Self { document, mapping, selection, bills, .. } = self;
        BillDocument { document, mapping: *mapping, selection, bills }
    }
}

/// Judges bills; `files` are the documents by key, `new_file` makes an empty file. One that cannot be judged does not stop the others.
pub fn judge(
    bills: &[BillInput],
    files: &BTreeMap<String, Arc<File>>,
    new_file: &dyn Fn() -> io::Result<File>,
) -> Vec<Result<JudgedBill, JudgeError>> {
    let mut failed: Vec<Option<JudgeError>> = bills.iter().map(|_| None).collect();
    let documents = documents(bills, files, &mut failed);
    let splits = before(bills, &documents, &mut failed);
    let totals = sums(bills, &documents, &splits, &mut failed);
    let mut statements: Vec<Option<BillStatement>> = Vec::with_capacity(bills.len());
    for ((at, bill), totals) in bills.iter().enumerate().zip(totals) {
        let statement = match (&failed[at], bill.manifest.withdrawn()) {
            _ if is_invoice(bill) => None,
            (Some(_), _) => None,
            (None, Some(_)) => Some(certify_withdrawn(&bill.revision, &bill.manifest, bill.currency)),
            (None, None) => Some(certify_bill(&bill.revision, &bill.manifest, totals)),
        };
        statements.push(match statement.transpose() {
            Ok(mut statement) => {
                if let (Some(statement), Some(figures)) = (&mut statement, splits.figures(at)) {
                    statement.state_splits(figures);
                }
                statement
            }
            Err(error) => {
                failed[at] = Some(error.into());
                None
            }
        });
    }
    let written = charges_files(bills, &documents, &splits, &statements, &mut failed, new_file);
    let parts = failed.into_iter().zip(statements).zip(written).zip(bills);
    parts
        .map(|(((failed, statement), written), bill)| match (failed, statement, written) {
            _ if is_invoice(bill) => invoice(bill, files, new_file),
            (Some(error), _, _) => Err(error),
            (None, Some(statement), Some(written)) => finish(bill, statement, written),
            (None, _, _) => Err(JudgeError::NoPart("none".to_owned())),
        })
        .collect()
}

/// Whether it is an invoice of MongoDB Atlas, which is allocated by its own rules.
fn is_invoice(bill: &BillInput) -> bool {
    bill.manifest.format == Format::AtlasInvoice && bill.manifest.withdrawn().is_none()
}

fn invoice(
    bill: &BillInput,
    files: &BTreeMap<String, Arc<File>>,
    new_file: &dyn Fn() -> io::Result<File>,
) -> Result<JudgedBill, JudgeError> {
    let [part] = bill.manifest.parts.as_slice() else {
        return Err(JudgeError::NoPart("one document".to_owned()));
    };
    let wrong = |why: String| JudgeError::Invoice { document: part.key.clone(), why };
    let file = files.get(&part.key).ok_or_else(|| JudgeError::NoPart(part.key.clone()))?;
    let document = atlas_document(file).map_err(wrong)?;
    let document = document.ok_or_else(|| wrong("it is no invoice of MongoDB Atlas".to_owned()))?;
    let (revision, extension) = (bill.revision.clone(), Manifest::EXTENSION.to_owned());
    let key = RawDocumentKey { invoice: bill.manifest.invoice(), revision, extension };
    let statement = Statement::made_of(&key, &document, bill.rules, &bill.raw, bill.inputs.clone());
    let Statement { certificate, rows, charges, .. } = statement.map_err(|error| wrong(error.to_string()))?;
    let mut file = new_file()?;
    io::Write::write_all(&mut file, &charges)?;
    let billed = Amount::from_decimal(certificate.charges_total).ok_or(MoneyError::Overflow)?;
    let figures = Figures::of(billed, Some(billed), 0);
    Ok(JudgedBill { certificate, rows, aggregates: Vec::new(), charges: file, figures })
}

/// The documents of all bills, each once.
fn documents<'b>(
    bills: &'b [BillInput],
    files: &BTreeMap<String, Arc<File>>,
    failed: &mut [Option<JudgeError>],
) -> Vec<Shared<'b>> {
    type Way = (Format, Option<Costs>, Option<DateOrder>, bool);
    let mut documents: Vec<(&str, Way, Arc<File>, Vec<usize>)> = Vec::new();
    for (at, bill) in bills.iter().enumerate().filter(|(_, bill)| !is_invoice(bill)) {
        let manifest = &bill.manifest;
        let said = manifest.brought.as_ref().and_then(|brought| brought.dates);
        for part in &manifest.parts {
            let Some(file) = files.get(&part.key) else {
                failed[at] = Some(JudgeError::NoPart(part.key.clone()));
                continue;
            };
            let way = (manifest.format, part.costs, said, manifest.shared);
            match documents.iter_mut().find(|(key, known, _, _)| *key == part.key && *known == way) {
                Some((_, _, _, bills)) => bills.push(at),
                None => documents.push((&part.key, way, file.clone(), vec![at])),
            }
        }
    }
    let mut shared = Vec::with_capacity(documents.len());
    for (key, (format, costs, said, is_shared), file, of) in documents {
        match way_of(key, &file, format, costs, said, is_shared) {
            Ok((mapping, dates)) => {
                let invoices: Vec<InvoiceKey> = of.iter().map(|at| bills[*at].manifest.invoice()).collect();
                let selection = match (is_shared, invoices.first()) {
                    (false, Some(invoice)) => Selection::all_of_bill(invoice),
                    _ => Selection::only(&invoices),
                };
                let document = Document { key, file };
                shared.push(Shared { document, mapping, dates, selection, bills: of });
            }
            Err(error) => of.iter().for_each(|at| failed[*at] = Some(error.again())),
        }
    }
    shared
}

/// How a document is read. In which order a fetched one writes its days is documented; of others it is found out, or was said.
fn way_of(
    key: &str,
    file: &Arc<File>,
    format: Format,
    costs: Option<Costs>,
    said: Option<DateOrder>,
    is_shared: bool,
) -> Result<(&'static dyn Mapping, Option<DateOrder>), JudgeError> {
    let mapping = mapping(format, costs).ok_or(JudgeError::Format(format))?;
    let found = || {
        let document = Document { key, file: file.clone() };
        document.date_order(mapping).map_err(|error| read_failed(key, error))
    };
    let dates = match (said, is_shared) {
        (Some(dates), _) => Some(dates),
        (None, true) => found()?,
        (None, false) => None,
    };
    Ok((dates.and_then(|dates| mapping.in_order(dates)).unwrap_or(mapping), dates))
}

fn read_failed(key: &str, error: ReadError) -> JudgeError {
    JudgeError::Read { document: key.to_owned(), error: Arc::new(error) }
}

/// What only several rows together say: lines that divide, and shared resources that would count twice.
fn before(bills: &[BillInput], documents: &[Shared<'_>], failed: &mut [Option<JudgeError>]) -> Splits {
    let read: Vec<BillDocument<'_>> = documents.iter().map(Shared::of_bills).collect();
    let mut broken = |at: usize, error| {
        let error = read_failed(documents[at].document.key, error);
        documents[at].bills.iter().for_each(|bill| failed[*bill] = Some(error.again()));
    };
    let splits = Splits::find(&read, bills.len(), &mut broken);
    let twice = counted_twice(&read, bills.len(), &mut broken);
    for (failed, twice) in failed.iter_mut().zip(twice) {
        if let Some(twice) = twice {
            failed.get_or_insert_with(|| BillError::from(Box::new(twice)).into());
        }
    }
    splits
}

/// What each bill comes to.
fn sums(
    bills: &[BillInput],
    documents: &[Shared<'_>],
    splits: &Splits,
    failed: &mut [Option<JudgeError>],
) -> Vec<Totals> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let empty = |bill: &BillInput| Totals::of(Rule::of(bill.manifest.provider.as_str()));
    let mut totals: Vec<Totals> = bills.iter().map(empty).collect();
    for shared in documents {
        let Shared { document, dates, bills, .. } = shared;
        let parts = match splits.add_up(&shared.of_bills(), threads) {
            Ok(parts) => parts,
            Err(error) => {
                let error = read_failed(document.key, error);
                bills.iter().for_each(|at| failed[*at] = Some(error.again()));
                continue;
            }
        };
        for (at, part) in bills.iter().zip(parts) {
            if let Some(dates) = dates {
                totals[*at].date_orders.insert(document.key.to_owned(), *dates);
            }
            if let Err(error) = totals[*at].merge(part) {
                failed[*at] = Some(error.into());
            }
        }
    }
    totals
}

/// A file of charges.
struct ChargesWritten {
    file: File,
    sha256: String,
    /// Quantities and prices that could not be read.
    quantities_not_stated: u64,
}

/// A file of charges being written.
struct Open {
    out: ChargesFile<Hashing>,
    written: Figures,
    quantities_not_stated: u64,
    held: Vec<HeldRow>,
    held_rows: u64,
}

/// Writes the charges of each bill; they must come to what it was added up to.
fn charges_files(
    bills: &[BillInput],
    documents: &[Shared<'_>],
    splits: &Splits,
    statements: &[Option<BillStatement>],
    failed: &mut [Option<JudgeError>],
    new_file: &dyn Fn() -> io::Result<File>,
) -> Vec<Option<ChargesWritten>> {
    let mut open: Vec<Option<Open>> = Vec::with_capacity(bills.len());
    for ((bill, statement), failed) in bills.iter().zip(statements).zip(failed.iter_mut()) {
        let started = statement.as_ref().map(|_| Open::start(bill, new_file));
        open.push(match started.transpose() {
            Ok(open) => open,
            Err(error) => {
                *failed = Some(error);
                None
            }
        });
    }
    for document in documents {
        write_document(document, splits, bills, &mut open, failed);
    }
    let ended = open.into_iter().zip(statements).zip(bills).zip(failed.iter_mut());
    ended
        .map(|(((open, statement), bill), failed)| {
            let (Some(open), Some(statement), None) = (open, statement, &failed) else { return None };
            match open.finish(&bill.manifest, statement) {
                Ok(written) => Some(written),
                Err(error) => {
                    *failed = Some(error);
                    None
                }
            }
        })
        .collect()
}

fn write_document(
    shared: &Shared<'_>,
    splits: &Splits,
    bills: &[BillInput],
    open: &mut [Option<Open>],
    failed: &mut [Option<JudgeError>],
) {
    let Shared { document, bills: of, .. } = shared;
    if of.iter().all(|at| open[*at].is_none()) {
        return;
    }
    let context = |at: &usize| {
        let manifest = &bills[*at].manifest;
        BillContext {
            billing_account: manifest.billing_account.as_str(),
            period: Period { start: manifest.period.start(), end: manifest.period.end() },
            sub_account_names: &manifest.sub_account_names,
        }
    };
    let contexts: Vec<BillContext<'_>> = of.iter().map(context).collect();
    let mut broken: Vec<Option<ChargesFileError>> = of.iter().map(|_| None).collect();
    let mut waiting = 0;
    let written = splits.write(&shared.of_bills(), &contexts, &mut |bill, charge| {
        if let Some(out) = of.get(bill).and_then(|at| open[*at].as_mut())
            && let Err(error) = out.out.push(charge)
        {
            // the others go on
            broken[bill].get_or_insert(error);
        }
        waiting += 1;
        if waiting == ROWS_WAITING {
            waiting = 0;
            open.iter_mut().flatten().try_for_each(|open| open.out.write_waiting())?;
        }
        Ok(())
    });
    match written {
        Err(error) => {
            let error = JudgeError::Write { document: document.key.to_owned(), error: Arc::new(error) };
            of.iter().for_each(|at| failed[*at] = Some(error.again()));
        }
        Ok(written) => {
            for (((at, part), broken), _) in of.iter().zip(&written.bills).zip(broken).zip(0..) {
                if let Some(error) = broken {
                    failed[*at] = Some(error.into());
                    continue;
                }
                let Some(open) = open[*at].as_mut() else { continue };
                open.quantities_not_stated += part.quantities_not_stated;
                open.held.extend(written.held.iter().cloned());
                open.held_rows += written.held_rows;
                if let Err(error) = open.written.add(&part.figures) {
                    failed[*at] = Some(error.into());
                }
            }
        }
    }
}

impl Open {
    fn start(bill: &BillInput, new_file: &dyn Fn() -> io::Result<File>) -> Result<Self, JudgeError> {
        let metadata = [("monthend.raw", bill.raw.as_str())];
        let out = ChargesFile::create_in(Hashing::new(new_file()?), &metadata)?;
        let written = Figures::default();
        Ok(Self { out, written, quantities_not_stated: 0, held: Vec::new(), held_rows: 0 })
    }

    fn finish(
        mut self,
        manifest: &Manifest,
        statement: &BillStatement,
    ) -> Result<ChargesWritten, JudgeError> {
        if self.held_rows > 0 {
            return Err(BillError::Rows { count: self.held_rows, rows: self.held }.into());
        }
        for charge in head_charges(manifest, statement.currency) {
            self.out.push(&charge)?;
            let billed = Amount::from_decimal(charge.billed_cost).ok_or(MoneyError::Overflow)?;
            self.written.add(&Figures::of(billed, Some(billed), 1))?;
        }
        if !self.written.equals(&statement.totals.all)? {
            return Err(JudgeError::Lost {
                written: self.written.billed.to_string(),
                expected: statement.totals.all.billed.to_string(),
            });
        }
        let (file, sha256) = self.out.finish()?.finish()?;
        Ok(ChargesWritten { file, sha256, quantities_not_stated: self.quantities_not_stated })
    }
}

fn finish(
    bill: &BillInput,
    mut statement: BillStatement,
    written: ChargesWritten,
) -> Result<JudgedBill, JudgeError> {
    let ChargesWritten { file, sha256, quantities_not_stated } = written;
    statement.state_quantities(quantities_not_stated);
    let tables = aggregates(&statement.certificate, &statement.totals)?;
    let BillStatement { mut certificate, totals, .. } = statement;
    let invoice = bill.manifest.invoice();
    certificate.inputs.clone_from(&bill.inputs);
    let rows = bill_rows_csv(&certificate)?;
    let held = certificate.status == Status::Mismatch;
    let place = |key: String| if held { keys::held(&key, &certificate.subject.revision) } else { key };
    let mut outputs = vec![
        DocumentRef { key: place(invoice.allocations()), sha256: sha256_hex(&rows) },
        DocumentRef { key: place(invoice.charges()), sha256 },
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
    certificate.verify().map_err(BillError::from)?;
    Ok(JudgedBill { certificate, rows, aggregates, charges: file, figures: totals.all })
}

/// A file, and the hash of what is written into it.
struct Hashing {
    file: io::BufWriter<File>,
    hash: sha2::Sha256,
}

impl Hashing {
    fn new(file: File) -> Self {
        Self { file: io::BufWriter::new(file), hash: sha2::Sha256::new() }
    }

    fn finish(self) -> io::Result<(File, String)> {
        let text = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((self.file.into_inner().map_err(io::IntoInnerError::into_error)?, text))
    }
}

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests;
