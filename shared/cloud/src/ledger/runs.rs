//! Invocations: `RUN#{YYYY-MM-DD}` / `{time}#{function}#{id}`. For people; nothing depends on them, and they
//! expire after 400 days.

use std::fmt;

use chrono::{DateTime, Duration, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::fields::millis;
use super::{Condition, EXPIRES_AT, Ledger, LedgerError, Record};

/// How an invocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunOutcome {
    /// Everything done.
    Done,
    /// Some documents are held.
    Held,
    /// Some succeeded, some failed.
    Partial,
    /// Nothing succeeded.
    Failed,
}

/// As it is written.
impl fmt::Display for RunOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Which function.
    pub function: String,
    /// The request id.
    pub id: String,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Documents it was about, done, and failed or held.
    pub counts: [usize; 3],
    /// How long it took.
    pub duration_ms: i64,
    /// What it answered, in short.
    pub message: String,
}

/// A run as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunShown {
    /// When it started, RFC 3339.
    pub started_at: String,
    /// Which function.
    pub function: String,
    /// How it ended.
    pub outcome: String,
    /// Documents: total, success, failed.
    pub total: String,
    /// Done.
    pub success: String,
    /// Failed or held.
    pub failed: String,
    /// How long it took.
    pub duration_ms: String,
    /// What it answered.
    pub message: String,
}

impl Ledger {
    /// Records an invocation.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn record_run(&self, run: &RunRecord) -> Result<(), LedgerError> {
        let time = millis::text(&run.started_at);
        let [total, success, failed] = run.counts;
        let fields = json!({
            "outcome": run.outcome, "total": total, "success": success, "failed": failed, "duration_ms": run.duration_ms,
            "message": run.message.chars().take(2000).collect::<String>(),
            EXPIRES_AT: (run.started_at + Duration::days(400)).timestamp(),
        });
        let pk = format!("RUN#{}", run.started_at.format("%Y-%m-%d"));
        let record = Record::of(pk, format!("{time}#{}#{}", run.function, run.id), &fields)?;
        self.put(&record, Condition::Always).await.map(|_| ())
    }

    /// The invocations of one day (UTC), in the order of their start.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn runs(&self, day: NaiveDate) -> Result<Vec<RunShown>, LedgerError> {
        let records = self.query(&format!("RUN#{}", day.format("%Y-%m-%d")), "").await?;
        let shown = |record: &Record| {
            let mut parts = record.sk.splitn(3, '#').map(str::to_owned);
            let mut part = || parts.next().unwrap_or_default();
            Ok(RunShown { started_at: part(), function: part(), ..record.read()? })
        };
        records.iter().map(shown).collect()
    }
}
