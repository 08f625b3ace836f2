//! One pass over the bytes of a JSON document that remembers the names of the objects that are open, and nothing else.
//!
//! It does not judge whether the bytes are JSON: who reads them does that. Of what is JSON it finds every member that stands twice.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write as _;

use crate::text::shown;

/// As deep as `serde_json` reads.
const DEEPEST: usize = 127;
/// Up to so many names are compared with each other, more are hashed.
const FEW: usize = 32;
/// As many as most documents have: their stack does not grow.
const LEVELS: usize = 8;

/// Looks for a member that stands twice. Below members of the names in `spared` it does not look.
///
/// # Errors
/// Says which member it is, and where.
pub(super) fn scan(json: &[u8], spared: &[&str]) -> Result<(), String> {
    let (open, names) = (Vec::with_capacity(LEVELS), Vec::with_capacity(FEW));
    Scan { json, spared, open, names }.run()
}

struct Scan<'a, 's> {
    json: &'a [u8],
    spared: &'s [&'s str],
    open: Vec<Open<'a>>,
    /// Of all open objects, the outermost first.
    names: Vec<Cow<'a, [u8]>>,
}

type Names<'a> = HashSet<Cow<'a, [u8]>, foldhash::fast::RandomState>;

/// An object or list whose end was not seen yet.
struct Open<'a> {
    is_object: bool,
    is_spared: bool,
    /// Where its names begin.
    first_name: usize,
    /// A bit for each of its names; several names may share one.
    bits: u64,
    /// Its names, if they are many.
    many: Option<Box<Names<'a>>>,
    /// Commas seen, which number the items of a list.
    commas: usize,
}

impl<'a> Scan<'a, '_> {
    fn run(mut self) -> Result<(), String> {
        let (mut at, mut is_name) = (0, false);
        while let Some(byte) = self.json.get(at) {
            at += 1;
            match byte {
                b'"' => {
                    let (text, has_escapes) = text_at(self.json, at);
                    if is_name {
                        self.name(text, has_escapes).map_err(|name| self.twice(&name, at - 1))?;
                        is_name = false;
                    }
                    at += text.len() + 1;
                }
                b',' => is_name = self.comma(),
                b'{' | b'[' => {
                    is_name = *byte == b'{';
                    self.begin(is_name, at - 1)?;
                }
                b'}' | b']' => {
                    is_name = false;
                    self.end();
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn begin(&mut self, is_object: bool, at: usize) -> Result<(), String> {
        if self.open.len() == DEEPEST {
            return Err(format!("more than {DEEPEST} levels in each other{}", place(self.json, at)));
        }
        let is_spared = !self.spared.is_empty() && self.open.last().is_some_and(|open| self.spares(open));
        self.open.push(Open {
            is_object,
            is_spared,
            first_name: self.names.len(),
            bits: 0,
            many: None,
            commas: 0,
        });
        Ok(())
    }

    /// Whether what stands in this object or list now is spared.
    fn spares(&self, open: &Open<'_>) -> bool {
        let is_spared = |name: &Cow<'_, [u8]>| self.spared.iter().any(|spared| spared.as_bytes() == &**name);
        open.is_spared || open.is_object && self.names.last().is_some_and(is_spared)
    }

    fn end(&mut self) {
        if let Some(open) = self.open.pop() {
            self.names.truncate(open.first_name);
        }
    }

    /// Whether a name comes next.
    fn comma(&mut self) -> bool {
        let Some(open) = self.open.last_mut() else { return false };
        open.commas += 1;
        open.is_object
    }

    /// Takes a name in; gives it back if it was there before.
    fn name(&mut self, text: &'a [u8], has_escapes: bool) -> Result<(), Cow<'a, [u8]>> {
        let name = if has_escapes { unescaped(text) } else { Cow::Borrowed(text) };
        let Some(open) = self.open.last_mut().filter(|open| !open.is_spared) else { return Ok(()) };
        let own = self.names.get(open.first_name..).unwrap_or_default();
        let bit = bit(&name);
        if open.bits & bit != 0 {
            let is_known =
                open.many.as_ref().map_or_else(|| own.contains(&name), |many| many.contains(&name));
            if is_known {
                return Err(name);
            }
        }
        open.bits |= bit;
        if own.len() >= FEW {
            open.many.get_or_insert_with(|| Box::new(own.iter().cloned().collect())).insert(name.clone());
        }
        self.names.push(name);
        Ok(())
    }

    fn twice(&self, name: &[u8], at: usize) -> String {
        let name = shown(&String::from_utf8_lossy(name));
        let inside = self.path();
        let inside = if inside.is_empty() { inside } else { format!(" in {inside}") };
        format!("'{name}' stands twice{inside}{}", place(self.json, at))
    }

    /// Where the innermost open object is: `lineItems[3].tags`.
    fn path(&self) -> String {
        let mut path = String::new();
        for (open, next) in self.open.iter().zip(self.open.iter().skip(1)) {
            if !open.is_object {
                // writing to a text cannot fail
                let _ = write!(path, "[{}]", open.commas);
            } else if let Some(name) = next.first_name.checked_sub(1).and_then(|last| self.names.get(last)) {
                let dot = if path.is_empty() { "" } else { "." };
                let _ = write!(path, "{dot}{}", shown(&String::from_utf8_lossy(name)));
            }
        }
        path
    }
}

/// As `serde_json` ends its messages, and takes them apart again.
fn place(json: &[u8], at: usize) -> String {
    let before = json.get(..at).unwrap_or(json);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    format!(" at line {line} column {column}")
}

/// The text that begins here, up to its quotation mark or the end of the document, and whether there are escapes in it.
fn text_at(json: &[u8], start: usize) -> (&[u8], bool) {
    let rest = json.get(start..).unwrap_or_default();
    let (mut end, mut has_escapes) = (0, false);
    while let Some(found) = rest.get(end..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        end += found;
        if rest.get(end) == Some(&b'"') {
            return (rest.get(..end).unwrap_or(rest), has_escapes);
        }
        has_escapes = true;
        end += 2;
    }
    (rest, has_escapes)
}

/// What a name with escapes says. One that says nothing is no JSON, which its reader will say.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    let quoted = [b"\"", text, b"\""].concat();
    match serde_json::from_slice::<String>(&quoted) {
        Ok(name) => Cow::Owned(name.into_bytes()),
        Err(_) => Cow::Borrowed(text),
    }
}

/// One of 64, by length, first, middle and last byte.
fn bit(name: &[u8]) -> u64 {
    let byte = |at: usize| name.get(at).copied().map_or(0, usize::from);
    let len = name.len();
    let mixed = len.wrapping_mul(7)
        ^ byte(0).wrapping_mul(31)
        ^ byte(len / 2).wrapping_mul(11)
        ^ byte(len.wrapping_sub(1)).wrapping_mul(5);
    1 << (mixed & 63)
}
