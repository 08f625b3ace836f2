//! What holds of every history and every window.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::tests::{about, added, created, history, line, lines, now};
use super::*;

const HOUR_MS: i128 = 3_600_000;
const JUNE: i64 = 30 * 24 * 60;

/// Lives of two nodes in June 2025, possible and impossible ones, to the minute.
fn lives() -> impl Strategy<Value = Vec<String>> {
    let minute = 0u32..30 * 24 * 60;
    let node = prop_oneof![Just("n1"), Just("n2")];
    let kinds = prop::sample::select(vec![
        "node.added",
        "node.started",
        "node.started",
        "node.stopped",
        "node.removed",
        "node.upgraded",
        "node.repaired",
        "volume.resized",
        "volume.type_changed",
        "network.egress",
        "backup.taken",
        "datastore.deleted",
    ]);
    let event = (minute, kinds, node, 1u32..500).prop_map(|(minute, kind, node, size)| {
        let time = format!("2025-06-{:02}T{:02}:{:02}:00Z", minute / 1440 + 1, minute / 60 % 24, minute % 60);
        let other = if node == "n1" { "n2" } else { "n1" };
        let members = json!({
            "node": node, "replacement": other, "instance_type": format!("t{}", size % 3), "volume_type": format!("v{}", size % 2),
            "volume_gib": size, "iops": size * 10, "gib": size, "customer_id": if size % 7 == 0 { "other" } else { "c" },
        });
        line(&time, kind, &members)
    });
    prop::collection::vec(event, 0..25)
        .prop_map(|events| lines(&[&[created("2025-06-01T00:00:00Z")], &events]))
}

/// The exact sums between two minutes of June, by name.
fn sums(life: &str, from_minute: i64, to_minute: i64) -> BTreeMap<String, i128> {
    let history = History::read(life.as_bytes()).unwrap();
    let life = Life::of(&history, now().timestamp_millis(), Tolerance::default()).unwrap();
    let june = "2025-06-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap().timestamp_millis();
    let window = Window::between(june + from_minute * 60_000, june + to_minute * 60_000);
    let mut sums = BTreeMap::new();
    for usage in life.measure(&window) {
        let mut add = |name: String, sum: i128| {
            if sum != 0 {
                *sums.entry(format!("{name} of {}", usage.customer_id)).or_insert(0) += sum;
            }
        };
        for instance in &usage.instances {
            add(format!("hours {}", instance.instance_type), instance.ms);
        }
        for volume in &usage.volumes {
            add(format!("life {}", volume.volume_type), volume.ms);
            add(format!("gib {}", volume.volume_type), volume.nano_gib_ms);
            add(format!("iops {}", volume.volume_type), volume.iops_ms);
        }
        add("egress".into(), usage.egress_nano_gib);
        add("taken".into(), usage.backups.taken.into());
    }
    sums
}

/// What a platform does with a node, from one hour to the next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Restart,
    Pause,
    Upgrade,
    Resize,
    Replace,
    Repair,
    Egress,
    Transfer,
}

