//! The certificate of a bill.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::json;

use super::invoices::{Compared, compare, head_taxes, tax_class};
use super::{BillError, NO_SUB_ACCOUNT};
use crate::certificate::{
    Adjustment, Certificate, CertificateError, Certified, CertifiedRest, CertifiedTarget, Status, Subject,
};
use crate::charges::{Figures, OtherBill, SplitFigures, SubAccount, Totals};
use crate::intake::{Decided, provider_of};
use crate::manifest::Manifest;
use crate::money::{Amount, Currency, MoneyError, minor_digits, round_to_total};
use crate::period::Finality;
use crate::revision::Revision;

/// A bill, judged.
#[derive(Debug)]
pub struct BillStatement {
    /// Without its inputs and outputs.
    pub certificate: Certificate,
    /// Currency of the bill.
    pub currency: Currency,
    /// The sums with what only the heads of invoices state.
    pub totals: Totals,
}

impl BillStatement {
    /// States how many quantities and unit prices could not be read when the charges were written. Where all could be, nothing is
    /// said of it.
    pub fn state_quantities(&mut self, not_stated: u64) {
        if let (1.., Some(figures)) = (not_stated, self.certificate.provider_figures.as_object_mut()) {
            figures.insert("quantities_not_stated".to_owned(), not_stated.into());
        }
    }

    /// States what lines gave to their parts.
    pub fn state_splits(&mut self, splits: &SplitFigures) {
        let SplitFigures { parts, without_line, billed, effective } = splits;
        let is_stated = self.totals.all.effective().is_some();
        if let Some(figures) = self.certificate.provider_figures.as_object_mut() {
            let stated = json!({
                "parts": parts,
                "parts_without_line": without_line,
                "billed_cost": billed.to_string(),
                "effective_cost": is_stated.then(|| effective.to_string()),
            });
            figures.insert("split_lines".to_owned(), stated);
        }
        if *without_line > 0 {
            self.certificate.explanation.push_str(&format!(
                "; of {parts} rows that are parts of a line, {without_line} have no line in the bill whose division is stated: they \
                 cost what they state themselves"
            ));
        }
    }
}

/// Judges a bill by its manifest and the sums of its documents.
///
/// # Errors
/// [`BillError`]: it must be held. A total that does not match is no error here: the certificate says so.
pub fn certify_bill(
    revision: &Revision,
    manifest: &Manifest,
    totals: Totals,
) -> Result<BillStatement, BillError> {
    if totals.held_rows > 0 {
        return Err(BillError::Rows { count: totals.held_rows, rows: totals.held });
    }
    let currency = currency_of(&totals)?;
    let provider_from = provider_from(manifest, &totals)?;
    certify(revision, manifest, totals, currency, provider_from)
}

/// The certificate of a bill that is withdrawn: it has no charges. `currency` is what it had before.
///
/// # Errors
/// [`BillError`].
pub fn certify_withdrawn(
    revision: &Revision,
    manifest: &Manifest,
    currency: Option<Currency>,
) -> Result<BillStatement, BillError> {
    let currency = currency.ok_or(BillError::NothingToWithdraw)?;
    certify(revision, manifest, Totals::default(), currency, None)
}

/// What says whose a bill is. Of documents that may hold several, the rows must not say that it is another's.
fn provider_from(manifest: &Manifest, totals: &Totals) -> Result<Option<String>, BillError> {
    match &manifest.brought {
        Some(brought) => return Ok(Some(brought.provider_from.clone())),
        None if !manifest.shared => return Ok(None),
        None => {}
    }
    match provider_of(totals.own.keys().map(|bill| &bill.claims))? {
        None => Ok(Some("the key".to_owned())),
        Some(decided) if decided.provider == manifest.provider => Ok(Some(decided.from.to_owned())),
        Some(Decided { provider, from }) => {
            Err(BillError::OtherProvider { expected: manifest.provider.clone(), found: provider, from })
        }
    }
}

fn certify(
    revision: &Revision,
    manifest: &Manifest,
    totals: Totals,
    currency: Currency,
    provider_from: Option<String>,
) -> Result<BillStatement, BillError> {
    let compared = compare(manifest, &totals, currency)?;
    let totals = with_head(manifest, totals, currency)?;
    let parts = Parts::of(manifest, &totals, currency, &compared)?;
    let mut certificate = assemble(revision, manifest, &totals, currency, compared, parts)?;
    if let (Some(from), Some(figures)) = (provider_from, certificate.provider_figures.as_object_mut()) {
        figures.insert("provider_from".to_owned(), from.into());
    }
    certificate.verify()?;
    Ok(BillStatement { certificate, currency, totals })
}

