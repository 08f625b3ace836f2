//! Whether what the service refuses of a contract's month may be given up.

use super::submission::{GivenUp, Line, Submission, SubmissionState};
use crate::ids::ContractId;
use crate::month::BillingMonth;

/// A contract whose month cannot be given up: the service may hold something of it, or nothing of it is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum NotGivenUp {
    #[error(
        "{month} of {line} is not given up: it is {state}, and nobody knows what the service says to it; send it first: \
         monthend metering run --month {month} --contract {contract}",
        contract = line.contract
    )]
    Open { month: BillingMonth, line: Line, state: SubmissionState },
    #[error(
        "{month} of {line} is not given up: it is refused, but the service may hold what was sent before ({said}); look in Clazar: if it is \
         held, say so by `monthend metering import-state`"
    )]
    MayBeHeld { month: BillingMonth, line: Line, said: String },
    #[error("{month} of the contract '{contract}' is not given up: nothing of it is refused")]
    NothingRefused { month: BillingMonth, contract: ContractId },
}

/// The submissions of a contract's month that are refused, given up: all of them, or none. What is accepted, held or nothing to send stays as
/// it is, and what is given up already.
///
/// # Errors
/// [`NotGivenUp`] says what has to be done first.
pub fn give_up<'s>(
    month: BillingMonth,
    contract: &ContractId,
    submissions: impl IntoIterator<Item = &'s Submission>,
    by: &GivenUp,
) -> Result<Vec<Submission>, NotGivenUp> {
    let (mut given_up, mut already) = (Vec::new(), false);
    for submission in submissions.into_iter().filter(|submission| submission.line.contract == *contract) {
        already |= submission.state == SubmissionState::GivenUp;
        if !submission.is_to_send() {
            continue;
        }
        let (line, state) = (submission.line.clone(), submission.state);
        match state {
            SubmissionState::Rejected if submission.is_refused_for_certain() => {
                given_up.push(submission.given_up(by));
            }
            SubmissionState::Rejected => {
                let said = submission.reply.as_ref().map(ToString::to_string).unwrap_or_default();
                return Err(NotGivenUp::MayBeHeld { month, line, said });
            }
            _ => return Err(NotGivenUp::Open { month, line, state }),
        }
    }
    if given_up.is_empty() && !already {
        return Err(NotGivenUp::NothingRefused { month, contract: contract.clone() });
    }
    Ok(given_up)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Dimension;
    use crate::metering::{Reply, Verdict, submission};

    fn planned(contract: &str, dimension: &str) -> Submission {
        let contract = ContractId::new(contract).unwrap();
        let line = Line { contract, dimension: Dimension::new(dimension).unwrap() };
        let [usage, quantity, carry_out] = ["5.5", "5", "0.5"].map(|text| text.parse().unwrap());
        Submission { line, usage, quantity, carry_out, ..submission::tests::planned() }
    }

    fn refused(dimension: &str, certain: bool) -> Submission {
        let before = planned("c", dimension);
        let reply = Reply { message: Some("Contract is not active".into()), ..Reply::default() };
        let sent = before.sending("2025-07-01T00:00:00Z".parse().unwrap());
        sent.settled(&before, &Verdict::Refused { reply, certain })
    }

    fn by() -> GivenUp {
        let at = "2025-07-02T00:00:00Z".parse().unwrap();
        GivenUp { reason: "cancelled".into(), by: "Ann".into(), at }
    }

    fn given_up(submissions: &[Submission]) -> Result<Vec<Submission>, String> {
        let (month, contract) = ("2025-06".parse().unwrap(), ContractId::new("c").unwrap());
        give_up(month, &contract, submissions, &by()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_refused_for_certain_is_given_up_and_what_is_settled_stays() {
        let accepted = Submission { state: SubmissionState::Accepted, fixed: true, ..planned("c", "ram") };
        let given = given_up(&[refused("cpu", true), accepted, planned("other", "cpu")]).unwrap();
        let [given] = given.as_slice() else { panic!("{given:?}") };
        assert_eq!((given.state, given.quantity), (SubmissionState::GivenUp, "5".parse().unwrap()));
        assert!(given.state.is_settled() && !given.is_to_send());
        assert_eq!(given_up(std::slice::from_ref(given)), Ok(vec![]), "once more changes nothing");
        let said = given.reply.as_ref().unwrap().to_string();
        assert_eq!(said, "Contract is not active; given up by Ann: cancelled");
        let again = given.taken_up();
        assert!(again.is_refused_for_certain());
        assert_eq!(again.reply.unwrap().to_string(), "Contract is not active");
    }

    #[test]
    fn what_may_be_held_or_was_never_sent_is_not_given_up_and_nothing_beside_it() {
        let certain = refused("cpu", true);
        let error = given_up(&[certain.clone(), planned("c", "ram")]).unwrap_err();
        assert!(error.contains("2025-06 of c ram is not given up: it is planned"), "{error}");
        let unknown = planned("c", "ram").sending(by().at).unknown("time-out");
        let error = given_up(&[certain.clone(), unknown]).unwrap_err();
        assert!(error.contains("monthend metering run --month 2025-06 --contract c"), "{error}");
        let error = given_up(&[certain, refused("ram", false)]).unwrap_err();
        assert!(error.contains("may hold what was sent before (Contract is not active)"), "{error}");
        let error = given_up(&[planned("other", "cpu")]).unwrap_err();
        assert_eq!(error, "2025-06 of the contract 'c' is not given up: nothing of it is refused");
    }
}
