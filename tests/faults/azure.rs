use super::*;

/// The bill of an Azure month, restated.
struct Restated;

impl Tale for Restated {
    fn least_calls(&self) -> usize {
        30
    }

    fn begin(&self) -> LocalBoxFuture<'static, World> {
        Box::pin(async {
            let world = World::with(Organisation::recorded([]), false, quick()).await;
            world.azure.looks(0);
            world
        })
    }

    /// What follows a bill is another story.
    fn steps(&self) -> Vec<Step> {
        let october = || Step::Deliver("fetch-azure", json!({"month": "2026-10"}));
        vec![october(), act(|world| Box::pin(async { world.azure.amend() })), october(), october()]
    }
}

sweeps!(Restated);
