use super::*;

/// Drivers of a month that is held, released and amended.
struct Drivers;

/// A driver that changes in the story, and one that does not.
const TWO_DRIVERS: &str = r#"{
    "cpu": "sum_over_time((sum by (${label}) (kube_pod_container_resource_requests{resource=\"cpu\"}))[${range}:${step}])",
    "storage": "sum_over_time((sum by (${label}) (kube_persistentvolumeclaim_resource_requests_storage_bytes))[${range}:${step}])"
}"#;

impl Tale for Drivers {
    fn least_calls(&self) -> usize {
        40
    }

    fn vars(&self, world: &World) -> Vars {
        Vars::from_iter([("PROMETHEUS_QUERIES", TWO_DRIVERS)]).or(world.cloud.vars())
    }

    fn holds(&self) -> bool {
        true
    }

    fn steps(&self) -> Vec<Step> {
        let fetched = || Step::Deliver("fetch-prometheus", json!({}));
        // retention is too short, then it is mended
        let short = act(|world| {
            let first = "2026-10-09T00:00:00Z".parse().unwrap();
            Box::pin(async move { world.prometheus.forget_before(Some(first)) })
        });
        let mended = act(|world| Box::pin(async { world.prometheus.forget_before(None) }));
        let amended = act(|world| Box::pin(async { world.prometheus.amend() }));
        vec![short, fetched(), mended, fetched(), amended, fetched()]
    }
}

sweeps!(Drivers);
