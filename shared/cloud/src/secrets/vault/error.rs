//! What Vault answers when it gives no secret, and what to do about it.

use std::fmt;
use std::time::Duration;

use crate::http::{InvalidBaseUrl, Transient};
use crate::vars::VarError;

/// What was asked of Vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaultAction {
    /// A login with an AppRole.
    LogIn,
    /// To read a secret.
    Read,
    /// To write a new version of a secret.
    Write,
}

impl VaultAction {
    /// What a policy must allow for it.
    fn capabilities(self) -> &'static str {
        match self {
            Self::LogIn | Self::Read => "read",
            Self::Write => "create and update",
        }
    }
}

impl fmt::Display for VaultAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LogIn => "log in at",
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

/// Why Vault gave no secret or took none. Of answers, only Vault's own list of errors is quoted; `path` is that of its API,
/// after `/v1/`.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum VaultError {
    #[error(transparent)]
    Var(#[from] VarError),
    #[error(transparent)]
    Address(#[from] InvalidBaseUrl),
    #[error(
        "the variable {variable} is missing: set it to the path of the secret in Vault without its mount, for example monthend/{name}"
    )]
    NoPath { variable: String, name: String },
    #[error(
        "the variable {variable} is '{value}', expected a path in Vault such as monthend/atlas, without empty parts, '.' and '..'"
    )]
    Path { variable: String, value: String },
    #[error("there is no login for Vault: set VAULT_ROLE_ID and VAULT_SECRET_ID, or VAULT_TOKEN{hint}")]
    NoLogin { hint: &'static str },
    #[error("{name} has characters that cannot be sent in a header: check that it was copied whole")]
    Header { name: &'static str },
    #[error(
        "VAULT_CACERT is not usable: {0}; set it to certificates as PEM text, or to the path of a file with them"
    )]
    Certificates(String),
    #[error("failed to build the HTTP client for Vault: {0}")]
    Client(String),
    #[error(
        "Vault refused the login at {path} ({status}{detail}): check VAULT_ROLE_ID and VAULT_SECRET_ID (which expires, or may be used up), VAULT_APPROLE_MOUNT and VAULT_NAMESPACE"
    )]
    Login { path: String, status: u16, detail: String },
    #[error(
        "Vault does not allow to {action} {path} ({status}{detail}): the token must be in force and its policy must give {capabilities} there; check VAULT_MOUNT, VAULT_NAMESPACE and {variable}",
        capabilities = .action.capabilities()
    )]
    Forbidden { action: VaultAction, path: String, variable: String, status: u16, detail: String },
    #[error(
        "Vault has nothing at {path} (404{detail}): check {variable} (a path without its mount), VAULT_MOUNT, VAULT_NAMESPACE, and VAULT_KV (1 or 2, the version of that engine)"
    )]
    NotFound { path: String, variable: String, detail: String },
    #[error("version {version} of {path} in Vault, the newest, is deleted: undelete it, or write a new one")]
    Deleted { path: String, version: u64 },
    #[error("version {version} of {path} in Vault, the newest, is destroyed: write a new one")]
    Destroyed { path: String, version: u64 },
    #[error(
        "{path} in Vault was written by somebody else meanwhile{detail}: see that nobody else sets it, then try again"
    )]
    Changed { path: String, detail: String },
    #[error("Vault refused to {action} {path} ({status}{detail})")]
    Refused { action: VaultAction, path: String, status: u16, detail: String },
    #[error("Vault is sealed, so that nothing can be read ({status}{detail}): it must be unsealed")]
    Sealed { status: u16, retry_after: Option<Duration>, detail: String },
    #[error("Vault cannot {action} {path} now ({status}{detail})")]
    Unavailable {
        action: VaultAction,
        path: String,
        status: u16,
        retry_after: Option<Duration>,
        detail: String,
    },
    #[error(
        "Vault answers {path} with a redirect ({status}{target}), which is not followed, because the token would be sent on: set VAULT_ADDR to the server that answers itself"
    )]
    Redirect { path: String, status: u16, target: String },
    #[error("Vault cannot be reached at {url}: {reason}; check VAULT_ADDR, VAULT_CACERT and the network")]
    Unreachable { url: String, reason: String },
    #[error("the answer of Vault to {path} broke off: {reason}")]
    Interrupted { path: String, reason: String },
    #[error("the answer of Vault to {path} is larger than {limit_bytes} bytes")]
    TooLarge { path: String, limit_bytes: usize },
    #[error("the answer to {path} ({status}) is a web page, not Vault's: check VAULT_ADDR")]
    WebPage { path: String, status: u16 },
    #[error("the answer to {path} is not what Vault's API documents: {reason}")]
    Unexpected { path: String, reason: String },
    /// What it is instead is not said further: it is a secret.
    #[error("the member {member} of {path} in Vault is {kind}: each must be a text")]
    Member { path: String, member: String, kind: &'static str },
    #[error("{error} (after {attempts} attempts)")]
    Exhausted { error: Box<Self>, attempts: usize },
}

impl Transient for VaultError {
    fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Sealed { .. }
                | Self::Unavailable { .. }
                | Self::Unreachable { .. }
                | Self::Interrupted { .. }
        )
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Sealed { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
