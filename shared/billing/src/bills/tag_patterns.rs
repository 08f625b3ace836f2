//! Patterns on tags: their keys are compared by the rule of the charge's provider, their values as they are, cleaned.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::facts::Tags;
use super::patterns::{Dimension, Of, Pattern, Sets, at, is_blank};
use super::placer::BadTags;
use crate::charges::parse_tags;
use crate::identity::{Id, Rule};
use crate::text::clean;

/// Bytes of distinct tags that are remembered before this begins again.
const REMEMBERED: usize = 8 << 20;

/// The number of tags that cannot be read: any pattern might fit them.
pub(super) const UNREAD: u32 = u32::MAX;

/// The patterns on values, by tag key.
#[derive(Debug, Default)]
pub(super) struct TagPatterns {
    keys: Vec<(String, Dimension)>,
    known: [HashMap<Box<str>, u32, RandomState>; 2],
    known_bytes: usize,
}

impl TagPatterns {
    /// The patterns on the values of a key.
    pub(super) fn of(&mut self, key: &str) -> &mut Dimension {
        let key = clean(key);
        let at = self.keys.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            self.keys.push((key.into_owned(), Dimension::new(Of::Text)));
            self.keys.len() - 1
        });
        &mut self.keys[at].1
    }

    /// The number of the set of patterns that tags fit.
    pub(super) fn find(&mut self, sets: &mut Sets, rule: Rule, tags: Tags<'_>) -> Result<u32, BadTags> {
        if self.keys.is_empty() {
            return Ok(0);
        }
        match tags {
            Tags::None => Ok(0),
            Tags::Unread(_) => Ok(UNREAD),
            Tags::Pairs(pairs) => Ok(sets.number(self.fitting(rule, pairs.iter().copied()))),
            Tags::Json(text) => {
                if let Some(known) = self.known[at(rule)].get(text) {
                    return Ok(*known);
                }
                let pairs = parse_tags(Some(text)).map_err(BadTags)?;
                let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                let number = sets.number(self.fitting(rule, pairs));
                self.remember(rule, text, number);
                Ok(number)
            }
        }
    }

    fn remember(&mut self, rule: Rule, text: &str, number: u32) {
        self.known_bytes += text.len() + 64;
        if self.known_bytes > REMEMBERED {
            self.known.iter_mut().for_each(HashMap::clear);
            self.known_bytes = 0;
        }
        self.known[at(rule)].insert(text.into(), number);
    }

    fn fitting<'t>(&self, rule: Rule, pairs: impl Iterator<Item = (&'t str, &'t str)>) -> Vec<Pattern> {
        let mut fitting = Vec::new();
        for (key, value) in pairs.filter(|(_, value)| !is_blank(value)) {
            let same = self.keys.iter().filter(|(known, _)| rule.same(Id::TagKey, known, key));
            same.for_each(|(_, values)| fitting.extend(values.fitting(Rule::Exact, value)));
        }
        fitting
    }
}

/// The value of a tag, cleaned; empty if there is none.
pub(super) fn value_of(rule: Rule, tag: &str, tags: Tags<'_>) -> String {
    let is_it = |key: &str, value: &str| rule.same(Id::TagKey, tag, key) && !is_blank(value);
    let value = match tags {
        Tags::None | Tags::Unread(_) => None,
        Tags::Pairs(pairs) => {
            pairs.iter().find(|(key, value)| is_it(key, value)).map(|(_, value)| (*value).to_owned())
        }
        Tags::Json(text) => {
            let pairs = parse_tags(Some(text)).unwrap_or_default();
            pairs.into_iter().find(|(key, value)| is_it(key, value)).map(|(_, value)| value)
        }
    };
    value.map(|value| clean(&value).into_owned()).unwrap_or_default()
}