/// The sums with the charges that only the heads of invoices state.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn with_head(manifest: &Manifest, mut totals: Totals, currency: Currency) -> Result<Totals, MoneyError> {
    for invoice in head_taxes(manifest) {
        let tax = Amount::from_decimal(invoice.tax_not_in_rows).ok_or(MoneyError::Overflow)?;
        let figures = Figures::of(tax, Some(tax), 1);
        totals.add(&tax_class(manifest, invoice, currency), &figures)?;
    }
    Ok(totals)
}

fn currency_of(totals: &Totals) -> Result<Currency, BillError> {
    let mut currencies: Vec<&'static str> = totals.currencies.keys().copied().collect();
    currencies.sort_unstable();
    match currencies[..] {
        [] => {
            let mut others: Vec<OtherBill> = totals.elsewhere.keys().cloned().collect();
            others.sort();
            Err(BillError::NothingOfIt { rows: totals.rows, others })
        }
        [code] => Ok(Currency::from_code(code).ok_or(MoneyError::Overflow)?),
        _ => Err(BillError::Currencies { currencies }),
    }
}

/// What the charges are made of, in figures that can be stated.
struct Parts {
    charges_total: Decimal,
    tax: Decimal,
    targets: Vec<CertifiedTarget>,
}

impl Parts {
    fn of(
        manifest: &Manifest,
        totals: &Totals,
        currency: Currency,
        compared: &Compared,
    ) -> Result<Self, MoneyError> {
        let scale = stated_decimals(totals.all.billed);
        let decimal = |units: i128, scale| {
            let decimal =
                Decimal::try_from_i128_with_scale(units, scale).map_err(|_| MoneyError::Overflow)?;
            Ok::<_, MoneyError>(decimal.normalize())
        };
        let tax = head_taxes(manifest)
            .try_fold(Decimal::ZERO, |sum, invoice| crate::money::add(sum, invoice.tax_not_in_rows))?;
        let accounts = accounts(manifest, totals, tax)?;
        let amounts: Vec<(&str, Amount)> =
            accounts.iter().map(|account| (account.id.as_str(), account.billed)).collect();
        let exact_tax = Amount::from_decimal(tax).ok_or(MoneyError::Overflow)?;
        let own = round_to_total(&amounts, totals.all.billed.checked_add(-exact_tax)?.units(scale), scale);
        let own = own.ok_or(MoneyError::Overflow)?;
        let digits = minor_digits(currency);
        let rounded = if compared.mismatches.is_empty() {
            round_to_total(&amounts, compared.payable - exact_tax.units(digits), digits)
        } else {
            None
        };
        let mut targets = Vec::with_capacity(accounts.len());
        for (at, account) in accounts.iter().enumerate() {
            let own = decimal(own[at], scale)?;
            let total = match &rounded {
                Some(rounded) => Decimal::try_from_i128_with_scale(rounded[at], digits)
                    .map_err(|_| MoneyError::Overflow)?,
                None => own,
            };
            targets.push(CertifiedTarget {
                id: account.id.clone(),
                name: account.name.clone(),
                own,
                shared: Decimal::ZERO,
                adjustment: crate::money::sub(total, own)?.normalize(),
                total,
            });
        }
        Ok(Self { charges_total: decimal(totals.all.billed.units(scale), scale)?, tax, targets })
    }
}

struct Account {
    id: String,
    name: String,
    billed: Amount,
}

