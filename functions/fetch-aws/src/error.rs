//! Why something could not be done.

use billing::ids::InvalidId;
use billing::manifest::ManifestError;
use billing::month::NotBegun;
use cloud::bucket::{BucketError, KeepError};
use cloud::peer::PeerError;
use cloud::vars::VarError;

use crate::copy::CopyError;
use crate::event::InvalidEvent;
use crate::export::DeliveryError;
use crate::pages::AnswerError;

/// Why nothing could be done; what goes wrong with one month is in the report.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum Error {
    #[error(transparent)]
    Var(#[from] VarError),
    #[error(transparent)]
    Event(#[from] InvalidEvent),
    #[error(transparent)]
    NotBegun(#[from] NotBegun),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Export(#[from] DeliveryError),
    #[error(transparent)]
    Call(#[from] PeerError),
    #[error(transparent)]
    Id(#[from] InvalidId),
}

/// Why a month is not done.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum MonthError {
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error(transparent)]
    Call(#[from] PeerError),
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("a document cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}