/// The possible life of a node in July 2025, in milliseconds since it begins: what happens at once is up to three seconds apart.
fn possible() -> impl Strategy<Value = Vec<(i64, String, Value)>> {
    use Step::{Egress, Pause, Repair, Replace, Resize, Restart, Transfer, Upgrade};
    let step = prop::sample::select(vec![Restart, Pause, Upgrade, Resize, Replace, Repair, Egress, Transfer]);
    prop::collection::vec((step, 2i64..40, [0i64..3_000, 0i64..3_000, 0i64..3_000]), 0..14).prop_map(|steps| {
        let (mut ms, mut node, mut customer) = (60_000, 0, 0);
        let mut events = vec![(0, "datastore.created".to_owned(), json!({"datastore_type": "x", "vendor": "y"}))];
        let machine = |node: i32| json!({"node": format!("n{node}"), "instance_type": "t0", "volume_type": "v", "volume_gib": 100});
        events.push((ms, "node.added".into(), machine(node)));
        events.push((ms + 10, "node.started".into(), json!({"node": "n0"})));
        for (number, (step, hours, gaps)) in (1..).zip(steps) {
            ms += hours * 3_600_000;
            let name = json!({"node": format!("n{node}")});
            let mut then = |gap: i64, kind: &str, members: Value| {
                ms += gap;
                events.push((ms, kind.to_owned(), members));
            };
            match step {
                Step::Restart => {
                    then(0, "node.stopped", name.clone());
                    then(gaps[0], "node.started", name);
                }
                Step::Pause => {
                    then(0, "node.stopped", name.clone());
                    then(7_200_000, "node.started", name);
                }
                Step::Upgrade => then(0, "node.upgraded", json!({"node": format!("n{node}"), "instance_type": format!("t{number}")})),
                Step::Resize => then(0, "volume.resized", json!({"node": format!("n{node}"), "volume_gib": 100 + number})),
                Step::Replace => {
                    then(0, "node.removed", name.clone());
                    then(gaps[0], "node.added", machine(node));
                    then(gaps[1], "node.started", name);
                }
                Step::Repair => {
                    let replacement = json!({"node": format!("n{node}"), "replacement": format!("n{}", node + 1)});
                    then(0, "node.stopped", name);
                    then(gaps[0], "node.repaired", replacement);
                    node += 1;
                    then(gaps[1], "node.started", json!({"node": format!("n{node}")}));
                }
                Step::Egress => then(0, "network.egress", json!({"gib": number, "customer_id": customer.to_string()})),
                Step::Transfer => {
                    customer += 1;
                    then(0, "datastore.transferred", json!({}));
                }
            }
            for (_, _, members) in events.iter_mut().filter(|(_, _, members)| members.get("customer_id").is_none()) {
                members["customer_id"] = json!(customer.to_string());
            }
        }
        for (_, _, members) in events.iter_mut().filter(|(_, _, members)| members.get("customer_id").is_none()) {
            members["customer_id"] = json!("0");
        }
        events
    })
}

/// The lines of such a life, each told so many milliseconds late.
fn told(events: &[(i64, String, Value)], late_ms: &[i64]) -> Vec<String> {
    let begin: DateTime<Utc> = "2025-07-01T00:00:00Z".parse().unwrap();
    let line = |(number, ((ms, kind, members), late_ms)): (usize, (&(i64, String, Value), &i64))| {
        let time = (begin + chrono::TimeDelta::milliseconds(ms + late_ms)).to_rfc3339();
        let mut event = json!({"event_id": number.to_string(), "time": time, "type": kind, "datastore": "d"});
        event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        event.to_string()
    };
    events.iter().zip(late_ms).enumerate().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_told_late_within_the_tolerance_costs_no_more_than_that(
        events in possible(), late_ms in prop::collection::vec(0i64..2_000, 64), order in any::<prop::sample::Index>(),
    ) {
        let exact = told(&events, &[0; 64]);
        let mut jittered = told(&events, &late_ms);
        let expected = sums(&history(&exact), 30 * 1440, 90 * 1440);
        let rotation = order.index(jittered.len());
        jittered.rotate_left(rotation);
        let found = sums(&history(&jittered), 30 * 1440, 90 * 1440);
        // each event moves what begins or ends with it by two seconds at most
        let slack = i128::try_from(events.len()).unwrap() * 2_000;
        let names: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
        for name in names {
            let [expected, found] = [&expected, &found].map(|sums| sums.get(name).copied().unwrap_or_default());
            let unit = match name.split(' ').next() {
                Some("hours" | "life") => 1,
                Some("gib") => 200 * 1_000_000_000,
                _ => 0,
            };
            prop_assert!((expected - found).abs() <= slack * unit, "{name}: {expected} and {found} of\n{}", jittered.join("\n"));
        }
    }
}

