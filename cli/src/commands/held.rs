//! What is held besides invoices and reports of providers, which the ledger knows: bills, revenue, files of events, drivers, usage.

use anyhow::Context;
use billing::keys::{RAW, UsageKey};
use billing::month::BillingMonth;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::Value;

use crate::output::Listing;
use crate::session::Session;

const AT_ONCE: usize = 8;
const HELD: &str = "held/";
const NOTE: &str = ".reason.json";

/// What notes have in common.
#[derive(Deserialize)]
struct Note {
    /// Some notes go when it is mended, some say so.
    status: Option<String>,
    reason: Option<String>,
    /// Of bills, texts.
    #[serde(default)]
    problems: Vec<Value>,
}

/// One row for each document that is held now, with the reason and the note that says it whole.
pub(crate) async fn held(session: &Session, only: Option<BillingMonth>) -> anyhow::Result<Listing> {
    let keys = session.bucket.list(HELD).await?.into_iter().map(|object| object.key);
    let wanted = keys.filter(|key| {
        let document = document_of(key);
        document.is_some_and(|document| {
            !document.starts_with(RAW)
                && month_of(document).is_none_or(|month| only.is_none_or(|only| only == month))
        })
    });
    let wanted: Vec<String> = wanted.collect();
    let read = stream::iter(wanted).map(|key| reason(session, key)).buffered(AT_ONCE);
    let rows: Vec<Option<Vec<String>>> = read.try_collect().await?;
    let mut listing = Listing::new(&["document", "reason", "note"]);
    rows.into_iter().flatten().for_each(|row| listing.row(row));
    Ok(listing)
}

fn document_of(note: &str) -> Option<&str> {
    note.strip_prefix(HELD)?.strip_suffix(NOTE)
}

/// The month that the key of a document names, as a folder or at the beginning of a name.
fn month_of(document: &str) -> Option<BillingMonth> {
    document.split('/').find_map(|segment| segment.get(..7)?.parse().ok())
}

/// The row of a note; nothing if what it was about is mended.
async fn reason(session: &Session, key: String) -> anyhow::Result<Option<Vec<String>>> {
    let Some(object) = session.bucket.get(&key, None).await? else { return Ok(None) };
    let note: Note =
        serde_json::from_slice(&object.bytes).with_context(|| format!("{key} is no note of what is held"))?;
    let document = document_of(&key).unwrap_or(&key).to_owned();
    if note.status.is_some_and(|status| status != "held") || counted_since(session, &document).await? {
        return Ok(None);
    }
    let problems = || note.problems.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; ");
    let reason = note.reason.unwrap_or_else(problems);
    Ok(Some(vec![document, reason, key]))
}

/// Whether it is a month's usage, and the month was counted again.
async fn counted_since(session: &Session, document: &str) -> anyhow::Result<bool> {
    let Ok(key) = UsageKey::parse(document) else { return Ok(false) };
    let counted = session.ledger.reader().usage(&key.plan).await?;
    Ok(counted.iter().any(|usage| usage.month == key.month && usage.revision != key.revision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_its_document_and_most_of_them_a_month() {
        for (note, document, month) in [
            ("held/bills/2026-10.reason.json", "bills/2026-10", Some("2026-10")),
            ("held/reports/revenue/2026-10.reason.json", "reports/revenue/2026-10", Some("2026-10")),
            ("held/drivers/shop/2026-10.json.reason.json", "drivers/shop/2026-10.json", Some("2026-10")),
            ("held/datastores/a.jsonl.reason.json", "datastores/a.jsonl", None),
        ] {
            assert_eq!(document_of(note), Some(document));
            assert_eq!(month_of(document).map(|month| month.to_string()).as_deref(), month);
        }
        assert_eq!(document_of("held/charges/x.parquet"), None);
    }
}
