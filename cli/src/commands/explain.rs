//! `monthend explain`

use std::sync::Arc;

use ::bill::{App, DocumentSum, Explained, ExplainedCharge};
use anyhow::{Context, bail};
use billing::bills::{ChargeError, ChargeRow, ChargeRows, StatedItem, StatedLine, Wanted};
use billing::catalog::billing::CostBasis;
use billing::certificate::Certificate;
use billing::identity::{Id, Rule};
use billing::ids::Provider;
use billing::keys::{BillsKey, InvoiceKey, RawDocumentKey, bill_of_charges, encode};
use billing::money::Decimal;
use billing::month::BillingMonth;
use serde::Serialize;
use serde_json::json;

use crate::Ended;
use crate::args::Explain;
use crate::commands::invoices::rows;
use crate::commands::invoke::report_of;
use crate::output::{Format, Listing, Output, text};
use crate::session::Session;

/// The largest charges that are shown.
const SHOWN: usize = 20;

pub(crate) async fn explain(explain: &Explain, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    match explain {
        Explain::Bill { month, customer, line, run } => {
            let event =
                json!({"month": month, "customer": customer, "explain": true, "line": line, "run": run});
            let (report, ended) = report_of::<App>(session, output, &event).await;
            if let Some(explained) = report.and_then(|report| report.explained) {
                bill(&explained, SHOWN, output)?;
            }
            Ok(ended)
        }
        Explain::Allocation { month, provider, target } => {
            allocation(*month, provider, target.as_deref(), session, output).await
        }
    }
}

