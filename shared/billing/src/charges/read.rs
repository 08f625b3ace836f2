//! Documents of a bill, read with the mapping of their format.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::adder::Adder;
use super::batch::{BATCH_ROWS, Batch, ClassTexts, Dictionary, ReadError, Sink, hand_on};
use super::binding::{Binding, columns_seen, has_column};
use super::columnar_reader::{Columnar, column_names};
use super::dates::{DateOrder, Evidence};
use super::dialect::Dialect;
use super::file::FileReader;
use super::mapping::{Columns, JsonRows, Mapping};
use super::selection::Selection;
use super::splits::{Divided, Division, with_parts};
use super::text_reader::{Packing, Table, read_csv};
use super::totals::Totals;

/// One raw document in a file.
#[derive(Debug)]
pub struct Document<'d> {
    /// Its key, which errors and charges name.
    pub key: &'d str,
    /// Its bytes.
    pub file: Arc<File>,
}

/// What a document is by its bytes: names lie.
enum Kind {
    Csv(Packing),
    Parquet,
    Json,
}

impl Document<'_> {
    fn kind(&self) -> Result<Kind, ReadError> {
        let mut start = Vec::new();
        let read = self.reader().take(64).read_to_end(&mut start);
        read.map_err(|error| ReadError::Broken { after: 0, why: error.to_string() })?;
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&start).trim_ascii_start();
        Ok(match start.as_slice() {
            [0x1f, 0x8b, ..] => Kind::Csv(Packing::Gzip),
            [b'P', b'K', 3, 4, ..] => Kind::Csv(Packing::Zip),
            [b'P', b'A', b'R', b'1', ..] => Kind::Parquet,
            _ if matches!(text.first(), Some(b'{' | b'[')) => Kind::Json,
            _ => Kind::Csv(Packing::None),
        })
    }

    /// How a text is packed; nothing of Parquet and JSON.
    ///
    /// # Errors
    /// [`ReadError`] if it cannot be read.
    pub(crate) fn packing(&self) -> Result<Option<Packing>, ReadError> {
        Ok(match self.kind()? {
            Kind::Csv(packing) => Some(packing),
            Kind::Parquet | Kind::Json => None,
        })
    }

    /// The last part of the key.
    pub(super) fn name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or(self.key)
    }

    fn reader(&self) -> FileReader {
        FileReader::new(self.file.clone())
    }

    fn tables(&self, packing: Packing) -> Result<Vec<Table>, ReadError> {
        Table::all(&self.reader(), packing, self.name())
    }

    fn dialect(&self) -> Dialect {
        Dialect { document: self.name().to_owned(), ..Dialect::default() }
    }

    /// Reads all rows, in their order.
    pub(super) fn read(
        &self,
        mapping: &dyn Mapping,
        details: bool,
        sink: &mut dyn Sink,
    ) -> Result<(), ReadError> {
        match self.kind()? {
            Kind::Csv(packing) => read_csv(self.tables(packing)?, mapping.columns(), details, sink),
            Kind::Parquet => {
                let columnar = Columnar::open(self.reader(), mapping.columns(), details)?;
                sink.begin(&self.dialect(), columnar.header());
                (0..columnar.row_groups()).try_for_each(|group| columnar.read(group, sink))
            }
            Kind::Json => {
                let mut bytes = Vec::new();
                let read = self.reader().read_to_end(&mut bytes);
                read.map_err(|error| ReadError::Broken { after: 0, why: error.to_string() })?;
                let mut rows = Rows::new(mapping.columns(), details, self.dialect(), sink);
                mapping.json(&bytes, &mut rows)?;
                rows.finish()
            }
        }
    }

    /// In which order its days are written; nothing if they can be read in one way only.
    ///
    /// # Errors
    /// [`ReadError::Dates`] if a person must say it.
    pub fn date_order(&self, mapping: &dyn Mapping) -> Result<Option<DateOrder>, ReadError> {
        if mapping.in_order(DateOrder::MonthFirst).is_none() {
            return Ok(None);
        }
        let mut seen = SeenDays { mapping, known: HashSet::new(), evidence: Evidence::default() };
        self.read(mapping, false, &mut seen)?;
        Ok(seen.evidence.decide()?)
    }
}

