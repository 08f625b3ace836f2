//! The datastores of an invented CCX server, and what they used between two moments. All times are full quarters of an
//! hour, so that every figure is exact.

use billing::month::BillingMonth;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

/// In which words a report speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    Current,
    Legacy,
}

/// A half-open interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
}

#[derive(Clone, Debug)]
pub(super) struct Datastores {
    closing: BillingMonth,
    all: Vec<Datastore>,
    /// Corrections of the closing month so far.
    corrections: u64,
}

#[derive(Clone, Debug)]
struct Datastore {
    id: String,
    customer: String,
    reference: Option<String>,
    kind: &'static str,
    vendor: &'static str,
    life: Life,
    nodes: Vec<Node>,
    /// Thousandths of a GiB sent in each quarter of an hour.
    egress: u64,
    /// GiB of the backup that is taken each day at 3 and removed a week later.
    backup_gib: u64,
}

#[derive(Clone, Copy, Debug)]
struct Life {
    from: DateTime<Utc>,
    to: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug)]
struct Node {
    instance: &'static str,
    volume: &'static str,
    gib: u64,
    iops: u64,
    life: Life,
}

impl Life {
    /// Quarters of an hour of it that lie in a window.
    fn quarters(&self, window: &Window) -> u64 {
        let (from, to) = (self.from.max(window.from), self.to.unwrap_or(window.to).min(window.to));
        u64::try_from((to - from).num_minutes() / 15).unwrap_or(0)
    }

    fn has(&self, moment: DateTime<Utc>) -> bool {
        self.from <= moment && self.to.is_none_or(|to| moment < to)
    }
}

type Hours = (i64, Option<i64>);
/// Instance type, volume type, GiB, IOPS.
type Size = (&'static str, &'static str, u64, u64);

/// What is invented of a datastore: times in hours since the month before the closing one began.
struct Plan {
    customer: u8,
    kind: (&'static str, &'static str),
    hours: Hours,
    /// Each node with its hours; without an end, it ends with the datastore.
    nodes: Vec<(Size, Hours)>,
    egress: u64,
    backup_gib: u64,
}

const POSTGRES: (&str, &str) = ("postgres_streaming", "postgresql");
const MARIADB: (&str, &str) = ("replication", "mariadb");
const GALERA: (&str, &str) = ("galera", "percona");
const REDIS: (&str, &str) = ("redis", "redis");
const SMALL: Size = ("c2.m4", "ssd", 50, 1000);
const MEDIUM: Size = ("c4.m8", "ssd", 100, 3000);
const LARGE: Size = ("c8.m32", "nvme", 500, 12_000);

/// A dozen: steady ones, one that grows, one that is resized, some that come and go, one that never started.
fn plans() -> Vec<Plan> {
    let always = -2_000;
    let nodes = |what, count: usize, from: i64| vec![(what, (from, None)); count];
    let plan = |customer, kind, hours: Hours, nodes, egress, backup_gib| Plan {
        customer,
        kind,
        hours,
        nodes,
        egress,
        backup_gib,
    };
    vec![
        plan(1, POSTGRES, (always, None), nodes(MEDIUM, 3, always), 40, 80),
        plan(1, REDIS, (always, None), nodes(SMALL, 1, always), 5, 0),
        plan(2, GALERA, (always, None), nodes(LARGE, 3, always), 310, 410),
        plan(2, MARIADB, (always, Some(300)), nodes(SMALL, 2, always), 12, 20),
        plan(3, POSTGRES, (200, None), nodes(SMALL, 1, 200), 3, 9),
        // two nodes, and a third in the middle of the closing month
        plan(3, MARIADB, (100, None), [nodes(MEDIUM, 2, 100), nodes(MEDIUM, 1, 1_100)].concat(), 25, 61),
        // the volume is resized from 100 to 200 GiB
        plan(
            4,
            POSTGRES,
            (always, None),
            vec![(MEDIUM, (always, Some(1_000))), (("c4.m8", "ssd", 200, 3000), (1_000, None))],
            17,
            75,
        ),
        plan(4, REDIS, (900, Some(1_000)), nodes(SMALL, 1, 900), 1, 0),
        // born and gone within an afternoon
        plan(5, POSTGRES, (1_210, Some(1_214)), nodes(SMALL, 3, 1_210), 0, 0),
        plan(5, GALERA, (1_300, None), nodes(LARGE, 3, 1_300), 90, 120),
        plan(6, MARIADB, (always, Some(1_250)), nodes(MEDIUM, 1, always), 8, 33),
        plan(6, POSTGRES, (1_400, None), Vec::new(), 0, 0),
    ]
}

