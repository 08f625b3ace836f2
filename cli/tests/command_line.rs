//! The program as a person uses it: commands, output, exit codes, what survives.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

#[path = "command_line/basis.rs"]
mod basis;
#[path = "command_line/bill.rs"]
mod bill;
#[path = "command_line/catalog.rs"]
mod catalog;
#[path = "command_line/columns.rs"]
mod columns;
#[path = "command_line/homes.rs"]
mod homes;
#[path = "command_line/import.rs"]
mod import;
#[cfg(target_os = "linux")]
#[path = "command_line/kills.rs"]
mod kills;
#[path = "command_line/mistakes.rs"]
mod mistakes;
#[path = "command_line/revenue.rs"]
mod revenue;
#[cfg(target_os = "linux")]
#[path = "command_line/same.rs"]
mod same;
#[path = "command_line/secrets.rs"]
mod secrets;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use chrono::{Months, TimeDelta, Utc};
use serde_json::{Value, json};

/// A folder of a person who has nothing configured.
struct Desk {
    folder: tempfile::TempDir,
}

struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_monthend"));
        command.args(args).current_dir(self.path()).env_clear().stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Answer {
        answer(self.command(args).output().unwrap())
    }

    fn json(&self, args: &[&str]) -> Value {
        let answer = self.run(&[args, &["--format", "json"]].concat());
        serde_json::from_str(&answer.out).unwrap_or_else(|_| panic!("{args:?}: {}{}", answer.out, answer.err))
    }

    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path().join(name), content).unwrap();
    }
}

