//! What `meter-clazar` answers.

use std::collections::{BTreeMap, BTreeSet};

use billing::metering::{Line, Marketplace, Plan, Submission, SubmissionState};
use billing::money::Exact;
use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use cloud::invocation::{Report, Tally};
use serde::{Deserialize, Serialize};

use crate::request::MeteringRequest;

/// What became of the plans of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterReport {
    /// Whether nothing was written or sent.
    pub dry_run: bool,
    /// One entry for each plan.
    pub plans: Vec<PlanReport>,
    /// Documents that are no usage snapshots, with the reason.
    pub held: Vec<String>,
}

/// What became of one plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReport {
    /// `service:environment:plan`.
    pub plan: Plan,
    /// Where it is sold.
    pub cloud: Marketplace,
    /// Its months, oldest first.
    pub months: Vec<MonthReport>,
    /// A month whose usage is missing, so that the later ones wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<BillingMonth>,
    /// Months that have ended and are not counted: the export is not complete, or cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncounted: Vec<UncountedMonth>,
    /// What could not be done, each in one line.
    pub errors: Vec<String>,
}

/// A month that has ended without its usage being counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UncountedMonth {
    /// The month.
    pub month: BillingMonth,
    /// Hours until the marketplace's bill closes; negative when it has.
    pub hours_left: i64,
}

/// How a month stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MonthStanding {
    /// Something of it is not settled.
    Open,
    /// Everything of it is settled.
    Closed,
    /// What would be sent, in a dry run.
    Preview,
}

/// One month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthReport {
    /// The month.
    pub month: BillingMonth,
    /// How it stands.
    pub standing: MonthStanding,
    /// Why it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
    /// Plans of the same marketplace whose usage of the month is missing: contracts may be shared with them, and nothing is sent until it is
    /// there, or a person leaves them out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<Plan>,
    /// Contracts with usage or a carried fraction.
    pub contracts: usize,
    /// Submissions by state.
    pub submissions: BTreeMap<SubmissionState, usize>,
    /// Requests made now.
    pub requests_sent: usize,
    /// Submissions that need a person or another run.
    pub problems: Vec<Problem>,
    /// What an answer said that fits no record, of contracts whose records are settled all the same.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unmatched: BTreeSet<String>,
    /// What was given up now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<GivenUpSubmission>,
    /// Usage that came too late to be sent.
    pub late_usage: Vec<LateUsage>,
    /// Submissions that the service held before we had sent any: somebody else reported them.
    pub reported_elsewhere: usize,
    /// Records without a contract or a dimension.
    pub unattributed_records: u64,
    /// Whether nothing was used.
    pub no_usage: bool,
    /// Hours until the marketplace's bill closes; negative when it has.
    pub hours_left: i64,
    /// The exact requests, in a dry run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<MeteringRequest>,
    /// Key of the month's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Submissions that the event asked for and that are refused, or not to be sent at all: a person has to look.
    #[serde(skip)]
    pub(crate) held: usize,
    /// Submissions that the event asked for and that are still to be sent, or have an unknown end.
    #[serde(skip)]
    pub(crate) unfinished: usize,
}

/// A submission that is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The contract.
    pub contract: String,
    /// The dimension.
    pub dimension: String,
    /// How far it has come.
    pub state: SubmissionState,
    /// What the service said, or how the request ended.
    pub why: String,
}

/// A submission that a person has given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUpSubmission {
    /// The contract.
    pub contract: String,
    /// The dimension.
    pub dimension: String,
    /// How much is not sent.
    pub quantity: Exact,
}

impl GivenUpSubmission {
    /// What is told of submissions, by plan.
    pub(crate) fn by_plan(given: &[(Plan, Submission)]) -> BTreeMap<Plan, Vec<Self>> {
        let mut by_plan: BTreeMap<Plan, Vec<Self>> = BTreeMap::new();
        for (plan, Submission { line, quantity, .. }) in given {
            let (contract, dimension) = (line.contract.to_string(), line.dimension.to_string());
            let told = Self { contract, dimension, quantity: *quantity };
            by_plan.entry(plan.clone()).or_default().push(told);
        }
        by_plan
    }
}

/// Usage that is not sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateUsage {
    /// The contract.
    pub contract: String,
    /// The dimension.
    pub dimension: String,
    /// How much; negative if less was used than was sent.
    pub quantity: Exact,
}

