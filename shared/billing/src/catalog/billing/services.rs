//! Services, and the components they are made of.

use std::collections::HashSet;

use rust_decimal::Decimal;

use super::Catalog;
use super::names::Names;
use super::reader::{Field, Members, Reader};
use super::sections::{Unique, matching};
use super::types::{
    Component, Part, PartPrice, Pool, Price, Quantity, Service, Split, Target, TargetKind, Use,
};

pub(super) const SERVICE: [&str; 8] =
    ["name", "customer", "type", "product", "components", "basis", "from", "to"];
pub(super) const USE: [&str; 5] = ["component", "part", "quantity", "from", "to"];
pub(super) const QUANTITY: [&str; 2] = ["driver", "target"];
pub(super) const COMPONENT: [&str; 8] = ["name", "price", "match", "parts", "basis", "recover", "from", "to"];
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
        let (dated, basis) = (reader.dated(&members), reader.basis(&members));
        let components = uses(reader, &members, names);
        let Some(name) = name else { continue };
        unique.check(reader, &members, "name", &name, dated);
        let Some(customer) = customer else { continue };
        let mark = members.mark;
        services.push(Service { name, customer, kind, product, components, basis, dated, mark });
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
        let (dated, basis) = (reader.dated(&members), reader.basis(&members));
        let Some(name) = name else { continue };
        unique.check(reader, &members, "name", &name, dated);
        paths.push(format!("{}.price.percent_of_cost", item.path));
        let mark = members.mark;
        components.push(Component { name, price, matching, parts, basis, recover_all, dated, mark });
    }
    (components, paths)
}

/// A component is placed in one basis: its own, or that of all services that use it at the same time.
pub(super) fn of_one_basis(reader: &mut Reader, catalog: &Catalog) {
    for component in &catalog.components {
        let services = catalog.services.iter().enumerate();
        let uses = services.flat_map(|(at, service)| {
            let uses = service.components.iter().filter(|one| one.component == component.name);
            uses.map(move |one| (at, service, one))
        });
        let uses: Vec<_> = uses.collect();
        for (place, (at, service, one)) in uses.iter().enumerate() {
            let by = |service: &Service| service.basis.unwrap_or(catalog.basis);
            let meets = |(_, other, of): &&(usize, &Service, &Use)| {
                other.dated.overlaps(&service.dated) && of.dated.overlaps(&one.dated)
            };
            let other = match component.basis {
                Some(own) => {
                    let other = service.basis.filter(|basis| *basis != own);
                    other.map(|_| format!("it states basis {} itself", own.as_str()))
                }
                None => {
                    let mut before = uses[..place].iter().filter(meets);
                    let other = before.find(|(_, other, _)| by(other) != by(service));
                    other.map(|(_, other, _)| {
                        let (name, line, basis) = (&other.name, other.mark.line, by(other).as_str());
                        format!("the service '{name}' on line {line} pays for it by basis {basis}")
                    })
                }
            };
            if let Some(other) = other {
                let message = format!(
                    "'{}' pays for the component '{}' by basis {}, and {other}: a component has one, state it there",
                    service.name,
                    component.name,
                    by(service).as_str()
                );
                reader.problem_at(service.mark, &format!("services[{at}].basis"), message);
            }
        }
    }
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
