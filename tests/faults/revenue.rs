use super::*;
use crate::revenue::{payment, selling};

/// A journal in two files, a line that cannot be used and is mended, and the schedule.
struct Journal;

impl Tale for Journal {
    fn least_calls(&self) -> usize {
        50
    }

    fn begin(&self) -> LocalBoxFuture<'static, World> {
        Box::pin(selling(false))
    }

    fn holds(&self) -> bool {
        true
    }

    fn steps(&self) -> Vec<Step> {
        let broken = payment("c", 3, "6").replace("2026-10-03", "soon");
        let files =
            [("a.jsonl", payment("a", 1, "4.05")), ("b.jsonl", broken), ("b.jsonl", payment("b", 2, "5"))];
        let arrive = |(name, text): (&'static str, String)| {
            let arrived = act(move |world| {
                let text = text.clone();
                Box::pin(async move { world.put(&format!("journal/2026-10/{name}"), &text).await })
            });
            [arrived, Step::Follow]
        };
        files.into_iter().flat_map(arrive).chain(scheduled("report-revenue")).collect()
    }
}

sweeps!(Journal);
