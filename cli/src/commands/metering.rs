//! `monthend metering ...`

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;

use anyhow::Context;
use billing::metering::{EarlierPlan, EarlierState, LeftOut, Plan, UsageSnapshot};
use billing::month::BillingMonth;
use chrono::Utc;
use cloud::plans::PlansConfig;
use fetch_omnistrate::CountedMonth;
use local::HomeKind;
use meter_clazar::{MeterReport, MonthReport};
use serde_json::{Map, Value, json};

use crate::args::{
    Args, Decision, ExportState, GiveUp, ImportState, LeaveOut, Metering, MeteringRun, Reopen,
};
use crate::commands::invoices::report_dead_letters;
use crate::commands::invoke::report_of;
use crate::commands::metering_status::{PlanStatus, status, waits};
use crate::output::{Format, Listing, Output, text};
use crate::session::{Session, Use};
use crate::{Ended, WrongArgument};

pub(crate) async fn metering(metering: &Metering, args: &Args, output: &Output) -> anyhow::Result<Ended> {
    match metering {
        Metering::Status(asked) => status(asked, &Session::look(args, output).await?, output).await,
        Metering::DryRun(asked) => {
            dry_run(
                asked,
                &Session::open(args, Use::Fetch { sandbox: asked.sandbox }, false, output).await?,
                output,
            )
            .await
        }
        Metering::Run(asked) => {
            run(
                asked,
                &Session::open(args, Use::Fetch { sandbox: asked.sandbox }, true, output).await?,
                output,
            )
            .await
        }
        Metering::ImportState(asked) => {
            import(asked, &Session::open(args, Use::Bring, false, output).await?, output).await
        }
        Metering::ExportState(asked) => export(asked, &Session::look(args, output).await?, output).await,
        Metering::Reopen(asked) => {
            reopen(asked, &Session::open(args, Use::Bring, false, output).await?, output).await
        }
        Metering::GiveUp(asked) => {
            give_up(asked, &Session::open(args, Use::Bring, false, output).await?, output).await
        }
        Metering::LeaveOut(asked) => {
            leave_out(asked, &Session::open(args, Use::Bring, false, output).await?, output).await
        }
    }
}

/// The plans that are configured, or the one asked for.
pub(crate) async fn plans(
    session: &Session,
    asked: Option<&Plan>,
) -> anyhow::Result<Vec<cloud::plans::PlanToMeter>> {
    let (config, bucket) = (PlansConfig::from_vars(&session.vars)?, session.bucket.reader());
    match asked {
        Some(plan) => Ok(vec![config.plan(plan.clone(), bucket).await?]),
        None => Ok(config.plans(bucket).await?),
    }
}

/// An event with the members that are given.
fn event<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<_, _>>())
}

/// Counts without keeping, and says what would be sent of it.
async fn dry_run(asked: &MeteringRun, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let (plan, dry) = (asked.plan.as_ref().map(|plan| json!(plan)), Some(json!(true)));
    // all months that are due: what a later one is carried hangs on those before
    let counting = event([("plan", plan.clone()), ("dry_run", dry.clone())]);
    let (counted, counted_ended) = report_of::<fetch_omnistrate::App>(session, output, &counting).await;
    let counted = counted.into_iter().flat_map(|counted| counted.months);
    let usage: Vec<UsageSnapshot> = counted.filter_map(|month| month.snapshot).collect();
    let preview = event([
        ("plan", plan),
        ("dry_run", dry),
        ("usage", Some(json!(usage))),
        ("month", asked.month.map(|month| json!(month))),
        ("contract", asked.contract.as_ref().map(|contract| json!(contract))),
    ]);
    let (report, ended) = report_of::<meter_clazar::App>(session, output, &preview).await;
    let months: Vec<_> = report.iter().flat_map(MeterReport::months).collect();
    show_requests(&months, output)?;
    for (plan, month) in &months {
        for missing in &month.waits_for {
            output.note(&waits(month.month, plan, missing));
        }
    }
    if months.iter().all(|(_, month)| month.requests.is_empty()) {
        output.note("nothing would be sent");
    }
    Ok(ended.max(counted_ended))
}

