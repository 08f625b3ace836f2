//! `monthend report revenue`

use std::collections::BTreeMap;

use ::report_revenue::CurrencyReport;
use anyhow::Context;
use billing::revenue::Window;
use chrono::Utc;
use cloud::vars::Vars;
use local::journal::{self, WorkedExample};
use local::{Embedded, Home, Options};
use serde::Deserialize;
use serde_json::{Number, Value, json};

use crate::args::{Args, Cloud, ReportRevenue};
use crate::commands::invoke::report_of;
use crate::output::{Format, Listing, Output, text};
use crate::session::{Session, Use};
use crate::{Ended, WrongArgument};

pub(crate) async fn report_revenue(
    asked: &ReportRevenue,
    args: &Args,
    output: &Output,
) -> anyhow::Result<Ended> {
    if asked.example {
        anyhow::ensure!(
            args.cloud == Cloud::Embedded,
            "--example runs in an embedded cloud, not with --cloud aws"
        );
        return Box::pin(example(asked, output)).await;
    }
    let event = match (asked.month, &asked.start, &asked.end) {
        (Some(month), ..) => json!({"month": month}),
        (None, Some(start), Some(end)) => {
            let window = Window::between(start, end).and_then(|window| window.begun(Utc::now()));
            window.map_err(|error| WrongArgument(error.to_string()))?;
            json!({"start": start, "end": end})
        }
        _ => json!({}),
    };
    show(&event, asked, &Session::open(args, Use::Look, true, output).await?, output).await
}

/// A cloud in a folder that goes with it: the example never meets anybody's journal.
async fn example(asked: &ReportRevenue, output: &Output) -> anyhow::Result<Ended> {
    let WorkedExample { objects, event, default_location } = journal::worked_example();
    let home = Home::open(std::env::temp_dir().join(format!("monthend-example-{}", std::process::id())))?;
    let lock = home.lock()?.context("another process has the folder of the example")?;
    let vars = Vars::from_iter([("REPORTING_DEFAULT_LOCATION", default_location)]);
    let options = Options { ledger_in_memory: true, ports: false, follow: false, vars, ..Options::default() };
    let embedded = Embedded::start(&home, options).await?;
    let session = Session::of_embedded(home.clone(), embedded, lock).await?;
    let shown = async {
        journal::put(&objects, &session.bucket).await?;
        show(&event, asked, &session, output).await
    };
    let shown = shown.await;
    drop(session);
    home.reset()?;
    shown
}

async fn show(
    event: &Value,
    asked: &ReportRevenue,
    session: &Session,
    output: &Output,
) -> anyhow::Result<Ended> {
    let (report, ended) = report_of::<::report_revenue::App>(session, output, event).await;
    let window = report.and_then(|report| report.windows.into_iter().next());
    let reports = window.map(|window| window.reports).unwrap_or_default();
    let wanted =
        |report: &&CurrencyReport| asked.currency.as_ref().is_none_or(|code| report.currency == *code);
    let there: Vec<&str> = reports.iter().map(|report| report.currency.as_str()).collect();
    let mut first = true;
    let mut documents = Vec::new();
    for report in reports.iter().filter(wanted) {
        let key = if output.format == Format::Csv { &report.table } else { &report.report };
        let object = session.bucket.get(key, None).await?.with_context(|| format!("there is no {key}"))?;
        let text = std::str::from_utf8(&object.bytes).with_context(|| format!("{key} is not UTF-8"))?;
        match output.format {
            Format::Json => documents.push(text.trim_end().to_owned()),
            // one header for the tables of all currencies
            Format::Csv if first => output.line(text.trim_end()),
            Format::Csv => text.trim_end().lines().skip(1).for_each(|line| output.line(line)),
            Format::Table => table(serde_json::from_str(text)?, report, output)?,
        }
        first = false;
    }
    if first && let (Some(currency), false) = (&asked.currency, there.is_empty()) {
        anyhow::bail!(WrongArgument(format!(
            "there is no report in {currency}; there are: {}",
            there.join(", ")
        )));
    }
    if output.format == Format::Json && (ended == Ended::Done || !first) {
        match documents.as_slice() {
            // as it was certified
            [document] => output.line(document),
            documents => output.line(&format!("[{}]", documents.join(",\n"))),
        }
    }
    if first && ended == Ended::Done {
        output.note("nothing to report: there is no journal, and no service in the catalog, of this time");
    }
    Ok(ended)
}

/// What is shown of a report.
#[derive(Deserialize)]
pub(crate) struct Shown {
    currency_code: String,
    start_date: String,
    end_date: String,
    revenue_report: Vec<ShownClient>,
    total_revenue_per_location: Vec<ShownLocation>,
    total_revenue: Number,
}

#[derive(Deserialize)]
struct ShownClient {
    client_display_name: String,
    services_report: BTreeMap<String, ShownService>,
}

#[derive(Deserialize)]
struct ShownService {
    service_name: String,
    fixed_monthly_price: Number,
    usage_details: ShownUsage,
    total_revenue: Number,
    cost_still_required: Number,
    cost_required_percent: Number,
    alloted_from_credit: Number,
    debt: Number,
}

#[derive(Deserialize)]
struct ShownUsage {
    total_cost: Option<Number>,
}

#[derive(Deserialize)]
struct ShownLocation {
    name: String,
    revenue: Number,
}

pub(crate) fn table(shown: Shown, report: &CurrencyReport, output: &Output) -> anyhow::Result<()> {
    let Shown { currency_code: currency, start_date: start, end_date: end, .. } = shown;
    output.heading(&format!("Revenue in {currency}, {start} to {end}"));
    let mut services = Listing::new(&[
        "client",
        "service",
        "price>",
        "usage>",
        "paid>",
        "required>",
        "%>",
        "from credit>",
        "debt>",
    ]);
    for client in shown.revenue_report {
        for service in client.services_report.into_values() {
            let figures = [
                service.total_revenue,
                service.cost_still_required,
                service.cost_required_percent,
                service.alloted_from_credit,
                service.debt,
            ];
            let mut row = vec![client.client_display_name.clone(), service.service_name];
            row.push(service.fixed_monthly_price.to_string());
            row.push(text(&service.usage_details.total_cost));
            row.extend(figures.map(|figure| figure.to_string()));
            services.row(row);
        }
    }
    output.listing(&services)?;
    let mut locations = Listing::new(&["location", "revenue>"]);
    for location in shown.total_revenue_per_location {
        locations.row(vec![location.name, location.revenue.to_string()]);
    }
    locations.total(vec!["total".into(), shown.total_revenue.to_string()]);
    output.listing(&locations)?;
    output.line(&format!("{}\n{}", report.report, report.certificate));
    Ok(())
}
