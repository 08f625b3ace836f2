//! The invoice as Atlas sends it. Unknown fields are ignored, unknown states are kept as text; a missing
//! amount is an error that names the line.
//!
//! Texts borrow from the document: an invoice of 100,000 lines costs its own size and one small struct a line.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde::de::{self, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::charge::Period;
use crate::ids::{BillingAccountId, InvalidId, InvoiceId};
use crate::month::{BillingMonth, in_calendar};
use crate::period::Finality;
use crate::strict;

/// Tags are no money: one that stands twice makes its line untagged and does not hold the invoice.
const SPARED: &[&str] = &["tags"];

/// A document that is no Atlas invoice, and where it goes wrong.
#[derive(Debug, thiserror::Error)]
pub enum MalformedInvoice {
    /// Not JSON, cut short, or a field of the wrong type.
    #[error("not an Atlas invoice: {0}")]
    Json(#[from] serde_json::Error),
    /// A field that every invoice must have.
    #[error("the invoice has no {0}")]
    Missing(&'static str),
    /// A field whose text cannot be used.
    #[error("{field} '{text}' is not {expected}")]
    Field {
        /// Path of the field.
        field: String,
        /// Its text, shortened.
        text: String,
        /// What it should be.
        expected: &'static str,
    },
    /// An identifier that is none.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A line without its amount.
    #[error("line item {line} ({sku}) has no totalPriceCents")]
    MissingAmount {
        /// Number of the line, from 1.
        line: usize,
        /// Its SKU.
        sku: String,
    },
    /// The wrapper of the open invoice holds another number of invoices than one.
    #[error("the document holds {0} invoices, expected one")]
    Count(usize),
}

/// A text that borrows from the document unless it has escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// One line of an invoice, as sent; amounts that stay information only are kept as raw JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
#[expect(missing_docs, reason = "the provider's own names")]
pub struct LineItem<'a> {
    pub total_price_cents: Option<i64>,
    #[serde(default)]
    pub group_id: Option<Text<'a>>,
    #[serde(default)]
    pub group_name: Option<Text<'a>>,
    #[serde(default)]
    pub sku: Option<Text<'a>>,
    #[serde(default)]
    pub start_date: Option<Text<'a>>,
    #[serde(default)]
    pub end_date: Option<Text<'a>>,
    #[serde(default)]
    pub cluster_name: Option<Text<'a>>,
    #[serde(default)]
    pub stitch_app_name: Option<Text<'a>>,
    #[serde(default)]
    pub note: Option<Text<'a>>,
    #[serde(default)]
    pub unit: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub quantity: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub unit_price_dollars: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub discount_cents: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub tags: Option<&'a RawValue>,
}

/// A payment or refund, only as far as the certificate names it.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Settlement {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payment_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) currency: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amount_billed_cents: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amount_paid_cents: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amount_cents: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// The invoice's own figures, integers of cents; absent ones stay absent.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subtotal_cents: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credits_cents: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sales_tax_cents: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) starting_balance_cents: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amount_billed_cents: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amount_paid_cents: Option<i64>,
    pub(crate) payments: Vec<Settlement>,
    pub(crate) refunds: Vec<Settlement>,
}

/// What an invoice says before its lines.
#[derive(Debug, Clone)]
pub struct InvoiceHead {
    /// `id`.
    pub id: InvoiceId,
    /// `orgId`.
    pub org_id: BillingAccountId,
    /// `startDate` and `endDate` (exclusive).
    pub period: Period,
    /// `statusName`, as it came: `PENDING`, `CLOSED`, `PAID`, `PREPAID`, ... or one not known here.
    pub status_name: Option<String>,
    /// `updated`: when Atlas last changed the invoice.
    pub updated: Option<DateTime<Utc>>,
    pub(crate) updated_text: Option<String>,
    pub(crate) figures: Figures,
}

impl InvoiceHead {
    /// The month in which the invoice starts.
    #[must_use]
    pub fn month(&self) -> BillingMonth {
        BillingMonth::containing(self.period.start)
    }

    /// Open while Atlas says `PENDING`, or says a word not known here and changed it before its end.
    #[must_use]
    pub fn finality(&self) -> Finality {
        const FINAL: [&str; 7] = ["CLOSED", "FORGIVEN", "FAILED", "PAID", "FREE", "PREPAID", "INVOICED"];
        match self.status_name.as_deref() {
            Some("PENDING") => Finality::Open,
            Some(status) if FINAL.contains(&status) => Finality::Final,
            _ if self.updated.is_some_and(|updated| updated < self.period.end) => Finality::Open,
            _ => Finality::Final,
        }
    }
}

/// An Atlas invoice with its lines.
#[derive(Debug)]
pub struct Invoice<'a> {
    /// What it says before its lines.
    pub head: InvoiceHead,
    /// Its lines, in its order.
    pub line_items: Vec<LineItem<'a>>,
}

