//! Documents whose bytes follow from their content alone: sorted keys, two spaces of indentation, a newline at the end.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// The document: the same value gives the same bytes.
///
/// # Errors
/// Those of the value's own serialisation.
pub fn to_json(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(&Sorted(&serde_json::to_value(value)?))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A JSON value whose objects are written in the order of their keys, whatever map `serde_json` was built with.
struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            Value::Object(members) => {
                let sorted: BTreeMap<_, _> =
                    members.iter().map(|(key, value)| (key, Sorted(value))).collect();
                serializer.collect_map(sorted)
            }
            other => other.serialize(serializer),
        }
    }
}
