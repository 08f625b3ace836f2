//! The costs that bills are made of, as decimals that add up to the charges.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::adder::{Charged, Cost, Costs, Origin};
use super::placer::Place;
use super::recipient::Recipient;
use crate::catalog::billing::Catalog;
use crate::charges::round_to_total;
use crate::money::MoneyError;

/// Decimals of costs on their way to bills: far finer than any cent, and coarse enough for 10^16 units of any currency.
pub(super) const SCALE: u32 = 12;

/// By ISO 4217 code.
pub type Amounts = BTreeMap<&'static str, Decimal>;

/// The charges of a month, by place, with twelve decimals: each currency adds up to its charges, rounded there.
#[derive(Clone, Debug, Default)]
pub(super) struct Basis {
    pub(super) places: BTreeMap<Place, Amounts>,
    pub(super) unclaimed: BTreeMap<Origin, Amounts>,
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
    Origin(&'c Origin),
}

impl Whose<'_> {
    /// Ties of rounding go by names, so that the order of the catalog does not matter.
    fn key(&self, catalog: &Catalog) -> String {
        match self {
            Self::Place(place) => Recipient::Place(*place).label(catalog),
            Self::Origin(origin) => format!("unclaimed:{}", origin.label()),
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
            let unclaimed = charged
                .unclaimed
                .iter()
                .filter_map(|(origin, costs)| Some((Whose::Origin(origin), of(costs)?)));
            let all: Vec<(Whose<'_>, Cost)> = places.chain(unclaimed).collect();
            let keys: Vec<String> = all.iter().map(|(whose, _)| whose.key(catalog)).collect();
            let amounts: Vec<_> =
                keys.iter().zip(&all).map(|(key, (_, cost))| (key.as_str(), cost.amount)).collect();
            let total = total.amount.units(SCALE);
            let rounded = round_to_total(&amounts, total, SCALE).ok_or(MoneyError::Overflow)?;
            basis.total.insert(currency, decimal(total)?);
            for ((whose, _), units) in all.into_iter().zip(rounded) {
                let amounts = match whose {
                    Whose::Place(place) => basis.places.entry(place).or_default(),
                    Whose::Origin(origin) => basis.unclaimed.entry(origin.clone()).or_default(),
                };
                amounts.insert(currency, decimal(units)?);
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
