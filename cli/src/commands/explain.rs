//! `monthend explain`

use std::sync::Arc;

use anyhow::{Context, bail};
use billing::bills::{ChargeError, ChargeRow, ChargeRows, Wanted};
use billing::certificate::Certificate;
use billing::identity::{Id, Rule};
use billing::ids::Provider;
use billing::keys::{BillsKey, InvoiceKey, RawDocumentKey, bill_of_charges, encode};
use billing::month::BillingMonth;
use serde_json::{Value, json};

use crate::Ended;
use crate::args::Explain;
use crate::commands::bill::{list, text};
use crate::commands::invoices::rows;
use crate::commands::invoke::report_of;
use crate::output::{Format, Listing, Output};
use crate::session::Session;

/// The largest charges that are shown.
const SHOWN: usize = 20;

pub(crate) async fn explain(explain: &Explain, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    match explain {
        Explain::Bill { month, customer, line, run } => {
            let mut event = json!({"month": month, "customer": customer, "explain": true});
            if let Some(line) = line {
                event["line"] = json!(line);
            }
            if let Some(run) = run {
                event["run"] = json!(run);
            }
            let (report, ended) = report_of(session, output, "bill", &event).await;
            if let Some(report) = report {
                bill(&report["explained"], SHOWN, output)?;
            }
            Ok(ended)
        }
        Explain::Allocation { month, provider, target } => {
            allocation(*month, provider, target.as_deref(), session, output).await
        }
    }
}

/// A line as tables, with so many of its charges.
pub(crate) fn bill(explained: &Value, most: usize, output: &Output) -> anyhow::Result<()> {
    if output.format == Format::Json {
        output.json(explained);
        return Ok(());
    }
    let [month, customer, run, catalog, currency] =
        ["month", "customer", "run", "catalog", "currency"].map(|name| text(&explained[name]));
    let catalog = catalog.get(..12).unwrap_or(&catalog);
    let mut table = Listing::new(&[["line"].as_slice(), &PART].concat());
    for line in list(&explained["lines"]) {
        let [key, amount, exact, comment, rule] =
            ["key", "amount", "exact", "comment", "rule"].map(|name| text(&line[name]));
        if output.format == Format::Table {
            output.heading(&format!("{customer}, {month}: {key} = {amount} {currency}"));
            output.line(&format!(
                "   {comment}\n   by {rule} of catalog {catalog}; {exact} before rounding; run {run}"
            ));
        }
        let mut rows = Vec::new();
        for item in list(&line["items"]) {
            let [what, quantity, price, amount] =
                ["what", "quantity", "price", "amount"].map(|name| text(&item[name]));
            let none = String::new();
            rows.push(vec![
                what,
                rule.clone(),
                quantity,
                price,
                none.clone(),
                amount,
                currency.clone(),
                none.clone(),
                none,
            ]);
        }
        for cost in list(&line["costs"]) {
            let [source, rule, charges, amount, currency, rate, from] =
                ["source", "rule", "charges", "amount", "currency", "rate", "rate_source"]
                    .map(|name| text(&cost[name]));
            let none = String::new();
            let source = format!("{source}{}", by_basis(cost));
            rows.push(vec![source, rule, none.clone(), none, charges, amount, currency, rate, from]);
        }
        if output.format == Format::Csv {
            rows.into_iter().for_each(|row| table.row([vec![key.clone()], row].concat()));
        } else if !rows.is_empty() {
            let mut parts = Listing::new(&PART);
            rows.into_iter().for_each(|row| parts.row(row));
            output.listing(&parts)?;
        }
    }
    if output.format == Format::Csv {
        return output.listing(&table);
    }
    let mut shares = Listing::new(&["pool", "by", "to", "part>", "amount>", "currency"]);
    for share in list(&explained["shares"]) {
        shares.row(
            ["pool", "rule", "recipient", "ratio", "amount", "currency"]
                .map(|name| text(&share[name]))
                .to_vec(),
        );
    }
    if !shares.is_empty() {
        output.listing(&shares)?;
    }
    for of in list(&explained["charges"]) {
        if output.format == Format::Table {
            output.heading(&format!("Charges of {}{}", text(&of["rule"]), by_basis(of)));
            for document in list(&of["documents"]) {
                let [key, certificate, charges, amount, currency] =
                    ["key", "certificate", "charges", "amount", "currency"].map(|name| text(&document[name]));
                output.line(&format!(
                    "   {amount} {currency} in {charges} charges of {key}\n   proved by {certificate}"
                ));
            }
        }
        output.listing(&charges_listing(list(&of["largest"]).take(most)))?;
    }
    list(&explained["remarks"]).for_each(|remark| output.note(&text(remark)));
    Ok(())
}

/// Which cost it is, where that is not what was billed.
fn by_basis(of: &Value) -> String {
    if of["basis"].is_null() { String::new() } else { format!(" ({} cost)", text(&of["basis"])) }
}

/// What a line is made of.
const PART: [&str; 9] =
    ["part", "by", "quantity>", "price>", "charges>", "amount>", "currency", "rate>", "rate from"];

const CHARGE: [&str; 8] =
    ["amount>", "currency", "account", "service", "resource", "description", "document", "line>"];

