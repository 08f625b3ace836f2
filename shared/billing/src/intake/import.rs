//! What a person brought at once: bills, and the documents that they are made of. Its arrival starts the allocation; a document is
//! stored once and read once, however many bills it holds.

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::keys::IMPORTS;
use crate::manifest::{Manifest, ManifestError, Part};
use crate::revision::Revision;

/// Bills that were brought at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// Version of this document's format.
    pub import: u32,
    /// Each bill, with its parts; several bills may have one part.
    pub bills: Vec<Manifest>,
}

/// An import that cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not the document.
    #[error("the document is no import: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A later version of the format.
    #[error("the import has version {0}, this software reads version {expected}", expected = Import::VERSION)]
    Version(u32),
    /// The bytes are not those that the key names.
    #[error("the bytes hash to {found}, the key says {expected}: the document was cut short or renamed")]
    OtherContent {
        /// Their hash.
        found: Revision,
        /// What the key says.
        expected: String,
    },
    /// One of its bills.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl Import {
    /// The version of the format that this software writes.
    pub const VERSION: u32 = 1;
    /// What its key ends with.
    pub const EXTENSION: &str = ".import.json";

    /// These bills.
    #[must_use]
    pub fn of(bills: Vec<Manifest>) -> Self {
        Self { import: Self::VERSION, bills }
    }

    /// Its bytes, canonical: the same import has the same bytes.
    ///
    /// # Errors
    /// [`ImportError::Malformed`] if it cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, ImportError> {
        Ok(canonical::to_json(self)?)
    }

    /// The key of these bytes.
    #[must_use]
    pub fn key(bytes: &[u8]) -> String {
        format!("{IMPORTS}{}{}", Revision::of(bytes), Self::EXTENSION)
    }

    /// Whether a key is that of an import.
    #[must_use]
    pub fn is_key(key: &str) -> bool {
        key.strip_prefix(IMPORTS).is_some_and(|name| !name.contains('/') && name.ends_with(Self::EXTENSION))
    }

    /// Reads the bytes that stand under `key`.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn read(key: &str, bytes: &[u8]) -> Result<Self, ImportError> {
        let found = Revision::of(bytes);
        let expected = key.strip_prefix(IMPORTS).and_then(|name| name.strip_suffix(Self::EXTENSION));
        if expected != Some(found.as_str()) {
            return Err(ImportError::OtherContent { found, expected: expected.unwrap_or(key).to_owned() });
        }
        let import: Self = serde_json::from_slice(bytes)?;
        match import.import {
            Self::VERSION => Ok(import),
            other => Err(ImportError::Version(other)),
        }
    }

    /// Each bill with the revision that it is.
    ///
    /// # Errors
    /// [`ImportError::Manifest`].
    pub fn revisions(&self) -> Result<Vec<(Revision, &Manifest)>, ImportError> {
        self.bills.iter().map(|manifest| Ok((Revision::of(&manifest.to_json()?), manifest))).collect()
    }

    /// Its documents, each once.
    #[must_use]
    pub fn parts(&self) -> Vec<&Part> {
        let mut parts: Vec<&Part> = Vec::new();
        for part in self.bills.iter().flat_map(|manifest| &manifest.parts) {
            if !parts.iter().any(|known| known.key == part.key) {
                parts.push(part);
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{BillingAccountId, InvoiceId, Provider};
    use crate::keys::InvoiceKey;
    use crate::manifest::Format;
    use crate::period::Finality;

    fn import() -> Import {
        let bill = |account: &str| {
            let invoice = InvoiceKey {
                provider: Provider::azure(),
                billing_account: BillingAccountId::new(account).unwrap(),
                period: "2026-10".parse().unwrap(),
                invoice_id: InvoiceId::new("import").unwrap(),
            };
            let part = Part {
                key: "raw/imports/44136fa355b3678a/part_0_0001.csv".to_owned(),
                sha256: "44136fa355b3678a".to_owned(),
                bytes: 2,
                source: "import".to_owned(),
                costs: None,
            };
            Manifest::of_parts(&invoice, Format::Focus, Finality::Final, vec![part])
        };
        Import::of(vec![bill("a"), bill("b")])
    }

    #[test]
    fn an_import_is_read_as_it_was_written_and_only_under_its_own_key() {
        let bytes = import().to_json().unwrap();
        let key = Import::key(&bytes);
        assert!(Import::is_key(&key) && key.starts_with("raw/imports/"));
        assert_eq!(Import::read(&key, &bytes).unwrap(), import());
        assert!(matches!(Import::read(&key, &bytes[1..]), Err(ImportError::OtherContent { .. })));
        assert_eq!(import().parts().len(), 1, "a document of two bills stands once");
        let revisions =
            import().revisions().unwrap().into_iter().map(|(revision, _)| revision).collect::<Vec<_>>();
        assert_ne!(revisions[0], revisions[1]);
        for other in ["raw/imports/x/y.import.json", "raw/focus/x.import.json", "raw/imports/x.json"] {
            assert!(!Import::is_key(other), "{other}");
        }
    }
}
