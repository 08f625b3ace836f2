//! The plans of one marketplace: contracts may be shared by any of them, so that they are metered together.

use std::collections::BTreeMap;

use billing::keys::METERING_STATE;
use billing::metering::{EarlierState, Marketplace, Plan};
use cloud::bucket::{BucketError, BucketReader};
use cloud::plans::PlanToMeter;

/// The plans that are sold on one marketplace, and all others that are known.
#[derive(Clone, Debug)]
pub(crate) struct MarketplacePlans {
    pub(crate) cloud: Marketplace,
    /// In force, in their order.
    pub(crate) plans: Vec<PlanToMeter>,
    /// Metered once, and listed nowhere any more: what they have sent counts.
    pub(crate) former: Vec<Plan>,
    /// In force on other marketplaces.
    pub(crate) elsewhere: Vec<Plan>,
}

impl MarketplacePlans {
    /// By marketplace, in the order in which the plans name them.
    pub(crate) fn of(plans: &[PlanToMeter], former: &[Plan]) -> Vec<Self> {
        let mut by_cloud: Vec<Self> = Vec::new();
        for plan in plans {
            if !by_cloud.iter().any(|known| known.cloud == plan.cloud) {
                let (here, there): (Vec<_>, Vec<_>) =
                    plans.iter().cloned().partition(|other| other.cloud == plan.cloud);
                let in_order: BTreeMap<Plan, PlanToMeter> =
                    here.into_iter().map(|plan| (plan.plan.clone(), plan)).collect();
                by_cloud.push(Self {
                    cloud: plan.cloud,
                    plans: in_order.into_values().collect(),
                    former: former.to_vec(),
                    elsewhere: there.into_iter().map(|plan| plan.plan).collect(),
                });
            }
        }
        by_cloud
    }

    pub(crate) fn has(&self, plan: &Plan) -> bool {
        self.plans.iter().any(|known| known.plan == *plan)
    }

    /// Whether one plan has nobody to share contracts with.
    pub(crate) fn is_one(&self) -> bool {
        self.plans.len() == 1
    }
}

/// Plans that the written state lists, and none of these.
pub(crate) async fn former(bucket: &BucketReader, plans: &[PlanToMeter]) -> Result<Vec<Plan>, BucketError> {
    let Some(object) = bucket.get(METERING_STATE, None).await? else { return Ok(Vec::new()) };
    let state = EarlierState::from_json(&object.bytes, None).unwrap_or_else(|error| {
        tracing::warn!(
            "{METERING_STATE} cannot be read, and plans that only it knows are not looked at: {error}"
        );
        EarlierState::default()
    });
    let in_force = |plan: &Plan| plans.iter().any(|known| known.plan == *plan);
    Ok(state.0.into_keys().filter(|plan| !in_force(plan)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_together_with_those_of_their_marketplace() {
        let plan = |name: &str, cloud| PlanToMeter {
            plan: name.parse().unwrap(),
            cloud,
            start_month: None,
            group: "g".into(),
        };
        let plans = [
            plan("s:e:z", Marketplace::Azure),
            plan("s:e:b", Marketplace::Aws),
            plan("s:e:a", Marketplace::Azure),
        ];
        let former: Plan = "s:e:old".parse().unwrap();
        let by_cloud = MarketplacePlans::of(&plans, std::slice::from_ref(&former));
        let [azure, aws] = by_cloud.as_slice() else { panic!("{by_cloud:?}") };
        let names = |known: &MarketplacePlans| {
            known.plans.iter().map(|plan| plan.plan.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!((names(azure), names(aws)), ("s:e:a s:e:z".into(), "s:e:b".into()));
        assert_eq!((azure.is_one(), aws.is_one()), (false, true));
        assert_eq!(aws.elsewhere.len(), 2);
        assert_eq!(azure.former, [former]);
    }
}
