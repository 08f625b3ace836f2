//! What customers are billed for a month.
//!
//! 1. [`Placer`] compiles the rules of a month of the catalog; [`Adder`] puts every charge, of whatever provider, in exactly one
//!    place and adds it up there: [`Charged`].
//! 2. [`make_bills`] shares pools, converts currencies, prices services and gives every customer a [`Bill`]: [`BillRun`].
//! 3. [`BillRun::exports`] writes them; [`BillRun::certificate`] says that nothing appeared or disappeared.
//!
//! Costs keep twelve decimals until a line is rounded, once. Lines add up to bills, bills to the run and to its exports. What no
//! rule claims, or what cannot be shared, is [`Unallocated`] with a reason. A run fails closed: a missing rate, driver or target
//! is an error that names all of them.
//!
//! The same month run again changes nothing: earlier runs come in as [`Posted`], and what a revision changes comes out as
//! [`Correction`]s for the next bill. A discount larger than a bill comes out as [`Carried`].
//!
//! Not to be confused with [`crate::bill`], the bill that a provider sends.

mod adder;
mod certificate;
mod chain;
mod commitments;
mod consumption;
mod dimensions;
mod document;
mod drivers;
mod export;
mod facts;
mod fx;
#[cfg(test)]
mod laws;
mod lines;
mod make;
mod maker;
mod month_tags;
mod month_totals;
mod origin;
mod owners;
mod patterns;
mod placed_costs;
mod placer;
mod pools;
mod problems;
mod recipient;
mod recovery;
mod rows;
mod settle;
mod tag_patterns;
#[cfg(test)]
mod tests;
mod unknown;

pub use adder::{Adder, ChargeError, Charged, Costs, OfOrigin};
pub use certificate::{
    BasisProof, CurrencyProof, HeldBill, RateProof, RunCertificate, RunSubject, UnallocatedProof,
};
pub use chain::{Chain, ChainRun, RunId};
pub use commitments::Commitments;
pub use document::{
    BilledAccount, Release, RunDocument, StatedBill, StatedCost, StatedExport, StatedItem, StatedLine,
    StatedShare, StatedTable,
};
pub use drivers::{Driver, DriverError, Drivers};
pub use export::{Export, Rows};
pub use facts::{ChargePeriod, Facts, Tags};
pub use fx::Conversion;
pub use lines::{Bill, Carried, Correction, CostPart, Item, Line, LineKind, Posted};
pub use make::{BillInput, BillRun, ComponentResult, LatePositions, make_bills};
pub use month_totals::MonthTotals;
pub use origin::Origin;
pub use owners::{MonthAdder, Owners, Parts};
pub use placed_costs::Amounts;
pub use placer::{BadTags, Place, Placed, Placer};
pub use pools::{ALLOCATION_COLUMNS, Share, Unallocated};
pub use problems::{BillProblem, BillsError};
pub use recipient::Recipient;
pub use recovery::{ComponentProof, Recovery, RecoveryProof};
pub use rows::{ChargeRow, ChargeRows, Detail, RowsError, Wanted};
pub use settle::posted_by_name_now;
pub use unknown::{UnknownCost, UnknownCostCenters, UnknownCosts};
