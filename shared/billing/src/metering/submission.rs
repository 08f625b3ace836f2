//! One contract, one dimension, one month: what is submitted of it and how far that has come.

mod said;
mod sharing;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Plan;
use super::reply::{Answer, Verdict};
use crate::ids::{ContractId, Dimension};
use crate::money::{Exact, MoneyError};
use crate::revision::Revision;

pub use said::{GivenUp, Reply};
pub use sharing::Sharing;

/// What a submission is about, within its month.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line {
    /// The contract.
    pub contract: ContractId,
    /// The dimension.
    pub dimension: Dimension,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.contract, self.dimension)
    }
}

/// How far a submission has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubmissionState {
    /// To be sent.
    Planned,
    /// Written before its request; whoever finds it so later does not know how that ended.
    Sent,
    /// The service holds it.
    Accepted,
    /// The service said no; sent again by every run.
    Rejected,
    /// Nobody knows whether the service holds it; sent again as it was, which settles it.
    Unknown,
    /// Less than one unit: carried to the next month.
    NothingToSend,
    /// Not sent because it cannot be: the sum is negative.
    Held,
    /// The earlier exporter has reported this contract's month.
    Imported,
    /// Appeared after its month had closed, or after the contract's record of it was made; sent only if the month is reopened.
    Late,
    /// Refused for certain, and a person has decided that it is not sent any more.
    GivenUp,
}

impl SubmissionState {
    /// All states, in the order in which they are shown.
    pub const ALL: [Self; 10] = [
        Self::Planned,
        Self::Sent,
        Self::Accepted,
        Self::Rejected,
        Self::Unknown,
        Self::NothingToSend,
        Self::Held,
        Self::Imported,
        Self::Late,
        Self::GivenUp,
    ];

    /// As it is recorded and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sent => "sent",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::NothingToSend => "nothing-to-send",
            Self::Held => "held",
            Self::Imported => "imported",
            Self::Late => "late",
            Self::GivenUp => "given-up",
        }
    }

    /// Whether its month may close with it.
    #[must_use]
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Accepted | Self::NothingToSend | Self::Imported | Self::Late | Self::GivenUp)
    }

    /// Whether a run sends it.
    #[must_use]
    pub fn is_to_send(self) -> bool {
        matches!(self, Self::Planned | Self::Sent | Self::Rejected | Self::Unknown)
    }
}

impl fmt::Display for SubmissionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for SubmissionState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| format!("'{text}' is no state of a submission"))
    }
}

/// A submission. Its law: `usage + carry_in + moved = quantity + carry_out + rest`, where `moved` is what other plans of its contract have
/// given it (negative: what it has given to theirs), and the rest is what came too late, what is held, or what the earlier exporter
/// reported, by the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// What it is about.
    pub line: Line,
    /// How far it has come.
    pub state: SubmissionState,
    /// The exact usage by the newest snapshot.
    pub usage: Exact,
    /// The fraction carried from the month before.
    pub carry_in: Exact,
    /// What is sent: a whole number.
    pub quantity: Exact,
    /// The fraction carried to the next month.
    pub carry_out: Exact,
    /// The snapshot that the quantity was made from.
    pub snapshot: Revision,
    /// The service may hold this quantity, so that it must not change any more.
    pub fixed: bool,
    /// Requests made.
    pub attempts: u32,
    /// When the last request was made.
    pub sent_at: Option<DateTime<Utc>>,
    /// What the service said last.
    pub reply: Option<Reply>,
    /// What it has to do with those of other plans.
    pub sharing: Sharing,
}

