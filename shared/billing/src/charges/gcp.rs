//! Answers of `BigQuery` to a question about Google Cloud's billing export: `{"schema": {"fields": [...]}, "rows": [...]}`.
//!
//! Columns are found by their names, so any question will do that has `currency`, `cost_type`, `cost` and `credits`; the project
//! is `project_id`, or `project_key` where that is not the service. One row is a charge of `cost`, and where it has credits
//! another of those.

mod services;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use chrono::{Days, NaiveDate, NaiveTime};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use self::services::category_of;
use super::ReadError;
use super::focus::{currency, time, wrong};
use super::mapping::{Claims, Class, Columns, Effective, JsonRows, Mapping, Row, Sign, Texts, required};
use super::tags::{RowTags, first_of_each};
use crate::charge::{Charge, ChargeCategory, ChargeFrequency, Period};
use crate::identity::Rule;
use crate::month::BillingMonth;

/// The format.
#[derive(Clone, Copy, Debug, Default)]
pub struct BigQuery;

const PROVIDER: &str = "Google Cloud";

macro_rules! places {
    ($($name:ident)*) => { places!(@ 0usize; $($name)*); };
    (@ $at:expr; $name:ident $($rest:ident)*) => { const $name: usize = $at; places!(@ $at + 1; $($rest)*); };
    (@ $at:expr;) => {};
}

places! { CURRENCY COST_TYPE INVOICE_MONTH PROJECT PROJECT_KEY PROJECT_NAME SERVICE LABELS ADJUSTMENT_TYPE PROJECT_LABELS }
places! { COST CREDITS }
places! {
    USAGE_DAY FIRST_USAGE SKU_ID SKU REGION USAGE_UNIT USAGE_AMOUNT PRICING_UNIT PRICING_AMOUNT ADJUSTMENT
}

const COLUMNS: Columns = Columns {
    class: &[
        &["currency"],
        &["cost_type"],
        &["invoice_month"],
        &["project_id"],
        &["project_key"],
        &["project_name"],
        &["service"],
        &["labels"],
        &["adjustment_type"],
        &["project_labels", "project.labels"],
    ],
    kind: &[CURRENCY, COST_TYPE, INVOICE_MONTH, ADJUSTMENT_TYPE],
    instead: &[],
    account: &[PROJECT, PROJECT_KEY, PROJECT_NAME, SERVICE],
    service: &[SERVICE],
    tags: &[LABELS, PROJECT_LABELS],
    amounts: &[&["cost"], &["credits"]],
    priced: None,
    // quantities among them: one that is too long for a decimal must not hold a charge up
    texts: &[
        &["usage_day"],
        &["first_usage"],
        &["sku_id"],
        &["sku"],
        &["region"],
        &["usage_unit"],
        &["usage_amount"],
        &["pricing_unit"],
        &["pricing_amount"],
        &["adjustment_description"],
    ],
    prose: &[ADJUSTMENT],
    kept: &[],
    numbers: &[],
    costs: &[],
    required_class: &[CURRENCY, COST_TYPE],
    required_amounts: &[COST, CREDITS],
    may_be_empty: &[],
    amortised: &[],
    moved: &[],
    nulls: &[],
};

impl Mapping for BigQuery {
    fn columns(&self) -> &Columns {
        &COLUMNS
    }

    fn classes(&self, texts: &dyn Texts) -> Result<Vec<Class>, String> {
        let required = |column: usize| required(&COLUMNS, texts, column);
        let category = match required(COST_TYPE)? {
            "regular" => ChargeCategory::Usage,
            "tax" => ChargeCategory::Tax,
            // adjustment, rounding_error, and what Google may add
            _ => ChargeCategory::Adjustment,
        };
        let service = texts.text(SERVICE).unwrap_or(PROVIDER);
        // a label of the resource itself is nearer than its project's
        let labels = [texts.text(LABELS), texts.text(PROJECT_LABELS)];
        let tags = RowTags::of(labels, |labels| first_of_each(labels, Rule::Exact));
        let month = texts.text(INVOICE_MONTH).map(invoice_month).transpose()?;
        let charge = Class {
            billed: vec![(COST, Sign::Plus)],
            effective: Effective::sum(vec![(COST, Sign::Plus)]),
            skip_zero: false,
            currency: currency(required(CURRENCY)?)?,
            billing_account_id: None,
            billing_account_name: None,
            billing_period: month.map(|month| Period { start: month.start(), end: month.end() }),
            month,
            // the export knows no number of the invoice
            invoice_id: None,
            sub_account_id: project(texts).map(str::to_owned),
            sub_account_name: texts.text(PROJECT_NAME).map(str::to_owned),
            service_category: category_of(service),
            service_name: service.to_owned(),
            category,
            // USAGE_CORRECTION, PRICE_CORRECTION, METERING_CORRECTION; not GOODWILL and the like
            correction: texts.text(ADJUSTMENT_TYPE).is_some_and(|kind| kind.ends_with("_CORRECTION")),
            frequency: match category {
                ChargeCategory::Usage => ChargeFrequency::UsageBased,
                _ => ChargeFrequency::OneTime,
            },
            tags,
            twin: None,
            claims: Claims::only(PROVIDER),
            provider_name: PROVIDER.to_owned(),
            publisher_name: PROVIDER.to_owned(),
            invoice_issuer_name: PROVIDER.to_owned(),
        };
        let credits = Class {
            billed: vec![(CREDITS, Sign::Plus)],
            effective: Effective::sum(vec![(CREDITS, Sign::Plus)]),
            skip_zero: true,
            category: ChargeCategory::Credit,
            ..charge.clone()
        };
        Ok(vec![charge, credits])
    }

