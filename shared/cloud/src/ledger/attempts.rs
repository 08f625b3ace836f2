//! Failed attempts to sign in: `SIGNIN#{who}` / `{window}`. They expire after a day.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};

use super::{EXPIRES_AT, Ledger, LedgerError, LedgerReader, text};

/// Attempts are counted in windows of this length.
const WINDOW_S: i64 = 15 * 60;

impl LedgerReader {
    /// How often somebody failed in the window of this moment, and the seconds until it ends.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn failed_attempts(&self, who: &str, now: DateTime<Utc>) -> Result<(u64, i64), LedgerError> {
        let (pk, sk, left_s) = window(who, now);
        let record = self.get(&pk, &sk).await?;
        let failures = record.map(|record| record.field("failures")).transpose()?;
        Ok((failures.unwrap_or(0), left_s))
    }
}

impl Ledger {
    /// Counts a failure.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn count_failed_attempt(&self, who: &str, now: DateTime<Utc>) -> Result<(), LedgerError> {
        let (pk, sk, _) = window(who, now);
        let expires_at = (now + Duration::days(1)).timestamp().to_string();
        let request =
            self.client.update_item().table_name(&self.table).key("pk", text(&pk)).key("sk", text(&sk));
        let request = request
            .update_expression("ADD #failures :one SET #expires = :expires")
            .expression_attribute_names("#failures", "failures")
            .expression_attribute_names("#expires", EXPIRES_AT)
            .expression_attribute_values(":one", AttributeValue::N("1".into()))
            .expression_attribute_values(":expires", AttributeValue::N(expires_at));
        request.send().await.map(|_| ()).map_err(|error| self.failed("write", &pk, &error))
    }
}

fn window(who: &str, now: DateTime<Utc>) -> (String, String, i64) {
    let start = now.timestamp().div_euclid(WINDOW_S) * WINDOW_S;
    (format!("SIGNIN#{who}"), start.to_string(), start + WINDOW_S - now.timestamp())
}
