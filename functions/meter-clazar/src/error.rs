//! What can go wrong with Clazar, and what that means for a request.

use billing::keys::InvalidUsageKey;
use billing::metering::{Line, NotGivenUp, Plan, PlanningError};
use billing::money::MoneyError;
use cloud::bucket::BucketError;
use cloud::http::{ClientError, InvalidBaseUrl};
use cloud::ledger::LedgerError;
use cloud::peer::{Answer, Api, Fault, PeerError, Verdict};
use cloud::plans::PlansError;
use cloud::secrets::SecretsError;
use cloud::vars::VarError;
use serde_json::Value;

use billing::certificate::CertificateError;

const LARGEST_ANSWER_BYTES: usize = 8 * 1024 * 1024;
pub(crate) const CREDENTIALS: &str = "CLAZAR_CLIENT_ID and CLAZAR_CLIENT_SECRET";

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
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Quantity(#[from] MoneyError),
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
    #[error("{reason} at {url}; check CLAZAR_API_URL")]
    WrongBase { url: String, reason: String },
    #[error(transparent)]
    Peer(#[from] PeerError),
}

/// How Clazar says no. Most of what it answers is about records, whatever the status.
pub(crate) struct ClazarApi;

impl Api for ClazarApi {
    fn name(&self) -> &'static str {
        "Clazar"
    }

    fn address(&self) -> &'static str {
        "CLAZAR_API_URL"
    }

    fn limit_bytes(&self) -> usize {
        LARGEST_ANSWER_BYTES
    }

    fn said(&self, body: &[u8]) -> String {
        said(body)
    }

    fn judge(&self, answer: &Answer) -> Option<Verdict> {
        let is_no = matches!(answer.status, 300..=399 | 401 | 404 | 408 | 429 | 500..);
        is_no.then(|| Verdict::of_status(answer.status))
    }

    fn advice(&self, fault: Fault) -> String {
        match fault {
            Fault::Credentials => format!("check {CREDENTIALS}"),
            _ => String::new(),
        }
    }
}

/// What an error document says.
pub(crate) fn said(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    ["detail", "message"]
        .into_iter()
        .find_map(|field| body.get(field)?.as_str())
        .unwrap_or_default()
        .to_owned()
}
