//! Drivers of a month: documents that somebody brought (`drivers/{name}/{YYYY-MM}.csv` or `.json`), and what this system measured itself.
//!
//! | driver | quantities |
//! |---|---|
//! | `datastore-hours` | hours that nodes of datastores ran, by the customer's reference, else its id |
//! | `metered:{dimension}` | what was metered of a dimension, by contract |

use std::collections::{BTreeMap, BTreeSet};

use billing::bills::{Driver, Drivers};
use billing::catalog::billing::InForce;
use billing::certificate::DocumentRef;
use billing::keys::{self, UsageKey};
use billing::metering::{Source, UsageSnapshot};
use billing::month::BillingMonth;
use billing::revision::sha256_hex;
use billing::usage::Window;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::Reader;
use crate::error::MonthError;

const DATASTORE_HOURS: &str = "datastore-hours";
const METERED: &str = "metered:";

/// Bytes of histories that are measured at once.
const BATCH_BYTES: usize = 512 * 1024;

/// The drivers of a month, and what they were read from.
#[derive(Default)]
pub(crate) struct MonthDrivers {
    pub(crate) drivers: Drivers,
    pub(crate) inputs: Vec<DocumentRef>,
}

/// What was measured has no document: it is named by the hash of its quantities.
fn measured(name: &str, driver: &Driver) -> Result<DocumentRef, MonthError> {
    let quantities = driver.quantities.iter().map(|(target, quantity)| (target, quantity.to_string()));
    let bytes = billing::canonical::to_json(&quantities.collect::<BTreeMap<_, _>>())?;
    Ok(DocumentRef { key: format!("driver:{name}"), sha256: sha256_hex(&bytes) })
}

impl Reader {
    /// The drivers that a catalog needs, as far as they are there; who needs one that is not says so.
    pub(crate) async fn drivers(
        &self,
        in_force: &InForce<'_>,
        now: DateTime<Utc>,
    ) -> Result<MonthDrivers, MonthError> {
        let mut found = MonthDrivers::default();
        for name in in_force.drivers() {
            let month = in_force.month;
            let driver = match self.brought(name, month, &mut found.inputs).await? {
                Some(driver) => Some(driver),
                None if name == DATASTORE_HOURS => {
                    let driver = self.datastore_hours(month, now).await?;
                    found.inputs.push(measured(name, &driver)?);
                    Some(driver)
                }
                None => match name.strip_prefix(METERED) {
                    Some(dimension) => self.metered(dimension, month, &mut found.inputs).await?,
                    None => None,
                },
            };
            found.drivers.0.extend(driver.map(|driver| (name.to_owned(), driver)));
        }
        Ok(found)
    }

    async fn brought(
        &self,
        name: &str,
        month: BillingMonth,
        inputs: &mut Vec<DocumentRef>,
    ) -> Result<Option<Driver>, MonthError> {
        let [csv, json] = ["csv", "json"].map(|extension| keys::driver(name, month, extension));
        let documents = (self.bucket.get(&csv, None).await?, self.bucket.get(&json, None).await?);
        let (key, bytes, driver) = match documents {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(MonthError::Held(format!(
                    "{csv} and {json} both say what '{name}' is, remove one"
                )));
            }
            (Some(object), None) => (csv, object.bytes.clone(), Driver::from_csv(name, &object.bytes)),
            (None, Some(object)) => (json, object.bytes.clone(), Driver::from_json(name, &object.bytes)),
        };
        let driver = driver.map_err(|error| MonthError::Held(format!("{key}: {error}")))?;
        inputs.push(DocumentRef { key, sha256: sha256_hex(&bytes) });
        Ok(Some(driver))
    }

    /// Hours of nodes by customer. A month that is not over has those until now.
    async fn datastore_hours(&self, month: BillingMonth, now: DateTime<Utc>) -> Result<Driver, MonthError> {
        let last = month.end().date_naive().pred_opt();
        let window = Window::days(Some(month.start().date_naive()), last, now).map_err(MonthError::held)?;
        let mut histories = self.datastores.histories().await?;
        let mut measured: BTreeMap<String, i128> = BTreeMap::new();
        loop {
            let batch = histories.batch(BATCH_BYTES).await?;
            if batch.is_empty() {
                break;
            }
            for group in &batch {
                let history = group.history()?;
                let Some(life) = self.datastores.life(&history, window.now_ms()) else { continue };
                for usage in life.measure(&window) {
                    let ms: i128 = usage.instances.iter().map(|instance| instance.ms).sum();
                    if ms > 0 {
                        let customer = usage.customer_reference.unwrap_or(usage.customer_id);
                        *measured.entry(customer.to_owned()).or_default() += ms;
                    }
                }
            }
        }
        let hours = |ms: i128| {
            let ms = Decimal::try_from_i128_with_scale(ms, 0).ok()?;
            Some(ms.checked_div(Decimal::from(3_600_000))?.round_dp(12).normalize())
        };
        let mut driver = Driver::default();
        for (customer, ms) in measured {
            let hours =
                hours(ms).ok_or_else(|| MonthError::Held(format!("the hours of '{customer}' overflow")))?;
            driver.quantities.insert(customer, hours);
        }
        Ok(driver)
    }

    /// What the newest snapshots of all plans say of a dimension; nothing if no plan was metered.
    async fn metered(
        &self,
        dimension: &str,
        month: BillingMonth,
        inputs: &mut Vec<DocumentRef>,
    ) -> Result<Option<Driver>, MonthError> {
        let mut sums: BTreeMap<String, billing::money::Exact> = BTreeMap::new();
        let mut snapshots = BTreeSet::new();
        for plan in self.plans.plans(&self.bucket).await? {
            let usage = self.ledger.usage(&plan.plan).await?;
            let Some(record) = usage.into_iter().find(|record| record.month == month) else { continue };
            let (source, plan) = (Source::Omnistrate, plan.plan);
            snapshots.insert(UsageKey { source, plan, month, revision: record.revision }.to_string());
        }
        for key in &snapshots {
            let gone = || {
                MonthError::Held(format!("there is no {key}, which the ledger names; count the usage again"))
            };
            let object = self.bucket.get(key, None).await?.ok_or_else(gone)?;
            let wrong = |error: &dyn std::fmt::Display| MonthError::Held(format!("{key}: {error}"));
            let snapshot = UsageSnapshot::from_json(&object.bytes).map_err(|error| wrong(&error))?;
            inputs.push(DocumentRef { key: key.clone(), sha256: sha256_hex(&object.bytes) });
            for usage in snapshot.usage.iter().filter(|usage| usage.dimension.as_str() == dimension) {
                let sum = sums.entry(usage.contract.to_string()).or_default();
                *sum = sum.plus(usage.quantity).map_err(|error| wrong(&error))?;
            }
        }
        if snapshots.is_empty() {
            return Ok(None);
        }
        let mut driver = Driver::default();
        for (contract, quantity) in sums {
            let quantity = billing::money::parse_decimal(&quantity.to_string());
            let quantity = quantity.map_err(|error| MonthError::Held(format!("'{contract}': {error}")))?;
            driver.quantities.insert(contract, quantity);
        }
        Ok(Some(driver))
    }
}
