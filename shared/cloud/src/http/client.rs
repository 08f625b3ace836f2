//! A request and its answer: the one way in which functions ask their peers, over the network or within this process.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use reqwest::{Body, Method, Request, RequestBuilder, Response};
use secrecy::SecretString;
use url::Url;

use super::call::secrets_of;
use super::{BodyError, innermost_cause, longest_silence, was_never_sent};
use crate::vars::{InProcess, VarError, Vars};

/// Whatever a server in this process says when it does not answer.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A server in this process, which is asked without a socket.
pub trait Service: Send + Sync {
    /// Its answer; an error is a connection that breaks.
    fn answer(
        &self,
        request: http::Request<Body>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, BoxError>>;
}

/// A client. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    network: reqwest::Client,
    in_process: Option<Arc<dyn InProcess>>,
    longest_silence: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(network: reqwest::Client, vars: &Vars) -> Result<Self, VarError> {
        Ok(Self { network, in_process: vars.services(), longest_silence: longest_silence(vars)? })
    }

    /// A request, to be sent with [`Client::send`].
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.network.request(method, url)
    }

    /// Sends a request. Its credentials are known by their headers; `in_body` are the secrets that its body holds.
    ///
    /// # Errors
    /// [`SendError`]: there is no answer.
    pub async fn send(&self, request: RequestBuilder, in_body: &[SecretString]) -> Result<Reply, SendError> {
        let request = request.build()?;
        let mut sent = secrets_of(&request);
        sent.extend(in_body.iter().cloned());
        let service = self.in_process.as_ref().and_then(|services| services.service(request.url().as_str()));
        let response = match service {
            Some(service) => self.send_within(&*service, request).await?,
            None => self.network.execute(request).await?,
        };
        Ok(Reply { response, sent, longest_silence: self.longest_silence })
    }

    async fn send_within(&self, service: &dyn Service, request: Request) -> Result<Response, SendError> {
        let patience = request.timeout().copied().unwrap_or(self.longest_silence).min(self.longest_silence);
        let request = http::Request::<Body>::try_from(request)?;
        match tokio::time::timeout(patience, service.answer(request)).await {
            Ok(Ok(response)) => Ok(Response::from(response)),
            Ok(Err(broken)) => Err(SendError { reason: innermost_cause(&*broken), was_sent: true }),
            Err(_) => Err(SendError::time_out()),
        }
    }
}

/// Why there is no answer: its innermost cause, without the URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendError {
    reason: String,
    /// Whether the peer may have got the request.
    pub was_sent: bool,
}

impl SendError {
    fn time_out() -> Self {
        Self { reason: "time-out".to_owned(), was_sent: true }
    }
}

impl From<reqwest::Error> for SendError {
    fn from(error: reqwest::Error) -> Self {
        let was_sent = !was_never_sent(&error) && !error.is_builder();
        match error.is_timeout() && was_sent {
            true => Self::time_out(),
            false => Self { reason: innermost_cause(&error.without_url()), was_sent },
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for SendError {}

/// An answer, and what must not come back in it.
#[derive(Debug)]
pub struct Reply {
    response: Response,
    sent: Vec<SecretString>,
    longest_silence: Duration,
}

impl Deref for Reply {
    type Target = Response;

    fn deref(&self) -> &Response {
        &self.response
    }
}

impl Reply {
    /// The next piece of its body.
    ///
    /// # Errors
    /// [`BodyError::Interrupted`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        match tokio::time::timeout(self.longest_silence, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| BodyError::Interrupted(innermost_cause(&error.without_url()))),
            Err(_) => Err(BodyError::Interrupted("time-out".to_owned())),
        }
    }

    pub(super) fn sent(&self) -> &[SecretString] {
        &self.sent
    }
}
