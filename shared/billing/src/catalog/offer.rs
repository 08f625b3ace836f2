//! What is sold to whom, as far as revenue is reported on it.
//!
//! ```yaml
//! currency: EUR                # of all clients that say nothing else
//! revenue:
//!   clients:
//!     - {id: 679545, name: Fleio}
//!     - {id: 2, name: Nippon, currency: JPY}
//!   services:
//!     - {id: 305815, name: Shared small, client: 679545, fixed_monthly_price: 5.00}
//!     - {id: 9, name: Old, client: 2, price_overridden: true, terminated_at: 2026-09-30T00:00:00Z}
//! ```

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;

use super::CatalogError;
use crate::ids::{ClientId, ServiceId};
use crate::money::{self, Currency};
use crate::revenue::{bounded, natural_order, read_moment};

/// A client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its number or name in the journal.
    pub id: ClientId,
    /// How it is shown.
    pub name: String,
    /// What its fixed prices and usage are in.
    pub currency: Currency,
}

/// A service of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its number or name in the journal.
    pub id: ServiceId,
    /// How it is shown.
    pub name: String,
    /// Place of its client in the offer.
    pub client: usize,
    /// In the client's currency.
    pub fixed_monthly_price: Decimal,
    /// Whether that price is this client's own.
    pub price_overridden: bool,
    /// When it ended; nothing while it goes on.
    pub terminated_at: Option<DateTime<Utc>>,
}

/// All clients and services, each in the order of their ids (numbers by value, then texts).
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// The clients.
    pub clients: Vec<Client>,
    /// The services.
    pub services: Vec<Service>,
    client_places: HashMap<String, usize>,
    service_places: HashMap<String, usize>,
}

impl Offer {
    /// The place of a client.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<usize> {
        self.client_places.get(id).copied()
    }

    /// The place of a service.
    #[must_use]
    pub fn service(&self, id: &str) -> Option<usize> {
        self.service_places.get(id).copied()
    }
}

// the other sections of a catalog are read by those who need them
#[derive(Deserialize)]
struct Document {
    currency: Option<String>,
    revenue: Option<Section>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(default)]
    clients: Vec<ClientEntry>,
    #[serde(default)]
    services: Vec<ServiceEntry>,
}

