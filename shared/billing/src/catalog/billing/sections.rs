//! Customers, accounts, allocations and positions.

use std::collections::{BTreeMap, HashMap};

use rust_decimal::{Decimal, RoundingStrategy};

use super::names::Names;
use super::problem::{Mark, did_you_mean};
use super::reader::{Field, Members, Reader};
use super::settings::Settings;
use super::types::{Account, Allocation, Customer, Dated, Match, Position};
use crate::charge::ChargeCategory;
use crate::money::Currency;
use crate::month::BillingMonth;
use crate::text::clean;

pub(super) const CUSTOMER: [&str; 4] = ["name", "formerly", "email", "cost_center"];
pub(super) const ACCOUNT: [&str; 9] =
    ["provider", "id", "name", "customer", "percentage", "basis", "product", "from", "to"];
pub(super) const ALLOCATION: [&str; 9] =
    ["name", "match", "customer", "percentage", "basis", "product", "priority", "from", "to"];
pub(super) const POSITION: [&str; 6] = ["customer", "month", "reason", "amount", "instalments", "product"];
pub(super) const MATCH: [&str; 11] = [
    "provider",
    "billing_account",
    "account",
    "sub_account",
    "service",
    "region",
    "resource",
    "category",
    "charge_class",
    "charge_period",
    "tags",
];

/// Finds entries of one name whose months overlap.
#[derive(Default)]
pub(super) struct Unique {
    seen: HashMap<String, Vec<Named>>,
}

struct Named {
    name: String,
    dated: Dated,
    mark: Mark,
}

impl Unique {
    pub(super) fn check(
        &mut self,
        reader: &mut Reader,
        members: &Members<'_>,
        member: &str,
        name: &str,
        dated: Dated,
    ) {
        self.check_key(reader, (members, member), (name.to_owned(), name), dated);
    }

    /// The same for a name of which only a key counts.
    pub(super) fn check_key(
        &mut self,
        reader: &mut Reader,
        (members, member): (&Members<'_>, &str),
        (key, name): (String, &str),
        dated: Dated,
    ) {
        let seen = self.seen.entry(key).or_default();
        if let (Some(first), Some(field)) =
            (seen.iter().find(|other| other.dated.overlaps(&dated)), members.get(member))
        {
            let spelling = if first.name == name { String::new() } else { format!(" as '{}'", first.name) };
            let message = format!(
                "'{name}' stands here twice for the same time, first on line {}{spelling}",
                first.mark.line
            );
            reader.problem(&field, message);
        }
        seen.push(Named { name: name.to_owned(), dated, mark: members.mark });
    }
}

pub(super) fn customers(reader: &mut Reader, root: &Members<'_>, settings: &Settings) -> Vec<Customer> {
    let (mut unique, mut cost_centers) = (Unique::default(), HashMap::new());
    let mut customers = Vec::new();
    for item in reader.list(root, "customers") {
        let Some(members) = reader.members(&item, &CUSTOMER) else { continue };
        let name = reader.required_text(&members, "name");
        let email = reader.text(&members, "email");
        if let (Some(email), Some(field)) = (&email, members.get("email"))
            && !is_address(email)
        {
            reader.problem(&field, format!("'{email}' is no e-mail address, write it as name@example.com"));
        }
        let cost_center = reader.text(&members, "cost_center");
        if let (Some(tag), Some(center), Some(field)) =
            (&settings.cost_center_tag, &cost_center, members.get("cost_center"))
            && let Some(first) = cost_centers.insert(clean(center).into_owned(), members.mark)
        {
            let message = format!(
                "the customer on line {} has this cost centre too, so the tag '{tag}' names nobody",
                first.line
            );
            reader.problem(&field, message);
        }
        let formerly = reader.texts(&members, "formerly");
        let Some(name) = name else { continue };
        unique.check(reader, &members, "name", &name, Dated::default());
        for (former, _) in &formerly {
            unique.check(reader, &members, "formerly", former, Dated::default());
        }
        let formerly = formerly.into_iter().map(|(former, _)| former).collect();
        customers.push(Customer { name, formerly, email, cost_center, mark: members.mark });
    }
    customers
}

fn is_address(text: &str) -> bool {
    let wrong = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';');
    text.split_once('@').is_some_and(|(user, domain)| {
        !user.is_empty() && domain.contains('.') && !domain.contains('@') && !text.contains(wrong)
    })
}

