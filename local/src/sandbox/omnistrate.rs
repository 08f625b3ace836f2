//! What Omnistrate exports of a plan's usage: one object for each subscription and hour, and a marker that says how
//! far the export has come.

mod usage;

use std::collections::BTreeMap;
use std::io;
use std::iter;
use std::path::Path;

use billing::month::BillingMonth;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::json;

use self::usage::{Subscription, Usage};
use crate::files;

const FOLDER: &str = "omnistrate-metering";

/// An invented export of one plan. The same every time.
#[derive(Clone, Debug)]
pub struct OmnistrateExport {
    service: String,
    environment: String,
    plan: String,
    /// In order.
    months: Vec<BillingMonth>,
    /// By their ids.
    subscriptions: Vec<Subscription>,
}

impl OmnistrateExport {
    /// The key of the marker.
    pub const MARKER: &str = "omnistrate-metering/last_success_export.json";

    /// The month that closes and the one before, with four subscriptions: one that is steady (0.9 core hours each
    /// hour), one whose bytes are more than a double holds exactly (and come as texts), one that begins in the
    /// middle of the closing month, and one that varies. A record of the closing month says no payer.
    #[must_use]
    pub fn example(closing: BillingMonth) -> Self {
        let begins = closing.start() + Duration::days(14) + Duration::hours(9);
        let without_payer = closing.start() + Duration::days(5) + Duration::hours(7);
        let subscription = |id: &str, contract: &str, usage| Subscription {
            id: id.to_owned(),
            contract: contract.to_owned(),
            usage,
        };
        let subscriptions = vec![
            subscription("sub-1tVb7mQ2Zk", "ae641bd1-edf8-4038-bfed-d2ff556c729e", Usage::Steady),
            subscription("sub-4Kc81Zt0aQ", "5b0c3f6e-2f41-4c8e-9a57-1d7e0b9c6a32", Usage::Big),
            subscription("sub-9xWd3LpE5u", "c17a9d84-6b3e-4f0a-8d25-73e4f19b0c58", Usage::From(begins)),
            subscription(
                "sub-QnR6yHs8Jf",
                "f2d85e07-91c4-4b6d-a3f8-0e52c7b41d96",
                Usage::Varying { without_payer },
            ),
        ];
        Self::of(vec![closing.previous(), closing], subscriptions)
    }

    /// So many subscriptions of these months, each with three records for every hour.
    #[must_use]
    pub fn sized(mut months: Vec<BillingMonth>, subscriptions: usize) -> Self {
        months.sort_unstable();
        months.dedup();
        let subscription = |number: u64| Subscription {
            id: format!("sub-{number:08}"),
            contract: format!("00000000-0000-4000-8000-{number:012x}"),
            usage: Usage::Numbered(number),
        };
        Self::of(months, (0..subscriptions as u64).map(subscription).collect())
    }

    fn of(months: Vec<BillingMonth>, subscriptions: Vec<Subscription>) -> Self {
        Self {
            service: "Postgres".to_owned(),
            environment: "PROD".to_owned(),
            plan: "pt-HJSv20iWX0".to_owned(),
            months,
            subscriptions,
        }
    }

    /// The service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The type of its environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// The id of its plan.
    #[must_use]
    pub fn plan(&self) -> &str {
        &self.plan
    }

    /// The months that were exported, in order.
    #[must_use]
    pub fn months(&self) -> &[BillingMonth] {
        &self.months
    }

    /// The contracts of its subscriptions (`externalPayerId`).
    #[must_use]
    pub fn contracts(&self) -> Vec<String> {
        self.subscriptions.iter().map(|subscription| subscription.contract.clone()).collect()
    }

    /// The objects with usage, in the order of their keys; without the marker.
    pub fn files(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        let all = self.months.iter().copied().flat_map(hours);
        let all =
            all.flat_map(|hour| self.subscriptions.iter().map(move |subscription| (hour, subscription)));
        all.filter_map(|(hour, subscription)| {
            let readings = subscription.readings(hour);
            let bytes = || subscription.document(hour, &readings);
            (!readings.is_empty()).then(|| (self.key(hour, &subscription.id), bytes()))
        })
    }

    fn key(&self, hour: DateTime<Utc>, subscription: &str) -> String {
        let Self { service, environment, plan, .. } = self;
        format!("{FOLDER}/{service}/{environment}/{plan}/{}/{subscription}.json", hour.format("%Y/%m/%d/%H"))
    }

    /// The marker: the export has come to the end of the last month.
    #[must_use]
    pub fn marker(&self) -> Vec<u8> {
        let Self { service, environment, plan, .. } = self;
        let end = self.months.last().map(|month| month.end().to_rfc3339_opts(SecondsFormat::Secs, true));
        json!({format!("{service}:{environment}:{plan}"): {"last_processed_to": end}})
            .to_string()
            .into_bytes()
    }

    /// What a month adds up to by contract and dimension, exactly: decimals without zeros at their end. A record
    /// without a payer belongs to no contract, and is left out.
    #[must_use]
    pub fn totals(&self, month: BillingMonth) -> BTreeMap<(String, String), String> {
        let mut totals: BTreeMap<(String, String), u128> = BTreeMap::new();
        let exported = self.months.contains(&month).then_some(month);
        for hour in exported.into_iter().flat_map(hours) {
            for subscription in &self.subscriptions {
                for reading in subscription.readings(hour).iter().filter(|reading| reading.has_payer) {
                    let slot = (subscription.contract.clone(), reading.dimension.to_owned());
                    *totals.entry(slot).or_default() += reading.thousandths;
                }
            }
        }
        totals.into_iter().map(|(slot, thousandths)| (slot, usage::decimal(thousandths))).collect()
    }

    /// Writes the objects as plain files under a folder, the marker last. A file that holds the same bytes already
    /// stays as it is, with its time. Answers how many were written.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn write_to(&self, folder: &Path) -> io::Result<usize> {
        let mut written = 0;
        for (key, bytes) in self.files().chain(iter::once((Self::MARKER.to_owned(), self.marker()))) {
            written += usize::from(files::write_changed(&folder.join(key), &bytes)?);
        }
        Ok(written)
    }
}

fn hours(month: BillingMonth) -> impl Iterator<Item = DateTime<Utc>> {
    (0..month.hours()).map(move |number| month.start() + Duration::hours(number))
}

#[cfg(test)]
mod tests;
