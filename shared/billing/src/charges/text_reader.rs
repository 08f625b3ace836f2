//! CSV, plain, gzipped or in a ZIP archive, into batches: one thread unpacks and finds the cells, the other reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use flate2::read::MultiGzDecoder;

use super::batch::{BATCH_ROWS, Batch, Dictionary, ReadError, Sink, hand_on};
use super::binding::Binding;
use super::decoder::decoded;
use super::dialect::{Decimals, Dialect, Encoding, separator_of};
use super::file::FileReader;
use super::mapping::Columns;
use crate::text::{clean, is_invisible};

/// Bytes read at once.
const PIECE: usize = 1024 * 1024;
/// Bytes that are looked at to find out how a table is written: headers of reports with many tags are long.
const HEAD: u64 = 1024 * 1024;
/// Bytes of cells that are handed over at once, and how many such blocks may wait.
const BLOCK: usize = 512 * 1024;
const BLOCKS: usize = 4;
/// A longer row is none: a quote is not closed, and without a bound the rest of the file would be taken for one cell.
const ROW_BYTES: usize = 4 * 1024 * 1024;

/// How CSV is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Zip,
}

/// One table: a document, or a file of an archive.
pub(super) struct Table {
    file: FileReader,
    packing: Packing,
    /// Its place in the archive.
    entry: usize,
    dialect: Dialect,
    pub(super) header: Vec<String>,
}

impl Table {
    /// The tables of a document.
    pub(super) fn all(file: &FileReader, packing: Packing, document: &str) -> Result<Vec<Self>, ReadError> {
        let broken = |why: String| ReadError::Broken { after: 0, why };
        let entries = match packing {
            Packing::Zip => entries(file).map_err(broken)?,
            _ => vec![(0, String::new())],
        };
        let several = entries.len() > 1;
        let open = |(entry, name): (usize, String)| {
            let document = if several { format!("{document}/{name}") } else { document.to_owned() };
            let dialect = Dialect { document, ..Dialect::default() };
            let mut table = Self { file: file.clone(), packing, entry, dialect, header: Vec::new() };
            table.look().map_err(broken)?;
            Ok(table)
        };
        entries.into_iter().map(open).collect()
    }

    pub(super) fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Finds out how it is written.
    fn look(&mut self) -> Result<(), String> {
        let mut head = Vec::new();
        self.unpacked(|input| input.take(HEAD).read_to_end(&mut head))?.map_err(|error| error.to_string())?;
        let encoding = Encoding::of(&head);
        self.dialect.encoding = Some(encoding);
        let mut text = Vec::new();
        // the last character may be cut in two
        let _ = decoded(&mut head.as_slice(), encoding).read_to_end(&mut text);
        self.dialect.separator = Some(char::from(separator_of(&text)));
        self.header = self.read(names)??;
        Ok(())
    }

