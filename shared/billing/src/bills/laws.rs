//! The laws that hold for every catalog and all charges.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::tests::{Before, Charge, catalog, charge, charged, driver, export_text, month, october, try_run};
use super::*;
use crate::catalog::billing::{Catalog, InForce, Match};
use crate::certificate::Certified;
use crate::charge::ChargeCategory;
use crate::money::{Currency, Exact};

/// What a pool is shared by: (kind of split, weights of three targets, pools that it feeds).
type Shared = (usize, [u32; 3], bool);

/// A catalog and charges, small enough that rules and charges meet.
#[derive(Clone, Debug)]
struct Model {
    /// Customer, percentage and whether it is known by name.
    accounts: Vec<(usize, u32, bool)>,
    pools: Vec<Shared>,
    /// Price of component 0 and 1: fixed, per unit, percent, absolute.
    prices: [[u32; 4]; 2],
    /// Quantities of whole, cpu, ram and storage of component 0, and whole of 1.
    quantities: [[u32; 5]; 2],
    discounts: Vec<(usize, i32)>,
    unit_up: bool,
    /// Account, service, tag, cost, decimals, currency.
    charges: Vec<(usize, usize, usize, i64, u32, bool)>,
}

fn models() -> impl Strategy<Value = Model> {
    let accounts = prop::collection::vec((0usize..3, 0u32..200, any::<bool>()), 0..5);
    let pools = prop::collection::vec((0usize..6, prop::array::uniform3(0u32..4), any::<bool>()), 0..4);
    let one = (0usize..7, 0usize..8, 0usize..6, -50_000i64..200_000, 0u32..15, any::<bool>());
    let prices = prop::array::uniform2(prop::array::uniform4(0u32..150));
    let quantities = prop::array::uniform2(prop::array::uniform5(0u32..15));
    let discounts = prop::collection::vec((0usize..3, -30_000i32..10_000), 0..3);
    let rest = (discounts, any::<bool>(), prop::collection::vec(one, 0..25));
    (accounts, pools, prices, quantities, rest).prop_map(
        |(accounts, pools, prices, quantities, (discounts, unit_up, charges))| Model {
            accounts,
            pools,
            prices,
            quantities,
            discounts,
            unit_up,
            charges,
        },
    )
}

impl Model {
    /// The catalog; `turn` changes the order of everything whose order must not matter.
    fn yaml(&self, turn: bool) -> String {
        let mut yaml = "currency: CHF\ncost_center_tag: cc\ncost_center_pattern: '[CX][0-9]'\n".to_owned();
        let rounding = if self.unit_up { "unit-up" } else { "cents" };
        writeln!(
            yaml,
            "rounding: {rounding}\nfx: {{rates: {{2026-10: {{USD: '0.8812'}}, 2026-11: {{USD: '0.9'}}}}}}"
        )
        .unwrap();
        let customers =
            ["{name: c0, cost_center: C0}", "{name: c1, cost_center: bad}", "{name: c2, cost_center: C2}"];
        let list = |items: Vec<String>| {
            let items: Vec<String> = if turn { items.into_iter().rev().collect() } else { items };
            items.iter().map(|item| format!("  - {item}\n")).collect::<String>()
        };
        write!(yaml, "customers:\n{}", list(customers.map(str::to_owned).to_vec())).unwrap();
        let accounts = self.accounts.iter().enumerate().map(|(at, (customer, percentage, by_name))| {
            let key = if *by_name { "name" } else { "id" };
            format!("{{provider: aws, {key}: a{at}, customer: c{customer}, percentage: {percentage}}}")
        });
        write!(yaml, "accounts:\n{}", list(accounts.collect())).unwrap();
        let rules = [
            "{name: r0, match: {service: s0, provider: [aws, gcp]}, customer: c2}",
            "{name: r1, match: {service: 's1*'}, customer: c0, percentage: 50}",
        ];
        write!(yaml, "allocations:\n{}", list(rules.map(str::to_owned).to_vec())).unwrap();
        write!(yaml, "components:\n{}", list(self.components())).unwrap();
        write!(yaml, "services:\n{}", list(self.services())).unwrap();
        write!(yaml, "pools:\n{}", list(self.pools(turn))).unwrap();
        let positions = self.discounts.iter().enumerate().map(|(at, (customer, cents))| {
            let amount = Decimal::new((*cents).into(), 2);
            let amount = if self.unit_up { amount.trunc() } else { amount };
            format!("{{customer: c{customer}, month: 2026-10, reason: p{at}, amount: '{amount}'}}")
        });
        write!(yaml, "positions:\n{}", list(positions.collect())).unwrap();
        yaml
    }

