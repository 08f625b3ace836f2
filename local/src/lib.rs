//! A whole cloud in one process on loopback: S3 with notifications, DynamoDB, secrets, and sandbox providers.
//!
//! The functions run here in their own code, against the real protocols; only where those point differs from
//! AWS. State lives in a [`Home`] and survives restarts.

#![warn(missing_docs)]

mod bucket;
mod credentials;
mod dispatcher;
mod dynamodb;
mod embedded;
mod files;
mod functions;
mod gate;
mod home;
pub mod journal;
pub mod platform;
mod queue;
pub mod sandbox;
mod serve;
mod signature;
mod store;
mod template;
mod wire;

pub use credentials::Credentials;
pub use dynamodb::LedgerFileError;
pub use embedded::{Embedded, EmbeddedError, Options, Sandboxes, console_vars, vars_for};
pub use functions::Functions;
pub use gate::{Call, Gate, GateMode, Held};
pub use home::{Endpoints, Exported, GcpEndpoint, Home, HomeError, HomeKind, HomeLock};
pub use queue::{DeadLetter, Queue};
pub use store::StoreError;
pub use template::{Template, TemplateError};

/// The bucket of an embedded cloud.
pub const BUCKET: &str = "monthend-data";
/// The bucket that the sandbox of Omnistrate exports to.
pub const EXPORT_BUCKET: &str = "omnistrate-export";
/// The table of an embedded cloud.
pub const TABLE: &str = "monthend-state";
/// The region that an embedded cloud says it is in.
pub const REGION: &str = "us-east-1";
