//! Pools, and that no pool feeds itself.

use std::collections::{BTreeMap, HashSet};

use rust_decimal::Decimal;

use super::names::Names;
use super::problem::Mark;
use super::reader::{Field, Members, Reader};
use super::sections::{Unique, matching};
use super::types::{Pool, Split, Target, TargetKind};

pub(super) const POOL: [&str; 7] = ["name", "match", "split", "over", "targets", "from", "to"];
pub(super) const SPLIT: [&str; 4] = ["by", "name", "percents", "weights"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Cost,
    Even,
    Percent,
    Weights,
    Driver,
}

const BY: [(&str, By); 5] = [
    ("cost", By::Cost),
    ("even", By::Even),
    ("percent", By::Percent),
    ("weights", By::Weights),
    ("driver", By::Driver),
];

pub(super) fn pools(reader: &mut Reader, root: &Members<'_>, names: &Names) -> Vec<Pool> {
    let mut unique = Unique::default();
    let (mut pools, mut paths) = (Vec::new(), Vec::new());
    for item in reader.list(root, "pools") {
        let Some(members) = reader.members(&item, &POOL) else { continue };
        let name = reader.required_text(&members, "name");
        let matched = members.get("match").and_then(|field| matching(reader, &field));
        let over = members.get("over").and_then(|field| matching(reader, &field));
        let split = reader.required(&members, "split").and_then(|field| split(reader, &field, names));
        let targets = members.get("targets").map(|field| targets(reader, &field, names));
        let dated = reader.dated(&members);
        if let Some(split) = &split {
            goes_together(reader, &members, split);
            costless(reader, &members, split, targets.as_deref().unwrap_or_default());
        }
        let Some(name) = name else { continue };
        unique.check(reader, &members, "name", &name, dated);
        let Some(split) = split else { continue };
        paths.push(item.path);
        pools.push(Pool { name, matching: matched, split, over, targets, dated, mark: members.mark });
    }
    cycles(reader, &pools, &paths);
    pools
}

fn goes_together(reader: &mut Reader, pool: &Members<'_>, split: &Split) {
    let listed = matches!(split, Split::Percents(_) | Split::Weights(_));
    if let Some(field) = pool.get("targets").filter(|_| listed) {
        reader.problem(&field, "the targets stand in the split already, remove them here");
    }
    let costs = matches!(split, Split::Cost | Split::Even);
    if let Some(field) = pool.get("over").filter(|_| !costs) {
        reader.problem(&field, "over goes with a split by cost or even only, remove it");
    }
}

fn costless(reader: &mut Reader, pool: &Members<'_>, split: &Split, targets: &[Target]) {
    let service = targets.iter().find(|target| target.kind == TargetKind::Service);
    if let (Split::Cost, Some(service), Some(field)) = (split, service, pool.get("targets")) {
        let message =
            format!("{service} has no costs of its own to share by, name its components or a customer");
        reader.problem(&field, message);
    }
}

fn split(reader: &mut Reader, field: &Field<'_>, names: &Names) -> Option<Split> {
    let members = reader.members(field, &SPLIT)?;
    let by = reader.required(&members, "by").and_then(|field| reader.as_word(&field, &BY))?;
    for (member, of) in [("name", By::Driver), ("percents", By::Percent), ("weights", By::Weights)] {
        match members.get(member) {
            Some(field) if of != by => {
                reader.problem(&field, format!("'{member}' does not go with this split, remove it"));
            }
            None if of == by => {
                reader.required(&members, member);
                return None;
            }
            _ => {}
        }
    }
    match by {
        By::Cost => Some(Split::Cost),
        By::Even => Some(Split::Even),
        By::Driver => reader.required_text(&members, "name").map(Split::Driver),
        By::Weights => Some(Split::Weights(shares(reader, &members.get("weights")?, names))),
        By::Percent => {
            let field = members.get("percents")?;
            let shares = shares(reader, &field, names);
            let sum = shares.iter().try_fold(Decimal::ZERO, |sum, (_, share)| sum.checked_add(*share));
            if sum != Some(Decimal::ONE_HUNDRED) {
                let sum = sum.map_or_else(|| "too much".to_owned(), |sum| sum.normalize().to_string());
                reader.problem(&field, format!("the percents add up to {sum}, they must add up to 100"));
            }
            Some(Split::Percents(shares))
        }
    }
}

