//! From lines to bills: corrections, discounts carried over, what was posted, cost centres.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::lines::{Bill, Line, LineKind, Posted};
use super::make::BillInput;
use super::problems::{BillProblem, BillsError};
use super::recovery::Recovery;
use crate::catalog::billing::{Catalog, Customer, did_you_mean};
use crate::money::{self, MoneyError};

/// The key of the line that carries a discount to the next month.
const CARRIED_OUT: &str = "carried-out";

/// What was posted to somebody who is gone: nobody would bear what changes, or it would be billed twice.
pub(super) fn unknown_customers(input: &BillInput<'_>, problems: &mut Vec<BillProblem>) {
    let catalog = input.in_force.catalog;
    for (customer, lines) in input.posted.iter().filter(|(name, _)| catalog.customer_named(name).is_none()) {
        if lines.values().any(|amount| !amount.is_zero()) {
            // a sum that is too long for a message is no reason to bill
            let amount = money::sum(lines.values().copied()).unwrap_or_default().to_string();
            let (what, customer) = ("what was posted before".to_owned(), customer.clone());
            let advice = advice(catalog, &customer);
            problems.push(BillProblem::UnknownCustomer { customer, what, amount, advice });
        }
    }
}

/// What to do about a customer who is not in the catalog, to follow words that say so.
fn advice(catalog: &Catalog, name: &str) -> String {
    let hint = did_you_mean(name, catalog.customers.iter().map(|customer| customer.name.as_str()));
    format!("{hint}: write formerly: ['{name}'] at the customer who has its bills now, or add '{name}' again")
}

/// What was posted, under the names that customers have now.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn posted_by_name_now(posted: &Posted, catalog: &Catalog) -> Result<Posted, MoneyError> {
    let mut now = Posted::new();
    for (name, lines) in posted {
        let name = catalog.customer_named(name).map_or(name, |at| &catalog.customers[at].name);
        let of = now.entry(name.clone()).or_default();
        for (key, amount) in lines {
            let sum = of.entry(key.clone()).or_default();
            *sum = money::add(*sum, *amount)?.normalize();
        }
    }
    Ok(now)
}

/// The bill of every customer who has a line, and a held one of everybody who is not in the catalog and to whom something is carried.
pub(super) fn bills(
    input: &BillInput<'_>,
    mut lines: BTreeMap<usize, Vec<Line>>,
) -> Result<Vec<Bill>, BillsError> {
    let catalog = input.in_force.catalog;
    let mut bills = Vec::new();
    for (at, customer) in catalog.customers.iter().enumerate() {
        let mut lines = lines.remove(&at).unwrap_or_default();
        lines.extend(from_before(input, |name| catalog.customer_named(name) == Some(at))?);
        // whoever stands there was billed before, even if nothing of it is left
        let posted = input.posted.get(&customer.name);
        if lines.is_empty() && posted.is_none() {
            continue;
        }
        bills.push(settle(input, customer, lines, posted)?);
    }
    let corrected = input.corrections.iter().map(|correction| &correction.customer);
    let all: BTreeSet<&String> =
        corrected.chain(input.carried.iter().map(|carried| &carried.customer)).collect();
    for name in all.into_iter().filter(|name| catalog.customer_named(name).is_none()) {
        let lines = from_before(input, |other| other == name)?;
        if lines.iter().all(|line| line.amount.is_zero()) {
            continue;
        }
        let gone = Customer { name: name.clone(), ..Customer::default() };
        let mut bill = settle(input, &gone, lines, None)?;
        let (advice, month) = (advice(catalog, name), input.in_force.month);
        bill.held = Some(format!(
            "'{name}' is not in the catalog{advice}; then bill {month} again by the current catalog"
        ));
        bills.push(bill);
    }
    bills.sort_by(|a, b| a.customer.cmp(&b.customer));
    Ok(bills)
}