impl Submission {
    /// What is neither sent, nor carried, nor another plan's: `usage + carry_in + moved - quantity - carry_out`.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn rest(&self) -> Result<Exact, MoneyError> {
        let there = self.usage.plus(self.carry_in)?.plus(self.sharing.moved()?)?;
        there.minus(self.quantity)?.minus(self.carry_out)
    }

    /// Whether a run sends it.
    #[must_use]
    pub fn is_to_send(&self) -> bool {
        self.state.is_to_send() && self.sharing.sent_with().is_none()
    }

    /// Whether it certainly holds nothing of it, although the service was asked: what is not, may be held.
    #[must_use]
    pub fn is_refused_for_certain(&self) -> bool {
        self.state == SubmissionState::Rejected && !self.fixed
    }

    /// Not sent any more: a person has decided so. `self` must be refused for certain.
    #[must_use]
    pub fn given_up(&self, by: &GivenUp) -> Self {
        let reply = Reply { given_up: Some(by.clone()), ..self.reply.clone().unwrap_or_default() };
        Self { state: SubmissionState::GivenUp, fixed: true, reply: Some(reply), ..self.clone() }
    }

    /// To be sent again, after it was given up.
    #[must_use]
    pub fn taken_up(&self) -> Self {
        let reply = self.reply.clone().map(|reply| Reply { given_up: None, ..reply });
        Self { state: SubmissionState::Rejected, fixed: false, reply, ..self.clone() }
    }

    /// The service holds one record, and so much of it may be another plan's: whose it is, a person has to say.
    #[must_use]
    pub fn disputed(&self, by: &Plan, quantity: Exact) -> Self {
        let message = format!(
            "the service holds one record of a contract, dimension and month: {by} has reported {quantity} of it, and this is {}; \
             look in Clazar which it holds",
            self.quantity
        );
        let reply = Reply {
            message: Some(message),
            other_quantity: Some(quantity.to_string()),
            already_there: false,
            ..self.reply.clone().unwrap_or_default()
        };
        Self { state: SubmissionState::Rejected, fixed: true, reply: Some(reply), ..self.clone() }
    }

    /// Usage that came too late to be sent; negative if less was used than was sent.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn late_usage(&self) -> Result<Exact, MoneyError> {
        match self.state {
            SubmissionState::Held | SubmissionState::Imported => Ok(Exact::ZERO),
            _ => self.rest(),
        }
    }

    /// About to be sent: recorded before the request.
    #[must_use]
    pub fn sending(&self, at: DateTime<Utc>) -> Self {
        Self {
            state: SubmissionState::Sent,
            attempts: self.attempts + 1,
            sent_at: Some(at),
            // a process that finds it so does not know how the request ended
            fixed: true,
            ..self.clone()
        }
    }

    /// What the answer to its request makes of it; `before` is the submission before it was sent.
    #[must_use]
    pub fn settled(&self, before: &Self, verdict: &Verdict) -> Self {
        let (state, fixed, reply) = match verdict {
            Verdict::Accepted { id } => {
                (SubmissionState::Accepted, true, Reply { id: id.clone(), ..Reply::default() })
            }
            // that it is there does not make it the right one
            Verdict::AlreadyThere { .. } if before.holds_another_quantity() => {
                (SubmissionState::Rejected, true, before.reply.clone().unwrap_or_default())
            }
            Verdict::AlreadyThere { text } => {
                // after a request of ours whose end nobody knew, this is its end
                let already_there = !before.fixed;
                let reply = Reply { message: Some(text.clone()), already_there, ..Reply::default() };
                (SubmissionState::Accepted, true, reply)
            }
            // one clear no does not tell what became of an attempt before it
            Verdict::Refused { reply, certain } => {
                (SubmissionState::Rejected, before.fixed || !certain, reply.clone())
            }
            Verdict::Missing => (SubmissionState::Unknown, true, self.ended("the reply has no entry for it")),
        };
        Self { state, fixed, reply: Some(reply), ..self.clone() }
    }

    /// Keeps how the answer was read that settled it by this verdict.
    #[must_use]
    pub fn read_from(self, answer: &Answer, verdict: &Verdict) -> Self {
        let by_place = answer.by_place && *verdict != Verdict::Missing;
        let reply = Reply {
            answered: true,
            by_place,
            unmatched: answer.unmatched.clone(),
            ..self.reply.unwrap_or_default()
        };
        Self { reply: Some(reply), ..self }
    }

    /// Its request came to an answer, or to an end that comes again if it is made again at once.
    #[must_use]
    pub fn answered(self) -> Self {
        let reply = Reply { answered: true, ..self.reply.unwrap_or_default() };
        Self { reply: Some(reply), ..self }
    }

    /// Whether its last request came to an answer at that moment or later; the run that made it does not make it again.
    #[must_use]
    pub fn is_answered_since(&self, moment: DateTime<Utc>) -> bool {
        let answered = self.reply.as_ref().is_some_and(|reply| reply.answered);
        // found as sent, a process died over the request after that
        answered
            && self.state != SubmissionState::Sent
            && self.sent_at.is_some_and(|sent_at| sent_at >= moment)
    }

    /// The service is known to hold another quantity, or one that may be another plan's.
    pub(super) fn holds_another_quantity(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.other_quantity.is_some())
    }

    /// Its request may have arrived, nobody knows.
    #[must_use]
    pub fn unknown(&self, how: &str) -> Self {
        Self { state: SubmissionState::Unknown, fixed: true, reply: Some(self.ended(how)), ..self.clone() }
    }

    /// Its request certainly did nothing: it is what it was before, with the reason.
    #[must_use]
    pub fn not_sent(&self, before: &Self, how: &str) -> Self {
        let state = match before.state {
            SubmissionState::Sent => SubmissionState::Unknown, // by a process that died
            other => other,
        };
        Self { state, fixed: before.fixed, reply: Some(self.ended(how)), ..self.clone() }
    }

    /// How a request ended without an answer; what an earlier one said of another quantity stays.
    fn ended(&self, how: &str) -> Reply {
        let other_quantity = self.reply.as_ref().and_then(|reply| reply.other_quantity.clone());
        Reply { message: Some(how.to_owned()), other_quantity, ..Reply::default() }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::metering) fn planned() -> Submission {
        Submission {
            line: Line { contract: ContractId::new("c").unwrap(), dimension: Dimension::new("d").unwrap() },
            state: SubmissionState::Planned,
            usage: "669.6".parse().unwrap(),
            carry_in: Exact::ZERO,
            quantity: "669".parse().unwrap(),
            carry_out: "0.6".parse().unwrap(),
            snapshot: Revision::of(b""),
            fixed: false,
            attempts: 0,
            sent_at: None,
            reply: None,
            sharing: Sharing::Alone,
        }
    }

    fn refused(certain: bool) -> Verdict {
        Verdict::Refused { reply: Reply { code: Some("API1001".into()), ..Reply::default() }, certain }
    }

    /// Every answer to every state that is sent: what follows, and whether the quantity is fixed from then on.
    #[test]
    fn every_answer_in_every_state() {
        let at = "2025-07-01T00:00:00Z".parse().unwrap();
        let fixed_before = Submission { fixed: true, state: SubmissionState::Unknown, ..planned() };
        let dead = planned().sending(at);
        let rejected = Submission { state: SubmissionState::Rejected, ..planned() };
        for before in [planned(), rejected, fixed_before, dead] {
            let sent = before.sending(at);
            assert_eq!(
                (sent.state, sent.fixed, sent.attempts),
                (SubmissionState::Sent, true, before.attempts + 1)
            );
            let after = |verdict: &Verdict| {
                let after = sent.settled(&before, verdict);
                (after.state, after.fixed)
            };
            assert_eq!(after(&Verdict::Accepted { id: None }), (SubmissionState::Accepted, true));
            assert_eq!(after(&Verdict::AlreadyThere { text: "x".into() }), (SubmissionState::Accepted, true));
            assert_eq!(after(&refused(true)), (SubmissionState::Rejected, before.fixed));
            assert_eq!(after(&refused(false)), (SubmissionState::Rejected, true));
            assert_eq!(after(&Verdict::Missing), (SubmissionState::Unknown, true));
            assert_eq!(sent.unknown("time-out").state, SubmissionState::Unknown);
            let back = sent.not_sent(&before, "throttled");
            let expected =
                if before.state == SubmissionState::Sent { SubmissionState::Unknown } else { before.state };
            assert_eq!((back.state, back.fixed), (expected, before.fixed));
            // nothing of this changes an amount
            for other in [sent.settled(&before, &Verdict::Missing), back] {
                assert_eq!(
                    (other.quantity, other.carry_out, other.usage),
                    (before.quantity, before.carry_out, before.usage)
                );
            }
        }
    }

    #[test]
    fn another_quantity_at_the_service_is_never_taken_for_ours() {
        let at = "2025-07-01T00:00:00Z".parse().unwrap();
        let reply = Reply { other_quantity: Some("668".into()), ..Reply::default() };
        let verdict = Verdict::Refused { reply: reply.clone(), certain: false };
        let refused = planned().sending(at).settled(&planned(), &verdict);
        let again = refused.sending(at).settled(&refused, &Verdict::AlreadyThere { text: "x".into() });
        assert_eq!((again.state, again.reply), (SubmissionState::Rejected, Some(reply)));
    }

    #[test]
    fn how_an_answer_was_read_stays_with_it_and_a_lost_one_is_none() {
        let (before, at): (DateTime<Utc>, DateTime<Utc>) =
            ("2025-06-30T23:59:59Z".parse().unwrap(), "2025-07-01T00:00:00Z".parse().unwrap());
        let (sent, verdict) = (planned().sending(at), Verdict::Accepted { id: None });
        let answer = Answer { by_place: true, unmatched: vec!["success".into()], ..Answer::default() };
        let read = sent.settled(&planned(), &verdict).read_from(&answer, &verdict);
        assert_eq!(
            read.reply.as_ref().unwrap().to_string(),
            "what fits no record: success; by its place in the reply, in which no entry names a record"
        );
        assert!(read.is_answered_since(before) && read.is_answered_since(at));
        assert!(!read.is_answered_since("2025-07-01T00:00:01Z".parse().unwrap()), "that was another run");
        let missing = sent.settled(&planned(), &Verdict::Missing).read_from(&answer, &Verdict::Missing);
        assert_eq!(
            missing.reply.as_ref().unwrap().to_string(),
            "the reply has no entry for it; what fits no record: success"
        );
        assert!(missing.is_answered_since(before));
        assert!(!missing.sending(at).is_answered_since(before), "nobody knows how that ends");
        assert!(!missing.sending(at).unknown("time-out").is_answered_since(before));
        assert!(missing.sending(at).unknown("too large").answered().is_answered_since(before));
        assert!(!missing.sending(at).not_sent(&missing, "throttled").is_answered_since(before));
    }

    #[test]
    fn states_are_read_as_they_are_written_and_either_settled_or_open() {
        for state in SubmissionState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert!(!(state.is_settled() && state.is_to_send()), "{state}");
        }
        assert!(!SubmissionState::Held.is_settled() && !SubmissionState::Held.is_to_send());
        assert!("done".parse::<SubmissionState>().is_err());
    }
}