pub(super) fn accounts(reader: &mut Reader, root: &Members<'_>, names: &Names) -> Vec<Account> {
    let mut unique = Unique::default();
    let mut accounts = Vec::new();
    for item in reader.list(root, "accounts") {
        let Some(members) = reader.members(&item, &ACCOUNT) else { continue };
        let provider = reader.required(&members, "provider").and_then(|field| reader.as_provider(&field));
        let (id, name) = (reader.text(&members, "id"), reader.text(&members, "name"));
        let customer = names.customer(reader, &members);
        let percentage = reader.share(&members, "percentage");
        let basis = reader.basis(&members);
        let product = reader.text(&members, "product");
        let dated = reader.dated_by_day(&members);
        if members.get("id").is_none() && members.get("name").is_none() {
            reader.problem(&item, "an account needs an id or a name");
        }
        let Some(provider) = provider else { continue };
        match (&id, &name) {
            (Some(id), _) => {
                let key = format!("{provider}/{}", Account::id_key(&provider, id));
                unique.check_key(reader, (&members, "id"), (key, &format!("{provider}/{id}")), dated);
            }
            (None, Some(name)) => {
                unique.check(reader, &members, "name", &format!("{provider}/{name}"), dated);
            }
            (None, None) => continue,
        }
        let Some(customer) = customer else { continue };
        let percentage = percentage.unwrap_or(Decimal::ONE_HUNDRED);
        accounts.push(Account {
            provider,
            id,
            name,
            customer,
            percentage,
            basis,
            product,
            dated,
            mark: members.mark,
        });
    }
    accounts
}

pub(super) fn allocations(reader: &mut Reader, root: &Members<'_>, names: &Names) -> Vec<Allocation> {
    let mut unique = Unique::default();
    let mut allocations = Vec::new();
    for item in reader.list(root, "allocations") {
        let Some(members) = reader.members(&item, &ALLOCATION) else { continue };
        let name = reader.required_text(&members, "name");
        let matching = reader.required(&members, "match").and_then(|field| matching(reader, &field));
        let customer = names.customer(reader, &members);
        let percentage = reader.share(&members, "percentage").unwrap_or(Decimal::ONE_HUNDRED);
        let basis = reader.basis(&members);
        let product = reader.text(&members, "product");
        let priority = members.get("priority").and_then(|field| {
            let number = reader.as_decimal(&field)?;
            let whole = i32::try_from(number).ok().filter(|whole| Decimal::from(*whole) == number);
            if whole.is_none() {
                reader.problem(&field, format!("the priority {number} must be a whole number"));
            }
            whole
        });
        let dated = reader.dated_by_day(&members);
        let Some(name) = name else { continue };
        unique.check(reader, &members, "name", &name, dated);
        let (Some(matching), Some(customer)) = (matching, customer) else { continue };
        let priority = priority.unwrap_or(0);
        let mark = members.mark;
        allocations.push(Allocation {
            name,
            matching,
            customer,
            percentage,
            basis,
            product,
            priority,
            dated,
            mark,
        });
    }
    allocations
}

pub(super) fn positions(
    reader: &mut Reader,
    root: &Members<'_>,
    names: &Names,
    settings: &Settings,
) -> Vec<Position> {
    let mut seen: HashMap<_, Mark> = HashMap::new();
    let mut positions = Vec::new();
    let decimals = settings.rounding.decimals(settings.currency);
    for item in reader.list(root, "positions") {
        let Some(members) = reader.members(&item, &POSITION) else { continue };
        let customer = names.customer(reader, &members);
        let month = reader.required(&members, "month").and_then(|field| reader.as_parsed(&field));
        let reason = reader.required_text(&members, "reason");
        let product = reader.text(&members, "product");
        let amount = reader.required(&members, "amount").and_then(|field| {
            let amount = reader.as_decimal(&field)?;
            if amount.scale() > decimals && settings.currency != Currency::XXX {
                let message = format!(
                    "{amount} has more than {decimals} decimals, rounding is {}: write an amount that needs none",
                    settings.rounding.as_str()
                );
                reader.problem(&field, message);
            }
            Some(amount)
        });
        let (Some(customer), Some(month), Some(reason), Some(amount)) = (customer, month, reason, amount)
        else {
            continue;
        };
        let parts = match members.get("instalments") {
            Some(field) => instalments(reader, &field, amount, decimals),
            None => vec![amount],
        };
        let (mut month, of, mark) = (month, parts.len(), members.mark);
        for (at, amount) in parts.into_iter().enumerate() {
            let reason = if of > 1 { format!("{reason} ({} of {of})", at + 1) } else { reason.clone() };
            if let Some(first) = seen.insert((customer, month, reason.clone()), mark) {
                let message = format!(
                    "this customer has a position of this reason in {month} already, on line {}: give them different reasons",
                    first.line
                );
                reader.problem(&item, message);
            }
            positions.push(Position { customer, month, reason, amount, product: product.clone(), mark });
            month = month.next();
        }
    }
    positions
}

