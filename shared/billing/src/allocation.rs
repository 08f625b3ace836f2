//! An invoice's charges, shared among its sub accounts (projects, accounts, subscriptions).

use std::borrow::Cow;
use std::collections::HashMap;

use rust_decimal::Decimal;

use crate::charge::{Charge, ChargeCategory};
use crate::money::{self, ApportionError, Currency, MoneyError, apportion, minor_digits};

/// What happens to the sales tax of an invoice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaxTreatment {
    /// Named in the certificate and left out of the rows.
    #[default]
    Name,
    /// Shared like the pool.
    Allocate,
}

/// Why charges could not be allocated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocationError {
    /// The charges cannot be added up.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// The shared pool cannot be split.
    #[error("the charges without a project cannot be shared: {0}")]
    Apportion(#[from] ApportionError),
}

/// One sub account and what it is charged. Amounts are in the allocation's currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// FOCUS `SubAccountId`; where the provider gives none, its name.
    pub id: String,
    /// FOCUS `SubAccountName`; where the provider gives none, its id.
    pub name: String,
    /// Its own charges.
    pub own: Decimal,
    /// Its share of the charges that belong to no sub account.
    pub shared: Decimal,
}

/// An amount that no sub account was charged, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unallocated {
    /// `tax` or `pool`.
    pub kind: &'static str,
    /// How much.
    pub amount: Decimal,
    /// Why.
    pub reason: &'static str,
}

/// Every charge of an invoice in exactly one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Currency of all amounts.
    pub currency: Currency,
    /// Sub accounts in order of first appearance.
    pub targets: Vec<Target>,
    /// What stays without one.
    pub unallocated: Vec<Unallocated>,
}

impl Allocation {
    /// What the sub accounts are charged.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn allocated_total(&self) -> Result<Decimal, MoneyError> {
        money::sum(self.targets.iter().flat_map(|target| [target.own, target.shared]))
    }

    /// What stays without a sub account.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn unallocated_total(&self) -> Result<Decimal, MoneyError> {
        money::sum(self.unallocated.iter().map(|rest| rest.amount))
    }
}

/// Sums of charges by sub account, filled one charge at a time; memory grows with the sub accounts only.
#[derive(Debug)]
pub struct SubAccountCosts {
    currency: Currency,
    targets: Vec<Target>,
    named: Vec<bool>,
    by_id: HashMap<String, usize>,
    last: Option<usize>,
    pool: Decimal,
    tax: Decimal,
    total: Decimal,
}

impl SubAccountCosts {
    /// No charges yet.
    #[must_use]
    pub fn new(currency: Currency) -> Self {
        Self {
            currency,
            targets: Vec::new(),
            named: Vec::new(),
            by_id: HashMap::new(),
            last: None,
            pool: Decimal::ZERO,
            tax: Decimal::ZERO,
            total: Decimal::ZERO,
        }
    }

    /// The sum of all charges added, taxes included.
    #[must_use]
    pub fn total(&self) -> Decimal {
        self.total
    }

    /// How many sub accounts appeared.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether none appeared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Adds one charge: to its sub account by id (two of one name stay two), else to the taxes, else to the pool.
    ///
    /// # Errors
    /// [`MoneyError`] on another currency or overflow; the sums are then unusable.
    pub fn add(&mut self, charge: &Charge<'_>) -> Result<(), MoneyError> {
        if charge.billing_currency != self.currency {
            return Err(MoneyError::CurrencyMismatch {
                left: self.currency.code(),
                right: charge.billing_currency.code(),
            });
        }
        self.total = money::add(self.total, charge.billed_cost)?;
        let name = charge.sub_account_name.as_deref();
        let Some(id) = charge.sub_account_id.as_deref().or(name) else {
            let sum =
                if charge.charge_category == ChargeCategory::Tax { &mut self.tax } else { &mut self.pool };
            *sum = money::add(*sum, charge.billed_cost)?;
            return Ok(());
        };
        let index = self.index_of(id);
        let target = &mut self.targets[index];
        if let (false, Some(name)) = (self.named[index], name) {
            name.clone_into(&mut target.name);
            self.named[index] = true;
        }
        target.own = money::add(target.own, charge.billed_cost)?;
        Ok(())
    }

    fn index_of(&mut self, id: &str) -> usize {
        // charges of one sub account mostly follow each other
        if let Some(last) = self.last.filter(|last| self.targets[*last].id == id) {
            return last;
        }
        let index = self.by_id.get(id).copied().unwrap_or_else(|| {
            self.targets.push(Target {
                id: id.to_owned(),
                name: id.to_owned(),
                own: Decimal::ZERO,
                shared: Decimal::ZERO,
            });
            self.named.push(false);
            self.by_id.insert(id.to_owned(), self.targets.len() - 1);
            self.targets.len() - 1
        });
        self.last = Some(index);
        index
    }

    /// Shares the pool in proportion to each sub account's own cost, in minor units of the currency; a
    /// negative cost weighs nothing; if all weigh nothing, evenly; without sub accounts it stays unallocated.
    ///
    /// # Errors
    /// [`AllocationError::Apportion`] if the pool has fractions of a minor unit or overflows.
    pub fn share(mut self, tax: TaxTreatment) -> Result<Allocation, AllocationError> {
        let mut unallocated = Vec::new();
        match tax {
            TaxTreatment::Name if !self.tax.is_zero() => unallocated.push(Unallocated {
                kind: "tax",
                amount: self.tax,
                reason: "sales tax is left out of the rows",
            }),
            TaxTreatment::Name => {}
            TaxTreatment::Allocate => self.pool = money::add(self.pool, self.tax)?,
        }
        if self.targets.is_empty() {
            if !self.pool.is_zero() {
                unallocated.push(Unallocated {
                    kind: "pool",
                    amount: self.pool,
                    reason: "no project appears in the invoice to share it among",
                });
            }
        } else {
            let all_zero = self.targets.iter().all(|target| target.own <= Decimal::ZERO);
            let weigh = |own: Decimal| if all_zero { Decimal::ONE } else { own.max(Decimal::ZERO) };
            let weights: Vec<_> =
                self.targets.iter().map(|t| (Cow::Borrowed(t.id.as_str()), weigh(t.own))).collect();
            let shares = apportion(self.pool, &weights, minor_digits(self.currency))?;
            for (target, share) in self.targets.iter_mut().zip(shares) {
                target.shared = share;
            }
        }
        Ok(Allocation { currency: self.currency, targets: self.targets, unallocated })
    }
}
