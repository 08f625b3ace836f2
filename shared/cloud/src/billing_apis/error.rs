//! What the billing APIs answer when they do not give what was asked for, as an error of a peer.

use std::time::Duration;

use aws_sdk_costexplorer::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde::Deserialize;

use crate::aws::explain;
use crate::peer::{Fault, PeerError};

fn advice(fault: Fault) -> &'static str {
    match fault {
        Fault::Denied => {
            "the function's policy must allow this action, and the account must be the one that is billed"
        }
        Fault::Credentials => "check the credentials, and the clock of this machine",
        Fault::Expired => "the credentials must be renewed",
        _ => "",
    }
}

/// The kind by the service's own name for it, else by the status.
fn fault(code: Option<&str>, message: &str, status: Option<u16>) -> Fault {
    match code.unwrap_or_default() {
        "AccessDeniedException" | "AccessDenied" | "UnauthorizedException" | "NotAuthorized" => Fault::Denied,
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => Fault::Expired,
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "InvalidClientTokenId"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => Fault::Credentials,
        "InvalidNextTokenException" | "RequestChangedException" => Fault::StalePage,
        "InvalidInputException" | "ValidationException" if message.to_ascii_lowercase().contains("token") => {
            Fault::StalePage
        }
        // an account on its own
        "AWSOrganizationsNotInUseException" => Fault::NotFound,
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "TooManyRequestsException"
        | "SlowDown" => Fault::Throttled,
        "DataUnavailableException"
        | "InternalServerException"
        | "InternalServerError"
        | "InternalFailure"
        | "InternalError"
        | "ServiceException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => Fault::Server,
        _ => match status {
            Some(429) => Fault::Throttled,
            Some(500..) => Fault::Server,
            Some(401) => Fault::Expired,
            Some(403) => Fault::Denied,
            _ => Fault::Refused,
        },
    }
}

/// What an error says besides its name.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    #[serde(rename = "retryAfterSeconds")]
    retry_after_seconds: Option<u64>,
}

/// A request that cannot even be built.
pub(super) fn unsent(action: &'static str, error: &dyn std::fmt::Display) -> PeerError {
    PeerError::new(Fault::Refused, format!("{action} failed: {error}"), "")
}

/// The meaning of an error of the SDK, whose answer had this body. `action` is the permission that the call needs, which names it.
pub(super) fn of_sdk<E>(action: &'static str, error: &SdkError<E>, body: &[u8]) -> PeerError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let response = error.raw_response();
    let status = response.map(|response| response.status().as_u16());
    let fault = match error {
        // a success that cannot be read: it was cut on its way
        SdkError::ServiceError(_) if status.is_some_and(|status| status < 300) => Fault::Interrupted,
        SdkError::ServiceError(_) => fault(error.code(), error.message().unwrap_or_default(), status),
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => Fault::NoAnswer,
        // it breaks off
        SdkError::ResponseError(_) => Fault::Interrupted,
        _ => Fault::Refused,
    };
    let header = response.and_then(|response| response.headers().get("retry-after"));
    let said = serde_json::from_slice::<Body>(body).unwrap_or_default().retry_after_seconds;
    let seconds = header.and_then(|text| text.trim().parse().ok()).max(said);
    // what follows is the whole answer, as the SDK's own struct
    let reason = explain(error);
    let reason = reason.split(" (ServiceError").next().unwrap_or_default();
    PeerError::new(fault, format!("{action} failed: {reason}"), advice(fault))
        .with_status(status, seconds.map(Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let fault = |code: &str, message: &str, status| super::fault(Some(code), message, Some(status));
        for (code, status, expected) in [
            ("LimitExceededException", 400, Fault::Throttled),
            ("ThrottlingException", 400, Fault::Throttled),
            ("TooManyRequestsException", 400, Fault::Throttled),
            ("DataUnavailableException", 400, Fault::Server),
            ("InternalServerException", 500, Fault::Server),
            ("SomethingNew", 503, Fault::Server),
        ] {
            assert_eq!(fault(code, "", status), expected, "{code}");
        }
        assert_eq!(fault("ValidationException", "the month is in the future", 400), Fault::Refused);
        assert_eq!(fault("ValidationException", "NextToken is not valid", 400), Fault::StalePage);
        assert_eq!(fault("InvalidNextTokenException", "", 400), Fault::StalePage);
        assert_eq!(fault("BillExpirationException", "", 400), Fault::Refused);
        assert_eq!(fault("AccessDeniedException", "", 400), Fault::Denied);
        assert_eq!(fault("UnrecognizedClientException", "", 400), Fault::Credentials);
        assert_eq!(super::fault(None, "", Some(403)), Fault::Denied);
    }
}
