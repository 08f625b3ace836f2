//! Patterns by dimension: which of them a text fits is found out once for each distinct text.

use std::collections::HashMap;

use foldhash::fast::RandomState;

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

/// The patterns on one field of a charge.
#[derive(Debug, Default)]
pub(super) struct Dimension {
    exact: HashMap<String, Vec<Pattern>, RandomState>,
    globs: Vec<(String, Glob, Pattern)>,
    absent: Vec<Pattern>,
    known: HashMap<Box<str>, u32, RandomState>,
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
    /// A pattern of the catalog: with a star it is a glob, else exact.
    pub(super) fn pattern(&mut self, sets: &mut Sets, text: &str) -> Pattern {
        let Some(glob) = Glob::new(text) else { return self.exactly(sets, text) };
        if let Some((_, _, known)) = self.globs.iter().find(|(known, _, _)| known == text) {
            return *known;
        }
        let pattern = sets.pattern();
        self.globs.push((text.to_owned(), glob, pattern));
        pattern
    }

    /// A text that stands for itself, stars too.
    pub(super) fn exactly(&mut self, sets: &mut Sets, text: &str) -> Pattern {
        let known = self.exact.entry(text.to_owned()).or_default();
        if known.is_empty() {
            known.push(sets.pattern());
        }
        known[0]
    }

    /// That there is no text at all.
    pub(super) fn absent(&mut self, sets: &mut Sets) -> Pattern {
        if self.absent.is_empty() {
            self.absent.push(sets.pattern());
        }
        self.absent[0]
    }

    /// The number of the set of patterns that a text fits. An empty text is none.
    pub(super) fn find(&mut self, sets: &mut Sets, text: Option<&str>) -> u32 {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return *self.known_absent.get_or_insert_with(|| sets.number(self.absent.clone()));
        };
        if self.exact.is_empty() && self.globs.is_empty() {
            return 0;
        }
        if let Some(known) = self.known.get(text) {
            return *known;
        }
        let number = sets.number(self.fitting(text));
        self.known_bytes += text.len() + 64;
        if self.known_bytes > REMEMBERED {
            self.known.clear();
            self.known_bytes = 0;
        }
        self.known.insert(text.into(), number);
        number
    }

    /// The patterns that a text fits.
    pub(super) fn fitting(&self, text: &str) -> Vec<Pattern> {
        let exact = self.exact.get(text).into_iter().flatten().copied();
        let globs = self.globs.iter().filter(|(_, glob, _)| glob.fits(text)).map(|(_, _, pattern)| *pattern);
        exact.chain(globs).collect()
    }
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
        let (mut sets, mut dimension) = (Sets::default(), Dimension::default());
        let (even, all) = (dimension.pattern(&mut sets, "*0"), dimension.pattern(&mut sets, "r*"));
        for _ in 0..2 {
            for at in 0..60_000 {
                let number = dimension.find(&mut sets, Some(&format!("r{at}")));
                let expected: &[Pattern] = if at % 10 == 0 { &[even, all] } else { &[all] };
                assert_eq!(sets.set(number), expected);
            }
            assert!(dimension.known_bytes <= REMEMBERED);
        }
        assert_eq!((dimension.find(&mut sets, None), dimension.find(&mut sets, Some(""))), (0, 0));
    }

    fn slow(glob: &[char], text: &[char]) -> bool {
        match glob.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|at| slow(rest, &text[at..])),
            Some((first, rest)) => text.split_first().is_some_and(|(c, text)| c == first && slow(rest, text)),
        }
    }

    proptest! {
        #[test]
        fn globs_agree_with_trying_everything(glob in "[ab]{0,2}\\*[ab*]{0,5}", text in "[ab]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Glob::new(&glob).unwrap().fits(&text), slow(&chars(&glob), &chars(&text)));
        }
    }
}
