//! One run of a month: from the catalog, charges, drivers and earlier runs to a document that says everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use billing::aggregate::Aggregate;
use billing::bills::{
    BillInput, BillRun, BilledAccount, Carried, Chain, Correction, LatePositions, Posted, Release, Rows,
    RunDocument, RunId, StatedExport, StatedTable, UnknownCost, UnknownCosts, make_bills, posted_by_name_now,
};
use billing::catalog::billing::{Catalog, InForce, Position, parse};
use billing::certificate::DocumentRef;
use billing::keys::BillsKey;
use billing::month::BillingMonth;
use billing::revision::sha256_hex;
use chrono::{DateTime, Utc};
use cloud::catalog::StoredCatalog;
use cloud::ledger::StoredChain;
use cloud::posted::Posted as PostedRuns;
use rust_decimal::Decimal;

use crate::Reader;
use crate::charges::MonthCharges;
use crate::drivers::MonthDrivers;
use crate::error::MonthError;
use crate::event::{CatalogWish, MonthWish};
use crate::fingerprint::MadeFrom;
use crate::inputs::covers;
use crate::shares::{recovery_csv, shares_csv};

/// What a run of a month comes to.
pub(crate) enum Prepared {
    /// No catalog has customers.
    Nothing,
    /// Inputs are missing, and nobody released the month.
    Missing(Vec<String>),
    /// The newest run was made from the same.
    Unchanged(Box<RunDocument>),
    /// A run to post.
    New(Box<NewRun>),
}

/// A run that is not posted yet.
pub(crate) struct NewRun {
    pub(crate) document: RunDocument,
    pub(crate) stored: StoredChain,
    pub(crate) catalog: StoredCatalog,
    /// The bytes of its tables, by where they wait.
    pub(crate) tables: Vec<(String, Vec<u8>)>,
    /// Rules that took no charge, and other things a person may want to know.
    pub(crate) remarks: Vec<String>,
}

/// What the runs before have left.
struct Before {
    newest: Option<RunDocument>,
    /// The run whose catalog and release hold for the next: one for a single customer decides nothing for the others.
    decided: Option<RunDocument>,
    took: Vec<RunId>,
    corrections: Vec<Correction>,
    carried: Vec<Carried>,
    /// Of what was posted, and of what is taken.
    currencies: BTreeSet<String>,
}

