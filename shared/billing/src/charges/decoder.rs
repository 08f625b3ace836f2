//! Texts as UTF-8, whatever their encoding, and without byte order marks: those stand before the first cell, and in some exports
//! before the first row too, where they would keep a quote from being one.

use std::io::{self, Read};

use super::dialect::Encoding;

const MARK: &[u8] = b"\xef\xbb\xbf";
/// Bytes of UTF-16 read at once.
const PIECE: usize = 64 * 1024;

/// The text of `input` in UTF-8.
pub(super) fn decoded<'r>(input: &'r mut dyn Read, encoding: Encoding) -> Box<dyn Read + 'r> {
    match encoding {
        Encoding::Utf8 => Box::new(WithoutMarks { input, held: Vec::new() }),
        Encoding::Utf16Le => Box::new(Utf16::new(input, u16::from_le_bytes)),
        Encoding::Utf16Be => Box::new(Utf16::new(input, u16::from_be_bytes)),
    }
}

struct WithoutMarks<'r> {
    input: &'r mut dyn Read,
    /// What may be the beginning of a mark.
    held: Vec<u8>,
}

impl Read for WithoutMarks<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            // buffers are large: what is held are two bytes at the most
            let held = self.held.len().min(into.len());
            into[..held].copy_from_slice(&self.held[..held]);
            self.held.clear();
            let read = self.input.read(&mut into[held..])?;
            let end = held + read;
            let first = memchr::memchr(MARK[0], &into[..end]);
            let Some(first) = first.filter(|_| read > 0) else { return Ok(end) };
            let (mut kept, mut at) = (first, first);
            while at < end {
                let rest = &into[at..end];
                if rest.starts_with(MARK) {
                    at += MARK.len();
                } else if MARK.starts_with(rest) {
                    self.held.extend_from_slice(rest);
                    break;
                } else {
                    into[kept] = into[at];
                    (kept, at) = (kept + 1, at + 1);
                }
            }
            if kept > 0 {
                return Ok(kept);
            }
        }
    }
}

struct Utf16<'r> {
    input: &'r mut dyn Read,
    unit: fn([u8; 2]) -> u16,
    /// Bytes that were read and not understood yet.
    bytes: Vec<u8>,
    out: Vec<u8>,
    at: usize,
}

impl<'r> Utf16<'r> {
    fn new(input: &'r mut dyn Read, unit: fn([u8; 2]) -> u16) -> Self {
        Self { input, unit, bytes: Vec::new(), out: Vec::new(), at: 0 }
    }

    /// More of the text; whether there was any.
    fn fill(&mut self) -> io::Result<bool> {
        let before = self.bytes.len();
        self.bytes.resize(before + PIECE, 0);
        let read = self.input.read(&mut self.bytes[before..])?;
        self.bytes.truncate(before + read);
        let broken = || io::Error::other("the text is no UTF-16");
        if read == 0 {
            return if self.bytes.is_empty() { Ok(false) } else { Err(broken()) };
        }
        let unit = self.unit;
        let mut units: Vec<u16> = self.bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        // the second half of a pair may come with the next piece
        if units.last().is_some_and(|last| (0xd800..0xdc00).contains(last)) {
            units.pop();
        }
        self.bytes.drain(..units.len() * 2);
        self.out.clear();
        self.at = 0;
        for c in char::decode_utf16(units) {
            let c = c.map_err(|_| broken())?;
            if c != '\u{feff}' {
                self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        Ok(true)
    }
}

impl Read for Utf16<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.out.len() {
            if !self.fill()? {
                return Ok(0);
            }
        }
        let read = into.len().min(self.out.len() - self.at);
        into[..read].copy_from_slice(&self.out[self.at..self.at + read]);
        self.at += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Hands on a few bytes at a time.
    struct Slowly<'b>(&'b [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let limit = into.len().min(self.1);
            self.0.read(&mut into[..limit])
        }
    }

    fn read(bytes: &[u8], encoding: Encoding, at_once: usize) -> io::Result<String> {
        let mut text = Vec::new();
        let mut input = Slowly(bytes, at_once);
        let mut decoded = decoded(&mut input, encoding);
        let mut buffer = [0; 16];
        loop {
            match decoded.read(&mut buffer)? {
                0 => return Ok(String::from_utf8(text).unwrap()),
                read => text.extend_from_slice(&buffer[..read]),
            }
        }
    }

    proptest! {
        #[test]
        fn marks_go_and_everything_else_stays(text in "[a-e\u{feff}é\u{ff11}日\u{1f600}\n]{0,40}", at_once in 1usize..20) {
            let expected = text.replace('\u{feff}', "");
            prop_assert_eq!(&read(text.as_bytes(), Encoding::Utf8, at_once).unwrap(), &expected);
            let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            prop_assert_eq!(&read(&little, Encoding::Utf16Le, at_once).unwrap(), &expected);
            let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            prop_assert_eq!(&read(&big, Encoding::Utf16Be, at_once).unwrap(), &expected);
        }

        #[test]
        fn any_bytes_are_a_text_or_none(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = read(&bytes, Encoding::Utf16Le, 7);
        }
    }

    #[test]
    fn what_breaks_off_is_no_utf_16() {
        assert!(read(b"a\0b", Encoding::Utf16Le, 8).is_err());
        assert!(read(b"\x00\xd8a\0", Encoding::Utf16Le, 8).is_err());
    }
}
