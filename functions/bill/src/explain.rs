//! From a figure on a bill to the charges and rules that made it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::Arc;

use billing::bills::{
    ChargeRow, ChargeRows, Facts, Origin, Owners, Place, Placer, RunDocument, StatedLine, StatedShare, Wanted,
};
use billing::catalog::billing::{Catalog, CostBasis, InForce, parse};
use billing::keys::CHARGES;
use billing::money::Amount;
use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::Reader;
use crate::error::MonthError;
use crate::event::{CatalogWish, Explanation};

/// The largest charges that are named one by one.
const NAMED: usize = 20;
/// That many are kept while looking for them.
const KEPT: usize = 200;

/// How the lines of a bill came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// The month.
    pub month: BillingMonth,
    /// Whose bill.
    pub customer: String,
    /// The run that says so.
    pub run: String,
    /// By which catalog.
    pub catalog: String,
    /// ISO 4217 code of the lines.
    pub currency: String,
    /// The lines, with prices, costs and the rules that brought them.
    pub lines: Vec<StatedLine>,
    /// The shares of pools behind their costs, from pool to pool: which part of each pool's charges below is theirs.
    pub shares: Vec<StatedShare>,
    /// The charges behind their costs, by rule: all that the rule took, of which a share may be a part.
    pub charges: Vec<ChargesOfRule>,
    /// What is not as it was when the run was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// The charges that a rule took. Amounts are decimal texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargesOfRule {
    /// The rule, with its line in the catalog.
    pub rule: String,
    /// Which cost of the charges it bills: the amounts are of this one.
    #[serde(default, skip_serializing_if = "CostBasis::is_billed")]
    pub basis: CostBasis,
    /// Their sum by document and currency.
    pub documents: Vec<DocumentSum>,
    /// The largest of them.
    pub largest: Vec<ExplainedCharge>,
}

/// What a rule took of one file of charges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentSum {
    /// Key of the charges.
    pub key: String,
    /// Key of the certificate that proves them.
    pub certificate: String,
    /// How many.
    pub charges: u64,
    /// Their sum.
    pub amount: String,
    /// ISO 4217 code.
    pub currency: String,
}

/// One charge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExplainedCharge {
    /// FOCUS `BilledCost`, or `EffectiveCost` where the rule bills that.
    pub amount: String,
    /// ISO 4217 code.
    pub currency: String,
    /// FOCUS `BilledCost`, where the amount is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billed_cost: Option<String>,
    /// FOCUS `SubAccountId`, else its name.
    pub account: String,
    /// FOCUS `ServiceName`.
    pub service: String,
    /// FOCUS `ResourceId`.
    pub resource: String,
    /// FOCUS `ChargeDescription`.
    pub description: String,
    /// The name of the raw document that it stands in.
    pub document: String,
    /// Its line or row there.
    pub line: Option<i64>,
}

/// Everything that a rule took, while files are read.
#[derive(Default)]
struct Taken {
    basis: CostBasis,
    /// By charges, their certificate, and currency.
    sums: BTreeMap<[String; 3], (Amount, u64)>,
    largest: Vec<(Decimal, ExplainedCharge)>,
}

