//! A run: plans what is open, sends it, records every step before it is taken, and closes what is settled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use billing::metering::{
    Answer, Blocked, GivenUp, Line, Marketplace, NotGivenUp, Plan, Submission, SubmissionState, Verdict,
    give_up, may_close, read_reply,
};
use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use cloud::bucket::{Bucket, Written};
use cloud::http::Transient as _;
use cloud::ledger::{Ledger, Stored};
use cloud::peer::PeerError;
use futures::stream::{self, StreamExt};

use crate::books::{Books, GivenUsage, Month, PlanBooks, PlansMonth, submissions};
use crate::clazar::{Clazar, Submitted};
use crate::connection::Connection;
use crate::error::{ClazarError, MeterError, PlanError};
use crate::event::{GiveUp, Selection};
use crate::lease::{Clock, Lease};
use crate::marketplace::MarketplacePlans;
use crate::report::{GivenUpSubmission, MonthReport, MonthStanding, PlanReport};
use crate::request::{MeteringRequest, asked};
use crate::{Came, NAME};

/// Records written at once.
const WRITES_AT_ONCE: usize = 16;

/// How a run goes about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) allow_empty_months: bool,
    pub(crate) late_usage_months: usize,
    /// Contracts sent at once.
    pub(crate) concurrency: usize,
    /// Records in one request at most.
    pub(crate) batch: usize,
    /// After that long, no further request is begun.
    pub(crate) time_limit: Duration,
}

/// A run on the plans of a marketplace, by whoever holds their lease.
pub(crate) struct Work<'a> {
    pub(crate) books: &'a Books,
    pub(crate) bucket: &'a Bucket,
    pub(crate) ledger: &'a Ledger,
    pub(crate) connection: &'a Connection,
    pub(crate) known: &'a MarketplacePlans,
    /// The plan that is asked for; nothing for all of them.
    pub(crate) plan: Option<&'a Plan>,
    pub(crate) only: &'a Selection,
    /// A contract to give up, instead of sending anything.
    pub(crate) give_up: Option<&'a GiveUp>,
    /// Closed months whose usage has just come.
    pub(crate) came: &'a Came,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) lease: &'a Lease<'a>,
}

/// What is told of each plan, in their order.
pub(crate) type Reports = BTreeMap<Plan, PlanReport>;

/// Reports that say nothing yet.
pub(crate) fn begun(known: &MarketplacePlans) -> Reports {
    let report = |plan: &Plan| (plan.clone(), PlanReport::new(plan, known.cloud));
    known.plans.iter().map(|plan| report(&plan.plan)).collect()
}

/// Those of the plan that is asked for, or of all.
pub(crate) fn of_asked(reports: Reports, asked: Option<&Plan>) -> Vec<PlanReport> {
    reports.into_values().filter(|report| asked.is_none_or(|asked| *asked == report.plan)).collect()
}

