//! Why a peer did not give what was asked for, and what to do about it.

use std::fmt;
use std::time::Duration;

use crate::http::Transient;

/// A call that failed. Of what the peer answered, only its own error document is quoted, and at most 300 characters of it; paths are without their
/// queries, which may hold signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerError {
    /// What is to be made of it.
    pub fault: Fault,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    sentence: String,
    advice: String,
    /// Between them.
    sign: char,
    retry_after: Option<Duration>,
    attempts: usize,
    /// While credentials were shown, before the call itself.
    at_login: bool,
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing was sent: the name did not resolve, or no connection was made.
    Unreachable,
    /// It was sent, and no answer came: a time-out, or the connection broke.
    NoAnswer,
    /// The answer broke off, or is shorter than it says.
    Interrupted,
    /// Too many requests.
    Throttled,
    /// A fault of the server, or data that is not there yet.
    Server,
    /// The credentials were good until now.
    Expired,
    /// The credentials are not known.
    Credentials,
    /// The credentials are right and may not do this.
    Denied,
    /// There is no such thing.
    NotFound,
    /// The pages before do not count any more: the list must be begun again.
    StalePage,
    /// An answer that leads elsewhere, which is not followed: credentials would be sent on.
    Redirect,
    /// The answer is larger than a function can hold.
    TooLarge,
    /// A web page, or something else that is not JSON.
    OtherContent,
    /// The answer is not what the API documents.
    Unexpected,
    /// Anything else; trying again does not help.
    Refused,
}

impl Fault {
    /// What a status says that is no success.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            300..=399 => Self::Redirect,
            401 => Self::Credentials,
            403 => Self::Denied,
            404 => Self::NotFound,
            429 => Self::Throttled,
            408 | 500.. => Self::Server,
            _ => Self::Refused,
        }
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Unreachable
                | Self::NoAnswer
                | Self::Interrupted
                | Self::Throttled
                | Self::Server
                | Self::Expired
        )
    }
}

impl PeerError {
    /// An error with these words, to which the advice is added.
    #[must_use]
    pub fn new(fault: Fault, sentence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            fault,
            status: None,
            sentence: sentence.into(),
            advice: advice.into(),
            sign: ';',
            retry_after: None,
            attempts: 1,
            at_login: false,
        }
    }

    /// An answer that is not what the API documents.
    #[must_use]
    pub fn unexpected(place: &str, reason: impl fmt::Display) -> Self {
        let sentence = format!("the answer to {place} is not what the API documents: {reason}");
        Self::new(Fault::Unexpected, sentence, "")
    }

    /// An answer that is not whole.
    #[must_use]
    pub fn interrupted(place: &str, reason: impl fmt::Display) -> Self {
        Self::new(Fault::Interrupted, format!("the answer to {place} broke off: {reason}"), "")
    }

    pub(crate) fn with_status(mut self, status: Option<u16>, retry_after: Option<Duration>) -> Self {
        (self.status, self.retry_after) = (status, retry_after);
        self
    }

    /// An error whose sentence ends with what the peer said, which the advice explains.
    pub(super) fn explained(self) -> Self {
        Self { sign: ':', ..self }
    }

    pub(super) fn at_login(mut self) -> Self {
        self.at_login = true;
        self
    }

    /// Whether the peer may have done what was asked, all the same.
    #[must_use]
    pub fn may_be_done(&self) -> bool {
        let may =
            matches!(self.fault, Fault::NoAnswer | Fault::Interrupted | Fault::Server | Fault::TooLarge);
        may && !self.at_login
    }

    /// Whether any other call would fail for the same reason.
    #[must_use]
    pub fn is_for_all(&self) -> bool {
        matches!(self.fault, Fault::Credentials | Fault::Denied | Fault::Expired)
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)?;
        if !self.advice.is_empty() {
            write!(f, "{} {}", self.sign, self.advice)?;
        }
        if self.attempts > 1 { write!(f, " (after {} attempts)", self.attempts) } else { Ok(()) }
    }
}

impl std::error::Error for PeerError {}

impl Transient for PeerError {
    fn is_transient(&self) -> bool {
        self.fault.is_transient()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    fn after(self, attempts: usize) -> Self {
        Self { attempts, ..self }
    }
}

/// Words of others, as far as they go into a line: at most 300 characters, in one line.
#[must_use]
pub fn quoted(text: &str) -> String {
    let spaced = text.split_whitespace().collect::<Vec<_>>().join(" ");
    spaced.chars().filter(|c| !c.is_control()).take(300).collect()
}