/// Corrections of earlier months and discounts that earlier bills carried over. Those of one month and key are one line.
fn from_before(input: &BillInput<'_>, is_theirs: impl Fn(&str) -> bool) -> Result<Vec<Line>, MoneyError> {
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    let mut add = |line: Line| {
        match lines.get_mut(&line.key) {
            Some(known) => {
                known.amount = money::add(known.amount, line.amount)?;
                known.difference = known.amount;
                known.exact = known.amount.into();
            }
            None => {
                lines.insert(line.key.clone(), line);
            }
        }
        Ok::<(), MoneyError>(())
    };
    for correction in input.corrections.iter().filter(|correction| is_theirs(&correction.customer)) {
        let key = format!("correction/{}/{}", correction.month, correction.key);
        let mut line = bare(key, LineKind::Correction, correction.name.clone(), correction.amount);
        line.product.clone_from(&correction.product);
        line.comment = format!("correction of {}", correction.month);
        line.rule = format!("the bills of {}, billed again", correction.month);
        add(line)?;
    }
    for carried in input.carried.iter().filter(|carried| is_theirs(&carried.customer)) {
        let name = format!("carried over from {}", carried.month);
        add(bare(format!("carried-in/{}", carried.month), LineKind::CarriedIn, name, carried.amount))?;
    }
    Ok(lines.into_values().collect())
}

/// A line that is nothing but an amount.
fn bare(key: String, kind: LineKind, name: String, amount: Decimal) -> Line {
    Line {
        key,
        kind,
        comment: name.clone(),
        name,
        provider: None,
        product: None,
        rule: "an earlier bill".to_owned(),
        costs: Vec::new(),
        items: Vec::new(),
        exact: amount.into(),
        amount,
        recovery: Recovery::default(),
        posted: Decimal::ZERO,
        difference: amount,
    }
}

fn settle(
    input: &BillInput<'_>,
    customer: &Customer,
    mut lines: Vec<Line>,
    posted: Option<&BTreeMap<String, Decimal>>,
) -> Result<Bill, BillsError> {
    let before = money::sum(lines.iter().map(|line| line.amount))?;
    // what the first run carried stays carried: the next bill has it; a revision's difference goes there in full
    let carry = match posted {
        Some(posted) => posted.get(CARRIED_OUT).copied().unwrap_or_default(),
        None if before < Decimal::ZERO => -before,
        None => Decimal::ZERO,
    };
    if !carry.is_zero() {
        let name = "carried over to the next month".to_owned();
        let mut line = bare(CARRIED_OUT.to_owned(), LineKind::CarriedOut, name, carry);
        line.rule = "a bill is never less than nothing".to_owned();
        lines.push(line);
    }
    for (key, amount) in posted.into_iter().flatten() {
        let known = lines.iter_mut().find(|line| line.key == *key);
        let line = match known {
            Some(line) => line,
            None if amount.is_zero() => continue,
            None => {
                let name = format!("no longer due: {key}");
                lines.push(bare(key.clone(), LineKind::Withdrawn, name, Decimal::ZERO));
                let Some(line) = lines.last_mut() else { continue };
                line
            }
        };
        line.posted = *amount;
        line.difference = money::sub(line.amount, *amount)?.normalize();
    }
    lines.sort_by(|a, b| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
    let other = input.only.filter(|only| *only != customer.name);
    let not_asked_for = other.map(|only| format!("only the bill of '{only}' was asked for"));
    Ok(Bill {
        customer: customer.name.clone(),
        formerly: customer.formerly.clone(),
        email: customer.email.clone(),
        cost_center: customer.cost_center.clone(),
        total: money::sum(lines.iter().map(|line| line.amount))?.normalize(),
        difference: money::sum(lines.iter().map(|line| line.difference))?.normalize(),
        carried_out: if carry.is_zero() { carry } else { -carry },
        is_first: posted.is_none(),
        is_asked_for: not_asked_for.is_none(),
        held: not_asked_for.or_else(|| hold(input.in_force.catalog, customer)),
        lines,
    })
}

fn hold(catalog: &Catalog, customer: &Customer) -> Option<String> {
    let pattern = catalog.cost_center_pattern.as_ref()?;
    let what = match &customer.cost_center {
        Some(center) if pattern.fits(center) => return None,
        Some(center) => {
            format!("cost_center '{center}' does not fit cost_center_pattern '{}'", pattern.as_str())
        }
        None => "there is no cost_center".to_owned(),
    };
    Some(format!(
        "customer '{}', line {}: {what}, correct it in the catalog",
        customer.name, customer.mark.line
    ))
}
