//! Patterns by dimension: which of them a text fits is found out once for each distinct text, by the rule of the charge's provider.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::identity::{Id, Rule};
use crate::ids::Provider;
use crate::text::clean;

/// Bytes of distinct texts that one dimension remembers before it begins again.
const REMEMBERED: usize = 4 << 20;

/// Number of a pattern, unique among all dimensions.
pub(super) type Pattern = u32;

/// A text with `*` for any text.
#[derive(Clone, Debug)]
struct Glob {
    first: String,
    middle: Vec<String>,
    last: String,
}

impl Glob {
    /// Nothing if there is no star in the text.
    fn new(text: &str) -> Option<Self> {
        let mut parts = text.split('*').map(str::to_owned);
        let first = parts.next()?;
        let mut middle: Vec<String> = parts.collect();
        let last = middle.pop()?;
        Some(Self { first, middle, last })
    }

    fn fits(&self, text: &str) -> bool {
        let Some(rest) = text.strip_prefix(self.first.as_str()) else { return false };
        let Some(mut rest) = rest.strip_suffix(self.last.as_str()) else { return false };
        for part in &self.middle {
            let Some(at) = rest.find(part.as_str()) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

/// What the texts of a dimension are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Of {
    /// A text that is the same for all providers: a name, a tag's value.
    #[default]
    Text,
    /// A provider, by any of its names.
    Provider,
    /// An identifier: which are the same is for the charge's provider to say.
    Id(Id),
}

impl Of {
    /// What texts that are the same have in common.
    fn key(self, rule: Rule, text: &str) -> Cow<'_, str> {
        match self {
            Self::Text => clean(text),
            Self::Provider => Provider::named(text).map_or_else(|_| clean(text), |p| p.to_string().into()),
            Self::Id(id) => rule.key(id, text),
        }
    }

    /// The whole of a text, with the path that may stand before an identifier.
    fn whole(self, rule: Rule, text: &str) -> Cow<'_, str> {
        match self {
            Self::Text | Self::Provider => clean(text),
            Self::Id(_) => rule.key(Id::Resource, text),
        }
    }

    /// A pattern with a star fits what it says; without the path before it, if nothing but that is cut off.
    fn globs(self, rule: Rule, text: &str) -> Vec<Glob> {
        let whole = self.whole(rule, text);
        let key = match self {
            Self::Id(_) => self.key(rule, text),
            Self::Text | Self::Provider => whole.clone(),
        };
        // of a profile's path the account is cut off, too
        let is_cut = key != whole && !whole.contains("/billingprofiles/");
        let texts = std::iter::once(&whole).chain(is_cut.then_some(&key));
        texts.filter_map(|text| Glob::new(text)).collect()
    }
}

/// The patterns for charges of providers that have one rule.
#[derive(Debug, Default)]
struct ByRule {
    exact: HashMap<String, Vec<Pattern>, RandomState>,
    globs: Vec<(Vec<Glob>, Pattern)>,
    known: HashMap<Box<str>, u32, RandomState>,
}

const RULES: [Rule; 2] = [Rule::Exact, Rule::Azure];

/// The place of what is kept for a rule.
pub(super) fn at(rule: Rule) -> usize {
    match rule {
        Rule::Exact => 0,
        Rule::Azure => 1,
    }
}

/// The patterns on one field of a charge.
#[derive(Debug, Default)]
pub(super) struct Dimension {
    of: Of,
    rules: [ByRule; 2],
    globs: HashMap<String, Pattern, RandomState>,
    absent: Vec<Pattern>,
    known_bytes: usize,
    known_absent: Option<u32>,
}

/// The sets of patterns that texts fit, each with a number.
#[derive(Debug)]
pub(super) struct Sets {
    sets: Vec<Vec<Pattern>>,
    numbers: HashMap<Vec<Pattern>, u32, RandomState>,
    patterns: Pattern,
}

