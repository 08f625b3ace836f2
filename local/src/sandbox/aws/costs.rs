//! Cost Explorer: the lines of the bills by two dimensions or in one total, three groups on a page, tokens that differ every time.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::example::{Bill, Line};
use super::{Aws, Refusal, accounts};

/// Of groups on a page.
const PAGE: usize = 3;

/// `GetCostAndUsage`.
pub(super) fn answer(state: &mut Aws, request: &Value, lost: usize) -> Result<Value, Refusal> {
    let invalid = |why: &str| Refusal(StatusCode::BAD_REQUEST, "ValidationException", why.to_owned());
    if request["Granularity"] != "MONTHLY" {
        return Err(invalid("only MONTHLY is here"));
    }
    let keys: Vec<&str> =
        list(&request["GroupBy"]).iter().filter_map(|group| group["Key"].as_str()).collect();
    if keys.len() > 2 {
        return Err(invalid("GroupBy must have two groups at the most"));
    }
    let kinds: Vec<&str> = match &request["Filter"]["Dimensions"] {
        Value::Null => Vec::new(),
        only if only["Key"] == "RECORD_TYPE" => {
            list(&only["Values"]).iter().filter_map(Value::as_str).collect()
        }
        _ => return Err(invalid("only RECORD_TYPE can be filtered by")),
    };
    let [start, end] = ["Start", "End"].map(|name| request["TimePeriod"][name].as_str().unwrap_or_default());
    let mut groups = Vec::new();
    let bills = state.bills.clone();
    for bill in
        bills.iter().filter(|bill| first_day(bill).as_str() >= start && first_day(bill).as_str() < end)
    {
        let wanted = |line: &&Line| kinds.is_empty() || kinds.contains(&line.kind.as_str());
        let mut sums: BTreeMap<Vec<String>, [Decimal; 2]> = BTreeMap::new();
        for line in bill.lines().iter().filter(wanted) {
            let key = keys.iter().map(|key| dimension(line, key).to_owned()).collect();
            let sum = sums.entry(key).or_default();
            sum[0] += line.unblended;
            sum[1] += line.amortized;
        }
        groups.extend(sums.into_iter().map(|(keys, sums)| (first_day(bill), keys, sums)));
    }
    let (page, next) = state.page(request, groups, PAGE, lost)?;
    let running = state.closing.end().date_naive().to_string();
    let mut answer = json!({
        "GroupDefinitions": list(&request["GroupBy"]),
        "ResultsByTime": results(&bills, &page, start, end, &running, list(&request["Metrics"])),
        "DimensionValueAttributes": attributes(&page, &keys),
    });
    if let Some(next) = next {
        answer["NextPageToken"] = json!(next);
    }
    Ok(answer)
}

type Grouped = (String, Vec<String>, [Decimal; 2]);

/// A result for each month on the page; for a page without any, of the whole time.
fn results(
    bills: &[Bill],
    page: &[Grouped],
    start: &str,
    end: &str,
    running: &str,
    metrics: &[Value],
) -> Vec<Value> {
    let days: BTreeSet<&str> = page.iter().map(|(day, ..)| day.as_str()).collect();
    if days.is_empty() {
        let total: Value = metrics
            .iter()
            .filter_map(Value::as_str)
            .map(|name| (name.to_owned(), money(Decimal::ZERO)))
            .collect();
        let period = json!({"Start": start, "End": end});
        return vec![json!({"TimePeriod": period, "Total": total, "Groups": [], "Estimated": true})];
    }
    let result = |day: &str| {
        let bill = bills.iter().find(|bill| first_day(bill) == day)?;
        let sums = |[unblended, amortized]: &[Decimal; 2]| json!({"UnblendedCost": money(*unblended), "AmortizedCost": money(*amortized)});
        let (mut total, mut groups) = (json!({}), Vec::new());
        for (_, keys, figures) in page.iter().filter(|(of, ..)| of == day) {
            match keys.is_empty() {
                true => total = sums(figures),
                false => groups.push(json!({"Keys": keys, "Metrics": sums(figures)})),
            }
        }
        let until = bill.month.end().date_naive().to_string();
        Some(json!({
            "TimePeriod": {"Start": day, "End": until}, "Total": total, "Groups": groups,
            "Estimated": day == running,
        }))
    };
    days.into_iter().filter_map(result).collect()
}

fn attributes(page: &[Grouped], keys: &[&str]) -> Vec<Value> {
    let Some(place) = keys.iter().position(|key| *key == "LINKED_ACCOUNT") else { return Vec::new() };
    let ids: BTreeSet<&str> = page.iter().map(|(_, keys, _)| keys[place].as_str()).collect();
    let described = |id: &str| Some(json!({"Value": id, "Attributes": {"description": accounts::name(id)?}}));
    ids.into_iter().filter_map(described).collect()
}

fn dimension<'l>(line: &'l Line, key: &str) -> &'l str {
    match key {
        "LINKED_ACCOUNT" => &line.account,
        "RECORD_TYPE" => &line.kind,
        _ => &line.service,
    }
}

fn money(amount: Decimal) -> Value {
    json!({"Amount": amount.normalize().to_string(), "Unit": "USD"})
}

fn first_day(bill: &Bill) -> String {
    bill.month.start().date_naive().to_string()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