// ids and prices are read as the texts that they are in the document: no float comes between
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientEntry {
    id: String,
    name: String,
    currency: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceEntry {
    id: String,
    name: String,
    client: String,
    fixed_monthly_price: Option<String>,
    #[serde(default)]
    price_overridden: bool,
    terminated_at: Option<String>,
}

/// The clients and services that a catalog lists under `revenue`; none if it has no such list.
///
/// # Errors
/// [`CatalogError`] names the line or the entry.
pub fn offer(yaml: &[u8]) -> Result<Offer, CatalogError> {
    let document: Option<Document> = serde_yaml_ng::from_slice(yaml)?;
    let Some(Document { currency, revenue: Some(section) }) = document else { return Ok(Offer::default()) };
    let mut offer = Offer::default();
    for (index, entry) in section.clients.into_iter().enumerate() {
        let client = client(entry, currency.as_deref());
        offer.clients.push(client.map_err(|why| CatalogError::Offer { list: "clients", index, why })?);
        let id = offer.clients[index].id.as_str().to_owned();
        if offer.client_places.insert(id.clone(), index).is_some() {
            let why = format!("the client {id} is listed twice");
            return Err(CatalogError::Offer { list: "clients", index, why });
        }
    }
    offer.clients.sort_by(|a, b| natural_order(a.id.as_str(), b.id.as_str()));
    let places = offer.clients.iter().enumerate();
    offer.client_places = places.map(|(place, client)| (client.id.as_str().to_owned(), place)).collect();
    for (index, entry) in section.services.into_iter().enumerate() {
        let service = service(entry, &offer);
        let service = service.map_err(|why| CatalogError::Offer { list: "services", index, why })?;
        let id = service.id.as_str().to_owned();
        if offer.service_places.insert(id.clone(), index).is_some() {
            let why = format!("the service {id} is listed twice");
            return Err(CatalogError::Offer { list: "services", index, why });
        }
        offer.services.push(service);
    }
    offer.services.sort_by(|a, b| natural_order(a.id.as_str(), b.id.as_str()));
    let places = offer.services.iter().enumerate();
    offer.service_places = places.map(|(place, service)| (service.id.as_str().to_owned(), place)).collect();
    Ok(offer)
}

fn client(entry: ClientEntry, default: Option<&str>) -> Result<Client, String> {
    let code = entry.currency.as_deref().or(default);
    let code = code.ok_or("it has no currency, and the catalog has none for all")?;
    Ok(Client {
        id: ClientId::new(entry.id).map_err(|error| error.to_string())?,
        name: entry.name,
        currency: money::currency(code).map_err(|error| format!("{error}, write it as EUR"))?,
    })
}

fn service(entry: ServiceEntry, offer: &Offer) -> Result<Service, String> {
    let price = entry.fixed_monthly_price.as_deref().unwrap_or("0");
    let ended = entry.terminated_at.map(|text| {
        read_moment(&text).ok_or_else(|| format!("terminated_at '{text}' is no time (RFC 3339) and no date"))
    });
    Ok(Service {
        id: ServiceId::new(entry.id).map_err(|error| error.to_string())?,
        name: entry.name,
        client: offer
            .client(&entry.client)
            .ok_or_else(|| format!("its client {} is not in revenue.clients", entry.client))?,
        fixed_monthly_price: bounded(price)
            .filter(|price| *price >= Decimal::ZERO)
            .ok_or_else(|| format!("fixed_monthly_price '{price}' is no price from 0 up to 10^15"))?,
        price_overridden: entry.price_overridden,
        terminated_at: ended.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "currency: EUR\nservices: [{name: blue-app}]\nrevenue:\n  clients:\n    - {id: 10, name: Ten}\n    - {id: 9, name: \
         Nine, currency: JPY}\n  services:\n    - {id: 007, name: B, client: 9}\n    - {id: 12, name: A, client: 10, \
         fixed_monthly_price: 5.10, price_overridden: true, terminated_at: 2026-09-30}\n";

    #[test]
    fn clients_and_services_stand_in_the_order_of_their_numbers() {
        let offer = offer(YAML.as_bytes()).unwrap();
        let clients: Vec<_> =
            offer.clients.iter().map(|client| (client.id.as_str(), client.currency)).collect();
        assert_eq!(clients, [("9", Currency::JPY), ("10", Currency::EUR)]);
        let service = &offer.services[offer.service("12").unwrap()];
        assert_eq!(
            (service.client, service.fixed_monthly_price.to_string(), service.price_overridden),
            (1, "5.1".into(), true)
        );
        assert_eq!(service.terminated_at.unwrap().to_rfc3339(), "2026-09-30T00:00:00+00:00");
        assert!(offer.service("007").is_some() && offer.service("7").is_none());
        assert!(super::offer(b"metering: {}").unwrap().clients.is_empty());
        assert!(super::offer(b"").unwrap().services.is_empty());
    }

    #[test]
    fn mistakes_name_their_place() {
        for (from, to, part) in [
            ("id: 9,", "id: 10,", "revenue.clients[1]: the client 10 is listed twice"),
            ("currency: EUR", "{}", "cannot be read"),
            ("JPY", "YEN", "revenue.clients[1]: 'YEN' is no ISO 4217 currency, write it as EUR"),
            ("client: 9}", "client: 8}", "revenue.services[0]: its client 8 is not in revenue.clients"),
            ("5.10", "-1", "revenue.services[1]: fixed_monthly_price '-1'"),
            ("5.10", "1e40", "fixed_monthly_price '1e40'"),
            ("2026-09-30", "soon", "terminated_at 'soon'"),
            ("id: 12", "id: 007", "the service 007 is listed twice"),
            ("price_overridden", "overridden", "unknown field `overridden`"),
        ] {
            let error = super::offer(YAML.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{to}: {error}");
        }
    }
}
