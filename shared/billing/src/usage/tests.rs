//! What a datastore is charged for, told as its life.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::*;

pub(super) fn now() -> DateTime<Utc> {
    "2025-09-15T12:00:00Z".parse().unwrap()
}

/// A line of the datastore `d`; the id is made of the time and the rest, so that no two are alike.
pub(super) fn line(time: &str, kind: &str, members: &Value) -> String {
    let mut event = json!({
        "event_id": format!("{time} {kind} {members}"), "time": time, "type": kind,
        "datastore": "d", "customer_id": "c",
    });
    event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    event.to_string()
}

pub(super) fn created(time: &str) -> String {
    line(time, "datastore.created", &json!({"datastore_type": "replication", "vendor": "mariadb"}))
}

pub(super) fn added(time: &str, node: &str) -> String {
    let members = json!({"node": node, "instance_type": "c2.m4", "volume_type": "ssd", "volume_gib": 100});
    line(time, "node.added", &members)
}

pub(super) fn about(time: &str, kind: &str, node: &str) -> String {
    line(time, kind, &json!({"node": node}))
}

/// A node that is added and started at once.
fn running(time: &str, node: &str) -> [String; 2] {
    [added(time, node), about(time, "node.started", node)]
}

pub(super) fn history(lines: &[String]) -> String {
    let file = lines.join("\n");
    let events = read_lines(file.as_bytes()).unwrap();
    let histories = History::of_each(events);
    assert_eq!(histories.len(), 1);
    let mut line = Vec::new();
    histories[0].write(&mut line).unwrap();
    String::from_utf8(line).unwrap()
}

/// The rows of the report from the first to the last day, one for each customer; none if the datastore is not listed.
fn rows(lines: &[String], first: &str, last: &str) -> Vec<Value> {
    let day = |text| Some(Window::day("from", text).unwrap());
    let window = Window::days(day(first), day(last), now()).unwrap();
    let line = history(lines);
    let history = History::read(line.as_bytes()).unwrap();
    let Some(life) = Life::of(&history, window.now_ms(), Tolerance::default()) else { return Vec::new() };
    if !life.is_listed(&window, Retention::default().cutoff_ms(now())) {
        return Vec::new();
    }
    let row = |usage: &DatastoreUsage<'_>| {
        let mut row = Vec::new();
        json_row(usage, &mut row).unwrap();
        serde_json::from_slice(&row).unwrap()
    };
    life.measure(&window).iter().map(row).collect()
}

/// The only row of one that had one customer, or nothing if the datastore is not listed.
fn report(lines: &[String], first: &str, last: &str) -> Option<Value> {
    let mut rows = rows(lines, first, last);
    assert!(rows.len() < 2, "{rows:?}");
    rows.pop()
}

pub(super) fn lines(parts: &[&[String]]) -> Vec<String> {
    parts.concat()
}

#[test]
fn three_nodes_for_a_month_and_an_upgrade_in_the_middle() {
    let start = "2025-06-01T00:00:00Z";
    let reference = json!({"node": "n1", "instance_type": "c4.m8", "customer_reference": "tenant-a"});
    let life = lines(&[
        &[created("2025-03-11T10:00:00Z")],
        &running("2025-03-11T10:00:00Z", "n1"),
        &running("2025-03-11T10:00:00Z", "n2"),
        &running("2025-03-11T10:05:00Z", "n3"),
        &[line("2025-06-16T06:00:00Z", "node.upgraded", &reference)],
        &[line(
            "2025-06-10T00:00:00Z",
            "volume.type_changed",
            &json!({"node": "n2", "volume_type": "nvme", "iops": 3000}),
        )],
        &[line("2025-06-20T00:00:00Z", "volume.resized", &json!({"node": "n3", "volume_gib": "150.5"}))],
        &[line("2025-06-02T00:00:00Z", "network.egress", &json!({"gib": 12.25}))],
        &[line("2025-06-30T23:59:59.999Z", "network.egress", &json!({"gib": 0.25}))],
        &[line("2025-07-01T00:00:00Z", "network.egress", &json!({"gib": 1000}))],
        &[line(start, "backup.taken", &json!({"gib": 10}))],
        &[line("2025-06-08T00:00:00Z", "backup.removed", &json!({"gib": 9.5}))],
    ]);
    let row = report(&life, "2025-06-01", "2025-06-30").unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&row).unwrap());
}

