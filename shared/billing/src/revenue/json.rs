//! How the report is written: numbers without trailing zeros, one line for each entry.

use std::fmt::Write as _;
use std::io::{self, Write};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;
use serde_json::value::RawValue;

use super::figures::as_number;
use super::moment::{push_moment, show_moment};
use super::report::Entry;

/// A JSON number of exactly that value: `5`, `57.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub Decimal);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.0.normalize();
        match i64::try_from(value.mantissa()) {
            Ok(whole) if value.scale() == 0 => serializer.serialize_i64(whole),
            _ => {
                let number: serde_json::Number = value.to_string().parse().map_err(S::Error::custom)?;
                number.serialize(serializer)
            }
        }
    }
}

/// An identifier: a number where it is one.
pub(super) fn id<S: Serializer, I: AsRef<str>>(id: &I, serializer: S) -> Result<S::Ok, S::Error> {
    match as_number(id.as_ref()) {
        Some(number) => serializer.serialize_u64(number),
        None => serializer.serialize_str(id.as_ref()),
    }
}

/// Details of usage; an object without members where there are none.
pub(super) fn details<S: Serializer>(
    details: &Option<Box<RawValue>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match details {
        Some(details) => details.serialize(serializer),
        None => Members::<()>(Vec::new()).serialize(serializer),
    }
}

/// An object whose members stand in this order.
pub(super) struct Members<'a, T>(pub(super) Vec<(&'a str, T)>);

impl<T: Serialize> Serialize for Members<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

pub(super) fn moment<S: Serializer>(moment: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&show_moment(*moment))
}

/// An entry as one line. The text is checked to be JSON before it is taken.
pub(super) fn entry<S: Serializer>(entry: &Entry<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = String::with_capacity(240);
    text.push_str("{\"amount\": ");
    push_number(&mut text, entry.amount.0);
    text.push_str(", \"item_type\": ");
    push_text(&mut text, &entry.item_type);
    text.push_str(if entry.from_credit { ", \"from_credit\": true" } else { ", \"from_credit\": false" });
    text.push_str(", \"taxes_amount\": ");
    push_number(&mut text, entry.taxes_amount.0);
    text.push_str(", \"taxes_percent\": ");
    push_number(&mut text, entry.taxes_percent.0);
    text.push_str(", \"source\": \"");
    text.push_str(entry.source.code());
    text.push_str("\", \"date\": \"");
    push_moment(&mut text, entry.date);
    text.push_str("\"}");
    RawValue::from_string(text).map_err(S::Error::custom)?.serialize(serializer)
}

/// Without trailing zeros.
fn push_number(text: &mut String, value: Decimal) {
    let value = value.normalize();
    let whole = u64::try_from(value.mantissa().unsigned_abs()).ok();
    let unit = 10u64.checked_pow(value.scale());
    let Some((mantissa, unit)) = whole.zip(unit) else {
        text.push_str(&value.to_string());
        return;
    };
    if value.is_sign_negative() && mantissa > 0 {
        text.push('-');
    }
    // writing to a text cannot fail
    let _ = write!(text, "{}", mantissa / unit);
    if value.scale() > 0 {
        let _ = write!(text, ".{:0width$}", mantissa % unit, width = value.scale() as usize);
    }
}

fn push_text(text: &mut String, value: &str) {
    if value.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        text.push('"');
        text.push_str(value);
        text.push('"');
    } else {
        text.push_str(&serde_json::Value::from(value).to_string());
    }
}

/// The document with a newline at the end: two spaces of indentation down to entries, each of which is one line.
///
/// # Errors
/// Those of the value's own serialisation.
pub(super) fn to_json(value: &impl Serialize, about_bytes: usize) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(about_bytes);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Layout::default()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Objects and lists inside this many others stand on one line.
const DEEP: usize = 6;

#[derive(Default)]
struct Layout {
    depth: usize,
    has_value: bool,
}

impl Layout {
    fn begin<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.has_value = false;
        writer.write_all(bracket)
    }

    fn end<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        let deep = self.depth > DEEP;
        self.depth -= 1;
        if self.has_value && !deep {
            self.line(writer)?;
        }
        self.has_value = true;
        writer.write_all(bracket)
    }

    fn next<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        match (first, self.depth > DEEP) {
            (true, true) => Ok(()),
            (false, true) => writer.write_all(b", "),
            (true, false) => self.line(writer),
            (false, false) => writer.write_all(b",").and_then(|()| self.line(writer)),
        }
    }

    fn line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"  "))
    }
}

impl Formatter for Layout {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }
}
