//! One movement of money, and how a payment covers the items of its invoice.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::account::Account;
use super::figures::{add, rounded, sum};
use super::problem::Problem;
use crate::money::{ApportionError, Currency, apportion, minor_digits, sub};

/// Money that went from one account to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement<'a> {
    /// Unique in the journal.
    pub id: Cow<'a, str>,
    /// When.
    pub date: DateTime<Utc>,
    /// Place of the client in the offer.
    pub client: usize,
    /// From where.
    pub source: Account,
    /// To where.
    pub destination: Account,
    /// How much, not negative, gross, in minor units of the currency at the finest.
    pub amount: Decimal,
    /// ISO 4217.
    pub currency: Currency,
    /// What was paid or refunded; only of payments and refunds.
    pub invoice: Option<Invoice<'a>>,
    /// Whether it is the credit that a client had before.
    pub opening: bool,
}

/// The invoice of a payment or a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice<'a> {
    /// Its number.
    pub id: Cow<'a, str>,
    /// Its items, in its order.
    pub items: Vec<Item<'a>>,
}

/// One item, and the part of it that the payment covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Unique in the invoice.
    pub id: Cow<'a, str>,
    /// Place of the service in the offer; nothing if it is for no service.
    pub service: Option<usize>,
    /// The biller's word for it.
    pub item_type: Cow<'a, str>,
    /// Net, by the invoice.
    pub amount: Decimal,
    /// By the invoice.
    pub taxes_amount: Decimal,
    /// Taxes in percent of the net amount.
    pub taxes_percent: Decimal,
    /// Net, paid or refunded.
    pub net: Decimal,
    /// Taxes paid or refunded.
    pub taxes: Decimal,
}

/// Which way money went between a client and an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Payment,
    Refund,
}

/// The direction of a movement between these accounts; nothing if it pays no invoice.
pub(super) fn direction(source: Account, destination: Account) -> Option<Direction> {
    match (source, destination) {
        (source, Account::Invoice) if source.pays() => Some(Direction::Payment),
        (Account::Invoice, destination) if destination.pays() => Some(Direction::Refund),
        _ => None,
    }
}

impl Movement<'_> {
    pub(super) fn direction(&self) -> Option<Direction> {
        direction(self.source, self.destination)
    }
}

/// A part of an invoice, by which ties between equal fractions are settled.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Part<'i> {
    item: &'i str,
    taxes: bool,
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.item, if self.taxes { " (taxes)" } else { "" })
    }
}

impl Invoice<'_> {
    /// Spreads an amount over the items and their taxes: a full payment gives each as it is, a part of one is apportioned, and either
    /// adds up exactly. Negative items (discounts) share what they take off in the same proportion.
    pub(super) fn cover(&mut self, amount: Decimal, currency: Currency) -> Result<(), Problem> {
        let digits = minor_digits(currency);
        let too_large = |_| Problem::TooLarge;
        let total = sum(self.items.iter().flat_map(Item::parts)).map_err(too_large)?;
        // an invoice in finer units than can be paid is paid when the next minor unit is
        let payable = total.round_dp_with_strategy(digits, rust_decimal::RoundingStrategy::AwayFromZero);
        if amount > payable {
            return Err(Problem::AboveInvoice {
                invoice: self.id.chars().take(60).collect(),
                amount,
                total,
                // a minor unit for each item is what taxes are rounded by
                is_rounding: amount - total
                    <= Decimal::new(i64::try_from(self.items.len()).unwrap_or(i64::MAX), digits),
                advice: "where its prices include taxes, its items state them as gross instead of amount"
                    .into(),
            });
        }
        if amount == total && self.items.iter().flat_map(Item::parts).all(|part| part.scale() <= digits) {
            for item in &mut self.items {
                (item.net, item.taxes) = (item.amount, item.taxes_amount);
            }
            return Ok(());
        }
        if amount.is_zero() {
            return Ok(());
        }
        self.share(amount, total, digits).map_err(|_| Problem::TooLarge)
    }

    fn share(&mut self, amount: Decimal, total: Decimal, digits: u32) -> Result<(), ApportionError> {
        let overflow = |_| ApportionError::Overflow;
        let weights = |sign: Decimal| -> Vec<(Part<'_>, Decimal)> {
            let parts = self.items.iter().flat_map(|item| {
                let [net, taxes] = item.parts();
                [(Part { item: &item.id, taxes: false }, net), (Part { item: &item.id, taxes: true }, taxes)]
            });
            parts.map(|(part, weight)| (part, (weight * sign).max(Decimal::ZERO))).collect()
        };
        let negative = weights(Decimal::NEGATIVE_ONE);
        let taken_off = sum(negative.iter().map(|(_, weight)| *weight)).map_err(overflow)?;
        let mut shares = if taken_off.is_zero() {
            apportion(amount, &weights(Decimal::ONE), digits)?
        } else {
            let taken_off = amount.checked_mul(taken_off).and_then(|product| product.checked_div(total));
            let taken_off = rounded(taken_off.ok_or(ApportionError::Overflow)?, digits);
            let given = apportion(add(amount, taken_off).map_err(overflow)?, &weights(Decimal::ONE), digits)?;
            let taken = apportion(taken_off, &negative, digits)?;
            given
                .into_iter()
                .zip(taken)
                .map(|(given, taken)| sub(given, taken).map_err(overflow))
                .collect::<Result<_, _>>()?
        }
        .into_iter();
        for item in &mut self.items {
            item.net = shares.next().unwrap_or_default();
            item.taxes = shares.next().unwrap_or_default();
        }
        Ok(())
    }
}

