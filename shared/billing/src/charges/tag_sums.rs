//! Sums by tag, of so many keys and values as a table can be read with: memory does not grow with a bill whose tags are all different.
//!
//! What is stated must depend neither on the order of rows nor on how they are spread over documents and threads. So nothing is
//! dropped because it comes late: a key with too many values becomes one sum, for good, and with too many keys there are no sums by
//! key at all. How much there is only ever grows, so whatever comes first, the same limits are passed in the end.

use std::collections::{HashMap, HashSet};

use super::totals::Figures;
use crate::identity::{Id, Rule};
use crate::money::MoneyError;

/// How much is remembered; a text of 256 bytes or more counts as several.
#[derive(Debug, PartialEq, Eq)]
struct Limits {
    /// Keys.
    keys: usize,
    /// Values of a key: the first that leaves no more than `all` is taken.
    values: &'static [usize],
    /// Values of all keys; one that has too many counts as one more than it may have.
    all: usize,
}

const LIMITS: Limits = Limits { keys: 2_000, values: &[10_000, 1_000, 100, 10], all: 50_000 };

fn weight(text: &str) -> usize {
    1 + text.len() / 256
}

/// The charges of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum OfKey {
    /// By value, and the weight of the values.
    Values(HashMap<String, Figures>, usize),
    /// Of more values than are remembered.
    Many(Figures),
}

impl Default for OfKey {
    fn default() -> Self {
        Self::Values(HashMap::new(), 0)
    }
}

impl OfKey {
    fn weight(&self, limit: usize) -> usize {
        match self {
            Self::Values(_, weight) => *weight,
            Self::Many(_) => limit + 1,
        }
    }

    fn add(&mut self, value: &str, figures: &Figures, limit: usize) -> Result<(), MoneyError> {
        match self {
            Self::Many(sum) => return sum.add(figures),
            Self::Values(values, all) => match values.get_mut(value) {
                Some(known) => return known.add(figures),
                None => {
                    values.insert(value.to_owned(), *figures);
                    *all += weight(value);
                }
            },
        }
        self.keep_to(limit)
    }

    /// One sum if there are more values.
    fn keep_to(&mut self, limit: usize) -> Result<(), MoneyError> {
        if let Self::Values(values, weight) = self
            && *weight > limit
        {
            let mut sum = Figures::default();
            values.values().try_for_each(|figures| sum.add(figures))?;
            *self = Self::Many(sum);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self, limit: usize) -> Result<(), MoneyError> {
        match other {
            Self::Values(values, _) => {
                values.iter().try_for_each(|(value, figures)| self.add(value, figures, limit))
            }
            Self::Many(mut sum) => {
                match self {
                    Self::Many(mine) => sum.add(mine)?,
                    Self::Values(values, _) => values.values().try_for_each(|figures| sum.add(figures))?,
                }
                *self = Self::Many(sum);
                Ok(())
            }
        }
    }
}

/// What the charges of a bill come to by tag key and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagSums {
    limits: &'static Limits,
    keys: HashMap<String, OfKey>,
    keys_weight: usize,
    /// The place in [`Limits::values`].
    level: usize,
    /// Of the values of all keys.
    weight: usize,
    /// There are more keys than are remembered: none is.
    crowded: bool,
    untagged: Figures,
    /// Of keys whose provider does not tell upper from lower case: one of the spellings.
    spellings: HashMap<String, String>,
}

impl Default for TagSums {
    fn default() -> Self {
        Self::within(&LIMITS)
    }
}

impl TagSums {
    fn within(limits: &'static Limits) -> Self {
        Self {
            limits,
            keys: HashMap::new(),
            keys_weight: 0,
            level: 0,
            weight: 0,
            crowded: false,
            untagged: Figures::default(),
            spellings: HashMap::new(),
        }
    }