fn show_requests(months: &[(&Plan, &MonthReport)], output: &Output) -> anyhow::Result<()> {
    let requests = || months.iter().flat_map(|(_, month)| &month.requests);
    if output.format == Format::Json {
        output.json(&requests().collect::<Vec<_>>());
        return Ok(());
    }
    let mut listing = Listing::new(&["month", "cloud", "contract", "dimension", "start", "end", "quantity>"]);
    for (_, month) in months {
        for record in month.requests.iter().flat_map(|request| &request.request) {
            listing.row(vec![
                month.month.to_string(),
                record.cloud.to_string(),
                record.contract_id.clone(),
                record.dimension.clone(),
                record.start_time.clone(),
                record.end_time.clone(),
                record.quantity.clone(),
            ]);
        }
    }
    output.listing(&listing)?;
    if output.format == Format::Table {
        for request in requests() {
            output.line(&format!("POST /metering/ {}", text(request)));
        }
        output.note("dry run: nothing was written, nothing was sent");
    }
    Ok(())
}

async fn run(asked: &MeteringRun, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let began = Utc::now();
    let plan = asked.plan.as_ref().map(|plan| json!(plan));
    output.note("fetch-omnistrate: counting");
    let counting = event([("plan", plan.clone())]);
    let (counted, mut result) = report_of::<fetch_omnistrate::App>(session, output, &counting).await;
    // new usage starts metering by itself, of everything; a selection is for what stays open
    if asked.month.is_none() && asked.contract.is_none() {
        session.follow(output, "metering").await?;
    }
    output.note("meter-clazar: sending");
    let selected = event([
        ("plan", plan),
        ("month", asked.month.map(|month| json!(month))),
        ("contract", asked.contract.as_ref().map(|contract| json!(contract))),
        // what new usage has sent a moment ago, and was answered, is not sent again
        ("began", Some(json!(began))),
    ]);
    let (metered, ended) = report_of::<meter_clazar::App>(session, output, &selected).await;
    result = result.max(ended);
    session.follow(output, "metering").await?;
    result = result.max(report_dead_letters(session, output)?);
    if output.format == Format::Json {
        output.json(&json!({"fetch-omnistrate": counted, "meter-clazar": metered}));
    } else {
        if output.format == Format::Table {
            output.listing(&counted_listing(counted.iter().flat_map(|counted| &counted.months)))?;
        }
        let shown = crate::args::MeteringStatus { month: asked.month, plan: asked.plan.clone() };
        result = result.max(status(&shown, session, output).await?);
    }
    if asked.month.is_some() || asked.contract.is_some() {
        let (plan, contract) = (asked.plan.as_ref(), asked.contract.as_deref());
        nothing_of(plan, asked.month, contract, "nothing was sent", session).await?;
    }
    Ok(result)
}

/// Says so if what was asked for is nothing that there is.
async fn nothing_of(
    plan: Option<&Plan>,
    month: Option<BillingMonth>,
    contract: Option<&str>,
    happened: &str,
    session: &Session,
) -> anyhow::Result<()> {
    let mut statuses = Vec::new();
    for plan in plans(session, plan).await? {
        statuses.push(PlanStatus::read(session, plan, month).await?);
    }
    let of = month.map(|month| format!(" of {month}")).unwrap_or_default();
    if month.is_some() && statuses.iter().all(PlanStatus::is_empty) {
        anyhow::bail!(WrongArgument(format!(
            "{happened}: no usage{of} was counted; see monthend metering status"
        )));
    }
    let there: BTreeSet<String> =
        statuses.iter().flat_map(PlanStatus::contracts).map(ToString::to_string).collect();
    match contract {
        Some(contract) if !there.contains(contract) => {
            let there = there.into_iter().collect::<Vec<_>>().join(", ");
            anyhow::bail!(WrongArgument(format!(
                "{happened}: there is no contract '{contract}' in the usage{of}; there are: {there}"
            )))
        }
        _ => Ok(()),
    }
}