    fn components(&self) -> Vec<String> {
        let parts = [
            "parts: [{name: cpu, percent: 50}, {name: ram, percent: 50}, {name: storage, per_unit: 5}]",
            "parts: []",
        ];
        let component = |(at, ([fixed, unit, percent, absolute], parts)): (usize, (&[u32; 4], &str))| {
            format!(
                "{{name: k{at}, match: {{tags: {{k: v{at}}}}}, {parts}, price: {{fixed_per_service: {fixed}, per_unit: 0.{unit}, percent_of_cost: {percent}, absolute: {absolute}}}}}"
            )
        };
        self.prices.iter().zip(parts).enumerate().map(component).collect()
    }

    fn services(&self) -> Vec<String> {
        let service = |(at, [whole, cpu, ram, storage, other]): (usize, &[u32; 5])| {
            let of = |name: &str, quantity: &u32| match (quantity, name) {
                (0, _) => None,
                (_, "k1") => Some(format!("{{component: k1, quantity: 0.{quantity}}}")),
                (_, "k0") => Some(format!("{{component: k0, quantity: {quantity}}}")),
                _ => Some(format!("{{component: k0, part: {name}, quantity: 0.{quantity}}}")),
            };
            let uses =
                [of("k0", whole), of("cpu", cpu), of("ram", ram), of("storage", storage), of("k1", other)];
            let uses = uses.into_iter().flatten().collect::<Vec<_>>().join(", ");
            format!("{{name: s{at}, customer: c{at}, components: [{uses}]}}")
        };
        self.quantities.iter().enumerate().map(service).collect()
    }

    fn pools(&self, turn: bool) -> Vec<String> {
        let pool = |(at, (kind, weights, feeds)): (usize, &Shared)| {
            // a pool feeds later ones only
            let fed = if *feeds && at + 1 < self.pools.len() {
                format!("pool:p{}", at + 1)
            } else {
                "k1".to_owned()
            };
            let mut targets = [fed, "service:s0".to_owned(), "customer:c2".to_owned()];
            let mut shares: Vec<String> =
                targets.iter().zip(weights).map(|(t, w)| format!("'{t}': {w}")).collect();
            let mut percents: Vec<String> =
                targets.iter().zip(["33.4", "66.6", "0"]).map(|(t, w)| format!("'{t}': {w}")).collect();
            if turn {
                targets.reverse();
                shares.reverse();
                percents.reverse();
            }
            let split = match kind {
                0 => "split: {by: cost}, over: {provider: aws}".to_owned(),
                1 => "split: {by: cost}".to_owned(),
                2 => format!("split: {{by: even}}, targets: ['{}']", targets.join("', '")),
                3 => format!("split: {{by: percent, percents: {{{}}}}}", percents.join(", ")),
                4 => format!("split: {{by: weights, weights: {{{}}}}}", shares.join(", ")),
                _ => "split: {by: driver, name: hours}".to_owned(),
            };
            format!("{{name: p{at}, match: {{service: shared{at}}}, {split}}}")
        };
        self.pools.iter().enumerate().map(pool).collect()
    }

    fn charges(&self) -> Vec<Charge> {
        let one = |(account, service, tag, cost, decimals, usd): &(usize, usize, usize, i64, u32, bool)| {
            // a cost of nothing comes as a blank
            let cost = if *cost == 0 { String::new() } else { Decimal::new(*cost, *decimals).to_string() };
            let mut charge = charge(&format!("aws/a{account}"), &cost);
            if *account == 6 {
                charge.provider = "gcp".into();
            }
            charge = charge.of_service(
                ["s0", "s12", "other", "shared0", "shared1", "shared2", "shared3", "S0"][*service],
            );
            let (key, value) =
                [("k", "v0"), ("k", "v1"), ("cc", "C0"), ("cc", "X9"), ("cc", "bad"), ("none", "x")][*tag];
            charge = charge.tagged(key, value);
            charge.in_currency(if *usd { Currency::USD } else { Currency::CHF })
        };
        self.charges.iter().map(one).collect()
    }
}

