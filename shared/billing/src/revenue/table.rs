//! The report as a table: one row a service.

use rust_decimal::Decimal;

use super::moment::show_moment;
use super::report::{ClientReport, RevenueReport, ServiceReport};
use crate::money::{Currency, format_amount};
use crate::spreadsheet::neutralise;

const COLUMNS: [&str; 18] = [
    "start_date",
    "end_date",
    "currency_code",
    "client",
    "client_display_name",
    "service_id",
    "service_name",
    "entries",
    "fixed_monthly_price",
    "price_overridden",
    "usage_cost",
    "total_revenue",
    "total_from_credit",
    "cost_still_required",
    "cost_required_percent",
    "alloted_from_credit",
    "debt",
    "revenue_per_location",
];

/// The table as CSV, with a header.
///
/// # Errors
/// Those of the writer, which writes to memory.
pub(super) fn to_csv(report: &RevenueReport<'_>, currency: Currency) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for client in &report.revenue_report {
        for service in &client.services_report {
            writer.write_record(row(report, client, service, currency))?;
        }
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}

fn row(
    report: &RevenueReport<'_>,
    client: &ClientReport<'_>,
    service: &ServiceReport<'_>,
    currency: Currency,
) -> [String; 18] {
    let amount = |amount: Decimal| format_amount(amount, currency);
    let text = |text: &str| neutralise(text).into_owned();
    let digits = crate::money::minor_digits(currency);
    let locations = service.locations.iter().map(|(name, revenue)| format!("{name}={}", amount(*revenue)));
    [
        show_moment(report.start_date),
        show_moment(report.end_date),
        report.currency_code.to_owned(),
        text(client.client.as_str()),
        text(client.client_display_name),
        text(service.service_id.as_str()),
        text(service.service_name),
        service.entries.len().to_string(),
        amount(service.fixed_monthly_price.0),
        service.price_overridden.to_string(),
        amount(super::figures::rounded(service.usage_cost, digits)),
        amount(service.total_revenue.0),
        amount(service.total_from_credit.0),
        amount(service.cost_still_required.0),
        format!("{:.2}", service.cost_required_percent.0),
        amount(service.alloted_from_credit.0),
        amount(service.debt.0),
        text(&locations.collect::<Vec<_>>().join("; ")),
    ]
}
