use super::*;

/// A month of an export in two revisions, with invoices.
struct Exported;

impl Tale for Exported {
    fn least_calls(&self) -> usize {
        30
    }

    fn begin(&self) -> LocalBoxFuture<'static, World> {
        small()
    }

    fn steps(&self) -> Vec<Step> {
        twice()
    }
}

pub(super) fn small() -> LocalBoxFuture<'static, World> {
    Box::pin(async {
        let world = World::with(Organisation::recorded([]), false, quick()).await;
        world.billing.shrink().unwrap();
        world
    })
}

/// One month: the notifications of its manifests wait, they are told of elsewhere.
pub(super) fn twice() -> Vec<Step> {
    let october = || Step::Deliver("fetch-aws", json!({"month": "2026-10"}));
    vec![october(), act(|world| Box::pin(async { world.billing.amend().unwrap() })), october()]
}

sweeps!(Exported);
