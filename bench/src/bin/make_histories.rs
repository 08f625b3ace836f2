//! `make-histories BUCKET DATASTORES EVENTS`: writes the histories of so many datastores, with so many events each, as `record-usage` keeps
//! them, into the folder of a bucket. Prints how many bytes.

#![expect(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use billing::usage::{History, read_lines};
use chrono::{DateTime, TimeDelta, Utc};
use cloud::datastores::{BASES, CURRENT, Current};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bucket, datastores, events] = arguments.as_slice() else {
        return Err("usage: make-histories BUCKET DATASTORES EVENTS".into());
    };
    let (bucket, datastores, events) =
        (Path::new(bucket), datastores.parse::<u64>()?, events.parse::<usize>()?);
    let base = format!("{BASES}00000001-0123456789abcdef.jsonl");
    fs::create_dir_all(bucket.join(BASES))?;
    let mut file = BufWriter::new(fs::File::create(bucket.join(&base))?);
    let mut line = Vec::new();
    for number in 0..datastores {
        let text = life(number, events)?;
        let read = read_lines(text.as_bytes())?;
        line.clear();
        for history in History::of_each(read) {
            history.write(&mut line)?;
            line.push(b'\n');
        }
        file.write_all(&line)?;
    }
    file.into_inner()?.sync_all()?;
    let current = Current {
        generation: 1,
        base: Some(base.clone()),
        datastores,
        events: datastores * u64::try_from(events)?,
        purged_before: String::new(),
    };
    fs::write(bucket.join(CURRENT), serde_json::to_vec(&current)?)?;
    println!("{}", fs::metadata(bucket.join(&base))?.len());
    Ok(())
}

/// A datastore with two nodes, whose life goes through the months before November 2026: restarts, new sizes and types, traffic, backups.
fn life(number: u64, events: usize) -> Result<String, Box<dyn Error>> {
    let datastore = format!("{number:08x}-5d1c-4e0e-9a52-5a6d0c1e8f34");
    let mut time: DateTime<Utc> = "2026-06-01T00:00:00Z".parse()?;
    time += TimeDelta::seconds(i64::try_from(number % 86_400)?);
    let mut text = String::new();
    for index in 0..events {
        let (kind, members) = match index {
            0 => {
                ("datastore.created", "\"datastore_type\":\"replication\",\"vendor\":\"mariadb\"".to_owned())
            }
            1 | 2 => (
                "node.added",
                format!(
                    "\"node\":\"n{index}\",\"instance_type\":\"c4.m8\",\"volume_type\":\"ssd\",\"volume_gib\":100,\"iops\":3000"
                ),
            ),
            3 | 4 => ("node.started", format!("\"node\":\"n{}\"", index - 2)),
            _ => match index % 7 {
                0 => ("volume.resized", format!("\"node\":\"n1\",\"volume_gib\":{}", 100 + index)),
                1 => ("node.stopped", "\"node\":\"n2\"".to_owned()),
                2 => ("node.started", "\"node\":\"n2\"".to_owned()),
                3 => {
                    ("node.upgraded", format!("\"node\":\"n1\",\"instance_type\":\"c{}.m8\"", 2 + index % 4))
                }
                4 => ("network.egress", format!("\"gib\":{index}.25")),
                _ => ("backup.taken", "\"gib\":25.5".to_owned()),
            },
        };
        time += TimeDelta::hours(if index < 5 { 0 } else { 150 }) + TimeDelta::seconds(17);
        let at = time.format("%Y-%m-%dT%H:%M:%SZ");
        writeln!(
            text,
            "{{\"event_id\":\"{number:08x}-{index:04x}-4f57-8a41-c2f0b7d95e16\",\"time\":\"{at}\",\"type\":\"{kind}\",\"datastore\":\"{datastore}\",\
             \"customer_id\":\"customer-{}\",{members}}}",
            number % 997
        )?;
    }
    Ok(text)
}
