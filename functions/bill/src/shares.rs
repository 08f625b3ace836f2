//! How pools were shared, with the columns by which FOCUS 1.3 explains an allocation.

use billing::bills::{ALLOCATION_COLUMNS, BillRun};
use billing::catalog::billing::Catalog;
use billing::spreadsheet::neutralise;

use crate::error::MonthError;

/// One row a share; the ratios of a pool in a currency add up to 1.
pub(crate) fn shares_csv(run: &BillRun, catalog: &Catalog) -> Result<Vec<u8>, MonthError> {
    let failed = |error: &dyn std::fmt::Display| MonthError::GivenUp(format!("shares.csv: {error}"));
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let head = ["BillingPeriod", "Pool", "BillingCurrency", "AllocatedCost", "AllocatedRatio"];
    csv.write_record(head.iter().chain(&ALLOCATION_COLUMNS)).map_err(|error| failed(&error))?;
    for share in &run.shares {
        let pool = catalog.pools.get(share.pool).map_or("", |pool| pool.name.as_str());
        let figures = [share.amount.to_string(), share.ratio.to_string()];
        let texts = [run.month.to_string(), neutralise(pool).into_owned(), share.currency.to_owned()];
        let cells = share.allocation_cells().map(|cell| neutralise(cell).into_owned());
        csv.write_record(texts.iter().chain(&figures).chain(&cells)).map_err(|error| failed(&error))?;
    }
    csv.into_inner().map_err(|error| failed(&error.into_error()))
}
