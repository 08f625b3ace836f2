//! What can go wrong with Clazar, and what that means for a request.

use std::time::Duration;

use billing::keys::InvalidUsageKey;
use billing::metering::{Line, MeteringCertificateError, NotGivenUp, Plan, PlanningError, QuantityError};
use cloud::bucket::BucketError;
use cloud::http::{ClientError, InvalidBaseUrl, innermost_cause, shown, was_never_sent};
use cloud::ledger::LedgerError;
use cloud::plans::PlansError;
use cloud::secrets::SecretsError;
use cloud::vars::VarError;
use reqwest::StatusCode;
use serde_json::Value;
use url::Url;

/// Why a plan, or a part of it, could not be metered.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum MeterError {
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Planning(#[from] PlanningError),
    #[error(transparent)]
    Certificate(#[from] MeteringCertificateError),
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    #[error(transparent)]
    Clazar(#[from] ClazarError),
    #[error(transparent)]
    Key(#[from] InvalidUsageKey),
    #[error(transparent)]
    Plans(#[from] PlansError),
    #[error("the event is about the bucket {0}, this function works on {1} (DATA_BUCKET)")]
    OtherBucket(String, String),
    #[error("there is no object {key}; the ledger names it, so it is about to be there, or was deleted")]
    NoSnapshot { key: String },
    #[error("{key} is held: {why}; see held/ in the bucket, and fetch the month again")]
    Held { key: String, why: String },
    #[error("another invocation meters {plan}; it goes on with this usage, or the next run does")]
    Leased { plan: Plan },
    #[error(
        "another invocation took {plans} over, because this one was silent for too long; nothing more is sent here"
    )]
    LeaseLost { plans: String },
    #[error(
        "{plan} of the same marketplace cannot be looked at (see there), and contracts may be shared with it; nothing is sent"
    )]
    Beside { plan: Plan },
    #[error(transparent)]
    NotGivenUp(#[from] NotGivenUp),
    #[error(
        "the contract '{contract}' stands on several marketplaces: say by \"plan\" (--plan) which of {plans} is meant"
    )]
    SeveralMarketplaces { contract: String, plans: String },
    #[error(transparent)]
    Contention(#[from] cloud::publication::Contention),
    #[error("{line} was changed by somebody else meanwhile; the next run looks again")]
    Changed { line: Line },
    #[error("the time of this invocation is over; the next run goes on")]
    OutOfTime,
    #[error("the state cannot be written: {0}")]
    State(#[from] serde_json::Error),
}

/// What could not be done with a plan, or with all of a marketplace.
#[derive(Debug)]
pub(crate) struct PlanError {
    pub(crate) plan: Option<Plan>,
    pub(crate) error: MeterError,
}

impl PlanError {
    pub(crate) fn of(plan: &Plan, error: impl Into<MeterError>) -> Self {
        Self { plan: Some(plan.clone()), error: error.into() }
    }
}

/// Of none of the plans more than of the others.
impl<E: Into<MeterError>> From<E> for PlanError {
    fn from(error: E) -> Self {
        Self { plan: None, error: error.into() }
    }
}

/// A call to Clazar that did not end with an answer about records.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ClazarError {
    #[error(transparent)]
    Var(#[from] VarError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error(transparent)]
    BaseUrl(#[from] InvalidBaseUrl),
    #[error(transparent)]
    Http(#[from] ClientError),
    #[error("Clazar refused the credentials (401{detail}): check CLAZAR_CLIENT_ID and CLAZAR_CLIENT_SECRET")]
    Unauthorized { detail: String },
    #[error("Clazar asked to slow down (429{detail})")]
    Throttled { retry_after: Option<Duration>, detail: String },
    #[error("Clazar failed ({status}{detail})")]
    Server { status: u16, retry_after: Option<Duration>, detail: String },
    #[error("Clazar cannot be reached at {url}: {reason}; check CLAZAR_API_URL and the network")]
    Unreachable { url: String, reason: String },
    #[error("the call to {url} ended without an answer: {reason}")]
    Interrupted { url: String, reason: String },
    #[error("the answer of {url} is larger than {limit_bytes} bytes")]
    TooLarge { url: String, limit_bytes: usize },
    #[error("{reason} at {url}; check CLAZAR_API_URL")]
    WrongBase { url: String, reason: String },
    #[error("the answer of {url} holds no access token; check CLAZAR_API_URL")]
    NoToken { url: String },
    /// Happened while a token was asked for, so that nothing was submitted.
    #[error(transparent)]
    BeforeSending(Box<ClazarError>),
}

impl ClazarError {
    /// The meaning of a status, if it is not that of an answer about records.
    pub(crate) fn of_status(
        status: StatusCode,
        retry_after: Option<Duration>,
        body: &[u8],
        url: &Url,
    ) -> Option<Self> {
        let (detail, number) = (detail(body), status.as_u16());
        match number {
            401 => Some(Self::Unauthorized { detail }),
            429 => Some(Self::Throttled { retry_after, detail }),
            408 => Some(Self::Interrupted { url: shown(url), reason: format!("408{detail}") }),
            500.. => Some(Self::Server { status: number, retry_after, detail }),
            300..=399 | 404 => Some(Self::WrongBase { url: shown(url), reason: format!("{status}") }),
            _ => None,
        }
    }

    /// The meaning of a call that brought no answer, or not all of one.
    pub(crate) fn of_call(url: &Url, error: &reqwest::Error) -> Self {
        let reason = if error.is_timeout() { "time-out".into() } else { innermost_cause(error) };
        let url = shown(url);
        if was_never_sent(error) {
            Self::Unreachable { url, reason }
        } else {
            Self::Interrupted { url, reason }
        }
    }

    /// The same, of a call that submits nothing.
    pub(crate) fn before_sending(self) -> Self {
        Self::BeforeSending(Box::new(self))
    }

    /// Whether the service may have done what was asked, all the same.
    pub(crate) fn may_be_accepted(&self) -> bool {
        matches!(self, Self::Server { .. } | Self::Interrupted { .. } | Self::TooLarge { .. })
    }
}

/// What an error document says, in brackets after the status.
pub(crate) fn detail(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = ["detail", "message"].into_iter().find_map(|field| body.get(field)?.as_str());
    said.map(|text| format!(" {}", text.chars().take(300).collect::<String>())).unwrap_or_default()
}
