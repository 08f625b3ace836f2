//! The answer to an instant query: what it says of each target, or why it cannot be used.

use std::collections::BTreeMap;

use billing::bills::DriverError;
use billing::money::{ApportionError, MoneyError, parse_decimal};
use billing::strict;
use chrono::NaiveDate;
use cloud::peer::{Fault, PeerError, quoted};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::prometheus::said;

/// Targets that are named; an answer of nothing but errors must not fill a log.
const NAMED: usize = 20;

/// An answer that is a result.
#[derive(Debug)]
pub(crate) struct Said {
    result_type: String,
    result: Box<RawValue>,
    /// What the server could not read, or read otherwise than was meant: the result is of the rest.
    pub(crate) warnings: Vec<String>,
    /// What the server remarks.
    pub(crate) infos: Vec<String>,
}

#[derive(Deserialize)]
struct Wire {
    status: String,
    data: Option<Data>,
    #[serde(rename = "errorType")]
    error_type: Option<String>,
    error: Option<String>,
    warnings: Option<Vec<String>>,
    infos: Option<Vec<String>>,
    /// VictoriaMetrics' word for a warning.
    #[serde(rename = "isPartial", default)]
    is_partial: bool,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Box<RawValue>,
}

#[derive(Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    /// A time and a number, as a text.
    value: Option<(IgnoredAny, String)>,
}

