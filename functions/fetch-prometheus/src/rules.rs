//! What is asked for each driver, and what is made of the answer: configuration.

use std::collections::BTreeMap;
use std::str::FromStr;

use billing::strict;
use cloud::vars::{VarError, Vars};
use url::form_urlencoded;

use crate::window::Span;

/// What PromQL may leave to the function. The first must stand in every query.
const PLACEHOLDERS: [&str; 4] = ["${range}", "${step}", "${steps}", "${label}"];
/// A raw document's metadata names its question, and metadata of an object has at most 2 KB.
const LONGEST_SOURCE_BYTES: usize = 1_700;

/// What the scheduler keeps free for pods that have a node and are not over: kube-state-metrics tells of requests of pods that
/// have ended, too, for as long as they are there.
const CPU: &str = r#"sum by (${label}) (kube_pod_container_resource_requests{resource="cpu",node!=""} * on (uid) group_left () max by (uid) (kube_pod_status_phase{phase=~"Pending|Running"} == 1))"#;
const MEMORY: &str = r#"sum by (${label}) (kube_pod_container_resource_requests{resource="memory",node!=""} * on (uid) group_left () max by (uid) (kube_pod_status_phase{phase=~"Pending|Running"} == 1))"#;
const STORAGE: &str = "sum by (${label}) (kube_persistentvolumeclaim_resource_requests_storage_bytes)";

/// What a driver's quantities are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Shares of 1.
    Share,
    /// The values as the server gives them.
    Quantity,
}

impl Measure {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Quantity => "quantity",
        }
    }
}

impl FromStr for Measure {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "share" => Ok(Self::Share),
            "quantity" => Ok(Self::Quantity),
            _ => Err("share or quantity"),
        }
    }
}

/// How far apart the moments are at which a month is looked at, in seconds; days have a whole number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step(i64);

impl FromStr for Step {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "a duration such as 30s, 5m or 1h, of which a day has a whole number";
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(expected)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return Err(expected),
        };
        let number = number.parse::<u32>().map_err(|_| expected)?;
        let seconds = i64::from(number) * seconds;
        if seconds > 0 && 86_400 % seconds == 0 { Ok(Self(seconds)) } else { Err(expected) }
    }
}

/// One driver and the query for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DriverQuery {
    pub(crate) driver: String,
    template: String,
}

/// The configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// In the order of the drivers' names.
    pub(crate) queries: Vec<DriverQuery>,
    /// The label whose values are the targets.
    pub(crate) label: String,
    pub(crate) measure: Measure,
    step: Step,
}

impl Rules {
    /// `PROMETHEUS_QUERIES`, `PROMETHEUS_LABEL`, `PROMETHEUS_AS` and `PROMETHEUS_STEP`.
    pub(crate) fn from_vars(vars: &Vars) -> Result<Self, VarError> {
        let measure = vars.parsed("PROMETHEUS_AS", Measure::Share)?;
        let step = vars.parsed("PROMETHEUS_STEP", Step(300))?;
        let label = vars.get("PROMETHEUS_LABEL").unwrap_or("namespace").to_owned();
        let is_label = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !label.starts_with(|first: char| first.is_ascii_digit());
        if !is_label {
            let expected = "the name of a label: letters, digits and underscores".into();
            return Err(VarError::Invalid { name: "PROMETHEUS_LABEL", value: label, expected });
        }
        let queries = match vars.get("PROMETHEUS_QUERIES") {
            Some(text) => own_queries(text)?,
            None => default_queries(measure),
        };
        let rules = Self { queries, label, measure, step };
        rules.queries.iter().try_for_each(|query| rules.check(query))?;
        Ok(rules)
    }

    /// Seconds between the moments at which a month is looked at.
    pub(crate) fn step_seconds(&self) -> i64 {
        self.step.0
    }

