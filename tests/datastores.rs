//! Events of datastores arrive, are put together, and come to a report.

use std::collections::BTreeSet;

use billing::usage::{History, Retention, Window, read_lines};
use cloud::datastores::{BASES, Datastores, PARTS, Report, ReportFormat};
use cloud::ledger::RunOutcome;
use futures::TryStreamExt as _;
use local::sandbox::events_of_datastores;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use serde_json::{Value, json};

use crate::datastores_world::{deleted, egress, line, platform, running};
use crate::world::{World, assert_same, now};

#[tokio::test]
async fn a_file_arrives_and_its_hours_are_reported() {
    let world = platform(true).await;
    world.events("a.jsonl", &running("10-30T00:00", "orders")).await;
    world
        .events(
            "b.jsonl",
            &[running("10-31T12:00", "carts"), vec![egress("10-31T13:00", "orders", 7)]].concat(),
        )
        .await;
    world.quiet().await;
    assert_eq!(world.hours().await, [("carts".into(), "12".into()), ("orders".into(), "48".into())]);
    let report = world.october().await;
    assert_eq!(report["network_egress_usage_gib"].to_string(), "7");
    assert_eq!(
        (&report["from"], &report["to"]),
        (&json!("2026-10-01T00:00:00Z"), &json!("2026-11-01T00:00:00Z"))
    );
    assert_eq!(report["held_files"], Value::Null);
}

#[tokio::test]
async fn one_bad_line_holds_its_file_and_no_other() {
    let world = platform(true).await;
    world.events("good.jsonl", &running("10-30T00:00", "orders")).await;
    let mut bad = running("10-30T00:00", "carts");
    bad[2] = bad[2].replace("node.started", "node.launched");
    world.events("bad.jsonl", &bad).await;
    world.quiet().await;
    assert_eq!(world.hours().await, [("orders".into(), "48".into())]);
    let held = "datastores/2026-10/bad.jsonl";
    assert_eq!(world.october().await["held_files"], json!([held]));
    let reason: Value =
        serde_json::from_slice(&world.read(&format!("held/{held}.reason.json")).await).unwrap();
    assert!(
        reason["reason"].as_str().unwrap().starts_with("line 3: type is \"node.launched\", expected "),
        "{reason}"
    );
    let failure = world.invoke("record-usage", json!({"key": held})).await.unwrap_err();
    assert!(failure.message.starts_with("datastores/2026-10/bad.jsonl held: line 3"), "{failure}");

    // corrected under the same key: it counts, and nothing is held any more
    world.events("bad.jsonl", &running("10-30T00:00", "carts")).await;
    world.quiet().await;
    assert_eq!(world.hours().await.len(), 2);
    assert_eq!(world.october().await["held_files"], Value::Null);
    assert_eq!(world.keys("held/").await, Vec::<String>::new());
    // and a late notification of the bad content changes nothing
    let report = world.invoke("record-usage", json!({"key": held})).await.unwrap();
    assert_eq!(report["files"][0]["state"], "already");
}

#[tokio::test]
async fn a_file_that_is_restored_is_held_no_more() {
    let world = platform(true).await;
    let (good, bad) = (running("10-30T00:00", "orders"), vec!["{}".to_owned()]);
    for (lines, held) in [(&good, 0), (&bad, 1), (&good, 0), (&bad, 1), (&bad, 1), (&good, 0)] {
        world.events("k.jsonl", lines).await;
        world.quiet().await;
        assert_eq!(world.keys("held/").await.len(), held, "{lines:?}");
    }
    assert_eq!(world.hours().await, [("orders".into(), "48".into())]);
}

/// Contents of one key that arrive at the same time: it is held if, and only if, the one that stands in the end is bad.
#[tokio::test]
async fn what_stands_in_the_end_decides_whether_it_is_held() {
    let world = platform(false).await;
    let key = "datastores/2026-10/k.jsonl";
    let mut outcomes = BTreeSet::new();
    for round in 0..20 {
        let arrive = async |number: usize| {
            let hour = format!("10-{:02}T{number:02}:00", round + 1);
            let time = if (round + number).is_multiple_of(2) { hour.as_str() } else { "soon" };
            world.events("k.jsonl", &[egress(time, &hour, 1)]).await;
            // as Lambda does, until it ends; a file that is held is one
            while let Err(failure) = world.invoke("record-usage", json!({"key": key})).await {
                if failure.outcome == RunOutcome::Held {
                    return;
                }
            }
        };
        futures::join!(arrive(0), arrive(1), arrive(2), arrive(3), arrive(4));
        let is_bad = String::from_utf8(world.read(key).await).unwrap().contains("soon");
        let held = world.keys("held/").await;
        assert_eq!(held.len(), usize::from(is_bad), "round {round}: {held:?}");
        outcomes.insert(is_bad);
    }
    assert!(!outcomes.is_empty());
}

