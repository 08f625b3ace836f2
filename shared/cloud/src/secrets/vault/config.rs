//! How Vault is reached and what opens it, from variables.

use reqwest::Certificate;
use secrecy::SecretString;
use url::Url;

use super::error::VaultError;
use crate::http::{Client, base_url, client_builder, innermost_cause};
use crate::vars::{VarError, Vars};

/// What the variables say.
pub(super) struct Config {
    pub(super) address: Url,
    pub(super) namespace: Option<String>,
    pub(super) mount: String,
    pub(super) engine: Engine,
    pub(super) login: Login,
}

/// The version of the KV engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// One document for each path.
    V1,
    /// Versions of a document for each path.
    V2,
}

/// What opens Vault.
pub(super) enum Login {
    Token(SecretString),
    AppRole { mount: String, role_id: SecretString, secret_id: SecretString },
}

/// Where a secret stands in Vault, and the variable that says so.
#[derive(Clone, Debug)]
pub(in crate::secrets) struct VaultPath {
    pub(super) variable: String,
    pub(super) path: String,
}

impl Config {
    pub(super) fn from_vars(vars: &Vars) -> Result<Self, VaultError> {
        let address = vars.require("VAULT_ADDR", "the URL of the Vault server, https://...")?;
        let engine = match vars.get("VAULT_KV") {
            None | Some("2") => Engine::V2,
            Some("1") => Engine::V1,
            Some(other) => {
                let value = other.to_owned();
                let expected = "1 or 2, the version of the KV engine".into();
                return Err(VarError::Invalid { name: "VAULT_KV", value, expected }.into());
            }
        };
        Ok(Self {
            address: base_url("VAULT_ADDR", address, vars)?,
            namespace: vars.get("VAULT_NAMESPACE").map(|name| name.trim_matches('/').to_owned()),
            mount: path("VAULT_MOUNT", vars.get("VAULT_MOUNT").unwrap_or("secret"))?,
            engine,
            login: Login::from_vars(vars)?,
        })
    }
}

impl Login {
    /// The token if there is one, else the AppRole.
    fn from_vars(vars: &Vars) -> Result<Self, VaultError> {
        if let Some(token) = vars.get("VAULT_TOKEN") {
            return Ok(Self::Token(token.into()));
        }
        let hint = match (vars.get("VAULT_ROLE_ID"), vars.get("VAULT_SECRET_ID")) {
            (Some(role_id), Some(secret_id)) => {
                let mount = vars.get("VAULT_APPROLE_MOUNT").unwrap_or("approle");
                return Ok(Self::AppRole {
                    mount: path("VAULT_APPROLE_MOUNT", mount)?,
                    role_id: role_id.into(),
                    secret_id: secret_id.into(),
                });
            }
            (Some(_), None) => " (VAULT_SECRET_ID is not set)",
            (None, Some(_)) => " (VAULT_ROLE_ID is not set)",
            (None, None) => "",
        };
        Err(VaultError::NoLogin { hint })
    }
}

impl VaultPath {
    /// The path that belongs to a variable for Secrets Manager: `ATLAS_VAULT_PATH` instead of `ATLAS_SECRET_ARN`.
    pub(in crate::secrets) fn from_vars(vars: &Vars, arn_variable: &str) -> Result<Self, VaultError> {
        let name = arn_variable.strip_suffix("_SECRET_ARN").unwrap_or(arn_variable);
        let variable = format!("{name}_VAULT_PATH");
        let Some(text) = vars.get(&variable) else {
            return Err(VaultError::NoPath { variable, name: name.to_lowercase() });
        };
        Ok(Self { path: path(&variable, text)?, variable })
    }
}

/// A path without slashes around it. A part that is empty, `.` or `..` would lead elsewhere.
fn path(variable: &str, text: &str) -> Result<String, VaultError> {
    let path = text.trim_matches('/');
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
    if path.split('/').all(is_part) {
        return Ok(path.to_owned());
    }
    Err(VaultError::Path { variable: variable.to_owned(), value: text.to_owned() })
}

/// A client that also trusts the certificates of `VAULT_CACERT`.
pub(super) async fn http_client(vars: &Vars) -> Result<Client, VaultError> {
    let mut builder = client_builder(vars)?;
    if let Some(given) = vars.get("VAULT_CACERT") {
        builder = builder.tls_certs_merge(certificates(given).await?);
    }
    let client = builder.build().map_err(|error| VaultError::Client(innermost_cause(&error)))?;
    Ok(Client::new(client, vars)?)
}

