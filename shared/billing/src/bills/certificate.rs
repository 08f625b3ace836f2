//! The proof of a run of bills: charges = costs billed + not recovered + unallocated, each difference between a cost and what is billed
//! for it by name, and lines = bills = exports. Its JSON Schema stands in
//! `docs/bill-run-certificate.schema.json`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::export::Export;
use super::fx::Conversion;
use super::lines::{Bill, Line, LineKind};
use super::make::{BillInput, ComponentResult};
use super::placed_costs::PlacedCosts;
use super::pools::Unallocated;
use super::problems::BillsError;
use super::recovery::{ComponentProof, Recovery, RecoveryProof};
use super::unknown::{UnknownCostCenters, UnknownCosts, costs, unread_tags};
use crate::catalog::billing::CostBasis;
use crate::certificate::{CertificateError, Certified, DocumentRef, Status, decimal_text};
use crate::money::{self, Exact, MoneyError};
use crate::month::BillingMonth;

/// What the certificate is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSubject {
    /// Always `bill-run`.
    pub kind: String,
    /// The month.
    pub period: BillingMonth,
}

/// What the charges in one currency became. Amounts have up to twelve decimals and are exact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrencyProof {
    /// Sum of FOCUS `BilledCost` of all charges.
    #[serde(with = "decimal_text")]
    pub charges_total: Decimal,
    /// What is billed by its effective cost; nothing where the catalog bills nothing by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<BasisProof>,
    /// Sum of the costs that lines of bills pass on, before rates, percentages and prices.
    #[serde(with = "decimal_text")]
    pub billed_costs: Decimal,
    /// Sum of the costs of components that nobody is billed, though services use them.
    #[serde(default, with = "decimal_text", skip_serializing_if = "Decimal::is_zero")]
    pub not_recovered: Decimal,
    /// Sum of what nobody is billed.
    #[serde(with = "decimal_text")]
    pub unallocated_total: Decimal,
}

/// What is billed by its effective cost, and what was billed for it. The difference is part of what bills come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasisProof {
    /// Sum of FOCUS `EffectiveCost` of all charges, whatever they are billed by; nothing if some do not state it.
    #[serde(default, with = "decimal_text::optional", skip_serializing_if = "Option::is_none")]
    pub effective_total: Option<Decimal>,
    /// Sum of FOCUS `BilledCost` of the charges that are billed by their effective cost.
    #[serde(with = "decimal_text")]
    pub billed: Decimal,
    /// Sum of FOCUS `EffectiveCost` of the same.
    #[serde(with = "decimal_text")]
    pub effective: Decimal,
    /// `effective - billed`: what bills are more than the charges.
    #[serde(with = "decimal_text")]
    pub difference: Decimal,
    /// The difference by FOCUS `ChargeCategory`: what uses of commitments cost more, what their purchases cost less.
    #[serde(with = "decimal_texts")]
    pub by_category: BTreeMap<String, Decimal>,
}

/// A rate that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateProof {
    /// What one unit is worth.
    #[serde(with = "decimal_text")]
    pub rate: Decimal,
    /// Where it is from.
    pub source: Option<String>,
    /// Its line in the catalog, 0 for the catalog's own currency.
    pub line: usize,
}

/// A held bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBill {
    /// The customer.
    pub customer: String,
    /// Its total.
    #[serde(with = "decimal_text")]
    pub total: Decimal,
    /// Why.
    pub reason: String,
}

/// An amount that nobody is billed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnallocatedProof {
    /// What it is.
    pub what: String,
    /// ISO 4217 code.
    pub currency: String,
    /// How much.
    #[serde(with = "decimal_text")]
    pub amount: Decimal,
    /// Why.
    pub reason: String,
}