/// The catalog with a basis, or none, at each of its entries.
fn with_bases(yaml: &str, bases: [usize; 12]) -> String {
    let basis = |at: usize| ["", "basis: billed, ", "basis: effective, "][bases[at]];
    let top = basis(0).replace(", ", "\n");
    let mut yaml = format!("{top}{yaml}");
    let mut entry = |at: usize, begins: String| {
        yaml = yaml.replace(&begins, &begins.replacen('{', &format!("{{{}", basis(at)), 1));
    };
    (0..3).for_each(|account| {
        ["id", "name"]
            .iter()
            .for_each(|key| entry(1 + account, format!("{{provider: aws, {key}: a{account},")));
    });
    (0..2).for_each(|rule| entry(4 + rule, format!("{{name: r{rule},")));
    (0..2).for_each(|component| entry(6 + component, format!("{{name: k{component}, match")));
    (0..3).for_each(|pool| entry(8 + pool, format!("{{name: p{pool}, match")));
    yaml.replace("split: {by: cost}", &format!("split: {{{}by: cost}}", basis(11)))
}

fn before() -> Before {
    driver("hours", &[("a0", "1.5"), ("s1", "2"), ("customer:c0", "0"), ("stranger", "0.5")])
}

/// Which rule takes a charge, found the slow way.
fn reference(catalog: &Catalog, charge: &Charge) -> String {
    let glob = |pattern: &str, text: &str| match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => {
            text.len() >= head.len() + tail.len() && text.starts_with(head) && text.ends_with(tail)
        }
    };
    let tags: BTreeMap<String, String> = serde_json::from_str(&charge.tags).unwrap();
    let any = |patterns: &[String], text: &str| patterns.is_empty() || patterns.iter().any(|p| glob(p, text));
    let fits = |matching: &Match| {
        let tagged =
            |(key, values): (&String, &Vec<String>)| tags.get(key).is_some_and(|value| any(values, value));
        any(&matching.provider, &charge.provider)
            && any(&matching.service, &charge.service)
            && matching.tags.iter().all(tagged)
    };
    let component = catalog.components.iter().find(|c| c.matching.as_ref().is_some_and(fits));
    if let Some(component) = component {
        return format!("component:{}", component.name);
    }
    if let Some(pool) = catalog.pools.iter().find(|pool| pool.matching.as_ref().is_some_and(fits)) {
        return format!("pool:{}", pool.name);
    }
    if let Some(rule) = catalog.allocations.iter().find(|rule| fits(&rule.matching)) {
        return format!("allocation:{}", rule.name);
    }
    // charges have ids and no names here
    let account = catalog
        .accounts
        .iter()
        .find(|a| a.provider == charge.provider && a.id.as_ref() == Some(&charge.account));
    let tagged =
        tags.get("cc").and_then(|cc| catalog.customers.iter().find(|c| c.cost_center.as_ref() == Some(cc)));
    let Some(account) = account else {
        return tagged.map_or_else(|| "unallocated".to_owned(), |c| format!("cost-center:{}", c.name));
    };
    let own = &catalog.customers[account.customer];
    match tagged {
        Some(customer) if customer != own => format!("account:aws/{} for {}", account.key(), customer.name),
        _ => format!("account:aws/{}", account.key()),
    }
}

fn sums(charges: &[Charge]) -> BTreeMap<String, Decimal> {
    let mut sums = BTreeMap::new();
    for charge in charges {
        let cost: Decimal = if charge.cost.is_empty() { Decimal::ZERO } else { charge.cost.parse().unwrap() };
        *sums.entry(charge.currency.code().to_owned()).or_insert(Decimal::ZERO) += cost;
    }
    sums
}

