//! The one client for every HTTP provider: login and renewal, bounds, attempts by `Retry-After`, JSON or bytes, and one error.
//!
//! A provider adds its endpoints, how it says no ([`Api::judge`]), and what to do about it ([`Api::advice`]).

mod error;
mod login;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use serde::Serialize;
use url::Url;

use crate::http::{self, BodyError, Client, ClientError, Content, Reply, RetryPolicy, Transient};
use crate::vars::Vars;

pub use error::{Fault, PeerError, quoted};
pub use login::{Fixed, Login, TokenEndpoint, Tokens};

/// What a provider's API has of its own.
pub trait Api: Sync {
    /// What it is called in messages.
    fn name(&self) -> &'static str;

    /// The variables that say where it is.
    fn address(&self) -> &'static str;

    /// What is accepted.
    fn accept(&self) -> &'static str {
        "application/json"
    }

    /// A larger answer would end the function without a word.
    fn limit_bytes(&self) -> usize;

    /// What its own error document says.
    fn said(&self, body: &[u8]) -> String;

    /// What an answer means that does not give what was asked for; nothing if it does.
    fn judge(&self, answer: &Answer) -> Option<Verdict> {
        Verdict::of_answer(answer)
    }

    /// What a person should do about a fault; empty if there is nothing, or nothing more than to look at the address.
    fn advice(&self, fault: Fault) -> String;

    /// How long an answer asks to wait.
    fn wait(&self, headers: &HeaderMap) -> Option<Duration> {
        http::retry_after(headers)
    }
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    fault: Fault,
    sentence: Option<&'static str>,
    advice: Option<&'static str>,
}

impl From<Fault> for Verdict {
    fn from(fault: Fault) -> Self {
        Self { fault, sentence: None, advice: None }
    }
}

impl Verdict {
    /// What a status says that is no success.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        Fault::of_status(status).into()
    }

    /// What is to be made of it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// A fault that has words of its own, and its own advice.
    #[must_use]
    pub fn stated(fault: Fault, sentence: &'static str, advice: &'static str) -> Self {
        Self { fault, sentence: Some(sentence), advice: Some(advice) }
    }

    /// Any status that is no success is none, and a success that is not JSON neither. A server with a web application answers wrong paths with
    /// its page, and with 200.
    #[must_use]
    pub fn of_answer(answer: &Answer) -> Option<Self> {
        match answer.status {
            200..300 => (answer.content() != Content::Json).then(|| Fault::OtherContent.into()),
            status => Some(Self::of_status(status)),
        }
    }
}

/// A small answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as it came; that of a refusal without what was sent.
    pub body: Bytes,
}

impl Answer {
    /// What it is, by its header and its first byte.
    #[must_use]
    pub fn content(&self) -> Content {
        Content::of(&http::content_type(&self.headers), &self.body)
    }
}

/// One request.
pub struct Call<'c> {
    /// Who is asked, for messages.
    pub api: &'c dyn Api,
    /// How.
    pub method: Method,
    /// Where.
    pub url: Url,
    /// What messages call it, without secrets: the path, unless somebody says otherwise.
    pub place: String,
    /// Further headers.
    pub headers: HeaderMap,
    /// What opens it.
    pub login: Option<&'c dyn Login>,
    timeout: Option<Duration>,
    body: Option<(HeaderValue, Vec<u8>)>,
    secrets: Vec<SecretString>,
}

impl<'c> Call<'c> {
    /// A GET.
    #[must_use]
    pub fn get(api: &'c dyn Api, url: Url) -> Self {
        Self::new(api, Method::GET, url)
    }

    /// A POST.
    #[must_use]
    pub fn post(api: &'c dyn Api, url: Url) -> Self {
        Self::new(api, Method::POST, url)
    }

    /// Any method.
    #[must_use]
    pub fn new(api: &'c dyn Api, method: Method, url: Url) -> Self {
        Self {
            api,
            method,
            place: url.path().to_owned(),
            url,
            headers: HeaderMap::new(),
            login: None,
            timeout: None,
            body: None,
            secrets: Vec::new(),
        }
    }

    /// Opened by this.
    #[must_use]
    pub fn with(self, login: &'c dyn Login) -> Self {
        Self { login: Some(login), ..self }
    }

