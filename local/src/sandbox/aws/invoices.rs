//! The invoices of a month: what its lines come to, in cents, by their number.

use axum::http::StatusCode;
use chrono::TimeDelta;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use super::example::Bill;
use super::{AWS_ACCOUNT, Aws, Refusal};

const EXAMPLES: [&str; 2] = [
    include_str!("../../../examples/aws/invoicing_page1.json"),
    include_str!("../../../examples/aws/invoicing_page2.json"),
];
/// Of invoices on a page, however many are asked for.
const PAGE: usize = 2;

/// `ListInvoiceSummaries`.
pub(super) fn answer(state: &mut Aws, request: &Value) -> Result<Value, Refusal> {
    let refuse = |kind, why: &str| Refusal(StatusCode::BAD_REQUEST, kind, why.to_owned());
    let selector = &request["Selector"];
    if selector["ResourceType"] != "ACCOUNT_ID" || selector["Value"] != AWS_ACCOUNT {
        return Err(refuse("AccessDeniedException", "not authorized to see the invoices of this account"));
    }
    if request["MaxResults"].as_u64().is_some_and(|most| !(1..=100).contains(&most)) {
        return Err(refuse("ValidationException", "MaxResults must be between 1 and 100"));
    }
    let period = &request["Filter"]["BillingPeriod"];
    let is_of = |bill: &Bill| {
        period["Year"] == bill.month.year() && period["Month"].as_u64() == Some(u64::from(bill.month.month()))
    };
    let invoices = state.bills.iter().find(|bill| is_of(bill)).map(summaries).unwrap_or_default();
    let (page, next) = state.page(request, invoices, PAGE, 0)?;
    let mut answer = json!({"InvoiceSummaries": page});
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

/// The summaries of a bill's invoices, and a receipt for its first one, which is no invoice.
fn summaries(bill: &Bill) -> Vec<Value> {
    let examples: Vec<Value> = EXAMPLES
        .iter()
        .filter_map(|page| serde_json::from_str::<Value>(page).ok())
        .flat_map(|page| page["InvoiceSummaries"].as_array().cloned().unwrap_or_default())
        .collect();
    let numbers = bill.invoices();
    let mut summaries: Vec<Value> = Vec::with_capacity(numbers.len() + 1);
    for (number, total) in &numbers {
        let total = total.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
        let known = examples.iter().find(|example| example["InvoiceId"] == number.as_str());
        // the last one is a credit memo
        let like = known.or(if total < Decimal::ZERO { examples.last() } else { examples.first() });
        summaries.push(summary(bill, number, total, like.cloned().unwrap_or_default()));
    }
    if let Some((number, total)) = numbers.iter().next() {
        let mut receipt =
            summary(bill, &format!("{number}-R"), *total, examples.first().cloned().unwrap_or_default());
        receipt["InvoiceType"] = json!("PAYMENT_RECEIPT");
        summaries.push(receipt);
    }
    summaries
}

fn summary(bill: &Bill, number: &str, total: Decimal, mut like: Value) -> Value {
    let issued = bill.month.end() + TimeDelta::days(2);
    like["InvoiceId"] = json!(number);
    like["BillingPeriod"] = json!({"Month": bill.month.month(), "Year": bill.month.year()});
    for date in ["IssuedDate", "DueDate"] {
        like[date] = json!(issued.timestamp());
    }
    for block in ["BaseCurrencyAmount", "TaxCurrencyAmount", "PaymentCurrencyAmount"] {
        like[block]["TotalAmount"] = json!(format!("{total:.2}"));
    }
    like
}
