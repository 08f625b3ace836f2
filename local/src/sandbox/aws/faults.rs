//! How only AWS fails, in the words of its services.

use axum::http::StatusCode;
use serde::Deserialize;

use super::Refusal;

/// How only AWS fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwsFault {
    /// Too many requests, in the words of the service: always status 400.
    Throttle,
    /// Cost Explorer has nothing yet.
    DataUnavailable,
    /// The credentials' time is over.
    ExpiredCredentials,
    /// The token of the page is not taken any more.
    StaleToken,
    /// The policy does not allow it.
    AccessDenied,
    /// The account is in no organisation.
    NoOrganisation,
    /// A fault of the server that asks to wait so many seconds.
    Internal(u64),
    /// The token of this page leads past the first entry of the next.
    LostPage,
}

/// What the service says instead of an answer, if it says something.
pub(super) fn refusal(fault: &AwsFault, service: &str) -> Option<Refusal> {
    let refusal = |kind, message: &str| Some(Refusal(StatusCode::BAD_REQUEST, kind, message.to_owned()));
    match fault {
        AwsFault::Throttle => match service {
            "ce" => refusal("LimitExceededException", "Rate exceeded"),
            "organizations" => {
                refusal("TooManyRequestsException", "AWS Organizations can't complete your request.")
            }
            _ => refusal("ThrottlingException", "Rate exceeded"),
        },
        AwsFault::DataUnavailable => refusal(
            "DataUnavailableException",
            "Data is not available. Please try to adjust the time period. If just enabled Cost Explorer, data might not \
             be ingested yet",
        ),
        AwsFault::ExpiredCredentials => {
            refusal("ExpiredTokenException", "The security token included in the request is expired")
        }
        AwsFault::StaleToken => refusal("InvalidNextTokenException", "The pagination token is invalid."),
        AwsFault::AccessDenied => {
            refusal("AccessDeniedException", "User is not authorized to perform this action")
        }
        AwsFault::NoOrganisation => {
            refusal("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
        }
        AwsFault::Internal(_) => Some(Refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerException",
            "on request".to_owned(),
        )),
        AwsFault::LostPage => None,
    }
}
