//! What of a catalog applies to one month.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;

use super::names::AZURE;
use super::pools::fed;
use super::types::{
    Account, Component, CostBasis, Dated, Pool, Quantity, Service, Split, Target, TargetKind,
};
use super::{Catalog, did_you_mean};
use crate::month::BillingMonth;

/// A catalog as it applies to one month. Places are those in the catalog's lists.
#[derive(Clone, Debug)]
pub struct InForce<'c> {
    /// The whole catalog.
    pub catalog: &'c Catalog,
    /// The month.
    pub month: BillingMonth,
    accounts: HashMap<&'c str, usize>,
    /// Accounts whose ids have several spellings, by what these have in common.
    spelled: HashMap<String, usize>,
    services: BTreeMap<&'c str, usize>,
    components: BTreeMap<&'c str, usize>,
    pools: BTreeMap<&'c str, usize>,
    customers: HashMap<&'c str, usize>,
}

fn by_name<'c, T>(
    entries: &'c [T],
    month: BillingMonth,
    name: impl Fn(&'c T) -> (&'c str, Dated),
) -> impl Iterator<Item = (&'c str, usize)> {
    let named = entries.iter().enumerate().map(|(at, entry)| (name(entry), at));
    let mut named: Vec<_> = named.filter(|((_, dated), _)| dated.covers(month)).collect();
    // of those that follow each other within the month, the last
    named.sort_by_key(|((_, dated), _)| dated.covers_day(month.last_day()));
    named.into_iter().map(|((name, _), at)| (name, at))
}

impl<'c> InForce<'c> {
    /// What applies to a month.
    #[must_use]
    pub fn new(catalog: &'c Catalog, month: BillingMonth) -> Self {
        let names =
            by_name(&catalog.accounts, month, |a: &Account| (a.name.as_deref().unwrap_or(""), a.dated));
        let azures = catalog.accounts.iter().enumerate();
        let mut azures: Vec<_> =
            azures.filter(|(_, a)| a.provider == AZURE && a.dated.covers(month)).collect();
        azures.sort_by_key(|(_, a)| a.dated.covers_day(month.last_day()));
        let spelled =
            azures.into_iter().filter_map(|(at, a)| Some((Account::id_key(AZURE, a.id.as_deref()?), at)));
        let ids = by_name(&catalog.accounts, month, |a: &Account| (a.key(), a.dated));
        Self {
            catalog,
            month,
            accounts: names.chain(ids).collect(),
            spelled: spelled.collect(),
            services: by_name(&catalog.services, month, |s: &Service| (&s.name, s.dated)).collect(),
            components: by_name(&catalog.components, month, |c: &Component| (&c.name, c.dated)).collect(),
            pools: by_name(&catalog.pools, month, |p: &Pool| (&p.name, p.dated)).collect(),
            customers: catalog.customers.iter().enumerate().map(|(at, c)| (c.name.as_str(), at)).collect(),
        }
    }

    /// The days on which accounts or charges by rule change their owners, in order.
    #[must_use]
    pub fn changes_of_owners(&self) -> Vec<NaiveDate> {
        let accounts = self.catalog.accounts.iter().flat_map(|account| account.dated.changes());
        let rules = self.catalog.allocations.iter().flat_map(|rule| rule.dated.changes());
        accounts.chain(rules).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Places of the services, in the order of their names.
    pub fn services(&self) -> impl Iterator<Item = usize> {
        self.services.values().copied()
    }

    /// The place of a component.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<usize> {
        self.components.get(name).copied()
    }

    /// Which cost of a component's charges is billed.
    #[must_use]
    pub fn basis_of_component(&self, at: usize) -> CostBasis {
        let (catalog, month) = (self.catalog, self.month);
        let component = catalog.components.get(at);
        let uses = |service: &Service| {
            let mut uses = service.components.iter().filter(|one| one.dated.covers(month));
            component.is_some_and(|of| uses.any(|one| one.component == of.name))
        };
        let mut services = self.services().map(|at| &catalog.services[at]);
        let stated = component.and_then(|of| of.basis);
        let used = || services.find(|service| uses(service)).and_then(|service| service.basis);
        stated.or_else(used).unwrap_or(catalog.basis)
    }

