//! CUR 2.0 and the legacy Cost and Usage Report: the same lines under two spellings of their columns.
//!
//! `BilledCost` is the unblended cost, which adds up to the invoice. `EffectiveCost` is the amortised one: usage that a reservation
//! or a savings plan covers bears its share of the fees, the fees keep what no usage drew on, and what was paid upfront is spread.

mod split;

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::kinds::{Amortised, kind};
use super::{AMAZON, AWS, services};
use crate::charge::{Charge, ChargeCategory, Further, Period};
use crate::charges::focus::{currency, moment};
use crate::charges::mapping::{
    Claims, Class, Columns, Effective, Mapping, Row, Sign, Terms, Texts, required,
};
use crate::charges::splits::SplitFormat;
use crate::charges::tags::{Pairs, RowTags, first_of_each};
use crate::identity::Rule;
use crate::month::BillingMonth;

/// The format, in both spellings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cur;

macro_rules! places {
    ($($name:ident)*) => { places!(@ 0usize; $($name)*); };
    (@ $at:expr; $name:ident $($rest:ident)*) => { const $name: usize = $at; places!(@ $at + 1; $($rest)*); };
    (@ $at:expr;) => {};
}

places! {
    CURRENCY PAYER PAYER_NAME PERIOD_START PERIOD_END INVOICE BILL_TYPE ENTITY ISSUER SELLER ACCOUNT ACCOUNT_NAME KIND PRODUCT SERVICE
    SERVICE_NAME RESERVATION TAGS ALL_TAGS COST_CATEGORIES
}
places! {
    UNBLENDED RESERVED PLANNED UNUSED_UPFRONT UNUSED_RECURRING COMMITTED USED
}
places! {
    START END DESCRIPTION SKU SKU_PRICE USAGE_TYPE RESOURCE REGION ZONE UNIT PLAN PRICING_CURRENCY CAPACITY_RESERVATION
    CAPACITY_RESERVATION_STATUS
}
places! { QUANTITY PUBLIC_COST PUBLIC_RATE RATE }

