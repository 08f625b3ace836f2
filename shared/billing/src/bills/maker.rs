//! The lines of all bills, from shared costs and prices.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::consumption::{self, Divided, Division, UnitPrice, Used};
use super::fx::{Conversion, Rates};
use super::lines::{CostPart, Item, Line, LineKind};
use super::make::{BillInput, ComponentResult};
use super::placed_costs::{Amounts, PlacedCosts};
use super::placer::Place;
use super::pools::{Shared, Unallocated};
use super::problems::BillsError;
use super::recipient::Recipient;
use super::recovery::Recovery;
use crate::catalog::billing::Mark;
use crate::money::{self, Exact, MoneyError, minor_digits};

/// Decimals of prices and costs in comments; items and costs have all of them.
const SHOWN: u32 = 4;

pub(super) struct Maker<'a> {
    pub(super) input: &'a BillInput<'a>,
    pub(super) placed: &'a PlacedCosts,
    pub(super) rates: &'a Rates,
    pub(super) used: &'a [Used<'a>],
    pub(super) shared: Shared,
    /// By place of the customer in the catalog.
    pub(super) lines: BTreeMap<usize, Vec<Line>>,
}

/// What is the same for every kind of line.
struct Draft {
    key: String,
    kind: LineKind,
    name: String,
    provider: Option<String>,
    product: Option<String>,
    rule: String,
}

impl Draft {
    fn line(
        self,
        comment: String,
        costs: Vec<CostPart>,
        items: Vec<Item>,
        exact: Exact,
        amount: Decimal,
        recovery: Recovery,
    ) -> Line {
        let Self { key, kind, name, provider, product, rule } = self;
        let (posted, difference) = (Decimal::ZERO, amount);
        Line {
            key,
            kind,
            name,
            provider,
            product,
            comment,
            rule,
            costs,
            items,
            exact,
            amount,
            recovery,
            posted,
            difference,
        }
    }
}

/// A service's line in the making.
#[derive(Default)]
struct ServiceDraft {
    items: Vec<Item>,
    costs: Vec<CostPart>,
    recovery: Recovery,
}

impl ServiceDraft {
    /// The items of a component.
    fn of(&self, component: usize) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.component == Some(component))
    }

    /// What it pays for a component, against its part of the costs.
    fn recovered(&self, component: usize, cost: Exact, division: &Division) -> Result<Recovery, MoneyError> {
        let mut found = Recovery { cost, ..Recovery::default() };
        let mut stands_for = Exact::ZERO;
        for item in self.of(component) {
            found.billed = found.billed.plus(item.amount)?;
            found.prices = found.prices.plus(item.amount.minus(item.passed_on)?)?;
            found.markups = found.markups.plus(item.passed_on.minus(item.cost)?)?;
            stands_for = stands_for.plus(item.cost)?;
        }
        let beyond = stands_for.minus(cost)?;
        match (division.by_quantity, division.is_above, division.is_short) {
            (true, true, _) => found.above_whole = beyond,
            // costs are divided to twelve decimals
            (true, false, _) => found.rounding = beyond,
            // prices stand for the costs: all of them, or as far as they go
            (false, _, false) => found.prices = found.prices.plus(beyond)?,
            (false, _, true) => {
                found.rounding = found.prices.plus(beyond)?;
                found.prices = Exact::ZERO;
            }
        }
        Ok(found)
    }
}

