//! The document of a run: every figure of its bills with what made it, what is posted since, and what later bills are to take. All
//! that is published of a run, its mails included, follows from it alone.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::certificate::RunCertificate;
use super::chain::RunId;
use super::lines::{Bill, Carried, Correction, CostPart, Item, Line, Posted};
use super::make::BillRun;
use super::placer::Place;
use super::problems::BillsError;
use super::recipient::Recipient;
use super::recovery::Recovery;
use crate::canonical;
use crate::catalog::billing::{Catalog, CostBasis};
use crate::certificate::{Certified, DocumentRef, decimal_text};
use crate::money::{self, MoneyError};
use crate::month::BillingMonth;
use crate::revision::Revision;

/// Decimals of figures that are not rounded to money.
const SHOWN: u32 = 12;

/// A provider's account whose charges were billed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BilledAccount {
    /// As in the catalog.
    pub provider: String,
    /// FOCUS `BillingAccountId`.
    pub billing_account: String,
}

/// A person's decision to bill a month whose inputs are not complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Why, in the person's words.
    pub reason: String,
    /// What was missing.
    pub missing: Vec<String>,
}

/// A line's cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedCost {
    /// `charges`, `pool:support`, `component:cluster-a`.
    pub source: String,
    /// The rule that brought it here, with its line in the catalog.
    pub rule: String,
    /// Which cost of the rule's charges it is.
    #[serde(default, skip_serializing_if = "CostBasis::is_billed")]
    pub basis: CostBasis,
    /// How many charges; 0 for a share.
    pub charges: u64,
    /// In its own currency.
    #[serde(with = "decimal_text")]
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
    /// What one unit of it is worth in the catalog's currency.
    #[serde(with = "decimal_text")]
    pub rate: Decimal,
    /// Where the rate is from; nothing for the catalog's own currency.
    pub rate_source: Option<String>,
}

/// A piece of a line's amount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedItem {
    /// What.
    pub what: String,
    /// How much of it.
    #[serde(with = "decimal_text")]
    pub quantity: Decimal,
    /// The price of one.
    #[serde(with = "decimal_text")]
    pub price: Decimal,
    /// Their product, to twelve decimals.
    #[serde(with = "decimal_text")]
    pub amount: Decimal,
}

/// A line of a bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedLine {
    /// The same in every run.
    pub key: String,
    /// `account`, `service`, ...
    pub kind: String,
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
    pub costs: Vec<StatedCost>,
    /// What its amount is made of.
    pub items: Vec<StatedItem>,
    /// Before rounding, to twelve decimals.
    #[serde(with = "decimal_text")]
    pub exact: Decimal,
    /// Rounded.
    #[serde(with = "decimal_text")]
    pub amount: Decimal,
    /// Its costs against its amount, of a line that passes costs on; older documents do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// What earlier runs of the month posted.
    #[serde(with = "decimal_text")]
    pub posted: Decimal,
    /// What this run posts.
    #[serde(with = "decimal_text")]
    pub difference: Decimal,
}

/// A bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedBill {
    /// Whose.
    pub customer: String,
    /// Names that the customer had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formerly: Vec<String>,
    /// Where it is sent.
    pub email: Option<String>,
    /// What it is booked on.
    pub cost_center: Option<String>,
    /// In the order of a bill.
    pub lines: Vec<StatedLine>,
    /// Their sum.
    #[serde(with = "decimal_text")]
    pub total: Decimal,
    /// What this run posts of it.
    #[serde(with = "decimal_text")]
    pub difference: Decimal,
    /// What the next bill takes.
    #[serde(with = "decimal_text")]
    pub carried_out: Decimal,
    /// Whether it is the customer's first bill of the month: that one is exported, stated and mailed.
    pub is_first: bool,
    /// Why it must not go out.
    pub held: Option<String>,
}

/// What a pool gave to one of its targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedShare {
    /// `pool:support`.
    pub pool: String,
    /// The pool's rule, with its line in the catalog.
    pub rule: String,
    /// Who received it, `component:cluster-a`; nothing if it stays unallocated.
    pub recipient: Option<String>,
    /// How much.
    #[serde(with = "decimal_text")]
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: String,
    /// Part of the pool.
    #[serde(with = "decimal_text")]
    pub ratio: Decimal,
}

