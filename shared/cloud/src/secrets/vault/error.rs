//! Why Vault gives no secret, and what to do about it.

use crate::http::{Content, InvalidBaseUrl};
use crate::peer::{Answer, Api, Fault, PeerError, Verdict};
use crate::secrets::vault::wire;
use crate::vars::VarError;

/// Vault takes no larger document by default.
const LARGEST_ANSWER_BYTES: usize = 2 * 1024 * 1024;

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

/// Why Vault gave no secret or took none; `path` is that of its API, after `/v1/`.
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
    #[error("version {version} of {path} in Vault, the newest, is deleted: undelete it, or write a new one")]
    Deleted { path: String, version: u64 },
    #[error("version {version} of {path} in Vault, the newest, is destroyed: write a new one")]
    Destroyed { path: String, version: u64 },
    #[error(
        "{path} in Vault was written by somebody else meanwhile{detail}: see that nobody else sets it, then try again"
    )]
    Changed { path: String, detail: String },
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// What it is instead is not said further: it is a secret.
    #[error("the member {member} of {path} in Vault is {kind}: each must be a text")]
    Member { path: String, member: String, kind: &'static str },
}

/// Vault, asked for something of a secret.
pub(super) struct VaultApi<'s> {
    pub(super) action: VaultAction,
    /// The variable that names the secret.
    pub(super) variable: &'s str,
}

impl Api for VaultApi<'_> {
    fn name(&self) -> &'static str {
        "Vault"
    }

    fn address(&self) -> &'static str {
        "VAULT_ADDR"
    }

    fn limit_bytes(&self) -> usize {
        LARGEST_ANSWER_BYTES
    }

    fn said(&self, body: &[u8]) -> String {
        wire::said(body)
    }

    /// A version that is deleted, and one that was written meanwhile, are answers about the secret.
    fn judge(&self, answer: &Answer) -> Option<Verdict> {
        let said = wire::said(&answer.body);
        let is_login = self.action == VaultAction::LogIn;
        match answer.status {
            300..=399 => Some(Fault::Redirect.into()),
            503 if said.contains("sealed") => {
                let sentence = "Vault is sealed, so that nothing can be read";
                Some(Verdict::stated(Fault::Server, sentence, "it must be unsealed"))
            }
            // a replica that has not heard of the token or of the document yet
            412 => Some(Fault::Server.into()),
            status @ (429 | 500..) => Some(Verdict::of_status(status)),
            _ if answer.content() == Content::WebPage => Some(Fault::OtherContent.into()),
            200 | 204 => None,
            400 | 401 | 403 | 404 if is_login => Some(Verdict::stated(
                Fault::Credentials,
                "Vault refused the login",
                "check VAULT_ROLE_ID and VAULT_SECRET_ID (which expires, or may be used up), VAULT_APPROLE_MOUNT and \
                 VAULT_NAMESPACE",
            )),
            401 => Some(Fault::Denied.into()),
            404 if wire::is_about_a_version(&answer.body) => None,
            400 if wire::was_changed(answer) => None,
            status => Some(Verdict::of_status(status)),
        }
    }

    fn advice(&self, fault: Fault) -> String {
        let variable = self.variable;
        match fault {
            Fault::Unreachable | Fault::NoAnswer => {
                "check VAULT_ADDR, VAULT_CACERT and the network".to_owned()
            }
            Fault::Redirect => "set VAULT_ADDR to the server that answers itself".to_owned(),
            Fault::Denied => format!(
                "the token must be in force and its policy must give {} there; check VAULT_MOUNT, VAULT_NAMESPACE and \
                 {variable}",
                self.action.capabilities()
            ),
            Fault::NotFound => format!(
                "check {variable} (a path without its mount), VAULT_MOUNT, VAULT_NAMESPACE, and VAULT_KV (1 or 2, the \
                 version of that engine)"
            ),
            _ => String::new(),
        }
    }
}
