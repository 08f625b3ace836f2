//! Pools, and that no pool feeds itself.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::names::Names;
use super::reader::{Field, Members, Reader};
use super::sections::{Unique, matching};
use super::types::{CostBasis, Pool, Split, Target, TargetKind};

pub(super) const POOL: [&str; 8] = ["name", "match", "split", "over", "targets", "basis", "from", "to"];
pub(super) const SPLIT: [&str; 5] = ["by", "name", "percents", "weights", "basis"];

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
        if let Some((_, mark, over)) = members.all().find(|(name, _, _)| *name == "over")
            && members.get("over").is_none()
        {
            let message = "'over' is empty and would count all charges: say which count or remove it";
            reader.problem_at(mark, &over.path, message);
        }
        let over = members.get("over").and_then(|field| matching(reader, &field));
        let split = reader.required(&members, "split").and_then(|field| split(reader, &field, names));
        let targets = members.get("targets").map(|field| targets(reader, &field, names));
        let (dated, basis) = (reader.dated(&members), reader.basis(&members));
        if let Some((split, _)) = &split {
            goes_together(reader, &members, split);
            costless(reader, &members, split, targets.as_deref().unwrap_or_default());
        }
        let Some(name) = name else { continue };
        unique.check(reader, &members, "name", &name, dated);
        let Some((split, weighed)) = split else { continue };
        paths.push(item.path);
        let (matching, mark) = (matched, members.mark);
        pools.push(Pool { name, matching, split, over, basis, weighed, targets, dated, mark });
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
    let all_alike = *split == Split::Even && pool.get("targets").is_some();
    if let Some(field) = pool.get("over").filter(|_| all_alike) {
        reader.problem(
            &field,
            "targets share evenly whatever they cost, so over means nothing here, remove it",
        );
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

/// What a pool is shared by, and which cost of its targets counts if that is said.
fn split(reader: &mut Reader, field: &Field<'_>, names: &Names) -> Option<(Split, Option<CostBasis>)> {
    let members = reader.members(field, &SPLIT)?;
    let by = reader.required(&members, "by").and_then(|field| reader.as_word(&field, &BY))?;
    let weighed = reader.basis(&members);
    if let Some(field) = members.get("basis").filter(|_| by != By::Cost) {
        let message =
            "this is the cost that a split by cost looks at, remove it; that of the pool stands beside split";
        reader.problem(&field, message);
    }
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
    let split = match by {
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
    };
    split.map(|split| (split, weighed))
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

/// Cycles that are named at most.
const NAMED: usize = 100;

/// Which pools feed which in one month, by place.
type Feeds = BTreeMap<usize, BTreeSet<usize>>;

/// Every pool and every target that is part of a cycle stands in one that is named. A cycle is named once, at the pool that stands
/// first in the document; pools that never apply to the same month make none.
fn cycles(reader: &mut Reader, pools: &[Pool], paths: &[String]) {
    let days: BTreeSet<_> = pools.iter().map(|pool| pool.dated.from).collect();
    let mut found: BTreeSet<Vec<usize>> = BTreeSet::new();
    for day in days {
        let feeds = feeds(pools, day);
        for (pool, fed) in &feeds {
            for next in fed {
                if found.len() < NAMED {
                    found.extend(cycle(&feeds, *pool, *next));
                }
            }
        }
    }
    for cycle in found {
        let around = cycle.iter().chain(cycle.first());
        let named: Vec<&str> = around.map(|at| pools[*at].name.as_str()).collect();
        let message = format!("these pools feed each other in a cycle: {}", named.join(" -> "));
        reader.problem_at(pools[cycle[0]].mark, &format!("{}.split", paths[cycle[0]]), message);
    }
}

/// What may be in a cycle from a day on (nothing: before all days): who feeds nobody, or is fed by nobody, is left out.
fn feeds(pools: &[Pool], day: Option<NaiveDate>) -> Feeds {
    let applies = |pool: &Pool| match day {
        Some(day) => pool.dated.covers_day(day),
        None => pool.dated.from.is_none(),
    };
    let in_force = || pools.iter().enumerate().filter(|(_, pool)| applies(pool));
    let places: BTreeMap<&str, usize> = in_force().map(|(at, pool)| (pool.name.as_str(), at)).collect();
    let of = |pool| fed(pool).filter_map(|name| places.get(name).copied()).collect();
    let mut feeds: Feeds = in_force().map(|(at, pool)| (at, of(pool))).collect();
    loop {
        let before = feeds.len();
        let fed: BTreeSet<usize> = feeds.values().flatten().copied().collect();
        feeds.retain(|at, targets| !targets.is_empty() && fed.contains(at));
        let left: BTreeSet<usize> = feeds.keys().copied().collect();
        feeds.values_mut().for_each(|targets| targets.retain(|target| left.contains(target)));
        if feeds.len() == before {
            return feeds;
        }
    }
}

/// A shortest cycle in which one pool feeds another, from the pool that stands first.
fn cycle(feeds: &Feeds, pool: usize, next: usize) -> Option<Vec<usize>> {
    let mut came_from = BTreeMap::from([(next, next)]);
    let mut waiting = VecDeque::from([next]);
    while let Some(at) = waiting.pop_front().filter(|_| !came_from.contains_key(&pool)) {
        for target in feeds.get(&at).into_iter().flatten() {
            if !came_from.contains_key(target) {
                came_from.insert(*target, at);
                waiting.push_back(*target);
            }
        }
    }
    let mut cycle = vec![pool];
    let mut at = pool;
    while at != next {
        at = *came_from.get(&at)?;
        cycle.push(at);
    }
    cycle.reverse();
    let first = cycle.iter().enumerate().min_by_key(|(_, at)| **at).map_or(0, |(place, _)| place);
    cycle.rotate_left(first);
    Some(cycle)
}