    /// Called so in messages.
    #[must_use]
    pub fn named(self, place: impl Into<String>) -> Self {
        Self { place: place.into(), ..self }
    }

    /// Of which one attempt may take that long at the most.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &impl Serialize) -> Self {
        // what is sent are our own structs and values, whose keys are texts
        let bytes = serde_json::to_vec(body).unwrap_or_default();
        self.body(HeaderValue::from_static("application/json"), bytes)
    }

    /// With a form.
    #[must_use]
    pub fn form<'p>(self, pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Self {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.body(HeaderValue::from_static("application/x-www-form-urlencoded"), form.into_bytes())
    }

    /// With a body of this type.
    #[must_use]
    pub fn body(self, content_type: HeaderValue, bytes: Vec<u8>) -> Self {
        Self { body: Some((content_type, bytes)), ..self }
    }

    /// Whose body holds this, which must not come back in a message.
    #[must_use]
    pub fn hiding<'s>(mut self, secrets: impl IntoIterator<Item = &'s SecretString>) -> Self {
        self.secrets.extend(secrets.into_iter().cloned());
        self
    }

    /// The error of an answer, in the words that all providers have.
    fn refused(&self, verdict: &Verdict, answer: &Answer) -> PeerError {
        let (api, place, status) = (self.api, &self.place, answer.status);
        let said = quoted(&api.said(&answer.body));
        let said = if said.is_empty() { said } else { format!(" {said}") };
        let name = api.name();
        let because = format!("({status}{said})");
        let sentence = match (verdict.sentence, verdict.fault) {
            (Some(sentence), _) => format!("{sentence} {because}"),
            (_, Fault::Credentials | Fault::Expired) => format!("{name} refused the credentials {because}"),
            (_, Fault::Denied) => format!("{name} does not allow {place} {because}"),
            (_, Fault::NotFound) => format!("{name} knows no {place} {because}"),
            (_, Fault::Throttled) => format!("{name} asked to slow down at {place} {because}"),
            (_, Fault::Server) => format!("{name} failed at {place} {because}"),
            (_, Fault::Redirect) => format!(
                "{name} answers {place} with a redirect ({status}{}), which is not followed, because credentials would \
                 be sent on",
                self.leads_to(answer)
            ),
            (_, Fault::OtherContent) => match answer.content() {
                Content::WebPage => format!("the answer to {place} ({status}) is a web page, not {name}'s"),
                Content::Other(kind) => format!("the answer to {place} is {kind}, not application/json"),
                Content::Json => format!("the answer to {place} is of no use"),
            },
            _ => format!("{name} refused {place} {because}"),
        };
        let mut advice = verdict.advice.map_or_else(|| api.advice(verdict.fault), str::to_owned);
        let is_elsewhere = matches!(verdict.fault, Fault::Redirect | Fault::OtherContent | Fault::NotFound);
        if advice.is_empty() && is_elsewhere {
            advice = format!("check {}", api.address());
        }
        let error = PeerError::new(verdict.fault, sentence, advice);
        let error = error.with_status(Some(status), api.wait(&answer.headers));
        if matches!(verdict.fault, Fault::Redirect | Fault::OtherContent) { error } else { error.explained() }
    }

    /// Where a redirect leads, without path and query.
    fn leads_to(&self, answer: &Answer) -> String {
        let location = answer.headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let target = location.and_then(|location| self.url.join(location).ok());
        target.map(|target| format!(" to {}", target.origin().ascii_serialization())).unwrap_or_default()
    }

    fn unanswered(&self, error: &http::SendError) -> PeerError {
        let (name, address) = (self.api.name(), self.api.address());
        let at = self.url.origin().ascii_serialization();
        let (fault, what) = match error.was_sent {
            false => (Fault::Unreachable, "cannot be reached"),
            true => (Fault::NoAnswer, "does not answer"),
        };
        let mut advice = self.api.advice(fault);
        if advice.is_empty() {
            advice = format!("check {address} and the network");
        }
        PeerError::new(fault, format!("{name} {what} at {at}: {error}"), advice)
    }

    fn unread(&self, error: &BodyError) -> PeerError {
        match error {
            BodyError::TooLarge { limit_bytes } => {
                let sentence = format!("the answer to {} is larger than {limit_bytes} bytes", self.place);
                PeerError::new(Fault::TooLarge, sentence, self.api.advice(Fault::TooLarge))
            }
            BodyError::Interrupted(reason) => PeerError::interrupted(&self.place, reason),
        }
    }
}

