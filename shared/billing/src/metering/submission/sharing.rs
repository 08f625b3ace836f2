//! What a submission has to do with those of other plans.

use std::collections::BTreeMap;
use std::fmt;

use super::super::Plan;
use crate::money::{Exact, MoneyError};

/// The service holds one record for a contract, a dimension and a month, whatever the plan. So the submission of one plan is sent for all
/// plans that have usage of it, and theirs say with which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// No other plan has anything of it.
    #[default]
    Alone,
    /// It is sent for other plans too, which have given it so much: usage and the fraction carried to them.
    Sends(BTreeMap<Plan, Exact>),
    /// It is not sent itself: it has given what it has to that of another plan, and its state is the other's.
    SentWith {
        /// The other plan.
        plan: Plan,
        /// How much.
        given: Exact,
    },
}

impl Sharing {
    /// What others have given it; negative if it has given to another.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn moved(&self) -> Result<Exact, MoneyError> {
        match self {
            Self::Alone => Ok(Exact::ZERO),
            Self::Sends(given) => Exact::sum(given.values().copied()),
            Self::SentWith { given, .. } => Exact::ZERO.minus(*given),
        }
    }

    /// The plan with whose submission it is sent.
    #[must_use]
    pub fn sent_with(&self) -> Option<&Plan> {
        match self {
            Self::SentWith { plan, .. } => Some(plan),
            Self::Alone | Self::Sends(_) => None,
        }
    }

    /// What a plan has given it.
    #[must_use]
    pub fn given_by(&self, plan: &Plan) -> Option<Exact> {
        match self {
            Self::Sends(given) => given.get(plan).copied(),
            Self::Alone | Self::SentWith { .. } => None,
        }
    }
}

/// In words; nothing if no other plan has anything of it.
impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alone => Ok(()),
            Self::Sends(given) => {
                let given: Vec<String> = given.iter().map(|(plan, sum)| format!("{sum} of {plan}")).collect();
                write!(f, "with {}", given.join(", "))
            }
            Self::SentWith { plan, given } => write!(f, "{given} in the submission of {plan}"),
        }
    }
}
