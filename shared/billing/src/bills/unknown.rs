//! Tags by which the catalog cannot decide, reported with what they cost: cost centres that are no customer's, whose charges stay with
//! the accounts' customers, and tags that cannot be read, whose charges are unallocated.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::adder::{Charged, Costs, add_all};
use super::placed_costs::SCALE;
use super::placer::Place;
use crate::catalog::billing::CostBasis;
use crate::certificate::decimal_text;
use crate::charges::Figures;
use crate::money::MoneyError;

/// What some charges cost in one currency, with up to twelve decimals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownCost {
    /// Their sum.
    #[serde(with = "decimal_text")]
    pub amount: Decimal,
    /// How many charges.
    pub charges: u64,
}

/// By ISO 4217 code.
pub type UnknownCosts = BTreeMap<String, UnknownCost>;

/// The cost centres of charges that are no customer's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownCostCenters {
    /// What all of them cost.
    pub total: UnknownCosts,
    /// What each costs: the first thousand in order of their values.
    pub named: BTreeMap<String, UnknownCosts>,
}

impl UnknownCostCenters {
    pub(super) fn of(charged: &Charged) -> Result<Self, MoneyError> {
        let named = charged.unknown_cost_centers.iter();
        let named = named.map(|(value, all)| Ok((value.clone(), costs(all, CostBasis::Billed)?)));
        Ok(Self {
            total: costs(&charged.unknown_cost, CostBasis::Billed)?,
            named: named.collect::<Result<_, MoneyError>>()?,
        })
    }

    /// Whether every cost centre is a customer's.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total.is_empty()
    }
}

/// What charges cost that are unallocated because their tags cannot be read.
pub(super) fn unread_tags(charged: &Charged, basis: CostBasis) -> Result<UnknownCosts, MoneyError> {
    let mut all = Costs::new();
    let mut unread = charged.by_origin.iter().filter(|((place, _), _)| *place == Place::Unread);
    unread.try_for_each(|(_, of)| add_all(&mut all, &of.costs))?;
    costs(&all, basis)
}

/// What charges cost in a basis.
pub(super) fn costs(all: &Costs, basis: CostBasis) -> Result<UnknownCosts, MoneyError> {
    let one = |(currency, figures): (&&str, &Figures)| {
        let amount = basis
            .of(figures.billed, figures.effective())
            .unwrap_or(figures.billed)
            .to_decimal(SCALE)?
            .normalize();
        Ok(((*currency).to_owned(), UnknownCost { amount, charges: figures.charges }))
    };
    all.iter().map(one).collect()
}
