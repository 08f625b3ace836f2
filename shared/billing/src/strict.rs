//! JSON as strictly as money needs it: a member that stands twice in one object is refused, because nothing says which of the two counts.
//!
//! `serde` alone refuses that only of the fields that a derived struct names. In a map, in a [`serde_json::Value`], in a
//! [`RawValue`](serde_json::value::RawValue) and among the members that a struct passes over, the last one counts, and nobody hears of it. So
//! [`from_str`] and [`from_slice`] look through the whole document before it is read, at every depth, also where nothing of ours reads: money
//! may hide in parts that are read later, and who writes a member twice somewhere may mean something else everywhere. Names are compared by what
//! they say, whether or not they are written with escapes.
//!
//! That is one more pass over the bytes (more than 1 GB a second: a quarter of the time of a typed reading of a large invoice, four tenths of that of
//! a line of a journal) which copies nothing: texts that borrow still do. It remembers the names of those objects that are open.

#[cfg(test)]
mod readers;
mod scan;
#[cfg(test)]
mod tests;

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads a document in which every member stands once.
///
/// # Errors
/// Those of [`serde_json::from_str`], and one that names the member that stands twice, the object that it stands in and its place.
pub fn from_str<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, serde_json::Error> {
    from_str_sparing(json, &[])
}

/// The same of bytes.
///
/// # Errors
/// See [`from_str`].
pub fn from_slice<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    look_through(json, &[])?;
    serde_json::from_slice(json)
}

/// The same, but below members of these names something may stand twice. Whoever reads those parts must judge them.
///
/// # Errors
/// See [`from_str`].
pub fn from_str_sparing<'a, T: Deserialize<'a>>(
    json: &'a str,
    spared: &[&str],
) -> Result<T, serde_json::Error> {
    look_through(json.as_bytes(), spared)?;
    serde_json::from_str(json)
}

fn look_through(json: &[u8], spared: &[&str]) -> Result<(), serde_json::Error> {
    scan::scan(json, spared).map_err(serde_json::Error::custom)
}

/// What a JSON object says. The fields of a struct would else be taken from a list as well, by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}
