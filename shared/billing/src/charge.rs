//! One FOCUS row: what a provider charged, in the field's standard terms.

mod parquet;

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::money::Currency;

pub use self::parquet::{COLUMN_NAMES, ChargesFile, ChargesFileError};

/// FOCUS `ChargeCategory`: the highest-level classification of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChargeCategory {
    /// Consumption.
    Usage,
    /// Fees for something bought.
    Purchase,
    /// Taxes levied by an authority.
    Tax,
    /// Money back or vouchers.
    Credit,
    /// Anything else that the provider posts after the fact.
    Adjustment,
}

impl ChargeCategory {
    /// The value as FOCUS writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "Usage",
            Self::Purchase => "Purchase",
            Self::Tax => "Tax",
            Self::Credit => "Credit",
            Self::Adjustment => "Adjustment",
        }
    }
}

impl ChargeCategory {
    /// The category that FOCUS writes like this; real exports differ in upper and lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Usage, Self::Purchase, Self::Tax, Self::Credit, Self::Adjustment];
        all.into_iter().find(|category| category.as_str().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for ChargeCategory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// FOCUS `ChargeFrequency`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChargeFrequency {
    /// Once.
    OneTime,
    /// At a fixed interval.
    Recurring,
    /// Whenever it was used.
    UsageBased,
}

impl ChargeFrequency {
    /// The value as FOCUS writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneTime => "One-Time",
            Self::Recurring => "Recurring",
            Self::UsageBased => "Usage-Based",
        }
    }
}

impl ChargeFrequency {
    /// The frequency that FOCUS writes like this; real exports differ in upper and lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::OneTime, Self::Recurring, Self::UsageBased];
        all.into_iter().find(|frequency| frequency.as_str().eq_ignore_ascii_case(text))
    }
}

/// The nineteen values of FOCUS `ServiceCategory` (version 1.2).
pub const SERVICE_CATEGORIES: [&str; 19] = [
    "AI and Machine Learning",
    "Analytics",
    "Business Applications",
    "Compute",
    "Databases",
    "Developer Tools",
    "Multicloud",
    "Identity",
    "Integration",
    "Internet of Things",
    "Management and Governance",
    "Media",
    "Migration",
    "Mobile",
    "Networking",
    "Security",
    "Storage",
    "Web",
    "Other",
];

/// The FOCUS service category that is written like this.
#[must_use]
pub fn service_category(text: &str) -> Option<&'static str> {
    SERVICE_CATEGORIES.into_iter().find(|category| category.eq_ignore_ascii_case(text))
}

/// A half-open interval of UTC time, as every FOCUS period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Inclusive.
    pub start: DateTime<Utc>,
    /// Exclusive.
    pub end: DateTime<Utc>,
}

