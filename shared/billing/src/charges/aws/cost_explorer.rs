//! Answers of Cost Explorer by account and service, one for each kind of line.
//!
//! Their documents are what `GetCostAndUsage` answers, with the request beside it: its filter says which kind the costs are of.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::kinds::kind;
use super::{AMAZON, AWS, services};
use crate::charge::{Charge, Period};
use crate::charges::ReadError;
use crate::charges::focus::{currency, moment};
use crate::charges::mapping::{
    Claims, Class, Columns, Effective, JsonRows, Mapping, Row, Sign, Texts, required,
};
use crate::charges::tags::RowTags;
use crate::month::BillingMonth;

/// The format.
#[derive(Clone, Copy, Debug, Default)]
pub struct CostExplorer;

const CURRENCY: usize = 0;
const KIND: usize = 1;
const ACCOUNT: usize = 2;
const ACCOUNT_NAME: usize = 3;
const SERVICE: usize = 4;
const START: usize = 5;
const END: usize = 6;
const UNBLENDED: usize = 0;
const AMORTIZED: usize = 1;

/// In the order of the columns.
const NAMES: [&str; 9] = [
    "Unit",
    "RECORD_TYPE",
    "LINKED_ACCOUNT",
    "description",
    "SERVICE",
    "Start",
    "End",
    "UnblendedCost",
    "AmortizedCost",
];

const COLUMNS: Columns = Columns {
    class: &[
        &["Unit"],
        &["RECORD_TYPE"],
        &["LINKED_ACCOUNT"],
        &["description"],
        &["SERVICE"],
        &["Start"],
        &["End"],
    ],
    kind: &[CURRENCY, KIND, START, END],
    instead: &[],
    account: &[ACCOUNT, ACCOUNT_NAME],
    service: &[SERVICE],
    tags: &[],
    amounts: &[&["UnblendedCost"], &["AmortizedCost"]],
    priced: None,
    texts: &[],
    prose: &[],
    kept: &[],
    numbers: &[],
    costs: &[],
    required_class: &[CURRENCY, KIND, ACCOUNT, SERVICE, START, END],
    required_amounts: &[UNBLENDED, AMORTIZED],
    may_be_empty: &[],
    amortised: &[],
    moved: &[],
    nulls: &[],
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    #[serde(borrow)]
    request: Request<'a>,
    results_by_time: Vec<Results<'a>>,
    #[serde(default)]
    dimension_value_attributes: Vec<Described<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(borrow)]
    group_by: Vec<GroupBy<'a>>,
    filter: Filter<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GroupBy<'a> {
    key: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter<'a> {
    #[serde(borrow)]
    dimensions: Dimensions<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Dimensions<'a> {
    key: Cow<'a, str>,
    values: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Results<'a> {
    #[serde(borrow)]
    time_period: Days<'a>,
    groups: Vec<Group<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Days<'a> {
    start: Cow<'a, str>,
    end: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group<'a> {
    #[serde(borrow)]
    keys: [Cow<'a, str>; 2],
    metrics: BTreeMap<Cow<'a, str>, Metric<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metric<'a> {
    amount: Cow<'a, str>,
    unit: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described<'a> {
    value: Cow<'a, str>,
    #[serde(default)]
    attributes: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

impl Mapping for CostExplorer {
    fn columns(&self) -> &Columns {
        &COLUMNS
    }

    fn classes(&self, texts: &dyn Texts) -> Result<Vec<Class>, String> {
        let required = |column: usize| required(&COLUMNS, texts, column);
        let at = |column: usize| moment(NAMES[column], required(column)?);
        let period = Period { start: at(START)?, end: at(END)? };
        let (kind, service) = (kind(required(KIND)?), required(SERVICE)?);
        Ok(vec![Class {
            billed: vec![(UNBLENDED, Sign::Plus)],
            effective: Effective::sum(vec![(AMORTIZED, Sign::Plus)]),
            skip_zero: false,
            currency: currency(required(CURRENCY)?)?,
            // it speaks of accounts, and not of who pays for them, nor of invoices
            billing_account_id: None,
            billing_account_name: None,
            billing_period: Some(period),
            // it is asked for one month, up to now while that runs
            month: Some(BillingMonth::of_period(period.start, None).map_err(|error| error.to_string())?),
            invoice_id: None,
            sub_account_id: Some(required(ACCOUNT)?.to_owned()),
            sub_account_name: texts.text(ACCOUNT_NAME).map(str::to_owned),
            service_category: services::category(service),
            service_name: service.to_owned(),
            category: kind.category,
            correction: false,
            frequency: kind.frequency,
            tags: RowTags::default(),
            twin: None,
            claims: Claims::only(AWS),
            provider_name: AWS.to_owned(),
            publisher_name: AMAZON.to_owned(),
            invoice_issuer_name: AMAZON.to_owned(),
        }])
    }

    fn json(&self, document: &[u8], rows: &mut dyn JsonRows) -> Result<(), ReadError> {
        let broken = |why: String| ReadError::Broken { after: 0, why };
        let answer: Answer<'_> =
            crate::strict::from_slice(document).map_err(|error| broken(error.to_string()))?;
        let by: Vec<&str> = answer.request.group_by.iter().map(|group| group.key.as_ref()).collect();
        if by != ["LINKED_ACCOUNT", "SERVICE"] {
            return Err(broken(format!("the costs are by {}, not by account and service", by.join(", "))));
        }
        let Dimensions { key, values } = &answer.request.filter.dimensions;
        let (true, [kind]) = (key == "RECORD_TYPE", values.as_slice()) else {
            return Err(broken("the request does not ask for one kind of costs (RECORD_TYPE)".to_owned()));
        };
        rows.header(&NAMES.map(str::to_owned))?;
        for Results { time_period: Days { start, end }, groups } in &answer.results_by_time {
            for Group { keys: [account, service], metrics } in groups {
                let described = answer.dimension_value_attributes.iter().find(|it| it.value == *account);
                let name = described.and_then(|described| described.attributes.get("description"));
                let amount = |metric: &str| metrics.get(metric).map(|metric| Cow::Borrowed(&*metric.amount));
                let unit = metrics.get("UnblendedCost").map(|metric| Cow::Borrowed(&*metric.unit));
                let same = metrics.values().all(|metric| Some(&metric.unit) == unit.as_ref());
                let unit = unit.filter(|_| same); // an empty cell holds the row
                rows.row(&[
                    unit,
                    Some(Cow::Borrowed(&**kind)),
                    Some(Cow::Borrowed(&**account)),
                    name.map(|name| Cow::Borrowed(&**name)),
                    Some(Cow::Borrowed(&**service)),
                    Some(Cow::Borrowed(&**start)),
                    Some(Cow::Borrowed(&**end)),
                    amount("UnblendedCost"),
                    amount("AmortizedCost"),
                ])?;
            }
        }
        Ok(())
    }

    fn complete<'r>(&self, charge: Charge<'r>, _: &'r Class, _: &Row<'r>) -> Result<Charge<'r>, String> {
        Ok(Charge { charge_description: Some(charge.service_name.clone()), ..charge })
    }
}