    /// The query of a driver for a span of time.
    pub(crate) fn promql(&self, query: &DriverQuery, span: &Span) -> String {
        let Step(step) = self.step;
        let values = [format!("{}s", span.seconds), format!("{step}s"), (span.seconds / step).to_string()];
        let [range, step, steps] = values;
        let filled = PLACEHOLDERS.into_iter().zip([&range, &step, &steps, &self.label]);
        filled.fold(query.template.clone(), |text, (name, value)| text.replace(name, value))
    }

    fn check(&self, query: &DriverQuery) -> Result<(), VarError> {
        let DriverQuery { driver, template } = query;
        let invalid = |expected: String| VarError::Invalid {
            name: "PROMETHEUS_QUERIES",
            value: template.chars().take(60).collect(),
            expected,
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if driver.is_empty() || driver.len() > 60 || driver.starts_with('.') || !driver.chars().all(is_name) {
            return Err(invalid(format!(
                "a driver's name of at most 60 letters, digits, hyphens, underscores and dots instead of '{driver}'"
            )));
        }
        if !template.contains(PLACEHOLDERS[0]) {
            return Err(invalid(format!(
                "${{range}} in the query of '{driver}', for example sum_over_time(...[${{range}}:${{step}}])"
            )));
        }
        let month = Span { end: chrono::DateTime::UNIX_EPOCH, seconds: 31 * 86_400 };
        let promql = self.promql(query, &month);
        if promql.contains("${") {
            let known = PLACEHOLDERS.join(", ");
            return Err(invalid(format!("nothing but {known} as placeholders in the query of '{driver}'")));
        }
        if form(&promql, "1793491199.999").len() > LONGEST_SOURCE_BYTES {
            return Err(invalid(format!(
                "a query of at most about 1,200 characters for '{driver}'; make the inner part a recording rule"
            )));
        }
        Ok(())
    }
}

/// A question as it is sent, and as a raw document names where it came from.
pub(crate) fn form(promql: &str, time: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("query", promql)
        .append_pair("time", time)
        .finish()
}

fn default_queries(measure: Measure) -> Vec<DriverQuery> {
    let drivers = match measure {
        Measure::Share => {
            [("cpu-share", CPU, ""), ("memory-share", MEMORY, ""), ("storage-share", STORAGE, "")]
        }
        Measure::Quantity => [
            ("cpu-cores", CPU, ""),
            ("memory-gib", MEMORY, " / 1073741824"),
            ("storage-gib", STORAGE, " / 1073741824"),
        ],
    };
    // the sum over all moments of the month, also those at which there was nothing, so that a day counts as a day
    let averaged =
        |requested: &str| format!("sum_over_time(({requested})[${{range}}:${{step}}]) / ${{steps}}");
    let query = |(driver, requested, unit): (&str, &str, &str)| DriverQuery {
        driver: driver.to_owned(),
        template: averaged(requested) + unit,
    };
    drivers.map(query).into()
}

fn own_queries(text: &str) -> Result<Vec<DriverQuery>, VarError> {
    let invalid = |why: &dyn std::fmt::Display| VarError::Invalid {
        name: "PROMETHEUS_QUERIES",
        value: text.chars().take(60).collect(),
        expected: format!(
            "a JSON object of PromQL by driver, {{\"gpu-share\": \"...[${{range}}:${{step}}]...\"}}: {why}"
        ),
    };
    let queries: BTreeMap<String, String> = strict::from_str(text).map_err(|error| invalid(&error))?;
    if queries.is_empty() {
        return Err(invalid(&"it names no driver"));
    }
    Ok(queries.into_iter().map(|(driver, template)| DriverQuery { driver, template }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(vars: &[(&str, &str)]) -> Result<Rules, String> {
        Rules::from_vars(&Vars::from_iter(vars.iter().copied())).map_err(|error| error.to_string())
    }

    fn month() -> Span {
        Span { end: "2026-11-01T00:00:00Z".parse().unwrap(), seconds: 2_678_400 }
    }

    #[test]
    fn the_default_queries_average_what_is_requested_over_the_month() {
        let rules = rules(&[]).unwrap();
        let shown: Vec<_> = rules
            .queries
            .iter()
            .map(|query| format!("{}\n{}", query.driver, rules.promql(query, &month())))
            .collect();
        assert_eq!(
            shown,
            [
                "cpu-share\nsum_over_time((sum by (namespace) (kube_pod_container_resource_requests{resource=\"cpu\",node!=\"\"} * on (uid) group_left () max by (uid) (kube_pod_status_phase{phase=~\"Pending|Running\"} == 1)))[2678400s:300s]) / 8928",
                "memory-share\nsum_over_time((sum by (namespace) (kube_pod_container_resource_requests{resource=\"memory\",node!=\"\"} * on (uid) group_left () max by (uid) (kube_pod_status_phase{phase=~\"Pending|Running\"} == 1)))[2678400s:300s]) / 8928",
                "storage-share\nsum_over_time((sum by (namespace) (kube_persistentvolumeclaim_resource_requests_storage_bytes))[2678400s:300s]) / 8928",
            ]
        );
    }

    #[test]
    fn quantities_have_units_in_their_names() {
        let rules =
            rules(&[("PROMETHEUS_AS", "quantity"), ("PROMETHEUS_STEP", "1h"), ("PROMETHEUS_LABEL", "team")])
                .unwrap();
        let names: Vec<_> = rules.queries.iter().map(|query| query.driver.as_str()).collect();
        assert_eq!(names, ["cpu-cores", "memory-gib", "storage-gib"]);
        assert_eq!(
            rules.promql(&rules.queries[2], &month()),
            "sum_over_time((sum by (team) (kube_persistentvolumeclaim_resource_requests_storage_bytes))[2678400s:3600s]) / 744 / 1073741824"
        );
    }

    #[test]
    fn own_queries_replace_the_default_ones() {
        let own =
            r#"{"gpu": "sum by (${label}) (sum_over_time(gpus[${range}:${step}]))", "a.b": "x[${range}]"}"#;
        let rules = rules(&[("PROMETHEUS_QUERIES", own)]).unwrap();
        let shown: Vec<_> = rules.queries.iter().map(|query| rules.promql(query, &month())).collect();
        assert_eq!(shown, ["x[2678400s]", "sum by (namespace) (sum_over_time(gpus[2678400s:300s]))"]);
    }

    #[test]
    fn mistakes_are_named() {
        let long = format!(r#"{{"x": "sum({}[${{range}}])"}}"#, "y".repeat(1_700));
        for (name, value, part) in [
            ("PROMETHEUS_AS", "parts", "expected share or quantity"),
            ("PROMETHEUS_STEP", "7m", "of which a day has a whole number"),
            ("PROMETHEUS_STEP", "5", "of which a day has a whole number"),
            ("PROMETHEUS_STEP", "0s", "of which a day has a whole number"),
            ("PROMETHEUS_LABEL", "a-b", "the name of a label"),
            ("PROMETHEUS_QUERIES", "cpu", "a JSON object of PromQL by driver"),
            ("PROMETHEUS_QUERIES", "{}", "it names no driver"),
            ("PROMETHEUS_QUERIES", r#"{"x": "y[${range}]", "x": "z[${range}]"}"#, "'x' stands twice"),
            ("PROMETHEUS_QUERIES", r#"{"x": "sum(y[30d])"}"#, "${range} in the query of 'x'"),
            ("PROMETHEUS_QUERIES", r#"{"x": "y[${range}] ${rate}"}"#, "nothing but ${range}, ${step}"),
            ("PROMETHEUS_QUERIES", r#"{"../x": "y[${range}]"}"#, "instead of '../x'"),
            ("PROMETHEUS_QUERIES", &long, "a query of at most about 1,200 characters for 'x'"),
        ] {
            let error = rules(&[(name, value)]).unwrap_err();
            assert!(error.contains(name) && error.contains(part), "{error}");
        }
    }
}
