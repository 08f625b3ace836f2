//! Where secrets come from: `SECRETS=env` (variables, as in a `.env` file; the default), `secretsmanager` or `vault`.
//!
//! A secret of Secrets Manager or of Vault is one JSON object whose members have the names that the variables would have.
//! The first is named by a variable such as `ATLAS_SECRET_ARN`, the second by `ATLAS_VAULT_PATH`; how Vault is reached stands in
//! [`mod@vault`]. Values are [`SecretString`] from here on and appear in no log and no error.

pub mod vault;

use std::collections::BTreeMap;

use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use secrecy::{ExposeSecret, SecretString};

use self::vault::{Vault, VaultError, VaultPath};
use crate::aws::{Aws, explain};
use crate::vars::{VarError, Vars};

/// The secrets of one function.
#[derive(Debug)]
pub struct Secrets {
    values: BTreeMap<String, SecretString>,
    source: String,
}

/// Where a secret is kept, outside the variables.
#[derive(Clone, Debug)]
pub struct SecretPlace(Kept);

#[derive(Clone, Debug)]
enum Kept {
    SecretsManager { arn: String },
    Vault(VaultPath),
}

/// Why there are no secrets.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SecretsError {
    /// A variable is missing or wrong.
    #[error(transparent)]
    Var(#[from] VarError),
    /// Secrets Manager refused or could not be reached.
    #[error("failed to read the secret {arn}: {reason}{advice}")]
    Call {
        /// Which secret.
        arn: String,
        /// What the service said.
        reason: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// The same, when writing.
    #[error("failed to write the secret {arn}: {reason}{advice}")]
    Write {
        /// Which secret.
        arn: String,
        /// What the service said.
        reason: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// Vault gave none, or took none.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The secret is no JSON object of texts. What it is instead is not said: it is a secret.
    #[error("the secret {arn} must be a JSON object of texts, for example {{\"PUBLIC_KEY\": \"...\"}}")]
    Shape {
        /// Which secret.
        arn: String,
    },
    /// The source has no such value.
    #[error("{name} is missing in {place}: set it to {meaning}")]
    Missing {
        /// The value's name.
        name: &'static str,
        /// Where it should be.
        place: String,
        /// What belongs there.
        meaning: &'static str,
    },
}

impl SecretPlace {
    /// The place that the variables name: `arn_variable` holds the ARN (or name) of the secret in Secrets Manager; with
    /// `SECRETS=vault`, the variable that ends in `_VAULT_PATH` instead of `_SECRET_ARN` holds the path in Vault.
    ///
    /// # Errors
    /// [`SecretsError`] names the variable that is missing or wrong.
    pub fn from_vars(vars: &Vars, arn_variable: &'static str) -> Result<Self, SecretsError> {
        if vars.get("SECRETS") == Some("vault") {
            return Ok(Self(Kept::Vault(VaultPath::from_vars(vars, arn_variable)?)));
        }
        let arn = vars.require(arn_variable, "the ARN of the secret in Secrets Manager")?;
        Ok(Self(Kept::SecretsManager { arn: arn.to_owned() }))
    }
}

impl Secrets {
    /// Loads the secrets; `arn_variable` names the variable that holds the ARN (or name) of the secret, see [`SecretPlace::from_vars`].
    ///
    /// # Errors
    /// [`SecretsError`].
    pub async fn load(vars: &Vars, aws: &Aws, arn_variable: &'static str) -> Result<Self, SecretsError> {
        match vars.get("SECRETS").unwrap_or("env") {
            "env" => Ok(Self { values: all(vars), source: "the environment (or .env)".into() }),
            "secretsmanager" | "vault" => match SecretPlace::from_vars(vars, arn_variable)?.0 {
                Kept::SecretsManager { arn } => Self::fetch(aws, &arn).await,
                Kept::Vault(path) => {
                    let document = open_vault(vars, aws).await?.read(&path).await?;
                    Ok(Self { values: document.members, source: format!("{} in Vault", document.path) })
                }
            },
            other => Err(SecretsError::Var(VarError::Invalid {
                name: "SECRETS",
                value: other.to_owned(),
                expected: "env, secretsmanager or vault".into(),
            })),
        }
    }

    async fn fetch(aws: &Aws, arn: &str) -> Result<Self, SecretsError> {
        let response = aws.secrets_manager().get_secret_value().secret_id(arn).send().await;
        let response = response.map_err(|error| SecretsError::Call {
            arn: arn.to_owned(),
            reason: explain(&error),
            advice: match error.code() {
                Some("AccessDeniedException") => {
                    "; the function's policy must allow secretsmanager:GetSecretValue"
                }
                Some("ResourceNotFoundException") => {
                    "; the variable must name a secret of this account and region"
                }
                _ => "",
            },
        })?;
        let shape = || SecretsError::Shape { arn: arn.to_owned() };
        let members: BTreeMap<String, String> =
            serde_json::from_str(response.secret_string().ok_or_else(shape)?).map_err(|_| shape())?;
        let values = members.into_iter().filter(|(_, value)| !value.trim().is_empty());
        let values = values.map(|(name, value)| (name, SecretString::from(value.trim().to_owned())));
        Ok(Self { values: values.collect(), source: format!("the secret {arn}") })
    }

    /// Replaces all members of a secret.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub async fn replace(
        vars: &Vars,
        aws: &Aws,
        place: &SecretPlace,
        members: &serde_json::Value,
    ) -> Result<(), SecretsError> {
        match &place.0 {
            Kept::SecretsManager { arn } => Self::put(aws, arn, members).await,
            Kept::Vault(path) => Ok(open_vault(vars, aws).await?.write(path, members).await?),
        }
    }

    async fn put(aws: &Aws, arn: &str, members: &serde_json::Value) -> Result<(), SecretsError> {
        let request = aws.secrets_manager().put_secret_value().secret_id(arn);
        let response = request.secret_string(members.to_string()).send().await;
        response.map(|_| ()).map_err(|error| SecretsError::Write {
            arn: arn.to_owned(),
            reason: explain(&error),
            advice: match error.code() {
                Some("AccessDeniedException") => "; your policy must allow secretsmanager:PutSecretValue",
                Some("ResourceNotFoundException") => {
                    "; ADMIN_SECRET_ARN must name a secret of this account and region"
                }
                _ => "",
            },
        })
    }

    /// The value, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.values.get(name)
    }

    /// A value that must be there; `meaning` completes "set it to ...".
    ///
    /// # Errors
    /// [`SecretsError::Missing`] says where it should be.
    pub fn require(&self, name: &'static str, meaning: &'static str) -> Result<SecretString, SecretsError> {
        let missing = || SecretsError::Missing { name, place: self.source.clone(), meaning };
        self.get(name).cloned().ok_or_else(missing)
    }

    /// A value that must be there and is no secret, such as an id kept beside the keys.
    ///
    /// # Errors
    /// [`SecretsError::Missing`].
    pub fn require_text(&self, name: &'static str, meaning: &'static str) -> Result<String, SecretsError> {
        self.require(name, meaning).map(|value| value.expose_secret().to_owned())
    }
}

/// Logs in to Vault, with what the secret that `VAULT_SECRET_ARN` names adds to the variables.
async fn open_vault(vars: &Vars, aws: &Aws) -> Result<Vault, SecretsError> {
    let mut vars = vars.clone();
    if let Some(arn) = vars.get("VAULT_SECRET_ARN") {
        let login = Secrets::fetch(aws, arn).await?.values;
        let login = login.iter().filter(|(name, _)| name.starts_with("VAULT_"));
        vars = vars.or(&login.map(|(name, value)| (name, value.expose_secret())).collect());
    }
    Ok(Vault::connect(&vars).await?)
}

fn all(vars: &Vars) -> BTreeMap<String, SecretString> {
    vars.iter().map(|(name, value)| (name.to_owned(), SecretString::from(value.to_owned()))).collect()
}
