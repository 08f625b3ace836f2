//! Commitments (reservations, savings plans): what is billed for them and what their use costs are two things, so a commitment's purchase
//! and its uses must be billed in one basis. In two, it would be billed twice, or in part to nobody.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::RandomState;

use super::facts::Facts;
use super::placed_costs::SCALE;
use super::placer::Place;
use super::problems::BillProblem;
use super::recipient::Recipient;
use crate::catalog::billing::{CostBasis, InForce};
use crate::charge::ChargeCategory;
use crate::charges::{Amount, Figures};
use crate::identity::{Id, Rule};
use crate::money::{Currency, MoneyError};

/// Places that are named in a message.
const NAMED: usize = 5;

/// A commitment; nothing for charges that name none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Commitment {
    provider: String,
    billing_account: String,
    id: Option<String>,
}

/// Where some charges belong, and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct At {
    place: Place,
    category: ChargeCategory,
    currency: Currency,
}

/// What charges come to whose effective cost is not what was billed for them, by commitment and place. Memory grows with these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commitments {
    sums: BTreeMap<Commitment, HashMap<At, Figures, RandomState>>,
    /// The commitment that was asked for last, as charges write it, and its key.
    last: Option<([String; 3], Commitment)>,
}

impl Commitments {
    /// Adds a charge, if its two costs differ.
    pub(super) fn add(
        &mut self,
        facts: &Facts<'_>,
        place: Place,
        currency: Currency,
        cost: &Figures,
    ) -> Result<(), MoneyError> {
        let Some(effective) = cost.effective().filter(|effective| *effective != cost.billed) else {
            return Ok(());
        };
        if effective.checked_add(-cost.billed)?.is_zero() {
            return Ok(());
        }
        let at = At { place, category: facts.category, currency };
        let commitment = self.commitment(facts);
        self.sums.entry(commitment).or_default().entry(at).or_default().add(cost)
    }

    /// Charges of one commitment mostly follow each other.
    fn commitment(&mut self, facts: &Facts<'_>) -> Commitment {
        let id = facts.commitment.filter(|id| !id.is_empty());
        let written = [facts.provider, facts.billing_account, id.unwrap_or_default()];
        if let Some((known, commitment)) = &self.last
            && *known == written
        {
            return commitment.clone();
        }
        let rule = Rule::named(facts.provider);
        let commitment = Commitment {
            provider: facts.provider.to_owned(),
            billing_account: rule.key(Id::BillingAccount, facts.billing_account).into_owned(),
            id: id.map(|id| rule.key(Id::Resource, id).into_owned()),
        };
        self.last = Some((written.map(str::to_owned), commitment.clone()));
        commitment
    }

    /// Both together.
    pub(super) fn merge(&mut self, other: &Self) -> Result<(), MoneyError> {
        for (commitment, places) in &other.sums {
            let sums = self.sums.entry(commitment.clone()).or_default();
            places.iter().try_for_each(|(at, figures)| sums.entry(*at).or_default().add(figures))?;
        }
        Ok(())
    }

    /// By currency and FOCUS `ChargeCategory`, what the effective cost of charges that are billed by it is more than what was billed for them.
    pub(super) fn differences(
        &self,
        in_force: &InForce<'_>,
    ) -> Result<BTreeMap<&'static str, BTreeMap<&'static str, Amount>>, MoneyError> {
        let mut all: BTreeMap<&'static str, BTreeMap<&'static str, Amount>> = BTreeMap::new();
        let by_effective =
            self.sums.values().flatten().filter(|(at, _)| !at.place.basis(in_force).is_billed());
        for (at, figures) in by_effective {
            let of = all.entry(at.currency.code()).or_default();
            let sum = of.entry(at.category.as_str()).or_default();
            *sum = sum.checked_add(difference(figures)?)?;
        }
        Ok(all)
    }

    /// Commitments that are billed in both bases, with what would be billed twice, or to nobody.
    pub(super) fn mixed(
        &self,
        in_force: &InForce<'_>,
        problems: &mut Vec<BillProblem>,
    ) -> Result<(), MoneyError> {
        for (commitment, parts) in self.whole() {
            let currencies: BTreeSet<Currency> = parts.iter().map(|(at, _)| at.currency).collect();
            for currency in currencies {
                let of = || parts.iter().filter(|(at, _)| at.currency == currency);
                let [billed, effective] = CostBasis::ALL.map(|basis| {
                    let of = of().filter(|(at, _)| at.place.basis(in_force) == basis);
                    of.map(|(at, _)| at.place).collect::<BTreeSet<_>>()
                });
                let mut by_effective = of().filter(|(at, _)| effective.contains(&at.place));
                let amount =
                    by_effective.try_fold(Amount::ZERO, |sum, (_, of)| sum.checked_add(difference(of)?))?;
                if billed.is_empty() || amount.is_zero() {
                    continue;
                }
                let amount = amount.to_decimal(SCALE)?.normalize();
                problems.push(BillProblem::MixedBasis {
                    commitment: commitment.clone(),
                    twice: amount.is_sign_positive(),
                    amount: amount.abs().to_string(),
                    currency: currency.code(),
                    effective: named(&effective, in_force),
                    billed: named(&billed, in_force),
                });
            }
        }
        Ok(())
    }

    /// Commitments with their charges. Where a purchase of a billing account does not name its commitment, it may be any of them: then all
    /// are one. Usage alone that names none is of no commitment: its two costs may differ for other reasons.
    fn whole(&self) -> Vec<(String, Vec<(At, Figures)>)> {
        let is_unnamed = |of: &Commitment| {
            let unnamed = self.sums.get(&Commitment { id: None, ..of.clone() });
            unnamed.is_some_and(|of| of.keys().any(|at| at.category == ChargeCategory::Purchase))
        };
        let mut all: BTreeMap<String, Vec<(At, Figures)>> = BTreeMap::new();
        for (commitment, parts) in &self.sums {
            let Commitment { provider, billing_account, id } = commitment;
            let name = match id {
                _ if is_unnamed(commitment) => {
                    format!("commitments of {provider}/{billing_account}, which a purchase does not name")
                }
                Some(id) => format!("the commitment {id} of {provider}/{billing_account}"),
                None => continue,
            };
            all.entry(name).or_default().extend(parts.iter().map(|(at, figures)| (*at, *figures)));
        }
        all.into_iter().collect()
    }
}

/// What charges cost more by their use than was billed for them.
fn difference(figures: &Figures) -> Result<Amount, MoneyError> {
    figures.effective().unwrap_or(figures.billed).checked_add(-figures.billed)
}

fn named(places: &BTreeSet<Place>, in_force: &InForce<'_>) -> String {
    let label = |place: &Place| Recipient::Place(*place).label_in(in_force.catalog, in_force.month);
    let mut names: Vec<String> = places.iter().map(label).collect();
    names.sort();
    names.truncate(NAMED);
    if places.len() > NAMED {
        names.push(format!("{} more", places.len() - NAMED));
    }
    names.join(", ")
}