const COLUMNS: Columns = Columns {
    class: &[
        &["line_item_currency_code", "lineItem/CurrencyCode"],
        &["bill_payer_account_id", "bill/PayerAccountId"],
        &["bill_payer_account_name", "bill/PayerAccountName"],
        &["bill_billing_period_start_date", "bill/BillingPeriodStartDate"],
        &["bill_billing_period_end_date", "bill/BillingPeriodEndDate"],
        &["bill_invoice_id", "bill/InvoiceId"],
        &["bill_bill_type", "bill/BillType"],
        &["bill_billing_entity", "bill/BillingEntity"],
        &["bill_invoicing_entity", "bill/InvoicingEntity"],
        &["line_item_legal_entity", "lineItem/LegalEntity"],
        &["line_item_usage_account_id", "lineItem/UsageAccountId"],
        &["line_item_usage_account_name", "lineItem/UsageAccountName"],
        &["line_item_line_item_type", "lineItem/LineItemType"],
        &["line_item_product_code", "lineItem/ProductCode"],
        &["product_servicecode", "product/servicecode"],
        &["product_product_name", "product/ProductName"],
        &["reservation_reservation_a_r_n", "reservation/ReservationARN"],
        &["resource_tags", "resourceTags/*"],
        &["tags"],
        &["cost_category", "costCategory/*"],
    ],
    kind: &[
        CURRENCY,
        PAYER,
        PAYER_NAME,
        PERIOD_START,
        PERIOD_END,
        INVOICE,
        BILL_TYPE,
        ENTITY,
        ISSUER,
        SELLER,
        KIND,
        RESERVATION,
    ],
    instead: &[],
    account: &[ACCOUNT, ACCOUNT_NAME],
    service: &[PRODUCT, SERVICE, SERVICE_NAME],
    tags: &[TAGS, ALL_TAGS, COST_CATEGORIES],
    amounts: &[
        &["line_item_unblended_cost", "lineItem/UnblendedCost"],
        &["reservation_effective_cost", "reservation/EffectiveCost"],
        &["savings_plan_savings_plan_effective_cost", "savingsPlan/SavingsPlanEffectiveCost"],
        &[
            "reservation_unused_amortized_upfront_fee_for_billing_period",
            "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod",
        ],
        &["reservation_unused_recurring_fee", "reservation/UnusedRecurringFee"],
        &["savings_plan_total_commitment_to_date", "savingsPlan/TotalCommitmentToDate"],
        &["savings_plan_used_commitment", "savingsPlan/UsedCommitment"],
    ],
    priced: None,
    texts: &[
        &["line_item_usage_start_date", "lineItem/UsageStartDate"],
        &["line_item_usage_end_date", "lineItem/UsageEndDate"],
        &["line_item_line_item_description", "lineItem/LineItemDescription"],
        &["product_sku", "product/sku"],
        &["pricing_rate_id", "pricing/RateId"],
        &["line_item_usage_type", "lineItem/UsageType"],
        &["line_item_resource_id", "lineItem/ResourceId"],
        &["product_region_code", "product/regionCode", "product/region"],
        &["line_item_availability_zone", "lineItem/AvailabilityZone"],
        &["pricing_unit", "pricing/unit"],
        &["savings_plan_savings_plan_a_r_n", "savingsPlan/SavingsPlanARN"],
        &["pricing_currency", "pricing/currency"],
        &["capacity_reservation_capacity_reservation_arn"],
        &["capacity_reservation_capacity_reservation_status"],
    ],
    prose: &[DESCRIPTION],
    kept: &[PRICING_CURRENCY, CAPACITY_RESERVATION, CAPACITY_RESERVATION_STATUS],
    numbers: &[
        &["line_item_usage_amount", "lineItem/UsageAmount"],
        &["pricing_public_on_demand_cost", "pricing/publicOnDemandCost"],
        &["pricing_public_on_demand_rate", "pricing/publicOnDemandRate"],
        &["line_item_unblended_rate", "lineItem/UnblendedRate"],
    ],
    costs: &[PUBLIC_COST],
    required_class: &[CURRENCY, KIND, PERIOD_START, ACCOUNT],
    required_amounts: &[UNBLENDED],
    may_be_empty: &[],
    amortised: &[RESERVED, PLANNED, UNUSED_UPFRONT, UNUSED_RECURRING, COMMITTED, USED],
    moved: &[],
    nulls: &[],
};

/// What begins the names of tags: those of users are shown without it.
const USER_TAGS: [&str; 2] = ["user_", "user:"];

impl Mapping for Cur {
    fn columns(&self) -> &Columns {
        &COLUMNS
    }

