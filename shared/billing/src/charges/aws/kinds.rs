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
        "discountedusage" | "reservationappliedusage" => (Usage, UsageBased, A::Reservation),
        "savingsplancoveredusage" => (Usage, UsageBased, A::SavingsPlan),
        "savingsplannegation" => (Usage, UsageBased, A::Nothing),
        "tax" => (Tax, OneTime, A::Billed),
        "credit" => (Credit, OneTime, A::Billed),
        "refund" => (Credit, OneTime, A::Billed),
        "fee" | "support" | "supportfee" | "othercharges" | "otheroutofcyclecharges" => {
            (Purchase, OneTime, A::Billed)
        }
        "flatratesubscription" => (Purchase, Recurring, A::Billed),
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

    /// The words of reports, and those of Cost Explorer for the same.
    #[test]
    fn kinds_of_amortised_costs_are_known_in_all_spellings() {
        use Amortised as A;
        use ChargeCategory::{Adjustment, Credit, Purchase, Tax, Usage};
        let kinds: [(&[&str], ChargeCategory, Amortised); 13] = [
            (&["Usage"], Usage, A::Billed),
            (&["DiscountedUsage", "Reservation applied usage"], Usage, A::Reservation),
            (&["SavingsPlanCoveredUsage", "Savings Plan Covered Usage"], Usage, A::SavingsPlan),
            (&["SavingsPlanNegation", "Savings Plan Negation"], Usage, A::Nothing),
            (&["RIFee", "Recurring", "Recurring reservation fee"], Purchase, A::UnusedReservation),
            (&["Upfront", "Upfront reservation fee"], Purchase, A::Spread),
            (&["SavingsPlanRecurringFee", "Savings Plan Recurring Fee"], Purchase, A::UnusedSavingsPlan),
            (&["SavingsPlanUpfrontFee", "Savings Plan Upfront Fee"], Purchase, A::Spread),
            (
                &["Fee", "Support", "Support fee", "FlatRateSubscription", "Other out-of-cycle charges"],
                Purchase,
                A::Billed,
            ),
            (&["Tax"], Tax, A::Billed),
            (&["Credit"], Credit, A::Billed),
            (&["Refund"], Credit, A::Billed),
            (
                &[
                    "Discount",
                    "EdpDiscount",
                    "Enterprise Discount Program Discount",
                    "PrivateRateDiscount",
                    "Private Rate Card Discount",
                    "BundledDiscount",
                    "RiVolumeDiscount",
                    "SppDiscount",
                    "Solution Provider Program Discount",
                    "Distributor Discount",
                    "Reseller Margin",
                    "SomethingNew",
                ],
                Adjustment,
                A::Billed,
            ),
        ];
        for (names, category, amortised) in kinds {
            for name in names {
                let kind = kind(name);
                assert_eq!((kind.category, kind.amortised), (category, amortised), "{name}");
            }
        }
        let monthly = ["Support fee", "FlatRateSubscription", "RIFee"].map(|name| kind(name).frequency);
        assert_eq!(
            monthly,
            [ChargeFrequency::OneTime, ChargeFrequency::Recurring, ChargeFrequency::Recurring]
        );
        assert!(kind("DiscountedUsage").is_committed && !kind("Usage").is_committed);
    }
}
