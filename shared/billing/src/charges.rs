//! Bills of any size as FOCUS charges: read in columns, added up exactly, written row by row.
//!
//! A bill is read twice. The first time only what adds it up is looked at ([`add_up`]): that decides whether it is right. The
//! second time its charges are written ([`write_charges`]); they must come to the same sums.

mod adder;
mod aws;
mod azure;
mod batch;
mod binding;
mod classes;
mod columnar_reader;
mod dates;
mod decoder;
mod dialect;
mod file;
mod focus;
mod gcp;
mod guard;
mod mapping;
mod read;
mod scan;
mod selection;
mod shared;
mod splits;
mod tag_sums;
mod tags;
mod text_reader;
mod totals;
mod write;

pub use aws::{CostExplorer, Cur};
pub use azure::AzureCostDetails;
pub use batch::ReadError;
pub use binding::HeaderError;
pub(crate) use binding::has_column;
pub use dates::{AmbiguousDates, DateOrder};
pub use dialect::{AmbiguousDecimals, Dialect, Encoding};
pub(crate) use file::FileReader;
pub use focus::Focus;
pub use gcp::BigQuery;
pub use mapping::{Claims, Class, Columns, Effective, JsonRows, Mapping, Priced, Row, Sign, Terms, Texts};
pub use read::{Document, add_up, add_up_each, bills, headers, seen};
pub use scan::BillDocument;
pub use selection::{OtherBill, Selection};
pub use shared::{CountedTwice, SharedFormat, counted_twice};
pub use splits::{SplitFigures, SplitFormat, Splits};
pub use tag_sums::TagSums;
pub(crate) use tags::parse as parse_tags;
pub use tags::{RowTags, overlaid};
pub(crate) use text_reader::Packing;
pub use totals::{AccountDays, Figures, HeldRow, SubAccount, Totals, UnreadTags};
pub use write::{BillContext, WriteError, Written, WrittenBill, write_charges};

#[cfg(test)]
pub(crate) mod tests;