/// A table of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedTable {
    /// Where it stands once the run is posted.
    pub key: String,
    /// Where it waits until then, under a name that its content gives it.
    pub waiting: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// An export, with its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedExport {
    /// The provider, or `services`.
    pub name: String,
    /// Where it stands.
    pub key: String,
    /// Lines, the header not counted.
    pub lines: u64,
    /// What its amounts add up to.
    #[serde(with = "decimal_text")]
    pub total: Decimal,
    /// SHA-256 of the bytes.
    pub sha256: String,
    /// The bytes, in base64: the template's encoding need not be UTF-8.
    pub base64: String,
}

/// The document of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDocument {
    /// Version of this document's format.
    pub bill_run: u32,
    /// Which run.
    pub run: RunId,
    /// The catalog's version.
    pub catalog: String,
    /// ISO 4217 code of all bills.
    pub currency: String,
    /// What it was made from, as one hash.
    pub fingerprint: String,
    /// What the charges and drivers were read from.
    pub inputs: Vec<DocumentRef>,
    /// Whose charges.
    pub accounts: Vec<BilledAccount>,
    /// Set if a person released a month that was not complete.
    pub released: Option<Release>,
    /// The only customer who was asked for.
    pub only: Option<String>,
    /// The runs whose corrections and discounts are on these bills.
    pub took: Vec<RunId>,
    /// Those corrections.
    pub corrections_taken: Vec<Correction>,
    /// Those discounts.
    pub carried_taken: Vec<Carried>,
    /// The bills, by customer.
    pub bills: Vec<StatedBill>,
    /// What is posted of the month once this run is.
    #[serde(with = "posted_texts")]
    pub posted: Posted,
    /// What this run changed on bills that were posted before: for later bills.
    pub corrections: Vec<Correction>,
    /// Discounts larger than these bills: for later bills.
    pub carried: Vec<Carried>,
    /// The exports of first bills.
    pub exports: Vec<StatedExport>,
    /// The month's charges as tables, and how pools were shared.
    pub tables: Vec<StatedTable>,
    /// What pools gave.
    pub shares: Vec<StatedShare>,
    /// The proof.
    pub certificate: RunCertificate,
}

impl RunDocument {
    /// The version of the format that this software writes.
    pub const VERSION: u32 = 1;

    /// The bytes: sorted keys, two spaces of indentation, a newline at the end.
    ///
    /// # Errors
    /// Those of serialisation, which does not fail.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        canonical::to_json(self)
    }

    /// Reads a document and checks that its certificate holds.
    ///
    /// # Errors
    /// Says what is wrong, in words.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let document: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if document.bill_run != Self::VERSION {
            let (found, own) = (document.bill_run, Self::VERSION);
            return Err(format!("it has version {found}, this software reads {own}"));
        }
        document.certificate.verify().map_err(|error| error.to_string())?;
        Ok(document)
    }

    /// Reads the document under a key, which says what its bytes must be.
    ///
    /// # Errors
    /// Says what is wrong, in words.
    pub fn read(key: &str, bytes: &[u8]) -> Result<Self, String> {
        let revision = Revision::of(bytes);
        if !key.ends_with(&format!("-{revision}.json")) {
            return Err(format!(
                "{key} is not what was posted under its name (its bytes are revision {revision}): it was changed or damaged; restore it from \
                 the bucket's versions or from a backup"
            ));
        }
        Self::from_json(bytes).map_err(|why| format!("{key}: {why}"))
    }

    /// The bill of a customer.
    #[must_use]
    pub fn bill(&self, customer: &str) -> Option<&StatedBill> {
        self.bills.iter().find(|bill| bill.customer == customer)
    }

    /// Bills that go out with this run: to be stated and mailed.
    pub fn due(&self) -> impl Iterator<Item = &StatedBill> {
        self.bills.iter().filter(|bill| bill.is_first && bill.held.is_none())
    }

    /// What a customer's bill of the month comes to, as posted; nothing if there is none.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn posted_total(&self, customer: &str) -> Result<Option<Decimal>, MoneyError> {
        let lines = self.posted.get(customer);
        lines.map(|lines| money::sum(lines.values().copied())).transpose()
    }

    /// Whether a line of a customer, by any of its names, is posted.
    #[must_use]
    pub fn has_posted<'n>(&self, mut names: impl Iterator<Item = &'n String>, key: &str) -> bool {
        let amount = |name: &String| self.posted.get(name).and_then(|lines| lines.get(key)).copied();
        names.any(|name| amount(name).is_some_and(|amount| !amount.is_zero()))
    }

    /// The month.
    #[must_use]
    pub fn month(&self) -> BillingMonth {
        self.run.month
    }
}

