//! Where secrets come from: `SECRETS=env` (variables, as in a `.env` file; the default) or `secretsmanager`.
//!
//! A secret of Secrets Manager is one JSON object whose members have the names that the variables would have.
//! Values are [`SecretString`] from here on and appear in no log and no error.

use std::collections::BTreeMap;

use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use secrecy::{ExposeSecret, SecretString};

use crate::aws::{Aws, explain};
use crate::vars::{VarError, Vars};

/// The secrets of one function.
#[derive(Debug)]
pub struct Secrets {
    values: BTreeMap<String, SecretString>,
    source: String,
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

impl Secrets {
    /// Loads the secrets; `arn_variable` names the variable that holds the ARN (or name) of the secret.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub async fn load(vars: &Vars, aws: &Aws, arn_variable: &'static str) -> Result<Self, SecretsError> {
        match vars.get("SECRETS").unwrap_or("env") {
            "env" => Ok(Self { values: all(vars), source: "the environment (or .env)".into() }),
            "secretsmanager" => {
                let arn = vars.require(arn_variable, "the ARN of the secret in Secrets Manager")?;
                Self::fetch(aws, arn).await
            }
            other => Err(SecretsError::Var(VarError::Invalid {
                name: "SECRETS",
                value: other.to_owned(),
                expected: "env or secretsmanager".into(),
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

    /// Replaces all members of a secret of Secrets Manager.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub async fn replace(aws: &Aws, arn: &str, members: &serde_json::Value) -> Result<(), SecretsError> {
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

fn all(vars: &Vars) -> BTreeMap<String, SecretString> {
    vars.iter().map(|(name, value)| (name.to_owned(), SecretString::from(value.to_owned()))).collect()
}
