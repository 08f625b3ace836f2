//! Stories from end to end: the functions' own code, the real protocols, the embedded cloud and the sandbox.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed"
)]

mod atlas_month;
mod aws;
mod aws_failures;
mod azure;
mod azure_failures;
mod bad_input;
mod bills;
mod brought;
mod browser;
mod ccx;
mod ccx_failures;
mod console;
mod console_limits;
mod datastores;
mod datastores_world;
mod doors;
mod errors;
mod faults;
mod gcp;
mod gcp_failures;
mod ledger;
mod metering;
mod metering_failures;
mod metering_plans;
mod metering_replies;
mod metering_world;
mod overtaken;
mod pages;
mod permissions;
mod prometheus;
mod prometheus_failures;
mod publication;
mod recorded;
mod revenue;
mod revisions;
mod teams;
mod teams_failures;
mod teams_history;
mod teams_identity;
mod teams_world;
mod vault;
mod vault_failures;
mod world;
mod writes;
