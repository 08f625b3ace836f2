//! `monthend report revenue`

use anyhow::Context;
use billing::revenue::Window;
use chrono::Utc;
use cloud::vars::Vars;
use local::journal::{self, WorkedExample};
use local::{Embedded, Home, Options};
use serde_json::{Value, json};

use crate::args::{Args, Cloud, ReportRevenue};
use crate::commands::invoke::report_of;
use crate::output::{Format, Listing, Output};
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
    let (report, ended) = report_of(session, output, "report-revenue", event).await;
    let report = report.unwrap_or_default();
    let reports = report["windows"][0]["reports"].as_array().into_iter().flatten();
    let wanted = |report: &&Value| {
        asked.currency.as_deref().is_none_or(|code| report["currency"].as_str() == Some(code))
    };
    let reports: Vec<&Value> = reports.collect();
    let there: Vec<&str> = reports.iter().filter_map(|report| report["currency"].as_str()).collect();
    let mut first = true;
    let mut documents = Vec::new();
    for report in reports.iter().copied().filter(wanted) {
        let member = if output.format == Format::Csv { "table" } else { "report" };
        let key = report[member].as_str().unwrap_or_default();
        let object = session.bucket.get(key, None).await?.with_context(|| format!("there is no {key}"))?;
        let text = std::str::from_utf8(&object.bytes).with_context(|| format!("{key} is not UTF-8"))?;
        match output.format {
            Format::Json => documents.push(text.trim_end().to_owned()),
            // one header for the tables of all currencies
            Format::Csv if first => output.line(text.trim_end()),
            Format::Csv => text.trim_end().lines().skip(1).for_each(|line| output.line(line)),
            Format::Table => table(&serde_json::from_str(text)?, report, output)?,
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

pub(crate) fn table(document: &Value, report: &Value, output: &Output) -> anyhow::Result<()> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let currency = text(&document["currency_code"]);
    let [start, end] = ["start_date", "end_date"].map(|field| text(&document[field]));
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
    for client in document["revenue_report"].as_array().into_iter().flatten() {
        for service in client["services_report"].as_object().into_iter().flatten().map(|(_, service)| service)
        {
            let used = &service["usage_details"]["total_cost"];
            services.row(vec![
                text(&client["client_display_name"]),
                text(&service["service_name"]),
                text(&service["fixed_monthly_price"]),
                if used.is_null() { String::new() } else { text(used) },
                text(&service["total_revenue"]),
                text(&service["cost_still_required"]),
                text(&service["cost_required_percent"]),
                text(&service["alloted_from_credit"]),
                text(&service["debt"]),
            ]);
        }
    }
    output.listing(&services)?;
    let mut locations = Listing::new(&["location", "revenue>"]);
    for location in document["total_revenue_per_location"].as_array().into_iter().flatten() {
        locations.row(vec![text(&location["name"]), text(&location["revenue"])]);
    }
    locations.total(vec!["total".into(), text(&document["total_revenue"])]);
    output.listing(&locations)?;
    output.line(&format!("{}\n{}", text(&report["report"]), text(&report["certificate"])));
    Ok(())
}
