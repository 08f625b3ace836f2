//! `bill-month make FILE ROWS`: a file of charges of 10,000 accounts, as `allocate` writes them.
//!
//! `bill-month FILE`: the charges of a month to bills, by a catalog of 1,000 customers, 10,000 accounts and 200 rules; prints what that
//! cost and what it came to, as JSON.

#![expect(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::fmt::Write as _;
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use bench::process;
use billing::bills::{
    BillInput, ChargeError, ChargeRows, Drivers, LatePositions, MonthAdder, MonthTotals, Posted, Rows,
    Wanted, make_bills,
};
use billing::catalog::billing::{InForce, parse};
use billing::charge::{Charge, ChargesFile, Period};
use billing::money::{Currency, Decimal};
use billing::month::BillingMonth;
use serde_json::json;

const ACCOUNTS: u64 = 10_000;
const CUSTOMERS: u64 = 1_000;
const SERVICES: u64 = 40;
const RULES: u64 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["make", file, rows] => make(file, rows.parse()?),
        [file] => bill(file),
        _ => Err("bill-month [make] FILE [ROWS]".into()),
    }
}

fn month() -> Result<BillingMonth, Box<dyn Error>> {
    Ok("2026-10".parse()?)
}

fn make(file: &str, rows: u64) -> Result<(), Box<dyn Error>> {
    let month = month()?;
    let period = Period { start: month.start(), end: month.end() };
    let mut out = ChargesFile::create_in(
        File::create(file)?,
        &[("monthend.raw", "raw/acme/payer/2026-10/bench/0.json")],
    )?;
    for row in 0..rows {
        // scattered by a factor that shares no divisor with the counts
        let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let cost = Decimal::new(i64::try_from(mixed % 1_000_000)?, 6);
        let mut charge = Charge::new(cost, Currency::USD, "payer".into(), period, "acme".into());
        charge.sub_account_id = Some(format!("account-{}", mixed % ACCOUNTS).into());
        charge.service_name = format!("service-{}", mixed / 7 % SERVICES).into();
        charge.region_id = Some(format!("region-{}", mixed / 11 % 9).into());
        charge.resource_id = Some(format!("resource-{}", mixed % 100_000).into());
        charge.tags = Some(
            format!(
                "{{\"team\":\"team-{}\",\"env\":\"{}\"}}",
                mixed / 13 % 100,
                ["prod", "dev"][usize::try_from(mixed % 2)?]
            )
            .into(),
        );
        out.push(&charge)?;
    }
    out.finish()?;
    Ok(())
}

fn catalog() -> Result<String, std::fmt::Error> {
    let mut text = "currency: CHF\nfx: {rates: {2026-10: {USD: \"0.9\"}}}\ncustomers:\n".to_owned();
    for customer in 0..CUSTOMERS {
        writeln!(text, "  - {{name: customer-{customer}}}")?;
    }
    text += "accounts:\n";
    for account in 0..ACCOUNTS {
        let customer = account % CUSTOMERS;
        writeln!(
            text,
            "  - {{provider: acme, id: account-{account}, customer: customer-{customer}, percentage: 105}}"
        )?;
    }
    text += "allocations:\n";
    for rule in 0..RULES {
        let (customer, service, region, team) = (rule, rule % SERVICES, rule % 9, rule % 100);
        writeln!(
            text,
            "  - {{name: rule-{rule}, match: {{service: \"service-{service}\", region: \"region-{region}*\", tags: {{team: \"*-{team}\", env: prod}}}}, customer: customer-{customer}}}"
        )?;
    }
    text += "pools:\n  - {name: support, match: {service: service-39}, split: {by: cost}}\n  - {name: shared, match: {tags: {team: team-99}}, split: {by: even}}\n";
    Ok(text)
}

fn bill(file: &str) -> Result<(), Box<dyn Error>> {
    let month = month()?;
    let (started, cpu) = (Instant::now(), process::cpu_time_of_all_threads()?);
    let catalog = parse(catalog()?.as_bytes())?;
    let in_force = InForce::new(&catalog, month);
    let (mut adder, mut totals, mut rows) = (MonthAdder::new(&in_force), MonthTotals::default(), 0u64);
    ChargeRows::open(Arc::new(File::open(file)?))?.each("acme", Wanted::default(), |row| {
        rows += 1;
        adder.add(&row.facts, row.currency, Some(row.billed), row.effective)?;
        totals.add(row).map_err(ChargeError::from)
    })?;
    let charged = adder.finish()?;
    let added = started.elapsed();
    let (drivers, posted) = (Drivers::default(), Posted::new());
    let run = make_bills(&BillInput {
        in_force: &in_force,
        charged: &charged,
        drivers: &drivers,
        posted: &posted,
        corrections: &[],
        carried: &[],
        late: &LatePositions::default(),
        only: None,
    })?;
    let exports = run.exports(&catalog, Rows::All)?;
    let tables = totals.tables(month)?;
    let wall = started.elapsed();
    let cost = json!({
        "wall_ms": u64::try_from(wall.as_millis())?,
        "added_ms": u64::try_from(added.as_millis())?,
        "cpu_ms": u64::try_from((process::cpu_time_of_all_threads()? - cpu).as_millis())?,
        "peak_kib": process::peak_kib()?,
        "rows": rows,
        "bills": run.bills.len(),
        "lines": exports.iter().map(|export| export.lines).sum::<u64>(),
        "table_bytes": tables.iter().map(|table| table.csv.len()).sum::<usize>(),
        "total": run.certificate.released_total.to_string(),
    });
    println!("{cost}");
    Ok(())
}
