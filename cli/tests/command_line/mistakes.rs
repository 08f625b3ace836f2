//! Typing errors: each is answered as one, and none leaves anything behind.

use chrono::Utc;
use serde_json::Value;

use super::Desk;
use super::homes::billed;

#[test]
fn a_name_that_there_is_not_is_a_wrong_argument() {
    let desk = billed();
    let months = Utc::now().date_naive();
    let running = months.format("%Y-%m").to_string();
    for (args, part) in [
        (vec!["bill", "--month", "2026-09", "--customer", "Nobody"], "there are: Team Blue, Team Red"),
        (
            vec!["bill", "--month", "2026-09", "--customer", "Nobody", "--dry-run"],
            "there are: Team Blue, Team Red",
        ),
        (vec!["bill", "--month", "2026-09", "--mail", "Nobody=sent"], "nothing of it waits for an answer"),
        (vec!["bill", "--month", "2026-09", "--mail", "Team Blue=perhaps"], "write CUSTOMER=sent"),
        (vec!["bill", "--month", "2026-09", "--catalog", "abcdef"], "the catalog version abcdef is not kept"),
        (vec!["bill", "--month", "2026-09", "--catalog", "old"], "four digits of a version's hash"),
        (vec!["bill", "--month", "2026-09", "--release", " "], "say why"),
        (vec!["report", "revenue", "--start", "2026-10-02", "--end", "2026-10-01"], "2026-10-0"),
        (vec!["bill", "--month", "2999-01"], "2999-01 has not begun"),
        (vec!["diff", "--from", "current", "--to", "3f9a2c"], "give --month"),
        (vec!["diff", "--month", "2026-09", "--from", "current", "--to", "3f9a2c"], "3f9a2c is not kept"),
        (vec!["demo", "--month", "2999-01"], "2999-01 has not begun"),
        (vec!["demo", "--month", &running], "is not over"),
        (vec!["metering", "run", "--month", "2999-01"], "2999-01 has not begun"),
        (vec!["run", "--month", "2999-01"], "2999-01 has not begun"),
        (vec!["status", "--month", "2999-01"], "2999-01 has not begun"),
        (vec!["diff", "--from", "2026-09", "--to", "2999-01"], "2999-01 has not begun"),
        (vec!["report", "revenue", "--month", "2999-01"], "2999-01 has not begun"),
        (vec!["report", "revenue", "--start", "2999-01-02", "--end", "2999-01-03"], "has not begun"),
        (vec!["metering", "export-state", "--format", "csv"], "leave --format csv away"),
        (vec!["put", "catalog.yaml", ""], "a value is required"),
    ] {
        let answer = desk.run(&args);
        assert_eq!(answer.code, 2, "{args:?}: {}{}", answer.out, answer.err);
        assert!(answer.err.contains(part), "{args:?}: {}", answer.err);
        assert!(!answer.err.contains("held"), "{args:?}: {}", answer.err);
    }
    let no_run =
        desk.run(&["explain", "bill", "--month", "2026-09", "--customer", "Team Blue", "--run", "7"]);
    assert!(no_run.err.contains("2026-09 has no run 7; there are: 1"), "{}", no_run.err);
    let no_bill = desk.run(&["explain", "bill", "--month", "2026-08", "--customer", "Team Blue"]);
    assert!(no_bill.err.contains("2026-08 has no bills"), "{}", no_bill.err);
    // as an event it is refused, too
    desk.write("event.json", b"{\"month\": \"2999-01\"}");
    let event = desk.run(&["invoke", "bill", "-e", "event.json"]);
    assert_eq!(event.code, 1);
    assert!(event.err.contains("2999-01 has not begun"), "{}", event.err);
    assert!(!desk.run(&["ls"]).out.contains("held/"));
    assert_eq!(desk.run(&["status"]).code, 0);
}

#[test]
fn what_is_metered_is_named() {
    let desk = Desk::new();
    let unknown = desk.run(&["metering", "run", "--sandbox", "--contract", "nope"]);
    assert_eq!(unknown.code, 2, "{}", unknown.err);
    assert!(unknown.err.contains("there is no contract 'nope' in the usage; there are: "), "{}", unknown.err);
    let before = desk.run(&["metering", "run", "--month", "2019-01"]);
    assert_eq!(before.code, 2, "{}", before.err);
    assert!(before.err.contains("no usage of 2019-01 was counted"), "{}", before.err);
    let csv = desk.run(&["metering", "run", "--format", "csv"]).out;
    assert_eq!(csv.lines().filter(|line| line.starts_with("plan,")).count(), 1, "{csv}");
    let reopen = |args: &[&str]| {
        let status = desk.json(&["metering", "status"]);
        let month = status["plans"][0]["last_processed_month"].as_str().unwrap().to_owned();
        let all = [&["metering", "reopen", "--reason", "to see", "--month", &month], args].concat();
        assert_eq!(desk.run(&all).code, 0);
        desk.run(&["metering", "status"]).err
    };
    let status = desk.json(&["metering", "status"]);
    let plan = &status["plans"][0];
    let (last, name) = (plan["last_processed_month"].as_str().unwrap(), plan["plan"].as_str().unwrap());
    let contract = plan["submissions"][0]["contract"].as_str().unwrap();
    let for_a_reason =
        |args: &[&str]| desk.run(&[&["metering"], args, &["--month", last, "--reason", "x"]].concat());
    for (args, code, part) in [
        (vec!["give-up", "--contract", contract], 1, "nothing of it is refused"),
        (vec!["give-up", "--contract", contract, "--dry-run"], 1, "nothing of it is refused"),
        (
            vec!["give-up", "--contract", "nope"],
            2,
            "nothing is given up: there is no contract 'nope' in the usage of",
        ),
        (vec!["leave-out", "--plan", "a:b:c"], 2, "there is no plan a:b:c; there are: Postgres:PROD:"),
        (vec!["leave-out", "--plan", name], 1, "is not left out: its usage is there"),
    ] {
        let answer = for_a_reason(&args);
        assert_eq!(answer.code, code, "{args:?}: {}", answer.err);
        assert!(answer.err.contains(part), "{args:?}: {}", answer.err);
    }
    assert!(reopen(&["--by", "Ann"]).contains("was reopened by Ann: to see"));
    assert!(!reopen(&[]).contains("by somebody"));
}

