//! Which plans are metered: those that the catalog lists, and the one that variables name.
//!
//! | variable | meaning |
//! |---|---|
//! | `SERVICE_NAME`, `ENVIRONMENT_TYPE`, `PLAN_ID` | one plan; several stand in the catalog (`metering.plans`) |
//! | `CLAZAR_CLOUD` | `aws` (default), `azure` or `gcp`: where plans are sold that do not say so themselves |
//! | `START_MONTH` | `YYYY-MM`: where a plan without history begins, unless it says so itself |

use billing::catalog::{CURRENT, CatalogError, MeteredPlan, metered_plans};
use billing::metering::{InvalidPlan, Marketplace, Plan};
use billing::month::BillingMonth;

use crate::bucket::{BucketError, BucketReader};
use crate::vars::{VarError, Vars};

/// What the variables say of the plans.
#[derive(Clone, Debug)]
pub struct PlansConfig {
    own: Option<Plan>,
    cloud: Marketplace,
    start_month: Option<BillingMonth>,
}

/// A plan with all defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanToMeter {
    /// Which.
    pub plan: Plan,
    /// Where it is sold.
    pub cloud: Marketplace,
    /// Where it begins without a history; nothing for two months ago.
    pub start_month: Option<BillingMonth>,
    /// Usage of one contract and dimension in several plans adds up within a group.
    pub group: String,
}

/// Why nobody knows the plans.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PlansError {
    #[error(transparent)]
    Plan(#[from] InvalidPlan),
    #[error(transparent)]
    Var(#[from] VarError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error("{key}: {source}", key = CURRENT)]
    Catalog { source: CatalogError },
    #[error(
        "no plan is configured: set SERVICE_NAME, ENVIRONMENT_TYPE and PLAN_ID, or list plans in {key} under metering.plans",
        key = CURRENT
    )]
    None,
}

impl PlansConfig {
    /// Reads the variables above.
    ///
    /// # Errors
    /// [`PlansError`] names the one that is missing or wrong.
    pub fn from_vars(vars: &Vars) -> Result<Self, PlansError> {
        let own = match vars.get("SERVICE_NAME") {
            None => None,
            Some(service) => {
                let environment =
                    vars.require("ENVIRONMENT_TYPE", "the environment of the plan, for example PROD")?;
                let plan = vars.require("PLAN_ID", "the id of the plan, for example pt-HJSv20iWX0")?;
                Some(Plan::new(service, environment, plan)?)
            }
        };
        let invalid = |name, expected: &str| {
            let value = vars.get(name).unwrap_or_default().to_owned();
            VarError::Invalid { name, value, expected: expected.to_owned() }
        };
        let cloud = vars.get("CLAZAR_CLOUD").map(str::parse).transpose();
        let start_month = vars.get("START_MONTH").map(str::parse).transpose();
        Ok(Self {
            own,
            cloud: cloud.map_err(|_| invalid("CLAZAR_CLOUD", "aws, azure or gcp"))?.unwrap_or_default(),
            start_month: start_month.map_err(|_| invalid("START_MONTH", "a month, YYYY-MM"))?,
        })
    }

    /// All plans: those of the catalog, then the one of the variables if the catalog does not list it.
    ///
    /// # Errors
    /// [`PlansError`], also if there is none at all.
    pub async fn plans(&self, bucket: &BucketReader) -> Result<Vec<PlanToMeter>, PlansError> {
        let plans = self.configured(bucket).await?;
        if plans.is_empty() { Err(PlansError::None) } else { Ok(plans) }
    }

    /// The same; there may be none.
    ///
    /// # Errors
    /// [`PlansError`].
    pub async fn configured(&self, bucket: &BucketReader) -> Result<Vec<PlanToMeter>, PlansError> {
        let listed = match bucket.get(CURRENT, None).await? {
            Some(catalog) => {
                metered_plans(&catalog.bytes).map_err(|source| PlansError::Catalog { source })?
            }
            None => Vec::new(),
        };
        let fill = |listed: MeteredPlan| PlanToMeter {
            group: listed.group.unwrap_or_else(|| listed.plan.group()),
            plan: listed.plan,
            cloud: listed.cloud.unwrap_or(self.cloud),
            start_month: listed.start_month.or(self.start_month),
        };
        let mut plans: Vec<PlanToMeter> = listed.into_iter().map(fill).collect();
        if let Some(own) = self.own.as_ref().filter(|own| !plans.iter().any(|known| known.plan == **own)) {
            plans.push(self.unlisted(own.clone()));
        }
        Ok(plans)
    }

    /// One plan, as it is configured, or with the defaults if nobody lists it.
    ///
    /// # Errors
    /// [`PlansError`].
    pub async fn plan(&self, plan: Plan, bucket: &BucketReader) -> Result<PlanToMeter, PlansError> {
        let found = self.configured(bucket).await?.into_iter().find(|known| known.plan == plan);
        Ok(found.unwrap_or_else(|| self.unlisted(plan)))
    }

    /// A plan that nobody lists: with the defaults.
    #[must_use]
    pub fn unlisted(&self, plan: Plan) -> PlanToMeter {
        PlanToMeter { group: plan.group(), plan, cloud: self.cloud, start_month: self.start_month }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_one_plan_or_none() {
        let read = |vars: &[(&str, &str)]| PlansConfig::from_vars(&Vars::from_iter(vars.iter().copied()));
        assert!(read(&[]).unwrap().own.is_none());
        let plan = [("SERVICE_NAME", "Postgres"), ("ENVIRONMENT_TYPE", "PROD"), ("PLAN_ID", "pt-1")];
        assert_eq!(read(&plan).unwrap().own.unwrap().to_string(), "Postgres:PROD:pt-1");
        let error = |vars: &[(&str, &str)]| read(vars).unwrap_err().to_string();
        assert_eq!(
            error(&plan[..2]),
            "the variable PLAN_ID is missing: set it to the id of the plan, for example pt-HJSv20iWX0"
        );
        assert_eq!(
            error(&[("CLAZAR_CLOUD", "ibm")]),
            "the variable CLAZAR_CLOUD is 'ibm', expected aws, azure or gcp"
        );
        assert_eq!(
            error(&[("START_MONTH", "May")]),
            "the variable START_MONTH is 'May', expected a month, YYYY-MM"
        );
        assert!(
            error(&[("SERVICE_NAME", "a:b"), ("ENVIRONMENT_TYPE", "x"), ("PLAN_ID", "y")])
                .contains("is no plan")
        );
    }
}
