//! `monthend metering status`: contracts x months, and what needs a person.

use std::collections::{BTreeMap, BTreeSet};

use billing::ids::ContractId;
use billing::keys::UsageKey;
use billing::metering::{LeftOut, MeteringCertificate, Plan, Source, Submission, SubmissionState};
use billing::money::Exact;
use billing::month::BillingMonth;
use chrono::Utc;
use cloud::ledger::{Cursor, MonthRecord, MonthState, Stored, UsageRecord};
use cloud::plans::{PlanToMeter, PlansConfig, PlansError};
use serde_json::{Value, json};

use crate::Ended;
use crate::args::MeteringStatus;
use crate::commands::metering::plans;
use crate::output::{Format, Listing, Output};
use crate::session::Session;
use billing::certificate::Certified;

/// Months in a grid that nobody asked for.
const MONTHS_SHOWN: usize = 6;

const SUBMISSION_COLUMNS: [&str; 12] = [
    "plan",
    "month",
    "contract",
    "dimension",
    "state",
    "usage>",
    "carry in>",
    "quantity>",
    "carry out>",
    "late>",
    "attempts>",
    "reply",
];

/// All that is known of one plan.
pub(crate) struct PlanStatus {
    plan: PlanToMeter,
    cursor: Option<Cursor>,
    usage: Vec<UsageRecord>,
    records: Vec<MonthRecord>,
    left_out: BTreeMap<BillingMonth, LeftOut>,
    /// Other plans of its marketplace whose usage is missing, so that nothing of the month is sent.
    waits_for: BTreeMap<BillingMonth, Vec<Plan>>,
    months: BTreeMap<BillingMonth, MonthStatus>,
}

struct MonthStatus {
    submissions: Vec<Stored>,
    imported: BTreeSet<ContractId>,
}

pub(crate) async fn status(
    asked: &MeteringStatus,
    session: &Session,
    output: &Output,
) -> anyhow::Result<Ended> {
    let statuses = read_all(session, plans(session, asked.plan.as_ref()).await?, asked.month).await?;
    match output.format {
        Format::Json => {
            let plans: Vec<Value> = statuses.iter().map(|plan| plan.to_json(&plan.remarks().0)).collect();
            output.json(&json!({"plans": plans}));
        }
        Format::Csv => {
            let mut all = Listing::new(&SUBMISSION_COLUMNS);
            statuses.iter().for_each(|plan| plan.submissions(&mut all));
            output.listing(&all)?;
        }
        Format::Table => {
            for plan in &statuses {
                plan.show(output)?;
            }
        }
    }
    Ok(if statuses.iter().any(|plan| plan.remarks().1) { Ended::Held } else { Ended::Done })
}

/// All plans; none where nothing is metered.
pub(crate) async fn of_all(
    session: &Session,
    month: Option<BillingMonth>,
) -> anyhow::Result<Vec<PlanStatus>> {
    let metered = match PlansConfig::from_vars(&session.vars)?.plans(session.bucket.reader()).await {
        Err(PlansError::None) => Vec::new(),
        plans => plans?,
    };
    read_all(session, metered, month).await
}

/// Plans of one marketplace wait for each other's usage.
async fn read_all(
    session: &Session,
    plans: Vec<PlanToMeter>,
    month: Option<BillingMonth>,
) -> anyhow::Result<Vec<PlanStatus>> {
    let mut statuses = Vec::new();
    for plan in plans {
        statuses.push(PlanStatus::read(session, plan, month).await?);
    }
    let missing = |status: &PlanStatus| {
        let months: Vec<BillingMonth> =
            status.uncounted().filter(|month| !status.left_out.contains_key(month)).collect();
        (status.plan.clone(), months)
    };
    let missing: Vec<(PlanToMeter, Vec<BillingMonth>)> = statuses.iter().map(missing).collect();
    for status in &mut statuses {
        let others = missing
            .iter()
            .filter(|(other, _)| other.cloud == status.plan.cloud && other.plan != status.plan.plan);
        for (other, months) in others {
            for month in months.iter().filter(|month| status.usage.iter().any(|usage| usage.month == **month))
            {
                status.waits_for.entry(*month).or_default().push(other.plan.clone());
            }
        }
    }
    Ok(statuses)
}

