//! The bill of a month, certified: from its manifest and its sums to rows, aggregates and a certificate.
//!
//! Charges go to the sub account that they name; those that name none are a row of their own. Rows are rounded to the minor unit
//! of the currency so that they add up to what the provider's invoices say, or, while there are none, to the charges.

mod aggregates;
mod invoices;
mod rows;
mod statement;
#[cfg(test)]
mod tests;

use crate::charges::{
    AzureCostDetails, BigQuery, CostExplorer, Cur, Focus, HeldRow, Mapping, OtherBill, has_column,
};
use crate::ids::Provider;
use crate::manifest::{Costs, Format};
use crate::shell::command;

pub use aggregates::aggregates;
pub(crate) use aggregates::tag_rows;
pub use invoices::head_charges;
pub use rows::bill_rows_csv;
pub use statement::{BillStatement, certify_bill, certify_withdrawn, with_head};

/// The sub account of charges that name none.
pub const NO_SUB_ACCOUNT: &str = "(no sub account)";

/// How documents of a format are read that state these costs; nothing if there are none such.
#[must_use]
pub fn mapping(format: Format, costs: Option<Costs>) -> Option<&'static dyn Mapping> {
    match (format, costs) {
        (Format::AzureCostDetails, None) => Some(&AzureCostDetails::ALONE[0]),
        (Format::AzureCostDetails, Some(Costs::Billed)) => Some(&AzureCostDetails::BILLED[0]),
        (Format::AzureCostDetails, Some(Costs::Amortized)) => Some(&AzureCostDetails::AMORTIZED[0]),
        // it is allocated by its own rules
        (Format::AtlasInvoice, _) | (_, Some(_)) => None,
        (Format::Focus, None) => Some(&Focus),
        (Format::Cur2 | Format::Cur1, None) => Some(&Cur),
        (Format::CostExplorer, None) => Some(&CostExplorer),
        (Format::BigQuery, None) => Some(&BigQuery),
    }
}

/// The format of a document with these columns; nothing if it is none that is known.
#[must_use]
pub fn detect(columns: &[String]) -> Option<Format> {
    let has = |name: &str| has_column(columns, name);
    [
        ("BilledCost", Format::Focus),
        ("line_item_unblended_cost", Format::Cur2),
        ("lineItem/UnblendedCost", Format::Cur1),
        ("MeterId", Format::AzureCostDetails),
    ]
    .into_iter()
    .find_map(|(column, format)| has(column).then_some(format))
}

/// Why a bill is held.
#[derive(Debug, thiserror::Error)]
pub enum BillError {
    /// Rows that cannot be charges.
    #[error("{count} of its rows cannot be charges, the first: {}", list(rows))]
    Rows {
        /// How many.
        count: u64,
        /// The first of them.
        rows: Vec<HeldRow>,
    },
    /// No row of it is of the bill.
    #[error(
        "none of its {rows} rows is of this bill{}; put it under the key of the bill that it is of",
        elsewhere(others)
    )]
    NothingOfIt {
        /// Rows read.
        rows: u64,
        /// The bills that they are of.
        others: Vec<OtherBill>,
    },
    /// Rows in several currencies.
    #[error(
        "its rows are in {}: amounts of different currencies are never added; ask the provider for one export per currency",
        currencies.join(" and ")
    )]
    Currencies {
        /// ISO codes.
        currencies: Vec<&'static str>,
    },
    /// Rows that name another provider than the key.
    #[error(
        "its rows are of {found} by {from}, and it stands under {expected}: put it under the key of {found}, or bring it with {}",
        command(["import", "--provider", expected.as_ref()])
    )]
    OtherProvider {
        /// What the key says.
        expected: Provider,
        /// What the rows say.
        found: Provider,
        /// In which column.
        from: &'static str,
    },
    /// Rows that do not agree on the provider.
    #[error("{0}: bring it with monthend import --provider NAME")]
    Whose(#[from] crate::intake::Undecided),
    /// A bill that never counted.
    #[error("there is no bill that could be withdrawn")]
    NothingToWithdraw,
    /// An invoice in another currency than the rows.
    #[error("invoice {invoice} is in {found}, its rows are in {expected}")]
    InvoiceCurrency {
        /// The invoice.
        invoice: String,
        /// Its currency.
        found: String,
        /// That of the rows.
        expected: &'static str,
    },
    /// The sums overflow, or have more digits than can be stated.
    #[error(transparent)]
    Money(#[from] crate::money::MoneyError),
    /// The certificate contradicts itself: a fault of this software.
    #[error(transparent)]
    Certificate(#[from] crate::certificate::CertificateError),
    /// A shared resource that stands whole and divided.
    #[error(transparent)]
    CountedTwice(#[from] Box<crate::charges::CountedTwice>),
}

/// The first few; the others are told by their number.
fn list(rows: &[HeldRow]) -> String {
    rows.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn elsewhere(others: &[OtherBill]) -> String {
    let named = others.iter().take(5).map(|other| {
        let month = other.month.map_or_else(|| "no month".to_owned(), |month| month.to_string());
        let provider = other.claims.provider.as_deref().map(Provider::named);
        let provider =
            provider.and_then(Result::ok).map_or_else(String::new, |provider| format!("{provider} "));
        format!("{provider}{} {month}", other.billing_account.as_deref().unwrap_or("no account"))
    });
    let named: Vec<_> = named.collect();
    if named.is_empty() { String::new() } else { format!(", but of {}", named.join(", ")) }
}
