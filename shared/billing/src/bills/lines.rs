//! A bill and its lines, each with what made it.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::fx::Conversion;
use super::recovery::Recovery;
use crate::catalog::billing::CostBasis;
use crate::certificate::decimal_text;
use crate::money::Exact;
use crate::month::BillingMonth;

/// What kind of line. The order is that of a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LineKind {
    /// An account passed on.
    Account,
    /// Charges given by a rule.
    Allocation,
    /// A service.
    Service,
    /// A share of a pool that goes to the customer itself.
    Share,
    /// A one-off addition or discount.
    Position,
    /// What a revision changed in an earlier month.
    Correction,
    /// A discount that was larger than an earlier bill.
    CarriedIn,
    /// A discount that is larger than this bill: the next one takes it.
    CarriedOut,
    /// A line that an earlier run posted and that is no longer due.
    Withdrawn,
}

impl LineKind {
    /// The kinds of lines that pass costs on.
    pub fn passing_costs() -> impl Iterator<Item = Self> {
        [Self::Account, Self::Allocation, Self::Service, Self::Share].into_iter()
    }

    /// Whether such lines pass costs on.
    #[must_use]
    pub fn passes_costs(self) -> bool {
        Self::passing_costs().any(|kind| kind == self)
    }

    /// The word for it in exports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Allocation => "allocation",
            Self::Service => "service",
            Self::Share => "share",
            Self::Position => "position",
            Self::Correction => "correction",
            Self::CarriedIn => "carried-in",
            Self::CarriedOut => "carried-out",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// A cost that a line passes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostPart {
    /// Where it comes from: `charges`, `pool:support`, `component:cluster-a`.
    pub source: String,
    /// The rule that brought it here, with its line in the catalog.
    pub rule: String,
    /// Which cost of the rule's charges it is; pools may bring costs of the other to a component.
    pub basis: CostBasis,
    /// How many charges; 0 for a share.
    pub charges: u64,
    /// In the currency of the charges.
    pub amount: Decimal,
    /// The rate into the catalog's currency.
    pub conversion: Conversion,
}

/// A piece of a line's amount, exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Place of the component in the catalog; nothing for a share of a pool.
    pub component: Option<usize>,
    /// What: `cluster-a`, `cluster-a/cpu`, `managed-db (fixed)`.
    pub what: String,
    /// How much of it.
    pub quantity: Decimal,
    /// The price of one, in the catalog's currency.
    pub price: Exact,
    /// Their product.
    pub amount: Exact,
    /// The costs that it stands for; nothing where the catalog's own prices decide.
    pub cost: Exact,
    /// What of the amount is those costs, with the percentage on them.
    pub passed_on: Exact,
}

/// A line of a bill, in the catalog's currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Unique within a bill and the same in every run: `account/azure/1111`, `service/blue-app`.
    pub key: String,
    /// What kind of line.
    pub kind: LineKind,
    /// What it is for.
    pub name: String,
    /// The provider of an account.
    pub provider: Option<String>,
    /// The invoicing system's product.
    pub product: Option<String>,
    /// How the amount came about, in words.
    pub comment: String,
    /// The rule that made it, with its line in the catalog.
    pub rule: String,
    /// The costs that it passes on.
    pub costs: Vec<CostPart>,
    /// What its amount is made of.
    pub items: Vec<Item>,
    /// Before rounding.
    pub exact: Exact,
    /// Rounded, once.
    pub amount: Decimal,
    /// Its costs against its amount; nothing for a line that passes no costs on.
    pub recovery: Recovery,
    /// What earlier runs of this month posted.
    pub posted: Decimal,
    /// What is left to post: `amount - posted`.
    pub difference: Decimal,
}

/// What a customer owes for a month, in the catalog's currency. A first bill is never less than nothing: the rest is carried. A later
/// run of the month may come to less, because what it changes goes on the next bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// The customer's name.
    pub customer: String,
    /// Names that the customer had.
    pub formerly: Vec<String>,
    /// Where it is sent.
    pub email: Option<String>,
    /// What it is booked on.
    pub cost_center: Option<String>,
    /// By kind and key.
    pub lines: Vec<Line>,
    /// The sum of the lines.
    pub total: Decimal,
    /// What is left to post: the sum of the lines' differences.
    pub difference: Decimal,
    /// What the next bill takes: zero, or the negative rest of discounts and credits.
    pub carried_out: Decimal,
    /// Whether no earlier run posted anything of it.
    pub is_first: bool,
    /// Why it must not go out.
    pub held: Option<String>,
    /// Whether it was asked for; a bill that was not is held.
    pub is_asked_for: bool,
}

impl Bill {
    /// Whether it is nothing but what is carried from bill to bill: nobody will ever take it.
    #[must_use]
    pub fn is_only_balance(&self) -> bool {
        let is_carried = |line: &Line| matches!(line.kind, LineKind::CarriedIn | LineKind::CarriedOut);
        !self.carried_out.is_zero() && self.lines.iter().all(is_carried)
    }
}

/// What earlier runs of the month posted: by customer and line key, in the catalog's currency.
pub type Posted = BTreeMap<String, BTreeMap<String, Decimal>>;

/// What a later run of an earlier month changed, to be put on this bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// The customer's name.
    pub customer: String,
    /// The month that changed.
    pub month: BillingMonth,
    /// The line's key in that month.
    pub key: String,
    /// The line's name in that month.
    pub name: String,
    /// The invoicing system's product.
    pub product: Option<String>,
    /// The difference; never rounded again.
    #[serde(with = "decimal_text")]
    pub amount: Decimal,
}

/// What an earlier bill carried over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// The customer's name.
    pub customer: String,
    /// The month of that bill.
    pub month: BillingMonth,
    /// Negative; never rounded again.
    #[serde(with = "decimal_text")]
    pub amount: Decimal,
}
