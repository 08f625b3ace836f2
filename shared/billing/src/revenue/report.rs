//! The report, with the names that its readers expect (the spelling `alloted` included).

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::account::Account;
use super::json::{self, Number};
use crate::ids::{ClientId, ServiceId};

/// The report of one window in one currency. Amounts have at most the decimals of its minor unit.
#[derive(Clone, Debug, Serialize)]
pub struct RevenueReport<'a> {
    /// One entry a client, in the order of their ids.
    pub revenue_report: Vec<ClientReport<'a>>,
    /// The sums over all clients, by location, in the order in which these first earn.
    pub total_revenue_per_location: Vec<LocationRevenue>,
    /// The sum of those.
    pub total_revenue: Number,
    /// ISO 4217.
    pub currency_code: &'static str,
    /// First moment of the window.
    #[serde(serialize_with = "json::moment")]
    pub start_date: DateTime<Utc>,
    /// First moment after.
    #[serde(serialize_with = "json::moment")]
    pub end_date: DateTime<Utc>,
}

/// One client.
#[derive(Clone, Debug, Serialize)]
pub struct ClientReport<'a> {
    /// Its id; a number where it is one.
    #[serde(serialize_with = "json::id")]
    pub client: ClientId,
    /// Its name.
    pub client_display_name: &'a str,
    /// Its services by their ids, in the order of those.
    #[serde(serialize_with = "by_id")]
    pub services_report: Vec<ServiceReport<'a>>,
    /// What came into its credit.
    pub credit_in: Number,
    /// What went out of it.
    pub credit_out: Number,
    /// What it had before, and `credit_in`, less `credit_out`.
    pub credit_available: Number,
    /// What its credit does not cover.
    pub total_debt: Number,
    /// What its credit covers.
    pub total_alloted_from_credit: Number,
    /// Paid and allotted money, by location, in the order of its services and of their details.
    pub revenue_per_location: Vec<LocationRevenue>,
    /// What it had before.
    #[serde(skip)]
    pub opening_credit: Decimal,
    /// Price and usage of its services.
    #[serde(skip)]
    pub cost_due: Decimal,
    /// Net refunds of what was paid before the window.
    #[serde(skip)]
    pub earlier_refunds: Decimal,
}

/// One service.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceReport<'a> {
    /// Its name.
    pub service_name: &'a str,
    /// Its id; a number where it is one.
    #[serde(serialize_with = "json::id")]
    pub service_id: ServiceId,
    /// Payments and refunds of its items, by date.
    pub entries: Vec<Entry<'a>>,
    /// Nothing in another currency than the client's.
    pub fixed_monthly_price: Number,
    /// Whether that price is this client's own.
    pub price_overridden: bool,
    /// Net.
    pub total_revenue: Number,
    /// Gross, of payments from credit.
    pub total_from_credit: Number,
    /// By its plugin; `{}` where nothing is known to be used.
    #[serde(serialize_with = "json::details")]
    pub usage_details: Option<Box<RawValue>>,
    /// Price and usage less what was paid in the window and not refunded.
    pub cost_still_required: Number,
    /// Of what all of the client's services require.
    pub cost_required_percent: Number,
    /// What the client's credit covers of it.
    pub alloted_from_credit: Number,
    /// What it does not cover.
    pub debt: Number,
    /// Paid and allotted money, by location, in the order of its details.
    #[serde(skip)]
    pub locations: IndexMap<String, Decimal>,
    /// What it used, exactly.
    #[serde(skip)]
    pub usage_cost: Decimal,
}

/// One payment or, negative, refund of one invoice item; written by `json::entry`, because there may be a million.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Net.
    pub amount: Number,
    /// The biller's word for it.
    pub item_type: Cow<'a, str>,
    /// Whether it was paid from credit.
    pub from_credit: bool,
    /// Taxes paid with it.
    pub taxes_amount: Number,
    /// Taxes in percent of the net amount.
    pub taxes_percent: Number,
    /// Where the money came from.
    pub source: Account,
    /// When.
    pub date: DateTime<Utc>,
    /// The movement; not part of the report.
    pub id: Cow<'a, str>,
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json::entry(self, serializer)
    }
}

/// Revenue of a location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LocationRevenue {
    /// The location.
    pub name: String,
    /// Its revenue.
    pub revenue: Number,
}

impl RevenueReport<'_> {
    /// The document.
    ///
    /// # Errors
    /// Those of the serialisation.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let services = self.revenue_report.iter().flat_map(|client| &client.services_report);
        json::to_json(self, services.map(|service| service.entries.len() + 10).sum::<usize>() * 200)
    }
}

fn by_id<S: Serializer>(services: &[ServiceReport<'_>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(services.iter().map(|service| (service.service_id.as_str(), service)))
}
