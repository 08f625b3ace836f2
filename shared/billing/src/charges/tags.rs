//! Tags as key and value, from what providers write: a JSON object, with or without its braces, or a JSON list of key and value.
//!
//! Tags are no money: what cannot be read holds nothing, but is told, because rules may decide by it.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::identity::{Id, Rule};
use crate::text::clean;

/// Tags that were read: no key stands twice.
pub(crate) type Pairs = Vec<(String, String)>;

/// The tags of a text, in the order of their keys; null values are empty, others that are no text keep their JSON.
///
/// # Errors
/// Says what is wrong with the text.
pub(crate) fn parse(text: Option<&str>) -> Result<Pairs, String> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    let with_braces = match text.starts_with(['{', '[']) {
        true => text.to_owned(),
        false => format!("{{{text}}}"),
    };
    let Read(tags) = serde_json::from_str(&with_braces).map_err(|error| {
        format!("the tags are neither a JSON object nor a list of key and value: {error}")
    })?;
    sorted(tags)
}

/// The tags of a part of a shared resource: those of the resource, with the part's own over them. No two keys are the same by the
/// rule of their provider.
///
/// # Errors
/// Says what is wrong with a text.
pub fn overlaid(
    tags: Option<&str>,
    allocated: Option<&str>,
    rule: Rule,
) -> Result<Vec<(String, String)>, String> {
    Ok(first_of_each([parse(allocated)?, parse(tags)?], rule))
}

/// Of each key the first tag.
pub(super) fn first_of_each(tags: impl IntoIterator<Item = Pairs>, rule: Rule) -> Pairs {
    let mut seen = HashSet::new();
    let is_first = |(key, _): &(String, String)| seen.insert(rule.key(Id::TagKey, key).into_owned());
    tags.into_iter().flatten().filter(is_first).collect()
}

/// Begins what readers hand on in place of a cell that can be no tags, so that nothing takes it for some.
pub(super) const UNREADABLE: char = '\u{fffd}';

/// The tags of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowTags {
    /// What sums are made of: of keys that are the same by the provider's rule, the first counts.
    pub pairs: Vec<(String, String)>,
    /// FOCUS `Tags`: a flat JSON object; nothing if there are none.
    pub json: Option<String>,
    /// FOCUS `AllocatedTags`, in the same way; `pairs` has them too.
    pub allocated: Option<String>,
    /// The text of tags that cannot be read: there are no `pairs` then. What can be read of tags and allocated tags stays in its
    /// column.
    pub unread: Option<String>,
}

impl RowTags {
    /// What `named` makes of the tags of some texts.
    pub(super) fn of<const N: usize>(
        texts: [Option<&str>; N],
        named: impl FnOnce([Pairs; N]) -> Pairs,
    ) -> Self {
        match Self::read(texts) {
            Ok(read) => {
                let pairs = named(read);
                Self { json: to_json(&pairs), pairs, ..Self::default() }
            }
            Err(unread) => unread,
        }
    }

    /// Tags, and those of the part of a shared resource that the row is for.
    pub(super) fn allocated(tags: Option<&str>, allocated: Option<&str>) -> Self {
        match Self::read([tags, allocated]) {
            Ok([tags, allocated]) => Self {
                json: to_json(&tags),
                allocated: to_json(&allocated),
                // whose rule it is, the row does not know
                pairs: first_of_each([allocated, tags], Rule::Exact),
                unread: None,
            },
            Err(unread) => {
                let readable = |text| parse(text).ok().and_then(|pairs| to_json(&pairs));
                Self { json: readable(tags), allocated: readable(allocated), ..unread }
            }
        }
    }

    fn read<const N: usize>(texts: [Option<&str>; N]) -> Result<[Pairs; N], Self> {
        let mut read = [const { Pairs::new() }; N];
        for (text, pairs) in texts.into_iter().zip(&mut read) {
            // readers mark cells that are no text of tags at all
            let unread = |text: &str| text.strip_prefix(UNREADABLE).unwrap_or(text).to_owned();
            *pairs = parse(text).map_err(|_| Self { unread: text.map(unread), ..Self::default() })?;
        }
        Ok(read)
    }
}

