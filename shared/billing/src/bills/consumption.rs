//! What services use of components, and how the components' costs divide among them.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::drivers::Drivers;
use super::lines::Item;
use super::placed_costs::{Amounts, SCALE};
use super::problems::{BillProblem, BillsError};
use crate::catalog::billing::{Component, InForce, Part, PartPrice, Quantity, Service, Use, did_you_mean};
use crate::money::{Exact, MoneyError, apportion};

/// A service's use of a component in the month.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used<'c> {
    pub(super) service: usize,
    pub(super) component: usize,
    pub(super) part: Option<&'c Part>,
    pub(super) quantity: Decimal,
}

/// All uses, in the order of the services' names and of the catalog.
pub(super) fn used<'c>(
    in_force: &InForce<'c>,
    drivers: &Drivers,
    problems: &mut Vec<BillProblem>,
) -> Vec<Used<'c>> {
    let mut all = Vec::new();
    for at in in_force.services() {
        let service = &in_force.catalog.services[at];
        for one in service.components.iter().filter(|one| one.dated.covers(in_force.month)) {
            let needed_by = format!("services '{}', line {}", service.name, one.mark.line);
            let quantity = quantity(one, drivers, in_force, &needed_by, problems);
            let Some((component, part)) = component(in_force, one) else {
                let name = [Some(one.component.clone()), one.part.clone()];
                let component = name.into_iter().flatten().collect::<Vec<_>>().join("/");
                problems.push(BillProblem::NotInForce { component, needed_by, month: in_force.month });
                continue;
            };
            if let Some(quantity) = quantity {
                all.push(Used { service: at, component, part, quantity });
            }
        }
    }
    all
}

fn component<'c>(in_force: &InForce<'c>, one: &Use) -> Option<(usize, Option<&'c Part>)> {
    let component = in_force.component(&one.component)?;
    let Some(name) = &one.part else { return Some((component, None)) };
    let part = in_force.catalog.components[component].parts.iter().find(|part| part.name == *name)?;
    Some((component, Some(part)))
}

fn quantity(
    one: &Use,
    drivers: &Drivers,
    in_force: &InForce<'_>,
    needed_by: &str,
    problems: &mut Vec<BillProblem>,
) -> Option<Decimal> {
    let (name, target) = match &one.quantity {
        Quantity::Fixed(quantity) => return Some(*quantity),
        Quantity::Driver { driver, target } => (driver, target),
    };
    let needed_by = needed_by.to_owned();
    let Some(driver) = drivers.0.get(name) else {
        let hint = did_you_mean(name, drivers.0.keys().map(String::as_str));
        let (driver, month) = (name.clone(), in_force.month);
        problems.push(BillProblem::MissingDriver { driver, needed_by, month, hint });
        return None;
    };
    let quantity = driver.quantities.get(target).copied();
    if quantity.is_none() {
        let hint = did_you_mean(target, driver.quantities.keys().map(String::as_str));
        let (driver, target) = (name.clone(), target.clone());
        problems.push(BillProblem::MissingTarget { driver, target, needed_by, hint });
    }
    quantity
}

/// What a quantity of 1 of a component costs: `per_unit + absolute + percent_of_cost % of its costs`.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnitPrice {
    /// The prices of the catalog.
    own: Exact,
    /// The costs, if they are passed on at all.
    cost: Exact,
    percent: Decimal,
}

impl UnitPrice {
    pub(super) fn new(component: &Component, costs: Exact) -> Result<Self, MoneyError> {
        let price = &component.price;
        let own = Exact::from(price.per_unit).plus(price.absolute.into())?;
        let percent = price.percent_of_cost;
        Ok(Self { own, cost: if percent.is_zero() { Exact::ZERO } else { costs }, percent })
    }

    fn of(self, part: Option<PartPrice>) -> Result<Self, MoneyError> {
        Ok(match part {
            None => self,
            Some(PartPrice::Percent(percent)) => {
                Self { own: self.own.percent(percent)?, cost: self.cost.percent(percent)?, ..self }
            }
            Some(PartPrice::PerUnit(price)) => Self { own: price.into(), cost: Exact::ZERO, ..self },
        })
    }

