//! Charges added up by where they belong, exactly. Memory grows with what is distinct: places, currencies, unclaimed accounts.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

use super::commitments::Commitments;
use super::facts::Facts;
use super::origin::Origin;
use super::placer::{BadTags, Place, Placed, Placer};
use crate::charges::Figures;
use crate::money::{Amount, Currency, MoneyError};
use crate::month::BillingMonth;

/// Cost centres that are named, the first in order of their values; all count.
const NAMED: usize = 1_000;

/// What charges come to, by ISO 4217 code.
pub type Costs = BTreeMap<&'static str, Figures>;

/// Charges that no rule of the catalog names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfOrigin {
    /// Whose, in one of the spellings that stand in the charges.
    pub origin: Origin,
    /// What they cost.
    pub costs: Costs,
}

/// The charges of a month, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charged {
    /// The catalog and the month that the rules are of; nothing while nothing was added up.
    pub rules: Option<(String, BillingMonth)>,
    /// What belongs somewhere that the catalog names.
    pub places: BTreeMap<Place, Costs>,
    /// What is told apart by its accounts (see [`Place::is_by_origin`]): by place and [`Origin::key`].
    pub by_origin: BTreeMap<(Place, Origin), OfOrigin>,
    /// What counts for a pool with an `over`: by the pool's place in the catalog and the place of the charges.
    pub over: BTreeMap<(usize, Place), Costs>,
    /// All charges: added for themselves, so that nothing can get lost on the way to a place.
    pub total: Costs,
    /// Charges whose cost is blank. They cost nothing and are counted.
    pub blank: u64,
    /// Values of the cost-centre tag that are no customer's, and what they cost (by whichever cost is billed): the first thousand in order of the values.
    pub unknown_cost_centers: BTreeMap<String, Costs>,
    /// What the charges of all such values cost.
    pub unknown_cost: Costs,
    /// Charges whose effective cost is not what was billed for them, if the catalog bills anything by it.
    pub commitments: Commitments,
    /// What charges cost whose period several owners share, by whichever cost is billed.
    pub divided: Costs,
    /// What charges cost that are of a time before the month, its owners' of that time, by whichever cost is billed.
    pub earlier: Costs,
}

/// A charge that cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum ChargeError {
    /// Its tags cannot be read.
    #[error(transparent)]
    Tags(#[from] BadTags),
    /// The sums overflow.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// Sums of different months or catalogs are never added.
    #[error("sums by the rules of {left} cannot be added to sums by the rules of {right}")]
    OtherRules {
        /// Catalog and month.
        left: String,
        /// Catalog and month.
        right: String,
    },
}

pub(super) fn add_all(into: &mut Costs, from: &Costs) -> Result<(), MoneyError> {
    from.iter().try_for_each(|(currency, cost)| into.entry(currency).or_default().add(cost))
}

/// Whatever is left out once is never among the first again, so the order of charges does not matter.
fn first_named(values: &mut BTreeMap<String, Costs>) {
    while values.len() > NAMED {
        values.pop_last();
    }
}

/// Adds charges up, in whatever order they come.
#[derive(Debug)]
pub struct Adder {
    placer: Placer,
    /// By kind of charges; few currencies each.
    kinds: Vec<Vec<(Currency, Figures)>>,
    total: Vec<(Currency, Figures)>,
    by_origin: HashMap<(Place, Origin), Costs, RandomState>,
    last: Option<(Place, Origin, Currency, Figures)>,
    blank: u64,
    unknown: BTreeMap<String, Costs>,
    unknown_cost: Costs,
}

fn add_to(sums: &mut Vec<(Currency, Figures)>, currency: Currency, cost: &Figures) -> Result<(), MoneyError> {
    if let Some((_, sum)) = sums.iter_mut().find(|(known, _)| *known == currency) {
        return sum.add(cost);
    }
    sums.push((currency, *cost));
    Ok(())
}

impl Adder {
    /// Begins with nothing.
    #[must_use]
    pub fn new(placer: Placer) -> Self {
        Self {
            placer,
            kinds: Vec::new(),
            total: Vec::new(),
            by_origin: HashMap::default(),
            last: None,
            blank: 0,
            unknown: BTreeMap::new(),
            unknown_cost: Costs::new(),
        }
    }

    /// Adds a charge and says where it belongs. A blank cost is nothing: it counts, and nothing else happens.
    ///
    /// # Errors
    /// [`ChargeError`]; then nothing was added.
    pub fn add(
        &mut self,
        facts: &Facts<'_>,
        currency: Currency,
        billed: Option<Amount>,
        effective: Option<Amount>,
    ) -> Result<Placed, ChargeError> {
        let cost = Figures::of(billed.unwrap_or_default(), effective, 1);
        self.blank += u64::from(billed.is_none());
        self.add_figures(facts, currency, &cost)
    }

