//! What `report-revenue` answers.

use billing::keys::RevenueKey;
use billing::money::sum;
use billing::revenue::{RevenueStatement, Window};
use cloud::invocation::{Report, Tally};
use serde::{Deserialize, Serialize};

use crate::WindowError;
use crate::inputs::Inputs;
use crate::make::Made;

/// What became of the windows of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevenueRunReport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// One entry a window.
    pub windows: Vec<WindowReport>,
    /// Objects of a notification that are no journal files.
    pub refused: Vec<RefusedObject>,
}

/// An object that is no journal file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedObject {
    /// Its key.
    pub key: String,
    /// Why.
    pub why: String,
}

/// What became of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowState {
    /// Its reports were written.
    Published,
    /// They stood there as they should.
    Unchanged,
    /// Nothing is published; the reason is recorded and stands under `held/`.
    Held,
    /// Not done; nothing is lost, trying again may help.
    Failed,
    /// What would come out, in a dry run.
    Preview,
}

/// One window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowReport {
    /// Its name in keys.
    pub window: String,
    /// What became of it.
    pub state: WindowState,
    /// Files of the journal.
    pub files: usize,
    /// One entry a currency.
    pub reports: Vec<CurrencyReport>,
    /// Why, in one line; empty where all is well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Where the reason stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}

/// The reports in one currency. Amounts are decimal texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrencyReport {
    /// ISO 4217.
    pub currency: String,
    /// Payments and allotted credit.
    pub total_revenue: String,
    /// What credit covers.
    pub alloted_from_credit: String,
    /// What it does not.
    pub total_debt: String,
    /// Clients and services.
    pub clients: u64,
    /// Of all clients.
    pub services: u64,
    /// Where the report stands.
    pub report: String,
    /// Where the table stands.
    pub table: String,
    /// Where the proof stands.
    pub certificate: String,
}

impl CurrencyReport {
    fn of(window: &str, statement: &RevenueStatement) -> Self {
        let key = RevenueKey::new(window, statement.currency);
        let certificate = &statement.certificate;
        let debt = sum(certificate.clients.iter().map(|client| client.total_debt));
        Self {
            currency: certificate.currency.clone(),
            total_revenue: certificate.total_revenue.to_string(),
            alloted_from_credit: certificate.alloted_from_credit.to_string(),
            // the certificate's laws have added them up before
            total_debt: debt.map(|debt| debt.to_string()).unwrap_or_default(),
            clients: certificate.counts.clients,
            services: certificate.counts.services,
            report: key.report(),
            table: key.table(),
            certificate: key.certificate(),
        }
    }
}

impl WindowReport {
    pub(crate) fn of(window: Window, made: &Made, inputs: &Inputs, state: WindowState) -> Self {
        let name = window.to_string();
        let report = Self {
            window: name.clone(),
            state,
            files: inputs.files.len(),
            reports: Vec::new(),
            reason: String::new(),
            held: None,
        };
        match made {
            Made::Reports(statements) => {
                let reports = statements.iter().map(|statement| CurrencyReport::of(&name, statement));
                Self { reports: reports.collect(), ..report }
            }
            Made::Held(held) => Self {
                state: WindowState::Held,
                reason: held.reason.clone(),
                // a dry run writes no reason
                held: (state != WindowState::Preview).then(|| RevenueKey::held(&name)),
                ..report
            },
        }
    }

    pub(crate) fn failed(window: Window, error: &WindowError) -> Self {
        Self {
            window: window.to_string(),
            state: WindowState::Failed,
            files: 0,
            reports: Vec::new(),
            reason: error.to_string(),
            held: None,
        }
    }
}

impl RevenueRunReport {
    pub(crate) fn new(dry_run: bool) -> Self {
        Self { dry_run, windows: Vec::new(), refused: Vec::new() }
    }

    /// One line for each window.
    pub(crate) fn log(&self) {
        for window in &self.windows {
            tracing::info!(
                window = window.window,
                journal_files = window.files,
                currencies = window.reports.len(),
                "revenue of {}: {} files, {} currencies",
                window.window,
                window.files,
                window.reports.len()
            );
        }
    }

    fn count(&self, states: &[WindowState]) -> usize {
        self.windows.iter().filter(|window| states.contains(&window.state)).count()
    }
}

impl Report for RevenueRunReport {
    fn tally(&self) -> Tally {
        Tally {
            success: self.count(&[WindowState::Published, WindowState::Unchanged, WindowState::Preview]),
            held: self.count(&[WindowState::Held]),
            failed: self.count(&[WindowState::Failed]) + self.refused.len(),
        }
    }

    fn message(&self) -> String {
        let told = self.windows.iter().map(|window| match window.state {
            WindowState::Held => format!("{} held: {}", window.window, window.reason),
            WindowState::Failed => format!("{} failed: {}", window.window, window.reason),
            _ if window.reports.is_empty() => format!("{}: nothing to report", window.window),
            WindowState::Unchanged => format!("{} unchanged", window.window),
            WindowState::Published | WindowState::Preview => {
                let totals: Vec<String> = window
                    .reports
                    .iter()
                    .map(|report| format!("{} {}", report.total_revenue, report.currency))
                    .collect();
                format!("{}: {}", window.window, totals.join(", "))
            }
        });
        let refused = self.refused.iter().map(|object| format!("{} failed: {}", object.key, object.why));
        let parts: Vec<String> = told.chain(refused).collect();
        if parts.is_empty() { "nothing asked for".into() } else { format!("revenue of {}", parts.join("; ")) }
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }
}