/// In the order of their keys. What stands twice with one value is one tag.
fn sorted(tags: Vec<(String, Value)>) -> Result<Pairs, String> {
    let plain = |(key, value): (String, Value)| {
        let value = match value {
            Value::String(text) => clean(&text).into_owned(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        (clean(&key).into_owned(), value)
    };
    let mut tags: Pairs = tags.into_iter().map(plain).collect();
    tags.sort();
    tags.dedup();
    match tags.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(format!("the tag '{}' stands twice, with different values", pair[0].0)),
        None => Ok(tags),
    }
}

/// A flat JSON object, or nothing where there are no tags.
pub(super) fn to_json(tags: &[(String, String)]) -> Option<String> {
    let object: serde_json::Map<String, Value> =
        tags.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect();
    (!object.is_empty()).then(|| Value::Object(object).to_string())
}

/// The members of an object, each as often as it stands there, or the entries of a list.
struct Read(Vec<(String, Value)>);

#[derive(serde::Deserialize)]
struct Entry {
    #[serde(alias = "Key")]
    key: String,
    #[serde(default, alias = "Value")]
    value: Value,
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReadVisitor;
        impl<'de> Visitor<'de> for ReadVisitor {
            type Value = Read;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tags")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
                let mut tags = Vec::new();
                while let Some(member) = map.next_entry()? {
                    tags.push(member);
                }
                Ok(Read(tags))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Read, A::Error> {
                let mut tags = Vec::new();
                while let Some(Entry { key, value }) = list.next_element()? {
                    tags.push((key, value));
                }
                Ok(Read(tags))
            }
        }
        deserializer.deserialize_any(ReadVisitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(Some(text)).unwrap()
    }

    #[test]
    fn tags_are_an_object_with_or_without_braces_or_a_list() {
        let expected = [("env".to_owned(), "prod".to_owned()), ("team".to_owned(), "x".to_owned())];
        for text in [
            r#"{"team": "x", "env": "prod"}"#,
            r#""team": "x", "env": "prod""#,
            r#"[{"key": "team", "value": "x"}, {"key": "env", "value": "prod"}]"#,
            r#"[{"Key": "team", "Value": "x"}, {"Key": "env", "Value": "prod"}]"#,
            "{\"\u{feff}team\": \" x \", \"env\": \"prod\"}",
            r#"{"team": "x", "env": "prod", "team": "x"}"#,
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        assert_eq!(read(r#"{"a": null, "b": 7}"#), [("a".into(), String::new()), ("b".into(), "7".into())]);
        assert_eq!((read(""), read("{}"), read("[]")), (vec![], vec![], vec![]));
    }

    #[test]
    fn what_is_no_set_of_tags_is_none() {
        for text in ["team=x", "{\"team\": ", "[1]", "[{\"value\": \"x\"}]", r#"{"team": "x", "team": "y"}"#]
        {
            assert!(parse(Some(text)).is_err(), "{text}");
            let unread = RowTags { unread: Some(text.to_owned()), ..RowTags::default() };
            assert_eq!(RowTags::of([Some(text)], |[pairs]| pairs), unread);
            let good = Some(r#"{"team": "x"}"#);
            // which of them counts is not known, so neither decides anything; the readable one stays where it is
            let json = Some(r#"{"team":"x"}"#.to_owned());
            let kept = RowTags { json: json.clone(), ..unread.clone() };
            assert_eq!(RowTags::allocated(good, Some(text)), kept);
            assert_eq!(RowTags::allocated(Some(text), good), RowTags { allocated: json, ..unread });
        }
        let marked = RowTags::of([Some("\u{fffd}a list of texts")], |[pairs]| pairs);
        assert_eq!(marked.unread.as_deref(), Some("a list of texts"), "without the mark of the reader");
    }

    #[test]
    fn the_tags_of_a_part_stand_over_those_of_the_whole() {
        let (node, pod) = (r#"{"team": "platform", "env": "prod"}"#, r#"{"Team": "blue"}"#);
        let names = |rule| {
            let tags = overlaid(Some(node), Some(pod), rule).unwrap();
            tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(Rule::of("azure")), "Team=blue env=prod");
        assert_eq!(names(Rule::Exact), "Team=blue env=prod team=platform");
        let row = RowTags::allocated(Some(node), Some(pod));
        assert_eq!(row.json.as_deref(), Some(r#"{"env":"prod","team":"platform"}"#));
        assert_eq!(row.allocated.as_deref(), Some(r#"{"Team":"blue"}"#));
        assert_eq!(overlaid(None, None, Rule::Exact), Ok(Vec::new()));
    }

    fn any_tags() -> impl Strategy<Value = BTreeMap<String, String>> {
        prop::collection::btree_map("[aAbB]{1,2}", "[xyz]", 0..5)
    }

    proptest! {
        /// Each key has the part's value if the part has the key, else the whole's; there are no others.
        #[test]
        fn a_key_is_the_parts_before_the_wholes(whole in any_tags(), part in any_tags(), is_azure in any::<bool>()) {
            let rule = if is_azure { Rule::of("azure") } else { Rule::Exact };
            let same = |key: &str| rule.key(Id::TagKey, key).into_owned();
            let first = |tags: &BTreeMap<String, String>, wanted: &str| {
                tags.iter().find(|(key, _)| same(key) == wanted).map(|(_, value)| value.clone())
            };
            let text = |tags: &BTreeMap<String, String>| serde_json::to_string(tags).unwrap();
            let found = overlaid(Some(&text(&whole)), Some(&text(&part)), rule).unwrap();
            let keys: BTreeSet<String> = whole.keys().chain(part.keys()).map(|key| same(key)).collect();
            let expected: BTreeMap<String, Option<String>> = keys
                .into_iter()
                .map(|key| (key.clone(), first(&part, &key).or_else(|| first(&whole, &key))))
                .collect();
            prop_assert_eq!(found.len(), expected.len());
            for (key, value) in found {
                prop_assert_eq!(Some(&Some(value)), expected.get(&same(&key)));
            }
        }
    }
}
