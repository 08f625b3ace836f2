//! `monthend run`

use billing::keys::RawDocumentKey;
use cloud::ledger::RevisionState;
use local::Template;
use serde_json::{Value, json};

use crate::Ended;
use crate::args;
use crate::commands::invoices::{RECORD_COLUMNS, record_cells, record_of, report_dead_letters};
use crate::commands::invoke::{call, ended};
use crate::output::{Format, Listing, Output};
use crate::session::Session;

pub(crate) async fn run(run: &args::Run, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let template = Template::built_in()?;
    let mut result = Ended::Done;
    let mut reports = serde_json::Map::new();
    let mut documents = Vec::new();
    for function in template.functions().filter(|name| name.starts_with("fetch-")) {
        let event = run.month.map_or_else(|| json!({}), |month| json!({"month": month}));
        output.note(&format!("{function}: fetching"));
        let report = match call(session, function, &event).await {
            Ok(report) => Some(report),
            Err(failure) => {
                output.note(&format!("error: {function}: {}", failure.message));
                result = result.max(ended(failure.outcome));
                failure.report
            }
        };
        if let Some(report) = report {
            let fetched = report["documents"].as_array().into_iter().flatten();
            documents.extend(fetched.filter_map(|document| {
                Some((document["key"].as_str()?.to_owned(), document["state"].clone()))
            }));
            reports.insert(function.to_owned(), report);
        }
    }
    session.follow(output, "allocating").await?;
    result = result.max(report_dead_letters(session, output)?);
    let (listing, held) = allocated(session, &documents).await?;
    if output.format == Format::Json {
        output.json(&json!({"functions": reports, "documents": listing.to_json()}));
    } else {
        output.listing(&listing)?;
    }
    if held {
        result = result.max(Ended::Held);
    }
    Ok(result)
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