#[test]
fn the_deleted_are_listed_until_their_last_day_and_on_it() {
    let life = lines(&[
        &[created("2025-06-10T08:00:00Z")],
        &running("2025-06-10T08:00:00Z", "n1"),
        &[line("2025-06-20T00:00:00Z", "datastore.deleted", &json!({}))],
    ]);
    let hours = |first, last| {
        report(&life, first, last).map(|row| row["instances_types_usage"][0]["hours"].to_string())
    };
    assert_eq!(hours("2025-06-01", "2025-06-30").unwrap(), "232");
    assert_eq!(hours("2025-06-19", "2025-06-19").unwrap(), "24");
    // deleted at the first instant of the window: listed, nothing used
    let row = report(&life, "2025-06-20", "2025-06-30").unwrap();
    assert_eq!((&row["instances_types_usage"], &row["nodes_count"]), (&json!([]), &json!(1)));
    assert_eq!(report(&life, "2025-06-21", "2025-06-30"), None);
    assert_eq!(report(&life, "2025-06-01", "2025-06-09"), None);
    assert_eq!(report(&life, "2025-06-10", "2025-06-10").unwrap()["deleted_at"], "2025-06-20T00:00:00Z");
}

#[test]
fn the_forgotten_are_not_reported() {
    let deleted = |time| {
        let life = [created("2024-01-01T00:00:00Z"), line(time, "datastore.deleted", &json!({}))];
        report(&life, "2024-01-01", "2025-09-14")
    };
    assert!(deleted("2025-03-15T00:00:00Z").is_some());
    assert!(deleted("2025-03-14T23:59:59.999Z").is_none());
}

/// Hours of June 2025 of one node of type c2.m4.
fn june(life: &[&[String]]) -> Value {
    let row = report(&lines(life), "2025-06-01", "2025-06-30").unwrap();
    json!({"hours": row["instances_types_usage"], "warnings": row["warnings"]})
}

fn ran(hours: Value) -> Value {
    json!([{"instances_type": "c2.m4", "hours": hours}])
}

#[test]
fn fifteen_minutes_are_judged_on_the_whole_interval() {
    let start = [created("2025-05-01T00:00:00Z"), added("2025-05-01T00:00:00Z", "n1")];
    let on = |from, to| [about(from, "node.started", "n1"), about(to, "node.stopped", "n1")];
    let short = on("2025-06-10T00:00:00Z", "2025-06-10T00:14:59.999Z");
    assert_eq!(june(&[&start, &short])["hours"], json!([]));
    let long = on("2025-06-10T00:00:00Z", "2025-06-10T00:15:00Z");
    assert_eq!(june(&[&start, &long])["hours"], ran(json!(0.25)));
    // 20 minutes of which one lies in the window; 10 minutes of which one lies in it
    assert_eq!(
        june(&[&start, &on("2025-05-31T23:41:00Z", "2025-06-01T00:01:00Z")])["hours"],
        ran(json!(0.0167))
    );
    assert_eq!(june(&[&start, &on("2025-05-31T23:51:00Z", "2025-06-01T00:01:00Z")])["hours"], json!([]));
    // an upgrade does not begin another interval
    let upgraded =
        line("2025-06-10T00:10:00Z", "node.upgraded", &json!({"node": "n1", "instance_type": "x"}));
    let both = june(&[&start, &on("2025-06-10T00:00:00Z", "2025-06-10T00:18:00Z"), &[upgraded]]);
    assert_eq!(
        both["hours"],
        json!([{"instances_type": "c2.m4", "hours": 0.1667}, {"instances_type": "x", "hours": 0.1333}])
    );
    // nor does a repair, whose machine goes on in its place
    let repaired = line("2025-06-10T00:10:00Z", "node.repaired", &json!({"node": "n1", "replacement": "n9"}));
    let stopped = about("2025-06-10T00:18:00Z", "node.stopped", "n9");
    let begun = about("2025-06-10T00:00:00Z", "node.started", "n1");
    assert_eq!(june(&[&start, &[begun, repaired, stopped]])["hours"], ran(json!(0.3)));
}

