//! All runs of bills, in the order in which they were posted: what each bill takes of what others gave.
//!
//! A run *gives* what the next bills are to take: corrections of bills that were posted before, and discounts larger than a bill.
//! The first run of a month takes whatever earlier months gave and nobody has taken; later runs of that month take the same
//! again, so they come to the same.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::month::BillingMonth;

/// A run of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// The month.
    pub month: BillingMonth,
    /// From 1.
    pub number: u32,
}

/// `2026-10#1`.
impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.month, self.number)
    }
}

impl FromStr for RunId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('#')
            .and_then(|(month, number)| Some((month.parse().ok()?, number.parse().ok()?)));
        let (month, number) = parts.ok_or_else(|| format!("'{text}' is no run"))?;
        Ok(Self { month, number })
    }
}

/// A run that was posted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainRun {
    /// Which.
    pub run: RunId,
    /// The key of its document.
    pub document: String,
    /// What it was made from, as one hash.
    pub fingerprint: String,
    /// The runs whose corrections and discounts its bills show.
    pub took: Vec<RunId>,
    /// Whether it gives corrections or discounts to later bills.
    pub gives: bool,
}

/// All runs, in the order in which they posted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain(pub Vec<ChainRun>);

impl Chain {
    /// The runs of a month.
    pub fn of(&self, month: BillingMonth) -> impl DoubleEndedIterator<Item = &ChainRun> {
        self.0.iter().filter(move |run| run.run.month == month)
    }

    /// The newest run of a month.
    #[must_use]
    pub fn newest(&self, month: BillingMonth) -> Option<&ChainRun> {
        self.of(month).next_back()
    }

    /// The name of the month's next run.
    #[must_use]
    pub fn next(&self, month: BillingMonth) -> RunId {
        RunId { month, number: self.newest(month).map_or(1, |run| run.run.number + 1) }
    }

    /// The runs whose corrections and discounts the bills of a month show: those that its first run took, or what it would take now.
    #[must_use]
    pub fn takes(&self, month: BillingMonth) -> Vec<RunId> {
        if let Some(first) = self.of(month).next() {
            return first.took.clone();
        }
        let taken: BTreeSet<RunId> = self.0.iter().flat_map(|run| run.took.iter().copied()).collect();
        let free =
            self.0.iter().filter(|run| run.gives && run.run.month < month && !taken.contains(&run.run));
        free.map(|run| run.run).collect()
    }

    /// The document of a run.
    #[must_use]
    pub fn document(&self, run: RunId) -> Option<&str> {
        self.0.iter().find(|known| known.run == run).map(|known| known.document.as_str())
    }

    /// The months that have bills, the newest last.
    #[must_use]
    pub fn months(&self) -> BTreeSet<BillingMonth> {
        self.0.iter().map(|run| run.run.month).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bills::tests::month;

    fn posted(chain: &mut Chain, of: BillingMonth, gives: bool) {
        let (run, took) = (chain.next(of), chain.takes(of));
        let (document, fingerprint) = (format!("bills/{run}"), String::new());
        chain.0.push(ChainRun { run, document, fingerprint, took, gives });
    }

    #[test]
    fn a_correction_goes_on_the_next_bill_that_is_made() {
        let mut chain = Chain::default();
        let [september, october, november] = ["2026-09", "2026-10", "2026-11"].map(month);
        posted(&mut chain, september, false);
        posted(&mut chain, september, true);
        posted(&mut chain, october, true);
        assert_eq!(chain.takes(october), [RunId { month: september, number: 2 }]);
        posted(&mut chain, september, true);
        assert_eq!(chain.takes(october), [RunId { month: september, number: 2 }], "a rerun takes the same");
        let pending = [RunId { month: october, number: 1 }, RunId { month: september, number: 3 }];
        assert_eq!(chain.takes(november), pending);
        assert_eq!(chain.takes(september), [], "a month takes nothing of itself or of later ones");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn whatever_is_given_is_taken_once(runs in proptest::collection::vec((1u32..7, any::<bool>()), 0..40)) {
            let mut chain = Chain::default();
            for (number, gives) in runs {
                posted(&mut chain, month(&format!("2026-{number:02}")), gives);
            }
            let last = month("2026-12");
            posted(&mut chain, last, false);
            for given in chain.0.iter().filter(|run| run.gives) {
                let months: BTreeSet<BillingMonth> =
                    chain.0.iter().filter(|run| run.took.contains(&given.run)).map(|run| run.run.month).collect();
                prop_assert_eq!(months.len(), 1, "{} goes on one bill", given.run);
                prop_assert!(months.first().is_some_and(|taker| *taker > given.run.month));
            }
        }
    }
}