impl Item<'_> {
    fn parts(&self) -> [Decimal; 2] {
        [self.amount, self.taxes_amount]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn invoice(parts: &[(i64, i64)]) -> Invoice<'static> {
        let item = |(index, (net, taxes)): (usize, &(i64, i64))| Item {
            id: index.to_string().into(),
            service: None,
            item_type: "service".into(),
            amount: Decimal::new(*net, 2),
            taxes_amount: Decimal::new(*taxes, 2),
            taxes_percent: Decimal::ZERO,
            net: Decimal::ZERO,
            taxes: Decimal::ZERO,
        };
        Invoice { id: "i".into(), items: parts.iter().enumerate().map(item).collect() }
    }

    fn covered(parts: &[(i64, i64)], cents: i64) -> Result<Vec<(String, String)>, Problem> {
        let mut invoice = invoice(parts);
        invoice.cover(Decimal::new(cents, 2), Currency::EUR)?;
        Ok(invoice.items.iter().map(|item| (item.net.to_string(), item.taxes.to_string())).collect())
    }

    fn texts(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(net, taxes)| ((*net).into(), (*taxes).into())).collect()
    }

    #[test]
    fn a_payment_covers_items_and_their_taxes() {
        assert_eq!(
            covered(&[(1000, 190), (500, 95)], 1785).unwrap(),
            texts(&[("10.00", "1.90"), ("5.00", "0.95")])
        );
        assert_eq!(
            covered(&[(1000, 190), (500, 95)], 1000).unwrap(),
            texts(&[("5.60", "1.07"), ("2.80", "0.53")])
        );
        assert_eq!(
            covered(&[(1000, 0), (-200, 0)], 800).unwrap(),
            texts(&[("10.00", "0.00"), ("-2.00", "0.00")])
        );
        assert_eq!(
            covered(&[(1000, 0), (-200, 0)], 400).unwrap(),
            texts(&[("5.00", "0.00"), ("-1.00", "0.00")])
        );
        assert_eq!(covered(&[(0, 0)], 0).unwrap(), texts(&[("0.00", "0.00")]));
        assert_eq!(
            covered(&[(1000, 0)], 1001).unwrap_err().to_string(),
            "the amount 10.01 is more than the invoice i comes to (10.00); where its prices include taxes, its items state them as \
             gross instead of amount"
        );
        assert!(covered(&[(-500, 0)], 1).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn a_part_adds_up_and_takes_no_more_than_an_item_has(
            parts in proptest::collection::vec((0i64..100_000, 0i64..30_000), 1..6), percent in 0i64..=100,
        ) {
            let total: i64 = parts.iter().map(|(net, taxes)| net + taxes).sum();
            let cents = total * percent / 100;
            let mut invoice = invoice(&parts);
            invoice.cover(Decimal::new(cents, 2), Currency::EUR).unwrap();
            let shares = invoice.items.iter().flat_map(|item| [item.net, item.taxes]);
            prop_assert_eq!(sum(shares).unwrap(), Decimal::new(cents, 2));
            for item in &invoice.items {
                prop_assert!(item.net <= item.amount && item.taxes <= item.taxes_amount);
            }
        }

        #[test]
        fn discounts_conserve(parts in proptest::collection::vec((-20_000i64..100_000, 0i64..30_000), 1..6), percent in 0i64..=100) {
            let total: i64 = parts.iter().map(|(net, taxes)| net + taxes).sum();
            prop_assume!(total > 0);
            let cents = total * percent / 100;
            let mut invoice = invoice(&parts);
            invoice.cover(Decimal::new(cents, 2), Currency::EUR).unwrap();
            let shares = invoice.items.iter().flat_map(|item| [item.net, item.taxes]);
            prop_assert_eq!(sum(shares).unwrap(), Decimal::new(cents, 2));
        }
    }
}
