//! The costs that bills are made of, as decimals that add up to the charges.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::adder::{Charged, Costs, add_all};
use super::certificate::{BasisProof, RunCertificate};
use super::origin::Origin;
use super::placer::Place;
use super::problems::{BillProblem, BillsError};
use super::recipient::Recipient;
use crate::catalog::billing::{Catalog, CostBasis, InForce};
use crate::certificate::{CertificateError, Certified};
use crate::charges::Figures;
use crate::money::{self, Amount, MoneyError, round_to_total};

/// Decimals of costs on their way to bills: far finer than any cent, and coarse enough for 10^16 units of any currency.
pub(super) const SCALE: u32 = 12;

/// By ISO 4217 code.
pub type Amounts = BTreeMap<&'static str, Decimal>;

/// The charges of a month, by place, in the basis of each place, with twelve decimals: each currency adds up to its charges, rounded there.
#[derive(Clone, Debug, Default)]
pub(super) struct PlacedCosts {
    pub(super) places: BTreeMap<Place, Amounts>,
    /// Of places that are told apart by accounts: their parts. What belongs to a cost centre stands under its place, too.
    pub(super) by_origin: BTreeMap<(Place, Origin), Amounts>,
    /// In the basis of the pool that shares by them. Only for weights: these need not add up.
    over: BTreeMap<(usize, Place), Weight>,
    /// In the other basis than that of the place. Only for weights.
    other: BTreeMap<Place, Weight>,
    /// What all of them come to.
    total: Amounts,
    /// FOCUS `BilledCost` of all charges.
    pub(super) billed: Amounts,
    /// What is billed by its effective cost, if the catalog does that at all.
    pub(super) by_effective: BTreeMap<&'static str, BasisProof>,
}

/// What charges cost that a pool is shared by.
#[derive(Clone, Debug, Default)]
pub(super) struct Weight {
    pub(super) amounts: Amounts,
    /// How many of them do not say it, by currency.
    pub(super) unstated: BTreeMap<&'static str, u64>,
}

impl Weight {
    fn of(costs: &Costs, basis: CostBasis) -> Result<Self, MoneyError> {
        let mut weight = Self::default();
        for (currency, figures) in costs {
            match basis.of(figures.billed, figures.effective()) {
                Some(amount) => drop(weight.amounts.insert(currency, amount.to_decimal(SCALE)?)),
                None => drop(weight.unstated.insert(currency, figures.unstated())),
            }
        }
        Ok(weight)
    }
}

fn decimal(units: i128) -> Result<Decimal, MoneyError> {
    let decimal = Decimal::try_from_i128_with_scale(units, SCALE).map_err(|_| MoneyError::Overflow)?;
    Ok(decimal.normalize())
}

fn units(decimal: Decimal) -> i128 {
    let mut decimal = decimal;
    decimal.rescale(SCALE);
    decimal.mantissa()
}

enum Whose<'c> {
    Place(Place),
    Origin(Place, &'c Origin),
}

impl Whose<'_> {
    fn place(&self) -> Place {
        match self {
            Self::Place(place) | Self::Origin(place, _) => *place,
        }
    }

    /// Ties of rounding go by names, so that the order of the catalog does not matter.
    fn key(&self, catalog: &Catalog) -> String {
        match self {
            Self::Place(place) => Recipient::Place(*place).label(catalog),
            Self::Origin(Place::Unallocated, origin) => format!("unclaimed:{}", origin.label()),
            Self::Origin(place, origin) => {
                format!("{}:{}", Recipient::Place(*place).label(catalog), origin.label())
            }
        }
    }
}

/// Places some charges.
struct Placing<'a> {
    in_force: &'a InForce<'a>,
    charged: &'a Charged,
    problems: &'a mut Vec<BillProblem>,
}

