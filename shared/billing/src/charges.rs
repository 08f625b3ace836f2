//! Bills of any size as FOCUS charges: read in columns, added up exactly, written row by row.
//!
//! A bill is read twice. The first time only what adds it up is looked at ([`add_up`]): that decides whether it is right. The
//! second time its charges are written ([`write_charges`]); they must come to the same sums.

mod amount;
mod aws;
mod azure;
mod batch;
mod classes;
mod columnar_reader;
mod file;
mod focus;
mod gcp;
mod mapping;
mod read;
mod rounding;
mod tag_sums;
mod tags;
mod text_reader;
mod totals;
mod write;

pub use amount::{Amount, AmountError};
pub use aws::{CostExplorer, Cur};
pub use azure::AzureCostDetails;
pub use batch::{MissingColumn, ReadError};
pub(crate) use file::FileReader;
pub use focus::Focus;
pub use gcp::BigQuery;
pub use mapping::{Class, Columns, JsonRows, Mapping, Row, Sign, Terms, Texts};
pub use read::{Document, add_up, bills, header};
pub use rounding::round_to_total;
pub use tag_sums::TagSums;
pub(crate) use tags::parse as parse_tags;
pub use totals::{Figures, HeldRow, OtherBill, Selection, Totals};
pub use write::{BillContext, WriteError, Written, write_charges};

#[cfg(test)]
mod tests;
