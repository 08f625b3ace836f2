//! `focus-bill FILE THREADS sums|charges`: a FOCUS export (Parquet or CSV.gz) to its sums by account, service and tag, or to sums and
//! a file of charges in the temporary folder; prints what that cost and what it came to, as JSON.

#![expect(clippy::print_stdout, reason = "a program")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use bench::process;
use billing::charge::{ChargesFile, Period};
use billing::charges::{BillContext, Document, Focus, Selection, add_up, write_charges};
use billing::month::BillingMonth;
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, threads, what] = &arguments[..] else {
        return Err("focus-bill FILE THREADS sums|charges".into());
    };
    let document = Document { key: path, file: Arc::new(File::open(path)?) };
    let month: BillingMonth = "2026-10".parse()?;
    let selection = Selection::all_of(month);

    let (started, cpu) = (Instant::now(), process::cpu_time_of_all_threads()?);
    let totals = add_up(&document, &Focus, &selection, threads.parse()?)?;
    let mut charges_bytes = 0;
    if what == "charges" {
        let period = Period { start: month.start(), end: month.end() };
        let names = BTreeMap::new();
        let context = BillContext { billing_account: "none", period, sub_account_names: &names };
        let mut out = ChargesFile::create_in(tempfile::tempfile()?, &[])?;
        let written =
            write_charges(&document, &Focus, &selection, &[context], &mut |_, charge| out.push(charge))?;
        charges_bytes = out.finish()?.metadata()?.len();
        assert!(written.held.is_empty() && written.bills[0].figures.equals(&totals.all)?);
    }
    let wall = started.elapsed();
    let cpu = process::cpu_time_of_all_threads()? - cpu;

    let team = totals.tags.get("team").and_then(|values| values.get("team-7"));
    let cost = json!({
        "wall_ms": u64::try_from(wall.as_millis())?,
        "cpu_ms": u64::try_from(cpu.as_millis())?,
        "peak_kib": process::peak_kib()?,
        "rows": totals.rows,
        "held_rows": totals.held_rows,
        "billed": totals.all.billed.to_string(),
        "accounts": totals.sub_accounts.len(),
        "services": totals.services.len(),
        "team_7": team.map(|figures| figures.billed.to_string()),
        "charges_bytes": charges_bytes,
    });
    println!("{cost}");
    Ok(())
}
