//! OpenStack: what a project used of each resource in each region.
//!
//! ```json
//! {"service": 762786, "name": "OpenStack Project", "locations": {"Winterfell": {"instance": {"resource_name": "Instances", "price": 51.6, "num_resources": 5}}},
//!  "location_cost": {"Winterfell": 51.6}, "total_cost": 51.6}
//! ```
//!
//! Other members are passed over. Locations and kinds of resources stay in the order of the document. `service` is kept as it stands, or is the service's id where it
//! does not stand. `price` is what all resources of that kind cost together. `location_cost` and `total_cost` may be left out; where they stand, they
//! must be the sums that they say they are. The locations that earn the service's money are those of `location_cost`, which then names every location that
//! cost anything; without it, all of `locations`.

use indexmap::{IndexMap, IndexSet};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::figures::{add, bounded, rounded, sum};
use super::json::{self, Members, Number};
use super::plugin::{PluginError, UsagePlugin, UsageSummary};
use crate::ids::ServiceId;
use crate::money::apportion;
use crate::strict::{self, Object};

/// The plugin `openstack`.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenStack;

/// A JSON object whose names are data.
type ByName<T> = IndexMap<String, T>;

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow)]
    service: Option<&'a RawValue>,
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
    service: Named<'a>,
    name: &'a str,
    locations: Members<'a, Members<'a, ShownResource<'a>>>,
    location_cost: Members<'a, Number>,
    total_cost: Number,
}

/// How the details name their service.
#[derive(Serialize)]
#[serde(untagged)]
enum Named<'a> {
    /// As they say.
    Said(&'a RawValue),
    /// They do not.
    Id(#[serde(serialize_with = "json::id")] &'a ServiceId),
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

/// By location and kind, as they come.
type Lines = IndexMap<String, IndexMap<String, Line>>;

impl UsagePlugin for OpenStack {
    fn name(&self) -> &'static str {
        "openstack"
    }

    fn summarise(
        &self,
        service: &ServiceId,
        details: &[&RawValue],
        digits: u32,
    ) -> Result<UsageSummary, PluginError> {
        let (mut name, mut lines, mut places) = (String::new(), Lines::new(), IndexSet::new());
        let mut named = Named::Id(service);
        for document in details {
            let Object(details): Object<Details<'_>> =
                strict::from_str(document.get()).map_err(|error| PluginError::Json(error.to_string()))?;
            let of_document = lines_of(&details)?;
            check(&details, &of_document)?;
            if let Some(said) = details.service {
                named = said_service(said)?;
            }
            match details.location_cost {
                Some(costs) => places.extend(costs.into_keys()),
                None => places.extend(of_document.keys().cloned()),
            }
            name = details.name;
            merge(&mut lines, of_document)?;
        }
        let location_cost = places.into_iter().map(|place| cost(&lines, &place).map(|cost| (place, cost)));
        let location_cost = location_cost.collect::<Result<IndexMap<_, _>, PluginError>>()?;
        let total_cost = sum(location_cost.values().copied())?;
        let total = rounded(total_cost, digits);
        let (locations, costs) = show(&lines, &location_cost, total, digits)?;
        let shown =
            Shown { service: named, name: &name, locations, location_cost: costs, total_cost: Number(total) };
        let usage_details = to_raw_value(&shown).map_err(|error| PluginError::Json(error.to_string()))?;
        Ok(UsageSummary { location_cost, total_cost, usage_details })
    }
}

/// A number or a text, as it stands.
fn said_service(said: &RawValue) -> Result<Named<'_>, PluginError> {
    if said.get().starts_with(['{', '[', 't', 'f']) {
        let text = said.get().chars().take(60).collect();
        return Err(PluginError::Field { field: "service".into(), text, expected: "a number or a text" });
    }
    Ok(Named::Said(said))
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

/// Resources by location, and what each location cost.
type Costs<'a> = (Members<'a, Members<'a, ShownResource<'a>>>, Members<'a, Number>);

/// The same in minor units, from the total down, so that it adds up.
fn show<'a>(
    lines: &'a Lines,
    location_cost: &'a IndexMap<String, Decimal>,
    total: Decimal,
    digits: u32,
) -> Result<Costs<'a>, PluginError> {
    let weights: Vec<(&str, Decimal)> =
        location_cost.iter().map(|(name, cost)| (name.as_str(), *cost)).collect();
    let costs = shares(total, &weights, digits)?;
    let mut locations = Vec::with_capacity(lines.len());
    for (location, lines) in lines {
        // one that is no location of the service cost nothing
        let place = location_cost.get_index_of(location);
        let cost = place.and_then(|place| costs.get(place)).copied().unwrap_or_default();
        let weights: Vec<(&str, Decimal)> =
            lines.iter().map(|(kind, line)| (kind.as_str(), line.price)).collect();
        let prices = shares(cost, &weights, digits)?;
        let resources = lines.iter().zip(prices).map(|((kind, line), price)| {
            let Line { resource_name, num_resources, .. } = line;
            let (price, num_resources) = (Number(price), *num_resources);
            (kind.as_str(), ShownResource { resource_name, price, num_resources })
        });
        locations.push((location.as_str(), Members(resources.collect())));
    }
    let names = location_cost.keys().map(String::as_str);
    Ok((Members(locations), Members(names.zip(costs.into_iter().map(Number)).collect())))
}

