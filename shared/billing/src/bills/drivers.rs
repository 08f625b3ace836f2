//! Drivers: what shared costs are shared by, and how much of a component a service uses. Each is a quantity by target, for one month.

use std::collections::BTreeMap;
use std::fmt;

use rust_decimal::Decimal;
use serde::Deserialize as _;
use serde::de::{MapAccess, Visitor};

use crate::money::parse_decimal;

/// One driver of one month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    /// By target. Never negative.
    pub quantities: BTreeMap<String, Decimal>,
}

/// The drivers of a month by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drivers(pub BTreeMap<String, Driver>);

/// Everything that is wrong with a driver's document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the driver '{name}' cannot be used: {}", problems.join("; "))]
pub struct DriverError {
    /// The driver.
    pub name: String,
    /// Each names its line and field, or the target, and says what to do.
    pub problems: Vec<String>,
}

/// Lines that are named; a file of nothing but errors must not fill a log.
const NAMED: usize = 20;

#[derive(Default)]
struct Collector {
    driver: Driver,
    problems: Vec<String>,
}

impl Collector {
    fn add(&mut self, place: &str, target: &str, quantity: &str) {
        let target = target.trim();
        if target.is_empty() || target.chars().any(char::is_control) {
            return self.problem(format!("{place}: target is empty or no text, name one"));
        }
        if quantity.trim().is_empty() {
            return self.problem(format!("{place}: quantity is empty, write 0 if '{target}' used nothing"));
        }
        match parse_decimal(quantity.trim()) {
            Err(error) => self.problem(format!("{place}: quantity: {error}")),
            Ok(number) if number < Decimal::ZERO => {
                self.problem(format!("{place}: quantity {number} of '{target}' is negative"));
            }
            Ok(number) => {
                if self.driver.quantities.insert(target.to_owned(), number.normalize()).is_some() {
                    self.problem(format!(
                        "{place}: target '{target}' stands here twice, add the quantities up"
                    ));
                }
            }
        }
    }

    fn problem(&mut self, problem: String) {
        if self.problems.len() < NAMED {
            self.problems.push(problem);
        }
    }

    fn finish(self, name: &str) -> Result<Driver, DriverError> {
        if self.problems.is_empty() {
            return Ok(self.driver);
        }
        Err(DriverError { name: name.to_owned(), problems: self.problems })
    }
}

impl Driver {
    /// Reads CSV with the header `target,quantity`; other columns are left alone.
    ///
    /// # Errors
    /// [`DriverError`] names each line that is wrong, up to twenty.
    pub fn from_csv(name: &str, bytes: &[u8]) -> Result<Self, DriverError> {
        let mut collector = Collector::default();
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        let header = reader.headers().cloned().unwrap_or_default();
        let column = |wanted: &str| header.iter().position(|title| title.trim() == wanted);
        let (Some(target), Some(quantity)) = (column("target"), column("quantity")) else {
            collector.problem(
                "line 1: the columns target and quantity are missing, begin with target,quantity".into(),
            );
            return collector.finish(name);
        };
        for record in reader.records() {
            match record {
                Err(error) => {
                    let line = error.position().map_or(0, csv::Position::line);
                    collector.problem(format!("line {line}: this is no CSV in UTF-8: {error}"));
                }
                Ok(record) => {
                    let line = record.position().map_or(0, csv::Position::line);
                    let cell = |at: usize| record.get(at).unwrap_or_default();
                    collector.add(&format!("line {line}"), cell(target), cell(quantity));
                }
            }
        }
        collector.finish(name)
    }

    /// Reads a JSON object of quantities by target, as numbers or texts.
    ///
    /// # Errors
    /// [`DriverError`] names each target whose quantity is wrong, up to twenty, or the line that is no JSON.
    pub fn from_json(name: &str, bytes: &[u8]) -> Result<Self, DriverError> {
        let mut collector = Collector::default();
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let members = Members::deserialize(&mut json).and_then(|members| json.end().map(|()| members));
        match members {
            Err(error) => {
                collector.problem(format!("this is no JSON object of quantities by target: {error}"))
            }
            Ok(Members(members)) => {
                for (target, quantity) in members {
                    let place = format!("member '{}'", target.chars().take(60).collect::<String>());
                    match quantity {
                        serde_json::Value::String(text) => collector.add(&place, &target, &text),
                        serde_json::Value::Number(number) => {
                            collector.add(&place, &target, &number.to_string())
                        }
                        serde_json::Value::Null => collector.add(&place, &target, ""),
                        _ => collector.problem(format!("{place}: the quantity must be a number")),
                    }
                }
            }
        }
        collector.finish(name)
    }
}

/// The members in their order, with those that stand there twice.
struct Members(Vec<(String, serde_json::Value)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsList;

        impl<'de> Visitor<'de> for AsList {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(AsList)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantities(driver: &Driver) -> Vec<(String, String)> {
        driver.quantities.iter().map(|(target, quantity)| (target.clone(), quantity.to_string())).collect()
    }

    #[test]
    fn csv_and_json_say_the_same() {
        let csv = Driver::from_csv(
            "d",
            b"\xef\xbb\xbftarget,quantity,unit\r\nblue,0.30,h\r\n\"red, too\",1e-2,h\r\n",
        )
        .unwrap();
        assert_eq!(
            quantities(&csv),
            [("blue".to_owned(), "0.3".to_owned()), ("red, too".into(), "0.01".into())]
        );
        let json = Driver::from_json("d", br#"{"red, too": "0.010", "blue": 0.30}"#).unwrap();
        assert_eq!(json, csv);
        let long = Driver::from_json("d", br#"{"a": 12345678901234567.89}"#).unwrap();
        assert_eq!(quantities(&long)[0].1, "12345678901234567.89");
        assert_eq!(Driver::from_csv("d", b"target,quantity\n").unwrap(), Driver::default());
    }

    #[test]
    fn every_bad_line_is_named() {
        let wrong = [
            Driver::from_csv("cpu", b"target,quantity\nblue,\n,1\nred,-1\nred,x\ngreen,1\ngreen,2\n"),
            Driver::from_csv("cpu", b"name,hours\nblue,1\n"),
            Driver::from_json("cpu", br#"{"a": [], "b": null, "c": 1, "c": 2}"#),
            Driver::from_json("cpu", b"[1]"),
        ];
        insta::assert_snapshot!(wrong.map(|driver| driver.unwrap_err().to_string()).join("\n"));
    }
}