    fn json(&self, document: &[u8], rows: &mut dyn JsonRows) -> Result<(), ReadError> {
        let broken = |after: u64, why: String| ReadError::Broken { after, why };
        let answer: Answer<'_> =
            crate::strict::from_slice(document).map_err(|error| broken(0, error.to_string()))?;
        let names: Vec<String> = answer.schema.fields.into_iter().map(|field| field.name).collect();
        rows.header(&names)?;
        for (row, number) in answer.rows.unwrap_or_default().into_iter().zip(0u64..) {
            if row.f.len() != names.len() {
                let why = format!("a row has {} cells, the schema has {}", row.f.len(), names.len());
                return Err(broken(number, why));
            }
            let cells: Result<Vec<_>, _> = row.f.iter().map(|cell| text_of(cell.v)).collect();
            rows.row(&cells.map_err(|error| broken(number, error.to_string()))?)?;
        }
        Ok(())
    }

    fn complete<'r>(
        &self,
        charge: Charge<'r>,
        class: &'r Class,
        row: &Row<'r>,
    ) -> Result<Charge<'r>, String> {
        let text = |column: usize| row.texts.text(column).map(Cow::Borrowed);
        let what = row.texts.text(ADJUSTMENT).or(row.texts.text(SKU));
        let charge = Charge {
            charge_period: charge_period(row.texts, charge.billing_period)?,
            sku_id: text(SKU_ID),
            region_id: text(REGION),
            ..charge
        };
        if class.category == ChargeCategory::Credit {
            // what was consumed stands with the charge itself
            let what = format!("Credits for {}", what.unwrap_or(&charge.service_name));
            return Ok(Charge { charge_description: Some(what.into()), ..charge });
        }
        Ok(Charge {
            charge_description: what.map(Cow::Borrowed),
            consumed_quantity: quantity(row.texts.text(USAGE_AMOUNT)),
            consumed_unit: text(USAGE_UNIT),
            pricing_quantity: quantity(row.texts.text(PRICING_AMOUNT)),
            pricing_unit: text(PRICING_UNIT),
            ..charge
        })
    }
}

/// The project; taxes, support and rounding have none.
fn project(texts: &dyn Texts) -> Option<&str> {
    // IFNULL(project.id, service.description)
    let key = || texts.text(PROJECT_KEY).filter(|key| texts.text(SERVICE) != Some(*key));
    texts.text(PROJECT).or_else(key)
}

/// The month that `202506` names.
fn invoice_month(text: &str) -> Result<BillingMonth, String> {
    let month = text.split_at_checked(4).map(|(year, month)| format!("{year}-{month}"));
    let month = month.and_then(|month| month.parse::<BillingMonth>().ok());
    month.ok_or_else(|| wrong("invoice_month", Some(text)))
}

/// The day of usage, or from the first usage to the end of the month, or the month.
fn charge_period(texts: &dyn Texts, month: Period) -> Result<Period, String> {
    if let Some(text) = texts.text(USAGE_DAY) {
        let day: NaiveDate = text.parse().map_err(|_| wrong("usage_day", Some(text)))?;
        let next = day.checked_add_days(Days::new(1)).ok_or_else(|| wrong("usage_day", Some(text)))?;
        let at = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        return Ok(Period { start: at(day), end: at(next) });
    }
    let Some(text) = texts.text(FIRST_USAGE) else { return Ok(month) };
    let start = time(text).ok_or_else(|| wrong("first_usage", Some(text)))?;
    Ok(if start < month.end { Period { start, end: month.end } } else { month })
}

/// A quantity as far as a charge can hold it: 18 decimals, 19 digits before them. It is no money, and says nothing beyond.
fn quantity(text: Option<&str>) -> Option<Decimal> {
    let text = text?;
    let quantity = text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(text)).ok()?;
    let quantity = quantity.round_dp(18);
    (quantity.abs() < Decimal::from_i128_with_scale(10i128.pow(19), 0)).then_some(quantity.normalize())
}

#[derive(Deserialize)]
struct Answer<'a> {
    schema: Schema,
    #[serde(borrow)]
    rows: Option<Vec<AnswerRow<'a>>>,
}

#[derive(Deserialize)]
struct Schema {
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
}

#[derive(Deserialize)]
struct AnswerRow<'a> {
    #[serde(borrow)]
    f: Vec<Cell<'a>>,
}

#[derive(Deserialize)]
struct Cell<'a> {
    #[serde(borrow)]
    v: Option<&'a RawValue>,
}

/// Scalars are texts; what is nested stays JSON.
fn text_of(value: Option<&RawValue>) -> Result<Option<Cow<'_, str>>, serde_json::Error> {
    match value.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(quoted) if quoted.starts_with('"') => {
            let plain = &quoted[1..quoted.len() - 1];
            let text = if plain.contains('\\') {
                Cow::Owned(serde_json::from_str(quoted)?)
            } else {
                Cow::Borrowed(plain)
            };
            Ok(Some(text))
        }
        Some(other) => Ok(Some(Cow::Borrowed(other))),
    }
}