fn answer(output: Output) -> Answer {
    Answer {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn invoice(subtotal: i64) -> Vec<u8> {
    json!({
        "id": "i1", "orgId": "o1", "startDate": "2026-10-01T00:00:00Z", "endDate": "2026-11-01T00:00:00Z",
        "statusName": "PAID", "subtotalCents": subtotal,
        "lineItems": [{"sku": "X", "groupId": "a", "groupName": "=alpha", "totalPriceCents": 5}],
    })
    .to_string()
    .into_bytes()
}

#[test]
fn the_demo_needs_nothing_and_leaves_something_to_look_at() {
    let desk = Desk::new();
    let demo = desk.run(&["demo", "--no-color"]);
    assert_eq!(demo.code, 0, "{}", demo.err);
    let metered =
        "7 requests, one for each contract and month; Clazar holds 27 records. The same again: 0 requests";
    for part in ["0 fetched, 7 unchanged", "reopened", "matched", "explained", "monthend status", metered] {
        assert!(demo.out.contains(part), "{part}: {}", demo.out);
    }
    assert!(!demo.out.contains('\u{1b}'));
    assert_only_the_owner_reads(&desk.path().join(".monthend"));

    // the demo closes the last month whose bills are final, on whatever day: after the tenth that of the month before
    let before = Utc::now() - TimeDelta::days(10) - Months::new(2);
    let status = desk.json(&["status", "--month", &before.format("%Y-%m").to_string()]);
    assert_eq!(status["invoices"][0]["period"], "reopened");
    assert_eq!(status["invoices"][0]["revisions"], "2");
    let keys = desk.run(&["ls", "allocations/", "--format", "csv"]);
    let key = keys.out.lines().nth(1).unwrap().split(',').next().unwrap().to_owned();
    let csv = desk.run(&["cat", &key]);
    assert!(csv.out.starts_with("invoice_id,start_date,end_date,project_name,"), "{}", csv.out);
    assert_eq!(desk.run(&["get", &key, "copy.csv"]).code, 0);
    assert_eq!(std::fs::read_to_string(desk.path().join("copy.csv")).unwrap(), csv.out);

    // the same again changes nothing, in another process
    let again = desk.json(&["run"]);
    assert_eq!(again["functions"]["fetch-atlas"]["fetched"], 0);
    assert_eq!(desk.run(&["reset"]).code, 0);
    assert!(!desk.path().join(".monthend").exists());
}

/// Whatever the program and its sandbox leave in a home is nobody else's to read.
fn assert_only_the_owner_reads(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let found = path.symlink_metadata().unwrap();
    let mode = found.permissions().mode() & 0o777;
    assert_eq!(mode, if found.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    if found.is_dir() {
        std::fs::read_dir(path)
            .unwrap()
            .for_each(|entry| assert_only_the_owner_reads(&entry.unwrap().path()));
    }
}

#[test]
fn the_demo_as_json_is_one_document() {
    let demo = Desk::new().json(&["demo", "--month", "2026-10"]);
    assert_eq!(demo["certificates"].as_array().unwrap().len(), 10);
    assert_eq!(demo["bills"].as_array().unwrap().len(), 3);
    assert_eq!(demo["second_fetch"]["fetched"], 0);
}

#[test]
fn without_credentials_the_first_missing_one_is_named() {
    let desk = Desk::new();
    let run = desk.run(&["run"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("PUBLIC_KEY") || run.err.contains("ORG_ID"), "{}", run.err);
    desk.write(".env", b"PUBLIC_KEY=abcdefgh\nORG_ID=5f1a2b3c4d5e6f7081920a01\n");
    let run = desk.run(&["run"]);
    assert!(run.err.contains("PRIVATE_KEY is missing in the environment (or .env)"), "{}", run.err);
    // and a home with own data takes no invented data
    let demo = desk.run(&["demo"]);
    assert_eq!(demo.code, 1);
    assert!(demo.err.contains("holds your own data"), "{}", demo.err);
}

#[test]
fn a_file_put_under_raw_is_allocated_and_a_mismatch_ends_with_3() {
    let desk = Desk::new();
    desk.write("good.json", &invoice(5));
    desk.write("bad.json", &invoice(900));
    let put = desk.run(&["put", "good.json", "raw/atlas/o1/2026-10/i1/"]);
    assert_eq!(put.code, 0, "{}", put.err);
    let key = put.out.trim().to_owned();
    let rows = desk.run(&["cat", "allocations/atlas/o1/2026-10-i1.csv"]).out;
    assert!(rows.contains("'=alpha"), "{rows}");
    assert_eq!(desk.run(&["status"]).code, 0);

    let put = desk.run(&["put", "bad.json", "raw/atlas/o1/2026-10/i1/"]);
    assert_eq!(put.code, 3, "{}", put.err);
    assert!(put.err.contains("lines are missing or doubled"), "{}", put.err);
    assert_eq!(desk.run(&["status"]).code, 3);

    let event = format!("{{\"key\": \"{key}\", \"dry_run\": true}}");
    let mut invoke = desk.command(&["invoke", "allocate", "-e", "-"]);
    let mut invoke = invoke.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    invoke.stdin.take().unwrap().write_all(event.as_bytes()).unwrap();
    let preview: Value = serde_json::from_slice(&invoke.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(preview["documents"][0]["state"], "preview");
}

#[test]
fn what_is_queued_survives_and_is_delivered_later() {
    let desk = Desk::new();
    desk.write("good.json", &invoice(5));
    assert_eq!(desk.run(&["put", "good.json", "raw/atlas/o1/2026-10/i1/", "--no-follow"]).code, 0);
    assert_eq!(desk.json(&["status"])["invoices"][0]["state"], "waiting");
    desk.write("note.txt", b"x");
    assert_eq!(desk.run(&["put", "note.txt", "notes/"]).code, 0);
    assert_eq!(desk.json(&["status"])["invoices"][0]["state"], "allocated");
}

#[test]
fn mistakes_are_answered_in_one_line() {
    let desk = Desk::new();
    desk.write("twice.json", br#"{"month": "2026-09", "month": "2026-10"}"#);
    for (args, code, part) in [
        (vec!["nonsense"], 2, "unrecognized subcommand"),
        (vec!["run", "--month", "october"], 2, "is not a month, write it as YYYY-MM"),
        (
            vec!["invoke", "bil"],
            1,
            "there is no function 'bil'; there are fetch-atlas, fetch-azure, fetch-aws, fetch-ccx, fetch-prometheus, fetch-gcp, allocate",
        ),
        (vec!["invoke", "allocate", "-e", "missing.json"], 1, "failed to read the event missing.json"),
        (
            vec!["invoke", "fetch-atlas", "-e", "twice.json"],
            1,
            "the event twice.json is not understood: 'month' stands twice at line 1 column 22",
        ),
        (vec!["cat", "nothing"], 1, "there is no object s3://monthend-data/nothing"),
        (vec!["put", "missing.json", "raw/x"], 1, "failed to read missing.json"),
        (vec!["ls", "--cloud", "aws"], 1, "the variable DATA_BUCKET is missing"),
        (vec!["invoke", "allocate"], 1, "the event has no usable Records"),
    ] {
        let answer = desk.run(&args);
        assert_eq!(answer.code, code, "{args:?}: {}", answer.err);
        assert!(answer.err.contains(part), "{args:?}: {}", answer.err);
        assert!(!answer.err.contains("panicked"));
    }
}

#[test]
fn a_month_is_metered_from_the_command_line() {
    let desk = Desk::new();
    let dry = desk.run(&["metering", "dry-run", "--sandbox", "--format", "csv"]);
    assert_eq!(dry.code, 0, "{}", dry.err);
    assert!(dry.out.starts_with("month,cloud,contract,dimension,start,end,quantity\n"), "{}", dry.out);
    let requests = dry.out.lines().count() - 1;
    let before = desk.run(&["metering", "status"]);
    assert!(before.out.contains("never metered"), "a dry run leaves nothing: {}", before.out);

    let run = desk.run(&["metering", "run"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let status = desk.json(&["metering", "status"]);
    let plan = &status["plans"][0];
    let accepted =
        plan["submissions"].as_array().unwrap().iter().filter(|row| row["state"] == "accepted").count();
    assert_eq!(accepted, requests, "what was said was sent");
    let months: Vec<&str> =
        plan["months"].as_array().unwrap().iter().map(|m| m["standing"].as_str().unwrap()).collect();
    assert_eq!(months, ["closed", "closed"]);
    let dry = desk.run(&["metering", "dry-run", "--format", "json"]);
    assert_eq!(dry.out.trim(), "[]", "nothing is left");

    // the state in the earlier schema is that of the bucket, and is taken over as it is
    let state = desk.run(&["metering", "export-state"]).out;
    let kept = desk.run(&["cat", "state/metering_state.json"]).out;
    assert_eq!(state, kept);
    desk.write("state.json", state.as_bytes());
    let imported = desk.run(&["metering", "import-state", "state.json"]);
    assert_eq!(imported.code, 0, "{}", imported.err);

    let last = plan["last_processed_month"].as_str().unwrap().to_owned();
    let reopened = desk.run(&["metering", "reopen", "--month", &last, "--reason", "to see"]);
    assert!(
        reopened.out.contains(&format!("{last} of Postgres:PROD:pt-HJSv20iWX0 is open again")),
        "{}",
        reopened.out
    );
    let status = desk.run(&["metering", "status"]);
    assert!(status.err.contains("was reopened by") && status.err.contains("to see"), "{}", status.err);
    assert_eq!(desk.run(&["metering", "run"]).code, 0);
    assert_eq!(desk.json(&["metering", "status"])["plans"][0]["last_processed_month"], last);
}

#[test]
fn plans_of_a_marketplace_wait_for_each_other_until_one_is_left_out() {
    let desk = Desk::new();
    assert_eq!(desk.run(&["metering", "run", "--sandbox"]).code, 0);
    let status = desk.json(&["metering", "status"]);
    let (plan, last) =
        (status["plans"][0]["plan"].clone(), status["plans"][0]["last_processed_month"].clone());
    let (plan, last) = (plan.as_str().unwrap(), last.as_str().unwrap());
    // a plan that the export knows nothing of
    let names: Vec<&str> = plan.split(':').collect();
    let entry =
        |plan: &str| format!("    - {{service: {}, environment: {}, plan: {plan}}}\n", names[0], names[1]);
    let catalog = format!("metering:\n  plans:\n{}{}", entry(names[2]), entry("pt-z"));
    desk.write("catalog.yaml", catalog.as_bytes());
    assert_eq!(desk.run(&["put", "catalog.yaml", "catalog/current.yaml"]).code, 0);
    let other = format!("{}:{}:pt-z", names[0], names[1]);
    let reopened = desk.run(&["metering", "reopen", "--plan", plan, "--month", last, "--reason", "to see"]);
    assert_eq!(reopened.code, 0, "{}", reopened.err);
    assert_ne!(desk.run(&["metering", "run"]).code, 0);
    let waits = format!("{last} of {plan} waits for the usage of {other}");
    for command in ["status", "dry-run"] {
        let said = desk.run(&["metering", command]).err;
        assert!(said.contains(&waits), "{command}: {said}");
    }
    let closed = || {
        let plans = desk.json(&["metering", "status"])["plans"].clone();
        plans.as_array().unwrap().iter().find(|status| status["plan"] == plan).unwrap()["last_processed_month"].clone()
    };
    assert_ne!(closed(), last);
    let left_out = desk.run(&[
        "metering",
        "leave-out",
        "--plan",
        &other,
        "--month",
        last,
        "--reason",
        "it is lost",
        "--by",
        "Ann",
    ]);
    assert_eq!(left_out.code, 0, "{}", left_out.err);
    desk.run(&["metering", "run"]);
    assert_eq!(closed(), last);
    let said = desk.run(&["metering", "status"]).err;
    assert!(said.contains(&format!("{last} of {other} was left out by Ann: it is lost")), "{said}");
}

#[test]
fn a_state_file_is_taken_over_whole_or_not_at_all() {
    let desk = Desk::new();
    let good = r#"{"Postgres:PROD:pt-HJSv20iWX0": {"last_processed_month": "2025-05", "last_updated": "2025-06-01T02:00:11Z",
        "processed_contracts": {"2025-05": ["ae641bd1-edf8-4038-bfed-d2ff556c729e:2025-05"]}}}"#;
    let hourly = good.replace("\"2025-05\": [", "\"2025-05-31T23\": [");
    for (content, part) in [
        (hourly.as_str(), "reported by the hour"),
        (&good[..200], "is not JSON"),
        ("", "is not JSON"),
        ("{}", "names no plan"),
        (r#"{"x": {}}"#, "is no plan"),
    ] {
        desk.write("state.json", content.as_bytes());
        let answer = desk.run(&["metering", "import-state", "state.json"]);
        assert_eq!(answer.code, 1, "{content}");
        assert!(answer.err.contains(part) && answer.err.contains("state.json"), "{}", answer.err);
    }
    let plan = ["--plan", "Postgres:PROD:pt-HJSv20iWX0"];
    assert_eq!(
        desk.run(&[&["metering", "export-state"], &plan[..]].concat()).out.trim(),
        "{}",
        "nothing was taken over"
    );
    desk.write("state.json", good.as_bytes());
    assert_eq!(desk.run(&["metering", "import-state", "state.json"]).code, 0);
    let exported: Value =
        serde_json::from_str(&desk.run(&[&["metering", "export-state"], &plan[..]].concat()).out).unwrap();
    assert_eq!(exported, serde_json::from_str::<Value>(good).unwrap());
    let status = desk.run(&[&["metering", "status"], &plan[..]].concat());
    assert!(
        status.out.contains("imported") && status.out.contains("closed through 2025-05"),
        "{}",
        status.out
    );
}

#[test]
fn metering_without_a_plan_says_what_to_configure() {
    let desk = Desk::new();
    for args in [
        vec!["metering", "status"],
        vec!["metering", "export-state"],
        vec!["metering", "reopen", "--month", "2026-10", "--reason", "x"],
    ] {
        let answer = desk.run(&args);
        assert_eq!(answer.code, 1);
        assert!(
            answer.err.contains("set SERVICE_NAME, ENVIRONMENT_TYPE and PLAN_ID"),
            "{args:?}: {}",
            answer.err
        );
    }
    let answer = desk.run(&["metering", "run"]);
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("S3_BUCKET_NAME is missing"), "{}", answer.err);
    assert_eq!(desk.run(&["metering", "reopen", "--month", "2026-10"]).code, 2);
    assert_eq!(desk.run(&["metering", "status", "--plan", "x"]).code, 2);
}

#[test]
fn usage_reports_are_certified_held_or_missing() {
    let desk = Desk::new();
    let status = desk.json(&["invoke", "fetch-ccx", "--sandbox", "--dry-run"]);
    assert_eq!(status["reports"].as_array().unwrap().len(), 2);
    let states = |status: &Value| {
        let rows = status["usage_reports"].as_array().unwrap().iter();
        rows.map(|row| row["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(states(&desk.json(&["status"])), ["missing", "missing"]);
    assert_eq!(desk.run(&["run"]).code, 0);
    let status = desk.json(&["status"]);
    assert_eq!(states(&status), ["certified", "certified"]);
    let row = &status["usage_reports"][1];
    assert_eq!(
        (&row["certificate"], &row["finality"], &row["account"]),
        (&"matched".into(), &"final".into(), &"ccx.sandbox".into())
    );
    assert!(status["invoices"].as_array().unwrap().iter().all(|row| row["provider"] != "ccx"));
    let shown = desk.run(&["status", "--month", row["month"].as_str().unwrap()]);
    assert!(shown.out.contains("Usage reports") && shown.out.contains("certified"), "{}", shown.out);

    // a document put by hand is certified by its key
    desk.write("report.json", b"{}");
    let folder = format!("raw/ccx/ccx.sandbox/{}/usage/", row["month"].as_str().unwrap());
    let key = desk.run(&["put", "report.json", &folder]).out.trim().to_owned();
    assert_eq!(desk.run(&["status"]).code, 0);
    desk.write("event.json", format!("{{\"key\": \"{key}\"}}").as_bytes());
    let held = desk.run(&["invoke", "fetch-ccx", "-e", "event.json"]);
    assert_eq!(held.code, 3, "{}", held.err);
    let status = desk.run(&["status"]);
    assert_eq!(status.code, 3);
    assert!(status.err.contains("is held: the report has no datastores"), "{}", status.err);
}

#[test]
fn no_secret_appears_in_what_is_printed_or_logged() {
    let desk = Desk::new();
    let mut seen = String::new();
    for args in [vec!["demo", "-v"], vec!["run", "-v"], vec!["status", "-v"]] {
        let answer = desk.run(&args);
        seen.extend([answer.out, answer.err]);
    }
    desk.run(&["reset"]);
    let private_key = "3f6d0c52-aaaa-bbbb-cccc-5a6d0c1e8f34";
    desk.write(".env", format!("PUBLIC_KEY=abcdefgh\nPRIVATE_KEY={private_key}\nORG_ID=o\n").as_bytes());
    let answer = desk
        .command(&["run", "-v"])
        .env("ATLAS_API_URL", "http://127.0.0.1:9/api/atlas/v2")
        .env("HTTP_ATTEMPTS", "1")
        .output()
        .unwrap();
    let answer = self::answer(answer);
    assert_eq!(answer.code, 1);
    seen.extend([answer.out, answer.err]);
    let [(_, public), (_, private), _] = local::sandbox::ATLAS_CREDENTIALS;
    let [_, (_, clazar)] = local::sandbox::CLAZAR_CREDENTIALS;
    let [_, (_, ccx)] = local::sandbox::CCX_CREDENTIALS;
    let [_, (_, prometheus)] = local::sandbox::PROMETHEUS_CREDENTIALS;
    let basic = "Basic ";
    for secret in [
        public,
        private,
        clazar,
        ccx,
        prometheus,
        private_key,
        "abcdefgh",
        "Digest username",
        "Bearer ",
        basic,
    ] {
        assert!(!seen.contains(secret), "{secret}");
    }
    // and they do not stand in the state either
    let state = Command::new("grep")
        .args(["-rlE", &format!("{private}|{clazar}|{ccx}|{prometheus}"), ".monthend"])
        .current_dir(desk.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(state.stdout).unwrap(), "");
}

/// `monthend up`, ended when the test ends.
struct Up {
    child: Child,
    endpoints: Value,
}

impl Up {
    fn start(desk: &Desk, args: &[&str]) -> Self {
        // ports of this test alone: the process id spreads them, below those that the system gives out
        let base = 20_000 + (std::process::id() % 1_000) * 12 + 1;
        let base = base.to_string();
        let all = [&["up", "--format", "json", "--port-base", &base], args].concat();
        let mut child = desk.command(&all).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, endpoints: serde_json::from_str(&line).unwrap() }
    }

    /// As `kill PID` does.
    fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

#[test]
fn other_commands_use_the_cloud_that_runs_and_it_ends_cleanly() {
    let desk = Desk::new();
    let up = Up::start(&desk, &["--sandbox", "--month", "2026-10"]);
    for name in [
        "s3",
        "dynamodb",
        "bucket",
        "table",
        "atlas",
        "clazar",
        "ccx",
        "aws",
        "azure",
        "gcp",
        "prometheus",
        "vault",
        "export_bucket",
    ] {
        assert!(up.endpoints[name].is_string(), "{}", up.endpoints);
    }
    let run = desk.json(&["run", "--month", "2026-10"]);
    assert_eq!(run["functions"]["fetch-atlas"]["fetched"], 3);
    let states: Vec<_> =
        run["documents"].as_array().unwrap().iter().map(|row| row["state"].clone()).collect();
    // three invoices of Atlas, and the bills of three clouds
    assert_eq!(states, ["allocated"; 6]);
    assert_eq!(run["functions"]["fetch-ccx"]["reports"][0]["state"], "certified");
    assert_eq!(run["functions"]["fetch-prometheus"]["written"], 3);
    let second = desk.run(&["up"]);
    assert_eq!(second.code, 1);
    assert!(second.err.contains("another monthend works in .monthend"), "{}", second.err);
    assert_eq!(up.terminate(), Some(0));
    // what it held is still there
    assert_eq!(desk.json(&["status"])["invoices"].as_array().unwrap().len(), 6);
}

#[test]
fn a_killed_cloud_loses_nothing() {
    let desk = Desk::new();
    let mut up = Up::start(&desk, &["--sandbox", "--month", "2026-10"]);
    desk.json(&["run", "--month", "2026-10"]);
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    let status = desk.json(&["status"]);
    let states: Vec<_> =
        status["invoices"].as_array().unwrap().iter().map(|row| row["state"].clone()).collect();
    // three invoices of Atlas, and the bills of three clouds
    assert_eq!(states, ["allocated"; 6]);
}

#[test]
fn the_worked_example_of_revenue_leaves_nothing_behind() {
    let desk = Desk::new();
    let report = desk.json(&["report", "revenue", "--example"]);
    assert_eq!(report["total_revenue"], json!(55));
    assert_eq!(report["revenue_report"][0]["services_report"]["762786"]["debt"], json!(57.5));
    let table = desk.run(&["report", "revenue", "--example", "--no-color"]);
    for part in ["Revenue in EUR, 2018-03-10 18:00:00+00:00 to", "Winterfell", "102.5", "OpenStack Project"] {
        assert!(table.out.contains(part), "{part}: {}", table.out);
    }
    let csv = desk.run(&["report", "revenue", "--example", "--format", "csv"]);
    assert_eq!(csv.out.lines().count(), 3, "{}", csv.out);
    assert!(std::fs::read_dir(desk.path()).unwrap().next().is_none());
}