/// A client, and how often it tries.
#[derive(Clone, Debug)]
pub struct Peer {
    http: Client,
    retry: RetryPolicy,
}

impl Peer {
    /// The client that the variables ask for, see [`crate::http`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn from_vars(vars: &Vars) -> Result<Self, ClientError> {
        Ok(Self::new(http::client(vars)?, RetryPolicy::from_vars(vars)?))
    }

    /// Such a client, for whom it takes more.
    #[must_use]
    pub fn new(http: Client, retry: RetryPolicy) -> Self {
        Self { http, retry }
    }

    /// Tries something that may pass, as often as the variables say.
    ///
    /// # Errors
    /// The last error, which says how often it was tried.
    pub async fn attempts<T, E, F>(&self, attempt: impl FnMut() -> F) -> Result<T, E>
    where
        E: Transient + std::fmt::Display,
        F: Future<Output = Result<T, E>>,
    {
        self.retry.run(attempt).await
    }

    /// The whole answer to a call, after as many attempts as it takes.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn ask(&self, call: &Call<'_>) -> Result<Answer, PeerError> {
        self.attempts(|| self.ask_once(call)).await
    }

    /// The whole answer to one attempt.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn ask_once(&self, call: &Call<'_>) -> Result<Answer, PeerError> {
        let reply = self.send(call).await?;
        self.read(call, reply).await
    }

    /// The answer to one attempt, whose body is still to come. One that says no is an error.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn open_once(&self, call: &Call<'_>) -> Result<Reply, PeerError> {
        let reply = self.send(call).await?;
        if reply.status().is_success() {
            return Ok(reply);
        }
        let answer = self.read(call, reply).await?;
        // what the API takes for an answer is none here
        Err(call.refused(&Verdict::of_status(answer.status), &answer))
    }

    /// Sends a call, with what opens it; credentials that are refused are renewed while that may help.
    async fn send(&self, call: &Call<'_>) -> Result<Reply, PeerError> {
        let mut round = 0;
        loop {
            let header = match call.login {
                Some(login) => login.authorization(self, &call.url).await?,
                None => None,
            };
            let mut request = self.http.request(call.method.clone(), call.url.clone());
            request = request.header(ACCEPT, call.api.accept()).headers(call.headers.clone());
            if let Some(header) = &header {
                request = request.header(AUTHORIZATION, header.clone());
            }
            if let Some((content_type, bytes)) = &call.body {
                request = request.header(CONTENT_TYPE, content_type.clone()).body(bytes.clone());
            }
            if let Some(timeout) = call.timeout {
                request = request.timeout(timeout);
            }
            let reply = self.http.send(request, &call.secrets).await;
            let reply = reply.map_err(|error| call.unanswered(&error))?;
            let again = match call.login {
                Some(login) if reply.status() == StatusCode::UNAUTHORIZED && round < MOST_ROUNDS => {
                    login.refused(reply.headers(), header.as_ref(), round).await
                }
                _ => false,
            };
            if !again {
                return Ok(reply);
            }
            round += 1;
        }
    }

    async fn read(&self, call: &Call<'_>, reply: Reply) -> Result<Answer, PeerError> {
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        let read = http::read_body(reply, call.api.limit_bytes()).await;
        let (body, failed) = match read {
            Ok(body) => (body, None),
            Err(error) => (Bytes::new(), Some(error)),
        };
        let answer = Answer { status, headers, body };
        match (call.api.judge(&answer), failed) {
            // what a refusal goes on to say is not needed
            (Some(verdict), Some(BodyError::TooLarge { .. })) if status >= 300 => {
                Err(call.refused(&verdict, &answer))
            }
            (_, Some(error)) => Err(call.unread(&error)),
            (Some(verdict), None) => Err(call.refused(&verdict, &answer)),
            (None, None) => Ok(answer),
        }
    }
}

/// Credentials are renewed that often within one attempt: a first challenge, and one that went stale meanwhile.
const MOST_ROUNDS: usize = 2;
