//! What rules look at.

use crate::charge::{Charge, ChargeCategory};

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
    /// FOCUS `Tags`.
    pub tags: Tags<'a>,
    /// FOCUS `ChargeCategory`.
    pub category: ChargeCategory,
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
            tags: match (charge.tags.as_deref(), charge.unread_tags.as_deref()) {
                (Some(tags), _) => Tags::Json(tags),
                (None, Some(unread)) => Tags::Unread(unread),
                (None, None) => Tags::None,
            },
            category: charge.charge_category,
        }
    }
}