    /// Which columns have a decimal comma: only where cells are separated by semicolons are amounts written like this.
    fn find_commas(&mut self, columns: &Columns) -> Result<(), ReadError> {
        if self.dialect.separator != Some(';') {
            return Ok(());
        }
        let binding = Binding::new(columns, &self.header, true, &self.dialect)?;
        let mut seen: Vec<_> =
            binding.number_places().map(|(place, is_money)| (place, is_money, Decimals::default())).collect();
        let read = self.read(|reader| {
            let mut record = csv::ByteRecord::new();
            while matches!(reader.read_byte_record(&mut record), Ok(true)) {
                reader.get_mut().since_row = 0;
                for (place, _, decimals) in &mut seen {
                    if let Some(cell) =
                        record.get(*place).filter(|cell| cell.contains(&b',') || cell.contains(&b'.'))
                    {
                        decimals.add(&clean(&String::from_utf8_lossy(unquoted(cell))));
                    }
                }
            }
        });
        read.map_err(|why| ReadError::Broken { after: 0, why })?;
        let has_commas = seen.iter().any(|(.., decimals)| decimals.is_comma());
        for (place, is_money, decimals) in seen {
            let column = binding.name(place);
            if has_commas {
                decimals.beside_commas(column)?;
            }
            match decimals.decide(column) {
                Ok(true) => self.dialect.decimal_commas.push(column.to_owned()),
                Ok(false) => {}
                Err(error) if is_money => return Err(error.into()),
                // of a quantity it is only counted
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// What `with` makes of the rows, from the header on.
    fn read<T>(&self, with: impl FnOnce(&mut csv::Reader<Bounded<'_>>) -> T) -> Result<T, String> {
        let Dialect { encoding, separator, .. } = &self.dialect;
        let separator = separator.and_then(|separator| u8::try_from(separator).ok()).unwrap_or(b',');
        self.unpacked(|input| {
            let mut text = decoded(input, encoding.unwrap_or_default());
            with(&mut reader(&mut *text, separator))
        })
    }

    /// What `with` makes of the bytes.
    fn unpacked<T>(&self, with: impl FnOnce(&mut dyn Read) -> T) -> Result<T, String> {
        let file = self.file.clone();
        match self.packing {
            Packing::None => Ok(with(&mut BufReader::with_capacity(PIECE, file))),
            Packing::Gzip => Ok(with(&mut MultiGzDecoder::new(BufReader::with_capacity(PIECE, file)))),
            Packing::Zip => {
                let mut archive = zip::ZipArchive::new(file).map_err(|error| error.to_string())?;
                let mut entry = archive.by_index(self.entry).map_err(|error| error.to_string())?;
                Ok(with(&mut entry))
            }
        }
    }
}

/// The files of an archive that are somebody's: not folders, nor what an operating system adds.
fn entries(file: &FileReader) -> Result<Vec<(usize, String)>, String> {
    let mut archive = zip::ZipArchive::new(file.clone()).map_err(|error| error.to_string())?;
    let mut entries: Vec<(usize, String)> = Vec::new();
    let (mut folders, mut contents) = (BTreeSet::new(), BTreeMap::new());
    for at in 0..archive.len() {
        let entry = archive.by_index(at).map_err(|error| error.to_string())?;
        let name = entry.name().map_err(|error| error.to_string())?.into_owned();
        let (folder, own) = name.rsplit_once('/').unwrap_or(("", &name));
        if !entry.is_file() || own.starts_with('.') || name.starts_with("__MACOSX/") {
            continue;
        }
        // the tables of one folder are parts of one export; of two folders they may be the same costs, exported twice
        folders.insert(folder.to_owned());
        if folders.len() > 1 {
            let folders: Vec<String> = folders.iter().map(|folder| format!("'{folder}'")).collect();
            return Err(format!(
                "the archive has tables in several folders ({}): unpack it and bring the folders",
                folders.join(", ")
            ));
        }
        if let Some(twin) = contents.insert((entry.crc32(), entry.size()), name.clone()) {
            return Err(format!("{twin} and {name} in the archive have the same content: leave one out"));
        }
        entries.push((at, name));
    }
    if entries.is_empty() { Err("the archive has no file".to_owned()) } else { Ok(entries) }
}

/// Reads the tables of a document, one after the other; their rows are counted through.
pub(super) fn read_csv(
    tables: Vec<Table>,
    columns: &Columns,
    details: bool,
    sink: &mut dyn Sink,
) -> Result<(), ReadError> {
    let mut rows_before = 0;
    for mut table in tables {
        if rows_before > 0 {
            sink.forget();
        }
        table.find_commas(columns)?;
        rows_before = read_table(&table, columns, details, rows_before, sink)?;
    }
    Ok(())
}

fn read_table(
    table: &Table,
    columns: &Columns,
    details: bool,
    rows_before: u64,
    sink: &mut dyn Sink,
) -> Result<u64, ReadError> {
    let (sender, receiver) = sync_channel(BLOCKS);
    thread::scope(|scope| {
        scope.spawn(move || {
            let split = table.read(|reader| split(reader, &sender));
            if let Err(why) = split.and_then(|split| split) {
                // whoever reads may have given up
                let _ = sender.send(Piece::Broken(why));
            }
        });
        // whoever gives up drops the receiver, which ends the other thread
        rows(table, receiver, columns, details, rows_before, sink)
    })
}

/// A text that ends with an error when one row takes too much of it.
struct Bounded<'r> {
    input: &'r mut dyn Read,
    since_row: usize,
}

impl Read for Bounded<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.since_row > ROW_BYTES {
            return Err(io::Error::other("a row is longer than 4 MB: is a quote not closed?"));
        }
        let read = self.input.read(into)?;
        self.since_row += read;
        Ok(read)
    }
}

fn reader(input: &mut dyn Read, separator: u8) -> csv::Reader<Bounded<'_>> {
    // rows of another length are told apart by whoever reads them
    let input = Bounded { input, since_row: 0 };
    csv::ReaderBuilder::new().flexible(true).delimiter(separator).buffer_capacity(PIECE).from_reader(input)
}