impl MonthReport {
    /// How these submissions stand.
    pub(crate) fn of(
        month: BillingMonth,
        standing: MonthStanding,
        submissions: &BTreeMap<Line, Submission>,
        cloud: Marketplace,
        now: DateTime<Utc>,
    ) -> Self {
        let mut report = Self {
            month,
            standing,
            blocked: None,
            waits_for: Vec::new(),
            contracts: 0,
            submissions: BTreeMap::new(),
            requests_sent: 0,
            problems: Vec::new(),
            unmatched: BTreeSet::new(),
            given_up: Vec::new(),
            late_usage: Vec::new(),
            reported_elsewhere: 0,
            unattributed_records: 0,
            no_usage: false,
            hours_left: (cloud.cut_off(month) - now).num_hours(),
            requests: Vec::new(),
            certificate: None,
            held: 0,
            unfinished: 0,
        };
        let mut contracts: Vec<&str> = submissions.keys().map(|line| line.contract.as_str()).collect();
        contracts.dedup();
        report.contracts = contracts.len();
        for submission in submissions.values() {
            report.add(submission);
        }
        report
    }

    fn add(&mut self, submission: &Submission) {
        let (contract, dimension) =
            (submission.line.contract.to_string(), submission.line.dimension.to_string());
        let (state, preview) = (submission.state, self.standing == MonthStanding::Preview);
        *self.submissions.entry(state).or_default() += 1;
        self.reported_elsewhere +=
            usize::from(submission.reply.as_ref().is_some_and(|reply| reply.already_there));
        let late = submission.late_usage().unwrap_or_default(); // its certificate says if that overflows
        if !late.is_zero() {
            self.late_usage.push(LateUsage {
                contract: contract.clone(),
                dimension: dimension.clone(),
                quantity: late,
            });
        }
        // of the others it stands among the problems
        let unmatched = submission.reply.iter().flat_map(|reply| &reply.unmatched);
        let unmatched = unmatched.filter(|_| state.is_settled());
        self.unmatched.extend(unmatched.map(|text| format!("{contract}: {text}")));
        let to_be_sent = preview && state == SubmissionState::Planned;
        if !(state.is_settled() || to_be_sent) {
            let said = submission.reply.as_ref().map(ToString::to_string);
            let with = Some(submission.sharing.to_string());
            let said = [said, with].into_iter().flatten().filter(|text| !text.is_empty());
            let why = said.collect::<Vec<_>>().join("; ");
            self.problems.push(Problem { contract, dimension, state, why });
        }
    }

    fn count(&self, states: &[SubmissionState]) -> usize {
        states.iter().filter_map(|state| self.submissions.get(state)).sum()
    }

    fn log(&self, plan: &Plan) {
        let count = |states: &[SubmissionState]| self.count(states);
        tracing::info!(
            plan = %plan,
            month = %self.month,
            contracts = self.contracts,
            accepted = count(&[SubmissionState::Accepted]),
            rejected = count(&[SubmissionState::Rejected]),
            unknown = count(&[SubmissionState::Unknown, SubmissionState::Sent]),
            planned = count(&[SubmissionState::Planned]),
            submissions_held = count(&[SubmissionState::Held]),
            late_usage = self.late_usage.len(),
            reported_elsewhere = self.reported_elsewhere,
            unattributed_records = self.unattributed_records,
            no_usage = u8::from(self.no_usage),
            open = u8::from(self.standing == MonthStanding::Open),
            hours_left = self.hours_left,
            "{} of {plan} is {}",
            self.month,
            if self.standing == MonthStanding::Closed { "closed" } else { "open" },
        );
    }
}

impl PlanReport {
    pub(crate) fn new(plan: &Plan, cloud: Marketplace) -> Self {
        let (plan, months, errors) = (plan.clone(), Vec::new(), Vec::new());
        Self { plan, cloud, months, waiting_for: None, uncounted: Vec::new(), errors }
    }

    /// Notes the months after the cursor that have ended and have no usage.
    pub(crate) fn note_uncounted(
        &mut self,
        counted: &BTreeSet<BillingMonth>,
        last_processed: BillingMonth,
        now: DateTime<Utc>,
    ) {
        let next = |month: &BillingMonth| Some(month.next()).filter(|next| next > month);
        let ended = std::iter::successors(next(&last_processed), next).take_while(|month| month.end() <= now);
        let uncounted = ended.filter(|month| !counted.contains(month));
        let hours_left = |month: BillingMonth| (self.cloud.cut_off(month) - now).num_hours();
        self.uncounted =
            uncounted.map(|month| UncountedMonth { month, hours_left: hours_left(month) }).collect();
    }

