//! What a service used, by location: one plugin for each kind of service.

use indexmap::IndexMap;
use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::openstack::OpenStack;
use crate::ids::ServiceId;
use crate::money::{ApportionError, MoneyError};

/// What a service used in a window.
#[derive(Clone, Debug)]
pub struct UsageSummary {
    /// What it cost in each location, exactly, in the order of the details; these are the locations that its money is spread over.
    pub location_cost: IndexMap<String, Decimal>,
    /// What it cost, exactly: the sum of them.
    pub total_cost: Decimal,
    /// `usage_details` of the report: a JSON object, its figures in minor units and adding up.
    pub usage_details: Box<RawValue>,
}

/// Details that a plugin cannot use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PluginError {
    #[error("{0}")]
    Json(String),
    #[error("{field} {text} is not {expected}")]
    Field { field: String, text: String, expected: &'static str },
    #[error("{field} says {said}, and what it is the sum of comes to {sum}")]
    Sum { field: String, said: Decimal, sum: Decimal },
    #[error(
        "location_cost does not name {location}, whose resources cost {cost}; name every location that costs anything, or leave location_cost out"
    )]
    Unnamed { location: String, cost: Decimal },
    #[error(transparent)]
    Money(#[from] MoneyError),
    #[error(transparent)]
    Apportion(#[from] ApportionError),
}

/// Knows the details of one kind of service.
pub trait UsagePlugin: Sync {
    /// Its name in the journal.
    fn name(&self) -> &'static str;

    /// What the details of this service come to, over all documents of a window: those of several months add up. `digits` are
    /// those of the currency's minor unit. One document alone is how a line is checked.
    ///
    /// # Errors
    /// [`PluginError`] names the field.
    fn summarise(
        &self,
        service: &ServiceId,
        details: &[&RawValue],
        digits: u32,
    ) -> Result<UsageSummary, PluginError>;
}

/// All plugins.
const PLUGINS: [&dyn UsagePlugin; 1] = [&OpenStack];

/// The plugin of that name.
#[must_use]
pub fn plugin(name: &str) -> Option<&'static dyn UsagePlugin> {
    PLUGINS.into_iter().find(|plugin| plugin.name() == name)
}

/// The names of all plugins.
pub(super) fn names() -> String {
    PLUGINS.map(UsagePlugin::name).join(", ")
}