#[test]
fn what_still_runs_counts_until_now() {
    let life = lines(&[&[created("2025-09-15T11:00:00Z")], &running("2025-09-15T11:00:00Z", "n1")]);
    let row = report(&life, "2025-09-15", "2025-12-31").unwrap();
    assert_eq!(row["instances_types_usage"], ran(json!(1)));
    let young = lines(&[&[created("2025-09-15T11:50:00Z")], &running("2025-09-15T11:50:00Z", "n1")]);
    assert_eq!(report(&young, "2025-09-15", "2025-09-15").unwrap()["instances_types_usage"], json!([]));
    assert_eq!(report(&[created("2025-09-15T12:00:01Z")], "2025-09-15", "2025-09-15"), None);
}

#[test]
fn resized_and_retyped_at_one_instant() {
    let at = "2025-06-16T00:00:00Z";
    let life = lines(&[
        &[created("2025-06-01T00:00:00Z"), added("2025-06-01T00:00:00Z", "n1")],
        &[line(at, "volume.type_changed", &json!({"node": "n1", "volume_type": "nvme", "iops": 10}))],
        &[line(at, "volume.resized", &json!({"node": "n1", "volume_gib": 200}))],
    ]);
    let row = report(&life, "2025-06-01", "2025-06-30").unwrap();
    assert_eq!(
        row["volumes_types_usage"],
        json!([
            {"volume_type": "nvme", "average_gib": 200, "gib_per_hours": 72000, "iops": 10, "iops_per_hour": 3600},
            {"volume_type": "ssd", "average_gib": 100, "gib_per_hours": 36000, "iops": 0, "iops_per_hour": 0},
        ])
    );
}

#[test]
fn restarted_at_one_instant() {
    let start = [created("2025-06-01T00:00:00Z"), added("2025-06-01T00:00:00Z", "n1")];
    let at = |time, kind| about(time, kind, "n1");
    let restart = [at("2025-06-02T00:00:00Z", "node.stopped"), at("2025-06-02T00:00:00Z", "node.started")];
    let ran_on = june(&[&start, &[at("2025-06-01T00:00:00Z", "node.started")], &restart]);
    assert_eq!(ran_on, json!({"hours": ran(json!(720)), "warnings": null}));
    let stayed_off = june(&[&start, &restart]);
    assert_eq!(stayed_off, json!({"hours": [], "warnings": null}));
}

/// Platforms tell whole seconds: much may happen at one instant, in any order.
#[test]
fn several_things_at_one_instant() {
    let at = "2025-06-02T00:00:00Z";
    let start = [
        created("2025-06-01T00:00:00Z"),
        added("2025-06-01T00:00:00Z", "n1"),
        added("2025-06-01T00:00:00Z", "n2"),
    ];
    // two nodes that were off are restarted, or are told to be
    let restart = |node: &str| [about(at, "node.stopped", node), about(at, "node.started", node)];
    let stayed_off = june(&[&start, &restart("n1"), &restart("n2")]);
    assert_eq!(stayed_off, json!({"hours": [], "warnings": null}));
    // a machine takes over a stopped node and is started
    let repaired = line(at, "node.repaired", &json!({"node": "n1", "replacement": "n9"}));
    let repaired = june(&[&start, &[repaired, about(at, "node.started", "n9")]]);
    assert_eq!(repaired, json!({"hours": ran(json!(696)), "warnings": null}));
    // a node is replaced by one of the same name
    let replaced = [about(at, "node.removed", "n1"), added(at, "n1"), about(at, "node.started", "n1")];
    let replaced = june(&[&start, &[about("2025-06-01T00:00:00Z", "node.started", "n1")], &replaced]);
    assert_eq!(replaced, json!({"hours": ran(json!(720)), "warnings": null}));
}

#[test]
fn a_removal_told_twice_does_not_block_the_nodes_name() {
    let start = [created("2025-06-01T00:00:00Z"), added("2025-06-01T00:00:00Z", "n1")];
    let removed = [
        about("2025-06-02T00:00:00Z", "node.removed", "n1"),
        about("2025-06-02T00:00:01Z", "node.removed", "n1"),
    ];
    let june = june(&[&start, &removed, &running("2025-06-30T00:00:00Z", "n1")]);
    assert_eq!(june["hours"], ran(json!(24)));
    assert!(june["warnings"][0].as_str().unwrap().ends_with("removes a node that is gone already; ignored"));
}

