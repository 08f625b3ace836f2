//! The HTTP API of Prometheus, as far as instant queries go. Thanos, Mimir and VictoriaMetrics have the same.

use bytes::Bytes;
use cloud::peer::{self, Api, Call, Fault, Fixed, Login, Peer, PeerError, Verdict};
use cloud::secrets::Secrets;
use serde_json::Value;
use url::Url;

use crate::answer::Said;
use crate::rules::form;

/// 50,000 targets are about 6 MB.
const LARGEST_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// Credentials that are half there, or there twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum InvalidCredentials {
    #[error("PROMETHEUS_USER and PROMETHEUS_PASSWORD belong together: set both, or none")]
    Half,
    #[error("PROMETHEUS_TOKEN and PROMETHEUS_USER exclude each other: set one of them")]
    Both,
    #[error("PROMETHEUS_TOKEN has characters that no header can carry: check that it was copied whole")]
    Characters,
}

/// What opens the server: `PROMETHEUS_USER` and `PROMETHEUS_PASSWORD`, or `PROMETHEUS_TOKEN`, or nothing.
pub(crate) fn login(secrets: &Secrets) -> Result<Option<Fixed>, InvalidCredentials> {
    let secret = |name| secrets.get(name);
    match (secret("PROMETHEUS_USER"), secret("PROMETHEUS_PASSWORD"), secret("PROMETHEUS_TOKEN")) {
        (None, None, None) => Ok(None),
        (None, None, Some(token)) => Fixed::bearer(token).map(Some).ok_or(InvalidCredentials::Characters),
        (Some(user), Some(password), None) => Ok(Some(Fixed::basic(user, password))),
        (_, _, None) => Err(InvalidCredentials::Half),
        (_, _, Some(_)) => Err(InvalidCredentials::Both),
    }
}

/// How Prometheus says no.
struct PrometheusApi;

impl Api for PrometheusApi {
    fn name(&self) -> &'static str {
        "Prometheus"
    }

    fn address(&self) -> &'static str {
        "PROMETHEUS_URL"
    }

    fn limit_bytes(&self) -> usize {
        LARGEST_ANSWER_BYTES
    }

    /// `{"errorType": "...", "error": "..."}`.
    fn said(&self, body: &[u8]) -> String {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name| body.get(name).and_then(Value::as_str);
        said(text("errorType"), text("error"))
    }

    fn judge(&self, answer: &peer::Answer) -> Option<Verdict> {
        match answer.status {
            400 => Some(Verdict::stated(
                Fault::Refused,
                "Prometheus does not understand the query",
                "check PROMETHEUS_QUERIES and PROMETHEUS_LABEL",
            )),
            422 => Some(Verdict::stated(
                Fault::Refused,
                "Prometheus cannot execute the query",
                "for too many samples, a larger PROMETHEUS_STEP or a recording rule helps",
            )),
            _ => Verdict::of_answer(answer),
        }
    }

    fn advice(&self, fault: Fault) -> String {
        let advice = match fault {
            Fault::Credentials => "check PROMETHEUS_USER and PROMETHEUS_PASSWORD, or PROMETHEUS_TOKEN",
            Fault::Denied => "the credentials must be allowed to query",
            Fault::NotFound => "check PROMETHEUS_URL; what comes before /api/v1 belongs to it",
            Fault::TooLarge => "the query must add up by the label",
            _ => "",
        };
        advice.to_owned()
    }
}

/// Prometheus' own words about an error.
pub(crate) fn said(kind: Option<&str>, error: Option<&str>) -> String {
    let parts: Vec<&str> = [kind, error].into_iter().flatten().filter(|part| !part.is_empty()).collect();
    parts.join(": ")
}

/// A client of one server.
pub(crate) struct PrometheusClient {
    pub(crate) peer: Peer,
    /// What comes before `/api/v1`.
    pub(crate) base: Url,
    pub(crate) login: Option<Fixed>,
}

/// A result as it came, and from where.
pub(crate) struct Answer {
    pub(crate) document: Bytes,
    /// Path and question, as a query; there are no secrets in them.
    pub(crate) source: String,
    pub(crate) said: Said,
}

impl PrometheusClient {
    /// What a query comes to at a time, in seconds. It is posted, because queries may be longer than URLs.
    pub(crate) async fn query(&self, promql: &str, time: &str) -> Result<Answer, PeerError> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1", "query"]);
        }
        url.set_query(None);
        let source = format!("{}?{}", url.path(), form(promql, time));
        let mut call = Call::post(&PrometheusApi, url).form([("query", promql), ("time", time)]);
        call.login = self.login.as_ref().map(|login| -> &dyn Login { login });
        let document = self.peer.ask(&call).await?.body;
        let said = Said::parse(&call.place, &document)?;
        Ok(Answer { document, source, said })
    }
}
