//! When a month is final.

use billing::month::BillingMonth;
use billing::period::Finality;
use chrono::{DateTime, TimeDelta, Utc};

/// AWS restates a month that has ended for about two weeks.
pub(crate) const SETTLES_AFTER: TimeDelta = TimeDelta::days(15);

/// What is known of a bill that decides whether it may still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// AWS itself calls the figures an estimate.
    pub(crate) estimated: bool,
    /// Whether the month has an invoice; nothing if invoices are not asked for.
    pub(crate) invoiced: Option<bool>,
}

/// Final is a month that ended fifteen days ago and has been invoiced, and whose figures are no estimate.
pub(crate) fn finality(month: BillingMonth, now: DateTime<Utc>, evidence: Evidence) -> Finality {
    let settled = now >= month.end() + SETTLES_AFTER;
    match settled && !evidence.estimated && evidence.invoiced.unwrap_or(true) {
        true => Finality::Final,
        false => Finality::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_final_when_it_is_invoiced_and_has_settled() {
        let at = |now: &str, estimated, invoiced| {
            let evidence = Evidence { estimated, invoiced };
            finality("2026-10".parse().unwrap(), now.parse().unwrap(), evidence)
        };
        assert_eq!(at("2026-11-15T23:59:59Z", false, Some(true)), Finality::Open);
        assert_eq!(at("2026-11-16T00:00:00Z", false, Some(true)), Finality::Final);
        assert_eq!(at("2026-11-16T00:00:00Z", false, None), Finality::Final);
        assert_eq!(at("2026-12-16T00:00:00Z", false, Some(false)), Finality::Open);
        assert_eq!(at("2026-12-16T00:00:00Z", true, Some(true)), Finality::Open);
    }
}
