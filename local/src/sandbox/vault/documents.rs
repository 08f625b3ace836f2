//! Documents in versions.

use std::collections::BTreeMap;

use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};

/// By path; versions count from 1.
#[derive(Clone, Debug, Default)]
pub(super) struct Documents(BTreeMap<String, Vec<Version>>);

#[derive(Clone, Debug)]
struct Version {
    /// Nothing for a destroyed one.
    document: Option<Value>,
    created: String,
    /// Empty while it is there.
    deleted: String,
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Nanos, true)
}

impl Documents {
    /// Adds a version and answers its metadata.
    pub(super) fn add(&mut self, path: &str, document: Value) -> Value {
        let versions = self.0.entry(path.to_owned()).or_default();
        versions.push(Version { document: Some(document), created: now(), deleted: String::new() });
        self.metadata(path)
    }

    pub(super) fn delete(&mut self, path: &str) {
        if let Some(version) = self.last_mut(path) {
            version.deleted = now();
        }
    }

    pub(super) fn destroy(&mut self, path: &str) {
        if let Some(version) = self.last_mut(path) {
            version.document = None;
        }
    }

    /// How many versions there were, whatever became of them.
    pub(super) fn count(&self, path: &str) -> u64 {
        self.0.get(path).map_or(0, |versions| versions.len() as u64)
    }

    /// The newest version, if it is there.
    pub(super) fn newest(&self, path: &str) -> Option<(u64, Value)> {
        let version = self.0.get(path)?.last()?;
        let document = version.document.clone().filter(|_| version.deleted.is_empty())?;
        Some((self.count(path), document))
    }

    /// What a read answers, and whether the newest version is there.
    pub(super) fn read(&self, path: &str) -> Option<(bool, Value)> {
        self.0.get(path)?;
        let document = self.newest(path).map(|(_, document)| document);
        Some((document.is_some(), json!({"data": document, "metadata": self.metadata(path)})))
    }

    fn metadata(&self, path: &str) -> Value {
        let Some(version) = self.0.get(path).and_then(|versions| versions.last()) else { return Value::Null };
        json!({
            "created_time": version.created,
            "custom_metadata": null,
            "deletion_time": version.deleted,
            "destroyed": version.document.is_none(),
            "version": self.count(path),
        })
    }

    fn last_mut(&mut self, path: &str) -> Option<&mut Version> {
        self.0.get_mut(path)?.last_mut()
    }
}
