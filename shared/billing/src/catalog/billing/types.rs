//! The nouns of the catalog: what a person writes, checked.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::problem::Mark;
use crate::identity::{Id, Rule};
use crate::money::{Currency, Exact, MoneyError, minor_digits};
use crate::month::BillingMonth;

/// The days in which an entry applies, both inclusive; nothing is no bound. Most entries apply to whole months.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dated {
    /// The first day.
    pub from: Option<NaiveDate>,
    /// The last day.
    pub to: Option<NaiveDate>,
}

impl Dated {
    /// Whether the entry applies to a day.
    #[must_use]
    pub fn covers_day(&self, day: NaiveDate) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
    }

    /// Whether the entry applies to a month, or to some of its days.
    #[must_use]
    pub fn covers(&self, month: BillingMonth) -> bool {
        self.overlaps(&Self { from: Some(month.first_day()), to: Some(month.last_day()) })
    }

    /// Whether the entry applies to all days of a month.
    #[must_use]
    pub fn covers_all(&self, month: BillingMonth) -> bool {
        self.covers_day(month.first_day()) && self.covers_day(month.last_day())
    }

    /// Its days, if it has not all of a month: others of its name may have the rest.
    #[must_use]
    pub fn days_in(&self, month: BillingMonth) -> Option<String> {
        (!self.covers_all(month)).then(|| self.to_string())
    }

    /// Whether both apply to some day.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let before =
            |to: Option<NaiveDate>, from: Option<NaiveDate>| to.zip(from).is_some_and(|(to, from)| to < from);
        !before(self.to, other.from) && !before(other.to, self.from)
    }

    /// The first days on which it applies, or applies no more, if any.
    pub(crate) fn changes(&self) -> impl Iterator<Item = NaiveDate> {
        self.from.into_iter().chain(self.to.and_then(|to| to.succ_opt()))
    }
}

/// `2026-10-01..2026-10-15`; an open end is left out.
impl std::fmt::Display for Dated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |day: Option<NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
        write!(f, "{}..{}", shown(self.from), shown(self.to))
    }
}

/// Who is billed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customer {
    /// Unique.
    pub name: String,
    /// Names that it had: what was billed, corrected or carried under them is its own.
    pub formerly: Vec<String>,
    /// Where bills are sent.
    pub email: Option<String>,
    /// What the invoicing system books on.
    pub cost_center: Option<String>,
    /// Its place in the document.
    pub mark: Mark,
}

/// A whole account, subscription or project that is passed on with a surcharge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The word that the provider is filed under, whichever of its names is written: `azure`.
    pub provider: String,
    /// FOCUS `SubAccountId`, or `BillingAccountId` for charges that name no sub account.
    pub id: Option<String>,
    /// FOCUS `SubAccountName`; decides where there is no id.
    pub name: Option<String>,
    /// Place of the customer in [`super::Catalog::customers`].
    pub customer: usize,
    /// Percent of the cost that is billed; 100 passes it on as it is.
    pub percentage: Decimal,
    /// Which cost of its charges is billed; nothing for the catalog's.
    pub basis: Option<CostBasis>,
    /// The invoicing system's product.
    pub product: Option<String>,
    /// When it applies.
    pub dated: Dated,
    /// Its place in the document.
    pub mark: Mark,
}

impl Account {
    /// What tells it from the provider's other accounts: its id, else its name.
    #[must_use]
    pub fn key(&self) -> &str {
        self.id.as_deref().or(self.name.as_deref()).unwrap_or_default()
    }

    /// What ids of a provider's accounts (by the word that it is filed under) have in common if they are the same, whether a charge is of a sub account or of none.
    #[must_use]
    pub(super) fn id_key(provider: &str, id: &str) -> String {
        let rule = Rule::of(provider);
        rule.key(Id::BillingAccount, &rule.key(Id::SubAccount, id)).into_owned()
    }

    /// How it is shown: its name, else its id.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().or(self.id.as_deref()).unwrap_or_default()
    }
}

/// Charges that go to a customer by a rule rather than by their account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Unique.
    pub name: String,
    /// Which charges.
    pub matching: Match,
    /// Place of the customer in [`super::Catalog::customers`].
    pub customer: usize,
    /// Percent of the cost that is billed.
    pub percentage: Decimal,
    /// Which cost of its charges is billed; nothing for the catalog's.
    pub basis: Option<CostBasis>,
    /// The invoicing system's product.
    pub product: Option<String>,
    /// Smaller ones are tried first, before the order of the document; 0 if nothing is said.
    pub priority: i32,
    /// When it applies.
    pub dated: Dated,
    /// Its place in the document.
    pub mark: Mark,
}

