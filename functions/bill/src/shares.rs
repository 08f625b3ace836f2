//! Tables of a run: how pools were shared, with the columns by which FOCUS 1.3 explains an allocation, and what came back of costs.

use billing::bills::{ALLOCATION_COLUMNS, BillRun, Recovery};
use billing::catalog::billing::Catalog;
use billing::spreadsheet::neutralise;

use crate::error::MonthError;

/// A table of cells, as they are.
fn table(name: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>, MonthError> {
    let failed = |error: &dyn std::fmt::Display| MonthError::GivenUp(format!("{name}: {error}"));
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    csv.write_record(head).map_err(|error| failed(&error))?;
    for row in rows {
        csv.write_record(row).map_err(|error| failed(&error))?;
    }
    csv.into_inner().map_err(|error| failed(&error.into_error()))
}

fn cell(text: &str) -> String {
    neutralise(text).into_owned()
}

/// One row a share; the ratios of a pool in a currency add up to 1.
pub(crate) fn shares_csv(run: &BillRun, catalog: &Catalog) -> Result<Vec<u8>, MonthError> {
    let head = ["BillingPeriod", "Pool", "BillingCurrency", "AllocatedCost", "AllocatedRatio"];
    let rows = run.shares.iter().map(|share| {
        let pool = catalog.pools.get(share.pool).map_or("", |pool| pool.name.as_str());
        let mut row = vec![run.month.to_string(), cell(pool), share.currency.to_owned()];
        row.extend([share.amount.to_string(), share.ratio.to_string()]);
        row.extend(share.allocation_cells().map(cell));
        row
    });
    table("shares.csv", &[&head[..], &ALLOCATION_COLUMNS].concat(), rows)
}

/// One row a component, and one a line that passes costs on, with every difference between cost and bill by name. Components are
/// stated before their lines are rounded: what services pay for them stands in the rows of the services again.
pub(crate) fn recovery_csv(run: &BillRun, catalog: &Catalog) -> Result<Vec<u8>, MonthError> {
    let head = [
        "BillingPeriod",
        "Kind",
        "Name",
        "Customer",
        "BillingCurrency",
        "Cost",
        "Billed",
        "NotRecovered",
        "Markups",
        "Prices",
        "AboveWhole",
        "Rounding",
        "Reason",
    ];
    let row = |kind: &str, name: &str, customer: &str, recovery: &Recovery, reason: Option<&str>| {
        let Recovery { cost, billed, not_recovered, markups, prices, above_whole, rounding } = recovery;
        let figures = [cost, billed, not_recovered, markups, prices, above_whole, rounding];
        let mut row = vec![run.month.to_string(), kind.to_owned(), cell(name), cell(customer)];
        row.push(catalog.currency.code().to_owned());
        row.extend(figures.map(ToString::to_string));
        row.push(cell(reason.unwrap_or_default()));
        row
    };
    let components = run
        .components
        .iter()
        .map(|one| row("component", &one.name, "", &one.recovery, one.reason.as_deref()));
    let lines = run.bills.iter().flat_map(|bill| bill.lines.iter().map(move |line| (&bill.customer, line)));
    let lines = lines.filter(|(_, line)| line.kind.passes_costs());
    let lines =
        lines.map(|(customer, line)| row(line.kind.as_str(), &line.name, customer, &line.recovery, None));
    table("recovery.csv", &head, components.chain(lines))
}