impl Placing<'_> {
    /// The cost that counts; of charges that do not state it, what was billed, and a problem.
    fn chosen(&mut self, whose: &Whose<'_>, currency: &'static str, figures: &Figures) -> Amount {
        let basis = whose.place().basis(self.in_force);
        basis.of(figures.billed, figures.effective()).unwrap_or_else(|| {
            let catalog = self.in_force.catalog;
            let place = Recipient::Place(whose.place()).label_in(catalog, self.in_force.month);
            let place = match whose {
                Whose::Place(of) => format!("{place}, {}", of.rule(catalog)),
                Whose::Origin(_, origin) => format!("{} ({place})", origin.label()),
            };
            self.problems.push(BillProblem::NoEffectiveCost { place, charges: figures.unstated(), currency });
            figures.billed
        })
    }
}

impl PlacedCosts {
    /// Places all charges. What does not state the cost that counts is a problem.
    pub(super) fn new(
        in_force: &InForce<'_>,
        charged: &Charged,
        problems: &mut Vec<BillProblem>,
    ) -> Result<Self, BillsError> {
        let mut placing = Placing { in_force, charged, problems };
        let mut placed = Self::default();
        for (currency, total) in &charged.total {
            placed.place(currency, total, &mut placing)?;
        }
        placed.weights(in_force, charged)?;
        if in_force.catalog.bills_effective_costs() {
            charged.commitments.mixed(in_force, placing.problems)?;
            placed.prove(in_force, charged)?;
        }
        Ok(placed)
    }