fn shares(reader: &mut Reader, field: &Field<'_>, names: &Names) -> Vec<(Target, Decimal)> {
    let Some(members) = reader.any_members(field) else { return Vec::new() };
    let (mut seen, mut shares) = (HashSet::new(), Vec::new());
    for (name, _, field) in members.all() {
        let target = names.target(reader, &field, name);
        let share = reader.as_share(&field);
        let Some(target) = target else { continue };
        if !seen.insert(target.clone()) {
            reader.problem(&field, format!("the target '{name}' stands here twice"));
        }
        shares.push((target, share.unwrap_or_default()));
    }
    shares
}

fn targets(reader: &mut Reader, field: &Field<'_>, names: &Names) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for item in reader.items(field) {
        let Some(text) = reader.as_text(&item) else { continue };
        let Some(target) = names.target(reader, &item, &text) else { continue };
        if targets.contains(&target) {
            reader.problem(&item, format!("the target '{text}' stands here twice"));
        } else {
            targets.push(target);
        }
    }
    targets
}

/// The pools that a pool names as targets.
pub(super) fn fed(pool: &Pool) -> impl Iterator<Item = &str> {
    let split: &[(Target, Decimal)] = match &pool.split {
        Split::Percents(shares) | Split::Weights(shares) => shares,
        _ => &[],
    };
    let listed = split.iter().map(|(target, _)| target);
    let targets = listed.chain(pool.targets.iter().flatten());
    targets.filter(|target| target.kind == TargetKind::Pool).map(|target| target.name.as_str())
}

/// Every cycle is named once, at the pool that stands first in the document.
fn cycles(reader: &mut Reader, pools: &[Pool], paths: &[String]) {
    let mut feeds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut places: BTreeMap<&str, (Mark, &str)> = BTreeMap::new();
    for (pool, path) in pools.iter().zip(paths) {
        feeds.entry(&pool.name).or_default().extend(fed(pool));
        places.entry(&pool.name).or_insert((pool.mark, path));
    }
    let mut done: HashSet<&str> = HashSet::new();
    for pool in pools {
        let Some(cycle) = cycle_from(&pool.name, &feeds, &mut done) else { continue };
        let mut named = cycle.clone();
        named.push(cycle[0]);
        let first = cycle.iter().filter_map(|name| places.get(name)).min();
        let (mark, path) = first.copied().unwrap_or((pool.mark, "pools"));
        let message = format!("these pools feed each other in a cycle: {}", named.join(" -> "));
        reader.problem_at(mark, &format!("{path}.split"), message);
    }
}

/// A cycle that can be reached from a pool and was not found before; walks without recursion.
fn cycle_from<'p>(
    start: &'p str,
    feeds: &BTreeMap<&'p str, Vec<&'p str>>,
    done: &mut HashSet<&'p str>,
) -> Option<Vec<&'p str>> {
    let mut path: Vec<(&str, usize)> = Vec::new();
    let mut found = None;
    if !done.contains(start) {
        path.push((start, 0));
    }
    while let Some((name, next)) = path.last_mut() {
        let name = *name;
        let Some(fed) = feeds.get(name).and_then(|fed| fed.get(*next)) else {
            done.insert(name);
            path.pop();
            continue;
        };
        *next += 1;
        if let Some(at) = path.iter().position(|(on_path, _)| on_path == fed) {
            found.get_or_insert_with(|| path[at..].iter().map(|(name, _)| *name).collect());
        } else if !done.contains(fed) {
            path.push((fed, 0));
        }
    }
    found
}
