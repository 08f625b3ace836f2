//! Atlas lines as FOCUS charges: one row a line, and one for the sales tax of the invoice.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

use chrono::{DateTime, Utc};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;
use serde_json::value::RawValue;

use super::CURRENCY;
use super::document::{Invoice, InvoiceHead, LineItem, MalformedInvoice, Text, timestamp};
use crate::charge::{Charge, ChargeCategory, ChargeFrequency, Period};
use crate::money::{Money, shift};
use crate::strict;

/// The charges of an invoice in the order of its lines, sales tax last. `BilledCost` is `totalPriceCents / 100`.
pub fn charges<'i>(invoice: &'i Invoice<'_>) -> impl Iterator<Item = Result<Charge<'i>, MalformedInvoice>> {
    let head = &invoice.head;
    let (mut times, mut skus) = (Times::default(), Skus::default());
    let lines = invoice.line_items.iter().enumerate();
    let lines = lines.map(move |(index, line)| line_charge(head, line, index + 1, &mut times, &mut skus));
    let tax = head.figures.sales_tax_cents.filter(|cents| *cents != 0);
    lines.chain(tax.map(|cents| Ok(tax_charge(head, cents))))
}

fn line_charge<'i>(
    head: &'i InvoiceHead,
    line: &'i LineItem<'_>,
    number: usize,
    times: &mut Times<'i>,
    skus: &mut Skus<'i>,
) -> Result<Charge<'i>, MalformedInvoice> {
    let sku = text(line.sku.as_ref());
    let known = skus.read(sku.unwrap_or_default());
    let missing =
        || MalformedInvoice::MissingAmount { line: number, sku: sku.unwrap_or("no SKU").to_owned() };
    let cents = line.total_price_cents.ok_or_else(missing)?;
    let information = |field, raw| information(number, field, raw);
    let category = known.category(cents);
    let quantity = information("quantity", line.quantity)?;
    let unit = text(line.unit.as_ref());
    let resource = text(line.cluster_name.as_ref()).or(text(line.stitch_app_name.as_ref()));
    let charge_period = Period {
        start: times.read(number, "startDate", line.start_date.as_ref())?.unwrap_or(head.period.start),
        end: times.read(number, "endDate", line.end_date.as_ref())?.unwrap_or(head.period.end),
    };
    Ok(Charge {
        charge_period,
        charge_category: category,
        charge_description: text(line.note.as_ref()).or(sku).map(Cow::Borrowed),
        charge_frequency: known.frequency(category),
        service_category: "Databases",
        service_name: Cow::Borrowed(known.service),
        sku_id: sku.map(Cow::Borrowed),
        resource_id: resource.map(Cow::Borrowed),
        resource_name: resource.map(Cow::Borrowed),
        sub_account_id: text(line.group_id.as_ref()).map(Cow::Borrowed),
        sub_account_name: text(line.group_name.as_ref()).map(Cow::Borrowed),
        consumed_quantity: quantity.filter(|_| category == ChargeCategory::Usage),
        consumed_unit: unit.filter(|_| category == ChargeCategory::Usage).map(Cow::Borrowed),
        pricing_quantity: quantity,
        pricing_unit: unit.map(Cow::Borrowed),
        contracted_unit_price: information("unitPriceDollars", line.unit_price_dollars)?,
        tags: line.tags.and_then(flat_tags).map(Cow::Owned),
        x_discount_cents: information("discountCents", line.discount_cents)?,
        x_line_number: Some(number),
        ..of_invoice(head, cents)
    })
}

fn tax_charge(head: &InvoiceHead, cents: i64) -> Charge<'_> {
    Charge {
        charge_category: ChargeCategory::Tax,
        charge_description: Some(Cow::Borrowed("Sales tax")),
        charge_frequency: ChargeFrequency::Recurring,
        ..of_invoice(head, cents)
    }
}

/// What every charge of an invoice has in common.
fn of_invoice(head: &InvoiceHead, cents: i64) -> Charge<'_> {
    let cost = Money::from_minor(cents, CURRENCY).amount();
    Charge {
        charge_frequency: ChargeFrequency::UsageBased,
        invoice_id: Some(Cow::Borrowed(head.id.as_str())),
        invoice_issuer_name: Cow::Borrowed("MongoDB"),
        publisher_name: Cow::Borrowed("MongoDB"),
        service_category: "Databases",
        service_name: Cow::Borrowed("Atlas"),
        ..Charge::new(
            cost,
            CURRENCY,
            Cow::Borrowed(head.org_id.as_str()),
            head.period,
            Cow::Borrowed("MongoDB Atlas"),
        )
    }
}

/// An empty text says nothing, as an absent one does.
fn text<'t>(text: Option<&'t Text<'_>>) -> Option<&'t str> {
    text.map(|text| text.0.as_ref()).filter(|text| !text.is_empty())
}

