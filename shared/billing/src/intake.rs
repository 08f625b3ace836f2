//! What files are that people bring: which format, whose bill, of which month, and whether it is there already.
//!
//! These rules hold for every way in. What is not clear is asked about: a person at a terminal gets the question and its answers as
//! commands; an upload is held with the same words.

mod analysis;
mod days;
mod import;
mod judge;
mod provider;
mod question;

pub use analysis::{
    Analysis, AnalysisError, BroughtFile, Choices, FoundBill, analyse, atlas_document, is_known,
};
pub use days::charged_days;
pub use import::{Import, ImportError};
pub use judge::{BillInput, JudgeError, JudgedBill, judge};
pub use provider::{Decided, Undecided, provider_of};
pub use question::{Answer, Conflict, Standing, Why, conflicts, covers, is_total};