fn names(reader: &mut csv::Reader<Bounded<'_>>) -> Result<Vec<String>, String> {
    let header = reader.byte_headers().map_err(|error| error.to_string())?;
    Ok(header.iter().map(|name| clean(&String::from_utf8_lossy(unquoted(name))).into_owned()).collect())
}

/// A cell without the quotes that stand after a space or after what nobody sees: of those CSV makes a part of the text.
fn unquoted(cell: &[u8]) -> &[u8] {
    if matches!(cell.first(), None | Some(b'!'..=b'~')) {
        return cell;
    }
    let text = std::str::from_utf8(cell).unwrap_or_default();
    let text = text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c));
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.map_or(cell, str::as_bytes)
}

/// What one thread hands to the other.
enum Piece {
    Rows(Block),
    /// The text breaks off after what was handed over.
    Broken(String),
}

/// Some rows, their cells one after the other.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    /// Where each cell ends.
    cells: Vec<usize>,
    /// How many cells there are up to the end of each row.
    rows: Vec<usize>,
}

impl Block {
    fn push(&mut self, record: &csv::ByteRecord) {
        let mut end = self.bytes.len();
        self.bytes.extend_from_slice(record.as_slice());
        for cell in record {
            end += cell.len();
            self.cells.push(end);
        }
        self.rows.push(self.cells.len());
    }

    /// The row's first cell, and the one after its last.
    fn row(&self, row: usize) -> (usize, usize) {
        (row.checked_sub(1).map_or(0, |before| self.rows[before]), self.rows[row])
    }

    fn cell(&self, cell: usize) -> &[u8] {
        let start = cell.checked_sub(1).map_or(0, |before| self.cells[before]);
        &self.bytes[start..self.cells[cell]]
    }
}

/// Finds the cells; what could be read is handed over before what could not is told.
fn split(reader: &mut csv::Reader<Bounded<'_>>, sender: &SyncSender<Piece>) -> Result<(), String> {
    names(reader)?;
    let mut record = csv::ByteRecord::new();
    let mut block = Block::default();
    loop {
        let read = reader.read_byte_record(&mut record);
        reader.get_mut().since_row = 0;
        let more = matches!(read, Ok(true));
        if more {
            block.push(&record);
        }
        if !more || block.bytes.len() >= BLOCK || block.cells.len() >= BLOCK / size_of::<usize>() {
            let full = std::mem::take(&mut block);
            block.bytes.reserve(full.bytes.len());
            block.cells.reserve(full.cells.len());
            if sender.send(Piece::Rows(full)).is_err() {
                return Ok(());
            }
        }
        if !more {
            return read.map(|_| ()).map_err(|error| error.to_string());
        }
    }
}

fn rows(
    table: &Table,
    pieces: Receiver<Piece>,
    columns: &Columns,
    details: bool,
    rows_before: u64,
    sink: &mut dyn Sink,
) -> Result<u64, ReadError> {
    let names = &table.header;
    let binding = Binding::new(columns, names, details, &table.dialect)?;
    sink.begin(&table.dialect, names);
    let mut batch = Batch::new(&binding);
    batch.first += rows_before;
    let mut dictionaries: Vec<_> = binding.class.iter().map(|_| Dictionary::default()).collect();
    for piece in pieces {
        let block = match piece {
            Piece::Rows(block) => block,
            Piece::Broken(why) => {
                return Err(ReadError::Broken { after: batch.first + batch.rows as u64 - 1, why });
            }
        };
        for row in 0..block.rows.len() {
            let (first, end) = block.row(row);
            let whole = end - first == names.len();
            let cell = |place: usize| whole.then(|| unquoted(block.cell(first + place)));
            batch.push(&binding, &mut dictionaries, cell);
            if !whole {
                let why = format!("it has {} cells, the header has {}", end - first, names.len());
                batch.problem(batch.rows - 1, why);
            }
            if batch.rows == BATCH_ROWS {
                hand_on(&mut batch, &mut dictionaries, sink)?;
            }
        }
    }
    hand_on(&mut batch, &mut dictionaries, sink)?;
    Ok(batch.first - 1)
}
