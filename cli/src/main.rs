//! `monthend`: the month end from a terminal, on the embedded cloud or on AWS.

mod args;
mod commands;
mod dotenv;
mod output;
mod session;
mod values;

use std::fmt;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Admin, Args, Command, Report};
use crate::output::Output;
use crate::session::{Session, Use};

/// How a command ended, other than by an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ended {
    /// Everything is done.
    #[default]
    Done,
    /// Some of it is.
    Partial,
    /// A document is held.
    Held,
    /// Nothing is; said already.
    Failed,
    /// Nothing is, and nothing was tried: the arguments name what there is not; said already.
    Usage,
}

/// An argument that names what there is not, or what cannot be meant.
#[derive(Debug)]
pub(crate) struct WrongArgument(pub(crate) String);

impl fmt::Display for WrongArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongArgument {}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Done => Self::SUCCESS,
            Ended::Failed => Self::from(1),
            Ended::Usage => Self::from(2),
            Ended::Held => Self::from(3),
            Ended::Partial => Self::from(4),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if args.verbose || matches!(args.command, Command::Up(_)) {
        cloud::telemetry::init_text(tracing::Level::INFO);
    }
    let output = Output::new(args.format, args.no_color);
    let ended = Box::pin(run(&args, &output)).await.unwrap_or_else(|error| {
        output.note(&format!("error: {error:#}"));
        if error.is::<WrongArgument>() { Ended::Usage } else { Ended::Failed }
    });
    if let Err(error) = output.finish() {
        output.note(&format!("error: failed to write to standard output: {error}"));
        return ExitCode::FAILURE;
    }
    ended.into()
}

async fn run(args: &Args, output: &Output) -> anyhow::Result<Ended> {
    match &args.command {
        Command::Demo(demo) => Box::pin(commands::demo::demo(demo, output)).await,
        Command::Up(up) => commands::up::up(up, output).await,
        Command::Env => commands::env::env(output),
        Command::Run(run) => {
            commands::run::run(
                run,
                &Session::open(args, Use::Fetch { sandbox: run.sandbox }, true, output).await?,
                output,
            )
            .await
        }
        Command::Invoke(invoke) => {
            let session =
                Session::open(args, Use::Fetch { sandbox: invoke.sandbox }, !invoke.no_follow, output)
                    .await?;
            commands::invoke::invoke(invoke, &session, output).await
        }
        Command::Ls(ls) => commands::objects::ls(ls, &Session::look(args, output).await?, output).await,
        Command::Cat(cat) => commands::objects::cat(cat, &Session::look(args, output).await?, output).await,
        Command::Get(get) => commands::objects::get(get, &Session::look(args, output).await?, output).await,
        Command::Put(put) => {
            commands::objects::put(
                put,
                &Session::open(args, Use::Bring, !put.no_follow, output).await?,
                output,
            )
            .await
        }
        Command::Import(import) => {
            let session = Session::open(args, Use::Bring, !import.dry_run, output).await?;
            Box::pin(commands::import::import(import, &session, output)).await
        }
        Command::Withdraw(withdraw) => {
            let session = Session::open(args, Use::Bring, !withdraw.dry_run, output).await?;
            Box::pin(commands::withdraw::withdraw(withdraw, &session, output)).await
        }
        Command::Status(status) => {
            commands::status::status(status, &Session::look(args, output).await?, output).await
        }
        Command::Catalog(catalog) => Box::pin(commands::catalog::catalog(catalog, args, output)).await,
        Command::Bill(bill) => {
            Box::pin(commands::bill::bill(
                bill,
                &Session::open(args, Use::Bring, true, output).await?,
                output,
            ))
            .await
        }
        Command::Explain(explain) => {
            let session = Session::look(args, output).await?;
            Box::pin(commands::explain::explain(explain, &session, output)).await
        }
        Command::Diff(diff) => {
            Box::pin(commands::diff::diff(diff, &Session::look(args, output).await?, output)).await
        }
        Command::Metering(metering) => Box::pin(commands::metering::metering(metering, args, output)).await,
        Command::Report(Report::Usage(usage)) => {
            commands::report_usage::report(usage, &Session::look(args, output).await?, output).await
        }
        Command::Report(Report::Revenue(revenue)) => {
            Box::pin(commands::report_revenue::report_revenue(revenue, args, output)).await
        }
        Command::Admin(Admin::SetPassword) => {
            commands::admin::set_password(&Session::look(args, output).await?, output).await
        }
        Command::DeadLetters(letters) => {
            commands::dead_letters::dead_letters(letters, &Session::look(args, output).await?, output)
        }
        Command::Reset(reset) => commands::reset::reset(reset, output),
    }
}
