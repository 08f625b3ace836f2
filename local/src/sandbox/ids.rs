//! Ids and tokens of the sandbox: they come from content, so that the same story has the same ones again.

use billing::revision::sha256_hex;

/// 32 hexadecimal digits of what an id is of.
pub(super) fn id_of(parts: &[&str]) -> String {
    let mut id = sha256_hex(parts.join("\0").as_bytes());
    id.truncate(32);
    id
}
