//! The costs that bills are made of, as decimals that add up to the charges.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::adder::{Charged, Cost, Costs};
use super::origin::Origin;
use super::placer::Place;
use super::recipient::Recipient;
use crate::catalog::billing::Catalog;
use crate::charges::round_to_total;
use crate::money::{self, MoneyError};

/// Decimals of costs on their way to bills: far finer than any cent, and coarse enough for 10^16 units of any currency.
pub(super) const SCALE: u32 = 12;

/// By ISO 4217 code.
pub type Amounts = BTreeMap<&'static str, Decimal>;

/// The charges of a month, by place, with twelve decimals: each currency adds up to its charges, rounded there.
#[derive(Clone, Debug, Default)]
pub(super) struct Basis {
    pub(super) places: BTreeMap<Place, Amounts>,
    /// Of places that are told apart by accounts: their parts. What belongs to a cost centre stands under its place, too.
    pub(super) by_origin: BTreeMap<(Place, Origin), Amounts>,
    /// Only for weights: these need not add up.
    pub(super) over: BTreeMap<(usize, Place), Amounts>,
    pub(super) total: Amounts,
}

fn decimal(units: i128) -> Result<Decimal, MoneyError> {
    let decimal = Decimal::try_from_i128_with_scale(units, SCALE).map_err(|_| MoneyError::Overflow)?;
    Ok(decimal.normalize())
}

enum Whose<'c> {
    Place(Place),
    Origin(Place, &'c Origin),
}

impl Whose<'_> {
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

impl Basis {
    pub(super) fn new(catalog: &Catalog, charged: &Charged) -> Result<Self, MoneyError> {
        let mut basis = Self::default();
        for (currency, total) in &charged.total {
            let of = |costs: &Costs| costs.get(currency).copied();
            let places =
                charged.places.iter().filter_map(|(place, costs)| Some((Whose::Place(*place), of(costs)?)));
            let by_origin = charged.by_origin.iter().filter_map(|((place, _), apart)| {
                Some((Whose::Origin(*place, &apart.origin), of(&apart.costs)?))
            });
            let all: Vec<(Whose<'_>, Cost)> = places.chain(by_origin).collect();
            let keys: Vec<String> = all.iter().map(|(whose, _)| whose.key(catalog)).collect();
            let amounts: Vec<_> =
                keys.iter().zip(&all).map(|(key, (_, cost))| (key.as_str(), cost.amount)).collect();
            let total = total.amount.units(SCALE);
            let rounded = round_to_total(&amounts, total, SCALE).ok_or(MoneyError::Overflow)?;
            basis.total.insert(currency, decimal(total)?);
            for ((whose, _), units) in all.into_iter().zip(rounded) {
                let amount = decimal(units)?;
                match whose {
                    Whose::Place(place) => {
                        basis.places.entry(place).or_default().insert(currency, amount);
                    }
                    Whose::Origin(place, origin) => {
                        let amounts = basis.by_origin.entry((place, origin.clone())).or_default();
                        amounts.insert(currency, amount);
                        if matches!(place, Place::CostCenter(_)) {
                            let sum = basis.places.entry(place).or_default().entry(currency).or_default();
                            *sum = money::add(*sum, amount)?.normalize();
                        }
                    }
                }
            }
        }
        for (key, costs) in &charged.over {
            let amounts =
                costs.iter().map(|(currency, cost)| Ok((*currency, cost.amount.to_decimal(SCALE)?)));
            basis.over.insert(*key, amounts.collect::<Result<Amounts, MoneyError>>()?);
        }
        Ok(basis)
    }
}