#[test]
fn what_is_forgotten_is_what_life_ended() {
    let day = |text: &str| text.parse::<DateTime<Utc>>().unwrap().timestamp_millis();
    let ended = |lines: &[String]| {
        let line = history(lines);
        let history = History::read(line.as_bytes()).unwrap();
        (
            history.ended_before(day("2025-03-15T00:00:00Z"), now().timestamp_millis()),
            history.forgotten().events().len(),
        )
    };
    let gone = line("2025-03-14T00:00:00Z", "datastore.deleted", &json!({}));
    assert_eq!(ended(&[created("2025-01-01T00:00:00Z"), gone.clone()]), (true, 1));
    // dated before the creation: the life ends where it begins
    assert_eq!(ended(&[created("2025-06-01T00:00:00Z"), gone.clone()]), (false, 1));
    // with the id of an earlier event: ignored, so it lives
    let id = |line: &str| line.replace("2025-03-14T00:00:00Z datastore.deleted {}", "x");
    let mut first: Value = serde_json::from_str(&created("2025-01-01T00:00:00Z")).unwrap();
    first["event_id"] = json!("x");
    assert_eq!(ended(&[first.to_string(), id(&gone)]), (false, 1));
}

#[test]
fn impossible_histories_are_told_and_charge_nothing_unproven() {
    let start = [created("2025-06-01T00:00:00Z")];
    let at = |time, kind| about(time, kind, "n1");
    let gone = line("2025-06-03T00:00:00Z", "datastore.deleted", &json!({}));
    let cases: [(&str, Vec<String>, Value); 8] = [
        (
            "stop without start",
            vec![added("2025-06-01T00:00:00Z", "n1"), at("2025-06-02T00:00:00Z", "node.stopped")],
            json!([]),
        ),
        (
            "removed before added",
            lines(&[&[at("2025-06-02T00:00:00Z", "node.removed")], &running("2025-06-03T00:00:00Z", "n1")]),
            json!([]),
        ),
        (
            "started twice",
            lines(&[&running("2025-06-30T00:00:00Z", "n1"), &[at("2025-06-30T12:00:00Z", "node.started")]]),
            ran(json!(24)),
        ),
        (
            "added twice",
            lines(&[&running("2025-06-30T00:00:00Z", "n1"), &[added("2025-06-30T12:00:00Z", "n1")]]),
            ran(json!(24)),
        ),
        (
            "started after the deletion",
            lines(&[std::slice::from_ref(&gone), &running("2025-06-04T00:00:00Z", "n1")]),
            json!([]),
        ),
        ("before the creation", running("2025-05-30T00:00:00Z", "n1").to_vec(), ran(json!(720))),
        ("never added", vec![at("2025-06-02T00:00:00Z", "node.started")], json!([])),
        ("missing stop", lines(&[&running("2025-06-02T00:00:00Z", "n1"), &[gone]]), ran(json!(24))),
    ];
    let mut told = Vec::new();
    for (story, life, hours) in cases {
        let june = june(&[&start, &life]);
        assert_eq!(june["hours"], hours, "{story}");
        told.push(json!({story: june["warnings"]}));
    }
    let unknown = june(&[&running("2025-06-30T00:00:00Z", "n1")]);
    assert_eq!(unknown["hours"], ran(json!(24)));
    told.push(json!({"no creation": unknown["warnings"]}));
    insta::assert_json_snapshot!(told);
}

#[test]
fn the_same_id_with_other_content_counts_once() {
    let start = lines(&[&[created("2025-06-01T00:00:00Z")], &running("2025-06-01T00:00:00Z", "n1")]);
    let egress = |gib: u32| {
        json!({"event_id": "e1", "time": "2025-06-02T00:00:00Z", "type": "network.egress", "datastore": "d", "customer_id": "c", "gib": gib})
            .to_string()
    };
    let row = report(&lines(&[&start, &[egress(7), egress(5)]]), "2025-06-01", "2025-06-30").unwrap();
    assert_eq!(row["network_egress_usage_gib"], json!(5));
    assert_eq!(
        row["warnings"],
        json!([
            "2025-06-02T00:00:00Z network.egress (e1) has the id of an earlier event with other content; ignored: it would have counted 7 GiB in these days"
        ])
    );
}

