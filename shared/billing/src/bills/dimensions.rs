//! What rules look at in a charge, as patterns: conditions are made of them, and a charge is the patterns that it fits.

use super::facts::{ChargePeriod, Facts};
use super::patterns::{Dimension, Of, Pattern, Sets};
use super::placer::BadTags;
use super::tag_patterns::{TagPatterns, UNREAD, value_of};
use crate::catalog::billing::{Account, Match};
use crate::identity::{Id, Rule};
use crate::month::BillingMonth;

/// The sets of patterns that a charge fits, by dimension; the tags come last.
pub(super) type Fits = [u32; 12];

/// Whether the tags of a charge cannot be read, though something depends on them.
pub(super) fn is_unread(fits: &Fits) -> bool {
    fits[11] == UNREAD
}

/// Any of some patterns.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) any_of: Vec<Pattern>,
    /// Whether they are on a tag.
    pub(super) is_tag: bool,
}

/// All of these.
pub(super) type Conditions = Vec<Condition>;

/// The patterns on each field of a charge.
#[derive(Debug)]
pub(super) struct Dimensions {
    sets: Sets,
    provider: Dimension,
    billing_account: Dimension,
    sub_account_id: Dimension,
    sub_account_name: Dimension,
    service: Dimension,
    region: Dimension,
    resource: Dimension,
    allocated_resource: Dimension,
    category: Dimension,
    charge_class: Dimension,
    charge_period: Dimension,
    /// Whether any rule asks for a charge period.
    looks_at_periods: bool,
    /// The month that was asked for last, and its text.
    month: Option<(BillingMonth, String)>,
    tags: TagPatterns,
    /// The provider that was asked for last, and its rule.
    last: (String, Rule),
}

impl Default for Dimensions {
    fn default() -> Self {
        let id = |id| Dimension::new(Of::Id(id));
        Self {
            sets: Sets::default(),
            provider: Dimension::new(Of::Provider),
            billing_account: id(Id::BillingAccount),
            sub_account_id: id(Id::SubAccount),
            sub_account_name: Dimension::new(Of::Text),
            service: id(Id::Service),
            region: id(Id::Region),
            resource: id(Id::Resource),
            allocated_resource: id(Id::Resource),
            category: Dimension::new(Of::Text),
            charge_class: Dimension::new(Of::Text),
            charge_period: Dimension::new(Of::Text),
            looks_at_periods: false,
            month: None,
            tags: TagPatterns::default(),
            last: (String::new(), Rule::Exact),
        }
    }
}

fn is(pattern: Pattern) -> Condition {
    Condition { any_of: vec![pattern], is_tag: false }
}

impl Dimensions {
    /// What a match asks for. The most telling condition comes first: the rule is looked for by it.
    pub(super) fn of_match(&mut self, matching: &Match) -> Conditions {
        self.looks_at_periods |= !matching.charge_period.is_empty();
        let sets = &mut self.sets;
        let mut any = |texts: &[String], dimension: &mut Dimension| -> Vec<Pattern> {
            texts.iter().map(|text| dimension.pattern(sets, text)).collect()
        };
        let mut resource = any(&matching.resource, &mut self.resource);
        resource.extend(any(&matching.resource, &mut self.allocated_resource));
        let mut account = any(&matching.account, &mut self.sub_account_id);
        account.extend(any(&matching.account, &mut self.sub_account_name));
        let tags: Vec<_> = matching.tags.iter().map(|(key, values)| any(values, self.tags.of(key))).collect();
        let rest = [
            any(&matching.billing_account, &mut self.billing_account),
            any(&matching.service, &mut self.service),
            any(&matching.region, &mut self.region),
            any(&matching.category, &mut self.category),
            any(&matching.charge_class, &mut self.charge_class),
            any(&matching.charge_period, &mut self.charge_period),
            any(&matching.provider, &mut self.provider),
        ];
        let plain = |any_of| Condition { any_of, is_tag: false };
        let conditions = [resource, account].into_iter().map(plain);
        let conditions = conditions.chain(tags.into_iter().map(|any_of| Condition { any_of, is_tag: true }));
        conditions.chain(rest.into_iter().map(plain)).filter(|one| !one.any_of.is_empty()).collect()
    }

