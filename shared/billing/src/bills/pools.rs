//! Shared costs: from pools to their targets, with the columns by which FOCUS explains an allocation.
//!
//! Pools are shared in an order in which each comes before those that it feeds. Every currency is shared for itself, to twelve
//! decimals and without a rest, so nothing appears or disappears.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::drivers::Drivers;
use super::fx::Rates;
use super::placed_costs::{Amounts, PlacedCosts, SCALE, Weight, basis_of_weights};
use super::placer::Place;
use super::problems::{BillProblem, BillsError};
use super::recipient::Recipient;
use crate::catalog::billing::{Catalog, CostBasis, InForce, Pool, Split, Target, TargetKind, did_you_mean};
use crate::money::{self, ApportionError, Exact, MoneyError, apportion};

/// The columns by which FOCUS 1.3 explains an allocation.
pub const ALLOCATION_COLUMNS: [&str; 5] = [
    "AllocatedMethodId",
    "AllocatedMethodDetails",
    "AllocatedResourceId",
    "AllocatedResourceName",
    "AllocatedTags",
];

/// A share of a pool in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Place of the pool in the catalog.
    pub pool: usize,
    /// Who receives it; nothing if it stays unallocated.
    pub recipient: Option<Recipient>,
    /// ISO 4217 code.
    pub currency: &'static str,
    /// How much.
    pub amount: Decimal,
    /// Part of the pool; those of one pool add up to 1.
    pub ratio: Decimal,
    /// FOCUS `AllocatedMethodId`.
    pub method_id: String,
    /// FOCUS `AllocatedMethodDetails`: a JSON object.
    pub method_details: String,
    /// FOCUS `AllocatedResourceId`.
    pub resource_id: String,
    /// FOCUS `AllocatedResourceName`.
    pub resource_name: String,
    /// FOCUS `AllocatedTags`: a JSON object that names the pool.
    pub tags: String,
}

impl Share {
    /// What stands in [`ALLOCATION_COLUMNS`].
    #[must_use]
    pub fn allocation_cells(&self) -> [&str; 5] {
        [&self.method_id, &self.method_details, &self.resource_id, &self.resource_name, &self.tags]
    }
}

/// An amount that nobody is billed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unallocated {
    /// Whose or what it is: `aws/123456789012`, `pool:support`.
    pub what: String,
    /// ISO 4217 code.
    pub currency: &'static str,
    /// How much.
    pub amount: Decimal,
    /// Why.
    pub reason: String,
}

/// All pools shared.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) shares: Vec<Share>,
    pub(super) received: BTreeMap<Recipient, BTreeMap<usize, Amounts>>,
    pub(super) unallocated: Vec<Unallocated>,
}

impl Shared {
    /// What a recipient got, from whichever pool.
    pub(super) fn of(&self, recipient: Recipient) -> impl Iterator<Item = (usize, &Amounts)> {
        self.received.get(&recipient).into_iter().flatten().map(|(pool, amounts)| (*pool, amounts))
    }
}

/// A target with its weight. Ties of rounding go by the key.
struct Weighed {
    key: String,
    recipient: Option<Recipient>,
    weight: Decimal,
    reason: String,
}

const NOT_IN_FORCE: &str = "the target does not apply to this month";

pub(super) struct Sharing<'a> {
    pub(super) in_force: &'a InForce<'a>,
    pub(super) placed: &'a PlacedCosts,
    pub(super) drivers: &'a Drivers,
    pub(super) rates: &'a Rates,
}

