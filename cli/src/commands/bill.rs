//! `monthend bill`

use serde_json::{Map, Value, json};

use crate::Ended;
use crate::args;
use crate::commands::invoke::report_of;
use crate::output::{Format, Listing, Output};
use crate::session::Session;

pub(crate) async fn bill(bill: &args::Bill, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let (report, mut ended) = report_of(session, output, "bill", &event(bill)).await;
    let report = report.unwrap_or_default();
    let is = |month: &Value, state: &str| month["state"] == state;
    for month in list(&report["months"]) {
        if is(month, "nothing") {
            output.note(&format!("{}: {}", text(&month["month"]), text(&month["reason"])));
        } else if is(month, "refused") {
            ended = Ended::Usage;
        }
    }
    match output.format {
        Format::Json => output.json(&report),
        _ => {
            for month in list(&report["months"]).filter(|month| !is(month, "refused")) {
                show(month, output)?;
            }
        }
    }
    Ok(ended)
}

fn event(bill: &args::Bill) -> Value {
    let mut event = Map::new();
    let mut set =
        |name: &str, value: Option<Value>| event.extend(value.map(|value| (name.to_owned(), value)));
    set("month", bill.month.map(|month| json!(month)));
    set("customer", bill.customer.clone().map(Value::from));
    set("dry_run", bill.dry_run.then_some(Value::Bool(true)));
    set("release", bill.release.clone().map(Value::from));
    set("catalog", bill.catalog.clone().map(Value::from));
    if !bill.mail.is_empty() {
        let mails =
            bill.mail.iter().map(|(customer, answer)| (customer.clone(), Value::from(answer.clone())));
        set("mails", Some(Value::Object(mails.collect())));
    }
    Value::Object(event)
}

/// A text of a report; empty where there is none.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What was posted now, and where it goes.
fn posted(bill: &Value) -> String {
    let difference = text(&bill["difference"]);
    let is_nothing = difference.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-'));
    match bill["is_first"] == Value::Bool(true) || is_nothing {
        true => difference,
        false => format!("{difference} on the next bill"),
    }
}

/// A month as tables: bills, where the charges are, what is unallocated, what went out.
pub(crate) fn show(month: &Value, output: &Output) -> anyhow::Result<()> {
    if output.format == Format::Table {
        let [of, state, run, currency] = ["month", "state", "run", "currency"].map(|name| text(&month[name]));
        output.heading(&format!("Bills of {of} {currency}: {state} {run}").replace("  ", " "));
    }
    let mut bills = Listing::new(&["customer", "lines>", "total>", "posted>", "carried>", "mail", "held"]);
    for bill in list(&month["bills"]) {
        let mails = list(&month["mails"]).filter(|mail| mail["customer"] == bill["customer"]);
        let mail: Vec<String> = mails.map(|mail| text(&mail["state"])).collect();
        bills.row(vec![
            text(&bill["customer"]),
            text(&bill["line_count"]),
            text(&bill["total"]),
            posted(bill),
            text(&bill["carried_out"]),
            mail.join(", "),
            text(&bill["held"]),
        ]);
    }
    if month["state"] != "nothing" || output.format != Format::Table {
        output.listing(&bills)?;
    }
    if output.format != Format::Table {
        return Ok(());
    }
    let proofs = || month["charges"].as_object().into_iter().flatten();
    let by_effective = proofs().any(|(_, proof)| !proof["basis"].is_null());
    let basis = if by_effective { ["basis difference>"].as_slice() } else { &[] };
    let names = ["in bills>", "not recovered>", "unallocated>"];
    let mut charges = Listing::new(&[&["currency", "charges>"], basis, &names].concat());
    for (currency, proof) in proofs() {
        let of = |figure: &Value| if figure.is_null() { "0".to_owned() } else { text(figure) };
        let figures = ["billed_costs", "not_recovered", "unallocated_total"].map(|name| of(&proof[name]));
        let mut row = vec![currency.clone(), of(&proof["charges_total"])];
        row.extend(by_effective.then(|| of(&proof["basis"]["difference"])));
        charges.row(row.into_iter().chain(figures).collect());
    }
    if !charges.is_empty() {
        output.listing(&charges)?;
    }
    let counts = |basis: &Value| !basis.is_null() && (basis["billed"] != "0" || basis["effective"] != "0");
    for (currency, proof) in proofs().filter(|(_, proof)| counts(&proof["basis"])) {
        output.line(&basis_difference(currency, &proof["basis"]));
    }
    for rest in list(&month["unallocated"]) {
        let [what, amount, currency, reason] =
            ["what", "amount", "currency", "reason"].map(|name| text(&rest[name]));
        output.line(&format!("   unallocated: {what} {amount} {currency}: {reason}"));
    }
    recovery(&month["recovery"], &text(&month["currency"])).iter().for_each(|line| output.line(line));
    for name in ["missing", "remarks"] {
        list(&month[name]).for_each(|said| output.line(&format!("   {name}: {}", text(said))));
    }
    let uploads = list(&month["uploads"])
        .map(|upload| format!("   upload {}: {}", text(&upload["key"]), text(&upload["state"])));
    uploads.for_each(|line| output.line(&line));
    let keys = list(&month["exports"]).chain(Some(&month["certificate"])).filter(|key| !key.is_null());
    keys.for_each(|key| output.line(&text(key)));
    Ok(())
}

/// What is billed by its effective cost, against what was billed for it.
fn basis_difference(currency: &str, basis: &Value) -> String {
    let [billed, effective, difference] =
        ["billed", "effective", "difference"].map(|name| text(&basis[name]));
    let categories = basis["by_category"].as_object().into_iter().flatten();
    let categories: Vec<String> =
        categories.map(|(name, amount)| format!("{name} {}", text(amount))).collect();
    let named = if categories.is_empty() { String::new() } else { format!(": {}", categories.join(", ")) };
    format!(
        "   by effective cost: {effective} {currency} for billed {billed}, difference {difference}{named}"
    )
}

/// What came back of costs: in all, and where nobody chose the difference.
fn recovery(recovery: &Value, currency: &str) -> Vec<String> {
    const DIFFERENCES: [(&str, &str); 5] = [
        ("not_recovered", "not recovered"),
        ("above_whole", "above cost by quantities"),
        ("markups", "markups"),
        ("prices", "prices"),
        ("rounding", "rounding"),
    ];
    let differences = |of: &Value| {
        let named = DIFFERENCES.iter().filter(|(name, _)| !of[*name].is_null());
        named.map(|(name, word)| format!("{word} {}", text(&of[*name]))).collect::<Vec<_>>().join(", ")
    };
    let total = &recovery["total"];
    let mut lines = Vec::new();
    let named = differences(total);
    if !named.is_empty() {
        let [cost, billed] = ["cost", "billed"].map(|name| text(&total[name]));
        lines.push(format!("   costs of {cost} {currency} are billed {billed}: {named}"));
    }
    for component in list(&recovery["components"]).filter(|component| !component["reason"].is_null()) {
        let [name, cost, reason] = ["name", "cost", "reason"].map(|name| text(&component[name]));
        let (word, amount) = match component["not_recovered"].is_null() {
            true => ("above cost", text(&component["above_whole"])),
            false => ("not recovered", text(&component["not_recovered"])),
        };
        lines.push(format!("   {word}: component:{name} {amount} of {cost} {currency}: {reason}"));
    }
    lines.extend(list(&recovery["rounded_away"]).map(|rest| format!("   rounds to nothing: {}", text(rest))));
    lines
}

pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> + Clone {
    value.as_array().into_iter().flatten()
}
