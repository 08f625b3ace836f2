//! Whose data a home holds, what it says is held, and what it gives up.

use std::fs::File;
use std::process::Stdio;

use super::bill::file;
use super::{Desk, answer};

/// A desk with a month that is billed.
pub(super) fn billed() -> Desk {
    let desk = Desk::new();
    desk.write("september.csv", file("september.csv").as_bytes());
    desk.write("catalog.yaml", file("catalog.yaml").as_bytes());
    for args in [
        ["import", "september.csv"].as_slice(),
        &["catalog", "apply", "catalog.yaml"],
        &["bill", "--month", "2026-09"],
    ] {
        assert_eq!(desk.run(args).code, 0, "{args:?}");
    }
    desk
}

#[test]
fn own_data_goes_only_when_asked() {
    let desk = billed();
    for (args, part) in [
        (["demo"].as_slice(), "holds your own data"),
        (&["reset"], "say so: monthend reset --yes"),
        (&["run", "--sandbox"], "own data"),
    ] {
        let refused = desk.run(args);
        assert_eq!(refused.code, 1, "{args:?}");
        assert!(refused.err.contains(part), "{args:?}: {}", refused.err);
    }
    assert!(desk.run(&["cat", "bills/2026-09/acme.csv"]).out.starts_with("blue-prod;"));
    assert_eq!(desk.run(&["reset", "--yes"]).code, 0);
    assert!(!desk.path().join(".monthend").exists());

    // what stands in the ledger only is own data as well
    let state = r#"{"Postgres:PROD:pt-1": {"last_processed_month": "2025-05", "last_updated": "2025-06-01T02:00:11Z", "processed_contracts": {}}}"#;
    desk.write("state.json", state.as_bytes());
    desk.write("password.txt", b"choose a long password");
    let imported = desk.run(&["metering", "import-state", "state.json"]);
    assert_eq!(imported.code, 0, "{}", imported.err);
    assert_eq!(desk.run(&["demo"]).code, 1);
    assert_eq!(desk.run(&["reset", "--yes"]).code, 0);
    let password = File::open(desk.path().join("password.txt")).unwrap();
    let set = desk.command(&["admin", "set-password"]).stdin(Stdio::from(password)).output().unwrap();
    assert_eq!(answer(set).code, 0);
    // a password is nobody's data: the sandbox takes the home
    let sandbox = desk.run(&["invoke", "fetch-ccx", "--sandbox"]);
    assert_eq!(sandbox.code, 0, "{}", sandbox.err);
    assert_eq!(desk.run(&["reset"]).code, 0);
    // looking leaves nothing that is anybody's
    desk.run(&["ls"]);
    assert_eq!(desk.run(&["reset"]).code, 0);
}

#[test]
fn the_sandbox_is_not_taken_for_an_account_of_ones_own() {
    let desk = Desk::new();
    desk.write("catalog.yaml", file("catalog.yaml").as_bytes());
    assert_eq!(desk.run(&["invoke", "fetch-ccx", "--sandbox"]).code, 0);
    let holds = "holds the sandbox's invented data";
    let goes_on = desk.run(&["invoke", "fetch-ccx"]);
    assert_eq!(goes_on.code, 0, "{}", goes_on.err);
    assert!(
        goes_on.err.contains(holds) && goes_on.err.contains("going on with the sandbox"),
        "{}",
        goes_on.err
    );
    let added = desk.run(&["catalog", "apply", "catalog.yaml"]);
    assert!(added.code == 0 && added.err.contains(holds), "{}", added.err);
    assert_eq!(desk.run(&["ls"]).err, "");

    desk.write(".env", b"ORG_ID=5f1a2b3c4d5e6f7081920a01\n");
    for args in [["invoke", "fetch-ccx"].as_slice(), &["run"], &["up"], &["catalog", "apply", "catalog.yaml"]]
    {
        let refused = desk.run(args);
        assert_eq!(refused.code, 1, "{args:?}");
        for part in [holds, "ORG_ID is set", "`monthend reset`", "MONTHEND_HOME"] {
            assert!(refused.err.contains(part), "{args:?}: {}", refused.err);
        }
    }
    assert_eq!(desk.run(&["invoke", "fetch-ccx", "--sandbox"]).code, 0);
    let looked = desk.run(&["ls"]);
    assert!(looked.code == 0 && looked.err.contains(holds), "{}", looked.err);
}

