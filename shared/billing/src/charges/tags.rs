//! Tags as key and value, from the JSON objects that providers write.

use serde_json::Value;

/// The tags of a JSON object, with or without its braces, in the order of their keys; null values are empty, others that are no
/// text keep their JSON.
///
/// # Errors
/// Says what is wrong with the text.
pub(crate) fn parse(text: Option<&str>) -> Result<Vec<(String, String)>, String> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    let with_braces = if text.starts_with('{') { text.to_owned() } else { format!("{{{text}}}") };
    let object: serde_json::Map<String, Value> = serde_json::from_str(&with_braces)
        .map_err(|error| format!("the tags are no JSON object: {error}"))?;
    let mut tags: Vec<(String, String)> = object
        .into_iter()
        .map(|(key, value)| match value {
            Value::String(text) => (key, text),
            Value::Null => (key, String::new()),
            other => (key, other.to_string()),
        })
        .collect();
    tags.sort();
    Ok(tags)
}

/// A flat JSON object, or nothing where there are no tags.
pub(super) fn to_json(tags: &[(String, String)]) -> Option<String> {
    let object: serde_json::Map<String, Value> =
        tags.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect();
    (!object.is_empty()).then(|| Value::Object(object).to_string())
}