proptest! {
    #[test]
    fn the_order_and_the_repetition_of_events_do_not_matter(life in lives(), order in prop::collection::vec(any::<Index>(), 1..40)) {
        let once = history(&life);
        let mut again = life.clone();
        again.extend(order.iter().map(|index| index.get(&life).clone()));
        again.reverse();
        prop_assert_eq!(&history(&again), &once);
        // nor does it matter in which files they came
        let (left, right) = again.split_at(order[0].index(again.len()));
        let read = |lines: &[String]| lines.join("\n");
        let (left, right) = (read(left), read(right));
        let parts = [&left, &right].into_iter().flat_map(|file| History::of_each(read_lines(file.as_bytes()).unwrap()));
        let mut united = Vec::new();
        History::union(parts).unwrap().write(&mut united).unwrap();
        prop_assert_eq!(String::from_utf8(united).unwrap(), once);
    }

    #[test]
    fn windows_that_touch_add_up(life in lives(), mut cuts in prop::collection::vec(0i64..JUNE, 0..5)) {
        let life = history(&life);
        cuts.extend([0, JUNE]);
        cuts.sort_unstable();
        let mut added = BTreeMap::new();
        for window in cuts.windows(2).filter(|window| window[0] < window[1]) {
            for (name, sum) in sums(&life, window[0], window[1]) {
                *added.entry(name).or_insert(0) += sum;
            }
        }
        prop_assert_eq!(added, sums(&life, 0, JUNE));
    }

    #[test]
    fn a_month_is_the_sum_of_its_days(life in lives()) {
        let life = history(&life);
        let mut added = BTreeMap::new();
        for day in 0..30 {
            for (name, sum) in sums(&life, day * 1440, (day + 1) * 1440) {
                *added.entry(name).or_insert(0) += sum;
            }
        }
        prop_assert_eq!(added, sums(&life, 0, JUNE));
    }

    #[test]
    fn short_intervals_count_nothing_wherever_the_window_cuts(
        starts in prop::collection::btree_set(0i64..JUNE / 20, 1..10),
        minutes in 1i64..30,
        cut in 1i64..JUNE,
    ) {
        // intervals of one length, at least 20 minutes apart where they are shorter than that
        let time = |minute: i64| format!("2025-06-{:02}T{:02}:{:02}:00Z", minute / 1440 + 1, minute / 60 % 24, minute % 60);
        let length = minutes.min(19);
        let mut life = vec![created("2025-06-01T00:00:00Z"), added("2025-06-01T00:00:00Z", "n1")];
        for start in &starts {
            life.push(about(&time(start * 20), "node.started", "n1"));
            life.push(about(&time(start * 20 + length), "node.stopped", "n1"));
        }
        let life = history(&life);
        let ran = |from, to| sums(&life, from, to).get("hours c2.m4 of c").copied().unwrap_or_default();
        let expected = |from: i64, to: i64| -> i128 {
            let inside = |start: &i64| ((start * 20 + length).min(to) - (start * 20).max(from)).max(0);
            if length < 15 { 0 } else { starts.iter().map(inside).map(i128::from).sum::<i128>() * 60_000 }
        };
        prop_assert_eq!(ran(0, cut), expected(0, cut));
        prop_assert_eq!(ran(cut, JUNE), expected(cut, JUNE));
    }

    #[test]
    fn nothing_is_counted_beyond_the_time_that_there_was(life in lives()) {
        let life = history(&life);
        let sums = sums(&life, 0, JUNE);
        let hours: i128 = sums.iter().filter(|(name, _)| name.starts_with("hours")).map(|(_, ms)| ms).sum();
        prop_assert!(hours <= 2 * 720 * HOUR_MS, "two nodes cannot run {hours} ms in June");
        for (name, ms) in sums.iter().filter(|(name, _)| name.starts_with("life")) {
            prop_assert!(*ms <= 2 * 720 * HOUR_MS, "{name} {ms}");
        }
    }

    #[test]
    fn no_line_is_too_strange(line in "\\PC*", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_lines(line.as_bytes());
        let _ = read_lines(&bytes);
        let _ = History::read(&bytes);
        let _ = History::datastore_of(&bytes);
        let stored = History::new(Cow::Borrowed(&line), Vec::new());
        prop_assert_eq!(stored.datastore(), line.as_str());
    }
}
