//! Whether a month may close.

use std::collections::BTreeMap;
use std::fmt;

use super::UsageSnapshot;
use super::submission::{Line, Submission, SubmissionState};

/// Why a month stays open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// No usage at all, and nobody said that this is right.
    NoUsage,
    /// Submissions that are not settled: how many of each state.
    Open(BTreeMap<SubmissionState, usize>),
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUsage => f.write_str(
                "the export holds no usage of this month; if that is right, set ALLOW_EMPTY_MONTHS=true",
            ),
            Self::Open(states) => {
                let counts: Vec<String> =
                    states.iter().map(|(state, count)| format!("{count} {state}")).collect();
                f.write_str(&counts.join(", "))
            }
        }
    }
}

/// A month closes when everything of it is accepted, or was nothing to send. `submissions` are all of the month, as
/// [`plan_month`](super::plan_month) made them and their requests left them.
///
/// # Errors
/// [`Blocked`] says what keeps it open.
pub fn may_close<'s>(
    usage: &UsageSnapshot,
    submissions: impl IntoIterator<Item = (&'s Line, &'s Submission)>,
    allow_empty: bool,
) -> Result<(), Blocked> {
    if usage.is_empty() && !allow_empty {
        return Err(Blocked::NoUsage);
    }
    let mut open = BTreeMap::new();
    for (_, submission) in submissions.into_iter().filter(|(_, submission)| !submission.state.is_settled()) {
        *open.entry(submission.state).or_default() += 1;
    }
    if open.is_empty() { Ok(()) } else { Err(Blocked::Open(open)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ContractId, Dimension};
    use crate::metering::Source;
    use crate::money::Exact;
    use crate::revision::Revision;

    fn usage(records: u64) -> UsageSnapshot {
        UsageSnapshot {
            snapshot: 1,
            source: Source::Omnistrate,
            plan: "s:e:p".parse().unwrap(),
            period: "2025-06".parse().unwrap(),
            files: records,
            records,
            outside_period: 0,
            digest: String::new(),
            usage: Vec::new(),
            unattributed: Vec::new(),
        }
    }

    fn submission(number: usize, state: SubmissionState) -> (Line, Submission) {
        let line = Line {
            contract: ContractId::new(format!("c{number}")).unwrap(),
            dimension: Dimension::new("d").unwrap(),
        };
        let submission = Submission {
            line: line.clone(),
            state,
            usage: Exact::ZERO,
            carry_in: Exact::ZERO,
            quantity: Exact::ZERO,
            carry_out: Exact::ZERO,
            snapshot: Revision::of(b""),
            fixed: false,
            attempts: 0,
            sent_at: None,
            reply: None,
            sharing: crate::metering::Sharing::Alone,
        };
        (line, submission)
    }

    #[test]
    fn one_open_submission_of_any_kind_keeps_the_month_open() {
        for state in SubmissionState::ALL {
            let submissions =
                BTreeMap::from([submission(1, SubmissionState::Accepted), submission(2, state)]);
            let settled = [
                SubmissionState::Accepted,
                SubmissionState::NothingToSend,
                SubmissionState::Imported,
                SubmissionState::Late,
                SubmissionState::GivenUp,
            ];
            assert_eq!(
                may_close(&usage(1), &submissions, false).is_ok(),
                settled.contains(&state),
                "{state}"
            );
        }
    }

    #[test]
    fn the_reason_counts_what_is_open() {
        let states = [SubmissionState::Rejected, SubmissionState::Unknown, SubmissionState::Rejected];
        let submissions: BTreeMap<_, _> = (1..).zip(states).map(|(n, state)| submission(n, state)).collect();
        let blocked = may_close(&usage(1), &submissions, false).unwrap_err();
        assert_eq!(blocked.to_string(), "2 rejected, 1 unknown");
    }

    #[test]
    fn an_empty_month_closes_only_where_that_is_allowed() {
        let none = BTreeMap::new();
        assert_eq!(may_close(&usage(0), &none, false), Err(Blocked::NoUsage));
        assert_eq!(may_close(&usage(0), &none, true), Ok(()));
    }
}
