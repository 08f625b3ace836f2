use super::*;

/// A usage report in two revisions.
struct Amended;

impl Tale for Amended {
    fn least_calls(&self) -> usize {
        30
    }

    /// Which revision is the newest is told by when it was fetched.
    fn minutes(&self, schedule: i64, _delivery: i64) -> i64 {
        schedule * 60
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::from(scheduled("fetch-ccx"));
        steps.push(act(|world| Box::pin(async { world.ccx.amend() })));
        steps.extend(scheduled("fetch-ccx"));
        steps.extend(scheduled("fetch-ccx"));
        steps
    }
}

sweeps!(Amended);
