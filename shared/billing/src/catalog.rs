//! What a person configures in `catalog/current.yaml`: who is billed for what (see [`billing`]), the plans to meter, and the
//! clients and services of the revenue report (see [`Offer`]).
//!
//! ```yaml
//! metering:
//!   plans:
//!     - {service: Postgres, environment: PROD, plan: pt-HJSv20iWX0, cloud: aws, start_month: 2025-01}
//!     - {service: Redis, environment: PROD, plan: pt-x1, cloud: aws, group: databases}
//! ```

pub mod billing;
mod offer;

use serde::Deserialize;

use crate::metering::{Marketplace, Plan};
use crate::month::BillingMonth;

pub use offer::{Client, Offer, Service, offer};

/// The key of the catalog in force.
pub const CURRENT: &str = "catalog/current.yaml";

/// A plan that is metered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeteredPlan {
    /// Which.
    pub plan: Plan,
    /// Where it is sold; nothing for the default.
    pub cloud: Option<Marketplace>,
    /// The month to begin with where there is no history; nothing for the default.
    pub start_month: Option<BillingMonth>,
    /// Usage of one contract and dimension in several plans adds up within a group; nothing for its service and environment.
    pub group: Option<String>,
}

/// A catalog that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Not YAML, or a member of another kind than it must be.
    #[error("the catalog cannot be read: {0}")]
    Yaml(#[from] serde_yaml_ng::Error),
    /// A plan whose names are none.
    #[error("metering.plans[{index}]: {why}")]
    Plan {
        /// Its place, from 0.
        index: usize,
        /// What is wrong.
        why: String,
    },
    /// A client or a service that cannot be one.
    #[error("revenue.{list}[{index}]: {why}")]
    Offer {
        /// `clients` or `services`.
        list: &'static str,
        /// Its place, from 0.
        index: usize,
        /// What is wrong.
        why: String,
    },
}

// the other sections of a catalog are read by those who need them
#[derive(Deserialize)]
struct Document {
    metering: Option<Section>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(default)]
    plans: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    service: String,
    environment: String,
    plan: String,
    cloud: Option<Marketplace>,
    start_month: Option<BillingMonth>,
    group: Option<String>,
}

/// The plans that a catalog lists; none if it has no such list.
///
/// # Errors
/// [`CatalogError`] names the line or the entry.
pub fn metered_plans(yaml: &[u8]) -> Result<Vec<MeteredPlan>, CatalogError> {
    let document: Option<Document> = serde_yaml_ng::from_slice(yaml)?;
    let entries = document.and_then(|document| document.metering).map(|section| section.plans);
    let mut plans: Vec<MeteredPlan> = Vec::new();
    for (index, entry) in entries.unwrap_or_default().into_iter().enumerate() {
        let wrong = |why: String| CatalogError::Plan { index, why };
        let plan = Plan::new(&entry.service, &entry.environment, &entry.plan)
            .map_err(|error| wrong(error.to_string()))?;
        if plans.iter().any(|known| known.plan == plan) {
            return Err(wrong(format!("{plan} is listed twice")));
        }
        let Entry { cloud, start_month, group, .. } = entry;
        if group.as_ref().is_some_and(|group| group.trim().is_empty()) {
            return Err(wrong("its group has no name".into()));
        }
        plans.push(MeteredPlan { plan, cloud, start_month, group });
    }
    Ok(plans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_listed_and_other_sections_are_not_our_concern() {
        let yaml = b"currency: CHF\nmetering:\n  plans:\n    - {service: Postgres, environment: PROD, plan: pt-1, cloud: azure, start_month: 2025-01}\n    - {service: Postgres, environment: DEV, plan: pt-1, group: databases}\n";
        let plans = metered_plans(yaml).unwrap();
        assert_eq!(plans[0].plan.to_string(), "Postgres:PROD:pt-1");
        assert_eq!(plans[0].cloud, Some(Marketplace::Azure));
        assert_eq!(plans[0].start_month.unwrap().to_string(), "2025-01");
        assert_eq!((plans[1].cloud, plans.len()), (None, 2));
        assert_eq!((plans[0].group.as_deref(), plans[1].group.as_deref()), (None, Some("databases")));
        assert_eq!(metered_plans(b"currency: CHF\n").unwrap(), []);
        assert_eq!(metered_plans(b"").unwrap(), []);
    }

    #[test]
    fn mistakes_name_their_place() {
        for (yaml, part) in [
            (
                "metering: {plans: [{service: a, environment: b, plan: c}, {service: a, environment: b, plan: c}]}",
                "metering.plans[1]: a:b:c is listed twice",
            ),
            ("metering: {plans: [{service: a, environment: b, plan: 'c:d'}]}", "metering.plans[0]"),
            (
                "metering: {plans: [{service: a, environment: b, plan: c, group: ' '}]}",
                "metering.plans[0]: its group has no name",
            ),
            ("metering: {plan: []}", "unknown field `plan`"),
            ("metering: {plans: [{service: a}]}", "missing field"),
            ("a: [", "cannot be read"),
        ] {
            let error = metered_plans(yaml.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{yaml}: {error}");
        }
    }
}