    fn splits(&self) -> Option<&'static SplitFormat> {
        Some(&split::FORMAT)
    }

    fn classes(&self, texts: &dyn Texts) -> Result<Vec<Class>, String> {
        let text = |column: usize| texts.text(column);
        let required = |column: usize| required(&COLUMNS, texts, column);
        let owned = |column: usize| text(column).map(str::to_owned);
        let kind = kind(required(KIND)?);
        let (service_name, service_category) = service(texts);
        let tags = RowTags::of([text(TAGS), text(ALL_TAGS), text(COST_CATEGORIES)], named);
        let (billing_period, month) = period(texts)?;
        let is_marketplace = text(ENTITY).is_some_and(|entity| entity != AWS);
        let publisher = if is_marketplace { text(SELLER).or(text(ENTITY)) } else { None };
        Ok(vec![Class {
            billed: vec![(UNBLENDED, Sign::Plus)],
            effective: effective(kind.amortised, texts),
            skip_zero: false,
            currency: currency(required(CURRENCY)?)?,
            billing_account_id: owned(PAYER),
            billing_account_name: owned(PAYER_NAME),
            billing_period: Some(billing_period),
            month: Some(month),
            invoice_id: owned(INVOICE),
            sub_account_id: owned(ACCOUNT),
            sub_account_name: owned(ACCOUNT_NAME),
            service_category,
            service_name,
            category: kind.category,
            // a bill of refunds corrects what was invoiced before
            correction: text(BILL_TYPE) == Some("Refund"),
            frequency: kind.frequency,
            tags,
            twin: None,
            claims: Claims::only(AWS),
            provider_name: AWS.to_owned(),
            publisher_name: publisher.unwrap_or(AMAZON).to_owned(),
            invoice_issuer_name: owned(ISSUER).unwrap_or_else(|| AMAZON.to_owned()),
        }])
    }

    fn complete<'r>(
        &self,
        charge: Charge<'r>,
        class: &'r Class,
        row: &Row<'r>,
    ) -> Result<Charge<'r>, String> {
        let text = |column: usize| row.texts.text(column).map(Cow::Borrowed);
        let at = |column: usize, otherwise: DateTime<Utc>| {
            row.texts.text(column).map_or(Ok(otherwise), |text| moment(COLUMNS.texts[column][0], text))
        };
        let kind = kind(row.class.text(KIND).unwrap_or_default());
        let is_usage = class.category == ChargeCategory::Usage;
        let quantity = row.quantity(QUANTITY);
        // a line has one or the other; usage that neither covers has none
        let commitment = text(PLAN).map(|id| (id, "Spend", "Savings Plan"));
        let reservation = row.class.text(RESERVATION).map(Cow::Borrowed);
        let commitment = commitment.or_else(|| Some((reservation?, "Usage", "Reserved Instance")));
        let [id, category, kind_of_it] = match commitment {
            Some((id, category, kind)) => {
                [Some(id), Some(Cow::Borrowed(category)), Some(Cow::Borrowed(kind))]
            }
            None => [None, None, None],
        };
        Ok(Charge {
            charge_period: Period {
                start: at(START, charge.charge_period.start)?,
                end: at(END, charge.charge_period.end)?,
            },
            charge_description: text(DESCRIPTION),
            sku_id: text(SKU).or_else(|| text(USAGE_TYPE)),
            sku_price_id: text(SKU_PRICE),
            resource_id: text(RESOURCE),
            region_id: text(REGION),
            availability_zone: text(ZONE),
            consumed_quantity: quantity.filter(|_| is_usage),
            consumed_unit: text(UNIT).filter(|_| is_usage && quantity.is_some()),
            pricing_quantity: quantity,
            pricing_unit: text(UNIT).filter(|_| quantity.is_some()),
            pricing_category: is_usage.then(|| Cow::Borrowed(pricing(&kind, row.texts.text(USAGE_TYPE)))),
            contracted_unit_price: row.quantity(RATE),
            list_unit_price: row.quantity(PUBLIC_RATE),
            list_cost: row.cost(PUBLIC_COST)?.unwrap_or(charge.list_cost),
            commitment_discount_status: (kind.is_committed && id.is_some()).then_some(Cow::Borrowed("Used")),
            commitment_discount_id: id,
            commitment_discount_category: category,
            commitment_discount_type: kind_of_it,
            further: Further {
                sku_meter: text(USAGE_TYPE),
                pricing_currency: text(PRICING_CURRENCY),
                capacity_reservation_id: text(CAPACITY_RESERVATION),
                // the others, Reserved and Cancelled, are none of FOCUS
                capacity_reservation_status: text(CAPACITY_RESERVATION_STATUS)
                    .filter(|status| matches!(status.as_ref(), "Used" | "Unused")),
                ..charge.further
            },
            ..charge
        })
    }
}

/// The amortised cost.
fn effective(amortised: Amortised, texts: &dyn Texts) -> Effective {
    let kind = texts.text(KIND);
    let filled = match amortised {
        // covered usage has a share of the fees: an empty cell is none of nothing
        Amortised::Reservation => vec![RESERVED],
        Amortised::SavingsPlan => vec![PLANNED],
        _ => Vec::new(),
    };
    // without the column, nobody says whether a fee was paid upfront for a reservation; those of sellers were not, and what is paid
    // upfront stands on bills of purchases, not on those of the month
    let is_of_aws = texts.text(ENTITY).is_none_or(|entity| entity == AWS);
    let may_be_upfront = is_of_aws && texts.text(BILL_TYPE) != Some("Anniversary");
    let is_fee = amortised == Amortised::Billed && kind == Some("Fee");
    let decided_by = (is_fee && may_be_upfront).then_some(RESERVATION);
    Effective::Cells { terms: terms(amortised, kind, texts.text(RESERVATION)), filled, decided_by }
}