/// The certificate of a run of bills. Totals are in `currency`, those of `charges` in their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCertificate {
    /// Version of this document's format.
    pub certificate: u32,
    /// What it is about.
    pub subject: RunSubject,
    /// ISO 4217 code of the bills.
    pub currency: String,
    /// By currency of the charges.
    pub charges: BTreeMap<String, CurrencyProof>,
    /// By currency of the charges.
    pub rates: BTreeMap<String, RateProof>,
    /// What nobody is billed, with reasons.
    pub unallocated: Vec<UnallocatedProof>,
    /// What was billed for the costs that have a place; older certificates do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryProof>,
    /// Sum of all lines, by kind of line.
    #[serde(with = "decimal_texts")]
    pub lines: BTreeMap<String, Decimal>,
    /// Sum of all bills.
    #[serde(with = "decimal_text")]
    pub bills_total: Decimal,
    /// Sum of the bills that may go out: what exports must come to.
    #[serde(with = "decimal_text")]
    pub released_total: Decimal,
    /// What is left to post of those: nothing where the same run was made before.
    #[serde(with = "decimal_text")]
    pub to_post_total: Decimal,
    /// Bills that must not go out.
    pub held: Vec<HeldBill>,
    /// What the next month takes: zero or negative.
    #[serde(with = "decimal_text")]
    pub carried_out: Decimal,
    /// Charges whose cost is blank.
    pub blank_costs: u64,
    /// Cost centres that are no customer's.
    #[serde(default, skip_serializing_if = "UnknownCostCenters::is_empty")]
    pub unknown_cost_centers: UnknownCostCenters,
    /// What charges cost that are unallocated because their tags cannot be read.
    #[serde(default, skip_serializing_if = "UnknownCosts::is_empty")]
    pub unread_tags: UnknownCosts,
    /// What charges cost that several owners share by time, because an account or a rule changed its owner within their periods.
    #[serde(default, skip_serializing_if = "UnknownCosts::is_empty")]
    pub divided_by_time: UnknownCosts,
    /// What charges cost that are of a time before the month, as corrections are: they are those owners' of that time.
    #[serde(default, skip_serializing_if = "UnknownCosts::is_empty")]
    pub of_earlier_months: UnknownCosts,
    /// `matched` if all charges are billed, as they are or as the catalog says, and no bill is held; else `explained`: each rest has its reason. A run that does not
    /// add up is an error and has no certificate.
    pub status: Status,
    /// The verdict in words.
    pub explanation: String,
    /// Why a person released the month although inputs were missing; set by whoever was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<String>,
    /// What the charges and drivers were read from; set by whoever read them.
    pub inputs: Vec<DocumentRef>,
    /// The rules in force: the catalog's hash, and the rounding.
    pub rules: BTreeMap<String, String>,
    /// What was written; set by whoever wrote it.
    pub outputs: Vec<DocumentRef>,
    /// Name and version of the software.
    pub software: String,
}

impl CurrencyProof {
    /// What all charges come to, each in the basis in which it is billed.
    fn placed_total(&self) -> Result<Decimal, MoneyError> {
        money::add(self.charges_total, self.basis.as_ref().map(|basis| basis.difference).unwrap_or_default())
    }
}

impl RateProof {
    fn of(conversion: &Conversion) -> Self {
        let Conversion { rate, source, mark, .. } = conversion;
        Self { rate: *rate, source: source.clone(), line: mark.line }
    }
}

impl HeldBill {
    fn of(bill: &Bill) -> Option<Self> {
        let reason = bill.held.clone()?;
        Some(Self { customer: bill.customer.clone(), total: bill.total, reason })
    }
}

impl UnallocatedProof {
    fn of(rest: &Unallocated) -> Self {
        let Unallocated { what, currency, amount, reason } = rest.clone();
        Self { what, currency: currency.to_owned(), amount, reason }
    }
}

fn law<T: PartialEq + fmt::Display>(
    law: impl Into<Cow<'static, str>>,
    left: T,
    right: T,
) -> Result<(), CertificateError> {
    RunCertificate::law(law, left, right)
}

/// What is posted is remembered by key: two lines of one key would be posted again and again.
fn different_keys(bill: &Bill) -> Result<(), CertificateError> {
    let mut known = BTreeSet::new();
    match bill.lines.iter().find(|line| !known.insert(line.key.as_str())) {
        Some(line) => {
            let name = format!("lines of '{}' with the key '{}' = 1", bill.customer, line.key);
            let lines = bill.lines.iter().filter(|other| other.key == line.key).count();
            law(name, Decimal::from(lines), Decimal::ONE)
        }
        None => Ok(()),
    }
}

fn add_to(sums: &mut BTreeMap<String, Decimal>, key: &str, amount: Decimal) -> Result<(), MoneyError> {
    let sum = sums.entry(key.to_owned()).or_default();
    *sum = money::add(*sum, amount)?.normalize();
    Ok(())
}