/// A line as tables, with so many of its charges.
pub(crate) fn bill(explained: &Explained, most: usize, output: &Output) -> anyhow::Result<()> {
    if output.format == Format::Json {
        output.json(explained);
        return Ok(());
    }
    let Explained { month, customer, run, catalog, currency, .. } = explained;
    let catalog = catalog.get(..12).unwrap_or(catalog);
    let mut table = Listing::new(&[["line"].as_slice(), &PART].concat());
    for line in &explained.lines {
        let StatedLine { key, amount, exact, comment, rule, .. } = line;
        if output.format == Format::Table {
            output.heading(&format!("{customer}, {month}: {key} = {amount} {currency}"));
            output.line(&format!(
                "   {comment}\n   by {rule} of catalog {catalog}; {exact} before rounding; run {run}"
            ));
        }
        let rows = parts(line, currency);
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
    for share in explained.shares.clone() {
        let (part, amount) = (share.ratio.to_string(), share.amount.to_string());
        shares.row(vec![share.pool, share.rule, text(&share.recipient), part, amount, share.currency]);
    }
    if !shares.is_empty() {
        output.listing(&shares)?;
    }
    for of in &explained.charges {
        if output.format == Format::Table {
            output.heading(&format!("Charges of {}{}", of.rule, by_basis(of.basis)));
            for DocumentSum { key, certificate, charges, amount, currency } in &of.documents {
                output.line(&format!(
                    "   {amount} {currency} in {charges} charges of {key}\n   proved by {certificate}"
                ));
            }
        }
        output.listing(&explained_charges(&of.largest[..of.largest.len().min(most)]))?;
    }
    explained.remarks.iter().for_each(|remark| output.note(remark));
    Ok(())
}

/// The items and the costs of a line, as [`PART`] names their cells.
fn parts(line: &StatedLine, currency: &str) -> Vec<Vec<String>> {
    let none = String::new;
    let mut rows = Vec::new();
    for StatedItem { what, quantity, price, amount } in &line.items {
        let [quantity, price, amount] = [quantity, price, amount].map(Decimal::to_string);
        let (rule, currency) = (line.rule.clone(), currency.to_owned());
        rows.push(vec![what.clone(), rule, quantity, price, none(), amount, currency, none(), none()]);
    }
    for cost in line.costs.clone() {
        let source = format!("{}{}", cost.source, by_basis(cost.basis));
        let [charges, from] = [cost.charges.to_string(), text(&cost.rate_source)];
        let [amount, rate] = [cost.amount, cost.rate].map(|figure| figure.to_string());
        rows.push(vec![source, cost.rule, none(), none(), charges, amount, cost.currency, rate, from]);
    }
    rows
}

/// Which cost it is, where that is not what was billed.
fn by_basis(basis: CostBasis) -> String {
    if basis.is_billed() { String::new() } else { format!(" ({} cost)", basis.as_str()) }
}

/// What a line is made of.
const PART: [&str; 9] =
    ["part", "by", "quantity>", "price>", "charges>", "amount>", "currency", "rate>", "rate from"];

const CHARGE: [&str; 8] =
    ["amount>", "currency", "account", "service", "resource", "description", "document", "line>"];

/// With what was billed for charges, where that is not what they are billed by.
fn explained_charges(charges: &[ExplainedCharge]) -> Listing {
    let is_billed = charges.iter().all(|charge| charge.billed_cost.is_none());
    let billed = if is_billed { [].as_slice() } else { &["billed cost>"] };
    let mut listing = Listing::new(&[&CHARGE[..1], billed, &CHARGE[1..]].concat());
    for charge in charges.iter().cloned() {
        let billed = (!is_billed).then(|| charge.billed_cost.unwrap_or_else(|| charge.amount.clone()));
        let rest = [charge.currency, charge.account, charge.service, charge.resource, charge.description];
        let row = [charge.amount].into_iter().chain(billed).chain(rest);
        listing.row(row.chain([charge.document, text(&charge.line)]).collect());
    }
    listing
}

/// A charge of an allocation.
#[derive(Serialize)]
struct Charge {
    amount: String,
    currency: &'static str,
    account: Option<String>,
    service: String,
    resource: Option<String>,
    description: Option<String>,
    document: Option<String>,
    line: Option<i64>,
}

fn add_charges(listing: &mut Listing, charges: Vec<Charge>) {
    for charge in charges {
        let [account, resource, description, document] =
            [charge.account, charge.resource, charge.description, charge.document]
                .map(Option::unwrap_or_default);
        let (currency, line) = (charge.currency.to_owned(), text(&charge.line));
        let row = [charge.amount, currency, account, charge.service, resource, description, document, line];
        listing.row(row.to_vec());
    }
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
        let charges: Vec<Charge> = largest.into_iter().map(|(_, charge)| charge).collect();
        match output.format {
            Format::Json => documents.push(json!({"certificate": certificate, "largest_charges": charges})),
            Format::Csv => add_charges(&mut table, charges),
            Format::Table => show(&certificate, charges, output)?,
        }
    }
    if !found {
        bail!("no invoice of {provider} in {month} has a row '{}'", target.unwrap_or_default());
    }
    match output.format {
        Format::Json => output.json(&documents),
        Format::Csv => output.listing(&table)?,
        Format::Table => {}
    }
    Ok(Ended::Done)
}

/// A certificate with the largest of its charges.
fn show(certificate: &Certificate, charges: Vec<Charge>, output: &Output) -> anyhow::Result<()> {
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
    let mut listing = Listing::new(&CHARGE);
    add_charges(&mut listing, charges);
    output.listing(&listing)
}

fn keep_largest(charges: &mut Vec<(Decimal, Charge)>) {
    charges.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| text(one).cmp(&text(other))));
    charges.truncate(SHOWN);
}

fn shown(row: &ChargeRow<'_>) -> Result<Charge, ChargeError> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Ok(Charge {
        amount: row.billed.to_decimal(18)?.normalize().to_string(),
        currency: row.currency.code(),
        account: owned(row.facts.sub_account_id.or(row.facts.sub_account_name)),
        service: row.facts.service.to_owned(),
        resource: owned(row.facts.resource),
        description: owned(row.detail.description),
        document: owned(row.detail.document),
        line: row.detail.line,
    })
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