impl Reader {
    /// Explains the lines of a bill that was posted.
    pub(crate) async fn explain(
        &self,
        asked: &Explanation,
        now: DateTime<Utc>,
    ) -> Result<Explained, MonthError> {
        let month = asked.month;
        let chain = self.ledger.chain().await?.chain;
        // a run for one customer says nothing of the others: an earlier one does
        let (mut found, mut customers) = (None, BTreeSet::new());
        for run in chain.of(month).rev().filter(|run| asked.run.is_none_or(|number| number == run.run.number))
        {
            let document = self.document(&run.document).await?;
            if document.bill(&asked.customer).is_some() {
                found = Some(document);
                break;
            }
            customers.extend(document.bills.into_iter().map(|bill| bill.customer));
        }
        let Some(document) = found else {
            let runs: Vec<String> = chain.of(month).map(|run| run.run.number.to_string()).collect();
            if runs.is_empty() {
                return Err(MonthError::Refused(format!(
                    "{month} has no bills; see monthend bill --month {month}"
                )));
            }
            if let Some(number) = asked.run.filter(|_| customers.is_empty()) {
                let there = runs.join(", ");
                return Err(MonthError::Refused(format!("{month} has no run {number}; there are: {there}")));
            }
            let customers: Vec<String> = customers.into_iter().collect();
            let (customer, there) = (&asked.customer, customers.join(", "));
            return Err(MonthError::Held(format!("{month} has no bill of '{customer}'; there are: {there}")));
        };
        let bill_lines = document.bill(&asked.customer).map(|bill| bill.lines.as_slice()).unwrap_or_default();
        let wanted = |line: &&StatedLine| asked.line.as_ref().is_none_or(|key| *key == line.key);
        let lines: Vec<StatedLine> = bill_lines.iter().filter(wanted).cloned().collect();
        if lines.is_empty() {
            let keys: Vec<&str> = bill_lines.iter().map(|line| line.key.as_str()).collect();
            let key = asked.line.as_deref().unwrap_or_default();
            return Err(MonthError::Held(format!(
                "the bill has no line '{key}'; there are: {}",
                keys.join(", ")
            )));
        }
        let shares = shares_behind(&document, &lines);
        let rules = lines.iter().flat_map(|line| &line.costs).map(|cost| cost.rule.clone());
        let rules: BTreeSet<String> = rules.chain(shares.iter().map(|share| share.rule.clone())).collect();
        let keys = lines.iter().map(|line| line.key.clone()).collect();
        let wanted = Of { customer: asked.customer.clone(), keys, rules };
        let (taken, remarks) = self.charges_of_rules(&document, wanted, now).await?;
        let charges: Result<_, MonthError> =
            taken.into_iter().map(|(rule, taken)| taken.finish(rule)).collect();
        Ok(Explained {
            month,
            customer: asked.customer.clone(),
            run: document.run.to_string(),
            catalog: document.catalog.clone(),
            currency: document.currency.clone(),
            lines,
            shares,
            charges: charges?,
            remarks,
        })
    }

    /// Reads the month's charges again, by the catalog of the run.
    async fn charges_of_rules(
        &self,
        document: &RunDocument,
        wanted: Of,
        now: DateTime<Utc>,
    ) -> Result<(BTreeMap<String, Taken>, Vec<String>), MonthError> {
        let (month, wanted) = (document.month(), Arc::new(wanted));
        let version = CatalogWish::Version(document.catalog.clone());
        let stored = self.catalog(Some(&version), None).await?;
        let bytes = stored.map(|stored| stored.bytes).unwrap_or_default();
        let catalog = Arc::new(parse(&bytes).map_err(MonthError::held)?);
        let sources = self.sources(&InForce::new(&catalog, month), None, now).await?;
        let (mut remarks, mut taken) = (Vec::new(), BTreeMap::<String, Taken>::new());
        for source in &sources.sources {
            let (file, input) = self.certified(source).await?;
            if !document.inputs.contains(&input) {
                remarks.push(format!(
                    "{} was allocated again since the run: its charges below are the newest",
                    input.key
                ));
            }
            let of = Read {
                provider: source.invoice.provider.to_string(),
                charges: input.key,
                certificate: source.invoice.certificate(&source.revision),
            };
            let (catalog, wanted, so_far) = (catalog.clone(), wanted.clone(), std::mem::take(&mut taken));
            let read =
                tokio::task::spawn_blocking(move || of.take(file, &wanted, &catalog, month, so_far)).await;
            taken = read.map_err(|error| MonthError::GivenUp(error.to_string()))??;
        }
        let there: BTreeSet<String> = sources.sources.iter().map(|source| source.invoice.charges()).collect();
        let gone = document
            .inputs
            .iter()
            .filter(|input| input.key.starts_with(CHARGES) && !there.contains(&input.key));
        remarks
            .extend(gone.map(|input| format!("{} is there no more: its charges are not below", input.key)));
        Ok((taken, remarks))
    }
}

/// The shares that went to what the lines name, and those that went to these pools before.
fn shares_behind(document: &RunDocument, lines: &[StatedLine]) -> Vec<StatedShare> {
    let sources = lines.iter().flat_map(|line| &line.costs).map(|cost| cost.source.clone());
    let own = lines.iter().map(|line| line.key.replacen('/', ":", 1));
    let mut names: BTreeSet<String> = sources.filter(|source| source != "charges").chain(own).collect();
    let mut behind: Vec<StatedShare> = Vec::new();
    loop {
        let goes = |share: &&StatedShare| share.recipient.as_ref().is_some_and(|to| names.contains(to));
        let new = document.shares.iter().filter(goes).filter(|share| !behind.contains(share));
        let new: Vec<StatedShare> = new.cloned().collect();
        if new.is_empty() {
            return behind;
        }
        names.extend(new.iter().map(|share| share.pool.clone()));
        behind.extend(new);
    }
}

