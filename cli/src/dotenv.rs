//! The file `.env`: a value is what is written. docs/secrets.md says the rules.
//!
//! What could be meant in two ways is refused, because half a secret is sent as readily as a whole one. Errors name the line
//! and the variable, never what stands there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use cloud::vars::Vars;

/// What the file says; nothing if there is none.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vars> {
    let name = path.display();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vars::default()),
        Err(error) => return Err(error).with_context(|| format!("failed to read {name}")),
    };
    Ok(parse(&bytes).map_err(|error| anyhow::anyhow!("{name}, {error}"))?.into_iter().collect())
}

/// A line that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BadLine {
    line: usize,
    /// The variable that is set there.
    name: Option<String>,
    why: Why,
}

/// Why a line cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("this is no UTF-8: save the file as UTF-8")]
    NotUtf8,
    #[error(
        "expected NAME=value, or a comment that begins with #; a value of several lines needs quotes around it"
    )]
    NoAssignment,
    #[error("it is set in line {0} already: one of the two must go")]
    Twice(usize),
    #[error(
        "a # after a space may be part of the value or begin a comment: put quotes around the value, or the comment on a \
         line of its own"
    )]
    Comment,
    #[error("a character that cannot be seen stands in the value: remove it, or put quotes around the value")]
    Control,
    #[error(
        "the quote at the beginning of the value is never closed ({0}); a quote that belongs to it stands within the other kind of quotes"
    )]
    Unclosed(char),
    #[error(
        "more follows after the closing quote ({0}): within single quotes everything but ' stands as it is, within double \
         quotes \" is written \\\" and \\ is written \\\\"
    )]
    AfterQuote(char),
    #[error(
        "within double quotes a backslash begins \\n, \\r, \\t, \\\" or \\\\, and nothing else: write \\\\ for a backslash, or use \
         single quotes"
    )]
    Escape,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        // a name as ours are; anything else might be a piece of a key that lost its quotes
        let is_name =
            |name: &&String| name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        match self.name.as_ref().filter(is_name) {
            Some(name) => write!(f, "{name}: {}", self.why),
            None => write!(f, "{}", self.why),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<(String, String)>, BadLine> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        BadLine { line: 1 + count_lines(good), name: None, why: Why::NotUtf8 }
    })?;
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1;
    let mut seen = BTreeMap::new();
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let (this, _) = first_line(rest);
        if matches!(this.trim_start_matches(SPACES).chars().next(), None | Some('#')) {
            (_, rest) = first_line(rest);
            line += 1;
            continue;
        }
        let bad = |name: Option<&str>, why| BadLine { line, name: name.map(str::to_owned), why };
        let (name, written) = assignment(rest).ok_or_else(|| bad(None, Why::NoAssignment))?;
        let (value, after) = value(written).map_err(|why| bad(Some(name), why))?;
        if let Some(before) = seen.insert(name, line) {
            return Err(bad(Some(name), Why::Twice(before)));
        }
        pairs.push((name.to_owned(), value));
        line += count_lines(rest.as_bytes()) - count_lines(after.as_bytes());
        rest = after;
    }
    Ok(pairs)
}

const SPACES: [char; 2] = [' ', '\t'];

fn count_lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

/// A line without its end, and the text after it.
fn first_line(text: &str) -> (&str, &str) {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    (line.strip_suffix('\r').unwrap_or(line), rest)
}

/// The name of `NAME=...` or `export NAME=...`, and what is written after it, to the end of the file.
fn assignment(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(SPACES);
    let exported = text.strip_prefix("export").filter(|rest| rest.starts_with(SPACES));
    let text = exported.unwrap_or(text).trim_start_matches(SPACES);
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let (name, rest) = text.split_at(end);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return None;
    }
    Some((name, rest.trim_start_matches(SPACES).strip_prefix('=')?))
}

/// The value that stands after `=`, and the text after its line.
fn value(written: &str) -> Result<(String, &str), Why> {
    let start = written.trim_start_matches(SPACES);
    match start.chars().next() {
        Some(quote @ ('\'' | '"')) => {
            let (value, after) = quoted(start.get(1..).unwrap_or_default(), quote)?;
            let (remainder, rest) = first_line(after);
            let beyond = remainder.trim_start_matches(SPACES);
            let is_comment = beyond.starts_with('#') && remainder.starts_with(SPACES);
            if beyond.is_empty() || is_comment { Ok((value, rest)) } else { Err(Why::AfterQuote(quote)) }
        }
        _ => {
            let (line, rest) = first_line(written);
            if line.contains(" #") || line.contains("\t#") {
                return Err(Why::Comment);
            }
            let value = line.trim_matches(SPACES);
            let is_hidden = |c: char| (c.is_control() && c != '\t') || c == '\u{feff}';
            if value.contains(is_hidden) { Err(Why::Control) } else { Ok((value.to_owned(), rest)) }
        }
    }
}

/// The text up to the closing quote, and what follows that.
fn quoted(text: &str, quote: char) -> Result<(String, &str), Why> {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            _ if c == quote => return Ok((value, chars.as_str())),
            '\\' if quote == '"' => value.push(match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(c @ ('"' | '\\')) => c,
                _ => return Err(Why::Escape),
            }),
            _ => value.push(c),
        }
    }
    Err(Why::Unclosed(quote))
}

#[cfg(test)]
mod tests;