impl Sharing<'_> {
    pub(super) fn share(&self, problems: &mut Vec<BillProblem>) -> Result<Shared, BillsError> {
        let mut shared = Shared::default();
        for at in self.in_force.pools() {
            let pool = &self.in_force.catalog.pools[at];
            let own = Place::Pool(at);
            let mut total = self.placed.places.get(&own).cloned().unwrap_or_default();
            for (_, amounts) in shared.of(Recipient::Place(own)) {
                for (currency, amount) in amounts {
                    let sum = total.entry(currency).or_default();
                    *sum = money::add(*sum, *amount)?;
                }
            }
            let weighed = self.weigh(at, pool, problems)?;
            self.hand_out((at, pool), &total, weighed, &mut shared)?;
        }
        shared.unallocated.sort();
        Ok(shared)
    }

    fn hand_out(
        &self,
        (at, pool): (usize, &Pool),
        total: &Amounts,
        weighed: Vec<Weighed>,
        shared: &mut Shared,
    ) -> Result<(), BillsError> {
        let failed = |error| BillsError::Split { pool: pool.name.clone(), error };
        let what = format!("pool:{}", pool.name);
        let weights: Vec<(&str, Decimal)> = weighed.iter().map(|w| (w.key.as_str(), w.weight)).collect();
        let ratios = match apportion(Decimal::ONE, &weights, SCALE) {
            Ok(ratios) => ratios,
            Err(ApportionError::NoWeight) => {
                let reason =
                    if weighed.is_empty() { "nobody shares this pool" } else { "all weights are zero" };
                for (currency, amount) in total.iter().filter(|(_, amount)| !amount.is_zero()) {
                    let (what, reason) = (what.clone(), reason.to_owned());
                    shared.unallocated.push(Unallocated { what, currency, amount: *amount, reason });
                }
                return Ok(());
            }
            Err(error) => return Err(failed(error)),
        };
        for (currency, amount) in total {
            let amounts = apportion(*amount, &weights, SCALE).map_err(failed)?;
            for ((target, ratio), amount) in weighed.iter().zip(&ratios).zip(amounts) {
                let amount = amount.normalize();
                if let Some(recipient) = target.recipient {
                    let received = shared.received.entry(recipient).or_default();
                    received.entry(at).or_default().insert(currency, amount);
                } else if !amount.is_zero() {
                    let reason = format!("'{}' of '{}': {}", target.key, pool.name, target.reason);
                    shared.unallocated.push(Unallocated { what: what.clone(), currency, amount, reason });
                }
                shared.shares.push(self.focus((at, pool), target, currency, amount, *ratio));
            }
        }
        Ok(())
    }

    /// The columns of FOCUS 1.3 on allocations.
    fn focus(
        &self,
        (at, pool): (usize, &Pool),
        target: &Weighed,
        currency: &'static str,
        amount: Decimal,
        ratio: Decimal,
    ) -> Share {
        let (method_id, unit) = match &pool.split {
            Split::Cost => match basis_of_weights(self.in_force, at) {
                CostBasis::Billed => ("proportional-by-direct-cost/1".to_owned(), "Cost"),
                CostBasis::Effective => ("proportional-by-effective-cost/1".to_owned(), "EffectiveCost"),
            },
            Split::Even => ("even/1".to_owned(), "Targets"),
            Split::Percents(_) => ("fixed-percent/1".to_owned(), "Percent"),
            Split::Weights(_) => ("fixed-weight/1".to_owned(), "Weight"),
            Split::Driver(driver) => (format!("proportional-by-driver/1:{driver}"), driver.as_str()),
        };
        let element = json!({
            "AllocatedRatio": number(ratio), "UsageUnit": unit, "UsageQuantity": number(target.weight),
        });
        let (resource_id, resource_name) = match target.recipient {
            Some(recipient) => recipient.resource(self.in_force.catalog),
            None => (target.key.clone(), "unallocated".to_owned()),
        };
        Share {
            pool: at,
            recipient: target.recipient,
            currency,
            amount,
            ratio: ratio.normalize(),
            method_id,
            method_details: json!({ "Elements": [element] }).to_string(),
            resource_id,
            resource_name,
            tags: json!({ "pool": pool.name }).to_string(),
        }
    }

    fn weigh(
        &self,
        at: usize,
        pool: &Pool,
        problems: &mut Vec<BillProblem>,
    ) -> Result<Vec<Weighed>, BillsError> {
        let weighed = match &pool.split {
            Split::Percents(shares) | Split::Weights(shares) => {
                shares.iter().map(|(target, weight)| self.target(target, *weight)).collect()
            }
            Split::Driver(driver) => self.by_driver(pool, driver, problems),
            Split::Cost | Split::Even => self.by_cost(at, pool, problems)?,
        };
        Ok(merged(weighed)?)
    }

    fn target(&self, target: &Target, weight: Decimal) -> Weighed {
        let catalog = self.in_force.catalog;
        let recipient = self.recipient(target);
        let month = self.in_force.month;
        let key =
            recipient.map_or_else(|| target.to_string(), |recipient| recipient.label_in(catalog, month));
        Weighed { key, recipient, weight, reason: NOT_IN_FORCE.to_owned() }
    }

    fn recipient(&self, target: &Target) -> Option<Recipient> {
        let catalog = self.in_force.catalog;
        self.in_force.place_of(target).map(|at| match target.kind {
            TargetKind::Account => {
                let customer = catalog.accounts[at].customer;
                Recipient::Place(Place::Account { account: at, customer })
            }
            TargetKind::Component => Recipient::Place(Place::Component(at)),
            TargetKind::Pool => Recipient::Place(Place::Pool(at)),
            TargetKind::Service => Recipient::Service(at),
            TargetKind::Customer => Recipient::Customer(at),
        })
    }

    /// With targets, theirs; without, everybody's whom the driver names.
    fn by_driver(&self, pool: &Pool, name: &str, problems: &mut Vec<BillProblem>) -> Vec<Weighed> {
        let needed_by = in_catalog(pool);
        let Some(driver) = self.drivers.0.get(name) else {
            let hint = did_you_mean(name, self.drivers.0.keys().map(String::as_str));
            let (driver, month) = (name.to_owned(), self.in_force.month);
            problems.push(BillProblem::MissingDriver { driver, needed_by, month, hint });
            return Vec::new();
        };
        // names and ids of one thing have one key
        let key = |target: &Target| self.target(target, Decimal::ZERO).key;
        let listed: BTreeSet<String> = pool.targets.iter().flatten().map(key).collect();
        let mut named = BTreeSet::new();
        let mut weighed = Vec::new();
        for (text, quantity) in &driver.quantities {
            let target = match (self.in_force.target(text), &pool.targets) {
                (Ok(target), _) => target,
                (Err(_), Some(_)) => continue,
                (Err(error), None) => {
                    let reason = format!("what the driver names {error}");
                    weighed.push(Weighed { key: text.clone(), recipient: None, weight: *quantity, reason });
                    continue;
                }
            };
            let key = key(&target);
            match &pool.targets {
                Some(_) if !listed.contains(&key) => {}
                None if target.kind == TargetKind::Pool => {
                    let reason =
                        "a pool is fed only if it stands among the targets in the catalog".to_owned();
                    weighed.push(Weighed { key: text.clone(), recipient: None, weight: *quantity, reason });
                }
                _ => weighed.push(self.target(&target, *quantity)),
            }
            named.insert(key);
        }
        let in_force = pool.targets.iter().flatten().filter(|target| self.recipient(target).is_some());
        for target in in_force.filter(|target| !named.contains(&key(target))) {
            let hint = did_you_mean(&target.name, driver.quantities.keys().map(String::as_str));
            let (driver, target, needed_by) = (name.to_owned(), target.name.clone(), needed_by.clone());
            problems.push(BillProblem::MissingTarget { driver, target, needed_by, hint });
        }
        weighed
    }

    /// What each target's own charges cost together; less than nothing weighs nothing. For `even` all weigh the same, without targets
    /// all that have charges. A target that stands there under two names counts once.
    fn by_cost(
        &self,
        at: usize,
        pool: &Pool,
        problems: &mut Vec<BillProblem>,
    ) -> Result<Vec<Weighed>, BillsError> {
        let catalog = self.in_force.catalog;
        let costs = self.placed.weights_of(self.in_force, at);
        let mut all: Vec<Weighed> = match &pool.targets {
            Some(targets) => targets.iter().map(|target| self.target(target, Decimal::ONE)).collect(),
            None => {
                let direct = costs
                    .keys()
                    .filter(|place| !matches!(place, Place::Pool(_) | Place::Unallocated | Place::Unread));
                // what is corrected of an earlier month makes nobody share this one
                let month = self.in_force.month;
                let direct = direct.map(|place| Recipient::of(*place));
                let direct = direct.filter(|recipient| recipient.is_owned_in(catalog, month));
                let whole = direct.map(|recipient| {
                    let (key, weight, reason) =
                        (recipient.label_in(catalog, month), Decimal::ONE, String::new());
                    Weighed { key, recipient: Some(recipient), weight, reason }
                });
                whole.collect()
            }
        };
        let mut known = BTreeSet::new();
        all.retain(|target| known.insert(target.key.clone()));
        if pool.split == Split::Cost {
            let mut weight = |place: &Place, weight: &Weight| {
                for (currency, charges) in &weight.unstated {
                    let place = Recipient::Place(*place).label_in(catalog, self.in_force.month);
                    let (pool, charges) = (in_catalog(pool), *charges);
                    problems.push(BillProblem::NoWeight { pool, place, charges, currency });
                }
                self.rates.convert(&weight.amounts)
            };
            for target in &mut all {
                let cost = match target.recipient {
                    // of an account what its own customer pays: the rest is others', by their cost centres
                    Some(Recipient::Place(own)) => {
                        costs.get(&own).map_or(Ok(Exact::ZERO), |of| weight(&own, of))?
                    }
                    // nobody is listed: its cost centre's charges alone, because its accounts stand for themselves
                    Some(Recipient::Customer(customer)) if pool.targets.is_none() => {
                        let own = Place::CostCenter(customer);
                        costs.get(&own).map_or(Ok(Exact::ZERO), |of| weight(&own, of))?
                    }
                    Some(Recipient::Customer(customer)) => {
                        let mut own =
                            costs.iter().filter(|(place, _)| payer(catalog, **place) == Some(customer));
                        own.try_fold(Exact::ZERO, |sum, (place, of)| sum.plus(weight(place, of)?))?
                    }
                    Some(Recipient::Service(_)) | None => Exact::ZERO,
                };
                target.weight = cost.round_half_away(SCALE)?.max(Decimal::ZERO);
            }
        }
        Ok(all)
    }
}

