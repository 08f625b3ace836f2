//! What two catalogs say differently, entry by entry: not their comments or the way they are written, and the order of entries only
//! where it decides something.

use std::collections::BTreeMap;
use std::fmt;

use super::problem::{Mark, Problem, Problems};
use super::types::Account;
use super::yaml::{self, Node, Value};
use crate::ids::Provider;

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The section: `accounts`.
    pub section: String,
    /// The entry within it, by its name; empty for a section that is no list.
    pub entry: String,
    /// The field within the entry, as `price.per_unit`; of an entry that came or went each field is listed.
    pub field: String,
    /// What the older catalog says; nothing if it says nothing.
    pub before: Option<String>,
    /// What the newer one says.
    pub after: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { section, entry, field, before, after } = self;
        let place: Vec<&str> =
            [section, entry, field].into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(f, "{}: {} -> {}", place.join(" "), text(before), text(after))
    }
}

/// What differs between two documents, by section and entry. The documents need not be free of problems, but must be YAML.
///
/// # Errors
/// [`Problems`]: one of them is no YAML.
pub fn differences(before: &[u8], after: &[u8]) -> Result<Vec<Difference>, Problems> {
    let flat = |bytes: &[u8]| {
        let root = yaml::parse(bytes).map_err(|problem| Problems(vec![problem]))?;
        let entries = match root.map(|root| (root.mark, root.value)) {
            None | Some((_, Value::Null)) => Vec::new(),
            Some((_, Value::Map(entries))) => entries,
            Some((mark, _)) => return Err(Problems(vec![no_catalog(mark)])),
        };
        let mut fields = BTreeMap::new();
        for entry in &entries {
            section(&entry.key, &entry.node, &mut fields);
        }
        Ok(fields)
    };
    let (before, mut after) = (flat(before)?, flat(after)?);
    let mut found: Vec<Difference> = Vec::new();
    let mut differ = |place: Place, before: Option<String>, after: Option<String>| {
        if before != after {
            let (section, entry, field) = place;
            found.push(Difference { section, entry, field, before, after });
        }
    };
    for (place, text) in before {
        let now = after.remove(&place);
        differ(place, Some(text), now);
    }
    for (place, text) in after {
        differ(place, None, Some(text));
    }
    found.sort_by(|a, b| (&a.section, &a.entry, &a.field).cmp(&(&b.section, &b.entry, &b.field)));
    Ok(found)
}

fn no_catalog(mark: Mark) -> Problem {
    Problem::new(mark, "", "a catalog is a mapping of sections")
}

/// Section, entry, field.
type Place = (String, String, String);

fn section(name: &str, node: &Node, into: &mut BTreeMap<Place, String>) {
    let Value::List(entries) = &node.value else {
        return fields(&(name.to_owned(), String::new()), String::new(), node, into);
    };
    let entries = identified(entries);
    if ORDERED.contains(&name) {
        let order: Vec<&str> = entries.iter().map(|(identity, _)| identity.as_str()).collect();
        into.insert((name.to_owned(), String::new(), "order".to_owned()), order.join(", "));
    }
    for (identity, entry) in entries {
        fields(&(name.to_owned(), identity), String::new(), entry, into);
    }
}

/// Sections in which the first entry that fits decides.
const ORDERED: [&str; 3] = ["components", "pools", "allocations"];

/// The entries of a list and what tells them apart: those of one name are dated.
fn identified(entries: &[Node]) -> Vec<(String, &Node)> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut named = |entry| {
        let name = identity(entry);
        let name = member(entry, "from").map_or(name.clone(), |from| format!("{name} from {from}"));
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        (if *count > 1 { format!("{name} ({count})") } else { name }, entry)
    };
    entries.iter().map(&mut named).collect()
}

/// The text of an entry's member.
fn member(entry: &Node, name: &str) -> Option<String> {
    match &entry.value {
        Value::Map(members) => members.iter().find(|other| other.key == name).map(|found| brief(&found.node)),
        _ => None,
    }
}

/// What an entry is known by.
fn identity(entry: &Node) -> String {
    let text = |name: &str| member(entry, name);
    let named = |members: &[&str]| -> Option<String> {
        let texts: Vec<String> = members.iter().filter_map(|member| text(member)).collect();
        (!texts.is_empty()).then(|| texts.join(" "))
    };
    let is_account = text("provider").is_some() && text("match").is_none();
    let account = || named(&["provider"]).zip(named(&["id"]).or_else(|| named(&["name"])));
    // an id under another spelling is still the same account's
    let account = account().filter(|_| is_account).map(|(provider, id)| {
        let provider = Provider::named(&provider).map_or(provider, |named| named.to_string());
        let id = if text("id").is_some() { Account::id_key(&provider, &id) } else { id };
        format!("{provider} {id}")
    });
    account
        .or_else(|| named(&["name"]))
        .or_else(|| named(&["customer", "month", "reason"]))
        .or_else(|| named(&["component", "part"]))
        .or_else(|| named(&["service", "environment", "plan"]))
        .or_else(|| named(&["id"]))
        .unwrap_or_else(|| brief(entry))
}

