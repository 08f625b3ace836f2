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
//! Written on the client that all providers have, and not with the crate `vaultrs`: see ARCHITECTURE.md.

mod config;
mod error;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use self::config::{Config, Engine, Login, http_client};
pub use self::error::{VaultAction, VaultError};
use crate::http::{BodyError, Reply, RetryPolicy, Transient, innermost_cause, read_body, retry_after, send};
use crate::vars::Vars;

pub(super) use self::config::VaultPath;

/// Vault takes no larger document by default.
const LARGEST_ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// A Vault that was logged in to.
pub(super) struct Vault {
    server: Server,
    mount: String,
    engine: Engine,
    token: SecretString,
}

/// What stood at a path.
pub(super) struct Document {
    pub(super) members: BTreeMap<String, SecretString>,
    /// The path of its API, for messages.
    pub(super) path: String,
}

/// How requests get there.
struct Server {
    http: reqwest::Client,
    address: Url,
    namespace: Option<HeaderValue>,
    retry: RetryPolicy,
}

/// A request.
struct Request<'r> {
    action: VaultAction,
    /// After `/v1/`.
    path: &'r str,
    /// The variable that names the secret.
    variable: &'r str,
    token: Option<&'r SecretString>,
    /// What of the body must not come back in a message.
    secrets: Vec<&'r SecretString>,
    /// Sent by POST; without one it is a GET.
    body: Option<Value>,
}

impl Vault {
    /// Reads the variables and logs in, unless there is a token.
    pub(super) async fn connect(vars: &Vars) -> Result<Self, VaultError> {
        let config = Config::from_vars(vars)?;
        let namespace = config.namespace.as_deref().map(HeaderValue::from_str).transpose();
        let server = Server {
            http: http_client(vars).await?,
            address: config.address,
            namespace: namespace.map_err(|_| VaultError::Header { name: "VAULT_NAMESPACE" })?,
            retry: RetryPolicy::from_vars(vars)?,
        };
        let token = match config.login {
            Login::Token(token) => token,
            Login::AppRole { mount, role_id, secret_id } => {
                server.log_in(&mount, &role_id, &secret_id).await?
            }
        };
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
                    Err(VaultError::NotFound { .. }) => 0,
                    Err(VaultError::Deleted { version, .. } | VaultError::Destroyed { version, .. }) => {
                        version
                    }
                    Err(error) => return Err(error),
                };
                json!({"options": {"cas": newest}, "data": members})
            }
        };
        let written = members.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str());
        let written: Vec<SecretString> = written.map(SecretString::from).collect();
        let (action, secrets) = (VaultAction::Write, written.iter().collect());
        let request = Request { action, secrets, body: Some(body), ..self.request(&path, place) };
        self.server.call(&request).await.map(|_| ())
    }

    async fn get(&self, path: &str, place: &VaultPath) -> Result<Value, VaultError> {
        let answer = self.server.call(&self.request(path, place)).await?;
        wire::json(path, &answer)
    }

    fn request<'r>(&'r self, path: &'r str, place: &'r VaultPath) -> Request<'r> {
        Request {
            action: VaultAction::Read,
            path,
            variable: &place.variable,
            token: Some(&self.token),
            secrets: Vec::new(),
            body: None,
        }
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
        let answer = self
            .call(&Request {
                action: VaultAction::LogIn,
                path: &path,
                variable: "VAULT_APPROLE_MOUNT",
                token: None,
                secrets: vec![secret_id, role_id],
                body: Some(ids),
            })
            .await?;
        wire::token(&path, &wire::json(&path, &answer)?)
    }

    /// The body of the answer, after as many attempts as it takes.
    async fn call(&self, request: &Request<'_>) -> Result<Bytes, VaultError> {
        self.retry.run(|| self.call_once(request)).await.map_err(|error| {
            let attempts = self.retry.attempts();
            if error.is_transient() && attempts > 1 {
                VaultError::Exhausted { error: Box::new(error), attempts }
            } else {
                error
            }
        })
    }

    async fn call_once(&self, request: &Request<'_>) -> Result<Bytes, VaultError> {
        let path = request.path.to_owned();
        let mut url = self.address.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(request.path.split('/'));
        }
        let method = if request.body.is_some() { Method::POST } else { Method::GET };
        let mut sent = self.http.request(method, url).headers(self.headers(request)?);
        if let Some(body) = &request.body {
            sent = sent.json(body);
        }
        let response = send(sent, &request.secrets).await.map_err(|error| VaultError::Unreachable {
            url: self.address.origin().ascii_serialization(),
            reason: innermost_cause(&error),
        })?;
        let head = Head::of(&response);
        let body = read_body(response, LARGEST_ANSWER_BYTES).await.map_err(|error| match error {
            BodyError::TooLarge { limit_bytes } => VaultError::TooLarge { path, limit_bytes },
            BodyError::Interrupted(error) => {
                VaultError::Interrupted { path, reason: innermost_cause(&error) }
            }
        })?;
        head.judge(request, body)
    }

    fn headers(&self, request: &Request<'_>) -> Result<HeaderMap, VaultError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        // without it an agent or proxy of Vault refuses, so that no web page can make a browser ask
        headers.insert("x-vault-request", HeaderValue::from_static("true"));
        if let Some(namespace) = &self.namespace {
            headers.insert("x-vault-namespace", namespace.clone());
        }
        if let Some(token) = request.token {
            let token = HeaderValue::from_str(token.expose_secret());
            let mut token = token.map_err(|_| VaultError::Header { name: "VAULT_TOKEN" })?;
            token.set_sensitive(true);
            headers.insert("x-vault-token", token);
        }
        Ok(headers)
    }
}

