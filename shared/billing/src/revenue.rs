//! Revenue by client, service and location, from a journal of money movements.
//!
//! [`Journal`] reads the files, [`Offer`](crate::catalog::Offer) says what is sold to whom, and [`statements`] makes of both, for one
//! [`Window`], a report, a table and a certificate in each currency. A line that cannot be used is never left out: the journal is then
//! no journal but [`Problems`], each with its file and line.

mod account;
mod book;
mod certificate;
mod client;
mod figures;
mod journal;
mod json;
mod line;
mod moment;
mod movement;
mod openstack;
mod plugin;
mod problem;
mod report;
mod statement;
mod table;
#[cfg(test)]
mod tests;
mod window;

pub use account::Account;
pub use certificate::{
    CertifiedAmount, CertifiedClient, CertifiedPair, JournalCounts, OtherItems, PaymentTotals,
    RevenueCertificate, RevenueSubject,
};
pub use figures::{bounded, natural_order};
pub use journal::{Journal, JournalFile};
pub use moment::{read_moment, show_moment};
pub use movement::{Invoice, Item, Movement};
pub use openstack::OpenStack;
pub use plugin::{PluginError, UsagePlugin, UsageSummary, plugin};
pub use problem::{LineProblem, Problem, Problems};
pub use report::{ClientReport, Entry, LocationRevenue, RevenueReport, ServiceReport};
pub use statement::{LocationSplit, Material, RevenueRules, RevenueStatement, StatementError, statements};
pub use window::{InvalidWindow, Window};
