//! Where the bytes of an object stand: under its key in the folder of its bucket, so that people find them, or, if the key can be no path
//! there, under a name made from it.

use std::path::{Path, PathBuf};

use billing::revision::sha256_hex;

/// What file systems take as one name, and as a whole.
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 3000;

/// The folder of those whose keys are no paths; no bucket has a dot in front.
const OTHERS: &str = ".other-keys";

/// The file of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Under its key.
    Key,
    /// Under this name among the others.
    Other(String),
}

impl Place {
    pub(super) fn other(bucket: &str, key: &str) -> Self {
        Self::Other(sha256_hex(format!("{bucket}/{key}").as_bytes()))
    }

    /// As it is recorded.
    pub(super) fn recorded(name: Option<String>) -> Self {
        name.map_or(Self::Key, Self::Other)
    }

    pub(super) fn record(&self) -> Option<&str> {
        match self {
            Self::Key => None,
            Self::Other(name) => Some(name),
        }
    }

    pub(super) fn path(&self, root: &Path, bucket: &str, key: &str) -> PathBuf {
        match self {
            Self::Key => root.join(bucket).join(key),
            Self::Other(name) => root.join(OTHERS).join(name),
        }
    }

    /// Where a new object is to stand, next to those that stand already.
    pub(super) fn choose(root: &Path, bucket: &str, key: &str) -> Self {
        let folder = root.join(bucket);
        let is_free = || {
            let is_file =
                |above: &str| folder.join(above).symlink_metadata().is_ok_and(|found| !found.is_dir());
            !folder.join(key).is_dir() && !key.match_indices('/').any(|(at, _)| is_file(&key[..at]))
        };
        if is_path(key) && is_free() { Self::Key } else { Self::other(bucket, key) }
    }
}

/// Whether a key names a file below the folder of its bucket, and that of no other key.
pub(super) fn is_path(key: &str) -> bool {
    key.len() <= LONGEST_PATH
        && key.split('/').all(|name| {
            !matches!(name, "" | "." | "..") && name.len() <= LONGEST_NAME && !name.contains('\0')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_path_unless_it_can_be_none() {
        for key in ["a", "a/b.csv", "a b/ü+%.json", ".a", "a/..b", "x/".repeat(200).trim_end_matches('/')] {
            assert!(is_path(key), "{key}");
        }
        let long = "x".repeat(256);
        for key in ["", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "./a", "a\0b", &long] {
            assert!(!is_path(key), "{key}");
        }
    }
}