/// Everything that must not depend on an order.
fn result(run: &BillRun, catalog: &Catalog) -> String {
    let mut text = export_text(run, catalog, Rows::All);
    for bill in &run.bills {
        writeln!(text, "{} {} {} {}", bill.customer, bill.total, bill.carried_out, bill.held.is_some())
            .unwrap();
        for line in &bill.lines {
            let costs: Vec<String> =
                line.costs.iter().map(|c| format!("{} {} {}", c.source, c.amount, c.charges)).collect();
            writeln!(text, "{} {} {} {costs:?}", line.key, line.exact, line.amount).unwrap();
        }
    }
    let shares: Vec<String> = run
        .shares
        .iter()
        .map(|s| format!("{} {} {} {} {}", s.resource_id, s.amount, s.currency, s.method_details, s.tags))
        .collect();
    format!("{text}{shares:#?}{:#?}", run.unallocated)
}

/// Of a commitment, by currency and basis what effective costs are more than billed ones; and in which bases it is billed.
type Group<'c> = (BTreeMap<&'c str, [Decimal; 2]>, [bool; 2]);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_charge_is_in_exactly_one_place_the_one_that_trying_all_rules_finds(model in models()) {
        let catalog = catalog(&model.yaml(false));
        let in_force = InForce::new(&catalog, october());
        let mut placer = Placer::new(&in_force);
        for charge in model.charges() {
            let place = placer.place(&charge.facts()).unwrap().place;
            prop_assert_eq!(Recipient::Place(place).label(&catalog), reference(&catalog, &charge));
        }
        let charged = charged(&in_force, &model.charges());
        let by_origin = || charged.by_origin.values().map(|of| &of.costs);
        let all = || charged.places.values().chain(by_origin()).flatten();
        prop_assert_eq!(all().map(|(_, cost)| cost.charges).sum::<u64>(), model.charges().len() as u64);
        for (currency, total) in &charged.total {
            let sum = all().filter(|(of, _)| *of == currency).try_fold(crate::money::Amount::ZERO, |sum, (_, cost)| sum.checked_add(cost.billed));
            prop_assert_eq!(sum.unwrap(), total.billed);
        }
    }

    #[test]
    fn nothing_appears_or_disappears_between_charges_and_exports(model in models()) {
        let catalog = catalog(&model.yaml(false));
        let run = try_run(&catalog, october(), &model.charges(), &before()).unwrap();
        let mut billed: BTreeMap<String, Decimal> = BTreeMap::new();
        for cost in run.bills.iter().flat_map(|bill| &bill.lines).flat_map(|line| &line.costs) {
            *billed.entry(cost.conversion.currency.to_owned()).or_default() += cost.amount;
        }
        for rest in &run.unallocated {
            *billed.entry(rest.currency.to_owned()).or_default() += rest.amount;
        }
        for (currency, rest) in run.components.iter().flat_map(|component| &component.rest) {
            *billed.entry((*currency).to_owned()).or_default() += *rest;
        }
        for (currency, sum) in sums(&model.charges()) {
            // twelve decimals: far below a cent
            let difference = (sum - billed.get(&currency).copied().unwrap_or_default()).abs();
            prop_assert!(difference <= Decimal::new(5, 13), "{}: {}", currency, difference);
            prop_assert_eq!(run.certificate.charges[&currency].charges_total.round_dp(2), sum.round_dp(12).round_dp(2));
        }
        for bill in &run.bills {
            prop_assert_eq!(bill.lines.iter().map(|line| line.amount).sum::<Decimal>(), bill.total);
            prop_assert!(bill.total >= Decimal::ZERO);
            for line in &bill.lines {
                prop_assert_eq!(line.amount, catalog.rounding.round(line.exact, catalog.currency).unwrap());
            }
        }
        let released: Decimal = run.bills.iter().filter(|bill| bill.held.is_none()).map(|bill| bill.total).sum();
        let exports = run.exports(&catalog, Rows::All).unwrap();
        prop_assert_eq!(exports.iter().map(|export| export.total).sum::<Decimal>(), released);
        prop_assert!(run.bills.iter().all(|bill| (bill.customer == "c1") == bill.held.is_some()));
        for pool in 0..catalog.pools.len() {
            let mut ratios: BTreeMap<&str, Decimal> = BTreeMap::new();
            for share in run.shares.iter().filter(|share| share.pool == pool) {
                *ratios.entry(share.currency).or_default() += share.ratio;
            }
            prop_assert!(ratios.values().all(|ratio| *ratio == Decimal::ONE), "{:?}", ratios);
        }
        run.certificate.to_json().unwrap();
    }

    #[test]
    fn every_difference_between_a_cost_and_its_bills_has_its_name(
        model in models(),
        all in any::<bool>(),
        brought in prop::collection::vec((0usize..5, -20_000i64..20_000, any::<bool>()), 0..6),
    ) {
        let yaml = model.yaml(false).replace("{name: c0,", "{name: c0, formerly: [c4],");
        let yaml = if all { yaml.replace("price: {fixed", "recover: all, price: {fixed") } else { yaml };
        let catalog = catalog(&yaml);
        let mut before = before();
        for (at, (customer, cents, is_carried)) in brought.iter().enumerate() {
            let (customer, month, amount) = (format!("c{customer}"), month("2026-09"), Decimal::new(*cents, 2));
            if *is_carried {
                before.carried.push(Carried { customer, month, amount: -amount.abs() });
            } else {
                let (key, name, product) = (format!("account/aws/{at}"), "a".to_owned(), None);
                before.corrections.push(Correction { customer, month, key, name, product, amount });
            }
        }
        let run = try_run(&catalog, october(), &model.charges(), &before).unwrap();
        // what is brought stands on bills, once; whoever is not in the catalog holds only that
        let lines = &run.certificate.lines;
        let of = |kind: LineKind| lines.get(kind.as_str()).copied().unwrap_or_default();
        prop_assert_eq!(of(LineKind::Correction), before.corrections.iter().map(|one| one.amount).sum::<Decimal>());
        prop_assert_eq!(of(LineKind::CarriedIn), before.carried.iter().map(|one| one.amount).sum::<Decimal>());
        let others = [LineKind::Position, LineKind::Correction, LineKind::CarriedIn, LineKind::CarriedOut, LineKind::Withdrawn];
        let others = others.into_iter().map(of).sum::<Decimal>();
        let billed = run.certificate.recovery.as_ref().unwrap().total.billed;
        prop_assert_eq!(billed.plus(others.into()).unwrap(), run.certificate.bills_total.into());
        prop_assert!(run.bills.iter().all(|bill| ["c1", "c3"].contains(&bill.customer.as_str()) == bill.held.is_some()));
        let proof = run.certificate.recovery.as_ref().unwrap();
        // the costs that have a place are billed, but for what is named
        let Recovery { cost, billed, not_recovered, markups, prices, above_whole, rounding } = &proof.total;
        let placed = cost.minus(*not_recovered).unwrap().plus(*markups).unwrap().plus(*prices).unwrap();
        prop_assert_eq!(placed.plus(*above_whole).unwrap().plus(*rounding).unwrap(), *billed);
        let lines = || run.bills.iter().flat_map(|bill| &bill.lines).filter(|line| line.kind.passes_costs());
        prop_assert_eq!(Exact::from(lines().map(|line| line.amount).sum::<Decimal>()), *billed);
        // a line rounds by less than a unit; costs are divided to twelve decimals
        let unit: Decimal = if model.unit_up { Decimal::ONE } else { Decimal::new(51, 4) };
        for line in lines() {
            let rounding = line.recovery.rounding.round_half_away(12).unwrap().abs();
            prop_assert!(rounding <= unit, "{} {}", line.key, rounding);
        }
        // a reason stands exactly where nobody chose the difference
        let nothing = Exact::ZERO;
        let dust = Exact::from(Decimal::new(1, 9));
        for (component, found) in catalog.components.iter().zip(&proof.components) {
            let one = &found.recovery;
            let counts = |amount: Exact| !amount.round_half_away(2).unwrap().is_zero();
            let is_astray = counts(one.not_recovered) || counts(one.above_whole);
            prop_assert_eq!(found.reason.is_some(), is_astray, "{:?}", found);
            prop_assert!(!all || one.not_recovered == nothing, "{:?}", found);
            if component.price.percent_of_cost == Decimal::ONE_HUNDRED || component.price.percent_of_cost.is_zero() {
                prop_assert_eq!(one.markups, nothing, "{:?}", found);
            }
            prop_assert!(!one.rounding.minus(dust).unwrap().is_positive(), "{:?}", found);
        }
    }

    /// Whatever is billed by which cost: charges and a named difference are what bills, rests and what is not recovered come to; and a
    /// commitment that is billed in two bases is held, exactly then.
    #[test]
    fn in_either_basis_charges_and_a_named_difference_are_in_bills_or_unallocated(
        model in models(),
        bases in prop::array::uniform12(0usize..3),
        costs in prop::collection::vec((-300i64..900, prop::sample::select(vec![0usize, 1, 2, 3, 5, 7])), 1..8),
    ) {
        let catalog = catalog(&with_bases(&model.yaml(false), bases));
        let in_force = InForce::new(&catalog, october());
        let mut charges = model.charges();
        for (charge, (more, commitment)) in charges.iter_mut().zip(costs.iter().cycle()) {
            let billed: Decimal = charge.cost.parse().unwrap_or_default();
            charge.effective = Some((billed + Decimal::new(*more, 1)).to_string());
            charge.category = [ChargeCategory::Purchase, ChargeCategory::Usage][usize::from(*commitment % 2 == 1 && *commitment != 7)];
            charge.commitment = (*commitment % 4 < 3).then(|| format!("sp/{}", commitment % 4 / 2));
        }
        // by currency: what is counted; by commitment: what both bases differ by, and which are there
        let mut counted: BTreeMap<&str, Decimal> = BTreeMap::new();
        let mut groups: BTreeMap<_, Group<'_>> = BTreeMap::new();
        let costs_of = |charge: &Charge| -> (Decimal, Decimal) {
            (charge.cost.parse().unwrap_or_default(), charge.effective.as_deref().unwrap().parse().unwrap())
        };
        let is_bought = |provider: &str, name: Option<&String>| {
            let of = charges.iter().filter(|one| one.provider == provider && one.commitment.as_ref() == name);
            let mut of = of.filter(|one| one.category == ChargeCategory::Purchase);
            of.any(|one| costs_of(one).0 != costs_of(one).1)
        };
        let mut placer = Placer::new(&in_force);
        for charge in &charges {
            let basis = placer.place(&charge.facts()).unwrap().place.basis(&in_force);
            let ((billed, effective), code) = (costs_of(charge), charge.currency.code());
            *counted.entry(code).or_default() += if basis.is_billed() { billed } else { effective };
            let (provider, name) = (&charge.provider, charge.commitment.as_ref());
            let name = match (is_bought(provider, name), name) {
                (true, name) => name,
                (false, None) => continue,
                (false, name) => name.filter(|_| !is_bought(provider, None)),
            };
            if billed != effective {
                let (sums, bases) = groups.entry((provider.clone(), name.cloned())).or_default();
                sums.entry(code).or_default()[usize::from(!basis.is_billed())] += effective - billed;
                bases[usize::from(!basis.is_billed())] = true;
            }
        }
        let is_astray = |sums: &BTreeMap<&str, [Decimal; 2]>| sums.values().flatten().any(|sum| !sum.is_zero());
        let is_mixed = groups.values().any(|(sums, bases)| *bases == [true, true] && is_astray(sums));
        let is_mixed = is_mixed && catalog.bills_effective_costs();
        let run = match try_run(&catalog, october(), &charges, &before()) {
            Ok(run) => run,
            Err(error) => {
                prop_assert!(is_mixed && error.to_string().contains("one basis"), "{}", error);
                return Ok(());
            }
        };
        prop_assert!(!is_mixed, "{:?}", groups);
        run.certificate.to_json().unwrap();
        for (currency, sum) in counted {
            let proof = &run.certificate.charges[currency];
            let difference = proof.basis.as_ref().map(|basis| basis.difference).unwrap_or_default();
            // both are rounded far behind what anybody pays, perhaps to two sides of a half
            let apart = (proof.charges_total + difference - sum).abs();
            prop_assert!(apart < Decimal::new(1, 9), "{apart}");
            prop_assert_eq!(proof.basis.is_some(), catalog.bills_effective_costs());
        }
    }

    #[test]
    fn the_order_of_charges_rules_and_targets_changes_nothing(model in models(), turn in any::<prop::sample::Index>()) {
        let (one, other) = (catalog(&model.yaml(false)), catalog(&model.yaml(true)));
        let mut charges = model.charges();
        let first = try_run(&one, october(), &charges, &before()).unwrap();
        charges.reverse();
        if !charges.is_empty() {
            let by = turn.index(charges.len());
            charges.rotate_left(by);
        }
        let second = try_run(&other, october(), &charges, &before()).unwrap();
        prop_assert_eq!(result(&first, &one), result(&second, &other));
    }

    #[test]
    fn a_rerun_changes_nothing_and_a_revision_posts_exactly_its_difference(model in models(), revised in models()) {
        let catalog = catalog(&model.yaml(false));
        let first = try_run(&catalog, october(), &model.charges(), &before()).unwrap();
        let posted = first.posted(&Posted::new());
        let again = Before { posted: posted.clone(), ..before() };
        let same = try_run(&catalog, october(), &model.charges(), &again).unwrap();
        prop_assert_eq!(same.corrections(), vec![]);
        prop_assert_eq!(same.exports(&catalog, Rows::Due).unwrap(), vec![]);
        prop_assert_eq!(same.exports(&catalog, Rows::All).unwrap(), first.exports(&catalog, Rows::All).unwrap());
        prop_assert_eq!(same.posted(&posted), posted.clone());

        let second = try_run(&catalog, october(), &revised.charges(), &again).unwrap();
        let fresh = try_run(&catalog, october(), &revised.charges(), &before()).unwrap();
        let owed = |run: &BillRun, customer: &str| -> Decimal {
            let bills = run.bills.iter().filter(|bill| bill.customer == customer && bill.held.is_none());
            // what is carried is not forgotten, only later
            bills.map(|bill| bill.total + bill.carried_out).sum()
        };
        let corrections = second.corrections();
        for customer in posted.keys() {
            let corrected: Decimal = corrections.iter().filter(|c| c.customer == *customer).map(|c| c.amount).sum();
            prop_assert_eq!(owed(&first, customer) + corrected, owed(&fresh, customer));
        }
        // the next month shows it, once
        let november = Before { corrections: corrections.clone(), carried: first.carried(), ..before() };
        let next = try_run(&catalog, month("2026-11"), &[], &november).unwrap();
        let expected: Decimal = corrections.iter().map(|c| c.amount).chain(first.carried().iter().map(|c| c.amount)).sum();
        let kinds = [LineKind::Correction, LineKind::CarriedIn];
        let brought = next.bills.iter().flat_map(|bill| &bill.lines).filter(|line| kinds.contains(&line.kind));
        prop_assert_eq!(brought.map(|line| line.amount).sum::<Decimal>(), expected);
        let third = try_run(&catalog, october(), &revised.charges(), &Before { posted: second.posted(&posted), ..before() }).unwrap();
        prop_assert_eq!(third.corrections(), vec![]);
    }

    #[test]
    fn runs_of_a_month_add_up_to_the_newest_one_whatever_came_and_went(model in models(), kept in any::<prop::sample::Index>()) {
        let catalog = catalog(&model.yaml(false));
        let charges = model.charges();
        let fewer = if charges.is_empty() { 0 } else { kept.index(charges.len()) };
        let mut posted = Posted::new();
        let mut paid: BTreeMap<String, Decimal> = BTreeMap::new();
        let mut carried: BTreeMap<String, usize> = BTreeMap::new();
        for charges in [&charges[..], &charges[..fewer], &[], &charges[..]] {
            let again = Before { posted: posted.clone(), ..before() };
            let run = try_run(&catalog, october(), charges, &again).unwrap();
            let fresh = try_run(&catalog, october(), charges, &before()).unwrap();
            for bill in run.bills.iter().filter(|bill| bill.held.is_none() && bill.is_first) {
                *paid.entry(bill.customer.clone()).or_default() += bill.total;
            }
            for one in run.carried() {
                *paid.entry(one.customer.clone()).or_default() += one.amount;
                *carried.entry(one.customer).or_default() += 1;
            }
            for one in run.corrections() {
                *paid.entry(one.customer).or_default() += one.amount;
            }
            posted = run.posted(&posted);
            for customer in ["c0", "c1", "c2"] {
                let bills = fresh.bills.iter().filter(|bill| bill.customer == customer && bill.held.is_none());
                let owed: Decimal = bills.map(|bill| bill.total + bill.carried_out).sum();
                prop_assert_eq!(paid.get(customer).copied().unwrap_or_default(), owed, "{}", customer);
            }
        }
        prop_assert!(carried.values().all(|times| *times == 1), "{:?}", carried);
    }
}
