//! `monthend invoke`

use std::io::Read;

use anyhow::Context;
use chrono::Utc;
use cloud::events;
use cloud::invocation::{Failure, Function, asks_for_dry_run};
use cloud::ledger::RunOutcome;
use local::Template;
use serde_json::{Value, json};

use crate::Ended;
use crate::args;
use crate::commands::invoices::report_dead_letters;
use crate::output::Output;
use crate::session::Session;

pub(crate) async fn invoke(
    invoke: &args::Invoke,
    session: &Session,
    output: &Output,
) -> anyhow::Result<Ended> {
    let template = Template::built_in()?;
    let function = template.function(&invoke.function).with_context(|| {
        let known: Vec<&str> = template.functions().collect();
        format!("there is no function '{}'; there are {}", invoke.function, known.join(", "))
    })?;
    let mut event = read_event(invoke)?;
    if invoke.dry_run {
        let members = event.as_object_mut().context("--dry-run needs an event that is a JSON object")?;
        members.insert("dry_run".into(), Value::Bool(true));
    }
    let ended = answer(session, output, function, &event).await;
    if invoke.no_follow || invoke.dry_run {
        return Ok(ended);
    }
    session.follow(output, "following the notifications").await?;
    Ok(ended.max(report_dead_letters(session, output)?))
}

/// Invokes and prints the answer.
async fn answer(session: &Session, output: &Output, function: &str, event: &Value) -> Ended {
    match call(session, function, event).await {
        Ok(answer) => {
            output.json(&answer);
            Ended::Done
        }
        Err(failure) => {
            if let Some(report) = &failure.report {
                output.json(report);
            }
            output.note(&format!("error: {}", failure.message));
            ended(failure.outcome)
        }
    }
}

/// One invocation, named after the moment and this process.
async fn call(session: &Session, function: &str, event: &Value) -> Result<Value, Failure> {
    let now = Utc::now();
    let id = format!("cli-{}-{}", std::process::id(), now.timestamp_micros());
    let answer = session.functions.invoke(function, event, &id, now).await?;
    if let Some(embedded) = session.embedded.as_ref().filter(|_| !asks_for_dry_run(event)) {
        let settled = embedded.queue.settle(function, event, &answer).await;
        settled
            .map_err(|error| Failure::whole(format!("the dead letters cannot be looked through: {error}")))?;
    }
    Ok(answer)
}

/// Calls a function and reads its report, also that of a call that failed.
pub(crate) async fn read<F: Function>(
    session: &Session,
    event: &Value,
) -> Result<F::Report, Failure<F::Report>> {
    let report = |answer| {
        serde_json::from_value(answer).map_err(|error| Failure {
            outcome: RunOutcome::Failed,
            message: format!("the report of {} is not understood: {error}", F::NAME),
            report: None,
        })
    };
    match call(session, F::NAME, event).await {
        Ok(answer) => report(answer),
        Err(Failure { outcome, message, report: answer }) => {
            Err(Failure { outcome, message, report: answer.map(report).transpose()? })
        }
    }
}

/// The report, also that of an invocation that failed, and how it ended.
pub(crate) async fn report_of<F: Function>(
    session: &Session,
    output: &Output,
    event: &Value,
) -> (Option<F::Report>, Ended) {
    match read::<F>(session, event).await {
        Ok(report) => (Some(report), Ended::Done),
        Err(failure) => {
            output.note(&format!("error: {}: {}", F::NAME, failure.message));
            (failure.report, ended(failure.outcome))
        }
    }
}

pub(crate) fn ended(outcome: RunOutcome) -> Ended {
    match outcome {
        RunOutcome::Done => Ended::Done,
        RunOutcome::Held => Ended::Held,
        RunOutcome::Partial => Ended::Partial,
        RunOutcome::Failed => Ended::Failed,
    }
}

fn read_event(invoke: &args::Invoke) -> anyhow::Result<Value> {
    let Some(path) = &invoke.event else { return Ok(json!({})) };
    let name = path.display();
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("failed to read the event from standard input")?;
        text
    } else {
        std::fs::read_to_string(path).with_context(|| format!("failed to read the event {name}"))?
    };
    events::read(&text).with_context(|| format!("the event {name} is not understood"))
}