/// Columns of FOCUS that few charges have, some of them from later versions (1.3, 1.4): kept as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Further<'a> {
    /// What the stock keeping unit measures.
    pub sku_meter: Option<Cow<'a, str>>,
    /// What the price hangs on, as a JSON object.
    pub sku_price_details: Option<Cow<'a, str>>,
    /// The currency of the price list.
    pub pricing_currency: Option<Cow<'a, str>>,
    /// Price of one pricing unit in it.
    pub pricing_currency_contracted_unit_price: Option<Decimal>,
    /// The amortised cost in it.
    pub pricing_currency_effective_cost: Option<Decimal>,
    /// The list price in it.
    pub pricing_currency_list_unit_price: Option<Decimal>,
    /// How much of a reservation or savings plan it is about.
    pub commitment_discount_quantity: Option<Decimal>,
    /// In what unit.
    pub commitment_discount_unit: Option<Cow<'a, str>>,
    /// The capacity that is reserved.
    pub capacity_reservation_id: Option<Cow<'a, str>>,
    /// `Used` or `Unused`.
    pub capacity_reservation_status: Option<Cow<'a, str>>,
    /// What kind of service within its category.
    pub service_subcategory: Option<Cow<'a, str>>,
    /// The provider's word for a sub account.
    pub sub_account_type: Option<Cow<'a, str>>,
    /// Its word for a billing account.
    pub billing_account_type: Option<Cow<'a, str>>,
    /// Whose machines it runs on.
    pub host_provider_name: Option<Cow<'a, str>>,
    /// Who offers it: of a marketplace, the seller.
    pub service_provider_name: Option<Cow<'a, str>>,
    /// Which commitments of contracts it counts towards, as a JSON object.
    pub contract_applied: Option<Cow<'a, str>>,
    /// Which programs of commitments it may be part of, as a JSON object.
    pub commitment_program_eligibility_details: Option<Cow<'a, str>>,
    /// The line of the invoice.
    pub invoice_detail_id: Option<Cow<'a, str>>,
    /// Of a part of a shared resource, how it was divided.
    pub allocated_method_id: Option<Cow<'a, str>>,
    /// The details of that, as a JSON object.
    pub allocated_method_details: Option<Cow<'a, str>>,
    /// Whom the part is for.
    pub allocated_resource_id: Option<Cow<'a, str>>,
    /// Its display name.
    pub allocated_resource_name: Option<Cow<'a, str>>,
    /// Its tags, as a flat JSON object.
    pub allocated_tags: Option<Cow<'a, str>>,
}

/// One FOCUS row: version 1.2, and what came of later ones. Field names are the FOCUS column names in snake case; costs are in `billing_currency`.
/// Texts borrow from the raw document where they can: a charge lives only as long as it takes to pass it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge<'a> {
    /// The amount invoiced for this row; the sum over an invoice is what is payable.
    pub billed_cost: Decimal,
    /// The amortised cost; equal to `billed_cost` where nothing is prepaid, nothing where the document does not say what it is.
    pub effective_cost: Option<Decimal>,
    /// The cost at list price; equal to `billed_cost` where the provider states none.
    pub list_cost: Decimal,
    /// The cost at contracted price; equal to `billed_cost` where the provider states none.
    pub contracted_cost: Decimal,
    /// Currency of all costs.
    pub billing_currency: Currency,
    /// Who is invoiced.
    pub billing_account_id: Cow<'a, str>,
    /// Its display name.
    pub billing_account_name: Option<Cow<'a, str>>,
    /// The invoice's period.
    pub billing_period: Period,
    /// When the charge arose.
    pub charge_period: Period,
    /// What kind of charge.
    pub charge_category: ChargeCategory,
    /// Whether it corrects an earlier invoice (FOCUS `ChargeClass`: `Correction`).
    pub correction: bool,
    /// What it is for, in words.
    pub charge_description: Option<Cow<'a, str>>,
    /// How often it occurs.
    pub charge_frequency: ChargeFrequency,
    /// The invoice; nothing while the provider has issued none.
    pub invoice_id: Option<Cow<'a, str>>,
    /// Who sends the invoice.
    pub invoice_issuer_name: Cow<'a, str>,
    /// Who makes the service available for purchase.
    pub provider_name: Cow<'a, str>,
    /// Who produced the service.
    pub publisher_name: Cow<'a, str>,
    /// One of FOCUS' nineteen categories.
    pub service_category: &'static str,
    /// The service.
    pub service_name: Cow<'a, str>,
    /// The provider's stock keeping unit.
    pub sku_id: Option<Cow<'a, str>>,
    /// The price of it that applied.
    pub sku_price_id: Option<Cow<'a, str>>,
    /// The resource charged for.
    pub resource_id: Option<Cow<'a, str>>,
    /// Its display name.
    pub resource_name: Option<Cow<'a, str>>,
    /// What kind of resource.
    pub resource_type: Option<Cow<'a, str>>,
    /// The region.
    pub region_id: Option<Cow<'a, str>>,
    /// Its display name.
    pub region_name: Option<Cow<'a, str>>,
    /// The zone within the region.
    pub availability_zone: Option<Cow<'a, str>>,
    /// The grouping below the billing account: project, account, subscription.
    pub sub_account_id: Option<Cow<'a, str>>,
    /// Its display name.
    pub sub_account_name: Option<Cow<'a, str>>,
    /// How much was consumed.
    pub consumed_quantity: Option<Decimal>,
    /// In what unit.
    pub consumed_unit: Option<Cow<'a, str>>,
    /// The volume the price applies to.
    pub pricing_quantity: Option<Decimal>,
    /// In what unit.
    pub pricing_unit: Option<Cow<'a, str>>,
    /// Price of one pricing unit.
    pub contracted_unit_price: Option<Decimal>,
    /// Its list price.
    pub list_unit_price: Option<Decimal>,
    /// How it was priced: `Standard`, `Dynamic`, `Committed` or `Other`.
    pub pricing_category: Option<Cow<'a, str>>,
    /// The reservation or savings plan that it draws on.
    pub commitment_discount_id: Option<Cow<'a, str>>,
    /// Its display name.
    pub commitment_discount_name: Option<Cow<'a, str>>,
    /// `Spend` or `Usage`.
    pub commitment_discount_category: Option<Cow<'a, str>>,
    /// The provider's kind of it.
    pub commitment_discount_type: Option<Cow<'a, str>>,
    /// `Used` or `Unused`.
    pub commitment_discount_status: Option<Cow<'a, str>>,
    /// Tags as a flat JSON object.
    pub tags: Option<Cow<'a, str>>,
    /// Custom column `x_UnreadTags`: the text of tags that cannot be read, its own or allocated ones; the column of these is empty then.
    pub unread_tags: Option<Cow<'a, str>>,
    /// What else it may say.
    pub further: Further<'a>,
    /// Custom column `x_DiscountCents`: what the provider says it took off, for information.
    pub x_discount_cents: Option<Decimal>,
    /// Custom column `x_Document`: the raw document that holds the line, where an invoice comes as several.
    pub x_document: Option<Cow<'a, str>>,
    /// Custom column `x_LineNumber`: the line of the raw document, from 1; nothing for charges taken from its head.
    pub x_line_number: Option<usize>,
}

