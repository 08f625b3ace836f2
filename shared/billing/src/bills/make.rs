//! From sums of charges to bills.

use std::collections::BTreeMap;

use super::adder::Charged;
use super::certificate::{Made, RunCertificate};
use super::consumption;
use super::drivers::Drivers;
use super::fx::{Conversion, Rates};
use super::lines::{Bill, Carried, Correction, Posted};
use super::maker::Maker;
use super::placed_costs::{Amounts, PlacedCosts};
use super::placer::Place;
use super::pools::{Share, Sharing, Unallocated};
use super::problems::BillsError;
use super::recovery::Recovery;
use super::settle;
use super::unknown::{UnknownCostCenters, UnknownCosts};
use crate::catalog::billing::InForce;
use crate::money::Exact;
use crate::month::BillingMonth;

/// Everything that bills follow from.
#[derive(Clone, Copy, Debug)]
pub struct BillInput<'a> {
    /// The catalog as it applies to the month.
    pub in_force: &'a InForce<'a>,
    /// The charges of the month, of every provider.
    pub charged: &'a Charged,
    /// The drivers of the month.
    pub drivers: &'a Drivers,
    /// What earlier runs of the month posted.
    pub posted: &'a Posted,
    /// What revisions changed in earlier months and this bill is to show; a rerun of the month needs the same ones again.
    pub corrections: &'a [Correction],
    /// What earlier bills carried over and this bill is to take; a rerun of the month needs the same ones again.
    pub carried: &'a [Carried],
    /// Positions whose bills are not those of their months.
    pub late: &'a LatePositions,
    /// The only customer whose bill may go out; nothing for all of them.
    pub only: Option<&'a str>,
}

/// Positions that were written after their month was billed: they go on the next bill that is made. Places are those in the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatePositions {
    /// Of earlier months, and on these bills.
    pub here: Vec<usize>,
    /// Of this month, and on a later bill already.
    pub elsewhere: Vec<usize>,
    /// Of earlier months whose bills have others than the catalog: nobody can tell a new one from one that was changed, so these are on no
    /// bill until their month is billed again.
    pub changed: Vec<usize>,
    /// Of earlier months that have no bill.
    pub nowhere: Vec<usize>,
}

/// A component's costs against what its services pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentResult {
    /// Its name.
    pub name: String,
    /// Its charges and shares of pools, by currency.
    pub costs: Amounts,
    /// The same in the catalog's currency.
    pub cost: Exact,
    /// What of those costs nobody is billed, though services use it.
    pub rest: Amounts,
    /// Its costs against what services pay, before their lines are rounded.
    pub recovery: Recovery,
    /// Why not all of it, or more than all of it, is billed, where that comes to a minor unit.
    pub reason: Option<String>,
    /// Whether any service uses it; else its costs are unallocated.
    pub is_used: bool,
}

/// The bills of a month.
#[derive(Clone, Debug, PartialEq)]
pub struct BillRun {
    /// The month.
    pub month: BillingMonth,
    /// By customer.
    pub bills: Vec<Bill>,
    /// How pools were shared, with FOCUS's columns.
    pub shares: Vec<Share>,
    /// What nobody is billed, each with its reason.
    pub unallocated: Vec<Unallocated>,
    /// Costs and income of each component in force.
    pub components: Vec<ComponentResult>,
    /// The rates that were applied.
    pub conversions: Vec<Conversion>,
    /// Accounts and rules that no charge belonged to, with their lines in the catalog.
    pub idle_rules: Vec<String>,
    /// Cost centres of charges that are no customer's, and what they cost.
    pub unknown_cost_centers: UnknownCostCenters,
    /// What charges cost that are unallocated because their tags cannot be read.
    pub unread_tags: UnknownCosts,
    /// That nothing appeared or disappeared.
    pub certificate: RunCertificate,
}

