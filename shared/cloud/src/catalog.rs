//! The catalog in the data bucket: the one in force, and every version that ever was.
//!
//! A version stands under the hash of its bytes and is never written again; which of them is in force changes only if it is
//! still the one that was looked at.

use std::collections::HashMap;

use billing::catalog::CURRENT;
use billing::revision::sha256_hex;

use crate::bucket::{Bucket, BucketError, BucketReader, Written};

/// Where versions stand.
const VERSIONS: &str = "catalog/versions/";
const YAML: &str = "application/yaml";

/// A catalog as it stands in the bucket.
#[derive(Clone, Debug)]
pub struct StoredCatalog {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// SHA-256 of them, in hexadecimal.
    pub version: String,
    etag: String,
}

/// Why a catalog cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else was quicker.
    #[error(
        "the catalog in force changed in the meantime: look at it with `monthend catalog diff FILE`, then apply again"
    )]
    Changed,
    /// The bucket refused.
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

impl BucketReader {
    /// The catalog in force.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn catalog(&self) -> Result<Option<StoredCatalog>, BucketError> {
        let object = self.get(CURRENT, None).await?;
        Ok(object.map(|object| StoredCatalog {
            version: sha256_hex(&object.bytes),
            bytes: object.bytes.to_vec(),
            etag: object.etag,
        }))
    }

    /// Versions whose hash begins like this.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn catalog_versions(&self, beginning: &str) -> Result<Vec<String>, BucketError> {
        let listed = self.list(&format!("{VERSIONS}{beginning}")).await?;
        let version = |key: &str| Some(key.strip_prefix(VERSIONS)?.strip_suffix(".yaml")?.to_owned());
        Ok(listed.iter().filter_map(|object| version(&object.key)).collect())
    }

    /// A version with its name.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn stored_version(&self, version: &str) -> Result<Option<StoredCatalog>, BucketError> {
        let object = self.get(&format!("{VERSIONS}{version}.yaml"), None).await?;
        Ok(object.map(|object| StoredCatalog {
            version: version.to_owned(),
            bytes: object.bytes.to_vec(),
            etag: object.etag,
        }))
    }

    /// The bytes of a version.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn catalog_version(&self, version: &str) -> Result<Option<Vec<u8>>, BucketError> {
        Ok(self.stored_version(version).await?.map(|stored| stored.bytes))
    }
}

impl Bucket {
    /// Keeps a catalog among the versions, where it is not yet.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn keep_catalog(&self, catalog: &StoredCatalog) -> Result<(), BucketError> {
        let key = format!("{VERSIONS}{}.yaml", catalog.version);
        self.put_new(&key, catalog.bytes.clone(), YAML, HashMap::new()).await.map(|_| ())
    }

    /// Puts a catalog in force, if what is in force is still what was `seen`; answers its version. Whoever calls has
    /// checked it.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub async fn apply_catalog(
        &self,
        bytes: &[u8],
        seen: Option<&StoredCatalog>,
    ) -> Result<String, ApplyError> {
        let version = sha256_hex(bytes);
        let key = format!("{VERSIONS}{version}.yaml");
        self.put_new(&key, bytes.to_vec(), YAML, HashMap::new()).await?;
        // one that was put there by hand is a version too
        if let Some(seen) = seen {
            self.keep_catalog(seen).await?;
        }
        let seen = seen.map(|seen| seen.etag.clone());
        match self.replace(CURRENT, bytes.to_vec(), YAML, seen).await? {
            Written::Now => Ok(version),
            _ => Err(ApplyError::Changed),
        }
    }
}
