//! The catalog of what is billed to whom: customers, accounts, services, components, pools, prices, rates.
//!
//! It is one YAML document (its JSON Schema stands in `docs/catalog.schema.json`). [`parse`] finds everything that is wrong with
//! it at once, each problem with its line, column and field. Amounts are read from their text. Entries may be dated by
//! months, so that rules and prices change while past months stay as they were; [`InForce`] is what applies to one month.
//!
//! Sections that other functions read (`metering`, `revenue`) are left to them.

mod difference;
mod export;
mod in_force;
mod names;
mod pools;
mod problem;
mod reader;
mod sections;
mod services;
mod settings;
#[cfg(test)]
mod tests;
mod types;
mod yaml;

use crate::money::Currency;
use crate::revision::sha256_hex;

pub use self::difference::{Difference, differences};
pub use self::export::{Column, Content, Encoding, ExportField, ExportTemplate};
pub use self::in_force::InForce;
pub(crate) use self::problem::did_you_mean;
pub use self::problem::{Mark, Problem, Problems};
pub use self::settings::CostCenterPattern;
pub use self::types::{
    Account, Allocation, Component, CostBasis, Customer, Dated, Fx, Match, Part, PartPrice, Pool, Position,
    Price, Quantity, Rate, Rounding, Service, Split, Target, TargetKind, Use,
};

/// The members of the document: first those that bill something, then settings, then sections of other functions.
const BILLED: [&str; 7] =
    ["customers", "accounts", "allocations", "services", "components", "positions", "pools"];
const SETTINGS: [&str; 7] =
    ["currency", "basis", "fx", "rounding", "cost_center_pattern", "cost_center_tag", "export"];
const OTHERS: [&str; 2] = ["metering", "revenue"];

/// A catalog without problems. Entries are in the order of the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalog {
    /// SHA-256 of the document, in hexadecimal: what certificates and charges name it by.
    pub version: String,
    /// Of all prices and bills; XXX (ISO 4217: no currency) where nothing is billed.
    pub currency: Currency,
    /// Who is billed.
    pub customers: Vec<Customer>,
    /// Whole accounts passed on.
    pub accounts: Vec<Account>,
    /// Rules that give charges to customers.
    pub allocations: Vec<Allocation>,
    /// What is sold.
    pub services: Vec<Service>,
    /// What services are made of.
    pub components: Vec<Component>,
    /// One-off additions and discounts.
    pub positions: Vec<Position>,
    /// Shared costs.
    pub pools: Vec<Pool>,
    /// Rates of exchange.
    pub fx: Fx,
    /// How lines are rounded.
    pub rounding: Rounding,
    /// Which cost is billed, where no entry says so itself.
    pub basis: CostBasis,
    /// What a cost centre must look like.
    pub cost_center_pattern: Option<CostCenterPattern>,
    /// The tag whose value, a customer's cost centre, overrides the account's customer.
    pub cost_center_tag: Option<String>,
    /// How bills are written.
    pub export: ExportTemplate,
    /// What each name is, for the targets of drivers.
    names: names::Known,
}

impl Catalog {
    /// Whether anything is billed, or shared, by its effective cost.
    #[must_use]
    pub fn bills_effective_costs(&self) -> bool {
        let accounts = self.accounts.iter().map(|of| of.basis);
        let rules = self.allocations.iter().map(|of| of.basis);
        let services = self.services.iter().map(|of| of.basis);
        let components = self.components.iter().map(|of| of.basis);
        let pools = self.pools.iter().flat_map(|of| [of.basis, of.weighed]);
        let mut stated = accounts.chain(rules).chain(services).chain(components).chain(pools).flatten();
        !self.basis.is_billed() || stated.any(|basis| !basis.is_billed())
    }

    /// The place of the customer who has a name, or had it.
    #[must_use]
    pub fn customer_named(&self, name: &str) -> Option<usize> {
        let is_known = |customer: &Customer| {
            customer.name == name || customer.formerly.iter().any(|former| former == name)
        };
        self.customers.iter().position(is_known)
    }
}

/// A catalog as JSON, as it is written: null if it has no content.
///
/// # Errors
/// [`Problems`] if it is no YAML, and nothing else is wrong with it here.
pub fn to_json(yaml: &[u8]) -> Result<serde_json::Value, Problems> {
    let root = yaml::parse(yaml).map_err(|problem| Problems(vec![problem]))?;
    Ok(root.map(|root| root.value.into_json()).unwrap_or_default())
}

/// Reads a catalog.
///
/// # Errors
/// [`Problems`]: all of them, with line, column and field. A document that is no YAML has one.
pub fn parse(yaml: &[u8]) -> Result<Catalog, Problems> {
    let root = yaml::parse(yaml).map_err(|problem| Problems(vec![problem]))?;
    let empty = yaml::Node { mark: Mark { line: 1, column: 1 }, value: yaml::Value::Map(Vec::new()) };
    let root = reader::Field::root(root.as_ref().unwrap_or(&empty));
    let mut reader = reader::Reader::default();
    let allowed: Vec<&str> = BILLED.into_iter().chain(SETTINGS).chain(OTHERS).collect();
    let Some(root) = reader.members(&root, &allowed) else { return Err(Problems(reader.problems)) };
    let billed = BILLED.iter().any(|section| root.get(section).is_some());
    let names = names::Names::collect(&root);
    let settings = settings::settings(&mut reader, &root, billed);
    let (components, paths) = services::components(&mut reader, &root);
    let catalog = Catalog {
        version: sha256_hex(yaml),
        currency: settings.currency,
        customers: sections::customers(&mut reader, &root, &settings),
        accounts: sections::accounts(&mut reader, &root, &names),
        allocations: sections::allocations(&mut reader, &root, &names),
        services: services::services(&mut reader, &root, &names),
        components,
        positions: sections::positions(&mut reader, &root, &names, &settings),
        pools: pools::pools(&mut reader, &root, &names),
        fx: settings.fx,
        rounding: settings.rounding,
        basis: settings.basis,
        cost_center_pattern: settings.cost_center_pattern,
        cost_center_tag: settings.cost_center_tag,
        export: settings.export,
        names: names.into_known(),
    };
    services::of_one_basis(&mut reader, &catalog);
    services::costless(&mut reader, &catalog.components, &paths, &catalog.pools);
    if reader.problems.is_empty() {
        return Ok(catalog);
    }
    reader.problems.sort();
    reader.problems.dedup();
    Err(Problems(reader.problems))
}
