//! What `fetch-prometheus` answers.

use std::collections::BTreeMap;

use billing::month::BillingMonth;
use cloud::invocation::{Report, Tally};
use serde::{Deserialize, Serialize};

use crate::answer::Unusable;
use crate::driver::Made;
use crate::reader::Subject;

/// What became of the drivers of a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchDriversReport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The month.
    pub month: BillingMonth,
    /// Drivers whose document is new or another one.
    pub written: usize,
    /// Drivers whose document stood there already.
    pub unchanged: usize,
    /// Drivers that could not be fetched or written.
    pub failed: Vec<FailedDriver>,
    /// The drivers, by name.
    pub drivers: Vec<ReportedDriver>,
}

/// A driver that could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedDriver {
    /// The driver.
    pub driver: String,
    /// Why, in one line.
    pub error: String,
}

/// What became of one driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriverOutcome {
    /// Its document is written.
    Written,
    /// Another document of it stood there and is replaced.
    Replaced,
    /// Its document stood there already.
    Unchanged,
    /// Its document stays, because the server no longer has the whole month.
    Kept,
    /// The data cannot be believed; the reason stands under `held/`, and a document that stood there stays.
    Held,
    /// What would come out, in a dry run.
    Preview,
    /// What it comes to so far: the month is not over, and nothing is written.
    Open,
}

/// One driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedDriver {
    /// Its name.
    pub driver: String,
    /// The month.
    pub month: BillingMonth,
    /// What became of it.
    pub state: DriverOutcome,
    /// Where its document stands, or would stand.
    pub key: String,
    /// The answer that it is made of, or cannot be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The sum of all values as the server gave them, in the query's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
    /// Quantities by target, as decimal texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quantities: BTreeMap<String, String>,
    /// Why it is held or kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ReportedDriver {
    /// One that was made.
    pub(crate) fn of(subject: &Subject<'_>, state: DriverOutcome, made: &Made) -> Self {
        let quantities = made.quantities.iter();
        Self {
            driver: subject.query.driver.clone(),
            month: subject.month(),
            state,
            key: subject.key(),
            source: None,
            total: Some(made.total.to_string()),
            quantities: quantities.map(|(target, quantity)| (target.clone(), quantity.to_string())).collect(),
            reason: None,
        }
    }

    /// One of which nothing was made.
    pub(crate) fn without(subject: &Subject<'_>, state: DriverOutcome, reason: &Unusable) -> Self {
        Self {
            driver: subject.query.driver.clone(),
            month: subject.month(),
            state,
            key: subject.key(),
            source: None,
            total: None,
            quantities: BTreeMap::new(),
            reason: Some(reason.to_string()),
        }
    }

    /// Names the answer.
    pub(crate) fn made_of(self, raw: &str) -> Self {
        Self { source: Some(raw.to_owned()), ..self }
    }
}

impl FetchDriversReport {
    pub(crate) fn new(month: BillingMonth, dry_run: bool) -> Self {
        let (failed, drivers) = (Vec::new(), Vec::new());
        Self { dry_run, month, written: 0, unchanged: 0, failed, drivers }
    }

    /// Notes what became of a driver.
    pub(crate) fn add(&mut self, driver: ReportedDriver) {
        match driver.state {
            DriverOutcome::Written | DriverOutcome::Replaced => self.written += 1,
            DriverOutcome::Unchanged => self.unchanged += 1,
            DriverOutcome::Kept | DriverOutcome::Held | DriverOutcome::Preview | DriverOutcome::Open => {}
        }
        self.drivers.push(driver);
    }

    /// Notes a driver that could not be done.
    pub(crate) fn fail(&mut self, driver: &str, error: &dyn std::fmt::Display) {
        tracing::warn!(driver.name = driver, "the driver {driver} of {} failed: {error}", self.month);
        self.failed.push(FailedDriver { driver: driver.to_owned(), error: error.to_string() });
    }

    fn of_state(&self, state: DriverOutcome) -> impl Iterator<Item = &ReportedDriver> {
        self.drivers.iter().filter(move |driver| driver.state == state)
    }
}

impl Report for FetchDriversReport {
    fn tally(&self) -> Tally {
        let held = self.of_state(DriverOutcome::Held).count();
        Tally { success: self.drivers.len() - held, held, failed: self.failed.len() }
    }

    fn message(&self) -> String {
        let mut message =
            format!("drivers of {}: {} written, {} unchanged", self.month, self.written, self.unchanged);
        for (state, word) in [(DriverOutcome::Held, "held"), (DriverOutcome::Kept, "kept")] {
            for driver in self.of_state(state) {
                let reason = driver.reason.as_deref().unwrap_or_default();
                message.push_str(&format!("; {} {word}: {reason}", driver.driver));
            }
        }
        for FailedDriver { driver, error } in &self.failed {
            message.push_str(&format!("; {driver} failed: {error}"));
        }
        message
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }
}
