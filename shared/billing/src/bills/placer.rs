//! Where a charge belongs: to a customer's account, a component, a pool, a customer by its cost centre, or nowhere.
//!
//! Rules are tried in this order, and the first that fits decides: components, pools, allocations by priority, accounts; within
//! each in the order of the catalog. What none of them claims goes by its cost centre. They are compiled once for a month. Which patterns
//! a text fits is found out once for each distinct text, and which rule applies once for each distinct set of patterns: a charge costs a
//! few look-ups, however many rules there are.

use std::collections::HashMap;

use chrono::NaiveDate;
use foldhash::fast::RandomState;

use super::dimensions::{Conditions, Dimensions, Fits, is_unread};
use super::facts::Facts;
use super::patterns::Pattern;
use crate::catalog::billing::{Catalog, CostBasis, InForce, Match};
use crate::month::BillingMonth;

/// Where a charge belongs. Numbers are places in the catalog's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// An account, paid for by a customer: the account's own, or the one whose cost centre the resource is tagged with.
    Account {
        /// In [`Catalog::accounts`].
        account: usize,
        /// In [`Catalog::customers`].
        customer: usize,
    },
    /// A rule of [`Catalog::allocations`], paid for by its customer.
    Allocation(usize),
    /// A component, paid for by the services that use it.
    Component(usize),
    /// A pool, shared among its targets.
    Pool(usize),
    /// A customer by the cost centre that the resource is tagged with: no rule claims its account.
    CostCenter(usize),
    /// Nowhere: no rule claims it.
    Unallocated,
    /// Nowhere: its tags cannot be read, and with them it might belong elsewhere than without.
    Unread,
}

impl Place {
    /// The rule that decided, with its line in the catalog.
    #[must_use]
    pub fn rule(self, catalog: &Catalog) -> String {
        let (list, at, mark) = match self {
            Self::Account { account, .. } => {
                ("accounts", account, catalog.accounts.get(account).map(|a| a.mark))
            }
            Self::Allocation(at) => ("allocations", at, catalog.allocations.get(at).map(|a| a.mark)),
            Self::Component(at) => ("components", at, catalog.components.get(at).map(|c| c.mark)),
            Self::Pool(at) => ("pools", at, catalog.pools.get(at).map(|p| p.mark)),
            Self::CostCenter(at) => ("customers", at, catalog.customers.get(at).map(|c| c.mark)),
            Self::Unallocated | Self::Unread => return "no rule".to_owned(),
        };
        format!("{list}[{at}], line {}", mark.unwrap_or_default().line)
    }

    /// Which cost of its charges is billed.
    #[must_use]
    pub fn basis(self, in_force: &InForce<'_>) -> CostBasis {
        let catalog = in_force.catalog;
        let own = match self {
            Self::Account { account, .. } => catalog.accounts.get(account).and_then(|of| of.basis),
            Self::Allocation(at) => catalog.allocations.get(at).and_then(|of| of.basis),
            Self::Component(at) => Some(in_force.basis_of_component(at)),
            Self::Pool(at) => catalog.pools.get(at).and_then(|of| of.basis),
            Self::CostCenter(_) | Self::Unallocated | Self::Unread => None,
        };
        own.unwrap_or(catalog.basis)
    }

    /// Whether its charges are told apart by their accounts, which the catalog does not name.
    #[must_use]
    pub fn is_by_origin(self) -> bool {
        matches!(self, Self::CostCenter(_) | Self::Unallocated | Self::Unread)
    }
}

/// Where a charge belongs, and what else follows from its facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where.
    pub place: Place,
    /// Whether its cost-centre tag names no customer; it stays with the account's.
    pub unknown_cost_center: bool,
    /// Number of its kind: charges of one kind are treated alike.
    pub(super) kind: usize,
}

/// Tags that are no JSON object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTags(pub(super) String);

/// Distinct combinations of sets of patterns that are remembered before they are given up.
const REMEMBERED: usize = 200_000;

#[derive(Debug)]
enum Outcome {
    Place(Place),
    Account(usize),
}

/// A kind of charges.
#[derive(Debug)]
pub(super) struct Kind {
    placed: Placed,
    /// The pools whose `over` counts these charges.
    pub(super) over: Vec<usize>,
}

