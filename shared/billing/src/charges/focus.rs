//! FOCUS exports, versions 1.0 to 1.4, as providers really write them: `NULL` as text, dates with a space or without seconds,
//! columns that are missing because an older version did not have them.

mod allocated;

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use super::mapping::{Claims, Class, Columns, Effective, Mapping, Row, Sign, Texts, required};
use super::shared::SharedFormat;
use super::tags::RowTags;
use crate::charge::{Charge, ChargeCategory, ChargeFrequency, Further, Period, service_category};
use crate::money::{self, Currency};
use crate::month::BillingMonth;

/// The format.
#[derive(Clone, Copy, Debug, Default)]
pub struct Focus;

macro_rules! places {
    ($($name:ident)*) => { places!(@ 0usize; $($name)*); };
    (@ $at:expr; $name:ident $($rest:ident)*) => { const $name: usize = $at; places!(@ $at + 1; $($rest)*); };
    (@ $at:expr;) => {};
}

places! {
    CURRENCY ACCOUNT ACCOUNT_NAME PERIOD_START PERIOD_END INVOICE SUB_ACCOUNT SUB_ACCOUNT_NAME CATEGORY CLASS FREQUENCY
    SERVICE_CATEGORY SERVICE PROVIDER SERVICE_PROVIDER PUBLISHER ISSUER TAGS ALLOCATED_TAGS
}
places! { BILLED EFFECTIVE }
places! {
    CHARGE_START CHARGE_END DESCRIPTION SKU SKU_PRICE RESOURCE RESOURCE_NAME RESOURCE_TYPE REGION REGION_NAME ZONE CONSUMED_UNIT
    PRICING_UNIT PRICING_CATEGORY COMMITMENT COMMITMENT_NAME COMMITMENT_CATEGORY COMMITMENT_TYPE COMMITMENT_STATUS
    SKU_METER SKU_PRICE_DETAILS PRICING_CURRENCY COMMITMENT_UNIT CAPACITY_RESERVATION CAPACITY_RESERVATION_STATUS SUBCATEGORY
    SUB_ACCOUNT_TYPE ACCOUNT_TYPE HOST_PROVIDER CONTRACT_APPLIED COMMITMENT_PROGRAMS INVOICE_DETAIL ALLOCATED_METHOD
    ALLOCATED_METHOD_DETAILS ALLOCATED_RESOURCE ALLOCATED_RESOURCE_NAME
}
places! {
    LIST CONTRACTED CONSUMED PRICED CONTRACTED_PRICE LIST_PRICE COMMITMENT_QUANTITY PRICING_CONTRACTED_PRICE PRICING_EFFECTIVE
    PRICING_LIST_PRICE
}

const COLUMNS: Columns = Columns {
    class: &[
        &["BillingCurrency"],
        &["BillingAccountId"],
        &["BillingAccountName"],
        &["BillingPeriodStart"],
        &["BillingPeriodEnd"],
        &["InvoiceId", "x_InvoiceId"],
        &["SubAccountId"],
        &["SubAccountName"],
        &["ChargeCategory"],
        &["ChargeClass"],
        &["ChargeFrequency"],
        &["ServiceCategory"],
        &["ServiceName"],
        &["ProviderName"],
        &["ServiceProviderName"],
        &["PublisherName"],
        &["InvoiceIssuerName"],
        &["Tags"],
        &["AllocatedTags"],
    ],
    kind: &[
        CURRENCY,
        ACCOUNT,
        ACCOUNT_NAME,
        PERIOD_START,
        PERIOD_END,
        INVOICE,
        CATEGORY,
        CLASS,
        FREQUENCY,
        PROVIDER,
        SERVICE_PROVIDER,
        PUBLISHER,
        ISSUER,
    ],
    instead: &[],
    account: &[SUB_ACCOUNT, SUB_ACCOUNT_NAME],
    service: &[SERVICE_CATEGORY, SERVICE],
    tags: &[TAGS, ALLOCATED_TAGS],
    amounts: &[&["BilledCost"], &["EffectiveCost"]],
    priced: None,
    texts: &[
        &["ChargePeriodStart"],
        &["ChargePeriodEnd"],
        &["ChargeDescription"],
        &["SkuId"],
        &["SkuPriceId"],
        &["ResourceId"],
        &["ResourceName"],
        &["ResourceType"],
        &["RegionId"],
        &["RegionName"],
        &["AvailabilityZone"],
        &["ConsumedUnit"],
        &["PricingUnit"],
        &["PricingCategory"],
        &["CommitmentDiscountId"],
        &["CommitmentDiscountName"],
        &["CommitmentDiscountCategory"],
        &["CommitmentDiscountType"],
        &["CommitmentDiscountStatus"],
        &["SkuMeter"],
        &["SkuPriceDetails"],
        &["PricingCurrency"],
        &["CommitmentDiscountUnit"],
        &["CapacityReservationId"],
        &["CapacityReservationStatus"],
        &["ServiceSubcategory"],
        &["SubAccountType"],
        &["BillingAccountType"],
        &["HostProviderName"],
        &["ContractApplied"],
        &["CommitmentProgramEligibilityDetails"],
        &["InvoiceDetailId"],
        &["AllocatedMethodId"],
        &["AllocatedMethodDetails"],
        &["AllocatedResourceId"],
        &["AllocatedResourceName"],
    ],
    prose: &[DESCRIPTION],
    kept: &[
        SKU_METER,
        SKU_PRICE_DETAILS,
        PRICING_CURRENCY,
        COMMITMENT_UNIT,
        CAPACITY_RESERVATION,
        CAPACITY_RESERVATION_STATUS,
        SUBCATEGORY,
        SUB_ACCOUNT_TYPE,
        ACCOUNT_TYPE,
        HOST_PROVIDER,
        CONTRACT_APPLIED,
        COMMITMENT_PROGRAMS,
        INVOICE_DETAIL,
        ALLOCATED_METHOD,
        ALLOCATED_METHOD_DETAILS,
    ],
    numbers: &[
        &["ListCost"],
        &["ContractedCost"],
        &["ConsumedQuantity"],
        &["PricingQuantity"],
        &["ContractedUnitPrice"],
        &["ListUnitPrice"],
        &["CommitmentDiscountQuantity"],
        &["PricingCurrencyContractedUnitPrice"],
        &["PricingCurrencyEffectiveCost"],
        &["PricingCurrencyListUnitPrice"],
    ],
    costs: &[LIST, CONTRACTED],
    required_class: &[CURRENCY, ACCOUNT, PERIOD_START, CATEGORY, SERVICE],
    required_amounts: &[BILLED, EFFECTIVE],
    may_be_empty: &[EFFECTIVE],
    amortised: &[],
    moved: &[],
    nulls: &["NULL", "null"],
};