impl<'a> Charge<'a> {
    /// A charge that says no more than what it costs, whom, when, and who charges it.
    #[must_use]
    pub fn new(
        cost: Decimal,
        currency: Currency,
        billing_account_id: Cow<'a, str>,
        period: Period,
        provider: Cow<'a, str>,
    ) -> Self {
        Self {
            billed_cost: cost,
            effective_cost: Some(cost),
            list_cost: cost,
            contracted_cost: cost,
            billing_currency: currency,
            billing_account_id,
            billing_account_name: None,
            billing_period: period,
            charge_period: period,
            charge_category: ChargeCategory::Usage,
            correction: false,
            charge_description: None,
            charge_frequency: ChargeFrequency::OneTime,
            invoice_id: None,
            invoice_issuer_name: provider.clone(),
            provider_name: provider.clone(),
            publisher_name: provider.clone(),
            service_category: "Other",
            service_name: provider,
            sku_id: None,
            sku_price_id: None,
            resource_id: None,
            resource_name: None,
            resource_type: None,
            region_id: None,
            region_name: None,
            availability_zone: None,
            sub_account_id: None,
            sub_account_name: None,
            consumed_quantity: None,
            consumed_unit: None,
            pricing_quantity: None,
            pricing_unit: None,
            contracted_unit_price: None,
            list_unit_price: None,
            pricing_category: None,
            commitment_discount_id: None,
            commitment_discount_name: None,
            commitment_discount_category: None,
            commitment_discount_type: None,
            commitment_discount_status: None,
            tags: None,
            unread_tags: None,
            further: Further::default(),
            x_discount_cents: None,
            x_document: None,
            x_line_number: None,
        }
    }
}