#[tokio::test]
async fn an_event_of_the_bus_is_kept_as_a_file_and_counts() {
    let world = platform(true).await;
    let detail: Vec<Value> =
        running("10-31T00:00", "orders").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let event = |detail: &Value| json!({"source": "platform", "detail-type": "Datastore Lifecycle", "detail": detail});
    let report = world.invoke("record-usage", event(&json!(detail))).await.unwrap();
    assert_eq!(report["files"][0]["state"], "kept");
    let late = egress("10-31T01:00", "orders", 3);
    for _ in 0..2 {
        world.invoke("record-usage", event(&serde_json::from_str(&late).unwrap())).await.unwrap();
    }
    world.quiet().await;
    assert_eq!(world.hours().await, [("orders".into(), "24".into())]);
    assert_eq!(world.keys("datastores/2026-11/sent/").await.len(), 2);
    assert_eq!(world.october().await["network_egress_usage_gib"].to_string(), "3");
    // what is no event of ours is kept, and held with the reason
    world.invoke("record-usage", event(&json!({"hello": "world"}))).await.unwrap();
    world.quiet().await;
    assert_eq!(world.october().await["held_files"].as_array().unwrap().len(), 1);
}

/// Files of the sandbox's month, cut and repeated at random; whatever the order, and whenever they are put together, the report is the same.
#[tokio::test]
async fn neither_order_nor_repetition_nor_tidying_changes_the_report() {
    let files = events_of_datastores("2026-10".parse().unwrap());
    let lines: Vec<String> = files.iter().flat_map(|(_, text)| text.lines().map(str::to_owned)).collect();
    let mut reports = BTreeSet::new();
    for seed in 0..3 {
        let mut random = StdRng::seed_from_u64(seed);
        let world = platform(false).await;
        let mut shuffled = lines.clone();
        shuffled.extend(lines.choose_multiple(&mut random, 100).cloned());
        shuffled.shuffle(&mut random);
        for (number, part) in shuffled.chunks(shuffled.len() / 5).enumerate() {
            let name = format!("{number}.jsonl");
            world.events(&name, part).await;
            world.invoke("record-usage", json!({"key": format!("datastores/2026-10/{name}")})).await.unwrap();
            if number % 2 == 1 {
                world.invoke("record-usage", json!({})).await.unwrap();
            }
        }
        let csv = world.usage_report("2026-10-05", "2026-10-20", ReportFormat::Csv).await;
        assert!(csv.lines().count() > 15, "{csv}");
        assert!(reports.insert(csv) == (seed == 0), "another report with seed {seed}");
    }
}

