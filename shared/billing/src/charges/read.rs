//! Documents of a bill, read with the mapping of their format.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::batch::{BATCH_ROWS, Batch, Binding, Dictionary, ReadError, Sink, hand_on};
use super::columnar_reader::{Columnar, column_names};
use super::file::FileReader;
use super::mapping::{Columns, JsonRows, Mapping};
use super::text_reader::{Packing, csv_header, read_csv};
use super::totals::{Adder, Selection, Totals};
use crate::month::BillingMonth;

/// One raw document in a file.
#[derive(Debug)]
pub struct Document<'d> {
    /// Its key, which errors and charges name.
    pub key: &'d str,
    /// Its bytes.
    pub file: Arc<File>,
}

impl Document<'_> {
    /// What the key ends with: `csv`, `csv.gz`, `csv.zip`, `parquet`, `json`.
    pub(super) fn extension(&self) -> &str {
        let name = self.name();
        let known = [".csv.gz", ".csv.zip", ".csv", ".parquet", ".json"];
        let known = known.into_iter().find(|extension| {
            name.get(name.len().saturating_sub(extension.len())..)
                .is_some_and(|end| end.eq_ignore_ascii_case(extension))
        });
        known.map_or_else(|| name.rsplit('.').next().unwrap_or(name), |known| &known[1..])
    }

    /// The last part of the key.
    pub(super) fn name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or(self.key)
    }

    fn reader(&self) -> FileReader {
        FileReader::new(self.file.clone())
    }

    /// Reads all rows, in their order.
    pub(super) fn read(
        &self,
        mapping: &dyn Mapping,
        details: bool,
        sink: &mut dyn Sink,
    ) -> Result<(), ReadError> {
        let csv =
            |packing, sink: &mut dyn Sink| read_csv(self.reader(), packing, mapping.columns(), details, sink);
        match self.extension() {
            "csv" => csv(Packing::None, sink),
            "csv.gz" => csv(Packing::Gzip, sink),
            "csv.zip" => csv(Packing::Zip, sink),
            "parquet" => {
                let columnar = Columnar::open(self.reader(), mapping.columns(), details)?;
                (0..columnar.row_groups()).try_for_each(|group| columnar.read(group, sink))
            }
            "json" => {
                let mut bytes = Vec::new();
                let read = self.reader().read_to_end(&mut bytes);
                read.map_err(|error| ReadError::Broken { after: 0, why: error.to_string() })?;
                let mut rows = Rows::new(mapping.columns(), details, sink);
                mapping.json(&bytes, &mut rows)?;
                rows.finish()
            }
            other => Err(ReadError::Extension(other.to_owned())),
        }
    }
}

/// The names of a document's columns.
///
/// # Errors
/// [`ReadError`] if it has no header, or is JSON.
pub fn header(document: &Document<'_>) -> Result<Vec<String>, ReadError> {
    match document.extension() {
        "csv" => csv_header(document.reader(), Packing::None),
        "csv.gz" => csv_header(document.reader(), Packing::Gzip),
        "csv.zip" => csv_header(document.reader(), Packing::Zip),
        "parquet" => column_names(&document.reader()),
        other => Err(ReadError::Extension(other.to_owned())),
    }
}

/// The bills that the rows of a document are of, and what they come to; and the rows that cannot be read, with their details: as
/// many as a bill would be held for.
///
/// # Errors
/// [`ReadError`] if it cannot be read to its end.
pub fn bills(document: &Document<'_>, mapping: &dyn Mapping, threads: usize) -> Result<Totals, ReadError> {
    // no row is of an account without a name
    let nothing =
        Selection { provider: None, billing_account: Some(String::new()), month: BillingMonth::default() };
    add_up_with(document, mapping, &nothing, threads, true)
}

/// Adds up a document with so many threads at the most.
///
/// # Errors
/// [`ReadError`] if it cannot be read to its end. Rows that cannot be charges are no error: see [`Totals::held`].
pub fn add_up(
    document: &Document<'_>,
    mapping: &dyn Mapping,
    selection: &Selection,
    threads: usize,
) -> Result<Totals, ReadError> {
    add_up_with(document, mapping, selection, threads, false)
}

fn add_up_with(
    document: &Document<'_>,
    mapping: &dyn Mapping,
    selection: &Selection,
    threads: usize,
    details: bool,
) -> Result<Totals, ReadError> {
    if document.extension() != "parquet" || threads < 2 {
        let mut adder = Adder::new(mapping, selection, document.name(), details);
        document.read(mapping, details, &mut adder)?;
        return Ok(adder.finish()?);
    }
    let columnar = Columnar::open(document.reader(), mapping.columns(), details)?;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut adder = Adder::new(mapping, selection, document.name(), details);
        loop {
            let group = next.fetch_add(1, Ordering::Relaxed);
            if group >= columnar.row_groups() {
                return Ok(adder.finish()?);
            }
            columnar.read(group, &mut adder)?;
        }
    };
    thread::scope(|scope| {
        let workers = threads.min(columnar.row_groups().max(1));
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut totals = Totals::default();
        for worker in workers {
            let part: Result<Totals, ReadError> = worker.join().unwrap_or_else(|_| {
                Err(ReadError::Broken { after: 0, why: "a thread that reads it ended".to_owned() })
            });
            totals.merge(part?)?;
        }
        Ok(totals)
    })
}

/// Rows that come one by one.
struct Rows<'s> {
    columns: &'s Columns,
    details: bool,
    sink: &'s mut dyn Sink,
    read: Option<(Binding, Batch, Vec<Dictionary>)>,
}

impl<'s> Rows<'s> {
    fn new(columns: &'s Columns, details: bool, sink: &'s mut dyn Sink) -> Self {
        Self { columns, details, sink, read: None }
    }

    fn finish(mut self) -> Result<(), ReadError> {
        let Some((_, batch, dictionaries)) = &mut self.read else { return Ok(()) };
        hand_on(batch, dictionaries, self.sink)
    }
}

impl JsonRows for Rows<'_> {
    fn header(&mut self, names: &[String]) -> Result<(), ReadError> {
        let binding = Binding::new(self.columns, names, self.details)?;
        let dictionaries = binding.class.iter().map(|_| Dictionary::default()).collect();
        self.read = Some((binding.clone(), Batch::new(&binding), dictionaries));
        Ok(())
    }

    fn row(&mut self, cells: &[Option<Cow<'_, str>>]) -> Result<(), ReadError> {
        let Some((binding, batch, dictionaries)) = &mut self.read else { return Ok(()) };
        batch.push(binding, dictionaries, |place| cells.get(place)?.as_deref().map(str::as_bytes));
        if batch.rows == BATCH_ROWS { hand_on(batch, dictionaries, self.sink) } else { Ok(()) }
    }
}