#[test]
fn rows_of_the_csv() {
    let life = lines(&[
        &[created("2025-06-10T08:00:00+02:00")],
        &running("2025-06-10T08:00:00Z", "n1"),
        &[about("2025-06-11T08:00:00Z", "node.stopped", "n2")],
        &[line("2025-06-12T00:00:00Z", "network.egress", &json!({"gib": 3}))],
    ]);
    let empty = line(
        "2025-06-01T00:00:00Z",
        "datastore.created",
        &json!({"datastore": "=d2", "datastore_type": "x", "vendor": "y"}),
    );
    let window = Window::days(None, Some("2025-06-30".parse().unwrap()), now()).unwrap();
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(CSV_COLUMNS).unwrap();
    let file = lines(&[&life, &[empty]]).join("\n");
    for history in History::of_each(read_lines(file.as_bytes()).unwrap()) {
        let life = Life::of(&history, window.now_ms(), Tolerance::default()).unwrap();
        life.measure(&window).iter().for_each(|usage| csv_rows(usage, &mut csv).unwrap());
    }
    insta::assert_snapshot!(String::from_utf8(csv.into_inner().unwrap()).unwrap());
}

#[test]
fn bad_lines_are_named() {
    let good = created("2025-06-01T00:00:00Z");
    let mut event: Value = serde_json::from_str(&added("2025-06-01T00:00:00Z", "n1")).unwrap();
    let mut with = |member: &str, value: Value| {
        let before = std::mem::replace(&mut event[member], value);
        let line = event.to_string();
        event[member] = before;
        line
    };
    let file = [
        good.clone(),
        "{\"event_id\": \"e".into(),
        "[1, 2]".into(),
        with("type", json!("node.exploded")),
        with("time", json!("yesterday")),
        with("volume_gib", json!(-5)),
        with("volume_gib", json!("NaN")),
        with("iops", json!(1.5)),
        with("node", json!(7)),
        with("node", json!("")),
        with("datastore", json!("a\u{0}b")),
        with("instance_type", Value::Null),
        String::new(),
        good.replace("\"customer_id\"", "\"customer\""),
    ];
    let error = read_lines(file.join("\r\n").as_bytes()).unwrap_err();
    assert_eq!(error.count, 12);
    insta::assert_snapshot!(error.to_string().replace("; line", ";\nline"));
    let many = BadLines { first: error.first[..2].to_vec(), count: 40 };
    assert!(many.to_string().ends_with("; and 38 lines more"));
    assert_eq!(read_lines(b"\xef\xbb\xbf\n \n").unwrap(), []);
    assert!(read_lines(b"\xff\xfe{").is_err());
}

#[test]
fn a_history_keeps_every_member() {
    let life = [
        created("2025-06-01T00:00:00.123456789Z"),
        added("2025-06-02T00:00:00Z", "n\"1\\ é"),
        line(
            "2025-06-02T00:00:00Z",
            "node.upgraded",
            &json!({"node": "n", "instance_type": "x", "customer_id": "other"}),
        ),
        line(
            "2025-06-03T00:00:00Z",
            "node.repaired",
            &json!({"node": "n", "replacement": "m", "customer_reference": "r"}),
        ),
        line(
            "2025-06-04T00:00:00Z",
            "volume.type_changed",
            &json!({"node": "n", "volume_type": "x", "iops": 3}),
        ),
        line("2025-06-05T00:00:00Z", "backup.removed", &json!({"gib": "0.000000001"})),
    ];
    let file = life.join("\n");
    let [history] = History::of_each(read_lines(file.as_bytes()).unwrap()).try_into().unwrap();
    let mut line = Vec::new();
    history.write(&mut line).unwrap();
    assert_eq!(History::read(&line).unwrap(), history);
    assert_eq!(History::datastore_of(&line).unwrap(), "d");
    assert!(History::datastore_of(b"{}").is_err());
    insta::assert_snapshot!(String::from_utf8(line).unwrap());
}

#[test]
fn the_largest_volumes_for_a_lifetime_are_summed_exactly() {
    let mut lines = vec![created("1970-01-01T00:00:00Z")];
    lines.extend((0..6_000).map(|number| {
        let members = json!({"node": format!("n{number}"), "instance_type": "c", "volume_type": "ssd", "volume_gib": 1_000_000_000});
        line("1970-01-01T00:00:00Z", "node.added", &members)
    }));
    let row = report(&lines, "1970-01-01", "2025-08-31").unwrap();
    let volume = &row["volumes_types_usage"][0];
    let hours = i128::from(days("2025-09-01") - days("1970-01-01")) * 24;
    assert_eq!(volume["gib_per_hours"].to_string(), (hours * 6_000 * 1_000_000_000).to_string());
    assert_eq!(volume["average_gib"].to_string(), "1000000000");
}