/// Most parts of a position: ten years of months.
const INSTALMENTS: u32 = 120;

/// An amount in equal parts, each rounded to what is due by then: together they are the amount.
fn instalments(reader: &mut Reader, field: &Field<'_>, amount: Decimal, decimals: u32) -> Vec<Decimal> {
    let number = reader.as_decimal(field);
    let parts = number.filter(Decimal::is_integer).and_then(|number| u32::try_from(number).ok());
    let Some(parts) = parts.filter(|parts| (1..=INSTALMENTS).contains(parts)) else {
        if number.is_some() {
            reader.problem(field, format!("the number of instalments must be from 1 to {INSTALMENTS}"));
        }
        return Vec::new();
    };
    let mut before = Decimal::ZERO;
    let mut due = |part: u32| {
        let sum = amount.checked_mul(part.into())? / Decimal::from(parts);
        let sum = sum.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero);
        let part = sum.checked_sub(before)?;
        before = sum;
        Some(part.normalize())
    };
    let amounts: Option<Vec<Decimal>> = (1..=parts).map(&mut due).collect();
    amounts.unwrap_or_else(|| {
        reader.problem(field, "the amount has too many digits for instalments");
        Vec::new()
    })
}

/// A `match` or an `over`.
pub(super) fn matching(reader: &mut Reader, field: &Field<'_>) -> Option<Match> {
    let members = reader.members(field, &MATCH)?;
    for (name, mark, member) in members.all().filter(|(_, _, member)| member.is_empty()) {
        let message = format!("'{name}' is empty and would match everything: write a pattern or remove it");
        reader.problem_at(mark, &member.path, message);
    }
    let provider = reader.providers(&members, "provider");
    let mut texts = |name| patterns(reader.texts(&members, name));
    let mut matching = Match {
        provider,
        billing_account: texts("billing_account"),
        account: texts("account"),
        service: texts("service"),
        region: texts("region"),
        resource: texts("resource"),
        charge_class: texts("charge_class"),
        charge_period: texts("charge_period"),
        ..Match::default()
    };
    for (text, field) in reader.texts(&members, "charge_class") {
        if !["Correction", "*"].contains(&text.as_str()) {
            reader.problem(
                &field,
                format!("'{text}' is no class of a charge; the one that FOCUS knows is Correction"),
            );
        }
    }
    for (text, field) in reader.texts(&members, "charge_period") {
        if !text.contains('*') && text.parse::<BillingMonth>().is_err() {
            reader.problem(&field, format!("'{text}' is no month; write 2026-09, or 2026-* for a year"));
        }
    }
    if let (Some(_), Some(other)) = (members.get("account"), members.get("sub_account")) {
        reader.problem(&other, "account and sub_account mean the same, write one of them");
    }
    matching.account.extend(patterns(reader.texts(&members, "sub_account")));
    for (text, field) in reader.texts(&members, "category") {
        match ChargeCategory::parse(&text) {
            _ if text == "*" => matching.category.push(text),
            Some(category) => matching.category.push(category.as_str().to_owned()),
            None => {
                let known = ["Usage", "Purchase", "Tax", "Credit", "Adjustment"];
                let hint = did_you_mean(&text, known);
                reader.problem(&field, format!("'{text}' is none of {}{hint}", known.join(", ")));
            }
        }
    }
    matching.tags = tags(reader, &members);
    if members.all().next().is_none() {
        reader.problem(field, "this matches every charge; if that is meant, write provider: \"*\"");
    }
    Some(matching)
}

fn patterns(texts: Vec<(String, Field<'_>)>) -> Vec<String> {
    texts.into_iter().map(|(text, _)| text).collect()
}

fn tags(reader: &mut Reader, members: &Members<'_>) -> BTreeMap<String, Vec<String>> {
    let Some(tags) = members.get("tags").and_then(|field| reader.any_members(&field)) else {
        return BTreeMap::new();
    };
    let keys: Vec<String> = tags.all().map(|(key, _, _)| key.to_owned()).collect();
    keys.into_iter()
        .map(|key| {
            let values = patterns(reader.texts(&tags, &key));
            if values.is_empty()
                && let Some((_, mark, field)) = tags.all().find(|(name, _, _)| *name == key)
            {
                let message = "a tag needs a pattern; \"*\" takes any value";
                reader.problem_at(mark, &field.path, message);
            }
            (key, values)
        })
        .collect()
}
