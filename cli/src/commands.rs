//! One module a command.

pub(crate) mod admin;
pub(crate) mod bill;
pub(crate) mod catalog;
pub(crate) mod demo;
pub(crate) mod demo_bills;
pub(crate) mod demo_reports;
pub(crate) mod demo_teams;
pub(crate) mod diff;
pub(crate) mod drivers;
pub(crate) mod env;
pub(crate) mod explain;
pub(crate) mod held;
pub(crate) mod import;
pub(crate) mod invoices;
pub(crate) mod invoke;
pub(crate) mod metering;
pub(crate) mod metering_status;
pub(crate) mod objects;
pub(crate) mod report_revenue;
pub(crate) mod report_usage;
pub(crate) mod reports;
pub(crate) mod reset;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod up;
pub(crate) mod withdraw;
