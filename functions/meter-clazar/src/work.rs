//! A run: plans what is open, sends it, records every step before it is taken, and closes what is settled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use billing::metering::{
    Answer, Blocked, Line, Marketplace, Plan, Submission, SubmissionState, Verdict, may_close, read_reply,
};
use billing::month::BillingMonth;
use cloud::bucket::{Bucket, Written};
use cloud::http::Transient as _;
use cloud::ledger::{Ledger, Stored, UsageRecord};
use futures::stream::{self, StreamExt};

use crate::NAME;
use crate::books::{Books, Month, months, submissions};
use crate::clazar::{Clazar, Submitted};
use crate::connection::Connection;
use crate::error::{ClazarError, MeterError};
use crate::event::Selection;
use crate::lease::{Clock, Lease};
use crate::report::{MonthReport, MonthStanding, PlanReport};
use crate::request::{MeteringRequest, asked};

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

/// A run on one plan, by whoever holds its lease.
pub(crate) struct Work<'a> {
    pub(crate) books: &'a Books,
    pub(crate) bucket: &'a Bucket,
    pub(crate) ledger: &'a Ledger,
    pub(crate) connection: &'a Connection,
    pub(crate) plan: &'a Plan,
    pub(crate) cloud: Marketplace,
    pub(crate) only: &'a Selection,
    /// Closed months whose usage has just come.
    pub(crate) came: &'a BTreeSet<BillingMonth>,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) lease: &'a Lease<'a>,
}

