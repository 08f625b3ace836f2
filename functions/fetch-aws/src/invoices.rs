//! The invoices of a month, to reconcile its rows against.

use std::collections::BTreeMap;

use billing::canonical;
use billing::manifest::InvoiceTotal;
use billing::month::BillingMonth;
use bytes::Bytes;
use chrono::{DateTime, NaiveDate};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{AnswerError, MonthError};
use crate::fetcher::Fetcher;
use crate::pages::{Beside, all, read};

const ACTION: &str = "invoicing:ListInvoiceSummaries";
const SOURCE: &str = "ListInvoiceSummaries BaseCurrencyAmount.TotalAmount";

/// What an invoice's way through offices changes, and nothing of what it says.
const PROGRESS: [&str; 2] = ["EinvoiceDeliveryStatus", "TaxAuthorityStatus"];

/// The invoices of a month.
#[derive(Debug)]
pub(crate) struct Invoices {
    /// By number.
    pub(crate) totals: Vec<InvoiceTotal>,
    /// Whether there is an invoice among them, and not only credit memos.
    pub(crate) has_invoice: bool,
    /// All of them in one document, as far as they do not change by themselves; nothing if there are none.
    pub(crate) document: Option<Vec<u8>>,
    /// Where the document comes from.
    pub(crate) source: String,
    /// The pages as they came.
    pub(crate) pages: Vec<Beside>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    invoice_summaries: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    invoice_id: String,
    invoice_type: String,
    issued_date: Option<serde_json::Number>,
    billing_period: Option<Period>,
    base_currency_amount: Option<Amount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Period {
    month: u32,
    year: i32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Amount {
    total_amount: String,
    currency_code: String,
}

impl Fetcher {
    /// The invoices of a month; nothing if they are not asked for.
    pub(crate) async fn invoices(&self, month: BillingMonth) -> Result<Option<Invoices>, MonthError> {
        if !self.config.invoicing {
            return Ok(None);
        }
        let account = self.config.account.as_str();
        let ask =
            |page: Option<String>| async move { self.apis.invoices(account, month, page.as_deref()).await };
        let pages = all(ACTION, ask).await?;
        Ok(Some(Invoices::of(month, pages)?))
    }
}

impl Invoices {
    fn of(month: BillingMonth, pages: Vec<Bytes>) -> Result<Self, MonthError> {
        let mut by_number: BTreeMap<String, Value> = BTreeMap::new();
        let (mut totals, mut has_invoice) = (BTreeMap::new(), false);
        for page in &pages {
            let page: Page = read(ACTION, page)?;
            for summary in page.invoice_summaries {
                let read = Summary::deserialize(&summary).map_err(|error| malformed(error.to_string()))?;
                let number = read.invoice_id.clone();
                let summary = without_progress(summary);
                if by_number.insert(number.clone(), summary.clone()).is_some_and(|before| before != summary) {
                    return Err(
                        AnswerError::Twice { action: ACTION, what: format!("invoice {number}") }.into()
                    );
                }
                has_invoice |= read.invoice_type == "INVOICE";
                if let Some(total) = read.total(month)? {
                    totals.insert(number, total);
                }
            }
        }
        let source = format!("ListInvoiceSummaries {month}");
        let document = match by_number.is_empty() {
            true => None,
            false => {
                let invoices: Vec<Value> = by_number.into_values().collect();
                Some(canonical::to_json(&json!({"InvoiceSummaries": invoices}))?)
            }
        };
        let beside = |bytes| Beside { extension: "page.json", source: source.clone(), bytes };
        let pages = pages.into_iter().map(beside).collect();
        Ok(Self { totals: totals.into_values().collect(), has_invoice, document, source, pages })
    }
}

impl Summary {
    /// What is payable; nothing for what is no invoice.
    fn total(self, month: BillingMonth) -> Result<Option<InvoiceTotal>, AnswerError> {
        let number = &self.invoice_id;
        if let Some(Period { month: found, year }) = self.billing_period
            && (found, year) != (month.month(), month.year())
        {
            return Err(malformed(format!("invoice {number} is of {year}-{found:02}, not of {month}")));
        }
        match self.invoice_type.as_str() {
            "INVOICE" | "CREDIT_MEMO" => {}
            "PAYMENT_RECEIPT" => return Ok(None),
            other => {
                tracing::warn!(
                    invoice.id = number,
                    "{number} is of the unknown type {other} and counts as no invoice"
                );
                return Ok(None);
            }
        }
        let missing = || malformed(format!("invoice {number} has no BaseCurrencyAmount"));
        let amount = self.base_currency_amount.as_ref().ok_or_else(missing)?;
        let text = &amount.total_amount;
        let total = Decimal::from_str_exact(text)
            .map_err(|_| malformed(format!("TotalAmount '{text}' of invoice {number} is no amount")))?;
        Ok(Some(InvoiceTotal {
            invoice_id: number.clone(),
            total,
            // rows of the type Tax have them
            tax_not_in_rows: Decimal::ZERO,
            currency: amount.currency_code.clone(),
            source: SOURCE.to_owned(),
            issued: self.issued_date.as_ref().and_then(day),
        }))
    }
}

/// The day of seconds since 1970, however they are written.
fn day(seconds: &serde_json::Number) -> Option<NaiveDate> {
    let text = seconds.to_string();
    let seconds = Decimal::from_str_exact(&text).or_else(|_| Decimal::from_scientific(&text)).ok()?;
    Some(DateTime::from_timestamp(seconds.trunc().to_i64()?, 0)?.date_naive())
}

fn without_progress(mut summary: Value) -> Value {
    if let Some(members) = summary.as_object_mut() {
        members.retain(|name, _| !PROGRESS.contains(&name.as_str()));
    }
    summary
}

fn malformed(reason: String) -> AnswerError {
    AnswerError::Malformed { action: ACTION, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoices(month: &str, summaries: &[&[Value]]) -> Result<Invoices, String> {
        let page =
            |summaries: &&[Value]| json!({"InvoiceSummaries": summaries, "NextToken": "t"}).to_string();
        let pages = summaries.iter().map(page).map(|page| Bytes::from(page.into_bytes())).collect();
        Invoices::of(month.parse().unwrap(), pages).map_err(|error| error.to_string())
    }

    fn invoice(number: &str, kind: &str, total: &str) -> Value {
        json!({
            "InvoiceId": number, "InvoiceType": kind, "IssuedDate": 1751500800.0,
            "BillingPeriod": {"Month": 6, "Year": 2025}, "EinvoiceDeliveryStatus": "PENDING",
            "BaseCurrencyAmount": {"TotalAmount": total, "CurrencyCode": "USD"},
        })
    }

    #[test]
    fn invoices_and_credit_memos_count_and_receipts_do_not() {
        let pages: [&[Value]; 2] = [
            &[invoice("2", "INVOICE", "250.00"), invoice("9", "PAYMENT_RECEIPT", "357.84")],
            &[invoice("1", "CREDIT_MEMO", "-12.50"), invoice("8", "SOMETHING_NEW", "1")],
        ];
        let june = invoices("2025-06", &pages).unwrap();
        let totals: Vec<_> =
            june.totals.iter().map(|total| (total.invoice_id.as_str(), total.total.to_string())).collect();
        assert_eq!(totals, [("1", "-12.50".to_owned()), ("2", "250.00".to_owned())]);
        assert_eq!(june.totals[0].issued, NaiveDate::from_ymd_opt(2025, 7, 3));
        assert!(june.has_invoice && june.pages.len() == 2);
        let document = String::from_utf8(june.document.unwrap()).unwrap();
        assert!(document.contains("1751500800.0") && !document.contains("NextToken"), "{document}");
        assert!(!document.contains("EinvoiceDeliveryStatus"));
        let none = invoices("2025-06", &[&[]]).unwrap();
        assert!(none.document.is_none() && !none.has_invoice);
        assert!(!invoices("2025-06", &[&[invoice("1", "CREDIT_MEMO", "-1")]]).unwrap().has_invoice);
    }

    #[test]
    fn what_cannot_be_believed_names_the_invoice() {
        let other = invoices("2025-05", &[&[invoice("7", "INVOICE", "1")]]).unwrap_err();
        assert!(other.ends_with("invoice 7 is of 2025-06, not of 2025-05"), "{other}");
        let twice = invoices("2025-06", &[&[invoice("7", "INVOICE", "1"), invoice("7", "INVOICE", "2")]]);
        assert!(twice.unwrap_err().ends_with("has invoice 7 twice"));
        let text = invoices("2025-06", &[&[invoice("7", "INVOICE", "1,5")]]).unwrap_err();
        assert!(text.ends_with("TotalAmount '1,5' of invoice 7 is no amount"), "{text}");
        let none = json!({"InvoiceId": "7", "InvoiceType": "INVOICE"});
        assert!(invoices("2025-06", &[&[none]]).unwrap_err().ends_with("has no BaseCurrencyAmount"));
        assert!(invoices("2025-06", &[&[json!({})]]).unwrap_err().contains("missing field `InvoiceId`"));
    }
}
