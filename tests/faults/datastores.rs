use super::*;
use crate::datastores_world::{deleted, egress, platform, running};

/// Files of events that overlap, put together twice, and one that is overwritten with a bad one and restored.
struct Events;

impl Tale for Events {
    fn least_calls(&self) -> usize {
        50
    }

    fn begin(&self) -> LocalBoxFuture<'static, World> {
        Box::pin(platform(false))
    }

    fn holds(&self) -> bool {
        true
    }

    fn steps(&self) -> Vec<Step> {
        let orders = running("10-30T00:00", "orders");
        let gone = [running("01-01T00:00", "old"), vec![deleted("04-01T00:00", "old")]].concat();
        let mut steps = vec![arrive("1.jsonl", orders.clone()), arrive("2.jsonl", [gone, orders].concat())];
        steps.extend(scheduled("record-usage"));
        steps.push(arrive("3.jsonl", vec![egress("10-31T00:00", "orders", 1)]));
        steps.extend(scheduled("record-usage"));
        // a file that was good is overwritten with a bad one, and restored
        let (good, bad) = (egress("10-31T01:00", "orders", 1), egress("soon", "orders", 1));
        for line in [good.clone(), bad, good] {
            steps.extend([arrive("4.jsonl", vec![line]), Step::Follow]);
        }
        steps.extend(scheduled("record-usage"));
        steps
    }
}

fn arrive(name: &'static str, lines: Vec<String>) -> Step {
    act(move |world| {
        let lines = lines.clone();
        Box::pin(async move { world.events(name, &lines).await })
    })
}

sweeps!(Events);
