//! A platform team's first bill, by the commands of docs/teams.md.

use super::Desk;

/// A block of the guide that makes a file.
pub(super) fn file(name: &str) -> String {
    let guide = include_str!("../../../docs/teams.md");
    let (_, rest) = guide.split_once(&format!("cat > {name} <<'")).unwrap();
    let (end, rest) = rest.split_once("'\n").unwrap();
    let (text, _) = rest.split_once(&format!("    {end}\n")).unwrap();
    text.lines().map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line))).collect()
}

#[test]
fn the_guide_leads_to_a_first_bill() {
    let desk = Desk::new();
    desk.write("september.csv", file("september.csv").as_bytes());
    desk.write("catalog.yaml", file("catalog.yaml").as_bytes());
    let done = |args: &[&str]| {
        let answer = desk.run(args);
        assert_eq!(answer.code, 0, "{args:?}: {}{}", answer.out, answer.err);
        answer
    };
    done(&["import", "september.csv"]);
    let row = done(&["explain", "allocation", "--month", "2026-09", "--provider", "acme"]);
    assert!(row.out.contains("blue-prod") && row.out.contains("100.004"), "{}", row.out);
    done(&["catalog", "check", "catalog.yaml"]);
    let none = desk.run(&["bill", "--month", "2026-09"]);
    assert!(none.out.contains("nothing"), "{}{}", none.out, none.err);
    assert!(none.err.contains("2026-09: no catalog with customers is in force"), "{}{}", none.out, none.err);
    done(&["catalog", "apply", "catalog.yaml"]);

    let looked = done(&["bill", "--month", "2026-09", "--dry-run"]);
    assert!(looked.out.contains("preview") && looked.out.contains("448.90"), "{}", looked.out);
    assert_eq!(desk.run(&["ls", "bills/"]).out.lines().filter(|line| line.contains("bills/")).count(), 0);
    let billed = desk.json(&["bill", "--month", "2026-09"]);
    assert_eq!(billed["months"][0]["state"], "billed");
    let csv = done(&["cat", "bills/2026-09/acme.csv"]).out;
    assert!(csv.starts_with("blue-prod;1000;blue@example.com;;108.90;110 % of 100.004 USD at 0.9"), "{csv}");
    let again = done(&["bill", "--month", "2026-09"]);
    assert!(again.out.contains("unchanged"), "{}", again.out);

    let explained = done(&[
        "explain",
        "bill",
        "--month",
        "2026-09",
        "--customer",
        "Team Blue",
        "--line",
        "account/acme/blue-prod",
    ]);
    for part in [
        "account/acme/blue-prod = 108.9 CHF",
        "100.004 USD in 1 charges of charges/provider=acme",
        "proved by certificates/acme/",
    ] {
        assert!(explained.out.contains(part), "{part}: {}", explained.out);
    }
    let unknown = desk.run(&["explain", "bill", "--month", "2026-09", "--customer", "Team Green"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("there are: Team Blue, Team Red"), "{}", unknown.err);
}

#[test]
fn what_would_change_and_what_is_missing_is_shown() {
    let desk = Desk::new();
    desk.write("september.csv", file("september.csv").as_bytes());
    desk.write("catalog.yaml", file("catalog.yaml").as_bytes());
    let dearer = file("catalog.yaml").replace("per_unit: 150", "per_unit: 160");
    desk.write("dearer.yaml", dearer.as_bytes());
    for args in [
        ["import", "september.csv"].as_slice(),
        &["catalog", "apply", "catalog.yaml"],
        &["bill", "--month", "2026-09"],
        &["catalog", "apply", "dearer.yaml"],
    ] {
        assert_eq!(desk.run(args).code, 0, "{args:?}");
    }
    let runs = desk.run(&["ls", "bills/2026-09/runs/", "--format", "csv"]).out;
    let run = runs.lines().nth(1).unwrap();
    let version =
        desk.json(&["cat", run.split(',').next().unwrap()])["catalog"].as_str().unwrap()[..8].to_owned();
    let diff =
        desk.run(&["diff", "--month", "2026-09", "--from", &version, "--to", "current", "--format", "csv"]);
    let line = "Team Blue,service/database,340,360,20,";
    assert!(diff.out.lines().nth(1).unwrap().starts_with(line), "{}{}", diff.out, diff.err);
    let again = desk.run(&["bill", "--month", "2026-09", "--catalog", "current"]);
    assert_eq!(again.code, 0, "{}", again.err);
    let runs = desk.run(&["diff", "--from", "2026-09#1", "--to", "2026-09#2", "--format", "csv"]);
    assert!(runs.out.contains(line), "{}", runs.out);
    let months = desk.run(&["diff", "--from", "2026-08", "--to", "2026-09"]);
    assert!(months.err.contains("2026-08 has no bills"), "{}", months.err);

    let held = desk.run(&["bill", "--month", "2026-10"]);
    assert_eq!(held.code, 3, "{}", held.err);
    assert!(held.out.contains("missing: acme/payer: no invoice of 2026-10 is certified"), "{}", held.out);
    let refused = desk.run(&["bill", "--month", "2026-10", "--mail", "Team Blue"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("write CUSTOMER=sent or CUSTOMER=send"), "{}", refused.err);
    let released = desk.run(&["bill", "--month", "2026-10", "--release", "acme is closed"]);
    assert_eq!(released.code, 0, "{}", released.err);
    // the difference of September is on the bill of October
    assert!(released.out.contains("380.00"), "{}", released.out);
}

#[test]
fn a_certificate_that_was_changed_is_seen_by_everything_that_reads_it() {
    let desk = Desk::new();
    desk.write("september.csv", file("september.csv").as_bytes());
    desk.write("catalog.yaml", file("catalog.yaml").as_bytes());
    for args in [["import", "september.csv"].as_slice(), &["catalog", "apply", "catalog.yaml"]] {
        assert_eq!(desk.run(args).code, 0);
    }
    let listed = desk.run(&["ls", "certificates/acme/", "--format", "csv"]).out;
    let key = listed.split([',', '\n']).find(|cell| cell.ends_with(".json")).unwrap().to_owned();
    let certificate = desk.run(&["cat", &key]).out;
    desk.write("changed.json", certificate.replace("blue-prod", "blue-prop").as_bytes());
    assert_eq!(desk.run(&["put", "changed.json", &key]).code, 0);
    let status = desk.run(&["status"]);
    assert_eq!(status.code, 3, "{}", status.out);
    let said = format!("{key} is not what was certified");
    let both = format!("{}{}", status.out, status.err);
    assert!(both.contains(&said) && status.out.contains("damaged"), "{both}");
    for args in [
        ["explain", "allocation", "--month", "2026-09", "--provider", "acme"].as_slice(),
        &["bill", "--month", "2026-09"],
    ] {
        let answer = desk.run(args);
        assert!(
            answer.code != 0 && format!("{}{}", answer.out, answer.err).contains(&said),
            "{}",
            answer.err
        );
    }
    let (_, event) = both.split_once("with the event ").unwrap();
    desk.write("again.json", event.split_once(" (").unwrap().0.as_bytes());
    assert_eq!(desk.run(&["invoke", "allocate", "-e", "again.json"]).code, 0);
    assert_eq!(desk.run(&["cat", &key]).out, certificate);
    assert_eq!(desk.run(&["bill", "--month", "2026-09"]).code, 0);
    assert_eq!(desk.run(&["status"]).code, 0);
}
