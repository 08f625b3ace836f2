//! OpenStack: what a project used of each resource in each region.
//!
//! ```json
//! {"name": "OpenStack Project", "locations": {"Winterfell": {"instance": {"resource_name": "Instances", "price": 51.6, "num_resources": 5}}},
//!  "location_cost": {"Winterfell": 51.6}, "total_cost": 51.6}
//! ```
//!
//! Other members are passed over. `price` is what all resources of that kind cost together. `location_cost` and `total_cost` may be left out; where they stand, they
//! must be the sums that they say they are. The locations that earn the service's money are those of `location_cost`, which then names every location that
//! cost anything; without it, all of `locations`.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::figures::{add, bounded, rounded, sum};
use super::json::Number;
use super::plugin::{PluginError, UsagePlugin, UsageSummary};
use crate::money::apportion;
use crate::strict::{self, Object};

/// The plugin `openstack`.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenStack;

/// A JSON object whose names are data.
type ByName<T> = BTreeMap<String, T>;

#[derive(Deserialize)]
struct Details<'a> {
    name: String,
    #[serde(borrow)]
    locations: ByName<ByName<Object<Resource<'a>>>>,
    #[serde(borrow)]
    location_cost: Option<ByName<&'a RawValue>>,
    #[serde(borrow)]
    total_cost: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    resource_name: String,
    #[serde(borrow)]
    price: &'a RawValue,
    num_resources: u64,
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    locations: BTreeMap<&'a str, BTreeMap<&'a str, ShownResource<'a>>>,
    location_cost: BTreeMap<&'a str, Number>,
    total_cost: Number,
}

#[derive(Serialize)]
struct ShownResource<'a> {
    resource_name: &'a str,
    price: Number,
    num_resources: u64,
}

/// Resources of one kind in one location.
#[derive(Default)]
struct Line {
    resource_name: String,
    price: Decimal,
    num_resources: u64,
}

/// By location and kind.
type Lines = BTreeMap<String, BTreeMap<String, Line>>;

impl UsagePlugin for OpenStack {
    fn name(&self) -> &'static str {
        "openstack"
    }

    fn summarise(&self, details: &[&RawValue], digits: u32) -> Result<UsageSummary, PluginError> {
        let (mut name, mut lines, mut places) = (String::new(), Lines::new(), BTreeSet::new());
        for document in details {
            let Object(details): Object<Details<'_>> =
                strict::from_str(document.get()).map_err(|error| PluginError::Json(error.to_string()))?;
            let of_document = lines_of(&details)?;
            check(&details, &of_document)?;
            match details.location_cost {
                Some(costs) => places.extend(costs.into_keys()),
                None => places.extend(of_document.keys().cloned()),
            }
            name = details.name;
            merge(&mut lines, of_document)?;
        }
        let location_cost = places.into_iter().map(|place| cost(&lines, &place).map(|cost| (place, cost)));
        let location_cost = location_cost.collect::<Result<BTreeMap<_, _>, PluginError>>()?;
        let total_cost = sum(location_cost.values().copied())?;
        let shown = show(&name, &lines, &location_cost, rounded(total_cost, digits), digits)?;
        let usage_details = to_raw_value(&shown).map_err(|error| PluginError::Json(error.to_string()))?;
        Ok(UsageSummary { location_cost, total_cost, usage_details })
    }
}

fn lines_of(details: &Details<'_>) -> Result<Lines, PluginError> {
    let mut lines = Lines::new();
    for (location, resources) in &details.locations {
        let of_location = lines.entry(location.clone()).or_default();
        for (kind, Object(resource)) in resources {
            let price = price(resource.price, || format!("locations.{location}.{kind}.price"))?;
            let Resource { resource_name, num_resources, .. } = resource;
            let line = Line { resource_name: resource_name.clone(), price, num_resources: *num_resources };
            of_location.insert(kind.clone(), line);
        }
    }
    Ok(lines)
}

