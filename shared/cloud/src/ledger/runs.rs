//! Invocations: `RUN#{YYYY-MM-DD}` / `{time}#{function}#{id}`. For people; nothing depends on them, and they
//! expire after 400 days.

use std::fmt;

use chrono::{DateTime, Duration, NaiveDate, SecondsFormat, Utc};

use super::{Condition, EXPIRES_AT, Ledger, LedgerError, Record};

/// How an invocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl fmt::Display for RunOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Held => "held",
            Self::Partial => "partial",
            Self::Failed => "failed",
        })
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
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
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
        let time = run.started_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let [total, success, failed] = run.counts;
        let fields = [
            ("outcome", run.outcome.to_string()),
            ("total", total.to_string()),
            ("success", success.to_string()),
            ("failed", failed.to_string()),
            ("duration_ms", run.duration_ms.to_string()),
            ("message", run.message.chars().take(2000).collect()),
            (EXPIRES_AT, (run.started_at + Duration::days(400)).timestamp().to_string()),
        ];
        let record = Record {
            pk: format!("RUN#{}", run.started_at.format("%Y-%m-%d")),
            sk: format!("{time}#{}#{}", run.function, run.id),
            fields: fields.map(|(name, value)| (name.to_owned(), value)).into(),
        };
        self.put(&record, Condition::Always).await.map(|_| ())
    }

    /// The invocations of one day (UTC), in the order of their start.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn runs(&self, day: NaiveDate) -> Result<Vec<RunShown>, LedgerError> {
        let records = self.query(&format!("RUN#{}", day.format("%Y-%m-%d")), "").await?;
        let shown = |record: Record| {
            let mut parts = record.sk.splitn(3, '#').map(str::to_owned);
            let text = |field: &str| record.fields.get(field).cloned().unwrap_or_default();
            RunShown {
                started_at: parts.next().unwrap_or_default(),
                function: parts.next().unwrap_or_default(),
                outcome: text("outcome"),
                total: text("total"),
                success: text("success"),
                failed: text("failed"),
                duration_ms: text("duration_ms"),
                message: text("message"),
            }
        };
        Ok(records.into_iter().map(shown).collect())
    }
}
