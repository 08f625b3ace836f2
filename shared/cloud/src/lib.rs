//! The outside world: variables, AWS clients, the bucket, the ledger, secrets, peers over HTTP, events and logs.
//!
//! Functions reach everything outside through this crate, and always through the real protocols; where those
//! point (AWS, or an embedded cloud on a laptop) is configuration, see [`aws`].

#![warn(missing_docs)]

pub mod aws;
pub mod billing_apis;
pub mod bucket;
pub mod catalog;
pub mod datastores;
pub mod events;
pub mod fetch;
pub mod http;
pub mod intake;
pub mod invocation;
pub mod ledger;
pub mod mail;
pub mod peer;
pub mod plans;
pub mod posted;
pub mod publication;
pub mod seals;
pub mod secrets;
pub mod telemetry;
pub mod vars;