/// Looks at the days of all rows.
struct SeenDays<'m> {
    mapping: &'m dyn Mapping,
    known: HashSet<Vec<u32>>,
    evidence: Evidence,
}

impl Sink for SeenDays<'_> {
    fn batch(&mut self, batch: &Batch, dictionaries: &[Dictionary]) -> Result<(), ReadError> {
        let columns: Vec<usize> = self.mapping.days_columns().to_vec();
        let mut codes = vec![0; batch.class.len()];
        for row in 0..batch.rows {
            let days: Vec<u32> = columns.iter().map(|column| batch.class[*column][row]).collect();
            if self.known.contains(&days) {
                continue;
            }
            columns.iter().zip(&days).for_each(|(column, code)| codes[*column] = *code);
            self.evidence.add(self.mapping.days(&ClassTexts { dictionaries, codes: &codes }));
            self.known.insert(days);
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.known.clear();
    }
}

/// The names of a document's columns, of each of its tables.
///
/// # Errors
/// [`ReadError`] if it has no header.
pub fn headers(document: &Document<'_>) -> Result<Vec<Vec<String>>, ReadError> {
    match document.kind()? {
        Kind::Csv(packing) => Ok(document.tables(packing)?.into_iter().map(|table| table.header).collect()),
        Kind::Parquet => Ok(vec![column_names(&document.reader())?]),
        Kind::Json => Ok(vec![Vec::new()]),
    }
}

/// What was seen of a document whose columns are of no format, for a message.
///
/// # Errors
/// [`ReadError`] if it has no header.
pub fn seen(document: &Document<'_>) -> Result<String, ReadError> {
    Ok(match document.kind()? {
        Kind::Csv(packing) => {
            let tables = document.tables(packing)?;
            let told =
                tables.iter().map(|table| format!("{}, {}", table.dialect(), columns_seen(&table.header)));
            told.take(3).collect::<Vec<_>>().join("; ")
        }
        Kind::Parquet => format!("Parquet, {}", columns_seen(&column_names(&document.reader())?)),
        Kind::Json => "JSON".to_owned(),
    })
}

/// The bills that the rows of a document are of, and what they come to; and the rows that cannot be read, with their details: as
/// many as a bill would be held for.
///
/// # Errors
/// [`ReadError`] if it cannot be read to its end.
pub fn bills(document: &Document<'_>, mapping: &dyn Mapping, threads: usize) -> Result<Totals, ReadError> {
    let nothing = Selection::nothing();
    let all = with_parts(document, mapping, |division| {
        add_up_with(document, mapping, &nothing, threads, true, division)
    });
    Ok(all?.pop().unwrap_or_default())
}

/// Whether a document has one of some columns. One without a header has none: whoever reads it says what is wrong with it.
pub(super) fn has_any(document: &Document<'_>, names: &[&str]) -> bool {
    let has = |header: &Vec<String>| names.iter().any(|name| has_column(header, name));
    headers(document).is_ok_and(|tables| tables.iter().any(has))
}

/// Adds up a document that holds one bill, with so many threads at the most.
///
/// # Errors
/// [`ReadError`] if it cannot be read to its end. Rows that cannot be charges are no error: see [`Totals::held`].
pub fn add_up(
    document: &Document<'_>,
    mapping: &dyn Mapping,
    selection: &Selection,
    threads: usize,
) -> Result<Totals, ReadError> {
    let mut all = add_up_each(document, mapping, selection, threads)?.into_iter();
    Ok(all.next().unwrap_or_default())
}

/// Adds up each bill of a document: it is read once, however many there are.
///
/// # Errors
/// The same.
pub fn add_up_each(
    document: &Document<'_>,
    mapping: &dyn Mapping,
    selection: &Selection,
    threads: usize,
) -> Result<Vec<Totals>, ReadError> {
    with_common(add_up_with(document, mapping, selection, threads, false, None)?)
}