impl Reader {
    /// Works out a run. Nothing is written.
    pub(crate) async fn prepare(&self, wish: &MonthWish, now: DateTime<Utc>) -> Result<Prepared, MonthError> {
        let month = wish.month;
        let posted = Box::pin(PostedRuns::look(&self.bucket, &self.ledger)).await?;
        if let Some(problem) = posted.problem() {
            return Err(MonthError::Older(problem));
        }
        let stored = posted.stored;
        let before = self.before(&stored.chain, month, wish.customer.as_deref()).await?;
        let Some(version) = self.catalog(wish.catalog.as_ref(), before.decided.as_ref()).await? else {
            return Ok(Prepared::Nothing);
        };
        let catalog = parse(&version.bytes);
        let catalog = catalog
            .map_err(|problems| MonthError::Held(format!("the catalog {}: {problems}", version.version)))?;
        if catalog.customers.is_empty() {
            return Ok(Prepared::Nothing);
        }
        let catalog = Arc::new(catalog);
        if let Some(only) = &wish.customer
            && !catalog.customers.iter().any(|customer| customer.name == *only)
        {
            let there: Vec<&str> = catalog.customers.iter().map(|customer| customer.name.as_str()).collect();
            return Err(MonthError::Refused(format!(
                "there is no customer '{only}' in the catalog {}; there are: {}",
                version.version,
                there.join(", ")
            )));
        }
        let own = catalog.currency.code();
        if let Some(other) = before.currencies.iter().find(|currency| *currency != own) {
            return Err(MonthError::Held(format!(
                "the catalog {} bills in {own}, but what was posted of {month}, or is carried to it, is in {other}: amounts of two currencies \
                 are not added; settle the rest in {other} first, with positions",
                version.version
            )));
        }
        let earlier = match stored.chain.newest(month.previous()) {
            Some(run) => Some(self.document(&run.document).await?),
            None => None,
        };
        let in_force = InForce::new(&catalog, month);
        let sources = self.sources(&in_force, earlier.as_ref(), now).await?;
        let released_before = before.decided.as_ref().and_then(|run| run.released.as_ref());
        let released_before = released_before.filter(|release| covers(release, &sources.missing));
        let reason = wish.release.clone().or(released_before.map(|release| release.reason.clone()));
        let released = match (sources.missing.is_empty(), reason) {
            (true, _) => None,
            (false, Some(reason)) => Some(Release { reason, missing: sources.missing.clone() }),
            (false, None) => return Ok(Prepared::Missing(sources.missing)),
        };
        let drivers = self.drivers(&in_force, now).await?;
        let late = Box::pin(self.late_positions(&stored.chain, &catalog, month)).await?;
        let made_from =
            MadeFrom::of(&catalog, &before.took, released.as_ref(), &sources, &drivers.drivers, &late);
        if let Some(newest) = &before.newest
            && (newest.only.is_none() || newest.only == wish.customer)
            && made_from.is_of(newest)?
        {
            return Ok(Prepared::Unchanged(Box::new(newest.clone())));
        }
        let charges = self.add_up(month, &catalog, &sources.sources).await?;
        let fingerprint = made_from.fingerprint()?;
        let (only, accounts) = (wish.customer.clone(), sources.accounts());
        let head = Head { fingerprint, released, only, accounts, late };
        new_run(stored, version, &in_force, head, before, charges, drivers)
    }

    /// The document of a run.
    pub(crate) async fn document(&self, key: &str) -> Result<RunDocument, MonthError> {
        let object = self.bucket.get(key, None).await?;
        let object = object.ok_or_else(|| {
            MonthError::Held(format!(
                "there is no {key}, which the ledger names: restore it from the bucket's versions or from a backup"
            ))
        })?;
        RunDocument::read(key, &object.bytes).map_err(MonthError::Held)
    }

    /// Positions of this month and of earlier ones that their own months' bills do not have, because these were made before.
    async fn late_positions(
        &self,
        chain: &Chain,
        catalog: &Catalog,
        month: BillingMonth,
    ) -> Result<LatePositions, MonthError> {
        let billed = chain.months();
        let is_later = billed.range(month.next()..).next().is_some();
        let of_interest = |of: BillingMonth| of < month || (of == month && is_later);
        let positions = catalog.positions.iter().enumerate();
        let positions = positions.filter(|(_, of)| !of.amount.is_zero() && of_interest(of.month));
        let (positions, nowhere): (Vec<_>, Vec<_>) =
            positions.partition(|(_, of)| billed.contains(&of.month));
        let nowhere = nowhere.into_iter().map(|(at, _)| at).collect();
        let mut late = LatePositions { nowhere, ..LatePositions::default() };
        let Some(first) = positions.iter().map(|(_, position)| position.month).min() else { return Ok(late) };
        // the newest run of a month has all that is posted of it
        let mut months: BTreeMap<BillingMonth, Vec<RunDocument>> = BTreeMap::new();
        for of in billed.range(first..).filter(|of| **of != month) {
            for run in chain.of(*of).rev() {
                months.entry(*of).or_default().push(self.document(&run.document).await?);
            }
        }
        for (at, position) in positions {
            let customer = &catalog.customers[position.customer];
            let names = || [&customer.name].into_iter().chain(&customer.formerly);
            let has = |runs: &[RunDocument], key: &str| {
                let bill = runs.iter().find_map(|run| names().find_map(|name| run.bill(name)));
                runs.first().is_some_and(|newest| newest.has_posted(names(), key))
                    || bill.is_some_and(|bill| bill.holds(key))
            };
            let (key, late_key) = (position.key(), position.late_key());
            let own = months.get(&position.month);
            let is_there =
                own.is_some_and(|runs| has(runs, &key)) || months.values().any(|runs| has(runs, &late_key));
            // what is posted of that month's positions, against what the catalog says of them
            let is_other = own.and_then(|runs| runs.first()).is_some_and(|newest| {
                let posted = names().filter_map(|name| newest.posted.get(name)).flatten();
                let mut posted =
                    posted.filter(|(key, amount)| key.starts_with(Position::KEYS) && !amount.is_zero());
                let due = |of: &&Position| of.month == position.month && of.customer == position.customer;
                let due: BTreeMap<String, Decimal> =
                    catalog.positions.iter().filter(due).map(|of| (of.key(), of.amount)).collect();
                posted.any(|(key, amount)| due.get(key) != Some(amount))
            });
            match (is_there, position.month == month) {
                (_, false) if is_other => late.changed.push(at),
                (false, false) => late.here.push(at),
                (true, true) => late.elsewhere.push(at),
                _ => {}
            }
        }
        Ok(late)
    }

