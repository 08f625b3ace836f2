//! What starts a function: S3 notifications, schedules and people, as our own small structs.

use aws_lambda_events::event::s3::S3Entity;
use billing::month::in_calendar;
use billing::strict;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;

/// An event as it comes, or why it is none. It is never refused while it is received, so that the refusal is told as any other.
#[derive(Debug)]
pub struct Payload(pub Result<Value, UnusableEvent>);

/// Why nobody can say what an event asks for, to complete "the event is not understood: ...".
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum UnusableEvent {
    #[error("it is not JSON: {0}")]
    Json(serde_json::Error),
    #[error("{0}")]
    Members(serde_json::Error),
}

/// Reads an event in which each member stands once: of two months, or of `"dry_run": true` and `false`, none is taken.
///
/// # Errors
/// [`UnusableEvent`] names the member.
pub fn read(text: &str) -> Result<Value, UnusableEvent> {
    strict::from_str(text).map_err(|error| match error.classify() {
        Category::Data => UnusableEvent::Members(error),
        _ => UnusableEvent::Json(error),
    })
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // as text: a value would have forgotten the first of two members
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(read(text.get())))
    }
}

/// An object that an event announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// The bucket; nothing in a manual event.
    pub bucket: Option<String>,
    /// The key, decoded.
    pub key: String,
    /// The version announced, in a versioned bucket.
    pub version: Option<String>,
}

/// An event that is none of those expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event has no usable {field}: {why}")]
pub struct InvalidEvent {
    /// Path of the field.
    pub field: String,
    /// What is wrong.
    pub why: String,
}

/// The objects that an S3 notification announces. The test event that S3 sends when a notification is
/// configured announces none.
///
/// # Errors
/// [`InvalidEvent`] names the field.
pub fn stored_objects(event: &Value) -> Result<Vec<StoredObject>, InvalidEvent> {
    if event.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
        return Ok(Vec::new());
    }
    let records = event.get("Records").and_then(Value::as_array).ok_or_else(|| InvalidEvent {
        field: "Records".into(),
        why: "expected an S3 notification, or {\"key\": \"raw/...\"} by hand".into(),
    })?;
    records.iter().enumerate().map(|(index, record)| stored_object(index, record)).collect()
}

/// The object of a record. Who wrote it, and when, is left out: nobody here asks, and what waits in homes of older versions does not say it.
fn stored_object(index: usize, record: &Value) -> Result<StoredObject, InvalidEvent> {
    let field = |name: &str| format!("Records[{index}].s3{}{name}", if name.is_empty() { "" } else { "." });
    let invalid = |name: &str, why: &str| InvalidEvent { field: field(name), why: why.to_owned() };
    let entity = record.get("s3").ok_or_else(|| invalid("", "it is missing"))?;
    let S3Entity { bucket, object, .. } = serde_path_to_error::deserialize(entity).map_err(|error| {
        let path = error.path().to_string();
        invalid(if path == "." { "" } else { &path }, &error.inner().to_string())
    })?;
    let key = object.key.ok_or_else(|| invalid("object.key", "it must be a text"))?;
    Ok(StoredObject {
        bucket: bucket.name,
        key: decode_key(&key).ok_or_else(|| invalid("object.key", "it is not UTF-8 when decoded"))?,
        version: object.version_id.filter(|version| version != "null"),
    })
}

/// Members of an event by which a schedule says when and how often it came, see template.yaml.
const OF_THE_SCHEDULE: [&str; 3] = ["scheduled_time", "execution_id", "attempt"];

/// What a schedule or a person may ask of a function, as members of an event. A schedule, also a rule of EventBridge, asks for the default.
/// A type refuses members that it does not know (`deny_unknown_fields`): a misspelt one would ask for something else than was meant.
pub trait Wish: Default + DeserializeOwned {
    /// What there is to ask for, to complete "give ...".
    const GIVE: &'static str;

    /// Reads an event.
    ///
    /// # Errors
    /// [`InvalidWish`].
    fn read(event: &Value) -> Result<Self, InvalidWish> {
        if event.get("detail-type").and_then(Value::as_str) == Some("Scheduled Event") {
            return Ok(Self::default());
        }
        // a list would be taken for a struct
        let Some(members) = event.as_object() else { return Err(Self::invalid("it is no JSON object")) };
        let said = |member| members.get(member).and_then(Value::as_str).unwrap_or_default();
        if let Some(time) = members.get("scheduled_time").and_then(Value::as_str) {
            let (id, attempt) = (said("execution_id"), said("attempt"));
            tracing::info!(
                schedule.time = time,
                schedule.execution_id = id,
                schedule.attempt = attempt,
                "scheduled"
            );
        }
        let mut asked = members.clone();
        asked.retain(|member, _| !OF_THE_SCHEDULE.contains(&member.as_str()));
        serde_json::from_value(Value::Object(asked)).map_err(Self::invalid)
    }

    /// The event asks for nothing that there is, and why.
    fn invalid(why: impl ToString) -> InvalidWish {
        InvalidWish { why: why.to_string(), give: Self::GIVE }
    }
}

