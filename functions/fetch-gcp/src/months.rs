//! Which months are asked for, and when one counts as final.

use billing::month::BillingMonth;
use billing::period::Finality;
use chrono::{DateTime, TimeDelta, Utc};

/// Google's months end at midnight in California, at the latest this long after they end in UTC.
const CALIFORNIA: TimeDelta = TimeDelta::hours(8);
/// Rows of a month still come for up to five days after its end.
const LATE_ROWS: TimeDelta = TimeDelta::days(5);

/// Open while Google's own rule says that rows may still come. One that comes later all the same makes a new revision.
pub(crate) fn finality(month: BillingMonth, now: DateTime<Utc>) -> Finality {
    if now < month.end() + CALIFORNIA + LATE_ROWS { Finality::Open } else { Finality::Final }
}

/// The last `ended` months that have ended and the running one, oldest first.
pub(crate) fn newest(now: DateTime<Utc>, ended: usize) -> Vec<BillingMonth> {
    let running = BillingMonth::containing(now);
    let months = std::iter::successors(Some(running), |month| Some(month.previous()));
    let mut months: Vec<BillingMonth> = months.take(ended.saturating_add(1)).collect();
    months.reverse();
    months
}

/// `202610`, as the export names the month of an invoice.
pub(crate) fn invoice_month(month: BillingMonth) -> String {
    format!("{:04}{:02}", month.year(), month.month())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_final_after_five_whole_days_in_california() {
        let october = "2026-10".parse().unwrap();
        let finality = |now: &str| finality(october, now.parse().unwrap());
        assert_eq!(finality("2026-10-15T00:00:00Z"), Finality::Open);
        assert_eq!(finality("2026-11-06T07:59:59Z"), Finality::Open);
        assert_eq!(finality("2026-11-06T08:00:00Z"), Finality::Final);
    }

    #[test]
    fn the_running_month_and_the_last_that_have_ended() {
        let months = |now: &str, ended| {
            newest(now.parse().unwrap(), ended).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(months("2026-11-02T06:00:00Z", 2), ["2026-09", "2026-10", "2026-11"]);
        assert_eq!(months("2026-01-01T00:00:00Z", 1), ["2025-12", "2026-01"]);
        assert_eq!(months("2026-01-01T00:00:00Z", 0), ["2026-01"]);
        assert_eq!(invoice_month("2026-01".parse().unwrap()), "202601");
    }
}