/// With what was billed for charges, where that is not what they are billed by.
fn charges_listing<'v>(charges: impl Iterator<Item = &'v Value> + Clone) -> Listing {
    if charges.clone().all(|charge| charge["billed_cost"].is_null()) {
        let mut listing = Listing::new(&CHARGE);
        add_charges(&mut listing, charges);
        return listing;
    }
    let mut listing = Listing::new(&[&CHARGE[..1], &["billed cost>"], &CHARGE[1..]].concat());
    for charge in charges {
        let [amount, rest @ ..] = cells(charge);
        let billed = &charge["billed_cost"];
        let billed = if billed.is_null() { amount.clone() } else { text(billed) };
        listing.row([amount, billed].into_iter().chain(rest).collect());
    }
    listing
}

fn cells(charge: &Value) -> [String; CHARGE.len()] {
    let names = ["amount", "currency", "account", "service", "resource", "description", "document", "line"];
    names.map(|name| text(&charge[name]))
}

fn add_charges<'v>(listing: &mut Listing, charges: impl Iterator<Item = &'v Value>) {
    charges.for_each(|charge| listing.row(cells(charge).to_vec()));
}

/// The newest certificates of a provider's month, and the charges of their rows.
async fn allocation(
    month: BillingMonth,
    provider: &str,
    target: Option<&str>,
    session: &Session,
    output: &Output,
) -> anyhow::Result<Ended> {
    let folder = |provider: &str| BillsKey { month }.charges_of(&encode(provider));
    let mut files = session.bucket.list(&folder(provider)).await?;
    if files.is_empty() {
        // by another of its names
        let named = Provider::named(provider)?;
        files = session.bucket.list(&folder(named.as_str())).await?;
    }
    if files.is_empty() {
        bail!("there are no charges of {provider} in {month}; see monthend status");
    }
    let rule = Rule::named(provider);
    let wanted = |id: &str| target.is_none_or(|target| rule.same(Id::SubAccount, target, id));
    let (mut found, mut documents, mut table) = (false, Vec::new(), Listing::new(&CHARGE));
    for file in files {
        let key = file.key;
        let taken = session.bucket.take_in(&key, None).await?.with_context(|| format!("{key} went away"))?;
        let charges = ChargeRows::open(Arc::new(taken.file)).with_context(|| key.clone())?;
        let certificate = certificate_of(&key, charges.raw_key(), session).await?;
        if !certificate.targets.iter().any(|row| wanted(&row.id)) {
            continue;
        }
        found = true;
        let mut largest = Vec::new();
        charges
            .each(provider, Wanted { details: true, ..Wanted::default() }, |row| {
                let account = row.facts.sub_account_id.or(row.facts.sub_account_name).unwrap_or_default();
                if wanted(account) {
                    largest.push((row.billed.to_decimal(18)?.abs(), shown(row)?));
                }
                if largest.len() > 10 * SHOWN {
                    keep_largest(&mut largest);
                }
                Ok(())
            })
            .with_context(|| key.clone())?;
        keep_largest(&mut largest);
        let charges: Vec<Value> = largest.into_iter().map(|(_, charge)| charge).collect();
        match output.format {
            Format::Json => documents.push(json!({"certificate": certificate, "largest_charges": charges})),
            Format::Csv => add_charges(&mut table, charges.iter()),
            Format::Table => show(&certificate, &charges, output)?,
        }
    }
    if !found {
        bail!("no invoice of {provider} in {month} has a row '{}'", target.unwrap_or_default());
    }
    match output.format {
        Format::Json => output.json(&Value::Array(documents)),
        Format::Csv => output.listing(&table)?,
        Format::Table => {}
    }
    Ok(Ended::Done)
}

/// A certificate with the largest of its charges.
fn show(certificate: &Certificate, charges: &[Value], output: &Output) -> anyhow::Result<()> {
    let subject = &certificate.subject;
    output.heading(&format!(
        "{} {} {}: {} {} by {}",
        subject.provider,
        subject.period,
        subject.invoice_id,
        certificate.provider_total,
        certificate.currency,
        certificate.provider_total_source
    ));
    output.listing(&rows(certificate)?)?;
    output.line(&format!("   {}: {}", certificate.status, certificate.explanation));
    for adjustment in &certificate.adjustments {
        output.line(&format!("   {} of {}: {}", adjustment.kind, adjustment.amount, adjustment.reason));
    }
    for input in &certificate.inputs {
        output.line(&format!("   from {} ({})", input.key, input.sha256));
    }
    output.listing(&charges_listing(charges.iter()))
}

fn keep_largest(charges: &mut Vec<(billing::money::Decimal, Value)>) {
    charges.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.to_string().cmp(&other.to_string())));
    charges.truncate(SHOWN);
}

fn shown(row: &ChargeRow<'_>) -> Result<Value, ChargeError> {
    Ok(json!({
        "amount": row.billed.to_decimal(18)?.normalize().to_string(),
        "currency": row.currency.code(),
        "account": row.facts.sub_account_id.or(row.facts.sub_account_name),
        "service": row.facts.service,
        "resource": row.facts.resource,
        "description": row.detail.description,
        "document": row.detail.document,
        "line": row.detail.line,
    }))
}

/// The newest certificate of the invoice whose charges stand under a key.
async fn certificate_of(key: &str, raw: &str, session: &Session) -> anyhow::Result<Certificate> {
    let bill = bill_of_charges(key).with_context(|| format!("{key} is no file of charges"))?;
    let invoice = match bill {
        (provider, period, Some(billing_account), invoice_id) => {
            InvoiceKey { provider, billing_account, period, invoice_id }
        }
        // of invoices that are numbered, the raw document names the account
        _ => RawDocumentKey::parse(raw)?.invoice,
    };
    let certificate = crate::commands::invoices::newest_certificate(session, &invoice).await?;
    certificate.with_context(|| format!("{invoice} has no published revision"))
}
