//! What goes wrong with one month.

use std::fmt::Display;

use billing::bills::{BillsError, DriverError, RowsError};
use cloud::bucket::{BucketError, KeepError};
use cloud::datastores::DatastoresError;
use cloud::ledger::LedgerError;
use cloud::plans::PlansError;
use cloud::posted::PostedError;
use cloud::publication::Contention;
use cloud::seals::SealError;

/// Why a month is not billed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MonthError {
    /// By the fault of a document or of the catalog: it is held until that is mended.
    #[error("{0}")]
    Held(String),
    /// The ledger does not know what was posted: nothing is done by it.
    #[error("{0}")]
    Older(String),
    /// What is asked for names what there is not: nothing is done.
    #[error("{0}")]
    Refused(String),
    /// Others bill at the same time.
    #[error(transparent)]
    Contention(#[from] Contention),
    /// Another run sends the same at the same time.
    #[error("{0} is sent by another run at this moment; the retry will settle it")]
    Overtaken(String),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the usage of datastores cannot be read: {0}")]
    Datastores(#[from] DatastoresError),
    #[error("what is to be written cannot be: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the page cannot be written: {0}")]
    Page(#[from] askama::Error),
    #[error(transparent)]
    Posted(#[from] PostedError),
    #[error("the month was given up: {0}")]
    GivenUp(String),
}

impl MonthError {
    pub(crate) fn held(why: impl Display) -> Self {
        Self::Held(why.to_string())
    }
}

impl From<BillsError> for MonthError {
    fn from(error: BillsError) -> Self {
        Self::held(error)
    }
}

impl From<SealError> for MonthError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Bucket(error) => Self::Bucket(error),
            SealError::Ledger(error) => Self::Ledger(error),
            SealError::Contention(error) => Self::Contention(error),
            // a retry may read it
            SealError::Unreadable(why) => Self::GivenUp(why),
            damage => Self::held(damage),
        }
    }
}

impl From<DriverError> for MonthError {
    fn from(error: DriverError) -> Self {
        Self::held(error)
    }
}

impl From<RowsError> for MonthError {
    fn from(error: RowsError) -> Self {
        Self::held(error)
    }
}

impl From<PlansError> for MonthError {
    fn from(error: PlansError) -> Self {
        match error {
            PlansError::Bucket(error) => Self::Bucket(error),
            other => Self::held(other),
        }
    }
}
