//! A month from Cost Explorer, for accounts without an export: what each account paid for each service, and as what.
//!
//! Cost Explorer groups by two dimensions at a time. The first question is for the total; the second for accounts and kinds of
//! charges (`RECORD_TYPE`); then one for each kind, for accounts and services. That gives every cost its account, its service and
//! its kind, and the answers prove each other: an account's services of a kind must come to what the second answer said, and all
//! of that to the total.
//!
//! Its figures name no invoice, so they cannot be reconciled invoice by invoice: the manifest has none, and what all of them come to
//! is only compared, and said.
//!
//! Pages are put together into one answer for each question, in the order of the groups and without tokens, which differ from
//! time to time; the pages as they came stand beside.

use std::collections::{BTreeMap, BTreeSet};

use billing::canonical;
use billing::keys::InvoiceKey;
use billing::manifest::{Format, InvoiceTotal};
use billing::month::BillingMonth;
use bytes::Bytes;
use cloud::billing_apis::CostQuery;
use cloud::bucket::Bucket;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bill::Draft;
use crate::error::{AnswerError, MonthError};
use crate::fetcher::Fetcher;
use crate::pages::{Beside, all, read};

const ACTION: &str = "ce:GetCostAndUsage";
const ACCOUNT: &str = "LINKED_ACCOUNT";
const SERVICE: &str = "SERVICE";
const RECORD_TYPE: &str = "RECORD_TYPE";
/// The dimensions of the questions, in their order.
const TOTAL: &[&str] = &[];
const OVERVIEW: &[&str] = &[ACCOUNT, RECORD_TYPE];
const DETAILS: &[&str] = &[ACCOUNT, SERVICE];

/// Cost Explorer rounds each figure at its tenth decimal; a page that is lost is more than this.
const ROUNDING: Decimal = Decimal::from_parts(1, 0, 0, false, 4);

/// One answer, or a page of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Costs {
    /// What was asked; ours.
    #[serde(skip_serializing_if = "Value::is_null")]
    request: Value,
    results_by_time: Vec<Results>,
    dimension_value_attributes: Vec<Described>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Results {
    time_period: Days,
    /// Where nothing is grouped.
    #[serde(default)]
    total: BTreeMap<String, Metric>,
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    estimated: bool,
}

/// The end is exclusive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Days {
    start: String,
    end: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group {
    keys: [String; 2],
    metrics: BTreeMap<String, Metric>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    amount: String,
    unit: String,
}

/// What a key stands for: the name of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    value: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

/// An answer put together, and its pages.
struct Answer {
    costs: Costs,
    pages: Vec<Bytes>,
    source: String,
}

impl Fetcher {
    /// Asks for a month; nothing if it has no costs.
    pub(crate) async fn ask_cost_explorer(
        &self,
        bucket: &Bucket,
        bill: InvoiceKey,
    ) -> Result<Option<Draft>, MonthError> {
        let month = bill.period;
        let total = self.costs(month, TOTAL, None).await?;
        let overview = self.costs(month, OVERVIEW, None).await?;
        let mut details = BTreeMap::new();
        let kinds: BTreeSet<&str> = overview.costs.groups().map(|group| group.keys[1].as_str()).collect();
        for kind in kinds {
            let answer = self.costs(month, DETAILS, Some(kind)).await?;
            details.insert(kind.to_owned(), answer);
        }
        prove_total(&total.costs, &overview.costs)?;
        if details.is_empty() {
            return Ok(None);
        }
        prove(&overview.costs, details.iter().map(|(kind, answer)| (kind.as_str(), &answer.costs)))?;

        let estimated =
            [&total, &overview].into_iter().chain(details.values()).any(|answer| answer.costs.is_estimated());
        let names = self.names_of(details.values().map(|answer| &answer.costs)).await?;
        let keep = async |answer: &Answer| -> Result<_, MonthError> {
            let document = canonical::to_json(&answer.costs)?;
            Ok(bucket.keep_bytes(&bill, "json", answer.source.clone(), &document).await?)
        };
        let documents = vec![keep(&total).await?, keep(&overview).await?];
        let mut parts = Vec::with_capacity(details.len());
        for answer in details.values() {
            parts.push(keep(answer).await?);
        }
        let whole = overview.costs.clone();
        let beside = [total, overview]
            .into_iter()
            .chain(details.into_values())
            .flat_map(Answer::into_beside)
            .collect();
        let mut invoices = self.invoices(month).await?;
        let mut note = None;
        if let Some(invoices) = &mut invoices {
            note = difference(&whole, &std::mem::take(&mut invoices.totals))?;
        }
        Ok(Some(Draft {
            bill,
            format: Format::CostExplorer,
            parts,
            documents,
            beside,
            estimated,
            invoices,
            sub_account_names: names,
            note,
        }))
    }
}