    /// That a charge is of the account with this id.
    pub(super) fn of_id(&mut self, account: &Account, id: &str) -> Conditions {
        let provider = self.provider.exactly(&mut self.sets, &account.provider);
        vec![is(self.sub_account_id.exactly(&mut self.sets, id)), is(provider)]
    }

    /// That a charge is of the account with this name, and has no id if the account has one.
    pub(super) fn of_name(&mut self, account: &Account, name: &str) -> Conditions {
        let provider = self.provider.exactly(&mut self.sets, &account.provider);
        let mut conditions = vec![is(self.sub_account_name.exactly(&mut self.sets, name)), is(provider)];
        if account.id.is_some() {
            conditions.push(is(self.sub_account_id.absent(&mut self.sets)));
        }
        conditions
    }

    /// That a charge is of this billing account and of no sub account.
    pub(super) fn of_billing_account(&mut self, account: &Account, id: &str) -> Conditions {
        let sets = &mut self.sets;
        let (payer, provider) =
            (self.billing_account.exactly(sets, id), self.provider.exactly(sets, &account.provider));
        let (no_id, no_name) = (self.sub_account_id.absent(sets), self.sub_account_name.absent(sets));
        [payer, provider, no_id, no_name].map(is).into()
    }

    /// That a tag has this value.
    pub(super) fn of_tag(&mut self, tag: &str, value: &str) -> Pattern {
        self.tags.of(tag).exactly(&mut self.sets, value)
    }

    /// That a tag has any value.
    pub(super) fn of_any_tag(&mut self, tag: &str) -> Pattern {
        self.tags.of(tag).pattern(&mut self.sets, "*")
    }

    /// What a charge fits: a look-up for each field.
    pub(super) fn fits(&mut self, facts: &Facts<'_>) -> Result<Fits, BadTags> {
        let rule = self.rule(facts.provider);
        let period = if self.looks_at_periods { facts.period.and_then(ChargePeriod::month) } else { None };
        if let Some(month) = period
            && self.month.as_ref().is_none_or(|(known, _)| *known != month)
        {
            self.month = Some((month, month.to_string()));
        }
        let period = period.and(self.month.as_ref()).map(|(_, text)| text.as_str());
        let sets = &mut self.sets;
        Ok([
            self.provider.find(sets, Rule::Exact, Some(facts.provider)),
            self.billing_account.find(sets, rule, Some(facts.billing_account)),
            self.sub_account_id.find(sets, rule, facts.sub_account_id),
            self.sub_account_name.find(sets, Rule::Exact, facts.sub_account_name),
            self.service.find(sets, rule, Some(facts.service)),
            self.region.find(sets, rule, facts.region),
            self.resource.find(sets, rule, facts.resource),
            self.allocated_resource.find(sets, rule, facts.allocated_resource),
            self.category.find(sets, Rule::Exact, Some(facts.category.as_str())),
            self.charge_class.find(sets, Rule::Exact, facts.is_correction.then_some("Correction")),
            self.charge_period.find(sets, Rule::Exact, period),
            self.tags.find(sets, rule, facts.tags)?,
        ])
    }

    /// All patterns that a charge fits, in order.
    pub(super) fn patterns(&self, fits: Fits) -> Vec<Pattern> {
        let mut patterns: Vec<Pattern> = fits.iter().flat_map(|set| self.sets.set(*set)).copied().collect();
        patterns.sort_unstable();
        patterns.dedup();
        patterns
    }

    /// The value of a charge's tag; for messages.
    pub(super) fn value_of(&mut self, tag: &str, facts: &Facts<'_>) -> String {
        value_of(self.rule(facts.provider), tag, facts.tags)
    }

    /// Charges of one provider mostly follow each other.
    fn rule(&mut self, provider: &str) -> Rule {
        if self.last.0 != provider {
            self.last = (provider.to_owned(), Rule::named(provider));
        }
        self.last.1
    }
}
