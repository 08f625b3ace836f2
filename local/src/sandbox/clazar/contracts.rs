//! The contracts that the sandbox knows, and their dimensions.

use std::collections::{BTreeMap, BTreeSet};

/// Knows every contract and every dimension, unless it was told otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Contracts {
    /// Knows those registered and no others.
    is_restricted: bool,
    /// Contracts, each with its dimensions if it was registered with any.
    registered: BTreeMap<String, Option<BTreeSet<String>>>,
    inactive: BTreeSet<String>,
    /// Dimensions taken from a contract: (contract, dimension).
    forgotten: BTreeSet<(String, String)>,
}

impl Contracts {
    pub(super) fn only(&mut self, contracts: BTreeMap<String, Option<BTreeSet<String>>>) {
        *self = Self { is_restricted: true, registered: contracts, ..Self::default() };
    }

    pub(super) fn register(&mut self, contract: &str, dimensions: Option<BTreeSet<String>>) {
        self.activate(contract);
        self.forgotten.retain(|(of, _)| of != contract);
        self.registered.insert(contract.to_owned(), dimensions);
    }

    pub(super) fn register_dimension(&mut self, contract: &str, dimension: &str) {
        self.forgotten.remove(&(contract.to_owned(), dimension.to_owned()));
        if let Some(Some(dimensions)) = self.registered.get_mut(contract) {
            dimensions.insert(dimension.to_owned());
        }
    }

    pub(super) fn forget_dimension(&mut self, contract: &str, dimension: &str) {
        self.forgotten.insert((contract.to_owned(), dimension.to_owned()));
    }

    pub(super) fn deactivate(&mut self, contract: &str) {
        self.inactive.insert(contract.to_owned());
    }

    pub(super) fn activate(&mut self, contract: &str) {
        self.inactive.remove(contract);
    }

    pub(super) fn registered(&self) -> impl Iterator<Item = &String> {
        self.registered.keys()
    }

    pub(super) fn is_active(&self, contract: &str) -> bool {
        let is_known = !self.is_restricted || self.registered.contains_key(contract);
        is_known && !self.inactive.contains(contract)
    }

    pub(super) fn has_dimension(&self, contract: &str, dimension: &str) -> bool {
        let is_registered = match self.registered.get(contract) {
            Some(Some(dimensions)) => dimensions.contains(dimension),
            Some(None) | None => true,
        };
        is_registered && !self.forgotten.contains(&(contract.to_owned(), dimension.to_owned()))
    }
}