    async fn before(
        &self,
        chain: &Chain,
        month: BillingMonth,
        customer: Option<&str>,
    ) -> Result<Before, MonthError> {
        let (mut newest, mut first, mut decided) = (None, None, None);
        for run in chain.of(month).rev() {
            let document = self.document(&run.document).await?;
            newest = newest.or_else(|| Some(document.clone()));
            if document.only.is_none() || document.only.as_deref() == customer {
                decided = Some(document);
                break;
            }
            first = Some(document);
        }
        let took = chain.takes(month);
        if let Some(document) = &newest {
            let (corrections, carried) = (document.corrections_taken.clone(), document.carried_taken.clone());
            // where every run was for somebody else, the month keeps the catalog of its first one, and no release
            let decided = decided.or_else(|| first.map(|first| RunDocument { released: None, ..first }));
            let currencies = BTreeSet::from([document.currency.clone()]);
            return Ok(Before { newest, decided, took, corrections, carried, currencies });
        }
        let (mut corrections, mut carried, mut currencies) = (Vec::new(), Vec::new(), BTreeSet::new());
        for run in &took {
            let Some(key) = chain.document(*run) else { continue };
            let document = self.document(key).await?;
            currencies.insert(document.currency.clone());
            corrections.extend(document.corrections);
            carried.extend(document.carried);
        }
        Ok(Before { newest, decided, took, corrections, carried, currencies })
    }

    /// The catalog to bill by: the one asked for, else the one by which the month was billed before, else the one in force.
    pub(crate) async fn catalog(
        &self,
        wish: Option<&CatalogWish>,
        decided: Option<&RunDocument>,
    ) -> Result<Option<StoredCatalog>, MonthError> {
        let beginning = match (wish, decided) {
            (Some(CatalogWish::Current), _) | (None, None) => return Ok(self.bucket.catalog().await?),
            (Some(CatalogWish::Version(beginning)), _) => beginning,
            (None, Some(decided)) => &decided.catalog,
        };
        let versions = self.bucket.catalog_versions(beginning).await?;
        let [version] = versions.as_slice() else {
            let why = if versions.is_empty() { "is not kept" } else { "is the beginning of several" };
            let why = format!("the catalog version {beginning} {why}: see catalog/versions/");
            return Err(if wish.is_some() { MonthError::Refused(why) } else { MonthError::Held(why) });
        };
        Ok(self.bucket.stored_version(version).await?)
    }
}

struct Head {
    fingerprint: String,
    released: Option<Release>,
    only: Option<String>,
    accounts: Vec<BilledAccount>,
    late: LatePositions,
}

