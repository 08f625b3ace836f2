//! HashiCorp Vault (or OpenBao) as the source of a secret: a login, then one document of a KV engine.
//!
//! | variable | meaning |
//! |---|---|
//! | `VAULT_ADDR` | the server, `https://...` (plain http for this machine only) |
//! | `VAULT_ROLE_ID`, `VAULT_SECRET_ID` | an AppRole, or |
//! | `VAULT_TOKEN` | a token, which counts if both are set |
//! | `VAULT_NAMESPACE` | the namespace, where there are any |
//! | `VAULT_MOUNT`, `VAULT_APPROLE_MOUNT` | where the KV engine and AppRole are mounted, default `secret` and `approle` |
//! | `VAULT_KV` | the version of the KV engine, `2` (default) or `1` |
//! | `VAULT_CACERT` | certificates to trust besides the system's: PEM text, or the path of a file |
//! | `VAULT_SECRET_ARN` | a secret in Secrets Manager in which those of these stand that are not set |
//! | `HTTP_*` | see [`crate::http`] |
//!
//! Written on the client that all providers have, and not with the crate `vaultrs`: see docs/decisions/configuration-and-secrets.md.

mod config;
mod error;
mod wire;

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use self::config::{Config, Engine, Login, http_client};
use self::error::VaultApi;
pub use self::error::{VaultAction, VaultError};
use crate::http::RetryPolicy;
use crate::peer::{Call, Fault, Peer};
use crate::vars::Vars;

pub(super) use self::config::VaultPath;

/// A Vault that was logged in to.
pub(super) struct Vault {
    server: Server,
    mount: String,
    engine: Engine,
    token: HeaderValue,
}

/// What stood at a path.
pub(super) struct Document {
    pub(super) members: BTreeMap<String, SecretString>,
    /// The path of its API, for messages.
    pub(super) path: String,
}

/// How requests get there.
struct Server {
    peer: Peer,
    address: Url,
    namespace: Option<HeaderValue>,
}

impl Vault {
    /// Reads the variables and logs in, unless there is a token.
    pub(super) async fn connect(vars: &Vars) -> Result<Self, VaultError> {
        let config = Config::from_vars(vars)?;
        let namespace = config.namespace.as_deref().map(HeaderValue::from_str).transpose();
        let server = Server {
            peer: Peer::new(http_client(vars).await?, RetryPolicy::from_vars(vars)?),
            address: config.address,
            namespace: namespace.map_err(|_| VaultError::Header { name: "VAULT_NAMESPACE" })?,
        };
        let token = match config.login {
            Login::Token(token) => token,
            Login::AppRole { mount, role_id, secret_id } => {
                server.log_in(&mount, &role_id, &secret_id).await?
            }
        };
        let token = HeaderValue::from_str(token.expose_secret());
        let mut token = token.map_err(|_| VaultError::Header { name: "VAULT_TOKEN" })?;
        token.set_sensitive(true);
        Ok(Self { server, mount: config.mount, engine: config.engine, token })
    }

    /// The secret at a path; of an engine with versions, the newest.
    pub(super) async fn read(&self, place: &VaultPath) -> Result<Document, VaultError> {
        let path = self.api_path(place);
        let answer = self.get(&path, place).await?;
        Ok(Document { members: wire::members(self.engine, &path, &answer)?, path })
    }

    /// Replaces the secret at a path. Of an engine with versions, only if the newest is still the one that stood there before, so
    /// that of two who write at once one is told.
    pub(super) async fn write(&self, place: &VaultPath, members: &Value) -> Result<(), VaultError> {
        let path = self.api_path(place);
        let body = match self.engine {
            Engine::V1 => members.clone(),
            Engine::V2 => {
                let newest = match self.get(&path, place).await {
                    Ok(answer) => wire::version(&path, &answer)?,
                    Err(VaultError::Peer(error)) if error.fault == Fault::NotFound => 0,
                    Err(error) => return Err(error),
                };
                json!({"options": {"cas": newest}, "data": members})
            }
        };
        let written = members.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str());
        let written: Vec<SecretString> = written.map(SecretString::from).collect();
        let api = VaultApi { action: VaultAction::Write, variable: &place.variable };
        let call = self.server.post(&api, &path).json(&body).hiding(&written);
        let answer = self.server.peer.ask(&call.header(TOKEN, self.token.clone())).await?;
        match wire::was_changed(&answer) {
            true => Err(VaultError::Changed { path, detail: format!(" ({})", wire::said(&answer.body)) }),
            false => Ok(()),
        }
    }

    async fn get(&self, path: &str, place: &VaultPath) -> Result<Value, VaultError> {
        let api = VaultApi { action: VaultAction::Read, variable: &place.variable };
        let call = self.server.call(&api, Method::GET, path).header(TOKEN, self.token.clone());
        wire::json(path, &self.server.peer.ask(&call).await?.body)
    }

    fn api_path(&self, place: &VaultPath) -> String {
        match self.engine {
            Engine::V1 => format!("{}/{}", self.mount, place.path),
            Engine::V2 => format!("{}/data/{}", self.mount, place.path),
        }
    }
}

impl Server {
    async fn log_in(
        &self,
        mount: &str,
        role_id: &SecretString,
        secret_id: &SecretString,
    ) -> Result<SecretString, VaultError> {
        let path = format!("auth/{mount}/login");
        let ids = json!({"role_id": role_id.expose_secret(), "secret_id": secret_id.expose_secret()});
        let api = VaultApi { action: VaultAction::LogIn, variable: "VAULT_APPROLE_MOUNT" };
        let answer = self.peer.ask(&self.post(&api, &path).json(&ids).hiding([secret_id, role_id])).await?;
        wire::token(&path, &wire::json(&path, &answer.body)?)
    }

    fn post<'c>(&self, api: &'c VaultApi<'_>, path: &str) -> Call<'c> {
        self.call(api, Method::POST, path)
    }

    /// A request for what stands after `/v1/`.
    fn call<'c>(&self, api: &'c VaultApi<'_>, method: Method, path: &str) -> Call<'c> {
        let mut url = self.address.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path.split('/'));
        }
        // without it an agent or proxy of Vault refuses, so that no web page can make a browser ask
        let call = Call::new(api, method, url).named(path).header("x-vault-request", TRUE);
        match &self.namespace {
            Some(namespace) => call.header("x-vault-namespace", namespace.clone()),
            None => call,
        }
    }
}

const TOKEN: &str = "x-vault-token";
const TRUE: HeaderValue = HeaderValue::from_static("true");
