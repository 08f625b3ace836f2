//! The demo twice, on a clock that stands at the same moment: it must come to the same objects, ledger, mails and words.
//!
//! Three things are of a run by their nature, and are left out by name: how long something took; the names of runs,
//! which have the number of the process, and that of the notification; and the times that metering counts from its start, on
//! a clock that goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cloud::aws::Aws;
use cloud::bucket::Bucket;
use local::{Embedded, Home, Options};

use super::{Answer, Desk, answer, kills};

/// 2 November 2026, 08:00 UTC.
const MOMENT_S: &str = "1793606400";
/// In the items of metering, and in what is shown of its months.
const COUNTED_FROM_THE_START: [&str; 3] = ["since", "sent_at", "last_updated"];
/// In the items of runs.
const OF_THE_RUN: [&str; 2] = ["sk", "duration_ms"];
const STATE_OF_METERING: &str = "state/metering_state.json";

#[test]
fn the_demo_twice_makes_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let shim = folder.path().join("shim.so");
    kills::build(&shim);
    // at once, so that each is in the other's way now and then
    let [one, other] = std::thread::scope(|scope| {
        [scope.spawn(|| demonstrate(&shim)), scope.spawn(|| demonstrate(&shim))]
            .map(|run| run.join().unwrap())
    });
    assert!(one.len() > 400, "{}", one.len());
    let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let differ: Vec<_> = names.into_iter().filter(|name| one.get(*name) != other.get(*name)).collect();
    let shown = differ.first().map(|name| (one.get(*name), other.get(*name)));
    assert!(differ.is_empty(), "{} differ: {differ:#?}; the first: {shown:#?}", differ.len());
}

/// Everything that a demo left and said, by name.
fn demonstrate(shim: &Path) -> BTreeMap<String, String> {
    let desk = Desk::new();
    let mut all = BTreeMap::new();
    let demo = stopped(&desk, shim, &["demo", "--month", "2026-09"]);
    assert_eq!(demo.code, 0, "{}", demo.err);
    let lines = demo.out.lines().enumerate().filter(|(_, line)| !line.starts_with("Done in "));
    all.extend(lines.map(|(number, line)| (format!("line {number}"), line.to_owned())));
    for args in [["ls"].as_slice(), &["status"], &["metering", "status"]] {
        let shown = stopped(&desk, shim, &[args, &["--format", "json"]].concat());
        assert!([0, 3].contains(&shown.code), "{}", shown.err);
        all.insert(args.join(" "), timeless(&shown.out));
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(look(&desk.path().join(".monthend"), &mut all));
    for entry in std::fs::read_dir(desk.path().join(".monthend/mails")).unwrap() {
        for file in std::fs::read_dir(entry.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(desk.path()).unwrap().display().to_string();
            all.insert(name, std::fs::read(&path).unwrap().escape_ascii().to_string());
        }
    }
    all
}

/// Runs a command while the clock stands.
fn stopped(desk: &Desk, shim: &Path, args: &[&str]) -> Answer {
    let mut command = desk.command(args);
    answer(command.env("LD_PRELOAD", shim).env("KILLS_STOPPED", MOMENT_S).output().unwrap())
}

/// Adds every object of the data bucket and every item of the ledger.
async fn look(home: &Path, all: &mut BTreeMap<String, String>) {
    let home = Home::open(home).unwrap();
    let _lock = home.lock().unwrap().unwrap();
    let embedded = Embedded::start(&home, Options { follow: false, ..Options::default() }).await.unwrap();
    let aws = Aws::connect(embedded.vars()).await.unwrap();
    let bucket = Bucket::new(&aws, embedded.vars().get("DATA_BUCKET").unwrap());
    for listed in bucket.list("").await.unwrap() {
        let object = bucket.get(&listed.key, None).await.unwrap().unwrap();
        let mut bytes = object.bytes.escape_ascii().to_string();
        if listed.key == STATE_OF_METERING {
            bytes = timeless(std::str::from_utf8(&object.bytes).unwrap());
        }
        let notes: BTreeMap<_, _> = object.metadata.into_iter().collect();
        all.insert(format!("object {}", listed.key), format!("{notes:?} {bytes}"));
    }
    let scan = aws.dynamodb().scan().table_name(local::TABLE).into_paginator().items().send();
    let mut runs = Vec::new();
    for item in scan.collect::<Result<Vec<_>, _>>().await.unwrap() {
        // texts, and the numbers that DynamoDB forgets items by
        let mut item: BTreeMap<_, _> =
            item.into_iter().map(|(name, value)| (name, format!("{value:?}"))).collect();
        let (kind, name) = (item["pk"].clone(), format!("item {} {}", item["pk"], item["sk"]));
        if kind.contains("RUN#") {
            item.retain(|name, _| !OF_THE_RUN.contains(&name.as_str()));
            runs.push(format!("{item:?}"));
            continue;
        }
        if kind.contains("METER#") {
            item.retain(|name, _| !COUNTED_FROM_THE_START.contains(&name.as_str()));
        }
        all.insert(name, format!("{item:?}"));
    }
    runs.sort();
    all.insert("runs".into(), runs.join("\n"));
    embedded.stop().await;
}

/// A document of metering without the lines that say when it did something.
fn timeless(document: &str) -> String {
    let is_time = |line: &&str| {
        let name = line.trim().trim_start_matches('"').split('"').next().unwrap_or_default();
        COUNTED_FROM_THE_START.contains(&name)
    };
    document.lines().filter(|line| !is_time(line)).collect::<Vec<_>>().join("\n")
}