/// Why no driver can be made of an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("the query gives a {0}, not an instant vector: it must add up to one value by label")]
    NotAVector(String),
    #[error("the result is not understood: {0}")]
    NotUnderstood(String),
    #[error(
        "the result is empty: nothing was requested in the whole month, or the query is of metrics that the server does \
         not have"
    )]
    Nothing,
    #[error("{}", .0.join("; "))]
    Values(Vec<String>),
    #[error("all values are zero, there is nothing to share by")]
    AllZero,
    #[error(
        "the server answers with a part of the data only: {}; the next run asks again, {{\"partial\": true}} takes what there is",
        .0.join("; ")
    )]
    Partial(Vec<String>),
    #[error(
        "there is no data on {}: what the server still keeps, or has collected, is not the whole month, and shares of a \
         part of it would be wrong; {{\"partial\": true}} takes what there is", days(.0)
    )]
    NoData(Vec<NaiveDate>),
    #[error(transparent)]
    Sum(#[from] MoneyError),
    #[error(transparent)]
    Shares(#[from] ApportionError),
    #[error(transparent)]
    Driver(#[from] DriverError),
}

fn days(days: &[NaiveDate]) -> String {
    days.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and on ")
}

impl Said {
    /// Reads an answer with the status 200.
    pub(crate) fn parse(path: &str, document: &[u8]) -> Result<Self, PeerError> {
        let none = |reason: String| {
            let sentence = format!("the answer to {path} is no answer of Prometheus: {reason}");
            PeerError::new(Fault::Unexpected, sentence, "check PROMETHEUS_URL")
        };
        let wire: Wire = strict::from_slice(document).map_err(|error| none(error.to_string()))?;
        if wire.status != "success" {
            let said = quoted(&said(wire.error_type.as_deref(), wire.error.as_deref()));
            let sentence = format!("Prometheus says that the query failed: {said}");
            return Err(PeerError::new(Fault::Refused, sentence, ""));
        }
        let data = wire.data.ok_or_else(|| none("it has no data".into()))?;
        let texts =
            |texts: Option<Vec<String>>| texts.into_iter().flatten().map(|text| quoted(&text)).collect();
        let mut warnings: Vec<String> = texts(wire.warnings);
        if wire.is_partial {
            warnings.push("the answer is marked as partial".into());
        }
        let Data { result_type, result } = data;
        Ok(Self { result_type: quoted(&result_type), result, warnings, infos: texts(wire.infos) })
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> Result<bool, Unusable> {
        Ok(self.samples()?.is_empty())
    }

    fn samples(&self) -> Result<Vec<Sample>, Unusable> {
        if self.result_type != "vector" {
            return Err(Unusable::NotAVector(self.result_type.clone()));
        }
        serde_json::from_str(self.result.get()).map_err(|error| Unusable::NotUnderstood(error.to_string()))
    }

    /// The value of each target, exactly as its text says. The targets are the values of a label.
    pub(crate) fn values(&self, label: &str) -> Result<BTreeMap<String, Decimal>, Unusable> {
        let samples = self.samples()?;
        if samples.is_empty() {
            return Err(Unusable::Nothing);
        }
        let (mut values, mut problems) = (BTreeMap::new(), Vec::new());
        for sample in samples {
            let read = read(&sample, label).and_then(|(target, value)| match values.insert(target, value) {
                None => Ok(()),
                Some(_) => Err(format!(
                    "{} comes twice: the query must add up, sum by ({label}) (...)",
                    shown(&sample, label)
                )),
            });
            problems.extend(read.err());
        }
        if problems.is_empty() {
            return Ok(values);
        }
        let more = problems.len().saturating_sub(NAMED);
        problems.truncate(NAMED);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        Err(Unusable::Values(problems))
    }
}

/// `namespace 'blue-app'`.
fn shown(sample: &Sample, label: &str) -> String {
    format!("{label} '{}'", quoted(sample.metric.get(label).map_or("", String::as_str)))
}

fn read(sample: &Sample, label: &str) -> Result<(String, Decimal), String> {
    let target = sample.metric.get(label).filter(|target| !target.trim().is_empty()).ok_or_else(|| {
        let others: Vec<&str> = sample.metric.keys().map(String::as_str).take(NAMED).collect();
        let others = if others.is_empty() { "none".into() } else { quoted(&others.join(", ")) };
        format!(
            "a result has no label {label} (its labels: {others}); the query must keep it, or PROMETHEUS_LABEL name another"
        )
    })?;
    let shown = shown(sample, label);
    let Some((_, text)) = &sample.value else {
        return Err(format!("{shown} is no plain number, but a histogram"));
    };
    match text.as_str() {
        "NaN" | "Inf" | "+Inf" | "-Inf" => Err(format!("{shown} is {text}, which is no quantity")),
        text => match parse_decimal(text) {
            Err(error) => Err(format!("{shown}: {error}")),
            Ok(value) if value < Decimal::ZERO => Err(format!("{shown} is negative ({text})")),
            Ok(value) => Ok((target.clone(), value.normalize())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(document: &str) -> Result<Said, String> {
        Said::parse("/api/v1/query", document.as_bytes()).map_err(|error| error.to_string())
    }

    fn vector(samples: &str) -> Said {
        let data = format!(r#"{{"resultType": "vector", "result": [{samples}]}}"#);
        said(&format!(r#"{{"status": "success", "data": {data}}}"#)).unwrap()
    }

    fn values(samples: &str) -> Result<String, String> {
        let values = vector(samples).values("namespace").map_err(|error| error.to_string())?;
        let shown: Vec<String> = values.iter().map(|(target, value)| format!("{target}={value}")).collect();
        Ok(shown.join(" "))
    }

    fn sample(target: &str, value: &str) -> String {
        format!(r#"{{"metric": {{"namespace": "{target}"}}, "value": [1793491199.999, "{value}"]}}"#)
    }

    #[test]
    fn values_are_exact_decimals_of_their_texts() {
        for (text, value) in [
            ("4.2580645161290325", "4.2580645161290325"),
            ("1.5E+3", "1500"),
            ("2e-07", "0.0000002"),
            ("1.2345678901234568e+21", "1234567890123456800000"),
            ("0", "0"),
            ("-0", "0"),
        ] {
            assert_eq!(values(&sample("a", text)), Ok(format!("a={value}")), "{text}");
        }
        let both = [sample("b", "1"), sample("a", "2")].join(",");
        assert_eq!(values(&both), Ok("a=2 b=1".into()));
    }

    #[test]
    fn what_is_no_quantity_is_named() {
        for (samples, expected) in [
            (sample("a", "NaN"), "namespace 'a' is NaN, which is no quantity"),
            (sample("a", "+Inf"), "namespace 'a' is +Inf, which is no quantity"),
            (sample("a", "-1e3"), "namespace 'a' is negative (-1e3)"),
            (sample("a", "1e40"), "namespace 'a': '1e40' is not"),
            (sample("a", "1e-40"), "namespace 'a': '1e-40' is not"),
            (
                [sample("a", "1"), sample("a", "1")].join(","),
                "namespace 'a' comes twice: the query must add up, sum by (namespace) (...)",
            ),
            (
                r#"{"metric": {"pod": "x", "team": "y"}, "value": [0, "1"]}"#.to_owned(),
                "a result has no label namespace (its labels: pod, team)",
            ),
            (r#"{"metric": {}, "value": [0, "1"]}"#.to_owned(), "(its labels: none)"),
            (sample("", "1"), "a result has no label namespace"),
            (
                r#"{"metric": {"namespace": "a"}, "histogram": [0, {"count": "1"}]}"#.to_owned(),
                "namespace 'a' is no plain number, but a histogram",
            ),
            (r#"{"metric": {"namespace": "a"}, "value": [0, 1]}"#.to_owned(), "the result is not understood"),
            (String::new(), "the result is empty"),
        ] {
            let error = values(&samples).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let many: Vec<String> = (0..25).map(|number| sample(&number.to_string(), "NaN")).collect();
        assert!(values(&many.join(",")).unwrap_err().ends_with("; and 5 more"));
    }

    #[test]
    fn an_answer_is_a_result_or_says_why_not() {
        let error = |document: &str| said(document).unwrap_err();
        assert_eq!(
            error(r#"{"status": "error", "errorType": "timeout", "error": "query timed out"}"#),
            "Prometheus says that the query failed: timeout: query timed out"
        );
        assert!(error("{}").contains("is no answer of Prometheus: missing field `status`"));
        assert!(error(r#"{"status": "success"}"#).contains("it has no data"));
        assert!(error(r#"{"status": "succ"#).contains("EOF while parsing"));
        let twice = r#"{"metric": {"namespace": "a", "namespace": "b"}, "value": [0, "1"]}"#;
        let twice =
            format!(r#"{{"status": "success", "data": {{"resultType": "vector", "result": [{twice}]}}}}"#);
        assert!(error(&twice).contains("'namespace' stands twice in data.result[0].metric"));
        let scalar = r#"{"status": "success", "data": {"resultType": "scalar", "result": [0, "1"]}}"#;
        let scalar = said(scalar).unwrap().values("namespace").unwrap_err().to_string();
        assert!(scalar.contains("gives a scalar, not an instant vector"), "{scalar}");
        let data = r#"{"resultType": "vector", "result": []}"#;
        let noted = said(&format!(
            r#"{{"status": "success", "data": {data}, "warnings": ["w"], "infos": ["i"], "isPartial": true}}"#
        ));
        let noted = noted.unwrap();
        assert!(noted.is_empty().unwrap());
        assert_eq!(noted.warnings, ["w", "the answer is marked as partial"]);
        assert_eq!(noted.infos, ["i"]);
    }
}