/// What fetching counted.
pub(crate) fn counted_listing<'m>(months: impl IntoIterator<Item = &'m CountedMonth>) -> Listing {
    let mut listing = Listing::new(&["plan", "month", "files>", "outcome", "usage"]);
    for month in months {
        listing.row(vec![
            month.plan.to_string(),
            month.month.to_string(),
            month.files.to_string(),
            text(&month.outcome),
            month.key.clone(),
        ]);
    }
    listing
}

async fn import(asked: &ImportState, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let name = asked.file.display();
    let bytes = if asked.file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("failed to read the state from standard input")?;
        bytes
    } else {
        std::fs::read(&asked.file).with_context(|| format!("failed to read {name}"))?
    };
    // read whole before anything is written
    let state = EarlierState::from_json(&bytes, asked.plan.as_ref())
        .with_context(|| format!("{name} is not taken over"))?;
    anyhow::ensure!(!state.0.is_empty(), "{name} names no plan; nothing is taken over");
    let mut listing = Listing::new(&["plan", "closed through", "months>", "contracts>"]);
    for (plan, entry) in &state.0 {
        let months = entry.processed_contracts.keys().chain(&entry.last_processed_month);
        let now = BillingMonth::containing(Utc::now());
        if let Some(future) = months.filter(|month| **month >= now).max() {
            anyhow::bail!(
                "{name}: {plan} says that {future} is processed, and that month is not over; nothing is taken over"
            );
        }
        nothing_is_left_behind(session, plan, entry).await?;
    }
    // only the ledger is written, in which nobody looks whose data a home holds
    if let Some(embedded) = session.embedded.as_ref().filter(|embedded| embedded.home.kind().is_none()) {
        embedded.home.claim(HomeKind::Own)?;
    }
    for (plan, entry) in &state.0 {
        session.ledger.import_metering(plan, entry, Utc::now()).await?;
        let contracts: usize = entry.processed_contracts.values().map(std::collections::BTreeSet::len).sum();
        for (month, failed) in &entry.failed_contracts {
            let failed: Vec<String> = failed.iter().map(ToString::to_string).collect();
            output.note(&format!(
                "{month} of {plan}: the earlier exporter gave up on {}; the next run sends them",
                failed.join(", ")
            ));
        }
        listing.row(vec![
            plan.to_string(),
            entry.last_complete_month().map(|month| month.to_string()).unwrap_or_default(),
            entry.processed_contracts.len().to_string(),
            contracts.to_string(),
        ]);
    }
    output.listing(&listing)?;
    Ok(Ended::Done)
}

/// The cursor moves to the last month of the state: what we have begun to send of the months until then must be settled, or be of a contract
/// that the state lists.
async fn nothing_is_left_behind(session: &Session, plan: &Plan, state: &EarlierPlan) -> anyhow::Result<()> {
    let Some(last) = state.last_complete_month() else { return Ok(()) };
    let Some(cursor) = session.ledger.cursor(plan).await? else { return Ok(()) };
    let mut month = cursor.last_processed_month.next();
    while month <= last {
        let listed = state.processed_contracts.get(&month);
        for (line, stored) in session.ledger.submissions(plan, month).await? {
            let reported = listed.is_some_and(|listed| listed.contains(&line.contract));
            anyhow::ensure!(
                reported || stored.submission.state.is_settled(),
                "{month} of {plan} has an open submission here, {line} ({}), and the state does not list that contract; \
                 settle it first (`monthend metering run`), nothing is taken over",
                stored.submission.state
            );
        }
        month = month.next();
    }
    Ok(())
}

async fn export(asked: &ExportState, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    if output.format == Format::Csv {
        anyhow::bail!(WrongArgument("the state is a JSON document: leave --format csv away".into()));
    }
    let mut state = EarlierState::default();
    for plan in plans(session, asked.plan.as_ref()).await? {
        let reported = session.ledger.reported_contracts(&plan.plan).await?;
        if reported.last_processed_month.is_some() || !reported.processed_contracts.is_empty() {
            state.0.insert(plan.plan, reported);
        }
    }
    output.line(String::from_utf8_lossy(&state.to_json()?).trim_end());
    Ok(Ended::Done)
}

/// Who runs this where no variable says so.
fn signed_in() -> String {
    let mut names = ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let name = names.find(|name| !name.is_empty());
    let id = || std::fs::metadata("/proc/self").map(|process| format!("user {}", process.uid()));
    name.or_else(|| id().ok()).unwrap_or_else(|| "somebody".into())
}