fn shares(total: Decimal, weights: &[(&str, Decimal)], digits: u32) -> Result<Vec<Decimal>, PluginError> {
    if total.is_zero() { Ok(vec![total; weights.len()]) } else { Ok(apportion(total, weights, digits)?) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summarise(details: &[&RawValue]) -> Result<UsageSummary, PluginError> {
        OpenStack.summarise(&ServiceId::new("762786").unwrap(), details, 2)
    }

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    const MARCH: &str = r#"{"name": "P", "locations": {"W": {"instance": {"resource_name": "Instances", "price": 51.604, "num_resources": 5},
        "volume": {"resource_name": "Volumes", "price": "38.2", "num_resources": 1}}, "R": {}}, "total_cost": 89.804}"#;

    #[test]
    fn details_add_up_over_months_and_are_shown_in_minor_units() {
        let summary = summarise(&[&raw(MARCH), &raw(MARCH)]).unwrap();
        assert_eq!(summary.total_cost.to_string(), "179.608");
        assert_eq!(
            summary.usage_details.get(),
            r#"{"service":762786,"name":"P","locations":{"W":{"instance":{"resource_name":"Instances","price":103.21,"num_resources":10},"volume":{"resource_name":"Volumes","price":76.4,"num_resources":2}},"R":{}},"location_cost":{"W":179.61,"R":0},"total_cost":179.61}"#
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
            ("\"name\"", "\"service\": [1], \"name\"", "service [1] is not a number or a text"),
            ("\"name\"", "\"service\": 1, \"service\": 2, \"name\"", "'service' stands twice"),
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
            let error = summarise(&[&raw(&MARCH.replacen(from, to, 1))]).unwrap_err().to_string();
            assert!(error.contains(part), "{to}: {error}");
        }
    }

    #[test]
    fn the_order_is_that_of_the_details_and_their_service_is_kept() {
        let april = MARCH.replace(
            "\"R\": {}",
            "\"A\": {\"volume\": {\"resource_name\": \"V\", \"price\": 0, \"num_resources\": 1}}",
        );
        let shown = |documents: &[&RawValue]| summarise(documents).unwrap().usage_details.get().to_owned();
        let both = shown(&[&raw(MARCH), &raw(&april)]);
        let at = |text: &str| both.find(text).unwrap();
        let locations = [
            at(r#""W":{"instance"#),
            at(r#""R":{}"#),
            at(r#""A":{"volume"#),
            at(r#""location_cost":{"W":179.61,"R":0,"A":0}"#),
        ];
        assert!(locations.is_sorted(), "{both}");
        for said in [r#""6""#, "6", r#""a-1""#] {
            let document = MARCH.replace("\"name\": \"P\"", &format!("\"service\": {said}, \"name\": \"P\""));
            assert!(shown(&[&raw(&document)]).starts_with(&format!("{{\"service\":{said},\"name\":\"P\"")));
        }
    }

    #[test]
    fn lists_are_no_objects() {
        for list in [
            r#"["P", {}, {}, 0]"#,
            r#"{"name": "P", "locations": {"W": {"instance": ["Instances", 5, 1]}}}"#,
            r#"{"name": "P", "locations": [["W", {}]]}"#,
        ] {
            let error = summarise(&[&raw(list)]).unwrap_err().to_string();
            assert!(error.contains("invalid type: sequence, expected a"), "{list}: {error}");
        }
    }

    #[test]
    fn the_locations_are_those_of_location_cost() {
        let costs = |location_cost: &str| {
            let document = MARCH.replace("\"total_cost\"", &format!("{location_cost}\"total_cost\""));
            let summary = summarise(&[&raw(&document)]).unwrap();
            let mut shown: serde_json::Value = serde_json::from_str(summary.usage_details.get()).unwrap();
            assert_eq!(shown["locations"].as_object().unwrap().len(), 2);
            let costs: Vec<String> =
                summary.location_cost.iter().map(|(location, cost)| format!("{location} {cost}")).collect();
            let shown: ByName<serde_json::Value> =
                serde_json::from_value(shown["location_cost"].take()).unwrap();
            assert_eq!(shown.len(), summary.location_cost.len());
            assert!(shown.keys().all(|name| summary.location_cost.contains_key(name)));
            costs.join(", ")
        };
        assert_eq!(costs(""), "W 89.804, R 0");
        assert_eq!(costs("\"location_cost\": null, "), "W 89.804, R 0");
        assert_eq!(costs("\"location_cost\": {\"W\": 89.804}, "), "W 89.804");
        assert_eq!(costs("\"location_cost\": {\"Z\": 0, \"W\": 89.804}, "), "Z 0, W 89.804");
    }
}
