//! `monthend bill`

use std::collections::BTreeMap;

use ::bill::{App, BillShown, BillState, MonthReport};
use billing::bills::{BasisProof, ComponentProof, Recovery, RecoveryProof};
use serde_json::{Value, json};

use crate::Ended;
use crate::args;
use crate::commands::invoke::report_of;
use crate::output::{Format, Listing, Output, text};
use crate::session::Session;

pub(crate) async fn bill(bill: &args::Bill, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let (report, mut ended) = report_of::<App>(session, output, &event(bill)).await;
    let months = || report.iter().flat_map(|report| &report.months);
    for month in months() {
        match month.state {
            BillState::Nothing => output.note(&format!("{}: {}", month.month, month.reason)),
            BillState::Refused => ended = Ended::Usage,
            _ => {}
        }
    }
    match output.format {
        Format::Json => output.json(&report),
        _ => {
            for month in months().filter(|month| month.state != BillState::Refused) {
                show(month, output)?;
            }
        }
    }
    Ok(ended)
}

fn event(bill: &args::Bill) -> Value {
    let args::Bill { month, customer, dry_run, release, catalog, mail } = bill;
    let mails: BTreeMap<_, _> = mail.iter().map(|(customer, answer)| (customer, answer)).collect();
    json!({
        "month": month, "customer": customer, "dry_run": dry_run, "release": release, "catalog": catalog, "mails": mails,
    })
}

/// What was posted now, and where it goes.
fn posted(bill: &BillShown) -> String {
    let is_nothing = bill.difference.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-'));
    match bill.is_first || is_nothing {
        true => bill.difference.clone(),
        false => format!("{} on the next bill", bill.difference),
    }
}

/// A month as tables: bills, where the charges are, what is unallocated, what went out.
pub(crate) fn show(month: &MonthReport, output: &Output) -> anyhow::Result<()> {
    let currency = text(&month.currency);
    if output.format == Format::Table {
        let (of, state, run) = (month.month, text(&month.state), text(&month.run));
        output.heading(&format!("Bills of {of} {currency}: {state} {run}").replace("  ", " "));
    }
    let mut bills = Listing::new(&["customer", "lines>", "total>", "posted>", "carried>", "mail", "held"]);
    for bill in &month.bills {
        let mails = month.mails.iter().filter(|mail| mail.customer == bill.customer);
        let mail: Vec<String> = mails.map(|mail| text(&mail.state)).collect();
        bills.row(vec![
            bill.customer.clone(),
            bill.line_count.to_string(),
            bill.total.clone(),
            posted(bill),
            bill.carried_out.clone(),
            mail.join(", "),
            text(&bill.held),
        ]);
    }
    if month.state != BillState::Nothing || output.format != Format::Table {
        output.listing(&bills)?;
    }
    if output.format != Format::Table {
        return Ok(());
    }
    let proofs = || month.charges.iter().flatten();
    let by_effective = proofs().any(|(_, proof)| proof.basis.is_some());
    let basis = if by_effective { ["basis difference>"].as_slice() } else { &[] };
    let names = ["in bills>", "not recovered>", "unallocated>"];
    let mut charges = Listing::new(&[&["currency", "charges>"], basis, &names].concat());
    for (currency, proof) in proofs() {
        let mut row = vec![currency.clone(), proof.charges_total.to_string()];
        let basis = proof.basis.as_ref().map(|basis| basis.difference).unwrap_or_default();
        row.extend(by_effective.then(|| basis.to_string()));
        let figures = [proof.billed_costs, proof.not_recovered, proof.unallocated_total];
        charges.row(row.into_iter().chain(figures.map(|figure| figure.to_string())).collect());
    }
    if !charges.is_empty() {
        output.listing(&charges)?;
    }
    for (currency, proof) in proofs() {
        let counts = |basis: &&BasisProof| !basis.billed.is_zero() || !basis.effective.is_zero();
        if let Some(basis) = proof.basis.as_ref().filter(counts) {
            output.line(&basis_difference(currency, basis));
        }
    }
    for rest in month.unallocated.iter().flatten() {
        output.line(&format!(
            "   unallocated: {} {} {}: {}",
            rest.what, rest.amount, rest.currency, rest.reason
        ));
    }
    let recovered = month.recovery.iter().flat_map(|proof| recovery(proof, &currency));
    recovered.for_each(|line| output.line(&line));
    for (name, all) in [("missing", &month.missing), ("remarks", &month.remarks)] {
        all.iter().for_each(|said| output.line(&format!("   {name}: {said}")));
    }
    for upload in &month.uploads {
        output.line(&format!("   upload {}: {}", upload.key, text(&upload.state)));
    }
    month.exports.iter().chain(&month.certificate).for_each(|key| output.line(key));
    Ok(())
}

/// What is billed by its effective cost, against what was billed for it.
fn basis_difference(currency: &str, basis: &BasisProof) -> String {
    let BasisProof { billed, effective, difference, by_category, .. } = basis;
    let categories: Vec<String> =
        by_category.iter().map(|(name, amount)| format!("{name} {amount}")).collect();
    let named = if categories.is_empty() { String::new() } else { format!(": {}", categories.join(", ")) };
    format!(
        "   by effective cost: {effective} {currency} for billed {billed}, difference {difference}{named}"
    )
}

/// What came back of costs: in all, and where nobody chose the difference.
fn recovery(proof: &RecoveryProof, currency: &str) -> Vec<String> {
    let Recovery { cost, billed, not_recovered, markups, prices, above_whole, rounding } = &proof.total;
    let differences = [
        ("not recovered", not_recovered),
        ("above cost by quantities", above_whole),
        ("markups", markups),
        ("prices", prices),
        ("rounding", rounding),
    ];
    let named = differences.iter().filter(|(_, amount)| !amount.is_zero());
    let named: Vec<String> = named.map(|(word, amount)| format!("{word} {amount}")).collect();
    let mut lines = Vec::new();
    if !named.is_empty() {
        let named = named.join(", ");
        lines.push(format!("   costs of {cost} {currency} are billed {billed}: {named}"));
    }
    for ComponentProof { name, recovery, reason } in &proof.components {
        let Some(reason) = reason else { continue };
        let (word, amount) = match recovery.not_recovered.is_zero() {
            true => ("above cost", recovery.above_whole),
            false => ("not recovered", recovery.not_recovered),
        };
        let cost = recovery.cost;
        lines.push(format!("   {word}: component:{name} {amount} of {cost} {currency}: {reason}"));
    }
    lines.extend(proof.rounded_away.iter().map(|rest| format!("   rounds to nothing: {rest}")));
    lines
}
