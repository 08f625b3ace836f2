//! Why a month cannot be billed: everything that is missing, at once.

use crate::certificate::CertificateError;
use crate::money::{ApportionError, MoneyError};
use crate::month::BillingMonth;

/// One thing that is missing or cannot be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum BillProblem {
    /// There are costs in a currency without a rate.
    #[error("fx.rates.{month}.{currency}: there is no rate into {into}, add what one {currency} is worth")]
    MissingRate {
        /// ISO 4217 code.
        currency: &'static str,
        /// The month.
        month: BillingMonth,
        /// The catalog's currency.
        into: &'static str,
    },
    /// A driver was not brought.
    #[error("{needed_by}: there is no driver '{driver}' for {month}, bring one{hint}")]
    MissingDriver {
        /// The driver.
        driver: String,
        /// What needs it, with its line in the catalog.
        needed_by: String,
        /// The month.
        month: BillingMonth,
        /// A name nearby.
        hint: String,
    },
    /// A driver says nothing of a target.
    #[error(
        "{needed_by}: the driver '{driver}' says nothing of '{target}', add it, with 0 if it used nothing{hint}"
    )]
    MissingTarget {
        /// The driver.
        driver: String,
        /// The target.
        target: String,
        /// What needs it, with its line in the catalog.
        needed_by: String,
        /// A name nearby.
        hint: String,
    },
    /// A service uses a component that does not apply to the month.
    #[error(
        "{needed_by}: the component '{component}' does not apply to {month}, date its use or the component"
    )]
    NotInForce {
        /// The component, and the part if it is one.
        component: String,
        /// What needs it, with its line in the catalog.
        needed_by: String,
        /// The month.
        month: BillingMonth,
    },
    /// A commitment is billed by its effective cost in some places, and by what was billed for it in others.
    #[error(
        "{commitment}: {astray}: by effective cost are billed {effective}, by billed cost {billed}; give all of them one basis"
    )]
    MixedBasis {
        /// The commitment, in words.
        commitment: String,
        /// How much would be billed twice, or to nobody, in words.
        astray: String,
        /// Where effective costs count.
        effective: String,
        /// Where billed costs count.
        billed: String,
    },
    /// A pool is shared by what some charges cost by their use, and these do not say it.
    #[error(
        "{pool} is shared by effective cost, and {charges} charges in {currency} of {place} state none: bring an export that has it, or write \
         basis: billed in its split"
    )]
    NoWeight {
        /// The pool, with its line in the catalog.
        pool: String,
        /// Where the charges belong.
        place: String,
        /// How many.
        charges: u64,
        /// ISO 4217 code.
        currency: &'static str,
    },
    /// Charges do not say what they cost by their use.
    #[error(
        "{place}: {charges} charges in {currency} state no EffectiveCost, which is to be billed: bring an export that has it, or bill them by basis: billed"
    )]
    NoEffectiveCost {
        /// Where they belong, with the rule's line in the catalog.
        place: String,
        /// How many.
        charges: u64,
        /// ISO 4217 code.
        currency: &'static str,
    },
    /// An amount of an earlier run is of a customer that the catalog does not have.
    #[error("{what}, {amount}, is of '{customer}', who is not in the catalog{advice}")]
    UnknownCustomer {
        /// The customer.
        customer: String,
        /// What it is.
        what: String,
        /// How much.
        amount: String,
        /// A name nearby, and what to write.
        advice: String,
    },
}

/// Why there are no bills.
#[derive(Debug, thiserror::Error)]
pub enum BillsError {
    /// Something is missing: nothing is billed until it is there.
    #[error("{month} cannot be billed: {}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Incomplete {
        /// The month.
        month: BillingMonth,
        /// All that is missing.
        problems: Vec<BillProblem>,
    },
    /// The charges were added up by other rules.
    #[error("the charges were added up for {found}, not for {expected}: add them up again")]
    OtherRules {
        /// Catalog and month of the charges.
        found: String,
        /// Catalog and month of the bills.
        expected: String,
    },
    /// A cost cannot be shared.
    #[error("the pool '{pool}' cannot be shared: {error}")]
    Split {
        /// The pool or component.
        pool: String,
        /// Why.
        error: ApportionError,
    },
    /// A sum overflows.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// Figures contradict each other: a fault of this software, so nothing is billed.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The export cannot be written.
    #[error("the export '{export}' cannot be written: {why}")]
    Export {
        /// Which.
        export: String,
        /// Why, with the customer and the line.
        why: String,
    },
}