    /// Notes what could not be done; what several contracts have in common is said once.
    pub(crate) fn fail(&mut self, error: &dyn std::fmt::Display) {
        let error = error.to_string();
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    /// One line for each month, which metrics are made from.
    pub(crate) fn log(&self) {
        self.months.iter().for_each(|month| month.log(&self.plan));
        for UncountedMonth { month, hours_left } in &self.uncounted {
            tracing::warn!(plan = %self.plan, month = %month, open = 1, hours_left, "{month} of {} is not counted", self.plan);
        }
    }
}

impl MeterReport {
    pub(crate) fn new(dry_run: bool) -> Self {
        Self { dry_run, plans: Vec::new(), held: Vec::new() }
    }

    /// All months, with their plans.
    pub fn months(&self) -> impl Iterator<Item = (&Plan, &MonthReport)> {
        self.plans.iter().flat_map(|plan| plan.months.iter().map(|month| (&plan.plan, month)))
    }
}

impl Report for MeterReport {
    fn tally(&self) -> Tally {
        let sum = |of: fn(&MonthReport) -> usize| self.months().map(|(_, month)| of(month)).sum::<usize>();
        if self.dry_run {
            let failed = self.plans.iter().map(|plan| plan.errors.len()).sum();
            return Tally { success: sum(|month| month.requests.len()), held: 0, failed };
        }
        let settled = |month: &MonthReport| {
            SubmissionState::ALL
                .iter()
                .filter(|state| state.is_settled())
                .filter_map(|state| month.submissions.get(state))
                .sum()
        };
        // what an error kept from being sent is counted by its submissions; an error without any counts itself
        let errors = |plan: &PlanReport| {
            let unfinished: usize = plan.months.iter().map(|month| month.unfinished).sum();
            usize::from(!plan.errors.is_empty()).max(unfinished)
        };
        Tally {
            success: sum(settled),
            held: sum(|month| month.held) + self.held.len(),
            failed: self.plans.iter().map(errors).sum(),
        }
    }

    fn message(&self) -> String {
        let mut parts = Vec::new();
        for (plan, month) in self.months() {
            let states: Vec<String> =
                month.submissions.iter().map(|(state, count)| format!("{count} {state}")).collect();
            let standing = match month.standing {
                MonthStanding::Open => "open".to_owned(),
                MonthStanding::Closed => "closed".to_owned(),
                MonthStanding::Preview => format!("would take {} requests", month.requests.len()),
            };
            let states = if states.is_empty() { "no submissions".into() } else { states.join(", ") };
            parts.push(format!("{} of {plan} {standing}: {states}", month.month));
            if month.no_usage {
                parts.extend(month.blocked.clone());
            }
            parts.extend(month.waits_for.iter().map(|missing| {
                format!(
                    "it waits for the usage of {missing}, with which contracts may be shared; count that, or leave it out: \
                     monthend metering leave-out --plan {missing} --month {} --reason '...'",
                    month.month
                )
            }));
            let given_up = month.given_up.iter();
            parts
                .extend(given_up.map(|g| format!("{} {} given up: {}", g.contract, g.dimension, g.quantity)));
            let problems = month.problems.iter().take(5);
            parts.extend(problems.map(|p| format!("{} {} {}: {}", p.contract, p.dimension, p.state, p.why)));
            let unmatched = month.unmatched.iter().take(5);
            parts.extend(unmatched.map(|text| format!("what fits no record of {text}")));
            if !month.late_usage.is_empty() {
                parts.push(format!("{} with late usage", month.late_usage.len()));
            }
        }
        for plan in &self.plans {
            parts.extend(
                plan.waiting_for.map(|month| format!("{} waits for the usage of {month}", plan.plan)),
            );
            parts.extend(plan.errors.iter().map(|error| format!("{} failed: {error}", plan.plan)));
        }
        parts.extend(self.held.iter().cloned());
        if parts.is_empty() { "nothing to meter".into() } else { parts.join("; ") }
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }
}
