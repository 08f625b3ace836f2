//! Where a charge belongs: to a customer's account, a component, a pool, or nowhere.
//!
//! Rules are tried in this order, and the first that fits decides: components, pools, allocations by priority, accounts; within
//! each in the order of the catalog. They are compiled once for a month. Which patterns a text fits is found out once for each distinct text, and which
//! rule applies once for each distinct set of patterns: a charge costs a few look-ups, however many rules there are.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::facts::{Facts, Tags};
use super::patterns::{Dimension, Pattern, Sets};
use crate::catalog::billing::{Account, Catalog, InForce, Match};
use crate::charges::parse_tags;
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
    /// Nowhere: no rule claims it.
    Unallocated,
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
            Self::Unallocated => return "no rule".to_owned(),
        };
        format!("{list}[{at}], line {}", mark.unwrap_or_default().line)
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
pub struct BadTags(String);

/// Distinct combinations of sets of patterns that are remembered before they are given up.
const REMEMBERED: usize = 200_000;

#[derive(Debug, Default)]
struct Dimensions {
    provider: Dimension,
    billing_account: Dimension,
    sub_account_id: Dimension,
    sub_account_name: Dimension,
    service: Dimension,
    region: Dimension,
    resource: Dimension,
    category: Dimension,
    tags: Vec<(String, Dimension)>,
}

impl Dimensions {
    fn tag(&mut self, key: &str) -> &mut Dimension {
        let at = self.tags.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
            self.tags.push((key.to_owned(), Dimension::default()));
            self.tags.len() - 1
        });
        &mut self.tags[at].1
    }
}

/// All of these, each any of those.
type Conditions = Vec<Vec<Pattern>>;

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
    pub(super) catalog: String,
    sets: Sets,
    dimensions: Dimensions,
    rules: Vec<(Conditions, Outcome)>,
    /// Rules by one pattern without which they cannot fit.
    hung: HashMap<Pattern, Vec<usize>, RandomState>,
    over: Vec<(usize, Conditions)>,
    account_customers: Vec<usize>,
    cost_center_tag: Option<String>,
    cost_centers: HashMap<Pattern, usize, RandomState>,
    any_cost_center: Option<Pattern>,
    known: HashMap<[u32; 9], usize, RandomState>,
    known_tags: HashMap<Box<str>, u32, RandomState>,
    known_tags_bytes: usize,
    pub(super) kinds: Vec<Kind>,
    kind_numbers: HashMap<(Place, bool, Vec<usize>), usize, RandomState>,
}