/// Nothing can be given up of a month that is not worked on.
pub(crate) fn check_worked_on(asked: Option<&GiveUp>, books: &[PlanBooks<'_>]) -> Result<(), NotGivenUp> {
    match asked {
        Some(asked) if !books.iter().any(|of_plan| of_plan.is_worked_on(asked.month)) => {
            Err(asked.nothing_refused())
        }
        _ => Ok(()),
    }
}

impl Work<'_> {
    /// All months of the plans, oldest first. What fails is in the report; the others go on.
    ///
    /// # Errors
    /// If what is asked for cannot be given up: then nothing is.
    pub(crate) async fn run(&self) -> Result<Vec<PlanReport>, NotGivenUp> {
        let mut reports = begun(self.known);
        if let Err(failed) = self.months(&mut reports).await {
            fail(&mut reports, failed)?;
        }
        for plan in self.known.plans.iter().map(|plan| &plan.plan) {
            if let Err(error) = self.export_state(plan).await
                && let Some(report) = reports.get_mut(plan)
            {
                report.fail(&error);
            }
        }
        Ok(of_asked(reports, self.plan))
    }

    async fn months(&self, reports: &mut Reports) -> Result<(), PlanError> {
        let now = self.clock.now();
        let mut books = Vec::new();
        for plan in &self.known.plans {
            let came = self.came.get(&plan.plan).cloned().unwrap_or_default();
            let late_months = self.settings.late_usage_months;
            let of_plan = self.books.plan(plan, self.known.is_one(), late_months, &came).await;
            let of_plan = of_plan.map_err(|error| PlanError::of(&plan.plan, error))?;
            if let Some(report) = reports.get_mut(&plan.plan) {
                report.waiting_for = of_plan.months.missing;
                if let Some(last_processed) = of_plan.last_processed {
                    report.note_uncounted(&of_plan.counted, last_processed, now);
                }
            }
            books.push(of_plan);
        }
        // the months before must be settled for one to close
        let mut unsettled = BTreeSet::new();
        let worked_on: BTreeSet<BillingMonth> = books.iter().flat_map(PlanBooks::worked_on).collect();
        for month in worked_on {
            match self.month(month, &books, &mut unsettled, reports).await {
                // nothing that is open hangs on a closed month
                Err(PlanError { plan: Some(plan), error })
                    if !books.iter().any(|of_plan| of_plan.is_open(month)) =>
                {
                    reports.get_mut(&plan).into_iter().for_each(|report| report.fail(&error));
                }
                ended => ended?,
            }
        }
        Ok(check_worked_on(self.give_up, &books).map_err(MeterError::from)?)
    }

    /// One month of all plans; `unsettled` are those that have an open month before.
    async fn month(
        &self,
        month: BillingMonth,
        books: &[PlanBooks<'_>],
        unsettled: &mut BTreeSet<Plan>,
        reports: &mut Reports,
    ) -> Result<(), PlanError> {
        let now = self.clock.now();
        let mut shared = self.books.month(month, books, self.known, &GivenUsage::new(), now).await?;
        self.plan_month(&mut shared).await?;
        let given_up = match self.give_up.filter(|asked| asked.month == month) {
            Some(asked) => self.give_up_contract(asked, &mut shared).await?,
            None => BTreeMap::new(),
        };
        let requests = if self.give_up.is_none() && shared.waits_for.is_empty() {
            self.send_month(&mut shared, reports).await
        } else {
            BTreeMap::new()
        };
        self.mirror(&mut shared).await?;
        let plans: Vec<Plan> = shared.counted.keys().cloned().collect();
        for plan in plans {
            let told = self.end_month(&plan, &mut shared, unsettled).await;
            let told = told.map_err(|error| PlanError::of(&plan, error))?;
            if let Some((mut told, report)) = told.zip(reports.get_mut(&plan)) {
                told.requests_sent = requests.get(&plan).copied().unwrap_or_default();
                told.given_up = given_up.get(&plan).cloned().unwrap_or_default();
                report.months.push(told);
            }
        }
        Ok(())
    }

    /// Closes the month of one plan if it may, and certifies it. Of a closed one something is told only if there is something to say.
    async fn end_month(
        &self,
        plan: &Plan,
        shared: &mut PlansMonth,
        unsettled: &mut BTreeSet<Plan>,
    ) -> Result<Option<MonthReport>, MeterError> {
        let of = shared.month;
        let waits_for = shared.waits_for.clone();
        let Some(month) = shared.counted.get_mut(plan) else { return Ok(None) };
        if month.closed {
            let mut told = self.report(plan, of, month, MonthStanding::Closed);
            told.certificate = self.publish_certificate(plan, shared).await?;
            let came = self.came.get(plan).is_some_and(|months| months.contains(&of));
            return Ok(Some(told).filter(|told| came || !told.late_usage.is_empty()));
        }
        let standing = submissions(&month.standing);
        let mut blocked = may_close(&month.usage.snapshot, &standing, self.settings.allow_empty_months);
        if blocked.is_ok() && !unsettled.contains(plan) && waits_for.is_empty() {
            self.lease.check()?;
            let reason = format!("all of the usage {} is settled", month.usage.revision);
            let closed = self.ledger.close_month(plan, of, &reason, NAME, self.clock.now()).await?;
            month.closed = closed == Written::Now;
        }
        let standing = if month.closed { MonthStanding::Closed } else { MonthStanding::Open };
        let mut told = self.report(plan, of, month, standing);
        if !month.closed {
            unsettled.insert(plan.clone());
        }
        told.certificate = self.publish_certificate(plan, shared).await?;
        told.held += usize::from(blocked == Err(Blocked::NoUsage));
        if !waits_for.is_empty() {
            // whose usage is missing says so itself; until then nothing is to be sent
            told.unfinished = 0;
            blocked = Ok(());
            told.waits_for = waits_for;
        }
        told.blocked = blocked.err().map(|blocked| blocked.to_string());
        Ok(Some(told))
    }

    /// Whether the event is about a plan; the others are looked at because contracts may be shared with them.
    fn is_about(&self, plan: &Plan) -> bool {
        match self.plan {
            Some(asked) => asked == plan,
            None => self.came.is_empty() || self.came.contains_key(plan),
        }
    }

    fn report(&self, plan: &Plan, of: BillingMonth, month: &Month, standing: MonthStanding) -> MonthReport {
        let standing_submissions = submissions(&month.standing);
        let mut told =
            MonthReport::of(of, standing, &standing_submissions, self.known.cloud, self.clock.now());
        // of what the event did not ask for it says how it stands, and does not fail for it; a submission of several plans counts once
        let counts = |submission: &&Submission| {
            let with = submission.sharing.sent_with();
            self.only.covers(of, &submission.line)
                && self.is_about(plan)
                && with.is_none_or(|other| !self.is_about(other))
        };
        let asked = |states: &[SubmissionState]| {
            let asked = standing_submissions.values().filter(counts);
            asked.filter(|submission| states.contains(&submission.state)).count()
        };
        told.held = asked(&[SubmissionState::Rejected, SubmissionState::Held]);
        told.unfinished = asked(&[SubmissionState::Planned, SubmissionState::Sent, SubmissionState::Unknown]);
        told.unattributed_records = month.usage.snapshot.unattributed_records();
        told.no_usage = month.usage.snapshot.is_empty();
        told
    }

    /// Records what the plans must submit, where that is not what stands.
    async fn plan_month(&self, shared: &mut PlansMonth) -> Result<(), PlanError> {
        let planned = shared.planned()?;
        let all = planned.into_iter().flat_map(|(plan, submissions)| {
            submissions.into_values().map(move |submission| (plan.clone(), submission))
        });
        let planned = all.collect();
        self.record_changed(shared, planned).await
    }

    /// What is sent with the submission of another plan stands as that one does by now.
    async fn mirror(&self, shared: &mut PlansMonth) -> Result<(), PlanError> {
        let mut mirroring = Vec::new();
        for (plan, month) in &shared.counted {
            for submission in month.standing.values().map(|stored| &stored.submission) {
                let sent_with = submission.sharing.sent_with();
                if let Some(record) = sent_with.and_then(|other| shared.standing(other, &submission.line)) {
                    mirroring.push((plan.clone(), submission.clone().mirroring(record)));
                }
            }
        }
        self.record_changed(shared, mirroring).await
    }

    async fn record_changed(
        &self,
        shared: &mut PlansMonth,
        wanted: Vec<(Plan, Submission)>,
    ) -> Result<(), PlanError> {
        let of = shared.month;
        let stands = |plan: &Plan, line: &Line| shared.counted.get(plan)?.standing.get(line);
        let changed: Vec<(Plan, Submission, u64)> = wanted
            .into_iter()
            .map(|(plan, submission)| {
                let stored = stands(&plan, &submission.line);
                let same = stored.is_some_and(|stored| stored.submission == submission);
                let seen = stored.map_or(0, |stored| stored.version);
                (same, plan, submission, seen)
            })
            .filter(|(same, ..)| !same)
            .map(|(_, plan, submission, seen)| (plan, submission, seen))
            .collect();
        let writes = changed.into_iter().map(async |(plan, submission, seen)| {
            match self.record(&plan, of, submission, seen).await {
                Ok(stored) => Ok((plan, stored)),
                Err(error) => Err(PlanError::of(&plan, error)),
            }
        });
        let mut writes = stream::iter(writes).buffer_unordered(WRITES_AT_ONCE);
        let mut written = Vec::new();
        while let Some(stored) = writes.next().await {
            written.push(stored?);
        }
        drop(writes);
        shared.note(written);
        Ok(())
    }

    async fn record(
        &self,
        plan: &Plan,
        month: BillingMonth,
        submission: Submission,
        seen: u64,
    ) -> Result<Stored, MeterError> {
        match self.ledger.put_submission(plan, month, &submission, seen).await? {
            Written::Now => Ok(Stored { submission, version: seen + 1 }),
            Written::Refused => Err(MeterError::Changed { line: submission.line }),
        }
    }

    /// Gives up what is refused of a contract's month; answers what it was, by plan.
    async fn give_up_contract(
        &self,
        asked: &GiveUp,
        shared: &mut PlansMonth,
    ) -> Result<BTreeMap<Plan, Vec<GivenUpSubmission>>, PlanError> {
        let standing: Vec<_> = shared
            .counted
            .iter()
            .flat_map(|(plan, month)| month.standing.values().map(move |stored| (plan, &stored.submission)))
            .collect();
        let given = given_up(asked, self.plan, &standing, self.clock.now())?;
        self.record_changed(shared, given.clone()).await?;
        Ok(GivenUpSubmission::by_plan(&given))
    }

    /// Sends what is to be sent, a contract at a time and several contracts at once; answers how many requests were made for each plan. A
    /// contract that fails does not stop the others.
    async fn send_month(&self, shared: &mut PlansMonth, reports: &mut Reports) -> BTreeMap<Plan, usize> {
        let of = shared.month;
        let mut contracts: BTreeMap<_, Vec<Stored>> = BTreeMap::new();
        for (plan, month) in shared.counted.iter().filter(|(_, month)| !month.closed) {
            for stored in month.standing.values() {
                let submission = &stored.submission;
                if self.only.takes(of, submission) && is_asked(self.plan, plan, submission) {
                    let contract = (plan.clone(), submission.line.contract.clone());
                    contracts.entry(contract).or_default().push(stored.clone());
                }
            }
        }
        let mut requests = BTreeMap::new();
        if contracts.is_empty() {
            return requests;
        }
        let clazar = match self.connection.open().await {
            Ok(clazar) => clazar,
            Err(error) => {
                for (plan, _) in contracts.keys() {
                    reports.get_mut(plan).into_iter().for_each(|report| report.fail(&error));
                }
                return requests;
            }
        };
        let sends: Vec<_> = contracts
            .into_iter()
            .map(async |((plan, _), lines)| {
                let sent = self.send_contract(clazar, &plan, of, lines).await;
                (plan, sent)
            })
            .collect();
        let mut sends = stream::iter(sends).buffer_unordered(self.settings.concurrency);
        while let Some((plan, sent)) = sends.next().await {
            *requests.entry(plan.clone()).or_default() += sent.requests;
            shared.note(sent.stored.into_iter().map(|stored| (plan.clone(), stored)));
            if let Some((error, report)) = sent.error.zip(reports.get_mut(&plan)) {
                report.fail(&error);
            }
        }
        requests
    }

    async fn send_contract(
        &self,
        clazar: &Clazar,
        plan: &Plan,
        month: BillingMonth,
        lines: Vec<Stored>,
    ) -> Sent {
        let mut sent = Sent::default();
        for lines in lines.chunks(self.settings.batch) {
            if let Err(error) = self.send_batch(clazar, plan, month, lines, &mut sent).await {
                sent.error = Some(error);
                break;
            }
        }
        sent
    }

    /// One request: recorded as sent, made, and its end recorded.
    async fn send_batch(
        &self,
        clazar: &Clazar,
        plan: &Plan,
        month: BillingMonth,
        before: &[Stored],
        sent: &mut Sent,
    ) -> Result<(), MeterError> {
        if self.clock.elapsed() > self.settings.time_limit {
            return Err(MeterError::OutOfTime);
        }
        self.lease.check()?;
        let mut sending: Vec<(Submission, Stored)> = Vec::new();
        for stored in before {
            let marked = stored.submission.sending(self.clock.now());
            let marked = self.record(plan, month, marked, stored.version).await?;
            sent.stored.push(marked.clone());
            sending.push((stored.submission.clone(), marked));
        }
        let lines = sending.iter().map(|(_, marked)| (&marked.submission.line, marked.submission.quantity));
        sent.requests += 1;
        let end = clazar.submit(&MeteringRequest::of(self.known.cloud, month, lines)).await;
        let (ends, error) = ends(month, &sending, end);
        for (submission, (_, marked)) in ends.into_iter().zip(&sending) {
            sent.stored.push(self.record(plan, month, submission, marked.version).await?);
        }
        error.map_or(Ok(()), |error| Err(ClazarError::from(error).into()))
    }
}

/// What could not be done with one plan stops the others of its marketplace too.
pub(crate) fn fail(reports: &mut Reports, failed: PlanError) -> Result<(), NotGivenUp> {
    let PlanError { plan: of, error } = failed;
    if let MeterError::NotGivenUp(error) = error {
        return Err(error);
    }
    for (plan, report) in reports {
        match &of {
            Some(other) if other != plan => report.fail(&MeterError::Beside { plan: other.clone() }),
            _ => report.fail(&error),
        }
    }
    Ok(())
}

/// Whether a submission is one of the plan that is asked for, or is sent for it.
pub(crate) fn is_asked(asked: Option<&Plan>, plan: &Plan, submission: &Submission) -> bool {
    asked.is_none_or(|asked| asked == plan || submission.sharing.given_by(asked).is_some())
}

/// What is given up of a contract's month, by plan.
pub(crate) fn given_up(
    asked: &GiveUp,
    plan: Option<&Plan>,
    standing: &[(&Plan, &Submission)],
    now: DateTime<Utc>,
) -> Result<Vec<(Plan, Submission)>, NotGivenUp> {
    let by = GivenUp { reason: asked.reason.clone(), by: asked.by.clone(), at: now };
    let standing = || standing.iter().filter(|(of, submission)| is_asked(plan, of, submission));
    let given = give_up(asked.month, &asked.contract, standing().map(|(_, submission)| *submission), &by)?;
    let plan_of = |given: &Submission| {
        let mut of_line = standing().filter(|(_, own)| own.line == given.line && own.is_to_send());
        of_line.next().map(|(plan, _)| (*plan).clone())
    };
    Ok(given.into_iter().filter_map(|given| Some((plan_of(&given)?, given))).collect())
}

/// What became of one contract: its submissions as they stand now, the newest of each last.
#[derive(Default)]
struct Sent {
    stored: Vec<Stored>,
    requests: usize,
    error: Option<MeterError>,
}

/// The requests for submissions of one month: one contract in each, so many records at most.
pub(crate) fn requests<'s>(
    cloud: Marketplace,
    month: BillingMonth,
    submissions: impl Iterator<Item = &'s Submission>,
    batch: usize,
) -> impl Iterator<Item = MeteringRequest> {
    let mut contracts: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for submission in submissions {
        contracts.entry(&submission.line.contract).or_default().push((&submission.line, submission.quantity));
    }
    contracts.into_values().flat_map(move |lines| {
        lines
            .chunks(batch)
            .map(|lines| MeteringRequest::of(cloud, month, lines.iter().copied()))
            .collect::<Vec<_>>()
    })
}