impl Mapping for Focus {
    fn columns(&self) -> &Columns {
        &COLUMNS
    }

    fn shared(&self) -> Option<&'static SharedFormat> {
        Some(&allocated::FORMAT)
    }

    fn classes(&self, texts: &dyn Texts) -> Result<Vec<Class>, String> {
        let text = |column: usize| texts.text(column);
        let required = |column: usize| required(&COLUMNS, texts, column);
        let owned = |column: usize| text(column).map(str::to_owned);
        let start = moment("BillingPeriodStart", required(PERIOD_START)?)?;
        let end = text(PERIOD_END).map(|end| moment("BillingPeriodEnd", end)).transpose()?;
        let month = BillingMonth::of_period(start, end).map_err(|error| error.to_string())?;
        // values that FOCUS does not know (yet) say nothing about money: the row is taken, as what it can be at the most
        let category = ChargeCategory::parse(required(CATEGORY)?).unwrap_or(ChargeCategory::Adjustment);
        let correction = text(CLASS).is_some_and(|class| class.eq_ignore_ascii_case("Correction"));
        let frequency = text(FREQUENCY).and_then(ChargeFrequency::parse).unwrap_or(match category {
            ChargeCategory::Usage => ChargeFrequency::UsageBased,
            _ => ChargeFrequency::OneTime,
        });
        let provider = text(PROVIDER).or(text(SERVICE_PROVIDER));
        let publisher = text(PUBLISHER).or(provider).unwrap_or("unknown").to_owned();
        Ok(vec![Class {
            billed: vec![(BILLED, Sign::Plus)],
            effective: Effective::Stated(EFFECTIVE),
            skip_zero: false,
            currency: currency(required(CURRENCY)?)?,
            billing_account_id: Some(required(ACCOUNT)?.to_owned()),
            billing_account_name: owned(ACCOUNT_NAME),
            billing_period: Some(Period { start, end: end.unwrap_or_else(|| month.end()) }),
            month: Some(month),
            invoice_id: owned(INVOICE),
            sub_account_id: owned(SUB_ACCOUNT),
            sub_account_name: owned(SUB_ACCOUNT_NAME),
            service_category: service_category(text(SERVICE_CATEGORY).unwrap_or_default()).unwrap_or("Other"),
            service_name: required(SERVICE)?.to_owned(),
            category,
            correction,
            frequency,
            tags: RowTags::allocated(text(TAGS), text(ALLOCATED_TAGS)),
            twin: None,
            claims: Claims {
                provider: owned(PROVIDER),
                issuer: owned(ISSUER),
                service_provider: owned(SERVICE_PROVIDER),
            },
            provider_name: provider.unwrap_or(&publisher).to_owned(),
            invoice_issuer_name: text(ISSUER).or(provider).unwrap_or(&publisher).to_owned(),
            publisher_name: publisher,
        }])
    }

    fn complete<'r>(&self, charge: Charge<'r>, _: &'r Class, row: &Row<'r>) -> Result<Charge<'r>, String> {
        let text = |column: usize| row.texts.text(column).map(Cow::Borrowed);
        let at = |column: usize, otherwise: DateTime<Utc>| {
            row.texts.text(column).map_or(Ok(otherwise), |text| moment(COLUMNS.texts[column][0], text))
        };
        Ok(Charge {
            charge_period: Period {
                start: at(CHARGE_START, charge.charge_period.start)?,
                end: at(CHARGE_END, charge.charge_period.end)?,
            },
            charge_description: text(DESCRIPTION),
            sku_id: text(SKU),
            sku_price_id: text(SKU_PRICE),
            resource_id: text(RESOURCE),
            resource_name: text(RESOURCE_NAME),
            resource_type: text(RESOURCE_TYPE),
            region_id: text(REGION),
            region_name: text(REGION_NAME),
            availability_zone: text(ZONE),
            consumed_quantity: row.quantity(CONSUMED),
            consumed_unit: text(CONSUMED_UNIT),
            pricing_category: text(PRICING_CATEGORY),
            pricing_quantity: row.quantity(PRICED),
            pricing_unit: text(PRICING_UNIT),
            contracted_unit_price: row.quantity(CONTRACTED_PRICE),
            list_unit_price: row.quantity(LIST_PRICE),
            list_cost: row.cost(LIST)?.unwrap_or(charge.list_cost),
            contracted_cost: row.cost(CONTRACTED)?.unwrap_or(charge.contracted_cost),
            commitment_discount_id: text(COMMITMENT),
            commitment_discount_name: text(COMMITMENT_NAME),
            commitment_discount_category: text(COMMITMENT_CATEGORY),
            commitment_discount_type: text(COMMITMENT_TYPE),
            commitment_discount_status: text(COMMITMENT_STATUS),
            further: further(charge.further, row),
            ..charge
        })
    }
}

