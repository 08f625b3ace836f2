use super::*;

/// A bill of Google Cloud, whose rows change, and the running month.
struct Rows;

impl Tale for Rows {
    fn least_calls(&self) -> usize {
        30
    }

    /// A question that is repeated is the same job.
    fn minutes(&self, schedule: i64, _delivery: i64) -> i64 {
        schedule * 60
    }

    /// The notifications stay queued: what is made of a bill is a story of its own.
    fn steps(&self) -> Vec<Step> {
        let fetched = || Step::Schedule("fetch-gcp");
        vec![fetched(), act(|world| Box::pin(async { world.gcp.amend() })), fetched(), fetched()]
    }
}

sweeps!(Rows);