fn new_run(
    stored: StoredChain,
    version: StoredCatalog,
    in_force: &InForce<'_>,
    head: Head,
    before: Before,
    mut charges: MonthCharges,
    drivers: MonthDrivers,
) -> Result<Prepared, MonthError> {
    let (catalog, month) = (in_force.catalog, in_force.month);
    let posted = before.newest.as_ref().map(|document| document.posted.clone()).unwrap_or_default();
    let posted = posted_by_name_now(&posted, catalog).map_err(MonthError::held)?;
    let run = make_bills(&BillInput {
        in_force,
        charged: &charges.charged,
        drivers: &drivers.drivers,
        posted: &posted,
        corrections: &before.corrections,
        carried: &before.carried,
        late: &head.late,
        only: head.only.as_deref(),
    })?;
    let tables = charges.totals.tables(month).map_err(MonthError::held)?;
    let (shares, recovery) = (shares_csv(&run, catalog)?, recovery_csv(&run, catalog)?);
    let id = stored.chain.next(month);
    let inputs = [charges.inputs, drivers.inputs].concat();
    let mut document = document(&run, id, catalog, &head, before, inputs, &posted)?;
    let tables = stated_tables(&mut document, tables, shares, recovery);
    document.certificate.outputs = outputs(&document);
    let remarks = remarks(&run, catalog, &head.late, &stored.chain);
    Ok(Prepared::New(Box::new(NewRun { document, stored, catalog: version, tables, remarks })))
}

fn document(
    run: &BillRun,
    id: RunId,
    catalog: &Catalog,
    head: &Head,
    before: Before,
    inputs: Vec<DocumentRef>,
    posted: &Posted,
) -> Result<RunDocument, MonthError> {
    // those of all bills are written for the check that they come to the run's total
    run.exports(catalog, Rows::All)?;
    let key = BillsKey { month: id.month };
    let exports = run.exports(catalog, Rows::Due)?.into_iter().map(|export| StatedExport {
        key: key.export(&export.name, id.number),
        name: export.name,
        lines: export.lines,
        total: export.total,
        sha256: sha256_hex(&export.bytes),
        base64: STANDARD.encode(&export.bytes),
    });
    let mut certificate = run.certificate.clone();
    certificate.inputs.clone_from(&inputs);
    certificate.released = head.released.as_ref().map(|release| release.reason.clone());
    Ok(RunDocument {
        bill_run: RunDocument::VERSION,
        run: id,
        catalog: catalog.version.clone(),
        currency: catalog.currency.code().to_owned(),
        fingerprint: head.fingerprint.clone(),
        inputs,
        accounts: head.accounts.clone(),
        released: head.released.clone(),
        only: head.only.clone(),
        took: before.took,
        corrections_taken: before.corrections,
        carried_taken: before.carried,
        bills: run.stated()?,
        posted: run.posted(posted),
        corrections: run.corrections(),
        carried: run.carried(),
        exports: exports.collect(),
        tables: Vec::new(),
        shares: run.stated_shares(catalog),
        certificate,
    })
}

/// Names the tables in the document; answers their bytes by where they wait until the run is posted.
fn stated_tables(
    document: &mut RunDocument,
    tables: Vec<Aggregate>,
    shares: Vec<u8>,
    recovery: Vec<u8>,
) -> Vec<(String, Vec<u8>)> {
    let (key, number) = (BillsKey { month: document.month() }, document.run.number);
    let mut bytes = Vec::new();
    let mut state = |place: String, extension: &str, table: Vec<u8>| {
        let waiting = key.waiting(&table, extension);
        let sha256 = sha256_hex(&table);
        document.tables.push(StatedTable { key: place, waiting: waiting.clone(), sha256 });
        bytes.push((waiting, table));
    };
    for table in tables {
        state(key.table(table.name, number, "csv"), "csv", table.csv);
        state(key.table(table.name, number, "parquet"), "parquet", table.parquet);
    }
    state(key.shares(number), "csv", shares);
    state(key.recovery(number), "csv", recovery);
    bytes
}

