//! What rules look at.

use chrono::{DateTime, Utc};

use crate::charge::{Charge, ChargeCategory};
use crate::month::{BillingMonth, in_calendar};

/// What rules look at in a charge. Empty texts count as missing.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// As in the catalog and in the keys of the data bucket: `aws`.
    pub provider: &'a str,
    /// FOCUS `BillingAccountId`.
    pub billing_account: &'a str,
    /// FOCUS `SubAccountId`.
    pub sub_account_id: Option<&'a str>,
    /// FOCUS `SubAccountName`.
    pub sub_account_name: Option<&'a str>,
    /// FOCUS `ServiceName`.
    pub service: &'a str,
    /// FOCUS `RegionId`.
    pub region: Option<&'a str>,
    /// FOCUS `ResourceId`.
    pub resource: Option<&'a str>,
    /// FOCUS `AllocatedResourceId`: the part of a shared resource that the charge is for.
    pub allocated_resource: Option<&'a str>,
    /// FOCUS `Tags`, under those of `AllocatedTags`.
    pub tags: Tags<'a>,
    /// FOCUS `ChargeCategory`.
    pub category: ChargeCategory,
    /// FOCUS `ChargeClass` is `Correction`.
    pub is_correction: bool,
    /// FOCUS `CommitmentDiscountId`.
    pub commitment: Option<&'a str>,
    /// When it was used or bought; nothing counts as the month that is billed.
    pub period: Option<ChargePeriod>,
}

/// FOCUS `ChargePeriodStart` and `ChargePeriodEnd`, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChargePeriod {
    /// The beginning.
    pub start: i64,
    /// The end, which is no part of it.
    pub end: i64,
}

impl ChargePeriod {
    /// Between two moments.
    #[must_use]
    pub fn between(start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        Self { start: start.timestamp_millis(), end: end.timestamp_millis() }
    }

    /// The month in which it begins; nothing outside the calendar.
    #[must_use]
    pub fn month(self) -> Option<BillingMonth> {
        DateTime::from_timestamp_millis(self.start).and_then(in_calendar).map(BillingMonth::containing)
    }
}

/// Tags, as they come.
#[derive(Clone, Copy, Debug, Default)]
pub enum Tags<'a> {
    /// There are none.
    #[default]
    None,
    /// A flat JSON object, as in files of charges: parsed once for each distinct text.
    Json(&'a str),
    /// There are some that cannot be read: what they are written as.
    Unread(&'a str),
    /// Keys and values.
    Pairs(&'a [(&'a str, &'a str)]),
}

impl<'a> Facts<'a> {
    /// What a charge of a provider says.
    #[must_use]
    pub fn of(provider: &'a str, charge: &'a Charge<'_>) -> Self {
        Self {
            provider,
            billing_account: &charge.billing_account_id,
            sub_account_id: charge.sub_account_id.as_deref(),
            sub_account_name: charge.sub_account_name.as_deref(),
            service: &charge.service_name,
            region: charge.region_id.as_deref(),
            resource: charge.resource_id.as_deref(),
            allocated_resource: charge.further.allocated_resource_id.as_deref(),
            tags: match (charge.tags.as_deref(), charge.unread_tags.as_deref()) {
                (_, Some(unread)) => Tags::Unread(unread),
                (Some(tags), None) => Tags::Json(tags),
                (None, None) => Tags::None,
            },
            category: charge.charge_category,
            is_correction: charge.correction,
            commitment: charge.commitment_discount_id.as_deref(),
            period: Some(ChargePeriod::between(charge.charge_period.start, charge.charge_period.end)),
        }
    }
}
