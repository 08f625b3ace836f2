//! What was billed for a cost, and the difference by name: a proof that money comes back, not only that sums agree.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::money::{Exact, MoneyError};

/// A cost against what is billed for it, exact, in the catalog's currency:
/// `billed = cost - not_recovered + markups + prices + above_whole + rounding`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recovery {
    /// What it costs, at the month's rates.
    pub cost: Exact,
    /// What lines of bills say for it.
    pub billed: Exact,
    /// What of the cost nobody is billed, though it has a place: nobody uses it, or its prices come to less.
    #[serde(skip_serializing_if = "Exact::is_zero")]
    pub not_recovered: Exact,
    /// What percentages of the catalog add to costs; below 100 they take away.
    #[serde(skip_serializing_if = "Exact::is_zero")]
    pub markups: Exact,
    /// What the catalog's own prices add to costs.
    #[serde(skip_serializing_if = "Exact::is_zero")]
    pub prices: Exact,
    /// What is billed because quantities come to more than the whole.
    #[serde(skip_serializing_if = "Exact::is_zero")]
    pub above_whole: Exact,
    /// What rounding adds or takes away.
    #[serde(skip_serializing_if = "Exact::is_zero")]
    pub rounding: Exact,
}

impl Recovery {
    /// A cost that is billed by a percentage.
    pub(super) fn marked_up(cost: Exact, exact: Exact) -> Result<Self, MoneyError> {
        Ok(Self { cost, billed: exact, markups: exact.minus(cost)?, ..Self::default() })
    }

    /// The same after what was billed for it was rounded.
    pub(super) fn rounded(mut self, exact: Exact, amount: Decimal) -> Result<Self, MoneyError> {
        let rounding = Exact::from(amount).minus(exact)?;
        self.rounding = self.rounding.plus(rounding)?;
        self.billed = self.billed.plus(rounding)?;
        Ok(self)
    }

    /// Adds what nobody is billed.
    pub(super) fn lose(&mut self, amount: Exact) -> Result<(), MoneyError> {
        self.cost = self.cost.plus(amount)?;
        self.not_recovered = self.not_recovered.plus(amount)?;
        Ok(())
    }

    pub(super) fn add(&mut self, other: &Self) -> Result<(), MoneyError> {
        let Self { cost, billed, not_recovered, markups, prices, above_whole, rounding } = self;
        for (sum, one) in [
            (cost, other.cost),
            (billed, other.billed),
            (not_recovered, other.not_recovered),
            (markups, other.markups),
            (prices, other.prices),
            (above_whole, other.above_whole),
            (rounding, other.rounding),
        ] {
            *sum = sum.plus(one)?;
        }
        Ok(())
    }

    /// What the names come to: what must be billed.
    pub(super) fn named(&self) -> Result<Exact, MoneyError> {
        let sum = self.cost.minus(self.not_recovered)?.plus(self.markups)?.plus(self.prices)?;
        sum.plus(self.above_whole)?.plus(self.rounding)
    }
}

/// What a component's cost became.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentProof {
    /// The component's name.
    pub name: String,
    /// Its cost, before lines are rounded.
    #[serde(flatten)]
    pub recovery: Recovery,
    /// Why not all of it, or more than all of it, is billed, where nobody chose that in the catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What all costs became that have a place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryProof {
    /// Of all lines that pass costs on, rounded, with what nobody is billed.
    pub total: Recovery,
    /// Of components, in the order of the catalog.
    #[serde(default)]
    pub components: Vec<ComponentProof>,
    /// Costs whose lines all round to nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rounded_away: Vec<String>,
}
