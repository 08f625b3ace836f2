//! Calls to Azure: with a token or without, answers with their meaning, bodies of any size.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use cloud::bucket::Spool;
use cloud::http::{BodyError, Reply, RetryPolicy, Transient, innermost_cause, read_body, retry_after, send};
use flate2::write::MultiGzDecoder;
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use url::Url;

use crate::error::AzureError;
use crate::token::Tokens;

/// Answers that are JSON or XML are small; blobs are streamed.
pub(crate) const LARGEST_ANSWER_BYTES: usize = 32 * 1024 * 1024;
const LARGEST_ERROR_BYTES: usize = 64 * 1024;

/// Azure's own ways to say how long to wait, beside `Retry-After`: seconds each, the longest counts.
const WAITS: [&str; 5] = [
    "x-ms-ratelimit-microsoft.costmanagement-qpu-retry-after",
    "x-ms-ratelimit-microsoft.costmanagement-entity-retry-after",
    "x-ms-ratelimit-microsoft.costmanagement-tenant-retry-after",
    "x-ms-ratelimit-microsoft.costmanagement-clienttype-retry-after",
    "x-ms-ratelimit-microsoft.consumption-retry-after",
];

/// One request with a token.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) body: Option<Value>,
    /// Further headers.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// What the app registration needs to be allowed this.
    pub(crate) role: &'static str,
}

/// A small answer, whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A client and how it tries again.
pub(crate) struct Wire {
    pub(crate) http: reqwest::Client,
    pub(crate) retry: RetryPolicy,
}

impl Wire {
    /// Sends a call and reads its answer, as often as it takes.
    pub(crate) async fn ask(&self, tokens: &Tokens, call: &Call) -> Result<Answer, AzureError> {
        with_attempts(&self.retry, || async {
            let response = self.authorised(tokens, call).await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let path = path_of(&call.url);
            let body = read_body(response, LARGEST_ANSWER_BYTES).await;
            Ok(Answer { status, headers, body: body.map_err(|error| interrupted(&path, error))? })
        })
        .await
    }

    /// A blob that the token opens, as often as it takes.
    pub(crate) async fn blob(&self, tokens: &Tokens, call: &Call, shape: Shape) -> Result<Taken, AzureError> {
        with_attempts(&self.retry, || async {
            let response = self.authorised(tokens, call).await?;
            take(response, &file_name(&call.url), shape).await
        })
        .await
    }

    /// A blob that the link itself opens: a token must not go with it.
    pub(crate) async fn signed_blob(&self, link: &Url, shape: Shape) -> Result<Taken, AzureError> {
        let blob = file_name(link);
        with_attempts(&self.retry, || async {
            let sent = send(self.http.get(link.clone()), &[]).await;
            let response = sent.map_err(|error| unreachable(link, &error))?;
            let (status, wait) = (response.status().as_u16(), longest_wait(response.headers()));
            if status == 200 {
                return take(response, &blob, shape).await;
            }
            let body = read_body(response, LARGEST_ERROR_BYTES).await;
            let body = body.map_err(|error| interrupted(&blob, error))?;
            Err(match status {
                403 => {
                    let code = crate::error::xml_code(&body).unwrap_or_default();
                    AzureError::LinkExpired { blob: blob.clone(), code }
                }
                404 => AzureError::Contradiction {
                    document: "the cost details report".into(),
                    reason: format!("it names {blob}, which is not there (404)"),
                },
                _ => AzureError::of_status(blob.clone(), status, wait, &body, ""),
            })
        })
        .await
    }

    /// Sends with a token; one that is refused is replaced once.
    async fn authorised(&self, tokens: &Tokens, call: &Call) -> Result<Reply, AzureError> {
        let mut renewed = false;
        loop {
            let token = tokens.token(&self.http, &self.retry).await?;
            let mut request = self.http.request(call.method.clone(), call.url.clone());
            request = request.header(ACCEPT, "*/*").bearer_auth(token.expose_secret());
            for (name, value) in call.headers {
                request = request.header(*name, *value);
            }
            if let Some(body) = &call.body {
                request = request.json(body);
            }
            let response = send(request, &[]).await.map_err(|error| unreachable(&call.url, &error))?;
            let status = response.status().as_u16();
            if status == 401 && !renewed {
                tokens.refused(&token).await;
                renewed = true;
                continue;
            }
            if (200..300).contains(&status) {
                return Ok(response);
            }
            let (path, wait) = (path_of(&call.url), longest_wait(response.headers()));
            let body = read_body(response, LARGEST_ERROR_BYTES).await;
            let body = body.map_err(|error| interrupted(&path, error))?;
            return Err(AzureError::of_status(path, status, wait, &body, call.role));
        }
    }
}