impl PlanStatus {
    pub(crate) async fn read(
        session: &Session,
        plan: PlanToMeter,
        only: Option<BillingMonth>,
    ) -> anyhow::Result<Self> {
        let ledger = session.ledger.reader();
        let cursor = ledger.cursor(&plan.plan).await?;
        let usage = ledger.usage(&plan.plan).await?;
        let records = ledger.metered_months(&plan.plan).await?;
        let left_out = ledger.left_out(&plan.plan).await?;
        // an imported plan has neither before its first run
        let imported = ledger.reported_contracts(&plan.plan).await?.processed_contracts.into_keys();
        let known: BTreeSet<BillingMonth> = usage
            .iter()
            .map(|usage| usage.month)
            .chain(records.iter().map(|record| record.month))
            .chain(imported)
            .collect();
        let known: Vec<BillingMonth> =
            known.into_iter().filter(|month| only.is_none_or(|only| only == *month)).collect();
        let mut months = BTreeMap::new();
        for month in &known[known.len().saturating_sub(MONTHS_SHOWN)..] {
            let submissions = ledger.submissions(&plan.plan, *month).await?.into_values().collect();
            let imported = ledger.imported(&plan.plan, *month).await?;
            months.insert(*month, MonthStatus { submissions, imported });
        }
        Ok(Self { plan, cursor, usage, records, left_out, waits_for: BTreeMap::new(), months })
    }

    /// The grid, and below it what needs a person.
    pub(crate) fn show(&self, output: &Output) -> anyhow::Result<()> {
        output.heading(&self.title());
        output.listing(&self.grid())?;
        self.remarks().0.iter().for_each(|remark| output.note(remark));
        Ok(())
    }

    pub(crate) fn title(&self) -> String {
        let cursor = self.cursor.map_or_else(
            || "never metered".to_owned(),
            |cursor| format!("closed through {}", cursor.last_processed_month),
        );
        format!("{} ({}): {cursor}", self.plan.plan, self.plan.cloud)
    }

    /// The certificates of the months by their newest usage, oldest first.
    pub(crate) async fn certificates(&self, session: &Session) -> anyhow::Result<Vec<MeteringCertificate>> {
        let mut certificates = Vec::new();
        for usage in self.usage.iter().filter(|usage| self.months.contains_key(&usage.month)) {
            let (plan, revision) = (self.plan.plan.clone(), usage.revision.clone());
            let key = UsageKey { source: Source::Omnistrate, plan, month: usage.month, revision };
            if let Some(object) = session.bucket.get(&key.certificate(), None).await? {
                certificates.push(MeteringCertificate::from_json(&object.bytes)?);
            }
        }
        Ok(certificates)
    }

    /// Months that have ended and are not counted.
    fn uncounted(&self) -> impl Iterator<Item = BillingMonth> {
        let next = |month: &BillingMonth| Some(month.next()).filter(|next| next > month);
        let after = self.cursor.and_then(|cursor| next(&cursor.last_processed_month));
        let ended = std::iter::successors(after, next).take_while(|month| month.end() <= Utc::now());
        ended.filter(|month| !self.usage.iter().any(|usage| usage.month == *month))
    }

    fn is_closed(&self, month: BillingMonth) -> bool {
        self.cursor.is_some_and(|cursor| month <= cursor.last_processed_month)
    }

