//! What opens the embedded cloud of a home: a pair of keys of its own, made at random when it is first started.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An access key: its id and its secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The id, as in `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// The secret, as in `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
}

impl Credentials {
    /// A new pair: an id of 20 characters as AWS has it (`LKIA` is not given out there), a secret of 160 bits.
    #[must_use]
    pub fn random() -> Self {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let id = rand::random::<[u8; 16]>().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
        let secret = rand::random::<[u8; 20]>();
        Self {
            access_key_id: format!("LKIA{}", id.iter().collect::<String>()),
            secret_access_key: secret.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

/// Without the secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}
