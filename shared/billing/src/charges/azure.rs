//! Cost details reports of Azure, for Enterprise Agreements and for Microsoft Customer Agreements, and pay-as-you-go usage: the same
//! columns under other names. Days are written `MM/DD/YYYY`, or as a person's settings had it, and the last of a period is counted;
//! costs are before taxes and credits.

mod services;

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::dates::{DateOrder, Days, after};
use super::focus::{currency, wrong};
use super::mapping::{Claims, Class, Columns, Effective, Mapping, Priced, Row, Sign, Texts, Twin, required};
use super::tags::RowTags;
use crate::charge::{Charge, ChargeCategory, ChargeFrequency, Further, Period};
use crate::month::BillingMonth;

/// The format: which of Azure's two reports of the same month it is, and how its days are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AzureCostDetails {
    report: Report,
    dates: DateOrder,
}

/// Both reports have the rows that draw on no commitment. Those that do stand in the report of actual costs with what was paid
/// (the purchase, and nothing for what it covers), and in the amortised one with what was used of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Report {
    /// The only report of the bill: its costs are both.
    #[default]
    Alone,
    /// Actual costs beside the amortised ones.
    Billed,
    /// Amortised costs: only rows that draw on a commitment are charges, the others are compared.
    Amortized,
}

impl AzureCostDetails {
    /// The only report of a bill.
    pub const ALONE: [Self; 2] = Self::both(Report::Alone);
    /// Actual costs beside amortised ones.
    pub const BILLED: [Self; 2] = Self::both(Report::Billed);
    /// Amortised costs beside actual ones.
    pub const AMORTIZED: [Self; 2] = Self::both(Report::Amortized);

    /// Month first, day first.
    const fn both(report: Report) -> [Self; 2] {
        [Self { report, dates: DateOrder::MonthFirst }, Self { report, dates: DateOrder::DayFirst }]
    }
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
    TAGS DATE
}
places! { COST }
places! {
    PRODUCT METER METER_NAME PRICE_ID RESOURCE RESOURCE_NAME LOCATION METER_REGION ZONE UNIT PRICING_CURRENCY
    BENEFIT BENEFIT_NAME RESERVATION RESERVATION_NAME
}
places! { QUANTITY UNIT_PRICE LIST_PRICE LIST_COST }