fn days(day: &str) -> i64 {
    let midnight = |text: &str| format!("{text}T00:00:00Z").parse::<DateTime<Utc>>().unwrap();
    (midnight(day) - midnight("1970-01-01")).num_days()
}

/// Hours, traffic and whose they are, by row, in July 2025; and all warnings.
fn july(life: &[String]) -> (Vec<Value>, Vec<String>) {
    let rows = rows(life, "2025-07-01", "2025-07-31");
    let warnings = rows[0]["warnings"].as_array().cloned().unwrap_or_default();
    let row = |row: &Value| {
        let hours = row["instances_types_usage"][0]["hours"].clone();
        json!([row["customer_id"], row["customer_reference"], hours, row["network_egress_usage_gib"]])
    };
    let told = warnings.iter().map(|warning| warning.as_str().unwrap().to_owned());
    (rows.iter().map(row).collect(), told.collect())
}

fn egress(time: &str, members: Value) -> String {
    let mut with = json!({"gib": 1});
    with.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    line(time, "network.egress", &with)
}

#[test]
fn a_datastore_that_moves_is_divided_at_that_moment() {
    let begun = lines(&[&[created("2025-07-01T00:00:00Z")], &running("2025-07-01T00:00:00Z", "n1")]);
    let expected = vec![json!(["c", null, 360, 1]), json!(["other", null, 384, 2])];
    // an event that names another customer, or one that is nothing but that
    let other = json!({"customer_id": "other"});
    for moved in [
        vec![egress("2025-07-16T00:00:00Z", other.clone()), egress("2025-07-20T00:00:00Z", other.clone())],
        vec![
            line("2025-07-16T00:00:00Z", "datastore.transferred", &other),
            egress("2025-07-17T00:00:00Z", other.clone()),
            egress("2025-07-20T00:00:00Z", other.clone()),
        ],
    ] {
        let life = lines(&[&begun, &[egress("2025-07-02T00:00:00Z", json!({}))], &moved]);
        let (rows, warnings) = july(&life);
        assert_eq!(rows, expected);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0]
                .contains("passes the datastore from customer 'c' to 'other'; usage is theirs from then on"),
            "{warnings:?}"
        );
        // before it and after it there is one customer
        let of = |first, last| {
            let rows = super::tests::rows(&life, first, last);
            rows.iter().map(|row| row["customer_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of("2025-07-01", "2025-07-15"), ["c"]);
        assert_eq!(of("2025-07-16", "2025-07-31"), ["other"]);
    }
    // and back again: a customer has one row
    let back = [egress("2025-07-16T00:00:00Z", other), egress("2025-07-26T00:00:00Z", json!({}))];
    assert_eq!(
        july(&lines(&[&begun, &back])).0,
        [json!(["c", null, 504, 1]), json!(["other", null, 240, 1])]
    );
}

#[test]
fn a_changed_reference_counts_from_its_event_on() {
    let named = |reference: &str| json!({"customer_reference": reference});
    let begun = lines(&[&[created("2025-07-01T00:00:00Z")], &running("2025-07-01T00:00:00Z", "n1")]);
    // that a reference becomes known changes nothing, and whoever is silent about it neither
    let known = [egress("2025-07-10T00:00:00Z", named("blue")), egress("2025-07-12T00:00:00Z", json!({}))];
    let (rows, warnings) = july(&lines(&[&begun, &known]));
    assert_eq!((rows, warnings.len()), (vec![json!(["c", "blue", 744, 2])], 0));
    let renamed = [egress("2025-07-16T00:00:00Z", named("red"))];
    let (rows, warnings) = july(&lines(&[&begun, &known, &renamed]));
    assert_eq!(rows, [json!(["c", "blue", 360, 2]), json!(["c", "red", 384, 1])]);
    assert!(
        warnings[0]
            .ends_with("changes the customer's reference from 'blue' to 'red'; it counts from then on"),
        "{warnings:?}"
    );
    // a new customer has a reference of its own
    let moved = egress("2025-07-16T00:00:00Z", json!({"customer_id": "other"}));
    let (rows, _) = july(&lines(&[&begun, &known, &[moved]]));
    assert_eq!(rows, [json!(["c", "blue", 360, 2]), json!(["other", null, 384, 1])]);
}

#[test]
fn events_that_cross_within_the_tolerance_are_put_in_order() {
    let begun = lines(&[&[created("2025-07-01T00:00:00Z")], &running("2025-07-01T00:00:00Z", "n1")]);
    // a restart, told the wrong way round, at the end of a third of the month
    let restart = [
        about("2025-07-11T00:00:00.000Z", "node.started", "n1"),
        about("2025-07-11T00:00:00.001Z", "node.stopped", "n1"),
    ];
    let (rows, warnings) = july(&lines(&[&begun, &restart]));
    assert_eq!(rows[0][2], json!(744));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("node.stopped"), "{warnings:?}");
    assert!(warnings[0].contains("came 1 ms after node.started"), "{warnings:?}");
    assert!(warnings[0].ends_with("which cannot have come first; their order was changed"), "{warnings:?}");
    // resized before it was added
    let resized = line("2025-07-01T00:00:00Z", "volume.resized", &json!({"node": "n1", "volume_gib": 200}));
    let late = lines(&[
        &[created("2025-07-01T00:00:00Z"), resized],
        &[added("2025-07-01T00:00:01.500Z", "n1"), about("2025-07-01T00:00:02Z", "node.started", "n1")],
    ]);
    let rows = rows_of_july(&late);
    assert_eq!(rows[0]["volumes_types_usage"][0]["average_gib"], json!(200));
    assert_eq!(rows[0]["volumes_types_usage"][0]["gib_per_hours"], json!(148_800));
    // traffic that is told a moment after the deletion was before it
    let deleted = line("2025-07-11T00:00:00Z", "datastore.deleted", &json!({}));
    let traffic = |time| july(&lines(&[&begun, std::slice::from_ref(&deleted), &[egress(time, json!({}))]]));
    assert_eq!(traffic("2025-07-11T00:00:02Z").0[0][3], json!(1));
    assert_eq!(traffic("2025-07-11T00:00:02.001Z").0[0][3], json!(0));
}

