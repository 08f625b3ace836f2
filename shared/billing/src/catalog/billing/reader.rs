//! Reads members of a tree one by one and collects every problem on the way: nothing stops at the first.

use std::str::FromStr;

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::problem::{Mark, Problem, did_you_mean};
use super::types::{CostBasis, Dated};
use super::yaml::{Entry, Node, Value};
use crate::ids::Provider;
use crate::money::parse_decimal;
use crate::month::{BillingMonth, read_day};

/// A node and the path that leads to it.
#[derive(Clone, Debug)]
pub(super) struct Field<'n> {
    node: &'n Node,
    pub(super) path: String,
}

/// The members of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Members<'n> {
    pub(super) mark: Mark,
    path: String,
    entries: &'n [Entry],
}

impl<'n> Members<'n> {
    /// The member of this name; nothing if it is missing or null.
    pub(super) fn get(&self, name: &str) -> Option<Field<'n>> {
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        let null = matches!(entry.node.value, Value::Null);
        (!null).then(|| Field { node: &entry.node, path: child(&self.path, name) })
    }

    /// All of them, with the place of each name.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'n str, Mark, Field<'n>)> {
        let path = &self.path;
        self.entries.iter().map(move |entry| {
            let field = Field { node: &entry.node, path: child(path, &entry.key) };
            (entry.key.as_str(), entry.mark, field)
        })
    }
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl<'n> Field<'n> {
    pub(super) fn root(node: &'n Node) -> Self {
        Self { node, path: String::new() }
    }

    pub(super) fn mark(&self) -> Mark {
        self.node.mark
    }

    /// Null, or a list or mapping of nothing.
    pub(super) fn is_empty(&self) -> bool {
        match &self.node.value {
            Value::Null => true,
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
            Value::Scalar { .. } => false,
        }
    }

    pub(super) fn is_scalar(&self) -> bool {
        matches!(self.node.value, Value::Scalar { .. })
    }
}

/// The collector.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<Problem>,
}

impl Reader {
    pub(super) fn problem(&mut self, field: &Field<'_>, message: impl Into<String>) {
        self.problems.push(Problem::new(field.mark(), field.path.clone(), message));
    }

