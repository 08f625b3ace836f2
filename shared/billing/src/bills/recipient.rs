//! Who or what receives a share of a pool.

use super::placer::Place;
use crate::catalog::billing::{Catalog, Dated};
use crate::month::BillingMonth;

/// Who or what receives a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient {
    /// Something that has charges itself.
    Place(Place),
    /// A service, by its place in the catalog.
    Service(usize),
    /// A customer, by its place in the catalog.
    Customer(usize),
}

impl Recipient {
    /// Who receives the share of a place: what cost centres claim has no line that stands in the catalog, so their customers do.
    pub(super) fn of(place: Place) -> Self {
        match place {
            Place::CostCenter(customer) => Self::Customer(customer),
            place => Self::Place(place),
        }
    }

    /// How it is written: `account:azure/1111-...`, `component:cluster-a`.
    #[must_use]
    pub fn label(self, catalog: &Catalog) -> String {
        let customer = |at: usize| catalog.customers.get(at).map_or("", |customer| &customer.name);
        match self {
            Self::Place(Place::Account { account, customer: payer }) => {
                let Some(account) = catalog.accounts.get(account) else { return String::new() };
                let label = format!("account:{}/{}", account.provider, account.key());
                if payer == account.customer { label } else { format!("{label} for {}", customer(payer)) }
            }
            Self::Place(Place::Allocation(at)) => {
                format!("allocation:{}", catalog.allocations.get(at).map_or("", |rule| &rule.name))
            }
            Self::Place(Place::Component(at)) => {
                format!("component:{}", catalog.components.get(at).map_or("", |component| &component.name))
            }
            Self::Place(Place::Pool(at)) => {
                format!("pool:{}", catalog.pools.get(at).map_or("", |pool| &pool.name))
            }
            Self::Place(Place::CostCenter(at)) => format!("cost-center:{}", customer(at)),
            Self::Place(Place::Unallocated | Place::Unread) => "unallocated".to_owned(),
            Self::Service(at) => {
                format!("service:{}", catalog.services.get(at).map_or("", |service| &service.name))
            }
            Self::Customer(at) => format!("customer:{}", customer(at)),
        }
    }
}

impl Recipient {
    /// The same in a month: of an entry that has not all of it, with its days, as in the key of its line.
    #[must_use]
    pub fn label_in(self, catalog: &Catalog, month: BillingMonth) -> String {
        let days = self.dated(catalog).and_then(|dated| dated.days_in(month));
        let days: String = days.iter().map(|days| format!("/{days}")).collect();
        format!("{}{days}", self.label(catalog))
    }

    /// Whether what it names has an owner in a month.
    pub(super) fn is_owned_in(self, catalog: &Catalog, month: BillingMonth) -> bool {
        self.dated(catalog).is_none_or(|dated| dated.covers(month))
    }

    fn dated(self, catalog: &Catalog) -> Option<Dated> {
        match self {
            Self::Place(Place::Account { account, .. }) => catalog.accounts.get(account).map(|of| of.dated),
            Self::Place(Place::Allocation(at)) => catalog.allocations.get(at).map(|rule| rule.dated),
            _ => None,
        }
    }

    /// FOCUS `AllocatedResourceId` and `AllocatedResourceName`: an account's own id and name, and what it is and its name for others.
    pub(super) fn resource(self, catalog: &Catalog) -> (String, String) {
        if let Self::Place(Place::Account { account, .. }) = self
            && let Some(account) = catalog.accounts.get(account)
        {
            return (account.key().to_owned(), account.label().to_owned());
        }
        let label = self.label(catalog);
        let name = label.split_once(':').map_or(label.as_str(), |(_, name)| name).to_owned();
        (label, name)
    }
}
