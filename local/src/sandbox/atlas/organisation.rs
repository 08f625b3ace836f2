//! An organisation with its invoices: invented ones, or documents as they were recorded.

use billing::month::BillingMonth;
use chrono::{Duration, SecondsFormat};
use serde_json::{Map, Value, json};

use crate::sandbox::ATLAS_CREDENTIALS;

/// What the sandbox serves.
#[derive(Clone, Debug)]
pub struct Organisation {
    invoices: Vec<Served>,
    amendable: Option<usize>,
    /// The server gives at most so many invoices a page, whatever is asked for.
    pub largest_page: usize,
}

#[derive(Clone, Debug)]
struct Served {
    org: String,
    id: String,
    status: String,
    /// The bytes as they are served.
    document: Vec<u8>,
    /// Not in lists: reached by a link only.
    linked: bool,
}

/// What an invoice is paid with, besides its lines.
struct Terms {
    status: &'static str,
    credits_off: Option<i64>,
    tax_percent: i64,
    promotion_cents: i64,
    paid: bool,
}

const LINKED_ORG: &str = "64f0a1b2c3d4e5f6071829ff";

/// (group id, name, cluster, tier, cents an hour times 100, whether it has backup)
const PROJECTS: [(&str, &str, &str, &str, i64, bool); 6] = [
    ("64f1000000000000000000a1", "payments-prod", "pay-main", "M30", 5_400, true),
    ("64f1000000000000000000a2", "web-shop", "shop", "M20", 2_000, true),
    ("64f1000000000000000000a3", "analytics", "warehouse", "M40", 10_400, false),
    ("64f1000000000000000000a4", "mobile-app", "mobile", "M10", 800, false),
    ("64f1000000000000000000a5", "staging", "stage", "M10", 800, false),
    ("64f1000000000000000000a6", "sandbox", "play", "M0", 0, false),
];

impl Organisation {
    /// An invented organisation that closes `closing`: two months paid by credits (one of them a cent off), one
    /// by card with a promotion, the closing month with sales tax, a refund beside it and a linked organisation's
    /// invoice, and the month after it still open.
    #[must_use]
    pub fn example(closing: BillingMonth) -> Self {
        let before =
            [closing.previous(), closing.previous().previous(), closing.previous().previous().previous()];
        let org = ATLAS_CREDENTIALS[2].1;
        let credits = |off| Terms {
            status: "PREPAID",
            credits_off: Some(off),
            tax_percent: 0,
            promotion_cents: 0,
            paid: false,
        };
        let card = |status, tax_percent, promotion_cents, paid| Terms {
            status,
            credits_off: None,
            tax_percent,
            promotion_cents,
            paid,
        };
        let linked = json!([{"id": invoice_id(closing, 'b'), "orgId": LINKED_ORG, "statusName": "INVOICED"}]);
        let (mut main, mut refund, mut other, mut open) = (
            month(org, closing, 'a', closing.days(), &card("INVOICED", 19, 0, false)),
            refund(org, closing),
            month(LINKED_ORG, closing, 'b', closing.days(), &card("INVOICED", 0, 0, false)),
            month(org, closing.next(), 'a', 6, &card("PENDING", 0, 0, false)),
        );
        main["linkedInvoices"] = linked;
        for invoice in [&mut refund, &mut other, &mut open] {
            invoice["linkedInvoices"] = json!([]);
        }
        let invoices = [
            open,
            main,
            refund,
            month(org, before[0], 'a', before[0].days(), &card("PAID", 0, 2_500, true)),
            month(org, before[1], 'a', before[1].days(), &credits(-1)),
            month(org, before[2], 'a', before[2].days(), &credits(0)),
            other,
        ];
        let mut organisation =
            Self::recorded(invoices.iter().map(|invoice| invoice.to_string().into_bytes()));
        organisation.amendable = Some(3);
        if let Some(linked) = organisation.invoices.last_mut() {
            linked.linked = true;
        }
        organisation
    }

    /// Documents served as they are; each names its `id`, `orgId` and `statusName` itself.
    #[must_use]
    pub fn recorded(documents: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let served = |document: Vec<u8>| {
            let head: Value = serde_json::from_slice(&document).unwrap_or_default();
            let text = |field: &str| head[field].as_str().unwrap_or_default().to_owned();
            Served { org: text("orgId"), id: text("id"), status: text("statusName"), linked: false, document }
        };
        Self { invoices: documents.into_iter().map(served).collect(), amendable: None, largest_page: 500 }
    }