/// Makes the bills of a month. The same input gives the same bills, in whatever order charges, rules of disjoint matches and targets came.
///
/// # Errors
/// [`BillsError::Incomplete`] names everything that is missing; then nothing is billed. Other errors are overflows, or faults of
/// this software that its own checks found.
pub fn make_bills(input: &BillInput<'_>) -> Result<BillRun, BillsError> {
    let BillInput { in_force, charged, drivers, .. } = *input;
    let catalog = in_force.catalog;
    check_rules(input)?;
    let mut problems = Vec::new();
    let placed = PlacedCosts::new(in_force, charged, &mut problems)?;
    let mut currencies: Vec<&'static str> =
        placed.places.values().flat_map(BTreeMap::keys).copied().collect();
    currencies.sort_unstable();
    currencies.dedup();
    let rates = Rates::new(catalog, in_force.month, currencies, &mut problems);
    let used = consumption::used(in_force, drivers, &mut problems);
    settle::unknown_customers(input, &mut problems);
    let shared = Sharing { in_force, placed: &placed, drivers, rates: &rates }.share(&mut problems)?;
    if !problems.is_empty() {
        problems.sort();
        problems.dedup();
        return Err(BillsError::Incomplete { month: in_force.month, problems });
    }
    let mut maker =
        Maker { input, placed: &placed, rates: &rates, used: &used, shared, lines: BTreeMap::new() };
    maker.accounts_and_allocations()?;
    maker.cost_centers()?;
    let components = maker.services()?;
    maker.shares_of_customers()?;
    maker.positions();
    let Maker { shared, lines, .. } = maker;
    let bills = settle::bills(input, lines)?;
    let unallocated = all_unallocated(&placed, shared.unallocated);
    let made = Made { placed: &placed, bills: &bills, unallocated: &unallocated, components: &components };
    let certificate = RunCertificate::new(input, &made, rates.all())?;
    Ok(BillRun {
        month: in_force.month,
        bills,
        shares: shared.shares,
        unallocated,
        components,
        conversions: rates.all().cloned().collect(),
        idle_rules: idle_rules(in_force, charged),
        unknown_cost_centers: certificate.unknown_cost_centers.clone(),
        unread_tags: certificate.unread_tags.clone(),
        certificate,
    })
}

fn check_rules(input: &BillInput<'_>) -> Result<(), BillsError> {
    let expected = (&input.in_force.catalog.version, input.in_force.month);
    match &input.charged.rules {
        Some((version, month)) if (version, *month) != expected => {
            let shown = |version: &str, month| format!("catalog {version} in {month}");
            let (found, expected) = (shown(version, *month), shown(expected.0, expected.1));
            Err(BillsError::OtherRules { found, expected })
        }
        None if !input.charged.total.is_empty() => {
            let expected = format!("catalog {} in {}", expected.0, expected.1);
            Err(BillsError::OtherRules { found: "rules that it does not name".to_owned(), expected })
        }
        _ => Ok(()),
    }
}

fn all_unallocated(placed: &PlacedCosts, mut unallocated: Vec<Unallocated>) -> Vec<Unallocated> {
    for ((place, origin), amounts) in &placed.by_origin {
        let reason = match place {
            Place::Unallocated => "no rule of the catalog claims these charges",
            Place::Unread => "the tags of these charges cannot be read, and the catalog decides by tags",
            _ => continue,
        };
        for (currency, amount) in amounts {
            let (what, reason) = (origin.label(), reason.to_owned());
            unallocated.push(Unallocated { what, currency, amount: *amount, reason });
        }
    }
    unallocated.sort();
    unallocated
}

fn idle_rules(in_force: &InForce<'_>, charged: &Charged) -> Vec<String> {
    let (catalog, month) = (in_force.catalog, in_force.month);
    let mut idle = Vec::new();
    let seen = |at: usize| {
        charged.places.keys().any(|place| matches!(place, Place::Account { account, .. } if *account == at))
    };
    for (at, account) in catalog.accounts.iter().enumerate().filter(|(_, a)| a.dated.covers(month)) {
        if !seen(at) {
            idle.push(Place::Account { account: at, customer: account.customer }.rule(catalog));
        }
    }
    let allocations = catalog.allocations.iter().enumerate().filter(|(_, rule)| rule.dated.covers(month));
    let components = catalog.components.iter().enumerate();
    let components = components.filter(|(_, c)| c.dated.covers(month) && c.matching.is_some());
    let pools =
        catalog.pools.iter().enumerate().filter(|(_, p)| p.dated.covers(month) && p.matching.is_some());
    let rules = allocations.map(|(at, _)| Place::Allocation(at));
    let rules = rules.chain(components.map(|(at, _)| Place::Component(at)));
    let rules = rules.chain(pools.map(|(at, _)| Place::Pool(at)));
    idle.extend(rules.filter(|place| !charged.places.contains_key(place)).map(|place| place.rule(catalog)));
    idle
}