impl Default for Sets {
    fn default() -> Self {
        let numbers = std::iter::once((Vec::new(), 0)).collect();
        Self { sets: vec![Vec::new()], numbers, patterns: 0 }
    }
}

impl Sets {
    pub(super) fn number(&mut self, mut set: Vec<Pattern>) -> u32 {
        set.sort_unstable();
        set.dedup();
        if let Some(number) = self.numbers.get(&set) {
            return *number;
        }
        let number = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.sets.push(set.clone());
        self.numbers.insert(set, number);
        number
    }

    pub(super) fn set(&self, number: u32) -> &[Pattern] {
        self.sets.get(number as usize).map_or(&[], Vec::as_slice)
    }

    fn pattern(&mut self) -> Pattern {
        self.patterns += 1;
        self.patterns
    }
}

impl Dimension {
    pub(super) fn new(of: Of) -> Self {
        Self { of, ..Self::default() }
    }

    /// A pattern of the catalog: with a star it is a glob, else exact.
    pub(super) fn pattern(&mut self, sets: &mut Sets, text: &str) -> Pattern {
        if !text.contains('*') {
            return self.exactly(sets, text);
        }
        if let Some(known) = self.globs.get(text) {
            return *known;
        }
        let pattern = sets.pattern();
        self.globs.insert(text.to_owned(), pattern);
        for rule in RULES {
            self.rules[at(rule)].globs.push((self.of.globs(rule, text), pattern));
        }
        pattern
    }

    /// A text that stands for itself, stars too.
    pub(super) fn exactly(&mut self, sets: &mut Sets, text: &str) -> Pattern {
        let known = &self.rules[at(Rule::Exact)].exact;
        // a key is its own key, and most texts of a catalog are keys
        let known = known.get(text).or_else(|| known.get(self.of.key(Rule::Exact, text).as_ref()));
        if let Some(known) = known.and_then(|known| known.first()) {
            return *known;
        }
        let pattern = sets.pattern();
        for rule in RULES {
            let key = self.of.key(rule, text).into_owned();
            self.rules[at(rule)].exact.entry(key).or_default().push(pattern);
        }
        pattern
    }

    /// That there is no text at all.
    pub(super) fn absent(&mut self, sets: &mut Sets) -> Pattern {
        if self.absent.is_empty() {
            self.absent.push(sets.pattern());
        }
        self.absent[0]
    }

    /// The number of the set of patterns that a text fits. An empty text is none.
    pub(super) fn find(&mut self, sets: &mut Sets, rule: Rule, text: Option<&str>) -> u32 {
        let Some(text) = text.filter(|text| !is_blank(text)) else {
            return *self.known_absent.get_or_insert_with(|| sets.number(self.absent.clone()));
        };
        let patterns = &self.rules[at(rule)];
        if patterns.exact.is_empty() && patterns.globs.is_empty() {
            return 0;
        }
        if let Some(known) = patterns.known.get(text) {
            return *known;
        }
        let number = sets.number(self.fitting(rule, text));
        self.known_bytes += text.len() + 64;
        if self.known_bytes > REMEMBERED {
            self.rules.iter_mut().for_each(|rule| rule.known.clear());
            self.known_bytes = 0;
        }
        self.rules[at(rule)].known.insert(text.into(), number);
        number
    }

    /// The patterns that a text fits.
    pub(super) fn fitting(&self, rule: Rule, text: &str) -> Vec<Pattern> {
        let patterns = &self.rules[at(rule)];
        let (key, whole) = (self.of.key(rule, text), self.of.whole(rule, text));
        let exact = patterns.exact.get(key.as_ref()).into_iter().flatten().copied();
        let fits = |globs: &[Glob]| globs.iter().any(|glob| glob.fits(&whole) || glob.fits(&key));
        let globs = patterns.globs.iter().filter(|(globs, _)| fits(globs)).map(|(_, pattern)| *pattern);
        exact.chain(globs).collect()
    }
}

