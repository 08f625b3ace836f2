//! What names mean, before anything that uses them is read.

use std::collections::{BTreeMap, BTreeSet};

use super::problem::did_you_mean;
use super::reader::{Field, Members, Reader};
use super::types::{Account, Target, TargetKind};
use crate::ids::Provider;

/// What names mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    kinds: BTreeMap<String, BTreeSet<TargetKind>>,
    /// How the document writes ids of which only a key counts, by it: those of Azure's accounts.
    spelled: BTreeMap<String, String>,
}

impl Known {
    /// What a name means; it may be several things.
    pub(super) fn kinds(&self, name: &str) -> BTreeSet<TargetKind> {
        self.kinds.get(self.as_written(name)).cloned().unwrap_or_default()
    }

    /// A name as the document writes it.
    pub(super) fn as_written<'n>(&'n self, name: &'n str) -> &'n str {
        let key = || Account::id_key(AZURE, name);
        if self.kinds.contains_key(name) {
            name
        } else {
            self.spelled.get(&key()).map_or(name, String::as_str)
        }
    }

    /// What a text means if it says of what kind: `service:blue-app`.
    pub(super) fn prefixed(&self, text: &str) -> Option<Target> {
        TargetKind::ALL.into_iter().find_map(|kind| {
            let name = text.strip_prefix(kind.as_str())?.strip_prefix(':')?;
            let name = self.as_written(name).to_owned();
            self.kinds(&name).contains(&kind).then_some(Target { kind, name })
        })
    }

    /// All names.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(String::as_str)
    }

    fn add(&mut self, name: String, kind: TargetKind) {
        self.kinds.entry(name).or_default().insert(kind);
    }
}

/// The word of the provider whose ids have several spellings.
pub(super) const AZURE: &str = "azure";

/// The names of the whole document, of whatever month.
#[derive(Debug, Default)]
pub(super) struct Names {
    customers: BTreeMap<String, usize>,
    known: Known,
    /// Accounts in several providers that share an id or a name.
    shared_accounts: BTreeSet<String>,
    /// The parts of each component, of whatever month.
    parts: BTreeMap<String, BTreeSet<String>>,
}

impl Names {
    /// Looks through the sections for names only. Problems are left to those who read them in earnest.
    pub(super) fn collect(root: &Members<'_>) -> Self {
        let mut names = Self::default();
        for name in listed(root, "customers", &["name"]).into_iter().flatten().map(|(name, _)| name) {
            let place = names.customers.len();
            names.customers.entry(name).or_insert(place);
        }
        for customer in names.customers.keys() {
            names.known.add(customer.clone(), TargetKind::Customer);
        }
        for (section, kind) in [
            ("services", TargetKind::Service),
            ("components", TargetKind::Component),
            ("pools", TargetKind::Pool),
        ] {
            for (name, members) in listed(root, section, &["name"]).into_iter().flatten() {
                if kind == TargetKind::Component {
                    let parts = listed(&members, "parts", &["name"]).into_iter().flatten();
                    names.parts.entry(name.clone()).or_default().extend(parts.map(|(part, _)| part));
                }
                names.known.add(name, kind);
            }
        }
        names.accounts(root);
        names
    }

    fn accounts(&mut self, root: &Members<'_>) {
        let mut owners: BTreeMap<String, String> = BTreeMap::new();
        for list in listed(root, "accounts", &["id", "name"]) {
            for (name, members) in list {
                let text = |name| Reader::default().text(&members, name).unwrap_or_default();
                let (provider, id) = (text("provider"), text("id"));
                let provider = Provider::named(&provider).map_or(provider, |named| named.to_string());
                let key = Account::id_key(&provider, &id);
                if provider == AZURE && !id.is_empty() {
                    self.known.spelled.entry(key.clone()).or_insert(id);
                }
                let owner = format!("{provider}\n{key}");
                if owners.insert(name.clone(), owner.clone()).is_some_and(|other| other != owner) {
                    self.shared_accounts.insert(name.clone());
                }
                self.known.add(name, TargetKind::Account);
            }
        }
    }

