//! Kinds of line items (`line_item_line_item_type`, in Cost Explorer `RECORD_TYPE`) and what they are in FOCUS.

use crate::charge::{ChargeCategory, ChargeFrequency};

/// Where the amortised cost of a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amortised {
    /// It is what was billed.
    Billed,
    /// Usage that a reservation covers: its share of the fees.
    Reservation,
    /// Usage that a savings plan covers: its share of the commitment.
    SavingsPlan,
    /// What a savings plan takes off the usage it covers: the usage itself is at its share already.
    Nothing,
    /// The fee of a reservation: the part that no usage drew on.
    UnusedReservation,
    /// The fee of a savings plan: the part of the commitment that no usage drew on.
    UnusedSavingsPlan,
    /// Paid in advance: it is spread over the time that it was paid for.
    Spread,
}

/// What a kind of line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) category: ChargeCategory,
    pub(super) frequency: ChargeFrequency,
    pub(super) amortised: Amortised,
    /// FOCUS `PricingCategory`, where the kind decides it.
    pub(super) is_committed: bool,
}

/// What a line of this kind is; whatever is new counts as an adjustment, so that no cost is left out. Cost Explorer writes some
/// kinds in words (`Savings Plan Covered Usage`), and has a few of its own.
pub(super) fn kind(name: &str) -> Kind {
    use Amortised as A;
    use ChargeCategory::{Adjustment, Credit, Purchase, Tax, Usage};
    use ChargeFrequency::{OneTime, Recurring, UsageBased};

    let plain: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect();
    let (category, frequency, amortised) = match plain.as_str() {
        "usage" => (Usage, UsageBased, A::Billed),
        "discountedusage" => (Usage, UsageBased, A::Reservation),
        "savingsplancoveredusage" => (Usage, UsageBased, A::SavingsPlan),
        "savingsplannegation" => (Usage, UsageBased, A::Nothing),
        "tax" => (Tax, OneTime, A::Billed),
        "credit" => (Credit, OneTime, A::Billed),
        "refund" => (Credit, OneTime, A::Billed),
        "fee" | "supportfee" | "othercharges" | "otheroutofcyclecharges" => (Purchase, OneTime, A::Billed),
        "rifee" | "recurring" | "recurringreservationfee" => (Purchase, Recurring, A::UnusedReservation),
        "upfront" | "upfrontreservationfee" => (Purchase, OneTime, A::Spread),
        "savingsplanrecurringfee" => (Purchase, Recurring, A::UnusedSavingsPlan),
        "savingsplanupfrontfee" => (Purchase, OneTime, A::Spread),
        _ if plain.ends_with("discount") => (Adjustment, UsageBased, A::Billed),
        _ => (Adjustment, OneTime, A::Billed),
    };
    let is_committed = matches!(amortised, A::Reservation | A::SavingsPlan);
    Kind { category, frequency, amortised, is_committed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_in_both_spellings() {
        for (one, other) in [
            ("SavingsPlanCoveredUsage", "Savings Plan Covered Usage"),
            ("RIFee", "Recurring reservation fee"),
            ("Fee", "Support fee"),
        ] {
            assert_eq!(kind(one), kind(other), "{one}");
        }
        assert_eq!(kind("Enterprise Discount Program Discount").category, ChargeCategory::Adjustment);
        assert_eq!(kind("SomethingNew").category, ChargeCategory::Adjustment);
        assert!(kind("DiscountedUsage").is_committed && !kind("Usage").is_committed);
    }
}
