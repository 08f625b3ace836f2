//! Costs of other currencies in the catalog's, with where each rate comes from.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::problems::BillProblem;
use crate::catalog::billing::{Catalog, Mark};
use crate::money::{Exact, MoneyError};
use crate::month::BillingMonth;

/// A rate that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// ISO 4217 code of what was converted.
    pub currency: &'static str,
    /// What one unit is worth in the catalog's currency.
    pub rate: Decimal,
    /// Where the catalog has it from; nothing for the catalog's own currency.
    pub source: Option<String>,
    /// The month of the rate.
    pub month: BillingMonth,
    /// Where it stands in the catalog; line 0 for the catalog's own currency.
    pub mark: Mark,
}

/// The rates of a month.
#[derive(Debug)]
pub(super) struct Rates {
    conversions: BTreeMap<&'static str, Conversion>,
}

impl Rates {
    /// The rates of the currencies in which there are costs; what is missing is a problem, never a guess.
    pub(super) fn new(
        catalog: &Catalog,
        month: BillingMonth,
        currencies: impl IntoIterator<Item = &'static str>,
        problems: &mut Vec<BillProblem>,
    ) -> Self {
        let own = catalog.currency.code();
        let rates = catalog.fx.rates.get(&month);
        let mut conversions = BTreeMap::new();
        for currency in currencies {
            let listed = rates.and_then(|rates| rates.get(currency));
            let (rate, source, mark) = match listed {
                _ if currency == own => (Decimal::ONE, None, Mark::default()),
                Some(listed) => (listed.rate, catalog.fx.source.clone(), listed.mark),
                None => {
                    problems.push(BillProblem::MissingRate { currency, month, into: own });
                    continue;
                }
            };
            conversions.insert(currency, Conversion { currency, rate, source, month, mark });
        }
        Self { conversions }
    }

    pub(super) fn of(&self, currency: &str) -> Option<&Conversion> {
        self.conversions.get(currency)
    }

    /// The amounts in the catalog's currency, exactly.
    pub(super) fn convert(&self, amounts: &BTreeMap<&'static str, Decimal>) -> Result<Exact, MoneyError> {
        amounts.iter().try_fold(Exact::ZERO, |sum, (currency, amount)| {
            // a currency without a rate ended the run before
            let rate = self.of(currency).map_or(Decimal::ZERO, |conversion| conversion.rate);
            sum.plus(Exact::from(*amount).times(rate)?)
        })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Conversion> {
        self.conversions.values()
    }
}
