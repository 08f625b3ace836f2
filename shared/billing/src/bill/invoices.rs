//! The provider's invoices against the rows that name them.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde::Serialize;

use super::BillError;
use crate::certificate::decimal_text;
use crate::charge::{Charge, ChargeCategory, ChargeFrequency, Period};
use crate::charges::{Claims, Class, Effective, Figures, RowTags, Totals};
use crate::ids::Provider;
use crate::manifest::{InvoiceTotal, Manifest};
use crate::money::{Amount, Currency, MoneyError, minor_digits};
use crate::period::Finality;

/// One invoice of the provider beside its rows, as the certificate states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ComparedInvoice {
    invoice_id: Option<String>,
    #[serde(with = "decimal_text")]
    provider_total: Decimal,
    #[serde(with = "decimal_text")]
    tax_not_in_rows: Decimal,
    charges_total: String,
    difference: String,
    source: String,
}

/// What the invoices say.
#[derive(Debug)]
pub(super) struct Compared {
    /// What the bill comes to, in minor units.
    pub(super) payable: i128,
    pub(super) invoices: Vec<ComparedInvoice>,
    /// What does not fit; empty if all does.
    pub(super) mismatches: Vec<String>,
    pub(super) source: String,
}

/// The taxes that only the heads of the invoices state.
pub(super) fn head_taxes(manifest: &Manifest) -> impl Iterator<Item = &InvoiceTotal> {
    manifest.invoices.iter().filter(|invoice| !invoice.tax_not_in_rows.is_zero())
}

/// Compares each invoice with its rows; `totals` has no taxes from heads yet.
pub(super) fn compare(
    manifest: &Manifest,
    totals: &Totals,
    currency: Currency,
) -> Result<Compared, BillError> {
    let digits = minor_digits(currency);
    let exact = |decimal: Decimal| Amount::from_decimal(decimal).ok_or(MoneyError::Overflow);
    let (mut payable, mut compared, mut mismatches) = (Amount::ZERO, Vec::new(), Vec::new());
    for invoice in &manifest.invoices {
        if invoice.currency != currency.code() {
            return Err(BillError::InvoiceCurrency {
                invoice: invoice.invoice_id.clone(),
                found: invoice.currency.clone(),
                expected: currency.code(),
            });
        }
        let id = Some(invoice.invoice_id.clone());
        let rows = totals.invoices.get(&id).map_or(Amount::ZERO, |figures| figures.billed);
        let charges = rows.checked_add(exact(invoice.tax_not_in_rows)?)?;
        let total = exact(invoice.total)?;
        let difference = total.checked_add(-charges)?;
        payable = payable.checked_add(total)?;
        if difference.reaches_unit(digits) {
            mismatches
                .push(format!("invoice {} says {total}, its charges come to {charges}", invoice.invoice_id));
        }
        compared.push(ComparedInvoice {
            invoice_id: id,
            provider_total: invoice.total,
            tax_not_in_rows: invoice.tax_not_in_rows,
            charges_total: charges.to_string(),
            difference: difference.to_string(),
            source: invoice.source.clone(),
        });
    }
    let known = |id: &Option<String>| {
        manifest.invoices.iter().any(|invoice| Some(&invoice.invoice_id) == id.as_ref())
    };
    let mut others: Vec<_> = totals.invoices.iter().filter(|(id, _)| !known(id)).collect();
    others.sort_by(|a, b| a.0.cmp(b.0));
    let mut uninvoiced = Amount::ZERO;
    for (id, Figures { billed, .. }) in others {
        uninvoiced = uninvoiced.checked_add(*billed)?;
        if !manifest.invoices.is_empty() && manifest.finality == Finality::Final && !billed.is_zero() {
            let named = id.as_ref().map_or_else(
                || "name no invoice".to_owned(),
                |id| format!("name invoice {id}, which the provider does not list"),
            );
            mismatches.push(format!("rows of {billed} {named}"));
        }
    }
    // what is not invoiced yet is payable as it will be: rounded to the minor unit
    let uninvoiced =
        Amount::scaled(uninvoiced.units(digits), i64::from(digits)).ok_or(MoneyError::Overflow)?;
    let payable = payable.checked_add(uninvoiced)?.units(digits);
    let source = match manifest.invoices.first() {
        None => "the sum of BilledCost: there is no invoice to compare with".to_owned(),
        Some(invoice) if uninvoiced.is_zero() => invoice.source.clone(),
        Some(invoice) => format!("{}, and BilledCost of the rows without an invoice", invoice.source),
    };
    Ok(Compared { payable, invoices: compared, mismatches, source })
}

/// The class of a tax that only the head of an invoice states.
pub(super) fn tax_class(manifest: &Manifest, invoice: &InvoiceTotal, currency: Currency) -> Class {
    let name = provider_name(&manifest.provider);
    Class {
        billed: Vec::new(),
        effective: Effective::sum(Vec::new()),
        skip_zero: false,
        currency,
        billing_account_id: None,
        billing_account_name: None,
        billing_period: None,
        month: None,
        invoice_id: Some(invoice.invoice_id.clone()),
        sub_account_id: None,
        sub_account_name: None,
        service_category: "Other",
        service_name: "Tax".to_owned(),
        category: ChargeCategory::Tax,
        correction: false,
        frequency: ChargeFrequency::OneTime,
        tags: RowTags::default(),
        twin: None,
        claims: Claims::only(name),
        provider_name: name.to_owned(),
        publisher_name: name.to_owned(),
        invoice_issuer_name: name.to_owned(),
    }
}

/// The name that FOCUS exports of a provider use.
fn provider_name(provider: &Provider) -> &str {
    match provider.as_str() {
        "aws" => "AWS",
        "azure" => "Microsoft",
        "gcp" => "Google Cloud",
        other => other,
    }
}

/// The charges that stand in the heads of invoices only, to be written after those of the rows.
pub fn head_charges(manifest: &Manifest, currency: Currency) -> impl Iterator<Item = Charge<'_>> {
    let period = Period { start: manifest.period.start(), end: manifest.period.end() };
    head_taxes(manifest).map(move |invoice| {
        let name = provider_name(&manifest.provider);
        Charge {
            charge_category: ChargeCategory::Tax,
            charge_description: Some(Cow::Borrowed("Taxes of the invoice")),
            service_name: Cow::Borrowed("Tax"),
            invoice_id: Some(Cow::Borrowed(&invoice.invoice_id)),
            ..Charge::new(
                invoice.tax_not_in_rows,
                currency,
                Cow::Borrowed(manifest.billing_account.as_str()),
                period,
                Cow::Borrowed(name),
            )
        }
    })
}