/// The rules of a month, compiled.
#[derive(Debug)]
pub struct Placer {
    pub(super) month: BillingMonth,
    /// The day whose owners count.
    day: NaiveDate,
    pub(super) catalog: String,
    dimensions: Dimensions,
    rules: Vec<(Conditions, Outcome)>,
    /// Rules by one pattern without which they cannot fit.
    hung: HashMap<Pattern, Vec<usize>, RandomState>,
    /// Rules that look at tags.
    tagged: Vec<usize>,
    over: Vec<(usize, Conditions)>,
    account_customers: Vec<usize>,
    cost_center_tag: Option<String>,
    cost_centers: HashMap<Pattern, usize, RandomState>,
    any_cost_center: Option<Pattern>,
    known: HashMap<Fits, usize, RandomState>,
    pub(super) kinds: Vec<Kind>,
    kind_numbers: HashMap<(Place, bool, Vec<usize>), usize, RandomState>,
}

impl Placer {
    /// Compiles what applies to a month; of accounts and charges by rule what applies to its last day.
    #[must_use]
    pub fn new(in_force: &InForce<'_>) -> Self {
        Self::on(in_force, in_force.month.last_day())
    }

    /// The same, with those to whom accounts and charges by rule belonged on a day of any month.
    #[must_use]
    pub fn on(in_force: &InForce<'_>, day: NaiveDate) -> Self {
        let catalog = in_force.catalog;
        let mut placer = Self {
            month: in_force.month,
            day,
            catalog: catalog.version.clone(),
            dimensions: Dimensions::default(),
            rules: Vec::new(),
            hung: HashMap::default(),
            tagged: Vec::new(),
            over: Vec::new(),
            account_customers: catalog.accounts.iter().map(|account| account.customer).collect(),
            cost_center_tag: catalog.cost_center_tag.clone(),
            cost_centers: HashMap::default(),
            any_cost_center: None,
            known: HashMap::default(),
            kinds: Vec::new(),
            kind_numbers: HashMap::default(),
        };
        placer.rules(catalog);
        placer.accounts(catalog);
        placer.cost_centers(catalog);
        placer
    }

    fn rules(&mut self, catalog: &Catalog) {
        let month = self.month;
        for (at, component) in catalog.components.iter().enumerate().filter(|(_, c)| c.dated.covers(month)) {
            if let Some(matching) = &component.matching {
                self.rule(matching, Place::Component(at));
            }
        }
        for (at, pool) in catalog.pools.iter().enumerate().filter(|(_, pool)| pool.dated.covers(month)) {
            if let Some(matching) = &pool.matching {
                self.rule(matching, Place::Pool(at));
            }
            if let Some(over) = &pool.over {
                let conditions = self.dimensions.of_match(over);
                self.over.push((at, conditions));
            }
        }
        let allocations = catalog.allocations.iter().enumerate();
        let mut allocations: Vec<_> =
            allocations.filter(|(_, rule)| rule.dated.covers_day(self.day)).collect();
        allocations.sort_by_key(|(at, rule)| (rule.priority, *at));
        for (at, allocation) in allocations {
            self.rule(&allocation.matching, Place::Allocation(at));
        }
    }

    fn rule(&mut self, matching: &Match, place: Place) {
        let conditions = self.dimensions.of_match(matching);
        self.add(conditions, Outcome::Place(place));
    }

    /// By id, else by name, else a whole billing account: the more exact first, whatever the order.
    fn accounts(&mut self, catalog: &Catalog) {
        let day = self.day;
        let accounts = || catalog.accounts.iter().enumerate().filter(move |(_, a)| a.dated.covers_day(day));
        for (at, account) in accounts() {
            if let Some(id) = &account.id {
                let conditions = self.dimensions.of_id(account, id);
                self.add(conditions, Outcome::Account(at));
            }
        }
        for (at, account) in accounts() {
            if let Some(name) = &account.name {
                let conditions = self.dimensions.of_name(account, name);
                self.add(conditions, Outcome::Account(at));
            }
        }
        for (at, account) in accounts() {
            if let Some(id) = &account.id {
                let conditions = self.dimensions.of_billing_account(account, id);
                self.add(conditions, Outcome::Account(at));
            }
        }
    }

    fn cost_centers(&mut self, catalog: &Catalog) {
        let Some(tag) = &catalog.cost_center_tag else { return };
        for (at, customer) in catalog.customers.iter().enumerate() {
            if let Some(center) = &customer.cost_center {
                self.cost_centers.insert(self.dimensions.of_tag(tag, center), at);
            }
        }
        self.any_cost_center = Some(self.dimensions.of_any_tag(tag));
    }

