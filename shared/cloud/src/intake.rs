//! Bills that people bring: which count already, what a new one becomes, and keeping it.
//!
//! The rules stand in [`billing::intake`]; here is what they need to know of the bucket and the ledger. The program, `allocate` and
//! whoever else brings bills go through [`plan()`] and [`keep()`].

mod keep;
mod plan;
mod standing;

use billing::allocation::TaxTreatment;
use billing::atlas::{Reconcile, Rules};
use billing::bill::BillError;
use billing::certificate::CertificateError;
use billing::ids::InvalidId;
use billing::intake::ImportError;
use billing::keys::{InvalidFocusKey, InvalidKey, InvoiceKey};
use billing::manifest::ManifestError;

use crate::bucket::{BucketError, KeepError};
use crate::ledger::LedgerError;
use crate::seals::SealError;
use crate::vars::{VarError, Vars};

pub use keep::{keep, keep_document, part_of, withdrawing};
pub use plan::{Answers, Plan, Planned, Question, Wish, plan};
pub use standing::{newest, standing};

/// Why it cannot be told what becomes of a bill.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// Somebody must say it.
    #[error(transparent)]
    Question(#[from] Box<Question>),
    /// An answer that does not fit what is there.
    #[error("{0}")]
    Answer(String),
    /// There is no such bill, or it does not count.
    #[error("there is no bill {0} that counts: see `monthend status`")]
    NoBill(Box<InvoiceKey>),
    /// A certificate that is not what was certified.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A document that could not be kept.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// A certificate that cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A manifest that cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// An import that cannot be read.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A name that is none.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A key that is none.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// A key that is none.
    #[error(transparent)]
    FocusKey(#[from] InvalidFocusKey),
    /// A bill that cannot be stated.
    #[error(transparent)]
    Bill(#[from] BillError),
}

/// The rules by which invoices of MongoDB Atlas are allocated: `ATLAS_RECONCILE` and `ATLAS_TAX`.
///
/// # Errors
/// [`VarError`] names the one that is wrong.
pub fn atlas_rules(vars: &Vars) -> Result<Rules, VarError> {
    let choice = |name, values: &[&str]| {
        let value = vars.get(name).unwrap_or(values[0]);
        let index = values.iter().position(|known| *known == value);
        index.ok_or_else(|| VarError::Invalid {
            name,
            value: value.to_owned(),
            expected: format!("one of {}", values.join(", ")),
        })
    };
    let reconcile = [Reconcile::Auto, Reconcile::Credits, Reconcile::Lines];
    let tax = [TaxTreatment::Name, TaxTreatment::Allocate];
    Ok(Rules {
        reconcile: reconcile[choice("ATLAS_RECONCILE", &["auto", "credits", "lines"])?],
        tax: tax[choice("ATLAS_TAX", &["name", "allocate"])?],
    })
}