/// What is written of the run beside its own document and its certificate.
fn outputs(document: &RunDocument) -> Vec<DocumentRef> {
    let exports = document.exports.iter().map(|export| (&export.key, &export.sha256));
    let tables = document.tables.iter().map(|table| (&table.key, &table.sha256));
    exports
        .chain(tables)
        .map(|(key, sha256)| DocumentRef { key: key.clone(), sha256: sha256.clone() })
        .collect()
}

fn remarks(run: &BillRun, catalog: &Catalog, late: &LatePositions, chain: &Chain) -> Vec<String> {
    let idle = run.idle_rules.iter().map(|rule| format!("{rule}: no charge of {} belongs here", run.month));
    let unused = run.components.iter().filter(|component| !component.is_used && !component.costs.is_empty());
    let unused = unused
        .map(|component| format!("the component '{}' has costs and no service uses it", component.name));
    let centers = run.unknown_cost_centers.named.keys();
    let centers = centers.map(|value| format!("the cost centre '{value}' of charges is no customer's"));
    let unread = run.unread_tags.iter().map(|(currency, UnknownCost { amount, charges })| {
        format!(
            "{charges} charges of {amount} {currency} are unallocated: their tags cannot be read, and the catalog decides by tags"
        )
    });
    let told = |costs: &UnknownCosts, what: &str| {
        let told = costs.iter().map(|(currency, UnknownCost { amount, charges })| {
            format!("charges of {amount} {currency} ({charges}) {what}")
        });
        told.collect::<Vec<_>>()
    };
    let proof = &run.certificate;
    let earlier = told(
        &proof.of_earlier_months,
        "are of a time before the month: they are those owners' of that time, if there were any",
    );
    let divided = told(&proof.divided_by_time, "span a change of owner: they are divided by time");
    let asked_for = run.bills.iter().filter(|bill| bill.is_asked_for).map(|bill| bill.customer.as_str());
    let asked_for: BTreeSet<&str> = asked_for.collect();
    let of = |places: &[usize]| -> Vec<(&Position, &str)> {
        let positions = places.iter().filter_map(|at| catalog.positions.get(*at));
        positions.map(|of| (of, catalog.customers[of.customer].name.as_str())).collect()
    };
    let here = of(&late.here).into_iter().filter(|(_, customer)| asked_for.contains(customer));
    let here = here.map(|(of, customer)| {
        let (reason, month) = (&of.reason, of.month);
        format!("the position '{reason}' of '{customer}' of {month} is on this bill: that month was billed without it")
    });
    let elsewhere = of(&late.elsewhere).into_iter();
    let elsewhere = elsewhere.map(|(of, customer)| {
        format!("the position '{}' of '{customer}' is on a later bill already", of.reason)
    });
    let changed: BTreeSet<(BillingMonth, &str)> =
        of(&late.changed).into_iter().map(|(of, customer)| (of.month, customer)).collect();
    let changed = changed.into_iter().map(|(month, customer)| {
        format!(
            "the positions of '{customer}' of {month} are not those that were billed: monthend bill --month {month} --catalog current posts the \
             difference"
        )
    });
    let nowhere: BTreeSet<BillingMonth> = of(&late.nowhere).into_iter().map(|(of, _)| of.month).collect();
    let nowhere = nowhere
        .into_iter()
        .map(|of| format!("positions of {of} are on no bill: that month was never billed"));
    // a credit that a later bill has taken is settled there
    let is_taken = chain.0.iter().flat_map(|run| &run.took).any(|took| took.month == run.month);
    let balances = run.bills.iter().filter(|bill| !is_taken && bill.is_only_balance()).map(|bill| {
        let (customer, currency) = (&bill.customer, catalog.currency.code());
        format!(
            "'{customer}' has {} {currency} of credit and nothing else to bill: pay it out or waive it, with a position of {} and its reason",
            -bill.carried_out, -bill.carried_out
        )
    });
    let of_costs = idle.chain(unused).chain(centers).chain(unread).chain(earlier).chain(divided);
    of_costs.chain(here).chain(elsewhere).chain(changed).chain(nowhere).chain(balances).collect()
}
