//! What others read: the month's certificate, and the state in the earlier exporter's schema. Both follow from the ledger, and are
//! written only over what stood there when it was read.

use billing::keys::{METERING_STATE, UsageKey};
use billing::metering::{EarlierState, MeteringCertificate, Plan};
use cloud::publication::publish;

use crate::books::{PlansMonth, submissions};
use crate::error::MeterError;
use crate::work::Work;
use billing::certificate::Certified;

const JSON: &str = "application/json";

impl Work<'_> {
    /// Writes the certificate of a plan's month by its newest usage; answers its key.
    pub(crate) async fn publish_certificate(
        &self,
        plan: &Plan,
        shared: &PlansMonth,
    ) -> Result<Option<String>, MeterError> {
        let Some(usage) = shared.counted.get(plan).map(|month| &month.usage) else { return Ok(None) };
        let month = shared.month;
        let others = shared.left_out.iter().filter(|out| out.plan != *plan);
        let left_out: &Vec<_> = &others.cloned().collect();
        let key = UsageKey {
            source: usage.snapshot.source,
            plan: plan.clone(),
            month,
            revision: usage.revision.clone(),
        };
        let key = key.certificate();
        publish(self.bucket, &key, JSON, |_| async move {
            let standing = submissions(&self.ledger.submissions(plan, month).await?);
            let cursor = self.ledger.cursor(plan).await?;
            let closed = cursor.is_some_and(|cursor| cursor.last_processed_month >= month);
            let certificate = MeteringCertificate::of(
                &usage.snapshot,
                &usage.revision,
                usage.input.clone(),
                &standing,
                closed,
                left_out.clone(),
            )?;
            Ok::<_, MeterError>(Some(certificate.to_json()?))
        })
        .await?;
        Ok(Some(key))
    }

    /// Writes `state/metering_state.json`. Other plans in it stay as they are.
    pub(crate) async fn export_state(&self, plan: &Plan) -> Result<(), MeterError> {
        publish(self.bucket, METERING_STATE, JSON, |standing| async move {
            let mut state = match standing {
                Some(standing) => EarlierState::from_json(&standing, None).unwrap_or_else(|error| {
                    // it is written for others to read; what we know stands in the ledger
                    tracing::warn!("{METERING_STATE} cannot be read and is written anew: {error}");
                    EarlierState::default()
                }),
                None => EarlierState::default(),
            };
            let reported = self.ledger.reported_contracts(plan).await?;
            if reported.last_processed_month.is_none() {
                return Ok(None);
            }
            state.0.insert(plan.clone(), reported);
            Ok(Some(state.to_json()?))
        })
        .await
    }
}