    fn item(self, component: usize, what: String, quantity: Decimal) -> Result<Item, MoneyError> {
        let price = self.own.plus(self.cost.percent(self.percent)?)?;
        let cost = self.cost.times(quantity)?;
        let (amount, passed_on) = (price.times(quantity)?, cost.percent(self.percent)?);
        Ok(Item { component: Some(component), what, quantity, price, amount, cost, passed_on })
    }
}

/// What a service pays for its uses, exactly. A price `fixed_per_service` comes once, with the first use.
pub(super) fn items(
    service: usize,
    used: &[Used<'_>],
    in_force: &InForce<'_>,
    prices: &BTreeMap<usize, UnitPrice>,
) -> Result<Vec<Item>, MoneyError> {
    let mut items = Vec::new();
    let mut fixed_paid = Vec::new();
    for one in used.iter().filter(|one| one.service == service) {
        let component = &in_force.catalog.components[one.component];
        let fixed = component.price.fixed_per_service;
        if !fixed_paid.contains(&one.component) {
            fixed_paid.push(one.component);
            if !fixed.is_zero() {
                let what = format!("{} (fixed)", component.name);
                let price = UnitPrice { own: fixed.into(), cost: Exact::ZERO, percent: Decimal::ZERO };
                items.push(price.item(one.component, what, Decimal::ONE)?);
            }
        }
        let Some(whole) = prices.get(&one.component) else { continue };
        let what = match one.part {
            None => component.name.clone(),
            Some(part) => format!("{}/{}", component.name, part.name),
        };
        let price = whole.of(one.part.map(|part| part.price))?;
        items.push(price.item(one.component, what, one.quantity)?);
    }
    Ok(items)
}

/// A component's costs, and whose they are.
#[derive(Debug, Default)]
pub(super) struct Division {
    /// Of what services use, by service.
    pub(super) used: BTreeMap<usize, Amounts>,
    /// Of what nobody uses and the catalog shares among those services (`recover: all`).
    pub(super) spread: BTreeMap<usize, Amounts>,
    /// Of what nobody pays for.
    pub(super) rest: Amounts,
    /// Whether costs are passed on by quantities; else prices alone decide.
    pub(super) by_quantity: bool,
    /// Whether quantities of any part come to more than the whole of it.
    pub(super) is_above: bool,
    /// Whether what services pay for falls short of the costs.
    pub(super) is_short: bool,
}

/// A component in the month, with what services pay for it by its prices.
pub(super) struct Divided<'a> {
    pub(super) at: usize,
    pub(super) costs: &'a Amounts,
    /// The same in the catalog's currency.
    pub(super) cost: Exact,
    /// What each service pays.
    pub(super) paid: &'a BTreeMap<usize, Exact>,
}

