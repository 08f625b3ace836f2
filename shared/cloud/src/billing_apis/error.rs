//! What the billing APIs answer when they do not give what was asked for, and what to do about it.

use std::time::Duration;

use aws_sdk_costexplorer::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde::Deserialize;

use crate::aws::explain;
use crate::http::Transient;

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{action} failed: {reason}{}{}", fault.advice(), after(*attempts))]
pub struct CallError {
    /// The permission that the call needs, which names it.
    pub action: &'static str,
    /// What is to be made of it.
    pub fault: Fault,
    /// The service's own name for it.
    pub code: Option<String>,
    reason: String,
    retry_after: Option<Duration>,
    attempts: usize,
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Throttled, timed out, broken off, a fault of the server, or data that is not there yet.
    Transient,
    /// The credentials were good until now.
    Expired,
    /// The credentials are not known, or the signature is not right.
    Credentials,
    /// The credentials are right and may not do this.
    Denied,
    /// The pages before do not count any more: the list must be begun again.
    StalePage,
    /// Anything else; trying again does not help.
    Refused,
}

impl Fault {
    fn advice(self) -> &'static str {
        match self {
            Self::Denied => {
                "; the function's policy must allow this action, and the account must be the one that is billed"
            }
            Self::Credentials => "; check the credentials, and the clock of this machine",
            Self::Expired => "; the credentials must be renewed",
            Self::Transient | Self::StalePage | Self::Refused => "",
        }
    }

    /// The kind by the service's own name for it, else by the status.
    fn of(code: Option<&str>, message: &str, status: Option<u16>) -> Self {
        match code.unwrap_or_default() {
            "AccessDeniedException" | "AccessDenied" | "UnauthorizedException" | "NotAuthorized" => {
                Self::Denied
            }
            "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => Self::Expired,
            "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "InvalidClientTokenId"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException" => Self::Credentials,
            "InvalidNextTokenException" | "RequestChangedException" => Self::StalePage,
            "InvalidInputException" | "ValidationException"
                if message.to_ascii_lowercase().contains("token") =>
            {
                Self::StalePage
            }
            "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "RequestLimitExceeded"
            | "LimitExceededException"
            | "TooManyRequestsException"
            | "SlowDown"
            | "DataUnavailableException"
            | "InternalServerException"
            | "InternalServerError"
            | "InternalFailure"
            | "InternalError"
            | "ServiceException"
            | "ServiceUnavailable"
            | "ServiceUnavailableException" => Self::Transient,
            _ => match status {
                Some(429 | 500..) => Self::Transient,
                Some(401) => Self::Expired,
                Some(403) => Self::Denied,
                _ => Self::Refused,
            },
        }
    }
}

/// What an error says besides its name.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    #[serde(rename = "retryAfterSeconds")]
    retry_after_seconds: Option<u64>,
}

impl CallError {
    /// Whether any other call would fail for the same reason.
    #[must_use]
    pub fn is_for_all(&self) -> bool {
        matches!(self.fault, Fault::Credentials | Fault::Denied | Fault::Expired)
    }

    /// A request that cannot even be built.
    pub(super) fn unsent(action: &'static str, error: &dyn std::fmt::Display) -> Self {
        let reason = error.to_string();
        Self { action, fault: Fault::Refused, code: None, reason, retry_after: None, attempts: 1 }
    }

    /// The meaning of an error of the SDK, whose answer had this body.
    pub(super) fn of<E>(action: &'static str, error: &SdkError<E>, body: &[u8]) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let response = error.raw_response();
        let status = response.map(|response| response.status().as_u16());
        let fault = match error {
            // a success that cannot be read: it was cut on its way
            SdkError::ServiceError(_) if status.is_some_and(|status| status < 300) => Fault::Transient,
            SdkError::ServiceError(_) => Fault::of(error.code(), error.message().unwrap_or_default(), status),
            // no connection, no answer in time, or an answer that breaks off
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
                Fault::Transient
            }
            _ => Fault::Refused,
        };
        let header = response.and_then(|response| response.headers().get("retry-after"));
        let said = serde_json::from_slice::<Body>(body).unwrap_or_default().retry_after_seconds;
        let seconds = header.and_then(|text| text.trim().parse().ok()).max(said);
        Self {
            action,
            fault,
            code: error.code().map(str::to_owned),
            // what follows is the whole answer, as the SDK's own struct
            reason: explain(error).split(" (ServiceError").next().unwrap_or_default().to_owned(),
            retry_after: seconds.map(Duration::from_secs),
            attempts: 1,
        }
    }

    pub(super) fn after(self, attempts: usize) -> Self {
        Self { attempts, ..self }
    }
}

fn after(attempts: usize) -> String {
    if attempts > 1 { format!(" (after {attempts} attempts)") } else { String::new() }
}

impl Transient for CallError {
    /// Credentials that have expired are renewed by whoever gave them, a moment later.
    fn is_transient(&self) -> bool {
        matches!(self.fault, Fault::Transient | Fault::Expired)
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let fault = |code: &str, message: &str, status| Fault::of(Some(code), message, Some(status));
        for (code, status) in [
            ("LimitExceededException", 400),
            ("ThrottlingException", 400),
            ("TooManyRequestsException", 400),
            ("DataUnavailableException", 400),
            ("InternalServerException", 500),
            ("SomethingNew", 503),
        ] {
            assert_eq!(fault(code, "", status), Fault::Transient, "{code}");
        }
        assert_eq!(fault("ValidationException", "the month is in the future", 400), Fault::Refused);
        assert_eq!(fault("ValidationException", "NextToken is not valid", 400), Fault::StalePage);
        assert_eq!(fault("InvalidNextTokenException", "", 400), Fault::StalePage);
        assert_eq!(fault("BillExpirationException", "", 400), Fault::Refused);
        assert_eq!(fault("AccessDeniedException", "", 400), Fault::Denied);
        assert_eq!(fault("UnrecognizedClientException", "", 400), Fault::Credentials);
        assert_eq!(Fault::of(None, "", Some(403)), Fault::Denied);
    }
}