impl Maker<'_> {
    fn push(&mut self, customer: usize, line: Line) {
        self.lines.entry(customer).or_default().push(line);
    }

    fn round(&self, exact: Exact) -> Result<Decimal, MoneyError> {
        self.input.in_force.catalog.rounding.round(exact, self.input.in_force.catalog.currency)
    }

    /// Own charges and shares of pools, and both added up by currency.
    fn costs(&self, place: Place) -> Result<(Vec<CostPart>, Amounts), MoneyError> {
        let mut parts = Vec::new();
        for (currency, amount) in self.placed.places.get(&place).into_iter().flatten() {
            let costs = self.input.charged.places.get(&place).and_then(|costs| costs.get(currency));
            let charges = costs.map_or(0, |cost| cost.charges);
            let part = self.part("charges".to_owned(), place, charges, currency, *amount);
            parts.extend(part);
        }
        parts.extend(self.shares(Recipient::Place(place)));
        let total = sum(&parts)?;
        Ok((parts, total))
    }

    fn shares(&self, recipient: Recipient) -> Vec<CostPart> {
        let catalog = self.input.in_force.catalog;
        let part = |(pool, amounts): (usize, &Amounts)| {
            let source = Recipient::Place(Place::Pool(pool)).label(catalog);
            let parts = amounts.iter().filter_map(|(currency, amount)| {
                self.part(source.clone(), Place::Pool(pool), 0, currency, *amount)
            });
            parts.collect::<Vec<_>>()
        };
        let mut parts: Vec<CostPart> = self.shared.of(recipient).flat_map(part).collect();
        in_order(&mut parts);
        parts
    }

    /// Nothing if there is no rate; that ended the run before.
    fn part(
        &self,
        source: String,
        place: Place,
        charges: u64,
        currency: &str,
        amount: Decimal,
    ) -> Option<CostPart> {
        let in_force = self.input.in_force;
        let (rule, basis) = (place.rule(in_force.catalog), place.basis(in_force));
        let conversion = self.rates.of(currency)?.clone();
        Some(CostPart { source, rule, basis, charges, amount, conversion })
    }

    pub(super) fn accounts_and_allocations(&mut self) -> Result<(), BillsError> {
        let catalog = self.input.in_force.catalog;
        let received = self.shared.received.keys().filter_map(|recipient| match recipient {
            Recipient::Place(place) => Some(*place),
            _ => None,
        });
        let mut places: Vec<Place> = self.placed.places.keys().copied().chain(received).collect();
        places.sort();
        places.dedup();
        for place in places {
            let (customer, percentage, draft) = match place {
                Place::Account { account: at, customer } => {
                    let account = &catalog.accounts[at];
                    let days = account.dated.days_in(self.input.in_force.month);
                    let draft = Draft {
                        key: format!("account/{}/{}{}", account.provider, account.key(), in_key(&days)),
                        kind: LineKind::Account,
                        name: format!("{}{}", account.label(), in_name(&days)),
                        provider: Some(account.provider.clone()),
                        product: account.product.clone(),
                        rule: place.rule(catalog),
                    };
                    (customer, account.percentage, draft)
                }
                Place::Allocation(at) => {
                    let rule = &catalog.allocations[at];
                    let days = rule.dated.days_in(self.input.in_force.month);
                    let draft = Draft {
                        key: format!("allocation/{}{}", rule.name, in_key(&days)),
                        kind: LineKind::Allocation,
                        name: format!("{}{}", rule.name, in_name(&days)),
                        provider: None,
                        product: rule.product.clone(),
                        rule: place.rule(catalog),
                    };
                    (rule.customer, rule.percentage, draft)
                }
                _ => continue,
            };
            let (costs, amounts) = self.costs(place)?;
            let cost = self.rates.convert(&amounts)?;
            let exact = cost.percent(percentage)?;
            let comment = format!("{percentage} % of {}", shown(&costs));
            let amount = self.round(exact)?;
            let recovery = Recovery::marked_up(cost, exact)?.rounded(exact, amount)?;
            self.push(customer, draft.line(comment, costs, Vec::new(), exact, amount, recovery));
        }
        Ok(())
    }

    /// What customers pay by their cost centres alone: a line for each account, at what it costs.
    pub(super) fn cost_centers(&mut self) -> Result<(), BillsError> {
        let (catalog, placed) = (self.input.in_force.catalog, self.placed);
        for ((place, origin), amounts) in &placed.by_origin {
            let Place::CostCenter(customer) = *place else { continue };
            let counted = self.input.charged.by_origin.get(&(*place, origin.key()));
            let counted = |currency: &str| counted.and_then(|of| of.costs.get(currency));
            let part = |(currency, amount): (&&'static str, &Decimal)| {
                let charges = counted(currency).map_or(0, |cost| cost.charges);
                self.part("charges".to_owned(), *place, charges, currency, *amount)
            };
            let costs: Vec<CostPart> = amounts.iter().filter_map(part).collect();
            let draft = Draft {
                key: origin.line_key(),
                kind: LineKind::Account,
                name: origin.account.clone().unwrap_or_else(|| origin.billing_account.clone()),
                provider: Some(origin.provider.clone()),
                product: None,
                rule: place.rule(catalog),
            };
            let exact = self.rates.convert(&sum(&costs)?)?;
            let center = catalog.customers[customer].cost_center.as_deref().unwrap_or_default();
            let comment = format!("100 % of {}, tagged with cost centre {center}", shown(&costs));
            let amount = self.round(exact)?;
            let recovery = Recovery::marked_up(exact, exact)?.rounded(exact, amount)?;
            self.push(customer, draft.line(comment, costs, Vec::new(), exact, amount, recovery));
        }
        Ok(())
    }

    pub(super) fn services(&mut self) -> Result<Vec<ComponentResult>, BillsError> {
        let in_force = self.input.in_force;
        let catalog = in_force.catalog;
        let (mut all_costs, mut prices) = (BTreeMap::new(), BTreeMap::new());
        for (at, component) in catalog.components.iter().enumerate() {
            if component.dated.covers(in_force.month) {
                let (_, costs) = self.costs(Place::Component(at))?;
                let cost = self.rates.convert(&costs)?;
                prices.insert(at, UnitPrice::new(component, cost)?);
                all_costs.insert(at, (costs, cost));
            }
        }
        let mut drafts = BTreeMap::new();
        for at in in_force.services() {
            let items = consumption::items(at, self.used, in_force, &prices)?;
            drafts.insert(at, ServiceDraft { items, ..ServiceDraft::default() });
        }
        let mut results = Vec::new();
        for (at, (costs, cost)) in all_costs {
            results.push(self.component(at, costs, cost, &mut drafts)?);
        }
        for at in in_force.services() {
            let draft = drafts.remove(&at).unwrap_or_default();
            self.service(at, draft)?;
        }
        Ok(results)
    }

    /// Divides a component's costs among the services that use it, and tells cost from what they pay.
    fn component(
        &mut self,
        at: usize,
        costs: Amounts,
        cost: Exact,
        drafts: &mut BTreeMap<usize, ServiceDraft>,
    ) -> Result<ComponentResult, BillsError> {
        let in_force = self.input.in_force;
        let component = &in_force.catalog.components[at];
        let mut paid = BTreeMap::new();
        for (service, draft) in drafts.iter() {
            let sum = draft.of(at).try_fold(Exact::ZERO, |sum, item| sum.plus(item.amount))?;
            paid.insert(*service, sum);
        }
        let divided = Divided { at, costs: &costs, cost, paid: &paid };
        let division = divided.divide(self.used, in_force)?;
        let (name, is_used) = (component.name.clone(), division.is_some());
        let source = Recipient::Place(Place::Component(at)).label(in_force.catalog);
        if !is_used {
            let rest = costs.iter().filter(|(_, amount)| !amount.is_zero());
            let rest = rest.map(|(currency, amount)| Unallocated {
                what: source.clone(),
                currency,
                amount: *amount,
                reason: "no service uses this component".to_owned(),
            });
            self.shared.unallocated.extend(rest);
        }
        let division = division.unwrap_or_default();
        let mut recovery = Recovery::default();
        for (service, draft) in drafts.iter_mut() {
            let of = |from: &BTreeMap<usize, Amounts>| from.get(service).cloned().unwrap_or_default();
            let (used, spread) = (of(&division.used), of(&division.spread));
            if !spread.is_empty() {
                let cost = self.rates.convert(&spread)?;
                let percent = component.price.percent_of_cost;
                let amount = if percent.is_zero() { cost } else { cost.percent(percent)? };
                let what = format!("{name} (what nobody uses)");
                let (component, quantity, price, passed_on) = (Some(at), Decimal::ONE, amount, amount);
                draft.items.push(Item { component, what, quantity, price, amount, cost, passed_on });
            }
            let mut own = Exact::ZERO;
            for amounts in [used, spread] {
                own = own.plus(self.rates.convert(&amounts)?)?;
                for (currency, amount) in amounts {
                    draft.costs.extend(self.part(source.clone(), Place::Component(at), 0, currency, amount));
                }
            }
            let part = draft.recovered(at, own, &division)?;
            draft.recovery.add(&part)?;
            recovery.add(&part)?;
        }
        recovery.lose(self.rates.convert(&division.rest)?)?;
        let digits = minor_digits(in_force.catalog.currency);
        let counts = |amount: Exact| Ok::<_, MoneyError>(!amount.round_half_away(digits)?.is_zero());
        let is_left = counts(recovery.not_recovered)?;
        let is_astray = is_left || counts(recovery.above_whole)?;
        let reason = match division.by_quantity {
            true if is_astray => Some(consumption::not_whole(at, self.used, self.input.drivers, in_force)?),
            false if is_left => Some("its prices come to less than its costs".to_owned()),
            _ => None,
        };
        let rest = division.rest;
        Ok(ComponentResult { name, costs, cost, is_used, rest, recovery, reason })
    }

    fn service(&mut self, at: usize, draft: ServiceDraft) -> Result<(), BillsError> {
        let ServiceDraft { mut items, mut costs, mut recovery } = draft;
        let service = &self.input.in_force.catalog.services[at];
        for part in self.shares(Recipient::Service(at)) {
            let amount = Exact::from(part.amount).times(part.conversion.rate)?;
            let (what, quantity) = (part.source.clone(), Decimal::ONE);
            let (component, price, cost, passed_on) = (None, amount, amount, amount);
            items.push(Item { component, what, quantity, price, amount, cost, passed_on });
            recovery.add(&Recovery::marked_up(amount, amount)?)?;
            costs.push(part);
        }
        in_order(&mut costs);
        let exact = items.iter().try_fold(Exact::ZERO, |sum, item| sum.plus(item.amount))?;
        let described = items.iter().map(|item| {
            Ok(format!("{} {} x {}", item.what, item.quantity, item.price.round_half_away(SHOWN)?))
        });
        let comment = described.collect::<Result<Vec<_>, MoneyError>>()?.join("; ");
        let draft = Draft {
            key: format!("service/{}", service.name),
            kind: LineKind::Service,
            name: service.name.clone(),
            provider: None,
            product: service.product.clone(),
            rule: format!("services[{at}], line {}", service.mark.line),
        };
        let amount = self.round(exact)?;
        let recovery = recovery.rounded(exact, amount)?;
        self.push(service.customer, draft.line(comment, costs, items, exact, amount, recovery));
        Ok(())
    }

    pub(super) fn shares_of_customers(&mut self) -> Result<(), BillsError> {
        let customers = self.shared.received.keys().filter_map(|recipient| match recipient {
            Recipient::Customer(at) => Some(*at),
            _ => None,
        });
        let customers: Vec<usize> = customers.collect();
        for customer in customers {
            let parts = self.shares(Recipient::Customer(customer));
            let mut by_pool: BTreeMap<(String, String), Vec<CostPart>> = BTreeMap::new();
            for part in parts {
                by_pool.entry((part.source.clone(), part.rule.clone())).or_default().push(part);
            }
            for ((source, rule), costs) in by_pool {
                let exact = self.rates.convert(&sum(&costs)?)?;
                let name = source.strip_prefix("pool:").unwrap_or(&source).to_owned();
                let draft = Draft {
                    key: format!("share/{name}"),
                    kind: LineKind::Share,
                    name,
                    provider: None,
                    product: None,
                    rule,
                };
                let comment = format!("share of {}", shown(&costs));
                let amount = self.round(exact)?;
                let recovery = Recovery::marked_up(exact, exact)?.rounded(exact, amount)?;
                self.push(customer, draft.line(comment, costs, Vec::new(), exact, amount, recovery));
            }
        }
        Ok(())
    }

    pub(super) fn positions(&mut self) {
        let (in_force, late) = (self.input.in_force, self.input.late);
        for (at, position) in in_force.catalog.positions.iter().enumerate() {
            let is_late = late.here.contains(&at);
            let is_here = position.month == in_force.month && !late.elsewhere.contains(&at);
            if !is_late && !is_here {
                continue;
            }
            let (key, name) = match is_late {
                true => (position.late_key(), format!("{} ({})", position.reason, position.month)),
                false => (position.key(), position.reason.clone()),
            };
            let draft = Draft {
                key,
                kind: LineKind::Position,
                name,
                provider: None,
                product: position.product.clone(),
                rule: format!("positions[{at}], line {}", position.mark.line),
            };
            let (exact, amount) = (position.amount.into(), position.amount);
            let (comment, none) = (position.reason.clone(), Recovery::default());
            self.push(position.customer, draft.line(comment, Vec::new(), Vec::new(), exact, amount, none));
        }
    }
}

