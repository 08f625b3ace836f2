//! As much of PromQL as the queries for drivers have: a metric, a label to add up by, a subquery, and divisors after it.

use chrono::Utc;
use rust_decimal::Decimal;

/// What a workload requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    /// Cores.
    Cpu,
    /// Bytes.
    Memory,
    /// Bytes.
    Storage,
}

/// What a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Nothing for one that nobody collects.
    pub(super) metric: Option<Metric>,
    /// The label by which it adds up.
    pub(super) label: String,
    /// When it is asked, in milliseconds since 1970.
    pub(super) at_ms: i64,
    pub(super) range_ms: i64,
    pub(super) step_ms: i64,
    /// What the sum over the steps is divided by.
    pub(super) divisor: Decimal,
}

impl Question {
    /// Reads it.
    ///
    /// # Errors
    /// As Prometheus says it.
    pub(super) fn read(query: &str, time: Option<&str>) -> Result<Self, String> {
        let wrong = |why: &str| format!("invalid parameter \"query\": 1:1: parse error: {why}");
        if query.is_empty() {
            return Err(wrong("no expression found in input"));
        }
        let count = |wanted: char| query.chars().filter(|c| *c == wanted).count();
        if count('(') != count(')') || count('[') != count(']') || query.contains("${") {
            return Err(wrong("unexpected end of input"));
        }
        let (_, rest) = query.split_once('[').ok_or_else(|| wrong("expected type range vector"))?;
        let (subquery, after) = rest.split_once(']').ok_or_else(|| wrong("unclosed left bracket"))?;
        let (range, step) = subquery.split_once(':').ok_or_else(|| wrong("expected type range vector"))?;
        let duration =
            |text: &str| milliseconds(text).ok_or_else(|| wrong(&format!("unknown duration {text}")));
        let label = query.split_once("by (").and_then(|(_, rest)| rest.split_once(')'));
        let time = time.map_or_else(
            || Some(Utc::now().timestamp_millis()),
            |text| text.parse::<Decimal>().ok().and_then(to_millis),
        );
        Ok(Self {
            metric: metric(query),
            label: label.map_or_else(String::new, |(label, _)| label.trim().to_owned()),
            at_ms: time.ok_or("invalid parameter \"time\": cannot parse it to a valid timestamp")?,
            range_ms: duration(range)?,
            step_ms: duration(step)?,
            divisor: divisor(after).ok_or_else(|| wrong("bad number or duration syntax"))?,
        })
    }
}

fn metric(query: &str) -> Option<Metric> {
    if query.contains("kube_persistentvolumeclaim_resource_requests_storage_bytes") {
        return Some(Metric::Storage);
    }
    if !query.contains("kube_pod_container_resource_requests{") {
        return None;
    }
    let is_of = |resource: &str| query.contains(&format!("resource=\"{resource}\""));
    if is_of("cpu") { Some(Metric::Cpu) } else { is_of("memory").then_some(Metric::Memory) }
}

fn to_millis(seconds: Decimal) -> Option<i64> {
    i64::try_from(seconds.checked_mul(Decimal::ONE_THOUSAND)?.trunc().mantissa()).ok()
}

/// `5m` of `[31d:5m]`; one unit only.
fn milliseconds(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<i64>().ok().filter(|number| *number > 0)?.checked_mul(unit_ms)
}

/// The product of the numbers in `) / 8928 / 1073741824`.
fn divisor(after: &str) -> Option<Decimal> {
    let numbers = after.split('/').skip(1);
    numbers
        .map(|number| number.trim().trim_matches(')').trim().parse::<Decimal>().ok())
        .try_fold(Decimal::ONE, |product, number| {
            product.checked_mul(number.filter(|number| !number.is_zero())?)
        })
}