    pub(super) fn problem_at(&mut self, mark: Mark, path: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(mark, path, message));
    }

    fn wrong_kind<T>(&mut self, field: &Field<'_>, expected: &str) -> Option<T> {
        self.problem(field, format!("this must be {expected}, but it is {}", field.node.value.kind()));
        None
    }

    /// A mapping whose members are among `allowed`, each at most once.
    pub(super) fn members<'n>(&mut self, field: &Field<'n>, allowed: &[&str]) -> Option<Members<'n>> {
        let members = self.any_members(field)?;
        for (name, mark, member) in members.all() {
            if !allowed.contains(&name) {
                let hint = did_you_mean(name, allowed.iter().copied());
                let hint = if hint.is_empty() { format!(", known are {}", allowed.join(", ")) } else { hint };
                self.problem_at(mark, &member.path, format!("there is no member '{name}' here{hint}"));
            }
        }
        Some(members)
    }

    /// A mapping whose names are the document's own.
    pub(super) fn any_members<'n>(&mut self, field: &Field<'n>) -> Option<Members<'n>> {
        let Value::Map(entries) = &field.node.value else { return self.wrong_kind(field, "a mapping") };
        let mut known = std::collections::HashMap::new();
        for entry in entries {
            if let Some(first) = known.insert(entry.key.as_str(), entry.mark) {
                let message = format!("'{}' stands here twice, first on line {}", entry.key, first.line);
                self.problem_at(entry.mark, &child(&field.path, &entry.key), message);
            }
        }
        Some(Members { mark: field.mark(), path: field.path.clone(), entries })
    }

    /// The items of a list; none if it is missing.
    pub(super) fn list<'n>(&mut self, members: &Members<'n>, name: &str) -> Vec<Field<'n>> {
        members.get(name).map_or_else(Vec::new, |field| self.items(&field))
    }

    pub(super) fn items<'n>(&mut self, field: &Field<'n>) -> Vec<Field<'n>> {
        let Value::List(items) = &field.node.value else {
            return self.wrong_kind(field, "a list").unwrap_or_default();
        };
        let item = |(at, node)| Field { node, path: format!("{}[{at}]", field.path) };
        items.iter().enumerate().map(item).collect()
    }

    /// A text or a list of texts.
    pub(super) fn texts<'n>(&mut self, members: &Members<'n>, name: &str) -> Vec<(String, Field<'n>)> {
        let fields = self.one_or_several(members, name).into_iter();
        fields.filter_map(|field| self.as_text(&field).map(|text| (text, field))).collect()
    }

    /// A provider or a list of them.
    pub(super) fn providers(&mut self, members: &Members<'_>, name: &str) -> Vec<String> {
        let fields = self.one_or_several(members, name).into_iter();
        fields.filter_map(|field| self.as_provider(&field)).collect()
    }

    fn one_or_several<'n>(&mut self, members: &Members<'n>, name: &str) -> Vec<Field<'n>> {
        let Some(field) = members.get(name) else { return Vec::new() };
        if field.is_scalar() { vec![field] } else { self.items(&field) }
    }

    /// The member, or a problem if it is missing.
    pub(super) fn required<'n>(&mut self, members: &Members<'n>, name: &str) -> Option<Field<'n>> {
        let field = members.get(name);
        if field.is_none() {
            self.problem_at(members.mark, &members.path, format!("the member '{name}' is missing"));
        }
        field
    }

    /// A text that is not empty: what is written as a number is taken as it is written.
    pub(super) fn as_text(&mut self, field: &Field<'_>) -> Option<String> {
        let Value::Scalar { text, .. } = &field.node.value else { return self.wrong_kind(field, "a text") };
        if text.trim().is_empty() || text.len() > 1_000 || text.chars().any(|c| c.is_control() && c != '\t') {
            self.problem(field, "this must be a text of 1 to 1000 bytes without control characters");
            return None;
        }
        Some(text.clone())
    }

    /// A provider, by the word that it is filed under. A pattern with a star stays as it is.
    pub(super) fn as_provider(&mut self, field: &Field<'_>) -> Option<String> {
        let text = self.as_text(field)?;
        if text.contains('*') {
            return Some(text);
        }
        match Provider::named(&text) {
            Ok(provider) => Some(provider.to_string()),
            Err(error) => {
                self.problem(field, error.to_string());
                None
            }
        }
    }

    /// A text that may be a single blank.
    pub(super) fn as_delimiter(&mut self, field: &Field<'_>) -> Option<String> {
        match &field.node.value {
            Value::Scalar { text, .. } => Some(text.clone()),
            _ => self.wrong_kind(field, "a single character"),
        }
    }

    pub(super) fn text(&mut self, members: &Members<'_>, name: &str) -> Option<String> {
        members.get(name).and_then(|field| self.as_text(&field))
    }

    pub(super) fn required_text(&mut self, members: &Members<'_>, name: &str) -> Option<String> {
        self.required(members, name).and_then(|field| self.as_text(&field))
    }

    /// A decimal, read from its text.
    pub(super) fn as_decimal(&mut self, field: &Field<'_>) -> Option<Decimal> {
        let text = self.as_text(field)?;
        match parse_decimal(&text) {
            Ok(decimal) => Some(decimal.normalize()),
            Err(error) => {
                self.problem(field, format!("{error}, write it as 12.50"));
                None
            }
        }
    }

    /// A decimal that is not negative.
    pub(super) fn as_share(&mut self, field: &Field<'_>) -> Option<Decimal> {
        let decimal = self.as_decimal(field)?;
        if decimal.is_sign_negative() && !decimal.is_zero() {
            self.problem(field, format!("{decimal} is negative, this must be zero or more"));
            return None;
        }
        Some(decimal)
    }

    pub(super) fn share(&mut self, members: &Members<'_>, name: &str) -> Option<Decimal> {
        members.get(name).and_then(|field| self.as_share(&field))
    }

    pub(super) fn as_bool(&mut self, field: &Field<'_>) -> Option<bool> {
        match &field.node.value {
            Value::Scalar { text, quoted: false } if text == "true" => Some(true),
            Value::Scalar { text, quoted: false } if text == "false" => Some(false),
            _ => self.wrong_value(field, "true or false"),
        }
    }

    fn wrong_value<T>(&mut self, field: &Field<'_>, expected: &str) -> Option<T> {
        let found = match &field.node.value {
            Value::Scalar { text, .. } => format!("'{}'", text.chars().take(60).collect::<String>()),
            other => other.kind().to_owned(),
        };
        self.problem(field, format!("this must be {expected}, but it is {found}"));
        None
    }

    /// A value of a type that parses; its error says what to write.
    pub(super) fn as_parsed<T: FromStr<Err: std::fmt::Display>>(&mut self, field: &Field<'_>) -> Option<T> {
        let text = self.as_text(field)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(field, error.to_string());
                None
            }
        }
    }

    /// One of some words.
    pub(super) fn as_word<T: Copy>(&mut self, field: &Field<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = self.as_text(field)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            return self.wrong_value(field, &format!("one of {}", known.join(", ")));
        }
        found
    }

    /// Which cost is billed, if an entry says so.
    pub(super) fn basis(&mut self, members: &Members<'_>) -> Option<CostBasis> {
        let words = CostBasis::ALL.map(|basis| (basis.as_str(), basis));
        members.get("basis").and_then(|field| self.as_word(&field, &words))
    }

    /// The months in which an entry applies.
    pub(super) fn dated(&mut self, members: &Members<'_>) -> Dated {
        let mut month = |name| members.get(name).and_then(|field| self.as_parsed::<BillingMonth>(&field));
        let (from, to) = (month("from"), month("to"));
        self.bounds(members, from.map(BillingMonth::first_day), to.map(BillingMonth::last_day))
    }

    /// The same where days count, too: `2026-10`, or `2026-10-16`.
    pub(super) fn dated_by_day(&mut self, members: &Members<'_>) -> Dated {
        let mut days = |name| members.get(name).and_then(|field| self.as_parsed::<Days>(&field));
        let (from, to) = (days("from").map(|days| days.first), days("to").map(|days| days.last));
        self.bounds(members, from, to)
    }

    fn bounds(&mut self, members: &Members<'_>, from: Option<NaiveDate>, to: Option<NaiveDate>) -> Dated {
        if let (Some(first), Some(last)) = (from, to)
            && first > last
        {
            let message = format!("from {first} is after to {last}, so this never applies");
            self.problem_at(members.mark, &members.path, message);
        }
        Dated { from, to }
    }

    /// Says that a name is none of those known.
    pub(super) fn unknown<'k>(
        &mut self,
        field: &Field<'_>,
        kind: &str,
        name: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        let hint = did_you_mean(name, known);
        let hint = if hint.is_empty() { format!(", add it under {kind}s") } else { hint };
        self.problem(field, format!("unknown {kind} '{name}'{hint}"));
    }
}

/// A month, or a day of it.
struct Days {
    first: NaiveDate,
    last: NaiveDate,
}

impl FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(day) = read_day(text) {
            return Ok(Self { first: day, last: day });
        }
        match text.parse::<BillingMonth>() {
            Ok(month) => Ok(Self { first: month.first_day(), last: month.last_day() }),
            Err(_) => Err(format!("'{text}' is no month and no day, write it as 2026-10 or 2026-10-16")),
        }
    }
}