/// Which charges a rule takes: every member that says something must agree with the charge; each may list several patterns, of
/// which one must fit. In a pattern `*` stands for any text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// The provider, by the word that it is filed under: `aws`. Patterns with a star stay as they are written.
    pub provider: Vec<String>,
    /// FOCUS `BillingAccountId`.
    pub billing_account: Vec<String>,
    /// FOCUS `SubAccountId` or `SubAccountName`.
    pub account: Vec<String>,
    /// FOCUS `ServiceName`.
    pub service: Vec<String>,
    /// FOCUS `RegionId`.
    pub region: Vec<String>,
    /// FOCUS `ResourceId`.
    pub resource: Vec<String>,
    /// FOCUS `ChargeCategory`.
    pub category: Vec<String>,
    /// FOCUS `ChargeClass`: `Correction`.
    pub charge_class: Vec<String>,
    /// The month in which the charge period begins, `2026-09`.
    pub charge_period: Vec<String>,
    /// Patterns by tag key.
    pub tags: BTreeMap<String, Vec<String>>,
}

/// What the platform team sells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Unique within a month.
    pub name: String,
    /// Place of the customer in [`super::Catalog::customers`].
    pub customer: usize,
    /// What kind of thing it is, for reports.
    pub kind: Option<String>,
    /// The invoicing system's product.
    pub product: Option<String>,
    /// What it is made of.
    pub components: Vec<Use>,
    /// Which cost of components that state none themselves; nothing for the catalog's.
    pub basis: Option<CostBasis>,
    /// When it applies.
    pub dated: Dated,
    /// Its place in the document.
    pub mark: Mark,
}

/// A service's use of a component or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The component's name.
    pub component: String,
    /// The part's name; nothing for the whole component.
    pub part: Option<String>,
    /// How much of it.
    pub quantity: Quantity,
    /// When it applies.
    pub dated: Dated,
    /// Its place in the document.
    pub mark: Mark,
}

/// How much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Always the same.
    Fixed(Decimal),
    /// What a driver says of a target.
    Driver {
        /// The driver's name.
        driver: String,
        /// The target's name in the driver.
        target: String,
    },
}

/// What services are made of, and its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Unique within a month.
    pub name: String,
    /// What it costs.
    pub price: Price,
    /// The charges tagged to it.
    pub matching: Option<Match>,
    /// Parts that are priced by themselves.
    pub parts: Vec<Part>,
    /// Which cost of its charges is billed; nothing for that of the services that use it.
    pub basis: Option<CostBasis>,
    /// Whether those who use it share what nobody uses (`recover: all`).
    pub recover_all: bool,
    /// When it applies.
    pub dated: Dated,
    /// Its place in the document.
    pub mark: Mark,
}

/// A price in the catalog's currency. A quantity of 1 of the component costs
/// `per_unit + absolute + percent_of_cost % of its costs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Once for every service that uses it, whatever the quantity.
    pub fixed_per_service: Decimal,
    /// For each unit.
    pub per_unit: Decimal,
    /// Percent of the costs tagged to it, for each unit.
    pub percent_of_cost: Decimal,
    /// On top of those costs, for each unit.
    pub absolute: Decimal,
}

/// A part of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Unique within the component.
    pub name: String,
    /// Its price.
    pub price: PartPrice,
}

/// The price of a quantity of 1 of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartPrice {
    /// Percent of what a quantity of 1 of the component costs.
    Percent(Decimal),
    /// An amount in the catalog's currency.
    PerUnit(Decimal),
}

/// A one-off addition or discount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Place of the customer in [`super::Catalog::customers`].
    pub customer: usize,
    /// The month whose bill shows it.
    pub month: BillingMonth,
    /// Unique for a customer and month.
    pub reason: String,
    /// In the catalog's currency; negative for a discount.
    pub amount: Decimal,
    /// The invoicing system's product.
    pub product: Option<String>,
    /// Its place in the document.
    pub mark: Mark,
}

impl Position {
    /// What the keys of lines of positions begin with, on the bills of their months.
    pub const KEYS: &str = "position/";