/// What the end of a request makes of each submission in it, and the error if the request did not come to an answer.
fn ends(
    month: BillingMonth,
    sending: &[(Submission, Stored)],
    end: Submitted,
) -> (Vec<Submission>, Option<PeerError>) {
    let each = |of: &dyn Fn(&Submission, &Submission) -> Submission| {
        sending.iter().map(|(before, marked)| of(before, &marked.submission)).collect()
    };
    match end {
        Submitted::Answered { status, body, ambiguous } => {
            let lines = sending.iter().map(|(_, marked)| &marked.submission);
            let asked: Vec<_> = lines.map(|marked| asked(month, &marked.line, marked.quantity)).collect();
            let answer = match read_reply(status, &body, &asked) {
                Ok(answer) => answer,
                Err(unreadable) if (200..300).contains(&status) => {
                    return (each(&|_, marked| marked.unknown(&unreadable.to_string()).answered()), None);
                }
                Err(unreadable) => {
                    let verdicts = vec![refused(status, &unreadable.to_string()); asked.len()];
                    Answer { verdicts, ..Answer::default() }
                }
            };
            let settle = |((before, marked), verdict): (&(Submission, Stored), &Verdict)| {
                // an attempt before the one that was answered may have been accepted
                let before = Submission { fixed: before.fixed || ambiguous, ..before.clone() };
                marked.submission.settled(&before, verdict).read_from(&answer, verdict)
            };
            (sending.iter().zip(&answer.verdicts).map(settle).collect(), None)
        }
        Submitted::Unknown(error) => {
            (each(&|_, marked| ended(marked.unknown(&error.to_string()), &error)), Some(error))
        }
        Submitted::NotSent(error) => {
            (each(&|before, marked| ended(marked.not_sent(before, &error.to_string()), &error)), Some(error))
        }
    }
}

/// A request that ended with an error: what does not pass is not tried again by the same run.
fn ended(submission: Submission, error: &PeerError) -> Submission {
    if error.is_transient() { submission } else { submission.answered() }
}

/// The whole request was refused, and no record of it was looked at.
fn refused(status: u16, why: &str) -> Verdict {
    let reply = billing::metering::Reply {
        code: Some(format!("HTTP {status}")),
        message: Some(why.to_owned()),
        ..Default::default()
    };
    Verdict::Refused { reply, certain: true }
}
