//! Commitments (reservations, savings plans): what is billed for them and what their use costs are two things, so a commitment's purchase
//! and its uses must be billed in one basis. In two, it would be billed twice, or in part to nobody.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::RandomState;
use rust_decimal::Decimal;

use super::facts::Facts;
use super::placed_costs::SCALE;
use super::placer::Place;
use super::problems::BillProblem;
use super::recipient::Recipient;
use crate::catalog::billing::InForce;
use crate::charge::ChargeCategory;
use crate::charges::Figures;
use crate::identity::{Id, Rule};
use crate::money::{Amount, Currency, MoneyError};

/// Places that are named in a message.
const NAMED: usize = 5;

/// What charges say of their commitment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Name {
    /// FOCUS `CommitmentDiscountId`, by the provider's rule.
    Id(String),
    /// Nothing: they are of some commitment of this billing account.
    Of(String),
}

/// A commitment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Commitment {
    provider: String,
    name: Name,
}

/// Where some charges belong, and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct At {
    place: Place,
    category: ChargeCategory,
    currency: Currency,
    /// Of a time before the month: their owners and their basis are those of that time.
    is_earlier: bool,
}

/// The charges of a commitment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Charges {
    billing_accounts: BTreeSet<String>,
    sums: HashMap<At, Figures, RandomState>,
}

impl Charges {
    fn is_purchased(&self) -> bool {
        self.sums.keys().any(|at| at.category == ChargeCategory::Purchase && !at.is_earlier)
    }
}

/// What charges come to whose effective cost is not what was billed for them, by commitment and place. Memory grows with these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commitments {
    all: BTreeMap<Commitment, Charges>,
}

impl Commitments {
    /// Adds a charge, if its two costs differ, or if it is of a commitment and states but one.
    pub(super) fn add(
        &mut self,
        facts: &Facts<'_>,
        (place, is_earlier): (Place, bool),
        currency: Currency,
        cost: &Figures,
    ) -> Result<(), MoneyError> {
        let id = facts.commitment.filter(|id| !id.is_empty());
        let counts = match cost.effective() {
            Some(effective) => !effective.checked_add(-cost.billed)?.is_zero(),
            None => id.is_some(),
        };
        if !counts {
            return Ok(());
        }
        let at = At { place, category: facts.category, currency, is_earlier };
        let rule = Rule::named(facts.provider);
        let billing_account = rule.key(Id::BillingAccount, facts.billing_account).into_owned();
        let name = match id {
            Some(id) => Name::Id(order(&rule.key(Id::Resource, id)).to_owned()),
            None => Name::Of(billing_account.clone()),
        };
        let charges = self.all.entry(Commitment { provider: facts.provider.to_owned(), name }).or_default();
        charges.billing_accounts.insert(billing_account);
        charges.sums.entry(at).or_default().add(cost)
    }

    /// Both together.
    pub(super) fn merge(&mut self, other: &Self) -> Result<(), MoneyError> {
        for (commitment, charges) in &other.all {
            let own = self.all.entry(commitment.clone()).or_default();
            own.billing_accounts.extend(charges.billing_accounts.iter().cloned());
            charges
                .sums
                .iter()
                .try_for_each(|(at, figures)| own.sums.entry(*at).or_default().add(figures))?;
        }
        Ok(())
    }