    /// The same, with documents that only a link leads to.
    #[must_use]
    pub fn with_linked(mut self, documents: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let linked = Self::recorded(documents).invoices.into_iter();
        self.invoices.extend(linked.map(|served| Served { linked: true, ..served }));
        self
    }

    /// Invoices as lists show them, newest first; nothing for an organisation not known here.
    pub(super) fn heads(&self, org: &str) -> Option<Vec<Value>> {
        let known = self.invoices.is_empty() || self.invoices.iter().any(|invoice| invoice.org == org);
        let listed = self.invoices.iter().filter(|invoice| invoice.org == org && !invoice.linked);
        known.then(|| listed.map(head).collect())
    }

    pub(super) fn document(&self, org: &str, id: &str) -> Option<Vec<u8>> {
        let found = self.invoices.iter().find(|invoice| invoice.org == org && invoice.id == id);
        found.map(|invoice| invoice.document.clone())
    }

    pub(super) fn pending(&self, org: &str) -> Option<Vec<u8>> {
        let found = self.invoices.iter().find(|invoice| invoice.org == org && invoice.status == "PENDING");
        found.map(|invoice| invoice.document.clone())
    }

    pub(super) fn amend(&mut self) -> Option<String> {
        let served = self.invoices.get_mut(self.amendable?)?;
        let mut invoice: Value = serde_json::from_slice(&served.document).ok()?;
        let first = invoice["lineItems"].get(0)?.clone();
        let cents = 1_234;
        let mut late = first;
        late["totalPriceCents"] = json!(cents);
        late["sku"] = json!("ATLAS_AWS_DATA_TRANSFER_INTERNET");
        late["note"] = json!("Late usage report");
        invoice["lineItems"].as_array_mut()?.push(late);
        for field in ["subtotalCents", "amountBilledCents"] {
            invoice[field] = json!(invoice[field].as_i64()? + cents);
        }
        let updated =
            invoice["updated"].as_str()?.parse::<chrono::DateTime<chrono::Utc>>().ok()? + Duration::days(9);
        invoice["updated"] = json!(updated.to_rfc3339_opts(SecondsFormat::Secs, true));
        served.document = invoice.to_string().into_bytes();
        Some(served.id.clone())
    }
}

/// Lists show everything but lines, payments and refunds.
fn head(served: &Served) -> Value {
    let mut head: Map<String, Value> = serde_json::from_slice(&served.document).unwrap_or_default();
    head.retain(|field, _| !["lineItems", "payments", "refunds"].contains(&field.as_str()));
    Value::Object(head)
}

/// 24 hexadecimal digits that tell the month to a reader.
fn invoice_id(month: BillingMonth, letter: char) -> String {
    format!("69{:04}{:02}000000000000000{letter}", month.year(), month.month())
}

