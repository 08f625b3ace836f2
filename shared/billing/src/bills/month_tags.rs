//! The charges of a month by tag. Keys are the same by the rule of the charge's provider, and stand under one of their spellings.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

use crate::charges::{Figures, TagSums, parse_tags};
use crate::identity::{Id, Rule};
use crate::money::{Currency, MoneyError};

/// Few currencies each.
pub(super) type Sums = Vec<(Currency, Figures)>;
pub(super) type Named = HashMap<String, Sums, RandomState>;

/// Sets of tags that are waited for before they are added up.
pub(super) const SETS_OF_TAGS: usize = 10_000;

pub(super) fn add(sums: &mut Sums, currency: Currency, figures: &Figures) -> Result<(), MoneyError> {
    if let Some((_, sum)) = sums.iter_mut().find(|(known, _)| *known == currency) {
        return sum.add(figures);
    }
    sums.push((currency, *figures));
    Ok(())
}

pub(super) fn add_named(
    map: &mut Named,
    key: &str,
    currency: Currency,
    figures: &Figures,
) -> Result<(), MoneyError> {
    match map.get_mut(key) {
        Some(sums) => add(sums, currency, figures),
        None => add(map.entry(key.to_owned()).or_default(), currency, figures),
    }
}

/// What charges in one currency come to by tag.
#[derive(Debug, Default)]
struct Told {
    sums: TagSums,
    /// The last spelling of each key in order, while the keys are stated at all.
    spellings: BTreeMap<String, String>,
}

/// The charges of providers that have one rule.
#[derive(Debug, Default)]
struct OfRule {
    told: Vec<(Currency, Told)>,
    /// By the JSON object of all tags of a charge, because most charges share theirs with others: not told yet.
    untold: Named,
}

/// What the charges of a month come to by tag. Memory does not grow with their tags.
#[derive(Debug, Default)]
pub(super) struct MonthTags {
    exact: OfRule,
    azure: OfRule,
}

impl MonthTags {
    /// Adds a charge with its tags as JSON, empty if it has none.
    pub(super) fn add(
        &mut self,
        rule: Rule,
        json: &str,
        currency: Currency,
        figures: &Figures,
    ) -> Result<(), MoneyError> {
        let of = match rule {
            Rule::Exact => &mut self.exact,
            Rule::Azure => &mut self.azure,
        };
        add_named(&mut of.untold, json, currency, figures)?;
        if of.untold.len() > SETS_OF_TAGS { of.tell(rule) } else { Ok(()) }
    }

    /// Adds up what is not told yet.
    pub(super) fn tell(&mut self) -> Result<(), MoneyError> {
        self.exact.tell(Rule::Exact)?;
        self.azure.tell(Rule::Azure)
    }

    /// The sums of all providers in a currency.
    pub(super) fn sums(&self, currency: Currency) -> Result<Cow<'_, TagSums>, MoneyError> {
        let exact = self.exact.of(currency).map(|told| &told.sums);
        let Some(azure) = self.azure.of(currency) else {
            return Ok(exact.map_or_else(|| Cow::Owned(TagSums::default()), Cow::Borrowed));
        };
        let mut all = exact.cloned().unwrap_or_default();
        all.add(&[], Rule::Exact, &azure.sums.untagged())?;
        if all.crowd().is_some() {
            return Ok(Cow::Owned(all));
        }
        if azure.sums.crowd().is_some() {
            let mut crowded = azure.sums.clone();
            crowded.add(&[], Rule::Exact, &exact.map(TagSums::untagged).unwrap_or_default())?;
            return Ok(Cow::Owned(crowded));
        }
        let spellings = self.azure.spellings();
        for (key, values) in azure.sums.rows() {
            let key = spellings.get(key).map_or(key, |spelling| *spelling);
            for (value, figures) in values {
                all.add(&[(key.to_owned(), value)], Rule::Exact, &figures)?;
            }
        }
        Ok(Cow::Owned(all))
    }

    #[cfg(test)]
    pub(super) fn untold(&self) -> usize {
        self.exact.untold.len() + self.azure.untold.len()
    }
}

impl OfRule {
    fn of(&self, currency: Currency) -> Option<&Told> {
        self.told.iter().find(|(known, _)| *known == currency).map(|(_, told)| told)
    }

    /// One spelling for all currencies.
    fn spellings(&self) -> BTreeMap<&str, &str> {
        let mut spellings = BTreeMap::new();
        for (key, spelling) in self.told.iter().flat_map(|(_, told)| &told.spellings) {
            let last = spellings.entry(key.as_str()).or_insert(spelling.as_str());
            *last = (*last).max(spelling.as_str());
        }
        spellings
    }

    fn tell(&mut self, rule: Rule) -> Result<(), MoneyError> {
        for (json, sums) in self.untold.drain() {
            // a text that is no object was refused where the charge was placed
            let tags = parse_tags(Some(&json).filter(|json| !json.is_empty()).map(String::as_str))
                .unwrap_or_default();
            for (currency, figures) in sums {
                let at = self.told.iter().position(|(known, _)| *known == currency);
                let at = at.unwrap_or_else(|| {
                    self.told.push((currency, Told::default()));
                    self.told.len() - 1
                });
                let told = &mut self.told[at].1;
                match rule {
                    Rule::Exact => told.sums.add(&tags, rule, &figures)?,
                    Rule::Azure => told.add_keyed(rule, &tags, &figures)?,
                }
            }
        }
        Ok(())
    }
}

impl Told {
    /// Adds charges by the keys of their tags; of two that are the same the first counts.
    fn add_keyed(
        &mut self,
        rule: Rule,
        tags: &[(String, String)],
        figures: &Figures,
    ) -> Result<(), MoneyError> {
        let mut keyed: BTreeMap<String, &str> = BTreeMap::new();
        for (spelling, value) in tags {
            let key = rule.key(Id::TagKey, spelling);
            let last = self.spellings.entry(key.clone().into_owned()).or_default();
            if *last < *spelling {
                last.clone_from(spelling);
            }
            keyed.entry(key.into_owned()).or_insert(value);
        }
        let keyed: Vec<_> = keyed.into_iter().map(|(key, value)| (key, value.to_owned())).collect();
        self.sums.add(&keyed, Rule::Exact, figures)?;
        if self.sums.crowd().is_some() {
            self.spellings.clear();
        }
        Ok(())
    }
}
