//! `revenue [LINES]`: a journal of that many movements (1,000,000 unless said otherwise), in files of 50,000, from the bytes in memory to
//! the report, the table and the certificate in memory; prints what that cost, as JSON. The journal is the same every time.

#![expect(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use bench::process;
use billing::catalog::offer;
use billing::certificate::DocumentRef;
use billing::revenue::{Journal, JournalFile, Material, RevenueRules, Window, statements};
use billing::revision::sha256_hex;
use serde_json::json;

const LINES_OF_A_FILE: usize = 50_000;
const CLIENTS: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let lines = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse::<usize>())?;
    let (catalog, files) = (catalog(), journal(lines));
    let inputs_kib = process::peak_kib()?;
    let workers = std::thread::available_parallelism()?.get();
    let window = Window::month("2026-10".parse()?);

    let (started, cpu) = (Instant::now(), process::cpu_time_of_all_threads()?);
    let documents: Vec<DocumentRef> = files
        .iter()
        .map(|(key, text)| DocumentRef { key: key.clone(), sha256: sha256_hex(text.as_bytes()) })
        .collect();
    let hashed = started.elapsed();
    let offer = offer(catalog.as_bytes())?;
    let read = files.iter().map(|(key, text)| JournalFile {
        key,
        month: window.months()[0],
        bytes: text.as_bytes(),
    });
    let journal = Journal::read(&read.collect::<Vec<_>>(), &offer, workers)?;
    let parsed = started.elapsed();
    let rules = RevenueRules { default_location: Some("Zurich".into()), ..RevenueRules::default() };
    let material = Material {
        window,
        journal: &journal,
        offer: &offer,
        rules: &rules,
        inputs: &documents,
        catalog: None,
        standing: &[],
    };
    let statements = black_box(statements(&material)?);
    let done = started.elapsed();
    let cpu = process::cpu_time_of_all_threads()? - cpu;

    let cost = json!({
        "lines": lines, "workers": workers, "movements": journal.movements().count(),
        "journal_bytes": files.iter().map(|(_, text)| text.len()).sum::<usize>(),
        "report_bytes": statements.iter().map(|statement| statement.report.len()).sum::<usize>(),
        "hash_ms": u64::try_from(hashed.as_millis())?,
        "parse_ms": u64::try_from((parsed - hashed).as_millis())?,
        "report_ms": u64::try_from((done - parsed).as_millis())?,
        "wall_ms": u64::try_from(done.as_millis())?,
        "cpu_us": u64::try_from(cpu.as_micros())?,
        "inputs_kib": inputs_kib,
        "peak_kib": process::peak_kib()?,
    });
    println!("{cost}");
    Ok(())
}

fn catalog() -> String {
    let clients = (0..CLIENTS).map(|id| json!({"id": id.to_string(), "name": format!("Client {id}")}));
    let services = (0..CLIENTS * 3).map(|id| {
        json!({
            "id": (10_000 + id).to_string(), "name": format!("Service {id}"), "client": (id / 3).to_string(),
            "fixed_monthly_price": "29.00",
        })
    });
    let clients: Vec<_> = clients.collect();
    let services: Vec<_> = services.collect();
    json!({"currency": "EUR", "revenue": {"clients": clients, "services": services}}).to_string()
}

/// Payments, every fourth of them in part, every eighth from credit; every sixteenth line puts money into credit.
fn journal(lines: usize) -> Vec<(String, String)> {
    let file = |first: usize| {
        let mut text = String::new();
        for number in first..lines.min(first + LINES_OF_A_FILE) {
            line(&mut text, number);
        }
        (format!("journal/2026-10/{:04}.jsonl", first / LINES_OF_A_FILE), text)
    };
    (0..lines).step_by(LINES_OF_A_FILE).map(file).collect()
}

fn line(text: &mut String, number: usize) {
    let client = number * 7919 % CLIENTS;
    let (day, second) = (number % 31 + 1, number % 60);
    let net = number % 9000 + 100;
    let (taxes, way) = (net * 19 / 100, if number % 8 == 3 { "cr" } else { "tr" });
    let gross = net + taxes;
    let amount = if number % 4 == 1 { gross / 3 } else { gross };
    let cents = |cents: usize| format!("{}.{:02}", cents / 100, cents % 100);
    // writing to memory cannot fail
    let _ = write!(
        text,
        r#"{{"id": "m-{number}", "date": "2026-10-{day:02} 12:30:{second:02}.{:06}+00:00", "client": {client}, "#,
        number % 1_000_000
    );
    let _ = if number.is_multiple_of(16) {
        writeln!(
            text,
            r#""source": "tr", "destination": "cr", "amount": {}, "currency": "EUR"}}"#,
            cents(gross)
        )
    } else {
        writeln!(
            text,
            r#""source": "{way}", "destination": "iv", "amount": {}, "currency": "EUR", "invoice": {{"id": "iv-{number}", "items": [{{"id": 1, "service": {}, "item_type": "service", "amount": {}, "taxes_amount": {}, "taxes_percent": 19}}]}}}}"#,
            cents(amount),
            10_000 + client * 3 + number % 3,
            cents(net),
            cents(taxes)
        )
    };
}