fn month(org: &str, month: BillingMonth, letter: char, days: i64, terms: &Terms) -> Value {
    let mut lines = Vec::new();
    for day in 0..days {
        for (index, project) in (0i64..).zip(&PROJECTS) {
            project_day(&mut lines, month, day, index, project);
        }
    }
    let time = |day: i64| (month.start() + Duration::days(day)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut organisation_line = |sku: &str, unit: &str, note: &str, cents: i64| {
        lines.push(json!({
            "sku": sku, "unit": unit, "note": note, "quantity": 1.0, "unitPriceDollars": 0.0, "totalPriceCents": cents,
            "startDate": time(days - 1), "endDate": time(days), "created": time(days),
        }));
    };
    organisation_line("ATLAS_SUPPORT", "percent", "Developer support plan", 97_531 * days / 310);
    if terms.promotion_cents > 0 {
        organisation_line("CREDIT", "dollars", "Promotional credit", -terms.promotion_cents);
    }
    let cents = |line: &Value| line["totalPriceCents"].as_i64().unwrap_or_default();
    let net: i64 = lines.iter().map(cents).sum();
    let subtotal: i64 = lines.iter().map(|line| cents(line).max(0)).sum();
    let tax = net * terms.tax_percent / 100;
    let billed = if terms.credits_off.is_some() { 0 } else { subtotal };
    let payment = json!([{
        "id": format!("66b{:04}{:02}0000000000000001", month.year(), month.month()), "statusName": "PAID",
        "currency": "USD", "unitPrice": "1.000000", "subtotalCents": subtotal, "salesTaxCents": tax,
        "amountBilledCents": net + tax, "amountPaidCents": net + tax, "created": time(month.days() + 1),
    }]);
    json!({
        "id": invoice_id(month, letter), "orgId": org, "statusName": terms.status,
        "startDate": time(0), "endDate": month.end().to_rfc3339_opts(SecondsFormat::Secs, true),
        "created": time(0), "updated": time(days.min(month.days()) + 1),
        "subtotalCents": subtotal, "creditsCents": terms.credits_off.map_or(terms.promotion_cents, |off| net + off),
        "salesTaxCents": tax, "startingBalanceCents": 0, "amountBilledCents": billed,
        "amountPaidCents": if terms.paid { net + tax } else { 0 },
        "lineItems": lines, "payments": if terms.paid { payment } else { json!([]) }, "refunds": [], "linkedInvoices": [],
        "links": [],
    })
}

/// What one project uses in one day.
fn project_day(
    lines: &mut Vec<Value>,
    month: BillingMonth,
    day: i64,
    index: i64,
    &(group_id, name, cluster, tier, hourly, backup): &(&str, &str, &str, &str, i64, bool),
) {
    let time = |day: i64| (month.start() + Duration::days(day)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut line = |sku: &str, unit: &str, quantity: f64, price: f64, cents: i64| {
        lines.push(json!({
            "groupId": group_id, "groupName": name, "clusterName": cluster, "sku": sku, "unit": unit, "quantity": quantity,
            "unitPriceDollars": price, "totalPriceCents": cents, "cloudProvider": "AWS", "tags": {"team": [name]},
            "startDate": time(day), "endDate": time(day + 1), "created": time(day + 1),
        }));
    };
    let instance =
        if tier == "M0" { "ATLAS_INSTANCE_M0".to_owned() } else { format!("ATLAS_AWS_INSTANCE_{tier}") };
    let to_f64 = |cents: i64| i32::try_from(cents).map_or(0.0, f64::from);
    #[expect(
        clippy::float_arithmetic,
        reason = "Atlas sends prices as JSON numbers; they are information only"
    )]
    let price = to_f64(hourly) / 10_000.0;
    line(&instance, "server hours", 72.0, price, 72 * hourly / 100);
    // traffic rises and falls over the week and differs by project
    let traffic = (day * 7 + index * 13 + i64::from(month.month()) * 5) % 23;
    if tier != "M0" {
        line("ATLAS_AWS_DATA_TRANSFER_DIFFERENT_REGION", "GB", to_f64(traffic), 0.02, traffic * 2);
    }
    if backup && day % 5 == 4 {
        line("ATLAS_AWS_BACKUP_SNAPSHOT_STORAGE", "GB days", 250.0, 0.0041, 102 + traffic);
    }
}

/// A refund posted as an invoice of its own: a charge and its reversal in two projects, and a shared correction.
fn refund(org: &str, month: BillingMonth) -> Value {
    let time = |day: i64| (month.start() + Duration::days(day)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let line = |project: Option<usize>, cents: i64, note: &str| {
        let mut line = json!({
            "sku": if cents < 0 { "CREDIT" } else { "ATLAS_AWS_BACKUP_DOWNLOAD" }, "unit": "dollars", "note": note,
            "quantity": 1.0, "unitPriceDollars": 0.0, "totalPriceCents": cents, "startDate": time(19), "endDate": time(20),
        });
        if let Some((group_id, name, ..)) = project.and_then(|index| PROJECTS.get(index)) {
            line["groupId"] = json!(group_id);
            line["groupName"] = json!(name);
        }
        line
    };
    json!({
        "id": invoice_id(month, 'c'), "orgId": org, "statusName": "CLOSED", "startDate": time(0),
        "endDate": month.end().to_rfc3339_opts(SecondsFormat::Secs, true), "created": time(20), "updated": time(21),
        "subtotalCents": 15_000, "creditsCents": 0, "salesTaxCents": 0, "startingBalanceCents": 0,
        "amountBilledCents": 5_000, "amountPaidCents": 0,
        "lineItems": [
            line(Some(0), 10_000, "Backup download billed to the right project"),
            line(Some(1), -10_000, "Backup download billed to the wrong project"),
            line(None, 5_000, "Handling"),
        ],
        "payments": [], "refunds": [{"paymentId": "66b0000000000000000000c1", "amountCents": 10_000, "reason": "Billed to the wrong project"}],
        "linkedInvoices": [], "links": [],
    })
}