/// Whether nothing is left of a text once it is cleaned.
pub(super) fn is_blank(text: &str) -> bool {
    let is_seen = text.as_bytes().first().is_some_and(u8::is_ascii_graphic);
    !is_seen && clean(text).is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (glob, text, fits) in [
            ("AWS Support*", "AWS Support (Business)", true),
            ("AWS Support*", "AWS Support", true),
            ("*prod*", "my-prod-1", true),
            ("a*a", "a", false),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "a--c", false),
            ("*", "anything", true),
            ("*ab*ab", "ab", false),
            ("*ab*ab", "abab", true),
        ] {
            assert_eq!(Glob::new(glob).unwrap().fits(text), fits, "{glob} on {text}");
        }
    }

    #[test]
    fn forgetting_texts_changes_no_answer() {
        let (mut sets, mut dimension) = (Sets::default(), Dimension::new(Of::Id(Id::Resource)));
        let (even, all) = (dimension.pattern(&mut sets, "*0"), dimension.pattern(&mut sets, "r*"));
        for (at, rule) in
            (0..60_000).map(|at| (at, RULES[at % 2])).chain((0..60_000).map(|at| (at, RULES[0])))
        {
            let number = dimension.find(&mut sets, rule, Some(&format!("r{at}")));
            let expected: &[Pattern] = if at % 10 == 0 { &[even, all] } else { &[all] };
            assert_eq!(sets.set(number), expected);
            assert!(dimension.known_bytes <= REMEMBERED);
        }
        let mut none = |text| dimension.find(&mut sets, Rule::Exact, text);
        assert_eq!([none(None), none(Some("")), none(Some("\u{feff} "))], [0, 0, 0]);
    }

    fn slow(glob: &[char], text: &[char]) -> bool {
        match glob.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|at| slow(rest, &text[at..])),
            Some((first, rest)) => text.split_first().is_some_and(|(c, text)| c == first && slow(rest, text)),
        }
    }

    fn any_text() -> impl Strategy<Value = String> {
        let path = prop::sample::select(vec!["", "/subscriptions/", "/SUBSCRIPTIONS/", "/x/"]);
        (path, "[aAbB/\u{feff} ]{1,4}").prop_map(|(path, rest)| format!("{path}{rest}"))
    }

    proptest! {
        #[test]
        fn globs_agree_with_trying_everything(glob in "[ab]{0,2}\\*[ab*]{0,5}", text in "[ab]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Glob::new(&glob).unwrap().fits(&text), slow(&chars(&glob), &chars(&text)));
        }

        #[test]
        fn exact_patterns_fit_what_is_the_same_by_either_rule(patterns in prop::collection::vec(any_text(), 1..4), text in any_text()) {
            for id in [Id::SubAccount, Id::Resource] {
                let (mut sets, mut dimension) = (Sets::default(), Dimension::new(Of::Id(id)));
                let numbers: Vec<Pattern> = patterns.iter().map(|text| dimension.exactly(&mut sets, text)).collect();
                for rule in RULES {
                    let number = dimension.find(&mut sets, rule, Some(&text));
                    for (pattern, number_of) in patterns.iter().zip(&numbers) {
                        let fits = !is_blank(&text) && rule.same(id, pattern, &text);
                        prop_assert_eq!(sets.set(number).contains(number_of), fits, "{:?} {:?} {}", rule, id, pattern);
                    }
                }
            }
        }

        #[test]
        fn what_fits_letter_by_letter_fits_by_every_rule(glob in "[aA]{0,2}\\*[aA*/]{0,3}", text in any_text()) {
            let (mut sets, mut dimension) = (Sets::default(), Dimension::new(Of::Id(Id::SubAccount)));
            let pattern = dimension.pattern(&mut sets, &glob);
            let [exact, azure] = RULES.map(|rule| dimension.fitting(rule, &text).contains(&pattern));
            prop_assert!(azure || !exact);
        }
    }
}