#[test]
fn a_home_that_cannot_be_is_named_once() {
    let desk = Desk::new();
    desk.write("home", b"a file");
    let refused = answer(desk.command(&["ls"]).env("MONTHEND_HOME", "home").output().unwrap());
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("MONTHEND_HOME"), "{}", refused.err);
    assert_eq!(refused.err.matches("os error").count(), 1, "{}", refused.err);
}

#[test]
fn what_cannot_be_printed_is_a_failure() {
    let desk = Desk::new();
    desk.write("catalog.yaml", file("catalog.yaml").as_bytes());
    assert_eq!(desk.run(&["catalog", "apply", "catalog.yaml"]).code, 0);
    for args in [
        ["ls"].as_slice(),
        &["ls", "--format", "csv"],
        &["status", "--format", "json"],
        &["cat", "catalog/current.yaml"],
        &["catalog", "show"],
        &["report", "usage", "--format", "csv"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let full = answer(desk.command(args).stdout(Stdio::from(full)).output().unwrap());
        assert_eq!(full.code, 1, "{args:?}");
        assert!(full.err.contains("failed to write to standard output"), "{args:?}: {}", full.err);
        // a reader that has seen enough
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = answer(desk.command(args).stdout(Stdio::from(writer)).output().unwrap());
        assert_eq!(
            (closed.code, closed.err.contains("standard output")),
            (0, false),
            "{args:?}: {}",
            closed.err
        );
    }
}

#[test]
fn everything_that_is_held_is_shown_until_it_is_mended() {
    let desk = Desk::new();
    desk.write(".env", b"REPORTING_DEFAULT_LOCATION=Zug\n");
    desk.write("catalog.yaml", file("catalog.yaml").as_bytes());
    desk.write("september.csv", file("september.csv").as_bytes());
    desk.write("broken.jsonl", b"{}\n");
    desk.write("good.jsonl", b"");
    assert_eq!(desk.run(&["catalog", "apply", "catalog.yaml"]).code, 0);
    assert_eq!(desk.run(&["bill", "--month", "2026-09"]).code, 3);
    for key in ["journal/2026-10/a.jsonl", "journal/2026-10/b.jsonl", "datastores/x.jsonl"] {
        assert_eq!(desk.run(&["put", "broken.jsonl", key]).code, 3, "{key}");
    }
    let status = desk.run(&["status"]);
    assert_eq!(status.code, 3);
    for part in [
        "bills/2026-09",
        "reports/revenue/2026-10",
        "datastores/x.jsonl",
        "no invoice of 2026-09",
        "id is missing",
    ] {
        assert!(status.out.contains(part), "{part}: {}{}", status.out, status.err);
    }
    assert_eq!(status.err.matches("given up after 3 attempts").count(), 3, "{}", status.err);
    let month = desk.json(&["status", "--month", "2026-10"]);
    let documents: Vec<&str> =
        month["held"].as_array().unwrap().iter().map(|row| row["document"].as_str().unwrap()).collect();
    assert_eq!(documents, ["datastores/x.jsonl", "reports/revenue/2026-10"]);

    // one of two is not enough
    assert_eq!(desk.run(&["put", "good.jsonl", "journal/2026-10/a.jsonl"]).code, 3);
    assert_eq!(desk.run(&["put", "good.jsonl", "journal/2026-10/b.jsonl"]).code, 0);
    assert_eq!(desk.run(&["put", "good.jsonl", "datastores/x.jsonl"]).code, 0);
    assert_eq!(desk.run(&["import", "september.csv"]).code, 0);
    assert_eq!(desk.run(&["bill", "--month", "2026-09"]).code, 0);
    let status = desk.run(&["status"]);
    assert_eq!(status.code, 0, "{}{}", status.out, status.err);
    assert!(!status.out.contains("Held") && !status.err.contains("given up"), "{}{}", status.out, status.err);
}

#[test]
fn a_document_that_was_cut_short_is_held_until_the_next_one() {
    let desk = Desk::new();
    desk.write("bad.json", &super::invoice(900));
    desk.write("good.json", &super::invoice(5));
    assert_eq!(desk.run(&["put", "bad.json", "raw/atlas/o1/2026-10/i1/"]).code, 3);
    assert_eq!(desk.run(&["status"]).code, 3);
    assert_eq!(desk.run(&["put", "good.json", "raw/atlas/o1/2026-10/i1/"]).code, 0);
    let status = desk.run(&["status"]);
    assert_eq!(status.code, 0, "{}{}", status.out, status.err);
    assert!(!status.err.contains("given up") && !status.err.contains("is held"), "{}", status.err);
}
