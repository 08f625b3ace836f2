//! One invocation at a time works on the plans of a marketplace: the right to do so is a record of each plan with an end, prolonged while
//! the work goes on. Everybody takes them in the same order, so that nobody waits for whoever waits for him.
//!
//! The lease keeps two invocations from doing the same; that nothing is billed twice does not hang on it (an invocation that was frozen
//! for longer than its lease would still believe in it): every write of a submission says which version it saw, and the service
//! refuses a second record.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use billing::metering::Plan;
use chrono::{DateTime, TimeDelta, Utc};
use cloud::bucket::Written;
use cloud::ledger::Ledger;
use futures::future::{self, Either};

use crate::error::MeterError;

/// How long a lease lasts. Lambda tries a dead invocation again after a minute.
const LASTS: TimeDelta = TimeDelta::seconds(50);
/// How often it is prolonged meanwhile.
const PROLONGED: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The time as the invocation counts it: what counted as now at its start, and what has passed since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    at: DateTime<Utc>,
    started: Instant,
}

impl Clock {
    pub(crate) fn starting(at: DateTime<Utc>) -> Self {
        Self { at, started: Instant::now() }
    }

    pub(crate) fn now(self) -> DateTime<Utc> {
        self.at + self.elapsed()
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.started.elapsed()
    }
}

/// The right to work on plans.
pub(crate) struct Lease<'a> {
    ledger: &'a Ledger,
    plans: Vec<&'a Plan>,
    clock: Clock,
    owner: String,
    until: Mutex<DateTime<Utc>>,
}

impl<'a> Lease<'a> {
    /// Takes it, waiting for whoever has it for at most that long: longer than a lease lasts, so that one who died with it
    /// stops nobody.
    pub(crate) async fn take(
        ledger: &'a Ledger,
        plans: Vec<&'a Plan>,
        clock: Clock,
        wait: Duration,
    ) -> Result<Lease<'a>, MeterError> {
        // random enough: each hasher is seeded anew
        let random = || RandomState::new().build_hasher().finish();
        let lease = Self {
            ledger,
            plans,
            clock,
            owner: format!("{:016x}{:016x}", random(), random()),
            until: Mutex::new(DateTime::<Utc>::MIN_UTC),
        };
        let began = Instant::now();
        loop {
            let refused = match lease.prolong().await {
                Ok(None) => return Ok(lease),
                Ok(Some(_)) if began.elapsed() < wait => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    continue;
                }
                Ok(Some(plan)) => MeterError::Leased { plan },
                Err(error) => error,
            };
            // what was taken of some plans is not kept from whoever tries again
            lease.release().await;
            return Err(refused);
        }
    }

    /// Does the work and prolongs the lease until it is done.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let (mut work, mut next) = (std::pin::pin!(work), Box::pin(self.prolong_later()));
        loop {
            match future::select(work.as_mut(), next.as_mut()).await {
                Either::Left((done, _)) => return done,
                Either::Right(((), _)) => next = Box::pin(self.prolong_later()),
            }
        }
    }

    async fn prolong_later(&self) {
        tokio::time::sleep(PROLONGED).await;
        match self.prolong().await {
            Ok(None) => {}
            // the next request looks whether it still lasts
            Ok(Some(plan)) => tracing::warn!("somebody else took {plan} over"),
            Err(error) => tracing::warn!("the lease of {} is not prolonged: {error}", self.names()),
        }
    }

    /// Makes sure that it still lasts.
    pub(crate) fn check(&self) -> Result<(), MeterError> {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if self.clock.now() < until { Ok(()) } else { Err(MeterError::LeaseLost { plans: self.names() }) }
    }

    fn names(&self) -> String {
        self.plans.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Answers which plan somebody else has, if any.
    async fn prolong(&self) -> Result<Option<Plan>, MeterError> {
        let now = self.clock.now();
        let set = |until| *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
        for plan in &self.plans {
            if self.ledger.lease(plan, &self.owner, now, now + LASTS).await? == Written::Refused {
                set(DateTime::<Utc>::MIN_UTC);
                return Ok(Some((*plan).clone()));
            }
        }
        set(now + LASTS);
        Ok(None)
    }

    /// Gives it back. If that fails, it ends by itself.
    pub(crate) async fn release(self) {
        for plan in &self.plans {
            if let Err(error) = self.ledger.release(plan, &self.owner).await {
                tracing::warn!("the lease of {plan} is not given back and ends by itself: {error}");
            }
        }
    }
}
