use super::*;

/// A FOCUS export, corrected.
struct Corrected;

impl Tale for Corrected {
    fn least_calls(&self) -> usize {
        30
    }

    fn steps(&self) -> Vec<Step> {
        let costs = (0..).zip(["10.004", "9.5"]);
        costs.flat_map(|(minutes, cost)| uploaded("september.csv", export(cost), minutes)).collect()
    }
}

sweeps!(Corrected);
