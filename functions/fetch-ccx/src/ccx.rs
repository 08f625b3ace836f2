//! The admin API of a CCX server, as far as its usage report goes.

use bytes::Bytes;
use cloud::peer::{Api, Call, Fault, Fixed, Peer, PeerError};
use cloud::vars::{VarError, Vars};
use serde_json::Value;
use url::Url;

use crate::months::Window;

/// 100,000 datastores are about 55 MB; a larger answer would end the function without a word.
const LARGEST_ANSWER_BYTES: usize = 96 * 1024 * 1024;

/// How the server spells the path of the report and the names of its days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathStyle {
    Current,
    Legacy,
}

impl PathStyle {
    /// `CCX_PATH_STYLE`.
    pub(crate) fn from_vars(vars: &Vars) -> Result<Self, VarError> {
        match vars.get("CCX_PATH_STYLE") {
            None | Some("current") => Ok(Self::Current),
            Some("legacy") => Ok(Self::Legacy),
            Some(other) => Err(VarError::Invalid {
                name: "CCX_PATH_STYLE",
                value: other.to_owned(),
                expected: "current or legacy".into(),
            }),
        }
    }

    fn path(self) -> &'static [&'static str] {
        match self {
            Self::Current => &["api", "admin", "datastores", "billing", "usage", "json"],
            Self::Legacy => &["api", "admin", "datastores", "billing", "json"],
        }
    }

    /// Names of the first and of the last day.
    fn days(self) -> [&'static str; 2] {
        match self {
            Self::Current => ["from", "to"],
            Self::Legacy => ["start", "end"],
        }
    }
}

/// A client with the credentials of an administrator.
pub(crate) struct CcxClient {
    pub(crate) peer: Peer,
    pub(crate) base: Url,
    pub(crate) style: PathStyle,
    pub(crate) login: Fixed,
}

/// How CCX says no.
struct CcxApi;

impl Api for CcxApi {
    fn name(&self) -> &'static str {
        "CCX"
    }

    fn address(&self) -> &'static str {
        "CCX_API_URL and CCX_PATH_STYLE"
    }

    fn limit_bytes(&self) -> usize {
        LARGEST_ANSWER_BYTES
    }

    /// `{"error": "..."}`.
    fn said(&self, body: &[u8]) -> String {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        body.get("error").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn advice(&self, fault: Fault) -> String {
        let advice = match fault {
            Fault::Credentials => "check CCX_USER and CCX_PASSWORD",
            Fault::Denied => "the user CCX_USER must be an administrator of the server",
            Fault::Unreachable | Fault::NoAnswer => "check CCX_API_URL and the network",
            _ => "",
        };
        advice.to_owned()
    }
}

/// A report as it came, and from where.
pub(crate) struct Answer {
    pub(crate) document: Bytes,
    /// Path and query; there are no secrets in them.
    pub(crate) source: String,
}

impl CcxClient {
    /// The report of some days, as it comes.
    pub(crate) async fn usage(&self, window: &Window) -> Result<Answer, PeerError> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(self.style.path());
        }
        let [first, last] = self.style.days();
        let query = format!("{first}={}&{last}={}", window.from, window.to);
        url.set_query(Some(&query));
        let source = format!("{}?{query}", url.path());
        let answer = self.peer.ask(&Call::get(&CcxApi, url).with(&self.login)).await?;
        Ok(Answer { document: answer.body, source })
    }
}