fn rows_of_july(life: &[String]) -> Vec<Value> {
    rows(life, "2025-07-01", "2025-07-31")
}

/// What is ignored is told with what it would have come to, so that nobody has to reckon.
#[test]
fn beyond_the_tolerance_a_warning_says_what_would_have_counted() {
    let begun = lines(&[&[created("2025-07-01T00:00:00Z")], &running("2025-07-01T00:00:00Z", "n1")]);
    let restart = [
        about("2025-07-11T00:00:00Z", "node.started", "n1"),
        about("2025-07-11T00:00:05Z", "node.stopped", "n1"),
        about("2025-07-31T00:00:05Z", "node.started", "n1"),
    ];
    let (rows, warnings) = july(&lines(&[&begun, &restart]));
    assert_eq!(rows[0][2], json!(264));
    assert!(
        warnings[0].ends_with(
            "starts a node that is started already; ignored: after the stop of 2025-07-11T00:00:05Z it would have counted 480 hours in these days"
        ),
        "{warnings:?}"
    );
    let unknown = [
        line("2025-07-30T00:00:00Z", "volume.resized", &json!({"node": "n9", "volume_gib": 200})),
        about("2025-07-30T00:00:00Z", "node.started", "n9"),
        about("2025-07-30T12:00:00Z", "node.stopped", "n9"),
        line("2025-07-31T00:00:00Z", "datastore.deleted", &json!({})),
        egress("2025-07-31T12:00:00Z", json!({"gib": 7})),
    ];
    let (_, warnings) = july(&lines(&[&begun, &unknown]));
    for (warning, part) in warnings.iter().zip([
        "volume.resized",
        "node.started",
        "node.stopped",
        "ignored: it would have counted 7 GiB",
    ]) {
        assert!(warning.contains(part), "{warnings:?}");
    }
    assert!(
        warnings[0].ends_with("ignored: it would have counted 4800 GiB-hours in these days"),
        "{warnings:?}"
    );
    assert!(warnings[1].ends_with("ignored: it would have counted 12 hours in these days"), "{warnings:?}");
}
