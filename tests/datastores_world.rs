//! Events of datastores as short as a story needs them, and the report of what they come to.

use std::fmt::Write as _;

use billing::usage::{Retention, Window};
use cloud::datastores::{Datastores, Report, ReportFormat};
use futures::TryStreamExt as _;
use serde_json::{Value, json};

use crate::world::{World, now, quick};

/// One line: a time of 2026 without its year and zone, what happened, to which datastore, and more members.
pub(crate) fn line(time: &str, kind: &str, datastore: &str, members: &Value) -> String {
    let mut event = json!({
        "event_id": format!("{datastore} {time} {kind}"), "time": format!("2026-{time}:00Z"), "type": kind,
        "datastore": datastore, "customer_id": "acme",
    });
    event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    event.to_string()
}

/// A datastore with one node that runs from a time on.
pub(crate) fn running(time: &str, datastore: &str) -> Vec<String> {
    let node = json!({"node": "n1", "instance_type": "c4", "volume_type": "ssd", "volume_gib": 100});
    vec![
        line(time, "datastore.created", datastore, &json!({"datastore_type": "galera", "vendor": "mariadb"})),
        line(time, "node.added", datastore, &node),
        line(time, "node.started", datastore, &json!({"node": "n1"})),
    ]
}

pub(crate) fn deleted(time: &str, datastore: &str) -> String {
    line(time, "datastore.deleted", datastore, &json!({}))
}

pub(crate) fn egress(time: &str, datastore: &str, gib: u32) -> String {
    line(time, "network.egress", datastore, &json!({"gib": gib}))
}

/// A cloud without invoices.
pub(crate) async fn platform(follow: bool) -> World {
    World::with(local::sandbox::Organisation::recorded([]), follow, quick()).await
}

impl World {
    /// A file of events arrives.
    pub(crate) async fn events(&self, name: &str, lines: &[String]) {
        let text = lines.iter().fold(String::new(), |mut text, line| {
            writeln!(text, "{line}").unwrap();
            text
        });
        let key = format!("datastores/2026-10/{name}");
        self.bucket.overwrite(&key, text, "application/jsonl").await.unwrap();
    }

    /// The report of some days.
    pub(crate) async fn usage_report(&self, from: &str, to: &str, format: ReportFormat) -> String {
        let day = |text: &str| Some(text.parse().unwrap());
        let window = Window::days(day(from), day(to), now()).unwrap();
        let datastores = Datastores::new(self.bucket.reader().clone());
        let report = Report::new(window, Retention::default(), now(), format);
        let pieces: Vec<_> = report.begin(&datastores).await.unwrap().pieces.try_collect().await.unwrap();
        String::from_utf8(pieces.concat()).unwrap()
    }

    /// That of October.
    pub(crate) async fn october(&self) -> Value {
        serde_json::from_str(&self.usage_report("2026-10-01", "2026-10-31", ReportFormat::Json).await)
            .unwrap()
    }

    /// Hours of October by datastore.
    pub(crate) async fn hours(&self) -> Vec<(String, String)> {
        let report = self.october().await;
        let rows = report["datastores"].as_array().unwrap().iter();
        let hours = |row: &Value| row["instances_types_usage"][0]["hours"].to_string();
        rows.map(|row| (row["datastore"].as_str().unwrap().to_owned(), hours(row))).collect()
    }
}
