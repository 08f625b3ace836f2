//! So many failed attempts from one address, and it must wait.

use chrono::{DateTime, Utc};
use cloud::ledger::Ledger;

use super::{ClientAddress, Refusal};

/// Failures from one address in a quarter of an hour.
const MOST_FAILURES: u64 = 10;

/// Counts failures in the ledger, so that all instances of the function know them.
pub(crate) struct Throttle {
    ledger: Ledger,
}

impl Throttle {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }

    /// Refuses an address that failed too often. Where that cannot be told, nobody gets in.
    pub(crate) async fn check(&self, address: &ClientAddress, now: DateTime<Utc>) -> Result<(), Refusal> {
        let counted = self.ledger.failed_attempts(address.as_str(), now).await;
        let (failures, left_s) = counted.map_err(|error| {
            tracing::error!("failed attempts cannot be looked up: {error}");
            Refusal::Unavailable
        })?;
        if failures >= MOST_FAILURES {
            tracing::warn!(
                client.address = address.as_str(),
                failures,
                "too many failed attempts to sign in"
            );
            return Err(Refusal::Throttled { retry_after_s: u64::try_from(left_s).unwrap_or(1).max(1) });
        }
        Ok(())
    }

    /// Counts a failure.
    pub(crate) async fn failed(&self, address: &ClientAddress, now: DateTime<Utc>) {
        tracing::warn!(client.address = address.as_str(), "credentials were refused");
        if let Err(error) = self.ledger.count_failed_attempt(address.as_str(), now).await {
            tracing::error!("a failed attempt is not counted: {error}");
        }
    }
}
