use super::aws::{small, twice};
use super::*;

/// A month from Cost Explorer in two revisions, with invoices.
struct Asked;

impl Tale for Asked {
    fn least_calls(&self) -> usize {
        30
    }

    fn begin(&self) -> LocalBoxFuture<'static, World> {
        small()
    }

    fn vars(&self, world: &World) -> Vars {
        world.without_export()
    }

    fn steps(&self) -> Vec<Step> {
        twice()
    }
}

sweeps!(Asked);
