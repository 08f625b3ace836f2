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
    fn invoices_are_named_by_the_digits_of_their_month() {
        assert_eq!(invoice_month("2026-01".parse().unwrap()), "202601");
    }
}
