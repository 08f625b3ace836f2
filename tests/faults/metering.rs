use super::*;
use crate::metering_world::{metered, second};

/// Two months of two contracts, one of them in two plans at last, usage that comes late, and the daily run.
struct Months;

impl Tale for Months {
    fn least_calls(&self) -> usize {
        50
    }

    /// Fractions are carried; in the second month one of the contracts has usage in a second plan.
    fn begin(&self) -> LocalBoxFuture<'static, World> {
        Box::pin(async {
            let world = metered(false).await;
            world.plans(&[(&second().to_string(), ", start_month: 2026-10")]).await;
            world
                .usage("2026/09/01/00/s.json", &[("c1", "cpu", "5.75"), ("c1", "ram", "9007199254740993")])
                .await;
            world.usage("2026/09/01/01/s.json", &[("c2", "cpu", "7")]).await;
            world.usage("2026/10/01/00/s.json", &[("c1", "cpu", "0.5"), ("c2", "cpu", "0.25")]).await;
            world.usage_of(&second(), "2026/10/20/00/s.json", &[("c2", "cpu", "3.75")]).await;
            world
        })
    }

    /// Who waits in vain for whoever has the lease is delivered again later.
    fn vars(&self, world: &World) -> Vars {
        Vars::from_iter([("METER_LEASE_WAIT_MS", "500")]).or(world.cloud.vars())
    }

    /// Usage is the newest by the time at which it was counted, and whoever died with a lease has it for less than a minute.
    fn minutes(&self, schedule: i64, delivery: i64) -> i64 {
        schedule * 60 + delivery
    }

    fn steps(&self) -> Vec<Step> {
        let late = act(|world| {
            Box::pin(async { world.usage("2026/10/31/23/late.json", &[("c2", "cpu", "3")]).await })
        });
        let mut steps = Vec::from(scheduled("fetch-omnistrate"));
        steps.push(late);
        steps.extend(scheduled("fetch-omnistrate"));
        steps.extend(scheduled("meter-clazar"));
        steps
    }
}

sweeps!(Months);
