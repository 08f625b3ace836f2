//! Cost details reports of Azure, for Enterprise Agreements and for Microsoft Customer Agreements: the same columns under other
//! names. Days are written `MM/DD/YYYY` and both counted; costs are before taxes and credits.

mod services;

use std::borrow::Cow;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

use super::focus::{currency, time, wrong};
use super::mapping::{Class, Columns, Mapping, Row, Sign, Texts, Twin};
use super::tags;
use crate::charge::{Charge, ChargeCategory, ChargeFrequency, Period};

/// The format, and which of Azure's two reports of the same month it is.
///
/// Both have the rows that draw on no commitment. Those that do stand in the report of actual costs with what was paid
/// (the purchase, and nothing for what it covers), and in the amortised one with what was used of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AzureCostDetails {
    /// The only report of the bill: its costs are both.
    #[default]
    Alone,
    /// Actual costs beside the amortised ones.
    Billed,
    /// Amortised costs: only rows that draw on a commitment are charges, the others are compared.
    Amortized,
}

/// The name that Microsoft's own FOCUS exports use.
const MICROSOFT: &str = "Microsoft";

macro_rules! places {
    ($($name:ident)*) => { places!(@ 0usize; $($name)*); };
    (@ $at:expr; $name:ident $($rest:ident)*) => { const $name: usize = $at; places!(@ $at + 1; $($rest)*); };
    (@ $at:expr;) => {};
}

places! {
    CURRENCY PROFILE PROFILE_NAME ACCOUNT ACCOUNT_NAME PERIOD_START PERIOD_END INVOICE PREVIOUS_INVOICE SUBSCRIPTION
    SUBSCRIPTION_NAME FAMILY CATEGORY SERVICE CHARGE_TYPE FREQUENCY PUBLISHER_TYPE PUBLISHER RESELLER PRICING_MODEL
    TAGS
}
places! { COST }
places! {
    DATE PRODUCT METER METER_NAME PRICE_ID RESOURCE RESOURCE_NAME LOCATION METER_REGION ZONE UNIT PRICING_CURRENCY
    BENEFIT BENEFIT_NAME RESERVATION RESERVATION_NAME
}
places! { QUANTITY UNIT_PRICE LIST_PRICE LIST_COST }

const COLUMNS: Columns = Columns {
    class: &[
        &["BillingCurrency", "BillingCurrencyCode"],
        &["BillingProfileId"],
        &["BillingProfileName"],
        &["BillingAccountId"],
        &["BillingAccountName"],
        &["BillingPeriodStartDate"],
        &["BillingPeriodEndDate"],
        &["InvoiceId"],
        &["PreviousInvoiceId"],
        &["SubscriptionId", "SubscriptionGuid"],
        &["SubscriptionName"],
        &["ServiceFamily"],
        &["MeterCategory"],
        &["ConsumedService"],
        &["ChargeType"],
        &["Frequency"],
        &["PublisherType"],
        &["PublisherName"],
        &["ResellerName"],
        &["PricingModel"],
        &["Tags"],
    ],
    kind: &[
        CURRENCY,
        PROFILE,
        PROFILE_NAME,
        ACCOUNT,
        ACCOUNT_NAME,
        PERIOD_START,
        PERIOD_END,
        INVOICE,
        PREVIOUS_INVOICE,
        CHARGE_TYPE,
        FREQUENCY,
        PUBLISHER_TYPE,
        PUBLISHER,
        RESELLER,
        PRICING_MODEL,
    ],
    account: &[SUBSCRIPTION, SUBSCRIPTION_NAME],
    service: &[FAMILY, CATEGORY, SERVICE, CHARGE_TYPE],
    tags: &[TAGS],
    amounts: &[&["CostInBillingCurrency", "Cost"]],
    texts: &[
        &["Date", "UsageDateTime"],
        &["ProductName", "Product"],
        &["MeterId"],
        &["MeterName"],
        &["PartNumber", "ProductId"],
        &["ResourceId", "InstanceId"],
        &["ResourceName", "InstanceName"],
        &["ResourceLocation", "Location"],
        &["MeterRegion"],
        &["AvailabilityZone"],
        &["UnitOfMeasure"],
        &["PricingCurrency", "PricingCurrencyCode"],
        &["BenefitId"],
        &["BenefitName"],
        &["ReservationId"],
        &["ReservationName"],
    ],
    numbers: &[&["Quantity"], &["UnitPrice"], &["PayGPrice"], &["PaygCostInBillingCurrency"]],
    costs: &[LIST_COST],
    required_class: &[CURRENCY, PERIOD_START, SUBSCRIPTION, CHARGE_TYPE],
    required_amounts: &[COST],
    nulls: &[],
};