impl Placer {
    /// Compiles what applies to a month.
    #[must_use]
    pub fn new(in_force: &InForce<'_>) -> Self {
        let catalog = in_force.catalog;
        let mut placer = Self {
            month: in_force.month,
            catalog: catalog.version.clone(),
            sets: Sets::default(),
            dimensions: Dimensions::default(),
            rules: Vec::new(),
            hung: HashMap::default(),
            over: Vec::new(),
            account_customers: catalog.accounts.iter().map(|account| account.customer).collect(),
            cost_center_tag: catalog.cost_center_tag.clone(),
            cost_centers: HashMap::default(),
            any_cost_center: None,
            known: HashMap::default(),
            known_tags: HashMap::default(),
            known_tags_bytes: 0,
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
                let conditions = self.conditions(over);
                self.over.push((at, conditions));
            }
        }
        let allocations = catalog.allocations.iter().enumerate();
        let mut allocations: Vec<_> = allocations.filter(|(_, rule)| rule.dated.covers(month)).collect();
        allocations.sort_by_key(|(at, rule)| (rule.priority, *at));
        for (at, allocation) in allocations {
            self.rule(&allocation.matching, Place::Allocation(at));
        }
    }

    fn rule(&mut self, matching: &Match, place: Place) {
        let conditions = self.conditions(matching);
        self.add(conditions, Outcome::Place(place));
    }

    /// By id, else by name, else a whole billing account: the more exact first, whatever the order.
    fn accounts(&mut self, catalog: &Catalog) {
        let month = self.month;
        let accounts = || catalog.accounts.iter().enumerate().filter(|(_, a)| a.dated.covers(month));
        for (at, account) in accounts() {
            if let Some(id) = &account.id {
                let provider = self.provider_of(account);
                let id = self.dimensions.sub_account_id.exactly(&mut self.sets, id);
                self.add(vec![vec![id], vec![provider]], Outcome::Account(at));
            }
        }
        for (at, account) in accounts() {
            if let Some(name) = &account.name {
                let provider = self.provider_of(account);
                let name = self.dimensions.sub_account_name.exactly(&mut self.sets, name);
                let mut conditions = vec![vec![name], vec![provider]];
                if account.id.is_some() {
                    conditions.push(vec![self.dimensions.sub_account_id.absent(&mut self.sets)]);
                }
                self.add(conditions, Outcome::Account(at));
            }
        }
        for (at, account) in accounts() {
            if let Some(id) = &account.id {
                let provider = self.provider_of(account);
                let id = self.dimensions.billing_account.exactly(&mut self.sets, id);
                let no_id = self.dimensions.sub_account_id.absent(&mut self.sets);
                let no_name = self.dimensions.sub_account_name.absent(&mut self.sets);
                self.add(vec![vec![id], vec![provider], vec![no_id], vec![no_name]], Outcome::Account(at));
            }
        }
    }

    fn provider_of(&mut self, account: &Account) -> Pattern {
        self.dimensions.provider.exactly(&mut self.sets, &account.provider)
    }

    fn cost_centers(&mut self, catalog: &Catalog) {
        let Some(tag) = &catalog.cost_center_tag else { return };
        let dimension = self.dimensions.tag(tag);
        for (at, customer) in catalog.customers.iter().enumerate() {
            if let Some(center) = &customer.cost_center {
                self.cost_centers.insert(dimension.exactly(&mut self.sets, center), at);
            }
        }
        self.any_cost_center = Some(dimension.pattern(&mut self.sets, "*"));
    }

    /// The most telling condition comes first: the rule is looked for by it.
    fn conditions(&mut self, matching: &Match) -> Conditions {
        let Self { sets, dimensions, .. } = self;
        let mut conditions = Conditions::new();
        let patterns = |texts: &[String], dimension: &mut Dimension, sets: &mut Sets| {
            texts.iter().map(|text| dimension.pattern(sets, text)).collect::<Vec<_>>()
        };
        conditions.push(patterns(&matching.resource, &mut dimensions.resource, sets));
        let mut account = patterns(&matching.account, &mut dimensions.sub_account_id, sets);
        account.extend(patterns(&matching.account, &mut dimensions.sub_account_name, sets));
        conditions.push(account);
        for (key, values) in &matching.tags {
            conditions.push(patterns(values, dimensions.tag(key), sets));
        }
        conditions.push(patterns(&matching.billing_account, &mut dimensions.billing_account, sets));
        conditions.push(patterns(&matching.service, &mut dimensions.service, sets));
        conditions.push(patterns(&matching.region, &mut dimensions.region, sets));
        conditions.push(patterns(&matching.category, &mut dimensions.category, sets));
        conditions.push(patterns(&matching.provider, &mut dimensions.provider, sets));
        conditions.retain(|condition| !condition.is_empty());
        conditions
    }

    fn add(&mut self, conditions: Conditions, outcome: Outcome) {
        let rule = self.rules.len();
        for pattern in conditions.first().into_iter().flatten() {
            self.hung.entry(*pattern).or_default().push(rule);
        }
        self.rules.push((conditions, outcome));
    }

    /// Where a charge belongs.
    ///
    /// # Errors
    /// [`BadTags`]: such a charge cannot be placed.
    pub fn place(&mut self, facts: &Facts<'_>) -> Result<Placed, BadTags> {
        let Dimensions { provider, billing_account, sub_account_id, sub_account_name, .. } =
            &mut self.dimensions;
        let sets = &mut self.sets;
        let head = [
            provider.find(sets, Some(facts.provider)),
            billing_account.find(sets, Some(facts.billing_account)),
            sub_account_id.find(sets, facts.sub_account_id),
            sub_account_name.find(sets, facts.sub_account_name),
        ];
        let Dimensions { service, region, resource, category, .. } = &mut self.dimensions;
        let tail = [
            service.find(sets, Some(facts.service)),
            region.find(sets, facts.region),
            resource.find(sets, facts.resource),
            category.find(sets, Some(facts.category.as_str())),
        ];
        let tags = self.tags(facts.tags)?;
        let key = [head[0], head[1], head[2], head[3], tail[0], tail[1], tail[2], tail[3], tags];
        let kind = match self.known.get(&key) {
            Some(kind) => *kind,
            None => self.decide(key),
        };
        Ok(self.kinds[kind].placed)
    }

    fn tags(&mut self, tags: Tags<'_>) -> Result<u32, BadTags> {
        if self.dimensions.tags.is_empty() {
            return Ok(0);
        }
        match tags {
            Tags::None => Ok(0),
            Tags::Pairs(pairs) => Ok(self.pairs(pairs.iter().copied())),
            Tags::Json(text) => {
                if let Some(known) = self.known_tags.get(text) {
                    return Ok(*known);
                }
                let pairs = parse_tags(Some(text)).map_err(BadTags)?;
                let number = self.pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
                self.known_tags_bytes += text.len() + 64;
                if self.known_tags_bytes > 8 << 20 {
                    self.known_tags.clear();
                    self.known_tags_bytes = 0;
                }
                self.known_tags.insert(text.into(), number);
                Ok(number)
            }
        }
    }

    fn pairs<'t>(&mut self, pairs: impl Iterator<Item = (&'t str, &'t str)>) -> u32 {
        let mut fitting = Vec::new();
        for (key, value) in pairs.filter(|(_, value)| !value.is_empty()) {
            if let Some((_, dimension)) = self.dimensions.tags.iter().find(|(known, _)| known == key) {
                fitting.extend(dimension.fitting(value));
            }
        }
        self.sets.number(fitting)
    }

    /// A kind of charges that was not seen before.
    fn decide(&mut self, key: [u32; 9]) -> usize {
        let mut fitting: Vec<Pattern> = Vec::new();
        for set in key {
            fitting.extend(self.sets.set(set));
        }
        fitting.sort_unstable();
        fitting.dedup();
        let fits = |conditions: &Conditions| {
            let any = |condition: &Vec<Pattern>| condition.iter().any(|p| fitting.binary_search(p).is_ok());
            conditions.iter().all(any)
        };
        let candidates = fitting.iter().filter_map(|pattern| self.hung.get(pattern)).flatten().copied();
        let first = candidates.filter(|rule| fits(&self.rules[*rule].0)).min();
        let (place, unknown_cost_center) = match first.map(|rule| &self.rules[rule].1) {
            None => (Place::Unallocated, false),
            Some(Outcome::Place(place)) => (*place, false),
            Some(Outcome::Account(account)) => {
                let tagged = fitting.iter().find_map(|pattern| self.cost_centers.get(pattern)).copied();
                let is_tagged = self.any_cost_center.is_some_and(|any| fitting.binary_search(&any).is_ok());
                let customer = tagged.unwrap_or(self.account_customers[*account]);
                (Place::Account { account: *account, customer }, is_tagged && tagged.is_none())
            }
        };
        let over: Vec<usize> =
            self.over.iter().filter(|(_, conditions)| fits(conditions)).map(|(pool, _)| *pool).collect();
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
        self.known.insert(key, kind);
        kind
    }

    /// The place of each kind.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.kinds.iter().map(|kind| kind.placed.place)
    }

    /// The value of the cost-centre tag; for messages.
    pub(super) fn cost_center(&self, tags: Tags<'_>) -> String {
        let Some(tag) = self.cost_center_tag.as_deref() else { return String::new() };
        let value = match tags {
            Tags::None => None,
            Tags::Pairs(pairs) => {
                pairs.iter().find(|(key, _)| *key == tag).map(|(_, value)| (*value).to_owned())
            }
            Tags::Json(text) => {
                let pairs = parse_tags(Some(text)).unwrap_or_default();
                pairs.into_iter().find(|(key, _)| key == tag).map(|(_, value)| value)
            }
        };
        value.unwrap_or_default()
    }
}
