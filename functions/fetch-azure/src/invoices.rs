//! The invoices of a billing account, billing profile or subscription: what the rows of a month must come to.

use billing::manifest::InvoiceTotal;
use billing::money::{Decimal, parse_decimal};
use billing::month::BillingMonth;
use billing::strict;
use chrono::{DateTime, Days, Utc};
use cloud::peer::Call;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use crate::azure::Azure;
use crate::error::{AzureApi, AzureError};

const API_VERSION: &str = "2024-04-01";
const API: AzureApi = AzureApi {
    role: "Billing account reader or Billing profile reader (Reader on a subscription), or set AZURE_INVOICES=off",
};
/// More pages than any account has: a link that leads in a circle must end.
const MOST_PAGES: usize = 1000;

/// An invoice whose period lies in the month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invoice {
    pub(crate) name: String,
    /// Exactly as it stands in the answer.
    pub(crate) document: String,
    /// What it says; nothing for one that is void.
    pub(crate) total: Option<InvoiceTotal>,
}

#[derive(Deserialize)]
struct Page<'p> {
    #[serde(borrow)]
    value: Vec<&'p RawValue>,
    #[serde(rename = "nextLink")]
    next_link: Option<String>,
}

#[derive(Deserialize)]
struct WireInvoice {
    name: String,
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    status: Option<String>,
    invoice_period_start_date: Option<DateTime<Utc>>,
    invoice_period_end_date: Option<DateTime<Utc>>,
    invoice_date: Option<DateTime<Utc>>,
    total_amount: Option<Amount>,
    billed_amount: Option<Amount>,
    tax_amount: Option<Amount>,
    azure_prepayment_applied: Option<Amount>,
    free_azure_credit_applied: Option<Amount>,
}

/// The number is kept as text, exactly.
#[derive(Clone, Deserialize)]
struct Amount {
    currency: String,
    value: serde_json::Number,
}

impl Azure {
    /// The invoices of a month that `place` lists.
    pub(crate) async fn invoices(
        &self,
        place: &Url,
        month: BillingMonth,
    ) -> Result<Vec<Invoice>, AzureError> {
        // by which of its dates an invoice is found is not said: those of the month after come along, and are left out below
        let last = month.next().end().date_naive().checked_sub_days(Days::new(1));
        let (first, last) = (month.start().date_naive(), last.unwrap_or(month.end().date_naive()));
        let mut url = place.clone();
        let query = format!("api-version={API_VERSION}&periodStartDate={first}&periodEndDate={last}");
        url.set_query(Some(&query));
        let mut invoices = Vec::new();
        for _ in 0..MOST_PAGES {
            let call = Call::get(&API, url).with(&self.tokens);
            let answer = self.peer.ask(&call).await?;
            let unexpected = |reason: String| AzureError::unexpected(&call.place, reason);
            if answer.status == 204 {
                return Ok(invoices);
            }
            let page: Page<'_> =
                strict::from_slice(&answer.body).map_err(|error| unexpected(error.to_string()))?;
            for raw in page.value {
                invoices.extend(read(raw.get(), month).map_err(unexpected)?);
            }
            match page.next_link.filter(|link| !link.is_empty()) {
                Some(link) => url = self.own(&link, "the nextLink of the invoices")?,
                None => return Ok(invoices),
            }
        }
        let reason = format!("there is a nextLink after {MOST_PAGES} pages");
        Err(AzureError::unexpected(place.path(), reason))
    }
}

/// An invoice, if its period lies in the month.
fn read(raw: &str, month: BillingMonth) -> Result<Option<Invoice>, String> {
    let wire: WireInvoice = strict::from_str(raw).map_err(|error| format!("an invoice: {error}"))?;
    let (name, properties) = (wire.name, wire.properties);
    let missing = |field: &str| format!("invoice {name} has no {field}");
    let start = properties.invoice_period_start_date.ok_or_else(|| missing("invoicePeriodStartDate"))?;
    let end = properties.invoice_period_end_date.ok_or_else(|| missing("invoicePeriodEndDate"))?;
    if start < month.start() || end > month.end() {
        return Ok(None);
    }
    let is_void = properties.status.as_deref().is_some_and(|status| status.eq_ignore_ascii_case("void"));
    let total = if is_void { None } else { Some(total(&name, &properties)?) };
    Ok(Some(Invoice { document: without_signatures(raw)?, name, total }))
}