/// The sub accounts in the order of their ids, what names none last; taxes from heads are in none of them.
fn accounts(manifest: &Manifest, totals: &Totals, tax: Decimal) -> Result<Vec<Account>, MoneyError> {
    let tax = Amount::from_decimal(tax).ok_or(MoneyError::Overflow)?;
    let mut accounts = Vec::with_capacity(totals.sub_accounts.len());
    let (mut rest, mut rest_charges) = (Amount::ZERO, 0);
    for SubAccount { id, name, figures } in totals.sub_accounts.values() {
        match id {
            Some(id) => {
                let name = name.as_ref().or(manifest.sub_account_names.get(id)).unwrap_or(id);
                accounts.push(Account { id: id.clone(), name: name.clone(), billed: figures.billed });
            }
            None => (rest, rest_charges) = (figures.billed.checked_add(-tax)?, figures.charges),
        }
    }
    accounts.sort_by(|a, b| a.id.cmp(&b.id));
    let head_charges = head_taxes(manifest).count() as u64;
    if rest_charges > head_charges {
        // a sub account may be called like this: rows of one id are one row
        match accounts.iter_mut().find(|account| account.id == NO_SUB_ACCOUNT) {
            Some(account) => account.billed = account.billed.checked_add(rest)?,
            None => {
                let name = NO_SUB_ACCOUNT.to_owned();
                accounts.push(Account { id: name.clone(), name, billed: rest });
            }
        }
    }
    Ok(accounts)
}

/// How many decimals a certificate can state of amounts of this size: 28 digits hold them all.
fn stated_decimals(total: Amount) -> u32 {
    let digits = total.units(0).unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
    18.min(26_u32.saturating_sub(digits))
}

fn assemble(
    revision: &Revision,
    manifest: &Manifest,
    totals: &Totals,
    currency: Currency,
    compared: Compared,
    parts: Parts,
) -> Result<Certificate, BillError> {
    let digits = minor_digits(currency);
    let provider_total =
        Decimal::try_from_i128_with_scale(compared.payable, digits).map_err(|_| MoneyError::Overflow)?;
    let allocated = crate::money::sum(parts.targets.iter().map(|target| target.own))?;
    let adjustments: Vec<Adjustment> = parts
        .targets
        .iter()
        .filter(|target| !target.adjustment.is_zero())
        .map(|target| Adjustment {
            kind: "rounding".to_owned(),
            amount: target.adjustment,
            target: Some(target.id.clone()),
            reason: "the row is rounded to the minor unit so that all rows add up to the total".to_owned(),
        })
        .collect();
    let adjusted = crate::money::sum(adjustments.iter().map(|adjustment| adjustment.amount))?;
    let unexplained = crate::money::sub(crate::money::sub(provider_total, parts.charges_total)?, adjusted)?;
    let status = match (unexplained.is_zero() && compared.mismatches.is_empty(), adjustments.is_empty()) {
        (false, _) => Status::Mismatch,
        (true, true) => Status::Matched,
        (true, false) => Status::Explained,
    };
    let tax_rest = (!parts.tax.is_zero()).then(|| CertifiedRest {
        kind: "tax".to_owned(),
        amount: parts.tax,
        reason: "taxes that only the invoice states".to_owned(),
    });
    let date = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d").to_string();
    Ok(Certificate {
        certificate: Certificate::VERSION,
        subject: Subject {
            kind: "invoice".into(),
            provider: manifest.provider.clone(),
            billing_account: manifest.billing_account.clone(),
            invoice_id: manifest.invoice_id.clone(),
            revision: revision.clone(),
            period: manifest.period,
            start_date: date(manifest.period.start()),
            end_date: date(manifest.period.end()),
            finality: manifest.finality,
            provider_status: None,
            provider_updated: manifest.provider_updated.map(|time| time.to_rfc3339()),
        },
        currency: currency.code().into(),
        provider_total,
        provider_total_source: compared.source.clone(),
        charges_total: parts.charges_total,
        allocated_total: allocated,
        unallocated_total: parts.tax,
        unexplained: if status == Status::Mismatch { unexplained } else { Decimal::ZERO },
        status,
        explanation: explanation(manifest, totals, &compared),
        adjustments,
        targets: parts.targets,
        unallocated: tax_rest.into_iter().collect(),
        provider_figures: figures(manifest, totals, &compared).map_err(CertificateError::from)?,
        supersedes: None,
        inputs: Vec::new(),
        rules: BTreeMap::from([("rows".to_owned(), "by-sub-account".to_owned())]),
        outputs: Vec::new(),
        software: crate::SOFTWARE.into(),
    })
}