    fn add(&mut self, conditions: Conditions, outcome: Outcome) {
        let rule = self.rules.len();
        for pattern in conditions.first().into_iter().flat_map(|condition| &condition.any_of) {
            self.hung.entry(*pattern).or_default().push(rule);
        }
        if conditions.iter().any(|condition| condition.is_tag) {
            self.tagged.push(rule);
        }
        self.rules.push((conditions, outcome));
    }

    /// Where a charge belongs.
    ///
    /// # Errors
    /// [`BadTags`]: such a charge cannot be placed.
    pub fn place(&mut self, facts: &Facts<'_>) -> Result<Placed, BadTags> {
        let fits = self.dimensions.fits(facts)?;
        let kind = match self.known.get(&fits) {
            Some(kind) => *kind,
            None => self.decide(fits),
        };
        Ok(self.kinds[kind].placed)
    }

    /// A kind of charges that was not seen before.
    fn decide(&mut self, fits: Fits) -> usize {
        let patterns = self.dimensions.patterns(fits);
        let candidates = patterns.iter().filter_map(|pattern| self.hung.get(pattern)).flatten().copied();
        let first = candidates.filter(|rule| all_fit(&self.rules[*rule].0, &patterns)).min();
        let (place, unknown_cost_center) = if is_unread(&fits) && self.hangs_on_tags(first, &patterns) {
            (Place::Unread, false)
        } else {
            self.outcome(first, &patterns)
        };
        let over = self.over.iter().filter(|(_, conditions)| all_fit(conditions, &patterns));
        let over: Vec<usize> = over.map(|(pool, _)| *pool).collect();
        let kinds = &mut self.kinds;
        let kind = *self.kind_numbers.entry((place, unknown_cost_center, over)).or_insert_with_key(
            |(_, _, over)| {
                let kind = kinds.len();
                kinds.push(Kind { placed: Placed { place, unknown_cost_center, kind }, over: over.clone() });
                kind
            },
        );
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(fits, kind);
        kind
    }

    /// What follows from the first rule that fits, and whether the cost centre is nobody's.
    fn outcome(&self, first: Option<usize>, patterns: &[Pattern]) -> (Place, bool) {
        let tagged = || patterns.iter().find_map(|pattern| self.cost_centers.get(pattern)).copied();
        match first.map(|rule| &self.rules[rule].1) {
            None => (tagged().map_or(Place::Unallocated, Place::CostCenter), false),
            Some(Outcome::Place(place)) => (*place, false),
            Some(Outcome::Account(account)) => {
                let tagged = tagged();
                let is_tagged = self.any_cost_center.is_some_and(|any| patterns.binary_search(&any).is_ok());
                let customer = tagged.unwrap_or(self.account_customers[*account]);
                (Place::Account { account: *account, customer }, is_tagged && tagged.is_none())
            }
        }
    }

    /// Whether a charge that fits these patterns, and tags that nobody can read, might belong elsewhere than the first rule that
    /// fits without them says.
    fn hangs_on_tags(&self, first: Option<usize>, patterns: &[Pattern]) -> bool {
        let is_settled = first.is_some_and(|rule| matches!(self.rules[rule].1, Outcome::Place(_)));
        let mut before = self.tagged.iter().filter(|rule| first.is_none_or(|first| **rule < first));
        let might_fit = |rule: &usize| {
            let mut conditions = self.rules[*rule].0.iter();
            conditions.all(|condition| condition.is_tag || any_fits(&condition.any_of, patterns))
        };
        (!is_settled && self.cost_center_tag.is_some()) || before.any(might_fit)
    }

    /// The place of each kind.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.kinds.iter().map(|kind| kind.placed.place)
    }

    /// The value of the cost-centre tag; for messages.
    pub(super) fn cost_center(&mut self, facts: &Facts<'_>) -> String {
        let tag = self.cost_center_tag.as_deref().unwrap_or_default();
        self.dimensions.value_of(tag, facts)
    }
}

fn any_fits(any_of: &[Pattern], patterns: &[Pattern]) -> bool {
    any_of.iter().any(|pattern| patterns.binary_search(pattern).is_ok())
}

fn all_fit(conditions: &Conditions, patterns: &[Pattern]) -> bool {
    conditions.iter().all(|condition| any_fits(&condition.any_of, patterns))
}
