//! One invocation of a function, the same on Lambda and on a laptop: the event in, the report out, a record of
//! the run in the ledger, one line in the log.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;

use chrono::{DateTime, Utc};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::events::Payload;
use crate::ledger::{Ledger, RunOutcome, RunRecord};
use crate::telemetry;
use crate::vars::Vars;

/// A function of the house: what it needs, built once, and what it does with one event.
pub trait Function: Sized + Send + Sync {
    /// Its name, which is its folder's.
    const NAME: &'static str;
    /// What it answers.
    type Report: Report + Debug + Send + Sync + 'static;
    /// Why there is no answer.
    type Error: Display + Send;

    /// Reads the configuration and builds the clients.
    fn connect(vars: &Vars) -> impl Future<Output = Result<Self, Self::Error>> + Send;

    /// Handles one event at a time that counts as now.
    fn handle(
        &self,
        event: &Value,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Self::Report, Self::Error>> + Send;

    /// Where runs are recorded.
    fn ledger(&self) -> &Ledger;

    /// Whether this event asks for nothing to be written, however it ends.
    fn is_dry_run(&self, event: &Value) -> bool {
        asks_for_dry_run(event)
    }
}

/// Whether an event says `"dry_run": true`.
#[must_use]
pub fn asks_for_dry_run(event: &Value) -> bool {
    event.get("dry_run") == Some(&Value::Bool(true))
}

/// What a function answers: said whole to the caller, who reads it back as it was written, counted for the record.
pub trait Report: Serialize + DeserializeOwned {
    /// How many documents it was about and what became of them.
    fn tally(&self) -> Tally;
    /// In one line, naming what failed and why.
    fn message(&self) -> String;
    /// Whether nothing was to be written.
    fn dry_run(&self) -> bool;
}

/// Documents of one invocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Done, or done before.
    pub success: usize,
    /// Held with a reason.
    pub held: usize,
    /// Not done; trying again may help.
    pub failed: usize,
}

impl Tally {
    fn outcome(self) -> RunOutcome {
        match (self.success, self.held, self.failed) {
            (_, 0, 0) => RunOutcome::Done,
            (_, _, 0) => RunOutcome::Held,
            (0, 0, _) => RunOutcome::Failed,
            _ => RunOutcome::Partial,
        }
    }
}

/// An invocation that did not do everything: it fails, so that Lambda tries again and then dead-letters the event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure<R = Value> {
    /// How it ended; never [`RunOutcome::Done`].
    pub outcome: RunOutcome,
    /// One line for a person.
    pub message: String,
    /// The report, if it came to one.
    pub report: Option<R>,
}

impl Failure {
    /// Nothing could be done at all.
    #[must_use]
    pub fn whole(message: impl Into<String>) -> Self {
        Self { outcome: RunOutcome::Failed, message: message.into(), report: None }
    }
}

/// Handles one event and records the run. `id` names the invocation in the record.
///
/// # Errors
/// [`Failure`] if anything failed or is held; the report is in it.
pub async fn invoke<F: Function>(
    app: &F,
    event: &Value,
    id: &str,
    now: DateTime<Utc>,
) -> Result<Value, Failure> {
    let started = std::time::Instant::now();
    // boxed, because the futures of the SDK are nested so deeply that the compiler gives up on their layout
    let handling: Pin<Box<dyn Future<Output = _> + Send + '_>> = Box::pin(app.handle(event, now));
    let handled = handling.await;
    let duration_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
    let (answer, tally, message, dry_run) = match handled {
        Ok(report) => {
            let (tally, message, dry_run) = (report.tally(), report.message(), report.dry_run());
            let answer = serde_json::to_value(report).map_err(|error| Failure::whole(error.to_string()));
            debug_assert!(
                answer.as_ref().is_ok_and(reads_back::<F::Report>),
                "{} reads another report than it wrote",
                F::NAME
            );
            (answer, tally, message, dry_run)
        }
        Err(error) => {
            let message = error.to_string();
            let tally = Tally { failed: 1, ..Tally::default() };
            (Err(Failure::whole(message.clone())), tally, message, app.is_dry_run(event))
        }
    };
    let outcome = if answer.is_err() { RunOutcome::Failed } else { tally.outcome() };
    if !dry_run {
        let Tally { success, held, failed } = tally;
        let run = RunRecord {
            started_at: now,
            function: F::NAME.to_owned(),
            id: id.to_owned(),
            outcome,
            counts: [success + held + failed, success, held + failed],
            duration_ms,
            message: message.clone(),
        };
        if let Err(error) = app.ledger().record_run(&run).await {
            tracing::warn!("the run is not recorded: {error}");
        }
    }
    if outcome == RunOutcome::Done {
        tracing::info!(function = F::NAME, request.id = id, duration_ms, "{message}");
        return answer;
    }
    let (held, failed) = (tally.held, tally.failed);
    tracing::error!(function = F::NAME, request.id = id, duration_ms, %outcome, held, failed, "{message}");
    Err(Failure { outcome, message, report: answer.ok() })
}

fn reads_back<R: Report>(answer: &Value) -> bool {
    let read = serde_json::from_value(answer.clone()).and_then(|report: R| serde_json::to_value(report));
    read.is_ok_and(|read| read == *answer)
}

/// The `main` of a Lambda function. It connects at the start, where the CPU is free; if that fails (a missing
/// variable, a secret that cannot be read just now), the next invocation tries again and says why.
///
/// # Errors
/// When the Lambda runtime API is gone.
pub async fn serve<F: Function>() -> Result<(), lambda_runtime::Error> {
    let vars = Vars::from_process();
    telemetry::init(&vars);
    let app = OnceCell::new();
    let connect = || async { F::connect(&vars).await.map_err(|error| Failure::whole(error.to_string())) };
    if let Err(failure) = app.get_or_try_init(connect).await {
        tracing::error!(function = F::NAME, "cannot start: {failure}");
    }
    let (app, connect) = (&app, &connect);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Payload>| {
        let id = &event.context.request_id;
        let event = event.payload.0.map_err(|error| {
            let message = format!("the event is not understood: {error}");
            tracing::error!(function = F::NAME, request.id = id, "{message}");
            Failure::whole(message)
        })?;
        let app = app.get_or_try_init(connect).await?;
        invoke(app, &event, id, Utc::now()).await
    }))
    .await
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        let report = failure.report.map(|report| format!(" {report}")).unwrap_or_default();
        Self {
            error_type: failure.outcome.to_string(),
            error_message: format!("{}{report}", failure.message),
        }
    }
}