    /// The sums of a key by value; nothing if no charge has it, or if it has too many values.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&HashMap<String, Figures>> {
        match self.keys.get(key)? {
            OfKey::Values(values, _) => Some(values),
            OfKey::Many(_) => None,
        }
    }

    /// The charges that have no tag at all.
    #[must_use]
    pub fn untagged(&self) -> Figures {
        self.untagged
    }

    /// The keys and their values in order, as a table states them.
    pub(crate) fn rows(&self) -> Vec<(&str, Vec<(String, Figures)>)> {
        let of = |(key, of): (&'_ String, &'_ OfKey)| match of {
            OfKey::Many(sum) => vec![(format!("(more than {} values)", self.limit()), *sum)],
            OfKey::Values(values, _) => {
                let mut rows: Vec<_> =
                    values.iter().map(|(value, figures)| (value.clone(), *figures)).collect();
                rows.sort_by(|a, b| a.0.cmp(&b.0));
                debug_assert!(!rows.is_empty(), "{key}");
                rows
            }
        };
        let keys = self
            .keys
            .iter()
            .map(|entry| (self.spellings.get(entry.0).unwrap_or(entry.0).as_str(), of(entry)));
        let mut keys: Vec<_> = keys.collect();
        keys.sort_by_key(|(key, _)| *key);
        keys
    }

    /// What stands in the place of the keys if there are too many.
    pub(crate) fn crowd(&self) -> Option<String> {
        self.crowded.then(|| format!("(more than {} keys)", self.limits.keys))
    }

    /// Adds charges with these tags; no two have the same key.
    pub(crate) fn add(
        &mut self,
        tags: &[(String, String)],
        rule: Rule,
        figures: &Figures,
    ) -> Result<(), MoneyError> {
        if tags.is_empty() {
            return self.untagged.add(figures);
        }
        if rule == Rule::Exact {
            return self.add_pairs(tags.iter().map(|(key, value)| (key.as_str(), value)), figures);
        }
        let mut seen = HashSet::new();
        let keys = tags.iter().map(|(key, value)| (rule.key(Id::TagKey, key).into_owned(), key, value));
        let keys: Vec<_> = keys.filter(|(key, _, _)| seen.insert(key.clone())).collect();
        for (key, spelling, _) in &keys {
            self.spell(key, spelling);
        }
        self.add_pairs(keys.iter().map(|(key, _, value)| (key.as_str(), *value)), figures)
    }

    /// Which spelling is shown does not depend on the order of rows.
    fn spell(&mut self, key: &str, spelling: &str) {
        let is_full = self.crowded || self.spellings.len() > self.limits.keys;
        match self.spellings.get_mut(key) {
            Some(standing) if spelling > standing.as_str() => spelling.clone_into(standing),
            Some(_) => {}
            // as many as there are keys
            None if is_full => {}
            None => drop(self.spellings.insert(key.to_owned(), spelling.to_owned())),
        }
    }

    fn add_pairs<'t>(
        &mut self,
        tags: impl Iterator<Item = (&'t str, &'t String)>,
        figures: &Figures,
    ) -> Result<(), MoneyError> {
        for (key, value) in tags {
            let limit = self.limit();
            let Some(of) = self.of(key) else { return Ok(()) };
            let before = of.weight(limit);
            of.add(value, figures, limit)?;
            let after = of.weight(limit);
            self.weight = self.weight - before + after;
            self.tighten()?;
        }
        Ok(())
    }

    /// Both together.
    pub(super) fn merge(&mut self, mut other: Self) -> Result<(), MoneyError> {
        self.untagged.add(&other.untagged)?;
        if other.crowded {
            self.give_up();
        }
        if self.crowded {
            return Ok(());
        }
        for (key, spelling) in std::mem::take(&mut other.spellings) {
            self.spell(&key, &spelling);
        }
        let level = self.level.max(other.level);
        self.lower_to(level)?;
        other.lower_to(level)?;
        let limit = self.limit();
        for (key, values) in other.keys {
            let Some(of) = self.of(&key) else { return Ok(()) };
            of.merge(values, limit)?;
        }
        self.weigh();
        self.tighten()
    }

    fn limit(&self) -> usize {
        self.limits.values[self.level]
    }

    /// The sums of a key, which may be new; nothing if there are too many keys.
    fn of(&mut self, key: &str) -> Option<&mut OfKey> {
        if !self.crowded && !self.keys.contains_key(key) {
            self.keys_weight += weight(key);
            if self.keys_weight > self.limits.keys {
                self.give_up();
            } else {
                self.keys.insert(key.to_owned(), OfKey::default());
            }
        }
        self.keys.get_mut(key)
    }

    fn give_up(&mut self) {
        *self = Self { crowded: true, untagged: self.untagged, ..Self::within(self.limits) };
    }

    /// Fewer values of each key while there are too many of all.
    fn tighten(&mut self) -> Result<(), MoneyError> {
        while self.weight > self.limits.all && self.level + 1 < self.limits.values.len() {
            self.lower_to(self.level + 1)?;
        }
        Ok(())
    }

    fn lower_to(&mut self, level: usize) -> Result<(), MoneyError> {
        if level != self.level {
            self.level = level;
            let limit = self.limit();
            self.keys.values_mut().try_for_each(|of| of.keep_to(limit))?;
            self.weigh();
        }
        Ok(())
    }

    fn weigh(&mut self) {
        let limit = self.limit();
        self.weight = self.keys.values().map(|of| of.weight(limit)).sum();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::money::Amount;

    const FEW: Limits = Limits { keys: 5, values: &[4, 2, 1], all: 11 };

    type Tagged = (Vec<(String, String)>, Figures);

    fn figures(units: i128) -> Figures {
        let billed = Amount::scaled(units, 2).unwrap();
        Figures::of(billed, Some(billed), 1)
    }

    /// Rows with tags of a few keys, each once.
    fn any_rows() -> impl Strategy<Value = Vec<Tagged>> {
        let keys = prop_oneof![3 => 1u8..5, 1 => 1u8..8];
        let tags = keys.prop_flat_map(|keys| prop::collection::btree_map(0..keys, 0u8..6, 0..4));
        let row = (tags, -999i128..999).prop_map(|(tags, units)| {
            let text = |(key, value): (u8, u8)| (format!("k{key}"), format!("v{value}"));
            (tags.into_iter().map(text).collect(), figures(units))
        });
        prop::collection::vec(row, 0..60)
    }

    fn sums(rows: &[Tagged]) -> TagSums {
        let mut sums = TagSums::within(&FEW);
        rows.iter().for_each(|(tags, figures)| sums.add(tags, Rule::Exact, figures).unwrap());
        sums
    }

    fn total(rows: &[Tagged], with: impl Fn(&[(String, String)]) -> bool) -> Figures {
        let mut total = Figures::default();
        rows.iter().filter(|(tags, _)| with(tags)).for_each(|(_, figures)| total.add(figures).unwrap());
        total
    }

    /// What the module says, of all rows at once.
    fn expected(rows: &[Tagged]) -> Vec<(String, Vec<(String, Figures)>)> {
        let mut values: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
        for (key, value) in rows.iter().flat_map(|(tags, _)| tags) {
            values.entry(key).or_default().insert(value);
        }
        if values.len() > FEW.keys {
            return Vec::new();
        }
        let all = |limit: usize| values.values().map(|values| values.len().min(limit + 1)).sum::<usize>();
        let limit = FEW.values.iter().copied().find(|limit| all(*limit) <= FEW.all).unwrap_or(1);
        let of = |(key, values): (&&String, &BTreeSet<&String>)| {
            let has = |tags: &[(String, String)], value: Option<&String>| {
                tags.iter().any(|tag| tag.0 == **key && value.is_none_or(|value| tag.1 == *value))
            };
            let each =
                values.iter().map(|value| ((*value).clone(), total(rows, |tags| has(tags, Some(value)))));
            let many = || (format!("(more than {limit} values)"), total(rows, |tags| has(tags, None)));
            ((*key).clone(), if values.len() > limit { vec![many()] } else { each.collect() })
        };
        values.iter().map(of).collect()
    }

    fn stated(sums: &TagSums) -> Vec<(String, Vec<(String, Figures)>)> {
        sums.rows().into_iter().map(|(key, values)| (key.to_owned(), values)).collect()
    }

    proptest! {
        #[test]
        fn neither_the_order_nor_the_split_of_rows_changes_what_is_stated(
            (rows, mixed) in any_rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
            cuts in prop::array::uniform3(0usize..60),
            backward in any::<bool>(),
        ) {
            let once = sums(&rows);
            prop_assert_eq!(stated(&once), expected(&rows));
            prop_assert_eq!(once.untagged(), total(&rows, <[_]>::is_empty));
            let mut cuts = cuts.map(|cut| cut.min(mixed.len()));
            cuts.sort_unstable();
            let parts = [&mixed[..cuts[0]], &mixed[cuts[0]..cuts[1]], &mixed[cuts[1]..cuts[2]], &mixed[cuts[2]..]];
            let mut parts: Vec<TagSums> = parts.iter().map(|part| sums(part)).collect();
            if backward {
                parts.reverse();
            }
            let mut together = TagSums::within(&FEW);
            parts.into_iter().for_each(|part| together.merge(part).unwrap());
            prop_assert_eq!(together, once);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let tags = |key: usize, value: String| vec![(format!("k{key}"), value)];
        let mut sums = TagSums::default();
        for value in 0..10_001 {
            sums.add(&tags(0, format!("{value}")), Rule::Exact, &figures(1)).unwrap();
        }
        assert_eq!(sums.get("k0"), None);
        assert_eq!(sums.rows()[0].1[0].0, "(more than 10000 values)");
        assert_eq!(sums.rows()[0].1[0].1.charges, 10_001);
        // long values count as several
        for value in 0..4_000 {
            sums.add(&tags(1, format!("{value:0600}")), Rule::Exact, &figures(1)).unwrap();
        }
        assert_eq!(sums.get("k1"), None);
        for key in 2..1_900 {
            sums.add(&tags(key, "v".to_owned()), Rule::Exact, &figures(1)).unwrap();
            sums.add(&tags(2, format!("{key}")), Rule::Exact, &figures(1)).unwrap();
        }
        assert_eq!((sums.get("k2").unwrap().len(), sums.get("k3").unwrap().len()), (1_899, 1));
        for (key, value) in (10..16).flat_map(|key| (0..9_000).map(move |value| (key, value))) {
            sums.add(&tags(key, format!("{value}")), Rule::Exact, &figures(1)).unwrap();
        }
        assert_eq!(sums.get("k2"), None);
        assert!(sums.weight <= LIMITS.all && sums.get("k3").is_some());
        for key in 1_900..2_001 {
            sums.add(&tags(key, "v".to_owned()), Rule::Exact, &figures(1)).unwrap();
        }
        assert_eq!((sums.rows().len(), sums.crowd().as_deref()), (0, Some("(more than 2000 keys)")));
    }
}