/// What is said of a blob before it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) stated_bytes: Option<u64>,
    pub(crate) is_gzip: bool,
}

/// A blob as it came.
pub(crate) struct Taken {
    pub(crate) spool: Spool,
    /// Its size when it is unpacked, of a gzip.
    pub(crate) unpacked_bytes: Option<u64>,
}

impl Taken {
    /// Whether it has the size that Azure states. Of a gzip that may be the size of either.
    fn check(&self, blob: &str, stated: Option<u64>) -> Result<(), AzureError> {
        let found = self.spool.bytes();
        match stated {
            Some(stated) if stated != found && self.unpacked_bytes != Some(stated) => {
                let reason = format!("{stated} bytes are stated, {found} came");
                Err(AzureError::CutShort { blob: blob.to_owned(), reason })
            }
            _ => Ok(()),
        }
    }
}

/// Counts what is unpacked.
struct Counter(u64);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Takes in a body of any size; a gzip is unpacked on the way, to see that it is whole.
async fn take(mut response: Reply, blob: &str, shape: Shape) -> Result<Taken, AzureError> {
    let stated = response.content_length();
    let mut spool = Spool::new()?;
    let mut unpacked = shape.is_gzip.then(|| MultiGzDecoder::new(Counter(0)));
    let broken = |error: std::io::Error| AzureError::CutShort {
        blob: blob.to_owned(),
        reason: format!("it is no whole gzip: {error}"),
    };
    while let Some(piece) = response.chunk().await.map_err(|error| interrupted(blob, error.into()))? {
        if let Some(unpacked) = &mut unpacked {
            std::io::Write::write_all(unpacked, &piece).map_err(broken)?;
        }
        spool.write(&piece).await?;
    }
    let unpacked_bytes = match unpacked {
        Some(mut unpacked) => {
            unpacked.try_finish().map_err(broken)?;
            Some(unpacked.get_ref().0)
        }
        None => None,
    };
    let taken = Taken { spool, unpacked_bytes };
    taken.check(blob, stated)?;
    taken.check(blob, shape.stated_bytes)?;
    Ok(taken)
}

/// Tries as often as the policy allows, and says so when it did not help.
pub(crate) async fn with_attempts<T, F>(retry: &RetryPolicy, call: impl FnMut() -> F) -> Result<T, AzureError>
where
    F: Future<Output = Result<T, AzureError>>,
{
    let attempts = retry.attempts();
    retry.run(call).await.map_err(|error| {
        let tried = error.is_transient() && attempts > 1;
        if tried { AzureError::Exhausted { error: Box::new(error), attempts } } else { error }
    })
}

/// The longest wait that an answer asks for.
pub(crate) fn longest_wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |name| headers.get(name)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs);
    WAITS.into_iter().filter_map(seconds).chain(retry_after(headers)).max()
}

/// The path of a URL, without what may be secret.
pub(crate) fn path_of(url: &Url) -> String {
    url.path().to_owned()
}

/// The last part of a URL's path.
pub(crate) fn file_name(url: &Url) -> String {
    url.path().rsplit('/').next().unwrap_or_default().to_owned()
}

pub(crate) fn unreachable(url: &Url, error: &reqwest::Error) -> AzureError {
    AzureError::Unreachable { url: url.origin().ascii_serialization(), reason: innermost_cause(error) }
}

pub(crate) fn interrupted(path: &str, error: BodyError) -> AzureError {
    let path = path.to_owned();
    match error {
        BodyError::TooLarge { limit_bytes } => AzureError::TooLarge { path, limit_bytes },
        BodyError::Interrupted(error) => AzureError::Interrupted { path, reason: innermost_cause(&error) },
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn of_all_waits_the_longest_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(longest_wait(&headers), None);
        headers.insert("retry-after", HeaderValue::from_static("5"));
        headers.insert(WAITS[0], HeaderValue::from_static("8"));
        headers.insert(WAITS[1], HeaderValue::from_static("33"));
        headers.insert(WAITS[2], HeaderValue::from_static("0"));
        headers.insert(WAITS[3], HeaderValue::from_static("soon"));
        assert_eq!(longest_wait(&headers), Some(Duration::from_secs(33)));
    }
}
