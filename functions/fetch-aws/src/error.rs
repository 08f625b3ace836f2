//! Why something could not be done.

use billing::ids::InvalidId;
use billing::manifest::ManifestError;
use cloud::bucket::{BucketError, KeepError};
use cloud::http::Transient;
use cloud::peer::PeerError;
use cloud::vars::VarError;

use crate::export::DeliveryError;

/// Why nothing could be done.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum Error {
    #[error(transparent)]
    Var(#[from] VarError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Export(#[from] DeliveryError),
    #[error(transparent)]
    Call(#[from] PeerError),
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

/// An answer that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AnswerError {
    #[error("the answer to {action} is not what AWS documents: {reason}")]
    Malformed { action: &'static str, reason: String },
    #[error("the answer to {action} names the same next page again and again")]
    Circle { action: &'static str },
    #[error("the answer to {action} has {what} twice")]
    Twice { action: &'static str, what: String },
    #[error(
        "Cost Explorer says {whole} for {what}, and its details come to {details}: a page was lost, or the figures changed \
         between two answers; the next run asks again"
    )]
    Inconsistent { what: String, whole: String, details: String },
}

/// A data file that cannot be kept. `file` is where it stands in the export.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CopyError {
    #[error("{manifest} names {file}, which is not there: the export must be delivered again")]
    Missing { manifest: String, file: String },
    #[error("{file} has {found} bytes, and S3 says {expected}: it was cut short on its way")]
    Short { file: String, found: u64, expected: u64 },
    #[error("{file} is damaged: {why}; the export must be delivered again")]
    Damaged { file: String, why: String },
    #[error(
        "{file} was written after {manifest}: AWS delivers the month at this moment; it is fetched by the next run"
    )]
    Newer { manifest: String, file: String },
    #[error(
        "{manifest} changed while its files were read: AWS delivers the month at this moment; it is fetched by the next run"
    )]
    Refreshed { manifest: String },
    #[error(transparent)]
    Interrupted(BucketError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Keep(#[from] KeepError),
}

impl Transient for CopyError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Interrupted(_) | Self::Short { .. })
    }
}