/// What is payable, before prepayments and free credits that were set off: no row of a report has those.
fn total(name: &str, properties: &Properties) -> Result<InvoiceTotal, String> {
    let (field, stated) = match (&properties.total_amount, &properties.billed_amount) {
        (Some(amount), _) => ("totalAmount", amount),
        // agreements before the Microsoft Customer Agreement
        (None, Some(amount)) => ("billedAmount", amount),
        (None, None) => return Err(format!("invoice {name} has neither totalAmount nor billedAmount")),
    };
    let value = |field: &str, amount: &Amount| -> Result<Decimal, String> {
        if amount.currency != stated.currency {
            let (one, other) = (&stated.currency, &amount.currency);
            return Err(format!("invoice {name} has {field} in {other} and its total in {one}"));
        }
        parse_decimal(&amount.value.to_string()).map_err(|error| format!("invoice {name}, {field}: {error}"))
    };
    let (mut total, mut fields) = (value(field, stated)?, vec![field]);
    let set_off = [
        ("azurePrepaymentApplied", &properties.azure_prepayment_applied),
        ("freeAzureCreditApplied", &properties.free_azure_credit_applied),
    ];
    for (part, amount) in set_off {
        let Some(amount) = amount.as_ref().filter(|_| field == "totalAmount") else { continue };
        let amount = value(part, amount)?;
        if !amount.is_zero() {
            total = billing::money::add(total, amount).map_err(|error| error.to_string())?;
            fields.push(part);
        }
    }
    let tax = properties.tax_amount.as_ref().map(|tax| value("taxAmount", tax)).transpose()?;
    let tax_said = if tax.is_some() { ", taxAmount" } else { "" };
    Ok(InvoiceTotal {
        invoice_id: name.to_owned(),
        total,
        tax_not_in_rows: tax.unwrap_or_default(),
        currency: stated.currency.clone(),
        source: format!("invoices: {}{tax_said}", fields.join(" + ")),
        issued: properties.invoice_date.map(|date| date.date_naive()),
    })
}

