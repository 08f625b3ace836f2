//! `monthend run`

use std::collections::BTreeMap;

use billing::keys::RawDocumentKey;
use chrono::Utc;
use cloud::fetch::{FetchReport, FetchState};
use cloud::invocation::Function;
use cloud::ledger::RevisionState;
use local::Template;
use serde_json::{Map, Value, json};

use crate::Ended;
use crate::args;
use crate::commands::invoices::{RECORD_COLUMNS, record_cells, record_of, report_dead_letters};
use crate::commands::invoke::report_of;
use crate::commands::{drivers, metering_status, reports};
use crate::output::{Format, Listing, Output, text};
use crate::session::Session;

pub(crate) async fn run(run: &args::Run, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let (template, began) = (Template::built_in()?, Utc::now());
    let event = run.month.map_or_else(|| json!({}), |month| json!({"month": month}));
    let configured = configured(&template, session);
    let mut told = Told::new(session, output);
    for function in &configured {
        output.note(&format!("{function}: fetching"));
        told.fetch(function, &event).await?;
    }
    session.follow(output, "allocating and metering").await?;
    let metered = configured.contains(&fetch_omnistrate::App::NAME);
    if metered {
        // what is still open is sent again, also where no new usage came; not what was answered since this run began
        told.ask::<meter_clazar::App>(&json!({"began": began})).await;
    }
    let mut result = told.ended.max(report_dead_letters(session, output)?);
    let (listing, held) = allocated(session, told.bills.values().flatten()).await?;
    if output.format == Format::Json {
        output.json(&json!({"functions": told.reports, "documents": listing.to_json()}));
    } else {
        output.listing(&listing)?;
    }
    if output.format == Format::Table {
        told.others.iter().try_for_each(|other| output.listing(other))?;
        if metered {
            let month = args::MeteringStatus { month: run.month, plan: None };
            result = result.max(metering_status::status(&month, session, output).await?);
        }
    }
    if held {
        result = result.max(Ended::Held);
    }
    Ok(result)
}

/// What functions told.
struct Told<'s> {
    session: &'s Session,
    output: &'s Output,
    ended: Ended,
    reports: Map<String, Value>,
    /// Bills by function, in the order of the names: key and what became of it.
    bills: BTreeMap<&'static str, Vec<(String, FetchState)>>,
    /// What was fetched besides.
    others: Vec<Listing>,
}

impl<'s> Told<'s> {
    fn new(session: &'s Session, output: &'s Output) -> Self {
        let (reports, bills, others) = (Map::new(), BTreeMap::new(), Vec::new());
        Self { session, output, ended: Ended::Done, reports, bills, others }
    }

    async fn fetch(&mut self, function: &str, event: &Value) -> anyhow::Result<()> {
        match function {
            fetch_atlas::App::NAME => self.fetch_bills::<_, fetch_atlas::App>(event).await,
            fetch_aws::App::NAME => self.fetch_bills::<_, fetch_aws::App>(event).await,
            fetch_azure::App::NAME => self.fetch_bills::<_, fetch_azure::App>(event).await,
            fetch_gcp::App::NAME => self.fetch_bills::<_, fetch_gcp::App>(event).await,
            fetch_ccx::App::NAME => {
                let report = self.ask::<fetch_ccx::App>(event).await;
                self.others.extend(report.map(|report| reports::fetched(&report.reports)));
            }
            fetch_prometheus::App::NAME => {
                let report = self.ask::<fetch_prometheus::App>(event).await;
                self.others.extend(report.map(|report| drivers::fetched(&report.drivers)));
            }
            fetch_omnistrate::App::NAME => drop(self.ask::<fetch_omnistrate::App>(event).await),
            other => anyhow::bail!("{other} is no function that fetches"),
        }
        Ok(())
    }

    async fn fetch_bills<D, F: Function<Report = FetchReport<D>>>(&mut self, event: &Value) {
        let bills = self.ask::<F>(event).await.into_iter().flat_map(|report| report.documents);
        self.bills.insert(F::NAME, bills.filter_map(|bill| Some((bill.key?, bill.state))).collect());
    }

    async fn ask<F: Function>(&mut self, event: &Value) -> Option<F::Report> {
        let (report, ended) = report_of::<F>(self.session, self.output, event).await;
        self.ended = self.ended.max(ended);
        self.reports.extend(report.iter().map(|report| (F::NAME.to_owned(), json!(report))));
        report
    }
}

/// The fetch functions that have something to fetch from. If none has, all are tried, and say what is missing.
fn configured<'t>(template: &'t Template, session: &Session) -> Vec<&'t str> {
    let is_set = |names: &[&str]| names.iter().any(|name| session.vars.get(name).is_some());
    let fetches = || template.functions().filter(|name| name.starts_with("fetch-"));
    let configured = fetches().filter(|function| match *function {
        "fetch-atlas" => {
            is_set(&["PUBLIC_KEY", "CLIENT_ID", "ATLAS_SECRET_ARN", "ATLAS_VAULT_PATH", "ORG_ID"])
        }
        "fetch-aws" => is_set(&["AWS_BILLING_ACCOUNT"]),
        "fetch-azure" => is_set(&["AZURE_SCOPE"]),
        "fetch-ccx" => is_set(&["CCX_API_URL"]),
        "fetch-gcp" => is_set(&["GCP_BILLING_TABLE"]),
        "fetch-omnistrate" => is_set(&["S3_BUCKET_NAME"]),
        "fetch-prometheus" => is_set(&["PROMETHEUS_URL"]),
        _ => true,
    });
    let configured: Vec<&str> = configured.collect();
    if configured.is_empty() { fetches().collect() } else { configured }
}

/// What became of the bills fetched, and whether one of them is held.
async fn allocated(
    session: &Session,
    bills: impl Iterator<Item = &(String, FetchState)>,
) -> anyhow::Result<(Listing, bool)> {
    let columns = [&["month", "invoice", "fetched"], RECORD_COLUMNS.as_slice(), &["key"]].concat();
    let (mut listing, mut held) = (Listing::new(&columns), false);
    for (raw_key, fetched) in bills {
        let invoice = RawDocumentKey::parse(raw_key)?.invoice;
        let mut row = vec![invoice.period.to_string(), invoice.invoice_id.to_string(), text(fetched)];
        let record = record_of(session, raw_key).await?;
        held |= record.as_ref().is_some_and(|record| record.state == RevisionState::Held);
        row.extend(record_cells(record.as_ref()));
        row.push(raw_key.clone());
        listing.row(row);
    }
    Ok((listing, held))
}