fn price(raw: &RawValue, field: impl FnOnce() -> String) -> Result<Decimal, PluginError> {
    let text = raw.get().trim_matches('"');
    bounded(text).filter(|price| *price >= Decimal::ZERO).ok_or_else(|| PluginError::Field {
        field: field(),
        text: raw.get().chars().take(60).collect(),
        expected: "a price from 0 up to 10^15 with at most 9 decimals",
    })
}

fn cost(lines: &Lines, location: &str) -> Result<Decimal, PluginError> {
    Ok(sum(lines.get(location).into_iter().flatten().map(|(_, line)| line.price))?)
}

/// What the document says of its sums must be so, and of all locations that cost anything, or of none.
fn check(details: &Details<'_>, lines: &Lines) -> Result<(), PluginError> {
    if let Some(costs) = &details.location_cost {
        for (location, said) in costs {
            let field = || format!("location_cost.{location}");
            let (said, sum) = (price(said, field)?, cost(lines, location)?);
            if said != sum {
                return Err(PluginError::Sum { field: field(), said, sum });
            }
        }
        for location in lines.keys().filter(|location| !costs.contains_key(*location)) {
            let cost = cost(lines, location)?;
            if !cost.is_zero() {
                return Err(PluginError::Unnamed { location: location.clone(), cost });
            }
        }
    }
    let Some(said) = details.total_cost else { return Ok(()) };
    let said = price(said, || "total_cost".into())?;
    let sum = sum(lines.values().flatten().map(|(_, line)| line.price))?;
    if said == sum { Ok(()) } else { Err(PluginError::Sum { field: "total_cost".into(), said, sum }) }
}

fn merge(lines: &mut Lines, others: Lines) -> Result<(), PluginError> {
    for (location, others) in others {
        let of_location = lines.entry(location).or_default();
        for (kind, other) in others {
            let line = of_location.entry(kind).or_default();
            line.price = add(line.price, other.price)?;
            line.num_resources = line.num_resources.saturating_add(other.num_resources);
            line.resource_name = other.resource_name;
        }
    }
    Ok(())
}

/// The same in minor units, from the total down, so that it adds up.
fn show<'a>(
    name: &'a str,
    lines: &'a Lines,
    location_cost: &'a BTreeMap<String, Decimal>,
    total: Decimal,
    digits: u32,
) -> Result<Shown<'a>, PluginError> {
    let weights: Vec<(&str, Decimal)> =
        location_cost.iter().map(|(name, cost)| (name.as_str(), *cost)).collect();
    let costs = shares(total, &weights, digits)?;
    let mut shown =
        Shown { name, locations: BTreeMap::new(), location_cost: BTreeMap::new(), total_cost: Number(total) };
    shown.location_cost =
        location_cost.keys().map(String::as_str).zip(costs.into_iter().map(Number)).collect();
    for (location, lines) in lines {
        // one that is no location of the service cost nothing
        let cost = shown.location_cost.get(location.as_str()).map_or(Decimal::ZERO, |cost| cost.0);
        let weights: Vec<(&str, Decimal)> =
            lines.iter().map(|(kind, line)| (kind.as_str(), line.price)).collect();
        let prices = shares(cost, &weights, digits)?;
        let resources = lines.iter().zip(prices).map(|((kind, line), price)| {
            let Line { resource_name, num_resources, .. } = line;
            (
                kind.as_str(),
                ShownResource { resource_name, price: Number(price), num_resources: *num_resources },
            )
        });
        shown.locations.insert(location, resources.collect());
    }
    Ok(shown)
}