/// What an answer says before its body.
struct Head {
    status: u16,
    retry_after: Option<Duration>,
    is_html: bool,
    /// Where a redirect leads, without path and query.
    target: String,
}

impl Head {
    fn of(response: &Reply) -> Self {
        let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let target = header(LOCATION).and_then(|location| response.url().join(location).ok());
        Self {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers()),
            is_html: header(CONTENT_TYPE).is_some_and(|kind| kind.to_ascii_lowercase().contains("html")),
            target: target
                .map(|target| format!(" to {}", target.origin().ascii_serialization()))
                .unwrap_or_default(),
        }
    }

    /// The body, if the answer is what was asked for.
    fn judge(self, request: &Request<'_>, body: Bytes) -> Result<Bytes, VaultError> {
        let Self { status, retry_after, target, .. } = self;
        let is_page = self.is_html || body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<');
        if matches!(status, 200 | 204) && !is_page {
            return Ok(body);
        }
        let (action, path) = (request.action, request.path.to_owned());
        let variable = request.variable.to_owned();
        let detail = wire::detail(&body);
        Err(match status {
            300..=399 => VaultError::Redirect { path, status, target },
            503 if detail.contains("sealed") => VaultError::Sealed { status, retry_after, detail },
            // 412: a replica that has not heard of the token or of the document yet
            412 | 429 | 500.. => VaultError::Unavailable { action, path, status, retry_after, detail },
            _ if is_page => VaultError::WebPage { path, status },
            400 | 401 | 403 | 404 if action == VaultAction::LogIn => {
                VaultError::Login { path, status, detail }
            }
            401 | 403 => VaultError::Forbidden { action, path, variable, status, detail },
            404 => {
                let gone =
                    wire::json(request.path, &body).ok().and_then(|body| wire::gone(request.path, &body));
                gone.unwrap_or(VaultError::NotFound { path, variable, detail })
            }
            400 if detail.contains("check-and-set") => VaultError::Changed { path, detail },
            _ => VaultError::Refused { action, path, status, detail },
        })
    }
}