const COLUMNS: Columns = Columns {
    class: &[
        &[],
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
        &["Date", "UsageDateTime"],
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
        SUBSCRIPTION,
        DATE,
    ],
    instead: &[(SUBSCRIPTION, &[PROFILE, ACCOUNT]), (DATE, &[PERIOD_START])],
    account: &[SUBSCRIPTION, SUBSCRIPTION_NAME],
    service: &[FAMILY, CATEGORY, SERVICE, CHARGE_TYPE],
    tags: &[TAGS],
    amounts: &[&[]],
    priced: Some(Priced {
        amount: COST,
        currency: CURRENCY,
        pairs: &[
            ("CostInBillingCurrency", &["BillingCurrency", "BillingCurrencyCode"]),
            ("Cost", &["BillingCurrency", "BillingCurrencyCode", "Currency"]),
            ("PreTaxCost", &["Currency"]),
        ],
    }),
    texts: &[
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
    prose: &[],
    kept: &[],
    numbers: &[
        &["Quantity", "UsageQuantity"],
        &["UnitPrice", "ResourceRate"],
        &["PayGPrice"],
        &["PaygCostInBillingCurrency"],
    ],
    costs: &[LIST_COST],
    required_class: &[CURRENCY, SUBSCRIPTION],
    required_amounts: &[COST],
    may_be_empty: &[],
    amortised: &[],
    moved: &[],
    nulls: &[],
};

impl Mapping for AzureCostDetails {
    fn columns(&self) -> &Columns {
        &COLUMNS
    }

    fn days<'t>(&self, texts: &'t dyn Texts) -> Days<'t> {
        (
            texts.text(DATE),
            Option::zip(texts.text(PERIOD_START), texts.text(PERIOD_END)).map(<[&str; 2]>::from),
        )
    }

    fn days_columns(&self) -> &'static [usize] {
        &[DATE, PERIOD_START, PERIOD_END]
    }

    fn in_order(&self, dates: DateOrder) -> Option<&'static dyn Mapping> {
        let both = match self.report {
            Report::Alone => &Self::ALONE,
            Report::Billed => &Self::BILLED,
            Report::Amortized => &Self::AMORTIZED,
        };
        Some(match dates {
            DateOrder::MonthFirst => &both[0],
            DateOrder::DayFirst => &both[1],
        })
    }

    fn classes(&self, texts: &dyn Texts) -> Result<Vec<Class>, String> {
        let text = |column: usize| texts.text(column);
        let owned = |column: usize| text(column).map(str::to_owned);
        let required = |column: usize| required(&COLUMNS, texts, column);
        // pay-as-you-go knows nothing but usage
        let charge_type = text(CHARGE_TYPE).unwrap_or("Usage");
        let category = category(charge_type);
        let tags = RowTags::of([text(TAGS)], |[tags]| tags);
        let (billing_period, month) = self.period(texts)?;
        let is_committed = text(PRICING_MODEL).and_then(commitment).is_some() || is_unused(charge_type);
        let (cost, nothing) = (vec![(COST, Sign::Plus)], Vec::new());
        let both = || (cost.clone(), Effective::sum(cost.clone()));
        let ((billed, effective), twin) = match (self.report, is_committed) {
            (Report::Alone, false) => (both(), None),
            // which of the two reports it is, nobody knows
            (Report::Alone, true) => ((cost, Effective::Unstated), None),
            (Report::Billed, false) => (both(), Some(Twin::Counted)),
            (Report::Billed, true) => ((cost, Effective::sum(nothing)), None),
            (Report::Amortized, false) => (both(), Some(Twin::Compared)),
            (Report::Amortized, true) => ((nothing, Effective::sum(cost)), None),
        };
        Ok(vec![Class {
            billed,
            effective,
            // what a commitment covers costs nothing here, and is a row of the amortised report
            skip_zero: self.report == Report::Billed && is_committed,
            twin,
            currency: currency(required(CURRENCY)?)?,
            // a subscription that is paid as you go has no other account
            billing_account_id: owned(PROFILE).or_else(|| owned(ACCOUNT)).or_else(|| owned(SUBSCRIPTION)),
            billing_account_name: owned(PROFILE_NAME).or_else(|| owned(ACCOUNT_NAME)),
            billing_period: Some(billing_period),
            month: Some(month),
            invoice_id: owned(INVOICE),
            sub_account_id: owned(SUBSCRIPTION),
            sub_account_name: owned(SUBSCRIPTION_NAME),
            service_category: services::category(text(CATEGORY), text(FAMILY)),
            service_name: text(CATEGORY).or(text(SERVICE)).unwrap_or(charge_type).to_owned(),
            category,
            // it names the invoice whose charge is taken back
            correction: text(PREVIOUS_INVOICE).is_some(),
            frequency: frequency(text(FREQUENCY), category),
            tags,
            claims: Claims::only(MICROSOFT),
            provider_name: MICROSOFT.to_owned(),
            publisher_name: publisher(text(PUBLISHER), text(PUBLISHER_TYPE)),
            invoice_issuer_name: text(RESELLER).unwrap_or(MICROSOFT).to_owned(),
        }])
    }

    fn complete<'r>(&self, charge: Charge<'r>, _: &'r Class, row: &Row<'r>) -> Result<Charge<'r>, String> {
        let text = |column: usize| row.texts.text(column);
        let some = |column: usize| text(column).map(Cow::Borrowed);
        let start = row.class.text(DATE).map(|date| self.day("Date", date)).transpose()?;
        let charge_period = start.map_or(charge.charge_period, |start| Period { start, end: after(start) });
        let quantity = row.quantity(QUANTITY);
        let is_usage = charge.charge_category == ChargeCategory::Usage;
        let charge_type = row.class.text(CHARGE_TYPE).unwrap_or("Usage");
        // prices of a Microsoft Customer Agreement are in the currency of the price list
        let currency = charge.billing_currency.code();
        let is_priced = text(PRICING_CURRENCY).is_none_or(|code| code == currency);
        let price = |column: usize| row.quantity(column).filter(|_| is_priced);
        let in_pricing_currency =
            |column: usize| row.quantity(column).filter(|_| text(PRICING_CURRENCY).is_some());
        let list_cost = row.cost(LIST_COST)?.filter(|cost| !cost.is_zero());
        let model = row.class.text(PRICING_MODEL);
        let amortized = charge.effective_cost.filter(|_| self.report == Report::Amortized);
        let cost = amortized.unwrap_or(charge.billed_cost);
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
            further: Further {
                sku_meter: some(METER_NAME),
                pricing_currency: some(PRICING_CURRENCY),
                pricing_currency_contracted_unit_price: in_pricing_currency(UNIT_PRICE),
                pricing_currency_list_unit_price: in_pricing_currency(LIST_PRICE)
                    .filter(|price| !price.is_zero()),
                ..charge.further
            },
            ..charge
        })
    }
}

impl AzureCostDetails {
    fn day(self, column: &str, text: &str) -> Result<DateTime<Utc>, String> {
        self.dates.day(text).ok_or_else(|| wrong(column, Some(text)))
    }

    /// The billing period, from its first day to its last, both counted; where none is stated, the month of the row's day.
    fn period(self, texts: &dyn Texts) -> Result<(Period, BillingMonth), String> {
        let Some(first) = texts.text(PERIOD_START) else {
            let day = texts
                .text(DATE)
                .ok_or("BillingPeriodStartDate and Date are empty: its month is not known")?;
            let month = BillingMonth::containing(self.day("Date", day)?);
            return Ok((Period { start: month.start(), end: month.end() }, month));
        };
        let start = self.day("BillingPeriodStartDate", first)?;
        let last = texts.text(PERIOD_END).map(|last| self.day("BillingPeriodEndDate", last)).transpose()?;
        let month = BillingMonth::of_period(start, last.map(after)).map_err(|error| error.to_string())?;
        Ok((Period { start, end: last.map_or_else(|| month.end(), after) }, month))
    }
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