impl Divided<'_> {
    /// Divides the costs among the services that use the component. Where costs are passed on, by how much of it they use (a percent part
    /// counts as that part of the whole); what is left of the whole is the rest. Where prices alone decide, by what they pay; what the
    /// costs are more than that is the rest. Nothing if nobody uses any.
    pub(super) fn divide(
        &self,
        used: &[Used<'_>],
        in_force: &InForce<'_>,
    ) -> Result<Option<Division>, BillsError> {
        let component = &in_force.catalog.components[self.at];
        let name = |at: usize| in_force.catalog.services.get(at).map_or("", |s: &Service| &s.name);
        let weights = |count: &dyn Fn(&Used<'_>) -> Option<Decimal>| {
            let mut weights: BTreeMap<(&str, usize), Decimal> = BTreeMap::new();
            for one in used.iter().filter(|one| one.component == self.at) {
                let weight = weights.entry((name(one.service), one.service)).or_default();
                *weight = weight.checked_add(count(one)?)?;
            }
            Some(weights)
        };
        let fractions = weights(&fraction).ok_or(MoneyError::Overflow)?;
        let whole = sum_of(fractions.values().copied())?;
        let by_quantity = !component.price.percent_of_cost.is_zero() && !whole.is_zero();
        let weights_of_cost = if whole.is_zero() {
            weights(&|one: &Used<'_>| Some(one.quantity)).ok_or(MoneyError::Overflow)?
        } else {
            fractions
        };
        if weights_of_cost.values().all(Decimal::is_zero) {
            return Ok(None);
        }
        let taken = Taken::of(component, self.at, used)?;
        let (weights_of_cost, [borne, unborne], is_above) = if !by_quantity {
            let (weights, halves) = self.by_prices(weights_of_cost)?;
            (weights, halves, false)
        } else if component.recover_all {
            // who takes more than the whole of one part pays for what nobody takes of another
            let left = (Decimal::ONE - whole).max(Decimal::ZERO);
            (weights_of_cost, [whole, left], whole > Decimal::ONE)
        } else {
            let left = taken.unused().ok_or(MoneyError::Overflow)?;
            let capped = weights(&|one: &Used<'_>| taken.weight(one)).ok_or(MoneyError::Overflow)?;
            (capped, [Decimal::ONE - left, left], taken.is_above())
        };
        let failed = |error| BillsError::Split { pool: component.name.clone(), error };
        let weights: Vec<(&str, Decimal)> =
            weights_of_cost.iter().map(|((name, _), w)| (*name, *w)).collect();
        let mut division =
            Division { by_quantity, is_above, is_short: !unborne.is_zero(), ..Division::default() };
        for (currency, amount) in self.costs {
            let halves = apportion(*amount, &[("taken", borne), ("left", unborne)], SCALE).map_err(failed)?;
            let [taken, left] = [halves[0], halves[1]];
            let hand_out = |amount: Decimal, into: &mut BTreeMap<usize, Amounts>| {
                let parts = apportion(amount, &weights, SCALE).map_err(failed)?;
                let parts = weights_of_cost.keys().zip(parts).filter(|(_, part)| !part.is_zero());
                for ((_, service), part) in parts {
                    into.entry(*service).or_default().insert(currency, part.normalize());
                }
                Ok::<(), BillsError>(())
            };
            hand_out(taken, &mut division.used)?;
            if component.recover_all {
                hand_out(left, &mut division.spread)?;
            } else if !left.is_zero() {
                division.rest.insert(currency, left.normalize());
            }
        }
        Ok(Some(division))
    }

    /// By what services pay; who pays nothing at all counts by quantity.
    #[expect(clippy::type_complexity, reason = "names and places of services")]
    fn by_prices<'n>(
        &self,
        quantities: BTreeMap<(&'n str, usize), Decimal>,
    ) -> Result<(BTreeMap<(&'n str, usize), Decimal>, [Decimal; 2]), MoneyError> {
        let mut paid = quantities.clone();
        for ((_, service), weight) in &mut paid {
            let of = self.paid.get(service).copied().unwrap_or_default();
            *weight = of.round_half_away(SCALE)?.max(Decimal::ZERO);
        }
        let sum = sum_of(paid.values().copied())?;
        let cost = self.cost.round_half_away(SCALE)?;
        let weights = if sum.is_zero() { quantities } else { paid };
        // a credit, or less than is paid, is all theirs
        let left = if cost > sum { cost - sum } else { Decimal::ZERO };
        Ok((weights, if left.is_zero() { [Decimal::ONE, left] } else { [sum, left] }))
    }
}

/// Targets that are named when a rest is explained.
const NAMED: usize = 5;

/// How much is taken of each part of a component that has a percent, or of the whole where there is none.
struct Taken<'c> {
    /// The part's name, its part of the whole, and how much of it services use together.
    parts: Vec<(Option<&'c str>, Decimal, Decimal)>,
}

impl<'c> Taken<'c> {
    fn of(component: &'c Component, at: usize, used: &[Used<'_>]) -> Result<Self, MoneyError> {
        let sum = |part: Option<&str>| {
            let of = used.iter().filter(|one| {
                one.component == at && (one.part.is_none() || one.part.map(|part| part.name.as_str()) == part)
            });
            sum_of(of.map(|one| one.quantity))
        };
        let percents = component.parts.iter().filter_map(|part| match part.price {
            PartPrice::Percent(percent) => Some((Some(part.name.as_str()), percent / Decimal::ONE_HUNDRED)),
            PartPrice::PerUnit(_) => None,
        });
        let mut all: Vec<(Option<&str>, Decimal)> = percents.collect();
        if all.is_empty() {
            all.push((None, Decimal::ONE));
        }
        let parts = all.into_iter().map(|(name, of_whole)| Ok((name, of_whole, sum(name)?)));
        Ok(Self { parts: parts.collect::<Result<_, MoneyError>>()? })
    }

    /// What of the whole nobody uses.
    fn unused(&self) -> Option<Decimal> {
        let unused = self.parts.iter().map(|(_, of_whole, quantity)| {
            of_whole.checked_mul((Decimal::ONE - quantity).max(Decimal::ZERO))
        });
        unused.sum::<Option<Decimal>>()
    }

    fn is_above(&self) -> bool {
        self.parts.iter().any(|(_, _, quantity)| *quantity > Decimal::ONE)
    }

    /// What a use is of the costs: of a part of which more than the whole is used, its share.
    fn weight(&self, one: &Used<'_>) -> Option<Decimal> {
        let name = one.part.map(|part| part.name.as_str());
        let mut sum = Decimal::ZERO;
        for (_, of_whole, quantity) in self.parts.iter().filter(|(part, ..)| name.is_none() || *part == name)
        {
            let used = one.quantity.checked_mul(*of_whole)?;
            let used =
                if *quantity > Decimal::ONE { used.checked_div(*quantity)?.round_dp(SCALE) } else { used };
            sum = sum.checked_add(used)?;
        }
        Some(sum)
    }
}

fn sum_of(quantities: impl Iterator<Item = Decimal>) -> Result<Decimal, MoneyError> {
    let mut quantities = quantities;
    let sum = quantities.try_fold(Decimal::ZERO, |sum, one| sum.checked_add(one));
    sum.ok_or(MoneyError::Overflow)
}

/// Why quantities do not come to the whole: of each part how much is used, and what the drivers name that no service uses.
pub(super) fn not_whole(
    at: usize,
    used: &[Used<'_>],
    drivers: &Drivers,
    in_force: &InForce<'_>,
) -> Result<String, MoneyError> {
    let component = &in_force.catalog.components[at];
    let taken = Taken::of(component, at, used)?;
    let astray = taken.parts.iter().filter(|(_, _, quantity)| *quantity != Decimal::ONE);
    let astray = astray.map(|(part, _, quantity)| {
        let what = part.map(|part| format!("{part}: ")).unwrap_or_default();
        let unused = unused(&component.name, *part, drivers, in_force);
        let unused = if unused.is_empty() { unused } else { format!(" ({unused})") };
        format!("{what}quantities come to {} of 1{unused}", quantity.normalize())
    });
    Ok(astray.collect::<Vec<_>>().join("; "))
}

/// What drivers name that no service uses, the largest first.
fn unused(component: &str, part: Option<&str>, drivers: &Drivers, in_force: &InForce<'_>) -> String {
    let services = in_force.services().map(|at| &in_force.catalog.services[at]);
    let uses = services.flat_map(|service| &service.components).filter(|one| {
        one.component == component && one.part.as_deref() == part && one.dated.covers(in_force.month)
    });
    let mut by_driver: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for one in uses {
        if let Quantity::Driver { driver, target } = &one.quantity {
            by_driver.entry(driver).or_default().insert(target);
        }
    }
    let mut said = Vec::new();
    for (name, targets) in by_driver {
        let all = drivers.0.get(name).into_iter().flat_map(|driver| &driver.quantities);
        let mut others: Vec<_> = all
            .filter(|(target, quantity)| !quantity.is_zero() && !targets.contains(target.as_str()))
            .collect();
        others.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        let named =
            others.iter().take(NAMED).map(|(target, quantity)| format!("{target} {}", quantity.normalize()));
        let mut named: Vec<String> = named.collect();
        if others.len() > NAMED {
            named.push(format!("{} more", others.len() - NAMED));
        }
        if !named.is_empty() {
            said.push(format!("the driver {name} has {} beside, which no service uses", named.join(", ")));
        }
    }
    said.join("; ")
}

fn fraction(one: &Used<'_>) -> Option<Decimal> {
    match one.part.map(|part| part.price) {
        None => Some(one.quantity),
        Some(PartPrice::Percent(percent)) => {
            one.quantity.checked_mul(percent)?.checked_div(Decimal::ONE_HUNDRED)
        }
        Some(PartPrice::PerUnit(_)) => Some(Decimal::ZERO),
    }
}
