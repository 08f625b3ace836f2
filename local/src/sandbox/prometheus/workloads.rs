//! What runs in the cluster, and what a server says of it that has looked at every step.

use billing::month::BillingMonth;
use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::promql::{Metric, Question};

const GIB: i64 = 1 << 30;

/// A pod with what it requests, and its claim.
#[derive(Clone, Copy, Debug)]
struct Workload {
    namespace: &'static str,
    cpu_millicores: i64,
    memory_gib: i64,
    storage_gib: i64,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
}

/// All of them, and from when to when the server has looked at them.
#[derive(Clone, Debug)]
pub(super) struct Workloads {
    workloads: Vec<Workload>,
    /// What the server has forgotten.
    pub(super) begins: Option<DateTime<Utc>>,
    /// What it has not collected.
    pub(super) ends: Option<DateTime<Utc>>,
}

impl Workload {
    const fn always(namespace: &'static str, requests: [i64; 3]) -> Self {
        let [cpu_millicores, memory_gib, storage_gib] = requests;
        Self { namespace, cpu_millicores, memory_gib, storage_gib, from: None, to: None }
    }

    /// In thousandths of the metric's unit.
    fn requested(&self, metric: Metric) -> i64 {
        match metric {
            Metric::Cpu => self.cpu_millicores,
            Metric::Memory => self.memory_gib * GIB * 1_000,
            Metric::Storage => self.storage_gib * GIB * 1_000,
        }
    }
}

impl Workloads {
    pub(super) fn example(closing: BillingMonth) -> Self {
        let day = |number: i64| Some(closing.start() + TimeDelta::days(number - 1));
        let burst = Workload::always("blue-app", [8_000, 32, 0]);
        let shop = Workload::always("red-shop", [3_000, 6, 50]);
        Self {
            workloads: vec![
                Workload::always("platform", [2_500, 8, 100]),
                Workload::always("blue-app", [4_000, 16, 200]),
                Workload { from: day(15), to: day(16), ..burst },
                Workload { from: day(11), ..shop },
            ],
            begins: None,
            ends: None,
        }
    }

    pub(super) fn amend(&mut self) {
        for workload in self.workloads.iter_mut().filter(|workload| workload.namespace == "red-shop") {
            workload.cpu_millicores += 1_000;
        }
    }

    /// The samples of an answer: one for each namespace that was there at any step.
    pub(super) fn answer(&self, question: &Question) -> Value {
        let Some(metric) = question.metric else { return json!([]) };
        let mut sums: Vec<(&str, i128)> = Vec::new();
        for workload in &self.workloads {
            let steps = self.steps(workload, question);
            let requested = workload.requested(metric);
            if steps == 0 || requested == 0 {
                continue;
            }
            // a server that is asked for a label that nobody has adds everything up
            let namespace = if question.label == "namespace" { workload.namespace } else { "" };
            let sum = i128::from(steps) * i128::from(requested);
            match sums.iter_mut().find(|(other, _)| *other == namespace) {
                Some((_, before)) => *before += sum,
                None => sums.push((namespace, sum)),
            }
        }
        let time = Decimal::new(question.at_ms, 3).normalize().to_string();
        let time: Value = serde_json::from_str(&time).unwrap_or_default();
        let samples = sums.into_iter().filter_map(|(namespace, thousandths)| {
            let sum = Decimal::try_from_i128_with_scale(thousandths, 3).ok()?;
            // as many digits as a float has
            let value = sum.checked_div(question.divisor)?.round_sf(17)?.normalize();
            let metric = if namespace.is_empty() { json!({}) } else { json!({"namespace": namespace}) };
            Some(json!({"metric": metric, "value": [time, value.to_string()]}))
        });
        Value::Array(samples.collect())
    }

    /// At how many steps of the range a workload was there, and was looked at. Steps are whole multiples since 1970; the beginning of
    /// a range does not belong to it.
    fn steps(&self, workload: &Workload, question: &Question) -> i64 {
        let millis = |moment: Option<DateTime<Utc>>| moment.map(|moment| moment.timestamp_millis());
        let first =
            [Some(question.at_ms - question.range_ms + 1), millis(workload.from), millis(self.begins)];
        let end = [Some(question.at_ms + 1), millis(workload.to), millis(self.ends)];
        let (Some(first), Some(end)) = (first.into_iter().flatten().max(), end.into_iter().flatten().min())
        else {
            return 0;
        };
        let before = |moment: i64| (moment + question.step_ms - 1).div_euclid(question.step_ms);
        (before(end) - before(first)).max(0)
    }
}