/// The columns that are kept as they came.
fn further<'r>(charge: Further<'r>, row: &Row<'r>) -> Further<'r> {
    let text = |column: usize| row.texts.text(column).map(Cow::Borrowed);
    Further {
        sku_meter: text(SKU_METER),
        sku_price_details: text(SKU_PRICE_DETAILS),
        pricing_currency: text(PRICING_CURRENCY),
        pricing_currency_contracted_unit_price: row.quantity(PRICING_CONTRACTED_PRICE),
        pricing_currency_effective_cost: row.quantity(PRICING_EFFECTIVE),
        pricing_currency_list_unit_price: row.quantity(PRICING_LIST_PRICE),
        commitment_discount_quantity: row.quantity(COMMITMENT_QUANTITY),
        commitment_discount_unit: text(COMMITMENT_UNIT),
        capacity_reservation_id: text(CAPACITY_RESERVATION),
        capacity_reservation_status: text(CAPACITY_RESERVATION_STATUS),
        service_subcategory: text(SUBCATEGORY),
        sub_account_type: text(SUB_ACCOUNT_TYPE),
        billing_account_type: text(ACCOUNT_TYPE),
        host_provider_name: text(HOST_PROVIDER),
        service_provider_name: row.class.text(SERVICE_PROVIDER).map(Cow::Borrowed),
        contract_applied: text(CONTRACT_APPLIED),
        commitment_program_eligibility_details: text(COMMITMENT_PROGRAMS),
        invoice_detail_id: text(INVOICE_DETAIL),
        allocated_method_id: text(ALLOCATED_METHOD),
        allocated_method_details: text(ALLOCATED_METHOD_DETAILS),
        allocated_resource_id: text(ALLOCATED_RESOURCE),
        allocated_resource_name: text(ALLOCATED_RESOURCE_NAME),
        allocated_tags: charge.allocated_tags,
    }
}

/// The ISO 4217 currency of a code.
///
/// # Errors
/// Says that it is none.
pub(super) fn currency(code: &str) -> Result<Currency, String> {
    money::currency(code).map_err(|error| error.to_string())
}

pub(super) fn wrong(column: &str, text: Option<&str>) -> String {
    format!("{column} '{}' is not understood", text.unwrap_or_default())
}

/// The moment of a column.
///
/// # Errors
/// Names the column.
pub(super) fn moment(column: &str, text: &str) -> Result<DateTime<Utc>, String> {
    time(text).ok_or_else(|| wrong(column, Some(text)))
}

/// `2024-09-01T00:00:00Z`, `2024-09-01T00:00Z`, `2024-09-01 00:00:00`, `2024-09-01`; other offsets are turned into UTC.
pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let plain = text.strip_suffix('Z').or(text.strip_suffix(" UTC")).unwrap_or(text);
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(plain, format) {
            return Some(time.and_utc());
        }
    }
    let date = NaiveDate::parse_from_str(plain, "%Y-%m-%d").ok()?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc())
}
