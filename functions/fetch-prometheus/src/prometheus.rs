//! The HTTP API of Prometheus, as far as instant queries go. Thanos, Mimir and VictoriaMetrics have the same.

use bytes::Bytes;
use cloud::http::{
    BodyError, Content, RetryPolicy, Transient, content_type, innermost_cause, read_body, retry_after, send,
};
use cloud::secrets::Secrets;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::answer::Said;
use crate::error::PrometheusError;
use crate::rules::form;

/// 50,000 targets are about 6 MB.
const LARGEST_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// What opens the server.
pub(crate) enum Credentials {
    None,
    Basic { user: SecretString, password: SecretString },
    Bearer(SecretString),
}

/// Credentials that are half there, or there twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum InvalidCredentials {
    #[error("PROMETHEUS_USER and PROMETHEUS_PASSWORD belong together: set both, or none")]
    Half,
    #[error("PROMETHEUS_TOKEN and PROMETHEUS_USER exclude each other: set one of them")]
    Both,
}

impl Credentials {
    /// `PROMETHEUS_USER` and `PROMETHEUS_PASSWORD`, or `PROMETHEUS_TOKEN`, or nothing.
    pub(crate) fn from_secrets(secrets: &Secrets) -> Result<Self, InvalidCredentials> {
        let secret = |name| secrets.get(name).cloned();
        match (secret("PROMETHEUS_USER"), secret("PROMETHEUS_PASSWORD"), secret("PROMETHEUS_TOKEN")) {
            (None, None, None) => Ok(Self::None),
            (None, None, Some(token)) => Ok(Self::Bearer(token)),
            (Some(user), Some(password), None) => Ok(Self::Basic { user, password }),
            (_, _, None) => Err(InvalidCredentials::Half),
            (_, _, Some(_)) => Err(InvalidCredentials::Both),
        }
    }
}

/// A client of one server.
pub(crate) struct PrometheusClient {
    pub(crate) http: reqwest::Client,
    /// What comes before `/api/v1`.
    pub(crate) base: Url,
    pub(crate) credentials: Credentials,
    pub(crate) retry: RetryPolicy,
}

/// A result as it came, and from where.
pub(crate) struct Answer {
    pub(crate) document: Bytes,
    /// Path and question, as a query; there are no secrets in them.
    pub(crate) source: String,
    pub(crate) said: Said,
}

impl PrometheusClient {
    /// What a query comes to at a time, in seconds.
    pub(crate) async fn query(&self, promql: &str, time: &str) -> Result<Answer, PrometheusError> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1", "query"]);
        }
        url.set_query(None);
        let (path, form) = (url.path().to_owned(), form(promql, time));
        let document = self.retry.run(|| self.post(&url, &path, &form)).await.map_err(|error| {
            let attempts = self.retry.attempts();
            if error.is_transient() && attempts > 1 {
                PrometheusError::Exhausted { error: Box::new(error), attempts }
            } else {
                error
            }
        })?;
        let said = Said::parse(&path, &document)?;
        Ok(Answer { document, source: format!("{path}?{form}"), said })
    }

    /// Posted, because queries may be longer than URLs.
    async fn post(&self, url: &Url, path: &str, form: &str) -> Result<Bytes, PrometheusError> {
        let request = self.http.post(url.clone()).header(ACCEPT, "application/json");
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.to_owned());
        let request = match &self.credentials {
            Credentials::None => request,
            Credentials::Basic { user, password } => {
                request.basic_auth(user.expose_secret(), Some(password.expose_secret()))
            }
            Credentials::Bearer(token) => request.bearer_auth(token.expose_secret()),
        };
        let response = send(request, &[]).await.map_err(|error| PrometheusError::Unreachable {
            url: url.origin().ascii_serialization(),
            reason: innermost_cause(&error),
        })?;
        let (status, wait) = (response.status().as_u16(), retry_after(response.headers()));
        let content_type = content_type(response.headers());
        let path = path.to_owned();
        let body = match read_body(response, LARGEST_ANSWER_BYTES).await {
            Ok(body) => body,
            Err(BodyError::TooLarge { limit_bytes }) => {
                return Err(PrometheusError::TooLarge { path, limit_bytes });
            }
            Err(BodyError::Interrupted(error)) => {
                let reason = innermost_cause(&error);
                return Err(PrometheusError::Interrupted { path, reason });
            }
        };
        if status != 200 {
            return Err(PrometheusError::of_status(&path, status, wait, &body));
        }
        match Content::of(&content_type, &body) {
            Content::Json => Ok(body),
            Content::WebPage => Err(PrometheusError::WebPage { path }),
            Content::Other(content_type) => Err(PrometheusError::OtherContent { path, content_type }),
        }
    }
}