fn in_key(days: &Option<String>) -> String {
    days.iter().map(|days| format!("/{days}")).collect()
}

fn in_name(days: &Option<String>) -> String {
    days.iter().map(|days| format!(" ({days})")).collect()
}

/// By names, so that the order of the catalog does not matter.
fn in_order(parts: &mut [CostPart]) {
    parts.sort_by(|a, b| (&a.source, a.conversion.currency).cmp(&(&b.source, b.conversion.currency)));
}

fn sum(parts: &[CostPart]) -> Result<Amounts, MoneyError> {
    let mut total = Amounts::new();
    for part in parts {
        let sum = total.entry(part.conversion.currency).or_default();
        *sum = money::add(*sum, part.amount)?.normalize();
    }
    Ok(total)
}

/// Costs in words: `100 USD at 0.8812 (manual, 2026-10) + 12.5 CHF`.
fn shown(costs: &[CostPart]) -> String {
    if costs.is_empty() {
        return "nothing".to_owned();
    }
    let described = costs.iter().map(|part| {
        let Conversion { currency, rate, source, month, mark } = &part.conversion;
        let mut text = format!("{} {currency}", part.amount.round_dp(SHOWN).normalize());
        if !part.basis.is_billed() {
            text.push_str(" (effective cost)");
        }
        if *mark != Mark::default() {
            let source = source.as_deref().unwrap_or("catalog");
            text = format!("{text} at {rate} ({source}, {month})");
        }
        if part.source == "charges" { text } else { format!("{text} of {}", part.source) }
    });
    described.collect::<Vec<_>>().join(" + ")
}
