//! Services, and the components they are made of.

use std::collections::HashSet;

use rust_decimal::Decimal;

use super::names::Names;
use super::reader::{Field, Members, Reader};
use super::sections::{Unique, matching};
use super::types::{
    Component, Part, PartPrice, Pool, Price, Quantity, Service, Split, Target, TargetKind, Use,
};

pub(super) const SERVICE: [&str; 7] = ["name", "customer", "type", "product", "components", "from", "to"];
pub(super) const USE: [&str; 5] = ["component", "part", "quantity", "from", "to"];
pub(super) const QUANTITY: [&str; 2] = ["driver", "target"];
pub(super) const COMPONENT: [&str; 7] = ["name", "price", "match", "parts", "recover", "from", "to"];
pub(super) const PRICE: [&str; 4] = ["fixed_per_service", "per_unit", "percent_of_cost", "absolute"];
pub(super) const PART: [&str; 3] = ["name", "percent", "per_unit"];

pub(super) fn services(reader: &mut Reader, root: &Members<'_>, names: &Names) -> Vec<Service> {
    let mut unique = Unique::default();
    let mut services = Vec::new();
    for item in reader.list(root, "services") {
        let Some(members) = reader.members(&item, &SERVICE) else { continue };
        let name = reader.required_text(&members, "name");
        let customer = names.customer(reader, &members);
        let (kind, product) = (reader.text(&members, "type"), reader.text(&members, "product"));
        let dated = reader.dated(&members);
        let components = uses(reader, &members, names);
        let Some(name) = name else { continue };
        unique.check(reader, &members, "name", &name, dated);
        let Some(customer) = customer else { continue };
        services.push(Service { name, customer, kind, product, components, dated, mark: members.mark });
    }
    services
}

fn uses(reader: &mut Reader, service: &Members<'_>, names: &Names) -> Vec<Use> {
    let mut unique = Unique::default();
    let mut uses = Vec::new();
    for item in reader.list(service, "components") {
        let Some(members) = reader.members(&item, &USE) else { continue };
        let component = names.component(reader, &members);
        let quantity = reader.required(&members, "quantity").and_then(|field| quantity(reader, &field));
        let dated = reader.dated(&members);
        let Some((component, part)) = component else { continue };
        let whole = part.as_ref().map_or_else(|| component.clone(), |part| format!("{component} {part}"));
        unique.check(reader, &members, "component", &whole, dated);
        let Some(quantity) = quantity else { continue };
        uses.push(Use { component, part, quantity, dated, mark: members.mark });
    }
    uses
}

fn quantity(reader: &mut Reader, field: &Field<'_>) -> Option<Quantity> {
    if field.is_scalar() {
        return reader.as_share(field).map(Quantity::Fixed);
    }
    let members = reader.members(field, &QUANTITY)?;
    let driver = reader.required_text(&members, "driver");
    let target = reader.required_text(&members, "target");
    Some(Quantity::Driver { driver: driver?, target: target? })
}

/// The components, and where each is priced by costs.
pub(super) fn components(reader: &mut Reader, root: &Members<'_>) -> (Vec<Component>, Vec<String>) {
    let mut unique = Unique::default();
    let (mut components, mut paths) = (Vec::new(), Vec::new());
    for item in reader.list(root, "components") {
        let Some(members) = reader.members(&item, &COMPONENT) else { continue };
        let name = reader.required_text(&members, "name");
        let price = members.get("price").map(|field| price(reader, &field)).unwrap_or_default();
        let matching = members.get("match").and_then(|field| matching(reader, &field));
        let parts = parts(reader, &members);
        let recover = members.get("recover");
        let recover = recover.and_then(|field| reader.as_word(&field, &[("used", false), ("all", true)]));
        let recover_all = recover.unwrap_or(false);
        let dated = reader.dated(&members);
        let Some(name) = name else { continue };
        unique.check(reader, &members, "name", &name, dated);
        paths.push(format!("{}.price.percent_of_cost", item.path));
        components.push(Component { name, price, matching, parts, recover_all, dated, mark: members.mark });
    }
    (components, paths)
}

/// A component that is priced by costs, though nothing can bring it any: no match, no pool. Not looked for while a pool is wrong,
/// because that one might.
pub(super) fn costless(reader: &mut Reader, components: &[Component], paths: &[String], pools: &[Pool]) {
    if reader.problems.iter().any(|problem| problem.path.starts_with("pools")) {
        return;
    }
    let by_driver = |pool: &Pool| matches!(pool.split, Split::Driver(_)) && pool.targets.is_none();
    for (component, path) in components.iter().zip(paths) {
        let fed = |pool: &Pool| {
            let split: &[(Target, Decimal)] = match &pool.split {
                Split::Percents(shares) | Split::Weights(shares) => shares,
                _ => &[],
            };
            let mut targets = split.iter().map(|(target, _)| target).chain(pool.targets.iter().flatten());
            targets.any(|target| target.kind == TargetKind::Component && target.name == component.name)
        };
        let priced = component.price.percent_of_cost > Decimal::ZERO;
        if priced && component.matching.is_none() && !pools.iter().any(|pool| fed(pool) || by_driver(pool)) {
            let message = "a percentage of costs needs a match that says which costs, or a pool that names this component";
            reader.problem_at(component.mark, path, message);
        }
    }
}

fn price(reader: &mut Reader, field: &Field<'_>) -> Price {
    let Some(members) = reader.members(field, &PRICE) else { return Price::default() };
    let mut share = |name| reader.share(&members, name).unwrap_or_default();
    Price {
        fixed_per_service: share("fixed_per_service"),
        per_unit: share("per_unit"),
        percent_of_cost: share("percent_of_cost"),
        absolute: share("absolute"),
    }
}

fn parts(reader: &mut Reader, component: &Members<'_>) -> Vec<Part> {
    let mut seen = HashSet::new();
    let mut parts = Vec::new();
    // nothing while no part has a percent; then the sum, or nothing if it overflows
    let mut percents: Option<Option<Decimal>> = None;
    for item in reader.list(component, "parts") {
        let Some(members) = reader.members(&item, &PART) else { continue };
        let name = reader.required_text(&members, "name");
        let (percent, per_unit) = (reader.share(&members, "percent"), reader.share(&members, "per_unit"));
        let price = match (members.get("percent"), members.get("per_unit")) {
            (Some(_), None) => percent.map(PartPrice::Percent),
            (None, Some(_)) => per_unit.map(PartPrice::PerUnit),
            _ => {
                reader.problem(&item, "a part has either a percent or a price per_unit");
                None
            }
        };
        if let Some(PartPrice::Percent(percent)) = price {
            let sum = percents.unwrap_or(Some(Decimal::ZERO));
            percents = Some(sum.and_then(|sum| sum.checked_add(percent)));
        }
        let Some(name) = name else { continue };
        if !seen.insert(name.clone()) {
            reader.problem(&item, format!("the part '{name}' stands here twice"));
        }
        if let Some(price) = price {
            parts.push(Part { name, price });
        }
    }
    if let (Some(sum), Some(field)) = (percents, component.get("parts"))
        && sum != Some(Decimal::ONE_HUNDRED)
    {
        let sum = sum.map_or_else(|| "too much".to_owned(), |sum| sum.to_string());
        reader.problem(&field, format!("the percents of the parts add up to {sum}, they must add up to 100"));
    }
    parts
}