    /// By currency and FOCUS `ChargeCategory`, what the effective cost of charges that are billed by it is more than what was billed for them.
    pub(super) fn differences(
        &self,
        in_force: &InForce<'_>,
    ) -> Result<BTreeMap<&'static str, BTreeMap<&'static str, Amount>>, MoneyError> {
        let mut all: BTreeMap<&'static str, BTreeMap<&'static str, Amount>> = BTreeMap::new();
        let sums = self.all.values().flat_map(|charges| &charges.sums);
        for (at, figures) in sums.filter(|(at, _)| !at.place.basis(in_force).is_billed()) {
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
        for (commitment, charges) in self.whole() {
            let mut places: [BTreeSet<Place>; 2] = Default::default();
            let mut differences: BTreeMap<&str, [Amount; 2]> = BTreeMap::new();
            let mut is_unstated = false;
            for (at, figures) in charges.iter().flat_map(|of| &of.sums).filter(|(at, _)| !at.is_earlier) {
                let basis = usize::from(!at.place.basis(in_force).is_billed());
                places[basis].insert(at.place);
                is_unstated |= figures.unstated() > 0;
                let sum = &mut differences.entry(at.currency.code()).or_default()[basis];
                *sum = sum.checked_add(difference(figures)?)?;
            }
            let [billed, effective] = &places;
            let mut astray = Vec::new();
            for (currency, [billed, effective]) in differences {
                astray.extend(in_words(currency, effective, billed)?);
            }
            if billed.is_empty() || effective.is_empty() || (astray.is_empty() && !is_unstated) {
                continue;
            }
            if astray.is_empty() {
                astray.push("some would be billed twice, or to nobody".to_owned());
            }
            problems.push(BillProblem::MixedBasis {
                commitment,
                astray: astray.join("; "),
                effective: named(effective, in_force),
                billed: named(billed, in_force),
            });
        }
        Ok(())
    }

    /// Commitments with their charges. A purchase that does not name its commitment may be of any of its billing account that has no other
    /// purchase: then these are one. Usage alone that names none is of no commitment: its two costs may differ for other reasons.
    fn whole(&self) -> Vec<(String, Vec<&Charges>)> {
        let unnamed = |commitment: &Commitment, charges: &Charges| {
            let mut accounts = charges.billing_accounts.iter().map(|account| Name::Of(account.clone()));
            accounts.find(|name| {
                let unnamed = Commitment { provider: commitment.provider.clone(), name: name.clone() };
                self.all.get(&unnamed).is_some_and(Charges::is_purchased)
            })
        };
        let mut all: BTreeMap<String, Vec<&Charges>> = BTreeMap::new();
        for (commitment, charges) in &self.all {
            let provider = &commitment.provider;
            let name = match &commitment.name {
                Name::Id(_) if !charges.is_purchased() => unnamed(commitment, charges),
                Name::Of(_) if !charges.is_purchased() => continue,
                _ => None,
            };
            let label = match name.as_ref().unwrap_or(&commitment.name) {
                Name::Id(id) => format!("the commitment {id} of {provider}"),
                Name::Of(account) => {
                    format!("commitments of {provider}/{account}, which a purchase does not name")
                }
            };
            all.entry(label).or_default().push(charges);
        }
        all.into_iter().collect()
    }
}

/// Azure's purchases are of an order, `/providers/microsoft.capacity/reservationorders/{order}/reservations/`, and uses of a reservation
/// of it: what both have in common.
fn order(id: &str) -> &str {
    const ORDERS: [&str; 2] = ["/reservationorders/", "/savingsplanorders/"];
    let after = ORDERS.iter().find_map(|orders| id.split_once(orders));
    after.and_then(|(_, order)| order.split('/').next()).filter(|order| !order.is_empty()).unwrap_or(id)
}

/// What goes astray in a currency, of what effective costs are more than billed ones where they count, and where they do not. In a month
/// that has purchase and uses, one is against the other; in others either may be what is wrong.
fn in_words(currency: &str, counted: Amount, not_counted: Amount) -> Result<Option<String>, MoneyError> {
    let [counted, not_counted] = [counted.to_decimal(SCALE)?, not_counted.to_decimal(SCALE)?];
    let (zero, amount) = (Decimal::ZERO, |amount: Decimal| amount.abs().normalize());
    let (twice, nobody) = if counted > zero && not_counted < zero {
        (amount(counted).min(amount(not_counted)), zero)
    } else if counted < zero && not_counted > zero {
        (zero, amount(counted).min(amount(not_counted)))
    } else if counted > zero || not_counted > zero {
        (amount(counted), amount(not_counted))
    } else {
        (amount(not_counted), amount(counted))
    };
    Ok(match (nobody.is_zero(), twice.is_zero()) {
        (true, true) => None,
        (true, false) => Some(format!("{twice} {currency} would be billed twice")),
        (false, true) => Some(format!("{nobody} {currency} would be billed to nobody")),
        (false, false) => {
            Some(format!("{nobody} {currency} would be billed to nobody, or {twice} {currency} twice"))
        }
    })
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
