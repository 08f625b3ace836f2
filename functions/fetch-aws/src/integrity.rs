//! Whether a data file is whole, told from its bytes while they pass: a file may have been cut before it came to S3.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

/// The end of a zip archive: 22 bytes and a comment of at most 65,535.
const ZIP_END: usize = 22 + 65_535;

/// Looks at a file piece by piece.
pub(crate) struct Integrity {
    kind: Kind,
    bytes: u64,
}

enum Kind {
    /// Nothing says where it ends.
    Plain,
    /// Each member ends with the checksum of its content.
    Gzip(Box<MultiGzDecoder<io::Sink>>),
    /// Begins with a magic and ends with another.
    Framed { magic: &'static [u8], head: Vec<u8>, tail: Vec<u8>, tail_bytes: usize, ends: fn(&[u8]) -> bool },
}

impl Integrity {
    /// For a file with that extension.
    pub(crate) fn of(extension: &str) -> Self {
        let framed = |magic, tail_bytes, ends| Kind::Framed {
            magic,
            head: Vec::new(),
            tail: Vec::new(),
            tail_bytes,
            ends,
        };
        let kind = match extension {
            "csv.gz" => Kind::Gzip(Box::new(MultiGzDecoder::new(io::sink()))),
            "parquet" => framed(b"PAR1", 4, |tail| tail == b"PAR1"),
            "csv.zip" => framed(b"PK", ZIP_END, zip_ends),
            _ => Kind::Plain,
        };
        Self { kind, bytes: 0 }
    }

    /// The next piece.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Result<(), String> {
        self.bytes += piece.len() as u64;
        match &mut self.kind {
            Kind::Plain => Ok(()),
            Kind::Gzip(decoder) => decoder.write_all(piece).map_err(|error| damaged(&error)),
            Kind::Framed { magic, head, tail, tail_bytes, .. } => {
                let missing = magic.len().saturating_sub(head.len());
                head.extend(piece.iter().take(missing));
                tail.extend_from_slice(piece);
                let surplus = tail.len().saturating_sub(*tail_bytes);
                tail.drain(..surplus);
                Ok(())
            }
        }
    }

    /// After the last piece.
    pub(crate) fn finish(mut self) -> Result<(), String> {
        if self.bytes == 0 {
            return Err("it is empty".to_owned());
        }
        match &mut self.kind {
            Kind::Plain => Ok(()),
            Kind::Gzip(decoder) => decoder.try_finish().map_err(|error| damaged(&error)),
            Kind::Framed { magic, head, tail, ends, .. } => {
                let is_whole = head.starts_with(magic) && ends(tail);
                is_whole.then_some(()).ok_or_else(|| "its begin or its end is missing".to_owned())
            }
        }
    }
}

fn damaged(error: &io::Error) -> String {
    format!("it cannot be decompressed: {error}")
}

/// Whether the end-of-directory record is there, with its comment up to the last byte.
fn zip_ends(tail: &[u8]) -> bool {
    let record = tail.windows(22).rposition(|record| record.starts_with(b"PK\x05\x06"));
    record.is_some_and(|at| {
        let comment = usize::from(u16::from_le_bytes([tail[at + 20], tail[at + 21]]));
        at + 22 + comment == tail.len()
    })
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn check(extension: &str, bytes: &[u8]) -> Result<(), String> {
        let mut integrity = Integrity::of(extension);
        bytes.chunks(7).try_for_each(|piece| integrity.take(piece))?;
        integrity.finish()
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_gzip_file_that_is_cut_anywhere_is_noticed() {
        let text = "a,b\n1,2\n".repeat(50);
        let whole = gzip(&text);
        assert_eq!(check("csv.gz", &whole), Ok(()));
        let two = [gzip(&text), gzip("c")].concat();
        assert_eq!(check("csv.gz", &two), Ok(()));
        for length in 0..whole.len() {
            assert!(check("csv.gz", &whole[..length]).is_err(), "{length} of {} bytes", whole.len());
        }
        let mut other = whole.clone();
        let at = other.len() - 6; // of the checksum
        other[at] ^= 1;
        assert!(check("csv.gz", &other).is_err());
    }

    #[test]
    fn frames_have_a_begin_and_an_end() {
        assert_eq!(check("parquet", b"PAR1 data and footer PAR1"), Ok(()));
        assert!(check("parquet", b"PAR1 data and foot").is_err());
        assert!(check("parquet", b"data PAR1").is_err());
        let mut zip = b"PK\x03\x04 data PK\x05\x06".to_vec();
        zip.extend([0; 16]);
        zip.extend([3, 0]);
        zip.extend(b"end");
        assert_eq!(check("csv.zip", &zip), Ok(()));
        assert!(check("csv.zip", &zip[..zip.len() - 1]).is_err());
        assert_eq!(check("csv", b"a,b"), Ok(()));
        assert_eq!(check("csv", b""), Err("it is empty".to_owned()));
    }
}
