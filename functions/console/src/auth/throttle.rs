//! So many failed attempts from one address, and it must wait.

use std::time::Duration;

use chrono::{DateTime, Utc};
use cloud::ledger::{Attempt, Ledger};
use tokio::time::sleep;

use super::{ClientAddress, Refusal};

/// Failures from one address in a quarter of an hour.
const MOST_FAILURES: u64 = 10;
/// How often, and after how long, it is looked whether others of the same address have ended well: they must not keep anybody out.
const LOOKS: u32 = 100;
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Counts attempts in the ledger, so that all instances of the function know them.
#[derive(Clone)]
pub(crate) struct Throttle {
    ledger: Ledger,
}

impl Throttle {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }

    /// Checks credentials, if the address has not failed too often. It is counted before it is made: of many at once, no more than
    /// may fail are looked at. It goes on when whoever asked has gone: what is right is taken back in any case.
    pub(crate) async fn attempt<T: Send + 'static>(
        &self,
        address: &ClientAddress,
        now: DateTime<Utc>,
        check: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (throttle, address) = (self.clone(), address.clone());
        let attempt = tokio::spawn(async move {
            throttle.begin(&address, now).await?;
            let checked = check.await;
            throttle.end(&address, checked.as_ref().err(), now).await;
            checked
        });
        attempt.await.map_err(|error| {
            tracing::error!("credentials were not checked: {error}");
            Refusal::Unavailable
        })?
    }

    /// Refuses an address that failed too often. Where that cannot be told, nobody gets in.
    async fn begin(&self, address: &ClientAddress, now: DateTime<Utc>) -> Result<(), Refusal> {
        for _ in 0..LOOKS {
            let attempt = self.ledger.begin_attempt(address.as_str(), MOST_FAILURES, now).await;
            let attempt = attempt.map_err(|error| {
                tracing::error!("an attempt to sign in cannot be counted: {error}");
                Refusal::Unavailable
            })?;
            match attempt {
                Attempt::Counted => return Ok(()),
                Attempt::Full { failures, left_s } if failures >= MOST_FAILURES => {
                    let address = address.as_str();
                    tracing::warn!(client.address = address, failures, "too many failed attempts to sign in");
                    return Err(Refusal::Throttled {
                        retry_after_s: u64::try_from(left_s).unwrap_or(1).max(1),
                    });
                }
                Attempt::Full { .. } => sleep(LOOK_AGAIN_AFTER).await,
            }
        }
        tracing::warn!(client.address = address.as_str(), "too many attempts to sign in at once");
        Err(Refusal::Throttled { retry_after_s: 1 })
    }

    async fn end(&self, address: &ClientAddress, refusal: Option<&Refusal>, now: DateTime<Utc>) {
        let has_failed = refusal == Some(&Refusal::Wrong);
        if has_failed {
            tracing::warn!(client.address = address.as_str(), "credentials were refused");
        }
        if let Err(error) = self.ledger.end_attempt(address.as_str(), has_failed, now).await {
            tracing::error!("what an attempt to sign in came to is not noted: {error}");
        }
    }
}