/// What to look for.
struct Of {
    customer: String,
    /// Of the lines.
    keys: BTreeSet<String>,
    rules: BTreeSet<String>,
}

impl Of {
    /// Whether a charge that a rule of the lines took is behind them.
    fn is_behind(&self, place: Place, facts: &Facts<'_>, catalog: &Catalog) -> bool {
        let is_own = |customer: usize| {
            catalog.customers.get(customer).is_some_and(|customer| customer.name == self.customer)
        };
        match place {
            Place::Account { customer, .. } => is_own(customer),
            // each of its accounts has a line
            Place::CostCenter(customer) => {
                is_own(customer) && self.keys.contains(&Origin::of(facts).line_key())
            }
            _ => true,
        }
    }
}

/// One file.
struct Read {
    provider: String,
    charges: String,
    certificate: String,
}

impl Read {
    fn take(
        &self,
        file: Arc<File>,
        wanted: &Of,
        catalog: &Catalog,
        month: BillingMonth,
        mut taken: BTreeMap<String, Taken>,
    ) -> Result<BTreeMap<String, Taken>, MonthError> {
        let in_force = InForce::new(catalog, month);
        let owners = Owners::new(&in_force);
        let mut placers: BTreeMap<usize, Placer> = BTreeMap::new();
        let take = |row: &ChargeRow<'_>| {
            for (stretch, cost) in owners.parts(&row.facts).divide_both(row.billed, row.effective)? {
                let placer = placers.entry(stretch).or_insert_with(|| owners.placer(&in_force, stretch));
                let place = placer.place(&row.facts)?.place;
                let rule = place.rule(catalog);
                if wanted.rules.contains(&rule) && wanted.is_behind(place, &row.facts, catalog) {
                    let taken = taken.entry(rule).or_default();
                    taken.basis = place.basis(&in_force);
                    taken
                        .add(&ChargeRow { billed: cost.billed, effective: cost.effective(), ..*row }, self)?;
                }
            }
            Ok(())
        };
        let wanted_of_rows = Wanted { details: true, ..Wanted::default() };
        ChargeRows::open(file)?.each(&self.provider, wanted_of_rows, take)?;
        Ok(taken)
    }
}

impl Taken {
    fn add(&mut self, row: &ChargeRow<'_>, of: &Read) -> Result<(), billing::money::MoneyError> {
        let key = [of.charges.as_str(), &of.certificate, row.currency.code()].map(str::to_owned);
        let sum = self.sums.entry(key).or_default();
        let counted = self.basis.of(row.billed, row.effective).unwrap_or(row.billed);
        *sum = (sum.0.checked_add(counted)?, sum.1 + 1);
        let [amount, billed] = [counted.to_decimal(18)?.normalize(), row.billed.to_decimal(18)?.normalize()];
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let Facts { sub_account_id, sub_account_name, service, resource, .. } = row.facts;
        let charge = ExplainedCharge {
            amount: amount.to_string(),
            billed_cost: (amount != billed).then(|| billed.to_string()),
            currency: row.currency.code().to_owned(),
            account: text(sub_account_id.or(sub_account_name)),
            service: service.to_owned(),
            resource: text(resource),
            description: text(row.detail.description),
            document: text(row.detail.document),
            line: row.detail.line,
        };
        self.largest.push((amount.abs(), charge));
        if self.largest.len() > KEPT {
            self.keep_largest();
        }
        Ok(())
    }

    fn keep_largest(&mut self) {
        self.largest.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.cmp(other)));
        self.largest.truncate(NAMED);
    }

    fn finish(mut self, rule: String) -> Result<ChargesOfRule, MonthError> {
        self.keep_largest();
        let documents = self.sums.into_iter().map(|([key, certificate, currency], (amount, charges))| {
            let amount = amount.to_decimal(18).map_err(MonthError::held)?.normalize().to_string();
            Ok(DocumentSum { key, certificate, charges, amount, currency })
        });
        let documents = documents.collect::<Result<_, MonthError>>()?;
        let largest = self.largest.into_iter().map(|(_, charge)| charge).collect();
        Ok(ChargesOfRule { rule, basis: self.basis, documents, largest })
    }
}
