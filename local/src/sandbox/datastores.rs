//! A platform's events of datastores: a dozen of them, of four customers, over the month that closes and before.

use std::fmt::Write as _;

use billing::month::BillingMonth;
use serde_json::{Map, Value, json};

/// Files of events, each a key of the data bucket and its lines, in the order in which they arrive.
#[must_use]
pub fn events_of_datastores(closing: BillingMonth) -> Vec<(String, String)> {
    let mut platform = Platform { closing, lines: vec![Vec::new(), Vec::new()] };
    let fleet = [
        ("orders", "acme", "postgres_streaming", "postgresql", 3, "c4.m8", 100),
        ("carts", "acme", "redis_sentinel", "redis", 3, "c2.m4", 20),
        ("search", "acme", "replication", "mariadb", 2, "c2.m4", 50),
        ("ledger", "beacon", "postgres_streaming", "postgresql", 3, "c8.m32", 500),
        ("reports", "beacon", "replication", "mysql", 2, "c4.m8", 250),
        ("crm", "cedar", "galera", "mariadb", 3, "c4.m8", 120),
        ("wiki", "cedar", "replication", "mysql", 1, "c2.m4", 20),
        ("events", "delta", "postgres_streaming", "postgresql", 2, "c4.m8", 200),
    ];
    for (index, (name, customer, kind, vendor, nodes, instance, gib)) in fleet.into_iter().enumerate() {
        let datastore = Datastore { name, customer, instance, gib };
        platform.create(&datastore, -1, 2 + index, kind, vendor, nodes);
        platform.month_of(&datastore, index);
    }
    platform.changes();
    let [before, during] = platform.lines.as_slice() else { return Vec::new() };
    let file = |month: BillingMonth, name: &str, lines: &[String]| {
        (format!("datastores/{month}/{name}.jsonl"), lines.join("\n") + "\n")
    };
    // the last days come again with the next export: each event counts once all the same
    let overlap = during.len() * 2 / 3..;
    vec![
        file(closing.previous(), "platform-1", before),
        file(closing, "platform-1", during),
        file(closing, "platform-2", &during[overlap]),
    ]
}

struct Platform {
    closing: BillingMonth,
    /// Lines of the month before, and of the one that closes.
    lines: Vec<Vec<String>>,
}

struct Datastore {
    name: &'static str,
    customer: &'static str,
    instance: &'static str,
    gib: u32,
}

impl Platform {
    /// Something that happened on a day and an hour of the closing month (0) or of the one before (-1).
    fn tell(&mut self, month: i32, time: (usize, &str), datastore: &Datastore, kind: &str, members: Value) {
        let (of, lines) = if month < 0 { (self.closing.previous(), 0) } else { (self.closing, 1) };
        let (day, clock) = time;
        let mut id = format!("{}-{of}-{day:02}-{clock}-{kind}", datastore.name);
        if let Some(node) = members.get("node").and_then(Value::as_str) {
            let _ = write!(id, "-{node}"); // writing to a text cannot fail
        }
        let mut event = Map::new();
        event.insert("event_id".into(), json!(id));
        event.insert("time".into(), json!(format!("{of}-{day:02}T{clock}Z")));
        event.insert("type".into(), json!(kind));
        event.insert("datastore".into(), json!(datastore.name));
        event.insert("customer_id".into(), json!(datastore.customer));
        event.extend(members.as_object().cloned().unwrap_or_default());
        self.lines[lines].push(Value::Object(event).to_string());
    }

    fn create(
        &mut self,
        datastore: &Datastore,
        month: i32,
        day: usize,
        kind: &str,
        vendor: &str,
        nodes: usize,
    ) {
        let reference = format!("tenant-{}", datastore.customer);
        let about = json!({"datastore_type": kind, "vendor": vendor, "customer_reference": reference});
        self.tell(month, (day, "09:00:00"), datastore, "datastore.created", about);
        for node in 1..=nodes {
            self.add(datastore, month, (day, "09:02:30"), node);
        }
    }