    /// The same of a part of a charge, which counts as one charge or as none.
    pub(super) fn add_figures(
        &mut self,
        facts: &Facts<'_>,
        currency: Currency,
        cost: &Figures,
    ) -> Result<Placed, ChargeError> {
        let placed = self.placer.place(facts)?;
        add_to(&mut self.total, currency, cost)?;
        if self.kinds.len() <= placed.kind {
            self.kinds.resize(placed.kind + 1, Vec::new());
        }
        add_to(&mut self.kinds[placed.kind], currency, cost)?;
        if placed.place.is_by_origin() {
            self.by_origin(placed.place, facts, currency, cost)?;
        }
        Ok(placed)
    }

    /// Charges of one account mostly follow each other, so the last one is kept at hand.
    fn by_origin(
        &mut self,
        place: Place,
        facts: &Facts<'_>,
        currency: Currency,
        cost: &Figures,
    ) -> Result<(), MoneyError> {
        if let Some((last, origin, of, sum)) = &mut self.last
            && (*last, *of) == (place, currency)
            && origin.is_of(facts)
        {
            return sum.add(cost);
        }
        self.settle()?;
        self.last = Some((place, Origin::of(facts), currency, *cost));
        Ok(())
    }

    fn settle(&mut self) -> Result<(), MoneyError> {
        let Some((place, origin, currency, cost)) = self.last.take() else { return Ok(()) };
        let costs = self.by_origin.entry((place, origin)).or_default();
        costs.entry(currency.code()).or_default().add(&cost)
    }

    /// Counts a charge whose cost centre is no customer's.
    pub(super) fn unknown(
        &mut self,
        facts: &Facts<'_>,
        currency: Currency,
        cost: &Figures,
    ) -> Result<(), MoneyError> {
        let value = self.placer.cost_center(facts);
        self.unknown_cost.entry(currency.code()).or_default().add(cost)?;
        self.unknown.entry(value).or_default().entry(currency.code()).or_default().add(cost)?;
        first_named(&mut self.unknown);
        Ok(())
    }

    /// What was added.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn finish(mut self) -> Result<Charged, MoneyError> {
        self.settle()?;
        let mut charged = Charged {
            rules: Some((self.placer.catalog.clone(), self.placer.month)),
            blank: self.blank,
            unknown_cost_centers: self.unknown,
            unknown_cost: self.unknown_cost,
            ..Charged::default()
        };
        for ((place, origin), costs) in self.by_origin {
            charged.add_origin((place, origin.key()), origin, &costs)?;
        }
        for (currency, cost) in &self.total {
            charged.total.entry(currency.code()).or_default().add(cost)?;
        }
        for ((kind, sums), placed) in self.placer.kinds.iter().zip(&self.kinds).zip(self.placer.places()) {
            for (currency, cost) in sums {
                if !placed.is_by_origin() {
                    let costs = charged.places.entry(placed).or_default();
                    costs.entry(currency.code()).or_default().add(cost)?;
                }
                for pool in &kind.over {
                    let costs = charged.over.entry((*pool, placed)).or_default();
                    costs.entry(currency.code()).or_default().add(cost)?;
                }
            }
        }
        Ok(charged)
    }
}

impl Charged {
    fn add_origin(&mut self, key: (Place, Origin), origin: Origin, costs: &Costs) -> Result<(), MoneyError> {
        match self.by_origin.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(OfOrigin { origin, costs: costs.clone() });
                Ok(())
            }
            Entry::Occupied(mut entry) => {
                entry.get_mut().origin.respell(origin);
                add_all(&mut entry.get_mut().costs, costs)
            }
        }
    }

    /// Both together: parts of a month may be added up apart.
    ///
    /// # Errors
    /// [`ChargeError::OtherRules`], or [`ChargeError::Money`].
    pub fn merge(&mut self, other: &Self) -> Result<(), ChargeError> {
        if let (Some(left), Some(right)) = (&self.rules, &other.rules)
            && left != right
        {
            let shown = |(catalog, month): &(String, BillingMonth)| format!("catalog {catalog} in {month}");
            return Err(ChargeError::OtherRules { left: shown(left), right: shown(right) });
        }
        self.rules = self.rules.take().or_else(|| other.rules.clone());
        for (place, costs) in &other.places {
            add_all(self.places.entry(*place).or_default(), costs)?;
        }
        for (key, of) in &other.by_origin {
            self.add_origin(key.clone(), of.origin.clone(), &of.costs)?;
        }
        for (key, costs) in &other.over {
            add_all(self.over.entry(*key).or_default(), costs)?;
        }
        for (value, costs) in &other.unknown_cost_centers {
            add_all(self.unknown_cost_centers.entry(value.clone()).or_default(), costs)?;
        }
        first_named(&mut self.unknown_cost_centers);
        add_all(&mut self.unknown_cost, &other.unknown_cost)?;
        add_all(&mut self.total, &other.total)?;
        add_all(&mut self.divided, &other.divided)?;
        add_all(&mut self.earlier, &other.earlier)?;
        self.commitments.merge(&other.commitments)?;
        self.blank += other.blank;
        Ok(())
    }
}