fn shares(total: Decimal, weights: &[(&str, Decimal)], digits: u32) -> Result<Vec<Decimal>, PluginError> {
    if total.is_zero() { Ok(vec![total; weights.len()]) } else { Ok(apportion(total, weights, digits)?) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    const MARCH: &str = r#"{"name": "P", "locations": {"W": {"instance": {"resource_name": "Instances", "price": 51.604, "num_resources": 5},
        "volume": {"resource_name": "Volumes", "price": "38.2", "num_resources": 1}}, "R": {}}, "total_cost": 89.804}"#;

    #[test]
    fn details_add_up_over_months_and_are_shown_in_minor_units() {
        let summary = OpenStack.summarise(&[&raw(MARCH), &raw(MARCH)], 2).unwrap();
        assert_eq!(summary.total_cost.to_string(), "179.608");
        assert_eq!(
            summary.usage_details.get(),
            r#"{"name":"P","locations":{"R":{},"W":{"instance":{"resource_name":"Instances","price":103.21,"num_resources":10},"volume":{"resource_name":"Volumes","price":76.4,"num_resources":2}}},"location_cost":{"R":0,"W":179.61},"total_cost":179.61}"#
        );
    }

    #[test]
    fn mistakes_name_the_field() {
        for (from, to, part) in [
            ("89.804", "89.8", "total_cost says 89.8, and what it is the sum of comes to 89.804"),
            ("\"total_cost\"", "\"location_cost\": {\"W\": 1}, \"total_cost\"", "location_cost.W says 1"),
            ("51.604", "-1", "locations.W.instance.price -1 is not a price"),
            ("51.604", "1e99", "locations.W.instance.price 1e99"),
            ("51.604", "null", "locations.W.instance.price null"),
            ("\"price\": 51.604,", "", "missing field `price`"),
            ("num_resources\": 5", "num_resources\": -5", "invalid value"),
            ("\"R\": {}", "\"W\": {}", "'W' stands twice in locations at line 2"),
            ("\"volume\"", "\"instance\"", "'instance' stands twice in locations.W at line 2"),
            ("\"R\": {}", "\"R\": []", "invalid type: sequence, expected a map"),
            (
                "\"total_cost\"",
                "\"location_cost\": {\"W\": 89.804, \"R\": 0, \"W\": 0}, \"total_cost\"",
                "'W' stands twice in location_cost at line 2",
            ),
            (
                "\"total_cost\"",
                "\"location_cost\": {\"R\": 0}, \"total_cost\"",
                "location_cost does not name W, whose resources cost 89.804; name every location that costs anything",
            ),
        ] {
            let error =
                OpenStack.summarise(&[&raw(&MARCH.replacen(from, to, 1))], 2).unwrap_err().to_string();
            assert!(error.contains(part), "{to}: {error}");
        }
    }

    #[test]
    fn lists_are_no_objects() {
        for list in [
            r#"["P", {}, {}, 0]"#,
            r#"{"name": "P", "locations": {"W": {"instance": ["Instances", 5, 1]}}}"#,
            r#"{"name": "P", "locations": [["W", {}]]}"#,
        ] {
            let error = OpenStack.summarise(&[&raw(list)], 2).unwrap_err().to_string();
            assert!(error.contains("invalid type: sequence, expected a"), "{list}: {error}");
        }
    }

    #[test]
    fn the_locations_are_those_of_location_cost() {
        let costs = |location_cost: &str| {
            let document = MARCH.replace("\"total_cost\"", &format!("{location_cost}\"total_cost\""));
            let summary = OpenStack.summarise(&[&raw(&document)], 2).unwrap();
            let shown: serde_json::Value = serde_json::from_str(summary.usage_details.get()).unwrap();
            assert_eq!(shown["locations"].as_object().unwrap().len(), 2);
            let costs: Vec<String> =
                summary.location_cost.iter().map(|(location, cost)| format!("{location} {cost}")).collect();
            let names: Vec<&String> = shown["location_cost"].as_object().unwrap().keys().collect();
            assert_eq!(names, summary.location_cost.keys().collect::<Vec<_>>());
            costs.join(", ")
        };
        assert_eq!(costs(""), "R 0, W 89.804");
        assert_eq!(costs("\"location_cost\": null, "), "R 0, W 89.804");
        assert_eq!(costs("\"location_cost\": {\"W\": 89.804}, "), "W 89.804");
        assert_eq!(costs("\"location_cost\": {\"Z\": 0, \"W\": 89.804}, "), "W 89.804, Z 0");
    }
}
