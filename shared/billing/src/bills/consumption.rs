//! What services use of components, and how the components' costs divide among them.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::basis::{Amounts, SCALE};
use super::drivers::Drivers;
use super::exact::Exact;
use super::lines::Item;
use super::problems::{BillProblem, BillsError};
use crate::catalog::billing::{Component, InForce, Part, PartPrice, Quantity, Service, Use, did_you_mean};
use crate::money::{ApportionError, MoneyError, apportion};

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
pub(super) fn unit_price(component: &Component, costs: Exact) -> Result<Exact, MoneyError> {
    let price = &component.price;
    let passed_on = costs.percent(price.percent_of_cost)?;
    Exact::from(price.per_unit).plus(price.absolute.into())?.plus(passed_on)
}

/// What a service pays for its uses, exactly. A price `fixed_per_service` comes once, with the first use.
pub(super) fn items(
    service: usize,
    used: &[Used<'_>],
    in_force: &InForce<'_>,
    prices: &BTreeMap<usize, Exact>,
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
                items.push(item(one.component, what, Decimal::ONE, fixed.into())?);
            }
        }
        let whole = prices.get(&one.component).copied().unwrap_or(Exact::ZERO);
        let (what, price) = match one.part {
            None => (component.name.clone(), whole),
            Some(part) => {
                let price = match part.price {
                    PartPrice::Percent(percent) => whole.percent(percent)?,
                    PartPrice::PerUnit(price) => price.into(),
                };
                (format!("{}/{}", component.name, part.name), price)
            }
        };
        items.push(item(one.component, what, one.quantity, price)?);
    }
    Ok(items)
}

fn item(component: usize, what: String, quantity: Decimal, price: Exact) -> Result<Item, MoneyError> {
    Ok(Item { component: Some(component), what, quantity, price, amount: price.times(quantity)? })
}

/// A component's costs divided among the services that use it, by how much of it they use (a percent part counts as that part of the
/// whole; parts with a price of their own count only where nothing else is used). Nothing if nobody uses any.
pub(super) fn divide(
    at: usize,
    costs: &Amounts,
    used: &[Used<'_>],
    in_force: &InForce<'_>,
) -> Result<Option<BTreeMap<usize, Amounts>>, BillsError> {
    let component = &in_force.catalog.components[at];
    let name = |service: usize| in_force.catalog.services.get(service).map_or("", |s: &Service| &s.name);
    let weights = |count: fn(&Used<'_>) -> Option<Decimal>| {
        let mut weights: BTreeMap<(&str, usize), Decimal> = BTreeMap::new();
        for one in used.iter().filter(|one| one.component == at) {
            let weight = weights.entry((name(one.service), one.service)).or_default();
            *weight = weight.checked_add(count(one)?)?;
        }
        Some(weights)
    };
    let mut weights_of_cost = weights(fraction).ok_or(MoneyError::Overflow)?;
    if weights_of_cost.values().all(Decimal::is_zero) {
        weights_of_cost = weights(|one| Some(one.quantity)).ok_or(MoneyError::Overflow)?;
    }
    if weights_of_cost.values().all(Decimal::is_zero) {
        return Ok(None);
    }
    let weights: Vec<(&str, Decimal)> = weights_of_cost.iter().map(|((name, _), w)| (*name, *w)).collect();
    let mut divided: BTreeMap<usize, Amounts> = BTreeMap::new();
    for (currency, amount) in costs {
        let parts = match apportion(*amount, &weights, SCALE) {
            Ok(parts) => parts,
            Err(ApportionError::NoWeight) => return Ok(None),
            Err(error) => return Err(BillsError::Split { pool: component.name.clone(), error }),
        };
        for ((_, service), part) in weights_of_cost.keys().zip(parts) {
            if !part.is_zero() {
                divided.entry(*service).or_default().insert(currency, part.normalize());
            }
        }
    }
    Ok(Some(divided))
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
