//! `monthend run`

use billing::keys::RawDocumentKey;
use local::Template;
use serde_json::{Value, json};

use crate::Ended;
use crate::args;
use crate::commands::invoices::{record_of, report_dead_letters};
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
    let listing = allocated(session, &documents).await?;
    if output.format == Format::Json {
        output.json(&json!({"functions": reports, "documents": listing.to_json()}));
    } else {
        output.listing(&listing)?;
    }
    if listing.to_json().as_array().is_some_and(|rows| rows.iter().any(|row| row["state"] == "held")) {
        result = result.max(Ended::Held);
    }
    Ok(result)
}

/// What became of the documents fetched.
pub(crate) async fn allocated(session: &Session, documents: &[(String, Value)]) -> anyhow::Result<Listing> {
    let mut listing = Listing::new(&[
        "month",
        "invoice",
        "fetched",
        "finality",
        "state",
        "certificate",
        "currency",
        "provider total>",
        "charges>",
        "key",
    ]);
    for (raw_key, fetched) in documents {
        let key = RawDocumentKey::parse(raw_key)?;
        let record = record_of(session, raw_key).await?;
        let text = |value: Option<String>| value.unwrap_or_default();
        let totals = record.as_ref().and_then(|record| record.totals.clone());
        let [currency, provider, charges, _] = totals.unwrap_or_default();
        listing.row(vec![
            key.invoice.period.to_string(),
            key.invoice.invoice_id.to_string(),
            fetched.as_str().unwrap_or_default().to_owned(),
            text(record.as_ref().and_then(|record| record.finality).map(|finality| finality.to_string())),
            text(record.as_ref().map(|record| record.state.to_string()).or(Some("waiting".into()))),
            text(record.as_ref().and_then(|record| record.status).map(|status| status.to_string())),
            currency,
            provider,
            charges,
            raw_key.clone(),
        ]);
    }
    Ok(listing)
}