impl StatedBill {
    /// Whether it waits with a line that comes to something.
    #[must_use]
    pub fn holds(&self, key: &str) -> bool {
        self.held.is_some() && self.lines.iter().any(|line| line.key == key && !line.amount.is_zero())
    }
}

impl BillRun {
    /// The bills that were asked for, with every figure that made them.
    ///
    /// # Errors
    /// [`BillsError::Money`] beyond 28 digits.
    pub fn stated(&self) -> Result<Vec<StatedBill>, BillsError> {
        let asked_for = self.bills.iter().filter(|bill| bill.is_asked_for);
        Ok(asked_for.map(StatedBill::of).collect::<Result<_, MoneyError>>()?)
    }
}

impl BillRun {
    /// What pools gave, in words.
    #[must_use]
    pub fn stated_shares(&self, catalog: &Catalog) -> Vec<StatedShare> {
        let stated = self.shares.iter().map(|share| StatedShare {
            pool: Recipient::Place(Place::Pool(share.pool)).label(catalog),
            rule: Place::Pool(share.pool).rule(catalog),
            recipient: share.recipient.map(|recipient| recipient.label_in(catalog, self.month)),
            amount: share.amount,
            currency: share.currency.to_owned(),
            ratio: share.ratio,
        });
        stated.collect()
    }
}

impl StatedBill {
    fn of(bill: &Bill) -> Result<Self, MoneyError> {
        Ok(Self {
            customer: bill.customer.clone(),
            formerly: bill.formerly.clone(),
            email: bill.email.clone(),
            cost_center: bill.cost_center.clone(),
            lines: bill.lines.iter().map(StatedLine::of).collect::<Result<_, _>>()?,
            total: bill.total,
            difference: bill.difference,
            carried_out: bill.carried_out,
            is_first: bill.is_first,
            held: bill.held.clone(),
        })
    }
}

impl StatedLine {
    fn of(line: &Line) -> Result<Self, MoneyError> {
        Ok(Self {
            key: line.key.clone(),
            kind: line.kind.as_str().to_owned(),
            name: line.name.clone(),
            provider: line.provider.clone(),
            product: line.product.clone(),
            comment: line.comment.clone(),
            rule: line.rule.clone(),
            costs: line.costs.iter().map(StatedCost::of).collect(),
            items: line.items.iter().map(StatedItem::of).collect::<Result<_, _>>()?,
            exact: line.exact.round_half_away(SHOWN)?,
            amount: line.amount.normalize(),
            recovery: line.kind.passes_costs().then(|| line.recovery.clone()),
            posted: line.posted.normalize(),
            difference: line.difference.normalize(),
        })
    }
}

impl StatedCost {
    fn of(part: &CostPart) -> Self {
        Self {
            source: part.source.clone(),
            rule: part.rule.clone(),
            basis: part.basis,
            charges: part.charges,
            amount: part.amount.normalize(),
            currency: part.conversion.currency.to_owned(),
            rate: part.conversion.rate,
            rate_source: part.conversion.source.clone(),
        }
    }
}

impl StatedItem {
    fn of(item: &Item) -> Result<Self, MoneyError> {
        let (price, amount) = (item.price.round_half_away(SHOWN)?, item.amount.round_half_away(SHOWN)?);
        Ok(Self { what: item.what.clone(), quantity: item.quantity, price, amount })
    }
}

mod posted_texts {
    use std::collections::BTreeMap;

    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Posted, decimal_text};

    #[derive(Serialize, Deserialize)]
    struct Text(#[serde(with = "decimal_text")] Decimal);

    pub(super) fn serialize<S: Serializer>(posted: &Posted, serializer: S) -> Result<S::Ok, S::Error> {
        let texts = posted.iter().map(|(customer, lines)| {
            let lines = lines.iter().map(|(key, amount)| (key, Text(*amount)));
            (customer, lines.collect::<BTreeMap<_, _>>())
        });
        serializer.collect_map(texts)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Posted, D::Error> {
        let texts = BTreeMap::<String, BTreeMap<String, Text>>::deserialize(deserializer)?;
        let lines = |lines: BTreeMap<String, Text>| {
            lines.into_iter().map(|(key, Text(amount))| (key, amount)).collect()
        };
        Ok(texts.into_iter().map(|(customer, of)| (customer, lines(of))).collect())
    }
}
