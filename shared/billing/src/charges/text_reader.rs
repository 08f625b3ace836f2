//! CSV, plain, gzipped or in a ZIP archive, into batches.

use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use flate2::read::MultiGzDecoder;

use super::batch::{BATCH_ROWS, Batch, Binding, Dictionary, ReadError, Sink, hand_on};
use super::file::FileReader;
use super::mapping::Columns;

/// Bytes that the decompressor hands over at once, and how many such pieces may wait.
const PIECE: usize = 1024 * 1024;
const PIECES: usize = 4;

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
    match packing {
        Packing::None => rows(BufReader::with_capacity(PIECE, file), columns, details, sink),
        // one thread unpacks while the other reads
        Packing::Gzip => unpacked(
            || Ok(MultiGzDecoder::new(BufReader::with_capacity(PIECE, file))),
            columns,
            details,
            sink,
        ),
        Packing::Zip => {
            let broken = |why: String| ReadError::Broken { after: 0, why };
            let mut archive = zip::ZipArchive::new(file).map_err(|error| broken(error.to_string()))?;
            if archive.len() != 1 {
                return Err(broken(format!("the archive has {} files, not one", archive.len())));
            }
            let entry = archive.by_index(0).map_err(|error| broken(error.to_string()))?;
            rows(entry, columns, details, sink)
        }
    }
}

/// The names of a document's columns.
pub(super) fn csv_header(file: FileReader, packing: Packing) -> Result<Vec<String>, ReadError> {
    let broken = |why: String| ReadError::Broken { after: 0, why };
    match packing {
        Packing::None => names(&mut reader(file)),
        Packing::Gzip => names(&mut reader(MultiGzDecoder::new(BufReader::new(file)))),
        Packing::Zip => {
            let mut archive = zip::ZipArchive::new(file).map_err(|error| broken(error.to_string()))?;
            let entry = archive.by_index(0).map_err(|error| broken(error.to_string()))?;
            names(&mut reader(entry))
        }
    }
}

fn reader<R: Read>(input: R) -> csv::Reader<R> {
    csv::ReaderBuilder::new().buffer_capacity(PIECE).from_reader(input)
}

fn names<R: Read>(reader: &mut csv::Reader<R>) -> Result<Vec<String>, ReadError> {
    let header = reader.byte_headers();
    let header = header.map_err(|error| ReadError::Broken { after: 0, why: error.to_string() })?;
    Ok(header.iter().enumerate().map(|(at, name)| column_name(at, name)).collect())
}

fn unpacked<R: Read>(
    open: impl FnOnce() -> io::Result<R> + Send,
    columns: &Columns,
    details: bool,
    sink: &mut dyn Sink,
) -> Result<(), ReadError> {
    let (sender, receiver) = sync_channel(PIECES);
    thread::scope(|scope| {
        scope.spawn(move || unpack(open, &sender));
        rows(Pieces { receiver, piece: Vec::new(), at: 0 }, columns, details, sink)
    })
}

fn unpack<R: Read>(open: impl FnOnce() -> io::Result<R>, sender: &SyncSender<io::Result<Vec<u8>>>) {
    let work = || {
        let mut packed = open()?;
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let read = packed.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            // whoever reads may have given up
            if read == 0 || sender.send(Ok(piece)).is_err() {
                return Ok(());
            }
        }
    };
    if let Err(error) = work() {
        let _ = sender.send(Err(error));
    }
}

/// The pieces of the other thread as one text.
struct Pieces {
    receiver: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            match self.receiver.recv() {
                Ok(piece) => (self.piece, self.at) = (piece?, 0),
                Err(_) => return Ok(0),
            }
        }
        let read = (&self.piece[self.at..]).read(into)?;
        self.at += read;
        Ok(read)
    }
}

fn rows(input: impl Read, columns: &Columns, details: bool, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut reader = reader(input);
    let broken = |after: u64, error: &csv::Error| ReadError::Broken { after, why: error.to_string() };
    let names = names(&mut reader)?;
    let binding = Binding::new(columns, &names, details)?;
    let mut batch = Batch::new(&binding);
    let mut dictionaries: Vec<_> = binding.class.iter().map(|_| Dictionary::default()).collect();
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => batch.push(&binding, &mut dictionaries, |place| record.get(place)),
            Err(error) if matches!(error.kind(), csv::ErrorKind::UnequalLengths { .. }) => {
                let why = format!("it has {} cells, the header has {}", record.len(), names.len());
                batch.push(&binding, &mut dictionaries, |_| None);
                let row = batch.rows - 1;
                batch.problem(row, why);
            }
            Err(error) => return Err(broken(batch.first + batch.rows as u64 - 1, &error)),
        }
        if batch.rows == BATCH_ROWS {
            hand_on(&mut batch, &mut dictionaries, sink)?;
        }
    }
    hand_on(&mut batch, &mut dictionaries, sink)
}

/// The name of a column; the first may begin with a byte order mark.
fn column_name(at: usize, name: &[u8]) -> String {
    let name = if at == 0 { name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name) } else { name };
    String::from_utf8_lossy(name.trim_ascii()).into_owned()
}