    /// One row a contract, one column a month: the state that all its dimensions have, else how many have which.
    pub(crate) fn grid(&self) -> Listing {
        let mut titles = vec!["contract".to_owned()];
        for month in self.months.keys() {
            let standing = if self.is_closed(*month) { "closed" } else { "open" };
            titles.push(format!("{month} ({standing})"));
        }
        let mut listing = Listing::titled(titles);
        for contract in self.contracts() {
            let cells = self.months.values().map(|month| month.cell(contract));
            listing.row([contract.to_string()].into_iter().chain(cells).collect());
        }
        listing
    }

    /// Whether no month is known of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.months.is_empty()
    }

    pub(crate) fn contracts(&self) -> BTreeSet<&ContractId> {
        self.months
            .values()
            .flat_map(|month| {
                let submitted = month.submissions.iter().map(|stored| &stored.submission.line.contract);
                submitted.chain(&month.imported)
            })
            .collect()
    }

    /// What needs a person, and whether something is refused or held.
    pub(crate) fn remarks(&self) -> (Vec<String>, bool) {
        let (mut remarks, mut held) = (Vec::new(), false);
        let cloud = self.plan.cloud;
        for month in self.uncounted() {
            let cut_off = cloud.cut_off(month).format("%Y-%m-%d %H:%M UTC");
            remarks.push(format!(
                "{month} of {} has ended and is not counted: the export is not complete, or cannot be read; the cut-off of {cloud} is {cut_off}",
                self.plan.plan
            ));
        }
        for (month, LeftOut { plan, reason, by }) in &self.left_out {
            if !self.is_closed(*month) {
                remarks.push(format!("{month} of {plan} was left out by {by}: {reason}"));
            }
        }
        for (month, missing) in self.waits_for.iter().filter(|(month, _)| !self.is_closed(**month)) {
            remarks.extend(missing.iter().map(|missing| waits(*month, &self.plan.plan, missing)));
        }
        for (month, status) in &self.months {
            let standing = format!("{month} of {}", self.plan.plan);
            if let Some(record) = self.records.iter().find(|record| record.month == *month)
                && record.state == MonthState::Reopened
            {
                remarks.push(format!("{standing} was reopened by {}: {}", record.by, record.reason));
            }
            let usage = self.usage.iter().find(|usage| usage.month == *month);
            if !self.is_closed(*month) {
                let hours = (cloud.cut_off(*month) - Utc::now()).num_hours();
                let left =
                    if hours >= 0 { format!("{hours} hours are left until") } else { "it is past".into() };
                remarks.push(format!(
                    "{standing} is open; {left} the cut-off of {cloud} at {}",
                    cloud.cut_off(*month).format("%Y-%m-%d %H:%M UTC")
                ));
                if usage.is_some_and(|usage| usage.records == 0) {
                    held = true;
                    remarks.push(format!(
                        "{standing} has no usage; if that is right, set ALLOW_EMPTY_MONTHS=true"
                    ));
                }
            }
            if let Some(lost) = usage.map(|usage| usage.unattributed).filter(|lost| *lost > 0) {
                remarks.push(format!("{standing}: records without a contract or a dimension: {lost}; nobody is billed for them, the usage snapshot lists them"));
            }
            let by_place = status.accepted_by_place();
            if by_place > 0 {
                remarks.push(format!(
                    "{standing}: accepted by their place in a reply that names no record: {by_place}"
                ));
            }
            for stored in &status.submissions {
                let submission = &stored.submission;
                held |= matches!(submission.state, SubmissionState::Rejected | SubmissionState::Held);
                remarks.extend(remark_on(*month, submission));
                let late = submission.late_usage().unwrap_or_default();
                if late != Exact::ZERO {
                    remarks
                        .push(format!("{month} {}: {late} came too late and is not sent", submission.line));
                }
            }
        }
        (remarks, held)
    }

    /// One row a submission.
    fn submissions(&self, listing: &mut Listing) {
        for (month, status) in &self.months {
            for Stored { submission, .. } in &status.submissions {
                listing.row(vec![
                    self.plan.plan.to_string(),
                    month.to_string(),
                    submission.line.contract.to_string(),
                    submission.line.dimension.to_string(),
                    submission.state.to_string(),
                    submission.usage.to_string(),
                    submission.carry_in.to_string(),
                    submission.quantity.to_string(),
                    submission.carry_out.to_string(),
                    submission.late_usage().unwrap_or_default().to_string(),
                    submission.attempts.to_string(),
                    said(submission),
                ]);
            }
        }
    }

    pub(crate) fn to_json(&self, remarks: &[String]) -> Value {
        let month = |month: &BillingMonth| {
            let record = self.records.iter().find(|record| record.month == *month);
            let usage = self.usage.iter().find(|usage| usage.month == *month);
            json!({
                "month": month,
                "standing": if self.is_closed(*month) { "closed" } else { "open" },
                "record": record.map(|record| json!({"state": record.state.to_string(), "reason": record.reason, "by": record.by, "since": record.since})),
                "usage": usage.map(|usage| json!({"revision": usage.revision, "files": usage.files, "fetched_at": usage.fetched_at})),
                "cut_off": self.plan.cloud.cut_off(*month),
            })
        };
        let mut submissions = Listing::new(&SUBMISSION_COLUMNS);
        self.submissions(&mut submissions);
        json!({
            "plan": self.plan.plan,
            "cloud": self.plan.cloud,
            "last_processed_month": self.cursor.map(|cursor| cursor.last_processed_month),
            "months": self.months.keys().map(month).collect::<Vec<_>>(),
            "submissions": submissions.to_json(),
            "remarks": remarks,
        })
    }
}