impl Datastores {
    pub(super) fn example(closing: BillingMonth) -> Self {
        let begin = closing.previous().start();
        let life = |(from, to): Hours, end: Option<i64>| Life {
            from: begin + Duration::hours(from),
            to: to.or(end).map(|to| begin + Duration::hours(to)),
        };
        let datastore = |(index, plan): (usize, Plan)| Datastore {
            id: format!("{:08x}-5a1d-4c3e-9b7f-{:012x}", 0x3f9a_1c20 + index * 7_919, index * 104_729 + 1),
            customer: format!("c-{:03}", plan.customer),
            reference: (plan.customer % 2 == 1).then(|| format!("tenant-{}", plan.customer)),
            kind: plan.kind.0,
            vendor: plan.kind.1,
            life: life(plan.hours, None),
            nodes: plan
                .nodes
                .iter()
                .map(|&((instance, volume, gib, iops), hours)| Node {
                    instance,
                    volume,
                    gib,
                    iops,
                    life: life(hours, plan.hours.1),
                })
                .collect(),
            egress: plan.egress,
            backup_gib: plan.backup_gib,
        };
        let all = plans().into_iter().enumerate().map(datastore).collect();
        Self { closing, all, corrections: 0 }
    }

    pub(super) fn closing(&self) -> BillingMonth {
        self.closing
    }

    pub(super) fn amend(&mut self) {
        self.corrections += 1;
    }

    /// The report, in the words of one spelling.
    pub(super) fn report(&self, window: &Window, spelling: Spelling) -> Value {
        let listed = self.all.iter().filter(|datastore| {
            datastore.life.from < window.to && datastore.life.to.is_none_or(|to| to >= window.from)
        });
        let (mut datastores, mut egress) = (Vec::new(), 0);
        for (index, datastore) in listed.enumerate() {
            // what becomes known later is of the first
            let is_corrected = index == 0 && window.from == self.closing.start();
            let correction = if is_corrected { self.corrections * 1_500 } else { 0 };
            let sent = datastore.life.quarters(window) * datastore.egress + correction;
            egress += sent;
            datastores.push(datastore.entry(window, spelling, sent));
        }
        let mut report = json!({"datastores": datastores, "from": time(window.from), "to": time(window.to)});
        if spelling == Spelling::Legacy {
            report["network_egress_usage_gib"] = decimal(egress, 1_000);
        }
        report
    }
}

impl Datastore {
    fn entry(&self, window: &Window, spelling: Spelling, sent: u64) -> Value {
        let last = window.to - Duration::minutes(15);
        let instance = |node: &Node| {
            let quarters = node.life.quarters(window);
            (quarters > 0).then(|| json!({"instances_type": node.instance, "hours": decimal(quarters, 4)}))
        };
        let deleted_at = self.life.to.filter(|to| *to < window.to).map(time);
        let mut entry = json!({
            "datastore": self.id,
            "deleted_at": deleted_at,
            "customer_id": self.customer,
            "type": self.kind,
            "nodes_count": self.nodes.iter().filter(|node| node.life.has(last)).count(),
            "vendor": self.vendor,
            "instances_types_usage": self.nodes.iter().filter_map(instance).collect::<Vec<_>>(),
            "volumes_types_usage": self.volumes(window, spelling),
        });
        if spelling == Spelling::Current {
            entry["created_at"] = json!(time(self.life.from));
            if let Some(reference) = &self.reference {
                entry["customer_reference"] = json!(reference);
            }
            entry["network_egress_usage_gib"] = decimal(sent, 1_000);
            entry["backups"] = self.backups(window);
        }
        entry
    }

    /// All nodes of a datastore have volumes of one type.
    fn volumes(&self, window: &Window, spelling: Spelling) -> Vec<Value> {
        let quarters = |node: &Node| node.life.quarters(window);
        let total: u64 = self.nodes.iter().map(quarters).sum();
        let (Some(node), true) = (self.nodes.last(), total > 0) else { return Vec::new() };
        let gib: u64 = self.nodes.iter().map(|node| quarters(node) * node.gib).sum();
        let iops: u64 = self.nodes.iter().map(|node| quarters(node) * node.iops).sum();
        let mut volume = json!({
            "volume_type": node.volume,
            "gib_per_hours": decimal(gib, 4),
            // rounded half up, to 4 decimals, as servers do
            "average_gib": decimal((gib * 20_000 / total).div_ceil(2), 10_000),
        });
        if spelling == Spelling::Current {
            volume["iops"] = json!(node.iops);
            volume["iops_per_hour"] = decimal(iops, 4);
        }
        vec![volume]
    }

    fn backups(&self, window: &Window) -> Value {
        let days = (window.to - window.from).num_days();
        let at_3 = (0..days).map(|day| window.from + Duration::days(day) + Duration::hours(3));
        let taken = |moment: &DateTime<Utc>| self.backup_gib > 0 && self.life.has(*moment);
        let removed =
            |moment: &DateTime<Utc>| taken(&(*moment - Duration::days(7))) && self.life.has(*moment);
        let taken = at_3.clone().filter(taken).count() as u64;
        let removed = at_3.filter(removed).count() as u64;
        json!({
            "taken": taken,
            "taken_size_gib": taken * self.backup_gib,
            "removed": removed,
            "removed_size_gib": removed * self.backup_gib,
        })
    }
}

fn time(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// So many parts of a whole that has `parts` of them (4 or a power of ten), as a JSON number with all its digits.
fn decimal(count: u64, parts: u64) -> Value {
    let (whole, rest) = (count / parts, count % parts);
    let (rest, digits) = match parts {
        4 => (rest * 25, 2),
        10_000 => (rest, 4),
        _ => (rest, 3),
    };
    let text = format!("{whole}.{rest:0digits$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    serde_json::from_str(text).unwrap_or_default() // digits are a number
}