impl Mapping for AzureCostDetails {
    fn columns(&self) -> &Columns {
        &COLUMNS
    }

    fn classes(&self, texts: &dyn Texts) -> Result<Vec<Class>, String> {
        let text = |column: usize| texts.text(column);
        let owned = |column: usize| text(column).map(str::to_owned);
        let required = |column: usize| {
            text(column).ok_or_else(|| format!("{} is empty", COLUMNS.class[column].join(" or ")))
        };
        let charge_type = required(CHARGE_TYPE)?;
        let category = category(charge_type);
        let tags = tags::parse(text(TAGS))?;
        let is_committed = text(PRICING_MODEL).and_then(commitment).is_some() || is_unused(charge_type);
        let (cost, nothing) = (vec![(COST, Sign::Plus)], Vec::new());
        let (billed, effective, twin) = match (self, is_committed) {
            (Self::Alone, _) => (cost.clone(), cost, None),
            (Self::Billed, false) => (cost.clone(), cost, Some(Twin::Counted)),
            (Self::Billed, true) => (cost, nothing, None),
            (Self::Amortized, false) => (cost.clone(), cost, Some(Twin::Compared)),
            (Self::Amortized, true) => (nothing, cost, None),
        };
        Ok(vec![Class {
            billed,
            effective,
            // what a commitment covers costs nothing here, and is a row of the amortised report
            skip_zero: *self == Self::Billed && is_committed,
            twin,
            currency: currency(required(CURRENCY)?)?,
            billing_account_id: owned(PROFILE).or_else(|| owned(ACCOUNT)),
            billing_account_name: owned(PROFILE_NAME).or_else(|| owned(ACCOUNT_NAME)),
            billing_period: Some(billing_period(required(PERIOD_START)?, text(PERIOD_END))?),
            invoice_id: owned(INVOICE),
            sub_account_id: owned(SUBSCRIPTION),
            sub_account_name: owned(SUBSCRIPTION_NAME),
            service_category: services::category(text(CATEGORY), text(FAMILY)),
            service_name: text(CATEGORY).or(text(SERVICE)).unwrap_or(charge_type).to_owned(),
            category,
            // it names the invoice whose charge is taken back
            correction: text(PREVIOUS_INVOICE).is_some(),
            frequency: frequency(text(FREQUENCY), category),
            tags_json: tags::to_json(&tags),
            tags,
            names_provider: true,
            provider_name: MICROSOFT.to_owned(),
            publisher_name: publisher(text(PUBLISHER), text(PUBLISHER_TYPE)),
            invoice_issuer_name: text(RESELLER).unwrap_or(MICROSOFT).to_owned(),
        }])
    }

    fn complete<'r>(&self, charge: Charge<'r>, _: &'r Class, row: &Row<'r>) -> Result<Charge<'r>, String> {
        let text = |column: usize| row.texts.text(column);
        let some = |column: usize| text(column).map(Cow::Borrowed);
        let start = text(DATE).map(|date| day(date).ok_or_else(|| wrong("Date", Some(date)))).transpose()?;
        let charge_period = start.map_or(charge.charge_period, |start| Period { start, end: after(start) });
        let quantity = row.quantity(QUANTITY);
        let is_usage = charge.charge_category == ChargeCategory::Usage;
        let charge_type = row.class.text(CHARGE_TYPE).unwrap_or_default();
        // prices of a Microsoft Customer Agreement are in the currency of the price list
        let currency = charge.billing_currency.code();
        let is_priced = text(PRICING_CURRENCY).is_none_or(|code| code == currency);
        let price = |column: usize| row.quantity(column).filter(|_| is_priced);
        let list_cost = row.cost(LIST_COST)?.filter(|cost| !cost.is_zero());
        let model = row.class.text(PRICING_MODEL);
        let cost = if *self == Self::Amortized { charge.effective_cost } else { charge.billed_cost };
        let benefit = model.and_then(commitment);
        let of_benefit = |columns: [usize; 2]| benefit.and(some(columns[0]).or_else(|| some(columns[1])));
        let resource = text(RESOURCE);
        Ok(Charge {
            charge_period,
            charge_description: some(PRODUCT).or_else(|| some(METER_NAME)),
            sku_id: some(METER),
            sku_price_id: some(PRICE_ID),
            resource_id: some(RESOURCE),
            resource_name: some(RESOURCE_NAME).or_else(|| resource.and_then(last_part).map(Cow::Borrowed)),
            resource_type: resource.and_then(resource_type),
            region_id: some(LOCATION),
            region_name: some(METER_REGION),
            availability_zone: some(ZONE),
            consumed_quantity: quantity.filter(|_| is_usage),
            consumed_unit: some(UNIT).filter(|_| is_usage),
            pricing_category: Some(Cow::Borrowed(pricing_category(model))),
            pricing_quantity: quantity,
            pricing_unit: some(UNIT),
            contracted_unit_price: price(UNIT_PRICE),
            list_unit_price: price(LIST_PRICE).filter(|price| !price.is_zero()),
            list_cost: list_cost.unwrap_or(cost),
            contracted_cost: cost,
            commitment_discount_id: of_benefit([BENEFIT, RESERVATION]),
            commitment_discount_name: of_benefit([BENEFIT_NAME, RESERVATION_NAME]),
            commitment_discount_category: benefit.map(|(category, _)| Cow::Borrowed(category)),
            commitment_discount_type: benefit.map(|(_, kind)| Cow::Borrowed(kind)),
            commitment_discount_status: benefit.and(commitment_status(charge_type)).map(Cow::Borrowed),
            ..charge
        })
    }
}

