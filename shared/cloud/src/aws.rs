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
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use url::Url;

use crate::http::{has_user_information, shown};
use crate::vars::{VarError, Vars};

/// The clients of a process.
#[derive(Clone, Debug)]
pub struct Aws {
    config: SdkConfig,
    s3: Option<Endpoint>,
    dynamodb: Option<Endpoint>,
    secrets_manager: Option<Endpoint>,
    cost_explorer: Option<Endpoint>,
    invoicing: Option<Endpoint>,
    organizations: Option<Endpoint>,
    sesv2: Option<Endpoint>,
}

/// Where a service is, if not on AWS.
#[derive(Clone, Debug)]
struct Endpoint {
    url: String,
    /// The way there, if it is in this process.
    client: Option<SharedHttpClient>,
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
            let endpoint = |url: String| Endpoint { client: vars.in_process(&url), url };
            given.map(|(name, url)| checked(name, url).map(endpoint)).transpose()
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
        let config = aws_sdk_s3::config::Builder::from(&at(&self.config, self.s3.as_ref()));
        aws_sdk_s3::Client::from_conf(config.force_path_style(self.s3.is_some()).build())
    }

    /// A client for DynamoDB.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&at(&self.config, self.dynamodb.as_ref()))
    }

    /// A client for Secrets Manager.
    #[must_use]
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&at(&self.config, self.secrets_manager.as_ref()))
    }

    /// A client for mails. One attempt: whether a mail that failed may be sent again is not for the SDK to say.
    pub(crate) fn sesv2(&self) -> aws_sdk_sesv2::Client {
        let once = self.config.to_builder().retry_config(RetryConfig::disabled()).build();
        aws_sdk_sesv2::Client::new(&at(&once, self.sesv2.as_ref()))
    }

    /// What clients of the billing APIs have in common: their region, and one attempt, because [`crate::billing_apis`] tries
    /// again itself.
    fn billing(&self) -> SdkConfig {
        let config = self.config.to_builder().region(Region::from_static(BILLING_REGION));
        config.retry_config(RetryConfig::disabled()).build()
    }

    pub(crate) fn cost_explorer(&self) -> aws_sdk_costexplorer::Client {
        aws_sdk_costexplorer::Client::new(&at(&self.billing(), self.cost_explorer.as_ref()))
    }

    pub(crate) fn invoicing(&self) -> aws_sdk_invoicing::Client {
        aws_sdk_invoicing::Client::new(&at(&self.billing(), self.invoicing.as_ref()))
    }

    pub(crate) fn organizations(&self) -> aws_sdk_organizations::Client {
        aws_sdk_organizations::Client::new(&at(&self.billing(), self.organizations.as_ref()))
    }
}

/// The configuration of a service: where it is, and how it is reached.
fn at(config: &SdkConfig, endpoint: Option<&Endpoint>) -> SdkConfig {
    let mut config = config.to_builder();
    config.set_endpoint_url(endpoint.map(|endpoint| endpoint.url.clone()));
    if let Some(client) = endpoint.and_then(|endpoint| endpoint.client.clone()) {
        config.set_http_client(Some(client));
    }
    config.build()
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
