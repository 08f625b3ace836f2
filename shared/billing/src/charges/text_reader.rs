//! CSV, plain, gzipped or in a ZIP archive, into batches: one thread unpacks and finds the cells, the other reads them.

use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use flate2::read::MultiGzDecoder;

use super::batch::{BATCH_ROWS, Batch, Binding, Dictionary, ReadError, Sink, hand_on};
use super::file::FileReader;
use super::mapping::Columns;

/// Bytes read at once.
const PIECE: usize = 1024 * 1024;
/// Bytes of cells that are handed over at once, and how many such blocks may wait.
const BLOCK: usize = 512 * 1024;
const BLOCKS: usize = 4;
/// A longer row is none: a quote is not closed, and without a bound the rest of the file would be taken for one cell.
const ROW_BYTES: usize = 4 * 1024 * 1024;

/// How CSV is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zip,
}

/// Reads a document.
pub(super) fn read_csv(
    file: FileReader,
    packing: Packing,
    columns: &Columns,
    details: bool,
    sink: &mut dyn Sink,
) -> Result<(), ReadError> {
    let (sender, receiver) = sync_channel(BLOCKS);
    thread::scope(|scope| {
        scope.spawn(move || {
            let split = unpacked(file, packing, |input| split(reader(input), &sender));
            if let Err(why) = split.and_then(|split| split) {
                // whoever reads may have given up
                let _ = sender.send(Piece::Broken(why));
            }
        });
        // whoever gives up drops the receiver, which ends the other thread
        rows(receiver, columns, details, sink)
    })
}

/// The names of a document's columns.
pub(super) fn csv_header(file: FileReader, packing: Packing) -> Result<Vec<String>, ReadError> {
    let names = unpacked(file, packing, |input| names(&mut reader(input)));
    names.and_then(|names| names).map_err(|why| ReadError::Broken { after: 0, why })
}

/// What `with` makes of the text.
fn unpacked<T>(
    file: FileReader,
    packing: Packing,
    with: impl FnOnce(&mut dyn Read) -> T,
) -> Result<T, String> {
    match packing {
        Packing::None => Ok(with(&mut BufReader::with_capacity(PIECE, file))),
        Packing::Gzip => Ok(with(&mut MultiGzDecoder::new(BufReader::with_capacity(PIECE, file)))),
        Packing::Zip => {
            let mut archive = zip::ZipArchive::new(file).map_err(|error| error.to_string())?;
            if archive.len() != 1 {
                return Err(format!("the archive has {} files, not one", archive.len()));
            }
            let mut entry = archive.by_index(0).map_err(|error| error.to_string())?;
            Ok(with(&mut entry))
        }
    }
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

fn reader(input: &mut dyn Read) -> csv::Reader<Bounded<'_>> {
    // rows of another length are told apart by whoever reads them
    let input = Bounded { input, since_row: 0 };
    csv::ReaderBuilder::new().flexible(true).buffer_capacity(PIECE).from_reader(input)
}

fn names(reader: &mut csv::Reader<Bounded<'_>>) -> Result<Vec<String>, String> {
    let header = reader.byte_headers().map_err(|error| error.to_string())?;
    Ok(header.iter().enumerate().map(|(at, name)| column_name(at, name)).collect())
}

/// The name of a column; the first may begin with a byte order mark.
fn column_name(at: usize, name: &[u8]) -> String {
    let name = if at == 0 { name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name) } else { name };
    String::from_utf8_lossy(name.trim_ascii()).into_owned()
}

/// What one thread hands to the other.
enum Piece {
    Names(Vec<String>),
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
fn split(mut reader: csv::Reader<Bounded<'_>>, sender: &SyncSender<Piece>) -> Result<(), String> {
    if sender.send(Piece::Names(names(&mut reader)?)).is_err() {
        return Ok(());
    }
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
    pieces: Receiver<Piece>,
    columns: &Columns,
    details: bool,
    sink: &mut dyn Sink,
) -> Result<(), ReadError> {
    let names = match pieces.recv() {
        Ok(Piece::Names(names)) => names,
        Ok(Piece::Broken(why)) => return Err(ReadError::Broken { after: 0, why }),
        Ok(Piece::Rows(_)) | Err(_) => Vec::new(),
    };
    let binding = Binding::new(columns, &names, details)?;
    let mut batch = Batch::new(&binding);
    let mut dictionaries: Vec<_> = binding.class.iter().map(|_| Dictionary::default()).collect();
    for piece in pieces {
        let block = match piece {
            Piece::Rows(block) => block,
            Piece::Broken(why) => {
                return Err(ReadError::Broken { after: batch.first + batch.rows as u64 - 1, why });
            }
            Piece::Names(_) => continue,
        };
        for row in 0..block.rows.len() {
            let (first, end) = block.row(row);
            let whole = end - first == names.len();
            let cell = |place: usize| whole.then(|| block.cell(first + place));
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
    hand_on(&mut batch, &mut dictionaries, sink)
}
