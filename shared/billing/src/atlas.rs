//! MongoDB Atlas: from the raw invoice to charges, rows and a certificate.
//!
//! [`Invoice::parse`] reads the document as the Administration API v2 sends it, [`charges()`] turns it into FOCUS
//! rows, [`Statement::of`] allocates and certifies, [`rows_csv`] writes the rows.

mod charges;
mod document;
mod reconcile;
mod rows;
mod statement;
mod table;

pub use charges::charges;
pub use document::month_of;
pub use document::{Invoice, InvoiceHead, LineItem, MalformedInvoice, Text};
pub use reconcile::Reconcile;
pub use rows::rows_csv;
pub use statement::{Rules, Statement, StatementError, certify};
pub use table::{document_of_table, is_table};

/// Atlas invoices in US dollars only; its amounts are integers of cents.
pub const CURRENCY: crate::money::Currency = crate::money::Currency::USD;

#[cfg(test)]
mod tests;
