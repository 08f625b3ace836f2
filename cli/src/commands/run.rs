//! `monthend run`

use billing::keys::RawDocumentKey;
use chrono::Utc;
use cloud::ledger::RevisionState;
use local::Template;
use serde_json::{Value, json};

use crate::Ended;
use crate::args;
use crate::commands::invoices::{RECORD_COLUMNS, record_cells, record_of, report_dead_letters};
use crate::commands::invoke::report_of;
use crate::commands::{drivers, metering_status, reports};
use crate::output::{Format, Listing, Output};
use crate::session::Session;

pub(crate) async fn run(run: &args::Run, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let (template, began) = (Template::built_in()?, Utc::now());
    let mut result = Ended::Done;
    let mut answers = serde_json::Map::new();
    let event = run.month.map_or_else(|| json!({}), |month| json!({"month": month}));
    let configured = configured(&template, session);
    for function in &configured {
        output.note(&format!("{function}: fetching"));
        let (report, ended) = report_of(session, output, function, &event).await;
        result = result.max(ended);
        answers.extend(report.map(|report| ((*function).to_owned(), report)));
    }
    session.follow(output, "allocating and metering").await?;
    let metered = configured.contains(&"fetch-omnistrate");
    if metered {
        // what is still open is sent again, also where no new usage came; not what was answered since this run began
        let (report, ended) = report_of(session, output, "meter-clazar", &json!({"began": began})).await;
        result = result.max(ended);
        answers.extend(report.map(|report| ("meter-clazar".to_owned(), report)));
    }
    result = result.max(report_dead_letters(session, output)?);
    let (listing, held) = allocated(session, &documents(&answers)).await?;
    if output.format == Format::Json {
        output.json(&json!({"functions": answers, "documents": listing.to_json()}));
    } else {
        output.listing(&listing)?;
        if output.format == Format::Table
            && let Some(fetched) = reports::fetched(&answers)
        {
            output.listing(&fetched)?;
        }
        if output.format == Format::Table
            && let Some(fetched) = drivers::fetched(&answers)
        {
            output.listing(&fetched)?;
        }
        if metered && output.format == Format::Table {
            let month = args::MeteringStatus { month: run.month, plan: None };
            result = result.max(metering_status::status(&month, session, output).await?);
        }
    }
    if held {
        result = result.max(Ended::Held);
    }
    Ok(result)
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

/// Documents that were fetched: key and what became of it.
fn documents(answers: &serde_json::Map<String, Value>) -> Vec<(String, Value)> {
    let fetched = answers.values().flat_map(|answer| answer["documents"].as_array().into_iter().flatten());
    fetched
        .filter_map(|document| Some((document["key"].as_str()?.to_owned(), document["state"].clone())))
        .collect()
}

/// What became of the documents fetched, and whether one of them is held.
async fn allocated(session: &Session, documents: &[(String, Value)]) -> anyhow::Result<(Listing, bool)> {
    let columns = [&["month", "invoice", "fetched"], RECORD_COLUMNS.as_slice(), &["key"]].concat();
    let (mut listing, mut held) = (Listing::new(&columns), false);
    for (raw_key, fetched) in documents {
        let invoice = RawDocumentKey::parse(raw_key)?.invoice;
        let fetched = fetched.as_str().unwrap_or_default().to_owned();
        let mut row = vec![invoice.period.to_string(), invoice.invoice_id.to_string(), fetched];
        let record = record_of(session, raw_key).await?;
        held |= record.as_ref().is_some_and(|record| record.state == RevisionState::Held);
        row.extend(record_cells(record.as_ref()));
        row.push(raw_key.clone());
        listing.row(row);
    }
    Ok((listing, held))
}
