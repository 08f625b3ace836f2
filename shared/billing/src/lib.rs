//! The domain of monthend: money, months, charges, allocation and certificates.
//!
//! Everything here is pure and synchronous: no I/O, no clock, no environment, no float. Amounts are
//! [`rust_decimal::Decimal`] with an ISO 4217 currency from the first parsed byte to the last printed digit,
//! and every operation that could overflow says so in its result instead of wrapping or panicking.
//!
//! | module | noun |
//! |---|---|
//! | [`money`] | amounts, currencies, [`money::apportion`] |
//! | [`month`] | the billing month |
//! | [`text`] | what of a text counts: invisible characters do not |
//! | [`strict`] | JSON in which each member stands once |
//! | [`identity`] | which names are of one provider, and which of its identifiers are the same |
//! | [`ids`] | identifiers that providers give |
//! | [`keys`] | names of objects in the data bucket |
//! | [`revision`] | versions of one invoice and their order |
//! | [`charge`] | one FOCUS row, and rows as Parquet |
//! | [`aggregate`] | sums of charges as tables |
//! | [`allocation`] | an invoice's charges shared among its sub accounts |
//! | [`certificate`] | the proof that what came in equals what went out |
//! | [`period`] | open, closed, reopened |
//! | [`atlas`] | MongoDB Atlas: its invoice, its charges, its statement |
//! | [`ccx`] | CCX, databases as a service: its usage report and the proof of it |
//! | [`metering`] | usage sold on a marketplace: what is due, what was submitted, what may close |
//! | [`usage`] | datastores: what ran, what was stored, what was sent, between two days |
//! | [`revenue`] | a journal of money movements, and the monthly revenue by client, service and location |
//! | [`catalog`] | what a person configures: customers, services, pools and prices, and plans that are metered |
//! | [`intake`] | what files are that people bring: whose bill, of which month, whether it is there already |
//! | [`bills`] | what customers are billed for a month of any provider's charges |

#![warn(missing_docs)]

pub mod aggregate;
pub mod allocation;
pub mod atlas;
pub mod bill;
pub mod bills;
pub mod canonical;
pub mod catalog;
pub mod ccx;
pub mod certificate;
pub mod charge;
pub mod charges;
pub mod identity;
pub mod ids;
pub mod intake;
pub mod keys;
pub mod manifest;
pub mod metering;
pub mod money;
pub mod month;
pub mod period;
pub mod revenue;
pub mod revision;
pub mod shell;
pub mod spreadsheet;
pub mod strict;
pub mod text;
pub mod usage;

/// Name and version of this software as certificates state it, for example `monthend 0.1.0`.
pub const SOFTWARE: &str = concat!("monthend ", env!("CARGO_PKG_VERSION"));