/// An event that asks for nothing that there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event is not understood: {why}; give {give}")]
pub struct InvalidWish {
    why: String,
    give: &'static str,
}

/// When a schedule, or a rule of EventBridge, was due: a late delivery does not change that.
#[must_use]
pub fn scheduled(event: &Value) -> Option<DateTime<Utc>> {
    let time = event.get("scheduled_time").or_else(|| event.get("time"))?;
    time.as_str()?.parse().ok().and_then(in_calendar)
}

/// S3 form-encodes keys in notifications: `+` is a space, `%2B` a plus.
fn decode_key(key: &str) -> Option<String> {
    let spaces = key.replace('+', " ");
    percent_encoding::percent_decode_str(&spaces).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The key as S3 writes it in a notification.
#[must_use]
pub fn encode_key(key: &str) -> String {
    form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>().replace("%2F", "/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn several_records_with_encoded_keys() {
        let record =
            |key: &str| json!({"s3": {"bucket": {"name": "b"}, "object": {"key": key, "versionId": "v1"}}});
        let event = json!({"Records": [record("raw/a+b%2Bc/caf%C3%A9.json"), record("raw/x.json")]});
        let objects = stored_objects(&event).unwrap();
        assert_eq!(objects[0].key, "raw/a b+c/café.json");
        assert_eq!(
            objects[1],
            StoredObject { bucket: Some("b".into()), key: "raw/x.json".into(), version: Some("v1".into()) }
        );
        assert_eq!(encode_key("raw/a b+c/café.json"), "raw/a+b%2Bc/caf%C3%A9.json");
    }

    /// As Lambda's runtime reads what it is sent.
    fn received(body: &str) -> Result<Value, String> {
        let mut json = serde_json::Deserializer::from_slice(body.as_bytes());
        let payload: Payload = serde_path_to_error::deserialize(&mut json).unwrap();
        payload.0.map_err(|error| error.to_string())
    }

    #[test]
    fn an_event_that_says_something_twice_asks_for_nothing() {
        for (body, message) in [
            (r#"{"month": "2026-09", "month": "2026-10"}"#, "'month' stands twice at line 1 column 22"),
            (r#"{"dry_run": true, "dry_run": false}"#, "'dry_run' stands twice at line 1 column 19"),
            (
                r#"{"Records": [{"s3": {"object": {"key": "a", "\u006bey": "b"}}}]}"#,
                "'key' stands twice in Records[0].s3.object at line 1 column 45",
            ),
        ] {
            assert_eq!(received(body).unwrap_err(), message);
            assert_eq!(read(body).unwrap_err().to_string(), message);
        }
        let event =
            r#"{"month": "2026-10", "detail": {"month": 1, "amount": 12345678901234567.89}, "keys": []}"#;
        assert_eq!(received(event).unwrap(), serde_json::from_str::<Value>(event).unwrap());
        assert_eq!(received(" 7 ").unwrap(), json!(7));
        let error = read("{").unwrap_err().to_string();
        assert!(error.starts_with("it is not JSON: EOF"), "{error}");
    }

    #[test]
    fn a_test_event_announces_nothing() {
        assert_eq!(stored_objects(&json!({"Service": "Amazon S3", "Event": "s3:TestEvent"})), Ok(vec![]));
    }

    #[test]
    fn other_events_say_what_is_missing() {
        let error = |event| stored_objects(&event).unwrap_err().to_string();
        assert_eq!(
            error(json!({"hello": 1})),
            "the event has no usable Records: expected an S3 notification, or {\"key\": \"raw/...\"} by hand"
        );
        let of_record = |s3: Value| {
            error(json!({"Records": [{"s3": {"bucket": {}, "object": {"key": "raw/x"}}}, {"s3": s3}]}))
        };
        assert_eq!(error(json!({"Records": [{}]})), "the event has no usable Records[0].s3: it is missing");
        for (s3, said) in [
            (json!({"bucket": {}, "object": {}}), "Records[1].s3.object.key: it must be a text"),
            (
                json!({"bucket": {}, "object": {"key": "%FF"}}),
                "Records[1].s3.object.key: it is not UTF-8 when decoded",
            ),
            (
                json!({"bucket": {}, "object": {"key": 7}}),
                "Records[1].s3.object.key: invalid type: number, expected a string",
            ),
            (
                json!({"bucket": {"name": []}, "object": {}}),
                "Records[1].s3.bucket.name: invalid type: sequence, expected a string",
            ),
            (json!({"object": {"key": "raw/x"}}), "Records[1].s3: missing field `bucket`"),
            (json!("raw/x"), "Records[1].s3: invalid type: string \"raw/x\", expected struct S3Entity"),
        ] {
            assert_eq!(of_record(s3), format!("the event has no usable {said}"));
        }
    }

    #[test]
    fn a_notification_as_s3_sends_it() {
        let event = include_str!("../../../events/allocate-s3-notification.json");
        let objects = stored_objects(&read(event).unwrap()).unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].bucket.as_deref(), Some("monthend-data"));
        assert!(objects[0].key.starts_with("raw/atlas/"), "{}", objects[0].key);
    }
}