#[tokio::test]
async fn putting_together_keeps_every_figure_and_forgets_the_old() {
    let world = platform(true).await;
    world.events("a.jsonl", &running("10-30T00:00", "orders")).await;
    let old = [running("01-01T00:00", "old"), vec![deleted("04-30T23:59", "old")]].concat();
    let kept = [running("01-01T00:00", "kept"), vec![deleted("05-02T00:00", "kept")]].concat();
    world.events("b.jsonl", &[old.clone(), kept].concat()).await;
    world.quiet().await;
    let before = world.october().await;

    let dry = world.invoke("record-usage", json!({"dry_run": true})).await.unwrap();
    assert_eq!(dry["tidied"], json!({"files": 2, "datastores": 2, "events": 7, "purged": 1, "more": false}));
    assert_eq!(world.keys(PARTS).await.len(), 2);
    let done = world.invoke("record-usage", json!({})).await.unwrap();
    assert_eq!(done["tidied"], dry["tidied"]);
    assert_eq!(world.october().await, before);
    assert_eq!((world.keys(PARTS).await.len(), world.keys(BASES).await.len()), (0, 1));
    let base = String::from_utf8(world.read(&world.keys(BASES).await[0]).await).unwrap();
    assert!(base.contains("\"kept\"") && base.contains("node.started"), "{base}");
    let forgotten = base.lines().find(|line| line.contains("\"old\"")).unwrap();
    assert_eq!(forgotten.matches("\"type\"").count(), 1, "only the deletion is kept: {forgotten}");

    // nothing new: nothing is done
    let state = world.state().await;
    let again = world.invoke("record-usage", json!({})).await.unwrap();
    assert_eq!(again["tidied"]["files"], json!(0));
    assert_same(&world.state().await, &state);
    // the notification of an old file comes once more: what was forgotten stays forgotten
    let report = world.invoke("record-usage", json!({"key": "datastores/2026-10/b.jsonl"})).await.unwrap();
    assert_eq!(report["files"][0]["state"], "already");
    assert_eq!(world.keys(PARTS).await, Vec::<String>::new());
    // nor does it come back with another content of its file, or when the file is taken in by force
    world.events("b.jsonl", &running("01-01T00:00", "old")).await;
    world.quiet().await;
    let force = json!({"key": "datastores/2026-10/b.jsonl", "force": true});
    assert_eq!(world.invoke("record-usage", force).await.unwrap()["files"][0]["state"], "recorded");
    assert_eq!(world.october().await, before);
    let again = world.invoke("record-usage", json!({})).await.unwrap();
    assert_eq!((&again["tidied"]["purged"], &again["tidied"]["datastores"]), (&json!(1), &json!(2)));
    assert_eq!(world.october().await, before);
    // a longer memory is a matter of configuration
    let vars = [("RETENTION_PERIOD", "3 centuries")];
    let failure = world.invoke_with(&vars, "record-usage", json!({})).await.unwrap_err();
    assert!(
        failure.message.contains("RETENTION_PERIOD is '3 centuries', expected a number of months or days"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_datastore_that_moves_has_a_row_for_each_customer() {
    let world = platform(true).await;
    let moved = |time| line(time, "datastore.transferred", "orders", &json!({"customer_id": "other"}));
    let billed = line("10-20T00:00", "network.egress", "orders", &json!({"customer_id": "other", "gib": 3}));
    // the transfer comes in a file of its own, and late
    let begun = [running("10-01T00:00", "orders"), vec![egress("10-02T00:00", "orders", 2), billed]].concat();
    world.events("a.jsonl", &begun).await;
    world.events("b.jsonl", &[moved("10-16T00:00")]).await;
    world.quiet().await;
    let of_each = |report: &Value| -> Vec<Value> {
        let row = |row: &Value| {
            json!([
                row["customer_id"],
                row["instances_types_usage"][0]["hours"],
                row["network_egress_usage_gib"],
                row["nodes_count"]
            ])
        };
        report["datastores"].as_array().unwrap().iter().map(row).collect()
    };
    let report = world.october().await;
    assert_eq!(of_each(&report), [json!(["acme", 360, 2, 1]), json!(["other", 384, 3, 1])]);
    let told = report["datastores"][1]["warnings"][0].as_str().unwrap();
    assert!(told.starts_with("2026-10-16T00:00:00Z datastore.transferred"), "{told}");
    assert_eq!(report["network_egress_usage_gib"].to_string(), "5");
    // in the table, columns add up
    let csv = world.usage_report("2026-10-01", "2026-10-31", ReportFormat::Csv).await;
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let names = rows.headers().unwrap().clone();
    let egress = names.iter().position(|name| name == "network_egress_usage_gib").unwrap();
    let sum: u32 = rows.records().filter_map(|row| row.unwrap()[egress].parse::<u32>().ok()).sum();
    assert_eq!((sum, csv.lines().count()), (5, 5));
    // and once all is put together
    world.invoke("record-usage", json!({})).await.unwrap();
    assert_eq!(world.october().await, report);
}

#[tokio::test]
async fn a_report_says_what_it_has_forgotten() {
    let world = platform(true).await;
    let old = [running("04-01T00:00", "old"), vec![deleted("04-20T00:00", "old")]].concat();
    let kept = [running("04-01T00:00", "kept"), vec![deleted("06-01T00:00", "kept")]].concat();
    world.events("a.jsonl", &[old, kept].concat()).await;
    world.quiet().await;
    for _ in 0..2 {
        let report = async |from, to| -> Value {
            serde_json::from_str(&world.usage_report(from, to, ReportFormat::Json).await).unwrap()
        };
        let april = report("2026-04-01", "2026-04-30").await;
        assert_eq!(april["datastores"].as_array().unwrap().len(), 1);
        let complete_from = Retention::default().cutoff_ms(now());
        let complete_from = chrono::DateTime::from_timestamp_millis(complete_from).unwrap().date_naive();
        assert_eq!(april["forgotten"], json!({"datastores": 1, "complete_from": complete_from}));
        // it was gone before these days, or nothing of them is forgotten
        assert_eq!(report("2026-04-21", "2026-04-30").await["forgotten"], Value::Null);
        assert_eq!(world.october().await["forgotten"], Value::Null);
        // also when nothing but its deletion is left
        world.invoke("record-usage", json!({})).await.unwrap();
    }
}

#[tokio::test]
async fn more_files_than_are_put_together_at_once() {
    let world = platform(false).await;
    for number in 0..205 {
        let name = format!("{number}.jsonl");
        world.events(&name, &[egress("10-31T00:00", &format!("d{number:03}"), 1)]).await;
        world.invoke("record-usage", json!({"key": format!("datastores/2026-10/{name}")})).await.unwrap();
    }
    let before = world.october().await;
    let done = world.invoke("record-usage", json!({})).await.unwrap();
    assert_eq!(
        done["tidied"],
        json!({"files": 205, "datastores": 205, "events": 205, "purged": 0, "more": false})
    );
    assert_eq!((world.keys(PARTS).await.len(), world.keys(BASES).await.len()), (0, 1));
    assert_eq!(world.october().await, before);
}

/// More files than are opened at once, and more than are read whole: in a region where nothing puts them together.
#[tokio::test]
async fn a_report_is_there_however_many_files_wait() {
    let world = platform(false).await;
    let twice = egress("10-31T00:00", "shared", 1);
    for number in 0..681 {
        let own = egress("10-31T01:00", &format!("d{number:03}"), 1);
        let events = format!("{own}\n{twice}\n");
        let mut part = Vec::new();
        for history in History::of_each(read_lines(events.as_bytes()).unwrap()) {
            history.write(&mut part).unwrap();
            part.extend(std::iter::repeat_n(b' ', 45_000)); // which JSON may have
            part.push(b'\n');
        }
        world
            .bucket
            .overwrite(&format!("{PARTS}{number:016x}.jsonl"), part, "application/jsonl")
            .await
            .unwrap();
    }
    let report = world.october().await;
    assert_eq!(report["datastores"].as_array().unwrap().len(), 682);
    assert_eq!(report["network_egress_usage_gib"].to_string(), "682");
    world.invoke("record-usage", json!({})).await.unwrap();
    assert_eq!(world.october().await, report);
}

#[tokio::test]
async fn two_that_put_together_at_once_lose_nothing() {
    let world = platform(false).await;
    for number in 0..6 {
        let name = format!("{number}.jsonl");
        world.events(&name, &running("10-31T00:00", &format!("d{number}"))).await;
        world.invoke("record-usage", json!({"key": format!("datastores/2026-10/{name}")})).await.unwrap();
        if number % 2 == 1 {
            let tidy = || world.invoke("record-usage", json!({}));
            let ends = futures::join!(tidy(), tidy(), tidy());
            let ends = [ends.0, ends.1, ends.2];
            assert!(ends.iter().any(Result::is_ok), "{ends:?}");
            for failure in ends.into_iter().filter_map(Result::err) {
                assert!(failure.message.contains("another invocation put the files together"), "{failure}");
            }
            assert_eq!(world.hours().await.len(), number + 1);
        }
    }
    world.invoke("record-usage", json!({})).await.unwrap();
    assert_eq!(world.keys(BASES).await.len(), 1);
    assert_eq!(world.hours().await.len(), 6);
}

/// A base of more than one part of an upload, read while it is replaced.
#[tokio::test]
async fn a_report_that_has_begun_is_not_disturbed() {
    let world = platform(false).await;
    let lines: Vec<String> = (0..9000)
        .flat_map(|number| {
            let datastore = format!("datastore-{number:05}-{}", "x".repeat(130));
            [running("10-31T00:00", &datastore), vec![egress("10-31T01:00", &datastore, 1)]].concat()
        })
        .collect();
    for (number, part) in lines.chunks(18_000).enumerate() {
        world.events(&format!("{number}.jsonl"), part).await;
        let key = format!("datastores/2026-10/{number}.jsonl");
        world.invoke("record-usage", json!({"key": key})).await.unwrap();
    }
    world.invoke("record-usage", json!({})).await.unwrap();
    let base = &world.bucket.list(BASES).await.unwrap()[0];
    assert!(base.size_bytes > 8 * 1024 * 1024, "{} bytes", base.size_bytes);

    let day = Some("2026-10-31".parse().unwrap());
    let datastores = Datastores::new(world.bucket.reader().clone());
    let report =
        Report::new(Window::days(day, day, now()).unwrap(), Retention::default(), now(), ReportFormat::Json);
    let mut stream = report.begin(&datastores).await.unwrap().pieces;
    let mut text = stream.try_next().await.unwrap().unwrap().to_vec();
    world.events("late.jsonl", &[egress("10-31T02:00", "datastore-new", 5)]).await;
    world.invoke("record-usage", json!({"key": "datastores/2026-10/late.jsonl"})).await.unwrap();
    world.invoke("record-usage", json!({})).await.unwrap();
    while let Some(piece) = stream.try_next().await.unwrap() {
        text.extend_from_slice(&piece);
    }
    let report: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(report["datastores"].as_array().unwrap().len(), 9000);
    assert_eq!(report["network_egress_usage_gib"].to_string(), "9000");
    assert_eq!(world.october().await["datastores"].as_array().unwrap().len(), 9001);
}

#[tokio::test]
async fn what_is_kept_and_cannot_be_read_is_named() {
    let world = platform(false).await;
    for (text, error) in [
        ("{}\n", "line 1: it is no JSON object of an event: it does not begin with {\"datastore\":"),
        (
            "{\"datastore\":\"b\",\"customer_id\":\"c\",\"events\":[]}\n{\"datastore\":\"a\"}\n",
            "line 2: datastore is a, expected an id that comes after",
        ),
    ] {
        let key = format!("{PARTS}0123456789abcdef.jsonl");
        world.bucket.overwrite(&key, text, "application/jsonl").await.unwrap();
        let failure = world.invoke("record-usage", json!({})).await.unwrap_err();
        assert!(failure.message.contains(&key) && failure.message.contains(error), "{failure}");
    }
}

#[tokio::test]
async fn an_empty_platform_has_an_empty_report() {
    let world = platform(false).await;
    world.invoke("record-usage", json!({})).await.unwrap();
    assert_eq!(world.october().await["datastores"], json!([]));
    let csv = world.usage_report("2026-10-01", "2026-10-31", ReportFormat::Csv).await;
    assert_eq!(csv.lines().count(), 1);
    world.events("empty.jsonl", &[]).await;
    world.invoke("record-usage", json!({"key": "datastores/2026-10/empty.jsonl"})).await.unwrap();
    let missing = world.invoke("record-usage", json!({"key": "datastores/nothing.jsonl"})).await.unwrap_err();
    assert!(missing.message.contains("there is no object datastores/nothing.jsonl"), "{missing}");
    let line = line("10-31T00:00", "backup.taken", "orders", &json!({"gib": 1}));
    world.events("x.jsonl", &[line]).await;
    let dry = json!({"key": "datastores/2026-10/x.jsonl", "dry_run": true});
    assert_eq!(world.invoke("record-usage", dry).await.unwrap()["files"][0]["state"], "preview");
    assert_eq!(world.october().await["datastores"], json!([]));
}

/// Two windows that touch add up to the window of both, also as they are written.
#[tokio::test]
async fn the_days_of_the_sandboxs_month_add_up() {
    let world: World = platform(false).await;
    for (key, text) in events_of_datastores("2026-10".parse().unwrap()) {
        world.bucket.overwrite(&key, text, "application/jsonl").await.unwrap();
        world.invoke("record-usage", json!({"key": key})).await.unwrap();
    }
    let whole = world.october().await;
    let sum = |report: &Value| -> f64 {
        let hours = report["datastores"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|row| row["instances_types_usage"].as_array().unwrap());
        hours.map(|usage| usage["hours"].to_string().parse::<f64>().unwrap()).sum()
    };
    let mut days = 0.0;
    for day in 1..=31 {
        let day = format!("2026-10-{day:02}");
        let report = world.usage_report(&day, &day, ReportFormat::Json).await;
        days += sum(&serde_json::from_str(&report).unwrap());
    }
    assert!((days - sum(&whole)).abs() < 0.05, "{days} {}", sum(&whole)); // four decimals, rounded on each of 31 days
    assert!(sum(&whole) > 10_000.0);
}
