//! Logs: JSON on Lambda, text on a laptop; always to standard error, so that standard output stays data.
//!
//! `LOG_LEVEL` (or Lambda's `AWS_LAMBDA_LOG_LEVEL`) is `error`, `warn`, `info` (default), `debug` or `trace`; libraries
//! log warnings only, because their details may hold what must not be logged.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::vars::Vars;

/// Our own crates: everything else is a library.
const OURS: [&str; 16] = [
    "allocate",
    "billing",
    "cloud",
    "console",
    "fetch_atlas",
    "fetch_aws",
    "fetch_azure",
    "fetch_ccx",
    "fetch_gcp",
    "fetch_omnistrate",
    "fetch_prometheus",
    "local",
    "meter_clazar",
    "monthend",
    "record_usage",
    "report_revenue",
];
/// Libraries that say with a warning or an error what is no news: the runtime repeats every failed answer, the
/// embedded ledger every condition that does not hold.
const QUIET: [(&str, LevelFilter); 2] =
    [("lambda_runtime", LevelFilter::OFF), ("dynoxide", LevelFilter::ERROR)];

/// Starts logging for a function. Called once, in `main`; a second call changes nothing.
pub fn init(vars: &Vars) {
    let level =
        vars.get("LOG_LEVEL").or(vars.get("AWS_LAMBDA_LOG_LEVEL")).and_then(|level| level.parse().ok());
    let on_lambda = vars.get("AWS_LAMBDA_FUNCTION_NAME").is_some();
    start(level.unwrap_or(Level::INFO), on_lambda);
}

/// Starts logging as text, for programs.
pub fn init_text(level: Level) {
    start(level, false);
}

/// Starts logging everything as JSON into a file, for tests that look at the logs afterwards.
pub fn init_file(file: std::fs::File) {
    let registry = tracing_subscriber::registry().with(filter(Level::TRACE));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::sync::Arc::new(file)).json();
    drop(registry.with(layer).try_init()); // the only error is that logging has started already
}

fn filter(level: Level) -> Targets {
    let ours = OURS.map(|target| (target, LevelFilter::from_level(level)));
    Targets::new().with_default(LevelFilter::WARN).with_targets(ours).with_targets(QUIET)
}

fn start(level: Level, json: bool) {
    let registry = tracing_subscriber::registry().with(filter(level));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = if json {
        registry
            .with(layer.json().flatten_event(true).with_current_span(false).with_span_list(false))
            .try_init()
    } else {
        let colors = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        registry.with(layer.compact().with_target(false).with_ansi(colors)).try_init()
    };
    drop(started); // the only error is that logging has started already
}