async fn reopen(asked: &Reopen, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let plans = plans(session, asked.plan.as_ref()).await?;
    let [plan] = plans.as_slice() else {
        let names: Vec<String> = plans.iter().map(|plan| plan.plan.to_string()).collect();
        anyhow::bail!("there are several plans, say which with --plan: {}", names.join(", "));
    };
    let reader = session.ledger.reader();
    let counted = reader.usage(&plan.plan).await?.into_iter().map(|usage| usage.month);
    let reported = reader.reported_contracts(&plan.plan).await?.processed_contracts.into_keys();
    anyhow::ensure!(
        counted.chain(reported).any(|month| month == asked.month),
        "nothing is known of {} of {}: it was neither counted nor taken over",
        asked.month,
        plan.plan
    );
    let by = asked.by.clone().unwrap_or_else(signed_in);
    let reopened =
        session.ledger.reopen_months(&plan.plan, asked.month, &asked.reason, &by, Utc::now()).await?;
    anyhow::ensure!(!reopened.is_empty(), "{} of {} is not closed", asked.month, plan.plan);
    for month in reopened {
        output.line(&format!("{month} of {} is open again", plan.plan));
    }
    output.note("the next run sends what was not sent; what was accepted is never sent again");
    Ok(Ended::Done)
}

/// The function decides what may be given up, and closes what is settled by it.
async fn give_up(asked: &GiveUp, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let Decision { reason, by } = &asked.decision;
    let by = by.clone().unwrap_or_else(signed_in);
    let give_up = json!({"contract": asked.contract, "month": asked.month, "reason": reason, "by": by});
    let wanted = event([
        ("give_up", Some(give_up)),
        ("plan", asked.plan.as_ref().map(|plan| json!(plan))),
        ("dry_run", asked.dry_run.then_some(json!(true))),
    ]);
    let (report, ended) = report_of::<meter_clazar::App>(session, output, &wanted).await;
    if ended != Ended::Done {
        let (plan, contract) = (asked.plan.as_ref(), Some(asked.contract.as_str()));
        nothing_of(plan, Some(asked.month), contract, "nothing is given up", session).await?;
    }
    if output.format == Format::Json {
        output.json(&report);
        return Ok(ended);
    }
    let mut listing = Listing::new(&["plan", "month", "contract", "dimension", "given up>"]);
    for (plan, month) in report.iter().flat_map(MeterReport::months) {
        for given in &month.given_up {
            let (contract, dimension) = (given.contract.clone(), given.dimension.clone());
            let (month, quantity) = (month.month.to_string(), given.quantity.to_string());
            listing.row(vec![plan.to_string(), month, contract, dimension, quantity]);
        }
    }
    output.listing(&listing)?;
    if asked.dry_run {
        output.note("dry run: nothing was given up");
    }
    Ok(ended)
}

async fn leave_out(asked: &LeaveOut, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let LeaveOut { plan, month, decision: Decision { reason, by } } = asked;
    let configured = plans(session, None).await?;
    if !configured.iter().any(|known| known.plan == *plan) {
        let names: Vec<String> = configured.iter().map(|known| known.plan.to_string()).collect();
        anyhow::bail!(WrongArgument(format!("there is no plan {plan}; there are: {}", names.join(", "))));
    }
    let usage = session.ledger.usage(plan).await?;
    let last = session.ledger.cursor(plan).await?.map(|cursor| cursor.last_processed_month);
    anyhow::ensure!(
        last.is_none_or(|last| *month > last) && !usage.iter().any(|usage| usage.month == *month),
        "{month} of {plan} is not left out: its usage is there"
    );
    let by = by.clone().unwrap_or_else(signed_in);
    let left_out = LeftOut { plan: plan.clone(), reason: reason.clone(), by };
    session.ledger.leave_out(*month, &left_out, Utc::now()).await?;
    output.line(&format!("{month} of {plan} is left out"));
    output.note("the next run sends the contracts of the other plans; what this plan has of them, when it comes, is late");
    Ok(Ended::Done)
}