/// What a month of a plan waits for, and what to do.
pub(crate) fn waits(month: BillingMonth, plan: &Plan, missing: &Plan) -> String {
    format!(
        "{month} of {plan} waits for the usage of {missing}, with which contracts may be shared: count that, or \
         `monthend metering leave-out --plan {missing} --month {month} --reason '...'`"
    )
}

/// What the service said, and what it has to do with other plans.
fn said(submission: &Submission) -> String {
    let texts = [submission.reply.as_ref().map(ToString::to_string), Some(submission.sharing.to_string())];
    let texts = texts.into_iter().flatten().filter(|text| !text.is_empty());
    texts.collect::<Vec<_>>().join("; ")
}

/// What a person is told of a submission, if anything.
fn remark_on(month: BillingMonth, submission: &Submission) -> Option<String> {
    let (line, state, reply) = (&submission.line, submission.state, submission.reply.as_ref());
    let why = said(submission);
    match reply {
        _ if state == SubmissionState::GivenUp => Some(format!("{month} {line} {state}: {why}")),
        _ if !state.is_settled() => Some(format!("{month} {line} {state}: {why}")),
        Some(reply) if reply.already_there => {
            Some(format!("{month} {line}: somebody else reported it before us: {why}"))
        }
        Some(reply) if !reply.unmatched.is_empty() => Some(format!("{month} {line} {state}: {why}")),
        _ => None,
    }
}

impl MonthStatus {
    fn accepted_by_place(&self) -> usize {
        let accepted = self.submissions.iter().map(|stored| &stored.submission);
        let accepted = accepted.filter(|submission| submission.state == SubmissionState::Accepted);
        accepted.filter(|submission| submission.reply.as_ref().is_some_and(|reply| reply.by_place)).count()
    }

    fn cell(&self, contract: &ContractId) -> String {
        let mut states: BTreeMap<SubmissionState, usize> = BTreeMap::new();
        for stored in self.submissions.iter().filter(|stored| stored.submission.line.contract == *contract) {
            *states.entry(stored.submission.state).or_default() += 1;
        }
        match (states.len(), states.first_key_value()) {
            (0, _) if self.imported.contains(contract) => SubmissionState::Imported.to_string(),
            (1, Some((state, _))) => state.to_string(),
            _ => {
                states.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
            }
        }
    }
}