    fn add(&mut self, datastore: &Datastore, month: i32, time: (usize, &str), node: usize) {
        let name = format!("{}-{node}", datastore.name);
        let Datastore { instance, gib, .. } = datastore;
        let added = json!({"node": name, "instance_type": instance, "volume_type": "ssd", "volume_gib": gib, "iops": 3000});
        self.tell(month, time, datastore, "node.added", added);
        self.tell(month, (time.0, "09:05:00"), datastore, "node.started", json!({"node": name}));
    }

    /// Traffic and backups of the closing month.
    fn month_of(&mut self, datastore: &Datastore, index: usize) {
        for day in 1..=usize::try_from(self.closing.days()).unwrap_or(28) {
            let egress = some_gib(datastore.gib, day + index);
            self.tell(0, (day, "23:30:00"), datastore, "network.egress", json!({"gib": egress}));
            self.tell(0, (day, "02:00:00"), datastore, "backup.taken", json!({"gib": datastore.gib / 4}));
            if day > 7 {
                self.tell(
                    0,
                    (day, "02:30:00"),
                    datastore,
                    "backup.removed",
                    json!({"gib": datastore.gib / 4}),
                );
            }
        }
    }

    /// What happened to some of them in the closing month.
    fn changes(&mut self) {
        let of = |name, customer, instance, gib| Datastore { name, customer, instance, gib };
        let orders = of("orders", "acme", "c4.m8", 100);
        for node in 1..=3 {
            let resized = json!({"node": format!("orders-{node}"), "volume_gib": 150});
            self.tell(0, (12, "10:00:00"), &orders, "volume.resized", resized);
        }
        let ledger = of("ledger", "beacon", "c8.m32", 500);
        for node in 1..=3 {
            let name = format!("ledger-{node}");
            let upgraded = json!({"node": name, "instance_type": "c16.m64"});
            self.tell(0, (18, "04:00:00"), &ledger, "node.upgraded", upgraded);
            let faster = json!({"node": name, "volume_type": "nvme", "iops": 16_000});
            self.tell(0, (18, "04:00:00"), &ledger, "volume.type_changed", faster);
        }
        let search = of("search", "acme", "c2.m4", 50);
        self.add(&search, 0, (9, "09:00:00"), 3);
        self.tell(0, (24, "09:00:00"), &search, "node.removed", json!({"node": "search-3"}));
        // a node that breaks, and one that comes up for ten minutes only
        let crm = of("crm", "cedar", "c4.m8", 120);
        let repaired = json!({"node": "crm-2", "replacement": "crm-4"});
        self.tell(0, (15, "16:45:00"), &crm, "node.repaired", repaired);
        let wiki = of("wiki", "cedar", "c2.m4", 20);
        for (day, clock, kind) in [
            (5, "18:00:00", "node.stopped"),
            (6, "12:00:00", "node.started"),
            (6, "12:10:00", "node.stopped"),
            (8, "08:00:00", "node.started"),
        ] {
            self.tell(0, (day, clock), &wiki, kind, json!({"node": "wiki-1"}));
        }
        let trial = of("trial", "delta", "c2.m4", 20);
        self.create(&trial, 0, 10, "replication", "mysql", 1);
        self.tell(0, (20, "17:00:00"), &trial, "datastore.deleted", json!({}));
    }
}

/// Some GiB with two decimals, as text, that differ from day to day.
fn some_gib(gib: u32, day: usize) -> String {
    let hundredths = u64::from(gib) * 2 + u64::try_from(day * 37 % 211).unwrap_or_default();
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use billing::usage::{History, Life, Tolerance, Window, read_lines};

    use super::*;

    #[test]
    fn every_month_of_the_year_is_a_possible_history() {
        for month in 1..=12 {
            let closing = BillingMonth::new(2026, month).unwrap();
            let text: String = events_of_datastores(closing).into_iter().map(|(_, lines)| lines).collect();
            let histories = History::of_each(read_lines(text.as_bytes()).unwrap());
            assert_eq!(histories.len(), 9);
            for history in &histories {
                let life = Life::of(history, closing.end().timestamp_millis(), Tolerance::default()).unwrap();
                let window = Window::days(None, None, closing.end()).unwrap();
                for usage in life.measure(&window) {
                    assert_eq!(usage.warnings, Vec::<String>::new(), "{} in {closing}", life.datastore);
                }
            }
        }
    }
}
