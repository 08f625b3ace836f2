//! What BigQuery's client and the token's have in common.

use std::time::Duration;

use bytes::Bytes;
use cloud::http::{BodyError, Reply, RetryPolicy, innermost_cause, read_body, retry_after};
use url::Url;

use crate::error::GcpError;

/// BigQuery cuts pages at about 10 MB (20 MB once they are written out); a larger answer would end the function without a word.
const LARGEST_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// How calls are made.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) client: reqwest::Client,
    pub(crate) retry: RetryPolicy,
}

/// Status, wait asked for and whole body of an answer.
pub(crate) async fn body_of(
    response: Result<Reply, reqwest::Error>,
    url: &Url,
) -> Result<(u16, Option<Duration>, Bytes), GcpError> {
    let path = || url.path().to_owned();
    let response = response.map_err(|error| GcpError::Unreachable {
        url: url.origin().ascii_serialization(),
        reason: innermost_cause(&error),
    })?;
    let (status, wait) = (response.status().as_u16(), retry_after(response.headers()));
    let body = read_body(response, LARGEST_ANSWER_BYTES).await.map_err(|error| match error {
        BodyError::TooLarge { limit_bytes } => GcpError::TooLarge { path: path(), limit_bytes },
        BodyError::Interrupted(error) => {
            GcpError::Interrupted { path: path(), reason: innermost_cause(&error) }
        }
    })?;
    Ok((status, wait, body))
}