async fn certificates(given: &str) -> Result<Vec<Certificate>, VaultError> {
    let pem = if given.contains("-----BEGIN") {
        // where a variable takes no line breaks, they are written as in JSON
        given.replace("\\n", "\n").into_bytes()
    } else {
        let unreadable = |error| VaultError::Certificates(format!("failed to read {given}: {error}"));
        tokio::fs::read(given).await.map_err(unreadable)?
    };
    let found = Certificate::from_pem_bundle(&pem);
    let found = found.map_err(|error| VaultError::Certificates(innermost_cause(&error)))?;
    if found.is_empty() {
        return Err(VaultError::Certificates("there is no certificate in it".into()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: [(&str, &str); 2] = [("VAULT_ADDR", "https://vault.example.com:8200"), ("VAULT_TOKEN", "t")];

    fn config(vars: &[(&str, &str)]) -> Result<Config, String> {
        let vars = Vars::from_iter(vars.iter().copied()).or(&Vars::from_iter(TOKEN));
        Config::from_vars(&vars).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_those_of_vault() {
        let config = config(&[]).unwrap();
        assert_eq!((config.mount.as_str(), config.engine, config.namespace), ("secret", Engine::V2, None));
        assert!(matches!(config.login, Login::Token(_)));
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (name, value, expected) in [
            ("VAULT_ADDR", "http://vault.example.com", "use https (plain http is for this machine only)"),
            ("VAULT_ADDR", "vault.example.com", "VAULT_ADDR is not usable: relative URL without a base"),
            ("VAULT_KV", "3", "the variable VAULT_KV is '3', expected 1 or 2, the version of the KV engine"),
            ("VAULT_MOUNT", "kv//x", "the variable VAULT_MOUNT is 'kv//x', expected a path in Vault"),
        ] {
            let message = config(&[(name, value)]).err().unwrap();
            assert!(message.contains(expected), "{message}");
        }
        let sam = [("VAULT_ADDR", "http://172.17.0.1:8200"), ("AWS_SAM_LOCAL", "true")];
        assert!(config(&sam).is_ok(), "a container of `sam local` reaches its machine at a private address");
    }

    #[test]
    fn a_login_is_a_token_or_both_ids() {
        let login = |pairs: &[(&str, &str)]| Login::from_vars(&Vars::from_iter(pairs.iter().copied()));
        let ids = [("VAULT_ROLE_ID", "r"), ("VAULT_SECRET_ID", "s")];
        assert!(matches!(login(&ids), Ok(Login::AppRole { mount, .. }) if mount == "approle"));
        assert!(matches!(login(&[ids[0], ids[1], TOKEN[1]]), Ok(Login::Token(_))));
        let none = "there is no login for Vault: set VAULT_ROLE_ID and VAULT_SECRET_ID, or VAULT_TOKEN";
        for (given, hint) in [
            (&ids[..0], ""),
            (&ids[..1], " (VAULT_SECRET_ID is not set)"),
            (&ids[1..], " (VAULT_ROLE_ID is not set)"),
        ] {
            assert_eq!(login(given).err().unwrap().to_string(), format!("{none}{hint}"));
        }
    }

    #[test]
    fn each_secret_has_its_path() {
        let path = |vars: &[(&str, &str)]| {
            let found = VaultPath::from_vars(&Vars::from_iter(vars.iter().copied()), "ATLAS_SECRET_ARN");
            found.map(|found| found.path).map_err(|error| error.to_string())
        };
        assert_eq!(path(&[("ATLAS_VAULT_PATH", "/monthend/atlas/")]), Ok("monthend/atlas".into()));
        assert_eq!(
            path(&[("ATLAS_SECRET_ARN", "arn:aws:...")]).unwrap_err(),
            "the variable ATLAS_VAULT_PATH is missing: set it to the path of the secret in Vault without its mount, \
             for example monthend/atlas"
        );
        for wrong in ["../sys/raw", "a//b", "a/./b", "//"] {
            let message = path(&[("ATLAS_VAULT_PATH", wrong)]).unwrap_err();
            assert!(message.starts_with(&format!("the variable ATLAS_VAULT_PATH is '{wrong}'")), "{message}");
        }
    }
}
