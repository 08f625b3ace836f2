//! What a notification, an event of EventBridge, the schedule or a person asks for.

use cloud::events::{InvalidWish, StoredObject, Wish, stored_objects};
use serde::Deserialize;
use serde_json::Value;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Take in files that have arrived.
    Files(Vec<StoredObject>),
    /// Take in one that a person names; whether also if that was done.
    File { file: StoredObject, force: bool },
    /// Say what would come out of it.
    LookAt(StoredObject),
    /// Keep these lines as a file, which is then taken in.
    Keep(String),
    /// Put the files of histories together and forget what is too old.
    Tidy,
    /// Say what would come out of that.
    LookTidy,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wire {
    key: Option<String>,
    dry_run: bool,
    force: bool,
}

impl Wish for Wire {
    const GIVE: &'static str = "an S3 notification, an event of EventBridge whose detail is an event of a datastore, \
     {\"key\": \"datastores/...\"} or {}, with \"dry_run\": true to look only, or \"force\": true to take a file in again";
}

/// Reads an event.
pub(crate) fn read_event(event: &Value) -> Result<Wanted, InvalidWish> {
    if event.get("Records").is_some() || event.get("Event").is_some() {
        return stored_objects(event).map(Wanted::Files).map_err(Wire::invalid);
    }
    let sent = event.get("detail-type").and_then(Value::as_str).is_some_and(|kind| kind != "Scheduled Event");
    if let (true, Some(detail)) = (sent, event.get("detail")) {
        // one event, or several at once; what is wrong with them is said when the file is read, and held then
        let events = detail.as_array().map_or(std::slice::from_ref(detail), Vec::as_slice);
        return Ok(Wanted::Keep(events.iter().map(|event| format!("{event}\n")).collect()));
    }
    let Wire { key, dry_run, force } = Wire::read(event)?;
    let file = key.map(|key| StoredObject { bucket: None, key, version: None });
    Ok(match (file, dry_run) {
        (Some(file), true) => Wanted::LookAt(file),
        (Some(file), false) => Wanted::File { file, force },
        (None, true) => Wanted::LookTidy,
        (None, false) if force => return Err(Wire::invalid("force is for a key")),
        (None, false) => Wanted::Tidy,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn notifications_events_the_schedule_and_a_person() {
        let file = |key: &str| StoredObject { bucket: None, key: key.into(), version: None };
        let is = |event: Value, wanted| assert_eq!(read_event(&event).unwrap(), wanted);
        is(
            json!({"Records": [{"s3": {"bucket": {}, "object": {"key": "datastores/a+b"}}}]}),
            Wanted::Files(vec![file("datastores/a b")]),
        );
        is(json!({"key": "datastores/a"}), Wanted::File { file: file("datastores/a"), force: false });
        let force = Wanted::File { file: file("datastores/a"), force: true };
        is(json!({"key": "datastores/a", "force": true}), force);
        is(json!({"key": "datastores/a", "dry_run": true}), Wanted::LookAt(file("datastores/a")));
        is(json!({"scheduled_time": "2026-11-02T06:00:00Z"}), Wanted::Tidy);
        is(json!({"dry_run": true}), Wanted::LookTidy);
        is(json!({"detail-type": "Scheduled Event", "detail": {}}), Wanted::Tidy);
        let sent = json!({"detail-type": "Datastore Lifecycle", "source": "x", "detail": {"event_id": "e"}});
        is(sent, Wanted::Keep("{\"event_id\":\"e\"}\n".into()));
        is(
            json!({"detail-type": "D", "detail": [{"a": 1}, {"b": 2.5}]}),
            Wanted::Keep("{\"a\":1}\n{\"b\":2.5}\n".into()),
        );
        for misspelt in [json!({"kay": "x"}), json!({"force": true}), json!({"key": 7}), json!([])] {
            assert!(read_event(&misspelt).is_err());
        }
    }
}
