//! What AWS bills with: CUR 2.0, the legacy Cost and Usage Report, and answers of Cost Explorer.

mod cost_explorer;
mod cur;
mod kinds;
mod services;
#[cfg(test)]
mod tests;

pub use cost_explorer::CostExplorer;
pub use cur::Cur;

/// The name that FOCUS exports of AWS use for it.
const AWS: &str = "AWS";
/// Who publishes its services, and sends the invoice where a row does not say so.
const AMAZON: &str = "Amazon Web Services, Inc.";
