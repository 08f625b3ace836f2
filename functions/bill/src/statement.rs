//! A customer's statement: one page that prints well, with every line, what made it, and the months before.

use askama::Template;
use billing::bills::{RunDocument, StatedBill, StatedCost, StatedLine};
use billing::money::{Currency, MoneyError, format_amount, sub};
use rust_decimal::Decimal;

use crate::chart::{History, chart};
use crate::error::MonthError;

/// A line as it is shown.
pub(crate) struct ShownLine {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) comment: String,
    pub(crate) amount: String,
    pub(crate) details: Vec<String>,
}

/// What the page and the mail show.
pub(crate) struct Shown {
    pub(crate) customer: String,
    pub(crate) cost_center: String,
    pub(crate) month: String,
    pub(crate) currency: String,
    pub(crate) total: String,
    /// Against the month before; nothing without one.
    pub(crate) change: Option<String>,
    pub(crate) lines: Vec<ShownLine>,
    pub(crate) carried: Option<String>,
    pub(crate) run: String,
    pub(crate) catalog: String,
    pub(crate) inputs: usize,
    pub(crate) software: String,
}

#[derive(Template)]
#[template(path = "statement.html")]
struct Statement<'s> {
    shown: &'s Shown,
    chart: Option<String>,
}

/// The words for kinds of lines.
fn kind(kind: &str) -> &str {
    match kind {
        "account" => "Account",
        "allocation" => "By rule",
        "service" => "Service",
        "share" => "Shared cost",
        "position" => "Position",
        "correction" => "Correction",
        "carried-in" | "carried-out" => "Carried over",
        "withdrawn" => "No longer due",
        other => other,
    }
}

fn cost(cost: &StatedCost) -> String {
    let StatedCost { source, rule, basis, charges, amount, currency, rate, rate_source } = cost;
    let amount = amount.round_dp(4).normalize();
    let counted = match charges {
        0 => String::new(),
        1 => " (1 charge)".to_owned(),
        many => format!(" ({many} charges)"),
    };
    let converted = match rate_source {
        Some(source) => format!(" at {rate} ({source})"),
        None => String::new(),
    };
    let effective = if basis.is_billed() { "" } else { " effective cost" };
    format!("{source}: {amount} {currency}{effective}{converted}{counted}, by {rule}")
}

fn line(line: &StatedLine, currency: Currency) -> ShownLine {
    let items = line.items.iter().map(|item| {
        let (price, amount) = (item.price.round_dp(4).normalize(), item.amount.round_dp(4).normalize());
        format!("{}: {} x {price} = {amount}", item.what, item.quantity)
    });
    ShownLine {
        name: line.name.clone(),
        kind: kind(&line.kind).to_owned(),
        comment: line.comment.clone(),
        amount: format_amount(line.amount, currency),
        details: items.chain(line.costs.iter().map(cost)).collect(),
    }
}

impl Shown {
    pub(crate) fn of(
        document: &RunDocument,
        bill: &StatedBill,
        history: &History,
    ) -> Result<Self, MoneyError> {
        // a document that was read names a currency; it was written by a catalog that has one
        let currency = Currency::from_code(&document.currency).unwrap_or(Currency::XXX);
        let money = |amount: Decimal| format_amount(amount, currency);
        let before = history.iter().rev().find(|(month, _)| *month == document.month().previous());
        let change = match before {
            Some((_, before)) => {
                let difference = sub(bill.total, *before)?;
                let sign = if difference > Decimal::ZERO { "+" } else { "" };
                Some(format!(
                    "{sign}{} against {} in {}",
                    money(difference),
                    money(*before),
                    document.month().previous()
                ))
            }
            None => None,
        };
        Ok(Self {
            customer: bill.customer.clone(),
            cost_center: bill.cost_center.clone().unwrap_or_default(),
            month: document.month().to_string(),
            currency: document.currency.clone(),
            total: money(bill.total),
            change,
            lines: bill.lines.iter().map(|one| line(one, currency)).collect(),
            carried: (!bill.carried_out.is_zero()).then(|| money(bill.carried_out)),
            run: document.run.to_string(),
            catalog: document.catalog.chars().take(12).collect(),
            inputs: document.inputs.len(),
            software: document.certificate.software.clone(),
        })
    }
}

/// The page. `history` are the months before, the newest last.
pub(crate) fn statement(
    document: &RunDocument,
    bill: &StatedBill,
    history: &History,
) -> Result<Vec<u8>, MonthError> {
    let shown = Shown::of(document, bill, history).map_err(MonthError::held)?;
    let mut months = history.clone();
    months.push((document.month(), bill.total));
    let chart = chart(&months, &document.currency)?;
    Ok(Statement { shown: &shown, chart }.render()?.into_bytes())
}