/// What a SKU says.
#[derive(Clone, Copy)]
struct Sku {
    service: &'static str,
    credit: bool,
    support: bool,
}

impl Sku {
    fn of(sku: &str) -> Self {
        let credit = sku.contains("CREDIT") || sku.contains("DISCOUNT");
        Self { service: service_name(sku), credit, support: sku.contains("SUPPORT") }
    }

    /// Credit for negative lines and for SKUs that say so, else Usage.
    fn category(self, cents: i64) -> ChargeCategory {
        if cents < 0 || self.credit { ChargeCategory::Credit } else { ChargeCategory::Usage }
    }

    fn frequency(self, category: ChargeCategory) -> ChargeFrequency {
        if self.support {
            ChargeFrequency::Recurring
        } else if category == ChargeCategory::Credit {
            ChargeFrequency::OneTime
        } else {
            ChargeFrequency::UsageBased
        }
    }
}

/// Reads SKUs, each once: an invoice has few.
#[derive(Default)]
struct Skus<'i>(HashMap<&'i str, Sku>);

impl<'i> Skus<'i> {
    fn read(&mut self, sku: &'i str) -> Sku {
        *self.0.entry(sku).or_insert_with(|| Sku::of(sku))
    }
}

/// The service by what the SKU contains; the first match wins, so the narrower words stand first.
fn service_name(sku: &str) -> &'static str {
    const SERVICES: [(&str, &str); 16] = [
        ("SUPPORT", "Atlas Support"),
        ("CREDIT", "Atlas Credits"),
        ("PIT_RESTORE", "Atlas Backup"),
        ("BACKUP", "Atlas Backup"),
        ("DATA_TRANSFER", "Atlas Data Transfer"),
        ("PRIVATE_ENDPOINT", "Atlas Private Endpoint"),
        ("SERVERLESS", "Atlas Serverless"),
        ("BI_CONNECTOR", "Atlas BI Connector"),
        ("DATA_LAKE", "Atlas Data Federation"),
        ("AUDITING", "Atlas Security"),
        ("SECURITY", "Atlas Security"),
        ("CHARTS", "Atlas Charts"),
        ("REALM", "Atlas App Services"),
        ("STITCH", "Atlas App Services"),
        ("INSTANCE", "Atlas Clusters"),
        ("STORAGE", "Atlas Storage"),
    ];
    SERVICES.iter().find(|(word, _)| sku.contains(word)).map_or("Atlas", |(_, service)| service)
}

/// A number that is information only (quantity, unit price, discount), rounded half away from zero to the 18
/// decimals that the charges keep: Atlas sends doubles, whose text can be longer. No amount depends on it.
fn information(
    line: usize,
    field: &str,
    raw: Option<&RawValue>,
) -> Result<Option<Decimal>, MalformedInvoice> {
    let Some(text) = raw.map(RawValue::get).filter(|text| *text != "null") else { return Ok(None) };
    rounded(text).map(Some).ok_or_else(|| MalformedInvoice::Field {
        field: format!("line item {line}: {field}"),
        text: text.chars().take(60).collect(),
        expected: "a number of at most 28 digits",
    })
}

fn rounded(text: &str) -> Option<Decimal> {
    const DECIMALS: i32 = 18;
    let round = |number: Decimal, decimals: i32| {
        let decimals = u32::try_from(decimals).ok()?;
        Some(number.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero))
    };
    let Some((base, exponent)) = text.split_once(['e', 'E']) else {
        return round(Decimal::from_str(text).ok()?, DECIMALS);
    };
    let (base, exponent) = (Decimal::from_str(base).ok()?, exponent.parse::<i32>().ok()?);
    if exponent >= 0 {
        return round(shift(base, exponent)?, DECIMALS);
    }
    // the base has one digit before its point: less than this is less than the last decimal kept
    let kept = DECIMALS.saturating_add(exponent);
    if kept < 0 { Some(Decimal::ZERO) } else { shift(round(base, kept)?, exponent) }
}

/// `{"team": ["a", "b"]}` as FOCUS wants tags, a flat object: `{"team":"a,b"}`. Other shapes stay as JSON text; tags
/// that cannot be read, or one that stands twice, are none: they are no money.
fn flat_tags(raw: &RawValue) -> Option<String> {
    if raw.get() == "{}" {
        return None;
    }
    let tags: BTreeMap<String, Value> = strict::from_str(raw.get()).ok()?;
    let flat: BTreeMap<&String, String> = tags
        .iter()
        .map(|(key, value)| {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let joined = match value {
                Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
                other => text(other),
            };
            (key, joined)
        })
        .collect();
    if flat.is_empty() { None } else { serde_json::to_string(&flat).ok() }
}