/// The document as it is, but for links that are signed: those lose their queries, because a signature is a secret.
fn without_signatures(raw: &str) -> Result<String, String> {
    if !raw.contains("sig=") {
        return Ok(raw.to_owned());
    }
    fn cut(value: &mut Value) {
        match value {
            Value::String(text) if text.contains("sig=") => {
                text.truncate(text.find('?').unwrap_or(text.len()));
            }
            Value::Array(items) => items.iter_mut().for_each(cut),
            Value::Object(members) => members.values_mut().for_each(cut),
            _ => {}
        }
    }
    let mut document: Value = serde_json::from_str(raw).map_err(|error| error.to_string())?;
    cut(&mut document);
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn invoice(properties: Value) -> Value {
        let mut all = json!({
            "status": "Due", "invoiceDate": "2025-07-05T00:00:00Z",
            "invoicePeriodStartDate": "2025-06-01T00:00:00Z", "invoicePeriodEndDate": "2025-06-30T00:00:00Z",
            "totalAmount": {"currency": "EUR", "value": 180.93}, "taxAmount": {"currency": "EUR", "value": 28.89},
        });
        for (name, value) in properties.as_object().unwrap() {
            all[name] = value.clone();
        }
        json!({"name": "G1", "properties": all})
    }

    fn june(properties: Value) -> Result<Option<Invoice>, String> {
        read(&invoice(properties).to_string(), "2025-06".parse().unwrap())
    }

    #[test]
    fn an_invoice_of_the_month_says_its_total_and_its_tax_exactly() {
        let found = june(json!({})).unwrap().unwrap();
        let total = found.total.unwrap();
        assert_eq!(
            (total.total.to_string(), total.tax_not_in_rows.to_string()),
            ("180.93".into(), "28.89".into())
        );
        assert_eq!(total.source, "invoices: totalAmount, taxAmount");
        assert_eq!(total.issued.unwrap().to_string(), "2025-07-05");
        assert_eq!(found.document, invoice(json!({})).to_string());

        let exact = r#"{"currency": "EUR", "value": 12345678901234567.89}"#;
        let exact: Value = serde_json::from_str(exact).unwrap();
        let total = june(json!({"totalAmount": exact})).unwrap().unwrap().total.unwrap();
        assert_eq!(total.total.to_string(), "12345678901234567.89");
    }

    #[test]
    fn prepayments_are_no_part_of_what_rows_come_to() {
        let paid = json!({"currency": "EUR", "value": 100});
        let total = june(json!({"azurePrepaymentApplied": paid})).unwrap().unwrap().total.unwrap();
        assert_eq!(total.total.to_string(), "280.93");
        assert_eq!(total.source, "invoices: totalAmount + azurePrepaymentApplied, taxAmount");
        let older =
            json!({"totalAmount": null, "taxAmount": null, "billedAmount": {"currency": "USD", "value": -5}});
        let total = june(older).unwrap().unwrap().total.unwrap();
        assert_eq!((total.total.to_string(), total.source.as_str()), ("-5".into(), "invoices: billedAmount"));
        assert!(total.tax_not_in_rows.is_zero());
    }

    #[test]
    fn void_invoices_say_nothing_and_others_are_not_of_the_month() {
        assert_eq!(june(json!({"status": "Void"})).unwrap().unwrap().total, None);
        for (start, end, is_of_june) in [
            ("2025-06-01T00:00:00Z", "2025-07-01T00:00:00Z", true),
            ("2025-06-10T00:00:00Z", "2025-06-30T23:59:59Z", true),
            ("2025-06-12T00:00:00Z", "2025-07-11T00:00:00Z", false),
            ("2025-07-01T00:00:00Z", "2025-07-31T00:00:00Z", false),
        ] {
            let found = june(json!({"invoicePeriodStartDate": start, "invoicePeriodEndDate": end})).unwrap();
            assert_eq!(found.is_some(), is_of_june, "{start}");
        }
    }

    #[test]
    fn what_is_missing_or_contradicts_is_named() {
        for (properties, why) in [
            (json!({"totalAmount": null}), "invoice G1 has neither totalAmount nor billedAmount"),
            (json!({"invoicePeriodEndDate": null}), "invoice G1 has no invoicePeriodEndDate"),
            (
                json!({"taxAmount": {"currency": "USD", "value": 1}}),
                "invoice G1 has taxAmount in USD and its total in EUR",
            ),
        ] {
            assert_eq!(june(properties).unwrap_err(), why);
        }
    }

    #[test]
    fn an_invoice_that_says_something_twice_is_refused() {
        for (once, twice, place) in [
            (
                "\"value\":180.93",
                "\"value\":180.93,\"value\":18.93",
                "'value' stands twice in properties.totalAmount",
            ),
            (
                "\"status\":\"Due\"",
                "\"status\":\"Due\",\"discount\":1,\"discount\":2",
                "'discount' stands twice in properties",
            ),
        ] {
            let raw = invoice(json!({})).to_string().replacen(once, twice, 1);
            let error = read(&raw, "2025-06".parse().unwrap()).unwrap_err();
            assert!(error.starts_with(&format!("an invoice: {place}")), "{error}");
        }
    }

    #[test]
    fn signatures_are_not_kept() {
        let signed = json!({"documents": [{"url": "https://x.example/i.pdf?sv=1&sig=secret"}]});
        let kept = june(signed).unwrap().unwrap().document;
        assert!(kept.contains("https://x.example/i.pdf") && !kept.contains("sig="), "{kept}");
    }
}
