//! What an answer says, as texts of a bounded length: they are kept in the ledger and shown.

use serde_json::Value;

use crate::text::clean_prose;

/// Characters of one text.
const LONGEST_TEXT: usize = 300;
/// Texts that are kept of one answer.
const MOST_TEXTS: usize = 10;
/// Where an answer, or an entry of one, says in words what is wrong.
const SAID: [&str; 5] = ["code", "detail", "message", "error", "errors"];

/// The first texts of many.
pub(super) fn few(texts: &[String]) -> Vec<String> {
    texts.iter().take(MOST_TEXTS).cloned().collect()
}

/// Errors in any of their shapes, as texts.
pub(super) fn texts(errors: Option<&Value>) -> Vec<String> {
    match errors {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(errors)) => errors.iter().map(plain).filter(|text| !text.is_empty()).collect(),
        Some(error) => Some(plain(error)).filter(|text| !text.is_empty()).into_iter().collect(),
    }
}

/// A text as it is, an object by its message, anything else as JSON; bounded.
pub(super) fn plain(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(members) => match members.get("message") {
            Some(Value::String(message)) => message.clone(),
            _ if members.is_empty() => String::new(),
            _ => value.to_string(),
        },
        other => other.to_string(),
    };
    bounded(&text)
}

/// Each entry in one text, whatever their order: which record it names, its status, and its words.
pub(super) fn of_entries<'e>(entries: impl IntoIterator<Item = &'e Value>) -> Vec<String> {
    let mut texts: Vec<String> = entries.into_iter().map(of_entry).collect();
    texts.sort();
    texts.dedup();
    let left = texts.len().saturating_sub(MOST_TEXTS);
    texts.truncate(MOST_TEXTS);
    texts.extend((left > 0).then(|| format!("and {left} more")));
    texts
}

fn of_entry(entry: &Value) -> String {
    let text = |field: &&str| entry.get(field).map(plain).filter(|text| !text.is_empty());
    let named: Vec<String> = ["contract_id", "dimension", "start_time"].iter().filter_map(text).collect();
    let named = Some(named.join(" ")).filter(|named| !named.is_empty());
    let said = SAID.iter().flat_map(|field| texts(entry.get(field)));
    let parts: Vec<String> = named.into_iter().chain(text(&"status")).chain(said).collect();
    if parts.is_empty() { bounded(&entry.to_string()) } else { bounded(&parts.join(": ")) }
}

/// What an answer without results says.
pub(super) fn of_whole(body: &Value) -> String {
    let said: Vec<String> = SAID.iter().flat_map(|field| texts(body.get(field))).collect();
    let nothing = match body {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        other => other.is_null(),
    };
    match (said.is_empty(), nothing) {
        (false, _) => few(&said).join(": "),
        (true, true) => "the reply has no results".into(),
        (true, false) => format!("the reply has no results: {}", bounded(&body.to_string())),
    }
}

/// What an answer that is no JSON begins with.
pub(super) fn of_text(body: &[u8], error: &serde_json::Error) -> String {
    let begins = bounded(&String::from_utf8_lossy(body));
    let begins = Some(begins).filter(|text| !text.is_empty()).map(|text| format!(": {text}"));
    format!("the reply is not JSON: {error}{}", begins.unwrap_or_default())
}

/// On one line, and not longer than is kept.
fn bounded(text: &str) -> String {
    clean_prose(text).chars().take(LONGEST_TEXT).collect()
}
