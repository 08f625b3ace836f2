//! The usage snapshot: one month of one plan's metering, summed.

use serde::{Deserialize, Serialize};

use super::{Plan, Source};
use crate::canonical;
use crate::ids::{ContractId, Dimension};
use crate::money::Exact;
use crate::month::BillingMonth;
use crate::strict;

/// A month's sums. Its bytes follow from the files alone, so that an unchanged month is the same document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageSnapshot {
    /// Version of the format.
    pub snapshot: u32,
    /// Who measured.
    pub source: Source,
    /// What was metered.
    pub plan: Plan,
    /// The month.
    pub period: BillingMonth,
    /// Files counted.
    pub files: u64,
    /// Records in them, also the unattributed ones.
    pub records: u64,
    /// Records whose timestamp is not of the month; the folder decides, this only tells.
    pub outside_period: u64,
    /// SHA-256 over the key and the ETag of every file, in the order of their keys.
    pub digest: String,
    /// Sums, by contract and dimension.
    pub usage: Vec<ContractUsage>,
    /// Sums of the records that name no contract or no dimension: nobody is billed for them.
    pub unattributed: Vec<Unattributed>,
}

/// What one contract used of one dimension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractUsage {
    /// The contract.
    pub contract: ContractId,
    /// The dimension.
    pub dimension: Dimension,
    /// The exact sum.
    pub quantity: Exact,
    /// Records in it.
    pub records: u64,
}

/// Records that cannot be billed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unattributed {
    /// The contract, if they name one.
    pub contract: Option<String>,
    /// The dimension, if they name one.
    pub dimension: Option<String>,
    /// The exact sum.
    pub quantity: Exact,
    /// Records in it.
    pub records: u64,
    /// The first file with one.
    pub first_key: String,
}

/// A document that is no snapshot of ours.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not the JSON that a snapshot is.
    #[error("the document is no usage snapshot: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Another version of the format.
    #[error("the usage snapshot has version {0}, this software reads {version}", version = UsageSnapshot::VERSION)]
    Version(u32),
    /// A contract's dimension stands in it twice.
    #[error("the usage snapshot has {contract} {dimension} twice, or out of order")]
    Order {
        /// The contract.
        contract: ContractId,
        /// The dimension.
        dimension: Dimension,
    },
}

impl UsageSnapshot {
    /// The version of the format that this software writes.
    pub const VERSION: u32 = 1;

    /// The document: sorted keys, stable order.
    ///
    /// # Errors
    /// Those of serialisation, which does not fail.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        canonical::to_json(self)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let snapshot: Self = strict::from_slice(bytes)?;
        if snapshot.snapshot != Self::VERSION {
            return Err(SnapshotError::Version(snapshot.snapshot));
        }
        let lines = || snapshot.usage.iter().map(|usage| (&usage.contract, &usage.dimension));
        match lines().zip(lines().skip(1)).find(|(one, next)| one >= next) {
            Some((_, (contract, dimension))) => {
                Err(SnapshotError::Order { contract: contract.clone(), dimension: dimension.clone() })
            }
            None => Ok(snapshot),
        }
    }

    /// Whether nothing was used: no file, or none with a record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Records that name no contract or no dimension.
    #[must_use]
    pub fn unattributed_records(&self) -> u64 {
        self.unattributed.iter().map(|lost| lost.records).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> UsageSnapshot {
        let usage = |dimension: &str| ContractUsage {
            contract: ContractId::new("c1").unwrap(),
            dimension: Dimension::new(dimension).unwrap(),
            quantity: "669.6".parse().unwrap(),
            records: 744,
        };
        UsageSnapshot {
            snapshot: 1,
            source: Source::Omnistrate,
            plan: "Postgres:PROD:pt-1".parse().unwrap(),
            period: "2025-01".parse().unwrap(),
            files: 744,
            records: 1488,
            outside_period: 0,
            digest: "0".repeat(64),
            usage: vec![usage("cpu_core_hours"), usage("replica_hours")],
            unattributed: Vec::new(),
        }
    }

    #[test]
    fn the_document_round_trips_and_is_canonical() {
        let bytes = snapshot().to_json().unwrap();
        assert_eq!(UsageSnapshot::from_json(&bytes).unwrap(), snapshot());
        insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
    }

    #[test]
    fn other_documents_are_refused() {
        let mut twice = snapshot();
        twice.usage[1].dimension = twice.usage[0].dimension.clone();
        let error = UsageSnapshot::from_json(&twice.to_json().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "the usage snapshot has c1 cpu_core_hours twice, or out of order");
        let newer = UsageSnapshot { snapshot: 2, ..snapshot() };
        let error = UsageSnapshot::from_json(&newer.to_json().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "the usage snapshot has version 2, this software reads 1");
        assert!(UsageSnapshot::from_json(b"[]").is_err());
    }
}