impl<'a> Invoice<'a> {
    /// Reads the document in any of the shapes that Atlas sends: the invoice itself, a list of one, or a page
    /// `{"results": [...]}` of one (the last two for the open invoice).
    ///
    /// # Errors
    /// [`MalformedInvoice`] names the field or line.
    pub fn parse(document: &'a [u8]) -> Result<Self, MalformedInvoice> {
        // checked once as a whole, which is quicker than text by text
        let document = str::from_utf8(document).map_err(serde_json::Error::custom)?;
        let mut invoices: Vec<Wire<'a>> = if document.trim_ascii_start().starts_with('[') {
            strict::from_str_sparing(document, SPARED)?
        } else {
            let mut page: Wire<'a> = strict::from_str_sparing(document, SPARED)?;
            match page.results.take() {
                Some(results) => results,
                None => vec![page],
            }
        };
        match (invoices.pop(), invoices.len()) {
            (Some(invoice), 0) => invoice.check(),
            (last, others) => Err(MalformedInvoice::Count(others + usize::from(last.is_some()))),
        }
    }
}

struct Lines<'a>(Vec<LineItem<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Lines<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LinesVisitor;
        impl<'de> Visitor<'de> for LinesVisitor {
            type Value = Lines<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of line items")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Lines<'de>, E> {
                Ok(Lines(Vec::new()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Lines<'de>, A::Error> {
                let mut lines = Vec::new();
                loop {
                    let number = lines.len() + 1;
                    let named = |error| de::Error::custom(format_args!("line item {number}: {error}"));
                    match items.next_element().map_err(named)? {
                        Some(line) => lines.push(line),
                        None => return Ok(Lines(lines)),
                    }
                }
            }
        }
        deserializer.deserialize_any(LinesVisitor)
    }
}

/// The document before any check. Written by hand what `flatten` would do, because `flatten` buffers and
/// would neither borrow nor keep numbers exact.
#[derive(Default)]
struct Wire<'a> {
    id: Option<String>,
    org_id: Option<String>,
    start_date: Option<String>,
    end_date: Option<String>,
    status_name: Option<String>,
    updated: Option<String>,
    line_items: Option<Lines<'a>>,
    results: Option<Vec<Wire<'a>>>,
    figures: Figures,
}

impl<'de: 'a, 'a> Deserialize<'de> for Wire<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WireVisitor;
        impl<'de> Visitor<'de> for WireVisitor {
            type Value = Wire<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an invoice")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wire<'de>, A::Error> {
                let mut wire = Wire::default();
                while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
                    let named = |error| de::Error::custom(format_args!("{key}: {error}"));
                    match key.as_ref() {
                        "id" => wire.id = map.next_value().map_err(named)?,
                        "orgId" => wire.org_id = map.next_value().map_err(named)?,
                        "startDate" => wire.start_date = map.next_value().map_err(named)?,
                        "endDate" => wire.end_date = map.next_value().map_err(named)?,
                        "statusName" => wire.status_name = map.next_value().map_err(named)?,
                        "updated" => wire.updated = map.next_value().map_err(named)?,
                        "lineItems" => wire.line_items = Some(map.next_value()?),
                        "results" => wire.results = map.next_value().map_err(named)?,
                        "subtotalCents" => wire.figures.subtotal_cents = map.next_value().map_err(named)?,
                        "creditsCents" => wire.figures.credits_cents = map.next_value().map_err(named)?,
                        "salesTaxCents" => wire.figures.sales_tax_cents = map.next_value().map_err(named)?,
                        "startingBalanceCents" => {
                            wire.figures.starting_balance_cents = map.next_value().map_err(named)?;
                        }
                        "amountBilledCents" => {
                            wire.figures.amount_billed_cents = map.next_value().map_err(named)?
                        }
                        "amountPaidCents" => {
                            wire.figures.amount_paid_cents = map.next_value().map_err(named)?
                        }
                        "payments" => {
                            wire.figures.payments =
                                map.next_value::<Option<_>>().map_err(named)?.unwrap_or_default();
                        }
                        "refunds" => {
                            wire.figures.refunds =
                                map.next_value::<Option<_>>().map_err(named)?.unwrap_or_default();
                        }
                        _ => {
                            map.next_value::<de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(wire)
            }
        }
        deserializer.deserialize_map(WireVisitor)
    }
}

impl<'a> Wire<'a> {
    fn check(self) -> Result<Invoice<'a>, MalformedInvoice> {
        let missing = |field| move || MalformedInvoice::Missing(field);
        let start = timestamp("startDate", &self.start_date.ok_or_else(missing("startDate"))?)?;
        let end = timestamp("endDate", &self.end_date.ok_or_else(missing("endDate"))?)?;
        let updated = self.updated.as_deref().map(|text| timestamp("updated", text)).transpose()?;
        let head = InvoiceHead {
            id: InvoiceId::new(self.id.ok_or_else(missing("id"))?)?,
            org_id: BillingAccountId::new(self.org_id.ok_or_else(missing("orgId"))?)?,
            period: Period { start, end },
            status_name: self.status_name,
            updated,
            updated_text: self.updated,
            figures: self.figures,
        };
        let line_items = self.line_items.ok_or_else(missing("lineItems"))?.0;
        Ok(Invoice { head, line_items })
    }
}