impl Work<'_> {
    /// All months of the plan, oldest first. What fails is in the report; the others go on.
    pub(crate) async fn run(&self) -> PlanReport {
        let mut report = PlanReport::new(self.plan, self.cloud);
        if let Err(error) = self.months(&mut report).await {
            report.fail(&error);
        }
        if let Err(error) = self.export_state().await {
            report.fail(&error);
        }
        report
    }

    async fn months(&self, report: &mut PlanReport) -> Result<(), MeterError> {
        let cursor = self.ledger.cursor(self.plan).await?;
        let usage = self.ledger.usage(self.plan).await?;
        let usage_months: BTreeSet<BillingMonth> = usage.iter().map(|usage| usage.month).collect();
        let months = months(usage, cursor, self.settings.late_usage_months, self.came);
        report.waiting_for = months.missing;
        if let Some(cursor) = cursor {
            report.note_uncounted(&usage_months, cursor.last_processed_month, self.clock.now());
        }
        for record in &months.closed {
            // nothing that is open hangs on a closed month
            if let Err(error) = self.closed_month(record, report).await {
                report.fail(&error);
            }
        }
        // the months before must be settled for one to close
        let mut in_order = true;
        for record in &months.open {
            in_order = self.open_month(record, in_order, report).await?;
        }
        Ok(())
    }

    /// Compares what a closed month sent with its newest usage. Reported only if there is something to say.
    async fn closed_month(&self, record: &UsageRecord, report: &mut PlanReport) -> Result<(), MeterError> {
        let mut month = self.books.month(self.plan, record, true).await?;
        self.plan_month(&mut month).await?;
        let certificate = self.publish_certificate(&month).await?;
        let mut told = self.report(&month, MonthStanding::Closed);
        told.certificate = Some(certificate);
        if !told.late_usage.is_empty() || self.came.contains(&month.month) {
            report.months.push(told);
        }
        Ok(())
    }

    /// Answers whether the next month may close too.
    async fn open_month(
        &self,
        record: &UsageRecord,
        in_order: bool,
        report: &mut PlanReport,
    ) -> Result<bool, MeterError> {
        let mut month = self.books.month(self.plan, record, false).await?;
        self.plan_month(&mut month).await?;
        let requests_sent = self.send_month(&mut month, report).await;
        let blocked =
            may_close(&month.usage.snapshot, &submissions(&month.standing), self.settings.allow_empty_months);
        let closes = in_order && blocked.is_ok();
        if closes {
            self.lease.check()?;
            let reason = format!("all of the usage {} is settled", month.usage.revision);
            let closed =
                self.ledger.close_month(self.plan, month.month, &reason, NAME, self.clock.now()).await?;
            month.closed = closed == Written::Now;
        }
        let certificate = self.publish_certificate(&month).await?;
        let standing = if month.closed { MonthStanding::Closed } else { MonthStanding::Open };
        let mut told = self.report(&month, standing);
        told.requests_sent = requests_sent;
        told.certificate = Some(certificate);
        told.held += usize::from(blocked == Err(Blocked::NoUsage));
        told.blocked = blocked.err().map(|blocked| blocked.to_string());
        report.months.push(told);
        Ok(month.closed)
    }

    fn report(&self, month: &Month, standing: MonthStanding) -> MonthReport {
        let standing_submissions = submissions(&month.standing);
        let mut told =
            MonthReport::of(month.month, standing, &standing_submissions, self.cloud, self.clock.now());
        // of what the event did not ask for it says how it stands, and does not fail for it
        let asked = |states: &[SubmissionState]| {
            let asked = standing_submissions.values().filter(|s| self.only.covers(month.month, &s.line));
            asked.filter(|submission| states.contains(&submission.state)).count()
        };
        told.held = asked(&[SubmissionState::Rejected, SubmissionState::Held]);
        told.unfinished = asked(&[SubmissionState::Planned, SubmissionState::Sent, SubmissionState::Unknown]);
        told.unattributed_records = month.usage.snapshot.unattributed_records();
        told.no_usage = month.usage.snapshot.is_empty();
        told
    }

    /// Records what the month must submit, where that is not what stands.
    async fn plan_month(&self, month: &mut Month) -> Result<(), MeterError> {
        let planned = month.planned()?;
        let version = |line: &Line| month.standing.get(line).map_or(0, |stored| stored.version);
        let changed: Vec<(Submission, u64)> = planned
            .values()
            .filter(|planned| month.standing.get(&planned.line).map(|s| &s.submission) != Some(*planned))
            .map(|planned| (planned.clone(), version(&planned.line)))
            .collect();
        let writes = changed.into_iter().map(|(submission, seen)| self.record(month.month, submission, seen));
        let mut writes = stream::iter(writes).buffer_unordered(WRITES_AT_ONCE);
        let mut written = Vec::new();
        while let Some(stored) = writes.next().await {
            written.push(stored?);
        }
        drop(writes);
        month.standing.extend(written.into_iter().map(|stored| (stored.submission.line.clone(), stored)));
        Ok(())
    }

    async fn record(
        &self,
        month: BillingMonth,
        submission: Submission,
        seen: u64,
    ) -> Result<Stored, MeterError> {
        match self.ledger.put_submission(self.plan, month, &submission, seen).await? {
            Written::Now => Ok(Stored { submission, version: seen + 1 }),
            Written::Refused => Err(MeterError::Changed { line: submission.line }),
        }
    }

    /// Sends what is to be sent, a contract at a time and several contracts at once; answers how many requests were made. A contract
    /// that fails does not stop the others.
    async fn send_month(&self, month: &mut Month, report: &mut PlanReport) -> usize {
        let mut contracts: BTreeMap<_, Vec<Stored>> = BTreeMap::new();
        for stored in
            month.standing.values().filter(|stored| self.only.takes(month.month, &stored.submission))
        {
            contracts.entry(&stored.submission.line.contract).or_default().push(stored.clone());
        }
        if contracts.is_empty() {
            return 0;
        }
        let clazar = match self.connection.open().await {
            Ok(clazar) => clazar,
            Err(error) => {
                report.fail(&error);
                return 0;
            }
        };
        let (batch, of) = (self.settings.batch, month.month);
        let sends: Vec<_> =
            contracts.into_values().map(|lines| self.send_contract(clazar, of, lines, batch)).collect();
        let mut sends = stream::iter(sends).buffer_unordered(self.settings.concurrency);
        let mut requests = 0;
        while let Some(sent) = sends.next().await {
            requests += sent.requests;
            month
                .standing
                .extend(sent.stored.into_iter().map(|stored| (stored.submission.line.clone(), stored)));
            if let Some(error) = sent.error {
                report.fail(&error);
            }
        }
        requests
    }

    async fn send_contract(
        &self,
        clazar: &Clazar,
        month: BillingMonth,
        lines: Vec<Stored>,
        batch: usize,
    ) -> Sent {
        let mut sent = Sent::default();
        for lines in lines.chunks(batch) {
            if let Err(error) = self.send_batch(clazar, month, lines, &mut sent).await {
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
            let marked = self.record(month, marked, stored.version).await?;
            sent.stored.push(marked.clone());
            sending.push((stored.submission.clone(), marked));
        }
        let lines = sending.iter().map(|(_, marked)| (&marked.submission.line, marked.submission.quantity));
        sent.requests += 1;
        let end = clazar.submit(&MeteringRequest::of(self.cloud, month, lines)).await;
        let (ends, error) = ends(month, &sending, end);
        for (submission, (_, marked)) in ends.into_iter().zip(&sending) {
            sent.stored.push(self.record(month, submission, marked.version).await?);
        }
        error.map_or(Ok(()), |error| Err(error.into()))
    }
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
) -> (Vec<Submission>, Option<ClazarError>) {
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
fn ended(submission: Submission, error: &ClazarError) -> Submission {
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