    /// The place of what a target names; nothing if it does not apply to this month.
    #[must_use]
    pub fn place_of(&self, target: &Target) -> Option<usize> {
        let name = target.name.as_str();
        match target.kind {
            TargetKind::Account => {
                let spelled = || self.spelled.get(&Account::id_key(AZURE, name));
                self.accounts.get(name).or_else(spelled).copied()
            }
            TargetKind::Component => self.components.get(name).copied(),
            TargetKind::Pool => self.pools.get(name).copied(),
            TargetKind::Service => self.services.get(name).copied(),
            TargetKind::Customer => self.customers.get(name).copied(),
        }
    }

    /// What the text of a driver means.
    ///
    /// # Errors
    /// Says why it means nothing, in words that follow the text.
    pub fn target(&self, text: &str) -> Result<Target, String> {
        let known = &self.catalog.names;
        if let Some(target) = known.prefixed(text) {
            return Ok(target);
        }
        let kinds = known.kinds(text);
        match (kinds.len(), kinds.first()) {
            (1, Some(kind)) => Ok(Target { kind: *kind, name: known.as_written(text).to_owned() }),
            (0, _) => {
                let hint = did_you_mean(text, known.all());
                Err(format!("is nobody in the catalog{hint}"))
            }
            _ => Err("is several things, write account:, component:, pool:, service: or customer: before it"
                .into()),
        }
    }

    /// The providers whose charges accounts and rules of the month name, patterns left out.
    #[must_use]
    pub fn providers(&self) -> BTreeSet<&'c str> {
        let (catalog, month) = (self.catalog, self.month);
        let accounts = catalog.accounts.iter().filter(|account| account.dated.covers(month));
        let accounts = accounts.map(|account| account.provider.as_str());
        let rules =
            catalog.allocations.iter().filter(|rule| rule.dated.covers(month)).map(|rule| &rule.matching);
        let components = catalog.components.iter().filter(|of| of.dated.covers(month));
        let pools = catalog.pools.iter().filter(|pool| pool.dated.covers(month));
        let rules = rules
            .chain(components.filter_map(|of| of.matching.as_ref()))
            .chain(pools.filter_map(|pool| pool.matching.as_ref()));
        let named =
            rules.flat_map(|rule| &rule.provider).map(String::as_str).filter(|name| !name.contains('*'));
        accounts.chain(named).collect()
    }

    /// The names of all drivers that the month needs.
    #[must_use]
    pub fn drivers(&self) -> BTreeSet<&'c str> {
        let catalog = self.catalog;
        let uses = self.services().flat_map(|at| &catalog.services[at].components);
        let used = uses.filter(|of| of.dated.covers(self.month)).filter_map(|of| match &of.quantity {
            Quantity::Driver { driver, .. } => Some(driver.as_str()),
            Quantity::Fixed(_) => None,
        });
        let pools = self.pools.values().filter_map(|at| match &catalog.pools[*at].split {
            Split::Driver(name) => Some(name.as_str()),
            _ => None,
        });
        used.chain(pools).collect()
    }

    /// Places of the pools, each before the pools that it feeds; among equals in the order of their names.
    #[must_use]
    pub fn pools(&self) -> Vec<usize> {
        let feeds =
            |pool: usize| fed(&self.catalog.pools[pool]).filter_map(|name| self.pools.get(name).copied());
        let mut fed_by: BTreeMap<usize, usize> = self.pools.values().map(|pool| (*pool, 0)).collect();
        for pool in self.pools.values() {
            for target in feeds(*pool) {
                *fed_by.entry(target).or_default() += 1;
            }
        }
        let name = |pool: usize| self.catalog.pools[pool].name.as_str();
        let ready = fed_by.iter().filter(|(_, by)| **by == 0).map(|(pool, _)| (name(*pool), *pool));
        let mut ready: BTreeSet<(&str, usize)> = ready.collect();
        let mut order = Vec::with_capacity(fed_by.len());
        while let Some((_, pool)) = ready.pop_first() {
            order.push(pool);
            for target in feeds(pool) {
                let by = fed_by.entry(target).or_default();
                *by = by.saturating_sub(1);
                if *by == 0 {
                    ready.insert((name(target), target));
                }
            }
        }
        order
    }
}