impl Fetcher {
    async fn costs(
        &self,
        month: BillingMonth,
        group_by: &'static [&'static str],
        kind: Option<&str>,
    ) -> Result<Answer, MonthError> {
        let query = CostQuery { month, group_by, record_type: kind.map(str::to_owned) };
        let query = &query;
        let pages = all(ACTION, |page| async move { self.apis.costs(query, page.as_deref()).await }).await?;
        let costs = Costs::merged(query, &pages)?;
        let kind = kind.map(|kind| format!(" of {kind}")).unwrap_or_default();
        let by = if group_by.is_empty() { String::new() } else { format!(" by {}", group_by.join(", ")) };
        let source = format!("GetCostAndUsage {month}{by}{kind}");
        Ok(Answer { costs, pages, source })
    }

    /// The names of the accounts that have costs: Cost Explorer's own, else the organisation's.
    async fn names_of(
        &self,
        answers: impl Iterator<Item = &Costs>,
    ) -> Result<BTreeMap<String, String>, MonthError> {
        let mut names: BTreeMap<String, Option<String>> = BTreeMap::new();
        for costs in answers {
            for group in costs.groups() {
                let name = names.entry(group.keys[0].clone()).or_default();
                let described = costs.dimension_value_attributes.iter().find(|it| it.value == group.keys[0]);
                let described = described.and_then(|it| it.attributes.get("description"));
                *name = name.take().or_else(|| described.cloned()).filter(|name| !name.is_empty());
            }
        }
        if names.values().any(Option::is_none) {
            let all = self.account_names().await?;
            for (account, name) in &mut names {
                *name = name.take().or_else(|| all.get(account).cloned());
            }
        }
        Ok(names.into_iter().filter_map(|(account, name)| Some((account, name?))).collect())
    }
}

impl Answer {
    /// Its pages, for a look at what came.
    fn into_beside(self) -> impl Iterator<Item = Beside> {
        let source = self.source;
        self.pages.into_iter().map(move |bytes| Beside {
            extension: "page.json",
            source: source.clone(),
            bytes,
        })
    }
}

impl Costs {
    /// One answer of its pages.
    fn merged(query: &CostQuery, pages: &[Bytes]) -> Result<Self, AnswerError> {
        let [start, end] = [query.month.start(), query.month.end()].map(|time| time.date_naive().to_string());
        let days = Days { start, end };
        let mut results = Results {
            time_period: days.clone(),
            total: BTreeMap::new(),
            groups: Vec::new(),
            estimated: false,
        };
        let mut merged = Self { request: request(query, &days), ..Self::default() };
        for page in pages {
            let page: Self = read(ACTION, page)?;
            for part in page.results_by_time {
                if part.time_period != days {
                    let Days { start, end } = part.time_period;
                    let reason = format!("it is of {start} to {end}, not of {}", query.month);
                    return Err(AnswerError::Malformed { action: ACTION, reason });
                }
                results.estimated |= part.estimated;
                results.groups.extend(part.groups);
                if query.group_by.is_empty() {
                    results.total = part.total;
                }
            }
            for described in page.dimension_value_attributes {
                if !merged.dimension_value_attributes.contains(&described) {
                    merged.dimension_value_attributes.push(described);
                }
            }
        }
        results.groups.sort_by(|left, right| left.keys.cmp(&right.keys));
        let twice = results.groups.windows(2).find(|pair| pair[0].keys == pair[1].keys);
        if let Some(pair) = twice {
            return Err(AnswerError::Twice { action: ACTION, what: pair[0].keys.join(", ") });
        }
        merged.dimension_value_attributes.sort_by(|left, right| left.value.cmp(&right.value));
        merged.results_by_time = vec![results];
        Ok(merged)
    }

    fn groups(&self) -> impl Iterator<Item = &Group> {
        self.results_by_time.iter().flat_map(|results| &results.groups)
    }

    fn is_estimated(&self) -> bool {
        self.results_by_time.iter().any(|results| results.estimated)
    }
}

/// What was asked, as it stands in the answer's document.
fn request(query: &CostQuery, days: &Days) -> Value {
    let mut request = json!({
        "TimePeriod": days,
        "Granularity": "MONTHLY",
        "Metrics": CostQuery::METRICS,
    });
    if !query.group_by.is_empty() {
        let groups = query.group_by.iter().map(|key| json!({"Type": "DIMENSION", "Key": key}));
        request["GroupBy"] = groups.collect();
    }
    if let Some(kind) = &query.record_type {
        request["Filter"] = json!({"Dimensions": {"Key": RECORD_TYPE, "Values": [kind]}});
    }
    request
}