/// What a certificate is made from.
pub(super) struct Made<'m> {
    pub(super) placed: &'m PlacedCosts,
    pub(super) bills: &'m [Bill],
    pub(super) unallocated: &'m [Unallocated],
    pub(super) components: &'m [ComponentResult],
}

impl Made<'_> {
    fn lines(&self) -> impl Iterator<Item = &Line> {
        self.bills.iter().flat_map(|bill| &bill.lines)
    }

    /// Adds up lines and what nobody is billed of components.
    fn recovery(&self, rates: &BTreeMap<String, RateProof>) -> Result<RecoveryProof, CertificateError> {
        let mut proof = RecoveryProof::default();
        for bill in self.bills {
            for line in bill.lines.iter().filter(|line| line.kind.passes_costs()) {
                let name = format!("the line '{}' of '{}'", line.key, bill.customer);
                law(format!("{name} = its recovery"), line.amount.into(), line.recovery.billed)?;
                balanced(&name, &line.recovery)?;
                let costs =
                    converted(line.costs.iter().map(|cost| (cost.conversion.currency, cost.amount)), rates)?;
                law(format!("costs of {name} = its recovery"), costs, line.recovery.cost)?;
                proof.total.add(&line.recovery)?;
            }
        }
        for component in self.components {
            let rest = converted(component.rest.iter().map(|(code, amount)| (*code, *amount)), rates)?;
            proof.total.lose(rest)?;
            let ComponentResult { name, recovery, reason, .. } = component.clone();
            proof.components.push(ComponentProof { name, recovery, reason });
        }
        proof.rounded_away = self.rounded_away()?;
        Ok(proof)
    }

    /// Costs whose lines all round to nothing, though together they are something.
    fn rounded_away(&self) -> Result<Vec<String>, MoneyError> {
        let mut groups: BTreeMap<String, (Recovery, usize, bool)> = BTreeMap::new();
        for line in self.lines().filter(|line| line.kind.passes_costs()) {
            let group = match line.kind {
                LineKind::Share => format!("pool:{}", line.name),
                kind => format!("lines of kind {}", kind.as_str()),
            };
            let (sum, lines, is_nothing) =
                groups.entry(group).or_insert_with(|| (Recovery::default(), 0, true));
            sum.add(&line.recovery)?;
            *lines += 1;
            *is_nothing &= line.amount.is_zero();
        }
        let mut found = Vec::new();
        for (group, (sum, lines, is_nothing)) in groups {
            let cost = sum.cost.round_half_away(2)?;
            if is_nothing && lines > 1 && !cost.is_zero() && !sum.rounding.is_zero() {
                found.push(format!("{group}: {cost} on {lines} lines, each of which rounds to nothing"));
            }
        }
        Ok(found)
    }
}

/// Amounts of several currencies, at the month's rates.
fn converted<'a>(
    amounts: impl Iterator<Item = (&'a str, Decimal)>,
    rates: &BTreeMap<String, RateProof>,
) -> Result<Exact, MoneyError> {
    let mut sum = Exact::ZERO;
    for (currency, amount) in amounts {
        let rate = rates.get(currency).map_or(Decimal::ZERO, |proof| proof.rate);
        sum = sum.plus(Exact::from(amount).times(rate)?)?;
    }
    Ok(sum)
}

/// The law of recovery.
fn balanced(what: &str, recovery: &Recovery) -> Result<(), CertificateError> {
    let name = format!("billed = cost - not_recovered + markups + prices + above_whole + rounding of {what}");
    law(name, recovery.billed, recovery.named()?)
}

fn verdict(bills: usize, held: usize, unallocated: usize, recovery: &RecoveryProof) -> (Status, String) {
    let astray = recovery.components.iter().filter(|component| component.reason.is_some()).count();
    let lost = astray + recovery.rounded_away.len();
    if held == 0 && unallocated == 0 && lost == 0 {
        return (Status::Matched, format!("all charges are in {bills} bills, and none is held"));
    }
    let rest = match lost {
        0 => format!("{held} of {bills} bills are held and {unallocated} amounts are unallocated"),
        lost => format!(
            "held bills: {held} of {bills}; unallocated amounts: {unallocated}; costs that are not billed as they are: {lost}"
        ),
    };
    (Status::Explained, format!("{rest}, each with its reason"))
}