#[test]
fn keys_that_name_no_file_are_keys_as_on_s3() {
    let desk = Desk::new();
    desk.write("x", b"hello");
    assert_eq!(desk.run(&["put", "x", "bills/2026-09/acme.csv"]).code, 0);
    let folder = desk.run(&["cat", "bills/2026-09"]);
    assert!(folder.err.contains("there is no object"), "{}", folder.err);
    let keys = ["../../evil", "a/../b", "/etc/x", "a//b", "bills/2026-09", "bills/2026-09/acme.csv/x"];
    for key in keys {
        let put = desk.run(&["put", "x", key]);
        assert_eq!(put.code, 0, "{key}: {}", put.err);
        assert_eq!(desk.run(&["cat", key]).out, "hello", "{key}");
    }
    assert!(!desk.path().join(".monthend/s3/evil").exists() && !desk.path().join("evil").exists());
    assert_eq!(desk.run(&["ls", "--format", "csv"]).out.lines().count(), 2 + keys.len());
    let nothing = desk.run(&["put", "x", "raw/foo/x"]);
    assert!(nothing.err.contains("nothing is started by raw/foo/x"), "{}", nothing.err);
}

#[test]
fn a_catalog_without_content_is_refused_and_a_broken_one_has_one_problem() {
    let desk = billed();
    for (content, part) in [
        ("", "has no content"),
        ("# nothing\n", "has no content"),
        ("{}", "has no content"),
        ("x: [", "this is no YAML"),
    ] {
        desk.write("wrong.yaml", content.as_bytes());
        for command in ["check", "apply"] {
            let answer = desk.run(&["catalog", command, "wrong.yaml"]);
            assert_eq!(answer.code, 1, "{content}");
            assert!(
                answer.out.contains(part) && answer.err.contains("1 problem;"),
                "{}{}",
                answer.out,
                answer.err
            );
        }
    }
    let shown = desk.json(&["catalog", "show"]);
    assert_eq!(shown["customers"][0]["name"], "Team Blue", "{shown}");
}

#[test]
fn what_is_for_programs_is_one_document() {
    let desk = billed();
    let certificates = desk.json(&["explain", "allocation", "--month", "2026-09", "--provider", "acme"]);
    assert_eq!(certificates.as_array().unwrap().len(), 1);
    let csv = desk
        .run(&["explain", "bill", "--month", "2026-09", "--customer", "Team Blue", "--format", "csv"])
        .out;
    assert!(csv.starts_with("line,part,by,"), "{csv}");
    let width = |line: &str| line.matches(',').count();
    assert_eq!(csv.lines().filter(|line| line.starts_with("line,part")).count(), 1, "{csv}");
    assert!(csv.lines().all(|line| width(line) >= 9), "{csv}");

    desk.write(".env", b"REPORTING_DEFAULT_LOCATION=Zug\n");
    let seller =
        b"currency: EUR\nrevenue: {clients: [{id: 1, name: Ann}, {id: 2, name: Bea, currency: CHF}]}";
    desk.write("seller.yaml", seller);
    assert_eq!(desk.run(&["put", "seller.yaml", "catalog/current.yaml"]).code, 0);
    let payment = |client: u8, currency: &str| {
        format!(
            r#"{{"id": "{client}", "date": "2026-10-02T00:00:00Z", "client": {client}, "source": "tr", "destination": "cr", "amount": 2, "currency": "{currency}"}}"#
        )
    };
    desk.write("a.jsonl", format!("{}\n{}\n", payment(1, "EUR"), payment(2, "CHF")).as_bytes());
    let put = desk.run(&["put", "a.jsonl", "journal/2026-10/a.jsonl"]);
    assert_eq!(put.code, 0, "{}", put.err);
    let report = ["report", "revenue", "--month", "2026-10"];
    let both = desk.json(&report);
    let codes: Vec<&Value> = both.as_array().unwrap().iter().map(|report| &report["currency_code"]).collect();
    assert_eq!(codes, ["CHF", "EUR"]);
    let one = desk.json(&[report.as_slice(), &["--currency", "EUR"]].concat());
    assert_eq!(one["currency_code"], "EUR");
    let none = desk.run(&[report.as_slice(), &["--currency", "XXX"]].concat());
    assert_eq!(none.code, 2);
    assert!(none.err.contains("there is no report in XXX; there are: CHF, EUR"), "{}", none.err);
}