/// All groups of the overview come to the total.
fn prove_total(total: &Costs, overview: &Costs) -> Result<(), AnswerError> {
    let mut left: BTreeMap<(&str, &str), [Decimal; 2]> = BTreeMap::new();
    let totals = total.results_by_time.iter().map(|results| (0, &results.total));
    for (side, metrics) in totals.chain(overview.groups().map(|group| (1, &group.metrics))) {
        for (name, Metric { amount, unit }) in metrics {
            let sum = &mut left.entry((name, unit)).or_default()[side];
            *sum = sum.checked_add(decimal(amount)?).ok_or_else(|| too_large(name))?;
        }
    }
    let differing = left.into_iter().find(|(_, [whole, groups])| (whole - groups).abs() > ROUNDING);
    differing.map_or(Ok(()), |((metric, unit), [whole, groups])| {
        Err(AnswerError::Inconsistent {
            what: format!("{metric} of the month"),
            whole: format!("{whole} {unit}"),
            details: format!("{groups} {unit}"),
        })
    })
}

/// The services of each account and kind come to what the first answer says of them.
fn prove<'c>(
    overview: &Costs,
    details: impl Iterator<Item = (&'c str, &'c Costs)>,
) -> Result<(), AnswerError> {
    let mut left: BTreeMap<(String, String, String, String), [Decimal; 2]> = BTreeMap::new();
    let mut note = |side: usize, account: &str, kind: &str, metrics: &BTreeMap<String, Metric>| {
        for (name, Metric { amount, unit }) in metrics {
            let slot = (account.to_owned(), kind.to_owned(), name.clone(), unit.clone());
            let sums = left.entry(slot).or_default();
            let amount = decimal(amount)?;
            let sum = sums[side].checked_add(amount).ok_or_else(|| too_large(name))?;
            sums[side] = sum;
        }
        Ok(())
    };
    for group in overview.groups() {
        note(0, &group.keys[0], &group.keys[1], &group.metrics)?;
    }
    for (kind, costs) in details {
        for group in costs.groups() {
            note(1, &group.keys[0], kind, &group.metrics)?;
        }
    }
    let differing = left.into_iter().find(|(_, [whole, details])| (whole - details).abs() > ROUNDING);
    differing.map_or(Ok(()), |((account, kind, metric, unit), [whole, details])| {
        Err(AnswerError::Inconsistent {
            what: format!("{metric} of {kind} in account {account}"),
            whole: format!("{whole} {unit}"),
            details: format!("{details} {unit}"),
        })
    })
}

/// In words, if all costs and all invoices differ by more than the invoices' rounding.
fn difference(overview: &Costs, invoices: &[InvoiceTotal]) -> Result<Option<String>, AnswerError> {
    let mut sums: BTreeMap<String, [Decimal; 2]> = BTreeMap::new();
    let mut add = |currency: &str, side: usize, amount: Decimal| {
        let sums = sums.entry(currency.to_owned()).or_default();
        sums[side] = sums[side].checked_add(amount).ok_or_else(|| too_large("UnblendedCost"))?;
        Ok(())
    };
    for metric in overview.groups().filter_map(|group| group.metrics.get("UnblendedCost")) {
        add(&metric.unit, 0, decimal(&metric.amount)?)?;
    }
    for invoice in invoices {
        add(&invoice.currency, 1, invoice.total)?;
    }
    let rounding = Decimal::new(1, 2) * Decimal::from(invoices.len());
    let differing = sums.into_iter().filter(|(_, [costs, invoices])| (costs - invoices).abs() >= rounding);
    let said: Vec<String> = differing
        .map(|(currency, [costs, total])| {
            format!("Cost Explorer comes to {costs} {currency}, and all invoices to {total} {currency}")
        })
        .collect();
    Ok((!invoices.is_empty() && !said.is_empty()).then(|| said.join("; ")))
}

fn decimal(text: &str) -> Result<Decimal, AnswerError> {
    let exact = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
    exact.map_err(|_| AnswerError::Malformed { action: ACTION, reason: format!("'{text}' is no amount") })
}

fn too_large(metric: &str) -> AnswerError {
    AnswerError::Malformed { action: ACTION, reason: format!("the sum of {metric} has too many digits") }
}

#[cfg(test)]
mod tests;