impl RunCertificate {
    /// Adds up what was made, independently of how it was made, and checks the laws.
    pub(super) fn new<'r>(
        input: &BillInput<'_>,
        made: &Made<'_>,
        rates: impl Iterator<Item = &'r Conversion>,
    ) -> Result<Self, BillsError> {
        let Made { placed, bills, unallocated, components } = *made;
        let (mut billed, mut rest, mut lines) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for line in made.lines() {
            add_to(&mut lines, line.kind.as_str(), line.amount)?;
            for cost in &line.costs {
                add_to(&mut billed, cost.conversion.currency, cost.amount)?;
            }
        }
        for one in unallocated {
            add_to(&mut rest, one.currency, one.amount)?;
        }
        let mut lost = BTreeMap::new();
        for (currency, amount) in components.iter().flat_map(|component| &component.rest) {
            add_to(&mut lost, currency, *amount)?;
        }
        let mut proofs = BTreeMap::new();
        let others = billed.keys().chain(rest.keys()).chain(lost.keys()).cloned();
        for currency in placed.billed.keys().map(|code| (*code).to_owned()).chain(others) {
            let of = |sums: &BTreeMap<String, Decimal>| sums.get(&currency).copied().unwrap_or_default();
            let charges_total = placed.billed.get(currency.as_str()).copied().unwrap_or_default().normalize();
            let basis = placed.by_effective.get(currency.as_str()).cloned();
            let (billed_costs, unallocated_total, not_recovered) = (of(&billed), of(&rest), of(&lost));
            let proof =
                CurrencyProof { charges_total, basis, billed_costs, not_recovered, unallocated_total };
            proofs.insert(currency, proof);
        }
        let rates: BTreeMap<String, RateProof> =
            rates.map(|one| (one.currency.to_owned(), RateProof::of(one))).collect();
        let recovery = made.recovery(&rates)?;
        let released = || bills.iter().filter(|bill| bill.held.is_none());
        let (catalog, month) = (input.in_force.catalog, input.in_force.month);
        let held: Vec<HeldBill> = bills.iter().filter_map(HeldBill::of).collect();
        let (status, explanation) = verdict(bills.len(), held.len(), unallocated.len(), &recovery);
        let rules =
            [("catalog", catalog.version.clone()), ("rounding", catalog.rounding.as_str().to_owned())];
        let certificate = Self {
            certificate: 1,
            subject: RunSubject { kind: "bill-run".to_owned(), period: month },
            currency: catalog.currency.code().to_owned(),
            charges: proofs,
            rates,
            unallocated: unallocated.iter().map(UnallocatedProof::of).collect(),
            recovery: Some(recovery),
            lines,
            bills_total: money::sum(bills.iter().map(|bill| bill.total))?.normalize(),
            released_total: money::sum(released().map(|bill| bill.total))?.normalize(),
            to_post_total: money::sum(released().map(|bill| bill.difference))?.normalize(),
            held,
            carried_out: money::sum(bills.iter().map(|bill| bill.carried_out))?.normalize(),
            blank_costs: input.charged.blank,
            unknown_cost_centers: UnknownCostCenters::of(input.charged)?,
            unread_tags: unread_tags(input.charged, catalog.basis)?,
            divided_by_time: costs(&input.charged.divided, CostBasis::Billed)?,
            of_earlier_months: costs(&input.charged.earlier, CostBasis::Billed)?,
            status,
            explanation,
            released: None,
            inputs: Vec::new(),
            rules: rules.into_iter().map(|(rule, value)| (rule.to_owned(), value)).collect(),
            outputs: Vec::new(),
            software: crate::SOFTWARE.to_owned(),
        };
        certificate.verify()?;
        for bill in bills {
            let lines = money::sum(bill.lines.iter().map(|line| line.amount))?;
            law(format!("total of '{}' = its lines", bill.customer), bill.total, lines)?;
            different_keys(bill)?;
        }
        Ok(certificate)
    }

    fn verify_recovery(&self, recovery: &RecoveryProof) -> Result<(), CertificateError> {
        let of = |amount: fn(&CurrencyProof) -> Result<Decimal, MoneyError>| {
            let amounts = self.charges.iter().map(|(code, proof)| Ok((code.as_str(), amount(proof)?)));
            let amounts = amounts.collect::<Result<Vec<_>, MoneyError>>()?;
            converted(amounts.into_iter(), &self.rates)
        };
        let total = &recovery.total;
        let placed = of(CurrencyProof::placed_total)?.minus(of(|proof| Ok(proof.unallocated_total))?)?;
        law("recovery: cost = charges less what is unallocated, at the rates", total.cost, placed)?;
        let lost = of(|proof| Ok(proof.not_recovered))?;
        law("recovery: not_recovered = that of the charges, at the rates", total.not_recovered, lost)?;
        let kinds =
            self.lines.iter().filter(|(kind, _)| LineKind::passing_costs().any(|of| of.as_str() == *kind));
        let billed = money::sum(kinds.map(|(_, amount)| *amount))?;
        law("recovery: billed = lines that pass costs on", total.billed, billed.into())?;
        balanced("all costs", total)?;
        let mut lost = Exact::ZERO;
        for component in &recovery.components {
            balanced(&format!("component:{}", component.name), &component.recovery)?;
            lost = lost.plus(component.recovery.not_recovered)?;
        }
        law("recovery: not_recovered = that of the components", total.not_recovered, lost)
    }

    /// Checks that exports of all released bills come to what the certificate says.
    ///
    /// # Errors
    /// [`CertificateError::Broken`] names both sides.
    pub fn verify_exports(&self, exports: &[Export]) -> Result<(), CertificateError> {
        let exported = money::sum(exports.iter().map(|export| export.total))?;
        law("released_total = sum of exports", self.released_total, exported)
    }
}

