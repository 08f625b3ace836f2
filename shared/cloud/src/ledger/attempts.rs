//! Attempts to sign in: `SIGNIN#{who}` / `{window}`, with those that have failed or have not ended yet (`attempts`), and of them those that
//! have failed (`failures`). They expire after a day.

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};
use serde::Deserialize;

use super::{EXPIRES_AT, Ledger, LedgerError, text};

/// Attempts are counted in windows of this length.
const WINDOW_S: i64 = 15 * 60;

/// Whether an attempt may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It is counted already, so that no other takes its place meanwhile.
    Counted,
    /// There are as many as may be.
    Full {
        /// So many of them have failed; what others come to is not known yet.
        failures: u64,
        /// When the window ends.
        left_s: i64,
    },
}

/// What is counted in a window.
#[derive(Default, Deserialize)]
struct Counted {
    #[serde(default)]
    failures: u64,
}

impl Ledger {
    /// Counts an attempt before it is made, if there are fewer than `most` in the window of this moment.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn begin_attempt(
        &self,
        who: &str,
        most: u64,
        now: DateTime<Utc>,
    ) -> Result<Attempt, LedgerError> {
        let (pk, sk, left_s) = window(who, now);
        let expires_at = (now + Duration::days(1)).timestamp().to_string();
        let request = self
            .update(&pk, &sk)
            .update_expression("ADD #attempts :one SET #expires = :expires")
            .condition_expression("attribute_not_exists(#attempts) OR #attempts < :most")
            .expression_attribute_names("#attempts", "attempts")
            .expression_attribute_names("#expires", EXPIRES_AT)
            .expression_attribute_values(":one", AttributeValue::N("1".into()))
            .expression_attribute_values(":most", AttributeValue::N(most.to_string()))
            .expression_attribute_values(":expires", AttributeValue::N(expires_at));
        match request.send().await {
            Ok(_) => return Ok(Attempt::Counted),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_conditional_check_failed_exception()) => {}
            Err(error) => return Err(self.failed("write", &pk, &error)),
        }
        let counted = self.get(&pk, &sk).await?.map(|record| record.read()).transpose()?;
        let Counted { failures } = counted.unwrap_or_default();
        Ok(Attempt::Full { failures, left_s })
    }

    /// Ends an attempt that was counted at this moment: a failure stays counted, anything else is taken back.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn end_attempt(
        &self,
        who: &str,
        has_failed: bool,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        let (pk, sk, _) = window(who, now);
        let (field, change) = if has_failed { ("failures", "1") } else { ("attempts", "-1") };
        let request = self
            .update(&pk, &sk)
            .update_expression("ADD #field :change")
            .expression_attribute_names("#field", field)
            .expression_attribute_values(":change", AttributeValue::N(change.into()));
        request.send().await.map(|_| ()).map_err(|error| self.failed("write", &pk, &error))
    }

    fn update(&self, pk: &str, sk: &str) -> UpdateItemFluentBuilder {
        self.client.update_item().table_name(&self.table).key("pk", text(pk)).key("sk", text(sk))
    }
}

fn window(who: &str, now: DateTime<Utc>) -> (String, String, i64) {
    let start = now.timestamp().div_euclid(WINDOW_S) * WINDOW_S;
    (format!("SIGNIN#{who}"), start.to_string(), start + WINDOW_S - now.timestamp())
}
