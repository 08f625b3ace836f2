//! The figures of one client: what its services require, what its credit covers, and where its money was earned.

use indexmap::IndexMap;
use rust_decimal::Decimal;

use super::book::Credit;
use super::figures::{add, percent, rounded, sum};
use super::json::Number;
use super::plugin::UsageSummary;
use super::report::{ClientReport, Entry, LocationRevenue, ServiceReport};
use super::statement::{LocationSplit, RevenueRules, StatementError};
use crate::catalog::{Client, Service};
use crate::money::{ApportionError, apportion};

/// What one service brought and cost, in one currency.
pub(super) struct Case<'a> {
    pub(super) service: &'a Service,
    pub(super) entries: Vec<Entry<'a>>,
    /// Net refunds of what was paid before the window.
    pub(super) earlier_refunds: Decimal,
    /// Nothing in another currency than the client's.
    pub(super) fixed: Decimal,
    pub(super) usage: Option<UsageSummary>,
}

/// The report of a client. `digits` are those of the currency's minor unit.
pub(super) fn report<'a>(
    client: &'a Client,
    cases: Vec<Case<'a>>,
    credit: Credit,
    rules: &RevenueRules,
    digits: u32,
) -> Result<ClientReport<'a>, StatementError> {
    let revenues = cases.iter().map(|case| Ok(sum(case.entries.iter().map(|entry| entry.amount.0))?));
    let revenues = revenues.collect::<Result<Vec<_>, StatementError>>()?;
    let due = cases.iter().map(due).collect::<Result<Vec<_>, StatementError>>()?;
    let required = cases.iter().zip(&revenues).zip(&due);
    let required = required.map(|((case, revenue), due)| required_of(case, *revenue, *due, digits));
    let required = required.collect::<Result<Vec<_>, StatementError>>()?;
    let cost_due = sum(due.into_iter().map(|due| rounded(due, digits)))?;
    let earlier_refunds = sum(cases.iter().map(|case| case.earlier_refunds))?;
    let available = credit.available()?;
    let alloted = allot(available, &required, digits)?;
    let all_required = sum(required.iter().copied())?;
    let mut services = Vec::with_capacity(cases.len());
    for (index, case) in cases.into_iter().enumerate() {
        let (revenue, required, alloted) = (revenues[index], required[index], alloted[index]);
        let money = add(revenue, alloted)?;
        let no_usage = IndexMap::new();
        let costs = case.usage.as_ref().map_or(&no_usage, |usage| &usage.location_cost);
        let locations = split(money, costs, rules, digits)?
            .ok_or_else(|| StatementError::NoDefaultLocation(case.service.id.clone()))?;
        let from_credit = case.entries.iter().filter(|entry| entry.from_credit);
        let from_credit = sum(from_credit.flat_map(|entry| [entry.amount.0, entry.taxes_amount.0]))?;
        services.push(ServiceReport {
            service_name: &case.service.name,
            service_id: case.service.id.clone(),
            entries: case.entries,
            fixed_monthly_price: Number(rounded(case.fixed, digits)),
            price_overridden: case.service.price_overridden,
            total_revenue: Number(revenue),
            total_from_credit: Number(from_credit),
            usage_cost: case.usage.as_ref().map_or(Decimal::ZERO, |usage| usage.total_cost),
            usage_details: case.usage.map(|usage| usage.usage_details),
            cost_still_required: Number(required),
            cost_required_percent: Number(percent(required, all_required)),
            alloted_from_credit: Number(alloted),
            debt: Number(add(required, -alloted)?),
            locations,
        });
    }
    let total = |part: fn(&ServiceReport<'_>) -> Number| sum(services.iter().map(|service| part(service).0));
    Ok(ClientReport {
        client: client.id.clone(),
        client_display_name: &client.name,
        credit_in: Number(credit.gone_in),
        credit_out: Number(credit.gone_out),
        credit_available: Number(available),
        total_debt: Number(total(|service| service.debt)?),
        total_alloted_from_credit: Number(total(|service| service.alloted_from_credit)?),
        revenue_per_location: per_location(services.iter().flat_map(|service| &service.locations))?,
        opening_credit: credit.opening,
        cost_due,
        earlier_refunds,
        services_report: services,
    })
}

/// Price and usage, exactly.
fn due(case: &Case<'_>) -> Result<Decimal, StatementError> {
    Ok(add(case.fixed, case.usage.as_ref().map_or(Decimal::ZERO, |usage| usage.total_cost))?)
}

/// What is due less what was paid, rounded once, not below nothing. A refund takes back what was paid in the window and no more: what
/// was paid before it was for something else.
fn required_of(
    case: &Case<'_>,
    revenue: Decimal,
    due: Decimal,
    digits: u32,
) -> Result<Decimal, StatementError> {
    let paid = add(revenue, case.earlier_refunds)?.max(Decimal::ZERO);
    Ok(rounded(add(due, -paid)?, digits).max(Decimal::ZERO))
}

/// What credit covers of what is required: each at most its own, because no more than all of it is shared.
fn allot(available: Decimal, required: &[Decimal], digits: u32) -> Result<Vec<Decimal>, StatementError> {
    let covered = available.max(Decimal::ZERO).min(sum(required.iter().copied())?);
    shares(covered, required, digits)
}

/// A total shared by weights; nothing where nothing weighs. Ties go to the service that stands first.
fn shares(total: Decimal, weights: &[Decimal], digits: u32) -> Result<Vec<Decimal>, StatementError> {
    let weights: Vec<(usize, Decimal)> = weights.iter().copied().enumerate().collect();
    match apportion(total, &weights, digits) {
        Err(ApportionError::NoWeight) => Ok(vec![Decimal::ZERO; weights.len()]),
        shares => Ok(shares?),
    }
}

/// Money over the locations of a service; nothing if there is money and neither a location nor a default one.
fn split(
    money: Decimal,
    costs: &IndexMap<String, Decimal>,
    rules: &RevenueRules,
    digits: u32,
) -> Result<Option<IndexMap<String, Decimal>>, StatementError> {
    if costs.is_empty() {
        let default = rules.default_location.as_ref().map(|name| IndexMap::from([(name.clone(), money)]));
        return Ok(if money.is_zero() { Some(IndexMap::new()) } else { default });
    }
    let weights = |weight: fn(&Decimal) -> Decimal| -> Vec<(&str, Decimal)> {
        costs.iter().map(|(name, cost)| (name.as_str(), weight(cost))).collect()
    };
    let even = || apportion(money, &weights(|_| Decimal::ONE), digits);
    let shares = match rules.location_split {
        LocationSplit::Even => even()?,
        LocationSplit::Cost => match apportion(money, &weights(|cost| *cost), digits) {
            Err(ApportionError::NoWeight) => even()?,
            shares => shares?,
        },
    };
    Ok(Some(costs.keys().cloned().zip(shares).collect()))
}

/// The sums by location, in the order in which these come.
pub(super) fn per_location<'l>(
    shares: impl IntoIterator<Item = (&'l String, &'l Decimal)>,
) -> Result<Vec<LocationRevenue>, StatementError> {
    let mut locations: IndexMap<&str, Decimal> = IndexMap::new();
    for (name, share) in shares {
        let total = locations.entry(name).or_default();
        *total = add(*total, *share)?;
    }
    let revenue = |(name, revenue): (&str, Decimal)| LocationRevenue {
        name: name.to_owned(),
        revenue: Number(revenue),
    };
    Ok(locations.into_iter().map(revenue).collect())
}