impl Certified for RunCertificate {
    const OF: &'static str = "a run of bills";

    /// Checks the laws: charges + basis difference = billed costs + not recovered + unallocated in each currency, the basis difference = effective
    /// less billed cost = its categories, unallocated = its reasons, lines = bills,
    /// bills = released + held, what is carried out leaves the lines by as much, and what is billed for costs is those costs with every
    /// difference named.
    fn verify(&self) -> Result<(), CertificateError> {
        for (currency, proof) in &self.charges {
            let CurrencyProof { billed_costs, not_recovered, unallocated_total, .. } = *proof;
            let right = money::sum([billed_costs, not_recovered, unallocated_total])?;
            let basis = if proof.basis.is_some() { " + basis.difference" } else { "" };
            let name = format!(
                "charges_total{basis} = billed_costs + not_recovered + unallocated_total in {currency}"
            );
            law(name, proof.placed_total()?, right)?;
            if let Some(basis) = &proof.basis {
                let name = |right: &str| format!("basis.difference = {right} in {currency}");
                let both = money::sub(basis.effective, basis.billed)?;
                law(name("basis.effective - basis.billed"), basis.difference, both)?;
                let categories = money::sum(basis.by_category.values().copied())?;
                law(name("its categories"), basis.difference, categories)?;
            }
            let reasons = self.unallocated.iter().filter(|one| one.currency == *currency);
            let reasons = money::sum(reasons.map(|one| one.amount))?;
            law(format!("unallocated_total = its reasons in {currency}"), proof.unallocated_total, reasons)?;
        }
        law("bills_total = sum of lines", self.bills_total, money::sum(self.lines.values().copied())?)?;
        let held = money::sum(self.held.iter().map(|bill| bill.total))?;
        law("bills_total = released_total + held", self.bills_total, money::add(self.released_total, held)?)?;
        let carried = self.lines.get(LineKind::CarriedOut.as_str()).copied().unwrap_or_default();
        law("carried_out + lines carried out = 0", money::add(self.carried_out, carried)?, Decimal::ZERO)?;
        self.recovery.as_ref().map_or(Ok(()), |recovery| self.verify_recovery(recovery))
    }
}

mod decimal_texts {
    use std::collections::BTreeMap;

    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::money::parse_decimal;

    pub(super) fn serialize<S: Serializer>(
        values: &BTreeMap<String, Decimal>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(key, value)| (key, value.to_string())))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Decimal>, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
        let parsed =
            texts.into_iter().map(|(key, text)| Ok((key, parse_decimal(&text).map_err(D::Error::custom)?)));
        parsed.collect()
    }
}
