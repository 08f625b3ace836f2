//! A platform team to look at: the catalog by which the sandbox's month is billed to three teams.

use billing::catalog::CURRENT;
use billing::month::BillingMonth;
use serde_json::Value;

use crate::journal;

/// The catalog, with the clients and services of the invented journal, so that reports of revenue stay as they are.
#[must_use]
pub fn catalog(closing: BillingMonth) -> Vec<u8> {
    let text = include_str!("../examples/platform/catalog.yaml");
    let text =
        text.replace("{month}", &closing.to_string()).replace("{before}", &closing.previous().to_string());
    let journal = journal::invented_month(closing);
    let seller = journal.iter().find(|(key, _)| key == CURRENT);
    let mut seller: Value =
        seller.and_then(|(_, bytes)| serde_json::from_slice(bytes).ok()).unwrap_or_default();
    // the seller's currency is another one than the platform team's
    let currency = seller["currency"].clone();
    for client in seller["revenue"]["clients"].as_array_mut().into_iter().flatten() {
        if client["currency"].is_null() {
            client["currency"] = currency.clone();
        }
    }
    // JSON is YAML
    format!("{text}\nrevenue: {}\n", seller["revenue"]).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_has_no_problems() {
        let bytes = catalog("2026-10".parse().unwrap());
        let parsed = billing::catalog::billing::parse(&bytes).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!((parsed.customers.len(), parsed.accounts.len(), parsed.pools.len()), (3, 9, 5));
        let offer = |bytes: &[u8]| {
            let offer = billing::catalog::offer(bytes).unwrap();
            format!("{:?} {:?}", offer.clients, offer.services)
        };
        let (_, own) = journal::invented_month("2026-10".parse().unwrap()).remove(0);
        assert_eq!(offer(&bytes), offer(&own));
    }
}