    /// The charges in one currency.
    fn place(
        &mut self,
        currency: &'static str,
        total: &Figures,
        placing: &mut Placing<'_>,
    ) -> Result<(), BillsError> {
        let (in_force, charged) = (placing.in_force, placing.charged);
        let of = |costs: &Costs| costs.get(currency).copied();
        let places =
            charged.places.iter().filter_map(|(place, costs)| Some((Whose::Place(*place), of(costs)?)));
        let by_origin = charged.by_origin.iter().filter_map(|((place, _), apart)| {
            Some((Whose::Origin(*place, &apart.origin), of(&apart.costs)?))
        });
        let all: Vec<(Whose<'_>, Figures)> = places.chain(by_origin).collect();
        let (mut sum, mut chosen) = (Figures::default(), Amount::ZERO);
        let mut amounts = Vec::with_capacity(all.len());
        for (whose, figures) in &all {
            let amount = placing.chosen(whose, currency, figures);
            sum.add(figures)?;
            chosen = chosen.checked_add(amount)?;
            amounts.push((whose.key(in_force.catalog), amount));
        }
        if !sum.equals(total)? {
            let law = format!("charges in {currency} = charges by place").into();
            let [left, right] = [total, &sum].map(|of| of.billed.to_string());
            return Err(CertificateError::Broken { of: RunCertificate::OF, law, left, right }.into());
        }
        let amounts: Vec<_> = amounts.iter().map(|(key, amount)| (key.as_str(), *amount)).collect();
        let total_units = chosen.units(SCALE);
        let rounded = round_to_total(&amounts, total_units, SCALE).ok_or(MoneyError::Overflow)?;
        self.total.insert(currency, decimal(total_units)?);
        self.billed.insert(currency, decimal(total.billed.units(SCALE))?);
        for ((whose, _), units) in all.into_iter().zip(rounded) {
            let amount = decimal(units)?;
            match whose {
                Whose::Place(place) => {
                    self.places.entry(place).or_default().insert(currency, amount);
                }
                Whose::Origin(place, origin) => {
                    let amounts = self.by_origin.entry((place, origin.clone())).or_default();
                    amounts.insert(currency, amount);
                    if matches!(place, Place::CostCenter(_)) {
                        let sum = self.places.entry(place).or_default().entry(currency).or_default();
                        *sum = money::add(*sum, amount)?.normalize();
                    }
                }
            }
        }
        Ok(())
    }

    /// What pools are shared by, in the basis that each asks for.
    fn weights(&mut self, in_force: &InForce<'_>, charged: &Charged) -> Result<(), MoneyError> {
        for ((pool, place), costs) in &charged.over {
            let weight = Weight::of(costs, basis_of_weights(in_force, *pool))?;
            self.over.insert((*pool, *place), weight);
        }
        if !in_force.catalog.bills_effective_costs() {
            return Ok(());
        }
        let mut all: BTreeMap<Place, Costs> = charged.places.clone();
        let by_origin = charged.by_origin.iter().map(|((place, _), of)| (*place, &of.costs));
        for (place, costs) in by_origin.filter(|(place, _)| matches!(place, Place::CostCenter(_))) {
            add_all(all.entry(place).or_default(), costs)?;
        }
        for (place, costs) in all {
            let other = match place.basis(in_force) {
                CostBasis::Billed => CostBasis::Effective,
                CostBasis::Effective => CostBasis::Billed,
            };
            self.other.insert(place, Weight::of(&costs, other)?);
        }
        Ok(())
    }

    /// What charges cost by which a pool is shared, by place.
    pub(super) fn weights_of(&self, in_force: &InForce<'_>, pool: usize) -> BTreeMap<Place, Weight> {
        let first = Place::Account { account: 0, customer: 0 };
        if in_force.catalog.pools.get(pool).is_some_and(|pool| pool.over.is_some()) {
            let over = self.over.range((pool, first)..(pool + 1, first));
            return over.map(|((_, place), weight)| (*place, weight.clone())).collect();
        }
        let basis = basis_of_weights(in_force, pool);
        let of = |(place, amounts): (&Place, &Amounts)| {
            let own = || Weight { amounts: amounts.clone(), ..Weight::default() };
            let other = self.other.get(place).filter(|_| place.basis(in_force) != basis);
            (*place, other.cloned().unwrap_or_else(own))
        };
        self.places.iter().map(of).collect()
    }

    /// Both sums of what is billed by its effective cost, and the difference by category.
    fn prove(&mut self, in_force: &InForce<'_>, charged: &Charged) -> Result<(), BillsError> {
        let mut differences = charged.commitments.differences(in_force)?;
        let places = charged.places.iter().map(|(place, costs)| (*place, costs));
        let by_origin = charged.by_origin.iter().map(|((place, _), of)| (*place, &of.costs));
        let mut sums = Costs::new();
        for (place, costs) in places.chain(by_origin) {
            if !place.basis(in_force).is_billed() {
                add_all(&mut sums, costs)?;
            }
        }
        for (currency, total) in &charged.total {
            let of = |amounts: &Amounts| amounts.get(currency).copied().unwrap_or_default();
            let difference = money::sub(of(&self.total), of(&self.billed))?.normalize();
            let billed = sums.get(currency).map(|sum| sum.billed).unwrap_or_default();
            let billed = billed.to_decimal(SCALE)?.normalize();
            let categories: Vec<(&str, Amount)> =
                differences.remove(currency).unwrap_or_default().into_iter().collect();
            let rounded =
                round_to_total(&categories, units(difference), SCALE).ok_or(MoneyError::Overflow)?;
            let named = categories
                .iter()
                .zip(rounded)
                .map(|((category, _), units)| Ok(((*category).to_owned(), decimal(units)?)));
            let proof = BasisProof {
                effective_total: total
                    .effective()
                    .map(|total| total.to_decimal(SCALE))
                    .transpose()?
                    .map(|total| total.normalize()),
                billed,
                effective: money::add(billed, difference)?.normalize(),
                difference,
                by_category: named.collect::<Result<_, MoneyError>>()?,
            };
            self.by_effective.insert(currency, proof);
        }
        Ok(())
    }
}

/// Which cost of its targets a pool is shared by.
pub(super) fn basis_of_weights(in_force: &InForce<'_>, pool: usize) -> CostBasis {
    let weighed = in_force.catalog.pools.get(pool).and_then(|pool| pool.weighed);
    weighed.unwrap_or_else(|| Place::Pool(pool).basis(in_force))
}