/// A leaf for each field; lists of single values are one field.
fn fields(place: &(String, String), field: String, node: &Node, into: &mut BTreeMap<Place, String>) {
    let inner = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
    match &node.value {
        Value::Map(members) if !members.is_empty() => {
            for member in members {
                fields(place, inner(&member.key), &member.node, into);
            }
        }
        Value::List(items) if items.iter().any(|item| matches!(item.value, Value::Map(_))) => {
            // columns of an export stand in this order
            if place.0 == "export" {
                into.insert((place.0.clone(), place.1.clone(), field), brief(node));
                return;
            }
            for (identity, item) in identified(items) {
                fields(place, inner(&identity), item, into);
            }
        }
        _ => {
            into.insert((place.0.clone(), place.1.clone(), field), brief(node));
        }
    }
}

/// A node as one line.
fn brief(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Scalar { text, .. } => text.clone(),
        Value::List(items) => format!("[{}]", items.iter().map(brief).collect::<Vec<_>>().join(", ")),
        Value::Map(members) => {
            let member = |member: &yaml::Entry| format!("{}: {}", member.key, brief(&member.node));
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../../../examples/catalog.yaml");

    fn shown(before: &str, after: &str) -> Vec<String> {
        let found = differences(before.as_bytes(), after.as_bytes()).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_changed_is_named_by_section_entry_and_field() {
        let after = EXAMPLE
            .replace("percentage: 110", "percentage: 112.5")
            .replace("per_unit: 150", "per_unit: 160")
            .replace("{name: storage, per_unit: 5}", "{name: storage, per_unit: 6}")
            .replace("USD: \"0.8812\"", "USD: \"0.8911\"")
            .replace("region: [europe-west6, europe-west1]", "region: [europe-west6]")
            .replace(
                "  - {name: Team Red,",
                "  - {name: Team Green, cost_center: \"1234500-0000000138\"}\n  - {name: Team Red,",
            );
        assert_eq!(
            shown(EXAMPLE, &after),
            [
                "accounts azure 11111111-2222-3333-4444-555555555555 percentage: 110 -> 112.5",
                "allocations red-traffic match.region: [europe-west6, europe-west1] -> [europe-west6]",
                "components cluster-a parts.storage.per_unit: 5 -> 6",
                "components managed-db price.per_unit: 150 -> 160",
                "customers Team Green cost_center: nothing -> 1234500-0000000138",
                "customers Team Green name: nothing -> Team Green",
                "fx rates.2026-10.USD: 0.8812 -> 0.8911",
            ]
        );
    }

    #[test]
    fn order_counts_where_the_first_that_fits_decides_and_dated_entries_are_told_apart() {
        let rule = |name: &str| format!("  - {{name: {name}, match: {{provider: aws}}}}\n");
        let [one, other] = [[rule("a"), rule("b")], [rule("b"), rule("a")]]
            .map(|rules| format!("allocations:\n{}", rules.concat()));
        assert_eq!(shown(&one, &other), ["allocations order: a, b -> b, a"]);
        let service = |first: u32| {
            format!(
                "services:\n  - name: s\n    components:\n      - {{component: c, part: p, quantity: {first}, to: 2026-12}}\n      \
                 - {{component: c, part: p, quantity: 4, from: 2027-01}}\n"
            )
        };
        assert_eq!(shown(&service(3), &service(30)), ["services s components.c p.quantity: 3 -> 30"]);
        let columns = |columns: &str| format!("export: {{columns: [{columns}]}}\n");
        let swapped = shown(&columns("{title: t, text: x}, name"), &columns("name, {title: t, text: x}"));
        assert_eq!(swapped.len(), 1, "{swapped:?}");
    }

    #[test]
    fn an_account_under_another_spelling_is_the_same_entry() {
        let with = |account: &str| format!("accounts:\n  - {{{account}, customer: blue}}\n");
        let (before, after) =
            (with("provider: azure, id: SUB-1"), with("provider: Microsoft, id: /subscriptions/sub-1"));
        assert_eq!(
            shown(&before, &after),
            [
                "accounts azure sub-1 id: SUB-1 -> /subscriptions/sub-1",
                "accounts azure sub-1 provider: azure -> Microsoft",
            ]
        );
        assert_eq!(shown(&with("provider: aws, id: A"), &with("provider: aws, id: a")).len(), 6);
    }

    #[test]
    fn comments_order_and_writing_are_no_difference() {
        let (one, other) = (
            "customers:\n  - {name: a, email: x}\n  - {name: b}\ncurrency: CHF\n",
            "# a comment\ncurrency: \"CHF\"\ncustomers:\n- name: b\n- email: 'x'\n  name: a\n",
        );
        assert_eq!(shown(one, other), Vec::<String>::new());
        assert_eq!(shown("", ""), Vec::<String>::new());
        assert!(differences(b"[a", b"").is_err());
        assert!(differences(b"- a", b"").unwrap_err().to_string().contains("a mapping of sections"));
    }
}