/// The same where lines of the document divide.
pub(super) fn add_up_divided(
    document: &Document<'_>,
    selection: &Selection,
    threads: usize,
    division: Division<'_>,
) -> Result<Vec<Totals>, ReadError> {
    let mapping = division.reading.mapping;
    with_common(add_up_with(document, mapping, selection, threads, false, Some(division))?)
}

/// Each bill, with what is of none of them.
fn with_common(mut bills: Vec<Totals>) -> Result<Vec<Totals>, ReadError> {
    let common = bills.pop().unwrap_or_default();
    let own: Vec<_> = bills.iter().map(|bill| bill.own.clone()).collect();
    for (at, bill) in bills.iter_mut().enumerate() {
        let fine_rows = bill.fine_rows;
        bill.merge(common.clone())?;
        bill.fine_rows = fine_rows;
        let others = own.iter().enumerate().filter(|(other, _)| *other != at).flat_map(|(_, own)| own);
        for (other, figures) in others.take(OTHERS_NAMED) {
            bill.elsewhere.entry(other.clone()).or_default().add(figures)?;
        }
    }
    Ok(bills)
}

/// Other bills of a document that each of many names.
const OTHERS_NAMED: usize = 50;

fn add_up_with(
    document: &Document<'_>,
    mapping: &dyn Mapping,
    selection: &Selection,
    threads: usize,
    details: bool,
    division: Option<Division<'_>>,
) -> Result<Vec<Totals>, ReadError> {
    let mapping = division.map_or(mapping, |division| division.reading.mapping);
    let reads_texts = details || division.is_some();
    if threads < 2 || !matches!(document.kind()?, Kind::Parquet) {
        let mut adder = Adder::new(mapping, selection, document.name(), details);
        document.read(mapping, reads_texts, &mut Divided::new(division, &mut adder))?;
        return Ok(adder.finish()?);
    }
    let columnar = Columnar::open(document.reader(), mapping.columns(), reads_texts)?;
    let dialect = document.dialect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut adder = Adder::new(mapping, selection, document.name(), details);
        let mut sink = Divided::new(division, &mut adder);
        sink.begin(&dialect, columnar.header());
        loop {
            let group = next.fetch_add(1, Ordering::Relaxed);
            if group >= columnar.row_groups() {
                return Ok(adder.finish()?);
            }
            columnar.read(group, &mut sink)?;
        }
    };
    thread::scope(|scope| {
        let workers = threads.min(columnar.row_groups().max(1));
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut totals: Vec<Totals> = Vec::new();
        for worker in workers {
            let part: Result<Vec<Totals>, ReadError> = worker.join().unwrap_or_else(|_| {
                Err(ReadError::Broken { after: 0, why: "a thread that reads it ended".to_owned() })
            });
            let part = part?;
            match totals.is_empty() {
                true => totals = part,
                false => {
                    for (sum, part) in totals.iter_mut().zip(part) {
                        sum.merge(part)?;
                    }
                }
            }
        }
        Ok(totals)
    })
}

/// Rows that come one by one.
struct Rows<'s> {
    columns: &'s Columns,
    details: bool,
    dialect: Dialect,
    sink: &'s mut dyn Sink,
    read: Option<(Binding, Batch, Vec<Dictionary>)>,
}

impl<'s> Rows<'s> {
    fn new(columns: &'s Columns, details: bool, dialect: Dialect, sink: &'s mut dyn Sink) -> Self {
        Self { columns, details, dialect, sink, read: None }
    }

    fn finish(mut self) -> Result<(), ReadError> {
        let Some((_, batch, dictionaries)) = &mut self.read else { return Ok(()) };
        hand_on(batch, dictionaries, self.sink)
    }
}

impl JsonRows for Rows<'_> {
    fn header(&mut self, names: &[String]) -> Result<(), ReadError> {
        let binding = Binding::new(self.columns, names, self.details, &self.dialect)?;
        self.sink.begin(&self.dialect, names);
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