fn explanation(manifest: &Manifest, totals: &Totals, compared: &Compared) -> String {
    if let Some(reason) = manifest.withdrawn() {
        return format!("withdrawn: {reason}");
    }
    let mut text = if !compared.mismatches.is_empty() {
        compared.mismatches.join("; ")
    } else if manifest.invoices.is_empty() {
        format!("{} rows add up to the total; there is no invoice to compare with", totals.rows)
    } else {
        match manifest.invoices.len() {
            1 => "the invoice equals its charges, rounded to the minor unit".to_owned(),
            count => format!("each of {count} invoices equals its charges, rounded to the minor unit"),
        }
    };
    let others: u64 = totals.elsewhere.values().map(|figures| figures.charges).sum();
    if others > 0 {
        text.push_str(&format!("; {others} rows of the document are of other bills, which are named"));
    }
    let (counted, compared) = (&totals.counted_twins, &totals.compared_twins);
    if compared.charges > 0 && counted.equals(compared) != Ok(true) {
        text.push_str(&format!(
            "; rows without a commitment come to {} in the report of actual costs, to {} in the amortised one: the first counts",
            stated(counted), stated(compared)
        ));
    }
    let unread = totals.unread_tags.figures.charges;
    if unread > 0 {
        text.push_str(&format!("; the tags of {unread} charges cannot be read: they count as untagged"));
    }
    text.push_str(&not_stated(manifest, totals));
    if manifest.finality == Finality::Open {
        text.push_str("; the month is still open at the provider");
    }
    text
}

/// What is said of charges that state no effective cost.
fn not_stated(manifest: &Manifest, totals: &Totals) -> String {
    let of_documents = totals.all.charges - head_taxes(manifest).count() as u64;
    match totals.all.unstated() {
        0 => String::new(),
        unstated if totals.is_amortised_missing && unstated == of_documents => {
            "; the export has no columns of reservations and savings plans, so there is no amortised cost: EffectiveCost is not stated"
                .to_owned()
        }
        1 => "; 1 charge states no effective cost".to_owned(),
        unstated => format!("; {unstated} charges state no effective cost"),
    }
}

/// An effective cost in words.
fn stated(figures: &Figures) -> String {
    figures.effective().map_or_else(|| "nobody knows what".to_owned(), |cost| cost.to_string())
}

fn figures(
    manifest: &Manifest,
    totals: &Totals,
    compared: &Compared,
) -> Result<serde_json::Value, serde_json::Error> {
    let categories: BTreeMap<_, _> =
        totals.categories.iter().map(|(category, figures)| (*category, figures.billed.to_string())).collect();
    let mut elsewhere: Vec<(&OtherBill, &Figures)> = totals.elsewhere.iter().collect();
    elsewhere.sort_by(|a, b| a.0.cmp(b.0));
    let elsewhere = elsewhere.into_iter().map(|(bill, figures)| {
        json!({
            "provider": bill.claims.provider,
            "billing_account": bill.billing_account,
            "period": bill.month,
            "currency": bill.currency,
            "charges": figures.charges,
            "billed_cost": figures.billed.to_string(),
        })
    });
    let mut figures = json!({
        "format": manifest.format,
        "rows": totals.rows,
        "charges": totals.all.charges,
        "billed_cost": totals.all.billed.to_string(),
        "effective_cost": totals.all.effective().map(|cost| cost.to_string()),
        "billed_cost_by_category": categories,
        "amounts_beyond_18_decimals": totals.fine_rows,
        "invoices": serde_json::to_value(&compared.invoices)?,
        "rows_of_other_bills": elsewhere.collect::<Vec<_>>(),
        "read_as": totals.dialects,
    });
    if !totals.date_orders.is_empty() {
        let name = |key: &String| key.rsplit('/').next().unwrap_or(key).to_owned();
        let orders: BTreeMap<String, _> =
            totals.date_orders.iter().map(|(key, order)| (name(key), order)).collect();
        figures["days_read_as"] = serde_json::to_value(orders)?;
    }
    if !totals.columns_chosen.is_empty() {
        figures["columns_chosen"] = serde_json::to_value(&totals.columns_chosen)?;
    }
    if totals.all.unstated() > 0 {
        figures["effective_cost_not_stated"] = json!({"charges": totals.all.unstated()});
    }
    if totals.unread_tags.figures.charges > 0 {
        figures["tags_not_read"] = json!({
            "charges": totals.unread_tags.figures.charges,
            "billed_cost": totals.unread_tags.figures.billed.to_string(),
            "texts": totals.unread_tags.texts,
        });
    }
    if totals.compared_twins.charges > 0 {
        figures["rows_of_both_reports"] = json!({
            "rows": totals.compared_twins.charges,
            "actual_cost": totals.counted_twins.billed.to_string(),
            "amortized_cost": stated(&totals.compared_twins),
        });
    }
    Ok(figures)
}