    /// The key of its line on the bill of its month.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}{}", Self::KEYS, self.reason)
    }

    /// The key of its line on the bill of a later month. No reason of that month's own positions can be read as it.
    #[must_use]
    pub fn late_key(&self) -> String {
        format!("late-position/{}/{}", self.month, self.reason)
    }
}

/// What a share can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetKind {
    /// An account, by id or name.
    Account,
    /// A component: its services pay.
    Component,
    /// Another pool, which shares it again.
    Pool,
    /// A service.
    Service,
    /// A customer.
    Customer,
}

impl TargetKind {
    /// All of them, in the order of the catalog.
    pub const ALL: [Self; 5] = [Self::Account, Self::Component, Self::Pool, Self::Service, Self::Customer];

    /// The word before the colon: `account`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Component => "component",
            Self::Pool => "pool",
            Self::Service => "service",
            Self::Customer => "customer",
        }
    }
}

/// Somebody or something that shares a pool: written `blue-app`, or `service:blue-app` where the name alone is not clear.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// What it is.
    pub kind: TargetKind,
    /// Its name (or the account's id).
    pub name: String,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.name)
    }
}

/// A shared cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Unique within a month.
    pub name: String,
    /// The charges that make it; nothing for a pool that only other pools feed.
    pub matching: Option<Match>,
    /// What it is shared by.
    pub split: Split,
    /// Whose costs count, and for `cost` which; nothing for all.
    pub over: Option<Match>,
    /// Which cost of its charges is shared; nothing for the catalog's.
    pub basis: Option<CostBasis>,
    /// Which cost of its targets it is shared by, for `cost`; nothing for its own basis.
    pub weighed: Option<CostBasis>,
    /// Who shares it; nothing for everybody who has costs, or whom the driver names.
    pub targets: Option<Vec<Target>>,
    /// When it applies.
    pub dated: Dated,
    /// Its place in the document.
    pub mark: Mark,
}

/// What a pool is shared by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Split {
    /// Each target's own costs.
    Cost,
    /// The same for each.
    Even,
    /// Percents that add up to 100.
    Percents(Vec<(Target, Decimal)>),
    /// Weights of any size.
    Weights(Vec<(Target, Decimal)>),
    /// The quantities of a driver.
    Driver(String),
}

/// Rates of exchange into the catalog's currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fx {
    /// Where the rates come from, in words.
    pub source: Option<String>,
    /// By month and currency code: what one unit is worth in the catalog's currency.
    pub rates: BTreeMap<BillingMonth, BTreeMap<&'static str, Rate>>,
}

/// One rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What one unit of the foreign currency is worth.
    pub rate: Decimal,
    /// Its place in the document.
    pub mark: Mark,
}

/// Which cost of a charge is billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CostBasis {
    /// FOCUS `BilledCost`: what the provider invoices for it.
    #[default]
    Billed,
    /// FOCUS `EffectiveCost`: what it costs when what was paid for commitments is spread over their use.
    Effective,
}

impl CostBasis {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Billed, Self::Effective];

    /// The word in the catalog.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Billed => "billed",
            Self::Effective => "effective",
        }
    }

    /// Of both costs the one that counts.
    #[must_use]
    pub fn of<T>(self, billed: T, effective: Option<T>) -> Option<T> {
        match self {
            Self::Billed => Some(billed),
            Self::Effective => effective,
        }
    }

    /// Whether it is what the provider invoices.
    #[must_use]
    pub fn is_billed(&self) -> bool {
        *self == Self::Billed
    }
}

/// How the amount of a line is rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounding {
    /// To the currency's minor unit, halves away from zero.
    #[default]
    Cents,
    /// To whole units, up.
    UnitUp,
}

impl Rounding {
    /// Decimals of a rounded amount.
    #[must_use]
    pub fn decimals(self, currency: Currency) -> u32 {
        match self {
            Self::Cents => minor_digits(currency),
            Self::UnitUp => 0,
        }
    }

    /// An amount as it is billed.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] beyond 28 digits.
    pub fn round(self, amount: Exact, currency: Currency) -> Result<Decimal, MoneyError> {
        let decimals = self.decimals(currency);
        match self {
            Self::Cents => amount.round_half_away(decimals),
            Self::UnitUp => amount.round_up(decimals),
        }
    }

    /// The word in the catalog.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cents => "cents",
            Self::UnitUp => "unit-up",
        }
    }
}