/// A pool with its line in the catalog.
fn in_catalog(pool: &Pool) -> String {
    format!("pools '{}', line {}", pool.name, pool.mark.line)
}

/// The customer who pays for a place.
fn payer(catalog: &Catalog, place: Place) -> Option<usize> {
    match place {
        Place::Account { customer, .. } => Some(customer),
        Place::Allocation(at) => catalog.allocations.get(at).map(|rule| rule.customer),
        Place::CostCenter(customer) => Some(customer),
        Place::Component(_) | Place::Pool(_) | Place::Unallocated | Place::Unread => None,
    }
}

/// Targets that are the same under two names weigh what both weigh.
fn merged(weighed: Vec<Weighed>) -> Result<Vec<Weighed>, MoneyError> {
    let mut by_key: BTreeMap<String, Weighed> = BTreeMap::new();
    for target in weighed {
        match by_key.get_mut(&target.key) {
            Some(known) => known.weight = money::add(known.weight, target.weight)?,
            None => {
                by_key.insert(target.key.clone(), target);
            }
        }
    }
    Ok(by_key.into_values().collect())
}

/// A decimal as a JSON number, digit by digit.
fn number(value: Decimal) -> Value {
    serde_json::from_str(&value.normalize().to_string()).unwrap_or(Value::Null)
}
