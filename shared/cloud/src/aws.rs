//! AWS clients: one configuration, built once at the start of a process.
//!
//! | variable | meaning |
//! |---|---|
//! | `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL_SECRETS_MANAGER`, `AWS_ENDPOINT_URL` | where the services are; not set on AWS |
//! | `AWS_ENDPOINT_URL_COST_EXPLORER`, `AWS_ENDPOINT_URL_INVOICING`, `AWS_ENDPOINT_URL_ORGANIZATIONS` | the same for the billing APIs |
//! | `AWS_ENDPOINT_URL_SESV2` | the same for mails |
//! | `AWS_REGION` (or `AWS_DEFAULT_REGION`) | the region; without it the SDK's own chain decides |
//! | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | credentials; without them the SDK's own chain decides |
//! | `AWS_MAX_ATTEMPTS` | attempts per call, default 4 |
//! | `AWS_CALL_TIMEOUT_MS` | bound of one attempt, default 60000 |

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use url::Url;

use crate::http::{has_user_information, shown};
use crate::vars::{VarError, Vars};

/// The clients of a process.
#[derive(Clone, Debug)]
pub struct Aws {
    config: SdkConfig,
    s3: Option<String>,
    dynamodb: Option<String>,
    secrets_manager: Option<String>,
    cost_explorer: Option<String>,
    invoicing: Option<String>,
    organizations: Option<String>,
    sesv2: Option<String>,
}

/// Where the billing APIs are, wherever the function runs.
const BILLING_REGION: &str = "us-east-1";

impl Aws {
    /// Loads the configuration: from `vars` where they say so, else from the SDK's own chain.
    ///
    /// # Errors
    /// [`VarError`] if a number is none.
    pub async fn connect(vars: &Vars) -> Result<Self, VarError> {
        let retry = RetryConfig::standard().with_max_attempts(vars.number("AWS_MAX_ATTEMPTS", 4)?);
        let timeout = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_millis(vars.number("AWS_CALL_TIMEOUT_MS", 60_000)?))
            .build();
        let region = vars.get("AWS_REGION").or(vars.get("AWS_DEFAULT_REGION"));
        let keys = vars.get("AWS_ACCESS_KEY_ID").zip(vars.get("AWS_SECRET_ACCESS_KEY"));
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).retry_config(retry).timeout_config(timeout);
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        if let Some((id, secret)) = keys {
            let token = vars.get("AWS_SESSION_TOKEN").map(str::to_owned);
            loader = loader.credentials_provider(Credentials::new(id, secret, token, None, "variables"));
        }
        let endpoint = |name| {
            let given = [name, "AWS_ENDPOINT_URL"].into_iter().find_map(|name| Some((name, vars.get(name)?)));
            given.map(|(name, url)| checked(name, url)).transpose()
        };
        Ok(Self {
            config: loader.load().await,
            s3: endpoint("AWS_ENDPOINT_URL_S3")?,
            dynamodb: endpoint("AWS_ENDPOINT_URL_DYNAMODB")?,
            secrets_manager: endpoint("AWS_ENDPOINT_URL_SECRETS_MANAGER")?,
            cost_explorer: endpoint("AWS_ENDPOINT_URL_COST_EXPLORER")?,
            invoicing: endpoint("AWS_ENDPOINT_URL_INVOICING")?,
            organizations: endpoint("AWS_ENDPOINT_URL_ORGANIZATIONS")?,
            sesv2: endpoint("AWS_ENDPOINT_URL_SESV2")?,
        })
    }

    /// The same credentials in another region.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        let config = self.config.to_builder().region(Region::new(region.to_owned())).build();
        Self { config, ..self.clone() }
    }

    /// A client for S3. Given endpoints are addressed by path (`endpoint/bucket/key`).
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let mut config = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(self.s3.is_some());
        config.set_endpoint_url(self.s3.clone());
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// A client for DynamoDB.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::config::Builder::from(&self.config);
        config.set_endpoint_url(self.dynamodb.clone());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// A client for Secrets Manager.
    #[must_use]
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let mut config = aws_sdk_secretsmanager::config::Builder::from(&self.config);
        config.set_endpoint_url(self.secrets_manager.clone());
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// A client for mails. One attempt: whether a mail that failed may be sent again is not for the SDK to say.
    pub(crate) fn sesv2(&self) -> aws_sdk_sesv2::Client {
        let once = self.config.to_builder().retry_config(RetryConfig::disabled()).build();
        let mut config = aws_sdk_sesv2::config::Builder::from(&once);
        config.set_endpoint_url(self.sesv2.clone());
        aws_sdk_sesv2::Client::from_conf(config.build())
    }

    /// What clients of the billing APIs have in common: their region, and one attempt, because [`crate::billing_apis`] tries
    /// again itself.
    fn billing(&self) -> SdkConfig {
        let config = self.config.to_builder().region(Region::from_static(BILLING_REGION));
        config.retry_config(RetryConfig::disabled()).build()
    }

    pub(crate) fn cost_explorer(&self) -> aws_sdk_costexplorer::Client {
        let mut config = aws_sdk_costexplorer::config::Builder::from(&self.billing());
        config.set_endpoint_url(self.cost_explorer.clone());
        aws_sdk_costexplorer::Client::from_conf(config.build())
    }

    pub(crate) fn invoicing(&self) -> aws_sdk_invoicing::Client {
        let mut config = aws_sdk_invoicing::config::Builder::from(&self.billing());
        config.set_endpoint_url(self.invoicing.clone());
        aws_sdk_invoicing::Client::from_conf(config.build())
    }

    pub(crate) fn organizations(&self) -> aws_sdk_organizations::Client {
        let mut config = aws_sdk_organizations::config::Builder::from(&self.billing());
        config.set_endpoint_url(self.organizations.clone());
        aws_sdk_organizations::Client::from_conf(config.build())
    }
}

/// An endpoint that is a plain URL: the SDK quotes it in errors and logs its query, whatever it is.
fn checked(name: &'static str, endpoint: &str) -> Result<String, VarError> {
    match Url::parse(endpoint) {
        Ok(url) if url.has_host() && !has_user_information(&url) && url.query().is_none() => {
            Ok(endpoint.to_owned())
        }
        other => Err(VarError::Invalid {
            name,
            value: other.map_or_else(|_| "[...]".to_owned(), |url| shown(&url)),
            expected: "a URL without a user, a password and a query".into(),
        }),
    }
}

/// One line about a failed call: what the service said, else how the call failed.
pub(crate) fn explain<E>(error: &E) -> String
where
    E: ProvideErrorMetadata + std::error::Error,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => {
            // of a wrong signature the whole request is repeated, and a session's token with it
            let said = message.split("The Canonical String").next().unwrap_or_default().trim_end();
            format!("{code}: {said}")
        }
        (Some(code), None) => code.to_owned(),
        // each cause in its own words: a view of all of it would end with the whole answer
        _ => {
            let (mut text, mut cause) = (error.to_string(), error.source());
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            text.chars().take(400).collect()
        }
    }
}
