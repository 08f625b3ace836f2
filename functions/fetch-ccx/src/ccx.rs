//! The admin API of a CCX server, as far as its usage report goes.

use bytes::Bytes;
use cloud::http::{
    BodyError, Content, RetryPolicy, Transient, content_type, innermost_cause, read_body, retry_after, send,
};
use cloud::vars::{VarError, Vars};
use reqwest::header::ACCEPT;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::error::CcxError;
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
    pub(crate) http: reqwest::Client,
    pub(crate) base: Url,
    pub(crate) style: PathStyle,
    pub(crate) user: SecretString,
    pub(crate) password: SecretString,
    pub(crate) retry: RetryPolicy,
}

/// A report as it came, and from where.
pub(crate) struct Answer {
    pub(crate) document: Bytes,
    /// Path and query; there are no secrets in them.
    pub(crate) source: String,
}

impl CcxClient {
    /// The report of some days, as it comes.
    pub(crate) async fn usage(&self, window: &Window) -> Result<Answer, CcxError> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(self.style.path());
        }
        let [first, last] = self.style.days();
        let query = format!("{first}={}&{last}={}", window.from, window.to);
        url.set_query(Some(&query));
        let path = url.path().to_owned();
        let document = self.retry.run(|| self.get(&url, &path)).await.map_err(|error| {
            let attempts = self.retry.attempts();
            if error.is_transient() && attempts > 1 {
                CcxError::Exhausted { error: Box::new(error), attempts }
            } else {
                error
            }
        })?;
        Ok(Answer { document, source: format!("{path}?{query}") })
    }

    async fn get(&self, url: &Url, path: &str) -> Result<Bytes, CcxError> {
        let request = self.http.get(url.clone()).header(ACCEPT, "application/json");
        let request = request.basic_auth(self.user.expose_secret(), Some(self.password.expose_secret()));
        let response = send(request, &[]).await.map_err(|error| CcxError::Unreachable {
            url: url.origin().ascii_serialization(),
            reason: innermost_cause(&error),
        })?;
        let (status, wait) = (response.status().as_u16(), retry_after(response.headers()));
        let content_type = content_type(response.headers());
        let body = read_body(response, LARGEST_ANSWER_BYTES).await.map_err(|error| match error {
            BodyError::TooLarge { limit_bytes } => CcxError::TooLarge { path: path.to_owned(), limit_bytes },
            BodyError::Interrupted(error) => {
                CcxError::Interrupted { path: path.to_owned(), reason: innermost_cause(&error) }
            }
        })?;
        if status != 200 {
            return Err(CcxError::of_status(path, status, wait, &body));
        }
        check_content(path, &content_type, &body)?;
        Ok(body)
    }
}

/// A wrong path is answered with the web application, and with 200.
fn check_content(path: &str, content_type: &str, body: &[u8]) -> Result<(), CcxError> {
    let path = path.to_owned();
    match Content::of(content_type, body) {
        Content::Json => Ok(()),
        Content::WebPage => Err(CcxError::WebPage { path }),
        Content::Other(content_type) => Err(CcxError::OtherContent { path, content_type }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_a_report() {
        let check = |content_type: &str, body: &str| {
            check_content("/usage", content_type, body.as_bytes()).map_err(|error| error.to_string())
        };
        assert_eq!(check("application/json", "{"), Ok(()), "what it says is for the certificate");
        assert_eq!(check("application/problem+json", "{}"), Ok(()));
        assert_eq!(check("", " {}"), Ok(()));
        let page = "the answer to /usage is a web page, not a report; check CCX_API_URL and CCX_PATH_STYLE"
            .to_owned();
        assert_eq!(check("text/html", ""), Err(page.clone()));
        assert_eq!(check("application/json", "\n<!doctype html>"), Err(page));
        let other = check("text/csv", "a,b").unwrap_err();
        assert!(other.starts_with("the answer to /usage is text/csv, not application/json"), "{other}");
        assert!(check("", "").unwrap_err().contains("of no content type"));
    }
}