/// The columns of the amortised cost.
fn terms(amortised: Amortised, kind: Option<&str>, reservation: Option<&str>) -> Terms {
    match amortised {
        // what is paid upfront for a reservation is a fee like any other, but for its ARN; numbers of subscriptions
        // (`reservation_subscription_id`) stand with support fees, too
        Amortised::Billed if kind == Some("Fee") && reservation.is_some() => Vec::new(),
        Amortised::Billed => vec![(UNBLENDED, Sign::Plus)],
        Amortised::Reservation => vec![(RESERVED, Sign::Plus)],
        Amortised::SavingsPlan => vec![(PLANNED, Sign::Plus)],
        Amortised::UnusedReservation => vec![(UNUSED_UPFRONT, Sign::Plus), (UNUSED_RECURRING, Sign::Plus)],
        Amortised::UnusedSavingsPlan => vec![(COMMITTED, Sign::Plus), (USED, Sign::Minus)],
        Amortised::Nothing | Amortised::Spread => Vec::new(),
    }
}

fn service(texts: &dyn Texts) -> (String, &'static str) {
    let code = texts.text(SERVICE).or(texts.text(PRODUCT)).unwrap_or("unknown");
    let (name, category) = services::by_code(code);
    // a name in the rows is better than a code, and ours better than theirs: it is the same in every format
    match texts.text(SERVICE_NAME) {
        Some(given) if name == code => (given.to_owned(), services::category(given)),
        _ => (name, category),
    }
}

fn period(texts: &dyn Texts) -> Result<(Period, BillingMonth), String> {
    let start = moment(COLUMNS.class[PERIOD_START][0], required(&COLUMNS, texts, PERIOD_START)?)?;
    let end = texts.text(PERIOD_END).map(|end| moment(COLUMNS.class[PERIOD_END][0], end)).transpose()?;
    let month = BillingMonth::of_period(start, end).map_err(|error| error.to_string())?;
    Ok((Period { start, end: end.unwrap_or_else(|| month.end()) }, month))
}

fn pricing(kind: &super::kinds::Kind, usage_type: Option<&str>) -> &'static str {
    let is_spot = usage_type.is_some_and(|usage| usage.contains("SpotUsage"));
    match (kind.is_committed, is_spot) {
        (true, _) => "Committed",
        (false, true) => "Dynamic",
        (false, false) => "Standard",
    }
}

/// Tags as people named them; those of AWS keep what begins their name. What the resource says counts before what its account says;
/// cost categories and attributes of users keep the name of their kind, so that they are never taken for a tag.
fn named([resource, all, categories]: [Pairs; 3]) -> Pairs {
    let (mut of_resource, mut of_account, mut others) = (Pairs::new(), Pairs::new(), Pairs::new());
    for (name, value) in all {
        match name.split_once('/') {
            Some(("accountTag", tag)) => of_account.push((tag.to_owned(), value)),
            Some(("costCategory" | "userAttribute", _)) => others.push((name, value)),
            Some(("resourceTags", tag)) => of_resource.push((tag.to_owned(), value)),
            _ => of_resource.push((name, value)),
        }
    }
    let categories = categories.into_iter().map(|(name, value)| (format!("costCategory/{name}"), value));
    let [resource, of_resource, of_account] = [resource, of_resource, of_account].map(as_people_named_them);
    let mut tags =
        first_of_each([resource, of_resource, of_account, categories.collect(), others], Rule::Exact);
    tags.sort();
    tags
}

fn as_people_named_them(tags: Pairs) -> Pairs {
    let shown = |name: &str| USER_TAGS.iter().find_map(|prefix| name.strip_prefix(prefix)).map(str::to_owned);
    let mut tags: Pairs =
        tags.into_iter().map(|(name, value)| (shown(&name).unwrap_or(name), value)).collect();
    tags.sort();
    tags
}