    /// The place of a customer that a member names.
    pub(super) fn customer(&self, reader: &mut Reader, members: &Members<'_>) -> Option<usize> {
        let field = reader.required(members, "customer")?;
        let name = reader.as_text(&field)?;
        let place = self.customers.get(&name).copied();
        if place.is_none() {
            reader.unknown(&field, "customer", &name, self.customers.keys().map(String::as_str));
        }
        place
    }

    fn of_kind(&self, kind: TargetKind) -> impl Iterator<Item = &str> {
        let known = self.known.kinds.iter().filter(move |(_, kinds)| kinds.contains(&kind));
        known.map(|(name, _)| name.as_str())
    }

    /// The component that a member names, and the part if it names one.
    pub(super) fn component(
        &self,
        reader: &mut Reader,
        members: &Members<'_>,
    ) -> Option<(String, Option<String>)> {
        let part = members.get("part");
        let field = reader.required(members, "component")?;
        let name = reader.as_text(&field)?;
        let Some(parts) = self.parts.get(&name) else {
            reader.unknown(&field, "component", &name, self.of_kind(TargetKind::Component));
            return None;
        };
        let Some(field) = part else { return Some((name, None)) };
        let part = reader.as_text(&field)?;
        if !parts.contains(&part) {
            let hint = did_you_mean(&part, parts.iter().map(String::as_str));
            reader.problem(&field, format!("the component '{name}' has no part '{part}'{hint}"));
            return None;
        }
        Some((name, Some(part)))
    }

    /// What a target's text means.
    pub(super) fn target(&self, reader: &mut Reader, field: &Field<'_>, text: &str) -> Option<Target> {
        let bare = self.known.kinds(text);
        let target = match (self.known.prefixed(text), bare.len()) {
            (Some(target), _) => target,
            (None, 1) => Target { kind: *bare.first()?, name: self.known.as_written(text).to_owned() },
            (None, 0) => {
                let hint = did_you_mean(text, self.known.all());
                let hint = if hint.is_empty() {
                    ", name an account, component, pool, service or customer of this catalog".to_owned()
                } else {
                    hint
                };
                reader.problem(field, format!("the target '{text}' matches nothing{hint}"));
                return None;
            }
            _ => {
                let spellings: Vec<String> =
                    bare.iter().map(|kind| format!("{}:{text}", kind.as_str())).collect();
                let message = format!("'{text}' is several things, write {}", spellings.join(" or "));
                reader.problem(field, message);
                return None;
            }
        };
        if target.kind == TargetKind::Account && self.shared_accounts.contains(&target.name) {
            let message = format!("several accounts are called '{}', write the id of one", target.name);
            reader.problem(field, message);
            return None;
        }
        Some(target)
    }

    /// All names and what each is, for drivers whose targets are read later.
    pub(super) fn into_known(self) -> Known {
        let shared = self.shared_accounts;
        let mut known = self.known;
        for (name, kinds) in &mut known.kinds {
            if shared.contains(name) {
                kinds.remove(&TargetKind::Account);
            }
        }
        known
    }
}

/// For each of the members: what it says in each entry of a section, with the entry.
fn listed<'n>(root: &Members<'n>, section: &str, members: &[&str]) -> Vec<Vec<(String, Members<'n>)>> {
    let mut quiet = Reader::default();
    let items = quiet.list(root, section);
    let entries: Vec<Members<'n>> = items.iter().filter_map(|item| quiet.any_members(item)).collect();
    let of = |member: &&str| {
        let texts = entries.iter().filter_map(|entry| Some((entry.get(member)?, entry)));
        texts
            .filter_map(|(field, entry)| Reader::default().as_text(&field).map(|text| (text, entry.clone())))
            .collect()
    };
    members.iter().map(of).collect()
}