/// Reads times, remembering the last of each field: lines of one day follow each other.
#[derive(Default)]
struct Times<'i> {
    seen: [Option<(&'i str, DateTime<Utc>)>; 2],
}

impl<'i> Times<'i> {
    fn read(
        &mut self,
        line: usize,
        field: &str,
        time: Option<&'i Text<'_>>,
    ) -> Result<Option<DateTime<Utc>>, MalformedInvoice> {
        let Some(text) = text(time) else { return Ok(None) };
        if let Some((_, known)) = self.seen.iter().flatten().find(|(seen, _)| *seen == text) {
            return Ok(Some(*known));
        }
        let read = timestamp(&format!("line item {line}: {field}"), text)?;
        self.seen = [Some((text, read)), self.seen[0]];
        Ok(Some(read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_line(line: &str) -> String {
        format!(
            r#"{{"id":"i1","orgId":"o1","startDate":"2026-10-01T00:00:00Z","endDate":"2026-11-01T00:00:00Z","salesTaxCents":19,"lineItems":[{line}]}}"#
        )
    }

    #[test]
    fn a_line_becomes_a_focus_row() {
        let raw = one_line(
            r#"{"totalPriceCents":3888,"groupId":"g1","groupName":"pay","clusterName":"c0","sku":"ATLAS_AWS_INSTANCE_M30",
                "quantity":72.0,"unit":"server hours","unitPriceDollars":0.54,"startDate":"2026-10-03T00:00:00Z",
                "endDate":"2026-10-04T00:00:00Z","tags":{"team":["data","bi"]},"discountCents":12}"#,
        );
        let invoice = Invoice::parse(raw.as_bytes()).unwrap();
        let charges: Vec<_> = charges(&invoice).collect::<Result<_, _>>().unwrap();
        insta::assert_debug_snapshot!(charges);
    }

    #[test]
    fn a_tag_that_stands_twice_is_no_tag_and_holds_no_invoice() {
        let raw = one_line(
            r#"{"totalPriceCents":1,"tags":{"team":"a","team":"b"}},{"totalPriceCents":2,"tags":{"team":"a"}}"#,
        );
        let invoice = Invoice::parse(raw.as_bytes()).unwrap();
        let tags: Vec<_> = charges(&invoice).map(|charge| charge.unwrap().tags).collect();
        assert_eq!(tags, [None, Some(Cow::Borrowed(r#"{"team":"a"}"#)), None]);
    }

    #[test]
    fn negative_lines_and_credits_are_credit_the_rest_is_usage() {
        assert_eq!(Sku::of("ATLAS_AWS_INSTANCE_M10").category(-1), ChargeCategory::Credit);
        assert_eq!(Sku::of("CREDIT").category(0), ChargeCategory::Credit);
        assert_eq!(Sku::of("ATLAS_SUPPORT").category(1), ChargeCategory::Usage);
    }

    #[test]
    fn long_doubles_that_are_information_only_hold_no_invoice() {
        let quantity = |text: &str| {
            let raw = one_line(&format!(r#"{{"totalPriceCents":1,"quantity":{text}}}"#));
            let invoice = Invoice::parse(raw.as_bytes()).unwrap();
            charges(&invoice).next().unwrap().unwrap().pricing_quantity.unwrap().to_string()
        };
        assert_eq!(quantity("1.862645149230957E-9"), "0.000000001862645149");
        assert_eq!(quantity("1.2345678901234567e-15"), "0.000000000000001235");
        assert_eq!(quantity("1e-300"), "0");
        assert_eq!(quantity("0.1234567890123456789012345678901"), "0.123456789012345679");
    }

    #[test]
    fn what_cannot_be_kept_exactly_names_the_line() {
        let error = |line: &str| {
            let raw = one_line(line);
            let invoice = Invoice::parse(raw.as_bytes()).unwrap();
            charges(&invoice).find_map(Result::err).map(|error| error.to_string())
        };
        assert_eq!(error(r#"{"sku":"X"}"#).unwrap(), "line item 1 (X) has no totalPriceCents");
        assert_eq!(
            error(r#"{"totalPriceCents":null}"#).unwrap(),
            "line item 1 (no SKU) has no totalPriceCents"
        );
        assert_eq!(
            error(r#"{"totalPriceCents":1,"quantity":1e99}"#).unwrap(),
            "line item 1: quantity '1e99' is not a number of at most 28 digits"
        );
        assert!(
            error(r#"{"totalPriceCents":1,"startDate":"yesterday"}"#)
                .unwrap()
                .starts_with("line item 1: startDate")
        );
        assert_eq!(error(r#"{"totalPriceCents":1,"quantity":6.035e-07}"#), None);
    }
}