/// The beginning of a day as Azure writes it, `06/19/2025`; some versions write `2025-06-19` or add a time.
fn day(text: &str) -> Option<DateTime<Utc>> {
    match NaiveDate::parse_from_str(text, "%m/%d/%Y") {
        Ok(date) => Some(date.and_time(NaiveTime::MIN).and_utc()),
        Err(_) => time(text),
    }
}

fn after(day: DateTime<Utc>) -> DateTime<Utc> {
    day.checked_add_days(Days::new(1)).unwrap_or(day)
}

/// From its first day to its last, both counted.
fn billing_period(first: &str, last: Option<&str>) -> Result<Period, String> {
    let start = day(first).ok_or_else(|| wrong("BillingPeriodStartDate", Some(first)))?;
    let end = match last {
        Some(last) => after(day(last).ok_or_else(|| wrong("BillingPeriodEndDate", Some(last)))?),
        None => crate::month::BillingMonth::containing(start).end(),
    };
    Ok(Period { start, end })
}

/// The kinds of charges; one that is not known yet says nothing about money, and is taken as an adjustment.
fn category(charge_type: &str) -> ChargeCategory {
    match charge_type.to_ascii_lowercase().as_str() {
        "usage" | "unusedreservation" | "unusedsavingsplan" => ChargeCategory::Usage,
        "purchase" => ChargeCategory::Purchase,
        "refund" | "credit" => ChargeCategory::Credit,
        "tax" => ChargeCategory::Tax,
        _ => ChargeCategory::Adjustment,
    }
}

fn frequency(text: Option<&str>, category: ChargeCategory) -> ChargeFrequency {
    match text {
        Some("UsageBased") => ChargeFrequency::UsageBased,
        Some("Recurring") => ChargeFrequency::Recurring,
        Some(_) => ChargeFrequency::OneTime,
        None if category == ChargeCategory::Usage => ChargeFrequency::UsageBased,
        None => ChargeFrequency::OneTime,
    }
}

/// Microsoft, unless the row says who: of the marketplace it should.
fn publisher(name: Option<&str>, kind: Option<&str>) -> String {
    let is_marketplace = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("marketplace"));
    name.unwrap_or(if is_marketplace { "Azure Marketplace" } else { MICROSOFT }).to_owned()
}

fn pricing_category(model: Option<&str>) -> &'static str {
    match model {
        None | Some("OnDemand") => "Standard",
        Some("Spot") => "Dynamic",
        Some("Reservation" | "SavingsPlan") => "Committed",
        Some(_) => "Other",
    }
}

/// FOCUS' category and the kind of a commitment.
fn commitment(model: &str) -> Option<(&'static str, &'static str)> {
    match model {
        "Reservation" => Some(("Usage", "Reservation")),
        "SavingsPlan" => Some(("Spend", "Savings Plan")),
        _ => None,
    }
}

/// What was paid for and not used; only amortised reports have it.
fn is_unused(charge_type: &str) -> bool {
    ["unusedreservation", "unusedsavingsplan"].iter().any(|kind| charge_type.eq_ignore_ascii_case(kind))
}

/// A purchase neither uses nor wastes it.
fn commitment_status(charge_type: &str) -> Option<&'static str> {
    match charge_type.to_ascii_lowercase().as_str() {
        "usage" => Some("Used"),
        _ if is_unused(charge_type) => Some("Unused"),
        _ => None,
    }
}

/// `Microsoft.Compute/virtualMachines` of `/subscriptions/.../providers/Microsoft.Compute/virtualMachines/vm1`.
fn resource_type(id: &str) -> Option<Cow<'_, str>> {
    let (_, after) = id.rsplit_once("/providers/")?;
    let mut ends = after.match_indices('/').map(|(at, _)| at).skip(1);
    Some(Cow::Borrowed(&after[..ends.next().unwrap_or(after.len())]))
}

fn last_part(id: &str) -> Option<&str> {
    id.rsplit('/').next().filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests;