/// An ISO 8601 time as Atlas writes it, `2026-10-01T00:00:00Z`, or a date alone.
pub(crate) fn timestamp(field: &str, text: &str) -> Result<DateTime<Utc>, MalformedInvoice> {
    let date_alone = || text.parse::<NaiveDate>().ok().map(|date| date.and_time(NaiveTime::MIN).and_utc());
    let time = DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()).or_else(date_alone);
    time.and_then(in_calendar).ok_or_else(|| MalformedInvoice::Field {
        field: field.to_owned(),
        text: text.chars().take(60).collect(),
        expected: "a time like 2026-10-01T00:00:00Z",
    })
}

/// The month of a `startDate`, if it is one.
#[must_use]
pub fn month_of(start_date: &str) -> Option<BillingMonth> {
    timestamp("startDate", start_date).ok().map(BillingMonth::containing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(document: &str) -> Result<Invoice<'_>, String> {
        Invoice::parse(document.as_bytes()).map_err(|error| error.to_string())
    }

    fn document(lines: &str) -> String {
        format!(
            r#"{{"id":"i1","lineItems":{lines},"orgId":"o1","startDate":"2026-10-01T00:00:00Z","endDate":"2026-11-01T00:00:00Z","statusName":"PAID","new":{{"x":1e400}}}}"#
        )
    }

    #[test]
    fn three_shapes_are_one_invoice() {
        let bare = document(r#"[{"totalPriceCents":5}]"#);
        for shape in [
            bare.clone(),
            format!("[{bare}]"),
            format!(r#"{{"links":[],"results":[{bare}],"totalCount":1}}"#),
        ] {
            let invoice = parse(&shape).unwrap();
            assert_eq!((invoice.head.id.as_str(), invoice.line_items.len()), ("i1", 1));
        }
        assert_eq!(parse("[]").unwrap_err(), "the document holds 0 invoices, expected one");
        assert_eq!(
            parse(&format!("[{bare},{bare}]")).unwrap_err(),
            "the document holds 2 invoices, expected one"
        );
    }

    #[test]
    fn errors_name_the_line_and_the_field() {
        let error = |lines: &str| parse(&document(lines)).unwrap_err();
        let message = error(r#"[{"totalPriceCents":1},{"totalPriceCents":1.5}]"#);
        assert!(message.contains("line item 2: invalid type: floating point"), "{message}");
        let message = error(r#"[{"totalPriceCents":99999999999999999999}]"#);
        assert!(message.contains("line item 1: "), "{message}");
        let message = error(r#"[{"totalPriceCents":1,"sku":7}]"#);
        assert!(message.contains("line item 1: ") && message.contains("expected a text"), "{message}");
        let message = error(r#""x""#);
        assert!(message.contains("expected a list of line items"), "{message}");
        let message = parse(&document("[]").replace("\"PAID\"", "7")).unwrap_err();
        assert!(message.contains("statusName: invalid type"), "{message}");
        assert_eq!(parse(&document("[]").replace("\"id\"", "\"di\"")).unwrap_err(), "the invoice has no id");
        assert_eq!(
            parse(&document("[]").replace("2026-11-01T00:00:00Z", "soon")).unwrap_err(),
            "endDate 'soon' is not a time like 2026-10-01T00:00:00Z"
        );
        let whole = document(r#"[{"totalPriceCents":1}]"#);
        assert!(parse(&whole[..whole.len() - 1]).unwrap_err().contains("EOF"));
        assert!(parse("<html>").unwrap_err().starts_with("not an Atlas invoice"));
    }

    #[test]
    fn an_unknown_state_is_kept_and_judged_by_its_dates() {
        let unknown = document("[]").replace("PAID", "BREWING");
        assert_eq!(parse(&unknown).unwrap().head.finality(), Finality::Final);
        let early = unknown.replace("\"statusName\"", "\"updated\":\"2026-10-20T00:00:00Z\",\"statusName\"");
        let invoice = parse(&early).unwrap();
        assert_eq!(
            (invoice.head.status_name.as_deref(), invoice.head.finality()),
            (Some("BREWING"), Finality::Open)
        );
        assert_eq!(
            parse(&document("[]").replace("PAID", "PENDING")).unwrap().head.finality(),
            Finality::Open
        );
    }

    #[test]
    fn texts_borrow_and_escapes_are_read() {
        let raw = document(r#"[{"totalPriceCents":1,"groupName":"caf\u00e9","sku":"X"}]"#);
        let invoice = parse(&raw).unwrap();
        let line = &invoice.line_items[0];
        assert_eq!(line.group_name.as_ref().unwrap().0, "café");
        assert!(matches!(line.sku.as_ref().unwrap().0, Cow::Borrowed("X")));
    }
}
