//! Which of the invoice's own figures its lines must add up to, and what may differ.

use rust_decimal::Decimal;

use super::CURRENCY;
use super::document::Figures;
use crate::certificate::{Adjustment, Status};
use crate::money::{Money, MoneyError, add, sub};

/// Which figure the rows add up to (`ATLAS_RECONCILE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reconcile {
    /// `creditsCents` when the organisation pays by credits, that is when it is within one cent per project of
    /// the lines; else the lines.
    #[default]
    Auto,
    /// `creditsCents` always; further off than one cent per project is a mismatch.
    Credits,
    /// The lines always.
    Lines,
}

impl Reconcile {
    /// The value as it is configured.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Credits => "credits",
            Self::Lines => "lines",
        }
    }
}

/// Sums over the lines, without taxes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LineTotals {
    pub(crate) positive: Decimal,
    pub(crate) negative: Decimal,
}

impl LineTotals {
    pub(crate) fn add(&mut self, amount: Decimal) -> Result<(), MoneyError> {
        let sum = if amount.is_sign_negative() { &mut self.negative } else { &mut self.positive };
        *sum = add(*sum, amount)?;
        Ok(())
    }

    pub(crate) fn net(&self) -> Result<Decimal, MoneyError> {
        add(self.positive, self.negative)
    }
}

/// How the invoice's own figures compare with its lines.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) provider_total: Decimal,
    pub(crate) source: String,
    pub(crate) adjustments: Vec<Adjustment>,
    pub(crate) unexplained: Decimal,
    pub(crate) status: Status,
    pub(crate) explanation: String,
}

/// The first project, which carries a rounding difference: its id and name.
pub(crate) type FirstProject<'p> = Option<(&'p str, &'p str)>;

/// Compares. `creditsCents` may be one cent per project off; `subtotalCents` must be reached exactly.
pub(crate) fn reconcile(
    rule: Reconcile,
    figures: &Figures,
    lines: &LineTotals,
    projects: usize,
    first: FirstProject<'_>,
) -> Result<Verdict, MoneyError> {
    let bound = Decimal::new(i64::try_from(projects).map_err(|_| MoneyError::Overflow)?, 2);
    let net = lines.net()?;
    let credits = figures.credits_cents.map(|cents| Money::from_minor(cents, CURRENCY).amount());
    let pays_by_credits = |credits: Decimal| {
        let near = sub(credits, net).is_ok_and(|difference| difference.abs() <= bound);
        near && (!credits.is_zero() || net.is_zero())
    };
    let mut verdict = match (rule, credits) {
        (Reconcile::Credits, credits) => {
            to_credits(credits.unwrap_or(Decimal::new(0, 2)), net, bound, first)?
        }
        (Reconcile::Auto, Some(credits)) if pays_by_credits(credits) => {
            to_credits(credits, net, bound, first)?
        }
        _ => to_lines(figures, lines, net)?,
    };
    let tax =
        figures.sales_tax_cents.map_or(Decimal::ZERO, |cents| Money::from_minor(cents, CURRENCY).amount());
    if !tax.is_zero() {
        verdict.provider_total = add(verdict.provider_total, tax)?;
        verdict.source.push_str(" + salesTaxCents");
        verdict.explanation.push_str(&format!("; sales tax of {tax} comes on top"));
        if verdict.status == Status::Matched {
            verdict.status = Status::Explained;
        }
    }
    Ok(verdict)
}

fn to_credits(
    credits: Decimal,
    net: Decimal,
    bound: Decimal,
    first: FirstProject<'_>,
) -> Result<Verdict, MoneyError> {
    let difference = sub(credits, net)?;
    let verdict = |status, adjustments, unexplained, explanation| Verdict {
        provider_total: credits,
        source: "creditsCents".into(),
        adjustments,
        unexplained,
        status,
        explanation,
    };
    if difference.is_zero() {
        let explanation = format!("paid by credits: the rows and creditsCents are both {credits}");
        return Ok(verdict(Status::Matched, Vec::new(), Decimal::ZERO, explanation));
    }
    let Some((id, name)) = first.filter(|_| difference.abs() <= bound) else {
        let explanation = format!(
            "creditsCents {credits} and the lines {net} differ by {difference}, more than one cent per project ({bound})"
        );
        return Ok(verdict(Status::Mismatch, Vec::new(), difference, explanation));
    };
    let rounding = Adjustment {
        kind: "rounding".into(),
        amount: difference,
        target: Some(id.to_owned()),
        reason: format!(
            "creditsCents is {credits}, the lines add up to {net}; within one cent per project ({bound})"
        ),
    };
    let explanation = format!(
        "paid by credits: the rows add up to creditsCents {credits}; {difference} is in the first project, {name}"
    );
    Ok(verdict(Status::Explained, vec![rounding], Decimal::ZERO, explanation))
}

fn to_lines(figures: &Figures, lines: &LineTotals, net: Decimal) -> Result<Verdict, MoneyError> {
    let paid = settlement(figures);
    let Some(subtotal) = figures.subtotal_cents.map(|cents| Money::from_minor(cents, CURRENCY).amount())
    else {
        return Ok(Verdict {
            provider_total: net,
            source: "lineItems[].totalPriceCents".into(),
            adjustments: Vec::new(),
            unexplained: Decimal::ZERO,
            status: Status::Explained,
            explanation: format!(
                "the rows add up to the lines, {net}; the invoice states no subtotalCents; {paid}"
            ),
        });
    };
    let mut adjustments = Vec::new();
    // subtotalCents is the sum of the positive lines; some invoices state the net sum instead
    if !lines.negative.is_zero() && subtotal != net {
        adjustments.push(Adjustment {
            kind: "credit-lines".into(),
            amount: -lines.negative,
            target: None,
            reason: format!(
                "subtotalCents counts positive lines only; negative lines are {}",
                lines.negative
            ),
        });
    }
    let compared = if adjustments.is_empty() { net } else { lines.positive };
    let unexplained = sub(subtotal, compared)?;
    let (status, explanation) = if unexplained.is_zero() {
        (Status::Explained, format!("the rows add up to the lines, {net}; {paid}"))
    } else {
        let explanation = format!(
            "subtotalCents {subtotal} and the positive lines {} differ by {unexplained}: lines are missing or doubled",
            lines.positive
        );
        (Status::Mismatch, explanation)
    };
    Ok(Verdict {
        provider_total: subtotal,
        source: "subtotalCents".into(),
        adjustments,
        unexplained,
        status,
        explanation,
    })
}

/// How the invoice was paid, in its own figures.
fn settlement(figures: &Figures) -> String {
    let dollars = |cents: Option<i64>| Money::from_minor(cents.unwrap_or_default(), CURRENCY).amount();
    let mut text = format!("paid otherwise: creditsCents {}", dollars(figures.credits_cents));
    let mut name = |field: &str, cents: Option<i64>| {
        if cents.is_some_and(|cents| cents != 0) {
            text.push_str(&format!(", {field} {}", dollars(cents)));
        }
    };
    name("amountBilledCents", figures.amount_billed_cents);
    name("amountPaidCents", figures.amount_paid_cents);
    name("startingBalanceCents", figures.starting_balance_cents);
    for payment in &figures.payments {
        name(
            &format!("payment {}", payment.status_name.as_deref().unwrap_or("without status")),
            payment.amount_paid_cents,
        );
    }
    for refund in &figures.refunds {
        name("refund", refund.amount_cents);
    }
    text
}
